"""The word "decay" standing alone: a verb, the schedule's, momentum's, a moving average's or the weights'.

What lives here: telling them apart by what stands around. What does not: phrases such as "weight decay", which the
lexicon knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from downslope.recipes.reading.items import Item

_FLOWS = frozenset({"is", "mod", "with", "word"})


def resolve_decay(items: Sequence[Item]) -> list[Item]:
    """Return the items with every lone "decay" given its kind and key.

    The noun "decay" of an unknown owner becomes the concept "decay", which its number decides later.
    """
    result = list(items)
    for index, item in enumerate(result):
        if item.is_a("word", "decay"):
            result[index] = _resolve(result, index)
        elif item.is_a("concept", "lr_decay"):
            owner = _owner(result, index)
            if owner in {"momentum", "ema", "weight_decay", "l2"}:
                result[index] = replace(item, key=owner)
            elif owner == "rho" and not _has_lr(result, index):
                result[index] = replace(item, key="rho")
    return result


def _resolve(items: list[Item], index: int) -> Item:
    item = items[index]
    before = items[index - 1] if index else None
    after = items[index + 1] if index + 1 < len(items) else None
    if after is not None and (
        after.kind in {"by", "to"} and not after.is_a("by", "factor")
        or after.is_a("concept", "lr")
        or (after.kind == "time" and not (before and before.is_a("word", "a")))
        or (before is not None and before.is_a("concept", "lr") and after.kind == "time")
        or (before is not None and before.is_a("word", "then"))
    ):
        return replace(item, kind="verb", key="reduce")
    owner = _owner(items, index)
    if owner:
        return replace(item, kind="concept", key=owner)
    if before is not None and before.is_a("concept", "lr"):
        return replace(item, kind="concept", key="lr_decay")
    return replace(item, kind="concept", key="decay")


def _owner(items: list[Item], index: int) -> str:
    """Return whose decay it is by what stands before it: "momentum with a decay of 0.9", "RMSProp with decay 0.9"."""
    near = True
    for place in range(index - 1, max(-1, index - 9), -1):
        item = items[place]
        if item.kind == "break" or item.kind == "number":
            return ""
        if item.kind == "optimizer":
            return "rho" if item.key in {"rmsprop", "adadelta"} else ""
        if item.kind == "concept":
            if item.key in {"momentum", "ema", "weight_decay", "l2"}:
                return item.key if near else ""
            return ""
        if item.kind not in _FLOWS:
            near = False
    return ""


def _has_lr(items: list[Item], index: int) -> bool:
    return any(item.is_a("concept", "lr") for item in items[max(0, index - 4) : index])
