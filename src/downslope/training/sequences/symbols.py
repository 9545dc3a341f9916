"""Symbols: how sequences of letters, phonemes or words become numbers and text again.

Number 0 is padding everywhere. In targets 1 begins a sequence and 2 ends it; symbols come after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from downslope.core.errors import DataError

PAD, START, END = 0, 1, 2
FIRST = 3
"""Number of the first symbol."""


@dataclass(frozen=True)
class Symbols:
    """The symbols of one side of a task.

    Attributes:
        names: The symbols as a person writes them; the n-th has number FIRST + n.
        separator: What stands between two of them in text; "" where each is one character.

    Example:
        >>> letters = Symbols(("a", "b"))
        >>> letters.read("abba", "the input"), letters.text([3, 4, 2, 0])
        ((3, 4, 4, 3), 'ab')
    """

    names: tuple[str, ...]
    separator: str = ""

    def __len__(self) -> int:
        """Return how many numbers there are, padding and marks included."""
        return FIRST + len(self.names)

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {name: FIRST + index for index, name in enumerate(self.names)}

    def read(self, text: str, what: str) -> tuple[int, ...]:
        """Return the numbers of a text's symbols.

        Raises:
            DataError: If it is empty, or holds a symbol that is none of these.
        """
        parts = text.split(self.separator) if self.separator else list(text)
        parts = [part for part in parts if part]
        if not parts:
            raise DataError(f"{what} is empty. Give at least one symbol, such as {self.names[0]!r}.")
        unknown = [part for part in dict.fromkeys(parts) if part not in self._numbers]
        if unknown:
            raise DataError(
                f"{what}: {text!r} has {', '.join(map(repr, unknown))}, which the run has never seen. "
                f"Its symbols are {' '.join(self.names)}."
            )
        return tuple(self._numbers[part] for part in parts)

    def split(self, numbers: Sequence[int]) -> list[str]:
        """Return the symbols of some numbers, up to the first that ends a sequence or pads it."""
        names: list[str] = []
        for number in numbers:
            if number in (END, PAD):
                break
            if number >= FIRST:
                names.append(self.names[number - FIRST])
        return names

    def text(self, numbers: Sequence[int]) -> str:
        """Return `split` as text."""
        return self.separator.join(self.split(numbers))


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """What a data set of sequences has besides its examples.

    Attributes:
        inputs: The symbols of inputs.
        targets: The symbols of targets.
        references: For each held-out example all answers that are right, as numbers without END.
        rates: What to call the rate of wrong symbols and that of wrong sequences.
        longest_trained: Longest input learned from; held-out inputs above it are rated by themselves.
    """

    inputs: Symbols
    targets: Symbols
    references: tuple[tuple[tuple[int, ...], ...], ...]
    rates: tuple[str, str] = ("symbol_error_rate", "sequence_error_rate")
    longest_trained: int


def pad(sequences: Sequence[Sequence[int]], *, end: bool = False) -> Tensor:
    """Return sequences as one tensor, shorter ones padded.

    Returns:
        int64 of shape (sequences, longest).

    Example:
        >>> pad([(5, 6), (7,)], end=True)
        tensor([[5, 6, 2],
                [7, 2, 0]])
    """
    rows = [[*sequence, END] if end else list(sequence) for sequence in sequences]
    width = max(map(len, rows))
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows], dtype=torch.int64)


def trim(padded: Tensor) -> Tensor:
    """Return a padded tensor without the columns that hold nothing but padding at its right."""
    return padded[:, : lengths(padded).max()]


def lengths(padded: Tensor) -> Tensor:
    """Return the number of symbols in each row, END included; shape (rows,)."""
    return (padded != PAD).sum(1)
