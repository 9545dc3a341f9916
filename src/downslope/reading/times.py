"""Times: "at the 30th and 60th epoch", "every 2.4 epochs", "50% and 75% of the total", 每30轮, 第60、120轮."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from downslope.reading.items import Item
from downslope.reading.patterns import Match, Pattern, Rules, encode

_UNITS = {"epoch": "epoch", "step": "step", "batches": "step", "epochs_total": "epoch", "steps_total": "step"}
_PARTS = {
    "unit": "(unit:epoch,step,batches|concept:epochs_total,steps_total)",
    "plain": "unit:epoch,step",
    "changed": "(verb:divide,multiply,reduce,halve|star)",
}
_LEAD = "(at|for:for,first|mod:total){0,2}"
_INTERVALS = Rules(
    {
        "from the left": "lead unit=plain open:square low=number comma high=number close:round",
        "from the right": "lead unit=plain open:round low=number comma high=number close:square",
        "unit first": "lead unit=plain is? low=number (word:-,~|to) plain? high=number",
        "unit last": "lead low=number (word:-,~|to) at? high=number word:个? unit=plain",
    },
    lead=_LEAD,
    **_PARTS,
)
_FROM_TO = Pattern("word:between before=plain? low=number and high=number after=plain?", **_PARTS)
_BETWEEN = Pattern("lead low=number word:<,≤ is? unit=plain word:<,≤ is? high=number word:时?", lead=_LEAD, **_PARTS)
_BOUND = Pattern("lead unit=plain (below=word:<,≤|above=word:>,≥) is? value=number when=word:时?", lead=_LEAD, **_PARTS)
_GIVEN = Pattern("(for:for|open|number|word:if,when,while,where)")
_STEP_OF = Pattern(
    "schedule:multistep (word|concept:lr|open|with|comma|is|concept:gamma|number){0,5} step=unit:step "
    "is? number ((comma|and) (concept|word)|close|break)"
)
_GIVEN_VALUE = Pattern("(word:can,should,could,may,was? is{1,3}) number")
_PERIOD = Rules(
    {
        "every 30 of 100 epochs": "number=number is number unit=unit",
        "every 2 epochs": "number=number word:个? unit=unit",
        "every other epoch": "other=other unit=unit",
        "every epoch": "unit=unit",
        "every 3M samples": "number=number unit=unit:example",
        "every 50,000 minibatches": "number=number many=concept:batch",
        "每30个": "number=number word:个 (verb:reduce,multiply,divide,halve|comma|concept:lr)",
        "每100k迭代": "number=number word:个? unit=verb:train",
    },
    **_PARTS,
)
_BARE = Pattern("(is? open)? list=(number ((comma|and){0,2} number){1,11}) close? unit=plain?", **_PARTS)
_PER = Pattern("number slash open? unit=unit:epoch,step close?")
_PER_MANY = Pattern("number slash number unit=unit:epoch,step")
_RATED = Pattern("star number slash every=number unit=unit:epoch,step")
_FIRST_ONE = Pattern("word:training,full? unit=unit:epoch")
_CHAIN = Rules({"slashes": "number (slash number){1,11}", "dashes": "number (word:- number){2,11}"})
_SIGNED_LIST = Pattern("number (comma (star|slash) number (at|after) number){1,5} unit=plain", **_PARTS)
_NEXT = Pattern("between=((comma|and|slash|at|after|word:个,again,then|plain is?){1,4}) number=number", **_PARTS)
_FILLERS = Pattern(
    "word:个,的,training,full,total,more,additional,separate,further,extra,consecutive,successive{0,3} "
    "(for:next word:的?|mod:initial)?"
)
_LISTED = Pattern(
    "number (comma number){1,9} plain (word:时|at)? (comma|word:时|concept:lr|is|each){0,4} changed", **_PARTS
)
_EACH_LISTED = Pattern("number plain (comma number plain){1,6} (after|word:时|at)", **_PARTS)
_OF_TOTAL = Pattern("is number unit", **_PARTS)
_WHOLE_AFTER = Rules(
    {
        "the number of epochs": "part{0,5} (unit|total) (unit|part|total){0,5}",
        "200 epochs": "part{0,5} number unit=unit",
        "here": "word:处",
    },
    total="(mod:total|word:training|verb:train)",
    part="(is|of_it|word:way,through,number,的,schedule,progress,time,training)",
    **_PARTS,
)


@dataclass(frozen=True)
class Time:
    """One time or several.

    Attributes:
        prep: How it is meant: "at", "after", "every", "for", "first", "next", "until", "total", "between" or "".
        values: The numbers; fractions of the whole if `percent`; first and last if "between".
        unit: "epoch", "step", of a period also "example", or "" where it is not said.
        percent: Whether they are parts of the whole training.
        more: Whether it is counted from the time before it: 再经过1万次后.
        last: Whether it is the last part of the training: 最后50轮.
    """

    prep: str
    values: tuple[float, ...]
    unit: str
    percent: bool = False
    more: bool = False
    last: bool = False


_LISTED_COUNT = ["number", "comma"]
_SEVERAL = (["number", "comma", "number"], ["number", "and", "number"])
_CLOSING = frozenset({"break", "comma", "and", "open", "close", "verb", "at"})


def find_times(items: Sequence[Item]) -> list[Item]:
    """Return the items with every time made one item of kind "time"."""
    found: list[Item] = []
    code = encode(items)
    items = [_as_key(items, code, place) for place in range(len(items))]
    index, code = 0, encode(items)
    bounded = any(item.is_a("word", "<", "≤", ">", "≥") for item in items)
    while index < len(items):
        told = (
            _interval_at(items, code, index)
            or (_bound_at(items, code, index) if bounded else None)
            or _time_at(items, code, index)
            or _again(items, index, found)
        )
        if told is None:
            found.append(items[index])
            index += 1
            continue
        time, after = told
        if time.prep == "next" and items[index].is_a("mod", "final") and len(time.values) == 1 and not time.percent:
            time = replace(time, last=True)
        found.append(Item("time", time.prep or "bare", items[index].start, items[after - 1].end, data=time))
        index = after
    return found


def _again(items: Sequence[Item], index: int, before: Sequence[Item]) -> tuple[Time, int] | None:
    """Return a time without its unit after one with it: "to 0.01 after 20 epochs, and after 40 to 0.001"."""
    prep, place = _preposition(items, index)
    earlier = next((item.data for item in reversed(before[-14:]) if item.kind == "time"), None)
    after = items[place + 1] if place + 1 < len(items) else None
    rated = (
        prep == "for" and bool(before) and before[-1].kind == "number" and before[-1].value < 1
    )  # "0.1 for 30 epochs, 0.01 for 30"
    if earlier is None or not (rated or prep in {"at", "after", "until"}) or earlier.prep != prep or earlier.percent:
        return None
    number = items[place] if place < len(items) else None
    least = 1 if rated else earlier.values[-1]
    later = number is not None and number.kind == "number" and least < number.value < 1e9
    if not later or number is None or not float(number.value).is_integer():
        return None
    ends = after is None or after.kind in {"comma", "break", "close", "to"} or (rated and after.kind in {"for", "and"})
    return (Time(prep, (number.value,), earlier.unit), place + 1) if ends else None


def _as_key(items: Sequence[Item], code: str, place: int) -> Item:
    """Return the item at a place; of a unit that is a key, "bs=128 epochs=200", the concept; of 最初设为 "initial"."""
    item, after = items[place], items[place + 1 : place + 3]
    if item.is_a("for", "first") and [i.kind for i in after] == ["is", "number"]:
        return replace(item, kind="mod", key="initial")
    begins = place > 0 and items[place - 1].kind in {"comma", "break", "is", "open"}
    listed = [i.kind for i in items[place + 3 : place + 5]] in (["number", "close"], ["number", "comma"])
    if (
        begins
        and not (listed and items[place + 3].value > items[place + 1].value)  # "0.1 -> 0.01 (epochs 80, 120)"
        and item.is_a("unit", "epoch")
        and item.end - item.start == 6
        and [i.kind for i in after] == _LISTED_COUNT
    ):
        return replace(item, kind="concept", key="epochs_total")  # "epochs 100, batch 16"
    listed = place > 2 and items[place - 1].kind == "and" and items[place - 2].kind == "number"
    listed = listed and any(i.is_a("concept", "batch") for i in items[place - 4 : place - 2])
    if listed and item.is_a("unit", "epoch") and [i.kind for i in after] in (["number", "break"], ["number"]):
        return replace(item, kind="concept", key="epochs_total")  # "with batch size 64 and epoch 300"
    stepped = [_STEP_OF.at(code, left) for left in range(max(0, place - 6), place)] if item.is_a("unit", "step") else []
    if item.end - item.start == 4 and any(match is not None and match["step"] == place for match in stepped):
        return replace(item, kind="concept", key="lr_every")  # "StepLR (step 8, gamma 0.1)"
    if not item.is_a("unit", "epoch", "step") or [i.kind for i in after] != ["is", "number"] or place < 2:
        return item
    sign, number = after
    valued = items[place - 1].kind == "number" and items[place - 2].kind in {"is", "concept"}
    written = sign.end - sign.start == 1 and item.end == sign.start and float(number.value).is_integer()
    return replace(item, kind="concept", key=f"{item.key}s_total") if valued and written else item


def _interval_at(items: Sequence[Item], code: str, index: int) -> tuple[Time, int] | None:
    """Return "epochs 31-60", "epochs [30, 60)" or 第31到60轮: the first and the last."""
    match = _FROM_TO.at(code, index) if items[index].key == "between" else _INTERVALS.at(code, index)
    if match is None:
        return None
    low, high = (items[match[name]].value for name in ("low", "high"))
    told = next((_UNITS[items[match[name]].key] for name in ("unit", "before", "after") if name in match), "")
    counted = float(low).is_integer() and float(high).is_integer() and bool(told or low >= 1000)
    if not (0 <= low < high < float("inf") and counted):
        return None
    return Time("between", (low, high), told), match.after


def _bound_at(items: Sequence[Item], code: str, index: int) -> tuple[Time, int] | None:
    """Return "40k <= step < 60k", or "step < 40k" and "epoch >= 60" where they are a condition: "if epoch < 30"."""
    match = _BETWEEN.at(code, index)
    values = (items[match["low"]].value, items[match["high"]].value) if match is not None else ()
    prep = "between"
    if match is None and (match := _BOUND.at(code, index)) is not None:
        if not ("when" in match or (index and _GIVEN.at(code, index - 1) is not None)):
            return None
        prep, values = "until" if "below" in match else "after", (items[match["value"]].value,)
    if match is None or not all(1 <= one < float("inf") and float(one).is_integer() for one in values):
        return None
    return Time(prep, values, _UNITS[items[match["unit"]].key]), match.after


def _time_at(items: Sequence[Item], code: str, index: int) -> tuple[Time, int] | None:
    per = _PER.at(code, index - 1) if index and items[index].kind == "slash" else None
    if per is not None and items[index - 1].value < 1:
        return Time("every", (1,), _UNITS[items[per["unit"]].key]), per.after  # "decay 0.95/epoch"
    many = _PER_MANY.at(code, index - 1) if index and items[index].kind == "slash" else None
    if many is not None and 0.5 <= items[index - 1].value < 1 and items[index - 1].end + 1 == items[index + 1].start:
        return Time("every", (items[index + 1].value,), _UNITS[items[many["unit"]].key]), many.after  # 0.95/5000步
    rated = _RATED.at(code, index - 2) if index > 1 and items[index].kind == "slash" else None
    if rated is not None and items[index - 1].value < 1 <= items[rated["every"]].value:
        return Time("every", (items[rated["every"]].value,), _UNITS[items[rated["unit"]].key]), rated.after
    prep, place = _preposition(items, index)
    if place >= len(items):
        return None
    if prep == "every":
        return _period(items, code, place)
    counted = "step" if prep == "step" else ""  # 在迭代60K和80K时
    prep = "at" if prep == "step" else prep
    item, before = items[place], items[index - 1] if index else None
    stepped = not prep and before is not None and before.is_a("schedule", "multistep")
    if stepped and item.kind == "number" and 2 <= item.value < 1e7 and float(item.value).is_integer():
        following = items[place + 1] if place + 1 < len(items) else None
        if (
            following is None
            or following.kind in {"break", "with"}
            or (following.kind == "comma" and not _goes_on(items, place))
        ):
            return Time("every", (item.value,), ""), place + 1  # "StepLR 30"
    bracketed = prep == "after" and item.kind == "open"  # "after (30, 50, 60) epochs"
    alone = not prep and item.kind == "open"  # "a schedule of [60, 120, 160] epochs"
    listed = _bare_list(items, code, place) if prep in {"at", "in"} or stepped or bracketed or alone else None
    if listed is not None and (not alone or (listed[0].unit and items[listed[1] - 2].kind == "close")):
        return listed
    if prep == "next" and (each := _so_many_each(items, place)) is not None:
        return each
    if prep in {"at", "after"} and item.is_a("concept", "epochs_total", "steps_total"):  # "at training epochs 30, 60"
        return _unit_first(items, code, prep, place)
    if item.is_a("unit", "epoch", "step") and (prep or not (before and before.kind == "number")):
        return _unit_first(items, code, prep, place) or _first_one(items, code, prep, place)
    if (
        item.kind != "number"
        or item.value == float("inf")
        or (prep == "at" and before and before.is_a("concept", "clip"))
    ):
        return _first_one(items, code, prep, place)
    product = [item.kind for item in items[max(0, index - 2) : index]] == ["star", "open"]  # 0.1*(128/256)
    chain = None if product or (before is not None and before.kind == "slash") else _CHAIN.at(code, place)
    values = _rising(items, chain) if chain is not None and not _unit(items, chain.after) else ()
    if chain is not None and (len(values) > 2 or min(values, default=0) >= 10):
        return Time(prep, values, ""), chain.after
    number = item.number
    part = number is not None and (number.percent or (number.fraction and not number.spelled))
    if part and not prep and before is not None and before.kind == "by":
        return None  # "by 1/10 at 1/2 and 3/4 of training"
    if number is not None and (number.percent or number.fraction) and not prep and _of_whole(items, place):
        prep = "at"
    pointed = prep in {"at", "in", "after"} or (before is not None and before.kind == "open") or part
    numbers, after = [item], place + 1
    signed = _SIGNED_LIST.at(code, place) if prep in {"at", "after"} else None
    if signed is not None and _whole(numbers):
        return Time(
            prep, (item.value,), _UNITS[items[signed["unit"]].key]
        ), after  # "x0.1 after 80, x0.01 after 120 epochs"
    listed = any(pattern.at(code, place) for pattern in (_LISTED, _EACH_LISTED))  # 25、50epoch时, 15轮、25轮后
    if prep or pointed or listed:
        prep, pointed = prep or ("at" if listed else ""), pointed or listed
        numbers, after = _list(items, code, place, units=pointed, each=prep == "for")
    found = _with_unit(items, code, index, prep, numbers, after)
    closed = after >= len(items) or items[after].kind in _CLOSING or items[after].is_a("concept", "lr")
    if (
        found is None
        and prep in {"at", "after", "for", "next", "first"}
        and numbers[0].value >= 1000
        and closed
        and _whole(numbers)
    ):
        return Time(prep, tuple(n.value for n in numbers), ""), after  # "at 210k and at 250k the learning rate"
    if found is None and counted and _whole(numbers):
        return Time("at", tuple(n.value for n in numbers), counted), after
    if found is not None and found[0].prep == "" and all(n.number and n.number.ordinal for n in numbers):
        return replace(found[0], prep="at"), found[1]  # "10th epoch" is no length
    if found is None or found[0].prep != "in":
        return found
    # "in 5 epochs" is a length, "in the 5th epoch" a point
    point = len(found[0].values) > 1 or found[0].percent or any(n.number and n.number.ordinal for n in numbers)
    return replace(found[0], prep="at" if point else "for"), found[1]


def _so_many_each(items: Sequence[Item], place: int) -> tuple[Time, int] | None:
    """Return "two 30k iterations" as two times: "10^-4 and 10^-5 for the next two 30k iterations"."""
    spelled = [item.number is not None and item.number.spelled for item in items[place : place + 2]]
    unit = _unit(items, place + 2)
    if spelled != [True, False] or not unit or items[place].value not in {2, 3, 4} or not items[place + 1].value >= 1:
        return None
    return Time("next", (items[place + 1].value,) * int(items[place].value), unit), place + 3


def _goes_on(items: Sequence[Item], place: int) -> bool:
    """Whether a number follows the comma behind a place, of the same list."""
    return place + 2 < len(items) and items[place + 2].kind == "number" and not _unit(items, place + 3)


def _bare_list(items: Sequence[Item], code: str, place: int) -> tuple[Time, int] | None:
    """Return "at 30 60 90" or "at [30, 60, 90]"."""
    match = _BARE.at(code, place)
    values = _rising(items, match) if match is not None else ()
    if match is None or not values or values[0] < 2:
        return None
    unit = _UNITS[items[match["unit"]].key] if "unit" in match else ""
    behind = items[match.after] if match.after < len(items) else None
    whole = unit and items[match.after - 3].kind == "comma" and items[match.after - 1].kind == "unit"
    joined = len(values) > 2 and any(item.kind == "and" for item in items[match.first : match.after - 3])
    if whole and (joined or (behind is not None and behind.is_a("mod", "total"))):
        return Time("at", values[:-1], unit), match.after - 3  # "at 100, 150, 200 epochs total", "at 1 and 2, 3 epochs"
    if (
        not unit
        and behind is not None
        and behind.kind in {"unit", "word"}
        and not behind.is_a("word", "处", "时", "but", "while", "|")
    ):
        return None
    behind = items[match.after] if unit and match.after < len(items) else None
    later = behind is not None and behind.is_a("after") and behind.end - behind.start <= 2  # 在20k、30k次迭代后
    return Time("at", values, unit), match.after + later


def _rising(items: Sequence[Item], match: Match) -> tuple[float, ...]:
    """Return the numbers of a match if they are whole and rise, else none."""
    values = tuple(item.value for item in items[match.first : match.after] if item.kind == "number")
    whole = all(1 <= value < float("inf") and float(value).is_integer() for value in values)
    widths = len(values) > 2 and all(2 * one == other for one, other in pairwise(values))  # 64/128/256/512 channels
    return values if whole and not widths and all(one < other for one, other in pairwise(values)) else ()


def _unit_first(items: Sequence[Item], code: str, prep: str, place: int) -> tuple[Time, int] | None:
    """Return "epochs 30 and 60", "at epoch = 30"."""
    start = place + 1
    if not prep and place > 1 and items[place - 1].kind in {"and", "comma"} and items[place - 2].kind == "concept":
        return None  # "batch size and epochs are 32 and 100"
    several = [item.kind for item in items[start + 1 : start + 4]] in _SEVERAL
    if start < len(items) and items[start].is_a("is") and (prep in {"at", "in", "after", "until"} or several):
        start += 1
    opened = start + 2 < len(items) and items[start].is_a("open", "[", "{", "(") and items[start + 2].kind == "comma"
    start += opened  # "at epochs [30, 60]"
    if start >= len(items) or items[start].kind != "number":
        return None
    numbers, after = _list(items, code, start, units=True)
    if opened:
        if len(numbers) < 2 or after >= len(items) or items[after].kind != "close":
            return None
        after += 1
    if len(numbers) > 1 and _unit(items, after) and items[after - 2].kind == "comma":
        numbers, after = numbers[:-1], after - 2  # "at epoch 80, 100 epochs"
    zero = prep == "at" and numbers[0].value == 0 and (opened or len(numbers) == 1)
    if not (_whole(numbers[zero:])) or (_unit(items, after) and len(numbers) == 1 and not prep):
        return None
    unit = _UNITS[items[place].key]
    if not prep and len(numbers) > 1 and unit == "step" and numbers[-1].value < 1000:
        unit = ""  # of a scheduler: "step 30/60/80, 90 epochs"
    prep = {"total": "until", "in": "at"}.get(prep, prep or "at")
    return Time(prep, tuple(n.value for n in numbers), unit), after


def _first_one(items: Sequence[Item], code: str, prep: str, place: int) -> tuple[Time, int] | None:
    """Return "in the first epoch", but not "in the first epochs"."""
    match = _FIRST_ONE.at(code, place) if prep == "first" else None
    if match is None or items[match["unit"]].end - items[match["unit"]].start != len("epoch"):
        return None
    return Time(prep, (1,), "epoch"), match.after


def _with_unit(
    items: Sequence[Item], code: str, index: int, prep: str, numbers: list[Item], after: int
) -> tuple[Time, int] | None:
    values = tuple(n.value for n in numbers)
    fillers = _FILLERS.at(code, after)
    if fillers is not None:
        later = any(item.is_a("for", "next") for item in items[after : fillers.after])
        prep, after = "next" if later and not prep else prep, fillers.after  # "40k subsequent iterations"
    if (
        after < len(items)
        and items[after].is_a("word", "-")
        and numbers[-1].end == items[after].start
        and len(numbers) == 1
    ):
        after += 1  # "5-epoch"
    following = items[after] if after < len(items) else None
    if all(n.number and (n.number.percent or (n.number.fraction and n.value < 1)) for n in numbers):
        return _parts(items, code, index, prep, values, after)
    rest = prep == "next" or (prep == "for" and items[after - 1].is_a("word", "more", "further"))
    ends = {"break", "comma", "and", "open", "close", *(("at", "with", "is") if values[0] >= 5 else ())}
    if (
        rest
        and len(values) == 1
        and values[0] >= 2
        and (following is None or following.kind in ends or (following.is_a("concept", "lr") and values[0] >= 5))
    ):
        return Time("next", values, ""), after  # "for the remaining 50"
    if following is None or not _whole(numbers) or (values[-1] < 1 and following.start > numbers[-1].end + 9):
        return None  # "0.5 each time an epoch"
    if prep in {"first", "after", "at"} and _OF_TOTAL.at(code, after) is not None:
        return Time(prep, values, _unit(items, after + 2)), after  # "the first 2000 of 90000 iterations"
    unit = _unit(items, after)
    han = following.is_a("verb", "train") and following.end - following.start == 2  # 在60k迭代时
    later = after + 1 < len(items) and items[after + 1].is_a("after")  # 在18K迭代后, 18K迭代后
    told = prep in {"at", "after", "first", "next", "total"} or (later and not prep)
    if not unit and han and told and values[0] >= 100:
        return Time("after" if later and prep in {"", "at"} else prep, values, "step"), after + 1 + later
    long = following.end - following.start > (9 if values[0] >= 1000 else 11) and following.data != "size"
    many = following.is_a("concept", "batch") and long and prep not in {"", "at"}  # "the first 60k mini-batches"
    if not prep and long and values[0] >= 1000 and index and items[index - 1].is_a("verb", "train"):
        many, prep = following.is_a("concept", "batch"), "for"  # "train for 80k mini-batches"
    many = many or (not unit and not prep and values[0] >= 10_000 and following.is_a("concept", "batch"))  # 60k小批量
    if not unit and not many:
        return None
    if following.kind == "concept" and _GIVEN_VALUE.at(code, after + 1) is not None:
        return None  # "bs=128 epochs=200"
    number = numbers[0].number
    few = len(numbers) == 1 and number is not None and number.value < 10
    if few and following.end - following.start == 1 and unit == "step" and not prep:
        return None  # 三次, 3次: three times
    after += 1
    behind = items[after] if after < len(items) else None
    if behind is not None and behind.is_a("word", "内", "里") and prep in {"", "at", "in"}:
        return Time("for", values, unit or "step"), after + 1
    if behind is not None and behind.is_a("after") and prep in {"", "for", "at", "first"}:
        return Time("after", values, unit or "step"), after + 1
    if behind is not None and behind.is_a("after") and prep == "next" and items[index].end - items[index].start == 1:
        return Time("after", values, unit or "step", more=True), after + 1
    if not prep and behind is not None and behind.is_a("word", "时", "处", "改"):
        return Time("at", values, unit or "step"), after + 1  # 6万次时
    return Time(prep, values, unit or "step"), after


def _parts(
    items: Sequence[Item], code: str, index: int, prep: str, values: tuple[float, ...], after: int
) -> tuple[Time, int] | None:
    """Return parts of the whole training, if that is what the percentages are."""
    match = _WHOLE_AFTER.at(code, after)
    unit, end = "", after
    number, before = items[index].number, items[index - 1] if index else None
    if match is None and number is not None and number.spelled and before is not None and before.is_a("at", "in"):
        return None  # "cut in half"
    if match is not None and match.rule == "200 epochs":
        unit = _unit(items, match["unit"])
    elif match is not None and match.rule != "here":
        unit = next((u for p in range(after, match.after) if (u := _unit(items, p))), "")
        end = match.after
    told = match is not None or prep in {"first", "next"} or _of_whole(items, index)
    percent = all(item.number is None or item.number.percent for item in items[index:after])
    if told or (percent and prep in {"at", "in", "after"} and len(values) > 1):
        return Time(prep or "at", values, unit, percent=True), end
    return None


def _of_whole(items: Sequence[Item], place: int) -> bool:
    """Whether a percentage follows words for the whole training: 在训练总轮数的50%和75%处."""
    first = place
    while first > max(0, place - 6) and not _parts_clauses(items[first - 1]):
        first -= 1
    before = items[first:place]
    whole = any(item.is_a("mod", "total") or item.key in _UNITS or item.is_a("verb", "train") for item in before)
    return whole and any(item.is_a("at") or item.is_a("word", "的") for item in before)


def _parts_clauses(item: Item) -> bool:
    """Whether what stands before an item says nothing of a part behind it; a change's part is of the rate."""
    return (
        item.kind in {"comma", "break", "number", "schedule"}
        or item.is_a("mod", "peak", "initial", "base")
        or (item.kind == "verb" and item.key != "train")
    )


