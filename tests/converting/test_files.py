"""Files without their frameworks: solvers, configurations, tables of names, and whose velocity is whose in Keras."""

import json
import zipfile

import numpy as np
import pytest

from downslope import Settings
from downslope.converting.keras_files import Layer, name_momentums, read_keras
from downslope.converting.parameter_map import LAYOUTS, Entry, permuted, read_table
from downslope.converting.snapshot import Snapshot
from downslope.converting.tensor_files import read_tensors, write_tensors
from downslope.core.errors import SettingsError, StateError
from downslope.schedules import Exponential, Inverse
from downslope.systems.configurations import parse_solver, settings_from_keras_config, settings_from_solver

ALEXNET = """
net: "models/bvlc_alexnet/train_val.prototxt"
test_iter: 1000
test_interval: 1000
base_lr: 0.01
lr_policy: "step"
gamma: 0.1
stepsize: 100000
display: 20
max_iter: 450000
momentum: 0.9
weight_decay: 0.0005
snapshot: 10000
snapshot_prefix: "models/bvlc_alexnet/caffe_alexnet_train"
solver_mode: GPU
"""


def test_the_solver_of_alexnet():
    """BVLC's own file, and what it means."""
    assert settings_from_solver(ALEXNET) == Settings(
        lr=Exponential(0.01, 0.1, 100000, staircase=True), momentum=0.9, weight_decay=5e-4, lr_in_velocity=True
    )


def test_the_solver_of_lenet():
    """The policy "inv", comments, and the older word for Nesterov."""
    text = (
        "base_lr: 0.01 # the base\nmomentum: 0.9\nlr_policy: 'inv'\ngamma: 0.0001\npower: 0.75\nsolver_type: NESTEROV"
    )
    assert settings_from_solver(text) == Settings(
        lr=Inverse(0.01, 1e-4, 0.75), momentum=0.9, nesterov=True, lr_in_velocity=True
    )


def test_the_text_format():
    """Repeated fields, lists, messages, signs, numbers of every form."""
    text = 'a: 1 b: -2.5e-3; c: .5, d { e: 1 f { g: 2 } } stepvalue: 5 h: true i: [1, 2]\nj: "x # y" stepvalue: 9'
    assert parse_solver(text) == {
        "a": 1,
        "b": -0.0025,
        "c": 0.5,
        "stepvalue": [5, 9],
        "h": True,
        "i": [1, 2],
        "j": "x # y",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base_lr 0.1 :", "line 1: a field's name is expected; got ':'"),
        ("base_lr:", "`base_lr` has no value"),
        ("\nbase_lr: }", "line 2: a value is expected"),
        ("a { b: 1", "a brace is never closed"),
        ("base_lr: 0.1 %", "line 1: '%' cannot be read"),
        ("base_lr: 0.1\nmomentom: 0.9", "unknown argument `momentom`. Did you mean `momentum`?"),
        ("base_lr: 0.1 clip_gradients: 35", "clip_gradients=35 is no part of the update rule"),
        ('base_lr: 0.1 type: "Adam"', "`type` must be one of 'SGD', 'Nesterov'; got 'Adam'"),
    ],
)
def test_broken_solvers(text, message):
    """The message says where."""
    with pytest.raises(SettingsError) as caught:
        settings_from_solver(text)
    assert message in str(caught.value)


def test_keras_configurations():
    """get_config's table, the table around it, and those of other optimizers."""
    config = {"learning_rate": 0.5, "momentum": 0.9, "nesterov": True, "weight_decay": None}
    expected = Settings(lr=0.5, momentum=0.9, nesterov=True, lr_in_velocity=True)
    assert settings_from_keras_config(config) == expected
    assert settings_from_keras_config({"class_name": "SGD", "config": config}) == expected
    for wrong in ({"class_name": "Adam", "config": {}}, [1]):
        with pytest.raises(SettingsError):
            settings_from_keras_config(wrong)


