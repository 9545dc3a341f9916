"""What is switched off, and for which parameters: "without momentum", 不使用权重衰减, "not applied to biases".

What lives here: negations and what they reach. What does not: values (`values.py`).
"""

from __future__ import annotations

from downslope.recipes.reading.facts import Board

_STRONG = frozenset(
    [
        "not applied to",
        "not apply",
        "not applied on",
        "is not applied to",
        "do not apply",
        "excluding",
        "exclude",
        "except",
        "not decay",
        "is not",
        "are not",
        "not",
        "does not use",
        "不施加",
        "除外",
        "不应用",
        "不包括",
        "不参与",
        "不",
        "不使用",
        "不加",
    ]
)
"""Negations that may follow the weight decay that they deny."""

_SWITCHES = frozenset({"momentum", "nesterov", "weight_decay", "l2", "dampening", "clip", "batch", "warmup"})


def find_switched_off(board: Board, first: int, last: int) -> None:
    """Add a fact for everything in a sentence that is switched off, and for what is spared from weight decay."""
    items = board.items
    for place in range(first, last):
        if not items[place].is_a("no", "no"):
            continue
        right = place + 1
        while right < last and (items[right].kind in {"is", "word", "mod", "comma"} and right - place < 4):
            right += 1
        if right >= last:
            _not_applied(board, place, first, last)
            continue
        item = items[right]
        denied = item.kind == "concept" and item.key in _SWITCHES and right - place <= 3
        if denied and right + 1 < last and items[right + 1].kind == "concept" and item.key == "nesterov":
            pass
        if denied and not _valued(board, right, last):
            target, targets = _target_after(board, right, last)
            if item.key in {"weight_decay", "l2"} and target:
                board.add("group", target, 0.0, [place, right, *targets])
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
        joined = board.text.plain[items[place + 1].start : items[place + 1].end] in {"or", "nor", "或", "和", "及"}
        if (
            joined
            and other.key in _SWITCHES
            and not _valued(board, place + 2, last)
            and not board.free_number(place + 3)
        ):
            board.add("off", other.key, 0.0, [place + 1, place + 2])


def _target_after(board: Board, place: int, last: int) -> tuple[str, list[int]]:
    found: list[int] = []
    for right in range(place + 1, min(last, place + 9)):
        item = board.items[right]
        if item.kind == "target":
            found.append(right)
        elif item.kind in {"concept", "number", "verb", "optimizer"}:
            break
    keys = {board.items[p].key for p in found}
    return _target(keys), found


def _target(keys: set[str]) -> str:
    if "depthwise" in keys:
        return "depthwise"
    if "norm" in keys:
        return "bias_and_norm"
    if keys:
        return min(keys)
    return ""


def _not_applied(board: Board, place: int, first: int, last: int) -> None:
    """Find "weight decay is not applied to biases", and "biases are excluded from weight decay"."""
    items = board.items
    near = [p for p in range(max(first, place - 14), min(last, place + 10)) if items[p].kind == "target"]
    decays = [
        p
        for p in range(max(first, place - 14), min(last, place + 10))
        if items[p].is_a("concept", "weight_decay", "l2")
    ]
    text = board.text.plain[items[place].start : items[place].end]
    strong = text in _STRONG
    if strong and near and decays:
        keys = {items[p].key for p in near}
        board.add("group", _target(keys), 0.0, [place, *near])


def find_spared(board: Board, first: int, last: int) -> None:
    """Find "weight decay is 1e-4 for weights and 0 for biases"."""
    items = board.items
    decays = any(items[place].is_a("concept", "weight_decay", "l2") for place in range(first, last))
    for place in range(first, last - 2):
        zero = board.free_number(place) and items[place].value == 0
        if decays and zero and items[place + 1].is_a("for"):
            target, targets = _target_after(board, place + 1, last)
            if target:
                board.add("group", target, 0.0, [place, *targets])
