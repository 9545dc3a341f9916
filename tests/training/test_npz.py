"""Data in one .npz file: parts by the usual names of their arrays, or named; images in either order."""

from pathlib import Path

import numpy as np
import pytest
import torch
from array_files import bars
from test_idx import load, message_of

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

PATH = 'path = "d.npz"'


def write(**arrays):
    """Write an .npz file."""
    np.savez("d.npz", **arrays)


@pytest.mark.parametrize(
    ("names", "held_out"),
    [
        (("x_train", "y_train", "x_test", "y_test"), True),
        (("train_images", "train_labels", "test_images", "test_labels"), True),
        (("X_TRAIN", "Y_TRAIN", "X_val", "Y_val"), True),
        (("inputs", "targets"), False),
        (("x", "y"), False),
        (("train_inputs", "train_targets", "held_out_inputs", "held_out_targets"), True),
    ],
)
def test_parts_are_known_by_the_usual_names_of_their_arrays(names, held_out):
    """A test part without another is held out; without any a part of the examples is."""
    images, labels = bars(20)
    others = bars(8, seed=1)
    write(**dict(zip(names, (images, labels, *others), strict=False)))
    data = load(PATH, name="npz")
    assert (len(data.train_inputs), len(data.held_out_inputs)) == ((20, 8) if held_out else (16, 4))
    assert (data.classes, tuple(data.train_inputs.shape[1:]), data.image_shape) == (3, (1, 6, 6), (6, 6))
    if held_out:
        assert (data.train_inputs[:, 0] == torch.from_numpy(images).float() / 255).all()


def test_of_validation_and_test_the_former_is_held_out():
    """As MedMNIST's files have it, whose labels stand in lists of one; the test part is not read."""
    images, labels = bars(12)
    evil = np.array([{}], dtype=object)
    write(
        train_images=images, train_labels=labels[:, None],
        val_images=images[:6], val_labels=labels[:6, None],
        test_images=evil, test_labels=evil,
    )  # fmt: skip
    data = load(PATH, name="npz")
    assert (len(data.held_out_inputs), data.train_targets.tolist()) == (6, labels.tolist())
    assert any("`test_images` is left alone" in note for note in data.notes)


def test_arrays_may_be_named():
    """Then nothing else is looked at, and what is not used is said."""
    images, labels = bars(12)
    write(a=images, b=labels, c=images[:3], d=labels[:3], x_train=images)
    options = 'inputs = "a", targets = "b", held_out_inputs = "c", held_out_targets = "d"'
    data = load(f"{PATH}, {options}", name="npz")
    assert (len(data.train_inputs), len(data.held_out_inputs)) == (12, 3)
    assert "arrays of d.npz that are not used: `x_train`" in data.notes
    assert "data.options.targets = 'bb': d.npz has no such array. It has `a`, `b`" in message_of(
        f'{PATH}, inputs = "a", targets = "bb"', name="npz"
    )
    assert "`targets` is missing" in message_of(f'{PATH}, inputs = "a"', name="npz")
    assert "`inputs` is missing" in message_of(f'{PATH}, test_inputs = "a", test_targets = "b"', name="npz")


