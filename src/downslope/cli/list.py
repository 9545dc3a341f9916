"""``downslope list``: the runs in a folder, how each stands, and the best that it has reached. Loads no framework."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from downslope.cli.arguments import CommandParser
from downslope.cli.tables import format_number
from downslope.core.columns import cut, padded, width_of
from downslope.core.errors import DownslopeError
from downslope.core.files import why_closed
from downslope.core.paths import expand_home
from downslope.core.shown import printable, shown
from downslope.language import said, tell
from downslope.recipe.measures import GROWING, is_share, title_of
from downslope.recipe.schema import Recipe
from downslope.training.folder.log import read_rows
from downslope.training.folder.names import is_run_folder, read_recipe
from downslope.training.view.live_view import duration
from downslope.training.view.watch import WatchedRun

_DEPTH = 3
"""How deep runs are looked for below the folder."""

_CLOSED = 5
"""Folders that cannot be read are named up to this many."""


@dataclass(frozen=True)
class Listed:
    """One run of the list.

    Attributes:
        run: Its folder.
        state: "training", "finished", "stopped", "failed", "ended" (without a word) or "damaged".
        step: Steps done.
        steps: Steps in all, or None where that is not known.
        measure: What the best was chosen by, a measure of the held-out examples; None before the first evaluation.
        best: The best value of it.
        best_step: Steps done then.
        written: When it last wrote something, as seconds since 1970.
        title: The recipe's.
        problem: Why it cannot be read, or None.
    """

    run: str
    state: str
    step: int | None = None
    steps: int | None = None
    measure: str | None = None
    best: float | None = None
    best_step: int | None = None
    written: float | None = None
    title: str = ""
    problem: str | None = None


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "list",
        summary=(
            "List the runs in a folder, the last one written first: how each stands (training, finished, stopped by a\n"
            "signal, failed, or ended without a word), its steps, and its best held-out value."
        ),
        example="downslope list runs",
    )
    parser.add_argument("folder", metavar="FOLDER", nargs="?", default="runs", help="where they are (default: runs)")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    arguments = parser.read(words)
    folder = expand_home(Path(arguments.folder), DownslopeError)
    if folder.is_dir() and not is_run_folder(folder) and (why := why_closed(folder)):
        raise DownslopeError(f"list: {shown(arguments.folder)}: cannot be read: {why}.")
    if not folder.is_dir():
        hint = " Train something first: downslope train." if arguments.folder == "runs" else ""
        raise DownslopeError(f"list: {arguments.folder} is no folder.{hint}")
    closed: list[str] = []
    runs = sorted(
        (_listed(path) for path in find_runs(folder, closed=closed)), key=lambda run: (-(run.written or 0), run.run)
    )
    for sentence in closed[:_CLOSED]:
        print(said(sentence), file=sys.stderr)
    if more := len(closed[_CLOSED:]):
        print(said(f"{more} more folders cannot be read."), file=sys.stderr)
    if arguments.json:
        print(json.dumps([asdict(run) for run in runs], indent=2, ensure_ascii=False))
    elif runs:
        sys.stdout.write(_table(runs, time.time()))
    elif closed:
        tell(f"There are no runs in {folder} where it can be read.")
    else:
        tell(f"There are no runs in {folder}. Start one with: downslope train --out {folder / 'first'}")
    return 0


def find_runs(folder: Path, depth: int = _DEPTH, closed: list[str] | None = None) -> Iterator[Path]:
    """Yield the run folders at or below a folder; links are not followed, and no run is looked for within another.

    Args:
        folder: Where to look.
        depth: How many levels below it.
        closed: Gets a sentence on each folder that cannot be looked into.
    """
    if is_run_folder(folder):
        yield folder
        return
    why = why_closed(folder)
    if why is not None and closed is not None:
        closed.append(f"{shown(folder, 1000)}: cannot be read: {why}.")
    if depth and why is None:
        with os.scandir(folder) as entries:
            inside = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        for name in inside:
            yield from find_runs(folder / name, depth - 1, closed)


def _listed(folder: Path) -> Listed:
    try:
        watched = WatchedRun(folder)
        watched.look()
        recipe = read_recipe(folder)
        measure, best, step = _best(recipe, read_rows(folder, "evaluation"))
    except DownslopeError as error:
        return Listed(run=str(folder), state="damaged", problem=str(error))
    return Listed(
        run=str(folder),
        state=watched.status(time.time()).word,
        step=watched.step,
        steps=watched.steps,
        measure=measure,
        best=best,
        best_step=step,
        written=watched.heard,
        title=recipe.title,
    )


def _best(recipe: Recipe, rows: Sequence[dict[str, Any]]) -> tuple[str | None, float | None, int | None]:
    """Return a measure of the held-out examples, its best value, and the step of that.

    The measure is the one that the recipe watches, else what people ask first: accuracy, RMSE, a rate of errors, loss.
    """
    rates = [name for row in rows[:1] for name in row if name.endswith("_error_rate")]
    for name in (*recipe.watched.values(), "accuracy", "rmse", *rates, "loss"):
        values = [(row[name], row["step"]) for row in rows if isinstance(row.get(name), int | float)]
        if values:
            sign = -1 if name in GROWING else 1
            value, step = min(values, key=lambda pair: (sign * pair[0], pair[1]))
            return name, float(value), step + 1
    return None, None, None


def _table(runs: Sequence[Listed], now: float) -> str:
    """Return the list as lines for a terminal."""
    head = [said(word) for word in ("run", "state", "step", "best held out", "written", "title")]
    rows = [
        (
            shown(run.run, 1000),
            said(run.state),
            said("" if run.step is None else f"{run.step:,}" + (f" of {run.steps:,}" if run.steps else "")),
            _best_words(run),
            said("" if run.written is None else f"{duration(now - run.written)} ago"),
            printable(said(run.problem)) if run.problem else shown(run.title),
        )
        for run in runs
    ]
    widths = [max(width_of(row[i]) for row in (head, *rows)) for i in range(len(head) - 1)]
    width = shutil.get_terminal_size((200, 24)).columns if sys.stdout.isatty() else 10_000
    return "".join(f"{cut('  '.join([*map(padded, row, widths), row[-1]]), width).rstrip()}\n" for row in (head, *rows))


def _best_words(run: Listed) -> str:
    if run.best is None or run.measure is None:
        return ""
    is_part = is_share(run.measure)
    value = f"{100 * run.best:.2f} %" if is_part else format_number(run.best)
    return f"{said(f'{title_of(run.measure)} {value}')} {said(f'at {run.best_step:,}')}"
