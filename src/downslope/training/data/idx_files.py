"""IDX files, as MNIST's are: one array behind a header of its type and sizes, compressed by gzip or not.

References:
    Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits": the IDX file format.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from downslope.core.errors import DataError
from downslope.core.files import open_regular
from downslope.core.shown import shown
from downslope.training.data.numpy_files import Array, check_memory, first_line

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The third byte of a file -> the type of its elements, the highest byte first."""

_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 22
_MOST_SIZES = 32


def begins_as_idx(path: Path) -> bool:
    """Return whether a file begins as an IDX file does, packed or not; what cannot be read does not.

    Raises:
        DataError: If it is no regular file.
    """
    try:
        with open_regular(path, DataError) as file:
            start = file.read(4)
            if start[:2] == _GZIP:
                file.seek(0)
                start = gzip.GzipFile(fileobj=file).read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(start) == 4 and start[:2] == b"\0\0" and start[2] in _TYPES and 0 < start[3] <= _MOST_SIZES


def read_idx(path: Path) -> Array:
    """Return the array of an IDX file, in this machine's order of bytes.

    Raises:
        DataError: If it is no such file, holds more or less than its header says, or would not fit into memory.
    """
    place = shown(path)
    try:
        with open_regular(path, DataError) as file:
            size = os.fstat(file.fileno()).st_size
            packed = file.read(2) == _GZIP
            file.seek(0)
            if not packed:
                return _read(file, place, size)
            return _read(cast("IO[bytes]", gzip.GzipFile(fileobj=file)), place, None)
    except EOFError:
        raise DataError(f"{place}: is packed by gzip and ends too early. Was it copied or downloaded whole?") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{place}: is packed by gzip and damaged: {first_line(error)}.") from None
    except OSError as error:
        raise DataError(f"{place}: cannot be read: {error.strerror or error}.") from None


def _read(file: IO[bytes], place: str, size: int | None) -> Array:
    """Return the array of an open file of so many bytes, None where that is not known."""
    dtype, shape = _read_header(file, place)
    needed = math.prod(shape) * dtype.itemsize
    sizes = " x ".join(f"{length:,}" for length in shape)
    says = f"its header says {sizes} elements of {dtype.itemsize} byte(s), {needed:,} bytes in all"
    if size is not None and (held := size - 4 - 4 * len(shape)) != needed:
        what = "truncated" if held < needed else "damaged, or another kind of file"
        raise DataError(f"{place}: {says}, but {held:,} follow. The file is {what}.")
    check_memory(place, needed, "for its array")
    data = bytearray()
    while len(data) < needed and (chunk := file.read(min(_CHUNK, needed - len(data)))):
        data += chunk
    if len(data) < needed:
        raise DataError(f"{place}: {says}, but {len(data):,} follow. The file is truncated.")
    if file.read(1):  # at the end gzip compares its checksum, too
        raise DataError(f"{place}: {says}, but more follow. The file is damaged, or another kind of file.")
    array: np.ndarray[Any, Any] = np.frombuffer(data, dtype=dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_header(file: IO[bytes], place: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        raise DataError(
            f"{place}: is no IDX file: it begins with {_show(start)}, and an IDX file with two bytes of 0, its type "
            "and how many sizes it has."
        )
    if start[2] not in _TYPES:
        known = ", ".join(f"0x{code:02x}" for code in _TYPES)
        raise DataError(f"{place}: is no IDX file: its elements have the type 0x{start[2]:02x}; there are {known}.")
    if not 0 < start[3] <= _MOST_SIZES:
        raise DataError(f"{place}: is no IDX file: it has {start[3]} sizes; from 1 to {_MOST_SIZES} are possible.")
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise DataError(f"{place}: ends within its header. The file is truncated.")
    return np.dtype(_TYPES[start[2]]), struct.unpack(f">{start[3]}I", sizes)


def _show(start: bytes) -> str:
    """Return the first bytes of a file in words: those of a page that a server sent instead can be read."""
    if not start:
        return "nothing, being empty"
    if start.isascii() and all(32 <= byte < 127 or byte in b"\r\n\t" for byte in start):
        return f"the text {shown(start.decode())!r}"
    return f"the byte(s) {start.hex(' ')}"
