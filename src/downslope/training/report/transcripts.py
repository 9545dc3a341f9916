"""What the final weights write for held-out sequences: mistakes and right answers, and which inputs each place read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from downslope.training.folder.run_folder import MODEL
from downslope.training.report.data import RunData

if TYPE_CHECKING:
    from downslope.training.data import Dataset
    from downslope.training.models.seq2seq import Seq2Seq
    from downslope.training.sequences.symbols import Sequences

_READ, _SHOWN, _MISTAKES, _LONGEST = 256, 6, 4, 24
"""Of the first inputs so many are read and so many shown, mistakes first; longer ones make tables that nobody reads."""


@dataclass(frozen=True)
class Transcript:
    """A held-out sequence and what is written for it.

    Attributes:
        given: The input's symbols.
        written: The output's symbols.
        targets: What is right, each as text.
        answer: The output as text.
        right: Whether it is one of these.
        probability: The probability that the model gives to the whole output.
        attention: For each place of the output, its end included where it ended, how much of it read each input;
            empty without attention.
    """

    given: list[str]
    written: list[str]
    targets: list[str]
    answer: str
    right: bool
    probability: float
    attention: list[list[float]]


@dataclass(frozen=True)
class Transcripts:
    """Some of them, and of how many they were chosen."""

    shown: list[Transcript]
    read: int
    mistakes: int


def look_at_transcripts(run: RunData, data: Dataset | None = None) -> Transcripts | str | None:
    """Return what is written for held-out sequences; `data` are the run's where they are at hand.

    A sentence says why it cannot be had; None that the run is not about sequences, or has no final weights.
    """
    if not run.rates or not (run.folder.path / MODEL).exists():
        return None
    try:
        return _look(run, data)
    except Exception as error:  # noqa: BLE001  # files may be gone or of another version; the page is of what there is
        text = str(error).strip().splitlines()
        return f"What it writes cannot be shown: {text[0] if text else type(error).__name__}"


def _look(run: RunData, data: Dataset | None) -> Transcripts | None:
    from downslope.training.device import device_of
    from downslope.training.sequences.search import search_greedily
    from downslope.training.use.evaluate import open_run

    opened = open_run(run.folder.path, str(run.folder.path / MODEL))
    dataset, examples, _ = opened.held_out(data)
    if dataset.sequences is None:
        return None
    sequences, model = cast("Sequences", dataset.sequences), cast("Seq2Seq", opened.model)
    inputs = examples.inputs[:_READ].to(device_of(model))
    found: list[Transcript] = []
    for given, one, right in zip(
        inputs.cpu().tolist(), search_greedily(model, inputs), sequences.references, strict=False
    ):
        if not math.isfinite(one.log_probability):
            continue
        split = sequences.targets.split(one.numbers)
        found.append(
            Transcript(
                given=sequences.inputs.split(given),
                written=[*split, *(["end"] if one.ended else [])],
                targets=[sequences.targets.text(numbers) for numbers in right],
                answer=sequences.targets.text(one.numbers),
                right=one.ended and one.numbers in right,
                probability=math.exp(one.log_probability),
                attention=[] if one.attention is None else one.attention.double().tolist(),
            )
        )
    wrong = sorted((one for one in found if not one.right), key=lambda one: -one.probability)
    fine = sorted((one for one in found if one.right), key=lambda one: one.probability)
    short = [one for one in wrong if len(one.given) <= _LONGEST >= len(one.written)][:_MISTAKES]
    rest = [one for one in fine if len(one.given) <= _LONGEST >= len(one.written)]
    return Transcripts([*short, *rest[: _SHOWN - len(short)]], read=len(found), mistakes=len(wrong))
