"""What stands beside the number of a learning rate: a product, the batch or the examples that it is for."""

from __future__ import annotations

import re

from downslope.reading.facts import Board


def product_at(board: Board, number: int) -> tuple[float, int] | None:
    """Return the value of "0.1 x 1024/256 = 0.4", and the place of its last number; None if it is no product."""
    items = board.items
    kinds = [item.kind for item in items[number + 1 : number + 7]]
    numbers = [item.number.value if item.number else 0 for item in items[number : number + 7]]
    bracketed = ["star", "open", "number", "slash", "number", "close"]
    if kinds == bracketed and numbers[5]:
        value, last = numbers[0] * numbers[3] / numbers[5], number + 6
    elif kinds[:4] == ["star", "number", "slash", "number"] and numbers[4]:
        value, last = numbers[0] * numbers[2] / numbers[4], number + 4
    elif kinds[:2] == ["star", "number"]:
        value, last = numbers[0] * numbers[2], number + 2
    else:
        return None
    if (
        items[last + 1 : last + 2]
        and items[last + 1].is_a("is")
        and items[last + 2 : last + 3]
        and items[last + 2].number
    ):
        return float(items[last + 2].value), last + 2
    return float(f"{value:.12g}"), last


_SCALED = re.compile(
    r"\s?[*x]?\s?\(?\s?(?:kn|bn|batch[\s_-]?size|minibatch[\s_-]?size|total batch size|batch|bs|b|n|"
    r"批大小|批量大小)\s?/\s?(\d{1,6})\)?"
)


def scaled_per_batch(board: Board, number: int) -> tuple[float, int] | None:
    """Return the batch size that a rate is scaled by, and its end: "0.1 kn/256", "0.3 x BatchSize/256"."""
    match = _SCALED.match(board.text.plain, board.items[number].end)
    if match is None or not int(match.group(1)):
        return None
    for place in range(number, min(number + 8, len(board.items))):
        if match.start() <= board.items[place].start < match.end():
            board.used.add(place)
    return float(match.group(1)), match.end()


def rate_per(board: Board, number: int, concept: int) -> float | str | None:
    """Return what a rate is per: "sample", or a number of examples ("per 1024 examples")."""
    items = board.items
    if number + 2 < len(items) and items[number + 1].is_a("each"):
        if items[number + 2].is_a("unit", "example") and "epoch" not in board.plain(items[number + 2]):
            return "sample"
        if number + 3 < len(items) and items[number + 2].kind == "number" and items[number + 3].is_a("unit", "example"):
            board.used.add(number + 2)
            return items[number + 2].value
    for left in range(concept, number):
        if items[left].is_a("each") and items[left + 1].is_a("unit", "example"):
            return "sample"
    return None
