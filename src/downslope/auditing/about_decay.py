"""Findings on weight decay: too fast, without effect, copied from another system, and what should not decay."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from downslope.auditing.finding import Finding
from downslope.auditing.subject import Subject
from downslope.core.groups import BIAS_AND_NORM, Group
from downslope.core.number_text import counted
from downslope.core.settings import is_zero
from downslope.theory import forgetting
from downslope.theory.velocity import effective_lr

_SPARING = re.compile(r"weight_decay[\"']?\]?\s*[:=]\s*0(\.0*)?\b|no_decay|exclude_from_weight_decay|\bmask=")
"""How programs spare some parameters whose names the reader cannot tell."""

USUAL = (1.0, 13.0)
"""Epochs over which the weights of famous recipes forget."""
_USUAL = f"famous recipes lie between {USUAL[0]:g} and {USUAL[1]:g} epochs"
_TOO_STRONG = "look whether a decay of lr, or the share that is kept, was meant; weight decay is mostly 1e-4 to 5e-4"
_TIMESCALE = "Wang & Aitchison 2024 (arXiv 2405.13698): the best timescale is about constant in epochs; docs/explain.md"
SPARED = (
    "biases and scales do not overfit, and most large recipes since 2017 spare them",
    "Goyal et al. 2017, section 5.1; He et al. 2019 (arXiv 1812.01187), section 3.1",
)
_AT_ONCE = 20
"""Steps: a weight that forgets within so few holds nothing of a data set."""
_COPIED = 1e-3
"""Up to this, a decoupled weight decay looks like one of torch's: 1e-4 and 5e-4 are the usual coupled ones."""


def about_decay(subject: Subject) -> Iterator[Finding]:
    """Yield the findings on weight decay."""
    if subject.settings is None:
        return
    if not is_zero(subject.settings.weight_decay):
        if subject.settings.trust_coefficient is None:  # by which each tensor has a decay of its own
            yield from _timescale(subject)
        yield from _copied(subject)
        yield from _bias_and_norm(subject)
    yield from _frozen(subject)


def _timescale(subject: Subject) -> Iterator[Finding]:
    """Judge how fast weights forget: at the largest effective lr, and over the run by the mean of what it forgets."""
    peak, run, mean = forgetting.memory(subject.peak), subject.run, subject.course.mean_decay_steps()
    where = subject.where("sgd.weight_decay")
    if peak.way != "stays" and math.isinf(peak.steps):
        yield Finding(
            name="decay_forgets_at_once",
            level="error",
            what="without a gradient, weights go beyond 0 at every step, and come no nearer to it",
            where=where,
            why=f"so strong a decay drives weights, whatever the gradients say; {_USUAL}",
            source=_TIMESCALE,
            do=_TOO_STRONG,
        )
        return
    whole = peak.steps if mean is None else mean
    if math.isinf(whole):  # lr is 0 throughout, which is told of lr
        return
    soonest, per_epoch = min(peak.steps, whole), run.steps_per_epoch or math.inf
    judged = peak.steps if subject.course.only_lr_moves() else whole
    swings = peak.way in {"swings", "jumps"}
    if soonest < _AT_ONCE or soonest < 0.1 * _finite(per_epoch) or (swings and soonest < per_epoch):
        in_epochs = "" if run.steps_per_epoch is None else f", {counted(f'{soonest / per_epoch:.2g}', 'epoch')}"
        how = "swing through 0" if swings else f"keep 37 % after {counted(f'{soonest:,.0f}', 'step')}{in_epochs}"
        yield Finding(
            name="decay_forgets_at_once",
            level="error",
            what=f"without a gradient, weights {how}: what a step learns is gone within an epoch",
            where=where,
            why=f"the weights forget most of the data before they see it again; {_USUAL}",
            source=_TIMESCALE,
            do=_TOO_STRONG,
            sure="certain" if soonest < _AT_ONCE else "likely",
        )
    elif judged < USUAL[0] * _finite(per_epoch):
        epochs = judged / per_epoch
        yield Finding(
            name="decay_forgets_within_an_epoch",
            level="warning",
            what=(
                f"{_over(judged, peak.steps)}weights forget over {counted(f'{epochs:.2g}', 'epoch')} "
                f"({judged:,.0f} steps)"
            ),
            where=where,
            why=f"within an epoch they forget what they saw in it; {_USUAL}",
            source=_TIMESCALE,
            do=f"try {epochs / USUAL[0]:.2g} times the weight decay or less",
            sure="likely",
        )
    elif run.total_steps is not None and whole > 50 * run.total_steps:
        yield Finding(
            name="decay_without_effect",
            level="warning",
            what=(
                f"{_over(whole, peak.steps)}weights would forget over {_steps(whole)} steps, "
                f"and the training has {run.total_steps:,}"
            ),
            where=where,
            why=f"so weak a decay changes nothing within the run; {_USUAL}",
            source=_TIMESCALE,
            do="leave it out, or choose it by its timescale: downslope explain says the epochs of any value",
            sure="likely",
        )
    elif soonest > USUAL[1] * per_epoch:
        yield Finding(
            name="decay_is_slow",
            level="advice",
            what=f"{_over(judged, peak.steps)}weights forget over {judged / per_epoch:.3g} epochs",
            where=where,
            why=_USUAL,
            source=_TIMESCALE,
            do="try a stronger decay, if held-out loss rises while training loss falls",
            sure="possible",
        )


