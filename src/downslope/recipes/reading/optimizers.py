"""Which optimizers a text names, and which it names only to say that it uses another.

What lives here: mentions. What does not: which of several is meant (`assembly.py`).
"""

from __future__ import annotations

from downslope.recipes.reading.facts import Board


def find_optimizers(board: Board) -> None:
    """Add a fact for every optimizer that the text names."""
    for place, item in enumerate(board.items):
        if item.kind == "optimizer":
            before = board.items[max(0, place - 3) : place]
            denied = any(near.is_a("no", "instead") or (near.is_a("no", "no") and near is before[-1]) for near in before)
            board.add("optimizer", item.key, None, [place], denied=denied)
