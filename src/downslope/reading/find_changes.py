"""How the learning rate changes, by the verbs that say so: divided, multiplied, reduced, halved, by how much and when.

A verb has its arguments to its right and, as Chinese often has it, to its left. A verb of falling may lack a factor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from downslope.reading.facts import Board
from downslope.reading.find_courses import subject_of
from downslope.reading.find_falls import pair_factors, rate_of, tells_a_fall
from downslope.reading.find_milestones import clause_of, find_milestones, find_multipliers
from downslope.reading.find_plateaus import LAX, OWN_CONCEPTS, reduce_on_plateau
from downslope.reading.items import Item
from downslope.reading.patterns import MOST, Match, Pattern, Rules
from downslope.reading.schedule_facts import Change, Plateau
from downslope.reading.times import Time

_PARTS = {
    "between": "(open mod:initial is? number close|word|is|comma|and|mod|open|close|by|to|at|with|taken|schedule"
    "|number of_it|number unit:step|each|for|of_it|target|when"
    "|concept:lr,lr_decay,epochs_total,steps_total,patience)",
    "verb": "verb:divide,multiply,reduce,halve,decimate,increase",
    "fill": "(word|is|mod:peak,final,total|by|at){0,3}",
    "rate": "(concept:lr|word:的)? comma? (with|by|is|word:其,且){0,2} "
    "(concept:lr_decay|concept:gamma|word:调,更 word:整,节,新 (word:系,因 word:数,子)?)",
    "adjust": "(word:调,更,改,变 word:整,新,变,化|word:adjusted,updated,changed,modified)",
}
_HEADS = Rules(
    {
        "verb": "verb",
        "keyed": "(concept:lr_decay unit=unit:epoch,step|concept:lr_every) is{0,2} open? "
        "points=(number ((comma|and|slash){1,2} number){1,10})",
        "noun": "concept:lr_decay|concept:gamma is? number (comma|and|word)? (time:every|time:at,after|times:at,after)"
        "|by:factor is? number word? time:every",
        "stepped": "schedule:multistep,exponential (word:调,度)* (with|is|open)? (by number|number time:every)",
        "by so much each": "by amount=number when=time:every word? schedule:exponential",
        "exponentially, by": "when=time:every schedule:exponential (is|by|word){0,2} amount=number",
        "every, adjusted": "when=time:every word:将,对,把? concept:lr? adjust (number unit:step)? comma? rate is{0,2} "
        "amount=number",
        "every, by a factor": "when=time:every word:的? concept:lr_decay is{0,2} amount=number",
        "adjusted every": "adjust when=time:every comma? rate is{0,2} amount=number",
        "by, exponentially": "when=time:every by amount=number (word:的,进,行|by){0,3} schedule:exponential",
        "step": "schedule:multistep (word|is|with|concept:lr){0,2} (time:every,at,after|times:at,after)",
        "steps": "(schedule:multistep (is|with|open|concept:lr){0,3}|concept:lr (word|is){0,3} unit:step is open) "
        "points=(number ((comma|and|slash){1,2} number){1,10})",
        "signed": "(time|times) (word|comma|open){0,2} concept:lr? (star|slash|word:x) number",
        "sign": "(star|slash|word:x) number (times:at,after|time:at,after,every|(word|comma|taken|with){0,3} when)",
    },
    **_PARTS,
)
_SIGNS = {"star": "multiply", "slash": "divide", "word": "multiply"}
_DIRECT = Pattern("(word:了,约,大约,x|star|slash)? and? amount=number")
_OF_NOUN = Pattern("fill (star|slash)? amount=number", **_PARTS)
_AMOUNT_BEFORE = [
    Pattern(f"{amount} (time:at,every|times:at)? word:进,行{{0,2}} verb:reduce,multiply")
    for amount in (
        "(word:做,按,行|is|by|with) word{0,2} amount=number (word:的|by|unit:times){1,3}",
        "by word:了,约? amount=number concept:lr_decay?",
    )
]
_ARGUMENTS = Rules(
    {
        "own": "concept:lr is own=number (by|to|from|each|at|time|times)",
        "own start": "from own=number by",
        "own, initially": "concept:lr (comma|open)? mod:initial is? number own=(comma|close)",
        "times": "(by=by fill|often=for:for)? amount=number unit:times,step",
        "magnitude": "(by fill)? size=number? magnitude",
        "target": "(to|half=at:in|up=mod:total) (fill|(word|is|mod|concept:lr){4,6}) target=number",
        "time": "when=(time|times)",
        "points": "at points=(number ((comma|and) number){0,10})",
        "of it": "concept:lr amount=number",
        "symbol": "concept:gamma (comma|word){0,5} is amount=number",
        "amount": "(by|is|with|schedule:exponential|concept:lr_decay is?) fill amount=number",
        "ratio": "of_it",
        "shape": "schedule",
        "again": "verb",
    },
    **_PARTS,
)
_TIME_BEFORE = Rules(
    {
        "a time": "when=(time:every,at,after,next|times:at,after) between{0,10} "
        "(by word? number (word:的|by|unit:times|concept:lr_decay){0,3})? verb",
        "bare": "when=time:bare (for:next|word:时){0,1} verb",
        "from a time on": "from when=time:at (word:on,onwards,onward|for:next|comma)",
    },
    **_PARTS,
)
_OWN_TIME = Pattern("when=(time:at,after|times:at,after) (word|is|for:next|concept:lr){0,3} verb", **_PARTS)
_ANOTHERS_TIME = Pattern(
    "(comma|and){1,2} (time:at,after|times:at,after) (word|is|for:next|concept:lr){0,4} verb", **_PARTS
)
_FOR_SOMETHING = Pattern("(for:for|at:in|word:on,with) (word|target)")
_STOPS = ("optimizer", "target", "no", "end", "verb")
_RAMPS = ("linear", "cosine", "polynomial")
_IF = re.compile(r"\b(?:when(?:ever)?|if|once|as soon as|each time|every time)\b|如果|若|当|一旦")
"""What makes a change wait for a measured value that is no plateau."""

_NUMBERED = re.compile(r"\s?(?:[行页章节层块组类]|个?阶段)")
_WHEN = re.compile(r"一?半?的?时")
_CONDITION = re.compile(r"当(?![前时下])|若|如果|一旦")
_WAITS = re.compile(
    r"(?:当|若|如果|一旦)(?![前时下])[^,;\d]{2,24}(?:时|时候|以?后|则|就|,)[^;\d]{0,12}$|(?:可以?|应该?|建议|考虑|最好|通常|往往)(?:将|把|再|先|适当|相应|学习率){0,3}$"
)
"""A condition or advice right before a change."""

_DONE = re.compile(
    r"(?:[后末时]|之后|结束时?)?,?(?:我们|都|还|会|进行|运行|做|一次)*(?:验证|评估|测试|保存|运行|产出|停止|终止|结束|完成|eval|valid|test|sav|report|check)"
)
"""What is done at times without a change of the learning rate, behind them."""

_KEPT = ("kept", "keep", "held", "stays", "stayed", "remains", "maintained")
_STARTS = ("初", "start", "begin", "init")
_NETWORK = re.compile(
    r"backbone|(?:last|final|output|new|fc) layer|classifier|\bhead|encoder|decoder|bias|"
    r"主干|最后一层|分类层|分类头|头部|偏置|骨干"
)
"""Parts of a network, whose factors are no schedule."""


@dataclass
class _Frame:
    """A verb and its arguments so far: the change, its places, its number, and whether that is what is left.

    `named` says whether a scheduler's name is its verb; `scoped`, whether its time was said to be for something: "at 30
    and 60 epochs for CIFAR-10".
    """

    change: Change
    places: set[int]
    amount: Item | None = None
    magnitude: float = 0.0
    ratio: bool = False
    noun: bool = False
    scoped: bool = False
    named: bool = False


def find_changes(board: Board) -> None:
    """Add a fact for every change of the learning rate."""
    code = board.code()
    refused: set[int] = set()
    others: set[int] = set()
    for first, last in board.sentences():
        previous = first
        for begin in range(first, last):
            head = _HEADS.at(code, begin, last)
            if head is None or (begin in board.used and head.rule not in {"step", "steps", "stepped"}):
                continue
            if head.rule == "noun" and begin + 1 < last and board.items[begin + 1].is_a("verb", "reduce", "multiply"):
                continue  # 以0.98衰减率衰减
            begun = _begin(board, head, begin)
            if begun is None:
                continue
            frame, place = begun
            grows = board.items[place].key == "increase" and subject_of(board, first, place) == "other"
            if head.rule == "verb" and (grows or not _is_about_lr(board, first, place, last)):
                others |= {p for p in clause_of(board, place) if p > place and board.items[p].kind == "time"}
                continue
            if head.rule in {"keyed", "steps"}:
                board.note(frame.change, sorted(frame.places))
                continue
            change = frame.change
            if head.rule == "verb":
                _take_own(board, code, frame, place, previous)
            after = _take_after(board, code, frame, place + 1, last)
            _take_before(board, code, frame, place, previous)
            plateaus = [] if change.at else [p for p in board.inside(Plateau, first, last) if not (p.stops or p.taken)]
            if head.rule == "noun" and not (plateaus or change.at or change.every):
                plateaus = [p for p in board.facts if isinstance(p, Plateau) and _is_named(board, p) and not p.taken]
            if change.every:
                plateaus = [p for p in plateaus if not _until(board, place, p)]
            if plateaus:
                change.plateau = told = max(plateaus, key=lambda p: (p.patience is not None, p.metric != ""))
                frame.places |= {p for p in range(first, last) if told.start <= board.items[p].start < told.end}
            if not _add(board, frame, place, first, last):
                refused |= {p for p in frame.places if board.items[p].kind == "time"}
            previous = max(previous, after)
    reduce_on_plateau(board)
    find_milestones(board, refused | others)
    find_multipliers(board)
    pair_factors(board)
    board.used -= refused
    board.used |= others


def _is_named(board: Board, plateau: Plateau) -> bool:
    """Whether a plateau is that of a scheduler's name, ReduceLROnPlateau, whose factor may stand elsewhere."""
    return "reduce" in board.text.plain[plateau.start : plateau.end]


