"""Cells of a table as a model's inputs, made as `Encoding` makes them of columns: in the same order, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from downslope.training.data import Dataset
from downslope.training.data.table_reader import KeptTable
from downslope.training.packing.raw_inputs import Preprocessing, RawInput

MISSING = -1
"""The index of a word that is missing."""

_REFUSED = "not allowed: the outputs are NaN"


class TableCells(Preprocessing):
    """Cells of a table: numbers standardised, words as one input each, missing ones filled where the run does so."""

    def __init__(self, kept: KeptTable) -> None:
        super().__init__()
        numbers = [name for name in kept.features if name in kept.centres]
        worded = [name for name in kept.features if name in kept.words]
        counts = [len(kept.words[name]) for name in worded]
        nothing = (float("nan"),)
        exact = {
            "mean": [kept.centres[name][0] for name in numbers],
            "deviation": [kept.centres[name][1] for name in numbers],
            "filling": [kept.filling.get(name, nothing)[0] for name in numbers],
            "word_filling": [
                value
                for name, count in zip(worded, counts, strict=True)
                for value in kept.filling.get(name, nothing * count)
            ],
        }
        # inputs of words are laid side by side: whose each is, which word it stands for, how many words its column has
        whole = {
            "owner": [place for place, count in enumerate(counts) for _ in range(count)],
            "code": [code for count in counts for code in range(count)],
            "count": counts,
            "order": _order(kept, numbers, worded),
        }
        for name, values in exact.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64))
        for name, values in whole.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.int64))
        self._has = bool(numbers), bool(worded)
        filled = kept.options.get("missing") == "mean"
        self.inputs = _inputs(kept, numbers, worded, "filled as the run fills it" if filled else _REFUSED)
        scaled = any(centre != (0.0, 1.0) for centre in kept.centres.values())
        steps = {
            "numbers: the column's mean subtracted, divided by its deviation": scaled,
            "words: one input for each word of a column, 1 where it stands, otherwise 0": bool(worded),
            "missing cells: the mean of the column's inputs over the rows learned from": filled,
        }
        self.steps = tuple(step for step, there in steps.items() if there)

    def forward(self, *raw: Tensor) -> Tensor:
        """Return inputs, float32 of shape (rows, inputs); NaN where `Encoding` would refuse a row."""
        parts: list[Tensor] = []
        if self._has[0]:
            numbers = (raw[0] - self.get_buffer("mean")) / self.get_buffer("deviation")
            parts.append(torch.where(raw[0].isnan(), self.get_buffer("filling"), numbers))
        if self._has[1]:
            words = raw[-1]
            each = words[:, self.get_buffer("owner")]
            one_hot = (each == self.get_buffer("code")).double()
            one_hot = torch.where(each == MISSING, self.get_buffer("word_filling"), one_hot)
            unknown = (each < MISSING) | (each >= self.get_buffer("count")[self.get_buffer("owner")])
            parts.append(torch.where(unknown, float("nan"), one_hot))
        return torch.cat(parts, 1)[:, self.get_buffer("order")].float()

    def invert(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return cells; where a word's inputs are no word's, it was missing."""
        encoded = torch.empty_like(inputs, dtype=torch.float64)
        encoded[:, self.get_buffer("order")] = inputs.double()
        mean, owner = self.get_buffer("mean"), self.get_buffer("owner")
        raw: list[Tensor] = []
        if self._has[0]:
            raw.append(encoded[:, : len(mean)] * self.get_buffer("deviation") + mean)
        if self._has[1]:
            one_hot, codes = encoded[:, len(mean) :], self.get_buffer("code")
            words = torch.full((len(inputs), len(self.get_buffer("count"))), MISSING)
            for column in range(words.shape[1]):
                mine = owner == column
                found = (one_hot[:, mine] == 1).int()
                words[:, column] = torch.where(found.any(1), codes[mine][found.argmax(1)], MISSING)
            raw.append(words)
        return tuple(raw)

    def make_up(self, dataset: Dataset, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return cells: numbers within two deviations, and any of the words."""
        mean, deviation, words = (self.get_buffer(name) for name in ("mean", "deviation", "count"))
        drawn = torch.rand((count, len(mean) + len(words)), generator=generator, dtype=torch.float64)
        numbers = mean + (4 * drawn[:, : len(mean)] - 2) * deviation
        raw = (numbers, (drawn[:, len(mean) :] * words).long())
        return tuple(one for one, there in zip(raw, self._has, strict=True) if there)


def _order(kept: KeptTable, numbers: Sequence[str], worded: Sequence[str]) -> list[int]:
    """Return where each input of the model lies among numbers, which come first, and then each column's words."""
    begins = {name: place for place, name in enumerate(numbers)}
    place = len(numbers)
    for name in worded:
        begins[name] = place
        place += len(kept.words[name])
    return [begins[name] + code for name in kept.features for code in range(len(kept.words.get(name, " ")))]


def _inputs(kept: KeptTable, numbers: Sequence[str], worded: Sequence[str], missing: str) -> tuple[RawInput, ...]:
    found: list[RawInput] = []
    if numbers:
        cells = RawInput(
            name="numbers",
            dtype=torch.float64,
            shape=(len(numbers),),
            meaning=f"the cells of these columns as numbers; NaN for a missing one, which is {missing}",
            columns=tuple(numbers),
        )
        found.append(cells)
    if worded:
        unknown = "for a word that the run has not seen: the outputs are NaN"
        words = RawInput(
            name="words",
            dtype=torch.int64,
            shape=(len(worded),),
            meaning="for each of these columns the index of its cell among its words, from 0; "
            f"{MISSING} for a missing one, which is {missing}; any other number {unknown}",
            columns=tuple(worded),
            words=tuple(kept.words[name] for name in worded),
            meaning_as_text="the cells of these columns, as they stand in the table; an empty text for a missing one, "
            f"which is {missing}; any other text {unknown}",
        )
        found.append(words)
    return tuple(found)
