"""``downslope convert`` on files that are damaged, malicious or of something else: one message, nothing written."""

import copy
import pickle
import re
import zipfile

import numpy as np
import pytest
import torch
from command_line import fail
from convert_models import CONV_MAP, keras_conv, map_words, torch_conv

from downslope.cli.main import main


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        """Return the call that unpickling makes."""
        return (open, (self.path, "w"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder with a good run.pt and a good model.keras and model.weights.h5."""
    import torch

    folder = tmp_path_factory.mktemp("files")
    model = torch_conv()
    optimizer = torch.optim.SGD(model.named_parameters(), lr=0.125, momentum=0.875)
    model(torch.ones(2, 2, 4, 4)).sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, folder / "run.pt")
    theirs = keras_conv()
    theirs.save(folder / "model.keras")
    theirs.save_weights(folder / "model.weights.h5")
    return folder


def refused(path, capsys, tmp_path, *more, source="torch", target="optax"):
    """Return the message with which a file is refused; nothing has been written."""
    out = tmp_path / "written" / "out.safetensors"
    out.parent.mkdir(exist_ok=True)
    message = fail(["convert", path, out, "--from", source, "--to", target, *more], capsys)
    assert not list(out.parent.iterdir())
    return message


def test_a_pickle_that_would_run_code_does_not_run_it(tmp_path, capsys):
    """Whether torch wrote it around its tensors or it is a bare pickle, in place of the file or deep inside it."""
    import torch

    canary = tmp_path / "canary"
    good = {"state": {}, "param_groups": [{"params": [0], "lr": 0.1, "momentum": 0.9}]}
    bad = [Canary(str(canary)), {"optimizer": good, "args": Canary(str(canary))}]
    for number, content in enumerate(bad):
        torch.save(content, tmp_path / f"new{number}.pt")
        torch.save(content, tmp_path / f"old{number}.pt", _use_new_zipfile_serialization=False)
        (tmp_path / f"bare{number}.pth").write_bytes(pickle.dumps(content))
    for path in sorted(tmp_path.glob("*.pt*")):
        message = refused(path, capsys, tmp_path)
        assert "holds more than tensors, numbers and plain containers" in message, path.name
        assert not canary.exists()
    torch.load(tmp_path / "new0.pt", weights_only=False)  # the canary is alive: unpickled, it sings
    assert canary.exists()


def test_pickles_under_other_names_are_not_unpickled(tmp_path, capsys):
    """A pickle called .safetensors, .keras or .h5 is no such file."""
    canary = tmp_path / "canary"
    for name, source in (("a.safetensors", "torch"), ("a.keras", "keras"), ("a.weights.h5", "keras")):
        (tmp_path / name).write_bytes(pickle.dumps(Canary(str(canary))))
        assert "damaged, or not what its name says" in refused(tmp_path / name, capsys, tmp_path, source=source)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["run.pt", "model.keras", "model.weights.h5"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.97])
def test_a_truncated_file_is_refused(name, kept, files, tmp_path, capsys):
    """However much of it is there."""
    whole = (files / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(kept * len(whole))])
    source = "torch" if name == "run.pt" else "keras"
    assert "damaged, or not what its name says" in refused(path, capsys, tmp_path, source=source)


@pytest.mark.parametrize("name", ["run.pt", "model.keras", "model.weights.h5", "run.safetensors"])
def test_flipped_bytes_never_crash_it(name, files, tmp_path, capsys):
    """A file with some bytes changed is read, where they did not matter, or refused in words; there is no third way."""
    rng = np.random.default_rng(len(name))
    path, out = tmp_path / name, tmp_path / "out.safetensors"
    source = {"run.pt": "torch", "run.safetensors": "optax"}.get(name, "keras")
    more = [] if name in {"run.pt", "model.keras"} else ["--sgd.lr", "0.125", "--sgd.momentum", "0.875"]
    if name == "run.safetensors":
        words = ["convert", files / "run.pt", files / name, "--from", "torch", "--to", "optax", "--force"]
        assert main([str(word) for word in words]) == 0
    whole = (files / name).read_bytes()
    for _ in range(40):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(len(whole), size=rng.choice([1, 3, 20]))] = rng.integers(256)
        path.write_bytes(damaged.tobytes())
        words = ["convert", path, out, "--from", source, "--to", "torch", "--force", *more]
        code = main([str(word) for word in words])
        message = capsys.readouterr().err
        assert code in {0, 2}, message
        assert "bug" not in message


def test_a_velocity_that_does_not_fit_its_parameter_is_refused(tmp_path, capsys):
    """They are not of one training."""
    from safetensors.numpy import save_file

    save_file({"velocity.w": np.ones(3), "param.w": np.ones(2)}, tmp_path / "a.safetensors")
    message = refused(tmp_path / "a.safetensors", capsys, tmp_path)
    assert "the velocity of `w` is (3,), the parameter (2,)" in message


def test_a_safetensors_file_must_say_what_is_what(tmp_path, capsys):
    """Truncated, names without a meaning, no velocity, nothing about the settings."""
    from safetensors.numpy import save, save_file

    path = tmp_path / "a.safetensors"
    path.write_bytes(save({"velocity.w": np.ones(3, np.float32)})[:-4])
    assert "damaged" in refused(path, capsys, tmp_path)
    save_file({"w": np.ones(3, np.float32)}, path)
    assert "nothing says what `w` is. Begin the names of velocities with velocity. or momentum_buffer." in refused(
        path, capsys, tmp_path
    )
    save_file({"param.w": np.ones(3, np.float32)}, path)
    assert "holds no velocity" in refused(path, capsys, tmp_path)
    save_file({"velocity.w": np.ones(3, np.float32)}, path)
    assert "does not say the settings of the run" in refused(path, capsys, tmp_path)


def test_torch_files_of_something_else_are_refused(tmp_path, capsys):
    """Another optimizer's state, a model alone, two optimizers, a list, hyperparameters that are not allowed."""
    import torch

    model = torch.nn.Linear(2, 2)
    adam = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    adam.step()
    good = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9).state_dict()
    wrong = torch.optim.SGD(model.parameters(), lr=0.1, momentum=1.5).state_dict()
    for content, message in (
        ({"optimizer": adam.state_dict()}, "this is Adam's state (exp_avg, exp_avg_sq, step), and only SGD's"),
        (model.state_dict(), "a model's parameters and no optimizer"),
        (
            {"first": good, "second": good},
            "must hold one optimizer's state_dict; got 2:\n  - first\n  - second\nChoose one with --optimizer",
        ),
        ({"epoch": 3}, "must hold one optimizer's state_dict; got none"),
        ([1, 2], "holds list, not a state_dict"),
        (wrong, "must be in [0, 1); got 1.5"),
    ):
        torch.save(content, tmp_path / "a.pt")
        assert message in refused(tmp_path / "a.pt", capsys, tmp_path)


def test_keras_files_of_something_else_are_refused(tmp_path, capsys):
    """Another optimizer, none at all, one without momentum, and a zip archive that is no model."""
    import keras

    def saved(optimizer):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        if optimizer is not None:
            model.compile(optimizer, loss="mse")
            model.optimizer.build(model.trainable_variables)
        model.save(tmp_path / "a.keras")
        return tmp_path / "a.keras"

    for optimizer, message in (
        (keras.optimizers.Adam(), "its optimizer is Adam, and only SGD's state can be carried over"),
        (None, "has no optimizer in it"),
        (keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0), "clipnorm=1.0 is no part of the update rule"),
    ):
        assert message in refused(saved(optimizer), capsys, tmp_path, source="keras")
    with zipfile.ZipFile(tmp_path / "b.keras", "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert "damaged" in refused(tmp_path / "b.keras", capsys, tmp_path, source="keras")


MISFITS = [
    ([], "nothing fills the velocity of `conv/kernel` (2, 2, 2, 3)"),
    ([], "`conv.weight` is no parameter of model.keras"),
    (
        map_words({**CONV_MAP, "conv.weight": "conv/kernel"}),
        "`conv/kernel` is (3, 2, 2, 2), in model.keras (2, 2, 2, 3)",
    ),
    (map_words({**CONV_MAP, "conv.weight": "conv/kernel:dense"}), 'the layout "dense" is for arrays of 2 axes'),
    (map_words({**CONV_MAP, "conv.bias": "conv/bais"}), "Did you mean `conv/bias`"),
    (map_words({**CONV_MAP, "conv.bias": "last/bias"}), "two parameters go to `last/bias`"),
    (map_words({"conv.weight": "conv/kernel:conv2d"}), "nothing is said about `conv.bias`"),
    (map_words({**CONV_MAP, "conv.bia": "x"}), "has no parameter `conv.bia`. Did you mean `conv.bias`"),
    (["--map", "a=b", "--map", "a=c"], "`a` is given twice"),
    (["--map", "missing.toml"], "there is no such file"),
    ([*map_words(CONV_MAP), "--sgd.momentum", "0.5"], "are not the same rule"),
]


@pytest.mark.parametrize(("words", "message"), MISFITS)
def test_what_does_not_fit_is_refused(words, message, files, tmp_path, capsys):
    """Names, shapes, layouts and settings are checked before a byte is written."""
    out = tmp_path / "out.keras"
    like = ["--like", files / "model.keras"]
    assert message in fail(
        ["convert", files / "run.pt", out, "--from", "torch", "--to", "keras", *like, *words], capsys
    )
    assert not list(tmp_path.iterdir())


def test_the_words_themselves_are_checked(files, tmp_path, capsys):
    """Systems, endings, and options that belong to a recipe."""
    run, out = files / "run.pt", tmp_path / "out.safetensors"
    for words, message in (
        ([run, out, "--to", "keras"], "--from is missing"),
        ([run, out, "--from", "torch"], "--to is missing"),
        ([run, out, "--from", "torhc", "--to", "keras"], "Did you mean `torch`"),
        ([run, out, "--from", "torch", "--to", "keras", "--train.epochs", "3"], "says nothing about the optimizer"),
        ([run, out, "--from", "torch", "--to", "keras", "--step", "-3"], "must be an integer >= 0"),
        ([run, tmp_path / "out.bin", "--from", "torch", "--to", "keras"], "OUT must end in"),
        ([run, tmp_path / "out.keras", "--from", "torch", "--to", "keras"], "needs --like FILE"),
        ([run, tmp_path / "no" / "out.safetensors", "--from", "torch", "--to", "keras"], "there is no folder"),
        ([files / "model.keras", out, "--from", "torch", "--to", "keras"], "use --from keras"),
        ([tmp_path / "a.bin", out, "--from", "torch", "--to", "keras"], "a.bin: there is no such file"),
    ):
        assert message in fail(["convert", *words], capsys)
    assert not out.exists()


def saved_in_torch():
    """Return what a file of torch may hold, each with a note or a refusal of its own."""
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()

    def with_state(change):
        state = copy.deepcopy(optimizer.state_dict())
        change(state["state"], state["param_groups"][0])
        return state

    return {
        "alone": optimizer.state_dict(),
        "deep": {"a": {"optimizer": optimizer.state_dict()}},
        "beside its model": {"net": model.state_dict(), "optim": optimizer.state_dict()},
        "of no group": with_state(lambda state, group: state.update({7: state[0]})),
        "no table": with_state(lambda state, group: state.update({0: 1})),
        "a parameter twice": with_state(lambda state, group: group.update(params=[0, 0])),
        "integers": with_state(lambda state, group: state[0].update(momentum_buffer=torch.ones(2, 3).long())),
        "meta": with_state(lambda state, group: state[0].update(momentum_buffer=torch.ones(2, 3, device="meta"))),
        "of something around": with_state(lambda state, group: state[0].update(slow_buffer=torch.ones(2, 3))),
    }


@pytest.mark.parametrize("order", [[], ["--order", "model"]], ids=["", "in the order of the model"])
def test_what_is_said_of_a_file_of_torch_is_chinese(order, tmp_path, capsys):
    """No note and no refusal leaves a sentence in English: three words of it in a row, names aside."""
    for name, table in saved_in_torch().items():
        torch.save(table, tmp_path / "in.pt")
        words = [tmp_path / "in.pt", tmp_path / "out.safetensors", "--from", "torch", "--to", "torch", "--force"]
        main([str(word) for word in ("convert", *words, *order, "--lang", "zh")])
        out, err = capsys.readouterr()
        told = (out + err).replace(str(tmp_path), "")
        assert not re.search(r"\b[a-z]{2,} [a-z]{2,} [a-z]{2,}", told), f"{name}: {told}"
