"""The quantities of an explanation, each from its formula, at the step that the numbers are of.

Which quantities a recipe has, and what each needs; the formulas are in `theory/`, the words in the languages' files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypedDict

from downslope.core.rule import StepScalars
from downslope.core.settings import Settings
from downslope.explaining.explanation import BatchRow, DampingRow, Item, RunSize
from downslope.explaining.run_course import Course
from downslope.theory import FORMULAS, batch, direction, forgetting, quadratic, rotation, stability, velocity
from downslope.theory.direction import Stretch
from downslope.theory.forgetting import Memory

FACTORS = (0.25, 0.5, 2.0, 4.0, 8.0)
"""Batch sizes shown, as multiples of the recipe's."""


def items_of(
    settings: Settings,
    course: Course,
    run: RunSize,
    curvatures: Sequence[float],
    memory: Memory,
    stretches: Sequence[Stretch],
) -> tuple[Item, ...]:
    """Return all quantities of some settings; `curvatures` increase."""
    now = course.peak()
    return (
        *_velocity(now, run),
        *_decay(settings, now, run, memory),
        *_stability(settings, now, course, curvatures),
        *_damping(now, curvatures, stretches),
        *_rotation(now, course),
    )


def damping_rows(now: StepScalars, curvatures: Sequence[float]) -> tuple[DampingRow, ...]:
    """Return how a step behaves along each curvature."""
    rows: list[DampingRow] = []
    for curvature in curvatures:
        regime, rate = quadratic.damping(now, curvature)
        critical = None
        if now.momentum:
            critical = quadratic.critical_momentum(now.lr, curvature + now.coupled_decay, **_form(now))
        half_life = _half_life(rate)
        rows.append(
            DampingRow(curvature=curvature, regime=regime, rate=rate, half_life=half_life, critical_momentum=critical)
        )
    return tuple(rows)


def _half_life(rate: float) -> float:
    if rate in (0.0, 1.0):
        return 0.0 if rate == 0 else math.inf
    return math.log(2) / abs(math.log(rate))


class _Form(TypedDict):
    nesterov: bool
    nu: float | None
    dampening: float
    decoupled: float


def _form(now: StepScalars) -> _Form:
    """Return a step's form of momentum and decay, as formulas take them."""
    return {
        "nesterov": now.nesterov,
        "nu": now.nu,
        "dampening": now.dampening,
        "decoupled": now.decoupled_decay,
    }


def batch_rows(settings: Settings, now: StepScalars, run: RunSize, weight_decay: float) -> tuple[BatchRow, ...]:
    """Return the same training with other batch sizes, from a step's scalars and its weight decay as given."""
    rows: list[BatchRow] = []
    for factor in FACTORS:
        size = None if run.batch_size is None else run.batch_size * factor
        if size is not None and (size < 1 or size != int(size) or (run.examples and size > run.examples)):
            continue
        lr = batch.lr_for_batch(now.lr, factor)
        decay = batch.weight_decay_for_batch(weight_decay, settings.decay, factor, factor)
        momentum = batch.momentum_for_batch(now.momentum, factor)
        scaled = batch.lr_for_batch_and_momentum(
            now.lr, now.momentum, factor, now.dampening, nesterov=now.nesterov, nu=now.nu
        )
        grown = scaled / now.lr if now.lr else factor
        decay_scaled = batch.weight_decay_for_batch(weight_decay, settings.decay, factor, grown)
        rows.append(
            BatchRow(
                factor=factor,
                batch_size=None if size is None else int(size),
                lr=lr,
                weight_decay=decay,
                momentum_scaled=momentum,
                lr_scaled=scaled,
                weight_decay_scaled=decay_scaled,
                decay_kept=_decay_kept(now, factor, factor, now.momentum, decay, weight_decay),
                decay_kept_scaled=_decay_kept(now, factor, grown, momentum, decay_scaled, weight_decay),
            )
        )
    return tuple(rows)


