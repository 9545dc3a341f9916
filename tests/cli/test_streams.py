"""Text that the terminal or the locale cannot spell: printed escaped, read and written all the same."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib

import pytest
from command_line import SHORT

import warm
from downslope.cli.main import main
from downslope.recipe.load import load_recipe

ASCII = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": ""}
"""A locale in which Python knows ASCII alone."""
TITLE = "\u4e2d\u6587 caf\u00e9 \U0001f600"


EACH = """
import sys
from downslope.cli.main import main
words = sys.argv[1:]
while words:
    end = words.index(";")
    code = main(words[:end])
    words = words[end + 1:]
    for stream in (sys.stdout, sys.stderr):
        print(f"--{code}--", file=stream, flush=True)
"""
"""Runs several command lines in one process, since each would load torch again."""


def downslope(*words, env, folder):
    """Run the command in a folder and return (exit code, stdout, stderr), both as bytes."""
    command = [sys.executable, "-m", "downslope", *map(os.fsencode, words)]
    done = subprocess.run(command, capture_output=True, check=False, env=env, cwd=folder)
    return done.returncode, done.stdout, done.stderr


def test_a_terminal_that_knows_ascii_alone_gets_escapes_that_toml_reads(tmp_path):
    """The printed recipe is ASCII and, read again, has the title."""
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    code, out, err = downslope("train", "--title", f'"{TITLE}"', "--print-config", env=env, folder=tmp_path)
    assert (code, err) == (0, b"")
    assert tomllib.loads(out.decode("ascii"))["title"] == TITLE


def test_a_recipe_s_name_that_is_no_text_to_the_locale_is_trained_and_reported(tmp_path):
    """In a locale of ASCII, with Chinese in the paths and the title: every file is written, in UTF-8."""
    name = "\u4e2d\u6587"
    (tmp_path / f"{name}.toml").write_text("[sgd]\nlr = 0.1\n[train]\nsteps = 60\n", encoding="utf-8")
    commands = [
        ["train", f"{name}.toml", *SHORT, "--title", f'"{TITLE}"'],
        ["evaluate", f"runs/{name}", "--json"],
        ["report", f"runs/{name}", "--out", f"{name}.html"],
    ]
    words = [os.fsencode(word) for command in commands for word in (*command, ";")]
    done = subprocess.run(
        [sys.executable, "-c", EACH, *words], capture_output=True, check=True, env=ASCII, cwd=tmp_path
    )
    (out, evaluated, reported, _), (err, _, said, _) = (text.split(b"--0--\n") for text in (done.stdout, done.stderr))
    assert b"error" not in err, err
    assert f"run folder  runs/{name}\n".encode() in out
    run = tmp_path / "runs" / name
    assert load_recipe(run / "recipe.toml").title == TITLE
    assert TITLE in (run / "report.html").read_text(encoding="utf-8")
    assert json.loads(evaluated)["run"] == f"runs/{name}"
    assert (reported, said) == (f"report: {name}.html\n".encode(), b"")
    assert TITLE in (tmp_path / f"{name}.html").read_text(encoding="utf-8")


def test_an_error_with_a_name_that_is_no_text_is_one_message(tmp_path):
    """The name comes out as the bytes that went in."""
    code, out, err = downslope("train", "\u4e2d.toml", env=ASCII, folder=tmp_path)
    assert (code, out) == (2, b"")
    assert err.startswith("downslope: error: \u4e2d.toml: no such file.".encode())


def test_an_override_that_is_no_utf8_is_refused(tmp_path):
    """A title in another encoding cannot be written into a recipe, and is not guessed at."""
    command = [sys.executable, "-m", "downslope", "train", "--title", b'"caf\xe9"', "--print-config"]
    done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"the value of --title is not UTF-8 text" in done.stderr


REDIRECTIONS = {"stderr": "2>&-", "all three": "<&- >&- 2>&-"}


@pytest.mark.parametrize("closed", REDIRECTIONS)
def test_a_stream_that_is_closed_costs_nothing_but_its_words(closed, tmp_path, capsys):
    """With standard error or all of them closed, training goes on, and no file of the run gets their words."""
    words = shlex.join([sys.executable, "-m", "downslope", "train", *SHORT, "--out", "run"])
    done = subprocess.run(
        ["sh", "-c", f"{words} {REDIRECTIONS[closed]}"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert "bug" not in done.stderr.decode()
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 60
    assert {json.loads(line)["kind"] for line in (tmp_path / "run/log.jsonl").read_text().splitlines()} >= {"step"}


def test_no_control_sequence_reaches_the_terminal(tmp_path):
    """In the name of a recipe, its title, a class or an unknown option: escaped, on both streams; JSON stays JSON."""
    evil = "\x1b]0;owned\x07\u202egpj"
    rows = "".join(f"{i % 7},{'evil' if i % 2 else 'tame'}\n" for i in range(40)).replace("evil", evil)
    (tmp_path / "t.csv").write_text(f"x{evil},y\n{rows}", encoding="utf-8")
    data = ["--data.name", "table", "--data.options", '{ path = "t.csv", target = "y" }']
    run = ["--train.steps", "20", "--out", f"r{evil}"]
    commands = [
        ["train", *data, *run, "--title", f'"{json.dumps(evil)[1:-1]}"'],
        ["evaluate", f"r{evil}"],
        ["predict", f"r{evil}"],
        ["predict", f"r{evil}", "--json"],
        ["report", f"r{evil}"],
        ["watch", f"r{evil}", "--once"],
        ["train", f"--{evil}"],
        ["train", f"{evil}.toml"],
        [evil],
        ["read", f"lr 0.1 {evil} 37"],
        ["explain", f"SGD, lr 0.1, {evil} 90 epochs"],
        ["compare", f"lr 0.1 {evil}", f"lr 0.2 {evil}"],
    ]
    script = (
        "import json, sys\nfrom downslope.cli.main import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    code = main(words)\n    print('\\n--', code, flush=True)\n"
        "    print('\\n--', file=sys.stderr, flush=True)\n"
    )
    done = warm.run("-c", script, json.dumps(commands), cwd=tmp_path, text=False)
    assert done.returncode == 0
    outs, errs = re.split(rb"\n-- \d+\n", done.stdout), done.stderr.split(b"\n--\n")
    assert len(outs) == len(errs) == len(commands) + 1
    for words, out, err in zip(commands, outs, errs, strict=False):
        assert b"bug" not in err, err
        assert out.strip() or err.strip()
        assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xe2\x80\xae", out + err), (words, out, err)
        if "--json" in words:
            assert evil in {row["class_name"] for row in json.loads(out)["predictions"]}


def test_a_library_s_warning_is_a_line_without_a_path(tmp_path):
    """What NumPy or Pillow warn of is said as ours are, without the place of their installation."""
    code = (
        "import warnings\nfrom downslope.cli.main import main\n"
        "main(['--version'])\nwarnings.warn('a  matter\\nof two lines', RuntimeWarning)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stderr == "downslope: warning: a matter of two lines (RuntimeWarning)\n"
