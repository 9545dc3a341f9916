"""The work of a study: trials as ordinary runs, in this process or several, and the runs of the winner.

A trial's run is paused at its rung and goes on from its checkpoint when it is promoted, to the same bits.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from downslope.core.errors import DataError, DivergenceError, DownslopeError, NonFiniteGradientError, one_of
from downslope.language import VARIABLE, spoken
from downslope.recipe.load import parse_recipe, to_toml
from downslope.recipe.measures import GROWING
from downslope.recipe.run_length import steps_in_epoch
from downslope.recipe.schema import Log, Recipe, Tune
from downslope.training.data import load_data
from downslope.training.folder.log import read_rows
from downslope.training.run.plan import plan_run
from downslope.training.run.remarks import diverged
from downslope.training.run.task import build_batches, count_steps
from downslope.training.run.train import Outcome, train
from downslope.training.tuning.coordinates import default_space, recipe_at
from downslope.training.tuning.ladder import Job, Turn, next_turn, rungs_of
from downslope.training.tuning.propose import Known, Point, propose
from downslope.training.tuning.space import Dimension, grid, read_dimension, read_space, split_line
from downslope.training.tuning.study import Result, State, Study
from downslope.training.workers.workers import NullConsole

_STORAGE = "DOWNSLOPE_TUNE_STORAGE"
"""Where a process that helps finds the storage's URL, which may hold a password."""

_FALLING = 0.1
"""A run of whose fall the last quarter brought more than this part was still falling: slow, not settled."""

_BLOWN_UP = 1.5
"""A loss this many times the first is no noise of batches."""


class Interrupted(Exception):  # noqa: N818  no error: what was asked for
    """A signal came; all of the work is saved."""

    def __init__(self, number: int) -> None:
        """Note the signal."""
        super().__init__(number)
        self.number = number


