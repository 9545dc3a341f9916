"""A table of a person's own, by path: which column is the target, and what the others become.

What lives here: the options, the split, and reading further rows for predictions. What does not: files
(`table_files.py`) and the numbers that a model sees (`table_encoding.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from downslope.core.errors import DataError, did_you_mean, one_of
from downslope.training.data.checking import at, check, split
from downslope.training.data.dataset import Dataset
from downslope.training.data.labels import check_classes, index_labels, order_classes
from downslope.training.data.table_columns import Columns, NumberArray, TableFile, Wanted
from downslope.training.data.table_encoding import Encoding, learn_encoding
from downslope.training.data.table_files import open_table
from downslope.training.options import read_options

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe

_MISSING = (
    ' Fill it in, or set data.options.missing = "drop" to leave such rows out, or "mean" to put the mean of the column '
    "in its place."
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a table is read as.

    Attributes:
        path: The file: .csv, .tsv, .parquet, .npy or .npz; relative to the current directory.
        target: The column to learn.
        features: The columns to learn from; None for all others.
        ignore: Columns to leave out.
        categories: Columns whose cells are words; each word becomes an input of its own, 0 or 1.
        held_out_path: A table with the examples to hold out; None to split the one by `data.held_out`.
        standardize: Whether numbers get mean 0 and standard deviation 1, those of the examples to learn from.
        standardize_target: The same for a target that is a number; predictions are given in its own unit.
        missing: What a missing cell is: an "error", a row to "drop", or one to fill with the "mean".
        kind: Whether the target names "classes" or is a "number"; None to go by `train.loss`.
        delimiter: What separates the cells of a CSV file; None for a comma, or a tab in a .tsv file.
    """

    path: str
    target: str
    features: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    held_out_path: str | None = None
    standardize: bool = True
    standardize_target: bool = False
    missing: Literal["error", "drop", "mean"] = "error"
    kind: Literal["classes", "number"] | None = None
    delimiter: str | None = None

    def __post_init__(self) -> None:
        """Check what needs no file."""
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise DataError(f'`delimiter` must be one character, such as ";"; got {self.delimiter!r}.')
        if self.features is not None and self.ignore:
            raise DataError("`ignore` says what to leave out of all columns; with `features`, leave it out there.")
        if self.features is not None and not self.features:
            raise DataError("`features` must name a column at least; got none.")
        for name in ("features", "ignore", "categories"):
            listed = getattr(self, name) or ()
            twice = [column for place, column in enumerate(listed) if column in listed[:place]]
            if twice:
                raise DataError(f"`{name}` names {twice[0]!r} twice.")
            if self.target in listed:
                raise DataError(f"`{name}` names the target, {self.target!r}.")


def load(recipe: Recipe) -> Dataset:
    """Return the examples of a table.

    Raises:
        RecipeError: If an option is unknown, missing or outside its range.
        DataError: If the table cannot be read or does not hold what the options say; the message says where.
        MissingDependencyError: If it is a Parquet file and there is no pyarrow.
    """
    options = read_options(Options, recipe.data.options, "data")
    is_class = _target_is_class(recipe, options)
    file = open_table(options.path, options.delimiter, "data.options.path")
    features = _choose_features(file, options)
    wanted = {**_wanted(features, options), options.target: _wanted_target(is_class)}
    columns = _without_missing(file.read(wanted), wanted, options)
    if options.held_out_path is None:
        rows = torch.arange(len(columns.lines))
        parts = split(recipe, rows, rows)
        train, held_out = parts["train_inputs"].numpy(), columns.take(parts["held_out_inputs"].numpy())
    else:
        train = np.arange(len(columns.lines))
        other = open_table(options.held_out_path, options.delimiter, "data.options.held_out_path")
        _check_names(other, wanted, "its columns must be those of data.options.path")
        held_out = _without_missing(other.read(wanted), wanted, options)
    encoding = learn_encoding(columns, train, features, standardize=options.standardize, fill=options.missing == "mean")
    learned = columns.take(train)
    table: dict[str, Any] = {
        "train_inputs": encoding.encode(learned).astype(np.float32),
        "held_out_inputs": encoding.encode(held_out).astype(np.float32),
    }
    reader = TableReader(encoding, options)
    if is_class:
        names = _class_names(columns, options.target)
        for part, rows in (("train", learned), ("held_out", held_out)):
            table[f"{part}_targets"] = index_labels(
                _labels(rows, options.target), names, lambda row, rows=rows: rows.place(row, options.target)
            )
        check_classes(names, table["train_targets"], at(recipe, f"column `{options.target}`"))
        return replace(check(recipe, {**table, "classes": len(names)}), class_names=names, reader=reader)
    mean, deviation = _target_scale(learned, options)
    for part, rows in (("train", learned), ("held_out", held_out)):
        table[f"{part}_targets"] = ((rows.numbers[options.target] - mean) / deviation).astype(np.float32)
    scale = (mean, deviation) if options.standardize_target else None
    return replace(check(recipe, table), reader=reader, target_scale=scale)


