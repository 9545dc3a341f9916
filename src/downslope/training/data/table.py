"""A table of a person's own, by path: which column is the target, and what the others become.

What lives here: the split, and reading further rows for predictions. What does not: the options (`table_options.py`),
files (`table_files.py`) and the numbers that a model sees (`table_encoding.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from downslope.core.errors import DataError, did_you_mean, one_of
from downslope.training.data.checking import at, check, split
from downslope.training.data.dataset import Dataset
from downslope.training.data.labels import check_classes, index_labels, order_classes
from downslope.training.data.table_columns import Columns, NumberArray, TableFile, Unnamed, Wanted
from downslope.training.data.table_encoding import Encoding, learn_encoding
from downslope.training.data.table_files import open_table
from downslope.training.data.table_options import Options
from downslope.training.options import read_options

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe

_FEW = 10
"""Classes that are never too many. Above it, whole numbers of which there are fewer than two examples each on average
cannot be classes: to learn a class and to tell whether it was learned takes two."""

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
    is_class = _target_is_class(recipe, options)
    file = open_table(options.path, options.form, "data.options.path")
    features = _choose_features(file, options)
    wanted = {**_wanted(features, options), options.target: _wanted_target(is_class)}
    columns = _without_missing(file.read(wanted), wanted, options)
    if options.held_out_path is None:
        rows = torch.arange(len(columns.lines))
        parts = split(recipe, rows, rows)
        train, held_out = parts["train_inputs"].numpy(), columns.take(parts["held_out_inputs"].numpy())
    else:
        train = np.arange(len(columns.lines))
        like = None if file.is_named else Unnamed(file.names)
        other = open_table(options.held_out_path, options.form, "data.options.held_out_path", unnamed=like)
        _check_names(other, wanted, "its columns must be those of data.options.path")
        held_out = _without_missing(other.read(wanted), wanted, options)
    encoding = learn_encoding(columns, train, features, standardize=options.standardize, fill=options.missing == "mean")
    learned = columns.take(train)
    table: dict[str, Any] = {
        "train_inputs": encoding.encode(learned).astype(np.float32),
        "held_out_inputs": encoding.encode(held_out).astype(np.float32),
    }
    reader = TableReader(encoding, options, file)
    if is_class:
        names, hint = _class_names(columns, options)
        for part, rows in (("train", learned), ("held_out", held_out)):
            table[f"{part}_targets"] = index_labels(
                _labels(rows, options.target), names, lambda row, rows=rows: rows.place(row, options.target)
            )
        check_classes(names, table["train_targets"], at(recipe, f"column `{options.target}`"), hint)
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
        own: The run's own table.
    """

    def __init__(self, encoding: Encoding, options: Options, own: TableFile) -> None:
        """Take what is needed of them."""
        self._encoding = encoding
        self._options = options
        self._unnamed = None if own.is_named else Unnamed(own.names, absent=options.target)

    def __call__(self, given: str | Path) -> tuple[torch.Tensor, Sequence[str]]:
        """Return inputs, and no names: the rows are counted.

        Args:
            given: A table; its columns may be more than the features, such as the target.

        Raises:
            DataError: If it cannot be read, lacks a feature, or has a missing cell that is not to be filled.
        """
        file = open_table(given, self._options.form, "--input", unnamed=self._unnamed, fixed=True)
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
                f"It has {one_of(file.names).replace(' or ', ' and ')}.{file.hint}"
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


def _class_names(columns: Columns, options: Options) -> tuple[tuple[str, ...], str]:
    """Return the classes, and what to do if they are none: a hint where they may be numbers, or nothing.

    Raises:
        DataError: If they are numbers: fractions, or whole ones of which most examples have one of their own.
    """
    target = options.target
    labels = _labels(columns, target)
    names = order_classes(labels)
    try:
        fractions = [name for name in names if not float(name).is_integer()]
    except (ValueError, OverflowError):
        return names, ""
    if fractions:
        row = labels.index(fractions[0])
        raise DataError(
            f"{columns.place(row, target)}: {fractions[0]} is a fraction, which names no class. "
            'To fit numbers, use train.loss = "mse".'
        )
    if options.kind is not None:
        return names, ""
    if len(names) > _FEW and 2 * len(names) > len(labels):
        raise DataError(
            f"{columns.file}, column `{target}`: has {len(names):,} different whole numbers in {len(labels):,} rows, "
            "too many to be classes, for which train.loss = 'cross_entropy' takes them. To fit the number itself, use "
            'train.loss = "mse"; if they do name classes, say so: data.options.kind = "classes".'
        )
    return names, ' If it is a number to fit, not the name of a class, use train.loss = "mse".'


def _target_scale(learned: Columns, options: Options) -> tuple[float, float]:
    values: NumberArray = learned.numbers[options.target]
    if values.min() == values.max():
        raise DataError(
            f"{learned.file}, column `{options.target}`: is {values[0]:g} in every row to learn from; there is nothing "
            "to learn."
        )
    return (float(values.mean()), float(values.std())) if options.standardize_target else (0.0, 1.0)
