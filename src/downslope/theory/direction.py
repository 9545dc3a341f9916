"""One direction of a quadratic, asked of the rule itself: the 2x2 map [param, velocity] -> [param + delta, velocity'].

Every number of an explanation that a closed form cannot give comes from here: what a direction does, for which
curvatures, how fast, and the course of a weight from rest. Eigenvalues are taken less 1, so that a tiny decay is not
rounded away.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Any, Literal

from downslope.core.rule import sgd_rule

Regime = Literal["over-damped", "oscillating", "alternating", "unstable"]

_ROUNDING = 1e-13
"""Relative size below which the discriminant is that of a double eigenvalue."""


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
        far = half + (cmath.sqrt(below) if half > 0 else -cmath.sqrt(below))
        near = product / far if far else complex(0.0)
        return (far, near) if abs(1 + far) > abs(1 + near) else (near, far)

    def shrinks(self) -> bool:
        """Return whether a weight begun at rest is forgotten in the end, however slowly: by Jury's criterion."""
        if self.alone:
            return -2 < self.from_param < 0
        total, product = self.sum_less_2, self.product_less_1
        return product > 0 and total + product < 0 and 4 + 2 * total + product > 0

    def regime(self) -> tuple[Regime, float]:
        """Return what a weight does, and the factor per step on it in the long run."""
        largest, other = (1 + one for one in self.eigenvalues_less_1())
        rate = abs(largest)
        if rate > 1:
            return "unstable", rate
        if largest.imag:
            return "oscillating", rate
        return ("alternating" if largest.real < 0 or other.real == -rate < 0 else "over-damped"), rate


def direction_of(scalars: Any, curvature: float) -> Direction:
    """Return the map of a step along a direction.

    Args:
        scalars: `StepScalars` of a step.
        curvature: Curvature of the direction; 0 for a weight without gradient, of which only the decay is left.
    """
    from_param, into_velocity = sgd_rule(1.0, curvature * scalars.grad_scale, 0.0, scalars)
    from_velocity, kept = sgd_rule(0.0, 0.0, 1.0, scalars)
    return Direction(from_param, from_velocity, into_velocity, kept)


@dataclass(frozen=True)
class Stretch:
    """Curvatures along which a step does the same kind of thing.

    Attributes:
        start: Where it begins.
        end: Where it ends; may be infinite.
        regime: What happens there.
    """

    start: float
    end: float
    regime: Regime


@dataclass(frozen=True)
class Turns:
    """Where along the curvature a step turns from one kind of thing into another; an entry may lie below 0.

    Attributes:
        swings_from: Where the eigenvalues become complex; None where they never are.
        swings_until: Where they are real again; None where they never were complex.
        changes_sign: Where their sum is 0: beyond it the larger one is negative.
        grows_from: Where one of them is -1: the largest stable curvature.
    """

    swings_from: float | None
    swings_until: float | None
    changes_sign: float
    grows_from: float


def turns_of(scalars: Any) -> Turns:
    """Return where along the curvature the regimes end, in closed form: sum and product are linear in the curvature.

    Args:
        scalars: `StepScalars` of a step.
    """
    flat = direction_of(scalars, 0.0)
    by_param, by_velocity = sgd_rule(0.0, scalars.grad_scale, 0.0, scalars)  # what a curvature of 1 adds
    slope = -by_param  # the sum falls by it
    if slope <= 0:
        return Turns(None, None, math.inf, math.inf if _flat_is_stable(flat) else -math.inf)
    if by_velocity == 0 or flat.from_velocity == 0:  # no gradient comes by the velocity: one factor a step is all
        kept = 1 + flat.from_param
        return Turns(None, None, changes_sign=kept / slope, grows_from=(1 + kept) / slope)
    rises = (-slope * (flat.kept - 1) - flat.from_velocity * by_velocity) / slope  # the product rises, per fall of sum
    total, product = flat.sum_less_2, flat.product_less_1
    middle, apart = total + 2 * rises, total * rises + rises * rises + product
    swings: tuple[float | None, float | None] = (None, None)
    if apart > 0:
        far = middle + (2 if middle > 0 else -2) * math.sqrt(apart)
        near = (total * total - 4 * product) / far if far else 0.0
        swings = (min(far, near) / slope, max(far, near) / slope)
    grows = (4 + 2 * total + product) / (2 - rises) / slope
    return Turns(*swings, changes_sign=(2 + total) / slope, grows_from=grows)


