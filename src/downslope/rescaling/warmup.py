"""A gradual warmup before a large lr, from what lr was for the smaller batch (Goyal et al. 2017, section 2.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from downslope.core.errors import RecipeError
from downslope.core.exact import exact, plain
from downslope.core.schedules import OneCycle, Schedule, Warmup, WarmupStableDecay
from downslope.recipe.schema import Recipe

_SOURCE = (
    "it begins with the lr of the smaller batch and is at the new one after the warmup",
    "Goyal et al. 2017, 2.2",
)


def warms_up(lr: float | Schedule) -> bool:
    """Return whether an lr rises to its largest value at the start."""
    if isinstance(lr, Warmup):
        return lr.duration > 0
    return isinstance(lr, OneCycle) or (isinstance(lr, WarmupStableDecay) and lr.warmup > 0)


def with_warmup(before: Recipe, after: Recipe, epochs: float, reasons: dict[str, tuple[str, str]]) -> Recipe:
    """Return a recipe with a warmup of so many epochs before its lr and before each lr of a group.

    Raises:
        RecipeError: If there is one, or the lr has not grown.
    """

    def warmed(old: Any, new: Any) -> Any:
        start = old.reference if isinstance(old, Schedule) else old
        top = new.reference if isinstance(new, Schedule) else new
        if not start < top:
            raise RecipeError(f"`warmup` rises from the old lr to the new, and here lr goes from {start:g} to {top:g}.")
        return Warmup(plain(exact(epochs)), new, start=start, unit="epoch", restart=False)

    lrs = [after.sgd.lr, *(group.lr for group in after.groups if group.lr is not None)]
    if any(warms_up(lr) for lr in lrs):
        raise RecipeError("`warmup` would add a warmup, and the recipe has one. Leave it out.")
    for path in [path for path in reasons if path.startswith(("sgd.lr.", "groups."))]:
        del reasons[path]  # of schedules that now stand within the warmup
    reasons["sgd.lr"] = reasons["groups"] = _SOURCE
    groups = tuple(
        new if new.lr is None else replace(new, lr=warmed(old.lr, new.lr))
        for old, new in zip(before.groups, after.groups, strict=True)
    )
    return replace(after, sgd=replace(after.sgd, lr=warmed(before.sgd.lr, after.sgd.lr)), groups=groups)
