"""`take_step`: the kernel's bits in place, the bounds of the table, and the plain step wherever the kernel is not."""

from __future__ import annotations

import os
import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from jax_runs import batches, flat, run, run_together, update_and_apply
from test_conformance_jax import PARAM_BOUND_ULP, VELOCITY_BOUND_ULP, errors

import downslope
import downslope.numpy
import downslope.torch
from cases import CASES, STEPS, Case, gradients, initial_params
from downslope import Group, Settings, kernel
from downslope.core.errors import SettingsError, StateError
from downslope.jax import sgd, take_step
from downslope.kernel import xla
from downslope.schedules import Exponential
from quick_xla import as_shipped

needs_kernel = pytest.mark.skipif(not xla.is_registered(), reason="the kernel is not built, or switched off")
BY_NAME = {case.name: case for case in CASES}
NESTEROV = Settings(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)


def stepper(optimizer, take=take_step, *, donate=True):
    """Return a compiled step of (params, state, grads)."""
    return as_shipped(
        lambda params, state, grads: take(optimizer, grads, state, params), donate_argnums=(0, 1) if donate else ()
    )


def is_by_kernel(function, *arguments) -> bool:
    """Return whether a program calls the kernel."""
    return xla.TARGET in jax.jit(function).lower(*arguments).as_text()


def in_torch(array) -> torch.Tensor:
    """Return a copy of an array as a tensor, bit for bit; NumPy and torch share no bfloat16."""
    integers = np.array(array).view(f"int{8 * array.dtype.itemsize}")
    return torch.from_numpy(integers).view(getattr(torch, array.dtype.name))


def bytes_of(tensor) -> bytes:
    """Return the memory of a tensor."""
    return tensor.detach().view(torch.uint8).numpy().tobytes()


def bits(array) -> bytes:
    """Return the memory of an array."""
    return np.asarray(array).tobytes()


@needs_kernel
@pytest.mark.parametrize("cases", batches())
def test_every_case_is_within_its_bound_and_has_the_kernel_s_bits(cases: tuple[Case, ...]) -> None:
    """After 100 steps: as near to the float64 rule as the plain step, and bit for bit what `downslope.numpy` has."""
    optimizers = [sgd(settings=case.settings, groups=case.groups) for case in cases]
    ended = run_together(cases, optimizers, jnp.float32, take=take_step)
    for case, (params, state) in zip(cases, ended, strict=True):
        param_error, velocity_error = errors(case, params, state, "float32")
        assert param_error <= PARAM_BOUND_ULP, case
        assert velocity_error <= VELOCITY_BOUND_ULP, case
        arrays = initial_params(np.float32)
        optimizer = downslope.numpy.SGD(arrays, settings=case.settings, groups=case.groups, fused=True)
        for t in range(STEPS):
            optimizer.step(gradients(case, t, np.float32))
        for name, param in flat(params).items() if not case.has_factors else ():  # whose norms XLA adds up
            assert bits(param) == bits(arrays[name]), (case, name)


@needs_kernel
@pytest.mark.parametrize("name", ["nesterov-coupled", "all-three-scheduled", "late-with-gaps-and-groups"])
def test_float64(name: str) -> None:
    """With 64 bits, a few units of the last place at most."""
    with jax.enable_x64(True):
        case = BY_NAME[name]
        params, state = run(sgd(settings=case.settings, groups=case.groups), case, jnp.float64, take=take_step)
    assert max(errors(case, params, state, "float64")) <= 24


