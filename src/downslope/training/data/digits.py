"""The digits of scikit-learn: 1,797 scanned handwritten digits of 8x8 pixels, ten classes.

References:
    E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository 1998.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from downslope.core.errors import MissingDependencyError
from downslope.training.data.checking import check, split
from downslope.training.data.dataset import Dataset
from downslope.training.options import refuse_options

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe


def load(recipe: Recipe) -> Dataset:
    """Return the digits, pixels scaled to [0, 1], split by `data.held_out`.

    Raises:
        MissingDependencyError: If scikit-learn, which carries them, is not installed.
        DataError: If options are given.
    """
    refuse_options("digits", recipe.data.options, "data")
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingDependencyError(
            'the data set `digits` comes with scikit-learn, which is not installed. Run: pip install "downslope[train]"'
        ) from None
    digits: Any = load_digits()
    inputs = torch.from_numpy((digits.data / 16).astype(np.float32))
    targets = torch.from_numpy(digits.target.astype(np.int64))
    return check(recipe, {**split(recipe, inputs, targets), "classes": 10}, image_shape=(8, 8))
