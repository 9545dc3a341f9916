"""Where the sharpness of a network tends to settle while it is trained: the edge of stability.

What lives here: the two observed values. What does not: the limits of a quadratic that they come from (`stability.py`).
"""

from __future__ import annotations

from downslope.recipes.theory.formula import formula
from downslope.recipes.theory.stability import largest_curvature_heavy_ball, largest_curvature_nesterov


@formula(
    "2 (1 + momentum) / lr; with Nesterov 2 (1 + momentum) / (lr (1 + 2 momentum))",
    valid="as an observation in full-batch training at a constant lr, once the sharpness has risen",
    source="Cohen et al. 2021, section 2 and appendix B",
)
def edge_full_batch(lr: float, momentum: float, *, nesterov: bool = False, dampening: float = 0.0) -> float:
    """Return the sharpness (largest curvature) near which full-batch training settles.

    Args:
        lr: Learning rate.
        momentum: Momentum.
        nesterov: Whether momentum is Nesterov's.
        dampening: Dampening.

    Example:
        >>> round(edge_full_batch(0.1, 0.9), 12)
        38.0
    """
    limit = largest_curvature_nesterov if nesterov else largest_curvature_heavy_ball
    return limit(lr, momentum, dampening=dampening)


@formula(
    "2 (1 - momentum) / lr",
    valid="as an observation in training with small batches, heavy ball, constant lr",
    source="arXiv 2604.14108",
)
def edge_mini_batch(lr: float, momentum: float) -> float:
    """Return the sharpness near which training with small batches settles.

    Args:
        lr: Learning rate.
        momentum: Momentum.

    Example:
        >>> round(edge_mini_batch(0.1, 0.9), 12)
        2.0
    """
    return 2 * (1 - momentum) / lr if lr > 0 else float("inf")
