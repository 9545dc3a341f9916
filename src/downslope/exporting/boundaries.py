"""The steps at which a schedule changes its value at once, or its course: what a table of it is worth showing.

What lives here: the next such step after a given one, and the one before it, each in closed form. A run may have 10**30
steps and a change at every one, so they are never listed. What does not: the tables of them.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from types import MappingProxyType
from typing import Any

from downslope.core import schedules as s
from downslope.core.exact import exact
from downslope.core.schedules.schedule import Schedule

_MOST_SHOWN = 14


def walk(schedules: Sequence[Schedule], start: int, end: int) -> Iterator[int]:
    """Yield the boundaries of any of some schedules between two steps, both left out, upwards.

    Args:
        schedules: Schedules in steps.
        start: Step, 0-based.
        end: Step.

    Example:
        >>> from downslope.schedules import Cosine, Warmup
        >>> list(walk([Warmup(5, then=Cosine(0.1, 0.0, duration=20))], 0, 100))
        [5, 25]
    """
    step = start
    while True:
        found = [after for schedule in schedules if (after := next_boundary(schedule, step)) is not None]
        if not found or min(found) >= end:
            return
        step = min(found)
        yield step


def walk_back(schedules: Sequence[Schedule], start: int, end: int) -> Iterator[int]:
    """Yield the boundaries of any of some schedules between two steps, both left out, downwards.

    Args:
        schedules: Schedules in steps.
        start: Step.
        end: Step, below `start`.

    Example:
        >>> from downslope.schedules import Cosine, Warmup
        >>> list(walk_back([Warmup(5, then=Cosine(0.1, 0.0, duration=20))], 100, 0))
        [25, 5]
    """
    step = start
    while True:
        found = [before for schedule in schedules if (before := previous_boundary(schedule, step)) is not None]
        if not found or max(found) <= end:
            return
        step = max(found)
        yield step


def steps_to_show(schedules: Sequence[Schedule], total_steps: int) -> list[int | None]:
    """Return the steps that a table shows, None where some are left out; it takes no longer for a longer run.

    Args:
        schedules: Schedules in steps.
        total_steps: Steps of the run, >= 1.

    Example:
        >>> from downslope.schedules import MultiStep
        >>> steps_to_show([MultiStep(0.1, factor=0.1, milestones=[5, 7, 8, 9])], 20)
        [0, 5, 7, 8, 9, 19]
    """
    last = total_steps - 1
    first_ones = [0, *islice(walk(schedules, 0, last), _MOST_SHOWN)]
    if len(first_ones) + 1 > _MOST_SHOWN:
        half = _MOST_SHOWN // 2
        last_ones = [last, *islice(walk_back(schedules, last, 0), half - 1)]
        return [*first_ones[:half], None, *reversed(last_ones)]
    steps = {*first_ones, last}
    if schedules and len(steps) < 6:  # a smooth course shows itself at its quarters
        steps |= {round(Fraction(last * quarter, 4)) for quarter in (1, 2, 3)}
    return [*sorted(steps)]


def next_boundary(schedule: Schedule, step: int) -> int | None:
    """Return the first boundary after a step >= 0, or None."""
    if isinstance(schedule, s.Exponential) and schedule.staircase:
        period = exact(schedule.every)
        return math.ceil((math.floor(step / period) + 1) * period)
    if isinstance(schedule, s.Warmup):
        end = math.ceil(schedule.duration)
        if step < end:
            return end
        shift = end if schedule.restart else 0
        return _moved(next_boundary(schedule.then, step - shift), shift)
    if isinstance(schedule, s.Sequence):
        starts = _starts(schedule)
        piece = bisect_right(starts, step) - 1
        inside = _moved(next_boundary(schedule.schedules[piece], step - starts[piece]), starts[piece])
        following = starts[piece + 1] if piece + 1 < len(starts) else None
        return min((time for time in (inside, following) if time is not None), default=None)
    times = _ends(schedule)
    place = bisect_right(times, step)
    return times[place] if place < len(times) else None


def previous_boundary(schedule: Schedule, step: int) -> int | None:
    """Return the last boundary before a step, above 0, or None."""
    if isinstance(schedule, s.Exponential) and schedule.staircase:
        period = exact(schedule.every)
        return _above(0, math.ceil(math.floor((step - 1) / period) * period))
    if isinstance(schedule, s.Warmup):
        end = math.ceil(schedule.duration)
        if step <= end:
            return None
        shift = end if schedule.restart else 0
        inside = _moved(previous_boundary(schedule.then, step - shift), shift)
        return inside if inside is not None and inside > end else _above(0, end)
    if isinstance(schedule, s.Sequence):
        starts = _starts(schedule)
        piece = bisect_left(starts, step) - 1
        if piece < 0:
            return None
        inside = _moved(previous_boundary(schedule.schedules[piece], step - starts[piece]), starts[piece])
        return inside if inside is not None else _above(0, starts[piece])
    times = _ends(schedule)
    place = bisect_left(times, step)
    return _above(0, times[place - 1]) if place else None


def _one_cycle(schedule: s.OneCycle) -> tuple[Any, ...]:
    return exact(schedule.pct_start) * exact(schedule.duration), schedule.duration


def _stable(schedule: s.WarmupStableDecay) -> tuple[Any, ...]:
    warmup, stable, decay = (exact(length) for length in (schedule.warmup, schedule.stable, schedule.decay))
    return warmup, warmup + stable, warmup + stable + decay


_ENDS: Mapping[type[Schedule], Callable[[Any], tuple[Any, ...]]] = MappingProxyType(
    {
        s.Constant: lambda _: (),
        s.Exponential: lambda _: (),
        s.Inverse: lambda _: (),
        s.MultiStep: lambda schedule: schedule.milestones,
        s.Linear: lambda schedule: (schedule.duration,),
        s.Polynomial: lambda schedule: (schedule.duration,),
        s.Cosine: lambda schedule: (schedule.duration,),
        s.OneCycle: _one_cycle,
        s.WarmupStableDecay: _stable,
    }
)
"""The times at which the parts of a schedule without inner schedules end."""


def _ends(schedule: Schedule) -> list[int]:
    if type(schedule) not in _ENDS:
        raise TypeError(f"where {type(schedule).__name__} changes is not known. State it in exporting/boundaries.py.")
    return [math.ceil(time) for time in _ENDS[type(schedule)](schedule)]


def _starts(schedule: s.Sequence) -> list[int]:
    return [0, *map(math.ceil, schedule.boundaries)]


def _moved(step: int | None, by: int) -> int | None:
    return None if step is None else step + by


def _above(low: int, step: int) -> int | None:
    return step if step > low else None
