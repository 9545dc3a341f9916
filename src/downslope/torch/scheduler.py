"""A torch-style scheduler on our schedules, for trainers that insist on one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from downslope.core.checks import check_step
from downslope.core.errors import SettingsError, StateError
from downslope.core.schedules import Schedule
from downslope.core.shown import shown
from downslope.torch.sgd import SGD


def scheduler(
    optimizer: Any, schedule: Schedule | Sequence[Schedule | None] | None = None, last_epoch: int = -1
) -> Scheduler:
    """Return a scheduler that a trainer may call as it calls torch's own.

    With a schedule it writes the schedule's value to the lr of every group: that of step n after n calls of `step`.
    Without one it is idle, for an optimizer that holds its schedules (``SGD(..., lr=schedule)``) or a constant lr: it
    only answers what the lr is. Nothing is saved but numbers, since a schedule is a function of the step.

    Whether a step was skipped is asked at each call, which with our `GradScaler` on a device waits for that.

    Args:
        optimizer: A `downslope.torch.SGD`, any other torch optimizer, or a wrapper of one with its `param_groups`.
        schedule: A schedule in steps, in the trainer's own: whenever it calls `step()`. Or one for each group, None
            for a group whose lr stays. Where groups have `lr_scale`, as timm writes, it multiplies the value.
        last_epoch: The last step done, as torch's schedulers and skorch count: -1 begins at step 0.

    Raises:
        SettingsError: If the schedule is in epochs, or `last_epoch` below -1; if there are more or fewer schedules than
            groups; if one schedule is to drive groups whose lr differ; or if the optimizer has a schedule for the lr
            already.

    Example:
        >>> import torch
        >>> from downslope.schedules import Cosine, Warmup
        >>> from downslope.torch import SGD, scheduler
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = SGD(model.named_parameters(), lr=0.4, momentum=0.9)
        >>> lr = scheduler(optimizer, Warmup(2, Cosine(0.4, 0.0, 10)))
        >>> for _ in range(3):
        ...     optimizer.step()
        ...     lr.step()
        >>> lr.get_last_lr()
        [0.39021130325903075]
    """
    return Scheduler(optimizer, schedule, last_epoch)


class Scheduler(LRScheduler):
    """What `scheduler` returns: torch's ``LRScheduler`` by what it answers, a function of the number of calls inside.

    Attributes:
        optimizer: As it was given.
        last_epoch: How often `step` was called, but for steps that `SGD` skipped; torch's name for it.
        base_lrs: What each group's lr starts from or warms up to.
    """

    def __init__(
        self, optimizer: Any, schedule: Schedule | Sequence[Schedule | None] | None = None, last_epoch: int = -1
    ) -> None:
        """Check the schedule, and write its first value; torch's own writes marks to the groups that ours refuses."""
        groups = getattr(optimizer, "param_groups", None)
        if not isinstance(groups, list) or not groups:
            raise SettingsError(
                f"`optimizer` must be an optimizer, with its `param_groups`; got {shown(repr(optimizer))}."
            )
        self.optimizer = optimizer
        self._schedules = _by_group(schedule, groups)
        self._sgd = _unwrapped(optimizer)
        self._seen = self._counts()
        if not isinstance(last_epoch, int) or isinstance(last_epoch, bool) or last_epoch < -1:
            raise SettingsError(
                f"`last_epoch` must be an integer >= -1, the last step done; got {shown(repr(last_epoch))}."
            )
        self.last_epoch = last_epoch + 1
        self._step_count = self.last_epoch + 1
        for group, own in zip(groups, self._schedules, strict=True):
            if own is not None:  # what some ways of weight decay, and trainers, take for the lr to begin with
                group["initial_lr"], group["max_lr"] = own.reference, own.extremes()[1]
        self.base_lrs = [
            float(group.get("initial_lr", group["lr"]) if held is None else held.reference)
            for group in groups
            for held in [group.get("lr_schedule")]
        ]
        self._write()

    def step(self, epoch: int | None = None) -> None:
        """Go on by one step, or to a given one; a step that `SGD` skipped for its gradients does not count.

        Raises:
            SettingsError: If groups were added since, or `epoch` is no integer >= 0.
        """
        if epoch is not None:
            self.last_epoch = check_step(epoch)
            self._seen = self._counts()
        elif not self._was_skipped():
            self.last_epoch += 1
        self._step_count += 1
        self._write()

    def get_lr(self) -> list[float | Tensor]:
        """Return the lr of each group at step `last_epoch`, which others may have moved, as ignite does."""
        groups = zip(self.optimizer.param_groups, self._schedules, self.get_last_lr(), strict=True)
        return [last if own is None else self._value(own, group) for group, own, last in groups]

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the lr of each group for the optimizer's next step."""
        found: list[float | Tensor] = []
        for group in self.optimizer.param_groups:
            held = group.get("lr_schedule")
            found.append(float(group["lr"]) if held is None else held(group["step"]))
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return how far it is, as numbers; the schedule is not among them."""
        return {"last_epoch": self.last_epoch, "_step_count": self._step_count, "_last_lr": self.get_last_lr()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to where a scheduler was whose state this is; also one of torch's own.

        Raises:
            StateError: If it is no state of a scheduler.
        """
        step = state_dict.get("last_epoch") if isinstance(state_dict, dict) else None
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            raise StateError(f"a scheduler's state has `last_epoch`, an integer >= 0; got {shown(repr(state_dict))}.")
        self.last_epoch = step
        self._step_count = state_dict.get("_step_count", step + 1)
        self._seen = self._counts()
        self._write()
        saved, own = state_dict.get("_last_lr"), self.get_last_lr()
        if any(self._schedules) and isinstance(saved, list) and saved != own:
            warnings.warn(
                f"the state was saved with lr {shown(repr(saved))} at step {step}, where this schedule says {own!r}; "
                "the schedule of now goes on.",
                UserWarning,
                stacklevel=2,
            )

    def _write(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self._schedules):
            if not any(self._schedules):
                self._schedules = [None] * len(groups)
            else:
                raise SettingsError(
                    f"the optimizer has {len(groups)} groups now, and had {len(self._schedules)} when the scheduler "
                    "was made. Make a new one, and load_state_dict() of the old."
                )
        for group, schedule in zip(groups, self._schedules, strict=True):
            if schedule is None:
                continue
            value = self._value(schedule, group)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(value)
            else:
                group["lr"] = value

    def _value(self, schedule: Schedule, group: dict[str, Any]) -> float:
        return schedule(self.last_epoch) * group.get("lr_scale", 1.0)

    def _counts(self) -> tuple[int, int] | None:
        """Return the steps that the optimizer has done and skipped, where it counts them and they matter."""
        if self._sgd is None or not any(self._schedules):
            return None
        return self._sgd.step_count, self._sgd.skipped_steps

    def _was_skipped(self) -> bool:
        """Whether all that the optimizer did since the last call was to skip steps."""
        before, self._seen = self._seen, self._counts()
        return (
            before is not None and self._seen is not None and self._seen[0] == before[0] and self._seen[1] > before[1]
        )


