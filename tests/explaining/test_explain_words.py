"""The sentences of an explanation: the same in both languages but for the words, and none missing for any recipe."""

from __future__ import annotations

import json
import re
import string

import pytest
from hypothesis import HealthCheck, given, settings

import downslope
from downslope import Settings
from downslope.core.columns import width_of, wrap
from downslope.core.errors import SettingsError
from downslope.explaining.document import Table
from downslope.explaining.famous import FAMOUS
from downslope.explaining.language import words_of
from downslope.explaining.sections import write_document
from downslope.explaining.terminal import describe, table
from downslope.explaining.terminal import lay_out_table as lay_out
from downslope.language import LANGUAGES
from downslope.schedules import Cosine, Linear
from downslope.theory import FORMULAS
from draws import draws
from house.source_tree import PACKAGE, ROOT
from recipe.recipe_strategies import RECIPES

EXPLAINING = PACKAGE / "explaining"


def fields_of(sentence):
    """Return the names between the braces of a sentence."""
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_languages_have_the_same_sentences_with_the_same_numbers():
    """Every name of one language is one of the other's, and each puts in the same numbers."""
    english, chinese = words_of("en"), words_of("zh")
    assert set(english.text) == set(chinese.text)
    for name, sentence in english.text.items():
        assert fields_of(sentence) == fields_of(chinese.text[name]), name


def test_chinese_is_chinese():
    """Every sentence of more than a symbol has Chinese characters in it."""
    for name, sentence in words_of("zh").text.items():
        letters = re.sub(r"\{\w+\}|[^A-Za-z]", "", sentence)
        assert re.search(r"[\u4e00-\u9fff]", sentence) or len(letters) < 3, name


def test_every_formula_has_its_condition_in_chinese():
    """Each card's condition, and what has words in it of equation and source, is translated; no name is stale."""
    words = words_of("zh")
    assert set(words.valid) == set(FORMULAS)
    assert set(words.source) <= set(FORMULAS)
    assert set(words.equation) <= set(FORMULAS)
    assert set(words.famous) == {famous.name for famous in FAMOUS}
    plain = {"lr", "momentum", "weight_decay", "dampening", "sqrt", "ln", "velocity", "lr_new", "lr_old", "lr_initial"}
    for name, card in FORMULAS.items():
        spoken = set(re.findall(r"[a-zA-Z_]{3,}", card.equation)) - plain - {"lr_max"}
        assert not spoken or name in words.equation, (name, spoken)


def test_no_sentence_is_unused():
    """Every sentence's name, or the beginning of it that the code completes, stands in the code."""
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in (EXPLAINING,)
        for path in folder.iterdir()
        if path.suffix in {".py", ".j2"}
    )
    code = code.replace("'", '"')
    for name in words_of("en").text:
        parts = name.split(".")
        beginnings = [name, parts[0], ".".join(parts[:-1])]
        assert any(f'"{one}' in code or f"{one}.{{" in code for one in beginnings if one), name


def test_every_remark_has_its_sentence():
    """What remarks.py can say, both languages say."""
    names = re.findall(r'Remark\(\s*name="(\w+)"', (EXPLAINING / "remarks.py").read_text(encoding="utf-8"))
    assert len(names) > 15
    for lang in LANGUAGES:
        assert not [name for name in names if not words_of(lang).has(f"remark.{name}")]


