"""Single values: "momentum of 0.9", "0.9 momentum", 动量设为0.9, "momentum and weight decay are 0.9 and 1e-4"."""

from __future__ import annotations

import re

from downslope.reading.beside_rates import product_at, rate_per, scaled_per_batch
from downslope.reading.facts import Board, Mention, Value
from downslope.reading.find_asides import is_aside, is_of_a_loss
from downslope.reading.find_batches import is_whole
from downslope.reading.find_falls import rate_of
from downslope.reading.patterns import Match, Pattern, encode, runs
from downslope.reading.times import Time

_VALUED = (
    "lr,momentum,nesterov,weight_decay,l2,batch,clip,dampening,nu,trust,agc,ema,eps,beta1,beta2,betas,rho,power,gamma,patience,"
    "lr_decay,lr_every,epochs_total,steps_total,other,teacher,decay"
)
_TOTALS = {"epoch": "epochs_total", "step": "steps_total"}
_SINGLE = frozenset(_VALUED.split(","))
_COUNTING = "epochs_total,steps_total,lr_every,patience"
_PARTS = {
    "valued": f"concept:{_VALUED}",
    "soft": "(word|target|mod|other|by|with|close|of_it|schedule:constant|unit:example,ignored)",
    "said": "(is|open|to)",
    "clause": "(word|mod|for|with|target|at|is|and|verb:train)",
    "separator": "(and|comma|slash)",
    "decays": "concept:weight_decay,l2",
    "aside": "open (word|is|by|at|mod|concept:batch){1,6} close",
}
_RIGHT = [
    Pattern(pattern, **_PARTS)
    for pattern in (
        "concept=valued open word:default,defaults,默认 is? number close is number=number",
        "concept=concept:weight_decay,l2,momentum,batch clause{0,8} comma with? word? size=is number=number",
        "concept=concept:agc (soft|said|concept:weight_decay){0,8} number=number",
        "concept=concept:epochs_total,steps_total,batch from number (word|unit){0,2} to number=number",
        "concept=concept:clip (soft|said|at|of_it|when|concept:clip|aside){0,12} number=number",
        "concept=decays (soft|said|decays){0,9} number=number",
        "concept=concept:momentum word{0,2} concept:beta1 is number=number (break|for|word|with|close)",
        "concept=concept:nesterov,ema soft{0,4} (said (soft|said){0,8})? number=number",
        "concept=concept:momentum (soft|concept:momentum){0,4} (said (soft|said|concept:momentum){0,8})? number=number",
        "concept=concept:lr (soft|slash|each){0,4} ((said|at) (soft|said|at){0,8})? number=number",
        "concept=concept:lr,batch,momentum,weight_decay,l2 is (and|word|target|of_it|mod){1,10} is number=number",
        "concept=concept:lr from number=number schedule:cosine,linear,polynomial,exponential",
        "concept=concept:lr for (word|unit|and|of_it){1,6} (to|is) number=number",
        "concept=concept:lr comma number=number at? mod:initial",
        "concept=concept:lr (is|for|word)? optimizer (to|is){1,2} number=number",
        "concept=concept:batch (soft|said|verb:train){1,4} number=number",
        "concept=concept:epochs_total open (word|at|comma|is|mod){0,5} number=number close",
        "concept=concept:power,batch (soft|at){0,4} ((said|at) (soft|said|at){0,8})? number=number",
        "concept=concept:other,teacher,decay (word|mod|is|open|with|target|concept:gamma){0,8} number=number",
        "concept=valued soft{0,4} (said (soft|said){0,8})? number=number",
    )
]
"""From a concept rightwards to its number, the particular ones first."""

