"""One number as people read it, on pages and in a terminal: rounding, and the signs used.

A number that a program reads is another thing; that keeps every digit.
"""

from __future__ import annotations

import re

_ONE = re.compile(r"(?<![\w.,\N{MINUS SIGN}-])1 (step|epoch|example|batch(?=es)|gradient)(?:es|s)\b")
"""What explanations count, after a 1 that is a whole number."""


def number_text(number: float, digits: int = 6) -> str:
    """Return a number for people: a few digits, no needless zeros.

    Example:
        >>> number_text(0.5), number_text(1 / 3), number_text(5e-05).encode("ascii", "replace")
        ('0.5', '0.333333', b'5e?5')
    """
    mantissa, mark, exponent = f"{number:.{digits}g}".partition("e")
    text = f"{mantissa}e{int(exponent)}" if mark else mantissa
    return text.replace("-", "\N{MINUS SIGN}")


def short_text(number: float) -> str:
    """Return a number in four digits, for measurements whose further ones are noise.

    Example:
        >>> short_text(0.963889), short_text(12345)
        ('0.9639', '1.234e4')
    """
    return number_text(number, 4)


def percent_text(fraction: float, digits: int = 2) -> str:
    """Return a fraction in percent, in the one way in which all of Downslope writes it: "97.22 %".

    Example:
        >>> percent_text(0.97222), percent_text(0.4), percent_text(0.5, 0)
        ('97.22 %', '40.00 %', '50 %')
    """
    return f"{100 * fraction:.{digits}f} %"


def duration_text(seconds: float) -> str:
    """Return a duration for people.

    Example:
        >>> duration_text(4.25), duration_text(59.97), duration_text(75), duration_text(7384)
        ('4.2 s', '1 min 0 s', '1 min 15 s', '2 h 3 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min {round(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def counted(number: str, noun: str) -> str:
    """Return a number of things, as it is shown, with their name: in the plural but for one.

    Example:
        >>> counted("1", "step"), counted("1,000", "step"), counted("1.0", "epoch")
        ('1 step', '1,000 steps', '1.0 epochs')
    """
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def in_singular(text: str) -> str:
    """Return an English sentence whose numbers were put in, with what is counted once in the singular.

    Example:
        >>> in_singular("1 steps in all, 11 epochs, 0.1 examples")
        '1 step in all, 11 epochs, 0.1 examples'
    """
    return _ONE.sub(r"1 \1", text)
