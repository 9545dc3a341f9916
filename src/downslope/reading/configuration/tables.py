"""Tables of several columns: settings in a row under their names, or in a column beside them; rates by stage."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import NamedTuple

from downslope.reading.arithmetic import is_number
from downslope.reading.configuration.entries import Entry, as_number, scalar
from downslope.reading.configuration.settings import key_of, meanings

_TABLE = re.compile(
    r"^[ \t]*\|?[^|\n]{1,80}\|[^\n]{1,400}\n[ \t]*\|?[ \t:-]{2,80}\|[ \t:|-]{2,400}"
    r"(?:\n[^|\n]{0,80}\|[^\n]{1,400}){1,40}$",
    re.MULTILINE,
)
_COLUMNED = re.compile(
    r"^[^\d\n,\t|=:(][^\n,\t|=:(]{0,39}(?:[,\t][^\n,\t|=:(]{1,40}){2,40}(?:\n[^\n,\t|]{0,40}(?:[,\t][^\n,\t|]{0,40}){2,40}){1,40}$",
    re.MULTILINE,
)
"""Lines of a spreadsheet: names, and under them values, with commas or tabs between."""

_CELL = re.compile(r"[^|\n]+")
_COLUMNED_CELL = re.compile(r"[^,\t\n]+")
_SPAN = re.compile(r"(\d{1,7})\s?(?:[-~～–—]|to|至|到)\s?(\d{1,7})")
_TIMES = re.compile(r"(?:epochs?|iter\w{0,8}|steps?|轮[数次]?)(?: ?range)?", re.IGNORECASE)


class Cell(NamedTuple):
    """The words of a cell and their place."""

    words: str
    start: int
    end: int


def find_tables(text: str) -> list[tuple[int, int]]:
    """Return where the tables stand that hold settings."""
    barred = [match.span() for match in _TABLE.finditer(text) if read_table(match[0])]
    return barred or [match.span() for match in _COLUMNED.finditer(text) if read_table(match[0])]


def read_table(text: str) -> list[Entry]:
    r"""Return the settings of a table, of those that differ from row to row only rates by stage.

    Example:
        >>> [(one.path, one.value) for one in read_table("|lr|momentum|model|\n|--|--|--|\n|0.1|0.9|A|\n|0.2|0.9|B|")]
        [(('momentum',), 0.9)]
        >>> read_table("|epoch|lr|wd|\n|--|--|--|\n|0-29|0.1|1e-4|\n|30-59|0.01|1e-4|")[0].value
        [[0.0, 0.1], [30.0, 0.01]]
    """
    barred = "|" in text
    lines = list(re.finditer(r"[^\n]+", text))
    cell = _CELL if barred else _COLUMNED_CELL
    names = _named(_cells(text, lines[0], cell))
    if not (barred or _are_settings(names)):
        return []
    rows = [_cells(text, line, cell) for line in lines[2 if barred else 1 :]]
    if not barred and any(len(row) != len(names) for row in rows):
        return []
    if len(names) < 3:
        return _stages(names, rows)
    if not _are_settings(names):  # their names stand in the first column
        columns = zip_longest(_cells(text, lines[0], cell), *rows, fillvalue=Cell("", 0, 0))
        names, *rows = (list(column) for column in columns)
        names = _named(names)
    if not _are_settings(names):
        return []
    found = _stages(names, rows)
    for name, *column in zip(names, *rows, strict=False):
        if column and len({cell.words for cell in column}) == 1 and not _SPAN.fullmatch(column[0].words):
            found.append(Entry((name.words,), scalar(column[0].words), min(name.start, column[0].start), column[0].end))
    return found


def _named(cells: list[Cell]) -> list[Cell]:
    """Return cells that hold names, each as the key that it stands for."""
    return [one._replace(words=key_of(one.words)) for one in cells]


def _are_settings(names: list[Cell]) -> bool:
    return sum(bool(meanings(one.words)) for one in names) > 1


def _cells(text: str, line: re.Match[str], cell: re.Pattern[str]) -> list[Cell]:
    found: list[Cell] = []
    for match in cell.finditer(text, *line.span()):
        words = match[0].strip(" \t*`$#%")
        if words:
            start = match.start() + match[0].index(words)
            found.append(Cell(words, start, start + len(words)))
    return found


def _stages(names: list[Cell], rows: list[list[Cell]]) -> list[Entry]:
    """Return the rates of rows that each tell a stretch of the training, and where the last one ends."""
    at = next((place for place, cell in enumerate(names) if _TIMES.fullmatch(cell.words)), None)
    rate = next((place for place, cell in enumerate(names) if meanings(cell.words)[:1] == ["lr"]), None)
    if at is None or rate is None or any(len(row) <= max(at, rate) for row in rows):
        return []
    spans = [_SPAN.fullmatch(row[at].words) for row in rows]
    rates = [as_number(row[rate].words) for row in rows]
    if len(rows) < 2 or not all(spans) or not all(map(is_number, rates)):
        return []
    bounds = [(float(span[1]), float(span[2])) for span in spans if span]
    first = min(bounds[0][0], 1)  # epochs may be counted from 1
    levels = [[low - first, rate] for (low, _), rate in zip(bounds, rates, strict=True)]
    end = rows[-1][at]
    unit = "epochs" if names[at].words.lower().startswith(("epoch", "轮")) else "iterations"
    last = Entry((unit,), bounds[-1][1] + (first == 0 and bounds[0][1] % 10 == 9), end.start, end.end)
    return [Entry(("lr_schedule",), levels, rows[0][at].start, rows[-1][rate].end), last]
