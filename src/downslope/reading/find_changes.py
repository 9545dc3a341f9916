"""How the learning rate changes, by the verbs that say so: divided, multiplied, reduced, halved, by how much and when.

A verb has its arguments to its right and, as Chinese often has it, to its left. A verb of falling may lack a factor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from downslope.reading.facts import Board, Fact
from downslope.reading.items import Item
from downslope.reading.patterns import Pattern, Rules
from downslope.reading.schedule_facts import Change, Plateau
from downslope.reading.times import Time

_VERBS = frozenset({"divide", "multiply", "reduce", "halve", "decimate", "increase"})
_RATES = frozenset({"lr", "lr_decay"})
_OWN = Rules(
    {
        "of 0.05": "concept:lr is value=number (by|to|from|each|time|times)",
        "initially 0.05": "concept:lr (comma|open)? mod:initial is? value=number after=(comma|close)",
    }
)
_SIGNED = Pattern("(star|slash|word:x) number (times:at,after|time:at,after,every)")
_PARTS = re.compile(
    r"backbone|(?:last|final|output|new|classifier|fc) layer|classifier|\bhead|encoder|decoder|bias|主干|最后一层|分类层|分类头|头部|偏置|骨干"
)
"""Parts of a network, whose factors are no schedule."""
_FROM = Pattern("from when=time:at (word:on,onwards,onward|for:next|comma)")
_FACTOR = Pattern("(by:factor|concept:lr_decay,gamma) is? value=number")


def find_changes(board: Board) -> None:
    """Add a fact for every change of the learning rate."""
    refused: set[int] = set()
    others: set[int] = set()
    code = board.code()
    for first, last in board.sentences():
        previous = first
        for place in range(first, last):
            item = board.items[place]
            head = item.kind == "verb" and item.key in _VERBS
            stepped = (
                item.is_a("schedule", "multistep", "exponential")
                and place + 2 < last
                and board.items[place + 1].kind == "by"
                and board.free_number(place + 2)
            )
            noun = item.is_a("concept", "lr_decay")
            signed = _SIGNED.at(code, place, last)
            if not (head or noun or stepped or signed) or (place in board.used and not stepped):
                continue
            if head and not _is_about_lr(board, first, place, last):
                others |= _times_of_another(board, place, last)
                continue
            verb = {"star": "multiply", "slash": "divide", "word": "multiply"}.get(
                item.kind, "reduce" if noun or stepped else item.key
            )
            frame = Frame(verb, {place}, shape=item.key if stepped else "")
            after = _rightwards(board, code, frame, place + 1, last, noun=noun)
            if frame.amount is None and not frame.targets and not noun:
                take_amount_before(board, frame, place, first)
            if not frame.at and not frame.plateau:
                take_time_before(board, frame, place - 1, previous)
            if frame.every is not None and not frame.at and (begun := next(_FROM.find(code, first, place), None)):
                frame.at.append(board.items[begun["when"]].data)
                frame.places.add(begun["when"])
            if not frame.at:
                _take_plateau(board, frame, first, last)
            if not _add(board, frame, place, first, last, noun=noun):
                refused |= {p for p in frame.places if board.items[p].kind == "time"}
            previous = max(previous, after)
    _reduce_on_plateau(board)
    _spread(board, refused | others)
    pair_factors(board)
    board.used -= refused
    board.used |= others


def _reduce_on_plateau(board: Board) -> None:
    """Add a change for every plateau that has no verb, but a factor: "reduce on plateau (factor 0.5)"."""
    code = board.code()
    for first, last in board.sentences():
        for plateau in board.inside(Plateau, first, last):
            match = next(_FACTOR.find(code, max(0, first - 15), min(len(board.items), last + 10)), None)
            if match is not None and not (plateau.stops or plateau.taken):
                value = board.items[match["value"]].value
                change = Change("change", "multiply", value, 0, 0, plateau=plateau)
                board.note(change, range(match.first, match.after))
                break


def _times_of_another(board: Board, place: int, last: int) -> set[int]:
    """Return the places of the times in the clause of a verb that is not the learning rate's."""
    found: set[int] = set()
    for right in range(place + 1, last):
        if board.items[right].kind in {"comma", "verb"}:
            break
        if board.items[right].kind == "time":
            found.add(right)
    return found


