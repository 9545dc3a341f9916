"""Numbers as people write them: 5e-4, 5·10⁻⁴, 0.05 %, 60k, 10,000, 1/10, "one tenth", 万分之五, 6万."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

_DIGITS = (
    r"(?:\d(?:,\d{3})+(?![\d,])"  # 1,024, but not [60,120,160]: see below
    r"|\d{1,3}(?:,\d{3})*,000(?!\d)"
    r"|\d{1,3}(?:,\d{3})+(?!\d)(?=\s?(?:iteration|step|update|image|example|sample|张|步|次|个样))"
    r"|\d{1,3}(?:\u00a0\d{3})+(?!\d)|\d{1,3}(?: \d{3})* 000(?!\d)"
    r"|\d+\.\d+|\d+|\.\d+)"
)
_BROKEN = r"[+-]?(?:\s*\n\s*\^?[+-]?\d{1,3}(?![\d.]))?"  # of a power that a line break took apart
_POWER = (
    r"(?:\s?[*x]\s?|(?<=\d)\s)10(?:\s?(?:\^\s?\{?\s?|\*\*\s?|(?=-))(?P<power>[+-]?[^\S\n]?\d+)\}?"
    rf"|\^(?P<cut>{_BROKEN}))"
)
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\w)])[-+])?(?:"
    rf"10\s?(?:\^\s?\{{?\s?|\*\*\s?)(?P<ten>[+-]?[^\S\n]?\d+)\}}?"
    rf"|10\^(?P<end>{_BROKEN})"
    rf"|10-(?P<lost>\d)(?![\d.%])(?!\s?[a-z]*\s?(?:epoch|轮))"
    rf"|(?P<digits>{_DIGITS})(?:{_POWER}|e(?P<exponent>[+-]?\d+)(?![^\W\u4e00-\u9fff]|\.\d)|(?P<suffix>k|m|万|千|百|亿)(?![a-z])|"
    rf"\s?(?P<big>thousand|million)(?![a-z]))?"
    rf")"
)
_FRACTION = re.compile(r"\s?/\s?(\d{1,6})(?![\d./a-z])")
_TAIL = re.compile(
    r"\s?(?P<percent>%|percent(?![a-z])|per cent(?![a-z]))|-?(?P<ordinal>st|nd|rd|th)(?![a-z])"
    r"|(?P<times>x(?![\da-z])|\s?倍)"
)
_SUFFIX = {"k": 3, "m": 6, "万": 4, "千": 3, "百": 2, "亿": 8, "thousand": 3, "million": 6}

_LARGEST = 10**18
"""Nothing in a recipe is larger; what is, is taken as infinite and never used."""

_SMALLEST = Fraction(1, 10**300)
"""Nothing but 0 is smaller, and floats hardly are; what is, is taken as infinite too, and never used."""

_UNUSABLE = Fraction(10**400)
"""What stands for a number that is cut off, or has more digits than any real one."""

_HAN_DIGITS = {**{digit: value for value, digit in enumerate("零一二三四五六七八九")}, "〇": 0, "两": 2}
_HAN_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10000}
_HAN = "零〇一二两三四五六七八九十百千万"
_HAN_FRACTION = re.compile(rf"([{_HAN}]+|\d+)分之([{_HAN}]+(?:点[{_HAN}]+)?|{_DIGITS})")
_HAN_NUMBER = re.compile(rf"[{_HAN}]+(?:点[{_HAN}]+)?")

_WORDS = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
} | {
    "single": 1,
    "twice": 2,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "eighty": 80,
    "ninety": 90,
    "hundred": 100,
    "thousand": 1000,
}
_ORDINAL_WORDS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10, "hundredth": 100, "thousandth": 1000}
_NTH = {
    word: value
    for value, word in enumerate(
        ["third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"], start=3
    )
} | {"twentieth": 20, "thirtieth": 30, "fortieth": 40, "fiftieth": 50, "sixtieth": 60, "hundredth": 100}
_SPELLED = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class Number:
    """A number in the text.

    Attributes:
        value: Its value; a percentage is its fraction.
        start: Place of its first character in the normalised text.
        end: Place after its last.
        percent: Whether it is written in per cent.
        ordinal: Whether it is an ordinal (30th).
        spelled: Whether it is written in words, which may not mean a number at all ("one").
        fraction: Whether it is written as a fraction (1/10, one tenth, 十分之一).
        times: Whether "x" or 倍 follows.
    """

    value: float | int
    start: int
    end: int
    percent: bool = False
    ordinal: bool = False
    spelled: bool = False
    fraction: bool = False
    times: bool = False


def number_at(plain: str, start: int) -> Number | None:
    """Return the number that begins at a place, or None.

    Example:
        >>> [number_at(text, 0).value for text in ("5*10^-4", "0.05%", "60k", "10,000", "万分之五", "1/10", "1 e")]
        [0.0005, 0.0005, 60000, 10000, 0.0005, 0.1, 1]
    """
    if plain[start] in _HAN or (plain[start].isdigit() and "分之" in plain[start : start + 8]):
        return _han_number(plain, start)
    match = _NUMBER.match(plain, start)
    if match is None:
        return _spelled(plain, start)
    if start and (plain[start - 1].isalpha() and plain[start - 1] < "\u0080") and not match.group("sign"):
        return None
    value, end = _exact(match), match.end()
    fraction = False
    if value.denominator == 1 and value <= 10 and (over := _FRACTION.match(plain, end)) and int(over.group(1)):
        value, end, fraction = value / int(over.group(1)), over.end(), True
    flags = {"percent": False, "ordinal": False, "times": False}
    tail = _TAIL.match(plain, end)
    if tail:
        flags = {name: bool(tail.group(name)) for name in flags}
        end = tail.end()
    if flags["percent"]:
        value /= 100
    return Number(_plain(value, whole=not (flags["percent"] or fraction)), start, end, fraction=fraction, **flags)


def unusable_numbers(plain: str) -> list[tuple[int, int]]:
    """Return the places of the numbers that are too large, too small or too broken to be used."""
    found: list[tuple[int, int]] = []
    for match in _NUMBER.finditer(plain):
        number = number_at(plain, match.start())
        if number is not None and math.isinf(number.value):
            found.append((number.start, number.end))
    return found


def _exact(match: re.Match[str]) -> Fraction:
    if match.group("end") is not None or match.group("cut") is not None:
        return _UNUSABLE
    if match.group("ten"):
        value = Fraction(10) ** _bounded(match.group("ten"))
    elif match.group("lost"):
        value = Fraction(10) ** -int(match.group("lost"))
    else:
        digits = re.sub(r"[,\s\u00a0]", "", match.group("digits")).rstrip(".")
        if len(digits) > 400:
            return _UNUSABLE
        value = Fraction(digits if digits[0] != "." else "0" + digits)
        if match.group("power") or match.group("exponent"):
            value *= Fraction(10) ** _bounded(match.group("power") or match.group("exponent"))
        elif suffix := match.group("suffix") or match.group("big"):
            value *= 10 ** _SUFFIX[suffix]
    return -value if match.group("sign") == "-" else value


def _bounded(power: str) -> int:
    sign, digits = power[0] == "-", re.sub(r"\D", "", power).lstrip("0")
    size = 400 if len(digits) > 3 else min(400, int(digits or 0))
    return -size if sign else size


def _plain(value: Fraction, *, whole: bool) -> float | int:
    if abs(value) > _LARGEST or 0 < abs(value) < _SMALLEST:
        return math.inf if value > 0 else -math.inf
    return int(value) if value.denominator == 1 and whole else float(value)


def _spelled(plain: str, start: int) -> Number | None:
    if start and plain[start - 1].isalpha():
        return None
    match = _SPELLED.match(plain, start)
    if match is None:
        return None
    word, end = match.group(), match.end()
    if word in {"half", "halves"}:
        return Number(0.5, start, end, spelled=True, fraction=True)
    if word in _NTH:
        return Number(_NTH[word], start, end, spelled=True, ordinal=True)
    if word in _WORDS:
        over = re.compile(r"[\s-]([a-z]+?)s?(?![a-z])").match(plain, end)
        if over and over.group(1) in _ORDINAL_WORDS and _WORDS[word] < _ORDINAL_WORDS[over.group(1)]:
            value = _plain(Fraction(_WORDS[word], _ORDINAL_WORDS[over.group(1)]), whole=False)
            return Number(value, start, over.end(), spelled=True, fraction=True)
        percent = re.compile(r"\s(?:percent|per cent)(?![a-z])").match(plain, end)
        if percent:
            return Number(_WORDS[word] / 100, start, percent.end(), spelled=True, percent=True)
        return Number(_WORDS[word], start, end, spelled=True)
    return None


def _han_number(plain: str, start: int) -> Number | None:
    if match := _HAN_FRACTION.match(plain, start):
        below = _han_value(match.group(1))
        if below:
            value = _plain(_han_value(match.group(2)) / below, whole=False)
            hundred = below == 100
            return Number(value, start, match.end(), percent=hundred, fraction=not hundred)
    if plain[start] not in _HAN:
        return None
    match = _HAN_NUMBER.match(plain, start)
    assert match is not None  # noqa: S101 - its first character is one of them
    end = match.end()
    times = plain.startswith("倍", end)
    return Number(_plain(_han_value(match.group()), whole=True), start, end + times, spelled=True, times=times)


def _han_value(text: str) -> Fraction:
    if text[0].isdigit() or text[0] == ".":
        return Fraction(re.sub(r"[,\s\u00a0]", "", text)[:400].rstrip(".") or "0")
    whole, _, decimals = text.partition("点")
    total, section, digit = 0, 0, 0
    for character in whole[:12]:
        if character in _HAN_DIGITS:
            digit = _HAN_DIGITS[character]
        elif character == "万":
            total, section, digit = (total + section + digit or 1) * 10000, 0, 0
        else:
            section, digit = section + (digit or 1) * _HAN_UNITS[character], 0
    value = Fraction(total + section + digit)
    for place, character in enumerate(decimals[:12], start=1):
        value += Fraction(_HAN_DIGITS.get(character, 0), 10**place)
    return value
