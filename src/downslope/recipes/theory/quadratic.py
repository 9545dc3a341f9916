"""How a step behaves on a quadratic, curvature by curvature: which momentum damps it, and the best that can be had.

What lives here: critical damping, the optimal settings, and `damping`, which asks the rule itself. What does not: the
limits of stability in closed form (`stability.py`).
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Any, Literal

from downslope.core.rule import sgd_rule
from downslope.recipes.theory.formula import formula

Regime = Literal["over-damped", "oscillating", "alternating", "unstable"]


@dataclass(frozen=True)
class Optimum:
    """The fastest settings for curvatures from m to L.

    Attributes:
        lr: Learning rate.
        momentum: Momentum.
        rate: Factor on the error per step in the long run.
    """

    lr: float
    momentum: float
    rate: float


@dataclass(frozen=True)
class Damping:
    """How the rule behaves along one direction.

    Attributes:
        regime: "over-damped" (creeps to the minimum), "oscillating" (swings through it), "alternating" (jumps across it
            at every step) or "unstable".
        rate: Factor on the error per step in the long run; above 1 it grows.
    """

    regime: Regime
    rate: float


@formula(
    "lr* = (2 / (sqrt m + sqrt L))^2, momentum* = ((sqrt k - 1) / (sqrt k + 1))^2, rate (sqrt k - 1) / (sqrt k + 1), "
    "k = L / m",
    valid="on a quadratic with curvatures from m to L, without gradient noise",
    source="Polyak 1964",
)
def optimal_heavy_ball(lowest: float, highest: float) -> Optimum:
    """Return the fastest heavy ball.

    Args:
        lowest: Smallest curvature m, above 0.
        highest: Largest curvature L, >= m.

    Example:
        >>> optimal_heavy_ball(1.0, 9.0)
        Optimum(lr=0.25, momentum=0.25, rate=0.5)
    """
    root = math.sqrt(highest / lowest)
    rate = (root - 1) / (root + 1)
    return Optimum((2 / (math.sqrt(lowest) + math.sqrt(highest))) ** 2, rate**2, rate)


@formula(
    "lr* = 4 / (3 L + m), momentum* = (sqrt(3 k + 1) - 2) / (sqrt(3 k + 1) + 2), rate 1 - 2 / sqrt(3 k + 1), k = L / m",
    valid="on a quadratic with curvatures from m to L, without gradient noise",
    source="Lessard, Recht & Packard 2016, table 1",
)
def optimal_nesterov(lowest: float, highest: float) -> Optimum:
    """Return the fastest Nesterov momentum.

    Args:
        lowest: Smallest curvature m, above 0.
        highest: Largest curvature L, >= m.

    Example:
        >>> optimal_nesterov(1.0, 5.0)
        Optimum(lr=0.25, momentum=0.3333333333333333, rate=0.5)
    """
    root = math.sqrt(3 * highest / lowest + 1)
    return Optimum(4 / (3 * highest + lowest), (root - 2) / (root + 2), 1 - 2 / root)


@formula(
    "(1 - sqrt(lr l))^2; with Nesterov (1 - sqrt(lr l)) / (1 + sqrt(lr l))",
    valid="along a direction of curvature l (with coupled decay l + weight_decay), lr l <= 1, without dampening",
    source="Polyak 1964; Goh 2017 (Why momentum really works)",
)
def critical_momentum(lr: float, curvature: float, *, nesterov: bool = False) -> float:
    """Return the momentum that damps a direction critically: below it creeps, above it oscillates.

    Args:
        lr: Learning rate.
        curvature: Curvature l of the direction.
        nesterov: Whether momentum is Nesterov's.

    Example:
        >>> critical_momentum(0.25, 1.0), critical_momentum(0.25, 1.0, nesterov=True)
        (0.25, 0.3333333333333333)
    """
    root = math.sqrt(lr * curvature)
    return max(0.0, (1 - root) / (1 + root)) if nesterov else (1 - root) ** 2


@formula(
    "(1 - sqrt momentum)^2 / lr; with Nesterov ((1 - momentum) / (1 + momentum))^2 / lr",
    valid="on a quadratic (with coupled decay, weight_decay less), without dampening",
    source="critical_momentum solved for the curvature",
)
def critical_curvature(lr: float, momentum: float, *, nesterov: bool = False) -> float:
    """Return the curvature above which directions oscillate.

    Args:
        lr: Learning rate.
        momentum: Momentum.
        nesterov: Whether momentum is Nesterov's.

    Example:
        >>> critical_curvature(0.25, 0.25)
        1.0
    """
    if lr <= 0:
        return math.inf
    root = (1 - momentum) / (1 + momentum) if nesterov else 1 - math.sqrt(momentum)
    return root**2 / lr


@formula(
    "sqrt momentum per step",
    valid="along directions that oscillate, heavy ball; Nesterov's form damps more: sqrt(momentum (1 - lr l))",
    source="the modulus of the complex eigenvalues of the rule's matrix",
)
def oscillation_rate(momentum: float) -> float:
    """Return the factor per step by which an oscillation of the heavy ball dies away.

    Args:
        momentum: Momentum.

    Example:
        >>> oscillation_rate(0.25)
        0.5
    """
    return math.sqrt(momentum)


@formula(
    "the largest eigenvalue of [param, velocity] -> [param + delta, velocity'] with grad = l param",
    valid="on a quadratic, for scalars that stay the same",
    source="the rule itself",
)
def damping(scalars: Any, curvature: float) -> Damping:
    """Return how the rule behaves along a direction, from the rule itself.

    Args:
        scalars: `StepScalars` of a step.
        curvature: Curvature of the direction; 0 for a weight without gradient, of which only the decay is left.

    Example:
        >>> from downslope import Settings
        >>> damping(Settings(lr=0.5).at(0), 1.0)
        Damping(regime='over-damped', rate=0.5)
    """
    from_param, velocity_from_param = sgd_rule(1.0, curvature * scalars.grad_scale, 0.0, scalars)
    from_velocity, velocity_from_velocity = sgd_rule(0.0, 0.0, 1.0, scalars)
    # Eigenvalues less 1, so that the tiny decay of a slow direction is not rounded away
    half = (from_param + velocity_from_velocity - 1) / 2
    product = from_param * (velocity_from_velocity - 1) - from_velocity * velocity_from_param
    below = half * half - product
    if abs(below) <= 1e-13 * max(half * half, abs(product)):  # the rounding error of a double eigenvalue
        below = 0.0
    far = half + (cmath.sqrt(below) if half > 0 else -cmath.sqrt(below))
    near = product / far if far else 0.0
    largest = max(1 + far, 1 + near, key=abs)
    rate = abs(largest)
    if rate > 1:
        return Damping("unstable", rate)
    if below < 0:
        return Damping("oscillating", rate)
    return Damping("alternating" if largest.real < 0 else "over-damped", rate)
