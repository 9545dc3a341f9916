"""Text in columns of a terminal, where a Chinese character is two columns wide."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_NEVER_FIRST = frozenset({"Po", "Pe", "Pf"})
"""Kinds of characters that may not begin a line: stops, commas, closing brackets."""


def width_of(text: str) -> int:
    """Return how many columns a text takes.

    Example:
        >>> width_of("lr"), width_of("学习率")
        (2, 6)
    """
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def wrap(text: str, width: int, indent: str = "", hanging: str | None = None) -> list[str]:
    """Return a text in lines of at most `width` columns; a longer word stands alone.

    Lines may end at spaces and between Chinese characters. `indent` stands before the first line, `hanging` before each
    other one; as `indent` if None.

    Example:
        >>> wrap("one two three", 8, "- ", "  ")
        ['- one', '  two', '  three']
    """
    hanging = indent if hanging is None else hanging
    lines: list[str] = []
    line = indent
    begun = False
    for space, word in _words(text):
        joined = f"{line}{space if begun else ''}{word}"
        if begun and width_of(joined) > width:
            lines.append(line)
            line = hanging + word
        else:
            line = joined
        begun = True
    return [*lines, line]


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Yield (what stands before it, word): pieces between which a line may end."""
    space, word = "", ""
    for character in text:
        wide = unicodedata.east_asian_width(character) in "WF"
        if character == " ":
            if word:
                yield space, word
                space, word = "", ""
            space = " "
        elif unicodedata.category(character) in _NEVER_FIRST:
            word += character
        elif word and (wide or unicodedata.east_asian_width(word[-1]) in "WF"):
            yield space, word
            space, word = "", character
        else:
            word += character
    if word:
        yield space, word
