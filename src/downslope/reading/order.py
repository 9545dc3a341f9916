"""The order of a recipe's fields: data, model, the learning rate, the rest of SGD, groups, training."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any

_TABLES = ("data", "model", "sgd.lr", "sgd", "", "groups", "train")
"""A recipe's tables in their order; "" stands for those of other optimizers."""

_KEYS = (
    "name", "match", "batch_size", "lr", "schedule", "start", "initial", "peak", "factor", "rate", "gamma", "every",
    "milestones", "boundaries", "values", "final", "duration", "power", "staircase", "unit", "momentum", "nesterov",
    "dampening", "nu", "weight_decay", "decay", "trust_coefficient", "trust_clip",
    "adaptive_clip", "adaptive_clip_by", "lr_in_velocity", "epochs", "steps",
)  # fmt: skip

RATES = ("sgd.lr.peak", "sgd.lr.initial", "sgd.lr.then.initial", "sgd.lr.then.peak", "sgd.lr.then", "sgd.lr")
"""Where the learning rate may stand that an optimizer is given, the likeliest first."""


def in_order(paths: Iterable[str]) -> list[str]:
    """Return the paths of fields in the order of a recipe.

    Example:
        >>> in_order(["train.epochs", "sgd.momentum", "sgd.lr.initial", "data.batch_size"])
        ['data.batch_size', 'sgd.lr.initial', 'sgd.momentum', 'train.epochs']
    """

    def rank(path: str) -> tuple[Any, ...]:
        table = "sgd.lr" if path == "sgd.lr" or path.startswith("sgd.lr.") else path.partition(".")[0]
        parents, _, key = path.rpartition(".")
        place = _TABLES.index(table) if table in _TABLES else _TABLES.index("")
        return place, parents, _KEYS.index(key) if key in _KEYS else len(_KEYS), key

    return sorted(paths, key=rank)


def numbers_of(value: Any) -> list[float]:
    """Return the numbers in a field's value: itself, or those of a list or of the tables in it.

    Example:
        >>> numbers_of([0.1, {"schedule": "linear", "final": 0.0}]), numbers_of("epoch"), numbers_of(True)
        ([0.1, 0.0], [], [])
    """
    if isinstance(value, dict):
        value = list(value.values())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [number for one in value for number in numbers_of(one)]  # pyright: ignore[reportUnknownVariableType]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def whole(value: Any) -> Any:
    """Return a number without a broken part as an integer.

    Example:
        >>> whole(30.0), whole(2.4)
        (30, 2.4)
    """
    return int(value) if float(value).is_integer() else value


def tidy(value: float) -> float:
    """Return what a multiplication or division came to without the last digits of arithmetic.

    Example:
        >>> tidy(0.1 * 3)
        0.3
    """
    return float(f"{value:.12g}")


def covering(spans: Iterable[tuple[int, int]]) -> Callable[[int, int], bool]:
    """Return a function that says whether a stretch lies within one of these, each (first, after the last)."""
    ordered = sorted(spans)
    farthest = list(accumulate((end for _, end in ordered), max))

    def inside(start: int, end: int) -> bool:
        before = bisect_right(ordered, (start, math.inf))
        return before > 0 and end <= farthest[before - 1]

    return inside
