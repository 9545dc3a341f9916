"""Warmups: "5-epoch warm-up", "from 0.01 to 0.1 in the first 5 epochs", 前5轮线性预热; whose length is theirs alone."""

from __future__ import annotations

import re
from collections.abc import Container

from downslope.reading.facts import Board
from downslope.reading.find_courses import subject_of
from downslope.reading.items import Item
from downslope.reading.patterns import Match, Pattern, Rules
from downslope.reading.schedule_facts import Amount, Course, Warmup
from downslope.reading.times import Time

_PARTS = {
    "filler": "(word|is|schedule|concept:lr|at|verb:increase,train|mod|of_it|cited|open|close)",
    "cited": "open (word|and){1,4} number close",
    "ramp": "((from|to|by|is|concept:lr) (number|taken)|to (word|mod|is|concept:lr){1,5} (number|taken))",
}
_LENGTHS = Rules(
    {
        "warmup for": "concept:warmup (filler|ramp|concept:warmup|for){0,8} length=time:for,first,bare,after",
        "warmup lasts 5 epochs": "concept:warmup word? verb:train length=time:bare,for",
        "warmup 10% of the steps": "concept:warmup (is|for){0,2} length=time:at",
        "warmup, in the first": "concept:warmup (filler|ramp|comma|concept:warmup){0,8} length=time:first",
        "warmup steps 500": "concept:warmup (by:factor|is|for|mod|word:的,数,量){0,5} "
        "(open? unit=unit:epoch,step (word|is|close|to){0,4})? open? number=number",
        "the first 500 are warmup steps": "for:first number=number is concept:warmup",
        "warmup steps to 500": "concept:warmup (is|word){0,1} to number=number",
        "warmup to 5 epochs": "concept:warmup to length=time:bare",
        "first ... warmup": "length=time:first (filler|comma|ramp|by|for|time|with){0,8} concept:warmup",
        "at the 1st": "length=time:at (filler|ramp|taken|from|to|comma){0,8} concept:warmup",
        "in 5 epochs ... warmup": "length=time:for (filler|ramp){0,4} concept:warmup",
        "warmup, over 1000 steps to its peak": "concept:warmup (filler|ramp|comma){0,8} length=time:for "
        "(verb|word|schedule){0,2} (to|mod:peak) mod? number",
        "epochs of warmup": "length=time:bare,for,after,next,first of=(is|word:的)? mod? schedule? concept:lr? "
        "concept:warmup",
        "5 epochs are for warmup": "length=time:bare,for,first,next,total is? (at|by|for:for|word:作,来,做,进,行){1,3} "
        "(schedule|concept:lr)? concept:warmup",
        "5 warmup epochs": "number=number word:个,步? concept:warmup unit=unit:epoch,step?",
    },
    **_PARTS,
)
_LASTS = Pattern("concept:warmup (filler|ramp|concept:warmup){0,8} comma length=time:for", **_PARTS)
_BEGIN = Rules(
    {
        "from": "(from|is) (word:a,the|concept:lr|is|mod:initial,base){0,4} value=number",
        "with": "by value=number (word|schedule|concept:lr){0,4} concept:warmup",
        "beside its length": "time (with|at) word:a,the? concept:lr (is|of_it)? value=number",
        "a smaller one": "word:smaller,lower,small,low,reduced concept:lr is? value=number",
        "up to": "value=number to number (word:的|concept:lr){0,2} concept:warmup",
        "of its own": "concept:warmup concept:lr (is|mod:initial){0,2} value=number",
    }
)
_NEITHER = Pattern("no:no (word|schedule|concept:lr,lr_decay,decay,weight_decay){1,4} and concept:warmup")
_STATED = Pattern("concept:lr (is|mod|to){0,2} rate=number")
_RISES_FROM = Pattern("from number (to (mod|concept:lr)|(word|schedule|mod:initial){0,2} concept:warmup)")
_PEAK = Pattern("to (mod|is){0,2} value=number")
_RISING = Pattern("verb:increase (word|schedule|concept:lr|is|by){0,4} to mod? peak=number", **_PARTS)
_RISES_ONLY = Pattern(
    "length=time:first (word|is|at|concept:lr){0,3} from low=number (schedule|word|is){0,3} verb:increase (comma|break)"
)
_RISES_FOR = Rules(
    {
        "rises, then when": "verb:increase (schedule|word|concept:lr|at|open){0,4} length=time:first,for",
        "when, then rises": "length=time:first (word|schedule|is|comma|at|concept:lr){0,4} verb:increase",
    }
)
_RISEN = Pattern("length=time:first (word|schedule|concept:lr|is|comma){0,4} to peak=number")
_RISEN_AFTER = Pattern("length=time:after (word|schedule|concept:lr|is|comma){0,3} to peak=number")
_WHEN = Rules(
    {
        "during": "(comma|word){0,2} length=time:for,first,until,bare",
        "inside": "(word|schedule|is|to|number|taken|from){0,6} length=time:for,first,until",
    }
)
_WITH = re.compile(r"\bwith[ _-]$")
_STOPS = ("cosine", "polynomial", "exponential")
_FALLING = re.compile(r"衰减|退火|[下递]降|降低|decay|anneal")


