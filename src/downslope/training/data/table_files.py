"""Tables as files: CSV, Parquet and NumPy, read column by column into numbers or words.

What lives here: one small reader for each kind of file, and the errors that name file, line and column. What does not:
what the columns are for (`table.py`).
"""

from __future__ import annotations

import csv
import math
import zipfile
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from downslope.core.errors import DataError, MissingDependencyError

NumberArray = np.ndarray[Any, np.dtype[np.float64]]

MISSING_NUMBERS = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""What a missing number is written as, in small letters; among words only an empty cell is missing: NA may be a country."""

SUFFIXES = (".csv", ".tsv", ".parquet", ".npy", ".npz")


@dataclass(frozen=True)
class Wanted:
    """A column that is asked for.

    Attributes:
        kind: Whether its cells are numbers or words.
        hint: What to do if a cell is no number.
    """

    kind: Literal["number", "word"]
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns of a table in memory.

    Attributes:
        file: What to call the file.
        unit: "line" or "row": what `lines` count.
        lines: Where each row stands in the file, from 1.
        numbers: Name -> float64 array of shape (rows,); NaN where a cell is missing.
        words: Name -> list of texts; None where a cell is missing.
    """

    file: str
    unit: str
    lines: Sequence[int]
    numbers: Mapping[str, NumberArray]
    words: Mapping[str, list[str | None]]

    def place(self, row: int, column: str) -> str:
        """Return "houses.csv, line 7, column `area`"."""
        return f"{self.file}, {self.unit} {self.lines[row]}, column `{column}`"

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
        )


class TableFile(ABC):
    """A file that holds a table.

    Attributes:
        path: The file.
        names: What its columns are called.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        """Check the names."""
        self.path = path
        self.names = tuple(names)
        if not self.names:
            raise DataError(f"{path}: has no columns.")
        for place, name in enumerate(self.names, start=1):
            if not name:
                raise DataError(f"{path}: column {place} has no name. The first line must name every column.")
            if name in self.names[: place - 1]:
                raise DataError(f"{path}: two columns are called `{name}`. Give each a name of its own.")

    @abstractmethod
    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name; all of them are among `names`.

        Args:
            wanted: Name -> what its cells are.

        Raises:
            DataError: If a cell is not of its kind, or the rows are inconsistent.
        """


def open_table(path: Path, delimiter: str | None, origin: str) -> TableFile:
    """Return a table file, its names read.

    Args:
        path: The file; its suffix says what it is.
        delimiter: What separates the cells of a CSV file; None for a comma, or a tab in a .tsv file.
        origin: The recipe's key that names it, for messages.

    Raises:
        DataError: If it cannot be read, or names no columns.
        MissingDependencyError: If it is a Parquet file and there is no pyarrow.
    """
    if not path.exists():
        where = "" if path.is_absolute() else f" It is looked for from the current directory, {Path.cwd()}."
        raise DataError(f"{origin} = {str(path)!r}: there is no such file.{where}")
    suffix = path.suffix.lower()
    if path.is_dir() or suffix not in SUFFIXES:
        what = "is a folder" if path.is_dir() else f"has the suffix {path.suffix!r}"
        raise DataError(f"{origin} = {str(path)!r}: {what}; a table is a file that ends in {', '.join(SUFFIXES)}.")
    if suffix == ".parquet":
        return ParquetTable(path)
    if suffix in {".npy", ".npz"}:
        return ArrayTable(path)
    return CsvTable(path, delimiter or ("\t" if suffix == ".tsv" else ","))


