"""What a run measured of itself, as panels and a table: groups against theory, gradient noise, sharpness."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from downslope.core.number_text import number_text
from downslope.plot.svg import COLOURS
from downslope.theory.forgetting import in_epochs
from downslope.training.report.data import RunData, steps_per_epoch_of
from downslope.training.report.panels import Line, Panel, line_of, line_of_each, note_of_absent, wants_log
from downslope.training.report.series import Series, collect, smooth, smoothing_window

_DEGREES = 180 / math.pi
_CONDITION = (
    "Dashed: what theory predicts of weights before a normalisation layer, after several decay timescales at a "
    "constant learning rate."
)
_NOISE = (
    "At so many examples to a step, the noise of the gradient is as large as the gradient: smaller batches are mostly "
    "noise, larger ones gain little. Noise and squared gradient are each averaged over a fifth of the run first."
)
_SHARPNESS = (
    "Largest eigenvalue of the training loss's Hessian, on a fixed sample. Training tends to settle near its limit: "
    "2 (1 + momentum) / lr with full batches, Nesterov's form lower; 2 (1 \N{MINUS SIGN} momentum) / lr with small "
    "ones."
)
_END = 0.25
"""The table's numbers are means over so large a part of the run, at its end."""

_RIGHT_ANGLE = 0.05
"""A mean cosine of so much at most passes for a right angle; two networks without normalisation had 0.07 and 0.12."""


def measured_of_one(run: RunData) -> list[Panel]:
    """Return the panels of what a single run measured of itself; empty if it measured nothing."""
    groups = range(len(group_names(run)))
    names = group_names(run)[:COLOURS]
    normalised = is_normalised(run) and any(len(_series(run, "weight_norm_predicted", group)) for group in groups)
    lrs = {tuple(_series(run, "lr", group).values.tolist()) for group in range(len(names))}
    found: list[Panel | None] = [
        _by_group(run, names, "rotation", "Rotation per step, degrees",
                  "The angle by which a group's weights turn in a step, root mean square."),
        _by_group(run, names, "weight_norm", "Weight norm by group", "")
        if len(names) > 1 or normalised else None,
        _by_group(run, names, "update_ratio", "Update over weights",
                  "Length of a step's update over that of the weights it changes."),
        _by_group(run, names, "grad_norm", "Gradient norm by group", "Before clipping.") if len(names) > 1 else None,
        _by_group(run, names, "lr", "Learning rate by group", "") if len(lrs) > 1 else None,
        _noise_panel(run),
        _sharpness_panel(run),
    ]  # fmt: skip
    panels = [panel for panel in found if panel is not None]
    hidden = len(group_names(run)) - len(names)
    if hidden and panels:
        panels[0].notes.append(f"The last {hidden} groups are not drawn.")
    return panels


def measured_of_several(runs: Sequence[RunData]) -> list[Panel]:
    """Return the panels of what several runs measured, a line for each; groups by the last one, all the others."""
    of_last = "Of the parameters that are in no group, or of the last group."
    wanted = (
        ("rotation", "Rotation per step, degrees", of_last),
        ("update_ratio", "Update over weights", of_last),
        ("noise_scale", "Gradient noise scale", "In examples."),
        ("sharpness", "Sharpness", "Largest curvature of the training loss."),
    )
    panels: list[Panel] = []
    for name, title, note in wanted:
        lines = line_of_each(runs, lambda run, name=name: _series(run, name, len(group_names(run)) - 1))
        if not lines:
            continue
        notes = [note, *note_of_absent(runs, lines, "Not measured by")]
        panels.append(
            Panel(
                key=f"measured-{name}",
                title=title,
                notes=notes,
                lines=lines,
                log=wants_log(lines),
                steps_per_epoch=steps_per_epoch_of(runs),
                end_labels=False,
            )
        )
    return panels


def not_measured(run: RunData) -> list[str]:
    """Return what the run could have measured and did not, each with what it takes."""
    rows = run.kind("measure")
    lacking: list[str] = []
    if run.recipe.train.class_weights is not None:
        lacking.append("the gradient noise scale, which is told from plain means over examples")
    elif rows and not any("noise" in row for row in rows):
        lacking.append("the gradient noise scale, which needs two parts to a step (train.shards = 2)")
    if not run.kind("sharpness"):
        lacking.append("the sharpness (train.sharpness_every)")
    return lacking


def group_names(run: RunData) -> list[str]:
    """Return what the page calls each parameter group, in order."""
    groups: list[dict[str, Any]] = run.facts.get("groups") or [{"match": None}]
    names = [str(row["match"]) if row.get("match") is not None else "all the others" for row in groups]
    return ["all parameters"] if len(names) == 1 and groups[0].get("match") is None else names


def is_normalised(run: RunData) -> bool:
    """Return whether in any group the gradients stand nearly at a right angle to the weights, or it is not known."""
    rows = _last_rows(run)
    cosines = [_mean(_numbers(rows, "alignment", index)) for index in range(len(group_names(run)))]
    known = [abs(cosine) for cosine in cosines if cosine is not None]
    return not known or min(known) <= _RIGHT_ANGLE


