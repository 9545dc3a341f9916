"""Inside Lightning Fabric: a loop of one's own around its wrappers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from guest_problem import Net, Way, loader, loss_of
from guest_table import ROWS, Guest, found_in, judge

fabric_of = pytest.importorskip("lightning.fabric", reason="Lightning is not installed", exc_type=ImportError)
from lightning.fabric.plugins import MixedPrecision  # noqa: E402


class FullPrecision(MixedPrecision):
    """Fabric's place for a loss scaler, without the narrow format."""

    def __init__(self, scaler: Any) -> None:
        """Take the scaler."""
        super().__init__("16-mixed", "cpu", scaler)

    def forward_context(self) -> Any:
        """Return one that changes nothing."""
        return torch.autocast("cpu", enabled=False)

    def convert_input(self, data: Any) -> Any:
        """Return it as it is."""
        return data


class Fabric(Guest):
    """A loop with `fabric.backward`."""

    name = "Fabric"

    def train(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Train all epochs."""
        fabric, model, optimizer, own = self.begin(kind, options, way)
        for _ in range(way.epochs):
            self.epoch(fabric, model, optimizer, own, way)
        return model

    def begin(self, kind: Any, options: dict[str, Any], way: Way) -> Any:
        """Return everything, made anew."""
        precision: dict[str, Any] = {"precision": "bf16-mixed"} if way.bf16 else {}
        if way.scaler is not None:
            precision = {"plugins": FullPrecision(way.scaler)}
        fabric = fabric_of.Fabric(accelerator="cpu", devices=1, **precision)
        net = Net()
        model, optimizer = fabric.setup(net, kind(net.named_parameters(), **options))
        return fabric, model, optimizer, way.own_scheduler(optimizer)

    def epoch(self, fabric: Any, model: Any, optimizer: Any, own: Any, way: Way) -> None:
        """Train one."""
        for index, (x, y) in enumerate(fabric.setup_dataloaders(loader(way))):
            loss = loss_of(model, x, y) / way.accumulate
            if (index + 1) % way.accumulate:
                with optimizer.accumulate():
                    fabric.backward(loss)
                continue
            fabric.backward(loss)
            if way.clip is not None:
                fabric.clip_gradients(model, optimizer, max_norm=way.clip)
            optimizer.step()
            optimizer.zero_grad()
            if own is not None:
                own.step()

    def resumed(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Save half of it by `fabric.save`, go on from `fabric.load`."""
        for half in range(2):
            fabric, model, optimizer, own = self.begin(kind, options, way)
            state = {"model": model, "optimizer": optimizer}
            if half:
                rest = fabric.load(folder / "half.ckpt", state)
                if own is not None:
                    own.load_state_dict(rest["scheduler"])
            for _ in range(way.epochs // 2):
                self.epoch(fabric, model, optimizer, own, way)
            if own is not None:
                state["scheduler"] = own.state_dict()
            fabric.save(folder / "half.ckpt", state)
        return model


@pytest.mark.parametrize("title", ROWS)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge(Fabric.name, title, found_in(Fabric(), title, tmp_path))
