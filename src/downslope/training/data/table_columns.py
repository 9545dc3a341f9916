"""Columns of a table in memory, and what every kind of file that holds them offers.

A column is known by its name and place, a cell by its line; the formats of files are in `table_csv.py` and
`table_arrays.py`.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from downslope.core.errors import DataError, MissingDependencyError, did_you_mean
from downslope.core.files import refuse_irregular
from downslope.core.shown import shown
from downslope.training.data.numpy_files import check_memory, read_npy, read_npz
from downslope.training.data.table_numbers import NumberForm
from downslope.training.data.table_problems import Findings, TableError

NumberArray = np.ndarray[Any, np.dtype[np.float64]]

_INDEX = re.compile(r"__index_level_\d+__")
"""What pandas calls the index of a table in a Parquet file, if it has no name."""

_NAMED = 20
"""How many columns a message names."""

_MANY = 2000
"""How many names are searched for the one that a person may have meant."""

_LONG_NAME = 200

MOST_COLUMNS = 100_000
"""How many columns a table may have."""


@dataclass(frozen=True)
class Wanted:
    """A column that is asked for.

    Attributes:
        kind: Whether its cells are numbers or words.
        hint: What to do if a cell is no number.
        is_target: Whether it is the column to learn, which cannot be left out.
    """

    kind: Literal["number", "word"]
    hint: str = ""
    is_target: bool = False


@dataclass(frozen=True)
class Unnamed:
    """What to call the columns of a file that does not name them.

    Attributes:
        names: Their names in order; None to count them from 0.
        absent: One of them that the file may lack: to predict, nobody needs the target.

    Example:
        >>> Unnamed().name("t.npy", 2), Unnamed(("area", "price", "rooms"), "price").name("t.npy", 2)
        (['0', '1'], ['area', 'rooms'])
    """

    names: tuple[str, ...] | None = None
    absent: str | None = None

    def name(self, place: str, count: int) -> list[str]:
        """Return the names of this many columns.

        Args:
            place: What to call the file, or a line of it, in messages.
            count: How many it has.

        Raises:
            DataError: If there are not as many names.
        """
        if self.names is None:
            return [str(number) for number in range(count)]
        if count == len(self.names):
            return list(self.names)
        if self.absent in self.names and count == len(self.names) - 1:
            return [name for name in self.names if name != self.absent]
        allowed = f"{len(self.names)}" if self.absent is None else f"{len(self.names)}, or all of them but the target"
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
        """Return these rows alone.

        Args:
            rows: Indices.
        """
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
        remarks: What a person should know of how the names were read.
    """

    has_empty_name = True
    remarks: tuple[str, ...] = ()

    def __init__(self, path: Path, names: Sequence[str], *, is_named: bool = True, hint: str = "") -> None:
        """Look at the names."""
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
        """Raise unless there is one column of each of these names.

        Args:
            names: The names.
            why: Continues a sentence: "but data.options.target names it".

        Raises:
            TableError: If there is not, with what there is.
        """
        names = [name for name in names if name not in self.places]
        for name in names:
            if name in self.repeated:
                raise TableError(self.describe_repeated(name), {"ignore": [name]})
        if len(names) == 1:
            raise TableError(
                f"{shown(self.path)}: has no column `{shown(names[0])}`, but {why}.{self._suggest(names[0])} "
                f"It has {show_names(self.names)}.{self.hint}"
            )
        if names:
            why = why.replace("names it", "names them").replace("from it", "from them")
            raise TableError(
                f"{shown(self.path)}: has no columns {show_names(names)}, but {why}. It has {show_names(self.names)}."
                f"{self.hint}"
            )

    def describe_repeated(self, name: str) -> str:
        """Return what is wrong with a name that several columns have."""
        return f"{shown(self.path)}: two columns are called `{shown(name)}`. Give each a name of its own.{self.hint}"

    def _suggest(self, name: str) -> str:
        return did_you_mean(name[:_LONG_NAME], self.names) if len(self.names) <= _MANY else ""

    def texts(self, place: int) -> Iterator[str]:
        """Yield the cells of one column as texts, whatever it holds.

        Args:
            place: Which column.
        """
        raise NotImplementedError

    @abstractmethod
    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name; all of them are among `names`.

        Args:
            wanted: Name -> what its cells are.

        Raises:
            DataError: If a cell is not of its kind, or the rows are inconsistent.
        """


def check_count(path: Path, count: int) -> None:
    """Raise if a table has more columns than are read.

    Args:
        path: The file.
        count: How many there are.

    Raises:
        DataError: If there are too many.
    """
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
    """Return columns in memory, of one row at least.

    Args:
        path: The file.
        unit: As in `Columns`.
        lines: As in `Columns`.
        numbers: As in `Columns`.
        words: As in `Columns`.
        notes: As in `Columns`.

    Raises:
        DataError: If there are no rows.
    """
    if len(lines) == 0:
        raise DataError(f"{shown(path)}: holds no rows.")
    return Columns(file=shown(path), unit=unit, lines=lines, numbers=numbers, words=words, notes=notes)


def shorten(names: Iterable[str], most: int = 8) -> str:
    """Return names as a list that is never long: "area, rooms, ..."."""
    first = [shown(name, 40) for name in islice(names, most + 1)]
    return ", ".join(first[:most]) + (", ..." if len(first) > most else "")


def show_names(names: Sequence[str]) -> str:
    """Return names in quotes as a list that is never long: "`area`, `rooms` and `price`"."""
    quotes = [f"`{shown(name, 40)}`" for name in names[:_NAMED]]
    if len(names) > _NAMED:
        return f"{', '.join(quotes)} and {len(names) - _NAMED:,} more"
    return f"{', '.join(quotes[:-1])} and {quotes[-1]}" if len(quotes) > 1 else "".join(quotes)


# Tables whose columns have types

_BYTES = 8
"""What a number of a column takes in memory."""


class ParquetTable(TableFile):
    """A Parquet file.

    Args:
        path: The file.
        form: How words are read as numbers, and which stand for a missing cell.
    """

    def __init__(self, path: Path, form: NumberForm) -> None:
        """Read the names."""
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError:
            raise MissingDependencyError(
                f"{shown(path)}: Parquet is read by pyarrow, which is not installed. "
                'Run: pip install "downslope[tables]"'
            ) from None
        self._arrow: Any = pa
        self._form = form
        refuse_irregular(path, DataError)
        try:
            self._table: Any = parquet.ParquetFile(path)
            names = list(self._table.schema_arrow.names)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{shown(path)}: cannot be read as Parquet: {_first_line(error)}.") from None
        super().__init__(path, names)

    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name."""
        rows = int(self._table.metadata.num_rows)
        check_memory(shown(self.path), rows * len(wanted) * _BYTES, f"for {len(wanted):,} columns of {rows:,} rows")
        try:
            table: Any = self._table.read(columns=list(wanted))
        except (self._arrow.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{shown(self.path)}: cannot be read as Parquet: {_first_line(error)}.") from None
        columns = {name: self._column(table.column(name), want) for name, want in wanted.items()}
        return _convert(self.path, columns, wanted, self._form)

    def texts(self, place: int) -> Iterator[str]:
        """Yield the cells of one column as texts."""
        for cell in self._table.read(columns=[self.names[place]]).column(0).to_pylist():
            yield "" if cell is None else str(cell)

    def _column(self, column: Any, want: Wanted) -> Any:
        types = self._arrow.types
        plain = types.is_integer(column.type) or types.is_floating(column.type) or types.is_boolean(column.type)
        if plain and want.kind == "number":
            return column.cast(self._arrow.float64(), safe=False).to_numpy()  # null becomes NaN
        return column.to_pylist()


class ArrayTable(TableFile):
    """NumPy's own files: a .npy with named fields or two dimensions, or an .npz with an array for each column.

    Args:
        path: The file.
        unnamed: What to call the columns of an array without names.
        form: How words are read as numbers, and which stand for a missing cell.
    """

    def __init__(self, path: Path, unnamed: Unnamed, form: NumberForm) -> None:
        """Read it."""
        self._form = form
        place = shown(path)
        found: Any = read_npz(path) if path.suffix.lower() == ".npz" else read_npy(path)
        is_named = True
        if isinstance(found, dict):
            self._columns = cast("dict[str, Any]", found)
        elif found.dtype.names is not None and found.ndim == 1:
            self._columns = {name: found[name] for name in found.dtype.names}
        elif found.dtype.names is None and found.ndim == 2:
            names = unnamed.name(place, found.shape[1])
            self._columns = {name: found[:, number] for number, name in enumerate(names)}
            is_named = False
        else:
            raise DataError(f"{place}: must have two dimensions, (rows, columns); got shape {found.shape}.")
        first: Any = next(iter(self._columns.values()), None)
        for name, column in self._columns.items():
            if column.ndim != 1 or len(column) != len(first):
                raise DataError(
                    f"{place}: each array must be a column, all equally long; `{shown(name)}` has shape "
                    f"{column.shape}, the first one {first.shape}."
                )
        super().__init__(path, list(self._columns), is_named=is_named)

    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name."""
        columns: dict[str, Any] = {}
        for name, want in wanted.items():
            column = self._columns[name]
            fits = column.dtype.kind in "fiub" and want.kind == "number"
            dates = column.dtype.kind in "mM"  # their own list would hold nanoseconds as plain numbers
            columns[name] = column.astype(np.float64) if fits else self._cells(name, dates=dates)
        return _convert(self.path, columns, wanted, self._form)

    def _cells(self, name: str, *, dates: bool) -> list[Any]:
        column = self._columns[name]
        try:
            _check_characters(column)
            return (column.astype(str) if dates else column).tolist()
        except (ValueError, OverflowError) as error:
            raise DataError(
                f"{shown(self.path)}, column `{shown(name)}`: holds cells that cannot be read: {_first_line(error)}."
            ) from None

    def texts(self, place: int) -> Iterator[str]:
        """Yield the cells of one column as texts."""
        return map(str, self._columns[self.names[place]].tolist())


def _check_characters(column: Any) -> None:
    """Raise ValueError where text has numbers of no character, of which NumPy would make texts that break Python."""
    if column.dtype.kind == "U" and column.size:
        codes = np.ascontiguousarray(column.astype(column.dtype.newbyteorder("="))).view(np.uint32)
        if int(codes.max()) > sys.maxunicode:
            raise ValueError(f"{int(codes.max())} is the number of no character")


def _convert(path: Path, columns: Mapping[str, Any], wanted: Mapping[str, Wanted], form: NumberForm) -> Columns:
    """Return columns of Python values, or float64 arrays, each cell checked."""
    numbers: dict[str, NumberArray] = {}
    words: dict[str, list[str | None]] = {}
    count = 0
    target = next((name for name, want in wanted.items() if want.is_target), None)
    findings = Findings(form, target=target, is_text=False)
    for name, column in columns.items():
        count = len(column)
        place = f"{shown(path)}, row {{}}, column `{shown(name).replace('{', '{{').replace('}', '}}')}`"
        hint = wanted[name].hint
        if wanted[name].kind == "word":
            words[name] = [_word(cell, row, place, form) for row, cell in enumerate(column, start=1)]
        elif isinstance(column, np.ndarray):
            array = _without_marks(cast("NumberArray", column), form)
            for row in np.flatnonzero(np.isinf(array)).tolist():
                findings.add_cell(name, str(array[row]), "is not finite", place.format(row + 1), hint, quotes=False)
            numbers[name] = array
        else:
            numbers[name] = np.array(
                [_number(cell, row, name, place, hint, form, findings) for row, cell in enumerate(column, start=1)],
                dtype=np.float64,
            )
    findings.raise_if_any(count)
    return make_columns(path, "row", range(1, count + 1), numbers, words)


def _without_marks(column: NumberArray, form: NumberForm) -> NumberArray:
    """Return numbers with NaN where one of them stands for a missing one, such as -999."""
    marks: list[float] = []
    for mark in form.missing_marks:
        try:
            marks.append(float(mark))
        except ValueError:
            continue
    return np.where(np.isin(column, marks), math.nan, column) if marks else column


def _number(cell: Any, row: int, name: str, place: str, hint: str, form: NumberForm, findings: Findings) -> float:
    try:
        if cell is None:
            return math.nan
        if isinstance(cell, bytes):
            cell = cell.decode()
        return form.read(cell if isinstance(cell, str) else repr(float(cell)))
    except (TypeError, ValueError, OverflowError) as error:
        is_time = isinstance(cell, dt.date | dt.time | dt.timedelta)
        why = str(error) if isinstance(cell, str) else f"is {'a date or time' if is_time else 'not a number'}"
        shown_cell = cell if isinstance(cell, str) else str(cell)[:1000]
        findings.add_cell(name, shown_cell, why, place.format(row), hint, quotes=isinstance(cell, str))
        return math.nan


def _word(cell: Any, row: int, place: str, form: NumberForm) -> str | None:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, bytes):
        try:
            cell = cell.decode()
        except UnicodeDecodeError:
            raise DataError(f"{place.format(row)}: {shown(repr(cell), 40)} is not text in UTF-8.") from None
    if isinstance(cell, list | dict | tuple):
        raise DataError(f"{place.format(row)}: holds a {type(cell).__name__}, not a word. Leave the column out.")
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # a column of integers with a hole is stored as 3.0
    word = str(cell).strip()
    return None if word in form.missing_marks else word or None


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return shown(text[0].rstrip(".")) if text else type(error).__name__
