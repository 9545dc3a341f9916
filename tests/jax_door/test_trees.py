"""Trees of parameters: names, groups, holes, formats, and what the state holds."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from downslope import Group, Settings
from downslope.core.errors import GroupError, SettingsError
from downslope.jax import SGDState, sgd
from downslope.schedules import Linear

FLAX = {
    "params": {
        "Dense_0": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)},
        "LayerNorm_0": {"scale": jnp.ones((2, 3)), "bias": jnp.ones((2, 3))},  # stacked, as under nn.scan
        "Embed_0": {"embedding": jnp.ones((5, 2))},
    }
}


class Layer(NamedTuple):
    """A layer whose parameters are attributes."""

    kernel: Any
    bias: Any


def ones(tree):
    """Return a tree of ones."""
    return jax.tree.map(jnp.ones_like, tree)


def moved(optimizer, params, grads=None):
    """Return the first updates."""
    return optimizer.update(ones(params) if grads is None else grads, optimizer.init(params), params)[0]


def test_names_are_paths_joined_by_dots() -> None:
    """Keys, positions and attributes all count; the error of a pattern without a match lists the names."""
    params = {"blocks": [Layer(jnp.ones((2, 2)), jnp.ones(2)), {"kernel": jnp.ones((2, 2))}], "scale": jnp.ones(())}
    groups = [Group(match="blocks.0.kernel", lr=0.5), Group(match="*.kernel", lr=0.25)]
    updates = moved(sgd(1.0, groups=groups), params)
    assert float(updates["blocks"][0].kernel[0, 0]) == -0.5
    assert float(updates["blocks"][1]["kernel"][0, 0]) == -0.25
    assert float(updates["blocks"][0].bias[0]) == float(updates["scale"]) == -1.0
    with pytest.raises(GroupError, match=r"blocks\.0\.kernel, blocks\.0\.bias, blocks\.1\.kernel, scale"):
        sgd(1.0, groups=[Group(match="kernel", lr=0.5)]).init(params)


def test_biases_and_normalisation_layers_are_selected() -> None:
    """`@bias_and_norm`: by dimension, by the name bias, and by a home with "norm" in its name, stacked or not."""
    optimizer = sgd(1.0, weight_decay=1.0, groups=[Group(match="@bias_and_norm", weight_decay=0.0)])
    updates = moved(optimizer, FLAX)["params"]
    decayed = {
        (layer, name): float(leaf.ravel()[0]) == -2.0 for layer, own in updates.items() for name, leaf in own.items()
    }
    assert {key for key, is_decayed in decayed.items() if is_decayed} == {
        ("Dense_0", "kernel"),
        ("Embed_0", "embedding"),
    }


def test_two_leaves_of_one_name_are_refused_with_groups_only() -> None:
    """A key that holds a dot can make two names equal; patterns could then not tell them apart."""
    params = {"a.b": jnp.ones(1), "a": {"b": jnp.ones(1)}}
    assert len(jax.tree.leaves(moved(sgd(1.0), params))) == 2
    with pytest.raises(GroupError, match="two parameters are called `a.b`"):
        sgd(1.0, groups=[Group(match="a.*", lr=0.1)]).init(params)


def test_the_state_is_a_count_and_velocities() -> None:
    """count is an int32 scalar, velocity has the parameters' structure, None where there is no momentum."""
    state = sgd(0.1, 0.9, groups=[Group(match="*.bias", momentum=0.0)]).init(FLAX)
    assert isinstance(state, SGDState)
    assert state._fields == ("count", "velocity", "started")
    assert state.count.dtype == jnp.int32
    assert state.count.shape == ()
    assert state.started is None
    assert state.velocity["params"]["Dense_0"]["bias"] is None
    assert not state.velocity["params"]["Dense_0"]["kernel"].any()
    assert len(jax.tree.leaves(sgd(0.1).init(FLAX))) == 1
    scheduled = sgd(0.1, Linear(0.0, 0.9, 10)).init(FLAX)  # 0 at first, kept all the same
    assert jax.tree.structure(scheduled.velocity) == jax.tree.structure(FLAX)


def test_a_bare_array_and_an_empty_tree() -> None:
    """The smallest trees: one array, none, and a Python number in the place of an array."""
    assert float(moved(sgd(0.5), jnp.ones(()))) == -0.5
    assert float(moved(sgd(0.5, 0.9, weight_decay=0.1), 2.0, 1.0)) == pytest.approx(-0.6)
    for empty in ({}, (), None, {"a": None}):
        optimizer = sgd(0.5, 0.9)
        updates, state = jax.jit(optimizer.update)(empty, optimizer.init(empty), empty)
        assert updates == empty
        assert int(state.count) == 1


@pytest.mark.parametrize("compiled", [False, True])
def test_no_gradient_means_nothing_moves(compiled) -> None:
    """A gradient that is None leaves velocity and first-gradient mark as they are; a whole branch may be None."""
    optimizer = sgd(1.0, 0.5, dampening=0.25, weight_decay=0.1)
    params = {"a": jnp.ones(2), "b": {"c": jnp.ones(2), "d": jnp.ones(())}}
    update = jax.jit(optimizer.update) if compiled else optimizer.update
    state = optimizer.init(params)
    updates, state = update({"a": jnp.ones(2), "b": None}, state, params)
    assert updates["b"] is None
    assert jax.tree.map(bool, state.started) == {"a": True, "b": {"c": False, "d": False}}
    assert not state.velocity["b"]["c"].any()
    assert state.velocity["a"][0] == pytest.approx(1.1)
    updates, state = update(ones(params), state, params)
    assert state.velocity["a"][0] == pytest.approx(0.5 * 1.1 + 0.75 * 1.1)  # dampened: its second
    assert state.velocity["b"]["c"][0] == pytest.approx(1.1)  # not dampened: its first
    assert int(state.count) == 2