_COUNTED = Pattern(f"concept=concept:{_COUNTING} (soft|said){{0,8}} time=time", **_PARTS)
_PERIOD = Pattern("concept:lr (is|open){0,2} time=time:bare")
_LEFT = Pattern(
    "number=number ((word:的|mod|is|schedule:constant){0,2}|for:for|is? word:used,chosen,taken word:for?) "
    "concept=valued",
    **_PARTS,
)
_ROW = Pattern("(concept=valued|unit:epoch,step word:数?)", **_PARTS)
_LINK = Pattern("separator{1,2} (word:的|mod)?", **_PARTS)
_NUMBERS = Pattern(
    "(is and)? (is|mod|to|with|open|close|word|by){0,7} first=(number|time:bare) "
    "(separator{1,2} (number|time:bare)){0,6}",
    **_PARTS,
)
_LIST = Pattern("number (separator{1,2} number)+", **_PARTS)
_CROSSED = Pattern("valued open valued close (is|to|word){1,3} number open number close", **_PARTS)
_USED_AS = Pattern(
    "number (separator{1,2} number){1,4} "
    "(is? word:used,chosen,taken,set,adopted,employed (word|for|by|is|with){0,3}|for:for) "
    "concept=valued",
    **_PARTS,
)
_RANGE = Pattern("number (word:-,~,∼,到,至,sim|to) number")
_PAIR = Pattern(
    "(concept:betas|concept:momentum? target:norm word:值?|momentum=concept:momentum"
    "|concept:beta1 separator concept:beta2) "
    "(is|close|open|word:的,values,coefficients|mod){0,5} one=number (separator{1,2}|slash) two=number close?",
    separator="(and|comma)",
)
_ALPHA = Pattern("word:α,alpha is? number=number")
_POWER = Pattern(
    "schedule:polynomial (concept:lr_decay,decay,lr|verb:reduce|by:factor){0,3} said=(word|is){1,2} number=number"
)
_CYCLE_PEAK = Pattern(
    "schedule:onecycle (with|comma|open|concept:lr|is|word){0,6} "
    "(mod:total|peaks=is|word:bound is?|mod:peak (concept:lr|is|word:value){0,3}) "
    "number=number"
)
_OF_EACH = Pattern("concept:lr is (break|comma){1,3} ((word|slash|number){1,6} is)? number=number")
_HEAVY = Pattern("optimizer:sgd open? number=number close?")
_EQUAL = Pattern("concept:beta1 is concept:beta2 is number=number")


def find_values(board: Board) -> None:
    """Add a fact for every value that a concept is given."""
    _pairs(board)
    _final_parts(board)
    _coordinated(board)
    _crossed(board)
    for match in board.matches(_POWER):
        told = (
            match.after - match.first > 3
            or board.items[match["said"]].kind == "is"
            or "系数" in board.plain(board.items[match["said"]])
        )
        if told and board.free_number(match["number"]) and board.items[match["number"]].value >= 0.5:
            board.note(Value("value", "power", board.items[match["number"]].value), range(match.first, match.after))
    for match in board.matches(_CYCLE_PEAK):
        if "peaks" in match and not board.plain(board.items[match["peaks"]]).startswith("peak"):
            continue
        if board.free_number(match["number"]) and board.items[match["number"]].value < 10:
            value = board.items[match["number"]].value
            board.note(Value("value", "lr", value, role="peak"), range(match.first, match.after))
    for match in _OF_EACH.find(board.code()):
        if board.plain(board.items[match.first + 1]) == ":" and board.items[match["number"]].value < 1:
            value = board.items[match["number"]].value  # "LR schedule:\n - CIFAR: 0.1 with decay ..."
            board.note(Value("value", "lr", value, role="initial"), [match.first, match["number"]])
    bracketed = any(closing in board.text.plain for closing in ")]}")
    for pattern in _RIGHT:
        for first, _, match in _matches(board, pattern):
            concept, number = match["concept"], match["number"]
            said = any(board.items[place].kind in {"is", "open", "to"} for place in range(concept, number))
            free = board.free_number(number) and concept not in board.used
            if "size" in match and not _SIZE.match(board.text.plain, board.items[match["size"] - 1].start):
                continue
            ranged = [
                p
                for p in range(concept, number)
                if board.items[p].kind == "to" and board.items[concept + 1].kind == "from"
            ]
            if ranged and board.plain(board.items[ranged[0]])[0] < "\u4e00":  # "from 64 to 256", which may be too much
                continue
            if free and not (
                _anothers(board, concept, number, said=said)
                or _of_several(board, concept, number, first)
                or (bracketed and is_aside(board, concept, number, first))
            ):
                between = [place for place in range(concept + 1, number) if board.items[place].kind == "concept"]
                _value(board, concept, number, [concept, *between, number], first)
    for match in board.matches(_COUNTED):
        concept, time = board.items[match["concept"]], board.items[match["time"]].data
        if match["time"] not in board.used and _may_count(concept.key, time):
            fact = Value("value", concept.key, time.values[0], unit=time.unit)
            board.note(fact, [match["concept"], match["time"]])
    for match in board.matches(_PERIOD):
        if board.plain(board.items[match.first]).startswith("step") and match["time"] not in board.used:
            time = board.items[match["time"]].data
            board.note(Value("value", "lr_every", time.values[0], unit=time.unit), [match.first, match["time"]])
    for first, last, match in _matches(board, _LEFT):
        _leftwards(board, match["number"], match["concept"], first, last)
    for place, item in enumerate(board.items):
        beside = {other.kind for other in board.items[max(0, place - 1) : place + 2]}
        if item.is_a("concept", "nesterov") and place not in board.used and "slash" not in beside:
            off = _SWITCHED_OFF.match(board.text.plain, item.end)
            board.note(Value("value", "nesterov", off is None), [place])


_LARGEST = 100
"""No learning rate is larger."""

