"""How a step behaves on a quadratic, curvature by curvature: which momentum damps it, and the best that can be had.

Critical damping and the optimal settings in closed form, and `damping`, which asks the rule itself. Coupled decay is
part of a `curvature` l, of the lowest m and of the highest L; `decoupled` is d, what any other decay takes per step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from downslope.core.rule import StepScalars
from downslope.theory.direction import Damping, direction_of
from downslope.theory.formula import formula

_FROM_M_TO_L = (
    "on a quadratic with curvatures from m to L, without gradient noise and dampening; coupled decay is part of the "
    "curvatures, other decay is left out"
)


@dataclass(frozen=True)
class Optimum:
    """The fastest settings for curvatures from m to L; `rate` is the factor on the error per step in the long run."""

    lr: float
    momentum: float
    rate: float


@formula(
    "lr* = (2 / (sqrt m + sqrt L))^2, momentum* = ((sqrt k - 1) / (sqrt k + 1))^2, rate (sqrt k - 1) / (sqrt k + 1), "
    "k = L / m",
    valid=_FROM_M_TO_L,
    source="Polyak 1964",
)
def optimal_heavy_ball(lowest: float, highest: float) -> Optimum:
    """Return the fastest heavy ball, for 0 < m <= L.

    Example:
        >>> optimal_heavy_ball(1.0, 9.0)
        Optimum(lr=0.25, momentum=0.25, rate=0.5)
    """
    root = math.sqrt(highest / lowest)
    rate = (root - 1) / (root + 1)
    return Optimum((2 / (math.sqrt(lowest) + math.sqrt(highest))) ** 2, rate**2, rate)


@formula(
    "lr* = 4 / (3 L + m), momentum* = (sqrt(3 k + 1) - 2) / (sqrt(3 k + 1) + 2), rate 1 - 2 / sqrt(3 k + 1), k = L / m",
    valid=_FROM_M_TO_L,
    source="Lessard, Recht & Packard 2016, table 1",
)
def optimal_nesterov(lowest: float, highest: float) -> Optimum:
    """Return the fastest Nesterov momentum, for 0 < m <= L.

    Example:
        >>> optimal_nesterov(1.0, 5.0)
        Optimum(lr=0.25, momentum=0.3333333333333333, rate=0.5)
    """
    root = math.sqrt(3 * highest / lowest + 1)
    return Optimum(4 / (3 * highest + lowest), (root - 2) / (root + 2), 1 - 2 / root)


@formula(
    "(sqrt(1 - d) - sqrt(lr (1 - dampening) l))^2; with Nesterov (1 - d - lr l) / (1 + sqrt(lr (1 - dampening) l))^2; "
    "with nu (sqrt(1 - d - (1 - nu) lr l) - sqrt(nu lr (1 - dampening) l))^2",
    valid="along a direction of curvature l (with coupled decay l + weight_decay), where the root and what it is taken "
    "from allow it; d is what decay that is not coupled takes per step",
    source="Polyak 1964; Goh 2017 (Why momentum really works); where the rule's eigenvalues turn complex",
)
def critical_momentum(
    lr: float,
    curvature: float,
    *,
    nesterov: bool = False,
    nu: float | None = None,
    dampening: float = 0.0,
    decoupled: float = 0.0,
) -> float | None:
    """Return the momentum that damps a direction critically: below it creeps, above it oscillates; None if none does.

    Example:
        >>> critical_momentum(0.25, 1.0), critical_momentum(0.25, 1.0, nesterov=True)
        (0.25, 0.3333333333333333)
    """
    kept, entering = 1 - decoupled, lr * (1 - dampening) * curvature
    if nesterov:
        found = (kept - lr * curvature) / (1 + math.sqrt(entering)) ** 2
        return found if 0 <= found < 1 else None
    if nu is not None:
        kept, entering = kept - (1 - nu) * lr * curvature, nu * entering
    if kept < 0 or entering > kept or nu == 0:
        return None
    return (math.sqrt(kept) - math.sqrt(entering)) ** 2


@formula(
    "(sqrt(1 - d) - sqrt momentum)^2 / (lr (1 - dampening)); with Nesterov, without dampening, "
    "((sqrt(1 - d (1 + momentum)) - momentum) / (1 + momentum))^2 / lr; with coupled decay, weight_decay less",
    valid="on a quadratic; Nesterov with dampening, and with nu: where the rule's eigenvalues turn complex; d is what "
    "decay that is not coupled takes per step",
    source="critical_momentum solved for the curvature",
)
def critical_curvature(
    lr: float,
    momentum: float,
    *,
    nesterov: bool = False,
    nu: float | None = None,
    dampening: float = 0.0,
    decoupled: float = 0.0,
) -> float | None:
    """Return the curvature from which on directions oscillate; None where none does.

    Example:
        >>> critical_curvature(0.25, 0.25)
        1.0
    """
    kept = 1 - dampening
    if lr * kept <= 0:
        return math.inf
    if not momentum or decoupled >= 1:
        return None
    if not nesterov and nu is None:
        return (math.sqrt(1 - decoupled) - math.sqrt(momentum)) ** 2 / (lr * kept)
    # The discriminant is a quadratic in lr * curvature, whose smaller root it is
    if nu is None:
        passed = 1 + momentum * kept
        root = 1 - passed * (1 - (1 - decoupled) * kept)
        middle = (1 + momentum - decoupled) * passed - 2 * momentum
    else:
        passed = 1 - nu + nu * kept
        root = nu * kept * ((1 - decoupled) * passed - momentum * (1 - nu)) / momentum
        middle = (1 + momentum - decoupled) * passed - 2 * momentum * (1 - nu)
    if root < 0 or middle <= 0 or nu == 0:
        return None
    far = middle + 2 * momentum * math.sqrt(root)
    return (1 - decoupled - momentum) ** 2 / far / lr


@formula(
    "sqrt(momentum (1 - d)) per step",
    valid="along directions that oscillate, heavy ball; Nesterov's form damps more: sqrt(momentum (1 - d - lr l)); d "
    "is what decay that is not coupled takes per step",
    source="the modulus of the complex eigenvalues of the rule's matrix",
)
def oscillation_rate(momentum: float, decoupled: float = 0.0) -> float:
    """Return the factor per step by which an oscillation of the heavy ball dies away, for d < 1.

    Example:
        >>> oscillation_rate(0.25)
        0.5
    """
    return math.sqrt(momentum * (1 - decoupled))


@formula(
    "the largest eigenvalue of [param, velocity] -> [param + delta, velocity'] with grad = l param",
    valid="on a quadratic, for scalars that stay the same",
    source="the rule itself",
)
def damping(scalars: StepScalars, curvature: float) -> Damping:
    """Return how a step behaves along a direction whose curvature leaves coupled decay out.

    Example:
        >>> from downslope import Settings
        >>> damping(Settings(lr=0.5).at(0), 1.0)
        Damping(regime='over-damped', rate=0.5)
    """
    return direction_of(scalars, curvature).damping()
