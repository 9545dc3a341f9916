"""A table of a person's own, by path: which column is the target, and what the others become.

What lives here: the order of things, which columns and rows are used, and the split. What does not: the options
(`table_options.py`), files (`table_files.py`), the numbers that a model sees (`table_encoding.py`), the target
(`table_target.py`) and further rows (`table_reader.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from downslope.core.errors import DataError
from downslope.training.data.checking import at, check, split
from downslope.training.data.dataset import Dataset
from downslope.training.data.labels import check_classes
from downslope.training.data.table_columns import Columns, TableFile, Unnamed
from downslope.training.data.table_encoding import learn_encoding
from downslope.training.data.table_files import open_table
from downslope.training.data.table_options import Options
from downslope.training.data.table_reader import TableReader, check_names, want_features
from downslope.training.data.table_target import learn_target, target_is_class, want_target
from downslope.training.options import read_options

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe

_MISSING = (
    ' Fill it in, or set data.options.missing = "drop" to leave such rows out, or "mean" to put the mean of the column '
    "in its place."
)


def load(recipe: Recipe) -> Dataset:
    """Return the examples of a table.

    Raises:
        RecipeError: If an option is unknown, missing or outside its range.
        DataError: If the table cannot be read or does not hold what the options say; the message says where.
        MissingDependencyError: If it is a Parquet file and there is no pyarrow.
    """
    options = read_options(Options, recipe.data.options, "data")
    is_class = target_is_class(recipe, options)
    file = open_table(options.path, options.form, "data.options.path")
    features = _choose_features(file, options)
    wanted = {**want_features(features, options), options.target: want_target(is_class)}
    columns = _without_missing(file.read(wanted), wanted, options)
    if options.held_out_path is None:
        rows = torch.arange(len(columns.lines))
        parts = split(recipe, rows, rows)
        train, held_out = parts["train_inputs"].numpy(), columns.take(parts["held_out_inputs"].numpy())
    else:
        train = np.arange(len(columns.lines))
        like = None if file.is_named else Unnamed(file.names)
        other = open_table(options.held_out_path, options.form, "data.options.held_out_path", unnamed=like)
        check_names(other, wanted, "its columns must be those of data.options.path")
        held_out = _without_missing(other.read(wanted), wanted, options)
    encoding = learn_encoding(columns, train, features, standardize=options.standardize, fill=options.missing == "mean")
    learned = columns.take(train)
    target, hint = learn_target(columns, learned, options, is_class=is_class)
    table: dict[str, Any] = {
        "train_inputs": encoding.encode(learned).astype(np.float32),
        "train_targets": target.encode(learned),
        "held_out_inputs": encoding.encode(held_out).astype(np.float32),
        "held_out_targets": target.encode(held_out),
    }
    if is_class:
        check_classes(target.names, table["train_targets"], at(recipe, f"column `{options.target}`"), hint)
        table["classes"] = len(target.names)
    return replace(
        check(recipe, table),
        class_names=target.names,
        target_scale=target.scale if options.standardize_target else None,
        reader=TableReader(encoding, target, options, file.names, named=file.is_named),
    )


def _choose_features(file: TableFile, options: Options) -> tuple[str, ...]:
    for key in ("features", "ignore", "categories"):
        check_names(file, getattr(options, key) or (), f"data.options.{key} names it")
    check_names(file, (options.target,), "data.options.target names it")
    features = options.features
    if features is None:
        features = tuple(name for name in file.names if name != options.target and name not in options.ignore)
    if not features:
        raise DataError(f"{file.path}: has no column but the target to learn from.")
    unused = [name for name in options.categories if name not in features]
    if unused:
        raise DataError(f"data.options.categories names `{unused[0]}`, which is not among the columns to learn from.")
    return features


def _without_missing(columns: Columns, wanted: Iterable[str], options: Options) -> Columns:
    """Return the rows that may be used.

    Raises:
        DataError: If a missing cell is an error, or none is left.
    """
    incomplete = np.zeros(len(columns.lines), dtype=np.bool_)
    for name in wanted:
        missing = columns.is_missing(name)
        if missing.any() and options.missing == "error":
            raise DataError(f"{columns.place(int(np.argmax(missing)), name)}: the cell is empty.{_MISSING}")
        if missing.any() and options.missing == "mean" and name == options.target:
            raise DataError(
                f"{columns.place(int(np.argmax(missing)), name)}: the cell is empty, and a target cannot be filled in."
            )
        incomplete |= missing
    if options.missing != "drop" or not incomplete.any():
        return columns
    if incomplete.all():
        raise DataError(
            f'{columns.file}: every row has a missing cell, so that data.options.missing = "drop" keeps none.'
        )
    return columns.take(np.flatnonzero(~incomplete))
