"""Levels of the learning rate: "0.1 for 30 epochs, 0.01 for 20 more", "changed to 0.01 after 60k", "0-40k: 0.1"."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from downslope.reading.facts import Board
from downslope.reading.items import Item
from downslope.reading.patterns import Match, Pattern, Rules, runs
from downslope.reading.schedule_facts import Knots, Levels, Shape
from downslope.reading.times import Time

_PARTS = {
    "several": "(number ((comma|and){1,2} to? number|to number){1,8})",
    "said": "(is|concept:lr|word|mod:initial,base|with|by|to|at|for:next|verb:train,reduce|schedule:multistep,constant)",
    "point": "time:at,after",
    "span": "(time:first,next,for,until|times:between)",
}
_LEVEL = Rules(
    {
        "from to at": "from start=number to value=number span=time:at,after",
        "each at its own": "to? value=several span=times:at,after,until,for",
        "at each its own": "span=times:at,after,until said{0,4} value=several",
        "told, then when": "value=number (open|is|concept:lr|word|mod:initial,base|with){0,3} span=(span|point) close?",
        "trained with": "value=number word? concept:lr? verb:train span=(time:bare,total|span)",
        "and the rest": "value=number rest=(for:next|after|word:以后) (break|comma|and|word|is)",
        "the rest, then told": "rest=(for:next|after) (is|concept:lr|word|with){0,3} value=number (break|comma|close)",
        "trained for": "verb:train word? span=time:bare,total (comma|said){0,5} value=(number and number|number)",
        "followed by": "by span=time:bare with concept:lr? is? value=number",
        "when, then told": "span=span close? (comma|said){0,5} value=(number and number|number)",
        "at a time": "span=time:at,after said{0,4} (is|to) value=number",
        "interval": "low=number word:- high=number (close|is|concept:lr){0,4} value=number",
        "one after another": "to value=several",
    },
    **_PARTS,
)
_RAMP_AFTER = Pattern(
    "(comma|and|for:next|is|word|verb|with|at|after){0,6} schedule:cosine,linear,polynomial,exponential"
)
_STATED = Pattern("concept:lr (is|mod:initial){0,2} rate=number")
_NAMED = Pattern("concept:lr (is|mod|word|with){0,2} (number|taken)")
_KNOT = Rules(
    {
        "at a time": "(comma|and|verb|mod){0,4} to value=number when=time",
        "at a number": "(comma|and|verb|mod){0,4} to value=number at when=number",
    }
)
_LINK = Pattern("(comma|and|open|close|break|slash|of_it|from|mod|said){0,9}", **_PARTS)
_RAMPS = ("cosine", "linear", "polynomial", "exponential", "onecycle", "cyclic", "inverse")
_LENGTHS = {"first", "next", "for", "", "total"}
_LARGEST = 100.0


@dataclass
class Level:
    """A learning rate, and when it holds: from `start` to `end`, for `length`, or as far as is said."""

    value: float
    place: int
    start: float | None = None
    end: float | None = None
    length: float | None = None
    unit: str = ""
    percent: bool = False


def find_knots(board: Board) -> None:
    """Add a fact for "0 to 0.4 at epoch 5 to 0 at 24": a value, then values each with its time, in lines."""
    code = board.code()
    for run in runs(_KNOT.find(code), code, Pattern("")):
        first = run[0].first - 1
        if len(run) < 2 or not board.free_number(first):
            continue
        knots: list[tuple[float, Time | None]] = [(board.items[first].value, None)]
        for match in run:
            when = board.items[match["when"]]
            knots.append((board.items[match["value"]].value, when.data or Time("at", (when.value,), "")))
        if knots[0][0] < knots[1][0] > knots[-1][0] and _is_lr(board, [Match(first, run[-1].after, {})]):
            board.note(
                Knots("knots", "lr", None, 0, 0, points=knots),
                [first, *(p for match in run for p in range(match.first, match.after))],
            )


def find_levels(board: Board) -> None:
    """Add a fact for every run of levels of the learning rate."""
    code = board.code()
    for run in runs(_LEVEL.find(code), code, _LINK):
        for part in _split(board, code, run):
            _add(board, code, part)


def _split(board: Board, code: str, run: list[Match]) -> list[list[Match]]:
    """Return the parts of a run that are levels: what is by a factor, or leads along a ramp, is none."""
    parts: list[list[Match]] = [[]]
    for match in run:
        if _is_level(board, match, parts[-1]):
            parts[-1].append(match)
        else:
            _hold(board, code, match)
            parts.append([])
    return [part for part in parts if part]


def _is_level(board: Board, match: Match, before: list[Match]) -> bool:
    items = board.items
    numbers = [item for item in items[slice(*match.groups["value"])] if item.number]
    before_value = items[match["value"] - 1] if match["value"] else None
    plain = all(
        0 < n.value < _LARGEST
        and n.number
        and not (n.number.percent or n.number.fraction or n.number.spelled or n.number.times)
        for n in numbers
    )
    if not plain or (
        before_value is not None
        and (
            (before_value.kind in {"by", "star", "slash"} and match.rule != "trained with")
            or before_value.is_a("verb", "divide", "multiply")
            or before_value.is_a("word", "-")
        )
    ):
        return False
    following = items[match.groups["value"][1]] if match.groups["value"][1] < len(items) else None
    if following is not None and following.kind in {"unit", "star", "slash"}:
        return False
    span = _time(items, match)
    ramp = any(item.is_a("schedule", *_RAMPS) for item in items[max(0, match.first - 3) : match.after + 3])
    to = any(item.kind == "to" for item in items[max(0, match.first - 1) : match["value"]])
    if span is not None and span.prep in _LENGTHS and to and not (before and before[-1].after == match.first - 1):
        nearby = items[max(0, match["value"] - 5) : match["value"] - 1]
        set_to = items[match["value"] - 2].is_a("concept", "lr") and not any(item.kind == "verb" for item in nearby)
        spanned = board.text.plain[items[match["span"]].start :]
        held = bool(before) and span.prep == "next" and not spanned.startswith(("over", "during", "within"))
        if not (set_to or held):
            return False  # "to 0.1 over 5 epochs", but not "set the learning rate to 0.1 for 5 epochs"
    return not ramp


def _time(items: list[Item], match: Match) -> Time | None:
    return items[match["span"]].data if "span" in match else None


def _levels(board: Board, run: list[Match]) -> list[Level]:
    """Return the levels of a run: a list of values with one span has it each, with several times one each."""
    found: list[Level] = []
    for match in run:
        places = [p for p in range(*match.groups["value"]) if board.items[p].number]
        time = _time(board.items, match)
        if "start" in match:
            found.append(Level(board.items[match["start"]].value, match["start"]))
        if time is not None and time.prep in {"at", "after"} and len(places) == len(time.values) + 1:
            found.append(Level(board.items[places[0]].value, places[0]))
            places = places[1:]
        for index, place in enumerate(places):
            level = Level(board.items[place].value, place)
            if "low" in match:
                level.start, level.end = board.items[match["low"]].value, board.items[match["high"]].value
            elif time is not None:
                level.unit, level.percent = time.unit, time.percent
                value = time.values[min(index, len(time.values) - 1)]
                if time.prep == "between":
                    level.start, level.end = time.values
                elif time.prep in _LENGTHS:
                    level.length = value
                elif time.prep == "until":
                    level.end = value
                else:
                    level.start = value
            found.append(level)
    return found


def _add(board: Board, code: str, run: list[Match]) -> None:
    levels = _levels(board, run)
    timed = [level for level in levels if level.start is not None or level.end or level.length]
    rules = {match.rule for match in run}
    points = [level for level in levels if level.start is not None and level.end is None]
    first = run[0]
    changed = (
        any(item.kind == "to" for item in board.items[max(0, first.first - 1) : first.after]) and "start" not in first
    )
    alone = len(levels) < 2
    if alone and not (points and (changed or "start" in first)):
        return
    if not timed and not ("one after another" in rules and all(a.value > b.value for a, b in pairwise(levels))):
        return
    mismatch = any(len(_values(board, match)) not in _counts(board, match) for match in run)
    if mismatch or not _is_lr(board, run):
        return
    rates, changes, total = [level.value for level in levels], [], None
    begins = not (changed and timed and levels[0].start is not None and levels[0].end is None) and bool(timed)
    end: float | None = None
    for index, level in enumerate(levels):
        start = level.start
        if start == 1 and level.end is not None:
            start = 0
        if index == 0 and level.start is not None and not level.end and level.start > 0:
            begins = False
        if start is not None and end is not None and start == end + 1 and level.end is not None:
            start = end
        if index or (start is not None and not begins):
            at = start if start is not None else end
            if timed and (at is None or (changes and at <= changes[-1])):
                return
            changes += [at] if at else []
        begun = start if start is not None else (end or 0)
        end = level.end if level.end is not None else (begun + level.length if level.length else None)
        total = end
    units = {level.unit for level in levels if level.unit}
    percents = {level.percent for level in timed}
    if len(units) > 1 or len(percents) > 1 or not units <= {"epoch", "step"}:
        return
    if timed and len(changes) != len(rates) - begins:
        return
    places = [p for match in run for p in range(match.first, match.after)]
    fact = Levels(
        "levels",
        "lr",
        None,
        0,
        0,
        rates=rates,
        changes=changes,
        unit="".join(units),
        percent=True in percents,
        total=None if True in percents else total,
        begins=begins,
    )
    board.note(fact, places)
    if begins:
        place = levels[0].place
        named = _NAMED.at(code, max(0, place - 3), place + 1) or _NAMED.at(code, max(0, place - 2), place + 1)
        board.add("value", "lr", rates[0], [named.first if named else place, place], role="initial", number=place)


def _hold(board: Board, code: str, match: Match) -> None:
    """Add a constant phase for a level that a ramp follows: "0.1 for the first 50 epochs, then linearly to 0"."""
    span = _time(board.items, match)
    ramp = _RAMP_AFTER.at(code, match.after)
    rises = board.items[match["value"] - 1].kind == "to"
    if (
        ramp is not None
        and not rises
        and span is not None
        and span.prep in {"first", "until", "for"}
        and _is_lr(board, [match])
    ):
        board.note(Shape("shape", "constant", None, 0, 0, over=span), [match["span"]])


def _values(board: Board, match: Match) -> list[int]:
    return [p for p in range(*match.groups["value"]) if board.items[p].number]


def _counts(board: Board, match: Match) -> set[int]:
    """Return how many values a match may have: of several times as many, or one more, which is the initial one."""
    time = _time(board.items, match)
    many = len(_values(board, match))
    if time is None or time.prep == "between" or len(time.values) == 1:
        return {1} if time is not None and time.prep in {"at", "after", "until"} else {many}
    return {len(time.values), len(time.values) + 1}


def _is_lr(board: Board, run: list[Match]) -> bool:
    """Whether the nearest concept before a run, or one within it, is the learning rate."""
    items = board.items
    inside = {item.key for item in items[run[0].first : run[-1].after] if item.kind == "concept"}
    if inside:
        return inside <= {"lr"}
    breaks = 0
    first = items[run[0]["value"]].value if "value" in run[0] else None
    if first is not None and any(items[match["rate"]].value == first for match in _STATED.find(board.code())):
        return True  # "We use 10^-3 for 40k iterations", after "learning rate 10^-3"
    for place in range(run[0].first - 1, max(-1, run[0].first - 40), -1):
        item = items[place]
        breaks += item.kind == "break"
        if item.kind == "concept" and item.key not in {"epochs_total", "steps_total"}:
            return item.key in {"lr", "lr_decay", "warmup"}
        if breaks > 1:
            return False
    return False
