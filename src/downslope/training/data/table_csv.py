"""Tables as text: a line of names, then a line for each row, read by the standard library's `csv`.

What lives here: the reader, and errors that name file, line and column.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from downslope.core.errors import DataError
from downslope.training.data.table_columns import Columns, TableFile, Wanted, make_columns, read_number


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
        return make_columns(
            self.path, "line", lines, {name: np.array(column) for name, column in numbers.items()}, words
        )

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
            raise DataError(f"{self.path}, line {_find_bad_line(self.path)}: is no UTF-8. Save it as UTF-8.") from None
        except csv.Error as error:
            where = f"after line {line}" if line else "line 1"
            raise DataError(f"{self.path}, {where}: {error}.") from None
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror or error}.") from None


def _find_bad_line(path: Path) -> int:
    """Return the first line that is no UTF-8; the reader decodes far ahead of the rows that it yields."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 0


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(read_number(text))
    except ValueError:
        return False


def _shortened(names: Iterable[str], most: int = 8) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
