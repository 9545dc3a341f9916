"""Which curves a report shows: one panel for each quantity, of one run or of several laid over one another."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from downslope.core.number_text import number_text, percent_text
from downslope.plot.svg import COLOURS
from downslope.recipe.measures import FURTHER, is_share, title_of
from downslope.training.report.data import RunData, metrics_of_several, steps_per_epoch_of
from downslope.training.report.numbers import whole
from downslope.training.report.series import (
    Floats,
    Integers,
    Series,
    collect,
    smooth,
    smoothing_window,
    thin,
    without_repeats,
)

_TRAIN, _HELD_OUT, _AVERAGED = 0, 1, 2
"""Colours of a single run's lines."""

HELD, HELD_AVERAGED = "held-out", "held-out, averaged weights"
LOG_FROM = 30
"""A positive quantity whose largest value is so many times its smallest gets a logarithmic axis."""

_STRETCHES = 350
"""Into how many stretches a long line is cut, each drawn by its extremes: as many as a panel has pixels."""

_BEGINNING = 0.1
"""Part of a run that may lie below the frame of the accuracy, where else its end would be a flat line at the top."""

_TITLES = {
    "loss": "Loss",
    "accuracy": "Accuracy",
    "measures": "Further measures, held-out",
    "rmse": "Root mean square error",
    "mae": "Mean absolute error",
    "r2": "R2",
    "nonfinite_outputs": "Outputs that are no finite numbers",
    "lr": "Learning rate",
    "effective_lr": "Effective learning rate",
    "grad_norm": "Gradient norm",
    "weight_norm": "Weight norm",
    "momentum": "Momentum",
    "weight_decay": "Weight decay",
}
_NOTES = {
    "rmse": "In the target's own unit.",
    "mae": "In the target's own unit.",
    "r2": "The part of the held-out targets' variance that is explained; below 0 their mean would do better.",
    "effective_lr": "lr (1 \N{MINUS SIGN} dampening) / (1 \N{MINUS SIGN} momentum): what each gradient moves in all, "
    "where gradients vary slowly over 1 / (1 \N{MINUS SIGN} momentum) steps.",
    "grad_norm": "Global norm over all parameters, before clipping.",
    "weight_norm": "Global norm over all parameters.",
}

_SETTINGS = ("lr", "effective_lr", "momentum", "weight_decay")
"""What has a panel where it moves, and where it does not, is said in a line."""

