"""``downslope convert`` on files as other programs leave them: names that say nothing, several optimizers, no names."""

import json

import numpy as np
import pytest
from command_line import fail, succeed
from safetensors.numpy import load_file, save_file

from downslope.cli.main import main
from downslope.converting.keras_files import read_keras
from downslope.converting.tensor_files import read_tensors
from downslope.core.errors import StateError

SETTINGS = ["--sgd.lr", "0.125", "--sgd.momentum", "0.875"]


@pytest.fixture(scope="module")
def stepped():
    """Return two models and their optimizers after a step: the velocities are the first gradients."""
    import torch

    torch.manual_seed(0)
    made = []
    for width in (3, 5):
        model = torch.nn.Sequential(torch.nn.Linear(width, 4), torch.nn.Linear(4, 4))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.125, momentum=0.875)
        model(torch.randn(2, width)).square().sum().backward()
        optimizer.step()
        made.append((model, optimizer))
    return made


def convert(path, out, *more, source="torch", target="optax"):
    """Return the words that convert a file."""
    return ["convert", path, out, "--from", source, "--to", target, "--force", *more]


def lightning(*pairs):
    """Return a checkpoint of the form that Lightning 2 writes for a module with these models and optimizers."""
    weights = {f"part{i}.{name}": t for i, (model, _) in enumerate(pairs) for name, t in model.state_dict().items()}
    return {
        "epoch": 1,
        "global_step": 1,
        "pytorch-lightning_version": "2.6.0",
        "state_dict": weights,
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": ""}},
        "optimizer_states": [optimizer.state_dict() for _, optimizer in pairs],
        "lr_schedulers": [],
    }


@pytest.mark.parametrize("name", ["run.ckpt", "run.pth.tar", "optimizer.bin", "run", "run.safetensor", "run.old"])
@pytest.mark.parametrize("is_zip", [True, False])
def test_torch_files_are_known_by_their_content(name, is_zip, stepped, tmp_path, capsys):
    """Whatever they are called, as torch writes them now and as it did before 1.6."""
    import torch

    model, optimizer = stepped[0]
    torch.save(optimizer.state_dict(), tmp_path / name, _use_new_zipfile_serialization=is_zip)
    succeed(convert(tmp_path / name, tmp_path / "out.safetensors"), capsys)
    found = load_file(tmp_path / "out.safetensors")
    for place, param in enumerate(model.parameters()):
        np.testing.assert_array_equal(found[f"velocity.{place}"], param.grad.numpy())


def test_other_formats_are_known_by_their_content(tmp_path, capsys):
    """safetensors, msgpack and HDF5 under names of others, and names that say nothing."""
    import h5py
    from flax import serialization

    velocity = np.array([1.0, 2.0], np.float32)
    out = tmp_path / "out.safetensors"
    for name in ("model.bin", "model.ckpt", "model.pt"):
        save_file({"velocity.w": velocity}, tmp_path / name)
        succeed(convert(tmp_path / name, out, *SETTINGS), capsys)
        np.testing.assert_array_equal(load_file(out)["velocity.w"], velocity)
    (tmp_path / "state.ckpt").write_bytes(serialization.msgpack_serialize({"trace": {"w": velocity}}))
    succeed(convert(tmp_path / "state.ckpt", out, *SETTINGS, source="optax", target="torch"), capsys)
    np.testing.assert_array_equal(load_file(out)["velocity.w"], velocity)
    with h5py.File(tmp_path / "weights.hdf", "w") as file:
        file["optimizer/vars/0"], file["optimizer/vars/1"] = np.int64(3), np.float32(0.125)
        file["optimizer/vars/2"] = velocity
        file["layers/dense/vars/0"] = velocity
    succeed(convert(tmp_path / "weights.hdf", out, *SETTINGS, source="keras", target="keras"), capsys)
    np.testing.assert_array_equal(load_file(out)["velocity.dense/kernel"], velocity)


