"""A table's whole numbers as a target: classes where they may be, otherwise a number to fit, and the way to do it."""

from pathlib import Path

import pytest

from downslope.core.errors import DataError
from downslope.recipe.load import parse_recipe
from downslope.training.data import load_data
from downslope.training.run.randomness import permutation

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def load(more="", seed=0):
    """Return the table, its target taken for classes."""
    options = f'path = "t.csv", target = "y"{more}'
    text = f'seed = {seed}\n[data]\nname = "table"\noptions = {{ {options} }}\n[sgd]\nlr = 0.1\n[train]\nepochs = 1\n'
    return load_data(parse_recipe(text, "recipe"))


def message_of(more="", seed=0):
    """Return the message with which loading fails."""
    with pytest.raises(DataError) as caught:
        load(more, seed)
    return str(caught.value)


def write_targets(targets):
    """Write a table of one feature with these targets."""
    rows = "".join(f"{place},{target}\n" for place, target in enumerate(targets))
    Path("t.csv").write_text(f"x,y\n{rows}", encoding="utf-8")


def test_numbers_of_their_own_are_no_classes():
    """Whole numbers that differ almost everywhere: a number to fit, unless the recipe says that they are classes."""
    write_targets([f"{100 + place % 21}.0" for place in range(41)])
    assert message_of() == (
        "t.csv, column `y`: has 21 different whole numbers in 41 rows, too many to be classes, for which train.loss = "
        "'cross_entropy' takes them. To fit the number itself, use train.loss = \"mse\"; if they do name classes, say "
        'so: data.options.kind = "classes".'
    )
    said = message_of(', kind = "classes"')
    assert said.startswith("data.name = 'table': column `y`: every example of ")
    assert said.endswith("another seed, or more examples.")


@pytest.mark.parametrize(
    "targets",
    [
        [place % 21 for place in range(42)],  # two of each
        [place % 10 for place in range(12)],  # few classes are never too many
        [f"c{place % 21}" for place in range(41)],  # words are no numbers
        [place % 21 if place else "x" for place in range(42)],
    ],
)
def test_classes_that_are_classes_are_not_refused_as_numbers(targets):
    """What may be a class is one: with two examples each, few in all, or named by words."""
    write_targets(targets)
    Path("h.csv").write_text(f"x,y\n1,{targets[1]}\n", encoding="utf-8")
    assert load(', held_out_path = "h.csv"').classes == len(set(targets))


def test_a_number_that_is_held_out_alone_is_told_what_else_it_may_be():
    """Numbers that are not so many keep the message of classes, and it says how to fit a number."""
    write_targets([*(place % 3 for place in range(30)), 7])
    seed = next(seed for seed in range(100) if permutation(seed, "held out", 31)[:7].tolist().count(30))
    assert message_of(seed=seed) == (
        "data.name = 'table': column `y`: every example of `7` is held out, so that there is none to learn from. Use a "
        "smaller data.held_out, another seed, or more examples. If it is a number to fit, not the name of a class, use "
        'train.loss = "mse".'
    )
