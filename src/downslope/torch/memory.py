"""Which tensors have memory that may be handed to the kernel by its address."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Parameter

from downslope.kernel.coefficients import FORMATS

FORMAT_OF = {getattr(torch, name): code for name, code in FORMATS.items()}
"""The kernel's code of each dtype that it knows."""


def is_plain(tensor: Tensor) -> bool:
    """Return whether a tensor lies on the CPU in one dense block of a format that the kernel knows.

    A tensor of any subclass is left alone: it may have no memory of its own (a FakeTensor), or share it.
    """
    return (
        type(tensor) in (Tensor, Parameter)
        and tensor.device.type == "cpu"
        and tensor.layout == torch.strided
        and tensor.dtype in FORMAT_OF
        and tensor.numel() > 0
        and is_dense(tensor)
    )


def is_dense(tensor: Tensor) -> bool:
    """Return whether a tensor's elements fill a block of memory without gaps or overlaps, in whatever order."""
    if tensor.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size == 1:
            continue
        if stride != expected:
            return False
        expected *= size
    return True