@needs_kernel
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize("velocity_dtype", [None, "bfloat16", "float16", "float32", "float64"])
def test_all_formats_have_the_kernel_s_bits(dtype: str, velocity_dtype: str | None) -> None:
    """Each pair of formats, numbers below the smallest normal one among them, as `downslope.torch` steps it."""
    with jax.enable_x64(True):
        start = jnp.concatenate([jnp.linspace(-2, 2, 999), jnp.array([6e-8, 1e-39, 0.0])]).astype(dtype)
        grad = jnp.concatenate([jnp.linspace(1, -3, 999), jnp.array([1e-7, 1e-39, 1e-40])]).astype(dtype)
        optimizer = sgd(settings=NESTEROV, velocity_dtype=velocity_dtype)
        params = {"x": start.copy()}
        state, step = optimizer.init(params), stepper(optimizer)
        for _ in range(4):
            params, state = step(params, state, {"x": grad})
        velocity = state.velocity["x"]
    assert velocity.dtype == (velocity_dtype or dtype)
    param = torch.nn.Parameter(in_torch(start))
    width = None if velocity_dtype is None else getattr(torch, velocity_dtype)
    peer = downslope.torch.SGD([param], settings=NESTEROV, velocity_dtype=width, fused=True)
    for _ in range(4):
        param.grad = in_torch(grad)
        peer.step()
    assert bits(params["x"]) == bytes_of(param)
    assert bits(velocity) == bytes_of(peer.state[param]["momentum_buffer"])


@needs_kernel
def test_what_is_not_donated_stays_intact() -> None:
    """Nothing that was passed changes, a gradient that is the parameter itself included."""
    optimizer = sgd(settings=NESTEROV)
    params = {"x": jnp.arange(1000.0), "y": jnp.ones((3, 5))}
    state = optimizer.init(params)
    kept = [bits(leaf) for leaf in jax.tree.leaves((params, state))]
    step = stepper(optimizer, donate=False)
    first = step(params, state, params)
    again = step(params, state, params)
    assert kept == [bits(leaf) for leaf in jax.tree.leaves((params, state))]
    assert list(map(bits, jax.tree.leaves(first))) == list(map(bits, jax.tree.leaves(again)))
    np.testing.assert_allclose(first[0]["x"], np.arange(1000) * (1 - 0.1 * 1.9 * 1.01), rtol=1e-6)
    # one array in two places, and one that is still read after the step
    twice = jax.jit(lambda x, s: (take_step(optimizer, {"x": x, "y": x}, s, {"x": x, "y": x}), x + 1))
    x = jnp.arange(4.0)
    (moved, _), beside = twice(x, optimizer.init({"x": x, "y": x}))
    np.testing.assert_array_equal(beside, np.arange(4) + 1)
    np.testing.assert_array_equal(moved["x"], moved["y"])
    np.testing.assert_allclose(moved["x"], np.arange(4) * (1 - 0.1 * 1.9 * 1.01), rtol=1e-6)


@needs_kernel
def test_donated_arrays_are_stepped_where_they_lie() -> None:
    """The new parameters and velocities have the addresses of the old ones, and no temporary array is made."""
    optimizer = sgd(settings=NESTEROV)
    params = {"x": jnp.ones(100_000), "y": jnp.ones((300, 300))}
    state, grads = optimizer.init(params), jax.tree.map(jnp.ones_like, params)
    memory = stepper(optimizer).lower(params, state, grads).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 10_000
    assert memory.alias_size_in_bytes >= 2 * 4 * 190_000
    addresses = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((params, state.velocity))]
    new_params, new_state = stepper(optimizer)(params, state, grads)
    assert addresses == [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((new_params, new_state.velocity))]
    assert params["x"].is_deleted()


@needs_kernel
def test_a_step_is_compiled_once() -> None:
    """Steps that follow compile nothing, while count and schedule go on."""
    optimizer = sgd(Exponential(0.5, 0.5, 1, staircase=True))
    traced = []

    @jax.jit
    def step(params, state):
        traced.append(1)
        return take_step(optimizer, {"x": jnp.ones(3)}, state, params)

    params = {"x": jnp.zeros(3)}
    state = optimizer.init(params)
    for _ in range(5):
        params, state = step(params, state)
    assert len(traced) == 1
    assert step._cache_size() == 1
    assert int(state.count) == 5
    np.testing.assert_array_equal(params["x"], [-(0.5 + 0.25 + 0.125 + 0.0625 + 0.03125)] * 3)


