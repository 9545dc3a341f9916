"""A schedule as a short table: its values at the first step, wherever something changes, and at the last.

What lives here: which of the steps are shown, and the table. What does not: where a schedule changes
(`recipes/boundaries.py`) and its values, which are its own.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

from downslope.cli.tables import format_number, format_table
from downslope.core.schedules import Schedule
from downslope.core.schedules.base import value_at
from downslope.core.settings import Settings
from downslope.recipes.boundaries import walk, walk_back

_MOST_ROWS = 14


def schedule_table(settings: Settings, total_steps: int, steps_per_epoch: int) -> str:
    """Return the table of lr and effective lr, and of momentum and weight decay where they change.

    Args:
        settings: The settings, every schedule in steps.
        total_steps: Steps of the run, >= 1.
        steps_per_epoch: Steps in one epoch.
    """
    columns = ["lr", *(name for name in ("momentum", "weight_decay") if isinstance(getattr(settings, name), Schedule))]
    schedules = [value for name in columns if isinstance(value := getattr(settings, name), Schedule)]
    rows: list[list[str]] = []
    for step in _rows(schedules, total_steps):
        if step is None:
            rows.append(["..."] * (len(columns) + 3))
            continue
        values = [format_number(value_at(getattr(settings, name), step)) for name in columns]
        values.append(format_number(effective_lr(settings, step)))
        if not rows or step == total_steps - 1 or rows[-1][2:] != values:  # where nothing has changed, nothing is told
            rows.append([str(step), f"{step / steps_per_epoch:.2f}", *values])
    return format_table(["step", "epoch", *(name.replace("_", " ") for name in columns), "effective lr"], rows)


def effective_lr(settings: Settings, step: int) -> float:
    """Return lr (1 - dampening) / (1 - momentum): how far a constant gradient of 1 moves a parameter in the long run.

    Args:
        settings: The settings, every schedule in steps.
        step: Step, 0-based.

    Example:
        >>> round(effective_lr(Settings(lr=0.1, momentum=0.9), 0), 12)
        1.0
    """
    scalars = settings.at(step)
    return scalars.lr * (1 - scalars.dampening) / (1 - scalars.momentum)


def _rows(schedules: list[Schedule], total_steps: int) -> list[int | None]:
    """Return the steps to show, None where some are left out; it takes no longer for a longer run."""
    last = total_steps - 1
    first_ones = [0, *islice(walk(schedules, 0, last), _MOST_ROWS)]
    if len(first_ones) + 1 > _MOST_ROWS:
        half = _MOST_ROWS // 2
        last_ones = [last, *islice(walk_back(schedules, last, 0), half - 1)]
        return [*first_ones[:half], None, *reversed(last_ones)]
    steps = {*first_ones, last}
    if schedules and len(steps) < 6:  # a smooth course shows itself at its quarters
        steps |= {round(Fraction(last * quarter, 4)) for quarter in (1, 2, 3)}
    return [*sorted(steps)]
