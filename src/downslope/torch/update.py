"""The update by torch's own operations: what steps where the kernel does not, from the numbers of the rule.

Four ways: torch's multi-tensor operations; one tensor at a time; in the order of torch.optim.SGD's own loop, where
memory is shared; and differentiably. No gradient is ever written to.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from downslope.core.errors import SettingsError
from downslope.core.rule import StepScalars
from downslope.kernel.coefficients import six_coefficients
from downslope.kernel.random_bits import random_bits, step_key
from downslope.torch.blocks import VELOCITY, decode, encode
from downslope.torch.options import Rounding, StepOptions
from downslope.torch.tensors import SPEC, in_layout_of, is_distributed, local_part, repeated

COMPENSATION = "compensation"
"""Key of a parameter's state: what rounding has dropped so far, in bfloat16, of the parameter's shape."""

Scalars = tuple[Sequence[StepScalars], Sequence[StepScalars]]
"""By `Entry.kind`: the scalars of all parameters but those at their first gradient, and of these."""

_EPSILON = sys.float_info.epsilon
_EXACT_ENOUGH = frozenset({torch.float32, torch.float64, torch.complex64, torch.complex128})
"""Formats in which sums may be formed in place; narrower ones are computed in float32 and rounded once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One parameter that has a gradient, as a step sees it.

    Attributes:
        group: Its group's index.
        position: Its own index among all parameters.
        is_undampened: Whether `undampened_first_step` speaks of it: at its first gradient, and without momentum always.
        param: The parameter.
        velocity: Its velocity, or None; where there are scales, its codes.
        compensation: What its rounding dropped so far, or None.
        rounding: How it is rounded.
        shares_memory: Whether one of its tensors is a piece of another that the step writes.
        scales: Scales of a velocity of codes, or None.
        average: The average of its values, which the kernel moves with the step; None where there is none, or not yet.
        weight: Weight of its new value in the average, None where none is kept.
        own: Index of its own scalars among a step's, beyond the groups', where its gradient has factors of its own;
            None where its group's are its.
    """

    group: int
    position: int
    is_undampened: bool
    param: Tensor
    velocity: Tensor | None
    compensation: Tensor | None = None
    rounding: Rounding = "nearest"
    shares_memory: bool = False
    scales: Tensor | None = None
    own: int | None = None
    average: Tensor | None = None
    weight: float | None = None

    @property
    def begins_average(self) -> bool:
        """Whether an average is kept, and there is none yet: its first is the parameter after this step."""
        return self.weight is not None and self.average is None

    def written(self) -> list[Tensor]:
        """Return every tensor that the step writes."""
        tensors = (self.param, self.velocity, self.compensation, self.scales, self.average)
        return [tensor for tensor in tensors if tensor is not None]

    @property
    def kind(self) -> int:
        """Index of its scalars among a step's."""
        return self.group if self.own is None else self.own


