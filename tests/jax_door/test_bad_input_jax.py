"""What `downslope.jax.sgd` refuses, and how it says so."""

from __future__ import annotations

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from downslope import Group, Settings
from downslope.core.errors import GroupError, SettingsError, StateError
from downslope.jax import SGDState, sgd
from downslope.schedules import Constant, Cosine


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": -0.1}, r"`lr` must be finite and >= 0; got -0\.1"),
        ({"lr": jnp.float32(-1)}, r"`lr` must be finite and >= 0; got -1\.0"),
        ({"lr": float("nan")}, "`lr` must be finite"),
        ({"lr": None}, "`lr` must be a number or a schedule; got None"),
        ({"lr": "0.1"}, "`lr` must be a number or a schedule; got '0.1' of type str"),
        ({"lr": jnp.ones(2)}, r"`lr` as an array must hold one real number; got shape \(2,\) of float32"),
        ({"lr": jnp.complex64(1)}, "`lr` as an array must hold one real number"),
        ({"lr": jnp.array(True)}, "`lr` as an array must hold one real number"),
        ({"momentum": 1.0}, r"`momentum` must be in \[0, 1\); got 1\.0"),
        ({"momentum": jnp.float32(1)}, r"`momentum` must be in \[0, 1\)"),
        ({"nesterov": True}, "`nesterov` needs momentum"),
        ({"dampening": 0.5}, "`dampening` needs momentum"),
        ({"momentum": 0.9, "dampening": lambda count: 0.5}, "`dampening` must be a number"),
        ({"weight_decay": -1.0}, "`weight_decay` must be finite and >= 0"),
        ({"decay": "decopled"}, "Did you mean `decoupled`"),
        ({"nesterov": 1}, "`nesterov` must be True or False"),
        ({"lr": Cosine(0.1, 0.0, 5, unit="epoch")}, "is in epochs"),
        ({"settings": {"lr": 0.1}}, "`settings` must be a Settings; got a dict"),
        ({"settings": Settings(), "lr": 0.1}, "do not also pass `lr`"),
        ({"velocity_dtype": jnp.int32}, '`velocity_dtype` must be None, "int8", or a floating format'),
        ({"velocity_dtype": "single"[::-1]}, '`velocity_dtype` must be None, "int8", or a floating format'),
        ({"velocity_dtype": jnp.float8_e4m3fn}, '`velocity_dtype` must be None, "int8", or a floating format'),
        (
            {"lr": lambda count: 0.1, "weight_decay": 0.1, "decay": "relative"},
            'decay="relative" divides by the initial lr, which an array or a function does not tell',
        ),
        (
            {"lr": jnp.float32(0.1), "weight_decay": 0.1, "decay": "corrected"},
            'decay="corrected" divides by the largest lr',
        ),
        ({"lr": 0.0, "weight_decay": lambda count: 0.1, "decay": "relative"}, "divides by the initial lr, which is 0"),
    ],
)
def test_bad_hyperparameters(arguments, message) -> None:
    """Refused when the optimizer is made."""
    with pytest.raises(SettingsError, match=message):
        sgd(**arguments)


def test_values_that_a_function_returns_are_checked() -> None:
    """A function of the count is checked as far as its value is known: a number also under jit, an array by shape."""
    params = jnp.ones(2)
    for update in (sgd(lambda count: -0.1).update, jax.jit(sgd(lambda count: -0.1).update)):
        with pytest.raises(SettingsError, match=r"`lr` must be finite and >= 0; got -0\.1"):
            update(params, sgd(0.1).init(params), params)
    with pytest.raises(SettingsError, match=r"got shape \(3,\)"):
        jax.jit(sgd(lambda count: count * jnp.ones(3)).update)(params, sgd(0.1).init(params), params)


def test_factors_beyond_the_format() -> None:
    """A number that float32 cannot hold is refused, not made infinite; float64 parameters may have it."""
    optimizer = sgd(1e39)
    params = jnp.ones(2)
    with pytest.raises(SettingsError, match=r"a factor of 1e\+39 .*float32 cannot hold"):
        optimizer.update(params, optimizer.init(params), params)
    with jax.enable_x64(True):
        params = jnp.ones(2, jnp.float64)
        assert float(optimizer.update(params, optimizer.init(params), params)[0][0]) == -1e39


def test_bad_parameters() -> None:
    """Only floating and complex arrays are parameters; the message names the leaf."""
    for leaf, kind in (
        (jnp.arange(3), "one of int32"),
        (jax.random.key(0), "one of key"),
        ("x", "a value of type str"),
        (3, "a value of type int"),
    ):
        with pytest.raises(
            SettingsError, match=rf"`layer\.0` must be an array of floating or complex numbers; got {kind}"
        ):
            sgd(0.1).init({"layer": [leaf]})


