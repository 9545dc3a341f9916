"""Tables as text: a line of names, if there is one, then a line for each row, read by the standard library's `csv`.

What lives here: the format, the reader, and errors that name file, line and column. What does not: encodings
(`text_encoding.py`).
"""

from __future__ import annotations

import csv
import math
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from downslope.core.errors import DataError
from downslope.training.data.table_columns import (
    Columns,
    TableFile,
    Unnamed,
    Wanted,
    make_columns,
    read_number,
    shorten,
)
from downslope.training.data.text_encoding import check_encoding, find_bad_byte, find_foreign_mark

_KEY = "data.options"
_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class TextFormat:
    """How a table is written as text.

    Attributes:
        delimiter: What separates cells; None for a comma, or a tab in a .tsv file.
        encoding: How characters are stored; None for UTF-8.
        header: Whether the first line names the columns; None if it does and is not nothing but numbers.
        names: What to call the columns of a file without such a line; None to count them from 0.
        decimal: What separates whole numbers from their fractions; None for a point.
    """

    delimiter: str | None = None
    encoding: str | None = None
    header: bool | None = None
    names: tuple[str, ...] | None = None
    decimal: Literal[".", ","] | None = None

    def __post_init__(self) -> None:
        """Check what needs no file."""
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise DataError(f'`delimiter` must be one character, such as ";"; got {self.delimiter!r}.')
        if self.encoding is not None:
            check_encoding(self.encoding)
        if self.names is None:
            return
        if self.header:
            raise DataError("`names` is for a file whose first line is an example; with `header = true`, leave it out.")
        if not self.names:
            raise DataError("`names` must name every column; got none.")
        for place, name in enumerate(self.names):
            if not name.strip() or name.strip() != name:
                raise DataError(f"`names` must be words without space around them; number {place + 1} is {name!r}.")
            if name in self.names[:place]:
                raise DataError(f"`names` names {name!r} twice.")

    @property
    def has_header(self) -> bool:
        """Whether the first line is taken for names."""
        return self.header is not False and self.names is None

    def given(self) -> list[str]:
        """Return the options that are not left at their defaults."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]


class CsvTable(TableFile):
    """A text file with a line for each row.

    Args:
        path: The file.
        form: How it is written.
        unnamed: What its columns are if it does not say so.
        fixed: Whether a run decides `form`, so that nobody can change it now.
    """

    def __init__(self, path: Path, form: TextFormat, unnamed: Unnamed, *, fixed: bool) -> None:
        """Read the names."""
        self.path = path
        self._form, self._fixed = form, fixed
        self._delimiter = form.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
        self._encoding = check_encoding(form.encoding or "utf-8")
        line, first = next(self._rows(), (0, None))
        if first is None:
            more = ", not even a line that names the columns" if form.has_header else ""
            raise DataError(f"{path}: holds nothing{more}.")
        first = [cell.strip() for cell in first]
        self._check_cells(line, first)
        numbers = [name for name in first if self._is_number(name)]
        known = set(unnamed.names or ()) if fixed else set[str]()
        in_order = fixed and form.header is None and bool(numbers) and not known.intersection(first)
        self._has_header = form.has_header and not in_order  # else an example already, in the run's order
        if not self._has_header:
            super().__init__(path, unnamed.name(f"{path}, line {line}", len(first)), is_named=False)
            if form.names is not None and first == list(self.names):
                advice = "Take it out, as it is in the run's own table." if fixed else f"Leave {_KEY}.names out."
                raise DataError(f"{path}, line {line}: holds the names themselves. {advice}")
            return
        if form.header is None and len(numbers) == len(first):
            raise DataError(
                f"{path}, line {line}: must name the columns, such as area,rooms,price; got numbers: "
                f"{shorten(numbers)}.{self._advise_header()}{self._advise_numbers()}"
            )
        super().__init__(path, first, hint=self._advise_header() if numbers and form.header is None else "")

    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name."""
        numbers = {name: array("d") for name, want in wanted.items() if want.kind == "number"}
        words: dict[str, list[str | None]] = {name: [] for name, want in wanted.items() if want.kind == "word"}
        places = {name: self.names.index(name) for name in wanted}
        known: dict[str, str] = {}  # equal words are one object
        lines = array("q")
        rows = self._rows()
        if self._has_header:
            next(rows)
        for line, cells in rows:
            if len(cells) != len(self.names):
                raise DataError(
                    f"{self.path}, line {line}: has {len(cells)} cell(s), but there are {len(self.names)} columns: "
                    f"{shorten(self.names)}."
                )
            lines.append(line)
            for name, column in numbers.items():
                cell = cells[places[name]]
                try:
                    column.append(self._number(cell))
                except ValueError as error:
                    hint = self._advise_decimal(cell) or wanted[name].hint
                    if not self._has_header and len(lines) == 1:
                        hint = f" It is the first line: if it names the columns, {self._advise_no_header()}"
                    raise DataError(
                        f"{self.path}, line {line}, column `{name}`: {cell[:40]!r} {error}.{hint}"
                    ) from None
            for name, texts in words.items():
                cell = cells[places[name]].strip()
                texts.append(known.setdefault(cell, cell) or None)
        return make_columns(
            self.path, "line", lines, {name: np.array(column) for name, column in numbers.items()}, words
        )

    def _number(self, cell: str) -> float:
        if self._form.decimal != ",":
            return read_number(cell)
        if "." in cell:
            raise ValueError("has a point, where numbers are written with a decimal comma")
        return read_number(cell.replace(",", "."))

    def _is_number(self, text: str) -> bool:
        try:
            return math.isfinite(self._number(text))
        except ValueError:
            return False

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line at which each row ends, and its cells; blank lines are no rows."""
        line = 0
        try:
            foreign = find_foreign_mark(self.path, self._encoding)
            if foreign is not None:
                raise DataError(f"{self.path}: begins with the mark of {foreign}.{self._advise_encoding(foreign)}")
            with self.path.open(encoding=self._encoding, newline="") as file:
                if file.read(1) != "\ufeff":  # the mark that some editors write, before a quote too
                    file.seek(0)
                reader = csv.reader(file, delimiter=self._delimiter, strict=True)
                for cells in reader:
                    line = reader.line_num
                    if cells and (len(cells) > 1 or cells[0].strip()):
                        yield line, cells
        except UnicodeError:
            raise DataError(self._describe_bad_byte()) from None
        except csv.Error as error:
            where = f"after line {line}" if line else "line 1"
            raise DataError(f"{self.path}, {where}: {error}.") from None
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror or error}.") from None

    def _check_cells(self, line: int, cells: Sequence[str]) -> None:
        """Raise if the first row shows another delimiter or encoding."""
        if any("\0" in cell for cell in cells):
            order = "be" if cells[0].startswith("\0") else "le"
            raise DataError(
                f"{self.path}, line {line}: has characters of the number 0, as text in UTF-16 has if it is read "
                f"otherwise.{self._advise_encoding(f'utf-16-{order}')}"
            )
        other = next((sign for sign in ";\t," if len(cells) == 1 and sign in cells[0]), None)
        if other is not None:
            advice = f"Set {_KEY}.delimiter = {other!r}."
            if self._fixed:
                advice = "The run reads its tables so; write this one like them."
            raise DataError(
                f"{self.path}, line {line}: is one column, {cells[0]!r}, since cells are separated by "
                f"{self._delimiter!r}. {advice}"
            )

    def _describe_bad_byte(self) -> str:
        try:
            line, place, byte = find_bad_byte(self.path, self._encoding)
        except UnicodeError as error:  # as UTF-16's does where the mark is missing that tells the order of its bytes
            orders = [f"{self._encoding}-{order}" for order in ("le", "be") if self._encoding in {"utf-16", "utf-32"}]
            return f"{self.path}: is not {self._shown_encoding()}: {error}.{self._advise_encoding(*orders)}"
        return (
            f"{self.path}, line {line}: is not {self._shown_encoding()} at byte {place:,} (0x{byte:02x})."
            f"{self._advise_encoding()}"
        )

    def _shown_encoding(self) -> str:
        return "UTF-8" if self._encoding == "utf-8" else (self._form.encoding or self._encoding)

    def _advise_encoding(self, *likely: str) -> str:
        if self._fixed:
            return f" The run reads its tables as {self._shown_encoding()}; save it so."
        if likely:
            found = " or ".join(f'"{encoding}"' for encoding in likely)
            return f" Set {_KEY}.encoding = {found}, or save it as {self._shown_encoding()}."
        return (
            f' Set {_KEY}.encoding to the one it was saved in, such as "cp1252" (Western Europe), "gb18030" (Chinese) '
            'or "utf-16", or save it as UTF-8.'
        )

    def _advise_header(self) -> str:
        if self._fixed:
            return " The run's own table names its columns in the first line, and so must this."
        return (
            f" If the first line is an example already, set {_KEY}.header = false, and the columns are called "
            f'"0", "1", ..., or name them: {_KEY}.names = [...].'
        )

    def _advise_numbers(self) -> str:
        return "" if self._fixed else f" If these are names, set {_KEY}.header = true."

    def _advise_decimal(self, cell: str) -> str:
        """Return what to do about a number with a comma, or nothing."""
        if self._form.decimal == "," or self._fixed or not _COMMA.fullmatch(cell.strip()):
            return ""
        return f' If its comma stands for a decimal point, set {_KEY}.decimal = ",".'

    def _advise_no_header(self) -> str:
        if self._fixed:
            return "remove it: the run's own table has no such line."
        return f"leave {_KEY}.{'header' if self._form.names is None else 'names'} out."
