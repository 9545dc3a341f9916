"""Numbers and the normalised text: each way of writing one gives the value, and the way back to the original words."""

from __future__ import annotations

import pytest

from downslope import read
from downslope.reading.numbers import number_at
from downslope.reading.text import normalise

WRITTEN = [
    ("5e-4", 5e-4),
    ("5x10^-4", 5e-4),
    ("5×10^-4", 5e-4),
    ("5·10⁻⁴", 5e-4),
    ("5 × 10 −4", 5e-4),
    ("$5\\times 10^{-4}$", 5e-4),
    ("10^{-4}", 1e-4),
    ("10⁻⁴", 1e-4),
    ("10-4", 1e-4),
    ("1e−4", 1e-4),
    ("5e-4.", 5e-4),
    ("0.05%", 5e-4),
    ("0.05 %", 5e-4),
    ("万分之五", 5e-4),
    ("千分之一", 1e-3),
    ("十分之一", 0.1),
    ("百分之十", 0.1),
    ("零点一", 0.1),
    ("1/10", 0.1),
    ("one tenth", 0.1),
    ("one-tenth", 0.1),
    ("half", 0.5),
    ("０．１", 0.1),
    (".9", 0.9),
    ("0.1.", 0.1),
    ("60k", 60000),
    ("6万", 60000),
    ("六万", 60000),
    ("三十", 30),
    ("十二", 12),
    ("两", 2),
    ("60×10^4", 600000),
    ("60e4", 600000),
    ("10,000", 10000),
    ("1,281,167 images", 1281167),
    ("20 000 steps", 20000),
    ("1 million", 1000000),
    ("1.5M", 1500000),
    ("5e − 4", 5e-4),
    ("5e -4", 5e-4),
    ("5 e-4", 5e-4),
    ("5E-04", 5e-4),
    ("5.e-4", 5e-4),
    ("５ｅ－４", 5e-4),
    ("5e^-4", 5e-4),
    ("5e⁻⁴", 5e-4),
    ("$5e^{-4}$", 5e-4),
    ("5e{-4}", 5e-4),
    ("1e{-}4", 1e-4),
    ("5\\mathrm{e}{-4}", 5e-4),
    ("10^{\\text{-}4}", 1e-4),
    ("10^(-4)", 1e-4),
    ("5*10^(-4)", 5e-4),
    ("5*10**-4", 5e-4),
    ("10<sup>-4</sup>", 1e-4),
    ("10ˆ-4", 1e-4),
    ("1 0 ^ { - 4 }", 1e-4),
    ("5 \\times 1 0 ^ { - 4 }", 5e-4),
    ("5 10 - 4", 5e-4),
    ("5 10-4", 5e-4),
    ("10−9", 1e-9),
    ("10 −3", 1e-3),
    ("10的负四次方", 1e-4),
    ("10的-4次方", 1e-4),
    ("5乘以10的负4次方", 5e-4),
    ("0 . 9", 0.9),
    ("0 . 0 0 0 5", 5e-4),
    ("0,001", 1e-3),
    ("5‰", 5e-3),
    ("1_000", 1000),
    ("1_000_000", 1000000),
    ("2^20", 1048576),
    ("2**16", 65536),
    ("2^{-5}", 1 / 32),
    ("1/256", 1 / 256),
    ("30k", 30000),
    ("90 K", 90000),
    ("30W", 300000),
    ("1.28M", 1280000),
    ("64,000", 64000),
    ("三万", 30000),
    ("一百二十", 120),
    ("ten", 10),
    ("thirty-five", 35),
    ("two hundred", 200),
    ("one hundred and fifty", 150),
    ("sixty thousand", 60000),
    ("30th", 30),
    ("fifth", 5),
    ("1.0", 1),
]


@pytest.mark.parametrize(("written", "value"), WRITTEN, ids=[written for written, _ in WRITTEN])
def test_a_number_has_its_value(written, value):
    """The number at the beginning has the value a person would say."""
    plain = normalise(written).plain.lstrip()
    number = number_at(plain, 0)
    assert number is not None
    assert number.value == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("written", ["[60,120,160]", "60,120,160", "60, 120", "60/120", "120 160"])
def test_a_list_is_no_large_number(written):
    """Commas and blanks of a list do not join its numbers."""
    plain = normalise(written).plain.lstrip("[")
    assert number_at(plain, 0).value in {60, 120}


@pytest.mark.parametrize(
    ("written", "flag"),
    [("4%", "percent"), ("5x", "times"), ("0.1倍", "times"), ("30th", "ordinal"), ("1/10", "fraction")],
)
def test_a_number_remembers_how_it_was_written(written, flag):
    """A percentage, a multiple, an ordinal and a fraction are told apart."""
    assert getattr(number_at(normalise(written).plain, 0), flag)


