"""What a step keeps beside each parameter: its velocity and the compensation of its rounding, made at first use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from downslope.torch import param_groups as keys
from downslope.torch.plan import VELOCITY, Entry
from downslope.torch.rounding import COMPENSATION, rounding_of

if TYPE_CHECKING:
    from downslope.torch.sgd import SGD


def entry_of(optimizer: SGD, index: int, param: Tensor, position: int) -> Entry:
    """Return a parameter as a step sees it; at its first gradient it gets its velocity here.

    Args:
        optimizer: The optimizer; its state is written to.
        index: Index of the parameter's group.
        param: The parameter.
        position: Its own index among all parameters.
    """
    group = optimizer.param_groups[index]
    is_new = param not in optimizer.state or optimizer.state[param].get(VELOCITY) is None
    velocity = None
    if has_momentum(group):  # without it, a velocity that is there from before stays untouched, as in torch
        velocity = _buffer(optimizer, param, VELOCITY, optimizer.expected_velocity_dtype(param))
    rounding = rounding_of(param, group["rounding"])
    compensation = _buffer(optimizer, param, COMPENSATION, param.dtype) if rounding == "compensated" else None
    # Without momentum every gradient is undampened like a first one: torch then ignores dampening.
    return Entry(index, position, is_new or velocity is None, param, velocity, compensation, rounding)


def has_momentum(group: Mapping[str, Any]) -> bool:
    """Whether parameters of a group have a velocity."""
    return keys.number("momentum", group["momentum"]) != 0 or group["momentum_schedule"] is not None


def _buffer(optimizer: SGD, param: Tensor, key: str, dtype: torch.dtype) -> Tensor:
    """Return a buffer of a parameter's state, of its shape and layout; zeros if it is new."""
    buffer = optimizer.state[param].get(key) if param in optimizer.state else None
    if buffer is None:
        with torch.inference_mode(False):  # noqa: FBT003 -- one made in inference mode could not be written to later
            buffer = torch.zeros_like(param, dtype=dtype, requires_grad=False)
        optimizer.state[param][key] = buffer
    return buffer
