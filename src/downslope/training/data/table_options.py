"""The options of a table: what a person may say about it in ``[data.options]``, and the checks that need no file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.data.table_files import TextFormat, is_typed


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
        standardize_target: The same for a target that is a number; predictions are given in its own unit. None for
            what goes with `train.loss`: true for "mse".
        missing: What a missing cell is: an "error", a row to "drop", or one to fill with the "mean".
        missing_marks: Words that stand for a missing cell in this table, such as "?".
        kind: Whether the target names "classes" or is a "number"; None to go by `train.loss`.
        delimiter: Of a text file, as in `TextFormat`.
        encoding: The same.
        header: The same.
        names: The same.
        decimal: The same.
        thousands: The same.
        units: The same.
        comment: The same.
    """

    path: str
    target: str
    features: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    held_out_path: str | None = None
    standardize: bool = True
    standardize_target: bool | None = None
    missing: Literal["error", "drop", "mean"] = "error"
    missing_marks: tuple[str, ...] = ()
    kind: Literal["classes", "number"] | None = None
    delimiter: str | None = None
    encoding: str | None = None
    header: bool | None = None
    names: tuple[str, ...] | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Literal[",", ".", " ", "'"] | None = None
    units: tuple[str, ...] | None = None
    comment: str | None = None

    def __post_init__(self) -> None:
        """Check what needs no file."""
        given = self.form.given()
        if given and all(is_typed(path) for path in (self.path, self.held_out_path) if path is not None):
            raise DataError(
                f"`{given[0]}` is for tables that are text, .csv or .tsv; '{shown(self.path)}' says itself what is in "
                f"it. Leave `{given[0]}` out."
            )
        if self.features is not None and self.ignore:
            raise DataError("`ignore` says what to leave out of all columns; with `features`, leave it out there.")
        if self.features is not None and not self.features:
            raise DataError("`features` must name a column at least; got none.")
        for name in ("features", "ignore", "categories"):
            listed = getattr(self, name) or ()
            known: set[str] = set()
            for column in listed:
                if column in known:
                    raise DataError(f"`{name}` names '{shown(column)}' twice.")
                known.add(column)
            if self.target in known:
                raise DataError(f"`{name}` names the target, '{shown(self.target)}'.")

    @cached_property
    def form(self) -> TextFormat:
        """How a table that is text is written."""
        return TextFormat(
            delimiter=self.delimiter,
            encoding=self.encoding,
            header=self.header,
            names=self.names,
            decimal=self.decimal,
            thousands=self.thousands,
            units=self.units,
            comment=self.comment,
            missing_marks=self.missing_marks,
        )
