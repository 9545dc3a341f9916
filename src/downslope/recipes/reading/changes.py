"""How the learning rate changes, by the verbs that say so: divided, multiplied, reduced, halved, by how much and when.

What lives here: a verb with its arguments, to its right and, as Chinese and some English have it, to its left. What does
not: single values (`values.py`) and what several changes add up to (`schedules.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from downslope.recipes.reading.facts import Board
from downslope.recipes.reading.items import Item
from downslope.recipes.reading.times import Time

_VERBS = frozenset({"divide", "multiply", "reduce", "halve", "decimate", "increase"})
_RATES = frozenset({"lr", "lr_decay"})
_LAX = frozenset({"lr", "lr_decay", "epochs_total", "steps_total", "patience"})


@dataclass
class _Frame:
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
    plateau: bool = False
    metric: str = ""
    patience: int | None = None
    shape: str = ""
    count: int | None = None


def find_changes(board: Board) -> None:
    """Add a fact for every change of the learning rate."""
    for first, last in board.sentences():
        previous = first
        for place in range(first, last):
            item = board.items[place]
            head = item.kind == "verb" and item.key in _VERBS
            stepped = item.is_a("schedule", "multistep", "exponential") and place + 1 < last and board.items[place + 1].kind == "by"
            noun = item.is_a("concept", "lr_decay")
            if not (head or noun or stepped) or (place in board.used and not stepped):
                continue
            if head and not _is_about_lr(board, first, place, last):
                continue
            frame = _Frame("reduce" if noun or stepped else item.key, {place}, shape=item.key if stepped else "")
            after = _rightwards(board, frame, place + 1, last, noun=noun)
            if not frame.at and not frame.plateau:
                _leftwards(board, frame, place - 1, previous)
            if frame.amount is None and not frame.targets and not noun:
                _amount_before(board, frame, place, first)
            if not frame.plateau:
                _condition(board, frame, first, last, previous, place)
            _add(board, frame, noun=noun)
            previous = max(previous, after)
    _spread(board)


def _spread(board: Board) -> None:
    """Give milestones that no verb took to the change that has no time, or make a change of them alone."""
    for place, item in enumerate(board.items):
        if item.kind != "time" or place in board.used or item.data.prep not in {"at", "after"} or len(item.data.values) < 2:
            continue
        open_changes = [
            fact for fact in board.facts
            if fact.kind == "change" and fact.value is not None and not (fact.extra["at"] or fact.extra["every"] or fact.extra["plateau"])
        ]  # fmt: skip
        board.used.add(place)
        if open_changes:
            open_changes[0].extra["at"].append(item.data)
            open_changes[0].extra["noun"] = False
            continue
        board.add(
            "change", "reduce", None, [place], targets=[], at=[item.data], every=None, over=None, plateau=False, metric="",
            patience=None, shape="", count=None, noun=False,
        )  # fmt: skip


def _is_about_lr(board: Board, first: int, place: int, last: int) -> bool:
    """Whether a verb is the learning rate's: unless its nearest subject or object is another's."""
    for right in range(place + 1, min(last, place + 3)):
        item = board.items[right]
        if item.kind in {"concept", "when", "other"} and not item.is_a("when", "plateau"):
            return item.key in _RATES or (item.kind == "when" and item.key.startswith("metric") and False)
        if item.kind in {"number", "time", "by", "to", "comma", "and"}:
            break
    for left in range(place - 1, first - 1, -1):
        item = board.items[left]
        if item.kind == "number" and place - left == 1:
            owners = [board.items[p] for p in range(left - 1, max(first - 1, left - 4), -1)]
            owner = next((o for o in owners if o.kind in {"concept", "comma"}), None)
            return owner is None or owner.kind != "concept" or owner.key in _RATES
        if item.kind == "number" or item.kind == "time":
            return True
        if item.is_a("concept", "lr", "lr_decay", "warmup"):
            return True
        if item.kind == "concept" and item.key in {"weight_decay", "l2", "momentum", "batch", "other", "dampening", "clip"}:
            return any(board.items[p].is_a("concept", "lr") for p in range(left - 1, max(first - 1, left - 5), -1)) or (
                any(board.items[p].kind == "comma" for p in range(left, place))
            )
    return True


def _rightwards(board: Board, frame: _Frame, place: int, last: int, *, noun: bool) -> int:
    items = board.items
    preposition = "is" if noun else ""
    while place < last:
        item = items[place]
        if item.kind == "number" and place not in board.used and item.number:
            if not _take_number(board, frame, place, preposition):
                break
            preposition = ""
        elif item.kind == "time":
            if not _take_time(board, frame, place):
                break
            preposition = ""
        elif item.kind == "when":
            frame.plateau = frame.plateau or item.key == "plateau"
            frame.metric = frame.metric or item.key.removeprefix("metric_") * item.key.startswith("metric_")
            frame.places.add(place)
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
            if item.key == "train" or frame.amount or frame.targets or frame.places - {place} and frame.at:
                break
            if item.key in {"divide", "multiply", "halve"} and frame.verb in {"reduce", "increase"}:
                frame.verb = item.key
                frame.places.add(place)
            elif item.key in _VERBS and preposition in {"by", ""}:
                frame.verb = item.key if frame.verb == "reduce" else frame.verb
            else:
                break
        elif item.kind == "concept":
            if item.key not in _LAX or (item.key == "lr" and _asserts(items, place, last)):
                break
            if item.key == "lr_decay":
                preposition = "by"
        elif item.kind in {"optimizer", "target", "no"} or (item.is_a("mod", "initial") and _asserts(items, place, last)):
            break
        place += 1
    return place


def _asserts(items: list[Item], place: int, last: int) -> bool:
    """Whether "learning rate" is followed by a value of its own, and so begins another statement."""
    return any(item.kind == "number" for item in items[place + 1 : min(last, place + 4)]) and not any(
        item.kind in {"by", "each", "verb"} for item in items[place + 1 : min(last, place + 4)]
    )


def _take_number(board: Board, frame: _Frame, place: int, preposition: str) -> bool:
    """Use a number as what it is to the verb; False if it is not the verb's."""
    item, items = board.items[place], board.items
    number = item.number
    assert number is not None  # noqa: S101 - the caller has looked
    following = items[place + 1] if place + 1 < len(items) else None
    if following is not None and following.is_a("unit", "times"):
        if preposition == "for" or (frame.amount is not None or frame.verb == "divide") or number.spelled and preposition != "by":
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
            value = items[after + 1].number.value  # pyright: ignore[reportOptionalMemberAccess]
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
        if number.fraction or number.times or (number.percent and number.value > 0) or (following and following.kind == "of_it"):
            frame.amount, frame.how, frame.ratio = item, "ratio", True
        else:
            frame.targets.append(item)
        frame.places.add(place)
        return True
    if frame.targets and not frame.amount and preposition in {"", "is"} and number.value < 10 and not number.spelled:
        frame.targets.append(item)
        frame.places.add(place)
        return True
    if frame.amount is None and not frame.targets and (not number.spelled or number.fraction or preposition == "by" or number.times):
        left = items[place - 1]
        if left.kind == "comma" and preposition not in {"by", "is"}:
            return False
        frame.amount, frame.how = item, preposition or "direct"
        frame.places.add(place)
        return True
    return False