_UNTIL = re.compile(r"训练[至到]|直[至到]|\buntil\b")


def _until(board: Board, place: int, plateau: Plateau) -> bool:
    """Whether training goes on until a plateau behind a verb: 每15轮乘0.98, 训练至验证损失不再提升."""
    end = board.items[place].end
    return plateau.start > end and _UNTIL.search(board.text.plain, end, plateau.start) is not None


def _begin(board: Board, head: Match, begin: int) -> tuple[_Frame, int] | None:
    """Return the frame of a head with what the head itself says, and the place of its verb; None if it is another's."""
    signed = head.rule == "signed"  # its sign stands before its number, at its end
    place = head.after - 2 if signed else begin
    item = board.items[place]
    change = Change("change", _SIGNS.get(item.kind, item.key if head.rule == "verb" else "reduce"), None)
    change.shape = item.key if head.rule == "stepped" else ""
    called = board.plain(item)  # MultiStepLR, lr_steps
    named = head.rule == "step" and (called.startswith("lr") or called.endswith(("lr", "p decay")))
    frame = _Frame(change, {place}, noun=head.rule == "noun", named=named)
    if signed:
        owned = any(i.is_a("concept", "lr", "lr_decay") for i in board.items[max(0, begin - 30) : place + 4])
        if not owned or place in board.used or board.used.intersection(range(head.first, head.after)):
            return None
        if not _take_time(board, frame, head.first):  # 第8、11个epoch学习率*0.1
            return None
    before = board.items[place - 1] if place else None
    if board.plain(item) == "lower" and before is not None and before.kind in {"number", "is"}:
        return None  # "the accuracy is 2% lower"
    if rate_of(board, item):
        return None
    if head.rule in {
        "by, exponentially",
        "exponentially, by",
        "by so much each",
        "every, adjusted",
        "adjusted every",
        "every, by a factor",
    }:
        frame.amount = board.items[head["amount"]]
        frame.places.add(head["amount"])
        place = head.after - 1
        if head["amount"] in board.used or not _take_time(board, frame, head["when"]):
            return None
    if head.rule == "stepped" and board.items[head.after - 3].kind == "open":
        place = head.after - 3  # ExponentialLR(0.95/5000)
    if head.rule in {"keyed", "steps"}:  # "LR decay epochs: 60, 120, 160", "LR steps 24 and 33"
        places = [p for p in range(*head.groups["points"]) if board.items[p].number]
        values = tuple(board.items[p].value for p in places)
        if values[0] < 1 or any(one >= other for one, other in pairwise(values)):
            return None
        change.at.append(Time("at", values, board.items[head["unit"]].key if "unit" in head else ""))
        change.listed, change.bare = head.rule == "keyed", head.rule == "steps"
        frame.places.update(places)
    return frame, place