def test_bad_gradients() -> None:
    """Other kinds, shapes and structures; each names the leaf or shows both trees."""
    optimizer = sgd(0.1, 0.9, weight_decay=0.1)
    params = {"a": jnp.ones(2), "b": jnp.ones((2, 3))}
    state = optimizer.init(params)
    for grads, message in (
        ({"a": jnp.ones(2), "b": jnp.ones((3, 2))}, r"gradient of `b` has shape \(3, 2\), the parameter \(2, 3\)"),
        ({"a": jnp.ones(2, int), "b": params["b"]}, "gradient of `a` must hold floating or complex numbers; got int32"),
        ({"a": jnp.ones(2, complex), "b": params["b"]}, "gradient of `a` is complex, the parameter real"),
        ({"a": params["a"]}, "gradients and the parameters are trees of different structure"),
        ({"a": params["a"], "c": params["b"]}, "trees of different structure"),
        ([params["a"], params["b"]], "trees of different structure"),
        (params["a"], "trees of different structure"),
    ):
        for update in (optimizer.update, jax.jit(optimizer.update)):
            with pytest.raises(SettingsError, match=message):
                update(grads, state, params)
    with pytest.raises(SettingsError, match="gradient of `b`, and None in its place"):
        optimizer.update(params, state, {"a": jnp.ones(2), "b": None})


def test_float0_gradients_of_integers_are_refused() -> None:
    """What jax.grad(allow_int=True) returns for integers is no gradient."""
    grads = {"a": np.zeros(2, jax.dtypes.float0)}
    optimizer = sgd(0.1)
    with pytest.raises(SettingsError, match="must hold floating or complex numbers; got"):
        optimizer.update(grads, optimizer.init({"a": jnp.ones(2)}), {"a": jnp.ones(2)})


def test_bad_states() -> None:
    """A state of something else, in the wrong place, or made without momentum."""
    optimizer = sgd(0.1, 0.9)
    params = {"a": jnp.ones(2)}
    with pytest.raises(
        StateError, match=r"must be the SGDState .* got a dict. The order is update\(grads, state, params\)"
    ):
        optimizer.update(params, params, optimizer.init(params))
    with pytest.raises(StateError, match="got a tuple"):
        optimizer.update(params, optax.sgd(0.1).init(params), params)
    with pytest.raises(StateError, match="no velocity for `a`, which has momentum"):
        optimizer.update(params, sgd(0.1).init(params), params)
    with pytest.raises(StateError, match=r"velocity of `a` has shape \(3,\), the gradient \(2,\)"):
        optimizer.update(params, SGDState(jnp.int32(0), {"a": jnp.ones(3)}), params)
    with pytest.raises(SettingsError, match="the state's velocity are trees of different structure"):
        optimizer.update(params, SGDState(jnp.int32(0), {"b": jnp.ones(2)}), params)


def test_a_velocity_that_is_there_is_used_even_without_momentum() -> None:
    """A state with a velocity, momentum now the number 0: the velocity is the gradient, and stays in the state."""
    params = jnp.ones(2)
    updates, state = sgd(0.5).update(params, SGDState(jnp.int32(7), jnp.full(2, 9.0)), params)
    assert updates.tolist() == [-0.5, -0.5]
    assert state.velocity.tolist() == [1.0, 1.0]


def test_group_errors() -> None:
    """A pattern without a match suggests a name; a group whose result is not allowed says which."""
    params = {"Dense_0": {"kernel": jnp.ones((2, 2))}}
    with pytest.raises(GroupError, match=r"matches no parameter. Did you mean `Dense_0\.kernel`"):
        sgd(0.1, groups=[Group(match="Dense_0.kernal", lr=0.1)]).init(params)
    with pytest.raises(GroupError, match=r"group '\*': `nesterov` needs momentum"):
        sgd(0.1, groups=[Group(match="*", nesterov=True)])
    with pytest.raises(SettingsError, match='decay="relative" divides by'):
        sgd(lambda count: 0.1, weight_decay=0.1, groups=[Group(match="*", decay="relative")])
    sgd(lambda count: 0.1, weight_decay=0.1, groups=[Group(match="*", decay="relative", lr=Constant(0.1))])


@pytest.mark.parametrize("package", ["jax", "optax"])
def test_a_missing_package_is_named(package) -> None:
    """Without JAX or optax the import says what is missing, and the command that installs it."""
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "import downslope\nfrom downslope.core.errors import MissingDependencyError\n"
        "try:\n    downslope.jax\nexcept MissingDependencyError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert done.stdout == (
        f'downslope.jax needs {package}, which is not installed. Install it with: pip install "downslope[jax]"\n'
    ), done.stderr


def test_it_is_found_lazily() -> None:
    """`import downslope` alone loads no JAX; `downslope.jax` does."""
    code = (
        "import sys, downslope\nassert 'jax' not in sys.modules\n"
        "downslope.jax.sgd\nassert 'jax' in sys.modules\nassert 'jax' in dir(downslope)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_none_is_a_default_but_of_lr() -> None:
    """As optax.sgd has momentum=None for none; `groups` are a list, and None is none."""
    params = {"weight": jnp.ones(2)}
    given = dict.fromkeys(("momentum", "dampening", "nesterov", "weight_decay", "decay", "maximize", "nu"))
    steps = [one.update(params, one.init(params), params)[0]["weight"] for one in (sgd(0.1, **given), sgd(0.1))]
    assert steps[0].tolist() == steps[1].tolist()
    with pytest.raises(GroupError, match="`groups` must be a list of downslope.Group; got None"):
        sgd(0.1, groups=None)