_NOTHING = collect([], "")


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a panel.

    Attributes:
        name: What it shows.
        series: Its points, thinned.
        colour: Index of its colour, 0 to `COLOURS` - 1.
        dash: Index of its kind of line: 0 solid, 1 dashed, 2 dotted.
        style: "faint" (background to another line), "line", or "dots" (a line through marked points).
        whole: The series before it was thinned.
        named: Whether the legend names it.
        raw: The series before it was smoothed too, where it was.
        window: Over how many values it was smoothed; 1 for none.
        run: Index of the run it belongs to.
    """

    name: str
    series: Series
    colour: int
    style: Literal["faint", "line", "dots"]
    whole: Series
    dash: int = 0
    named: bool = True
    raw: Series | None = None
    window: int = 1
    run: int = 0


@dataclass(frozen=True, eq=False)
class Panel:
    """One plot.

    Attributes:
        key: Its id on the page.
        title: Heading.
        notes: Sentences under the plot.
        drawn: Sentences on how the plot is drawn, where no script draws it otherwise.
        lines: What is drawn, back to front.
        percent: Whether values are fractions shown as percent.
        log: Whether the vertical axis is logarithmic.
        steps_per_epoch: For the axis of epochs, or None for no such axis.
        resumed: Steps at which the run was resumed.
        limit: A level to mark (the norm clipped to), or None.
        frame_from: Where the vertical axis begins, if something lies below it.
        end_labels: Whether the last value of each line is written at its end.
    """

    key: str
    title: str
    notes: list[str]
    lines: list[Line]
    percent: bool = False
    log: bool = False
    steps_per_epoch: int | None = None
    resumed: list[int] = field(default_factory=list[int])
    limit: float | None = None
    frame_from: float | None = None
    end_labels: bool = True
    drawn: list[str] = field(default_factory=list[str])

    @property
    def as_drawn(self) -> list[str]:
        """All sentences on how the plot is drawn."""
        return ["Logarithmic scale.", *self.drawn] if self.log else self.drawn

    @property
    def fronts(self) -> list[Line]:
        """The lines that are no background to another."""
        return [line for line in self.lines if line.style != "faint"]

    @property
    def legend(self) -> list[Line]:
        """The lines that need naming."""
        front = [line for line in self.fronts if line.named]
        return front if len(front) > 1 or self.key in {"loss", "accuracy"} else []

    @property
    def nonfinite(self) -> Integers:
        """Steps at which something in this panel was NaN or infinite."""
        return np.unique(np.concatenate([line.series.nonfinite for line in self.lines]))

    def describe(self) -> str:
        """Return the panel in words, for those who cannot see it."""
        parts: list[str] = []
        for line in self.lines:
            first, last = line.whole.finite[:1], line.whole.last()
            if line.style != "faint" and last is not None:
                parts.append(
                    f"{line.name}: from {number_text(float(first[0]))} to {number_text(last[0])} at step {last[1]}, "
                    f"smallest {number_text(float(line.whole.finite.min()))}, "
                    f"largest {number_text(float(line.whole.finite.max()))}"
                )
        return "; ".join(parts) + "."


def panels_of_one(run: RunData) -> list[Panel]:
    """Return the panels of how well a single run did; a quantity that the log does not have gets none."""
    train, held_out = run.train, run.held_out
    averaged = {"loss": "ema_loss", "accuracy": "ema_accuracy"}
    found: list[Panel | None] = []
    for name in ("loss", "accuracy"):
        lines = _smoothed("train", train[name], _TRAIN, background=name == "loss")
        lines += line_of(HELD, held_out[name], _HELD_OUT, "dots")
        lines += line_of(HELD_AVERAGED, held_out[averaged[name]], _AVERAGED, "dots")
        found.append(_panel(name, lines, run))
    further = [name for name in run.metrics if name in FURTHER]
    lines = [
        line
        for index, name in enumerate(further)
        for line in line_of(title_of(name), held_out[name], index % COLOURS, "dots")
    ]
    found.append(_panel("measures", lines, run))
    for name in [name for name in run.metrics if name not in averaged and name not in further]:
        lines = line_of(HELD, held_out[name], _HELD_OUT, "dots")
        if f"ema_{name}" in held_out:
            lines += line_of(HELD_AVERAGED, held_out[f"ema_{name}"], _AVERAGED, "dots")
        found.append(_panel(name, lines, run))
    return [panel for panel in found if panel is not None]


def panels_of_steps(run: RunData) -> list[Panel]:
    """Return the panels of what a single run's steps were taken with: settings that move, and norms."""
    train = run.train
    found = [_panel(name, line_of(name, train[name], _TRAIN), run) for name in _SETTINGS if _moves(run, name)]
    found.append(_panel("grad_norm", _smoothed("gradient norm", train["grad_norm"], _TRAIN, background=True), run))
    found.append(_panel("weight_norm", line_of("weight norm", train["weight_norm"], _TRAIN), run))
    return [panel for panel in found if panel is not None]


def constants(run: RunData) -> str:
    """Return the settings that were the same in every logged step, as a sentence; "" if there are none."""
    found = [
        f"{_TITLES[name].lower()} {number_text(float(values[0]))}"
        for name in _SETTINGS
        if len(values := run.train[name].finite) and not _moves(run, name)
    ]
    of_whom = " of the parameters that are in no group" if found and run.recipe.groups else ""
    return f"The same in every step{of_whom}: {', '.join(found)}." if found else ""


def panels_of_several(runs: Sequence[RunData]) -> list[Panel]:
    """Return the panels of several runs, one line for each run, in the runs' order and colours."""
    found: list[Panel | None] = []
    for name in dict.fromkeys(["loss", "accuracy", *metrics_of_several(runs)]):
        places = (HELD, HELD_AVERAGED, "train") if name in {"loss", "accuracy"} else (HELD, HELD_AVERAGED)
        found += [_panel_of_several(name, where, runs) for where in places]
    for name in (*_SETTINGS, "grad_norm", "weight_norm"):
        if name not in _SETTINGS or any(_moves(run, name) for run in runs):
            found.append(_panel_of_several(name, "", runs))
    return [panel for panel in found if panel is not None]


def missing_from(run: RunData) -> list[str]:
    """Return the quantities that the run's log does not have at all."""
    wanted = ["loss", *(["accuracy"] if run.has_right_answers else []), "lr", "grad_norm", "weight_norm"]
    train = [
        f"{'training ' if name in {'loss', 'accuracy'} else ''}{_TITLES[name].lower()}"
        for name in wanted
        if not len(run.train[name])
    ]
    return train if any(map(len, run.held_out.values())) else [*train, "any evaluation on held-out examples"]


