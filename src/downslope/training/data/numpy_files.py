"""NumPy's own files, read without trust: .npy and .npz, of plain dtypes, never larger than they say and than fits.

NumPy's reader takes the memory that a header asks for before it looks whether the file has so many bytes, and unpacks
an archive whatever comes out of it. Here shape and dtype are compared with what is there before memory is taken.
Nothing is unpickled: arrays of objects are refused.
"""

from __future__ import annotations

import ast
import io
import math
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Container
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from downslope.core.errors import DataError
from downslope.core.files import open_regular
from downslope.core.shown import shown

Array = np.ndarray[Any, np.dtype[Any]]
_Found = TypeVar("_Found")

_MOST_MEMBERS = 100_000
_MOST_HEADER = 100_000
_CHUNK = 1 << 22

MAPPED = 1 << 26
"""An array of more bytes is mapped into memory rather than read, where it is read part by part."""

_SPARE = 1 << 28
"""How many bytes of a disk are left free."""


def memory_limit() -> int:
    """Return how many bytes data may take at most: half of this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def check_memory(place: str, size: int, what: str) -> None:
    """Raise DataError if something would take more memory than data may: "PLACE: needs SIZE bytes WHAT"."""
    limit = memory_limit()
    if size > limit:
        raise DataError(
            f"{place}: needs {size:,} bytes {what}; at most {limit:,}, half of this machine's memory, are taken."
        )


def read_npy(path: Path) -> Array:
    """Return the array of a .npy file.

    Raises:
        DataError: If it is no such file, holds objects, or more or less than its header says.
    """
    place = shown(path)
    try:
        with open_regular(path, DataError) as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise DataError(f"{place}: cannot be read as NumPy's: No data left in file.")
            return _read_array(file, size, place)
    except OSError as error:
        raise DataError(f"{place}: cannot be read as NumPy's: {error.strerror or error}.") from None


def map_npy(path: Path) -> Array:
    """Return the array of a .npy file, read only where it is looked at; raises as `read_npy` does."""
    place = shown(path)
    try:
        with open_regular(path, DataError) as file:
            return _map(file, os.fstat(file.fileno()).st_size, place)
    except OSError as error:
        raise DataError(f"{place}: cannot be read as NumPy's: {error.strerror or error}.") from None


def open_npy(path: Path) -> Array:
    """Return the array of a .npy file, read only where it is looked at if it is large; raises as `read_npy` does."""
    try:
        return map_npy(path) if path.stat().st_size > MAPPED else read_npy(path)
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read as NumPy's: {error.strerror or error}.") from None


def names_in_npz(path: Path) -> list[str]:
    """Return what the arrays of an .npz file are called, in its order.

    Raises:
        DataError: If it is no such file, or a member is no array.
    """
    return _open_npz(path, lambda archive, place: list(_members(archive, place)))


def read_npz(path: Path, only: Container[str] | None = None) -> dict[str, Array]:
    """Return the arrays of an .npz file by name.

    Args:
        path: The file.
        only: The names of those to read; None for all.

    Raises:
        DataError: If it is no such file, a member is no array, or it would unpack to more than fits.
    """
    return _open_npz(path, lambda archive, place: _unpack(archive, place, only))


def open_npz(path: Path, only: Container[str] | None = None) -> dict[str, Array]:
    """Return the arrays of an .npz file by name as `read_npz` does, but a large one read only where it is looked at.

    One that is packed is unpacked into a file without a name first, in the folder for temporary files (TMPDIR).
    """
    return _open_npz(path, lambda archive, place: _unpack(archive, place, only, maps=True))


def _open_npz(path: Path, use: Callable[[zipfile.ZipFile, str], _Found]) -> _Found:
    """Return what is made of an .npz file that is opened."""
    place = shown(path)
    try:
        with open_regular(path, DataError) as file, zipfile.ZipFile(file) as archive:
            return use(archive, place)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{place}: cannot be read as NumPy's: {error.strerror or error}.") from None
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, EOFError, ValueError) as error:
        raise DataError(f"{place}: cannot be read as NumPy's: {first_line(error)}.") from None


def _members(archive: zipfile.ZipFile, place: str) -> dict[str, zipfile.ZipInfo]:
    """Return the members of an archive by the names of their arrays."""
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise DataError(f"{place}: has {len(members):,} members; at most {_MOST_MEMBERS:,} are read.")
    found: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        if not member.filename.endswith(".npy"):
            raise DataError(
                f"{place}: its member `{shown(member.filename)}` is no array; each must end in .npy. Write the file by "
                "numpy.savez."
            )
        name = member.filename.removesuffix(".npy")
        if name in found:
            raise DataError(f"{place}: has two members called `{shown(name)}`.")
        found[name] = member
    return found


def _unpack(
    archive: zipfile.ZipFile, place: str, only: Container[str] | None, *, maps: bool = False
) -> dict[str, Array]:
    members = _members(archive, place)
    wanted = {name: member for name, member in members.items() if only is None or name in only}
    mapped = {name for name, member in wanted.items() if maps and member.file_size > MAPPED}
    held = sum(member.file_size for name, member in wanted.items() if name not in mapped)
    check_memory(place, held, "when it is unpacked")
    arrays: dict[str, Array] = {}
    for name, member in wanted.items():
        called = f"{place}, `{shown(name)}`"
        with archive.open(member) as file:
            if name in mapped:
                arrays[name] = _map_copy(file, member.file_size, called)
            else:
                arrays[name] = _read_array(file, member.file_size, called)
    return arrays


def _map_copy(file: IO[bytes], size: int, place: str) -> Array:
    """Return the one array of a member, copied into a file without a name and mapped into memory from there."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if size + _SPARE > free:
        raise DataError(
            f"{place}: needs {size:,} bytes in {shown(folder)} to be read part by part; {free:,} are free there. Set "
            "TMPDIR to a folder on a disk with room."
        )
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy, _CHUNK)  # to its end, where its checksum is compared
        copy.flush()
        return _map(copy, copy.seek(0, os.SEEK_END), place)