def find_warmups(board: Board) -> None:
    """Add a fact for every warmup, called so or only a rise at the beginning."""
    code = board.code()
    for first, last in board.sentences():
        heads = [p for p in range(first, last) if board.items[p].is_a("concept", "warmup")]
        denied = heads and any(board.items[left].is_a("no") for left in range(max(first, heads[0] - 2), heads[0]))
        denied = denied or any(match.after - 1 in heads[:1] for match in _NEITHER.find(code, first, last))
        if denied:
            length = _LENGTHS.at(code, heads[0], last)
            times = [length["length"]] if length is not None and "length" in length else []
            board.used.update(times)
            if heads[0] not in board.used:
                board.add("off", "warmup", None, [heads[0]])
        elif heads and (_is_anothers(board, first, last) or _is_in_vain(board, first, last)):
            near = range(max(first, heads[0] - 4), min(last, heads[0] + 5))
            board.used.update([*heads, *(p for p in near if board.items[p].kind == "time")])
        elif heads and heads[0] not in board.used:
            _named(board, code, heads, first, last)
        else:
            _rising(board, code, first, last)


_ELSEWHERE = re.compile(
    r"\b(?:after|during|until|since|before|in|throughout) (?:the|this|a|an|our|its|initial) (?:\w+ )?$"
)
_HEADING = re.compile(r"[ ;*-]*(?:#{1,6}|\[)[ \d.]*(?:\w+ ){0,2}")
_LISTED_THERE = re.compile(
    r"\b(?:(?:summari[sz]ed|listed|given|shown|reported|found|described) in|see|refer to) "
    r"(?:the )?(?:table|appendix|sec)"
)
_TRIED = re.compile(r"试了|试过[^;]{0,20}(?:未|没|无)|(?:未见|没有|没什么|无)(?:起色|效果|作用|提升)")
"""What is said of means that were tried in vain."""

_ANY = r"(?:[^.;\n]|\.(?=\d)){0,120}"
_USELESS = (
    r"(?:n't|\bnot|\bno|\bwithout|\bnever|\blittle)(?: \w+){0,3} (?:help|improve|improvement|matter|gain|benefit|"
    r"effect|difference|work|success|change|needed|required|necessary|advantage|worth)|\bunnecessary"
)
_IN_VAIN = re.compile(
    rf"\b(?P<tried>tried|tested|experimented|attempted|explored)\b{_ANY}(?:{_USELESS})"
    rf"|warm-? ?up{_ANY}(?:{_USELESS}|\b(?:hurts?|worse(?:ned)?|was (?:then )?(?:dropped|removed|abandoned))\b)"
    r"|\b(?:no|little) (?:gain|benefit|improvement|advantage|effect|difference)(?: \w+){0,2} (?:from|of|with|by) "
    r"(?:[\w-]+ ){0,3}warm"
)
_NEEDED = re.compile(r"\bwithout (?:an? |any |the )?(?:lr |learning[ -]rate )?warm|\bwithout which\b")


def _is_in_vain(board: Board, first: int, last: int) -> bool:
    """Whether a sentence tells of a warmup that was tried in vain; of a mere trial, where another tells of the rate."""
    words = _words(board, first, last)
    found = _IN_VAIN.search(words)
    rated = any(item.is_a("concept", "lr") for item in [*board.items[:first], *board.items[last:]])
    in_vain = found is not None and (rated or not found["tried"]) and not _NEEDED.search(words)
    return in_vain or _TRIED.search(words) is not None


_OPTION = re.compile(r"^[ ;*<-]*--$|\b(?:number|percentage|proportion|fraction|ratio) of (?:\w+ ){0,3}$")
_OF_THINGS = re.compile(
    r"\b(?:gpu|cuda|cache|memory bank|queue|bn|statistics|benchmark\w*|timing|buffer)[ -](?:(?:is|are|was|were) )?warm"
    r"|\bwarm(?:ed|s|ing)?[ -]?up (?:the |our |all )?(?:gpu|cuda|cache|memory|queue|bn|batch ?norm|statistics|buffer)"
)
"""What else than a learning rate is warmed up."""

