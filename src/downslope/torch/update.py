"""The affine step on lists of tensors: apply coefficients of the rule in place.

What lives here: how six numbers become few passes over memory with torch's multi-tensor operations. What does not: any
option of the optimizer; they all went into the numbers. No gradient is ever written to.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from downslope.core.errors import SettingsError, did_you_mean, one_of
from downslope.core.rule import StepScalars
from downslope.kernel.coefficients import six_coefficients
from downslope.kernel.random_bits import random_bits
from downslope.torch.tensors import SPEC, is_distributed

# How a bfloat16 parameter is rounded, so that small updates are not lost, by torch's operations.

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


_EPSILON = sys.float_info.epsilon
_EXACT_ENOUGH = frozenset({torch.float32, torch.float64, torch.complex64, torch.complex128})
"""Formats in which sums may be formed in place; narrower ones are computed in float32 and rounded once."""


Tensors = list[Tensor] | tuple[Tensor, ...]
"""What torch's multi-tensor operations take (lists) and return (tuples)."""


@dataclass(frozen=True, slots=True)
class Part:
    """One parameter's tensors in one step.

    Attributes:
        param: Parameter; written to.
        grad: Gradient, of param's shape.
        velocity: Velocity, of param's shape and any floating format; written to. None where there is no momentum.
        rounded: How a bfloat16 parameter is rounded; None for to nearest.
    """

    param: Tensor
    grad: Tensor
    velocity: Tensor | None
    rounded: Rounded | None = None


@dataclass(frozen=True, slots=True)
class InPlaceStep:
    """The rule's 2x3 matrix, rewritten so that the new velocity can overwrite the old one first.

        velocity <- from_velocity * velocity + from_grad * grad + from_param * param
        param    <- param + (delta_velocity * velocity + delta_grad * grad + delta_param * param)

    The delta is in terms of the *new* velocity, and the old param.
    """

    from_velocity: float
    from_grad: float
    from_param: float
    delta_velocity: float
    delta_grad: float
    delta_param: float


def in_place_step(scalars: StepScalars) -> InPlaceStep:
    """Return the in-place form of one step: the matrix of the rule after one elimination.

    Args:
        scalars: The scalars of the step.
    """
    delta_param, delta_grad, delta_velocity, from_param, from_grad, from_velocity = six_coefficients(scalars)
    share = delta_velocity / from_velocity if from_velocity else 0.0
    return InPlaceStep(
        from_velocity,
        from_grad,
        from_param,
        share,
        _difference(delta_grad, share * from_grad),
        _difference(delta_param, share * from_param),
    )


def apply_parts(parts: list[Part], scalars: StepScalars, *, multi_tensor: bool) -> None:
    """Apply one step to tensors of any formats and devices.

    Args:
        parts: The tensors.
        scalars: The scalars of the step.
        multi_tensor: Whether to use torch's multi-tensor operations where the formats allow it.
    """
    step = in_place_step(scalars)
    buckets: defaultdict[tuple[torch.device, torch.dtype, bool], list[Part]] = defaultdict(list)
    for part in parts:
        param = part.param
        if multi_tensor and is_exact_enough(part):
            buckets[param.device, param.dtype, part.velocity is None].append(part)
        else:
            apply_one(part, step)
    for (device, _, stateless), bucket in buckets.items():
        for chunk in in_chunks(bucket) if device.type == "cpu" else [bucket]:
            params, grads = [part.param for part in chunk], [part.grad for part in chunk]
            velocities = None if stateless else [part.velocity for part in chunk if part.velocity is not None]
            apply_multi_tensor(params, grads, velocities, step)


