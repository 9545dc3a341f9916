"""What is asked of the gradients before anything moves: dense, finite, their norm, how far they are scaled down."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor

from downslope.core.errors import NonFiniteGradientError, SettingsError
from downslope.core.tensor_factors import SMALLEST_NORM
from downslope.kernel import load_native, use_threads
from downslope.torch import group_values
from downslope.torch.options import StepOptions
from downslope.torch.tensors import EXCHANGE, SPEC, is_distributed, is_readable, local_part

_NARROW = frozenset({torch.float16, torch.bfloat16})


def gradient_scale(
    groups: Sequence[Mapping[str, Any]],
    shared: MutableMapping[str, Any],
    grads: Sequence[Tensor],
    sums: tuple[float, bool] | None = None,
    names: Sequence[str] | None = None,
    *,
    factor: float = 1.0,
) -> float | None:
    """Return the factor on all gradients, clipping included, or None if the step is to be skipped.

    Args:
        groups: The optimizer's.
        shared: The optimizer's table of its options, and of `grad_norm`, which is set.
        grads: All gradients of the step.
        sums: Their sum of squares and whether all are finite, if that is known already.
        names: What to call each in a message; None for the parameters' that have a gradient.
        factor: The factor that the caller asks for; the norm is that of the gradients times it.

    Raises:
        NonFiniteGradientError: If a gradient holds inf or NaN and the optimizer is to raise.
    """
    options: StepOptions = shared["options"]
    if sums is not None and math.isfinite(sums[0]):
        norm, finite = math.sqrt(sums[0]), True
    else:
        norm = global_norm(grads)
        finite = math.isfinite(norm) or all_finite(grads)
    shared["grad_norm"] = scaled_norm = norm * factor
    if not finite and options.on_nonfinite == "skip":
        return None
    if not finite and options.on_nonfinite == "raise":
        wrong = [name for name, grad in zip(names or _names(groups), grads, strict=True) if not all_finite([grad])]
        raise nonfinite(wrong, groups[0]["step"])
    if options.clip_norm is None or scaled_norm <= options.clip_norm:
        return factor
    return options.clip_norm / norm  # of the norm without the factor, since with it the norm may be beyond float64


def nonfinite(names: Sequence[str], step: int) -> NonFiniteGradientError:
    """Return the error of gradients, by their parameters' names, that are not finite."""
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return NonFiniteGradientError(
        f"the gradient of {shown} holds inf or NaN at step {step}; nothing was moved.",
        'Lower lr, clip with clip_norm, or pass on_nonfinite="skip" to leave such steps out.',
    )


