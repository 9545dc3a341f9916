"""Falls of the learning rate that are told with their times but no factor, and factors told apart from them."""

from __future__ import annotations

import re

from downslope.reading.facts import Board, Value
from downslope.reading.items import Item
from downslope.reading.schedule_facts import Change

_FALLS = frozenset({"reduce", "divide", "multiply"})
_POINTS = frozenset({"at", "after", ""})
_BOUNDS = frozenset({"comma", "break", "open", "close", "and"})
_STRANGE = frozenset({"unit", "target", "word", "no", "optimizer"})
_EMPTY = ("时", "处", "的", "了")
_BEFORE_FACTOR = frozenset({"number", "comma", "break", "open", "and", "with"})
_FACTORS = ("factor", "ratio", "因子", "系数", "倍率")


_OF_AN_AVERAGE = re.compile(r"\bema\b|moving average|[移滑]动平均")
_OF_A_MOMENT = re.compile(r"moment(?!um)|[β矩]")


def rate_of(board: Board, item: Item) -> str:
    """Return whose a decay rate is, if not the learning rate's: "ema", "moment", or "": 移动平均, 其衰减率为0.9999."""
    clauses = board.text.plain[max(0, item.start - 20) : item.start].split(",")
    before = ",".join(clauses[-2:]) if clauses[-1].strip() == "其" else clauses[-1]
    own = item.is_a("concept", "lr_decay") and "学习率" not in board.plain(item)
    if not own or "learning" in before:
        return ""
    return "ema" if _OF_AN_AVERAGE.search(before) else "moment" if _OF_A_MOMENT.search(before) else ""


def tells_a_fall(board: Board, fact: Change, place: int, first: int, last: int) -> bool:
    """Whether a verb with times and no factor tells of a fall of the learning rate.

    It does if the verb is one of falling, all its times are points or periods, and its subject is the learning rate:
    named in the clause, or, where the clause names nothing else, in this sentence or the one before. `fact` is the
    change as it would be added, `place` that of its verb, in a sentence from `first` up to `last`.
    """
    if fact.key not in _FALLS or any(time.prep not in _POINTS for time in fact.at):
        return False
    if not (fact.at or fact.every) or (
        fact.every and not fact.at and fact.every.values == (1,) and fact.every.unit == "step"
    ):
        return False  # that it falls with each step is no schedule
    left = place
    label = "" if board.text.chinese else ":"
    while left > first and board.items[left - 1].kind not in _BOUNDS and board.plain(board.items[left - 1]) != label:
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
    changes = [fact for fact in board.facts if isinstance(fact, Change)]
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
        board.facts[board.facts.index(fact)] = Value("value", "lr_decay", fact.value, fact.start, fact.end)
    for place in bare:
        board.note(Value("value", "lr_decay", board.items[place].value), range(_factor_head(board, place), place + 1))


def _bare_factors(board: Board) -> list[int]:
    """Return the places of the numbers of every free "factor 0.2" that begins a clause."""
    found: list[int] = []
    for place in range(1, len(board.items)):
        head = _factor_head(board, place)
        item, before = board.items[place], board.items[head]
        words = board.plain(before)
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
