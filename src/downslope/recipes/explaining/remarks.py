"""What a person should know about a recipe: where it is unusual, and where a formula does not hold for it.

What lives here: when to remark on what, and the numbers of each remark. What does not: the sentences (`english.py`,
`chinese.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from downslope.core.rule import StepScalars
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.recipes.explaining.course import Course
from downslope.recipes.explaining.data import DampingRow, Remark, RunSize
from downslope.recipes.schema import Recipe
from downslope.recipes.theory import forgetting, quadratic, velocity

USUAL_EPOCHS = (1.0, 13.0)
"""Decay timescales between which all famous recipes lie, in epochs."""

_OFF = 0.05
"""From which relative error on a formula is said not to hold."""


def remarks_of(
    settings: Settings,
    recipe: Recipe | None,
    course: Course,
    run: RunSize,
    damping: Sequence[DampingRow],
) -> tuple[Remark, ...]:
    """Return the remarks, the gravest first.

    Args:
        settings: The settings as given.
        recipe: The recipe, if there is one.
        course: The course of the settings.
        run: The size of the run.
        damping: What the rule does along the curvatures that were given.
    """
    now = course.peak()
    found = [
        *_about_lr(now, course, damping),
        *_about_decay(settings, now, run),
        *_about_velocity(settings, now, run),
        *(_about_training(recipe) if recipe else ()),
    ]
    return tuple(found)


def _about_lr(now: StepScalars, course: Course, damping: Sequence[DampingRow]) -> Iterator[Remark]:
    if now.lr == 0:
        yield Remark(name="lr_zero")
        return
    if unstable := [row for row in damping if row.regime == "unstable"]:
        yield Remark(name="unstable", numbers={"curvature": unstable[-1].curvature, "rate": unstable[-1].rate})
    if course.settings is None:
        yield Remark(name="mixed_units")
        return
    if isinstance(course.settings.lr, Schedule):
        if course.settings.at(0).lr == 0:
            yield Remark(name="lr_starts_at_zero")
        last = course.length() - 1
        if last and course.total is not None and course.settings.at(last).lr == 0:
            yield Remark(name="lr_ends_at_zero")


def _about_decay(settings: Settings, now: StepScalars, run: RunSize) -> Iterator[Remark]:
    steps = forgetting.timescale(now)
    if math.isinf(steps):
        return
    actual = quadratic.damping(now, 0.0)
    exact = -1 / math.log(actual.rate) if 0 < actual.rate < 1 else 0.0 if actual.rate == 0 else math.inf
    if abs(exact - steps) > _OFF * steps and abs(exact - steps) > 1:
        numbers = {"formula": steps, "exact": exact, "regime": actual.regime}
        yield Remark(name="decay_not_slow", numbers=numbers)
    if run.steps_per_epoch is not None:
        epochs = steps / run.steps_per_epoch
        if epochs < USUAL_EPOCHS[0]:
            yield Remark(name="forgets_fast", numbers={"epochs": epochs, "steps": steps})
        if epochs > USUAL_EPOCHS[1]:
            yield Remark(name="forgets_slowly", numbers={"epochs": epochs, "steps": steps})
    if run.total_steps is not None and steps > run.total_steps:
        yield Remark(name="longer_than_the_run", numbers={"steps": steps, "total": run.total_steps})
    if settings.decay == "decoupled" and now.momentum:
        yield Remark(
            name="copied_from_coupled",
            numbers={"factor": 1 / (1 - now.momentum), "weight_decay": now.decoupled_decay / now.lr},
        )
    if settings.decay == "independent" and isinstance(settings.lr, Schedule):
        yield Remark(name="decay_ignores_lr")


def _about_velocity(settings: Settings, now: StepScalars, run: RunSize) -> Iterator[Remark]:
    horizon = velocity.velocity_horizon(now.momentum)
    if run.total_steps is not None and now.momentum and horizon > run.total_steps / 2:
        yield Remark(name="velocity_outlives_the_run", numbers={"horizon": horizon, "total": run.total_steps})
    elif run.steps_per_epoch is not None and now.momentum and horizon > run.steps_per_epoch:
        yield Remark(name="velocity_outlives_an_epoch", numbers={"horizon": horizon, "epoch": run.steps_per_epoch})
    if settings.lr_in_velocity and isinstance(settings.lr, Schedule) and now.momentum:
        yield Remark(name="lr_inside")
    if settings.dampening:
        yield Remark(name="dampened", numbers={"dampening": settings.dampening})
    if settings.maximize:
        yield Remark(name="maximizes")


def _about_training(recipe: Recipe) -> Iterator[Remark]:
    train = recipe.train
    if train.plateau is not None:
        yield Remark(name="plateau", numbers={"factor": train.plateau.factor, "patience": train.plateau.patience})
    if train.clip_norm is not None:
        yield Remark(name="clipped", numbers={"norm": train.clip_norm})
    if train.accumulate > 1:
        yield Remark(name="accumulates", numbers={"count": train.accumulate})
    if train.ema is not None:
        yield Remark(name="averaged", numbers={"horizon": 1 / (1 - train.ema)})
