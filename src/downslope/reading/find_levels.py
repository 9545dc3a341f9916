"""Levels of the learning rate: "0.1 for 30 epochs, 0.01 for 20 more", "changed to 0.01 after 60k", "0-40k: 0.1"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from downslope.reading.facts import Board, Value
from downslope.reading.items import Item
from downslope.reading.numbers import numbers_of
from downslope.reading.patterns import Match, Pattern, Rules, runs
from downslope.reading.schedule_facts import Change, Knots, Levels, Shape
from downslope.reading.times import Time

_PARTS = {
    "several": "(number ((comma|and){1,2} to? number|to number){1,8})",
    "told": "(is|concept:lr|word|mod:initial,base|with|by|at|for:next|steady)",
    "said": "(is|concept:lr|word|mod:initial,base|with|by|to|at|for:next|verb:train,reduce|steady)",
    "steady": "schedule:multistep,constant",
    "point": "time:at,after",
    "span": "(time:first,next,for,until|times:between)",
}
_LEVEL = Rules(
    {
        "from to at": "from start=number to value=number span=time:at,after",
        "at, from to": "span=time:at,after said{0,4} from start=number to value=number",
        "so many each": "value=several close? for:first (comma|and|word|number){1,8} span=time:bare",
        "each at its own": "(for:next|to|open){0,2} value=several close? from? span=times:at,after,until,for,next",
        "so long each": "value=several for:for? span=time:next,for,first each",
        "at each its own": "span=times:at,after,until said{0,2} comma? said{0,4} value=several",
        "told, then when": "value=number (open|is|concept:lr|word|mod:initial,base|with|from|for:for){0,3} "
        "span=(span|point) close?",
        "trained with": "value=(number and number|number) word? concept:lr? (word|for:next){0,2} verb:train word{0,5} "
        "span=(time:bare,total|span)",
        "carried on": "value=number word? concept:lr? for:next? word:进 word:行 span=time:bare,next",
        "in stages": "value=number (comma|and) (word|for:next){0,2} verb:train word? span=time:bare "
        "(break|comma|close)?",
        "and the rest": "value=number for:for? rest=(for:next|after|word:以后) (break|comma|and|word|is)",
        "else": "rest=word:else,otherwise,elsewhere,否则,其余 (comma|is|concept:lr|to|for:for){0,2} value=number",
        "otherwise": "value=number comma? rest=word:otherwise,else,elsewhere,afterward,afterwards,否则,其余",
        "the rest, then told": "rest=(for:next|after) (is|concept:lr|word|with){0,3} value=number (break|comma|close)",
        "trained for": "verb:train word? span=time:bare,total (comma|told){0,5} value=(number and number|number)",
        "followed by": "(by|and)? span=time:bare,next (is|word|verb:train){0,3} (with|at) "
        "(word|verb){0,2} concept:lr? is? value=number",
        "when, then told": "span=span close? (comma|said){0,5} value=(number and number|number)",
        "at a time": "span=time:at,after word? comma? said{0,4} (is|to) value=number",
        "after it": "span=time:after value=number (comma|and|break|close)",
        "fallen at": "span=time:bare to value=number",
        "in brackets": "value=number for:for? open low=number (word:-|comma) high=number close",
        "interval": "low=number word:- high=number (close|is|concept:lr){0,4} value=number",
        "to the end": "value=number for:until end:end",
        "in a row": "(open|is|schedule|verb|concept|word) value=(number (to number){2,8}) "
        "span=(time:at,after|times:at,after)?",
        "one after another": "to value=several (open|comma)? (span=(time:at,after,until|times:at,after))?",
    },
    **_PARTS,
)
_MAP = Pattern("open? points=(number is number (comma number is number){1,11}) close?")
_PAIRS = Pattern("points=(open number comma number close (comma? open number comma number close){1,11})")
_RAMP_AFTER = Pattern(
    "schedule:constant? (comma|and|for:next|is|word|verb|with|at|by|after|concept:lr|time:next,for,bare){0,7} ramp"
    "|break (is|word|verb){0,3} ramp rest{0,5} time:next",
    ramp="schedule:cosine,linear,polynomial,exponential",
    rest="(verb|word|to|number|concept:lr)",
)
_FOR_NEXT = Pattern("(verb|word|to|number|concept:lr|by){0,6} time:next")
_STATED = Pattern("concept:lr (is|mod:initial){0,2} rate=number")
_NAMED = Pattern("concept:lr (is|mod|word|with){0,2} (number|taken)")
_KNOT = Rules(
    {
        "at a time": "(comma|and|verb|mod){0,4} to value=number when=time",
        "at a time, of so many": "(comma|and|verb|mod){0,4} to value=number when=times:at",
        "at a number": "(comma|and|verb|mod){0,4} to value=number at when=number",
    }
)
_ASIDE = (
    "((open|comma) (word|mod){0,2} target "
    "(word|verb|is|taken|number|unit:times|star|and|target|concept:lr){1,8} close?)"
)
"""What is said of a group of parameters between two levels."""

_LINK = Pattern("(aside|comma|and|open|close|break|slash|of_it|from|to|mod|said){0,9}", aside=_ASIDE, **_PARTS)
_RAMPS = ("cosine", "linear", "polynomial", "exponential", "onecycle", "cyclic", "inverse")
_RISES = Pattern("from number time:at to number time:at")
_SUBJECTS = re.compile(
    r"\b(?:pre-?train|fine-?tun|whereas|while|teacher|student|discriminator|generator)|教师|学生|预训练|微调|判别|生成器"
)
"""Words between two rates that belong to different trainings or networks."""

_STAGE = re.compile(r"(?:第[一二三四1-4]个?(?:阶段|步)|先|首先|然后|接着|随后|最后|再)[^;]{0,40}$")
"""How Chinese begins a stage of one training."""

_STARTING = re.compile(r"\s?[,(]?\s?(?:starting|beginning|initially)\b")
"""How the first rate of a whole training begins, behind its length."""
_RISEN = re.compile(r"[升增]|提高")
_FALLEN = re.compile(r"降|减|衰减|下[降调]|缩小|调[低小]|变[为成到]|改[为成]")
_NEXT_STAGE = re.compile(r"[,;]?\s?(?:然后|接着|随后|之后|最后|再)")

_OF_NETWORK = re.compile(r"的?(?:部分|参数|层|模块|网络|数据集)")
"""What is left besides a time: 其余部分."""

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
        if not board.free_number(first) or _falls(board, run, first) or len(run) < 2:
            continue
        if any(match.rule == "at a time, of so many" for match in run):
            continue
        knots: list[tuple[float, Time | None]] = [(board.items[first].value, None)]
        for match in run:
            when = board.items[match["when"]]
            knots.append((board.items[match["value"]].value, when.data or Time("at", (when.value,), "")))
        if knots[0][0] < knots[1][0] > knots[-1][0] and _is_lr(board, [Match(first, run[-1].after, {})], set()):
            board.note(
                Knots("knots", "lr", None, points=knots),
                [first, *(p for match in run for p in range(match.first, match.after))],
            )


def _falls(board: Board, run: list[Match], first: int) -> bool:
    """Add levels for "0.1 -> 0.01 @ 80 -> 0.001 @ 120": falling values, each with its time; False if there are none."""
    places = [first, *(match["value"] for match in run)]
    rates = [board.items[place].value for place in places]
    times = [(item.value,) if item.number else item.data.values for item in (board.items[m["when"]] for m in run)]
    marks = [time[0] for time in times]
    units = {unit for m in run if (item := board.items[m["when"]]).data and (unit := item.data.unit)}
    points = all(board.items[m["when"]].number or board.items[m["when"]].data.prep in {"at", "after"} for m in run)
    falling = all(one > other > 0 for one, other in pairwise(rates)) and rates[0] < 2 and points
    rising = all(one < other for one, other in pairwise([1, *marks])) and all(len(time) == 1 for time in times[:-1])
    if not (falling and rising and len(units) < 2 and _is_lr(board, [Match(first, run[-1].after, {})], set())):
        return False
    if (len(run) == 1 and run[0].rule != "at a number") or len(times[-1]) > 2:
        return False
    fact = Levels("levels", "lr", None, rates=rates, changes=marks, begins=True, unit="".join(units))
    fact.total = times[-1][1] if len(times[-1]) > 1 else None  # "@ 60, 90 epochs"
    board.note(fact, [first, *(p for match in run for p in range(match.first, match.after))])
    board.note(Value("value", "lr", rates[0], role="initial"), [first])
    return True


def _find_maps(board: Board, code: str) -> None:
    """Add a fact for every map from times to rates: {0: 0.1, 80: 0.01, 120: 0.001}, [(0, 0.1), (80, 0.01)]."""
    for match in [*_MAP.find(code), *_PAIRS.find(code)]:
        places = [p for p in range(match["points"], match.after) if board.items[p].number]
        times, rates = ([board.items[p].value for p in places[start::2]] for start in (0, 1))
        rising = all(one < other and float(other).is_integer() for one, other in pairwise(times))
        paired = board.items[match["points"]].kind == "open"
        colons = all(board.text.plain[board.items[p].end :].lstrip()[:1] == ":" for p in places[::2])
        if not (rising and (paired or colons) and 0 < max(rates) < 2 and _is_lr(board, [match], set())):
            continue
        begins = times[0] in {0, 1}
        unit = "epoch" if times[-1] < 1000 else "step"
        fact = Levels("levels", "lr", None, rates=rates, changes=times[begins:], begins=begins, unit=unit)
        board.note(fact, range(match.first, match.after))
        if begins:
            board.note(Value("value", "lr", rates[0], role="initial"), places[1:2])


_RATE = r"(?:\d?\.\d{1,8}|\d(?:\.\d{1,4})?e-\d{1,2}|(?:\d ?\* ?)?10\^\{?-\d{1,2}\}?)"
_SPAN = r"\d{1,7}k? ?(?:-|to|~) ?\d{1,7}k?"
_AND = r"(?: ?/ ?|, ?and |, ?| and )"
_ROWS = re.compile(
    rf"(?P<rates>{_RATE}(?:{_AND}{_RATE}){{1,5}})(?: [a-z]+){{0,2}} (?:for|in|during|over|at) (?:the )?"
    rf"(?P<unit>epoch|iteration|step)s? (?P<spans>{_SPAN}(?:{_AND}{_SPAN}){{1,5}})"
)
"""Rates, and as many spans: "0.1, 0.01 and 0.001 for epochs 1-30, 31-60 and 61-90"."""

_FALLS_AT = re.compile(
    rf"(?P<at>\d{{1,7}}k?) ?(?P<unit>个?epochs?|轮|次|步|steps?|iter\w*)? ?: ?(?:学习率|lr|learning rate)? ?"
    rf"(?:从|由|from) ?(?P<old>{_RATE}) ?[^\d;\n]{{1,8}}?(?P<new>{_RATE})(?![\d.]*\d)"
)
_ENDS_AT = re.compile(
    r"[\s;,]{0,8}(?P<at>\d{1,7}k?) ?(?:个?epochs?|轮|次|步|steps?|iter\w*)? ?: ?(?:训练)?(?:结束|停止|end)"
)
"""Lines of a schedule, 32000: 学习率从0.1降到0.01, and of its end."""

_REST = re.compile(
    r"\b(?:a|one)[ -](?P<part>tenth|half|fifth|quarter|hundredth) (?:of )?"
    r"(?:that|it|this|the (?:previous|initial|original)(?: \w+)?)?"
    r"[^.;\d]{0,12}\b(?:(?:for|in|during) the (?:rest|remain)\w*|thereafter|afterwards?)"
)
"""What a rate is for the rest of the training, as a part of that of the first phase."""
_SHARES = {"tenth": 0.1, "half": 0.5, "fifth": 0.2, "quarter": 0.25, "hundredth": 0.01}


def _find_rows(board: Board) -> None:
    """Add levels of which the rates stand in one list and their spans in another."""
    for match in _ROWS.finditer(board.text.plain):
        rates = [float(n.value) for n in numbers_of(match["rates"])]
        bounds = [n.value for n in numbers_of(re.sub(r"-|to|~", " , ", match["spans"]))]
        places = [p for p, item in enumerate(board.items) if match.start() <= item.start < match.end()]
        rising = all(one <= other for one, other in pairwise(bounds))
        if len(bounds) != 2 * len(rates) or not rising or board.used.intersection(places):
            continue
        counted = int(bounds[2] == bounds[1] + 1)  # "1-30, 31-60"
        unit = "epoch" if match["unit"] == "epoch" else "step"
        changes = [one - counted for one in bounds[2::2]]
        levels = Levels("levels", "lr", None, rates=rates, changes=changes, begins=True, unit=unit)
        levels.total = bounds[-1]
        board.note(levels, places)
        board.note(Value("value", "lr", rates[0], role="initial"), places[:1])


_BRACKETED = re.compile(
    rf"(?P<low>\d{{1,7}}k?) ?(?:-|to|~|到|至) ?(?P<high>\d{{1,7}}k?) ?(?P<unit>个?epochs?|轮|次|步|steps?|iter\w*)? ?"
    rf"[\[(] ?(?:lr|学习率|learning rate)? ?[=:为]? ?(?P<rate>{_RATE}) ?[\])]"
)
"""A span with its rate: 1-30(lr=0.1), "0-35k[0.01]"."""


def _find_bracketed(board: Board) -> None:
    """Add levels of which each is a span with its rate in brackets."""
    found = [*_BRACKETED.finditer(board.text.plain)]
    spans = [(_first(one["low"]), _first(one["high"])) for one in found]
    joined = all(high <= low <= high + 1 for (_, high), (low, _) in pairwise(spans))
    places = [p for p, i in enumerate(board.items) if found and found[0].start() <= i.start < found[-1].end()]
    if (
        len(found) < 2
        or not joined
        or board.used.intersection(places)
        or not _is_lr(board, [Match(places[0], 0, {})], set())
    ):
        return
    unit = "epoch" if spans[-1][1] < 1000 else "step"
    rates, changes = [_first(one["rate"]) for one in found], [high for _, high in spans[:-1]]
    levels = Levels("levels", "lr", None, rates=rates, changes=changes, begins=True, unit=unit, total=spans[-1][1])
    board.note(levels, places)
    first = next(p for p in places if board.items[p].value == rates[0])
    board.note(Value("value", "lr", rates[0], role="initial"), [first])


def _first(words: str) -> float:
    return next((float(number.value) for number in numbers_of(words)), 0.0)


def _find_lines(board: Board) -> None:
    """Add levels of which each has a line: when the rate falls, from what, and to what."""
    found = [*_FALLS_AT.finditer(board.text.plain)]
    rates = [*(_first(one["old"]) for one in found[:1])]
    for one in found:
        if _first(one["old"]) != rates[-1]:
            return
        rates.append(_first(one["new"]))
    times = [_first(one["at"]) for one in found]
    if len(found) < 2 or not all(one < other for one, other in pairwise(times)):
        return
    starts = {item.start: place for place, item in enumerate(board.items)}
    unit = "epoch" if any((one["unit"] or "").endswith(("epoch", "epochs", "轮")) for one in found) else "step"
    levels = Levels("levels", "lr", None, rates=rates, changes=times, begins=True)
    levels.unit = unit if found[0]["unit"] or times[-1] >= 1000 else "epoch"
    end = _ENDS_AT.match(board.text.plain, found[-1].end())
    levels.total = _first(end["at"]) if end is not None else None
    last = end.end() if end is not None else found[-1].end()
    board.note(levels, [p for start, p in starts.items() if found[0].start() <= start < last])
    board.note(Value("value", "lr", rates[0], role="initial"), [starts[found[0].start("old")]])


def _find_parts(board: Board) -> None:
    """Add the fall after a first phase: "0.1 for the first 100 epochs and a tenth of that for the remainder"."""
    for match in _REST.finditer(board.text.plain):
        before = [p for p, i in enumerate(board.items) if i.kind == "time" and i.end <= match.start()][-1:]
        firsts = [p for p in before if p not in board.used and board.items[p].data.prep in {"first", "for"}]
        if firsts and match.start() - board.items[firsts[0]].end < 40:
            at = replace(board.items[firsts[0]].data, prep="at")
            within = [p for p, i in enumerate(board.items) if match.start() <= i.start < match.end()]
            board.note(Change("change", "multiply", _SHARES[match["part"]], at=[at]), [*firsts, *within])


def find_levels(board: Board) -> None:
    """Add a fact for every run of levels of the learning rate."""
    _find_rows(board)
    _find_lines(board)
    _find_bracketed(board)
    _find_parts(board)
    _find_maps(board, board.code())
    code = board.code()
    stated = {board.items[match["rate"]].value for match in _STATED.find(code)}
    for run in runs(_found(board, code), code, _LINK):
        for part in _split(board, code, run):
            _add(board, code, part, stated)


def _found(board: Board, code: str) -> Iterator[Match]:
    """Yield the matches; "for 90k iterations with 0.1 for the first 60k" begins with the whole, which is no level's."""
    place = 0
    while (match := next(_LEVEL.find(code, place), None)) is not None:
        whole = match.rule in {"trained for", "when, then told"} and match.after < len(board.items)
        if whole and board.items[match.after].is_a("time", "first"):
            place = match["value"]
        else:
            yield match
            place = match.after


