"""JAX's own transformations through a step: vmap, scan, grad, donation; and several devices."""

from __future__ import annotations

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax_runs import apply, case_grads, case_params, flat

from cases import CASES
from downslope.jax import sgd
from downslope.schedules import Exponential, Warmup
from quick_xla import QUICK, as_shipped

CASE = next(case for case in CASES if case.name == "nesterov-coupled")
OPTIMIZER = sgd(
    Warmup(3, Exponential(0.1, 0.5, 4, staircase=True)), 0.9, nesterov=True, weight_decay=0.01, decay="corrected"
)


def step(params, state, grads):
    """Take one step."""
    updates, state = OPTIMIZER.update(grads, state, params)
    return apply(params, updates), state


def looped(steps=10):
    """Return parameters and state after compiled steps, one call each."""
    params = case_params(jnp.float32)
    state = OPTIMIZER.init(params)
    compiled = jax.jit(step)
    for t in range(steps):
        params, state = compiled(params, state, case_grads(CASE, t, jnp.float32))
    return params, state


def assert_same(ours, theirs, rtol=1e-6):
    """Assert that two trees agree."""
    for name, leaf in flat(theirs).items():
        np.testing.assert_allclose(flat(ours)[name], leaf, rtol=rtol, atol=rtol, err_msg=name)


def test_scan_is_the_loop() -> None:
    """The state has one structure and format throughout, so that `lax.scan` carries it."""
    grads = [case_grads(CASE, t, jnp.float32) for t in range(10)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *grads)
    params = case_params(jnp.float32)
    start = (params, OPTIMIZER.init(params))
    (params, state), _ = jax.lax.scan(lambda carry, grad: (step(*carry, grad), None), start, stacked)
    assert_same(params, looped()[0])
    assert state.count.dtype == jnp.int32
    assert int(state.count) == 10


def test_vmap_over_models_at_different_steps() -> None:
    """An ensemble under vmap, each member with a count of its own, moves as each alone."""
    singles = []
    for member in range(3):
        params = case_params(jnp.float32)
        singles.append((params, OPTIMIZER.init(params)._replace(count=jnp.int32(4 * member))))
    grads = case_grads(CASE, 0, jnp.float32)
    params, state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *singles)
    together, after = jax.jit(jax.vmap(step, in_axes=(0, 0, None)))(params, state, grads)
    compiled = jax.jit(step)
    for member, single in enumerate(singles):
        alone, _ = compiled(*single, grads)
        assert_same(jax.tree.map(lambda leaf, m=member: leaf[m], together), alone)
    np.testing.assert_array_equal(after.count, [1, 5, 9])


def test_vmap_over_learning_rates() -> None:
    """A sweep: lr as a traced array, batched."""
    params, grads = case_params(jnp.float32), case_grads(CASE, 0, jnp.float32)

    def one(lr):
        optimizer = sgd(lr, 0.9, weight_decay=0.1)
        return optimizer.update(grads, optimizer.init(params), params)[0]

    swept = jax.jit(jax.vmap(one))(jnp.array([0.1, 0.2]))
    for place, lr in enumerate((0.1, 0.2)):
        assert_same(jax.tree.map(lambda leaf, i=place: leaf[i], swept), one(lr))


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_run_through_the_steps(compiled) -> None:
    """d loss / d (lr, momentum, weight decay) after five steps is what differences say, schedules beside or not."""

    def loss(lr, momentum, decay):
        optimizer = sgd(lr, momentum, weight_decay=decay, decay="decoupled", nesterov=True)
        # an exact schedule in 64 bits multiplies the traced number
        mixed = sgd(Exponential(0.1, 0.5, 3), momentum, weight_decay=decay, decay="decoupled")
        total = 0.0
        for one in (optimizer, mixed):
            params = {"x": jnp.array([1.0, -2.0])}
            state = one.init(params)
            for _ in range(5):
                updates, state = one.update(jax.tree.map(lambda x: 2 * x, params), state, params)
                params = optax.apply_updates(params, updates)
            total += (params["x"] ** 2).sum()
        return total

    point = (0.05, 0.5, 0.1)
    slope = jax.grad(loss, argnums=(0, 1, 2))
    found = (jax.jit(slope) if compiled else slope)(*map(jnp.float32, point))
    with jax.enable_x64(True):
        for place in range(3):
            up, down = list(point), list(point)
            up[place] += 1e-5
            down[place] -= 1e-5
            expected = (loss(*map(jnp.float64, up)) - loss(*map(jnp.float64, down))) / 2e-5
            assert float(found[place]) == pytest.approx(float(expected), rel=1e-4)


