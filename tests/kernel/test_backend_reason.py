"""What the kernel says of itself where it is not there: the true reason."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
PROGRAM = """
import sys
sys.meta_path[:] = [f for f in sys.meta_path if not type(f).__module__.startswith("_editable")]
sys.path.insert(0, sys.argv[1])
from downslope import kernel
assert kernel.__file__.startswith(sys.argv[1])
print(kernel.load_native() is None, kernel.backend())
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a folder with the package, without its compiled module."""
    ignored = shutil.ignore_patterns("*.so", "__pycache__", "torch", "jax", "keras", "training", "cli", "pages")
    shutil.copytree(ROOT / "src" / "downslope", tmp_path / "downslope", ignore=ignored)
    return tmp_path


def said(package: Path, wish: str | None = None) -> str:
    """Return what a process with this package says of its kernel, or the last line of its error."""
    env = {key: value for key, value in os.environ.items() if key != "DOWNSLOPE_KERNEL"}
    env |= {} if wish is None else {"DOWNSLOPE_KERNEL": wish}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(package)],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return (done.stdout or done.stderr).strip().splitlines()[-1]


def put(package: Path, name: str, content: bytes) -> None:
    """Write a file beside the kernel's own."""
    (package / "downslope" / "kernel" / name).write_bytes(content)


def test_a_module_that_is_not_there_was_not_built(package: Path) -> None:
    """And nothing else is said of it; its types, which are there, are no module."""
    put(package, "_native.pyi", b"")
    assert said(package) == (
        "True fallback (the compiled kernel was not built: no C++ compiler at installation, or one that failed, which "
        "`pip install -v` shows)"
    )


def test_a_module_of_another_python_is_said_to_be_one(package: Path) -> None:
    """Both names are in the message."""
    put(package, "_native.cpython-399-x86_64-linux-gnu.so", b"\x7fELF")
    text = said(package)
    assert text.startswith("True fallback (the compiled kernel was built for another Python: ")
    assert "_native.cpython-399-x86_64-linux-gnu.so is there" in text
    assert NAME in text


@pytest.mark.parametrize("content", [b"", b"not a library", b"\x7fELF" + bytes(100)], ids=["empty", "text", "header"])
def test_a_module_that_does_not_load_says_what_the_loader_says(package: Path, content: bytes) -> None:
    """Its file, and the system's own words."""
    put(package, NAME, content)
    text = said(package)
    assert text.startswith("True fallback (the compiled kernel was built and does not load: ")
    assert NAME in text
    assert "compiler" not in text


def test_a_symbol_that_is_missing_is_named(package: Path) -> None:
    """A module that was linked against something that is no longer there."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("there is no C++ compiler here to make such a module with")
    source = package / "broken.cpp"
    source.write_text('extern "C" int nowhere(); extern "C" void* PyInit__native() { nowhere(); return nullptr; }\n')
    target = package / "downslope" / "kernel" / NAME
    subprocess.run([compiler, "-shared", "-fPIC", "-Wl,-z,now", str(source), "-o", str(target)], check=True)
    text = said(package)
    assert "built and does not load" in text
    assert "undefined symbol: nowhere" in text


def test_a_kernel_that_is_switched_off_says_so_whatever_is_there(package: Path) -> None:
    """Off, on, empty and unset; any other value is refused."""
    put(package, NAME, b"")
    assert said(package, "off") == "True fallback (switched off by DOWNSLOPE_KERNEL=off)"
    for wish in ("on", "", None):
        assert "built and does not load" in said(package, wish)
    for wish in ("0", "OFF", "false", "x\x1b[31m"):
        text = said(package, wish)
        assert "the environment variable DOWNSLOPE_KERNEL must be off" in text
        assert "\x1b" not in text
