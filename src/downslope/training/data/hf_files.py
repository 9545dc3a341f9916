"""Data sets of Hugging Face's `datasets` on this machine: a folder that `save_to_disk` wrote, Parquet files, its cache.

Nothing is downloaded, whatever a name says: the library is told to be offline before it is asked for anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from downslope.core.errors import DataError, MissingDependencyError
from downslope.core.files import refuse_irregular
from downslope.core.paths import expand_home, from_here
from downslope.core.shown import shown
from downslope.training.data.class_names import show_names
from downslope.training.data.numpy_files import first_line
from downslope.training.data.part_names import kind_of_part
from downslope.training.user_code import FAILURES, describe

_OF_THE_HUB = re.compile(r"[\w.-]+(/[\w.-]+)?")
_MOST_FILES = 10_000
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Split:
    """A part of a data set: rows in columns.

    Attributes:
        place: What messages call it.
        features: Column -> what it holds, as `datasets` describes it.
        count: How many rows it has.
        table: From columns to a table of pyarrow's with these alone, in their order.
    """

    place: str
    features: Mapping[str, Any]
    count: int
    table: Callable[[Sequence[str]], Any]


def open_splits(given: str, subset: str | None, origin: str) -> tuple[dict[str, Split], tuple[str, ...]]:
    """Return the splits of a data set by name, and notes.

    Args:
        given: A folder, a Parquet file, or a name of the Hub whose data lie in the library's cache.
        subset: Which of several data sets under one name of the Hub.
        origin: What gives it, for messages.

    Raises:
        DataError: If there is none, or it cannot be read.
        MissingDependencyError: If `datasets` is not installed.
    """
    library = import_datasets()
    path = expand_home(given, DataError, origin)
    place = f"{origin} = '{'hf:' if origin == 'data.name' else ''}{shown(given)}'"
    with _offline(library):
        if not path.exists():
            return _of_cache(library, given, subset, place, path)
        if subset is not None:
            raise DataError(f"data.options.subset: chooses among data under one name of the Hub; {place} is a path.")
        if _was_saved(path):
            return _try(place, lambda: _splits(shown(path), library.load_from_disk(str(path)))), ()
        return _of_parquet(library, path, place)


def is_data_set(path: Path) -> bool:
    """Return whether a path is what `save_to_disk` wrote, or a Parquet file, or a folder of such."""
    if path.is_dir():
        return _was_saved(path) or bool(_find_parquet(path))
    return path.suffix.lower() == ".parquet"


def _was_saved(path: Path) -> bool:
    return path.is_dir() and any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))


def import_datasets() -> Any:
    """Return the package `datasets`."""
    try:
        return import_module("datasets")
    except ModuleNotFoundError as error:
        if error.name != "datasets":
            raise DataError(f"the package datasets is installed but cannot be imported: {describe(error)}") from error
        raise MissingDependencyError(
            "data of Hugging Face are read by the package datasets, which is not installed. "
            'Run: pip install "downslope[hf]"'
        ) from None
    except FAILURES as error:
        raise DataError(f"the package datasets is installed but cannot be imported: {describe(error)}") from error


@contextmanager
def _offline(library: Any) -> Iterator[None]:
    """Within its ``with`` block, nothing is asked of the network, and no progress is drawn."""
    constants = import_module("huggingface_hub.constants")
    switches = [
        (library.config, "HF_HUB_OFFLINE"),
        (library.config, "HF_DATASETS_OFFLINE"),
        (constants, "HF_HUB_OFFLINE"),
    ]
    before = [getattr(module, name, None) for module, name in switches]
    bars, level = library.is_progress_bar_enabled(), library.logging.get_verbosity()
    for module, name in switches:
        setattr(module, name, True)
    library.disable_progress_bars()
    library.logging.set_verbosity_error()
    try:
        yield
    finally:
        for (module, name), value in zip(switches, before, strict=True):
            setattr(module, name, value)
        library.logging.set_verbosity(level)
        if bars:
            library.enable_progress_bars()


def _try(place: str, read: Callable[[], _Found]) -> _Found:
    try:
        return read()
    except (DataError, MissingDependencyError):
        raise
    except FAILURES as error:  # a library of many parts, whose errors are of any type
        raise DataError(f"{place}: cannot be read: {first_line(error)}.") from error


def _splits(place: str, found: Any) -> dict[str, Split]:
    """Return the splits of what `datasets` has opened: a `DatasetDict`, or a `Dataset`, which is one split."""
    if not hasattr(found, "keys"):
        name = str(found.split) if found.split is not None else "train"
        return {name: _split(place, found)}
    return {str(name): _split(f"{place}, split `{shown(str(name))}`", found[name]) for name in found}


def _split(place: str, found: Any) -> Split:
    def table(columns: Sequence[str]) -> Any:
        return found.select_columns(list(columns)).with_format("arrow")[:]

    return Split(place, dict(found.features), len(found), lambda columns: _try(place, lambda: _checked(table(columns))))


def _checked(table: Any) -> Any:
    """Return a table of pyarrow's after it has looked whether what its buffers say is within them."""
    table.validate(full=True)
    return table


