"""Data: from a recipe to examples in memory, split and checked; the built-in data sets have a file each."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from downslope.core.errors import DataError, did_you_mean
from downslope.core.shown import shown
from downslope.recipe.given import options_for_folder, options_for_table
from downslope.training.data.dataset import PARTS, Dataset
from downslope.training.user_code import is_import_path

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe

__all__ = ["DATA_SETS", "PARTS", "Dataset", "load_data"]

DATA_SETS = {
    "cifar10": "downslope.training.data.arrays",
    "cifar100": "downslope.training.data.arrays",
    "cmudict": "downslope.training.data.cmudict",
    "digits": "downslope.training.data.digits",
    "idx": "downslope.training.data.arrays",
    "images": "downslope.training.data.images",
    "mnist1d": "downslope.training.data.mnist1d",
    "npz": "downslope.training.data.arrays",
    "quadratic_deep": "downslope.training.data.quadratic_deep",
    "rearranged": "downslope.training.data.rearranged",
    "table": "downslope.training.data.table",
}
"""Name -> the module whose `load(recipe)` returns the data set."""


def load_data(recipe: Recipe) -> Dataset:
    """Return the recipe's data.

    Raises:
        DataError: If the data cannot be loaded, or are inconsistent; the message says what.
        MissingDependencyError: If the data set comes with a package that is not installed.

    Example:
        >>> from downslope import load_recipe
        >>> data = load_data(load_recipe())
        >>> len(data.train_inputs), len(data.held_out_inputs), data.classes, data.image_shape
        (1437, 360, 10, (8, 8))
    """
    name = recipe.data.name
    recipe = replace(recipe, data=recipe.data.with_path())
    if name in DATA_SETS:
        return import_module(DATA_SETS[name]).load(recipe)
    if is_import_path(name):
        return import_module("downslope.training.data.own").load(recipe)
    raise DataError(
        f"data.name = '{shown(name)}': there is no such data set.{did_you_mean(name, DATA_SETS)}{_if_path(name)} "
        f'Use {", ".join(DATA_SETS)}, or your own function as "package.module:function".'
    )


def _if_path(name: str) -> str:
    """Return how to learn from a file or folder of one's own, where its path was given as the name."""
    if os.path.isdir(name):  # noqa: PTH112  # unlike Path, it takes a name of any length
        return f" To learn from a folder of images, say {options_for_folder(name)}."
    if os.path.isfile(name):  # noqa: PTH113
        return f" To learn from a table, say {options_for_table(name)}."
    return ""
