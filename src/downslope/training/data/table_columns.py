"""Columns of a table in memory, and what every kind of file that holds them offers.

What lives here: the columns, where each cell stands for messages, and what is a number. What does not: any format of
files (`table_csv.py`, `table_arrays.py`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from downslope.core.errors import DataError

NumberArray = np.ndarray[Any, np.dtype[np.float64]]

MISSING_NUMBERS = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""How a missing number is written, in small letters; among words only an empty cell is missing: NA may be a country."""


@dataclass(frozen=True)
class Wanted:
    """A column that is asked for.

    Attributes:
        kind: Whether its cells are numbers or words.
        hint: What to do if a cell is no number.
    """

    kind: Literal["number", "word"]
    hint: str = ""


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
        is_named: Whether it says so itself.
        hint: What to do if a name is not among them.
    """

    def __init__(self, path: Path, names: Sequence[str], *, is_named: bool = True, hint: str = "") -> None:
        """Check the names."""
        self.path = path
        self.names = tuple(names)
        self.is_named = is_named
        self.hint = hint
        if not self.names:
            raise DataError(f"{path}: has no columns.")
        for place, name in enumerate(self.names, start=1):
            if not name:
                raise DataError(f"{path}: column {place} has no name. The first line must name every column.")
            if name in self.names[: place - 1]:
                raise DataError(f"{path}: two columns are called `{name}`. Give each a name of its own.{hint}")

    @abstractmethod
    def read(self, wanted: Mapping[str, Wanted]) -> Columns:
        """Return columns by name; all of them are among `names`.

        Args:
            wanted: Name -> what its cells are.

        Raises:
            DataError: If a cell is not of its kind, or the rows are inconsistent.
        """


def make_columns(
    path: Path,
    unit: str,
    lines: Sequence[int],
    numbers: Mapping[str, NumberArray],
    words: Mapping[str, list[str | None]],
) -> Columns:
    """Return columns in memory, of one row at least.

    Args:
        path: The file.
        unit: As in `Columns`.
        lines: As in `Columns`.
        numbers: As in `Columns`.
        words: As in `Columns`.

    Raises:
        DataError: If there are no rows.
    """
    if len(lines) == 0:
        raise DataError(f"{path}: holds no rows.")
    return Columns(file=str(path), unit=unit, lines=lines, numbers=numbers, words=words)


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


def shorten(names: Iterable[str], most: int = 8) -> str:
    """Return names as a list that is never long: "area, rooms, ..."."""
    names = list(names)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