_NO_RATE = re.compile(
    r"^\}\{|^.?_\d|^.{0,2}(?<![\d.])[\d.]+(?:\s?[行页章节篇]|\}\{|\s?/\s?[a-z](?![a-z]))|^\(\s?\d+\s?[*x]\s?\)"
)
"""What stands around a number that is a formula's denominator, or counts parts of a text."""

_FINAL_PART = re.compile(
    r"(?:(?<![a-z])lrf(?![a-z])|最终学习率的?(?:系数|因子|比例|倍率)|最终学习率(?:为|是|降[至到为])?初始学习率)[^\d;,。\n]{0,10}?(?P<part>0?\.\d+)"
)
"""The end of a schedule as a part of its beginning, as YOLO's lrf is."""


def _final_parts(board: Board) -> None:
    """Find the part of the learning rate that a schedule ends at: lrf=0.01, 最终学习率系数为0.01."""
    for match in _FINAL_PART.finditer(board.text.plain):
        places = [p for p, item in enumerate(board.items) if match.start() <= item.start < match.end()]
        if places and board.free_number(places[-1]):
            board.note(Value("value", "final_part", board.items[places[-1]].value), places)


_SIZE = re.compile(
    r"(?:\w{1,12} )?(?:coefficient|value|factor|strength|weight) |[,;] ?其?(?:系数|大小|值|数值|取值|因子)?(?:为|是)"
)
"""How a clause gives the size of what the clause before it names: 也使用权重衰减，系数为0.001."""

_SWITCHED_OFF = re.compile(r"\s?(?:momentum)?\s?[=:]\s?(?:false|no|off|0(?![\d.])|none)|\s?(?:为|设为)?(?:false|否|关)")


def _of_several(board: Board, concept: int, number: int, first: int) -> bool:
    """Whether numbers are those of several settings, of which not all are known: "jitter and lr are 1 and 2"."""
    items = board.items
    each = any(board.plain(item) in _EACH for item in items[concept:number])
    row = any(i.kind == "concept" for i in items[max(first, concept - 3) : concept]) and items[concept - 1].kind in {
        "and", "comma", "mod",
    }  # fmt: skip
    return each and row and _LIST.at(encode(items[number : number + 6]), 0) is not None


def _may_count(key: str, time: Time) -> bool:
    """Whether a time may be what a concept counts: of a period in examples nobody can know it, nor of a part."""
    return not (time.percent or time.unit == "example" or (time.prep == "every" and key != "lr_every"))


def _matches(board: Board, pattern: Pattern) -> list[tuple[int, int, Match]]:
    """Return the matches of a pattern with the sentences, as (first, after the last), that they stand in."""
    code = board.code()
    return [(first, last, match) for first, last in board.sentences() for match in pattern.find(code, first, last)]


def _pairs(board: Board) -> None:
    """Find the two betas: "betas (0.9, 0.999)", "(β1, β2) = (0.5, 0.999)", "β1 = β2 = 0.9"."""
    adams = any(isinstance(fact, Mention) and fact.key in {"adam", "adamw"} for fact in board.facts)
    for match in board.matches(_PAIR):
        one, two = match["one"], match["two"]
        if "momentum" in match and (not adams or board.items[one].value >= board.items[two].value):
            continue
        if 0 <= board.items[one].value < 1 and 0.5 <= board.items[two].value < 1:
            betas = Value("value", "betas", board.items[one].value, second=board.items[two].value)
            board.note(betas, range(match.first, match.after))
    named = [fact for fact in board.facts if isinstance(fact, Mention) and fact.key == "rmsprop"]
    for match in board.matches(_ALPHA) if named else ():
        number = board.items[match["number"]]
        near = any(fact.start <= number.start < fact.reach for fact in named)
        if near and 0.5 <= number.value < 1:
            board.note(Value("value", "rho", number.value), range(match.first, match.after))
    for match in board.matches(_HEAVY):
        named, number = board.plain(board.items[match.first]), board.items[match["number"]]
        if "momentum" in named and 0.5 <= number.value < 1:  # "momentum SGD (0.9)"
            board.note(Value("value", "momentum", number.value), [match["number"]])
    for match in board.matches(_EQUAL):
        value = board.items[match["number"]].value
        board.note(Value("value", "betas", value, second=value), range(match.first, match.after))


