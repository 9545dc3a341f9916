"""What a run's model says about single examples, held-out ones or a person's own from a file, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from downslope.core.errors import DataError
from downslope.training.data import Dataset
from downslope.training.data.dataset import Examples
from downslope.training.data.rows import Inputs, batches_of, rows_at_once
from downslope.training.device import device_of
from downslope.training.run.randomness import reseed
from downslope.training.use.answering import Form, Pass, Row, needs_tensor, restore_unit
from downslope.training.use.evaluate import TrainedRun, idle_loaders, open_run, read_parts, refuse_options
from downslope.training.user_code import FAILURES, describe

__all__ = ["Predictions", "compute_outputs", "predict_examples", "predict_run", "restore_unit"]


class Predictions:
    """What a run's model predicts, example by example; arguments as in `predict_run`.

    Attributes:
        rows: Yields some of the predictions at a time, in order: the items of `predict_run`'s "predictions".

    Raises:
        CheckpointError: As in `evaluate_run`.
        DataError: If the options do not fit the run; the rows raise it if the examples do not.
    """

    def __init__(
        self,
        run: str | Path,
        source: str | Path | None = None,
        *,
        checkpoint: str = "last",
        count: int | None = None,
        identify: str | None = None,
        beam: int | None = None,
        attention: Path | None = None,
        device: str | None = None,
        loaders: int | None = None,
        tta: str | None = None,
        threshold: float | None = None,
    ) -> None:
        """Open the run; no example is read yet."""
        self._run, self._source, self._count, self._loaders = run, source, count, loaders
        self._opened = opened = open_run(run, checkpoint, device, loaders=loaders, tta=tta, threshold=threshold)
        self._notes = list(opened.notes)
        self._passed: Pass | None = None
        self._unpredicted, self._form = 0, Form()
        if opened.dataset.sequences is not None:
            refuse_options(identify, loaders)
            self.rows = self._transcribe(beam or 1, attention)
            return
        if beam is not None or attention is not None:
            option = "--beam" if beam is not None else "--attention"
            raise DataError(
                f"{option} is for runs that write sequences; {run} learned {opened.dataset.name!r}. Leave it out."
            )
        if source is None and identify is not None:
            raise DataError("--id names a column of the file given with --input. Give both.")
        self._identify = identify
        self.rows = self._predict()

    @property
    def names(self) -> tuple[str, ...]:
        """What each class is called."""
        return self._opened.dataset.labels or self._opened.dataset.class_names

    @property
    def form(self) -> Form:
        """What the rows may hold, once the first were told."""
        return self._form if self._passed is None else self._passed.form

    def summary(self) -> dict[str, Any]:
        """Return all that `predict_run` returns but the predictions, once all of them were told."""
        metrics = {}
        if self._passed is not None and self._source is not None and self._passed.rated:
            metrics = {"metrics": {"examples": self._passed.rated, **self._passed.metrics()}}
        return {
            "run": str(self._run),
            "checkpoint": str(self._opened.weights.origin),
            "step": self._opened.weights.step,
            "notes": self._notes,
            "unpredicted": self._unpredicted if self._passed is None else self._passed.unpredicted,
            **({"names": list(self.names)} if self.names else {}),
            **metrics,
        }

    def _predict(self) -> Iterator[list[Row]]:
        opened, dataset = self._opened, self._opened.dataset
        parts: Iterable[Examples]
        if self._source is None:
            dataset, examples, of_data = opened.held_out()
            parts = [examples]
            self._notes += of_data
        else:
            parts = read_parts(opened, self._source, identify=self._identify)
        self._passed = passed = Pass(opened, dataset, _first(parts, self._count), "these examples")
        yield from passed.batches()
        if self._source is not None:
            self._notes += [*passed.notes, *_target_notes(passed)]
            self._notes += _range_notes(passed, dataset) if dataset.reader is None else []
        self._notes += idle_loaders(passed, self._loaders)

    def _transcribe(self, beam: int, attention: Path | None) -> Iterator[list[Row]]:
        from downslope.training.sequences.transcribe import transcribe

        text = None if self._source is None else str(self._source)
        found = transcribe(self._opened, text, count=self._count, beam=beam, attention=attention)
        self._notes += found["notes"]
        self._unpredicted = sum("note" in row for row in found["predictions"])
        self._form = Form(has_target=any("targets" in row for row in found["predictions"]))
        yield found["predictions"]


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
    loaders: int | None = None,
    tta: str | None = None,
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
        identify: For a table, a column whose cells are given as "id" of each prediction; None for `data.options.id`.
        beam: For sequences, as in `sequences.transcribe`, and then `source` may be text; None for 1.
        attention: For sequences, as in `sequences.transcribe`.
        device: As in `evaluate_run`.
        loaders: As in `evaluate_run`.
        tta: As in `evaluate_run`.
        threshold: As in `evaluate_run`.

    Returns:
        "run", "checkpoint", "step", "notes", and "predictions": for each example a dict with "example" (0-based) and,
        for a classifier, "class", "probability" and "probabilities", where there are labels "labels" (the names of
        those that it is answered to have) and "probabilities", or else "value"; "true_labels" or "target", and "loss",
        where it is known; "class_name", "target_name" and "name" (of the example) where there are names; and "index",
        which of its data set's own examples it is, where the held-out ones were drawn from it. Where there is no
        prediction,
        because the model cannot be given the example or its outputs are no finite numbers, these are None, and "note"
        says why; "unpredicted" is how many they are. "names" are those of the classes. Where a file gives targets too,
        "metrics": what `evaluate_run` would give for them, and "examples", how many they are.
        For sequences see `sequences.transcribe`.

    Raises:
        CheckpointError: As in `evaluate_run`.
        DataError: If the file cannot be read or does not fit the run.
    """
    found = Predictions(
        run,
        source,
        checkpoint=checkpoint,
        count=count,
        identify=identify,
        beam=beam,
        attention=attention,
        device=device,
        loaders=loaders,
        tta=tta,
        threshold=threshold,
    )
    rows = [row for some in found.rows for row in some]
    return {**found.summary(), "predictions": rows}


