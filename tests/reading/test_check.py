"""A recipe that somebody else filled in, held against the text: what is confirmed, contradicted and absent."""

from __future__ import annotations

import pytest

import downslope
from downslope import check_reading, read
from downslope.core.errors import DownslopeError, RecipeError
from downslope.recipe.load import parse_recipe
from reading.first_corpus import FIRST
from reading.second_corpus import SECOND
from reading.third_corpus import THIRD

TEXT = (
    "We use SGD with momentum 0.9, weight decay 5e-4 and batch size 128. The learning rate is 0.1, divided by 10 every 30 "
    "epochs, for 90 epochs in all."
)
GOOD = """
[data]
batch_size = 128

[sgd]
momentum = 0.9
weight_decay = 0.0005

[sgd.lr]
schedule = "exponential"
initial = 0.1
rate = 0.1
every = 30
staircase = true
unit = "epoch"

[train]
epochs = 90
"""


def verdicts(text, recipe):
    """Return path -> verdict."""
    return {one.path: one.verdict for one in check_reading(text, recipe)}


def test_a_good_recipe_is_confirmed():
    """Every value by its words."""
    found = check_reading(TEXT, GOOD)
    assert {one.verdict for one in found} == {"confirmed"}
    by_path = {one.path: one for one in found}
    assert by_path["sgd.momentum"].field.words == "momentum 0.9"
    assert by_path["data.batch_size"].holds


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("momentum = 0.9", "momentum = 0.99", "sgd.momentum"),
        ("weight_decay = 0.0005", "weight_decay = 0.005", "sgd.weight_decay"),
        ("batch_size = 128", "batch_size = 256", "data.batch_size"),
        ("epochs = 90", "epochs = 100", "train.epochs"),
        ("initial = 0.1", "initial = 0.01", "sgd.lr.initial"),
        ("every = 30", "every = 10", "sgd.lr.every"),
        ("rate = 0.1", "rate = 0.5", "sgd.lr.rate"),
    ],
)
def test_a_wrong_value_is_contradicted(old, new, path):
    """By the words that say another; no comment helps."""
    for comment in ("", "  # assumed"):
        found = verdicts(TEXT, GOOD.replace(old, new + comment, 1))
        assert found[path] == "contradicted"
        assert {p for p, verdict in found.items() if verdict == "contradicted"} == {path}


def test_another_schedule_is_contradicted():
    """A course that is not that of the text, and a constant where the text has a course."""
    cosine = GOOD.replace('schedule = "exponential"', 'schedule = "cosine"').replace("rate = 0.1\nevery = 30\nstaircase = true", "duration = 90\nfinal = 0.0")  # fmt: skip
    assert verdicts(TEXT, cosine)["sgd.lr.schedule"] == "contradicted"
    constant = GOOD[: GOOD.index("[sgd.lr]")].replace("[sgd]", "[sgd]\nlr = 0.1") + "[train]\nepochs = 90\n"
    assert verdicts(TEXT, constant)["sgd.lr"] == "contradicted"


def test_two_spellings_of_one_course():
    """Divided by 10 every 30 of 90 epochs is multistep at 30 and 60; at half and three quarters of 100 is at 50 and 75."""
    multistep = GOOD.replace(
        'schedule = "exponential"\ninitial = 0.1\nrate = 0.1\nevery = 30\nstaircase = true',
        'schedule = "multistep"\ninitial = 0.1\nfactor = 0.1\nmilestones = [30, 60]',
    )
    assert set(verdicts(TEXT, multistep).values()) == {"confirmed"}
    assert verdicts(TEXT, multistep.replace("60]", "61]"))["sgd.lr.schedule"] == "contradicted"
    halves = "SGD, lr 0.1, divided by 10 at 50% and 75% of the training, 100 epochs"
    recipe = '[sgd.lr]\nschedule = "multistep"\ninitial = 0.1\nfactor = 0.1\nmilestones = [50, 75]\nunit = "epoch"\n[train]\nepochs = 100\n'
    assert set(verdicts(halves, recipe).values()) == {"confirmed"}