def _names(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of all parameters that have a gradient, in their order, each once."""
    names: dict[int, str] = {}
    for i, group in enumerate(groups):
        for j, param in enumerate(group["params"]):
            if param.grad is not None:
                names.setdefault(id(param), group_values.parameter_name(group, i, j))
    return list(names.values())


def is_dense_gradient(group: Mapping[str, Any], group_index: int, param: Tensor) -> bool:
    """Return True, or raise if the parameter's gradient is sparse.

    Raises:
        SettingsError: With the parameter's name.
    """
    if param.grad is not None and param.grad.layout != torch.strided:
        index = next(j for j, p in enumerate(group["params"]) if p is param)
        name = group_values.parameter_name(group, group_index, index)
        raise SettingsError(
            f"the gradient of {name} is sparse, which momentum and weight decay would make dense. "
            "Use a dense gradient (for an embedding: sparse=False)."
        )
    return True


def global_norm(grads: Sequence[Tensor]) -> float:
    """Return the Euclidean norm of all gradients, in float64; inf or NaN if a gradient itself holds one.

    They may be of any shapes, formats and devices. A norm beyond float64 is inf, too.
    """
    return GlobalNorm(grads)()


class GlobalNorm:
    """The Euclidean norm of the same tensors again and again, as they are each time; see `global_norm`."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        """Find out, once, which of them the kernel can read."""
        self._tensors = tensors
        self._inside, self._outside = _split(tensors)

    def __call__(self) -> float:
        """Return the norm; inf or NaN if a tensor itself holds one (or the norm is beyond float64)."""
        squares, _ = _sum_of_squares(self._inside)
        norm = math.sqrt(squares)
        if self._outside:
            norm = math.hypot(norm, *_to_floats(_norms(self._outside, 2.0)))
        if math.isinf(norm):
            largest = max(_to_floats(_norms(self._tensors, math.inf)))
            if math.isfinite(largest):
                # Squares of large finite values overflow; those of their shares of the largest cannot.
                shares = [_real(tensor).to(torch.float64) / largest for tensor in self._tensors if tensor.numel()]
                norm = largest * math.hypot(*_to_floats(_norms(shares, 2.0)))
        return norm


def each_norm(tensors: Sequence[Tensor]) -> list[float]:
    """Return the Euclidean norm of each tensor, in float64; of what is on a device all at once, so that it waits once.

    They may be of any shapes, formats and devices. Those of DTensors are of the whole, over all processes.
    """
    native: Any = load_native()
    norms = [0.0] * len(tensors)
    outside: defaultdict[tuple[torch.device, torch.dtype, bool], list[int]] = defaultdict(list)
    for place, tensor in enumerate(tensors):
        if not tensor.numel():
            continue
        if native is not None and is_readable(tensor):
            norms[place] = math.sqrt(native.sum_of_squares(EXCHANGE, [tensor])[0])
        else:
            outside[tensor.device, tensor.dtype, is_distributed(tensor)].append(place)
    for places in outside.values():
        found = _to_floats(_norms([tensors[place] for place in places], 2.0))
        for place, norm in zip(places, found, strict=True):
            norms[place] = norm
    # what is infinite may be the sum of squares alone, as in `global_norm`
    return [global_norm([one]) if math.isinf(norm) else norm for one, norm in zip(tensors, norms, strict=True)]


@torch.no_grad()
def unit_factors(grad: Tensor, param: Tensor, share: float, scale: float) -> Tensor:
    """Return the factors that clip a gradient of two axes or more unit by unit: one in float64 for each.

    A unit is a slice along the first axis, in which PyTorch's layers have their outputs. Of DTensors that are divided
    along this axis alone (`check_whole`), the factors are those of the units that lie in this process.

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


def all_finite(grads: Sequence[Tensor]) -> bool:
    """Whether no gradient holds inf or NaN."""
    inside, outside = _split(grads)
    # The largest magnitude is exact in every format, so large finite values are no false alarm.
    return _sum_of_squares(inside)[1] and all(map(math.isfinite, _to_floats(_norms(outside, math.inf))))


def _split(grads: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the gradients that the kernel can read, and the others."""
    if load_native() is None:
        return [], list(grads)
    inside, outside = [], []
    for grad in grads:
        (inside if is_readable(grad) else outside).append(grad)
    return inside, outside


def _sum_of_squares(grads: list[Tensor]) -> tuple[float, bool]:
    """Return the sum of squares, in float64, and whether all are finite, of gradients that the kernel can read."""
    if not grads:
        return 0.0, True
    use_threads()
    native: Any = load_native()
    return native.sum_of_squares(EXCHANGE, grads)


def _norms(grads: Sequence[Tensor], order: float) -> list[Tensor]:
    buckets: defaultdict[tuple[torch.device, torch.dtype, bool], list[Tensor]] = defaultdict(list)
    for grad in grads:
        if grad.numel():
            buckets[grad.device, grad.dtype, is_distributed(grad)].append(_real(grad))
    norms: list[Tensor] = []
    with torch.no_grad():  # parameters, too, are asked for their norm
        for (_, dtype, _), bucket in buckets.items():
            norms += torch._foreach_norm(bucket, order, dtype=torch.float32 if dtype in _NARROW else None)
    return norms


def _to_floats(norms: Sequence[Tensor]) -> list[float]:
    by_device: defaultdict[torch.device, list[Tensor]] = defaultdict(list)
    for norm in norms:
        # of a DTensor, the norm over all processes, each of which is here
        whole = norm.full_tensor() if is_distributed(norm) else norm  # type: ignore[operator]
        by_device[norm.device].append(whole.to(torch.float64))
    return [value for tensors in by_device.values() for value in torch.stack(tensors).tolist()]


def _real(grad: Tensor) -> Tensor:
    return torch.view_as_real(grad.resolve_conj()) if grad.is_complex() else grad