@needs_kernel
def test_holes_empty_leaves_groups_and_what_the_kernel_does_not_take() -> None:
    """One tree with all of them moves as `update` says; only what the kernel takes is given to it."""
    without = Group(match="w", momentum=0.0, nesterov=False)
    optimizer = sgd(0.1, 0.9, nesterov=True, weight_decay=0.01, maximize=True, groups=[without])
    params = {
        "empty": jnp.zeros((0, 3)),
        "whole": {"a": jnp.ones(3), "b": jnp.ones(2)},
        "none": jnp.ones(3),
        "scalar": jnp.float32(2.0),
        "complex": jnp.full(3, 1 + 2j, jnp.complex64),
        "other": jnp.ones(4, jnp.bfloat16),
        "w": jnp.ones(5),
    }
    grads = {
        "empty": jnp.zeros((0, 3)),
        "whole": optax.MaskedNode(),
        "none": None,
        "scalar": jnp.float32(0.5),
        "complex": jnp.full(3, 1j, jnp.complex64),
        "other": jnp.ones(4, jnp.float32),
        "w": jnp.arange(5.0),
    }
    state = optimizer.init(params)
    found, after = jax.jit(lambda *trees: take_step(optimizer, *trees))(grads, state, params)
    updates, expected = optimizer.update(grads, state, params)
    assert int(after.count) == 1
    assert jax.tree.structure(after) == jax.tree.structure(expected)
    for name in ("empty", "scalar", "complex", "other", "w"):
        moved = (params[name] + updates[name]).astype(params[name].dtype)
        np.testing.assert_allclose(np.asarray(found[name], complex), np.asarray(moved, complex), rtol=1e-6)
        assert found[name].dtype == params[name].dtype
        if name != "w":
            theirs, ours = expected.velocity[name], after.velocity[name]
            np.testing.assert_allclose(np.asarray(ours, complex), np.asarray(theirs, complex), rtol=1e-6)
    assert after.velocity["w"] is None
    for name in ("none", "whole"):
        assert list(map(bits, jax.tree.leaves(found[name]))) == list(map(bits, jax.tree.leaves(params[name])))
        assert not any(leaf.any() for leaf in jax.tree.leaves(after.velocity[name]))
    text = jax.jit(lambda *trees: take_step(optimizer, *trees)).lower(grads, state, params).as_text()
    call = next(line for line in text.splitlines() if xla.TARGET in line)
    assert "complex" not in call
    assert "bf16" not in call


@needs_kernel
def test_more_tensors_than_one_call_takes() -> None:
    """A hundred small tensors, every third without a velocity, each its own numbers, have the kernel's bits."""
    group = Group(match="*0", momentum=0.0, nesterov=False)
    values = {f"{i}.{i % 3}": np.full(i % 4, i, np.float32) for i in range(100)}
    optimizer = sgd(settings=NESTEROV, groups=[group])
    params, grads = jax.tree.map(jnp.asarray, values), jax.tree.map(lambda x: jnp.asarray(x / 7), values)
    state, step = optimizer.init(params), stepper(optimizer)
    assert step.lower(params, state, grads).as_text().count(f"@{xla.TARGET}") == 4
    peer = downslope.numpy.SGD(values, settings=NESTEROV, groups=[group], fused=True)
    for _ in range(3):
        params, state = step(params, state, grads)
        peer.step({name: np.asarray(grad) for name, grad in grads.items()})
    for name, param in params.items():
        assert bits(param) == bits(values[name]), name


@needs_kernel
def test_first_gradients_are_marked_one_by_one() -> None:
    """Dampening spares each parameter's first gradient, whenever it comes."""
    optimizer = sgd(1.0, 0.5, dampening=0.5)
    params = {"a": jnp.zeros(2), "b": jnp.zeros(2)}
    state, one = optimizer.init(params), jnp.ones(2)
    step = stepper(optimizer)
    params, state = step(params, state, {"a": one, "b": None})
    params, state = step(params, state, {"a": one, "b": one})
    assert jax.tree.map(bool, state.started) == {"a": True, "b": True}
    np.testing.assert_array_equal(params["a"], [-2.0, -2.0])  # 1, then 0.5 * 1 + 0.5
    np.testing.assert_array_equal(params["b"], [-1.0, -1.0])
    # a state without marks goes by the count
    bare = stepper(optimizer)({"a": jnp.zeros(2)}, state._replace(velocity={"a": 2 * one}, started=None), {"a": one})
    np.testing.assert_array_equal(bare[0]["a"], [-1.5, -1.5])


