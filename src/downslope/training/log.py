"""The log of record: one JSON object a line, each belonging to a step; no times.

What lives here: writing it, syncing it before a checkpoint commits, cutting it back to a checkpoint on resume, and
reading it. So the log of a run that was killed and resumed is, byte for byte, that of an uninterrupted one. What does
not: events by the clock (`events.py`).
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, cast

import msgspec

from downslope.core.errors import CheckpointError
from downslope.training import durable

NAME = "log.jsonl"
_BUFFER = 1 << 16
_CHUNK = 1 << 20
_HOLE = b"null"
_encode = msgspec.json.Encoder().encode  # takes an eighth of json.dumps's time


class Log:
    """Appends to a run's log of record.

    Args:
        folder: The run folder.
        length: Bytes to keep of what is there: those that a checkpoint vouches for, 0 for a new run. What stands after
            them belongs to steps that will be done again.
        checksum: Checksum of these bytes, or None where length is 0.

    Raises:
        CheckpointError: If the log does not begin with these bytes.
    """

    def __init__(self, folder: Path, length: int = 0, checksum: str | None = None) -> None:
        """Verify what is kept, and cut the rest."""
        self._path = folder / NAME
        self._digest = hash_prefix(self._path, length)
        self._length = length
        self._buffer = bytearray()
        if checksum is not None and self.checksum() != checksum:
            raise CheckpointError(f"{self._path}: its first {length} bytes have changed since the checkpoint.")
        if self._path.exists() and self._path.stat().st_size > length:
            durable.cut_file(self._path, length)
        self._descriptor = durable.open_for_append(self._path)

    def add(self, kind: str, step: int, **values: Any) -> None:
        """Append a line; it reaches the file with a later `flush` or `sync`.

        Args:
            kind: "step", "evaluation", "measure", "sharpness", "skip", "rewind", "plateau" or "stop".
            step: The 0-based step the line belongs to.
            **values: Numbers, words and lists of them; inf and NaN become the strings "inf", "-inf" and "nan".
        """
        row = {"kind": kind, "step": step, **values}
        line = _encode(row)
        if _HOLE in line:  # which stands for inf and NaN, too
            line = json.dumps({name: as_json(value) for name, value in row.items()}, allow_nan=False).encode()
        line += b"\n"
        self._buffer += line
        self._digest.update(line)
        self._length += len(line)
        if len(self._buffer) >= _BUFFER:
            self.flush()

    def flush(self) -> None:
        """Hand the lines to the operating system, so that others can read them."""
        self._write(sync=False)

    def sync(self) -> tuple[int, str]:
        """Make all lines durable.

        Returns:
            Length of the log in bytes, and its checksum.
        """
        self._write(sync=True)
        return self._length, self.checksum()

    def checksum(self) -> str:
        """Return the checksum of all lines so far."""
        return self._digest.copy().hexdigest()

    def close(self) -> None:
        """Flush and close the file."""
        try:
            self.flush()
        finally:
            with durable.explained("close", self._path):
                durable.os.close(self._descriptor)

    def _write(self, *, sync: bool) -> None:
        data, self._buffer = bytes(self._buffer), bytearray()
        if data or sync:
            durable.append(self._descriptor, data, self._path, sync=sync)


def hash_prefix(path: Path, length: int) -> hashlib.blake2b:
    """Return the digest of a file's first `length` bytes.

    Raises:
        CheckpointError: If the file is absent or shorter.
    """
    digest = hashlib.blake2b(digest_size=16)
    if length == 0:
        return digest
    present = path.stat().st_size if path.exists() else 0
    if present < length:
        raise CheckpointError(f"{path} has {present} bytes; the checkpoint needs {length} of it.")
    with durable.explained("read", path), path.open("rb") as file:
        while length and (chunk := file.read(min(length, _CHUNK))):
            digest.update(chunk)
            length -= len(chunk)
    return digest


def as_json(value: Any) -> Any:
    """Return a value as the log holds it: inf and NaN as strings, so that every line is valid JSON.

    Example:
        >>> as_json(float("inf")), as_json([0.5, float("nan")])
        ('inf', [0.5, 'nan'])
    """
    if isinstance(value, list):
        return [as_json(item) for item in cast("list[Any]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value


def read_rows(folder: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of a run's log, without a last line that is not complete.

    Args:
        folder: The run folder.
        kind: Only rows of this kind; None for all.

    Raises:
        CheckpointError: If a line is damaged.
    """
    rows = read_lines(folder / NAME, required=("kind", "step"))
    return [row for row in rows if kind is None or row["kind"] == kind]


def read_lines(path: Path, required: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the JSON objects of a file, one a line, without a last line that is not complete.

    Args:
        path: The file; one that is absent holds no lines.
        required: Keys that each must have.

    Raises:
        CheckpointError: If a line is damaged.
    """
    try:
        lines = durable.read_file(path).split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [parse_line(line, path, number, required) for number, line in enumerate(lines, start=1)]


def parse_line(line: bytes, path: Path, number: int, required: tuple[str, ...]) -> dict[str, Any]:
    """Return a line as a JSON object.

    Args:
        line: The line.
        path: The file it is from, for the message.
        number: Its number, from 1.
        required: Keys that it must have.

    Raises:
        CheckpointError: If it is damaged.
    """
    try:
        row = json.loads(line)
    except ValueError:
        raise CheckpointError(f"{path}, line {number}: damaged; it is not JSON.") from None
    if not isinstance(row, dict) or not all(key in row for key in required):
        raise CheckpointError(f"{path}, line {number}: damaged; it is no object with {' and '.join(required)}.")
    return cast("dict[str, Any]", row)
