"""What `train` and `resume` share: from a recipe to a trained run, and the lines that end it.

What lives here: the order of calls and the last lines. What does not: training (`training/loop.py`).
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from downslope.cli.arguments import CommandParser
from downslope.cli.evaluate import describe_metrics
from downslope.cli.tables import count_of, format_seconds
from downslope.recipes.overrides import Override
from downslope.recipes.schema import Recipe

if TYPE_CHECKING:
    from downslope.training.loop import Outcome
    from downslope.training.watchers import Watcher


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
    if arguments.log is None:
        return arguments.overrides
    return [*arguments.overrides, ("log.to", json.dumps([name.strip() for name in arguments.log.split(",")]))]


def run_training(
    recipe: Recipe, *, name: str, out: Path | None, resume: str, dry_run: bool, quiet: bool = False
) -> int:
    """Train, or show what that would be.

    Args:
        recipe: The recipe.
        name: Name of the run where no folder is given.
        out: The run folder, or None.
        resume: "auto", "never", or the path of a run or checkpoint.
        dry_run: Whether only to show.
        quiet: Whether to show no progress.

    Returns:
        The exit code: 0 at the end, 128 plus the signal's number if a signal came before.
    """
    from downslope.training.plan import plan_run

    plan = plan_run(recipe, name=name, out=out, resume=resume)
    if dry_run:
        from downslope.cli.preview import preview
        from downslope.training.environment import fitting_threads
        from downslope.training.loop import take_up
        from downslope.training.task import build_task

        task = build_task(recipe)
        with fitting_threads(sum(p.numel() for p in task.state.model.parameters())):
            notes = take_up(task, plan)  # so that a dry run refuses what training would refuse, and says the same
            print(preview(task, replace(plan, notes=(*plan.notes, *notes))))
        return 0
    from downslope.training.loop import train
    from downslope.training.progress import make_console

    console = make_console(quiet=quiet)
    watchers: list[Watcher] = []
    if recipe.log.to and not plan.finished:
        from downslope.training.loggers.following import Following

        watchers.append(Following(recipe, console))
    outcome = train(plan, recipe, console, watchers=watchers)
    print("\n".join(_ending(outcome, recipe, had_work=not plan.finished)))
    return 0 if outcome.signal is None else 128 + outcome.signal


def _ending(outcome: Outcome, recipe: Recipe, *, had_work: bool) -> list[str]:
    steps = f"{outcome.step:,} of {count_of(outcome.total_steps, 'step')}"
    if outcome.signal is not None:
        name = signal.Signals(outcome.signal).name
        return [
            f"stopped     at step {outcome.step:,} of {outcome.total_steps:,}, by {name}; all of it is saved",
            f"continue    with: downslope resume {shlex.quote(str(outcome.folder))}",
        ]
    early = ", by an early stop" if outcome.stopped is not None else ""
    lines = [f"finished    {steps} in {format_seconds(outcome.seconds)}{early}"] if had_work else []
    if outcome.held_out:
        lines.append(f"held out    {describe_metrics(outcome.held_out)}")
        if "ema_loss" in outcome.held_out:
            lines.append(f"            {describe_metrics(outcome.held_out, 'ema_')}, with the averaged weights")
    if early and outcome.step < outcome.total_steps and (stop := recipe.train.early_stop) is not None:
        lines.append(
            f"continue    past the early stop with more patience: downslope resume {shlex.quote(str(outcome.folder))} "
            f"--train.early_stop.patience {2 * stop.patience}"
        )
    if outcome.report is not None:
        lines.append(f"report      {outcome.report}")
    return lines
