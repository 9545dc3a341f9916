"""The five ways of weight decay and the place of lr, worked by hand with numbers."""

from __future__ import annotations

import pytest

from downslope import Settings
from downslope.core.rule import sgd_rule
from downslope.schedules import Constant, Cosine, Linear, MultiStep, OneCycle, Warmup

EXACT = pytest.approx


def walk(settings, grads, param=1.0, start=0):
    """Return the parameter after each gradient, on plain Python floats."""
    velocity, path = 0.0, []
    for step, grad in enumerate(grads, start):
        delta, velocity = sgd_rule(param, grad, velocity, settings.at(step, first=step == start))
        param += delta
        path.append(param)
    return path


HALVED = MultiStep(0.4, 0.5, (1,))  # lr .4 at step 0, .2 from step 1 on


@pytest.mark.parametrize(
    ("decay", "after_step_0", "after_step_1"),
    [
        # From 2 with no gradient, no momentum, weight decay .1: what is taken off, as a multiple of param.
        ("coupled", 2 * (1 - 0.4 * 0.1), 2 * (1 - 0.04) * (1 - 0.2 * 0.1)),
        ("decoupled", 2 * (1 - 0.4 * 0.1), 2 * (1 - 0.04) * (1 - 0.2 * 0.1)),
        ("independent", 2 * (1 - 0.1), 2 * (1 - 0.1) * (1 - 0.1)),
        ("relative", 2 * (1 - 0.1), 2 * (1 - 0.1) * (1 - 0.5 * 0.1)),
        ("corrected", 2 * (1 - 0.4 * 0.1), 2 * (1 - 0.04) * (1 - 0.04 / 0.4 * 0.1)),
    ],
)
def test_decay_without_momentum(decay, after_step_0, after_step_1):
    """Each way of decay, on its own, at two learning rates."""
    path = walk(Settings(lr=HALVED, weight_decay=0.1, decay=decay), [0.0, 0.0], param=2.0)
    assert path == EXACT([after_step_0, after_step_1], rel=1e-15)


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        # lr .1, momentum .5, weight decay .2, g = 1 twice, from p = 1.
        # coupled: v = 1.2, p = .88; v = .6 + 1 + .176 = 1.776, p = .7024
        ("coupled", [0.88, 0.7024]),
        # decoupled: v = 1, p = 1 - .1 - .02 = .88; v = 1.5, p = .88 - .15 - .0176 = .7124
        ("decoupled", [0.88, 0.7124]),
        # independent: p = 1 - .1 - .2 = .7; p = .7 - .15 - .14 = .41
        ("independent", [0.7, 0.41]),
    ],
)
def test_decay_with_momentum(decay, expected):
    """With momentum, coupled decay is remembered by the velocity; the others are not."""
    path = walk(Settings(lr=0.1, momentum=0.5, weight_decay=0.2, decay=decay), [1.0, 1.0])
    assert path == EXACT(expected, rel=1e-14)


def test_decay_uses_the_parameter_before_the_step():
    """Every decay multiplies the parameter as it was before the step, as torch, Keras and timm do."""
    assert walk(Settings(lr=1.0, weight_decay=0.5, decay="decoupled"), [1.0]) == [1.0 - 1.0 - 0.5]


def test_coupled_and_decoupled_agree_without_momentum_only():
    """Without momentum the two are one rule, with it they part at the second step."""
    grads = [1.0, -0.5, 0.25]
    for momentum, same in ((0.0, True), (0.5, False)):
        coupled, decoupled = (
            walk(Settings(lr=0.1, momentum=momentum, weight_decay=0.2, decay=decay), grads)
            for decay in ("coupled", "decoupled")
        )
        assert (coupled == EXACT(decoupled, rel=1e-14)) == same


def test_the_divergence_that_bites():
    """lr outside and inside the velocity walk together until lr drops: momentum .9, g = 1, lr .1 then .01."""
    drop = MultiStep(0.1, 0.1, (2,))
    outside = walk(Settings(lr=drop, momentum=0.9), [1.0] * 4)
    inside = walk(Settings(lr=drop, momentum=0.9, lr_in_velocity=True), [1.0] * 4)
    assert outside == EXACT([0.9, 0.71, 0.6829, 0.64851], rel=1e-14)
    assert inside == EXACT([0.9, 0.71, 0.529, 0.3561], rel=1e-14)


def test_maximize_flips_the_gradient_and_not_the_decay():
    """Ascent climbs the gradient while weights still shrink, in every way of decay."""
    for decay in ("coupled", "decoupled"):
        assert walk(Settings(lr=0.1, weight_decay=0.5, decay=decay, maximize=True), [1.0]) == EXACT([1.0 + 0.1 - 0.05])


def test_relative_divides_by_what_the_warmup_leads_to():
    """lr_initial is the peak of a warmup, not its start: at full lr the decay is weight_decay itself."""
    settings = Settings(lr=Warmup(4, Cosine(0.1, 0.0, 10)), weight_decay=0.01, decay="relative")
    assert settings.lr_initial == 0.1
    assert [settings.at(step).decoupled_decay for step in (0, 2, 4)] == EXACT([0.0, 0.005, 0.01])


def test_corrected_divides_by_the_largest_lr():
    """lr_max is the largest value of the schedule, so the decay at the peak is lr * weight_decay."""
    settings = Settings(lr=OneCycle(0.5, 10), weight_decay=0.01, decay="corrected")
    assert settings.lr_max == 0.5
    assert settings.at(3).decoupled_decay == EXACT(0.5 * 0.01)
    assert settings.at(0).decoupled_decay == EXACT((0.5 / 25) ** 2 / 0.5 * 0.01)


def test_corrected_after_an_empty_warmup_ignores_its_start():
    """A warmup of no steps never takes its start value, which then is no largest lr either."""
    assert Settings(lr=Warmup(0, Constant(0.1), start=5.0), weight_decay=0.1, decay="corrected").lr_max == 0.1


def test_scheduled_decay_is_read_at_its_step():
    """A schedule on weight_decay is used at the step's own value, zero included."""
    settings = Settings(lr=0.1, weight_decay=Linear(0.2, 0.0, 2), decay="decoupled")
    assert [settings.at(step).decoupled_decay for step in range(4)] == EXACT([0.02, 0.01, 0.0, 0.0])


def test_decay_of_zero_needs_no_reference():
    """Where nothing decays nothing is divided: any lr will do."""
    for decay in ("relative", "corrected"):
        for none in (0.0, Constant(0.0)):
            assert Settings(lr=0.0, weight_decay=none, decay=decay).at(0).decoupled_decay == 0.0