@dataclass(frozen=True, slots=True)
class Rounded:
    """How one bfloat16 parameter is rounded in one step: compensated, or by random numbers.

    Attributes:
        compensation: What rounding dropped so far, written to; None where rounding is stochastic.
        key: Key of this tensor's random numbers in this step.
        first: Index of the tensor's first element, above 0 where it is a part of a larger one.
    """

    compensation: Tensor | None
    key: int = 0
    first: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One parameter's tensors in one step, all of one shape; all but the gradient are written to.

    Attributes:
        param: Parameter.
        grad: Gradient.
        velocity: Velocity, of any floating format, or codes. None where there is no momentum.
        rounded: How a bfloat16 parameter is rounded; None for to nearest.
        scales: Scales of a velocity of codes, or None.
    """

    param: Tensor
    grad: Tensor
    velocity: Tensor | None
    rounded: Rounded | None = None
    scales: Tensor | None = None


def apply(
    groups: Sequence[Mapping[str, Any]],
    state: MutableMapping[Tensor, Any],
    options: StepOptions,
    entries: Sequence[Entry],
    grads: Sequence[Tensor],
    scalars: Scalars,
    *,
    one_by_one: bool = False,
) -> None:
    """Step parameters by torch's own operations.

    `one_by_one` leaves out multi-tensor operations, unless a group's `foreach` asks for them.
    """
    # what is given twice is stepped twice, one after the other
    in_turn = bool(repeated(param for group in groups for param in group["params"]))
    parts: defaultdict[tuple[int, bool, int], list[Part]] = defaultdict(list)
    for entry, grad in zip(entries, grads, strict=True):
        if type(grad) is Tensor and grad._is_zerotensor():  # whose multiples cannot be added to
            grad = torch.zeros(grad.shape, dtype=grad.dtype, device=grad.device)  # noqa: PLW2901
        part = Part(entry.param, grad, entry.velocity, _rounded(entry, options, groups[0]["step"]), entry.scales)
        if is_distributed(entry.param) and not options.differentiable:
            part = _local(part)
        if part.scales is not None:
            with torch.no_grad():
                _apply_coded(part, part.scales, scalars[entry.is_undampened][entry.kind])
            continue
        if entry.shares_memory and not options.differentiable:
            with torch.no_grad():
                _apply_in_order(part, scalars[entry.is_undampened][entry.kind])
            continue
        parts[entry.kind, entry.is_undampened, entry.group].append(part)
    with torch.set_grad_enabled(options.differentiable):
        for (kind, is_undampened, group), same in parts.items():
            own = scalars[is_undampened][kind]
            if options.differentiable:
                _apply_differentiably(state, same, own)
            else:
                foreach = groups[group]["foreach"]
                _apply_parts(same, own, multi_tensor=not in_turn and (not one_by_one if foreach is None else foreach))


def _rounded(entry: Entry, options: StepOptions, step: int) -> Rounded | None:
    """Return how a parameter is rounded in this step; None for to nearest."""
    if entry.rounding == "nearest":
        return None
    if entry.rounding == "compensated":
        return Rounded(entry.compensation)
    key = random_bits(step_key(options.rounding_seed, step), entry.position)
    return Rounded(None, key, first_element(entry.param))


def _local(part: Part) -> Part:
    """Return the parts that lie in this process of a parameter's DTensors: a step is element by element.

    A gradient that is laid out otherwise, such as one not yet summed, is first brought into the parameter's layout.
    """
    param, grad = part.param, in_layout_of(part.grad, part.param)
    rounded = part.rounded
    if rounded is not None and rounded.compensation is not None:
        rounded = replace(rounded, compensation=local_part(rounded.compensation))
    torch._C._increment_version([t for t in (param, part.velocity, part.scales) if t is not None])
    velocity = None if part.velocity is None else local_part(part.velocity)
    scales = None if part.scales is None else local_part(part.scales)
    return Part(local_part(param), local_part(grad), velocity, rounded, scales)


def _apply_differentiably(state: MutableMapping[Tensor, Any], parts: list[Part], scalars: StepScalars) -> None:
    for part in parts:
        param, velocity = part.param, part.velocity
        before = torch.zeros_like(param) if velocity is None else velocity
        # of a copy: autograd keeps what a tensor multiplies, and param is changed in place
        delta, after = scalars.rule(param.clone(), part.grad, before)
        param.add_(delta)
        if velocity is not None:
            state[param][VELOCITY] = after


def _apply_coded(part: Part, scales: Tensor, scalars: StepScalars) -> None:
    """Step one parameter whose velocity is codes, by the kernel's operations in their order: the same bits."""
    six = six_coefficients(scalars)
    decays = six[0] != 0 or six[3] != 0  # before they are rounded, as in csrc/kernels.cpp
    delta_param, delta_grad, delta_velocity, from_param, from_grad, from_velocity = torch.tensor(six).tolist()
    codes = part.velocity
    assert codes is not None  # noqa: S101 -- scales are of codes
    velocity, param, grad = decode(codes, scales), part.param.to(torch.float32), part.grad.to(torch.float32)
    delta, after = grad * delta_grad, grad * from_grad
    if decays:
        delta = param * delta_param + delta
    delta = delta + velocity * delta_velocity
    if decays:
        after = param * from_param + after
    encode(after + velocity * from_velocity, codes, scales)
    if part.rounded is None:
        part.param.copy_(param + delta)
    else:
        _add_rounded(part.param, delta, part.rounded)


