"""The Triton kernels compiled for devices that are not here: run by `test_triton.py` in a process of its own."""

from __future__ import annotations

import re

import pytest
import torch
from triton import compile as compiled  # type: ignore[import-not-found]
from triton.backends.compiler import GPUTarget  # type: ignore[import-not-found]
from triton.compiler import ASTSource  # type: ignore[import-not-found]
from triton.runtime import driver  # type: ignore[import-not-found]
from triton.runtime.jit import JITFunction  # type: ignore[import-not-found]

from downslope.schedules import Cosine
from downslope.torch import SGD
from downslope.torch import triton_kernels as kernels
from downslope.torch.device_numbers import DeviceNumbers
from downslope.torch.triton_plan import KernelPlan
from downslope.torch.update import Entry

FLOAT32, BFLOAT16, CODED, STOCHASTIC = 0, 1, 5, 1
STEPS = {
    "float32": {"PARAM": FLOAT32, "VELOCITY": FLOAT32, "ROUNDING": 0},
    "float32, averaged": {"PARAM": FLOAT32, "VELOCITY": FLOAT32, "ROUNDING": 0, "IS_AVERAGED": True},
    "bfloat16, 8-bit velocity, stochastic": {"PARAM": BFLOAT16, "VELOCITY": CODED, "ROUNDING": STOCHASTIC},
}
INEXACT = re.compile(r"\b(fma|mad)\.\S*f(32|64)|\.approx|\.ftz")
TABLES = {"chunks": "*i32", "tensors": "*i64", "grads": "*i64", "coefficients": "*fp64", "key": "*i64", "stop": "*fp32"}


def text_for(architecture, kernel, arguments, constants):
    """Return a kernel's PTX for an architecture of NVIDIA's, once it is a program of the device's too."""
    source = ASTSource(kernel, arguments | dict.fromkeys(constants, "constexpr"), constants)
    program = compiled(source, GPUTarget("cuda", architecture, 32), {"enable_fp_fusion": False, "num_warps": 4})
    assert program.asm["cubin"]
    text = program.asm["ptx"]
    assert not re.search(r"\b(fma|mad)\.\S*f(32|64)|\.approx|\.ftz", text), (
        "contracted, approximated or flushed to zero"
    )
    return text


@pytest.mark.parametrize("architecture", [80, 90])
@pytest.mark.parametrize("formats", STEPS.values(), ids=STEPS)
def test_a_step_reads_and_writes_16_bytes_at_a_time(architecture, formats):
    """Of whole chunks, whose addresses are multiples of 16."""
    constants = {"IS_AVERAGED": False, **formats, "IS_ALIGNED": True, "MAY_STOP": True, "CHUNK": kernels.CHUNK}
    text = text_for(architecture, kernels.step_chunks, TABLES, constants)
    assert re.search(r"ld\.global\S*\.v4\.b32", text)
    assert re.search(r"st\.global\S*\.v4\.b32", text)


class Pretended:
    """What Triton asks its driver for, of a device that is not here."""

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=None):
        return 0

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)


@pytest.fixture
def programs(monkeypatch):
    """Have every launch end before it would begin; return what was compiled for it."""
    found = []
    driver.set_active(Pretended())
    launched = JITFunction.warmup
    monkeypatch.setattr(
        JITFunction,
        "__getitem__",
        lambda kernel, grid: lambda *words, **named: found.append(launched(kernel, *words, grid=grid, **named)),
    )
    return found


def test_every_launch_is_one_that_triton_takes(programs):
    """With the arguments that a step has: plain, with a factor, and counted on the device."""
    param, velocity, grad = (torch.zeros(kernels.CHUNK + 5) for _ in range(3))
    plan = KernelPlan(kernels, [Entry(0, 0, False, param, velocity)])
    plan.launch(plan.upload([grad], [0.0] * 6, 0), None)
    there = plan.upload([grad], [0.0] * 6, 0).with_factor(torch.ones(()))
    plan.launch(there, torch.zeros(()))
    groups = SGD([torch.nn.Parameter(param)], lr=Cosine(0.1, 0.0, 10)).param_groups
    numbers = DeviceNumbers(kernels, param.device, groups)
    numbers.write(groups, 0)
    numbers.next_step(torch.ones(()), torch.zeros(()), counts_skipped=True)
    names = [program.metadata.name for program in programs]
    assert names == ["step_chunks", "step_chunks", "count_step"]
    assert all(program.asm["cubin"] and not INEXACT.search(program.asm["ptx"]) for program in programs)
