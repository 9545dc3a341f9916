"""Predictions in the words of the data: names of classes and files, and numbers in the target's own unit.

What lives here: what a data set knows and a model does not. What does not: the predictions themselves (`predict.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from downslope.training.data import Dataset


def restore_unit(values: Tensor, dataset: Dataset) -> Tensor:
    """Return outputs or targets in the target's own unit, float64 where they were standardised.

    Args:
        values: Shape (examples, ...).
        dataset: The run's data.
    """
    if dataset.target_scale is None:
        return values
    mean, deviation = dataset.target_scale
    return values.double() * deviation + mean


def add_labels(
    predictions: Sequence[dict[str, Any]], dataset: Dataset, names: Sequence[str] = (), ids: Sequence[str] = ()
) -> None:
    """Add to each prediction "class_name" and "target_name" where classes have names, "name" and "id" of examples.

    Args:
        predictions: As `predict_run` returns them.
        dataset: The run's data.
        names: What each example is called, or nothing.
        ids: How the person marks each example, or nothing.
    """
    for number, prediction in enumerate(predictions):
        if names:
            prediction["name"] = names[number]
        if ids:
            prediction["id"] = ids[number]
        for key in ("class", "target"):
            index = prediction.get(key)
            # a model of one's own may have more outputs than there are classes
            if dataset.class_names and index is not None and index < len(dataset.class_names):
                prediction[f"{key}_name"] = dataset.class_names[index]
