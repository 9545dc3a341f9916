"""Text on a terminal, where a Chinese character is two columns wide: wrapping and tables.

What lives here: widths. What does not: any words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

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

    Args:
        text: The text; its spaces may become line breaks, and so may the gaps between Chinese characters.
        width: Columns.
        indent: Before the first line.
        hanging: Before each other line; as `indent` if None.

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


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0) -> list[str]:
    """Return a table's lines, columns aligned to the right but for the first `left`.

    Example:
        >>> table(["name", "lr"], [["学习率", "0.1"]], left=1)
        ['name     lr', '学习率  0.1']
    """
    lines = [list(headers), *(list(row) for row in rows)]
    widths = [max(map(width_of, column)) for column in zip(*lines, strict=True)]

    def cell(index: int, text: str) -> str:
        fill = " " * (widths[index] - width_of(text))
        return text + fill if index < left else fill + text

    return ["  ".join(cell(i, text) for i, text in enumerate(line)).rstrip() for line in lines]


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
