"""An explanation as text for a terminal, where a Chinese character is two columns wide."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from downslope.explaining.document import Table
from downslope.explaining.explanation import Explanation
from downslope.explaining.language import words_of
from downslope.explaining.sections import write_document


def describe(explanation: Explanation, lang: str = "en", *, width: int = 100) -> str:
    """Return an explanation as text in English ("en") or Chinese ("zh"), its sentences in `width` columns.

    Raises:
        SettingsError: If there is no such language.

    Example:
        >>> from downslope import Settings, explain
        >>> print(describe(explain(Settings(lr=0.5))).splitlines()[0])
        These settings
    """
    words, document = words_of(lang), write_document(explanation, lang)
    lines = wrap(document.title, width)
    lines.append("=" * min(width, max(map(width_of, lines))))
    if document.run:
        lines += wrap(document.run, width)
    for section in document.sections:
        lines += ["", section.title, "-" * width_of(section.title)]
        for part in section.parts:
            if isinstance(part, Table):
                lines += [f"  {line}" for line in lay_out_table(part)]
            else:
                lines += wrap(part.text + (f"{words.say('space')}[{part.note}]" if part.note else ""), width, "  ")
    title = words.say("section.formulas")
    lines += ["", title, "-" * width_of(title)]
    for number, note in enumerate(document.notes, start=1):
        lines += wrap(note.equation, width, f"  [{number}]".ljust(7), " " * 9)
        lines += wrap(words.say("holds", valid=note.valid), width, " " * 7, " " * 9)
        lines += wrap(words.say("from", source=note.source), width, " " * 7, " " * 9)
    return "\n".join(lines)


def lay_out_table(part: Table) -> list[str]:
    """Return a table's lines, a marked row with a sign before it."""
    if part.name == "rule":
        widest = max(len(row[0]) for row in part.rows)
        return [f"  {left.rjust(widest)} = {right}" for left, right in part.rows]
    mark = [("> " if index == part.marked else "  ") for index in range(len(part.rows))]
    marked = part.marked is not None
    rows = [((mark[i] if marked else "") + row[0], *row[1:]) for i, row in enumerate(part.rows)]
    headers = (("  " if marked else "") + part.headers[0], *part.headers[1:])
    if not part.last_left:
        return table(headers, rows, part.left)
    lines = table(headers[:-1], [row[:-1] for row in rows], part.left)
    return [
        f"{line}  {last}".rstrip() for line, last in zip(lines, (headers[-1], *(row[-1] for row in rows)), strict=True)
    ]


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
