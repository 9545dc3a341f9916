"""Courses of the learning rate ("from 0.05 to 0 over 90 epochs"), and schedules by name ("a cosine down to 0")."""

from __future__ import annotations

import re

from downslope.reading.facts import Board, Value
from downslope.reading.items import Item
from downslope.reading.patterns import Match, Pattern, Rules
from downslope.reading.schedule_facts import Course, Shape
from downslope.reading.times import Time

_PARTS = {
    "between": "(verb|schedule|word|mod|is|comma|each|time|with|by|concept:lr)",
    "named": "(word|mod|is|concept:lr)",
    "over": "over=time:for,first,next,at,until",
}
_COURSES = Rules(
    {
        "from": "from is? named{0,5} low=number between{0,7} to named{0,4} high=number over?",
        "named": "concept:lr (is|word)? low=number to high=number open? schedule:cosine,linear,polynomial,exponential",
        "shape": "schedule:cosine,linear,polynomial,exponential (word|concept:lr|is|verb){0,2} (open|is) concept:lr? "
        "low=number to high=number over?",
        "arrow": "concept:lr is? low=number arrow=to high=number over?",
        "risen": "concept:lr (word|unit|time|each|for){0,3} is? low=number (word|schedule:linear){0,2} rises=to "
        "high=number",
        "warmed, over": "concept:warmup (open|is)? low=number to high=number open over=time:bare close",
        "warmed": "concept:warmup (open|is)? low=number to high=number over?",
        "verb": "(schedule|verb) is{0,2} low=number to high=number over?",
    },
    **_PARTS,
)
_TARGET = Pattern(
    "schedule (word|verb|is|concept:lr,decay|schedule|time|by:factor){0,4} (to|mod:total) "
    "(of=(mod:peak,initial,base concept:lr?) word:的)? final=number until=time:at,until?",
    **_PARTS,
)
_LENGTH = Pattern(
    "schedule (word|verb|is|to|taken|number|mod|with|by|for|at|schedule|concept:lr,decay){0,6} "
    "over=time:for,next,first,until"
)
_LENGTH_BEFORE = Pattern(
    "over=time:next (word|at|is|for:for|concept:lr){0,3} schedule:linear,cosine,polynomial,exponential"
)
_POWER = Pattern("schedule:polynomial is=is power=number")
_CALLED_POWER = re.compile(r"[系指]数|次数|幂")
_HELD = Pattern("over=time:first (word|is|concept:lr){0,3} schedule:constant")
_CYCLE = re.compile(
    r"(?:\bt_?0|(?:first|initial) (?:cycle|period|restart)|(?:cycle|period) (?:length|of)|restarts? (?:every|after)|"
    r"(?:首个?|初始|第一个)周期|周期(?:长度)?为|每隔?)[^\d.;\n]{0,12}?"
    r"(?P<length>\d{1,6})(?![\d.])(?: ?个? ?(?P<unit>epoch|轮|iter|step|步|次))?"
)
"""How long the first cycle of a schedule with restarts is."""

_DENIED = Pattern("no:no,instead .?")
_OFF = Pattern("schedule (concept:lr|schedule|word:scheduler){0,2} is no:no")
_AT_ONCE = ("chang", "switch", "改为", "更改", "变为", "变成", "调整", "调低", "调小", "调高", "调大")
"""Words for a change at once, which is no course."""

_STEPWISE = re.compile(r"分阶段|阶梯|逐级|分段|分步|step-?wise")
_ARROW = re.compile(r"→|[-=]+>|\\(?:right|to)\w*")
_WEIGHED = re.compile(
    r"(?:(?<!衰减)权重|(?<!衰减)系数|温度|概率|阈值|比例|噪声|dropout|损失)(?![^,;]*(?:学习率|lr))[^,;\d]{0,14}$"
)
"""What else has a course: 蒸馏权重λ从0.2衰减到0.1."""

_LINEAR = ("linear", "线性")
_RISES = re.compile(r"increas|\bris(?:es|ing)|ramp|warm|上升|升[至到高为]|增[加大至到长]")


_MEASURED = re.compile(r"(?:s|ms|h|min|gb|mb|m|fps|px|db|b)(?![a-z])|\s?(?:秒|小时|分钟|毫秒)")
"""A unit that no rate has."""

_ADVERBS = frozenset(
    [
        *("then", "gradually", "slowly", "first", "again", "further", "used", "training", "value", "that", "when"),
        *("once", "while", "where", "so", "following", "using", "i", "will", "be", "been", "smoothly", "steadily"),
        *("monotonically", "finally", "later", "next"),
    ]
)
"""Words before a verb that are no subject of it."""


