"""Time a step that keeps an average of the weights within, beside the same step and a pass of its own after it.

    python benchmarks/average.py --cells mlp6 large --rounds 20 --threads 1

The pass is `torch._foreach_lerp_`, which is what torch's AveragedModel calls. Cells are in `cells.py`; contenders are
timed by turns. The first row is ours, and the ratios are its time over each other's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import environment
import tables
from cells import CELLS, Cell
from timing import time_in_turns

EMA = 0.999
WITHIN = "downslope, ema within"
COMMON: dict[str, Any] = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4, "nesterov": True}


def contenders_of(cell: Cell) -> dict[str, Callable[[], object]]:
    """Return one step by each contender, parameters, velocities and averages its own."""
    import torch

    from downslope.torch import SGD

    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(shape, generator=generator) * 1e-2 for shape in cell.shapes]

    def params() -> list[torch.Tensor]:
        made = [torch.full(grad.shape, 0.5, requires_grad=True) for grad in grads]
        for param, grad in zip(made, grads, strict=True):
            param.grad = grad
        return made

    def and_pass(make: Callable[[list[torch.Tensor]], Any]) -> Callable[[], object]:
        own = params()
        optimizer, values, averages = (
            make(own),
            [param.detach() for param in own],
            [param.detach().clone() for param in own],
        )

        def step() -> None:
            optimizer.step()
            torch._foreach_lerp_(averages, values, 1 - EMA)

        return step

    return {
        WITHIN: SGD(params(), **COMMON, ema=EMA).step,
        "downslope, then a pass": and_pass(lambda own: SGD(own, **COMMON)),
        "downslope, no average": SGD(params(), **COMMON).step,
        "8-bit velocity, ema within": SGD(params(), **COMMON, velocity_dtype="int8", ema=EMA).step,
        "8-bit velocity, no average": SGD(params(), **COMMON, velocity_dtype="int8").step,
        "torch fused, then a pass": and_pass(lambda own: torch.optim.SGD(own, **COMMON, fused=True)),
        "torch fused, no average": torch.optim.SGD(params(), **COMMON, fused=True).step,
    }


def measure(threads: int, cells: list[str], rounds: int | None) -> dict[str, Any]:
    """Return the samples of this process: every cell at one number of threads."""
    environment.begin_worker(threads)
    facts, results = environment.describe(), []
    for name in cells:
        busy = environment.Busy()
        samples = time_in_turns(
            contenders_of(CELLS[name]), rounds or CELLS[name].rounds, f"{name}, {threads} thread(s)"
        )
        results.append({"cell": name, "threads": threads, "busy": busy.report(), "milliseconds": samples.steady})
    return {"environment": facts, "results": results}


def main() -> None:
    """Read the command line, measure in one process per number of threads, print and write."""
    parser = environment.common_arguments(__doc__)
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), default=list(CELLS), help="which tensors")
    arguments = parser.parse_args()
    if arguments.worker:
        environment.write_json(arguments.json, measure(arguments.worker, arguments.cells, arguments.rounds))
        return
    environment.check_threads(parser, arguments.threads)
    passed_on = ["--cells", *arguments.cells, *(["--rounds", str(arguments.rounds)] if arguments.rounds else [])]
    content = environment.joined(environment.run_per_thread_count(__file__, arguments.threads, passed_on))
    print(environment.headline(content["environment"]))
    for result in content["results"]:
        cell = CELLS[result["cell"]]
        print(f"\n{cell.name}: {cell.about}, {len(cell.shapes)} tensors, {cell.parameters:,} parameters")
        print(f"{result['threads']} thread(s), {environment.busy_sentence(result['busy'])}")
        print(tables.as_text(tables.comparison(result["milliseconds"], ours=WITHIN)))
    if arguments.json:
        environment.write_json(arguments.json, content)


if __name__ == "__main__":
    main()
