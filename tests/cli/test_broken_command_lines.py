"""Every wrong command line gets one message on stderr, exit code 2, and no traceback."""

import subprocess
import sys

import pytest

from downslope.cli.main import COMMANDS, main

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

SEE = "See downslope {} --help."

# the words after `downslope`, and the whole message or its beginning
BROKEN = [
    (
        ["trian"],
        (f"unknown command `trian`. Did you mean `train`? The commands are {', '.join(COMMANDS)}."),
    ),
    (
        ["--sgd.lr", "0.1"],
        "the command comes first; got the option --sgd.lr. Did you mean `downslope train --sgd.lr 0.1`?",
    ),
    (["mine.toml"], "`mine.toml` is a recipe, not a command. Did you mean `downslope train mine.toml`?"),
    (["train", "missing.toml"], "missing.toml: no such file. Give the path of a recipe, or none for the default."),
    (["train", "."], ".: is a folder, not a recipe file."),
    (
        ["train", "--momentm", "0.9"],
        "train: unknown option --momentm. Did you mean --sgd.momentum? See downslope train --help.",
    ),
    (["train", "--lr", "0.1"], "train: unknown option --lr. Did you mean --sgd.lr? See downslope train --help."),
    (["train", "--lr=0.1"], "train: unknown option --lr. Did you mean --sgd.lr?"),
    (["train", "-lr", "0.1"], "train: unknown option -lr. Did you mean --sgd.lr?"),
    (["train", "--learning-rate", "0.1"], "train: unknown option --learning-rate. Did you mean --sgd.lr?"),
    (["train", "--epochs", "5"], "train: unknown option --epochs. Did you mean --train.epochs?"),
    (["train", "--batch-size", "5"], "train: unknown option --batch-size. Did you mean --data.batch_size?"),
    (["train", "--name", "x"], "train: unknown option --name. Did you mean --data.name or --model.name?"),
    (["train", "--rezume", "never"], "train: unknown option --rezume. Did you mean --resume?"),
    (["train", "--res", "never"], "train: unknown option --res. Did you mean --resume?"),
    (["train", "--xyzzy"], "train: unknown option --xyzzy. See downslope train --help."),
    (["train", "--sgd.lr"], "train: the value of --sgd.lr is missing. See downslope train --help."),
    (
        ["train", "--sgd.lr", "--seed", "1"],
        "train: the value of --sgd.lr is missing; --seed follows. If that is the value, write --sgd.lr=--seed.",
    ),
    (["train", "--out"], "train: the value of --out is missing."),
    (["train", "--out", "a", "--out", "b"], "train: --out is given more than once."),
    (["train", "--dry-run=yes"], "train: --dry-run takes no value; got 'yes'."),
    (["train", "a.toml", "b.toml"], "train: got 'b.toml' too, which is one argument too many."),
    (["train", "--sgd.lr", "-1"], "command line, --sgd.lr: `lr` must be finite and >= 0; got -1.0."),
    (["train", "--sgd.lr=-1"], "command line, --sgd.lr: `lr` must be finite and >= 0; got -1.0."),
    (["train", "--sgd.lr", "-x"], "command line, --sgd.lr: '-x' is not a TOML value."),
    (["train", "--sgd.lr", "0.1", "--sgd.lr", "0.2"], "command line, --sgd.lr: given more than once."),
    (["train", "--sgd.momentm", "0.9"], "command line, --sgd.momentm: unknown key `momentm`. Did you mean `momentum`?"),
    (["train", "--seed", "one"], "command line, --seed: `seed` must be an integer; got 'one'."),
    (
        ["train", "--sgd.nesterov", "True"],
        "command line, --sgd.nesterov: `nesterov` must be true or false; got 'True'.",
    ),
    (["train", "--train.epochs", "1", "--train.steps", "1"], "command line, --train.steps: excludes --train.epochs."),
    (["resume"], "resume: the following arguments are required: RUN. See downslope resume --help."),
    (["resume", "missing"], "missing: there is no such run folder."),
    (["resume", "missing", "--lr", "1"], "resume: unknown option --lr. Did you mean --sgd.lr?"),
    (["evaluate"], "evaluate: the following arguments are required: RUN."),
    (["evaluate", "missing"], "missing: there is no such run folder."),
    (["evaluate", "x" * 5000], "x" * 5000 + ": cannot be read: File name too long."),
    (["evaluate", "."], ".: is no run folder: it has no recipe.toml."),
    (["evaluate", "run", "--sgd.lr", "1"], "evaluate: --sgd.lr belongs to a recipe, and `evaluate` takes none:"),
    (["evaluate", "run", "--jsn"], "evaluate: unknown option --jsn. Did you mean --json?"),
    (["predict"], "predict: the following arguments are required: RUN."),
    (["predict", "missing", "--count", "0"], "predict: argument --count: must be an integer >= 1; got '0'."),
    (["predict", "missing", "--count", "-3"], "predict: argument --count: must be an integer >= 1; got '-3'."),
    (["predict", "missing", "--count", "ten"], "predict: argument --count: must be an integer >= 1; got 'ten'."),
    (["explain", "--steps", "9" * 5000], "explain: argument --steps: must be an integer below 10**18; got '9999"),
    (["explain", "--steps", "0" * 5000], "explain: argument --steps: must be an integer >= 1; got '0000"),
    (["report"], "report: the following arguments are required: RUN."),
    (["report", "missing"], "missing: there is no such run folder."),
]
IDS = [" ".join(row[0])[:50] for row in BROKEN]


@pytest.mark.parametrize(("words", "message"), BROKEN, ids=IDS)
def test_a_wrong_command_line_gets_one_message_and_exit_code_2(words, message, capsys, tmp_path):
    """The message is the table's, nothing is on stdout, and nothing was written."""
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"downslope: error: {message}")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("words", "message"), BROKEN[::5], ids=IDS[::5])
def test_the_real_command_says_and_exits_alike(words, message):
    """The installed command, as a process of its own, does what `main` does."""
    done = subprocess.run([sys.executable, "-m", "downslope", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"downslope: error: {message}")
    assert "Traceback" not in done.stderr


def test_a_run_that_may_have_been_meant_is_named(capsys, tmp_path):
    """Near a real run folder, a misspelt one, its parent and a file in it each lead there."""
    (tmp_path / "runs" / "digits").mkdir(parents=True)
    (tmp_path / "runs" / "digits" / "recipe.toml").write_text("")
    for words, message in {
        "runs/digit": "runs/digit: there is no such run folder. Did you mean `runs/digits`?",
        "runs/other": "runs/other: there is no such run folder. Beside it: runs/digits.",
        "runs": "runs: is no run folder: it has no recipe.toml. It holds runs; give one: runs/digits.",
        "runs/digits/recipe.toml": "runs/digits/recipe.toml: is a file; it lies in the run runs/digits. Give that: ",
    }.items():
        assert main(["evaluate", words]) == 2
        assert capsys.readouterr().err.startswith(f"downslope: error: {message}")


def test_a_broken_recipe_on_the_command_line_names_its_file(capsys, tmp_path):
    """The file is named as it was given."""
    (tmp_path / "mine.toml").write_text("[sgd]\nlr = 0.1\nmomentun = 0.9\n[train]\nsteps = 1\n")
    assert main(["train", "mine.toml"]) == 2
    assert capsys.readouterr().err.startswith(
        "downslope: error: mine.toml, [sgd]: unknown key `momentun`. Did you mean `momentum`?"
    )
