"""Outputs that are NaN or inf: never right, never the best, and said."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import copied
from safetensors.numpy import load_file, save_file

from downslope.cli.main import main
from downslope.training.run.counters import Patience
from downslope.training.run.losses import choose, count_correct, cross_entropy

pytestmark = pytest.mark.usefixtures("in_an_empty_folder", "no_report")

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("logits", "right"),
    [
        ([1.0, 2.0], [1]),
        ([2.0, 2.0], [0]),  # of equal ones the first
        ([NAN, 2.0], []),
        ([2.0, NAN], []),
        ([INF, 2.0], []),
        ([2.0, INF], []),
        ([-INF, 2.0], [1]),  # a class that is left out: softmax is defined
        ([-INF, -INF], []),
        ([NAN, NAN], []),
    ],
)
def test_an_answer_that_is_no_number_is_never_right(logits, right):
    """Whatever the class: NaN, inf and nothing but -inf are no answer; -inf beside a number is."""
    outputs = torch.tensor([logits])
    for losses in (lambda _: None, lambda target: cross_entropy(outputs, target)):  # which may tell beforehand
        targets = [torch.tensor([target]) for target in (0, 1)]
        assert [int(target) for target in targets if count_correct(outputs, target, losses(target))] == right
    probability = outputs.softmax(1).max(1).values
    assert bool(choose(outputs)[1]) == bool(torch.isfinite(probability))


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
@pytest.mark.parametrize("first", [NAN, INF, -INF])
def test_what_is_no_number_is_never_the_best(metric, first):
    """Neither the first evaluation, nor after a finite one, nor does it keep a later one from being the best."""
    patience = Patience(metric)
    assert [patience.observe(value, step) for step, value in enumerate([first, 0.5, first, NAN])] == [
        False,
        True,
        False,
        False,
    ]
    assert (patience.best, patience.best_step, patience.waited) == (0.5, 1, 2)


def broken(trained, tmp_path, share):
    """Return a copy of the trained run whose final weights give NaN for class 3, and its checkpoints removed."""
    folder = copied(trained[0], tmp_path, without="checkpoints")
    for name in ("model.safetensors", "ema.safetensors"):
        state = load_file(folder / name)
        state["logits.bias" if share == 1 else "dense1.bias"][3] = NAN
        save_file(state, folder / name)
    return folder


def test_an_evaluation_of_broken_weights_says_so(trained, tmp_path, capsys):
    """No answer is right, whatever the classes are, and the number of broken ones stands beside."""
    folder = broken(trained, tmp_path, 1)
    assert main(["evaluate", str(folder), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["accuracy"], found["loss"], found["nonfinite_outputs"]) == (0.0, "nan", 360)
    assert found["notes"][0] == "360 of 360 outputs are no finite numbers; none of these counts as right"
    assert sum(map(sum, found["confusion"])) == 0
    assert [row["recall"] for row in found["classes"]] == [0.0] * 10
    assert [row["precision"] for row in found["classes"]] == [None] * 10
    assert main(["evaluate", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert "  accuracy 0.00 %, top-5 accuracy 0.00 %, " in out
    assert ", loss nan; 360 outputs are no finite numbers\n" in out
    assert err.startswith("note: 360 of 360 outputs are no finite numbers; none of these counts as right\n")


def test_a_prediction_that_is_no_number_is_none(trained, tmp_path, capsys):
    """One input of 1e300 among others: no class, no probability, a note, exit code 1; the others are predicted."""
    folder = trained[0]
    inputs = np.zeros((3, 64))
    inputs[1, 7] = 1e300
    np.save("new.npy", inputs)
    assert main(["predict", str(folder), "--input", "new.npy", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    rows = found["predictions"]
    assert [row["class"] is None for row in rows] == [False, True, False]
    assert (rows[1]["probability"], rows[1]["probabilities"], found["unpredicted"]) == (None, None, 1)
    assert rows[1]["note"] == (
        "example 1: the model's outputs are no finite numbers: its inputs are too large for 32-bit numbers, and those "
        "learned from lie from 0 to 1"
    )
    assert main(["predict", str(folder), "--input", "new.npy"]) == 1
    out, err = capsys.readouterr()
    assert f"note: no prediction: {rows[1]['note']}\n" in err
    assert [line.split()[1] == "-" for line in out.splitlines()[2:]] == [False, True, False]
    assert main(["predict", str(folder), "--input", "new.npy", "--format", "csv"]) == 1
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert (table[1]["predicted"], table[1]["probability"], table[1]["note"]) == ("", "", rows[1]["note"])
    assert table[0]["note"] == ""


TABLE = """
[data]
name = "table"
batch_size = 8
options = { path = "t.csv", target = "y", held_out_path = "h.csv" }
[model]
name = "mlp"
hidden = [4, 4]
[sgd]
lr = LR
[train]
epochs = 4
loss = "LOSS"
on_nonfinite = "ignore"
"""


def write_numbers(name, seed, word):
    """Write 24 rows of two numbers and a target."""
    drawn = np.random.default_rng(seed).normal(size=(24, 2))
    rows = [f"{a:.4f},{b:.4f},{word(a)}" for a, b in drawn]
    Path(name).write_text("a,b,y\n" + "\n".join(rows) + "\n", encoding="utf-8")


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_run_that_breaks_at_once_has_no_best(loss, capsys):
    """lr of 1e38: every evaluation gives NaN, so that none is the best, by accuracy or by loss."""
    for seed, name in enumerate(("t.csv", "h.csv")):
        write_numbers(name, seed, lambda a: ("up" if a > 0 else "down") if loss == "cross_entropy" else f"{3 * a:.3f}")
    text = TABLE.replace("LOSS", loss).replace("LR", "1e38")
    Path("recipe.toml").write_text(text, encoding="utf-8")
    for _ in ("it is trained", "there is nothing to do any more"):
        assert main(["train", "recipe.toml", "--out", "run"]) == 1
        out, err = capsys.readouterr()
        names = "loss is no finite number"
        if loss == "mse":
            names = "loss, rmse, mae and r2 are no finite numbers"
        assert err == (
            f"downslope: error: the held-out {names}: training diverged. Try a third of sgd.lr, or "
            "train.clip_norm = 1.0.\n"
        )
        assert "training diverged" not in out
    manifests = sorted(Path("run/checkpoints").glob("*/manifest.json"))
    best = [json.loads(path.read_text())["state"]["best"] for path in manifests]
    assert {(one["best"], one["best_step"]) for one in best} == {(None, None)}
    assert main(["evaluate", "run", "--checkpoint", "best"]) == 2
    assert "no evaluation yet whose outputs were all finite numbers" in capsys.readouterr().err
    rows = [json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines()]
    evaluations = [row for row in rows if row["kind"] == "evaluation"]
    assert {row["nonfinite_outputs"] for row in evaluations} == {24}
    assert main(["report", "run"]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("report: run/report.html\n", f"note: run: the held-out {names}: training diverged\n")
    assert Path("run/report.html").stat().st_size > 10_000
    assert main(["evaluate", "run", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["nonfinite_outputs"] == 24
    assert "r2" not in found or found["r2"] == "nan"