def _is_about_lr(board: Board, first: int, place: int, last: int) -> bool:
    """Whether a verb is the learning rate's: unless its nearest subject or object is another's."""
    for right in range(place + 1, min(last, place + 3)):
        item = board.items[right]
        if item.kind in {"concept", "when", "other"} and right not in board.used:
            return item.key in {"lr", "lr_decay"}
        if item.kind == "word" and right == place + 1 and _is_object(board, right, last):
            return False
        if item.kind in {"number", "time", "by", "to", "comma", "and"}:
            break
    if _is_anothers(board, first, place):
        return False
    for left in range(place - 1, first - 1, -1):
        item = board.items[left]
        if item.kind == "number" and place - left == 1:
            owners = [board.items[p] for p in range(left - 1, max(first - 1, left - 4), -1)]
            owner = next((o for o in owners if o.kind in {"concept", "comma"}), None)
            if owner is None or owner.kind == "concept":
                return owner is None or owner.key in {"lr", "lr_decay"}
        if item.kind == "time":
            named = next((i for i in reversed(board.items[first:left]) if i.kind == "concept"), None)
            return (
                named is None
                or not named.is_a("concept", "other", "teacher", "ema")
                or any(i.is_a("concept", "lr", "lr_decay") for i in board.items[first:last])
            )
        if item.is_a("concept", "lr", "lr_decay", "warmup"):
            return True
        if item.kind == "when" and left not in board.used:
            return False  # "the weight of the auxiliary loss is divided"
        opened = left == place - 2 and board.items[place - 1].kind == "open"
        if (left == place - 1 or opened) and item.is_a("concept", "teacher", "ema"):
            return False  # EMA 衰减 0.999
        if item.is_a("concept", "other", "teacher", "ema"):
            return any(i.is_a("concept", "lr", "lr_decay") for i in board.items[first:last])
        if item.kind == "concept" and item.key not in OWN_CONCEPTS:
            return any(board.items[p].is_a("concept", "lr") for p in range(left - 1, max(first - 1, left - 5), -1)) or (
                any(board.items[p].kind == "comma" for p in range(left, place))
            )
    return True


