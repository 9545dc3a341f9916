"""Files of flax and orbax, written by these libraries: what is found in them, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy

import downslope.jax
from downslope.cli.main import main
from downslope.core.errors import MissingDependencyError, StateError
from downslope.jax.state_files import read_msgpack, read_orbax

serialization = pytest.importorskip("flax.serialization")
checkpoint = pytest.importorskip("orbax.checkpoint")

PARAMS = {
    "dense": {"kernel": jnp.arange(6, dtype=jnp.float32).reshape(2, 3) / 8, "bias": jnp.ones(3)},
    "trace": {"count": jnp.array([0.5, 0.25])},  # words of states, as names of parameters
}
NAMES = ("dense.bias", "dense.kernel", "trace.count")


def grads_at(step: int):
    """Return gradients that differ from step to step."""
    return jax.tree.map(lambda p: p * 0.5 + (step + 1) / 16, PARAMS)


def trained(optimizer, params=None, steps: int = 3):
    """Return parameters and state after some steps."""
    params = PARAMS if params is None else params
    state = optimizer.init(params)
    for step in range(steps):
        delta, state = optimizer.update(grads_at(step), state, params)
        params = optax.apply_updates(params, delta)
    return params, state


def by_name(tree) -> dict[str, np.ndarray]:
    """Return the leaves of a tree by name."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}


def assert_holds(found, params, trace, step) -> None:
    """Fail unless a snapshot holds these, bit for bit."""
    for held, tree in ((found.params, params), (found.velocity, trace)):
        wanted = {} if tree is None else by_name(tree)
        assert sorted(held) == sorted(wanted)
        assert all(np.array_equal(held[name], wanted[name]) for name in wanted)
    assert found.step == step


def scheduled():
    """Return an optax chain that keeps its trace deep in its state, beside a count."""
    return optax.chain(optax.add_decayed_weights(1e-3), optax.sgd(optax.linear_schedule(0.1, 0.0, 10), momentum=0.9))


def test_a_train_state_of_flax(tmp_path):
    """Parameters, trace and step of a `TrainState`, whatever the parameters are called."""
    train_state = pytest.importorskip("flax.training.train_state")
    state = train_state.TrainState.create(apply_fn=None, params=PARAMS, tx=scheduled())
    for step in range(3):
        state = state.apply_gradients(grads=grads_at(step))
    (tmp_path / "run.msgpack").write_bytes(serialization.to_bytes(state))
    found = read_msgpack(tmp_path / "run.msgpack", "optax")
    assert_holds(found, state.params, state.opt_state[1][0].trace, 3)


def test_a_state_alone(tmp_path):
    """A state of optax and one of ours, without parameters; a parameter that has had no gradient has no velocity."""
    file = tmp_path / "state.msgpack"
    _, state = trained(scheduled())
    file.write_bytes(serialization.to_bytes(state))
    assert_holds(read_msgpack(file, "optax"), None, state[1][0].trace, 3)

    ours = downslope.jax.sgd(lr=0.1, momentum=0.9, dampening=0.5)
    own = ours.init(PARAMS)
    _, own = ours.update(grads_at(0) | {"trace": {"count": None}}, own, PARAMS)
    file.write_bytes(serialization.to_bytes(own))
    found = read_msgpack(file, "downslope")
    assert sorted(found.velocity) == sorted(NAMES)
    assert found.velocity["trace.count"] is None
    assert np.array_equal(found.velocity["dense.kernel"], own.velocity["dense"]["kernel"])
    assert found.step == 1


def test_one_array_is_a_whole_tree(tmp_path):
    """Where the parameters are one array, its velocity is called by the state's word."""
    optimizer = optax.sgd(0.1, momentum=0.9)
    _, state = optimizer.update(jnp.ones(3), optimizer.init(jnp.zeros(3)))
    (tmp_path / "one.msgpack").write_bytes(serialization.to_bytes(state))
    assert list(read_msgpack(tmp_path / "one.msgpack", "optax").velocity) == ["trace"]


def test_bfloat16_becomes_float32(tmp_path):
    """The same numbers, and a note."""
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    state = optax.sgd(0.1, momentum=0.9, accumulator_dtype=jnp.bfloat16).init(params)
    state = jax.tree.map(lambda v: v + jnp.bfloat16(0.375), state)
    (tmp_path / "b.msgpack").write_bytes(serialization.to_bytes({"params": params, "opt_state": state}))
    found = read_msgpack(tmp_path / "b.msgpack", "optax")
    assert {a.dtype for a in [*found.velocity.values(), *found.params.values()]} == {np.dtype(np.float32)}
    assert np.array_equal(found.velocity["dense.bias"], np.full(3, 0.375))
    assert found.notes == ("bfloat16 became float32, which holds the same numbers",)


