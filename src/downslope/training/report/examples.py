"""Held-out examples as the finished model sees them: pictures, who is taken for whom, and what is predicted of numbers.

One forward pass over the held-out examples, and what the page shows of it. A run whose data are gone says so on the
page; where they have changed they are read as the run reads any input, with its own classes, and that is said too.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from downslope.training.folder.run_folder import MODEL
from downslope.training.report.data import RunData
from downslope.training.report.numbers import Number, accuracy
from downslope.training.report.scatter import Fit, fit_of

if TYPE_CHECKING:
    from downslope.training.data import Dataset

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
    """What the page shows of held-out examples that have a class.

    Attributes:
        pictures: The surest mistakes first, then the right answers that were least sure; none where inputs are no
            images.
        count: How many examples there are.
        mistakes: How many of them the model gets wrong, those without an answer included.
        confusion: Counts, by true class (row) and predicted class (column); empty if there are too many classes.
        confusions: The most frequent confusions as (true, predicted, count).
        rates: For each class its index, how many examples it has, precision, recall and F1; empty if there are too
            many classes.
        unanswered: How many examples got outputs that are no finite numbers.
        changed: Whether the data are no longer those of the run.
        names: What each class is called; empty where classes have no names.
    """

    pictures: list[Picture]
    count: int
    mistakes: int
    confusion: list[list[int]]
    confusions: list[tuple[int, int, int]]
    rates: list[tuple[int, int, list[Number]]] = field(default_factory=list[tuple[int, int, list[Number]]])
    unanswered: int = 0
    changed: bool = False
    names: tuple[str, ...] = ()

    def called(self, label: int) -> str:
        """Return what to call a class.

        Args:
            label: Its index.
        """
        return self.names[label] if label < len(self.names) else str(label)


def look_at_examples(run: RunData, data: Dataset | None = None) -> Examples | Fit | str | None:
    """Return the held-out examples as the final weights see them.

    Args:
        run: The run.
        data: Its data where they are at hand; None to read them.

    Returns:
        The examples, or what is predicted of numbers; a sentence that says why they cannot be shown; or None if there
        is nothing to show: data that are sequences, or have no targets to predict.
    """
    if run.recipe.train.loss == "output":
        return None
    if not (run.folder.path / MODEL).exists():
        told = "The run has no final weights yet, so there are no predictions to show."
        return told if run.has_right_answers and not run.rates else None
    try:
        return _look(run, data)
    except Exception as error:  # noqa: BLE001  # own data and models may raise anything
        return f"The held-out examples cannot be shown: {_first_line(error)}"


def _look(run: RunData, data: Dataset | None) -> Examples | Fit | str | None:
    from downslope.training.use.evaluate import CHANGED, open_run

    opened = open_run(run.folder.path, str(run.folder.path / MODEL))
    if opened.dataset.sequences is not None:
        return None
    dataset, examples, notes = opened.held_out(data)
    if examples.targets is None or examples.known is None or not len(examples.known):
        return "No held-out example has a class or number that the run knows any more."
    inputs, targets = examples.inputs[examples.known], examples.targets
    rates = opened.rate(dataset, inputs, targets, keep=True)
    outputs, changed = rates.outputs, CHANGED in notes or (opened.kept is None and _has_changed(run, dataset))
    if dataset.classes is None and outputs is not None and outputs.shape == targets.shape:
        return fit_of(dataset, targets, outputs, rates.metrics, changed=changed)
    if dataset.classes is None or outputs is None or (targets.ndim, outputs.ndim) != (1, 2):
        return None
    seen = summarise(_as_pictures(dataset, inputs), targets.numpy(), outputs.double().numpy())
    return replace(seen, changed=changed, names=dataset.class_names)


def _has_changed(run: RunData, dataset: Dataset) -> bool:
    known = run.facts.get("data", {}).get("fingerprint")
    return known is not None and known != dataset.fingerprint()


def summarise(pixels: Any, truth: Any, logits: Any) -> Examples:
    """Return what the page shows of examples and the logits that a model gives them.

    Args:
        pixels: Images, ink high, shape (examples, height, width); or in colour, (examples, height, width, 3); None
            where inputs are no images.
        truth: Class indices; integer array of shape (examples,).
        logits: float array of shape (examples, classes).
    """
    import torch

    from downslope.training.measuring.class_rates import rate_classes
    from downslope.training.run.losses import choose

    chosen, answered = choose(torch.from_numpy(logits))
    answers = torch.where(answered, chosen, -1)
    classes = max(logits.shape[1], int(truth.max()) + 1)
    by_class = rate_classes(torch.from_numpy(truth), answers, classes)
    prediction, told = answers.numpy(), answered.numpy()
    with np.errstate(invalid="ignore"):
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        confidence = shifted.max(axis=1) / shifted.sum(axis=1)
    wrong = prediction != truth
    shown = np.flatnonzero(told)
    order = shown[np.lexsort((shown, np.where(wrong, -confidence, confidence)[shown], ~wrong[shown]))]
    taken, counts = np.unique(np.stack([truth, prediction], 1)[wrong & told], axis=0, return_counts=True)
    pairs = [(int(count), int(i), int(j)) for (i, j), count in zip(taken, counts, strict=True)]
    few = classes <= _MOST_CLASSES
    return Examples(
        pictures=[] if pixels is None else _pictures(pixels, truth, prediction, confidence, order[:_PICTURES]),
        count=len(truth),
        mistakes=int(wrong.sum()),
        confusion=by_class.confusion.tolist() if few and by_class.confusion is not None else [],
        confusions=[(i, j, count) for count, i, j in sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:10]],
        rates=[_rates(row) for row in by_class.table()] if few else [],
        unanswered=int((~told).sum()),
    )


def _rates(row: dict[str, Any]) -> tuple[int, int, list[Number]]:
    numbers = [row[name] for name in ("precision", "recall", "f1")]
    shown = [Number("\N{EN DASH}") if value is None else accuracy(value) for value in numbers]
    return row["class"], row["examples"], shown


def _pictures(pixels: Any, truth: Any, prediction: Any, confidence: Any, order: Any) -> list[Picture]:
    low, high = float(pixels.min()), float(pixels.max())
    return [Picture(_png(pixels[i], low, high), int(truth[i]), int(prediction[i]), float(confidence[i])) for i in order]


def _as_pictures(dataset: Any, examples: Any) -> Any:
    """Return images as `summarise` takes them, or None if the inputs are no images."""
    inputs = examples.numpy()
    if inputs.ndim == 4 and inputs.shape[1] == 3 and dataset.name == "images":
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
