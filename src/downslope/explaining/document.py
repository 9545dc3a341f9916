"""What an explanation in words is made of: sections, sentences, tables, notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Note:
    """What a sentence rests on: the equation behind its number, when that holds, and where it comes from."""

    equation: str
    valid: str
    source: str


@dataclass(frozen=True)
class Sentence:
    """A sentence, and what it rests on, if it states a number.

    Attributes:
        text: The sentence.
        rests_on: What it rests on, or None.
        note: Number of that among the notes of the document, 1-based; 0 for none.
        name: Its name among the sentences of the language, or "" for one that is not from there.
        numbers: The numbers put into it, by name.
    """

    text: str
    rests_on: Note | None = None
    note: int = 0
    name: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False)


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
    """A section: `name` is for programs, `title` its heading."""

    name: str
    title: str
    parts: tuple[Sentence | Table, ...]


@dataclass(frozen=True)
class Document:
    """An explanation in words.

    Attributes:
        title: Its title.
        run: How large the run is, a phrase; "" if nothing is known.
        sections: Its sections.
        notes: What sentences rest on, each once; a sentence's `note` counts them from 1.
    """

    title: str
    run: str
    sections: tuple[Section, ...]
    notes: tuple[Note, ...] = ()