@pytest.mark.parametrize(
    "written",
    [
        "5e",
        "5e-",
        "5e 4",
        "5 e4",
        "5 x e-4",
        "5*10e-4",
        "5 × 10 4",
        "5 × 10 (-4",
        "10^",
        "10^-\n4",
        "0.9²",
        "128^2",
        "3^4",
    ],
)
def test_a_number_beside_a_broken_power_is_void(written):
    """What may have been a power is not read as its mantissa."""
    assert number_at(normalise(written).plain, 0).value == float("inf")


@pytest.mark.parametrize(("text", "start"), [("e-4", 2), ("e - 4", 4), ("^ -4", 3), ("x^{-4}", 4), ("5**-4", 4)])
def test_a_number_behind_a_broken_power_is_void(text, start):
    """The exponent of a power whose mantissa is missing is no number."""
    number = number_at(text, start)
    assert number is None or number.value == float("inf")


@pytest.mark.parametrize(
    ("written", "value", "odd"),
    [
        ("5^{-4}", 5e-4, "lost_ten"),
        ("2.5^-3", 2.5e-3, "lost_ten"),
        ("10-4", 1e-4, "lost_raised"),
        ("10 −9", 1e-9, "lost_raised"),
        ("0,9", 0.9, "decimal_comma"),
        ("5×10-4", 5e-4, ""),
        ("5e^-4", 5e-4, ""),
    ],
)
def test_what_is_not_literally_its_value_says_so(written, value, odd):
    """Such a number names the remark to be made on it."""
    number = number_at(normalise(written).plain, 0)
    assert (number.value, number.odd) == (value, odd)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("SGD, lr 0.1, weight decay 5^{-4}", "sgd.weight_decay", 5e-4),
        ("SGD，学习率0.1，权重衰减5^{-4}", "sgd.weight_decay", 5e-4),
        ("SGD with learning rate 10-3", "sgd.lr", 1e-3),
        ("momentum 0,9, lr 0.1", "sgd.momentum", 0.9),
    ],
)
def test_an_odd_number_is_implied_and_marked(text, field, value):
    """It is never called stated, and the remark quotes it."""
    reading = read(text)[0]
    found = reading.fields[field]
    assert (found.value, found.provenance) == (value, "implied")
    assert found.marks
    assert any("read as" in remark or "读作" in remark for remark in reading.remarks)


@pytest.mark.parametrize("name", ["CIFAR-10", "ResNet-50", "V100", "P40", "x_1", "mp3", "[12]", "Table 3"])
def test_digits_of_names_and_references_are_no_values(name):
    """They are not taken for the setting beside them."""
    fields = read(f"SGD with learning rate {name} of 0.25, momentum {name} 0.75")[0].fields
    assert {path: fields[path].value for path in ("sgd.lr", "sgd.momentum")} == {"sgd.lr": 0.25, "sgd.momentum": 0.75}


@pytest.mark.parametrize(
    "text",
    [
        "**lr**: 0.1, **momentum**: 0.9",
        "* lr: 0.1\n* momentum: 0.9",
        "- *lr* 0.1\n- *momentum* **0.9**",
        "`lr` = 0.1, `momentum` = 0.9",
    ],
)
def test_markup_is_no_arithmetic(text):
    """Stars of emphasis and of lists are neither products nor powers."""
    fields = read(text)[0].fields
    assert (fields["sgd.lr"].value, fields["sgd.momentum"].value) == (0.1, 0.9)


@pytest.mark.parametrize("written", ["one", "momentum", "x", "-", "resnet50"])
def test_what_is_no_number_is_none_or_only_spelled(written):
    """Words are no numbers, except those that may be."""
    number = number_at(normalise(written).plain, 0)
    assert number is None or number.spelled


def test_no_number_is_larger_than_any_recipe_needs():
    """Huge exponents cost no time and give infinity, which nothing uses."""
    assert number_at("9e999", 0).value == float("inf")
    assert number_at("1" * 5000, 0).value == float("inf")


@pytest.mark.parametrize(
    "text", ["权重衰减５×10⁻⁴，动量０．９", "lr → 0.1", "a\u200bb", "\\(10^{-4}\\)", "İstanbul ﬁne"]
)
def test_every_stretch_leads_back_to_the_original(text):
    """The words of the whole normalised text are the whole original, and places never go backwards."""
    normal = normalise(text)
    assert len(normal.origin) == len(normal.plain) + 1
    assert list(normal.origin) == sorted(normal.origin)
    assert normal.words(0, len(normal.plain)).strip() in text