_ANOTHERS = re.compile(r"冻结|freez|frozen|分阶段|[控权]制?权重|损失(?:的)?权重|函数来")


def _is_anothers(board: Board, first: int, last: int) -> bool:
    """Whether a sentence warms up something else than the learning rate: 预热阶段冻结主干, 高斯预热函数来控制权重."""
    if _OF_THINGS.search(_words(board, first, last)):
        return True
    told = any(item.is_a("concept", "lr") or item.kind in {"schedule", "time"} for item in board.items[first:last])
    head = next(item for item in board.items[first:last] if item.is_a("concept", "warmup"))
    numbered = any(item.kind == "number" for item in board.items[first:last])
    start, end = board.items[first].start, board.items[last - 1].end
    line = board.text.plain[board.text.plain.rfind("\n", 0, head.start) + 1 : head.start]
    if _HEADING.fullmatch(line) and not re.match(r"[^\n]*\d", board.text.plain[head.end :].split("](")[0]):
        return True
    if not numbered and _OPTION.search(line) is not None:
        return True  # "--warmup_epochs: the number of epochs of warmup"
    if not numbered and _LISTED_THERE.search(board.text.plain, start, end):
        return True  # "the number of epochs, warm-up epochs, ... are summarized in Table 1"
    if not (told or numbered) and _ELSEWHERE.search(board.text.plain, max(0, head.start - 40), head.start):
        return True  # "the other term is used after the warm-up period"
    return not told and _ANOTHERS.search(_words(board, first, last)) is not None


def _words(board: Board, first: int, last: int) -> str:
    return board.text.plain[board.items[first].start : board.items[last - 1].end]


def _named(board: Board, code: str, heads: list[int], first: int, last: int) -> None:
    """Add a warmup that is called one."""
    fact, places = Warmup("warmup", "lr", None), [*heads]
    for match in _LENGTHS.find(code, first, last):
        if _is_outside(board, heads[0], match):
            continue
        led = "number" in match and match["number"] and board.items[match["number"] - 1].kind == "from"
        if "number" in match and board.items[match["number"]].value == 0 and not led:
            board.add("off", "warmup", None, [*heads, match["number"]])
            return
        fact.length = _length(board, match)
        if fact.length is not None:
            places.append(match["length" if "length" in match else "number"])
            places += [match["unit"]] if "unit" in match else []
            break
    match = _LENGTHS.at(code, heads[0], last) if fact.length is None else None
    if match is not None and "length" in match and not _is_outside(board, heads[0], match):
        fact.length = _length(board, match)
        places += [match["length"]] if fact.length is not None else []
    for match in _LASTS.find(code, first, last) if fact.length is None else ():
        if board.plain(board.items[match["length"]]).startswith(("持续", "历时", "耗时")):
            fact.length = board.items[match["length"]].data
            places.append(match["length"])
    fact.course = _course_in(board, first, last)
    if fact.course is not None:
        fact.length = fact.length or fact.course.over
    else:
        _ends(board, code, fact, heads[0], first, last, {*places})
    around = range(max(first, heads[0] - 2), min(last, heads[0] + 3))
    lines = (place for place in around if board.items[place].is_a("schedule", "linear"))
    board.used.update(place for place in lines if not _FALLING.search(board.plain(board.items[place])))
    board.note(fact, places)
    if fact.course is not None:
        fact.end = max(fact.end, fact.course.end)


def _is_outside(board: Board, head: int, match: Match) -> bool:
    """Whether a length stands outside of the brackets with a warmup: "cosine (with warmup) for 35 epochs"."""
    outside = "length" in match and board.leaves_brackets(head, match["length"])
    return outside and board.items[match["length"]].key != "first"


def _length(board: Board, match: Match) -> Time | None:
    if "length" in match:
        time: Time = board.items[match["length"]].data
        if time.prep == "at" and not time.percent:
            return Time("for", time.values, time.unit) if time.values == (1,) and time.unit == "epoch" else None
        of = board.items[match["of"]] if "of" in match else None
        if of is not None and of.kind == "is" and board.plain(of) != "of":
            return None
        return time
    item = board.items[match["number"]]
    number = item.number
    if number is None or number.fraction or item.value <= 0:
        return None
    head = next(i for i in board.items[match.first : match.after] if i.is_a("concept", "warmup"))
    text = board.plain(head)
    unit = board.items[match["unit"]].key if "unit" in match else _unit_named(text)
    following = board.items[match.after] if match.after < len(board.items) else None
    ratio = any(
        word in board.text.plain[head.start : item.start] for word in ("ratio", "proportion", "fraction", "比例")
    )
    if number.percent or (ratio and item.value < 1):
        return Time("for", (item.value,), "", percent=True)
    if item.value < 1 or (not unit and following is not None and following.is_a("concept")):
        return None
    joined = following is not None and following.is_a("word", "+") and item.value < 100
    beside = match["number"] == match.first + 1 and (following is None or following.kind in {"comma", "break", "close"})
    unit = unit or ("step" if item.value >= 1000 else "")
    said = unit or joined or beside or any(word in text for word in ("length", "period"))
    return Time("for", (item.value,), unit) if said else None