def _flat_is_stable(flat: Direction) -> bool:
    return flat.regime()[1] <= 1


def stretches_of(scalars: Any) -> tuple[Stretch, ...]:
    """Return what a step does from curvature 0 upwards, stretch by stretch.

    Args:
        scalars: `StepScalars` of a step.

    Example:
        >>> from downslope import Settings
        >>> [(s.start, s.end, s.regime) for s in stretches_of(Settings(lr=0.5).at(0))]
        [(0.0, 2.0, 'over-damped'), (2.0, 4.0, 'alternating'), (4.0, inf, 'unstable')]
    """
    turns = turns_of(scalars)
    given = (turns.swings_from, turns.swings_until, turns.changes_sign, turns.grows_from)
    ends = [*sorted({one for one in given if one is not None and 0 < one < math.inf}), math.inf]
    found: list[Stretch] = []
    start = 0.0
    for end in ends:
        middle = (start + end) / 2 if end < math.inf else 2 * start + 1
        regime, _ = direction_of(scalars, middle).regime()
        if found and found[-1].regime == regime:
            found[-1] = Stretch(found[-1].start, end, regime)
        else:
            found.append(Stretch(start, end, regime))
        start = end
    return tuple(found)


@dataclass(frozen=True)
class Course:
    """A weight begun at 1 with no velocity and without a gradient, and what becomes of it.

    Attributes:
        regime: As of the flat direction; "over-damped" fades.
        rate: Factor per step in the long run: of the weight where it fades, else of its swings.
        steps: Where it fades, the steps, any real number, after which 1/e is left; else the first step from which on
            never more than 1/e of it is left on either side of 0. Infinite if that never comes.
        crosses: The first step after which it is on the other side of 0; None where it never is.
        lowest: The farthest that it is on the other side; 0 where it never is.
        lowest_at: The step of that.
        fades: Whether it shrinks towards 0 without ever passing it.
    """

    regime: Regime
    rate: float
    steps: float
    crosses: int | None = None
    lowest: float = 0.0
    lowest_at: int = 0
    fades: bool = False


def course_of(flat: Direction) -> Course:
    """Return what becomes of a weight begun at 1 and at rest.

    Args:
        flat: The map of the direction without a gradient.

    Example:
        >>> from downslope import Settings
        >>> strong = Settings(lr=0.1, momentum=0.9, weight_decay=0.98)
        >>> course = course_of(direction_of(strong.at(0), 0.0))
        >>> course.regime, course.crosses, course.lowest_at, round(course.lowest, 2)
        ('oscillating', 5, 9, -0.6)
    """
    regime, rate = flat.regime()
    if not flat.shrinks():
        return Course(regime, rate, math.inf)
    one, other = flat.eigenvalues_less_1()
    if regime == "over-damped" and one.real > -1 and other.real >= -1:
        return Course(regime, rate, _fades(flat, one.real, other.real), fades=True)
    swing = _Swing.of(flat)
    return Course(regime, rate, swing.settles(), *swing.first_low())


def _fades(flat: Direction, one: float, other: float) -> float:
    """Return when 1/e is left of A (1 + one)^n + B (1 + other)^n, both factors in [0, 1)."""
    target = math.exp(-1)
    if one == other and not flat.alone:  # a double eigenvalue: (1 + c n) (1 + one)^n
        slope = (flat.from_param - one) / (1 + one)

        def left(n: float) -> float:
            return (1 + slope * n) * math.exp(n * math.log1p(one))
    elif flat.alone or one == other:
        return -1 / math.log1p(one) if one > -1 else 0.0
    else:
        share = (flat.from_param - other) / (one - other)
        second = math.log1p(other) if other > -1 else -math.inf

        def left(n: float) -> float:
            fast = math.exp(n * second) if n > 0 else 1.0
            return share * math.exp(n * math.log1p(one)) + (1 - share) * fast

    low, high = 0.0, -2 / math.log1p(one)
    while left(high) > target:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if left(middle) > target else (low, middle)
    return high


_LOOKED_BACK = 200_000
"""Steps that are gone through one by one, at most, for the last one at which more than 1/e is left."""


