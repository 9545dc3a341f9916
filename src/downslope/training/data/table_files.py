"""The files that hold a table: text, Parquet and NumPy's; the last two are read here, their columns have types."""

from __future__ import annotations

import datetime as dt
import math
import mmap
import sys
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from downslope.core.errors import DataError, DownslopeError, MissingDependencyError
from downslope.core.files import refuse_irregular
from downslope.core.paths import expand_home, expansion_of, from_here
from downslope.core.shown import shown
from downslope.recipe.given import TABLES as SUFFIXES
from downslope.training.data.numpy_files import check_memory, first_line, open_npy, read_npz
from downslope.training.data.table_columns import (
    Columns,
    NumberArray,
    TableFile,
    Unnamed,
    Wanted,
    make_columns,
    rows_at_once,
    targets_of,
)
from downslope.training.data.table_numbers import NumberForm
from downslope.training.data.table_options import Options
from downslope.training.data.table_problems import Findings
from downslope.training.data.table_text import CsvTable

_BYTES = 8
"""What a number of a column takes in memory."""

_MAPPED_BATCHES = 16
"""So many record batches of an Arrow file are read before it is mapped anew."""


def open_table(
    given: str | Path, options: Options, origin: str, *, unnamed: Unnamed | None = None, fixed: bool = False
) -> TableFile:
    """Return a table file, its names read.

    Args:
        given: The file; its suffix says what it is.
        options: How it is written.
        origin: The key or option that gives it, for messages.
        unnamed: What its columns are if it does not name them; None to go by the options.
        fixed: Whether a run decides the options, so that nobody can change them now.

    Raises:
        DataError: If it cannot be read, or names no columns.
        MissingDependencyError: If it is a Parquet file and there is no pyarrow.
    """
    path = expand_home(given, DataError, origin)
    place = f"{origin} = '{shown(given)}'{shown(expansion_of(given))}"
    if not path.exists():
        raise DataError(f"{place}: there is no such file.{from_here(path)}")
    suffix = path.suffix.lower()
    unnamed = unnamed or Unnamed(options.names)
    if path.is_dir() or suffix not in SUFFIXES:
        advice = "" if path.is_dir() else " Unpack it, or save it as one of these."
        what = "is a folder" if path.is_dir() else f"has the suffix '{shown(path.suffix)}'"
        raise DataError(f"{place}: {what}; a table is a file that ends in {', '.join(SUFFIXES)}.{advice}")
    refuse_irregular(path, DataError)
    if suffix == ".parquet":
        return ParquetTable(path, options.numbers)
    if suffix in {".feather", ".arrow"}:
        return ArrowTable(path, options.numbers)
    if suffix in {".npy", ".npz"}:
        return ArrayTable(path, unnamed, options.numbers)
    return CsvTable(path, options, unnamed, fixed=fixed)


