"""What helps where training has run off to infinity: said by what the data are like."""

from __future__ import annotations

from torch import Tensor

from downslope.recipes.schema import Recipe
from downslope.training.data import Dataset

_LARGE = 10.0
"""Numbers up to this size are of the order for which common learning rates are made."""


def advise_on_divergence(recipe: Recipe, dataset: Dataset) -> str:
    """Return sentences on what makes gradients large, in the data or else the settings, and what else there is to do.

    Every remedy is a key of the recipe, by its whole path.

    Args:
        recipe: The recipe.
        dataset: Its data.
    """
    said = ""
    targets, inputs = dataset.train_targets, dataset.train_inputs
    if dataset.classes is None and recipe.train.loss == "mse" and _size(targets) > _LARGE:
        remedy = "subtract their mean and divide by their standard deviation in your data function."
        if recipe.data.name == "table":
            remedy = "set data.options.standardize_target = true, and predictions keep the unit of the column."
        said += f"The targets go from {_ends(targets)}, and the gradients of a squared error grow with them: {remedy} "
    if inputs.is_floating_point() and _size(inputs) > _LARGE:
        remedy = "scale them to about -1 to 1 in your data function."
        if recipe.data.name in {"table", "images"}:
            remedy = "set data.options.standardize = true."
            if recipe.data.options.get("standardize", recipe.data.name == "table"):
                remedy = "some are far from all others; look at them."
        said += f"The inputs go from {_ends(inputs)}: {remedy} "
    said = said or "Among settings, the learning rate helps most: try a third of sgd.lr, or train.clip_norm = 1.0. "
    return f'{said}To leave such steps out, set train.on_nonfinite = "skip", or "rewind" to go back before them.'


def _size(values: Tensor) -> float:
    return float(values.abs().max())


def _ends(values: Tensor) -> str:
    return f"{float(values.min()):,.6g} to {float(values.max()):,.6g}"