def test_velocities_of_8_bits_become_float32(tmp_path):
    """Those of flax and of orbax, with a note; what is only called so is a layer's."""
    params = {
        "w": jnp.sin(jnp.arange(5000.0)),
        "b": jnp.ones(3),
        "quantizer": {"codes": jnp.ones(2), "scales": jnp.ones(2)},
    }
    optimizer = downslope.jax.sgd(lr=0.1, momentum=0.9, velocity_dtype="int8")
    _, state = optimizer.update(params, optimizer.init(params), params)
    (tmp_path / "run.msgpack").write_bytes(serialization.to_bytes({"params": params, "opt_state": state}))
    checkpoint.PyTreeCheckpointer().save(tmp_path / "folder", {"params": params, "opt_state": state})
    expected = by_name(downslope.jax.decoded_state(state).velocity)
    for found in (read_msgpack(tmp_path / "run.msgpack", "downslope"), read_orbax(tmp_path / "folder", "downslope")):
        assert sorted(found.velocity) == sorted(expected) == ["b", "quantizer.codes", "quantizer.scales", "w"]
        assert all(np.array_equal(found.velocity[name], expected[name]) for name in expected)
        assert found.notes == ("velocities of 8 bits became float32: the numbers that they stood for",)
        assert found.step == 1
    broken = state._replace(velocity=state.velocity | {"w": state.velocity["w"]._replace(scales=jnp.ones(3))})
    (tmp_path / "run.msgpack").write_bytes(serialization.to_bytes(broken))
    with pytest.raises(
        StateError, match=r"`w`: codes of 8 bits need a float32 scale for each 256; got \(5000,\) codes"
    ):
        read_msgpack(tmp_path / "run.msgpack", "downslope")


def test_folders_of_orbax(tmp_path):
    """A tree saved by each of orbax's ways; of a manager's several steps one has to be named."""
    params, state = trained(scheduled())
    tree = {"params": params, "opt_state": state, "step": 3}
    standard = checkpoint.StandardCheckpointer()
    standard.save(tmp_path / "standard", tree)
    standard.wait_until_finished()
    checkpoint.PyTreeCheckpointer().save(tmp_path / "pytree", tree)
    with checkpoint.CheckpointManager(tmp_path / "manager") as manager:
        for step in (9, 10):
            manager.save(step, args=checkpoint.args.StandardSave(tree))
        manager.wait_until_finished()
    for folder in ("standard", "pytree", "manager/9"):
        assert_holds(read_orbax(tmp_path / folder, "optax"), params, state[1][0].trace, 3)
    with pytest.raises(
        StateError, match=r"holds the steps of a CheckpointManager: 9, 10\. Give one of them, such as .*10"
    ):
        read_orbax(tmp_path / "manager", "optax")


@pytest.mark.slow
def test_a_damaged_folder_of_orbax_is_refused(tmp_path):
    """In a process of its own, since what orbax leaves behind of a reading that failed ends with the process."""
    checkpoint.PyTreeCheckpointer().save(tmp_path / "run", {"trace": {"w": np.ones(2, np.float32)}})
    data = max((tmp_path / "run").rglob("d/*"), key=lambda file: file.stat().st_size)
    data.write_bytes(data.read_bytes()[:-7])
    words = ["convert", tmp_path / "run", tmp_path / "out.safetensors", "--from", "optax", "--to", "torch"]
    done = subprocess.run(
        [sys.executable, "-m", "downslope", *map(str, words), "--sgd.lr", "0.1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "run: damaged, or not what its name says" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.safetensors").exists()


def test_damaged_and_hostile_msgpack_is_refused(tmp_path):
    """Cut anywhere, with more behind it, random, or with an array of Python objects: one error, and nothing is run."""
    import msgpack

    file = tmp_path / "bad.msgpack"
    whole = serialization.to_bytes(trained(scheduled())[1])
    objects = msgpack.packb(((2,), "O", b"\x00" * 16))
    hostile = msgpack.packb({"trace": {"w": msgpack.ExtType(1, objects)}})
    noise = np.random.default_rng(0).bytes(200)
    for content in (*(whole[:cut] for cut in range(0, len(whole), 17)), whole + b"\x00", noise, hostile):
        file.write_bytes(content)
        with pytest.raises(StateError):
            read_msgpack(file, "optax")


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (
            {"opt_state": {"0": {}, "1": {"count": 3}}},
            r"must hold one state with a `trace`.* got none\. Save the optim",
        ),
        (
            {"a": {"trace": {"w": np.ones(2)}}, "b": {"trace": {"w": np.ones(2)}}},
            r"got 2:\n  - a\.trace\n  - b\.trace\n",
        ),
        ({"trace": {"w": np.arange(3)}}, r"`w` must hold floating or complex numbers; got int64"),
        ({"trace": {}}, r"trace holds no array"),
        ([1, 2], r"must hold one state with a `trace`"),
    ],
)
def test_trees_that_say_too_little_or_too_much(tree, message, tmp_path):
    """No state with velocities, several, or velocities of another kind."""
    (tmp_path / "t.msgpack").write_bytes(serialization.msgpack_serialize(tree))
    with pytest.raises(StateError, match=message):
        read_msgpack(tmp_path / "t.msgpack", "optax")