@dataclass(frozen=True)
class _Swing:
    """The course of a weight that passes through 0: A rate^n cos(angle n - phase), or two real factors.

    Attributes:
        flat: The map.
        one: The larger eigenvalue.
        other: The other.
        share: Share of the larger one at the beginning.
    """

    flat: Direction
    one: complex
    other: complex
    share: complex

    @classmethod
    def of(cls, flat: Direction) -> _Swing:
        one, other = flat.eigenvalues_less_1()
        share = 1.0 + 0j if one == other else (flat.from_param - other) / (one - other)
        return cls(flat, 1 + one, 1 + other, share)

    def left(self, n: int) -> float:
        """What is left after n steps."""
        if n == 0:
            return 1.0
        if self.one.imag:
            power = cmath.exp(n * cmath.log(self.one))
            return 2 * (self.share * power).real
        if self.one == self.other and not self.flat.alone:
            slope = (1 + self.flat.from_param - self.one.real) / self.one.real
            return (1 + slope * n) * _power(self.one.real, n)
        return self.share.real * _power(self.one.real, n) + (1 - self.share.real) * _power(self.other.real, n)

    def settles(self) -> float:
        """The first step from which on never more than 1/e is left on either side."""
        rate, target = abs(self.one), math.exp(-1)
        amplitude = 2 * abs(self.share) if self.one.imag else abs(self.share) + abs(1 - self.share)
        if self.one == self.other and not self.flat.alone:
            amplitude = 1.0  # grows with n before it falls; the search below begins late enough
        end = math.ceil((1 + math.log(amplitude)) / -math.log(rate)) if rate else 1
        if self.one == self.other and not self.flat.alone:
            while abs(self.left(end)) > target or abs(self.left(end + 1)) > target:
                end *= 2
        if self.one.imag:
            return self._settles_swinging(end)
        step = end
        while step > 0 and abs(self.left(step)) <= target:
            step -= 1
            if end - step > _LOOKED_BACK:
                return float(end)
        return float(step + 1)

    def _settles_swinging(self, end: int) -> float:
        """As `settles`; where a swing takes many steps, the last high tide and then bisection."""
        target, angle = math.exp(-1), abs(cmath.phase(self.one))
        half = math.pi / angle
        if half < 1000:
            step = end
            while step > 0 and abs(self.left(step)) <= target:
                step -= 1
            return float(step + 1)
        phase, early = self._phase(), math.atan2(-math.log(abs(self.one)), angle)
        tide = math.floor((end * angle - phase + early) / math.pi)
        for high in range(tide, -2, -1):  # the turning points of the swing, the last first
            step = max(0, round((phase - early + high * math.pi) / angle))
            if abs(self.left(step)) > target:
                low, above = step, step + math.ceil(half / 2)
                while above - low > 1:
                    middle = (low + above) // 2
                    low, above = (middle, above) if abs(self.left(middle)) > target else (low, middle)
                return float(above)
        return 1.0

    def _phase(self) -> float:
        """The phase in rate^n cos(angle n - phase), for the eigenvalue above the real axis."""
        share = self.share if self.one.imag > 0 else self.share.conjugate()
        return -cmath.phase(share)

    def first_low(self) -> tuple[int | None, float, int]:
        """The first step on the other side of 0, the farthest there, and the step of that."""
        near = range(1, 200)
        if self.one.imag:
            angle, rate = abs(cmath.phase(self.one)), abs(self.one)
            zero = (self._phase() + math.pi / 2) / angle
            low = (self._phase() - math.atan2(-math.log(rate), angle) + math.pi) / angle
            if math.pi / angle >= 1000:  # one long swing: its turn alone
                near = (*range(max(1, math.floor(zero)), math.floor(zero) + 3), math.floor(low), math.ceil(low))
            else:  # a swing of few steps may meet its own turn better the second time
                near = range(1, math.ceil(zero + 6 * math.pi / angle) + 20)
        below = [step for step in near if self.left(step) < 0]
        if not below:
            return None, 0.0, 0
        farthest = min(below, key=self.left)
        return below[0], self.left(farthest), farthest


def _power(base: float, n: int) -> float:
    if base == 0:
        return 0.0
    size = math.exp(n * math.log(abs(base)))
    return -size if base < 0 and n % 2 else size
