"""What a run's model says about single examples: held-out ones, or a person's own from a file.

What lives here: reading the file, checking that it fits the run, and the predictions as plain values. What does not:
loading the model (`evaluate.py`) and printing (`cli/`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from downslope.core.errors import DataError
from downslope.core.paths import expand_home
from downslope.training.data import Dataset
from downslope.training.evaluate import TrainedRun, open_run
from downslope.training.held_out import BATCH
from downslope.training.imports import FAILURES, describe
from downslope.training.labelled import add_labels, restore_unit
from downslope.training.losses import kind_of
from downslope.training.randomness import reseed

Array = np.ndarray[Any, np.dtype[Any]]


def predict_run(
    run: str | Path,
    source: str | Path | None = None,
    *,
    checkpoint: str = "last",
    count: int | None = None,
    beam: int | None = None,
    attention: Path | None = None,
) -> dict[str, Any]:
    """Return what a run's model predicts.

    Args:
        run: The run folder.
        source: A .npy, .npz or .csv file of inputs as the model takes them, one example a row; for a run on a table,
            a table with its columns; for a run on images, an image or a folder of them. None for the held-out
            examples, whose targets are then given too.
        checkpoint: As in `evaluate_run`.
        count: How many examples, from the first; None for all.
        beam: For sequences, as in `sequences.transcribe`, and then `source` may be text; None for 1.
        attention: For sequences, as in `sequences.transcribe`.

    Returns:
        "run", "checkpoint", "step", "notes", and "predictions": for each example a dict with "example" (0-based) and,
        for a classifier, "class", "probability" and "probabilities", or else "value"; "target" where it is known; and
        "class_name", "target_name" and "name" (of the example) where there are names.
        For sequences see `sequences.transcribe`.

    Raises:
        CheckpointError: As in `evaluate_run`.
        DataError: If the file cannot be read or does not fit the run.
    """
    opened = open_run(run, checkpoint)
    dataset, notes = opened.dataset, list(opened.notes)
    if dataset.sequences is not None:
        from downslope.training.sequences.transcribe import transcribe

        text = None if source is None else str(source)
        found = transcribe(opened, text, count=count, beam=beam or 1, attention=attention)
        return _result(run, opened, [*notes, *found["notes"]], found["predictions"])
    if beam is not None or attention is not None:
        option = "--beam" if beam is not None else "--attention"
        raise DataError(f"{option} is for runs that write sequences; {run} learned {dataset.name!r}. Leave it out.")
    targets: Tensor | None = None
    names: Sequence[str] = ()
    if source is None:
        inputs, targets = dataset.held_out_inputs[:count], dataset.held_out_targets[:count]
        targets = restore_unit(targets, dataset)
    elif dataset.reader is not None:
        inputs, names = dataset.reader(source)
        inputs = inputs[:count]
    else:
        inputs = read_inputs(expand_home(source, DataError, "--input"), dataset)[:count]
        notes += _range_notes(inputs, dataset)
    outputs = _outputs(opened, inputs)
    rows = _classes(outputs) if dataset.classes is not None else _values(outputs, dataset)
    predictions = [{"example": number, **row} for number, row in enumerate(rows)]
    if targets is not None:
        for prediction, target in zip(predictions, targets.tolist(), strict=True):
            prediction["target"] = target
    add_labels(predictions, dataset, names)
    return _result(run, opened, notes, predictions)


def _result(run: str | Path, opened: TrainedRun, notes: list[str], predictions: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "run": str(run),
        "checkpoint": str(opened.weights.origin),
        "step": opened.weights.step,
        "notes": notes,
        "predictions": predictions,
    }


def read_inputs(path: Path, dataset: Dataset) -> Tensor:
    """Return the examples of a file, of the shape and dtype that the run's model takes.

    Args:
        path: A .npy file, an .npz file that holds one array, or a .csv file of numbers without a header.
        dataset: The run's data.

    Raises:
        DataError: If it cannot be read, holds other than finite numbers, or an example has another shape.
    """
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
            f"{path}: an example of this run has shape {_shape(wanted)}, so the file must hold an array of shape "
            f"{_shape(('examples', *wanted))}; got {_shape(array.shape)}."
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


def _outputs(opened: TrainedRun, inputs: Tensor) -> Tensor:
    parts: list[Tensor] = []
    reseed(opened.recipe.seed, opened.weights.step or 0, "evaluation")
    with torch.no_grad():
        for part in inputs.split(BATCH):
            try:
                parts.append(opened.model(part))
            except FAILURES as error:
                raise DataError(f"the model raised {describe(error)} on these examples.") from error
            if not isinstance(parts[-1], Tensor):
                raise DataError(
                    f"predicting needs a model that returns a tensor; this one returned {kind_of(parts[-1])}."
                )
    return torch.cat(parts)


def _classes(outputs: Tensor) -> list[dict[str, Any]]:
    if outputs.ndim != 2:
        raise DataError(
            "predict shows one class an example, from logits of shape (examples, classes); this model's outputs have "
            f"shape {_shape(tuple(outputs.shape))}. Load its weights with safetensors to use it otherwise."
        )
    probabilities = outputs.double().softmax(1)
    top, chosen = probabilities.max(1)
    return [
        {"class": index, "probability": probability, "probabilities": row}
        for index, probability, row in zip(chosen.tolist(), top.tolist(), probabilities.tolist(), strict=True)
    ]


def _values(outputs: Tensor, dataset: Dataset) -> list[dict[str, Any]]:
    return [{"value": row} for row in restore_unit(outputs, dataset).tolist()]


def _range_notes(inputs: Tensor, dataset: Dataset) -> list[str]:
    """Return a note if inputs lie far outside those trained on: most often they were not scaled alike."""
    low, high = float(dataset.train_inputs.min()), float(dataset.train_inputs.max())
    got_low, got_high = float(inputs.min()), float(inputs.max())
    room = high - low
    if got_low >= low - room and got_high <= high + room:
        return []
    trained_on = f"those trained on from {low:g} to {high:g}"
    return [f"the inputs go from {got_low:g} to {got_high:g}, {trained_on}: were they scaled alike?"]


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


def _shape(shape: tuple[Any, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
