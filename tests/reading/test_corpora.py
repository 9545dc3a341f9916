"""The corpora: every sentence of the first as its row says; the scores of the others as docs/reading.md states them."""

from __future__ import annotations

from pathlib import Path

import pytest

from downslope import read
from downslope.core.errors import RecipeError
from reading.first_corpus import FIRST, FOUNDING, FOUNDING_ENGLISH, FOUNDING_READINGS
from reading.rows import same
from reading.scoring import by_field, score, summary
from reading.second_corpus import SECOND
from reading.third_corpus import THIRD

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reading.md"


@pytest.mark.parametrize("row", FIRST, ids=[row.name for row in FIRST])
def test_first_corpus(row):
    """Each field, its provenance, the optimizer and the remarks are what the row says, and nothing else is stated."""
    assert score([row]).faults == []


@pytest.mark.parametrize(
    "text", [FOUNDING, FOUNDING_ENGLISH, FOUNDING.replace("，", ",")], ids=["zh", "en", "half-width"]
)
def test_the_founding_question_has_four_readings(text):
    """In their order: kept fraction, the page's own L2, literally, swapped; each with its reason and a recipe."""
    readings = read(text, language="en")
    assert len(readings) == 4
    for reading, expected in zip(readings, FOUNDING_READINGS, strict=True):
        for path, (value, provenance) in expected.items():
            assert same(reading.fields[path].value, value), path
            assert reading.fields[path].provenance == provenance, path
        assert reading.reason
        assert reading.recipe().sgd.lr.initial == 0.1
    assert "implausible" in readings[2].reason


@pytest.mark.parametrize("row", [*FIRST, *SECOND, *THIRD], ids=lambda row: row.name)
def test_a_reading_is_a_recipe_or_says_what_is_missing(row):
    """`.recipe()` gives the stated numbers, or an error that names the missing fields or the other optimizer."""
    reading = read(row.text)[0]
    try:
        recipe = reading.recipe()
    except RecipeError:
        with pytest.raises(RecipeError, match=f"`sgd.lr|is {reading.optimizer}, and"):
            reading.recipe()
        return
    if "sgd.momentum" in reading.fields:
        assert recipe.sgd.momentum == reading.fields["sgd.momentum"].value
    if "data.batch_size" in reading.fields:
        assert recipe.data.batch_size == reading.fields["data.batch_size"].value


@pytest.mark.parametrize(("name", "corpus"), [("First", FIRST), ("Second", SECOND), ("Third", THIRD)])
def test_the_documented_scores_are_the_measured_ones(name, corpus):
    """docs/reading.md has the row that is measured here."""
    assert f"| {name}, now | {summary(score(corpus))} |" in PAGE.read_text(encoding="utf-8")


def test_the_documented_scores_by_field_are_the_measured_ones():
    """docs/reading.md has each field's count over the second and third corpus."""
    text = PAGE.read_text(encoding="utf-8")
    for line in by_field(score([*SECOND, *THIRD])):
        assert line in text
