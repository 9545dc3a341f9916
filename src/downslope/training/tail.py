"""A file of JSON lines that somebody else writes, read on from where one was.

What lives here: which lines are new, and noticing that the file was cut back or replaced. What does not: what the lines
say (`watch.py`), and reading a whole file that is left alone (`log.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from downslope.core.errors import CheckpointError
from downslope.core.files import open_regular
from downslope.training import durable
from downslope.training.log import LONGEST_LINE, Check, parse_line

_CHUNK = 1 << 22


class Tail:
    """Reads on in a file of JSON lines; never writes, and keeps no file open.

    Args:
        path: The file; while it is absent it holds no lines.
        required: Keys that each line must have.
        check: Says what else is wrong with one.
    """

    def __init__(self, path: Path, required: tuple[str, ...], check: Check | None = None) -> None:
        """Begin before the first line."""
        self._path, self._required, self._check = path, required, check
        self.rewind()

    def rewind(self) -> None:
        """Go back to the beginning."""
        self._at, self._lines, self._last = 0, 0, b""

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """Return some of the lines that are new, and whether what was read earlier is no longer so.

        A last line that is not complete is left until it is. Where the file was cut back or replaced, reading begins
        anew, and what was read before is to be forgotten.

        Returns:
            The rows, none once all are read; and whether they are again the file's first.

        Raises:
            CheckpointError: If a line is damaged.
        """
        earlier = self._at
        try:
            rows, is_anew = self._read_on()
        except CheckpointError:
            if not earlier:
                raise
            self.rewind()  # perhaps it was cut back and written on just while it was read
            rows, is_anew = self._read_on()[0], True
        return rows, is_anew

    def _read_on(self) -> tuple[list[dict[str, Any]], bool]:
        earlier = self._at
        try:
            with durable.explained("read", self._path), open_regular(self._path, CheckpointError, follow=False) as file:
                data = self._new_bytes(file)
        except durable.StorageError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            self.rewind()
            data = b""
        is_anew = self._at < earlier
        whole = data[: data.rfind(b"\n") + 1]
        lines = whole.split(b"\n")[:-1]
        rows = [
            parse_line(line, self._path, self._lines + index, self._required, self._check)
            for index, line in enumerate(lines, 1)
        ]
        if lines:
            self._at, self._lines, self._last = self._at + len(whole), self._lines + len(lines), lines[-1] + b"\n"
        return rows, is_anew

    def _new_bytes(self, file: BinaryIO) -> bytes:
        """Return what stands after the last line read, if that one is where it was; else all from the beginning."""
        file.seek(self._at - len(self._last))
        if file.read(len(self._last)) != self._last:
            self.rewind()
            file.seek(0)
        data = file.read(_CHUNK)
        if b"\n" in data or len(data) < _CHUNK:
            return data
        data += file.read(LONGEST_LINE)
        if b"\n" not in data and len(data) >= LONGEST_LINE:
            raise CheckpointError(f"{self._path}, line {self._lines + 1}: damaged; it has no end.")
        return data
