"""Held-out examples as the finished model sees them: pictures with predictions, and who is taken for whom.

What lives here: one forward pass over the held-out images and what the page shows of it. What does not: loading data
and models, which is asked of their own rooms; what they cannot do any more, the page says.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from downslope.core.errors import DownslopeError
from downslope.training.report_data import RunData
from downslope.training.run_folder import MODEL

_PICTURES = 24
_MOST_CLASSES = 20
"""Above so many classes a full table is too wide to read; the most frequent confusions are listed in its place."""


@dataclass(frozen=True)
class Picture:
    """One held-out image.

    Attributes:
        image: PNG as a data address.
        truth: Its class.
        prediction: What the model says.
        confidence: The probability the model gives its prediction.
    """

    image: str
    truth: int
    prediction: int
    confidence: float


@dataclass(frozen=True)
class Examples:
    """What the page shows of the held-out examples.

    Attributes:
        pictures: The surest mistakes first, then the right answers that were least sure.
        count: How many examples there are.
        mistakes: How many of them the model gets wrong.
        confusion: Counts, by true class (row) and predicted class (column); empty if there are too many classes.
        confusions: The most frequent confusions as (true, predicted, count).
        changed: Whether the data are no longer those of the run.
        names: What each class is called; empty where classes have no names.
    """

    pictures: list[Picture]
    count: int
    mistakes: int
    confusion: list[list[int]]
    confusions: list[tuple[int, int, int]]
    changed: bool = False
    names: tuple[str, ...] = ()

    def called(self, label: int) -> str:
        """Return what to call a class.

        Args:
            label: Its index.
        """
        return self.names[label] if self.names else str(label)


def look_at_examples(run: RunData) -> Examples | str | None:
    """Return the held-out images as the final weights see them.

    Args:
        run: The run.

    Returns:
        The examples; a sentence that says why they cannot be shown; or None if the data are no images with classes.
    """
    data = run.facts.get("data", {})
    images = data.get("image_shape") is not None or run.recipe.data.name in {"digits", "images"}
    if not images or data.get("classes", 0) is None:
        return None
    if not (run.folder.path / MODEL).exists():
        return "The run has no final weights yet, so there are no predictions to show."
    try:
        from downslope.training.data import load_data

        dataset = load_data(run.recipe)
        pixels = _as_pictures(dataset)
        if pixels is None or dataset.classes is None or dataset.held_out_targets.ndim != 1:
            return None
        logits = _predict(run, dataset)
    except Exception as error:  # noqa: BLE001  # own data and models may raise anything
        return f"The held-out examples cannot be shown: {_first_line(error)}"
    known = data.get("fingerprint")
    changed = known is not None and known != dataset.fingerprint()
    seen = summarise(pixels, dataset.held_out_targets.numpy(), logits)
    return replace(seen, changed=changed, names=dataset.class_names)


def summarise(pixels: Any, truth: Any, logits: Any) -> Examples:
    """Return what the page shows of images and the logits that a model gives them.

    Args:
        pixels: Images, ink high, shape (examples, height, width); or in colour, (examples, height, width, 3).
        truth: Class indices; integer array of shape (examples,).
        logits: float array of shape (examples, classes).
    """
    classes = logits.shape[1]
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    confidence = shifted.max(axis=1) / shifted.sum(axis=1)
    prediction = logits.argmax(axis=1)
    wrong = prediction != truth
    order = np.lexsort((np.arange(len(truth)), np.where(wrong, -confidence, confidence), ~wrong))
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (truth, prediction), 1)
    pairs = [(int(confusion[i, j]), int(i), int(j)) for i, j in np.argwhere(confusion) if i != j]
    low, high = float(pixels.min()), float(pixels.max())
    return Examples(
        pictures=[
            Picture(_png(pixels[i], low, high), int(truth[i]), int(prediction[i]), float(confidence[i]))
            for i in order[:_PICTURES]
        ],
        count=len(truth),
        mistakes=int(wrong.sum()),
        confusion=confusion.tolist() if classes <= _MOST_CLASSES else [],
        confusions=[(i, j, count) for count, i, j in sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:10]],
    )


def _predict(run: RunData, dataset: Any) -> Any:
    import torch
    from safetensors.torch import load_file

    from downslope.training.models import build_model
    from downslope.training.randomness import reseed

    model = build_model(run.recipe, dataset)
    model.load_state_dict(load_file(run.folder.path / MODEL))
    model.eval()
    reseed(run.recipe.seed, run.steps_done, "evaluation")
    with torch.inference_mode():
        batches = [model(part) for part in dataset.held_out_inputs.split(1024)]
    logits = torch.cat(batches).double().numpy()
    if logits.shape != (len(dataset.held_out_targets), dataset.classes):
        raise DownslopeError(f"the model gives outputs of shape {logits.shape}, not one logit for each class.")
    return logits


def _as_pictures(dataset: Any) -> Any:
    """Return the held-out images as `summarise` takes them, or None if the inputs are no images."""
    inputs = dataset.held_out_inputs.numpy()
    if inputs.ndim == 4 and inputs.shape[1] == 3:
        return inputs.transpose(0, 2, 3, 1)
    if dataset.image_shape is None:
        return None
    height, width = dataset.image_shape
    drawn = inputs.reshape(len(inputs), height, width)
    return drawn if inputs.ndim == 2 else drawn.max() - drawn  # a photograph's light is high, where ink is


def _png(pixels: Any, low: float, high: float) -> str:
    import matplotlib.image

    buffer = io.BytesIO()
    quiet: Any = {"Software": None}  # which would name the version of matplotlib
    if pixels.ndim == 3:
        pixels = (pixels - low) / (high - low or 1)
    matplotlib.image.imsave(buffer, pixels, format="png", cmap="gray_r", vmin=low, vmax=high, metadata=quiet)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
