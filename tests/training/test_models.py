"""The built-in models: shapes and sizes worked out by hand, what they refuse, and that they learn."""

import numpy as np
import pytest
import torch
from torch import nn

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data import Dataset
from downslope.training.models import build_model


def dataset(*shape, classes=3, image_shape=None, targets=None, dtype=torch.float32):
    """Return random examples of a shape."""
    inputs = torch.rand(8, *shape).to(dtype)
    targets = torch.arange(8) % classes if targets is None else targets
    return Dataset(
        name="test",
        train_inputs=inputs,
        train_targets=targets,
        held_out_inputs=inputs,
        held_out_targets=targets,
        classes=classes,
        image_shape=image_shape,
    )


def recipe(model, options="", more=""):
    """Return a recipe with a model and its options, written as TOML."""
    return parse_recipe(
        f'[model]\nname = "{model}"\n{more}options = {{ {options} }}\n[sgd]\nlr = 0.1\n[train]\nsteps = 1\n', "recipe"
    )


def build(model, data, options="", more=""):
    """Return a model."""
    return build_model(recipe(model, options, more), data)


def message_of(model, data, options="", more=""):
    """Return the message with which building fails."""
    with pytest.raises(DownslopeError) as caught:
        build(model, data, options, more)
    return str(caught.value)


