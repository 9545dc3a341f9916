"""The noisy quadratic of DeepOBS: a bowl in 100 dimensions, curved as the losses of deep networks are said to be.

The loss at a point x is (theta - x)^T Q (theta - x) / 2, and theta, which starts at ones, is all that is learned. Of
Q's eigenvalues 90 are drawn from (0, 1) and 10 from (30, 60). The points x are the data set of the same name.

References:
    F. Schneider, L. Balles, P. Hennig, "DeepOBS: a deep learning optimizer benchmark suite", ICLR 2019.
    P. Diaconis, M. Shahshahani, "The subgroup algorithm for generating uniform random variables", Probability in the
    Engineering and Informational Sciences 1, 1987.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from downslope.core.errors import DataError
from downslope.training.user_code import refuse_hidden, refuse_options

if TYPE_CHECKING:
    from downslope.recipe.schema import Model
    from downslope.training.data import Dataset

DIMENSIONS = 100
Matrix = np.ndarray[Any, np.dtype[np.float64]]


class Bowl(nn.Module):
    """(theta - x)^T Q (theta - x) / 2 for each x, given Q of shape (n, n)."""

    def __init__(self, hessian: Tensor) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.ones(len(hessian), dtype=hessian.dtype))
        self.register_buffer("hessian", hessian, persistent=False)  # part of the problem, not of what is learned
        self.hessian: Tensor

    def forward(self, points: Tensor) -> Tensor:
        """Return one loss a point, shape (examples,), from points of shape (examples, n)."""
        away = self.theta - points
        return ((away @ self.hessian) * away).sum(1) / 2


def build(model: Model, dataset: Dataset) -> nn.Module:
    """Return the bowl."""
    refuse_options("quadratic_deep", model.options, "model")
    refuse_hidden("quadratic_deep", model.hidden, "none")
    shape = tuple(dataset.train_inputs.shape)
    if shape[1:] != (DIMENSIONS,) or not dataset.train_inputs.dtype.is_floating_point:
        raise DataError(
            f"model `quadratic_deep`: needs points of shape (examples, {DIMENSIONS}); got {dataset.train_inputs.dtype} "
            f'of shape {shape}. Use data.name = "quadratic_deep".'
        )
    return Bowl(torch.from_numpy(draw_hessian()).to(dataset.train_inputs.dtype))


def draw_hessian() -> Matrix:
    """Return Q, shape (100, 100): first its eigenvalues are drawn, then its axes, from MT19937 seeded with 42."""
    generator = np.random.RandomState(42)  # the problem is defined by this generator's numbers
    eigenvalues = np.concatenate([generator.uniform(0.0, 1.0, 90), generator.uniform(30.0, 60.0, 10)])
    axes = _draw_rotation(generator, DIMENSIONS)
    return axes.T @ (eigenvalues[:, np.newaxis] * axes)


def _draw_rotation(generator: Any, size: int) -> Matrix:
    """Return a rotation drawn uniformly: one of the plane, carried up a dimension at a time by a random reflection."""
    angle = 2 * np.pi * generator.uniform()
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for known in range(2, size):
        direction = generator.normal(size=known + 1)
        mirror = -direction / np.linalg.norm(direction)
        mirror[0] += 1.0
        mirror /= np.linalg.norm(mirror)
        lifted = np.zeros((known + 1, known + 1))
        lifted[0, 0], lifted[1:, 1:] = 1.0, rotation
        rotation = lifted - 2 * np.outer(mirror, mirror @ lifted)
    return -rotation  # each reflection turned the determinant's sign