def _spread(board: Board, refused: set[int]) -> None:
    """Give milestones that no verb took to the change that has no time, or make a change of them alone."""
    for place, item in enumerate(board.items):
        if (
            item.kind != "time"
            or place in board.used
            or place in refused
            or item.data.prep not in {"at", "after"}
            or len(item.data.values) < 2
            or not _may_be_milestones(board, place)
        ):
            continue
        board.used.add(place)
        untimed = [c for c in _changes(board) if c.value is not None and not (c.at or c.every or c.plateau)]
        if untimed:
            untimed[0].at.append(item.data)
            untimed[0].noun = False
        else:
            board.note(Change("change", "reduce", None, 0, 0, at=[item.data], listed=True), [place])


def _may_be_milestones(board: Board, place: int) -> bool:
    """Whether times without a verb may be the learning rate's: its sentence speaks of it, and its clause of nothing else."""
    clause = [board.items[p] for p in _clause(board, place)]
    if any(item.kind == "concept" and item.key not in LAX | {"gamma", "lr_every", "decay"} for item in clause):
        return False
    around = board.items[max(0, place - 20) : place + 20]
    return any(
        item.is_a("concept", "lr", "lr_decay", "gamma") or item.kind == "schedule" for item in around
    ) and not any(item.is_a("word", *_ACTIONS) for item in clause)


_ACTIONS = (
    "evaluate",
    "evaluated",
    "evaluation",
    "save",
    "saved",
    "test",
    "tested",
    "report",
    "reported",
    "checkpoint",
    "checkpoints",
    "measure",
    "measured",
    "results",
    "accuracy",
    "prune",
    "pruned",
    "validated",
    "visualize",
    "测",
    "保",
    "评",
)
"""What is done at times without a change of the learning rate."""


def _is_about_lr(board: Board, first: int, place: int, last: int) -> bool:
    """Whether a verb is the learning rate's: unless its nearest subject or object is another's."""
    for right in range(place + 1, min(last, place + 3)):
        item = board.items[right]
        if right in board.used:
            continue
        if item.kind in {"concept", "when", "other"}:
            return item.key in _RATES
        if item.kind in {"number", "time", "by", "to", "comma", "and"}:
            break
    for left in range(place - 1, first - 1, -1):
        item = board.items[left]
        if item.kind == "number" and place - left == 1:
            owners = [board.items[p] for p in range(left - 1, max(first - 1, left - 4), -1)]
            owner = next((o for o in owners if o.kind in {"concept", "comma"}), None)
            return owner is None or owner.kind != "concept" or owner.key in _RATES
        if item.kind == "time":
            return True
        if item.kind == "when" and left not in board.used:
            return False  # "the weight of the auxiliary loss is divided"
        if item.is_a("concept", "lr", "lr_decay", "warmup"):
            return True
        if item.kind == "concept" and item.key not in LAX | {"gamma", "lr_every", "decay"}:
            return any(board.items[p].is_a("concept", "lr") for p in range(left - 1, max(first - 1, left - 5), -1)) or (
                any(board.items[p].kind == "comma" for p in range(left, place))
            )
    return True


def _rightwards(board: Board, code: str, frame: Frame, place: int, last: int, *, noun: bool) -> int:
    items = board.items
    preposition = "is" if noun else ""
    while place < last:
        item = items[place]
        if item.kind == "number" and place not in board.used and item.number:
            if not take_number(board, frame, place, preposition):
                break
            preposition = ""
        elif item.kind == "time":
            if place not in board.used and not take_time(board, frame, place):
                break
            preposition = ""
        elif item.kind == "schedule":
            frame.shape = frame.shape or item.key
            preposition = "by" if item.key == "exponential" else preposition
        elif item.kind == "magnitude":
            frame.magnitude = frame.magnitude or 10.0
            frame.places.add(place)
        elif item.kind == "of_it":
            frame.ratio = True
            frame.places.add(place)
        elif item.kind == "is" and board.text.plain[item.start : item.end].startswith(("初", "start", "begin", "init")):
            break
        elif item.kind in {"by", "to", "from", "at", "for", "each", "is"}:
            if item.kind == "by" and items[place - 1].kind == "comma":
                preposition = "by"
            preposition = preposition if item.kind == "is" and preposition else item.kind
        elif item.kind == "verb":
            if item.key == "train" or frame.amount or frame.targets or (frame.places - {place} and frame.at):
                break
            if item.key in {"divide", "multiply", "halve"} and frame.verb in {"reduce", "increase"}:
                frame.verb = item.key
                frame.places.add(place)
            elif item.key in _VERBS and preposition in {"by", ""}:
                frame.verb = item.key if frame.verb == "reduce" else frame.verb
            else:
                break
        elif item.kind == "concept":
            own = _OWN.at(code, place, last) if item.key == "lr" else None
            if item.key not in LAX or (item.key == "lr" and own is None and _asserts(items, place, last)):
                break
            if item.key == "lr_decay":
                preposition = "by"
            if own is not None:  # "decrease the rate of 0.05 by ..."
                place = own["after" if "after" in own else "value"]
        elif item.kind in {"optimizer", "target", "no"} or (
            item.is_a("mod", "initial") and _asserts(items, place, last)
        ):
            break
        place += 1
    return place


def _asserts(items: list[Item], place: int, last: int) -> bool:
    """Whether "learning rate" is followed by a value of its own, and so begins another statement."""
    return any(item.kind == "number" for item in items[place + 1 : min(last, place + 4)]) and not any(
        item.kind in {"by", "each"} or (item.kind == "verb" and item.key in _VERBS)
        for item in items[place + 1 : min(last, place + 4)]
    )


def _add(board: Board, frame: Frame, place: int, first: int, last: int, *, noun: bool) -> bool:
    """Add the change that a frame tells of; False if it tells of none."""
    factor: float | None = None
    if frame.amount is not None and frame.amount.number is not None:
        number = frame.amount.number
        if frame.how == "is" and noun:
            frame.verb = "reduce"
        factor = factor_of(
            frame.verb,
            number.value,
            how="ratio" if frame.ratio else frame.how,
            percent=number.percent,
        )
    elif frame.magnitude:
        factor = 1 / frame.magnitude
    elif frame.verb == "halve":
        factor = 0.5
    elif frame.verb == "decimate":
        factor = 0.1
    change = Change(
        "change", frame.verb, factor, 0, 0, targets=[item.value for item in frame.targets], at=frame.at,
        every=frame.every, over=frame.over, plateau=frame.plateau,
        shape=frame.shape, count=frame.count, noun=noun,
    )  # fmt: skip
    if not (change.at or change.every or change.plateau or change.count):
        clause = [board.items[p] for p in _clause(board, place)]
        if factor is not None and _PARTS.search(board.text.plain[clause[0].start : clause[-1].end]):
            return False
    told = factor is not None or (not noun and (change.targets or frame.plateau or frame.count or frame.shape))
    if not told:
        if not tells_a_fall(board, change, place, first, last):
            return False
        change.noun, change.bare = False, True
    if factor is None and not change.targets and frame.shape and not (frame.at or frame.every):
        frame.places = {place for place in frame.places if board.items[place].kind in {"verb", "schedule", "time"}}
    board.note(change, sorted(frame.places))
    if change.plateau is not None:
        change.plateau.taken = True
    return True


def _clause(board: Board, place: int) -> range:
    """Return the places of the items of a place's clause."""
    first, last = place, place + 1
    while place - first < 15 and first > 0 and board.items[first - 1].kind not in {"comma", "break", "open"}:
        first -= 1
    while last - place < 15 and last < len(board.items) and board.items[last].kind not in {"comma", "break", "close"}:
        last += 1
    return range(first, last)


def _changes(board: Board) -> list[Change]:
    return [fact for fact in board.facts if isinstance(fact, Change)]


