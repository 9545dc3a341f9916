"""Whether two settings move a parameter alike at every step; if not, at which step they first differ, and why.

At a step two rules are one if their update matrices agree about the parameter once the velocity of one is taken as k
times that of the other. Any k will do; it is found from the matrices, step after step along both schedules.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any

from downslope.core.errors import SettingsError, StateError
from downslope.core.rule import StepScalars, step_rows
from downslope.core.schedules import MultiStep
from downslope.core.schedules.pieces import piece_at, turns
from downslope.core.schedules.schedule import Schedule, constant_value, value_at
from downslope.core.settings import Settings
from downslope.core.tensor_factors import factors_of

EVERY_STEP = 2000
"""Up to here every step is compared at which something may differ; beyond it each turn, and samples in between."""

AHEAD = 100_000
"""Steps that are looked ahead from a state if nothing says how long training goes on."""

TOLERANCE = 1e-12
"""Relative difference that counts as rounding: a coefficient is a product of a few float64 numbers."""

_OF_LARGEST = 1e-15
"""What else does: this much of a coefficient's largest value so far, since a cosine cancels near its end."""

_SAMPLES = 32
_MOST_SAMPLED = 1000
_MOST_TURNS = 20_000
_SETTLED = 3
"""Steps after which nothing new comes where both rules stay as they are: the velocities have the k that they keep."""

_SCHEDULABLE = ("lr", "momentum", "weight_decay")
_ROWS, _COLUMNS = ("delta", "velocity"), ("param", "grad", "velocity")

Rows = Sequence[Sequence[float]]
"""An update matrix: two rows of three, or an array of shape (2, 3)."""


@dataclass(frozen=True)
class Parting:
    """Where two rules part, if they do.

    Attributes:
        step: The first step, 0-based, after which the parameter differs; None if there is none.
        coefficient: Of what in that step: "param", "grad" or "velocity".
        values: The coefficient in both, that of the velocity for the first one's velocity; None where the velocities
            are no multiples of one another.
        scale: k with v_b = k v_a before that step, or at the end; None where no velocity is read.
        only_first: Whether after the first step the two are the same rule again, up to the last step looked at.
        until: The last step looked at.
    """

    step: int | None
    coefficient: str = ""
    values: tuple[float, float] | None = None
    scale: float | None = None
    only_first: bool = False
    until: int = 0


def find_parting(a: Settings, b: Settings, last: int) -> Parting:
    """Return where two rules part that begin at step 0, up to and with a step.

    Args:
        a: Settings, schedules in steps.
        b: Settings, schedules in steps.
        last: The last step to look at.

    Example:
        >>> drop = MultiStep(0.1, 0.1, (2,))
        >>> outside, inside = (Settings(lr=drop, momentum=0.9, lr_in_velocity=flag) for flag in (False, True))
        >>> find_parting(outside, inside, 10).step
        2
    """
    if factors_of(a) != factors_of(b):  # of which no matrix knows
        return Parting(0, "grad", until=last)
    walk = _Walk(a, b)
    found = walk.first_difference(-1, last)
    if found is None:
        return Parting(None, scale=walk.scale if walk.read else None, until=last)
    step, (column, values, scale) = found
    again = _again(a, b, last) if step == 0 else None
    until = step if again is None else last
    return Parting(step, column, values, again or scale, only_first=again is not None, until=until)


def last_step_to_compare(a: Settings, b: Settings, known: int | None) -> int:
    """Return the last step to look at where nobody says: of the training, or beyond the last turn of the schedules."""
    if known is not None:
        return max(known - 1, 2)
    ends = [0]
    for value in _schedules(a, b):
        ends += [*(piece.start for piece in value.pieces()), int(3 * getattr(value, "every", 0))]
    return max(EVERY_STEP, 2 * max(ends))


def find_causes(a: Settings, b: Settings, last: int) -> tuple[str, ...]:
    """Return the fields whose difference parts two rules: the fewest that, made equal, make the rules equal.

    Args:
        a: Settings.
        b: Settings.
        last: The last step to look at.
    """

    def same_with(names: list[str]) -> bool:
        try:
            mixed = replace(a, **{name: getattr(b, name) for name in names})
        except SettingsError:
            return False
        return find_parting(mixed, b, last).step is None

    needed = [one.name for one in fields(Settings) if getattr(a, one.name) != getattr(b, one.name)]
    # Last to stay is what needs no companion: the form of the rule before its numbers.
    for name in sorted(needed, key=lambda one: (one not in {"undampened_first_step", "decay"}, one)):
        without = [other for other in needed if other != name]
        if same_with(without):
            needed = without
    return tuple(needed)


