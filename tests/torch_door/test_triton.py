"""Steps on a device by Triton's kernels, without one: interpreted in another process, and compiled for two devices."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("triton") is None and (platform.system(), platform.machine()) != ("Linux", "x86_64"):
    pytest.skip("there is no triton for this platform", allow_module_level=True)


def test_interpreted_steps_have_the_bits_of_the_processors_kernel():
    """Every format, every case of the table, captured steps: `interpreted_triton.py` has the tests."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore::RuntimeWarning"]
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    file = Path(__file__).with_name("interpreted_triton.py")
    done = subprocess.run([*command, file], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
    assert "skipped" not in done.stdout


FLOAT32, BFLOAT16, CODED = 0, 1, 5
KERNELS = {
    "float32": {"PARAM": FLOAT32, "VELOCITY": FLOAT32, "ROUNDING": 0},
    "bfloat16, 8-bit velocity, stochastic": {"PARAM": BFLOAT16, "VELOCITY": CODED, "ROUNDING": 1},
}


@pytest.mark.parametrize("architecture", [80, 90])
@pytest.mark.parametrize("formats", KERNELS.values(), ids=KERNELS)
def test_compiles_for_a_device_that_is_not_here(architecture, formats, tmp_path, monkeypatch):
    """16 bytes are read and written at a time; nothing is contracted, approximated or flushed to zero."""
    from triton import compile as compiled
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from downslope.torch import triton_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    constants = {**formats, "IS_ALIGNED": True, "MAY_STOP": True, "CHUNK": triton_kernels.CHUNK}
    pointers = {"chunks": "*i32", "tensors": "*i64", "grads": "*i64", "coefficients": "*fp64", "key": "*i64"}
    signature = pointers | {"stop": "*fp32"} | dict.fromkeys(constants, "constexpr")
    source = ASTSource(triton_kernels.step_chunks, signature, constants)
    program = compiled(source, GPUTarget("cuda", architecture, 32), {"enable_fp_fusion": False, "num_warps": 4})
    assert program.asm["cubin"]
    text = program.asm["ptx"]
    assert re.search(r"ld\.global\S*\.v4\.b32", text)
    assert re.search(r"st\.global\S*\.v4\.b32", text)
    assert not re.search(r"\b(fma|mad)\.\S*f(32|64)|\.approx|\.ftz", text)
