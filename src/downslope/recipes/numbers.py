"""One number as people read it, on pages and in what `explain` prints.

What lives here: rounding and the signs used. What does not: a number that a program reads; that keeps every digit.
"""

from __future__ import annotations


def number_text(number: float, digits: int = 6) -> str:
    """Return a number for people: a few digits, no needless zeros.

    Args:
        number: Any number.
        digits: How many significant digits at most.

    Example:
        >>> number_text(0.5), number_text(1 / 3), number_text(5e-05).encode("ascii", "replace")
        ('0.5', '0.333333', b'5e?5')
    """
    mantissa, mark, exponent = f"{number:.{digits}g}".partition("e")
    text = f"{mantissa}e{int(exponent)}" if mark else mantissa
    return text.replace("-", "\N{MINUS SIGN}")