def _coordinated(board: Board) -> None:
    """Find "momentum and weight decay are 0.9 and 1e-4", and 动量和权重衰减均为0.9."""
    items, code = board.items, board.code()
    for first, last in board.sentences():
        for run in runs(_ROW.find(code, first, last), code, _LINK):
            concepts = [match.first for match in run if not _is_adjective(board, match.first)]
            keys = [
                _TOTALS[items[place].key] if items[place].kind == "unit" else items[place].key for place in concepts
            ]
            if len(concepts) < 2 or len(set(keys)) < len(keys) or board.used.intersection(concepts):
                continue
            if led := _led_by(board, code, concepts, first):
                for key, concept, number in zip(keys, concepts, led, strict=False):
                    _value_of(board, key, concept, [number, led[0]], first)
                continue
            match = _NUMBERS.at(code, concepts[-1] + 1, last)
            if match is None:
                continue
            start = match.groups["first"][0]
            numbers = [place for place in range(start, match.after) if items[place].kind in {"number", "time"}]
            counted = len(numbers) if len(numbers) <= len(concepts) else 0
            connected = any(items[place].kind in {"is", "to", "open"} for place in range(match.first, start))
            if counted and _is_counted(board, numbers[-1]):
                continue
            if counted == len(concepts):
                pairs = list(zip(keys, concepts, numbers, strict=True))
                if any(not _is_total(board, key, number) for key, _, number in pairs if key in _TOTALS.values()):
                    continue
                if any(items[number].kind == "time" for key, _, number in pairs if key not in _TOTALS.values()):
                    continue
                for key, concept, number in pairs:
                    if items[concept].kind == "unit" and not _opens(board, concept, first):
                        board.used.add(number)  # "diffusion steps and batch size are 1000 and 64"
                        continue
                    whole = [numbers[-1]] if concept == concepts[0] and len(concepts) > 2 else []
                    _value_of(board, key, concept, [number, *whole], first)
            elif counted and connected and items[numbers[0]].kind == "number" and _both(board, concepts[0], first):
                for concept in concepts:
                    _value(board, concept, numbers[0], [concept, numbers[0]], first)


def _opens(board: Board, place: int, first: int) -> bool:
    """Whether epochs or steps are those of the training: no word before them says of what else."""
    before = board.items[place - 1] if place > first else None
    plain = before is not None and before.is_a("word", "where", "training", "the", "with", "that", "of")
    return (
        before is None
        or plain
        or before.kind in {"comma", "and", "open", "mod", "optimizer"}
        or before.is_a("verb", "train")
    )


def _is_total(board: Board, key: str, number: int) -> bool:
    """Whether a number or time may be how long training takes: a whole number of what its name counts."""
    item = board.items[number]
    if item.kind == "number":
        return item.value >= 1 and float(item.value).is_integer()
    return len(item.data.values) == 1 and not item.data.percent and _TOTALS.get(item.data.unit, key) == key


def _value_of(board: Board, key: str, concept: int, numbers: list[int], first: int) -> None:
    """Add the value of one of several, whose place comes first: 批次和轮数设置为64和300轮."""
    item = board.items[numbers[0]]
    if item.kind == "number" and board.items[concept].kind == "concept":
        _value(board, concept, numbers[0], [concept, *numbers], first)
        return
    value = item.value if item.kind == "number" else item.data.values[0]
    unit = next(unit for unit, total in _TOTALS.items() if total == key)
    board.note(Value("value", key, value, unit=unit), [concept, *numbers])


def _led_by(board: Board, code: str, concepts: list[int], first: int) -> list[int]:
    """Return the places of the numbers that a row of settings follows: "0.9 and 5e-4 are used as momentum and ..."."""
    for match in _USED_AS.find(code, max(first, concepts[0] - 16), concepts[0] + 1):
        numbers = [place for place in range(match.first, match.after) if board.items[place].kind == "number"]
        if match["concept"] == concepts[0] and 1 < len(numbers) <= len(concepts):
            return numbers
    return []


def _crossed(board: Board) -> None:
    """Find "the momentum (weight decay) is 0.9 (5e-4)"."""
    for first, _, match in _matches(board, _CROSSED):
        one, other, value, aside = match.first, match.first + 2, match.after - 4, match.after - 2
        if board.items[one].key != board.items[other].key and not board.used.intersection((one, other)):
            for concept, number in ((one, value), (other, aside)):
                _value(board, concept, number, [one, concept, number, match.after - 1], first)


def _is_adjective(board: Board, place: int) -> bool:
    """Whether a concept only says which momentum the next is: "Nesterov momentum and weight decay are 0.9 and 1e-4"."""
    after = board.items[place + 1 : place + 2]
    return board.items[place].key == "nesterov" and any(item.is_a("concept", "momentum") for item in after)


def _is_counted(board: Board, place: int) -> bool:
    """Whether a number counts something that is no setting: 8块GPU."""
    return place + 1 < len(board.items) and board.items[place + 1].is_a("unit", "ignored", "times")


def _both(board: Board, place: int, first: int) -> bool:
    before = board.items[max(first, place - 2) : place]
    return any("both" in board.plain(item) for item in before) or any(
        board.plain(item) in {"均为", "都为", "均设置为", "都设置为", "均设为", "都设为"}
        for item in board.items[place : place + 6]
    )


