"""A table as text, .csv or .tsv: its names, its rows, and what a cell that is no number may mean."""

from __future__ import annotations

import csv
import io
import math
import re
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from downslope.core.errors import DataError
from downslope.core.files import open_regular
from downslope.core.shown import shown
from downslope.core.tables import toml_line
from downslope.training.data.table_columns import (
    MOST_COLUMNS,
    Columns,
    TableFile,
    Unnamed,
    Wanted,
    check_count,
    make_columns,
    rows_at_once,
    shorten,
    targets_of,
)
from downslope.training.data.table_options import Options
from downslope.training.data.table_problems import KEY, Findings, TableError, quoted
from downslope.training.data.text_encoding import check_encoding, find_bad_byte, find_foreign_kind, find_foreign_mark

_FIRST = 100
"""How many rows are looked at to see whether each has one cell more, or less, than the first line has names."""

_COMMENTS = ("#", "//", "%", "--", ";;")
"""What comments begin with elsewhere."""

_UNUSUAL = re.compile(r"(?:^|,)\s*[+-]?0[0-9]|_")
"""What Python takes for a number and a table may mean otherwise: leading zeros, as of a code, and 1_000."""


class CsvTable(TableFile):
    """A text file with a line for each row; where it is `fixed`, a run decides its options, and advice differs."""

    def __init__(self, path: Path, options: Options, unnamed: Unnamed, *, fixed: bool) -> None:
        self.path = path
        self.options, self._fixed = options, fixed
        self._delimiter = options.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
        self._encoding = check_encoding(options.encoding or "utf-8")
        begun = self._begin()
        if not begun:
            more = ", not even a line that names the columns" if options.has_header else ""
            raise DataError(f"{shown(path)}: holds nothing{more}.")
        line, first = begun[0]
        self.first_line = line
        first = [cell.strip() for cell in first]
        self._check_cells(line, first, begun)
        numbers = [name for name in first if self._is_number(name)]
        known = set(unnamed.names or ()) if fixed else set[str]()
        in_order = fixed and options.header is None and bool(numbers) and not known.intersection(first)
        self.has_header = options.has_header and not in_order  # else an example already, in the run's order
        if not self.has_header:
            self._name(line, first, unnamed, [row for _, row in begun])
            return
        if options.header is None and len(numbers) == len(first):
            raise DataError(
                f"{shown(path)}, line {line}: must name the columns, such as area,rooms,price; got numbers: "
                f"{shorten(numbers)}.{self._advise_header()}{self._advise_numbers()}"
            )
        names = _fit(first, [row for _, row in begun[1:]])
        self.has_empty_name = len(names) <= len(first)
        if len(names) < len(first):
            self.remarks = (f"{shown(path)}, line {line}: ends with a comma that no other line has; it is left out",)
        super().__init__(path, names, hint=self._advise_header() if numbers and options.header is None else "")

    def _begin(self) -> list[tuple[int, list[str]]]:
        """Return the first rows, a hundred or fewer long ones."""
        begun: list[tuple[int, list[str]]] = []
        cells = 0
        for line, row in self._rows():
            check_count(self.path, len(row))
            begun.append((line, row))
            cells += len(row)
            if len(begun) > _FIRST or cells > MOST_COLUMNS:
                break
        return begun

    def _name(self, line: int, first: Sequence[str], unnamed: Unnamed, rows: Sequence[Sequence[str]]) -> None:
        """Name the columns of a file that does not."""
        place = f"{shown(self.path)}, line {line}"
        count = len(first)
        trailing = 1 if unnamed.names is not None and count > len(unnamed.names) and _end_empty(rows, count) else 0
        names = [*unnamed.name(place, count - trailing), *[""] * trailing]
        super().__init__(self.path, names, is_named=False)
        if self.options.names is not None and [*first] == names:
            advice = "Take it out, as it is in the run's own table." if self._fixed else f"Leave {KEY}.names out."
            raise DataError(f"{place}: holds the names themselves. {advice}")

    def texts(self, place: int) -> Iterator[str]:
        """Yield the cells of one column."""
        for _, cells in self._examples():
            yield cells[place].strip() if place < len(cells) else ""

    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name."""
        return next(self.chunks(wanted, sys.maxsize))

    def chunks(self, wanted: Mapping[str, Wanted], size: int | None = None) -> Iterator[Columns]:
        """Yield the rows in order, part by part."""
        size = size or rows_at_once(len(wanted))
        part = _Part(self, wanted)
        width = len(self.names)
        for line, cells in self._examples():
            if len(cells) != width:
                part.reading.findings.add_row(self._describe_row(line, cells), self._comment_sign(cells[0]))
                continue
            if len(part.lines) == size:
                yield part.columns()
                part = _Part(self, wanted)
            part.add(line, cells)
        yield part.columns()

    def place(self, line: int, column: str) -> str:
        """Return "houses.csv, line 7, column `area`"."""
        return f"{shown(self.path)}, line {line}, column `{shown(column)}`"

    def first_line_hint(self) -> str:
        """Return what to do where the first line of a file without names holds words."""
        return f" It is the first line: if it names the columns, {self._advise_no_header()}"

    def findings(self, targets: AbstractSet[str]) -> Findings:
        """Return where to note what is wrong."""
        return Findings(
            self.options.numbers, semicolons=self._delimiter == ";", targets=targets, is_text=not self._fixed
        )

    def _describe_row(self, line: int, cells: Sequence[str]) -> str:
        return (
            f"{shown(self.path)}, line {line}: has {len(cells)} cell(s), but there are {len(self.names)} columns: "
            f"{shorten(self.names)}."
        )

    def _comment_sign(self, cell: str) -> str | None:
        """Return what a line that begins with this cell is a comment by, if the options name no such sign."""
        if self.options.comment is not None or self._fixed:
            return None
        return next((sign for sign in _COMMENTS if cell.startswith(sign)), None)

    def _is_number(self, text: str) -> bool:
        try:
            return math.isfinite(self.options.numbers.read(text))
        except ValueError:
            return False

    def _examples(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows without the line of names."""
        return islice(self._rows(), 1 if self.has_header else 0, None)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line at which each row ends, and its cells; blank lines and comments are no rows."""
        line = 0
        try:
            with open_regular(self.path, DataError) as binary:
                self._check_kind(binary.read(8))
            with open_regular(self.path, DataError) as binary:
                file = io.TextIOWrapper(binary, encoding=self._encoding, newline="")
                if file.read(1) != "\ufeff":  # the mark that some editors write, before a quote too
                    file.seek(0)
                lines = _Lines(file, self.options.comment)
                reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
                for cells in reader:
                    line = lines.count
                    lines.begins = True
                    if cells and (len(cells) > 1 or cells[0].strip()):
                        yield line, cells
        except UnicodeError:
            raise DataError(self._describe_bad_byte()) from None
        except csv.Error as error:
            where = f"after line {line}" if line else "line 1"
            raise DataError(f"{shown(self.path)}, {where}: {error}.") from None
        except OSError as error:
            raise DataError(f"{shown(self.path)}: cannot be read: {error.strerror or error}.") from None

    def _check_kind(self, start: bytes) -> None:
        """Raise if the file's first bytes say that it is no text, or in another encoding."""
        kind = find_foreign_kind(start)
        if kind is not None:
            raise DataError(f"{shown(self.path)}: is {kind}, not text. Unpack it, or save it as CSV.")
        foreign = find_foreign_mark(start, self._encoding)
        if foreign is not None:
            raise TableError(
                [f"{shown(self.path)}: begins with the mark of {foreign}.{self._advise_encoding(foreign)}"],
                {} if self._fixed else {"encoding": foreign},
            )

    def _check_cells(self, line: int, cells: Sequence[str], begun: Sequence[tuple[int, list[str]]]) -> None:
        """Raise if the first row shows another delimiter or encoding, or is a comment."""
        place = f"{shown(self.path)}, line {line}"
        if any("\0" in cell for cell in cells):
            order = "be" if cells[0].startswith("\0") else "le"
            raise TableError(
                f"{place}: has characters of the number 0, as text in UTF-16 has if it is read "
                f"otherwise.{self._advise_encoding(f'utf-16-{order}')}",
                {} if self._fixed else {"encoding": f"utf-16-{order}"},
            )
        self._check_comment(place, cells, begun)
        signs = "".join(sign for sign in ";\t|," if sign != self._delimiter)
        other = next((sign for sign in signs if len(cells) == 1 and sign in cells[0]), None)
        if other is not None:
            advice = f"Set {KEY}.delimiter = {other!r}."
            if self._fixed:
                advice = "The run reads its tables so; write this one like them."
            raise TableError(
                f"{place}: is one column, {quoted(cells[0])}, since cells are separated by "
                f"{self._delimiter!r}. {advice}",
                {} if self._fixed else {"delimiter": other},
            )

    def _check_comment(self, place: str, cells: Sequence[str], begun: Sequence[tuple[int, list[str]]]) -> None:
        """Raise if the first line is a comment: it begins as one, and the next that does not has other cells."""
        sign = self._comment_sign(cells[0])
        if sign is None:
            return
        rest = next((row for _, row in begun if not row[0].lstrip().startswith(sign)), None)
        if rest is not None and len(rest) == len(cells) and len(cells) > 1:
            return  # it names the columns, and the first is called #id
        advice = f"Set {KEY}.comment = {toml_line(sign)}, and such lines are left out."
        raise TableError([f"{place}: {quoted(cells[0])} looks like a comment. {advice}"], {"comment": sign})

    def _describe_bad_byte(self) -> str:
        try:
            line, place, byte = find_bad_byte(self.path, self._encoding)
        except UnicodeError as error:  # as UTF-16's does where the mark is missing that tells the order of its bytes
            orders = [f"{self._encoding}-{order}" for order in ("le", "be") if self._encoding in {"utf-16", "utf-32"}]
            return f"{shown(self.path)}: is not {self._shown_encoding()}: {error}.{self._advise_encoding(*orders)}"
        return (
            f"{shown(self.path)}, line {line}: is not {self._shown_encoding()} at byte {place:,} (0x{byte:02x})."
            f"{self._advise_encoding()}"
        )

    def _shown_encoding(self) -> str:
        return "UTF-8" if self._encoding == "utf-8" else (self.options.encoding or self._encoding)

    def _advise_encoding(self, *likely: str) -> str:
        if self._fixed:
            return f" The run reads its tables as {self._shown_encoding()}; save it so."
        if likely:
            found = " or ".join(f'"{encoding}"' for encoding in likely)
            return f" Set {KEY}.encoding = {found}, or save it as {self._shown_encoding()}."
        return (
            f' Set {KEY}.encoding to the one it was saved in, such as "cp1252" (Western Europe), "gb18030" (Chinese) '
            'or "utf-16", or save it as UTF-8.'
        )

    def _advise_header(self) -> str:
        if self._fixed:
            return " The run's own table names its columns in the first line, and so must this."
        return (
            f" If the first line is an example already, set {KEY}.header = false, and the columns are called "
            f'"0", "1", ..., or name them: {KEY}.names = [...].'
        )

    def _advise_numbers(self) -> str:
        return "" if self._fixed else f" If these are names, set {KEY}.header = true."

    def _advise_no_header(self) -> str:
        if self._fixed:
            return "remove it: the run's own table has no such line."
        return f"leave {KEY}.{'header' if self.options.names is None else 'names'} out."


