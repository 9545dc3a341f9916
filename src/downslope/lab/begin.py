"""What the sliders begin with: numbers, a valley that fits them, and a recipe's course over its run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from downslope.core import tensor_factors
from downslope.core.errors import SettingsError
from downslope.core.schedules import Schedule
from downslope.core.settings import Decay, Settings

STEEPNESS = 200.0
"""How many times as steep across as along a valley for momentum 0.9 is: there it wins by far."""

_LESS = 4.0
"""How many times less steep the valley of a larger momentum is than one in which it would creep."""

START = (-1.0, 0.25)
"""Where walks begin, along the valley and across it."""

STEPS = 120
"""Steps of a walk, where the velocity has settled long before its end."""

_LONGEST = 1200
_SETTLED = 6.0
"""A walk is as long as a swing takes to fade by e so many times."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """A recipe's schedules at some steps of its run, and what is needed to move all of it with a slider.

    Attributes:
        unit: Of the times.
        times: Increasing.
        lr: lr at each time, as a share of the lr that the slider begins with.
        momentum: Momentum at each time; None where it does not move.
        weight_decay: Weight decay at each time; None where it does not move.
        per_epoch: Steps in an epoch; None where they are not known.
        initial: The lr that "relative" decay divides by, as such a share.
        largest: The lr that "corrected" decay divides by, as such a share.
    """

    unit: Literal["step", "epoch"]
    times: Sequence[float]
    lr: Sequence[float]
    momentum: Sequence[float] | None = None
    weight_decay: Sequence[float] | None = None
    per_epoch: int | None = None
    initial: float = 1.0
    largest: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What the sliders begin with.

    Attributes:
        lr: Learning rate; the largest, where a schedule moves it.
        momentum: Momentum.
        weight_decay: Weight decay.
        dampening: Dampening.
        nesterov: Nesterov's form.
        nu: Quasi-hyperbolic momentum's nu; 1 for plain momentum.
        decay: The way of weight decay.
        undampened_first_step: Whether the first gradient is not dampened.
        along: Curvature along the valley.
        across: Curvature across it.
        steps: Steps of a walk.
        schedule: Name of the schedule: "own", that of `course`, or one of `schedules.OFFERED`.
        course: The recipe's own course, or None where nothing moves.
    """

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    nu: float = 1.0
    decay: Decay = "coupled"
    undampened_first_step: bool = True
    along: float
    across: float
    steps: int = STEPS
    schedule: str = "constant"
    course: Course | None = None

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON would have it."""
        return asdict(self)


def begin_with(
    settings: Settings, *, curvatures: Sequence[float] | None = None, course: Course | None = None
) -> Beginning:
    """Return what the sliders begin with, from settings that are numbers.

    Args:
        settings: The settings, lr outside the velocity.
        curvatures: Of the valley, along and across; or the one across. None for a valley that fits.
        course: The recipe's own course.

    Raises:
        SettingsError: If the sliders cannot hold them.

    Example:
        >>> begin = begin_with(Settings(lr=0.05, momentum=0.9))
        >>> begin.along, begin.across, begin.steps
        (0.1, 20.0, 120)
    """
    numbers: dict[str, float] = {}
    for name in ("lr", "momentum", "weight_decay", "dampening"):
        value = getattr(settings, name)
        if isinstance(value, Schedule):
            raise SettingsError(
                f"`{name}` is driven by a schedule, and a slider holds a number. Give a recipe with numbers, or the "
                "largest of the schedule's: --sgd.lr 0.1."
            )
        numbers[name] = value
    if named := [name for name in tensor_factors.NAMES if getattr(settings, name)]:
        raise SettingsError(f"`{named[0]}` has no slider here: what it does depends on norms. Leave it out.")
    if settings.lr_in_velocity or settings.maximize:
        name = "lr_in_velocity" if settings.lr_in_velocity else "maximize"
        raise SettingsError(f"`{name}` = true has no slider here. Leave it out; with constant numbers it is the same.")
    along, across = _valley(numbers["lr"], numbers["momentum"], sorted(curvatures or ()))
    if not 0 < along <= across < float("inf"):
        raise SettingsError(f"curvatures must be above 0 and finite; got {along!r} and {across!r}.")
    return Beginning(
        **numbers,
        nesterov=settings.nesterov,
        nu=1.0 if settings.nu is None else settings.nu,
        decay=settings.decay,
        undampened_first_step=settings.undampened_first_step,
        along=along,
        across=across,
        steps=_steps(numbers["momentum"]),
        schedule="own" if course else "constant",
        course=course,
    )


def _valley(lr: float, momentum: float, given: Sequence[float]) -> tuple[float, float]:
    """Return curvatures at which this momentum is at its place: across, a step of lr reaches the valley's floor."""
    if len(given) > 1:
        return given[0], given[-1]
    across = given[0] if given else 1 / lr if lr else 1.0
    root = momentum**0.5
    most = 1 / (1 - root) ** 2  # in a steeper one momentum would creep along, by the limit of critical damping
    steepness = min(most, max(STEEPNESS, most / _LESS)) if root else STEEPNESS
    return across / steepness, across


def _steps(momentum: float) -> int:
    """Return how many steps a walk takes to show where it goes."""
    settled = _SETTLED * 2 / -math.log(momentum) if momentum else 0.0
    return max(STEPS, min(_LONGEST, 10 * round(settled / 10)))
