"""The page of a study and the page of a sweep: one offline file each, in the reports' style, whose plots answer."""

from __future__ import annotations

import contextlib
import math
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from downslope.core.number_text import short_text
from downslope.plot.charts import as_json, for_template, with_numbers
from downslope.plot.svg import Plot
from downslope.plot.template import render_page
from downslope.recipe.measures import GROWING
from downslope.recipe.schema import Recipe
from downslope.training.folder.durable import write_file
from downslope.training.folder.names import is_run_folder
from downslope.training.report import write_report
from downslope.training.tuning.coordinates import coordinates_of
from downslope.training.tuning.parallel import Strand, Upright, draw_parallel, share
from downslope.training.tuning.plots import Dot, draw_bars, draw_dots, draw_map, draw_spread
from downslope.training.tuning.propose import Known, importances
from downslope.training.tuning.result import best_toml, measured, outcome_of, sentences
from downslope.training.tuning.space import Dimension, Value
from downslope.training.tuning.study import State
from downslope.training.tuning.sweep import Row
from downslope.training.tuning.work import Design

PAGE, CURVES = "study.html", "best-trials.html"
_CURVES = 5
"""Of so many of the best trials the curves are laid over one another."""

_TEMPLATE = "training/tuning/page.html.j2"
_NONE = "\N{EN DASH}"


def write_study_page(plan: Design, state: State, out: Path) -> Path:
    """Write the page of a finished study.

    Raises:
        MissingDependencyError: If matplotlib or jinja2 is not installed.
    """
    write_file(out, render_study(plan, state).encode("utf-8", "surrogateescape"))
    return out


def write_pages(plan: Design, state: State, folder: Path) -> tuple[Path, Path | None]:
    """Write what a finished study leaves to be looked at into its folder: its page, and the curves of its best trials.

    Raises:
        MissingDependencyError: If matplotlib or jinja2 is not installed.
    """
    return write_study_page(plan, state, folder / PAGE), write_curves(state, folder)


def write_curves(state: State, folder: Path) -> Path | None:
    """Write the report of a study's best trials into its folder; None where there are no two to compare.

    Raises:
        MissingDependencyError: If matplotlib or jinja2 is not installed.
    """
    runs = [folder / name for name in _best_runs(state)]
    return write_report(runs, folder / CURVES) if len(runs) > 1 and all(map(is_run_folder, runs)) else None


def _best_runs(state: State) -> list[str]:
    """Return the folders of the best trials within the study's, those on the highest rungs first."""
    reached: dict[int, tuple[int, float]] = {}
    for job, one in sorted(state.results.items()):
        if math.isfinite(one.value):
            reached[job.trial] = (-job.rung, one.value)
    best = sorted(reached, key=lambda number: (*reached[number], number))[:_CURVES]
    return [f"trials/{number:04d}" for number in best]


def render_study(plan: Design, state: State) -> str:
    """Return the page of a study as HTML."""
    dots = _dots(plan, state)
    name = plan.metric.replace("_", " ")
    history = draw_dots(
        "history", f"Validation {name}, trial by trial",
        "The line is the best so far. An open circle was still falling at its end, a cross diverged.",
        [dots(number, float(number)) for number in sorted(state.points)],
        axis="trial", best_so_far=plan.metric in GROWING,
    )  # fmt: skip
    slices = [_slice(one, state, dots, name) for one in plan.space]
    where = [
        (lies["effective_lr"], lies["decay_epochs"], dot)
        for number, point in sorted(state.points.items())
        if (lies := coordinates_of(plan.trial(number, point), plan.validated))
        and 0 < lies["decay_epochs"] < math.inf
        and lies["effective_lr"] > 0
        for dot in [_on_map(plan, dots(number, 0.0))]
    ]
    drawn: list[Plot] = [history, *_importances(plan, state), *([draw_map(where)] if where else [])]
    winner = plan.winner(state)
    finals = [measured(plan, one.value) for _, one in sorted(state.finals.items()) if math.isfinite(one.value)]
    headlines = [("trials", str(len(state.points)), f"by {plan.tune.sampler}")]
    if winner is not None:
        value = measured(plan, outcome_of(state, winner).value)
        headlines.append((f"validation {name}", short_text(value), f"the best of {len(state.points)} trials"))
    if finals:
        spread = f"± {short_text(statistics.stdev(finals))}, " if len(finals) > 1 else ""
        told = f"{spread}{len(finals)} seeds, looked at once"
        headlines.append((f"held-out {name}", short_text(statistics.fmean(finals)), told))
    rows = [
        [
            str(number),
            *(_shown(state.points[number][one.name]) for one in plan.space),
            _NONE if math.isnan(dots(number, 0.0).y) else short_text(dots(number, 0.0).y),
            f"{outcome_of(state, number).step:,}",
            {"falling": "still falling"}.get(outcome_of(state, number).outcome, outcome_of(state, number).outcome),
        ]
        for number in sorted(state.points, key=lambda n: (outcome_of(state, n).value, n))
    ]
    headers = ["trial", *(one.name for one in plan.space), name, "steps", "state"]
    return lay_out(
        title=f"Study of {plan.recipe.title or plan.recipe.data.name}",
        headlines=headlines,
        says=sentences(plan, state),
        sections=[
            ("The study", drawn),
            ("All settings at once", _parallel(plan, state)),
            ("Setting by setting", slices),
        ],
        table_title="All trials, the best first",
        headers=headers,
        numbers={*headers} - {"state"},
        rows=rows,
        recipe=best_toml(plan, state) if winner is not None else "",
        curves=_best_runs(state),
    )


