"""Times: "at the 30th and 60th epoch", "every 2.4 epochs", "50% and 75% of the total", 每30轮, 第60、120轮."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from downslope.reading.items import Item
from downslope.reading.patterns import Pattern, Rules, encode

_UNITS = {"epoch": "epoch", "step": "step", "batches": "step"}
_TOTALS = {"epochs_total": "epoch", "steps_total": "step"}


@dataclass(frozen=True)
class Time:
    """One time or several.

    Attributes:
        prep: How it is meant: "at", "after", "every", "for", "first", "next", "until", "total", "between" or "".
        values: The numbers; fractions of the whole if `percent`; first and last if "between".
        unit: "epoch", "step" or "" where it is not said.
        percent: Whether they are parts of the whole training.
    """

    prep: str
    values: tuple[float, ...]
    unit: str
    percent: bool = False


def _settle(time: Time, items: Sequence[Item], index: int) -> Time:
    """Return a time with "in" decided: "in 5 epochs" is a length, "in epoch 5" and "in the 5th epoch" are points."""
    if time.prep != "in":
        return time
    numbers = [item.number for item in items[index : index + 4] if item.number]
    point = len(time.values) > 1 or time.percent or any(n.ordinal for n in numbers) or items[index + 1].kind == "unit"
    return replace(time, prep="at" if point else "for")


def find_times(items: Sequence[Item]) -> list[Item]:
    """Return the items with every time made one item of kind "time"."""
    found: list[Item] = []
    index, code = 0, encode(items)
    while index < len(items):
        time, after = _interval_at(items, code, index)
        if time is None:
            time, after = _time_at(items, code, index, found[-1] if found else None)
        if time is None:
            found.append(items[index])
            index += 1
            continue
        time = _settle(time, items, index)
        start = items[index].start
        found.append(Item("time", time.prep or "bare", start, items[after - 1].end, data=time))
        index = after
    return found


_INTERVALS = Rules(
    {
        "from the left": "lead unit=unit:epoch,step open:square low=number comma high=number close:round",
        "from the right": "lead unit=unit:epoch,step open:round low=number comma high=number close:square",
        "unit first": "lead unit=unit:epoch,step is? low=number (word:-,~|to) unit? high=number",
        "unit last": "lead low=number (word:-,~|to) at? high=number word:个? unit=unit:epoch,step",
    },
    lead="(at|for:for,first|mod:total){0,2}",
)


def _interval_at(items: Sequence[Item], code: str, index: int) -> tuple[Time | None, int]:
    """Return "epochs 31-60", "epochs [30, 60)" or 第31到60轮: the first and the last."""
    match = _INTERVALS.at(code, index)
    if match is None:
        return None, index
    low, high = (items[match[name]].value for name in ("low", "high"))
    if not (0 <= low < high < float("inf") and float(low).is_integer() and float(high).is_integer()):
        return None, index
    return Time("between", (low, high), _UNITS[items[match["unit"]].key]), match.after


_BARE = Pattern("(is? open){0,1} list=(number ((comma|and){0,2} number){1,11}) close? unit=unit:epoch,step?")


def _bare_list(items: Sequence[Item], code: str, place: int) -> tuple[tuple[float, ...], str, int] | None:
    """Return the values and unit of "30 60 90" or "[30, 60, 90]", and the place after them."""
    match = _BARE.at(code, place)
    if match is None:
        return None
    values = tuple(item.value for item in items[slice(*match.groups["list"])] if item.kind == "number")
    rising = all(one < other for one, other in pairwise(values))
    if not rising or values[0] < 2 or not all(float(value).is_integer() for value in values if value < float("inf")):
        return None
    after = match.after
    named = "unit" in match
    if not named and after < len(items) and (items[after].kind in {"unit", "word"}):
        return None
    return values, _UNITS.get(items[after - 1].key, "") if named else "", after


def _time_at(items: Sequence[Item], code: str, index: int, before: Item | None) -> tuple[Time | None, int]:
    prep, place = _preposition(items, index)
    if prep in {"at", "in"} and place < len(items) and items[place].kind in {"is", "open"}:
        listed = _bare_list(items, code, place)
        if listed is not None:
            return Time("at", *listed[:2]), listed[2]
    if place >= len(items):
        return None, index
    if prep == "every":
        return _period(items, place, index)
    told = "step" if prep == "step" else ""  # 在迭代60K和80K时
    prep = "at" if prep == "step" else prep
    item = items[place]
    unit = _unit(item)
    if (
        unit
        and item.kind == "unit"
        and item.key != "batches"
        and place + 1 < len(items)
        and (prep or not (before and before.kind == "number"))
    ):
        place += 1
        if items[place].is_a("is") and place + 1 < len(items) and prep in {"at", "in", "after", "until"}:
            place += 1
        numbers, after = _list(items, place, units=True)
        start = prep == "at" and [n.value for n in numbers] == [0]
        if (
            numbers
            and (start or _whole(numbers))
            and not (after < len(items) and _unit(items[after]) and len(numbers) == 1 and not prep)
        ):
            return Time("until" if prep == "total" else prep or "at", tuple(n.value for n in numbers), unit), after
        return None, index
    one = items[place + 1] if item.is_a("word", "training", "full") and place + 1 < len(items) else item
    if prep == "first" and one.is_a("unit", "epoch") and one.end - one.start == len("epoch"):
        return Time(prep, (1,), "epoch"), items.index(one, place) + 1  # "in the first epoch", but not "... epochs"
    if item.kind != "number" or item.number is None or item.number.value == float("inf"):
        return None, index
    if prep == "at" and before is not None and before.is_a("concept", "clip"):
        return None, index  # "gradient clipping at 5"
    chain, after = _chain(items, place)
    if chain and not (after < len(items) and _unit(items[after])):
        return Time(prep or "at", chain, ""), after
    enclosed = before is not None and before.is_a("open")
    if item.number.percent and not prep and _of_whole(items, place):
        prep = "at"
    part = item.number.percent or (item.number.fraction and not item.number.spelled)
    each = prep == "for"  # "for 300 and 40 epochs, respectively"
    listed = _bare_list(items, code, place) if prep in {"at", "in"} else None
    if listed is not None:
        return Time("at", *listed[:2]), listed[2]
    pointed = prep in {"at", "in", "after"} or enclosed or part
    numbers, after = _list(items, place, units=pointed, each=each) if prep or pointed else ([item], place + 1)
    time, last = _with_unit(items, index, prep, numbers, after)
    if time is None and told and numbers and _whole(numbers):
        return Time("at", tuple(n.value for n in numbers), told), after
    return time, last


_BEFORE_UNITS = (
    "个",
    "的",
    "training",
    "full",
    "total",
    "more",
    "additional",
    "separate",
    "further",
    "extra",
    "consecutive",
    "successive",
)


def _with_unit(
    items: Sequence[Item], index: int, prep: str, numbers: list[Item], after: int
) -> tuple[Time | None, int]:
    values = tuple(n.number.value for n in numbers if n.number)
    following = items[after] if after < len(items) else None
    while following and (
        following.is_a("word", *_BEFORE_UNITS)
        or (following.is_a("word", "-") and [n.end for n in numbers] == [following.start])  # "5-epoch"
    ):
        after += 1
        following = items[after] if after < len(items) else None
    if all(n.number and (n.number.percent or (n.number.fraction and n.number.value < 1)) for n in numbers):
        return _parts(items, index, prep, values, after)
    if (
        (prep == "next" or (prep == "for" and items[after - 1].is_a("word", "more", "further")))
        and len(values) == 1
        and values[0] >= 2
        and (
            following is None
            or following.kind in {"break", "comma", "and", "close", *(("at", "with") if values[0] >= 5 else ())}
        )
    ):
        return Time("next", values, ""), after  # "for the remaining 50"
    if following is None or not numbers:
        return None, index
    if prep == "first" and following.kind == "is" and after + 2 < len(items) and items[after + 1].kind == "number":
        whole = _unit(items[after + 2])  # "the first 2000 of 90000 iterations"
        return (Time(prep, values, whole), after) if whole and _whole(numbers) else (None, index)
    unit = _unit(following)
    many = following.is_a("concept", "batch") and following.end - following.start > 9 and prep not in {"", "at"}
    if (unit is None and not many) or not _whole(numbers):
        return None, index
    counted = len(numbers) == 1 and numbers[0].number and numbers[0].number.spelled and numbers[0].value < 10
    if counted and following.end - following.start == 1 and unit == "step" and not prep:
        return None, index  # 三次: three times
    after += 1
    if after < len(items) and items[after].is_a("word", "内") and prep in {"", "at", "in"}:
        return Time("for", values, unit or "step"), after + 1
    if after < len(items) and items[after].is_a("after") and prep in {"", "for", "at"}:
        return Time("after", values, unit or "step"), after + 1
    return Time(prep, values, unit or "step"), after


def _of_whole(items: Sequence[Item], place: int) -> bool:
    """Whether a percentage follows words for the whole training: 在训练总轮数的50%和75%处."""
    before: list[Item] = []
    for item in reversed(items[max(0, place - 6) : place]):
        if item.kind in {"comma", "break", "number"}:
            break
        before.append(item)
    whole = any(i.is_a("mod", "total") or _unit(i) or i.is_a("verb", "train") for i in before)
    return whole and any(i.is_a("at") or i.is_a("word", "的") for i in before)


def _parts(
    items: Sequence[Item], index: int, prep: str, values: tuple[float, ...], after: int
) -> tuple[Time | None, int]:
    """Return parts of the whole training, if that is what the percentages are."""
    place, unit, told = after, "", False
    while place < len(items) and place < after + 6:
        item = items[place]
        if _unit(item):
            unit, told = _unit(item) or "", True
        elif item.kind == "number" and place + 1 < len(items) and _unit(items[place + 1]):
            told, unit, place = True, _unit(items[place + 1]) or "", after
            break
        elif item.is_a("mod", "total") or item.is_a("word", "training") or item.is_a("verb", "train"):
            told = True
        elif not (
            item.is_a("is")
            or item.is_a("of_it")
            or item.is_a("word", "way", "through", "number", "的", "schedule", "progress", "time")
        ):
            break
        place += 1
    told = told or _of_whole(items, index) or prep in {"first", "next"}
    told = told or (after < len(items) and items[after].is_a("word", "处"))
    percent = all(i.number is None or i.number.percent for i in items[index:after])
    if told or (percent and prep in {"at", "in", "after"} and len(values) > 1):
        return Time(prep or "at", values, unit, percent=True), place if told else after
    return None, index


_PREPOSITIONS = 12
"""How many words in a row are taken for one preposition: "for the next approximately ..."."""


def _preposition(items: Sequence[Item], index: int) -> tuple[str, int]:
    prep = ""
    end = min(len(items), index + _PREPOSITIONS)
    while index < end:
        item = items[index]
        if item.is_a("each"):
            prep = "every"
        elif item.is_a("after", "after") and _later_phase(items, index):
            prep = "next"
        elif item.is_a("at") or item.is_a("after"):
            prep = prep if prep == "after" else {"in": "in", "step": "step"}.get(item.key, item.kind)
        elif item.is_a("for"):
            prep = item.key if prep in {"", "for", "at", "in"} else prep
        elif item.is_a("mod", "total") and prep in {"", "for"}:
            prep = "total"
        elif prep in {"", "for"} and item.is_a("mod", "final", "initial"):
            prep = "next" if item.key == "final" else "first"
        elif not (
            prep
            and item.is_a("word", "about", "around", "approximately", "roughly", "each", "约", "大约", "的", "了", "个")
        ):
            break
        index += 1
    return prep, index


def _later_phase(items: Sequence[Item], index: int) -> bool:
    """Whether 后 stands before its time and so means the later phase: 后2万次迭代."""
    item = items[index]
    before = items[index - 1] if index else None
    alone = before is None or before.kind in {"comma", "break", "and"}
    chinese = item.end - item.start <= 2  # 后 and 之后, but not "after"
    return chinese and alone and index + 1 < len(items) and items[index + 1].kind == "number"


def _period(items: Sequence[Item], place: int, index: int) -> tuple[Time | None, int]:
    item = items[place]
    value, after = 1.0, place
    if item.is_a("other"):
        value, after = 2.0, place + 1
    elif item.kind == "number" and item.number:
        value, after = item.value, place + 1
        if after < len(items) and items[after].is_a("word", "个"):
            after += 1
    unit = _unit(items[after]) if after < len(items) else None
    if unit is None or items[after].is_a("concept", "batch") or not 0 < value < float("inf"):
        return None, index
    after += 1
    if (
        after < len(items)
        and items[after].is_a("after")
        and not (after + 1 < len(items) and items[after + 1].kind == "number")
    ):
        after += 1
    return Time("every", (int(value) if float(value).is_integer() else value,), unit), after


def _list(items: Sequence[Item], place: int, *, units: bool, each: bool = False) -> tuple[list[Item], int]:
    """Return the numbers of a list such as "60, 120 and 160", and the place after them."""
    numbers: list[Item] = []
    after = place
    closed = False  # by an "and": in "30 and 60, 90 epochs", the 90 is no part of it
    while place < len(items) and items[place].kind == "number" and items[place].number:
        if numbers and not (_follows(numbers[-1], items[place]) or (each and items[place].value >= 1)):
            break
        numbers.append(items[place])
        after = place + 1
        place = after
        separators = 0
        links = closing = False
        while (
            place < len(items)
            and separators < 4
            and (
                items[place].kind in {"comma", "and", "slash"}
                or items[place].is_a("at")
                or items[place].is_a("after")
                or items[place].is_a("word", "个", "again", "then")
                or (units and items[place].kind == "unit" and _unit(items[place]) and _more_follow(items, place))
            )
        ):
            links = links or items[place].kind not in {"comma", "unit"}
            closing = closing or items[place].kind == "and"
            place += 1
            separators += 1
        if not (place < len(items) and items[place].kind == "number" and separators):
            return numbers, after
        has_unit = place + 1 < len(items) and _unit(items[place + 1]) is not None
        if closed and not links and has_unit:
            return numbers, after
        closed = closed or closing
    return numbers, after


def _chain(items: Sequence[Item], place: int) -> tuple[tuple[float, ...], int]:
    """Return the numbers of "30/60/80" or "30-60-90", and the place after them; no numbers if it is no such chain."""
    values: list[float] = []
    separator = ""
    while place < len(items) and items[place].number and items[place].kind == "number":
        value = items[place].value
        if value < 1 or not float(value).is_integer() or (values and value <= values[-1]):
            return (), place
        values.append(value)
        place += 1
        following = items[place] if place < len(items) else None
        if following is None or not (following.kind == "slash" or following.is_a("word", "-")):
            break
        if separator and following.kind != separator:
            return (), place
        separator = following.kind
        place += 1
    enough = len(values) >= 3 or (len(values) == 2 and separator == "slash" and values[0] >= 10)
    return (tuple(values), place) if enough else ((), place)


def _more_follow(items: Sequence[Item], place: int) -> bool:
    """Whether a unit within a list is followed by another number with the same unit ("30 epochs and 60 epochs")."""
    kinds = [item.kind for item in items[place + 1 : place + 4]]
    if kinds[:1] == ["number"]:
        return True
    if (
        kinds[:2] in (["and", "number"], ["comma", "number"])
        or kinds in (["and", "at", "number"], ["and", "unit", "number"])
        or (kinds == ["comma", "at", "number"] and items[place + 1].key == "、")
    ):
        number = next(place + 1 + offset for offset, kind in enumerate(kinds) if kind == "number")
        after = items[number + 1 : number + 2]
        return "unit" in kinds or not after or _unit(after[0]) == _unit(items[place])
    return False


def _follows(one: Item, other: Item) -> bool:
    return bool(
        one.number
        and other.number
        and one.number.value < other.number.value
        and one.number.percent == other.number.percent
        and one.number.fraction == other.number.fraction
    )


def _whole(numbers: Sequence[Item]) -> bool:
    return all(
        n.number is not None and 0 < n.number.value < float("inf") and not n.number.percent
        and (n.number.value >= 1 or n.number.value == 0.5)
        for n in numbers
    )  # fmt: skip


def _unit(item: Item) -> str | None:
    if item.kind == "unit":
        return _UNITS.get(item.key)
    return _TOTALS.get(item.key) if item.kind == "concept" else None
