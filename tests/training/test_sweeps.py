"""`train --sweep` and `tune --range-test`: ordinary runs in a folder, compared by means; a suggestion and why."""

import json
import math

import pytest

from downslope import load_recipe
from downslope.cli.main import main
from downslope.core.errors import DownslopeError, RecipeError
from downslope.training.tuning.range_test import find, range_recipe
from downslope.training.tuning.sweep import read_sweep, rows_of

SMALL = ["--model.hidden", "[8]", "--data.batch_size", "256", "--train.epochs", "1"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["sgd.lr"], "write NAME = VALUES"),
        (["sgd.lrr = [1, 2]"], "no path of a recipe"),
        (["sgd.lr = 0.1"], "a list of different values"),
        (["sgd.lr = [0.1, 0.1]"], "a list of different values"),
        (["sgd.lr = [0.1]", "sgd.lr = [0.2]"], "more than once"),
        ([f"seed = {list(range(40))}", f"sgd.lr = {[x / 50 for x in range(1, 40)]}"], "1,560 runs"),
    ],
)
def test_a_sweep_that_has_no_meaning_is_refused(lines, says):
    """Each mistake gets one message."""
    with pytest.raises(RecipeError, match=says):
        read_sweep(lines)


def test_means_and_spreads_by_hand(tmp_path):
    """Accuracies 0.5 and 0.7 are 0.6 with a deviation of 0.1414; a run that ended with NaN counts as none."""
    swept = read_sweep(["sgd.lr = [0.1, 1]", "seed = [0, 1]"])
    for one, value in zip(swept, [0.5, 0.7, 0.8, "nan"], strict=True):
        (tmp_path / one.name).mkdir()
        (tmp_path / one.name / "recipe.toml").touch()
        row = {"kind": "evaluation", "step": 4, "epoch": 0, "loss": 1.0, "accuracy": value}
        (tmp_path / one.name / "log.jsonl").write_text(json.dumps(row) + "\n")
    metric, rows = rows_of(tmp_path, swept)
    assert metric == "accuracy"
    assert [row.values for row in rows] == [(("sgd.lr", "1"),), (("sgd.lr", "0.1"),)]
    assert [(row.mean, len(row.ends), row.runs) for row in rows] == [(0.8, 1, 2), (pytest.approx(0.6), 2, 2)]
    assert rows[1].spread == pytest.approx(0.02**0.5)


def test_a_sweep_leaves_ordinary_runs_and_goes_on(tmp_path, capsys):
    """Two rates by two seeds are four runs that hold out the same examples; started again, nothing is trained again."""
    words = ["train", "digits", *SMALL, "--sweep", "sgd.lr = [0.01, 0.1]", "--sweep", "seed = [0, 1]"]
    words += ["--out", str(tmp_path / "sweep")]
    assert main(words) == 0
    runs = sorted(path for path in (tmp_path / "sweep").iterdir() if path.is_dir())
    assert [path.name for path in runs] == [f"sgd.lr={lr},seed={s}" for lr in (0.01, 0.1) for s in (0, 1)]
    facts = [json.loads((path / "run.json").read_text())["data"]["fingerprint"] for path in runs]
    assert len(set(facts)) == 1
    weights = {(path / "model.safetensors").read_bytes() for path in runs}
    assert len(weights) == 4
    page = (tmp_path / "sweep" / "comparison.html").read_text()
    assert page.count("<svg") == 1
    assert page.count("<script") == 2  # its numbers, and what draws them
    capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().out.count("nothing to do") == 4
    assert main([*words, "--sgd.lr", "0.3"]) == 2
    assert "Leave one out" in capsys.readouterr().err


def test_the_fastest_fall_by_hand():
    """A loss that falls by a cosine from 2 to 1 and then leaps falls fastest in the middle of its fall."""
    lrs = [10 ** (at / 50) for at in range(200)]
    losses = [1.5 + 0.5 * math.cos(math.pi * at / 100) for at in range(101)] + [1 + 0.2 * at for at in range(98)]
    found = find(lrs, [*losses, math.nan])
    assert found.fastest == pytest.approx(lrs[50], rel=0.02)
    assert found.lowest == pytest.approx(lrs[100], rel=0.4)
    assert found.edge is not None
    assert found.edge > found.lowest
    with pytest.raises(DownslopeError, match="did not fall"):
        find(lrs, [1.0 + at for at in range(200)])


def test_a_range_test_is_a_run(tmp_path, capsys):
    """Its lr goes from a thousandth to a thousandfold of the recipe's own; the held-out examples are not seen."""
    recipe = range_recipe(load_recipe(overrides=[("sgd.lr", "0.1")]))
    assert (recipe.sgd.lr(0), recipe.sgd.lr(299)) == pytest.approx((1e-4, 100.0))
    assert recipe.data.validation == 0.2
    assert main(["tune", "digits", *SMALL, "--range-test", "--out", str(tmp_path / "test")]) == 0
    assert "suggested as the largest lr" in capsys.readouterr().out
    assert (tmp_path / "test" / "range-test.html").read_text().count("<svg") == 1
    assert main(["tune", "digits", "--range-test", "--trials", "3", "--out", str(tmp_path / "test")]) == 2
    assert "--trials says nothing" in capsys.readouterr().err
