"""The equations on a page are the rule: evaluated as printed, they do what the rule does."""

from __future__ import annotations

import itertools
import re

import pytest

from downslope import Settings
from downslope.core.rule import sgd_rule
from downslope.core.rule_text import equations
from downslope.core.schedules import Cosine, Linear
from downslope.core.settings import DECAYS
from downslope.core.tensor_factors import factors_of

SETTINGS = [
    Settings(lr=0.1, **momentum, decay=decay, weight_decay=weight_decay, lr_in_velocity=inside, maximize=up)
    for momentum, decay, weight_decay, inside, up in itertools.product(
        (
            {},
            {"momentum": 0.9},
            {"momentum": 0.75, "nesterov": True},
            {"momentum": 0.5, "dampening": 0.25},
            {"momentum": 0.5, "dampening": 0.5, "nesterov": True},
        ),
        DECAYS,
        (0.0, 0.125),
        (False, True),
        (False, True),
    )
]


def evaluate(settings, param, grad, velocity, **more):
    """Do what the printed equations say, as a reader would."""
    names = {"param": param, "grad": grad, "velocity": velocity, "lr": settings.at(3).lr, **more}
    for left, right in equations(settings):
        code = right.replace("\N{MINUS SIGN}", "-").replace("\N{MIDDLE DOT}", "*")
        assert re.fullmatch(r"[\w\s.*/+()-]+", code)
        names[left] = eval(code, {}, names)  # noqa: S307  # only the signs and names just checked
    return names


@pytest.mark.parametrize("settings", SETTINGS, ids=repr)
def test_printed_equations_are_the_rule(settings):
    """For every way of momentum, decay and lr, the printed lines give the rule's param and velocity."""
    param, grad, velocity = 1.7, -0.6, 0.4
    after = evaluate(settings, param, grad, velocity)
    delta, new_velocity = sgd_rule(param, grad, velocity, settings.at(3))
    assert after["param"] == pytest.approx(param + delta, rel=1e-12)
    if settings.momentum:
        assert after["velocity"] == pytest.approx(new_velocity, rel=1e-12)


def test_scheduled_momentum_and_decay_keep_their_names():
    """What a schedule moves stands as a name, not as the number of some step."""
    settings = Settings(lr=0.1, momentum=Linear(0.5, 0.9, 10), weight_decay=Cosine(0.5, 0.25, 10))
    text = " ".join(right for _, right in equations(settings))
    assert "momentum" in text
    assert "weight_decay" in text
    now = settings.at(3)
    after = evaluate(settings, 1.7, -0.6, 0.4, momentum=now.momentum, weight_decay=now.coupled_decay)
    assert after["param"] == pytest.approx(1.7 + sgd_rule(1.7, -0.6, 0.4, now)[0], rel=1e-12)


@pytest.mark.parametrize("decay", ["coupled", "decoupled"])
@pytest.mark.parametrize(
    "factors",
    [{"trust_coefficient": 0.25}, {"adaptive_clip": 0.125}, {"trust_coefficient": 0.25, "adaptive_clip": 0.125}],
    ids=str,
)
def test_factors_of_each_tensor_have_names(factors, decay):
    """With the trust ratio and the clipping of a tensor in their places, the lines give LARS's step of it."""
    settings = Settings(lr=0.1, momentum=0.75, nesterov=True, weight_decay=0.5, decay=decay, **factors)
    param, grad, velocity, chosen = 1.7, -0.6, 0.4, factors_of(settings)
    clip = min(1.0, 0.125 * abs(param) / abs(grad)) if "adaptive_clip" in factors else 1.0
    decayed = clip * abs(grad) + (0.5 * abs(param) if decay == "coupled" else 0.0)
    ratio = 0.25 * abs(param) / decayed if "trust_coefficient" in factors else 1.0
    after = evaluate(settings, param, grad, velocity, ratio=ratio, clip=clip)
    delta, new_velocity = sgd_rule(param, grad, velocity, chosen.of(settings.at(3), abs(grad), abs(param)))
    assert after["param"] == pytest.approx(param + delta, rel=1e-12)
    assert after["velocity"] == pytest.approx(new_velocity, rel=1e-12)
    text = " ".join(right for _, right in equations(settings))
    assert ("ratio" in text, "clip" in text) == ("trust_coefficient" in factors, "adaptive_clip" in factors)


def test_plain_sgd_is_one_line():
    """Nothing is printed that is switched off."""
    assert equations(Settings(lr=0.1)) == [("param", "param \N{MINUS SIGN} lr \N{MIDDLE DOT} grad")]
