"""Schedules of one piece: a constant, and the ways from one value down (or up) to another."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

from downslope.core.checks import (
    Taken,
    Unit,
    as_float,
    check_factor,
    check_flag,
    check_increasing,
    check_length,
    check_unit,
    short_repr,
)
from downslope.core.errors import SettingsError
from downslope.core.exact import between, exact
from downslope.core.schedules.pieces import Piece, as_length, level, ramp_pieces
from downslope.core.schedules.schedule import Schedule, kept, set_field, whole_periods

__all__ = ["Constant", "Cosine", "Exponential", "Inverse", "Linear", "MultiStep", "Polynomial"]


@dataclass(frozen=True)
class Constant(Schedule):
    """The same value at every step.

    Attributes:
        value: The value.
    """

    name: ClassVar[str] = "constant"
    value: float

    def __post_init__(self) -> None:
        """Check the field."""
        set_field(self, "value", as_float("value", self.value))

    @property
    def reference(self) -> float:
        """The value."""
        return self.value

    def extremes(self) -> tuple[float, float]:
        """The value, twice."""
        return self.value, self.value

    def pieces(self) -> list[Piece]:
        """One."""
        return [level(0, self.value)]

    def closed_form(self, step: Any, xp: Any) -> Any:
        """Value, at every step."""
        return self.value + 0.0 * step


@dataclass(frozen=True)
class Exponential(Schedule):
    """Exponential decay: initial * rate ** (step / every), smooth or as a staircase.

    The staircase, initial * rate ** floor(step / every), is what torch calls StepLR (and, with every=1, ExponentialLR);
    its first drop is in effect at step `every`. Both forms equal tf.keras's ExponentialDecay and optax's
    exponential_decay; compiled, their staircases drop one step late for some periods (41 and 220 are two). This one
    counts in integers and drops at the same step, compiled or not.

    Attributes:
        initial: Value at step 0.
        rate: Factor per `every`; above 0.
        every: Period, in `unit`; fractions are exact (2.4 epochs of 391 steps is 938.4 steps).
        unit: "step" or "epoch".
        staircase: Whether the value stays constant within each period.
        end: Value at which it stops for good (a floor if rate < 1, a ceiling if rate > 1), or None.

    Example:
        >>> from downslope.schedules import Exponential
        >>> lr = Exponential(0.5, rate=0.5, every=1000, staircase=True)
        >>> lr(999), lr(1000), lr(2000)
        (0.5, 0.25, 0.125)
    """

    name: ClassVar[str] = "exponential"
    _lengths: ClassVar[tuple[str, ...]] = ("every",)
    initial: float
    rate: float
    every: float
    unit: Unit = "step"
    staircase: bool = False
    end: float | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        set_field(self, "initial", as_float("initial", self.initial))
        set_field(self, "rate", check_factor("rate", self.rate))
        set_field(self, "every", check_length("every", self.every))
        check_unit(self.unit)
        check_flag("staircase", self.staircase)
        if self.end is not None:
            set_field(self, "end", as_float("end", self.end))
            low, high = between(self.initial, self._limit())
            if not low <= self.end <= high:
                raise SettingsError(
                    f"`end` must lie where the schedule goes: from initial={self.initial!r} with rate={self.rate!r} "
                    f"it never comes to end={self.end!r}."
                )

    @property
    def reference(self) -> float:
        """The initial value."""
        return self.initial

    def extremes(self) -> tuple[float, float]:
        """The initial value and the end, or the limit 0 or infinity."""
        return between(self.initial, self._limit() if self.end is None else self.end)

    def pieces(self) -> list[Piece]:
        """One, with stairs where it is a staircase."""
        stairs = exact(self.every) if self.staircase else None
        if self.initial in (0, self.end) or self.rate == 1:
            return [replace(level(0, self.initial), stairs=stairs)]
        return [Piece(0, self._formula, level=self.staircase, stairs=stairs)]

    def _formula(self, step: Any, xp: Any) -> Any:
        if self.staircase:
            periods = xp.number(xp.whole_periods(step, self.every))
        else:
            periods = xp.number(step) / xp.literal(as_length(self.every))
        if self.end is not None and self.rate > 1:  # beyond the end, the power is soon too large for a float
            periods = xp.minimum(periods, self._periods_to_end())
        value = xp.literal(self.initial) * xp.literal(self.rate) ** periods
        if self.end is None:
            return value
        return (xp.maximum if self.rate < 1 else xp.minimum)(value, self.end)

    def closed_form(self, step: Any, xp: Any) -> Any:
        """Initial * rate ** (whole or fractional periods), bounded by `end`."""
        periods = whole_periods(step, self.every) if self.staircase else xp.divide(step, self.every)
        if self.initial in (0, self.end):  # constant, and the power might overflow
            return self.initial + 0.0 * step
        if self.end is None:
            return self.initial * self.rate**periods
        # Past the period in which `end` is reached the power is not taken: it would overflow where rate > 1.
        last = self._periods_to_end()
        low, high = between(self.initial, self.end)
        value = self.initial * self.rate ** xp.minimum(periods, last)
        return xp.where(periods >= last, self.end, xp.minimum(xp.maximum(value, low), high))

    def _periods_to_end(self) -> float:
        """Return the whole periods in which `end` is reached; infinity where it never is."""
        return math.ceil(math.log(self.end / self.initial) / math.log(self.rate)) if self.end else math.inf

    def _limit(self) -> float:
        if self.rate == 1 or self.initial == 0:
            return self.initial
        return 0.0 if self.rate < 1 else math.copysign(math.inf, self.initial)


@dataclass(frozen=True)
class MultiStep(Schedule):
    """Multiply by `factor` at each milestone: torch's MultiStepLR, and what "divided by 10 at epoch 30 and 60" means.

    A milestone m is in effect at step m, as in torch and optax (Keras's PiecewiseConstantDecay: at m + 1).

    Attributes:
        initial: Value before the first milestone.
        factor: Factor at each milestone; above 0.
        milestones: Increasing times, in `unit`, each above 0.
        unit: "step" or "epoch".
    """

    name: ClassVar[str] = "multistep"
    _lengths: ClassVar[tuple[str, ...]] = ("milestones",)
    initial: float
    factor: float
    milestones: Taken[Iterable[float], tuple[float, ...]]
    unit: Unit = "step"

    def __post_init__(self) -> None:
        """Check the fields."""
        set_field(self, "initial", as_float("initial", self.initial))
        set_field(self, "factor", check_factor("factor", self.factor))
        set_field(self, "milestones", check_increasing("milestones", self.milestones))
        check_unit(self.unit)

    @property
    def reference(self) -> float:
        """The initial value."""
        return self.initial

    def extremes(self) -> tuple[float, float]:
        """The initial value and the value after the last milestone."""
        try:
            last = self.initial * self.factor ** len(self.milestones)
        except OverflowError:
            last = math.copysign(math.inf, self.initial)
        return between(self.initial, last)

    def levels(self) -> list[float]:
        """The values between milestones, as a person writes them: 0.001, not 0.1 * 0.1**2 in floats."""
        return [self._level(passed) for passed in range(len(self.milestones) + 1)]

    def _level(self, passed: int) -> float:
        return float(exact(self.initial) * exact(self.factor) ** passed)

    def pieces(self) -> list[Piece]:
        """One before each milestone, and one after the last."""
        starts = [0, *map(math.ceil, self.milestones)]
        return [
            Piece(start, lambda _, xp, passed=passed: xp.literal(self._level(passed)), level=True)
            for passed, start in enumerate(starts)
        ]

    def closed_form(self, step: Any, xp: Any) -> Any:
        """Initial * factor ** (milestones passed)."""
        return self.initial * self.factor ** sum(1 * (step >= math.ceil(m)) for m in self.milestones)


@dataclass(frozen=True)
class _Ramp(Schedule):
    """What a way from one value to another is, whatever its shape."""

    _lengths: ClassVar[tuple[str, ...]] = ("duration",)
    _shape: ClassVar[str] = "linear"
    initial: float
    final: float
    duration: float
    unit: Unit = "step"

    def __post_init__(self) -> None:
        """Check the fields."""
        set_field(self, "initial", as_float("initial", self.initial))
        set_field(self, "final", as_float("final", self.final))
        set_field(self, "duration", check_length("duration", self.duration))
        check_unit(self.unit)

    @property
    def reference(self) -> float:
        """The initial value."""
        return self.initial

    def extremes(self) -> tuple[float, float]:
        """Both ends."""
        return between(self.initial, self.final)

    def pieces(self) -> list[Piece]:
        """The way, and `final`."""
        return ramp_pieces(self.initial, self.final, self.duration, self._shape, self._power())

    def closed_form(self, step: Any, xp: Any) -> Any:
        """The way, then `final`."""
        return ramp(step, xp, self.duration, self.initial, self.final, self._shape, self._power())

    def _power(self) -> float:
        return 1.0


@dataclass(frozen=True)
class Linear(_Ramp):
    """A straight line from `initial` at step 0 to `final` at `duration`, then `final`.

    Equals optax's linear_schedule and torch's LinearLR (which forbids a start of 0).

    Attributes:
        initial: Value at step 0.
        final: Value at and after `duration`.
        duration: Length, in `unit`.
        unit: "step" or "epoch".
    """

    name: ClassVar[str] = "linear"


@dataclass(frozen=True)
class Polynomial(_Ramp):
    """final + (initial - final) * (1 - step / duration) ** power, then `final`.

    Equals Caffe's "poly" (final 0), tf.keras's PolynomialDecay, optax's polynomial_schedule and torch's PolynomialLR.

    Attributes:
        initial: Value at step 0.
        final: Value at and after `duration`.
        duration: Length, in `unit`.
        unit: "step" or "epoch".
        power: Exponent, above 0; 1 is a straight line.
    """

    name: ClassVar[str] = "polynomial"
    power: float = 1.0

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        set_field(self, "power", check_factor("power", self.power))

    def _power(self) -> float:
        return self.power


@dataclass(frozen=True)
class Cosine(_Ramp):
    """Half a cosine from `initial` at step 0 to `final` at `duration`, then `final`.

    Equals optax's cosine_decay_schedule and Keras's CosineDecay; torch's CosineAnnealingLR agrees up to `duration`
    and rises again after it.

    Attributes:
        initial: Value at step 0.
        final: Value at and after `duration`.
        duration: Length, in `unit`.
        unit: "step" or "epoch".

    References:
        Loshchilov & Hutter 2017 (SGDR), eq. 5, without restarts.
    """

    name: ClassVar[str] = "cosine"
    _shape: ClassVar[str] = "cosine"


@dataclass(frozen=True)
class Inverse(Schedule):
    """initial * (1 + gamma * step) ** -power: Caffe's "inv"; with power 1, old Keras's `decay` and 1/t decay.

    Attributes:
        initial: Value at step 0.
        gamma: Speed, per `unit`; >= 0.
        power: Exponent, above 0.
        unit: "step" or "epoch"; in epochs, the step counts as a fraction of an epoch.
    """

    name: ClassVar[str] = "inverse"
    _lengths: ClassVar[tuple[str, ...]] = ("gamma",)
    initial: float
    gamma: float
    power: float = 1.0
    unit: Unit = "step"

    def __post_init__(self) -> None:
        """Check the fields."""
        set_field(self, "initial", as_float("initial", self.initial))
        set_field(self, "gamma", float(check_length("gamma", self.gamma, zero=True)))
        set_field(self, "power", check_factor("power", self.power))
        check_unit(self.unit)

    @property
    def reference(self) -> float:
        """The initial value."""
        return self.initial

    def extremes(self) -> tuple[float, float]:
        """The initial value and the limit 0."""
        return between(self.initial, 0.0 if self.gamma else self.initial)

    def pieces(self) -> list[Piece]:
        """One."""

        def formula(step: Any, xp: Any) -> Any:
            return xp.literal(self.initial) * (1 + xp.literal(self.gamma) * xp.number(step)) ** xp.literal(-self.power)

        return [Piece(0, formula)]

    def closed_form(self, step: Any, xp: Any) -> Any:
        """Initial * (1 + gamma * step) ** -power."""
        return self.initial * (1.0 + self.gamma * step) ** -self.power

    def _to_steps(self, field: str, steps_per_epoch: int | Fraction) -> Any:
        # a speed, not a length: it is divided
        how = f"divided by {short_repr(steps_per_epoch)} steps an epoch"
        return kept(field, self.gamma, exact(self.gamma) / steps_per_epoch, how)


def ramp(step: Any, xp: Any, duration: float, first: float, last: float, shape: str, power: float = 1.0) -> Any:
    """Return the way from `first` at step 0 to exactly `last` at and after `duration`.

    Args:
        step: Step, or array of steps.
        xp: Namespace.
        duration: Length in steps; 0 means `last` at once.
        first: Value at step 0.
        last: Value at and after `duration`.
        shape: "linear", "cosine", or "sqrt" (1 - sqrt of the fraction, Hagele et al. 2024).
        power: For "linear", the exponent on what is left of the way.
    """
    if duration == 0:
        return last + 0.0 * step
    done = xp.minimum(xp.divide(step, duration), 1.0)
    if shape == "linear":
        left = (1.0 - done) ** power
    elif shape == "cosine":
        left = 0.5 * (1.0 + xp.cos(math.pi * done))
    else:
        left = 1.0 - xp.sqrt(done)
    low, high = between(first, last)
    value = first * left + last * (1.0 - left)  # exactly `first` at step 0, unlike last + (first - last) * left
    return xp.where(step >= duration, last, xp.minimum(xp.maximum(value, low), high))
