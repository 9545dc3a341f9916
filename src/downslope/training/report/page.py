"""The report of a run, or of several laid over one another: one page that needs no network.

Its plots are drawn beforehand; where scripts run, the page's own script draws them anew, so that they answer to a hand.
`report.html.j2` lays out what the other files here find. The same runs give the same bytes, wherever and whenever.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from downslope.core.errors import CheckpointError, DownslopeError
from downslope.core.paths import expand_home
from downslope.core.rule_text import equations
from downslope.core.schedules import Schedule
from downslope.core.shown import shown
from downslope.plot.charts import for_template, room_on, with_numbers
from downslope.plot.svg import COLOURS
from downslope.plot.template import render_page
from downslope.recipe.measures import title_of
from downslope.training.folder.durable import write_file
from downslope.training.report import tables
from downslope.training.report.answers import Fit, look_at_examples, look_at_lengths
from downslope.training.report.data import RunData, read_runs
from downslope.training.report.live import numbers_of
from downslope.training.report.measured import (
    at_the_end,
    is_normalised,
    measured_of_one,
    measured_of_several,
    not_measured,
)
from downslope.training.report.panels import (
    Panel,
    constants,
    missing_from,
    panels_of_one,
    panels_of_several,
    panels_of_steps,
)
from downslope.training.report.plots import draw, draw_progress
from downslope.training.report.transcripts import look_at_transcripts

if TYPE_CHECKING:
    from downslope.training.data import Dataset

_SYMBOL = re.compile(r"\b(param|grad|velocity|lr|momentum|weight_decay|g|[xyzc])\b")


def write_report(
    runs: Sequence[Path], out: Path, data: Dataset | None = None, *, notes: list[str] | None = None
) -> Path:
    """Write the report of one run, or of several laid over one another.

    Args:
        runs: Run folders; unfinished ones too.
        out: The HTML file to write; replaced if it exists.
        data: The data of a single run where they are at hand; None to read them.
        notes: Where to add a sentence on each run whose last evaluation holds what is no finite number.

    Returns:
        `out`.

    Raises:
        DownslopeError: If there are no runs, too many, or the same one twice, or `out` is a folder.
        CheckpointError: If one is no run folder, is damaged, or `out` cannot be written.
        MissingDependencyError: If matplotlib or jinja2 is not installed.
    """
    out = expand_home(out)
    if out.is_dir():
        raise DownslopeError(f"{out}: is a folder. Give the file to write, such as {out / 'report.html'}.")
    read = read_runs([expand_home(run, CheckpointError) for run in runs])
    if notes is not None:
        notes += [f"{shown(run.name)}: {run.diverged}" for run in read if run.diverged]
    write_file(out, render(read, data).encode("utf-8", "surrogateescape"))
    return out


def render(runs: Sequence[RunData], data: Dataset | None = None) -> str:
    """Return the page of one run or several as HTML; `data` as in `write_report`."""
    runs = runs if len(runs) == 1 else tables.best_first(runs)
    about, panels = _about_one(runs[0], data) if len(runs) == 1 else _about_several(runs)
    page = render_page(
        "training/report/report.html.j2", colours=COLOURS, title_of=title_of, live=for_template(), **about
    )
    charts = about["fit"].charts if about.get("fit") else {}
    name = re.sub(r"\W+", "-", runs[0].name).strip("-") if len(runs) == 1 else "compared"
    return with_numbers(page, numbers_of(name, runs, panels, charts, room_on(page)))


def _about_one(run: RunData, data: Dataset | None) -> tuple[dict[str, Any], list[Panel]]:
    """Return what the template shows of a single run, and the panels in it."""
    moving = {name: getattr(run.recipe.sgd, name) for name in ("lr", "momentum", "weight_decay")}
    seen = look_at_examples(run, data)
    panels, of_steps, measured = panels_of_one(run), panels_of_steps(run), measured_of_one(run)
    again = shlex.join(["downslope", "train", f"{run.name}/recipe.toml", "--out", f"{run.name}-again"])
    about = {
        "several": False,
        "run": run,
        "title": run.recipe.title or run.name,
        "state": tables.state(run),
        "headlines": tables.headlines(run),
        "equations": [(left, _SYMBOL.split(right)) for left, right in equations(run.recipe.sgd)],
        "schedules": [
            (name, tables.describe(value))
            for name, value in moving.items()
            if name == "lr" or isinstance(value, Schedule)
        ],
        "reproduce": again,
        "panels": [(panel, draw(panel)) for panel in panels],
        "of_steps": [(panel, draw(panel)) for panel in of_steps],
        "constants": constants(run),
        "missing": missing_from(run),
        "measured": [(panel, draw(panel)) for panel in measured],
        "at_the_end": at_the_end(run),
        "normalised": is_normalised(run),
        "not_measured": not_measured(run),
        "examples": None if isinstance(seen, Fit) else seen,
        "fit": seen if isinstance(seen, Fit) else None,
        "transcripts": look_at_transcripts(run, data),
        "lengths": look_at_lengths(run, data),
        "story": tables.story(run.sessions),
        "progress": draw_progress(run.sessions),
        "events": tables.events(run),
        "skipped": tables.skipped(run),
        "spikes": tables.spikes(run),
        "rewinds": tables.rewinds(run),
        "plateaus": tables.plateaus(run),
        "settings": tables.settings(run),
        "start": tables.start(run),
        "groups": tables.groups(run),
        "environment": tables.environment(run),
        "checkpoints": tables.checkpoints(run),
    }
    return about, [*panels, *of_steps, *measured]


def _about_several(runs: Sequence[RunData]) -> tuple[dict[str, Any], list[Panel]]:
    """Return what the template shows of several runs, and the panels in it."""
    panels = [*panels_of_several(runs), *measured_of_several(runs)]
    about = {
        "several": True,
        "runs": runs,
        "title": f"{len(runs)} runs compared",
        "panels": [(panel, draw(panel)) for panel in panels],
        "sorted_by": tables.sorted_by(runs),
        "results": tables.results(runs),
        "unlike_losses": len({run.recipe.train.loss for run in runs}) > 1,
        "metrics": tables.result_columns(runs),
        "differences": tables.differences(runs),
    }
    return about, panels
