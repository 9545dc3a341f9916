"""What a written cell is as a number, and what it would take to make one of a cell that is none.

There are two functions for the two questions: `NumberForm.read` answers the first for every cell of every table, and
`describe_cell` the second for those that were refused, so that a message can name the option that would read them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

MISSING_NUMBERS = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""How a missing number is written, in small letters; among words only an empty cell is missing: NA may be a country."""

_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_SPACES = " \u00a0\u2009\u202f"
"""A space as a person types it, and those that cannot be broken or are thin, as programs write them in numbers."""

_MARKS = frozenset(
    word
    for line in (
        "? ?? - -- --- . .. * x # n.a. n.a na. n/d nd nil unknown missing undefined #n/a #na #div/0! #value! #ref!",
        "#num! #null! #name? <na> nat -nan +nan -nan(ind) 1.#qnan 1.#ind \u2013 \u2014",
    )
    for word in line.split()
)
"""What stands for a missing number elsewhere, in small letters: taken for one only if the options say so."""

_WORDS = frozenset({"x", "*", "#", "nd"})
"""Which of these are as often words of their own: a crossed box, a note."""

_DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d{1,2}:\d{2}.*)?|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
    r"|\d{1,2}[- .]?[A-Za-z]{3,9}\.?[- .]\d{2,4}|[A-Za-z]{3,9}\.? \d{1,2},? \d{4}"
)
_BEFORE = re.compile(r"[+-]?\s*([A-Z]{0,3}[^\w\s]|[A-Z]{3}(?=\s))\s*[+-]?[0-9.].*", re.DOTALL)
_AFTER = re.compile(r".*[0-9.]\s*([^\W\d_]{1,4}[²³]?|[^\w\s][^\W\d_]{0,2})", re.DOTALL)
_SIGNS = "%‰°"
"""What may be a unit besides currencies and words: `<5` and `~5` say something about the number itself."""

Kind = Literal["missing", "date", "infinite", "word"]