def test_content_that_is_nothing_known_is_said(tmp_path, capsys):
    """Text, nothing at all, an archive of arrays, an archive of something else, a tar archive."""
    import tarfile
    import zipfile

    (tmp_path / "text.pt").write_text("velocity = 3\n")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    np.savez(tmp_path / "arrays.npz", w=np.ones(3))
    with zipfile.ZipFile(tmp_path / "other.bin", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with tarfile.open(tmp_path / "old.pth.tar", "w") as archive:
        archive.add(tmp_path / "text.pt", "storages")
    for name, message in (
        ("text.pt", "its content is none that is read here: PyTorch's, safetensors,"),
        ("empty.ckpt", "it is empty"),
        ("arrays.npz", "is an archive of NumPy arrays, which does not say what is a velocity"),
        ("other.bin", "its zip archive holds neither PyTorch's data.pkl nor a Keras model"),
        ("old.pth.tar", "is a tar archive, as torch wrote before 0.4"),
    ):
        assert message in fail(convert(tmp_path / name, tmp_path / "out.safetensors"), capsys)
    assert not (tmp_path / "out.safetensors").exists()


def test_a_checkpoint_of_lightning(stepped, tmp_path, capsys):
    """Its one optimizer is found within `optimizer_states`, and its parameters are those of `state_dict`."""
    import torch

    torch.save(lightning(stepped[0]), tmp_path / "epoch=1.ckpt")
    words = convert(tmp_path / "epoch=1.ckpt", tmp_path / "out.safetensors", "--order", "model")
    printed = succeed(words, capsys)
    assert "4 velocities, 4 arrays of the model" in printed
    found = load_file(tmp_path / "out.safetensors")
    for name, param in stepped[0][0].named_parameters():
        np.testing.assert_array_equal(found[f"velocity.part0.{name}"], param.grad.numpy())
        np.testing.assert_array_equal(found[f"param.part0.{name}"], param.detach().numpy())


@pytest.mark.parametrize("chosen", ["1", "optimizer_states.1"])
def test_one_of_several_optimizers_is_chosen(chosen, stepped, tmp_path, capsys):
    """By its number or its place; without a choice the message lists them."""
    import torch

    torch.save(lightning(*stepped), tmp_path / "gan.ckpt")
    words = convert(tmp_path / "gan.ckpt", tmp_path / "out.safetensors", "--order", "place")
    message = fail(words, capsys)
    assert "got 2:\n  - optimizer_states.0\n  - optimizer_states.1\nChoose one with --optimizer" in message
    for wrong in ("2", "-1", "second", "1.0"):
        assert "has no optimizer" in fail([*words, f"--optimizer={wrong}"], capsys)
    succeed([*words, "--optimizer", chosen], capsys)
    found = load_file(tmp_path / "out.safetensors")
    for place, param in enumerate(stepped[1][0].parameters()):
        np.testing.assert_array_equal(found[f"velocity.{place}"], param.grad.numpy())


def test_one_of_several_states_of_optax_is_chosen(tmp_path, capsys):
    """With the parameters and the count of its own training."""
    from flax import serialization

    def training(value, step):
        velocity, param = np.full(2, value, np.float32), np.full(2, -value, np.float32)
        return {"params": {"w": param}, "opt_state": {"0": {"trace": {"w": velocity}}, "1": {"count": step}}}

    (tmp_path / "gan.msgpack").write_bytes(
        serialization.msgpack_serialize({"generator": training(1.0, 7), "discriminator": training(2.0, 9)})
    )
    words = convert(tmp_path / "gan.msgpack", tmp_path / "out.safetensors", *SETTINGS, source="optax", target="torch")
    message = fail(words, capsys)
    assert "got 2:\n  - discriminator.opt_state.0.trace\n  - generator.opt_state.0.trace\n" in message
    succeed([*words, "--optimizer", "discriminator.opt_state.0.trace"], capsys)
    found = load_file(tmp_path / "out.safetensors")
    assert {name: array.tolist() for name, array in found.items()} == {
        "velocity.w": [2.0, 2.0],
        "param.w": [-2.0, -2.0],
        "step": 9,
    }


def test_formats_with_one_optimizer_take_no_choice(tmp_path, capsys):
    """Nor an order, which they say themselves."""
    save_file({"velocity.w": np.ones(2, np.float32)}, tmp_path / "a.safetensors")
    words = convert(tmp_path / "a.safetensors", tmp_path / "out.safetensors", *SETTINGS)
    assert "holds one optimizer; leave --optimizer out" in fail([*words, "--optimizer", "1"], capsys)
    assert "--order is for PyTorch's optimizers" in fail([*words, "--order", "model"], capsys)
    succeed([*words, "--optimizer", "0"], capsys)


def other_optimizers():
    """Return optimizers of torch that are not SGD, by the name that the message must say."""
    import torch

    kinds = torch.optim
    return {
        "Adam": [kinds.Adam, kinds.AdamW, kinds.NAdam, kinds.RAdam],
        "Adamax": [kinds.Adamax],
        "RMSprop": [kinds.RMSprop],
        "Adagrad": [kinds.Adagrad],
        "Adadelta": [kinds.Adadelta],
        "Rprop": [kinds.Rprop],
        "ASGD": [kinds.ASGD],
    }


@pytest.mark.parametrize("has_stepped", [True, False])
def test_the_state_of_another_optimizer_is_named(has_stepped, tmp_path, capsys):
    """By what it keeps, or before its first step by its arguments; nothing is said about unknown arguments."""
    import torch

    for name, kinds in other_optimizers().items():
        for kind in kinds:
            param = torch.nn.Parameter(torch.ones(3))
            optimizer = kind([param])
            if has_stepped:
                param.grad = torch.ones(3)
                optimizer.step()
            torch.save({"optimizer": optimizer.state_dict()}, tmp_path / "other.pt")
            message = fail(convert(tmp_path / "other.pt", tmp_path / "out.safetensors"), capsys)
            known = has_stepped or kind not in (torch.optim.Adamax, torch.optim.NAdam, torch.optim.RAdam)
            assert f"this is {name if known else 'an Adam-like optimizer'}'s state" in message, kind
            assert "unknown argument" not in message


def test_other_optimizers_of_optax_and_keras_are_named(tmp_path, capsys):
    """optax by the names of its states, a .weights.h5 file by the name that Keras gives the optimizer's variables."""
    import h5py
    import jax
    import optax
    from flax import serialization

    for name, optimizer in (
        ("Adam", optax.adamw(0.1)),
        ("RMSprop", optax.rmsprop(0.1)),
        ("Lion", optax.lion(0.1)),
        ("Adadelta", optax.adadelta(0.1)),
        ("Adagrad", optax.adagrad(0.1)),
    ):
        state = optimizer.init({"w": jax.numpy.ones(2)})
        (tmp_path / "o.msgpack").write_bytes(serialization.to_bytes({"params": {"w": np.ones(2)}, "opt_state": state}))
        words = convert(tmp_path / "o.msgpack", tmp_path / "out.safetensors", source="optax", target="torch")
        assert f"this is {name}'s state" in fail(words, capsys)
    save_file({"exp_avg.w": np.ones(2), "exp_avg_sq.w": np.ones(2)}, tmp_path / "a.safetensors")
    message = fail(convert(tmp_path / "a.safetensors", tmp_path / "out.safetensors"), capsys)
    assert "this is Adam's state (exp_avg, exp_avg_sq)" in message
    for called in ("adam", "rm_sprop"):  # RMSprop keeps what SGD keeps, one array of each parameter's shape
        with h5py.File(tmp_path / "a.weights.h5", "w") as file:
            file["optimizer/vars/0"], file["optimizer/vars/1"] = np.int64(3), np.float32(0.125)
            file["optimizer/vars/2"] = file["layers/dense/vars/0"] = np.ones(2, np.float32)
            file["optimizer/vars"].attrs["name"] = called
        words = convert(tmp_path / "a.weights.h5", tmp_path / "out.safetensors", *SETTINGS, source="keras")
        assert f"this is keras.optimizers' {called}'s state" in fail(words, capsys)


def test_an_order_is_never_guessed(tmp_path, capsys):
    """An optimizer without names beside a model: its parameters may have been given in any order."""
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False))
    first, second = model.parameters()
    optimizer = torch.optim.SGD([second, first], lr=0.125, momentum=0.875)
    first.grad, second.grad = torch.full((3, 3), 1.0), torch.full((3, 3), 2.0)
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "run.pt")
    out = tmp_path / "out.safetensors"
    message = fail(convert(tmp_path / "run.pt", out), capsys)
    assert "made without names, so that the file does not say which velocity is which parameter's" in message
    assert not out.exists()
    words = convert(tmp_path / "run.pt", out, "--order", "place", "--map", "0=1.weight", "--map", "1=0.weight")
    succeed(words, capsys)
    found = load_file(out)
    assert (found["velocity.0.weight"][0, 0], found["velocity.1.weight"][0, 0]) == (1.0, 2.0)


