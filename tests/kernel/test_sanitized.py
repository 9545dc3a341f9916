"""The kernels' own tests in C++ run clean under sanitizers, and give their bits whatever flags were asked for."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "csrc" / "tests"
COMPILER = os.environ.get("CXX", "c++")
MISSING = 77
"""Exit code of the script where the compiler lacks the sanitizers."""

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"there is no C++ compiler here ({COMPILER})")


def place_of(sanitizers: str) -> Path:
    """Return the folder of what these sources and this compiler give, where it may lie already; others' are removed.

    Building takes twice as long as running.
    """
    sources = sorted(path for path in SCRIPTS.parent.rglob("*") if path.suffix in {".cpp", ".h", ".txt", ".sh"})
    version = subprocess.run([COMPILER, "--version"], capture_output=True, check=True).stdout
    digest = hashlib.sha256(version + b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    place = SCRIPTS.parents[1] / "build" / "sanitized" / f"{sanitizers.replace(',', '-')}-{digest}"
    for other in place.parent.glob(f"{place.name.rpartition('-')[0]}-*"):
        if other != place:
            shutil.rmtree(other)
    place.mkdir(parents=True, exist_ok=True)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_sanitizers_find_nothing(sanitizers: str) -> None:
    """Every format, instruction set and number of threads, optimised as shipped: nothing out of bounds, no race."""
    done = subprocess.run(
        [str(SCRIPTS / "run_sanitized.sh"), sanitizers, str(place_of(sanitizers))],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode == MISSING:
        pytest.skip(done.stderr.splitlines()[0])
    assert done.returncode == 0, done.stdout + done.stderr
    passed = ("threads: passed",) if sanitizers == "thread" else ("all passed", "arrays: passed")
    assert all(words in done.stdout for words in (*passed, "bits "))


@pytest.mark.slow
def test_flags_that_were_asked_for_change_no_bit() -> None:
    """Inexact mathematics and fused multiply-add in CXXFLAGS are undone by what the kernels need."""
    flags = "-Ofast -ffast-math -funsafe-math-optimizations -ffinite-math-only -ffp-contract=fast -march=native"
    done = subprocess.run(
        [str(SCRIPTS / "run_bits.sh")],
        env={**os.environ, "CXXFLAGS": flags},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("bits ")