def count(model):
    """Return how many parameters a model has."""
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("shape", "image_shape", "kind"),
    [
        ((40,), None, nn.Conv1d),
        ((2, 40), None, nn.Conv1d),
        ((64,), (8, 8), nn.Conv2d),
        ((1, 8, 8), (8, 8), nn.Conv2d),
        ((3, 9, 7), None, nn.Conv2d),
    ],
)
def test_convnet_takes_signals_and_images(shape, image_shape, kind):
    """Flat or with channels, of any size; logits come out, and each stage halves the resolution, rounded up."""
    data = dataset(*shape, image_shape=image_shape)
    model = build("convnet", data)
    assert model(data.train_inputs).shape == (8, 3)
    assert {type(layer) for layer in model.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d)} == {kind}
    sizes = {}
    model.stage1_block1.register_forward_hook(lambda _, __, out: sizes.update(first=out.shape[2:]))
    model.stage3_block1.register_forward_hook(lambda _, __, out: sizes.update(last=out.shape[2:]))
    model(data.train_inputs)
    assert [-(-size // 4) for size in sizes["first"]] == list(sizes["last"])


def test_convnet_has_the_parameters_that_it_should():
    """By hand, for channels 4 and 8, kernel 3, over signals of one channel."""
    # first: 1*4*3, norm 2*4; stage 1: 2 (4*4*3 + 8); stage 2: 4*8*3 + 16, 8*8*3 + 16, shortcut 4*8 + 16; out: 8*3 + 3
    by_hand = (12 + 8) + 2 * (48 + 8) + (96 + 16) + (192 + 16) + (32 + 16) + 27
    model = build("convnet", dataset(40), "channels = [4, 8]")
    assert count(model) == by_hand
    assert count(build("convnet", dataset(40), "channels = [4, 8], blocks = 2")) == (
        by_hand + 2 * (48 + 8) + 2 * (192 + 16)
    )


def test_a_block_adds_its_input():
    """With its second normalisation at zero, a block is the ReLU of its input."""
    model = build("convnet", dataset(4, 12), "channels = [4]")
    block = model.stage1_block1
    nn.init.zeros_(block.norm2.weight)
    signal = torch.randn(2, 4, 12)
    assert block(signal).equal(torch.relu(signal))


def test_a_convolution_sees_its_neighbours_and_zeros_beyond():
    """By hand: the kernel (1, 2, 4) over (1, 0, 3), one zero on either side."""
    model = build("convnet", dataset(3), "channels = [1]")
    with torch.no_grad():
        model.conv.weight[:] = torch.tensor([[[1.0, 2, 4]]])
    # 1*0 + 2*1 + 4*0, 1*1 + 2*0 + 4*3, 1*0 + 2*3 + 4*0
    assert model.conv(torch.tensor([[[1.0, 0, 3]]])).tolist() == [[[2, 13, 6]]]


def test_group_norm_looks_at_one_example_alone():
    """In training, an example's logits do not depend on the others with group norm, and do with batch norm."""
    data = dataset(1, 8, 8)
    for norm, alone in (("group", True), ("batch", False)):
        model = build("convnet", data, f'norm = "{norm}"')
        whole, part = model(data.train_inputs)[:4], model(data.train_inputs[:4])
        assert torch.allclose(whole, part, atol=1e-6) == alone


def test_gru_reads_numbers_or_vectors():
    """By hand: 3 (units (features + units) + 2 units) a layer and direction, and a dense layer on all directions."""
    units = 5
    one = 3 * (units * (1 + units) + 2 * units) + 3 * units + 3
    assert count(build("gru", dataset(40), "units = 5")) == one
    both = 2 * 3 * (units * (7 + units) + 2 * units) + 3 * 2 * units + 3
    model = build("gru", dataset(6, 7), "units = 5, bidirectional = true")
    assert count(model) == both
    assert model(torch.rand(2, 11, 7)).shape == (2, 3)  # of any length


def test_gru_pools_the_states_it_says():
    """The last state of each direction is what it has read to its end; the mean is over all."""
    data = dataset(6, 2)
    for pool in ("last", "mean"):
        model = build("gru", data, f'units = 4, layers = 2, bidirectional = true, pool = "{pool}"')
        states, _ = model.recurrence.gru(data.train_inputs)
        expected = torch.cat([states[:, -1, :4], states[:, 0, 4:]], 1) if pool == "last" else states.mean(1)
        assert torch.allclose(model.recurrence(data.train_inputs), expected)


@pytest.mark.parametrize("model", ["mlp", "convnet", "gru"])
@pytest.mark.parametrize("shape", [(), (1,), (2,), (2, 3)])
def test_numbers_come_out_in_the_shape_of_the_targets(model, shape):
    """For a regression, outputs have exactly the targets' shape, and the inputs' dtype."""
    targets = torch.rand(8, *shape, dtype=torch.float64)
    data = dataset(6, classes=None, targets=targets, dtype=torch.float64)
    outputs = build(model, data)(data.train_inputs)
    assert (outputs.shape, outputs.dtype) == (targets.shape, torch.float64)


LABELS = torch.zeros(8, 2, dtype=torch.int64)
# model, data, options, further lines of the table, and the message
REFUSED = {
    "integers": (
        "convnet",
        dataset(40, dtype=torch.int64),
        "",
        "",
        (
            "model `convnet`: needs floating-point inputs of "
            "shape (examples, length), (examples, channels, length) or (examples, channels, height, width); got "
            "torch.int64 of shape (8, 40)."
        ),
    ),
    "volumes": ("convnet", dataset(1, 4, 4, 4), "", "", "model `convnet`: needs floating-point inputs of shape"),
    "images": (
        "gru",
        dataset(1, 8, 8),
        "",
        "",
        (
            "model `gru`: needs floating-point inputs of shape (examples, steps) or "
            "(examples, steps, features); got torch.float32 of shape (8, 1, 8, 8)."
        ),
    ),
    "labels": (
        "gru",
        dataset(6, targets=LABELS),
        "",
        "",
        (
            "model `gru`: classifies one label an example; got targets of shape (8, 2). If they are one-hot, give the "
            "number of each class, targets.argmax(axis=1); if an example may have several labels, rows of 0 and 1, use "
            'train.loss = "binary_cross_entropy".'
        ),
    ),
    "hidden": (
        "convnet",
        dataset(40),
        "",
        "hidden = [3]\n",
        (
            "model.hidden: belongs to the model `mlp`; `convnet` takes "
            "model.options instead: channels, blocks, kernel, norm, groups."
        ),
    ),
    "unknown": (
        "convnet",
        dataset(40),
        "chanels = [3]",
        "",
        ("recipe, [model.options]: unknown key `chanels`. Did you mean `channels`?"),
    ),
    "channels": (
        "convnet",
        dataset(40),
        "channels = []",
        "",
        ("recipe, [model.options]: `channels` must be a list of widths >= 1, such as [16, 32]; got []."),
    ),
    "kernel": (
        "convnet",
        dataset(40),
        "kernel = 4",
        "",
        ("recipe, [model.options]: `kernel` must be odd, such as 3; got 4."),
    ),
    "blocks": ("convnet", dataset(40), "blocks = 0", "", "recipe, [model.options]: `blocks` must be >= 1; got 0."),
    "groups": (
        "convnet",
        dataset(40),
        'channels = [4, 6], norm = "group", groups = 4',
        "",
        ("recipe, [model.options]: `groups` must divide the channels of every stage, here [4, 6]; got 4."),
    ),
    "norm": (
        "convnet",
        dataset(40),
        'norm = "layer"',
        "",
        ("recipe, [model.options]: `norm` must be `batch` or `group`; got 'layer'."),
    ),
    "units": ("gru", dataset(40), "units = 0", "", "recipe, [model.options]: `units` must be >= 1; got 0."),
    "dropout": (
        "gru",
        dataset(40),
        "dropout = 0.5",
        "",
        ("recipe, [model.options]: `dropout` acts between layers, and there is one; got 0.5. Use layers = 2."),
    ),
    "all dropped": (
        "gru",
        dataset(40),
        "dropout = 1.0, layers = 2",
        "",
        ("recipe, [model.options]: `dropout` must be in [0, 1); got 1.0."),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case):
    """The message says what was expected and what was got."""
    model, data, options, more, message = REFUSED[case]
    assert message_of(model, data, options, more).startswith(message)


@pytest.mark.parametrize(("model", "options"), [("convnet", "channels = [4, 8]"), ("gru", "units = 8")])
def test_it_learns(model, options):
    """Thirty steps of plain SGD on eight examples bring the loss to less than half, the same each time."""
    generator = torch.Generator().manual_seed(0)
    data = dataset(12)
    inputs = torch.randn(8, 12, generator=generator)
    losses = []
    for _ in range(2):
        network = build(model, data, options)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.3, momentum=0.9)
        for _ in range(60):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(inputs), data.train_targets)
            loss.backward()
            optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] < np.log(3) / 2
    assert losses[0] == losses[1]
