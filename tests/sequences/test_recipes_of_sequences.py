"""The recipes for sequences: complete, explained, and the short ones keep the promise in their comment."""

import json
import re
from dataclasses import fields

import pytest

from downslope.cli.main import main
from downslope.recipe.load import load_recipe, parse_recipe, to_toml
from downslope.training.data.cmudict import CmudictOptions
from downslope.training.data.rearranged import RearrangedOptions
from downslope.training.models.seq2seq import Seq2SeqOptions
from draws import NIGHTLY
from house.source_tree import ROOT

RECIPES = {name: ROOT / f"recipes/{name}.toml" for name in ("g2p", "g2p-quick", "reverse")}
PROMISE = re.compile(
    r"^# Reaches a (phoneme|symbol) error rate of at most ([\d.]+) % on the held-out (?:twentieth of words|fifth of "
    r"sequences)\.$",
    re.MULTILINE,
)
TOO_LONG = {"g2p"}
"""What takes minutes: trained in full for docs/results.md, and here not at all."""
SHORTENED = {
    "g2p-quick": (["--train.epochs", "1", "--sgd.lr.then.duration", "1"], "phoneme_error_rate", 0.7),
    "reverse": (["--train.epochs", "2", "--sgd.lr.then.duration", "2"], "symbol_error_rate", 0.05),
}
"""Name -> what shortens it every day, and the error rate that it reaches even so; by night it is trained in full."""


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_complete_and_explained(name):
    """It decodes, prints back to an equal recipe, and has a title, a source and a promise."""
    text = RECIPES[name].read_text(encoding="utf-8")
    recipe = load_recipe(RECIPES[name])
    assert parse_recipe(to_toml(recipe)) == recipe
    assert recipe.title
    assert recipe.source
    assert len(PROMISE.findall(text)) == 1
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("options", [Seq2SeqOptions, CmudictOptions, RearrangedOptions])
def test_every_option_is_documented(options):
    """docs/seq2seq.md names each option of the model and of the data sets."""
    text = (ROOT / "docs/seq2seq.md").read_text(encoding="utf-8")
    assert {field.name for field in fields(options)} <= set(re.findall(r"`(\w+)`", text))


@pytest.fixture
def train(tmp_path, monkeypatch, capsys, no_report):
    """Return a function that trains a recipe by the command line and returns its last evaluation.

    In this process: one more need not import torch.
    """
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "run"

    def train(path, *words):
        assert main(["train", str(path), "--out", str(folder), *words]) == 0, capsys.readouterr().err
        rows = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        return [row for row in rows if row["kind"] == "evaluation"][-1]

    return train


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RECIPES.keys() - TOO_LONG - (set() if NIGHTLY else SHORTENED.keys())))
def test_it_keeps_its_promise(name, train):
    """Trained for real from the command line, it ends with at most the error rate that its comment promises."""
    ((unit, bound),) = PROMISE.findall(RECIPES[name].read_text(encoding="utf-8"))
    assert train(RECIPES[name])[f"{unit}_error_rate"] <= float(bound) / 100


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORTENED)
def test_it_learns_even_if_shortened(name, train):
    """A part of a longer recipe, trained for real, is far better than a guess."""
    words, metric, bound = SHORTENED[name]
    assert train(RECIPES[name], *words)[metric] <= bound
