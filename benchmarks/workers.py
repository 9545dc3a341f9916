"""Time steps on 1, 2 and 4 processes, and what they exchange beside torch's own all-reduce of as many bytes.

    python benchmarks/workers.py --json workers.json

Whole steps of the training loop (gradients of all leaves, exchange, update) are timed for models of three sizes, the
exchange by itself, and the same steps in bfloat16. Processes are forked once for each number of workers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import environment
import torch
import torch.distributed as dist
from torch import nn

from downslope.cli.main import explain
from downslope.core.settings import Settings
from downslope.torch import SGD
from downslope.training.data import Dataset
from downslope.training.run.batches import Leaf
from downslope.training.run.gradients import compute_gradients
from downslope.training.run.losses import Loss
from downslope.training.run.objective import Supervised
from downslope.training.run.tree_sum import TreeSum
from downslope.training.workers.launch import Launch
from downslope.training.workers.ordered_sum import all_reduce
from downslope.training.workers.process_group import joined
from downslope.training.workers.sharded import Sharding
from downslope.training.workers.workers import Workers

WORKERS = (1, 2, 4)
SHARDS = 4
MODELS = {
    "small": ([64, 64, 10], 64),
    "medium": ([256, 1024, 768, 10], 256),
    "large": ([1024, 2920, 2920, 2920, 10], 256),
}
"""Widths of an MLP, and examples in a batch: 4.8 thousand, 1.1 million and 20 million parameters."""
SIZES = (1_000, 100_000, 1_000_000, 10_000_000)
ROUNDS = 7


Times = tuple[float, float]
"""Seconds by the clock, and of the processor in worker 0."""


def build(name: str) -> tuple[nn.Module, Dataset, list[Leaf]]:
    """Return a model, its data and the leaves of a step, the same in every process."""
    widths, batch = MODELS[name]
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for ins, outs in itertools.pairwise(widths):
        layers += [nn.Linear(ins, outs), nn.ReLU()]
    inputs, targets = torch.randn(batch, widths[0]), torch.randint(0, 10, (batch,))
    data = Dataset(
        name=name,
        train_inputs=inputs,
        train_targets=targets,
        held_out_inputs=inputs,
        held_out_targets=targets,
        classes=10,
    )
    leaves = [Leaf(index, part) for index, part in enumerate(torch.arange(batch).chunk(SHARDS))]
    return nn.Sequential(*layers[:-1]), data, leaves


def time_steps(name: str, workers: Workers, *, parallel: str = "replicated", precision: Any = "float32") -> Times:
    """Return the time of a whole step."""
    model, data, leaves = build(name)
    loss: Loss = nn.functional.cross_entropy
    objective = Supervised(loss, 10)
    sharding = Sharding(model, workers) if parallel == "sharded" else None  # type: ignore[arg-type]
    optimizer = SGD(model, settings=Settings(lr=1e-3, momentum=0.9))

    def step(number: int) -> None:
        optimizer.zero_grad()
        if sharding is None:
            compute_gradients(model, objective, data, leaves, seed=0, step=number, precision=precision, workers=workers)
        else:
            sharding.compute_gradients(model, objective, data, leaves, seed=0, step=number, precision=precision)
        optimizer.step()

    return _shortest(step, 200 if name == "small" else ROUNDS)


def time_exchange(size: int, workers: Any) -> tuple[Times, Times]:
    """Return the times of our exchange of one tensor of float32, and of torch's all-reduce of it."""
    like = [torch.empty(size)]

    def ours(_: int) -> None:
        tree = TreeSum(workers.indices(workers.size).start)
        tree.add([torch.ones(size)])
        all_reduce(workers, tree, [], [], leaves=workers.size, like=like)

    def theirs(_: int) -> None:
        dist.all_reduce(torch.ones(size))

    rounds = 50 if size <= 100_000 else ROUNDS
    return _shortest(ours, rounds), _shortest(theirs, rounds)


def _shortest(step: Callable[[int], None], rounds: int) -> Times:
    for number in range(3):
        step(number)
    walls, processors = [], []
    for number in range(rounds):
        wall, processor = time.perf_counter(), time.process_time()
        step(number)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return min(walls), min(processors)  # what else the machine does only adds to them


def on_workers(size: int, measure: Callable[[Any], Any]) -> Any:
    """Return what worker 0 of some number of workers measures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"

        def work(place: Any) -> int:
            torch.set_num_threads(1)
            with joined(place, 120.0) as workers:
                found = measure(workers)
                if workers.is_first:
                    path.write_text(json.dumps(found), encoding="utf-8")
            return 0

        def alone(_: Any) -> int:
            torch.set_num_threads(1)
            path.write_text(json.dumps(measure(Workers())), encoding="utf-8")
            return 0

        Launch(alone if size == 1 else work, size=size, timeout=120.0, explain=explain).go()
        return json.loads(path.read_text(encoding="utf-8"))


def _shown(times: Times) -> str:
    return f"{1e3 * times[0]:.2f} ms ({1e3 * times[1]:.2f} of a processor)"


def main() -> None:
    """Measure, print the tables and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    facts = environment.describe()
    print(f"{environment.headline(facts)}\nload {os.getloadavg()[0]:.1f} on {environment.processors()} processors\n")
    steps: dict[str, dict[str, Times]] = {}
    for name in MODELS:
        cells = [(f"{size} replicated", size, "replicated", "float32") for size in WORKERS]
        cells += [("2 sharded", 2, "sharded", "float32"), ("1 replicated, bfloat16", 1, "replicated", "bfloat16")]
        steps[name] = {
            label: on_workers(
                size, lambda w, n=name, p=parallel, f=precision: time_steps(n, w, parallel=p, precision=f)
            )
            for label, size, parallel, precision in cells
        }
        for label, times in steps[name].items():
            print(f"{name:<8}{label:<26}{_shown(times)}")
    exchanges = {}
    for size in WORKERS[1:]:
        for count in SIZES:
            ours, theirs = on_workers(size, lambda w, c=count: time_exchange(c, w))
            exchanges[f"{size} workers, {count:,} numbers"] = {"ours": ours, "all_reduce": theirs}
            print(f"{size} workers, {count:>10,} numbers: ours {_shown(ours)}, all_reduce {_shown(theirs)}")
    if arguments.json:
        found = {"environment": facts, "load": os.getloadavg()[0], "steps": steps, "exchanges": exchanges}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