def _of_cache(
    library: Any, given: str, subset: str | None, place: str, path: Path
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """Return what the library's cache holds under a name of the Hub."""
    how = (
        "Nothing is downloaded here. Where there is a network: "
        f"python -c \"import datasets; datasets.load_dataset({given!r}).save_to_disk('FOLDER')\", and then "
        'data.name = "hf:FOLDER".'
    )
    if not _OF_THE_HUB.fullmatch(given) or given.startswith("."):
        raise DataError(f"{place}: there is no such folder or file.{from_here(path)}")
    try:
        found = library.load_dataset(given, *([] if subset is None else [subset]))
    except FAILURES as error:
        raise DataError(
            f"{place}: there is no such folder or file, and the cache of `datasets` on this machine has no data of "
            f"this name that can be read ({shown(first_line(error), 200)}). {how}"
        ) from None
    return _splits(shown(given), found), (f"{shown(given)} is read from the cache of `datasets`",)


def _of_parquet(library: Any, path: Path, place: str) -> tuple[dict[str, Split], tuple[str, ...]]:
    """Return the splits of a folder of Parquet files by their names, or of one file, which is one split."""
    files = [path] if path.is_file() else _find_parquet(path)
    if not files or any(file.suffix.lower() != ".parquet" for file in files):
        raise DataError(
            f"{place}: is neither a folder that `save_to_disk` of datasets has written, nor a .parquet file or a "
            "folder of such."
        )
    parts: dict[str, list[Path]] = {}
    for file in files:
        refuse_irregular(file, DataError)
        parts.setdefault(_name_of_part(file if path.is_file() else file.relative_to(path)), []).append(file)
    if "" in parts and len(parts) > 1:
        raise DataError(
            f"{place}: {shown(parts[''][0])} belongs to no split by its name, and others do: "
            f"{show_names([name for name in parts if name])}. Name all of them so, such as test-0.parquet."
        )
    found = {
        name or "train": _try(place, lambda name=name, files=files: {"": _of_files(library, name, files)})[""]
        for name, files in parts.items()
    }
    return found, ()


def _find_parquet(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.parquet"))
    if len(found) > _MOST_FILES:
        raise DataError(f"{shown(folder)}: holds {len(found):,} .parquet files; at most {_MOST_FILES:,} are read.")
    return [file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def _name_of_part(file: Path) -> str:
    """Return the split that a file belongs to by a word in its path, or "".

    Example:
        >>> _name_of_part(Path("data/train-00000-of-00002.parquet")), _name_of_part(Path("houses.parquet"))
        ('train', '')
    """
    words = re.split(r"[-_./ ]", os.fspath(file.with_suffix("")))
    return next((word for word in words if kind_of_part(word) is not None), "")


def _of_files(library: Any, name: str, files: Sequence[Path]) -> Split:
    from pyarrow import dataset as arrow_data

    opened: Any = arrow_data.dataset([str(file) for file in files], format="parquet")
    features: Any = library.Features.from_arrow_schema(opened.schema)

    def table(columns: Sequence[str]) -> Any:
        return opened.to_table(columns=list(columns))

    place = shown(files[0]) if len(files) == 1 else f"split `{shown(name)}`"
    count = int(opened.count_rows())
    return Split(place, dict(features), count, lambda columns: _try(place, lambda: _checked(table(columns))))
