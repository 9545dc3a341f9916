"""The numbers of a report's plots for the page's script: all of them, or as many as the page has room for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from downslope.plot.charts import as_json, pack_steps, pack_values
from downslope.training.report.data import RunData
from downslope.training.report.numbers import whole
from downslope.training.report.panels import Line, Panel
from downslope.training.report.series import Series, thin

_ALL = 60_000
"""With more values than this on a page, it is not tried whether all fit."""

_CUTS = tuple((cut, None) for cut in (2000, 1400, 1000, 700, 500, 350)) + tuple(
    (cut, 7) for cut in (350, 250, 180, 120, 80, 50, 30, 15)
)
"""Into how many stretches long lines are cut, and to how many digits, one after another until the page has room."""

_TICKS = 300


def numbers_of(
    name: str, runs: Sequence[RunData], panels: Sequence[Panel], charts: dict[str, dict[str, Any]], room: int
) -> str:
    """Return the numbers of a page as JSON.

    Where they are too many, long lines are cut into stretches, of each the smallest and the largest value kept, and
    the chart says so; means are those of all values.

    Args:
        name: What files of numbers are called by.
        runs: The page's runs.
        panels: Its panels over steps.
        charts: Its other charts by their keys, as the script takes them.
        room: How many bytes there may be.
    """
    about = {"name": name, "runs": [_run(run) for run in runs]}
    values = sum(len(_raw(line)) for panel in panels for line in panel.lines)
    text = ""
    for stretches, digits in (*(((None, None),) if values <= _ALL else ()), *_CUTS):
        drawn = {panel.key: _chart(panel, stretches, digits) for panel in panels}
        text = as_json({**about, "charts": {**drawn, **charts}})
        if len(text.encode("utf-8", "surrogateescape")) <= room:
            break
    return text


def _run(run: RunData) -> dict[str, Any]:
    """Return a run's name, and what turns its steps into epochs and examples."""
    data = run.recipe.data
    found: dict[str, Any] = {"name": run.name, "per": run.steps_per_epoch}
    examples = run.facts.get("data", {}).get("train_examples")
    if examples and run.steps_per_epoch:
        found |= {"examples": examples, "batch": min(data.batch_size, examples) * run.recipe.train.accumulate}
    return found


def _raw(line: Line) -> Series:
    return line.whole if line.raw is None else line.raw


def _chart(panel: Panel, stretches: int | None, digits: int | None) -> dict[str, Any]:
    behind = {id(line.whole) for line in panel.lines if line.style == "faint"}
    fronts = panel.fronts
    curves = [_curve(line, stretches, digits, faint=id(_raw(line)) in behind) for line in fronts]
    gaps = [[line.run, int(step)] for line in fronts for step in line.series.nonfinite]
    places = sorted(set(np.linspace(0, len(gaps) - 1, _TICKS).astype(int).tolist())) if len(gaps) > _TICKS else None
    some = {
        "percent": panel.percent,
        "log": panel.log,
        "levels": [] if panel.limit is None else [{"y": panel.limit}],
        "resumed": panel.resumed,
        "gaps": gaps if places is None else [gaps[place] for place in places],
        "ends": panel.end_labels,
        "note": _note(curves, fronts, digits),
    }
    floor = {} if panel.frame_from is None else {"floor": panel.frame_from}
    return {"title": panel.title, "lines": curves, **_present(some), **floor}


def _present(table: dict[str, Any]) -> dict[str, Any]:
    """Return what is there: the script takes what is left out as 0, false or none."""
    return {name: value for name, value in table.items() if value}


def _curve(line: Line, stretches: int | None, digits: int | None, *, faint: bool) -> dict[str, Any]:
    raw = _raw(line)
    shown = raw if stretches is None else thin(raw, stretches)
    cut = stretches is not None and len(shown) < len(raw)
    some = {
        "run": line.run,
        "dash": line.dash,
        "dots": line.style == "dots",
        "faint": faint,
        "window": line.window if line.window > 1 else 0,
        "m": _means(raw, stretches) if stretches and cut and line.window > 1 else {},
    }
    steps, values = pack_steps(shown.steps.tolist()), pack_values(shown.values.tolist(), digits)
    return {"name": line.name, "colour": line.colour, "s": steps, "v": values, **_present(some)}


def _means(raw: Series, stretches: int) -> dict[str, Any]:
    """Return the mean of each stretch with its middle step and how many values it is of; to seven digits."""
    edges = np.linspace(0, len(raw), min(2 * stretches, 500) + 1).astype(np.int64)
    steps: list[int] = []
    means: list[float | None] = []
    counts: list[int] = []
    for low, high in pairwise(edges.tolist()):
        part = raw.values[low:high]
        known = part[np.isfinite(part)]
        steps.append(int(raw.steps[(low + high - 1) // 2]))
        means.append(float(f"{known.mean():.7g}") if len(known) else None)
        counts.append(len(known))
    return {"s": pack_steps(steps), "v": means, "c": counts}


def _note(curves: Sequence[dict[str, Any]], lines: Sequence[Line], digits: int | None) -> str:
    """Return how many of the values are on the page, and of how many digits, where it is not all."""
    found: list[str] = []
    for curve, line in zip(curves, lines, strict=True):
        held, every = _count(curve["s"]), len(_raw(line))
        if held < every:
            found.append(f"{whole(held)} of the {whole(every)} values")
    if not found:
        return f"Numbers are rounded to {digits} digits." if digits else ""
    some = found[0] if len(set(found)) == 1 else f"{found[0]} of the first line, of the others as many at most"
    rounded = f", rounded to {digits} digits" if digits else ""
    return f"Here are {some}: the smallest and the largest of each stretch{rounded}."


def _count(steps: Any) -> int:
    return steps["n"] if isinstance(steps, dict) else len(steps)
