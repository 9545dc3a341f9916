"""`velocity_dtype="int8"` in JAX: NumPy's bits in whatever way a step is compiled; states; what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import downslope.numpy
from downslope import Settings
from downslope.core.blocks import decode as decoded_in_numpy
from downslope.core.blocks import encode as encoded_in_numpy
from downslope.core.errors import SettingsError, StateError
from downslope.jax import SGDState, decoded_state, encoded_state, sgd, take_step
from downslope.jax.blocks import decode, encode
from downslope.schedules import Exponential
from quick_xla import as_shipped

SHAPES = {"weight": (70, 61), "bias": (61,), "kernel": (3, 3, 16, 32)}
"""With a block that ends within a row and one that is not full; of few elements; with blocks along the last axes."""
LARGE = ("weight", "kernel")
RULES: list[dict[str, Any]] = [
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {
        "lr": Exponential(0.1, 0.5, 3),
        "momentum": 0.9,
        "weight_decay": 0.1,
        "decay": "decoupled",
        "lr_in_velocity": True,
    },
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "maximize": True},
]
STEPS = 3


def drawn(seed: int, dtype: Any = np.float32) -> dict[str, Any]:
    """Return arrays by name."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(np.float32).astype(dtype) for name, shape in SHAPES.items()}


def numpys(rule: dict[str, Any], dtype: Any = np.float32) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return parameters and state of some steps in NumPy."""
    params = drawn(0, dtype)
    optimizer = downslope.numpy.SGD(params, **rule, velocity_dtype="int8")
    for step in range(STEPS):
        optimizer.step(drawn(100 + step, dtype))
    return params, optimizer.state_dict()


def assert_numpys(params: Any, velocity: Any, expected: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Assert that large parameters, codes and scales have the bits that they have in NumPy."""
    for name in LARGE:
        assert np.asarray(params[name]).tobytes() == expected[0][name].tobytes(), name
        assert np.asarray(velocity[name].codes).tobytes() == expected[1]["codes"][name].tobytes(), name
        assert np.asarray(velocity[name].scales).tobytes() == expected[1]["scales"][name].tobytes(), name


def by_update(optimizer: Any, grads: Any, state: Any, params: Any) -> Any:
    """Take a step by optax's interface, with the arguments of `take_step`."""
    updates, state = optimizer.update(grads, state, params)
    return optax.apply_updates(params, updates), state


def compiled(take: Any, optimizers: list[Any]) -> Any:
    """Return a compiled step of several optimizers at once: XLA takes less time for one program than for many."""

    def step(params: list[Any], states: list[Any], grad: Any) -> Any:
        return tuple(
            zip(
                *(take(o, grad, state, own) for o, state, own in zip(optimizers, states, params, strict=True)),
                strict=True,
            )
        )

    return as_shipped(step, donate_argnums=(0, 1))


@pytest.mark.parametrize(("take", "rules"), [(by_update, RULES), (take_step, RULES[1:2])])
def test_the_bits_are_numpys(take: Any, rules: list[dict[str, Any]]) -> None:
    """Every kind of rule, compiled and with parameters and state donated: the course of `downslope.numpy.SGD`."""
    optimizers = [sgd(settings=Settings(**rule), velocity_dtype="int8") for rule in rules]
    params: Any = [jax.tree.map(jnp.asarray, drawn(0)) for _ in rules]
    states: Any = [optimizer.init(own) for optimizer, own in zip(optimizers, params, strict=True)]
    step = compiled(take, optimizers)
    for number in range(STEPS):
        params, states = step(list(params), list(states), drawn(100 + number))
    for rule, own, state in zip(rules, params, states, strict=True):
        assert_numpys(own, state.velocity, numpys(rule))
        assert state.velocity["bias"].dtype == jnp.float32


