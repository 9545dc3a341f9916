"""What `train` and `resume` share: from a recipe to a trained run, in one process or several, and the last lines."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from downslope.cli.arguments import CommandParser, count, seconds
from downslope.cli.tables import count_of
from downslope.core.number_text import duration_text
from downslope.core.posix import need_posix
from downslope.language import tell
from downslope.recipe.load import INHERITED
from downslope.recipe.measures import FURTHER
from downslope.recipe.overrides import Override
from downslope.recipe.schema import Recipe, settle
from downslope.training.run.remarks import diverged, refuse_divergence
from downslope.training.workers.rendezvous import TIMEOUT, Rendezvous, check_number, find_rendezvous

if TYPE_CHECKING:
    from downslope.training.run.train import Outcome
    from downslope.training.view.observer import Observer
    from downslope.training.workers.workers import Workers

_CURVE = 32
"""Blocks in the curve of the held-out loss."""


def add_training_options(parser: CommandParser) -> None:
    """Add the options that say how many processes train, and whether they do."""
    parser.add_argument(
        "--workers",
        metavar="N",
        type=count,
        help="share the work among N processes of this machine; the bits do not depend on N, which must divide "
        "train.shards. For several machines, start this command by torchrun or srun instead",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=TIMEOUT,
        help=f"how long one worker waits for another before it gives up (default: {TIMEOUT:g})",
    )
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="what computes: auto (the default), cpu, cuda, cuda:1, mps, xpu: short for --train.device",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be trained; train and write nothing")


def add_watching(parser: CommandParser) -> None:
    """Add the options that say how a run is watched."""
    parser.add_argument("--quiet", action="store_true", help="show no progress, only the notes and the last lines")
    parser.add_argument(
        "--log",
        metavar="NAME,...",
        help="log to tensorboard, wandb, mlflow or trackio besides the run folder: short for --log.to",
    )


def overrides_of(arguments: argparse.Namespace) -> list[Override]:
    """Return the overrides on the command line, ``--log a,b`` written out as ``--log.to '["a", "b"]'``."""
    found = list(arguments.overrides)
    if arguments.device is not None:
        found.append(("train.device", json.dumps(arguments.device)))
    if arguments.log is not None:
        found.append(("log.to", json.dumps([name.strip() for name in arguments.log.split(",")])))
    return found


def run_training(
    recipe: Recipe,
    *,
    name: str,
    out: Path | None,
    resume: str,
    dry_run: bool,
    workers: int | None = None,
    timeout: float = TIMEOUT,
    quiet: bool = False,
) -> int:
    """Train, or show what that would be.

    Args:
        recipe: The recipe.
        name: Name of the run where no folder is given.
        out: The run folder, or None.
        resume: "auto", "never", or the path of a run or checkpoint.
        dry_run: Whether only to show.
        workers: Number of processes to start, or None for as many as torchrun or Slurm have started, or else this one.
        timeout: Seconds that one of several workers waits for another.
        quiet: Whether to show no progress.

    Returns:
        The exit code: 0 at the end, 128 plus the signal's number if a signal came before.

    Raises:
        DivergenceError: If the last evaluation holds what is no finite number; all of the run is saved.
    """
    if not dry_run:
        need_posix("training")
    rendezvous = find_rendezvous(workers)
    size = rendezvous.size if rendezvous is not None else workers or 1
    check_number(recipe.train.shards, recipe.train.accumulate, size)
    if "torch" not in sys.modules and (rendezvous is None or rendezvous.rank == 0):
        _begin(recipe, name)
    from downslope.cli.loading import load_torch

    load_torch()

    def work(rendezvous: Rendezvous) -> int:
        from downslope.training.workers.process_group import joined

        with joined(rendezvous, timeout) as group:
            return _train(recipe, name=name, out=out, resume=resume, workers=group, quiet=quiet)

    if dry_run:
        return _preview(recipe, name=name, out=out, resume=resume) if rendezvous is None or rendezvous.rank == 0 else 0
    if rendezvous is not None:
        return _work_started_elsewhere(rendezvous, work)
    from downslope.training.workers.workers import Workers

    if size == 1:
        return _train(recipe, name=name, out=out, resume=resume, workers=Workers(), quiet=quiet)
    from downslope.cli.main import explain
    from downslope.training.workers.launch import Launch

    return Launch(work, size=size, timeout=timeout, explain=explain).go()


def _begin(recipe: Recipe, name: str) -> None:
    """Say what is about to be trained before torch is loaded, which takes seconds; once it is, other lines follow."""
    with contextlib.suppress(OSError):
        inherited = recipe.source if recipe.source.startswith(INHERITED) else ""
        tell(f"recipe      {recipe.title or inherited or name}")
        if recipe.title and inherited:
            tell(f"            {inherited}")


def _preview(recipe: Recipe, *, name: str, out: Path | None, resume: str) -> int:
    from downslope.cli.preview import preview
    from downslope.training.device import HOST, find_device
    from downslope.training.run.plan import plan_run
    from downslope.training.run.task import build_task

    plan = plan_run(recipe, name=name, out=out, resume=resume)
    begun = None if plan.checkpoint is None else plan.checkpoint.manifest
    before = None if begun is None else begun["environment"].get("device", HOST.type)
    device = find_device(recipe.train.device, before=before)
    task = build_task(settle(recipe, None if begun is None else begun["recipe"]), device=device, begun=begun)
    with task.fitting_threads(plan.checkpoint):
        notes = task.restore(plan.checkpoint)  # so that a dry run refuses what training would refuse, and says the same
        tell(preview(task, replace(plan, notes=(*plan.notes, *notes))))
    return 0


def _train(recipe: Recipe, *, name: str, out: Path | None, resume: str, workers: Workers, quiet: bool) -> int:
    from downslope.training.run.plan import plan_run
    from downslope.training.run.train import train
    from downslope.training.view.console import make_console
    from downslope.training.workers.broadcast import broadcast_plan
    from downslope.training.workers.workers import NullConsole

    sharded = recipe.train.parallel == "sharded"
    plan = broadcast_plan(workers, lambda: plan_run(recipe, name=name, out=out, resume=resume), sharded=sharded)
    if not workers.is_first and plan.finished:
        return 0
    console = make_console(quiet=quiet) if workers.is_first else NullConsole()
    observers: list[Observer] = [] if isinstance(console, NullConsole) else [console]
    if recipe.log.to and workers.is_first and not plan.finished:
        from downslope.training.view.loggers.logger_observer import LoggerObserver

        observers.append(LoggerObserver(recipe, console))
    outcome = train(plan, recipe, console, workers=workers, observers=observers)
    if workers.is_first:
        with contextlib.suppress(OSError):  # a terminal that was closed: the run has ended well all the same
            tell("\n".join(_ending(outcome, recipe, had_work=not plan.finished)))
    if outcome.finished:
        refuse_divergence(outcome.held_out)  # all of it is saved, and no success all the same
    return 0 if outcome.signal is None else 128 + outcome.signal


def _work_started_elsewhere(rendezvous: Rendezvous, work: Callable[[Rendezvous], int]) -> int:
    """Work as one of the workers that torchrun or Slurm started; of a common mistake, worker 0 alone speaks."""
    from downslope.training.workers.workers import WorkersLostError

    try:
        return work(rendezvous)
    except WorkersLostError as lost:
        if rendezvous.rank == 0 or 0 in lost.silent or 0 in lost.failed:
            raise
        return lost.exit_code


def _ending(outcome: Outcome, recipe: Recipe, *, had_work: bool) -> list[str]:
    steps = f"{outcome.step:,} of {count_of(outcome.total_steps, 'step')}"
    if outcome.signal is not None:
        name = signal.Signals(outcome.signal).name
        return [
            f"stopped     at step {outcome.step:,} of {outcome.total_steps:,}, by {name}; all of it is saved",
            f"continue    with: downslope resume {shlex.quote(str(outcome.folder))}",
        ]
    early = ", by an early stop" if outcome.stopped is not None else ""
    lines = [f"finished    {steps} in {duration_text(outcome.seconds)}{early}"] if had_work else []
    if outcome.held_out:
        from downslope.cli.evaluate import describe_metrics

        told = _headline(outcome.held_out, recipe)
        lines.append(f"held out    {describe_metrics(told)}")
        if "ema_loss" in told:
            lines.append(f"            {describe_metrics(told, 'ema_')}, with the averaged weights")
        lines += _curve(outcome.folder)
    said = diverged(outcome.held_out)  # which is the message in the end
    lines += [f"note        {sentence}" for sentence in outcome.remarks if sentence != said]
    if early and outcome.step < outcome.total_steps and (stop := recipe.train.early_stop) is not None:
        lines.append(
            f"continue    past the early stop with more patience: downslope resume {shlex.quote(str(outcome.folder))} "
            f"--train.early_stop.patience {2 * stop.patience}"
        )
    if outcome.report is not None:
        lines.append(f"report      {outcome.report}")
    return lines


def _curve(folder: Path) -> list[str]:
    """Return a line with the course of the held-out loss, by logarithms, and its last and least value, if any."""
    from downslope.core.sparkline import blocks_for, sparkline
    from downslope.training.folder.log import read_rows

    rows = [row for row in read_rows(folder, "evaluation") if 0 <= float(row["loss"]) < math.inf]
    if len(rows) < 2:
        return []
    losses, least = [row["loss"] for row in rows], min(rows, key=lambda row: row["loss"])
    drawn = sparkline(losses, _CURVE, blocks_for(getattr(sys.stdout, "encoding", None)), logarithmic=True)
    return [f"loss        {drawn}  last {losses[-1]:.4g}, least {least['loss']:.4g} after {least['step'] + 1:,} steps"]


def _headline(held_out: Mapping[str, float], recipe: Recipe) -> dict[str, float]:
    """Return the measures for one line: those beside the accuracy only where the recipe watches them."""
    further = set[str](FURTHER) - set(recipe.watched.values()) if "accuracy" in held_out else set[str]()
    return {name: value for name, value in held_out.items() if name.removeprefix("ema_") not in further}