def test_donated_buffers_are_written_in_place() -> None:
    """With params and state donated, XLA needs no temporary array, Nesterov and coupled decay together included."""
    optimizer = sgd(0.1, 0.9, nesterov=True, weight_decay=0.01)
    params = {"x": jnp.ones(100_000), "y": jnp.ones((300, 300))}
    state = optimizer.init(params)

    def step(params, state, grads):
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    grads = jax.tree.map(jnp.ones_like, params)
    compiled = as_shipped(step, donate_argnums=(0, 1)).lower(params, state, grads).compile()
    memory = compiled.memory_analysis()
    assert memory.temp_size_in_bytes < 1000
    assert memory.alias_size_in_bytes >= 2 * 4 * 190_000
    new_params, _ = compiled(params, state, grads)
    assert params["x"].is_deleted()
    np.testing.assert_allclose(new_params["y"], 1 - 0.1 * (1.01 + 0.9 * 1.01), rtol=1e-6)


DEVICES = """
import sys
sys.path[:0] = {paths!r}
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from downslope.jax import sgd, take_step
from downslope.schedules import Exponential, Warmup

assert jax.device_count() == 4
optimizer = sgd(Warmup(2, Exponential(0.1, 0.5, 3, staircase=True)), 0.9, nesterov=True, dampening=0.1,
                weight_decay=0.01)
params = {{"w": jnp.arange(32.0).reshape(8, 4), "b": jnp.ones(8)}}
grads = jax.tree.map(lambda x: 0.1 * x + 1, params)

def step(params, state, grads):
    if {in_one}:
        return take_step(optimizer, grads, state, params)
    updates, state = optimizer.update(grads, state, params)
    return jax.tree.map(jnp.add, params, updates), state

def run(step, params, state, grads):
    for _ in range(6):
        params, state = step(params, state, grads)
    return params, state

def close(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(np.asarray(x, np.float64), np.asarray(y, np.float64), rtol=1e-6)

expected = run(jax.jit(step), params, optimizer.init(params), grads)
mesh = Mesh(np.array(jax.devices()), ("i",))

rows = NamedSharding(mesh, P("i"))
sharded, sharded_grads = jax.device_put((params, grads), rows)
state = jax.jit(optimizer.init)(sharded)
found = run(jax.jit(step, donate_argnums=(0, 1)), sharded, state, sharded_grads)
assert found[0]["w"].sharding.is_equivalent_to(rows, 2) and found[1].velocity["w"].sharding.is_equivalent_to(rows, 2)
close(found, expected)
assert "downslope_step" not in jax.jit(step).lower(sharded, state, sharded_grads).as_text()
eager = optimizer.init(jax.device_put(params, rows))
close(run(step, jax.device_put(params, rows), eager, sharded_grads), expected)
print("sharded")

specs = jax.tree.map(lambda leaf: P("i") if leaf.ndim else P(), optimizer.init(params))
inside = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=(P("i"), specs, P("i")), out_specs=(P("i"), specs)))
close(run(inside, params, optimizer.init(params), grads), expected)
print("shard_map")

spread = lambda tree: jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), tree)
each = run(jax.pmap(step), *spread((params, optimizer.init(params), grads)))
close(each, spread(expected))
print("pmap")
"""


def test_four_devices() -> None:
    """NamedSharding (with donation, and without jit), shard_map and pmap give what one device gives, by either way."""
    environment = {
        **os.environ,
        "XLA_FLAGS": f"{QUICK} --xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
    }
    paths = [path for path in sys.path if path]
    code = "".join(DEVICES.format(paths=paths, in_one=in_one) for in_one in (False, True))  # update, take_step
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == 2 * ["sharded", "shard_map", "pmap"]
