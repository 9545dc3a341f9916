"""Where two rules part: both walked along their schedules, by their update matrices.

What lives here: the walk. Two rules are one as long as, from the first step on, their matrices say the same about the
parameter, with the velocity of one k times that of the other; k may be anything, and is found on the way. What
does not:
why they part (`causes.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from downslope.core import schedules as s
from downslope.core.exact import exact
from downslope.core.rule import sgd_rule
from downslope.core.schedules.schedule import Schedule
from downslope.core.settings import Settings

EVERY_STEP = 2000
"""Up to here every step is compared; beyond it each boundary, three steps from it on, and samples in between."""

_SAMPLES = 32
_TOLERANCE = 1e-12
_OF_LARGEST = 1e-15
"""What counts as rounding: of a coefficient, or of its largest value so far, since a cosine cancels near its end."""

_COLUMNS = ("param", "grad", "velocity")
_MOST_STAIRS = 20_000


@dataclass(frozen=True)
class Parting:
    """Where two rules part, if they do.

    Attributes:
        step: The first step, 0-based, after which the parameter differs; None if there is none.
        coefficient: Of what in that step: "param", "grad" or "velocity".
        values: The coefficient in both, that of the velocity for the first one's velocity; None where the
        velocities are
            no multiples of one another.
        scale: k with v_b = k v_a before that step, or at the end; None where no velocity is read.
        only_first: Whether after the first step the two are the same rule again.
        until: The last step looked at.
    """

    step: int | None
    coefficient: str = ""
    values: tuple[float, float] | None = None
    scale: float | None = None
    only_first: bool = False
    until: int = 0


def find_parting(a: Settings, b: Settings, last: int) -> Parting:
    """Return where two rules part, up to and with a step.

    Args:
        a: Settings, schedules in steps.
        b: Settings, schedules in steps.
        last: The last step to look at.

    Example:
        >>> drop = s.MultiStep(0.1, 0.1, (2,))
        >>> outside, inside = (Settings(lr=drop, momentum=0.9, lr_in_velocity=flag) for flag in (False, True))
        >>> find_parting(outside, inside, 10).step
        2
    """
    walk = _Walk(a, b)
    before = -1
    for step in _steps(a, b, last):
        found = walk.look(step)
        if found is None:
            before = step
            continue
        # Of the steps that were passed over, none changed the walk: go through them for the very first that differs.
        between = ((one, walk.look(one)) for one in range(before + 1, step))
        first, (column, values, scale) = next(((one, it) for one, it in between if it is not None), (step, found))
        again = _again(a, b) if first == 0 else None
        return Parting(first, column, values, again or scale, only_first=again is not None, until=first)
    return Parting(None, scale=walk.scale if walk.read else None, until=last)


class _Walk:
    """Both rules, one step after another.

    Attributes:
        scale: k with v_b = k v_a so far; None before any velocity is there.
        read: Whether a velocity has been read.
    """

    def __init__(self, a: Settings, b: Settings) -> None:
        self.a, self.b = a, b
        self.scale: float | None = None
        self.read = False
        self._apart = False  # the velocities are no multiples of one another any more
        self._largest = [0.0, 0.0, 0.0]

    def look(self, step: int) -> tuple[str, tuple[float, float] | None, float | None] | None:
        """Return what differs at a step: the coefficient and its two values; None if nothing does."""
        (pa, ga, va), (npa, nga, nva) = _matrix(self.a, step)
        (pb, gb, vb), (npb, ngb, nvb) = _matrix(self.b, step)
        for place, (x, y) in enumerate(((pa, pb), (ga, gb))):
            if not self._same(place, x, y):
                return _COLUMNS[place], (x, y), self.scale
        if step > 0:
            k = self.scale
            self.read = self.read or bool(va or vb)
            if self._apart and (va or vb):
                return "velocity", None, None
            if k is not None and not self._same(2, va, k * vb):
                return "velocity", (va, k * vb), k
        self._carry((npa, nga, nva if step else 0.0), (npb, ngb, nvb if step else 0.0))
        return None

    def _carry(self, a: tuple[float, float, float], b: tuple[float, float, float]) -> None:
        """Take the velocities one step on: find the k that holds from now on."""
        if a == (0, 0, 0) == b:
            self.scale = None
            return
        before = 1.0 if self.scale is None else self.scale
        pairs = [(a[0], b[0]), (a[1], b[1]), *([(a[2], b[2] * before)] if self.scale is not None else [])]
        ratios = [y / x if x else math.inf for x, y in pairs if x or y]
        self._apart = bool(ratios) and (
            not math.isfinite(ratios[0]) or any(not math.isclose(one, ratios[0], rel_tol=_TOLERANCE) for one in ratios)
        )
        if ratios and not self._apart:
            self.scale = ratios[0]

    def _same(self, place: int, x: float, y: float) -> bool:
        self._largest[place] = largest = max(self._largest[place], abs(x), abs(y))
        return math.isclose(x, y, rel_tol=_TOLERANCE, abs_tol=_OF_LARGEST * largest)


@lru_cache(maxsize=4096)
def _of_scalars(scalars: Any) -> tuple[tuple[float, ...], ...]:
    columns = [sgd_rule(*basis, scalars) for basis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))]
    delta, velocity = zip(*columns, strict=True)  # of plain numbers: loading NumPy takes longer than the comparison
    return delta, velocity


def _matrix(settings: Settings, step: int) -> tuple[tuple[float, ...], ...]:
    """Return a step's matrix; the first step of training is every parameter's first."""
    return _of_scalars(settings.at(step, first=step == 0))


def _again(a: Settings, b: Settings) -> float | None:
    """Return the scale by which the second and third step are one rule, or None if they are not."""
    from downslope.core.equivalence import find_basis
    from downslope.core.settings import update_matrix

    second = find_basis(update_matrix(a, 1), update_matrix(b, 1)).scale
    if second is None:
        return None
    return second if find_basis(update_matrix(a, 2), update_matrix(b, 2), second).scale is not None else None


def _steps(a: Settings, b: Settings, last: int) -> Iterator[int]:
    """Yield the steps to look at, in order."""
    if last <= EVERY_STEP:
        yield from range(last + 1)
        return
    schedules = {
        value
        for settings in (a, b)
        for value in (settings.lr, settings.momentum, settings.weight_decay)
        if isinstance(value, Schedule)
    }
    boundaries = {0, EVERY_STEP, last, *(one for schedule in schedules for one in _boundaries(schedule, 0, last))}
    ordered = sorted(one for one in boundaries if 0 <= one <= last)
    chosen = set(range(EVERY_STEP + 1))
    for start, end in zip(ordered, [*ordered[1:], last], strict=True):
        chosen.update(step for step in (start - 1, start, start + 1, start + 2) if 0 <= step <= last)
        if len(ordered) < 1000:
            gap = max((end - start) // _SAMPLES, 1)
            chosen.update(range(start, end, gap))
    yield from sorted(chosen)


def _boundaries(schedule: Schedule, offset: int, last: int) -> set[int]:
    """Return the steps at which a schedule may turn: the ends of its pieces, and its stairs."""
    found = {offset + piece.start for piece in schedule.pieces()}
    if isinstance(schedule, s.Exponential) and schedule.staircase:
        every = exact(schedule.every)
        stairs = min(int((last - offset) / every), _MOST_STAIRS) if last > offset else 0
        found |= {offset + math.ceil(every * stair) for stair in range(1, stairs + 1)}
    if isinstance(schedule, s.Warmup):
        start = math.ceil(schedule.duration) if schedule.restart else 0
        found |= _boundaries(schedule.then, offset + start, last)
    if isinstance(schedule, s.Sequence):
        starts = [0, *(math.ceil(boundary) for boundary in schedule.boundaries)]
        for start, inner in zip(starts, schedule.schedules, strict=True):
            found |= _boundaries(inner, offset + start, last)
    return found


def horizon(a: Settings, b: Settings, known: int | None) -> int:
    """Return the last step to look at where nobody says: of the training, or beyond the last turn of the schedules."""
    if known is not None:
        return max(known - 1, 2)
    turns = [0]
    for settings in (a, b):
        for value in (settings.lr, settings.momentum, settings.weight_decay):
            if isinstance(value, Schedule):
                turns += [piece.start for piece in value.pieces()]
                turns.append(int(3 * getattr(value, "every", 0)))
    return max(EVERY_STEP, 2 * max(turns))
