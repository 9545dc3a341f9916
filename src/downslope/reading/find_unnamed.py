"""Values that no name stands beside: where a rate starts, settles or ends, and what gradients must not exceed."""

from __future__ import annotations

import re

from downslope.reading.facts import Board, Value
from downslope.reading.find_values import BY_VALUE
from downslope.reading.patterns import Match, Pattern
from downslope.reading.plan import RAMPS
from downslope.reading.schedule_facts import Change, Course, Shape


def find_unnamed(board: Board) -> None:
    """Add a fact for every such value that a sentence has, where nothing else tells it."""
    for first, last in board.sentences():
        _find_start(board, first, last)
        _find_threshold(board, first, last)
    _find_floors(board)
    _find_ends_of_ramps(board)
    _find_settled(board)


_STEP = Pattern("unit:step is{0,2} number=number")
_STARTS = Pattern(
    "(starts=is|from=from|mod:initial,base,peak (by:factor|word:value,with,the|is){0,2}|rate=by:factor|"
    "is mod:initial is?) number=number"
)


def _find_start(board: Board, first: int, last: int) -> None:
    """Find a start whose rate is not named beside it: "decreased every 10 epochs, starting from 0.1"."""
    if board.of("value", "lr"):
        return
    for match in _STEP.find(board.code(), first, last):
        if board.plain(board.items[match.first]) == "step" and 0 < board.items[match["number"]].value < 1:
            board.note(Value("value", "lr", board.items[match["number"]].value), [match.first, match["number"]])
            return
    changed = board.has("change", "shape", "levels")
    for match in _STARTS.find(board.code(), first, last):
        place = match["number"]
        words = board.plain(board.items[match.first])
        if "starts" in match and not words.startswith(("start", "begin", "began", "init", "初")):
            continue
        of_rate = words.startswith("rate of")
        if of_rate and match.first > first and board.items[match.first - 1].kind == "word":
            continue  # "a frame rate of 1/32"
        counted = place + 1 < last and board.items[place + 1].kind in {"unit", "schedule"}
        if (
            board.items[place].value > 0
            and (changed or of_rate)
            and (of_rate or "rate" not in match)
            and not counted
            and board.items[place].value < 100
        ):
            board.note(Value("value", "lr", board.items[place].value, role="initial"), [match.first, place])
            return


def _find_threshold(board: Board, first: int, last: int) -> None:
    """Find a clipping threshold told apart from its verb: "scaling the gradient when its norm exceeded 5"."""
    items = board.items
    heads = [place for place in range(first, last) if items[place].is_a("concept", "clip")]
    start, end = items[first].start, items[last - 1].end
    told = any(start <= fact.start < end for fact in reversed(board.of("value", "clip")))
    if told or _limit(board, first, last) or not heads or BY_VALUE.search(board.text.plain, start, end):
        return
    marks = ("exceed", "greater", "larger", "above", "threshold", "超过", "大于", "阈值")
    for place in range(heads[0] + 1, last):
        before = [board.plain(item) for item in items[max(first, place - 3) : place]]
        if board.free_number(place) and any(text.startswith(marks) for text in before):
            board.note(Value("value", "clip", items[place].value), [heads[0], place])
            return


_LIMITING = re.compile(
    r"clip|limit|constrain|restrict|scale|normali|\bcap|bound|裁[剪切]|剪裁|截断|限制|上限|最大|缩放"
)
_NO_LIMIT = re.compile(r"penal|惩罚|lipschitz|until|stop|converg|toleran|停止|收敛|直到|噪声|noise")
_OTHERS_LIMIT = re.compile(
    r"checkpoint|scaler|accumul|loss scal|batch|token|sequence|pixel|image|without|memory|"
    r"序列|图像|检查点|累[积加计]|长度|边长|像素"
)
"""What else a clause limits."""

