"""Models: from a recipe to a module, initialised from the recipe's seed alone; the built-in ones have a file each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from downslope.core.errors import DataError, did_you_mean
from downslope.training.models.papers import PAPERS
from downslope.training.run.randomness import reseed
from downslope.training.user_code import LIBRARIES, is_import_path

if TYPE_CHECKING:
    from torch import nn

    from downslope.recipe.schema import Recipe
    from downslope.training.data import Dataset

__all__ = ["MODELS", "build_model"]

_CONVNET = "downslope.training.models.convnet"
MODELS = {
    "convnet": _CONVNET,
    **dict.fromkeys(PAPERS, _CONVNET),
    "gru": "downslope.training.models.gru",
    "mlp": "downslope.training.models.mlp",
    "quadratic_deep": "downslope.training.models.quadratic_deep",
    "resnet9": "downslope.training.models.resnet9",
    "seq2seq": "downslope.training.models.seq2seq",
}
"""Name -> the module whose `build(recipe.model, dataset)` returns the model."""

_OWN_LOSS = frozenset({"quadratic_deep"})
"""Models whose output is the loss itself."""


def build_model(recipe: Recipe, dataset: Dataset, *, begun: bool = False) -> nn.Module:
    """Return the recipe's model for the data, in training mode, its initial weights drawn by the seed alone.

    Args:
        recipe: The recipe.
        dataset: Its data.
        begun: Whether a checkpoint is going to take the place of all weights, so that none is measured on the data.

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
        model = import_module(MODELS[name]).build(recipe.model, dataset)
    elif name.startswith(LIBRARIES):
        model = import_module("downslope.training.models.from_libraries").build(recipe.model, dataset)
    elif is_import_path(name):
        model = import_module("downslope.training.models.own").build(recipe.model, dataset)
    else:
        raise DataError(
            f"model.name = {name!r}: there is no such model.{did_you_mean(name, MODELS)} "
            f'Use {", ".join(MODELS)}, "timm:NAME", "hf:FOLDER", or your own function as "package.module:function".'
        )
    if name in _OWN_LOSS and recipe.train.loss != "output":
        raise DataError(
            f"model `{name}`: its output is the loss itself; got train.loss = {recipe.train.loss!r}. "
            'Use train.loss = "output".'
        )
    if recipe.data.normalize is not None or recipe.data.augment is not None:
        prepare = import_module("downslope.training.augmenting.augment").prepare_model
        model = prepare(model, recipe.data, dataset, begun=begun)
    return model.train()
