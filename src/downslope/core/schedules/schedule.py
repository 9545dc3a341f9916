"""What every schedule is: a frozen value and a pure function of an integer step.

There is no chaining and no hidden count: the value at step t is a closed form in t, so it cannot drift and needs
nothing saved to resume.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, ClassVar, Self, cast, overload

from downslope.core.checks import check_step, is_integer, short_repr
from downslope.core.errors import SettingsError
from downslope.core.exact import exact, plain
from downslope.core.schedules.pieces import Piece
from downslope.core.schedules.traced import value_where_traced

set_field = object.__setattr__
"""Sets a field of a frozen schedule from its own ``__post_init__``."""


# One formula serves Python's integers, by the operations below, and traced arrays, by those that are passed with them.
def _where(condition: Any, yes: Any, no: Any) -> Any:
    return yes if condition else no


def _divide(step: Any, length: Any) -> Any:
    return step / length


_HEIGHTS = frozenset({"value", "initial", "final", "end", "peak", "start"})
"""Fields of schedules that are values; the others are lengths, factors and shapes."""

NUMBERS = SimpleNamespace(where=_where, minimum=min, maximum=max, divide=_divide, cos=math.cos, sqrt=math.sqrt)


@dataclass(frozen=True)
class Schedule(ABC):
    """A number that depends on the step. Call it with a step to get the value of that step.

    Each schedule states on which side a boundary lies: a change "at step m" is already in effect at step m, counting
    from 0, so that exactly m steps are taken before it (torch and optax agree; Keras's PiecewiseConstantDecay changes
    at m + 1).
    """

    name: ClassVar[str]
    """The word for this schedule in a recipe: ``lr = { schedule = "...", ... }``."""

    _lengths: ClassVar[tuple[str, ...]] = ()
    """The fields that hold lengths of time, in the schedule's `unit`."""

    @overload
    def __call__(self, step: int, *, steps_per_epoch: int | None = None) -> float: ...
    @overload
    def __call__(self, step: Any, *, steps_per_epoch: int | None = None, xp: Any = None) -> Any: ...

    def __call__(self, step: Any, *, steps_per_epoch: int | None = None, xp: Any = None) -> Any:
        """Return the value at a step.

        Args:
            step: Step, 0-based: an integer >= 0, or a NumPy array of integers for several steps at once, which are
                the same numbers to the last bit.
            steps_per_epoch: Steps in one epoch; needed where the schedule is in epochs.
            xp: Array namespace with where, minimum, maximum, divide, cos and sqrt, where `step` is its integer array,
                which may be traced: then nothing can be checked, and the numbers are in its precision. Not needed for
                JAX: its arrays and tracers bring their own, and are computed in 64 bits.

        Returns:
            A float, or a float array of the step's shape. For a JAX array, one of JAX's default precision: traced or
            not, the float rounded to it (`docs/schedules.md` says where the last place may differ).

        Raises:
            SettingsError: If the step is not an integer >= 0, the value is too large for a float, or the schedule is
                in epochs and `steps_per_epoch` is not given.
        """
        schedule = self if steps_per_epoch is None else self.in_steps(steps_per_epoch)
        if schedule.in_epochs():
            raise SettingsError(
                f"{self!r} is in epochs, and how many steps an epoch has is not known here. "
                "Resolve it first with .in_steps(steps_per_epoch). (Pass steps_per_epoch= where you call it yourself.)"
            )
        if xp is not None:
            return schedule.closed_form(step, xp)
        own = _foreign_namespace(step)
        if own is not None:
            return value_where_traced(schedule, step, own)
        if not _is_array(step):
            return _finite_value(schedule, check_step(step))
        import numpy as np

        # One by one: NumPy's power and Python's differ in the last bit, and 64-bit integers can overflow.
        return np.array([_finite_value(schedule, check_step(one)) for one in step.ravel().tolist()]).reshape(step.shape)

    def in_steps(self, steps_per_epoch: int) -> Self:
        """Return the same schedule with every length in steps.

        Args:
            steps_per_epoch: Steps in one epoch, >= 1.

        Raises:
            SettingsError: If that is no such number, or a field in steps is one that a float does not hold.
        """
        if not is_integer(steps_per_epoch) or steps_per_epoch < 1:
            raise SettingsError(f"`steps_per_epoch` must be an integer >= 1; got {short_repr(steps_per_epoch)}.")
        if not self.in_epochs():
            return self
        changes: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Schedule):
                changes[field.name] = value.in_steps(steps_per_epoch)
            elif isinstance(value, tuple):
                items = cast("tuple[Any, ...]", value)
                changes[field.name] = tuple(
                    i.in_steps(steps_per_epoch) if isinstance(i, Schedule) else i for i in items
                )
        if getattr(self, "unit", "step") == "epoch":
            changes |= {name: self._to_steps(name, steps_per_epoch) for name in self._lengths}
            changes["unit"] = "step"
        return replace(self, **changes)

    def in_epochs(self) -> bool:
        """Whether this schedule, or one inside it, has lengths in epochs."""
        return getattr(self, "unit", "step") == "epoch" or any(inner.in_epochs() for inner in self.inner())

    def inner(self) -> tuple[Schedule, ...]:
        """The schedules that this one is made of."""
        return ()

    def longest(self) -> float:
        """The largest number among its lengths and those of the schedules inside it."""
        found: list[float] = [inner.longest() for inner in self.inner()]
        for name in self._lengths:
            value: float | tuple[float, ...] = getattr(self, name)
            found.append(max(value) if isinstance(value, tuple) else value)
        return max(found, default=0)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what copy and pickle make the same schedule of: its class and its fields, which are checked again."""
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        """What there is to save of a schedule: nothing, since it is a function of the step.

        torch's LambdaLR saves this of its functions, and could not load another schedule within one from a file of
        plain values.
        """
        return {}

    @property
    @abstractmethod
    def reference(self) -> float:
        """The nominal starting value: the value at step 0 or, where that lies in a warmup, what it warms up to."""

    @abstractmethod
    def extremes(self) -> tuple[float, float]:
        """Bounds on the value over all steps: no step lies outside.

        They are the smallest and the largest value, or their limits, except in a schedule that cuts another short
        (Sequence, Warmup without restart), which bounds it as if it were not cut.
        """

    @abstractmethod
    def pieces(self) -> list[Piece]:
        """Where the schedule turns, and its formula from there on, as source code has it; the first from step 0 on.

        Every length must be in steps. A formula's value is that of `closed_form` up to rounding.
        """

    @abstractmethod
    def closed_form(self, step: Any, xp: Any) -> Any:
        """The value at `step` by the namespace `xp`, every length in steps; what `__call__` calls after its checks."""

    def lengths_times(self, factor: Fraction) -> dict[str, Any]:
        """Return its own fields that hold lengths, multiplied; not those of the schedules inside it."""
        return {name: self._to_steps(name, factor) for name in self._lengths}

    def _to_steps(self, field: str, steps_per_epoch: int | Fraction) -> Any:
        value = getattr(self, field)
        how = f"multiplied by {_factor_text(steps_per_epoch)}"
        if not isinstance(value, tuple):
            return kept(field, value, exact(value) * steps_per_epoch, how)
        times = cast("tuple[float | int, ...]", value)
        scaled = tuple(kept(field, time, exact(time) * steps_per_epoch, how) for time in times)
        for (early, first), (late, second) in pairwise(zip(times, scaled, strict=True)):
            if first == second:
                raise _lost(field, f"{short_repr(early)} and {short_repr(late)}", how, "come to one number")
        return scaled


def _factor_text(factor: int | Fraction) -> str:
    return str(factor) if isinstance(factor, Fraction) else f"{short_repr(factor)} steps an epoch"


def _finite_value(schedule: Schedule, step: int) -> float:
    try:
        value = schedule.closed_form(step, NUMBERS)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise SettingsError(
            f"{schedule!r} is too large for a float at step {step}. Bound it, as Exponential does with `end`."
        )
    return value


def value_at(number_or_schedule: float | Schedule, step: int) -> float:
    """Return the value at a step of something that is a number or a schedule."""
    if isinstance(number_or_schedule, Schedule):
        return number_or_schedule(step)
    return number_or_schedule


def constant_value(number_or_schedule: float | Schedule) -> float | None:
    """Return the one value of a number, or of a schedule that has it at every step; None where it changes."""
    if not isinstance(number_or_schedule, Schedule):
        return number_or_schedule
    low, high = number_or_schedule.extremes()
    return low if low == high else None


def scaled(number_or_schedule: float | Schedule, factor: float) -> Any:
    """Return a number or a schedule times a factor.

    Example:
        >>> from downslope.core.schedules import Cosine
        >>> scaled(Cosine(initial=0.5, final=0.0, duration=10), 0.5)
        Cosine(initial=0.25, final=0.0, duration=10, unit='step')
    """
    if not isinstance(number_or_schedule, Schedule):
        return number_or_schedule * factor
    changes: dict[str, Any] = {}
    for field in fields(number_or_schedule):
        inside = getattr(number_or_schedule, field.name)
        if isinstance(inside, Schedule):
            changes[field.name] = scaled(inside, factor)
        elif field.name == "schedules":
            changes[field.name] = tuple(scaled(one, factor) for one in inside)
        elif field.name in _HEIGHTS and inside is not None:
            changes[field.name] = inside * factor
    return replace(number_or_schedule, **changes)


def stretched(number_or_schedule: float | Schedule, factor: Fraction, units: Collection[str]) -> Any:
    """Return a number, or a schedule whose lengths in these units are multiplied by a factor.

    Example:
        >>> from downslope.core.schedules import MultiStep
        >>> stretched(MultiStep(0.1, 0.1, [30, 60], unit="epoch"), Fraction(1, 3), ["epoch"]).milestones
        (10, 20)
    """
    if not isinstance(number_or_schedule, Schedule):
        return number_or_schedule
    changes: dict[str, Any] = {}
    for field in fields(number_or_schedule):
        inside = getattr(number_or_schedule, field.name)
        if isinstance(inside, Schedule):
            changes[field.name] = stretched(inside, factor, units)
        elif field.name == "schedules":
            changes[field.name] = tuple(stretched(one, factor, units) for one in inside)
    if getattr(number_or_schedule, "unit", None) in units:
        changes |= number_or_schedule.lengths_times(factor)
    return replace(number_or_schedule, **changes)


def whole_periods(step: Any, period: float | int) -> Any:
    """Return how many whole periods have passed at `step`, in integer arithmetic.

    Compiled, ``floor(step / period)`` drops a step late for many periods, since the division by a constant becomes a
    multiplication by its rounded inverse (optax; Keras on JAX and TensorFlow); integers cannot.
    """
    ratio = exact(period)
    numerator, denominator = ratio.numerator, ratio.denominator
    if denominator == 1:
        return step // numerator
    bits = 8 * step.dtype.itemsize if hasattr(step, "dtype") else math.inf  # Python's integers have no end
    if (numerator * denominator).bit_length() >= bits:
        raise SettingsError(
            f"a period of {period!r} steps has too many digits for exact arithmetic in {bits}-bit integers. "
            "Give the period in steps, or with fewer digits."
        )
    # step * denominator // numerator, without a product that grows with the step
    passed = (step // numerator) * denominator + (step % numerator) * denominator // numerator
    # Python raises for an exponent that no float holds; long before it, every power is 0, 1 or too large.
    return passed if hasattr(step, "dtype") else min(passed, 2**1000)


def kept(name: str, value: float | int, result: Fraction | float, how: str) -> float | int:
    """Return a number that was worked out of a schedule's field, as an int where it is exactly a whole one.

    Every number that is converted between units, or put together out of several fields, comes through here: one that
    a float takes for 0 or for infinity would make another schedule of it.

    Args:
        name: The field.
        value: Its value.
        result: What came of it.
        how: By what, as a phrase for the message.

    Raises:
        SettingsError: If `value` is not 0 and `result` is, as a float; or if `result` is not finite.
    """
    try:
        number = float(result)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _lost(name, short_repr(value), how, "is too large")
    if number == 0 and value != 0:
        raise _lost(name, short_repr(value), how, "is too small")
    return plain(result) if isinstance(result, Fraction) else number


def _lost(name: str, value: str, how: str, what: str) -> SettingsError:
    return SettingsError(
        f"`{name}` = {value}, {how}, {what} for a float, so this would be another schedule. A float holds 0 and sizes "
        f"from {math.ulp(0.0)!r} to {sys.float_info.max:.2g}, to about 16 digits: change `{name}` so "
        "that it comes to one."
    )


def _foreign_namespace(step: Any) -> Any:
    """Return the namespace of an array that is not NumPy's but knows its own (the array API), else None."""
    if isinstance(step, int) or not hasattr(step, "__array_namespace__") or _is_array(step) or is_integer(step):
        return None
    return step.__array_namespace__()


def _is_array(step: Any) -> bool:
    if is_integer(step):
        return False
    import numpy as np

    return isinstance(step, np.ndarray)
