"""Schedule-free SGD (Defazio et al. 2024): its rule, its settings, and the weights by which its iterates are averaged.

The method keeps z, which SGD moves, and x, the average of every z so far; gradients are taken at y, between the two:

    y = (1 - b) z + b x        z' = z - lr (g(y) + weight_decay y)        x' = (1 - c) x + c z'

The parameter is y, so that a backward pass needs nothing new, and the velocity is z - y. It begins at zero like any
other and shrinks as the average settles, which is why half precision and 8 bits can hold it; z itself they could not.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from downslope.core.checks import as_count, as_float, check_step
from downslope.core.errors import SettingsError
from downslope.core.rule import StepScalars
from downslope.core.schedules.composite import Warmup
from downslope.core.schedules.schedule import Schedule, constant_value, value_at
from downslope.core.settings import Settings
from downslope.core.synonyms import refuses_unknown_fields

_LARGEST_POWER = 16.0
"""Of steps and of lr: above it their product leaves what a float holds."""


@dataclass(frozen=True, slots=True)
class ScheduleFreeScalars(StepScalars):
    """The scalars of one step of schedule-free SGD; `momentum` is b, and `lr` holds the warmup already.

    Attributes:
        average: c, the share of the new z in the average, in [0, 1]; 1 at the first step.
    """

    average: float = 1.0

    def rule(self, param: Any, grad: Any, velocity: Any) -> tuple[Any, Any]:
        """Return (delta, velocity') of the rule that these scalars are of."""
        return schedule_free_rule(param, grad, velocity, self)


def schedule_free_rule(param: Any, grad: Any, velocity: Any, s: Any) -> tuple[Any, Any]:
    """Return (delta, velocity'), where param is y and the velocity is z - y.

    From the three equations at the top, x eliminated:

        g  <- grad_scale * grad + coupled_decay * param
        delta <- average * velocity - lr * (1 - momentum * (1 - average)) * g
        v' <- (1 - average) * (velocity - lr * momentum * g)

    So it is SGD with a momentum of 1 - c, which grows towards 1 as the average does.

    Args:
        param: y, any shape.
        grad: Gradient of the loss at y.
        velocity: z - y; zeros at the first step.
        s: `ScheduleFreeScalars` of this step (or anything with its attributes).

    References:
        Defazio et al. 2024, "The Road Less Scheduled", eqs. 2-4; Morwani et al. 2025 on its being a momentum.
    """
    grad = s.grad_scale * grad + s.coupled_decay * param
    kept = 1 - s.average
    delta = s.average * velocity - s.lr * (1 - s.momentum * kept) * grad
    return delta, kept * (velocity - s.lr * s.momentum * grad)


@dataclass(frozen=True, slots=True)
class Average:
    """How far the average of the iterates has come.

    Attributes:
        weight_sum: Sum of the weights of all steps so far.
        largest_lr: Largest lr so far, by which the next is weighed.
    """

    weight_sum: float = 0.0
    largest_lr: float = 0.0

    def after(self, step: int, lr: float, *, r: float, weight_lr_power: float) -> tuple[float, Average]:
        """Return c of a step, and the average after it.

        Args:
            step: Step, 0-based.
            lr: Its lr, warmup included.
            r: Power of the step in its weight.
            weight_lr_power: Power of the largest lr in its weight.

        Example:
            >>> first, average = Average().after(0, 0.5, r=0.0, weight_lr_power=2.0)
            >>> first, average.after(1, 0.5, r=0.0, weight_lr_power=2.0)[0]
            (1.0, 0.5)
        """
        largest = max(lr, self.largest_lr)
        weight = (step + 1) ** r * largest**weight_lr_power
        if weight == 0 and largest > 0:
            raise SettingsError(
                f"`weight_lr_power` {weight_lr_power!r} makes a weight of 0 of lr {largest!r}, and nothing would be "
                "averaged. Use a smaller power: 0 weighs all steps alike."
            )
        total = self.weight_sum + weight
        return (weight / total if total else 0.0), Average(total, largest)


def warmed_up(lr: float, step: int, warmup_steps: int) -> float:
    """Return lr at a step of a linear warmup, whose first step has lr / warmup_steps and whose last all of it."""
    return lr * ((step + 1) / warmup_steps) if step < warmup_steps else lr


def evaluation_point(param: Any, velocity: Any, momentum: float) -> Any:
    """Return x, the average at which the model is to be used, from y and the velocity z - y."""
    return param + (1 - 1 / momentum) * velocity


def training_point(average: Any, velocity: Any, momentum: float) -> Any:
    """Return y, at which gradients are taken, from x and the velocity z - y."""
    return average + (1 / momentum - 1) * velocity


@refuses_unknown_fields
@dataclass(frozen=True, kw_only=True)
class ScheduleFree(Settings):
    """The settings of schedule-free SGD: those of SGD that go with it, and three of its own.

    Weight decay is "coupled", at y. Of `Settings` only lr, momentum, weight_decay and maximize may be given.

    Attributes:
        lr: Learning rate, a number; or a schedule that only warms up to one.
        momentum: b, how far y lies towards the average, in (0, 1); a number.
        schedule_free: True: that this is the method.
        warmup_steps: Steps of a linear warmup, whose first has lr / warmup_steps.
        r: Power of the step in the weights of the average; 0 for those of the theory.
        weight_lr_power: Power of the largest lr so far in these weights, by which a warmup counts for less.

    Raises:
        SettingsError: If a value is not allowed, or something is given that the method does not have.

    Example:
        >>> from downslope import ScheduleFree
        >>> [ScheduleFree(lr=1.0).at(step).average for step in range(4)]
        [1.0, 0.5, 0.3333333333333333, 0.25]
    """

    lr: float | Schedule = 1.0
    momentum: float | Schedule = 0.9
    schedule_free: bool = True
    warmup_steps: int = 0
    r: float = 0.0
    weight_lr_power: float = 2.0

    def __post_init__(self) -> None:
        """Check every value."""
        Settings.__post_init__(self)
        if self.schedule_free is not True:
            raise SettingsError(f"`schedule_free` must be True; got {self.schedule_free!r}. Without it use Settings.")
        self._check_settings_of_sgd()
        check_momentum(self.momentum)
        object.__setattr__(self, "warmup_steps", as_count("warmup_steps", self.warmup_steps, least=0))
        for name in ("r", "weight_lr_power"):
            object.__setattr__(self, name, checked_power(name, getattr(self, name)))
        if isinstance(self.lr, Schedule):
            self._check_warms_up(self.lr)

    def at(self, step: int, *, first: bool = False) -> ScheduleFreeScalars:
        """Return the scalars of one step; those of the steps before it are added up, once."""
        step = check_step(step)
        lr, before = self.lr_at(step), _average_before(self, step)
        average, _ = before.after(step, lr, r=self.r, weight_lr_power=self.weight_lr_power)
        return scalars_of_average(Settings.at(self, step, first=first), lr, average)

    def lr_at(self, step: int) -> float:
        """Return the lr of a step, warmup included."""
        return warmed_up(value_at(self.lr, step), step, self.warmup_steps)

    def _check_settings_of_sgd(self) -> None:
        """Raise if a setting is given that the method has no place for."""
        for field in fields(Settings):
            value = getattr(self, field.name)
            if field.name not in {"lr", "momentum", "weight_decay", "maximize"} and value != field.default:
                raise SettingsError(
                    f"`{field.name}` and `schedule_free` do not go together; got {field.name}={value!r}. "
                    "Schedule-free SGD has lr, momentum, weight_decay (coupled), maximize, warmup_steps, r and "
                    "weight_lr_power. Remove it."
                )

    def _check_warms_up(self, lr: Schedule) -> None:
        """Raise if a schedule of lr is anything but a warmup to a number."""
        top = constant_value(lr.then) if isinstance(lr, Warmup) else None
        if top is None or not isinstance(lr, Warmup) or lr.start > top:
            raise SettingsError(
                f"`lr` and `schedule_free` do not go together where lr falls; got {lr!r}. The average takes the place "
                "of a falling lr. Give a number, with warmup_steps, or a warmup to a number."
            )
        if self.warmup_steps:
            raise SettingsError("`warmup_steps` and a warmup as `lr` would both warm up. Give one of the two.")


def refuse_schedule_free(settings: Any, why: str) -> None:
    """Raise `SettingsError` if settings are of schedule-free SGD, which something cannot be done with."""
    if isinstance(settings, ScheduleFree):
        raise SettingsError(f"`schedule_free`: {why}")


def scalars_of_average(common: StepScalars, lr: float, average: float) -> ScheduleFreeScalars:
    """Return the scalars of a step of schedule-free SGD from those that SGD would have with its settings."""
    own: dict[str, Any] = {field.name: getattr(common, field.name) for field in fields(StepScalars)}
    own |= {"lr": lr, "velocity_out": lr, "average": average}
    return ScheduleFreeScalars(**own)


def check_momentum(momentum: Any) -> None:
    """Raise unless b is a number between 0 and 1: at 0 y does not hold x, at 1 gradients never reach y's own way."""
    if isinstance(momentum, Schedule) or not 0 < as_float("momentum", momentum) < 1:
        raise SettingsError(
            f"`momentum` of schedule-free SGD must be a number in (0, 1), such as 0.9 or 0.98; got {momentum!r}."
        )


def checked_power(name: str, value: Any) -> float:
    """Return a power of the average's weights as a float; raise unless it is one that floats can hold."""
    number = as_float(name, value)
    if not 0 <= number <= _LARGEST_POWER:
        raise SettingsError(f"`{name}` must be in [0, {_LARGEST_POWER:g}]; got {value!r}.")
    return number


def _average_before(settings: ScheduleFree, step: int) -> Average:
    """Return the average before a step, from the steps that were added up already where these are earlier."""
    held = _added_up(settings)
    done, average = held[0] if held[0][0] <= step else (0, Average())
    for one in range(done, step):
        lr = settings.lr_at(one)
        _, average = average.after(one, lr, r=settings.r, weight_lr_power=settings.weight_lr_power)
    held[0] = step, average
    return average


@lru_cache(maxsize=64)
def _added_up(settings: ScheduleFree) -> list[tuple[int, Average]]:  # noqa: ARG001 -- the key
    """Return the one place where the steps and the average of some settings are kept."""
    return [(0, Average())]