def test_images_have_their_channels_first_or_last():
    """As Keras or as torch writes them; where it is not certain, the options say."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (10, 5, 6, 3), dtype=np.uint8)
    labels = np.arange(10) % 2
    wanted = torch.from_numpy(images).float().permute(0, 3, 1, 2) / 255
    write(x_train=images, y_train=labels, x_test=images, y_test=labels)
    assert (load(PATH, name="npz").train_inputs == wanted).all()
    write(x_train=images.transpose(0, 3, 1, 2), y_train=labels, x_test=images.transpose(0, 3, 1, 2), y_test=labels)
    assert (load(PATH, name="npz").train_inputs == wanted).all()
    write(x=images[:, :, :3], y=labels)
    assert tuple(load(PATH, name="npz").train_inputs.shape[1:]) == (3, 5, 3)
    write(x=images[:, :3], y=labels)
    assert 'data.options.layout = "chw" (channels, height, width) or "hwc"' in message_of(PATH, name="npz")
    assert tuple(load(f'{PATH}, layout = "hwc"', name="npz").train_inputs.shape[1:]) == (3, 3, 6)


def test_numbers_and_indices():
    """Floating-point numbers stay as they are; whole numbers become numbers, or stay indices if the options say so."""
    draw = np.random.default_rng(0)
    write(inputs=draw.normal(size=(10, 4)), targets=np.array(["no", "yes"] * 5))
    data = load(PATH, name="npz")
    assert (data.train_inputs.dtype, data.class_names) == (torch.float32, ("no", "yes"))
    write(inputs=np.arange(40).reshape(10, 4), targets=np.arange(10) % 2)
    assert load(PATH, name="npz").train_inputs.dtype == torch.float32
    data = load(f'{PATH}, inputs_are = "indices"', name="npz")
    assert (data.train_inputs.dtype, int(data.train_inputs.max())) == (torch.int64, 39)
    assert "standardize is for numbers" in message_of(f'{PATH}, inputs_are = "indices", standardize = true', name="npz")


def test_targets_that_are_numbers_are_standardised_with_mse():
    """By the examples learned from; an option without use is refused."""
    write(inputs=np.ones((10, 2)) * np.arange(10)[:, None], targets=np.arange(10) * 100.0)
    data = load(PATH, loss="mse", name="npz")
    assert abs(float(data.train_targets.mean())) < 1e-6
    assert data.target_scale[1] > 100
    data = load(f"{PATH}, standardize_target = false", loss="mse", name="npz")
    assert (data.target_scale, float(data.train_targets.max()) > 300) == (None, True)
    assert "class_names is for classes" in message_of(f'{PATH}, class_names = ["a"]', loss="mse", name="npz")
    assert "standardize_target is for numbers" in message_of(f"{PATH}, standardize_target = true", name="npz")


class Evil:
    """What unpickling it would do."""

    def __reduce__(self):
        return Path.mkdir, (Path("run"),)


def test_nothing_is_unpickled():
    """An array of objects is refused before anything in it could run."""
    write(x=np.array([Evil()] * 4, dtype=object), y=np.arange(4))
    assert "d.npz, `x`: cannot be read as NumPy's: Object arrays cannot be loaded" in message_of(PATH, name="npz")
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": np.zeros(2)}, "has no arrays to learn from by a usual name: x_train and y_train"),
        ({"x_train": np.zeros((2, 1))}, "has `x_train` but no targets that belong to it. It has `x_train`."),
        ({"x": np.zeros((2, 1)), "data": np.zeros((2, 1)), "y": np.arange(2)}, "are both inputs of one part"),
        ({"x": np.zeros((3, 1)), "y": np.arange(2)}, "d.npz, `y`: has 2 labels for the 3 of d.npz, `x`."),
        ({"x": np.full((8, 1), np.inf), "y": np.arange(8) % 2}, "8 example(s) hold inf, NaN or numbers too large"),
        ({"x": np.array(["a"] * 4), "y": np.arange(4)}, "d.npz, `x`: must hold numbers; got <U1"),
        ({"x": np.zeros((8, 1)), "y": np.zeros(8, dtype=int)}, "there is only one class, `0`"),
        ({"x": np.zeros((8, 1)), "y": np.arange(8) / 2}, "d.npz, `y`: must hold classes, whole numbers or words"),
        (
            {
                "x_train": np.zeros((8, 2)),
                "y_train": np.arange(8) % 2,
                "x_test": np.zeros((8, 3)),
                "y_test": np.arange(8),
            },
            "d.npz, `x_test`: an example of this run has the shape (2,)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(arrays, words):
    """With the array that does not, and what there is."""
    write(**arrays)
    assert words in message_of(PATH, name="npz")


def test_what_is_no_such_file_is_refused():
    """Nothing, a folder, a text."""
    assert "data.options.path = 'd.npz': there is no such file" in message_of(PATH, name="npz")
    Path("d.npz").mkdir()
    assert "data.options.path = 'd.npz': is a folder. Give a file." in message_of(PATH, name="npz")
    Path("d.npz").rmdir()
    Path("d.npz").write_text("text")
    assert "d.npz: cannot be read as NumPy's: File is not a zip file" in message_of(PATH, name="npz")
    assert "the key `path` is missing" in message_of("", name="npz")