_PREPOSITIONS = 12
"""How many words in a row are taken for one preposition: "for the next approximately ..."."""

_ABOUT = ("~", "about", "around", "approximately", "roughly", "each", "约", "大约", "的", "了", "个")


_BEFORE_TIMES = frozenset({"each", "after", "at", "to", "for", "mod", "word"})
"""Kinds of what may stand before a time and belong to it."""


def _preposition(items: Sequence[Item], index: int) -> tuple[str, int]:
    prep = ""
    end = min(len(items), index + _PREPOSITIONS)
    while index < end:
        item = items[index]
        if item.kind not in _BEFORE_TIMES:
            break
        if item.is_a("each"):
            apart = index + 1 < len(items) and items[index + 1].start - item.end > 3  # 每个模型训练100轮
            prep = "" if apart else "every"
        elif item.is_a("after", "after") and _later_phase(items, index):
            prep = "next"
        elif item.is_a("after") and prep == "next":
            pass  # 再之后20000次
        elif item.is_a("at") or item.is_a("after"):
            prep = prep if prep == "after" else {"in": "in", "step": "step"}.get(item.key, item.kind)
        elif not prep and item.is_a("to") and item.end - item.start == 1 and _arrives(items, index):
            prep = "at"  # 到100轮降10倍
        elif item.is_a("for"):
            prep = item.key if prep in {"", "for", "at", "in"} else prep
        elif item.is_a("mod", "total") and prep in {"", "for"}:
            prep = "total"
        elif prep in {"", "for", "in"} and item.is_a("mod", "final", "initial"):
            prep = "next" if item.key == "final" else "first"
        elif not (prep and item.is_a("word", *_ABOUT)):
            break
        index += 1
    return prep, index