class CsvTable(TableFile):
    """A text file with a line of names and then a line for each row, in UTF-8.

    Args:
        path: The file.
        delimiter: What separates cells.
    """

    def __init__(self, path: Path, delimiter: str) -> None:
        """Read the names."""
        self._delimiter = delimiter
        self.path = path
        names = next((cells for _, cells in self._rows()), None)
        if names is None:
            raise DataError(f"{path}: holds nothing, not even a line that names the columns.")
        names = [name.strip() for name in names]
        if all(_is_number(name) for name in names):
            raise DataError(
                f"{path}, line 1: must name the columns, such as area,rooms,price; got numbers: {', '.join(names)}."
            )
        other = next((sign for sign in ";\t," if len(names) == 1 and sign in names[0]), None)
        if other is not None:
            raise DataError(
                f"{path}, line 1: is one column, {names[0]!r}, since cells are separated by {delimiter!r}. "
                f"Set data.options.delimiter = {other!r}."
            )
        super().__init__(path, names)

    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name."""
        numbers = {name: array("d") for name, want in wanted.items() if want.kind == "number"}
        words: dict[str, list[str | None]] = {name: [] for name, want in wanted.items() if want.kind == "word"}
        places = {name: self.names.index(name) for name in wanted}
        known: dict[str, str] = {}  # equal words are one object
        lines = array("q")
        rows = self._rows()
        next(rows)
        for line, cells in rows:
            if len(cells) != len(self.names):
                raise DataError(
                    f"{self.path}, line {line}: has {len(cells)} cell(s), but there are {len(self.names)} columns: "
                    f"{_shortened(self.names)}."
                )
            lines.append(line)
            for name, column in numbers.items():
                cell = cells[places[name]]
                try:
                    column.append(read_number(cell))
                except ValueError as error:
                    raise DataError(
                        f"{self.path}, line {line}, column `{name}`: {cell[:40]!r} {error}.{wanted[name].hint}"
                    ) from None
            for name, texts in words.items():
                cell = cells[places[name]].strip()
                texts.append(known.setdefault(cell, cell) or None)
        return _columns(self.path, "line", lines, {name: np.array(column) for name, column in numbers.items()}, words)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line at which each row ends, and its cells; blank lines are no rows."""
        line = 0
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, delimiter=self._delimiter, strict=True)
                for cells in reader:
                    line = reader.line_num
                    if cells and (len(cells) > 1 or cells[0].strip()):
                        yield line, cells
        except UnicodeDecodeError:
            raise DataError(f"{self.path}, after line {line}: is no text in UTF-8. Save it as UTF-8.") from None
        except csv.Error as error:
            raise DataError(f"{self.path}, after line {line}: {error}.") from None
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror or error}.") from None


class ParquetTable(TableFile):
    """A Parquet file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        """Read the names."""
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise MissingDependencyError(
                f'{path}: Parquet is read by pyarrow, which is not installed. Run: pip install "downslope[tables]"'
            ) from None
        self._arrow: Any = pyarrow
        try:
            self._table: Any = parquet.ParquetFile(path)
            names = list(self._table.schema_arrow.names)
        except (pyarrow.ArrowException, OSError) as error:
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
    """

    def __init__(self, path: Path) -> None:
        """Read it; columns of an array without names are called 0, 1, 2, ..."""
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
            self._columns = {str(place): found[:, place] for place in range(found.shape[1])}
        else:
            raise DataError(f"{path}: must have two dimensions, (rows, columns); got shape {found.shape}.")
        for name, column in self._columns.items():
            first = next(iter(self._columns.values()))
            if column.ndim != 1 or len(column) != len(first):
                raise DataError(
                    f"{path}: each array must be a column, all equally long; `{name}` has shape {column.shape}, the "
                    f"first one {first.shape}."
                )
        super().__init__(path, list(self._columns))

    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name."""
        columns: dict[str, Any] = {}
        for name, want in wanted.items():
            column = self._columns[name]
            fits = column.dtype.kind in "fiub" and want.kind == "number"
            columns[name] = column.astype(np.float64) if fits else column.tolist()
        return _convert(self.path, columns, wanted)


def read_number(cell: str) -> float:
    """Return the number that a text is, NaN where it stands for a missing one.

    Raises:
        ValueError: If it is none, or not finite; the message continues a sentence that begins with the text.

    Example:
        >>> read_number(" -1.5e3 "), read_number("NA")
        (-1500.0, nan)
    """
    text = cell.strip()
    if text.lower() in MISSING_NUMBERS:
        return math.nan
    try:
        number = math.inf if "_" in text else float(text)  # Python's own 1_000 is nobody's data
    except ValueError:
        raise ValueError("is not a number") from None
    if not math.isfinite(number):
        raise ValueError("is not a number" if "_" in text else "is not finite")
    return number


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
    return _columns(path, "row", range(1, count + 1), numbers, words)


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


def _columns(
    path: Path,
    unit: str,
    lines: Sequence[int],
    numbers: Mapping[str, NumberArray],
    words: Mapping[str, list[str | None]],
) -> Columns:
    if len(lines) == 0:
        raise DataError(f"{path}: holds no rows.")
    return Columns(file=str(path), unit=unit, lines=lines, numbers=numbers, words=words)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(read_number(text))
    except ValueError:
        return False


def _shortened(names: Iterable[str], most: int = 8) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".") if text else type(error).__name__
