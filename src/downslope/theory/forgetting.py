"""How long weights remember: the timescale of weight decay of each of the five kinds, and what equals it elsewhere.

`memory` decides between the closed forms, which hold while decay is slow, and the rule's own matrix, which always does;
every timescale that is shown comes from it.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Literal

from downslope.core.rule import StepScalars
from downslope.theory.direction import Direction, direction_of
from downslope.theory.formula import formula
from downslope.theory.velocity import effective_lr, gain_of

_SLOW = "while the decay of one step is small beside 1 - momentum, and lr stays the same; here to within 1 %"

CLOSE = 0.01
"""Up to which relative error a closed form is taken for what the rule itself does."""


@formula(
    "(1 - momentum) / (lr weight_decay (1 - dampening)); with Nesterov or nu 1 / (effective lr * weight_decay)",
    valid=_SLOW,
    source="Wang & Aitchison 2024 (arXiv 2405.13698); the slow eigenvalue of the rule's matrix",
)
def timescale_coupled(
    lr: float,
    momentum: float,
    weight_decay: float,
    dampening: float = 0.0,
    *,
    nesterov: bool = False,
    nu: float | None = None,
) -> float:
    """Return over how many steps weights forget, decay added to the gradient.

    Example:
        >>> round(timescale_coupled(0.1, 0.9, 5e-4), 6)
        2000.0
    """
    return _inverse(effective_lr(lr, momentum, dampening, nesterov=nesterov, nu=nu) * weight_decay)


@formula("1 / (lr weight_decay)", valid=_SLOW, source="Wang & Aitchison 2024 (arXiv 2405.13698)")
def timescale_decoupled(lr: float, weight_decay: float) -> float:
    """Return over how many steps weights forget, decay times lr.

    Example:
        >>> timescale_decoupled(0.5, 0.25)
        8.0
    """
    return _inverse(lr * weight_decay)


@formula("1 / weight_decay", valid="while weight_decay is small; here to within 1 %", source="Loshchilov & Hutter 2019")
def timescale_independent(weight_decay: float) -> float:
    """Return over how many steps weights forget, decay the part forgotten per step.

    Example:
        >>> timescale_independent(0.02)
        50.0
    """
    return _inverse(weight_decay)


@formula("lr_initial / (lr weight_decay)", valid=_SLOW, source="Composer, DecoupledSGDW; the rule's matrix")
def timescale_relative(lr: float, lr_initial: float, weight_decay: float) -> float:
    """Return over how many steps weights forget, decay the part forgotten per step at the initial lr.

    Example:
        >>> timescale_relative(0.5, 1.0, 0.25)
        8.0
    """
    return _inverse(lr * weight_decay / lr_initial if lr_initial else 0.0)


@formula("lr_max / (lr^2 weight_decay)", valid=_SLOW, source="Defazio 2025 (arXiv 2506.02285); the rule's matrix")
def timescale_corrected(lr: float, lr_max: float, weight_decay: float) -> float:
    """Return over how many steps weights forget, decay times the square of lr over the largest lr of the run.

    Example:
        >>> timescale_corrected(0.5, 1.0, 0.25)
        16.0
    """
    return _inverse(lr * lr * weight_decay / lr_max if lr_max else 0.0)


@formula("steps / steps per epoch", valid="always", source="Wang & Aitchison 2024 (arXiv 2405.13698)")
def in_epochs(steps: float, steps_per_epoch: float) -> float:
    """Return a number of steps in epochs.

    Example:
        >>> in_epochs(2000, 390.625)
        5.12
    """
    return steps / steps_per_epoch


@formula(
    "weight_decay (1 - dampening) / (1 - momentum); with Nesterov weight_decay (1 - momentum dampening) / "
    "(1 - momentum); with nu weight_decay (1 - nu + nu (1 - dampening) / (1 - momentum))",
    valid="at a constant lr, after the velocity has settled, while decay is slow beside it; when lr falls or the run "
    "begins, they part",
    source="equal timescales of coupled and decoupled decay",
)
def decoupled_equivalent(
    weight_decay: float, momentum: float, dampening: float = 0.0, *, nesterov: bool = False, nu: float | None = None
) -> float:
    """Return the decoupled weight decay that forgets as fast as a coupled one.

    Example:
        >>> round(decoupled_equivalent(5e-4, 0.9), 12), round(decoupled_equivalent(5e-4, 0.9, 0.9), 12)
        (0.005, 0.0005)
    """
    return weight_decay * effective_lr(1.0, momentum, dampening, nesterov=nesterov, nu=nu)


@formula(
    "weight_decay / 2",
    valid="always: Keras's L2(l) adds 2 l param to the gradient",
    source="Keras, regularizers.L2",
)
def keras_l2(weight_decay: float) -> float:
    """Return Keras's `kernel_regularizer=L2(l)` that is exactly this coupled weight decay.

    Example:
        >>> keras_l2(5e-4)
        0.00025
    """
    return weight_decay / 2


def forgotten_per_step(scalars: StepScalars) -> float:
    """Return the part of a weight that a step forgets in the long run, whatever kind of decay it is."""
    return gain_of(scalars) * scalars.coupled_decay + scalars.decoupled_decay


def timescale(scalars: StepScalars) -> float:
    """Return the closed form of the timescale, whatever kind of decay it is; infinite without any.

    Example:
        >>> from downslope import Settings
        >>> timescale(Settings(lr=0.5, weight_decay=0.25).at(0))
        8.0
    """
    return _inverse(forgotten_per_step(scalars))


Way = Literal["fades", "at once", "swings", "jumps", "grows", "stays"]


@dataclass(frozen=True)
class Memory:
    """What becomes of a weight begun at 1, without a gradient, while a step's numbers stay as they are.

    Attributes:
        way: "fades" (towards 0, never through it), "at once" (so, and the first step leaves less than 1/e), "swings"
            (through 0 and back, over several steps), "jumps" (to the other side of 0), "grows" or "stays".
        steps: The steps after which 1/e is left where it fades, any real number; else the first step from which on
            never more than 1/e is left on either side of 0. Infinite if that never comes: where it grows, stays, or
            jumps from side to side for ever.
        formula: The closed form of the timescale.
        closed: Whether `steps` is the closed form.
        rate: Factor per step in the long run, of the weight or of its swings.
        left: What the first step leaves.
        crosses: The first step after which the weight is on the other side of 0; None where it never is.
        lowest: The farthest that it is there, below 0; 0 where it never is.
        lowest_at: The step of that.
    """

    way: Way
    steps: float
    formula: float
    closed: bool
    rate: float
    left: float
    crosses: int | None = None
    lowest: float = 0.0
    lowest_at: int = 0


@formula(
    "the n from which on |param_n| <= 1/e: the rule itself without gradients, from param 1 and velocity 0",
    valid="always, for numbers that stay as they are",
    source="the rule's matrix",
)
def memory(scalars: StepScalars) -> Memory:
    """Return how a weight is forgotten: by the closed form where that is true to 1 %, else by the rule's matrix.

    Example:
        >>> from downslope import Settings
        >>> round(memory(Settings(lr=0.1, momentum=0.9, weight_decay=5e-4).at(0)).steps, 6)
        2000.0
        >>> found = memory(Settings(lr=0.1, momentum=0.9, weight_decay=0.98).at(0))
        >>> found.way, found.crosses, found.lowest_at, round(found.lowest, 2), found.steps
        ('swings', 5, 9, -0.6, 13.0)
    """
    flat = direction_of(scalars, 0.0)
    regime, rate = flat.damping()
    closed, left = timescale(scalars), 1 + flat.from_param
    steps, fades, low = math.inf, False, _NEVER_LOW
    if flat.shrinks():
        one, other = flat.eigenvalues_less_1()
        fades = regime == "over-damped" and one.real > -1 and other.real >= -1
        if fades:
            steps = _steps_of_fading(flat, one.real, other.real)
        else:
            swing = _Swing.of(flat)
            steps, low = swing.settles(), swing.first_low()
    if math.isinf(steps):
        way: Way = "grows" if rate > 1 else "jumps" if regime == "alternating" else "stays"
        return Memory(way, math.inf, closed, way == "stays", rate, left)
    if fades and left <= math.exp(-1):
        return Memory("at once", 1.0, closed, closed == 1.0, rate, left)
    if low[0] is None:
        close = abs(closed - steps) <= CLOSE * steps
        return Memory("fades", closed if close else steps, closed, close, rate, left)
    is_closed = False
    return Memory("swings" if regime == "oscillating" else "jumps", steps, closed, is_closed, rate, left, *low)


def _steps_of_fading(flat: Direction, one: float, other: float) -> float:
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

_LONG_SWING = 1000
"""From so many steps to half a swing on, its turning points are computed instead of gone through."""

_TURNS = 20_000
"""Turning points of long swings that are looked at, at most."""

_NEVER_LOW: tuple[int | None, float, int] = (None, 0.0, 0)


@dataclass(frozen=True)
class _Swing:
    """The course of a weight that passes through 0: A rate^n cos(angle n - phase), or two real factors.

    `one` is the larger eigenvalue, `share` its share at the beginning; `double` says that both are one eigenvalue.
    """

    flat: Direction
    one: complex
    other: complex
    share: complex
    double: bool

    @classmethod
    def of(cls, flat: Direction) -> _Swing:
        one, other = flat.eigenvalues_less_1()
        share = 1.0 + 0j if one == other else (flat.from_param - other) / (one - other)
        return cls(flat, 1 + one, 1 + other, share, double=1 + one == 1 + other and not flat.alone)

    def left(self, n: int) -> float:
        """What is left after n steps."""
        if n == 0:
            return 1.0
        if self.one.imag:
            power = cmath.exp(n * cmath.log(self.one))
            return 2 * (self.share * power).real
        if self.double:
            slope = (1 + self.flat.from_param - self.one.real) / self.one.real
            return (1 + slope * n) * _power(self.one.real, n)
        return self.share.real * _power(self.one.real, n) + (1 - self.share.real) * _power(self.other.real, n)

    def settles(self) -> float:
        """The first step from which on never more than 1/e is left on either side."""
        rate, target = abs(self.one), math.exp(-1)
        amplitude = 2 * abs(self.share) if self.one.imag else abs(self.share) + abs(1 - self.share)
        if self.double:
            amplitude = 1.0  # grows with n before it falls; the search below begins late enough
        end = math.ceil((1 + math.log(amplitude)) / -math.log(rate)) if rate else 1
        if self.double:
            while abs(self.left(end)) > target or abs(self.left(end + 1)) > target:
                end *= 2
        if not self.one.imag:
            return self._settles_before(end)
        if math.pi / abs(cmath.phase(self.one)) < _LONG_SWING:
            return self._settles_before(end)
        return self._settles_in_long_swings(end)

    def _settles_before(self, end: int) -> float:
        """As `settles`, going back from `end`; by windows after `_LOOKED_BACK` steps."""
        step = end
        while step > 0 and abs(self.left(step)) <= math.exp(-1):
            step -= 1
            if end - step > _LOOKED_BACK:
                return self._settles_by_windows(end) if self.one.imag else float(end)
        return float(step + 1)

    def _settles_by_windows(self, end: int) -> float:
        """As `settles`, by bisection on the most that is left within a swing, which hardly fades meanwhile.

        Where no step meets a turn, as with a whole number of steps to a swing, what is left stays below the envelope
        for as long as that takes to fall: with momentum 1 - 1e-13, ten thousand million steps.
        """
        low, high, target = 0, end, math.exp(-1)
        while high - low > 1:
            middle = (low + high) // 2
            most = max(abs(self.left(step)) for step in range(middle, middle + 2 * _LONG_SWING))
            low, high = (middle, high) if most > target else (low, middle)
        return float(high)

    def _settles_in_long_swings(self, end: int) -> float:
        """As `settles`, by the turning points of the swing, the last first, and then bisection."""
        target, angle = math.exp(-1), abs(cmath.phase(self.one))
        half = math.pi / angle
        phase, early = self._phase(), math.atan2(-math.log(abs(self.one)), angle)
        last = math.floor((end * angle - phase + early) / math.pi)
        for turn in range(last, max(last - _TURNS, -2), -1):
            step = max(0, round((phase - early + turn * math.pi) / angle))
            if abs(self.left(step)) > target:
                low, above = step, step + math.ceil(half / 2)
                while above - low > 1:
                    middle = (low + above) // 2
                    low, above = (middle, above) if abs(self.left(middle)) > target else (low, middle)
                return float(above)
        # The turns that steps miss are missed by half a step: of a swing of 1,000 steps a part in a million is lost.
        return 1.0 if last <= _TURNS else float(end)

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
            if math.pi / angle >= _LONG_SWING:  # one long swing: its turn alone
                near = (*range(max(1, math.floor(zero)), math.floor(zero) + 3), math.floor(low), math.ceil(low))
            else:  # a swing of few steps may meet its own turn better the second time
                near = range(1, math.ceil(zero + 6 * math.pi / angle) + 20)
        below = [step for step in near if self.left(step) < 0]
        if not below:
            return _NEVER_LOW
        farthest = min(below, key=self.left)
        return below[0], self.left(farthest), farthest


def _power(base: float, n: int) -> float:
    if base == 0:
        return 0.0
    size = math.exp(n * math.log(abs(base)))
    return -size if base < 0 and n % 2 else size


def _inverse(rate: float) -> float:
    return 1 / rate if rate > 0 else math.inf
