"""What a document is made of: sections, sentences, tables, notes.

What lives here: these kinds. What does not: what is in them (`document.py`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sentence:
    """A sentence and what it rests on.

    Attributes:
        text: The sentence.
        equation: The equation behind its number, or "".
        valid: When that holds, or "".
        source: Where it comes from, or "".
        note: Number of the note that says so, 1-based; 0 for none.
    """

    text: str
    equation: str = ""
    valid: str = ""
    source: str = ""
    note: int = 0


@dataclass(frozen=True)
class Note:
    """What a sentence rests on.

    Attributes:
        equation: The equation behind its number.
        valid: When that holds.
        source: Where it comes from.
    """

    equation: str
    valid: str
    source: str


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: What it is, for programs.
        headers: The headings; empty if there are none.
        rows: Rows of cells.
        left: How many of the first columns are aligned to the left.
        last_left: Whether the last column is, too.
        marked: Index of a row that stands out, or None.
    """

    name: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 0
    last_left: bool = False
    marked: int | None = None


@dataclass(frozen=True)
class Section:
    """A section.

    Attributes:
        name: What it is, for programs.
        title: Its heading.
        parts: Its sentences and tables, in order.
    """

    name: str
    title: str
    parts: tuple[Sentence | Table, ...]
