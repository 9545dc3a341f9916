"""Time whole training steps, forward pass to update, with our optimizer and torch's in the same loop.

    python benchmarks/train_step.py --models mlp lstm --rounds 20 --threads 1 --json train_step.json

Four models run in a loop of ours, and the same shapes in Keras's and scikit-learn's own loops. It
shows how much of a training step the optimizer is: where that is little, no optimizer makes a difference. Whole loops,
`downslope train` among them, are in `loops.py`, and timed from here for two of the models, on one thread.
"""

from __future__ import annotations

import gc
import itertools
import statistics
from collections.abc import Callable
from typing import Any

import environment
import loops
import tables
from timing import time_in_turns

MODELS = {
    "mlp": "the default recipe's: 64-128-10, batch 32",
    "conv": "two convolutions of 16 and 32 channels and a linear layer, 28x28 images, batch 32",
    "lstm": "one LSTM layer of 128, 32 steps of 64 numbers, batch 32",
    "wide": "an MLP of 20 million parameters, 1024-1904-1904-1904-1904-1904-1904-10, batch 8",
}
WIDE = (1904,) * 6
"""Widths of the wide MLP's hidden layers. A weight, 14 MiB, stays below the 32 MiB from which the system gives memory
for a gradient anew at every step, page by page, which costs more than the step."""
IN_BACKWARD, NO_UPDATE = "downslope, step in backward", "no update at all"
LOOP_ROUNDS = 3
ROUNDS = {"mlp": 21, "conv": 11, "lstm": 11, "wide": 9}


def build(name: str) -> tuple[Any, Any, Any]:
    """Return a model, a batch of inputs and its labels, the same for each contender."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    if name == "mlp":
        model, inputs = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)), torch.randn(32, 64)
    elif name == "conv":
        model = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 10),
        )
        inputs = torch.randn(32, 1, 28, 28)
    elif name == "lstm":
        model, inputs = _LastOfLSTM(), torch.randn(32, 32, 64)
    else:
        layers: list[Any] = []
        for inner, outer in itertools.pairwise((1024, *WIDE)):
            layers += [nn.Linear(inner, outer), nn.ReLU()]
        model, inputs = nn.Sequential(*layers, nn.Linear(WIDE[-1], 10)), torch.randn(8, 1024)
    return model, inputs, torch.randint(0, 10, (len(inputs),))


def _LastOfLSTM() -> Any:  # noqa: N802 - stands for a class, whose base is only known once torch is loaded
    """Return an LSTM whose last output goes through a linear layer."""
    from torch import nn

    class LastOfLSTM(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent, self.head = nn.LSTM(64, 128, batch_first=True), nn.Linear(128, 10)

        def forward(self, inputs: Any) -> Any:
            return self.head(self.recurrent(inputs)[0][:, -1])

    return LastOfLSTM()


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


def keras_model(name: str) -> tuple[Any, tuple[int, ...]]:
    """Return a compiled model of the same shapes on Keras's torch backend, and the shape of its inputs."""
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    layers = keras.layers
    if name == "mlp":
        shape, body = (64,), [layers.Dense(128, activation="relu")]
    elif name == "conv":
        shape, body = (28, 28, 1), []
        for channels in (16, 32):
            body += [layers.Conv2D(channels, 3, padding="same", activation="relu"), layers.MaxPooling2D(2)]
        body.append(layers.Flatten())
    elif name == "lstm":
        shape, body = (32, 64), [layers.LSTM(128)]
    else:
        shape, body = (1024,), [layers.Dense(width, activation="relu") for width in WIDE]
    model = keras.Sequential([keras.Input(shape), *body, layers.Dense(10)])
    optimizer = keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True, weight_decay=1e-4)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, shape


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
