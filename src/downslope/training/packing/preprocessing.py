"""From what a person has to a model's inputs, as modules: what a run keeps of its inputs, as part of a graph.

A reader works on files, these on numbers: pixels of 8 bits, cells of a table, indices of words. In the same order and
precision, so that both give the same bits.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from downslope.training.data import Dataset
from downslope.training.data.array_reader import KeptArrays
from downslope.training.data.image_reader import KeptImages
from downslope.training.data.table_reader import KeptTable

_HIGHEST = 255
_MISSING = -1
"""The index of a word that is missing."""


@dataclass(frozen=True, kw_only=True)
class RawInput:
    """One input of a packed model.

    Attributes:
        name: What it is called.
        dtype: Of its numbers.
        shape: Of one example.
        meaning: What it is, in a sentence.
        columns: Of a table, the columns in order.
        words: Of columns of words, the words of each in the order of their indices.
    """

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    meaning: str
    columns: tuple[str, ...] = ()
    words: tuple[tuple[str, ...], ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return what the packed file says of it."""
        return {
            "name": self.name,
            "dtype": str(self.dtype).removeprefix("torch."),
            "shape": ["batch", *self.shape],
            "meaning": self.meaning,
            **({"columns": list(self.columns)} if self.columns else {}),
            **({"words": dict(zip(self.columns, map(list, self.words), strict=True))} if self.words else {}),
        }


