"""Settings of every test: the same random cases each time, except by night (`draws.py`), and a state of its own."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest

from draws import NIGHTLY, draws
from quick_xla import ask_for_quick_compilation

hypothesis.settings.register_profile("every day", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("nightly", max_examples=draws(100), deadline=None, print_blob=True)
hypothesis.settings.load_profile("nightly" if NIGHTLY else "every day")

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""As `make test` says: the tensors are tiny, and a process whose OpenMP has threads cannot be forked safely."""

_state = tempfile.TemporaryDirectory(prefix="downslope-state-")
os.environ["XDG_STATE_HOME"] = _state.name
"""What is noted of runs that were made here stays out of the home of whoever runs the tests; processes inherit it."""

_kept = Path(_state.name) if NIGHTLY else Path(__file__).parents[1] / "build"  # by night programs are new each time
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_kept / "programs")
os.environ |= {f"JAX_PERSISTENT_CACHE_MIN_{least}": "0" for least in ("COMPILE_TIME_SECS", "ENTRY_SIZE_BYTES")}
"""What XLA compiled it has for the next test, for processes that tests start and for the next run of the tests.

Its name is a hash of the program, of XLA's version and flags, and of the processor.
"""

if not NIGHTLY:
    ask_for_quick_compilation()

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""What is compiled is kept, as Python does unless told not to: hundreds of processes import the package here."""

collect_ignore_glob = ["conftest.py", "*/conftest.py"]
"""Doctests are looked for in every module, and two modules called conftest would be one."""

if find_spec("triton") is None:  # see torch_door/test_triton.py
    collect_ignore_glob.append("torch_door/triton_*.py")

gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of every later search for garbage, and search less often.

    It is a million objects, and none of them garbage; a search after every 700 more takes a tenth of all time.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="module")
def what_lives_is_not_searched() -> None:
    """Leave what other tests made, and still have, out of a module's own searches for garbage: a second each."""
    gc.collect()  # what is garbage would otherwise never be found
    gc.freeze()


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the report of a run, which takes longer than all the rest."""
    monkeypatch.setattr("downslope.training.run.train._write_report", lambda *_: None)


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where relative paths lead to the test's own files."""
    monkeypatch.chdir(tmp_path)
