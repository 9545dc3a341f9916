"""Inputs on the disk as a model takes them: written once, in a file without a name, and read by rows.

Whoever is killed, nothing is left of it. It lies where Python's `tempfile` puts files (TMPDIR).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from downslope.core.errors import DataError
from downslope.core.posix import need_posix
from downslope.core.shown import shown
from downslope.training.data.rows import Read, Source, Watch

_SPARE = 2**28
"""How many bytes of a disk are left free."""


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
        need_posix(f"{place}, read while training and not held in memory,")
        self.shape = (width,)
        self._count, self._place = count, place
        folder, size = tempfile.gettempdir(), count * width * 4
        free = shutil.disk_usage(folder).free
        if size + _SPARE > free:
            raise DataError(
                f"{place}: needs {size:,} bytes in {shown(folder)} for {count:,} rows as the model takes them; "
                f"{free:,} are free there. Set TMPDIR to a folder on a disk with room, or data.in_memory = true."
            )
        self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115  it is closed with the spool

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

    def read(self, indices: Sequence[int], epoch: int, watch: Watch) -> Read:
        """Return rows. They are read, not mapped: all that was ever looked at would count as this process's memory."""
        rows: Any = np.empty((len(indices), *self.shape), dtype=np.float32)
        memory, size, file = memoryview(rows).cast("B"), 4 * self.shape[0], self._file.fileno()
        runs = [(0, len(indices))]
        if list(indices) != list(range(indices[0], indices[0] + len(indices))):
            runs = [(place, place + 1) for place in range(len(indices))]
        for begin, end in runs:
            watch(indices[begin])
            wanted, at = memory[begin * size : end * size], indices[begin] * size
            while wanted:
                count = os.preadv(file, [wanted], at)
                if not count:
                    raise DataError(f"{self.describe(indices[begin])}: its file was cut short.")
                wanted, at = wanted[count:], at + count
        return Read(torch.from_numpy(rows))
