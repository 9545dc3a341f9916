"""Schedules of several pieces: warmup before another, sequences, one-cycle, warmup-stable-decay."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal

from downslope.core.checks import Taken, Unit, as_float, check_flag, check_increasing, check_length, check_unit
from downslope.core.errors import SettingsError, one_of
from downslope.core.exact import between, exact, plain
from downslope.core.schedules.basic import Constant, ramp
from downslope.core.schedules.pieces import Piece, level, line, moved, ramp_pieces
from downslope.core.schedules.schedule import NUMBERS, Schedule, kept, set_field

__all__ = ["OneCycle", "Sequence", "Warmup", "WarmupStableDecay"]


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from peak / div_factor to `peak`, then down to peak / div_factor / final_div_factor.

    The peak lies at step pct_start * duration and the end at `duration`, after which the value stays. torch's
    OneCycleLR is off by one against its own total_steps: its peak is at pct_start * total_steps - 1 and its end at
    total_steps - 1; it equals this schedule with duration = total_steps - 1 and
    pct_start = (pct * total_steps - 1) / (total_steps - 1).

    Attributes:
        peak: Largest value.
        duration: Length of the cycle, in `unit`.
        unit: "step" or "epoch".
        pct_start: Fraction of the cycle spent rising, in (0, 1).
        div_factor: peak / value at step 0.
        final_div_factor: value at step 0 / value at the end.
        shape: "cosine" or "linear".

    References:
        Smith & Topin 2018 (super-convergence), section 2.
    """

    name: ClassVar[str] = "onecycle"
    _lengths: ClassVar[tuple[str, ...]] = ("duration",)
    peak: float
    duration: float
    unit: Unit = "step"
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    shape: Literal["cosine", "linear"] = "cosine"

    def __post_init__(self) -> None:
        """Check the fields."""
        set_field(self, "peak", as_float("peak", self.peak))
        set_field(self, "duration", check_length("duration", self.duration))
        check_unit(self.unit)
        set_field(self, "pct_start", as_float("pct_start", self.pct_start))
        if not 0 < self.pct_start < 1:
            raise SettingsError(f"`pct_start` must be a fraction in (0, 1) such as 0.3; got {self.pct_start!r}.")
        for name in ("div_factor", "final_div_factor"):
            set_field(self, name, as_float(name, getattr(self, name)))
            if getattr(self, name) < 1:
                raise SettingsError(f"`{name}` must be >= 1; got {getattr(self, name)!r}.")
        check_shape(self.shape, ("cosine", "linear"))
        start = kept("peak", self.peak, self.peak / self.div_factor, "divided by `div_factor`")
        kept("peak", self.peak, start / self.final_div_factor, "divided by `div_factor` and `final_div_factor`")
        turn = exact(self.pct_start) * exact(self.duration)
        kept("pct_start", self.pct_start, turn, "multiplied by `duration`")
        kept("duration", self.duration, exact(self.duration) - turn, "without its part `pct_start`")

    @property
    def reference(self) -> float:
        """The peak, which the cycle's first part warms up to."""
        return self.peak

    def extremes(self) -> tuple[float, float]:
        """The end and the peak."""
        return between(self.peak, self.peak / self.div_factor / self.final_div_factor)

    def pieces(self) -> list[Piece]:
        """Up, down, and the end."""
        first, last, turn = self._turn()
        up, _ = ramp_pieces(first, self.peak, plain(turn), self.shape)
        down, _ = ramp_pieces(self.peak, last, plain(exact(self.duration) - turn), self.shape)
        fall = Piece(math.ceil(turn), down.formula, origin=plain(turn))
        return [up, fall, level(math.ceil(self.duration), last)]

    def closed_form(self, step: Any, xp: Any) -> Any:
        """Up, then down."""
        start, last, turn = self._turn()
        top, rest = plain(turn), plain(exact(self.duration) - turn)
        up = ramp(step, xp, top, start, self.peak, self.shape)
        down = ramp(xp.maximum(step - top, 0), xp, rest, self.peak, last, self.shape)
        return xp.where(step >= self.duration, last, xp.where(step >= top, down, up))

    def _turn(self) -> tuple[float, float, Fraction]:
        """Return the first value, the last, and the time of the peak."""
        first = self.peak / self.div_factor
        # in floats, 0.07 * 100 lies after step 7
        return first, first / self.final_div_factor, exact(self.pct_start) * exact(self.duration)


