"""Jupyter notebooks: their code cells as one program, with places in the file; text cells are not read."""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import Any

from downslope.reading.findings import Part


def is_notebook(text: str) -> bool:
    """Return whether a text is a notebook.

    Example:
        >>> is_notebook('{"cells": [{"cell_type": "code", "source": ["x = 1"]}], "nbformat": 4}')
        True
    """
    return text.lstrip()[:1] == "{" and '"cells"' in text and '"cell_type"' in text and _cells(text) is not None


class Notebook:
    """A notebook's program.

    Attributes:
        code: All code cells, one below the other.
    """

    def __init__(self, part: Part) -> None:
        """Take the cells out of a notebook's JSON."""
        self.code = ""
        self._from: list[int] = []
        self._to: list[tuple[int, str]] = []
        here = 0
        for kind, lines in _cells(part.text) or []:
            for line in lines:
                at, here = _find(part.text, line, here)
                if kind == "code":
                    self._from.append(len(self.code))
                    self._to.append((part.start + at, line))
                    self.code += line
            if kind == "code" and not self.code.endswith("\n"):
                self.code += "\n"

    def place(self, offset: int) -> int:
        """Return where a character of the program stands in the file."""
        line = bisect_right(self._from, offset) - 1
        if line < 0:
            return offset
        at, words = self._to[line]
        return at + len(json.dumps(words[: offset - self._from[line]], ensure_ascii=False)) - 2


def _find(text: str, line: str, here: int) -> tuple[int, int]:
    """Return where a line begins and ends in the JSON text, from a place on."""
    for is_ascii in (False, True):
        written = json.dumps(line, ensure_ascii=is_ascii)[1:-1]
        at = text.find(written, here)
        if at >= 0:
            return at, at + len(written)
    return here, here


def _cells(text: str) -> list[tuple[str, list[str]]] | None:
    """Return (kind, lines) of each cell, or None if the text is no notebook."""
    try:
        table: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    cells: Any = table.get("cells") if isinstance(table, dict) else None
    if not isinstance(cells, list):
        return None
    found: list[tuple[str, list[str]]] = []
    for cell in cells:
        if not isinstance(cell, dict) or cell.get("cell_type") not in {"code", "markdown", "raw"}:
            continue
        source = cell.get("source")
        source = source.splitlines(keepends=True) if isinstance(source, str) else source
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            found.append((cell["cell_type"], source))
    return found