def _split(board: Board, code: str, run: list[Match]) -> list[list[Match]]:
    """Return the parts of a run that are levels: what is by a factor, or leads along a ramp, is none."""
    parts: list[list[Match]] = [[]]
    for match in run:
        if _is_level(board, code, match, parts[-1]):
            if parts[-1] and _is_anew(board, parts[-1], match):
                parts.append([])
            parts[-1].append(match)
        else:
            _hold(board, code, match)
            parts.append([])
    return [part for part in parts if part]


def _is_anew(board: Board, before: list[Match], match: Match) -> bool:
    """Whether a level begins another training: a sentence of its own, at the rate that the first began with."""
    rates = [board.items[one["value"]].value for one in (before[0], before[-1], match)]
    between = board.items[before[-1].after : match["value"]]
    parted = any(item.kind == "break" for item in between)
    span = _time(board.items, match)
    return parted and (rates[1] < rates[0] <= rates[2] or (span is not None and span.prep == "first"))


def _is_level(board: Board, code: str, match: Match, before: list[Match]) -> bool:
    items, (first, after) = board.items, match.groups["value"]
    left = items[first - 1] if first else None
    followed = first > 1 and items[first - 2].is_a("word", "followed")
    by = (
        left is not None
        and not followed
        and (left.kind in {"by", "star", "slash"} or left.is_a("verb", "divide", "multiply"))
    )
    if (by and match.rule not in {"trained with", "carried on"}) or (left is not None and left.is_a("word", "-")):
        return False
    if not all(_is_rate(item) for item in items[first:after] if item.number):
        return False
    if match.rule == "trained for" and "共" in board.plain(items[match.first]):
        return False  # 共训练24k次, 学习率为0.01
    if "rest" in match and _OF_NETWORK.match(board.text.plain, items[match["rest"]].end):
        return False
    if match.rule == "fallen at" and not _FALLEN.match(board.plain(left or items[first])):
        return False  # "train 60 epochs to 0.1"
    if match.rule == "in stages":
        plain, end = board.text.plain, items[match.after - 1].end
        if not (_STAGE.search(plain[: items[first].start]) or _NEXT_STAGE.match(plain, end)):
            return False
    if after < len(items) and (items[after].kind in {"unit", "star", "slash"} or items[after].is_a("verb", "multiply")):
        return False
    for start in (first, first - 3):  # "from 0.01 at epoch 1 to 0.1 at epoch 5"
        if start > 0 and _RISES.at(code, start - 1) and items[start].value < items[start + 3].value:
            return False
    near = items[max(0, match.first - 3) : match.after + 3]
    if any(item.is_a("schedule", *_RAMPS) for item in near) or _RAMP_AFTER.at(code, match.after):
        return False
    span = _time(items, match)
    if "span" in match and _STARTING.match(board.text.plain, items[match["span"]].end) and _trained(items, match):
        return False  # "trained for 24k iterations, starting from 0.01 and reducing it to 0.001 at 18k"
    to = any(item.kind == "to" for item in items[max(0, match.first - 1) : first])
    if left is not None and left.kind == "to" and _RISEN.search(board.plain(left)):
        return False  # 在1000次时上升到0.01
    trained = match.rule in {"trained with", "carried on", "in stages"}
    if (
        span is None
        or span.prep not in _LENGTHS
        or not to
        or trained
        or match.rule == "fallen at"
        or (before and before[-1].after == match.first - 1)
    ):
        return True
    # "to 0.1 over 5 epochs" is a ramp, but not "set the learning rate to 0.1 for 5 epochs, then to 0.01 for the last 5"
    set_to = items[first - 2].is_a("concept", "lr") and not any(
        i.kind == "verb" for i in items[max(0, first - 5) : first]
    )
    over = board.text.plain[items[match["span"]].start :].startswith(("over", "during", "within"))
    return set_to or (bool(before) and span.prep in {"next", "for"} and not over)


