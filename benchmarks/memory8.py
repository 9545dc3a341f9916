"""Measure what training takes per parameter with velocities of 8 bits, and say what fits into 24 GiB by each choice.

    python benchmarks/memory8.py --json memory8.json

Each choice has a process of its own, whose peak of resident memory is taken over training steps, less what it held
before there was a model: weights, gradients, velocities, and the few activations of a small batch. bitsandbytes is
measured where it is installed and steps on a CPU; where not, its bytes are computed, and the table says which.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import environment
import tables
from memory import peak_bytes

WIDTH, LAYERS, BATCH, STEPS = 4200, 26, 2, 2
"""Weights each of which the system gives and takes back by itself, in float32 (67 MiB) and in bfloat16 (34 MiB)."""
GIB = 2**30
MEMORY = 24 * GIB
SCALES = 4 / 256
"""Bytes of scales beside one code."""


class Choice(NamedTuple):
    """A way to train, and what it needs by its formats.

    Attributes:
        needed: Bytes per parameter of weights, gradients and state, without the one gradient that is there at a time.
        format: Format of weights and gradients.
        make: From parameters to the optimizer.
    """

    needed: float
    format: str
    make: Callable[[Any], Any]


def ours(**options: Any) -> Callable[[Any], Any]:
    """Return what makes our optimizer with some options."""

    def make(params: Any) -> Any:
        import downslope.torch

        return downslope.torch.SGD(params, lr=1e-3, momentum=0.9, **options)

    return make


def torchs(params: Any) -> Any:
    """Return torch's optimizer, by its fused kernel."""
    import torch

    return torch.optim.SGD(params, lr=1e-3, momentum=0.9, fused=True)


def bitsandbytes(params: Any) -> Any:
    """Return bitsandbytes' optimizer of 8 bits."""
    other: Any = importlib.import_module("bitsandbytes")  # no requirement of ours
    return other.optim.SGD8bit(params, lr=1e-3, momentum=0.9)


EIGHT: dict[str, Any] = {"velocity_dtype": "int8"}
FREED: dict[str, Any] = {"step_in_backward": True}

CHOICES: Mapping[str, Choice] = {
    "torch SGD, fp32": Choice(12, "float32", torchs),
    "bitsandbytes SGD8bit, fp32": Choice(9 + SCALES, "float32", bitsandbytes),
    "downslope, fp32": Choice(12, "float32", ours()),
    "downslope, fp32, 8-bit velocity": Choice(9 + SCALES, "float32", ours(**EIGHT)),
    "downslope, fp32, gradients freed": Choice(8, "float32", ours(**FREED)),
    "downslope, fp32, 8-bit velocity, gradients freed": Choice(5 + SCALES, "float32", ours(**EIGHT, **FREED)),
    "torch SGD, bf16": Choice(6, "bfloat16", torchs),
    "bitsandbytes SGD8bit, bf16": Choice(5 + SCALES, "bfloat16", bitsandbytes),
    "downslope, bf16 stochastic, 8-bit velocity, gradients freed": Choice(
        3 + SCALES, "bfloat16", ours(**EIGHT, **FREED, rounding="stochastic")
    ),
    "downslope, bf16 compensated, 8-bit velocity, gradients freed": Choice(
        5 + SCALES, "bfloat16", ours(**EIGHT, **FREED, rounding="compensated")
    ),
}
"""Needed are weight, gradient unless it is freed, velocity, scales and compensation."""


def peak_per_parameter(name: str) -> float:
    """Return the peak of this process over training steps, in bytes per parameter."""
    import torch

    choice = CHOICES[name]

    def train(width: int, layers: int) -> int:
        kind = getattr(torch, choice.format)
        model = torch.nn.Sequential(*(torch.nn.Linear(width, width, bias=False, dtype=kind) for _ in range(layers)))
        inputs = torch.randn(BATCH, width, dtype=kind)
        optimizer = choice.make(model.parameters())
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()
        return sum(param.numel() for param in model.parameters())

    train(128, 2)  # loads every library and starts every thread
    before = peak_bytes()
    parameters = train(WIDTH, LAYERS)
    return (peak_bytes() - before) / parameters


def measured(name: str) -> float | str:
    """Return the bytes per parameter that a process took, or why there are none."""
    command = [sys.executable, __file__, "--worker", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this very script
    if done.returncode == 0:
        return json.loads(done.stdout)
    return done.stderr.strip().splitlines()[-1][:100]


def row(name: str, found: float | str) -> list[str]:
    """Return a row of the table: name, needed, measured, and the largest model in 24 GiB by what was measured."""
    needed = CHOICES[name].needed
    took = found if isinstance(found, float) else needed
    told = f"{found:.2f}" if isinstance(found, float) else "computed"
    return [name, f"{needed:.2f}", told, f"{MEMORY / took / 1e9:.2f}"]


def main() -> None:
    """Read the command line, measure in one process per choice, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--worker", choices=CHOICES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(peak_per_parameter(arguments.worker)))
        return
    facts = environment.describe()
    print(environment.headline(facts), flush=True)
    found: dict[str, float | str] = {}
    for name in CHOICES:
        found[name] = measured(name)
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    content = {"environment": facts, "parameters": LAYERS * WIDTH**2, "bytes_per_parameter": found}
    print(f"\n{LAYERS} weights of {WIDTH}x{WIDTH}, batch {BATCH}: peak resident bytes per parameter, and what fits")
    header = ["", "needed", "measured", "1e9 parameters in 24 GiB"]
    print(tables.as_text((header, [row(name, value) for name, value in found.items()])))
    for name, value in found.items():
        if isinstance(value, str):
            print(f"{name}: not measured: {value}")
    print("\nAbove what is needed lie activations and, where gradients are freed, the one that is there at a time.")
    if arguments.json:
        environment.write_json(arguments.json, content)


if __name__ == "__main__":
    main()