def test_the_bits_are_the_same_within_a_loop_and_for_several_models() -> None:
    """A compiled loop over steps, `init` within it, of two models at once by `vmap`."""
    optimizer = sgd(settings=Settings(**RULES[0]), velocity_dtype=jnp.int8)

    def run(params: Any, grads: Any) -> Any:
        def step(carry: Any, grad: Any) -> Any:
            return take_step(optimizer, grad, carry[1], carry[0]), None

        return jax.lax.scan(step, (params, optimizer.init(params)), grads)[0]

    grads = jax.tree.map(lambda *each: jnp.stack(each), *(drawn(100 + number) for number in range(STEPS)))
    models = jax.tree.map(lambda one: jnp.stack([2 * one, one]), drawn(0))
    params, state = as_shipped(jax.vmap(run, (0, None)))(models, grads)
    assert_numpys(*jax.tree.map(lambda leaf: leaf[1], (params, state.velocity)), numpys(RULES[0]))


def test_chunks_have_the_same_bits_and_need_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one CPU a step goes through the blocks in chunks, in place; the last chunk and its last block not full."""
    monkeypatch.setattr(sys.modules["downslope.jax.chunks"], "CHUNK", 4)
    expected = numpys(RULES[0])
    optimizer = sgd(settings=Settings(**RULES[0]), velocity_dtype="int8")
    params, state = jax.tree.map(jnp.asarray, drawn(0)), optimizer.init(drawn(0))
    step = as_shipped(lambda params, state, grad: take_step(optimizer, grad, state, params), donate_argnums=(0, 1))
    program = step.lower(params, state, drawn(100)).compile()
    assert program.memory_analysis().temp_size_in_bytes < 20 * 4 * 256
    for number in range(STEPS):
        params, state = program(params, state, drawn(100 + number))
    assert_numpys(params, state.velocity, expected)


def test_narrow_parameters_are_rounded_once() -> None:
    """By `take_step`, as by the compiled kernel; small ones have a velocity of float32."""
    optimizer = sgd(settings=Settings(**RULES[0]), velocity_dtype="int8")
    step = as_shipped(lambda params, state, grad: take_step(optimizer, grad, state, params))
    kind = jnp.dtype("float16")
    params, state = jax.tree.map(jnp.asarray, drawn(0, kind)), optimizer.init(drawn(0, kind))
    for number in range(STEPS):
        params, state = step(params, state, drawn(100 + number, kind))
    assert_numpys(params, state.velocity, numpys(RULES[0], kind))
    assert state.velocity["bias"].dtype == jnp.float32


def test_codes_are_those_of_numpy() -> None:
    """Of numbers of all sizes, inf, NaN and zeros of both signs among them; and what they stand for."""
    values = np.random.default_rng(0).standard_normal((9, 700)).astype(np.float32)
    values *= np.float32(10) ** np.random.default_rng(1).integers(-12, 12, values.shape).astype(np.float32)
    values[::2, ::97] = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], np.float32)[:, np.newaxis]
    codes, scales = encoded_in_numpy(values)
    found = as_shipped(encode)(values)
    assert np.asarray(found.codes).tobytes() == codes.tobytes()
    assert np.asarray(found.scales).tobytes() == scales.tobytes()
    np.testing.assert_array_equal(as_shipped(decode)(found), decoded_in_numpy(codes, scales))


def test_one_nan_is_one_nan() -> None:
    """An element whose gradient was not finite is lost, and none beside it; a parameter without decay is not read."""
    optimizer = sgd(lr=0.5, momentum=0.5, velocity_dtype="int8")
    params = jnp.zeros(4096)
    state = optimizer.init(params)
    step = as_shipped(lambda params, state, grad: take_step(optimizer, grad, state, params))
    params, state = step(params, state, jnp.ones(4096).at[300].set(jnp.inf))
    params, state = step(params, state, jnp.ones(4096))
    assert np.flatnonzero(~np.isfinite(params)).tolist() == [300]
    assert np.unique(np.delete(np.asarray(params), 300)).tolist() == [-0.5 - 0.75]
    assert state.velocity.codes[300] == -128
    updates, _ = optimizer.update(jnp.ones(4096), optimizer.init(params), jnp.full(4096, jnp.nan))
    assert updates[0] == -0.5


def test_a_first_gradient_is_undampened_and_a_hole_stays() -> None:
    """By marks in the state; a parameter without a gradient keeps codes and scales."""
    optimizer = sgd(lr=1.0, momentum=0.5, dampening=0.75, velocity_dtype="int8")
    params = {"a": jnp.zeros(4096), "b": jnp.zeros(4096)}
    state = optimizer.init(params)
    updates, state = optimizer.update({"a": jnp.ones(4096), "b": None}, state, params)
    assert updates["b"] is None
    assert (float(updates["a"][0]), float(state.velocity["b"].scales[0])) == (-1.0, 0.0)
    updates, state = optimizer.update({"a": jnp.ones(4096), "b": jnp.ones(4096)}, state, params)
    assert (float(updates["a"][0]), float(updates["b"][0])) == (-(0.5 + 0.25), -1.0)
    assert state.velocity["a"].scales.shape == (16,)


def test_states_go_to_float32_and_back() -> None:
    """To float32 exactly, to 8 bits with a warning; an optimizer goes on from either form, within a chain too."""
    optimizer = optax.chain(optax.identity(), sgd(lr=0.1, momentum=0.9, velocity_dtype="int8"))
    params = {"w": jnp.zeros((70, 61)), "b": jnp.zeros(61, jnp.bfloat16)}
    grads = {"w": jnp.asarray(drawn(1)["weight"]), "b": jnp.ones(61, jnp.bfloat16)}
    _, state = optimizer.update(grads, optimizer.init(params), params)
    wide = decoded_state(state)
    codes, scales = map(np.asarray, state[1].velocity["w"])
    np.testing.assert_array_equal(wide[1].velocity["w"], decoded_in_numpy(codes, scales))
    with pytest.warns(UserWarning, match="encoded_state rounded 1 velocity to 8 bits: by up to 0.8 per cent"):
        again = encoded_state(wide)
    np.testing.assert_array_equal(again[1].velocity["w"].codes, codes)
    assert again[1].velocity["b"].dtype == jnp.float32
    one, two = (optimizer.update(grads, either, params)[1][1].velocity["w"] for either in (wide, again))
    assert (one.dtype, two.codes.dtype) == (jnp.float32, jnp.int8)
    np.testing.assert_allclose(one, decode(two), atol=float(0.008 * jnp.abs(one).max()))
    flat = state[1]._replace(velocity=state[1].velocity | {"w": {"codes": codes, "scales": scales[:, np.newaxis]}})
    _, after = sgd(lr=0.1, momentum=0.9).update(grads, flat, params)  # as NumPy has them, or flax's nnx
    np.testing.assert_array_equal(after.velocity["w"].codes, two.codes)
    assert after.velocity["w"].scales.shape == (17, 1)
    for tree, message in (
        ({"w": jnp.ones(3)}, "there is no SGDState in it"),
        (SGDState(jnp.int32(0), jnp.ones(5000, jnp.complex64)), "is complex64, of which 8 bits would keep too little"),
    ):
        with pytest.raises(StateError, match=message):
            encoded_state(tree)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scales": jnp.ones(3)}, "has 3 scales, and 4096 elements have 16, one for each 256"),
        ({"codes": jnp.zeros(4096)}, "must be codes of int8 and scales of float32; got .'float32', 'float32'."),
        ({"codes": jnp.zeros(4352, jnp.int8)}, r"the codes of `w` have shape \(4352,\), the gradient \(4096,\)"),
    ],
)
def test_codes_that_do_not_fit_are_refused(change: Any, message: str) -> None:
    """With the parameter's name, before anything is computed."""
    optimizer = sgd(lr=0.1, momentum=0.9, velocity_dtype="int8")
    params = {"w": jnp.zeros(4096)}
    state = optimizer.init(params)
    state = state._replace(velocity={"w": state.velocity["w"]._replace(**change)})
    with pytest.raises(StateError, match=message):
        optimizer.update(params, state, params)


