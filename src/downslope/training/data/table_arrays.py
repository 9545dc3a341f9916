"""Tables whose columns have types: Parquet, and NumPy's own files.

What lives here: their readers, and turning their cells into numbers or words. What does not: unpickling, which would
run code; arrays of objects are refused.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from downslope.core.errors import DataError, MissingDependencyError
from downslope.training.data.table_columns import (
    Columns,
    NumberArray,
    TableFile,
    Unnamed,
    Wanted,
    make_columns,
    read_number,
)


class ParquetTable(TableFile):
    """A Parquet file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        """Read the names."""
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError:
            raise MissingDependencyError(
                f'{path}: Parquet is read by pyarrow, which is not installed. Run: pip install "downslope[tables]"'
            ) from None
        self._arrow: Any = pa
        try:
            self._table: Any = parquet.ParquetFile(path)
            names = list(self._table.schema_arrow.names)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: cannot be read as Parquet: {_first_line(error)}.") from None
        super().__init__(path, names)

    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name."""
        try:
            table: Any = self._table.read(columns=list(wanted))
        except (self._arrow.ArrowException, OSError) as error:
            raise DataError(f"{self.path}: cannot be read as Parquet: {_first_line(error)}.") from None
        columns = {name: self._column(table.column(name), want) for name, want in wanted.items()}
        return _convert(self.path, columns, wanted)

    def _column(self, column: Any, want: Wanted) -> Any:
        types = self._arrow.types
        plain = types.is_integer(column.type) or types.is_floating(column.type) or types.is_boolean(column.type)
        if plain and want.kind == "number":
            return column.cast(self._arrow.float64()).to_numpy()  # null becomes NaN
        return column.to_pylist()


class ArrayTable(TableFile):
    """NumPy's own files: a .npy with named fields or two dimensions, or an .npz with an array for each column.

    Args:
        path: The file.
        unnamed: What to call the columns of an array without names.
    """

    def __init__(self, path: Path, unnamed: Unnamed) -> None:
        """Read it."""
        try:
            loaded: Any = np.load(path, allow_pickle=False)
            found = dict(loaded) if path.suffix.lower() == ".npz" else loaded
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: cannot be read as NumPy's: {_first_line(error)}.") from None
        if isinstance(found, dict):
            self._columns = cast("dict[str, Any]", found)
        elif found.dtype.names is not None and found.ndim == 1:
            self._columns = {name: found[name] for name in found.dtype.names}
        elif found.dtype.names is None and found.ndim == 2:
            names = unnamed.name(str(path), found.shape[1])
            self._columns = {name: found[:, place] for place, name in enumerate(names)}
        else:
            raise DataError(f"{path}: must have two dimensions, (rows, columns); got shape {found.shape}.")
        for name, column in self._columns.items():
            first = next(iter(self._columns.values()))
            if column.ndim != 1 or len(column) != len(first):
                raise DataError(
                    f"{path}: each array must be a column, all equally long; `{name}` has shape {column.shape}, the "
                    f"first one {first.shape}."
                )
        is_named = isinstance(found, dict) or found.dtype.names is not None
        super().__init__(path, list(self._columns), is_named=is_named)

    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name."""
        columns: dict[str, Any] = {}
        for name, want in wanted.items():
            column = self._columns[name]
            fits = column.dtype.kind in "fiub" and want.kind == "number"
            columns[name] = column.astype(np.float64) if fits else column.tolist()
        return _convert(self.path, columns, wanted)


def _convert(path: Path, columns: Mapping[str, Any], wanted: Mapping[str, Wanted]) -> Columns:
    """Return columns of Python values, or float64 arrays, each cell checked."""
    numbers: dict[str, NumberArray] = {}
    words: dict[str, list[str | None]] = {}
    count = 0
    for name, column in columns.items():
        count = len(column)
        place = f"{path}, row {{}}, column `{name}`: {{}}.{wanted[name].hint}"
        if wanted[name].kind == "word":
            words[name] = [_word(cell) for cell in column]
        elif isinstance(column, np.ndarray):
            bad = np.flatnonzero(np.isinf(column))
            if bad.size:
                raise DataError(place.format(bad[0] + 1, f"{column[bad[0]]} is not finite"))
            numbers[name] = cast("NumberArray", column)
        else:
            numbers[name] = np.array([_number(cell, row, place) for row, cell in enumerate(column, start=1)])
    return make_columns(path, "row", range(1, count + 1), numbers, words)


def _number(cell: Any, row: int, place: str) -> float:
    try:
        return math.nan if cell is None else read_number(cell if isinstance(cell, str) else str(float(cell)))
    except (TypeError, ValueError) as error:
        why = str(error) if isinstance(cell, str) else "is not a number"
        raise DataError(place.format(row, f"{cell!r:.40} {why}")) from None


def _word(cell: Any) -> str | None:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # a column of integers with a hole is stored as 3.0
    return str(cell).strip() or None


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".") if text else type(error).__name__