def test_a_state_without_marks_goes_by_the_count() -> None:
    """SGDState(count, velocity), as conversions make it: gradients are the first ones only at count 0."""
    optimizer = sgd(1.0, 0.5, dampening=0.25)
    for count, weight in ((0, 1.0), (3, 0.75)):
        for update in (optimizer.update, jax.jit(optimizer.update)):
            state = SGDState(jnp.int32(count), jnp.float32(2.0))
            _, after = update(jnp.float32(1.0), state, None)
            assert float(after.velocity) == 0.5 * 2 + weight
            assert after.started is None


def test_masked_nodes_stay() -> None:
    """A hole that `optax.masked` made stays a hole, in updates and velocity."""
    optimizer = sgd(1.0, 0.5, groups=[Group(match="@bias_and_norm", lr=0.1)])
    params = {"a": jnp.ones(2), "b": optax.MaskedNode()}
    state = optimizer.init(params)
    assert state.velocity["b"] == optax.MaskedNode()
    updates, state = jax.jit(optimizer.update)(params, state, params)
    assert updates["b"] == state.velocity["b"] == optax.MaskedNode()
    with pytest.raises(GroupError, match="matches no parameter"):  # what is masked is none
        sgd(1.0, groups=[Group(match="b", lr=0.1)]).init(params)


def test_without_params() -> None:
    """Without decay and groups, `update` needs no parameters; the update then has the gradient's format."""
    optimizer = sgd(0.5, 0.5)
    state = optimizer.init(jnp.ones(2))
    updates, _ = optimizer.update(jnp.ones(2, jnp.bfloat16), state)
    assert updates.dtype == jnp.bfloat16
    updates, _ = optimizer.update(jnp.ones(2, jnp.bfloat16), state, jnp.ones(2))
    assert updates.dtype == jnp.float32
    with pytest.raises(SettingsError, match=r"weight decay needs the parameters.* update\(grads, state, params\)"):
        sgd(0.5, weight_decay=0.1).update(jnp.ones(2), state)
    with pytest.raises(GroupError, match="got no parameters"):
        sgd(0.5, groups=[Group(match="*", lr=0.1)]).update(jnp.ones(2), state)


@pytest.mark.parametrize("compiled", [False, True])
def test_parameters_are_not_read_for_nothing(compiled) -> None:
    """Without decay an infinite parameter does not turn the update into NaN, as 0 * inf would."""
    optimizer = sgd(0.5, 0.5)
    params = jnp.array([jnp.inf, jnp.nan])
    update = jax.jit(optimizer.update) if compiled else optimizer.update
    updates, _ = update(jnp.ones(2), optimizer.init(params), params)
    assert updates.tolist() == [-0.5, -0.5]


def test_complex_parameters() -> None:
    """Complex leaves are stepped as they are, real and imaginary part alike, their velocity complex."""
    params = {"z": jnp.array([1 + 2j, -1j], jnp.complex64), "x": jnp.ones(2)}
    optimizer = sgd(0.5, 0.5, nesterov=True, weight_decay=0.25, velocity_dtype=jnp.float32)
    updates, state = jax.jit(optimizer.update)(params, optimizer.init(params), params)
    # g = 1.25 p, v = g, direction = g + v / 2 = 1.875 p
    np.testing.assert_allclose(updates["z"], -0.9375 * params["z"], rtol=1e-6)
    assert state.velocity["z"].dtype == updates["z"].dtype == jnp.complex64
    with pytest.raises(SettingsError, match=r"`z` is complex, and there are no complex numbers of bfloat16"):
        sgd(0.5, 0.5, velocity_dtype=jnp.bfloat16).init(params)


def test_the_velocity_s_format_is_chosen() -> None:
    """float32 velocity beside bfloat16 parameters, also through a step; 64 bits only where JAX has them."""
    params = jnp.ones(3, jnp.bfloat16)
    optimizer = sgd(0.1, 0.9, velocity_dtype=jnp.float32)
    updates, state = optimizer.update(params, optimizer.init(params), params)
    assert (updates.dtype, state.velocity.dtype) == (jnp.bfloat16, jnp.float32)
    assert sgd(0.1, 0.9).init(params).velocity.dtype == jnp.bfloat16
    wide = sgd(0.1, 0.9, velocity_dtype="float64")
    with pytest.raises(SettingsError, match="float64 needs 64 bits, which JAX has switched off"):
        wide.init(params)
    with jax.enable_x64(True):
        assert wide.init(params).velocity.dtype == jnp.float64


def test_settings_at_once_are_the_same() -> None:
    """`settings=` is another way to write the arguments."""
    one_by_one = sgd(0.1, 0.9, 0.25, weight_decay=0.1, decay="independent", lr_in_velocity=True, maximize=True)
    at_once = sgd(
        settings=Settings(
            lr=0.1,
            momentum=0.9,
            dampening=0.25,
            weight_decay=0.1,
            decay="independent",
            lr_in_velocity=True,
            maximize=True,
        )
    )
    for ours, theirs in zip(
        jax.tree.leaves(moved(one_by_one, FLAX)), jax.tree.leaves(moved(at_once, FLAX)), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
