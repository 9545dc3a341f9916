"""`rescale`: numbers worked by hand, there and back, the same path to first order, what is refused."""

from __future__ import annotations

import random
import tomllib
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

import downslope
from cli.command_line import fail, succeed
from downslope.core.errors import DownslopeError, RecipeError
from downslope.core.groups import Group
from downslope.core.settings import DECAYS, Settings
from downslope.recipe.load import load_recipe, parse_recipe
from downslope.recipe.schema import Checkpoint, Data, Plateau, Recipe, Train
from downslope.schedules import (
    Cosine,
    Exponential,
    Inverse,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Sequence,
    Warmup,
    WarmupStableDecay,
)
from draws import SEED, draws
from house.source_tree import ROOT
from simulations import run


def recipe_of(sgd, size=64, **train):
    """Return a recipe of these settings on data of an unknown size."""
    return Recipe(data=Data(name="own:data", batch_size=size), sgd=sgd, train=Train(**({"epochs": 90} | train)))


def test_linear_by_hand():
    """Four times the batch: lr and its warmup's start times 4, steps a quarter, coupled decay as it is."""
    lr = Warmup(400, MultiStep(0.1, 0.1, [30, 60], unit="epoch"), start=0.01, restart=False)
    before = recipe_of(
        Settings(lr=lr, momentum=0.9, weight_decay=5e-4), steps=1000, evaluate_every=100, ema=0.5, epochs=None
    )
    before = replace(before, groups=(Group(match="head.*", ema=0.25), Group(match="*.bias", ema=0)))
    found = downslope.rescale(replace(before, checkpoint=Checkpoint(every_steps=200)), batch_size=256)
    after = found.recipe
    assert after.sgd.lr == Warmup(100, MultiStep(0.4, 0.1, [30, 60], unit="epoch"), start=0.04, restart=False)
    assert (after.sgd.momentum, after.sgd.weight_decay) == (0.9, 5e-4)
    assert (after.train.steps, after.train.evaluate_every, after.train.ema) == (250, 25, 0.0625)
    assert after.checkpoint.every_steps == 50
    assert [group.ema for group in after.groups] == [0.25**4, 0.0]
    assert [change.path for change in found.changes] == [
        *("data.batch_size", "sgd.lr.duration", "sgd.lr.then.initial", "sgd.lr.start"),
        *("groups.0.ema", "train.steps", "train.ema", "train.evaluate_every", "checkpoint.every_steps"),
    ]


def test_a_length_has_the_reason_of_a_length():
    """Not that of the heights beside it: in another batch, over other epochs, both at once, and within a warmup."""
    lr = Warmup(400, MultiStep(0.1, 0.1, [30, 60], unit="epoch"), start=0.01, restart=False)
    before = replace(
        recipe_of(Settings(lr=lr)),
        groups=(Group(match="a", lr=Cosine(0.1, 0.0, 800)), Group(match="b", momentum=Linear(0.5, 0.9, 80))),
    )

    def reasons(**asked):
        return {change.path: change.why for change in downslope.rescale(before, **asked).changes}

    batch = reasons(batch_size=256)
    assert batch["sgd.lr.then.initial"] == batch["sgd.lr.start"] == "the effective lr of an example stays"
    lengths = {"sgd.lr.duration", "groups.0.lr.duration", "groups.1.momentum.duration"}
    assert {path for path, why in batch.items() if why == "as many examples as before"} == lengths
    both = reasons(batch_size=256, epochs=45)
    assert both["sgd.lr.then.milestones"].startswith("every schedule is stretched")
    assert both["sgd.lr.then.initial"] == batch["sgd.lr.start"]
    before = recipe_of(Settings(lr=MultiStep(0.1, 0.1, [400])))
    warmed = reasons(batch_size=256, warmup=5)
    assert warmed.pop("data.batch_size") == "what was asked for"
    assert warmed.pop("sgd.lr.then.initial") == "the effective lr of an example stays"
    assert warmed.pop("sgd.lr.then.milestones") == "as many examples as before"
    assert list(warmed) == [f"sgd.lr.{key}" for key in ("schedule", "duration", "start", "unit", "restart")]
    assert set(warmed.values()) == {"it begins with the lr of the smaller batch and is at the new one after the warmup"}


