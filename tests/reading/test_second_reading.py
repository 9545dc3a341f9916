"""The second reading: what it thinks of numbers, what it marks and fills in, and what it leaves alone."""

import os

import numpy as np
import pytest

from downslope import read
from downslope.reading.reading import marked_fields
from downslope.reading.second_reading import BUCKETS, ROLES, WEIGHTS, likelihoods, numbers_within


def roles(text):
    """Return each number of a text with the role that is likeliest."""
    places = [*numbers_within(text, 0, len(text))]
    return {place.number.value: ROLES[row.argmax()] for place, row in zip(places, likelihoods(places), strict=True)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a learning rate of 0.05 and a momentum of 0.9", {0.05: "lr", 0.9: "momentum"}),
        ("weight decay 3e-4, batches of 96, 45 epochs in all", {3e-4: "weight_decay", 96: "batch", 45: "epochs"}),
        ("学习率为0.02，动量0.95，批大小48", {0.02: "lr", 0.95: "momentum", 48: "batch"}),
        ("The accuracy was 93.4 per cent on 10000 images.", {0.934: "none", 10000: "none"}),
        ("milestones=[70, 110], gamma=0.2", {70: "milestone", 110: "milestone", 0.2: "factor"}),
    ],
)
def test_what_numbers_are(text, expected):
    """The likeliest role of numbers in plain wordings, by weights alone."""
    assert roles(text) == expected


def test_likelihoods_are_shares_and_of_no_number_none():
    """One row for a number, which sums to 1; of no number there is none; a text of surrogates is no reason to fail."""
    places = [*numbers_within("lr 0.1 and \ud800 9e9", 0, 20)]
    found = likelihoods(places)
    assert found.shape == (2, len(ROLES))
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
    assert likelihoods([]).shape == (0, len(ROLES))


def test_a_stated_value_that_is_unlikely_is_marked():
    """A letter that stands for momentum elsewhere is another method's here: the value is shown, with a mark."""
    field = read("FedProx needs mu=0.01 with plain SGD at lr 0.03")[0].fields["sgd.momentum"]
    assert (field.value, field.provenance, field.marks) == (0.01, "stated", ("unlikely",))
    assert read("SGD with momentum 0.9 and lr 0.03")[0].fields["sgd.momentum"].marks == ()


def test_a_likely_number_that_no_rule_knows_is_filled_in_and_marked():
    """It is implied, never stated, quotes its words, and `--to toml` asks for it to be accepted."""
    text = "Pictures went through in packs of 96, learning speed 0.02, for 30 epochs with momentum 0.9"
    reading = read(text)[0]
    field = reading.fields["sgd.lr"]
    assert (field.value, field.provenance, field.marks, field.words) == (0.02, "implied", ("guessed",), "speed 0.02")
    assert text[field.start : field.end] == field.words
    assert "sgd.lr" in marked_fields(reading)


@pytest.mark.parametrize(
    "text",
    [
        "learning rates of 0.1 or 0.01 were tried",
        "learning rate in {0.1, 0.01}",
        "momentum between 0.9 and 0.99",
        "Adam with lr 0.001",
        "w -= 0.1 * dw\nb -= 0.2 * db\n",
        "the teacher was trained with lr 0.4",
        "batch normalisation with momentum 0.99",
    ],
)
def test_choices_ranges_and_what_is_anothers_are_not_filled_in(text):
    """What the rules understood, or what stands beside a rival, is nothing to guess from."""
    assert not any("guessed" in field.marks for field in read(text)[0].fields.values())


def test_the_weights_are_a_small_file_of_bytes():
    """Codes of bytes and a scale for each role; nothing in it is an object."""
    with np.load(WEIGHTS, allow_pickle=False) as file:
        assert file["codes"].dtype == np.int8
        assert file["codes"].shape == (BUCKETS, len(ROLES))
        assert np.isfinite(file["scales"]).all()
    assert WEIGHTS.stat().st_size < 200_000


@pytest.mark.skipif(not os.environ.get("DOWNSLOPE_NIGHTLY"), reason="a minute of learning: nightly")
def test_learned_anew_the_weights_say_the_same():
    """`learn.py` on the texts of today finds for 97 of 100 numbers the role that the file finds."""
    from reading import learn

    rows, wanted = learn.gather()
    weights, bias = learn.learn(rows, wanted, learn.DECAY)
    with np.load(WEIGHTS, allow_pickle=False) as file:
        kept, kept_bias = file["codes"] * file["scales"], file["bias"]
    same = [
        (weights[row].sum(0) + bias).argmax() == (kept[row].sum(0) + kept_bias).argmax()
        for row in ([*map(learn.bucket_of, row)] for row in rows)
    ]
    assert np.mean(same) > 0.97
