"""Further rows of a table, to predict: read as the run read its own, and compared where they hold the target."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from downslope.training.data.dataset import Examples
from downslope.training.data.table_columns import TableFile, Unnamed, Wanted
from downslope.training.data.table_encoding import Encoding
from downslope.training.data.table_files import open_table
from downslope.training.data.table_options import Options
from downslope.training.data.table_problems import KEY, to_toml
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
        file.check_names(wanted, "the run learned from it")
        column = self._target.column
        if column in file.places:
            wanted[column] = want_target(bool(self._target.names), _WITHOUT)
        rows = file.read(wanted)
        inputs = torch.from_numpy(self._encoding.encode(rows).astype(np.float32))
        if column not in file.places:
            return Examples(inputs=inputs)
        known = np.flatnonzero(~rows.is_missing(column))
        targets = self._target.encode(rows.take(known), "the run has learned no class {}", _WITHOUT)
        return Examples(
            inputs=inputs, targets=torch.from_numpy(targets), known=torch.from_numpy(known), target_name=column
        )


def want_features(features: Iterable[str], options: Options) -> dict[str, Wanted]:
    """Return what the cells of each feature are."""
    categories = set(options.categories)
    return {name: Wanted("word") if name in categories else Wanted("number", _advise(name)) for name in features}


def _advise(name: str) -> str:
    quoted = to_toml([name])
    return f" If its words are to count, set {KEY}.categories = {quoted}; to leave it out, {KEY}.ignore = {quoted}."
