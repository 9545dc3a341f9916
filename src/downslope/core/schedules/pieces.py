"""Schedules as pieces: where each turns, and by which formula it goes on from there.

Every schedule states its own (`Schedule.pieces`). A run may have 10**30 steps and a change at every one, so turns are
never listed: the next one and the one before are found in closed form.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Any

from downslope.core.exact import exact, plain

if TYPE_CHECKING:
    from downslope.core.schedules.schedule import Schedule

Formula = Callable[[Any, Any], Any]
"""(step counted from the piece's origin, operations) -> value, written with arithmetic and these operations:

cos, sqrt, pi, minimum, maximum; `literal`, a number that is to be seen as it is written; `number`, an integer as a
floating-point number; and `whole_periods(step, period)`. Given numbers it computes, given symbols it writes itself.
"""

COUNTED = 2**31
"""How many steps compiled programs count, in 32-bit integers (JAX does, and Keras on it): no larger one is written."""

_MOST_SHOWN = 14


@dataclass(frozen=True)
class Piece:
    """One formula, in effect from a step on.

    Attributes:
        start: First step, 0-based.
        formula: The formula.
        origin: What its formula counts from.
        level: Whether the value stays the same, from stair to stair if it has stairs.
        stairs: The period after which the value changes at once, counted from the origin; None for no stairs.
    """

    start: int
    formula: Formula
    origin: float = 0
    level: bool = False
    stairs: Fraction | None = None


def level(start: int, value: float) -> Piece:
    """Return a piece of one value."""
    return Piece(start, lambda _, xp: xp.literal(value), level=True)


def ramp_pieces(first: float, last: float, duration: float, shape: str = "linear", power: float = 1.0) -> list[Piece]:
    """Return the pieces of `basic.ramp`: the way from `first` to `last`, and `last` from then on."""
    formula = {"cosine": half_cosine, "sqrt": root}.get(shape)
    way = formula(first, last, duration) if formula else line(first, last, duration, power)
    return [Piece(0, way), level(math.ceil(duration), last)]


def line(first: float, last: float, duration: float, power: float = 1.0) -> Formula:
    """Return the formula of a straight line, or of a power of what is left of the way."""

    def formula(step: Any, xp: Any) -> Any:
        start, end, done = xp.literal(first), xp.literal(last), _done(step, duration, xp)
        if power == 1:
            if first == 0:
                return end * done
            return start * (1 - done) if last == 0 else start + (end - start) * done
        left = (1 - done) ** xp.literal(power)
        return start * left if last == 0 else end + (start - end) * left

    return formula


def half_cosine(first: float, last: float, duration: float) -> Formula:
    """Return the formula of half a cosine."""

    def formula(step: Any, xp: Any) -> Any:
        start, end, swing = xp.literal(first), xp.literal(last), 1 + xp.cos(xp.pi * _done(step, duration, xp))
        return start / 2 * swing if last == 0 else end + (start - end) / 2 * swing

    return formula


def root(first: float, last: float, duration: float) -> Formula:
    """Return the formula of a way that goes with the square root of the time."""

    def formula(step: Any, xp: Any) -> Any:
        start, end = xp.literal(first), xp.literal(last)
        return start + (end - start) * xp.sqrt(_done(step, duration, xp))

    return formula


def as_length(steps: float) -> float:
    """Return a length as formulas write it: as a float from `COUNTED` on."""
    return steps if steps < COUNTED else float(steps)


def _done(step: Any, duration: float, xp: Any) -> Any:
    return xp.number(step) / xp.literal(as_length(duration))


def moved(pieces: Iterable[Piece], by: int, cut: int) -> list[Piece]:
    """Return pieces `by` steps later; of those that begin at or before `cut`, only the last, beginning there."""
    later = [replace(one, start=one.start + by, origin=plain(exact(one.origin) + by)) for one in pieces]
    before = [one for one in later if one.start <= cut]
    return [*(replace(one, start=cut) for one in before[-1:]), *(one for one in later if one.start > cut)]


def piece_at(pieces: Sequence[Piece], step: int) -> Piece:
    """Return the piece in effect at a step."""
    return pieces[bisect_right(pieces, step, key=_start) - 1]


def turns(schedules: Iterable[Schedule], start: int, end: int) -> Iterator[int]:
    """Yield the steps between two, both left out, at which any of some schedules changes its course, upwards.

    Args:
        schedules: Schedules in steps.
        start: Step, 0-based.
        end: Step.

    Example:
        >>> from downslope.schedules import Cosine, Warmup
        >>> list(turns([Warmup(5, then=Cosine(0.1, 0.0, duration=20))], 0, 100))
        [5, 25]
    """
    courses = [schedule.pieces() for schedule in schedules]
    step = start
    while True:
        found = [turn for pieces in courses if (turn := _next_turn(pieces, step)) is not None]
        if not found or min(found) >= end:
            return
        step = min(found)
        yield step


def turns_back(schedules: Iterable[Schedule], start: int, end: int) -> Iterator[int]:
    """Yield the same from a step down to one below it, both left out.

    Example:
        >>> from downslope.schedules import Cosine, Warmup
        >>> list(turns_back([Warmup(5, then=Cosine(0.1, 0.0, duration=20))], 100, 0))
        [25, 5]
    """
    courses = [schedule.pieces() for schedule in schedules]
    step = start
    while True:
        found = [turn for pieces in courses if (turn := _turn_before(pieces, step)) is not None]
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
    first_ones = [0, *islice(turns(schedules, 0, last), _MOST_SHOWN)]
    if len(first_ones) + 1 > _MOST_SHOWN:
        half = _MOST_SHOWN // 2
        last_ones = [last, *islice(turns_back(schedules, last, 0), half - 1)]
        return [*first_ones[:half], None, *reversed(last_ones)]
    steps = {*first_ones, last}
    if schedules and len(steps) < 6:  # a smooth course shows itself at its quarters
        steps |= {round(Fraction(last * quarter, 4)) for quarter in (1, 2, 3)}
    return [*sorted(steps)]


def _next_turn(pieces: Sequence[Piece], step: int) -> int | None:
    """Return the first turn after a step >= 0, or None."""
    place = bisect_right(pieces, step, key=_start)
    ahead = [pieces[place].start] if place < len(pieces) else []
    if stairs := pieces[place - 1].stairs:
        origin = int(pieces[place - 1].origin)
        ahead.append(origin + math.ceil((math.floor((step - origin) / stairs) + 1) * stairs))
    return min(ahead, default=None)


def _turn_before(pieces: Sequence[Piece], step: int) -> int | None:
    """Return the last turn before a step, above 0, or None."""
    place = bisect_left(pieces, step, key=_start) - 1
    if place < 0:
        return None
    piece, found = pieces[place], pieces[place].start
    if piece.stairs:
        origin = int(piece.origin)
        found = max(found, origin + math.ceil(math.floor((step - 1 - origin) / piece.stairs) * piece.stairs))
    return found or None


def _start(piece: Piece) -> int:
    return piece.start