@dataclass(frozen=True)
class Design:
    """All that decides a study's numbers.

    Attributes:
        recipe: The recipe whose settings are searched.
        space: What is searched.
        width: Trials that are proposed at once, not knowing of one another.
        trials: How many there are.
        rungs: How many rungs a trial may climb.
        examples: How many there are to learn from, the validation part among them.
        metric: What trials are judged by.
        data: Fingerprint of the data.
    """

    recipe: Recipe
    space: tuple[Dimension, ...]
    width: int
    trials: int
    rungs: int
    examples: int
    metric: str
    data: str

    @property
    def tune(self) -> Tune:
        """The table ``[tune]``."""
        return self.recipe.tune or Tune()

    def about(self) -> dict[str, Any]:
        """Return it as a study keeps it."""
        return {
            "recipe": to_toml(self.recipe),
            "space": [str(one) for one in self.space],
            **{name: getattr(self, name) for name in ("width", "trials", "rungs", "examples", "metric", "data")},
        }

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> Design:
        """Return it from what a study keeps."""
        space = tuple(read_dimension(*split_line(line)) for line in about["space"])
        plain = {name: about[name] for name in ("width", "trials", "rungs", "examples", "metric", "data")}
        return cls(recipe=parse_recipe(about["recipe"], "the study's recipe"), space=space, **plain)

    @cached_property
    def validated(self) -> int:
        """How many examples a trial learns from."""
        return self.examples - math.ceil(self.examples * self.tune.validation)

    def trial(self, number: int, point: Point) -> Recipe:
        """Return the recipe of a trial: judged on a part of what is learned from, the held-out examples unseen."""
        recipe = recipe_at(self.recipe, point, self.validated)
        told = ", ".join(f"{name} = {value}" for name, value in point.items())
        data = replace(recipe.data, validation=self.tune.validation)
        return replace(recipe, title=f"trial {number}: {told}", data=data, tune=None)

    def best(self, point: Point) -> Recipe:
        """Return the recipe of the winner, which learns from all examples that are not held out."""
        return replace(recipe_at(self.recipe, point, self.examples), tune=None)

    def final(self, number: int, point: Point) -> Recipe:
        """Return the recipe of a run of the winner: another seed, the same held-out examples, seen once at the end."""
        best, seed = self.best(point), self.recipe.seed
        split = seed if best.data.split_seed is None else best.data.split_seed
        steps = count_steps(best.train, self.steps_per_epoch(best))
        return replace(
            best,
            title=f"the winner, seed {seed + number}",
            seed=seed + number,
            data=replace(best.data, split_seed=split),
            train=replace(best.train, evaluate_every=steps),
        )

    def steps_per_epoch(self, recipe: Recipe, *, validated: bool = False) -> int:
        """Return the steps in an epoch of a trial's recipe, or of the winner's."""
        count = self.validated if validated else self.examples
        return steps_in_epoch(count, recipe.data.batch_size, recipe.train.accumulate)

    def pause(self, recipe: Recipe, rung: int) -> int | None:
        """Return after how many steps a trial pauses at a rung; None at the top."""
        if rung == self.rungs - 1:
            return None
        per_epoch = self.steps_per_epoch(recipe, validated=True)
        every = recipe.train.evaluate_every or per_epoch
        below = count_steps(recipe.train, per_epoch) // (self.tune.halving or 2) ** (self.rungs - 1 - rung)
        return max(below // every, 1) * every

    def turn(self, state: State) -> Turn:
        """Return what is to do now."""
        known = {job: result.value for job, result in state.results.items()}
        tune = self.tune
        return next_turn(known, trials=self.trials, width=self.width, rungs=self.rungs, halving=tune.halving)

    def winner(self, state: State) -> int | None:
        """Return the best trial of those on the highest rung that any has reached; None if all diverged."""
        reached = [(-job.rung, one.value, job.trial) for job, one in state.results.items() if math.isfinite(one.value)]
        return min(reached)[2] if reached else None

    def is_finished(self, state: State) -> bool:
        """Return whether there is nothing left to do."""
        if self.turn(state).batch:
            return False
        return self.winner(state) is None or len(state.finals) >= self.tune.seeds


def design(recipe: Recipe, width: int) -> Design:
    """Return a study of a recipe: its data are read, and what cannot be searched is refused.

    Raises:
        DownslopeError: If the recipe cannot be tuned; the message says why.
    """
    tune = recipe.tune or Tune()
    recipe = replace(recipe, tune=tune, log=Log())
    if recipe.data.validation is not None:
        raise DownslopeError("tune: the validation part is cut by tune.validation. Leave data.validation out.")
    for name in ("early_stop", "plateau"):
        if getattr(recipe.train, name) is not None:
            raise DownslopeError(
                f"tune: by train.{name} the held-out examples would decide how the winner trains, and they are seen "
                "once, at the end. Leave the table out, and search train.epochs or give sgd.lr a schedule."
            )
    dataset = load_data(recipe)
    try:
        examples, data = len(dataset.train_inputs), dataset.fingerprint()
        metrics = dataset.metrics(recipe.train.loss)
        per_epoch = build_batches(recipe, dataset).steps_per_epoch
    finally:
        dataset.close()
    metric = tune.metric or recipe.checkpoint.metric or metrics[0]
    if metric not in metrics:
        raise DataError(f"tune.metric = {metric!r}: an evaluation of these data gives {one_of(metrics)}.")
    steps = count_steps(recipe.train, per_epoch)
    space = read_space(tune.search) or default_space(recipe, steps / per_epoch)
    trials = min(tune.trials, len(grid(space, tune.trials))) if tune.sampler == "grid" else tune.trials
    rungs = rungs_of(steps, recipe.train.evaluate_every or per_epoch, trials, tune.halving)
    if tune.halving is not None and len(rungs) == 1:
        raise DownslopeError(
            f"tune.halving = {tune.halving}: {trials} trial(s) of {steps:,} steps have no rung below the end. Give "
            f"at least {tune.halving} trials, and runs of at least {tune.halving} evaluations."
        )
    found = Design(recipe, space, width, trials, len(rungs), examples, metric, data)
    for corner in (0.0, 1.0):  # what no recipe allows is told before hours of work
        found.trial(0, {one.name: one.at(corner) for one in space})
    return found


def work(study: Study, plan: Design, tell: Callable[[State], None] = lambda _: None) -> None:
    """Work on a study until it is finished.

    Args:
        study: The study.
        plan: Its design.
        tell: Is told of all that is known, before each job.

    Raises:
        Interrupted: If a signal came.
        DownslopeError: If a trial fails otherwise than by diverging.
    """
    while True:
        state = study.state()
        tell(state)
        if plan.is_finished(state):
            with study.holding():
                study.end(plan.rungs - 1)
            return
        if not _take_one(study, plan, state):
            time.sleep(0.3)  # others are at what is left of this batch


def _take_one(study: Study, plan: Design, state: State) -> bool:
    """Do one job that nobody does, and return whether there was one."""
    batch = plan.turn(state).batch
    if any(job.trial not in state.points for job in batch):
        with study.holding():
            state = _proposed(study, plan)
        batch = plan.turn(state).batch
    for job in batch:
        recipe = plan.trial(job.trial, state.points[job.trial])
        with study.holding(job) as held:
            if held and job not in study.state().results:
                folder, top = study.folder / "trials" / f"{job.trial:04d}", job.rung == plan.rungs - 1
                study.record(job, _run(recipe, folder, plan.metric, plan.pause(recipe, job.rung)), whole=top)
                return True
    winner = plan.winner(state)
    if batch or winner is None:
        return False
    for number in range(plan.tune.seeds):
        with study.holding(number) as held:
            if held and number not in study.state().finals:
                recipe = plan.final(number, state.points[winner])
                folder = study.folder / "winner" / f"seed-{recipe.seed}"
                study.record(number, _run(recipe, folder, plan.metric))
                return True
    return False


def _proposed(study: Study, plan: Design) -> State:
    """Propose what the trials of this batch try, as far as nobody has, and return all that is known then."""
    state = study.state()
    turn, points = plan.turn(state), dict(state.points)
    for at, job in enumerate(turn.batch):
        if job.trial not in points:
            known = _known(plan, state, turn.done, [points[one.trial] for one in turn.batch[:at]])
            sampler, seed = plan.tune.sampler, plan.recipe.seed
            points[job.trial] = propose(
                plan.space, sampler, seed=seed, number=job.trial, known=known, trials=plan.trials
            )
            study.add(job.trial, points[job.trial], plan.space)
    return replace(state, points=points)


def _known(plan: Design, state: State, done: tuple[Job, ...], pending: list[Point]) -> list[Known]:
    """Return what a sampler goes by: of each trial the highest rung, in the order they were begun."""
    last = {job.trial: job for job in done}
    known = [
        Known(state.points[number], state.results[job].value, state.results[job].step, whole=job.rung == plan.rungs - 1)
        for number, job in sorted(last.items())
    ]
    return known + [Known(point, None) for point in pending if point not in [one.point for one in known]]


def _run(recipe: Recipe, folder: Path, metric: str, until: int | None = None) -> Result:
    """Train a run, or go on with it, and return what it gave."""
    plan = plan_run(recipe, name="trial", out=folder)
    try:
        outcome: Outcome = train(plan, recipe, NullConsole(), report=False, until=until)
    except (DivergenceError, NonFiniteGradientError):
        rows = read_rows(folder, "step")
        return Result(math.inf, {}, rows[-1]["step"] + 1 if rows else 0, "diverged")
    if outcome.signal is not None:
        raise Interrupted(outcome.signal)
    if metric not in outcome.held_out:
        raise DataError(f"tune.metric = {metric!r}: an evaluation of these data gives {one_of(outcome.held_out)}.")
    value = outcome.held_out[metric]
    if diverged(outcome.held_out):
        return Result(math.inf, outcome.held_out, outcome.step, "diverged")
    found = "diverged" if _has_blown_up(folder) else "falling" if _is_falling(folder) else "settled"
    return Result(-value if metric in GROWING else value, outcome.held_out, outcome.step, found)


def _has_blown_up(folder: Path) -> bool:
    """Return whether a run's loss rose far above where it began, and ended no lower: finite, and diverged all the same.

    A network whose weights an lr has blown up may end with the loss of guessing, where it began; on the way it was
    far above.
    """
    losses = [float(row["loss"]) for row in read_rows(folder, "step")]
    if not losses:
        return False
    last = losses[-max(len(losses) // 10, 1) :]
    return max(losses) > _BLOWN_UP * abs(losses[0]) and sum(last) / len(last) >= losses[0]


def _is_falling(folder: Path) -> bool:
    """Return whether a run's held-out loss is lowest at its end, and much of its fall was in the last quarter."""
    losses = [float(row["loss"]) for row in read_rows(folder, "evaluation")]
    began = [float(row["loss"]) for row in read_rows(folder, "step")[:1]]
    if len(losses) < 4 or losses[-1] > min(losses):
        return False
    before = min(losses[: -(-len(losses) * 3 // 4)])
    return before - losses[-1] > _FALLING * (max([*began, *losses]) - losses[-1])


# Several processes


def work_together(
    study: Study, plan: Design, processes: int, storage: str | None, tell: Callable[[State], None]
) -> None:
    """Have so many processes work on a study, and wait for them.

    Raises:
        Interrupted: If a signal came.
        DownslopeError: If one of them failed.
    """
    if processes == 1:
        work(study, plan, tell)
        return
    command = [sys.executable, "-c", "from downslope.cli.tune import help_out; help_out()"]
    where = {**os.environ, _STORAGE: storage or "", VARIABLE: spoken()}
    others = [subprocess.Popen([*command, str(study.folder)], env=where) for _ in range(processes)]  # noqa: S603
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda n, _: received.append(n)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        while any(one.poll() is None for one in others):
            if received:
                _stop(others)
            tell(study.state())
            time.sleep(0.3)
    finally:
        _stop(others)
        for number, handler in before.items():
            signal.signal(number, handler)
    tell(state := study.state())
    if received:
        raise Interrupted(received[0])
    if not plan.is_finished(state):  # a process that was killed is made up for by the others
        raise DownslopeError("tune: a process failed or was killed. Its message stands above; start again to go on.")


def _stop(others: list[subprocess.Popen[bytes]]) -> None:
    for one in others:
        if one.poll() is None:
            one.terminate()
    for one in others:
        one.wait()


def help_out(words: list[str]) -> None:
    """Work on the study of a folder until it is finished: what a further process does.

    Args:
        words: The study's folder.

    Raises:
        Interrupted: If a signal came, or the process that began this is gone.
        DownslopeError: If a trial fails.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)  # whoever began this is gone: save, and go

    threading.Thread(target=watch, daemon=True).start()
    study = Study(Path(words[0]), os.environ[_STORAGE] or None)
    work(study, Design.of(study.about))
