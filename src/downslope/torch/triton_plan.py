"""Steps on a device by the Triton kernels: whether they can be had, and the tables that they read."""

from __future__ import annotations

import math
import os
import struct
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from downslope.core.blocks import BLOCK
from downslope.core.errors import ImplementationError
from downslope.core.shown import printable
from downslope.kernel import DISABLE
from downslope.kernel.coefficients import FORMATS, NO_VELOCITY, ROUNDINGS, six_coefficients
from downslope.torch.average import average_dtype
from downslope.torch.update import Entry, Scalars

_FORMAT_OF = {getattr(torch, name): code for name, code in FORMATS.items()}
_CODED = NO_VELOCITY + 1
_VECTOR = 16
"""Bytes that a device reads at a time where an address is a multiple of them."""
_SPARE = 4
"""Steps that can be recorded one after the other, as for batches of several shapes."""


@cache
def kernels_for(device: torch.device) -> tuple[Any | None, str]:
    """Return the module of kernels, or None and why a device is not stepped by them; it is tried out."""
    if os.environ.get(DISABLE) == "off":
        return None, f"switched off by {DISABLE}=off"
    try:
        triton: Any = import_module("triton")
    except ImportError:
        return None, "triton is not installed"
    try:
        interprets = triton.knobs.runtime.interpret
        own = "cpu" if interprets else triton.runtime.driver.active.get_active_torch_device().type
        if device.type != own:
            return None, f"triton compiles for {own} here"
        from downslope.torch import triton_kernels

        right = _is_right(triton_kernels, device)
    except Exception as error:  # noqa: BLE001 -- compilers fail in many ways, and there is another way to step
        why = printable(str(error).strip() or type(error).__name__).splitlines()[0]
        return None, f"triton fails on it: {why}"
    return (triton_kernels, "") if right else (None, "triton's first step on it gave other bits than the processor's")


def _is_right(kernels: Any, device: torch.device) -> bool:
    """Whether a small step has the bits that it should have."""
    count = kernels.CHUNK + BLOCK // 2 + 1
    param, grad, velocity = (torch.linspace(-1, end, count) for end in (2.0, 3.0, 5.0))
    six = torch.tensor([-1e-3, -0.1, -0.09, 0.01, 1.0, 0.9], dtype=torch.float64)
    d_param, d_grad, d_velocity, v_param, v_grad, v_velocity = six.tolist()
    moved = param + (param * d_param + grad * d_grad + velocity * d_velocity)
    after = param * v_param + grad * v_grad + velocity * v_velocity
    there = [tensor.to(device) for tensor in (param, grad, velocity)]
    entry = Entry(0, 0, is_undampened=False, param=there[0], velocity=there[2])
    plan = KernelPlan(kernels, [entry])
    plan.launch(plan.upload([there[1]], six.tolist(), 0), None)
    return torch.equal(there[0].cpu(), moved) and torch.equal(there[2].cpu(), after)


def takes(entry: Entry) -> bool:
    """Whether the kernels can step a parameter, whose tensors are plain and on one device: dense, in known formats."""
    param, velocity = entry.param, entry.velocity
    if entry.shares_memory or param.dtype not in _FORMAT_OF or not _is_dense(param):
        return False
    if entry.average is not None and entry.average.dtype != average_dtype(param.dtype):
        return False
    if entry.scales is not None:
        return param.is_contiguous() and entry.scales.is_contiguous() and param.dtype != torch.float64
    return velocity is None or velocity.dtype in _FORMAT_OF


def _is_dense(tensor: Tensor) -> bool:
    """Whether a tensor's elements lie one beside the other, in whatever order."""
    place = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != place:
            return False
        place *= size
    return True


_get_address = Tensor.data_ptr


@dataclass(frozen=True)
class Launch:
    """Tensors of one format, in one launch.

    Attributes:
        constants: What the kernel is compiled for.
        places: Where they stand among the plan's entries.
        chunks: For each program a tensor and one of its chunks.
    """

    constants: dict[str, Any]
    places: list[int]
    chunks: Tensor


@dataclass(frozen=True)
class Numbers:
    """What a launch reads besides the tensors.

    Attributes:
        grads: Addresses of the gradients.
        rows: Six coefficients of each of the plan's kinds, one after the other.
        key: That of the step's random numbers.
        are_aligned: Whether all gradients begin where 16 bytes are read at a time.
    """

    grads: Tensor
    rows: Tensor
    key: Tensor
    are_aligned: bool

    def with_factor(self, factor: Tensor) -> Numbers:
        """Return the same with a factor on all gradients that the device alone knows: the rule is linear in them."""
        rows = self.rows.view(-1, 6).clone()
        rows[:, 1::3] *= factor.to(torch.float64)
        return replace(self, rows=rows.view(-1))


