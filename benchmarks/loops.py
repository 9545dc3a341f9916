"""Whole training loops on one model and one set of batches: ours as its users call it, and others' as theirs do.

Each loop is a function of a number of steps. The time of a step is what more steps take more: what a loop does once,
before the first step and after the last, is thereby left out.

All shuffle the same examples, take the same batches of 32, and step by Nesterov momentum with weight decay. Beside
that, each does what it does by default: ours watches for gradients that are not finite and logs every step (and once
more with a line every 50 steps, as Lightning logs); Keras keeps the mean loss; torch's plain loop does nothing else.
"""

from __future__ import annotations

import contextlib
import io
import logging
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from models import build, keras_model

Loop = Callable[[int], object]
"""Trains for so many steps, from the beginning."""

BATCH = 32
OPTIONS: dict[str, Any] = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4, "nesterov": True}
OURS, OURS_SPARSE = "downslope train", "downslope train, a line every 50 steps"
PLAIN, PLAIN_FUSED, LIGHTNING, KERAS = "torch loop", "torch loop, fused SGD", "Lightning", "Keras fit (torch)"
STEPS = {"mlp": (200, 1200), "conv": (15, 65)}
"""Steps of the short and the long training of each model: what the long one takes more is divided by the difference."""
MOST_BATCHES = 50
MODELS = {
    "mlp": '{ name = "mlp", hidden = [128] }',
    "conv": '{ name = "models:model", options = { name = "conv" } }',
}
"""The recipe's model: the built-in one of these shapes, or one's own."""


def examples(name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the inputs and labels of a model's training set: `MOST_BATCHES` batches."""
    shape = build(name)[1].shape[1:]
    rng = np.random.default_rng(0)
    count = BATCH * MOST_BATCHES
    return rng.standard_normal((count, *shape), dtype=np.float32), rng.integers(0, 10, count)


def data(name: str) -> dict[str, Any]:
    """Return the same for `downslope train`, with as little held out as it allows."""
    inputs, labels = examples(name)
    return {
        "train_inputs": inputs,
        "train_targets": labels,
        "held_out_inputs": inputs[:BATCH],
        "held_out_targets": labels[:BATCH],
        "classes": 10,
    }


def loops(name: str) -> dict[str, Loop]:
    """Return every loop of a model, by name; Lightning's where it is installed."""
    import torch

    torch.manual_seed(0)
    found = {
        OURS: _ours(name, log_every=1),
        OURS_SPARSE: _ours(name, log_every=50),
        PLAIN: _torch(name),
        PLAIN_FUSED: _torch(name, fused=True),
        KERAS: _keras(name),
    }
    with contextlib.suppress(ImportError):
        found[LIGHTNING] = _lightning(name)
    return found


def time_loops(name: str, rounds: int) -> dict[str, list[float]]:
    """Return by loop the milliseconds of a step, by round; all take their turns in an order drawn anew each round."""
    return time_in_rounds(loops(name), STEPS[name], rounds)[0]


def time_in_rounds(
    contenders: Mapping[str, Loop], steps: tuple[int, int], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return by loop and round the milliseconds of a step, by the clock and by the processors.

    Args:
        contenders: The loops by name, in turns in an order drawn anew each round.
        steps: Of a short and a long training, the latter taking so much more as its further steps take.
        rounds: How many samples of each.
    """
    few, many = steps
    for loop in contenders.values():
        loop(few)  # whatever is imported or compiled once
    wall: dict[str, list[float]] = {label: [] for label in contenders}
    processor: dict[str, list[float]] = {label: [] for label in contenders}
    for number in range(rounds):
        order = list(contenders)
        random.Random(number).shuffle(order)  # noqa: S311 - an order of turns, no secret
        for label in order:
            short, long = (_seconds(contenders[label], count) for count in (few, many))
            for samples, before, after in zip((wall, processor), short, long, strict=True):
                samples[label].append((after - before) / (many - few) * 1e3)
    return wall, processor


def _seconds(loop: Loop, steps: int) -> tuple[float, float]:
    began, busy = time.perf_counter(), time.process_time()
    loop(steps)
    return time.perf_counter() - began, time.process_time() - busy


def _ours(name: str, *, log_every: int) -> Loop:
    return ours(
        {
            "data.name": '"loops:data"',
            "data.batch_size": BATCH,
            "data.options": f'{{ name = "{name}" }}',
            "model": MODELS[name],
            **{f"sgd.{key}": str(value).lower() for key, value in OPTIONS.items()},
            "train.log_every": log_every,
        }
    )


def ours(recipe: Mapping[str, Any]) -> Loop:
    """Return `downslope train` by a recipe; it returns the last step's loss, if its log has it."""
    from downslope.recipe.load import load_recipe
    from downslope.training.folder.log import read_rows
    from downslope.training.run.plan import plan_run
    from downslope.training.run.train import train
    from downslope.training.view.console import PlainConsole

    def run(steps: int) -> float | None:
        table = {**recipe, "train.steps": steps, "train.evaluate_every": steps, "checkpoint.every_seconds": 0}
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder) / "recipe.toml"
            base.write_text("", encoding="utf-8")
            found = load_recipe(base, [(path, str(value)) for path, value in table.items()])
            silent = PlainConsole(io.StringIO(), io.StringIO())
            plan = plan_run(found, name="loop", out=Path(folder) / "run", resume="never")
            train(plan, found, silent, report=False)
            last = read_rows(plan.folder, "step")[-1]
            return last["loss"] if last["step"] == steps - 1 else None

    return run


def _torch(name: str, **way: Any) -> Loop:
    """Return the loop that a tutorial shows, on tensors in memory."""
    import torch

    inputs, labels = map(torch.from_numpy, examples(name))
    loss_of = torch.nn.CrossEntropyLoss()

    def run(steps: int) -> None:
        network = build(name)[0]
        optimizer = torch.optim.SGD(network.parameters(), **OPTIONS, **way)
        done = 0
        while done < steps:
            for chosen in torch.randperm(len(inputs)).split(BATCH)[: steps - done]:
                optimizer.zero_grad()
                loss_of(network(inputs[chosen]), labels[chosen]).backward()
                optimizer.step()
                done += 1

    return run


def _lightning(name: str) -> Loop:
    import lightning
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    for logger in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    dataset = TensorDataset(*map(torch.from_numpy, examples(name)))
    loss_of = torch.nn.CrossEntropyLoss()

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = build(name)[0]

        def training_step(self, batch: Any) -> Any:
            inputs, labels = batch
            loss = loss_of(self.network(inputs), labels)
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), **OPTIONS)

    def run(steps: int) -> None:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            trainer = lightning.Trainer(
                accelerator="cpu",
                max_steps=steps,
                enable_progress_bar=False,
                enable_model_summary=False,
                enable_checkpointing=False,
                logger=lightning.pytorch.loggers.CSVLogger(folder),
                log_every_n_steps=50,
            )
            trainer.fit(Module(), DataLoader(dataset, batch_size=BATCH, shuffle=True))

    return run


def _keras(name: str) -> Loop:
    inputs, labels = examples(name)

    def run(steps: int) -> None:
        network, shape = keras_model(name)
        shaped, done = inputs.reshape(-1, *shape), 0
        while done < steps:
            batches = min(MOST_BATCHES, steps - done)
            network.fit(shaped[: batches * BATCH], labels[: batches * BATCH], batch_size=BATCH, verbose=0)
            done += batches

    return run
