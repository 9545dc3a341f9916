"""What a packed model takes: raw inputs, and what makes the model's own of them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from downslope.training.data import Dataset


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
        meaning_as_text: What it is where words are given as text.
    """

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    meaning: str
    columns: tuple[str, ...] = ()
    words: tuple[tuple[str, ...], ...] = ()
    meaning_as_text: str = ""

    def facts(self, *, as_text: bool = False) -> dict[str, Any]:
        """Return what the packed file says of it; `as_text` where words are given as text."""
        is_text = as_text and bool(self.words)
        return {
            "name": self.name,
            "dtype": "string" if is_text else str(self.dtype).removeprefix("torch."),
            "shape": ["batch", *self.shape],
            "meaning": self.meaning_as_text if is_text else self.meaning,
            **({"columns": list(self.columns)} if self.columns else {}),
            **({"words": dict(zip(self.columns, map(list, self.words), strict=True))} if self.words else {}),
        }


class Preprocessing(nn.Module):
    """Makes a model's inputs of raw ones.

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
