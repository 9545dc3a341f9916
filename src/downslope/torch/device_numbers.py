"""The numbers of a step kept on a device, so that a recorded step (a CUDA graph) goes on by itself: `capturable=True`.

On the device are the count of steps, the numbers of each group, and for each schedule a table of its values at the
steps to come; a kernel makes the coefficients of the step it has come to out of them. The host writes what was changed
in the groups, and reads the counts when somebody asks: no step waits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from downslope.core.errors import ImplementationError, SettingsError, StateError
from downslope.core.schedules import Schedule
from downslope.core.settings import DECAYS
from downslope.kernel.random_bits import random_bits
from downslope.torch import group_values
from downslope.torch.step import Groups
from downslope.torch.triton_plan import on_device

LONGEST_TABLE = 1 << 18
"""Steps for which a schedule's values are on the device at a time; 2 MiB a schedule."""
_ROWS_AT_ONCE = 64
_REFERENCED = frozenset({"relative", "corrected"})
"""Ways of decay that divide by another learning rate."""


def is_recording(device: torch.device) -> bool:
    """Whether what is launched on a device now is recorded, and not done."""
    asks = getattr(torch.get_device_module(device), "is_current_stream_capturing", None)
    return asks is not None and bool(asks())


def check_not_recording(device: torch.device) -> None:
    """Raise `ImplementationError` if a step is being recorded whose tensors are not known yet."""
    if is_recording(device):
        raise ImplementationError(
            "a step is recorded whose parameters, gradients or groups are others than those of the step before, and "
            "what it needs cannot be made meanwhile. Take a step with the same parameters before recording one."
        )


