"""Inside Hugging Face Accelerate: a loop of one's own around what `prepare` returns."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from guest_problem import BASE, Net, Way, bare, distance, loader, loss_of
from guest_table import ROWS, Guest, found_in, judge

from downslope.torch import SGD, GradScaler

accelerate = pytest.importorskip("accelerate", reason="Accelerate is not installed")
from downslope.torch.accelerate import report_skips  # noqa: E402


class Accelerate(Guest):
    """The loop of its documentation."""

    name = "Accelerate"

    def begin(self, kind: Any, options: dict[str, Any], way: Way) -> Any:
        """Return everything, made anew."""
        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
        accelerator = accelerate.Accelerator(
            cpu=True,
            gradient_accumulation_steps=way.accumulate,
            mixed_precision="bf16" if way.bf16 else "no",
        )
        if way.scaler is not None:
            accelerator.scaler = way.scaler
        net = Net()
        optimizer = kind(net.named_parameters(), **options)
        own = way.own_scheduler(optimizer)
        return accelerator, *accelerator.prepare(net, optimizer, loader(way), *([own] if own else [])), way.clip

    def epoch(self, accelerator: Any, model: Any, optimizer: Any, batches: Any, *rest: Any) -> None:
        """Train one."""
        *own, clip = rest
        for x, y in batches:
            with accelerator.accumulate(model):
                loss = loss_of(model, x, y)
                last = accelerator.sync_gradients or not hasattr(optimizer.optimizer, "accumulate")
                with nullcontext() if last else optimizer.optimizer.accumulate():
                    accelerator.backward(loss)
                if accelerator.sync_gradients and clip is not None:
                    accelerator.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                for one in own:
                    one.step()
                optimizer.zero_grad()

    def train(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Train all epochs."""
        parts = self.begin(kind, options, way)
        for _ in range(way.epochs):
            self.epoch(*parts)
        return parts[1]

    def resumed(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Save half of it by `save_state`, go on from `load_state`."""
        for half in range(2):
            parts = self.begin(kind, options, way)
            if half:
                parts[0].load_state(folder / "half")
            for _ in range(way.epochs // 2):
                self.epoch(*parts)
            parts[0].save_state(folder / "half")
        return parts[1]


@pytest.mark.parametrize("title", ROWS)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge(Accelerate.name, title, found_in(Accelerate(), title, tmp_path))


@pytest.mark.parametrize("scaler", [None, GradScaler("cpu", init_scale=1024.0)], ids=["plain", "scaled"])
@pytest.mark.parametrize("reported", [True, False])
def test_a_skip_is_seen_by_schedulers_of_torch_once_it_is_reported(scaler, reported):
    """`accelerator.prepare` leaves a scheduler where it is at a step that was skipped."""
    way = Way(poison=3, epochs=1, scaler=scaler)
    accelerator, model, optimizer, batches, clip = Accelerate().begin(SGD, BASE | {"on_nonfinite": "skip"}, way)
    theirs = torch.optim.lr_scheduler.LambdaLR(optimizer.optimizer, lambda step: 0.9**step)
    theirs = accelerator.prepare(theirs)
    if reported:
        assert report_skips(optimizer) is optimizer
    seen = []

    class Noting:
        def step(self):
            seen.append(accelerator.optimizer_step_was_skipped)
            theirs.step()

    Accelerate().epoch(accelerator, model, optimizer, batches, Noting(), clip)
    assert seen == [reported and index == 3 for index in range(8)]
    assert theirs.scheduler.last_epoch == 8 - reported
    assert optimizer.optimizer.skipped_steps == 1


def test_what_is_no_optimizer_of_accelerate():
    """An error says what is wanted."""
    with pytest.raises(TypeError, match="accelerator.prepare"):
        report_skips(SGD(Net().parameters(), lr=0.1))


def test_our_bits_are_those_of_the_bare_loop_with_everything_at_once():
    """Groups, clipping within the step, a schedule and accumulation."""
    options = BASE | {"clip_norm": 0.1, "groups": {"*.bias": {"weight_decay": 0.3}}}
    way = Way(accumulate=2)
    assert distance(Accelerate().train(SGD, options, way, Path()), bare(options, way)) == 0
