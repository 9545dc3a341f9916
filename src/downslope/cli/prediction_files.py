"""Predictions as files and text for other programs: CSV, Parquet, JSON, JSON lines, as they come. Loads no framework.

A table has a row for each example, in the order of the input: `example` (its number there, from 0), `index` (which of
its data set's own examples it is), the person's own mark, the path of an image, `predicted`, the probabilities, `true`
and `loss` where they are known, and `note`, which says why there is no prediction where the cells before it are empty.
"""

from __future__ import annotations

import csv
import io
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from downslope.cli.json_text import as_json_text
from downslope.cli.streams import refuse_existing
from downslope.core.errors import DownslopeError, MissingDependencyError
from downslope.core.shown import shown

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe
    from downslope.training.use.answering import Form

Row = Mapping[str, Any]
Put = Callable[[str], object]

PRINTED = ("csv", "json", "jsonl")
"""Formats that are text."""
FORMATS = ("csv", "parquet", "json", "jsonl")

_ROWS_OF_A_GROUP = 8192
"""How many rows of a Parquet file are in memory before they are written."""


def format_of(path: Path) -> str:
    """Return the format that a file's suffix asks for.

    Raises:
        DownslopeError: If it asks for none of them.

    Example:
        >>> format_of(Path("found.CSV"))
        'csv'
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise DownslopeError(
            f"--output {shown(path)}: must end in .csv, .parquet, .json or .jsonl, which says how it is written."
        )
    return suffix


def check_output(path: Path, source: str | None, recipe: Recipe) -> None:
    """Raise unless predictions may be written to a file: its name says how, and there is none of this name yet.

    Args:
        path: The file.
        source: What `--input` gave, or None.
        recipe: The run's recipe.

    Raises:
        DownslopeError: If they may not.
        MissingDependencyError: If what writes such files is not installed.
    """
    if format_of(path) == "parquet":
        _pyarrow()
    if source is not None and path.exists() and Path(source).exists() and path.samefile(source):
        raise DownslopeError(f"--output {shown(path)}: is the input itself. Give another file.")
    for key in ("path", "held_out_path"):
        learned = recipe.data.with_path().options.get(key)
        if isinstance(learned, str) and path.exists() and Path(learned).exists() and path.samefile(learned):
            raise DownslopeError(f"--output {shown(path)}: is what the run learned from. Give another file.")
    refuse_existing(path, "--output")


@contextmanager
def written_to(path: Path) -> Iterator[Writer]:
    """Give what writes predictions to a new file, which has its name once all are written."""
    from downslope.training.folder.durable import writing

    form = format_of(path)
    with writing(path) as file:
        yield _Parquet(file) if form == "parquet" else _TEXTS[form](_encoded(file))


def printed(form: str) -> Writer:
    """Return what prints predictions in one of the formats `PRINTED`."""
    return _TEXTS[form](sys.stdout.write)


def _encoded(file: BinaryIO) -> Put:
    return lambda text: file.write(text.encode("utf-8", "surrogateescape"))


class Writer(ABC):
    """Takes predictions, some at a time."""

    @abstractmethod
    def write(self, rows: Sequence[Row], form: Form) -> None:
        """Write some predictions; all that come have the same form."""

    @abstractmethod
    def end(self, summary: Row) -> None:
        """Write what is left, given all that is said of the predictions together."""


class _Lines(Writer):
    """A JSON object a line."""

    def __init__(self, put: Put) -> None:
        self._put = put

    def write(self, rows: Sequence[Row], form: Form) -> None:
        for row in rows:
            self._put(as_json_text(row) + "\n")

    def end(self, summary: Row) -> None:
        """Nothing is left."""


class _Object(Writer):
    """One JSON object, in which the predictions stand first, since nothing else is known before them."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self._before = '{"predictions": ['

    def write(self, rows: Sequence[Row], form: Form) -> None:
        for row in rows:
            self._put(self._before + as_json_text(row))
            self._before = ", "

    def end(self, summary: Row) -> None:
        begun = "" if self._before == ", " else self._before
        self._put(f"{begun}], {as_json_text(summary).removeprefix('{')}\n")


class _Table(Writer):
    """A table, whose columns are known once one example has a prediction."""

    def __init__(self) -> None:
        self._waiting: list[Row] = []
        self._columns: dict[str, _Column] | None = None
        self._form: Form | None = None

    def write(self, rows: Sequence[Row], form: Form) -> None:
        self._form = form
        self._waiting += rows
        if self._columns is None and any(map(_told, self._waiting)):
            self._begin(form)
        if self._columns is not None:
            self._flush()

    def end(self, summary: Row) -> None:
        if self._columns is None and self._form is not None:
            self._begin(self._form)
        self._flush()

    def _begin(self, form: Form) -> None:
        self._columns = columns_of(self._waiting, form)
        self.begin(self._columns)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._columns is not None and waiting:
            self.add({name: [column(row) for row in waiting] for name, column in self._columns.items()})

    @abstractmethod
    def begin(self, columns: Mapping[str, _Column]) -> None:
        """Begin, given the columns."""

    @abstractmethod
    def add(self, cells: Mapping[str, list[Any]]) -> None:
        """Write rows, given by column."""