@dataclass(frozen=True)
class WarmupStableDecay(Schedule):
    """Up to `peak` in a line, constant for a while, then down to `final`; the trapezoid of Zhai et al. and MiniCPM.

    Attributes:
        peak: Value of the stable part.
        warmup: Length of the rise, in `unit`; may be 0.
        stable: Length of the stable part, in `unit`; may be 0.
        decay: Length of the fall, in `unit`.
        unit: "step" or "epoch".
        start: Value at step 0 (if there is a warmup).
        final: Value at the end and after it.
        shape: Shape of the fall: "linear", "cosine" or "sqrt" (1 - sqrt, Hagele et al. 2024, eq. 2).

    References:
        Hu et al. 2024 (MiniCPM), section 4; Hagele et al. 2024.
    """

    name: ClassVar[str] = "warmup-stable-decay"
    _lengths: ClassVar[tuple[str, ...]] = ("warmup", "stable", "decay")
    peak: float
    warmup: float
    stable: float
    decay: float
    unit: Unit = "step"
    start: float = 0.0
    final: float = 0.0
    shape: Literal["linear", "cosine", "sqrt"] = "linear"

    def __post_init__(self) -> None:
        """Check the fields."""
        for name in ("peak", "start", "final"):
            set_field(self, name, as_float(name, getattr(self, name)))
        for name in ("warmup", "stable"):
            set_field(self, name, check_length(name, getattr(self, name), zero=True))
        set_field(self, "decay", check_length("decay", self.decay))
        check_unit(self.unit)
        check_shape(self.shape, ("linear", "cosine", "sqrt"))
        turn = exact(self.warmup) + exact(self.stable)
        kept("stable", self.stable, turn, "added to `warmup`")
        kept("decay", self.decay, turn + exact(self.decay), "added to `warmup` and `stable`")

    @property
    def reference(self) -> float:
        """The peak, which the warmup leads to."""
        return self.peak

    def extremes(self) -> tuple[float, float]:
        """The smallest and largest of start, peak and final."""
        values = (self.peak, self.final, *((self.start,) if self.warmup else ()))
        return min(values), max(values)

    def pieces(self) -> list[Piece]:
        """Up, level, down, and `final`; without what takes no time."""
        turn = exact(self.warmup) + exact(self.stable)
        rise = [Piece(0, line(self.start, self.peak, self.warmup))] if self.warmup else []
        rise.append(level(math.ceil(self.warmup), self.peak))
        down, _ = ramp_pieces(self.peak, self.final, self.decay, self.shape)
        fall = Piece(math.ceil(turn), down.formula, origin=plain(turn))
        end = level(math.ceil(turn + exact(self.decay)), self.final)
        return [*(piece for piece in rise if piece.start < fall.start), fall, end]

    def closed_form(self, step: Any, xp: Any) -> Any:
        """Up, level, down."""
        up = ramp(step, xp, self.warmup, self.start, self.peak, "linear")
        turn = exact(self.warmup) + exact(self.stable)
        begin, end = plain(turn), plain(turn + exact(self.decay))
        down = ramp(xp.maximum(step - begin, 0), xp, self.decay, self.peak, self.final, self.shape)
        return xp.where(step >= end, self.final, xp.where(step >= begin, down, up))


@dataclass(frozen=True)
class Warmup(Schedule):
    """A straight line from `start` up to another schedule, then that schedule.

    With restart=True (the default; torch's SequentialLR, optax's join_schedules) `then` counts its steps from the end
    of the warmup. With restart=False its clock runs from step 0, as in Goyal et al. 2017, whose milestones at epochs
    30, 60 and 80 count the 5 epochs of warmup. At step 0 the value is `start`: with start=0 the first step does not
    move, as in optax; give a small start to use it.

    Attributes:
        duration: Length of the warmup, in `unit`; its last step is duration - 1.
        then: What follows: a schedule or a number.
        start: Value at step 0.
        unit: Unit of `duration`, "step" or "epoch"; `then` has its own.
        restart: Whether `then` counts from the end of the warmup.
    """

    name: ClassVar[str] = "warmup"
    _lengths: ClassVar[tuple[str, ...]] = ("duration",)
    duration: float
    then: Taken[Schedule | float, Schedule]
    start: float = 0.0
    unit: Unit = "step"
    restart: bool = True

    def __post_init__(self) -> None:
        """Check the fields."""
        set_field(self, "duration", check_length("duration", self.duration, zero=True))
        set_field(self, "then", as_schedule("then", self.then))
        set_field(self, "start", as_float("start", self.start))
        check_unit(self.unit)
        check_flag("restart", self.restart)

    def inner(self) -> tuple[Schedule, ...]:
        """What follows."""
        return (self.then,)

    @property
    def reference(self) -> float:
        """The reference of what follows."""
        return self.then.reference

    def extremes(self) -> tuple[float, float]:
        """Those of what follows and, if there is a warmup, the start."""
        low, high = self.then.extremes()
        if not self.duration:
            return low, high
        return min(low, self.start), max(high, self.start)

    def pieces(self) -> list[Piece]:
        """The line, and those of what follows."""
        if not self.duration:
            return self.then.pieces()
        end = math.ceil(self.duration)

        def rising(step: Any, xp: Any) -> Any:
            return line(self.start, self._top(), self.duration)(step, xp)

        return [Piece(0, rising), *moved(self.then.pieces(), end if self.restart else 0, end)]

    def _top(self) -> float:
        """Return the value that the line leads to."""
        return self.then.closed_form(0 if self.restart else self.duration, NUMBERS)

    def closed_form(self, step: Any, xp: Any) -> Any:
        """The line, then what follows."""
        if not self.duration:
            return self.then.closed_form(step, xp)
        after = xp.maximum(step - math.ceil(self.duration), 0) if self.restart else step
        rising = ramp(step, xp, self.duration, self.start, self._top(), "linear")
        return xp.where(step >= math.ceil(self.duration), self.then.closed_form(after, xp), rising)