class TableReader:
    """Reads rows to predict, with the columns of the run's own table.

    Args:
        encoding: How columns become inputs.
        options: The recipe's.
    """

    def __init__(self, encoding: Encoding, options: Options) -> None:
        """Take both."""
        self._encoding = encoding
        self._options = options

    def __call__(self, given: str | Path) -> tuple[torch.Tensor, Sequence[str]]:
        """Return inputs, and no names: the rows are counted.

        Args:
            given: A table; its columns may be more than the features, such as the target.

        Raises:
            DataError: If it cannot be read, lacks a feature, or has a missing cell that is not to be filled.
        """
        file = open_table(given, self._options.delimiter, "--input")
        wanted = _wanted(self._encoding.features, self._options)
        _check_names(file, wanted, "the run learned from it")
        inputs = self._encoding.encode(file.read(wanted)).astype(np.float32)
        return torch.from_numpy(inputs), ()


def _target_is_class(recipe: Recipe, options: Options) -> bool:
    loss = recipe.train.loss
    by_loss = {"cross_entropy": "classes", "mse": "number"}.get(loss)
    kind = options.kind or by_loss
    if kind is None:
        raise DataError(
            at(
                recipe,
                f"say what the target is, since train.loss = {loss!r} does not: data.options.kind = "
                '"classes" or "number".',
            )
        )
    if by_loss is not None and kind != by_loss:
        raise DataError(at(recipe, f"data.options.kind = {kind!r} does not go with train.loss = {loss!r}."))
    if kind == "classes" and options.standardize_target:
        raise DataError(at(recipe, "data.options.standardize_target is for numbers; this target names classes."))
    return kind == "classes"


def _choose_features(file: TableFile, options: Options) -> tuple[str, ...]:
    for key in ("features", "ignore", "categories"):
        _check_names(file, getattr(options, key) or (), f"data.options.{key} names it")
    _check_names(file, (options.target,), "data.options.target names it")
    features = options.features
    if features is None:
        features = tuple(name for name in file.names if name != options.target and name not in options.ignore)
    if not features:
        raise DataError(f"{file.path}: has no column but the target to learn from.")
    unused = [name for name in options.categories if name not in features]
    if unused:
        raise DataError(f"data.options.categories names `{unused[0]}`, which is not among the columns to learn from.")
    return features


def _check_names(file: TableFile, names: Iterable[str], why: str) -> None:
    for name in names:
        if name not in file.names:
            raise DataError(
                f"{file.path}: has no column `{name}`, but {why}.{did_you_mean(name, file.names)} "
                f"It has {one_of(file.names).replace(' or ', ' and ')}."
            )


def _wanted(features: Iterable[str], options: Options) -> dict[str, Wanted]:
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


def _wanted_target(is_class: bool) -> Wanted:  # noqa: FBT001  # there is nothing else to ask
    if is_class:
        return Wanted("word")
    return Wanted("number", ' If it names classes, use train.loss = "cross_entropy".')


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


def _labels(columns: Columns, target: str) -> list[str]:
    return [label for label in columns.words[target] if label is not None]


def _class_names(columns: Columns, target: str) -> tuple[str, ...]:
    labels = _labels(columns, target)
    names = order_classes(labels)
    try:
        fractions = [name for name in names if not float(name).is_integer()]
    except (ValueError, OverflowError):
        return names
    if fractions:
        row = labels.index(fractions[0])
        raise DataError(
            f"{columns.place(row, target)}: {fractions[0]} is a fraction, which names no class. "
            'To fit numbers, use train.loss = "mse".'
        )
    return names


def _target_scale(learned: Columns, options: Options) -> tuple[float, float]:
    values: NumberArray = learned.numbers[options.target]
    if values.min() == values.max():
        raise DataError(
            f"{learned.file}, column `{options.target}`: is {values[0]:g} in every row to learn from; there is nothing "
            "to learn."
        )
    return (float(values.mean()), float(values.std())) if options.standardize_target else (0.0, 1.0)
