"""Training and searching from Python, and opening what is there: `train`, `tune`, `open_run`, `open_study`.

The same as the commands of these names, in this process; what they return shows itself in a notebook.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from downslope.core.errors import CheckpointError, DownslopeError, MissingDependencyError
from downslope.core.paths import expand_home
from downslope.core.posix import need_posix
from downslope.recipe.load import load_recipe
from downslope.recipe.schema import Recipe, Tune
from downslope.training.folder.run_folder import RunFolder

if TYPE_CHECKING:
    from downslope.training.tuning.study import Study


def train(recipe: Recipe | str | os.PathLike[str], out: str | os.PathLike[str], *, quiet: bool = False) -> RunFolder:
    """Train by a recipe, and return the run; one that is in the folder goes on, to the same bits.

    Args:
        recipe: A recipe, the path of its file, or the name of one that comes along.
        out: The run folder.
        quiet: Whether to show no progress.

    Returns:
        The run: in a notebook it shows its report.

    Raises:
        KeyboardInterrupt: If a signal came, such as a notebook's own interrupt; all of it is saved.
        DivergenceError: If the last evaluation holds what is no finite number; all of it is saved.
        DownslopeError: If the recipe, data or folder do not allow it.
    """
    from downslope.training.run.plan import plan_run
    from downslope.training.run.remarks import refuse_divergence
    from downslope.training.run.train import train as run
    from downslope.training.view.console import make_console

    need_posix("training")
    recipe, folder = _recipe(recipe), expand_home(os.fspath(out), CheckpointError)
    plan, console = plan_run(recipe, name=folder.name, out=folder), make_console(quiet=quiet)
    observers: list[Any] = [console]
    if recipe.log.to and not plan.finished:
        from downslope.training.view.loggers.logger_observer import LoggerObserver

        observers.append(LoggerObserver(recipe, console))
    outcome = run(plan, recipe, console, observers=observers)
    if outcome.signal is not None:
        raise KeyboardInterrupt(f"stopped at step {outcome.step:,}; the same call goes on")
    refuse_divergence(outcome.held_out)
    return RunFolder(outcome.folder)


def tune(
    recipe: Recipe | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    trials: int | None = None,
    search: Mapping[str, str] | None = None,
    coordinates: Literal["decoupled", "raw"] | None = None,
    sampler: Literal["tpe", "random", "grid", "cmaes"] | None = None,
    halving: int | None = None,
    seeds: int | None = None,
    jobs: int = 1,
    storage: str | None = None,
) -> Study:
    """Search for settings by trials, and return the study; one that is in the folder goes on.

    Args:
        recipe: A recipe, the path of its file, or the name of one that comes along.
        out: The study's folder; `best.toml` is left there.
        trials: How many settings are tried; this and the next five in the place of the recipe's table `[tune]`.
        search: What is searched, such as `{"sgd.lr": "log(1e-3, 1)"}`.
        coordinates: What is searched by default.
        sampler: Who proposes.
        halving: At each rung one trial of so many goes on.
        seeds: Runs of the winner on the held-out examples.
        jobs: Processes.
        storage: Optuna's storage; None for a journal file in the folder.

    Returns:
        The study: in a notebook it shows its page.

    Raises:
        KeyboardInterrupt: If a signal came; all of it is saved.
        DivergenceError: If all trials diverged.
        DownslopeError: If the recipe cannot be tuned, or the folder holds another study.
    """
    from downslope.training.tuning.page import write_pages
    from downslope.training.tuning.result import write_result
    from downslope.training.tuning.study import Study
    from downslope.training.tuning.work import Interrupted, design, work_together

    need_posix("a search")
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise DownslopeError(f"`jobs` must be an integer >= 1; got {jobs!r}.")
    given = {"trials": trials, "search": search, "coordinates": coordinates, "sampler": sampler, "halving": halving,
             "seeds": seeds}  # fmt: skip
    said = {name: value for name, value in given.items() if value is not None}
    recipe, folder = _recipe(recipe), expand_home(os.fspath(out), CheckpointError)
    plan = design(replace(recipe, tune=replace(recipe.tune or Tune(), **said)), jobs)
    study = Study(folder, storage, plan.about())
    try:
        work_together(study, plan, jobs, storage, lambda _: None)
    except Interrupted:
        raise KeyboardInterrupt("stopped; the same call goes on") from None
    state = study.state()
    write_result(plan, state, folder)
    with suppress(MissingDependencyError):  # the pages alone need more
        write_pages(plan, state, folder)
    return study


def open_run(folder: str | os.PathLike[str]) -> RunFolder:
    """Return a run that is there, finished or not: in a notebook it shows its report.

    Raises:
        CheckpointError: If it is no run folder.
    """
    return RunFolder(os.fspath(folder))


def open_study(folder: str | os.PathLike[str], *, storage: str | None = None) -> Study:
    """Return a study that is there, as far as it has come: in a notebook it shows its page.

    Args:
        folder: Its folder.
        storage: Optuna's storage; None for the journal file in the folder.

    Raises:
        DownslopeError: If the folder holds no study.
    """
    from downslope.training.tuning.study import JOURNAL, Study

    path = expand_home(os.fspath(folder), CheckpointError)
    if not path.is_dir() or (storage is None and not (path / JOURNAL).is_file()):
        raise DownslopeError(f"{folder}: holds no study. Give the --out of `downslope tune`.")
    return Study(path, storage)


def _recipe(given: Recipe | str | os.PathLike[str]) -> Recipe:
    return given if isinstance(given, Recipe) else load_recipe(given)
