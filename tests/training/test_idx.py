"""IDX files: every type, packed or not, by their usual names or by name, and those that are damaged."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from array_files import TYPES, bars, idx_bytes, write_idx, write_mnist

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data import load_data
from downslope.training.data.idx_files import read_idx

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def load(options='path = "p"', loss="cross_entropy", name="idx"):
    """Return the data set of options written as TOML."""
    text = (
        f'[data]\nname = "{name}"\noptions = {{ {options} }}\n[sgd]\nlr = 0.1\n[train]\nepochs = 1\nloss = "{loss}"\n'
    )
    return load_data(parse_recipe(text, "recipe"))


def message_of(options='path = "p"', **more):
    """Return the message with which loading fails as a person's mistake."""
    with pytest.raises(DownslopeError) as caught:
        load(options, **more)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_header_worked_by_hand():
    """Two bytes of 0, the type, how many sizes; the sizes, and the elements, highest byte first."""
    Path("a").write_bytes(bytes.fromhex("00000b02 00000002 00000003 0001 fffe 0100 7fff 8000 0000"))
    assert read_idx(Path("a")).tolist() == [[1, -2, 256], [32767, -32768, 0]]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_every_type_is_read_as_it_was_written(kind, suffix):
    """Six types, packed or not, in this machine's own order of bytes."""
    array = (np.arange(24).reshape(2, 3, 4) * 5).astype(kind)
    write_idx(f"a{suffix}", array)
    found = read_idx(Path(f"a{suffix}"))
    assert found.dtype == np.dtype(kind)
    assert (found == array).all()


@pytest.mark.parametrize("packed", [False, True])
def test_the_files_of_mnist_are_found(packed):
    """Inputs are (examples, 1, height, width) of fractions of 255; the t10k files are what is held out, and said."""
    write_mnist("p", packed=packed)
    data = load()
    images, labels = bars(30, seed=30)
    assert (data.train_inputs == torch.from_numpy(images).float()[:, None] / 255).all()
    assert data.train_targets.tolist() == labels.tolist()
    assert (len(data.held_out_inputs), data.classes, data.image_shape, data.class_names) == (9, 3, (6, 6), ())
    assert any("t10k-images-idx3-ubyte" in note and "is what is held out" in note for note in data.notes)


def test_a_part_of_the_others_may_be_held_out_in_its_place():
    """Then the t10k files are not even read: they may be damaged, and nobody learns of it but by evaluating."""
    write_mnist("p")
    Path("p/t10k-images-idx3-ubyte").write_bytes(b"no IDX file")
    data = load('path = "p", held_out_from = "train"')
    assert (len(data.train_inputs), len(data.held_out_inputs)) == (24, 6)
    with pytest.raises(DownslopeError, match="t10k-images-idx3-ubyte: is no IDX file"):
        data.reader.part("test", parse_recipe("[sgd]\nlr = 1\n[train]\nsteps = 1").data, 0)


def test_the_folder_may_lie_deeper_and_hold_packed_ones_too():
    """As torchvision leaves it: MNIST/raw, each file packed and unpacked."""
    write_mnist("p/MNIST/raw")
    write_mnist("p/MNIST/raw", packed=True)
    data = load()
    assert len(data.train_inputs) == 30
    assert "the files are those in p/MNIST/raw" in data.notes


def test_files_may_be_named():
    """In `path`, or by their whole paths, whatever they are called."""
    images, labels = bars(12)
    write_idx("p/a", images)
    write_idx("p/b.gz", labels)
    data = load('path = "p", inputs = "a", targets = "b.gz", held_out_inputs = "a", held_out_targets = "b.gz"')
    assert (len(data.train_inputs), len(data.held_out_inputs)) == (12, 12)
    data = load('inputs = "p/a", targets = "p/b.gz"')
    assert (len(data.train_inputs), len(data.held_out_inputs)) == (9, 3)
    assert message_of('inputs = "p/a"').endswith("inputs and their targets are two files. Name both.")
    assert "data.options.inputs = 'p/c': there is no such file" in message_of('inputs = "p/c", targets = "p/b.gz"')
    assert "`path` is missing: the folder with the IDX files" in message_of("")


def test_labels_that_do_not_begin_at_0_are_names():
    """EMNIST's letters go from 1 to 26; classes may be given names in the order of their labels."""
    write_mnist("p", first=1)
    data = load()
    assert (data.classes, data.class_names, set(data.train_targets.tolist())) == (3, ("1", "2", "3"), {0, 1, 2})
    assert load('path = "p", class_names = ["a", "b", "c"]').class_names == ("a", "b", "c")
    assert "there are 2 classes by their names, and the labels `1`, `2`, `3`" in message_of(
        'path = "p", class_names = ["a", "b"]'
    )


def test_standardised_images_have_mean_0_and_deviation_1():
    """Of the examples to learn from, not of those held out."""
    write_mnist("p")
    data = load('path = "p", standardize = true')
    assert abs(float(data.train_inputs.mean())) < 1e-6
    assert abs(float(data.train_inputs.std(correction=0)) - 1) < 1e-5
    assert abs(float(data.held_out_inputs.mean())) > 1e-4


