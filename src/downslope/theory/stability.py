"""Up to which learning rate a step on a quadratic shrinks rather than grows, and the same solved for the curvature.

The limits of the heavy ball and of Nesterov's form, exact for every kind of decay and any dampening: along a curvature
the smaller eigenvalue reaches -1 where they say. How fast a direction converges is `quadratic.py`'s, where training
settles `edge.py`'s.
"""

from __future__ import annotations

import math

from downslope.theory.formula import formula

_QUADRATIC = (
    "on a quadratic whose largest curvature is L, without gradient noise; d is what decay that is not coupled takes "
    "per step"
)
_WITH_LR = f"{_QUADRATIC}; a schedule is scaled as a whole"
_SOURCE = "Polyak 1964; Jury's criterion on the rule's matrix"


@formula(
    "2 (1 + momentum) / ((1 - dampening) (L + weight_decay)), coupled; (2 - d) (1 + momentum) / ((1 - dampening) L) "
    "where d does not depend on lr, 2 (1 + momentum) / ((1 - dampening) L + (1 + momentum) d / lr) where it grows "
    "with lr",
    valid=_WITH_LR,
    source=_SOURCE,
)
def largest_lr_heavy_ball(
    curvature: float,
    momentum: float,
    weight_decay: float = 0.0,
    dampening: float = 0.0,
    *,
    per_lr: float = 0.0,
    per_step: float = 0.0,
) -> float:
    """Return the lr below which the heavy ball is stable; 0 where none is.

    Args:
        curvature: Largest curvature L of the loss, >= 0.
        momentum: Momentum.
        weight_decay: Coupled weight decay; 0 for any other kind.
        dampening: Dampening.
        per_lr: What other decay takes per step and unit of lr: the weight decay where it is decoupled.
        per_step: What other decay takes per step, whatever lr is: the weight decay where it is independent.

    Example:
        >>> round(largest_lr_heavy_ball(1.0, 0.9), 12), round(largest_lr_heavy_ball(0.5, 0.9, per_lr=0.05), 4)
        (3.8, 6.3866)
    """
    return _largest_lr(1 - dampening, curvature + weight_decay, momentum, per_lr, per_step)


@formula(
    "2 (1 + momentum) / ((1 + 2 momentum - momentum dampening) (L + weight_decay)), coupled; with other decay as of "
    "the heavy ball, 1 + 2 momentum - momentum dampening in the place of 1 - dampening",
    valid=_WITH_LR,
    source=_SOURCE,
)
def largest_lr_nesterov(
    curvature: float,
    momentum: float,
    weight_decay: float = 0.0,
    dampening: float = 0.0,
    *,
    per_lr: float = 0.0,
    per_step: float = 0.0,
) -> float:
    """Return the lr below which Nesterov's form is stable; 0 where none is.

    Args:
        curvature: Largest curvature L of the loss, >= 0.
        momentum: Momentum.
        weight_decay: Coupled weight decay; 0 for any other kind.
        dampening: Dampening.
        per_lr: What other decay takes per step and unit of lr: the weight decay where it is decoupled.
        per_step: What other decay takes per step, whatever lr is: the weight decay where it is independent.

    Example:
        >>> round(largest_lr_nesterov(1.0, 0.9), 3)
        1.357
    """
    return _largest_lr(1 + momentum * (2 - dampening), curvature + weight_decay, momentum, per_lr, per_step)


@formula("(2 - d) (1 + momentum) / ((1 - dampening) lr) - weight_decay", valid=_QUADRATIC, source=_SOURCE)
def largest_curvature_heavy_ball(
    lr: float, momentum: float, weight_decay: float = 0.0, dampening: float = 0.0, decoupled: float = 0.0
) -> float:
    """Return the curvature below which the heavy ball is stable at this lr; 0 or less where none is.

    Args:
        lr: Learning rate.
        momentum: Momentum.
        weight_decay: Coupled weight decay; 0 for any other kind.
        dampening: Dampening.
        decoupled: d, what decay that is not coupled takes per step.

    Example:
        >>> round(largest_curvature_heavy_ball(0.1, 0.9), 12)
        38.0
    """
    return _largest_curvature((1 - dampening) * lr, momentum, decoupled) - weight_decay


@formula(
    "(2 - d) (1 + momentum) / ((1 + 2 momentum - momentum dampening) lr) - weight_decay",
    valid=_QUADRATIC,
    source=_SOURCE,
)
def largest_curvature_nesterov(
    lr: float, momentum: float, weight_decay: float = 0.0, dampening: float = 0.0, decoupled: float = 0.0
) -> float:
    """Return the curvature below which Nesterov's form is stable at this lr; 0 or less where none is.

    Args:
        lr: Learning rate.
        momentum: Momentum.
        weight_decay: Coupled weight decay; 0 for any other kind.
        dampening: Dampening.
        decoupled: d, what decay that is not coupled takes per step.

    Example:
        >>> round(largest_curvature_nesterov(0.1, 0.9), 2)
        13.57
    """
    return _largest_curvature((1 + momentum * (2 - dampening)) * lr, momentum, decoupled) - weight_decay


def _largest_lr(factor: float, curvature: float, momentum: float, per_lr: float, per_step: float) -> float:
    if per_step > 2:
        return 0.0
    return _over((2 - per_step) * (1 + momentum), factor * curvature + (1 + momentum) * per_lr)


def _largest_curvature(factor: float, momentum: float, decoupled: float) -> float:
    room = 2 - decoupled
    return room * (1 + momentum) / factor if factor > 0 else math.inf if room >= 0 else -math.inf


def _over(above: float, below: float) -> float:
    return above / below if below > 0 else math.inf