def _by_group(schedule: Any, groups: Sequence[dict[str, Any]]) -> list[Schedule | None]:
    """Return the schedule of each group, checked."""
    if isinstance(schedule, list | tuple):
        schedules = [*schedule]
        if len(schedules) != len(groups):
            raise SettingsError(
                f"`schedule` has {len(schedules)} schedules, and the optimizer {len(groups)} groups. Give one for "
                "each, None for one whose lr stays."
            )
    else:
        schedules = [schedule] * len(groups)
        found = sorted({float(group["lr"]) for group in groups if isinstance(group["lr"], int | float | Tensor)})
        if schedule is not None and len(found) > 1:
            raise SettingsError(
                f"the groups have different lr ({', '.join(map(repr, found))}), which one schedule would make the "
                "same. Give a list of schedules, one for each group, None for one whose lr stays."
            )
    for index, (own, group) in enumerate(zip(schedules, groups, strict=True)):
        if own is None:
            continue
        if not isinstance(own, Schedule):
            raise SettingsError(
                f"`schedule` must be one of downslope.schedules, a list of them, or None; got {shown(repr(own))}."
            )
        if own.in_epochs():
            raise SettingsError(
                f"{own!r} is in epochs, and a scheduler counts calls of step(). Pass "
                "schedule.in_steps(steps_per_epoch), or .in_steps(1) where step() is called once an epoch."
            )
        if group.get("lr_schedule") is not None:
            raise SettingsError(
                f"the lr of param group {index} is driven by {group['lr_schedule']!r} within the optimizer. Call "
                "scheduler(optimizer) without a schedule, or give the optimizer a number."
            )
    return schedules


def _unwrapped(optimizer: Any) -> SGD | None:
    """Return the `SGD` in a trainer's wrappers, which hold it as `optimizer`; None if it is another."""
    for _ in range(8):
        if isinstance(optimizer, SGD):
            return optimizer
        optimizer = getattr(optimizer, "optimizer", None)
        if optimizer is None:
            break
    return None
