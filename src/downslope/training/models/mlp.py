"""Dense layers with ReLU between them: the classifier that every course begins with.

References:
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors", Nature 1986.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

from torch import nn

from downslope.training.models.heads import build_head, check_inputs
from downslope.training.user_code import refuse_options

if TYPE_CHECKING:
    from downslope.recipe.schema import Model
    from downslope.training.data import Dataset

HIDDEN = (64,)
"""Widths of the hidden layers where a recipe gives none."""


def build(model: Model, dataset: Dataset) -> nn.Module:
    """Return dense layers of the widths `model.hidden`, inputs of more than one feature dimension flattened."""
    refuse_options("mlp", model.options, "model", "Its widths are model.hidden.")
    inputs = dataset.train_inputs
    check_inputs("mlp", dataset, "(examples, features, ...)", range(2, 65))
    features = math.prod(inputs.shape[1:])
    layers: list[tuple[str, nn.Module]] = [("flatten", nn.Flatten())] if inputs.ndim > 2 else []
    for number, width in enumerate(HIDDEN if model.hidden is None else model.hidden, start=1):
        layers += [(f"dense{number}", nn.Linear(features, width)), (f"relu{number}", nn.ReLU())]
        features = width
    layers += build_head("mlp", features, dataset)
    return nn.Sequential(OrderedDict(layers)).to(inputs.dtype)
