"""The cells of the step benchmark: lists of tensor shapes, and how many bytes a step over them must move."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

Shape = tuple[int, ...]

BYTES_PER_PARAMETER = 20
"""What a step with momentum must move in fp32: parameter and velocity read and written, gradient read."""


@dataclass(frozen=True)
class Cell:
    """A list of tensors that one step moves.

    Attributes:
        name: Its word on the command line.
        about: What it stands for.
        shapes: Shape of each tensor.
        rounds: Rounds that give a steady median in reasonable time.
        in_cache: Whether parameters, gradients and velocities stay in a processor's own cache between two steps, so
            that the bandwidth of memory bounds nothing.
    """

    name: str
    about: str
    shapes: tuple[Shape, ...]
    rounds: int
    in_cache: bool = False

    @property
    def parameters(self) -> int:
        """Number of elements of all tensors."""
        return sum(math.prod(shape) for shape in self.shapes)


def mlp_shapes(*widths: int) -> tuple[Shape, ...]:
    """Return weight and bias of each layer of a fully connected network.

    Args:
        *widths: Inputs, then the outputs of each layer.
    """
    layers = itertools.pairwise(widths)
    return tuple(shape for inputs, outputs in layers for shape in ((outputs, inputs), (outputs,)))


def resnet50_shapes() -> tuple[Shape, ...]:
    """Return the 161 shapes of ResNet-50 for 1000 classes.

    References:
        He et al., "Deep residual learning for image recognition" (2016), table 1; a block is 1x1, 3x3, 1x1, each
        convolution without bias and followed by a batch normalisation of two vectors.
    """

    def convolution(inputs: int, outputs: int, kernel: int) -> list[Shape]:
        return [(outputs, inputs, kernel, kernel), (outputs,), (outputs,)]

    shapes = convolution(3, 64, 7)
    inputs = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            shapes += convolution(inputs, width, 1) + convolution(width, width, 3) + convolution(width, 4 * width, 1)
            if block == 0:
                shapes += convolution(inputs, 4 * width, 1)  # the projection past the block
            inputs = 4 * width
    return (*shapes, (1000, inputs), (1000,))


CELLS = {
    cell.name: cell
    for cell in (
        Cell("mlp6", "a small MLP, 64-256-256-10", mlp_shapes(64, 256, 256, 10), rounds=15, in_cache=True),
        Cell("many", "1000 tensors of 64x64", ((64, 64),) * 1000, rounds=11),
        Cell("resnet50", "the tensors of ResNet-50", resnet50_shapes(), rounds=7),
        Cell("large", "six tensors of 4096x4096", ((4096, 4096),) * 6, rounds=3),
    )
}
