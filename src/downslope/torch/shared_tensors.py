"""Parameters whose memory is another's too: found before a step, and then stepped one by one, as torch's own loop does.

Two parameters on one storage, a gradient that is a piece of its parameter, a velocity that somebody set to the gradient
itself: what comes of a step then depends on the order of its operations. torch.optim.SGD's loop on a CPU has one, and
it is taken operation by operation (`update.py`), so that the numbers are those (and where torch refuses, so do we).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import Parameter

from downslope.torch.tensors import local_part
from downslope.torch.update import Entry

_PLAIN = frozenset({Tensor, Parameter})
_LOWEST = 1 << 32
"""Addresses below this one are looked at twice: in memory that was given back they count from 0."""

Span = tuple[int, int]
"""The first address of a tensor's memory, and the one after the last, gaps included; (0, 0) if it has none."""


def span_of(tensor: Tensor) -> Span | None:
    """Return a tensor's memory, of a DTensor the part that lies here; None if it cannot be told, as of a subclass."""
    if type(tensor) not in _PLAIN:
        tensor = local_part(tensor)
        if type(tensor) not in _PLAIN:
            return None
    if tensor.layout is not torch.strided:
        return 0, 0
    try:
        begin = tensor.data_ptr()
    except RuntimeError:  # of a tensor that stands for others, such as vmap's
        return None
    if begin == 0 or not tensor.numel():
        return 0, 0
    if tensor.is_contiguous():
        return begin, begin + tensor.nbytes
    last = sum((extent - 1) * stride for extent, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return begin, begin + (last + 1) * tensor.element_size()


def mark_shared(entries: Sequence[Entry], grads: Sequence[Tensor]) -> list[Entry]:
    """Return the entries, those marked that share memory with what a step writes: another's, or their own.

    Gradients are only read: that two are one tensor is no matter.

    Raises:
        LostMemoryError: If a tensor has elements and no memory.
    """
    blocks = []
    for index, (entry, grad) in enumerate(zip(entries, grads, strict=True)):
        written = entry.written()
        for place, tensor in enumerate((*written, grad)):
            if (span := span_of(tensor)) is None:
                continue
            if span[0] < _LOWEST and _has_lost_memory(tensor):
                raise LostMemoryError(index, tensor)
            if span[1]:
                blocks.append((*span, index, place < len(written)))
    shared = _find_shared(blocks)
    if not shared:
        return list(entries)
    return [replace(entry, shares_memory=True) if i in shared else entry for i, entry in enumerate(entries)]


def _find_shared(blocks: list[tuple[int, int, int, bool]]) -> set[int]:
    """Return the indices whose blocks (begin, end, index, is written) touch another block, one of them written."""
    shared: set[int] = set()
    touching: set[int] = set()
    count, end, has_written = 0, 0, False
    for begin, stop, index, is_written in sorted(blocks):
        if begin >= end:
            if count > 1 and has_written:
                shared |= touching
            touching, count, has_written = set(), 0, False
        touching.add(index)
        count, end, has_written = count + 1, max(end, stop), has_written or is_written
    return shared | touching if count > 1 and has_written else shared


class LostMemoryError(Exception):
    """A tensor of a step, of the entry `index`, whose elements lie outside of its storage."""

    def __init__(self, index: int, tensor: Tensor) -> None:
        """Take note of which it is."""
        super().__init__(index, tensor)
        self.index, self.tensor = index, tensor


def _has_lost_memory(tensor: Tensor) -> bool:
    """Whether a CPU tensor's elements lie outside of its storage, as when that was resized to 0.

    torch reads and writes them all the same, and the process ends.
    """
    tensor = local_part(tensor)
    if type(tensor) not in _PLAIN or tensor.device.type != "cpu" or not tensor.numel():
        return False
    if tensor.layout is not torch.strided or tensor._is_zerotensor():
        return False
    last = sum((extent - 1) * stride for extent, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return (tensor.storage_offset() + last + 1) * tensor.element_size() > tensor.untyped_storage().nbytes()
