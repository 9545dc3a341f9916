"""Data sets of Hugging Face's, saved by the real library: splits, features, columns, images, lists, and no network."""

import io
import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from array_files import bars
from PIL import Image
from pyarrow import parquet
from test_idx import load as load_named
from test_idx import message_of as message_of_named

datasets = pytest.importorskip("datasets")

pytestmark = pytest.mark.usefixtures("in_an_empty_folder", "no_network")


@pytest.fixture
def no_network(monkeypatch):
    """Let every connection fail the test."""

    def refuse(*_):
        pytest.fail("something asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def load(options="", name="hf:d", **more):
    """Return the data set that is saved in the folder `d`."""
    return load_named(options, name=name, **more)


def message_of(options="", name="hf:d", **more):
    """Return the message with which loading fails."""
    return message_of_named(options, name=name, **more)


def pictures(count, seed=0, mode="L"):
    """Return a data set of small images with a bright row, whose classes have names."""
    images, labels = bars(count, seed=seed)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["top", "mid", "low"])})
    rows = {"image": [Image.fromarray(one).convert(mode) for one in images], "label": labels.tolist()}
    return datasets.Dataset.from_dict(rows, features=features), images


def test_images_and_class_labels():
    """Pixels are a 255th each, classes have the names of the feature; the only test split is held out, and said."""
    train, images = pictures(12)
    test, _ = pictures(6, seed=1)
    datasets.DatasetDict(train=train, test=test).save_to_disk("d")
    data = load('colour = "grey"')
    assert (data.train_inputs[:, 0] == torch.from_numpy(images).float() / 255).all()
    assert (data.class_names, data.classes, data.image_shape) == (("top", "mid", "low"), 3, (6, 6))
    assert (len(data.held_out_inputs), data.train_targets.tolist()) == (6, [0, 1, 2] * 4)
    assert any("`test` is what is held out" in note for note in data.notes)
    assert "learned from: `image`; to be told: `label`" in data.notes
    assert tuple(load().train_inputs.shape) == (12, 3, 6, 6)
    assert tuple(load("size = [4, 5]").train_inputs.shape) == (12, 3, 4, 5)
    data = load('held_out_from = "train"')
    assert (len(data.train_inputs), len(data.held_out_inputs)) == (9, 3)


def test_one_split_alone_is_split_and_any_split_may_be_named():
    """A `Dataset` without parts; and parts whose names tell nothing, or something else."""
    every, _ = pictures(12)
    every.save_to_disk("d")
    assert (len(load().train_inputs), len(load().held_out_inputs)) == (9, 3)
    datasets.DatasetDict(a=every, b=every.select(range(4)), c=every.select(range(5))).save_to_disk("e")
    assert "e: has the splits `a`, `b`, `c`, and it is not certain which to learn from. Set data.options.split." in (
        message_of(name="hf:e")
    )
    data = load('split = "a", held_out_split = "b"', name="hf:e")
    assert (len(data.train_inputs), len(data.held_out_inputs)) == (12, 4)
    assert "splits of e that are not used: `c`" in data.notes
    assert "data.options.split = 'aa': e has no such split. It has `a`, `b`, `c`." in message_of(
        'split = "aa"', name="hf:e"
    )
    assert "'a[:50%]' is a slice" in message_of('split = "a[:50%]"', name="hf:e")
    assert "must be different splits" in message_of('split = "a", test_split = "a"', name="hf:e")


def test_of_validation_and_test_the_former_is_held_out():
    """The test split is left alone: what is wrong in it is not met in training."""
    train, _ = pictures(12)
    bad = datasets.Dataset.from_dict({"image": ["x"] * 3, "label": [0, 1, 2]})
    datasets.DatasetDict(train=train, validation=train.select(range(3))).save_to_disk("d")
    data = load()
    assert len(data.held_out_inputs) == 3
    datasets.DatasetDict(train=train, validation=train.select(range(3)), test=bad).save_to_disk("e")
    assert "split `test`: its column `image` is words, and that of e, split `train` image" in message_of(name="hf:e")


