"""What every configuration comes down to: entries, each a path of keys and a value, with its place in the input."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from downslope.reading.arithmetic import folded, is_number

DEEPEST = 40
"""Levels of nesting that are followed; what stands deeper is no recipe."""

MOST = 200_000
"""Entries of one input that are looked at."""


@dataclass(frozen=True)
class Entry:
    """A key and its value.

    Attributes:
        path: The keys from the outermost to its own, as written; the places of a list's tables as "#0", "#1", ....
        value: A number, True or False, a word, None, or a list of these.
        start: Place of the first character of its key in the text; of the value where it has no key of its own.
        end: Place after the last of its value.
        derived: Whether it was worked out (by arithmetic, or from a variable's default), not written there as it is.
        others: Other values that the same place has: those of a loop.
    """

    path: tuple[str, ...]
    value: Any
    start: int
    end: int
    derived: bool = False
    others: tuple[Any, ...] = ()

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands."""
        return self.start, self.end

    def moved(self, by: int) -> Entry:
        """Return the entry as it stands in an input that its text begins at `by` of."""
        return replace(self, start=self.start + by, end=self.end + by)


_NUMBER = re.compile(r"[+-]?(?:\d[\d_]{0,30}(?:\.[\d_]{0,30})?|\.\d[\d_]{0,30})(?:[eE][+-]?\d{1,4})?(?:[fFlL])?")
_PRODUCT = re.compile(r"[\d.]{1,12}(?:e-?\d{1,2})? ?[*/] ?[\d.]{1,12}(?:e-?\d{1,2})?(?: ?[*/] ?[1-9]\d{0,5}){0,2}")
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_NOTHING = frozenset({"", "null", "none", "~", "nil"})


def scalar(word: str) -> Any:
    """Return what an unquoted word means: a number (1e-4 too, which YAML 1.1 calls a word), a truth, None or itself.

    Example:
        >>> [scalar(word) for word in ("1e-4", "1_000", ".1", "off", "none", "sgd")]
        [0.0001, 1000, 0.1, False, None, 'sgd']
    """
    word = word.strip()
    number = as_number(word)
    if number is None and _PRODUCT.fullmatch(word):
        number = folded(ast.parse(word, mode="eval").body)
    if number is not None:
        return number
    lower = word.lower()
    return _WORDS.get(lower, None if lower in _NOTHING else word)


@lru_cache(maxsize=1024)  # each value of a configuration or flag is asked for several times
def as_number(word: str) -> int | float | None:
    """Return the number that a whole word is, or None."""
    if not _NUMBER.fullmatch(word):
        return None
    digits = word.rstrip("fFlL").replace("_", "")
    value = float(digits)
    if abs(value) > 1e18 or (value != 0 and abs(value) < 1e-300):
        return None
    return int(digits) if digits.lstrip("+-").isdigit() else value


def listed(word: str) -> Any:
    """Return a word as a list of scalars where commas or blanks part numbers in it, else as a scalar.

    Example:
        >>> listed("30,60,90"), listed(".1 .1"), listed("a,b")
        ([30, 60, 90], [0.1, 0.1], 'a,b')
    """
    if (number := as_number(word.strip())) is not None:
        return number
    bare = word.strip().strip("[](){}").strip()
    parts = [part for part in re.split(r"[,;]\s*|\s+", bare[:4000]) if part]
    numbers = [as_number(part) for part in parts]
    if parts and all(number is not None for number in numbers) and (len(parts) > 1 or bare != word.strip()):
        return numbers
    return scalar(word)


def holds_number(value: Any) -> bool:
    """Whether a value is a number or has one in it."""
    if isinstance(value, list):
        return any(map(holds_number, value))
    return is_number(value) or (isinstance(value, str) and _STANDING.search(value[:4000]) is not None)


_STANDING = re.compile(r"(?<![\w./$-])[+-]?\.?\d[\d.e+-]*(?![\w/])")
"""A number that stands as a word; one in a name or a path says nothing."""


def squeezed(key: str) -> str:
    """Return a key as the tables have it: lower case, without what joins its words.

    Example:
        >>> [squeezed(key) for key in ("BASE_LR", "lr-step-size", "learningRate", "Learning rate")]
        ['baselr', 'lrstepsize', 'learningrate', 'learningrate']
    """
    return key.lower().translate(_JOINTS)


_JOINTS = dict.fromkeys(map(ord, "_- \"'+~$@!"))
_WORD = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+|[A-Z]")


def words_of(keys: Iterable[str]) -> set[str]:
    """Return the words that some keys are made of.

    Example:
        >>> sorted(words_of(["optimizer_D", "emaDecay"]))
        ['d', 'decay', 'ema', 'optimizer']
    """
    return {match.group().lower() for key in keys for match in _WORD.finditer(key)}
