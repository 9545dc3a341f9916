"""A process that trains, for test_step_in_backward_processes.py: one of two that share their gradients, or one alone.

python step_in_backward_child.py FOLDER

It forks, with torch in memory, and writes what each process finds to a file of the folder:

    fsdp.RANK     two processes, fully_shard, both ways of stepping
    ddp.RANK      two processes, DistributedDataParallel in both orders
    memory.WITHIN one process: peak bytes per parameter of a few steps, in the backward pass (1) or after it (0)
"""

from __future__ import annotations

import gc
import json
import resource
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # what every optimizer of torch loads at its first use: once here, not in each process
import torch.distributed as dist
from forks import all_succeed

if dist.is_available():
    from torch.distributed.fsdp import fully_shard

from downslope.core.errors import SettingsError
from downslope.torch import SGD

OPTIONS: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}
STEPS = 4


def model() -> torch.nn.Sequential:
    """Return the model that every process starts with."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5), torch.nn.Linear(5, 2))


def batch(step: int) -> torch.Tensor:
    """Return four rows, of which each of two processes takes two."""
    return torch.randn(4, 6, generator=torch.Generator().manual_seed(step))


def train_sharded(rank: int, *, within: bool, micro: int) -> list[list[float]]:
    """Return the whole parameters after some steps of a sharded model."""
    network = model()
    for layer in network:
        if list(layer.parameters()):
            fully_shard(layer)
    fully_shard(network)
    optimizer = SGD(network.named_parameters(), **OPTIONS, step_in_backward=within)
    for step in range(STEPS):
        optimizer.zero_grad()
        for part in range(micro):
            rows = batch(10 * step + part)[2 * rank : 2 * rank + 2]
            if part < micro - 1:
                with optimizer.accumulate():
                    network(rows).square().mean().backward()
            else:
                network(rows).square().mean().backward()
        optimizer.step()
        assert optimizer.step_count == step + 1
    return [param.full_tensor().flatten().tolist() for param in network.parameters()]


def train_alone(micro: int) -> list[list[float]]:
    """Return the parameters after the same steps in one process."""
    network = model()
    optimizer = SGD(network.named_parameters(), **OPTIONS)
    for step in range(STEPS):
        optimizer.zero_grad()
        for part in range(micro):
            network(batch(10 * step + part)).square().mean().backward()
        optimizer.step()
    return [param.flatten().tolist() for param in network.parameters()]


def refused(*, wrap_first: bool) -> str:
    """Return the message that DistributedDataParallel gets, and check that nothing moved."""
    network = model()
    before = [param.detach().clone() for param in network.parameters()]
    wrapped: Any = network
    if wrap_first:
        wrapped = torch.nn.parallel.DistributedDataParallel(network)
    try:
        optimizer = SGD(network.named_parameters(), **OPTIONS, step_in_backward=True)
        if not wrap_first:
            wrapped = torch.nn.parallel.DistributedDataParallel(network)
        wrapped(batch(0)).square().mean().backward()
        optimizer.step()
    except SettingsError as error:
        assert all(map(torch.equal, before, network.parameters())), "a parameter moved"
        return str(error)
    return "not refused"


def peak_of_steps(*, within: bool) -> float:
    """Return the peak of this process over two training steps, less what it held before, in bytes per parameter."""

    def train(width: int) -> int:
        network = torch.nn.Sequential(*(torch.nn.Linear(width, width, bias=False) for _ in range(6)))
        optimizer = SGD(network.parameters(), **OPTIONS, step_in_backward=within)
        for _ in range(2):
            optimizer.zero_grad()
            network(torch.ones(2, width)).square().mean().backward()
            optimizer.step()
        return sum(param.numel() for param in network.parameters())

    train(32)
    before = peak_bytes()
    parameters = train(2944)  # so large that the system gives and takes back each tensor by itself
    return (peak_bytes() - before) / parameters


def peak_bytes() -> int:
    """Return the largest resident size that this program has had, not counting what it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss of a child begins with its parent's there
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def train_or_be_refused(what: str, rank: int, folder: Path) -> Any:
    """Return what one of two processes finds."""
    store = f"file://{folder / what}.store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2, timeout=timedelta(seconds=300))
    answer: Any
    if what == "ddp":
        answer = [refused(wrap_first=True), refused(wrap_first=False)]
    else:
        answer = {
            str(micro): {
                "within": train_sharded(rank, within=True, micro=micro),
                "after": train_sharded(rank, within=False, micro=micro),
                "alone": train_alone(micro),
            }
            for micro in (1, 3)
        }
    gc.collect()  # a wrapped model that is freed after its group may wait for gloo's threads for ever
    dist.barrier()
    dist.destroy_process_group()
    return answer


def write_answer(what: str, number: int, folder: Path) -> None:
    """Find an answer and write it."""
    answer = peak_of_steps(within=bool(number)) if what == "memory" else train_or_be_refused(what, number, folder)
    (folder / f"{what}.{number}").write_text(json.dumps(answer), encoding="utf-8")


def main() -> None:
    """Do it all, each pair of processes at once."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    shared = ("fsdp", "ddp") if dist.is_available() else ()
    runs = [("memory", (1,)), ("memory", (0,)), *((what, (0, 1)) for what in shared)]
    done = [all_succeed(partial(write_answer, what, number, folder) for number in numbers) for what, numbers in runs]
    sys.exit(not all(done))


if __name__ == "__main__":
    main()
