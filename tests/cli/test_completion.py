"""`downslope completion`: what a real shell then offers."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess

import pytest
from command_line import fail, succeed

from downslope.cli.main import COMMANDS, main
from downslope.recipe.overrides import recipe_paths


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """Return the script for bash."""
    path = tmp_path_factory.mktemp("completion") / "bash"
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert main(["completion", "bash"]) == 0
    path.write_text(text.getvalue())
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here to complete in")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ([""], [*COMMANDS]),
        (["tr"], ["train"]),
        (["train", "--sgd."], [f"--{path}" for path in recipe_paths() if path.startswith("sgd.")]),
        (["train", "--train.precision", ""], ["float32", "bfloat16", "float16"]),
        (["export", "--to", "k"], ["keras"]),
        (["resume", "ru"], ["runs"]),
        (["completion", "z"], ["zsh"]),
    ],
)
def test_bash_completes(words, offered, script, tmp_path):
    """Commands, options, keys of a recipe, their words, and folders."""
    (tmp_path / "runs").mkdir()
    asked = " ".join(f"'{word}'" for word in ["downslope", *words])
    words_so_far = f"COMP_WORDS=({asked}); COMP_CWORD={len(words)}"
    program = f"source {script}; {words_so_far}; _shtab_downslope; printf '%s\\n' ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == set(offered)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell, capsys):
    """Their scripts name every command, and the shell can read its own where it is installed."""
    text = succeed(["completion", shell], capsys)
    assert all(name in text for name in COMMANDS)
    if path := shutil.which(shell):
        subprocess.run([path, "-n"], input=text, text=True, check=True)


def test_no_such_shell(capsys):
    """Refused with those that there are."""
    assert "choose from 'bash', 'zsh', 'fish'" in fail(["completion", "dos"], capsys)
