"""Folders and files without the right to read them: the permission is named, and nothing is said to be missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

SETPRIV = shutil.which("setpriv")
WITHOUT_RIGHTS = [SETPRIV or "", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
"""Permissions bind root too that has lost these."""

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or (os.geteuid() == 0 and SETPRIV is None), reason="permissions bind nobody here"
)


def run(*words, cwd):
    """Return the exit code of a command, what it printed, and what it said of errors."""
    rights = WITHOUT_RIGHTS if os.geteuid() == 0 else []
    command = [*rights, sys.executable, "-m", "downslope", *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def closed(tmp_path):
    """Yield a folder with `noread`, which nobody may read, `noenter`, which lists its names alone, and closed files."""
    for name in ("noread", "noenter", "open/inside"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "recipe.toml").write_text("")
    for name in ("table.csv", "image.png"):
        (tmp_path / name).write_text("a,b\n1,2\n")
    modes = {"noread": 0, "noenter": 0o444, "open/inside": 0, "table.csv": 0, "image.png": 0}
    for name, mode in modes.items():
        (tmp_path / name).chmod(mode)
    yield tmp_path
    for name in modes:
        (tmp_path / name).chmod(0o755)


def test_a_list_of_a_folder_that_may_not_be_read_fails(closed):
    """No word of there being no runs; a folder that only names what it holds is as closed."""
    for name in ("noread", "noenter"):
        code, printed, said = run("list", name, cwd=closed)
        assert (code, printed) == (2, "")
        assert said == f"downslope: error: list: {name}: cannot be read: Permission denied.\n"


def test_a_list_names_what_it_could_not_look_into(closed):
    """Of a folder within, beside what was found; the list as JSON stays JSON."""
    code, printed, said = run("list", "open", cwd=closed)
    assert (code, printed) == (0, "There are no runs in open where it can be read.\n")
    assert said == "open/inside: cannot be read: Permission denied.\n"
    assert run("list", "open", "--json", cwd=closed) == (0, "[]\n", said)


@pytest.mark.parametrize("command", ["evaluate", "report", "resume", "audit"])
@pytest.mark.parametrize("name", ["noread", "noenter"])
def test_a_run_that_may_not_be_read_is_not_called_none(closed, command, name):
    """Whether it has a recipe nobody can see."""
    code, _, said = run(command, name, cwd=closed)
    assert (code, said) == (2, f"downslope: error: {name}: cannot be read: Permission denied.\n")


@pytest.mark.parametrize("command", ["explain", "audit", "train"])
@pytest.mark.parametrize("name", ["table.csv", "image.png"])
def test_data_that_may_not_be_read_are_not_advised_on(closed, command, name):
    """What would be done with them fails as well."""
    code, _, said = run(command, name, cwd=closed)
    assert (code, said) == (2, f"downslope: error: {name}: cannot be read: Permission denied.\n")