def apply_multi_tensor(
    params: list[Tensor], grads: list[Tensor], velocities: list[Tensor] | None, step: InPlaceStep
) -> None:
    """Apply one step to many tensors by torch's multi-tensor operations.

    Args:
        params: Parameters, all on one device, of one format that `is_exact_enough` accepts; written to.
        grads: Their gradients, each of its parameter's shape and format.
        velocities: Their velocities, likewise, written to; None where there is no momentum.
        step: The coefficients.
    """
    if velocities is not None and step.from_param and step.from_grad and step.delta_grad:
        # Nesterov with coupled decay: the same grad + share * param enters twice, so it is formed once.
        share = step.from_param / step.from_grad
        delta = torch._foreach_add(grads, params, alpha=share)
        _update(velocities, step.from_velocity, [(delta, step.from_grad)])
        rest = _difference(step.delta_param, share * step.delta_grad)
        _update(delta, 1.0, [(velocities, step.delta_velocity / step.delta_grad), (params, rest / step.delta_grad)])
        torch._foreach_add_(params, delta, alpha=step.delta_grad)
        return
    if velocities is not None:
        _update(velocities, step.from_velocity, [(grads, step.from_grad), (params, step.from_param)])
    terms = [(velocities, step.delta_velocity), (grads, step.delta_grad), (params, step.delta_param)]
    summands = [(tensors, weight) for tensors, weight in terms if tensors is not None and weight]
    if len(summands) == 1 and summands[0][0] is not params:
        torch._foreach_add_(params, summands[0][0], alpha=summands[0][1])
    elif summands:
        # Summed apart from params, so that a step rounds each parameter once, whatever its terms.
        delta = torch._foreach_mul(*summands[0])
        _update(delta, 1.0, summands[1:])
        torch._foreach_add_(params, delta)


def _update(sums: Tensors, factor: float, summands: Sequence[tuple[Tensors, float]]) -> None:
    """Multiply sums by a factor and add weighted tensors, in place."""
    if factor != 1.0:
        torch._foreach_mul_(sums, factor)
    for tensors, weight in summands:
        if weight:
            torch._foreach_add_(sums, tensors, alpha=weight)


def apply_one(part: Part, step: InPlaceStep) -> None:
    """Apply one step to one tensor of any format, computing in at least float32 and rounding each result once.

    Args:
        part: The tensors.
        step: The coefficients.
    """
    param, velocity = part.param, part.velocity
    wide = torch.promote_types(param.dtype, torch.float32)
    if velocity is not None and part.rounded is None:
        wide = torch.promote_types(wide, velocity.dtype)
    wide_param, wide_grad = param.to(wide), part.grad.to(wide)
    delta = step.delta_grad * wide_grad if step.delta_grad else torch.zeros_like(wide_grad)
    if velocity is not None:
        # `to` returns the tensor itself where the format fits: the sum is then formed in the velocity in place
        wide_velocity = velocity.to(wide).mul_(step.from_velocity).add_(wide_grad, alpha=step.from_grad)
        if step.from_param:  # 0 times a parameter of infinity would be NaN
            wide_velocity.add_(wide_param, alpha=step.from_param)
        if wide_velocity is not velocity:
            velocity.copy_(wide_velocity)
        delta.add_(wide_velocity, alpha=step.delta_velocity)
    if step.delta_param:
        delta.add_(wide_param, alpha=step.delta_param)
    if part.rounded is None:
        param.add_(delta)
    else:
        add_rounded(param, delta, part.rounded)


def is_exact_enough(part: Part) -> bool:
    """Whether tensors may take the multi-tensor path: one format, wide enough to sum in; none negated or conjugated."""
    dtype, tensors = part.param.dtype, [part.grad, *([] if part.velocity is None else [part.velocity])]
    is_one_format = dtype in _EXACT_ENOUGH and all(tensor.dtype == dtype for tensor in tensors)
    return is_one_format and not any(tensor.is_neg() or tensor.is_conj() for tensor in (part.param, *tensors))


def in_chunks(parts: list[Part], numel: int = 1 << 16) -> Iterator[list[Part]]:
    """Split parts into runs of about `numel` elements.

    The passes of a step then find the tensors of a run still in the processor's cache.
    """
    chunk: list[Part] = []
    size = 0
    for part in parts:
        chunk.append(part)
        size += part.param.numel()
        if size >= numel:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _difference(whole: float, part: float) -> float:
    """Return whole - part, or 0 where only rounding is left of it.

    The rule's own differences are 0 or of the size of `whole` (without Nesterov the gradient reaches param through
    the velocity alone), so what is a few epsilon small is not a coefficient, and would cost a pass over memory.
    """
    difference = whole - part
    return 0.0 if abs(difference) <= 8 * _EPSILON * abs(whole) else difference
