"""Which examples an epoch learns from where they are drawn by class, with replacement: `data.sampling`.

The i-th draw of an epoch is a function of seed, epoch and i alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.run.class_weights import weights_of
from downslope.training.run.randomness import derive_seed

if TYPE_CHECKING:
    from downslope.recipe.schema import Data
    from downslope.training.data import Dataset

_KEY = "data.sampling"


class ClassSampler:
    """Draws examples with probabilities in the proportion of their classes' weights.

    Args:
        targets: The class of each example, int64 of shape (examples,).
        weights: How often an example of each class is drawn, beside those of others.
        seed: The recipe's seed.

    Example:
        >>> sampler = ClassSampler(torch.tensor([0, 0, 0, 0, 0, 0, 0, 1]), [1.0, 7.0], seed=0)
        >>> [sampler.draw(epoch).eq(7).sum().item() for epoch in range(3)]
        [4, 3, 6]
    """

    def __init__(self, targets: Tensor, weights: Sequence[float], seed: int) -> None:
        """Count the classes."""
        self._seed = seed
        self._by_class = targets.argsort(stable=True).numpy()
        self._counts = np.bincount(targets.numpy(), minlength=len(weights))
        self._starts = np.cumsum(self._counts) - self._counts
        ends = np.cumsum(np.array(weights, dtype=np.float64) * self._counts)
        self._ends = ends / ends[-1]

    def draw(self, epoch: int) -> Tensor:
        """Return as many indices of examples as there are examples, int64."""
        count = len(self._by_class)
        raw = np.random.Philox(key=derive_seed(self._seed, "sampling", epoch)).random_raw(2 * count)
        which, member = ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(count, 2).T  # each in [0, 1)
        drawn = np.searchsorted(self._ends, which, side="right")
        within = (member * self._counts[drawn]).astype(np.int64)
        return torch.from_numpy(self._by_class[self._starts[drawn] + within])


def build_sampler(data: Data, dataset: Dataset, seed: int) -> ClassSampler | None:
    """Return what draws the examples of each epoch, or None where each is learned from once.

    Raises:
        DataError: If an example has not one class to draw it by, or there are other classes than the recipe's.
    """
    if data.sampling is None:
        return None
    if dataset.classes is None or dataset.sequences is not None or dataset.train_targets.ndim > 1:
        what = "of labels an example may have several" if dataset.labels else "these have not one class an example"
        raise DataError(
            f"{_KEY}: draws by class, and data.name = '{shown(data.name)}' does not tell: {what}. Leave it out."
        )
    return ClassSampler(dataset.train_targets, weights_of(data.sampling, dataset, _KEY), seed)
