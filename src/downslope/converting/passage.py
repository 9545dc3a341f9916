"""From one way of running the rule to another: the scale of the velocity, and how long the two stay together.

What lives here: comparing the update matrices of two sides, at the step at which state goes over and at those ahead.
What does not: the state itself (`state.py`) and the comparison of one pair of matrices (`basis.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from downslope.core.equivalence import TOLERANCE, find_basis, rescaled
from downslope.core.errors import StateError
from downslope.core.schedules import MultiStep
from downslope.core.schedules.schedule import Schedule, value_at
from downslope.core.settings import Settings, update_matrix

if TYPE_CHECKING:
    from downslope.core.equivalence import Matrix

AHEAD = 100_000
"""Steps that are looked ahead if nothing says how long training goes on."""

_SCHEDULABLE = ("lr", "momentum", "weight_decay")


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

    def matrix(self, step: int, *, first: bool = False) -> Matrix:
        """Return the update matrix of a step, for the velocity as it is stored."""
        return rescaled(update_matrix(self.settings, step, first=first), self.velocity_sign)


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
        """Return how long the two stay together, in words."""
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
    found = find_basis(source.matrix(step), target.matrix(step))
    if found.scale is None:
        raise StateError(_why_not(source, target, step, found.difference))
    parts_at, changes, looked = _parting(source, target, step, found.scale if found.read else None, until)
    return Passage(
        scale=found.scale,
        read=found.read,
        parts_at=parts_at,
        changes=changes,
        looked_until=looked,
        sensitive=parts_at is None and looked is None and _is_sensitive(source, target, step, found.scale),
        first_differs=_first_differs(source.matrix(step, first=True), target.matrix(step, first=True), found.scale),
    )


def _parting(
    source: Side, target: Side, step: int, scale: float | None, until: int | None
) -> tuple[int | None, tuple[str, ...], int | None]:
    """Return the first step at which the two differ, what changes there, and the last step looked at."""
    alike = replace(target.settings, undampened_first_step=source.settings.undampened_first_step)
    if alike == source.settings or not any(_scheduled(side.settings) for side in (source, target)):
        return None, (), None
    last = step + AHEAD if until is None else max(until, step)
    for later in _changing_steps(source.settings, target.settings, step, last):
        found = find_basis(source.matrix(later), target.matrix(later), scale)
        if found.difference:
            return later, _changed(source.settings, target.settings, later), later
        if found.read:
            scale = found.scale
    return None, (), last


def _is_sensitive(source: Side, target: Side, step: int, scale: float) -> bool:
    """Return whether the two, of which nothing is scheduled, differ once lr is half of what it is."""
    if _scheduled(source.settings) or _scheduled(target.settings):
        return False
    halved = [
        Side(
            name=side.name,
            settings=replace(
                side.settings,
                **{n: value_at(getattr(side.settings, n), step) for n in _SCHEDULABLE if n != "lr"},
                lr=MultiStep(lr, 0.5, (1,)),
            ),
            velocity_sign=side.velocity_sign,
        )
        for side in (source, target)
        if (lr := value_at(side.settings.lr, step)) > 0
    ]
    return len(halved) == 2 and bool(find_basis(halved[0].matrix(1), halved[1].matrix(1), scale).difference)


def _changing_steps(one: Settings, other: Settings, step: int, last: int) -> Iterator[int]:
    """Yield the steps after `step`, up to `last`, at which a number of either is not what it was the step before."""
    values = [getattr(settings, name) for settings in (one, other) for name in _scheduled(settings)]
    before = [value_at(value, step) for value in values]
    for later in range(step + 1, last + 1):
        now = [value(later) for value in values]
        if now != before:
            yield later
        before = now


def _scheduled(settings: Settings) -> list[str]:
    """Return what changes with the step; a schedule that always has the same value does not."""
    return [
        name
        for name in _SCHEDULABLE
        if isinstance(value := getattr(settings, name), Schedule) and value.extremes()[0] != value.extremes()[1]
    ]


def _changed(one: Settings, other: Settings, step: int) -> tuple[str, ...]:
    def changes(name: str) -> bool:
        pairs = [(value_at(v, step - 1), value_at(v, step)) for v in (getattr(one, name), getattr(other, name))]
        return any(before != after for before, after in pairs)

    return tuple(name for name in _SCHEDULABLE if changes(name))


def _first_differs(a: Matrix, b: Matrix, scale: float) -> bool:
    """Return whether two matrices differ where the velocity before the step is zero."""
    pairs = [(a[0, 0], b[0, 0]), (a[0, 1], b[0, 1]), (scale * a[1, 0], b[1, 0]), (scale * a[1, 1], b[1, 1])]
    if a[0, 2] == 0 == b[0, 2]:
        pairs = pairs[:2]
    return not all(math.isclose(float(x), float(y), rel_tol=TOLERANCE) for x, y in pairs)


def _why_not(source: Side, target: Side, step: int, difference: str) -> str:
    a, b = source.settings, target.settings
    lr_inside = {side.name for side in (source, target) if side.settings.lr_in_velocity}
    if len(lr_inside) == 1 and 0 in (value_at(a.lr, step), value_at(b.lr, step)):
        return (
            f"lr is 0 at step {step}, so a velocity that contains lr ({lr_inside.pop()}) says nothing about one that "
            "does not. Convert the state of a step at which lr is above 0."
        )
    different = [
        f"{field.name} is {_show(getattr(a, field.name))} in {source.name} and {_show(getattr(b, field.name))} in "
        f"{target.name}"
        for field in fields(Settings)
        if getattr(a, field.name) != getattr(b, field.name) and field.name != "undampened_first_step"
    ]
    because = f" ({'; '.join(different)})" if different else ""
    return (
        f"{source.name} and {target.name} are not the same rule at step {step}, so no velocity of one is one of the "
        f"other: {difference.replace('in one', f'in {source.name}').replace('in the other', f'in {target.name}')}"
        f"{because}."
    )


def _show(value: Any) -> str:
    return repr(value)
