"""Models: from a recipe to a module, initialised from the recipe's seed alone.

What lives here: the table of built-in models, one row and one file each, and the choice among them. What does not:
loading weights (`checkpoint.py`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from downslope.core.errors import DataError, did_you_mean
from downslope.training.run.randomness import reseed
from downslope.training.user_code import is_import_path

if TYPE_CHECKING:
    from torch import nn

    from downslope.recipe.schema import Recipe
    from downslope.training.data import Dataset

__all__ = ["MODELS", "build_model"]

MODELS = {
    "convnet": "downslope.training.models.convnet",
    "gru": "downslope.training.models.gru",
    "mlp": "downslope.training.models.mlp",
    "quadratic_deep": "downslope.training.models.quadratic_deep",
    "seq2seq": "downslope.training.models.seq2seq",
}
"""Name -> the module whose `build(recipe, dataset)` returns the model."""


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
    name = recipe.model.name
    reseed(recipe.seed, 0, "init")
    if name in MODELS:
        model = import_module(MODELS[name]).build(recipe, dataset)
    elif is_import_path(name):
        model = import_module("downslope.training.models.own").build(recipe, dataset)
    else:
        raise DataError(
            f"model.name = {name!r}: there is no such model.{did_you_mean(name, MODELS)} "
            f'Use {", ".join(MODELS)}, or your own function as "package.module:function".'
        )
    return model.train()
