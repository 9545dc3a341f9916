"""Explanations in regimes where the textbook's formulas fail: numbers worked out by hand, or stepped here and now."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

import downslope
from downslope import Group, Settings
from downslope.core.rule import sgd_rule
from downslope.explaining.terminal import describe
from downslope.schedules import Cosine, Linear, MultiStep, OneCycle
from downslope.theory import quadratic, stability


def at_rest(settings, steps):
    """Return the weight after 0, 1, ... steps from 1, without a gradient."""
    param, velocity, path = 1.0, 0.0, [1.0]
    for _ in range(steps):
        delta, velocity = sgd_rule(param, 0.0, velocity, settings.at(0))
        param += delta
        path.append(param)
    return path


def text_of(settings, lang="en", **more):
    """Return the explanation as one line of text."""
    return " ".join(describe(downslope.explain(settings, **more), lang, width=10_000).split())


def test_momentum_0_99_swings_and_is_not_said_to_fade():
    """lr .1, momentum .99, decay 5e-4: at 200 steps, where a formula says 1/e, .506 is left; negative from 472 on."""
    settings = Settings(lr=0.1, momentum=0.99, weight_decay=5e-4)
    path = at_rest(settings, 1000)
    assert path[200] == pytest.approx(0.506, abs=5e-4)
    explained = downslope.explain(settings)
    assert (explained.memory.way, explained.memory.crosses) == ("swings", 472)
    assert explained["decay_steps"].value == 248
    assert abs(path[247]) > math.exp(-1) > max(map(abs, path[248:]))
    assert explained.memory.lowest == pytest.approx(min(path), rel=1e-6)
    text = text_of(settings)
    assert "Weights forget their past over" not in text
    assert "they swing through 0. From 248 steps on never more than 37 % (1/e) is left on either side" in text
    assert "on the other side they are after 472 steps, at 4.25 % of their size after 628" in text
    assert "472 步后到另一侧" in text_of(settings, "zh")


def test_the_founding_question_s_0_98_is_told_as_the_readme_does():
    """Through 0 at the fifth update, -.59 after ten, .0949 at the most from the 42nd on."""
    settings = Settings(lr=0.1, momentum=0.9, weight_decay=0.98)
    path = at_rest(settings, 200)
    assert path[4] > 0 > path[5]
    assert path[10] == pytest.approx(-0.59, abs=5e-3)
    assert abs(path[41]) >= 0.1 > max(map(abs, path[42:]))
    memory = downslope.explain(settings).memory
    assert (memory.crosses, memory.lowest_at, memory.steps) == (5, path.index(min(path)), 13)


def test_decoupled_decay_lowers_the_limits():
    """lr < 2 (1 + m) / (L + (1 + m) wd): 3.8 / .595 = 6.387 for L .5; and L < (2 - .35) 1.9 / 7 = .448 at lr 7."""
    settings = Settings(lr=7.0, momentum=0.9, weight_decay=0.05, decay="decoupled")
    explained = downslope.explain(settings, curvature=0.5)
    assert explained["largest_lr_heavy_ball"].value == pytest.approx(3.8 / 0.595)
    assert explained["largest_curvature_heavy_ball"].value == pytest.approx(1.65 * 1.9 / 7)
    assert explained["edge_full_batch"].value == pytest.approx(1.65 * 1.9 / 7)
    assert explained["critical_curvature"].value == pytest.approx((math.sqrt(0.65) - math.sqrt(0.9)) ** 2 / 7)
    assert explained.damping[0].regime == "unstable"
    text = text_of(settings, curvature=0.5)
    assert "lr must stay below 6.387: 7 is too large" in text
    stable = downslope.explain(Settings(lr=6.3, momentum=0.9, weight_decay=0.05, decay="decoupled"), curvature=0.5)
    assert stable.damping[0].regime != "unstable"


@pytest.mark.parametrize(
    ("how", "limit"),
    [
        ({"decay": "independent", "weight_decay": 0.5}, 1.5 * 1.9 / 2.0),
        ({"decay": "relative", "weight_decay": 0.5}, 1.5 * 1.9 / 2.0),
        ({"decay": "corrected", "weight_decay": 0.5}, 3.8 / (2.0 + 1.9 * 0.5)),
        ({"decay": "decoupled", "weight_decay": 0.5}, 3.8 / (2.0 + 1.9 * 0.5)),
        ({"decay": "coupled", "weight_decay": 0.5}, 3.8 / 2.5),
        ({"decay": "independent", "weight_decay": 2.5}, 0.0),
    ],
    ids=str,
)
def test_largest_lr_of_every_kind_of_decay(how, limit):
    """At curvature 2, momentum .9: decay that does not grow with lr leaves (2 - d) of 2, decay that does adds to L."""
    explained = downslope.explain(Settings(lr=0.1, momentum=0.9, **how), curvature=2.0)
    assert explained["largest_lr_heavy_ball"].value == pytest.approx(limit)


def test_no_lr_is_stable_under_too_strong_a_decay():
    """Independent decay of 2.5 alone takes a weight from 1 to -1.5: no limit is stated, no timescale, no balance."""
    settings = Settings(lr=0.1, momentum=0.9, weight_decay=2.5, decay="independent")
    for lang, sentence in (("en", "No lr is stable"), ("zh", "没有稳定的学习率")):
        for more in ({}, {"curvature": 1.0}):
            assert sentence in text_of(settings, lang, **more)
    explained = downslope.explain(settings)
    assert explained.memory.way == "grows"
    assert "rotation_per_step" not in explained
    assert explained["largest_curvature_heavy_ball"].value < 0
    text = text_of(settings)
    assert "37 %" not in text
    assert "∞ steps" not in text
    assert "they grow by the factor 1.5 per step" in text


def test_critical_momentum_knows_decay_and_dampening():
    """At d .36 and lr l = .09: (.8 - .3)^2 = .25; dampened by .75, lr l = .36 is the same; Nesterov .6 / 1.44."""
    assert quadratic.critical_momentum(0.09, 1.0, decoupled=0.36) == pytest.approx(0.25)
    assert quadratic.critical_momentum(0.36, 1.0, dampening=0.75, decoupled=0.36) == pytest.approx(0.25)
    assert quadratic.critical_curvature(0.09, 0.25, decoupled=0.36) == pytest.approx(1.0)
    assert quadratic.critical_curvature(0.36, 0.25, dampening=0.75, decoupled=0.36) == pytest.approx(1.0)
    # (1 - d - lr l) / (1 + sqrt(lr l))^2 = (.64 - .04) / 1.44, and back
    critical = quadratic.critical_momentum(0.04, 1.0, nesterov=True, decoupled=0.36)
    assert critical == pytest.approx(0.6 / 1.44)
    assert quadratic.critical_curvature(0.04, critical, nesterov=True, decoupled=0.36) == pytest.approx(1.0)
    assert quadratic.critical_momentum(1.0, 1.0, decoupled=0.36) is None
    assert quadratic.critical_curvature(0.1, 0.9, decoupled=1.5) is None
    assert quadratic.oscillation_rate(0.9, 0.36) == pytest.approx(math.sqrt(0.576))


def test_dampening_counts_in_what_equals_and_in_the_edge():
    """lr 1, momentum .9, dampening .9, decay 5e-4: decoupled 5e-4 is as strong; small batches settle at 2, not .2."""
    one, two = (
        downslope.explain(Settings(lr=lr, momentum=0.9, dampening=dampening, weight_decay=5e-4))
        for lr, dampening in ((1.0, 0.9), (0.1, 0.0))
    )
    assert one["decoupled_equivalent"].value == pytest.approx(5e-4)
    assert two["decoupled_equivalent"].value == pytest.approx(5e-3)
    assert one["edge_mini_batch"].value == pytest.approx(two["edge_mini_batch"].value) == pytest.approx(2.0)
    copied = Settings(lr=1.0, momentum=0.9, dampening=0.5, weight_decay=5e-4, decay="decoupled")
    remark = next(one for one in downslope.explain(copied).remarks if one.name == "copied_from_coupled")
    assert remark.numbers["factor"] == pytest.approx(5.0)  # (1 - .5) / (1 - .9)
    stronger = Settings(lr=1.0, momentum=0.5, dampening=0.9, weight_decay=5e-4, decay="decoupled")
    assert "it is 5 times stronger here: as strong would be 0.0001" in text_of(stronger)
    equal = Settings(lr=1.0, momentum=0.5, dampening=0.5, weight_decay=5e-4, decay="decoupled")
    assert "copied_from_coupled" not in {one.name for one in downslope.explain(equal).remarks}


def test_dampening_1_lets_nothing_in():
    """Heavy ball: no gradient after the first moves anything, and nothing is said of what the velocity adds up."""
    text = text_of(Settings(lr=0.1, momentum=0.9, dampening=1.0, weight_decay=0.1))
    assert "The effective learning rate is 0, although lr is not" in text
    assert "The velocity adds up" not in text
    assert "weights forget nothing" in text
    ahead = downslope.explain(Settings(lr=0.1, momentum=0.9, dampening=1.0, nesterov=True))
    assert ahead["effective_lr"].value == pytest.approx(0.1)
    assert [stretch.regime for stretch in ahead.stretches] == ["over-damped", "alternating", "unstable"]
    assert [stretch.end for stretch in ahead.stretches[:2]] == pytest.approx([10.0, 20.0])  # plain SGD's


def test_a_schedule_of_momentum_is_told_over_the_whole_run():
    """Constant lr .1, momentum from .5 to .9 over 100 of 200 steps: effective lr .2 to 1; numbers are of step 100."""
    settings = Settings(lr=0.1, momentum=Linear(0.5, 0.9, 100), weight_decay=1e-3)
    explained = downslope.explain(settings, steps=200)
    extents = {extent.name: extent for extent in explained.extents}
    assert (explained.peak.step, explained.peak.momentum) == (100, pytest.approx(0.9))
    gains = [0.1 / (0.5 - 0.4 * min(step, 100) / 100) for step in range(200)]
    gain = extents["effective_lr"]
    assert (gain.first, gain.largest, gain.largest_at, gain.last) == pytest.approx((0.2, 1.0, 100, 1.0))
    assert gain.mean == pytest.approx(sum(gains) / 200)
    assert extents["momentum"].mean == pytest.approx((0.7 * 101 - 0.9 + 0.9 * 100) / 200)
    text = text_of(settings, steps=200)
    assert "All that follows is at step 100, where the effective lr is largest: momentum 0.9." in text
    assert "at the largest lr" not in text
    assert "第 100 步" in text_of(settings, "zh", steps=200)


def test_a_schedule_of_weight_decay_is_told_over_the_whole_run():
    """Decay from 0 to .01 over 100 of 200 steps: of the strongest; the mean pace is that of a run without gradients."""
    settings = Settings(lr=0.1, weight_decay=Linear(0.0, 0.01, 100))
    explained = downslope.explain(settings, steps=200)
    assert (explained.peak.step, explained.peak.weight_decay) == (100, pytest.approx(0.01))
    param = 1.0
    for step in range(200):
        param += sgd_rule(param, 0.0, 0.0, settings.at(step))[0]
    pace = next(extent for extent in explained.extents if extent.name == "decay_steps")
    assert pace.mean == pytest.approx(-200 / math.log(param), rel=0.001)
    assert (pace.first, pace.smallest) == (math.inf, pytest.approx(1000, rel=0.001))
    assert "where weight decay is strongest: weight decay 0.01" in text_of(settings, steps=200)
    longer = next(one for one in explained.remarks if one.name == "longer_than_the_run")
    assert longer.numbers["steps"] == pytest.approx(pace.mean)


def test_one_cycle_of_lr_and_momentum_together():
    """lr up while momentum goes down: the numbers are of the largest effective lr, found among all steps."""
    settings = Settings(lr=OneCycle(0.1, 100), momentum=Linear(0.95, 0.85, 30), weight_decay=1e-4)
    explained = downslope.explain(settings, steps=100)
    gains = [settings.at(step).lr / (1 - settings.at(step).momentum) for step in range(100)]
    assert explained.peak.step == gains.index(max(gains))
    assert explained["effective_lr"].value == pytest.approx(max(gains))


def test_a_step_that_is_not_the_peak_may_be_the_unstable_one():
    """Decay of 30 coupled at the end, where lr is still .1: the limit there is 20 - 30, and the remark says where."""
    settings = Settings(lr=Cosine(0.1, 0.09, 100), weight_decay=MultiStep(1e-3, 3e4, (50,)))
    explained = downslope.explain(settings, steps=100)
    remark = next(one for one in explained.remarks if one.name == "unstable_elsewhere")
    at = min(range(100), key=lambda step: 2 / settings.at(step).lr - settings.at(step).coupled_decay)
    assert remark.numbers["at"] == at
    assert f"at step {at} only curvatures below" in text_of(settings, steps=100)


def test_a_group_that_swings_or_grows_says_so():
    """A group's decay of .98 swings, one of 50 at lr 1 grows: neither is told to fade, or never to forget."""
    recipe = replace(
        downslope.load_recipe(overrides=[("sgd.lr", "0.1")]),
        groups=(Group(match="*.bias", weight_decay=0.98), Group(match="*.weight", weight_decay=50.0, lr=1.0)),
    )
    text = text_of(recipe)
    assert "these weights forget over 13 steps, 0.289 epochs. They do not fade" in text
    assert "these weights grow without any gradient" in text