def _finite(per_epoch: float) -> float:
    """Return the steps of an epoch, 0 where they are not known: then nothing is below a part of them."""
    return 0.0 if math.isinf(per_epoch) else per_epoch


def _over(steps: float, at_peak: float) -> str:
    return "" if steps == at_peak else "over the run as a whole "


def _steps(number: float) -> str:
    return f"{number:,.0f}" if number < 1e15 else f"{number:.3g}"


def _copied(subject: Subject) -> Iterator[Finding]:
    settings = subject.settings
    if settings is None or settings.decay != "decoupled" or isinstance(settings.weight_decay, str):
        return
    now = subject.peak
    gain = effective_lr(1.0, now.momentum, now.dampening, nesterov=now.nesterov, nu=now.nu)
    largest = [extent.largest for extent in subject.course.extents() if extent.name == "weight_decay"]
    strength = largest[0] if largest else now.decoupled_decay / now.lr if now.lr else 0.0
    if not 0 < strength <= _COPIED or gain < 2:
        return
    yield Finding(
        name="decay_copied_from_torch",
        level="warning",
        what=(
            f"weight_decay = {strength:g} is decoupled here; it is a usual value where decay is coupled (torch's SGD), "
            f"and {gain:.3g} times weaker here"
        ),
        where=subject.where("sgd.weight_decay"),
        why="coupled decay goes through the velocity, which multiplies it by 1 / (1 - momentum); decoupled does not",
        source="Loshchilov & Hutter 2019; theory: decoupled_equivalent; Keras's weight_decay is decoupled",
        do=f"use {strength * gain:.3g}, or in Keras L2({strength / 2:g}), where torch's {strength:g} is meant",
        sure="likely",
    )


def _bias_and_norm(subject: Subject) -> Iterator[Finding]:
    groups = subject.recipe.groups if subject.recipe else ()
    if subject.recipe is None or any(_spares(group) for group in groups) or _SPARING.search(subject.program):
        return
    yield Finding(
        name="decay_on_bias_and_norm",
        level="advice",
        what="all parameters decay, biases and those of normalisation layers too",
        where=subject.where("sgd.weight_decay"),
        why=SPARED[0],
        source=SPARED[1],
        do='add [[groups]] with match = "@bias_and_norm" and weight_decay = 0.0',
        sure="possible",
    )


def _spares(group: Group) -> bool:
    if group.weight_decay is None or not is_zero(group.weight_decay):
        return False
    if callable(group.match):
        return True
    return any(pattern == BIAS_AND_NORM or fnmatchcase("layer.bias", pattern) for pattern in group.patterns)


def _frozen(subject: Subject) -> Iterator[Finding]:
    """Find groups whose lr is 0, and which decay all the same."""
    recipe = subject.recipe
    for index, group in enumerate(recipe.groups if recipe else ()):
        settings = group.apply(recipe.sgd) if recipe else None
        if settings and is_zero(settings.lr) and settings.decay == "independent" and not is_zero(settings.weight_decay):
            yield Finding(
                name="frozen_parameters_decay",
                level="error",
                what=f"the group of {', '.join(group.patterns)} has lr 0, and decays by its own strength all the same",
                where=f"groups.{index}",
                why="independent decay does not depend on lr, so what was to stand still shrinks to 0",
                source="docs/optimizer.md, five ways of weight decay",
                do="freeze them by train.freeze, or give the group weight_decay = 0.0",
            )