def test_a_constant_rate_in_two_spellings():
    """lr = 0.1 and the schedule "constant" are the same."""
    text = "SGD, lr 0.1, 90 epochs"
    assert verdicts(text, "sgd = {lr = 0.1}\ntrain = {epochs = 90}")["sgd.lr"] == "confirmed"
    table = '[sgd]\nlr = {schedule = "constant", value = 0.1}\n[train]\nepochs = 90'
    assert verdicts(text, table)["sgd.lr"] == "confirmed"


def test_what_the_text_does_not_say():
    """It is absent, unless a comment on its own line says that it is assumed."""
    text = "SGD, lr 0.1, 90 epochs"
    recipe = "[sgd]\nlr = 0.1\nmomentum = 0.9{}\n[train]\nepochs = 90\n"
    assert verdicts(text, recipe.format(""))["sgd.momentum"] == "absent"
    assert verdicts(text, recipe.format("  # assumed: the usual value"))["sgd.momentum"] == "assumed"
    assert verdicts(text, recipe.format("  # not assumed at all, but stated"))["sgd.momentum"] == "absent"
    assert verdicts(text, recipe.format("\n# assumed"))["sgd.momentum"] == "assumed"
    quoted = 'title = "# assumed"\n[sgd]\nlr = 0.1\nmomentum = 0.9\n[train]\nepochs = 90\n'
    assert verdicts(text, quoted)["sgd.momentum"] == "absent"


def test_what_the_recipe_leaves_out():
    """A value that the text states, and the recipe leaves at another default, is contradicted."""
    found = check_reading(TEXT, GOOD.replace("weight_decay = 0.0005\n", ""))
    left = next(one for one in found if one.path == "sgd.weight_decay")
    assert (left.verdict, left.value, left.written, left.holds) == ("contradicted", 0.0, False, False)


def test_another_optimizer_is_contradicted():
    """A recipe is for SGD; a text that trains by Adam contradicts it."""
    found = verdicts("Adam with learning rate 0.001 for 10 epochs", "sgd = {lr = 0.001}\ntrain = {epochs = 10}")
    assert (found["optimizer"], found["sgd.lr"]) == ("contradicted", "confirmed")


def test_a_recipe_in_any_form(tmp_path):
    """A Recipe, a path, its TOML: the same verdicts on the same values."""
    (tmp_path / "recipe.toml").write_text(GOOD, encoding="utf-8")
    wanted = verdicts(TEXT, GOOD)
    assert verdicts(TEXT, tmp_path / "recipe.toml") == verdicts(TEXT, str(tmp_path / "recipe.toml")) == wanted
    assert verdicts(TEXT, parse_recipe(GOOD)) == wanted


def test_a_text_in_any_form(tmp_path):
    """A path, and several texts."""
    (tmp_path / "paper.txt").write_text(TEXT, encoding="utf-8")
    assert verdicts(tmp_path / "paper.txt", GOOD) == verdicts([("", TEXT)], GOOD) == verdicts(TEXT, GOOD)


@pytest.mark.parametrize("recipe", [1, None, {"sgd": 1}])
def test_what_is_no_recipe(recipe):
    """Anything else is a person's mistake."""
    with pytest.raises(RecipeError, match="`recipe` must be"):
        check_reading(TEXT, recipe)


@pytest.mark.parametrize(
    "recipe", ["[sgd", "sgd = 1", "[sgd]\nlr = 0.1\nmomentun = 1\n[train]\nepochs = 1", "missing.toml"]
)
def test_a_broken_recipe(recipe):
    """So is one that is not TOML, has unknown keys or is not there."""
    with pytest.raises(RecipeError):
        check_reading(TEXT, recipe)


@pytest.mark.parametrize("row", [*FIRST, *SECOND, *THIRD], ids=lambda row: row.name)
def test_what_read_writes_is_confirmed(row):
    """The recipe file of a reading holds against its own text, with the comments that it writes."""
    reading = read(row.text)[0]
    try:
        recipe = reading.to_toml()
    except DownslopeError:
        return
    assert [one for one in check_reading(row.text, recipe) if not one.holds and one.written] == []


def test_the_public_name():
    """It is loaded when it is first used, like the others."""
    assert "check_reading" in downslope.__all__
    assert downslope.check_reading is check_reading