# The walk


class _Walk:
    """Two rules, one step after another.

    Attributes:
        scale: k with v_b = k v_a so far; None before any velocity is there.
        read: Whether a velocity has been read.
    """

    def __init__(self, a: Settings, b: Settings) -> None:
        self.a, self.b = a, b
        self.scale: float | None = None
        self.read = False
        self._begun = False
        self._apart = False  # the velocities are no multiples of one another any more
        self._largest = [0.0, 0.0, 0.0]

    def go_on_from(self, step: int, scale: float | None) -> None:
        """Begin at a later step than the first, where velocities are not 0 any more, and take this step.

        Args:
            step: Step, 0-based, at which the two are one rule.
            scale: k with v_b = k v_a before it; None where it is not read.
        """
        self.scale, self._begun = scale, True
        (_, a), (_, b) = (_matrix(settings, step) for settings in (self.a, self.b))
        self._carry(a, b)

    def first_difference(self, before: int, last: int) -> tuple[int, _Difference] | None:
        """Return the first step after one, up to and with `last`, at which the two differ, and in what."""
        for step in self._steps(before + 1, last):
            found = self._look(step)
            if found is None:
                before = step
                continue
            # Of the steps that were passed over, none changed the walk: go through them for the very first.
            between = ((one, self._look(one)) for one in range(before + 1, step))
            return next(((one, it) for one, it in between if it is not None), (step, found))
        return None

    def _steps(self, start: int, last: int) -> Iterator[int]:
        """Yield the steps to look at, in order: all of them, unless nothing changes or there are too many."""
        schedules = _schedules(self.a, self.b)
        courses = [schedule.pieces() for schedule in schedules]
        ends = [start, *islice(turns(schedules, start, last + 1), _MOST_TURNS), last + 1]
        for begin, end in pairwise(ends):
            scales: list[float | None] = []
            for step in range(begin, min(begin + _SETTLED, end)):
                yield step
                scales.append(self.scale)
            level = all(piece_at(pieces, begin).level for pieces in courses)
            # Where no gradient enters the velocities, k may go on changing although the rules do not.
            settled = len(scales) < _SETTLED or scales[-1] == scales[-2] or _close(scales[-1], scales[-2])
            near = {end - 1} if end <= last else set[int]()
            if not (level and settled):
                near.update(range(begin, min(end, EVERY_STEP + 1)))
                if len(ends) < _MOST_SAMPLED:
                    near.update(range(begin, end, max((end - begin) // _SAMPLES, 1)))
            yield from sorted(step for step in near if step >= begin + _SETTLED)

    def _look(self, step: int) -> _Difference | None:
        """Return what differs at a step; if nothing does, take it."""
        first = not self._begun and step == 0  # of training, and so of every parameter
        ((pa, ga, va), new_a), ((pb, gb, vb), new_b) = (_matrix(one, step, first=first) for one in (self.a, self.b))
        for place, (x, y) in enumerate(((pa, pb), (ga, gb))):
            if not self._same(place, x, y):
                return _COLUMNS[place], (x, y), self.scale
        if not first:
            k = self.scale
            self.read = self.read or bool(va or vb)
            if self._apart and (va or vb):
                return "velocity", None, None
            if k is not None and not self._same(2, va, k * vb):
                return "velocity", (va, k * vb), k
        self._carry(*((*new[:2], 0.0) if first else new for new in (new_a, new_b)))
        return None

    def _carry(self, a: Sequence[float], b: Sequence[float]) -> None:
        """Take the velocities one step on: find the k that holds from now on."""
        if not any(a) and not any(b):
            self.scale = None
            return
        pairs = [(a[0], b[0]), (a[1], b[1])]
        if self.scale is not None:
            pairs.append((a[2], b[2] * self.scale))
        ratios = [y / x if x else math.inf for x, y in pairs if x or y]
        self._apart = bool(ratios) and not (math.isfinite(ratios[0]) and all(_close(one, ratios[0]) for one in ratios))
        if ratios and not self._apart:
            self.scale = ratios[0]

    def _same(self, place: int, x: float, y: float) -> bool:
        self._largest[place] = largest = max(self._largest[place], abs(x), abs(y))
        return math.isclose(x, y, rel_tol=TOLERANCE, abs_tol=_OF_LARGEST * largest)


_Difference = tuple[str, tuple[float, float] | None, float | None]
"""The coefficient, its value in both (the velocity's for the first one's velocity), and k before that step."""


def _schedules(a: Settings, b: Settings) -> list[Schedule]:
    """Return the schedules in two settings that change, each once."""
    values = [getattr(settings, name) for settings in (a, b) for name in _SCHEDULABLE]
    moving = [value for value in values if isinstance(value, Schedule) and constant_value(value) is None]
    return list(dict.fromkeys(moving))


@lru_cache(maxsize=4096)
def _rows(scalars: StepScalars) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return step_rows(scalars)


def _matrix(settings: Settings, step: int, *, first: bool = False) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return _rows(settings.at(step, first=first))


def _again(a: Settings, b: Settings, last: int) -> float | None:
    """Return the k at step 1 by which two rules are one from there up to a step, or None if they are not."""
    second = find_basis(_matrix(a, 1), _matrix(b, 1))
    if second.scale is None:
        return None
    walk = _Walk(a, b)
    walk.go_on_from(1, second.scale if second.read else None)
    return second.scale if walk.first_difference(1, last) is None else None


# One step of two rules


@dataclass(frozen=True, slots=True)
class Basis:
    """How two matrices compare.

    Attributes:
        scale: k with v_b = k v_a, or None where no k makes them one rule.
        read: Whether the velocity is read at all; where it is not, k is 1.
        difference: A sentence on what differs; "" where nothing does.
    """

    scale: float | None
    read: bool
    difference: str = ""


def find_basis(a: Rows, b: Rows, scale: float | None = None) -> Basis:
    """Return the k with v_b = k v_a under which two update matrices are the same rule.

    In the basis of b, matrix a is [[dp, dg, dv / k], [k vp, k vg, vv]].

    Args:
        a: Update matrix.
        b: Update matrix.
        scale: The k that must hold, for a later step of the same two; None to find it.

    Example:
        >>> from downslope import Settings, update_matrix
        >>> outside, inside = (Settings(lr=0.5, momentum=0.9, lr_in_velocity=flag) for flag in (False, True))
        >>> find_basis(update_matrix(outside), update_matrix(inside)).scale
        0.5
    """

    def differ(row: int, column: int, more: str = "") -> Basis:
        said = (
            f"the coefficient of {_COLUMNS[column]} in the new {_ROWS[row]} is {a[row][column]:.6g} in one and "
            f"{b[row][column]:.6g} in the other"
        )
        return Basis(None, read=True, difference=said + more)

    unread = a[0][2] == 0 == b[0][2] and a[1][2] == 0 == b[1][2]  # neither for the step, nor for the next velocity
    for row, column in ((0, 0), (0, 1), (1, 2)):
        if not _close(a[row][column], b[row][column]):
            return differ(row, column)
    if unread:
        return Basis(1.0 if scale is None else scale, read=False)
    found: float | None = scale
    for row, column, over, under in ((0, 2, a, b), (1, 1, b, a), (1, 0, b, a)):  # what k scales
        x, y = float(over[row][column]), float(under[row][column])
        if x == 0 and y == 0:
            continue
        if x == 0 or y == 0:
            return differ(row, column)
        if found is not None and not _close(found, x / y):
            return differ(row, column, f", with v_b = {found:.6g} v_a")
        if found is None:
            found = x / y
    return Basis(found or 1.0, read=True)


def rescaled(matrix: Rows, k: float) -> Rows:
    """Return the matrix of the same rule for a velocity that is stored k times as large, k not 0."""
    (dp, dg, dv), (vp, vg, vv) = matrix
    rows = ((dp, dg, dv / k), (k * vp, k * vg, vv))
    return tuple(tuple(number + 0.0 for number in row) for row in rows)  # adding 0.0 turns -0.0 into 0.0


def _close(one: Any, other: Any) -> bool:
    return one is not None and other is not None and math.isclose(float(one), float(other), rel_tol=TOLERANCE)


# A state that goes from one rule to another


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One of the two: settings, and how their velocity is stored.

    Attributes:
        name: What to call it.
        settings: The settings, schedules in steps.
        velocity_sign: -1 where the velocity is stored with the other sign.
    """

    name: str
    settings: Settings
    velocity_sign: int = 1

    def matrix(self, step: int, *, first: bool = False) -> Rows:
        """Return the update matrix of a step, for the velocity as it is stored."""
        return rescaled(_matrix(self.settings, step, first=first), self.velocity_sign)


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """What it takes to go from one side to the other.

    Attributes:
        scale: Stored velocity of the target = scale * stored velocity of the source.
        read: Whether the velocity is read at the step at which it goes over.
        parts_at: The first step, 0-based, at which the two differ, or None.
        changes: What changes at that step: "lr", "momentum", "weight_decay".
        looked_until: The last step that was compared; None where the settings never change, or are the same.
        sensitive: Whether a change of lr that the settings do not foresee would part them.
        first_differs: Whether a parameter's first gradient does something else in the two.
    """

    scale: float
    read: bool
    parts_at: int | None
    changes: tuple[str, ...]
    looked_until: int | None
    sensitive: bool
    first_differs: bool

    def statement(self) -> str:
        """Return how long the two stay the same, in words."""
        if self.parts_at is not None:
            return f"exact; the conventions part when {' and '.join(self.changes)} next changes (step {self.parts_at})"
        if self.sensitive:
            return "exact; the conventions part if lr is ever changed"
        if self.looked_until is None:
            return "exact; the two never part"
        return f"exact; the two stay together at every step looked at, up to step {self.looked_until}"


def find_passage(source: Side, target: Side, step: int, until: int | None = None) -> Passage:
    """Return the passage of a state from one side to the other.

    Args:
        source: Where the state is from.
        target: Where it goes.
        step: The step that comes next, 0-based.
        until: The last step to compare; None for `AHEAD` more.

    Raises:
        StateError: If at this step the two are not the same rule, or no scale can be told.
    """
    a, b = source.settings, target.settings
    found = find_basis(source.matrix(step), target.matrix(step))
    if found.scale is None:
        raise StateError(_why_not(source, target, step, found.difference))
    moving = bool(_schedules(a, b))
    parts_at = looked = None
    if moving and replace(b, undampened_first_step=a.undampened_first_step) != a:
        walk = _Walk(a, b)
        walk.go_on_from(step, found.scale * source.velocity_sign * target.velocity_sign if found.read else None)
        looked = step + AHEAD if until is None else max(until, step)
        difference = walk.first_difference(step, looked)
        if difference is not None:
            parts_at = looked = difference[0]
    return Passage(
        scale=found.scale,
        read=found.read,
        parts_at=parts_at,
        changes=() if parts_at is None else _changed(a, b, parts_at),
        looked_until=looked,
        sensitive=not moving and _is_sensitive(source, target, step, found.scale),
        first_differs=_first_differs(source.matrix(step, first=True), target.matrix(step, first=True), found.scale),
    )


def _is_sensitive(source: Side, target: Side, step: int, scale: float) -> bool:
    """Return whether two sides, of which nothing is scheduled, differ once lr is half of what it is."""
    halved: list[Rows] = []
    for side in (source, target):
        now = {name: value_at(getattr(side.settings, name), step) for name in _SCHEDULABLE}
        if now["lr"] == 0:
            return False
        settings = replace(side.settings, **now | {"lr": MultiStep(now["lr"], 0.5, (1,))})
        halved.append(replace(side, settings=settings).matrix(1))
    return bool(find_basis(halved[0], halved[1], scale).difference)


def _changed(one: Settings, other: Settings, step: int) -> tuple[str, ...]:
    """Return which numbers of either are not what they were the step before."""

    def changes(value: float | Schedule) -> bool:
        return value_at(value, step - 1) != value_at(value, step)

    return tuple(name for name in _SCHEDULABLE if changes(getattr(one, name)) or changes(getattr(other, name)))


def _first_differs(a: Rows, b: Rows, scale: float) -> bool:
    """Return whether two matrices differ where the velocity before the step is zero."""
    pairs = [(a[0][0], b[0][0]), (a[0][1], b[0][1])]
    if not a[0][2] == 0 == b[0][2]:
        pairs += [(scale * a[1][0], b[1][0]), (scale * a[1][1], b[1][1])]
    return not all(_close(x, y) for x, y in pairs)


def _why_not(source: Side, target: Side, step: int, difference: str) -> str:
    a, b = source.settings, target.settings
    lr_inside = {side.name for side in (source, target) if side.settings.lr_in_velocity}
    if len(lr_inside) == 1 and 0 in (value_at(a.lr, step), value_at(b.lr, step)):
        return (
            f"lr is 0 at step {step}, so a velocity that contains lr ({lr_inside.pop()}) says nothing about one that "
            "does not. Convert the state of a step at which lr is above 0."
        )
    different = [
        f"{field.name} is {getattr(a, field.name)!r} in {source.name} and {getattr(b, field.name)!r} in {target.name}"
        for field in fields(Settings)
        if getattr(a, field.name) != getattr(b, field.name) and field.name != "undampened_first_step"
    ]
    because = f" ({'; '.join(different)})" if different else ""
    return (
        f"{source.name} and {target.name} are not the same rule at step {step}, so no velocity of one is one of the "
        f"other: {difference.replace('in one', f'in {source.name}').replace('in the other', f'in {target.name}')}"
        f"{because}."
    )