def _apply_in_order(part: Part, scalars: StepScalars) -> None:
    """Step one parameter by the operations of torch.optim.SGD's loop, in their order: tensors may overlap."""
    if type(scalars) is not StepScalars:  # a relative's, which torch.optim.SGD has no order for
        _apply_one(part, in_place_step(scalars))
        return
    param, grad, velocity = part.param, part.grad, part.velocity
    if scalars.grad_scale != 1.0:
        grad = -grad if scalars.grad_scale == -1.0 else grad * scalars.grad_scale
    if scalars.coupled_decay:
        grad = grad.add(param, alpha=scalars.coupled_decay)
    decay = param * scalars.decoupled_decay if scalars.decoupled_decay else None
    factor = scalars.grad_in
    if velocity is not None:
        velocity.mul_(scalars.momentum).add_(grad, alpha=(1 - scalars.dampening) * factor)
        if scalars.nu is not None:
            grad, factor = (grad * ((1 - scalars.nu) * factor)).add(velocity, alpha=scalars.nu), 1.0
        elif not scalars.nesterov:
            grad, factor = velocity, 1.0
        else:
            grad = (grad if factor == 1.0 else grad * factor).add(velocity, alpha=scalars.momentum)
            factor = 1.0
    rate = -scalars.velocity_out * factor
    if part.rounded is not None:
        delta = rate * grad.float()
        _add_rounded(param, delta if decay is None else delta - decay.float(), part.rounded)
        return
    param.add_(grad, alpha=rate)
    if decay is not None:
        param.sub_(decay)


_Tensors = list[Tensor] | tuple[Tensor, ...]
"""What torch's multi-tensor operations take (lists) and return (tuples)."""


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
    """Return the in-place form of one step: the matrix of the rule after one elimination."""
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


def _apply_parts(parts: list[Part], scalars: StepScalars, *, multi_tensor: bool) -> None:
    """Apply one step to tensors of any formats and devices; multi-tensor only where the formats allow it."""
    step = in_place_step(scalars)
    buckets: defaultdict[tuple[torch.device, torch.dtype, bool], list[Part]] = defaultdict(list)
    for part in parts:
        param = part.param
        if multi_tensor and _is_exact_enough(part):
            buckets[param.device, param.dtype, part.velocity is None].append(part)
        else:
            _apply_one(part, step)
    for (device, _, stateless), bucket in buckets.items():
        for chunk in _in_chunks(bucket) if device.type == "cpu" else [bucket]:
            params, grads = [part.param for part in chunk], [part.grad for part in chunk]
            velocities = None if stateless else [part.velocity for part in chunk if part.velocity is not None]
            apply_multi_tensor(params, grads, velocities, step)


def apply_multi_tensor(
    params: list[Tensor], grads: list[Tensor], velocities: list[Tensor] | None, step: InPlaceStep
) -> None:
    """Apply one step to tensors on one device, of one format that `_is_exact_enough` accepts."""
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


def _update(sums: _Tensors, factor: float, summands: Sequence[tuple[_Tensors, float]]) -> None:
    """Multiply sums by a factor and add weighted tensors, in place."""
    if factor != 1.0:
        torch._foreach_mul_(sums, factor)
    for tensors, weight in summands:
        if weight:
            torch._foreach_add_(sums, tensors, alpha=weight)


def _apply_one(part: Part, step: InPlaceStep) -> None:
    """Apply one step to one tensor of any format, computing in at least float32 and rounding each result once."""
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
        _add_rounded(param, delta, part.rounded)


def _is_exact_enough(part: Part) -> bool:
    """Whether tensors may take the multi-tensor path: one format, wide enough to sum in; none negated or conjugated."""
    dtype, tensors = part.param.dtype, [part.grad, *([] if part.velocity is None else [part.velocity])]
    is_one_format = dtype in _EXACT_ENOUGH and all(tensor.dtype == dtype for tensor in tensors)
    return is_one_format and not any(tensor.is_neg() or tensor.is_conj() for tensor in (part.param, *tensors))


def _in_chunks(parts: list[Part], numel: int = 1 << 16) -> Iterator[list[Part]]:
    """Split parts into runs of about `numel` elements, which stay in the processor's cache from pass to pass."""
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


def first_element(param: Tensor) -> int:
    """Return the index of a parameter's first element: 0, or for a shard its index in the whole.

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


def _add_rounded(param: Tensor, delta: Tensor, how: Rounded) -> None:
    """Add a delta in float32 to a bfloat16 parameter, bit for bit as the kernel does (csrc/rounding.h).

    A bfloat16 has 8 significant bits: 1 - 0.001 rounds back to 1, so rounding to nearest would lose small updates.
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
