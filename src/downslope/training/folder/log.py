"""The log of record: one JSON object a line, each belonging to a step; no times.

It is synced before a checkpoint commits, and cut back to that checkpoint on resume. So the log of a run that was killed
and resumed is, byte for byte, that of an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from downslope.core.errors import CheckpointError
from downslope.core.files import open_regular
from downslope.core.shown import shown
from downslope.core.strict_json import decode_json
from downslope.training.folder import durable

NAME = "log.jsonl"
_BUFFER = 1 << 16
_CHUNK = 1 << 20
_TAIL_CHUNK = 1 << 22
_HOLE = b"null"
LONGEST_LINE = 1 << 26

_MOST = 2**53
"""The largest integer that is also a float."""
_NONFINITE = frozenset({"nan", "inf", "-inf"})
_WORDS = frozenset({"kind", "reason"})
"""Names of values that are words; of others, only "nan", "inf" and "-inf" are."""
_SCALARS = frozenset({"step", "epoch", "noise", "signal"})
_WITH_LISTS = frozenset({"measure", "classes"})
"""Kinds of rows that have a number for each of several things, null where there is none."""
_MAY_LACK = frozenset({"measure", "sharpness"})
"""Kinds of rows in which a value that could not be had is null."""
_NEEDED = {"step": ("loss", "lr"), "evaluation": ("loss",), "plateau": ("lr",), "rewind": ("to",)}
"""Values without which a row of a kind says nothing."""
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
        # What stands after the checkpoint belongs to steps that are done again, to the same bits: kept, each of their
        # rows would be there twice.
        durable.cut_file(self._path, length)
        self._descriptor = durable.open_for_append(self._path)

    def add(self, kind: str, step: int, **values: Any) -> None:
        """Append a line; it reaches the file with a later `flush` or `sync`.

        Args:
            kind: "step", "evaluation", "classes", "measure", "sharpness", "skip", "rewind", "plateau" or "stop".
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
    present = 0
    absent = suppress(FileNotFoundError)
    with durable.explained("read", path), absent, open_regular(path, CheckpointError, follow=False) as file:
        present = os.fstat(file.fileno()).st_size
        if present >= length:
            while length and (chunk := file.read(min(length, _CHUNK))):
                digest.update(chunk)
                length -= len(chunk)
            return digest
    raise CheckpointError(f"{path} has {present} bytes; the checkpoint needs {length} of it.")


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

    Raises:
        CheckpointError: If a line is damaged.
    """
    rows = read_lines(folder / NAME, required=("kind", "step"), check=check_row)
    return [row for row in rows if kind is None or row["kind"] == kind]


def read_lines(path: Path, required: tuple[str, ...], check: Check | None = None) -> list[dict[str, Any]]:
    """Return the JSON objects of a file, one a line, without a last line that is not complete.

    Raises:
        CheckpointError: If a line is damaged, or the file is a link, a folder or a device.
    """
    return [parse_line(line, path, number, required, check) for number, line in enumerate(each_line(path), start=1)]


def each_line(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file with their ends, but for a last one that is not complete; an absent file has none.

    Raises:
        CheckpointError: If it is a link, a folder or a device, or a line has no end.
    """
    number = 1
    try:
        with durable.explained("read", path), open_regular(path, CheckpointError, follow=False) as file:
            while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
                yield line
                number += 1
    except durable.StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return
        raise
    if len(line) >= LONGEST_LINE:
        raise CheckpointError(f"{path}, line {number}: damaged; it has no end.")


Check = Callable[[Mapping[str, Any]], str | None]
"""Returns what is wrong with a line's object, or None."""


def parse_line(
    line: bytes, path: Path, number: int, required: tuple[str, ...], check: Check | None = None
) -> dict[str, Any]:
    """Return a line as a JSON object.

    Raises:
        CheckpointError: If it is damaged.
    """
    try:
        row = decode_json(line, dict[str, Any], NAME, CheckpointError)
    except CheckpointError as error:
        if line.startswith(b"{"):
            reason = "nested too deep" if "too deep" in str(error) else "not JSON"
            raise CheckpointError(f"{path}, line {number}: damaged; it is {reason}.") from None
        row = {}
    if not all(key in row for key in required):
        raise CheckpointError(f"{path}, line {number}: damaged; it is no object with {' and '.join(required)}.")
    if check is not None and (problem := check(row)):
        raise CheckpointError(f"{path}, line {number}: damaged; {problem}.")
    return row


def check_row(row: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a row of the log: the kind of a value, or one that its kind of row must have."""
    kind, step = row["kind"], row["step"]
    if type(kind) is not str or not is_count(step):
        return "its kind is no word, or its step no number"
    may_lack = kind in _MAY_LACK
    for name, value in row.items():
        what = type(value)
        if what is float or (what is int and -_MOST <= value <= _MOST) or (what is str and name in _WORDS):
            continue
        if what is list:
            if (
                kind not in _WITH_LISTS
                or name in _SCALARS
                or not all(item is None or _is_number(item) for item in value)
            ):
                return f"its {shown(name)} is a list"
        elif value is None:
            if not may_lack:
                return f"its {shown(name)} is missing"
        elif not _is_number(value):
            return f"its {shown(name)} is no number"
    missing = [name for name in _NEEDED.get(kind, ()) if name not in row]
    return f"its {' and '.join(missing)} is missing" if missing else None


def is_count(value: Any) -> bool:
    """Return whether a value is an integer that steps may have."""
    return type(value) is int and 0 <= value <= _MOST


def _is_number(value: Any) -> bool:
    what = type(value)
    return what is float or (what is int and -_MOST <= value <= _MOST) or (what is str and value in _NONFINITE)


class Tail:
    """Reads on in a file of JSON lines that another process writes; keeps no file open.

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
        data = file.read(_TAIL_CHUNK)
        if b"\n" in data or len(data) < _TAIL_CHUNK:
            return data
        data += file.read(LONGEST_LINE)
        if b"\n" not in data and len(data) >= LONGEST_LINE:
            raise CheckpointError(f"{self._path}, line {self._lines + 1}: damaged; it has no end.")
        return data
