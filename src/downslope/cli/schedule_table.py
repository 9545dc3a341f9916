"""A schedule as a short table: its values at the first step, wherever something changes, and at the last.

What lives here: which steps are worth showing. What does not: the schedules' values, which are theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import takewhile

from downslope.cli.tables import format_number, format_table
from downslope.core.schedules import (
    Cosine,
    Exponential,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Schedule,
    Sequence,
    Warmup,
    WarmupStableDecay,
)
from downslope.core.schedules.base import exact, value_at
from downslope.core.settings import Settings

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


def boundaries(schedule: Schedule, total_steps: int) -> set[int]:
    """Return the steps inside the run at which a schedule changes its value at once or its course.

    Args:
        schedule: A schedule in steps.
        total_steps: Steps of the run.

    Example:
        >>> from downslope.schedules import Cosine, Warmup
        >>> sorted(boundaries(Warmup(5, then=Cosine(0.1, 0.0, duration=20)), total_steps=100))
        [5, 25]
    """
    return set(takewhile(lambda step: step < total_steps, sorted(_times(schedule, total_steps))))


def _times(schedule: Schedule, total_steps: int) -> set[int]:
    if isinstance(schedule, Exponential) and schedule.staircase:
        return set(_multiples(schedule.every, total_steps))
    if isinstance(schedule, Warmup):
        end = math.ceil(schedule.duration)
        inside = _times(schedule.then, total_steps)
        return {end} | ({end + time for time in inside} if schedule.restart else {t for t in inside if t > end})
    if isinstance(schedule, Sequence):
        starts = [0, *map(math.ceil, schedule.boundaries)]
        found = set(starts[1:])
        for piece, start, end in zip(schedule.schedules, starts, [*starts[1:], total_steps], strict=True):
            found |= {start + time for time in _times(piece, total_steps) if start + time < end}
        return found
    return {math.ceil(time) for time in _ends(schedule)}


def _ends(schedule: Schedule) -> tuple[float, ...]:
    """Return the times at which the parts of a schedule without inner schedules end."""
    if isinstance(schedule, MultiStep):
        return schedule.milestones
    if isinstance(schedule, Linear | Polynomial | Cosine):
        return (schedule.duration,)
    if isinstance(schedule, OneCycle):
        return schedule.pct_start * schedule.duration, schedule.duration
    if isinstance(schedule, WarmupStableDecay):
        stable = schedule.warmup + schedule.stable
        return schedule.warmup, stable, stable + schedule.decay
    return ()


def _multiples(period: float, total_steps: int) -> Iterator[int]:
    ratio = exact(period)
    count = 1
    while (step := math.ceil(count * ratio)) < total_steps:
        yield step
        count = max(count + 1, math.floor((step + 1) / ratio))  # a period below one step changes at every step


def _rows(schedules: list[Schedule], total_steps: int) -> list[int | None]:
    """Return the steps to show, None where some are left out."""
    last = total_steps - 1
    steps = {0, last} | {step for schedule in schedules for step in boundaries(schedule, total_steps)}
    if schedules and len(steps) < 6:  # a smooth course shows itself at its quarters
        steps |= {round(last * quarter / 4) for quarter in (1, 2, 3)}
    ordered = sorted(step for step in steps if 0 <= step <= last)
    if len(ordered) <= _MOST_ROWS:
        return list(ordered)
    half = _MOST_ROWS // 2
    return [*ordered[:half], None, *ordered[-half:]]
