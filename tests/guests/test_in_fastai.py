"""Inside fastai: the optimizer in its wrapper, its callbacks and its saved learners."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from guest_problem import BASE, Net, Way, distance, loader
from guest_table import ROWS, Guest, found_in, judge

from downslope.core.schedules import Schedule
from downslope.torch import SGD

pytest.importorskip("fastai", reason="fastai is not installed", exc_type=ImportError)
from fastai.callback.core import Callback
from fastai.callback.schedule import *  # noqa: F403 -- it adds methods to the learner
from fastai.callback.training import GradientAccumulation, GradientClip
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.optimizer import OptimWrapper


class Scheduling(Callback):
    """Our scheduler, one step after each of the optimizer's."""

    def __init__(self, way: Way) -> None:
        """Keep what it does."""
        self.way = way

    def before_fit(self) -> None:
        """Make it for the optimizer within the wrapper."""
        self.own = self.way.own_scheduler(self.learn.opt.opt)

    def after_step(self) -> None:
        """Go on."""
        self.own.step()


class Fastai(Guest):
    """`Learner(opt_func=partial(OptimWrapper, opt=SGD, ...))`."""

    name = "fastai"
    drives_lr = True
    saves_schedulers = False
    lacks = frozenset({"its bfloat16", "`GradScaler`", "… and a scaler"})

    def learner(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Return the learner."""
        callbacks: list[Any] = []
        if way.clip is not None:
            callbacks.append(GradientClip(way.clip))
        if way.accumulate > 1:
            callbacks.append(GradientAccumulation(4 * way.accumulate))
        if way.schedule is not None:
            callbacks.append(Scheduling(way))
        rest = {name: value for name, value in options.items() if name != "lr"}
        lr = options["lr"]
        made = partial(OptimWrapper, opt=partial(kind, **rest))
        learner = Learner(
            DataLoaders(loader(way), loader(way)),
            Net(),
            torch.nn.functional.mse_loss,
            opt_func=made if not isinstance(lr, Schedule) else partial(made, lr=lr),
            lr=0.1 if isinstance(lr, Schedule) else lr,
            cbs=callbacks,
            path=folder,
            train_bn=False,
        )
        learner.remove_cbs(
            [cb for cb in learner.cbs if type(cb).__name__ in {"ProgressCallback", "Recorder", "CastToTensor"}]
        )
        return learner

    def train(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Fit."""
        learner = self.learner(kind, options, way, folder)
        learner.fit(way.epochs)
        return learner.model

    def resumed(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Fit half, `save`; `load` in a new learner, fit on."""
        learner = self.learner(kind, options, way, folder)
        learner.fit(way.epochs // 2)
        learner.save("half")
        learner = self.learner(kind, options, way, folder)
        learner.create_opt()
        learner.load("half")
        learner.fit(way.epochs // 2)
        return learner.model


@pytest.mark.parametrize("title", ROWS)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge(Fastai.name, title, found_in(Fastai(), title, tmp_path))


def test_fit_one_cycle(tmp_path):
    """It writes lr and momentum at every step: the same as with torch's."""
    learners = [Fastai().learner(kind, BASE, Way(), tmp_path) for kind in (SGD, torch.optim.SGD)]
    for learner in learners:
        learner.fit_one_cycle(2, lr_max=0.2)
    assert distance(*(learner.model for learner in learners)) < 2e-6
