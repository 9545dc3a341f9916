"""What stands around a learning rate: the phase it holds for, what scales it, what it is per, and rates not named.

What lives here: these questions to the board. What does not: values of other concepts (`values.py`).
"""

from __future__ import annotations

import re
from typing import Any

from downslope.recipes.reading.facts import Board


def product_at(board: Board, number: int) -> tuple[float, int] | None:
    """Return the value of "0.1 x 1024/256 = 0.4", and the place of its last number; None if it is no product."""
    items = board.items
    kinds = [item.kind for item in items[number + 1 : number + 7]]
    numbers = [item.number.value if item.number else 0 for item in items[number : number + 7]]
    if kinds[:4] == ["star", "number", "slash", "number"] and numbers[4]:
        value, last = numbers[0] * numbers[2] / numbers[4], number + 4
    elif kinds[:2] == ["star", "number"]:
        value, last = numbers[0] * numbers[2], number + 2
    else:
        return None
    if (
        len(items) > last + 2
        and items[last + 1].is_a("is")
        and items[last + 2].kind == "number"
        and items[last + 2].number
    ):
        return float(items[last + 2].value), last + 2
    return float(f"{value:.12g}"), last


def phase_of(board: Board, concept: int, number: int, first: int) -> Any:
    """Return the time for which a rate holds: "0.001 for 60k steps", 前6万次迭代学习率为0.001, "0.1 until epoch 80"."""
    items = board.items
    for right in range(number + 1, min(len(items), number + 3)):
        item = items[right]
        if item.kind == "time" and item.data.prep in {"for", "first", "next", "until"} and right not in board.used:
            return (item.data, right)
        if item.kind != "word":
            break
    for left in range(concept - 1, max(first - 1, concept - 4), -1):
        item = items[left]
        if item.kind == "time" and item.data.prep in {"first", "next"}:
            return (item.data, left)
        if item.kind not in {"word", "mod", "comma", "is"}:
            break
    return None


def scaled_per_batch(board: Board, number: int) -> tuple[float, int, int] | None:
    """Return the batch size that a rate is scaled by: "0.1 kn/256", "0.3 x BatchSize/256"."""
    plain = board.text.plain
    match = re.compile(
        r"\s?\*?\s?\(?\s?(?:kn|bn|batch[\s_-]?size|minibatch[\s_-]?size|total batch size|batch|bs|b|n|"
        r"批大小|批量大小)\s?/\s?(\d{1,6})\)?"
    ).match(plain, board.items[number].end)
    if match is None or not int(match.group(1)):
        return None
    for place, item in enumerate(board.items):
        if match.start() <= item.start < match.end():
            board.used.add(place)
    return float(match.group(1)), match.start(), match.end()


def rate_per(board: Board, number: int, concept: int) -> Any:
    """Return what a rate is per: "sample", or a number of examples ("per 1024 examples")."""
    items = board.items
    if number + 2 < len(items) and items[number + 1].is_a("each"):
        if (
            items[number + 2].is_a("unit", "example")
            and "epoch" not in board.text.plain[items[number + 2].start : items[number + 2].end]
        ):
            return "sample"
        if number + 3 < len(items) and items[number + 2].kind == "number" and items[number + 3].is_a("unit", "example"):
            board.used.add(number + 2)
            return items[number + 2].value
    for left in range(concept, number):
        if items[left].is_a("each") and items[left + 1].is_a("unit", "example"):
            return "sample"
    return None


def find_starts(board: Board, first: int, last: int) -> None:
    """Find a start whose rate is not named beside it: "decreased every 10 epochs, starting from 0.1"."""
    if board.of("value", "lr"):
        return
    changed = board.has("change", "shape")
    for place in range(first + 1, last):
        before = board.items[place - 1]
        text = board.text.plain[before.start : before.end]
        starting = before.is_a("from") or (
            before.is_a("is") and text.startswith(("start", "begin", "began", "init", "初"))
        )
        said = (
            before.is_a("mod", "initial")
            or text.startswith("rate of")
            or (
                starting or (before.is_a("is") and place - 2 >= first and board.items[place - 2].is_a("mod", "initial"))
            )
        )
        if (
            (changed or text.startswith("rate of"))
            and said
            and board.free_number(place)
            and not (place + 1 < last and board.items[place + 1].kind == "unit")
        ):
            board.add("value", "lr", board.items[place].value, [place - 1, place], role="initial", number=place)
            return


def find_thresholds(board: Board, first: int, last: int) -> None:
    """Find a clipping threshold told apart from its verb: "scaling the gradient when its norm exceeded 5"."""
    items = board.items
    heads = [place for place in range(first, last) if items[place].is_a("concept", "clip")]
    start, end = items[first].start, items[last - 1].end
    told = any(start <= fact.start < end for fact in reversed(board.of("value", "clip")))
    if not heads or told:
        return
    marks = ("exceed", "greater", "larger", "above", "threshold", "超过", "大于", "阈值")
    for place in range(heads[0] + 1, last):
        before = [board.text.plain[item.start : item.end] for item in items[max(first, place - 3) : place]]
        if board.free_number(place) and any(text.startswith(marks) for text in before):
            board.add("value", "clip", items[place].value, [heads[0], place], role="")
            return


def find_floors(board: Board, first: int, last: int) -> None:
    """Find the end of a schedule that names no rate: "maximum 0.4, minimum 0.004"."""
    for place in range(first, last - 1):
        right = place + 2 if board.items[place + 1].is_a("is") else place + 1
        if board.items[place].is_a("mod", "final") and board.free_number(right) and board.items[right].value < 1:
            before = board.items[place - 1] if place > first else None
            if before is None or before.kind in {"comma", "and", "open"}:
                board.add("value", "final", board.items[right].value, [place, right], role="final")


def find_more_rates(board: Board, first: int, last: int) -> None:
    """Find further rates with times of their own: "a rate of 0.001 for 60k steps, and 0.0001 for the next 20k"."""
    items = board.items
    if not any(fact.extra.get("phase") for fact in board.of("value", "lr")):
        return
    for place in range(first, last - 1):
        if not board.free_number(place) or not items[place].number or items[place].value >= 100:
            continue
        phase = phase_of(board, place, place, first)
        if phase is not None and phase[1] == place + 1:
            fact = board.add("value", "lr", items[place].value, [place], role="", phase=phase, number=place)
            board.used.add(phase[1])
            fact.end = items[phase[1]].end
