"""What a message advises is then done, word for word, and works."""

import json
import re
import shlex
from pathlib import Path

import pytest
from command_line import SHORT, fail, succeed

from downslope import kernel
from downslope.cli.main import main

pytestmark = pytest.mark.usefixtures("in_an_empty_folder", "no_report")

STOPPED = ["--train.early_stop.patience", "1", "--train.early_stop.min_delta", "9.0"]


def is_advised(text):
    """Return whether a message advises what always works."""
    return "start a new run with --resume never and another --out" in text


@pytest.mark.parametrize("out", [["--out", "one"], []], ids=["with --out", "with --resume PATH"])
def test_a_finished_run_s_advice_starts_another(out, capsys):
    """A folder that holds a finished run, given by --out or --resume: the words that it advises train again."""
    succeed(["train", *SHORT, "--out", "one"], capsys)
    where = out or ["--resume", "one"]
    said = succeed(["train", *SHORT, *where], capsys)
    assert "nothing to do" in said
    assert is_advised(said)
    assert "finished    60 of 60 steps" in succeed(["train", *SHORT, "--resume", "never", "--out", "two"], capsys)


@pytest.mark.parametrize("where", [["--out", "one"], ["--resume", "one"], ["--resume", "one", "--out", "two"]], ids=str)
def test_another_recipe_s_advice_starts_another(where, capsys):
    """A change that no run can take on its way: whatever was given, the advised words train."""
    succeed(["train", *SHORT, "--out", "one"], capsys)
    said = fail(["train", *SHORT, "--seed", "1", *where], capsys)
    assert "seed 0 -> 1" in said
    assert is_advised(said)
    succeed(["train", *SHORT, "--seed", "1", "--resume", "never", "--out", "two"], capsys)


def test_an_early_stop_s_advice_releases_it(capsys, tmp_path):
    """The line that a stopped run ends with is a command, and goes on; more epochs alone say that line again."""
    first = succeed(["train", *SHORT, *STOPPED, "--out", "a run"], capsys)
    assert "finished    40 of 60 steps" in first
    assert ", by an early stop" in first
    held = succeed(["resume", "a run", "--train.steps", "80"], capsys)
    for said in (first, held, succeed(["resume", "a run"], capsys)):
        (line,) = re.findall(
            r"^continue    past the early stop with more patience: downslope (.*)$", said, re.MULTILINE
        )
        assert shlex.split(line) == ["resume", "a run", "--train.early_stop.patience", "2"]
    gone_on = succeed(shlex.split(line), capsys)
    assert "finished    60 of 80 steps" in gone_on
    assert "--train.early_stop.patience 4" in gone_on


def test_a_dry_run_says_what_training_would_say(capsys):
    """A reduction that a changed lr undoes is told before anything is trained, and only what training would tell."""
    plateau = ["--train.plateau.patience", "1", "--train.plateau.min_delta", "9.0"]
    succeed(["train", *SHORT, *plateau, "--out", "one"], capsys)
    said = succeed(["resume", "one", "--train.steps", "80", "--sgd.lr", "0.3", "--dry-run"], capsys)
    assert "lr is the recipe's again: 0.3. A plateau had reduced it to 0.001, but" in said
    assert "number of threads" not in said


def test_where_groups_take_every_parameter_no_other_s_settings_are_shown(capsys):
    """The dry run has a table for each group, none for parameters that there are not; the log has the last group's."""
    groups = ["--groups", '[{ match = "*.bias", lr = 0.3 }, { match = "*", lr = 0.2 }]']
    said = succeed(["train", *SHORT, *groups, "--dry-run"], capsys)
    assert re.findall(r"^schedule.*$", said, re.MULTILINE) == ["schedule of *.bias", "schedule of *"]
    assert "all others" not in said
    succeed(["train", *SHORT, *groups, "--out", "one"], capsys)
    rows = map(json.loads, Path("one/log.jsonl").read_text(encoding="utf-8").splitlines())
    assert {row["lr"] for row in rows if row["kind"] == "step"} == {0.2}
    rest = succeed(["train", *SHORT, "--groups", '[{ match = "*.bias", lr = 0.3 }]', "--dry-run"], capsys)
    assert re.findall(r"^schedule.*$", rest, re.MULTILINE) == ["schedule", "schedule of *.bias"]


def test_the_step_s_backend_is_among_the_first_lines(capsys):
    """What steps run on is said before training, in the words of the kernel."""
    assert f"\nstep        {kernel.backend()}\n" in succeed(["train", *SHORT, "--dry-run"], capsys)


def test_an_lr_beyond_float32_is_one_message(capsys):
    """A number that is finite here and infinite in the parameters' precision is a person's mistake, in one message."""
    assert main(["train", "--train.steps", "3", "--sgd.lr", "1e39", "--out", "one"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("downslope: error: ")
    assert "which float32 cannot hold" in err
    assert "bug" not in err
    assert err.count("\n") == 1
