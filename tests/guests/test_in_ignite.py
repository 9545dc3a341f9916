"""Inside pytorch-ignite: its supervised trainer, handlers and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from guest_problem import BASE, Net, Way, bare, distance, loader
from guest_table import ROWS, SCHEDULE, Guest, found_in, judge

from downslope.torch import SGD

pytest.importorskip("ignite", reason="pytorch-ignite is not installed")
from ignite.engine import Events, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver
from ignite.handlers.param_scheduler import LRScheduler

pytestmark = pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'", "ignore:CUDA is not available")


class Ignite(Guest):
    """`create_supervised_trainer`."""

    name = "ignite"
    lacks = frozenset({"its clipping", "its bfloat16", "… and its clipping"})

    def begin(self, kind: Any, options: dict[str, Any], way: Way) -> dict[str, Any]:
        """Return everything, made anew."""
        model = Net()
        optimizer = kind(model.named_parameters(), **options)
        scaled = {} if way.scaler is None else {"amp_mode": "amp", "scaler": way.scaler}
        trainer = create_supervised_trainer(
            model, optimizer, torch.nn.MSELoss(), gradient_accumulation_steps=way.accumulate, **scaled
        )
        parts = {"model": model, "optimizer": optimizer, "trainer": trainer}
        if (own := way.own_scheduler(optimizer)) is not None:
            trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _: own.step())
            parts["scheduler"] = own
        return parts

    def train(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Run."""
        parts = self.begin(kind, options, way)
        parts["trainer"].run(loader(way), max_epochs=way.epochs)
        return parts["model"]

    def resumed(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Run half of it with its checkpoint, load that, run on."""
        parts = self.begin(kind, options, way)
        saving = Checkpoint(parts, DiskSaver(folder, require_empty=False))
        parts["trainer"].add_event_handler(Events.EPOCH_COMPLETED, saving)
        parts["trainer"].run(loader(way), max_epochs=way.epochs // 2)
        parts = self.begin(kind, options, way)
        Checkpoint.load_objects(parts, checkpoint=folder / saving.last_checkpoint)
        parts["trainer"].run(loader(way), max_epochs=way.epochs)
        return parts["model"]


@pytest.mark.parametrize("title", ROWS)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge(Ignite.name, title, found_in(Ignite(), title, tmp_path))


def test_its_wrapper_of_torchs_schedulers_takes_ours():
    """It writes the number of calls into the scheduler, and asks for the lr there."""
    parts = Ignite().begin(SGD, BASE, Way())
    own = Way(schedule=SCHEDULE).own_scheduler(parts["optimizer"])
    parts["trainer"].add_event_handler(Events.ITERATION_STARTED, LRScheduler(own))
    parts["trainer"].run(loader(Way()), max_epochs=2)
    assert distance(parts["model"], bare(BASE, Way(schedule=SCHEDULE))) == 0
