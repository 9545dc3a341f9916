"""Time one optimizer step, ours and others', over four lists of tensors.

    python benchmarks/step.py --cells mlp6 many --rounds 20 --threads 1 --json step.json

Cells are in `cells.py`, contenders in `contenders.py`. Ours is called as a user calls it, `downslope.torch.SGD.step()`,
everything included. Contenders are timed by turns, steps repeated; ours and torch's also in the state in which training
leaves their tensors. Keras's backends need processes of their own: `keras_step.py`.
"""

from __future__ import annotations

import gc
from typing import Any

import environment
import tables
from cells import CELLS
from timing import time_after, time_in_turns

COMPILED = ("mlp6", "large")
"""Cells for which torch's step is compiled: with hundreds of tensors that takes minutes."""

MOST_ROUNDS = 7
"""Rounds of steps after a backward pass, each of which settles first."""


def measure(threads: int, cells: list[str], rounds: int | None) -> dict[str, Any]:
    """Return the samples of this process: every cell at one number of threads."""
    environment.begin_worker(threads)
    from contenders import BOUND, after_backward, all_contenders, bound_milliseconds

    facts, results = environment.describe(), []
    for name in cells:
        cell = CELLS[name]
        contenders = all_contenders(cell, with_compiled=name in COMPILED)
        busy = environment.Busy()
        count, label = rounds or cell.rounds, f"{name}, {threads} thread(s)"
        samples = time_in_turns(contenders, count, label)
        del contenders  # and with them their tensors
        gc.collect()
        following = time_after(after_backward(cell), min(count, MOST_ROUNDS), f"{label}, after a backward pass")
        quiet = busy.report()
        for part in samples:
            if BOUND in part:
                part[BOUND] = [bound_milliseconds(sample, cell.parameters) for sample in part[BOUND]]
        timed = {
            "milliseconds": samples.steady,
            "first_milliseconds": samples.first,
            "after_backward_milliseconds": following,
        }
        results.append({"cell": name, "threads": threads, "busy": quiet, **timed})
        gc.collect()
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
    passed_on = ["--cells", *arguments.cells]
    if arguments.rounds:
        passed_on += ["--rounds", str(arguments.rounds)]
    content = environment.joined(environment.run_per_thread_count(__file__, arguments.threads, passed_on))
    print(environment.headline(content["environment"]))
    for result in content["results"]:
        cell = CELLS[result["cell"]]
        print(f"\n{cell.name}: {cell.about}, {len(cell.shapes)} tensors, {cell.parameters:,} parameters")
        print(f"{result['threads']} thread(s), {environment.busy_sentence(result['busy'])}")
        print(tables.as_text(tables.comparison(result["milliseconds"], result["first_milliseconds"])))
        print("each step right after a pass that reads the parameters and writes new gradients, as backward does:")
        print(tables.as_text(tables.comparison(result["after_backward_milliseconds"])))
    if arguments.json:
        environment.write_json(arguments.json, content)


if __name__ == "__main__":
    main()
