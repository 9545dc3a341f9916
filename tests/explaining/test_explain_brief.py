"""The short form of an explanation: every number stands there, in either language, and nothing that explains it."""

from __future__ import annotations

import math
import re

import pytest

import downslope
from downslope import Settings
from downslope.core.columns import width_of
from downslope.core.sparkline import BLOCKS, PLAIN_BLOCKS
from downslope.explaining.brief import describe_briefly
from downslope.explaining.language import LANGUAGES, epochs_text, short, whole, words_of
from downslope.explaining.subject import NORMALISES
from downslope.schedules import Cosine, Linear
from house.source_tree import PACKAGE, ROOT

UNUSUAL = [
    Settings(lr=0.0),
    Settings(lr=0.1, momentum=0.9, dampening=1.0),
    Settings(lr=10.0, momentum=0.9, weight_decay=0.98),
    Settings(lr=0.1, momentum=0.99, weight_decay=5e-4),
    Settings(lr=0.1, momentum=0.9, weight_decay=2.5, decay="independent"),
    Settings(lr=Cosine(0.1, 0.0, 90, unit="epoch"), momentum=Linear(0.5, 0.9, 5)),
]


def said(item):
    """Return the number of an item as it is shown."""
    if item.unit == "epochs":
        return epochs_text(item.value)
    return whole(item.value) if item.unit in {"steps", "examples"} else short(item.value)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_every_number_of_a_recipe_is_there(path, lang):
    """Each quantity, of curvatures too; each batch size; each group; each row of a short schedule."""
    explained = downslope.explain(path, curvature=[0.5, 20], examples=50_000)
    text = describe_briefly(explained, lang)
    for item in explained.items:
        if item.value and math.isfinite(item.value):
            assert said(item) in text, item.name
    for row in explained.batches:
        assert short(row.lr) in text
        assert short(row.momentum_scaled) in text or not explained.peak.momentum
    for row in explained.damping:
        assert f"\N{MULTIPLICATION SIGN} {short(row.rate)}" in text
    if len(explained.schedule) in range(2, 7):
        assert all(short(row.effective_lr) in text for row in explained.schedule)
    for group in explained.groups:
        assert short(group.effective_lr) in text
    assert "[1]" not in text
    assert "arXiv" not in text


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("settings", UNUSUAL, ids=repr)
def test_unusual_settings_are_said_shortly_too(settings, lang):
    """No name of a sentence, no NaN, no brace, in a window of 60 columns; what has no short form is said whole."""
    explained = downslope.explain(settings)
    text = describe_briefly(explained, lang, width=60)
    assert not any(wrong in text for wrong in ("nan", "{", "brief.", " | "))
    if "decay_steps" in explained and explained.memory.way not in {"fades", "at once"}:
        assert ("Weights do not fade" if lang == "en" else "并不渐渐消退") in text.replace("\n    ", " ")


def test_a_person_reads_it_on_one_screen():
    """The default recipe, word for word where it matters, in at most 56 lines of at most 100 columns but for tables."""
    lines = describe_briefly(downslope.explain(ROOT / "recipes/digits.toml")).splitlines()
    assert len(lines) <= 56
    assert {" ".join(line.split()) for line in lines} >= {
        "effective learning rate 1, 10 times lr",
        "velocity adds up the last 10 gradients",
        "half a gradient gone after 6.58 steps; 211 examples",
        "weights forget over 2,000 steps (37 %, 1/e, is left)",
        "in epochs 44.4; ResNet-50: 2.0; Wide ResNet: 5.1; DenseNet (CIFAR): 12.8",
        "stable below curvature 38; 13.57 in Nesterov's form",
        "batch 8 16 64 128 256",
    }
    assert max(map(width_of, lines)) <= 100


def test_curves_are_logarithmic_with_least_and_last_value():
    """lr .1, .01, .001 by hand: top, the middle of a logarithmic scale, bottom; signs for terminals without blocks."""
    explained = downslope.explain(ROOT / "recipes/digits.toml")
    for blocks in (BLOCKS, PLAIN_BLOCKS):
        lines = describe_briefly(explained, blocks=blocks).splitlines()
        _, curve, *numbers = next(line for line in lines if line.startswith("  lr ")).split()
        assert set(curve) == {blocks[0], blocks[4], blocks[7]}
        assert list(curve) == sorted(curve, key=blocks.index, reverse=True)
        assert numbers == ["0.1", "0.001", "0.1", "0.001", "0.049"]  # first, smallest, largest, last, mean
    assert "constant, 0.1" in str(downslope.explain(Settings(lr=0.1)))


def test_every_short_form_is_of_a_sentence():
    """None is left behind when its sentence is renamed."""
    for lang in LANGUAGES:
        words = words_of(lang)
        names = [name.removeprefix("brief.") for name in words.text if name.startswith("brief.")]
        assert len(names) > 25
        assert not [name for name in names if not words.has(name) and name not in {"more", "wrong", "wrong.more"}]


def test_which_models_normalise_is_what_their_files_have():
    """Every built-in model is known, and its file makes normalisation layers or has none."""
    pytest.importorskip("torch")
    from downslope.training.models import MODELS

    assert set(NORMALISES) == set(MODELS)
    for name, module in MODELS.items():
        text = (PACKAGE.parent / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert bool(re.search(r"nn\.\w*Norm", text)) is NORMALISES[name], name


def test_weights_before_a_normalisation_are_said_to_be_none_where_there_are_none():
    """The model of a recipe says; of a sentence without one nothing is known."""
    from downslope.explaining.terminal import describe

    none = "has no normalisation layer"
    assert none in describe(downslope.explain(ROOT / "recipes/digits.toml"))
    assert none not in describe(downslope.explain(ROOT / "recipes/mnist1d-convnet.toml"))
    assert none not in describe(downslope.explain("SGD, lr 0.1, momentum 0.9, weight decay 1e-4, 90 epochs"))