def _trained(items: list[Item], match: Match) -> bool:
    """Whether a match's time is how long is trained."""
    return any(item.is_a("verb", "train") for item in items[max(0, match["span"] - 4) : match["span"]])


def _is_rate(item: Item) -> bool:
    number = item.number
    odd = number is None or number.percent or number.fraction or number.spelled or number.times
    return not odd and 0 < item.value < _LARGEST


def _time(items: list[Item], match: Match) -> Time | None:
    return items[match["span"]].data if "span" in match else None


def _levels(board: Board, run: list[Match]) -> list[Level]:
    """Return the levels of a run: a list of values with one span has it each, with several times one each."""
    found: list[Level] = []
    for match in run:
        places = [p for p in range(*match.groups["value"]) if board.items[p].number]
        time = _time(board.items, match)
        if "start" in match and not (found and found[-1].value == board.items[match["start"]].value):
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
                elif time.prep in _LENGTHS and match.rule != "fallen at":
                    level.length = value
                elif time.prep == "until":
                    level.end = value
                else:
                    level.start = value + (found[-1].start or 0 if time.more and found else 0)
            found.append(level)
    return found


def _add(board: Board, code: str, run: list[Match], stated: set[float]) -> None:
    """Add the levels of a run: two or more, or one that the learning rate is changed to at a time."""
    levels = _levels(board, run)
    earlier = _earlier(board, code, levels[0])
    levels[:0] = [earlier] if earlier is not None else []
    first = levels[0]
    later = levels[1].start if len(levels) > 1 and levels[1].end is None else None
    whole = first.length is not None and later is not None and later < first.length  # 训练90轮, lr=0.1, 第30轮降到0.01
    first.length = None if whole else first.length
    timed = [level for level in levels if level.start is not None or level.end or level.length]
    to = (
        any(item.kind == "to" for item in board.items[max(0, run[0].first - 1) : run[0].after])
        and "start" not in run[0]
        and earlier is None
    )
    span = _time(board.items, run[0])
    if len(levels) == 1 and span is not None and span.last and to:  # 最后50轮降为0.001
        change = Change("change", "reduce", None, targets=[first.value], at=[span])
        board.note(change, range(run[0].first, run[0].after))
        return
    point = first.start is not None and first.end is None
    if len(levels) < 2 and not (point and to):
        return
    falls = run[0].rule in {"one after another", "in a row"} and all(
        one.value > other.value for one, other in pairwise(levels)
    )
    between = board.text.plain[board.items[run[0].first].start : board.items[run[-1].after - 1].end]
    subjects = {frozenset(_SUBJECTS.findall(_plain(board, match))) for match in run}
    if _SUBJECTS.search(between) and subjects != {frozenset(_SUBJECTS.findall(between))}:
        return  # "4 epochs with 1e-3, whereas pretraining used 0.1 for 90 epochs"
    near = board.items[max(0, run[0].first - 12) : run[-1].after + 12]
    told = any(item.is_a("verb", "multiply", "divide", "halve") or item.kind == "star" for item in near)
    if not timed and told and any(item.is_a("time", "every") for item in near):
        return  # "times 0.1 every 30 epochs: 0.1 -> 0.01 -> 0.001"
    if not (timed or falls) or not _is_lr(board, run, stated) or not all(_counts(board, match) for match in run):
        return
    begins = run[0].rule == "in a row" or (bool(timed) and not (point and (to or first.start != 0)))
    if len(levels) == 2 and levels[0].length and levels[1].length and _holds_last(board, run):
        levels[0].length -= levels[1].length
    line = _timeline(levels, begins=begins) if timed else ([], None)
    units = {level.unit for level in levels if level.unit}
    percents = {level.percent for level in timed}
    least, most = min(level.value for level in levels), max(level.value for level in levels)
    if most >= 2 and least < 0.5:  # a time taken for a rate
        return
    if levels[0].value < levels[-1].value and any(item.is_a("concept", "warmup") for item in near[:-12]):
        return  # "we warm up with 0.01 for the first 400 iterations and go back to 0.1 after that"
    if line is None or len(units) > 1 or len(percents) > 1 or (timed and len(line[0]) != len(levels) - begins):
        return
    fact = Levels("levels", "lr", None, rates=[level.value for level in levels], changes=line[0], begins=begins)
    fact.unit, fact.percent = "".join(units), True in percents
    fact.total = None if fact.percent else line[1]
    places = [place for match in run for place in range(match.first, match.after)]
    places = [place for place in places if not (whole and "span" in run[0] and place == run[0]["span"])]
    board.note(fact, [*places, *([earlier.place] if earlier is not None else [])])
    board.used.update(range(first.place, places[0]) if earlier is not None else ())
    if begins:
        place = first.place
        named = _NAMED.at(code, max(0, place - 3), place + 1) or _NAMED.at(code, max(0, place - 2), place + 1)
        places = [named.first if named else place, place]
        board.note(Value("value", "lr", first.value, role="initial"), places)


