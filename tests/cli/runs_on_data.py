"""Runs on data sets that lie in files: trained without a report, rated by the command line."""

import json
import sys
from pathlib import Path

from command_line import succeed

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from training_runs import run

from downslope.recipe.load import parse_recipe


def train(text, name, *words, out="run"):
    """Train by a text in which NAME is a data set, with these overrides and no report; return what was said."""
    overrides = [(path.removeprefix("--"), value) for path, value in zip(words[::2], words[1::2], strict=True)]
    outcome, said = run(parse_recipe(text.replace("NAME", name), "recipe", overrides), Path(out))
    assert outcome.finished
    return "\n".join(said)


def rate(*words, capsys):
    """Return what evaluate says, as JSON."""
    return json.loads(succeed(["evaluate", "run", "--json", *words], capsys))
