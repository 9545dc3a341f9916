"""Which kind of file a table is."""

from __future__ import annotations

from pathlib import Path

from downslope.core.errors import DataError
from downslope.core.files import refuse_irregular
from downslope.core.paths import expand_home, expansion_of, from_here
from downslope.core.shown import shown
from downslope.training.data.table_arrays import ArrayTable, ParquetTable
from downslope.training.data.table_columns import TableFile, Unnamed
from downslope.training.data.table_csv import CsvTable, TextFormat

_TYPED = (".parquet", ".npy", ".npz")
SUFFIXES = (".csv", ".tsv", *_TYPED)


def open_table(
    given: str | Path, form: TextFormat, origin: str, *, unnamed: Unnamed | None = None, fixed: bool = False
) -> TableFile:
    """Return a table file, its names read.

    Args:
        given: The file; its suffix says what it is.
        form: How it is written, if it is text.
        origin: The key or option that gives it, for messages.
        unnamed: What its columns are if it does not name them; None for those of `form`, which are counted if it has
            none.
        fixed: Whether a run decides `form`, so that nobody can change it now.

    Raises:
        DataError: If it cannot be read, or names no columns.
        MissingDependencyError: If it is a Parquet file and there is no pyarrow.
    """
    path = expand_home(given, DataError, origin)
    place = f"{origin} = '{shown(given)}'{shown(expansion_of(given))}"
    if not path.exists():
        raise DataError(f"{place}: there is no such file.{from_here(path)}")
    suffix = path.suffix.lower()
    unnamed = unnamed or Unnamed(form.names)
    if path.is_dir() or suffix not in SUFFIXES:
        advice = "" if path.is_dir() else " Unpack it, or save it as one of these."
        what = "is a folder" if path.is_dir() else f"has the suffix '{shown(path.suffix)}'"
        raise DataError(f"{place}: {what}; a table is a file that ends in {', '.join(SUFFIXES)}.{advice}")
    refuse_irregular(path, DataError)
    if suffix == ".parquet":
        return ParquetTable(path, form.numbers)
    if suffix in {".npy", ".npz"}:
        return ArrayTable(path, unnamed, form.numbers)
    return CsvTable(path, form, unnamed, fixed=fixed)


def is_typed(path: str) -> bool:
    """Return whether a table is, by its suffix, of a kind that says itself how it is written."""
    return path.lower().endswith(_TYPED)
