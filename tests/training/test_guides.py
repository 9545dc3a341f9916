"""The guides, such as docs/getting-started.md: what they show works, command after command, in one folder."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from array_files import write_cifar10
from test_data_document import write_data
from training_runs import run

from downslope.cli.main import main
from downslope.core.tables import Source, decode, to_table
from downslope.recipe import schema
from downslope.recipe.load import load_recipe

sys.path.insert(0, str(Path(__file__).parents[1]))
from house.documents import blocks, shell_lines

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

GUIDES = ("docs/getting-started.md", "docs/training.md", "docs/exactness.md")
RECIPES = [
    block
    for block in blocks("toml")
    if any(str(block).startswith(page) for page in GUIDES)
    and "start_from" not in block.text
    and "channels = [16, 32]" not in block.text  # test_fine_tuning.py runs these two
]


@pytest.mark.slow
@pytest.mark.parametrize("page", [*GUIDES, "docs/data.md"])
def test_the_commands_of_a_guide_run_one_after_another(page):
    """Trainings are cut to one epoch; nothing else is changed."""
    commands = [words[1:] for place, words in shell_lines() if place.startswith(f"{page}:") and words[0] == "downslope"]
    assert commands
    write_cifar10(Path("cifar"), classes=10)
    for words in commands:
        short = words[0] == "train" and not {"--train.epochs", "--train.steps"} & set(words)
        assert main([*words, *(["--train.epochs", "1"] if short else [])]) == 0, words


@pytest.mark.parametrize("block", RECIPES, ids=str)
def test_each_recipe_of_a_guide_trains(block):
    """By itself or laid over the default recipe, for forty steps."""
    write_data()
    table, whole = tomllib.loads(block.text), to_table(load_recipe())
    for name, value in table.items():
        whole[name] = {**whole[name], **value} if name in whole and name != "data" else value
    whole["train"].pop("epochs", None)
    whole["train"]["steps"] = 40
    outcome, _ = run(decode(schema.Recipe, whole, Source(str(block))), Path("run"))
    assert outcome.finished
