"""A schedule as a short table: its values at the first step, wherever something changes, and at the last."""

from __future__ import annotations

from downslope.cli.tables import format_number, format_table
from downslope.core.schedule_free import ScheduleFree
from downslope.core.schedules import Schedule
from downslope.core.schedules.pieces import steps_to_show
from downslope.core.schedules.schedule import value_at
from downslope.core.settings import Settings
from downslope.theory import velocity


def schedule_table(settings: Settings, total_steps: int, steps_per_epoch: int) -> str:
    """Return the table of lr and effective lr, and of momentum and weight decay where they change.

    Args:
        settings: The settings, every schedule in steps.
        total_steps: Steps of the run, >= 1.
        steps_per_epoch: Steps in one epoch.
    """
    if isinstance(settings, ScheduleFree):
        return _of_average(settings, total_steps, steps_per_epoch)
    columns = ["lr", *(name for name in ("momentum", "weight_decay") if isinstance(getattr(settings, name), Schedule))]
    schedules = [value for name in columns if isinstance(value := getattr(settings, name), Schedule)]
    rows: list[list[str]] = []
    for step in steps_to_show(schedules, total_steps):
        if step is None:
            rows.append(["..."] * (len(columns) + 3))
            continue
        values = [format_number(value_at(getattr(settings, name), step)) for name in columns]
        values.append(format_number(effective_lr(settings, step)))
        if not rows or step == total_steps - 1 or rows[-1][2:] != values:  # where nothing has changed, nothing is told
            rows.append([str(step), f"{step / steps_per_epoch:.2f}", *values])
    return format_table(["step", "epoch", *(name.replace("_", " ") for name in columns), "effective lr"], rows)


_FAR = 10**6
"""The last step that is told of an average, which adds up those before it; little changes beyond."""


def _of_average(settings: ScheduleFree, total_steps: int, steps_per_epoch: int) -> str:
    """Return the table of lr and of the newest weights' share in the average, at steps further and further apart."""
    end, last = settings.warmup_steps, min(total_steps - 1, _FAR)
    steps = sorted({0, max(end - 1, 0), end, *(10**power for power in range(1, 7)), last})
    rows = [
        [str(step), f"{step / steps_per_epoch:.2f}", format_number(now.lr), format_number(now.average)]
        for step in steps
        if step <= last
        for now in [settings.at(step)]
    ]
    return format_table(["step", "epoch", "lr", "share of the newest"], rows)


def effective_lr(settings: Settings, step: int) -> float:
    """Return how far a constant gradient of 1 moves a parameter per step in the long run.

    Args:
        settings: The settings, every schedule in steps.
        step: Step, 0-based.

    Example:
        >>> round(effective_lr(Settings(lr=0.1, momentum=0.9), 0), 12)
        1.0
    """
    return velocity.gain_of(settings.at(step))
