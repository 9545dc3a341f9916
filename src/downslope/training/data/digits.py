"""The digits of scikit-learn: 1,797 scanned handwritten digits of 8x8 pixels, ten classes.

References:
    E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository 1998.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from downslope.core.errors import MissingDependencyError
from downslope.training.data.checking import check, split, split_marks
from downslope.training.data.dataset import Dataset
from downslope.training.user_code import refuse_options

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe


def load(recipe: Recipe) -> Dataset:
    """Return the digits, pixels scaled to [0, 1], split by `data.held_out`."""
    refuse_options("digits", recipe.data.options, "data")
    pixels, labels = _read()
    inputs = torch.from_numpy((pixels / 16).astype(np.float32))
    targets = torch.from_numpy(labels.astype(np.int64))
    table = {**split(recipe.data, recipe.seed, inputs, targets), "classes": 10}
    marks = split_marks(recipe.data, recipe.seed, len(inputs))
    return replace(check(recipe.data.name, recipe.train.loss, table, image_shape=(8, 8)), marks=marks)


def _read() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return pixels and labels from scikit-learn's file, without loading scikit-learn and SciPy for a second."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            'the data set `digits` comes with scikit-learn, which is not installed. Run: pip install "downslope[train]"'
        )
    file = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():  # another version may keep it elsewhere
        from sklearn.datasets import load_digits

        digits: Any = load_digits()
        return digits.data, digits.target
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1], table[:, -1]