_KEPT = 0.05
"""Up to which relative error a timescale counts as kept."""


def _decay_kept(
    now: StepScalars, factor: float, lr_factor: float, momentum: float, weight_decay: float, before: float
) -> bool:
    """Return whether weights forget over as many epochs as before, by the rule itself, where decay was slow."""
    if not before:
        return True
    old = forgetting.memory(now)
    stronger = weight_decay / before
    then = replace(
        now,
        lr=now.lr * lr_factor,
        momentum=momentum,
        grad_in=now.grad_in * lr_factor if now.velocity_out == 1 else now.grad_in,
        velocity_out=now.velocity_out if now.velocity_out == 1 else now.velocity_out * lr_factor,
        coupled_decay=now.coupled_decay * stronger,
        decoupled_decay=now.decoupled_decay * factor,
    )
    if math.isinf(old.steps):
        return old.way == "stays"
    new = forgetting.memory(then)
    return new.way == "fades" and abs(new.steps * factor - old.formula) <= _KEPT * old.formula


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
    yield _item("effective_lr", "velocity", "lr", velocity.effective_lr, velocity.gain_of(now))
    if not now.momentum:
        return
    horizon, half_life = velocity.velocity_horizon(now.momentum), velocity.velocity_half_life(now.momentum)
    examples = None if run.batch_size is None else half_life * run.batch_size
    formula = velocity.velocity_half_life
    yield _item("velocity_horizon", "velocity", "steps", velocity.velocity_horizon, horizon)
    yield _item("velocity_half_life", "velocity", "steps", formula, half_life)
    yield _item("velocity_half_life_examples", "velocity", "examples", formula, examples, "batch_size")


_TIMESCALES = {
    "coupled": forgetting.timescale_coupled,
    "decoupled": forgetting.timescale_decoupled,
    "independent": forgetting.timescale_independent,
    "relative": forgetting.timescale_relative,
    "corrected": forgetting.timescale_corrected,
}


def _decay(settings: Settings, now: StepScalars, run: RunSize, memory: Memory) -> Iterator[Item]:
    if not (now.coupled_decay or now.decoupled_decay or settings.weight_decay):
        return
    steps = memory.steps
    epochs = None if run.steps_per_epoch is None else forgetting.in_epochs(steps, run.steps_per_epoch)
    formula = _TIMESCALES[settings.decay] if memory.closed else forgetting.memory
    yield _item("decay_steps", "decay", "steps", formula, steps)
    missing = ", ".join(name for name in ("batch_size", "examples") if getattr(run, name) is None)
    yield _item("decay_epochs", "decay", "epochs", forgetting.in_epochs, epochs, missing)
    if settings.decay != "coupled":
        return
    if memory.way == "fades":
        equal = forgetting.decoupled_equivalent(
            now.coupled_decay, now.momentum, now.dampening, nesterov=now.nesterov, nu=now.nu
        )
        exact = -math.expm1(-1 / steps) / now.lr  # 1 - lr weight_decay, to the power of steps, is 1/e
        slow = abs(equal - exact) <= forgetting.CLOSE * exact
        formula = forgetting.decoupled_equivalent if slow else forgetting.memory
        yield _item("decoupled_equivalent", "decay", "", formula, equal if slow else exact)
    yield _item("keras_l2", "decay", "", forgetting.keras_l2, forgetting.keras_l2(now.coupled_decay))


