"""Steps on a device by Triton's kernels, without one: interpreted, and compiled for devices, in other processes.

TensorFlow, which other tests load, ends a process that loads Triton too; so it lies in a folder apart (`make` puts it
there), which these processes alone are given.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

APART = Path(sys.prefix) / "triton"

if (platform.system(), platform.machine()) != ("Linux", "x86_64") and not (find_spec("triton") or any(APART.glob("*"))):
    pytest.skip("there is no triton for this platform", allow_module_level=True)


@pytest.mark.parametrize(
    ("file", "switches"),
    [("triton_interpreted.py", {"TRITON_INTERPRET": "1"}), ("triton_compiled.py", {})],
    ids=["interpreted", "compiled"],
)
def test_kernels_without_a_device(file, switches, tmp_path):
    """The tests are in these files: every format, every case of the table, recorded steps; sm_80 and sm_90."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore::RuntimeWarning"]
    own = {"OMP_NUM_THREADS": "1", "TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(APART), **switches}
    environment = {word: value for word, value in os.environ.items() if not word.startswith("PYTEST_")} | own
    done = subprocess.run(
        [*command, Path(__file__).with_name(file)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout
