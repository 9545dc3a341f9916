"""Steps that go wrong: a loss that leaps up, a gradient that is not finite. Skipped or rewound, bounded, recorded.

What lives here: what is done about such a step, and the record of it, which every checkpoint keeps. What does not:
whether a loss is a spike (`spikes.py`), and whether a gradient is finite, which the optimizer sees.

A rewind takes the model, the optimizer and all counters back to an earlier checkpoint and goes on with the batch after
the one that went wrong: the batches between are left out. It is one change of the state, committed by one checkpoint,
and where it leads depends on the steps alone, never on the clock; so a run that is killed anywhere in it ends with the
same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from torch import Tensor

from downslope.core.errors import CheckpointError, DivergenceError
from downslope.recipe.schema import Recipe
from downslope.training.data import Dataset
from downslope.training.folder.checkpoint import Checkpoint, checkpoint_folder, read_checkpoint, read_manifest
from downslope.training.folder.durable import StorageError

if TYPE_CHECKING:
    from downslope.training.run.evaluation_rules import Record
    from downslope.training.run.task import Task


# What helps where training has run off to infinity

_LARGE = 10.0
"""Numbers up to this size are of the order for which common learning rates are made."""


def advise_on_divergence(recipe: Recipe, dataset: Dataset) -> str:
    """Return sentences on what makes gradients large, in the data or else the settings, and what else there is to do.

    Every remedy is a key of the recipe, by its whole path.

    Args:
        recipe: The recipe.
        dataset: Its data.
    """
    said = ""
    targets, inputs = dataset.train_targets, dataset.train_inputs
    if dataset.classes is None and recipe.train.loss == "mse" and _size(targets) > _LARGE:
        remedy = "subtract their mean and divide by their standard deviation in your data function."
        if recipe.data.name == "table":
            remedy = "set data.options.standardize_target = true, and predictions keep the unit of the column."
        said += f"The targets go from {_ends(targets)}, and the gradients of a squared error grow with them: {remedy} "
    if inputs.is_floating_point() and _size(inputs) > _LARGE:
        remedy = "scale them to about -1 to 1 in your data function."
        if recipe.data.name in {"table", "images"}:
            remedy = "set data.options.standardize = true."
            if recipe.data.options.get("standardize", recipe.data.name == "table"):
                remedy = "some are far from all others; look at them."
        said += f"The inputs go from {_ends(inputs)}: {remedy} "
    said = said or "Among settings, the learning rate helps most: try a third of sgd.lr, or train.clip_norm = 1.0. "
    return f'{said}To leave such steps out, set train.on_nonfinite = "skip", or "rewind" to go back before them.'


def _size(values: Tensor) -> float:
    return float(values.abs().max())


def _ends(values: Tensor) -> str:
    return f"{float(values.min()):,.6g} to {float(values.max()):,.6g}"


_REWINDS = 10
"""How many gradients that are not finite are rewound where the recipe does not say."""


@dataclass
class MishapRecord:
    """What went wrong so far, and where a rewind would lead.

    Attributes:
        spikes: Spikes dealt with.
        nonfinite: Gradients that were not finite, dealt with.
        rewinds: [first step left out, last step left out] of each rewind; the first is the checkpoint's gone back to.
        targets: Steps of the last two checkpoints that a rewind may lead to, oldest first.
        used: Whether a rewind has led to the newer already; the next then leads to the older.
    """

    spikes: int = 0
    nonfinite: int = 0
    rewinds: list[list[int]] = field(default_factory=list[list[int]])
    targets: list[int] = field(default_factory=list[int])
    used: bool = False

    def state(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)

    def load(self, state: dict[str, Any]) -> None:
        """Take over a saved record; an empty one, of an earlier version, leaves everything as it is."""
        for name, value in deepcopy(state).items():
            setattr(self, name, value)

    def add_target(self, step: int) -> None:
        """Note a checkpoint that a rewind may lead to.

        Args:
            step: Updates done.
        """
        if step not in self.targets:
            self.targets, self.used = [*self.targets, step][-2:], False

    def take_target(self) -> int:
        """Return the step to go back to: the newest target or, if a rewind led there already, the one before it."""
        if self.used and len(self.targets) > 1:
            self.targets.pop()
        self.used = True
        return self.targets[-1]


class Mishaps:
    """Deals with the steps of one run that go wrong.

    Args:
        task: What is trained.
        folder: The run folder.
        record: Where to write rows.
        say: Where to speak.
        read: How a checkpoint is read: by this process, or with the others.
    """

    def __init__(
        self,
        task: Task,
        folder: Path,
        record: Record,
        say: Callable[[str], None],
        read: Callable[[Path], Checkpoint] = read_checkpoint,
    ) -> None:
        """Take what is trained."""
        self._task, self._folder, self._record, self._say, self._read = task, folder, record, say, read
        self._train = task.recipe.train
        self._mishaps = task.state.mishaps
        self._may_leave_out = self._train.spike is not None or self._train.on_nonfinite in {"skip", "rewind"}
        self._buffers: list[tuple[Tensor, Tensor]] = []

    def begin(self, step: int) -> bool:
        """Make sure that a rewind leads somewhere; return whether a checkpoint is needed for that.

        Args:
            step: Updates done.
        """
        if self._train.rewinds is None:
            return False
        there = [target for target in self._mishaps.targets if self._is_there(target)]  # a fork has the newest alone
        if there != self._mishaps.targets:
            self._mishaps.targets, self._mishaps.used = there, False
        if not there:
            self._mishaps.add_target(step)
        return not there and step == 0

    def remember(self) -> None:
        """Remember the model's buffers, which the forward pass of a step that is left out must not have changed."""
        if self._may_leave_out:
            self._buffers = [(buffer, buffer.clone()) for buffer in self._task.state.model.buffers()]

    def leave_out_spike(self, step: int, loss: float) -> bool:
        """Judge the loss of a step before its update, and deal with a spike; return whether it was one.

        Args:
            step: The step, 0-based.
            loss: Its loss.

        Raises:
            DivergenceError: If it is one spike too many.
        """
        spike, spikes = self._train.spike, self._task.state.spikes
        if spike is None or spikes is None or (bound := spikes.observe(loss)) is None:
            return False
        said = f"{spikes.describe(loss)}, {bound / spike.factor:.4g}" if bound > 0 else spikes.describe(loss)
        if self._mishaps.spikes >= spike.limit:
            raise self._too_many(step, said, "train.spike.limit", spike.limit)
        self._mishaps.spikes += 1
        if spike.action == "skip":
            self._task.state.optimizer.count_skipped_step()
        self._leave_out(step, said, rewind=spike.action == "rewind", loss=loss, bound=bound)
        return True

    def leave_out_nonfinite(self, step: int, loss: float) -> None:
        """Deal with a step whose gradient was not finite, and which the optimizer has not made.

        Args:
            step: The step, 0-based.
            loss: Its loss.

        Raises:
            DivergenceError: If it is one too many.
        """
        rewind, limit = self._train.on_nonfinite == "rewind", self._train.nonfinite_limit
        limit = _REWINDS if limit is None and rewind else limit
        if limit is not None and self._mishaps.nonfinite >= limit:
            raise self._too_many(step, "a gradient that is not finite", "train.nonfinite_limit", limit)
        self._mishaps.nonfinite += 1
        self._leave_out(step, "a gradient is not finite", rewind=rewind, loss=loss)

    def _leave_out(self, step: int, said: str, *, rewind: bool, **fields: float) -> None:
        epoch = self._task.batches.epoch(step)
        for buffer, before in self._buffers:
            buffer.copy_(before)
        if not rewind:
            self._record("skip", step, epoch=epoch, **fields)
            if "bound" in fields:
                self._say(f"step {step:,}: {said}; it is skipped")
            return
        target = self._mishaps.take_target()
        self._restore(target)
        self._mishaps.rewinds.append([target, step])
        self._record("rewind", step, epoch=epoch, **fields, to=target)
        left_out = f"step {step:,}" if target == step else f"steps {target:,} to {step:,}"
        self._say(f"step {step:,}: {said}; back to the checkpoint of step {target:,}, leaving out {left_out}")

    def _restore(self, target: int) -> None:
        """Take the state back to a checkpoint, but for the record of mishaps."""
        folder = checkpoint_folder(self._folder, target)
        try:
            checkpoint = self._read(folder)
        except CheckpointError as error:
            raise StorageError(f"{folder}: training must go back to it, and it cannot be used: {error}.") from None
        record = self._mishaps.state()
        self._task.state.restore(checkpoint, self._task.recipe)
        self._mishaps.load(record)

    def _too_many(self, step: int, what: str, path: str, limit: int) -> DivergenceError:
        times = "once" if limit == 1 else f"{limit} times"
        again = f"downslope resume {quote(str(self._folder))} --{path} {2 * limit}"
        return DivergenceError(
            f"step {step:,}: {what}; that was dealt with {times} already, and {path} allows no more. Lower sgd.lr, set "
            f"train.clip_norm, or allow more: {again}"
        )

    def _is_there(self, target: int) -> bool:
        try:
            read_manifest(checkpoint_folder(self._folder, target))
        except CheckpointError:
            return False
        return True