class Preprocessing(nn.Module):
    """Makes a model's inputs of raw ones, by itself: they are what they are.

    Attributes:
        inputs: What is given, in order.
        steps: What is done to it, a sentence each.
    """

    inputs: tuple[RawInput, ...]
    steps: tuple[str, ...]

    @abstractmethod
    def forward(self, *raw: Tensor) -> Tensor:
        """Return the model's inputs."""

    @abstractmethod
    def invert(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return raw inputs of which `forward` makes these again, but for rounding."""

    def make_up(self, dataset: Dataset, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return raw inputs of so many examples, such that the model's lie where those learned from lay."""
        form, (low, high) = dataset.train_inputs, dataset.range_of_inputs()
        drawn = torch.rand((count, *form.shape[1:]), generator=generator, dtype=torch.float64) * (high - low) + low
        return self.invert((drawn if form.dtype.is_floating_point else drawn.round()).to(form.dtype))


class AsTheyAre(Preprocessing):
    """Inputs that reach the model unchanged."""

    def __init__(self, dataset: Dataset, name: str, meaning: str) -> None:
        super().__init__()
        form = dataset.train_inputs
        self.inputs = (RawInput(name=name, dtype=form.dtype, shape=tuple(form.shape[1:]), meaning=meaning),)
        self.steps = ()

    def forward(self, *raw: Tensor) -> Tensor:
        return raw[0]

    def invert(self, inputs: Tensor) -> tuple[Tensor, ...]:
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
        numbers = raw[0]
        if self._pixels:
            numbers = numbers.float() / _HIGHEST
        return (numbers - self.get_buffer("mean")) / self.get_buffer("deviation") if self._scaled else numbers

    def invert(self, inputs: Tensor) -> tuple[Tensor, ...]:
        numbers = inputs * self.get_buffer("deviation") + self.get_buffer("mean") if self._scaled else inputs
        return ((numbers * _HIGHEST).round().clamp(0, _HIGHEST).to(torch.uint8),) if self._pixels else (numbers,)


class TableCells(Preprocessing):
    """Cells of a table: numbers standardised, words as one input each, missing ones filled where the run does so."""

    def __init__(self, kept: KeptTable) -> None:
        super().__init__()
        numbers = [name for name in kept.features if name in kept.centres]
        worded = [name for name in kept.features if name in kept.words]
        nan = float("nan")
        found: dict[str, Any] = {
            "mean": [kept.centres[name][0] for name in numbers],
            "deviation": [kept.centres[name][1] for name in numbers],
            "filling": [kept.filling[name][0] if name in kept.filling else nan for name in numbers],
            "word_filling": [
                value for name in worded for value in kept.filling.get(name, (nan,) * len(kept.words[name]))
            ],
        }
        for name, values in found.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64))
        counts = [len(kept.words[name]) for name in worded]
        self.register_buffer("owner", torch.tensor([at for at, count in enumerate(counts) for _ in range(count)]).long())
        self.register_buffer("code", torch.tensor([code for count in counts for code in range(count)]).long())
        self.register_buffer("count", torch.tensor(counts).long())
        # numbers come first, then each column's words; the model has them in the order of the features
        begins = dict(zip(worded, np.cumsum([len(numbers), *counts]).tolist(), strict=False))
        order: list[int] = []
        for name in kept.features:
            order += (
                [numbers.index(name)]
                if name in kept.centres
                else list(range(begins[name], begins[name] + len(kept.words[name])))
            )
        self.register_buffer("order", torch.tensor(order))
        self._has = bool(numbers), bool(worded)
        filled = kept.options.get("missing") == "mean"
        missing = "filled as the run fills it" if filled else "not allowed: the outputs are NaN"
        self.inputs = (
            *(
                [
                    RawInput(
                        name="numbers",
                        dtype=torch.float64,
                        shape=(len(numbers),),
                        meaning=f"the cells of these columns as numbers; NaN for a missing one, which is {missing}",
                        columns=tuple(numbers),
                    )
                ]
                if numbers
                else []
            ),
            *(
                [
                    RawInput(
                        name="words",
                        dtype=torch.int64,
                        shape=(len(worded),),
                        meaning=(
                            "for each of these columns the index of its cell among its words, from 0; "
                            f"{_MISSING} for a missing one, which is {missing}; any other number for a word that the "
                            "run has not seen: the outputs are NaN"
                        ),
                        columns=tuple(worded),
                        words=tuple(kept.words[name] for name in worded),
                    )
                ]
                if worded
                else []
            ),
        )
        scaled = any(centre != (0.0, 1.0) for centre in kept.centres.values())
        self.steps = (
            *(["numbers: the column's mean subtracted, divided by its deviation"] if scaled else []),
            *(["words: one input for each word of a column, 1 where it stands, otherwise 0"] if worded else []),
            *(["missing cells: the mean of the column's inputs over the rows learned from"] if filled else []),
        )

    def forward(self, *raw: Tensor) -> Tensor:
        parts: list[Tensor] = []
        if self._has[0]:
            numbers = (raw[0] - self.get_buffer("mean")) / self.get_buffer("deviation")
            parts.append(torch.where(raw[0].isnan(), self.get_buffer("filling"), numbers))
        if self._has[1]:
            words = raw[-1]
            each = words[:, self.get_buffer("owner")]
            one_hot = (each == self.get_buffer("code")).double()
            one_hot = torch.where(each == _MISSING, self.get_buffer("word_filling"), one_hot)
            unknown = (each < _MISSING) | (each >= self.get_buffer("count")[self.get_buffer("owner")])
            parts.append(torch.where(unknown, float("nan"), one_hot))
        return torch.cat(parts, 1)[:, self.get_buffer("order")].float()

    def invert(self, inputs: Tensor) -> tuple[Tensor, ...]:
        encoded = torch.empty_like(inputs, dtype=torch.float64)
        encoded[:, self.get_buffer("order")] = inputs.double()
        mean, owner = self.get_buffer("mean"), self.get_buffer("owner")
        raw: list[Tensor] = []
        if self._has[0]:
            raw.append(encoded[:, : len(mean)] * self.get_buffer("deviation") + mean)
        if self._has[1]:
            one_hot, codes = encoded[:, len(mean) :], self.get_buffer("code")
            words = torch.full((len(inputs), len(self.get_buffer("count"))), _MISSING)
            for column in range(words.shape[1]):
                mine = owner == column
                found = (one_hot[:, mine] == 1).int()
                words[:, column] = torch.where(found.any(1), codes[mine][found.argmax(1)], _MISSING)
            raw.append(words)
        return tuple(raw)

    def make_up(self, dataset: Dataset, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        mean, deviation, words = (self.get_buffer(name) for name in ("mean", "deviation", "count"))
        drawn = torch.rand((count, len(mean) + len(words)), generator=generator, dtype=torch.float64)
        numbers = mean + (4 * drawn[:, : len(mean)] - 2) * deviation
        raw = (numbers, (drawn[:, len(mean) :] * words).long())
        return tuple(one for one, there in zip(raw, self._has, strict=True) if there)


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
        scaled = "scaled to this size by bilinear interpolation, as Pillow's `resize` does"
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
    return ", ".join(f"{value:.6g}" for value in flat) if len(flat) <= 8 else f"each of {len(flat):,} numbers by its own"
