"""The recipes for sequences: complete, explained, and the short ones keep the promise in their comment."""

import json
import re
import subprocess
import sys
from dataclasses import fields

import pytest

from downslope.recipes.decode import load_recipe, parse_recipe
from downslope.recipes.encode import to_toml
from downslope.training.data.cmudict import CmudictOptions
from downslope.training.data.rearranged import RearrangedOptions
from downslope.training.models.seq2seq import Seq2SeqOptions
from house.source_tree import ROOT

RECIPES = {name: ROOT / f"recipes/{name}.toml" for name in ("g2p", "g2p-quick", "reverse")}
PROMISE = re.compile(
    r"^# Reaches a (phoneme|symbol) error rate of at most ([\d.]+) % on the held-out (?:twentieth of words|fifth of "
    r"sequences)\.$",
    re.MULTILINE,
)
TOO_LONG = {"g2p"}
"""What takes minutes: trained in full for docs/results.md, and here not at all."""


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


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RECIPES.keys() - TOO_LONG))
def test_it_keeps_its_promise(name, tmp_path):
    """Trained for real from the command line, it ends with at most the error rate that its comment promises."""
    ((unit, bound),) = PROMISE.findall(RECIPES[name].read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "downslope", "train", str(RECIPES[name]), "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text(encoding="utf-8").splitlines()]
    last = [row for row in rows if row["kind"] == "evaluation"][-1]
    assert last[f"{unit}_error_rate"] <= float(bound) / 100
