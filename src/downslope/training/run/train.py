"""Training: from a plan and a recipe to a trained model in a run folder.

What lives here: what comes before the first step and after the last. What does not: what lies between them (`run.py`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from downslope.core.errors import CheckpointError, DivergenceError, DownslopeError, NonFiniteGradientError
from downslope.recipe.schema import Recipe, settle
from downslope.training.data import Dataset
from downslope.training.data.kept import encode_inputs, keep_inputs
from downslope.training.folder import durable, run_folder
from downslope.training.folder.lock import locked
from downslope.training.folder.names import ANEW, INPUTS
from downslope.training.folder.trust import seal_of, state_folder
from downslope.training.run.bad_steps import advise_on_divergence
from downslope.training.run.environment import (
    describe_environment,
    deterministic,
    differences,
    fitting_threads,
    unfilled,
)
from downslope.training.run.remarks import remarks
from downslope.training.run.run import Run
from downslope.training.run.signals import Signals
from downslope.training.run.start_point import Plan
from downslope.training.run.task import Task, build_task
from downslope.training.user_code import functions_named
from downslope.training.view.console import Console
from downslope.training.view.observer import Watcher
from downslope.training.workers.share_start import begin_together
from downslope.training.workers.workers import Workers


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How training ended.

    Attributes:
        step: Updates done.
        total_steps: Updates that the recipe asks for.
        finished: Whether it came to its end, be it an early stop.
        stopped: Why it stopped early, or None.
        signal: Number of the signal that interrupted it, or None.
        held_out: The last evaluation: "loss", "accuracy", ...; empty if there was none.
        folder: The run folder.
        report: The report page, or None if none was written.
        seconds: How long it took.
        remarks: What a person should know of how it went.
    """

    step: int
    total_steps: int
    finished: bool
    stopped: str | None
    signal: int | None
    held_out: dict[str, float]
    folder: Path
    report: Path | None
    seconds: float
    remarks: tuple[str, ...] = ()


def train(
    plan: Plan,
    recipe: Recipe,
    console: Console,
    *,
    report: bool = True,
    watchers: Sequence[Watcher] = (),
    workers: Workers | None = None,
) -> Outcome:
    """Train as planned, and return how it ended.

    Args:
        plan: Where, and from which checkpoint; see `plan_run`.
        recipe: The recipe.
        console: Where to speak.
        report: Whether to write the report page at the end.
        watchers: Who looks on.
        workers: Who shares the work; None for this process alone.

    Raises:
        DownslopeError: If the data, model, checkpoint or disk do not allow it, or a gradient is not finite and the
            recipe says to raise. What was saved before remains.
    """
    began = time.monotonic()
    recipe = settle(recipe, None if plan.checkpoint is None else plan.checkpoint.manifest["recipe"])
    workers = Workers() if workers is None else workers
    for note in plan.notes:
        console.say(note)
    if plan.finished and plan.checkpoint is not None:
        state = plan.checkpoint.manifest["state"]
        page = plan.folder / run_folder.REPORT
        return Outcome(
            step=plan.checkpoint.step,
            total_steps=run_folder.RunFolder(plan.folder).facts()["total_steps"],
            finished=True,
            stopped=state["stopped"],
            signal=None,
            held_out=dict(state["held_out"]),
            folder=plan.folder,
            report=page if page.exists() else (_write_report(plan.folder, console) if report else None),
            seconds=time.monotonic() - began,
        )
    with deterministic(), Signals() as signals, ExitStack() as stack:
        workers.watch(signals)
        task = build_task(recipe, workers)
        if task.sharding is not None and plan.checkpoint is not None:
            plan = replace(plan, checkpoint=task.sharding.cut(plan.checkpoint, task.state.model))
        parameters = sum(p.numel() for p in task.state.model.parameters())
        stack.enter_context(fitting_threads(parameters, shards=recipe.train.shards))
        for note in [*take_up(task, plan), *begin_together(workers, task)]:
            console.say(note)
        if workers.is_first:
            durable.make_folder(plan.folder)
            stack.enter_context(locked(plan.folder))
            seal = seal_of(recipe)
            if not seal and functions_named(recipe):
                console.say(
                    f"it cannot be noted in {state_folder()} that this run is yours; using it will need --trust"
                )
            facts = {**task.facts(), **seal}
            for note in run_folder.make_ready(plan.folder, plan.checkpoint, recipe, facts):
                console.say(note)
            durable.write_file(plan.folder / INPUTS, encode_inputs(keep_inputs(task.dataset, task.fingerprint)))
        run = Run(task, plan, console, workers, watchers)
        try:
            _go(run, recipe, task.dataset)
        except (DivergenceError, NonFiniteGradientError):
            if report and workers.is_first:
                _write_report(plan.folder, console, task.dataset)  # of a run that diverged one wants to see how
            raise
        written = report and run.finished and workers.is_first
        page = _write_report(plan.folder, console, task.dataset) if written else None
        run.guard.check()
    return Outcome(
        step=run.step,
        total_steps=task.total_steps,
        finished=run.finished,
        stopped=task.state.stopped,
        signal=None if run.finished else workers.signal,
        held_out=task.state.held_out,
        folder=plan.folder,
        report=page,
        seconds=time.monotonic() - began,
        remarks=tuple(_remarks(task, run.step) if run.finished else ()),
    )