def predict_examples(opened: TrainedRun, examples: Examples) -> list[Row]:
    """Return a prediction for each example, those that the model cannot be given included."""
    passed = Pass(opened, opened.dataset, [examples], "these examples")
    return [row for rows in passed.batches() for row in rows]


def compute_outputs(opened: TrainedRun, inputs: Inputs) -> Tensor:
    """Return what a run's model gives for inputs, on the host."""
    parts: list[Tensor] = []
    device = device_of(opened.model)
    with torch.no_grad():
        for place, part in enumerate(batches_of(inputs, range(-(-len(inputs) // rows_at_once(inputs))))):
            reseed(opened.recipe.seed, opened.weights.step or 0, f"evaluation {place}", device=device)
            try:
                outputs: Any = opened.model(part.to(device))
            except FAILURES as error:
                raise DataError(f"the model raised {describe(error)} on these examples.") from error
            if not isinstance(outputs, Tensor):
                raise needs_tensor(outputs)
            parts.append(outputs)
    return torch.cat(parts).cpu()


def _first(parts: Iterable[Examples], count: int | None) -> Iterator[Examples]:
    """Yield parts until there are so many examples; what comes after is not read."""
    left = count
    for part in parts:
        yield part.first(left)
        left = None if left is None else left - len(part)
        if left is not None and left <= 0:
            return


def _target_notes(passed: Pass) -> list[str]:
    """Return a note if targets have a place in the file, but not all are there."""
    if passed.rated == passed.usable or not passed.target_name:
        return []
    place = f"`{passed.target_name}`"
    if not passed.rated:
        return [f"the column {place} is empty, so there is nothing to compare with"]
    without = passed.usable - passed.rated
    return [f"rows without {place}: {without:,} of {passed.usable:,}; the others are compared"]


def _range_notes(passed: Pass, dataset: Dataset) -> list[str]:
    """Return a note if inputs lie far outside those trained on: most often they were not scaled alike."""
    low, high = dataset.range_of_inputs()
    room = high - low
    if passed.low >= low - room and passed.high <= high + room:
        return []
    trained_on = f"those trained on from {low:g} to {high:g}"
    return [f"the inputs go from {passed.low:g} to {passed.high:g}, {trained_on}: were they scaled alike?"]
