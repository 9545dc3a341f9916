"""Text in columns of a terminal, where a Chinese character is two columns wide."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_NEVER_FIRST = frozenset({"Po", "Pe", "Pf"})
"""Kinds of characters that may not begin a line: stops, commas, closing brackets."""

_NEVER_LAST = frozenset({"Ps", "Pi"})
"""Kinds that may not end one: opening brackets and quotation marks."""


def width_of(text: str) -> int:
    """Return how many columns a text takes.

    Example:
        >>> width_of("lr"), width_of("学习率")
        (2, 6)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def padded(text: str, width: int) -> str:
    """Return a text with spaces behind it, to so many columns."""
    return text + " " * (width - width_of(text))


def cut(text: str, width: int) -> str:
    """Return as much of the beginning of a text as so many columns hold.

    Example:
        >>> cut("学习率", 5)
        '学习'
    """
    while width_of(text) > width:
        text = text[: max(0, len(text) - max(1, (width_of(text) - width) // 2))]
    return text


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
        elif unicodedata.category(character) in _NEVER_FIRST or (
            word and unicodedata.category(word[-1]) in _NEVER_LAST
        ):
            word += character
        elif word and (wide or unicodedata.east_asian_width(word[-1]) in "WF"):
            yield space, word
            space, word = "", character
        else:
            word += character
    if word:
        yield space, word
