"""How long weights remember: the timescale of weight decay of each of the five kinds, and what equals it elsewhere.

`memory` decides between the closed forms, which hold while decay is slow, and the rule's own matrix, which always
does; every timescale that is shown comes from it. Where weights and gradients balance is `rotation.py`'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from downslope.core.rule import StepScalars
from downslope.theory.direction import course_of, direction_of
from downslope.theory.formula import formula
from downslope.theory.velocity import effective_lr

_SLOW = "while the decay of one step is small beside 1 - momentum, and lr stays the same; here to within 1 %"

CLOSE = 0.01
"""Up to which relative error a closed form is taken for what the rule itself does."""


@formula(
    "(1 - momentum) / (lr weight_decay (1 - dampening)): 1 / (effective lr * weight_decay)",
    valid=_SLOW,
    source="Wang & Aitchison 2024 (arXiv 2405.13698); the slow eigenvalue of the rule's matrix",
)
def timescale_coupled(
    lr: float, momentum: float, weight_decay: float, dampening: float = 0.0, *, nesterov: bool = False
) -> float:
    """Return over how many steps weights forget, decay coupled.

    Args:
        lr: Learning rate.
        momentum: Momentum.
        weight_decay: Weight decay, added to the gradient.
        dampening: Dampening.
        nesterov: Whether momentum is Nesterov's.

    Example:
        >>> round(timescale_coupled(0.1, 0.9, 5e-4), 6)
        2000.0
    """
    return _inverse(effective_lr(lr, momentum, dampening, nesterov=nesterov) * weight_decay)


@formula("1 / (lr weight_decay)", valid=_SLOW, source="Wang & Aitchison 2024 (arXiv 2405.13698)")
def timescale_decoupled(lr: float, weight_decay: float) -> float:
    """Return over how many steps weights forget, decay decoupled.

    Args:
        lr: Learning rate.
        weight_decay: Weight decay, times lr.

    Example:
        >>> timescale_decoupled(0.5, 0.25)
        8.0
    """
    return _inverse(lr * weight_decay)


@formula("1 / weight_decay", valid="while weight_decay is small; here to within 1 %", source="Loshchilov & Hutter 2019")
def timescale_independent(weight_decay: float) -> float:
    """Return over how many steps weights forget, decay independent of lr.

    Args:
        weight_decay: Weight decay, the part forgotten per step.

    Example:
        >>> timescale_independent(0.02)
        50.0
    """
    return _inverse(weight_decay)


@formula("lr_initial / (lr weight_decay)", valid=_SLOW, source="Composer, DecoupledSGDW; the rule's matrix")
def timescale_relative(lr: float, lr_initial: float, weight_decay: float) -> float:
    """Return over how many steps weights forget, decay relative to the initial lr.

    Args:
        lr: Learning rate of the step.
        lr_initial: Nominal initial learning rate.
        weight_decay: Weight decay, the part forgotten per step at the initial lr.

    Example:
        >>> timescale_relative(0.5, 1.0, 0.25)
        8.0
    """
    return _inverse(lr * weight_decay / lr_initial if lr_initial else 0.0)


@formula("lr_max / (lr^2 weight_decay)", valid=_SLOW, source="Defazio 2025 (arXiv 2506.02285); the rule's matrix")
def timescale_corrected(lr: float, lr_max: float, weight_decay: float) -> float:
    """Return over how many steps weights forget, decay corrected.

    Args:
        lr: Learning rate of the step.
        lr_max: Largest learning rate of the run.
        weight_decay: Weight decay.

    Example:
        >>> timescale_corrected(0.5, 1.0, 0.25)
        16.0
    """
    return _inverse(lr * lr * weight_decay / lr_max if lr_max else 0.0)


@formula("steps / steps per epoch", valid="always", source="Wang & Aitchison 2024 (arXiv 2405.13698)")
def in_epochs(steps: float, steps_per_epoch: float) -> float:
    """Return a number of steps in epochs.

    Args:
        steps: Steps.
        steps_per_epoch: Steps in an epoch, above 0.

    Example:
        >>> in_epochs(2000, 390.625)
        5.12
    """
    return steps / steps_per_epoch


@formula(
    "weight_decay (1 - dampening) / (1 - momentum); with Nesterov weight_decay (1 - momentum dampening) / "
    "(1 - momentum)",
    valid="at a constant lr, after the velocity has settled, while decay is slow beside it; when lr falls or the run "
    "begins, they part",
    source="equal timescales of coupled and decoupled decay",
)
def decoupled_equivalent(
    weight_decay: float, momentum: float, dampening: float = 0.0, *, nesterov: bool = False
) -> float:
    """Return the decoupled weight decay that forgets as fast as a coupled one.

    Args:
        weight_decay: Coupled weight decay.
        momentum: Momentum.
        dampening: Dampening.
        nesterov: Whether momentum is Nesterov's.

    Example:
        >>> round(decoupled_equivalent(5e-4, 0.9), 12), round(decoupled_equivalent(5e-4, 0.9, 0.9), 12)
        (0.005, 0.0005)
    """
    return weight_decay * effective_lr(1.0, momentum, dampening, nesterov=nesterov)


@formula(
    "weight_decay / 2",
    valid="always: Keras's L2(l) adds 2 l param to the gradient",
    source="Keras, regularizers.L2",
)
def keras_l2(weight_decay: float) -> float:
    """Return Keras's `kernel_regularizer=L2(l)` that is exactly this coupled weight decay.

    Args:
        weight_decay: Coupled weight decay.

    Example:
        >>> keras_l2(5e-4)
        0.00025
    """
    return weight_decay / 2


def forgotten_per_step(scalars: StepScalars) -> float:
    """Return the part of a weight that a step forgets in the long run: whatever kind of decay it is.

    Args:
        scalars: The scalars of the step.
    """
    gain = effective_lr(scalars.lr, scalars.momentum, scalars.dampening, nesterov=scalars.nesterov)
    return gain * scalars.coupled_decay + scalars.decoupled_decay


def timescale(scalars: StepScalars) -> float:
    """Return the closed form of the timescale, whatever kind of decay it is; infinite without any.

    Args:
        scalars: The scalars of the step.

    Example:
        >>> from downslope import Settings
        >>> timescale(Settings(lr=0.5, weight_decay=0.25).at(0))
        8.0
    """
    return _inverse(forgotten_per_step(scalars))


Way = Literal["fades", "at once", "swings", "jumps", "grows", "stays"]


@dataclass(frozen=True)
class Memory:
    """What becomes of a weight begun at 1, without a gradient, while a step's numbers stay as they are.

    Attributes:
        way: "fades" (towards 0, never through it), "at once" (so, and the first step leaves less than 1/e), "swings"
            (through 0 and back, over several steps), "jumps" (to the other side of 0), "grows" or "stays".
        steps: The steps after which 1/e is left where it fades, any real number; else the first step from which on
            never more than 1/e is left on either side of 0. Infinite if that never comes: where it grows, stays, or
            jumps from side to side for ever.
        formula: The closed form of the timescale.
        closed: Whether `steps` is the closed form.
        rate: Factor per step in the long run, of the weight or of its swings.
        left: What the first step leaves.
        crosses: The first step after which the weight is on the other side of 0; None where it never is.
        lowest: The farthest that it is there, below 0; 0 where it never is.
        lowest_at: The step of that.
    """

    way: Way
    steps: float
    formula: float
    closed: bool
    rate: float
    left: float
    crosses: int | None = None
    lowest: float = 0.0
    lowest_at: int = 0


@formula(
    "the n from which on |param_n| <= 1/e: the rule itself without gradients, from param 1 and velocity 0",
    valid="always, for numbers that stay as they are",
    source="the rule's matrix",
)
def memory(scalars: StepScalars) -> Memory:
    """Return how a weight is forgotten: by the closed form where that is true to 1 %, else by the rule's matrix.

    Args:
        scalars: The scalars of the step.

    Example:
        >>> from downslope import Settings
        >>> round(memory(Settings(lr=0.1, momentum=0.9, weight_decay=5e-4).at(0)).steps, 6)
        2000.0
        >>> found = memory(Settings(lr=0.1, momentum=0.9, weight_decay=0.98).at(0))
        >>> found.way, found.crosses, found.steps
        ('swings', 5, 13.0)
    """
    flat = direction_of(scalars, 0.0)
    course, closed = course_of(flat), timescale(scalars)
    left = 1 + flat.from_param
    if math.isinf(course.steps):
        way: Way = "grows" if course.rate > 1 else "jumps" if course.regime == "alternating" else "stays"
        return Memory(way, math.inf, closed, way == "stays", course.rate, left)
    if course.fades and left <= math.exp(-1):
        return Memory("at once", 1.0, closed, closed == 1.0, course.rate, left)
    if course.crosses is None:
        close = abs(closed - course.steps) <= CLOSE * course.steps
        return Memory("fades", closed if close else course.steps, closed, close, course.rate, left)
    way = "swings" if course.regime == "oscillating" else "jumps"
    return Memory(
        way=way,
        steps=course.steps,
        formula=closed,
        closed=False,
        rate=course.rate,
        left=left,
        crosses=course.crosses,
        lowest=course.lowest,
        lowest_at=course.lowest_at,
    )


def _inverse(rate: float) -> float:
    return 1 / rate if rate > 0 else math.inf
