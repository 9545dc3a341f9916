"""Plain text tables and numbers for people, rounded; what programs read is printed as JSON with every digit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from downslope.core.columns import width_of
from downslope.language import said


def format_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, indent: int = 2) -> str:
    """Return a table, every column aligned to the right; its headers in the language that is spoken.

    Example:
        >>> print(format_table(["step", "lr"], [["0", "0.1"], ["1000", "0.01"]]))
          step    lr
             0   0.1
          1000  0.01
    """
    lines = [[said(header) for header in headers], *(list(row) for row in rows)]
    widths = [max(map(width_of, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        (
            " " * indent + "  ".join(" " * (w - width_of(cell)) + cell for cell, w in zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


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
