"""The residual network of nine layers that learns small images in few epochs: wide, shallow, without a mean at the end.

A convolution, then three stages of a convolution and a pool, the first and the last of which go on with two
convolutions around which their input is added; the largest number of each channel, a dense layer without a bias, and
logits an eighth as large, so that large learning rates do not make the first answers too sure.

References:
    D. Page, "How to train your ResNet", 2018, and its program, github.com/davidcpage/cifar10-fast, dawn_utils.py.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from downslope.core.errors import DataError
from downslope.training.models.heads import build_head, check_inputs
from downslope.training.user_code import read_options, refuse_hidden

if TYPE_CHECKING:
    from downslope.recipe.schema import Model
    from downslope.training.data import Dataset

_POOLS = 3


@dataclass(frozen=True, kw_only=True)
class Options:
    """The network's size.

    Attributes:
        channels: Channels of the first convolution and of the three stages.
        scale: What logits are multiplied by.
    """

    channels: tuple[int, ...] = (64, 128, 256, 512)
    scale: float = 0.125

    def __post_init__(self) -> None:
        """Check the ranges."""
        if len(self.channels) != _POOLS + 1 or min(self.channels) < 1:
            raise DataError(
                f"`channels` must be four widths >= 1, such as [64, 128, 256, 512]; got {list(self.channels)}."
            )
        if not 0 < self.scale < float("inf"):
            raise DataError(f"`scale` must be above 0 and finite, such as 0.125; got {self.scale!r}.")


class Residual(nn.Module):
    """Two convolutions of the same width, whose input is added to what they give."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(channels, channels), _convolution(channels, channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return a tensor of the input's shape."""
        return images + self.second(self.first(images))


class Scaled(nn.Module):
    """Logits times a number."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, logits: Tensor) -> Tensor:
        """Return a tensor of the input's shape."""
        return logits * self.scale

    def extra_repr(self) -> str:
        """Return the number."""
        return str(self.scale)


def build(model: Model, dataset: Dataset) -> nn.Module:
    """Return the network for images, (channels, height, width), of 8x8 at least."""
    refuse_hidden(model.name, model.hidden, "channels, scale")
    options = read_options(Options, model.options, "model")
    inputs = dataset.train_inputs
    check_inputs(model.name, dataset, "(examples, channels, height, width)", (4,))
    before, *sides = inputs.shape[1:]
    if min(sides) < 2**_POOLS:
        raise DataError(
            f"model `{model.name}`: an example of shape {(before, *sides)} is too small: {_POOLS} pools halve it to "
            f"nothing. Each side needs at least {2**_POOLS} places."
        )
    if dataset.classes is None:
        raise DataError(f"model `{model.name}`: classifies, and these targets are numbers. Use `convnet`.")
    first, *widths = options.channels
    layers: list[tuple[str, nn.Module]] = [("prep", _convolution(before, first))]
    before = first
    for number, width in enumerate(widths, start=1):
        layers += [(f"layer{number}", _convolution(before, width)), (f"pool{number}", nn.MaxPool2d(2))]
        if number != 2:
            layers.append((f"residual{number}", Residual(width)))
        before = width
    layers += [("pool", nn.AdaptiveMaxPool2d(1)), ("flatten", nn.Flatten())]
    ((name, dense),) = build_head(model.name, before, dataset)
    dense.register_parameter("bias", None)
    layers += [(name, dense), ("scaled", Scaled(options.scale))]
    return nn.Sequential(OrderedDict(layers)).to(inputs.dtype)


def _convolution(before: int, after: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
    return nn.Sequential(OrderedDict(conv=convolution, norm=nn.BatchNorm2d(after), relu=nn.ReLU()))
