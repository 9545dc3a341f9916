"""The kernel's names at the top of the package: there at first use, and nothing loaded before."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import downslope
from downslope import kernel
from downslope.core.errors import SettingsError


def test_threads_are_set_at_the_top_level() -> None:
    """`downslope.set_num_threads` and `downslope.get_num_threads` are the kernel's own."""
    chosen = kernel._Threads.chosen
    try:
        downslope.set_num_threads(3)
        assert downslope.get_num_threads() == kernel.get_num_threads() == 3
        with pytest.raises(SettingsError, match="number of threads"):
            downslope.set_num_threads(0)
        assert downslope.get_num_threads() == 3
    finally:
        kernel._Threads.chosen = chosen
        kernel.use_threads()
    assert {"set_num_threads", "get_num_threads", "kernel"} <= set(dir(downslope)) & set(downslope.__all__)


def test_the_kernel_is_an_attribute_of_the_package() -> None:
    """After nothing but `import downslope`, its kernel says what it is; no framework and no NumPy is loaded for it."""
    program = """
import json, sys, downslope
assert "downslope.kernel" not in sys.modules
said = downslope.kernel.backend(), downslope.get_num_threads()
print(json.dumps([said, sorted({"numpy", "torch", "jax"} & set(sys.modules))]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    (backend, threads), loaded = json.loads(done.stdout)
    assert backend.split()[0] in {"compiled", "fallback"}
    assert threads >= 1
    assert loaded == []