# The arguments of one change

LAX = frozenset({"lr", "lr_decay", "epochs_total", "steps_total", "patience"})


@dataclass
class Frame:
    """The arguments of one verb."""

    verb: str
    places: set[int]
    amount: Item | None = None
    how: str = ""
    magnitude: float = 0.0
    targets: list[Item] = field(default_factory=list[Item])
    ratio: bool = False
    at: list[Time] = field(default_factory=list[Time])
    every: Time | None = None
    over: Time | None = None
    plateau: Plateau | None = None
    shape: str = ""
    count: int | None = None


def take_number(board: Board, frame: Frame, place: int, preposition: str) -> bool:
    """Use a number as what it is to the verb; False if it is not the verb's."""
    item, items = board.items[place], board.items
    number = item.number
    assert number is not None  # noqa: S101 - the caller has looked
    following = items[place + 1] if place + 1 < len(items) else None
    if following is not None and (
        following.is_a("unit", "times") or (following.is_a("unit", "step") and number.spelled)
    ):
        if (
            preposition == "for"
            or (frame.amount is not None or frame.verb == "divide")
            or (number.spelled and preposition != "by")
        ):
            frame.count = int(number.value)
            frame.places |= {place, place + 1}
            return True
        frame.amount, frame.how = item, "by"
        frame.places |= {place, place + 1}
        return True
    if following is not None and following.kind == "magnitude":
        frame.magnitude = 10.0 ** min(6, number.value)
        frame.places |= {place, place + 1}
        return True
    if following is not None and following.kind == "unit" and following.key in {"ignored", "example"}:
        return False
    if preposition == "at" and number.value >= 1 and not number.fraction:
        values = [number.value]
        places = {place}
        after = place + 1
        while after + 1 < len(items) and items[after].kind in {"comma", "and"} and board.free_number(after + 1):
            value = items[after + 1].value
            if value <= values[-1] or value < 1:
                break
            values.append(value)
            places |= {after + 1}
            after += 2
        if len(values) > 1 or number.value >= 5:
            frame.at.append(Time("at", tuple(values), ""))
            frame.places |= places
            board.used |= places
            return True
    if preposition == "to":
        if (
            number.fraction
            or number.times
            or (number.percent and number.value > 0)
            or (following and following.kind == "of_it")
        ):
            frame.amount, frame.how, frame.ratio = item, "ratio", True
        else:
            frame.targets.append(item)
        frame.places.add(place)
        return True
    if frame.targets and not frame.amount and preposition in {"", "is"} and number.value < 10 and not number.spelled:
        frame.targets.append(item)
        frame.places.add(place)
        return True
    if (
        frame.amount is None
        and not frame.targets
        and (not number.spelled or number.fraction or preposition == "by" or number.times)
    ):
        left = items[place - 1]
        if preposition not in {"by", "is"} and not (
            left.kind in {"verb", "star", "slash"} or left.is_a("word", "x", "了", "约", "the", "and")
        ):
            return False
        frame.amount, frame.how = item, preposition or "direct"
        frame.places.add(place)
        return True
    return False


def take_time(board: Board, frame: Frame, place: int) -> bool:
    """Use a time as the verb's; False if it is not."""
    item = board.items[place]
    time: Time = item.data
    if time.prep == "every":
        if frame.every is not None:
            return False
        frame.every = time
    elif time.prep in {"at", "after", "until"} or (time.prep == "" and len(time.values) > 1):
        frame.at.append(time)
    elif time.prep in {"for", "first", "next"} and (frame.targets or frame.shape) and not frame.at and not frame.every:
        frame.over = time
    else:
        return False
    frame.places.add(place)
    board.used.add(place)
    return True


