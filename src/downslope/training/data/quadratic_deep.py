"""The noisy quadratic of DeepOBS: the points around which its bowl is centred, drawn from a normal distribution.

The bowl itself is the model of the same name.

References:
    F. Schneider, L. Balles, P. Hennig, "DeepOBS: a deep learning optimizer benchmark suite", ICLR 2019, section 3 and
    appendix: 1,000 points of 100 numbers each, standard deviation 0.6, from NumPy's MT19937 seeded with 42 to learn
    from and with 43 to test on, where the rest of 1,000 points above whole batches of 128 is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from downslope.training.data.checking import check
from downslope.training.data.dataset import Dataset
from downslope.training.user_code import refuse_options

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe

DIMENSIONS = 100
POINTS = 1000
NOISE = 0.6
TESTED = POINTS // 128 * 128
"""How many of the test points the published losses are a mean of."""


def load(recipe: Recipe) -> Dataset:
    """Return the points; their targets are zeros, since there is nothing to predict but the loss itself."""
    refuse_options("quadratic_deep", recipe.data.options, "data")
    train, test = draw_points(42), draw_points(43)[:TESTED]
    return check(
        recipe.data.name,
        recipe.train.loss,
        {
            "train_inputs": train,
            "train_targets": np.zeros(len(train), dtype=np.float32),
            "held_out_inputs": test,
            "held_out_targets": np.zeros(len(test), dtype=np.float32),
        },
    )


def draw_points(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return points of shape (1000, 100)."""
    generator = np.random.RandomState(seed)  # the problem is defined by this generator's numbers
    return generator.normal(0.0, NOISE, (POINTS, DIMENSIONS)).astype(np.float32)