def table():
    """Return rows of numbers, a word and a class by words."""
    draw = np.random.default_rng(0)
    kinds = ["ant", "bee"] * 10
    return {
        "length": draw.normal(size=20).tolist(),
        "legs": [6] * 10 + [5] * 10,
        "name": [f"n{number}" for number in range(20)],
        "kind": kinds,
        "weight": (draw.normal(size=20) * 100).tolist(),
    }


def test_columns_of_numbers():
    """Those named, side by side, in that order; words may be the target, and numbers with "mse"."""
    rows = table()
    datasets.Dataset.from_dict(rows).save_to_disk("d")
    data = load('inputs = ["legs", "length"], target = "kind"')
    everything = torch.cat([data.train_inputs, data.held_out_inputs])
    assert sorted(everything[:, 0].tolist()) == [5.0] * 10 + [6.0] * 10
    assert (data.class_names, tuple(data.train_inputs.shape)) == (("ant", "bee"), (16, 2))
    data = load('inputs = "length", target = "weight"', loss="mse")
    assert (data.classes, data.target_scale[1] > 50, tuple(data.train_inputs.shape)) == (None, True, (16, 1))
    rows = {**rows, "kind": [kind == "ant" for kind in rows["kind"]]}
    datasets.Dataset.from_dict(rows).save_to_disk("e")
    assert load('inputs = "length", target = "kind"', name="hf:e").classes == 2
    message = message_of('target = "kind"')
    assert "it is not certain which columns are to be learned from. Set data.options.inputs" in message
    assert "`length` (number), `legs` (number), `name` (words), `kind` (words), `weight` (number)" in message
    assert "not certain which column is to be learned. Set data.options.target" in message_of()
    assert "data.options.target = 'x': d has no such column" in message_of('target = "x"')
    assert "`name` cannot be learned from. Turn them into numbers beforehand" in message_of(
        'inputs = "name", target = "kind"'
    )
    assert "`kind` is the target" in message_of('inputs = ["kind"], target = "kind"')
    assert "data.options.size: is not for numbers" in message_of('inputs = "legs", target = "kind", size = [2, 2]')


def test_lists_of_tokens_are_filled_up_and_cut():
    """To the longest, or the length that is said; `input_ids` are known among what a tokenizer makes."""
    rows = {
        "input_ids": [[1, 2, 3], [4], [5, 6], [7, 8, 9]] * 4,
        "attention_mask": [[1, 1, 1], [1], [1, 1], [1, 1, 1]] * 4,
        "label": [0, 1] * 8,
    }
    datasets.Dataset.from_dict(rows).save_to_disk("d")
    data = load("pad = 99")
    assert (data.train_inputs.dtype, tuple(data.train_inputs.shape[1:])) == (torch.int64, (3,))
    found = {tuple(row) for row in torch.cat([data.train_inputs, data.held_out_inputs]).tolist()}
    assert found == {(1, 2, 3), (4, 99, 99), (5, 6, 99), (7, 8, 9)}
    assert "lists have 3 items: 8 filled up" in data.notes
    data = load("length = 2")
    assert {tuple(row) for row in data.train_inputs.tolist()} <= {(1, 2), (4, 0), (5, 6), (7, 8)}
    assert "lists have 2 items: 4 filled up and 8 cut" in data.notes


def test_arrays_and_lists_of_one_shape():
    """Lists of lists, and fixed arrays; lists of fractions must be of one length."""
    draw = np.random.default_rng(0)
    arrays = draw.normal(size=(8, 2, 3)).astype(np.float32)
    features = datasets.Features({
        "x": datasets.Array2D((2, 3), "float32"), "y": datasets.Value("int64"),
        "z": datasets.List(datasets.List(datasets.Value("float32"))), "w": datasets.List(datasets.Value("float32")),
    })  # fmt: skip
    rows = {"x": arrays, "z": arrays.tolist(), "w": [[1.0] * (1 + number % 2) for number in range(8)], "y": [0, 1] * 4}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk("d")
    for name in ("x", "z"):
        data = load(f'inputs = "{name}"')
        both = torch.cat([data.train_inputs, data.held_out_inputs])
        assert sorted(both.flatten().tolist()) == sorted(arrays.flatten().tolist())
        assert tuple(both.shape) == (8, 2, 3)
    assert "d, row 1: `w` has 2 items, and row 0 has 1. Lists of whole numbers are filled up" in message_of(
        'inputs = "w"'
    )
    assert "data.options.length is for lists of whole numbers" in message_of('inputs = "x", length = 3')