class DeviceNumbers:
    """An optimizer's counts and numbers on a device."""

    def __init__(self, kernels: Any, device: torch.device, groups: Groups) -> None:
        """Begin at the groups' counts; numbers are written by `write`."""
        self._kernels, self.device, self._is_on_host = kernels, device, device.type == "cpu"
        self._count = len(groups)
        self.kept: list[Any] = []
        """What recorded steps read, which has to live as long as they may be run."""
        self._schedules = list(dict.fromkeys(s for group in groups for s in _schedules_of(group).values()))
        longest = max((_horizon(schedule) for schedule in self._schedules), default=1)
        self._is_endless = longest > LONGEST_TABLE
        self._length = int(min(longest, LONGEST_TABLE))
        step, skipped = groups[0]["step"], groups[0]["skipped"]
        self.counts = torch.tensor([step, skipped, 0, 0, 0], dtype=torch.int64, device=device)
        self._tables = torch.zeros(max(1, len(self._schedules)), self._length, dtype=torch.float64, device=device)
        self._begin, self._largest = -1, list[float]()
        self._fill_tables(step)
        rows = 2 * self._count  # of each group, for parameters with and at their first gradient
        self._numbers = torch.zeros(rows, len(kernels.NUMBERS), dtype=torch.float64, device=device)
        self._coefficients = torch.zeros(rows * 6, dtype=torch.float64, device=device)
        self._key = torch.zeros(1, dtype=torch.int64, device=device)
        self.stop = torch.zeros((), dtype=torch.float32, device=device)
        self._written: list[Any] = []
        self._live: list[tuple[Tensor, Tensor]] = []
        self._recorded: list[int] | None = None
        self._emas: list[Any] = []
        self._recorded_emas: list[Any] = []

    @property
    def kinds(self) -> list[tuple[int, bool]]:
        """Which group, and whether at its first gradient, each row is about."""
        return [(group, first) for group in range(self._count) for first in (False, True)]

    def fits(self, groups: Groups) -> bool:
        """Whether these are still the numbers of these groups, whose schedules have tables."""
        return len(groups) == self._count and all(
            schedule in self._schedules for group in groups for schedule in _schedules_of(group).values()
        )

    def write(self, groups: Groups, seed: int) -> None:
        """Write to the device what was changed in the groups since the last time.

        Raises:
            SettingsError: If a value is not allowed, or something else wrote to a number that a schedule drives.
            ImplementationError: If something was changed and a step is being recorded.
        """
        for index, group in enumerate(groups):
            group_values.follow_schedules(group, index, group["step"])
        self._emas = [group.get("ema") for group in groups]
        now = [*map(self._values_of, groups), seed]
        if now == self._written:
            return
        if is_recording(self.device):
            raise ImplementationError(
                "a number of the param_groups, or `rounding_seed`, was changed since the last step, and what is "
                "written while a step is recorded would be written again by each run. Call write_to_device() before."
            )
        rows: list[list[float]] = []
        self._live = []
        for index, group in enumerate(groups):
            try:
                rows += self._rows_of(group, index)
            except SettingsError as error:
                raise SettingsError(f"param group {index}: {error}") from None
        self._send(torch.tensor(rows, dtype=torch.float64), self._numbers)
        key = random_bits(seed & 0xFFFFFFFF, seed >> 32)
        self._send(torch.tensor([key], dtype=torch.int64), self.counts[4:])
        self._written = [*map(self._values_of, groups), seed]  # references of decay may have been settled

    def check_recorded(self) -> None:
        """Raise if recorded steps go on reading other tensors than the groups have now.

        Raises:
            SettingsError: What was written for them would then be written over, or not be read.
        """
        if self._recorded is not None and self._recorded != self._tensors_read():
            raise SettingsError(
                "a tensor on the device was put in the place of a number of the param_groups, or a number in the place "
                "of a tensor, since a step was recorded, which goes on as it was. Write to the tensor itself, as in "
                'group["lr"].fill_(0.01), or record the step anew.'
            )
        if self._recorded is not None and self._recorded_emas != self._emas:
            raise SettingsError(
                "`ema` of the param_groups was changed since a step was recorded, which goes on with what it was. "
                "Write it back, or record the step anew."
            )

    def _tensors_read(self) -> list[int]:
        return [id(tensor) for tensor, _ in self._live]

    def next_step(
        self, factor: Tensor | None, found: Tensor | None, *, counts_skipped: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Count a step on the device; return its coefficients, its key, and what is above 0 if nothing is to move."""
        if is_recording(self.device):
            self._recorded, self._recorded_emas = self._tensors_read(), self._emas
        for tensor, place in self._live:
            place.copy_(tensor.detach().reshape(()))
        kernels, arguments = self._kernels, (self._numbers, self._tables, self.counts, factor, found, self.stop)
        constants = {"HAS_FACTOR": factor is not None, "HAS_FOUND": found is not None, "COUNTS_SKIPPED": counts_skipped}
        constants |= {"IS_ENDLESS": self._is_endless, "BLOCK": _ROWS_AT_ONCE}
        places = self._coefficients, self._key, 2 * self._count, self._length
        with on_device(self.device):
            kernels.launch(kernels.count_step, 1, *arguments, *places, **constants)
        return self._coefficients, self._key, self.stop

    def settle(self, groups: Groups) -> None:
        """Write into the groups how many steps the device has done, and what schedules say; this waits for it.

        Raises:
            StateError: If steps were left out since a schedule had more of them than its table.
        """
        step, skipped, beyond = self.counts[:3].tolist()
        for group in groups:
            if step != group["step"]:  # as an ordinary step leaves them: those that it was taken with
                group_values.write_scheduled_values(group, max(step - 1, 0))
            group["step"], group["skipped"] = step, skipped
        if self._is_endless and step - self._begin > self._length // 2:
            self._fill_tables(step)
        if beyond:
            self.counts[2:3].zero_()
            raise StateError(
                f"{beyond} recorded steps were left out from step {step} on: of a schedule that goes on for longer, "
                f"{self._length} steps are on the device at a time. Ask for step_count, or save state_dict(), at least "
                f"every {self._length // 2} steps, which brings the next ones. Nothing was moved without."
            )

    def set_step(self, step: int) -> None:
        """Go to a step."""
        self.counts[:1].fill_(step)
        self._fill_tables(step)

    def _fill_tables(self, step: int) -> None:
        begin = step if self._is_endless else 0
        if self._schedules and begin != self._begin:
            steps = np.arange(begin, begin + self._length)
            values = np.stack([schedule(steps) for schedule in self._schedules])
            self._tables.copy_(torch.from_numpy(values))
            self._largest = values.max(axis=1).tolist()
        self._begin = begin
        self.counts[3:4].fill_(begin)

    def _send(self, values: Tensor, place: Tensor) -> None:
        place.copy_(values if self._is_on_host else values.pin_memory(), non_blocking=True)

    def _values_of(self, group: Mapping[str, Any]) -> list[Any]:
        """Return what a group's row depends on; of tensors on the device which they are, since each step reads them."""
        scheduled = _schedules_of(group)
        names = (*group_values.HYPERPARAMETERS, *group_values.REFERENCES, "max_lr")
        return [scheduled[name] if name in scheduled else self._as_known(group.get(name)) for name in names]

    def _as_known(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return id(value) if value.device == self.device else float(value.detach())

    def _rows_of(self, group: dict[str, Any], index: int) -> Iterator[list[float]]:
        """Return a group's two rows, checked; tensors on the device are to be copied there at every step."""
        scheduled, live = _schedules_of(group), {}
        for name, value in group.items():
            if isinstance(value, Tensor) and name in group_values.HYPERPARAMETERS and value.device == self.device:
                if name not in ("lr", "weight_decay") or value.numel() != 1:
                    raise SettingsError(
                        f"`{name}` is a tensor of shape {tuple(value.shape)} on {value.device}. With `capturable=True` "
                        "lr and weight_decay may be tensors there, of one element; the others are numbers or schedules."
                    )
                live[name] = value
        if group["decay"] in _REFERENCED:
            group_values.settle_references(group)
            if "lr" in live and None in (group["lr_initial"], group["lr_max"]):
                raise SettingsError(
                    f'decay="{group["decay"]}" divides by the lr that a run begins with, and lr, a tensor on the '
                    "device, is 0 at first. Write that lr to the group's `initial_lr`."
                )
        # what is checked is the largest that a schedule says, and 1 for what the device alone knows
        largest = {name: self._largest[self._schedules.index(schedule)] for name, schedule in scheduled.items()}
        known = {**group, **dict.fromkeys(live, 1.0), **largest}
        group_values.check_coefficients(known, group_values.scalars_of(known))
        numbers = {name: group_values.number(name, known[name]) for name in ("lr", "momentum", "weight_decay")}
        references = [known[name] or 1.0 for name in group_values.REFERENCES]
        if "max_lr" in group:
            references[1] = group_values.number("max_lr", group["max_lr"])
        tables = [self._schedules.index(scheduled[name]) if name in scheduled else -1 for name in numbers]
        dampening = group_values.number("dampening", group["dampening"])
        flags = [float(group["nesterov"]), float(group["lr_in_velocity"]), DECAYS.index(group["decay"])]
        nu = -1.0 if group["nu"] is None else group_values.number("nu", group["nu"])
        for is_undampened in (False, True):
            own = 0.0 if is_undampened and group["undampened_first_step"] else dampening
            yield [*numbers.values(), own, *references, -1.0 if group["maximize"] else 1.0, *flags, *tables, nu]
        columns = self._kernels.NUMBERS
        rows = self._numbers[2 * index : 2 * index + 2]
        self._live += [(value, rows[:, columns.index(name)]) for name, value in live.items()]


def _schedules_of(group: Mapping[str, Any]) -> dict[str, Schedule]:
    """Return the schedules of a group by the number that each drives."""
    pairs = ((name, group[group_values.schedule_key(name)]) for name in group_values.SCHEDULABLE)
    return {name: schedule for name, schedule in pairs if schedule is not None}


def _horizon(schedule: Schedule) -> float:
    """Return the number of steps after which a schedule stays where it is."""
    last = schedule.pieces()[-1]
    return last.start + 1 if last.level and last.stairs is None else math.inf
