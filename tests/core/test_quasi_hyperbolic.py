"""Quasi-hyperbolic momentum against the paper's own equations (Ma & Yarats 2019, 3 and 4), in float64."""

from __future__ import annotations

import numpy as np
import pytest

from downslope import Settings, compare, update_matrix
from downslope.core.errors import SettingsError
from downslope.core.rule import sgd_rule
from downslope.numpy import SGD

STEPS = 30


def by_the_paper(params, grads, alpha, beta, nu, *, coupled=0.0, decoupled=0.0):
    """Return the parameters after all gradients: g <- beta g + (1 - beta) grad; p <- p - alpha ((1 - nu) grad + nu g).

    Weight decay as qhoptim has it: added to the gradient ("grad"), or p <- (1 - alpha decay) p first ("direct").
    """
    buffer = np.zeros_like(params)
    for grad in grads:
        grad = grad + coupled * params  # noqa: PLW2901
        params = (1 - alpha * decoupled) * params
        buffer = beta * buffer + (1 - beta) * grad
        params = params - alpha * ((1 - nu) * grad + nu * buffer)
    return params


def drawn(seed):
    """Return numbers of a run: a start, gradients, and (alpha, beta, nu, decay)."""
    chance = np.random.default_rng(seed)
    numbers = 10 ** chance.uniform(-3, 0.5), chance.uniform(0.05, 0.999), chance.uniform(), 10 ** chance.uniform(-4, -1)
    return chance.standard_normal(7), chance.standard_normal((STEPS, 7)), numbers


def as_the_paper(alpha, beta, nu, **decay):
    """Return our settings of the paper's."""
    return Settings(lr=alpha, momentum=beta, nu=nu, dampening=beta, undampened_first_step=False, **decay)


@pytest.mark.parametrize("decay", ["", "coupled", "decoupled"])
def test_hundreds_of_random_settings_are_the_paper(decay):
    """By the rule, and by the optimizer, whichever way it steps: to 1e-12 of the largest after 30 steps."""
    for seed in range(150):
        params, grads, (alpha, beta, nu, strength) = drawn(seed)
        kinds = {decay: strength} if decay else {}
        wanted = by_the_paper(params, grads, alpha, beta, nu, **kinds)
        settings = as_the_paper(alpha, beta, nu, **({"weight_decay": strength, "decay": decay} if decay else {}))
        one, velocity = params, np.zeros_like(params)
        optimizers = [SGD({"p": params.copy()}, settings=settings, fused=fused) for fused in (None, False)]
        for step, grad in enumerate(grads):
            delta, velocity = sgd_rule(one, grad, velocity, settings.at(step, first=step == 0))
            one = one + delta
            for optimizer in optimizers:
                optimizer.step({"p": grad})
        bound = 1e-12 * max(1.0, np.abs(wanted).max())
        for found in (one, *(optimizer.params["p"] for optimizer in optimizers)):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=bound)


def test_two_steps_by_hand():
    """alpha 1, beta 1/2, nu 1/2, gradients 1 and 2: steps of 1/2 + 1/4, then 1 + (1/4 + 1) / 2."""
    optimizer = SGD({"p": np.array([0.0])}, settings=as_the_paper(1.0, 0.5, 0.5))
    optimizer.step({"p": np.array([1.0])})
    assert optimizer.params["p"] == -0.75
    optimizer.step({"p": np.array([2.0])})
    assert optimizer.params["p"] == -0.75 - 1.625


def test_what_it_holds():
    """nu 1 is plain momentum; 0 plain SGD; nu = momentum, dampened alike, Nesterov at lr (1 - momentum)."""
    plain = Settings(lr=0.1, momentum=0.9, weight_decay=0.01)
    assert Settings(lr=0.1, momentum=0.9, weight_decay=0.01, nu=1.0) == plain
    assert Settings(lr=0.1, momentum=0.9, nu=1).nu is None
    assert compare(Settings(lr=0.1, momentum=0.9, nu=0.0), Settings(lr=0.1), steps=20).same
    assert compare(as_the_paper(1.0, 0.75, 0.75), Settings(lr=0.25, momentum=0.75, nesterov=True), steps=20).same
    assert not compare(as_the_paper(1.0, 0.9, 0.7), Settings(lr=0.1, momentum=0.9, nesterov=True), steps=20).same


def test_its_matrix_by_hand():
    """lr 1/2, momentum 3/4, nu 1/2, weight decay 1/4: half of the decayed gradient, and half of the new velocity."""
    settings = Settings(lr=0.5, momentum=0.75, nu=0.5, weight_decay=0.25)
    assert update_matrix(settings).tolist() == [[-0.125, -0.5, -0.1875], [0.25, 1.0, 0.75]]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"nu": 0.5}, "`nu` needs momentum; got nu=0.5 with momentum=0. "),
        ({"nu": 1.5, "momentum": 0.9}, "`nu` must be in [0, 1]; got 1.5. "),
        ({"nu": float("nan"), "momentum": 0.9}, "`nu` must be finite"),
        ({"nu": "0.7", "momentum": 0.9}, "`nu` must be a number; got '0.7' of type str."),
        ({"nu": 0.5, "momentum": 0.9, "nesterov": True}, "`nu` and `nesterov` are two forms of momentum"),
    ],
)
def test_what_is_not_allowed(how, message):
    """Each is one sentence."""
    with pytest.raises(SettingsError) as caught:
        Settings(lr=0.1, **how)
    assert str(caught.value).startswith(message)


def test_qhoptim_says_every_form_of_momentum():
    """Plain, Nesterov's and quasi-hyperbolic momentum, dampened or not, read back, are the same rule."""
    for momentum, nesterov, nu in ((0.9, False, None), (0.9, True, None), (0.5, False, 0.3), (0.0, False, None)):
        for dampening, decay in ((0.0, "coupled"), (0.4, "decoupled")):
            settings = Settings(
                lr=0.1,
                momentum=momentum,
                nesterov=nesterov,
                nu=nu,
                dampening=dampening if momentum else 0.0,
                undampened_first_step=False,
                weight_decay=0.01,
                decay=decay,
            )
            read = Settings.from_convention("qhoptim", **settings.to_convention("qhoptim"))
            assert compare(settings, read, steps=20).same
