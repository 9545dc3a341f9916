"""What a report knows about a run: its log as series, its headline numbers, its name among others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from downslope.core.errors import DownslopeError
from downslope.core.schedule_free import ScheduleFree
from downslope.core.schedules import Schedule
from downslope.core.schedules.schedule import value_at
from downslope.recipe.measures import FURTHER
from downslope.recipe.schema import Recipe
from downslope.theory.velocity import effective_lr
from downslope.training.folder.events import Session, sessions
from downslope.training.folder.run_folder import RunFolder
from downslope.training.report.columns import STEP, Columns, read_columns
from downslope.training.report.series import Series, collect
from downslope.training.run.remarks import diverged, remarks

MOST_RUNS = 24
"""How many runs one page lays over one another: eight colours by three kinds of line tell so many apart."""

_NO_METRICS = frozenset({"kind", "step", "epoch"})
"""What a row of an evaluation has besides what was measured."""


@dataclass(frozen=True, eq=False)
class RunData:
    """A run as the report sees it.

    Attributes:
        folder: The run folder.
        name: What the page calls it: the folder's name, with as much of its path as tells it from the others.
        recipe: The resolved recipe.
        facts: What the run wrote down at its start (run.json).
        log: The run's log.
        events: The wall-clock events.
    """

    folder: RunFolder
    name: str
    recipe: Recipe
    facts: Mapping[str, Any]
    log: Columns
    events: Sequence[Mapping[str, Any]]

    def kind(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the rows of one kind: "evaluation", "measure", "rewind", "plateau" or "stop"."""
        return self.log.kind(kind)

    @cached_property
    def train(self) -> dict[str, Series]:
        """Series of the step rows, by name; one that no row has is empty."""
        series = {name: self.log.steps(name) for name in STEP}
        if self.log.left_out and self.log.count:
            series |= {name: self.log.with_holes(name) for name in ("loss", "grad_norm") if len(series[name])}
        return series | {"effective_lr": self._effective_lr(series["lr"], series["momentum"])}

    @cached_property
    def held_out(self) -> dict[str, Series]:
        """Series of the evaluation rows, by name; of loss and accuracy, one that no row has is empty."""
        rows = self.kind("evaluation")
        names = ("loss", "accuracy", "ema_loss", "ema_accuracy")
        others = dict.fromkeys(name for row in rows for name in row if name not in _NO_METRICS)
        return {name: collect(rows, name) for name in (*names, *(name for name in others if name not in names))}

    @property
    def rates(self) -> list[str]:
        """Names of the error rates that evaluations measured, without those of averaged weights."""
        return [name for name in self.held_out if name.endswith("_error_rate") and not name.startswith("ema_")]

    @property
    def metrics(self) -> list[str]:
        """Names of all that evaluations measured, loss and accuracy first, without those of averaged weights."""
        return [name for name, series in self.held_out.items() if len(series) and not name.startswith("ema_")]

    @property
    def has_right_answers(self) -> bool:
        """Whether answers are right or wrong; where they are numbers, nobody asks for an accuracy."""
        return self.facts.get("data", {}).get("classes", 0) is not None or bool(self.rates)

    @cached_property
    def sessions(self) -> list[Session]:
        """The processes that worked on the run."""
        return sessions(self.events)

    @property
    def resumed(self) -> list[int]:
        """The steps at which the run was resumed."""
        return sorted({session.steps[0] or 0 for session in self.sessions[1:] if session.steps})

    @property
    def steps_done(self) -> int:
        """How many steps the log tells of, those that were skipped included."""
        return self.log.last_step + 1

    @property
    def total_steps(self) -> int | None:
        """How many steps were planned."""
        return self.facts.get("total_steps")

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps in one epoch."""
        return self.facts.get("steps_per_epoch")

    @property
    def parameter_count(self) -> int:
        """How many numbers the model learns."""
        return sum(map(math.prod, self.facts.get("parameters", {}).values()))

    @property
    def stop_reason(self) -> str | None:
        """Why training stopped before its planned end, if the log says so."""
        stops = self.kind("stop")
        return str(stops[-1].get("reason", "early stop")) if stops else None

    @property
    def error(self) -> str | None:
        """The error that the run ended with, or None."""
        return self.sessions[-1].error if self.sessions else None

    @cached_property
    def remarks(self) -> list[str]:
        """What a person should know of how a finished run went."""
        if not self.finished:
            return []
        steps, left_out = self.steps_done, self.log.left_out
        losses = self.log.steps("loss").values.tolist()
        return remarks(
            self.recipe, self.facts, steps=steps, left_out=left_out, held_out=self._last_measured, losses=losses
        )

    @property
    def diverged(self) -> str:
        """What in the last evaluation is no finite number, in words; "" if all of it is."""
        return diverged(self._last_measured)

    @property
    def _last_measured(self) -> dict[str, float]:
        evaluations = self.kind("evaluation")
        return {} if not evaluations else {n: float(v) for n, v in evaluations[-1].items() if n not in _NO_METRICS}

    @property
    def finished(self) -> bool:
        """Whether the run came to its end: all planned steps, or an early stop."""
        if self.sessions:
            return self.sessions[-1].ending == "finish"
        return self.stop_reason is not None or (self.total_steps or 0) <= self.steps_done

    def _effective_lr(self, lr: Series, momentum: Series) -> Series:
        """Return the effective lr at the steps that have an lr; of schedule-free SGD none has."""
        if isinstance(self.recipe.sgd, ScheduleFree):
            return Series(lr.steps[:0], lr.values[:0], lr.nonfinite[:0])
        rates: Any = lr.values
        momenta: Any = momentum.values
        if len(momentum) != len(lr):
            moving = self.recipe.sgd.momentum
            if isinstance(moving, Schedule) and moving.in_epochs() and self.steps_per_epoch:
                moving = moving.in_steps(self.steps_per_epoch)
            momenta = np.array([value_at(moving, int(step)) for step in lr.steps], dtype=np.float64)
        sgd = self.recipe.sgd
        gains: Any = effective_lr(rates, momenta, sgd.dampening, nesterov=sgd.nesterov, nu=sgd.nu)
        return Series(lr.steps, gains, lr.nonfinite)


def read_runs(folders: Sequence[Path]) -> list[RunData]:
    """Return the runs in the folders, each with a name of its own.

    Raises:
        DownslopeError: If there are none or too many, or one is given twice.
        CheckpointError: If one is no run folder, or is damaged.
    """
    if not folders:
        raise DownslopeError("a report needs at least one run folder; got none. Give the path of a run.")
    if len(folders) > MOST_RUNS:
        raise DownslopeError(
            f"a report lays at most {MOST_RUNS} runs over one another; got {len(folders)}. Write several reports."
        )
    resolved = [Path(folder).resolve() for folder in folders]
    for index, folder in enumerate(resolved):
        if folder in resolved[:index]:
            raise DownslopeError(f"{folders[index]}: the same run was given twice. Give each run once.")
    opened = [RunFolder(folder) for folder in folders]
    return [
        RunData(folder, name, folder.recipe(), folder.facts(), read_columns(folder.path), folder.events())
        for folder, name in zip(opened, distinct_names(resolved), strict=True)
    ]


def metrics_of_several(runs: Sequence[RunData]) -> list[str]:
    """Return the measures that runs are told apart by: of the further ones, those that one of the runs goes by."""
    watched = {metric for run in runs for metric in run.recipe.watched.values()}
    watched |= {name for run in runs for name in ("macro_f1", "micro_f1") if "micro_f1" in run.metrics}
    every = dict.fromkeys(name for run in runs for name in run.metrics)
    return [name for name in every if name not in FURTHER or name in watched]


def steps_per_epoch_of(runs: Sequence[RunData]) -> int | None:
    """Return the steps of an epoch that runs have in common, or None if they differ."""
    found = {run.steps_per_epoch for run in runs}
    return found.pop() if len(found) == 1 else None


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that are all different.

    Example:
        >>> distinct_names([Path("/a/one/run"), Path("/a/two/run"), Path("/a/other")])
        ['one/run', 'two/run', 'other']
    """
    ends = [path.parts[-1:] for path in paths]
    while True:
        same = [index for index, end in enumerate(ends) if ends.count(end) > 1]
        if not same:
            return [str(Path(*end)) for end in ends]
        for index in same:
            ends[index] = paths[index].parts[-len(ends[index]) - 1 :]
