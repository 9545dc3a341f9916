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


def duration_text(seconds: float) -> str:
    """Return a duration for people.

    Example:
        >>> duration_text(4.25), duration_text(75), duration_text(7384)
        ('4.2 s', '1 min 15 s', '2 h 3 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min {round(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


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