def find_courses(board: Board) -> None:
    """Add a fact for every course from one value to another."""
    code = board.code()
    for first, last in board.sentences():
        for match in _COURSES.find(code, first, last):
            _course(board, match, first, last)


_RATED = Pattern("concept:lr (is|mod|to){0,3} rate=number")


def _is_below_a_rate(board: Board, value: float) -> bool:
    """Whether a learning rate above a value is told of: what a cycle leads down to is not its peak."""
    return any(board.items[match["rate"]].value > value for match in _RATED.find(board.code()))


def find_shapes(board: Board) -> None:
    """Add a fact for every schedule that is named, and is no part of something else."""
    code = board.code()
    for place, item in enumerate(board.items):
        if item.kind != "schedule" or place in board.used or _is_denied(code, place) or _is_anothers(board, place):
            continue
        if _is_choice(board, place):
            continue
        if _is_bare(board, item) or _NOISE.search(board.text.plain, max(0, item.start - 10), item.end + 4):
            continue
        target, length, power = _TARGET.at(code, place), _LENGTH.at(code, place), _POWER.at(code, place)
        if power is not None and _CALLED_POWER.search(board.plain(board.items[power["is"]])):
            board.note(Value("value", "power", board.items[power["power"]].value), [power["power"]])
        places, shape = [place], Shape("shape", item.key, None)
        if item.key == "onecycle":
            _note_parts(board)
        if item.key == "cyclic" and (cycle := _CYCLE.search(board.text.plain)) is not None:
            count, counted = int(cycle["length"]), cycle["unit"]
            unit = "epoch" if (counted in {"epoch", "轮"} if counted else count < 1000) else "step"
            shape.over = Time("for", (count,), unit)
            places += [p for p, i in enumerate(board.items) if i.start < cycle.end("length") <= i.end]
        if target is not None and item.key == "polynomial" and board.items[target["final"]].value >= 1:
            board.note(Value("value", "power", board.items[target["final"]].value), [target["final"]])
        elif target is not None and item.key == "onecycle":
            if _is_below_a_rate(board, board.items[target["final"]].value):
                continue  # "one cycle of cosine annealing to 0.001"
            board.note(Value("value", "lr", board.items[target["final"]].value, role="peak"), [place, target["final"]])
        elif target is not None and not _rises(board, target["final"]):
            shape.final = board.items[target["final"]].value
            shape.part = "of" in target or _is_part(board, target["final"])
            places += [target["final"]]
            if "until" in target:
                shape.until = board.items[target["until"]].data
                places += [target["until"]]
        constant = item.key == "constant"
        held = next(iter(_HELD.find(code, max(0, place - 3), place + 1)), None) if constant else None
        if held is not None:
            shape.over = board.items[held["over"]].data
            places += [held["over"]]
        elif length is not None and (constant or board.items[length["over"]].key in {"for", "next"}):
            shape.over = board.items[length["over"]].data
            places += [length["over"]] if constant else []
        else:
            before = next(iter(_LENGTH_BEFORE.find(code, max(0, place - 4), place + 1)), None)
            if before is not None and before.after == place + 1:
                shape.over = board.items[before["over"]].data
        board.note(shape, places)


_CYCLE_PART = re.compile(
    r"\b(?P<name>pct_start|(?<!final_)div_factor|final_div_factor)[ =:]{1,3}(?:(?:of|is|set to) )?(?P<value>\d)"
)


def _note_parts(board: Board) -> None:
    """Add the parts of a cycle that are called as torch calls them: "pct_start = 0.3"."""
    starts = {item.start: place for place, item in enumerate(board.items)}
    for match in _CYCLE_PART.finditer(board.text.plain):
        place, head = starts.get(match.start("value"), -1), starts.get(match.start("name"), -1)
        if board.free_number(place) and head >= 0:
            board.note(Value("value", match["name"], board.items[place].value), [head, place])


_OR = re.compile(r"或|/|\bor\b|、")
_OFFERED = re.compile(r"可选|任选|支持|可以?选择|二选一|可(?:以)?(?:使用|采用|用)|\b(?:choose|supports?|either)\b")


def _is_choice(board: Board, place: int) -> bool:
    """Whether a schedule is one of several that are offered: 可选余弦退火或指数衰减."""
    first, last = place, place + 1
    while first > max(0, place - 15) and board.items[first - 1].kind != "break":
        first -= 1
    while last < min(len(board.items), place + 15) and board.items[last].kind != "break":
        last += 1
    start, end = board.items[first].start, board.items[last - 1].end
    several = {item.key for item in board.items[first:last] if item.kind == "schedule"} - {"constant"}
    offered = _OFFERED.search(board.text.plain, start, board.items[place].start)
    return len(several) > 1 and offered is not None and _OR.search(board.text.plain, offered.end(), end) is not None