_COUNTED_THINGS = re.compile(
    r"[\d.]* ?(?:tokens|pixels|steps|layers|groups|frames|epochs|gpus|words|samples|个|像素|层|步|轮)"
)
_BEFORE_LIMIT = (
    r"(?:[ (=:]|of|is|was|at|to|with|set|equal|value|be|by|l2|设置|设定|设|取|上限|限制|裁剪|[为是到至在]){0,9}"
)
_NORMED = (
    r"(?:threshold|norms?|limit(?:ed)?|exceeds?|exceeded|(?:larger|greater|more|higher) than|above|at most|"
    r"阈值|范数|上限|超过|大于)"
)
_LIMIT = re.compile(
    rf"{_NORMED}{_BEFORE_LIMIT}(?P<number>\d)|以(?P<before>\d)[\d.]{{0,8}}为(?:最大)?(?:阈值|范数|上限)"
)
"""How the largest norm of a gradient is told: "their norm exceeds 5", 以5为阈值."""


def _limit(board: Board, first: int, last: int) -> bool:
    """Find what a sentence says the gradients' norm is limited to, and say whether it does."""
    start, end = board.items[first].start, board.items[last - 1].end
    sentence = board.text.plain[start:end]
    if "grad" not in sentence and "梯度" not in sentence:
        return False
    if not _LIMITING.search(sentence) or _NO_LIMIT.search(sentence) or BY_VALUE.search(sentence):
        return False
    for match in _LIMIT.finditer(sentence):
        number = start + match.start("before" if match["before"] else "number")
        place = next((p for p in range(first, last) if board.items[p].start == number), last)
        ours = re.search(r"grad|梯度", sentence[max(0, match.start() - 60) : match.end() + 30]) is not None
        clause = re.split(r"[,;，；]", sentence[: match.end()])[-1] + re.split(r"[,;，；]", sentence[match.end() :])[0]
        limited = _LIMITING.search(sentence[: match.start()] + " " + sentence[match.end() :]) or "范数" in clause
        counted = _COUNTED_THINGS.match(sentence, match.end() - 1)
        if place == last or not (ours and limited) or counted or _OTHERS_LIMIT.search(clause):
            continue
        others = (fact for fact in board.of("value", "other") if board.items[place].end == fact.end)
        named = any(board.plain(fact).startswith(("threshold", "阈值")) for fact in others)
        found = board.items[place].number
        usable = found is not None and found.value > 0 and not (found.percent or found.times)
        if usable and (named or board.free_number(place)):
            near = [p for p in range(first, last) if board.items[p].start >= start + match.start() and p <= place]
            board.note(Value("value", "clip", board.items[place].value), [*near, place])
            return True
    return False


def _find_settled(board: Board) -> None:
    """Find the only learning rate of a text where it is told as lowered or raised to it, at no time of the training."""
    changes = [fact for fact in board.facts if isinstance(fact, Change)]
    shaped = any(fact.kind == "shape" and fact.key != "constant" for fact in board.facts)
    if len(changes) != 1 or shaped or board.of("value", "lr") or board.has("range", "levels", "knots", "warmup"):
        return
    change = changes[0]
    timed = change.at or change.every or change.over or change.plateau or change.count
    if len(change.targets) == 1 and not timed:
        board.facts.remove(change)
        board.facts.append(Value("value", "lr", change.targets[0], change.start, change.end))


_FLOOR = Pattern("mod:final (word:value,bound,limit|by:factor|concept:lr)? is? number=number")


_NEVER_BELOW = Pattern("no (is|verb:reduce|word){0,3} (word:below,under|to|no:instead) number=number")
_BELOW = re.compile(r"(?:below|under|(?:lower|less|smaller) than)$")


def _find_floors(board: Board) -> None:
    """Find the end of a schedule that names no rate: "maximum 0.4, minimum 0.004"."""
    code = board.code()
    for first, last in board.sentences():
        for match in _NEVER_BELOW.find(code, first, last):
            number = board.items[match["number"]]
            owned = any(item.is_a("concept", "lr") for item in board.items[first : match.first])
            below = _BELOW.search(board.text.plain[: number.start].rstrip()[-20:]) is not None
            if owned and below and 0 < number.value < 0.1:
                board.note(Value("value", "final", number.value), range(match.first, match.after))
    for first, last in board.sentences():
        for match in _FLOOR.find(code, first, last):
            before = board.items[match.first - 1] if match.first > first else None
            alone = before is None or before.kind in {"comma", "and", "open", "to"}
            if alone and board.items[match["number"]].value < 1:
                value = Value("value", "final", board.items[match["number"]].value)
                board.note(value, [match.first, match["number"]])