_LAST = re.compile(r"(?:for|in|during|over) the (?:last|final)\b")


def _holds_last(board: Board, run: list[Match]) -> bool:
    """Whether a second sentence tells of the end of a training: "trained for 25 epochs. ... 0.01 for the last 5"."""
    parted = any(item.kind == "break" for item in board.items[run[0].after : run[-1].first + 1])
    last = len(run) == 2 and "span" in run[1] and board.items[run[1]["span"]]
    whole = "span" in run[0] and _trained(board.items, run[0])
    return bool(last) and parted and whole and _LAST.match(board.plain(last)) is not None


def _earlier(board: Board, code: str, level: Level) -> Level | None:
    """Return the level before one that the rate falls to: "lr 0.01, train for 30k, then lower it to 0.001 for 10k"."""
    items = board.items
    if items[level.place - 1].kind != "to" or not level.length:
        return None
    for place in range(level.place - 2, max(0, level.place - 9), -1):
        if items[place].is_a("time", "bare") and items[place - 1].is_a("verb", "train") and place not in board.used:
            *_, told = None, *_STATED.find(code, max(0, place - 14), place)
            if told is not None and items[told.after].kind == "close":
                return None  # of a length before it: 训练100轮(lr=1e-4), 再训练20轮
            if told is None or items[told["rate"]].value <= level.value:
                return None
            time = items[place].data
            return Level(items[told["rate"]].value, told["rate"], length=time.values[0], unit=time.unit)
        if items[place].kind in {"number", "time"}:
            return None
    return None


