"""One run as it goes: step, log, evaluate, save, stop.

What lives here: the order of things within training, and when each is due. What does not: what each of them is; see
`gradients.py`, `follow_up.py`, `state.py`, `checkpoint.py`, `log.py`; and who looks on (`watchers.py`). Everything that
decides a number is a function of the recipe and the step, so a run that was killed and resumed ends with the same bits
as one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from downslope.torch.gradients import global_norm
from downslope.training import durable, run_folder
from downslope.training.checkpoint import plain_recipe, prune, write_checkpoint
from downslope.training.environment import describe_environment
from downslope.training.events import Events
from downslope.training.follow_up import evaluate_and_follow
from downslope.training.gradients import StepResult, compute_gradients
from downslope.training.log import Log
from downslope.training.measuring import Measurements
from downslope.training.plan import Plan
from downslope.training.progress import Console
from downslope.training.signals import Signals
from downslope.training.task import Task
from downslope.training.watchers import Watcher

_SHOW_SECONDS = 0.1
_FLUSH_SECONDS = 5.0


class Run:
    """One run as it goes: the task, its open files, and when they were last written.

    Args:
        task: What is trained, its checkpoint taken up.
        plan: The plan.
        console: Where to speak.
        signals: Which signal was received.
        watchers: Who looks on.
    """

    def __init__(
        self, task: Task, plan: Plan, console: Console, signals: Signals, watchers: Sequence[Watcher] = ()
    ) -> None:
        """Open the log and the events."""
        self._watchers = watchers
        self._task = task
        self._state = task.state
        self._train = task.recipe.train
        self._folder = plan.folder
        self._console = console
        self._signals = signals
        self._recipe_table = plain_recipe(task.recipe)
        self._environment = describe_environment()
        manifest = None if plan.checkpoint is None else plan.checkpoint.manifest
        self.step: int = 0 if manifest is None else manifest["step"]
        self._saved_at = None if manifest is None else self._saved_key(manifest)
        log = {"bytes": 0, "checksum": None} if manifest is None else manifest["log"]
        self._log = Log(plan.folder, log["bytes"], log["checksum"])
        self._events = Events(plan.folder)
        self._events.add("start" if manifest is None else "resume", self.step)
        self._saved_time = self._shown_time = self._flushed_time = time.monotonic()
        self._last_fields: dict[str, float] = {}
        self._measurements = Measurements(task)
        self._parameters = list(task.state.model.parameters())
        self._weights = [parameter.detach() for parameter in self._parameters]

    @property
    def finished(self) -> bool:
        """Whether there is no step left to do."""
        return self.step >= self._task.total_steps or self._state.stopped is not None

    def go(self) -> None:
        """Train until the end or a signal."""
        self._console.say("\n".join(self._task.lines(self._folder)))
        if self.step:
            self._console.say(f"resuming    from step {self.step:,}")
        for watcher in self._watchers:
            watcher.begin(self._task, self._folder, self.step)
        while not self.finished and self._signals.received is None:
            self._one_step()
            improved = self._evaluation_is_due() and evaluate_and_follow(
                self._task, done=self.step, record=self._record
            )
            if self._checkpoint_is_due(improved=improved):
                self._save()
            self._show()
        self._save()
        if self.finished:
            self._finish()
        elif self._signals.received is not None:
            self._events.add("signal", self.step, signal=self._signals.received)

    def close(self) -> None:
        """Close the files; called whatever happened."""
        self._console.close()
        try:
            for watcher in self._watchers:
                watcher.end(finished=self.finished)
            self._log.close()
        finally:
            self._events.close()

    def _one_step(self) -> None:
        step, state, task = self.step, self._state, self._task
        if (sharpness := self._measurements.sharpness(step)) is not None:
            self._record("sharpness", step, epoch=task.batches.epoch(step), **sharpness)
        measured = self._measurements.due(step)
        for parameter in self._parameters:  # optimizer.zero_grad() would load torch's compiler first
            parameter.grad = None
        result = compute_gradients(
            state.model,
            task.objective,
            task.dataset,
            task.batches.leaves(step),
            seed=task.recipe.seed,
            step=step,
            with_norms=measured,
        )
        if measured:
            self._measurements.before()
        logged = step % self._train.log_every == 0
        grads = [p.grad for p in self._parameters if p.grad is not None] if logged else []
        skipped = state.optimizer.skipped_steps
        state.optimizer.step()
        self.step = step + 1
        if state.optimizer.skipped_steps != skipped:
            self._record("skip", step, epoch=task.batches.epoch(step), loss=result.loss())
            return
        if state.averaged is not None:
            state.averaged.update_parameters(state.model)
        if logged:
            norm = state.optimizer.grad_norm
            self._log_step(step, result, global_norm(grads) if norm is None else norm)
        if measured:
            self._record("measure", step, epoch=task.batches.epoch(step), **self._measurements.after(result))

    def _log_step(self, step: int, result: StepResult, grad_norm: float) -> None:
        # Parameters that no pattern matched come last; where there are none, the last group stands for the run.
        group = self._state.optimizer.param_groups[-1]
        loss, accuracy = result.loss(), result.accuracy()
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
            weight_norm=global_norm(self._weights),
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
        by_step = policy.every_steps is not None and self.step % policy.every_steps == 0
        by_clock = policy.every_seconds > 0 and time.monotonic() - self._saved_time >= policy.every_seconds
        return improved or by_step or by_clock

    def _saved_key(self, manifest: Any) -> tuple[Any, ...]:
        return manifest["step"], manifest["finished"], manifest["recipe"]

    def _save(self) -> None:
        """Write a checkpoint, unless the newest says all of this already."""
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
        folder = write_checkpoint(self._folder, self._state.tensors(), manifest)
        self._saved_at, self._saved_time = self._saved_key(manifest), time.monotonic()
        self._events.add("checkpoint", self.step, folder=folder.name)
        for watcher in self._watchers:
            watcher.saved(self.step)
        best = self._state.best.best_step
        prune(self._folder, step=self.step, keep=self._task.recipe.checkpoint.keep, best_step=best)

    def _finish(self) -> None:
        """Write the final weights: the very bytes of the last checkpoint."""
        last = run_folder.RunFolder(self._folder).last()
        for name in (run_folder.MODEL, run_folder.EMA):
            if name in last.manifest["files"]:
                durable.write_file(self._folder / name, (last.folder / name).read_bytes())
        self._events.add("finish", self.step)
        if self._state.stopped is not None:
            self._console.say(f"stopped     at step {self.step:,}: {self._state.stopped}")

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown_time < _SHOW_SECONDS:
            return
        self._shown_time = now
        found = self._state.held_out
        name = "accuracy" if "accuracy" in found else "loss"  # one of them: a line of a terminal is short
        held_out = {f"held-out {name}": found[name]} if found else {}
        self._console.progress(self.step, self._task.total_steps, {**self._last_fields, **held_out})
        if now - self._flushed_time >= _FLUSH_SECONDS:
            self._log.flush()
            self._flushed_time = now
