"""A value of any length is named in a message of a few lines."""

import pytest

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe

LONG = "x" * 100_000
REST = "[sgd]\nlr = 0.1\n[train]\nsteps = 1\n"


@pytest.mark.parametrize("value", [f'"{LONG}"', f"[{'1, ' * 30_000}]", f'{{ a = "{LONG}" }}'])
@pytest.mark.parametrize("key", ["groups", "data.batch_size", "data.normalize", "sgd.decay", "train.compile", "log"])
def test_a_long_value_is_shortened(key, value):
    """Of each kind of value in the place of each kind of key."""
    with pytest.raises(DownslopeError) as caught:
        parse_recipe(REST, overrides=[(key, value)])
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("key", "value"),
    [(f"sgd.{LONG}", "1"), ("sgd.lr", f'{{ schedule = "{LONG}" }}')],
)
def test_a_long_name_is_shortened(key, value):
    """Of a key, and of a schedule."""
    with pytest.raises(DownslopeError) as caught:
        parse_recipe(REST, overrides=[(key, value)])
    assert len(str(caught.value)) < 1000
