"""A recipe's settings over time, as far as they can be known without the length of an epoch.

Sizes of a run, the step that an explanation's numbers are of, how far everything moves over the whole run, and the rows
of the schedule's table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import islice, pairwise

from downslope.core.exact import exact
from downslope.core.rule import StepScalars
from downslope.core.schedules import Constant, Schedule
from downslope.core.schedules.pieces import steps_to_show, turns, turns_back
from downslope.core.schedules.schedule import constant_value, value_at
from downslope.core.settings import Settings
from downslope.explaining.explanation import Extent, RunSize, ScheduleRow
from downslope.recipe.run_length import steps_in_epoch, steps_in_epochs
from downslope.theory import forgetting, stability
from downslope.theory.velocity import gain_of

_TICKS = 1000
"""Into how many parts an epoch is cut where its steps are not known: enough for any boundary that a person writes."""

_LOOKED_AT = 500
"""How many boundaries are looked at from either end for the largest lr."""

_EVERY = 400
"""Up to how many ticks every one is looked at; a longer run, at as many ticks between its boundaries."""

_EXTENDED = ("lr", "momentum", "weight_decay", "effective_lr", "decay_steps", "largest_curvature")
"""What may move over a run, and what follows from it."""

_FIRST_ONES = 5
"""How many of a schedule that changes for ever are shown where the length of training is not known."""


def run_size(
    *,
    examples: int | None,
    batch_size: int | None,
    accumulate: int = 1,
    epochs: float | None = None,
    steps: int | None = None,
) -> RunSize:
    """Return how large a run is, as training counts it, with None for what does not follow.

    Example:
        >>> run_size(examples=50_000, batch_size=128, epochs=200).total_steps
        78200
    """
    per_epoch = None
    if examples and batch_size:
        batch_size = min(batch_size, examples)  # an epoch holds no more
        per_epoch = steps_in_epoch(examples, batch_size, accumulate)
    if steps is not None:
        epochs = None if per_epoch is None else steps / per_epoch
    elif epochs is not None and per_epoch is not None:
        steps = max(1, steps_in_epochs(epochs, per_epoch))
    return RunSize(
        batch_size=batch_size * accumulate if batch_size else None,
        examples=examples,
        steps_per_epoch=per_epoch,
        epochs=epochs,
        total_steps=steps,
    )


@dataclass(frozen=True)
class Course:
    """Settings over time, in steps or, where an epoch's steps are not known, in small parts of an epoch.

    Attributes:
        settings: The settings, every schedule in ticks; None where some are in steps and some in epochs, and the steps
            of an epoch are not known.
        given: The settings as they were given.
        per_epoch: Ticks in an epoch; None where not known.
        total: Ticks in all; None where not known.
        ticks_are_steps: Whether a tick is a step.
    """

    settings: Settings | None
    given: Settings
    per_epoch: int | None
    total: int | None = None
    ticks_are_steps: bool = True

    @classmethod
    def of(cls, settings: Settings, run: RunSize) -> Course:
        """Return the course of some settings in a run of this size."""
        units = {unit for schedule in schedules_of(settings) for unit in _units(schedule)}
        if run.steps_per_epoch is not None:
            per_epoch = run.steps_per_epoch
            return cls(settings.in_steps(per_epoch), settings, per_epoch, total=run.total_steps)
        if "epoch" not in units:
            return cls(settings, settings, None, total=run.total_steps)
        if units == {"epoch"}:
            total = None if run.epochs is None else max(1, round(exact(run.epochs) * _TICKS))
            return cls(settings.in_steps(_TICKS), settings, _TICKS, total=total, ticks_are_steps=False)
        return cls(None, settings, None)

    def length(self) -> int:
        """The ticks in all; where that is not known, until nothing changes any more, or the first of many changes."""
        if self.total is not None or self.settings is None:
            return self.total or 1
        ends = [0, *islice(turns(schedules_of(self.settings), 0, 2**63), _LOOKED_AT)]
        return (ends[_FIRST_ONES] if len(ends) > _LOOKED_AT else ends[-1]) + 1

    def peak(self) -> StepScalars:
        """The scalars of the step that the numbers are of."""
        if self.settings is None:
            return _at_upper_bound(self.given)
        return self.settings.at(self._peak_tick)

    def peak_row(self) -> ScheduleRow:
        """Return the row of that step."""
        return self.row(self._peak_tick)

    @cached_property
    def _peak_tick(self) -> int:
        """The tick of the largest effective lr; of several, of the largest lr, then of the strongest decay, the first.

        Between boundaries schedules rise or fall, so that the largest lr lies at a boundary; the largest effective lr
        of a momentum that moves too may lie between two, and is found to the nearest tick that is looked at.
        """
        if self.settings is None or not self.moves():
            return 0
        settings = self.settings

        def rank(tick: int) -> tuple[float, float, float]:
            now = settings.at(tick)
            return gain_of(now), now.lr, forgetting.forgotten_per_step(now)

        return max(self._ticks, key=rank)

    def moves(self) -> tuple[str, ...]:
        """The numbers that move with the step: of "lr", "momentum" and "weight_decay"."""
        return tuple(
            name for name in ("lr", "momentum", "weight_decay") if constant_value(getattr(self.given, name)) is None
        )

    def extents(self) -> tuple[Extent, ...]:
        """How far each number goes over the whole run, and what follows from it; none where nothing moves."""
        if self.settings is None or not self.moves() or self.length() < 2:
            return ()
        found: list[Extent] = []
        for name in _EXTENDED:
            values = [self.value(name, tick) for tick in self._ticks]
            if min(values) < max(values):
                found.append(self._extent(name, values))
        return tuple(found)

    def mean_decay_steps(self) -> float | None:
        """The timescale of decay of the mean pace over the run; None where it does not move, or no end is known."""
        if self.settings is None or self.total is None or not self.moves():
            return None
        values = [self.value("decay_steps", tick) for tick in self._ticks]
        return self._mean_pace(values) if min(values) < max(values) else None

    def only_lr_moves(self) -> bool:
        """Whether nothing else moves: then the step of the largest lr stands for the run, as in famous recipes."""
        return self.moves() in {(), ("lr",)}

    def value(self, name: str, tick: int) -> float:
        """Return what an extent of that name is of, at a tick."""
        now = self.peak() if self.settings is None else self.settings.at(tick)
        if name in {"lr", "momentum"}:
            return now.lr if name == "lr" else now.momentum
        if name == "weight_decay":
            return _number((self.settings or self.given).weight_decay, tick, bounded=self.settings is None)
        if name == "effective_lr":
            return gain_of(now)
        return _memory(now).steps if name == "decay_steps" else stability.largest_curvature_of(now)

    def _extent(self, name: str, values: Sequence[float]) -> Extent:
        ticks = self._ticks
        low, high = (values.index(pick(values)) for pick in (min, max))
        mean: float | None = None
        if self.total is not None and name == "decay_steps":
            mean = self._mean_pace(values)
        elif self.total is not None and name != "largest_curvature":
            mean = _mean(ticks, values)
        return Extent(
            name=name,
            first=values[0],
            smallest=values[low],
            smallest_at=self._when(ticks[low]),
            largest=values[high],
            largest_at=self._when(ticks[high]),
            last=values[-1],
            mean=mean,
        )

    def _mean_pace(self, timescales: Sequence[float]) -> float:
        pace = _mean(self._ticks, [0.0 if math.isinf(one) else 1 / one for one in timescales])
        return 1 / pace if pace > 0 else math.inf

    def _when(self, tick: int) -> float:
        """A tick in the unit of the table: steps, or epochs where steps are not known."""
        return tick if self.ticks_are_steps or not self.per_epoch else tick / self.per_epoch

    def row(self, tick: int, *, after_gap: bool = False) -> ScheduleRow:
        """Return the row of a tick; that of the largest lr, without a step, where ticks are not known."""
        now = self.peak() if self.settings is None else self.settings.at(tick)
        memory = _memory(now)
        weight_decay = self.given.weight_decay if self.settings is None else self.settings.weight_decay
        per_epoch = self.per_epoch
        return ScheduleRow(
            step=tick if self.ticks_are_steps and self.settings is not None else None,
            epoch=tick / per_epoch if per_epoch else None,
            lr=now.lr,
            momentum=now.momentum,
            weight_decay=_number(weight_decay, tick, bounded=self.settings is None),
            effective_lr=gain_of(now),
            decay_steps=memory.steps,
            decay_epochs=memory.steps / per_epoch if per_epoch and self.ticks_are_steps else None,
            memory=memory.way,
            after_gap=after_gap,
        )

    def rows(self) -> tuple[ScheduleRow, ...]:
        """Return the rows worth showing: the first, wherever something changes, the last."""
        if self.settings is None:
            return ()
        found: list[ScheduleRow] = []
        gap, length = False, self.length()
        for tick in steps_to_show(schedules_of(self.settings), length):
            if tick is None:
                gap = True
                continue
            row = self.row(tick, after_gap=gap)
            if not found or gap or tick == length - 1 or _numbers(found[-1]) != _numbers(row):
                found.append(row)
            gap = False
        return tuple(found)

    @cached_property
    def _ticks(self) -> list[int]:
        """The ticks that stand for the run: all of a short one; else those at boundaries, and as many between them."""
        last = self.length() - 1
        if last < _EVERY:
            return list(range(last + 1))
        return sorted({tick for tick in self._looked_at() if 0 <= tick <= last} | set(evenly(last + 1, _EVERY)))

    def _looked_at(self) -> Iterator[int]:
        schedules, last = schedules_of(self.settings or self.given), self.length() - 1
        yield from (0, last)
        for boundaries in (turns(schedules, 0, last), turns_back(schedules, last, 0)):
            for boundary in islice(boundaries, _LOOKED_AT):
                yield from (boundary - 1, boundary)


@lru_cache(maxsize=4096)
def _memory(now: StepScalars) -> forgetting.Memory:
    return forgetting.memory(now)


def _mean(ticks: Sequence[int], values: Sequence[float]) -> float:
    """Return the mean over all ticks, of values at some of them: straight lines between."""
    total = values[-1]
    for (start, here), (end, there) in pairwise(zip(ticks, values, strict=True)):
        total += (end - start) * (here + there) / 2 + (here - there) / 2
    return total / (ticks[-1] - ticks[0] + 1)


def evenly(length: int, count: int) -> list[int]:
    """Return ticks spread evenly over a length, first and last among them."""
    return sorted({round(Fraction((length - 1) * i, count)) for i in range(count + 1)})


def _numbers(row: ScheduleRow) -> tuple[float, float, float]:
    return row.lr, row.momentum, row.weight_decay


def schedules_of(settings: Settings) -> list[Schedule]:
    """Return the schedules among lr, momentum and weight decay."""
    given = (settings.lr, settings.momentum, settings.weight_decay)
    return [value for value in given if isinstance(value, Schedule)]


def _units(schedule: Schedule) -> Iterator[str]:
    if not isinstance(schedule, Constant):
        yield getattr(schedule, "unit", "step")
    for inner in schedule.inner():
        yield from _units(inner)


def _number(value: float | Schedule, tick: int, *, bounded: bool) -> float:
    if bounded and isinstance(value, Schedule):
        return value.reference
    return value_at(value, tick)


def _at_upper_bound(settings: Settings) -> StepScalars:
    """Return the scalars at the schedule's largest lr, whenever that is."""
    return settings.scalars_from(
        lr=settings.lr_max if math.isfinite(settings.lr_max) else settings.lr_initial,
        momentum=_number(settings.momentum, 0, bounded=True),
        weight_decay=_number(settings.weight_decay, 0, bounded=True),
        dampening=settings.dampening,
    )
