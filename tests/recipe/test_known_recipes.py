"""Recipes that come with the package, by name; and what remains of a recipe on other data."""

import json
import os
import subprocess
import sys

import pytest

from cli.command_line import fail, succeed
from downslope import load_recipe
from downslope.core.errors import RecipeError
from downslope.recipe.known import known_recipes, known_text
from downslope.recipe.load import parse_recipe
from house.source_tree import ROOT


def test_every_recipe_file_comes_with_the_package():
    """The names are those of the files, and the texts theirs."""
    files = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "recipes").glob("*.toml")}
    assert {name: known_text(name) for name in known_recipes()} == files


@pytest.mark.parametrize("given", ["digits-plain-sgd", "digits-plain-sgd.toml", "recipes/digits-plain-sgd.toml"])
def test_a_name_stands_for_the_recipe_in_any_folder(given, tmp_path, monkeypatch):
    """As the documentation writes it, where there is no such file; a file of that name is the person's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits-plain-sgd").mkdir()
    assert load_recipe(given) == load_recipe(ROOT / "recipes/digits-plain-sgd.toml")
    if given.endswith(".toml"):
        (tmp_path / given).parent.mkdir(exist_ok=True)
        (tmp_path / given).write_text("[sgd]\nlr = 0.25\n[train]\nsteps = 3\n")
        assert load_recipe(given).sgd.lr == 0.25


NO_RECIPES = ["nosuch", "nosuch.toml", "../digits.toml", "digits.tom", "recipes/../digits", "other/digits"]


@pytest.mark.parametrize("given", NO_RECIPES)
def test_what_is_neither_file_nor_name_is_said(given, tmp_path, monkeypatch):
    """One message, which names the list."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="no such file.*downslope recipes"):
        load_recipe(given)


def test_the_command_lists_and_prints_them(capsys):
    """One line each, as JSON, or one of them word for word."""
    page = succeed(["recipes"], capsys)
    assert [line.split()[0] for line in page.splitlines()[: len(known_recipes())]] == known_recipes()
    table = json.loads(succeed(["recipes", "--json"], capsys))
    assert {row["name"]: row["title"] for row in table} == {name: load_recipe(name).title for name in known_recipes()}
    assert succeed(["recipes", "digits"], capsys) == known_text("digits")
    assert "Did you mean `digits`?" in fail(["recipes", "digts"], capsys)


def test_training_by_name_from_another_folder(tmp_path):
    """`downslope train digits-plain-sgd` where there is no checkout."""
    words = ["train", "digits-plain-sgd", "--train.epochs", "1", "--quiet"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "downslope", *words], cwd=tmp_path, capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("recipe      Plain SGD: no momentum, no weight decay, constant lr\n")
    assert (tmp_path / "runs/digits-plain-sgd/report.html").is_file()


OTHER = [("data.name", "mnist1d"), ("model.name", "convnet")]


@pytest.mark.parametrize("other", OTHER, ids=lambda pair: pair[0])
@pytest.mark.parametrize("path", [None, "digits-cosine-warmup"])
def test_on_another_problem_a_recipe_keeps_neither_title_nor_source(other, path):
    """The title spoke of something else; the source says which settings were made for it, and for what."""
    recipe = load_recipe(path, [other, ("sgd.momentum", "0.5")])
    assert recipe.title == ""
    assert recipe.source.startswith("settings inherited from the")
    assert "made for data 'digits' and model 'mlp': " in recipe.source
    inherited = recipe.source.rpartition(": ")[2].split(", ")
    assert {"sgd.lr", "sgd.weight_decay", "train.epochs"} <= set(inherited)
    assert not {"sgd.momentum", "title", "source", "data.name", "model.name"} & set(inherited)


def test_what_a_person_gives_for_it_stays():
    """A title on the command line is theirs; the same data and model change nothing; nor do other overrides."""
    given = load_recipe(None, [("data.name", "mnist1d"), ("title", '"mine"'), ("source", '"me"')])
    assert (given.title, given.source) == ("mine", "me")
    same = load_recipe(None, [("data.name", "digits"), ("model", '{ name = "mlp", hidden = [3] }'), ("sgd.lr", "0.5")])
    assert (same.title, same.source) == (load_recipe().title, load_recipe().source)
    nameless = parse_recipe("title = 'no data'\n[sgd]\nlr = 0.1\n[train]\nsteps = 1", overrides=[("data", "mnist1d")])
    assert nameless.title == "no data"


def test_training_says_what_is_inherited():
    """In the first lines, before torch is loaded: an interpreter that has it already would leave them out."""
    words = ["train", "--data.name", "mnist1d", "--train.steps", "2", "--dry-run"]
    done = subprocess.run([sys.executable, "-m", "downslope", *words], capture_output=True, text=True, check=False)
    inherited = "settings inherited from the default recipe, made for data 'digits' and model 'mlp': "
    assert done.stdout.startswith(f"recipe      {inherited}"), done.stderr
