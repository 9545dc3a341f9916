"""Where the sharpness of a network tends to settle while it is trained: the edge of stability.

The two observed values; the limits of a quadratic that they come from are `stability.py`'s.
"""

from __future__ import annotations

import math

from downslope.theory.formula import formula
from downslope.theory.stability import largest_curvature_heavy_ball, largest_curvature_nesterov
from downslope.theory.velocity import effective_lr


@formula(
    "(2 - d) (1 + momentum) / ((1 - dampening) lr); with Nesterov (2 - d) (1 + momentum) / ((1 + 2 momentum - momentum "
    "dampening) lr); d is what decay that is not coupled takes per step",
    valid="as an observation in full-batch training at a constant lr, once the sharpness has risen; coupled decay is "
    "part of that curvature",
    source="Cohen et al. 2021, section 2 and appendix B",
)
def edge_full_batch(
    lr: float, momentum: float, *, nesterov: bool = False, dampening: float = 0.0, decoupled: float = 0.0
) -> float:
    """Return the sharpness (largest curvature, coupled decay included) near which full-batch training settles.

    Args:
        lr: Learning rate.
        momentum: Momentum.
        nesterov: Whether momentum is Nesterov's.
        dampening: Dampening.
        decoupled: What decay that is not coupled takes per step.

    Example:
        >>> round(edge_full_batch(0.1, 0.9), 12)
        38.0
    """
    limit = largest_curvature_nesterov if nesterov else largest_curvature_heavy_ball
    return limit(lr, momentum, dampening=dampening, decoupled=decoupled)


@formula(
    "(2 - d) / effective_lr; without dampening and decay 2 (1 - momentum) / lr",
    valid="as an observation in training with small batches at a constant lr, which then goes like SGD at the "
    "effective lr; coupled decay is part of that curvature",
    source="arXiv 2604.14108",
)
def edge_mini_batch(
    lr: float, momentum: float, *, nesterov: bool = False, dampening: float = 0.0, decoupled: float = 0.0
) -> float:
    """Return the sharpness near which training with small batches settles.

    Args:
        lr: Learning rate.
        momentum: Momentum.
        nesterov: Whether momentum is Nesterov's.
        dampening: Dampening.
        decoupled: What decay that is not coupled takes per step.

    Example:
        >>> round(edge_mini_batch(0.1, 0.9), 12), round(edge_mini_batch(1.0, 0.9, dampening=0.9), 12)
        (2.0, 2.0)
    """
    gain = effective_lr(lr, momentum, dampening, nesterov=nesterov)
    return largest_curvature_heavy_ball(gain, 0.0, decoupled=decoupled) if gain > 0 else math.inf