_NO_SCHEDULE = re.compile(
    r"\((?! )|[\s-](?:[a-z]+[\s-])?(?:"
    r"activat|algebra|attention|beta|block|bottleneck|classif|combin|complexity|connection|crop|"
    r"dataset|decoder|degree|dimension|distance|dynamic|embed|encoder|evaluat|filter|function of|"
    r"growth|head|image|input|interpol|kernel|layer|length|map|model|modul|moving|network|neuron|noise|"
    r"number|operat|output|part|prob|program|project|regress|seed|separab|set of|similarit|size|space|"
    r"svm|system|target|transform|unit|value|weights"
    r")"
)
"""What follows an adjective that is no schedule: linear transformation, Linear(19200, 2), cosine similarity."""


def _is_anothers(board: Board, place: int) -> bool:
    """Whether a word like "linear" is said of a part of the network, or of how something else than the rate grows."""
    item = board.items[place]
    word = board.plain(item)
    if _NO_SCHEDULE.match(board.text.plain, item.end) and word.isascii() and " " not in word:
        return True
    grows = [p for p in (place - 1, place + 1) if 0 < p < len(board.items) and board.items[p].is_a("verb", "increase")]
    first = place
    while first > 0 and board.items[first - 1].kind != "break":
        first -= 1
    if not grows:
        return False
    warms = any(other.is_a("concept", "warmup") for other in board.items)  # whose growth it is then
    return warms or subject_of(board, first, min(grows)) != "lr"


def _rises(board: Board, place: int) -> bool:
    """Whether the word before a number says that the rate rises to it: 线性升到5e-4."""
    return any(word in board.plain(board.items[place - 1]) for word in "升增提")


_RATE = re.compile(r"学习率|\blr\b|学习速率|调度|衰减|退火|下降|降低|预热|递减|schedul|decay|anneal|warm|rate")
_NOISE = re.compile(r"噪声|加噪|noise")
"""What has a schedule of its own in diffusion."""


def _is_bare(board: Board, item: Item) -> bool:
    """Whether a word for a shape stands alone, and nothing near it speaks of a rate: 余弦差异, 线性的."""
    near = board.text.plain[max(0, item.start - 24) : item.end + 16]
    words = board.plain(item)
    han = board.text.chinese or board.text.plain[max(0, item.start - 3) : item.start].rstrip()[-1:] >= "\u4e00"
    bare = words in {"余弦", "线性"} or (han and words in {"linear", "cosine", "exponential"})
    return bare and _RATE.search(near) is None


def _is_part(board: Board, place: int) -> bool:
    """Whether a number is a part of another: "to one hundredth of the initial rate", "to 10% of the peak"."""
    number, after = board.items[place].number, board.items[place + 1 : place + 2]
    if number is None or number.value >= 1:
        return False
    of_peak = any(item.kind == "star" or item.is_a("mod", "peak") for item in after)  # "decay to 0.02x peak"
    return number.percent or number.times or of_peak or (number.fraction and any(i.kind == "of_it" for i in after))


def _is_denied(code: str, place: int) -> bool:
    before = any(_DENIED.at(code, left, place) is not None for left in range(max(0, place - 2), place))
    return before or _OFF.at(code, place) is not None


def subject_of(board: Board, first: int, place: int) -> str:
    """Return the concept that a statement is of: the nearest before it in its sentence, or the learning rate."""
    for left in range(place - 1, first - 1, -1):
        item = board.items[left]
        if item.kind == "concept" and item.key not in {"warmup", "epochs_total", "steps_total", "lr_decay"}:
            return item.key
        if item.kind == "number":
            return _owner(board, first, left, place)
    for left in range(place - 1, max(first - 1, place - 6), -1):
        item = board.items[left]
        if item.kind in {"comma", "break", "open"}:
            break
        if item.kind == "word" and item.key.isascii() and item.key.isalpha() and item.key not in _ADVERBS:
            return "other"  # "the KL weight is increased from 0 to 1"
    return "lr"


def _owner(board: Board, first: int, number: int, place: int) -> str:
    """Return whose a number is that a clause goes on from: "momentum started at 0.5 and was increased"."""
    named = [item.key for item in board.items[first:place] if item.kind == "concept"]
    apart = any(item.kind == "comma" for item in board.items[number:place])
    return named[-1] if named and not apart and "lr" not in named and named[-1] in _GROWING else "lr"


_GROWING = frozenset({"momentum", "weight_decay", "batch", "other", "ema", "teacher"})


