"""Checks of what a person gives: numbers, flags, steps, lengths of time, and the ranges of the optimizer's numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import MAX_EMAX, Context
from enum import Enum
from itertools import pairwise
from numbers import Integral, Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar, get_args

from downslope.core.errors import DownslopeError, SettingsError, one_of
from downslope.core.shown import shown

Unit = Literal["step", "epoch"]
UNITS: tuple[Unit, ...] = get_args(Unit)

Given_contra = TypeVar("Given_contra", contravariant=True)
Held_co = TypeVar("Held_co", covariant=True)

if TYPE_CHECKING:

    class Taken(Generic[Given_contra, Held_co]):
        """The type of a dataclass's field that is given as one type and held as another, after its own check."""

        def __get__(self, instance: object, owner: Any = None, /) -> Held_co: ...  # noqa: D105 -- for checkers alone
        def __set__(self, instance: object, value: Given_contra, /) -> None: ...  # noqa: D105

else:

    class Taken:
        """The same for whoever reads types at run time, such as the decoder of recipes: what is held."""

        def __class_getitem__(cls, kinds: tuple[Any, Any]) -> Any:
            """Return the second of two types."""
            return kinds[1]


class NotGiven(Enum):
    """The default of an argument that may not be None, where it matters whether it was given: a wrong None is told."""

    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        """Return what a signature shows."""
        return "NOT_GIVEN"


NOT_GIVEN = NotGiven.NOT_GIVEN


class Range(NamedTuple):
    """The values that a number of the optimizer may have: from `low` to `high`, both included, and never infinity."""

    low: float
    high: float
    allowed: str
    """The range in words."""
    advice: str
    """What to use instead, after "Use"."""


RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "lr": Range(0.0, math.inf, "finite and >= 0", "a number >= 0 such as 0.1"),
        "momentum": Range(
            0.0, math.nextafter(1.0, 0.0), "in [0, 1)", "a value such as 0.9, or 0 to switch momentum off"
        ),
        "dampening": Range(0.0, 1.0, "in [0, 1]", "0 unless the source of your recipe says otherwise"),
        "nu": Range(0.0, 1.0, "in [0, 1]", "a value such as 0.7, or leave it out for plain momentum"),
        "trust_coefficient": Range(0.0, math.inf, "finite and >= 0", "a value such as 0.001, or 0 for no trust ratio"),
        "adaptive_clip": Range(0.0, math.inf, "finite and >= 0", "a value such as 0.01, or 0 not to clip"),
        "weight_decay": Range(
            0.0, math.inf, "finite and >= 0", "a value such as 5e-4, or 0 to switch weight decay off"
        ),
    }
)


def check_range(name: str, value: float) -> float:
    """Return `value` if it is allowed for the number called `name`, a key of `RANGES`.

    Raises:
        SettingsError: If it is outside its range or not finite.
    """
    low, high, allowed, advice = RANGES[name]
    if not (low <= value <= high) or value == math.inf:
        raise SettingsError(f"`{name}` must be {allowed}; got {value!r}. Use {advice}.")
    return value


def as_float(name: str, value: Any, *, or_schedule: bool = False) -> float:
    """Return a real number, or a 0-d array of one, as a finite Python float.

    Args:
        name: What to call it in the message.
        value: The number.
        or_schedule: Whether the message should say that a schedule is allowed too.

    Raises:
        SettingsError: If it is no number, or not finite.
    """
    kinds = "a number or a schedule" if or_schedule else "a number"
    if isinstance(value, bool) or not (isinstance(value, Real) or (hasattr(value, "item") and _is_scalar(value))):
        raise SettingsError(f"`{name}` must be {kinds}; got {shown(repr(value))} of type {type(value).__name__}.")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the largest float
        number = math.inf
    if not math.isfinite(number):
        raise SettingsError(f"`{name}` must be finite; got {number!r}.")
    return number


def check_factor(name: str, value: Any) -> float:
    """Return a number above 0 as a float; raise `SettingsError` unless it is one."""
    number = as_float(name, value)
    if number <= 0:
        raise SettingsError(f"`{name}` must be above 0; got {value!r}.")
    return number


def check_length(name: str, value: Any, *, zero: bool = False) -> float | int:
    """Return a length of time as an int or a float.

    Args:
        name: What to call it in the message.
        value: Any real number; fractions of an epoch or step are allowed.
        zero: Whether 0 is allowed.

    Raises:
        SettingsError: If it is no number, not finite, negative, or 0 where that is not allowed.
    """
    number = as_float(name, value)
    if number < 0 or (number == 0 and not zero):
        raise SettingsError(f"`{name}` must be {'>=' if zero else 'above'} 0; got {value!r}.")
    return int(number) if number.is_integer() else number


def check_increasing(name: str, times: Any) -> tuple[float, ...]:
    """Return increasing times above 0 as a tuple.

    Raises:
        SettingsError: If there are none, one is not above 0, or they do not increase.
    """
    if isinstance(times, str) or not hasattr(times, "__iter__"):
        raise SettingsError(f"`{name}` must be a list of times; got {shown(repr(times))}.")
    checked = tuple(check_length(name, time) for time in times)
    if not checked or any(later <= earlier for earlier, later in pairwise(checked)):
        raise SettingsError(f"`{name}` must be increasing times such as [30, 60, 80]; got {shown(repr(list(times)))}.")
    return checked


def check_step(step: Any) -> int:
    """Return `step` as a Python int; raise `SettingsError` unless it is an integer >= 0."""
    if not is_integer(step) or step < 0:
        raise SettingsError(f"`step` must be an integer >= 0; got {short_repr(step)}.")
    return int(step)


def as_count(name: str, value: Any, least: int = 1, error: type[DownslopeError] = SettingsError) -> int:
    """Return a number of something as a Python int, NumPy's integers too.

    Raises:
        DownslopeError: Unless it is an integer, at least `least`; of the type `error`.
    """
    if not is_integer(value) or value < least:
        raise error(f"`{name}` must be an integer >= {least}; got {shown(short_repr(value))}.")
    return int(value)


def check_flag(name: str, value: Any) -> None:
    """Raise `SettingsError` unless `value` is True or False."""
    if not isinstance(value, bool):
        raise SettingsError(f"`{name}` must be True or False; got {shown(repr(value))}.")


def check_unit(unit: Any) -> None:
    """Raise `SettingsError` unless `unit` is "step" or "epoch"."""
    if unit not in UNITS:
        raise SettingsError(f"`unit` must be {one_of(UNITS)}; got {unit!r}.")


def is_integer(value: Any) -> bool:
    """Return whether `value` is an integer of any kind, NumPy's too; True and False are none."""
    return not isinstance(value, bool) and isinstance(value, Integral)


def short_repr(number: Any) -> str:
    """Return `repr(number)`; of an integer of many digits, which Python may not print, a power of ten."""
    if not is_integer(number) or abs(number) < 10**16:
        return repr(number)
    return str(Context(prec=6, Emax=MAX_EMAX).create_decimal(int(number)).normalize()).lower()


def _is_scalar(value: Any) -> bool:
    return getattr(value, "ndim", None) == 0 and isinstance(value.item(), int | float) and value.item() is not True
