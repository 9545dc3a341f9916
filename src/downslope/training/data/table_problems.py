"""What is wrong with a table, gathered over all of it, and the options that would read it nevertheless.

A reader goes on after a cell that it cannot read and notes it here, so that a person hears of every column at once.
Where options can help they are part of the error as well; `advise` tries them out and shows them ready to paste.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from downslope.core.errors import DataError, DownslopeError
from downslope.core.shown import shown
from downslope.core.tables import toml_line
from downslope.training.data.table_numbers import FORMS, Cell, NumberForm, describe_cell

KEY = "data.options"

MOST_LINES = 12
"""How many columns or kinds of lines a message tells of one by one."""

_THOUSANDS, _DECIMAL = NumberForm(thousands=","), NumberForm(decimal=",")
"""Two ways to read 1,000."""

_DISTINCT = 200
"""How many different cells of a column are looked at to find out what they are."""

_FEW_WORDS = 50
"""Up to so many different words of a column are taken for categories."""

_FEW_MARKS = 3
"""Up to so many different words among numbers are taken for what stands for a missing one."""

_NAMED = 3
"""How many cells of a column are quoted."""


class TableError(DataError):
    """A table that cannot be read as its options say.

    Args:
        problems: One sentence or more for each thing that is wrong; one of them, or several.
        fixes: Options that would read it: a list is added to, anything else is set.
        missing: Problem -> the column whose missing cells it tells of.
        marked: Columns with words that are suggested to stand for a missing cell.
        plain: The same problems without what options would mend, for a run whose options are settled.
    """

    def __init__(
        self,
        problems: str | Sequence[str],
        fixes: Mapping[str, Any] | None = None,
        *,
        missing: Mapping[str, str] | None = None,
        marked: Iterable[str] = (),
        plain: Sequence[str] = (),
    ) -> None:
        problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(bounded(problems)))
        self.problems = problems
        self.fixes = dict(fixes or {})
        self.missing = dict(missing or {})
        self.marked = frozenset(marked)
        self.plain = tuple(plain)


def bounded(lines: Sequence[str]) -> list[str]:
    """Return lines, or the first ones and how many more there are."""
    more = len(lines) - MOST_LINES
    return list(lines) if more <= 0 else [*lines[:MOST_LINES], f"... and {more:,} more"]


def quoted(cell: object) -> str:
    """Return a cell in quotes as a message may have it: escaped, and shortened in its middle."""
    return f"'{shown(cell, 40)}'"


@dataclass
class BadCells:
    """The cells of one column that are no numbers.

    Attributes:
        place: Where the first of them stands: "houses.csv, line 7, column `area`".
        why: What is wrong with it: "is not a number".
        hint: What to do if nothing better is found.
        count: How many there are.
        cells: Different ones of them, the first ones first, and how often each stands there.
        quotes: Whether they are words, which are quoted.
    """

    place: str
    why: str
    hint: str
    quotes: bool = True
    count: int = 0
    cells: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, cell: str) -> None:
        """Count a cell."""
        self.count += 1
        if cell in self.cells or len(self.cells) < _DISTINCT:
            self.cells[cell] = self.cells.get(cell, 0) + 1

    def describe(self, hint: str, rows: int) -> str:
        """Return what is wrong, and what to do."""
        first, *others = [quoted(cell) if self.quotes else shown(cell, 40) for cell in [*self.cells][: _NAMED + 1]]
        more = ""
        if self.count > 1:
            such = f", such as {', '.join(others)}" if others else ""
            more = f" The same holds for {self.count - 1:,} more of its {rows:,} cells{such}."
        return f"{self.place}: {first} {self.why}.{more}{hint}"


class Findings:
    """What is wrong with the cells of a table, gathered while it is read.

    Args:
        form: How numbers are written, as the options say.
        semicolons: Whether a semicolon separates cells, so that commas are likely decimal ones.
        targets: The columns to learn, which can be neither left out nor made categories.
        is_text: Whether the table is text, so that options can say how numbers are written.
    """

    def __init__(
        self,
        form: NumberForm,
        *,
        semicolons: bool = False,
        targets: AbstractSet[str] = frozenset(),
        is_text: bool = True,
    ) -> None:
        self._form, self._semicolons, self._targets, self._is_text = form, semicolons, targets, is_text
        self.columns: dict[str, BadCells] = {}
        self.rows: list[str] = []
        self.comments: set[str | None] = set()  # the signs by which these rows may be comments
        self.more_rows = 0
        self.has_points = False  # whether some number has a decimal point, so that a point cannot mean anything else
        self.mixed: dict[str, str] = {}  # column -> its problem with units

    def add_cell(self, column: str, cell: str, why: str, place: str, hint: str, *, quotes: bool = True) -> None:
        """Note a cell that is no number."""
        found = self.columns.get(column)
        if found is None:
            found = self.columns[column] = BadCells(place, why, hint, quotes)
        found.add(cell)

    def add_row(self, problem: str, comment: str | None = None) -> None:
        """Note a row that has another number of cells."""
        self.comments.add(comment)
        if len(self.rows) < _NAMED:
            self.rows.append(problem)
        else:
            self.more_rows += 1

    def raise_if_any(self, rows: int) -> None:
        """Raise if something is wrong."""
        if not (self.columns or self.rows or self.mixed):
            return
        problems = list(self.rows)
        if self.more_rows:
            problems[-1] += f" So have {self.more_rows:,} more rows another number of cells."
        fixes: dict[str, Any] = {}
        sign = next(iter(self.comments)) if len(self.comments) == 1 else None
        if sign is not None:
            fixes["comment"] = sign
            problems[-1] += f" If it is a comment, set {KEY}.comment = {toml_line(sign)}."
        described = {name: {cell: describe_cell(cell) for cell in bad.cells} for name, bad in self.columns.items()}
        form = self._choose_form(described.values()) if self._is_text else self._form
        fixes |= _changes(self._form, form)
        marked: list[str] = []
        kept = {name: bad.hint if name in self._targets else "" for name, bad in self.columns.items()}
        plain = [*self.rows, *(self.columns[name].describe(hint, rows) for name, hint in kept.items())] if kept else []
        for name, bad in self.columns.items():
            hint, more = self._remedy(name, bad, described[name], form, rows)
            problems.append(bad.describe(hint, rows))
            marked += [name] if "missing_marks" in more else []
            for key, values in more.items():
                fixes[key] = [*dict.fromkeys([*fixes.get(key, ()), *values])]
        for name, problem in self.mixed.items():
            problems.append(problem)
            if name not in self._targets:
                fixes["ignore"] = [*fixes.get("ignore", ()), name]
        # options are no help unless they mend all that is wrong
        can_help = (not self.rows or "comment" in fixes) and self._targets.isdisjoint(self.mixed)
        raise TableError(problems, fixes if can_help else {}, marked=marked, plain=plain)

    def _choose_form(self, described: Iterable[Mapping[str, Cell]]) -> NumberForm:
        """Return how numbers are written such that most of the refused cells are numbers, units aside."""
        bare = NumberForm(decimal=self._form.decimal, thousands=self._form.thousands)
        # what the options say stays; a comma is no decimal one where other cells have points
        allowed = [
            form
            for form in FORMS
            if (form.decimal == self._form.decimal or (self._form.decimal == "." and not self.has_points))
            and (form.thousands == self._form.thousands or self._form.thousands is None)
        ]
        if self._semicolons:
            allowed.sort(key=lambda form: form.decimal != ",")
        scores = dict.fromkeys((bare, *allowed), 0)
        for cells in described:
            for cell in cells.values():
                for form in cell.forms & scores.keys():
                    scores[form] += 1
        return max(scores, key=lambda form: scores[form])  # of equal ones the first

    def _remedy(
        self, name: str, bad: BadCells, cells: Mapping[str, Cell], form: NumberForm, rows: int
    ) -> tuple[str, dict[str, list[str]]]:
        """Return what to do about a column, and the options that do it."""
        left = {cell: found for cell, found in cells.items() if form not in found.forms}
        read = {cell: found for cell, found in cells.items() if form in found.forms}
        units = {found.unit for found in read.values()} - {""}
        good = rows - bad.count
        marks = [cell.strip() for cell in left]
        # a few words among numbers stand for missing ones; a column of little else is one of words
        are_marks = all(found.kind in {"missing", "infinite"} for found in left.values()) or (
            len(left) <= _FEW_MARKS and 2 * sum(bad.cells[cell] for cell in left) < rows
        )
        fixes: dict[str, list[str]] = {}
        if not self._is_text:
            read, units, left = {}, set(), dict(cells)
        if left and not (are_marks and good + len(read) > 0):
            return self._words(name, bad, left, rows)
        hints = [_say(key, value) for key, value in _changes(self._form, form).items()] if read else []
        if form == _THOUSANDS and read and all(_DECIMAL in found.forms for found in read.values()):
            hints.append(_say("decimal", ","))
        if units:
            fixes["units"] = sorted(units)
            hints.append(f" Set {KEY}.units = {toml_line(sorted(units))}; the number is read as it is written.")
        if any(found.kind == "word" for found in left.values()):
            hints.append(bad.hint)
        if left:
            fixes["missing_marks"] = marks
            hints.append(f" If it stands for a missing number, set {KEY}.missing_marks = {toml_line(marks)}.")
        return "".join(hints) or bad.hint, fixes

    def _words(self, name: str, bad: BadCells, left: Mapping[str, Cell], rows: int) -> tuple[str, dict[str, list[str]]]:
        """Return what to do about a column of words or dates, and the options that do it."""
        if any(found.kind == "date" for found in left.values()):
            hint = (
                " Dates and times are not read: give numbers such as a year and a month columns of their own, or leave "
                f"it out: {KEY}.ignore = {toml_line([name])}."
            )
            return hint, {} if name in self._targets else {"ignore": [name]}
        if name in self._targets:
            return bad.hint, {}
        different = len(bad.cells) + (rows > bad.count)  # the numbers of the column count as one word more
        few = 1 < different <= _FEW_WORDS and len(bad.cells) < max(bad.count, 2)
        return bad.hint, {"categories" if few else "ignore": [name]}


def _say(key: str, value: str) -> str:
    sign = {",": "comma", ".": "point", " ": "space", "'": "apostrophe"}[value]
    means = "stands for a decimal point" if key == "decimal" else "separates thousands"
    return f" If its {sign} {means}, set {KEY}.{key} = {toml_line(value)}."


def _changes(before: NumberForm, after: NumberForm) -> dict[str, Any]:
    return {
        key: getattr(after, key)
        for key in ("thousands", "decimal")
        if getattr(after, key) != getattr(before, key) and getattr(after, key) is not None
    }


_ATTEMPTS = 12

_LESS = frozenset({"ignore", "missing", "missing_marks"})
"""Options that leave less of a table."""


def advise(error: TableError, options: Mapping[str, Any], load: Callable[[dict[str, Any]], object]) -> TableError:
    """Return an error that tells of everything that is wrong, with options to paste if there are some that read it.

    One error hides the next: a file with semicolons is one column before it can have a bad cell. So the options that
    an error suggests are set and the table is loaded again, until it loads or nothing more is suggested. Only options
    with which `load` succeeded are shown.
    """
    problems = list(error.problems)
    tried = dict(options)
    marked = set(error.marked)
    reads = False
    for _ in range(_ATTEMPTS):
        changed = merge(tried, error.fixes)
        if changed == tried:
            break
        tried = changed
        try:
            load(tried)
        except TableError as another:
            error = another
            marked |= another.marked
            told = (problem for problem in another.problems if another.missing.get(problem) not in marked)
            problems += [problem for problem in told if problem not in problems]
        except DownslopeError as another:
            if not _LESS & error.fixes.keys():  # or there may just be too little left
                problems.append(str(another))
            break
        else:
            reads = True
            break
    ending: list[str] = []
    if reads:
        ending = [f"With these options in place of its {KEY} the recipe reads this table:", f"[{KEY}]"]
        ending += [f"{key} = {toml_line(value)}" for key, value in tried.items()]
    return TableError("\n".join([*bounded(problems), *ending]))


def merge(options: Mapping[str, Any], fixes: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with others set, lists added to."""
    merged = dict(options)
    for key, value in fixes.items():
        if key == "ignore" and merged.get("features") is not None:
            merged["features"] = [name for name in merged["features"] if name not in set(value)]
        elif isinstance(value, list):
            merged[key] = [*dict.fromkeys([*(merged.get(key) or ()), *value])]
        else:
            merged[key] = value
    ignored = set(merged.get("ignore") or ())
    if merged.get("categories") and ignored:
        merged["categories"] = [name for name in merged["categories"] if name not in ignored]
    return merged
