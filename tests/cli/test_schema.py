"""`downslope schema`: every recipe that there is fits it, and what does not load does not fit."""

from __future__ import annotations

import json
import tomllib

import jsonschema
import pytest
from command_line import fail, succeed

from downslope.core.errors import DownslopeError
from downslope.recipe.json_schema import recipe_schema
from downslope.recipe.known import known_recipes, known_text
from downslope.recipe.load import parse_recipe, to_toml
from downslope.recipe.overrides import recipe_paths

SCHEMA = recipe_schema()
CHECK = jsonschema.Draft7Validator(SCHEMA)
LEAST = "[sgd]\nlr = 0.1\n[train]\nepochs = 1\n"


def problems(text):
    """Return what an editor would underline in a recipe."""
    return [error.message for error in CHECK.iter_errors(tomllib.loads(text))]


def test_it_is_a_schema():
    """Of the draft that editors of TOML read; every table and number has its sentence."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    for table in (SCHEMA, *SCHEMA["definitions"].values()):
        for name, one in table.get("properties", {}).items():
            assert one.get("description"), name


@pytest.mark.parametrize("name", known_recipes())
def test_every_recipe_fits(name):
    """As it stands, and with every default written out."""
    text = known_text(name)
    assert problems(text) == []
    assert problems(to_toml(parse_recipe(text))) == []


def test_a_string_stands_for_data_and_model():
    """As in a recipe."""
    text = 'data = "digits"\nmodel = "my_task:build"\n' + LEAST
    parse_recipe(text)
    assert problems(text) == []


@pytest.mark.parametrize(
    "change",
    [
        "[data]\nbatch_sise = 4",
        "[data]\nbatch_size = 'four'",
        "[data]\nbatch_size = 4.5",
        "[model]\nhidden = [1.5]",
        "[checkpoint]\nkeep = true",
        "[[groups]]\nweight_decay = 0",
        "[log]\nto = ['paper']",
        "seed = 'one'",
        "[train.spike]\nwindow = 5",
        "[train]\nprecision = 'float8'",
        "[train]\nepochs = 1\nsteps = 2",
        "[train]\nloss = 'mse'",
        "[sgd]\nmomentum = 0.9",
        "[sgd]\nlr = { schedule = 'cosine', initial = 1 }",
        "[sgd]\nlr = { schedule = 'cosines', initial = 1, final = 0, duration = 4 }",
        "[sgd]\nlr = { schedule = 'warmup', duration = 4, then = { schedule = 'linear' } }",
        "[sgd]\nlr = 0.1\ndecay = 'l2'",
    ],
)
def test_what_does_not_load_does_not_fit(change):
    """One mistake each: in a key, a type, a word, and what is missing."""
    table = tomllib.loads(LEAST) | tomllib.loads(change)
    with pytest.raises(DownslopeError):
        parse_recipe(to_toml(table))
    assert not CHECK.is_valid(table)


def test_every_path_is_in_it():
    """What the command line takes, an editor knows."""

    def knows(table, parts):
        options = [table, *table.get("anyOf", ())]
        options += [SCHEMA["definitions"][one["$ref"].rpartition("/")[2]] for one in options if "$ref" in one]
        return not parts or any(
            parts[0] in one.get("properties", {}) and knows(one["properties"][parts[0]], parts[1:]) for one in options
        )

    for path in recipe_paths():
        assert knows(SCHEMA, path.split(".")), path


def test_the_command(tmp_path, monkeypatch, capsys):
    """Printed, or written to a new file with the line for a recipe."""
    monkeypatch.chdir(tmp_path)
    assert json.loads(succeed(["schema"], capsys)) == SCHEMA
    assert "#:schema ./recipe.schema.json" in succeed(["schema", "--out", "recipe.schema.json"], capsys)
    assert json.loads((tmp_path / "recipe.schema.json").read_text(encoding="utf-8")) == SCHEMA
    assert "nothing is overwritten" in fail(["schema", "--out", "recipe.schema.json"], capsys)