def take_time_before(board: Board, frame: Frame, place: int, first: int) -> None:
    """Take the time that stands before the verb: 每30轮...衰减, "every 30 epochs the learning rate is divided"."""
    while place >= first:
        item = board.items[place]
        if item.kind == "time" and place not in board.used:
            time: Time = item.data
            if time.prep == "every" and frame.every is None:
                frame.every = time
            elif time.prep in {"at", "after"}:
                frame.at.append(time)
            else:
                return
            frame.places.add(place)
            board.used.add(place)
            return
        if item.kind == "verb" or (item.kind == "concept" and item.key not in LAX):
            return
        if item.kind == "number" and item.number and not item.number.spelled and place not in frame.places:
            comma = [p for p in range(place, place + 6) if p < len(board.items) and board.items[p].kind == "comma"]
            before = board.items[place - 1] if place else None
            if not comma and not (before and before.is_a("at")):
                return
            owner = board.items[place - 2] if place > 1 else None
            if owner is not None and owner.kind == "concept" and owner.key not in LAX:
                return  # "gradient clipping at 5"
            if before and before.is_a("at") and item.number.value >= 2 and place not in board.used:
                frame.at.append(Time("at", (item.value,), ""))
                frame.places.add(place)
                board.used.add(place)
                return
            return
        place -= 1


def take_amount_before(board: Board, frame: Frame, place: int, first: int) -> None:
    """Take an amount told before the verb: 以0.94的指数速率衰减, "with a factor of 0.1 decayed"."""
    named = False
    for left in range(place - 1, max(first - 1, place - 6), -1):
        item = board.items[left]
        if item.kind == "number":
            if named and board.free_number(left) and item.number and not item.number.spelled:
                frame.amount, frame.how, frame.verb = (
                    item,
                    "by",
                    "multiply"
                    if frame.verb == "reduce" and item.number.value < 1 and not item.number.percent
                    else frame.verb,
                )
                frame.places.add(left)
            return
        if (
            item.is_a("by")
            or item.is_a("schedule", "exponential")
            or item.is_a("concept", "lr_decay")
            or item.is_a("word", "的", "速", "率")
        ):
            named = named or item.kind != "word"
        elif item.kind not in {"word", "is"}:
            return


def _take_plateau(board: Board, frame: Frame, first: int, last: int) -> None:
    """Take the plateau of the verb's sentence: "once perplexity stops improving, we reduce ..."."""
    free = [fact for fact in board.inside(Plateau, first, last) if not (fact.stops or fact.taken)]
    if free:
        frame.plateau = free[0]
        frame.places |= {p for p in range(first, last) if free[0].start <= board.items[p].start < free[0].end}


def factor_of(frame_verb: str, value: float, *, how: str, percent: bool) -> float | None:
    """Return what a change multiplies by, or None if its number cannot be one.

    Args:
        frame_verb: "divide", "multiply", "reduce" or "increase".
        value: The number; a percentage as a fraction.
        how: "ratio" if it is "to VALUE of what it was".
        percent: Whether it is in per cent.

    Example:
        >>> factor_of("divide", 10, how="by", percent=False)
        0.1
        >>> round(factor_of("reduce", 0.04, how="by", percent=True), 9)
        0.96
        >>> factor_of("reduce", 0.1, how="by", percent=False)
        0.1
    """
    if not 0 < value < float("inf"):
        return None
    if how == "ratio":
        return value if value <= 1 else 1 / value
    if frame_verb == "multiply":
        return value
    if frame_verb == "divide":
        return 1 / value if value > 1 else value
    if frame_verb == "increase":
        return 1 + value if percent else (value if value > 1 else None)
    if percent:
        return 1 - value if value < 1 else None
    return 1 / value if value > 1 else value


# Falls of the learning rate that are told with their times but without a factor

_FALLS = frozenset({"reduce", "divide", "multiply"})
_POINTS = frozenset({"at", "after", ""})
_BOUNDS = frozenset({"comma", "break", "open", "close", "and"})
_STRANGE = frozenset({"unit", "target", "word", "no", "optimizer"})
_EMPTY = ("时", "处", "的", "了")
_BEFORE_FACTOR = frozenset({"number", "comma", "break", "open", "and", "with"})
_FACTORS = ("factor", "ratio", "因子", "系数", "倍率")


