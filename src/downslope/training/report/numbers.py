"""Numbers as people read them on a report, one way for the whole page."""

from __future__ import annotations

from dataclasses import dataclass

from downslope.core.number_text import number_text, percent_text

_THIN = "\N{NARROW NO-BREAK SPACE}"


@dataclass(frozen=True)
class Number:
    """A number on the page.

    Attributes:
        text: As people read it.
        exact: As the log has it, kept on the page for programs; None where there is no more to it than the text.
    """

    text: str
    exact: float | None = None


def accuracy(value: float) -> Number:
    """Return a fraction as percent."""
    return Number(percent_text(value).replace(" ", _THIN), value)


def loss(value: float) -> Number:
    """Return a loss to four digits."""
    return Number(number_text(float(f"{value:.4g}")), value)


def whole(number: int) -> str:
    """Return a whole number, from 10,000 with thin spaces between thousands."""
    return f"{number:,}".replace(",", _THIN) if number >= 10_000 else str(number)


def size_text(size: int) -> str:
    """Return a number of bytes for people.

    Example:
        >>> size_text(999), size_text(41_200)
        ('999 B', '41.2 kB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} B"