@dataclass(frozen=True, kw_only=True)
class NumberForm:
    """How numbers are written.

    Attributes:
        decimal: What separates whole numbers from their fractions.
        thousands: What separates groups of digits; None where nothing does.
        units: Signs that may stand before or after a number, which is read as it is written: 5 % is 5.
        missing_marks: What stands for a missing number, besides `MISSING_NUMBERS`.
    """

    decimal: str = "."
    thousands: str | None = None
    units: tuple[str, ...] = ()
    missing_marks: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as programs write them."""
        return self.decimal == "." and self.thousands is None and not self.units

    def read(self, cell: str) -> float:
        """Return the number that a cell is, NaN where it stands for a missing one.

        Digits, points and signs of other alphabets are read as what they are.

        Raises:
            ValueError: If it is none, or not finite; the message continues a sentence that begins with the cell.

        Example:
            >>> NumberForm().read(" -1.5e3 "), NumberForm().read("NA")
            (-1500.0, nan)
            >>> NumberForm(thousands=".", decimal=",", units=("€",)).read("1.000,5 €")
            1000.5
        """
        text = cell.strip()
        if text.lower() in MISSING_NUMBERS or text in self._marks:
            return math.nan
        if self.units:
            text = self.split_unit(text)[1]
        if not text.isascii():
            text = "".join(map(_ascii, text))
        if self.thousands is not None:
            text = self._without_groups(text)
        if self.decimal != ".":
            if "." in text:
                raise ValueError("has a point, where numbers are written with a decimal comma")
            text = text.replace(self.decimal, ".")
        if _PLAIN.fullmatch(text) is None:  # Python would read 1_000 as well, which is nobody's data
            raise ValueError("is not finite" if _INFINITE.fullmatch(text) else "is not a number")
        number = float(text)
        if math.isinf(number):
            raise ValueError("is not finite")
        return number

    def split_unit(self, text: str) -> tuple[str, str]:
        """Return the unit that a cell has, or "", and the cell without it."""
        text = text.strip()
        sign, body = (text[0], text[1:].lstrip()) if text[:1] in {"-", "+", "\u2212"} else ("", text)
        for unit in self.units:
            if body.startswith(unit):
                return unit, sign + body[len(unit) :].lstrip()
            if body.endswith(unit):
                return unit, sign + body[: -len(unit)].rstrip()
        return "", text

    @cached_property
    def _marks(self) -> frozenset[str]:
        return frozenset(self.missing_marks)

    @cached_property
    def _groups(self) -> re.Pattern[str]:
        sign = f"[{_SPACES}]" if self.thousands == " " else re.escape(self.thousands or "")
        return re.compile(rf"([+-]?[0-9]{{1,3}}(?:{sign}[0-9]{{2,3}})*{sign}[0-9]{{3}})(?![0-9])(.*)", re.DOTALL)

    def _without_groups(self, text: str) -> str:
        signs = _SPACES if self.thousands == " " else self.thousands or ""
        if not any(sign in text for sign in signs):
            return text
        found = self._groups.fullmatch(text)
        if found is None or any(sign in found[2] for sign in signs):
            raise ValueError(f"is not a number in groups of three digits with {self.thousands!r} between them")
        return "".join(digit for digit in found[1] if digit not in signs) + found[2]


FORMS = (
    NumberForm(thousands=","),
    NumberForm(decimal=","),
    NumberForm(decimal=",", thousands="."),
    NumberForm(thousands=" "),
    NumberForm(decimal=",", thousands=" "),
    NumberForm(thousands="'"),
)
"""How numbers are written in the world, the most frequent first."""


def may_be_missing(word: str) -> bool:
    """Return whether a word often stands for a missing cell: "?", "-", "NA", "unknown"."""
    text = word.strip().lower()
    return text in MISSING_NUMBERS or text in _MARKS - _WORDS


@dataclass(frozen=True)
class Cell:
    """What it would take to make a number of a cell.

    Attributes:
        forms: Which of `FORMS` read it, with the unit that it has; plain where a unit is all there is.
        unit: That unit, or "".
        kind: What it is if nothing reads it.
    """

    forms: frozenset[NumberForm]
    unit: str
    kind: Kind


def describe_cell(cell: str) -> Cell:
    """Return what it would take to read a cell as a number.

    Example:
        >>> describe_cell("$1,000.5").unit, [form.thousands for form in describe_cell("$1,000.5").forms]
        ('$', [','])
        >>> describe_cell("?").kind, describe_cell("2024-01-31").kind, describe_cell("north").kind
        ('missing', 'date', 'word')
    """
    text = cell.strip()
    if text.lower() in MISSING_NUMBERS | _MARKS:
        return Cell(frozenset(), "", "missing")
    if _INFINITE.fullmatch(text):
        return Cell(frozenset(), "", "infinite")
    if _DATE.fullmatch(text) and not _reading((NumberForm(decimal=",", thousands="."),), text):
        return Cell(frozenset(), "", "date")
    plain = (NumberForm(), *FORMS)
    found = _reading(plain, text)
    if found:
        return Cell(found, "", "word")
    for unit in _units(text):
        found = _reading((replace(form, units=(unit,)) for form in plain), text)
        if found:
            return Cell(frozenset(replace(form, units=()) for form in found), unit, "word")
    return Cell(frozenset(), "", "word")


def _reading(forms: Iterable[NumberForm], text: str) -> frozenset[NumberForm]:
    return frozenset(form for form in forms if _reads(form, text))


def _reads(form: NumberForm, text: str) -> bool:
    try:
        return math.isfinite(form.read(text))
    except ValueError:
        return False


def _units(text: str) -> list[str]:
    found = [match[1] for match in (_BEFORE.fullmatch(text), _AFTER.fullmatch(text)) if match is not None]
    return [unit for unit in found if unit not in "²³" and all(_may_be_unit(sign) for sign in unit)]


def _may_be_unit(sign: str) -> bool:
    return sign.isalpha() or sign in _SIGNS or unicodedata.category(sign) == "Sc"


def _ascii(sign: str) -> str:
    """Return a digit of any alphabet, a full-width sign or a minus as ASCII has it, and anything else as it is."""
    if unicodedata.category(sign) == "Nd":
        return str(unicodedata.decimal(sign))
    if "\uff01" <= sign <= "\uff5e":
        return chr(ord(sign) - 0xFEE0)
    return "-" if sign == "\u2212" else sign
