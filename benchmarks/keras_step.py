"""Time one step of `downslope.keras.SGD` beside one of `keras.optimizers.SGD`, on each backend of Keras.

    python benchmarks/keras_step.py --backends tensorflow jax torch --cells mlp6 many --rounds 10 --json keras_step.json

Both optimizers step as `fit` does on a backend: compiled on TensorFlow (by XLA, and as a graph,
which is `jit_compile=False`) and JAX, as it is on torch. Each backend has processes of its own. Nesterov momentum .9
with weight decay 1e-4, decoupled, as Keras has it; fp32.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import environment
import tables
from cells import CELLS, Cell
from timing import time_in_turns

BACKENDS = ("tensorflow", "jax", "torch")
OURS, THEIRS = "downslope", "keras SGD"
XLA, GRAPH, JITTED, EAGER = "compiled by XLA", "as a graph", "jitted, state donated", "as it is"
WAYS = (("tensorflow", XLA), ("tensorflow", GRAPH), ("jax", JITTED), ("torch", EAGER))
"""Backend, and how `fit` takes a step there."""
MOST_FOR_XLA = 500
"""Tensors above which TensorFlow's XLA takes half a minute to compile a step."""
MOST_ROUNDS = 11
ARGUMENTS: dict[str, Any] = {"learning_rate": 1e-3, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}


def contenders(backend: str, cell: Cell) -> dict[str, dict[str, Callable[[], object]]]:
    """Return by way of calling the two optimizers' steps.

    Args:
        backend: The backend that this process runs.
        cell: The tensors.
    """
    import keras
    import numpy as np

    import downslope.keras

    rng = np.random.default_rng(0)
    kinds = {OURS: downslope.keras.SGD, THEIRS: keras.optimizers.SGD}
    arrays = [rng.standard_normal(shape, dtype=np.float32) * np.float32(1e-2) for shape in cell.shapes]
    grads = [keras.ops.convert_to_tensor(array) for array in arrays]

    def made(name: str) -> tuple[Any, list[Any]]:
        optimizer = kinds[name](**ARGUMENTS)
        variables = [keras.Variable(array) for array in arrays]
        optimizer.build(variables)
        return optimizer, variables

    def on_torch(name: str) -> Callable[[], object]:
        import torch

        optimizer, variables = made(name)

        def step() -> None:
            with torch.no_grad():
                optimizer.apply(grads, variables)

        return step

    if backend == "torch":
        return {EAGER: {name: on_torch(name) for name in kinds}}
    if backend == "jax":
        return {JITTED: {name: _jax_step(*made(name), grads) for name in kinds}}
    labels = (GRAPH,) if len(cell.shapes) > MOST_FOR_XLA else (XLA, GRAPH)
    return {
        label: {name: _tensorflow_step(*made(name), grads, by_xla=label == XLA) for name in kinds} for label in labels
    }


def _tensorflow_step(optimizer: Any, variables: list[Any], grads: list[Any], *, by_xla: bool) -> Callable[[], object]:
    import tensorflow as tf

    step = tf.function(lambda: optimizer.apply(grads), jit_compile=by_xla)
    held = variables  # the optimizer knows them by identity
    return lambda: (step(), held)[0]


def _jax_step(optimizer: Any, variables: list[Any], grads: list[Any]) -> Callable[[], object]:
    import jax

    apply = jax.jit(lambda params, state: optimizer.stateless_apply(state, grads, params), donate_argnums=(0, 1))
    held = [jax.tree.map(lambda x: x.copy(), [v.value for v in own]) for own in (variables, optimizer.variables)]

    def step() -> None:
        held[:] = apply(*held)
        jax.block_until_ready(held)

    return step


def measure(backend: str, threads: int, cells: list[str], rounds: int | None) -> dict[str, Any]:
    """Return the samples of this process: every cell on one backend."""
    os.environ |= {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.begin_worker(threads)
    facts, results = environment.describe(), []
    for name in cells:
        cell = CELLS[name]
        for way, steps in contenders(backend, cell).items():
            busy = environment.Busy()
            samples = time_in_turns(steps, rounds or min(cell.rounds, MOST_ROUNDS), f"{backend}, {name}, {way}")
            timed = {"milliseconds": samples.steady, "first_milliseconds": samples.first}
            about = {"backend": backend, "cell": name, "way": way, "threads": threads, "busy": busy.report()}
            results.append(about | timed)
    return {"environment": facts, "results": results}


def main() -> None:
    """Read the command line, measure in one process per backend and number of threads, print and write."""
    parser = environment.common_arguments(__doc__)
    parser.set_defaults(threads=[1])  # compiling takes the longest, and two threads would double it
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS), help="of Keras")
    parser.add_argument(
        "--cells", nargs="+", choices=list(CELLS), default=["mlp6", "many", "resnet50"], help="which tensors"
    )
    arguments = parser.parse_args()
    if arguments.worker:
        (backend,) = arguments.backends
        found = measure(backend, arguments.worker, arguments.cells, arguments.rounds)
        environment.write_json(arguments.json, found)
        return
    environment.check_threads(parser, arguments.threads)
    passed_on = ["--cells", *arguments.cells]
    if arguments.rounds:
        passed_on += ["--rounds", str(arguments.rounds)]
    parts = [
        part
        for backend in arguments.backends
        for part in environment.run_per_thread_count(__file__, arguments.threads, ["--backends", backend, *passed_on])
    ]
    content = environment.joined(parts)
    print(environment.headline(content["environment"]))
    for result in content["results"]:
        cell = CELLS[result["cell"]]
        print(f"\n{result['backend']}, {cell.name} ({cell.about}), {result['way']}")
        print(f"{result['threads']} thread(s), {environment.busy_sentence(result['busy'])}")
        print(tables.as_text(tables.comparison(result["milliseconds"], result["first_milliseconds"])))
    if arguments.json:
        environment.write_json(arguments.json, content)


if __name__ == "__main__":
    main()
