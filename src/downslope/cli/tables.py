"""Plain text tables and numbers for people, rounded; what programs read is printed as JSON with every digit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from unicodedata import combining, east_asian_width


def format_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, indent: int = 2) -> str:
    """Return a table, every column aligned to the right.

    Example:
        >>> print(format_table(["step", "lr"], [["0", "0.1"], ["1000", "0.01"]]))
          step    lr
             0   0.1
          1000  0.01
    """
    lines = [list(headers), *(list(row) for row in rows)]
    widths = [max(map(_columns, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        (
            " " * indent + "  ".join(" " * (w - _columns(cell)) + cell for cell, w in zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def padded(text: str, width: int) -> str:
    """Return a text with spaces behind it, to so many columns of a terminal."""
    return text + " " * (width - _columns(text))


def _columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for a letter as wide as Chinese ones, 0 for an accent."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def format_number(value: float) -> str:
    """Return a number with at most five significant digits, or all those before its point, and no needless ones.

    Example:
        >>> [format_number(value) for value in (0.1, 1, 0.0005, 1/3, 1.23456789e-7, 268_123.4)]
        ['0.1', '1', '0.0005', '0.33333', '1.2346e-07', '268123']
    """
    return f"{value:.0f}" if 1e5 <= abs(value) < 1e15 else f"{value:.5g}"


def count_of(number: int, noun: str) -> str:
    """Return "1 step" or "5 steps", with thousands set apart.

    Example:
        >>> count_of(1, "step"), count_of(4810, "parameter")
        ('1 step', '4,810 parameters')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