def _is_object(board: Board, place: int, last: int) -> bool:
    """Whether a word behind a verb is what is changed, and not how: "decay the exploration rate by 0.99"."""
    word = board.items[place].key
    ours = any(item.is_a("concept", "lr", "lr_decay") for item in board.items[place : min(last, place + 5)])
    manner = word.endswith(("ly", "wise")) or word in _PLAIN_SUBJECTS or len(word) < 4
    following = board.items[place + 1] if place + 1 < last else None
    return (
        word.isalpha()
        and not (ours or (manner and word.isascii()))
        and following is not None
        and (following.kind == "by" or board.plain(following) == ":")
    )


_SUBJECTS = re.compile(
    r"\b(?:rewards?|pixels?|images?|inputs?|features?|gradients?|loss|losses|logits?|targets?|labels?|returns?|scores?|advantages?)\b"
    r"|目标函数|损失函数|奖励|通道数|分辨率|像素|图像|图片|输入|特征|梯度|损失|分数|数据|样本"
)
"""What else than a learning rate is divided or scaled."""

_PLAIN_SUBJECTS = frozenset(
    ["value", "values", "scheduler", "optimizer", "training", "one", "factor", "step", "stage", "they", "then", "each"]
)


def _is_anothers(board: Board, first: int, place: int) -> bool:
    """Whether the clause before a verb has another subject: "immediate rewards are divided by 100", 像素值除以255."""
    left = place
    while left > first and board.items[left - 1].kind not in {"comma", "break"}:
        left -= 1
    clause = board.items[left:place]
    waits = clause and _WHEN.match(board.text.plain, board.items[place].end)
    waits = waits and _CONDITION.search(board.text.plain, clause[0].start, board.items[place].start)
    if waits and not any(item.kind in {"number", "time"} or item.is_a("concept", "lr") for item in clause):
        return True  # 当剩余轮数减半时
    if any(item.kind in {"concept", "number", "time", "schedule"} for item in clause):
        return False
    if clause and _SUBJECTS.search(board.text.plain, clause[0].start, board.items[place].start):
        return True
    told = any(item.is_a("concept", "lr") for item in board.items[first:place])
    passive = len(clause) > 1 and clause[-1].kind == "is"
    subject = clause[-2] if passive else None
    return (
        not told
        and subject is not None
        and subject.kind == "word"
        and subject.key.isascii()
        and (subject.key.isalpha() and len(subject.key) > 2 and subject.key not in _PLAIN_SUBJECTS)
    )