def test_an_order_that_is_said_is_checked(stepped, tmp_path, capsys):
    """Against the number and the shapes of the model's parameters; several groups, or no model, have no such order."""
    import torch

    model, optimizer = stepped[0]
    own, groups = optimizer.state_dict(), list(model.parameters())
    weights = model.state_dict()
    turned = dict(reversed(list(weights.items())))
    two = torch.optim.SGD([{"params": groups[:2]}, {"params": groups[2:]}], lr=0.1).state_dict()
    for content, message in (
        ({"optimizer": own, "model": turned}, "the velocity at place 0 is (4, 3), `1.bias` is (4,)"),
        (
            {"optimizer": own, "model": {"0.weight": groups[0].detach()}},
            "the optimizer has 4 parameters, the model 1: 0.weight",
        ),
        ({"optimizer": two, "model": weights}, "its optimizer has 2 groups"),
        ({"optimizer": own}, "there is no model in it"),
    ):
        torch.save(content, tmp_path / "a.pt")
        words = convert(tmp_path / "a.pt", tmp_path / "out.safetensors", "--order", "model")
        assert f"--order model: {message}" in fail(words, capsys)


@pytest.mark.parametrize("dtype", ["int32", "uint16", "bool", "int8", "uint64"])
@pytest.mark.parametrize("form", ["safetensors", "h5", "msgpack"])
def test_velocities_that_are_no_fractions_are_refused(dtype, form, tmp_path, capsys):
    """Whole numbers and truth values are no velocity: the message says which, and of what format."""
    import h5py
    from flax import serialization

    array = np.ones(3, dtype)
    source, path = "torch", tmp_path / "a.safetensors"
    if form == "safetensors":
        save_file({"velocity.w": array, "param.w": np.ones(3, np.float32)}, path)
    elif form == "h5":
        source, path = "keras", tmp_path / "a.weights.h5"
        with h5py.File(path, "w") as file:
            file["optimizer/vars/0"], file["optimizer/vars/1"] = np.int64(3), np.float32(0.125)
            file["optimizer/vars/2"] = array
            file["layers/dense/vars/0"] = np.ones(3, np.float32)
    else:
        source, path = "optax", tmp_path / "a.msgpack"
        path.write_bytes(serialization.msgpack_serialize({"trace": {"w": array}}))
    message = fail(convert(path, tmp_path / "out.safetensors", *SETTINGS, source=source), capsys)
    assert f"must hold floating or complex numbers; got {dtype}" in message
    assert "`w`" in message or "`dense/kernel`" in message or "`momentum/0`" in message