def _arrives(items: Sequence[Item], index: int) -> bool:
    """Whether 到 stands before a time that is reached, and not before the end of a range."""
    before = items[index - 1].kind if index else "break"
    return (
        before not in {"number", "from", "unit", "verb"}
        and index + 2 < len(items)
        and items[index + 1].kind == "number"
        and bool(_unit(items, index + 2))
    )


def _later_phase(items: Sequence[Item], index: int) -> bool:
    """Whether 后 or 之后, not "after", stands before its time and so means the later phase: 后2万次迭代."""
    item = items[index]
    before = items[index - 1] if index else None
    alone = before is None or before.kind in {"comma", "break", "and"}
    if before is not None and before.is_a("verb", "train"):
        alone = any(one.is_a("for", "first") for one in items[max(0, index - 25) : index])
    return item.end - item.start <= 2 and alone and index + 1 < len(items) and items[index + 1].kind == "number"


def _period(items: Sequence[Item], code: str, place: int) -> tuple[Time, int] | None:
    match = _PERIOD.at(code, place)
    if match is None:
        return None
    value = items[match["number"]].value if "number" in match else 2 if "other" in match else 1
    if match.rule == "每30个":
        return (Time("every", (value,), ""), match.after - 1) if value >= 2 else None
    if "many" in match and (items[match["many"]].data == "size" or value < 1000):
        return None
    unit = "step" if "many" in match else _UNITS.get(items[match["unit"]].key, "example")
    if match.rule == "每100k迭代" and value >= 100 and items[match["unit"]].end - items[match["unit"]].start == 2:
        unit = "step"
    if not 0 < value < float("inf") or (unit == "example" and value < 10_000):  # "a rate per 1024 examples"
        return None
    after = match.after - ("many" in match and items[match.after - 1].data == "of size")
    behind = [item.kind for item in items[after : after + 2]]
    after += behind[:1] == ["after"] and behind != ["after", "number"]
    return Time("every", (int(value) if float(value).is_integer() else value,), unit), after


