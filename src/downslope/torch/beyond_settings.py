"""What torch.optim.SGD accepts and computes and `Settings` does not: accepted here too, with a warning.

`Settings` refuses what is almost surely a mistake. In the place of torch.optim.SGD the same arguments have to run:
a momentum of 1 or more (cyclic schedules pass through it), dampening without momentum, a group without momentum in an
optimizer with Nesterov's. The rule is defined for all of them, and computes what torch does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from downslope.core.checks import as_float, check_range
from downslope.core.schedules.schedule import Schedule
from downslope.core.settings import is_zero

_LARGEST_MOMENTUM = math.nextafter(1.0, 0.0)


def within_settings(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return hyperparameters moved into the range of `Settings`, and a sentence on each that was outside.

    Args:
        values: Every hyperparameter, each a number or, where allowed, a schedule.

    Raises:
        SettingsError: If a number is none, or one that torch refuses too (a negative momentum) or cannot compute with.
    """
    inside, sentences = dict(values), []
    momentum, dampening = values["momentum"], values["dampening"]
    if not isinstance(momentum, Schedule):
        momentum = inside["momentum"] = as_float("momentum", momentum, or_schedule=True)
        check_written("momentum", momentum)
        if momentum >= 1:
            inside["momentum"] = _LARGEST_MOMENTUM
            sentences.append(
                f"`momentum` is {momentum!r}, so that velocities never fade. Below 1, such as 0.9, they do"
            )
    if not isinstance(dampening, Schedule):
        dampening = as_float("dampening", dampening)
        inside["dampening"] = min(max(dampening, 0.0), 1.0)
        if inside["dampening"] != dampening:
            sentences.append(f"`dampening` is {dampening!r}; what has a meaning is in [0, 1]")
    if is_zero(momentum):
        if dampening and not isinstance(dampening, Schedule):
            inside["dampening"] = 0.0
            sentences.append(f"`dampening` is {dampening!r}, and without momentum it does nothing")
        if values["nesterov"] is True:
            inside["nesterov"] = False
            sentences.append("`nesterov` is True, and without momentum it does nothing")
    return inside, sentences


def check_written(name: str, value: float) -> None:
    """Raise `SettingsError` if a number that somebody wrote into a group cannot be computed with.

    Args:
        name: "lr", "momentum", "dampening" or "weight_decay".
        value: The number.
    """
    if name in ("momentum", "dampening") and math.isfinite(value) and (value >= 0 or name == "dampening"):
        return
    check_range(name, value)