@pytest.mark.parametrize("kind", ["i2", "i4", "f4", "f8"])
def test_other_types_are_numbers_as_they_are(kind):
    """Only bytes are taken for pixels, unless the options say so."""
    write_mnist("p", dtype=kind)
    assert float(load('path = "p"').train_inputs.max()) > 100
    if kind[0] == "i":
        assert float(load('path = "p", inputs_are = "pixels", layout = "hw"').train_inputs.max()) <= 1
    else:
        assert "these inputs are pixels, whole numbers" in message_of('path = "p", inputs_are = "pixels"')


def test_numbers_may_be_learned():
    """Targets of any type with "mse", standardised as a table's are."""
    images, _ = bars(20)
    write_idx("p/train-images-idx3-ubyte", images)
    write_idx("p/train-labels-idx1-float", np.arange(20, dtype=np.float32))
    data = load(loss="mse")
    assert data.classes is None
    mean, deviation = data.target_scale
    back = torch.cat([data.train_targets, data.held_out_targets]) * deviation + mean
    assert sorted(back.round().int().tolist()) == list(range(20))
    write_idx("p/train-labels-idx1-float", np.arange(20, dtype=np.float32) + 0.5)
    assert "p/train-labels-idx1-float: must hold classes, whole numbers or words; got float32" in message_of()


def whole():
    """Return the bytes of a small file of images."""
    return idx_bytes(np.zeros((3, 2, 2), dtype=np.uint8))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "begins with nothing, being empty"),
        (b"\0\0\x08", "begins with the byte(s) 00 00 08"),
        (b"<!DOCTYPE html>", "begins with the text '<!DO'"),
        (b"\x89PNG\r\n", "begins with the byte(s) 89 50 4e 47"),
        (b"\0\0\x07\x01\0\0\0\x01a", "its elements have the type 0x07"),
        (b"\0\0\x08\0", "it has 0 sizes; from 1 to 32"),
        (b"\0\0\x08\xff", "it has 255 sizes"),
        (b"\0\0\x08\x03\0\0", "ends within its header. The file is truncated."),
        (whole()[:-1], "3 x 2 x 2 elements of 1 byte(s), 12 bytes in all, but 11 follow. The file is truncated."),
        (whole() + b"\0", "12 bytes in all, but 13 follow. The file is damaged, or another kind of file."),
        (b"\0\0\x0e\x03" + struct.pack(">3I", *[2**32 - 1] * 3), "but 0 follow. The file is truncated."),
        (gzip.compress(whole(), mtime=0)[:-9], "packed by gzip and ends too early"),
        (gzip.compress(whole(), mtime=0)[:15], "packed by gzip and ends too early"),
        (gzip.compress(whole(), mtime=0)[:-8] + b"\0" * 8, "packed by gzip and damaged"),
        (gzip.compress(whole()[:-1], mtime=0), "but 11 follow. The file is truncated."),
        (gzip.compress(whole() + b"\0", mtime=0), "but more follow. The file is damaged"),
        (gzip.compress(b"\0\0\x0e\x03" + struct.pack(">3I", *[2**31] * 3), mtime=0), "bytes for its array; at most"),
        (b"\x1f\x8b" + b"x" * 30, "packed by gzip and damaged"),
        (idx_bytes(np.zeros((0, 2, 2), dtype=np.uint8)), "holds no example"),
        (idx_bytes(np.zeros(3, dtype=np.uint8)), "has one size, as labels have"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # bytes are no name
)
def test_a_damaged_file_is_named(data, words):
    """With what is wrong with it, before memory is taken for what it says it holds."""
    write_mnist("p")
    Path("p/train-images-idx3-ubyte").write_bytes(data)
    message = message_of()
    assert message.startswith("p/train-images-idx3-ubyte: ")
    assert words in message


def test_folders_that_are_not_certain_are_refused():
    """Labels of another number, a file without its other, two sets, none to learn from, no such folder."""
    assert "data.options.path = 'p': there is no such folder" in message_of()
    Path("p").mkdir()
    assert "holds no IDX files by a usual name" in message_of()
    write_mnist("p")
    write_idx("p/train-labels-idx1-ubyte", np.zeros(29, dtype=np.uint8))
    assert message_of().startswith("p/train-labels-idx1-ubyte: has 29 labels for the 30 of p/train-images-idx3-ubyte")
    Path("p/train-labels-idx1-ubyte").unlink()
    assert message_of() == "p: has train-images-idx3-ubyte but not the labels that belong to it."
    Path("p/train-images-idx3-ubyte").unlink()
    assert "none to learn from" in message_of()
    for name in ("letters", "digits"):
        images, labels = bars(9)
        write_idx(f"q/emnist-{name}-train-images-idx3-ubyte.gz", images)
        write_idx(f"q/emnist-{name}-train-labels-idx1-ubyte.gz", labels)
    assert "holds several sets of IDX files: `emnist-digits`, `emnist-letters`" in message_of('path = "q"')
    Path("f").write_bytes(b"")
    assert "data.options.path = 'f': is no folder" in message_of('path = "f"')


def test_a_name_that_people_have_for_such_files_says_how_they_are_read():
    """No data set is called so, since nothing is downloaded."""
    assert 'Its files are read by data.name = "idx", with data.path.' in message_of("", name="fashion-mnist")
    assert "Did you mean `cifar10`?" in message_of("", name="cifar-10")


def test_a_device_is_never_opened():
    """What would block or never end is refused."""
    write_mnist("p")
    Path("p/train-images-idx3-ubyte").unlink()
    Path("p/train-images-idx3-ubyte").symlink_to("/dev/zero")
    assert "p/train-images-idx3-ubyte: is a device" in message_of()
