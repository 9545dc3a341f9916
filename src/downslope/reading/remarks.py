"""The sentences that a reading is given with, out of the languages' files (`english.toml`, `chinese.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path

from downslope.core.files import read_text

_ENGLISH, _CHINESE = (
    tomllib.loads(read_text(Path(__file__).with_name(f"{language}.toml"))) for language in ("english", "chinese")
)


def _both(table: str) -> dict[str, tuple[str, str]]:
    """Return the names of a table, each with its words in English and Chinese."""
    return {name: (words, _CHINESE[table][name]) for name, words in _ENGLISH[table].items()}


SENTENCES, MARKS, WORDS, VERDICTS, PARTS = map(_both, ("sentences", "marks", "words", "verdicts", "parts"))
EXPLANATIONS: dict[str, str] = _CHINESE["explanations"]
"""Why a field is implied or assumed, in English -> in Chinese."""


def explain(words: str, language: str) -> str:
    """Return the reason of an implied or assumed field in a language.

    Example:
        >>> explain("it counts iterations", "zh")
        '按迭代计'
    """
    if language == "zh":
        for english, chinese in EXPLANATIONS.items():
            words = words.replace(english, chinese)
    return words


class Remarks(list[str]):
    """The sentences of one reading, each said once.

    Args:
        language: "en" or "zh".

    Attributes:
        said: The name of each sentence, and the values in it.
    """

    def __init__(self, language: str = "en") -> None:
        """Begin with none."""
        super().__init__()
        self.language = language
        self.said: list[tuple[str, dict[str, object]]] = []

    def say(self, what: str, **values: object) -> None:
        """Add a sentence, unless it has been said."""
        sentence = SENTENCES[what][self.language == "zh"].format(**values)
        if sentence not in self:
            self.append(sentence)
            self.said.append((what, values))

    def drop(self, names: Collection[str]) -> None:
        """Take back the sentences of these names."""
        kept = [(what, values) for what, values in self.said if what not in names]
        self.clear()
        self.said = []
        for what, values in kept:
            self.say(what, **values)

    def part(self, kind: str) -> str:
        """Return what a kind of part is called."""
        return PARTS[kind][self.language == "zh"]


def shown(value: float) -> str:
    """Return a number as people write it.

    Example:
        >>> [shown(value) for value in (0.1, 5e-4, 0.020000000000000018, 128)]
        ['0.1', '0.0005', '0.02', '128']
    """
    return f"{value:.6g}"