def _take_time(board: Board, frame: _Frame, place: int) -> bool:
    item = board.items[place]
    time: Time = item.data
    comma = place and board.items[place - 1].kind == "comma"
    if time.prep == "every":
        if frame.every is not None:
            return False
        frame.every = time
    elif time.prep in {"at", "after", "until"} or (not time.prep and len(time.values) > 1):
        frame.at.append(time)
    elif time.prep in {"for", "first", "next"} and (frame.targets or frame.shape) and not frame.at and not frame.every:
        frame.over = time
    elif frame.plateau and not frame.patience and time.unit == "epoch" and not comma:
        frame.patience = int(time.values[0])
    else:
        return False
    frame.places.add(place)
    board.used.add(place)
    return True


def _leftwards(board: Board, frame: _Frame, place: int, first: int) -> None:
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
        if item.kind == "verb" or (item.kind == "concept" and item.key not in _LAX):
            return
        if item.kind == "number" and item.number and not item.number.spelled:
            comma = [p for p in range(place, place + 6) if p < len(board.items) and board.items[p].kind == "comma"]
            before = board.items[place - 1] if place else None
            if not comma and not (before and before.is_a("at")):
                return
            if before and before.is_a("at") and item.number.value >= 2 and place not in board.used:
                frame.at.append(Time("at", (item.number.value,), ""))
                frame.places.add(place)
                board.used.add(place)
                return
            return
        place -= 1


