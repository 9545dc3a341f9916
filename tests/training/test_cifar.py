"""CIFAR-10 and CIFAR-100 in the binary version, the Python version that is refused, and damaged files."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from array_files import cifar_bytes, write_cifar10
from test_idx import load, message_of

from downslope.recipe.load import load_recipe
from downslope.training.data import load_data

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def write_cifar100(folder):
    """Write CIFAR-100's files: the coarse class is a fifth of the fine one."""
    Path(folder).mkdir(parents=True)
    Path(folder, "train.bin").write_bytes(cifar_bytes(30, classes=15, coarse=True))
    Path(folder, "test.bin").write_bytes(cifar_bytes(15, classes=15, coarse=True, seed=1))
    for name, count in (("fine", 100), ("coarse", 20)):
        words = "".join(f"{name} {number}\n" for number in range(count))
        Path(folder, f"{name}_label_names.txt").write_text(words)


def test_records_worked_by_hand():
    """A label, 1,024 bytes of red, of green and of blue, row by row; each a 255th."""
    write_cifar10("p")
    pixels = np.zeros((3, 32, 32), dtype=np.uint8)
    pixels[0, 0, 1], pixels[1, 2, 0], pixels[2, 31, 31] = 255, 51, 102
    Path("p/data_batch_1.bin").write_bytes(bytes([7]) + pixels.tobytes())
    data = load(name="cifar10")
    first = data.train_inputs[0]
    assert first.nonzero().tolist() == [[0, 0, 1], [1, 2, 0], [2, 31, 31]]
    assert [round(float(first[place]), 6) for place in ((0, 0, 1), (1, 2, 0), (2, 31, 31))] == [1, 0.2, 0.4]
    assert data.class_names[int(data.train_targets[0])] == "horse"


def test_the_five_batches_are_learned_from_and_the_test_batch_is_held_out():
    """In order, with the names of batches.meta.txt; fewer images than were published are said."""
    write_cifar10("p/cifar-10-batches-bin")
    data = load(name="cifar10")
    assert (tuple(data.train_inputs.shape), tuple(data.held_out_inputs.shape)) == ((30, 3, 32, 32), (6, 3, 32, 32))
    assert (data.classes, data.class_names[:2]) == (10, ("airplane", "automobile"))
    assert data.train_targets.tolist() == [0, 1, 2] * 10
    assert "p/cifar-10-batches-bin holds 30 images to learn from; CIFAR-10 has 50,000" in data.notes
    assert any("`test_batch.bin` is what is held out" in note for note in data.notes)


def test_a_path_may_stand_beside_the_name():
    """`data.path` and `data.options.path` are one thing, and an override of either replaces both."""
    write_cifar10("p")
    write_cifar10("q", each=2)
    text = '[data]\nname = "cifar10"\noptions = { path = "p" }\n[sgd]\nlr = 0.1\n[train]\nepochs = 1\n'
    Path("recipe.toml").write_text(text)
    recipe = load_recipe("recipe.toml", [("data.path", "q")])
    assert (recipe.data.path, dict(recipe.data.options)) == ("q", {})
    assert len(load_data(recipe).train_inputs) == 10
    Path("recipe.toml").write_text(text.replace("options = {", 'path = "q"\noptions = {'))
    with pytest.raises(Exception, match=r"`path` is 'q', and options.path is 'p': they are one thing. Give one."):
        load_recipe("recipe.toml")
    assert load_recipe("recipe.toml", [("data.options.path", "q")]).data.path is None
    both = [("data.path", "q"), ("data.options.path", "p")]
    with pytest.raises(Exception, match=r"--data.options.path: excludes --data.path"):
        load_recipe("recipe.toml", both)


def test_either_label_of_cifar100_is_learned():
    """The second byte of a record is the fine label, of 100, the first the coarse one, of 20."""
    write_cifar100("p")
    fine, coarse = load(name="cifar100"), load('path = "p", labels = "coarse"', name="cifar100")
    assert (fine.classes, fine.class_names[14], coarse.classes, coarse.class_names[2]) == (
        100, "fine 14", 20, "coarse 2",
    )  # fmt: skip
    assert fine.train_targets.tolist() == [*range(15)] * 2
    assert coarse.train_targets.tolist() == [number // 5 for number in range(15)] * 2
    assert (fine.train_inputs == coarse.train_inputs).all()


def test_without_names_classes_have_numbers():
    """And that is said."""
    write_cifar10("p", names=False)
    data = load(name="cifar10")
    assert (data.classes, data.class_names) == (10, ())
    assert "there is no batches.meta.txt in p: classes have numbers in place of names" in data.notes


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("inside", ["", "cifar-10-batches-py"])
def test_the_python_version_is_refused_and_never_read(name, inside):
    """A pickle runs what it likes: the message says so, and where the binary version is."""
    folder = Path("p", inside.replace("10-batches-py", "100-python") if name == "cifar100" else inside)
    folder.mkdir(parents=True)
    evil = pickle.dumps(Evil())
    for file in ("data_batch_1", "test_batch", "batches.meta") if name == "cifar10" else ("train", "test", "meta"):
        (folder / file).write_bytes(evil)
    message = message_of(name=name)
    assert "Python version: pickles, which can run any program when they are read" in message
    assert ("cifar-10-batches-bin" if name == "cifar10" else "cifar-100-binary") in message
    assert "Take the binary version" in message
    assert "Nothing is downloaded" in message
    assert not Path("run").exists()


class Evil:
    """What unpickling it would do."""

    def __reduce__(self):
        return Path.mkdir, (Path("run"),)


@pytest.mark.parametrize(
    ("file", "data", "words"),
    [
        ("data_batch_3.bin", cifar_bytes(2)[:-1], "p/data_batch_3.bin: has 6,145 bytes, no whole number of CIFAR-10's"),
        ("test_batch.bin", b"", "p/test_batch.bin: has 0 bytes"),
        ("data_batch_1.bin", b"\x0a" + bytes(3072), "p/data_batch_1.bin, record 0: its label is 10"),
        ("data_batch_2.bin", None, "p: lacks data_batch_2.bin, a part of CIFAR-10 to learn from"),
        (
            "batches.meta.txt",
            b"cat\ndog\n",
            "p/batches.meta.txt: must hold the names of 10 classes, a line each; got 2",
        ),
        ("batches.meta.txt", b"\xff\xfe\n", "p/batches.meta.txt: cannot be read"),
    ],
)
def test_a_damaged_file_is_named(file, data, words):
    """With what is wrong with it."""
    write_cifar10("p")
    Path("p", file).unlink()
    if data is not None:
        Path("p", file).write_bytes(data)
    assert words in message_of(name="cifar10")


def test_folders_without_it_are_refused():
    """An empty one, one with the archive, and one with the other set."""
    Path("p").mkdir()
    assert "p: holds no CIFAR-10 in the binary version: neither data_batch_1.bin" in message_of(name="cifar10")
    Path("p/cifar-10-binary.tar.gz").write_bytes(b"")
    assert "p: holds `cifar-10-binary.tar.gz`, packed. Unpack the binary version" in message_of(name="cifar10")
    write_cifar10("q")
    assert "q: holds no CIFAR-100 in the binary version" in message_of('path = "q"', name="cifar100")
    assert "`labels` must be `fine` or `coarse`; got 'x'" in message_of('path = "q", labels = "x"', name="cifar100")
