"""Convolutional networks over signals or images: plain and residual, from a small one to those that papers train.

A first convolution, then stages of blocks, each stage but the first at half the resolution, then the mean over all
places and dense layers. The networks of the papers are this one with the options of `papers.PAPERS`.

References:
    K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016: shortcuts padded with
    zeros (A) or projected (B) in section 3.3, bottlenecks in table 1, and the networks of section 4.2 for small images.
    K. He et al., "Identity mappings in deep residual networks", ECCV 2016: normalisation and ReLU before a convolution.
    S. Zagoruyko, N. Komodakis, "Wide residual networks", BMVC 2016.
    K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015.
    Y. Wu, K. He, "Group normalization", ECCV 2018: the normalisation that does not look at other examples.
    P. Goyal et al., "Accurate, large minibatch SGD", 2017, section 5.1: blocks that begin as the identity.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from downslope.core.errors import DataError
from downslope.training.models.heads import build_head, check_inputs
from downslope.training.models.papers import PAPERS
from downslope.training.user_code import read_options, refuse_hidden

if TYPE_CHECKING:
    from downslope.recipe.schema import Model
    from downslope.training.data import Dataset

SHAPES = "(examples, length), (examples, channels, length) or (examples, channels, height, width)"

Norm = Callable[[int], nn.Module]
"""From a number of channels to its normalisation layer."""

_EXPANSION = 4
"""How many times the channels of its inner convolutions come out of a bottleneck."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The network's form and size.

    Attributes:
        channels: Channels of each stage, >= 1; in a bottleneck, of its inner convolutions.
        blocks: Blocks in each stage, >= 1: one number for all, or one for each.
        kernel: Width of each convolution, odd, so that it has a middle.
        norm: "batch" (over the examples of a shard) or "group" (within each example).
        groups: Groups of channels that "group" normalises together; divides every stage's channels.
        block: "basic" (two convolutions and a shortcut), "preactivation" (the same, each normalised before it),
            "bottleneck" (three and a shortcut, the first and last of width 1) or "plain" (one, and no shortcut).
        shortcut: Where channels grow: "projection" (a convolution of width 1) or "padded" (zeros, no parameters).
        stride_at: Which convolution of a bottleneck halves the resolution: its "first" (He et al.; v1) or its "middle"
            (torchvision's; v1.5).
        first: The first layers: one "convolution", a "large" one of width 7 and stride 2 with a pool of stride 2 after
            it, or "none".
        first_channels: Channels of the first convolution; None for those of the first stage.
        halve: How a stage halves the resolution: by the "stride" of a convolution, or a "pool" after each plain stage.
        bias: Whether convolutions have a bias, which a normalisation after them makes needless.
        dropout: Fraction dropped, in [0, 1): within a preactivation block, and before dense layers.
        dense: Widths of dense layers before the last.
        places: Places to a side that the mean keeps, so that dense layers see where something is.
        initial: First weights: as "torch" draws them, or "he" (normal, by the outputs of a convolution).
        zero_last: Whether the last normalisation of each block begins at 0, so that the block begins as the identity.
    """

    channels: tuple[int, ...] = (16, 32, 64)
    blocks: int | tuple[int, ...] = 1
    kernel: int = 3
    norm: Literal["batch", "group"] = "batch"
    groups: int = 8
    block: Literal["basic", "preactivation", "bottleneck", "plain"] = "basic"
    shortcut: Literal["projection", "padded"] = "projection"
    stride_at: Literal["first", "middle"] = "middle"
    first: Literal["convolution", "large", "none"] = "convolution"
    first_channels: int | None = None
    halve: Literal["stride", "pool"] = "stride"
    bias: bool = False
    dropout: float = 0.0
    dense: tuple[int, ...] = ()
    places: int = 1
    initial: Literal["torch", "he"] = "torch"
    zero_last: bool = False

    def __post_init__(self) -> None:
        """Check the ranges, and that no option is given that this form of network has no use for."""
        _check_widths(self)
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise DataError(f"`kernel` must be odd, such as 3; got {self.kernel}.")
        if self.groups < 1 or (self.norm == "group" and any(width % self.groups for width in self.channels)):
            raise DataError(
                f"`groups` must divide the channels of every stage, here {list(self.channels)}; got {self.groups}."
            )
        if self.places < 1:
            raise DataError(f"`places` must be >= 1; got {self.places}.")
        if not 0 <= self.dropout < 1:
            raise DataError(f"`dropout` must be in [0, 1); got {self.dropout!r}.")
        if name := _find_unused(self):
            raise DataError(f'`{name}` has no effect in a network of `block = "{self.block}"`. Leave it out.')

    def blocks_of(self, stage: int) -> int:
        """Return how many blocks a stage has, counted from 0."""
        return self.blocks if isinstance(self.blocks, int) else self.blocks[stage]

    @property
    def expansion(self) -> int:
        """How many times a stage's channels its blocks put out."""
        return _EXPANSION if self.block == "bottleneck" else 1


def _check_widths(options: Options) -> None:
    """Raise DataError unless every number of channels and blocks is at least 1, and there is one for each stage."""
    channels, blocks = options.channels, options.blocks
    if not channels or min(channels) < 1:
        raise DataError(f"`channels` must be a list of widths >= 1, such as [16, 32]; got {list(channels)}.")
    if isinstance(blocks, int):
        if blocks < 1:
            raise DataError(f"`blocks` must be >= 1; got {blocks}.")
    elif len(blocks) != len(channels) or min(blocks) < 1:
        raise DataError(
            f"`blocks` must be one number, or one for each of the {len(channels)} stages, >= 1; got {list(blocks)}."
        )
    if options.first_channels is not None and options.first_channels < 1:
        raise DataError(f"`first_channels` must be >= 1; got {options.first_channels}.")
    if options.dense and min(options.dense) < 1:
        raise DataError(f"`dense` must be a list of widths >= 1, such as [4096]; got {list(options.dense)}.")


def _find_unused(options: Options) -> str:
    """Return the option that is given although nothing in the network looks at it, or ""."""
    block = options.block
    unused = {
        "dropout": options.dropout > 0 and block != "preactivation" and not options.dense,
        "zero_last": options.zero_last and block in {"plain", "preactivation"},
        'halve = "pool"': options.halve == "pool" and block != "plain",
        'shortcut = "padded"': options.shortcut == "padded" and block == "plain",
        'stride_at = "first"': options.stride_at == "first" and block != "bottleneck",
        "first_channels": options.first == "none" and options.first_channels is not None,
    }
    return next((name for name, is_unused in unused.items() if is_unused), "")


class Block(nn.Module):
    """Two convolutions, of signals (dimensions = 1) or images (2), around which a shortcut adds the input."""

    def __init__(self, options: Options, dimensions: int, before: int, after: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = _convolution(dimensions, before, after, options.kernel, stride, bias=options.bias)
        self.norm1 = norm(after)
        self.conv2 = _convolution(dimensions, after, after, options.kernel, 1, bias=options.bias)
        self.norm2 = norm(after)
        self.shortcut = _shortcut(options, dimensions, before, after, stride, norm)

    def forward(self, signal: Tensor) -> Tensor:
        """Return a tensor of shape (examples, after, ...) from one of shape (examples, before, ...)."""
        inner = torch.relu(self.norm1(self.conv1(signal)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(signal))

    def begin_as_identity(self) -> None:
        """Set the scale of the last normalisation to 0."""
        nn.init.zeros_(cast("Tensor", self.norm2.weight))


class Bottleneck(nn.Module):
    """A convolution of width 1 to fewer channels, one over these, and one of width 1 to four times as many."""

    def __init__(self, options: Options, dimensions: int, before: int, inner: int, stride: int, norm: Norm) -> None:
        super().__init__()
        after = inner * _EXPANSION
        at_first, in_middle = (stride, 1) if options.stride_at == "first" else (1, stride)
        self.conv1 = _convolution(dimensions, before, inner, 1, at_first, bias=options.bias)
        self.norm1 = norm(inner)
        self.conv2 = _convolution(dimensions, inner, inner, options.kernel, in_middle, bias=options.bias)
        self.norm2 = norm(inner)
        self.conv3 = _convolution(dimensions, inner, after, 1, 1, bias=options.bias)
        self.norm3 = norm(after)
        self.shortcut = _shortcut(options, dimensions, before, after, stride, norm)

    def forward(self, signal: Tensor) -> Tensor:
        """Return a tensor of shape (examples, 4 * inner, ...) from one of shape (examples, before, ...)."""
        inner = torch.relu(self.norm1(self.conv1(signal)))
        inner = torch.relu(self.norm2(self.conv2(inner)))
        return torch.relu(self.norm3(self.conv3(inner)) + self.shortcut(signal))

    def begin_as_identity(self) -> None:
        """Set the scale of the last normalisation to 0."""
        nn.init.zeros_(cast("Tensor", self.norm3.weight))


class Preactivation(nn.Module):
    """A block whose normalisation and ReLU stand before each convolution; a projection takes what they give, too."""

    def __init__(self, options: Options, dimensions: int, before: int, after: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.norm1 = norm(before)
        self.conv1 = _convolution(dimensions, before, after, options.kernel, stride, bias=options.bias)
        self.norm2 = norm(after)
        self.dropout = nn.Dropout(options.dropout)
        self.conv2 = _convolution(dimensions, after, after, options.kernel, 1, bias=options.bias)
        self.changes = before != after or stride != 1
        self.shortcut = _shortcut(options, dimensions, before, after, stride, None)

    def forward(self, signal: Tensor) -> Tensor:
        """Return a tensor of shape (examples, after, ...) from one of shape (examples, before, ...)."""
        active = torch.relu(self.norm1(signal))
        inner = self.dropout(torch.relu(self.norm2(self.conv1(active))))
        return self.conv2(inner) + self.shortcut(active if self.changes else signal)


class Padded(nn.Module):
    """Every second place of the input, and zeros as channels that it lacks: a shortcut without parameters."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride, self.missing = stride, after - before

    def forward(self, signal: Tensor) -> Tensor:
        """Return a tensor of shape (examples, after, ...) from one of shape (examples, before, ...)."""
        places = tuple(slice(None, None, self.stride) for _ in signal.shape[2:])
        kept = signal[(slice(None), slice(None), *places)]
        return nn.functional.pad(kept, (0, 0) * len(places) + (0, self.missing))


class MeanOverPlaces(nn.Module):
    """The mean over all places of each channel."""

    def forward(self, signal: Tensor) -> Tensor:
        """Return a tensor of shape (examples, channels) from one of shape (examples, channels, ...)."""
        return signal.flatten(2).mean(2)


def build(model: Model, dataset: Dataset) -> nn.Module:
    """Return the network for signals, (length,) or (channels, length), or images, (channels, height, width).

    An example of one dimension whose data have an `image_shape` is an image laid out flat.
    """
    refuse_hidden(model.name, model.hidden, "channels, blocks, kernel, norm, groups")
    options = read_options(Options, {**PAPERS.get(model.name, {}), **model.options}, "model")
    inputs = dataset.train_inputs
    check_inputs(model.name, dataset, SHAPES, (2, 3, 4))
    example = tuple(inputs.shape[1:])
    flat = len(example) == 1
    if flat:
        example = (1, *(dataset.image_shape or example))
    dimensions = len(example) - 1
    if options.halve == "pool" and min(example[1:]) < 2 ** len(options.channels):
        raise DataError(
            f"model `{model.name}`: an example of shape {example} is too small: {len(options.channels)} pools halve it "
            f"to nothing. Each side needs at least {2 ** len(options.channels)} places, or leave out stages."
        )

    def norm(channels: int) -> nn.Module:
        if options.norm == "group":
            return nn.GroupNorm(options.groups, channels)
        return (nn.BatchNorm1d if dimensions == 1 else nn.BatchNorm2d)(channels)

    layers: list[tuple[str, nn.Module]] = [("channel", nn.Unflatten(1, example))] if flat else []
    first, width = _first_layers(options, dimensions, example[0], norm)
    stages, width = _stages(options, dimensions, width, norm)
    last, width = _last_layers(options, dimensions, width)
    network = nn.Sequential(OrderedDict([*layers, *first, *stages, *last, *build_head(model.name, width, dataset)]))
    if options.initial == "he":
        _draw_by_he(network)
    if options.zero_last:
        for part in network.modules():
            if isinstance(part, Block | Bottleneck):
                part.begin_as_identity()
    return network.to(inputs.dtype)


def _first_layers(options: Options, dimensions: int, width: int, norm: Norm) -> tuple[list[tuple[str, nn.Module]], int]:
    """Return the layers before the first stage, and the channels that they put out."""
    if options.first == "none":
        return [], width
    channels = options.first_channels or options.channels[0]
    large = options.first == "large"
    convolution = _convolution(
        dimensions, width, channels, 7 if large else options.kernel, 2 if large else 1, bias=options.bias
    )
    layers: list[tuple[str, nn.Module]] = [("conv", convolution)]
    if options.block != "preactivation":  # whose first block normalises
        layers += [("norm", norm(channels)), ("relu", nn.ReLU())]
    if large:
        layers.append(("pool", (nn.MaxPool1d if dimensions == 1 else nn.MaxPool2d)(3, stride=2, padding=1)))
    return layers, channels


def _stages(options: Options, dimensions: int, width: int, norm: Norm) -> tuple[list[tuple[str, nn.Module]], int]:
    """Return the stages' blocks, and the channels that they put out."""
    layers: list[tuple[str, nn.Module]] = []
    for stage, channels in enumerate(options.channels, start=1):
        for block in range(1, options.blocks_of(stage - 1) + 1):
            stride = 2 if stage > 1 and block == 1 and options.halve == "stride" else 1
            made = _build_block(options, dimensions, width, channels, stride, norm)
            layers.append((f"stage{stage}_block{block}", made))
            width = channels * options.expansion
        if options.halve == "pool":
            layers.append((f"stage{stage}_pool", (nn.MaxPool1d if dimensions == 1 else nn.MaxPool2d)(2)))
    if options.block == "preactivation":
        layers += [("norm", norm(width)), ("relu", nn.ReLU())]
    return layers, width


def _build_block(options: Options, dimensions: int, before: int, channels: int, stride: int, norm: Norm) -> nn.Module:
    if options.block == "plain":
        convolution = _convolution(dimensions, before, channels, options.kernel, stride, bias=options.bias)
        return nn.Sequential(OrderedDict(conv=convolution, norm=norm(channels), relu=nn.ReLU()))
    kind = {"basic": Block, "bottleneck": Bottleneck, "preactivation": Preactivation}[options.block]
    return kind(options, dimensions, before, channels, stride, norm)


def _last_layers(options: Options, dimensions: int, width: int) -> tuple[list[tuple[str, nn.Module]], int]:
    """Return the layers between the last stage and the logits, and how many features they put out."""
    layers: list[tuple[str, nn.Module]] = []
    if options.places == 1:
        layers.append(("mean", MeanOverPlaces()))
    else:
        mean = (nn.AdaptiveAvgPool1d if dimensions == 1 else nn.AdaptiveAvgPool2d)(options.places)
        layers += [("mean", mean), ("flat", nn.Flatten())]
        width *= options.places**dimensions
    for number, features in enumerate(options.dense, start=1):
        layers += [(f"dense{number}", nn.Linear(width, features)), (f"relu{number}", nn.ReLU())]
        if options.dropout:
            layers.append((f"dropout{number}", nn.Dropout(options.dropout)))
        width = features
    return layers, width


def _shortcut(
    options: Options, dimensions: int, before: int, after: int, stride: int, norm: Norm | None
) -> nn.Sequential:
    """Return what the input passes on its way around a block: nothing, unless the block changes its shape."""
    layers = nn.Sequential()
    if before == after and stride == 1:
        return layers
    if options.shortcut == "padded" and after >= before:
        return layers.append(Padded(before, after, stride))
    layers.append(_convolution(dimensions, before, after, 1, stride, bias=options.bias))
    return layers if norm is None else layers.append(norm(after))


def _convolution(dimensions: int, before: int, after: int, kernel: int, stride: int, *, bias: bool) -> nn.Module:
    """Return a convolution that keeps the size but for its stride."""
    kind = nn.Conv1d if dimensions == 1 else nn.Conv2d
    return kind(before, after, kernel, stride=stride, padding=kernel // 2, bias=bias)


def _draw_by_he(network: nn.Module) -> None:
    """Draw convolutions from a normal of variance 2 / (outputs * places) (He et al. 2015); biases begin at 0."""
    for part in network.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