def test_what_does_not_combine_is_refused() -> None:
    """Parameters that are stepped in another precision, derivatives, a factor beyond float32, another word."""
    params = jnp.ones(4096)
    with pytest.raises(SettingsError, match="is for parameters of float32, bfloat16 and float16, and `w` is complex64"):
        sgd(0.1, 0.9, velocity_dtype="int8").init({"w": params.astype(jnp.complex64)})
    with jax.enable_x64(True), pytest.raises(SettingsError, match="and `w` is float64"):
        sgd(0.1, 0.9, velocity_dtype="int8").init({"w": params.astype(jnp.float64)})
    with pytest.raises(SettingsError, match='`velocity_dtype` must be None, "int8", or a floating format'):
        sgd(0.1, 0.9, velocity_dtype="int4")
    optimizer = sgd(0.1, 0.9, velocity_dtype="int8")
    state = optimizer.init(params)
    for function in (
        lambda lr: sgd(lr, 0.9, velocity_dtype="int8").update(params, state)[0].sum(),
        lambda grad: optimizer.update(grad * params, state)[0].sum(),
        lambda param: sgd(0.1, 0.9, weight_decay=0.1).update(params, state, param * params)[0].sum(),
    ):
        with pytest.raises(SettingsError, match="a derivative of a step with .* and none goes through codes"):
            jax.grad(function)(0.1)
    with pytest.raises(SettingsError, match="give a factor that float32 cannot hold"):
        sgd(1e39, 0.9, velocity_dtype="int8").update(params, state)


