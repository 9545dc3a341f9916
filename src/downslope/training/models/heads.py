"""What every classifier ends with, and what it asks of its inputs: that they are numbers of a shape that it knows."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import TYPE_CHECKING

from torch import nn

from downslope.core.errors import DataError

if TYPE_CHECKING:
    from downslope.training.data import Dataset


def build_head(model: str, features: int, dataset: Dataset) -> list[tuple[str, nn.Module]]:
    """Return the layers, by name, from features to logits, or to numbers of exactly the targets' shape.

    Raises:
        DataError: If there are classes, and more than one label an example.
    """
    shape = tuple(dataset.train_targets.shape[1:])
    if dataset.classes is not None:
        if shape:
            raise DataError(
                f"model `{model}`: classifies one label an example; got targets of shape "
                f"{tuple(dataset.train_targets.shape)}.{advise_on_rows(shape)}"
            )
        return [("logits", nn.Linear(features, dataset.logits or dataset.classes))]
    layers: list[tuple[str, nn.Module]] = [("output", nn.Linear(features, math.prod(shape)))]
    if len(shape) != 1:  # so that outputs have the targets' shape exactly
        layers.append(("shape", nn.Unflatten(1, shape) if shape else nn.Flatten(0)))
    return layers


def advise_on_rows(shape: tuple[int, ...]) -> str:
    """Return a sentence on what to do with targets that are a row an example, of this shape, where a class is wanted.

    Example:
        >>> advise_on_rows(())
        ''
    """
    if len(shape) != 1:
        return ""
    return (
        " If they are one-hot, give the number of each class, targets.argmax(axis=1); if an example may have several "
        'labels, rows of 0 and 1, use train.loss = "binary_cross_entropy".'
    )


def check_inputs(model: str, dataset: Dataset, wanted: str, dimensions: Container[int]) -> None:
    """Raise DataError unless inputs are floating-point numbers of a number of dimensions that the model knows.

    `wanted` names these shapes in words; `dimensions` are counted with that of the examples.
    """
    inputs = dataset.train_inputs
    if not inputs.dtype.is_floating_point or inputs.ndim not in dimensions or 0 in inputs.shape:
        raise DataError(
            f"model `{model}`: needs floating-point inputs of shape {wanted}; got {inputs.dtype} of shape "
            f"{tuple(inputs.shape)}. Convert or reshape them in your data function."
        )