def _take_own(board: Board, code: str, frame: _Frame, place: int, first: int) -> None:
    """Take the time right before a verb where the next clause has both again: 第30轮除以10，第60轮再除以10."""
    if next(_ANOTHERS_TIME.find(code, place + 1, min(len(code), place + 12)), None) is None:
        return
    for match in _OWN_TIME.find(code, max(first, place - 4), place + 1):
        if match.after == place + 1 and match["when"] not in board.used:
            _take_time(board, frame, match["when"])


def _take_after(board: Board, code: str, frame: _Frame, place: int, last: int) -> int:
    """Take the arguments to the right of a verb; return the place after them."""
    bare = True  # a verb's number may follow it without a preposition
    verbs = 0  # each of a row of verbs begins here: what one passes over is bounded, as in a pattern
    while place < last and verbs <= MOST:
        item = board.items[place]
        times = item.number is not None and (item.number.times or item.number.percent)
        direct = (_OF_NOUN if frame.noun else _DIRECT).at(code, place, last) if bare or times else None
        if direct is not None and _take_number(board, frame, direct, direct=True):
            place = direct.after
            continue
        if frame.change.at and _ANOTHERS_TIME.at(code, place, last) is not None:
            break
        frame.scoped = frame.scoped or (bool(frame.change.at) and _FOR_SOMETHING.at(code, place, last) is not None)
        begins = item.kind == "is" and place + 1 < last and board.plain(item).startswith(("starting", "beginning"))
        if begins and frame.change.every and board.items[place + 1].is_a("time", "at", "after"):
            _take_time(board, frame, place + 1)  # "every 30 epochs, starting from epoch 60"
            place += 2
            continue
        match = _ARGUMENTS.at(code, place, last)
        bare = match is not None and match.rule == "again"
        verbs += bare
        if match is None:
            number = item.kind == "number" and place not in board.used
            concept = item.kind == "concept" and (
                item.key not in LAX or (item.key == "lr" and _asserts(board.items, place, last))
            )
            starts = item.kind == "is" and board.plain(item).startswith(_STARTS)
            initial = item.is_a("mod", "initial") and _asserts(board.items, place, last)
            measured = item.kind == "when" and place not in board.used  # "decay at 150, but the accuracy is 2% lower"
            if number or concept or starts or initial or measured or item.kind in _STOPS:
                break
            place += 1
        elif match.rule.startswith("own"):
            place = match["own"] + (match.rule != "own, initially")
        elif (item.kind == "is" and board.plain(item).startswith(_STARTS)) or not _take(board, frame, match):
            break
        else:
            place = match.after
    return place