def test_what_no_lr_limit_can_say_over_l():
    """With L unknown the limit is a fraction over it, with what decay adds beside it: 3.8 / (L + 1.9 * .05)."""
    assert "heavy ball 3.8 / (L + 0.095)" in text_of(
        Settings(lr=0.1, momentum=0.9, weight_decay=0.05, decay="decoupled")
    )
    assert "heavy ball 3.8 / L" in text_of(Settings(lr=0.1, momentum=0.9))
    assert "heavy ball 2.85 / L" in text_of(Settings(lr=0.1, momentum=0.9, weight_decay=0.5, decay="independent"))


def test_limits_of_decay_alone():
    """Decay that grows with lr has a limit even where the loss is flat: lr wd < 2; any other lets every lr or none."""
    assert stability.largest_lr_heavy_ball(0.0, 0.9, per_lr=0.5) == pytest.approx(4.0)
    assert stability.largest_lr_nesterov(0.0, 0.9, per_lr=0.5) == pytest.approx(4.0)
    assert math.isinf(stability.largest_lr_heavy_ball(0.0, 0.9, per_step=0.5))
    assert stability.largest_lr_heavy_ball(0.0, 0.9, per_step=2.5) == 0.0
    assert stability.largest_curvature_heavy_ball(0.0, 0.9, decoupled=2.5) == -math.inf


def test_other_batch_sizes_mark_where_decay_is_too_strong_to_scale():
    """Decay .3 a step is 2.4 at eight times the batch, which grows: the row is marked; a slow decay's never is."""
    strong = Settings(lr=0.1, momentum=0.9, weight_decay=0.3, decay="independent")
    assert not downslope.explain(strong).batches[-1].decay_kept
    assert "decay is too strong beside the velocity for this" in text_of(strong)
    slow = Settings(lr=0.1, momentum=0.9, weight_decay=5e-5)
    assert all(row.decay_kept and row.decay_kept_scaled for row in downslope.explain(slow).batches)
