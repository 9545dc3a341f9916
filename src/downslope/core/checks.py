"""Checks of what a person gives: numbers, flags, steps, and the ranges of the optimizer's numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import MAX_EMAX, Context
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, NamedTuple

from downslope.core.errors import SettingsError


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
        raise SettingsError(f"`{name}` must be {kinds}; got {value!r} of type {type(value).__name__}.")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the largest float
        number = math.inf
    if not math.isfinite(number):
        raise SettingsError(f"`{name}` must be finite; got {number!r}.")
    return number


def check_step(step: Any) -> int:
    """Return `step` as a Python int; raise `SettingsError` unless it is an integer >= 0."""
    if not is_integer(step) or step < 0:
        raise SettingsError(f"`step` must be an integer >= 0; got {short_repr(step)}.")
    return int(step)


def check_flag(name: str, value: Any) -> None:
    """Raise `SettingsError` unless `value` is True or False."""
    if not isinstance(value, bool):
        raise SettingsError(f"`{name}` must be True or False; got {value!r}.")


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
