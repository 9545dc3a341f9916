"""Effective lr, memory of the velocity, decay timescales and conversions, each against the rule run step by step."""

from __future__ import annotations

import itertools
import math

import pytest

import downslope
from downslope import Settings
from downslope.core.rule import sgd_rule
from downslope.schedules import MultiStep
from downslope.theory import forgetting, velocity
from simulations import run

GAINS = [
    {"momentum": 0.0},
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.99},
    {"momentum": 0.8, "dampening": 0.8},
    {"momentum": 0.8, "dampening": 0.3, "nesterov": True},
    {"momentum": 0.9, "lr_in_velocity": True},
    {"momentum": 0.8, "dampening": 0.8, "nu": 0.7},
    {"momentum": 0.8, "nu": 0.4},
    {"momentum": 0.9, "nesterov": True, "lr_in_velocity": True},
]


@pytest.mark.parametrize("how", GAINS, ids=str)
def test_effective_lr_is_what_a_constant_gradient_moves_in_the_long_run(how):
    """After 4000 steps under a gradient of 1, each step moves by the effective lr."""
    settings = Settings(lr=0.05, **how)
    path = run(settings, lambda param, step: 1.0, 4000)
    form = {"nesterov": settings.nesterov, "nu": settings.nu}
    gain = velocity.effective_lr(0.05, settings.momentum, settings.dampening, **form)
    assert path[-2] - path[-1] == pytest.approx(gain, rel=1e-9)


def test_dampening_equal_to_momentum_leaves_lr_itself():
    """By hand: lr 0.1 with momentum 0.9 has effective lr 1; dampened by 0.9, 0.1 again."""
    assert velocity.effective_lr(0.1, 0.9) == pytest.approx(1.0)
    assert velocity.effective_lr(0.1, 0.9, 0.9) == pytest.approx(0.1)


@pytest.mark.parametrize("momentum", [0.5, 0.9, 0.99])
def test_velocity_forgets_by_half_life_and_horizon(momentum):
    """One gradient and then none: the velocity is halved per half-life, and its sum is the horizon."""
    scalars = Settings(lr=1.0, momentum=momentum).at(0)
    path = run(Settings(lr=1.0, momentum=momentum), lambda param, step: 1.0 if step == 0 else 0.0, 4000)
    moves = [before - after for before, after in itertools.pairwise(path)]
    assert sum(moves) == pytest.approx(velocity.velocity_horizon(momentum), rel=1e-9)
    steps = round(10 * velocity.velocity_half_life(momentum))
    assert moves[steps] == pytest.approx(0.5 ** (steps / velocity.velocity_half_life(momentum)), rel=1e-9)
    assert scalars.momentum == momentum


DECAYS = [
    ({"decay": "coupled", "momentum": 0.9}, lambda: forgetting.timescale_coupled(0.01, 0.9, 1e-4)),
    ({"decay": "coupled", "momentum": 0.9, "nesterov": True}, lambda: forgetting.timescale_coupled(0.01, 0.9, 1e-4)),
    (
        {"decay": "coupled", "momentum": 0.9, "dampening": 0.5},
        lambda: forgetting.timescale_coupled(0.01, 0.9, 1e-4, 0.5),
    ),
    ({"decay": "coupled"}, lambda: forgetting.timescale_coupled(0.01, 0.0, 1e-4)),
    ({"decay": "decoupled", "momentum": 0.9}, lambda: forgetting.timescale_decoupled(0.01, 1e-4)),
    ({"decay": "independent", "momentum": 0.9}, lambda: forgetting.timescale_independent(1e-4)),
    ({"decay": "relative", "momentum": 0.9}, lambda: forgetting.timescale_relative(0.01, 0.01, 1e-4)),
    ({"decay": "corrected", "momentum": 0.9}, lambda: forgetting.timescale_corrected(0.01, 0.01, 1e-4)),
]


@pytest.mark.parametrize(("how", "formula"), DECAYS, ids=[str(how) for how, _ in DECAYS])
def test_decay_timescale_is_when_weights_are_down_to_1_over_e(how, formula):
    """Without gradients a weight shrinks by e over one timescale: by the rule, within 0.1 %."""
    settings = Settings(lr=0.01, weight_decay=1e-4, **how)
    timescale = formula()
    assert timescale == pytest.approx(forgetting.timescale(settings.at(0)), rel=1e-12)
    path = run(settings, lambda param, step: 0.0, 22_020)  # any stretch after the first steps gives the slow rate
    assert 20_000 / -math.log(path[-1] / path[2020]) == pytest.approx(timescale, rel=1e-3)


def test_timescales_at_another_lr_than_the_first():
    """Relative and corrected decay divide by the initial and the largest lr, as the rule's own scalars do."""
    lr = MultiStep(0.4, factor=0.25, milestones=[10])
    for decay, expected in (
        ("relative", forgetting.timescale_relative(0.1, 0.4, 0.01)),
        ("corrected", forgetting.timescale_corrected(0.1, 0.4, 0.01)),
    ):
        settings = Settings(lr=lr, momentum=0.9, weight_decay=0.01, decay=decay)
        assert forgetting.timescale(settings.at(20)) == pytest.approx(expected, rel=1e-12)