def _list(items: Sequence[Item], code: str, place: int, *, units: bool, each: bool = False) -> tuple[list[Item], int]:
    """Return the numbers of a list such as "60, 120 and 160", and the place after them."""
    numbers = [items[place]]
    after = place + 1
    closed = False  # by an "and": in "30 and 60, 90 epochs", the 90 is no part of it
    while (match := _NEXT.at(code, after)) is not None:
        number = items[match["number"]]
        between = items[slice(*match.groups["between"])]
        inner = [_UNITS[item.key] for item in between if item.kind == "unit"]
        unit = _unit(items, match.after)
        kinds = {item.kind for item in between} - {"unit"}
        if not (_follows(numbers[-1], number) or (each and number.value >= 1)):
            if "slash" not in kinds or not 1 <= number.value < numbers[-1].value:
                break
            after = match.after  # of another data set: "for 160/80 epochs", "at epochs 80/40 and 120/60"
            continue
        if inner and not (
            units and (inner[0] == unit or match.after >= len(items) or between[-1].kind in {"unit", "is"} or not kinds)
        ):
            break
        if inner and kinds == {"is"}:
            break  # "after 150 epochs of 300"
        if inner and kinds <= {"comma", "at"} and "at" in kinds and between[1].key != "、":
            break  # "90 epochs, at 30 epochs"
        whole = match.after + 1 < len(items) and items[match.after + 1].is_a("mod", "total")
        if (closed or whole) and kinds <= {"comma"} and (unit or _is_adjective(items, match.after)):
            break  # "at 150, 200 epochs in total", "at epochs 10 and 20, a 30-epoch limit"
        closed = closed or "and" in kinds
        numbers.append(number)
        after = match.after
    return numbers, after


def _is_adjective(items: Sequence[Item], place: int) -> bool:
    """Whether a unit is joined to the number before a place."""
    return [item.kind for item in items[place : place + 2]] == ["word", "unit"] and items[place].key == "-"


def _follows(one: Item, other: Item) -> bool:
    left, right = one.number, other.number
    if left is None or right is None:
        return False
    return left.value < right.value and (left.percent, left.fraction) == (right.percent, right.fraction)


def _whole(numbers: Sequence[Item]) -> bool:
    return all(
        n.number is not None
        and not n.number.percent
        and (1 <= n.value < float("inf") or (n.value == 0.5 and n.end - n.start != 4 + n.number.spelled))
        for n in numbers
    )


def _unit(items: Sequence[Item], place: int) -> str:
    """Return the unit at a place, or ""."""
    if place < len(items) and items[place].kind in {"unit", "concept"}:
        return _UNITS.get(items[place].key, "")
    return ""
