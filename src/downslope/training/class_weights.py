"""What an example of each class counts in the loss: said by the recipe, or balanced against how many there are.

The loss of a step is the weighted mean over all of its examples, sum(w l) / sum(w), as that of torch's
``CrossEntropyLoss(weight=...)`` on all of them at once, however many shards or batches the step is split into.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from downslope.core.errors import DataError, did_you_mean
from downslope.core.shown import shown
from downslope.training.data.labels import show_names

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe
    from downslope.training.data import Dataset

_KEY = "train.class_weights"


def weigh_classes(recipe: Recipe, dataset: Dataset) -> Dataset:
    """Return the data with the class weights that the recipe asks for; unchanged where it asks for none.

    Args:
        recipe: The recipe.
        dataset: Its data.

    Raises:
        DataError: If there are no classes to weigh, or not these.
    """
    wanted = recipe.train.class_weights
    if wanted is None:
        return dataset
    if dataset.classes is None or dataset.sequences is not None or recipe.train.loss != "cross_entropy":
        what = "a loss of your own weighs its examples itself" if dataset.classes else "these have none"
        raise DataError(f'{_KEY}: is for data with classes and train.loss = "cross_entropy"; {what}. Leave it out.')
    return replace(dataset, class_weights=_weights(wanted, dataset))


def _weights(wanted: Any, dataset: Dataset) -> tuple[float, ...]:
    classes = dataset.classes or 0
    names = dataset.class_names or tuple(str(number) for number in range(classes))
    if isinstance(wanted, str):
        counts = torch.bincount(dataset.train_targets.flatten(), minlength=classes)
        if not bool((counts > 0).all()):
            absent = [name for name, count in zip(names, counts.tolist(), strict=True) if not count]
            raise DataError(
                f'{_KEY} = "balanced": there is no example to learn from of {show_names(absent)}. Give a weight for '
                "each class instead."
            )
        return tuple((int(counts.sum()) / (classes * counts.double())).tolist())
    if isinstance(wanted, Mapping):
        unknown = [name for name in wanted if name not in names]
        missing = [name for name in names if name not in wanted]
        if unknown:
            raise DataError(
                f"{_KEY}: there is no class {shown(unknown[0])!r}.{did_you_mean(unknown[0], names)} "
                f"There are {show_names(names)}."
            )
        if missing:
            raise DataError(f"{_KEY}: lacks {show_names(missing)}. Give a weight for each class.")
        return tuple(float(wanted[name]) for name in names)
    if len(wanted) != classes:
        raise DataError(f"{_KEY}: must hold a weight for each of {classes} classes, in their order; got {len(wanted)}.")
    return tuple(map(float, wanted))
