"""Overrides: TOML values laid over a recipe, with messages that blame the command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downslope import load_recipe
from downslope.core.errors import RecipeError
from downslope.recipe.load import parse_recipe
from downslope.recipe.overrides import apply_overrides, parse_value
from downslope.schedules import Cosine


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.05", 0.05),
        ("-1", -1),
        ("1e-3", 1e-3),
        ("true", True),
        ('"two words"', "two words"),
        ("[1, 2]", [1, 2]),
        ("{ a = 1 }", {"a": 1}),
        ("decoupled", "decoupled"),
        ("my.package:function", "my.package:function"),
        ("warmup-stable-decay", "warmup-stable-decay"),
        ("0.1 # a remark", 0.1),
        ("../houses.csv", "../houses.csv"),
        ("./a-b/c_d.csv", "./a-b/c_d.csv"),
        ("/data/new.csv", "/data/new.csv"),
        ("~/houses.csv", "~/houses.csv"),
        ("~lee/houses.csv", "~lee/houses.csv"),
        ("房价.csv", "房价.csv"),
        ("..", ".."),
    ],
)
def test_values_are_toml_or_a_bare_word(text, value):
    """The value has TOML's type; a bare word needs no quotes."""
    assert parse_value("x", text) == value
    assert type(parse_value("x", text)) is type(value)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (".1", "Write 0.1: TOML wants a digit before the point."),
        ("-.5e3", "Write -0.5e3: TOML wants a digit before the point."),
        ("1.", "Write 1.0: TOML wants a digit after the point."),
        ("1.e5", "Write 1.0e5: TOML wants a digit after the point."),
        ("../my houses.csv", """If it is meant as a string, keep quotes around it: '"../my houses.csv"'."""),
        ("two words", """If it is meant as a string, keep quotes around it: '"two words"'."""),
        ("", 'Write a number, true or false, a "string", a [list] or a { table = 1 }.'),
        ("[1, 2", 'Write a number, true or false, a "string", a [list] or a { table = 1 }.'),
        ("1\nother = 2", 'Write a number, true or false, a "string", a [list] or a { table = 1 }.'),
        ("[" * 9999, 'Write a number, true or false, a "string", a [list] or a { table = 1 }.'),
    ],
)
def test_what_is_no_value_says_how_to_write_it(text, advice):
    """The message names the option, quotes what was got and says what to write."""
    with pytest.raises(RecipeError) as caught:
        parse_value("sgd.lr", text)
    assert str(caught.value) == f"command line, --sgd.lr: {text!r} is not a TOML value. {advice}"


def test_the_advised_spellings_are_values():
    """Following the advice about points and quotes works."""
    assert (parse_value("x", "0.1"), parse_value("x", "1.0e5"), parse_value("x", '"two words"')) == (
        0.1,
        1e5,
        "two words",
    )


@given(st.text())
def test_any_text_is_a_value_or_a_recipe_error(text):
    """Nothing else is ever raised, whatever stands on the command line."""
    try:
        parse_value("sgd.lr", text)
    except RecipeError as error:
        assert str(error).startswith("command line, --sgd.lr: ")  # noqa: PT017 - both outcomes are allowed


def test_overrides_reach_every_kind_of_place():
    """A key, a key of a schedule, a table that is not there yet, an item of a list."""
    recipe = load_recipe(
        None,
        [
            ("seed", "3"),
            ("sgd.lr.rate", "0.5"),
            ("train.early_stop.patience", "2"),
            ("groups", '[{ match = "*.bias", weight_decay = 0 }]'),
            ("groups.0.lr", "0.25"),
            ("data.name", "digits"),
        ],
    )
    assert (recipe.seed, recipe.sgd.lr.rate, recipe.train.early_stop.patience) == (3, 0.5, 2)
    assert (recipe.groups[0].match, recipe.groups[0].weight_decay, recipe.groups[0].lr) == ("*.bias", 0.0, 0.25)


def test_a_table_can_be_replaced_and_then_refined():
    """In order: the whole schedule first, one of its keys after it."""
    recipe = load_recipe(
        None,
        [("sgd.lr", '{ schedule = "cosine", initial = 0.1, final = 0, duration = 5 }'), ("sgd.lr.final", "0.01")],
    )
    assert recipe.sgd.lr == Cosine(0.1, 0.01, 5)


def test_a_length_on_the_command_line_replaces_the_files():
    """`--train.steps` means steps instead of the file's epochs, and the other way round."""
    assert load_recipe().train.epochs is not None
    recipe = load_recipe(None, [("train.steps", "7")])
    assert (recipe.train.steps, recipe.train.epochs) == (7, None)


def test_the_table_laid_over_is_not_changed():
    """Overrides return a copy, down to the inner tables."""
    table = {"sgd": {"lr": 0.1}, "groups": [{"match": "a"}]}
    apply_overrides(table, [("sgd.lr", "0.2"), ("groups.0.match", "b")])
    assert table == {"sgd": {"lr": 0.1}, "groups": [{"match": "a"}]}


