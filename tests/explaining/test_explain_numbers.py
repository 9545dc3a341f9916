"""The numbers of an explanation: worked out by hand, and as published for famous recipes."""

from __future__ import annotations

import json
import math

import pytest

import downslope
from downslope import Group, Settings
from downslope.core.errors import RecipeError, SettingsError
from downslope.core.settings import DECAYS
from downslope.explaining.famous import FAMOUS
from downslope.explaining.terminal import describe
from downslope.recipe.run_length import DIGITS
from downslope.schedules import Cosine, Exponential, Linear, MultiStep, Warmup, WarmupStableDecay
from downslope.theory import FORMULAS
from house.source_tree import ROOT
from work import calls

WRN = Settings(
    lr=MultiStep(0.1, factor=0.2, milestones=[60, 120, 160], unit="epoch"),
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
)

PUBLISHED = {
    "GoogLeNet (Caffe)": 1.25,
    "airbench94": 1.54,
    "ResNet-50": 2.0,
    "AlexNet": 2.1,
    "ResNet-50 (AlgoPerf)": 2.5,
    "VGG": 4.0,
    "Wide ResNet": 5.1,
    "ResNet-9 (DAWNBench)": 5.1,
    "MobileNetV2": 11,
    "DenseNet (CIFAR)": 12.8,
}


@pytest.mark.parametrize("famous", FAMOUS, ids=lambda famous: famous.name)
def test_famous_timescales_are_the_published_ones(famous):
    """Each recipe's timescale in epochs, to the digits in which it is known, from its own numbers."""
    known = PUBLISHED[famous.name]
    digits = len(str(known).partition(".")[2]) if isinstance(known, float) else 0
    assert round(famous.decay_epochs, digits) == known
    explained = downslope.explain(famous.settings, batch_size=famous.batch_size, examples=famous.examples)
    assert explained["decay_epochs"].value == pytest.approx(famous.decay_epochs, rel=0.01)


def test_every_published_recipe_is_in_the_table_in_order():
    """The table has them all, by timescale, each with a source."""
    assert [famous.name for famous in FAMOUS] == list(PUBLISHED)
    assert [famous.decay_epochs for famous in FAMOUS] == sorted(famous.decay_epochs for famous in FAMOUS)
    assert all(famous.source for famous in FAMOUS)


def test_wide_resnet_by_hand():
    """lr 0.1, momentum 0.9 Nesterov, weight decay 5e-4, batch 128 of 50,000: the numbers of the textbook."""
    explained = downslope.explain(WRN, batch_size=128, examples=50_000, curvature=[0.5, 10])
    expected = {
        "effective_lr": 1.0,
        "velocity_horizon": 10.0,
        "velocity_half_life": math.log(2) / -math.log(0.9),
        "velocity_half_life_examples": 128 * math.log(2) / -math.log(0.9),
        "decay_steps": 2000.0,
        "decay_epochs": 2000 / 391,
        "decoupled_equivalent": 5e-3,
        "keras_l2": 2.5e-4,
        "largest_curvature_nesterov": 3.8 / 2.8 / 0.1 - 5e-4,
        "largest_curvature_heavy_ball": 38 - 5e-4,
        "largest_lr_nesterov": 3.8 / 2.8 / (10 + 5e-4),
        "largest_lr_heavy_ball": 3.8 / (10 + 5e-4),
        "edge_full_batch": 3.8 / 2.8 / 0.1,
        "edge_mini_batch": 2.0,
        "critical_curvature": (0.1 / 1.9) ** 2 / 0.1 - 5e-4,
        "equilibrium_norm": (0.1 / (2 * 5e-4 * 0.1)) ** 0.25,
        "rotation_per_step": math.sqrt(2 * 0.1 * 5e-4 * 0.1 * (1.9**2 + 0.9**4 / 0.19)),
        "equilibrium_gradient_ratio": math.sqrt(2 * 5e-4),
    }
    for name, value in expected.items():
        assert explained[name].value == pytest.approx(value, rel=1e-9), name
    assert (explained.run.steps_per_epoch, explained.peak.step, explained.peak.lr) == (391, 0, 0.1)
    assert [(row.step, row.epoch) for row in explained.schedule] == [
        (0, 0), (60 * 391, 60), (120 * 391, 120), (160 * 391, 160)
    ]  # fmt: skip
    assert [row.lr for row in explained.schedule] == pytest.approx([0.1, 0.02, 0.004, 0.0008])
    assert explained.schedule[1].decay_epochs == pytest.approx(5 * explained.schedule[0].decay_epochs)