def test_parquet_files():
    """One file is one split; in a folder the names tell, as the Hub names them; features are those saved with them."""
    train, images = pictures(12)
    Path("d/data").mkdir(parents=True)
    train.select(range(6)).to_parquet("d/data/train-00000-of-00002.parquet")
    train.select(range(6, 12)).to_parquet("d/data/train-00001-of-00002.parquet")
    train.select(range(3)).to_parquet("d/data/test-00000-of-00001.parquet")
    data = load('colour = "grey"')
    assert (data.train_inputs[:, 0] == torch.from_numpy(images).float() / 255).all()
    assert (len(data.held_out_inputs), data.class_names) == (3, ("top", "mid", "low"))
    datasets.Dataset.from_dict(table()).to_parquet("rows.parquet")
    data = load('inputs = ["length"], target = "kind"', name="hf:rows.parquet")
    assert len(data.train_inputs) == 16
    Path("d/more.parquet").write_bytes(Path("rows.parquet").read_bytes())
    assert "more.parquet belongs to no split by its name, and others do: `test`, `train`" in message_of()
    Path("rows.parquet").write_bytes(Path("rows.parquet").read_bytes()[:-20])
    assert "rows.parquet" in message_of(name="hf:rows.parquet")


def test_nothing_is_downloaded(monkeypatch, tmp_path):
    """A name of the Hub is looked for in the cache alone, and the message says how to have it."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    before = datasets.config.HF_HUB_OFFLINE
    message = message_of(name="hf:nobody/nothing")
    assert "data.name = 'hf:nobody/nothing': there is no such folder or file, and the cache of `datasets`" in message
    assert "datasets.load_dataset('nobody/nothing').save_to_disk('FOLDER')" in message
    assert before == datasets.config.HF_HUB_OFFLINE
    assert "there is no such folder or file. It is looked for from" in message_of(name="hf:./nothing")


def test_a_picture_that_is_elsewhere_or_damaged_is_named():
    """By its row; images that are no part of the data are files, and nothing else is opened."""
    good = io.BytesIO()
    Image.new("L", (4, 4)).save(good, "PNG")
    for cell, words in [
        (
            {"bytes": None, "path": "https://example.com/a.png"},
            "d.parquet, row 1: its image is not in the data set but in the file",
        ),
        (
            {"bytes": b"no image", "path": None},
            "d.parquet, row 1: cannot be read as an image: cannot identify image file",
        ),
        (None, "d.parquet, row 1: `image` is empty. Leave such rows out beforehand."),
        ({"bytes": good.getvalue()[:40], "path": None}, "d.parquet, row 1: cannot be read as an image"),
    ]:
        features = datasets.Features({"image": datasets.Image(decode=False), "label": datasets.Value("int64")})
        cells = [{"bytes": good.getvalue(), "path": None}, cell] * 4
        rows = pa.table({"image": cells, "label": [0, 1] * 4}, schema=features.arrow_schema)
        parquet.write_table(rows, "d.parquet")  # as `datasets` itself would first look for the file
        assert words in message_of(name="hf:d.parquet")


def test_what_is_missing_is_named():
    """A missing number, class or list, with its row; a folder that is none; a path given twice."""
    rows = {"x": [1.0, None, 3.0, None], "y": [0, 1, 0, 1]}
    datasets.Dataset.from_dict(rows).save_to_disk("d")
    assert "d, row 1: `x` is empty, and so are 1 more. Fill them in" in message_of()
    datasets.Dataset.from_dict({"x": [1.0, 2.0], "y": ["a", None]}).save_to_disk("e")
    assert "e, row 1: `y` is empty" in message_of(name="hf:e")
    Path("f").mkdir()
    assert "is neither a folder that `save_to_disk` of datasets has written" in message_of(name="hf:f")
    assert "its path stands in its name" in message_of('path = "d"')
    Path("d/state.json").write_text("{")
    assert "data.name = 'hf:d': cannot be read" in message_of()