def _anothers(board: Board, concept: int, number: int, *, said: bool) -> bool:
    """Whether what follows a number says that it is not this concept's: "learning rate, 8 GPUs"."""
    key, items = board.items[concept].key, board.items
    following = items[number + 1] if number + 1 < len(items) else None
    aside = items[max(concept, number - 3) : number + 1]
    latin = len(aside) == 4 and len(aside[1].key) < 3 and aside[1].key < "\u0370"
    if latin and _OTHER_SYMBOL.at(encode(aside), 0) is not None:
        return True
    if key == "lr" and items[number].number.fraction and items[number - 1].is_a("word", "的"):  # type: ignore[union-attr]
        return True  # 学习率(预训练时的1/10)
    if following is None:
        return False
    if key == "lr" and following.is_a("by", "factor") and items[number - 1].kind in {"by", "with"}:
        return True  # 学习率以0.1的倍率下降
    if following.kind == "unit":
        return (
            following.key in {"ignored", "times"}
            or (following.key == "example" and key != "batch")
            or (following.key in {"step", "epoch"} and key not in {*_COUNTING.split(","), "other"})
        )
    if following.kind == "concept" and not said and following.key != key and following.key in _SINGLE:
        after = items[number + 2] if number + 2 < len(items) else None
        return not (after is not None and after.kind in {"is", "number"})
    return False


_SEVERAL = re.compile(r"(?:rates|decays|sizes|momentums|coefficients|values)$")
"""Settings of which a number before them says how many there are: "3 learning rates"."""

_OTHER_SYMBOL = Pattern("(at|with|open|when|word:where) word is number")
"""A symbol's own value in an aside: "gradient clipping (when T = 8)"."""

_CHOSEN = re.compile(
    r"\b(?:tried|try|sweep|swept|search|searched|searching|candidate|candidates|grid|tune|tuned|tuning|explored?|varied|vary|"
    r"choose from|chosen from|selected from|picked from|among|ablat\w*)\b|搜索|尝试|试过|候选|网格|之间选|中选"
)
"""Words of a sentence that offers values instead of stating them."""

_REFUSED = re.compile(
    r"[^.;\d]{0,30}?(?:\bwhich (?:gave|was|made)\b[^.;\d]{0,20}\b(?:slow|poor|bad|unstable)"
    r"|\bbut (?:after|later|then|finally)\b|\bdiverge"
    r"|\btoo (?:high|large|low|small|big|slow|fast|aggressive|unstable)\b|是不是太|太大|太小|过大|过小|过高|发散)"
)
"""What a sentence says of a value that is not used: "a rate of 0.001 is too high, we use 0.0002"."""

_SEARCHED = re.compile(r"[^,;。)]{0,6}(?:之间|范围|搜索|区间)")
_THEIRS = re.compile(
    r"\bunlike\b|\b(?:paper|authors?|baseline)\b[^.;]{0,20}\b(?:uses?d?|has|had|says?|sets?)\b|原论文|原文|不同于|与.{1,12}不同"
)
_OURS = re.compile(r"[^.;]{0,60}?(?:\b(?:but|we|however)\b|但|我们|本文|这里|此处|本(?:项目|仓库|实验|代码|次)|复现)")
"""Words before a value that say that it is others', and after it that the text's own follows."""

_FORMULA = re.compile(r"\s?\*?\s?[(\[]\s?(?:1\s?[-+](?!\s?cycle)|\\?cos(?!ine))")
"""What follows a number within a formula: 0.5(1 + cos(...))."""

_UP_TO = re.compile(r"\s?[-~]\s?[a-z](?![a-z])")
"""What follows a number from which a range begins: 1-N."""

_BOUND = re.compile(r"[∝≤≥≪≫<>]|[小大低高]于(?!等)|不少于|至少|\\(?:leq?|geq?|propto)")
"""What stands between a letter and what bounds it."""

_USUAL = re.compile(r"通常|一般|往往|建议|推荐|\b(?:usually|typically|commonly|recommend\w*)\b")
"""Words of advice: a range behind them is no course."""

_KEY = re.compile(r"\s?:\s?\d")
"""What follows a number that is the key of another: {30: 0.1}."""

_SHARED = re.compile(r"[^.;\n]{0,80}?(?:\brespectively|\bfor\b|\bon\b|\bin\b|\beach\b|分别|依次)")
"""What says of a list whose its values are: "batch sizes of 64 and 128 for CIFAR and ImageNet"."""

_EACH = frozenset({
    "are", "were", "are set to", "分别", "依次", "依次取", "依次为", "分别为", "分别设为", "分别设置为",
    "分别是", "分别取",
})  # fmt: skip
_RATED = frozenset({"lr", "momentum", "weight_decay", "l2", "batch"})
_SETTINGS = frozenset({"lr", "momentum", "weight_decay", "l2", "batch", "dampening", "nu", "trust", "agc"})


