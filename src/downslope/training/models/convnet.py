"""A small residual convolutional network, over signals or images.

A first convolution, then stages of residual blocks, each stage but the first at half the resolution, then the mean over
all places.

References:
    K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016: section 3.3, the
    projection shortcuts (B), and the networks of section 4.2 for small images.
    Y. Wu, K. He, "Group normalization", ECCV 2018: the normalisation that does not look at other examples.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from downslope.core.errors import DataError
from downslope.training.models.heads import build_head, check_inputs
from downslope.training.user_code import read_options, refuse_hidden

if TYPE_CHECKING:
    from downslope.recipe.schema import Model
    from downslope.training.data import Dataset

SHAPES = "(examples, length), (examples, channels, length) or (examples, channels, height, width)"

Norm = Callable[[int], nn.Module]
"""From a number of channels to its normalisation layer."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The network's size.

    Attributes:
        channels: Channels of each stage, >= 1.
        blocks: Residual blocks in each stage, >= 1.
        kernel: Width of each convolution, odd, so that it has a middle.
        norm: "batch" (over the examples of a shard) or "group" (within each example).
        groups: Groups of channels that "group" normalises together; divides every stage's channels.
    """

    channels: tuple[int, ...] = (16, 32, 64)
    blocks: int = 1
    kernel: int = 3
    norm: Literal["batch", "group"] = "batch"
    groups: int = 8

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.channels or min(self.channels) < 1:
            raise DataError(f"`channels` must be a list of widths >= 1, such as [16, 32]; got {list(self.channels)}.")
        if self.blocks < 1:
            raise DataError(f"`blocks` must be >= 1; got {self.blocks}.")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise DataError(f"`kernel` must be odd, such as 3; got {self.kernel}.")
        if self.groups < 1 or (self.norm == "group" and any(width % self.groups for width in self.channels)):
            raise DataError(
                f"`groups` must divide the channels of every stage, here {list(self.channels)}; got {self.groups}."
            )


class Block(nn.Module):
    """Two convolutions, of signals (dimensions = 1) or images (2), around which a shortcut adds the input."""

    def __init__(self, *, dimensions: int, before: int, after: int, stride: int, kernel: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = _convolution(dimensions, before, after, kernel, stride)
        self.norm1 = norm(after)
        self.conv2 = _convolution(dimensions, after, after, kernel, 1)
        self.norm2 = norm(after)
        self.shortcut = nn.Sequential()
        if before != after or stride != 1:
            self.shortcut.append(_convolution(dimensions, before, after, 1, stride)).append(norm(after))

    def forward(self, signal: Tensor) -> Tensor:
        """Return a tensor of shape (examples, after, ...) from one of shape (examples, before, ...)."""
        inner = torch.relu(self.norm1(self.conv1(signal)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(signal))


class MeanOverPlaces(nn.Module):
    """The mean over all places of each channel."""

    def forward(self, signal: Tensor) -> Tensor:
        """Return a tensor of shape (examples, channels) from one of shape (examples, channels, ...)."""
        return signal.flatten(2).mean(2)


def build(model: Model, dataset: Dataset) -> nn.Module:
    """Return the network for signals, (length,) or (channels, length), or images, (channels, height, width).

    An example of one dimension whose data have an `image_shape` is an image laid out flat.
    """
    refuse_hidden("convnet", model.hidden, "channels, blocks, kernel, norm, groups")
    options = read_options(Options, model.options, "model")
    inputs = dataset.train_inputs
    check_inputs("convnet", dataset, SHAPES, (2, 3, 4))
    layers: list[tuple[str, nn.Module]] = []
    example = tuple(inputs.shape[1:])
    if len(example) == 1:
        example = (1, *(dataset.image_shape or example))
        layers.append(("channel", nn.Unflatten(1, example)))
    dimensions, width = len(example) - 1, example[0]

    def norm(channels: int) -> nn.Module:
        if options.norm == "group":
            return nn.GroupNorm(options.groups, channels)
        return (nn.BatchNorm1d if dimensions == 1 else nn.BatchNorm2d)(channels)

    first = options.channels[0]
    layers += [
        ("conv", _convolution(dimensions, width, first, options.kernel, 1)),
        ("norm", norm(first)),
        ("relu", nn.ReLU()),
    ]
    width = first
    for stage, channels in enumerate(options.channels, start=1):
        for block in range(1, options.blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            made = Block(
                dimensions=dimensions, before=width, after=channels, stride=stride, kernel=options.kernel, norm=norm
            )
            layers.append((f"stage{stage}_block{block}", made))
            width = channels
    layers += [("mean", MeanOverPlaces()), *build_head("convnet", width, dataset)]
    return nn.Sequential(OrderedDict(layers)).to(inputs.dtype)


def _convolution(dimensions: int, before: int, after: int, kernel: int, stride: int) -> nn.Module:
    """Return a convolution that keeps the size but for its stride; the normalisation after it has the bias."""
    kind = nn.Conv1d if dimensions == 1 else nn.Conv2d
    return kind(before, after, kernel, stride=stride, padding=kernel // 2, bias=False)
