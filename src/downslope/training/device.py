"""The device that a run computes on: found by name, set up so that bits repeat, copied to, and looked at.

This is the one file that names kinds of devices. Everywhere else a device is a `torch.device`, and the host's memory,
where data lie and random numbers are drawn, is `HOST`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from downslope.core.errors import DownslopeError, did_you_mean
from downslope.core.shown import shown
from downslope.training.view.usage import Usage
from downslope.training.workers.rendezvous import LocalPlace

HOST = torch.device("cpu")

_KINDS = ("cuda", "mps", "xpu")
_COLLECTIVES = {"cuda": "nccl", "xpu": "xccl"}
"""What carries tensors from one worker's device to another's; between hosts it is gloo."""
_WITHOUT_FLOAT64 = frozenset({"mps"})
_CHANNELS_LAST = frozenset({"cuda", "xpu"})
_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""cuBLAS repeats its sums bit for bit only with workspaces of a fixed size, which it reads when it is first used."""


class DeviceError(DownslopeError):
    """The device that was asked for is not there, or cannot be shared as asked."""


ALONE = LocalPlace()
"""A process that trains by itself."""


def is_host(device: torch.device) -> bool:
    """Whether a device is the processor itself, whose every operation is done when its call returns."""
    return device.type == HOST.type


def place_model(model: nn.Module, device: torch.device, *, channels_last: bool = False) -> nn.Module:
    """Return a model on a device, in the order in memory that convolutions over images read fastest where asked for."""
    if channels_last:
        return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model if is_host(device) else model.to(device)


def is_channels_last(model: nn.Module) -> bool:
    """Whether a model's convolutions over images have their channels last in memory."""
    return any(
        param.ndim == 4 and param.is_contiguous(memory_format=torch.channels_last) and not param.is_contiguous()
        for param in model.parameters()
    )


def prefers_channels_last(device: torch.device, model: nn.Module) -> bool:
    """Whether a model has convolutions over images that a device computes faster with channels last in memory."""
    return device.type in _CHANNELS_LAST and any(isinstance(module, nn.Conv2d) for module in model.modules())


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's first parameter, or buffer; that of a model without either is the host."""
    first = next(model.parameters(), None)
    first = next(model.buffers(), None) if first is None else first
    return HOST if first is None else first.device


def find_device(wanted: str = "auto", place: LocalPlace = ALONE, *, before: str | None = None) -> torch.device:
    """Return the device of this process, and make it the current one of its kind.

    Args:
        wanted: "auto" for torch's accelerator if there is one; or "cpu"; or another kind, with or without a number.
        place: Which of the workers of this machine this process is: each gets a device of its own.
        before: The kind of device that a run was on before; "auto" stays with it where it is there.

    Raises:
        DeviceError: If there is no such device here, or not one for each worker.
    """
    kind, _, number = wanted.partition(":")
    if kind == "auto" and not number:
        kind = before if before is not None and _count(before) else _accelerator()
    count = _count(kind)
    if not count or (number and int(number) >= count):
        names = [HOST.type, *_KINDS, "auto"]
        near = "" if kind in names else did_you_mean(kind, names)
        raise DeviceError(f"train.device = {shown(wanted)!r}: there is no such device here.{near} {_what_there_is()}")
    if kind == HOST.type:
        return HOST
    if place.size > 1 and kind not in _COLLECTIVES:
        raise DeviceError(
            f"{place.size} workers cannot share a device of the kind {kind!r}: nothing carries tensors between them. "
            "Leave --workers out, or train with --device cpu."
        )
    if number and place.size > 1:
        raise DeviceError(
            f"train.device = {wanted!r} is one device, and there are {place.size} workers on this machine, each of "
            f'which needs one. Use train.device = "{kind}", which gives each its own, or --device cpu.'
        )
    index = int(number or place.rank)
    if index >= count:
        if not (place.is_assigned and count == 1):
            raise DeviceError(
                f"{place.size} workers on this machine need a device each, and there {_are(count, kind)}. Use "
                f"--workers {count}, which gives the same bits, or --device cpu."
            )
        index = 0
    os.environ.setdefault(*_WORKSPACE)
    module = torch.get_device_module(kind)
    if hasattr(module, "set_device"):
        module.set_device(index)
    return torch.device(kind, index)


