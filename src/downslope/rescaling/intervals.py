"""Whole numbers of steps, and schedules, after a change of the length of a step."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

from downslope.core.exact import tidy
from downslope.core.schedules import Schedule
from downslope.core.schedules.schedule import stretched
from downslope.recipe.schema import Recipe


def whole(steps: int, factor: Fraction) -> int:
    """Return so many steps times a factor, at least one, to the nearest whole number, of two the larger.

    Example:
        >>> whole(100, Fraction(1, 4)), whole(10, Fraction(1, 4)), whole(1, Fraction(1, 4))
        (25, 3, 1)
    """
    return max(1, int(steps * factor + Fraction(1, 2)))


def in_time(value: float | Schedule | None, factor: Fraction, *units: str) -> Any:
    """Return a number as it is, or a schedule whose lengths in these units are multiplied by a factor."""
    return None if value is None else tidied(stretched(value, factor, units))


def recipe_in_time(recipe: Recipe, factor: Fraction, *units: str) -> Recipe:
    """Return a recipe with each of its schedules in another time, as `in_time` says; all else stays."""

    def timed(owner: Any, *names: str) -> Any:
        return replace(owner, **{name: in_time(getattr(owner, name), factor, *units) for name in names})

    scheduled = ("lr", "momentum", "weight_decay")
    return replace(
        recipe,
        sgd=timed(recipe.sgd, *scheduled),
        groups=tuple(timed(group, *scheduled, "lr_factor") for group in recipe.groups),
        train=timed(recipe.train, "teacher_forcing"),
    )


def tidied(value: float | Schedule) -> Any:
    """Return a number or a schedule without the rounding of the last few operations."""
    if not isinstance(value, Schedule):
        return tidy(value)
    changes: dict[str, Any] = {}
    for field in fields(value):
        inside = getattr(value, field.name)
        if isinstance(inside, Schedule | float):
            changes[field.name] = tidied(inside)
        elif isinstance(inside, tuple):
            changes[field.name] = tuple(tidied(one) for one in inside)
    return replace(value, **changes)