def tells_a_fall(board: Board, fact: Change, place: int, first: int, last: int) -> bool:
    """Whether a verb with times and no factor tells of a fall of the learning rate.

    It does if the verb is one of falling, all its times are points or periods, and its subject is the learning rate:
    named in the clause, or, where the clause names nothing else, in this sentence or the one before. `fact` is the
    change as it would be added, `place` that of its verb, in a sentence from `first` up to `last`.
    """
    if fact.key not in _FALLS or any(time.prep not in _POINTS for time in fact.at):
        return False
    if not (fact.at or fact.every):
        return False
    left = place
    while left > first and board.items[left - 1].kind not in _BOUNDS:
        left -= 1
    right = place + 1
    while right < last and board.items[right].kind not in _BOUNDS | {"time"}:
        right += 1
    clause = board.items[left:right]
    if any(item.kind == "when" or (item.kind == "concept" and item.key not in {"lr", "lr_decay"}) for item in clause):
        return False
    if any(item.is_a("concept", "lr", "lr_decay") for item in clause):
        return True
    if any(item.kind in _STRANGE and not item.is_a("word", *_EMPTY) for item in clause):
        return False
    here = _sentence(board, board.items[place].start)
    return any(
        item.is_a("concept", "lr", "lr_decay") and _sentence(board, item.start) in {here - 1, here}
        for item in board.items
    )


def pair_factors(board: Board) -> None:
    """Give falls without a factor the one that another clause of their sentence, or a sentence beside it, states.

    A change without a time ("the drop factor is 0.2") and a bare "factor 0.2" become a value of the decay factor, which
    the schedule then takes. Where several different ones stand there, none is taken.
    """
    changes = _changes(board)
    timed = [fact for fact in changes if (fact.at or fact.every) and not fact.plateau]
    waiting = [fact for fact in timed if fact.value is None and not fact.targets]
    if not waiting or any(fact.value is not None for fact in timed):
        return
    near = {index + beside for fact in waiting for index in [_sentence(board, fact.start)] for beside in (-1, 0, 1)}
    rmsprop = any(fact.kind == "optimizer" and fact.key == "rmsprop" for fact in board.facts)
    free = [
        fact for fact in changes
        if fact not in timed
        and fact.value is not None
        and 0 < fact.value < 1
        and fact.key in _FALLS
        and not (fact.plateau or fact.targets or fact.count)
        and not (rmsprop and fact.noun)
        and _sentence(board, fact.start) in near
    ]  # fmt: skip
    bare = [place for place in _bare_factors(board) if _sentence(board, board.items[place].start) in near]
    values = {fact.value for fact in free} | {board.items[place].value for place in bare}
    if len(values) != 1:
        for fact in waiting:
            fact.disputed = bool(values)
        return
    for fact in free:
        board.facts[board.facts.index(fact)] = Fact("value", "lr_decay", fact.value, fact.start, fact.end)
    for place in bare:
        board.add("value", "lr_decay", board.items[place].value, [*range(_factor_head(board, place), place + 1)])


def _bare_factors(board: Board) -> list[int]:
    """Return the places of the numbers of every free "factor 0.2" that begins a clause."""
    found: list[int] = []
    for place in range(1, len(board.items)):
        head = _factor_head(board, place)
        item, before = board.items[place], board.items[head]
        words = board.text.plain[before.start : before.end]
        begins = head < 1 or board.items[head - 1].kind in _BEFORE_FACTOR
        if (
            board.free_number(place)
            and 0 < item.value < 1
            and before.is_a("by", "factor")
            and begins
            and any(word in words for word in _FACTORS)
        ):
            found.append(place)
    return found


def _factor_head(board: Board, place: int) -> int:
    """Return the place of the word before a number and a possible "is" or colon."""
    return place - 2 if place > 1 and board.items[place - 1].is_a("is") else place - 1


def _sentence(board: Board, start: int) -> int:
    """Return which sentence, counted from 0, a place of the text is in; a semicolon only parts clauses."""
    original, origin = board.text.original, board.text.origin
    return sum(
        item.kind == "break" and item.start < start and original[origin[item.start]] not in ";；"
        for item in board.items
    )