@dataclass(frozen=True)
class Sequence(Schedule):
    """Schedules in a row, each counting from its own beginning: torch's SequentialLR, optax's join_schedules.

    Attributes:
        schedules: The pieces, schedules or numbers; one more than the boundaries.
        boundaries: Increasing times, in `unit`; piece i + 1 is in effect from step boundaries[i] on.
        unit: Unit of the boundaries, "step" or "epoch"; each piece has its own.
    """

    name: ClassVar[str] = "sequence"
    _lengths: ClassVar[tuple[str, ...]] = ("boundaries",)
    schedules: Taken[Iterable[Schedule | float], tuple[Schedule, ...]]
    boundaries: Taken[Iterable[float], tuple[float, ...]]
    unit: Unit = "step"

    def __post_init__(self) -> None:
        """Check the fields."""
        if isinstance(self.schedules, str) or not hasattr(self.schedules, "__iter__"):
            raise SettingsError(f"`schedules` must be a list of schedules or numbers; got {self.schedules!r}.")
        pieces = tuple(as_schedule(f"schedules[{i}]", piece) for i, piece in enumerate(self.schedules))
        set_field(self, "schedules", pieces)
        set_field(self, "boundaries", check_increasing("boundaries", self.boundaries))
        check_unit(self.unit)
        if len(self.schedules) != len(self.boundaries) + 1:
            raise SettingsError(
                f"`schedules` must hold one piece more than `boundaries`; got {len(self.schedules)} pieces and "
                f"{len(self.boundaries)} boundaries."
            )

    def inner(self) -> tuple[Schedule, ...]:
        """The pieces."""
        return self.schedules

    @property
    def reference(self) -> float:
        """The reference of the first piece."""
        return self.schedules[0].reference

    def extremes(self) -> tuple[float, float]:
        """Those of all pieces together, each as if it went on for ever."""
        lows, highs = zip(*(piece.extremes() for piece in self.schedules), strict=True)
        return min(lows), max(highs)

    def pieces(self) -> list[Piece]:
        """Those of each, as long as it is in effect."""
        starts = [0, *map(math.ceil, self.boundaries)]
        found: list[Piece] = []
        for start, following, inner in zip(starts, [*starts[1:], math.inf], self.schedules, strict=True):
            found += [piece for piece in moved(inner.pieces(), start, start) if piece.start < following]
        return found

    def closed_form(self, step: Any, xp: Any) -> Any:
        """The piece that `step` lies in, at the step counted from its beginning."""
        # A piece counts from its first whole step, so that its own staircases stay in integers, and no further than
        # its last, since beyond it the value may be too large for a float.
        starts = [0, *(math.ceil(boundary) for boundary in self.boundaries)]
        value = self.schedules[-1].closed_form(xp.maximum(step - starts[-1], 0), xp)
        for piece, start, following in zip(self.schedules[-2::-1], starts[-2::-1], starts[:0:-1], strict=True):
            inside = xp.maximum(xp.minimum(step, following - 1) - start, 0)
            value = xp.where(step >= following, value, piece.closed_form(inside, xp))
        return value


def as_schedule(name: str, value: Any) -> Schedule:
    """Return a schedule: `value` itself, or a constant of it if it is a number."""
    return value if isinstance(value, Schedule) else Constant(as_float(name, value, or_schedule=True))


def check_shape(shape: Any, allowed: tuple[str, ...]) -> None:
    """Raise `SettingsError` unless `shape` is one of the allowed words."""
    if shape not in allowed:
        raise SettingsError(f"`shape` must be {one_of(allowed)}; got {shape!r}.")
