"""Inside skorch: the optimizer as a class with arguments, grids over them, and its callbacks."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from guest_problem import BASE, Net, Way, bare, data, distance
from guest_table import ROWS, SCHEDULE, Guest, found_in, judge

from downslope.schedules import Constant
from downslope.torch import SGD
from downslope.torch.scheduler import Scheduler

skorch = pytest.importorskip("skorch", reason="skorch is not installed")
from skorch.callbacks import Checkpoint, GradientNormClipping, LRScheduler  # noqa: E402


class Skorch(Guest):
    """`NeuralNet(optimizer=SGD, optimizer__...)`."""

    name = "skorch"
    saves_schedulers = False
    lacks = frozenset({"its accumulation", "its bfloat16", "`GradScaler`", "… and its accumulation", "… and a scaler"})

    def net(self, kind: Any, options: dict[str, Any], way: Way, callbacks: Any = ()) -> Any:
        """Return the net."""
        callbacks = [*callbacks]
        if way.clip is not None:
            callbacks.append(GradientNormClipping(way.clip))
        if way.schedule is not None:
            callbacks.append(LRScheduler(Scheduler, schedule=way.schedule, step_every="batch"))
        return skorch.NeuralNet(
            Net,
            torch.nn.MSELoss,
            optimizer=kind,
            **{f"optimizer__{name}": value for name, value in options.items()},
            max_epochs=way.epochs,
            batch_size=4,
            train_split=None,
            callbacks=callbacks,
            verbose=0,
        )

    def train(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Fit."""
        return self.net(kind, options, way).fit(*data(way)).module_

    def resumed(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Fit with its checkpoint; load that in a new net, and fit on."""
        half = Way(**{**vars(way), "epochs": way.epochs // 2})
        saving = Checkpoint(dirname=folder, monitor=None)
        self.net(kind, options, half, [saving]).fit(*data(way))
        net = self.net(kind, options, half).initialize()
        net.load_params(checkpoint=saving)
        return net.partial_fit(*data(way)).module_


@pytest.mark.parametrize("title", ROWS)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge(Skorch.name, title, found_in(Skorch(), title, tmp_path))


def test_its_schedulers_count_epochs_when_it_fits_on():
    """It tells them how many epochs there were, whatever they count; a schedule in the optimizer goes on."""
    half = Way(epochs=1)
    in_callback = Skorch().net(SGD, BASE, Way(epochs=1, schedule=SCHEDULE)).fit(*data())
    in_callback.partial_fit(*data())
    assert in_callback.optimizer_.param_groups[0]["lr"] == SCHEDULE(1 + 8)
    held = Skorch().net(SGD, BASE | {"lr": SCHEDULE}, half).fit(*data())
    held.partial_fit(*data())
    assert distance(held.module_, bare(BASE | {"lr": SCHEDULE}, Way())) == 0


def test_a_grid_over_schedules_and_a_copy_by_pickle():
    """scikit-learn clones and pickles what it is given."""
    from sklearn.model_selection import GridSearchCV

    grid = {
        "optimizer__lr": [0.1, SCHEDULE, Constant(0.05)],
        "optimizer__groups": [(), {"@bias_and_norm": {"lr": 0.01}}],
    }
    net = Skorch().net(SGD, {"momentum": 0.9}, Way(epochs=1))
    x, y = (part.numpy() for part in data())
    search = GridSearchCV(net, grid, scoring="neg_mean_squared_error", cv=2, refit=True, error_score="raise").fit(x, y)
    assert len(search.cv_results_["params"]) == 6
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert np.array_equal(again.predict(x), search.best_estimator_.predict(x))


def test_groups_by_a_function_of_the_parameter():
    """It passes no names."""
    from guest_problem import numbers

    groups = [{"match": lambda name, param: param.ndim > 1, "lr": 0.0, "weight_decay": 0.0}]
    net = Skorch().net(SGD, BASE | {"groups": groups}, Way()).fit(*data())
    moved = [not torch.equal(a, b) for a, b in zip(numbers(net.module_), numbers(Net()), strict=True)]
    assert moved == [param.ndim == 1 for param in Net().parameters()]
