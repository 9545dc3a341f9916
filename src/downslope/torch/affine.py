"""The affine step on lists of tensors: apply coefficients of the rule in place.

What lives here: how six numbers become few passes over memory with torch's multi-tensor operations. What does not: any
option of the optimizer; they all went into the numbers. No gradient is ever written to.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from downslope.core.rule import StepScalars
from downslope.kernel.coefficients import six_coefficients
from downslope.torch.rounding import Rounded, add_rounded

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
    """Whether these tensors may take the multi-tensor path: one format, wide enough to sum in; no lazy views."""
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
