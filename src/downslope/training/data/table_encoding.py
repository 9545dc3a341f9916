"""From columns to the numbers that a model sees: standardised, and words as one column for each.

What lives here: what is learned from the rows to learn from (means, deviations, words), and its use on any rows. What
does not: which columns there are (`table.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from downslope.core.errors import DataError, did_you_mean
from downslope.core.shown import shown
from downslope.training.data.labels import order_classes, show_names
from downslope.training.data.table_columns import Columns, NumberArray

Rows = np.ndarray[Any, np.dtype[np.int64]]
NumberArray32 = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How columns become inputs.

    Attributes:
        features: The columns, in order.
        centres: Column -> (mean, standard deviation) of a column of numbers; (0, 1) where it is not standardised.
        words: Column -> the words of a column of categories; each becomes an input that is 1 where it stands.
        filling: Column -> what stands for a missing cell, shape (inputs,); empty if none may be missing.
    """

    features: tuple[str, ...]
    centres: Mapping[str, tuple[float, float]]
    words: Mapping[str, tuple[str, ...]]
    filling: Mapping[str, NumberArray]

    def encode(self, columns: Columns) -> NumberArray:
        """Return inputs of shape (rows, inputs).

        Args:
            columns: The features' columns, in any number of rows.

        Raises:
            DataError: If a cell is missing that may not be, or a word was not there to learn from.
        """
        return np.concatenate([self._encode_column(columns, name) for name in self.features], axis=1)

    def encode_known(self, columns: Columns) -> tuple[NumberArray32, Rows, dict[int, str]]:
        """Return the inputs of those rows that can be encoded, float32, which rows these are, and why the others not.

        Args:
            columns: The features' columns, in any number of rows.

        Returns:
            Shape (usable, inputs); indices of rows, shape (usable,); row -> a sentence that names place and cell.
        """
        refused: dict[int, str] = {}
        for name in self.features:
            if name not in self.filling:
                for row in np.flatnonzero(columns.is_missing(name)).tolist():
                    refused.setdefault(row, f"{columns.place(row, name)}: the cell is empty")
            if name in self.words:
                known = frozenset(self.words[name])
                for row, word in enumerate(columns.words[name]):
                    if word is not None and word not in known:
                        refused.setdefault(row, self._unknown(columns, row, name, word))
        refused = dict(sorted(refused.items()))
        usable = np.array([row for row in range(len(columns.lines)) if row not in refused], dtype=np.int64)
        if len(usable) == 0:
            width = sum(len(self.words[name]) if name in self.words else 1 for name in self.features)
            return np.empty((0, width), dtype=np.float32), usable, refused
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes inf, which is noticed later
            return self.encode(columns.take(usable)).astype(np.float32), usable, refused

    def _unknown(self, columns: Columns, row: int, name: str, word: str) -> str:
        return (
            f"{columns.place(row, name)}: {shown(word)!r} was not among the words to learn from."
            f"{did_you_mean(word, self.words[name])} There are {show_names(self.words[name])}"
        )

    def _encode_column(self, columns: Columns, name: str) -> NumberArray:
        missing = columns.is_missing(name)
        if name in self.centres:
            mean, deviation = self.centres[name]
            encoded = ((columns.numbers[name] - mean) / deviation)[:, np.newaxis]
        else:
            encoded = self._one_hot(columns, name)
        if missing.any():
            if name not in self.filling:
                raise DataError(f"{columns.place(int(np.argmax(missing)), name)}: the cell is empty.")
            encoded[missing] = self.filling[name]
        return encoded

    def _one_hot(self, columns: Columns, name: str) -> NumberArray:
        known = {word: number for number, word in enumerate(self.words[name])}
        encoded = np.zeros((len(columns.lines), len(known)))
        for row, word in enumerate(columns.words[name]):
            if word is None:
                continue
            if word not in known:
                raise DataError(f"{self._unknown(columns, row, name, word)}.")
            encoded[row, known[word]] = 1
        return encoded


def learn_encoding(
    columns: Columns, train: np.ndarray[Any, np.dtype[Any]], features: Sequence[str], *, standardize: bool, fill: bool
) -> Encoding:
    """Return how columns become inputs.

    Args:
        columns: All rows of the table; all its words are known.
        train: Indices of the rows to learn from; means and deviations are theirs.
        features: The columns, in order.
        standardize: Whether numbers get mean 0 and standard deviation 1.
        fill: Whether a missing cell is filled: with the mean, or for a word with the share of each.

    Raises:
        DataError: If a column is constant, or has nothing but missing cells.
    """
    learned = columns.take(train)
    centres: dict[str, tuple[float, float]] = {}
    words: dict[str, tuple[str, ...]] = {}
    for name in features:
        kept = ~learned.is_missing(name)
        if not kept.any():
            raise DataError(f"{columns.file}, column `{name}`: has no cell to learn from. {_leave_out(name)}")
        if name in columns.words:
            words[name] = order_classes(word for word in columns.words[name] if word is not None)
            if len(words[name]) == 1:
                raise DataError(
                    f"{columns.file}, column `{name}`: is {words[name][0]!r} everywhere. {_leave_out(name)}"
                )
        else:
            values = learned.numbers[name][kept]
            if values.min() == values.max():
                raise DataError(
                    f"{columns.file}, column `{name}`: is {values[0]:g} in every row to learn from. {_leave_out(name)}"
                )
            deviation = float(values.std())
            if not 0 < deviation < float("inf"):
                raise DataError(
                    f"{columns.file}, column `{name}`: its numbers are too far apart, or too close, to use."
                )
            centres[name] = (float(values.mean()), deviation) if standardize else (0.0, 1.0)
    bare = Encoding(features=tuple(features), centres=centres, words=words, filling={})
    if not fill:
        return bare
    filling: dict[str, NumberArray] = {}
    for name in features:
        kept = np.flatnonzero(~learned.is_missing(name))
        one = Encoding(features=(name,), centres=centres, words=words, filling={})
        filling[name] = one.encode(learned.take(kept)).mean(axis=0)
    return Encoding(features=tuple(features), centres=centres, words=words, filling=filling)


def _leave_out(name: str) -> str:
    return f'Nothing can be learned from it; leave it out: data.options.ignore = ["{name}"].'
