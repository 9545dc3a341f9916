"""What is asked of all gradients together: their global norm, and whether they are finite."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from downslope.kernel import load_native, use_threads
from downslope.torch.tensors import EXCHANGE, is_distributed, is_readable

_NARROW = frozenset({torch.float16, torch.bfloat16})


def global_norm(grads: Sequence[Tensor]) -> float:
    """Return the Euclidean norm of all gradients together.

    Args:
        grads: Gradients of any shapes, formats and devices.

    Returns:
        The norm; inf or NaN if a gradient itself holds one (or the norm is beyond float64).
    """
    return GlobalNorm(grads)()


class GlobalNorm:
    """The Euclidean norm of the same tensors again and again, as they are each time; see `global_norm`.

    Args:
        tensors: Tensors of any shapes, formats and devices.
    """

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


def all_finite(grads: Sequence[Tensor]) -> bool:
    """Whether no gradient holds inf or NaN.

    Args:
        grads: Gradients of any shapes, formats and devices.
    """
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
