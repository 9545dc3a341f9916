"""What a run's model writes for single inputs, held-out ones or a person's own, as plain values.

What lives here: from text to predictions. What does not: the search (`search.py`), the picture (`alignment.py`) and
printing (`cli/`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import torch

from downslope.core.errors import DataError
from downslope.core.paths import expand_home
from downslope.training.evaluate import TrainedRun
from downslope.training.models.seq2seq import Seq2Seq
from downslope.training.sequences.alignment import draw_attention
from downslope.training.sequences.search import Hypothesis, search_greedily, search_with_beam
from downslope.training.sequences.symbols import Sequences, Symbols, pad, trim


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
        text: Inputs with white space between them, or the path of a text file of such; None for held-out inputs, whose
            right answers are then given too.
        count: How many inputs, from the first; None for all.
        beam: How many hypotheses are kept at each place; 1 for a greedy search.
        attention: Where to draw the attention of the first input, or None.

    Returns:
        "predictions": for each input a dict with "example" (0-based), "input", "output", "probability" in [0, 1],
        "ended" (false where the search gave up); "alternatives", the other hypotheses, where there is a beam; and
        "targets" where the right answers are known. "notes": sentences for the person.

    Raises:
        DataError: If an input has symbols that the run does not know, or the model has no attention to draw.
    """
    sequences = cast("Sequences", opened.dataset.sequences)
    model = cast("Seq2Seq", opened.model)
    notes: list[str] = []
    if text is None:
        inputs = opened.dataset.held_out_inputs[:count]
    else:
        inputs, notes = _read(text, sequences.inputs)
        inputs = inputs[:count]
    predictions: list[dict[str, Any]] = []
    for number, row in enumerate(inputs):
        found = _search(model, trim(row[None]), beam)
        if attention is not None and number == 0:
            _draw(attention, sequences, row.tolist(), found[0])
            if len(inputs) > 1:
                notes.append("the picture shows the attention of the first input")
        prediction = {"example": number, "input": sequences.inputs.text(row.tolist()), **_told(sequences, found[0])}
        if beam > 1:
            prediction["alternatives"] = [_told(sequences, one) for one in found[1:]]
        if text is None:
            prediction["targets"] = [sequences.targets.text(one) for one in sequences.references[number]]
        predictions.append(prediction)
    return {"predictions": predictions, "notes": notes}


def _as_path(text: str) -> Path | None:
    try:
        return None if len(text) >= 1000 or "\0" in text else expand_home(text, DataError)
    except DataError:
        return None  # words that begin with ~ need name no home


def _read(text: str, symbols: Symbols) -> tuple[torch.Tensor, list[str]]:
    notes: list[str] = []
    path = _as_path(text)
    is_file = path is not None and path.is_file()
    where = text if is_file else "the input"
    if path is not None and is_file:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot be read as text: {error}.") from None
    parts = [part.strip() for part in text.splitlines()] if symbols.separator else text.split()
    parts = [part for part in parts if part]
    if not parts:
        raise DataError(f"{where} is empty. Give at least one symbol, such as {symbols.names[0]!r}.")
    lower = [part.lower() for part in parts]
    if lower != parts and not any(name != name.lower() for name in symbols.names):
        parts = lower
        notes.append("capital letters were read as small ones: the run knows only these")
    return pad([symbols.read(part, where) for part in parts]), notes


def _search(model: Seq2Seq, inputs: torch.Tensor, beam: int) -> list[Hypothesis]:
    return search_greedily(model, inputs) if beam == 1 else search_with_beam(model, inputs, beam)


def _told(sequences: Sequences, found: Hypothesis) -> dict[str, Any]:
    return {
        "output": sequences.targets.text(found.numbers),
        "probability": math.exp(found.log_probability),
        "ended": found.ended,
    }


def _draw(path: Path, sequences: Sequences, row: list[int], found: Hypothesis) -> None:
    if found.attention is None:
        raise DataError('--attention: this model has none: model.options.attention is "none".')
    written = [*sequences.targets.split(found.numbers), *(["end"] if found.ended else [])]
    draw_attention(path, found.attention, sequences.inputs.split(row), written)
