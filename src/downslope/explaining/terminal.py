"""An explanation as text for a terminal, where a Chinese character is two columns wide."""

from __future__ import annotations

from collections.abc import Sequence

from downslope.core.columns import width_of, wrap
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
