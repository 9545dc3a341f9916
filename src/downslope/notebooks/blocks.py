"""What has no page of its own as a few blocks, written as HTML, as Markdown or as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from downslope.core.columns import wrap
from downslope.core.files import read_text
from downslope.core.shown import printable
from downslope.notebooks.fragment import fragment_of


@dataclass(frozen=True)
class Title:
    """A line that says what it is."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list under a heading; left out where there is nothing in it."""

    heading: str
    items: Sequence[str]


@dataclass(frozen=True)
class Rows:
    """A table."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Code:
    """A text as it stands, and its language."""

    text: str
    language: str


Block = Title | Text | Points | Rows | Code


def as_html(blocks: Sequence[Block]) -> str:
    """Return blocks as HTML, every text escaped."""
    style = read_text(Path(__file__).parents[1] / "plot/page.css")
    return fragment_of(f'<html lang="en"><style>{style}</style><body>{"".join(map(_html, blocks))}</body>')


def _html(block: Block) -> str:
    def safe(text: str) -> str:
        return escape(printable(text))

    match block:
        case Title(text):
            return f"<h1>{safe(text)}</h1>"
        case Text(text):
            return f"<p>{safe(text)}</p>"
        case Points(heading, items):
            inner = "".join(f"<li>{safe(item)}</li>" for item in items)
            return f"<h2>{safe(heading)}</h2><ul>{inner}</ul>" if items else ""
        case Rows(headers, rows):
            head = "".join(f'<th scope="col">{safe(name)}</th>' for name in headers)
            body = "".join(f"<tr>{''.join(f'<td>{safe(cell)}</td>' for cell in row)}</tr>" for row in rows)
            table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            return f'<div class="table">{table}</div>' if rows else ""
        case Code(text, _):
            return f"<pre><code>{safe(text)}</code></pre>"


def as_text(blocks: Sequence[Block], width: int = 100) -> str:
    """Return blocks as text for a terminal."""
    return "\n\n".join("\n".join(lines) for lines in (_lines(block, width) for block in blocks) if lines)


def _lines(block: Block, width: int) -> list[str]:
    match block:
        case Title(text) | Text(text):
            return wrap(printable(text), width)
        case Points(heading, items):
            points = [line for item in items for line in wrap(printable(item), width, "  - ", "    ")]
            return [f"{heading}:", *points] if items else []
        case Rows(headers, rows):
            lines: list[str] = []
            for row in rows:
                name, *cells = row
                told = [f"{head} {cell}" for head, cell in zip(headers[1:], cells, strict=True)]
                lines += wrap(printable("; ".join(told)), width, f"  {printable(name)}: ", "      ")
            return lines
        case Code(text, _):
            return printable(text).rstrip().splitlines()


def as_markdown(blocks: Sequence[Block]) -> str:
    """Return blocks as Markdown, in which no text is more than text."""
    return "\n\n".join(part for part in map(_markdown, blocks) if part) + "\n"


_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]<>#|~$!"})


def plain(text: str) -> str:
    r"""Return text as Markdown has it that means nothing by its marks, on one line.

    Example:
        >>> plain("a_b | <i>")
        'a\\_b \\| \\<i\\>'
    """
    return " ".join(printable(text).split()).translate(_MARKS)


def _markdown(block: Block) -> str:
    match block:
        case Title(text):
            return f"**{plain(text)}**"
        case Text(text):
            return plain(text)
        case Points(heading, items):
            return "\n".join([f"{plain(heading)}\n", *(f"- {plain(item)}" for item in items)]) if items else ""
        case Rows(headers, rows):
            lines = [list(map(plain, headers)), ["---"] * len(headers), *(list(map(plain, row)) for row in rows)]
            return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""
        case Code(text, language):
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            return f"{fence}{language}\n{printable(text).rstrip()}\n{fence}"
