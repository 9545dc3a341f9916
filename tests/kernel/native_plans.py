"""Plans of the compiled module made directly of tensors, without an optimizer. No test lives here."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from downslope import kernel
from downslope.kernel.coefficients import FORMATS, ROUNDINGS
from downslope.kernel.rows import Row
from downslope.torch.tensors import EXCHANGE

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")
DTYPES: Mapping[str, torch.dtype] = {name: getattr(torch, name) for name in FORMATS}
INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""By bytes of an element, the integer format that shows its bits."""

ASK = (EXCHANGE, Tensor, ("_local_tensor", "_spec", "momentum_buffer", "compensation"))
"""What a plan is told of torch."""

COMBINATIONS: tuple[tuple[str, str | None], ...] = tuple(
    (param, velocity) for param in FORMATS for velocity in (*FORMATS, None)
)
"""Formats of parameter and velocity: the kernel takes every pair."""


def native() -> Any:
    """Return the compiled module; skip the test where this installation has none."""
    module = kernel.load_native()
    if module is None:
        pytest.skip(f"no compiled module here: {kernel.backend()}")
    return module


def make_plan(
    params: Sequence[Tensor], velocities: Sequence[Tensor | None], *, rounding: str = "nearest", group: int = 0
) -> Any:
    """Return a refreshed plan of contiguous parameters that have their gradients."""
    compensations: list[Any] = [
        torch.zeros_like(p, requires_grad=False) if rounding == "compensated" else None for p in params
    ]
    rows = []
    for index, (param, velocity, compensation) in enumerate(zip(params, velocities, compensations, strict=True)):
        state = {"momentum_buffer": velocity, "compensation": compensation}
        rows.append(
            Row(
                param,
                state=state,
                velocity=velocity,
                compensation=compensation,
                kind=group,
                rounding=ROUNDINGS[rounding],
                place=index,
            )
        )
    plan = native().Plan(rows, *ASK)
    assert plan.refresh()
    return plan


def step_once(
    param: Tensor, grad: Tensor, velocity: Tensor | None, coefficients: Sequence[float], **options: Any
) -> None:
    """Take one step of one tensor, in place."""
    param.grad = grad
    make_plan([param], [velocity], **options).step(list(coefficients), 0)


def name_of(tensor: Tensor) -> str:
    """Return the name of a tensor's format."""
    return str(tensor.dtype).removeprefix("torch.")


def bits(tensor: Tensor) -> Tensor:
    """Return a tensor's bits as integers."""
    return tensor.detach().view(INTEGERS[tensor.element_size()])


def assert_equal_bits(actual: Tensor, expected: Tensor) -> None:
    """Assert that two tensors have the same bits, where not NaN, and NaN at the same places."""
    actual, expected = actual.detach(), expected.detach()
    assert actual.dtype == expected.dtype
    nan = expected.isnan()
    assert torch.equal(actual.isnan(), nan)
    wrong = (bits(actual) != bits(expected)) & ~nan
    assert not wrong.any(), f"{int(wrong.sum())} differ, first {actual[wrong][0]!r}, expected {expected[wrong][0]!r}"


@contextmanager
def restored_settings() -> Iterator[Any]:
    """Give the compiled module, and put its instruction set and number of threads back afterwards."""
    module = native()
    instruction_set, chosen = module.instruction_set(), kernel._Threads.chosen
    try:
        yield module
    finally:
        assert module.set_instruction_set(instruction_set)
        kernel._Threads.chosen = chosen
        kernel.use_threads()


def counted_during(step: Callable[[], object]) -> int:
    """Return how far another Python thread counts, every half a millisecond, while ten steps are taken."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)  # a thread that does not let go of the lock by itself is not asked to
    counted, started, stop = [0], threading.Event(), threading.Event()

    def count() -> None:
        started.set()
        while not stop.wait(0.0005):
            counted[0] += 1

    worker = threading.Thread(target=count)
    try:
        worker.start()
        started.wait()
        before = counted[0]
        for _ in range(10):
            step()
        return counted[0] - before
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        worker.join()
