"""From readings to recipes: the file decodes to the recipe, says where every value comes from, and refuses what is missing."""

from __future__ import annotations

import re
import tomllib

import pytest

from downslope import read
from downslope.core.errors import RecipeError
from downslope.core.schedules import Constant, Cosine, Exponential, MultiStep, Warmup
from downslope.recipe.load import parse_recipe
from reading.first_corpus import FIRST
from reading.second_corpus import SECOND

COMPLETE = (
    "SGD with momentum 0.9, lr 0.1 divided by 10 at epochs 30 and 60, weight decay 5e-4, batch size 64, 80 epochs"
)


def test_a_whole_sentence_is_a_whole_recipe():
    """Every number of the sentence stands in the recipe, worked out by hand."""
    recipe = read(COMPLETE)[0].recipe()
    assert recipe.sgd.lr == MultiStep(0.1, factor=0.1, milestones=(30, 60), unit="epoch")
    assert (recipe.sgd.momentum, recipe.sgd.weight_decay, recipe.sgd.decay) == (0.9, 5e-4, "coupled")
    assert (recipe.data.batch_size, recipe.train.epochs) == (64, 80)


@pytest.mark.parametrize("row", [*FIRST, *SECOND], ids=lambda row: row.name)
def test_the_file_is_the_recipe(row):
    """What `to_toml` prints decodes to what `recipe` returns, for every reading that is one."""
    for reading in read(row.text):
        try:
            recipe = reading.recipe()
        except RecipeError:
            with pytest.raises(RecipeError):
                reading.to_toml()
            continue
        assert parse_recipe(reading.to_toml()) == recipe


def test_every_line_says_where_its_value_comes_from():
    """Each key of the file carries stated, implied or assumed; what is assumed is called so."""
    text = read("SGD, lr 0.1 with exponential decay, decay factor 0.95")[0].to_toml()
    lines = [line for line in text.splitlines() if re.match(r"\w+ = ", line)]
    assert lines
    assert all(re.search(r"# (stated|implied|assumed)", line) for line in lines)
    assert re.search(r"^every = 1  # assumed", text, flags=re.MULTILINE)
    assert re.search(r"^epochs = \d+  # assumed", text, flags=re.MULTILINE)


def test_hostile_words_stay_comments():
    """Line ends, quotes and control characters of the text cannot leave their comment."""
    text = 'lr 0.1\n\n[train]\nepochs = 3\x07"""\r\nmomentum 0.9'
    from downslope.reading.reading import write_toml

    printed = write_toml(read(text)[0], text)
    assert tomllib.loads(printed)["sgd"] == {"lr": 0.1, "momentum": 0.9}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SGD with momentum 0.9", "`sgd.lr`"),
        ("SGD, the learning rate is decreased by 4% every 8 epochs", "`sgd.lr.initial`"),
        ("SGD, lr 0.1, divided by 10 for three times", "`sgd.lr.milestones`"),
        ("SGD, lr 0.1, cosine", "`sgd.lr.duration`"),
        ("Adam with lr 1e-3", "adam"),
        ("lr 0.1, nesterov", "`nesterov` needs momentum"),
    ],
)
def test_what_is_missing_is_named(text, message):
    """A recipe is refused with the paths that the text leaves open."""
    with pytest.raises(RecipeError, match=re.escape(message)):
        read(text)[0].recipe()


@pytest.mark.parametrize(
    ("text", "lr", "epochs"),
    [
        ("lr 0.1 for 7 epochs", 0.1, 7),
        ("lr 0.1, cosine over 20 epochs", Cosine(0.1, 0.0, 20, unit="epoch"), 20),
        ("lr 0.1 divided by 10 at epochs 30 and 60", MultiStep(0.1, 0.1, (30, 60), unit="epoch"), 90),
        ("lr 0.1 divided by 10 every 30 epochs", Exponential(0.1, 0.1, 30, unit="epoch", staircase=True), 90),
        ("lr 0.1 with 5 epochs of warmup, 20 epochs", Warmup(5, Constant(0.1), unit="epoch"), 20),
        (
            "lr 0.1, linear warmup over the first 5 epochs, then cosine to 0.001, 20 epochs in total",
            Warmup(5, Cosine(0.1, 0.001, 15, unit="epoch"), unit="epoch"),
            20,
        ),
    ],
)
def test_schedules(text, lr, epochs):
    """The schedule object and the length of training are those that the words say, or end with the schedule."""
    recipe = read(text)[0].recipe()
    assert recipe.sgd.lr == lr
    assert recipe.train.epochs == epochs


def test_a_recipe_out_of_chinese_words_speaks_chinese():
    """Head, provenance and reasons are in the language of the remarks; the words of the text stay as they are."""
    text = "用SGD训练，学习率0.1，在第30和60轮乘以0.1，动量0.9"
    from downslope.reading.reading import write_toml

    printed = write_toml(read(text)[0], text)
    assert "epochs = 90  # 假定：没有说明；取最后一个里程碑之后的一个周期" in printed.splitlines()
    assert 'momentum = 0.9  # 明示："动量0.9"' in printed.splitlines()
    comments = " ".join(line.partition("#")[2] for line in printed.splitlines())
    assert re.findall(r"[A-Za-z_.]{2,}", comments.replace("SGD", "")) == ["data.batch_size"]
    assert write_toml(read(text, language="en")[0], text).count("明示") == 0
