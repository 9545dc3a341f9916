"""A part of an input, and what a reader finds in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from downslope.reading.reading import Field

Kind = Literal["prose", "code", "configuration", "command"]


@dataclass(frozen=True)
class Part:
    """A stretch of an input that one reader reads.

    Attributes:
        kind: Which reader reads it.
        format: The syntax: "python", "notebook", "yaml", "toml", "json", "ini", "darknet", "prototxt", "program",
            "dictionary" (Python that only assigns), "pairs" (as `lr=0.1, weight_decay=5e-4` in a sentence) or "shell";
            for prose "".
        text: Its characters.
        start: Place of its first character in the input that it was cut from.
        name: Of the file that it was cut from, or "".
    """

    kind: Kind
    format: str
    text: str
    start: int = 0
    name: str = ""


@dataclass
class Found:
    """What one part says.

    Attributes:
        optimizer: The optimizer that it names, or "".
        framework: Whose conventions it follows ("torch", "keras", "caffe", "darknet", ...), or "".
        fields: Dotted path of a recipe -> its field, with the place of its words in the input.
        remarks: Name of a sentence of `remarks.py` and the values in it.
        unread: (first place, place after the last) of what holds a number that was not used, in the input.
        phrases: (first place, place after the last) of what says something of a training in words of prose.
        kind: The kind of part.
        name: Of its file, or "".
    """

    optimizer: str = ""
    framework: str = ""
    fields: dict[str, Field] = field(default_factory=dict[str, Field])
    remarks: list[tuple[str, dict[str, object]]] = field(default_factory=list[tuple[str, dict[str, object]]])
    unread: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    phrases: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    kind: Kind = "prose"
    name: str = ""
