"""The recipes that come with the project: each is complete, explained, and keeps the promise in its comment."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import pytest

from downslope.cli.main import main
from downslope.core.rule import sgd_rule
from downslope.recipe.load import load_recipe, parse_recipe, to_toml
from downslope.recipe.schema import Recipe
from house.source_tree import PACKAGE, ROOT, relative

ALL = sorted(  # those for sequences have a test of their own, in tests/sequences
    path for path in (ROOT / "recipes").glob("*.toml") if load_recipe(path).model.name != "seq2seq"
)
RECIPES = [path for path in ALL if load_recipe(path).data.name not in {"cifar10", "images", "table"}]
"""Those whose data come with a package; the others, tried in tests/recipe/test_recipes_by_path.py, promise nothing."""
PROMISES = {
    "accuracy": re.compile(
        r"^# Reaches at least ([\d.]+) % accuracy on the (?:held-out fifth|digits it learned from)\.$", re.MULTILINE
    ),
    "loss": re.compile(r"^# Reaches a loss of at most ([\d.]+) on the held-out examples\.$", re.MULTILINE),
}
RECORDS = ROOT / "benchmarks/results/recipes"
SHORTENED = {  # what takes longer than a few seconds is trained in part here, and in full by `make results`
    "mnist1d-convnet": (["--train.epochs", "1"], 0.6),
    "mnist1d-gru": (["--train.epochs", "3", "--sgd.lr.duration", "3"], 0.25),
    "mnist1d-logistic": (["--train.epochs", "3"], 0.25),
    "mnist1d-mlp": (["--train.epochs", "8", "--sgd.lr.duration", "8"], 0.5),
}
"""Name -> what shortens it, and the accuracy that it reaches even so; a guess reaches 0.1."""


def promised(path):
    """Return the metric that a recipe's comment promises, and its bound."""
    text = path.read_text(encoding="utf-8")
    found = {metric: match for metric, promise in PROMISES.items() if (match := promise.search(text))}
    ((metric, match),) = found.items()
    return metric, float(match.group(1)) / (100 if metric == "accuracy" else 1)


def keeps(metric, value, bound):
    """Return whether a value is as good as its bound."""
    return value >= bound if metric == "accuracy" else value <= bound


def test_there_are_recipes_to_learn_from():
    """The default and at least five more."""
    assert len(RECIPES) >= 6


def test_the_embedded_default_is_the_recipe_file():
    """What `downslope train` runs is what recipes/digits.toml says, byte for byte."""
    assert (PACKAGE / "recipe/library").resolve() == (ROOT / "recipes").resolve()
    assert load_recipe() == load_recipe(ROOT / "recipes/digits.toml")


def test_each_is_complete_and_explained():
    """It decodes, prints back to an equal recipe, and has a title, a source and a comment, with its promise if any."""
    for path in ALL:
        recipe, text = load_recipe(path), path.read_text(encoding="utf-8")
        assert parse_recipe(to_toml(recipe)) == recipe, path
        assert recipe.title, path
        assert recipe.source, path
        assert text.startswith("# "), path
        if path in RECIPES:
            metric, bound = promised(path)
            assert metric == "loss" or (0.9 if path.stem.startswith("digits") else 0.3) <= bound <= 1, path
        assert max(map(len, text.splitlines())) <= 120, path


def test_no_two_are_the_same_run():
    """Each teaches something else: no two agree in everything but title and source."""
    runs = [
        tuple(
            repr(getattr(load_recipe(path), field.name))
            for field in fields(Recipe)
            if field.name not in {"title", "source"}
        )
        for path in ALL
    ]
    assert len(set(runs)) == len(runs)


def test_keras_l2_is_what_its_comment_says():
    """l2(0.02) on the first kernel is a coupled weight decay of 0.04 there, and none elsewhere."""
    recipe = load_recipe(ROOT / "recipes/digits-keras-l2.toml")
    (group,) = recipe.groups
    assert (group.match, group.weight_decay, group.apply(recipe.sgd).decay) == ("dense1.weight", 2 * 0.02, "coupled")
    assert recipe.sgd.weight_decay == 0
    assert [recipe.sgd.at(step).lr for step in (0, 999, 1000, 2000)] == pytest.approx([0.1, 0.1, 0.01, 0.001])


def test_what_the_default_says_of_a_decay_of_0_98_is_so():
    """Without a gradient, by the rule: below 0 at the fifth update, -0.59 after ten, below a tenth from 42 on."""
    recipe = load_recipe(overrides=[("sgd.weight_decay", "0.98")])
    weight, velocity, weights = 1.0, 0.0, [1.0]
    for step in range(1000):
        delta, velocity = sgd_rule(weight, 0.0, velocity, recipe.sgd.at(step, first=step == 0))
        weight += delta
        weights.append(weight)
    assert [w > 0 for w in weights[:6]] == [True] * 5 + [False]
    assert round(weights[10], 2) == -0.59
    assert max(step for step, w in enumerate(weights) if abs(w) >= 0.1) + 1 == 42 < 1437 // recipe.data.batch_size
    text = (ROOT / "recipes/digits.toml").read_text(encoding="utf-8")
    assert "at the fifth update, is -0.59 after ten, and stays below a tenth of itself\n# from the 42nd on" in text


@pytest.fixture
def train(tmp_path, monkeypatch, capsys, no_report):
    """Return a function that trains a recipe by the command line and returns its last evaluation.

    In this process, since importing torch takes longer than most of these recipes.
    """
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "run"

    def train(path, *words):
        assert main(["train", str(path), "--out", str(folder), *words]) == 0, capsys.readouterr().err
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["kind"] == "evaluation"][-1]

    return train


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in RECIPES if path.stem not in SHORTENED], ids=relative)
def test_it_keeps_its_promise(path, train):
    """Trained for real from the command line, it ends at least as well as its comment promises."""
    metric, bound = promised(path)
    assert keeps(metric, train(path)[metric], bound)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORTENED)
def test_it_learns_even_if_shortened(name, train):
    """A part of a longer recipe, trained for real, is far better than a guess."""
    words, bound = SHORTENED[name]
    assert train(ROOT / f"recipes/{name}.toml", *words)["accuracy"] >= bound


@pytest.mark.parametrize("name", SHORTENED)
def test_what_was_recorded_keeps_the_promise(name):
    """Each run of a longer recipe that docs/results.md shows ended at least as well as its comment promises."""
    metric, bound = promised(ROOT / f"recipes/{name}.toml")
    record = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
    assert record["runs"]
    assert all(keeps(metric, run[metric], bound) for run in record["runs"])