def _panel(name: str, lines: list[Line], run: RunData) -> Panel | None:
    if not lines:
        return None
    notes = [_NOTES[name]] if name in _NOTES else []
    if name == "accuracy" and run.rates:
        notes.append("Of single symbols, the true ones before them given.")
    if name in {"lr", "effective_lr"} and any(
        {"lr", "lr_factor", "momentum", "dampening"} & group.changes().keys() for group in run.recipe.groups
    ):
        notes.append("Of the parameters that are in no group.")
    window = smoothing_window(len(lines[0].whole))
    unit = "logged steps" if run.recipe.train.log_every > 1 else "steps"
    drawn: list[str] = []
    if lines[0].style == "faint":
        drawn.append(f"Faint: every step. Line: mean over {window} {unit}.")
    elif name == "accuracy" and lines[0].style == "line":
        drawn.append(f"Train: mean over {window} {unit}.")
    limit = run.recipe.train.clip_norm if name == "grad_norm" else None
    if limit is not None:
        notes.append(f"Dashed: clipped to {number_text(limit)}.")
    if name == "measures" and run.recipe.train.ema is not None:
        notes.append("Of the weights as they are; of the averaged ones they are in the log.")
    percent = is_share(name) or name == "measures"
    frame_from = _frame_from(lines) if name == "accuracy" else None
    return Panel(
        key=name,
        title=_title(name),
        notes=notes + _gap_note(lines),
        drawn=drawn + _frame_note(frame_from, lines) + _thin_note(lines),
        lines=lines,
        percent=percent,
        log=not percent and wants_log(lines),
        frame_from=frame_from,
        steps_per_epoch=run.steps_per_epoch,
        resumed=run.resumed,
        limit=limit,
    )


def _series_of(run: RunData, name: str, where: str) -> Series:
    if where == HELD:
        return run.held_out.get(name, _NOTHING)
    return run.held_out.get(f"ema_{name}", _NOTHING) if where == HELD_AVERAGED else run.train[name]


def _panel_of_several(name: str, where: str, runs: Sequence[RunData]) -> Panel | None:
    smoothed = where == "train" or name == "grad_norm"

    lines = line_of_each(runs, lambda run: _series_of(run, name, where), smoothed=smoothed)
    if not lines:
        return None
    notes = [_NOTES[name]] if name in _NOTES else []
    drawn = ["Each line is a running mean over about a fortieth of its run."] if smoothed else []
    notes += note_of_absent(runs, lines, "Not in the log of")
    present = {line.name for line in lines}
    shown = [run for run in runs if run.name in present]
    kinds = dict.fromkeys(run.recipe.train.loss for run in shown) if name == "loss" else {}
    if len(kinds) > 1:
        told = [f"{kind} ({', '.join(r.name for r in shown if r.recipe.train.loss == kind)})" for kind in kinds]
        notes.append(f"Not one loss, hence not to be compared: {'; '.join(told)}.")
    symbols = [run.name for run in shown if run.rates] if name == "accuracy" else []
    if symbols:
        notes.append(f"In {', '.join(symbols)}: of single symbols, the true ones before them given.")
    percent = is_share(name)
    frame_from = _frame_from(lines) if name == "accuracy" else None
    return Panel(
        key=re.sub(r"\W+", "-", f"{name}-{where}").strip("-"),
        title=f"{_title(name)}, {where}".rstrip(", "),
        notes=notes + _gap_note(lines),
        drawn=drawn + _frame_note(frame_from, lines),
        lines=lines,
        percent=percent,
        log=not percent and (wants_log(lines) or (name == "loss" and where != "train" and _all_positive(lines))),
        frame_from=frame_from,
        steps_per_epoch=steps_per_epoch_of(runs),
        end_labels=False,
    )


def _title(name: str) -> str:
    title = title_of(name)
    return _TITLES.get(name, title[:1].upper() + title[1:])


def _moves(run: RunData, name: str) -> bool:
    values = run.train[name].finite
    return bool(len(values)) and values.min() != values.max()


