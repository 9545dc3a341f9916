"""What a run ran on, as far as it can change bits: versions, threads, processor."""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

import downslope
from downslope.core.shown import shown
from downslope.kernel import backend
from downslope.training.device import HOST, describe_device, exact_arithmetic

SMALL_MODEL = 500_000
"""Parameters below which one thread is used, unless they are used at many places."""

MUCH_WORK = 2e9
"""Multiply-adds of a batch's forward pass, as `count_work` counts them, from which a small model gets all threads."""

_MATTERS = {
    "downslope": "version of Downslope",
    "torch": "version of torch",
    "torch_build": "build of torch",
    "numpy": "version of NumPy",
    "threads": "number of threads",
    "processor": "processor",
    "instructions": "instruction set",
    "kernel": "step's backend",
    "device": "device",
    "device_name": "kind of device",
    "device_software": "device's software",
}
_BEFORE: Mapping[str, str] = MappingProxyType({"device": HOST.type})
"""What held where an earlier version has not noted it."""


def describe_environment(device: torch.device = HOST) -> dict[str, Any]:
    """Return what this process runs on, as plain values."""
    return {
        "downslope": downslope.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_build": hashlib.blake2b(torch.__config__.show().encode(), digest_size=8).hexdigest(),
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "kernel": backend(),
        **describe_device(device),
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each difference after which bits may differ.

    Example:
        >>> differences({"threads": 1}, {"threads": 2})
        ['number of threads was 1, is now 2: from here on results may differ in their last bits']
    """
    then = {**{key: value for key, value in _BEFORE.items() if key in now}, **then}
    return [
        f"{words} was {shown(then[key])}, is now {now.get(key)}: from here on results may differ in their last bits"
        for key, words in _MATTERS.items()
        if then.get(key) is not None and key in now and then[key] != now[key]  # a version may not note it
    ]


@contextmanager
def deterministic(device: torch.device = HOST, *, tf32: bool = False) -> Iterator[None]:
    """Within its ``with`` block, torch uses algorithms that repeat bit for bit, and warns where it has none.

    Args:
        device: Where the model is computed.
        tf32: Whether float32 products on it may be formed of rounded factors, which repeat bit for bit, too.
    """
    # The same switch as torch.use_deterministic_algorithms(True, warn_only=True), which would first load the whole
    # compiler of torch, for a second or more.
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("warn")
    try:
        with exact_arithmetic(device, tf32=tf32):
            yield
    finally:
        torch.set_deterministic_debug_mode(before)


@contextmanager
def unfilled() -> Iterator[None]:
    """Within its ``with`` block, torch leaves fresh memory as it is, where `deterministic` has it filled with NaN.

    Filling shows who reads what was never written, which is wanted while a person's model and data are made. In the
    steps it would cost a small model more than half as much time again.
    """
    switch: Any = torch.utils.deterministic  # a module with properties, which type checkers do not know
    before = switch.fill_uninitialized_memory
    switch.fill_uninitialized_memory = False
    try:
        yield
    finally:
        switch.fill_uninitialized_memory = before


def count_work(model: nn.Module, example: Sequence[int], batch: int) -> int:
    """Return the multiply-adds of convolutions in a batch's forward pass, were none of them to halve the resolution.

    Args:
        model: The model.
        example: Shape of an example: (places,), (channels, places), (channels, height, width).
        batch: How many there are.
    """
    convolutions = (part for part in model.modules() if isinstance(part, nn.Conv1d | nn.Conv2d))
    return batch * math.prod(example[1:] or example) * sum(part.weight.numel() for part in convolutions)


@contextmanager
def fitting_threads(parameters: int, *, shards: int = 1, work: int = 0, begun: int | None = None) -> Iterator[None]:
    """Within its ``with`` block, torch uses one thread if the model is small, or if batches are split into shards.

    The operations of a small model take microseconds, and handing them to threads costs more than it gains; on a
    machine that is busy, where the threads wait for one another, fifty times as much. Those of a convolutional network
    with few parameters do not, if batches or images are large. Shards are there to be computed by several processes,
    whose bits must not depend on how many of them share the processors. A person's OMP_NUM_THREADS is left alone.

    Args:
        parameters: How many the model has.
        shards: Parts of each batch.
        work: What `count_work` counts.
        begun: Threads of the run that goes on; a small model that had one keeps it, and with it its bits.
    """
    before = torch.get_num_threads()
    is_small = parameters < SMALL_MODEL and (work < MUCH_WORK or begun == 1)
    if (is_small or shards > 1) and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
