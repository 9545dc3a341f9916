"""How long weights remember: the timescale of weight decay of each of the five kinds, and what equals it elsewhere.

What lives here: timescales in steps and epochs, and conversions of a weight decay. What does not: where weights and
gradients balance (`rotation.py`).
"""

from __future__ import annotations

import math

from downslope.core.rule import StepScalars
from downslope.recipes.theory.formula import formula
from downslope.recipes.theory.velocity import effective_lr

_SLOW = "while the decay of one step is small beside 1 - momentum, and lr stays the same"


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


@formula("1 / weight_decay", valid="while weight_decay is small beside 1 - momentum", source="Loshchilov & Hutter 2019")
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
    "weight_decay / (1 - momentum)",
    valid="at a constant lr, after the velocity has settled; when lr falls or the run begins, they part",
    source="equal timescales of coupled and decoupled decay",
)
def decoupled_equivalent(weight_decay: float, momentum: float) -> float:
    """Return the decoupled weight decay that forgets as fast as a coupled one.

    Args:
        weight_decay: Coupled weight decay.
        momentum: Momentum.

    Example:
        >>> round(decoupled_equivalent(5e-4, 0.9), 12)
        0.005
    """
    return weight_decay / (1 - momentum)


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
    """Return over how many steps weights forget, whatever kind of decay it is; infinite without any.

    Args:
        scalars: The scalars of the step.

    Example:
        >>> from downslope import Settings
        >>> timescale(Settings(lr=0.5, weight_decay=0.25).at(0))
        8.0
    """
    return _inverse(forgotten_per_step(scalars))


def _inverse(rate: float) -> float:
    return 1 / rate if rate > 0 else math.inf