@needs_kernel
def test_threads_make_no_difference() -> None:
    """One thread and three give the same bits; the number may change between two runs of one program."""
    optimizer, before = sgd(settings=NESTEROV), kernel.get_num_threads()
    params = {"x": jnp.linspace(-1, 1, 1_000_003)}
    step, state = stepper(optimizer, donate=False), optimizer.init(params)
    found = []
    try:
        for count in (1, 3, 1):
            kernel.set_num_threads(count)
            found.append(bits(step(params, state, params)[0]["x"]))
    finally:
        kernel.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@needs_kernel
def test_scan_carries_it() -> None:
    """In a scan, a loop within the program, it has the bits of single steps, 64 bits switched off or on."""
    optimizer = sgd(Exponential(0.1, 0.5, 2), 0.9, weight_decay=0.01)
    params, grads = {"x": jnp.arange(5.0)}, {"x": jnp.ones(5)}

    def body(carry, _):
        return take_step(optimizer, grads, carry[1], carry[0]), None

    looped = params, optimizer.init(params)
    step = stepper(optimizer, donate=False)
    for _ in range(6):
        looped = step(*looped, grads)
    for wide in (False, True):
        with jax.enable_x64(wide):
            start = params, optimizer.init(params)
            run = jax.jit(lambda start: jax.lax.scan(body, start, None, length=6)[0])
            assert is_by_kernel(lambda start: jax.lax.scan(body, start, None, length=6)[0], start)
            assert list(map(bits, jax.tree.leaves(run(start)))) == list(map(bits, jax.tree.leaves(looped)))


@needs_kernel
def test_vmap_and_grad_take_the_plain_step() -> None:
    """Batched over lr, and differentiated through three steps, inside `jit` and outside, it is what `update` gives."""

    def loss(take, lr):
        optimizer = sgd(lr, 0.9)
        params = {"w": jnp.array([1.0, -2.0])}
        state = optimizer.init(params)
        for _ in range(3):
            params, state = take(optimizer, params, state, params)
        return (params["w"] ** 2).sum()

    rates = jnp.array([0.1, 0.2])
    for transform in (
        jax.jit,
        jax.vmap,
        lambda f: jax.vmap(jax.jit(f)),
        lambda f: jax.jit(jax.vmap(jax.grad(f))),
        lambda f: jax.vmap(jax.grad(jax.jit(jax.checkpoint(f)))),
    ):
        argument = rates[0] if transform is jax.jit else rates
        found = transform(lambda lr: loss(take_step, lr))(argument)
        np.testing.assert_allclose(found, transform(lambda lr: loss(update_and_apply, lr))(argument), rtol=1e-4)
    assert is_by_kernel(lambda lr: loss(take_step, lr), rates[0])
    assert not is_by_kernel(jax.vmap(lambda lr: loss(take_step, lr)), rates)


def test_without_jit_and_with_other_optimizers_it_is_an_addition() -> None:
    """Outside of compiled programs, in a chain, and with optax's own: exactly `update` and the addition."""
    params, grads = {"x": jnp.arange(4.0), "y": jnp.ones(3)}, {"x": jnp.ones(4), "y": jnp.arange(3.0)}
    chain = optax.chain(optax.clip_by_global_norm(1.0), sgd(settings=NESTEROV))
    for optimizer in (sgd(settings=NESTEROV), chain, optax.sgd(0.1, 0.9)):
        state = optimizer.init(params)
        expected = list(map(bits, jax.tree.leaves(update_and_apply(optimizer, grads, state, params))))
        assert list(map(bits, jax.tree.leaves(take_step(optimizer, grads, state, params)))) == expected
    assert not is_by_kernel(lambda *trees: take_step(chain, *trees), grads, chain.init(params), params)


