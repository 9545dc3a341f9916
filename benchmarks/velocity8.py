"""Train with velocities of 8 bits beside float32, seed by seed, and look for the case in which 8 bits do harm.

    python benchmarks/velocity8.py --json benchmarks/results/velocity8.json

Networks of five kinds are trained by recipes, with `train.velocity_dtype` either way: the same weights at first, the
same batches. Told is the mean difference over seeds with its standard error. What the file has already is not trained
again, so that one that was stopped goes on. Then a case made to do harm: blocks in which one weight has a large noisy
gradient and all others a small steady one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import environment
import tables

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
WAYS = ("float32", "int8")
MOMENTUM, SMALL_LR, SMALL_STEPS = 0.99, 1e-4, 500
SIDE, CLASSES, TRAINED_ON, HELD_OUT = 32, 10, 1280, 500
NOISE = 2.0
"""Deviation of the noise on an image, where the pattern's is 1."""


class Task(NamedTuple):
    """A recipe, what is changed in it, how many seeds it is trained with, and what is told of it, in per cent."""

    recipe: str
    changes: dict[str, str]
    seeds: int = 20
    measure: str = "accuracy"


TASKS = {
    "digits, perceptron 64-128-128-10": Task("digits", {"model.hidden": "[128, 128]", "train.epochs": "15"}),
    "MNIST-1D, residual convolutions": Task("mnist1d-convnet", {"sgd.lr.duration": "10", "train.epochs": "10"}),
    "MNIST-1D, GRU of 64": Task(
        "mnist1d-gru",
        {
            "model.options.units": "64",
            "model.options.bidirectional": "false",
            "sgd.lr.duration": "10",
            "train.epochs": "10",
        },
    ),
    "images of 32x32, ResNet-20": Task(
        "cifar10-resnet20",
        {
            "data.name": '"velocity8:images"',
            "data.batch_size": "32",
            "sgd.lr": '{ schedule = "cosine", initial = 0.1, final = 0.0, duration = 160 }',
            "train.steps": "160",
            "train.log_every": "1",
        },
        5,
    ),
    "letters to phonemes, GRU of 128": Task("g2p-quick", {}, 5, "phoneme_error_rate"),
}


def images() -> dict[str, Any]:
    """Return images of ten smooth patterns, each shifted at random and under noise, for `downslope train`."""
    import numpy as np

    rng = np.random.default_rng(0)
    waves = rng.standard_normal((CLASSES, 3, SIDE, SIDE))
    spectrum = np.fft.fft2(waves)
    frequencies = np.fft.fftfreq(SIDE)
    near = np.hypot(frequencies[:, None], frequencies[None, :]) < 0.15
    patterns = np.fft.ifft2(spectrum * near).real
    patterns /= patterns.std(axis=(1, 2, 3), keepdims=True)
    labels = rng.integers(0, CLASSES, TRAINED_ON + HELD_OUT)
    shifts = rng.integers(0, SIDE, (len(labels), 2))
    clean = np.stack([np.roll(patterns[one], shift, (1, 2)) for one, shift in zip(labels, shifts, strict=True)])
    found = (clean + NOISE * rng.standard_normal(clean.shape)).astype(np.float32)
    parts = {"train": slice(TRAINED_ON), "held_out": slice(TRAINED_ON, None)}
    inputs = {f"{part}_inputs": found[where] for part, where in parts.items()}
    return inputs | {f"{part}_targets": labels[where] for part, where in parts.items()} | {"classes": CLASSES}


def train(task: Task, seed: int, way: str) -> dict[str, float]:
    """Return what is measured of one run on the held-out examples, in per cent, and the loss there."""
    from downslope.recipe.load import load_recipe
    from downslope.training.run.plan import plan_run
    from downslope.training.run.train import train as train_recipe
    from downslope.training.use.evaluate import evaluate_run
    from downslope.training.view.console import QuietConsole

    changes = task.changes | {"seed": str(seed), "train.velocity_dtype": json.dumps(way)}
    recipe = load_recipe(RECIPES / f"{task.recipe}.toml", list(changes.items()))
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "said").open("w", encoding="utf-8") as said:
        run = Path(folder) / "run"
        train_recipe(plan_run(recipe, name="run", out=run), recipe, QuietConsole(said, said), report=False)
        found = evaluate_run(run)
    return {task.measure: 100 * found[task.measure], "loss": found["loss"]}


