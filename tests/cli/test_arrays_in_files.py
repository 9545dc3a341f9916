"""IDX, CIFAR and .npz through the real command line: trained, rated on each part, predicted from further files."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import fail, succeed
from PIL import Image
from runs_on_data import rate, train

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from array_files import bars, write_cifar10, write_idx, write_mnist

from downslope.cli.main import main

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

RECIPE = """
[data]
name = "NAME"
batch_size = 10
[model]
hidden = [12]
[sgd]
lr = 0.1
momentum = 0.9
[train]
epochs = 25
"""


def predict(*words, capsys):
    """Return what predict says, as JSON."""
    return json.loads(succeed(["predict", "run", "--json", *words], capsys))


def test_mnist_with_a_part_held_out_and_the_test_at_the_end(capsys):
    """Each part is rated by itself, and further files are predicted as the run read its own."""
    write_mnist("p")
    words = ["--data.path", "p", "--data.options.held_out_from", "train", "--data.options.standardize", "true"]
    said = train(RECIPE, "idx", *words)
    assert "24 examples to learn from, 6 held out, 3 classes" in said
    assert "downslope evaluate RUN --split test" in said
    for part, count in (("train", 24), ("held_out", 6), ("test", 9)):
        found = rate("--split", part, capsys=capsys)
        assert (found["split"], found["examples"], found["accuracy"], found["notes"]) == (part, count, 1.0, [])
    printed = succeed(["evaluate", "run", "--split", "test"], capsys)
    assert "on 9 test examples:" in printed
    assert rate(capsys=capsys)["examples"] == 6
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        Path("p", name).rename(name)
    assert "is missing" not in fail(["evaluate", "run", "--split", "train"], capsys)
    shutil.copytree("p", "q")
    kept = Path("run/inputs.json").read_text()
    for damaged in (
        kept.replace('"layout": "hw"', '"layout": "chw"'),
        kept.replace('"layout": "hw"', '"layout": "x"'),
        kept.replace('"kind": "pixels"', '"kind": "words"'),
        kept.replace('   "2"\n', '   "2",\n   "3"\n'),
        kept.replace('"scaling": [', '"scaling": [[[[1.0]]], '),
        re.sub(r'"shape": \[\s+6,', '"shape": [-6,', kept),
    ):
        assert damaged != kept
        Path("run/inputs.json").write_text(damaged)
        assert main(["evaluate", "run"]) == 2
        assert "run/inputs.json" in capsys.readouterr().err
    Path("run/inputs.json").write_text(kept)
    found = predict("--input", "q/t10k-images-idx3-ubyte", capsys=capsys)
    assert [one["class"] for one in found["predictions"]] == [0, 1, 2] * 3
    assert (found["metrics"]["accuracy"], found["predictions"][4]["target"]) == (1.0, 1)
    images, _ = bars(4, seed=5)
    np.save("further.npy", images)
    np.save("one.npy", images[1])
    Image.fromarray(images[2]).save("a.png")
    assert [one["class"] for one in predict("--input", "further.npy", capsys=capsys)["predictions"]] == [0, 1, 2, 0]
    assert [one["class"] for one in predict("--input", "one.npy", capsys=capsys)["predictions"]] == [1]
    assert [one["class"] for one in predict("--input", "a.png", capsys=capsys)["predictions"]] == [2]
    np.save("further.npy", images / 255)
    assert "these inputs are pixels, whole numbers from 0 to 255; got float64" in fail(
        ["predict", "run", "--input", "further.npy"], capsys
    )
    assert "holds labels, by its name" in fail(["predict", "run", "--input", "q/t10k-labels-idx1-ubyte"], capsys)
    write_idx("alone-images-idx3-ubyte", images)
    assert "holds no targets to rate by" in fail(["evaluate", "run", "--input", "alone-images-idx3-ubyte"], capsys)
    write_idx("alone-labels-idx1-ubyte", np.array([0, 1, 2, 7], dtype=np.uint8))
    assert "alone-labels-idx1-ubyte, example 3: the run has learned no class '7'" in fail(
        ["evaluate", "run", "--input", "alone-images-idx3-ubyte"], capsys
    )


def test_cifar_with_its_test_batch_held_out(capsys):
    """The test batch is what is held out, which is said where it is rated as the test; data may change afterwards."""
    write_cifar10("p", each=3)
    train(RECIPE, "cifar10", "--data.options.path", "p", "--train.epochs", "3")
    found = rate("--split", "train", capsys=capsys)
    assert (found["examples"], found["classes"][1]["name"]) == (15, "automobile")
    found, held_out = rate("--split", "test", capsys=capsys), rate(capsys=capsys)
    assert found["loss"] == held_out["loss"]
    assert found["notes"][0].startswith("the test part is what is held out of these data: it was looked at while")
    found = predict("--input", "p/data_batch_2.bin", capsys=capsys)
    assert [one["target_name"] for one in found["predictions"]] == ["airplane", "automobile", "bird"]
    assert rate("--input", "p/data_batch_2.bin", capsys=capsys)["examples"] == 3
    Path("p/data_batch_1.bin").write_bytes(Path("p/data_batch_2.bin").read_bytes())
    found = rate("--split", "train", capsys=capsys)
    assert "the data have changed since the run was trained: these are not the examples that it learned" in " ".join(
        found["notes"]
    )
    draw = np.random.default_rng(0)
    for shape in ((2, 32, 32, 3), (2, 3, 32, 32)):
        np.savez("more.npz", inputs=draw.integers(0, 255, shape, dtype=np.uint8), targets=np.array([0, 9]))
        assert rate("--input", "more.npz", capsys=capsys)["examples"] == 2
    np.savez("more.npz", inputs=draw.integers(0, 255, (2, 16, 16, 3), dtype=np.uint8))
    assert "an example of this run has the shape (3, 32, 32)" in fail(["predict", "run", "--input", "more.npz"], capsys)


def test_npz_of_numbers(capsys):
    """Predictions are in the unit of the targets, for a further file too."""
    inputs = np.linspace(-1, 1, 40)[:, None]
    np.savez("d.npz", x=inputs, y=500 + 1000 * inputs[:, 0], x_test=inputs[:4], y_test=500 + 1000 * inputs[:4, 0])
    words = ["--data.path", "d.npz", "--train.loss", "mse", "--model.hidden", "[]"]
    train(RECIPE, "npz", *words, "--data.options.held_out_from", "train")
    assert rate("--split", "test", capsys=capsys)["rmse"] < 30
    np.savez("more.npz", inputs=np.array([[0.0], [1.0]]), targets=np.array([500.0, 1500.0]))
    assert rate("--input", "more.npz", capsys=capsys)["mae"] < 30
    found = predict("--input", "more.npz", capsys=capsys)["predictions"]
    assert [round(one["value"], -2) for one in found] == [500, 1500]


def test_parts_that_are_not_there(capsys):
    """A built-in set has no test part; a part and a file exclude each other."""
    train(RECIPE, "digits", "--train.steps", "2")
    assert rate("--split", "train", capsys=capsys)["examples"] == 1437
    message = fail(["evaluate", "run", "--split", "test"], capsys)
    assert message.startswith("data.name = 'digits': brings no test part; it has a part to learn from and one to hold")
    assert "--split is a part of the run's own data, and --input a file of yours. Give one" in fail(
        ["evaluate", "run", "--split", "test", "--input", "a.npz"], capsys
    )
    assert "invalid choice: 'tset'" in fail(["evaluate", "run", "--split", "tset"], capsys)
    assert "digits` takes none; got path" in fail(["train", "digits", "--data.path", "p", "--out", "other"], capsys)
