"""Numbers as people write them: 5e-4, 5·10⁻⁴, $5e^{-4}$, 0.05 %, 60k, 10,000, 2^20, 1/10, "one tenth", 万分之五."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_DIGITS = (
    r"(?:(?<![\[{])[1-9](?:,\d{3})+(?!\d|,[\d\s]*\d)"  # 1,024, but not [8,256] or [60,120,160]: see below
    r"|\d{1,3}(?:, ?\d{3})*, ?000(?!\d)"  # 45, 000 too, as PDFs have it
    r"|\d{1,3}(?:,\d{3})+(?!\d)(?=\s?(?:iteration|step|update|image|example|sample|张|步|次|个样))"
    r"|\d{1,3}(?:\u00a0\d{3})+(?!\d)|\d{1,3}(?: \d{3})* 000(?!\d)|\d{1,3}(?:_\d{3})+(?![\d_])"
    r"|(?<![\d.,(\[{])0,\d{1,6}(?![\d.]|,\d)"  # 0,9 as it is written in Europe
    r"|(?<![\d.])0 \. \d(?: \d(?!\d))*(?!\d)|(?<![\d.])0 \. \d+"  # spaced out in a formula: 0 . 9
    r"|(?<![\d.])0\. (?:0\d{1,6}|9\d{0,5}|5)(?![\d.]\d)"
    r"|\d+\.\d+|\d+\.(?=e[-+]?\d)|\d+|\.\d+)"
)
_DOTTED = re.compile(r"\d{1,3}(?:\.\d{3})*\.000(?= (?:[a-z]+ )?(?:iteration|step|update|batches|example|image))")
"""Thousands as they are written in Europe: 300.000 updates."""

_MANTISSA = re.compile(rf"(?P<sign>(?<![\w)])[-+])?(?P<digits>{_DIGITS})")
_POWER = r"(?:\{\s?([+-]?[^\S\n]?\d+)\s?\}?|\(\s?([+-]?[^\S\n]?\d+)\s?\)|([+-]?[^\S\n]?\d+))"
_RAISED = re.compile(rf"\s?(?:\^|\*\*)[^\S\n]?{_POWER}")
_TEN = re.compile(r"(?:\{ ?)?1 ?0(?: ?\})?(?=\s?(?:\^|\*\*)|\s?-\s?\d)")
_TEN_IN_HAN = re.compile(r"10\s?的\s?(负|-)?\s?([\d一二三四五六七八九])\s?次[方幂]")
_LOST = re.compile(r"10\s?-(\d)(?![\d%]|\.\d)(?!\s?[a-z]*\s?(?:epoch|轮|个))")
_LOST_AFTER = re.compile(r"10\s?([+-][^\S\n]?\d+)")
_TIMES = re.compile(r"\s{0,2}[*x]\s{0,2}|(?<=\d)\s|\s?乘以?\s?")
_EXPONENT = re.compile(
    rf"(?:e([+-]?\d+)|\s?e\s?(?:\^\s?)?(?:(?=[-(]|\{{\s?-){_POWER}|-\s?\{{?\s?(\d+)\}}?))(?![^\W\u4e00-\u9fff]|\.\d)"
)
_BREAK = r"[+-]?(?:\s*\n\s*\^?[+-]?\d{1,3}(?![\d.]))?"
_CUT = re.compile(
    rf"\s?\^{_BREAK}|\*\*\s?[-+(\d]|\s?[*x]\s?10(?:\s?\^{_BREAK}|\s?[-({{]|\s\d)|\s?[*x]\s?(?:10\s?)?e\s?\^?[-{{]"
    r"|\s?e\s?\^?[-{]|\se\d|e(?![a-z])|[*x]10e|_[-{\d]|\s?[*x]\s?10\s?[_<\\{]"
    r"|\s?[*]\s{0,3}\{?\s?[il]\s?\}?\s?0\s?\^|\s?\.\s?\{"
    r"|\s?(?:\\[a-z]{2,8}\s?)?\{+\s?(?:\\[a-z]{2,8}\s?)?(?:e\s?[-^} ]|-)| \. ?\d"
)
"""What is left of a power after its number, where it is no power that can be read, or a line break took it apart."""

_HEAD = re.compile(r"(?:(?<![a-z\d])e\s?[-^]|\^|\d\s?\*\*)[\s({+-]*$")
"""What is left of a power before a number."""

_BIG = re.compile(
    r"(k|m|w)(?![a-z])|\s?(万|千|百|亿)(?!克|(?!iter|step|epoch|batch|update)[a-z])|\s(k)(?![\w-])"
    r"|\s?(thousand|million)(?![a-z])"
    r"|\s(m)(?= (?:[a-z]+ ){0,2}(?:iteration|step|update))"
)
_INDEX = re.compile(r"\d\s?\}?\s?(?:[=:]|is |为)")
_NOUGHT = re.compile(r"0(?![\d.])")
_FRACTION = re.compile(r"\s?/\s?(\d{1,6})(?![\d./a-z]|\s/\s?\d)")
_TAIL = re.compile(
    r"\s?(?P<percent>%|percent(?![a-z])|per cent(?![a-z]))|\s?(?P<mille>‰)|-?(?P<ordinal>st|nd|rd|th)(?![a-z])"
    r"|(?P<times>x(?![\da-z])|\s?倍)"
)
_SUFFIX = {"k": 3, "m": 6, "w": 4, "万": 4, "千": 3, "百": 2, "亿": 8, "thousand": 3, "million": 6}

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

_UP_TO_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_WORDS = {word: value for value, word in enumerate(_UP_TO_TWENTY.split())} | _TENS
_WORDS |= {"single": 1, "twice": 2, "hundred": 100, "thousand": 1000}
_ORDINAL_WORDS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10, "hundredth": 100, "thousandth": 1000}
_NTH = {
    word: value
    for value, word in enumerate(
        ["third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"], start=3
    )
} | {"twentieth": 20, "thirtieth": 30, "fortieth": 40, "fiftieth": 50, "sixtieth": 60, "hundredth": 100}
_SPELLED = re.compile(r"[a-z]+")
_MORE_WORDS = re.compile(r"[\s-](and )?([a-z]+)(?![a-z])")
_OVER = re.compile(r"[\s-]([a-z]+?)s?(?![a-z])")
_PERCENT = re.compile(r"\s(?:percent|per cent)(?![a-z])")


@dataclass(frozen=True)
class Number:
    """A number in the text.

    Attributes:
        value: Its value; a percentage is its fraction; infinite where the number cannot be used.
        start: Place of its first character in the normalised text.
        end: Place after its last.
        percent: Whether it is written in per cent.
        ordinal: Whether it is an ordinal (30th).
        spelled: Whether it is written in words, which may not mean a number at all ("one").
        fraction: Whether it is written as a fraction (1/10, one tenth, 十分之一).
        times: Whether "x" or 倍 follows, or "x" stands before it.
        odd: Name of the remark on how it is written, where that is not literally its value, or "".
    """

    value: float | int
    start: int
    end: int
    percent: bool = False
    ordinal: bool = False
    spelled: bool = False
    fraction: bool = False
    times: bool = False
    odd: str = ""


def number_at(plain: str, start: int, *, glued: bool = False) -> Number | None:
    """Return the number that begins at a place, or None; one behind a letter is a part of a name, if it is not `glued`.

    Example:
        >>> [number_at(text, 0).value for text in ("5*10^-4", "0.05%", "60k", "10,000", "万分之五", "1/10", "1 e")]
        [0.0005, 0.0005, 60000, 10000, 0.0005, 0.1, 1]
    """
    if plain[start] in _HAN or (plain[start].isdigit() and "分之" in plain[start : start + 8]):
        return _han_number(plain, start)
    match = _MANTISSA.match(plain, start)
    if match is None:
        return _spelled(plain, start)
    factor = False
    if start and not glued and not match.group("sign") and _within_name(plain, start):
        product = plain[start - 1] == "x" and start > 1 and plain[start - 2].isdigit()  # "4x8"
        factor = plain[start - 1] == "x" and not (start > 1 and plain[start - 2].isalnum())  # "x10", but not "x1"
        if not product and (not factor or match.group("digits") in {"0", "1"}):
            return None
    value, end, odd = _exact(plain, match)
    cut = _CUT.match(plain, end)
    if cut or _HEAD.search(plain, max(0, start - 8), start):
        return Number(math.inf, start, cut.end() if cut else end)
    fraction = False
    if value.denominator == 1 and 0 < value <= 10 and (over := _FRACTION.match(plain, end)) and int(over.group(1)):
        value, end, fraction = value / int(over.group(1)), over.end(), True
    flags = {"percent": False, "ordinal": False, "times": False}
    tail = _TAIL.match(plain, end)
    mille = tail is not None and bool(tail.group("mille"))
    if tail:
        flags = {name: bool(tail.group(name)) for name in flags}
        end = tail.end()
    if flags["percent"] or mille:
        value /= 1000 if mille else 100
    flags["times"] = flags["times"] or factor
    whole = not (flags["percent"] or mille or fraction)
    return Number(_plain(value, whole=whole), start, end, fraction=fraction, odd=odd, **flags)


def _within_name(plain: str, start: int) -> bool:
    """Whether digits belong to the name before them: v100, η0, x_1."""
    before = plain[start - 1]
    if before == "_" and start > 1:
        if plain[start - 2] in "})" or _INDEX.match(plain, start) or _NOUGHT.match(plain, start):  # lr}_0, lr_0 = 0.1
            return True
        return plain[start - 2].isalpha() and not (
            start > 2 and plain[start - 3].isalpha() and plain[start - 2] < "\u0080"
        )
    return (before.isalpha() and before < "\u0400") or (before.isdigit() and start > 1)


def numbers_of(plain: str) -> Iterator[Number]:
    """Yield the numbers of a text that are written in digits."""
    place = 0
    while match := _MANTISSA.search(plain, place):
        number = number_at(plain, match.start())
        if number is not None:
            yield number
        place = max(match.end(), number.end if number is not None else 0)


def unusable_numbers(plain: str) -> list[tuple[int, int]]:
    """Return the places of the numbers that are too large, too small or too broken to be used."""
    return [(number.start, number.end) for number in numbers_of(plain) if math.isinf(number.value)]


def _exact(plain: str, match: re.Match[str]) -> tuple[Fraction, int, str]:
    """Return the value of a mantissa with its power or suffix, the place after them, and what is odd about them."""
    first = match.start("digits")
    negative = match.group("sign") == "-"
    if (ten := _power_of_ten(plain, first)) is not None:
        value, end, odd = ten
        return -value if negative else value, end, odd
    digits, end, odd = match.group("digits"), match.end(), ""
    if digits.startswith("0,"):
        digits, odd = digits.replace(",", "."), "decimal_comma"
    digits = re.sub(r"[,\s_\u00a0]" if not _DOTTED.match(plain, first) else r"\.", "", digits).rstrip(".")
    if len(digits) > 400:
        return _UNUSABLE, end, ""
    value = Fraction(digits if digits[0] != "." else "0" + digits)
    times = _TIMES.match(plain, end)
    if times and plain.startswith(("e^", "e ^"), times.end()) and (power := _EXPONENT.match(plain, times.end())):
        value, end = value * Fraction(10) ** _bounded(("-" if power.group(5) else "") + _of(power)), power.end()
    elif times and (ten := _power_of_ten(plain, times.end(), after=True)) is not None:
        value, end = value * ten[0], ten[1]
    elif power := _EXPONENT.match(plain, end):
        sign = "-" if power.group(5) else ""
        value, end = value * Fraction(10) ** _bounded(sign + _of(power)), power.end()
    elif raised := _RAISED.match(plain, end):
        power = _bounded(_of(raised))
        if digits == "2" and abs(power) < 60:
            value, end = value**power, raised.end()
        elif power < 0:
            value, end, odd = value * Fraction(10) ** power, raised.end(), "lost_ten"
        else:
            value, end = _UNUSABLE, raised.end()
    elif big := _BIG.match(plain, end):
        value, end = value * 10 ** _SUFFIX[next(part for part in big.groups() if part)], big.end()
    return -value if negative else value, end, odd


def _of(match: re.Match[str]) -> str:
    return next(part for part in match.groups() if part is not None)


def _power_of_ten(plain: str, place: int, *, after: bool = False) -> tuple[Fraction, int, str] | None:
    """Return the value of 10^-4, 10⁻⁴, 10的负四次方 or a bare 10-4 at a place; `after` a mantissa, "10 - 4" too."""
    if told := _TEN_IN_HAN.match(plain, place):
        power = _HAN_DIGITS.get(told.group(2)) or int(told.group(2))
        return Fraction(10) ** (-power if told.group(1) else power), told.end(), ""
    if not (ten := _TEN.match(plain, place)):
        return None
    if raised := _RAISED.match(plain, ten.end()):
        return Fraction(10) ** _bounded(_of(raised)), raised.end(), ""
    lost = _LOST_AFTER.match(plain, place) if after else _LOST.match(plain, place)
    if lost is None:
        return None
    power = _bounded(lost.group(1)) if after else -int(lost.group(1))
    return Fraction(10) ** power, lost.end(), "" if after else "lost_raised"


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
    if word not in _WORDS:
        return None
    value, end = _in_words(plain, _WORDS[word], end)
    over = _OVER.match(plain, end)
    if over and over.group(1) in _ORDINAL_WORDS and value < _ORDINAL_WORDS[over.group(1)]:
        part = _plain(Fraction(value, _ORDINAL_WORDS[over.group(1)]), whole=False)
        return Number(part, start, over.end(), spelled=True, fraction=True)
    if percent := _PERCENT.match(plain, end):
        return Number(value / 100, start, percent.end(), spelled=True, percent=True)
    return Number(value, start, end, spelled=True)


def _in_words(plain: str, value: int, end: int) -> tuple[int, int]:
    """Return the value of "two hundred", "thirty-five" or "sixty thousand" from its first word on, and its end."""
    for _ in range(3):
        more = _MORE_WORDS.match(plain, end)
        more_is = _WORDS.get(more.group(2), 0) if more and more.group(2) not in {"single", "twice"} else 0
        if more is None or (more.group(1) and value % 100):
            break
        if more_is >= 100 and value < more_is and not more.group(1):
            value, end = value * more_is, more.end()
        elif (value % 100 == 0 and 0 < more_is < 100) or (value % 100 in _TENS.values() and 0 < more_is < 10):
            value, end = value + more_is, more.end()
        else:
            break
    return value, end


def _han_number(plain: str, start: int) -> Number | None:
    if match := _HAN_FRACTION.match(plain, start):
        below = _han_value(match.group(1))
        if below:
            value = _plain(_han_value(match.group(2)) / below, whole=False)
            hundred = below == 100
            return Number(value, start, match.end(), percent=hundred, fraction=not hundred)
    if plain.startswith("一半", start):
        return Number(0.5, start, start + 2, spelled=True, fraction=True)
    if plain[start] not in _HAN:
        return None
    match = _HAN_NUMBER.match(plain, start)
    assert match is not None  # noqa: S101 - its first character is one of them
    end = match.end()
    times = plain.startswith("倍", end)
    return Number(_plain(_han_value(match.group()), whole=True), start, end + times, spelled=True, times=times)


def _han_value(text: str) -> Fraction:
    if text[0].isdigit() or text[0] == ".":
        return Fraction(re.sub(r"[,\s_\u00a0]", "", text)[:400].rstrip(".") or "0")
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
