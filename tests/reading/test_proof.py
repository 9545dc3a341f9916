"""What is called stated is proved by its own words; what is marked says why; what was not used is listed whole."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downslope import read
from downslope.reading.draft import Draft
from downslope.reading.items import find_items
from downslope.reading.proof import numbers_in, prove
from downslope.reading.reading import Field
from downslope.reading.remarks import EXPLANATIONS, MARKS, SENTENCES, Remarks
from downslope.reading.text import normalise
from draws import draws
from reading.first_corpus import FIRST
from reading.second_corpus import SECOND
from reading.third_corpus import THIRD


def fields_of(words):
    """Return what words say that stand alone."""
    return read(words)[0].fields


def proved(text, path, value, words):
    """Return the field after proof that claims a value by some words of a text, and what was refuted."""
    start = text.index(words)
    draft = Draft(normalise(text), [], Remarks())
    draft.fields[path] = Field(value, "stated", words, start, start + len(words))
    refuted = prove(draft, fields_of)
    return draft.fields.get(path), [text[first:last] for first, last in refuted]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("sgd.momentum", 0.9, "momentum 0.9"),
        ("sgd.lr.rate", 0.1, "divided by 10"),
        ("sgd.lr.rate", 0.96, "decreased by 4%"),
        ("sgd.lr.factor", 0.5, "halved"),
        ("sgd.lr.milestones", [60, 120], "at epochs 60 and 120"),
        ("sgd.weight_decay", 5e-4, "权重衰减为万分之五"),
        ("sgd.lr.every", 1, "0.97 per epoch"),
        ("sgd.lr", 0.4, "lr = 0.1 * 4"),
        ("train.steps", 65536, "2 ** 16"),
        ("sgd.momentum", 0, "without momentum"),
    ],
)
def test_words_that_give_the_value_prove_it(path, value, words):
    """As it stands, or by the arithmetic that the words say."""
    found, refuted = proved(f"We train, {words}.", path, value, words)
    assert found.provenance == "stated"
    assert refuted == []


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("sgd.lr", 0.2, "lr 0.1"),
        ("sgd.lr.milestones", [60, 121], "at epochs 60 and 120"),
        ("train.epochs", 90, "all epochs"),
        ("sgd.weight_decay", 0.3, "权重衰减为万分之五"),
    ],
)
def test_a_value_that_its_words_do_not_give_is_not_stated(path, value, words):
    """It is demoted and marked, so that no recipe is written with it unawares."""
    found, _ = proved(f"We train, {words}.", path, value, words)
    assert found.provenance == "implied"
    assert found.marks == ("unproven",)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("sgd.lr", 0.9, "momentum 0.9"),
        ("sgd.momentum", 0.0005, "weight decay of 0.0005"),
        ("sgd.weight_decay", 0.9, "动量为0.9"),
        ("data.batch_size", 0.1, "a learning rate of 0.1"),
    ],
)
def test_a_value_that_its_words_give_to_another_is_dropped(path, value, words):
    """A number taken for another field than its own words name is refuted, and its words are not used."""
    found, refuted = proved(f"We train, {words}.", path, value, words)
    assert found is None
    assert refuted == [words]


def test_a_sentence_is_quoted_where_fewer_words_do_not_do():
    """Words that are too few are widened to their sentence, if that alone states the value."""
    text = "Nothing here. We use SGD with momentum 0.9. Nor here."
    found, _ = proved(text, "sgd.momentum", 0.9, "SGD")
    assert (found.provenance, found.words) == ("stated", "We use SGD with momentum 0.9")
    assert text[found.start : found.end] == found.words


@pytest.mark.parametrize("row", [*FIRST, *SECOND, *THIRD], ids=lambda row: row.name)
def test_stated_numbers_of_the_corpora_are_proved(row):
    """What remains stated has the value in its words; and places lead to exactly these words."""
    for reading in read(row.text):
        for path, found in reading.fields.items():
            if found.start >= 0:
                assert row.text[found.start : found.end] == found.words, path
            if found.provenance == "stated" and not isinstance(found.value, str | bool):
                numbers = numbers_in(found.words, find_items(normalise(found.words).plain))
                for value in found.value if isinstance(found.value, list) else [found.value]:
                    assert any(abs(value - one) <= 1e-6 * abs(one) for one in numbers), path


def test_arithmetic_is_bounded():
    """Powers of powers and deep sums in words neither hang nor crash."""
    for words in ("9**9**9**9", "1/0", "2**-5000", "(" * 500 + "1" + ")" * 500, "+".join(["1"] * 5000), "1e308*1e308"):
        numbers_in(words, [])


# Marks


@pytest.mark.parametrize(
    ("text", "path", "mark"),
    [
        ("lr 11, momentum 0.9", "sgd.lr", "large_lr"),
        ("SGD with lr 20 divided by 10 every 30 epochs", "sgd.lr.initial", "large_lr"),
        ("momentum 0.9999, lr 0.1", "sgd.momentum", "large_momentum"),
        ("SGD, weight decay 0.1, lr 0.1", "sgd.weight_decay", "large_weight_decay"),
        ("权重衰减0.2，学习率0.1，SGD", "sgd.weight_decay", "large_weight_decay"),
        ("batch size 1500000, SGD, lr 0.1", "data.batch_size", "large_batch"),
        ("momentum 0.9 in one place, momentum 0.8 in another", "sgd.momentum", "competing"),
        ("lr: 0.1\nmomentum: 0.99995\n", "sgd.momentum", "large_momentum"),
        ("python train.py --lr 30 --momentum 0.9", "sgd.lr", "large_lr"),
        ("SGD, lr 0.1, 50 epochs, dropped by 10 at epochs 30 and 60", "sgd.lr.milestones", "after_the_end"),
    ],
)
def test_marks(text, path, mark):
    """What should be looked at is marked at the field."""
    assert mark in read(text)[0].fields[path].marks


@pytest.mark.parametrize(
    "text",
    [
        "SGD with momentum 0.9, lr 0.1 divided by 10 every 30 epochs, weight decay 1e-4, batch size 256, 90 epochs",
        "lr: 0.1\nmomentum: 0.9\nweight_decay: 0.0005\nepochs: 90\nbatch_size: 128\n",
        "动量0.9，学习率0.1，权重衰减5e-4，批大小128，共90轮",
    ],
)
def test_ordinary_values_are_not_marked(text):
    """A usual recipe has no marks."""
    reading = read(text)[0]
    assert not any(found.marks for found in reading.fields.values())
    assert reading.named != "assumed"


def test_who_names_the_optimizer():
    """It is stated, implied by a momentum, or assumed."""
    assert read("SGD, lr 0.1")[0].named == "stated"
    assert read("momentum 0.9, lr 0.1")[0].named == "implied"
    assert read("lr 0.1, 90 epochs")[0].named == "assumed"


@pytest.mark.parametrize("table", [SENTENCES, MARKS, EXPLANATIONS], ids=["sentences", "marks", "explanations"])
def test_both_languages_have_every_word(table):
    """English has no Chinese characters, and Chinese has some."""
    for name, pair in table.items():
        english, chinese = pair if isinstance(pair, tuple) else (name, pair)
        assert not any("\u4e00" <= c <= "\u9fff" for c in english)
        assert any("\u4e00" <= c <= "\u9fff" for c in chinese)


# Nothing is lost


def lost(text):
    """Return the numbers that were put into a text as 7001, 7002, ... and that a reading does not tell of."""
    reading = read(text)[0]
    told = json.dumps([reading.remarks, reading.unread, [(f.words, f.value) for f in reading.fields.values()]])
    return [number for number in range(7001, 7060) if str(number) in text and str(number) not in told]


PHRASES = {
    "prose": ["dropout of {}", "a crop of {} pixels", "{} layers", "learning rate {}", "for {} epochs", "({})", "使用{}层", "batch size {}"],
    "code": ["x = nn.Linear({}, 10)", "model = f({})", "opt = SGD(params, lr={})", "y = [{}, 2]", "for i in range({}): pass"],
    "yaml": ["hidden: {}", "lr: {}", "seed: {}", "layers: [{}, 3]", "batch_size: {}"],
    "flags": ["--seed {}", "--lr {}", "--layers {}", "-b {}", "--x={}"],
    "ini": ["hidden={}", "learning_rate={}", "width = {}"],
}  # fmt: skip


@st.composite
def inputs(draw):
    """Draw phrases of one kind, or of two after one another, each with a number of its own."""
    kinds = draw(st.lists(st.sampled_from(sorted(PHRASES)), min_size=1, max_size=2))
    numbers = iter(range(7001, 7060))
    pieces = []
    for kind in kinds:
        phrases = [
            phrase.format(next(numbers))
            for phrase in draw(st.lists(st.sampled_from(PHRASES[kind]), min_size=1, max_size=6))
        ]
        pieces.append(
            ", ".join(phrases) + "."
            if kind == "prose"
            else "python train.py " + " ".join(phrases)
            if kind == "flags"
            else "\n".join(phrases)
        )
    return draw(st.sampled_from(["\n\n", "\n", "\n```\n"])).join(pieces)


@settings(max_examples=draws(150))
@given(inputs())
def test_no_number_is_lost(text):
    """Every number, in prose, code, configuration and flags, is in a field, a remark or under "Not used"."""
    assert lost(text) == []


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("SGD, lr 0.1, dropout of 0.5, momentum 0.9", "dropout of 0.5"),
        ("lr: 0.1\nmomentum: 0.9\nhidden_units: 512\n", "hidden_units: 512"),
        ("python train.py --lr 0.1 --momentum 0.9 --seed 42", "--seed 42"),
        ("SGD，学习率0.1，丢弃率0.5，动量0.9", "丢弃率0.5"),
    ],
)
def test_whole_phrases(text, phrase):
    """A number that was not used is told with its words."""
    assert phrase in read(text)[0].unread