def at_the_end(run: RunData) -> list[dict[str, str]]:
    """Return, for each group, what was measured over the last quarter of the run beside what theory predicts."""
    rows = _last_rows(run)
    if not rows:
        return []
    table: list[dict[str, str]] = []
    for index, name in enumerate(group_names(run)):
        values = {key: _numbers(rows, key, index) for key in _MEANS}
        forgotten = _mean(values["forgotten"])
        table.append(
            {
                "group": name,
                "half_life": _half_life(forgotten, run.steps_per_epoch),
                "rotation": _degrees(_root_mean_square(values["rotation"])),
                "rotation_predicted": _degrees(_root_mean_square(values["rotation_predicted"])),
                "weight_norm": _short(_mean(values["weight_norm"])),
                "weight_norm_predicted": _short(_mean(values["weight_norm_predicted"])),
                "alignment": _cosine(_mean(values["alignment"])),
            }
        )
    return table


def _last_rows(run: RunData) -> list[Any]:
    rows = run.kind("measure")
    return [row for row in rows if row["step"] >= (1 - _END) * run.steps_done] or rows[-1:]


_MEANS = ("forgotten", "rotation", "rotation_predicted", "weight_norm", "weight_norm_predicted", "alignment")


def _by_group(run: RunData, names: Sequence[str], quantity: str, title: str, note: str) -> Panel | None:
    lines: list[Line] = []
    predictions: dict[tuple[float, ...], Line] = {}  # one line where groups are to do the same
    for index, name in enumerate(names):
        measured = _series(run, quantity, index)
        lines += line_of(name, measured, index, "dots" if len(measured) < 20 else "line")
        theory = _series(run, f"{quantity}_predicted", index) if is_normalised(run) else collect([], quantity)
        for line in line_of(f"{name}, predicted", theory, index, dash=1):
            predictions.setdefault(tuple(theory.values.tolist()), replace(line, named=False))
    if not lines:
        return None
    lines += predictions.values()
    notes = [note] if note else []
    notes += [_CONDITION] if predictions else []
    return _panel(run, f"measured-{quantity}", title, notes, lines)


def _noise_panel(run: RunData) -> Panel | None:
    series = _series(run, "noise_scale")
    if not len(series.finite):
        return None
    batch = run.recipe.data.batch_size * run.recipe.train.accumulate
    notes = [_NOISE, f"Dotted: the {batch} examples of a step."]
    lines = line_of("noise scale", series, 0, "dots" if len(series) < 20 else "line")
    level = Series(series.steps, np.full(len(series), float(batch)), series.nonfinite[:0])
    return _panel(run, "measured-noise", "Gradient noise scale", notes, [*lines, *line_of("batch", level, 2, dash=2)])


def _sharpness_panel(run: RunData) -> Panel | None:
    rows = run.kind("sharpness")
    series = collect(rows, "sharpness")
    if not len(series):
        return None
    lines = line_of("sharpness", series, 0, "dots")
    lines += line_of("limit, full batches", collect(rows, "limit"), 1, dash=1)
    lines += line_of("limit, small batches", collect(rows, "limit_mini_batch"), 2, dash=2)
    return _panel(run, "measured-sharpness", "Sharpness", [_SHARPNESS], lines)


def _panel(run: RunData, key: str, title: str, notes: list[str], lines: list[Line]) -> Panel:
    return Panel(
        key=key,
        title=title,
        notes=notes,
        lines=lines,
        log=wants_log(lines),
        steps_per_epoch=run.steps_per_epoch,
        resumed=run.resumed,
    )


def _series(run: RunData, quantity: str, group: int = 0) -> Series:
    """Return a measured quantity as it is drawn: smoothed, angles in degrees and by their mean squares."""
    if quantity == "sharpness":
        return collect(run.kind("sharpness"), "sharpness")
    rows = run.kind("measure")
    if quantity == "noise_scale":
        window = max(5, len(rows) // 5) // 2 * 2 + 1
        noise, signal = (smooth(collect(rows, name), window) for name in ("noise", "signal"))
        usable = (signal.values > 0) & (noise.values > 0)
        ratio = np.divide(noise.values, signal.values, out=np.full(len(noise), np.nan), where=usable)
        return replace(noise, values=ratio)
    series = collect(_of_group(rows, quantity, group), quantity)
    window = smoothing_window(len(series))
    if quantity in {"rotation", "rotation_predicted"}:
        squares = smooth(replace(series, values=series.values**2), window)
        return replace(squares, values=np.sqrt(squares.values) * _DEGREES)
    return series if quantity == "lr" else smooth(series, window)


def _of_group(rows: Sequence[Any], quantity: str, group: int) -> list[dict[str, Any]]:
    return [
        {"step": row["step"], quantity: values[group]}
        for row in rows
        if isinstance(values := row.get(quantity), list) and group < len(values)
    ]


def _numbers(rows: Sequence[Any], quantity: str, group: int) -> np.ndarray[Any, Any]:
    return collect(_of_group(rows, quantity, group), quantity).finite


def _mean(values: np.ndarray[Any, Any]) -> float | None:
    return float(values.mean()) if len(values) else None


def _root_mean_square(values: np.ndarray[Any, Any]) -> float | None:
    return float(np.sqrt(np.mean(values**2))) if len(values) else None


def _degrees(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{_short(value * _DEGREES)}\N{DEGREE SIGN}"


def _short(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else number_text(float(f"{value:.3g}"))


def _cosine(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else number_text(round(value, 3) + 0.0)  # + 0.0: no minus before a zero


def _half_life(forgotten: float | None, steps_per_epoch: int | None) -> str:
    if not forgotten:
        return "they do not forget"
    steps = math.log(2) / forgotten
    epochs = f", {_short(in_epochs(steps, steps_per_epoch))} epochs" if steps_per_epoch else ""
    return f"{_short(float(round(steps)))} steps{epochs}"
