"""The kernels' own test in C++, built with address and undefined-behaviour sanitizers, runs clean."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "csrc" / "tests" / "run_sanitized.sh"


@pytest.mark.slow
def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    """Every format, instruction set and number of threads: no access out of bounds, no undefined behaviour."""
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no C++ compiler here ({compiler})")
    done = subprocess.run(
        [str(SCRIPT), "address,undefined", str(tmp_path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all passed" in done.stdout