def backends() -> str:
    """Return the process group's backends: gloo for what lies on the host, another for what lies on a device."""
    kind = _accelerator()
    return "gloo" if kind not in _COLLECTIVES else f"{HOST.type}:gloo,{kind}:{_COLLECTIVES[kind]}"


def describe_device(device: torch.device) -> dict[str, str]:
    """Return what of a device can change bits: its kind, name, and the versions of what computes on it."""
    if is_host(device):
        return {"device": HOST.type}
    module = torch.get_device_module(device.type)
    named = module.get_device_name(device) if hasattr(module, "get_device_name") else device.type
    versions = {name: getattr(torch.version, name, None) for name in ("cuda", "hip", "xpu")}
    told = [f"{name} {version}" for name, version in versions.items() if version]
    if device.type == "cuda" and torch.backends.cudnn.is_available():
        told.append(f"cudnn {torch.backends.cudnn.version()}")
    return {"device": device.type, "device_name": str(named), "device_software": ", ".join(told)}


def name_of(device: torch.device) -> str:
    """Return a device's name for people, with its number."""
    return HOST.type if is_host(device) else f"{describe_device(device)['device_name']} ({device})"


def _accelerator() -> str:
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return HOST.type if found is None else found.type


def _count(kind: str) -> int:
    """Return how many devices of a kind there are here."""
    if kind == HOST.type:
        return 1
    if kind not in _KINDS and kind != _accelerator():  # which may be one that torch itself does not know
        return 0
    module = torch.get_device_module(kind)
    return module.device_count() if module.is_available() else 0


def _are(count: int, kind: str) -> str:
    return f"is 1 ({kind})" if count == 1 else f"are {count} ({kind})"


def _what_there_is() -> str:
    kinds = [f"{kind} ({count})" for kind in dict.fromkeys((*_KINDS, _accelerator())) if (count := _count(kind))]
    kinds = [kind for kind in kinds if not kind.startswith(HOST.type)]
    return f"There is {', '.join([HOST.type, *kinds])}." if kinds else "There is cpu alone."


# Arithmetic and random numbers


