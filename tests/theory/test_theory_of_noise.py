"""What noise does: rotational equilibrium by random walks, and batch sizes by walks of many particles."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
import pytest

from downslope import Settings
from downslope.core.rule import sgd_rule
from downslope.theory import FORMULAS, batch, forgetting, rotation, velocity
from simulations import random_walk, random_walks

WALKS = [
    ({"momentum": 0.9}, lambda lr, wd, mu: (lr / (2 * wd * (1 - mu)), 2 * lr * wd / (1 + mu))),
    (
        {"momentum": 0.9, "decay": "decoupled"},
        lambda lr, wd, mu: (lr / (2 * wd * (1 - mu) ** 2), 2 * lr * wd * (1 - mu) / (1 + mu)),
    ),
    (
        {"momentum": 0.9, "nesterov": True},
        lambda lr, wd, mu: (
            lr / (2 * wd * (1 - mu)),
            2 * lr * wd * (1 - mu) * ((1 + mu) ** 2 + mu**4 / (1 - mu**2)),
        ),
    ),
]


def _expected(settings):
    scalars = settings.at(0)
    gain = velocity.gain_of(scalars)
    forgotten = forgetting.forgotten_per_step(scalars)
    form = {"nesterov": scalars.nesterov, "nu": scalars.nu}
    return (
        rotation.equilibrium_norm(gain, forgotten) ** 4,
        rotation.rotation_per_step(scalars.momentum, forgotten, scalars.dampening, **form) ** 2,
    )


@pytest.mark.parametrize(("how", "formula"), WALKS, ids=[str(how) for how, _ in WALKS])
def test_the_general_formula_has_the_known_cases(how, formula):
    """Heavy ball coupled and decoupled and Nesterov coupled, as published, are the general formula exactly."""
    expected = formula(0.1, 1e-3, 0.9)
    assert _expected(Settings(lr=0.1, weight_decay=1e-3, **how)) == pytest.approx(expected, rel=1e-12)


NEAR_EQUILIBRIUM = [
    {"momentum": 0.9, "weight_decay": 5e-4},
    {"momentum": 0.9, "weight_decay": 5e-3, "decay": "decoupled"},
    {"momentum": 0.9, "weight_decay": 5e-4, "nesterov": True},
    {"momentum": 0.9, "weight_decay": 5e-3, "nesterov": True, "decay": "decoupled"},
    {"momentum": 0.9, "weight_decay": 1e-3, "dampening": 0.5},
    {"momentum": 0.0, "weight_decay": 5e-3},
    {"momentum": 0.9, "weight_decay": 5e-3, "dampening": 0.9, "nu": 0.7},
]


@functools.cache
def _walked():
    """Return what was seen on each walk: all go by the same random numbers, which are drawn once."""
    walks = []
    for how in NEAR_EQUILIBRIUM:
        settings = Settings(lr=0.1, **how)
        timescale = forgetting.timescale(settings.at(0))
        walks.append((settings, round(4 * timescale), round(2 * timescale), _expected(settings)[0] ** 0.25))
    return random_walks(walks, strength=1.0)


@pytest.mark.slow
@pytest.mark.parametrize("which", range(len(NEAR_EQUILIBRIUM)), ids=lambda which: str(NEAR_EQUILIBRIUM[which]))
def test_random_walks_settle_at_the_norm_and_turn_by_the_angle(which):
    """20,000 dimensions over four timescales from near equilibrium: norm and angle within 0.2 %."""
    fourth, squared = _expected(Settings(lr=0.1, **NEAR_EQUILIBRIUM[which]))
    seen_fourth, seen_squared = _walked()[which]
    assert seen_fourth**0.25 == pytest.approx(fourth**0.25, rel=2e-3)
    assert math.sqrt(seen_squared) == pytest.approx(math.sqrt(squared), rel=2e-3)


def test_a_walk_from_elsewhere_comes_to_the_same_norm():
    """From twice the norm, after eight timescales: equilibrium does not depend on where one starts."""
    settings = Settings(lr=0.1, momentum=0.5, weight_decay=0.05)
    norm = rotation.equilibrium_norm(0.2, 0.01)
    fourth, _ = random_walk(settings, strength=1.0, steps=800, burn_in=600, dimensions=5000, start=2 * norm)
    assert fourth**0.25 == pytest.approx(norm, rel=0.01)


def test_at_equilibrium_gradients_have_the_stated_length_and_grow_as_lr_falls():
    """|grad| / |param| = G / |param|^2 at the equilibrium norm; sqrt(2 wd / lr) without momentum."""
    gain, forgotten = 0.5, 0.5 * 1e-3
    norm = rotation.equilibrium_norm(gain, forgotten, gradient=3.0)
    assert rotation.equilibrium_gradient_ratio(gain, forgotten) == pytest.approx(3.0 / norm**2, rel=1e-12)
    assert rotation.equilibrium_gradient_ratio(0.5, 0.5 * 1e-3) == pytest.approx(math.sqrt(2 * 1e-3 / 0.5), rel=1e-12)
    ratios = []
    for lr in (0.1, 0.01):
        scalars = Settings(lr=lr, momentum=0.9, weight_decay=1e-3).at(0)
        ratios.append(rotation.equilibrium_gradient_ratio(10 * lr, forgetting.forgotten_per_step(scalars)))
    assert ratios[1] / ratios[0] == pytest.approx(math.sqrt(10))
    corrected = [rotation.equilibrium_gradient_ratio(10 * lr, lr * lr / 0.1 * 1e-3) for lr in (0.1, 0.01)]
    assert corrected[0] == pytest.approx(corrected[1])


def _spread(settings, batch_size, examples, walkers=20_000, seed=0):
    """Return mean and variance over walkers after `examples`: gradient 0.02 with noise of variance 1 / batch size."""
    rng = np.random.default_rng(seed)
    scalars, param, moving = settings.at(0), np.ones(walkers), np.zeros(walkers)
    for _ in range(examples // batch_size):
        grad = 0.02 + rng.standard_normal(walkers) / math.sqrt(batch_size)
        delta, moving = sgd_rule(param, grad, moving, scalars)
        param = param + delta
    return param.mean(), param.var()


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum_kept", [True, False])
def test_converted_to_another_batch_size_training_drifts_and_spreads_the_same(momentum_kept, nesterov):
    """From batch 8 to 32 with decay: after as many examples, mean and variance agree within what is left of steps."""
    old = Settings(lr=0.01, momentum=0.9, nesterov=nesterov, weight_decay=5e-2)
    momentum = 0.9 if momentum_kept else batch.momentum_for_batch(0.9, 4)
    lr = batch.lr_for_batch(0.01, 4) if momentum_kept else batch.lr_for_batch_and_momentum(0.01, 0.9, 4)
    new = Settings(lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=5e-2)
    before, after = _spread(old, 8, 16_000), _spread(new, 32, 16_000, seed=1)
    assert after[0] == pytest.approx(before[0], abs=0.02)
    assert after[1] == pytest.approx(before[1], rel=0.05)


def test_conversions_keep_what_they_promise():
    """Effective lr per example, decay in epochs and, in one of them, the half-life in examples, for every decay."""
    for decay in ("coupled", "decoupled", "independent", "relative", "corrected"):
        for factor in (0.25, 4):
            for kept in (True, False):
                momentum = 0.9 if kept else batch.momentum_for_batch(0.9, factor)
                lr = batch.lr_for_batch(0.1, factor) if kept else batch.lr_for_batch_and_momentum(0.1, 0.9, factor)
                weight_decay = batch.weight_decay_for_batch(1e-3, decay, factor, lr / 0.1)
                old = Settings(lr=0.1, momentum=0.9, weight_decay=1e-3, decay=decay).at(0)
                new = Settings(lr=lr, momentum=momentum, weight_decay=weight_decay, decay=decay).at(0)
                assert velocity.effective_lr(lr, momentum) / factor == pytest.approx(velocity.effective_lr(0.1, 0.9))
                assert forgetting.timescale(new) * factor == pytest.approx(forgetting.timescale(old))
                if not kept:
                    half_lives = [velocity.velocity_half_life(mu) for mu in (0.9, momentum)]
                    assert half_lives[1] * factor == pytest.approx(half_lives[0])


def test_by_the_square_root_the_noise_of_a_step_is_as_large():
    """lr^2 / B, the variance that a step's noise adds, stays; an average's half-life in examples stays."""
    for factor in (0.25, 4, 9):
        assert batch.lr_for_batch_sqrt(0.1, factor) ** 2 / factor == pytest.approx(0.1**2, rel=1e-14)
        kept = [velocity.velocity_half_life(ema) for ema in (0.99, batch.average_for_batch(0.99, factor))]
        assert kept[1] * factor == pytest.approx(kept[0], rel=1e-12)
        gain = batch.lr_for_batch_sqrt(1.0, factor)
        weight_decay = batch.weight_decay_for_batch(1e-3, "coupled", factor, gain, gain)
        pairs = ((0.1, 1e-3), (0.1 * gain, weight_decay))
        old, new = (Settings(lr=lr, momentum=0.5, weight_decay=strength).at(0) for lr, strength in pairs)
        assert forgetting.timescale(new) * factor == pytest.approx(forgetting.timescale(old), rel=1e-12)


def test_no_formula_is_without_its_test():
    """Each formula's function is called by one of the files that hold the theory against the rule."""
    calls = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_theory_of_*.py"))
    assert not [name for name in FORMULAS if f".{name}" not in calls]


def test_with_small_batches_momentum_is_plain_sgd_at_the_effective_lr():
    """Noise outweighing the gradient: mean and variance of SGD and SGDM agree at equal effective lr."""
    momentum = _spread(Settings(lr=0.01, momentum=0.9), 1, 2000)
    plain = _spread(Settings(lr=0.1), 1, 2000, seed=1)
    assert momentum[0] == pytest.approx(plain[0], abs=0.15)
    assert momentum[1] == pytest.approx(plain[1], rel=0.04)