class ColumnarTable(TableFile):
    """A file that pyarrow reads; `form` says how words are read as numbers, and which stand for a missing cell."""

    kind = ""

    def __init__(self, path: Path, form: NumberForm) -> None:
        try:
            import pyarrow as pa
        except ImportError:
            raise MissingDependencyError(
                f"{shown(path)}: {self.kind} is read by pyarrow, which is not installed. "
                'Run: pip install "downslope[tables]"'
            ) from None
        self._arrow: Any = pa
        self._form = form
        with self._reading(path):
            names, rows = self._open(path)
        super().__init__(path, names)
        self.rows = rows

    @abstractmethod
    def _open(self, path: Path) -> tuple[list[str], int]:
        """Open the file, and return the names of its columns and how many rows it has."""

    @abstractmethod
    def _batches(self, columns: Sequence[str], size: int) -> Iterator[Any]:
        """Yield pyarrow's tables of these columns, in order, of at most so many rows."""

    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name."""
        rows = self.rows or 0
        check_memory(shown(self.path), rows * len(wanted) * _BYTES, f"for {len(wanted):,} columns of {rows:,} rows")
        with self._reading(self.path):
            table: Any = self._whole(list(wanted))
        columns = {name: self._column(table.column(name), want) for name, want in wanted.items()}
        return _convert(self.path, columns, wanted, self._form)

    def chunks(self, wanted: Mapping[str, Wanted], size: int | None = None) -> Iterator[Columns]:
        """Yield the rows in order, part by part."""
        begin = 0
        with self._reading(self.path):
            for table in self._batches(list(wanted), size or rows_at_once(len(wanted))):
                columns = {name: self._column(table.column(name), want) for name, want in wanted.items()}
                yield _convert(self.path, columns, wanted, self._form, begin)
                begin += table.num_rows

    def texts(self, place: int) -> Iterator[str]:
        """Yield the cells of one column as texts."""
        for table in self._batches([self.names[place]], rows_at_once(1)):
            for cell in table.column(0).to_pylist():
                yield "" if cell is None else str(cell)

    def _whole(self, columns: list[str]) -> Any:
        return self._arrow.concat_tables(list(self._batches(columns, rows_at_once(len(columns)))))

    @contextmanager
    def _reading(self, path: Path) -> Iterator[None]:
        try:
            yield
        except DownslopeError:  # of what stands in it, and said already
            raise
        except (self._arrow.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{shown(path)}: cannot be read as {self.kind}: {first_line(error)}.") from None

    def _column(self, column: Any, want: Wanted) -> Any:
        types = self._arrow.types
        plain = types.is_integer(column.type) or types.is_floating(column.type) or types.is_boolean(column.type)
        if plain and want.kind == "number":
            return column.cast(self._arrow.float64(), safe=False).to_numpy()  # null becomes NaN
        return column.to_pylist()


class ParquetTable(ColumnarTable):
    """A Parquet file, of which one row group at a time is in memory where it is read part by part."""

    kind = "Parquet"

    def _open(self, path: Path) -> tuple[list[str], int]:
        from pyarrow import parquet

        self._table: Any = parquet.ParquetFile(path)
        return list(self._table.schema_arrow.names), int(self._table.metadata.num_rows)

    def _whole(self, columns: list[str]) -> Any:
        return self._table.read(columns=columns)

    def _batches(self, columns: Sequence[str], size: int) -> Iterator[Any]:
        for batch in self._table.iter_batches(batch_size=size, columns=list(columns)):
            yield self._arrow.Table.from_batches([batch])


class ArrowTable(ColumnarTable):
    """An Arrow file or stream, or a Feather file, which is an Arrow file: mapped into memory, not read."""

    kind = "Arrow"

    def _open(self, path: Path) -> tuple[list[str], int]:
        with self._reader(path) as reader:
            names = list(reader.schema.names)
        return names, sum(batch.num_rows for batch in self._record_batches(path))

    def _batches(self, columns: Sequence[str], size: int) -> Iterator[Any]:
        if not self.rows:
            with self._reader(self.path) as reader:
                yield reader.schema.empty_table().select(list(columns))
        for batch in self._record_batches(self.path):
            table = self._arrow.Table.from_batches([batch]).select(list(columns))
            for begin in range(0, table.num_rows, size):
                yield table.slice(begin, size)

    def _record_batches(self, path: Path) -> Iterator[Any]:
        """Yield the record batches; the file is mapped anew from time to time, or all of it would count as memory."""
        number, count = 0, 1
        while number < count:
            with self._reader(path) as reader:
                if not hasattr(reader, "num_record_batches"):
                    yield from reader
                    return
                count = reader.num_record_batches
                for _ in range(min(_MAPPED_BATCHES, count - number)):
                    yield reader.get_batch(number)
                    number += 1

    @contextmanager
    def _reader(self, path: Path) -> Iterator[Any]:
        """Give pyarrow's reader of a file or a stream, the former mapped into memory."""
        with self._arrow.memory_map(str(path)) as file:
            try:
                reader = self._arrow.ipc.open_file(file)
            except self._arrow.ArrowInvalid:
                reader = None
            if reader is not None:
                yield reader
                return
        with self._arrow.OSFile(str(path)) as file:
            yield self._arrow.ipc.open_stream(file)


