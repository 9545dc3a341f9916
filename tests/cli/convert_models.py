"""Two small models in PyTorch and in Keras that compute the same, their names side by side, and files of both."""

import numpy as np

LR, MOMENTUM = 0.125, 0.875

CONV_MAP = {
    "conv.weight": "conv/kernel:conv2d",
    "conv.bias": "conv/bias",
    "norm.weight": "norm/gamma",
    "norm.bias": "norm/beta",
    "norm.running_mean": "norm/moving_mean",
    "norm.running_var": "norm/moving_variance",
    "last.weight": "last/kernel:dense",
    "last.bias": "last/bias",
}
LSTM_MAP = {
    "lstm.weight_ih_l0": "lstm/kernel:lstm",
    "lstm.weight_hh_l0": "lstm/recurrent_kernel:lstm",
    "last.weight": "last/kernel:dense",
    "last.bias": "last/bias",
}


def map_words(table):
    """Return a table of names as words of the command line."""
    return [word for name, there in table.items() for word in ("--map", f"{name}={there}")]


def torch_conv():
    """Return a convolution, batch normalisation, the mean over the image, and a linear layer."""
    import torch

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(2, 3, 2)
            self.norm = torch.nn.BatchNorm2d(3, eps=1e-3)
            self.last = torch.nn.Linear(3, 2)

        def forward(self, images):
            return self.last(self.norm(self.conv(images)).square().mean((2, 3)))

    torch.manual_seed(1)
    return Model()


def keras_conv():
    """Return the same in Keras, compiled."""
    import keras

    inputs = keras.Input((4, 4, 2))
    hidden = keras.layers.Conv2D(3, 2, name="conv")(inputs)
    hidden = keras.layers.BatchNormalization(epsilon=1e-3, name="norm")(hidden)
    hidden = keras.layers.GlobalAveragePooling2D()(keras.ops.square(hidden))
    return compiled(keras.Model(inputs, keras.layers.Dense(2, name="last")(hidden)))


def torch_lstm():
    """Return an LSTM without biases, of which PyTorch has two and Keras one, and a linear layer on its last output."""
    import torch

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(3, 4, bias=False, batch_first=True)
            self.last = torch.nn.Linear(4, 2)

        def forward(self, words):
            return self.last(self.lstm(words)[0][:, -1])

    torch.manual_seed(2)
    return Model()


def keras_lstm():
    """Return the same in Keras, compiled."""
    import keras

    inputs = keras.Input((5, 3))
    hidden = keras.layers.LSTM(4, use_bias=False, name="lstm")(inputs)
    return compiled(keras.Model(inputs, keras.layers.Dense(2, name="last")(hidden)))


def compiled(model):
    """Return a Keras model with SGD, its optimizer built."""
    import keras

    model.compile(keras.optimizers.SGD(LR, momentum=MOMENTUM), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model


def torch_steps(model, optimizer, inputs, targets, steps):
    """Take steps of torch on one batch."""
    import torch

    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(torch.from_numpy(inputs)), torch.from_numpy(targets)).backward()
        optimizer.step()


def batch(kind):
    """Return inputs as PyTorch wants them, as Keras wants them, and targets."""
    rng = np.random.default_rng(3)
    targets = rng.normal(size=(8, 2)).astype(np.float32)
    if kind == "lstm":
        words = rng.normal(size=(8, 5, 3)).astype(np.float32)
        return words, words, targets
    images = rng.normal(size=(8, 2, 4, 4)).astype(np.float32)
    return images, np.ascontiguousarray(images.transpose(0, 2, 3, 1)), targets
