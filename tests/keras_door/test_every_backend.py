"""Everything in `in_backend`, once under each backend of Keras, which is chosen once for a process.

One process per backend runs all checks, and is one test here, which fails with what failed there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = sorted(path.name for path in (HERE / "in_backend").glob("check_*.py"))
BACKENDS = ("tensorflow", "jax", "torch")


def outcomes(backend):
    """Return by file the (name, what failed or None) of each check under a backend, and what pytest printed."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    environment["DOWNSLOPE_ALONE"] = "1"  # read by in_backend/conftest.py
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            str(HERE / "in_backend"),
            "-p",
            "no:cacheprovider",
            "-p",
            "no:doctest",
        ]
        command += [
            "-o",
            "python_files=check_*.py",
            "-o",
            "addopts=",
            "-o",
            "junit_family=xunit1",
            "--junitxml",
            report,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
        assert report.exists(), done.stdout + done.stderr
        cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - pytest wrote it a moment ago
    found = {name: [] for name in FILES}
    for case in cases:
        bad = [*case.iter("failure"), *case.iter("error")]
        found[Path(case.get("file")).name].append((case.get("name"), bad[0].text if bad else None))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_checks_under_a_backend(backend):
    """Every check of every file holds."""
    results = outcomes(backend)
    assert [file for file, checks in results.items() if not checks] == [], "no check was run"
    failed = {(file, name): text for file, checks in results.items() for name, text in checks if text is not None}
    assert not failed, "\n\n".join(f"{backend}, {file}, {name}\n{text}" for (file, name), text in failed.items())
