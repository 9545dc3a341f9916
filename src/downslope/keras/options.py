"""From the arguments of `SGD` to settings: Keras's names and defaults, and which exclude each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from downslope.core import tensor_factors
from downslope.core.checks import NOT_GIVEN
from downslope.core.errors import SettingsError
from downslope.core.groups import Group
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings, check_alone
from downslope.core.synonyms import IN_STEPS
from downslope.keras.schedules import Scheduled

DEFAULT_LR = 0.01
"""Learning rate where none is given: that of `keras.optimizers.SGD`."""

DEFAULTS: dict[str, Any] = {
    "momentum": 0.0,
    "nesterov": False,
    "nu": None,
    "weight_decay": None,
    "dampening": 0.0,
    "decay": "decoupled",
    "lr_in_velocity": True,
    "undampened_first_step": False,
    "maximize": False,
}
"""Defaults by name: what makes the rule that of `keras.optimizers.SGD`."""

_NO_FACTORS = (
    "Keras's step sees one variable's scalars before its norms: use downslope.torch, downslope.jax or downslope.numpy."
)
INSTEAD = {
    "clip_norm": "What it is elsewhere is `global_clipnorm` in Keras, whose `clipnorm` is of each variable by itself.",
    "ema": "Averages are Keras's: use_ema=True, ema_momentum=0.999, say.",
    "velocity_dtype": "In Keras a velocity has the format of its variable.",
    "exclude_from_weight_decay": "It is a method, to be called before the first step; or give groups.",
    "steps_per_epoch": IN_STEPS,
    **dict.fromkeys(tensor_factors.NAMES, _NO_FACTORS),
}
"""What is said of arguments that only other optimizers of ours have."""

_UNSTATED_LR = 1.0
"""Stands in `Settings.lr` where Keras's schedule or a function gives the learning rate; nothing reads it."""


def settings_and_lr(learning_rate: Any, lr: Any, settings: Any, values: dict[str, Any]) -> tuple[Settings, Any]:
    """Return checked settings, and the learning rate as the base class takes it.

    Returns:
        The settings, and a float, a schedule of Keras or a function.

    Raises:
        SettingsError: If something is given twice, or a value is not allowed.
    """
    if settings is not None:
        given = [name for name, value in (("learning_rate", learning_rate), ("lr", lr)) if value is not NOT_GIVEN]
        given += [name for name, value in values.items() if value != DEFAULTS[name]]
        check_alone(settings, given)
        return _in_keras(settings)
    if learning_rate is not NOT_GIVEN and lr is not NOT_GIVEN:
        raise SettingsError("`learning_rate` and `lr` are two names of one argument; pass one of them.")
    name, rate = ("lr", lr) if lr is not NOT_GIVEN else ("learning_rate", learning_rate)
    rate = DEFAULT_LR if rate is NOT_GIVEN else rate
    values = values | {"weight_decay": 0.0 if values["weight_decay"] is None else values["weight_decay"]}
    _check_decay_argument(values["decay"])
    for key in ("momentum", "weight_decay"):
        if isinstance(values[key], Scheduled):
            values[key] = values[key].schedule
    if isinstance(rate, Scheduled):
        rate = rate.schedule
    if _is_foreign(rate):
        _check_needs_no_reference(rate, values)
        return Settings(lr=_UNSTATED_LR, **values), rate
    try:
        return _in_keras(Settings(lr=rate, **values))
    except SettingsError as error:
        # the core calls it lr; the message should name what was written
        raise SettingsError(str(error).replace("`lr`", f"`{name}`")) from None


def _in_keras(settings: Settings) -> tuple[Settings, Any]:
    check_no_factors(settings)
    settings.at(0)  # raises where a schedule is in epochs
    return settings, Scheduled(settings.lr) if isinstance(settings.lr, Schedule) else settings.lr


def check_no_factors(given: Settings | Group) -> None:
    """Raise `SettingsError` if gradients are to have factors by the norms of tensors, which Keras has no place for."""
    named = [name for name in tensor_factors.NAMES if getattr(given, name)]
    if named:
        raise SettingsError(
            f"`{named[0]}` is not for Keras, whose step sees one variable's scalars before its norms. Use "
            "downslope.torch, downslope.jax or downslope.numpy, or leave it out."
        )


def check_no_averages(groups: Sequence[Group]) -> None:
    """Raise `SettingsError` if a group is to have an average of its own, for which Keras has one decay."""
    if any(group.ema is not None for group in groups):
        raise SettingsError(
            "`ema` of a group is not for Keras, which averages all variables with one decay: use_ema=True, "
            "ema_momentum=0.99. Leave it out of the group, or use downslope.torch, downslope.jax or downslope.numpy."
        )


def check_rate(value: Any) -> Any:
    """Return a learning rate that is to take the place of another, as the base class takes it.

    Raises:
        SettingsError: If it is not allowed.
    """
    if isinstance(value, Schedule):
        return Scheduled(value)
    if _is_foreign(value) or isinstance(value, Scheduled):
        return value
    if not isinstance(value, str | int | float | None):
        value = np.asarray(keras.ops.convert_to_numpy(value))
    try:
        return Settings(lr=value).lr  # type: ignore[arg-type]  # which it checks
    except SettingsError as error:
        raise SettingsError(str(error).replace("`lr`", "`learning_rate`")) from None


def _is_foreign(rate: Any) -> bool:
    """Whether the learning rate is a schedule of Keras or a function, of which only values are known."""
    is_schedule = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
    return (is_schedule or callable(rate)) and not isinstance(rate, Schedule | Scheduled)


def check_factors(rate: Any, groups: Sequence[Group]) -> None:
    """Raise `SettingsError` if a group multiplies a learning rate of which only values are known."""
    if _is_foreign(rate) and any(group.lr_factor is not None for group in groups):
        raise SettingsError(
            f"`lr_factor` multiplies a number or one of Downslope's schedules; `learning_rate` is {rate!r}. Give the "
            "group an lr."
        )


def _check_needs_no_reference(rate: Any, values: dict[str, Any]) -> None:
    decay = values["decay"]
    if decay in {"relative", "corrected"} and values["weight_decay"] != 0:
        what = "initial" if decay == "relative" else "largest"
        raise SettingsError(
            f'decay="{decay}" divides by the {what} learning rate, which {type(rate).__name__} does not state. '
            "Use a schedule of downslope.schedules (Exponential is ExponentialDecay), or a number."
        )


def _check_decay_argument(decay: Any) -> None:
    if isinstance(decay, int | float) and not isinstance(decay, bool):
        raise SettingsError(
            f'`decay` names a way of weight decay, such as "decoupled"; got {decay!r}. For the argument of old Keras '
            f"that divided the learning rate by 1 + decay * iterations, use "
            f"learning_rate=downslope.schedules.Inverse(initial, gamma={decay!r})."
        )