def line_of(
    name: str, series: Series, colour: int, style: Literal["faint", "line", "dots"] = "line", *, dash: int = 0,
    share: int = 1,
) -> list[Line]:  # fmt: skip
    """Return a series as a line of a panel, thinned; as none if it is empty."""
    if not len(series):
        return []
    stretches = max(15, _STRETCHES // share)
    shown = series if style == "dots" else without_repeats(series)
    return [Line(name, thin(shown, stretches), colour, style, series, dash)]


def line_of_each(runs: Sequence[RunData], series: Callable[[RunData], Series], *, smoothed: bool = False) -> list[Line]:
    """Return a line for each run that has one, in the runs' order and colours; smoothed or as it is."""
    found: list[Line] = []
    for index, run in enumerate(runs):
        raw = series(run)
        window = smoothing_window(len(raw)) if smoothed else 1
        drawn = smooth(raw, window) if window > 1 else raw
        lines = line_of(run.name, drawn, index % COLOURS, dash=index // COLOURS, share=len(runs))
        before = raw if window > 1 else None
        found += [replace(line, run=index, raw=before, window=window) for line in lines]
    return found


def note_of_absent(runs: Sequence[RunData], lines: Sequence[Line], what: str) -> list[str]:
    """Return a sentence on the runs that have no line, if there are any."""
    drawn = {line.name for line in lines}
    absent = [run.name for run in runs if run.name not in drawn]
    return [f"{what} {', '.join(absent)}."] if absent else []


def _smoothed(name: str, series: Series, colour: int, *, background: bool) -> list[Line]:
    window = smoothing_window(len(series))
    if window == 1:
        return line_of(name, series, colour, "dots")
    behind = line_of(f"{name}, every step", series, colour, "faint") if background else []
    front = line_of(name, smooth(series, window), colour)
    return [*behind, *(replace(line, raw=series, window=window) for line in front)]


def wants_log(lines: Sequence[Line]) -> bool:
    """Return whether the values of a panel spread over so much that a logarithmic axis shows more; none is negative."""
    fronts = [values for line in lines if line.style != "faint" and len(values := line.whole.finite)]
    if not fronts or not any(values.any() for values in fronts) or min(values.min() for values in fronts) < 0:
        return False
    largest = max(values.max() for values in fronts)
    # where some values are so large that most of the others would lie on the axis, as those of a run that diverged,
    # only a logarithm shows them; a 0 is then drawn at the bottom
    if np.median(np.concatenate(fronts)) * LOG_FROM <= largest:
        return bool(largest >= LOG_FROM * min(values[values > 0].min() for values in fronts if values.any()))
    # what dives towards zero at its end, such as a cosine, would be nothing but that dive
    dives = any(np.quantile(values, 0.05) > 10 * values.min() for values in fronts)
    return bool(not dives and 0 < LOG_FROM * min(values.min() for values in fronts) <= largest)


def _all_positive(lines: Sequence[Line]) -> bool:
    """Return whether a panel has values of more than one size, all above 0."""
    values = np.concatenate([line.whole.finite for line in lines])
    return bool(len(values) and 0 < values.min() < values.max())


def _frame_from(lines: Sequence[Line]) -> float | None:
    """Return where an accuracy's axis should begin: below all but each line's beginning, if that doubles its scale."""
    values, later = _front_values(lines), _front_values(lines, since=_BEGINNING)
    if not len(later) or later.max() == later.min() or later.max() - later.min() > (values.max() - values.min()) / 2:
        return None
    return float(later.min())


def _front_values(lines: Sequence[Line], since: float = 0.0) -> Floats:
    """Return the finite values of all lines in front, each from a part of its own length on."""
    fronts = [line.series for line in lines if line.style != "faint"]
    found = [series.values[series.steps >= since * series.steps[-1]] for series in fronts]
    values = np.concatenate(found)
    return values[np.isfinite(values)]


def _frame_note(frame_from: float | None, lines: Sequence[Line]) -> list[str]:
    if frame_from is None:
        return []
    return [f"The beginning, from {percent_text(_front_values(lines).min())}, lies below the frame."]


def _thin_note(lines: Sequence[Line]) -> list[str]:
    first = lines[0]
    complete = len(first.whole if first.style == "dots" else without_repeats(first.whole))
    drawn = len(first.series)
    if complete == drawn:
        return []
    return [f"Drawn from {whole(drawn)} of {whole(complete)} values: the smallest and the largest of each stretch."]


def _gap_note(lines: Sequence[Line]) -> list[str]:
    gaps = np.unique(np.concatenate([line.series.nonfinite for line in lines]))
    if not len(gaps):
        return []
    count = "1 value was" if len(gaps) == 1 else f"{whole(len(gaps))} values were"
    first = whole(int(gaps[0]))
    return [f"{count} NaN, infinite or skipped, the first at step {first}: gaps in the line, ticks at the foot."]
