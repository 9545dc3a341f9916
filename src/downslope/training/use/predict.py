"""What a run's model says about single examples, held-out ones or a person's own from a file, as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from downslope.core.errors import DataError
from downslope.training.data import Dataset
from downslope.training.data.dataset import Examples
from downslope.training.data.rows import Inputs, batches_of, in_memory, rows_at_once
from downslope.training.device import device_of
from downslope.training.run.losses import choose, kind_of, margin_of
from downslope.training.run.randomness import reseed
from downslope.training.use.evaluate import TrainedRun, open_run
from downslope.training.use.input_files import read_examples, show_shape
from downslope.training.use.label_rows import as_class_logits, name_labels, tell_labels
from downslope.training.user_code import FAILURES, describe


def predict_run(
    run: str | Path,
    source: str | Path | None = None,
    *,
    checkpoint: str = "last",
    count: int | None = None,
    identify: str | None = None,
    beam: int | None = None,
    attention: Path | None = None,
    device: str | None = None,
    threshold: float | None = None,
) -> dict[str, Any]:
    """Return what a run's model predicts.

    Args:
        run: The run folder.
        source: A .npy, .npz or .csv file of inputs as the model takes them, one example a row; for a run on a table,
            a table with its columns; for a run on images, an image or a folder of them. None for the held-out
            examples, whose targets are then given too.
        checkpoint: As in `evaluate_run`.
        count: How many examples, from the first; None for all.
        identify: For a table, a column whose cells are given as "id" of each prediction.
        beam: For sequences, as in `sequences.transcribe`, and then `source` may be text; None for 1.
        attention: For sequences, as in `sequences.transcribe`.
        device: As in `evaluate_run`.
        threshold: As in `evaluate_run`.

    Returns:
        "run", "checkpoint", "step", "notes", and "predictions": for each example a dict with "example" (0-based) and,
        for a classifier, "class", "probability" and "probabilities", where there are labels "labels" (the names of
        those that it is answered to have) and "probabilities", or else "value"; "true_labels" or "target" where it
        is known; and
        "class_name", "target_name" and "name" (of the example) where there are names. Where there is no prediction,
        because the model cannot be given the example or its outputs are no finite numbers, these are None, and "note"
        says why; "unpredicted" is how many they are. "names" are those of the classes. Where a file gives targets too,
        "metrics": what `evaluate_run` would give for them, and "examples", how many they are.
        For sequences see `sequences.transcribe`.

    Raises:
        CheckpointError: As in `evaluate_run`.
        DataError: If the file cannot be read or does not fit the run.
    """
    opened = open_run(run, checkpoint, device, threshold=threshold)
    dataset, notes = opened.dataset, list(opened.notes)
    if dataset.sequences is not None:
        from downslope.training.sequences.transcribe import transcribe

        if identify is not None:
            raise DataError("--id names a column of a table; this run learned sequences. Leave it out.")
        text = None if source is None else str(source)
        found = transcribe(opened, text, count=count, beam=beam or 1, attention=attention)
        return _result(run, opened, [*notes, *found["notes"]], found["predictions"])
    if beam is not None or attention is not None:
        option = "--beam" if beam is not None else "--attention"
        raise DataError(f"{option} is for runs that write sequences; {run} learned {dataset.name!r}. Leave it out.")
    metrics: dict[str, float] | None = None
    if source is None:
        if identify is not None:
            raise DataError("--id names a column of the file given with --input. Give both.")
        _, examples, of_data = opened.held_out()
        examples = examples.first(count)
        notes += of_data
    else:
        examples = _read(opened, source, identify).first(count)
        notes += examples.notes
        metrics = _measure(opened, examples)
        notes += _target_notes(examples)
        if dataset.reader is None:
            notes += _range_notes(in_memory(examples.inputs), dataset)
    predictions = predict_examples(opened, examples)
    _add_labels(predictions, dataset, examples.names, examples.ids)
    return _result(run, opened, notes, predictions) | ({} if metrics is None else {"metrics": metrics})


def _read(opened: TrainedRun, source: str | Path, identify: str | None) -> Examples:
    if opened.dataset.reader is not None:
        return opened.dataset.reader(source, identify=identify)
    if identify is not None:
        raise DataError("--id names a column of a table; this run takes arrays without names. Leave it out.")
    return read_examples(source, opened.dataset)


def predict_examples(opened: TrainedRun, examples: Examples) -> list[dict[str, Any]]:
    """Return a prediction for each example, those that the model cannot be given included."""
    dataset = opened.dataset
    outputs = compute_outputs(opened, examples.inputs) if len(examples.inputs) else None
    margin = margin_of(opened.recipe.train)
    blank: dict[str, Any]
    if dataset.classes is not None:
        blank = {"class": None, "probability": None, "probabilities": None}
    elif dataset.labels:
        blank = {"labels": None, "probabilities": None}
    else:
        blank = {"value": None}
    rows: list[dict[str, Any]] = []
    if outputs is not None and dataset.labels:
        rows = tell_labels(outputs, dataset, margin)
    elif outputs is not None:
        rows = (
            _classes(as_class_logits(outputs, dataset), margin)
            if dataset.classes is not None
            else _values(outputs, dataset)
        )
    reasons = _why_not_finite(examples.inputs, dataset)
    predictions: list[dict[str, Any]] = [{"example": number} for number in range(len(examples))]
    for number, (place, row) in enumerate(zip(examples.places(), rows, strict=True)):
        predictions[place] |= row if _is_told(row) else {**blank, "note": reasons(number, place)}
    for place, reason in examples.refused.items():
        predictions[place] |= {**blank, "note": reason}
    if examples.targets is not None and examples.known is not None:
        places = examples.places()
        targets = restore_unit(examples.targets, dataset).tolist()
        for row, target in zip(examples.known.tolist(), targets, strict=True):
            true = {"true_labels": name_labels(target, dataset)} if dataset.labels else {"target": target}
            predictions[places[row]] |= true
    return predictions


def _add_labels(
    predictions: Sequence[dict[str, Any]], dataset: Dataset, names: Sequence[str] = (), ids: Sequence[str] = ()
) -> None:
    """Add to each prediction "class_name" and "target_name" where classes have names, "name" and "id" of examples."""
    for number, prediction in enumerate(predictions):
        if names:
            prediction["name"] = names[number]
        if ids:
            prediction["id"] = ids[number]
        for key in ("class", "target"):
            index = prediction.get(key)
            # a model of one's own may have more outputs than there are classes
            if dataset.class_names and index is not None and index < len(dataset.class_names):
                prediction[f"{key}_name"] = dataset.class_names[index]


def restore_unit(values: Tensor, dataset: Dataset) -> Tensor:
    """Return outputs or targets in the target's own unit, float64 where they were standardised.

    Args:
        values: Shape (examples, ...).
        dataset: The run's data.
    """
    if dataset.target_scale is None:
        return values
    mean, deviation = dataset.target_scale
    return values.double() * deviation + mean


def _is_told(row: dict[str, Any]) -> bool:
    """Return whether a prediction consists of finite numbers."""
    told = row.get("probability", row.get("value", row.get("probabilities")))
    return all(map(math.isfinite, _flat(told)))


def _flat(value: Any) -> list[float]:
    return [number for item in value for number in _flat(item)] if isinstance(value, list) else [float(value)]


def _why_not_finite(inputs: Inputs, dataset: Dataset) -> Any:
    """Return what says, of an input and its place among all, why its outputs are no finite numbers."""
    low, high = dataset.range_of_inputs() if dataset.sequences is None else (0.0, 0.0)

    def explain(number: int, place: int) -> str:
        values = inputs[number].double()
        reached = float(values.flatten()[values.abs().argmax()])
        far = not math.isfinite(reached) or abs(reached) > 100 * max(abs(low), abs(high), 1e-30)
        what = f"reach {reached:g}" if math.isfinite(reached) else "are too large for 32-bit numbers"
        why = f": its inputs {what}, and those learned from lie from {low:g} to {high:g}" if far else ""
        return f"example {place}: the model's outputs are no finite numbers{why}"

    return explain


def _measure(opened: TrainedRun, examples: Examples) -> dict[str, float] | None:
    """Return how good the model is on the examples that have targets, measured as an evaluation measures; or None."""
    targets, known = examples.targets, examples.known
    if targets is None or known is None or len(known) == 0:
        return None
    return {"examples": len(known), **opened.rate(opened.dataset, examples.inputs[known], targets).metrics}


def _target_notes(examples: Examples) -> list[str]:
    """Return a note if targets have a place in the file, but not all are there."""
    if examples.known is None or len(examples.known) == len(examples.inputs) or not examples.target_name:
        return []
    place = f"`{examples.target_name}`"
    if len(examples.known) == 0:
        return [f"the column {place} is empty, so there is nothing to compare with"]
    without = len(examples.inputs) - len(examples.known)
    return [f"rows without {place}: {without:,} of {len(examples.inputs):,}; the others are compared"]


def _result(
    run: str | Path, opened: TrainedRun, notes: Sequence[str], predictions: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "run": str(run),
        "checkpoint": str(opened.weights.origin),
        "step": opened.weights.step,
        "notes": list(notes),
        "unpredicted": sum("note" in prediction for prediction in predictions),
        **({"names": list(names)} if (names := opened.dataset.labels or opened.dataset.class_names) else {}),
        "predictions": predictions,
    }


def compute_outputs(opened: TrainedRun, inputs: Inputs) -> Tensor:
    """Return what a run's model gives for inputs, on the host."""
    parts: list[Tensor] = []
    device = device_of(opened.model)
    reseed(opened.recipe.seed, opened.weights.step or 0, "evaluation", device=device)
    with torch.no_grad():
        for part in batches_of(inputs, range(-(-len(inputs) // rows_at_once(inputs)))):
            try:
                parts.append(opened.model(part.to(device)))
            except FAILURES as error:
                raise DataError(f"the model raised {describe(error)} on these examples.") from error
            if not isinstance(parts[-1], Tensor):
                raise DataError(
                    f"predicting needs a model that returns a tensor; this one returned {kind_of(parts[-1])}."
                )
    return torch.cat(parts).cpu()


def _classes(outputs: Tensor, margin: float) -> list[dict[str, Any]]:
    if outputs.ndim != 2:
        raise DataError(
            "predict shows one class an example, from logits of shape (examples, classes); this model's outputs have "
            f"shape {show_shape(tuple(outputs.shape))}. Load its weights with safetensors to use it otherwise."
        )
    probabilities = outputs.double().softmax(1)
    chosen = choose(outputs, margin=margin)[
        0
    ]  # by the logits, as an evaluation chooses: two probabilities may be rounded to one
    top = probabilities.gather(1, chosen[:, None])[:, 0]
    return [
        {"class": index, "probability": probability, "probabilities": row}
        for index, probability, row in zip(chosen.tolist(), top.tolist(), probabilities.tolist(), strict=True)
    ]


def _values(outputs: Tensor, dataset: Dataset) -> list[dict[str, Any]]:
    return [{"value": row} for row in restore_unit(outputs, dataset).tolist()]


def _range_notes(inputs: Tensor, dataset: Dataset) -> list[str]:
    """Return a note if inputs lie far outside those trained on: most often they were not scaled alike."""
    low, high = dataset.range_of_inputs()
    got_low, got_high = float(inputs.min()), float(inputs.max())
    room = high - low
    if got_low >= low - room and got_high <= high + room:
        return []
    trained_on = f"those trained on from {low:g} to {high:g}"
    return [f"the inputs go from {got_low:g} to {got_high:g}, {trained_on}: were they scaled alike?"]