def share_of_codes(task: Task) -> float:
    """Return which part of a model's elements have velocities of codes where these are asked for."""
    from downslope.recipe.load import load_recipe
    from downslope.torch.blocks import is_worth_codes
    from downslope.training.data import load_data
    from downslope.training.models import build_model

    recipe = load_recipe(RECIPES / f"{task.recipe}.toml", list(task.changes.items()))
    params = list(build_model(recipe, load_data(recipe)).parameters())
    return sum(p.numel() for p in params if is_worth_codes(p)) / sum(p.numel() for p in params)


def way_gone(small: float, velocity_dtype: Any) -> float:
    """Return how far small gradients have brought their weights, as a share of what exact velocities would have.

    Args:
        small: The steady gradient of all weights but the first of each block; the first one's is +-1 at random.
        velocity_dtype: What velocities are kept in.
    """
    import torch

    import downslope.torch

    param = torch.nn.Parameter(torch.zeros(16, 256))
    optimizer = downslope.torch.SGD([param], lr=SMALL_LR, momentum=MOMENTUM, velocity_dtype=velocity_dtype)
    generator = torch.Generator().manual_seed(0)
    for _ in range(SMALL_STEPS):
        grad = torch.full((16, 256), small)
        grad[:, 0] = torch.randint(0, 2, (16,), generator=generator) * 2.0 - 1
        param.grad = grad
        optimizer.step()
    velocity = exact = 0.0
    for _ in range(SMALL_STEPS):
        velocity = MOMENTUM * velocity + small
        exact += SMALL_LR * velocity
    return -param[:, 1:].double().mean().item() / exact


def differences(task: Task, found: dict[str, Any]) -> list[str]:
    """Return a row about the seeds that were trained in both ways."""
    seeds = sorted(set.intersection(*(set(found[way]) for way in WAYS)), key=int)
    pairs = [[found[way][seed] for way in WAYS] for seed in seeds]
    row = [str(len(seeds)), f"{100 * found['coded']:.0f} %", task.measure.replace("_", " ")]
    row += [f"{statistics.fmean(pair[i][task.measure] for pair in pairs):.2f}" for i in (0, 1)]
    for name in (task.measure, "loss"):
        numbers = [after[name] - before[name] for before, after in pairs]
        error = statistics.stdev(numbers) / len(numbers) ** 0.5 if len(numbers) > 1 else float("nan")
        row.append(f"{statistics.fmean(numbers):+.2g} +- {error:.2g}")
    return row


def table(content: dict[str, Any]) -> tables.Table:
    """Return what was found of each task."""
    heading = ["", "seeds", "codes", "on held-out", *(f"{way}, %" for way in WAYS), "difference", "of the loss"]
    told = {name: found for name, found in content["tasks"].items() if all(found[way] for way in WAYS)}
    return heading, [[name, *differences(TASKS[name], found)] for name, found in told.items()]


def harm_table(content: dict[str, Any]) -> tables.Table:
    """Return the way that small gradients have gone."""
    rows = [[small, *(f"{share:.2f}" for share in found)] for small, found in content["harm"].items()]
    return ["steady gradient", "float32", "8 bits"], rows


def main() -> None:
    """Read the command line, train, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, required=True, help="file for the figures; what is in it is kept")
    file = parser.parse_args().json
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    content: dict[str, Any] = {"environment": environment.describe(), "tasks": {}, "harm": {}}
    if file.exists():
        content |= {key: value for key, value in json.loads(file.read_text()).items() if key != "environment"}
    print(environment.headline(content["environment"]))
    for small in ("0.1", "0.01", "0.001", "0.0003", "0.0001", "0.00003", "0.00001", "0.000001"):
        if small not in content["harm"]:
            content["harm"][small] = [way_gone(float(small), way) for way in (None, "int8")]
    for name, task in TASKS.items():
        fresh: dict[str, Any] = {"coded": share_of_codes(task), **{way: {} for way in WAYS}}
        content["tasks"].setdefault(name, fresh)
    for seed in range(max(task.seeds for task in TASKS.values())):
        for name, task in TASKS.items():
            for way in WAYS:
                found = content["tasks"][name][way]
                if seed < task.seeds and str(seed) not in found:
                    found[str(seed)] = train(task, seed, way)
                    environment.write_json(file, content)
    print(tables.as_text(table(content)))
    print(f"\nmomentum {MOMENTUM}, one gradient of +-1 to a block: the way that the others' small gradients have gone")
    print(tables.as_text(harm_table(content)))


if __name__ == "__main__":
    main()
