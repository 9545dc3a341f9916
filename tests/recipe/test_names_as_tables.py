"""`model = "package.module:function"` is short for the table with that name, in a file and on the command line."""

import tomllib

import pytest

from downslope.core.errors import RecipeError
from downslope.recipe.load import parse_recipe, to_toml

SHORT = 'model = "my_task:build"\ndata = "my_task:load"\n'
LONG = '[model]\nname = "my_task:build"\n[data]\nname = "my_task:load"\n'
REST = "[sgd]\nlr = 0.1\n[train]\nepochs = 2\n"


def test_a_plain_string_is_the_table_with_that_name():
    """Both forms are the same recipe; built-in names may be written so too."""
    assert parse_recipe(SHORT + REST) == parse_recipe(REST + LONG)
    assert parse_recipe('model = "mlp"\n' + REST) == parse_recipe(REST)


def test_it_is_printed_back_as_a_table():
    """The printed recipe has [model] and [data], and is the same recipe."""
    recipe = parse_recipe(SHORT + REST)
    printed = tomllib.loads(to_toml(recipe))
    assert (printed["model"]["name"], printed["data"]["name"]) == ("my_task:build", "my_task:load")
    assert parse_recipe(to_toml(recipe)) == recipe


@pytest.mark.parametrize(
    "overrides",
    [
        [("model.options.width", "3")],
        [("model", "my_task:build"), ("model.options.width", "3")],
        [("model", '{ name = "my_task:build", options = { width = 3 } }')],
    ],
)
def test_overrides_reach_into_it(overrides):
    """A key inside is set beside the name; a name alone replaces the whole table, as any override of a table does."""
    model = parse_recipe(SHORT + REST, overrides=overrides).model
    assert (model.name, model.options) == ("my_task:build", {"width": 3})


def test_a_name_alone_forgets_what_the_table_held():
    """The options of another function go with it."""
    text = REST + '[model]\nname = "a:b"\noptions = { width = 1 }\n'
    assert parse_recipe(text, overrides=[("model", "c:d")]).model.options == {}


def test_only_tables_that_are_called_by_name_have_this_form():
    """A string for any other table stays a mistake."""
    with pytest.raises(RecipeError, match="`train` must be a table; got 'long'"):
        parse_recipe('train = "long"\n[sgd]\nlr = 0.1\n')
