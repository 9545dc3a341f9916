"""A trained run as one module: from what a person has to probabilities, or to numbers in the target's own unit."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn

import downslope
from downslope.core.errors import DownslopeError
from downslope.core.shown import shown
from downslope.recipe.load import to_toml
from downslope.training.data import Dataset
from downslope.training.packing.preprocessing import build_preprocessing
from downslope.training.packing.raw_inputs import Preprocessing
from downslope.training.packing.table_cells import TableCells
from downslope.training.use.evaluate import TrainedRun
from downslope.training.use.label_rows import as_class_logits

FORMAT = 1


class PackError(DownslopeError, ValueError):
    """A trained run cannot be written as one file, or the file does not answer as the run does."""


class Packed(nn.Module):
    """Preprocessing, model and what is made of its outputs.

    Args:
        opened: The run.

    Attributes:
        preprocessing: Makes the model's inputs of raw ones.
        outputs: What each output is, by name, in order.

    Raises:
        PackError: If the run writes sequences.
    """

    def __init__(self, opened: TrainedRun) -> None:
        super().__init__()
        dataset = opened.dataset
        if dataset.sequences is not None:
            raise PackError(
                f"data.name = '{shown(dataset.name)}' is sequences: what is written is searched for symbol by symbol, "
                "with a choice after each, which no one graph holds. Use `downslope predict`, or load the weights, "
                "which are plain safetensors."
            )
        self.preprocessing: Preprocessing = build_preprocessing(dataset)
        self.model = opened.model
        self._dataset = dataset
        self._refuses = isinstance(self.preprocessing, TableCells)
        self._is_scaled = dataset.target_scale is not None
        # as buffers: an exporter may take a plain number for one of 32 bits
        self.register_buffer("scale", torch.tensor(dataset.target_scale or (0.0, 1.0), dtype=torch.float64))
        self.outputs = _outputs_of(dataset)

    def forward(self, *raw: Tensor) -> dict[str, Tensor]:
        """Return the outputs by name."""
        inputs = self.preprocessing(*raw)
        outputs = self.model(inputs)
        if self._refuses:  # a model may make a number of NaN: some runtimes' ReLU does
            unknown = inputs.isnan().any(1).reshape(-1, *(1,) * (outputs.ndim - 1))
            outputs = torch.where(unknown, float("nan"), outputs)
        if self._dataset.classes is not None:
            logits = as_class_logits(outputs, self._dataset)
            return {"logits": logits, "probabilities": logits.softmax(1)}
        if self._dataset.labels:
            shares = torch.where(outputs.isfinite(), outputs.sigmoid(), float("nan"))  # an infinite logit is no answer
            return {"logits": outputs, "probabilities": shares}
        if not self._is_scaled:
            return {"values": outputs}
        mean, deviation = self.get_buffer("scale")
        return {"values": outputs.double() * deviation + mean}


def _outputs_of(dataset: Dataset) -> dict[str, str]:
    """Return what each output is, by name."""
    if dataset.labels:
        return {"logits": "what the model gives for each label", "probabilities": "of each label, by sigmoid"}
    if dataset.one_logit:
        given = "of the two classes: 0, and the one that the model gives for the second"
        return {"logits": given, "probabilities": "of each class, by softmax"}
    if dataset.classes is not None:
        return {"logits": "what the model gives for each class", "probabilities": "of each class, by softmax"}
    unit = " in the target's own unit" if dataset.target_scale is not None else ""
    return {"values": f"what the model predicts{unit}"}


def describe(opened: TrainedRun, packed: Packed, answers: dict[str, Tensor]) -> dict[str, Any]:
    """Return what a packed file says of itself, as plain values.

    Args:
        opened: The run.
        packed: The module.
        answers: What it gives for some examples.
    """
    recipe, dataset, weights = opened.recipe, opened.dataset, opened.weights
    size, tta = (None, None) if recipe.data.augment is None else (recipe.data.augment.size, recipe.data.augment.tta)
    steps = [
        *packed.preprocessing.steps,
        *([f"the middle window of {size}x{size} is taken"] if size is not None else []),
        *(["each channel shifted and scaled (data.normalize)"] if recipe.data.normalize is not None else []),
        *(["the model's outputs for it and for its mirror image are averaged (data.augment.tta)"] if tta else []),
    ]
    target = recipe.data.options.get("target") if packed.outputs.keys() == {"values"} else None
    threshold = 0.5 if recipe.train.threshold is None else recipe.train.threshold
    return {
        "format": FORMAT,
        "title": recipe.title,
        "checkpoint": weights.origin.name,
        "step": weights.step,
        "inputs": [one.facts() for one in packed.preprocessing.inputs],
        "preprocessing": steps,
        "outputs": [
            {
                "name": name,
                "dtype": str(answers[name].dtype).removeprefix("torch."),
                "shape": ["batch", *answers[name].shape[1:]],
                "meaning": meaning,
            }
            for name, meaning in packed.outputs.items()
        ],
        "class_names": list(dataset.class_names or map(str, range(dataset.classes or 0))),
        **({"labels": list(dataset.labels)} if dataset.labels else {}),
        **({"threshold": threshold} if dataset.labels or dataset.one_logit else {}),
        **({"target": target} if isinstance(target, str) else {}),
        "recipe": to_toml(recipe),
        "versions": {"downslope": downslope.__version__, "torch": torch.__version__},
    }


def as_texts(facts: dict[str, Any]) -> dict[str, str]:
    """Return facts as texts by key: a text as it is, all else as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in facts.items()
    }
