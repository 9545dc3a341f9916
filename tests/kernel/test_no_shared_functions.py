"""Of the kernels of two instruction sets the linker keeps no function once for both.

It does so with inline functions that were not expanded: whichever it keeps may be one that a processor cannot run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "csrc"
COMPILER = os.environ.get("CXX", "c++")


@pytest.mark.skipif(not (shutil.which(COMPILER) and shutil.which("nm")), reason=f"there is no {COMPILER}, or no nm")
def test_kernels_define_their_table_and_nothing_else(tmp_path: Path) -> None:
    """Compiled with little optimisation, which expands few functions, so that all that could be shared shows."""
    names = ["-DDOWNSLOPE_ISA=avx2", '-DDOWNSLOPE_ISA_NAME="avx2"']
    subprocess.run(
        [COMPILER, "-std=c++20", "-O1", *names, "-c", SOURCE / "kernels.cpp", "-o", tmp_path / "k.o"], check=True
    )
    listed = subprocess.run(["nm", "-P", "-g", tmp_path / "k.o"], capture_output=True, text=True, check=True).stdout
    defined = [line.split()[0] for line in listed.splitlines() if line.split()[1] not in "Uw"]
    assert len(defined) == 1, defined
    assert "avx2" in defined[0]
    assert "table" in defined[0]
