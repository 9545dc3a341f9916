"""Arrays of inputs in a person's files: read, and checked to be what a run's model takes.

What lives here: .npy, .npz and .csv files of numbers. What does not: files that a data set reads in its own way
(`data/`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from downslope.core.errors import DataError
from downslope.core.paths import expand_home, expansion_of
from downslope.training.data import Dataset

Array = np.ndarray[Any, np.dtype[Any]]


def read_inputs(given: str | Path, dataset: Dataset) -> Tensor:
    """Return the examples of a file, of the shape and dtype that the run's model takes.

    Args:
        given: A .npy file, an .npz file that holds one array, or a .csv file of numbers without a header.
        dataset: The run's data.

    Raises:
        DataError: If it cannot be read, holds other than finite numbers, or an example has another shape.
    """
    path = expand_home(given, DataError, "--input")
    if expansion_of(given) and not path.exists():
        raise DataError(f"{given}{expansion_of(given)}: there is no such file.")
    readers = {".npy": _read_npy, ".npz": _read_npz, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise DataError(f"{path}: must be a .npy, .npz or .csv file.")
    array = readers[path.suffix.lower()](path)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path}: must hold numbers; got dtype {array.dtype}.")
    wanted = tuple(dataset.train_inputs.shape[1:])
    if array.shape == wanted:
        array = array[np.newaxis]  # a single example
    elif path.suffix.lower() == ".csv" and array.shape[1] == math.prod(wanted):
        array = array.reshape(-1, *wanted)  # a table can only hold an example laid out flat
    if array.shape[1:] != wanted:
        raise DataError(
            f"{path}: an example of this run has shape {show_shape(wanted)}, so the file must hold an array of shape "
            f"{show_shape(('examples', *wanted))}; got {show_shape(array.shape)}."
        )
    if len(array) == 0:
        raise DataError(f"{path}: holds no example.")
    bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
    if bad.size:
        raise DataError(f"{path}: {bad.size} example(s) hold inf or NaN, the first is example {bad[0]}.")
    dtype = dataset.train_inputs.dtype
    if not dtype.is_floating_point and (array != np.floor(array)).any():
        raise DataError(f"{path}: this run's inputs are integers ({dtype}); the file holds fractions.")
    return torch.from_numpy(np.ascontiguousarray(array)).to(dtype)


def _read_npy(path: Path) -> Array:
    try:
        return cast("Array", np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as an array: {_reason(error)}.") from None


def _read_npz(path: Path) -> Array:
    import zipfile

    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read as an archive of arrays: {_reason(error)}.") from None
    if len(arrays) != 1:
        raise DataError(f"{path}: must hold one array; got {len(arrays)}: {', '.join(arrays)}.")
    return next(iter(arrays.values()))


def _read_csv(path: Path) -> Array:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {_reason(error)}.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not text.") from None
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        cells = line.split(",")
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError:
            hint = " Leave the header out." if number == 1 else ""
            raise DataError(
                f"{path}, line {number}: {line[:60]!r} is not a row of numbers with commas.{hint}"
            ) from None
        if len(cells) != len(rows[0]):
            raise DataError(f"{path}, line {number}: has {len(cells)} numbers, the first row has {len(rows[0])}.")
    if not rows:
        raise DataError(f"{path}: holds no example.")
    return np.array(rows, dtype=np.float64)


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return reason.splitlines()[0].rstrip(".") if reason else type(error).__name__


def show_shape(shape: tuple[Any, ...]) -> str:
    """Return a shape as Python writes it, its sizes perhaps words: "(examples, 64)"."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
