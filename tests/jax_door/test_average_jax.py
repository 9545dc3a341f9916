"""`downslope.jax.sgd(ema=...)`: an average of the parameters with NumPy's bits, by every way of a step."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from downslope import Group
from downslope.core.averages import begun, follow
from downslope.core.errors import GroupError, SettingsError, StateError
from downslope.jax import (
    AveragingSGDState,
    averaged_params,
    decoded_state,
    encoded_state,
    schedule_free_sgd,
    sgd,
    take_step,
)

SHAPES = {"scalar": (), "vector": (257,), "wide": (70, 61)}


def drawn(seed: int, dtype: Any = jnp.float32) -> dict[str, Any]:
    """Return arrays of every shape."""
    draw = np.random.default_rng(seed)
    return {name: jnp.asarray(draw.normal(size=shape), dtype) for name, shape in SHAPES.items()}


def updated(optimizer: Any, grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
    """Take a step as optax does."""
    updates, state = optimizer.update(grads, state, params)
    return optax.apply_updates(params, updates), state


def in_a_chain(optimizer: Any, grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
    """Take a step behind another transformation."""
    chain = optax.chain(optax.clip_by_global_norm(1.0), optimizer)
    params, (_, state) = updated(chain, grads, (optax.EmptyState(), state), params)
    return params, state


@pytest.mark.parametrize(
    ("dtype", "take", "velocity_dtype"),
    [
        (jnp.float32, updated, None),
        (jnp.bfloat16, in_a_chain, "int8"),
        (jnp.bfloat16, take_step, None),
        (jnp.float16, take_step, None),
        (jnp.float32, take_step, "int8"),
    ],
    ids=lambda one: getattr(one, "__name__", str(one)),
)
def test_the_bits_are_those_of_numpy(dtype: Any, take: Any, velocity_dtype: Any) -> None:
    """Compiled, in donated memory, and not; of narrow parameters, it is of what they are."""
    optimizer = sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, velocity_dtype=velocity_dtype, ema=0.9)
    compiled = jax.jit(lambda grads, state, params: take(optimizer, grads, state, params), donate_argnums=(1, 2))
    for step_by in (compiled, lambda *given: take(optimizer, *given)):
        params, averages = drawn(0, dtype), {}
        state = optimizer.init(params)
        before = averaged_params(state, params)
        assert all((before[name] == params[name]).all() for name in params)
        for step in range(4):
            params, state = step_by(drawn(step + 1, dtype), state, params)
            for name, param in params.items():
                if step:
                    follow(np.asarray(param), averages[name], 1 - 0.9)
                else:
                    averages[name] = begun(np.asarray(param))
        for name, average in averages.items():
            assert state.average[name].dtype == jnp.float32
            np.testing.assert_array_equal(state.average[name], average)
            np.testing.assert_array_equal(averaged_params(state, params)[name], average.astype(dtype))


def test_parameters_without_a_gradient_and_holes() -> None:
    """The first are averaged all the same; what is masked has no average; groups go with it."""
    params: Any = {"a": jnp.zeros(2), "b": jnp.ones(2), "c": None}
    optimizer = sgd(lr=1.0, ema=0.5, groups=[Group(match="b", lr=2.0)])
    state = optimizer.init(params)
    for grads in ({"a": -jnp.ones(2), "b": None, "c": None}, {"a": None, "b": jnp.ones(2), "c": None}):
        updates, state = optimizer.update(grads, state, params)
        params = jax.tree.map(
            lambda p, u: p if u is None else p + u, params, updates, is_leaf=lambda leaf: leaf is None
        )
    assert {name: None if a is None else a.tolist() for name, a in state.average.items()} == {
        "a": [1.0, 1.0],
        "b": [0.0, 0.0],
        "c": None,
    }
    assert averaged_params(state, params)["c"] is None
    masked = optax.masked(sgd(lr=1.0, ema=0.5), {"a": True, "b": False})
    both = {"a": jnp.zeros(2), "b": jnp.ones(2)}
    updates, state = masked.update(jax.tree.map(jnp.ones_like, both), masked.init(both), both)
    assert state.inner_state.average["a"].tolist() == [-1.0, -1.0]


def test_in_a_scan_under_vmap_and_with_an_injected_decay() -> None:
    """As a carry the state keeps its structure; a traced decay holds from its step on."""
    optimizer = sgd(lr=1.0, ema=0.5)

    def step(carry: Any, grad: Any) -> Any:
        return updated(optimizer, grad, carry[1], carry[0]), None

    def run(start: Any) -> Any:
        return jax.lax.scan(step, (start, optimizer.init(start)), -jnp.ones(3))[0][1].average

    assert jax.vmap(run)(jnp.array([0.0, 10.0])).tolist() == [2.25, 12.25]
    injected = optax.inject_hyperparams(sgd)(lr=1.0, ema=0.5)
    param = jnp.zeros(())
    state = injected.init(param)
    for decay in (0.5, 0.5, 0.75):
        state.hyperparams["ema"] = jnp.asarray(decay)
        param, state = jax.jit(updated, static_argnums=0)(injected, -jnp.ones(()), state, param)
    assert state.inner_state.average == 1.5 + 0.25 * 1.5


def test_states_with_and_without() -> None:
    """One without begins an average at its next step; one with has no place where none is kept; codes keep theirs."""
    params = {"w": jnp.zeros((64, 64))}
    grads = {"w": -jnp.ones((64, 64))}
    plain, keeping = sgd(1.0, 0.9), sgd(1.0, 0.9, ema=0.5)
    _, state = plain.update(grads, plain.init(params), params)
    for _ in range(2):
        _, state = keeping.update(grads, state, params)
    assert isinstance(state, AveragingSGDState)
    assert jnp.all(state.average["w"] == 1.9 + 0.5 * (2.71 - 1.9))
    with pytest.warns(UserWarning, match="rounded 1 velocity"):
        coded = encoded_state(state)
    assert coded.average is decoded_state(coded).average is state.average
    with pytest.raises(StateError, match=r"have no place here, where none are kept \(ema=None\)"):
        plain.update(grads, state, params)
    with pytest.raises(StateError, match=r"the average of `w` is \(3,\) of float32, the parameter \(64, 64\)"):
        keeping.update(grads, state._replace(average={"w": jnp.zeros(3)}), params)
    with pytest.raises(SettingsError, match="trees of different structure"):
        keeping.update(grads, state._replace(average={"v": jnp.zeros(3)}), params)


def test_what_is_refused() -> None:
    """Decays that are none, an update without parameters, reading what is not kept, schedule-free SGD."""
    for ema in (0, 1, 1.5, "0.9", True, jnp.float32(1.5)):
        with pytest.raises(SettingsError, match=r"`ema` must be in \(0, 1\) such as 0.999"):
            sgd(lr=0.1, ema=ema)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="`ema` as an array must hold one real number"):
        sgd(lr=0.1, ema=jnp.zeros(2))
    optimizer, param = sgd(lr=0.1, ema=0.9), jnp.zeros(2)
    with pytest.raises(SettingsError, match=r"an average \(`ema`\) needs the parameters"):
        optimizer.update(param, optimizer.init(param))
    with pytest.raises(StateError, match="if it is an SGDState, none is kept. Pass ema=0.999"):
        averaged_params(sgd(lr=0.1).init(param), param)
    with pytest.raises(SettingsError, match="schedule-free SGD keeps no `ema`"):
        schedule_free_sgd(ema=0.9)  # type: ignore[arg-type]


@pytest.mark.parametrize("take", [updated, take_step])
@pytest.mark.parametrize("common", [0.9, None])
def test_groups_have_their_own(take: Any, common: float | None) -> None:
    """One another decay, one none, compiled and not, with the bits of NumPy's operations; saved by flax midway."""
    serialization = pytest.importorskip("flax.serialization")
    groups = [Group(match="wide", ema=0.5), Group(match="vector", ema=0)]
    optimizer = sgd(lr=0.1, momentum=0.9, ema=common, groups=groups)
    decays = {n: decay for n in SHAPES if (decay := {"wide": 0.5, "vector": None}.get(n, common)) is not None}
    for step_by in (jax.jit(lambda *given: take(optimizer, *given)), lambda *given: take(optimizer, *given)):
        params, averages = drawn(0), {}
        state = optimizer.init(params)
        assert state.average["vector"] is None
        for step in range(4):
            if step == 2:
                state = serialization.from_bytes(optimizer.init(params), serialization.to_bytes(state))
            params, state = step_by(drawn(step + 1), state, params)
            for name, decay in decays.items():
                if step:
                    follow(np.asarray(params[name]), averages[name], 1 - decay)
                else:
                    averages[name] = begun(np.asarray(params[name]))
        assert {name for name, average in state.average.items() if average is not None} == set(decays)
        read = averaged_params(state, params)
        for name, param in params.items():
            np.testing.assert_array_equal(read[name], averages.get(name, np.asarray(param)))


def test_what_groups_are_refused() -> None:
    """An average where the group has none; schedule-free SGD; a decay that is none, told with the group."""
    params, grads = drawn(0), drawn(1)
    whole, parts = sgd(lr=0.1, ema=0.9), sgd(lr=0.1, groups=[Group(match="wide", ema=0.9)])
    _, state = updated(whole, grads, whole.init(params), params)
    with pytest.raises(StateError, match=r"the average of `scalar` has no place here, .* of it"):
        parts.update(grads, state, params)
    with pytest.raises(SettingsError, match="schedule-free SGD keeps no `ema`"):
        schedule_free_sgd(groups=[Group(match="wide", ema=0.9)])
    schedule_free_sgd(groups=[Group(match="wide", ema=0)])
    for wrong in (1, -0.1, "0.9", True):
        with pytest.raises(GroupError, match=r"group 'wide': `ema` must be in \(0, 1\) such as 0.999, or 0"):
            Group(match="wide", ema=wrong)  # type: ignore[arg-type]