def test_batch_sizes_by_hand():
    """lr 0.1, momentum 0.9, batch 128 to 256: lr 0.2; or momentum 0.81 and lr 0.38, effective lr 2 in both."""
    explained = downslope.explain(Settings(lr=0.1, momentum=0.9, weight_decay=1e-4), batch_size=128)
    row = next(row for row in explained.batches if row.factor == 2)
    assert (row.batch_size, row.lr, row.weight_decay) == (256, 0.2, 1e-4)
    assert (row.momentum_scaled, row.lr_scaled) == pytest.approx((0.81, 0.38))
    odd = downslope.explain(Settings(lr=0.1), batch_size=6, examples=20)
    assert [row.batch_size for row in odd.batches] == [3, 12]  # no batch of 1.5, and none beyond the examples


def test_digits_are_counted_as_training_counts_them():
    """Examples and steps per epoch of the embedded data are those that training finds."""
    pytest.importorskip("sklearn")
    from downslope.training.data import load_data
    from downslope.training.run.batches import Batches

    for path in sorted((ROOT / "recipes").glob("digits*.toml")):
        recipe = downslope.load_recipe(path, [("train.accumulate", "3")])
        if ":" in recipe.data.name:
            continue
        run = downslope.explain(recipe).run
        count = len(load_data(recipe).train_inputs)
        batches = Batches(count=count, batch_size=recipe.data.batch_size, seed=0, shards=1, accumulate=3)
        assert (run.examples, run.steps_per_epoch) == (count, batches.steps_per_epoch), path
    assert DIGITS == 1797


def test_every_item_says_what_it_rests_on():
    """Value or what it needs, an equation, a condition and a source: nothing is stated bare."""
    for explained in (
        downslope.explain(WRN),
        downslope.explain(WRN, batch_size=128, examples=50_000, curvature=[1, 9]),
    ):
        for item in explained.items:
            assert (item.value is None) == bool(item.needs), item.name
            assert item.equation, item.name
            assert item.valid, item.name
            assert item.source, item.name
            assert item.formula in FORMULAS
        assert len({item.name for item in explained.items}) == len(explained.items)


def test_what_cannot_be_known_is_asked_for_and_not_invented():
    """Curvature, examples and batch size are named where they are missing, and only there."""
    bare = downslope.explain(WRN)
    assert {item.name: item.needs for item in bare.items if item.value is None} == {
        "velocity_half_life_examples": "batch_size",
        "decay_epochs": "batch_size, examples",
        "largest_lr_heavy_ball": "curvature",
        "largest_lr_nesterov": "curvature",
        **{
            f"optimal_{kind}_{part}": "curvatures"
            for kind in ("heavy_ball", "nesterov")
            for part in ("lr", "momentum", "rate")
        },
    }
    assert not bare.neighbours
    assert not bare.damping
    whole = downslope.explain(WRN, batch_size=128, examples=50_000, curvature=[1, 9])
    assert not [item.name for item in whole.items if item.value is None]


def test_epochs_without_sizes_stay_epochs():
    """A schedule in epochs is shown in epochs where nobody knows how many steps they have; nothing is in steps."""
    explained = downslope.explain(WRN)
    assert [(row.step, row.epoch) for row in explained.schedule] == [(None, 0), (None, 60), (None, 120), (None, 160)]
    assert explained["decay_steps"].value == pytest.approx(2000)
    assert all(row.decay_epochs is None for row in explained.schedule)


def test_units_that_do_not_meet_give_no_table():
    """lr in steps and momentum in epochs: no table, a remark, and the numbers at the largest lr there can be."""
    mixed = Settings(lr=Linear(0.1, 0.0, 100), momentum=Linear(0.5, 0.9, 10, unit="epoch"))
    explained = downslope.explain(mixed)
    assert explained.schedule == ()
    assert "mixed_units" in {remark.name for remark in explained.remarks}
    assert (explained.peak.lr, explained.peak.momentum) == (0.1, 0.5)
    known = downslope.explain(mixed, batch_size=10, examples=100)
    assert known.schedule
    assert (known.peak.step, known.peak.momentum) == (0, 0.5)


def test_the_peak_is_the_end_of_the_warmup():
    """All numbers are at the largest lr, wherever it lies."""
    settings = Settings(lr=Warmup(50, then=Cosine(0.4, 0.0, duration=100)), momentum=0.5, weight_decay=1e-3)
    explained = downslope.explain(settings, steps=150)
    assert (explained.peak.step, explained.peak.lr) == (50, 0.4)
    assert explained["decay_steps"].value == pytest.approx(0.5 / (0.4 * 1e-3))
    assert {remark.name for remark in explained.remarks} >= {"lr_starts_at_zero", "longer_than_the_run"}


