"""The sentences of a language, out of its file (`english.toml`, `chinese.toml`), and numbers as people read them."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from downslope.core.errors import SettingsError, did_you_mean, one_of
from downslope.core.number_text import in_singular, number_text
from downslope.language import LANGUAGES


@dataclass(frozen=True)
class Words:
    """The sentences of one language.

    Attributes:
        text: Sentences by name.
        valid: Conditions by the name of their formula, where they are not the formula's own words.
        source: The same of sources.
        equation: The same of equations that have words in them.
        famous: Sources of the famous recipes, by their name.
        has_plurals: Whether what is counted has another form where it is one.
    """

    text: Mapping[str, str]
    valid: Mapping[str, str]
    source: Mapping[str, str]
    equation: Mapping[str, str]
    famous: Mapping[str, str]
    has_plurals: bool = False

    def say(self, name: str, /, **numbers: Any) -> str:
        """Return the sentence of that name with its numbers put in, floats as `short` writes them."""
        shown = {key: short(value) if isinstance(value, float) else value for key, value in numbers.items()}
        text = self.text[name].format(**shown)
        return in_singular(text) if self.has_plurals else text

    def join(self, texts: Iterable[str]) -> str:
        """Return texts with the language's comma between them."""
        return self.text["comma"].join(texts)

    def join_clauses(self, texts: Iterable[str]) -> str:
        """Return texts with the language's semicolon between them."""
        return self.text["semicolon"].join(texts)

    def has(self, name: str) -> bool:
        """Return whether there is a sentence of that name."""
        return name in self.text


@lru_cache
def words_of(lang: str) -> Words:
    """Return the sentences of a language, "en" or "zh".

    Raises:
        SettingsError: If it is another.
    """
    if lang not in LANGUAGES:
        raise SettingsError(f"`lang` must be {one_of(LANGUAGES)}; got {lang!r}.{did_you_mean(str(lang), LANGUAGES)}")
    name = next(name for code, name in LANGUAGES.items() if code == lang)
    file = resources.files("downslope.explaining").joinpath(f"{name}.toml")
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    return Words(
        text={name: text for name, text in table.items() if isinstance(text, str)},
        valid=table.get("valid", {}),
        source=table.get("source", {}),
        equation=table.get("equation", {}),
        famous=table.get("famous", {}),
        has_plurals=lang == "en",
    )


def short(value: float, digits: int = 4) -> str:
    """Return a number for people, rounded.

    Example:
        >>> short(0.30000000000000004), short(1234567.0), ord(short(float("inf")))
        ('0.3', '1234567', 8734)
    """
    if math.isinf(value):
        return "\N{INFINITY}" if value > 0 else "\N{MINUS SIGN}\N{INFINITY}"
    if 1e4 <= abs(value) < 1e9:
        return str(round(value))
    return number_text(value, digits)


def epochs_text(value: float) -> str:
    """Return a number of epochs for people.

    Example:
        >>> epochs_text(1.998), epochs_text(44.44), epochs_text(4444.4)
        ('2.0', '44.4', '4,444')
    """
    return f"{value:.1f}" if 0.95 <= value < 999.5 else whole(value)


def whole(value: float) -> str:
    """Return a number of steps or examples for people: whole from 10 on, with commas between thousands.

    Example:
        >>> whole(6.5788), whole(1999.9999999), whole(400_360.2)
        ('6.58', '2,000', '400,360')
    """
    if math.isinf(value) or abs(value) >= 1e15:
        return short(value, 3)
    return f"{round(value):,}" if value >= 9.995 else number_text(value, 3)