def test_square_root_and_half_life_by_hand():
    """Square root: lr times 2, coupled decay times 2. Half-life: momentum^4, and lr that keeps the effective lr."""
    before = recipe_of(Settings(lr=0.1, momentum=0.5, weight_decay=0.01))
    root = downslope.rescale(before, batch_size=256, rule="sqrt").recipe.sgd
    assert (root.lr, root.momentum, root.weight_decay) == (0.2, 0.5, 0.02)
    half = downslope.rescale(before, batch_size=256, rule="half-life").recipe.sgd
    assert (half.momentum, half.weight_decay) == (0.0625, 0.01)
    assert half.lr == pytest.approx(4 * 0.1 * (1 - 0.0625) / 0.5, rel=1e-15)


@pytest.mark.parametrize(
    ("decay", "linear", "root"),
    [("coupled", 0.02, 0.04), ("decoupled", 0.02, 0.04), ("independent", 0.08, 0.08), ("relative", 0.08, 0.08)],
)
def test_weight_decay_keeps_its_epochs(decay, linear, root):
    """Weights forget over as many examples, by each way of decay: hand-worked for a batch four times as large."""
    before = recipe_of(Settings(lr=0.1, weight_decay=0.02, decay=decay))
    assert downslope.rescale(before, batch_size=256).recipe.sgd.weight_decay == linear
    assert downslope.rescale(before, batch_size=256, rule="sqrt").recipe.sgd.weight_decay == root


def test_a_group_with_its_own_momentum_gets_its_own_factor():
    """Half-life: the effective lr of each group grows by the same factor, also where its momentum is its own."""
    before = replace(
        recipe_of(Settings(lr=0.1, momentum=0.5, weight_decay=0.01, decay="decoupled")),
        groups=(Group(match="*.bias", momentum=0.25), Group(match="head.*", lr=0.2), Group(match="x", lr_factor=3.0)),
    )
    after = downslope.rescale(before, batch_size=128, rule="half-life").recipe
    for old, new in zip(before.groups, after.groups, strict=True):
        was, now = old.apply(before.sgd), new.apply(after.sgd)
        assert now.momentum == was.momentum**2
        assert now.lr / (1 - now.momentum) == pytest.approx(2 * was.lr / (1 - was.momentum), rel=1e-14)
        assert now.lr * now.weight_decay == pytest.approx(2 * was.lr * was.weight_decay, rel=1e-14)


def random_recipe(rng):
    """Return a random recipe whose steps 8 divides, of any schedule."""

    def lr(high):
        unit = rng.choice(["step", "epoch"])
        t = 8 * rng.randint(2, 90)
        return rng.choice(
            [
                *(
                    high,
                    Cosine(high, 0.0, t, unit),
                    Linear(high, high / 8, t, unit),
                    Polynomial(high, 0.0, t, unit, 2.0),
                ),
                *(Exponential(high, 0.3, t, unit, staircase=True), MultiStep(high, 0.1, [t, 2 * t], unit)),
                *(Inverse(high, 0.5, 0.75, unit), OneCycle(high, t, unit), WarmupStableDecay(high, t, 8, t, unit)),
                *(Warmup(t, Cosine(high, 0.0, t, unit), high / 4, unit), Sequence([high, high / 2], [t], unit)),
            ]
        )

    momentum = rng.choice([0.0, 0.5, 0.9, 0.99])
    form = {"nesterov": rng.random() < 0.5, "dampening": rng.choice([0.0, 0.25])} if momentum else {}
    sgd = Settings(
        lr=lr(rng.choice([0.1, 0.3, 0.0123])),
        momentum=momentum,
        weight_decay=rng.choice([0.0, 5e-4, 1e-4]),
        decay=rng.choice(DECAYS),
        **form,
    )
    groups = [Group(match="*.bias", weight_decay=0.0), Group(match="a", lr=lr(0.7)), Group(match="b", lr_factor=0.5)]
    train = Train(
        **rng.choice([{"epochs": 90.0}, {"steps": 800}]),
        accumulate=rng.choice([1, 2]),
        ema=rng.choice([None, 0.999]),
        evaluate_every=rng.choice([None, 40]),
        log_every=rng.choice([1, 16]),
    )
    return Recipe(
        data=Data(name="own:data", batch_size=64), sgd=sgd, groups=tuple(rng.sample(groups, 2)), train=train,
        checkpoint=Checkpoint(every_steps=rng.choice([None, 80])),
    )  # fmt: skip


