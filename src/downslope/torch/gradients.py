"""What is asked of the gradients before anything moves: dense, finite, their norm, how far they are scaled down."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor

from downslope.core.errors import NonFiniteGradientError, SettingsError
from downslope.kernel import load_native, use_threads
from downslope.torch import group_values
from downslope.torch.options import StepOptions
from downslope.torch.tensors import EXCHANGE, is_distributed, is_readable

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