def _map(file: Any, size: int, place: str) -> Array:
    """Return the array of an open file of so many bytes, read only where it is looked at."""
    file.seek(0)
    start = io.BytesIO(file.read(min(size, 1 << 17)))
    shape, fortran, dtype = _check_header(start, size, place)
    begin = start.tell()
    if not math.prod(shape):
        return np.empty(shape, dtype)
    mapped: Any = np.memmap(file, dtype, "r", begin, shape, "F" if fortran else "C")
    return mapped


def _read_array(file: IO[bytes], size: int, place: str) -> Array:
    """Return the one array of a file of so many bytes."""
    start = io.BytesIO(file.read(min(size, 1 << 17)))  # NumPy's own headers have some hundred bytes
    shape, fortran, dtype = _check_header(start, size, place)
    count = math.prod(shape)
    needed = count * dtype.itemsize
    check_memory(place, needed, "for its array")
    data = bytearray(start.read())
    while len(data) < needed and (chunk := file.read(min(_CHUNK, needed - len(data)))):
        data += chunk
    if len(data) != needed:
        raise DataError(f"{place}: cannot be read as NumPy's: it ends before its array does. Is it damaged?")
    return np.frombuffer(data, dtype=dtype, count=count).reshape(shape, order="F" if fortran else "C")


def _check_header(start: io.BytesIO, size: int, place: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and dtype by the header of a file of so many bytes, compared with what is there."""
    try:
        shape, fortran, dtype = _read_header(start)
    except Exception as error:  # noqa: BLE001  # a header is Python's own syntax, whose parsers raise nearly anything
        raise DataError(f"{place}: cannot be read as NumPy's: {first_line(error)}.") from None
    if dtype.hasobject:
        raise DataError(f"{place}: cannot be read as NumPy's: Object arrays cannot be loaded when allow_pickle=False.")
    count = math.prod(shape)
    if dtype.itemsize == 0 and count:
        raise DataError(f"{place}: holds {count:,} items of no size; give it numbers or words.")
    needed, held = count * dtype.itemsize, size - start.tell()
    if needed != held:
        raise DataError(
            f"{place}: cannot be read as NumPy's: an array of shape {shape} and dtype {shown(dtype)} has {needed:,} "
            f"bytes, but {held:,} follow its header. Is it damaged?"
        )
    return shape, fortran, dtype


def _read_header(file: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        found = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        found = np.lib.format.read_array_header_2_0(file)
    elif version == (3, 0):  # as 2.0, in UTF-8, for fields whose names need it; NumPy has no public reader of it
        found = _read_header_in_utf8(file)
    else:
        raise ValueError(f"it has the format {version[0]}.{version[1]}, which is not known")
    shape, fortran, dtype = found
    if any(length < 0 for length in shape):
        raise ValueError(f"its shape {shape} has a negative length")
    return shape, fortran, dtype


def _read_header_in_utf8(file: io.BytesIO) -> tuple[Any, Any, np.dtype[Any]]:
    (length,) = struct.unpack("<I", file.read(4))
    if length > _MOST_HEADER:
        raise ValueError(f"its header has {length:,} bytes")
    table = ast.literal_eval(file.read(length).decode())
    if not isinstance(table, dict) or table.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError("its header is none of NumPy's")
    shape, fortran = table["shape"], table["fortran_order"]
    if not (isinstance(shape, tuple) and all(isinstance(size, int) for size in shape) and isinstance(fortran, bool)):
        raise ValueError("its header is none of NumPy's")
    return shape, fortran, np.lib.format.descr_to_dtype(table["descr"])


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, without its full stop."""
    text = str(error).strip().splitlines()
    return shown(text[0].rstrip(".")) if text else type(error).__name__