def test_nothing_decays_without_decay():
    """Without weight decay, or at lr 0, weights never forget: infinity, no division by zero."""
    assert math.isinf(forgetting.timescale(Settings(lr=0.1, momentum=0.9).at(0)))
    assert math.isinf(forgetting.timescale_coupled(0.0, 0.9, 5e-4))
    assert math.isinf(forgetting.timescale_relative(0.0, 0.0, 0.1))
    assert math.isinf(forgetting.timescale_corrected(0.0, 0.0, 0.1))


def test_a_decoupled_equivalent_forgets_as_fast():
    """wd / (1 - momentum), decoupled, takes a weight as far down as wd, coupled: within 0.2 % of the way."""
    coupled = Settings(lr=0.02, momentum=0.9, weight_decay=5e-4)
    decoupled = Settings(
        lr=0.02, momentum=0.9, weight_decay=forgetting.decoupled_equivalent(5e-4, 0.9), decay="decoupled"
    )
    ends = [math.log(run(settings, lambda param, step: 0.0, 20_000)[-1]) for settings in (coupled, decoupled)]
    assert ends[0] == pytest.approx(ends[1], rel=2e-3)
    assert ends[1] == pytest.approx(-2, rel=2e-3)


def test_copied_to_keras_weight_decay_it_is_ten_times_weaker():
    """WRN's 5e-4: 5.1 epochs coupled, 51 if the same number is decoupled."""
    per_epoch = 50_000 / 128
    coupled = forgetting.in_epochs(forgetting.timescale_coupled(0.1, 0.9, 5e-4), per_epoch)
    copied = forgetting.in_epochs(forgetting.timescale_decoupled(0.1, 5e-4), per_epoch)
    assert (round(coupled, 1), round(copied)) == (5.1, 51)


def test_keras_l2_adds_the_same_gradient():
    """The derivative of l x^2 is wd x for l = wd / 2."""
    strength, at = forgetting.keras_l2(5e-4), 1.7
    slope = (strength * (at + 1e-4) ** 2 - strength * (at - 1e-4) ** 2) / 2e-4
    assert slope == pytest.approx(5e-4 * at, rel=1e-9)


def test_lr_inside_the_velocity_parts_from_outside_and_the_correction_mends_it():
    """Momentum 0.9, grad 1, lr 0.1, then 0.01 from the third step: outside ends at .6485, inside at .3561."""
    lr = MultiStep(0.1, factor=0.1, milestones=[2])
    outside = run(Settings(lr=lr, momentum=0.9), lambda param, step: 1.0, 4)
    inside = run(Settings(lr=lr, momentum=0.9, lr_in_velocity=True), lambda param, step: 1.0, 4)
    assert outside[1:] == pytest.approx([0.9, 0.71, 0.6829, 0.64851], abs=1e-9)
    assert inside[1:] == pytest.approx([0.9, 0.71, 0.529, 0.3561], abs=1e-9)
    settings, param, moving = Settings(lr=lr, momentum=0.9, lr_in_velocity=True), 1.0, 0.0
    mended = []
    for step in range(4):
        if step:
            moving *= velocity.velocity_correction(lr(step - 1), lr(step))
        delta, moving = sgd_rule(param, 1.0, moving, settings.at(step))
        param += delta
        mended.append(param)
    assert mended == pytest.approx(outside[1:], abs=1e-12)


@pytest.mark.parametrize(
    ("how", "way"),
    [
        ({"weight_decay": 1e-3}, "fades"),
        ({"weight_decay": 0.98}, "swings"),
        ({"weight_decay": 29.6, "momentum": 0.5}, "jumps"),
        ({"weight_decay": 50.0, "momentum": 0.5}, "grows"),
        ({"weight_decay": 0.9, "decay": "independent"}, "at once"),
        ({}, "stays"),
    ],
    ids=str,
)
def test_memory_tells_what_a_weight_without_gradients_does(how, way):
    """From rest, by the rule's own steps: until when more than 1/e is left, and on which side of 0 it is."""
    settings = Settings(**{"lr": 0.1, "momentum": 0.9} | how)
    found = forgetting.memory(settings.at(0))
    path = run(settings, lambda param, step: 0.0, 2000)
    assert found.way == way
    assert (min(path) < 0) == (way in {"swings", "jumps", "grows"})
    if way in {"fades", "swings", "jumps", "at once"}:
        last = max(step for step, left in enumerate(path) if abs(left) > math.exp(-1))
        assert found.steps == pytest.approx(last + 1, abs=0 if way != "fades" else 1 + 0.01 * last)
    else:
        assert found.steps == math.inf


def test_decay_of_2_jumps_for_ever():
    """1, -1, 1, ...: neither forgotten nor growing, and no balance of any kind is stated."""
    explained = downslope.explain(Settings(lr=0.1, weight_decay=2.0, decay="independent"), batch_size=8, examples=80)
    assert (explained.memory.way, explained.memory.steps, explained.memory.rate) == ("jumps", math.inf, 1.0)
    assert "jump from one side of 0 to the other for ever" in str(explained)
    assert "rotation_per_step" not in explained