def lay_out(*, sections: Sequence[tuple[str, Sequence[Plot]]], title: str, **values: Any) -> str:
    """Return a page of plots in sections, with the numbers of those that answer."""
    charts = dict(plot.chart for _, plots in sections for plot in plots if plot.chart is not None)
    page = render_page(_TEMPLATE, sections=sections, title=title, live=for_template(), **values)
    name = re.sub(r"\W+", "-", title.lower()).strip("-")
    return with_numbers(page, as_json({"name": name, "runs": [], "charts": charts}))


def _dots(plan: Design, state: State) -> Callable[[int, float], Dot]:
    """Return what makes a trial's dot at an x."""
    winner = plan.winner(state)

    def dot(number: int, x: float) -> Dot:
        one = outcome_of(state, number)
        value = measured(plan, one.value) if math.isfinite(one.value) else math.nan
        return Dot(x, value, "best" if number == winner else one.outcome, f"trial {number}")

    return dot


def _on_map(plan: Design, dot: Dot) -> Dot:
    """Return a trial as the map takes it: the larger the better, and its value in its name."""
    name = f"{dot.name}, {short_text(dot.y)}" if math.isfinite(dot.y) else dot.name
    return replace(dot, name=name, y=dot.y if plan.metric in GROWING else -dot.y)


def _slice(one: Dimension, state: State, dots: Callable[[int, float], Dot], name: str) -> Plot:
    def x_of(value: Value) -> float:
        return float(one.choices.index(value)) if isinstance(value, str) else float(value)

    found = [dots(number, x_of(point[one.name])) for number, point in sorted(state.points.items())]
    key = "slice-" + one.name.replace(".", "-")
    title, caption = one.name, f"Validation {name} of each trial; {one}."
    return draw_dots(key, title, caption, found, axis=one.name, log=one.kind == "log", words=one.choices)


def _parallel(plan: Design, state: State) -> list[Plot]:
    """Return every trial as a line across what is searched; none where that is one number, or one trial."""
    dot = _dots(plan, state)
    dots = {number: dot(number, 0.0) for number in sorted(state.points)}
    ends = [one.y for one in dots.values() if math.isfinite(one.y)]
    if len(plan.space) < 2 or len(dots) < 2 or not ends:
        return []
    worst, best = (min(ends), max(ends)) if plan.metric in GROWING else (max(ends), min(ends))
    uprights = [Upright(one.name, _shown(one.at(0.0)), _shown(one.at(1.0))) for one in plan.space]
    uprights.append(Upright(plan.metric.replace("_", " "), short_text(worst), short_text(best)))
    strands = [
        Strand(
            f"trial {number}" + (f", {short_text(one.y)}" if math.isfinite(one.y) else ", diverged"),
            [*(axis.place(state.points[number][axis.name]) for axis in plan.space), share(one.y, worst, best)],
            one.mark,
        )
        for number, one in dots.items()
    ]
    return [draw_parallel(uprights, strands)]


def _importances(plan: Design, state: State) -> list[Plot]:
    known = [
        Known(state.points[number], value)
        for number in sorted(state.points)
        if math.isfinite(value := outcome_of(state, number).value)
    ]
    shares: dict[str, float] = {}
    with contextlib.suppress(ImportError):  # scikit-learn, for the forest
        shares = importances(plan.space, known)
    if not shares:
        return []
    bars = sorted(shares.items(), key=lambda pair: -pair[1])
    caption = (
        f"Share of the variance among {len(known)} trials that each setting explains (fANOVA, Hutter et al. 2014)."
    )
    return [draw_bars("What mattered", caption, bars)]


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


# A sweep


def write_sweep_page(out: Path, base: Recipe, metric: str, rows: Sequence[Row]) -> Path:
    """Write the page that compares a sweep's settings: the metric against each, mean and spread over seeds."""
    name = metric.replace("_", " ")
    paths = [path for path, _ in rows[0].values]
    plots: list[Plot] = []
    for at, path in enumerate(paths):
        texts = list(dict.fromkeys(row.values[at][1] for row in rows))
        numbers = [_number(text) for text in texts]
        plain = all(value is not None for value in numbers)
        order = sorted(texts, key=lambda text: (_number(text) or 0.0) if plain else texts.index(text))
        places: list[Any] = [_number(text) if plain else float(order.index(text)) for text in order]
        found = [(place, [end for row in rows if row.values[at][1] == text for end in row.ends])
                 for place, text in zip(places, order, strict=True)]  # fmt: skip
        log = plain and min(places) > 0 and max(places) >= 10 * min(places)
        caption = "A dot is a run, the bar their mean; a cross diverged." + (
            " The runs of a value differ in the other settings too." if len(paths) > 1 else ""
        )
        words = () if plain else order
        key = f"sweep-{at}"
        plots.append(draw_spread(key, path, caption, found, axis=path, log=log, words=words))
    headers = [*paths, f"held-out {name}", "standard deviation", "from", "to", "runs"]
    table = [
        [
            *(text for _, text in row.values),
            short_text(row.mean) if row.ends else "diverged",
            short_text(row.spread) if len(row.ends) > 1 else _NONE,
            short_text(min(row.ends)) if row.ends else _NONE,
            short_text(max(row.ends)) if row.ends else _NONE,
            f"{len(row.ends)} of {row.runs}",
        ]
        for row in rows
    ]
    text = lay_out(
        title=f"Sweep of {base.title or base.data.name}",
        headlines=[],
        says=[f"the held-out {name} at the end of each run; chosen by it, the best looks better than it is"],
        sections=[("Against each setting", plots)],
        table_title="All settings, the best first",
        headers=headers,
        numbers={*headers},
        rows=table,
        recipe="",
        curves=[],
    )
    write_file(out, text.encode("utf-8", "surrogateescape"))
    return out


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