class _Part:
    """Rows of a table in memory, as they are read."""

    def __init__(self, table: CsvTable, wanted: Mapping[str, Wanted]) -> None:
        self._table = table
        self._names = [name for name, want in wanted.items() if want.kind == "number"]
        self._word_places = [(table.places[name], name) for name, want in wanted.items() if want.kind == "word"]
        self._pick = _picker([table.places[name] for name in self._names])
        self._words: dict[str, list[str | None]] = {name: [] for _, name in self._word_places}
        # equal words are one object
        self._known: dict[str, str | None] = dict.fromkeys(("", *table.options.missing_marks))
        self._numbers = array("d")
        self.lines = array("q")
        self.reading = _Numbers(table, wanted, self._names)

    def add(self, line: int, cells: Sequence[str]) -> None:
        """Add a row."""
        self.lines.append(line)
        is_first = len(self.lines) == 1 and line == self._table.first_line
        self._numbers.extend(self.reading.row(self._pick(cells), line, is_first=is_first))
        for place, name in self._word_places:
            cell = cells[place].strip()
            self._words[name].append(self._known.setdefault(cell, cell))

    def columns(self) -> Columns:
        """Return the rows so far by columns; raise what is wrong with any."""
        self.reading.findings.raise_if_any(len(self.lines))
        table = np.frombuffer(self._numbers, dtype=np.float64).reshape(len(self.lines), len(self._names))
        columns = np.ascontiguousarray(table.T)
        numbers = {name: columns[place] for place, name in enumerate(self._names)}
        return make_columns(self._table.path, "line", self.lines, numbers, self._words, self.reading.notes())


