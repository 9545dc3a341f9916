"""MNIST-1D: signals of 40 numbers, ten classes, drawn by the generator of the `mnist1d` package.

The generator is called on this machine with the arguments of the published set. The package's own way to that set
downloads a pickle; the generator gives the same numbers from the same seed.

References:
    S. Greydanus, D. Kobak, "Scaling down deep learning with MNIST-1D", ICML 2024, arXiv:2011.14439.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from downslope.core.errors import DataError, MissingDependencyError
from downslope.training.data.checking import bad_data, check
from downslope.training.data.dataset import Dataset
from downslope.training.user_code import read_options

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may differ from the published set, in the generator's own words.

    Attributes:
        num_samples: Examples in all, >= 50; four fifths of them to learn from.
        final_seq_length: Numbers in an example, >= 2.
        shuffle_seq: Whether to permute the places of every example alike, so that neighbours mean nothing.
        seed: Seed of the generator, >= 0; not the recipe's, so that other seeds train on the same data.
    """

    num_samples: int = 5000
    final_seq_length: int = 40
    shuffle_seq: bool = False
    seed: int = 42

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, low in (("num_samples", 50), ("final_seq_length", 2), ("seed", 0)):
            if (value := getattr(self, name)) < low:
                raise DataError(f"`{name}` must be >= {low}; got {value}.")


def load(recipe: Recipe) -> Dataset:
    """Return MNIST-1D with its published split: 4,000 examples to learn from and 1,000 held out.

    Raises:
        MissingDependencyError: If the package is not installed.
        RecipeError: If an option is unknown or outside its range.
    """
    options = read_options(Options, recipe.data.options, "data")
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError:
        raise MissingDependencyError(
            "the data set `mnist1d` comes from the generator of the package mnist1d, which is not installed. "
            'Run: pip install "downslope[mnist1d]"'
        ) from None
    arguments: Any = get_dataset_args()
    for name in Options.__dataclass_fields__:
        setattr(arguments, name, getattr(options, name))
    drawn: Any = make_dataset(arguments)  # seeds NumPy's global generator itself
    table = {
        "train_inputs": drawn["x"].astype(np.float32),
        "train_targets": drawn["y"],
        "held_out_inputs": drawn["x_test"].astype(np.float32),
        "held_out_targets": drawn["y_test"],
    }
    if len(table["held_out_targets"]) == 0:
        raise bad_data(recipe.data.name, f"num_samples = {options.num_samples} leaves nothing to hold out.")
    return check(recipe.data.name, recipe.train.loss, {**table, "classes": 10})