@pytest.mark.parametrize("decay", DECAYS)
def test_every_way_of_decay_has_its_timescale(decay):
    """By hand for lr 0.2 at its peak, momentum 0.9, weight decay 0.01: 51.47 steps coupled, 500 or 100 otherwise.

    Coupled, (1 - m) / (lr wd) says 50: 1.49938 * .973515^n - .49938 * .924485^n, a weight begun at rest, is 1/e there.
    """
    settings = Settings(
        lr=WarmupStableDecay(0.2, warmup=5, stable=10, decay=10), momentum=0.9, weight_decay=0.01, decay=decay
    )
    expected = {"coupled": 51.46719, "decoupled": 500, "independent": 100, "relative": 100, "corrected": 500}[decay]
    explained = downslope.explain(settings)
    assert explained["decay_steps"].value == pytest.approx(expected)
    last = explained.schedule[-1]
    assert last.lr == 0
    assert last.decay_steps == (100 if decay == "independent" else math.inf)
    assert ("decay_ignores_lr" in {remark.name for remark in explained.remarks}) == (decay == "independent")


BESIDE_LR = [
    ({"lr": Cosine(0.1, 0.0, 50), "weight_decay": 0.01}, True),
    ({"lr": Linear(0.1, 0.05, 50), "weight_decay": 0.01}, True),
    ({"lr": Warmup(10, then=Cosine(0.1, 0.0, 50)), "weight_decay": 0.01}, True),
    ({"lr": Linear(0.1, 0.01, 50), "weight_decay": Linear(0.01, 0.008, 50)}, True),
    ({"lr": Linear(0.01, 0.1, 50), "weight_decay": 0.01}, False),
    ({"lr": Warmup(10, then=0.1), "weight_decay": 0.01}, False),
    ({"lr": Cosine(0.1, 0.0, 50), "weight_decay": Cosine(0.01, 0.0, 50)}, False),
    ({"lr": Cosine(0.1, 0.01, 50), "weight_decay": MultiStep(0.01, 0.01, (25,))}, False),
    ({"lr": Linear(0.1, 0.09, 50), "weight_decay": 0.01}, False),
    ({"lr": Linear(0.1, 0.01, 50), "momentum": Linear(0.0, 0.9, 50), "weight_decay": 0.01}, False),  # effective 0.1
    ({"lr": 0.1, "weight_decay": Cosine(0.01, 0.0, 50)}, False),
]


@pytest.mark.parametrize(("given", "grows"), BESIDE_LR)
def test_a_decay_outweighs_gradients_only_where_it_grows_beside_lr(given, grows):
    """Both languages speak of it where it is so, and it is not said where decay falls with lr, or lr rises."""
    explained = downslope.explain(Settings(**given, decay="independent"), steps=60)
    assert ("decay_ignores_lr" in {remark.name for remark in explained.remarks}) == grows
    for lang, words in (("en", "outweighs the gradients"), ("zh", "压过梯度")):
        assert (words in describe(explained, lang).replace("\n    ", " ")) == grows
    assert "near it weights forget nothing" not in describe(explained)


HOSTILE = [
    (Settings(lr=0.0), {"lr_zero"}),
    (Settings(lr=0.0, momentum=0.9, weight_decay=0.1), {"lr_zero"}),
    (Settings(lr=0.0, momentum=0.9, weight_decay=0.1, decay="independent"), {"lr_zero"}),
    (Settings(lr=0.1, momentum=0.999), {"velocity_outlives_the_run"}),
    (Settings(lr=0.1, momentum=0.9999999999), {"velocity_outlives_the_run"}),
    (Settings(lr=0.1), set()),
    (Settings(lr=1e-100, momentum=0.5, weight_decay=1e-100), {"longer_than_the_run"}),
    (Settings(lr=1e300, momentum=0.5, weight_decay=1e-3), {"decay_not_slow"}),
    (Settings(lr=0.1, momentum=0.9, weight_decay=0.98), {"decay_not_slow"}),
    (Settings(lr=0.1, momentum=0.9, weight_decay=1000.0), {"decay_not_slow"}),
    (Settings(lr=0.1, weight_decay=1.0, decay="independent"), set()),
    (Settings(lr=0.1, momentum=0.9, dampening=1.0), {"dampened"}),
    (Settings(lr=0.1, momentum=0.9, dampening=0.5, nesterov=True), {"dampened"}),
    (Settings(lr=0.1, momentum=0.9, weight_decay=0.1, decay="decoupled"), {"copied_from_coupled"}),
    (Settings(lr=Linear(0.1, 0.0, 300), momentum=0.9, lr_in_velocity=True), {"lr_ends_at_zero", "lr_inside"}),
    (Settings(lr=Exponential(0.1, rate=0.5, every=1, staircase=True), weight_decay=1e-4), set()),
    (Settings(lr=0.1, maximize=True), {"maximizes"}),
    (Settings(lr=0.1, momentum=Linear(0.0, 0.9, 10)), set()),
]


