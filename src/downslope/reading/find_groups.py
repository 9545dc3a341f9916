"""Parameter groups: what is switched off, who is spared from weight decay, and whose learning rate is another."""

from __future__ import annotations

import re

from downslope.reading.facts import Board, Group, Value
from downslope.reading.patterns import Match, Pattern

_PARTS = {
    "link": "(word|mod|by|with|of_it|is|to|concept:lr|open|close|target|other|unit:ignored|from|for|at)",
    "near": "(word|mod|by|is|to|other|of_it|at|unit:ignored)",
    "multiple": "star? factor=number unit:times?",
    "changed": "(verb=verb:multiply,divide,increase,reduce,halve)",
}
_OF_TARGET = Pattern("value=number ((of_it|for|at|is) (near){0,2} target|target:last)", **_PARTS)
_MULTIPLIED = [
    Pattern(pattern, **_PARTS)
    for pattern in (
        "concept:lr (near|for|from){1,4} target=target (near){0,4} changed? (near){0,3} multiple",
        "concept:lr (near|for|from){1,4} target=target (near){0,3} changed",
        "target=target (near|for|with){0,5} concept:lr (near){0,4} changed? (near){0,3} multiple",
        "target=target (near|for|with){0,5} concept:lr (near){0,3} changed",
        "changed (near){0,3} multiple (near){0,3} (for|at|is|of_it) (near){0,3} target=target",
        "changed (for|at|is|of_it) (near){0,3} target=target",
        "changed (near|concept:lr|for){1,4} target=target",
        "multiple (near){0,3} concept:lr (near|for){0,4} target=target",
        "multiple (near){0,3} (for|at|is|of_it) (near){0,3} target=target",
        "target=target (near|with){0,4} multiple (near){0,3} concept:lr",
        "for:for target=target (near|comma){0,3} multiple word",
    )
]
_NAMED = Pattern(
    "target=target (word:的,上,s,部分?|(is|word|verb:train|with|mod){1,5}) concept:lr (is|mod){0,2} value=number",
    **_PARTS,
)
_NEXT_TO = Pattern(
    "concept:lr (is|mod|to){0,3} number (open|comma){1,2} (word|for|mod|number|at){0,5} target=target (is|word){1,4} "
    "value=number (close|comma|break)"
)
_OF = Pattern(
    "concept=concept:weight_decay,l2 link=(is|for|of_it|word:的,on) mod? target=target "
    "(word|unit:ignored|target){0,2} (is|at|to) value=number"
)
_DECAYED = Pattern("target=target word:的? concept=concept:weight_decay (is|mod){1,2} value=number")
_OTHERS_LR = Pattern("concept:lr (is|mod){0,2} number")
_FOR_TARGET = Pattern(".{0,4} (for|word:对) target=target (word|and|concept:lr|verb|comma){0,6} no")
_AFTERWARDS = Pattern(".{0,4} (time|times|each|when|schedule)")
_LARGER = (
    "multiplier", "mult", "multiple", "multiples", "larger", "higher", "bigger", "greater", "ratio", "大", "高",
    "系数",
)  # fmt: skip
_SMALLER = ("smaller", "lower", "less", "小", "低")
_STRONG = frozenset([
    "not applied to", "not apply", "not applied on", "is not applied to", "do not apply", "excluding", "exclude",
    "except", "not decay", "is not", "are not", "not", "does not use", "不施加", "除外", "不应用", "不包括", "不参与",
    "不", "不使用", "不加",
])  # fmt: skip
"""Negations that may follow the weight decay that they deny."""

_JOINING = frozenset({"or", "nor", "and", "或", "和", "及"})
_ROW = frozenset(
    ["target", "number", "is", "of_it", "to", "for", "with", "at", "word", "and", "comma", "mod", "open", "close"]
)
"""Kinds of items in a row of parts and their learning rates."""

_REST = re.compile(r"其余|其他|其它|剩余|余下|\b(?:the rest|remaining|others?|otherwise)\b")
_SWITCHES = frozenset({"momentum", "nesterov", "weight_decay", "l2", "dampening", "clip", "batch", "warmup"})


