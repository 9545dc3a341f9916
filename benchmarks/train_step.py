"""Time whole training steps, forward pass to update, with our optimizer and torch's in the same loop.

    python benchmarks/train_step.py --models mlp lstm --rounds 20 --threads 1 --json train_step.json

The same shapes run in Keras's and scikit-learn's own loops too. It shows how much of a training step the optimizer is:
where that is little, no optimizer makes a difference. Whole loops, `downslope train` among them, are in `loops.py`, and
timed from here for two of the models, on one thread; the models are in `models.py`.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable
from typing import Any

import environment
import loops
import tables
from models import MODELS, build, keras_model
from timing import time_in_turns

IN_BACKWARD, NO_UPDATE = "downslope, step in backward", "no update at all"
LOOP_ROUNDS = 3
ROUNDS = {"mlp": 21, "conv": 11, "lstm": 11, "wide": 9}


def contenders(name: str) -> tuple[dict[str, Callable[[], object]], int]:
    """Return a training step for each optimizer, the same step without any, and the number of parameters."""
    import torch

    import downslope.torch

    options: dict[str, Any] = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4, "nesterov": True}
    loss_of = torch.nn.CrossEntropyLoss()

    def training_step(make: Callable[[Any], Any]) -> Callable[[], object]:
        model, inputs, labels = build(name)
        optimizer = make(model.parameters())

        def step() -> None:
            optimizer.zero_grad()
            loss_of(model(inputs), labels).backward()
            optimizer.step()

        return step

    def without_optimizer() -> Callable[[], object]:
        model, inputs, labels = build(name)

        def step() -> None:
            model.zero_grad()
            loss_of(model(inputs), labels).backward()

        return step

    steps = {
        "downslope": training_step(lambda params: downslope.torch.SGD(params, **options)),
        IN_BACKWARD: training_step(lambda params: downslope.torch.SGD(params, **options, step_in_backward=True)),
        "torch default": training_step(lambda params: torch.optim.SGD(params, **options)),
        "torch fused": training_step(lambda params: torch.optim.SGD(params, **options, fused=True)),
        NO_UPDATE: without_optimizer(),
        "Keras (torch)": keras_step(name),
    }
    if name == "mlp":
        steps["scikit-learn"] = sklearn_step()
    return steps, sum(param.numel() for param in build(name)[0].parameters())


def keras_step(name: str) -> Callable[[], object]:
    """Return Keras's own `train_on_batch`, on its torch backend, of a model of the same shapes."""
    model, shape = keras_model(name)
    _, inputs, labels = build(name)
    inputs, labels = inputs.numpy().reshape(-1, *shape), labels.numpy()
    return lambda: model.train_on_batch(inputs, labels)


def sklearn_step() -> Callable[[], object]:
    """Return scikit-learn's own loop over one batch: `MLPClassifier.partial_fit`."""
    from sklearn.neural_network import MLPClassifier

    _, inputs, labels = build("mlp")
    inputs, labels = inputs.numpy(), labels.numpy()
    model = MLPClassifier((128,), solver="sgd", alpha=1e-4, batch_size=32, learning_rate_init=1e-3, momentum=0.9)
    model.partial_fit(inputs, labels, classes=list(range(10)))
    return lambda: model.partial_fit(inputs, labels)


def measure(threads: int, models: list[str], rounds: int | None) -> dict[str, Any]:
    """Return the samples of this process: every model at one number of threads."""
    environment.begin_worker(threads)
    facts, results = environment.describe(), []
    for name in models:
        steps, parameters = contenders(name)
        busy = environment.Busy()
        samples = time_in_turns(steps, rounds or ROUNDS[name], f"{name}, {threads} thread(s)").steady
        results.append(
            {
                "model": name,
                "parameters": parameters,
                "threads": threads,
                "busy": busy.report(),
                "milliseconds": samples,
            }
        )
        del steps
        gc.collect()
    whole = []
    for name in models if threads == 1 else ():
        if name in loops.STEPS:
            busy = environment.Busy()
            spent = loops.time_loops(name, min(rounds or LOOP_ROUNDS, LOOP_ROUNDS))
            whole.append({"model": name, "threads": threads, "busy": busy.report(), "milliseconds": spent})
    return {"environment": facts, "results": results, "loops": whole}


def main() -> None:
    """Read the command line, measure in one process per number of threads, print and write."""
    parser = environment.common_arguments(__doc__)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS), help="which models")
    arguments = parser.parse_args()
    if arguments.worker:
        environment.write_json(arguments.json, measure(arguments.worker, arguments.models, arguments.rounds))
        return
    environment.check_threads(parser, arguments.threads)
    passed_on = ["--models", *arguments.models]
    if arguments.rounds:
        passed_on += ["--rounds", str(arguments.rounds)]
    parts = environment.run_per_thread_count(__file__, arguments.threads, passed_on)
    content = environment.joined(parts) | {"loops": [result for part in parts for result in part["loops"]]}
    print(environment.headline(content["environment"]))
    for result in content["results"]:
        print(f"\n{result['model']}: {MODELS[result['model']]}, {result['parameters']:,} parameters")
        print(f"{result['threads']} thread(s), {environment.busy_sentence(result['busy'])}")
        print(tables.as_text(tables.comparison(result["milliseconds"])))
        spent = {name: statistics.median(samples) for name, samples in result["milliseconds"].items()}
        shares = [
            f"{name} {1 - spent[NO_UPDATE] / spent[name]:.0%}" for name in list(spent)[: list(spent).index(NO_UPDATE)]
        ]
        print(f"share of the update: {', '.join(shares)}")
    for result in content["loops"]:
        print(f"\n{result['model']}, whole loops: {MODELS[result['model']]}")
        print(f"{result['threads']} thread(s), {environment.busy_sentence(result['busy'])}")
        print(tables.as_text(tables.comparison(result["milliseconds"], ours=loops.OURS)))
        if loops.LIGHTNING not in result["milliseconds"]:
            print("Lightning is not installed; with `pip install lightning` it takes part")
    if arguments.json:
        environment.write_json(arguments.json, content)


if __name__ == "__main__":
    main()