def test_a_velocity_is_told_once(tmp_path, capsys):
    """Two entries for one parameter, two counts, or one that has no gradient and has a velocity, contradict."""
    ones = np.ones(3, np.float32)
    path = tmp_path / "a.safetensors"
    for tensors, metadata, message in (
        ({"velocity.w": ones, "momentum_buffer.w": ones}, {}, "two entries for the velocity of `w`"),
        ({"velocity.w": ones, "param.w": ones, "params.w": ones}, {}, "two entries for the parameter of `w`"),
        ({"velocity.w": ones, "step": np.array(3), "count": np.array(4)}, {}, "says 3 and 4 steps"),
        ({"velocity.w": ones}, {"no_gradient_yet": json.dumps(["w"])}, "two entries for the velocity of `w`"),
        ({"velocity.w": ones}, {"no_gradient_yet": "[" * 100_000}, "no_gradient_yet"),
        ({"velocity.w": ones}, {"no_gradient_yet": "[1]"}, "Expected `str`, got `int`"),
    ):
        save_file(tensors, path, metadata)
        assert message in fail(convert(path, tmp_path / "out.safetensors", *SETTINGS), capsys)


@pytest.mark.parametrize("momentum", [0.875, 0.0])
def test_averages_go_where_they_are_kept(momentum, tmp_path, capsys):
    """From torch to torch, NumPy, JAX and Keras, by names and layouts; elsewhere they are left out, which is said."""
    import keras
    import torch

    import downslope.keras
    import downslope.numpy
    from downslope.torch import SGD

    model = torch.nn.Linear(3, 2)
    optimizer = SGD(model.named_parameters(), lr=0.125, momentum=momentum, ema=0.5)
    for scale in (1.0, 2.0):
        model(torch.ones(3)).sum().mul(scale).backward()
        optimizer.step()
    averages = {name: optimizer.state[p]["average"].numpy() for name, p in model.named_parameters()}
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
    words = convert(tmp_path / "state.pt", tmp_path / "out.safetensors", source="downslope", target="torch")
    assert main([str(word) for word in words]) == 0
    said = capsys.readouterr()
    assert "left out: averages of the weights (ema), which torch does not keep in its optimizer" in said.err
    assert "2 averages of the weights" in said.out
    assert not any("average" in name for name in load_file(tmp_path / "out.safetensors"))

    words = convert(tmp_path / "state.pt", tmp_path / "own.safetensors", source="downslope", target="downslope")
    assert main([str(word) for word in words]) == 0
    found = read_tensors(tmp_path / "own.safetensors", "downslope")
    for name, average in averages.items():
        np.testing.assert_array_equal(found.average[name], average)
    again = downslope.numpy.SGD(found.params, lr=0.125, momentum=momentum, ema=0.5)
    own = {name: velocity for name, velocity in found.velocity.items() if velocity is not None}
    again.load_state_dict({"step": found.step, "velocity": own, "average": found.average})
    np.testing.assert_array_equal(again.average["weight"], averages["weight"])

    like = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="last")])
    keeping = downslope.keras.SGD(0.125, momentum=momentum, use_ema=True, ema_momentum=0.5)
    like.compile(keeping, loss="mse")
    keeping.build(like.trainable_variables)
    like.save(tmp_path / "like.keras")
    words = ["--from", "downslope", "--to", "downslope.keras", "--like", tmp_path / "like.keras"]
    words += ["--map", "weight=last/kernel:dense", "--map", "bias=last/bias"]
    if not momentum:  # of which Keras keeps nothing to fill
        return
    assert main([str(word) for word in ["convert", tmp_path / "state.pt", tmp_path / "out.keras", *words]]) == 0
    loaded = keras.models.load_model(tmp_path / "out.keras").optimizer
    kept = {v.path.rsplit("last_")[-1]: np.asarray(v) for v in loaded.variables}
    np.testing.assert_array_equal(kept["kernel_average"], averages["weight"].T)
    np.testing.assert_array_equal(kept["bias_average"], averages["bias"])
    back = ["convert", tmp_path / "out.keras", tmp_path / "back.safetensors"]
    back += ["--from", "downslope.keras", "--to", "downslope"]
    back += ["--map", "last/kernel=weight:dense", "--map", "last/bias=bias"]
    assert main([str(word) for word in back]) == 0
    found = read_tensors(tmp_path / "back.safetensors", "downslope")
    np.testing.assert_array_equal(found.average["weight"], averages["weight"])


