"""Weights before a normalisation layer: the length at which growth and decay balance, and how fast they then turn.

What lives here: the rotational equilibrium. Scaling such weights does not change the loss, so gradients stand at a
right angle to them and shrink with their length, |grad| = G / |param|. What does not: how long weights remember
(`forgetting.py`).
"""

from __future__ import annotations

import math

from downslope.recipes.theory.formula import formula
from downslope.recipes.theory.velocity import effective_lr

_EQUILIBRIUM = (
    "for weights before a normalisation layer, gradients like a random walk with |grad| = G / |param|, after several "
    "decay timescales at a constant lr"
)
_SOURCE = "Kosson et al. 2024 (rotational equilibrium); Wan et al. 2021; Li et al. 2020"


@formula(
    "|param|^4 = effective_lr^2 G^2 / (2 f), f the part forgotten per step; heavy ball, coupled: "
    "lr G^2 / (2 weight_decay (1 - momentum)), decoupled: lr G^2 / (2 weight_decay (1 - momentum)^2)",
    valid=_EQUILIBRIUM,
    source=_SOURCE,
)
def equilibrium_norm(gain: float, forgotten: float, gradient: float = 1.0) -> float:
    """Return the length at which weights before a normalisation layer settle.

    Args:
        gain: Effective learning rate.
        forgotten: Part of a weight that a step forgets, above 0.
        gradient: G, the length of the gradient where the weights have length 1.

    Example:
        >>> equilibrium_norm(2.0, 0.125, 1.0)
        2.0
    """
    return math.sqrt(gain * gradient) / (2 * forgotten) ** 0.25 if forgotten > 0 else math.inf


@formula(
    "sqrt(2 f) / effective_lr, f the part forgotten per step; without momentum, coupled: sqrt(2 weight_decay / lr)",
    valid=_EQUILIBRIUM,
    source="Defazio 2025 (arXiv 2506.02285)",
)
def equilibrium_gradient_ratio(gain: float, forgotten: float) -> float:
    """Return |grad| / |param| at equilibrium; where lr falls and decay is not corrected, it grows.

    Args:
        gain: Effective learning rate.
        forgotten: Part of a weight that a step forgets.

    Example:
        >>> equilibrium_gradient_ratio(2.0, 0.125)
        0.25
    """
    return math.sqrt(2 * forgotten) / gain if gain > 0 else math.inf


@formula(
    "heavy ball, coupled: sqrt(2 lr weight_decay / (1 + momentum)), decoupled: sqrt(2 lr weight_decay (1 - momentum) / "
    "(1 + momentum)); Nesterov, coupled: sqrt(2 lr weight_decay (1 - momentum) ((1 + momentum)^2 + momentum^4 / "
    "(1 - momentum^2))), decoupled: sqrt(1 - momentum) times that",
    valid=_EQUILIBRIUM,
    source=_SOURCE,
)
def rotation_per_step(momentum: float, forgotten: float, dampening: float = 0.0, *, nesterov: bool = False) -> float:
    """Return the root mean square of the angle, in radians, by which such weights turn in a step.

    A gradient moves the weight by h0, h1, h2, ... in the steps after it, and by `gain` altogether. At equilibrium the
    squared angle is 2 f (h0^2 + h1^2 + ...) / gain^2, from which all the cases of the equation follow.

    Args:
        momentum: Momentum.
        forgotten: Part of a weight that a step forgets, f.
        dampening: Dampening.
        nesterov: Whether momentum is Nesterov's.

    Example:
        >>> rotation_per_step(0.0, 0.125)
        0.5
    """
    kept = 1 - dampening
    if nesterov:
        squares = (1 + momentum * kept) ** 2 + (kept * momentum**2) ** 2 / (1 - momentum**2)
    else:
        squares = kept**2 / (1 - momentum**2)
    gain = effective_lr(1.0, momentum, dampening, nesterov=nesterov)
    return math.sqrt(2 * forgotten * squares) / gain if gain > 0 else 0.0
