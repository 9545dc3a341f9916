"""The quantities of an explanation, each from its formula, at the largest lr.

What lives here: which quantities a recipe has, and what each needs. What does not: the formulas (`theory/`), the words
(`describe.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from downslope.core.rule import StepScalars
from downslope.core.settings import Settings
from downslope.recipes.explaining.course import Course, gain_of
from downslope.recipes.explaining.data import BatchRow, DampingRow, Item, RunSize
from downslope.recipes.theory import FORMULAS, batch, edge, forgetting, quadratic, rotation, stability, velocity

FACTORS = (0.25, 0.5, 2.0, 4.0, 8.0)
"""Batch sizes shown, as multiples of the recipe's."""


def items_of(settings: Settings, course: Course, run: RunSize, curvatures: Sequence[float]) -> tuple[Item, ...]:
    """Return all quantities.

    Args:
        settings: The settings as given.
        course: Their course.
        run: The size of the run.
        curvatures: The curvatures that were given, increasing.
    """
    now = course.peak()
    return (
        *_velocity(now, run),
        *_decay(settings, now, run),
        *_stability(now, curvatures),
        *_damping(now, curvatures),
        *_rotation(now, course),
    )


def damping_rows(now: StepScalars, curvatures: Sequence[float]) -> tuple[DampingRow, ...]:
    """Return how the rule behaves along each curvature.

    Args:
        now: The scalars of the step.
        curvatures: Increasing curvatures.
    """
    rows: list[DampingRow] = []
    for curvature in curvatures:
        found = quadratic.damping(now, curvature)
        whole = curvature + now.coupled_decay
        critical = None
        if not now.dampening and now.momentum and now.lr * whole <= 1:
            critical = quadratic.critical_momentum(now.lr, whole, nesterov=now.nesterov)
        rows.append(
            DampingRow(
                curvature=curvature,
                regime=found.regime,
                rate=found.rate,
                half_life=_half_life(found.rate),
                critical_momentum=critical,
            )
        )
    return tuple(rows)


def batch_rows(settings: Settings, now: StepScalars, run: RunSize, weight_decay: float) -> tuple[BatchRow, ...]:
    """Return the same training with other batch sizes.

    Args:
        settings: The settings as given.
        now: The scalars of the step with the largest lr.
        run: The size of the run.
        weight_decay: Weight decay of that step.
    """
    rows: list[BatchRow] = []
    for factor in FACTORS:
        size = None if run.batch_size is None else run.batch_size * factor
        if size is not None and (size < 1 or size != int(size) or (run.examples and size > run.examples)):
            continue
        lr = batch.lr_for_batch(now.lr, factor)
        scaled = batch.lr_for_batch_and_momentum(now.lr, now.momentum, factor, now.dampening, nesterov=now.nesterov)
        rows.append(
            BatchRow(
                factor=factor,
                batch_size=None if size is None else int(size),
                lr=lr,
                weight_decay=batch.weight_decay_for_batch(weight_decay, settings.decay, factor, factor),
                momentum_scaled=batch.momentum_for_batch(now.momentum, factor),
                lr_scaled=scaled,
                weight_decay_scaled=batch.weight_decay_for_batch(
                    weight_decay, settings.decay, factor, scaled / now.lr if now.lr else factor
                ),
            )
        )
    return tuple(rows)


def _item(name: str, section: str, unit: str, formula: Any, value: float | None, needs: str = "") -> Item:
    card = FORMULAS[formula.__name__]
    return Item(
        name=name,
        section=section,
        value=value,
        unit=unit,
        equation=card.equation,
        valid=card.valid,
        source=card.source,
        formula=card.name,
        needs=needs if value is None else "",
    )


def _velocity(now: StepScalars, run: RunSize) -> Iterator[Item]:
    yield _item("effective_lr", "velocity", "lr", velocity.effective_lr, gain_of(now))
    if not now.momentum:
        return
    half_life = velocity.velocity_half_life(now.momentum)
    yield _item(
        "velocity_horizon", "velocity", "steps", velocity.velocity_horizon, velocity.velocity_horizon(now.momentum)
    )
    yield _item("velocity_half_life", "velocity", "steps", velocity.velocity_half_life, half_life)
    examples = None if run.batch_size is None else half_life * run.batch_size
    yield _item(
        "velocity_half_life_examples", "velocity", "examples", velocity.velocity_half_life, examples, "batch_size"
    )


_TIMESCALES = {
    "coupled": forgetting.timescale_coupled,
    "decoupled": forgetting.timescale_decoupled,
    "independent": forgetting.timescale_independent,
    "relative": forgetting.timescale_relative,
    "corrected": forgetting.timescale_corrected,
}


