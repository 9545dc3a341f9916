"""Numbers as they were written: exact fractions of decimal numbers, and back."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from numbers import Rational


@lru_cache(maxsize=1024)
def exact(number: float | int) -> Fraction:
    """Return the decimal number a person wrote, exactly: 2.4 is 12/5, not the nearest binary fraction."""
    return Fraction(number) if isinstance(number, Rational) else Fraction(repr(number))


def plain(number: Fraction) -> float | int:
    """Return an exact number as an int where it is whole, else as the nearest float."""
    return int(number) if number.denominator == 1 else float(number)


def tidy(number: float | int) -> float | int:
    """Return the number of at most ten digits that this one is but for rounding; else the number itself.

    Example:
        >>> tidy(0.9**4), tidy((0.9**8) ** 0.125), tidy(1 / 3)
        (0.6561, 0.9, 0.3333333333333333)
    """
    if isinstance(number, int) or not number:
        return number
    short = float(f"{number:.10g}")
    return short if abs(short - number) <= _ROUNDING * abs(number) else number


_ROUNDING = 2e-13
"""Relative error of a few operations on floats, some of them powers."""


def between(first: float, last: float) -> tuple[float, float]:
    """Return (smaller, larger)."""
    return (first, last) if first <= last else (last, first)