def test_layouts_are_those_of_the_frameworks():
    """Each layout of a PyTorch kernel gives Keras's shape, and back the same numbers."""
    import keras
    import torch

    rng = np.random.default_rng(0)
    for layout, theirs, inputs, ours in (
        ("dense", keras.layers.Dense(3), (None, 2), torch.nn.Linear(2, 3)),
        ("conv1d", keras.layers.Conv1D(3, 4), (None, 9, 2), torch.nn.Conv1d(2, 3, 4)),
        ("conv2d", keras.layers.Conv2D(3, (4, 5)), (None, 9, 9, 2), torch.nn.Conv2d(2, 3, (4, 5))),
        ("conv3d", keras.layers.Conv3D(3, (4, 5, 6)), (None, 9, 9, 9, 2), torch.nn.Conv3d(2, 3, (4, 5, 6))),
    ):
        theirs.build(inputs)
        x = rng.normal(size=(1, *inputs[1:])).astype(np.float32)
        weight = ours.weight.detach().numpy()
        moved = permuted("w", weight, layout, to_keras=True, from_keras=False)
        theirs.set_weights([moved, ours.bias.detach().numpy()])
        there = np.moveaxis(x, -1, 1) if x.ndim > 2 else x
        expected = ours(torch.from_numpy(np.ascontiguousarray(there))).detach().numpy()
        found = theirs(x).numpy()
        np.testing.assert_allclose(np.moveaxis(found, -1, 1) if x.ndim > 2 else found, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(permuted("w", moved, layout, to_keras=False, from_keras=True), weight)
    assert set(LAYOUTS) == {"same", "dense", "conv1d", "conv2d", "conv3d", "lstm", "lstm_bias"}


def test_a_table_of_names(tmp_path):
    """Words, layouts, names with colons in them, a file, and what is left out."""
    assert read_table(["a=b", "c=d:dense", "e=f:0", "g="]) == {
        "a": Entry("b"),
        "c": Entry("d", "dense"),
        "e": Entry("f:0"),
        "g": Entry(None),
    }
    file = tmp_path / "names.toml"
    for text, message in (
        ("a = 1", "must be a name"),
        ('a = { to = "b", layuot = "dense" }', "must be a name"),
        ('a = { to = "b", layout = "dence" }', "Did you mean `dense`"),
        ("a = ", "not valid TOML"),
        ('a.b = "c"', "Names with dots need quotes"),
    ):
        file.write_text(text)
        with pytest.raises(StateError) as caught:
            read_table([str(file)])
        assert message in str(caught.value)


def test_a_layout_between_two_of_one_kind_is_refused():
    """PyTorch to PyTorch there is nothing to transpose."""
    with pytest.raises(StateError, match="neither is Keras"):
        permuted("w", np.ones((2, 2)), "dense", to_keras=False, from_keras=False)


def test_safetensors_keep_everything(tmp_path):
    """Velocities, those that have not come yet, parameters, step, formats, and whose they are."""
    path = tmp_path / "a.safetensors"
    snapshot = Snapshot(
        what="",
        convention="keras",
        velocity={"a": np.ones((2, 3), np.float16).T, "b": None, "c": np.array(2.0)},
        params={"a": np.zeros((3, 2))},
        step=5,
    )
    write_tensors(path, snapshot)
    found = read_tensors(path, "keras")
    assert (found.convention, found.step) == ("keras", 5)
    assert found.velocity["b"] is None
    assert found.velocity["a"].dtype == np.float16
    np.testing.assert_array_equal(found.velocity["a"], snapshot.velocity["a"])
    assert found.velocity["c"].shape == ()
    np.testing.assert_array_equal(found.params["a"], np.zeros((3, 2)))
    assert list(tmp_path.iterdir()) == [path]


def layer(name, group, *shapes):
    """Return a layer with these variables."""
    return Layer.of(name, group, [f"vars/{place}" for place in range(len(shapes))], list(shapes))


def test_velocities_are_named_only_where_there_is_no_doubt():
    """Of layers of several classes, whose order a .weights.h5 file does not say, shapes may leave one order or two."""
    dense, conv = layer("hidden", "dense", (4, 2), (2,)), layer("conv", "conv2d", (3, 3, 1, 2), (2,))
    wanted = ["conv/kernel", "conv/bias", "hidden/kernel", "hidden/bias"]
    assert name_momentums([dense, conv], [(3, 3, 1, 2), (2,), (4, 2), (2,)], certain=False) == wanted
    norm, other = layer("first", "layer_normalization", (2,), (2,)), layer("second", "group_normalization", (2,), (2,))
    unknown = [f"momentum/{place}" for place in range(4)]
    assert name_momentums([norm, other], [(2,)] * 4, certain=False) == unknown
    assert name_momentums([norm, other], [(2,)] * 4, certain=True)[:2] == ["first/gamma", "first/beta"]
    assert name_momentums([dense, conv], [(4, 2), (2,)], certain=False) == unknown[:2]  # one is frozen


def test_batch_normalisation_has_averages_that_no_gradient_moves():
    """They are arrays of the model and have no velocity; without scale or center there are fewer names."""
    norm = layer("norm", "batch_normalization", (3,), (3,), (3,), (3,))
    assert norm.trainable == ("norm/gamma", "norm/beta")
    assert list(norm.places)[2:] == ["norm/moving_mean", "norm/moving_variance"]
    assert layer("norm", "batch_normalization", (3,), (3,)).trainable == ()
    assert layer("norm", "batch_normalization", (3,), (3,), (3,)).trainable == ("norm/vars/0",)
    assert layer("own", "my_layer_3", (3,), (4,)).trainable == ("own/vars/0", "own/vars/1")


def test_files_of_our_own_keras_optimizer(tmp_path):
    """Its configuration holds every setting; taken for Keras's own it is refused, since its rule may be another."""
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="last")])
    model.compile(keras.optimizers.SGD(0.125, momentum=0.875), loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "theirs.keras")
    own = {
        "module": "downslope.keras.sgd",
        "class_name": "SGD",
        "registered_name": "downslope>SGD",
        "config": {
            "name": "sgd",
            "learning_rate": 0.125,
            "weight_decay": 0.01,
            "momentum": 0.875,
            "nesterov": True,
            "dampening": 0.0,
            "decay": "independent",
            "lr_in_velocity": False,
            "undampened_first_step": True,
            "maximize": False,
            "groups": [],
        },
    }
    with zipfile.ZipFile(tmp_path / "theirs.keras") as old, zipfile.ZipFile(tmp_path / "ours.keras", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                config["compile_config"]["optimizer"] = own
                data = json.dumps(config)
            new.writestr(name, data)
    with pytest.raises(StateError, match=r"Use downslope.keras instead of keras"):
        read_keras(tmp_path / "ours.keras")
    assert read_keras(tmp_path / "ours.keras", "downslope.keras").snapshot.settings == Settings(
        lr=0.125, momentum=0.875, nesterov=True, weight_decay=0.01, decay="independent"
    )


def test_a_file_that_refers_to_another_is_refused(tmp_path):
    """HDF5 can take a dataset from any file of the machine; none that Keras wrote does."""
    import h5py

    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(3, dtype=np.float32).tobytes())
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file["optimizer/vars/0"] = np.int64(1)
        file["optimizer/vars/1"] = np.float32(0.1)
        file.create_dataset("optimizer/vars/2", (3,), np.float32, external=[(str(secret), 0, 12)])
    with pytest.raises(StateError, match="optimizer/vars/2 refers to another file"):
        read_keras(tmp_path / "a.weights.h5")