SHARDED = """
import sys
sys.path[:0] = {paths!r}
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from downslope.core.errors import SettingsError
from downslope.jax import sgd, take_step

mesh = Mesh(np.array(jax.devices()), ("i",))
optimizer = sgd(0.1, 0.9, weight_decay=0.01, velocity_dtype="int8")
params = {{"rows": jnp.sin(jnp.arange(16384.0)).reshape(16, 1024), "columns": jnp.ones((16, 1024))}}
grads = jax.tree.map(lambda x: 0.1 * x + 1, params)
layout = {{"rows": NamedSharding(mesh, P("i")), "columns": NamedSharding(mesh, P(None, "i"))}}
step = jax.jit(lambda params, state, grads: take_step(optimizer, grads, state, params))

def run(params, grads, init):
    state = init(params)
    for _ in range(3):
        params, state = step(params, state, grads)
    return params, state

expected = run(params, grads, optimizer.init)
sharded = jax.device_put((params, grads), (layout, layout))
for init in (optimizer.init, jax.jit(optimizer.init)):
    found = run(*sharded, init)
    for mine, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.asarray(mine).tobytes() == np.asarray(theirs).tobytes()
    for name, one in found[1].velocity.items():
        assert all(array.sharding.is_equivalent_to(layout[name], 2) for array in one)
text = step.lower(*found, sharded[1]).compile().as_text()
assert not any(word in text for word in ("all-gather", "all-to-all", "all-reduce", "collective-permute"))
print("sharded")

state = optimizer.init(params)
specs = jax.tree.map(lambda leaf: P("i") if leaf.ndim else P(), state)
inside = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=(P("i"), specs, P("i")), out_specs=(P("i"), specs)))
found = params, state
for _ in range(3):
    found = inside(*found, grads)
for mine, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
    assert np.asarray(mine).tobytes() == np.asarray(theirs).tobytes()
print("shard_map")

try:
    optimizer.init({{"w": jax.device_put(jnp.ones((16, 512)), layout["columns"])}})
except SettingsError as error:
    assert "`w` lies on several devices in runs of 128 elements, and a block of 256 would lie on two" in str(error)
    print("refused")
"""


def test_four_devices() -> None:
    """Divided by rows or columns each device has its own blocks: the same bits, and nothing is sent between them."""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    code = SHARDED.format(paths=[path for path in sys.path if path])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["sharded", "shard_map", "refused"]


def test_the_bits_are_the_same_without_jit_and_without_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none was built, `take_step` rounds parameters of bfloat16 once all the same."""
    monkeypatch.setattr(sys.modules["downslope.jax.take_step"], "is_registered", lambda: False)
    kind = jnp.dtype("bfloat16")
    optimizer = sgd(settings=Settings(**RULES[0]), velocity_dtype="int8")
    params, state = jax.tree.map(jnp.asarray, drawn(0, kind)), optimizer.init(drawn(0, kind))
    for number in range(STEPS):
        params, state = take_step(optimizer, jax.tree.map(jnp.asarray, drawn(100 + number, kind)), state, params)
    assert_numpys(params, state.velocity, numpys(RULES[0], kind))
