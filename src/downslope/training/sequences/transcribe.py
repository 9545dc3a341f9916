"""What a run's model writes for single inputs, held-out ones or a person's own, and which inputs it attends to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from downslope.core.errors import DataError, MissingDependencyError, one_of
from downslope.training.data.dataset import Dataset, Examples
from downslope.training.device import device_of
from downslope.training.models.seq2seq import Seq2Seq
from downslope.training.run.task import build_objective
from downslope.training.sequences.pairs import read_lines
from downslope.training.sequences.search import Hypothesis, search_greedily, search_with_beam
from downslope.training.sequences.symbols import Sequences, trim
from downslope.training.use.answering import Form

if TYPE_CHECKING:
    from downslope.training.use.evaluate import TrainedRun

_FORMATS = (".png", ".svg", ".pdf")

_TOLD_AT_ONCE = 64

_BLANK: dict[str, Any] = {"output": None, "probability": None, "ended": None}


def transcribe(
    opened: TrainedRun,
    text: str | None = None,
    *,
    count: int | None = None,
    beam: int = 1,
    attention: Path | None = None,
) -> dict[str, Any]:
    """Return what a run's model writes.

    Args:
        opened: The run, with its model.
        text: Inputs, or the path of a text file of such, as in `read_lines`; None for held-out inputs, whose right
            answers are then given too.
        count: How many inputs, from the first; None for all.
        beam: How many hypotheses are kept at each place; 1 for a greedy search.
        attention: Where to draw the attention of the first input, or None.

    Returns:
        "predictions": for each input a dict with "example" (0-based), "input", "output", "probability" in [0, 1],
        "ended" (false where the search gave up); "alternatives", the other hypotheses, where there is a beam; and
        "targets" where the right answers are known. Where there is no answer, "output", "probability" and "ended" are
        None, and "note" says why. "notes": sentences for the person.

    Raises:
        DataError: If no input has only symbols that the run knows, or the model has no attention to draw.
    """
    sequences = cast("Sequences", opened.dataset.sequences)
    model = cast("Seq2Seq", opened.model)
    notes: list[str] = []
    answers: dict[int, tuple[tuple[int, ...], ...]] = {}
    refused: dict[int, str] = {}
    if text is None:
        dataset, examples, of_data = opened.held_out()
        notes += of_data
        references = cast("Sequences", dataset.sequences).references
        inputs = dict(enumerate(examples.inputs[:count]))
        answers = dict(enumerate(references[: len(inputs)]))
    else:
        lines = read_lines(text, sequences, count=count)
        notes += lines.notes
        refused, answers = lines.refused, lines.answers
        inputs = {number: torch.tensor(row, dtype=torch.int64) for number, row in lines.inputs.items()}
    predictions: dict[int, dict[str, Any]] = {
        number: {"example": number, "input": None, **_BLANK, "note": reason} for number, reason in refused.items()
    }
    for number, row in inputs.items():
        given = trim(row[None]).to(device_of(model))
        found = search_greedily(model, given) if beam == 1 else search_with_beam(model, given, beam)
        if attention is not None:
            if found[0].attention is None:
                raise DataError('--attention: this model has none: model.options.attention is "none".')
            written = [*sequences.targets.split(found[0].numbers), *(["end"] if found[0].ended else [])]
            draw_attention(attention, found[0].attention, sequences.inputs.split(row.tolist()), written)
            attention = None
            if len(inputs) > 1:
                notes.append("the picture shows the attention of the first input")
        prediction = _row(sequences, number, row, found, answers.get(number, ()))
        if beam > 1:
            prediction["alternatives"] = [_told(sequences, [one], number) for one in found[1:]]
        predictions[number] = prediction
    return {"predictions": [predictions[number] for number in sorted(predictions)], "notes": notes}


def tell_examples(
    opened: TrainedRun, dataset: Dataset, examples: Examples, tell: Callable[[list[dict[str, Any]], Form], None]
) -> None:
    """Tell what a run's model writes for examples, as `transcribe` returns it, with the loss of each; some at a time.

    Args:
        opened: The run, with its model.
        dataset: The data in which the examples are held out.
        examples: They, in memory.
        tell: Is given some rows.
    """
    sequences, model = cast("Sequences", dataset.sequences), cast("Seq2Seq", opened.model)
    objective = build_objective(opened.recipe, dataset)
    rows = {place: number for number, place in enumerate(examples.places())}
    found: list[dict[str, Any]] = []
    for place in range(len(examples)):
        if place in examples.refused:
            found.append({"example": place, "input": None, **_BLANK, "note": examples.refused[place]})
        else:
            number = rows[place]
            given = trim(examples.inputs[number][None]).to(device_of(model))
            row = _row(sequences, place, given[0].cpu(), search_greedily(model, given), sequences.references[number])
            right = cast("torch.Tensor", examples.targets)[number][None].to(given.device)
            with torch.no_grad():
                row["loss"] = float(objective.answer(model, given, trim(right), step=None).loss)
            found.append(row)
        if len(found) == _TOLD_AT_ONCE:
            tell(found, Form(has_target=True, has_loss=True))
            found = []
    if found:
        tell(found, Form(has_target=True, has_loss=True))


def _row(
    sequences: Sequences,
    number: int,
    given: torch.Tensor,
    found: Sequence[Hypothesis],
    answers: Sequence[tuple[int, ...]],
) -> dict[str, Any]:
    """Return what is said of one input."""
    row = {"example": number, "input": sequences.inputs.text(given.tolist()), **_told(sequences, found, number)}
    return {**row, "targets": [sequences.targets.text(one) for one in answers]} if answers else row


def _told(sequences: Sequences, found: Sequence[Hypothesis], number: int) -> dict[str, Any]:
    """Return the best hypothesis in words; nothing if there is none, or its probability is no number."""
    if not found or not math.isfinite(found[0].log_probability):
        return {**_BLANK, "note": f"example {number}: the model's outputs are no finite numbers"}
    return {
        "output": sequences.targets.text(found[0].numbers),
        "probability": math.exp(found[0].log_probability),
        "ended": found[0].ended,
    }


def draw_attention(path: Path, weights: torch.Tensor, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Draw attention weights, shape (outputs, inputs), as a .png, .svg or .pdf file.

    Raises:
        DataError: If the file has another ending, or cannot be written.
        MissingDependencyError: If matplotlib is not installed.
    """
    if path.suffix.lower() not in _FORMATS:
        raise DataError(f"--attention: {str(path)!r} must end in {one_of(_FORMATS)}.")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError(
            'drawing needs matplotlib, which is not installed. Run: pip install "downslope[plot]"'
        ) from None
    width, height = 1.6 + 0.42 * len(inputs), 1.2 + 0.42 * len(outputs)
    figure = Figure(figsize=(max(3.2, width), max(2.6, height)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(weights.double().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.set_xticks(range(len(inputs)), inputs)
    axes.set_yticks(range(len(outputs)), outputs)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.set_ylabel("written")
    axes.set_xlabel("read")
    axes.xaxis.set_label_position("top")
    for row, line in enumerate(weights.tolist()):
        for column, weight in enumerate(line):
            if weight >= 0.1:
                color = "white" if weight > 0.6 else "black"
                axes.text(column, row, f"{weight:.1f}".lstrip("0"), ha="center", va="center", fontsize=7, color=color)
    figure.colorbar(image, ax=axes, shrink=0.8, label="attention")
    try:
        figure.savefig(path, dpi=160)
    except OSError as error:
        raise DataError(f"--attention: {path} cannot be written: {error.strerror or error}.") from None