@pytest.mark.parametrize(("settings", "remarks"), HOSTILE, ids=[repr(settings) for settings, _ in HOSTILE])
def test_extreme_settings_are_explained_and_remarked_on(settings, remarks):
    """Nothing breaks, nothing is NaN, the remarks are there, both languages speak, and JSON takes it."""
    for more in ({}, {"batch_size": 32, "examples": 1000, "steps": 301, "curvature": [0.0, 1e-3, 50.0]}):
        explained = downslope.explain(settings, **more)
        numbers = [item.value for item in explained.items if item.value is not None]
        numbers += [row.rate for row in explained.damping]
        assert not any(math.isnan(number) for number in numbers)
        if more:
            assert {remark.name for remark in explained.remarks} >= remarks
        json.dumps(explained.to_table(), allow_nan=False)
        for lang in ("en", "zh"):
            text = describe(explained, lang)
            assert "nan" not in text
            assert "{" not in text


def test_a_decay_of_0_98_is_not_explained_by_the_formula_for_slow_decay():
    """The founding question's 0.98, read literally: the formula says 1 step, the rule itself 19 (2 / -ln 0.9)."""
    explained = downslope.explain(Settings(lr=0.1, momentum=0.9, weight_decay=0.98))
    remark = next(remark for remark in explained.remarks if remark.name == "decay_not_slow")
    assert remark.numbers["formula"] == pytest.approx(1 / 0.98)
    assert remark.numbers["exact"] == pytest.approx(2 / -math.log(0.9))
    assert remark.numbers["regime"] == "oscillating"


def test_unusual_timescales_are_remarked_on():
    """Below 1 epoch and above 13; between them nothing is said."""
    for weight_decay, expected in ((5e-3, {"forgets_fast"}), (5e-4, set()), (5e-5, {"forgets_slowly"})):
        explained = downslope.explain(
            Settings(lr=0.1, momentum=0.9, weight_decay=weight_decay), batch_size=128, examples=50_000
        )
        assert {remark.name for remark in explained.remarks} == expected


def test_a_decay_that_moves_is_judged_by_what_the_run_forgets():
    """Decay .1 to 0 while momentum rises: 5,000 epochs at the largest effective lr, 4.4 in the mean: usual."""
    moving = {"lr": 0.1, "momentum": Linear(0.5, 0.95, 50, "epoch"), "decay": "decoupled"}
    names = {}
    for strength in (0.5, 0.1, 0.01):
        settings = Settings(**moving, weight_decay=Linear(strength, 0.0, 50, "epoch"))
        explained = downslope.explain(settings, batch_size=32, examples=1438, steps=2250)
        names[strength] = {one.name: one.numbers for one in explained.remarks if one.name.startswith("forgets")}
        assert ("Over the run as a whole weights forget in" in describe(explained)) == bool(names[strength])
        assert ("就整个训练而言" in describe(explained, "zh")) == bool(names[strength])
    assert names[0.1] == {}
    pace = (0.95 * math.log(0.95) + 0.05) / 0.05  # the mean of -ln(1 - d), d from .05 to 0
    assert names[0.5]["forgets_fast"]["epochs"] == pytest.approx(1 / pace / 45, rel=1e-3)
    assert names[0.01]["forgets_slowly"]["epochs"] == pytest.approx(2000 / 45, rel=1e-3)


@pytest.mark.parametrize(("weight_decay", "said"), [(0.05, "about 51 % is left"), (0.005, "hardly acts")])
def test_a_timescale_a_little_longer_than_the_run_acts(weight_decay, said):
    """lr .1, 135 steps: timescales 200 and 2,000; exp(-135 / 200) is .509 of a weight, exp(-.0675) is .93."""
    explained = downslope.explain(Settings(lr=0.1, weight_decay=weight_decay), steps=135)
    text = " ".join(describe(explained).split())
    assert said in text
    assert ("hardly acts" in text) == (said == "hardly acts")
    assert ("还剩 51 %" in describe(explained, "zh")) == (said != "hardly acts")


