"""The Triton kernels compiled for devices that are not here: run by `test_triton.py` in a process of its own."""

from __future__ import annotations

import re

import pytest
from triton import compile as compiled  # type: ignore[import-not-found]
from triton.backends.compiler import GPUTarget  # type: ignore[import-not-found]
from triton.compiler import ASTSource  # type: ignore[import-not-found]

from downslope.torch import triton_kernels as kernels

FLOAT32, BFLOAT16, CODED, STOCHASTIC = 0, 1, 5, 1
STEPS = {
    "float32": {"PARAM": FLOAT32, "VELOCITY": FLOAT32, "ROUNDING": 0},
    "bfloat16, 8-bit velocity, stochastic": {"PARAM": BFLOAT16, "VELOCITY": CODED, "ROUNDING": STOCHASTIC},
}
TABLES = {"chunks": "*i32", "tensors": "*i64", "grads": "*i64", "coefficients": "*fp64", "key": "*i64", "stop": "*fp32"}
COUNTING = {
    "numbers": "*fp64",
    "tables": "*fp64",
    "counts": "*i64",
    "factor": "*fp64",
    "found": "*fp32",
    "stop": "*fp32",
    "coefficients": "*fp64",
    "key": "*i64",
    "rows": "i32",
    "length": "i32",
}


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
    constants = {**formats, "IS_ALIGNED": True, "MAY_STOP": True, "CHUNK": kernels.CHUNK}
    text = text_for(architecture, kernels.step_chunks, TABLES, constants)
    assert re.search(r"ld\.global\S*\.v4\.b32", text)
    assert re.search(r"st\.global\S*\.v4\.b32", text)


def test_the_count_of_steps_compiles():
    """With everything that it may be asked."""
    flags = ("HAS_FACTOR", "HAS_FOUND", "COUNTS_SKIPPED", "IS_ENDLESS")
    text_for(90, kernels.count_step, COUNTING, {**dict.fromkeys(flags, True), "BLOCK": 64})
