"""``sgd`` in the place of ``optax.sgd``: extra arguments, names from flax nnx, and words of others."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from downslope import Group
from downslope.core.errors import GroupError, SettingsError
from downslope.jax import sgd

PARAMS = {"w": jnp.arange(3.0), "b": jnp.ones(2)}
GRADS = {"w": jnp.array([1.0, -2.0, 0.5]), "b": jnp.array([0.25, -1.0])}

AROUND = {
    "itself": lambda make: make(),
    "chain": lambda make: optax.chain(optax.clip_by_global_norm(1.0), make()),
    "MultiSteps": lambda make: optax.MultiSteps(make(), every_k_schedule=2),
    "masked": lambda make: optax.masked(make(), {"w": True, "b": False}),
    "apply_if_finite": lambda make: optax.apply_if_finite(make(), 3),
    "partition": lambda make: optax.partition({"all": make()}, {"w": "all", "b": "all"}),
}


@pytest.mark.parametrize("around", AROUND)
def test_extra_arguments_pass_as_in_optax(around):
    """`value=` and the like reach what wants them, and the updates are those of `optax.sgd`."""
    found = []
    for make in (lambda: sgd(lr=0.5, momentum=0.5), lambda: optax.sgd(0.5, momentum=0.5)):
        optimizer = AROUND[around](make)
        state, params = optimizer.init(PARAMS), PARAMS
        for _ in range(4):
            updates, state = optimizer.update(GRADS, state, params, value=1.5, grad=GRADS, value_fn=None)
            params = optax.apply_updates(params, updates)
        found.append(params)
    assert isinstance(sgd(lr=0.5), optax.GradientTransformationExtraArgs)
    jax.tree.map(lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-6), *found)


def test_extra_arguments_pass_through_injected_hyperparameters():
    """A transformation after it that needs the loss gets it, and does what it does after `optax.sgd`."""
    found = []
    for inner in (optax.inject_hyperparams(sgd)(lr=0.5, momentum=0.5), optax.sgd(0.5, momentum=0.5)):
        optimizer = optax.chain(inner, optax.contrib.reduce_on_plateau(patience=0, factor=0.5))
        state = optimizer.init(PARAMS)
        steps = []
        for value in (1.0, 2.0, 3.0, 4.0):  # the loss rises, so that lr is halved
            updates, state = optimizer.update(GRADS, state, PARAMS, value=value)
            steps.append(float(updates["w"][0]))
        found.append(steps)
    assert found[0] == found[1]
    assert abs(found[0][-1]) < 0.5  # unscaled, the first is 0.5 and the later ones more


def nnx_model():
    """Return a model of flax nnx with a kernel, a bias and a scale."""
    nnx = pytest.importorskip("flax.nnx")

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.dense = nnx.Linear(2, 3, rngs=rngs)
            self.norm = nnx.LayerNorm(3, rngs=rngs)

        def __call__(self, x):
            return self.norm(self.dense(x))

    return nnx, Model(nnx.Rngs(0))


def nnx_step(nnx, optimizer, model, grads):
    """Take a step, in the order of arguments that this version has."""
    takes_model = len(inspect.signature(optimizer.update).parameters) > 1 and "model" in str(
        inspect.signature(optimizer.update)
    )
    return optimizer.update(model, grads) if takes_model else optimizer.update(grads)


def test_a_parameter_of_nnx_has_one_name():
    """An exact pattern means the same when the state is made and when a step is taken."""
    nnx, model = nnx_model()
    groups = [Group(match="dense.kernel", lr=0.0), Group(match=("*.bias", "norm.scale"), lr=0.25)]
    optimizer = nnx.Optimizer(model, sgd(lr=0.5, momentum=0.5, groups=groups), wrt=nnx.Param)
    before = jax.tree.map(np.asarray, nnx.state(model, nnx.Param))
    grads = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
    nnx_step(nnx, optimizer, model, grads)
    after = nnx.state(model, nnx.Param)
    moved = jax.tree.map(lambda old, new: float(np.max(np.abs(np.asarray(new) - old))), before, after)
    assert [float(np.round(leaf, 5)) for leaf in jax.tree.leaves(moved)] == [0.25, 0.0, 0.25, 0.25]


def test_messages_have_the_names_of_nnx_too():
    """A pattern that matches nothing is told the names that would."""
    nnx, model = nnx_model()
    with pytest.raises(GroupError, match=r"dense\.bias, dense\.kernel, norm\.bias, norm\.scale"):
        sgd(lr=0.5, groups=[Group(match="dense.kernel.value", lr=0.1)]).init(nnx.state(model, nnx.Param))


def test_an_attribute_called_value_stays_in_a_name():
    """Only what flax's variables put there is left out."""
    params = {"attention": {"value": jnp.ones(2), "query": jnp.ones(2)}}
    optimizer = sgd(lr=0.5, groups=[Group(match="attention.value", lr=0.1)])
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    assert np.allclose(updates["attention"]["value"], -0.1)


def test_functions_among_the_parameters_are_explained():
    """An equinox module holds its activation: the message says how to leave it out."""
    with pytest.raises(SettingsError, match=r"eqx\.filter\(model, eqx\.is_inexact_array\)"):
        sgd(lr=0.1).init({"weight": jnp.ones(2), "activation": jax.nn.relu})


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ({"learning_rate": 0.1}, "unknown argument `learning_rate`. Here it is called `lr`."),
        ({"lr": 0.1, "wd": 0.1}, "unknown argument `wd`. Here it is called `weight_decay`."),
        ({"lr": 0.1, "accumulator_dtype": None}, "unknown argument `accumulator_dtype`. Here it is called `vel"),
        ({"lr": 0.1, "momentun": 0.9}, "unknown argument `momentun`. Did you mean `momentum`?"),
        ({"lr": 0.1, "clip_norm": 1.0}, "`clip_norm`. Clip before it: optax.chain(optax.clip_by_global_norm(1.0), "),
        ({"lr": 0.1, "on_nonfinite": "skip"}, "`on_nonfinite`. optax.apply_if_finite goes around it"),
        (
            {"lr": 0.1, "mask": {}},
            "`mask`. Give groups=[Group(match=..., weight_decay=0.0)], or optax.masked around it.",
        ),
        (
            {"lr": 0.1, "steps_per_epoch": 9},
            "`steps_per_epoch`. A schedule in epochs is resolved first, with .in_steps(",
        ),
    ],
)
def test_words_of_others_are_translated(given, ours):
    """In one of our errors, which is a TypeError too."""
    with pytest.raises(SettingsError) as caught:
        sgd(**given)
    assert ours in str(caught.value)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("asked", "of_real", "of_complex"),
    [(None, "float32", "complex64"), ("float32", "float32", "complex64"), ("complex64", "float32", "complex64")],
)
def test_a_velocity_is_complex_where_its_parameter_is(asked, of_real, of_complex):
    """A complex format asked for is a real parameter's real one, and the other way round."""
    state = sgd(lr=0.1, momentum=0.9, velocity_dtype=asked).init({"r": jnp.ones(2), "c": jnp.ones(2, jnp.complex64)})
    assert (state.velocity["r"].dtype, state.velocity["c"].dtype) == (of_real, of_complex)