def _decay(settings: Settings, now: StepScalars, run: RunSize) -> Iterator[Item]:
    if not (now.coupled_decay or now.decoupled_decay or settings.weight_decay):
        return
    steps = forgetting.timescale(now)
    epochs = None if run.steps_per_epoch is None else forgetting.in_epochs(steps, run.steps_per_epoch)
    yield _item("decay_steps", "decay", "steps", _TIMESCALES[settings.decay], steps)
    missing = ", ".join(name for name in ("batch_size", "examples") if getattr(run, name) is None)
    yield _item("decay_epochs", "decay", "epochs", forgetting.in_epochs, epochs, missing)
    if settings.decay == "coupled":
        equal = forgetting.decoupled_equivalent(now.coupled_decay, now.momentum)
        yield _item("decoupled_equivalent", "decay", "", forgetting.decoupled_equivalent, equal)
        yield _item("keras_l2", "decay", "", forgetting.keras_l2, forgetting.keras_l2(now.coupled_decay))


def _stability(now: StepScalars, curvatures: Sequence[float]) -> Iterator[Item]:
    how = (now.momentum, now.coupled_decay, now.dampening)
    top = curvatures[-1] if curvatures else None
    yield _item(
        "largest_curvature_heavy_ball",
        "stability",
        "curvature",
        stability.largest_curvature_heavy_ball,
        stability.largest_curvature_heavy_ball(now.lr, *how),
    )
    yield _item(
        "largest_curvature_nesterov",
        "stability",
        "curvature",
        stability.largest_curvature_nesterov,
        stability.largest_curvature_nesterov(now.lr, *how),
    )
    for name, limit in (
        ("largest_lr_heavy_ball", stability.largest_lr_heavy_ball),
        ("largest_lr_nesterov", stability.largest_lr_nesterov),
    ):
        value = None if top is None else limit(top, *how)
        yield _item(name, "stability", "lr", limit, value, "curvature")
    full = edge.edge_full_batch(now.lr, now.momentum, nesterov=now.nesterov, dampening=now.dampening)
    yield _item("edge_full_batch", "stability", "curvature", edge.edge_full_batch, full)
    yield _item(
        "edge_mini_batch",
        "stability",
        "curvature",
        edge.edge_mini_batch,
        edge.edge_mini_batch(now.lr, now.momentum),
    )


def _damping(now: StepScalars, curvatures: Sequence[float]) -> Iterator[Item]:
    if now.momentum and not now.dampening:
        critical = quadratic.critical_curvature(now.lr, now.momentum, nesterov=now.nesterov) - now.coupled_decay
        yield _item("critical_curvature", "damping", "curvature", quadratic.critical_curvature, critical)
    if now.momentum and not now.nesterov:
        rate = quadratic.oscillation_rate(now.momentum)
        yield _item("oscillation_rate", "damping", "per step", quadratic.oscillation_rate, rate)
    several = len(curvatures) > 1 and curvatures[0] > 0
    for kind, formula in (("heavy_ball", quadratic.optimal_heavy_ball), ("nesterov", quadratic.optimal_nesterov)):
        best = None
        if several:
            low, high = (curvature + now.coupled_decay for curvature in (curvatures[0], curvatures[-1]))
            best = formula(low, high)
        for part, unit in (("lr", "lr"), ("momentum", ""), ("rate", "per step")):
            value = None if best is None else getattr(best, part)
            yield _item(f"optimal_{kind}_{part}", "damping", unit, formula, value, "curvatures")


def _rotation(now: StepScalars, course: Course) -> Iterator[Item]:
    forgotten = forgetting.forgotten_per_step(now)
    if forgotten <= 0:
        return
    gain = gain_of(now)
    angle = rotation.rotation_per_step(now.momentum, forgotten, now.dampening, nesterov=now.nesterov)
    norm = rotation.equilibrium_norm(gain, forgotten)
    yield _item("rotation_per_step", "rotation", "radians per step", rotation.rotation_per_step, angle)
    yield _item("equilibrium_norm", "rotation", "times sqrt(|grad| |param|)", rotation.equilibrium_norm, norm)
    ratio = rotation.equilibrium_gradient_ratio
    yield _item("equilibrium_gradient_ratio", "rotation", "", ratio, ratio(gain, forgotten))
    if course.settings is None:
        return
    last = course.settings.at(course.length() - 1)
    if last.lr != now.lr:
        value = ratio(gain_of(last), forgetting.forgotten_per_step(last))
        yield _item("equilibrium_gradient_ratio_last", "rotation", "", ratio, value)


def _half_life(rate: float) -> float:
    if rate in (0.0, 1.0):
        return 0.0 if rate == 0 else math.inf
    return math.log(2) / abs(math.log(rate))
