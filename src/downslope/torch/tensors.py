"""Which tensors have memory that may be handed to the kernel, and where it is: a tensor's own, or its local shard's."""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from downslope.kernel import load_native
from downslope.kernel.coefficients import ROUNDINGS
from downslope.kernel.marks import teach_marks
from downslope.torch.watched import is_watched

# Methods of torch's optimizer, called without the wrapper that loads torch's compiler at their first call.


def without_compiler(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a bound method of torch's ``Optimizer`` as it is written, unless the compiler is loaded already.

    Args:
        method: The bound method.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
        >>> without_compiler(optimizer.state_dict)() == optimizer.state_dict()
        True
    """
    plain = getattr(method, "__wrapped__", None)
    if plain is None or "torch._dynamo" in sys.modules:
        return method
    return functools.partial(plain, getattr(method, "__self__", None))


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
    param: Tensor, grad: Tensor, velocity: Tensor | None, compensation: Tensor | None, rounding: str = "nearest"
) -> bool:
    """Whether the kernel can take a parameter's tensors: plain, dense, on the CPU, of one layout, and nobody watches.

    Args:
        param: Parameter, or its local part, like the others.
        grad: Its gradient.
        velocity: Its velocity, or None.
        compensation: What rounding dropped so far, or None.
        rounding: The way of rounding; see `downslope.kernel.coefficients.ROUNDINGS`.
    """
    native: Any = load_native()
    if native is None or EXCHANGE is None or is_watched():
        return False
    tensors = (param, grad, velocity, compensation)
    return all(tensor is None or is_plain(tensor) for tensor in tensors) and native.fit(
        EXCHANGE, tensors, ROUNDINGS[rounding]
    )


def is_readable(tensor: Tensor) -> bool:
    """Whether the kernel can read a tensor by itself: plain and dense, on the CPU, in a format that it knows."""
    return fit(tensor, tensor, None, None) if tensor.layout == torch.strided else False
