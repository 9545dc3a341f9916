"""Files that somebody else wrote: of which format they are, and zip archives among them, unpacked within bounds.

`.keras` files and PyTorch's are zip archives. The sizes of all members are added up before one is unpacked, and no
member gives more than it declares. Two members of one name are refused: which is meant would depend on who reads.
"""

from __future__ import annotations

import lzma
import os
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import BinaryIO, Literal

from downslope.converting.snapshot import damaged
from downslope.core.bounds import check_unpacked
from downslope.core.errors import StateError
from downslope.core.files import open_regular
from downslope.core.shown import shown

Format = Literal["torch", "keras", "hdf5", "safetensors", "msgpack"]

_PROMISES = (".safetensors", ".msgpack", ".keras", ".h5", ".hdf5")
_READ = "PyTorch's, safetensors, flax's msgpack, and Keras's .keras and .weights.h5"
_LONGEST_HEADER = 100_000_000
"""The limit of the safetensors format itself, in bytes."""
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError),
    *(ValueError, LookupError, OverflowError, NotImplementedError, RuntimeError, TypeError),
)
"""What the standard library raises for archives that are damaged, encrypted or packed in an unknown way."""


def format_of(path: Path) -> Format:
    """Return the format of a file: "torch" (a zip archive or pickle), "keras", "hdf5", "safetensors" or "msgpack".

    The file's name does not count.

    Raises:
        StateError: If it is no regular file, damaged, or of none of these formats.
    """
    try:
        with open_regular(path, StateError) as file:
            head = file.read(512)
            size = os.fstat(file.fileno()).st_size
            if head.startswith(b"PK\x03\x04"):
                with open_archive(file, path) as archive:
                    found = _in_archive(path, archive.namelist())
            else:
                found = _by_first_bytes(path, head, size)
    except FileNotFoundError:
        raise StateError(f"{shown(path)}: there is no such file.") from None
    except OSError as error:
        raise StateError(f"{shown(path)}: cannot be read: {error.strerror or error}.") from None
    # What is in a file decides, since names such as .bin or .state say little. But a name that promises a format in
    # which nothing can be a program was not given by somebody who meant a pickle to be opened, however carefully.
    if found == "torch" and path.name.endswith(_PROMISES):
        raise damaged(path, "it is a pickle, as PyTorch writes them. If you trust it, call it .pt")
    return found


def _in_archive(path: Path, names: list[str]) -> Format:
    if "model.weights.h5" in names or "config.json" in names:
        return "keras"
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return "torch"
    if names and all(name.endswith(".npy") for name in names):
        raise StateError(
            f"{shown(path)}: is an archive of NumPy arrays, which does not say what is a velocity. Save them with "
            'safetensors.numpy.save_file({"velocity.NAME": array, ...}, "run.safetensors").'
        )
    raise damaged(path, f"its zip archive holds neither PyTorch's data.pkl nor a Keras model. Read are {_READ}")


def _by_first_bytes(path: Path, head: bytes, size: int) -> Format:
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= min(size - 8, _LONGEST_HEADER):
        return "safetensors"
    if head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return "torch"  # a pickle, which is what torch wrote before 1.6
    if head[257:262] == b"ustar":
        raise StateError(
            f"{shown(path)}: is a tar archive, as torch wrote before 0.4, which cannot be read safely. Load it with "
            "torch where it was made, and save optimizer.state_dict() again."
        )
    if head and (head[0] & 0xE0 == 0x80 or head[0] in {0xDC, 0xDD, 0xDE, 0xDF}):  # a table or a list
        return "msgpack"
    raise damaged(path, f"its content is none that is read here: {_READ}" if size else "it is empty")


def open_archive(file: BinaryIO, path: Path) -> zipfile.ZipFile:
    """Return an archive whose members are what they declare, in sum within bounds.

    Raises:
        StateError: If it is damaged, declares too much, or has two members of one name.
    """
    try:
        archive = zipfile.ZipFile(file)
    except BROKEN as error:
        raise damaged(path, error) from None
    members = archive.infolist()
    twice = [name for name, count in Counter(member.filename for member in members).items() if count > 1]
    if twice:
        raise damaged(path, f"it has two members called {twice[0]!r}")
    check_unpacked(path, sum(member.file_size for member in members), os.fstat(file.fileno()).st_size, StateError)
    return archive


def check_sums(archive: zipfile.ZipFile, path: Path) -> None:
    """Raise `StateError` if the checksum of a member does not fit."""
    try:
        broken = archive.testzip()
    except BROKEN as error:
        raise damaged(path, error) from None
    if broken is not None:
        raise damaged(path, f"the checksum of {broken} does not fit")


def read_member(archive: zipfile.ZipFile, name: str, path: Path, limit: int | None = None) -> bytes:
    """Return the content of a member.

    Raises:
        StateError: If there is none, it is damaged, or larger than it declares or may be.
    """
    try:
        declared = archive.getinfo(name).file_size
        if limit is not None and declared > limit:
            raise damaged(path, f"{name} declares {declared:,} bytes, and at most {limit:,} are read")
        with archive.open(name) as member:
            data = member.read(declared + 1)
    except StateError:
        raise
    except BROKEN as error:
        raise damaged(path, error) from None
    if len(data) != declared:
        raise damaged(path, f"{name} declares {declared:,} bytes and has others")
    return data
