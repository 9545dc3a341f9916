"""Steps that go wrong: a loss that leaps up, a gradient that is not finite. Skipped or rewound, bounded, recorded.

A rewind takes the model, the optimizer and all counters back to an earlier checkpoint and goes on with the batch after
the one that went wrong: the batches between are left out. It is one change of the state, committed by one checkpoint,
and where it leads depends on the steps alone, never on the clock; so a run that is killed anywhere in it ends with the
same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from torch import Tensor

from downslope.core.errors import CheckpointError, DivergenceError
from downslope.recipe.schema import FITTING, Data, Train
from downslope.training.data import Dataset
from downslope.training.folder.checkpoint import Checkpoint, checkpoint_folder, read_checkpoint, read_manifest
from downslope.training.folder.durable import StorageError
from downslope.training.run.batches import Batches
from downslope.training.run.state import TrainingState
from downslope.training.workers.workers import Workers

_REWINDS = 10
"""How many gradients that are not finite are rewound where the recipe does not say."""

_LARGE = 10.0
"""Numbers up to this size are of the order for which common learning rates are made."""


class BadSteps:
    """Leaves out the steps of one run that go wrong.

    Args:
        train: The recipe's section.
        state: What training has come to.
        batches: For the epoch of a step.
        folder: The run folder.
        recipe: The recipe as a plain table, by which a rewind restores the state.
        record: Adds a row to the log: ``record(kind, step, **fields)``.
        say: Shows a sentence.
        read: Reads a checkpoint: by this process, or by worker 0 for all.
    """

    def __init__(
        self,
        train: Train,
        state: TrainingState,
        batches: Batches,
        folder: Path,
        *,
        recipe: Mapping[str, Any],
        record: Callable[..., None],
        say: Callable[[str], None],
        read: Callable[[Path], Checkpoint] = read_checkpoint,
    ) -> None:
        """Take what is trained."""
        self._train, self._state, self._batches, self._folder, self._recipe = train, state, batches, folder, recipe
        self._record, self._say, self._read = record, say, read
        self._done = state.bad_steps
        self._may_leave_out = (
            train.spike is not None or train.on_nonfinite in {"skip", "rewind"} or state.scaler is not None
        )
        self._buffers: list[tuple[Tensor, Tensor]] = []

    def begin(self, step: int, workers: Workers) -> bool:
        """Make sure that a rewind leads somewhere, the same for all workers; return whether a checkpoint is needed.

        Args:
            step: Updates done.
            workers: The workers, of which the first alone need see the run folder.
        """
        needed = workers.is_first and self._find_targets(step)
        self._done.load(workers.broadcast(self._done.state))
        return workers.broadcast(lambda: needed)

    def _find_targets(self, step: int) -> bool:
        if self._train.rewinds is None:
            return False
        there = [target for target in self._done.targets if self._is_there(target)]  # a fork has the newest alone
        if there != self._done.targets:
            self._done.targets, self._done.used = there, False
        if not there:
            self._done.add_target(step)
        return not there and step == 0

    def _is_there(self, target: int) -> bool:
        try:
            read_manifest(checkpoint_folder(self._folder, target))
        except CheckpointError:
            return False
        return True

    def remember_buffers(self) -> None:
        """Remember the model's buffers, which the forward pass of a step that is left out must not have changed."""
        if self._may_leave_out:
            self._buffers = [(buffer, buffer.clone()) for buffer in self._state.model.buffers()]

    def leave_out_spike(self, step: int, loss: float) -> bool:
        """Judge the loss of a step before its update, and leave a spike out; return whether it was one.

        Raises:
            DivergenceError: If it is one spike too many.
        """
        spike, spikes = self._train.spike, self._state.spikes
        if spike is None or spikes is None or (bound := spikes.observe(loss)) is None:
            return False
        said = f"{spikes.describe(loss)}, {bound / spike.factor:.4g}" if bound > 0 else spikes.describe(loss)
        if self._done.spikes >= spike.limit:
            raise self._too_many(step, said, "train.spike.limit", spike.limit)
        self._done.spikes += 1
        if spike.action == "skip":
            self._state.optimizer.count_skipped_step()  # as it counts a step whose gradient is not finite
        self._leave_out(step, said, rewind=spike.action == "rewind", loss=loss, bound=bound)
        return True

    def leave_out_nonfinite(self, step: int, loss: float) -> None:
        """Leave out a step whose gradient was not finite, and which the optimizer has not made.

        In float16 such a step tells that the loss was scaled too far, as it is tried to be from time to time: it is
        skipped whatever `train.on_nonfinite` says, and none is one too many.

        Raises:
            DivergenceError: If it is one too many.
        """
        rewind, limit = self._train.on_nonfinite == "rewind", self._train.nonfinite_limit
        limit = _REWINDS if limit is None and rewind else limit
        if self._state.scaler is not None:
            rewind, limit = False, None
        if limit is not None and self._done.nonfinite >= limit:
            raise self._too_many(step, "a gradient that is not finite", "train.nonfinite_limit", limit)
        self._done.nonfinite += 1
        self._leave_out(step, "a gradient is not finite", rewind=rewind, loss=loss)

    def _leave_out(self, step: int, said: str, *, rewind: bool, **fields: float) -> None:
        epoch = self._batches.epoch(step)
        for buffer, before in self._buffers:
            buffer.copy_(before)
        if not rewind:
            self._record("skip", step, epoch=epoch, **fields)
            if "bound" in fields:
                self._say(f"step {step:,}: {said}; it is skipped")
            return
        target = self._done.take_target()
        self._restore(target)
        self._done.rewinds.append([target, step])
        self._record("rewind", step, epoch=epoch, **fields, to=target)
        left_out = f"step {step:,}" if target == step else f"steps {target:,} to {step:,}"
        self._say(f"step {step:,}: {said}; back to the checkpoint of step {target:,}, leaving out {left_out}")

    def _restore(self, target: int) -> None:
        """Take the state back to a checkpoint, but for the record of bad steps."""
        folder = checkpoint_folder(self._folder, target)
        try:
            checkpoint = self._read(folder)
        except CheckpointError as error:
            raise StorageError(f"{folder}: training must go back to it, and it cannot be used: {error}.") from None
        # The checkpoint's own record knows nothing of what went wrong after it. Taken over, it would let the same
        # steps go wrong without end, since no limit would ever be reached.
        record = self._done.state()
        self._state.restore(checkpoint, self._recipe)
        self._done.load(record)

    def _too_many(self, step: int, what: str, path: str, limit: int) -> DivergenceError:
        times = "once" if limit == 1 else f"{limit} times"
        again = f"downslope resume {quote(str(self._folder))} --{path} {2 * limit}"
        return DivergenceError(
            f"step {step:,}: {what}; that was dealt with {times} already, and {path} allows no more. Lower sgd.lr, set "
            f"train.clip_norm, or allow more: {again}"
        )


