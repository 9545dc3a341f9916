"""A few lines at the foot of a terminal that are drawn over again, with room above them for lines that stay."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from downslope.core.columns import cut, width_of
from downslope.core.shown import printable
from downslope.core.sparkline import blocks_for
from downslope.training.view.live_view import LABEL

_UP, _ERASE_BELOW, _DIM, _PLAIN = "\x1b[A", "\x1b[J", "\x1b[2m", "\x1b[0m"


def can_redraw(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether lines on a stream can be drawn over: it is a terminal, and not a dumb one.

    Args:
        stream: The stream.
        environment: The environment's variables.
    """
    return stream.isatty() and environment.get("TERM", "dumb") not in {"", "dumb", "unknown"}


class Screen:
    """The foot of a terminal.

    Args:
        stream: The terminal.
        environment: The environment's variables; with NO_COLOR set to anything, there is no colour.
    """

    def __init__(self, stream: TextIO, environment: Mapping[str, str] = os.environ) -> None:
        """Begin with nothing drawn."""
        self._stream = stream
        self._coloured = not environment.get("NO_COLOR")
        self._drawn: list[str] = []
        self.blocks = blocks_for(getattr(stream, "encoding", None))

    def width(self) -> int:
        """Return the terminal's columns now."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return shutil.get_terminal_size().columns

    def draw(self, lines: Sequence[str]) -> None:
        """Draw lines in the place of those drawn before.

        Args:
            lines: Each shorter than the terminal is wide.
        """
        lines = [printable(line) for line in lines]
        labels = [cut(line, LABEL) for line in lines]
        pairs = zip(labels, lines, strict=True)
        shown = [f"{_DIM}{label}{_PLAIN}{line[len(label) :]}" if self._coloured else line for label, line in pairs]
        self._write(self._erase() + "\n".join(shown))
        self._drawn = lines

    def clear(self) -> None:
        """Take away what is drawn; what comes next stands in its place."""
        if self._drawn:
            self._write(self._erase())
            self._drawn = []

    def leave(self) -> None:
        """Leave what is drawn as it is; what comes next stands below it."""
        if self._drawn:
            self._write("\n")
            self._drawn = []

    def _erase(self) -> str:
        """Return what takes the cursor to the first line drawn, and empties the terminal from there.

        A terminal that has become narrower since has broken long lines into several.
        """
        if not self._drawn:
            return ""
        width = max(self.width(), 1)
        rows = sum(max(1, -(-width_of(line) // width)) for line in self._drawn)
        return "\r" + _UP * (rows - 1) + _ERASE_BELOW

    def _write(self, text: str) -> None:
        write: Callable[[str], Any] = getattr(self._stream, "write_controls", self._stream.write)
        write(text)
        self._stream.flush()