def _key_of(board: Board, match: Match, first: int) -> str:
    """Return the concept that a course is of: 蒸馏权重λ从0.2衰减到0.1 is another's."""
    start = board.items[match.first].start
    if _WEIGHED.search(re.split(r"[,;。\n]", board.text.plain[max(0, start - 24) : start])[-1]):
        return "other"
    named = any(item.is_a("concept", "lr") for item in board.items[match.first : match["low"]])
    return "lr" if named else subject_of(board, first, match.first)


def _course(board: Board, match: Match, first: int, last: int) -> None:
    items = board.items
    low, high = items[match["low"]], items[match["high"]]
    after = match["high"] + 1
    if max(low.value, high.value) >= 1000:
        return  # "reduce the iterations from 164k to 111k"
    if "arrow" in match and not (
        low.value > high.value
        and _ARROW.search(board.text.words(items[match["low"]].end, high.start))
        and any(item.is_a("schedule", "cosine", "linear", "polynomial", "exponential") for item in items[first:last])
    ):
        return
    if "rises" in match and not _RISES.search(board.plain(items[match["rises"]])):
        return
    unnamed = not any(item.is_a("concept", "lr") for item in items[first : match.after])
    if max(low.value, high.value) >= 100 and unnamed:
        return  # Linear(4096 to 1)
    if low.number and low.number.times:
        return  # "lowered 10x to 0.001"
    if _MEASURED.match(board.text.plain, low.end) or _MEASURED.match(board.text.plain, high.end):
        return  # 从6.12s压到3.00s
    part = high.number and high.number.fraction and not high.number.percent
    if part and after < last and items[after].is_a("of_it"):
        return  # "from 0.1 to a tenth of it" is a factor
    between = items[match["low"] + 1 : match["high"]]
    if any(board.plain(item).startswith(_AT_ONCE) for item in between if item.kind == "to"):
        told = any(item.is_a("concept", "lr") for item in items[max(first, match.first - 2) : match.first])
        if told and "over" not in match:
            board.note(Value("value", "lr", high.value), [match["high"]])  # 学习率从 0.06 调低到 0.03
        return
    shape = next((item.key for item in reversed(between) if item.kind == "schedule"), "")
    before = [items[place] for place in (match.first - 1, match.first) if place >= first]
    shape = shape or next((item.key for item in before if item.kind == "schedule"), "")
    shape = items[match.after - 1].key if match.rule == "named" else shape
    text = board.text.plain[items[match.first].start : high.start]
    before_it = items[max(first, match.first - 2) : match.first]
    if low.value >= 2 and any(item.is_a("concept", "epochs_total", "steps_total", "batch") for item in before_it):
        return  # "epochs from 25 to 40"
    if low.value > high.value and _RISES.search(text):
        return  # of something else: "rises to 1e-4 from warmup_bias_lr = 0.1"
    shape = shape or ("exponential" if "指数" in text or "exponential" in text else "")
    shape = shape or ("linear" if any(word in text for word in _LINEAR) else "cosine" if "余弦" in text else "")
    over = items[match["over"]].data if "over" in match else None
    within = next((item.data for item in reversed(between) if item.kind == "time"), None)
    if within is not None and over is not None and within.prep == over.prep == "at":
        length = over.values[0] - within.values[0]
        over = Time("for", (length,), over.unit) if length > 0 else None  # "from 0.01 at epoch 1 to 0.1 at epoch 5"
    else:
        over = within or over
    places = [p for p in range(match.first, match.after) if items[p].kind not in {"comma", "word", "is"}]
    places += [p for p in (match.first - 1,) if p >= first and items[p].kind == "schedule"]
    if not shape and _STEPWISE.search(text):
        board.note(Value("value", "lr", low.value, role="initial"), [match["low"]])
        board.note(Value("value", "final", high.value), [match["high"]])
        return
    before_it = items[max(first, match.first - 3) : match.first]
    at_once = not (shape or over) and any(board.plain(item).startswith(_AT_ONCE) for item in before_it)
    strange = at_once or (unnamed and max(low.value, high.value) >= 2)
    key = "other" if strange else _key_of(board, match, first)  # "when I change the rate from 0.1 to 0.01"
    if key != "lr":  # the schedule and the time behind it are not the learning rate's either
        following = range(match.after, min(last, match.after + 5))
        end = next((p for p in following if items[p].kind in {"comma", "concept"}), min(last, match.after + 5))
        places += [p for p in range(match.after, end) if items[p].kind in {"schedule", "time"}]
    board.note(Course("range", key, None, first=low.value, last=high.value, shape=shape, over=over), places)