class ArrayTable(TableFile):
    """NumPy's own files: a .npy with named fields or two dimensions, or an .npz with an array for each column."""

    def __init__(self, path: Path, unnamed: Unnamed, form: NumberForm) -> None:
        self._form = form
        place = shown(path)
        found: Any
        self._mapped: mmap.mmap | None = None
        if path.suffix.lower() == ".npz":
            found = read_npz(path)
        else:
            found = open_npy(path)
            self._mapped = getattr(found, "_mmap", None)
        is_named = True
        if isinstance(found, dict):
            self._columns = found
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
        self.rows = None if first is None or path.suffix.lower() == ".npz" else len(first)

    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name."""
        size = sum(len(self._columns[name]) for name in wanted) * _BYTES
        check_memory(shown(self.path), size, f"for {len(wanted):,} columns")
        return self._part(wanted, slice(None))

    def chunks(self, wanted: Mapping[str, Wanted], size: int | None = None) -> Iterator[Columns]:
        """Yield the rows in order, part by part."""
        size = size or rows_at_once(len(wanted))
        for begin in range(0, len(next(iter(self._columns.values()), ())), size):
            yield self._part(wanted, slice(begin, begin + size))
            if self._mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
                self._mapped.madvise(mmap.MADV_DONTNEED)  # what was read need not stay in this process's memory

    def _part(self, wanted: Mapping[str, Wanted], rows: slice) -> Columns:
        columns: dict[str, Any] = {}
        for name, want in wanted.items():
            column = self._columns[name][rows]
            fits = column.dtype.kind in "fiub" and want.kind == "number"
            dates = column.dtype.kind in "mM"  # their own list would hold nanoseconds as plain numbers
            columns[name] = column.astype(np.float64) if fits else self._cells(name, column, dates=dates)
        return _convert(self.path, columns, wanted, self._form, rows.start or 0)

    def _cells(self, name: str, column: Any, *, dates: bool) -> list[Any]:
        try:
            _check_characters(column)
            return (column.astype(str) if dates else column).tolist()
        except (ValueError, OverflowError) as error:
            raise DataError(
                f"{shown(self.path)}, column `{shown(name)}`: holds cells that cannot be read: {first_line(error)}."
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


def _convert(
    path: Path, columns: Mapping[str, Any], wanted: Mapping[str, Wanted], form: NumberForm, begin: int = 0
) -> Columns:
    """Return columns of Python values, or float64 arrays, each cell checked; `begin` rows came before these."""
    numbers: dict[str, NumberArray] = {}
    words: dict[str, list[str | None]] = {}
    count = 0
    findings = Findings(form, targets=targets_of(wanted), is_text=False)
    for name, column in columns.items():
        count = len(column)
        place = f"{shown(path)}, row {{}}, column `{shown(name).replace('{', '{{').replace('}', '}}')}`"
        hint = wanted[name].hint
        if wanted[name].kind == "word":
            words[name] = [_word(cell, row, place, form) for row, cell in enumerate(column, start=begin + 1)]
        elif isinstance(column, np.ndarray):
            array = _without_marks(column, form)
            for row in np.flatnonzero(np.isinf(array)).tolist():
                findings.add_cell(
                    name, str(array[row]), "is not finite", place.format(begin + row + 1), hint, quotes=False
                )
            numbers[name] = array
        else:
            numbers[name] = np.array(
                [
                    _number(cell, row, name, place, wanted[name], form, findings)
                    for row, cell in enumerate(column, start=begin + 1)
                ],
                dtype=np.float64,
            )
    findings.raise_if_any(count)
    return make_columns(path, "row", range(begin + 1, begin + count + 1), numbers, words)


def _without_marks(column: NumberArray, form: NumberForm) -> NumberArray:
    """Return numbers with NaN where one of them stands for a missing one, such as -999."""
    marks: list[float] = []
    for mark in form.missing_marks:
        try:
            marks.append(float(mark))
        except ValueError:
            continue
    return np.where(np.isin(column, marks), math.nan, column) if marks else column


def _number(cell: Any, row: int, name: str, place: str, want: Wanted, form: NumberForm, findings: Findings) -> float:
    try:
        if cell is None:
            return math.nan
        if isinstance(cell, bytes):
            cell = cell.decode()
        return want.read(cell if isinstance(cell, str) else repr(float(cell)), form)
    except (TypeError, ValueError, OverflowError) as error:
        is_time = isinstance(cell, dt.date | dt.time | dt.timedelta)
        why = str(error) if isinstance(cell, str) else f"is {'a date or time' if is_time else 'not a number'}"
        shown_cell = cell if isinstance(cell, str) else str(cell)[:1000]
        findings.add_cell(name, shown_cell, why, place.format(row), want.hint, quotes=isinstance(cell, str))
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