def _is_offered(board: Board, concept: int, number: int, first: int) -> bool:
    """Whether a number is one of several to choose from, an end of a range, or a part of a formula: no value."""
    items, plain = board.items, board.text.plain
    if _KEY.match(plain, items[number].end):
        return True
    if items[number - 1].kind == "slash" and items[number - 2].kind == "concept":
        return True  # "it starts at lr / 20"
    if _UP_TO.match(plain, items[number].end):
        return True
    if items[concept].key not in _SETTINGS:
        ranged = _RANGE.at(encode(items[number : number + 3]), 0) is not None
        chosen = [board.plain(item) for item in items[number + 1 : number + 2]] == ["or"]  # "change it to 60 or 30"
        return (ranged or chosen) and items[concept].key == "epochs_total"
    before = plain[items[number - 1].start : items[number - 1].end] if number else ""
    if _FORMULA.match(plain, items[number].end) or before in {"between", "介于"}:
        return True
    if items[concept].key in _RATED and _BOUND.search(plain, items[concept].end, items[number].start):
        return True
    theirs = _THEIRS.search(plain, items[first].start, items[number].start)
    if _REFUSED.match(plain, items[number].end) or (theirs and _OURS.match(plain, items[number].end)):
        return True
    if items[concept].key == "lr" and items[number].value >= 2 and items[number - 1].kind == "at":
        return True
    near = items[number - 1 : number + 5]
    code = encode(near)
    if _SEARCHED.match(plain, items[number].end):
        return True
    if ranged := _RANGE.at(code, 1):
        before = plain[items[first].start : items[number].start]
        course = items[concept].key == "lr" and near[2].kind == "to" and ranged.after < 5
        rises = near[0].kind == "open" and near[3:4] and near[1].value < near[3].value
        course = course and not (rises and near[0].kind == "open")
        return bool(_USUAL.search(before) or _CHOSEN.search(before)) or not course
    listed = _LIST.at(code, 1)
    if listed is None:
        return False
    after = number - 1 + listed.after
    if after < len(items) and items[after].kind in {"concept", "unit", "time"}:  # the last is that one's
        return False
    if any(plain[item.start : item.end] in {"or", "或"} for item in near[2 : listed.after]):
        return True
    if board.plain(items[concept]).endswith(("sizes", "rates")) and not _SHARED.match(plain, items[after - 1].end):
        return True  # "batch sizes of 32, 64 and 128 give the same result"
    braced = near[0].kind == "open" and near[0].key in {"{", "["}
    return braced or _CHOSEN.search(plain, items[first].start, items[number].start) is not None


def _is_stride(board: Board, value: float, first: int, number: int) -> bool:
    """Whether a step that is called 步长 is none of the optimizer's."""
    apart = _STRIDES.search(board.text.plain, board.items[first].start, board.items[number].end + 12)
    return value >= 1 or "学习率" in board.text.plain or apart is not None


def _around(board: Board, number: int) -> str:
    """Return a number with the little that stands beside it."""
    item = board.items[number]
    return board.text.plain[item.start - 2 if item.start > 2 else 0 : item.end + 5]


def _is_no_rate(board: Board, concept: int, number: int, first: int) -> bool:
    """Whether a number beside "learning rate" is none: "the 1980s", 学习率趋于0时, a formula's denominator, 1 / T."""
    item = board.items[number]
    value = item.number.value if item.number else 0
    if value >= 1 and (value >= _LARGEST or _OF_ALL.search(board.text.plain)):
        return True  # by which the rate of all is multiplied: 权重使用学习率1, 偏置使用学习率2
    if 0 < value < 1:
        return True  # by what stands around it
    if _NO_RATE.search(_around(board, number)):
        return True
    return not value and not _role(board, concept, first, number)