def test_counts_that_contradict_each_other(tmp_path):
    """The step is then not known, and a note says so."""
    tree = {"step": 10, "opt_state": {"trace": {"w": np.ones(2)}, "count": np.int32(8)}}
    (tmp_path / "t.msgpack").write_bytes(serialization.msgpack_serialize(tree))
    found = read_msgpack(tmp_path / "t.msgpack", "optax")
    assert found.step is None
    assert found.notes == ("it counts 8 and 10 steps, so that the step is not known from it",)


@pytest.mark.parametrize(("module", "read"), [("flax.serialization", read_msgpack), ("orbax.checkpoint", read_orbax)])
def test_a_library_that_is_missing_is_named(module, read, monkeypatch, tmp_path):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r'pip install "downslope\[flax\]"'):
        read(tmp_path, "optax")


@pytest.mark.parametrize("kind", ["flax", "orbax"])
def test_a_training_of_optax_goes_on_in_torch(kind, tmp_path, capsys):
    """Three more steps of torch.optim.SGD, from the converted file, end where optax's end."""
    import safetensors.torch
    import torch

    optimizer = optax.sgd(0.125, momentum=0.875)
    params, state = trained(optimizer, steps=3)
    tree = {"params": params, "opt_state": state, "step": 3}
    given = tmp_path / ("run.msgpack" if kind == "flax" else "run")
    if kind == "flax":
        given.write_bytes(serialization.to_bytes(tree))
    else:
        checkpoint.PyTreeCheckpointer().save(given, tree)
    words = ["convert", given, tmp_path / "out.safetensors", "--from", "optax", "--to", "torch"]
    assert main([*map(str, words), "--sgd.lr", "0.125", "--sgd.momentum", "0.875"]) == 0
    assert "3 velocities, 3 arrays of the model, after 3 steps" in capsys.readouterr().out
    saved = safetensors.torch.load_file(tmp_path / "out.safetensors")
    own = {name: saved[f"param.{name}"].requires_grad_() for name in NAMES}
    theirs = torch.optim.SGD(own.values(), lr=0.125, momentum=0.875)
    for name, param in own.items():
        theirs.state[param]["momentum_buffer"] = saved[f"velocity.{name}"]
    for step in range(3, 6):
        for name, grad in by_name(grads_at(step)).items():
            own[name].grad = torch.tensor(grad)
        theirs.step()
        delta, state = optimizer.update(grads_at(step), state, params)
        params = optax.apply_updates(params, delta)
    for name, param in by_name(params).items():
        np.testing.assert_allclose(own[name].detach().numpy(), param, rtol=1e-6)


def test_a_folder_of_orbax_needs_its_system_named(tmp_path, capsys):
    """Only a run of ours says itself whose it is."""
    checkpoint.PyTreeCheckpointer().save(tmp_path / "run", {"trace": {"w": np.ones(2, np.float32)}})
    assert main(["convert", str(tmp_path / "run"), str(tmp_path / "out.safetensors"), "--to", "torch"]) == 2
    assert "--from is missing" in capsys.readouterr().err


def test_averages_of_our_own_come_along(tmp_path):
    """With `ema`; before the first step there are none."""
    optimizer = downslope.jax.sgd(0.1, 0.9, ema=0.5)
    for steps in (0, 3):
        params, state = trained(optimizer, steps=steps)
        (tmp_path / "a.msgpack").write_bytes(serialization.to_bytes({"params": params, "opt_state": state}))
        found = read_msgpack(tmp_path / "a.msgpack", "downslope").average
        assert sorted(found) == (list(NAMES) if steps else [])
        for name, array in found.items():
            head, last = name.split(".")
            np.testing.assert_array_equal(array, state.average[head][last])


def test_averages_of_some_groups_come_along(tmp_path):
    """Of those that keep one, and into a file of tensors."""
    groups = [downslope.Group(match="*.bias", ema=0)]
    optimizer = downslope.jax.sgd(0.1, 0.9, ema=0.5, groups=groups)
    params, state = trained(optimizer, steps=3)
    path = tmp_path / "a.msgpack"
    path.write_bytes(serialization.to_bytes({"params": params, "opt_state": state}))
    kept = [name for name in NAMES if not name.endswith(".bias")]
    assert 0 < len(kept) < len(NAMES)
    found = read_msgpack(path, "downslope")
    assert sorted(found.average) == kept
    assert sorted(found.velocity) == list(NAMES)
    out = tmp_path / "out.safetensors"
    settings = ("--sgd.lr", "0.1", "--sgd.momentum", "0.9")
    assert main(["convert", str(path), str(out), "--from", "downslope", "--to", "downslope", *settings]) == 0
    tensors = safetensors.numpy.load_file(out)
    assert sorted(name for name in tensors if name.startswith("average.")) == [f"average.{name}" for name in kept]
