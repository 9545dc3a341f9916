"""What a step keeps beside each parameter: its velocity and the compensation of its rounding, made at first use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from downslope.torch import groups as keys
from downslope.torch.step import VELOCITY, Entry
from downslope.torch.update import COMPENSATION, rounding_of

if TYPE_CHECKING:
    from downslope.torch.sgd import SGD


def entries_of(optimizer: SGD, homes: Iterable[tuple[int, Tensor, int]]) -> list[Entry]:
    """Return parameters as a step sees them; those at their first gradient get their velocities here.

    Args:
        optimizer: The optimizer; its state is written to.
        homes: Of each parameter the index of its group, itself, and its own index among all parameters.
    """
    entries: list[Entry] = []
    fresh: set[int] = set()
    for index, param, position in homes:
        if id(param) in fresh:  # given twice, and at its first gradient each time: torch keeps the last velocity
            optimizer.state[param].pop(VELOCITY, None)
        entries.append(entry_of(optimizer, index, param, position))
        if entries[-1].is_first and entries[-1].velocity is not None:
            fresh.add(id(param))
    return entries


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


def reserve_velocities(optimizer: SGD) -> dict[int, Tensor]:
    """Return the memory of every velocity that a first gradient may ask for, by the id of its parameter.

    A step within the backward pass makes velocities while gradients come and go. Each made between two gradients, they
    would part the memory that these leave free, and C libraries (glibc before 2.38) do not give an aligned tensor the
    place of one of its own size: a network of tensors below 32 MiB would then take more memory than with an ordinary
    step. Made together, they leave the gradients one place, which each takes in turn.

    Args:
        optimizer: The optimizer.
    """
    return {
        id(param): _zeros(param, optimizer.expected_velocity_dtype(param))
        for group in optimizer.param_groups
        if has_momentum(group)
        for param in group["params"]
        if param.requires_grad and (param not in optimizer.state or optimizer.state[param].get(VELOCITY) is None)
    }


def _zeros(param: Tensor, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # noqa: FBT003 -- one made in inference mode could not be written to later
        return torch.zeros_like(param, dtype=dtype, requires_grad=False)


def _buffer(optimizer: SGD, param: Tensor, key: str, dtype: torch.dtype) -> Tensor:
    """Return a buffer of a parameter's state, of its shape and layout; zeros if it is new."""
    buffer = optimizer.state[param].get(key) if param in optimizer.state else None
    if buffer is None:
        reserved = optimizer.reserved.pop(id(param), None) if key == VELOCITY else None
        buffer = _zeros(param, dtype) if reserved is None or reserved.dtype != dtype else reserved
        optimizer.state[param][key] = buffer
    return buffer
