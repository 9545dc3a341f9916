"""Targets of any size: standardised unless the recipe says otherwise, and runs from before go on as they began."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from training_runs import run

from downslope.core.errors import NonFiniteGradientError
from downslope.recipe.load import load_recipe, parse_recipe
from downslope.training.data import load_data, table
from downslope.training.folder.run_folder import RunFolder
from downslope.training.run import plan, train

RECIPE = """
[data]
name = "table"
batch_size = 8
options = { path = "houses.csv", target = "price"OPTIONS }
[model]
name = "mlp"
hidden = [8]
[sgd]
lr = LR
momentum = 0.9
[train]
steps = 30
loss = "LOSS"
[checkpoint]
every_steps = 10
"""


@pytest.fixture(autouse=True)
def _houses(tmp_path, monkeypatch):
    """Forty houses whose price is 3000 an area and 20,000 a room, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    area, rooms = draw.uniform(40, 200, 40).round(1), draw.integers(1, 6, 40)
    rows = "".join(f"{a},{r},{3000 * a + 20000 * r:.0f}\n" for a, r in zip(area, rooms, strict=True))
    Path("houses.csv").write_text(f"area,rooms,price\n{rows}", encoding="utf-8")


def recipe(options="", loss="mse", lr="0.05"):
    """Return the recipe with further options."""
    return parse_recipe(RECIPE.replace("OPTIONS", options).replace("LOSS", loss).replace("LR", lr))


def test_prices_train_out_of_the_box():
    """The loss is that of standardised prices: from about 1, which the mean alone would give, to below a tenth."""
    outcome, _ = run(recipe(), Path("run"))
    assert outcome.finished
    assert outcome.held_out["loss"] < 0.1
    assert load_recipe(Path("run/recipe.toml")).data.options["standardize_target"] is True


def test_what_the_recipe_says_holds():
    """False keeps the numbers as they are; a loss of one's own is not asked to take others."""
    prices = load_data(recipe(", standardize_target = false"))
    assert prices.target_scale is None
    assert float(prices.train_targets.min()) > 1e5
    own = load_data(recipe(', kind = "number"', loss="training_tasks:vector_loss"))
    assert own.target_scale is None
    mean, deviation = load_data(recipe()).target_scale
    targets = prices.train_targets.double()
    assert mean == pytest.approx(float(targets.mean()))
    assert deviation == pytest.approx(float(targets.std(correction=0)))


def test_a_run_that_diverges_is_told_what_helps():
    """The size of the targets, and the option that takes it away; a smaller lr alone would be no good advice."""
    with pytest.raises(NonFiniteGradientError) as caught:
        run(recipe(", standardize_target = false"), Path("run"))
    assert "The targets go from " in str(caught.value)
    assert "set data.options.standardize_target = true" in str(caught.value)
    assert 'To leave such steps out, set train.on_nonfinite = "skip", or "rewind"' in str(caught.value)
    assert not re.search(r"(?<!\.)\b(on_nonfinite|clip_norm|lr)\b", str(caught.value))  # only by their whole paths


def log_of(folder):
    """Return the rows of a log of steps."""
    rows = map(json.loads, (Path(folder) / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["kind"] == "step"]


@pytest.mark.parametrize("given", ["its own recipe", "the same recipe again"])
def test_a_run_from_before_goes_on_as_it_began(given, monkeypatch):
    """Its recipe does not state the option, which was false then: the same bits as without the interruption."""
    old = recipe(lr="1e-12")
    with monkeypatch.context() as patch:  # as it was before: nothing stated, and false by default
        for module in (train, plan):
            patch.setattr(module, "settle", lambda recipe, begun=None: recipe)
        patch.setattr(table, "scales_target", lambda options, loss, is_class: bool(options.standardize_target))
        run(old, Path("whole"))
        run(old, Path("cut"), at=15)
    assert "standardize_target" not in Path("cut/recipe.toml").read_text(encoding="utf-8")
    outcome, said = run(RunFolder("cut").recipe() if given == "its own recipe" else old, Path("cut"))
    assert outcome.finished
    assert not any("different recipe" in text for text in said)
    assert log_of("cut") == log_of("whole")
    assert Path("cut/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    assert RunFolder("cut").recipe().data.options["standardize_target"] is False


def test_a_new_run_goes_on_as_it_began():
    """The recipe that does not state the option finds its unfinished run, which does."""
    run(recipe(), Path("cut"), at=15)
    outcome, said = run(recipe(), Path("cut"))
    assert outcome.finished
    assert not any("different recipe" in text for text in said)
    run(recipe(), Path("whole"))
    assert log_of("cut") == log_of("whole")
