"""The two biases of PyTorch's LSTM and the one of Keras's: both ways, trainings that go on, and what is refused."""

import numpy as np
import pytest
from command_line import fail, succeed
from convert_models import LR, LSTM_MAP, MOMENTUM, batch, map_words, torch_steps

from downslope import Group

BOTH = ("lstm.bias_ih_l0", "lstm.bias_hh_l0")
TO_KERAS = LSTM_MAP | dict.fromkeys(BOTH, "lstm/bias:lstm_bias")
DECAY = 0.0625


def torch_model():
    """Return an LSTM with biases and a linear layer on its last output."""
    import torch

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(3, 4, batch_first=True)
            self.last = torch.nn.Linear(4, 2)

        def forward(self, words):
            return self.last(self.lstm(words)[0][:, -1])

    torch.manual_seed(2)
    return Model()


def torch_optimizer(model, *, scale=1.0):
    """Return torch's SGD, the LSTM's biases with lr times a scale, and weight decay by it."""
    import torch

    named = list(model.named_parameters())
    groups = [
        {"params": [(name, param) for name, param in named if name not in BOTH]},
        {
            "params": [(name, param) for name, param in named if name in BOTH],
            "lr": LR * scale,
            "weight_decay": DECAY / scale,
        },
    ]
    return torch.optim.SGD(groups, lr=LR, momentum=MOMENTUM, weight_decay=DECAY)


def keras_model(*, scale=1.0):
    """Return the same in Keras, compiled with ours as torch's rule, the bias with lr times a scale, decay by it."""
    import keras

    import downslope.keras

    inputs = keras.Input((5, 3))
    model = keras.Model(inputs, keras.layers.Dense(2, name="last")(keras.layers.LSTM(4, name="lstm")(inputs)))
    groups = [Group(match="lstm/*/bias", lr=LR * scale, weight_decay=DECAY / scale)]
    optimizer = downslope.keras.SGD(
        lr=LR, momentum=MOMENTUM, weight_decay=DECAY, decay="coupled", lr_in_velocity=False, groups=groups
    )
    model.compile(optimizer, loss="mse")
    optimizer.build(model.trainable_variables)
    return model


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Return a folder with run.pt, three steps into a training of torch."""
    import torch

    folder = tmp_path_factory.mktemp("stopped")
    model = torch_model()
    optimizer = torch_optimizer(model)
    inputs, _, targets = batch("lstm")
    torch_steps(model, optimizer, inputs, targets, 3)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, folder / "run.pt")
    return folder


def test_a_training_of_torch_goes_on_with_one_bias(stopped, tmp_path, capsys):
    """With twice the lr and half the decay of that bias, five steps of Keras end where five of torch do."""
    import keras
    import torch

    keras_model(scale=2.0).save(tmp_path / "like.keras")
    out = tmp_path / "out.keras"
    words = ["convert", stopped / "run.pt", out, "--from", "torch", "--to", "downslope.keras", "--step", "3"]
    printed = succeed([*words, *map_words(TO_KERAS), "--like", tmp_path / "like.keras"], capsys)
    assert "lstm.bias_ih_l0 -> lstm/bias  (16,)" in printed
    theirs = keras.models.load_model(out)
    saved = torch.load(stopped / "run.pt", weights_only=True)
    total = saved["model"][BOTH[0]] + saved["model"][BOTH[1]]
    np.testing.assert_array_equal(theirs.get_layer("lstm").cell.bias.numpy(), total.numpy())
    model = torch_model()
    model.load_state_dict(saved["model"])
    optimizer = torch_optimizer(model)
    optimizer.load_state_dict(saved["optimizer"])
    inputs, _, targets = batch("lstm")
    torch_steps(model, optimizer, inputs, targets, 5)
    for _ in range(5):
        theirs.train_on_batch(inputs, targets)
    expected = (model.lstm.bias_ih_l0 + model.lstm.bias_hh_l0).detach().numpy()
    np.testing.assert_allclose(theirs.get_layer("lstm").cell.bias.numpy(), expected, rtol=2e-4, atol=2e-5)


def test_a_training_of_keras_goes_on_with_two_biases(tmp_path, capsys):
    """With half the lr and twice the decay of both, five steps of torch end where five of Keras do."""
    from safetensors.torch import load_file

    theirs = keras_model()
    inputs, _, targets = batch("lstm")
    for _ in range(3):
        theirs.train_on_batch(inputs, targets)
    theirs.save(tmp_path / "run.keras")
    back = {place.partition(":")[0]: f"{name}:lstm" for name, place in LSTM_MAP.items() if place.endswith(":lstm")}
    back |= {"last/kernel": "last.weight:dense", "last/bias": "last.bias", "lstm/bias": "+".join(BOTH) + ":lstm_bias"}
    out = tmp_path / "out.safetensors"
    words = ["convert", tmp_path / "run.keras", out, "--from", "downslope.keras", "--to", "torch"]
    own = ["--sgd.lr", LR, "--sgd.momentum", MOMENTUM, "--sgd.weight_decay", DECAY, "--sgd.decay", '"coupled"']
    printed = succeed([*words, *map_words(back), *own], capsys)
    assert "lstm/bias -> lstm.bias_hh_l0  (16,)" in printed
    saved = load_file(out)
    model = torch_model()
    model.load_state_dict({n.removeprefix("param."): a for n, a in saved.items() if n.startswith("param.")})
    optimizer = torch_optimizer(model, scale=0.5)
    for name, param in model.named_parameters():
        optimizer.state[param]["momentum_buffer"] = saved[f"velocity.{name}"]
    torch_steps(model, optimizer, inputs, targets, 5)
    for _ in range(5):
        theirs.train_on_batch(inputs, targets)
    found = (model.lstm.bias_ih_l0 + model.lstm.bias_hh_l0).detach().numpy()
    np.testing.assert_allclose(found, theirs.get_layer("lstm").cell.bias.numpy(), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("table", "target", "message"),
    [
        (TO_KERAS, "keras", "cannot be carried over to keras: the sum of PyTorch's two moves twice as far"),
        (
            TO_KERAS | {BOTH[1]: ""},
            "downslope.keras",
            "Keras has one bias, `lstm/bias`, where PyTorch has two. Name both",
        ),
        (TO_KERAS, "optax", 'the layout "lstm_bias" is for the way between'),
        (TO_KERAS | {BOTH[1]: "last/bias"}, "downslope.keras", "two parameters go to `last/bias`"),
    ],
)
def test_what_is_not_exact_is_refused(table, target, message, stopped, tmp_path, capsys):
    """Nothing is written, and the message says why."""
    out = tmp_path / "out.safetensors"
    words = ["convert", stopped / "run.pt", out, "--from", "torch", "--to", target, "--step", "3"]
    assert message in fail([*words, *map_words(table)], capsys)
    assert not out.exists()
