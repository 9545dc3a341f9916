"""Inputs on the disk as a model takes them: written once, in a file without a name, and mapped into memory.

Whoever is killed, nothing is left of it. It lies where Python's `tempfile` puts files (TMPDIR).
"""

from __future__ import annotations

import mmap
import shutil
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.data.rows import Read, Source, Watch

_SPARE = 2**28
"""How many bytes of a disk are left free."""

_SEEN = 2**27
"""After so many bytes that were looked at, the system is told that they need not stay in this process's memory."""


class Spool(Source):
    """Rows of numbers in a file without a name.

    Args:
        count: How many rows there will be.
        width: How many numbers each has.
        place: What messages call the data.

    Raises:
        DataError: If the disk has no room for them.
    """

    def __init__(self, count: int, width: int, place: str) -> None:
        """Make the file; it is full once `count` rows are written."""
        self.shape = (width,)
        self._count, self._place = count, place
        self._seen, self._lock = 0, threading.Lock()
        folder, size = tempfile.gettempdir(), count * width * 4
        free = shutil.disk_usage(folder).free
        if size + _SPARE > free:
            raise DataError(
                f"{place}: needs {size:,} bytes in {shown(folder)} for {count:,} rows as the model takes them; "
                f"{free:,} are free there. Set TMPDIR to a folder on a disk with room, or data.in_memory = true."
            )
        self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115  it is closed with the spool
        self._map: Any = None
        self._rows: Any = None

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._count

    def describe(self, index: int) -> str:
        """Return what messages call a row."""
        return f"{self._place}, example {index}"

    def write(self, rows: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        """Write the next rows.

        Raises:
            DataError: If the disk is full.
        """
        try:
            self._file.write(np.ascontiguousarray(rows).data)
        except OSError as error:
            raise DataError(
                f"{self._place}: cannot be written to {shown(tempfile.gettempdir())}: {error.strerror or error}. Set "
                "TMPDIR to a folder on a disk with room."
            ) from None

    def finish(self) -> None:
        """All rows are written: from now on they are read."""
        self._file.flush()
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._rows = np.frombuffer(self._map, np.float32).reshape(self._count, *self.shape)

    def read(self, indices: Sequence[int], epoch: int, watch: Watch) -> Read:
        """Return rows, in memory."""
        found = self._rows.take(indices, axis=0)
        with self._lock:
            self._seen += len(indices) * max(found[0].nbytes, mmap.PAGESIZE)
            full = self._seen > _SEEN
            if full:
                self._seen = 0
        if full and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)  # they stay in the system's own cache while there is room
        return Read(torch.from_numpy(found))
