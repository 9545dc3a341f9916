"""Up to which learning rate a step on a quadratic shrinks rather than grows, and the same solved for the curvature.

What lives here: the limits of the heavy ball and of Nesterov's form. What does not: how fast they converge
(`quadratic.py`), nor where training settles (`edge.py`).
"""

from __future__ import annotations

import math

from downslope.recipes.theory.formula import formula

_QUADRATIC = (
    "on a quadratic whose largest curvature is L, without gradient noise; coupled decay adds to every curvature"
)
_SOURCE = "Polyak 1964; Jury's criterion on the rule's matrix"


@formula("2 (1 + momentum) / ((1 - dampening) (L + weight_decay))", valid=_QUADRATIC, source=_SOURCE)
def largest_lr_heavy_ball(
    curvature: float, momentum: float, weight_decay: float = 0.0, dampening: float = 0.0
) -> float:
    """Return the lr below which the heavy ball is stable.

    Args:
        curvature: Largest curvature L of the loss, >= 0.
        momentum: Momentum.
        weight_decay: Coupled weight decay; 0 for any other kind.
        dampening: Dampening.

    Example:
        >>> round(largest_lr_heavy_ball(1.0, 0.9), 12)
        3.8
    """
    return _over(2 * (1 + momentum), (1 - dampening) * (curvature + weight_decay))


@formula(
    "2 (1 + momentum) / ((1 + 2 momentum - momentum dampening) (L + weight_decay))", valid=_QUADRATIC, source=_SOURCE
)
def largest_lr_nesterov(curvature: float, momentum: float, weight_decay: float = 0.0, dampening: float = 0.0) -> float:
    """Return the lr below which Nesterov's form is stable.

    Args:
        curvature: Largest curvature L of the loss, >= 0.
        momentum: Momentum.
        weight_decay: Coupled weight decay; 0 for any other kind.
        dampening: Dampening.

    Example:
        >>> round(largest_lr_nesterov(1.0, 0.9), 3)
        1.357
    """
    return _over(2 * (1 + momentum), (1 + momentum * (2 - dampening)) * (curvature + weight_decay))


@formula("2 (1 + momentum) / ((1 - dampening) lr) - weight_decay", valid=_QUADRATIC, source=_SOURCE)
def largest_curvature_heavy_ball(
    lr: float, momentum: float, weight_decay: float = 0.0, dampening: float = 0.0
) -> float:
    """Return the curvature below which the heavy ball is stable at this lr.

    Args:
        lr: Learning rate.
        momentum: Momentum.
        weight_decay: Coupled weight decay; 0 for any other kind.
        dampening: Dampening.

    Example:
        >>> round(largest_curvature_heavy_ball(0.1, 0.9), 12)
        38.0
    """
    return _over(2 * (1 + momentum), (1 - dampening) * lr) - weight_decay


@formula(
    "2 (1 + momentum) / ((1 + 2 momentum - momentum dampening) lr) - weight_decay", valid=_QUADRATIC, source=_SOURCE
)
def largest_curvature_nesterov(lr: float, momentum: float, weight_decay: float = 0.0, dampening: float = 0.0) -> float:
    """Return the curvature below which Nesterov's form is stable at this lr.

    Args:
        lr: Learning rate.
        momentum: Momentum.
        weight_decay: Coupled weight decay; 0 for any other kind.
        dampening: Dampening.

    Example:
        >>> round(largest_curvature_nesterov(0.1, 0.9), 2)
        13.57
    """
    return _over(2 * (1 + momentum), (1 + momentum * (2 - dampening)) * lr) - weight_decay


def _over(above: float, below: float) -> float:
    return above / below if below > 0 else math.inf
