"""The networks of papers: their sizes, their forms, and that they learn; counts are the papers' and torchvision's."""

import pytest
import torch
from test_models import build, count, dataset, message_of
from torch import nn

# He et al. 2016, table 6: 0.27, 0.46, 0.85, 1.7 million; Zagoruyko & Komodakis 2016, table 4: 36.5 million; pages of
# torchvision: 11,689,512, 25,557,032 and 138,365,992
PAPERS = {
    "resnet20": ((3, 32, 32), 10, 269_722),
    "resnet32": ((3, 32, 32), 10, 464_154),
    "resnet56": ((3, 32, 32), 10, 853_018),
    "resnet110": ((3, 32, 32), 10, 1_727_962),
    "wrn-28-10": ((3, 32, 32), 10, 36_479_194),
    "resnet18": ((3, 224, 224), 1000, 11_689_512),
    "resnet50": ((3, 224, 224), 1000, 25_557_032),
    "resnet50-v1": ((3, 224, 224), 1000, 25_557_032),
    "vgg16-bn": ((3, 224, 224), 1000, 138_365_992),
    "resnet9": ((3, 32, 32), 10, 6_573_120),  # by hand: convolutions 6,563,520, scales and shifts 4,480, dense 5,120
}


@pytest.mark.parametrize("name", PAPERS)
def test_parameters_are_those_of_the_paper(name):
    """Every count, to the last parameter, and as many logits as classes; on no memory."""
    shape, classes, parameters = PAPERS[name]
    data = dataset(*shape, classes=classes)
    with torch.device("meta"):
        model = build(name, data)
        assert count(model) == parameters
        assert model(torch.empty(2, *shape)).shape == (2, classes)


@pytest.mark.parametrize(
    ("name", "layers"),
    [("resnet20", 20), ("resnet110", 110), ("wrn-28-10", 25 + 1), ("resnet50", 50), ("vgg16-bn", 16), ("resnet9", 9)],
)
def test_layers_are_as_many_as_the_name_says(name, layers):
    """Layers with weights on the longest way; the 28 of a wide network are convolutions, three projections too."""
    with torch.device("meta"):
        model = build(name, dataset(3, 32, 32))
    kinds = [path for path, part in model.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert len([path for path in kinds if "shortcut" not in path]) == layers


def test_where_a_bottleneck_halves_the_resolution():
    """v1 by its first convolution, v1.5 by the middle one (torchvision, since 2016)."""
    strides = {}
    with torch.device("meta"):
        for name in ("resnet50-v1", "resnet50"):
            block = build(name, dataset(3, 64, 64)).stage2_block1
            strides[name] = [block.conv1.stride[0], block.conv2.stride[0], block.shortcut[0].stride[0]]
    assert strides == {"resnet50-v1": [2, 1, 2], "resnet50": [1, 2, 2]}


def test_a_padded_shortcut_is_every_second_place_and_zeros():
    """He et al. 2016, option A, by hand."""
    block = build("resnet20", dataset(3, 8, 8)).stage2_block1
    signal = torch.rand(2, 16, 8, 8)
    out = block.shortcut(signal)
    assert out.shape == (2, 32, 4, 4)
    assert torch.equal(out[:, :16], signal[:, :, ::2, ::2])
    assert not out[:, 16:].any()


def test_blocks_that_begin_as_the_identity():
    """With the last scale at 0 a block is ReLU of its input, whatever its convolutions are (Goyal et al. 2017)."""
    for options in ("zero_last = true", 'zero_last = true, block = "bottleneck", blocks = 2'):
        block = dict(build("convnet", dataset(3, 8, 8), options).named_children())["stage1_block1"]
        if not len(block.shortcut):
            signal = torch.randn(4, 16, 8, 8)
            assert torch.equal(block(signal), torch.relu(signal))
    model = build("resnet50", dataset(3, 32, 32), "zero_last = true")
    assert all(not part.norm3.weight.any() for part in model.children() if hasattr(part, "norm3"))


def test_first_weights_by_he():
    """Zero mean and a variance of 2 / (outputs * places)."""
    weight = build("resnet18", dataset(3, 32, 32)).stage4_block2.conv2.weight
    assert weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)
    assert abs(weight.mean().item()) < 1e-4


@pytest.mark.parametrize(
    ("name", "lr", "momentum"),
    [("resnet20", 0.02, 0.9), ("resnet18", 0.02, 0.9), ("resnet50-v1", 0.01, 0.5), ("resnet9", 0.02, 0.9)],
)
def test_they_learn(name, lr, momentum):
    """Some steps on eight random images make the loss small.

    At twice the learning rate the deepest of them still swings after 15 steps, differently on every kind of processor.
    """
    torch.manual_seed(0)
    data = dataset(3, 32, 32)
    model = build(name, data)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    first = None
    for _ in range(15):
        loss = nn.functional.cross_entropy(model(data.train_inputs), data.train_targets)
        first = first or loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 2


def test_the_network_of_nine_layers_is_pages():
    """Against `net` of dawn_utils.py, written out in functions; what cannot be is told."""

    def convolved(images, path):
        images = nn.functional.conv2d(images, weights[f"{path}.conv.weight"], padding=1)
        images = nn.functional.batch_norm(images, None, None, weights[f"{path}.norm.weight"], training=True)
        return torch.relu(images)

    model = build("resnet9", dataset(3, 32, 32), "channels = [4, 5, 6, 7], scale = 0.5")
    weights, images = model.state_dict(), torch.rand(3, 3, 32, 32)
    found = convolved(images, "prep")
    for number in (1, 2, 3):
        found = nn.functional.max_pool2d(convolved(found, f"layer{number}"), 2)
        if number != 2:
            path = f"residual{number}"
            found = found + convolved(convolved(found, f"{path}.first"), f"{path}.second")
    found = 0.5 * nn.functional.max_pool2d(found, 4).flatten(1) @ weights["logits.weight"].T
    assert torch.allclose(model(images), found, atol=1e-5)
    assert "four widths" in message_of("resnet9", dataset(3, 32, 32), "channels = [4, 5, 6]")
    assert "`scale` must be above 0" in message_of("resnet9", dataset(3, 32, 32), "scale = 0.0")
    assert "too small" in message_of("resnet9", dataset(3, 32, 7))
    assert "(examples, channels, height, width)" in message_of("resnet9", dataset(40))


def test_options_are_laid_over_a_paper():
    """A narrower network of the same form, for signals too; and what does not go together is told."""
    assert count(build("resnet20", dataset(40), "channels = [4, 8, 16]")) < 20_000
    assert build("wrn-28-10", dataset(3, 16, 16), "channels = [8, 16, 16], dropout = 0.3, first_channels = 4")
    assert "one for each of the 3 stages" in message_of("convnet", dataset(40), "blocks = [1, 2]")
    assert "`dropout` has no effect" in message_of("convnet", dataset(40), "dropout = 0.1")
    assert "`stride_at" in message_of("convnet", dataset(40), 'stride_at = "first"')
    assert "`first_channels` has no effect" in message_of("vgg16-bn", dataset(3, 32, 32), "first_channels = 4")
    assert "too small" in message_of("vgg16-bn", dataset(3, 16, 16))
    assert "Did you mean `resnet50`" in message_of("resnet51", dataset(3, 32, 32))
