"""What a run's model writes for single inputs, held-out ones or a person's own, as plain values.

What lives here: from text to predictions. What does not: the search (`search.py`), the picture (`alignment.py`) and
printing (`cli/`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch

from downslope.core.errors import DataError
from downslope.training.models.seq2seq import Seq2Seq
from downslope.training.sequences.alignment import draw_attention
from downslope.training.sequences.pairs import read_lines
from downslope.training.sequences.search import Hypothesis, search_greedily, search_with_beam
from downslope.training.sequences.symbols import Sequences, trim
from downslope.training.use.evaluate import TrainedRun


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
        found = _search(model, trim(row[None]), beam)
        if attention is not None:
            _draw(attention, sequences, row.tolist(), found[0])
            attention = None
            if len(inputs) > 1:
                notes.append("the picture shows the attention of the first input")
        prediction = {
            "example": number,
            "input": sequences.inputs.text(row.tolist()),
            **_told(sequences, found, number),
        }
        if beam > 1:
            prediction["alternatives"] = [_told(sequences, [one], number) for one in found[1:]]
        if number in answers:
            prediction["targets"] = [sequences.targets.text(one) for one in answers[number]]
        predictions[number] = prediction
    return {"predictions": [predictions[number] for number in sorted(predictions)], "notes": notes}


_BLANK: dict[str, Any] = {"output": None, "probability": None, "ended": None}


def _search(model: Seq2Seq, inputs: torch.Tensor, beam: int) -> list[Hypothesis]:
    return search_greedily(model, inputs) if beam == 1 else search_with_beam(model, inputs, beam)


def _told(sequences: Sequences, found: Sequence[Hypothesis], number: int) -> dict[str, Any]:
    """Return the best hypothesis in words; nothing if there is none, or its probability is no number."""
    if not found or not math.isfinite(found[0].log_probability):
        return {**_BLANK, "note": f"example {number}: the model's outputs are no finite numbers"}
    return {
        "output": sequences.targets.text(found[0].numbers),
        "probability": math.exp(found[0].log_probability),
        "ended": found[0].ended,
    }


def _draw(path: Path, sequences: Sequences, row: list[int], found: Hypothesis) -> None:
    if found.attention is None:
        raise DataError('--attention: this model has none: model.options.attention is "none".')
    written = [*sequences.targets.split(found.numbers), *(["end"] if found.ended else [])]
    draw_attention(path, found.attention, sequences.inputs.split(row), written)