def _plain(board: Board, match: Match) -> str:
    return board.text.plain[board.items[match.first].start : board.items[match.after - 1].end]


def _timeline(levels: list[Level], *, begins: bool) -> tuple[list[float], float | None] | None:
    """Return when each level after the initial one begins, and where the last ends; None if that is not in order."""
    changes: list[float] = []
    end: float | None = None
    bounds = [(level.start, level.end) for level in levels if level.start is not None and level.end is not None]
    if len(bounds) == len(levels) > 1 and not bounds[0][0] and all(b[0] == a[1] + 1 for a, b in pairwise(bounds)):
        for level in levels:  # "epochs 0-59, 60-119" are 60 each
            level.end = (level.end or 0) + (bounds[1][0] % 10 == 0)
    for index, level in enumerate(levels):
        start = level.start
        if start is not None and level.end is not None and start == (end or 0) + 1:
            start = end or 0  # counted from 1: "epochs 1-30, 31-60"
        at = end if start is None else start
        if index or not begins:
            if at is None or (changes and at <= changes[-1]):
                return None
            changes += [at] if at else []
        end = level.end if level.end is not None else (at or 0) + level.length if level.length else None
    return changes, end


def _hold(board: Board, code: str, match: Match) -> None:
    """Add a constant phase for a level that a ramp follows: "0.1 for the first 50 epochs, then linearly to 0"."""
    span = _time(board.items, match)
    rises = board.items[match["value"] - 1].kind == "to"
    ramp = _RAMP_AFTER.at(code, match.after)
    if span is None or ramp is None or rises:
        return
    later = any(item.kind in {"for", "after"} for item in board.items[ramp.first : ramp.after])
    later = later or _FOR_NEXT.at(code, ramp.after) is not None
    later = later or any(item.is_a("time", "next") for item in board.items[ramp.first : ramp.after])
    held = span.prep in {"first", "until"} or (span.prep == "for" and later)  # "for 200 epochs, cosine" is the whole
    if held and _is_lr(board, [match], set()):
        board.note(Shape("shape", "constant", None, over=span), [match["span"]])
        named = next((p for p in (match.first - 1, match.first - 2) if board.items[p].is_a("concept", "lr")), None)
        if named is not None and match["span"] < match["value"] and board.free_number(match["value"]):
            rate = Value("value", "lr", board.items[match["value"]].value, role="initial")
            board.note(rate, [named, match["value"]])  # 学习率在前30轮恒定为0.1


