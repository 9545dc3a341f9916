"""The same rule in other settings: with fewer schedules, a more usual way of weight decay, no dampening."""

from __future__ import annotations

from dataclasses import fields, replace

from downslope.core.schedules.schedule import Schedule, constant_value, scaled
from downslope.core.settings import Settings, is_zero
from downslope.recipe.schema import Recipe


def without_idle_schedules(settings: Settings) -> Settings:
    """Return the same settings with the number in the place of every schedule that always has it."""
    idle = {
        field.name: value
        for field in fields(settings)
        if isinstance(given := getattr(settings, field.name), Schedule) and (value := constant_value(given)) is not None
    }
    return replace(settings, **idle) if idle else settings


def first(value: float | Schedule) -> float:
    """Return a number, or a schedule's value at step 0."""
    return value(0) if isinstance(value, Schedule) else value


def changes_with_time(settings: Settings, recipe: Recipe | None = None) -> bool:
    """Return whether lr ever changes: by its schedule, none of which is idle here, or on a plateau."""
    if recipe is not None and recipe.train.plateau is not None:
        return True
    return isinstance(settings.lr, Schedule)


def in_simplest_decay(settings: Settings) -> Settings:
    """Return the same rule with its weight decay said in the way that most frameworks have, where there is one.

    Without momentum, decoupled decay is coupled decay, unless a trust ratio multiplies that. Relative decay is
    decoupled decay divided by the initial lr.
    """
    if is_zero(settings.weight_decay):
        return replace(settings, weight_decay=0.0, decay="coupled")
    if settings.decay == "relative":
        factor = 1 / settings.lr_initial
        settings = replace(settings, weight_decay=scaled(settings.weight_decay, factor), decay="decoupled")
    constant = not changes_with_time(settings)
    if settings.decay in {"independent", "corrected"} and constant and not isinstance(settings.weight_decay, Schedule):
        lr = settings.lr_initial
        if settings.decay == "corrected":
            settings = replace(settings, decay="decoupled")
        elif lr > 0:
            settings = replace(settings, weight_decay=settings.weight_decay / lr, decay="decoupled")
    if settings.decay == "decoupled" and is_zero(settings.momentum) and settings.trust_coefficient is None:
        settings = replace(settings, decay="coupled")
    return settings


def without_dampening(settings: Settings) -> Settings:
    """Return the same rule with dampening taken into lr; the settings as they are where no lr does the same.

    v <- m v + (1 - t) g with p -= lr v is v <- m v + g with p -= lr (1 - t) v, if the first step is dampened as all
    others are. Not with Nesterov's or quasi-hyperbolic momentum, whose step has g beside (1 - t) g; and not with t = 1,
    which lets no gradient in at all.
    """
    has_grad = settings.nesterov or settings.nu is not None
    if not 0 < settings.dampening < 1 or has_grad or settings.undampened_first_step:
        return settings
    kept = 1 - settings.dampening
    weight_decay = settings.weight_decay
    if settings.decay in {"decoupled", "corrected"}:
        weight_decay = scaled(weight_decay, 1 / kept)
    return replace(settings, lr=scaled(settings.lr, kept), weight_decay=weight_decay, dampening=0.0)