@settings(
    max_examples=draws(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(RECIPES)
def test_any_recipe_can_be_explained_in_both_languages(recipe):
    """For any recipe at all: text in both languages, JSON, no NaN, no brace left over."""
    explanation = downslope.explain(recipe)
    json.dumps(explanation.to_table(), allow_nan=False)
    for lang in LANGUAGES:
        text = describe(explanation, lang)
        for section in ("rule", "velocity", "stability"):
            assert words_of(lang).say(f"section.{section}") in text


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_both_languages_state_the_same_numbers(path):
    """Of every recipe that comes along, the numbers of one language's tables and sentences are the other's."""
    explanation = downslope.explain(path, curvature=[0.5, 20])
    english, chinese = (write_document(explanation, lang) for lang in LANGUAGES)
    assert [section.name for section in english.sections] == [section.name for section in chinese.sections]
    for ours, theirs in zip(english.sections, chinese.sections, strict=True):
        for one, other in zip(ours.parts, theirs.parts, strict=True):
            if isinstance(one, Table):
                kept = -1 if one.last_left else None  # the last column then is sources, in words
                shown = [[row[:kept] for row in part.rows] for part in (one, other)]
                assert numbers_in(shown[0]) == numbers_in(shown[1])
            else:
                assert numbers_in(one.text) == numbers_in(other.text), one.text


def numbers_in(shown):
    """Return the numbers with a decimal point in what is shown, in order of size; small whole ones may be words."""
    return sorted(re.findall(r"\d[\d,]*\.\d+(?:e\S\d+)?|\d{3,}", str(shown).replace("arXiv", "")))


def test_sentences_keep_to_the_width():
    """No line of text is wider than it may be, in either language; tables may be."""
    explanation = downslope.explain(ROOT / "recipes/digits.toml", curvature=[0.5, 20])
    for lang in LANGUAGES:
        parts = [part for section in write_document(explanation, lang).sections for part in section.parts]
        tables = {f"  {line}" for part in parts if isinstance(part, Table) for line in lay_out(part)}
        lines = [line for line in describe(explanation, lang, width=72).splitlines() if line not in tables]
        assert len(lines) > 60
        assert max(map(width_of, lines)) <= 75  # the title is underlined, and a long word stands alone


def test_a_student_reads_the_sentences_of_the_default_recipe():
    """The sentences that matter most, word for word."""
    text = describe(downslope.explain(ROOT / "recipes/digits.toml"))
    for sentence in (
        "The effective learning rate is 1, 10 times lr",
        "Weights forget their past over 2,000 steps",
        "In epochs: 44.4 here; ResNet-50: 2.0; Wide ResNet: 5.1; DenseNet (CIFAR): 12.8.",
        "At lr 0.1 the error shrinks only along directions of curvature below 38.",
        "velocity = 0.9 \N{MIDDLE DOT} velocity + g",
        "unknown. Pass\n  --curvature L",
    ):
        assert sentence in text, sentence


def test_the_course_of_the_effective_lr_is_told_as_it_is():
    """Constant, falling, or rising first; and that the end is not known."""
    tell = {
        "stays at 0.1.": Settings(lr=0.1),
        "falls from 0.1 to 0.": Settings(lr=Linear(0.1, 0.0, 10)),
        "begins at 0, is 0.2 at the largest lr, and ends at 0.2": Settings(lr=Linear(0.0, 0.2, 10)),
        "How long training lasts is not known": Settings(lr=Cosine(0.1, 0.0, 10, unit="epoch")),
    }
    for sentence, given_settings in tell.items():
        assert sentence in describe(downslope.explain(given_settings), width=400), sentence


def test_an_unknown_language_is_refused():
    """By name, with those that there are."""
    with pytest.raises(SettingsError, match=r"`lang` must be `en` or `zh`; got 'fr'"):
        describe(downslope.explain(Settings(lr=0.1)), "fr")


def test_wrapping_counts_chinese_as_two_and_starts_no_line_with_a_stop():
    """By hand, with ten columns."""
    assert wrap("学习率从一开始\N{FULLWIDTH COMMA}降到零", 10) == ["学习率从一", "开始\N{FULLWIDTH COMMA}降到", "零"]
    assert wrap("学习率从一\N{FULLWIDTH COMMA}始", 10) == ["学习率从", "一\N{FULLWIDTH COMMA}始"]
    assert wrap("lr 0.1 then 0.01", 10, "  ", "    ") == ["  lr 0.1", "    then", "    0.01"]
    assert table(["步", "lr"], [["10", "0.1"]], left=1) == ["步   lr", "10  0.1"]


def test_how_long_weights_last_is_not_judged_where_each_tensor_has_its_ratio():
    """Coupled decay is multiplied by the trust ratio, too; decoupled decay is not."""
    run = {"batch_size": 64, "examples": 1437, "steps": 46}
    judged = {"forgets_slowly", "forgets_fast", "longer_than_the_run", "decay_not_slow"}

    def names(**more):
        found = downslope.explain(Settings(lr=0.5, momentum=0.9, weight_decay=1e-4, **more), **run).remarks
        return {remark.name for remark in found}

    assert names() & judged
    assert not names(trust_coefficient=0.01) & judged
    assert names(trust_coefficient=0.01, decay="decoupled") & judged


def test_what_is_one_is_counted_in_the_singular():
    """In the run's line, a timescale and a half-life; numbers that only begin or end with 1 stay plural."""
    settings = downslope.Settings(lr=0.5, momentum=0.5, weight_decay=0.01)
    text = describe(downslope.explain(settings, batch_size=1, examples=1, steps=1))
    assert "1 example a step, 1 step an epoch, 1 epoch, 1 step in all" in text
    assert "is gone after 1 step." in text  # ln 2 / -ln 0.5
    more = describe(downslope.explain(settings, batch_size=11, examples=121, steps=11))
    assert "11 examples a step, 11 steps an epoch, 1 epoch, 11 steps in all" in more
    assert "每步 1 个样本" in describe(downslope.explain(settings, batch_size=1), "zh")