_END = Pattern(
    "(to|mod:final|end:end|for:until|word:towards,toward) (concept:lr|is|to|at|by:factor|mod:final|from|for:until|"
    "word:_,a,时,期,值,value,its,back,point){0,6} number=number"
)
_END_BEHIND = Pattern("number=number (word:as,a|is|at|with|comma|to){0,3} mod:final")


def _find_ends_of_ramps(board: Board) -> None:
    """Find where a cosine, line or polynomial ends, in its sentence or the next: "which brings it down to 0.0001"."""
    shapes = [fact for fact in board.facts if isinstance(fact, Shape) and fact.key in RAMPS]
    rates = [fact for fact in board.of("value", "lr") if isinstance(fact, Value)]
    told = any(isinstance(fact, Course) or (isinstance(fact, Change) and fact.targets) for fact in board.facts)
    told = told or any(fact.role == "final" for fact in rates) or bool(board.of("value", "final"))
    if told or not shapes or not rates or board.has("levels", "knots") or shapes[0].final is not None:
        return
    highest = max(fact.value for fact in rates)
    code, sentences = board.code(), board.sentences()
    own = next((i for i, (_, last) in enumerate(sentences) if board.items[last - 1].end > shapes[0].start), 0)
    for first, last in sentences[own : own + 2]:
        for fact in rates:
            falls = 0 <= fact.value < highest and not fact.role
            within = board.items[first].start <= fact.start < board.items[last - 1].end
            number = next((i for i in range(first, last) if board.items[i].end == fact.end), None)
            if falls and within and number and _falls_to(board, first, number, behind=shapes[0].end <= fact.start):
                fact.role = "final"
                return
        for match in [*_END.find(code, first, last), *_END_BEHIND.find(code, first, last)]:
            item = board.items[match["number"]]
            part = item.number is not None and item.number.percent
            ends = shapes[0].end <= item.start and 0 <= item.value < min(highest, 0.1) and not part
            if ends and _is_of_the_rate(board, match, first, shapes[0]):
                board.note(Value("value", "final", item.value), range(match.first, match.after))
                return


def _is_of_the_rate(board: Board, match: Match, first: int, shape: Shape) -> bool:
    """Whether an end is that of the rate, by its clause: one with the shape in it, or that is about no other thing."""
    begin = match.first
    while begin > first and board.items[begin - 1].kind not in {"comma", "break"}:
        begin -= 1
    clause = board.items[begin : match.after]
    if any(item.is_a("concept", "lr") for item in clause):
        return True
    others = any(item.kind in {"concept", "other", "target", "optimizer", "unit", "no"} for item in clause)
    before = [item for item in board.items[begin : match.first] if item.kind == "word"]
    led = all(board.plain(item) in _LEADING for item in before) or any(item.start == shape.start for item in clause)
    return led and not others and board.items[first].start <= shape.start


_LEADING = frozenset([
    "which", "that", "it", "whose", "gradually", "slowly", "smoothly", "brings", "bring", "bringing", "as", "so",
    "使", "其", "逐", "渐", "步", "将", "并", "则", "used", "applied",
])  # fmt: skip
"""Words before an end that name nothing else."""


def _falls_to(board: Board, first: int, number: int, *, behind: bool) -> bool:
    """Whether a rate is what another falls to: "reducing the learning rate to 0.0001", 训练结束时学习率为."""
    before = board.items[max(first, number - 4) : number]
    falls = behind and bool(before) and before[-1].kind == "to"
    return falls or any(item.is_a("end", "end") for item in before)