def _falls_by_tens(board: Board, run: list[Match]) -> bool:
    """Whether values that follow one another, each for a time, can only be rates: each a tenth of that before."""
    if not all("value" in match for match in run):
        return False
    values = [board.items[match["value"]].value for match in run]
    spans = [board.items[match["span"]].data for match in run if "span" in match]
    timed = len(spans) == len(run) and any(span.unit for span in spans)
    return len(run) > 1 and timed and all(abs(one - 10 * other) < 1e-6 * one for one, other in pairwise(values))


def _counts(board: Board, match: Match) -> bool:
    """Whether a match has as many values as times, or one more, the initial one; a length may have several."""
    time = _time(board.items, match)
    many = sum(item.number is not None for item in board.items[slice(*match.groups["value"])])
    if time is None or time.prep == "between" or len(time.values) == 1:
        return many == 1 or time is None or time.prep not in {"at", "after", "until"}
    return many - len(time.values) in {0, 1}


def _is_lr(board: Board, run: list[Match], stated: set[float]) -> bool:
    """Whether the nearest concept before a run or within it is the learning rate, or it begins with a stated one."""
    items = board.items
    inside = {item.key for item in items[run[0].first : run[-1].after] if item.kind == "concept"}
    if inside:
        return inside <= {"lr"}
    if "value" in run[0] and items[run[0]["value"]].value in stated:
        return True  # "We use 10^-3 for 40k iterations", after "learning rate 10^-3"
    if not any(item.is_a("concept", "lr") for item in items) and _falls_by_tens(board, run):
        return True  # "10 epochs at 0.01, then 5 more at 0.001"
    breaks = 0
    for place in range(run[0].first - 1, max(-1, run[0].first - 40), -1):
        item = items[place]
        breaks += item.kind == "break"
        if item.kind == "concept" and item.key not in {"epochs_total", "steps_total"}:
            return item.key in {"lr", "lr_decay", "warmup"}
        if breaks > 1:
            return False
    return False
