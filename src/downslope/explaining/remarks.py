"""What a person should know about a recipe: where it is unusual, and where a formula does not hold for it.

When to remark on what, and the numbers of each remark; the sentences are in the languages' files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from downslope.core.rule import StepScalars
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.explaining.explanation import DampingRow, Extent, Remark, RunSize
from downslope.explaining.run_course import Course
from downslope.recipe.schema import Recipe
from downslope.theory import forgetting, velocity
from downslope.theory.forgetting import Memory
from downslope.theory.velocity import gain_of

USUAL_EPOCHS = (1.0, 13.0)
"""Decay timescales between which all famous recipes lie, in epochs."""

_OFF = 0.05
"""From which relative error on a formula is said not to hold."""

_MORE = 1.5
"""How many times as strong beside lr a decay must become that it is said to outweigh the gradients late."""


def remarks_of(
    settings: Settings,
    recipe: Recipe | None,
    course: Course,
    run: RunSize,
    damping: Sequence[DampingRow],
    memory: Memory,
    extents: Sequence[Extent],
) -> tuple[Remark, ...]:
    """Return the remarks on some settings, and on the recipe if there is one; the gravest first."""
    now, by_name = course.peak(), {extent.name: extent for extent in extents}
    return (
        *_about_lr(now, course, damping, by_name),
        *_about_decay(settings, course, run, memory, by_name),
        *_about_velocity(settings, now, run),
        *(_about_training(recipe) if recipe else ()),
    )


def _about_lr(
    now: StepScalars, course: Course, damping: Sequence[DampingRow], extents: Mapping[str, Extent]
) -> Iterator[Remark]:
    if now.lr == 0:
        yield Remark(name="lr_zero")
        return
    if unstable := [row for row in damping if row.regime == "unstable"]:
        yield Remark(name="unstable", numbers={"curvature": unstable[-1].curvature, "rate": unstable[-1].rate})
    elif (limit := extents.get("largest_curvature")) is not None:
        top = damping[-1].curvature if damping else 0.0
        if limit.smallest < top or limit.smallest < 0:
            at = {"limit": limit.smallest, "at": limit.smallest_at, "in_epochs": not course.ticks_are_steps}
            yield Remark(name="unstable_elsewhere", numbers=at)
    if course.settings is None:
        yield Remark(name="mixed_units")
        return
    if isinstance(course.settings.lr, Schedule):
        if course.settings.at(0).lr == 0:
            yield Remark(name="lr_starts_at_zero")
        last = course.length() - 1
        if last and course.total is not None and course.settings.at(last).lr == 0:
            yield Remark(name="lr_ends_at_zero")


def _about_decay(
    settings: Settings, course: Course, run: RunSize, memory: Memory, extents: Mapping[str, Extent]
) -> Iterator[Remark]:
    steps, now = memory.steps, course.peak()
    if settings.trust_coefficient is not None and settings.decay == "coupled":  # scaled by each tensor's own ratio
        return
    if not math.isinf(memory.formula):
        off = abs(memory.formula - steps) > _OFF * steps or memory.way != "fades"
        if not memory.closed and off and memory.way != "at once":  # which its own sentence tells
            yield _not_slow(memory)
        if math.isinf(steps):
            return
    mean = extents["decay_steps"].mean if "decay_steps" in extents else None
    whole = steps if mean is None else mean
    if math.isinf(whole):
        return
    if run.steps_per_epoch is not None:
        yield from _unusual(course, steps, whole, run.steps_per_epoch)
    if run.total_steps is not None and whole > run.total_steps:
        numbers = {"steps": whole, "total": run.total_steps, "moves": mean is not None}
        yield Remark(name="longer_than_the_run", numbers=numbers | {"left": math.exp(-run.total_steps / whole)})
    if settings.decay == "decoupled" and now.lr and now.decoupled_decay:
        yield from _copied(now)
    if settings.decay == "independent" and isinstance(settings.lr, Schedule) and _grows_beside_lr(course):
        yield Remark(name="decay_ignores_lr", numbers={"moves": isinstance(settings.weight_decay, Schedule)})


def _unusual(course: Course, peak: float, whole: float, per_epoch: int) -> Iterator[Remark]:
    """Yield that a decay is faster or slower than famous ones, from its timescales at the peak and over the run.

    Those of famous recipes are at their largest lr; where more than lr moves, no step stands for the run.
    """
    at_peak = course.only_lr_moves()
    numbers = {"epochs": (peak if at_peak else whole) / per_epoch, "steps": peak if at_peak else whole}
    if numbers["epochs"] < USUAL_EPOCHS[0]:
        yield Remark(name="forgets_fast", numbers=numbers | {"moves": not at_peak})
    if min(peak, whole) / per_epoch > USUAL_EPOCHS[1]:
        yield Remark(name="forgets_slowly", numbers=numbers | {"moves": not at_peak})


def _grows_beside_lr(course: Course) -> bool:
    """Return whether the last step decays more, beside its lr and its effective lr, than that of the largest."""
    if course.settings is None:
        return False
    peak, last = course.peak(), course.settings.at(course.length() - 1)
    rates = ((peak.lr, last.lr), (gain_of(peak), gain_of(last)))
    return all(last.decoupled_decay * at_peak > _MORE * peak.decoupled_decay * at_last for at_peak, at_last in rates)


def _copied(now: StepScalars) -> Iterator[Remark]:
    """Yield that the number may have been copied from where decay is coupled, unless it is as strong there."""
    factor = forgetting.decoupled_equivalent(1.0, now.momentum, now.dampening, nesterov=now.nesterov, nu=now.nu)
    if factor > 0 and not math.isclose(factor, 1.0):
        numbers = {"factor": factor, "weight_decay": now.decoupled_decay / now.lr}
        yield Remark(name="copied_from_coupled", numbers=numbers)


def _not_slow(memory: Memory) -> Remark:
    """Return the remark that the closed form does not hold; of swings, with the steps in which they shrink by e."""
    exact, regime = memory.steps, "unstable"
    if math.isfinite(exact):
        regime = {"swings": "oscillating", "jumps": "alternating"}.get(memory.way, "over-damped")
        if regime != "over-damped":
            exact = -1 / math.log(memory.rate) if memory.rate else 0.0
    return Remark(name="decay_not_slow", numbers={"formula": memory.formula, "exact": exact, "regime": regime})


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
        if settings.undampened_first_step and settings.dampening < 1:
            yield Remark(name="first_undampened", numbers={"factor": 1 / (1 - settings.dampening)})
    if settings.maximize:
        yield Remark(name="maximizes")
    if settings.trust_coefficient is not None:
        numbers = {"coefficient": settings.trust_coefficient}
        trust, larc = Remark(name="trust", numbers=numbers), Remark(name="trust_clip", numbers=numbers)
        yield larc if settings.trust_clip else trust
    if settings.adaptive_clip is not None:
        name = "adaptive_clip" if settings.adaptive_clip_by is None else "adaptive_clip_by_unit"
        yield Remark(name=name, numbers={"share": settings.adaptive_clip})


def _about_training(recipe: Recipe) -> Iterator[Remark]:
    train = recipe.train
    if train.plateau is not None:
        yield Remark(name="plateau", numbers={"factor": train.plateau.factor, "patience": train.plateau.patience})
    if train.clip_norm is not None:
        yield Remark(name="clipped", numbers={"norm": train.clip_norm})
    if train.velocity_dtype == "int8":
        yield Remark(name="eight_bits")
    if train.accumulate > 1:
        yield Remark(name="accumulates", numbers={"count": train.accumulate})
    if train.ema is not None:
        yield Remark(name="averaged", numbers={"horizon": 1 / (1 - train.ema)})
