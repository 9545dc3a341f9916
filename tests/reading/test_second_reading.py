"""The second reading: what it thinks of numbers, what it marks and fills in, and what it leaves alone."""

import os
import zlib

import numpy as np
import pytest

from downslope import read
from downslope.reading.reading import marked_fields
from downslope.reading.second_reading import BUCKETS, ROLES, WEIGHTS, likelihoods, numbers_within, pack


def roles(text):
    """Return each number of a text with the role that is likeliest."""
    found = {place.number.value: likelihoods(place) for place in numbers_within(text, 0, len(text))}
    return {value: ROLES[row.index(max(row))] for value, row in found.items()}


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


def test_likelihoods_are_shares():
    """One for each role, which sum to 1, also beside half a character."""
    found = [likelihoods(place) for place in numbers_within("lr 0.1 and \ud800 9e9", 0, 20)]
    assert [len(row) for row in found] == [len(ROLES)] * 2
    assert [sum(row) for row in found] == pytest.approx([1, 1])


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
    assert "The learning rate is not stated." not in reading.remarks


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("epochs = 900\nbatch_size = 16\nlearning_rate = 2.5\noptim.SGD(data, epochs, batch_size, learning_rate)\n", "sgd.lr", 2.5),
        ("rate = StepDecay(learning_rate=0.05, step_size=800, gamma=0.1)\nopt = lib.Momentum(rate, 0.9)\n", "sgd.lr.initial", 0.05),
    ],
)  # fmt: skip
def test_an_unlikely_value_gives_way_to_a_very_likely_one(text, path, value):
    """What stands in an argument's place, and is no such value by its words, gives way to the number that is."""
    reading = read(text)[0]
    field = reading.fields[path]
    assert (field.value, field.provenance, field.marks) == (value, "implied", ("guessed",))
    assert text[field.start : field.end] == field.words
    assert path in marked_fields(reading)
    assert not {one.words for one in reading.fields.values()} & {*reading.unread}


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("optimizer = mylib.SGD(params, 0.01, 0.5, 3)", "sgd.lr", 0.01),
        ("FedProx needs mu=0.01 with plain SGD at lr 0.03", "sgd.momentum", 0.01),
    ],
)
def test_an_unlikely_value_without_a_rival_stays(text, path, value):
    """No other number is called what it is called."""
    assert read(text)[0].fields[path].value == value


def test_a_schedule_without_its_rate_gets_the_likely_one():
    """Its first rate is filled in where nothing gives it, and the remark that it is missing goes."""
    text = "Pictures in packs of 96, learning speed 0.02, halved every 30 epochs, SGD with momentum 0.9"
    field = read(text)[0].fields["sgd.lr.initial"]
    assert (field.value, field.provenance, field.marks) == (0.02, "implied", ("guessed",))


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


def test_weights_are_packed_and_small():
    """Two lines of numbers, then a byte for each bucket and role; what is packed comes back."""
    units, biases, codes = WEIGHTS.read_bytes().split(b"\n", 2)
    assert len(units.split()) == len(biases.split()) == len(ROLES)
    assert len(zlib.decompress(codes)) == BUCKETS * len(ROLES)
    assert len(codes) < 200_000
    assert pack(b"\x01\xff", [0.5, 2], [-1, 0]).startswith(b"0.5 2\n-1 0\n")


@pytest.mark.skipif(not os.environ.get("DOWNSLOPE_NIGHTLY"), reason="a minute of learning: nightly")
def test_learned_anew_the_weights_say_the_same():
    """`learn.py` on the texts of today finds for 97 of 100 numbers the role that the file finds."""
    from reading import learn

    rows, wanted = learn.gather()
    weights, bias = learn.learn(rows, wanted, learn.DECAY)
    units, biases, codes = WEIGHTS.read_bytes().split(b"\n", 2)
    kept = np.frombuffer(zlib.decompress(codes), np.int8).reshape(BUCKETS, -1) * np.array(units.split(), float)
    pairs = [(weights[row].sum(0) + bias, kept[row].sum(0) + np.array(biases.split(), float)) for row in rows]
    assert np.mean([new.argmax() == old.argmax() for new, old in pairs]) > 0.97