def test_a_schedule_without_end_shows_its_first_changes():
    """A staircase for ever, and nobody says how long training lasts: five steps down, and no end that there is not."""
    explained = downslope.explain(Settings(lr=Exponential(0.1, rate=0.1, every=1000, staircase=True)))
    assert [row.step for row in explained.schedule] == [0, 1000, 2000, 3000, 4000, 5000]
    assert not {remark.name for remark in explained.remarks} & {"lr_ends_at_zero"}


def test_groups_say_what_they_change_and_how_long_they_remember():
    """Biases without decay never forget; a group with ten times the lr forgets ten times as fast."""
    recipe = downslope.load_recipe()
    from dataclasses import replace

    groups = (Group(match="*.bias", weight_decay=0.0), Group(match="dense0.*", lr=1.0))
    explained = downslope.explain(replace(recipe, groups=groups))
    biases, first = explained.groups
    assert (biases.match, dict(biases.changes), biases.decay_steps) == (("*.bias",), {"weight_decay": 0.0}, math.inf)
    assert (first.effective_lr, first.decay_steps) == pytest.approx((10.0, 200.0))
    assert first.decay_epochs == pytest.approx(200 / 45)


def test_training_options_are_remarked_on():
    """Plateaus, clipping, accumulation and averages each change what the numbers mean."""
    overrides = [
        ("sgd.lr", "0.1"),
        ("train.clip_norm", "1.0"),
        ("train.accumulate", "2"),
        ("train.ema", "0.99"),
        ("train.plateau", "{ patience = 3 }"),
    ]
    explained = downslope.explain(downslope.load_recipe(overrides=overrides))
    assert {remark.name for remark in explained.remarks} >= {"plateau", "clipped", "accumulates", "averaged"}
    assert explained.run.batch_size == 64


def test_a_run_of_many_steps_takes_no_longer():
    """10**18 steps with a change at each: a short table, for no more work than ten thousand such steps are."""
    settings = Settings(lr=Exponential(0.1, rate=0.999, every=1, staircase=True, end=1e-5), weight_decay=1e-4)
    fewer, _ = calls(lambda: downslope.explain(settings, steps=10**4, batch_size=1, examples=10**9))
    work, explained = calls(lambda: downslope.explain(settings, steps=10**18, batch_size=1, examples=10**9))
    assert work < 2 * fewer
    assert explained.schedule[-1].step == 10**18 - 1
    assert any(row.after_gap for row in explained.schedule)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"curvature": -1.0}, "`curvature` must be above 0"),
        ({"curvature": 0.0}, "`curvature` must be above 0"),
        ({"curvature": []}, "`curvature` must be above 0"),
        ({"curvature": math.nan}, "`curvature` must be finite"),
        ({"curvature": "steep"}, "`curvature` must be a number"),
        ({"examples": 0}, "`examples` must be an integer >= 1"),
        ({"batch_size": 1.5}, "`batch_size` must be an integer >= 1"),
        ({"steps": True}, "`steps` must be an integer >= 1"),
    ],
    ids=str,
)
def test_wrong_numbers_are_refused(options, message):
    """What cannot be is refused by name, with what was got."""
    with pytest.raises(SettingsError, match=message):
        downslope.explain(WRN, **options)


def test_wrong_subjects_are_refused(tmp_path):
    """No recipe, no file: said clearly."""
    with pytest.raises(SettingsError, match="must be a Recipe, Settings"):
        downslope.explain(3)
    with pytest.raises(RecipeError, match="no such file"):
        downslope.explain(str(tmp_path / "none.toml"))


def test_items_are_found_by_name():
    """`in` and `[]` go by name, and a name that is not there says which are."""
    explained = downslope.explain(Settings(lr=0.1))
    assert "effective_lr" in explained
    assert "decay_steps" not in explained
    with pytest.raises(KeyError, match="effective_lr"):
        explained["decay_steps"]


def test_the_text_of_a_recipe_is_a_recipe():
    """TOML itself, a path, and the recipe explain the same."""
    path = ROOT / "recipes/digits.toml"
    one, two = downslope.explain(path), downslope.explain(path.read_text(encoding="utf-8"))
    assert one == two == downslope.explain(downslope.load_recipe(path)) == downslope.explain(str(path))
