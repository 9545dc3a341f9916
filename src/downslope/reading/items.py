"""From text to items: known phrases (the longest match of both lexicons), numbers and punctuation, in their order."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from downslope.reading.lexicon.chinese import CHINESE, COMPOSED, STEMS
from downslope.reading.lexicon.english import ENGLISH
from downslope.reading.numbers import Number, number_at
from downslope.reading.order import covering

_TOKEN = re.compile(
    r"[a-zα-ωℓ](?:[a-zα-ωℓ]|(?<=[a-z])(?!\de-\d)\d(?=[a-z])|'(?=s(?![a-z]))|'(?=t(?![a-z])))*|[\u4e00-\u9fff]|\n\s*\n|\n|[^\s]"
)
_NAME = re.compile(r"[^\W\u4e00-\u9fff]+(?:\.\d+)*")
_JOINERS = frozenset("-_")
_PUNCTUATION = {
    ",": "comma", "、": "comma", ";": "break", ".": "stop", "(": "open", ")": "close", "[": "open", "]": "close",
    "=": "equals", ":": "equals", "/": "slash", "*": "star", "{": "open", "}": "close", "&": "and",
}  # fmt: skip
_IDENTIFIER = re.compile(r"[a-z]{1,20}(?:_[a-z]{1,20}){1,5}(?![a-z0-9_{])")
_LINKED = re.compile(
    r"\[(?=[^\[\]\n]{1,80}\]\((?:https?:|[#./]))|(?<=[^\s\]])\]\((?:https?:|[#./])(?:[^()\s]|\([^()\s]{0,60}\)){0,400}\)"
    r"|https?://[^\s\u4e00-\u9fff()<>\"',;]{1,300}"
)
"""What a link writes around its words, [momentum](https://...), and an address alone; no number in it is a setting."""
_GLOSS = re.compile(
    r"(?<=\d)\s?\(\s?(?:(?:lr|step|scheduler|decay)_)?(?:gamma|factor|lr_decay|decay_rate|multiplier)\s?\)(?=\s(?:every|at|after|when|if|on)\b)"
)
"""What a factor is called, between it and its time: "by 0.1 (LR_GAMMA) every 5 epochs"."""

_FOREIGN = frozenset({
    "warmup", "bias", "bn", "ema", "teacher", "val", "test", "eval", "head", "backbone", "aux", "target", "encoder",
    "lookahead", "layer", "layers", "beta",
})  # fmt: skip
"""Words of a name that is not the training's own: warmup_momentum, bn_momentum."""


def _is_other(name: str) -> bool:
    """Whether a name with underscores means something else than the phrase that it begins with."""
    words = name.split("_")
    return len(words) > 2 or not _FOREIGN.isdisjoint(words)


_END = "\0"
_KEY_LINE = re.compile(
    r"[ ]{0,20}(?:[-*+] |\d{1,2}[.)] )?[^\W\d][^:=,;.\n]{0,40}"
    r"(?:: ?[^\s:]|(?<=[a-z ])- ?[\d.]{1,9}(?:e-\d)? {0,4}(?:\n|$))"
)
"""What begins a line of its own, which what stands before it does not go on in: "Batch size: 32"."""

_OF_RATE = re.compile(r"\blr\b|learning|学习率")
_MODEL = re.compile(r"b(?![a-z\d])")
"""How many parameters a model has: 7B."""

_SUMMED = re.compile(r"[\dkw万]\+")
_GLUED = re.compile(r"\d{0,3}\.\d|\d(?:\.\d)?e-\d")
_PERIOD = re.compile(r"(?:设置|设定|取|设)?[为是=:]?\s?\d{1,6}\s?(?:个?\s?epoch|轮|代|个?周期|次|个?step|步)")
_FALLS = re.compile(r"(?:learning rate|lr) (?:drops|decays) (?:by|at|to|when|whenever|every|after|from|each)\b")
_STEP_OF = re.compile(r"(?:采样|时间|空间|预测|滑动|搜索|网格|离散|积分|差分|扩散|卷积|池化|窗口|rollout)的?\s?$")
_STRIDE = re.compile(r"(?:设?为|是|=)?\s?\d{1,2}(?![.\d])[^,;.。]{0,30}(?:卷积|池化|conv|采样)")
_MARGIN = re.compile(r"\bs ?= ?\d|margin|(?:arc|cos|sphere|am)[- ]?(?:face|softmax)|间隔|边距")
_QUOTED = re.compile(r"['\")\]]{1,2}(?=\s|$)")
_TWO_TIMES = re.compile(r"(?<=at )([3-9]) ?/ ?(?:[5-9]|1\d)(?= ?ep(?:och)?s?\b)")
"""Two times that look like a fraction: "at 6 / 8 epochs"."""

_COMPOUND = re.compile(
    r"-(?:wave|precision|stage|shot|way|hot|sided|period|width|size|head|layer|stream|hour|day|time)"
)
"""What makes a number in words a part of a name: "half-wave cosine", "two-stage"."""


@dataclass(frozen=True)
class Item:
    """A stretch of text with one meaning.

    Attributes:
        kind: "number", a kind of the lexicons, "time", a kind of punctuation, or "word" for what is not known.
        key: Which one of its kind.
        start: Place of its first character in the normalised text.
        end: Place after its last.
        number: The number, if it is one.
        data: What a later pass has found out (the values and unit of a time).
    """

    kind: str
    key: str
    start: int
    end: int
    number: Number | None = None
    data: Any = None

    @property
    def value(self) -> float:
        """The number's value; NaN for what is no number."""
        return self.number.value if self.number is not None else float("nan")

    def is_a(self, kind: str, *keys: str) -> bool:
        """Whether it is of this kind, and one of these keys if any are given."""
        return self.kind == kind and (not keys or self.key in keys)


@lru_cache
def _trie() -> dict[str, Any]:
    root: dict[str, Any] = {}
    for lexicon in (ENGLISH, CHINESE):
        for kind, keys in lexicon.items():
            for key, phrases in keys.items():
                for phrase in phrases.split("|"):
                    place = root
                    for token, _, _ in _tokens(phrase):
                        place = place.setdefault(token, {})
                    place.setdefault(_END, (kind, key))
    return root


_MISSPELT = re.findall(
    r"\w+",
    "momentum learning iteration iterations optimizer nesterov stochastic gradient regularization schedule annealing "
    "initial epochs weight cosine polynomial exponential",
)
"""Words that are known with one letter too many, too few or wrong, or with two in each other's places."""


@lru_cache(maxsize=4096)
def _spelled(token: str) -> str:
    """Return the known word that a token was to be: "moementum"; an ending of its own makes it another word."""
    if len(token) < 5 or not token.isascii() or token in _words():
        return token
    if token.startswith("reducelronplateau"):
        return "reducelronplateau"
    return next(
        (
            one
            for one in _MISSPELT
            if one[0] == token[0] and sorted(one[-2:]) == sorted(token[-2:]) and _near(token, one)
        ),
        token,
    )


def _near(one: str, other: str) -> bool:
    """Whether one edit makes a word another."""
    if abs(len(one) - len(other)) > 1:
        return False
    first = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
    left, right = one[first:], other[first:]
    swapped = left[1::-1] + left[2:] == right
    return swapped or left[1:] == right or left == right[1:] or left[1:] == right[1:]


@lru_cache
def _words() -> frozenset[str]:
    phrases = [p for lexicon in (ENGLISH, CHINESE) for keys in lexicon.values() for p in keys.values()]
    known = {token for phrase in phrases for token, _, _ in _tokens(phrase)}
    return frozenset({*known, *(f"{one}s" for one in known), *(f"{one}s" for one in _MISSPELT)})


def _tokens(plain: str) -> list[tuple[str, int, int]]:
    return [(match.group(), match.start(), match.end()) for match in _TOKEN.finditer(plain)]


_HYPHEN = re.compile(r"[a-z]-\s{0,3}[a-z]")


def _joined(tokens: list[tuple[str, int, int]], plain: str) -> list[tuple[str, int, int]]:
    """Return tokens with known words that the end of a line took apart made one: "op- timizer"."""
    if not _HYPHEN.search(plain):
        return tokens
    found: list[tuple[str, int, int]] = []
    for token, start, end in tokens:
        if found and token == "\n" and found[-1][0] == "-":
            continue
        if len(found) > 1 and token.isalpha() and token.isascii() and found[-1][0] == "-":
            (left, first, left_end), (_, dash, _) = found[-2:]
            if left_end == dash and left.isalpha() and left + token in _words() and not {left, token} <= _words():
                found[-2:] = [(left + token, first, end)]
                continue
        found.append((token, start, end))
    return found


def find_items(plain: str) -> list[Item]:
    """Return the items of a normalised text, in order.

    Example:
        >>> [(item.kind, item.key) for item in find_items("momentum of 0.9")]
        [('concept', 'momentum'), ('is', 'is'), ('number', '')]
    """
    links = covering(sorted(match.span() for pattern in (_LINKED, _GLOSS) for match in pattern.finditer(plain)))
    tokens = _joined(
        [(_spelled(token), start, end) for token, start, end in _tokens(plain) if not links(start, end)], plain
    )
    items: list[Item] = []
    index, here = 0, 0
    while index < len(tokens):
        token, start, end = tokens[index]
        if start < here:
            index += 1
            continue
        found, after = _longest(tokens, index)
        if token in _BEGINNINGS:
            found, after = _composed(plain, tokens, index, found, after)
        name = _IDENTIFIER.match(plain, start)
        partly = name is not None and found is not None and tokens[after - 1][2] < name.end()
        if name is not None and partly and _is_other(name[0]):
            items.append(Item("word", name[0], start, name.end()))  # warmup_momentum
            here = name.end()
            index += 1
            continue
        beside = items[-1:] and items[-1].kind == "concept" and items[-1].end == start
        glued = bool(beside and _GLUED.match(plain, start))  # "LR0.1"
        number = number_at(plain, start, glued=glued) if _may_begin_number(token, plain, start) else None
        if number is not None and not _outdoes(found, tokens[after - 1][2], number):
            number = _first_of_two(number, plain) if number.fraction else number
            summed = plain[start] == "+" or plain[start - 1 : start] == "+"
            usable = math.isfinite(number.value) and not (summed and _is_gained(plain, start, number))
            unnamed = "number" if usable else "unusable"  # which no rule knows
            kind = "word" if _is_named(items, number, plain) else unnamed
            items.append(Item(kind, "", number.start, number.end, number))
            here = number.end
            index += 1
            continue
        if found is not None:
            end = tokens[after - 1][2]
            kind, key = _meant(found, items[-1] if items else None, plain, start, end)
            sized = key == "batch" and plain[start:end].endswith(("h size", "h_size", "h-size", "hsize", "h sizes"))
            sized = (
                "of size" if key == "batch" and plain.endswith(" of size", start, end) else "size" if sized else None
            )
            items.append(Item(kind, key, start, end, data=sized))
            if key == "lr" and plain.endswith(("drops", "decays"), start, end):
                items.append(Item("verb", "reduce", plain.rindex(" ", start, end) + 1, end))
            if kind == "schedule" and _OF_RATE.search(plain, start, end):
                items.append(Item("concept", "lr", start, items[-1].end))  # "cosine learning rate" names both
            index, here = after, tokens[after - 1][2]
            continue
        if token.isdigit():  # of a name: v100
            end = _NAME.match(plain, start).end()  # type: ignore[union-attr]  # which begins with a digit
        items.append(_unknown(token, start, end, plain))
        index, here = index + 1, end
    kept = [_without_dot(item, plain) for item in items if item.kind not in {"noise", "skip"}]
    return _with_stalls(_without_glosses(_without_citations(kept, plain)), plain)


def _outdoes(found: tuple[str, str] | None, end: int, number: Number) -> bool:
    """Whether a phrase that ends at a place is meant, and not the number that it begins with: 1cycle."""
    return found is not None and number.end <= end and (number.spelled or (found[0] == "schedule" and end > number.end))


_COUNTS = re.compile(r"(?:训练|经过|迭代|完成)?了?\s?[\d两一二三四五六七八九十]")
_ITERATED = re.compile(r"迭代(?=\s?(?:[,;.)、下]|$|\n))")


def _meant(found: tuple[str, str], before: Item | None, plain: str, start: int, end: int) -> tuple[str, str]:
    """Return what a known phrase is by what stands beside it."""
    kind = found[0]
    if found == ("concept", "lr") and plain[end - 2 : end] == "步长" and _PERIOD.match(plain, end):
        return kind, "lr_every"  # 步长为30个epoch
    if (
        found == ("concept", "lr")
        and plain[start : start + 2] == "步长"
        and _STEP_OF.search(plain[max(0, start - 6) : start])
    ):
        return kind, "other"
    if found[0] == "concept" and plain.endswith("步长", start, end) and _STRIDE.match(plain, end):
        return kind, "other"  # 步长为2的卷积层
    if found[1] == "lr_decay" and _FALLS.match(plain, start):
        return kind, "lr"  # "the learning rate drops by 10 at epoch 30"
    if plain[start:end] == "m" and _MARGIN.search(plain, max(0, start - 40), end + 20):
        return kind, "other"  # "arcface, s=64, m=0.5"
    counted = found == ("verb", "train") and before is not None and before.value >= 100
    if counted and _ITERATED.match(plain, start):
        return "unit", "step"  # 训练500K迭代
    if found[1] == "onecycle" and plain.startswith("1 ", start):
        return "word", "cycle"  # which counts
    cycle = found[1] == "onecycle" and plain[start:end] in {"一周期", "单周期"}
    if cycle and (plain[:start].endswith(("前", "上", "每", "下", "后")) or _COUNTS.match(plain, end)):
        return "word", "周期"  # 前一周期的1/3, 单周期60万次迭代
    if found[1] == "every" and plain[start:end] == "每当" and not _COUNTS.match(plain, end):
        return "at", "at"  # 每当误差平缓时
    changed = before is not None and before.is_a("verb", "reduce", "increase") and before.end == start
    changed = changed and kind == "is" and plain[start:end] == "为"
    if changed or (kind == "to" and plain[start] in "降减缩衰递下变调"):
        return ("verb", "multiply") if _is_part(plain, end) else ("to", "to")  # 线性增长为0.1, 降至十分之一
    return found


_COMPOSED = [(re.compile(pattern), kind, key) for kind, key, pattern in COMPOSED]
_BEGINNINGS = frozenset(character for _, _, pattern in COMPOSED for character in pattern)


def _composed(
    plain: str, tokens: list[tuple[str, int, int]], index: int, found: tuple[str, str] | None, after: int
) -> tuple[tuple[str, str] | None, int]:
    """Return what stands at a place, a phrase of the lexicons or one put together, whichever is longer."""
    end = tokens[after - 1][2] if found else 0
    for pattern, kind, key in _COMPOSED:
        match = pattern.match(plain, tokens[index][1])
        if match is not None and match.end() > end:
            found, end = (kind, key or STEMS[match[1]]), match.end()
            after = next(place for place in range(index, len(tokens)) if tokens[place][2] >= end) + 1
    return found, after


_GLOSSED = frozenset({"word", "unit", "concept", "target", "mod", "is"})
_SAME = {"l2": "weight_decay", "epochs_total": "epoch", "steps_total": "step"}


_RATE_IS = [("concept", "lr"), ("is", "is")]


def _without_glosses(items: list[Item]) -> list[Item]:
    """Return the items without what only names a setting again: "momentum (μ) = 0.9", 训练轮数（epochs）：50."""
    found: list[Item] = []
    place = 0
    while place < len(items):
        item = items[place]
        letter = item.kind == "concept" and item.key != "lr" and item.end - item.start == 1
        if letter and [(i.kind, i.key) for i in found[-2:]] == _RATE_IS and items[place + 1 : place + 2]:
            place += 1 + (items[place + 1].kind == "is")  # 学习率为λ=1e-4
            continue
        found.append(item)
        place += 1
        if place < len(items) and items[place].kind == "open" and item.kind in {"concept", "unit"}:
            close = next((p for p in range(place, min(len(items) - 1, place + 7)) if items[p].kind == "close"), 0)
            inner, after = items[place + 1 : close], items[close + 1]
            own = _SAME.get(item.key, item.key)
            named = all(i.kind in _GLOSSED and (i.kind != "concept" or _SAME.get(i.key, i.key) == own) for i in inner)
            if close and named and own == "step" and any(i.key in {"epoch", "epochs_total"} for i in inner):
                found[-1] = replace(item, key="epochs_total")  # 迭代次数(Epoch)为300
            if close and named and (after.kind in {"is", "number"} or after.is_a("word", "|")):
                found += [inside for inside in inner if inside.kind == "mod"]
                place = close + 1
    return found


_BETTER = (
    r"(?:improv\w+|decreas\w+|dropp?\w*|fall\w*|fell|gain\w*|go(?:ne|es|ing)? (?:up|down)|progress\w*|ris(?:ing|en|e)|"
    r"(?:get|become)\w*(?: any)? (?:better|smaller|lower|higher)|reduc\w+|increas\w+|chang\w+)"
)
_BETTER_IN_HAN = (
    "(?:更好|改观|改善|改进|提升|提高|下降|降低|减小|减少|上升|增加|增长|增大|变化|进步|好转|变好|突破|起色|优化|升高|"
    "动|变)"
)
_STALL = re.compile(
    r"(?:\bnot|n't|\bno|\bnever|\bwithout|\bfail(?:s|ed|ing)? to|\bstop(?:s|ped)?|\bcease[sd]?(?: to)?|\blittle)"
    r"(?: (?:any|been|be|a|an|show\w*|see\w*|further|to|longer|significant\w*|more|much|seem\w*|new|have)){0,3}"
    rf"(?: {_BETTER}|(?:[ -](?:validation|val|test|dev|loss|accuracy|acc|error|metric|score)){{1,3}}"
    r"[ -](?:improv\w+|progress))"
    r"(?![a-z])|\b(?:stagnat|plateau)\w+|停滞(?:不前)?"
    r"|(?:(?<=error )|(?<=loss )|(?<=perplexity )|(?<=cost ))"
    r"(?:increase[sd]|rises|rose|(?:goes|went) up|worsen(?:s|ed)|gets worse|starts to (?:increase|rise))"
    r"|(?:(?<=[确误]率)|(?<=正确率)|(?<=精度)|(?<=误差)|(?<=损失)|(?<=loss))(?:基本|几乎|保持|都|也){0,2}不变"
    r"|(?:(?<=[确误]率)|(?<=正确率)|(?<=精度)|(?<=误差)|(?<=损失)|(?<=loss))(?:趋于|趋向|达到|变得|保持|基本|已经)?稳定"
    r"|(?:没有|没能|没|未能|未再|未见|未|不再|不能|不会|不怎么|不太|几乎不|无法|停止|毫无|无)"
    rf"(?:了|再|有|能|继续|进一步|明显|显著|任何|得到|出现|发生|持续|的){{0,3}}{_BETTER_IN_HAN}"
    r"|(?:(?:is|are|was|were|gets?|got|becomes?|remains?) )?(?:stuck|stagnant|flat)(?![a-z])"
)
"""A measured value that does not get better, as far as nobody has written it down in a lexicon."""


_WAITED = re.compile(r"(?:连续|超过)?\s?\d{1,3}\s?(?:个?epochs?|轮|代|次|个?周期)\s?(?:内|都|均|仍|后)?$")


def _with_stalls(items: list[Item], plain: str) -> list[Item]:
    """Return the items with "has not gone up" and 没有任何改观 made one, where a measured value stands beside them."""
    found: list[Item] = []
    place = 0
    for match in _STALL.finditer(plain):
        while place < len(items) and items[place].start < match.start():
            found.append(items[place])
            place += 1
        after = place
        while after < len(items) and items[after].end <= match.end():
            after += 1
        metrics = [item for item in items[place:after] if item.key.startswith("metric_")]
        near = [*found[-12:], *metrics, *items[after : after + 8]]
        waited = _WAITED.search(plain, max(0, match.start() - 12), match.start()) is not None
        waited = waited or plain[: match.start()].endswith("当")
        measured = waited or any(item.kind == "when" for item in near)
        measured = measured and not any(item.kind == "break" for item in items[place:after])
        owned = any(item.is_a("concept", "lr") for item in [*found[-2:], *items[after : after + 1]])
        if after > place and items[after - 1].end == match.end() and measured and not owned:
            found += [Item("when", "plateau", match.start(), match.end()), *metrics]
            place = after
    return [*found, *items[place:]]


def _is_part(plain: str, place: int) -> bool:
    """Whether a part of something stands at a place: a fraction, a percentage, so many times."""
    place += plain[place : place + 1] == " "
    number = number_at(plain, place) if plain[place : place + 1].strip() else None
    return number is not None and (number.fraction or number.percent or number.times) and 0 < number.value < 1


def _first_of_two(number: Number, plain: str) -> Number:
    """Return a fraction, or the first of two times that look like one."""
    one = _TWO_TIMES.match(plain, number.start)
    return number if one is None else Number(int(one[1]), number.start, one.end(1))


def _is_gained(plain: str, start: int, number: Number) -> bool:
    """Whether a number tells what is won or added: "better lr decay, +0.15%", "30k+1k iterations"."""
    if plain[start] == "+" and number.percent:
        return True
    return plain[start - 1 : start] == "+" and _SUMMED.match(plain, start - 2) is not None


def _is_named(items: list[Item], number: Number, plain: str) -> bool:
    """Whether a number is a part of a name that no rule knows: CIFAR-10, conv3-1, "experiment #1", "half-wave", 7B."""
    if plain[number.end : number.end + 1] == "b" and _MODEL.match(plain, number.end):
        return True
    if plain[number.start - 1 : number.start] == "#" or (number.spelled and _COMPOUND.match(plain, number.end)):
        return True
    if len(items) < 2 or not items[-1].is_a("word", "-") or items[-1].end != number.start:
        return False
    name, before = items[-2], items[-3] if len(items) > 2 else None
    if before is not None and name.kind == before.kind == "word" and before.end == name.start and name.key.isdecimal():
        name = before
    joined = items[-2].end == items[-1].start
    return name.kind == "word" and joined and name.key.isalpha() and float(number.value).is_integer()


_CITED = frozenset({
    "word", "optimizer", "concept", "schedule", "is", "at", "break", "comma", "and", "no", "target", "close",
    "open", "with",
})  # fmt: skip
_COUNTED = frozenset({
    "multistep", "at", "batch", "epochs_total", "steps_total", "lr_every", "patience", "milestones", "milestone",
    "boundaries",
})  # fmt: skip


def _without_citations(items: list[Item], plain: str) -> list[Item]:
    """Return the items without numbers of references: "SGD [12]", "Following [7, 9], ...", "in Table 2"."""
    found: list[Item] = []
    place = 0
    while place < len(items):
        item, after = items[place], place
        if item.kind in {"open", "reference"}:
            after = _after_citation(items, place, found[-1] if found else None, plain)
        if after == place:
            found.append(item)
            after += 1
        elif found:
            found[-1] = replace(found[-1], end=items[after - 1].end)
        place = after
    return found


def _after_citation(items: list[Item], place: int, before: Item | None, plain: str) -> int:
    """Return the place after a reference that begins at a place, or that place."""
    item, last = items[place], len(items) - 1
    after = place + 1
    if item.kind == "reference":
        while after < min(last, place + 3) and items[after].kind in {"break", "stop", "open", "word"}:
            after += 1
        if after <= last and items[after].kind == "number":
            opened = items[after - 1].kind == "open" and after < last and items[after + 1].kind == "close"
            return after + 1 + opened
    elif item.is_a("open", "[") and (before is None or (before.kind in _CITED and before.key not in _COUNTED)):
        several = before is not None and before.end - before.start == 1 and items[place + 2 : place + 3]
        listed = before is not None and (before.end == item.start or (several and several[0].kind == "comma"))
        if before is not None and before.kind == "is" and (listed or plain[before.start] in ":="):
            return place  # milestones=[30, 60], 为 [30, 60], "lr_steps: [80, 120]"
        most = place + 2 if before is not None and before.kind in {"at", "open"} else place + 6
        while after < min(last, most) and (_is_reference(items[after]) or items[after].key in {",", "-"}):
            after += 1
        timed = after < last and items[after + 1].is_a("unit", "epoch", "step")  # "a schedule of [60, 120, 160] epochs"
        if after <= last and items[after].is_a("close", "]") and after > place + 1 and not timed:
            return after + 1
    return place


def _is_reference(item: Item) -> bool:
    number = item.number
    return number is not None and isinstance(number.value, int) and 0 < number.value < 400 and not number.times


def _may_begin_number(token: str, plain: str, start: int) -> bool:
    first = token[0]
    if first in "+-.":
        following = plain[start + 1 : start + 2]
        return following.isdigit() or (following == "." and plain[start + 2 : start + 3].isdigit())
    return (first.isascii() and (first.isdigit() or first.isalpha())) or "\u4e00" <= first <= "\u9fff" or first == "〇"


def _longest(tokens: list[tuple[str, int, int]], index: int) -> tuple[tuple[str, str] | None, int]:
    place: Any = _trie()
    found, after = None, index
    while index < len(tokens):
        token = tokens[index][0]
        if token in _JOINERS or token == "\n":
            if place is _trie() or index + 1 >= len(tokens):
                break
            index += 1
            continue
        following = place.get(token)
        if following is None and len(token) > 3 and token.endswith("s"):
            following = place.get(token[:-1])
        if following is None:
            break
        place = following
        index += 1
        if _END in place:
            found, after = place[_END], index
    return found, after


def _unknown(token: str, start: int, end: int, plain: str) -> Item:
    if token == "\n":
        return Item("break" if _KEY_LINE.match(plain, end) else "skip", "", start, end)
    if token[0] == "\n":
        return Item("break", "", start, end)
    if token == '"':
        return Item("skip", "", start, end)
    if (
        token == "." and plain[end : end + 1].strip() and not _QUOTED.match(plain, end)
    ):  # within a name or an abbreviation
        return Item("skip", "", start, end)
    if token in _PUNCTUATION:
        kind = _PUNCTUATION[token]
        return Item("is", "is", start, end) if kind == "equals" else Item(kind, token, start, end)
    if token == "x" and not (plain[max(0, start - 1) : start] + plain[end : end + 1]).strip(" (,0123456789"):
        return Item("star", "*", start, end)
    return Item("word", token, start, end)


def _without_dot(item: Item, plain: str) -> Item:
    if item.kind == "stop":
        before = plain[max(0, item.start - 3) : item.start]
        return replace(
            item, kind="word" if before.endswith(("i.e", "e.g", " al", "resp", " eq", " cf", "fig")) else "break"
        )
    return item