def _remarks(task: Task, step: int) -> list[str]:
    left_out = task.state.mishaps.spikes + task.state.mishaps.nonfinite
    return remarks(task.recipe, task.facts(), steps=step, left_out=left_out, held_out=task.state.held_out)


def _go(run: Run, recipe: Recipe, dataset: Dataset) -> None:
    """Train to the end; of a failure note what it was, and close the files whatever happens."""
    try:
        with unfilled():
            run.go()
    except Exception as failure:  # noqa: BLE001  whatever it is, it is noted and raised again
        error = failure
        if isinstance(error, DownslopeError | OSError):
            run.guard.check()  # a folder that was removed explains any other failure
        if isinstance(error, NonFiniteGradientError):
            error = NonFiniteGradientError(error.found, advise_on_divergence(recipe, dataset))
        run.note_failure(error)
        raise error from (None if error is not failure else error.__cause__)
    finally:
        run.close()


def take_up(task: Task, plan: Plan) -> list[str]:
    """Restore the plan's checkpoint, after checking that it belongs to this task; return notes for the person."""
    checkpoint = plan.checkpoint
    if checkpoint is None:
        return []
    if checkpoint.manifest["data"] != task.fingerprint:
        raise CheckpointError(
            f"{checkpoint.run_folder}: was trained on other data: those that {task.recipe.data.name!r} gives now "
            f"differ. Restore the data, or {ANEW}."
        )
    if checkpoint.step > task.total_steps:
        raise CheckpointError(
            f"{checkpoint.folder}: is at step {checkpoint.step}, after the recipe's last, {task.total_steps}. "
            f"Give more epochs or steps, or {ANEW}."
        )
    notes = task.state.restore(checkpoint, task.recipe)
    then, now = (environment["threads"] for environment in (checkpoint.manifest["environment"], describe_environment()))
    return [*notes, *differences({"threads": then}, {"threads": now})]


def _write_report(folder: Path, console: Console, data: Dataset | None = None) -> Path | None:
    page = folder / run_folder.REPORT
    try:
        from downslope.training.report import write_report
    except ModuleNotFoundError as error:
        if error.name not in {"matplotlib", "jinja2"}:
            raise
        console.say(f'no report page: {error.name} is not installed. pip install "downslope[plot]" gives the page.')
        return None
    try:
        write_report([folder], page, data)
    except DownslopeError as error:
        console.say(f"no report page: {error}")
        return None
    except OSError as error:  # what it reads is gone, or cannot be read
        console.say(f"no report page: {error.filename or folder}: {error.strerror}.")
        return None
    return page