def _unit_named(text: str) -> str:
    """Return the unit that is part of a warmup's own phrase: "warmup steps"."""
    if "epoch" in text or "轮" in text:
        return "epoch"
    return "step" if "step" in text or "iter" in text or "步" in text else ""


def _course_in(board: Board, first: int, last: int) -> Course | None:
    """Return the rising course of the learning rate in a sentence."""
    return next((fact for fact in board.inside(Course, first, last) if fact.key == "lr" and fact.rises), None)


def _ends(board: Board, code: str, fact: Warmup, head: int, first: int, last: int, taken: Container[int]) -> None:
    """Find where a warmup starts and what it leads to, by "from 0.01", "at 1e-5" and "to 0.1" around it."""
    items = board.items
    for place in range(max(first, head - 8), min(last - 1, head + 18)):
        item = items[place]
        begin = _BEGIN.at(code, place, last)
        if begin is not None and begin.rule == "of its own" and _WITH.search(board.text.plain[: item.start][-5:]):
            begin = None  # "constant-with-warmup lr 5e-7"
        if begin is not None and begin.rule == "beside its length" and not _rises_later(board, code, begin, last):
            begin = None
        if (
            begin is not None
            and (begin.rule != "from" or item.kind == "from" or _starts(board, item))
            and (place > head or begin.rule != "from" or _RISES_FROM.at(code, place, last) is not None)
        ):
            number = items[begin["value"]]
            after = items[begin["value"] + 1] if begin["value"] + 1 < last else None
            part = bool(number.number and (number.number.fraction or number.number.percent)) or (
                after is not None and (after.kind == "of_it" or board.plain(after) in {"of", "倍"})
            )
            fact.begin = Amount(number.value, number.start, number.end, part)
            board.used.add(begin["value"])
        elif (
            place > head
            and (peak := _PEAK.at(code, place, last))
            and peak["value"] not in taken
            and not _is_part(items[peak["value"]])
            and 0 < items[peak["value"]].value < 10
        ):
            number = items[peak["value"]]
            fact.peak = Amount(number.value, number.start, number.end)
            board.used.add(peak["value"])
            over = board.items[peak["value"] + 1] if peak["value"] + 1 < last else None
            if fact.length is None and over is not None and over.is_a("time", "for", "first"):
                fact.length = over.data
                board.used.add(peak["value"] + 1)
            return
        elif place > head and (
            item.is_a("schedule", *_STOPS)
            or "decay" in board.plain(item)
            or (item.kind == "schedule" and _FALLING.search(board.plain(item)))
            or item.is_a("verb", "divide", "reduce", "halve", "multiply")
        ):
            return


def _rises_later(board: Board, code: str, begin: Match, last: int) -> bool:
    """Whether a higher rate is told of behind a warmup's own: "1000 iterations with lr 1e-4, then lr is 1e-2"."""
    later = _STATED.find(code, begin.after, last)
    return any(board.items[match["rate"]].value > board.items[begin["value"]].value for match in later)


def _starts(board: Board, item: Item) -> bool:
    return item.kind == "is" and board.plain(item).startswith(("start", "begin", "began", "init", "初"))


def _is_part(item: Item) -> bool:
    return item.number is not None and item.number.fraction


def _is_risen(board: Board, match: Match, first: int) -> bool:
    """Whether the word before a peak says that the learning rate rises to it: 在前5个epoch内线性升至0.1."""
    to = board.items[match["peak"] - 1]
    named = any(item.is_a("concept", "lr") for item in board.items[first : match["peak"]])
    others = any(i.is_a("concept", "momentum", "batch", "weight_decay") for i in board.items[match.first : match.after])
    return named and not others and any(word in board.plain(to) for word in "升增提")


def _from_start(board: Board, first: int, place: int, after: int, peak: Amount) -> None:
    """Add a warmup of no known length: "starts at 0.001 and increases to a maximum of 0.01, then ..."."""
    items = board.items
    for start in range(max(first, place - 5), place):
        number = items[start + 1]
        if items[start].kind == "is" and _starts(board, items[start]) and number.number and number.value < peak.value:
            begin = Amount(number.value, number.start, number.end)
            verbs = [p for p in range(place, after) if items[p].kind in {"verb", "number"}]
            board.note(Warmup("warmup", "lr", None, begin=begin, peak=peak), [start + 1, *verbs])
            return