def _amount_before(board: Board, frame: _Frame, place: int, first: int) -> None:
    """Take an amount told before the verb: 以0.94的指数速率衰减, "with a factor of 0.1 decayed"."""
    named = False
    for left in range(place - 1, max(first - 1, place - 6), -1):
        item = board.items[left]
        if item.kind == "number":
            if named and board.free_number(left) and item.number and not item.number.spelled:
                frame.amount, frame.how, frame.verb = item, "by", "multiply" if frame.verb == "reduce" and item.number.value < 1 and not item.number.percent else frame.verb
                frame.places.add(left)
            return
        if item.is_a("by") or item.is_a("schedule", "exponential") or item.is_a("concept", "lr_decay") or item.is_a("word", "的", "速", "率"):
            named = named or item.kind != "word"
        elif item.kind not in {"word", "is"}:
            return


def _condition(board: Board, frame: _Frame, first: int, last: int, previous: int, place: int) -> None:
    """Take a plateau that is told before the verb: "once perplexity stops improving, we reduce ..."."""
    for left in range(place - 1, previous - 1, -1):
        item = board.items[left]
        if item.is_a("when", "plateau") and left not in board.used:
            frame.plateau = True
            frame.places.add(left)
            board.used.add(left)
        elif item.kind == "when" and frame.plateau and not frame.metric:
            frame.metric = item.key.removeprefix("metric_")
        elif frame.plateau and item.kind == "time" and left not in board.used and item.data.prep in {"", "for", "after"}:
            frame.patience = int(item.data.values[0])
            frame.at = [time for time in frame.at if time is not item.data]
            board.used.add(left)
    if frame.plateau and frame.at and not frame.patience and frame.at[0].prep != "at" and len(frame.at[0].values) == 1:
        frame.patience, frame.at = int(frame.at[0].values[0]), []


def factor_of(frame_verb: str, value: float, *, how: str, percent: bool, fraction: bool, times: bool) -> float | None:
    """Return what a change multiplies by, or None if its number cannot be one.

    Args:
        frame_verb: "divide", "multiply", "reduce" or "increase".
        value: The number; a percentage as a fraction.
        how: "ratio" if it is "to VALUE of what it was".
        percent: Whether it is in per cent.
        fraction: Whether it is written as a fraction (1/10).
        times: Whether "x" or 倍 follows.

    Example:
        >>> factor_of("divide", 10, how="by", percent=False, fraction=False, times=False)
        0.1
        >>> round(factor_of("reduce", 0.04, how="by", percent=True, fraction=False, times=False), 9)
        0.96
        >>> factor_of("reduce", 0.1, how="by", percent=False, fraction=False, times=False)
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


def _add(board: Board, frame: _Frame, *, noun: bool) -> None:
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
            fraction=number.fraction,
            times=number.times,
        )
    elif frame.magnitude:
        factor = 1 / frame.magnitude
    elif frame.verb == "halve":
        factor = 0.5
    elif frame.verb == "decimate":
        factor = 0.1
    targets = [item.number.value for item in frame.targets if item.number]
    if noun and factor is None:
        return
    if factor is None and not targets and not (frame.plateau or frame.count) and not frame.shape:
        return
    if factor is None and not targets and frame.shape and not (frame.at or frame.every):
        frame.places = {place for place in frame.places if board.items[place].kind in {"verb", "schedule", "time"}}
    extra: dict[str, Any] = {
        "targets": targets,
        "target_places": [(item.start, item.end) for item in frame.targets],
        "at": frame.at,
        "every": frame.every,
        "over": frame.over,
        "plateau": frame.plateau,
        "metric": frame.metric,
        "patience": frame.patience,
        "shape": frame.shape,
        "count": frame.count,
        "noun": noun,
        "by_text": _span(board, frame.amount),
    }
    board.add("change", frame.verb, factor, sorted(frame.places), **extra)


def _span(board: Board, item: Item | None) -> tuple[int, int] | None:
    return (item.start, item.end) if item is not None else None