class _Lines:
    """The lines of a file for the reader of `csv`, without those that are comments where a row begins."""

    def __init__(self, file: Iterable[str], comment: str | None) -> None:
        self._file = iter(file)
        self._comment = comment
        self.count = 0
        self.begins = True

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        text = next(self._file)
        self.count += 1
        while self.begins and self._comment is not None and text.startswith(self._comment):
            text = next(self._file)
            self.count += 1
        self.begins = False
        return text


class _Numbers:
    """Reads the cells of a table that are numbers, row by row, and notes what is none."""

    def __init__(self, table: CsvTable, wanted: Mapping[str, Wanted], names: Sequence[str]) -> None:
        self._table, self._wanted, self._names = table, wanted, names
        self._form = table.options.numbers
        self.findings = table.findings(targets_of(wanted))
        self._units: dict[str, str] = {}
        self._zeros: dict[str, list[Any]] = {}
        self._foreign: dict[str, list[Any]] = {}

    def row(self, cells: Sequence[str], line: int, *, is_first: bool) -> Sequence[float]:
        """Return the numbers of a row, NaN where a cell is missing or none."""
        if self._form.is_plain:  # the usual row is read at once, not cell by cell
            joined = ",".join(cells)
            if joined.isascii() and _UNUSUAL.search(joined) is None:
                try:
                    numbers = tuple(map(float, cells))
                except ValueError:
                    pass
                else:
                    if math.isfinite(sum(map(abs, numbers))):
                        self.findings.has_points = self.findings.has_points or "." in joined
                        return numbers
        numbers = [self._cell(name, cell, line) for name, cell in zip(self._names, cells, strict=True)]
        if is_first and not self._table.has_header and len(self.findings.columns) == len(cells) > 0:
            first = next(iter(self.findings.columns.values()))
            first.hint = self._table.first_line_hint()
            raise TableError(first.describe(first.hint, 1))
        return numbers

    def _cell(self, name: str, cell: str, line: int) -> float:
        try:
            number = self._wanted[name].read(cell, self._form)
        except ValueError as error:
            place = self._table.place(line, name)
            self.findings.add_cell(name, cell, str(error), place, self._wanted[name].hint)
            return math.nan
        if math.isnan(number):
            return number
        text = cell.strip()
        self.findings.has_points = self.findings.has_points or (self._form.decimal == "." and "." in text)
        if self._form.units:
            unit, text = self._form.split_unit(text)
            known = self._units.setdefault(name, unit)
            if known != unit and name not in self.findings.mixed:
                self.findings.mixed[name] = (
                    f"{self._table.place(line, name)}: {quoted(cell)} has {_unit_words(unit)}, the cells before it "
                    f"{_unit_words(known)}: they are not the same quantity. Write all of them in one."
                )
        digits = text.lstrip("+-")
        if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
            self._zeros.setdefault(name, [0, cell])[0] += 1
        if not text.isascii():
            self._foreign.setdefault(name, [0, cell])[0] += 1
        return number

    def notes(self) -> list[str]:
        """Return what a person should know of how cells were read."""
        zeros = [
            f"column `{shown(name)}`: {count:,} cell(s) begin with 0, such as {quoted(cell.strip())}, and are read as "
            f"numbers; if they are codes, set {KEY}.categories = {toml_line([name])}"
            for name, (count, cell) in self._zeros.items()
        ]
        foreign = [
            f"column `{shown(name)}`: {count:,} cell(s) are written in other signs than 0 to 9, such as "
            f"{quoted(cell.strip())}, read as {self._form.read(cell):g}"
            for name, (count, cell) in self._foreign.items()
        ]
        return [*zeros, *foreign]


def _unit_words(unit: str) -> str:
    return f"the unit {quoted(unit)}" if unit else "no unit"


def _picker(places: Sequence[int]) -> Any:
    """Return a function from a row to these cells of it."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda cells: [cells[place] for place in places]


def _fit(names: list[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return names as many as each row has cells, where that is certain.

    A comma at the end of every line is a column of nothing without a name; where rows are longer otherwise, what pandas
    and R write is meant: they give the first column, the index, no name.
    """
    count = len(names)
    if rows and all(len(row) == count + 1 for row in rows):
        return [*names, ""] if _end_empty(rows, count + 1) else ["", *names]
    if names[-1] == "" and count > 1 and rows and all(len(row) == count - 1 for row in rows):
        return names[:-1]
    return names


def _end_empty(rows: Sequence[Sequence[str]], count: int) -> bool:
    return all(len(row) == count and not row[-1].strip() for row in rows)
