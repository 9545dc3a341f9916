"""Examples of an array that is larger than memory once it is numbers: they become inputs when they are needed."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from downslope.training.data.loaders import Loaders
from downslope.training.data.numpy_files import Array
from downslope.training.data.rows import Read, Rows, Source, Watch

Encode = Callable[[Array, int], torch.Tensor]
"""From some examples of an array, and the number of the first, to inputs."""


class ArrayRows(Source):
    """The rows of an array, which may be mapped into memory.

    Args:
        array: Shape (examples, ...).
        encode: Makes inputs of rows.
        place: What messages call the array.
    """

    def __init__(self, array: Array, encode: Encode, place: str) -> None:
        """Read nothing yet."""
        self._array, self._encode, self._place = array, encode, place
        base: Any = array
        while base is not None and not isinstance(base, mmap.mmap):
            base = getattr(base, "base", None)
        self._mapped: mmap.mmap | None = base

    def __len__(self) -> int:
        """Return how many examples there are."""
        return len(self._array)

    def describe(self, index: int) -> str:
        """Return what messages call an example."""
        return f"{self._place}, example {index}"

    def read(self, indices: Sequence[int], epoch: int, watch: Watch) -> Read:
        """Return inputs."""
        begin, end = indices[0], indices[-1] + 1
        watch(begin)
        in_a_row = end - begin == len(indices) and list(indices) == list(range(begin, end))
        inputs = self._encode(self._array[begin:end] if in_a_row else self._array[list(indices)], begin)
        if self._mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)  # what was read need not stay in this process's memory
        return Read(inputs)


def rows_of(array: Array, encode: Encode, place: str, loaders: int) -> Rows:
    """Return the examples of an array as rows that are read when they are needed, by so many loaders."""
    first = encode(array[:1], 0)
    source = Loaders(loaders, {"array": ArrayRows(array, encode, place)})
    return Rows("array", source, tuple(first.shape[1:]), first.dtype, np.arange(len(array)))