def advise_on_divergence(loss: str, data: Data, dataset: Dataset) -> str:
    """Return sentences on what makes gradients large, in the data or else the settings, and what else there is to do.

    Every remedy is a key of the recipe, by its whole path.
    """
    said = ""
    targets = dataset.train_targets
    ends = dataset.range_of_inputs() if dataset.sequences is None else (0.0, 0.0)
    if dataset.classes is None and loss in FITTING and _size(targets) > _LARGE:
        remedy = "subtract their mean and divide by their standard deviation in your data function."
        if data.name == "table":
            remedy = "set data.options.standardize_target = true, and predictions keep the unit of the column."
        said += f"The targets go from {_ends(targets)}, and the gradients of a squared error grow with them: {remedy} "
    if dataset.train_inputs.dtype.is_floating_point and max(-ends[0], ends[1]) > _LARGE:
        remedy = "scale them to about -1 to 1 in your data function."
        if data.name in {"table", "images"}:
            remedy = "set data.options.standardize = true."
            if data.options.get("standardize", data.name == "table"):
                remedy = "some are far from all others; look at them."
        said += f"The inputs go from {ends[0]:,.6g} to {ends[1]:,.6g}: {remedy} "
    said = said or "Among settings, the learning rate helps most: try a third of sgd.lr, or train.clip_norm = 1.0. "
    return f'{said}To leave such steps out, set train.on_nonfinite = "skip", or "rewind" to go back before them.'


def _size(values: Tensor) -> float:
    return float(values.abs().max())


def _ends(values: Tensor) -> str:
    return f"{float(values.min()):,.6g} to {float(values.max()):,.6g}"
