"""What a model predicts of numbers, against what is true: a plot, and its errors in the target's own unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from downslope.core.number_text import number_text
from downslope.plot.svg import GRID, LINES, SOFT, as_html, number, style
from downslope.training.report.numbers import Number, loss

if TYPE_CHECKING:
    from torch import Tensor

    from downslope.training.data import Dataset

_SIDE = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 24, 36
_MOST = 2000
"""So many points are drawn at most, evenly chosen by what is true: more are one blot, and a large page."""


@dataclass(frozen=True)
class Fit:
    """What the page shows of held-out examples whose targets are numbers.

    Attributes:
        plot: Predicted against true, as an ``<svg>`` element.
        count: How many examples there are.
        drawn: How many numbers are drawn.
        errors: Name, number: RMSE, MAE and R2.
        unanswered: How many outputs are no finite numbers.
        changed: Whether the data are no longer those of the run.
    """

    plot: str
    count: int
    drawn: int
    errors: list[tuple[str, Number]]
    unanswered: int
    changed: bool


def fit_of(dataset: Dataset, targets: Tensor, outputs: Tensor, metrics: Mapping[str, float], *, changed: bool) -> Fit:
    """Return what a model predicts of numbers, against what is true.

    Args:
        dataset: The data.
        targets: As the loss takes them, shape (examples, ...).
        outputs: What the model returned, of the same shape.
        metrics: How good that is.
        changed: Whether the data are no longer those of the run.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
    """
    from downslope.training.use.predict import restore_unit

    true = restore_unit(targets, dataset).double().flatten().numpy()
    predicted = restore_unit(outputs, dataset).double().flatten().numpy()
    finite = np.isfinite(predicted)
    points = np.flatnonzero(finite)
    if len(points) > _MOST:
        points = points[np.argsort(true[points], kind="stable")]
        points = points[np.linspace(0, len(points) - 1, _MOST).round().astype(int)]
    names = (("rmse", "RMSE"), ("mae", "MAE"), ("r2", "R2"))
    return Fit(
        plot=_draw(true[points], predicted[points]),
        count=len(targets),
        drawn=len(points),
        errors=[(title, loss(metrics[name])) for name, title in names if name in metrics],
        unanswered=int((~finite).sum()),
        changed=changed,
    )


def _draw(true: Any, predicted: Any) -> str:
    from matplotlib import ticker
    from matplotlib.figure import Figure

    with style("a report"):
        figure = Figure(figsize=(_SIDE / 72, _SIDE / 72), facecolor="none")
        box = (_LEFT / _SIDE, _BOTTOM / _SIDE, 1 - (_LEFT + _RIGHT) / _SIDE, 1 - (_TOP + _BOTTOM) / _SIDE)
        axes: Any = figure.add_axes(box, facecolor="none")
        values = np.concatenate([true, predicted]) if len(true) else np.array([0.0, 1.0])
        low, high = float(values.min()), float(values.max())
        room = 0.04 * (high - low) or abs(high) or 1.0
        axes.set_xlim(low - room, high + room)
        axes.set_ylim(low - room, high + room)
        axes.plot([low, high], [low, high], color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        axes.plot(true, predicted, "o", color=LINES[0], markersize=3 if len(true) < 500 else 1.8, alpha=0.6, zorder=2)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))
            axis.set_major_formatter(number)
        axes.grid(color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.set_xlabel("true", loc="right", fontsize=10, color=SOFT, labelpad=2)
        axes.set_title("predicted", loc="left", fontsize=10, color=SOFT, x=-0.16)
        return as_html(figure, "fit", "Predicted against true", _describe(true, predicted), (_SIDE, _SIDE))


def _describe(true: Any, predicted: Any) -> str:
    if not len(true):
        return "No number."
    ranges = [f"from {_text(values.min())} to {_text(values.max())}" for values in (true, predicted)]
    return f"{len(true)} held-out numbers: true ones {ranges[0]}, predicted ones {ranges[1]}."


def _text(value: float) -> str:
    return number_text(float(f"{value:.4g}"))
