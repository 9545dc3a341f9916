"""A recipe printed as TOML and read again is the same recipe, for every schedule, group and table."""

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import recipe_strategies as strategies
from hypothesis import HealthCheck, given, settings

from downslope import Recipe, load_recipe
from downslope.core.schedules import SCHEDULES
from downslope.core.tables import to_table
from downslope.recipe.known import DEFAULT, known_text
from downslope.recipe.load import parse_recipe, to_toml
from downslope.recipe.overrides import recipe_paths, top_level_keys
from draws import draws

EXAMPLES = settings(max_examples=draws(100), suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@EXAMPLES
@given(recipe=strategies.RECIPES)
def test_printing_and_reading_gives_an_equal_recipe(recipe):
    """Decoding what was encoded gives an equal recipe, and encoding that the same text."""
    text = to_toml(recipe)
    again = parse_recipe(text)
    assert again == recipe
    assert to_toml(again) == text


@EXAMPLES
@given(schedule=strategies.SCHEDULES)
def test_a_schedule_survives_as_an_override(schedule):
    """A schedule written as one inline TOML value on the command line is the same schedule."""
    recipe = load_recipe(None, [("sgd.lr", inline(to_table(schedule)))])
    assert recipe.sgd.lr == schedule


def test_the_strategies_cover_every_schedule():
    """Were a schedule added and not drawn here, the round trip would not test it."""
    drawn = set()

    @settings(max_examples=draws(200))
    @given(schedule=strategies.SCHEDULES)
    def look(schedule):
        drawn.update(type(piece).name for piece in (schedule, *schedule.inner()))

    look()
    assert drawn == set(SCHEDULES)


def test_none_is_left_out_and_comes_back():
    """What is off is not printed, since TOML has no word for it."""
    recipe = load_recipe()
    table = tomllib.loads(to_toml(recipe))
    assert "clip_norm" not in table["train"]
    assert "steps" not in table["train"]
    assert parse_recipe(to_toml(recipe)).train.clip_norm is None


def test_integers_become_floats_where_floats_belong():
    """`lr = 1` and `lr = 1.0` are the same recipe."""
    text = "[sgd]\nlr = {}\n[train]\nepochs = {}\n"
    assert parse_recipe(text.format("1", "2")) == parse_recipe(text.format("1.0", "2.0"))


def test_a_recipe_file_is_the_recipe_whose_text_it_holds(tmp_path):
    """Reading from a file, with a byte order mark and Windows line ends too, is reading its text."""
    path = tmp_path / "mine.toml"
    text = known_text(DEFAULT)
    for data in (text.encode(), text.replace("\n", "\r\n").encode("utf-8-sig")):
        path.write_bytes(data)
        assert load_recipe(path) == load_recipe(str(path)) == load_recipe()


def test_recipe_paths_are_exactly_the_keys_of_a_full_recipe():
    """Every dotted path is a key that can be set, and every key has its path."""
    assert top_level_keys() == tuple(field.name for field in fields(Recipe))
    assert len(set(recipe_paths())) == len(recipe_paths())
    printed = leaves(tomllib.loads(to_toml(load_recipe(None, [("sgd.lr", "0.1")]))))
    assert printed <= set(recipe_paths())
    off = {
        "data.path",
        "data.in_memory",
        "data.normalize",
        "data.sampling",
        "data.split_seed",
        "data.validation",
        "sgd.nu",
        "sgd.trust_coefficient",
        "sgd.trust_clip",
        "sgd.adaptive_clip",
        "sgd.adaptive_clip_by",
        "train.steps",
        "train.teacher_forcing",
        "train.sharpness_every",
        "train.clip_norm",
        "train.start_from",
        "train.class_weights",
        "train.threshold",
        "train.channels_last",
        "train.ema",
        "train.nonfinite_limit",
        "train.evaluate_every",
        "checkpoint.every_steps",
        "checkpoint.metric",
    }
    tables = ("data.augment.", "train.early_stop.", "train.plateau.", "train.spike.", "tune.")
    off |= {path for path in recipe_paths() if path.startswith(tables)}
    off |= {"sgd.schedule_free", "sgd.warmup_steps", "sgd.r", "sgd.weight_lr_power"}  # of a relative, each by its name
    assert set(recipe_paths()) - printed == off


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[2].joinpath("recipes").glob("*.toml")), ids=lambda p: p.stem
)
def test_every_recipe_of_the_project_round_trips(path):
    """Each recipe in `recipes/` reads, prints back to an equal one, and names its source."""
    recipe = load_recipe(path)
    assert parse_recipe(to_toml(recipe)) == recipe
    assert recipe.title
    assert recipe.source


def leaves(table, path=()):
    """Return the dotted paths of a table's leaves; an empty table is a leaf."""
    found = set()
    for key, value in table.items():
        inside = (*path, key)
        found |= leaves(value, inside) if isinstance(value, dict) and value else {".".join(inside)}
    return found


def inline(value):
    """Return a value as inline TOML, by hand, since the printer writes whole documents."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(inline(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)