def test_an_exported_program_needs_no_kernel() -> None:
    """`jax.export` writes the plain step, which runs elsewhere."""
    optimizer, params = sgd(0.5, 0.5), {"x": jnp.ones(3)}
    state = optimizer.init(params)
    exported = jax.export.export(jax.jit(lambda p, s: take_step(optimizer, p, s, p)))(params, state)
    assert f"@{xla.TARGET}" not in exported.mlir_module()
    np.testing.assert_array_equal(exported.call(params, state)[0]["x"], [0.5] * 3)


def test_errors_are_those_of_update() -> None:
    """What does not fit is told in the same words, compiled or not."""
    optimizer = sgd(settings=NESTEROV)
    params = {"x": jnp.ones(3)}
    state = optimizer.init(params)
    with pytest.raises(SettingsError, match="shape"):
        jax.jit(lambda p: take_step(optimizer, {"x": jnp.ones(4)}, state, p))(params)
    with pytest.raises(StateError, match="order"):
        take_step(optimizer, params, params, state)
    with pytest.raises(SettingsError, match="weight decay needs the parameters"):
        take_step(optimizer, params, state, None)
    with pytest.raises(SettingsError, match="cannot hold"):
        jax.jit(lambda p: take_step(sgd(1e39), p, sgd(1e39).init(p), p))(params)


@needs_kernel
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([np.ones((1, 6), np.float32), np.ones(3, np.float32), np.ones(3, np.float32)], "must be float64"),
        ([np.ones((1, 5)), np.ones(3, np.float32), np.ones(3, np.float32)], "shape .n, 6"),
        ([np.ones((2, 6)), np.ones(3, np.float32), np.ones(3, np.float32)], "numbers of params"),
        ([np.ones((1, 6)), np.ones(3, np.float32), np.ones(4, np.float32)], "gradient does not fit"),
        ([np.ones((1, 6)), np.ones(3, np.float32), np.ones(3)], "gradient does not fit"),
        ([np.ones((1, 6)), np.ones(3, np.int32), np.ones(3, np.int32)], "no kernel"),
    ],
    ids=["format", "coefficients", "count", "shape", "grad-format", "integers"],
)
def test_the_entry_refuses_what_does_not_fit(arrays, message: str) -> None:
    """Called by its name with anything but a step's arrays, it is an error of XLA, and no memory is touched."""
    with jax.enable_x64(True):
        result = [jax.ShapeDtypeStruct(arrays[1].shape, arrays[1].dtype)]
        call = jax.ffi.ffi_call(xla.TARGET, result, input_output_aliases={1: 0})
        with pytest.raises(jax.errors.JaxRuntimeError, match=message):
            jax.block_until_ready(jax.jit(call)(*map(jnp.asarray, arrays)))


FALLBACK = """
import jax, jax.numpy as jnp
from downslope import kernel
from downslope.jax import sgd, take_step
from downslope.kernel import xla

{before}
assert not xla.is_registered()
optimizer = sgd(0.5, 0.5, nesterov=True, weight_decay=0.5)
params = {{"x": jnp.ones(3)}}
state = optimizer.init(params)
step = jax.jit(lambda s, p: take_step(optimizer, {{"x": jnp.ones(3)}}, s, p))
assert "downslope_step" not in step.lower(state, params).as_text()
params, state = step(state, params)
assert params["x"].tolist() == [-0.125] * 3 and int(state.count) == 1
"""


@pytest.mark.parametrize(
    ("switch", "before"),
    [
        ("off", "assert kernel.load_native() is None"),
        ("", "def refuse(*_, **__): raise RuntimeError\njax.ffi.register_ffi_target = refuse"),
    ],
    ids=["switched-off", "refused-by-xla"],
)
def test_without_the_kernel_it_is_the_plain_step(switch: str, before: str) -> None:
    """With DOWNSLOPE_KERNEL=off, or where XLA does not take the entry, the step is taken all the same."""
    environment = {**os.environ, "DOWNSLOPE_KERNEL": switch, "JAX_PLATFORMS": "cpu"}
    code = FALLBACK.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