_SET_OFF = Pattern("concept=concept sign=(is|word) off=(no:no|comma)")
_NONE = frozenset({"none", "no", "off", "disabled", "not used", "without"})


def find_groups(board: Board) -> None:
    """Add a fact for every group of parameters whose learning rate or weight decay is another."""
    for match in board.matches(_SET_OFF):
        concept, off = board.items[match["concept"]], board.items[match["off"]]
        following = board.items[match.after] if match.after < len(board.items) else None
        ends = following is None or following.kind in {"break", "close"} or following.is_a("word", "|")
        said = board.plain(off) in _NONE and (ends or (following is not None and following.kind == "comma"))
        signed = board.items[match["sign"]].kind == "is" or board.plain(board.items[match["sign"]]) == "|"
        if signed and concept.key in _SWITCHES - {"batch"} and (said or (off.kind == "comma" and ends)):
            board.add("off", concept.key, 0.0, [match["concept"], match["off"]])  # "Warmup: none", "| Nesterov | - |"
    code = board.code()
    for first, last in board.sentences():
        find_switched_off(board, first, last, code)
        _find_spared(board, first, last)
    code = board.code()
    for first, last in board.sentences():
        _in_a_row(board, first, last)
        for pattern in _MULTIPLIED:
            for match in pattern.find(code, first, last):
                _multiplied(board, match, first, last, code)
        for match in _OF.find(code, first, last):
            concept, link = board.items[match["concept"]], board.plain(board.items[match["link"]])
            warms = any(item.is_a("concept", "warmup") for item in board.items[first:last])
            if (
                not warms
                and link in {"of", "for", "on", "of the", "的"}
                and not board.used.intersection(range(match.first, match.after))
            ):
                what = "lr" if concept.key == "lr" else "weight_decay"
                group = Group("group", board.items[match["target"]].key, board.items[match["value"]].value, what=what)
                board.note(group, range(match.first, match.after))
        _own_values(board, first, last, code)


def _multiplied(board: Board, match: Match, first: int, last: int, code: str) -> None:
    """Add the factor of a group's learning rate: "10 times larger for the head", 主干网络的学习率乘以0.1."""
    items, words = board.items, board.text.plain
    places = range(match.first, match.after)
    if board.used.intersection(places) or not (
        any(i.is_a("concept", "lr") for i in items[first:last]) or _goes_on(board, first, last)
    ):
        return
    if "factor" in match and _THAT_OF.search(words, items[match["factor"]].end, items[match["target"]].end):
        return  # by which it is measured: "0.1 for the head, ten times that of the backbone"
    if _owner(board, match.first, first) not in {"", "lr"} and not any(items[p].is_a("concept", "lr") for p in places):
        return
    verb = items[match["verb"]] if "verb" in match else None
    said = words[verb.start : verb.end] if verb else ""
    number = items[match["factor"]].number if "factor" in match else None
    texts = {words[items[place].start : items[place].end] for place in range(match.first, min(match.after + 2, last))}
    if number is None:
        factor = 0.5 if verb and verb.key == "halve" else 2.0 if said.startswith(("doubl", "加倍", "翻倍")) else 0.0
        if not factor:
            return
    else:
        following = match["factor"] + 1
        multiple = number.times or (following < len(items) and items[following].is_a("unit", "times"))
        multiple = multiple or items[match["factor"] - 1].kind == "star" or number.fraction or "twice" in texts
        if not (multiple or verb or texts.intersection(_LARGER)):
            return
        factor = float(number.value)
    if _AFTERWARDS.at(code, match.after, min(last, match.after + 5)) and verb is not None:
        return  # "decreased by 10 for the head every 30 epochs" is a schedule
    smaller = verb is not None and (verb.key == "divide" or (verb.key == "reduce" and factor > 1))
    if number is not None and (smaller or texts.intersection(_SMALLER)) and factor > 1:
        factor = float(f"{1 / factor:.12g}")
    if 0 < factor <= 1e4:
        board.note(Group("group", items[match["target"]].key, factor, factor=True), places)


