"""What a model with one logit for two classes, or one for each label, answers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downslope.core.errors import DataError
from downslope.training.data import Dataset
from downslope.training.measuring.class_rates import ClassRates
from downslope.training.run.losses import beside_zero, has_labels
from downslope.training.run.tallies import tally_labels


def as_class_logits(outputs: Tensor, dataset: Dataset) -> Tensor:
    """Return a model's outputs as logits of classes; one logit of two classes as 0 for the first, and it."""
    if not dataset.one_logit:
        return outputs
    if outputs.shape[1:] not in {(), (1,)}:
        raise DataError(
            f"two classes are told by one logit an example; this model's outputs have shape {tuple(outputs.shape)}."
        )
    return beside_zero(outputs.reshape(len(outputs)))


def tell_labels(outputs: Tensor, dataset: Dataset, margin: float) -> list[dict[str, Any]]:
    """Return for each example "labels", the names of those it is answered to have, and "probabilities" of all."""
    if outputs.shape[1:] != (len(dataset.labels),):
        raise DataError(
            f"there are {len(dataset.labels)} labels; this model's outputs have shape {tuple(outputs.shape)}."
        )
    chosen = has_labels(outputs, margin)[0].tolist()
    shares = outputs.double().sigmoid()
    shares = torch.where(torch.isfinite(outputs), shares, torch.nan)  # an infinite logit is no answer
    return [
        {"labels": name_labels(row, dataset), "probabilities": each}
        for row, each in zip(chosen, shares.tolist(), strict=True)
    ]


def name_labels(row: list[float], dataset: Dataset) -> list[str]:
    """Return the names of the labels that are there, of one number a label."""
    return [name for name, there in zip(dataset.labels, row, strict=True) if there]


def rate_labels(targets: Tensor, outputs: Tensor, margin: float) -> ClassRates:
    """Return answers counted by label."""
    right, answers, examples = tally_labels(targets, *has_labels(outputs, margin))
    return ClassRates(right=right, answers=answers, examples=examples, confusion=None)
