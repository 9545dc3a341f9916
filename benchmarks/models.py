"""The models of the timings: four of them in torch, and the same shapes in Keras.

What `downslope train` takes as a person's own model, "models:model", is among them.
"""

from __future__ import annotations

import itertools
from typing import Any

MODELS = {
    "mlp": "the default recipe's: 64-128-10, batch 32",
    "conv": "two convolutions of 16 and 32 channels and a linear layer, 28x28 images, batch 32",
    "lstm": "one LSTM layer of 128, 32 steps of 64 numbers, batch 32",
    "wide": "an MLP of 20 million parameters, 1024-1904-1904-1904-1904-1904-1904-10, batch 8",
}
WIDE = (1904,) * 6
"""Widths of the wide MLP's hidden layers. A weight, 14 MiB, stays below the 32 MiB from which the system gives memory
for a gradient anew at every step, page by page, which costs more than the step."""


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
        model, inputs = _last_of_lstm(), torch.randn(32, 32, 64)
    else:
        layers: list[Any] = []
        for inner, outer in itertools.pairwise((1024, *WIDE)):
            layers += [nn.Linear(inner, outer), nn.ReLU()]
        model, inputs = nn.Sequential(*layers, nn.Linear(WIDE[-1], 10)), torch.randn(8, 1024)
    return model, inputs, torch.randint(0, 10, (len(inputs),))


def _last_of_lstm() -> Any:
    """Return an LSTM whose last output goes through a linear layer."""
    from torch import nn

    class LastOfLSTM(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent, self.head = nn.LSTM(64, 128, batch_first=True), nn.Linear(128, 10)

        def forward(self, inputs: Any) -> Any:
            return self.head(self.recurrent(inputs)[0][:, -1])

    return LastOfLSTM()


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


def model(dataset: object, name: str) -> Any:  # noqa: ARG001 - `downslope train` passes the data
    """Return the model for `downslope train`."""
    return build(name)[0]
