"""Random and hostile texts: never a traceback, always in bounded time, and no stated number that the text does not hold."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downslope import read
from downslope.core.errors import DownslopeError, RecipeError
from downslope.reading.html_page import render
from downslope.reading.lexicon.chinese import CHINESE
from downslope.reading.lexicon.english import ENGLISH
from downslope.reading.reading import Reading
from downslope.reading.remarks import MARKS
from downslope.reading.shown import describe
from downslope.reading.verdicts import compare_reading
from draws import draws
from work import calls

PHRASES = sorted(
    phrase
    for lexicon in (ENGLISH, CHINESE)
    for keys in lexicon.values()
    for all_of in keys.values()
    for phrase in all_of.split("|")
)
NUMBERS = [
    "0.1",
    "10",
    "5e-4",
    "0.9",
    "60, 90 and 120",
    "50%",
    "1/10",
    "万分之五",
    "1e999",
    "-3",
    "0",
    "9" * 30,
    "30th",
    "三十",
    "∞",
    "nan",
]
SYMBOLS = [
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "=",
    ":",
    "/",
    "--lr",
    "SGD(",
    "lr=",
    "\n",
    '"',
    "{",
    "$",
    "\\",
    "%",
    "StepLR(",
    "base_lr:",
    "v = ",
]
SOUP = st.lists(st.sampled_from(PHRASES) | st.sampled_from(NUMBERS) | st.sampled_from(SYMBOLS), max_size=50).map(
    " ".join
)


def check(text):
    """Read a text, and try to make a recipe and a file of each reading."""
    readings = read(text)
    assert readings
    for reading in readings:
        assert isinstance(reading, Reading)
        for path, found in reading.fields.items():
            assert found.provenance in {"stated", "implied", "assumed"}, path
            assert found.value is not None, path
        try:
            reading.recipe()
            reading.to_toml()
        except DownslopeError:
            pass
    return readings


@settings(max_examples=draws(100))
@given(SOUP)
def test_words_in_any_order(text):
    """Phrases, numbers and symbols in any order give readings, or the errors of a recipe."""
    check(text)


@settings(max_examples=draws(100))
@given(st.text(max_size=200))
def test_any_text(text):
    """So does any text at all, of any script and with any control characters."""
    check(text)


@settings(max_examples=draws(50))
@given(st.binary(max_size=200))
def test_binary(data):
    """So do bytes taken for text."""
    check(data.decode("latin-1"))


WHOLE = [
    "import torch\nopt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)\nfor epoch in range(90):\n    train()\n",
    "optimizer:\n  lr: 0.1\n  momentum: 0.9\nschedule: [30, 60]\nepochs: 90\n",
    "[net]\nlearning_rate=0.1\nmax_batches=500\npolicy=steps\nsteps=100,200\nscales=.1,.1\n",
    'base_lr: 0.01\nlr_policy: "step"\ngamma: 0.1\nstepsize: 1000\nmax_iter: 5000\n',
    '{"lr": 0.1, "momentum": 0.9, "epochs": 90}',
    "#!/bin/sh\nLR=0.1\npython train.py --lr $LR --epochs 90 \\\n  --momentum 0.9\n",
    "We use SGD with momentum 0.9.\n\n```sh\npython train.py --lr 0.1\n```\n\nFor 90 epochs, batch size 128.\n",
]
NAMES = st.sampled_from(["", "a.py", "a.yaml", "a.cfg", "a.sh", "a.prototxt", "a.json", "a.toml", "a.ipynb", "a.md"])


@st.composite
def mutated(draw):
    """Draw a script, configuration or mixed text with pieces cut out, doubled and put in."""
    text = draw(st.sampled_from(WHOLE))
    for _ in range(draw(st.integers(1, 5))):
        first, last = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        piece = draw(st.sampled_from(["", text[first:last] * 2, *SYMBOLS, *NUMBERS, "```\n", "<<EOF\n", "\x00", "**"]))
        text = text[:first] + piece + text[min(last, first + 12) :]
    return text


@settings(max_examples=draws(100), deadline=None)
@given(mutated(), NAMES)
def test_mutated_files(text, name):
    """Every part of it answers: readings, places of their words, the page, the terminal, a recipe and its check."""
    readings = read(text, name=name)
    describe(readings, width=60)
    render(readings, [(name, text)])
    for reading in readings:
        for path, found in reading.fields.items():
            assert found.start < 0 or text[found.start : found.end] == found.words, path
            assert set(found.marks) <= set(MARKS), path
        with contextlib.suppress(DownslopeError):
            compare_reading(reading, reading.to_toml())


TEMPLATES = [
    "SGD with learning rate {0}, momentum {1}, weight decay {2}, batch size {3} for {4} epochs",
    "lr {0} divided by {3} at epochs {4} and {5}",
    "lr {0} decreased by {1} every {3} epochs, momentum {2}",
    "学习率{0}，每{3}轮乘以{1}，动量{2}，批大小{4}",
    "--lr {0} --momentum {1} --wd {2} -b {3} --epochs {4}",
    "we use a batch of {3} and {5} layers; {4} heads, dropout {1}, weight decay {2}, rate {0}",
    "warm up for {3} epochs from {0} to {1}, then cosine to {2} over {4} epochs",
]
FRACTIONS = st.sampled_from(["0.1", "0.05", "0.9", "0.37", "5e-4", "0.0123", "0.71"])
COUNTS = st.sampled_from(["7", "13", "64", "90", "250", "1300"])


@settings(max_examples=draws(100))
@given(st.sampled_from(TEMPLATES), st.tuples(FRACTIONS, FRACTIONS, FRACTIONS, COUNTS, COUNTS, COUNTS))
def test_a_stated_number_stands_in_the_text(template, numbers):
    """What is called stated is a number of the text, or 1/n or 1 - n of one, or a number that a word says (0, 1/2, 1)."""
    text = template.format(*numbers)
    values = [float(number) for number in numbers]
    allowed = [*values, *(1 / value for value in values), *(1 - value for value in values), 0.0, 0.5, 1.0]
    for reading in check(text):
        for path, found in reading.fields.items():
            if found.provenance == "stated" and not isinstance(found.value, bool | str):
                for value in found.value if isinstance(found.value, list) else [found.value]:
                    assert any(math.isclose(value, one, rel_tol=1e-9) for one in allowed), (path, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t ",
        "the quick brown fox",
        "Der Lernrate wird alle dreißig Epochen durch zehn geteilt",
        "скорость обучения 0,1",
        "学習率は0.1とする",
        "\x00\x01\x02",
        "🦊" * 50,
        "(" * 500,
        "lr lr lr lr = = = 0.1 0.2 0.3",
        "momentum 0.9 momentum 0.1 momentum 0.5",
        "learning rate 0.1. learning rate 0.2. 90 epochs. 30 epochs.",
        "lr -0.1, momentum 2, weight decay -1, batch size 0, 0 epochs",
        "lr 0.1 divided by 0 every 0 epochs",
        "lr 0.1 multiplied by 1e400 every 1e400 epochs",
        "cosine from 0 to 0 over 0 epochs",
        "SGD(lr=SGD(lr=SGD(lr=",
        "StepLR(opt, 30, gamma=[[[[)",
        "MultiStepLR(opt, [], gamma=0.1)",
        "PiecewiseConstantDecay([1], [0, 0])",
        'base_lr: "0.1" lr_policy: 3',
        "--schedule 1 2 --schedule 3 steps: [4, 5] --lr 0.1 0.2",
    ],
)
def test_odd_texts(text):
    """Texts without sense, of other languages and with impossible values are read without a traceback."""
    for reading in check(text):
        for path in ("sgd.lr", "sgd.momentum", "sgd.weight_decay"):
            assert path not in reading.fields or reading.fields[path].value >= 0
        assert reading.remarks


@pytest.mark.parametrize(
    "piece",
    [
        "learning rate 0.1, ",
        "学习率为0.1，",
        "[1,2,",
        "lr=",
        "--lr 0.1 ",
        "每30轮",
        "momentum and ",
        "9",
        "optim.SGD(lr=0.1,",
        "divided by 10 ",
    ],
)
def test_a_million_characters_take_bounded_work(piece):
    """1 MB of the worst kinds takes little more work than 100 kB, and the remark says that passages were chosen."""
    read(piece)  # what is imported and compiled at first is no work of a text
    fewer, _ = calls(lambda: read(piece * (100_000 // len(piece))))
    work, readings = calls(lambda: read(piece * (1_000_000 // len(piece)), language="en"))
    assert work < 5 * fewer < 10_000_000
    assert any("long" in remark for remark in readings[0].remarks)


@pytest.mark.parametrize("piece", ["1-", "降", "学习率降", "reduce "])
def test_one_word_over_and_over_takes_work_as_it_is_long(piece):
    """A word of a thousand numbers, or verb after verb, takes no more work a piece than a short one."""
    work, _ = calls(lambda: read("lr 0.1 " + piece * 1000))
    assert work < 2000 * 1000


def test_the_telling_passage_of_a_long_text_is_found():
    """In a long text without a word on training, the one sentence on it is read."""
    noise = "Foxes are small to medium-sized omnivorous mammals. " * 5000
    fields = read(f"{noise}We use SGD with a learning rate of 0.1 and momentum 0.9. {noise}")[0].fields
    assert (fields["sgd.lr"].value, fields["sgd.momentum"].value) == (0.1, 0.9)


@pytest.mark.parametrize("text", [None, 1, b"lr 0.1", [1], [], [("lr",)]])
def test_only_strings_are_read(text):
    """Anything but a string is a person's mistake, and is told so."""
    with pytest.raises(RecipeError, match="`text` must be a string"):
        read(text)


def test_only_two_languages_are_spoken():
    """An unknown language of remarks is refused."""
    with pytest.raises(RecipeError, match="`language` must be `en` or `zh`"):
        read("lr 0.1", language="fr")