def _value(board: Board, concept: int, number: int, places: list[int], first: int) -> None:
    """Add the value of a concept, with what stands around it."""
    items = board.items
    item, amount = items[concept], items[number].number
    assert amount is not None  # noqa: S101 - the caller has a number's place
    key = item.key
    signed = board.plain(items[number])[0] == "+"  # "59% of the learning rate recovered +6.0pp"
    if amount.times or signed or _is_offered(board, concept, number, first):
        board.refused.add(number)
        return
    counted = number + 1 < len(items) and items[number + 1].is_a("word", "个", "种", "组")
    if amount.spelled and (
        board.plain(items[number]) == "一"
        or (key == "batch" and items[number].start == item.end)
        or (counted and key in {"epochs_total", "steps_total"})
    ):
        return  # 批量归一, 训练轮数: 两个模型各300轮
    if (
        key == "lr"
        and (
            not 0 < amount.value < 1
            or _NO_RATE.search(
                board.text.plain[items[number].start - 2 if items[number].start > 2 else 0 : items[number].end + 5]
            )
        )
        and _is_no_rate(board, concept, number, first)
    ):
        board.refused.add(number)
        return
    if key == "lr" and (amount.percent or (amount.spelled and amount.value >= (0.1 if amount.fraction else 1))):
        return  # "we drop the learning rate twice", "to 80% of its value"
    if key == "momentum" and amount.percent and amount.value < 0.5:
        board.refused.add(number)  # "SGD + momentum | 3.20 %" is an error
        return
    named = board.plain(item)
    if key == "lr" and any(
        i.is_a("word", "ratio") or board.plain(i) == "ratio of" for i in items[concept + 1 : number]
    ):
        return  # "a minimum learning-rate ratio of 0.1"
    if key == "lr" and _is_a_part(board, concept, number):
        return  # 最终学习率系数lrf=0.1
    if key == "clip" and _is_no_norm(board, concept, number, first):
        return
    if key == "lr_decay" and (of := rate_of(board, item)):
        if of == "moment":
            return
        key = of
    averages = [p for p in range(max(first, concept - 9), concept) if key == "ema" and items[p].is_a("concept", "ema")]
    places = [*places, *averages]  # of "EMA with momentum 0.999" the momentum alone would be another's
    if (key == "batch" and _is_other_batch(board, concept, first)) or (
        key == "ema" and _OF_NO_MODEL.search(board.text.plain, items[first].start, items[number].end + 12)
    ):
        return
    if key == "decay" and any(_NOUN.fullmatch(board.plain(i)) for i in items[concept + 1 : number] if i.kind == "word"):
        return  # "decay the exploration rate by 0.99"
    if named == "步长" and amount.value < 2 and _is_stride(board, amount.value, first, number):
        return  # of something else: 从0.125到1.5, 步长0.125
    if is_of_a_loss(board, key, named, amount.value, first, number):
        return
    if key == "lr" and named.startswith(("step", "步长")) and amount.value >= 2 and float(amount.value).is_integer():
        key = "lr_every"  # "step size = 30, gamma = 0.1"
    if key in {"lr", "batch"} and (product := product_at(board, number)) is not None:
        value, last = product
        board.note(Value("value", key, value, product=True), [*places, last])
        board.used.update(range(number, last + 1))
        return
    value = amount.value
    if key == "steps_total" and value < 1:
        key = "lr"  # 训练步长为0.01
    more = _THOUSANDS.match(board.text.plain, items[number].end) if key in {"steps_total", "batch"} else None
    if more is not None and (key != "batch" or (value % 4 == 0 and value not in _POWERS and not int(more[1]) % 32)):
        value = value * 1000 + int(more[1])  # 训练步数为500,500: of a total there is no list
        places = [*places, number + 2]
    role = "total" if is_whole(board, concept) else _role(board, concept, first, number)
    fact = Value("value", key, value, role=role)
    if key == "batch" and _EFFECTIVE.search(board.text.plain, max(0, item.start - 10), item.start):
        fact.role = "total"
    if key == "lr":
        fact.per_batch = scaled_per_batch(board, number)
    if key in {"lr", "clip"}:
        fact.per = rate_per(board, number, concept)
    board.note(fact, places)


_OF_NO_MODEL = re.compile(
    r"\b(?:bn|batch[ -]?norm\w*|(?:batch|running) stat\w*|(?:running|smoothed) (?:loss|reward)\w*)\b"
    r"|[\d.]+ (?:per|every|each) "
)
"""What else is averaged, and a factor of each epoch."""

_OF_ALL = re.compile(r"(?:全局学习率|(?<![a-z])global (?:learning rate|lr)\b)[^\d;]{0,8}(?:0?\.\d|\d(?:\.\d)?e-|10\^)")
_STRIDES = re.compile(r"阈值|范围|区间|搜索|窗口|递[增减]|[按以]步长")
_PART_OF = re.compile(r"系数|比例|倍率|\blrf\b|\bratio\b|multipl")
_EFFECTIVE = re.compile(r"(?:等效|有效|effective)\s?$")
BY_VALUE = re.compile(r"\bby value\b|value clip|element-?\s?wise|component|each element|±|逐元素|按[数元]?值")
"""How gradients are clipped number by number, for which a recipe has no field."""

_GRADIENT = re.compile(r"梯度|范数|grad|norm")
_POWERS = frozenset(2**power for power in range(11))
_THOUSANDS = re.compile(r",(\d{3})(?![\d.]|,\d)")
_HELD_OUT = re.compile(r"\b(?:test|eval|infer|val(?:id)?)\w*|测试|推理|评估|验证")
_TRAINED = re.compile(r"\btrain|训练")
_BOTH = re.compile(r"\btrain\w*\s?(?:/|and|&)\s?\w+|训练(?:和|与|/)(?:测试|验证)")
_PARTIAL = re.compile(r"(?:\bmicro|\brpn|\brois?|\banchors?|\bproposals?|\bqueue|\bmemory)[\s-]*$")


