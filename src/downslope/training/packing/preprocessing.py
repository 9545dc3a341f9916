"""From what a person has to a model's inputs, as modules: what a run keeps of its inputs, as part of a graph.

A reader works on files, these on numbers: pixels of 8 bits, cells of a table, indices of words. In the same order and
precision, so that both give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from downslope.training.data import Dataset
from downslope.training.data.array_reader import KeptArrays
from downslope.training.data.image_reader import KeptImages
from downslope.training.data.table_reader import KeptTable
from downslope.training.packing.raw_inputs import Preprocessing, RawInput
from downslope.training.packing.table_cells import TableCells

_HIGHEST = 255
_FEW = 8


class AsTheyAre(Preprocessing):
    """Inputs that reach the model unchanged."""

    def __init__(self, dataset: Dataset, name: str, meaning: str) -> None:
        super().__init__()
        form = dataset.train_inputs
        self.inputs = (RawInput(name=name, dtype=form.dtype, shape=tuple(form.shape[1:]), meaning=meaning),)
        self.steps = ()

    def forward(self, *raw: Tensor) -> Tensor:
        """Return them."""
        return raw[0]

    def invert(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return them."""
        return (inputs,)


class Scaled(Preprocessing):
    """Pixels of 8 bits as fractions of 1, or other numbers, shifted and scaled where the run did so."""

    def __init__(self, raw: RawInput, scaling: Sequence[Any] | None, before: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.inputs = (raw,)
        self._pixels = raw.dtype == torch.uint8
        self._scaled = scaling is not None
        mean, deviation = scaling or (0.0, 1.0)
        self.register_buffer("mean", torch.from_numpy(np.array(mean, dtype=np.float32)))
        self.register_buffer("deviation", torch.from_numpy(np.array(deviation, dtype=np.float32)))
        self.steps = (
            *before,
            *([f"divided by {_HIGHEST}"] if self._pixels else []),
            *([f"the mean subtracted, {_listed(mean)}; divided by {_listed(deviation)}"] if self._scaled else []),
        )

    def forward(self, *raw: Tensor) -> Tensor:
        """Return scaled numbers, float32."""
        numbers = raw[0]
        if self._pixels:
            numbers = numbers.float() / _HIGHEST
        return (numbers - self.get_buffer("mean")) / self.get_buffer("deviation") if self._scaled else numbers

    def invert(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return numbers before they were scaled, pixels rounded to their 8 bits."""
        numbers = inputs * self.get_buffer("deviation") + self.get_buffer("mean") if self._scaled else inputs
        return ((numbers * _HIGHEST).round().clamp(0, _HIGHEST).to(torch.uint8),) if self._pixels else (numbers,)


def build_preprocessing(dataset: Dataset) -> Preprocessing:
    """Return what turns raw inputs into a run's: of its own kind where it keeps how, otherwise as the model takes them.

    Args:
        dataset: The run's data, or what it keeps of them.
    """
    kept = None if dataset.reader is None else dataset.reader.kept()
    if isinstance(kept, KeptTable):
        return TableCells(kept)
    if isinstance(kept, KeptImages):
        channels = 1 if kept.options.get("colour") == "grey" else 3
        reduced = ", a JPEG decoded at a reduced scale first, by `draft`" if kept.options.get("reduced") is True else ""
        scaled = f"scaled to this size by bilinear interpolation, as Pillow's `resize` does{reduced}"
        before = (
            "before they are given: turned as the camera noted, and what is transparent laid over white",
            *([f"before they are given: {scaled}"] if kept.options.get("size") is not None else []),
        )
        by_channel = None if kept.scaling is None else tuple(np.reshape(one, (-1, 1, 1)) for one in kept.scaling)
        return Scaled(_pixels(channels, kept.height, kept.width), by_channel, before)
    if isinstance(kept, KeptArrays):
        return _of_arrays(kept, dataset)
    meaning = f"as the model takes them: scaled as those of data.name = '{dataset.name}' are"
    return AsTheyAre(dataset, "inputs", meaning)


def _of_arrays(kept: KeptArrays, dataset: Dataset) -> Preprocessing:
    if kept.kind == "indices":
        return AsTheyAre(dataset, "indices", "whole numbers from 0 that stand for something, such as words")
    shape = tuple(dataset.train_inputs.shape[1:])
    if kept.kind == "pixels" and kept.layout is not None:
        return Scaled(_pixels(*shape), kept.scaling)
    if kept.kind == "pixels":
        meaning = f"whole numbers from 0 to {_HIGHEST}"
        return Scaled(RawInput(name="pixels", dtype=torch.uint8, shape=shape, meaning=meaning), kept.scaling)
    order = "" if kept.layout is None else ": channels, rows, columns"
    raw = RawInput(name="numbers", dtype=torch.float32, shape=shape, meaning=f"numbers as the files have them{order}")
    return Scaled(raw, kept.scaling)


def _pixels(channels: int, height: int, width: int) -> RawInput:
    colours = {1: "grey", 3: "red, green, blue"}.get(channels, f"{channels} of them")
    return RawInput(
        name="pixels",
        dtype=torch.uint8,
        shape=(channels, height, width),
        meaning=f"pixels from 0 to {_HIGHEST}: channels ({colours}), rows from the top, columns from the left",
    )


def _listed(values: Any) -> str:
    """Return the numbers of a scaling; of very many, how many they are."""
    flat = np.array(values, dtype=np.float32).ravel().tolist()
    return (
        ", ".join(f"{value:.6g}" for value in flat) if len(flat) <= 8 else f"each of {len(flat):,} numbers by its own"
    )