# the overrides, and how the message begins
BROKEN = [
    ([("sgd.lr", "-1")], "command line, --sgd.lr: `lr` must be finite and >= 0; got -1.0."),
    ([("sgd.momentm", "0.9")], "command line, --sgd.momentm: unknown key `momentm`. Did you mean `momentum`?"),
    ([("sdg.lr", "0.1")], "command line, --sdg.lr: unknown key `sdg`. Did you mean `sgd`?"),
    ([("sgd.decay", "couple")], "command line, --sgd.decay: `decay` must be `coupled`, "),
    (
        [("sgd.lr.schedule", "cosin")],
        "command line, --sgd.lr.schedule: unknown schedule 'cosin'. Did you mean `cosine`?",
    ),
    ([("sgd.lr.final", "1")], "command line, --sgd.lr.final: unknown key `final` of the schedule `exponential`."),
    (
        [("sgd.momentum.initial", "1")],
        (
            "command line, --sgd.momentum.initial: `sgd.momentum` is 0.9, not a table, so it has no `initial`. "
            "Set `sgd.momentum` itself to a table first."
        ),
    ),
    ([("sgd", "5")], "command line, --sgd: `sgd` must be a table; got 5."),
    ([("sgd.", "5")], "command line, --sgd.: `sgd.` is no path. Write keys with dots between, as in sgd.lr."),
    ([("sgd..lr", "5")], "command line, --sgd..lr: `sgd..lr` is no path."),
    ([("seed", "1"), ("seed", "2")], "command line, --seed: given more than once. Give it once."),
    (
        [("sgd.lr.rate", "0.5"), ("sgd.lr", "0.1")],
        (
            "command line, --sgd.lr: replaces the whole table and so undoes --sgd.lr.rate before it. "
            "Give --sgd.lr first, or only one of the two."
        ),
    ),
    ([("train.steps", "5"), ("train.epochs", "1")], "command line, --train.epochs: excludes --train.steps."),
    ([("groups.0.lr", "1")], "command line, --groups.0.lr: `groups` must be a list; got {'0': {'lr': 1}}."),
    (
        [("groups", "[]"), ("groups.0.lr", "1")],
        "command line, --groups.0.lr: `groups` is an empty list; set it as a whole.",
    ),
    (
        [("groups", '[{ match = "a", lr = 1 }]'), ("groups.1.lr", "1")],
        "command line, --groups.1.lr: `groups` is a list of 1; give a number from 0 to 0 after it, not '1'.",
    ),
]


@pytest.mark.parametrize(("overrides", "message"), BROKEN, ids=["+".join(path for path, _ in row[0]) for row in BROKEN])
def test_a_wrong_override_is_blamed_on_the_command_line(overrides, message):
    """The message names the option as it was typed."""
    with pytest.raises(RecipeError) as caught:
        load_recipe(None, overrides)
    assert str(caught.value).startswith(message)


def test_what_the_file_did_is_blamed_on_the_file(tmp_path):
    """With an override elsewhere in the same table, a mistake of the file stays the file's."""
    path = tmp_path / "mine.toml"
    path.write_text("[sgd]\nlr = 0.1\nmomentum = 2\n[train]\nsteps = 5\n")
    with pytest.raises(RecipeError, match=r"^.*mine\.toml, \[sgd\]: `momentum` must be in"):
        load_recipe(path, [("sgd.lr", "0.2")])


def test_another_schedule_s_name_over_a_table_asks_for_the_whole_table():
    """--sgd.lr.schedule over a file's schedule blames neither the file nor its keys, and says what to set."""
    text = '[sgd]\nlr = { schedule = "exponential", initial = 0.1, rate = 0.1, every = 9 }\n[train]\nepochs = 1\n'
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "my.toml", [("sgd.lr.schedule", "cosine")])
    assert str(caught.value) == (
        "command line, --sgd.lr.schedule: the table `sgd.lr` in my.toml belongs to another schedule: `cosine` has no "
        "`rate`. Set the whole of it: --sgd.lr '{ schedule = \"cosine\", initial = ..., final = ..., duration = ... }'."
    )
    with pytest.raises(RecipeError, match=r"command line, --sgd.lr.rat: unknown key `rat` of the schedule"):
        parse_recipe(text, "my.toml", [("sgd.lr.schedule", "exponential"), ("sgd.lr.rat", "1")])


def test_widths_of_the_default_model_are_not_those_of_another():
    """Another model's name takes the mlp's widths away; what a person gives with it stays, and is checked."""
    assert load_recipe(overrides=[("model.name", '"convnet"')]).model.hidden is None
    assert load_recipe(overrides=[("model", '"own:build"')]).model.hidden is None
    assert load_recipe(overrides=[("data.name", '"images"')]).model.hidden == (128,)
    assert load_recipe(overrides=[("model.name", '"convnet"'), ("model.hidden", "[3]")]).model.hidden == (3,)
    assert load_recipe(overrides=[("model", '{ name = "convnet", hidden = [3] }')]).model.hidden == (3,)
