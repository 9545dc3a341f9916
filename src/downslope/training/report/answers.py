"""What the final weights answer on held-out examples: pictures, who is taken for whom, numbers, rates by length.

A run whose data are gone says so on the page; where they have changed they are read as the run reads any input, with
its own classes, and that is said too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from downslope.plot.charts import points
from downslope.training.folder.run_folder import MODEL
from downslope.training.report.data import RunData
from downslope.training.report.numbers import Number, accuracy, loss
from downslope.training.report.pictures import MOST, Picture, as_pictures, pictures_of
from downslope.training.report.plots import draw_fit, draw_residuals

if TYPE_CHECKING:
    from torch import Tensor

    from downslope.training.data import Dataset
    from downslope.training.use.evaluate import TrainedRun

_MOST_CLASSES = 20
"""Above so many classes a full table is too wide to read; the most frequent confusions are listed in its place."""

_MOST_POINTS = 2000
"""So many points are drawn at most, evenly chosen by what is true: more are one blot, and a large page."""


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

    @property
    def longest_name(self) -> int:
        """Letters of the longest name of a class."""
        return max(map(len, self.names), default=1)

    def called(self, label: int) -> str:
        """Return what to call the class of an index."""
        return self.names[label] if label < len(self.names) else str(label)


@dataclass(frozen=True)
class Fit:
    """What the page shows of held-out examples whose targets are numbers.

    Attributes:
        plots: Key, title and ``<svg>`` element of predicted against true, and of what is left over.
        charts: The same for the page's script, by key.
        count: How many examples there are.
        drawn: How many numbers are drawn.
        errors: Name, number: RMSE, MAE and R2, in the target's own unit.
        unanswered: How many outputs are no finite numbers.
        changed: Whether the data are no longer those of the run.
    """

    plots: list[tuple[str, str, str]]
    charts: dict[str, dict[str, Any]]
    count: int
    drawn: int
    errors: list[tuple[str, Number]]
    unanswered: int
    changed: bool


@dataclass(frozen=True)
class Lengths:
    """Error rates by the length of what was given: whether what was learned goes on.

    Attributes:
        rates: What the metrics are called.
        rows: For each length its name, how many examples have it, its metrics, and whether it is longer than any
            learned from.
    """

    rates: list[str]
    rows: list[tuple[str, int, list[Number], bool]]


def look_at_examples(run: RunData, data: Dataset | None = None) -> Examples | Fit | str | None:
    """Return the held-out examples as the final weights see them; `data` are the run's where they are at hand.

    A sentence says why they cannot be shown; None says that there is nothing to show: data that are sequences, or have
    no targets to predict.
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


def look_at_lengths(run: RunData, data: Dataset | None = None) -> Lengths | str | None:
    """Return the error rates of the final weights by length; `data` are the run's where they are at hand.

    A sentence says why they cannot be had; None says that no input is longer than those learned from.
    """
    if not any(name.startswith("longer_") for name in run.rates):
        return None
    if not (run.folder.path / MODEL).exists():
        return "The run has no final weights yet, so their error rates by length are not known."
    try:
        import torch

        from downslope.training.run.task import build_objective

        opened = _open(run)
        dataset, _, _ = opened.held_out(data)
        with torch.inference_mode():
            found = build_objective(run.recipe, dataset).rate_held_out(opened.model).by_length
    except Exception as error:  # noqa: BLE001  # files may be gone or of another version; the page is of what there is
        return f"The error rates by length cannot be had: {_first_line(error)}"
    return Lengths(
        rates=[name.replace("_", " ") for name in found[0].rates],
        rows=[
            (
                str(one.shortest) if one.shortest == one.longest else f"{one.shortest}\N{EN DASH}{one.longest}",
                one.examples,
                [accuracy(rate) for rate in one.rates.values()],
                one.longer,
            )
            for one in found
        ],
    )


def _open(run: RunData) -> TrainedRun:
    from downslope.training.use.evaluate import open_run

    return open_run(run.folder.path, str(run.folder.path / MODEL))


def _look(run: RunData, data: Dataset | None) -> Examples | Fit | str | None:
    from downslope.training.run.losses import margin_of
    from downslope.training.use.evaluate import CHANGED

    opened = _open(run)
    if opened.dataset.sequences is not None:
        return None
    dataset, examples, notes = opened.held_out(data)
    if examples.targets is None or examples.known is None or not len(examples.known):
        return "No held-out example has a class or number that the run knows any more."
    inputs, targets = examples.inputs[examples.known], examples.targets
    rates = opened.rate(dataset, inputs, targets, keep=True)
    outputs, changed = rates.outputs, CHANGED in notes or (opened.kept is None and _has_changed(run, dataset))
    if dataset.labels and outputs is not None:
        return _labels(dataset, targets, outputs, margin_of(run.recipe.train), changed=changed)
    if dataset.classes is None and outputs is not None and outputs.shape == targets.shape:
        return _fit(dataset, targets, outputs, rates.metrics, changed=changed)
    if dataset.classes is None or outputs is None or (targets.ndim, outputs.ndim) != (1, 2):
        return None
    seen = summarise(
        as_pictures(dataset, inputs), targets.numpy(), outputs.double().numpy(), margin_of(run.recipe.train)
    )
    return replace(seen, changed=changed, names=dataset.class_names)


