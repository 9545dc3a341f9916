"""Numbers that are too large, too small or broken: never a crash, never a setting, always listed as not used."""

from __future__ import annotations

import random
import re
import sys

import pytest

from downslope import explain, read
from downslope.core.errors import DownslopeError, RecipeError
from downslope.recipe.load import parse_recipe
from draws import SEED, draws
from reading.first_corpus import FIRST
from reading.second_corpus import SECOND
from reading.test_hostile_texts import PHRASES, SYMBOLS

LONG = "0." + "0" * 500 + "1"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("降为原来的1e39 time", "1e39"),
        ("lr 0.1, 降为原来的1e39 time, 每30轮", "1e39"),
        ("10⁻\n1", "10⁻\n1"),
        ("learning rate 10⁻\n⁴, momentum 0.9", "10⁻\n⁴"),
        ("learning rate 5·10⁻\n4, momentum 0.9", "5·10⁻\n4"),
        ("learning rate 10^", "10^"),
        ("learning rate 1e400", "1e400"),
        ("learning rate 1e-400", "1e-400"),
        (f"learning rate {LONG}", LONG),
        ("learning rate 10^999999", "10^999999"),
        ("learning rate 10⁻⁹⁹⁹⁹⁹⁹", "10⁻⁹⁹⁹⁹⁹⁹"),
        ("learning rate " + "9" * 100_000, "9999"),
        ("learning rate " + "9" * 5_000, "9999"),  # of which no passage is chosen: every pattern meets all of it
        ("batch size 1e39", "1e39"),
        ("lr 0.1 divided by 1e300 at epoch 3", "1e300"),
        ("SGD(lr=1e999, momentum=0.9)", "1e999"),
        ("MultiStepLR(optimizer, milestones=[30, 1e400], gamma=0.1)", "1e400"),
        ("--lr 1e999 --momentum 0.9", "1e999"),
        ("base_lr: 1e99999", "1e99999"),
        ("warm up for 1e39 epochs, lr 0.1", "1e39"),
        ("lr 0.1 for 1e39 epochs, then 0.01", "1e39"),
    ],
)
def test_an_unusable_number_is_listed(text, number):
    """It stands under Not used, and no field has it, a part of it, or an infinity or a 0 in its place."""
    for reading in read(text):
        assert any(number in words for words in reading.unread), reading
        for path, found in reading.fields.items():
            values = found.value if isinstance(found.value, list) else [found.value]
            numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
            assert all(0 < value < 1e19 and value in {0.1, 0.01, 0.9, 1, 3, 30} for value in numbers), (path, found)


def test_powers_of_ten_are_read_as_before():
    """Superscripts, carets, braces and a lost minus are powers still."""
    for text, lr in [
        ("lr 10⁻⁴", 1e-4),
        ("lr 5·10⁻⁴", 5e-4),
        ("lr 10^{-3}", 1e-3),
        ("lr 3 x 10-4", 3e-4),
        ("lr 10^ -2", 1e-2),
        ("lr 5 * 10**-3", 5e-3),
    ]:
        assert read(text)[0].fields["sgd.lr"].value == lr, text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr 11.5 per 0 examples, batch 13, nesterov momentum 0.85", "does not say"),
        ("SGD, lr 0.1 multiplied by 88 every epoch, 30000 epochs", "too large for a float at step 689999"),
    ],
)
def test_what_cannot_be_computed_is_an_error_of_the_recipe(text, message):
    """Nothing is divided by 0 examples, and no recipe is made whose learning rate outgrows all numbers."""
    with pytest.raises(RecipeError, match=message):
        read(text)[0].recipe()


def test_the_product_of_two_tiny_numbers():
    """How long a weight decay takes cannot be said where its product with lr is 0."""
    assert read("lr 1e-200, weight decay 1e-200, momentum 0.9")[0].recipe().sgd.weight_decay == 1e-200


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("optimizer", ["", "SGD with momentum, "])
def test_no_remark_contradicts_its_reading(language, optimizer):
    """A momentum that one reading assumes is not called missing there; in the others it is."""
    text = f"{optimizer}learning rate 0.1, exponential decay, decay factor 0.1, weight decay factor 0.98"
    readings = read(text, language=language)
    assert len(readings) == 4
    missing = ("without it", "value is not stated", "配方中就没有动量", "没有给出数值")
    for number, reading in enumerate(readings, start=1):
        said = [remark for remark in reading.remarks if any(words in remark for words in missing)]
        assumed = [remark for remark in reading.remarks if re.search(r"(assumed: |假定为)0\.9", remark)]
        assert (len(said), len(assumed)) == ((0, 1) if number == 2 else (1, 0)), reading.remarks
        assert ("sgd.momentum" in reading.fields) is (number == 2)


TEXTS = [row.text for row in (*FIRST, *SECOND)]
CLAUSES = [clause for text in TEXTS for clause in re.split(r"(?<=[,.;，。；])", text) if clause.strip()]
DIGITS = "0123456789⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺０１２３４５６７８９．٣½①万亿百%‰^*·×\n-−/,."


def _pieces(rng):
    """Yield random pieces of a text: clauses of the corpora, phrases, code, numbers in every alphabet."""
    while True:
        kind = rng.random()
        if kind < 0.35:
            yield rng.choice(CLAUSES)
        elif kind < 0.6:
            yield rng.choice(PHRASES)
        elif kind < 0.7:
            yield rng.choice(SYMBOLS)
        elif kind < 0.85:
            yield f"{rng.randint(0, 200)}{rng.choice(['', '%', 'e-', 'e', '/', '·10⁻', 'k', '万', ',', ' 10^'])}{rng.randint(0, 400)}"
        else:
            yield "".join(rng.choices(DIGITS, k=rng.randint(1, 6)))


def test_pieces_of_sentences_in_any_order():
    """Readings, and where one has a recipe, a file that says the same, and an explanation."""
    rng = random.Random(SEED)
    pieces = _pieces(rng)
    recipes = 0
    for _ in range(draws(600)):
        text = rng.choice([" ", "", ", "]).join(next(pieces) for _ in range(rng.randint(1, 9)))
        for reading in read(text):
            try:
                recipe = reading.recipe()
            except DownslopeError:
                continue
            assert parse_recipe(reading.to_toml()).sgd == recipe.sgd, (SEED, text)
            recipes += 1
            if recipes % 10 == 0:
                explain(recipe)
    assert recipes > 40


def _work(text):
    """Return how many lines of Python run to read a text."""
    lines = 0

    def local(_frame, event, _argument):
        nonlocal lines
        lines += event == "line"
        return local

    before = sys.gettrace()
    sys.settrace(lambda *_: local)
    try:
        read(text)
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize(
    "phrase",
    [
        "momentum ",
        "divided by ",
        "learning rate ",
        "every ",
        "0.1 ",
        "then ",
        "warmup ",
        "每轮",
        "10⁻\n",
        "1,",
        "lr=",
        "(",
    ],
)
def test_work_grows_with_the_length_alone(phrase):
    """Four times as much of the same costs about four times as much, and not sixteen."""
    read(phrase * 200)  # what is made once
    assert _work(phrase * 800) < 6 * _work(phrase * 200)