def _is_a_part(board: Board, concept: int, number: int) -> bool:
    """Whether a number is a part of another rate, by the words before it and before any other setting's name."""
    others = (item.start for item in board.items[concept + 1 : number] if item.kind == "concept")
    end = next(others, board.items[number].start)
    return _PART_OF.search(board.text.plain, board.items[concept].start, end) is not None


def _is_no_norm(board: Board, concept: int, number: int, first: int) -> bool:
    """Whether what is cut is no gradient's norm: 截断至20个词, "clipped by value"."""
    plain, item, end = board.text.plain, board.items[concept], board.items[number].start
    if BY_VALUE.search(plain, max(0, item.start - 40), board.items[number].end + 12):
        return True
    bare = board.plain(item) in {"裁剪", "截断", "剪裁"}
    return bare and not _GRADIENT.search(plain, board.items[first].start, end)


def _is_other_batch(board: Board, concept: int, first: int) -> bool:
    """Whether a batch is not the training's: one for testing, of regions of an image, or of a part of a step."""
    end = board.items[concept].start
    before = board.text.plain[max(board.items[first].start, end - 60) : end]
    labelled = _HELD_OUT.match(before) is not None and ":" in before[:20]
    clause = before if labelled else re.split(r"[,;]", before)[-1]
    clause = _BOTH.sub("", clause)
    tested, trained = ([m.end() for m in p.finditer(clause)][-1:] for p in (_HELD_OUT, _TRAINED))
    return _PARTIAL.search(before) is not None or (bool(tested) and tested > trained)


_NOUN = re.compile(r"(?!rate|factor|value|coeff|param|term|const|used|weight|strength|with|then|this)[a-z]{4,}")


def _role(board: Board, place: int, first: int, number: int) -> str:
    """Return "initial", "peak", "final" or "base" where a word near the concept says so."""
    items = board.items
    own = [*range(place + 1, number)]
    for near in range(place - 1, max(first - 1, place - 4), -1):
        if items[near].kind in {"number", "concept", "comma", "time"}:
            break
        own.append(near)
    told = next((items[p].key for p in own if items[p].is_a("mod", "initial", "peak", "final", "base")), "")
    starts = (items[p] for p in range(place + 1, number) if items[p].kind == "is")
    told = told or ("initial" if any(board.plain(i).startswith(("start", "begin")) for i in starts) else "")
    led = place > first and items[place - 1].kind == "to" and len(own) > 1  # "decays to η_T = 0.001"
    led = led and not any(item.is_a("verb", "increase") for item in items[max(first, place - 4) : place])
    return told or ("final" if led and items[number - 1].kind == "is" else "")


def _leftwards(board: Board, place: int, right: int, first: int, last: int) -> None:
    """Attach a number to the concept that follows it: "0.9 momentum", 0.9的动量, "0 dampening", 512的批量大小."""
    items = board.items
    number, key = items[place].number, items[right].key
    if number is None or not board.free_number(place) or key in {"other", "epochs_total", "steps_total", "clip"}:
        return
    if (number.spelled and number.value != 0) or (right in board.used and key != "nesterov"):
        return
    if board.plain(items[right]) in {"η", "λ", "μ", "eta"}:
        return  # 2η within a formula
    if key == "lr" and _PART_OF.match(board.text.plain, items[right].end):
        return  # lrf=0.01: 最终学习率系数
    if place > first and (items[place - 1].is_a("word", "+") or (key == "l2" and items[place - 1].kind == "star")):
        return  # a term of a sum
    if board.text.plain[items[place].end : items[place].end + 1] == ".":
        return  # the number of a heading
    if _SEVERAL.search(board.plain(items[right])) and float(number.value).is_integer() and number.value:
        return
    if key == "batch":
        words = board.plain(items[right])
        if right + 1 < last and words.endswith("batches") and board.plain(items[right + 1]).startswith("per "):
            return  # "4 mini-batches per epoch"
        valued = right + 1 < last and (items[right + 1].kind == "number" or _said(board, right + 1, last))
        taken = (
            place > first and items[place - 1].kind == "is" and place - 1 > first and items[place - 2].kind == "concept"
        )
        if (
            valued
            or taken
            or not words.endswith(("size", "sizes", "batch", "batches", "大小", "量", "批", "次", "尺寸"))
        ):
            return
        if not float(number.value).is_integer() or number.value < 1:
            return
    if key == "nesterov" and right + 1 < last and items[right + 1].is_a("concept", "momentum"):
        board.note(Value("value", "nesterov", True), [right])
        right += 1
    _value(board, right, place, [place, right], first)


def _said(board: Board, place: int, last: int) -> bool:
    return board.items[place].kind == "is" and place + 1 < last and board.items[place + 1].kind == "number"
