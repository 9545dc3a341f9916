"""Panels drawn by matplotlib as SVG that stands inside a page: its colours are the page's, its text is text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from downslope.core.number_text import number_text, percent_text
from downslope.plot.svg import GRID, LINES, SOFT, WARN, as_html, begin, number, style, tick_powers
from downslope.training.folder.events import Session
from downslope.training.report.panels import Line, Panel
from downslope.training.report.series import Series

WIDTH, HEIGHT = 440, 232

_FITS = 7
"""Characters that there is room for beside the frame."""

_DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.5, 1.5)))


def draw(panel: Panel) -> str:
    """Return a panel as an ``<svg>`` element."""
    with style("a report"):
        figure, axes = _begin()
        for line in panel.lines:
            # a 0 has no logarithm: its line leads below the frame
            _draw_line(axes, line, cut=panel.log or panel.frame_from is not None)
        _scale(axes, panel)
        if panel.limit is not None:
            axes.axhline(panel.limit, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        for index, step in enumerate(panel.resumed):
            axes.axvline(step, color=SOFT, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1)
            if index == 0:
                axes.annotate("resumed", (step, 1), xycoords=("data", "axes fraction"), xytext=(3, -8),
                              textcoords="offset points", color=SOFT, fontsize=9.8)  # fmt: skip
        if len(panel.nonfinite):
            ticks = np.unique(np.linspace(0, len(panel.nonfinite) - 1, 300).astype(int))
            axes.plot(panel.nonfinite[ticks], np.zeros(len(ticks)), "|", color=WARN, markersize=9,
                      transform=axes.get_xaxis_transform(), clip_on=False, zorder=4)  # fmt: skip
        if panel.end_labels:
            _label_ends(axes, panel)
        return as_html(figure, panel.key, panel.title, panel.describe(), (WIDTH, HEIGHT))


def draw_progress(found: Sequence[Session]) -> str | None:
    """Return steps over wall time as an ``<svg>`` element: one line for each process, broken where none ran.

    None if too few events carry a time and a step for a picture to tell more than the table.
    """
    lines = [
        [(time, step) for time, step in zip(session.times, session.steps, strict=True) if step is not None]
        for session in found
    ]
    if sum(map(len, lines)) < (4 if len(lines) == 1 else 2):
        return None
    unit, seconds = next(u for u in (("days", 86400), ("h", 3600), ("min", 60), ("s", 1))
                         if u[1] == 1 or max(t for line in lines for t, _ in line) >= 3 * u[1])  # fmt: skip
    with style("a report"):
        figure, axes = _begin()
        for session, line in zip(found, lines, strict=True):
            times, steps = [time / seconds for time, _ in line], [step for _, step in line]
            axes.plot(times, steps, "o-", color=LINES[0], linewidth=1.6, markersize=3.2, clip_on=False)
            if session.ending != "finish" and line:
                word = (
                    "stopped by a signal" if session.ending else "killed" if session is not found[-1] else "last event"
                )
                axes.plot(times[-1:], steps[-1:], "x", color=WARN, markersize=7, markeredgewidth=1.8, clip_on=False)
                axes.annotate(word, (times[-1], steps[-1]), xytext=(7, -9), textcoords="offset points", color=WARN,
                              fontsize=9.8)  # fmt: skip
        axes.margins(x=0.02, y=0.04)
        axes.yaxis.set_major_formatter(number)
        axes.xaxis.set_major_formatter(number)
        axes.set_xlabel(f"wall time, {unit}", loc="right", fontsize=10, color=SOFT, labelpad=2)
        axes.set_title("steps done", loc="left", fontsize=10, color=SOFT, x=-0.09)
        parts = [f"process {i + 1}: step {line[0][1]} to {line[-1][1]}" for i, line in enumerate(lines) if line]
        return as_html(figure, "progress", "Steps done over wall time", "; ".join(parts) + ".", (WIDTH, HEIGHT))


def draw_fit(true: Any, predicted: Any) -> str:
    """Return numbers that were predicted against the true ones, arrays of one shape, as an ``<svg>`` element."""
    about = f"{len(true)} held-out numbers: true ones {_range(true)}, predicted ones {_range(predicted)}."
    both = np.concatenate([true, predicted]) if len(true) else np.array([0.0, 1.0])
    low, high = float(both.min()), float(both.max())
    room = 0.04 * (high - low) or abs(high) or 1.0
    frame = (low - room, high + room)
    return _scatter("fit", "Predicted against true", about, (true, predicted), ("true", "predicted"),
                    ([low, high], [low, high]), (frame, frame))  # fmt: skip


def draw_residuals(predicted: Any, residuals: Any) -> str:
    """Return what was predicted too much or too little, against what was predicted, as an ``<svg>`` element."""
    about = f"{len(predicted)} held-out numbers: residuals {_range(residuals)}."
    low, high = (float(predicted.min()), float(predicted.max())) if len(predicted) else (0.0, 1.0)
    most = float(np.abs(residuals).max()) if len(predicted) else 1.0
    room, tall = 0.04 * (high - low) or abs(high) or 1.0, 1.08 * most or 1.0
    names = ("predicted", "predicted \N{MINUS SIGN} true")
    return _scatter("residuals", "What is left over", about, (predicted, residuals), names,
                    ([low, high], [0, 0]), ((low - room, high + room), (-tall, tall)))  # fmt: skip


def _scatter(
    key: str, title: str, about: str, values: tuple[Any, Any], names: tuple[str, str],
    level: tuple[list[float], list[float]], frame: tuple[tuple[float, float], tuple[float, float]],
) -> str:  # fmt: skip
    from matplotlib import ticker

    with style("a report"):
        figure, axes = _begin()
        axes.set_xlim(*frame[0])
        axes.set_ylim(*frame[1])
        axes.plot(*level, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        size = 3 if len(values[0]) < 500 else 1.8
        axes.plot(*values, "o", color=LINES[0], markersize=size, alpha=0.6, zorder=2)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))
            axis.set_major_formatter(number)
        axes.grid(color=GRID, linewidth=0.7)
        axes.set_xlabel(names[0], loc="right", fontsize=10, color=SOFT, labelpad=2)
        axes.set_title(names[1], loc="left", fontsize=10, color=SOFT, x=-0.09)
        return as_html(figure, key, title, about, (WIDTH, HEIGHT))


def _begin() -> tuple[Any, Any]:
    """Return (figure, axes), empty, with room for ends of lines at the right and epochs above."""
    figure, axes = begin((WIDTH, HEIGHT), left=46, right=44, top=24, bottom=34)
    axes.grid(visible=False)
    return figure, axes


def _draw_line(axes: Any, line: Line, *, cut: bool) -> None:
    colour, look = LINES[line.colour], {"linestyle": _DASHES[line.dash], "clip_on": cut}
    steps, values = line.series.steps, line.series.values
    if line.style == "faint":
        axes.plot(steps, values, color=colour, alpha=0.3, linewidth=0.7, zorder=2)
    elif line.style == "line":
        lonely = _lonely(line.series)
        axes.plot(steps, values, color=colour, linewidth=1.5, zorder=3, **look)
        axes.plot(steps[lonely], values[lonely], ".", color=colour, markersize=4, zorder=3, clip_on=False)
    else:
        many = len(values) > 120
        axes.plot(steps, values, color=colour, linewidth=1.2, marker=None if many else "o",
                  markersize=3.4 if len(values) < 40 else 2.2, zorder=4, **look)  # fmt: skip


def _lonely(series: Series) -> Any:
    """Return where a value has gaps on both sides, so that a line would not show it."""
    present = np.isfinite(series.values)
    before, after = np.append(False, present[:-1]), np.append(present[1:], False)
    return present & ~before & ~after


def _scale(axes: Any, panel: Panel) -> None:
    from matplotlib import ticker

    steps = np.concatenate([line.series.steps for line in panel.lines])
    values = np.concatenate([line.series.finite for line in panel.lines])
    last = max(int(steps.max()), 1)
    axes.set_xlim(-0.01 * last, 1.01 * last)
    axes.spines["bottom"].set_bounds(0, last)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(number)
    axes.set_xlabel("step", loc="right", fontsize=10, color=SOFT, labelpad=2)
    if panel.log:
        axes.set_yscale("log", nonpositive="clip")
        low, high = values[values > 0].min(), values.max()
        bottom, top = math.log10(low), math.log10(high)
        decades = top - bottom
        room = 0.05 * decades
        axes.set_ylim(10.0 ** max(bottom - room, -250), 10.0 ** min(top + room, 250))  # beyond, ticks would be infinite
        tick_powers(axes.yaxis, 7, (1.0, 2.0, 5.0) if decades < 1.7 else (1.0,))
    else:
        low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
        low = low if panel.frame_from is None else panel.frame_from
        spread = high - low or abs(high) or 1.0
        axes.set_ylim(low - 0.05 * spread, high + 0.05 * spread)
        axes.yaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(_percent if panel.percent else number)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if panel.steps_per_epoch:
        per_epoch = panel.steps_per_epoch
        top = axes.secondary_xaxis("top", functions=(lambda step: step / per_epoch, lambda epoch: epoch * per_epoch))
        top.spines["top"].set_visible(False)
        top.xaxis.set_major_locator(ticker.MaxNLocator(6, steps=[1, 2, 5, 10]))
        top.xaxis.set_major_formatter(number)
        top.tick_params(labelsize=9.8, labelcolor=SOFT, length=2, pad=1)
        axes.annotate("epoch", (0, 1), xycoords="axes fraction", xytext=(-6, 8.5), textcoords="offset points",
                      ha="right", va="center", color=SOFT, fontsize=9.8)  # fmt: skip


def _label_ends(axes: Any, panel: Panel) -> None:
    """Write the last value of each line at its end, moved apart where they would touch."""
    ends = [(line, last) for line in panel.lines if line.style != "faint" and (last := line.whole.last())]
    placed: list[tuple[float, Line, float]] = []
    for line, (value, _) in ends:
        height = axes.transData.transform((0, value))[1] * HEIGHT / axes.figure.bbox.height
        placed.append((height, line, value))
    floor = -math.inf
    for wanted, line, value in sorted(placed, key=lambda item: item[0]):
        height = floor = max(wanted, floor + 11)
        text = percent_text(value) if panel.percent else _short(value)
        axes.annotate(text, (1, height / HEIGHT), xycoords=("axes fraction", "figure fraction"), xytext=(5, 0),
                      textcoords="offset points", va="center", color=LINES[line.colour], fontsize=10)  # fmt: skip


def _short(value: float) -> str:
    """Return a number for the end of a line, with three digits, or two where they would not fit beside the frame."""
    text = number_text(float(f"{value:.3g}"))
    return text if len(text) <= _FITS else number_text(float(f"{value:.2g}"))


def _percent(value: float, _: Any = None) -> str:
    return f"{number_text(100 * value)} %"


def _range(values: Any) -> str:
    return f"from {_digits(values.min())} to {_digits(values.max())}" if len(values) else "none"


def _digits(value: float) -> str:
    return number_text(float(f"{value:.4g}"))