def _in_a_row(board: Board, first: int, last: int) -> None:
    """Find parts and as many learning rates in one order: "that of the backbone is 0.01 and that of the head 0.1".

    The first is that of all the others. Of one part and two rates the other rate is.
    """
    items = board.items
    here = first
    while here < last:
        end = here
        while end < last and _is_of_a_row(board, end):
            end += 1
        row = range(here, end)
        here = end + 1
        rates = [p for p in row if items[p].is_a("concept", "lr")]
        parts = [p for p in row if items[p].kind == "target" and items[p].key in _PARTED]
        numbers = [p for p in row if items[p].kind == "number"]
        if not rates or not all(_is_rate(board, p) for p in numbers) or _RELATIVE.search(_said(board, row)):
            continue
        timed = items[end : end + 1] and (
            items[end].kind in {"time", "times"} or items[end].is_a("unit", "epoch", "step")
        )
        if timed or _BY_STAGE.search(_said(board, row)) or (numbers and min(rates) > numbers[0] + 2):
            continue  # "0.1 at first and 0.01 for the remaining epochs"
        own = len({items[p].key for p in parts}) == len(parts)
        if own and len(parts) == len(numbers) > 1:
            pairs = [*zip(parts, numbers, strict=True)]
            first_pair = next((pair for pair in pairs if items[pair[0]].key == "pretrained"), pairs[0])
            base = first_pair[1]
            pairs.remove(first_pair)
        elif len(parts) == 1 and len(numbers) == 2 and (whose := _whose(board, parts[0], numbers, end)) is not None:
            base, pairs = numbers[1 - whose], [(parts[0], numbers[whose])]
        else:
            continue
        rate = min(rates, key=lambda place: abs(place - base))
        board.note(Value("value", "lr", board.items[base].value), [rate, base])
        for part, number in pairs:
            board.note(Group("group", items[part].key, float(items[number].value)), [part, number])


_RELATIVE = re.compile(r"mult|ratio|factor|times|larger|higher|smaller|lower|倍|系数|比例")


def _said(board: Board, row: range) -> str:
    return board.text.plain[board.items[row[0]].start : board.items[row[-1]].end] if row else ""


_BY_STAGE = re.compile(
    r"\b(?:first|then|stages?|phases?|initially|afterwards?|later|pre-?training)\b|阶段|先|然后|随后"
)
_PARTED = frozenset({"head", "classifier", "fc", "backbone", "encoder", "decoder", "last", "embedding", "pretrained"})


def _is_of_a_row(board: Board, place: int) -> bool:
    item = board.items[place]
    excepted = item.is_a("no") and board.plain(item).startswith(("exce", "除"))
    if item.is_a("unit", "ignored"):
        return True
    return item.kind in _ROW or item.is_a("concept", "lr") or item.is_a("verb", "train") or excepted


def _is_rate(board: Board, place: int) -> bool:
    number = board.items[place].number
    usable = number is not None and not (number.spelled or number.times or number.percent) and board.free_number(place)
    return usable and 0 < board.items[place].value < 1


def _whose(board: Board, part: int, numbers: list[int], end: int) -> int | None:
    """Return which of two rates is a part's own: "0.01, except for the head, where it is 0.1"; None if neither is."""
    one, other = numbers
    if part < one:
        after = board.items[end - 1].end
        return 0 if _REST.search(board.text.plain, board.items[one].end, after) else None
    if other < part or not any(item.kind in {"comma", "and"} for item in board.items[one + 1 : part]):
        return None
    between = board.items[part + 1 : other]
    said = any(item.kind in {"is", "to"} or item.is_a("concept", "lr") for item in between)
    return 1 if said and len(between) < 8 and not any(item.kind == "and" for item in between) else None


_THAT_OF = re.compile(r"\b(?:that|those) of\b")
_IT = re.compile(r"\bit\b|其|该")


def _goes_on(board: Board, first: int, last: int) -> bool:
    """Whether a sentence goes on about the rate of that before it: "0.1; for the head it is 10 times larger"."""
    before = next((i for i in reversed(board.items[max(0, first - 12) : first]) if i.kind == "concept"), None)
    said = _IT.search(board.text.plain, board.items[first].start, board.items[last - 1].end)
    return before is not None and before.is_a("concept", "lr") and said is not None


