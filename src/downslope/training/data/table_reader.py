"""Further rows of a table, to predict or to rate: read with what the run learned of its own table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.core.tables import to_table
from downslope.recipe.schema import Data
from downslope.training.data.checking import no_test, split
from downslope.training.data.dataset import Examples, Part
from downslope.training.data.loaders import in_order
from downslope.training.data.table_columns import Columns, TableFile, Unnamed, Wanted, rows_at_once, shorten
from downslope.training.data.table_encoding import Encoding, want_features
from downslope.training.data.table_files import open_table
from downslope.training.data.table_options import Options
from downslope.training.data.table_problems import KEY, TableError, bounded
from downslope.training.data.table_split import RowParts
from downslope.training.data.table_target import Target, want_targets
from downslope.training.user_code import read_options

_WITHOUT = " To predict without comparing, take the column out."


class KeptTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run keeps of how the rows of a table become inputs, in `inputs.json`.

    Attributes:
        options: The recipe's `data.options`, every default written out: among them how text is written and the target.
        columns: The columns of the run's own table, in order.
        named: Whether that table names them itself.
        features: The columns that are learned from, in order.
        centres: Column of numbers -> mean and deviation.
        words: Column of words -> its words, in order.
        filling: Column -> what stands for a missing cell; empty if none may be missing.
    """

    options: dict[str, Any]
    columns: tuple[str, ...]
    named: bool
    features: tuple[str, ...]
    centres: dict[str, tuple[float, float]]
    words: dict[str, tuple[str, ...]]
    filling: dict[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        """Check that every column has what it needs."""
        for name in self.features:
            if (name in self.centres) == (name in self.words):
                raise ValueError(f"column {shown(name)!r} must have either centres or words")
            width = 1 if name in self.centres else len(self.words[name])
            if name in self.filling and len(self.filling[name]) != width:
                raise ValueError(f"the filling of column {shown(name)!r} must be {width} number(s)")
        if any(not deviation > 0 for _, deviation in self.centres.values()):
            raise ValueError("a deviation must be above 0")

    def reader(self, class_names: tuple[str, ...], target_scale: tuple[float, float] | None) -> TableReader:
        """Return the reader whose `kept` this is; class names are empty, and there is a scale, for a number."""
        options: Options = read_options(Options, self.options, "data")
        filling = {name: np.array(values, dtype=np.float64) for name, values in self.filling.items()}
        encoding = Encoding(features=self.features, centres=self.centres, words=self.words, filling=filling)
        target = Target(columns=options.targets, names=class_names, scale=target_scale or (0.0, 1.0))
        return TableReader(encoding, target, options, self.columns, named=self.named)


class TableReader:
    """Reads rows to predict, with the columns of the run's own table, which may name them itself (`named`)."""

    def __init__(
        self, encoding: Encoding, target: Target, options: Options, columns: Sequence[str], *, named: bool
    ) -> None:
        self._encoding = encoding
        self._target = target
        self._options = options
        self._columns = tuple(columns)
        self._named = named

    def kept(self) -> KeptTable:
        """Return what a run keeps, so that the same reader can be had without the data."""
        encoding = self._encoding
        return KeptTable(
            options=to_table(self._options),
            columns=self._columns,
            named=self._named,
            features=encoding.features,
            centres=dict(encoding.centres),
            words=dict(encoding.words),
            filling={name: tuple(values.tolist()) for name, values in encoding.filling.items()},
        )

    def stream(
        self, given: str | Path, *, identify: str | None = None, rated: bool = False, loaders: int = 0
    ) -> Iterator[Examples]:
        """Yield inputs, and the targets of those rows that have one, part by part.

        A row with a word that the run has not seen, or a missing cell that is not to be filled, is refused by itself.
        A loader makes inputs of the cells of the parts to come.

        Raises:
            DataError: If it cannot be read, lacks features, or has a target that the run does not know.
        """
        file, wanted = self._open(given, "--input", rated=rated)
        identify = self._mark(file, identify)
        notes, size = self._notes_on(file, identify), rows_at_once(len(wanted))

        def parts() -> Iterator[tuple[Columns, list[str]]]:
            rows = file.chunks(wanted, size)
            if identify is None:
                yield from ((columns, list[str]()) for columns in rows)
                return
            marks = file.chunks({identify: Wanted("word")}, size)
            for columns, marked in zip(rows, marks, strict=True):
                yield columns, [word or "" for word in marked.words[identify]]

        def encode(part: tuple[Columns, list[str]]) -> Examples:
            examples = self._encode(part[0], rated=rated)
            return replace(examples, notes=notes, ids=part[1], id_name="" if identify is None else identify)

        empty = True
        try:
            for examples in in_order(parts(), encode, loaders):
                empty = False
                yield examples
        except TableError as error:
            if not error.plain:
                raise
            only_compared = all(line.endswith(_WITHOUT) for line in error.plain)
            advice = "" if only_compared else " The run has learned from numbers there: mend the file."
            raise DataError("\n".join(bounded(error.plain)) + advice) from None
        if empty:
            raise DataError(f"{shown(file.path)}: holds no rows.")

    def _mark(self, file: TableFile, identify: str | None) -> str | None:
        """Return the column that marks the rows of a file: what is asked for, or the run's own where it has that."""
        mark = self._options.id if identify is None else identify
        if mark == "":
            file.find_nameless()
        if identify is not None:
            file.check_names((identify,), "--id names it")
        return mark if mark in file.places else None

    def part(self, part: Part, data: Data, seed: int) -> Examples:
        """Return the rows of a part of the recipe's own tables now; a class that is not known is no target."""
        if part == "test" and self._options.split_column is None:
            if self._options.test_path is None:
                raise no_test(
                    "table", f"{KEY}.test_path names a table of its own, {KEY}.split_column a column that tells"
                )
            return self._read(self._options.test_path, f"{KEY}.test_path")
        if part == "held_out" and self._options.held_out_path is not None:
            return self._read(self._options.held_out_path, f"{KEY}.held_out_path")
        found = self._read(self._options.path, f"{KEY}.path")
        if self._options.split_column is not None:
            return self._of_part(found, part, data, seed)
        if self._options.held_out_path is not None:
            return found
        usable = torch.tensor(found.places())
        return found.take(split(data, seed, usable, usable)[f"{part}_inputs"].tolist())

    def _of_part(self, found: Examples, part: Part, data: Data, seed: int) -> Examples:
        """Return those examples of the run's own table whose row says that they belong to a part."""
        name = self._options.split_column or ""
        file = open_table(self._options.path, self._options, f"{KEY}.path", unnamed=Unnamed(self._columns), fixed=True)
        file.check_names((name,), f"{KEY}.split_column names it")
        rows = file.read({name: Wanted("word")})
        parts = RowParts(rows.words[name], lambda row: rows.place(row, name), rows.file, self._options)
        usable = np.array(found.places(), dtype=np.int64)
        chosen, notes = parts.asked_for(part, data, seed, usable)
        return replace(found.take(chosen.tolist()), notes=(*found.notes, *notes))

    def _open(self, given: str | Path, origin: str, *, rated: bool) -> tuple[TableFile, dict[str, Wanted]]:
        """Return a table, and which columns of it are wanted: features, and the targets where it has them."""
        columns = self._target.columns
        file = open_table(given, self._options, origin, unnamed=Unnamed(self._columns, columns), fixed=True)
        wanted = want_features(self._encoding.features, self._options)
        file.check_names(wanted, "the run learned from it")
        absent = [name for name in columns if name not in file.places]
        if absent and (rated or len(absent) < len(columns)):
            some = "so that there is nothing to rate by" if rated else "and has others of the targets. Give all or none"
            raise DataError(f"{shown(file.path)}: has no column `{shown(absent[0])}`, the target, {some}.")
        if not absent:
            wanted |= want_targets(columns, is_class=bool(self._target.names), hint="" if rated else _WITHOUT)
        return file, wanted

    def _read(self, given: str | Path, origin: str) -> Examples:
        """Return the rows of a table in memory; those whose class is not known have no target."""
        file, wanted = self._open(given, origin, rated=False)
        rows = file.read(wanted)
        mark = self._mark(file, None)
        found = replace(self._encode(rows, any_class=True), notes=self._notes_on(file, mark))
        if mark is None:
            return found
        ids = [word or "" for word in file.read({mark: Wanted("word")}).words[mark]]
        return replace(found, ids=ids, id_name=mark)

    def _encode(self, rows: Columns, *, rated: bool = False, any_class: bool = False) -> Examples:
        """Return the examples that rows are."""
        inputs, usable, refused = self._encoding.encode_known(rows)
        found = Examples(
            inputs=torch.from_numpy(inputs),
            total=len(rows.lines),
            rows=torch.from_numpy(usable),
            refused=refused,
        )
        if any(name not in rows.numbers and name not in rows.words for name in self._target.columns):
            return found
        return self._with_targets(found, rows, rated=rated, any_class=any_class)

    def _with_targets(self, found: Examples, rows: Columns, *, rated: bool, any_class: bool) -> Examples:
        column = self._target.column
        usable = np.array(found.places(), dtype=np.int64)
        of_each = {name: rows.is_missing(name) for name in self._target.columns}
        missing = np.logical_or.reduce(list(of_each.values()))
        if rated and missing.any():
            which = next(name for name, mask in of_each.items() if mask.any())
            raise DataError(
                f"{rows.place(int(np.argmax(of_each[which])), which)}: the cell is empty, and every row is rated."
            )
        if any_class and self._target.names:
            missing |= np.array([word not in self._target.names for word in rows.words[column]], dtype=np.bool_)
        known = np.flatnonzero(~missing[usable])
        hint = "" if rated else _WITHOUT
        targets = self._target.encode(rows.take(usable[known]), "the run has learned no class {}", hint)
        bad = np.flatnonzero(~np.isfinite(targets) if targets.ndim == 1 else [])  # labels are 0 or 1
        if len(bad):
            place = rows.place(int(usable[known][bad[0]]), column)
            raise DataError(f"{place}: is too large for numbers of 32 bits.{hint}")
        return replace(
            found,
            targets=torch.from_numpy(targets),
            known=torch.from_numpy(known),
            target_name=", ".join(self._target.columns),
        )

    def _notes_on(self, file: TableFile, mark: str | None) -> tuple[str, ...]:
        """Return notes on columns that are taken in the run's order, or that the run does not know."""
        if not file.is_named:
            if not self._named:
                return ()
            return (f"{shown(file.path)} names no columns; they are taken in the run's order: {shorten(file.names)}",)
        known = {*self._columns, *self._target.columns, mark, ""}
        extra = [name for name in file.names if name not in known]
        return (f"columns that the run does not know are left out: {shorten(extra)}",) if extra else ()
