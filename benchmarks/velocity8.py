"""Train with velocities of 8 bits beside float32, seed by seed, and look for the case in which 8 bits do harm.

    python benchmarks/velocity8.py --seeds 20 --json velocity8.json

Three networks, all of whose large weights have velocities of codes: a perceptron on the digits, a convolution and a
GRU on MNIST-1D (package mnist1d, which generates its data). Each seed is trained in both ways from the same weights
with the same batches; told is the mean difference with its standard error. Then a case made to do harm: blocks in which
one weight has a large noisy gradient and all others a small steady one.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import environment
import tables
import torch
from torch import Tensor, nn

import downslope.torch
from downslope.schedules import Cosine

BATCH = 64
MOMENTUM, SMALL_LR, SMALL_STEPS = 0.99, 1e-4, 500


class Task(NamedTuple):
    """A network, its data and how it is trained."""

    model: Callable[[], nn.Module]
    data: Callable[[], tuple[Tensor, ...]]
    lr: float
    steps: int


class Recurrent(nn.Module):
    """A GRU over the 40 numbers of an example."""

    def __init__(self) -> None:
        """Make its layers."""
        super().__init__()
        self.gru, self.logits = nn.GRU(1, 64, batch_first=True), nn.Linear(64, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits."""
        return self.logits(self.gru(inputs.unsqueeze(-1))[0][:, -1])


def perceptron() -> nn.Module:
    """Return a perceptron for the digits."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))


def convolution() -> nn.Module:
    """Return a convolution for MNIST-1D."""
    layers = [nn.Unflatten(1, (1, 40)), nn.Conv1d(1, 48, 5, 2, 1), nn.ReLU(), nn.Conv1d(48, 48, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv1d(48, 48, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(240, 10))


def digits() -> tuple[Tensor, ...]:
    """Return the digits: to learn from, and held out."""
    from sklearn.datasets import load_digits

    inputs, targets = load_digits(return_X_y=True)
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
    found, classes = torch.tensor(inputs / 16, dtype=torch.float32)[order], torch.tensor(targets)[order]
    return found[:1437], classes[:1437], found[1437:], classes[1437:]


def mnist1d() -> tuple[Tensor, ...]:
    """Return MNIST-1D as its package generates it."""
    from mnist1d.data import get_dataset_args, make_dataset

    made = make_dataset(get_dataset_args())
    wide = [torch.tensor(made[name], dtype=torch.float32) for name in ("x", "x_test")]
    return wide[0], torch.tensor(made["y"]), wide[1], torch.tensor(made["y_test"])


TASKS = {
    "digits, MLP 64-128-128-10": Task(perceptron, digits, 0.1, 400),
    "MNIST-1D, convolution": Task(convolution, mnist1d, 0.05, 1000),
    "MNIST-1D, GRU of 64": Task(Recurrent, mnist1d, 0.5, 1000),
}


def train(task: Task, data: tuple[Tensor, ...], seed: int, velocity_dtype: Any) -> tuple[float, float]:
    """Return the held-out accuracy in per cent and loss of one training."""
    torch.manual_seed(seed)
    model = task.model()
    inputs, targets, *held_out = data
    schedule = Cosine(task.lr, final=0.0, duration=task.steps)
    optimizer = downslope.torch.SGD(
        model, lr=schedule, momentum=0.9, weight_decay=1e-4, clip_norm=1.0, velocity_dtype=velocity_dtype
    )
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(task.steps):
        if len(order) < BATCH:
            order = torch.randperm(len(targets), generator=generator)
        chosen, order = order[:BATCH], order[BATCH:]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[chosen]), targets[chosen]).backward()
        optimizer.step()
    with torch.no_grad():
        logits = model(held_out[0])
    accuracy = (logits.argmax(1) == held_out[1]).double().mean().item()
    return 100 * accuracy, nn.functional.cross_entropy(logits, held_out[1]).item()


def mean_and_error(numbers: list[float]) -> tuple[float, float]:
    """Return the mean and its standard error."""
    return statistics.fmean(numbers), statistics.stdev(numbers) / len(numbers) ** 0.5


def way_gone(small: float, velocity_dtype: Any) -> float:
    """Return how far small gradients have brought their weights, as a share of what exact velocities would have.

    Args:
        small: The steady gradient of all weights but the first of each block; the first one's is +-1 at random.
        velocity_dtype: What velocities are kept in.
    """
    param = nn.Parameter(torch.zeros(16, 256))
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


def main() -> None:
    """Read the command line, train, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="trainings of each network in each way")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    content: dict[str, Any] = {"environment": environment.describe(), "seeds": arguments.seeds, "tasks": {}}
    print(environment.headline(content["environment"]))
    rows = []
    for name, task in TASKS.items():
        data = task.data()
        ways = [[train(task, data, seed, way) for seed in range(arguments.seeds)] for way in (None, "int8")]
        content["tasks"][name] = {"float32": ways[0], "int8": ways[1]}
        means = [statistics.fmean(accuracy for accuracy, _ in way) for way in ways]
        told = [mean_and_error([b[i] - a[i] for a, b in zip(*ways, strict=True)]) for i in (0, 1)]
        told = [f"{mean:+.3g} +- {error:.2g}" for mean, error in told]
        rows.append([name, *(f"{mean:.2f}" for mean in means), *told])
        heading = ["", "float32 %", "int8 %", "difference", "of the loss"]
        print(tables.as_text((heading, rows[-1:])), flush=True)
    content["harm"] = {}
    print(f"\nmomentum {MOMENTUM}, one gradient of +-1 to a block: the way that the others' small gradients have gone")
    rows = []
    for small in (1e-1, 1e-2, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6):
        found = [way_gone(small, way) for way in (None, "int8")]
        content["harm"][small] = found
        rows.append([f"{small:g}", *(f"{share:.3f}" for share in found)])
    print(tables.as_text((["gradient", "float32", "int8"], rows)))
    if arguments.json:
        environment.write_json(arguments.json, content)


if __name__ == "__main__":
    main()
