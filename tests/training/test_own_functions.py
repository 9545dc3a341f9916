import errno
import os

import pytest
from training_runs import run, tiny

from downslope.core.errors import CheckpointError, DataError
from downslope.training.data import load_data
from downslope.training.folder import durable
from downslope.training.run.task import build_task

MODULE = """
import numpy as np
import torch
def good(n=10): return np.ones((n, 4)), np.arange(n) % 3
def fails(): raise RuntimeError("no network")
def one_array(): return np.ones(3)
def unequal(): return np.ones((4, 2)), np.ones(3, dtype=int)
def empty(): return np.ones((0, 2)), np.ones(0, dtype=int)
def infinite(): return np.array([[1.0], [np.inf], [np.nan]]), np.array([0, 1, 0])
def negative(): return np.ones((5, 2)), np.array([0, -1, 0, 1, 1])
def numbers(): return np.ones((5, 2)), np.linspace(0, 1, 5)
def words(): return np.array(["a", "b"]), np.array([0, 1])
def number_of(): return 3, [3, 4]
def lacking(): return {"train_inputs": np.ones(3)}
def too_few_classes():
    x, y = np.ones((5, 2)), np.arange(5)
    return {"train_inputs": x, "train_targets": y, "held_out_inputs": x, "held_out_targets": y, "classes": 3}
number = 3
"""
CASES = {
    "own_stuff:godo": "Did you mean `good`",
    "own_stuf:good": "there is no module `own_stuf`. Did you mean `own_stuff`",
    "own_stuff:fails": r"RuntimeError: no network \(.*own_stuff.py, line 5\)",
    "own_stuff:number": "is int, not a function",
    "own_stuff:one_array": r"must return \(inputs, targets\)",
    "own_stuff:unequal": "differ in length: 4 and 3",
    "own_stuff:empty": "holds no example",
    "own_stuff:infinite": "2 number.* inf or NaN, first in example 1",
    "own_stuff:negative": "the smallest is -1",
    "own_stuff:numbers": "'cross_entropy' needs integer class indices",
    "own_stuff:words": "has dtype <U1",
    "own_stuff:number_of": "must be a NumPy array, a tensor or a list; got int",
    "own_stuff:lacking": "lacks train_targets, held_out_inputs, held_out_targets",
    "own_stuff:too_few_classes": "the largest is 4",
    "own_stuff:": 'must be "package.module:function"',
    "own_broken:good": "importing `own_broken` failed: SyntaxError",
    "own_missing:good": "importing `own_missing` failed: ModuleNotFoundError: No module named 'not_there'",
    "digts": "Did you mean `digits`",
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in a folder with modules of a person's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    (tmp_path / "own_stuff.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "own_broken.py").write_text("def good(:", encoding="utf-8")
    (tmp_path / "own_missing.py").write_text("import not_there", encoding="utf-8")
    yield tmp_path
    __import__("sys").modules.pop("own_stuff", None)


@pytest.mark.parametrize("name", CASES)
def test_data_that_cannot_be_used_say_why(name, here):
    """One message each: where, what was got, what to do."""
    with pytest.raises(DataError, match=CASES[name]):
        load_data(tiny(data=f'{{ name = "{name}" }}'))


def test_options_that_do_not_fit_are_said(here):
    """An unknown option of a function of one's own, and any option of the digits."""
    assert len(load_data(tiny(data='{ name = "own_stuff:good", options = { n = 20 } }')).train_inputs) == 16
    with pytest.raises(DataError, match="unexpected keyword argument 'm'"):
        load_data(tiny(data='{ name = "own_stuff:good", options = { m = 20 } }'))
    with pytest.raises(DataError, match="`digits` takes none; got m"):
        load_data(tiny(data='{ name = "digits", options = { m = 20 } }'))


def test_models_and_losses_that_do_not_fit_are_said(tmp_path):
    """A model of the wrong size, a loss without a mean, names that do not exist."""
    for changed, message in (
        ({"model": '{ name = "training_tasks:broken_model" }'}, "the model or its loss raised RuntimeError"),
        ({"model": '{ name = "training_tasks:no_model" }'}, "must return a torch.nn.Module; got int"),
        ({"train__loss": "training_tasks:vector_loss"}, r"as a scalar tensor; got a tensor of shape \(8,\)"),
        ({"train__loss": "cross_entrpy"}, "Did you mean `cross_entropy`"),
        ({"model__name": "mpl"}, "Did you mean `mlp`"),
        ({"train__loss": "mse"}, "'mse' needs floating-point targets"),
    ):
        with pytest.raises(DataError, match=message):
            run(tiny(**changed), tmp_path / "run")


def test_the_built_in_model_fits_the_data():
    """Its first layer has the features', its last the classes' size."""
    shapes = {name: tuple(p.shape) for name, p in build_task(tiny()).state.model.named_parameters()}
    assert shapes == {"dense1.weight": (8, 4), "dense1.bias": (8,), "logits.weight": (3, 8), "logits.bias": (3,)}


class FullDisk:
    """An `os` on which the n-th write finds the disk full."""

    def __init__(self, writes):
        self.left = writes

    def __getattr__(self, name):
        return getattr(os, name)

    def write(self, descriptor, data):
        self.left -= 1
        if self.left < 0:
            os.write(descriptor, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(descriptor, data)


@pytest.mark.parametrize("writes", [0, 1, 3, 4, 5, 6, 9])
def test_a_full_disk_is_said_and_nothing_saved_is_lost(writes, tmp_path, monkeypatch):
    """Exit code 1, a message that says so, no half-written file; with space again, the run goes on."""
    recipe = tiny(checkpoint__every_steps="3")
    with monkeypatch.context() as patch:
        patch.setattr(durable, "os", FullDisk(writes))
        with pytest.raises(CheckpointError, match="the disk is full") as caught:
            run(recipe, tmp_path)
    assert caught.value.exit_code == 1
    assert not list(tmp_path.rglob("*.partial"))
    assert run(recipe, tmp_path)[0].finished
