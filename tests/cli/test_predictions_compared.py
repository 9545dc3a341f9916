"""Predictions for a table that holds the target: compared with it, and rated as an evaluation rates."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import fail, succeed

from downslope.cli.main import main

RECIPE = """
[data]
name = "table"
batch_size = 50
options = { path = "learn.csv", held_out_path = "test.csv", OPTIONS }
[model]
name = "mlp"
hidden = []
[sgd]
lr = 0.05
[train]
epochs = 3
loss = "LOSS"
"""
HEADER = "a,b,kind,price\n"


def write_rows(name, seed, count):
    """Write rows whose kind and price follow from two numbers, with noise."""
    numbers = np.random.default_rng(seed).normal(size=(count, 3))
    rows = [
        f"{a:.4f},{b:.4f},{'right' if 2 * a + noise > 0 else 'left'},{30 * a - 10 * b + noise:.3f}"
        for a, b, noise in numbers
    ]
    Path(name).write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    return rows


@pytest.fixture(autouse=True)
def test_rows(tmp_path, monkeypatch, no_report):
    """Work beside a table to learn from and one of more rows than are measured at once."""
    monkeypatch.chdir(tmp_path)
    write_rows("learn.csv", 1, 200)
    return write_rows("test.csv", 2, 1100)


def train(options, loss, capsys):
    """Train on the table."""
    Path("recipe.toml").write_text(RECIPE.replace("OPTIONS", options).replace("LOSS", loss), encoding="utf-8")
    succeed(["train", "recipe.toml", "--out", "run"], capsys)


CLASSES = 'target = "kind", ignore = ["price"]', "cross_entropy"
NUMBERS = 'target = "price", ignore = ["kind"], standardize_target = true', "mse"
PLAIN = 'target = "price", ignore = ["kind"]', "mse"


@pytest.mark.parametrize(("options", "loss"), [CLASSES, NUMBERS, PLAIN])
def test_the_rates_are_those_of_an_evaluation(options, loss, capsys):
    """To the last bit, for the same rows; each with its right answer, in its own unit."""
    train(options, loss, capsys)
    evaluated = json.loads(succeed(["evaluate", "run", "--json"], capsys))
    found = json.loads(succeed(["predict", "run", "--input", "test.csv", "--json"], capsys))
    further = ("balanced_accuracy", "macro_f1", "worst_recall")
    names = ("examples", "loss", "accuracy", *further, "rmse", "mae", "r2")
    assert found["metrics"] == {key: evaluated[key] for key in names if key in evaluated}
    assert (found["metrics"]["examples"], found["notes"]) == (1100, [])
    held_out = json.loads(succeed(["predict", "run", "--count", "1100", "--json"], capsys))
    assert found["predictions"] == held_out["predictions"]
    assert "metrics" not in held_out
    said = succeed(["evaluate", "run"], capsys).splitlines()[1]
    assert succeed(["predict", "run", "--input", "test.csv"], capsys).splitlines()[-1] == said


def test_right_answers_stand_beside_the_predictions(test_rows, capsys):
    """Of the rows asked for: who is wrong, how many are right, and the rates of these rows alone."""
    train(*CLASSES, capsys)
    lines = succeed(["predict", "run", "--input", "test.csv", "--count", "30"], capsys).splitlines()
    assert lines[1].split() == ["example", "predicted", "probability", "true"]
    wrong = 0
    for line, row in zip(lines[2:32], test_rows[:30], strict=True):
        cells = line.split()
        assert cells[3] == row.split(",")[2]
        assert (cells[4:] == ["wrong"]) == (cells[1] != cells[3])
        wrong += cells[1] != cells[3]
    assert 0 < wrong < 15
    assert lines[32] == f"  {30 - wrong} of 30 right"
    assert lines[33].startswith(f"  accuracy {100 * (30 - wrong) / 30:.2f} %, balanced accuracy ")


def test_rows_without_a_target_are_predicted_all_the_same(test_rows, capsys):
    """What has no target is not compared, and a note says how much that is."""
    train(*CLASSES, capsys)
    rows = [
        row if place % 3 else row.replace("right", "").replace("left", "") for place, row in enumerate(test_rows[:10])
    ]
    Path("some.csv").write_text(HEADER + "\n".join(rows), encoding="utf-8")
    Path("known.csv").write_text(HEADER + "\n".join(row for row in rows if ",," not in row), encoding="utf-8")
    assert main(["predict", "run", "--input", "some.csv"]) == 0
    out, err = capsys.readouterr()
    assert err == "note: rows without `kind`: 4 of 10; the others are compared\n"
    known = succeed(["predict", "run", "--input", "known.csv"], capsys).splitlines()
    assert out.splitlines()[-2:] == known[-2:]
    found = json.loads(succeed(["predict", "run", "--input", "some.csv", "--json"], capsys))
    assert ["target" in row for row in found["predictions"]] == [place % 3 > 0 for place in range(10)]
    first = json.loads(succeed(["predict", "run", "--input", "some.csv", "--json", "--count", "2"], capsys))
    assert first["metrics"]["examples"] == 1
    Path("none.csv").write_text("a,b,kind\n1,2,\n", encoding="utf-8")
    found = json.loads(succeed(["predict", "run", "--input", "none.csv", "--json"], capsys))
    assert found["notes"] == ["the column `kind` is empty, so there is nothing to compare with"]
    assert "metrics" not in found
    Path("absent.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    found = json.loads(succeed(["predict", "run", "--input", "absent.csv", "--json"], capsys))
    assert (found["notes"], "metrics" in found) == ([], False)


def test_a_target_that_the_run_does_not_know_is_refused(capsys):
    """With its place, what there is, and the way to predict nevertheless."""
    train(*CLASSES, capsys)
    Path("new.csv").write_text("a,b,kind\n1,2,left\n1,2,rigth\n", encoding="utf-8")
    assert fail(["predict", "run", "--input", "new.csv"], capsys) == (
        "new.csv, line 3, column `kind`: the run has learned no class 'rigth'. Did you mean `right`? There are `left`, "
        "`right`. To predict without comparing, take the column out."
    )


def test_a_target_that_is_no_number_is_refused(capsys):
    """The same where the run has learned a number."""
    train(*NUMBERS, capsys)
    Path("new.csv").write_text("a,b,price\n1,2,3\n1,2,dear\n", encoding="utf-8")
    assert fail(["predict", "run", "--input", "new.csv"], capsys) == (
        "new.csv, line 3, column `price`: 'dear' is not a number. To predict without comparing, take the column out."
    )


def test_numbers_and_names_of_every_width_stay_in_their_columns():
    """Prices are written out, not in powers of ten; a Chinese letter takes two columns, an accent none."""
    from downslope.cli.tables import format_number, format_table

    assert [format_number(value) for value in (99999.4, 100000.4, -268123.4, 1e15, float("inf"))] == [
        "99999", "100000", "-268123", "1e+15", "inf",
    ]  # fmt: skip
    table = format_table(["class", "n"], [["猫", "1"], ["cafe\u0301", "20"]])
    assert table.splitlines() == ["  class   n", "     猫   1", "   cafe\u0301  20"]
