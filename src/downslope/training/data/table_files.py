"""Which kind of file a table is."""

from __future__ import annotations

from pathlib import Path

from downslope.core.errors import DataError
from downslope.core.paths import expand_home, expansion_of, from_here
from downslope.training.data.table_arrays import ArrayTable, ParquetTable
from downslope.training.data.table_columns import TableFile
from downslope.training.data.table_csv import CsvTable

SUFFIXES = (".csv", ".tsv", ".parquet", ".npy", ".npz")


def open_table(given: str | Path, delimiter: str | None, origin: str) -> TableFile:
    """Return a table file, its names read.

    Args:
        given: The file; its suffix says what it is.
        delimiter: What separates the cells of a CSV file; None for a comma, or a tab in a .tsv file.
        origin: The recipe's key that names it, for messages.

    Raises:
        DataError: If it cannot be read, or names no columns.
        MissingDependencyError: If it is a Parquet file and there is no pyarrow.
    """
    path = expand_home(given, DataError, origin)
    place = f"{origin} = {str(given)!r}{expansion_of(given)}"
    if not path.exists():
        raise DataError(f"{place}: there is no such file.{from_here(path)}")
    suffix = path.suffix.lower()
    if path.is_dir() or suffix not in SUFFIXES:
        what = "is a folder" if path.is_dir() else f"has the suffix {path.suffix!r}"
        raise DataError(f"{place}: {what}; a table is a file that ends in {', '.join(SUFFIXES)}.")
    if suffix == ".parquet":
        return ParquetTable(path)
    if suffix in {".npy", ".npz"}:
        return ArrayTable(path)
    return CsvTable(path, delimiter or ("\t" if suffix == ".tsv" else ","))
