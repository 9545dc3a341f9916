"""Factors on the gradient of each tensor by norms, LARS, LARC and adaptive clipping, and of each unit of one.

What they are is in `core/tensor_factors.py`; here norms are asked for, of shards too. A unit is a slice along the first
axis, in which PyTorch's layers have their outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from downslope.core.errors import SettingsError
from downslope.core.tensor_factors import SMALLEST_NORM
from downslope.kernel import load_native, use_threads
from downslope.torch import group_values
from downslope.torch.gradients import each_norm
from downslope.torch.tensors import EXCHANGE, SPEC, in_layout_of, is_distributed, is_readable, local_part, whole
from downslope.torch.update import Entry, Scalars


def with_factors(
    groups: Sequence[Mapping[str, Any]], entries: Sequence[Entry], grads: Sequence[Tensor], scalars: Scalars
) -> tuple[Scalars, Sequence[Tensor], Sequence[Tensor | None]]:
    """Return a step's scalars with those of every tensor behind them whose gradient has factors of its own.

    And the gradients, each with factors by unit that it is still to be multiplied by, or None. All norms of a tensor
    are asked for before anything moves; those of DTensors are of the whole.
    """
    own = [(place, entry) for place, entry in enumerate(entries) if entry.own is not None]
    by_unit: list[Tensor | None] = [None] * len(entries)
    if not own:
        return scalars, grads, by_unit
    grads, given = list(grads), [group_values.tensor_factors_of(group) for group in groups]
    chosen = [given[entry.group] for _, entry in own]
    asked: list[tuple[int, Tensor, Tensor]] = []  # of whose norms the rest is made
    for index, (place, entry) in enumerate(own):
        if not is_by_unit(groups, entry):
            pair = grads[place], entry.param
            if chosen[index].by_unit:  # gathered, since sums over processes would round otherwise than one process does
                pair = whole(pair[0]), whole(pair[1])
            asked.append((index, *pair))
            continue
        common = scalars[entry.is_undampened][entry.group]
        grads[place] = in_layout_of(grads[place], entry.param)
        factors = unit_factors(grads[place], entry.param, chosen[index].adaptive_clip or 0.0, abs(common.grad_scale))
        chosen[index] = chosen[index]._replace(adaptive_clip=None)
        if chosen[index].given:
            grads[place] = clipped_by_unit(grads[place], factors)
            asked.append((index, grads[place], entry.param))
        else:
            by_unit[place] = factors
    norms = each_norm([grad for _, grad, _ in asked] + [param for *_, param in asked])
    norms_of = {index: (norms[i], norms[len(asked) + i]) for i, (index, *_) in enumerate(asked)}
    both = [*scalars[0]], [*scalars[1]]
    for index, (_, entry) in enumerate(own):
        found = scalars[entry.is_undampened][entry.group]
        if index in norms_of:
            found = chosen[index].of(found, *norms_of[index])
        for every in both:  # of which one is asked for it
            every.append(found)
    return both, grads, by_unit


def is_by_unit(groups: Sequence[Mapping[str, Any]], entry: Entry) -> bool:
    """Whether a parameter's gradient is clipped unit by unit, and is more than one unit."""
    if entry.own is None or entry.param.ndim < 2:
        return False
    return group_values.tensor_factors_of(groups[entry.group]).by_unit


@torch.no_grad()
def unit_factors(grad: Tensor, param: Tensor, share: float, scale: float) -> Tensor:
    """Return the factors that clip a gradient of two axes or more unit by unit: one in float64 for each.

    Of DTensors that are divided along the first axis alone (`check_whole`), they are those of the units that lie here.

    Args:
        grad: The gradient, of a DTensor laid out as its parameter is.
        param: Its parameter.
        share: Largest norm of a unit's gradient, as a share of the norm of its weights.
        scale: Magnitude of the factor that will be on the gradient.
    """
    norm, size = _unit_norms(local_part(grad)) * scale, _unit_norms(local_part(param))
    most = size.clamp_(min=SMALLEST_NORM).mul_(share)
    is_larger = norm > most
    return torch.where(is_larger, most / torch.where(is_larger, norm, 1.0), 1.0)


@torch.no_grad()
def clipped_by_unit(grad: Tensor, factors: Tensor | None) -> Tensor:
    """Return a gradient, each unit times its factor, in the gradient's format; as it is where there are no factors."""
    if factors is None:
        return grad
    if is_distributed(grad):
        clipped = torch.empty_like(grad)
        local_part(clipped).copy_(clipped_by_unit(local_part(grad), factors))
        return clipped
    wide = torch.promote_types(grad.dtype, torch.float32)
    column = factors.to(wide.to_real()).reshape(-1, *(1 for _ in grad.shape[1:]))
    return (grad.to(wide) * column).to(grad.dtype)


def has_units_in_order(tensor: Tensor) -> bool:
    """Whether the slices of a dense tensor along its first axis lie end to end in its memory."""
    return tensor.shape[0] == 1 or tensor.stride(0) * tensor.shape[0] == tensor.numel()


@torch.no_grad()
def _unit_norms(tensor: Tensor) -> Tensor:
    """Return the norm of each slice along the first axis, in float64: by the kernel where it can read the tensor.

    Its sums do not depend on threads, nor on what other units there are: so a shard's are those of the whole.
    """
    native: Any = load_native()
    if native is not None and tensor.numel() and is_readable(tensor):
        norms = torch.empty(tensor.shape[0], dtype=torch.float64)
        use_threads()
        if native.unit_norms(EXCHANGE, tensor, norms):
            return norms
    axes = tuple(range(1, tensor.ndim))
    wide = tensor.detach().abs().to(torch.float64)
    largest = wide.amax(axes, keepdim=True) if wide.numel() else wide.sum(axes, keepdim=True)
    largest = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)  # else squares might leave float64
    return (torch.linalg.vector_norm(wide / largest, dim=axes, keepdim=True) * largest).reshape(-1)


def check_whole(param: Tensor, group: Mapping[str, Any], index: int) -> None:
    """Raise if a parameter is a piece or a pack of others, so that its norm here is not a layer's, or not a unit's.

    Raises:
        SettingsError: With the parameter's name.
    """
    if is_distributed(param) and param.ndim > 1 and group_values.tensor_factors_of(group).by_unit:
        axes = [getattr(placement, "dim", 0) % param.ndim for placement in getattr(param, SPEC).placements]
        if axis := next(filter(None, axes), 0):
            place = next(place for place, one in enumerate(group["params"]) if one is param)
            raise SettingsError(
                f"{group_values.parameter_name(group, index, place)} is divided over processes along axis {axis}, so "
                'that no process has a whole unit of it, as adaptive_clip_by="unit" asks for: a slice along axis 0. '
                'Divide it along axis 0, as fully_shard does, or use adaptive_clip_by="tensor".'
            )
    if getattr(param, "_is_flat_param", False) or getattr(param, "_fsdp_flattened", False):
        place = next(place for place, one in enumerate(group["params"]) if one is param)
        raise SettingsError(
            f"{group_values.parameter_name(group, index, place)} is a piece of a layer, or several of them in one, as "
            "FullyShardedDataParallel lays them out, and trust_coefficient and adaptive_clip are about norms of whole "
            "tensors. Shard the model by torch.distributed.fsdp.fully_shard instead, or leave them out."
        )
