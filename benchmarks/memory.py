"""Measure the peak of resident memory over training steps, in bytes per parameter, ours and torch's.

    python benchmarks/memory.py --json memory.json

Each contender has a process of its own, since a peak is never taken back. Needed are 12 bytes per parameter:
parameter, gradient and velocity in fp32. What is above that are activations (here few), and whatever an optimizer
allocates within its step.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import environment
import tables

WIDTH, LAYERS, BATCH, STEPS = 4096, 5, 8, 3
"""Five weights of 64 MiB, each of which the system gives and takes back by itself."""
SMALLER, SMALLER_LAYERS = 1904, 20
"""Twenty weights of 14 MiB, which the C library keeps in its heap."""

IN_BACKWARD = "downslope, step in backward"
OF_SMALLER = ("downslope", IN_BACKWARD, "torch fused")

CONTENDERS = (
    "downslope",
    IN_BACKWARD,
    "downslope, bf16 velocity",
    "downslope, no kernel",
    "torch default",
    "torch foreach",
    "torch fused",
)


def optimizer_for(name: str, params: Any) -> Any:
    """Return the optimizer that a contender's name stands for."""
    import torch

    import downslope.torch

    common: dict[str, Any] = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4, "nesterov": True}
    if name == "downslope":
        return downslope.torch.SGD(params, **common)
    if name == "downslope, step in backward":
        return downslope.torch.SGD(params, **common, step_in_backward=True)
    if name == "downslope, bf16 velocity":
        return downslope.torch.SGD(params, **common, velocity_dtype=torch.bfloat16)
    if name == "downslope, no kernel":
        return downslope.torch.SGD(params, **common, foreach=True)
    way = {"torch default": {}, "torch foreach": {"foreach": True}, "torch fused": {"fused": True}}[name]
    return torch.optim.SGD(params, **common, **way)


def peak_bytes_per_parameter(name: str, width: int) -> float:
    """Return the peak of this process over training steps, less what it held before there was a model."""
    import torch

    def train(width: int) -> int:
        count = SMALLER_LAYERS if width == SMALLER else LAYERS
        layers = (torch.nn.Linear(width, width, bias=False) for _ in range(count))
        model = torch.nn.Sequential(*layers)
        inputs = torch.randn(BATCH, width)
        optimizer = optimizer_for(name, model.parameters())
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()
        return sum(param.numel() for param in model.parameters())

    train(32)  # loads every library and starts every thread
    before = peak_bytes()
    parameters = train(width)
    return (peak_bytes() - before) / parameters


def peak_bytes() -> int:
    """Return the largest resident size that this program has had, not counting what it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss of a child begins with its parent's there
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Read the command line, measure in one process per contender, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--width", type=int, default=WIDTH, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(peak_bytes_per_parameter(arguments.worker, arguments.width)))
        return

    def peak_of(name: str, width: int) -> float:
        command = [sys.executable, __file__, "--worker", name, "--width", str(width)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this very script
        return json.loads(done.stdout)

    found = {name: peak_of(name, WIDTH) for name in CONTENDERS}
    smaller = {name: peak_of(name, SMALLER) for name in OF_SMALLER}
    content = {
        "environment": environment.describe(),
        "parameters": LAYERS * WIDTH * WIDTH,
        "bytes_per_parameter": found,
        "bytes_per_parameter_of_smaller": smaller,
    }
    print(environment.headline(content["environment"]))
    print(f"\n{LAYERS} weights of {WIDTH}x{WIDTH}, batch {BATCH}: peak resident bytes per parameter")
    print(tables.as_text(tables.memory(found)))
    print(f"\n{SMALLER_LAYERS} weights of {SMALLER}x{SMALLER}, in the C library's heap")
    print(tables.as_text(tables.memory(smaller)))
    saved = found["downslope"] - found[IN_BACKWARD]
    print(f"\na set of gradients is 4 bytes per parameter; stepping in the backward pass saves {saved:.1f} of them")
    if arguments.json:
        environment.write_json(arguments.json, content)


if __name__ == "__main__":
    main()
