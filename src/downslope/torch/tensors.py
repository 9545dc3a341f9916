"""Which tensors have memory that may be handed to the kernel, and where it is: a tensor's own, or its local shard's."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch._C import _get_function_stack_at, _len_torch_dispatch_stack, _len_torch_function_stack
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad
from torch.nn import Parameter
from torch.utils._device import DeviceContext

from downslope.kernel import load_native
from downslope.kernel.coefficients import ROUNDINGS
from downslope.kernel.marks import teach_marks
from downslope.kernel.rows import Row

teach_marks()

EXCHANGE: Any = getattr(Tensor, "__dlpack_c_exchange_api__", None)
"""torch's table of DLPack functions, by which the kernel looks at a tensor; None in a torch that has none yet."""

LOCAL, SPEC = "_local_tensor", "_spec"
"""Attributes of a DTensor: the part that lies in this process, and how the whole is laid out over processes."""


def is_distributed(tensor: Tensor) -> bool:
    """Whether a tensor is a DTensor, of which a part lies in each process."""
    module = sys.modules.get("torch.distributed.tensor")  # loaded by whoever made one
    return module is not None and type(tensor) is module.DTensor


def laid_out_alike(tensor: Tensor, other: Tensor) -> bool:
    """Whether two tensors are DTensors of which each process has the same part."""
    if not (is_distributed(tensor) and is_distributed(other)):
        return False
    one, two = getattr(tensor, SPEC), getattr(other, SPEC)
    return one.mesh == two.mesh and one.placements == two.placements and tensor.shape == other.shape


def in_layout_of(grad: Tensor, param: Tensor) -> Tensor:
    """Return a DTensor's gradient as it is divided itself: one not yet summed, say, is; any other tensor as it is."""
    if not is_distributed(param) or laid_out_alike(grad, param):
        return grad
    spec = getattr(param, SPEC)
    return grad.redistribute(spec.mesh, spec.placements)  # type: ignore[operator]


def whole(tensor: Tensor) -> Tensor:
    """Return all of a DTensor, gathered from every process; any other tensor as it is."""
    return tensor.detach().full_tensor() if is_distributed(tensor) else tensor  # type: ignore[operator]


def local_part(tensor: Tensor) -> Tensor:
    """Return the part of a DTensor that lies in this process; any other tensor as it is."""
    return getattr(tensor, LOCAL) if is_distributed(tensor) else tensor


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is one without tricks: of a subclass it may have no memory of its own, or share it."""
    return type(tensor) in (Tensor, Parameter) and not tensor.is_neg()


def repeated(params: Iterable[Tensor]) -> set[int]:
    """Return the ids of tensors that occur more than once: a step of one has to wait for that before it."""
    count = Counter(map(id, params))
    return {key for key, times in count.items() if times > 1}


def fit(
    param: Tensor,
    grad: Tensor,
    velocity: Tensor | None,
    compensation: Tensor | None,
    scales: Tensor | None = None,
    average: Tensor | None = None,
    *,
    rounding: str = "nearest",
) -> bool:
    """Whether the kernel can take a parameter's tensors: plain, dense, on the CPU, of one layout, and nobody watches.

    Of DTensors, give the local parts.
    """
    native: Any = load_native()
    if native is None or EXCHANGE is None or is_watched():
        return False
    tensors = (param, grad, velocity, compensation, scales, average)
    return all(tensor is None or is_plain(tensor) for tensor in tensors) and native.fit(
        EXCHANGE, Row(param, grad, None, None, *tensors[2:], None, None, ROUNDINGS[rounding])
    )


def is_readable(tensor: Tensor) -> bool:
    """Whether the kernel can read a tensor by itself: plain and dense, on the CPU, in a format that it knows."""
    return fit(tensor, tensor, None, None) if tensor.layout == torch.strided else False


def is_watched() -> bool:
    """Whether somebody watches operations on tensors: a mode, a graph being made, a transform, forward differentiation.

    The compiled kernel writes to memory behind torch's back. Whoever records operations (``make_fx``), counts them,
    gives tensors no memory (``FakeTensorMode``), maps them (``torch.func.vmap``) or carries tangents along would not
    see a step.
    """
    return bool(
        _len_torch_dispatch_stack()
        or peek_interpreter_stack() is not None
        or (_len_torch_function_stack() and _has_function_mode())
        or forward_ad._current_level >= 0
    )


def _has_function_mode() -> bool:
    """Whether there is a TorchFunctionMode that does more than to choose the device of new tensors."""
    modes = map(_get_function_stack_at, range(_len_torch_function_stack()))
    return any(type(mode) is not DeviceContext for mode in modes)
