"""How much memory a file may claim: the one place that says so for all packed and declared content.

A few kilobytes can declare terabytes: a zip member or an HDF5 chunk of zeros, a shape without data. So what a file
declares is added up before any of it is unpacked, and has to fit what the file has: at most `SLACK` + `RATIO` times its
size. Trained numbers hardly compress, so that no real state comes near. The file itself must fit into free memory.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from downslope.core.errors import DownslopeError
from downslope.core.files import MIB, open_regular
from downslope.core.shown import shown

SLACK = 256 * MIB
"""What any file may unpack to, in bytes, however small it is."""

RATIO = 32
"""How many times its own size a file may unpack to, beyond `SLACK`."""

MOST_JSON = 64 * MIB
"""The most bytes of a configuration that is unpacked from a file."""


def most_unpacked(size: int) -> int:
    """Return how many bytes a file may unpack to.

    Example:
        >>> most_unpacked(0) == 256 * MIB
        True
    """
    return SLACK + RATIO * size


def check_unpacked(
    path: str | os.PathLike[str], declared: int, size: int, error: type[DownslopeError] = DownslopeError
) -> None:
    """Raise if a file declares more than it may unpack to.

    Raises:
        DownslopeError: If so; of the type `error`.
    """
    if declared > most_unpacked(size):
        raise error(
            f"{shown(path)}: declares {declared:,} bytes of content and has {size:,}; at most {most_unpacked(size):,} "
            f"are unpacked of a file of this size ({RATIO} times its own, and {SLACK // MIB} MiB). If it is what you "
            "mean, save it uncompressed."
        )


def read_whole(path: str | os.PathLike[str], error: type[DownslopeError] = DownslopeError) -> bytes:
    """Return the content of a regular file, however large, as long as memory can hold it.

    Raises:
        DownslopeError: If so; of the type `error`.
        OSError: If it cannot be opened or read.
    """
    with open_regular(path, error) as file:
        size = os.fstat(file.fileno()).st_size
        check_memory(path, size, error)
        return file.read()


def check_memory(path: str | os.PathLike[str], size: int, error: type[DownslopeError] = DownslopeError) -> None:
    """Raise if a file is larger than the memory that is free, where the system tells that.

    Raises:
        DownslopeError: If so; of the type `error`.
    """
    free = _free_memory()
    if free is not None and size > free:
        raise error(f"{shown(path)}: has {size:,} bytes, and {free:,} of memory are free.")


def _free_memory() -> int | None:
    """Return the bytes of memory that can be had without swapping; None where the system does not say."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if found is None else int(found[1]) * 1024
