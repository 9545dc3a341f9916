"""Results as rows, and rows as text or Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from timing import median_ratio

OURS = "downslope"

Table = tuple[list[str], list[list[str]]]
"""Heading and rows."""

Samples = Mapping[str, Sequence[float]]
"""Contender -> milliseconds by round."""


def comparison(milliseconds: Samples, first: Samples | None = None, *, ours: str = OURS) -> Table:
    """Return median, minimum and our ratio to each contender.

    Args:
        milliseconds: Contender -> samples by round.
        first: The same of the first step of each turn; None leaves that column out.
        ours: Which contender is ours.
    """
    rows: list[list[str]] = []
    for name, samples in milliseconds.items():
        rows.append([name, number(statistics.median(samples)), number(min(samples)), ratio(milliseconds, name, ours)])
        if first is not None:
            rows[-1].append(number(statistics.median(first[name])))
    heading = ["", "median ms", "minimum ms", "ours / it"]
    return heading if first is None else [*heading, "first ms"], rows


def memory(bytes_per_parameter: Mapping[str, float]) -> Table:
    """Return the peak of each contender, and what it is above the 12 bytes that are needed."""
    rows = [[name, f"{value:.1f}", f"{value - 12:+.1f}"] for name, value in bytes_per_parameter.items()]
    return ["", "bytes per parameter", "against the 12 of fp32"], rows


def ratio(milliseconds: Samples, name: str, ours: str = OURS) -> str:
    """Return our time over a contender's, as the median of the rounds' ratios; empty for ourselves and our parts."""
    if name == ours or name.startswith("of which") or name not in milliseconds:
        return ""
    return f"{median_ratio(list(milliseconds[ours]), list(milliseconds[name])):.2f}"


def number(value: float) -> str:
    """Return a number with three significant digits, never in powers of ten.

    Example:
        >>> number(0.012345), number(12.345), number(345.6)
        ('0.0123', '12.3', '346')
    """
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:#.3g}"


def as_text(table: Table) -> str:
    """Return a table for a terminal, its first column to the left and the others to the right."""
    heading, rows = table
    widths = [max(len(row[i]) for row in (heading, *rows)) for i in range(len(heading))]
    lines = [
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heading, ["-" * width for width in widths], *rows)
    ]
    return "\n".join(lines)


def as_markdown(table: Table) -> str:
    """Return a table for a document."""
    heading, rows = table
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (heading, rule, *rows))
