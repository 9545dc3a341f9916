"""One direction of a quadratic, asked of the rule itself: the 2x2 map [param, velocity] -> [param + delta, velocity'].

What an explanation says where no closed form holds comes from its eigenvalues: what a step does along a direction, how
fast, and for which curvatures. Eigenvalues are taken less 1, so that a tiny decay is not rounded away.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from downslope.core.rule import StepScalars, sgd_rule

Regime = Literal["over-damped", "oscillating", "alternating", "unstable"]
"""It creeps to the minimum, swings through it over several steps, jumps across it at every step, or grows."""

_ROUNDING = 1e-13
"""Relative size below which the discriminant is that of a double eigenvalue."""


class Damping(NamedTuple):
    """How a step behaves along one direction; `rate` is the factor on the error per step in the long run."""

    regime: Regime
    rate: float


@dataclass(frozen=True)
class Direction:
    """The map of one step along a direction, its gradient being curvature times param.

    Attributes:
        from_param: Coefficient of param in delta.
        from_velocity: Coefficient of velocity in delta.
        into_velocity: Coefficient of param in the new velocity.
        kept: Coefficient of velocity in the new velocity.
    """

    from_param: float
    from_velocity: float
    into_velocity: float
    kept: float

    @property
    def sum_less_2(self) -> float:
        """Sum of the eigenvalues, less 2."""
        return self.from_param + (self.kept - 1)

    @property
    def product_less_1(self) -> float:
        """Product of the eigenvalues less 1 each; never negative along a curvature >= 0."""
        return self.from_param * (self.kept - 1) - self.from_velocity * self.into_velocity

    @property
    def alone(self) -> bool:
        """Whether a weight at rest never moves its velocity, or is not moved by it: one factor a step is all."""
        return self.from_velocity == 0 or self.into_velocity == 0

    def eigenvalues_less_1(self) -> tuple[complex, complex]:
        """The eigenvalues less 1 that a weight begun at rest follows, the larger in size first; alike where one is."""
        if self.alone:
            return complex(self.from_param), complex(self.from_param)
        half, product = self.sum_less_2 / 2, self.product_less_1
        below = half * half - product
        if abs(below) <= _ROUNDING * max(half * half, abs(product)):
            below = 0.0
        # the root of larger size without cancellation, the other from the product
        far = half + (cmath.sqrt(below) if half > 0 else -cmath.sqrt(below))
        near = product / far if far else complex(0.0)
        return (far, near) if abs(1 + far) > abs(1 + near) else (near, far)

    def shrinks(self) -> bool:
        """Return whether a weight begun at rest is forgotten in the end, however slowly: by Jury's criterion."""
        if self.alone:
            return -2 < self.from_param < 0
        total, product = self.sum_less_2, self.product_less_1
        return product > 0 and total + product < 0 and 4 + 2 * total + product > 0

    def damping(self) -> Damping:
        """Return what a weight does in the long run."""
        largest, other = (1 + one for one in self.eigenvalues_less_1())
        rate = abs(largest)
        if rate > 1:
            return Damping("unstable", rate)
        if largest.imag:
            return Damping("oscillating", rate)
        alternates = largest.real < 0 or other.real == -rate < 0
        return Damping("alternating" if alternates else "over-damped", rate)


def direction_of(scalars: StepScalars, curvature: float) -> Direction:
    """Return the map of a step along a direction; curvature 0 is a weight without gradient, which only decays."""
    # grad_scale twice: the gradient of a loss that is maximized is that of the quadratic turned over
    from_param, into_velocity = sgd_rule(1.0, curvature * scalars.grad_scale, 0.0, scalars)
    from_velocity, kept = sgd_rule(0.0, 0.0, 1.0, scalars)
    return Direction(from_param, from_velocity, into_velocity, kept)


@dataclass(frozen=True)
class Stretch:
    """Curvatures from `start` to `end`, which may be infinite, along which a step does the same kind of thing."""

    start: float
    end: float
    regime: Regime


def stretches_of(scalars: StepScalars) -> tuple[Stretch, ...]:
    """Return what a step does from curvature 0 upwards, stretch by stretch.

    Example:
        >>> from downslope import Settings
        >>> [(s.start, s.end, s.regime) for s in stretches_of(Settings(lr=0.5).at(0))]
        [(0.0, 2.0, 'over-damped'), (2.0, 4.0, 'alternating'), (4.0, inf, 'unstable')]
    """
    ends = [*sorted({turn for turn in _turns(scalars) if 0 < turn < math.inf}), math.inf]
    found: list[Stretch] = []
    start = 0.0
    for end in ends:
        middle = (start + end) / 2 if end < math.inf else 2 * start + 1
        regime, _ = direction_of(scalars, middle).damping()
        if found and found[-1].regime == regime:
            found[-1] = Stretch(found[-1].start, end, regime)
        else:
            found.append(Stretch(start, end, regime))
        start = end
    return tuple(found)


def _turns(scalars: StepScalars) -> Iterator[float]:
    """Yield every curvature at which the regime may change; sum and product of the eigenvalues are linear in it."""
    flat = direction_of(scalars, 0.0)
    by_param, by_velocity = sgd_rule(0.0, scalars.grad_scale, 0.0, scalars)  # what a curvature of 1 adds
    slope = -by_param  # the sum falls by it
    if slope <= 0:
        return
    if by_velocity == 0 or flat.from_velocity == 0:  # no gradient comes by the velocity: one factor a step is all
        kept = 1 + flat.from_param
        yield kept / slope  # the factor is 0
        yield (1 + kept) / slope  # it is -1
        return
    rises = (-slope * (flat.kept - 1) - flat.from_velocity * by_velocity) / slope  # the product rises, per fall of sum
    total, product = flat.sum_less_2, flat.product_less_1
    middle, apart = total + 2 * rises, total * rises + rises * rises + product
    if apart > 0:  # between the two, the eigenvalues are complex
        far = middle + (2 if middle > 0 else -2) * math.sqrt(apart)
        yield far / slope
        yield ((total * total - 4 * product) / far if far else 0.0) / slope
    yield (2 + total) / slope  # their sum is 0: beyond it the larger one is negative
    yield (4 + 2 * total + product) / (2 - rises) / slope  # one of them is -1: the largest stable curvature
