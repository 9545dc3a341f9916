"""One run as it goes: step, log, evaluate, save, stop.

What lives here: the order of things within training, and when each is due. What does not: what each of them is; see
`gradients.py`, `follow_up.py`, `state.py`, `checkpoint.py`, `log.py`; and who looks on (`watchers.py`). Everything that
decides a number is a function of the recipe and the step, so a run that was killed and resumed ends with the same bits
as one that was not.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from downslope.core.errors import CheckpointError, DownslopeError
from downslope.core.shown import shown
from downslope.torch.gradients import GlobalNorm, global_norm
from downslope.training.folder import durable, run_folder
from downslope.training.folder.checkpoint import (
    Checkpoint,
    encode_tensors,
    plain_recipe,
    prune,
    read_checkpoint,
    write_checkpoint,
)
from downslope.training.folder.durable import StorageError
from downslope.training.folder.events import Events
from downslope.training.folder.log import Log
from downslope.training.measuring import Measurements
from downslope.training.run.bad_steps import Mishaps
from downslope.training.run.environment import describe_environment
from downslope.training.run.evaluation_rules import evaluate_and_follow
from downslope.training.run.gradients import StepResult, compute_gradients
from downslope.training.run.start_point import Plan
from downslope.training.run.task import Task
from downslope.training.user_code import is_import_path
from downslope.training.view.console import Console
from downslope.training.view.observer import Watcher
from downslope.training.workers.share_start import check_alike, share_checkpoint
from downslope.training.workers.workers import QuietEvents, QuietGuard, QuietLog, Workers, WorkersLostError

_SHOW_SECONDS = 0.1
_FLUSH_SECONDS = 5.0


class Run:
    """One run as it goes: the task, its open files, and when they were last written.

    Args:
        task: What is trained, its checkpoint taken up.
        plan: The plan.
        console: Where to speak.
        workers: Who shares the work, and which signal is to end it. Worker 0 alone writes and speaks.
        watchers: Who looks on.
    """

    def __init__(
        self, task: Task, plan: Plan, console: Console, workers: Workers, watchers: Sequence[Watcher] = ()
    ) -> None:
        """Open the log and the events."""
        self._watchers = watchers
        self._task = task
        self._state = task.state
        # Its parameters and buffers are the model's own; evaluations and what is saved are of the model itself.
        self._model: Any = torch.compile(task.state.model) if task.recipe.train.compile else task.state.model
        # Where the model is sharded no worker has a leaf's whole gradient, whose norm could be asked for.
        compute: Any = (
            partial(compute_gradients, workers=workers) if task.sharding is None else task.sharding.compute_gradients
        )
        train = task.recipe.train
        own_code = is_import_path(task.recipe.model.name) or is_import_path(train.loss)
        self._compute = partial(compute, seed=task.recipe.seed, precision=train.precision, own_code=own_code)
        self._params = list(task.state.model.parameters())  # a walk through the modules, too long for every step
        self._train = train
        self._folder = plan.folder
        self._console = console
        self._workers = workers
        self._recipe_table = plain_recipe(task.recipe)
        self._environment = describe_environment()
        manifest = None if plan.checkpoint is None else plan.checkpoint.manifest
        self.step: int = 0 if manifest is None else manifest["step"]
        self._saved_at = None if manifest is None else self._saved_key(manifest)
        log = {"bytes": 0, "checksum": None} if manifest is None else manifest["log"]
        self._log = Log(plan.folder, log["bytes"], log["checksum"]) if workers.is_first else QuietLog()
        self._events = Events(plan.folder) if workers.is_first else QuietEvents()
        self._events.add("start" if manifest is None else "resume", self.step, workers=workers.size)
        self.guard = run_folder.guard_of(plan.folder) if workers.is_first else QuietGuard()
        self._saved_time = self._shown_time = self._flushed_time = time.monotonic()
        self._last_fields: dict[str, float] = {}
        self._mishaps = Mishaps(task, plan.folder, self._record, console.say, self._read_together)
        self._is_whole = False  # whether the state is that after `step` steps, with all that follows from them
        self._measurements = Measurements(task)
        self._weight_norm = GlobalNorm(self._params)

    @property
    def finished(self) -> bool:
        """Whether there is no step left to do."""
        return self.step >= self._task.total_steps or self._state.stopped is not None

    def go(self) -> None:
        """Train until the end or a signal.

        Raises:
            WorkersLostError: If another worker is lost; where that leaves all steps so far whole, they are saved.
        """
        try:
            self._train_on()
        except WorkersLostError as lost:
            saves = self._is_whole and self._workers.is_first and self._task.sharding is None
            if saves:
                self._save()
            raise lost.at(self.step, self._folder, saved=saves) from lost

    def _train_on(self) -> None:
        self._console.say("\n".join(self._task.lines(self._folder)))
        if self.step:
            self._console.say(f"resuming    from step {self.step:,}")
        for watcher in self._watchers:
            watcher.begin(self._task, self._folder, self.step)
        if self._may_rewind_from_here():
            self._save()
        while not self.finished and self._workers.signal is None:
            rewound = self._one_step()
            improved = self._evaluation_is_due() and self._evaluate()
            if self._checkpoint_is_due(improved=improved) or rewound:
                self._save(rewound=rewound)
            self._show()
        self._save()
        if self.finished:
            self._finish()
        elif self._workers.signal is not None:
            self._events.add("signal", self.step, signal=self._workers.signal)

    def note_failure(self, error: Exception) -> None:
        """Note among the events that the run ends with an error, if that can still be written."""
        with contextlib.suppress(DownslopeError, OSError):
            self._events.add("fail", self.step, error=shown(error, 500))

    def close(self) -> None:
        """Close the files; called whatever happened."""
        self._console.close()
        try:
            for watcher in self._watchers:
                watcher.end(finished=self.finished)
            self._log.close()
        finally:
            self._events.close()

    def _one_step(self) -> bool:
        """Take a step, or leave it out; return whether training was rewound."""
        step, state, task = self.step, self._state, self._task
        rewinds = len(state.mishaps.rewinds)
        if (sharpness := self._measurements.sharpness(step)) is not None:
            self._record("sharpness", step, epoch=task.batches.epoch(step), **sharpness)
        measured = self._measurements.due(step)
        for parameter in self._params:  # optimizer.zero_grad() would load torch's compiler first
            parameter.grad = None
        self._mishaps.remember()
        logged = step % self._train.log_every == 0
        # Where classes have weights, a gradient is no plain mean over examples, from which its noise could be told.
        asked = {"with_norms": True} if measured and task.sharding is None and not self._train.class_weights else {}
        leaves = task.batches.leaves(step)
        self._is_whole = True
        result = self._compute(self._model, task.objective, task.dataset, leaves, step=step, counts=logged, **asked)
        self._is_whole = False
        if logged and self._train.spike is not None and self._mishaps.leave_out_spike(step, result.loss()):
            self.step = step + 1
            return len(state.mishaps.rewinds) != rewinds
        if measured:
            self._measurements.before()
        skipped = state.optimizer.skipped_steps
        state.optimizer.step()
        self.step = step + 1
        if state.optimizer.skipped_steps != skipped:
            self._mishaps.leave_out_nonfinite(step, result.loss())
            return len(state.mishaps.rewinds) != rewinds
        if state.averaged is not None:
            state.averaged.update_parameters(state.model)
        if logged:
            self._log_step(step, result)
        if measured:
            self._record("measure", step, epoch=task.batches.epoch(step), **self._measurements.after(result))
        return False

    def _may_rewind_from_here(self) -> bool:
        """Make sure that a rewind leads somewhere, the same for all workers; return whether a checkpoint is needed."""
        needed = self._workers.is_first and self._mishaps.begin(self.step)
        record = self._state.mishaps
        record.load(self._workers.share(record.state))
        return self._workers.share(lambda: needed)

    def _read_together(self, folder: Path) -> Checkpoint:
        """Return a checkpoint to rewind to, as worker 0 reads it."""
        sharding = self._task.sharding
        if sharding is not None:
            return sharding.cut(read_checkpoint(folder), self._state.model)
        return share_checkpoint(self._workers, lambda: read_checkpoint(folder))

    def _evaluate(self) -> bool:
        if self._task.sharding is None:
            check_alike(self._workers, self._state)
        return evaluate_and_follow(self._task, done=self.step, record=self._record, workers=self._workers)

    def _log_step(self, step: int, result: StepResult) -> None:
        # Parameters that no pattern matched come last; where there are none, the last group stands for the run.
        group = self._state.optimizer.param_groups[-1]
        loss, accuracy = result.loss(), result.accuracy()
        grad_norm = self._state.optimizer.grad_norm
        if grad_norm is None:  # the step had no need of it, and has not written to the gradients
            grad_norm = global_norm([p.grad for p in self._params if p.grad is not None])
        self._record(
            "step",
            step,
            epoch=self._task.batches.epoch(step),
            loss=loss,
            **({} if accuracy is None else {"accuracy": accuracy}),
            lr=group["lr"],
            momentum=group["momentum"],
            weight_decay=group["weight_decay"],
            grad_norm=grad_norm,
            weight_norm=self._weight_norm(),
        )
        self._last_fields = {"loss": loss, "lr": group["lr"]}

    def _record(self, kind: str, step: int, **fields: Any) -> None:
        """Add a row to the log, and tell those who look on."""
        self._log.add(kind, step, **fields)
        for watcher in self._watchers:
            watcher.row(kind, step, fields)

    def _evaluation_is_due(self) -> bool:
        every = self._train.evaluate_every or self._task.batches.steps_per_epoch
        return self.step % every == 0 or self.step >= self._task.total_steps

    def _checkpoint_is_due(self, *, improved: bool) -> bool:
        policy = self._task.recipe.checkpoint
        by_step = self._is_by_step()
        by_clock = policy.every_seconds > 0 and _has_passed(self._saved_time, policy.every_seconds)
        if self._task.sharding is not None and policy.every_seconds > 0:
            by_clock = self._workers.share(lambda: by_clock)  # all of them write, by the clock of the first
        return improved or by_step or by_clock

    def _is_by_step(self) -> bool:
        every = self._task.recipe.checkpoint.every_steps
        return every is not None and self.step % every == 0

    def _saved_key(self, manifest: Any) -> tuple[Any, ...]:
        return manifest["step"], manifest["finished"], manifest["recipe"]

    def _save(self, *, rewound: bool = False) -> None:
        """Write a checkpoint, unless the newest says all of this already."""
        self.guard.check()
        if self._train.rewinds is not None and self._is_by_step() and not rewound:
            self._state.mishaps.add_target(self.step)
        sharding = self._task.sharding
        if not self._workers.is_first and sharding is None:
            return
        length, checksum = self._log.sync()
        manifest = {
            "step": self.step,
            "finished": self.finished,
            "log": {"bytes": length, "checksum": checksum},
            "data": self._task.fingerprint,
            "recipe": self._recipe_table,
            "environment": self._environment,
            "state": self._state.table(),
        }
        if self._saved_key(manifest) == self._saved_at:
            return
        write = write_checkpoint if sharding is None else sharding.write
        folder = write(self._folder, self._state.tensors(), manifest)
        self._saved_at, self._saved_time = self._saved_key(manifest), time.monotonic()
        self._events.add("checkpoint", self.step, folder=folder.name)
        if self._workers.is_first:
            needed = {self._state.best.best_step, *self._state.mishaps.targets}
            keep = self._task.recipe.checkpoint.keep
            prune(self._folder, step=self.step, keep=keep, needed=needed, say=self._console.say)
        for watcher in self._watchers:
            watcher.saved(self.step)

    def _finish(self) -> None:
        """Write the final weights: the very bytes of the last checkpoint."""
        if not self._workers.is_first:
            return
        try:
            last = run_folder.RunFolder(self._folder).last()
        except CheckpointError as error:  # it was written just now: something removed it
            raise StorageError(str(error)) from None
        if self._task.sharding is not None:
            durable.write_file(self._folder / run_folder.MODEL, encode_tensors(last.tensors["model"]))
        for name in (run_folder.MODEL, run_folder.EMA):
            if name in last.manifest["files"]:
                durable.write_file(self._folder / name, durable.read_file(last.folder / name))
        self._events.add("finish", self.step)
        if self._state.stopped is not None:
            self._console.say(f"stopped     at step {self.step:,}: {self._state.stopped}")

    def _show(self) -> None:
        if not _has_passed(self._shown_time, _SHOW_SECONDS):
            return
        self._shown_time = time.monotonic()
        found = self._state.held_out
        name = self._state.best.metric  # one of them: a line of a terminal is short
        held_out = {f"held-out {name.replace('_', ' ')}": found[name]} if name in found else {}
        self._console.progress(self.step, self._task.total_steps, {**self._last_fields, **held_out})
        if _has_passed(self._flushed_time, _FLUSH_SECONDS):
            self._log.flush()
            self._flushed_time = self._shown_time


def _has_passed(since: float, seconds: float) -> bool:
    """Return whether so much time has passed; where the clock has gone back, nobody knows, and it has."""
    return not 0 <= time.monotonic() - since < seconds
