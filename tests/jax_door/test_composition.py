"""`downslope.jax.sgd` inside optax's other transformations, and equal to optax's own where that computes the same."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax_runs import apply, case_grads, case_params, flat

from cases import CASES
from downslope import Group
from downslope.core.errors import SettingsError
from downslope.jax import sgd
from downslope.schedules import Cosine, Exponential, Linear

CASE = next(case for case in CASES if case.name == "nesterov-coupled")
STEPS = 30


def run(optimizer, *, steps=STEPS, dtype=jnp.float32, grads=None):
    """Take compiled steps; return parameters and state."""

    @jax.jit
    def step(params, state, grads):
        updates, state = optimizer.update(grads, state, params)
        return apply(params, updates), state

    params = case_params(dtype)
    state = jax.jit(optimizer.init)(params)
    for t in range(steps):
        params, state = step(params, state, (grads or (lambda t: case_grads(CASE, t, dtype)))(t))
    return params, state


def assert_close(ours, theirs, rtol=2e-6):
    """Assert that two trees agree, relative to the largest number of each leaf."""
    for name, leaf in flat(theirs).items():
        scale = float(np.abs(leaf).max()) if leaf.size else 0.0
        np.testing.assert_allclose(flat(ours)[name], leaf, rtol=rtol, atol=rtol * scale, err_msg=name)


def negated(t):
    """Return the case's gradients, negated."""
    return jax.tree.map(jnp.negative, case_grads(CASE, t, jnp.float32))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (sgd(0.1), optax.sgd(0.1)),
        (sgd(0.1, 0.9), optax.sgd(0.1, momentum=0.9)),
        (sgd(0.1, 0.9, nesterov=True), optax.sgd(0.1, momentum=0.9, nesterov=True)),
        (
            sgd(0.1, 0.9, nesterov=True, weight_decay=5e-4),
            optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(0.1, momentum=0.9, nesterov=True)),
        ),
        (
            sgd(0.1, 0.9, weight_decay=0.05, decay="decoupled"),
            optax.chain(optax.trace(0.9), optax.add_decayed_weights(0.05), optax.scale_by_learning_rate(0.1)),
        ),
        (
            sgd(0.1, 0.9, lr_in_velocity=True, weight_decay=0.05),
            optax.chain(optax.add_decayed_weights(0.05), optax.scale(-0.1), optax.trace(0.9)),
        ),
        (
            sgd(Cosine(0.1, 0.0, 25), 0.9),
            optax.sgd(optax.cosine_decay_schedule(0.1, 25), momentum=0.9),
        ),
        (sgd(optax.cosine_decay_schedule(0.1, 25), 0.9), optax.sgd(optax.cosine_decay_schedule(0.1, 25), momentum=0.9)),
    ],
)
def test_the_same_as_optax(ours, theirs) -> None:
    """Where optax computes the same, thirty steps agree to float32's roundings."""
    assert_close(run(ours)[0], run(theirs)[0])


def test_maximize_is_descent_on_the_negated_gradient() -> None:
    """Ascent flips the gradient's sign and not that of decay."""
    hyperparameters = {"momentum": 0.9, "weight_decay": 0.01, "decay": "decoupled"}
    up, _ = run(sgd(0.1, **hyperparameters, maximize=True))
    down, _ = run(sgd(0.1, **hyperparameters), grads=negated)
    assert_close(up, down, rtol=0)


def test_chain_clips_before_the_step() -> None:
    """After optax's clipping, the step sees the clipped gradient."""
    clipped, _ = run(optax.chain(optax.clip_by_global_norm(1.0), sgd(0.1, 0.9, weight_decay=1e-3)))
    theirs, _ = run(
        optax.chain(optax.clip_by_global_norm(1.0), optax.add_decayed_weights(1e-3), optax.sgd(0.1, momentum=0.9))
    )
    assert_close(clipped, theirs)


def test_masked_leaves_the_rest_alone() -> None:
    """Under `optax.masked` only what the mask shows is stepped, and only that has a velocity."""
    mask = {name: name == "first" for name in case_params(jnp.float32)}
    params, state = run(optax.masked(sgd(0.1, 0.9, weight_decay=0.01), mask))
    plain, _ = run(sgd(0.1, 0.9, weight_decay=0.01))
    raw = case_params(jnp.float32)
    for t in range(STEPS):  # what is masked passes through as it is
        raw = apply(raw, case_grads(CASE, t, jnp.float32))
    assert_close(params["first"], plain["first"], rtol=1e-6)
    assert_close(params["last"], raw["last"])
    velocity = state.inner_state.velocity
    assert velocity["last"] == optax.MaskedNode() or isinstance(velocity["last"]["weight"], optax.MaskedNode)
    assert velocity["first"]["weight"].shape == (8, 5)


def test_partition_steps_each_part_by_its_own() -> None:
    """`optax.partition` with two of ours equals one with groups, and a frozen part stays."""
    labels = {name: {"first": "fast", "last": "still"}.get(name, "slow") for name in case_params(jnp.float32)}
    params, _ = run(
        optax.partition(
            {"fast": sgd(0.2, 0.9), "slow": sgd(0.01, weight_decay=0.1, dampening=0.0), "still": optax.set_to_zero()},
            labels,
        )
    )
    slow = Group(match=("norm.*", "kernels", "temperature", "nothing"), lr=0.01, momentum=0.0, weight_decay=0.1)
    grouped, _ = run(sgd(0.2, 0.9, groups=[slow]))
    start = case_params(jnp.float32)
    for name in start:
        expected = start if name == "last" else grouped
        assert_close({"x": params[name]}, {"x": expected[name]}, rtol=1e-6)