def _stability(settings: Settings, now: StepScalars, course: Course, curvatures: Sequence[float]) -> Iterator[Item]:
    top = curvatures[-1] if curvatures else None
    for name, formula in (
        ("largest_curvature_heavy_ball", stability.largest_curvature_heavy_ball),
        ("largest_curvature_nesterov", stability.largest_curvature_nesterov),
    ):
        value = formula(now.lr, now.momentum, now.coupled_decay, now.dampening, now.decoupled_decay)
        yield _item(name, "stability", "curvature", formula, value)
    if now.nu is not None:
        formula = stability.largest_curvature_quasi_hyperbolic
        value = formula(now.lr, now.momentum, now.coupled_decay, now.dampening, now.decoupled_decay, nu=now.nu)
        yield _item("largest_curvature_quasi_hyperbolic", "stability", "curvature", formula, value)
    for name, form in _LARGEST_LR.items():
        if name == "largest_lr_quasi_hyperbolic" and now.nu is None:
            continue
        value = None if top is None else largest_lr(name, settings, course, top)
        yield _item(name, "stability", "lr", form, value, "curvature")
    for observed in (stability.edge_full_batch, stability.edge_mini_batch):
        yield _item(observed.__name__, "stability", "curvature", observed, observed(now.lr, now.momentum, **_form(now)))


_LARGEST_LR: dict[str, Callable[..., float]] = {
    "largest_lr_heavy_ball": stability.largest_lr_heavy_ball,
    "largest_lr_nesterov": stability.largest_lr_nesterov,
    "largest_lr_quasi_hyperbolic": stability.largest_lr_quasi_hyperbolic,
}


def largest_lr(name: str, settings: Settings, course: Course, curvature: float) -> float:
    """Return the lr below which the form of that name is stable along a curvature, with the decay as it then is."""
    now = course.peak()
    per_lr = per_step = 0.0
    if settings.decay in {"decoupled", "corrected"}:  # lr and lr_max go up together
        per_lr = now.decoupled_decay / now.lr if now.lr else course.peak_row().weight_decay
    elif settings.decay != "coupled":
        per_step = now.decoupled_decay
    form = {"nu": now.nu} if name == "largest_lr_quasi_hyperbolic" else {}
    return _LARGEST_LR[name](
        curvature, now.momentum, now.coupled_decay, now.dampening, per_lr=per_lr, per_step=per_step, **form
    )


def own_form(settings: Settings | StepScalars) -> str:
    """Return the form of momentum that settings or a step have, as the names of quantities say it."""
    if settings.nu is not None:
        return "quasi_hyperbolic"
    return "nesterov" if settings.nesterov else "heavy_ball"


def _damping(now: StepScalars, curvatures: Sequence[float], stretches: Sequence[Stretch]) -> Iterator[Item]:
    critical = quadratic.critical_curvature(now.lr, now.momentum, **_form(now))
    if now.momentum and critical is not None:
        value = critical - now.coupled_decay
        yield _item("critical_curvature", "damping", "curvature", quadratic.critical_curvature, value)
    if not now.nesterov and now.nu is None and any(stretch.regime == "oscillating" for stretch in stretches):
        rate = quadratic.oscillation_rate(now.momentum, now.decoupled_decay)
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


def stretches_at(now: StepScalars) -> tuple[Stretch, ...]:
    """Return what a step does along curvatures from 0 upwards; none where curvature makes no difference."""
    return direction.stretches_of(now) if velocity.gain_of(now) > 0 else ()


def _rotation(now: StepScalars, course: Course) -> Iterator[Item]:
    found = rotation.equilibrium(now)
    if found is None:
        return
    for name, unit, value, formula in (
        ("rotation_per_step", "radians per step", found.rotation, rotation.rotation_per_step),
        ("equilibrium_norm", "times sqrt(|grad| |param|)", found.norm, rotation.equilibrium_norm),
        ("equilibrium_gradient_ratio", "", found.gradient_ratio, rotation.equilibrium_gradient_ratio),
    ):
        yield _item(name, "rotation", unit, formula if found.closed else rotation.equilibrium, value)
    if course.settings is None:
        return
    last = course.settings.at(course.length() - 1)
    ends = rotation.equilibrium(last) if last != now else None
    if ends is not None:
        formula = rotation.equilibrium_gradient_ratio if ends.closed else rotation.equilibrium
        yield _item("equilibrium_gradient_ratio_last", "rotation", "", formula, ends.gradient_ratio)
