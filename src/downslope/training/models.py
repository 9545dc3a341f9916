"""Models: the built-in classifier, and a person's own by import path.

What lives here: building a model, initialised from the recipe's seed alone. What does not: loading weights
(`checkpoint.py`).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.parameter import is_lazy

from downslope.core.errors import DataError, did_you_mean
from downslope.training.imports import call_function, is_import_path
from downslope.training.randomness import reseed

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe
    from downslope.training.data import Dataset

HIDDEN = (64,)
"""Widths of the hidden layers of "mlp" where a recipe gives none."""


def build_model(recipe: Recipe, dataset: Dataset) -> nn.Module:
    """Return the recipe's model with its initial weights, in training mode.

    Args:
        recipe: The recipe; its seed alone decides the weights.
        dataset: The data, whose shapes the model is to fit.

    Raises:
        DataError: If there is no such model, or it does not fit the data.

    Example:
        >>> from downslope import load_recipe
        >>> from downslope.training.data import load_data
        >>> recipe = load_recipe(overrides=[("model.hidden", "[32]")])
        >>> [name for name, _ in build_model(recipe, load_data(recipe)).named_parameters()]
        ['dense1.weight', 'dense1.bias', 'logits.weight', 'logits.bias']
    """
    name, options = recipe.model.name, recipe.model.options
    reseed(recipe.seed, 0, "init")
    if name == "mlp":
        if options:
            raise DataError(f"model.options: `mlp` takes none; got {', '.join(options)}. Its widths are model.hidden.")
        return build_mlp(dataset, HIDDEN if recipe.model.hidden is None else recipe.model.hidden)
    if not is_import_path(name):
        raise DataError(
            f"model.name = {name!r}: there is no such model.{did_you_mean(name, ['mlp'])} "
            'Use "mlp", or your own function as "package.module:function".'
        )
    model: Any = call_function(name, "model.name", dataset, options=options)
    if not isinstance(model, nn.Module):
        raise DataError(f"model.name = {name!r}: must return a torch.nn.Module; got {type(model).__name__}.")
    lazy = [key for key, value in (*model.named_parameters(), *model.named_buffers()) if is_lazy(value)]
    if lazy:
        raise DataError(
            f"model.name = {name!r}: `{lazy[0]}` has no shape yet: the model has lazy modules. Let it see an example "
            "before you return it: model(dataset.train_inputs[:2])."
        )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise DataError(f"model.name = {name!r}: the model has no parameter that requires a gradient.")
    return model.train()


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
