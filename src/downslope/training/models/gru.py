"""A recurrent classifier: gated recurrent units over a sequence, and a dense layer on the last state.

References:
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
    EMNLP 2014, section 2.3; in the form of torch.nn.GRU, whose reset gate acts on the product with the state.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from downslope.core.errors import DataError
from downslope.training.models.heads import build_head, check_inputs
from downslope.training.user_code import read_options, refuse_hidden

if TYPE_CHECKING:
    from downslope.recipe.schema import Model
    from downslope.training.data import Dataset

SHAPES = "(examples, steps) or (examples, steps, features)"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The network's size.

    Attributes:
        units: Units of each layer and direction, >= 1.
        layers: Layers, >= 1.
        bidirectional: Whether to read the sequence backwards too, with units of its own.
        dropout: Fraction of the units dropped between layers, in [0, 1); needs two layers.
        pool: What the dense layer sees: the "last" state of each direction, or the "mean" of all states.
    """

    units: int = 64
    layers: int = 1
    bidirectional: bool = False
    dropout: float = 0.0
    pool: Literal["last", "mean"] = "last"

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("units", "layers"):
            if (value := getattr(self, name)) < 1:
                raise DataError(f"`{name}` must be >= 1; got {value}.")
        if not 0 <= self.dropout < 1:
            raise DataError(f"`dropout` must be in [0, 1); got {self.dropout}.")
        if self.dropout and self.layers == 1:
            raise DataError(f"`dropout` acts between layers, and there is one; got {self.dropout}. Use layers = 2.")


class Recurrence(nn.Module):
    """A sequence, (examples, steps) or (examples, steps, features), read into one vector."""

    def __init__(self, features: int, options: Options) -> None:
        super().__init__()
        self.gru = nn.GRU(
            features,
            options.units,
            options.layers,
            batch_first=True,
            dropout=options.dropout,
            bidirectional=options.bidirectional,
        )
        self.directions = 2 if options.bidirectional else 1
        self.pool = options.pool

    def forward(self, sequence: Tensor) -> Tensor:
        """Return a tensor of shape (examples, directions * units)."""
        states, last = self.gru(sequence.unsqueeze(2) if sequence.ndim == 2 else sequence)
        if self.pool == "mean":
            return states.mean(1)
        return torch.cat(tuple(last[-self.directions :]), dim=1)


def build(model: Model, dataset: Dataset) -> nn.Module:
    """Return the network for sequences of numbers, (steps,), or of vectors, (steps, features)."""
    refuse_hidden("gru", model.hidden, "units, layers")
    options = read_options(Options, model.options, "model")
    inputs = dataset.train_inputs
    check_inputs("gru", dataset, SHAPES, (2, 3))
    features = 1 if inputs.ndim == 2 else inputs.shape[2]
    width = options.units * (2 if options.bidirectional else 1)
    layers = [("recurrence", Recurrence(features, options)), *build_head("gru", width, dataset)]
    return nn.Sequential(OrderedDict(layers)).to(inputs.dtype)
