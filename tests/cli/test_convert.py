"""``downslope convert`` on files that the frameworks wrote: round trips, trainings that go on, and what it prints."""

import json

import numpy as np
import pytest
import safetensors.numpy
from command_line import command, fail, succeed
from convert_models import (
    CONV_MAP,
    LR,
    LSTM_MAP,
    MOMENTUM,
    batch,
    keras_conv,
    keras_lstm,
    map_words,
    torch_conv,
    torch_lstm,
    torch_steps,
)

from downslope.cli.main import main

MODELS = {"conv": (torch_conv, keras_conv, CONV_MAP), "lstm": (torch_lstm, keras_lstm, LSTM_MAP)}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Return a folder with conv.pt and lstm.pt, stopped after 3 steps, and Keras's files of the same models."""
    import torch

    folder = tmp_path_factory.mktemp("stopped")
    for kind, (make_torch, make_keras, _) in MODELS.items():
        model = make_torch()
        optimizer = torch.optim.SGD(model.named_parameters(), lr=LR, momentum=MOMENTUM)
        inputs, _, targets = batch(kind)
        torch_steps(model, optimizer, inputs, targets, 3)
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, folder / f"{kind}.pt")
        theirs = make_keras()
        theirs.save(folder / f"{kind}.keras")
        theirs.save_weights(folder / f"{kind}.weights.h5")
    return folder


def from_torch(stopped, kind, out, *more):
    """Return the words that convert a torch checkpoint into a Keras file."""
    words = ["convert", stopped / f"{kind}.pt", out, "--from", "torch", "--to", "keras", "--step", "3"]
    return [*words, *map_words(MODELS[kind][2]), "--like", stopped / f"{kind}.keras", *more]


