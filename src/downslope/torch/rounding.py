"""How a bfloat16 parameter is rounded, so that small updates are not lost, by torch's operations.

A bfloat16 has 8 significant bits: 1 - 0.001 rounds back to 1. What lives here: the two remedies, bit for bit as the
compiled kernel has them (csrc/rounding.h), and what a parameter needs for them. What does not: the step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from downslope.core.errors import SettingsError, did_you_mean, one_of
from downslope.kernel.random_bits import random_bits
from downslope.torch.memory import SPEC, is_distributed

Rounding = Literal["nearest", "stochastic", "compensated"]
COMPENSATION = "compensation"
"""Key of a parameter's state: what rounding has dropped so far, in bfloat16, of the parameter's shape."""


@dataclass(frozen=True, slots=True)
class Rounded:
    """How one parameter is rounded in one step.

    Attributes:
        compensation: What rounding dropped so far, written to; None where rounding is stochastic.
        key: Key of this tensor's random numbers in this step.
        first: Index of the tensor's first element, above 0 where it is a part of a larger one.
    """

    compensation: Tensor | None
    key: int = 0
    first: int = 0


def checked_rounding(rounding: Any, *, differentiable: bool = False) -> Rounding:
    """Return `rounding` if it is one of its three words, else raise `SettingsError`."""
    words = get_args(Rounding)
    if rounding not in words:
        meant = did_you_mean(str(rounding), words)
        raise SettingsError(f"`rounding` must be {one_of(words)}; got {rounding!r}.{meant}")
    if differentiable and rounding != "nearest":
        raise SettingsError(f"`rounding={rounding!r}` and `differentiable=True`: autograd cannot see such a rounding.")
    return rounding


def checked_rounding_seed(seed: Any) -> int:
    """Return `seed` if it is an integer from 0 to 2**64 - 1, else raise `SettingsError`."""
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**64:
        raise SettingsError(f"`rounding_seed` must be an integer from 0 to 2**64 - 1; got {seed!r}.")
    return seed


def check_rounding_has_a_use(groups: Iterable[Mapping[str, Any]]) -> None:
    """Raise `SettingsError` if a rounding was chosen, but not one parameter is bfloat16."""
    chosen = [group for group in groups if group["rounding"] != "nearest"]
    if chosen and not any(param.dtype == torch.bfloat16 for group in chosen for param in group["params"]):
        raise SettingsError(
            f"`rounding={chosen[0]['rounding']!r}` is for bfloat16 parameters, and there are none among those it is "
            'meant for. Convert the model first (model.bfloat16()), or leave rounding "nearest".'
        )


def rounding_of(param: Tensor, rounding: Rounding) -> Rounding:
    """Return how a parameter is rounded where its group asks for `rounding`: only bfloat16 needs more than nearest."""
    return rounding if param.dtype == torch.bfloat16 else "nearest"


def first_element(param: Tensor) -> int:
    """Return the index of a parameter's first element here: 0, or for a shard its place in the whole.

    Raises:
        SettingsError: For a DTensor whose local part is no run of elements of the whole.
    """
    if not is_distributed(param):
        return 0
    from torch.distributed.tensor import Shard
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    spec = getattr(param, SPEC)
    if any(isinstance(placement, Shard) and placement.dim != 0 for placement in spec.placements):
        raise SettingsError(
            f"stochastic rounding numbers the elements of a parameter, and one that is laid out as {spec.placements} "
            'has no run of them here. Shard along dimension 0, or use rounding="compensated".'
        )
    _, offset = compute_local_shape_and_global_offset(param.shape, spec.mesh, spec.placements)
    return offset[0] * math.prod(param.shape[1:]) if offset else 0


def add_rounded(param: Tensor, delta: Tensor, how: Rounded) -> None:
    """Add a delta to a bfloat16 parameter.

    Args:
        param: Parameter; written to.
        delta: What to add, in float32, of param's shape.
        how: The way of rounding, its compensation written to.
    """
    if how.compensation is not None:
        # what rounding dropped so far is added before rounding, and what it drops now is kept (Kahan 1965); beside an
        # infinity nothing is, since infinity less what was dropped on the way there would be NaN
        before = param.float()
        wanted = delta + how.compensation.float()
        param.copy_(before + wanted)
        dropped = wanted - (param.float() - before)
        how.compensation.copy_(torch.where(param.isfinite(), dropped, torch.zeros_like(dropped)))
        return
    bits = (param.float() + delta).view(torch.int32)
    chance = random_bits(how.key, _elements(param, how.first)) & 0xFFFF
    moved = (bits.to(torch.int64) + chance) >> 16 << 16
    is_finite = (bits & 0x7F800000) != 0x7F800000
    rounded = torch.where(is_finite, moved, bits.to(torch.int64)).to(torch.int32).view(torch.float32)
    param.copy_(rounded)


def _elements(param: Tensor, first: int) -> Tensor:
    """Return the index of each element by its place in memory, as int64, of param's shape."""
    numbers = torch.empty_like(param, dtype=torch.int64)
    flat = torch.arange(first, first + param.numel(), device=param.device)
    if numbers.stride() == param.stride() and not numbers.is_contiguous():
        return numbers.copy_(flat.as_strided(param.shape, param.stride())) & 0xFFFFFFFF
    return flat.view(param.shape) & 0xFFFFFFFF