def _take(board: Board, frame: _Frame, match: Match) -> bool:
    """Take one argument; False if it is not the verb's."""
    change, item = frame.change, board.items[match.first]
    if match.rule == "time":
        return match.first in board.used or _take_time(board, frame, match.first)
    if match.rule == "points":
        return _take_points(board, frame, match)
    if match.rule == "shape":
        change.shape = change.shape or item.key
    elif match.rule == "ratio":
        frame.ratio = True
        frame.places.add(match.first)
    elif match.rule == "magnitude":
        size = board.items[match["size"]].value if "size" in match else 1
        frame.magnitude = frame.magnitude or 10.0 ** min(6, size)
        frame.places |= {match.first, match.after - 1}
    elif match.rule == "again":
        if item.key == "train" or frame.amount or change.targets or (frame.places and change.at):
            return False
        weaker = change.key in {"reduce", "increase"}
        if weaker:
            change.key = item.key
            frame.places.add(match.first)
    else:
        return _take_number(board, frame, match)
    return True


def _take_number(board: Board, frame: _Frame, match: Match, *, direct: bool = False) -> bool:
    change, place = frame.change, match["target" if match.rule == "target" else "amount"]
    item = board.items[place]
    number = item.number
    following = board.items[place + 1] if place + 1 < len(board.items) else None
    by_period = match.rule == "of it" and following is not None and following.is_a("time", "every")
    by_period = by_period and change.key == "reduce" and 0.01 <= item.value < 1  # "decrease the lr 0.98 for each epoch"
    if match.rule == "of it" and not (by_period or (number is not None and (number.percent or number.times))):
        return False
    if number is None or (following is not None and following.is_a("unit", "ignored", "example")):
        return False
    if change.shape in _RAMPS and match.rule == "amount" and board.items[match.first].kind == "is":
        return False  # "linearly from lr_0 = 0.1"
    if direct and following is not None and (following.kind in {"unit", "magnitude"}):
        return False
    if "up" in match and board.plain(board.items[match["up"]]) != "up to":
        return False
    if "half" in match and not (number.spelled and number.value == 0.5):
        return False
    if match.rule == "target":
        frame.ratio = frame.ratio or (number.spelled and number.ordinal)  # "to a tenth"
        frame.ratio = frame.ratio or number.fraction or number.times or (number.percent and number.value > 0)
        frame.ratio = frame.ratio or (following is not None and following.kind == "of_it")
        peak = [i.key for i in board.items[place + 1 : place + 3]] in (["*", "peak"], ["*", "initial"])
        frame.ratio = frame.ratio or peak  # "decay to 0.02x peak"
        if not frame.ratio:
            change.targets.append(number.value)
            frame.places.add(place)
            return True
    elif match.rule == "times":
        often = "often" in match or ("by" not in match and (frame.amount or change.key == "divide" or number.spelled))
        near = board.items[max(0, match.first - 6) : match.after + 3]
        timed = any(item.kind == "time" and item.data.prep in {"every", "at", "after"} for item in near)
        few = change.key == "reduce" and "by" not in match and number.value in {2, 3, 4} and not timed
        often = often or few  # "dropped 3 times prior to termination" is no third
        if board.items[match.after - 1].is_a("unit", "step") and not number.spelled:
            return False
        if often:
            change.count = int(number.value)
            frame.places |= {place, match.after - 1}
            return True
    elif number.spelled and not (number.fraction or number.times or board.items[match.first].kind == "by"):
        return False
    if frame.amount is not None and match.rule == "amount" and frame.amount.value == item.value:
        frame.places.add(place)  # "by 5 at epoch 25 and again by 5 at epoch 50"
        return True
    if frame.amount is not None or (change.targets and match.rule != "target") or change.key in {"halve", "decimate"}:
        return False
    frame.amount = item
    frame.places.add(place)
    return True


