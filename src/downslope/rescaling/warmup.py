"""A gradual warmup before a large lr, from what lr was for the smaller batch (Goyal et al. 2017, section 2.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from downslope.core.errors import RecipeError
from downslope.core.exact import exact, plain
from downslope.core.schedules import OneCycle, Schedule, Warmup, WarmupStableDecay
from downslope.recipe.schema import Recipe
from downslope.rescaling.rescaled import moved_path

_SOURCE = (
    "it begins with the lr of the smaller batch and is at the new one after the warmup",
    "Goyal et al. 2017, 2.2",
)


def warms_up(lr: float | Schedule) -> bool:
    """Return whether an lr rises to its largest value at the start."""
    if isinstance(lr, Warmup):
        return lr.duration > 0
    return isinstance(lr, OneCycle) or (isinstance(lr, WarmupStableDecay) and lr.warmup > 0)


def with_warmup(
    before: Recipe, after: Recipe, epochs: float, reasons: dict[str, tuple[str, str]], moved: dict[str, str]
) -> Recipe:
    """Return a recipe with a warmup of so many epochs before its lr and before each lr of a group.

    Where the lrs stand now is put into `moved`; their reasons go with them.

    Raises:
        RecipeError: If there is one, or the lr has not grown.
    """

    def warmed(path: str, old: Any, new: Any) -> Any:
        start = old.reference if isinstance(old, Schedule) else old
        top = new.reference if isinstance(new, Schedule) else new
        if not start < top:
            raise RecipeError(f"`warmup` rises from the old lr to the new, and here lr goes from {start:g} to {top:g}.")
        moved[path] = f"{path}.then" if isinstance(old, Schedule) else f"{path}.then.value"
        return Warmup(plain(exact(epochs)), new, start=start, unit="epoch", restart=False)

    lrs = [after.sgd.lr, *(group.lr for group in after.groups if group.lr is not None)]
    if any(warms_up(lr) for lr in lrs):
        raise RecipeError("`warmup` would add a warmup, and the recipe has one. Leave it out.")
    lr = warmed("sgd.lr", before.sgd.lr, after.sgd.lr)
    groups = tuple(
        new if new.lr is None else replace(new, lr=warmed(f"groups.{number}.lr", old.lr, new.lr))
        for number, (old, new) in enumerate(zip(before.groups, after.groups, strict=True))
    )
    inside = {f"{path}.then": reasons.get(path, reasons["groups"]) for path in moved}
    within = {moved_path(path, moved): reason for path, reason in reasons.items()}
    reasons |= inside | within | dict.fromkeys(moved, _SOURCE)
    return replace(after, sgd=replace(after.sgd, lr=lr), groups=groups)