def test_injected_hyperparameters_change_from_step_to_step() -> None:
    """With `optax.inject_hyperparams` lr, momentum and weight decay come from the state, compiled once."""
    optimizer = optax.inject_hyperparams(sgd)(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3)
    compiled = []

    @jax.jit
    def step(params, state, grads):
        compiled.append(1)
        updates, state = optimizer.update(grads, state, params)
        return apply(params, updates), state

    params = expected = case_params(jnp.float32)
    state = optimizer.init(params)
    plan = [(0.1, 0.9, 1e-3), (0.05, 0.8, 1e-2), (0.3, 0.0, 0.0)] * 2
    inner = sgd(0.1, 0.9, weight_decay=1e-3).init(params)
    for t, (lr, momentum, decay) in enumerate(plan):
        grads = case_grads(CASE, t, jnp.float32)
        state.hyperparams.update(lr=jnp.float32(lr), momentum=jnp.float32(momentum), weight_decay=jnp.float32(decay))
        params, state = step(params, state, grads)
        same = sgd(lr, lambda _, m=momentum: m, nesterov=True, weight_decay=decay)
        updates, inner = jax.jit(same.update)(grads, inner, expected)
        expected = apply(expected, updates)
        assert_close(params, expected, rtol=1e-6)
    assert len(compiled) == 1
    assert set(state.hyperparams) == {"lr", "momentum", "weight_decay"}


def test_an_injected_schedule_is_exact() -> None:
    """A schedule of ours given to `inject_hyperparams` has its exact value, seen in the state."""
    lr = Exponential(0.1, 0.5, 4, staircase=True)
    optimizer = optax.inject_hyperparams(sgd)(lr=lr, momentum=0.9)
    params, state = run(optimizer, steps=9)
    assert float(state.hyperparams["lr"]) == np.float32(lr(8))
    assert_close(params, run(sgd(lr, 0.9), steps=9)[0], rtol=1e-6)


def test_injected_numbers_are_checked_where_they_are_known() -> None:
    """Not under jit, a bad number in the state is refused at the step that reads it."""
    optimizer = optax.inject_hyperparams(sgd)(lr=0.1, momentum=0.9)
    params = case_params(jnp.float32)
    state = optimizer.init(params)
    state.hyperparams["momentum"] = 1.5
    with pytest.raises(SettingsError, match=r"`momentum` must be in \[0, 1\); got 1\.5"):
        optimizer.update(params, state, params)
    with pytest.raises(SettingsError, match="`lr` must be finite and >= 0"):
        optax.inject_hyperparams(sgd)(lr=-0.1).init(params)


def test_multi_steps_averages_and_counts_real_steps() -> None:
    """`optax.MultiSteps` of two: one step on the mean gradient, and the schedule sees one step."""
    lr = Linear(0.1, 0.0, 20)
    params, state = run(optax.MultiSteps(sgd(lr, 0.9, weight_decay=0.01), every_k_schedule=2), steps=10)

    def mean(t):
        return jax.tree.map(lambda a, b: (a + b) / 2, *(case_grads(CASE, 2 * t + i, jnp.float32) for i in (0, 1)))

    expected, _ = run(sgd(lr, 0.9, weight_decay=0.01), steps=5, grads=mean)
    assert int(state.inner_opt_state.count) == 5
    assert_close(params, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_apply_if_finite_skips_the_whole_step(dtype) -> None:
    """A gradient with NaN moves no parameter, no velocity and no count."""
    optimizer = optax.apply_if_finite(sgd(Linear(0.1, 0.0, 20), 0.9, dampening=0.5, weight_decay=0.01), 5)

    def with_nan(t):
        grads = case_grads(CASE, t, dtype)
        return {**grads, "temperature": jnp.asarray(jnp.nan, dtype)} if t % 2 else grads

    params, state = run(optimizer, steps=6, grads=with_nan, dtype=dtype)
    expected, inner = run(
        sgd(Linear(0.1, 0.0, 20), 0.9, dampening=0.5, weight_decay=0.01),
        steps=3,
        grads=lambda t: case_grads(CASE, 2 * t, dtype),
        dtype=dtype,
    )
    assert int(state.inner_state.count) == int(inner.count) == 3
    assert_close(params, expected, rtol=1e-6 if dtype == jnp.float32 else 1e-2)


def test_optax_s_own_example_with_ours_in_its_place() -> None:
    """The first example of optax's documentation: least squares, with value_and_grad, update and apply_updates."""
    xs = jnp.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5], [2.0, 2.0]])
    ys = xs @ jnp.array([0.5, -1.0]) + 0.25

    def compute_loss(params, x, y):
        return optax.l2_loss(x @ params["w"] + params["b"], y).mean()

    optimizer = sgd(Cosine(0.3, 0.0, 400), 0.9)
    params = {"w": jnp.ones(2), "b": jnp.zeros(())}
    opt_state = optimizer.init(params)

    @jax.jit
    def train_step(params, opt_state):
        loss, grads = jax.value_and_grad(compute_loss)(params, xs, ys)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    for _ in range(400):
        params, opt_state, loss = train_step(params, opt_state)
    assert float(loss) < 1e-8
    np.testing.assert_allclose(params["w"], [0.5, -1.0], atol=1e-3)