@pytest.mark.parametrize("kind", MODELS)
def test_a_training_of_torch_goes_on_in_keras(kind, stopped, tmp_path, capsys):
    """Five steps in Keras, from the converted file, end where five more steps of torch end."""
    import keras
    import torch

    out = tmp_path / "out.keras"
    succeed(from_torch(stopped, kind, out), capsys)
    saved = torch.load(stopped / f"{kind}.pt", weights_only=True)
    model = MODELS[kind][0]()
    model.load_state_dict(saved["model"])
    optimizer = torch.optim.SGD(model.named_parameters(), lr=LR, momentum=MOMENTUM)
    optimizer.load_state_dict(saved["optimizer"])
    inputs, their_inputs, targets = batch(kind)
    torch_steps(model, optimizer, inputs, targets, 5)
    theirs = keras.models.load_model(out)
    if kind == "conv":
        np.testing.assert_array_equal(theirs.get_layer("norm").moving_mean, saved["model"]["norm.running_mean"])
    assert int(theirs.optimizer.iterations.numpy()) == 3
    for _ in range(5):
        theirs.train_on_batch(their_inputs, targets)
    found = theirs(their_inputs, training=True).numpy()
    expected = model(torch.from_numpy(inputs)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("ending", ["keras", "weights.h5"])
def test_there_and_back_gives_the_same_bits(ending, stopped, tmp_path, capsys):
    """torch to Keras and back into a safetensors file: what torch had, lr being a power of two."""
    import torch
    from safetensors.numpy import load_file

    words = from_torch(stopped, "conv", tmp_path / f"out.{ending}")
    words[words.index("--like") + 1] = stopped / f"conv.{ending}"
    succeed(words, capsys)
    back = {}
    for name, there in CONV_MAP.items():
        place, _, layout = there.partition(":")
        back[place] = f"{name}:{layout}" if layout else name
    own = ["--sgd.lr", LR, "--sgd.momentum", MOMENTUM] if ending == "weights.h5" else []
    again = tmp_path / "again.safetensors"
    words = ["convert", tmp_path / f"out.{ending}", again, "--from", "keras", "--to", "torch", *own]
    succeed([*words, *map_words(back)], capsys)
    saved = torch.load(stopped / "conv.pt", weights_only=True)
    found = load_file(again)
    names = saved["optimizer"]["param_groups"][0]["param_names"]
    assert int(found.pop("step")) == 3
    averages = {"param.norm.running_mean", "param.norm.running_var"}
    assert set(found) == averages | {f"{kind}.{name}" for name in names for kind in ("velocity", "param")}
    for place, name in enumerate(names):
        np.testing.assert_array_equal(
            found[f"velocity.{name}"], saved["optimizer"]["state"][place]["momentum_buffer"].numpy()
        )
        np.testing.assert_array_equal(found[f"param.{name}"], saved["model"][name].numpy())


def test_it_prints_what_it_did(stopped, tmp_path, capsys):
    """Each parameter with its shapes, the settings, the scale, and how long the two stay together."""
    out = tmp_path / "out.keras"
    printed = succeed(from_torch(stopped, "conv", out), capsys)
    assert printed.splitlines() == [
        "from conv.pt (torch.optim.SGD): 6 velocities, 8 arrays of the model, after 3 steps",
        "  conv.weight -> conv/kernel  (3, 2, 2, 2) -> (2, 2, 2, 3)",
        "  conv.bias -> conv/bias  (3,)",
        "  norm.weight -> norm/gamma  (3,)",
        "  norm.bias -> norm/beta  (3,)",
        "  norm.running_mean -> norm/moving_mean  (3,), no velocity",
        "  norm.running_var -> norm/moving_variance  (3,), no velocity",
        "  last.weight -> last/kernel  (2, 3) -> (3, 2)",
        "  last.bias -> last/bias  (2,)",
        "settings lr=0.125, momentum=0.875",
        "velocity of keras = -0.125 * velocity of torch",
        "exact; the conventions part if lr is ever changed",
        f"wrote {out}",
    ]


def test_velocities_that_are_no_numbers_are_said(tmp_path, capsys):
    """They are carried over as they are, and a note names them; where all are finite there is none."""
    velocities = {f"velocity.{name}": np.ones(2, np.float32) for name in "abcdefg"}
    options = ["--from", "torch", "--to", "torch", "--sgd.lr", "0.1", "--sgd.momentum", "0.9"]
    safetensors.numpy.save_file(velocities, tmp_path / "in.safetensors")
    files = [tmp_path / "in.safetensors", tmp_path / "out.safetensors"]
    assert main([str(word) for word in ("convert", *files, *options)]) == 0
    assert "NaN" not in "".join(capsys.readouterr())
    for name in "abcdefg":
        velocities[f"velocity.{name}"][1] = np.nan if name < "d" else -np.inf
    safetensors.numpy.save_file(velocities, files[0])
    assert main([str(word) for word in ("convert", *files, *options, "--force")]) == 0
    said = "velocities hold inf or NaN, 7 in all, and the next step spoils their parameters: a, b, c, d, e, ..."
    assert f"note: {said}\n" in capsys.readouterr().err
    assert np.isnan(safetensors.numpy.load_file(files[1])["velocity.a"][1])


def test_a_schedule_says_when_the_two_part(stopped, tmp_path, capsys):
    """The settings of a recipe, and the step at which its lr first changes."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[data]\nname = "digits"\nbatch_size = 32\n[model]\nname = "mlp"\nhidden = [8]\n[train]\nepochs = 9\n[sgd]\n'
        'lr = { schedule = "exponential", initial = 0.125, rate = 0.1, every = 2, unit = "epoch", staircase = true }\n'
        "momentum = 0.875\n"
    )
    out = tmp_path / "out.safetensors"
    words = ["convert", stopped / "conv.pt", out, "--from", "torch", "--to", "keras", "--step", 3, "--config", recipe]
    assert "is in epochs; give --steps-per-epoch" in fail(words, capsys)
    printed = succeed([*words, "--steps-per-epoch", 500], capsys)
    assert "exact; the conventions part when lr next changes (step 1000)" in printed


def test_our_own_run_is_read(trained, tmp_path, capsys):
    """A run folder says its step, its settings and its names; its velocities come out under them."""
    from safetensors.numpy import load_file

    folder, _ = trained
    out = tmp_path / "out.safetensors"
    printed = succeed(["convert", folder, out, "--to", "keras", "--sgd.lr", 0.1], capsys)
    assert "after 60 steps" in printed
    found = load_file(out)
    saved = load_file(folder / "checkpoints" / "step-00000060" / "optimizer.safetensors")
    assert saved
    for name, velocity in saved.items():
        np.testing.assert_allclose(found[f"velocity.{name}"], -0.1 * velocity, rtol=1e-6)
    assert {name.removeprefix("param.") for name in found if name.startswith("param.")} == set(saved)
    assert "is a run of ours; use --from downslope" in fail(
        ["convert", folder, tmp_path / "b.safetensors", "--from", "torch", "--to", "keras"], capsys
    )


def test_averages_of_our_own_run_are_read(trained, tmp_path, capsys):
    """As the run kept them: what it left as the averaged model."""
    from safetensors.numpy import load_file

    folder, out = trained[0], tmp_path / "out.safetensors"
    printed = succeed(["convert", folder, out, "--to", "downslope"], capsys)
    averaged, found = load_file(folder / "ema.safetensors"), load_file(out)
    kept = [name for name in found if name.startswith("average.")]
    assert f"{len(kept)} averages of the weights" in printed
    for name in kept:
        np.testing.assert_array_equal(found[name], averaged[name.removeprefix("average.")])


def test_optax_states_go_through_safetensors(tmp_path, capsys):
    """A trace written flat by its own names is read, and its count is the step."""
    import jax
    import optax
    from safetensors.numpy import load_file, save_file

    params = {"dense": {"kernel": jax.numpy.ones((2, 3)), "bias": jax.numpy.ones(3)}}
    optimizer = optax.sgd(lambda count: 0.125, momentum=0.875)
    state = optimizer.init(params)
    for _ in range(4):
        _, state = optimizer.update(params, state, params)
    trace, scale = state
    leaves = jax.tree_util.tree_leaves_with_path({"trace": trace.trace})
    flat = {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}
    out = tmp_path / "out.safetensors"
    save_file(flat | {"count": np.asarray(scale.count)}, tmp_path / "optax.safetensors")
    words = ["convert", tmp_path / "optax.safetensors", out, "--from", "optax", "--to", "torch"]
    assert "does not say the settings of the run" in fail(words, capsys)
    printed = succeed([*words, "--sgd.lr", 0.125, "--sgd.momentum", 0.875], capsys)
    assert "after 4 steps" in printed
    assert "exact; the two never part" in printed
    found = load_file(out)
    np.testing.assert_array_equal(found["velocity.dense.kernel"], np.asarray(trace.trace["dense"]["kernel"]))
    # and what was written says itself whose it is
    again = ["convert", out, tmp_path / "no.safetensors", "--from", "keras", "--to", "torch"]
    assert "it says itself that its velocities are torch's" in fail(again, capsys)


def test_settings_come_from_other_systems_configurations(stopped, tmp_path, capsys):
    """A Caffe solver and a Keras configuration say lr, momentum and when lr changes."""
    solver = tmp_path / "solver.prototxt"
    solver.write_text(
        'net: "train.prototxt"  # where the net is\nbase_lr: 0.125\nmomentum: 0.875\nlr_policy: "multistep"\n'
        "gamma: 0.1\nstepvalue: 40\nstepvalue: 80\nmax_iter: 100\ntest_state { stage: 'a' }\nsolver_mode: GPU\n"
    )
    config = tmp_path / "keras.json"
    config.write_text(json.dumps({"class_name": "SGD", "config": {"learning_rate": 0.125, "momentum": 0.875}}))
    for file, name, expected in (
        (solver, "a", "exact; the conventions part when lr next changes (step 40)"),
        (config, "b", "exact; the conventions part if lr is ever changed"),
    ):
        out = tmp_path / f"{name}.safetensors"
        words = ["convert", stopped / "conv.pt", out, "--from", "torch", "--to", "keras", "--step", 3]
        assert expected in succeed([*words, "--config", file], capsys)


def test_the_map_may_be_a_file(stopped, tmp_path, capsys):
    """Names, layouts, and false for what is left out."""
    table = tmp_path / "names.toml"
    table.write_text(
        '"conv.weight" = { to = "kernel", layout = "conv2d" }\n"conv.bias" = "bias"\n"norm.weight" = false\n'
        '"norm.bias" = false\n"last.weight" = false\n"last.bias" = false\n'
    )
    out = tmp_path / "out.safetensors"
    words = ["convert", stopped / "conv.pt", out, "--from", "torch", "--to", "keras", "--map", table]
    printed = succeed(words, capsys)
    assert "  conv.weight -> kernel  (3, 2, 2, 2) -> (2, 2, 2, 3)" in printed
    assert "last" not in printed
    assert "is there already" in fail(words, capsys)
    succeed([*words, "--force"], capsys)


def test_the_real_command_needs_no_framework_for_its_mistakes(tmp_path):
    """A wrong ending is told in a fraction of a second; the exit code is 2 and nothing is written."""
    done = command("convert", "a.pt", "b.pt", "--from", "torch", "--to", "optax", cwd=tmp_path)
    assert done.returncode == 2
    assert "b.pt would be a pickle, and Downslope writes none" in done.stderr
    assert not list(tmp_path.iterdir())
