"""Schedules in Keras: ours evaluated at a count that may be traced, and ours in the shape of Keras's."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from downslope.core.errors import SettingsError
from downslope.core.schedules import Schedule
from downslope.core.tables import Source, decode_schedule, to_table
from downslope.keras.traced_numbers import NAMESPACE, Number

_KERAS = keras.optimizers.schedules


def value_at(schedule: Schedule, step: Any) -> Number:
    """Return the value of a schedule at a step.

    Where a step is compiled the closed form is computed in it, in integers where the schedule counts, so that every
    boundary lies where it lies without compilation.

    Args:
        schedule: The schedule, in steps.
        step: Step, 0-based: an integer tensor without dimensions, traced or not.

    Returns:
        The value: known on the torch backend, whose steps are not traced, else a tensor in `float_format()`.
    """
    if keras.backend.backend() == "torch":
        return Number(schedule(int(step)))
    return Number(schedule(Number(ops.convert_to_tensor(step)), xp=NAMESPACE))


@keras.saving.register_keras_serializable(package="downslope")
class Scheduled(_KERAS.LearningRateSchedule):
    """One of our schedules as a learning rate for any optimizer of Keras.

    `SGD` here takes schedules as they are. With `keras.optimizers.Adam` and the like, wrap them: they count in
    integers under every compiler, which Keras's own staircases do not (compiled, on TensorFlow and on JAX,
    ExponentialDecay drops a step late for 41, 47, 55, 110, 220, 4690 and 46900 steps among others).

    Args:
        schedule: The schedule, in steps.

    Raises:
        SettingsError: If it is no schedule, or is in epochs.

    Example:
        >>> import keras
        >>> from downslope.keras import Scheduled
        >>> from downslope.schedules import Exponential
        >>> lr = Scheduled(Exponential(0.5, rate=0.5, every=41, staircase=True))
        >>> float(lr(40)), float(lr(41))
        (0.5, 0.25)
        >>> optimizer = keras.optimizers.Adam(lr)
    """

    def __init__(self, schedule: Schedule) -> None:
        if not isinstance(schedule, Schedule):
            raise SettingsError(
                f"`schedule` must be one of downslope.schedules; got {schedule!r}. "
                "A number or a schedule of Keras needs no wrapping."
            )
        schedule(0)  # raises where it is in epochs
        self.schedule = schedule

    def __call__(self, step: Any) -> Any:
        """Return the value at a step, as a tensor in `keras.config.floatx()`."""
        value = value_at(self.schedule, step)
        if value.is_known:
            return ops.convert_to_tensor(value.value, dtype=keras.config.floatx())
        return value.cast(keras.config.floatx()).value

    def get_config(self) -> dict[str, Any]:
        """Return the schedule as a plain table, that of a recipe."""
        return {"schedule": to_table(self.schedule)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Scheduled:
        """Return what `get_config` described."""
        return cls(decode_schedule(config["schedule"], Source("the saved configuration"), ("schedule",)))


def value_of_keras(schedule: Any, step: Any) -> Any:
    """Return the value of a schedule of Keras at a step, its staircases counted in integers."""
    period = getattr(schedule, "decay_steps", None)
    if (
        type(schedule) in (_KERAS.ExponentialDecay, _KERAS.InverseTimeDecay)
        and schedule.staircase
        and isinstance(period, int | float)
        and period == int(period) > 0
    ):
        # floor(step / 41) is a step late where a compiler divides by multiplying with 1 / 41; a division by 1 is exact
        smooth = type(schedule).from_config(schedule.get_config() | {"decay_steps": 1, "staircase": False})
        return smooth(ops.floor_divide(step, int(period)))
    return schedule(step)
