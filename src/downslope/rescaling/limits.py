"""How far a rule for another batch size is known to hold: what theory bounds, and what others have measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from downslope.core.rule import StepScalars
from downslope.core.schedules import Schedule
from downslope.core.schedules.schedule import constant_value
from downslope.core.settings import Settings
from downslope.recipe.schema import Recipe
from downslope.rescaling.warmup import warms_up
from downslope.theory.forgetting import forgotten_per_step
from downslope.theory.stability import largest_curvature_of
from downslope.theory.velocity import velocity_half_life

IMAGENET = 1_281_167
_LARGE = 1024
"""Batch size from which Goyal et al. and others warm up."""


def limits(
    before: Recipe,
    after: Recipe,
    rule: str,
    *,
    examples: int | None,
    curvature: float | None,
    warmup: float | None,
) -> list[str]:
    """Return sentences on how far the rule holds; none where the batch is as it was."""
    factor = after.data.batch_size / before.data.batch_size
    if factor == 1:
        return []
    return list(_limits(before, after, factor, rule, examples, curvature, warmup))


def _limits(
    before: Recipe,
    after: Recipe,
    factor: float,
    rule: str,
    examples: int | None,
    curvature: float | None,
    warmup: float | None,
) -> Iterator[str]:
    size, count = before.data.batch_size, before.train.accumulate
    yield (
        f"batch {size} -> {after.data.batch_size}, rule {rule}: it holds while the gradient's noise outweighs the "
        "gradient; the batch at which both are as large is the noise scale, which a run with train.shards >= 2 "
        "measures (McCandlish et al. 2018)"
    )
    if rule == "linear" and (examples == IMAGENET or (examples is None and "imagenet" in before.title.lower())):
        yield (
            "on ImageNet with ResNet-50 and a warmup the linear rule is known to hold up to a batch of 8,192, and to "
            "lose accuracy beyond (Goyal et al. 2017, figure 1)"
        )
    else:
        yield (
            "beyond which batch it breaks depends on data and model, and no rule for lr holds for all of them: Shallue "
            "et al. 2019 (arXiv 1811.03600), figure 8. Measure lr around the new value"
        )
    momentum = constant_value(before.sgd.momentum)
    if momentum is None:
        yield (
            "sgd.momentum is a schedule, so that from which batch on weights would swing or steps diverge is not known"
        )
    elif before.sgd.trust_coefficient is not None:
        yield (
            "each tensor has an lr of its own by sgd.trust_coefficient, so that from which batch on weights would "
            "swing or steps diverge is not known"
        )
    elif math.isfinite(before.sgd.lr_max):
        now = _at_peak(before.sgd, momentum)
        yield from _of_decay(now, size, factor)
        if curvature is not None:
            yield from _of_curvature(now, size, curvature, rule)
    if rule == "half-life" and momentum:
        most = size * velocity_half_life(momentum)
        broken = " (it is larger)" if after.data.batch_size > most else ""
        yield (
            f"the velocity forgets half within one step from a batch of {most:,.0f} on{broken}: then momentum hardly "
            "acts, and its horizon in examples cannot be kept"
        )
    if factor > 1 and after.data.batch_size * count >= _LARGE and not warms_up(after.sgd.lr) and warmup is None:
        yield "a large lr from the first step on often diverges: `warmup` (--warmup 5) adds Goyal et al.'s warmup"


def _at_peak(settings: Settings, momentum: float) -> StepScalars:
    """Return the scalars of a step with the largest lr; a decay that moves is taken as it begins."""
    decay = settings.weight_decay.reference if isinstance(settings.weight_decay, Schedule) else settings.weight_decay
    form = {} if momentum else {"nesterov": False, "nu": None, "dampening": 0.0}
    return replace(settings, lr=settings.lr_max, momentum=momentum, weight_decay=decay, **form).at(0)


def _of_decay(now: StepScalars, size: int, factor: float) -> Iterator[str]:
    """Say from which batch on weight decay acts as fast as the velocity: then no timescale is kept."""
    per_step = forgotten_per_step(now) * (1 - now.momentum)
    if not per_step:
        return
    most = (1 - math.sqrt(now.momentum)) ** 2 / per_step
    if most < max(64.0, 2 * factor):
        yield (
            f"from a batch of {size * most:,.0f} on weight decay would act as fast as the velocity "
            "(linear rule): weights swing, and no timescale is kept"
        )


def _of_curvature(now: StepScalars, size: int, curvature: float, rule: str) -> Iterator[str]:
    """Say from which batch on a step diverges along a curvature: the limit on lr, turned round."""
    limit = largest_curvature_of(now)
    room = (limit + now.coupled_decay) / (curvature + now.coupled_decay)
    most = size * (room * room if rule == "sqrt" else room)
    form = " with momentum as it is" if rule == "half-life" else ""
    yield f"along a curvature of {curvature:g} steps diverge from a batch of {most:,.0f} on{form}"