@contextmanager
def exact_arithmetic(device: torch.device, *, tf32: bool = False) -> Iterator[None]:
    """Within its ``with`` block, a device's libraries take the same algorithms each time, in full float32.

    What torch itself has a choice of is asked for by `deterministic` in `run/environment.py`.

    Args:
        device: The device; for the host nothing has to be done.
        tf32: Whether float32 products may be formed of factors rounded to 10 bits.
    """
    if device.type != "cuda":
        yield
        return
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    settings = [(cudnn, "deterministic", True), (cudnn, "benchmark", False)]
    # float32 products in full: convolutions are formed by TF32 unless one says otherwise
    settings += [(matmul, "allow_tf32", tf32), (cudnn, "allow_tf32", tf32)]
    settings.append((matmul, "allow_fp16_reduced_precision_reduction", False))
    settings.append((matmul, "allow_bf16_reduced_precision_reduction", False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's newer names for the same are not in all versions
        before = [getattr(where, name) for where, name, _ in settings]
        for where, name, value in settings:
            setattr(where, name, value)
        try:
            yield
        finally:
            for (where, name, _), value in zip(settings, before, strict=True):
                setattr(where, name, value)


def seed_device(device: torch.device, value: int) -> None:
    """Seed the generator from which operations on a device draw, such as dropout's."""
    if not is_host(device):
        _seeding(device.type, device.index)(value)


@cache
def _seeding(kind: str, index: int | None) -> Any:
    module = torch.get_device_module(kind)
    generators = getattr(module, "default_generators", None)
    return generators[index or 0].manual_seed if generators else module.manual_seed


def in_float64(tensor: Tensor) -> Tensor:
    """Return a tensor's numbers in float64, on the host where its device has no such format."""
    return tensor.cpu().double() if tensor.device.type in _WITHOUT_FLOAT64 else tensor.double()


def fetch(scalars: Sequence[Tensor]) -> list[float]:
    """Return 0-d tensors as numbers, those of a device by one copy that waits for it."""
    if not scalars:
        return []
    if any(is_host(scalar.device) for scalar in scalars) or len({scalar.device for scalar in scalars}) > 1:
        return [float(scalar) for scalar in scalars]
    return torch.stack([scalar.float() if scalar.dtype.itemsize < 4 else scalar for scalar in scalars]).tolist()


# Copies from the host


class Copier:
    """Copies tensors from the host to a device while that computes something else.

    A copy goes from pinned memory, by a stream of its own where the device has streams; what uses it waits for it on
    the device, and this process for nothing.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        module: Any = None if is_host(device) else torch.get_device_module(device.type)
        self._module = module if all(hasattr(module, name) for name in ("Stream", "stream", "current_stream")) else None
        self._stream = None if self._module is None else self._module.Stream(device)
        self._pins = self._module is not None

    def rows(self, source: Tensor, rows: Tensor) -> Tensor:
        """Return rows of a tensor on the host, in memory that a device can read by itself where there is such."""
        if not self._pins:
            return source.index_select(0, rows)
        shape = (len(rows), *source.shape[1:])
        return torch.index_select(source, 0, rows, out=torch.empty(shape, dtype=source.dtype, pin_memory=True))

    def begin(self, tensors: Sequence[Tensor], *, channels_last: bool = False) -> Copied:
        """Begin to copy tensors from the host; images in the order that convolutions read, where asked for."""
        if is_host(self.device):
            return Copied(tuple(_ordered(tensor, channels_last=channels_last) for tensor in tensors))
        if self._module is None or self._stream is None:
            moved = [tensor.to(self.device, non_blocking=True) for tensor in tensors]
            return Copied(tuple(_ordered(tensor, channels_last=channels_last) for tensor in moved))
        with self._module.stream(self._stream):
            moved = [
                (tensor if tensor.is_pinned() else tensor.pin_memory()).to(self.device, non_blocking=True)
                for tensor in tensors
            ]
            ordered = tuple(_ordered(tensor, channels_last=channels_last) for tensor in moved)
            return Copied(ordered, self._module, self._stream.record_event())


@dataclass(frozen=True)
class Copied:
    """Tensors on their way to a device."""

    tensors: tuple[Tensor, ...]
    module: Any = None
    done: Any = None

    def take(self) -> tuple[Tensor, ...]:
        """Return them, for what this process asks of the device from now on."""
        if self.done is not None:
            now = self.module.current_stream()
            now.wait_event(self.done)
            for tensor in self.tensors:
                tensor.record_stream(now)  # their memory is not given away before that is done, either
        return self.tensors


def _ordered(tensor: Tensor, *, channels_last: bool) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if channels_last and tensor.ndim == 4 else tensor


# What is looked at while a run goes on


def usage_of(device: torch.device) -> Usage | None:
    """Return how far a device is in use; None for the host, and where the device does not tell.

    It asks the allocator and the driver, neither of which waits for the device.
    """
    if is_host(device):
        return None
    module: Any = torch.get_device_module(device.type)
    if device.type == "mps":
        return Usage(module.current_allocated_memory(), module.driver_allocated_memory(), _total(device))
    try:
        memory, peak = module.memory_allocated(device), module.max_memory_allocated(device)
    except (AttributeError, RuntimeError):
        return None
    return Usage(memory, peak, _total(device), _busy(device))


@cache
def _total(device: torch.device) -> int | None:
    module: Any = torch.get_device_module(device.type)
    try:
        if device.type == "mps":
            return module.recommended_max_memory()
        return module.get_device_properties(device).total_memory
    except (AttributeError, RuntimeError):
        return None


_silent: set[torch.device] = set()
"""Devices whose driver does not tell how busy they are: it needs a library that may not be there."""


def _busy(device: torch.device) -> float | None:
    if device in _silent:
        return None
    try:
        return torch.get_device_module(device.type).utilization(device) / 100
    except Exception:  # noqa: BLE001  whatever its library raises
        _silent.add(device)
        return None