class _Csv(_Table):
    """CSV."""

    def __init__(self, put: Put) -> None:
        super().__init__()
        self._put = put

    def begin(self, columns: Mapping[str, _Column]) -> None:
        self._write([list(columns)])

    def add(self, cells: Mapping[str, list[Any]]) -> None:
        self._write(zip(*cells.values(), strict=True))

    def _write(self, lines: Any) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        self._put(text.getvalue())


class _Parquet(_Table):
    """Parquet: numbers as numbers, everything else as text."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._arrow, self._file = _pyarrow(), file
        self._kept: list[Any] = []
        self._rows = 0
        self._writer: Any = None

    def begin(self, columns: Mapping[str, _Column]) -> None:
        types = {"int": self._arrow.int64(), "float": self._arrow.float64(), "bool": self._arrow.bool_()}
        schema = [(name, types.get(column.kind, self._arrow.string())) for name, column in columns.items()]
        self._schema = self._arrow.schema(schema)
        from pyarrow import parquet

        self._writer = parquet.ParquetWriter(self._file, self._schema)

    def add(self, cells: Mapping[str, list[Any]]) -> None:
        arrays = [
            self._arrow.array([_as_text(cell) for cell in cells[field.name]], field.type)
            if field.type == self._arrow.string()
            else self._arrow.array(cells[field.name], field.type)
            for field in self._schema
        ]
        self._kept.append(self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._rows += self._kept[-1].num_rows
        if self._rows >= _ROWS_OF_A_GROUP:
            self._put_group()

    def end(self, summary: Row) -> None:
        super().end(summary)
        self._put_group()
        if self._writer is not None:
            self._writer.close()

    def _put_group(self) -> None:
        if self._kept:
            self._writer.write_table(self._arrow.Table.from_batches(self._kept).combine_chunks())
        self._kept, self._rows = [], 0


_TEXTS: Mapping[str, Callable[[Put], Writer]] = {"csv": _Csv, "json": _Object, "jsonl": _Lines}


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingDependencyError(
            'Parquet is written by pyarrow, which is not installed. Run: pip install "downslope[tables]"'
        ) from None
    return pa


def _as_text(cell: Any) -> str | None:
    """Return a cell as text; a path may hold bytes that are none."""
    return None if cell is None else str(cell).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class _Column:
    """A column: of which kind its cells are, and the cell of a row."""

    def __init__(self, kind: str, cell: Callable[[Row], Any]) -> None:
        self.kind, self._cell = kind, cell

    def __call__(self, row: Row) -> Any:
        """Return the cell of a row; None where it is empty."""
        return self._cell(row)


def columns_of(rows: Sequence[Row], form: Form) -> dict[str, _Column]:
    """Return the columns of predictions that begin with these, and may hold what their form says."""
    first = next((row for row in rows if _told(row)), rows[0])
    found = {"example": _of("int", "example")}
    if form.has_index:
        found["index"] = _of("int", "index")
    if form.has_id:
        mark = form.id_name
        found[mark if mark not in _OWN else f"{mark} of the input"] = _of("text", "id")
    if form.has_name:
        found["path"] = _of("text", "name")
    if "input" in first:
        found["input"] = _of("text", "input")
    kind = "text" if form.names or "output" in first else "int" if "class" in first else "float"
    width = len(_told(first))
    found |= _cells("predicted", kind, _told, max(width, 1))
    if "probability" in first:
        found["probability"] = _of("float", "probability")
    if "ended" in first:
        found["ended"] = _of("bool", "ended")
    for index in range(len(first.get("probabilities") or ())):
        title = f"probability_{form.names[index] if index < len(form.names) else index}"
        found[title] = _Column("float", _share(index))
    if form.has_target:
        right = next((len(_true(row)) for row in rows if _true(row)), width if kind == "float" else 1)
        found |= _cells("true", kind, _true, max(right, 1))
    if form.has_loss:
        found["loss"] = _of("float", "loss")
    return {**found, "note": _of("text", "note")}


_OWN = frozenset({"example", "index", "path", "input", "predicted", "probability", "ended", "true", "loss", "note"})


def _of(kind: str, key: str) -> _Column:
    return _Column(kind, lambda row: row.get(key))


def _share(index: int) -> Callable[[Row], Any]:
    return lambda row: row["probabilities"][index] if row.get("probabilities") else None


def _cells(title: str, kind: str, cells: Callable[[Row], list[Any]], width: int) -> dict[str, _Column]:
    """Return a column for each of the numbers that a cell is of."""

    def at(place: int) -> _Column:
        return _Column(kind, lambda row: found[place] if (found := cells(row)) else None)

    return {title if width == 1 else f"{title}_{place}": at(place) for place in range(width)}


def _told(row: Row) -> list[Any]:
    """Return what is predicted, a cell for each number; no cells where nothing is."""
    if row.get("labels") is not None:
        return [" | ".join(row["labels"])]
    if row.get("class") is not None:
        return [row.get("class_name", row["class"])]
    return _flat(row.get("value", row.get("output")))


def _true(row: Row) -> list[Any]:
    if "targets" in row:
        return [" | ".join(row["targets"])]
    if "true_labels" in row:
        return [" | ".join(row["true_labels"])]
    return [row["target_name"]] if "target_name" in row else _flat(row.get("target"))


def _flat(value: Any) -> list[Any]:
    if value is None:
        return []
    return [number for item in value for number in _flat(item)] if isinstance(value, list) else [value]