def test_averages_of_keras_are_no_velocities(tmp_path):
    """Keras keeps them before the momentums; a file of weights alone does not say so, and is refused."""
    import keras

    from downslope.keras import SGD

    accumulating = SGD(0.125, momentum=0.5, use_ema=True, gradient_accumulation_steps=2)
    plain = keras.optimizers.SGD(0.125, momentum=0.5, use_ema=True)
    for optimizer, convention in ((accumulating, "downslope.keras"), (plain, "keras")):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(3, name="b")])
        model.compile(optimizer, loss="mse")
        optimizer.build(model.trainable_variables)
        for variable in optimizer.variables[2:]:
            kinds = {"average": 1.0, "momentum": 3.0}
            variable.assign(variable * 0 + kinds.get(variable.path.rsplit("_", 1)[-1], 2.0))
        model.save(tmp_path / "a.keras")
        found = read_keras(tmp_path / "a.keras", convention).snapshot
        assert {name: float(v.min()) for name, v in found.velocity.items()} == dict.fromkeys(found.params, 3.0)
        assert {name: float(v.min()) for name, v in found.average.items()} == dict.fromkeys(found.params, 1.0)
    model.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(StateError, match="does not say whether averages"):
        read_keras(tmp_path / "a.weights.h5")


def test_a_keras_file_without_a_like_says_what_is_needed(tmp_path, capsys):
    """The lines that make such a file are in the message, and they run; so does the other way, of the page."""
    import keras

    message = fail(["convert", "a.pt", tmp_path / "out.keras", "--from", "torch", "--to", "keras"], capsys)
    lines = message.split("in Keras: ", 1)[1].split(". Or", 1)[0]
    weights = fail(["convert", "a.pt", tmp_path / "out.weights.h5", "--from", "torch", "--to", "keras"], capsys)
    assert lines.replace("model.save(", "model.save_weights(").replace("like.keras", "like.weights.h5") in weights
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="last")])
    code = lines.replace("...", '"mse"').replace("like.keras", str(tmp_path / "like.keras"))
    exec(code, {"keras": keras, "model": model})  # noqa: S102 -- what a person is told to run
    velocity = {"velocity.last/kernel": np.full((3, 2), 0.5), "velocity.last/bias": np.full(2, 0.25)}
    save_file(velocity, tmp_path / "a.safetensors")
    words = convert(tmp_path / "a.safetensors", tmp_path / "out.keras", "--sgd.lr", "0.1", "--sgd.momentum", "0.9")
    words[words.index("optax")] = "keras"
    succeed([*words, "--like", tmp_path / "like.keras"], capsys)
    loaded = keras.models.load_model(tmp_path / "out.keras")
    np.testing.assert_allclose(loaded.optimizer.momentums[0], np.full((3, 2), -0.05), rtol=1e-6)


@pytest.mark.parametrize("names", [None, ["w", "tied"]])
def test_a_parameter_that_torch_lists_twice_has_one_velocity(names, tmp_path, capsys):
    """An optimizer given a tied weight twice lists it twice; its first name is taken."""
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.ones(3))
    with pytest.warns(UserWarning, match="duplicate"):
        optimizer = torch.optim.SGD(
            [weight, weight] if names is None else [(name, weight) for name in names], lr=0.1, momentum=0.9
        )
    weight.grad = torch.ones(3)
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "a.pt")
    succeed(convert(tmp_path / "a.pt", tmp_path / "b.safetensors"), capsys)
    velocities = load_file(tmp_path / "b.safetensors")
    expected = optimizer.state[weight]["momentum_buffer"].numpy()
    (name,) = [key for key in velocities if velocities[key].shape == (3,)]
    assert name.endswith("1" if names is None else "w")  # torch numbers it by its last place
    np.testing.assert_array_equal(velocities[name], expected)
