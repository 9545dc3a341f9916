"""Data: from a recipe to examples, in memory or read when needed; the built-in data sets have a file each."""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from downslope.core.errors import DataError, did_you_mean
from downslope.core.shown import shown
from downslope.recipe.given import options_for_folder, options_for_table
from downslope.training.data.class_names import differ_in_capitals
from downslope.training.data.dataset import PARTS, Dataset, Marks, is_lazy
from downslope.training.data.part_names import HUGGING_FACE
from downslope.training.run.randomness import permutation
from downslope.training.user_code import is_import_path

if TYPE_CHECKING:
    from downslope.recipe.schema import Data, Recipe

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


def load_data(recipe: Recipe, known: str | None = None) -> Dataset:
    """Return the recipe's data.

    Args:
        recipe: The recipe.
        known: The fingerprint of the data of a run that has begun: where the recipe leaves it open, the data are held
            in memory, or read when needed, as they were then. None for a run that begins.

    Raises:
        DataError: If the data cannot be loaded, or are inconsistent; the message says what.
        MissingDependencyError: If the data set comes with a package that is not installed.

    Example:
        >>> from downslope import load_recipe
        >>> data = load_data(load_recipe())
        >>> len(data.train_inputs), len(data.held_out_inputs), data.classes, data.image_shape
        (1437, 360, 10, (8, 8))
    """
    name, data = recipe.data.name, recipe.data
    recipe = replace(recipe, data=data.with_path())
    if known is not None and data.in_memory is None:
        recipe = replace(recipe, data=replace(recipe.data, in_memory=not is_lazy(known)))
    if name in DATA_SETS:
        return _validated(recipe, _check_how(data, _noted(import_module(DATA_SETS[name]).load(recipe))))
    if name.startswith(HUGGING_FACE):
        found = import_module("downslope.training.data.arrays").load(recipe)
        return _validated(recipe, _check_how(data, _noted(found)))
    if is_import_path(name):
        found = import_module("downslope.training.data.own").load(recipe)
        return _validated(recipe, _check_how(data, _noted(found)))
    near = _if_known(name) or did_you_mean(name, DATA_SETS)
    raise DataError(
        f"data.name = '{shown(name)}': there is no such data set.{near}{_if_path(name)} "
        f'Use {", ".join(DATA_SETS)}, "{HUGGING_FACE}FOLDER", or your own function as "package.module:function".'
    )


def _noted(dataset: Dataset) -> Dataset:
    """Return the data with a note on names of classes that may be one name, written in two ways."""
    alike = "" if dataset.labels else differ_in_capitals(dataset.class_names or ())
    if not alike:
        return dataset
    return replace(
        dataset, notes=(*dataset.notes, f"classes that differ in capitals alone are told apart, such as {alike}")
    )


def _validated(recipe: Recipe, dataset: Dataset) -> Dataset:
    """Return the data with the validation part of what is learned from in the place of what is held out, if asked."""
    data, count = recipe.data, len(dataset.train_inputs)
    if data.validation is None:
        return dataset
    size = math.ceil(count * data.validation)
    if size >= count:
        raise DataError(
            f"data.validation = {data.validation}: of {count} example(s) to learn from none would be left. Give less."
        )
    seed = recipe.seed if data.split_seed is None else data.split_seed
    order = torch.from_numpy(permutation(seed, "validation", count))
    kept, out = order[size:], order[:size]
    checksum = dataset.checksum

    def marks(part: Literal["train", "held_out"]) -> Marks:
        rows = kept if part == "train" else out
        known = Marks() if dataset.marks is None else dataset.marks("train")
        return replace(
            known,
            index=rows if known.index is None else known.index[rows],
            names=[known.names[row] for row in rows.tolist()] if known.names else (),
            ids=[known.ids[row] for row in rows.tolist()] if known.ids else (),
        )

    return replace(
        dataset,
        train_inputs=dataset.train_inputs[kept],
        train_targets=dataset.train_targets[kept],
        held_out_inputs=dataset.train_inputs[out],
        held_out_targets=dataset.train_targets[out],
        marks=None if dataset.marks is None else marks,
        checksum=None if checksum is None else f"{checksum}, validation {data.validation} by seed {seed}",
        notes=(*dataset.notes, "held out here is a part of what is learned from: data.validation"),
    )


def _check_how(data: Data, dataset: Dataset) -> Dataset:
    """Return the data, after checking that what the recipe says of how they are read has a meaning for them."""
    if not isinstance(dataset.train_inputs, Tensor):
        return dataset
    if data.in_memory is False:
        raise DataError(
            f"data.in_memory = false: data.name = '{shown(data.name)}' gives arrays, which are in memory. Images, "
            "tables and Datasets can be read when they are needed; leave it out for all else."
        )
    if data.loaders and data.name not in {"images", "table"}:
        raise DataError(
            f"data.loaders = {data.loaders}: data.name = '{shown(data.name)}' is in memory, and there is nothing to "
            "read ahead. Loaders read images, tables and Datasets that are read when they are needed; leave it out."
        )
    if data.loaders:
        note = "data.loaders has nothing to do: the data fit into memory, and are read once at the start"
        return replace(dataset, notes=(*dataset.notes, note))
    return dataset


_CALLED = {"mnist": "idx", "fashionmnist": "idx", "kmnist": "idx", "emnist": "idx", "qmnist": "idx", "medmnist": "npz"}
"""What people call data that lie in files -> the `data.name` that reads them."""


def _if_known(name: str) -> str:
    """Return how to read data that many people have, by what they call them."""
    found = _CALLED.get(re.sub(r"[\W_]", "", name.lower()))
    return "" if found is None else f' Its files are read by data.name = "{found}", with data.path.'


def _if_path(name: str) -> str:
    """Return how to learn from a file or folder of one's own, where its path was given as the name."""
    if os.path.isdir(name):  # noqa: PTH112  # unlike Path, it takes a name of any length
        return f" To learn from a folder, say {options_for_folder(name)}."
    if os.path.isfile(name):  # noqa: PTH113
        return f" To learn from a table, say {options_for_table(name)}."
    return ""
