"""The commands that train, on a real run: trained, shown beforehand, stopped, resumed, refused, reported."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import command, copied, fail, succeed

import warm
from downslope.cli.main import main
from downslope.recipe.load import load_recipe

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def test_training_ends_with_what_was_reached_and_where_the_page_is(trained):
    """Steps, seconds, held-out accuracy in percent, loss, the average's too, the loss's course, and the report."""
    folder, out = trained
    tail = out.splitlines()[-5:]
    assert re.fullmatch(r"finished    60 of 60 steps in \d+\.\d s", tail[0])
    assert re.fullmatch(r"held out    accuracy \d\d\.\d\d %, loss 0\.\d+", tail[1])
    assert re.fullmatch(r"            accuracy \d\d\.\d\d %, loss \d\.\d+, with the averaged weights", tail[2])
    assert re.fullmatch(r"loss        [▁-█]{2,}  last 0\.\d+, least 0\.\d+ after \d+ steps", tail[3])
    assert tail[4] == f"report      {folder / 'report.html'}"
    assert (folder / "report.html").is_file()


def test_report_of_one_and_of_several(trained, capsys, tmp_path):
    """One run's page lies in its folder, several runs' where one is, unless told otherwise."""
    folder, _ = trained
    copy = copied(folder, tmp_path)
    (copy / "report.html").unlink()
    assert succeed(["report", copy], capsys) == f"report: {copy}/report.html\n"
    assert (copy / "report.html").stat().st_size > 10_000
    assert succeed(["report", copy, folder], capsys) == "report: downslope-report.html\n"
    assert Path("downslope-report.html").is_file()
    assert succeed(["report", copy, "--out", "mine.html"], capsys) == "report: mine.html\n"
    assert Path("mine.html").is_file()
    assert "argument --out: .: is a folder. Give the file to write." in fail(["report", copy, "--out", "."], capsys)
    assert fail(["report", copy, copy], capsys).startswith(f"{copy}: the same run was given twice.")


def test_a_dry_run_shows_everything_and_writes_nothing(capsys, tmp_path):
    """Data, model, groups with their parameters, the schedule where it changes, the folder; and no file."""
    out = succeed(
        [
            "train",
            "--dry-run",
            "--groups",
            '[{ match = "*.bias", weight_decay = 0, lr = 0.5 }]',
            "--data.batch_size",
            "100",
            "--train.epochs",
            "60",
            "--model.hidden",
            "[64]",
            "--sgd.lr",
            "0.1",
        ],
        capsys,
    )
    assert list(tmp_path.iterdir()) == []
    assert out.startswith("would begin a new run\n")
    for line in (
        "data        digits: 1,437 examples to learn from, 360 held out, 10 classes",
        "length      900 steps of 100 examples, 15 to an epoch",
        "run folder  runs/digits",
        "  *.bias: lr 0.5, weight decay 0",
        "    dense1.bias 64, logits.bias 10",
        "    dense1.weight 64x64, logits.weight 10x64",
        "schedule of *.bias",
        "     0   0.00  0.1             1",
        "   899  59.93  0.1             1",
    ):
        assert f"\n{line}\n" in out
    assert out.endswith("Nothing was trained or written: this is a dry run.\n")


def test_a_dry_run_of_a_resumption_says_what_is_left(trained, capsys):
    """The checkpoint it would go on from, the steps left, and what differs from it; the folder stays as it was."""
    folder, _ = trained
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    out = succeed(["resume", folder, "--train.steps", "100", "--dry-run"], capsys)
    assert out.startswith(f"would go on from {folder}/checkpoints/step-00000060: 40 of 100 steps left\n")
    assert "\nresuming with a different recipe: train.steps 60 -> 100" in out
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before


def test_a_finished_run_resumed_is_left_alone(trained, capsys):
    """There is nothing to do, and that is said; the numbers stand there again."""
    folder, _ = trained
    out = succeed(["resume", folder], capsys)
    assert f"{folder} is finished under this recipe: nothing to do." in out
    assert "held out    accuracy " in out
    assert "finished    " not in out


def test_a_finished_run_goes_on_with_more_steps(trained, capsys, tmp_path):
    """`resume` with more steps trains the difference and remembers the new length."""
    folder, _ = trained
    copy = copied(folder, tmp_path)
    assert "finished    80 of 80 steps in " in succeed(["resume", copy, "--train.steps", "80"], capsys)
    assert load_recipe(copy / "recipe.toml").train.steps == 80
    assert json.loads(succeed(["evaluate", copy, "--json"], capsys))["step"] == 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.hidden", "[5]"], "was trained under another recipe"),
        (["--train.steps", "50"], "is at step 60, after the recipe's last, 50"),
        (["--seed", "1"], "was trained under another recipe"),
    ],
)
def test_what_cannot_be_resumed_is_refused(trained, capsys, tmp_path, words, message):
    """Another model, another seed or fewer steps than are done; the run stays as it was."""
    folder, _ = trained
    copy = copied(folder, tmp_path)
    assert message in fail(["resume", copy, *words, "--dry-run"], capsys)
    assert main(["resume", str(copy), *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert (copy / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--data.name", "digit"], 2, "data.name = 'digit': there is no such data set. Did you mean `digits`?"),
        (["--model.name", "mpl"], 2, "model.name = 'mpl': there is no such model. Did you mean `mlp`?"),
        (["--train.loss", "cross_entropi"], 2, "train.loss = 'cross_entropi': there is no such loss. Did you mean"),
        (
            ["--data", "table", "--data.options.path", "t.csv", "--data.options.target", "y", "--train.loss", "hubber"],
            2,
            "train.loss = 'hubber': there is no such loss. Did you mean `huber`?",
        ),
        (["--data.name", "nowhere:load"], 2, "data.name = 'nowhere:load': there is no module `nowhere`."),
        (["--groups", '[{ match = "*.bais", lr = 1 }]'], 2, "group pattern '*.bais' matches no parameter."),
        (["--resume", "nowhere"], 2, "--resume nowhere: no such folder. Give auto"),
        (["--model.hidden", "[10000000000000]"], 1, "out of memory."),
        (["--sgd.lr", "1e30"], 1, ""),
        (["--out", "/proc/nowhere/run"], 1, "cannot create /proc/nowhere: there is no such folder"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_training_refuses_gets_one_message(capsys, words, code, message):
    """Data, model, groups, memory, overflow and disk: a message, a code, no traceback."""
    assert main(["train", "--train.steps", "5", *words]) == code
    err = capsys.readouterr().err
    assert err.startswith(f"downslope: error: {message}")
    assert "Traceback" not in err
    assert "bug" not in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_training_and_the_command_it_names_goes_on(tmp_path, number, code):
    """The real thing: started, signalled, and resumed with the very words it printed."""
    words = ["train", "--train.steps", "100000", "--out", "a run"]
    process = warm.Running(["-m", "downslope", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: list((tmp_path / "a run").glob("checkpoints/*/manifest.json")), process)
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code
    assert "Traceback" not in err
    stopped, go_on = out.splitlines()[-2:]
    step = int(
        re.fullmatch(rf"stopped     at step ([\d,]+) of 100,000, by {number.name}; all of it is saved", stopped)[
            1
        ].replace(",", "")
    )
    assert go_on == "continue    with: downslope resume 'a run'"
    if number == signal.SIGTERM:
        return  # once is enough for the rest
    done = command("resume", "a run", "--train.steps", str(step + 10))
    assert done.returncode == 0, done.stderr
    assert f"resuming    from step {step:,}" in done.stdout
    assert f"finished    {step + 10:,} of {step + 10:,} steps" in done.stdout


def test_a_regression_prints_values(capsys, tmp_path, monkeypatch):
    """A person's own data with numbers as targets: loss without accuracy, values instead of classes."""
    Path("line_for_the_command_line.py").write_text(
        "import numpy as np\ndef load():\n    x = np.linspace(-1, 1, 50)[:, None]\n    return x, 3 * x[:, 0] + 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    recipe = [
        "--data.name",
        "line_for_the_command_line:load",
        "--model.hidden",
        "[]",
        "--train.loss",
        "mse",
        "--sgd.lr",
        "0.1",
    ]
    out = succeed(["train", *recipe, "--train.steps", "150", "--out", "line"], capsys)
    assert re.search(r"\nheld out    RMSE \S+, MAE \S+, R2 \S+, loss \S+\n", out)
    rated = r"line/\S+, after 150 steps, on 10 held-out examples:\n  RMSE \S+, MAE \S+, R2 \S+, loss \S+\n"
    assert re.fullmatch(rated, succeed(["evaluate", "line"], capsys))
    lines = succeed(["predict", "line"], capsys).splitlines()
    assert lines[1].split() == ["example", "value", "true"]
    np.save("x.npy", np.array([[0.0], [0.5]]))
    rows = json.loads(succeed(["predict", "line", "--input", "x.npy", "--json"], capsys))["predictions"]
    assert [row["value"] for row in rows] == pytest.approx([1.0, 2.5], abs=0.05)


def wait_for(condition, process, seconds=300):
    """Wait until a condition holds while a process runs."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)
