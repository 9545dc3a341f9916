"""What a run's model says about single examples: held-out ones, or a person's own from a file.

What lives here: the predictions as plain values, and how good they are where a file says what is right. What does not:
reading arrays (`input_files.py`), loading the model (`evaluate.py`) and printing (`cli/`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from downslope.core.errors import DataError
from downslope.training.data import Dataset
from downslope.training.data.dataset import Examples, take_held_out
from downslope.training.evaluate import TrainedRun, open_run
from downslope.training.held_out import BATCH, measure
from downslope.training.imports import FAILURES, describe
from downslope.training.input_files import read_inputs, show_shape
from downslope.training.labelled import add_labels, restore_unit
from downslope.training.losses import kind_of
from downslope.training.objective import build_objective
from downslope.training.randomness import reseed


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
        "class_name", "target_name" and "name" (of the example) where there are names. Where a file gives targets too,
        "metrics": what `evaluate_run` would give for them, and "examples", how many they are.
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
    metrics: dict[str, float] | None = None
    if source is None:
        examples = take_held_out(dataset, count)
    elif dataset.reader is not None:
        examples = dataset.reader(source).first(count)
        metrics = _measure(opened, examples)
        notes += _target_notes(examples)
    else:
        examples = Examples(inputs=read_inputs(source, dataset)[:count])
        notes += _range_notes(examples.inputs, dataset)
    inputs = examples.inputs
    outputs = _outputs(opened, inputs)
    rows = _classes(outputs) if dataset.classes is not None else _values(outputs, dataset)
    predictions = [{"example": number, **row} for number, row in enumerate(rows)]
    if examples.targets is not None and examples.known is not None:
        targets = restore_unit(examples.targets, dataset)
        for row, target in zip(examples.known.tolist(), targets.tolist(), strict=True):
            predictions[row]["target"] = target
    add_labels(predictions, dataset, examples.names)
    return _result(run, opened, notes, predictions) | ({} if metrics is None else {"metrics": metrics})


def _measure(opened: TrainedRun, examples: Examples) -> dict[str, float] | None:
    """Return how good the model is on the examples that have targets, measured as an evaluation measures; or None."""
    targets, known = examples.targets, examples.known
    if targets is None or known is None or len(known) == 0:
        return None
    recipe = opened.recipe
    objective = build_objective(recipe, opened.dataset)
    found = measure(
        opened.model, objective, examples.inputs[known], targets, seed=recipe.seed, step=opened.weights.step or 0
    )
    return {"examples": len(known), **found.metrics}


def _target_notes(examples: Examples) -> list[str]:
    """Return a note if targets have a place in the file, but not all are there."""
    if examples.known is None or len(examples.known) == len(examples.inputs):
        return []
    place = f"`{examples.target_name}`"
    if len(examples.known) == 0:
        return [f"the column {place} is empty, so there is nothing to compare with"]
    without = len(examples.inputs) - len(examples.known)
    return [f"rows without {place}: {without:,} of {len(examples.inputs):,}; the others are compared"]


def _result(run: str | Path, opened: TrainedRun, notes: list[str], predictions: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "run": str(run),
        "checkpoint": str(opened.weights.origin),
        "step": opened.weights.step,
        "notes": notes,
        "predictions": predictions,
    }


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
            f"shape {show_shape(tuple(outputs.shape))}. Load its weights with safetensors to use it otherwise."
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