def _own_values(board: Board, first: int, last: int, code: str) -> None:
    """Find "0.001 (0.01 for the last layer)" and "0.001 for the backbone and 0.01 for the others": values of groups.

    Where all values of a concept in a sentence are some group's, the first is that of all the others. "1 for weights
    and 2 for biases" are multiples of the learning rate.
    """
    owned = [(match, _owner(board, match["value"], first)) for match in _OF_TARGET.find(code, first, last)]
    owned = [(match, owner) for match, owner in owned if _is_own(board, match["value"], owner)]
    for match, owner in owned:
        place = match["value"]
        siblings = [p for p in range(first, last) if board.free_number(p) and _owner(board, p, first) == owner]
        siblings = [p for p in siblings if p == first or board.items[p - 1].kind not in {"by", "star", "slash"}]
        if place not in siblings:
            continue
        rest = [p for p in siblings if p not in {m["value"] for m, _ in owned}]
        value, target = float(board.items[place].value), board.items[match.after - 1].key
        weights = siblings[0] + 2 < last and board.items[siblings[0] + 2].is_a("word", "weights", "weight")
        if owner == "lr" and weights and board.items[siblings[0]].value == 1 and value > 1:
            board.note(Group("group", target, value, factor=True), [siblings[0], *range(match.first, match.after)])
        elif rest or place != siblings[0]:
            what = "lr" if owner == "lr" else "weight_decay"
            board.note(Group("group", target, value, what=what), range(match.first, match.after))
            if rest and place == siblings[0] and place < rest[0]:
                key = next(p for p in range(place - 1, first - 1, -1) if board.items[p].kind == "concept")
                board.note(Value("value", board.items[key].key, board.items[rest[0]].value), rest[:1])
    for match in _NEXT_TO.find(code, first, last):
        item = board.items[match["target"]]
        if board.free_number(match["value"]) and item.end - item.start > 1:  # but β = 0.25
            value = float(board.items[match["value"]].value)
            group = Group("group", board.items[match["target"]].key, value, what="lr")
            board.note(group, [match["target"], match["value"]])
    for match in _DECAYED.find(code, first, last):
        value, places = float(board.items[match["value"]].value), range(match.first, match.after)
        board.note(Group("group", board.items[match["target"]].key, value, what="weight_decay"), places)
    for match in _NAMED.find(code, first, last):
        others = [
            p for p in range(len(code)) if board.items[p].is_a("concept", "lr") and not match.first <= p < match.after
        ]
        rate = next(p for p in range(match["target"], match.after) if board.items[p].is_a("concept", "lr"))
        told = any(item.kind in {"is", "verb", "with"} for item in board.items[match["target"] : rate])
        staged = _BY_STAGE.search(board.text.plain, board.items[first].start, board.items[match["value"]].end)
        if told and (staged or not _is_rate(board, match["value"])):
            continue  # 权重使用学习率1, 偏置使用学习率2
        if board.free_number(match["value"]) and any(_OTHERS_LR.at(code, p) for p in others[:50]):
            value, places = float(board.items[match["value"]].value), range(match.first, match.after)
            board.note(Group("group", board.items[match["target"]].key, value), places)


def _is_own(board: Board, place: int, owner: str) -> bool:
    number = board.items[place].number
    usable = number is not None and not (number.spelled or number.times) and board.free_number(place)
    return usable and owner in {"lr", "weight_decay", "l2"}


def _owner(board: Board, place: int, first: int) -> str:
    """Return the key of the nearest concept to the left of a place in its sentence."""
    found = (board.items[left].key for left in range(place - 1, first - 1, -1) if board.items[left].kind == "concept")
    return next(found, "")


