"""Sequences of a person's own as text: inputs, and right answers where they are given.

A line is an input, or an input, a tab and a right answer, with more right answers behind further tabs. Each line is
read with the symbols of the run; one that has others is refused by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import torch

from downslope.core.errors import DataError
from downslope.core.files import read_text
from downslope.core.paths import expand_home, expansion_of
from downslope.core.shown import shown
from downslope.training.data.dataset import Dataset, Examples
from downslope.training.data.rows import in_memory
from downslope.training.sequences.symbols import Sequences, Symbols, pad, trim

Numbers = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Inputs, each with its right answers.

    Attributes:
        total: How many lines there are.
        inputs: Line -> the numbers of its input, of those that could be read.
        answers: Line -> its right answers; of the same lines, or of none where no line gives any.
        refused: Line -> why it could not be read.
        notes: Sentences about all of them.
    """

    total: int
    inputs: dict[int, Numbers] = field(default_factory=dict[int, Numbers])
    answers: dict[int, tuple[Numbers, ...]] = field(default_factory=dict[int, "tuple[Numbers, ...]"])
    refused: dict[int, str] = field(default_factory=dict[int, str])
    notes: tuple[str, ...] = ()


def read_lines(text: str, sequences: Sequences, *, count: int | None = None) -> Lines:
    """Return the inputs that a person gives, and their right answers where lines have them.

    Args:
        text: Inputs with white space between them (or on a line each, where white space separates symbols), or the path
            of a text file of such.
        sequences: The run's.
        count: How many, from the first; None for all.

    Raises:
        DataError: If there is none, or none of them has only symbols that the run knows.
    """
    path = _as_path(text)
    where = "the input"
    if path is not None and path.is_file():
        where = shown(path)
        text = _read(path)
    symbols = sequences.inputs
    rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    paired = any(len(row) > 1 for row in rows)
    if not paired and not symbols.separator:
        rows = [[part] for part in text.split()]
    rows = [[cell.strip() for cell in row] for row in rows][:count]
    if not rows:
        raise DataError(f"{where} is empty. Give at least one symbol, such as {symbols.names[0]!r}.")
    notes: tuple[str, ...] = ()
    small = [row[0].lower() for row in rows]
    if small != [row[0] for row in rows] and not any(name != name.lower() for name in symbols.names):
        rows = [[first, *row[1:]] for first, row in zip(small, rows, strict=True)]
        notes = ("capital letters were read as small ones: the run knows only these",)
    found = Lines(total=len(rows), notes=notes)
    for number, row in enumerate(rows):
        place = where if len(rows) == 1 else f"{where}, number {number + 1}"
        try:
            found.inputs[number] = symbols.read(row[0], place)
            if paired:
                found.answers[number] = _answers(row[1:], sequences.targets, place)
        except DataError as error:
            found.inputs.pop(number, None)
            found.refused[number] = str(error).rstrip(".")
    if not found.inputs:
        raise DataError(f"{found.refused[0]}.")
    return found


def read_pairs(source: str | Path, dataset: Dataset) -> tuple[Dataset, Examples]:
    """Return the examples of a text file whose lines have right answers, and the run's data in which they are held out.

    Raises:
        DataError: If it cannot be read, or lines have no right answers.
    """
    path = expand_home(source, DataError, "--input")
    if not path.is_file():
        raise DataError(f"{shown(source)}{expansion_of(source)}: there is no such file.")
    found = read_lines(str(path), cast("Sequences", dataset.sequences))
    if not found.answers:
        raise DataError(f"{shown(path)}: holds no right answers. Each line must be an input, a tab and a right answer.")
    return _held_out(dataset, found)


def respell(found: Dataset, form: Dataset) -> Dataset:
    """Return the held-out examples of data in the symbols of a run (`form`) that learned from other data."""
    now, then = cast("Sequences", found.sequences), cast("Sequences", form.sequences)
    lines = Lines(total=len(found.held_out_inputs))
    rows = in_memory(found.held_out_inputs).tolist()
    for number, (row, references) in enumerate(zip(rows, now.references, strict=True)):
        try:
            lines.inputs[number] = then.inputs.read(now.inputs.text(row), "a held-out input")
            lines.answers[number] = _answers([now.targets.text(one) for one in references], then.targets, "its answer")
        except DataError as error:
            lines.inputs.pop(number, None)
            lines.refused[number] = str(error).rstrip(".")
    if not lines.inputs:
        raise DataError(f"{lines.refused[0]}.")
    return _held_out(form, lines)[0]


def _held_out(dataset: Dataset, lines: Lines) -> tuple[Dataset, Examples]:
    inputs = trim(pad(list(lines.inputs.values())))
    targets = pad([answers[0] for answers in lines.answers.values()], end=True)
    sequences = replace(cast("Sequences", dataset.sequences), references=tuple(lines.answers.values()))
    examples = Examples(
        inputs=inputs,
        total=lines.total,
        rows=torch.tensor(list(lines.inputs), dtype=torch.int64),
        refused=lines.refused,
        notes=lines.notes,
        targets=targets,
        known=torch.arange(len(inputs)),
    )
    return replace(dataset, held_out_inputs=inputs, held_out_targets=targets, sequences=sequences), examples


def _answers(texts: Sequence[str], symbols: Symbols, place: str) -> tuple[Numbers, ...]:
    return tuple(symbols.read(text, f"{place}, its right answer") for text in texts if text) or (
        symbols.read("", f"{place}, its right answer"),
    )


def _read(path: Path) -> str:
    try:
        return read_text(path, DataError)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{shown(path)}: cannot be read as text: {shown(error)}.") from None


def _as_path(text: str) -> Path | None:
    try:
        return None if len(text) >= 1000 or "\0" in text else expand_home(text, DataError)
    except DataError:
        return None  # words that begin with ~ need name no home
