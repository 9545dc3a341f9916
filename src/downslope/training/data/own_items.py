"""Items of a person's own map-style Dataset, read when they are needed.

What an item draws at random is a function of (seed, epoch, index): before each, the global generators of torch, NumPy
and random are seeded. So it does not matter which process reads it, nor what was read before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils import data as torch_data

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.data.checking import bad_data, describe_kind, to_tensor
from downslope.training.data.dataset import lazy_checksum
from downslope.training.data.rows import Read, Rows, Source, Watch
from downslope.training.run.randomness import reseed_example
from downslope.training.user_code import FAILURES, describe

_SAMPLE = 64
"""How many inputs, evenly spaced, tell whether data have changed whose targets are known without reading them."""

Collate = Callable[[list[Any]], Any]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a person's function gave.

    Attributes:
        parts: "all", or "train" and "held_out", or "test" -> a Dataset.
        collate: Makes a batch of items; None for the usual way.
        classes: How many there are, if that was said.
        test: A Dataset for one look at the end, which training does not read; None if there is none.
    """

    parts: Mapping[str, Any]
    collate: Collate | None = None
    classes: Any = None
    test: Any = None

    def sources(self, name: str, seed: int) -> dict[str, ItemSource]:
        """Return a source for each part."""
        called = {
            "all": "it",
            "train": "the first Dataset",
            "held_out": "the second Dataset",
            "test": "the test Dataset",
        }
        return {
            key: ItemSource(name, seed, key, called[key], dataset, self.collate) for key, dataset in self.parts.items()
        }


class ItemSource(Source):
    """The items of one Dataset.

    Args:
        name: The recipe's `data.name`.
        seed: The recipe's seed.
        key: Which part it is.
        called: What messages call it.
        dataset: The Dataset.
        collate: Makes a batch of items; None for the usual way.
    """

    def __init__(self, name: str, seed: int, key: str, called: str, dataset: Any, collate: Collate | None) -> None:
        self.name, self.called, self.dataset = name, called, dataset
        self._seed, self._key, self._collate = seed, key, collate
        try:
            self._count = len(dataset)
        except FAILURES as error:
            raise bad_data(name, f"{called} has no length: {describe(error)}") from error
        if self._count == 0:
            raise bad_data(name, f"{called} holds no example.")

    def __len__(self) -> int:
        """Return how many items there are."""
        return self._count

    def describe(self, index: int) -> str:
        """Return what messages call an item."""
        return f"data.name = '{shown(self.name)}': item {index} of {self.called}"

    def read(self, indices: Sequence[int], epoch: int, watch: Watch) -> Read:
        """Return items, each drawn anew for the epoch."""
        items: list[Any] = []
        for index in indices:
            watch(index)
            reseed_example(self._seed, self._key, epoch, index)
            items.append(get_item(self.name, self.dataset, index, self.called, pair=self._collate is None))
        if self._collate is not None:
            reseed_example(self._seed, f"{self._key}, batch", epoch, *indices)
            return self._collated(self._collate, items, indices)
        inputs, targets = [plain(item[0]) for item in items], [plain(item[1]) for item in items]
        return Read(self._array("inputs", inputs, indices), self._array("targets", targets, indices))

    def target_list(self) -> Any:
        """Return the targets that the Dataset has besides, as torchvision's have, if they are its items' own; or None.

        Some items are read to make sure.
        """
        if self._collate is not None:
            return None
        found = _attribute(self.dataset, "targets")
        try:
            found = found if found is None else to_tensor(self.name, "targets", found)
        except DataError:
            return None
        if found is None or len(found) != len(self):
            return None
        probes = _evenly(len(self), 8)
        read = self.read(probes, 0, Watch()).targets
        same = read is not None and read.dtype == found.dtype and torch.equal(read, found[torch.tensor(probes)])
        return found if same else None

    def class_names(self) -> tuple[str, ...]:
        """Return the names of classes that the Dataset has, as torchvision's do, or nothing."""
        return class_names_of(self.dataset)

    def _array(self, what: str, values: list[Any], indices: Sequence[int]) -> torch.Tensor:
        try:
            return to_tensor(self.name, what, values)
        except DataError as error:
            for index, value in zip(indices, values, strict=True):  # which of them?
                try:
                    to_tensor(self.name, what, [value])
                except DataError as single:
                    why = str(single).partition(f"{what} ")[2] or str(single)
                    raise DataError(f"{self.describe(index)}: {what} {why}") from None
            kinds = {(getattr(value, "shape", None), getattr(value, "dtype", type(value))) for value in values}
            if len(kinds) > 1:
                odd = next(place for place in range(1, len(values)) if _kind(values[place]) != _kind(values[0]))
                raise DataError(
                    f"{self.describe(indices[odd])}: all {what} must be of one shape and dtype; this is "
                    f"{_tell(values[odd])}, and item {indices[0]} {_tell(values[0])}. Give a `collate` of your own to "
                    "make a batch of them."
                ) from None
            raise error from None

    def _collated(self, collate: Collate, items: list[Any], indices: Sequence[int]) -> Read:
        place = f"its collate of {len(items)} items of {self.called}, the first is item {indices[0]},"
        try:
            batch = collate(items)
        except FAILURES as error:
            raise bad_data(self.name, f"{place} raised {describe(error)}") from error
        if not (isinstance(batch, tuple | list) and len(batch) == 2):
            raise bad_data(self.name, f"{place} must return (inputs, targets); got {describe_kind(batch)}.")
        inputs, targets = (
            to_tensor(self.name, f"what {place} returned as {what}", part)
            for what, part in zip(("inputs", "targets"), batch, strict=True)
        )
        if len(inputs) != len(items) or len(targets) != len(items):
            raise bad_data(
                self.name, f"{place} returned {len(inputs)} inputs and {len(targets)} targets; there must be as many."
            )
        return Read(inputs, targets)


