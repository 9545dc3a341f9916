"""What an example of each class counts: in the loss, `train.class_weights`, or in what is drawn, `data.sampling`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from downslope.core.errors import DataError, did_you_mean
from downslope.core.shown import shown
from downslope.recipe.schema import BINARY, TELLING
from downslope.training.data.class_names import show_names

if TYPE_CHECKING:
    from downslope.recipe.schema import Train
    from downslope.training.data import Dataset

_KEY = "train.class_weights"


def weigh_classes(train: Train, dataset: Dataset) -> Dataset:
    """Return the data with the class weights that the recipe asks for; unchanged where it asks for none.

    Raises:
        DataError: If there are no classes to weigh, or not these.
    """
    wanted = train.class_weights
    if wanted is None:
        return dataset
    classes = dataset.classes is not None and dataset.sequences is None
    if train.loss not in TELLING or not (classes or dataset.labels):
        what = "a loss of your own weighs its examples itself" if dataset.classes else "these have none"
        raise DataError(
            f'{_KEY}: is for data with classes and train.loss = "cross_entropy" or "{BINARY}"; {what}. Leave it out.'
        )
    if dataset.labels:
        return replace(dataset, class_weights=_weights_of_labels(wanted, dataset))
    return replace(dataset, class_weights=weights_of(wanted, dataset, _KEY))


def _weights_of_labels(wanted: Any, dataset: Dataset) -> tuple[float, ...]:
    """Return what having each label counts; balanced, as much in all as not having it: examples without / with it."""
    if not isinstance(wanted, str):
        return _stated(wanted, dataset.labels, _KEY, "label")
    count, having = len(dataset.train_targets), dataset.train_targets.double().sum(0).tolist()
    constant = [name for name, some in zip(dataset.labels, having, strict=True) if some in {0, count}]
    if constant:
        raise DataError(
            f'{_KEY} = "balanced": all examples to learn from have {show_names(constant)}, or none has. Give a weight '
            "for each label instead."
        )
    return tuple((count - some) / some for some in having)


def weights_of(wanted: Any, dataset: Dataset, key: str) -> tuple[float, ...]:
    """Return a weight for each class of data that have some, as a recipe's `key` says.

    Raises:
        DataError: If these are not the classes, or one that is to be balanced has no example.
    """
    classes = dataset.classes or 0
    names = dataset.class_names or tuple(str(number) for number in range(classes))
    if isinstance(wanted, str):
        counts = torch.bincount(dataset.train_targets.flatten(), minlength=classes)
        if not bool((counts > 0).all()):
            absent = [name for name, count in zip(names, counts.tolist(), strict=True) if not count]
            raise DataError(
                f'{key} = "balanced": there is no example to learn from of {show_names(absent)}. Give a weight for '
                "each class instead."
            )
        return tuple((int(counts.sum()) / (classes * counts.double())).tolist())
    return _stated(wanted, names, key, "class")


def _stated(wanted: Any, names: Sequence[str], key: str, what: str) -> tuple[float, ...]:
    if isinstance(wanted, Mapping):
        unknown = [name for name in wanted if name not in names]
        missing = [name for name in names if name not in wanted]
        if unknown:
            raise DataError(
                f"{key}: there is no {what} {shown(unknown[0])!r}.{did_you_mean(unknown[0], names)} "
                f"There are {show_names(names)}."
            )
        if missing:
            raise DataError(f"{key}: lacks {show_names(missing)}. Give a weight for each {what}.")
        return tuple(float(wanted[name]) for name in names)
    if len(wanted) != len(names):
        plural = "classes" if what == "class" else "labels"
        raise DataError(
            f"{key}: must hold a weight for each of {len(names)} {plural}, in their order; got {len(wanted)}."
        )
    return tuple(map(float, wanted))
