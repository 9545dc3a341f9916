"""Further rows of a table, to predict: read as the run read its own, and compared where they hold the target.

What lives here: the reader, and which columns rows must have. What does not: predicting (`training/predict.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from downslope.core.errors import DataError, did_you_mean, one_of
from downslope.training.data.dataset import Examples
from downslope.training.data.table_columns import TableFile, Unnamed, Wanted
from downslope.training.data.table_encoding import Encoding
from downslope.training.data.table_files import open_table
from downslope.training.data.table_options import Options
from downslope.training.data.table_target import Target, want_target

_WITHOUT = " To predict without comparing, take the column out."


class TableReader:
    """Reads rows to predict, with the columns of the run's own table.

    Args:
        encoding: How columns become inputs.
        target: What the target is.
        options: The recipe's.
        own: The run's own table.
    """

    def __init__(self, encoding: Encoding, target: Target, options: Options, own: TableFile) -> None:
        """Take what is needed of them."""
        self._encoding = encoding
        self._target = target
        self._options = options
        self._unnamed = None if own.is_named else Unnamed(own.names, absent=options.target)

    def __call__(self, given: str | Path) -> Examples:
        """Return inputs, and the targets of those rows that have one.

        Args:
            given: A table; its columns may be more than the features.

        Raises:
            DataError: If it cannot be read, lacks a feature, has a missing cell that is not to be filled, or a target
                that the run does not know.
        """
        file = open_table(given, self._options.form, "--input", unnamed=self._unnamed, fixed=True)
        wanted = want_features(self._encoding.features, self._options)
        check_names(file, wanted, "the run learned from it")
        column = self._target.column
        if column in file.names:
            wanted[column] = want_target(bool(self._target.names), _WITHOUT)
        rows = file.read(wanted)
        inputs = torch.from_numpy(self._encoding.encode(rows).astype(np.float32))
        if column not in file.names:
            return Examples(inputs=inputs)
        known = np.flatnonzero(~rows.is_missing(column))
        targets = self._target.encode(rows.take(known), "the run has learned no class {}", _WITHOUT)
        return Examples(
            inputs=inputs, targets=torch.from_numpy(targets), known=torch.from_numpy(known), target_name=column
        )


def check_names(file: TableFile, names: Iterable[str], why: str) -> None:
    """Raise unless a table has columns of these names.

    Args:
        file: The table.
        names: The names.
        why: Continues a sentence: "but data.options.target names it".

    Raises:
        DataError: If it does not, with what it has.
    """
    for name in names:
        if name not in file.names:
            raise DataError(
                f"{file.path}: has no column `{name}`, but {why}.{did_you_mean(name, file.names)} "
                f"It has {one_of(file.names).replace(' or ', ' and ')}.{file.hint}"
            )


def want_features(features: Iterable[str], options: Options) -> dict[str, Wanted]:
    """Return what the cells of each feature are."""
    return {
        name: Wanted("word")
        if name in options.categories
        else Wanted(
            "number",
            f' If its words are to count, set data.options.categories = ["{name}"]; to leave it out, '
            f'data.options.ignore = ["{name}"].',
        )
        for name in features
    }
