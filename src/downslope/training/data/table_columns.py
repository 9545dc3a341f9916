"""Columns of a table in memory, and what every kind of file that holds them offers."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.data.class_names import show_names, suggest
from downslope.training.data.table_numbers import NumberForm
from downslope.training.data.table_problems import TableError

NumberArray = np.ndarray[Any, np.dtype[np.float64]]

_INDEX = re.compile(r"__index_level_\d+__")
"""What pandas calls the index of a table in a Parquet file, if it has no name."""

_TRUTHS = {"true": 1.0, "false": 0.0}
"""How pandas, R and Excel write yes and no, in small letters."""

MOST_COLUMNS = 100_000
"""How many columns a table may have."""


@dataclass(frozen=True)
class Wanted:
    """A column that is asked for.

    Attributes:
        kind: Whether its cells are numbers or words.
        hint: What to do if a cell is no number.
        is_target: Whether it is the column to learn, which cannot be left out.
        is_label: Whether it says yes or no, so that a number may be written as a truth value too.
    """

    kind: Literal["number", "word"]
    hint: str = ""
    is_target: bool = False
    is_label: bool = False

    def read(self, cell: str, form: NumberForm) -> float:
        """Return the number that a cell is, as `NumberForm.read` does; of a label `True` is 1 and `False` is 0.

        Example:
            >>> label = Wanted("number", is_label=True)
            >>> [label.read(cell, NumberForm()) for cell in ("True", "FALSE", "1")]
            [1.0, 0.0, 1.0]
        """
        truth = _TRUTHS.get(cell.strip().lower()) if self.is_label else None
        return form.read(cell) if truth is None else truth


def targets_of(wanted: Mapping[str, Wanted]) -> frozenset[str]:
    """Return the columns to learn among those that are asked for."""
    return frozenset(name for name, want in wanted.items() if want.is_target)


@dataclass(frozen=True)
class Unnamed:
    """What to call the columns of a file that does not name them.

    Attributes:
        names: Their names in order; None to count them from 0.
        absent: Those of them that the file may lack: to predict, nobody needs the target.

    Example:
        >>> Unnamed().name("t.npy", 2), Unnamed(("area", "price", "rooms"), ("price",)).name("t.npy", 2)
        (['0', '1'], ['area', 'rooms'])
    """

    names: tuple[str, ...] | None = None
    absent: tuple[str, ...] = ()

    def name(self, place: str, count: int) -> list[str]:
        """Return the names of this many columns."""
        if self.names is None:
            return [str(number) for number in range(count)]
        if count == len(self.names):
            return list(self.names)
        others = [name for name in self.names if name not in self.absent]
        if count == len(others):
            return others
        allowed = f"{len(self.names)}" if not self.absent else f"{len(self.names)}, or all of them but the target"
        raise DataError(
            f"{place}: has {count} column(s) without names, but there must be {allowed}: "
            f"{shorten(self.names)}, in this order."
        )


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns of a table in memory.

    Attributes:
        file: What to call the file.
        unit: "line" or "row": what `lines` count.
        lines: Where each row stands in the file, from 1.
        numbers: Name -> float64 array of shape (rows,); NaN where a cell is missing.
        words: Name -> list of texts; None where a cell is missing.
        notes: What a person should know of how cells were read.
    """

    file: str
    unit: str
    lines: Sequence[int]
    numbers: Mapping[str, NumberArray]
    words: Mapping[str, list[str | None]]
    notes: Sequence[str] = ()

    def place(self, row: int, column: str) -> str:
        """Return "houses.csv, line 7, column `area`"."""
        return f"{self.file}, {self.unit} {self.lines[row]}, column `{shown(column)}`"

    def is_missing(self, column: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return which cells of a column are missing, shape (rows,)."""
        if column in self.numbers:
            return np.isnan(self.numbers[column])
        return np.array([word is None for word in self.words[column]], dtype=np.bool_)

    def take(self, rows: np.ndarray[Any, np.dtype[Any]]) -> Columns:
        """Return the rows of these indices alone."""
        return Columns(
            file=self.file,
            unit=self.unit,
            lines=[self.lines[row] for row in rows],
            numbers={name: column[rows] for name, column in self.numbers.items()},
            words={name: [column[row] for row in rows] for name, column in self.words.items()},
            notes=self.notes,
        )


class TableFile(ABC):
    """A file that holds a table.

    Attributes:
        path: The file.
        names: What its columns are called; "" where one has no name.
        places: Name -> which column it is, of every name that only one column has.
        repeated: Names that several columns have.
        nameless: Columns without a name, and those that pandas names as an index.
        is_named: Whether it says so itself.
        has_empty_name: Whether a name without letters stands in the file, rather than being missing there.
        hint: What to do if a name is not among them.
        rows: How many rows it has, where that is known and a step can read it part by part; otherwise None.
        remarks: What a person should know of how the names were read.
    """

    has_empty_name = True
    rows: int | None = None
    remarks: tuple[str, ...] = ()

    def __init__(self, path: Path, names: Sequence[str], *, is_named: bool = True, hint: str = "") -> None:
        if not names:
            raise DataError(f"{shown(path)}: has no columns.")
        check_count(path, len(names))
        self.path = path
        self.names = tuple(names)
        self.is_named = is_named
        self.hint = hint
        counts = Counter(self.names)
        self.repeated = tuple(name for name, count in counts.items() if count > 1 and name)
        self.places = {name: place for place, name in enumerate(self.names) if counts[name] == 1 and name}
        self.nameless = tuple(place for place, name in enumerate(self.names) if not name or _INDEX.fullmatch(name))

    def find_nameless(self) -> None:
        """Let the column without a name, such as an index that pandas wrote, be read as `""`, if there is only one."""
        found = [place for place, name in enumerate(self.names) if not name]
        if len(found) == 1:
            self.places[""] = found[0]

    def check_names(self, names: Iterable[str], why: str) -> None:
        """Raise unless there is one column of each of these names; `why` continues "has no column `a`, but".

        Raises:
            TableError: If there is not, with what there is.
        """
        names = [name for name in names if name not in self.places]
        twice = next((name for name in names if name in self.repeated), None)
        if twice is not None:
            raise TableError(self.describe_repeated(twice), {"ignore": [twice]})
        if len(names) == 1:
            raise TableError(
                f"{shown(self.path)}: has no column `{shown(names[0])}`, but {why}.{suggest(names[0], self.names)} "
                f"It has {_listed(self.names)}.{self.hint}"
            )
        if names:
            why = why.replace("names it", "names them").replace("from it", "from them")
            raise TableError(
                f"{shown(self.path)}: has no columns {_listed(names)}, but {why}. It has {_listed(self.names)}."
                f"{self.hint}"
            )

    def describe_repeated(self, name: str) -> str:
        """Return what is wrong with a name that several columns have."""
        return f"{shown(self.path)}: two columns are called `{shown(name)}`. Give each a name of its own.{self.hint}"

    @abstractmethod
    def texts(self, place: int) -> Iterator[str]:
        """Yield the cells of the column at a place as texts, whatever it holds."""

    @abstractmethod
    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name, all of them among `names`, and what the cells of each are to be."""

    @abstractmethod
    def chunks(self, wanted: Mapping[str, Wanted], size: int | None = None) -> Iterator[Columns]:
        """Yield the rows in order, part by part, in memory that does not grow with the file; as `read` returns them.

        Args:
            wanted: As in `read`.
            size: How many rows there may be in a part; None for `rows_at_once` of these columns.
        """


def rows_at_once(columns: int) -> int:
    """Return how many rows of so many columns are in memory at once: some tens of megabytes."""
    return max(256, min(65_536, 2**23 // max(columns, 1)))


def check_count(path: Path, count: int) -> None:
    """Raise DataError if a table has more columns than are read."""
    if count > MOST_COLUMNS:
        raise DataError(
            f"{shown(path)}: has {count:,} columns; at most {MOST_COLUMNS:,} are read. Is each line an example?"
        )


def make_columns(
    path: Path,
    unit: str,
    lines: Sequence[int],
    numbers: Mapping[str, NumberArray],
    words: Mapping[str, list[str | None]],
    notes: Sequence[str] = (),
) -> Columns:
    """Return columns in memory; raise DataError if they have no rows."""
    if len(lines) == 0:
        raise DataError(f"{shown(path)}: holds no rows.")
    return Columns(file=shown(path), unit=unit, lines=lines, numbers=numbers, words=words, notes=notes)


def shorten(names: Iterable[str], most: int = 8) -> str:
    """Return names as a list that is never long: "area, rooms, ..."."""
    first = [shown(name, 40) for name in islice(names, most + 1)]
    return ", ".join(first[:most]) + (", ..." if len(first) > most else "")


def _listed(names: Sequence[str]) -> str:
    return show_names(names, " and ", most=20, width=40)