def _labels(dataset: Dataset, targets: Tensor, outputs: Tensor, margin: float, *, changed: bool) -> Examples:
    """Return how good the answers are label by label; a mistake is an example with any label wrong."""
    from downslope.training.run.losses import has_labels
    from downslope.training.use.label_rows import rate_labels

    yes, answered = has_labels(outputs, margin)
    right = ((yes == (targets > 0.5)) & answered).all(1)
    return Examples(
        pictures=[],
        count=len(targets),
        mistakes=int((~right).sum()),
        confusion=[],
        confusions=[],
        rates=[_rates(row) for row in rate_labels(targets, outputs, margin).table()],
        unanswered=int((~answered.all(1)).sum()),
        changed=changed,
        names=dataset.labels,
    )


def _has_changed(run: RunData, dataset: Dataset) -> bool:
    known = run.facts.get("data", {}).get("fingerprint")
    return known is not None and known != dataset.fingerprint()


def _fit(dataset: Dataset, targets: Tensor, outputs: Tensor, metrics: Mapping[str, float], *, changed: bool) -> Fit:
    """Return what a model predicts of numbers, against what is true; both as the loss takes them, of one shape."""
    from downslope.training.use.predict import restore_unit

    true = restore_unit(targets, dataset).double().flatten().numpy()
    predicted = restore_unit(outputs, dataset).double().flatten().numpy()
    finite = np.isfinite(predicted)
    shown = np.flatnonzero(finite)
    if len(shown) > _MOST_POINTS:
        shown = shown[np.argsort(true[shown], kind="stable")]
        shown = shown[np.linspace(0, len(shown) - 1, _MOST_POINTS).round().astype(int)]
    known, told = true[shown], predicted[shown]
    names = (("rmse", "RMSE"), ("mae", "MAE"), ("r2", "R2"))
    return Fit(
        plots=[
            ("fit", "Predicted against true", draw_fit(known, told)),
            ("residuals", "What is left over", draw_residuals(told, told - known)),
        ],
        charts={
            "fit": _scatter("Predicted against true", "true", "predicted", known, told, {"slope": 1}),
            "residuals": _scatter("What is left over", "predicted", "residual", told, told - known, {"y": 0}),
        },
        count=len(targets),
        drawn=len(shown),
        errors=[(title, loss(metrics[name])) for name, title in names if name in metrics],
        unanswered=int((~finite).sum()),
        changed=changed,
    )


def _scatter(title: str, x: str, y: str, places: Any, values: Any, level: dict[str, int]) -> dict[str, Any]:
    look = {"marks": "dot", "alpha": 0.6, "size": 2.6 if len(places) < 500 else 1.8}
    return {
        "title": title,
        "axis": {"name": x},
        "height": y,
        "lines": [points(y, places.tolist(), values.tolist(), **look)],
        "levels": [level],
    }


def summarise(pixels: Any, truth: Any, logits: Any, margin: float = 0.0) -> Examples:
    """Return what the page shows of examples and the logits that a model gives them.

    Args:
        pixels: Images, ink high, shape (examples, height, width); or in colour, (examples, height, width, 3); None
            where inputs are no images.
        truth: Class indices; integer array of shape (examples,).
        logits: float array of shape (examples, classes).
        margin: Of two classes, how far the second's logit must be above the first's to be answered.
    """
    import torch

    from downslope.training.measuring.class_rates import rate_classes
    from downslope.training.run.losses import choose

    chosen, answered = choose(torch.from_numpy(logits), margin=margin)
    answers = torch.where(answered, chosen, -1)
    classes = max(logits.shape[1], int(truth.max()) + 1)
    by_class = rate_classes(torch.from_numpy(truth), answers, classes)
    prediction, told = answers.numpy(), answered.numpy()
    with np.errstate(invalid="ignore"):
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        confidence = shifted[np.arange(len(shifted)), chosen.numpy()] / shifted.sum(axis=1)
    wrong = prediction != truth
    shown = np.flatnonzero(told)
    order = shown[np.lexsort((shown, np.where(wrong, -confidence, confidence)[shown], ~wrong[shown]))]
    taken, counts = np.unique(np.stack([truth, prediction], 1)[wrong & told], axis=0, return_counts=True)
    pairs = [(int(count), int(i), int(j)) for (i, j), count in zip(taken, counts, strict=True)]
    few = classes <= _MOST_CLASSES
    return Examples(
        pictures=[] if pixels is None else pictures_of(pixels, truth, prediction, confidence, order[:MOST]),
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


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
