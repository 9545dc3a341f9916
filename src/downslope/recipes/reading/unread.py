"""What was not used: every number that no fact took, with the words around it.

What lives here: finding them. What does not: deciding what is used.
"""

from __future__ import annotations

from downslope.recipes.reading.facts import Board, Fact

_AROUND = 3


def find_unread(board: Board, facts: list[Fact]) -> list[str]:
    """Return the numbers that were not used, each with the words around it.

    Args:
        board: The items, and which of them were used.
        facts: All facts, of code too.
    """
    found: list[str] = []
    others = {place for fact in board.facts if fact.kind == "value" and fact.key == "other" for place in (fact.start,)}
    for fact in board.facts:
        if fact.kind == "value" and fact.key == "other":
            found.append(board.words(fact))
    for place, item in enumerate(board.items):
        if place in board.used or item.kind not in {"number", "time"}:
            continue
        if item.kind == "number" and item.number and item.number.spelled:
            continue
        if any(fact.start <= item.start < fact.end for fact in facts if fact.kind == "call"):
            continue
        first = place
        while first > 0 and place - first < _AROUND and board.items[first - 1].kind in {"word", "is", "by", "at", "mod", "for"}:
            first -= 1
        last = place
        if last + 1 < len(board.items) and board.items[last + 1].kind in {"unit", "word"}:
            last += 1
        words = board.text.words(board.items[first].start, board.items[last].end)
        if words not in found:
            found.append(words)
    _ = others
    return found