def _take_points(board: Board, frame: _Frame, match: Match) -> bool:
    """Take "at 30, 60 and 90", which have no unit, as times."""
    places = [p for p in range(*match.groups["points"]) if board.items[p].number]
    values = [board.items[place].value for place in places]
    rising = all(one < other for one, other in pairwise(values))
    if _NUMBERED.match(board.text.plain, board.items[places[-1]].end):
        return False  # 第23行
    if not rising or values[0] < 1 or (len(values) == 1 and values[0] < 5):
        return False
    frame.change.at.append(Time("at", tuple(values), ""))
    frame.places |= {*places}
    board.used.update(places)
    return True


def _take_time(board: Board, frame: _Frame, place: int) -> bool:
    """Take a time as the verb's; False if it is not."""
    change, time = frame.change, board.items[place].data
    if change.at and frame.scoped:
        board.used.add(place)
        return True  # "at 30 and 60 for CIFAR-10 and at 80 and 120 for CIFAR-100": of what is trained besides
    if time.prep == "every":
        following = board.text.plain[board.items[place].end : board.items[place].end + 16]
        if change.every is not None or _DONE.match(following.lstrip(" ,")):
            return False
        change.every = time
        held = _first_phase(board, place) if not change.at else None
        if held is not None and any(i.is_a("for", "next") for i in board.items[held:place]):
            change.at.append(
                replace(board.items[held].data, prep="after")
            )  # "0.4 for the first 8 epochs, then ... every"
            frame.places.add(held)
            board.used.add(held)
    elif time.prep == "until" and any(i.is_a("word", *_KEPT) for i in board.items[max(0, place - 3) : place]):
        return False
    elif change.at and _DONE.match(board.text.plain[board.items[place].end : board.items[place].end + 16].lstrip(" ,")):
        return False  # 在120/200epoch时降低, 并在280epoch时产出模型
    elif time.prep in {"at", "after", "until"} or (time.prep == "" and len(time.values) > 1):
        if len(time.values) > 1:
            change.every = None  # 第6轮和第9轮乘以0.1, and after each one something else
        change.at.append(time)
    elif (
        time.prep == "next"
        and not (change.at or change.targets)
        and (earlier := _first_phase(board, place)) is not None
    ):
        change.at.append(
            replace(board.items[earlier].data, prep="at")
        )  # "for the first 150k and reduced ... for the rest"
        frame.places.add(earlier)
        board.used.add(earlier)
    elif time.last and not (change.at or change.every):
        change.at.append(time)  # 最后20轮降低10倍
    elif time.prep in {"for", "first", "next"} and (change.targets or change.shape) and not (change.at or change.every):
        change.over = time
    else:
        return False
    frame.places.add(place)
    board.used.add(place)
    return True


def _first_phase(board: Board, place: int) -> int | None:
    """Return the place of the phase that comes before the one at a place, in the same sentence, if nothing used it."""
    first = place
    while first > 0 and board.items[first - 1].kind != "break":
        first -= 1
    times = [p for p in range(first, place) if board.items[p].kind == "time"]
    one = times[-1] if times else None
    fresh = one is not None and one not in board.used and board.items[one].data.prep in {"first", "for"}
    same = one is not None and board.items[one].data.unit == board.items[place].data.unit
    return one if fresh and same and not board.items[one or 0].data.percent else None


def _take_before(board: Board, code: str, frame: _Frame, place: int, first: int) -> None:
    """Take what stands before the verb: 每30轮...衰减, "from epoch 10 on"."""
    change = frame.change
    found = [match for pattern in _AMOUNT_BEFORE for match in pattern.find(code, max(first, place - 8), place + 1)]
    amount = next((match for match in found if match.after == place + 1), None)
    if amount is not None and not (frame.amount or change.targets):
        _take_number(board, frame, amount)
    if change.at:
        return
    for match in reversed([*_TIME_BEFORE.find(code, max(first, place - 14), place + 1)]):
        han = board.plain(board.items[place])[0] >= "\u4e00"
        if match.rule == "bare" and (not han or match.after != place + 1 or board.items[match.first - 1].is_a("verb")):
            continue
        if match.after == place + 1 or (match.rule == "from a time on" and change.every):
            time = board.items[match["when"]].data
            if match.rule == "bare" and match["when"] not in board.used:
                change.at.append(replace(time, prep="at"))
                frame.places.add(match["when"])
                board.used.add(match["when"])
            elif match["when"] not in board.used and not (time.prep == "every" and change.every):
                _take_time(board, frame, match["when"])
                since = match["when"] - 1  # 在前120轮之后每40轮
                if change.every and since >= first and board.items[since].is_a("time", "after"):
                    _take_time(board, frame, since)
            return


