"""Saving a run while it trains: when a checkpoint is due, what is in it, which older ones go, and the final weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from downslope.core.errors import CheckpointError
from downslope.training.device import usage_of
from downslope.training.folder import durable, run_folder
from downslope.training.folder.checkpoint import encode_tensors, prune, write_checkpoint
from downslope.training.folder.durable import StorageError
from downslope.training.folder.events import Events
from downslope.training.folder.log import Log
from downslope.training.run.environment import describe_environment
from downslope.training.run.plan import Plan
from downslope.training.run.task import Task
from downslope.training.workers.workers import NullEvents, NullGuard, NullLog, Workers


class Saver:
    """Writes a run's checkpoints. Worker 0 alone does, unless the model is sharded: then each writes its part.

    Args:
        task: What is trained.
        recipe: The recipe as a plain table.
        plan: The run folder, and the checkpoint that training starts from.
        log: The log, which is synced before each checkpoint.
        events: The events.
        workers: The workers.
        say: Shows a sentence.

    Attributes:
        guard: Notices that the run folder was removed or replaced.
    """

    def __init__(
        self,
        task: Task,
        recipe: Mapping[str, Any],
        plan: Plan,
        log: Log | NullLog,
        events: Events | NullEvents,
        workers: Workers,
        say: Callable[[str], None],
    ) -> None:
        """Note what is saved already."""
        self._task, self._recipe, self._folder = task, recipe, plan.folder
        self._policy = task.recipe.checkpoint
        self._log, self._events, self._workers, self._say = log, events, workers, say
        self._environment = describe_environment(task.device)
        self._saved = None if plan.checkpoint is None else _key(plan.checkpoint.manifest)
        self._saved_time = time.monotonic()
        self.guard = run_folder.guard_of(plan.folder) if workers.is_first else NullGuard()

    def is_due(self, step: int, *, improved: bool) -> bool:
        """Return whether a checkpoint is due: after an evaluation that is the best so far, by steps or by the clock."""
        seconds = self._policy.every_seconds
        by_clock = seconds > 0 and has_passed(self._saved_time, seconds)
        if self._task.sharding is not None and seconds > 0:
            by_clock = self._workers.broadcast(lambda: by_clock)  # all of them write, by the clock of the first
        return improved or self._is_by_step(step) or by_clock

    def save(self, step: int, *, finished: bool, rewound: bool = False) -> bool:
        """Write a checkpoint, and return whether there was something to write that the newest does not say already."""
        self.guard.check()
        state, sharding = self._task.state, self._task.sharding
        # A rewind leads to checkpoints by steps alone: were those by the clock among its targets, a slower machine
        # would end with other bits.
        if self._task.recipe.train.rewinds is not None and self._is_by_step(step) and not rewound:
            state.bad_steps.add_target(step)
        if not self._workers.is_first and sharding is None:
            return False
        # The log first: a checkpoint vouches for all of it up to its step, so these bytes must be on the disk before
        # the manifest is. Then the tensors, then the manifest, and only then are older checkpoints removed.
        length, checksum = self._log.sync()
        manifest = {
            "step": step,
            "finished": finished,
            "log": {"bytes": length, "checksum": checksum},
            "data": self._task.fingerprint,
            "recipe": self._recipe,
            "environment": self._environment,
            "state": state.table(),
            **({} if self._task.start is None else {"start": msgspec.to_builtins(self._task.start)}),
        }
        if _key(manifest) == self._saved:
            return False
        write = write_checkpoint if sharding is None else sharding.write
        folder = write(self._folder, state.tensors(), manifest)
        self._saved, self._saved_time = _key(manifest), time.monotonic()
        usage = usage_of(self._task.device)
        self._events.add("checkpoint", step, folder=folder.name, **({} if usage is None else usage.fields()))
        if self._workers.is_first:
            needed = {state.best.best_step, *state.bad_steps.targets}
            prune(self._folder, step=step, keep=self._policy.keep, needed=needed, say=self._say)
        return True

    def write_final_weights(self) -> None:
        """Write the final weights: the very bytes of the last checkpoint.

        Raises:
            StorageError: If that checkpoint, just written, is no longer whole.
        """
        try:
            last = run_folder.RunFolder(self._folder).last()
        except CheckpointError as error:  # it was written just now: something removed it
            raise StorageError(str(error)) from None
        if self._task.sharding is not None:
            durable.write_file(self._folder / run_folder.MODEL, encode_tensors(last.tensors["model"]))
        for name in (run_folder.MODEL, run_folder.EMA):
            if name in last.manifest["files"]:
                durable.write_file(self._folder / name, durable.read_file(last.folder / name))

    def _is_by_step(self, step: int) -> bool:
        every = self._policy.every_steps
        return every is not None and step % every == 0


def _key(manifest: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells a checkpoint from others of the run: of a step that is saved already nothing is written."""
    return manifest["step"], manifest["finished"], manifest["recipe"]


def has_passed(since: float, seconds: float) -> bool:
    """Return whether so much time has passed; where the clock has gone back, nobody knows, and it has."""
    return not 0 <= time.monotonic() - since < seconds