def look_through(rows: Rows, source: ItemSource, digest: Any) -> tuple[torch.Tensor, tuple[float, float]]:
    """Return all targets, and the smallest and largest number among inputs, and add what was read to the digest.

    Where the Dataset has its targets besides, a sample of its inputs is read; otherwise everything is, once.
    """
    targets = source.target_list()
    if targets is not None:
        sample = rows[torch.tensor(_evenly(len(rows), _SAMPLE))]
        parts = [read.inputs for read in sample.read_all()]
        _add(digest, [targets, *parts])
        return targets, _ends(parts)
    found: list[torch.Tensor] = []
    low, high = np.inf, -np.inf
    for read in rows.read_all():
        if read.targets is None:
            raise bad_data(source.name, f"{source.called} gave no targets.")
        found.append(read.targets)
        _add(digest, read)
        ends = _ends([read.inputs])
        low, high = min(low, ends[0]), max(high, ends[1])
        if found[0].shape[1:] != read.targets.shape[1:] or found[0].dtype != read.targets.dtype:
            some, first = (f"{one.dtype} of shape {tuple(one.shape[1:])}" for one in (read.targets, found[0]))
            raise bad_data(
                source.name,
                f"all targets of {source.called} must be of one shape and dtype; some are {some}, and "
                f"the first ones {first}.",
            )
    return torch.cat(found), (low, high)


def checksum(digest: Any, names: tuple[str, ...]) -> str:
    """Return the fingerprint of what was added to a digest."""
    digest.update(repr(names).encode())
    return lazy_checksum(digest)


def begin_digest() -> Any:
    """Return a digest to add examples to."""
    return hashlib.blake2b(digest_size=16)


def get_item(name: str, dataset: Any, number: int, called: str, *, pair: bool = True) -> Any:
    """Return an item of a Dataset: (input, target), or whatever it is where that need not be."""
    try:
        item: Any = dataset[number]
    except FAILURES as error:
        raise bad_data(name, f"item {number} of {called} raised {describe(error)}") from error
    if not pair or (isinstance(item, tuple | list) and len(item) == 2):
        return item
    got = describe_kind(item)
    if isinstance(item, Mapping):
        keys = ", ".join(shown(repr(key), 40) for key in list(item)[:8])
        got = f"{type(item).__name__} with {keys}"
    raise bad_data(
        name,
        f"item {number} of {called} must be (input, target); got {got}. A `collate` of your own may make a batch of "
        "other items.",
    )


def plain(value: Any) -> Any:
    """Return a part of an item as it can be put into an array; an image as torchvision's ToTensor has it."""
    if hasattr(value, "getbands") and hasattr(value, "convert"):
        from downslope.training.data.image_files import pixels_of

        return pixels_of(value, "grey" if value.getbands() in {("1",), ("L",)} else "rgb", None)
    return value.item() if isinstance(value, np.generic) else value


def class_names_of(dataset: Any) -> tuple[str, ...]:
    """Return the names of classes that a Dataset has, as torchvision's do, or nothing."""
    while isinstance(dataset, torch_data.Subset):
        dataset = dataset.dataset
    names: Any = getattr(dataset, "classes", None)
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        return ()
    return tuple(names) if len(set(names)) == len(names) else ()


def _attribute(dataset: Any, name: str) -> Any:
    """Return an attribute of a Dataset, of a Subset those of its items; None if there is none."""
    if isinstance(dataset, torch_data.Subset):
        found = _attribute(dataset.dataset, name)
        try:
            return None if found is None else [found[index] for index in dataset.indices]
        except FAILURES:
            return None
    found = getattr(dataset, name, None)
    return found if isinstance(found, list | tuple | np.ndarray | torch.Tensor) and len(found) else None


def _evenly(count: int, most: int) -> list[int]:
    return sorted(set(np.linspace(0, count - 1, min(count, most)).astype(int).tolist()))


def _add(digest: Any, parts: Any) -> None:
    for tensor in parts:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)


def _ends(parts: Sequence[torch.Tensor]) -> tuple[float, float]:
    return min(float(part.min()) for part in parts), max(float(part.max()) for part in parts)


def _kind(value: Any) -> tuple[Any, Any]:
    return getattr(value, "shape", None), getattr(value, "dtype", type(value))


def _tell(value: Any) -> str:
    shape, dtype = _kind(value)
    return f"of type {type(value).__name__}" if shape is None else f"{dtype} of shape {tuple(shape)}"