def _rises_alone(board: Board, code: str, first: int, last: int) -> None:
    """Add a warmup of which only the length is told: "we increase the learning rate over the first 5 epochs"."""
    for match in _RISES_FOR.find(code, first, last):
        verb = next(place for place in range(match.first, match.after) if board.items[place].is_a("verb", "increase"))
        near = [*reversed(board.items[max(first, verb - 4) : verb]), *board.items[verb + 1 : min(last, verb + 4)]]
        subject = next((item for item in near if item.kind in {"concept", "when", "other"}), None)
        amounts = any(item.kind in {"number", "by", "to", "from"} for item in board.items[max(first, verb - 2) : last])
        if subject is not None and subject.is_a("concept", "lr") and not amounts:
            board.note(Warmup("warmup", "lr", None, length=board.items[match["length"]].data), [match["length"]])
            return


def _rising(board: Board, code: str, first: int, last: int) -> None:
    """Add a warmup that is not called so: "increased linearly to 0.5 over the first 2,000 steps"."""
    items = board.items
    course = _course_in(board, first, last)
    if course is not None:
        inside = [p for p in range(first, last) if course.start <= items[p].start < course.end]
        place, after, peak = inside[0], inside[-1] + 1, None
    else:
        if (risen := next(_RISEN.find(code, first, last), None)) is not None and _is_risen(board, risen, first):
            peak = Amount(items[risen["peak"]].value, items[risen["peak"]].start, items[risen["peak"]].end)
            length = items[risen["length"]].data
            board.note(Warmup("warmup", "lr", None, length=length, peak=peak), [risen["length"], risen["peak"]])
            return
        if (risen := next(_RISEN_AFTER.find(code, first, last), None)) is not None and _is_risen(board, risen, first):
            low = next((p for p in range(risen.first - 1, first - 1, -1) if items[p].kind == "number"), first)
            if 0 < items[low].value < items[risen["peak"]].value:  # 初始为0.001, 在5轮之后增加到0.01
                begin, peak = (Amount(i.value, i.start, i.end) for i in (items[low], items[risen["peak"]]))
                length = items[risen["length"]].data
                places = [low, risen["length"], risen["peak"]]
                board.note(Warmup("warmup", "lr", None, length=length, begin=begin, peak=peak), places)
                return
        only = next(_RISES_ONLY.find(code, first, last), None)
        if only is not None and subject_of(board, first, only.first) == "lr":
            begin = Amount(items[only["low"]].value, items[only["low"]].start, items[only["low"]].end)
            length = items[only["length"]].data
            board.note(Warmup("warmup", "lr", None, length=length, begin=begin), [only["length"], only["low"]])
            return
        match = next((m for m in _RISING.find(code, first, last) if subject_of(board, first, m.first) == "lr"), None)
        if match is None:
            _rises_alone(board, code, first, last)
            return
        number = items[match["peak"]]
        if number.value >= 2 and not any(item.is_a("concept", "lr") for item in items[first:last]):
            return  # "the frames are increased to 300"
        place, after, peak = match.first, match.after, Amount(number.value, number.start, number.end)
        inside = [match.first, match["peak"]]
    when = _WHEN.at(code, after, last)
    found = when["length"] if when is not None else None
    if found is None:
        before = [p for p in range(max(first, place - 8), place) if items[p].kind == "time" and p not in board.used]
        later = any(item.is_a("for", "next") for item in items[before[-1] + 1 : place]) if before else False
        before = [] if later else before  # "0.0005 for the first 20 epochs, then raised to 0.001"
        found = next((p for p in reversed(before) if items[p].data.prep == "first"), None)
        if found is None and before and before[-1] == place - 1 and items[place - 1].data.prep == "for":
            found = place - 1  # 在5个epoch内由0增长到0.4
    over = course.over if course is not None else None
    if found is None and over is None:
        if peak is not None:
            _from_start(board, first, place, after, peak)
        elif course is not None and not course.shape and items[place].is_a("concept", "lr"):
            board.note(Warmup("warmup", "lr", None, course=course), inside)
        return
    length = over or items[found or 0].data
    verbs = [p for p in range(max(first, place - 3), after) if items[p].is_a("verb", "increase")]
    places = [*inside, *verbs, *([found] if found is not None else [])]
    board.note(Warmup("warmup", "lr", None, length=length, peak=peak, course=course), places)
