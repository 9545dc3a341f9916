"""The digits and the network of scikit-learn's comparison of SGD's variants, as a model and data of your own.

scikit-learn's example "Compare Stochastic learning strategies for MLPClassifier" trains on all 1,797 digits, each pixel
scaled to [0, 1] by itself, for 15 epochs in batches of 200, and quotes the score and loss on those same digits. The
network has 100 hidden units and starts from Glorot's uniform distribution. Here are its data and its start; the rest,
its settings of SGD, are the recipes recipes/digits-as-sklearn-*.toml. Its penalty, alpha = 1e-4 divided by the 200
examples of a batch, is their weight_decay of 5e-7 on the weights and not on the biases. (scikit-learn divides by the
197 examples of the last batch there, which changes the loss by less than 1e-7.)

References:
    F. Pedregosa et al., "Scikit-learn: machine learning in Python", JMLR 2011.
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.preprocessing import MinMaxScaler
from torch import nn

if TYPE_CHECKING:
    from downslope.training.data import Dataset


def load_all_digits() -> dict[str, Any]:
    """Return every digit to learn from, and the same ones as held out: the accuracy is that of the training set."""
    pixels, labels = load_digits(return_X_y=True)
    inputs = MinMaxScaler().fit_transform(pixels).astype(np.float32)
    return {
        "train_inputs": inputs,
        "train_targets": labels,
        "held_out_inputs": inputs,
        "held_out_targets": labels,
        "classes": 10,
    }


def build_mlp(dataset: Dataset, hidden: int = 100) -> nn.Module:
    """Return one hidden layer with ReLU, its weights and biases drawn as scikit-learn draws them.

    Args:
        dataset: The data.
        hidden: Width of the hidden layer.
    """
    layers = [nn.Linear(dataset.train_inputs.shape[1], hidden), nn.Linear(hidden, dataset.classes or 1)]
    for layer in layers:
        bound = (6.0 / (layer.in_features + layer.out_features)) ** 0.5
        nn.init.uniform_(layer.weight, -bound, bound)
        nn.init.uniform_(layer.bias, -bound, bound)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])
