"""Inside Lightning's Trainer: the cells of the table, and what its page says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from guest_problem import BASE, Net, Way, bare, distance, loader, loss_of
from guest_table import ROWS, SCHEDULE, Guest, found_in, judge

from downslope.core.errors import StateError
from downslope.torch import SGD

pl = pytest.importorskip("lightning.pytorch", reason="Lightning is not installed", exc_type=ImportError)
from lightning.pytorch.plugins import MixedPrecision  # noqa: E402

from downslope.torch.lightning import StepInBackward  # noqa: E402 -- it needs Lightning

pytestmark = [pytest.mark.filterwarnings("ignore:.*(num_workers|bottleneck|litlogger|isinstance.treespec|LeafSpec)")]


class Module(pl.LightningModule):
    """The model inside a LightningModule."""

    def __init__(self, kind: Any, options: dict[str, Any], way: Way) -> None:
        """Keep how to make the optimizer."""
        super().__init__()
        self.net = Net()
        self._made = (kind, options, way)

    def training_step(self, batch: Any, index: int) -> Any:
        """Return the loss."""
        return loss_of(self.net, *batch)

    def configure_optimizers(self) -> Any:
        """Return the optimizer, and a scheduler that is called after every step."""
        kind, options, way = self._made
        optimizer = kind(self.named_parameters(), **options)
        own = way.own_scheduler(optimizer)
        return optimizer if own is None else ([optimizer], [{"scheduler": own, "interval": "step"}])


def trainer(way: Way, folder: Path, callbacks: Any = (), **more: Any) -> Any:
    """Return Lightning's trainer, which shows nothing."""
    precision: dict[str, Any] = {"precision": "bf16-mixed"} if way.bf16 else {}
    if way.scaler is not None:
        precision = {"plugins": [FullPrecision(way.scaler)]}
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=way.epochs,
        accumulate_grad_batches=way.accumulate,
        gradient_clip_val=way.clip,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*callbacks],
        **precision,
        **more,
    )


class FullPrecision(MixedPrecision):
    """Lightning's place for a loss scaler, without the narrow format that CPUs make no exact numbers of."""

    def __init__(self, scaler: Any) -> None:
        """Take the scaler."""
        super().__init__("16-mixed", "cpu", scaler)

    def autocast_context_manager(self) -> Any:
        """Return one that changes nothing."""
        return torch.autocast("cpu", enabled=False)


class Lightning(Guest):
    """Lightning's automatic optimization."""

    name = "Lightning"

    def train(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Fit."""
        module = Module(kind, options, way)
        callbacks = [StepInBackward()] if options.get("step_in_backward") else []
        trainer(way, folder, callbacks).fit(module, loader(way))
        return module.net

    def resumed(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Fit, save by the trainer, fit a new module from the file."""
        first = trainer(Way(**{**vars(way), "epochs": way.epochs // 2}), folder)
        first.fit(Module(kind, options, way), loader(way))
        first.save_checkpoint(folder / "half.ckpt")
        module = Module(kind, options, way)
        trainer(way, folder).fit(module, loader(way), ckpt_path=folder / "half.ckpt", weights_only=True)
        return module.net


@pytest.mark.parametrize("title", ROWS)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge(Lightning.name, title, found_in(Lightning(), title, tmp_path))


def test_accumulation_within_the_backward_pass_needs_the_callback(tmp_path):
    """Without it an error names the way out; with it all is as the bare loop's."""
    way = Way(accumulate=2)
    module = Module(SGD, BASE | {"step_in_backward": True}, way)
    with pytest.raises(StateError, match=r"callbacks=\[StepInBackward\(\)\]"):
        trainer(way, tmp_path).fit(module, loader(way))


def test_accumulation_of_an_odd_number_of_batches(tmp_path):
    """The last step of an epoch has fewer micro-batches; the callback steps where Lightning steps."""
    way, options = Way(accumulate=3), BASE | {"lr": SCHEDULE}
    nets = [Lightning().train(SGD, options | more, way, tmp_path) for more in ({}, {"step_in_backward": True})]
    assert distance(*nets) == 0
    assert distance(nets[0], bare(options, Way())) > 0


def test_manual_optimization(tmp_path):
    """`self.optimizers()` is a wrapper: counts, `accumulate` and norms are the optimizer's."""

    class Manual(Module):
        automatic_optimization = False

        def training_step(self, batch, index):
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss_of(self.net, *batch))
            optimizer.step()
            assert optimizer.step_count == index + 1
            assert optimizer.grad_norm > 0

    options = BASE | {"clip_norm": 0.05}
    module = Manual(SGD, options, Way())
    trainer(Way(epochs=1), tmp_path).fit(module, loader(Way()))
    assert distance(module.net, bare(options, Way(epochs=1))) == 0
