"""Up to which learning rate, or which curvature, a step on a quadratic shrinks, and where training settles.

The limits of the heavy ball, of Nesterov's form and of quasi-hyperbolic momentum are exact for every kind of decay and
any dampening: there the smaller eigenvalue reaches -1. `weight_decay` is coupled decay, 0 for any other kind, whose
share per step is d: `decoupled`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from downslope.core.rule import StepScalars
from downslope.theory.formula import formula
from downslope.theory.velocity import effective_lr

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
    """Return the lr below which the heavy ball is stable along a curvature L >= 0; 0 where none is.

    Args:
        curvature: L.
        momentum: Momentum.
        weight_decay: Coupled weight decay.
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
    """Return the lr below which Nesterov's form is stable, as `largest_lr_heavy_ball` does of the heavy ball.

    Example:
        >>> round(largest_lr_nesterov(1.0, 0.9), 3)
        1.357
    """
    return _largest_lr(1 + momentum * (2 - dampening), curvature + weight_decay, momentum, per_lr, per_step)


@formula(
    "2 (1 + momentum) / (((1 - nu) (1 + momentum) + nu (1 - dampening)) (L + weight_decay)), coupled; with other decay "
    "as of the heavy ball, (1 - nu) (1 + momentum) + nu (1 - dampening) in the place of 1 - dampening",
    valid=_WITH_LR,
    source=_SOURCE,
)
def largest_lr_quasi_hyperbolic(
    curvature: float,
    momentum: float,
    weight_decay: float = 0.0,
    dampening: float = 0.0,
    *,
    nu: float,
    per_lr: float = 0.0,
    per_step: float = 0.0,
) -> float:
    """Return the lr below which quasi-hyperbolic momentum is stable, as `largest_lr_heavy_ball` does of the heavy ball.

    Example:
        >>> round(largest_lr_quasi_hyperbolic(1.0, 0.5, dampening=0.5, nu=0.5), 12)
        3.0
    """
    factor = _quasi_hyperbolic(momentum, dampening, nu)
    return _largest_lr(factor, curvature + weight_decay, momentum, per_lr, per_step)


def _quasi_hyperbolic(momentum: float, dampening: float, nu: float) -> float:
    return (1 - nu) * (1 + momentum) + nu * (1 - dampening)


def _largest_lr(factor: float, curvature: float, momentum: float, per_lr: float, per_step: float) -> float:
    if per_step > 2:
        return 0.0
    below = factor * curvature + (1 + momentum) * per_lr
    return (2 - per_step) * (1 + momentum) / below if below > 0 else math.inf


@formula("(2 - d) (1 + momentum) / ((1 - dampening) lr) - weight_decay", valid=_QUADRATIC, source=_SOURCE)
def largest_curvature_heavy_ball(
    lr: float, momentum: float, weight_decay: float = 0.0, dampening: float = 0.0, decoupled: float = 0.0
) -> float:
    """Return the curvature below which the heavy ball is stable at this lr; 0 or less where none is.

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

    Example:
        >>> round(largest_curvature_nesterov(0.1, 0.9), 2)
        13.57
    """
    return _largest_curvature((1 + momentum * (2 - dampening)) * lr, momentum, decoupled) - weight_decay


@formula(
    "(2 - d) (1 + momentum) / (((1 - nu) (1 + momentum) + nu (1 - dampening)) lr) - weight_decay",
    valid=_QUADRATIC,
    source=_SOURCE,
)
def largest_curvature_quasi_hyperbolic(
    lr: float, momentum: float, weight_decay: float = 0.0, dampening: float = 0.0, decoupled: float = 0.0, *, nu: float
) -> float:
    """Return the curvature below which quasi-hyperbolic momentum is stable at this lr; 0 or less where none is.

    Example:
        >>> round(largest_curvature_quasi_hyperbolic(0.1, 0.5, dampening=0.5, nu=0.5), 12)
        30.0
    """
    return _largest_curvature(_quasi_hyperbolic(momentum, dampening, nu) * lr, momentum, decoupled) - weight_decay


def _largest_curvature(factor: float, momentum: float, decoupled: float) -> float:
    room = 2 - decoupled
    return room * (1 + momentum) / factor if factor > 0 else math.inf if room >= 0 else -math.inf


def largest_curvature_of(scalars: StepScalars) -> float:
    """Return the largest stable curvature of a step, in the form of momentum that it has."""
    limit = _limit_of(nesterov=scalars.nesterov, nu=scalars.nu)
    return limit(scalars.lr, scalars.momentum, scalars.coupled_decay, scalars.dampening, scalars.decoupled_decay)


def _limit_of(*, nesterov: bool, nu: float | None) -> Callable[..., float]:
    """Return the largest curvature's formula of a form of momentum."""
    if nu is not None:
        return partial(largest_curvature_quasi_hyperbolic, nu=nu)
    return largest_curvature_nesterov if nesterov else largest_curvature_heavy_ball


# The edge of stability: near which sharpness (largest curvature, coupled decay included) a network's training settles.


@formula(
    "(2 - d) (1 + momentum) / ((1 - dampening) lr); with Nesterov (2 - d) (1 + momentum) / ((1 + 2 momentum - momentum "
    "dampening) lr); with nu (2 - d) (1 + momentum) / (((1 - nu) (1 + momentum) + nu (1 - dampening)) lr); d is what "
    "decay that is not coupled takes per step",
    valid="as an observation in full-batch training at a constant lr, once the sharpness has risen; coupled decay is "
    "part of that curvature",
    source="Cohen et al. 2021, section 2 and appendix B",
)
def edge_full_batch(
    lr: float,
    momentum: float,
    *,
    nesterov: bool = False,
    nu: float | None = None,
    dampening: float = 0.0,
    decoupled: float = 0.0,
) -> float:
    """Return the sharpness near which full-batch training settles.

    Example:
        >>> round(edge_full_batch(0.1, 0.9), 12)
        38.0
    """
    return _limit_of(nesterov=nesterov, nu=nu)(lr, momentum, dampening=dampening, decoupled=decoupled)


@formula(
    "(2 - d) / effective_lr; without dampening and decay 2 (1 - momentum) / lr",
    valid="as an observation in training with small batches at a constant lr, which then goes like SGD at the "
    "effective lr; coupled decay is part of that curvature",
    source="arXiv 2604.14108",
)
def edge_mini_batch(
    lr: float,
    momentum: float,
    *,
    nesterov: bool = False,
    nu: float | None = None,
    dampening: float = 0.0,
    decoupled: float = 0.0,
) -> float:
    """Return the sharpness near which training with small batches settles.

    Example:
        >>> round(edge_mini_batch(0.1, 0.9), 12), round(edge_mini_batch(1.0, 0.9, dampening=0.9), 12)
        (2.0, 2.0)
    """
    gain = effective_lr(lr, momentum, dampening, nesterov=nesterov, nu=nu)
    return largest_curvature_heavy_ball(gain, 0.0, decoupled=decoupled) if gain > 0 else math.inf
