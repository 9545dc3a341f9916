"""An explanation on one screen: every number in a line with its name, without formulas, sources and derivations.

A sentence's line is the language's `brief.NAME`: "what it is | number", which goes on the line before if that is of the
same, "+ more on the line before", or nothing. What has none stands as the whole sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from downslope.core.columns import width_of, wrap
from downslope.core.sparkline import BLOCKS, sparkline
from downslope.explaining.document import Section, Sentence, Table
from downslope.explaining.explanation import Explanation
from downslope.explaining.language import Words, words_of
from downslope.explaining.run_course import Course, evenly
from downslope.explaining.sections import write_document
from downslope.explaining.terminal import lay_out_table, table

_ROWS = 6
"""Up to how many rows a schedule's table is shown whole."""

_CURVE = (8, 20)
"""Blocks in the curve of what moves: at least, and at most."""

_LABEL = 27
"""The most columns of what a number is."""

_HEADED = ("groups", "remarks", "unknown", "notes")
"""Sections that are sentences throughout, under a heading."""

_LEFT_OUT = ("rule.", "schedule.swings")
"""Sentences by their beginnings that explain what is there, and say no number of this recipe."""

Line = tuple[str, str]
"""What a number is, "" for a whole sentence, and the number."""


def describe_briefly(explanation: Explanation, lang: str = "en", *, width: int = 100, blocks: str = BLOCKS) -> str:
    """Return an explanation as a screenful of text in English ("en") or Chinese ("zh"), in `width` columns.

    Args:
        explanation: The explanation.
        lang: The language.
        width: Columns; tables may be wider.
        blocks: What curves are drawn with, from the lowest to the highest.

    Raises:
        SettingsError: If there is no such language.

    Example:
        >>> from downslope import Settings, explain
        >>> [*filter(None, describe_briefly(explain(Settings(lr=0.5))).splitlines())][2].split(maxsplit=1)
        ['lr', 'constant, 0.5; effective learning rate 0.5']
    """
    words, document = words_of(lang), write_document(explanation, lang)
    lines = [*wrap(document.title, width), *(wrap(document.run, width) if document.run else []), ""]
    parts = {section.name: section for section in document.sections}
    lines += [*lay_out_table(_tables(parts["rule"])[0]), ""]
    found = [(section, list(_lines(section, words))) for section in document.sections if section.name not in _HEADED]
    widest = max((width_of(label) for _, rows in found for label, _ in rows), default=0)
    label = min(widest, _LABEL)
    for section, rows in found:
        lines += _tables_of(section, explanation, label, width, blocks)
        for name, text in rows:
            lines += wrap(text, width, *_indents(name, label))
        if section.name == "schedule" and _tables(section):
            lines.append("")
    for name in _HEADED:
        if name in parts:
            lines += ["", parts[name].title]
            for _, text in _lines(parts[name], words):
                lines += wrap(text, width, "  - ", "    ")
    return "\n".join(lines)


def _indents(name: str, label: int) -> tuple[str, str]:
    if not name:
        return "  ", "    "
    return f"  {name}{' ' * (label - width_of(name))} ", " " * (label + 3)


def _lines(section: Section, words: Words) -> Iterator[Line]:
    """Yield what the sentences of a section come to, those that go on joined to the one before."""
    found: list[Line] = []
    for sentence in section.parts:
        if not isinstance(sentence, Sentence) or sentence.name.startswith(_LEFT_OUT):
            continue
        if not words.has(f"brief.{sentence.name}"):
            found.append(("", sentence.text))
            continue
        said = words.say(f"brief.{sentence.name}", **sentence.numbers)
        label, _, text = said.removeprefix("+ ").rpartition(" | ")
        if found and (said.startswith("+ ") or (label and label == found[-1][0])):
            found[-1] = (found[-1][0], words.join_clauses((found[-1][1], text)))
        elif said:
            found.append((label, text))
    yield from found


def _tables(section: Section) -> list[Table]:
    return [part for part in section.parts if isinstance(part, Table)]


def _tables_of(section: Section, explanation: Explanation, label: int, width: int, blocks: str) -> Iterator[str]:
    """Yield the lines of a section's tables, as far as they are numbers of this recipe."""
    for part in _tables(section):
        if part.name == "extents":
            yield from (f"  {line}" for line in _moving(part, explanation, width - 2, blocks))
        elif part.name == "damping" or (part.name == "schedule" and len(part.rows) <= _ROWS):
            yield from (f"  {line}" for line in lay_out_table(part))
        elif part.name == "batch":
            yield from _turned(part, label)


def _moving(part: Table, explanation: Explanation, width: int, blocks: str) -> list[str]:
    """Return the table of what moves, a logarithmic curve of each over the run in the place of when it is where."""
    bare = [(row[0], *(cell.partition(" (")[0] for cell in row[1:])) for row in part.rows]
    length = max(_CURVE[0], min(_CURVE[1], width - 2 - max(map(width_of, table(part.headers, bare)))))
    course = Course.of(explanation.settings, explanation.run)
    ticks = evenly(course.length(), length - 1)
    rows: list[tuple[str, ...]] = []
    for extent, (name, *numbers) in zip(explanation.extents, bare, strict=True):
        values = [course.value(extent.name, tick) for tick in ticks]
        rows.append((name, sparkline(values, length, blocks, logarithmic=True), *numbers))
    return table((part.headers[0], "", *part.headers[1:]), rows, 2)


def _turned(part: Table, label: int) -> Iterator[str]:
    """Yield a table's columns as lines."""
    cells: list[Sequence[str]] = [[row[i] for row in part.rows] for i in range(len(part.headers))]
    widths = [max(width_of(column[i]) for column in cells) for i in range(len(part.rows))]
    for header, column in zip(part.headers, cells, strict=True):
        start, _ = _indents(header, label)
        yield start + "  ".join(cell.rjust(wide) for cell, wide in zip(column, widths, strict=True))
