"""Dense layers with ReLU between them: the classifier that every course begins with.

References:
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors", Nature 1986.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

from torch import nn

from downslope.core.errors import DataError
from downslope.training.options import refuse_options

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe
    from downslope.training.data import Dataset

HIDDEN = (64,)
"""Widths of the hidden layers where a recipe gives none."""


def build(recipe: Recipe, dataset: Dataset) -> nn.Module:
    """Return the MLP that a recipe asks for; see `build_mlp`."""
    refuse_options("mlp", recipe.model.options, "model", "Its widths are model.hidden.")
    return build_mlp(dataset, HIDDEN if recipe.model.hidden is None else recipe.model.hidden)


def build_mlp(dataset: Dataset, hidden: tuple[int, ...]) -> nn.Sequential:
    """Return dense layers with ReLU between them, logits (or plain numbers, for a regression) out.

    Args:
        dataset: The data; inputs of more than one feature dimension are flattened.
        hidden: Widths of the hidden layers.

    Raises:
        DataError: If the inputs are not floating-point numbers with at least one feature.
    """
    inputs, targets = dataset.train_inputs, dataset.train_targets
    if not inputs.dtype.is_floating_point or inputs.ndim < 2:
        raise DataError(
            "model `mlp`: needs floating-point inputs of shape (examples, features, ...); got "
            f"{inputs.dtype} of shape {tuple(inputs.shape)}. Convert or reshape them in your data function."
        )
    features = math.prod(inputs.shape[1:])
    target_shape = tuple(targets.shape[1:])
    if dataset.classes is not None and target_shape:
        raise DataError(f"model `mlp`: classifies one label an example; got targets of shape {tuple(targets.shape)}.")
    layers: list[tuple[str, nn.Module]] = [("flatten", nn.Flatten())] if inputs.ndim > 2 else []
    for number, width in enumerate(hidden, start=1):
        layers += [(f"dense{number}", nn.Linear(features, width)), (f"relu{number}", nn.ReLU())]
        features = width
    if dataset.classes is not None:
        layers.append(("logits", nn.Linear(features, dataset.classes)))
    else:
        layers.append(("output", nn.Linear(features, math.prod(target_shape))))
        if len(target_shape) != 1:  # so that outputs have the targets' shape exactly
            layers.append(("shape", nn.Unflatten(1, target_shape) if target_shape else nn.Flatten(0)))
    return nn.Sequential(OrderedDict(layers)).to(inputs.dtype)