class KernelPlan:
    """The tables of the kernels for the parameters of a plan."""

    def __init__(self, kernels: Any, entries: Sequence[Entry], kinds: Sequence[tuple[int, bool]] | None = None) -> None:
        """Write down where everything is.

        Args:
            kernels: The module of kernels.
            entries: The parameters.
            kinds: What each row of coefficients is about, where there are rows for more than these parameters.
        """
        self._kernels = kernels
        self._spare: list[Tensor] = []
        self.draws = any(entry.rounding == "stochastic" for entry in entries)
        self.kinds = kinds or sorted({(entry.group, entry.is_undampened) for entry in entries})
        self.device = entries[0].param.device
        self._is_on_host = self.device.type == "cpu"  # interpreted
        self._entries = entries
        buffers = [tensor for entry in entries for tensor in entry.written()]
        self.written = buffers
        self._addresses = list(map(_get_address, buffers))
        table = [
            [
                *(0 if t is None else t.data_ptr() for t in (e.param, e.velocity, e.compensation, e.scales)),
                e.param.numel(),
                self.kinds.index((e.group, e.is_undampened)),
                e.position,
                0,
                0 if e.average is None else e.average.data_ptr(),
                struct.unpack("q", struct.pack("d", e.weight or 0.0))[0],
            ]
            for e in entries
        ]
        self._tensors = torch.tensor(table, dtype=torch.int64, device=self.device)
        places: defaultdict[tuple[int, int, int, bool, bool], list[int]] = defaultdict(list)
        for place, entry in enumerate(entries):
            if entry.param.numel():
                are_aligned = not any(address % _VECTOR for address in (*table[place][:3], table[place][8]))
                places[(*_formats_of(entry), entry.average is not None, are_aligned)].append(place)
        self.launches = [
            Launch(
                {
                    "PARAM": param,
                    "VELOCITY": velocity,
                    "ROUNDING": rounding,
                    "IS_AVERAGED": is_averaged,
                    "IS_ALIGNED": is_aligned,
                },
                same,
                self._chunks_of(same),
            )
            for (param, velocity, rounding, is_averaged, is_aligned), same in places.items()
        ]
        self._sent: tuple[Any, ...] = ()
        self._numbers: Numbers | None = None

    def _chunks_of(self, places: Sequence[int]) -> Tensor:
        size = self._kernels.CHUNK
        counts = torch.tensor([-(-self._entries[place].param.numel() // size) for place in places])
        tensors = torch.tensor(places).repeat_interleave(counts)
        firsts = (counts.cumsum(0) - counts).repeat_interleave(counts)
        chunks = torch.stack([tensors, torch.arange(len(tensors)) - firsts], dim=1)
        return chunks.to(torch.int32).to(self.device)

    def holds(self) -> bool:
        """Whether all memory is where it was."""
        return list(map(_get_address, self.written)) == self._addresses

    def upload(self, grads: Sequence[Tensor], rows: Sequence[float], key: int) -> Numbers:
        """Return a step's numbers on the device: rows of floats, one after the other for each of `kinds`."""
        addresses = list(map(_get_address, grads))
        if self._numbers is None or self._sent != (addresses, rows, key):
            self._numbers = self._uploaded(addresses, rows, key, self._host_memory(len(addresses) + len(rows) + 1))
            self._sent = addresses, list(rows), key
        return self._numbers

    def record_addresses(self, grads: Sequence[Tensor]) -> tuple[Numbers, Tensor]:
        """Return the gradients' addresses on the device, where a step is recorded, and the memory they come from.

        What is recorded is a copy, made again by every step: that memory has to stay as it is, and cannot be allocated
        now.
        """
        addresses = list(map(_get_address, grads))
        if not self._spare:
            raise ImplementationError(
                f"{_SPARE} steps were recorded with no step between them, and memory for one more cannot be allocated "
                "meanwhile. Take a step before recording the next one."
            )
        host = self._spare.pop()
        return self._uploaded(addresses, [], 0, host), host

    def make_ready_to_record(self) -> None:
        """Have memory for `record_addresses`."""
        while len(self._spare) < _SPARE:
            self._spare.append(self._host_memory(len(self._entries) + 1))

    def _host_memory(self, count: int) -> Tensor:
        return torch.empty(count, dtype=torch.int64, pin_memory=not self._is_on_host)

    def _uploaded(self, addresses: list[int], rows: Sequence[float], key: int, host: Tensor) -> Numbers:
        count = len(addresses)
        host[:count] = torch.tensor(addresses)
        host[count:-1].view(torch.float64).copy_(torch.tensor(rows, dtype=torch.float64))
        host[-1] = key
        there = host.clone() if self._is_on_host else host.to(self.device, non_blocking=True)
        are_aligned = math.gcd(_VECTOR, *addresses) == _VECTOR
        return Numbers(there[:count], there[count:-1].view(torch.float64), there[-1:], are_aligned)

    def coefficients(self, scalars: Scalars) -> list[float]:
        """Return six coefficients for each of `kinds`, all known on the host."""
        return [number for group, first in self.kinds for number in six_coefficients(scalars[first][group])]

    def launch(self, numbers: Numbers, stop: Tensor | None) -> None:
        """Step all parameters; where `stop` is above 0, none."""
        kernels = self._kernels
        with on_device(self.device):
            for launch in self.launches:
                constants = {**launch.constants, "MAY_STOP": stop is not None, "CHUNK": kernels.CHUNK}
                constants["IS_ALIGNED"] &= numbers.are_aligned
                kernels.launch(
                    kernels.step_chunks,
                    len(launch.chunks),
                    launch.chunks,
                    self._tensors,
                    numbers.grads,
                    numbers.rows,
                    numbers.key,
                    stop,
                    **constants,
                )
        torch._C._increment_version(self.written)


def on_device(device: torch.device) -> AbstractContextManager[Any]:
    """Return what makes a device the one that kernels are launched on."""
    return nullcontext() if device.type == "cpu" else torch.accelerator.device_index(device.index)


def _formats_of(entry: Entry) -> tuple[int, int, int]:
    velocity = entry.velocity
    code = NO_VELOCITY if velocity is None else _CODED if entry.scales is not None else _FORMAT_OF[velocity.dtype]
    return _FORMAT_OF[entry.param.dtype], code, ROUNDINGS[entry.rounding]
