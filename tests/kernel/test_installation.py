"""Installing where there is no compiler: the package arrives without the kernel, works, and says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
sys.meta_path[:] = [f for f in sys.meta_path if not type(f).__module__.startswith("_editable")]  # this checkout's
sys.path.insert(0, sys.argv[1])
import downslope, downslope.kernel, torch
from downslope.torch import SGD
assert downslope.__file__.startswith(sys.argv[1]), downslope.__file__
param = torch.nn.Parameter(torch.ones(3))
param.grad = torch.ones(3)
SGD([param], lr=0.5).step()
print(downslope.kernel.backend(), param.tolist(), sep="; ")
"""


@pytest.mark.slow
def test_without_a_compiler_it_installs_without_the_kernel_and_says_so(tmp_path: Path) -> None:
    """With every compiler hidden, pip installs pure Python; steps go through torch's operations."""
    source, target, programs = tmp_path / "source", tmp_path / "target", tmp_path / "bin"
    (source / "docs").mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", "docs/package.md"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (source / "csrc").mkdir()
    for path in [
        *ROOT.glob("csrc/*.cpp"),
        *ROOT.glob("csrc/*.h"),
        ROOT / "csrc/CMakeLists.txt",
        ROOT / "csrc/exact_flags.txt",
    ]:
        shutil.copy(path, source / "csrc")
    programs.mkdir()  # what a PATH holds on a machine without compilers
    for name in ("sh", "uname", "env"):
        (programs / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    hidden = {**os.environ, "PATH": str(programs), "CXX": str(programs / "none"), "CC": str(programs / "none")}
    hidden["PIP_NO_COMPILE"] = "1"  # most of what is installed here is never imported
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(source)]
    done = subprocess.run(install, env=hidden, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(target.rglob("_native*.so"))
    ran = subprocess.run([sys.executable, "-c", PROGRAM, str(target)], capture_output=True, text=True, check=False)
    assert ran.stdout == (
        "fallback (the compiled kernel was not built: no C++ compiler at installation, or one that failed, which "
        "`pip install -v` shows); [0.5, 0.5, 0.5]\n"
    ), ran.stderr
