"""Numbers and the normalised text: each way of writing one gives the value, and the way back to the original words."""

from __future__ import annotations

import pytest

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
