"""Arrays of inputs and targets in .npy, .npz and .csv files: read, and checked to be what a run's model takes."""

from __future__ import annotations

import io
import math
import os
from array import array as packed
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from downslope.core.errors import DataError
from downslope.core.files import open_regular
from downslope.core.paths import expand_home, expansion_of
from downslope.core.shown import shown
from downslope.training.data import Dataset
from downslope.training.data.array_rows import rows_of
from downslope.training.data.dataset import LARGE, Examples
from downslope.training.data.numpy_files import check_memory, open_npy, open_npz
from downslope.training.data.rows import Inputs

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]


INPUTS, TARGETS = "inputs", "targets"
"""What an .npz file calls its arrays where it holds targets too."""


def read_examples(given: str | Path, dataset: Dataset, *, rated: bool = False, loaders: int = 0) -> Examples:
    """Return the examples of a file, of the shapes and dtypes that the run has, with their targets where it holds them.

    Args:
        given: A .npy file, an .npz file that holds one array, or `INPUTS` and `TARGETS`, or a .csv file of numbers
            without a header.
        dataset: The run's data, or what it keeps of them.
        rated: Whether there must be targets.
        loaders: How many threads make inputs of a large array ahead of time.

    Raises:
        DataError: If it cannot be read, holds other than finite numbers, or an example or target is none of the run's.
    """
    path = expand_home(given, DataError, "--input")
    name = shown(path)
    if expansion_of(given) and not path.exists():
        raise DataError(f"{shown(given)}{expansion_of(given)}: there is no such file.")
    suffix = path.suffix.lower()
    if suffix == ".csv":
        arrays = _read_csv(path, math.prod(dataset.train_inputs.shape[1:]))
    elif suffix == ".npz":
        arrays = _read_npz(path)
    elif suffix == ".npy":
        arrays = {INPUTS: open_npy(path)}
    else:
        raise DataError(f"{name}: must be a .npy, .npz or .csv file.")
    if rated and TARGETS not in arrays:
        raise DataError(
            f"{name}: holds no targets to rate by. Give an .npz file with two arrays, `{INPUTS}` and `{TARGETS}`."
        )
    inputs = _check_inputs(path, arrays[INPUTS], dataset, loaders)
    if TARGETS not in arrays:
        return Examples(inputs=inputs)
    targets = _check_targets(name, arrays[TARGETS], len(inputs), dataset)
    return Examples(inputs=inputs, targets=targets, known=torch.arange(len(inputs)), target_name=TARGETS)


def _check_inputs(path: Path, array: Array, dataset: Dataset, loaders: int) -> Inputs:
    name = shown(path)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name}: must hold numbers; got dtype {array.dtype}.")
    wanted = tuple(dataset.train_inputs.shape[1:])
    if array.shape == wanted:
        array = array[np.newaxis]  # a single example
    elif path.suffix.lower() == ".csv" and array.shape[1] == math.prod(wanted):
        array = array.reshape(-1, *wanted)  # a table can only hold an example laid out flat
    if array.shape[1:] != wanted:
        raise DataError(
            f"{name}: an example of this run has shape {show_shape(wanted)}, so the file must hold an array of shape "
            f"{show_shape(('examples', *wanted))}; got {show_shape(array.shape)}."
        )
    if len(array) == 0:
        raise DataError(f"{name}: holds no example.")
    dtype = dataset.train_inputs.dtype

    def encode(rows: Array, begin: int) -> Tensor:
        bad = np.flatnonzero(~np.isfinite(rows.reshape(len(rows), -1)).all(axis=1))
        if bad.size:
            raise DataError(f"{name}: {bad.size} example(s) hold inf or NaN, the first is example {begin + bad[0]}.")
        if not dtype.is_floating_point and (rows != np.floor(rows)).any():
            raise DataError(f"{name}: this run's inputs are integers ({dtype}); the file holds fractions.")
        return torch.from_numpy(np.array(rows)).to(dtype)  # a copy: what is mapped is read-only

    return encode(array, 0) if array.size * dtype.itemsize <= LARGE else rows_of(array, encode, name, loaders)


def _check_targets(name: str, array: Array, count: int, dataset: Dataset) -> Tensor:
    """Return targets as the loss takes them: classes as indices, numbers as the run scaled its own."""
    wanted = (count, *dataset.train_targets.shape[1:])
    if array.dtype.kind not in "fiub" or array.shape != wanted:
        raise DataError(
            f"{name}: `{TARGETS}` must be numbers of shape {show_shape(wanted)}; got {array.dtype} of shape "
            f"{show_shape(array.shape)}."
        )
    if dataset.classes is not None:
        top = dataset.classes - 1
        if (array != np.floor(array)).any() or array.min() < 0 or array.max() > top:
            raise DataError(f"{name}: `{TARGETS}` must be classes, whole numbers from 0 to {top}.")
        return torch.from_numpy(array.astype(np.int64))
    mean, deviation = dataset.target_scale or (0.0, 1.0)
    targets = torch.from_numpy((array.astype(np.float64) - mean) / deviation).to(dataset.train_targets.dtype)
    bad = (~torch.isfinite(targets.reshape(count, -1)).all(1)).nonzero()
    if len(bad):
        raise DataError(
            f"{name}: {len(bad)} of `{TARGETS}` are no finite numbers, the first is that of example {int(bad[0])}."
        )
    return targets


def _read_npz(path: Path) -> Arrays:
    arrays = open_npz(path)
    if arrays.keys() == {INPUTS, TARGETS}:
        return arrays
    if len(arrays) != 1:
        raise DataError(
            f"{shown(path)}: must hold one array; got {len(arrays)}: {shown(', '.join(arrays))}. To give what is "
            f"right, too, call the two `{INPUTS}` and `{TARGETS}`."
        )
    return {INPUTS: next(iter(arrays.values()))}


def _read_csv(path: Path, width: int) -> Arrays:
    """Return rows of numbers; one of another width than an example has is refused where it stands."""
    numbers = packed("d")
    try:
        opened = open_regular(path, DataError)
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read: {error.strerror or error}.") from None
    with opened as file:
        check_memory(shown(path), 4 * os.fstat(file.fileno()).st_size, "if each of its numbers has one digit")
        lines = io.TextIOWrapper(file, encoding="utf-8-sig")
        try:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    numbers.extend(_row(path, number, line, width))
        except OSError as error:
            raise DataError(f"{shown(path)}: cannot be read: {error.strerror or error}.") from None
        except UnicodeDecodeError:
            raise DataError(f"{shown(path)}: is not text.") from None
    if not numbers:
        raise DataError(f"{shown(path)}: holds no example.")
    return {INPUTS: np.frombuffer(numbers, dtype=np.float64).reshape(-1, width)}


def _row(path: Path, number: int, line: str, width: int) -> list[float]:
    cells = line.split(",")
    try:
        row = [float(cell) for cell in cells]
    except ValueError:
        hint = " Leave the header out." if number == 1 else ""
        raise DataError(
            f"{shown(path)}, line {number}: {shown(line.strip(), 60)!r} is not a row of numbers with commas.{hint}"
        ) from None
    if len(row) != width:
        raise DataError(
            f"{shown(path)}, line {number}: has {len(row):,} numbers; an example of this run is a row of {width:,}."
        )
    return row


def show_shape(shape: tuple[Any, ...]) -> str:
    """Return a shape as Python writes it, its sizes perhaps words: "(examples, 64)"."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