def test_many_layers_frozen_layers_and_schedules_in_keras_files(tmp_path):
    """dense_10 comes after dense_2, a frozen layer has no velocity, and with a schedule there is no lr variable."""
    import keras

    layers = [keras.layers.Dense(3) for _ in range(12)]
    layers[5].trainable = False
    model = keras.Sequential([keras.Input((3,)), *layers])
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.5, staircase=True)
    model.compile(keras.optimizers.SGD(schedule, momentum=0.875), loss="mse")
    model.train_on_batch(np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32))
    model.save(tmp_path / "a.keras")
    file = read_keras(tmp_path / "a.keras")
    assert file.learning_rate is None
    assert file.snapshot.settings == Settings(
        lr=Exponential(0.5, 0.5, 10, staircase=True), momentum=0.875, lr_in_velocity=True
    )
    assert file.snapshot.step == 1
    names = [variable.path.split("/", 1)[1] for variable in model.trainable_variables]
    assert list(file.momentums) == names
    for name, variable in zip(names, model.optimizer.momentums, strict=True):
        np.testing.assert_array_equal(file.snapshot.velocity[name], variable.numpy())
    assert f"{layers[5].name}/kernel" in file.snapshot.params


def test_models_within_models_in_keras_files(tmp_path):
    """Velocities of inner models' layers have the names of models and layer, in the order of the variables."""
    import keras

    def dense(name, **more):
        return keras.layers.Dense(3, name=name, **more)

    deep = keras.Sequential([keras.Input((3,)), dense("one"), dense("two", trainable=False)], name="deep")
    inner = keras.Sequential(
        [keras.Input((3,)), dense("z"), deep, keras.layers.BatchNormalization(name="n")], name="inner"
    )
    frozen = keras.Sequential([keras.Input((3,)), dense("never")], name="frozen")
    frozen.trainable = False
    inputs, between = keras.Input((3,)), keras.Input((3,))
    functional = keras.Model(between, dense("a")(between), name="functional")
    model = keras.Model(inputs, functional(frozen(dense("b")(inner(inputs)))))
    model.compile(keras.optimizers.SGD(0.125, momentum=0.875), loss="mse")
    rng = np.random.default_rng(0)
    model.train_on_batch(rng.normal(size=(4, 3)), rng.normal(size=(4, 3)))
    model.save(tmp_path / "nested.keras")
    file = read_keras(tmp_path / "nested.keras")
    layers = ("inner/z", "inner/deep/one", "inner/n", "b", "functional/a")
    parts = [("gamma", "beta") if layer == "inner/n" else ("kernel", "bias") for layer in layers]
    names = [f"{layer}/{part}" for layer, both in zip(layers, parts, strict=True) for part in both]
    assert list(file.momentums) == names
    assert file.snapshot.notes == ()
    for name, momentum, variable in zip(names, model.optimizer.momentums, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(file.snapshot.velocity[name], momentum.numpy())
        np.testing.assert_array_equal(file.snapshot.params[name], variable.numpy())
    assert {"frozen/never/kernel", "inner/deep/two/bias", "inner/n/moving_mean"} <= set(file.snapshot.params)


def test_bfloat16_in_safetensors_becomes_float32(tmp_path):
    """Every bfloat16 that is no NaN comes back as the same number, with a note; what NumPy cannot hold is refused."""
    import safetensors.torch
    import torch

    file = tmp_path / "narrow.safetensors"
    every = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    safetensors.torch.save_file({"velocity.w": every.reshape(256, 256), "velocity.b": torch.ones(3)}, file)
    found = read_tensors(file, "torch")
    assert found.velocity["w"].dtype == found.velocity["b"].dtype == np.float32
    np.testing.assert_array_equal(found.velocity["w"], every.float().numpy().reshape(256, 256))
    assert found.notes == ("bfloat16 became float32, which holds the same numbers",)
    safetensors.torch.save_file({"velocity.w": torch.ones(2).to(torch.float8_e4m3fn)}, file)
    with pytest.raises(StateError, match=r"`velocity\.w` is F8_E4M3, which cannot be read here\. Save it as float32"):
        read_tensors(file, "torch")