def _asserts(items: list[Item], place: int, last: int) -> bool:
    """Whether "learning rate" is followed by a value of its own, and so begins another statement."""
    following = items[place + 1 : min(last, place + 4)]
    changed = any(item.kind in {"by", "each"} or (item.kind == "verb" and item.key != "train") for item in following)
    own = [item.number for item in following if item.number]
    return any(not (n.spelled or n.times or n.percent or n.fraction) for n in own) and not changed


def _add(board: Board, frame: _Frame, place: int, first: int, last: int) -> bool:
    """Add the change that a frame tells of; False if it tells of none."""
    change, noun = frame.change, frame.noun
    if change.key == "increase" and not (
        frame.amount or frame.magnitude or change.targets or change.at or change.plateau
    ):
        return False
    if frame.amount is not None and frame.amount.number is not None:
        number = frame.amount.number
        change.value = factor_of(change.key, number.value, how="ratio" if frame.ratio else "by", percent=number.percent)
    elif frame.magnitude:
        change.value = 1 / frame.magnitude
    else:
        change.value = {"halve": 0.5, "decimate": 0.1}.get(change.key)
    if change.value is not None and not (change.at or change.every or change.plateau or change.count):
        clause = [board.items[p] for p in clause_of(board, place)]
        if change.key == "halve" and any(item.is_a("concept", "batch") for item in clause):
            return False  # "halve the batch size and the learning rate": for less memory
        if _NETWORK.search(board.text.plain[clause[0].start : clause[-1].end]):
            return False
    if change.value is not None and not (change.at or change.every or change.plateau or noun):
        start = board.items[max(first, place - 30)].start
        if _WAITS.search(board.text.plain, start, board.items[place].start):
            return False  # 当剩余轮数减半时, 可以考虑减半: when that is, nobody can know
        after = [board.items[p] for p in range(place, min(last, place + 12))]
        metric = next((item for item in after if item.kind == "when"), None)
        if metric is not None and _IF.search(board.text.plain, board.items[place].end, metric.start):
            return False
    if change.value is None and change.every and not (change.targets or change.shape):
        after = [board.items[p] for p in range(place, min(last, place + 8))]
        metric = next((item for item in after if item.kind == "when"), None)
        if metric is not None and _IF.search(board.text.plain, board.items[place].end, metric.start):
            return False  # "reduced every epoch when the validation accuracy decreases"
    if change.value is None and (noun or not (change.targets or change.plateau or change.count or change.shape)):
        if not (frame.named or tells_a_fall(board, change, place, first, last)):
            return False
        change.bare = True
    number = frame.amount.number if frame.amount is not None else None
    if noun and number is not None and number.value > 1 and not number.times:
        return False  # what is counted, and no factor
    change.noun = noun and not change.bare
    if change.value is None and not change.targets and change.shape and not (change.at or change.every):
        frame.places = {p for p in frame.places if board.items[p].kind in {"verb", "schedule", "time"}}
    board.note(change, sorted(frame.places))
    if change.plateau is not None:
        change.plateau.taken = True
    return True


def factor_of(verb: str, value: float, *, how: str, percent: bool) -> float | None:
    """Return what a change multiplies by, or None if its number cannot be one.

    Args:
        verb: "divide", "multiply", "reduce" or "increase".
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
    if verb == "multiply":
        return value
    if verb == "increase":
        return 1 + value if percent else (value if value > 1 else None)
    if percent and verb != "divide":
        return 1 - value if value < 1 else None
    return 1 / value if value > 1 else value
