"""One small problem that every guest of torch trains, and the bare loop that says what has to come out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from downslope.core.schedules import Schedule
from downslope.torch import SGD, scheduler

BATCHES = 8
"""Micro-batches in an epoch, of four examples each."""

BASE: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}


@dataclass(frozen=True)
class Way:
    """How a training goes, in the words of no guest.

    Attributes:
        epochs: Passes over the data.
        accumulate: Micro-batches in a step, whose mean is the loss.
        clip: Global norm to which the guest clips.
        bf16: Whether the guest runs the model under autocast to bfloat16.
        scaler: What scales the loss, in the guest's place for it.
        schedule: What `downslope.torch.scheduler` drives, in the guest's place for schedulers.
        poison: The micro-batch whose input holds inf.
    """

    epochs: int = 2
    accumulate: int = 1
    clip: float | None = None
    bf16: bool = False
    scaler: Any = None
    schedule: Schedule | None = None
    poison: int | None = None

    def own_scheduler(self, optimizer: Any) -> Any:
        """Return our scheduler for an optimizer, or None."""
        return None if self.schedule is None else scheduler(optimizer, self.schedule)


class Net(nn.Sequential):
    """The model: the same numbers each time it is made."""

    def __init__(self) -> None:
        """Draw the parameters."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            super().__init__(nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3))


def data(way: Way = Way()) -> tuple[Tensor, Tensor]:
    """Return all inputs and targets, in the order in which they are trained on."""
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(4 * BATCHES, width, generator=generator) for width in (6, 3))
    if way.poison is not None:
        x[4 * way.poison] = torch.inf
    return x, y


def loader(way: Way) -> torch.utils.data.DataLoader:
    """Return the data as torch loads it, in order."""
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data(way)), batch_size=4, shuffle=False)


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error of a micro-batch."""
    return nn.functional.mse_loss(model(x).float(), y)


def bare(options: dict[str, Any], way: Way, kind: Any = SGD) -> nn.Module:
    """Return the model as a plain loop trains it, which nothing surrounds."""
    model = Net()
    optimizer = kind(model.named_parameters(), **options)
    own = way.own_scheduler(optimizer)
    for _ in range(way.epochs):
        for index, (x, y) in enumerate(loader(way)):
            with torch.autocast("cpu", torch.bfloat16) if way.bf16 else nullcontext():
                loss = loss_of(model, x, y)
            last = (index + 1) % way.accumulate == 0
            with nullcontext() if last or kind is not SGD else optimizer.accumulate():
                (loss / way.accumulate).backward()
            if last:
                if way.clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), way.clip)
                optimizer.step()
                optimizer.zero_grad()
                if own is not None:
                    own.step()
    return model


def numbers(model: nn.Module) -> Iterator[Tensor]:
    """Yield a trained model's parameters, whatever a guest has wrapped around it."""
    for param in model.parameters():
        whole = param.full_tensor() if hasattr(param, "full_tensor") else param
        yield whole.detach().clone()


def distance(one: nn.Module, other: nn.Module) -> float:
    """Return the largest difference between two models' parameters; inf where one of them is NaN."""
    found = [float((a - b).abs().max()) for a, b in zip(numbers(one), numbers(other), strict=True)]
    return max((value if value == value else float("inf")) for value in found)  # noqa: PLR0124 -- NaN