def find_switched_off(board: Board, first: int, last: int, code: str) -> None:
    """Add a fact for everything in a sentence that is switched off, and for what is spared from weight decay."""
    items = board.items
    for place in range(first, last):
        if not items[place].is_a("no", "no") or place in board.used:
            continue
        if (
            place > first
            and items[place - 1].kind == "number"
            and board.plain(items[place]).startswith(("disab", "turn"))
        ):
            continue  # "0.0 disables momentum"
        right = place + 1
        while right < last and (items[right].kind in {"is", "word", "mod", "comma"} and right - place < 4):
            right += 1
        before = items[place - 1] if place > first else items[place]
        if right >= last and before.kind == "concept" and before.key in _SWITCHES - {"batch"}:
            board.add("off", before.key, 0.0, [place - 1, place])  # 权重衰减没加
        elif right >= last:
            _not_applied(board, place, first, last)
        if right >= last:
            continue
        item = items[right]
        denied = item.kind == "concept" and item.key in _SWITCHES and right - place <= 3
        if denied and not _valued(board, right, last):
            target, targets = _target_after(board, right, last)
            if not target and (before := _FOR_TARGET.at(code, max(first, place - 8), place + 1)):
                target = items[before["target"]].key
            if not target and place > first and items[place - 1].kind == "target":
                target = items[place - 1].key  # "the bias does not use weight decay"
            if item.key in {"weight_decay", "l2"} and target:
                board.note(Group("group", target, 0.0, what="weight_decay"), [place, right, *targets])
            elif item.key != "batch":
                board.add("off", item.key, 0.0, [place, right])
                _also_off(board, right, last)
        else:
            _not_applied(board, place, first, last)


def _valued(board: Board, place: int, last: int) -> bool:
    return place + 2 < last and board.items[place + 1].is_a("is") and board.free_number(place + 2)


def _also_off(board: Board, place: int, last: int) -> None:
    """Carry "no" over "or" and "and": "without momentum or weight decay"."""
    items = board.items
    if place + 2 < last and items[place + 1].kind == "and" and items[place + 2].kind == "concept":
        other = items[place + 2]
        joined = board.plain(items[place + 1]) in _JOINING
        valued = _valued(board, place + 2, last) or board.free_number(place + 3)
        if joined and other.key in _SWITCHES and not valued:
            board.add("off", other.key, 0.0, [place + 1, place + 2])


def _target_after(board: Board, place: int, last: int) -> tuple[str, list[int]]:
    found: list[int] = []
    for right in range(place + 1, min(last, place + 9)):
        item = board.items[right]
        if item.kind == "target":
            found.append(right)
        elif item.kind in {"concept", "number", "verb", "optimizer"}:
            break
    return _target({board.items[p].key for p in found}), found


def _target(keys: set[str]) -> str:
    if "depthwise" in keys:
        return "depthwise"
    if "norm" in keys:
        return "bias_and_norm"
    return min(keys, default="")


def _not_applied(board: Board, place: int, first: int, last: int) -> None:
    """Find "weight decay is not applied to biases", and "biases are excluded from weight decay"."""
    items = board.items
    around = range(max(first, place - 14), min(last, place + 10))
    near = [p for p in around if items[p].kind == "target"]
    decays = any(items[p].is_a("concept", "weight_decay", "l2") for p in around)
    following = items[place + 1] if place + 1 < last else None
    bare = following is not None and following.is_a("verb", "reduce")
    decays = decays or (bare and board.text.plain.startswith(("decay", "衰减"), items[place + 1].start))
    strong = board.plain(items[place]) in _STRONG
    if strong and near and decays:
        board.note(Group("group", _target({items[p].key for p in near}), 0.0, what="weight_decay"), [place, *near])


def _find_spared(board: Board, first: int, last: int) -> None:
    """Find "weight decay is 1e-4 for weights and 0 for biases"."""
    decays = any(board.items[place].is_a("concept", "weight_decay", "l2") for place in range(first, last))
    for place in range(first, last - 2) if decays else ():
        zero = board.free_number(place) and board.items[place].value == 0
        if zero and board.items[place + 1].is_a("for"):
            target, targets = _target_after(board, place + 1, last)
            if target:
                board.note(Group("group", target, 0.0, what="weight_decay"), [place, *targets])
