"""Time whole training steps, forward pass to update, with our optimizer and torch's in the same loop.

    python benchmarks/train_step.py --models mlp lstm --rounds 20 --threads 1 --json train_step.json

What lives here: four models and the loop around them, and the same shapes in Keras's and scikit-learn's own loops. It
shows how much of a training step the optimizer is: where that is little, no optimizer makes a difference.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable
from typing import Any

import environment
import tables
from timing import time_in_turns

MODELS = {
    "mlp": "the default recipe's: 64-128-10, batch 32",
    "conv": "two convolutions of 16 and 32 channels and a linear layer, 28x28 images, batch 32",
    "lstm": "one LSTM layer of 128, 32 steps of 64 numbers, batch 32",
    "wide": "an MLP of 20 million parameters, batch 8",
}
IN_BACKWARD, NO_UPDATE = "downslope, step in backward", "no update at all"
ROUNDS = {"mlp": 40, "conv": 25, "lstm": 25, "wide": 15}


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
        width = 2920
        layers: list[Any] = [nn.Linear(1024, width), nn.ReLU()]
        for _ in range(2):
            layers += [nn.Linear(width, width), nn.ReLU()]
        model, inputs = nn.Sequential(*layers, nn.Linear(width, 10)), torch.randn(8, 1024)
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
        shape, body = (1024,), [layers.Dense(2920, activation="relu") for _ in range(3)]
    model = keras.Sequential([keras.Input(shape), *body, layers.Dense(10)])
    optimizer = keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True, weight_decay=1e-4)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
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
    return {"environment": facts, "results": results}


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
    content = environment.joined(environment.run_per_thread_count(__file__, arguments.threads, passed_on))
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
    if arguments.json:
        environment.write_json(arguments.json, content)


if __name__ == "__main__":
    main()
