"""What a person may say about a table in ``[data.options]``, and the checks that need no file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.data.table_numbers import NumberForm
from downslope.training.data.text_encoding import check_encoding

TYPED = (".parquet", ".npy", ".npz")
"""Suffixes of files that say themselves how they are written."""

_TEXT = ("delimiter", "encoding", "header", "names", "decimal", "thousands", "units", "comment")
"""The options of tables that are text."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a table is read as. From `delimiter` on, how one that is text is written.

    Attributes:
        path: The file: .csv, .tsv, .parquet, .npy or .npz; relative to the current directory.
        target: The column to learn; or several of 0 and 1, labels of which a row may have any number.
        features: The columns to learn from; None for all others.
        ignore: Columns to leave out.
        id: A column that marks the rows, such as a number: no input, and told with predictions; None where none does.
        categories: Columns whose cells are words; each word becomes an input of its own, 0 or 1.
        held_out_path: A table with the examples to hold out; None to split the one by `data.held_out`.
        split_column: A column that says which part a row belongs to: train, validation or test; None where none does.
        held_out_from: Where that has rows to learn from and to test by, but none to hold out: "test" to hold out the
            latter, which None does too, or "train" to hold out `data.held_out` of the former.
        test_path: A table with the examples for `downslope evaluate --split test`, which training never reads.
        standardize: Whether numbers get mean 0 and standard deviation 1, those of the examples to learn from.
        standardize_target: The same for a target that is a number; predictions are given in its own unit. None for
            what goes with `train.loss`: true for "mse", "mae" and "huber".
        missing: What a missing cell is: an "error", a row to "drop", or one to fill with the "mean".
        missing_marks: What stands for a missing cell in this table besides nothing, such as "?".
        kind: Whether the target names "classes" or is a "number"; None to go by `train.loss`.
        delimiter: What separates cells; None for a comma, or a tab in a .tsv file.
        encoding: How characters are stored; None for UTF-8.
        header: Whether the first line names the columns; None if it does and is not nothing but numbers.
        names: What to call the columns of a file without such a line; None to count them from 0.
        decimal: What separates whole numbers from their fractions; None for a point.
        thousands: What separates groups of digits; None where nothing does.
        units: Signs that may stand before or after a number.
        comment: What a line begins with that is no row; None where every line is one.
    """

    path: str
    target: str | tuple[str, ...]
    features: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    id: str | None = None
    categories: tuple[str, ...] = ()
    held_out_path: str | None = None
    test_path: str | None = None
    split_column: str | None = None
    held_out_from: Literal["train", "test"] | None = None
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
        self._check_text()
        self._check_names()
        given = [name for name in _TEXT if getattr(self, name) is not None]
        if given and all(path.lower().endswith(TYPED) for path in (self.path, self.held_out_path) if path is not None):
            raise DataError(
                f"`{given[0]}` is for tables that are text, .csv or .tsv; '{shown(self.path)}' says itself what is in "
                f"it. Leave `{given[0]}` out."
            )
        self._check_split()
        self._check_id()
        if not self.targets or len(set(self.targets)) < len(self.targets):
            raise DataError(f"`target` must name a column, or several, each once; got {list(self.targets)!r}.")
        if self.features is not None and self.ignore:
            raise DataError("`ignore` says what to leave out of all columns; with `features`, leave it out there.")
        if self.features is not None and not self.features:
            raise DataError("`features` must name a column at least; got none.")
        for name in ("features", "ignore", "categories"):
            known: set[str] = set()
            for column in getattr(self, name) or ():
                if column in known:
                    raise DataError(f"`{name}` names '{shown(column)}' twice.")
                known.add(column)
            for target in self.targets:
                if target in known:
                    raise DataError(f"`{name}` names the target, '{shown(target)}'.")

    def _check_id(self) -> None:
        """Check that the column of marks is nothing else."""
        column = self.id
        if column is None:
            return
        for name in ("target", "split_column", "features", "ignore", "categories"):
            given = getattr(self, name)
            if column in ((given,) if isinstance(given, str) else given or ()):
                raise DataError(f"`id` names '{shown(column)}', and so does `{name}`. A mark is no input; give one.")

    def _check_split(self) -> None:
        """Check what says which rows are held out, and which are for a test."""
        column = self.split_column
        if column is None:
            if self.held_out_from is not None:
                raise DataError("`held_out_from` chooses among the parts that `split_column` tells of. Leave it out.")
            return
        for name in ("held_out_path", "test_path"):
            if getattr(self, name) is not None:
                raise DataError(
                    f"`{name}` names a table with a part, and `split_column` tells the parts of one. Give one."
                )
        if column in self.targets:
            raise DataError(f"`split_column` names the target, '{shown(column)}'.")
        for name in ("features", "ignore", "categories"):
            if column in (getattr(self, name) or ()):
                raise DataError(f"`{name}` names '{shown(column)}', which `split_column` says is no feature.")

    def _check_text(self) -> None:
        """Check how a table that is text is written."""
        if self.thousands is not None and self.thousands == (self.decimal or "."):
            other = "," if self.thousands == "." else "."
            raise DataError(
                f"`thousands` and `decimal` must differ; both are {self.thousands!r}. Set decimal = {other!r} as well."
            )
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise DataError(f'`delimiter` must be one character, such as ";"; got {self.delimiter!r}.')
        if self.encoding is not None:
            check_encoding(self.encoding)
        for unit in self.units or ():
            if not unit or unit.strip() != unit or re.search(r"[\d.,+-]", unit):
                raise DataError(f'`units` must be signs or words without digits, such as "%" or "kg"; got {unit!r}.')
        if self.comment is not None and (not self.comment.strip() or re.search(r'[\s"]', self.comment)):
            raise DataError(f'`comment` must be what such lines begin with, such as "#"; got {self.comment!r}.')
        for mark in self.missing_marks:
            if mark.strip() != mark or not mark:
                raise DataError(f'`missing_marks` must be words without space around them, such as "?"; got {mark!r}.')

    def _check_names(self) -> None:
        """Check the names of the columns of a file without a line of them."""
        if self.names is None:
            return
        if self.header:
            raise DataError("`names` is for a file whose first line is an example; with `header = true`, leave it out.")
        if not self.names:
            raise DataError("`names` must name every column; got none.")
        known: set[str] = set()
        for number, name in enumerate(self.names, start=1):
            if not name.strip() or name.strip() != name:
                raise DataError(f"`names` must be words without space around them; number {number} is {name!r}.")
            if name in known:
                raise DataError(f"`names` names {name!r} twice.")
            known.add(name)

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to learn."""
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)

    @property
    def has_header(self) -> bool:
        """Whether the first line is taken for names."""
        return self.header is not False and self.names is None

    @cached_property
    def numbers(self) -> NumberForm:
        """How numbers are written."""
        return NumberForm(
            decimal=self.decimal or ".",
            thousands=self.thousands,
            units=self.units or (),
            missing_marks=self.missing_marks,
        )
