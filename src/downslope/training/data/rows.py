"""Inputs that are read when they are needed: what a tensor of all examples offers, without holding them.

A `Source` gives the examples of some indices. `Rows` stands where a data set otherwise has a tensor of inputs: it has
a length, a shape and a dtype, and reads by a data set's `Loaders`. What is read depends on (seed, epoch, index) alone,
so that it is the same by whichever loader, and after whichever resume.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from downslope.core.errors import DataError

if TYPE_CHECKING:
    from downslope.training.data.loaders import Loaders, Reading

_MOST_ROWS, _MOST_BYTES = 1024, 2**25
"""How large a batch is where examples are read one after another, and nothing is learned from them: constant memory."""

_REMEMBERED = 64
"""So many batches that were taken are remembered, lest they be read ahead once more."""

Indices = np.ndarray[Any, np.dtype[np.int64]]


class Read(NamedTuple):
    """Examples as they were read.

    Attributes:
        inputs: Shape (examples, ...).
        targets: Shape (examples, ...); None where they are known without reading.
    """

    inputs: Tensor
    targets: Tensor | None = None


class Watch:
    """Notes which example is being read; a source calls it before each."""

    def __call__(self, index: int) -> None:
        """Take note that the example of an index is begun."""


class Source(ABC):
    """Where examples are read from, each by its index. What it reads must not depend on what was read before."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many examples there are."""

    @abstractmethod
    def read(self, indices: Sequence[int], epoch: int, watch: Watch) -> Read:
        """Return the examples of these indices, in this order.

        Raises:
            DataError: If one cannot be read; the message names it.
        """

    @abstractmethod
    def describe(self, index: int) -> str:
        """Return what messages call an example: a file, "item 17 of its Dataset"."""


class Rows:
    """Inputs that are read when they are needed. One index or a slice reads; a tensor of indices chooses.

    Args:
        key: Which of the loaders' sources they are in.
        loaders: Read them.
        shape: Of one input.
        dtype: Of an input.
        indices: Which of the source's examples these are, in order.

    Attributes:
        shape: (examples, ...).
        dtype: Of an input.
        indices: Which of the source's examples these are, in order.
        loaders: Read them.
    """

    def __init__(
        self, key: str, loaders: Loaders, shape: tuple[int, ...], dtype: torch.dtype, indices: Indices
    ) -> None:
        """Take them; nothing is read yet."""
        self._key = key
        self.indices = indices
        self._waiting: dict[tuple[int, bytes], Reading] = {}
        self._taken: deque[tuple[int, bytes]] = deque(maxlen=_REMEMBERED)
        self.loaders = loaders
        self.shape = (len(indices), *shape)
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        """How many dimensions all inputs together have."""
        return len(self.shape)

    def dim(self) -> int:
        """Return how many dimensions all inputs together have."""
        return len(self.shape)

    def __len__(self) -> int:
        """Return how many examples there are."""
        return len(self.indices)

    def __getitem__(self, places: Any) -> Any:
        """Return the input at a place, or those of a slice; of a tensor of places, rows that are yet to be read."""
        if isinstance(places, int):
            return self.take(torch.tensor([range(len(self))[places]])).inputs[0]
        if isinstance(places, slice):
            return self.take(torch.arange(len(self))[places]).inputs
        chosen = self.indices[torch.as_tensor(places).numpy()]
        return Rows(self._key, self.loaders, self.shape[1:], self.dtype, chosen)

    def take(self, places: Tensor, epoch: int = 0) -> Read:
        """Return examples by place, as they are in an epoch.

        Raises:
            DataError: If one cannot be read, or has another form than the first.
        """
        indices = self.indices[places.numpy()]
        key = epoch, indices.tobytes()
        waiting = self._waiting.pop(key, None)
        self._taken.append(key)
        reading = self.loaders.read(self._key, indices, epoch) if waiting is None else self.loaders.wait(waiting)
        if reading.inputs.dtype != self.dtype or reading.inputs.shape[1:] != self.shape[1:]:
            first, last = self.loaders.describe(self._key, int(indices[0])), int(indices[-1])
            raise DataError(
                f"{first} and the others read with it, up to number {last}: have inputs of {reading.inputs.dtype} and "
                f"shape {tuple(reading.inputs.shape[1:])}; the first example's is {self.dtype} of shape "
                f"{self.shape[1:]}. All must be alike."
            )
        return reading

    def expect(self, jobs: Iterable[tuple[Tensor, int]]) -> None:
        """Let the loaders read ahead what will be taken next: (places, epoch), in order; what is not among it is left.

        As many are read ahead as the loaders may hold; what was taken a moment ago is not read again.
        """
        wanted: dict[tuple[int, bytes], Reading] = {}
        for places, epoch in jobs:
            if len(wanted) >= self.loaders.depth:
                break
            indices = self.indices[places.numpy()]
            key = epoch, indices.tobytes()
            if key not in wanted and (key in self._waiting or key not in self._taken):
                wanted[key] = self._waiting.pop(key, None) or self.loaders.begin(self._key, indices, epoch)
        for left in self._waiting.values():
            left.cancel()
        self._waiting = wanted

    def stream(self, size: int, places: Iterable[int]) -> Iterator[Read]:
        """Yield the batches of these places, of so many rows each, all but the last of the rows; read ahead."""
        other = Rows(self._key, self.loaders, self.shape[1:], self.dtype, self.indices)  # training's own stay ahead
        order = torch.arange(len(self))
        jobs = [(order[place * size : (place + 1) * size], 0) for place in places]
        for number, job in enumerate(jobs):
            if self.loaders.count:
                other.expect(jobs[number : number + self.loaders.depth])
            yield other.take(*job)

    def read_all(self) -> Iterator[Read]:
        """Yield all examples in order, in the batches of an evaluation."""
        size = rows_at_once(self)
        return self.stream(size, range(math.ceil(len(self) / size)))


Inputs = Tensor | Rows


def rows_at_once(inputs: Inputs) -> int:
    """Return how many rows an evaluation takes at once: a function of their form alone."""
    if isinstance(inputs, Tensor):
        return _MOST_ROWS
    size = math.prod(inputs.shape[1:]) * inputs.dtype.itemsize
    return max(1, min(_MOST_ROWS, _MOST_BYTES // max(size, 1)))


def batches_of(inputs: Inputs, places: Iterable[int]) -> Iterator[Tensor]:
    """Yield the batches of `rows_at_once` rows at these places among all batches."""
    size = rows_at_once(inputs)
    if isinstance(inputs, Tensor):
        return (inputs[place * size : (place + 1) * size] for place in places)
    return (read.inputs for read in inputs.stream(size, places))


def in_memory(inputs: Inputs) -> Tensor:
    """Return inputs as a tensor, for kinds of data that are never read otherwise."""
    return inputs if isinstance(inputs, Tensor) else inputs[:]
