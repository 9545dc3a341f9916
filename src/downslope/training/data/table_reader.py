"""Further rows of a table, to predict or to rate: read as the run read its own, compared where they hold the target.

The reader is made of what was learned from the run's own table, or of what the run keeps of that; the two are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.data.checking import split
from downslope.training.data.dataset import Examples
from downslope.training.data.kept import KeptTable, plain_options
from downslope.training.data.table_columns import Columns, TableFile, Unnamed, Wanted, shorten
from downslope.training.data.table_encoding import Encoding
from downslope.training.data.table_files import open_table
from downslope.training.data.table_options import Options
from downslope.training.data.table_problems import KEY, to_toml
from downslope.training.data.table_target import Target, want_target
from downslope.training.options import read_options

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe

_WITHOUT = " To predict without comparing, take the column out."


class TableReader:
    """Reads rows to predict, with the columns of the run's own table.

    Args:
        encoding: How columns become inputs.
        target: What the target is.
        options: The recipe's.
        columns: The columns of the run's own table, in order.
        named: Whether that table names them itself.
    """

    def __init__(
        self, encoding: Encoding, target: Target, options: Options, columns: Sequence[str], *, named: bool
    ) -> None:
        """Take what is needed of them."""
        self._encoding = encoding
        self._target = target
        self._options = options
        self._columns = tuple(columns)
        self._named = named

    def kept(self) -> KeptTable:
        """Return what a run keeps, so that `restore_table_reader` gives the same reader."""
        encoding = self._encoding
        return KeptTable(
            options=plain_options(self._options),
            columns=self._columns,
            named=self._named,
            features=encoding.features,
            centres=dict(encoding.centres),
            words=dict(encoding.words),
            filling={name: tuple(values.tolist()) for name, values in encoding.filling.items()},
        )

    def __call__(self, given: str | Path, *, identify: str | None = None, rated: bool = False) -> Examples:
        """Return inputs, and the targets of those rows that have one.

        A row with a word that the run has not seen, or a missing cell that is not to be filled, is refused by itself.

        Args:
            given: A table; its columns are known by their names, and may be more than the features.
            identify: A column whose cells mark the rows, or None.
            rated: Whether every row must have a target.

        Raises:
            DataError: If it cannot be read, lacks features, or has a target that the run does not know.
        """
        return self._read(given, "--input", identify=identify, rated=rated)

    def held_out(self, recipe: Recipe) -> Examples:
        """Return the rows that the recipe's own table holds out now; a class that is not known is no target."""
        if self._options.held_out_path is not None:
            return self._read(self._options.held_out_path, "data.options.held_out_path", any_class=True)
        found = self._read(self._options.path, "data.options.path", any_class=True)
        usable = torch.tensor(found.places())
        return found.take(split(recipe, usable, usable)["held_out_inputs"].tolist())

    def _read(
        self,
        given: str | Path,
        origin: str,
        *,
        identify: str | None = None,
        rated: bool = False,
        any_class: bool = False,
    ) -> Examples:
        unnamed = Unnamed(self._columns, self._target.column)
        file = open_table(given, self._options.form, origin, unnamed=unnamed, fixed=True)
        features = self._encoding.features
        wanted = want_features(features, self._options)
        file.check_names(wanted, "the run learned from it")
        column = self._target.column
        if rated and column not in file.places:
            raise DataError(
                f"{shown(file.path)}: has no column `{shown(column)}`, the target, so that there is nothing to rate by."
            )
        if column in file.places:
            wanted[column] = want_target(bool(self._target.names), "" if rated else _WITHOUT)
        if identify is not None:
            if not identify:
                file.find_nameless()
            file.check_names((identify,), "--id names it")
        rows = file.read(wanted)
        ids = () if identify is None else _texts(file.read({identify: Wanted("word")}), identify)
        inputs, usable, refused = self._encoding.encode_known(rows)
        found = Examples(
            inputs=torch.from_numpy(inputs),
            total=len(rows.lines),
            rows=torch.from_numpy(usable),
            refused=refused,
            notes=self._notes_on(file),
            ids=ids,
        )
        if column not in file.places:
            return found
        return self._with_targets(found, rows, rated=rated, any_class=any_class)

    def _with_targets(self, found: Examples, rows: Columns, *, rated: bool, any_class: bool) -> Examples:
        column = self._target.column
        usable = np.array(found.places(), dtype=np.int64)
        missing = rows.is_missing(column)
        if rated and missing.any():
            raise DataError(
                f"{rows.place(int(np.argmax(missing)), column)}: the cell is empty, and every row is rated."
            )
        if any_class and self._target.names:
            missing |= np.array([word not in self._target.names for word in rows.words[column]], dtype=np.bool_)
        known = np.flatnonzero(~missing[usable])
        hint = "" if rated else _WITHOUT
        targets = self._target.encode(rows.take(usable[known]), "the run has learned no class {}", hint)
        bad = np.flatnonzero(~np.isfinite(targets))
        if len(bad):
            place = rows.place(int(usable[known][bad[0]]), column)
            raise DataError(f"{place}: is too large for numbers of 32 bits.{hint}")
        return Examples(
            inputs=found.inputs,
            total=found.total,
            rows=found.rows,
            refused=found.refused,
            notes=found.notes,
            ids=found.ids,
            targets=torch.from_numpy(targets),
            known=torch.from_numpy(known),
            target_name=column,
        )

    def _notes_on(self, file: TableFile) -> tuple[str, ...]:
        """Return notes on columns that are taken in the run's order, or that the run does not know."""
        if not file.is_named:
            if not self._named:
                return ()
            return (f"{shown(file.path)} names no columns; they are taken in the run's order: {shorten(file.names)}",)
        known = {*self._columns, self._target.column, ""}
        extra = [name for name in file.names if name not in known]
        return (f"columns that the run does not know are left out: {shorten(extra)}",) if extra else ()


def restore_table_reader(
    kept: KeptTable, class_names: tuple[str, ...], target_scale: tuple[float, float] | None
) -> TableReader:
    """Return the reader that a run kept.

    Args:
        kept: What `TableReader.kept` returned.
        class_names: The names of classes; empty where the target is a number.
        target_scale: Mean and deviation that the target was standardised by, or None.
    """
    options: Options = read_options(Options, kept.options, "data")
    encoding = Encoding(
        features=kept.features,
        centres=kept.centres,
        words=kept.words,
        filling={name: np.array(values, dtype=np.float64) for name, values in kept.filling.items()},
    )
    target = Target(column=options.target, names=class_names, scale=target_scale or (0.0, 1.0))
    return TableReader(encoding, target, options, kept.columns, named=kept.named)


def _texts(columns: Columns, name: str) -> list[str]:
    return [word or "" for word in columns.words[name]]


def want_features(features: Iterable[str], options: Options) -> dict[str, Wanted]:
    """Return what the cells of each feature are."""
    categories = set(options.categories)
    return {name: Wanted("word") if name in categories else Wanted("number", _advise(name)) for name in features}


def _advise(name: str) -> str:
    quoted = to_toml([name])
    return f" If its words are to count, set {KEY}.categories = {quoted}; to leave it out, {KEY}.ignore = {quoted}."