def test_there_and_back_is_the_same_recipe():
    """Scaled up and down again, or stretched and shrunk, a recipe is equal to itself, by every rule."""
    rng, done = random.Random(SEED), 0
    while done < draws(200):
        try:
            recipe = random_recipe(rng)
        except DownslopeError:
            continue
        rule, factor = rng.choice(["linear", "sqrt", "half-life"]), rng.choice([2, 4, 8])
        large = downslope.rescale(recipe, batch_size=64 * factor, rule=rule).recipe
        assert downslope.rescale(large, batch_size=64, rule=rule).recipe == recipe, (recipe, rule, factor)
        longer = downslope.rescale(recipe, epochs=30, examples=640).recipe
        epochs = recipe.train.epochs or Fraction(800, 10 // recipe.train.accumulate)
        assert downslope.rescale(longer, epochs=float(epochs), examples=640).recipe == recipe
        done += 1


@pytest.mark.parametrize("rule", ["linear", "half-life"])
@pytest.mark.parametrize("decay", ["coupled", "decoupled", "independent"])
def test_gradient_flow_follows_the_same_path_to_first_order(rule, decay):
    """On a linear model, the difference between the two batches falls with lr: halved, it is a half, thrice over."""
    x = np.random.default_rng(0).normal(size=(16, 3))
    hessian, target = x.T @ x / 16, np.array([1.0, -2.0, 0.5])
    gaps = []
    for lr in (0.02, 0.01, 0.005, 0.0025):
        strength = 0.1 * (lr if decay == "independent" else 1)
        before = recipe_of(Settings(lr=lr, momentum=0.5, weight_decay=strength, decay=decay))
        after = downslope.rescale(before, batch_size=256, rule=rule).recipe
        steps = round(4 / lr)
        paths = [
            run(recipe.sgd, lambda w, _: hessian @ (w - target), count, np.zeros(3))
            for recipe, count in ((before, steps), (after, steps // 4))
        ]
        gaps.append(float(np.linalg.norm(paths[0][-1] - paths[1][-1])) + 1e-12)
        middle = [paths[0][steps // 2], paths[1][steps // 8]]
        assert np.linalg.norm(middle[0] - middle[1]) < 8 * lr
    for large, small in pairwise(gaps):
        assert small < 0.62 * large, gaps


def test_stretching_by_hand():
    """90 epochs to 45: milestones and warmup halve; lr, momentum, decay and averages stay."""
    lr = Warmup(5, MultiStep(3.2, 0.1, [30, 60, 80], unit="epoch"), start=0.1, unit="epoch", restart=False)
    before = recipe_of(Settings(lr=lr, momentum=0.9, weight_decay=1e-4), ema=0.999)
    after = downslope.rescale(before, epochs=45).recipe
    assert after.sgd.lr == Warmup(2.5, MultiStep(3.2, 0.1, [15, 30, 40], "epoch"), 0.1, "epoch", restart=False)
    assert after.train == replace(before.train, epochs=45)
    with pytest.raises(RecipeError, match="Give `examples`"):
        downslope.rescale(recipe_of(Settings(lr=0.1), epochs=None, steps=100), epochs=2)


def test_devices_and_warmup():
    """Eight devices: eight times the batch, a shard for each, and Goyal's warmup from the old lr to the new."""
    before = replace(load_recipe("imagenet-resnet50-torchvision"), groups=())
    found = downslope.rescale(before, devices=8, warmup=5)
    assert found.recipe.data.batch_size == 8 * before.data.batch_size
    assert found.recipe.train.shards == 8 * before.train.shards == 64
    lr = found.recipe.sgd.lr
    assert (lr.start, lr(0, steps_per_epoch=10)) == (before.sgd.lr.reference, before.sgd.lr.reference)
    assert lr(50, steps_per_epoch=10) == 8 * before.sgd.lr.reference
    with pytest.raises(RecipeError, match="has one"):
        downslope.rescale("imagenet-resnet50-goyal", devices=2, warmup=5)
    with pytest.raises(RecipeError, match="lr goes from"):
        downslope.rescale(before, batch_size=16, warmup=5)


def test_a_warmup_says_what_moved_and_its_own_reason_once():
    """A schedule that now stands within a warmup is the same but for what the batch changes; also a group's, a number.

    None of its keys is said to be gone, and the warmup's five keys have one comment.
    """
    before = replace(
        recipe_of(Settings(lr=MultiStep(0.1, 0.1, [30, 60], unit="epoch"))), groups=(Group(match="a", lr=0.01),)
    )
    found = downslope.rescale(before, batch_size=256, warmup=5)
    changed = {change.path: (change.before, change.after) for change in found.changes}
    assert changed["sgd.lr.then.initial"] == (0.1, 0.4)
    assert changed["groups.0.lr.then.value"] == (0.01, 0.04)
    assert changed["sgd.lr.start"] == (None, 0.1)
    assert not {"sgd.lr.then.milestones", "sgd.lr.then.unit", "sgd.lr.initial"} & set(changed)
    text = found.to_toml()
    assert " is gone" not in text
    assert text.count("it begins with the lr of the smaller batch") == 2  # of the recipe and of its group
    assert tomllib.loads(text)["sgd"]["lr"]["then"]["milestones"] == [30, 60]


def test_limits():
    """Goyal's 8,192, where weights swing, where a curvature is too large, and where the velocity is too short."""
    said = " ".join(downslope.rescale("imagenet-resnet50-goyal", batch_size=16384).remarks)
    assert "up to a batch of 8,192" in said
    before = recipe_of(Settings(lr=0.1, momentum=0.5, weight_decay=0.0))
    found = downslope.rescale(before, batch_size=128, rule="half-life", curvature=10)
    assert "from a batch of 192 on" in " ".join(found.remarks)  # 64 times 2 (1 + 0.5) / (0.1 * 10)
    assert "within one step from a batch of 64 on (it is larger)" in " ".join(found.remarks)
    root = downslope.rescale(before, batch_size=128, rule="sqrt", curvature=10)
    assert "from a batch of 576 on" in " ".join(root.remarks)
    slow = downslope.rescale(recipe_of(Settings(lr=0.1, momentum=0.25, weight_decay=0.5)), batch_size=128)
    assert "from a batch of 320 on" in " ".join(slow.remarks)  # 64 (1 - 0.5)^2 / (0.1 * 0.5)
    assert downslope.rescale(before, epochs=10).remarks == ()
    moving = recipe_of(Settings(lr=0.1, momentum=Linear(0.5, 0.9, 10), weight_decay=0.5))
    said = " ".join(downslope.rescale(moving, batch_size=128, curvature=10).remarks)
    assert "sgd.momentum is a schedule" in said
    lars = recipe_of(Settings(lr=4.8, momentum=0.25, weight_decay=0.5, trust_coefficient=0.001))
    said = " ".join(downslope.rescale(lars, batch_size=128, curvature=10).remarks)
    assert "by sgd.trust_coefficient" in said
    assert "from a batch of" not in said
    assert "from a batch of" not in said
    level = recipe_of(Settings(lr=0.1, momentum=Linear(0.25, 0.25, 10), weight_decay=0.5))
    assert "from a batch of 320 on" in " ".join(downslope.rescale(level, batch_size=128).remarks)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to rescale"),
        ({"batch_size": 0}, "must be an integer >= 1"),
        ({"batch_size": 2, "devices": 2}, "Give one of the two"),
        ({"epochs": 3, "rule": "sqrt"}, "`rule` belongs to another batch size"),
        ({"batch_size": 2, "rule": "cubic"}, "`rule` must be"),
        ({"batch_size": 2000}, "more than the 1,437 training examples"),
        ({"epochs": -1.0}, "must be a number above 0"),
    ],
)
def test_refusals(arguments, message):
    """Each says what is allowed."""
    with pytest.raises(RecipeError, match=message):
        downslope.rescale("digits", **arguments)
    moving = recipe_of(Settings(lr=0.1, momentum=Linear(0.5, 0.9, 10)))
    with pytest.raises(RecipeError, match="a constant momentum"):
        downslope.rescale(moving, batch_size=128, rule="half-life")


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_each_recipe_is_printed_with_its_changes(path, tmp_path, capsys):
    """The file loads as the new recipe, and has a comment for every change with what was there before."""
    recipe = load_recipe(path)
    found = downslope.rescale(recipe, batch_size=2 * recipe.data.batch_size)
    out = tmp_path / "scaled.toml"
    succeed(["rescale", str(path), "--batch-size", str(2 * recipe.data.batch_size), "--out", str(out)], capsys)
    text = out.read_text(encoding="utf-8")
    assert text == found.to_toml()
    assert parse_recipe(text) == found.recipe
    said = " ".join(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    assert said.count("was ") >= len(found.changes) > 0


def test_changes_of_groups_and_what_is_gone_are_told():
    """A group's change is told beside the groups; plateau's bound goes with lr; words are taken as recipes are."""
    before = replace(
        recipe_of(Settings(lr=0.1), plateau=Plateau(patience=3, min_lr=0.01)), groups=(Group(match="a", lr=0.3),)
    )
    found = downslope.rescale(before, batch_size=128)
    assert found.recipe.train.plateau.min_lr == 0.02
    assert "# groups.0.lr: was 0.3: " in found.to_toml()


def test_the_command(capsys):
    """A sentence is taken; a mistake is one line."""
    out = succeed(["rescale", "SGD, lr 0.1, momentum 0.9, batch size 256, 90 epochs", "--batch-size", "512"], capsys)
    assert "lr = 0.2\n" in out
    assert "nothing to rescale" in fail(["rescale", "digits"], capsys)
