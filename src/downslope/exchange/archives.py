"""Zip archives that somebody else wrote: `.keras` files and PyTorch's, opened and unpacked within bounds.

The sizes of all members are added up before one is unpacked, and no member gives more than it declares. Two members of
one name are refused: which of them is meant would depend on who reads.
"""

from __future__ import annotations

import lzma
import os
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from downslope.core.bounds import check_unpacked
from downslope.core.errors import StateError
from downslope.exchange.snapshot import damaged

BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError),
    *(ValueError, LookupError, OverflowError, NotImplementedError, RuntimeError, TypeError),
)
"""What the standard library raises for archives that are damaged, encrypted or packed in an unknown way."""


def open_archive(file: BinaryIO, path: Path) -> zipfile.ZipFile:
    """Return an archive whose members are what they declare, in sum within bounds.

    Args:
        file: The opened file.
        path: Its name, for messages.

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

    Args:
        archive: From `open_archive`.
        name: Of the member.
        path: Of the archive, for messages.
        limit: The most bytes it may have, where that is less than the archive may.

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
