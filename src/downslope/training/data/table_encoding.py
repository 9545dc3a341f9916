"""From columns to the numbers that a model sees: standardised, and words as one input each.

What is learned from the rows to learn from (means, deviations, words) is used on any rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from downslope.core.errors import DataError, did_you_mean
from downslope.core.shown import shown
from downslope.core.tables import toml_line
from downslope.training.data.class_names import Indices, order_classes, show_names
from downslope.training.data.numpy_files import check_memory
from downslope.training.data.table_columns import Columns, NumberArray, Wanted
from downslope.training.data.table_options import Options
from downslope.training.data.table_problems import KEY, TableError

_TOGETHER = 1024
"""How many columns are worked on at once: thousands one by one would take seconds."""

_MANY = 2000
"""Up to so many words are searched for the one that a person may have meant."""

_NOTHING = "has no cell to learn from."

_WHOLE = 2.0**53
"""From here on not every whole number is a float64."""

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

        Raises:
            DataError: If a cell is missing that may not be, or a word was not there to learn from, or all would take
                more memory than there is.
        """
        widths = [len(self.words[name]) if name in self.words else 1 for name in self.features]
        rows, inputs = len(columns.lines), sum(widths)
        check_memory(columns.file, rows * inputs * 8, f"for {inputs:,} inputs of {rows:,} rows")
        encoded = np.empty((rows, inputs))
        begins = np.cumsum([0, *widths]).tolist()
        numeric = [number for number, name in enumerate(self.features) if name in self.centres]
        for some in (numeric[begin : begin + _TOGETHER] for begin in range(0, len(numeric), _TOGETHER)):
            names = [self.features[number] for number in some]
            # a column to a row of the block, so that each is worked on along memory
            block = np.array([columns.numbers[name] for name in names])
            centres = np.array([self.centres[name] for name in names])
            encoded[:, [begins[number] for number in some]] = ((block - centres[:, :1]) / centres[:, 1:]).T
        for number, name in enumerate(self.features):
            place = slice(begins[number], begins[number + 1])
            if name not in self.centres:
                encoded[:, place] = self._one_hot(columns, name)
            missing = columns.is_missing(name)
            if missing.any():
                if name not in self.filling:
                    raise DataError(f"{columns.place(int(np.argmax(missing)), name)}: the cell is empty.")
                encoded[missing, place] = self.filling[name]
        return encoded

    def encode_known(self, columns: Columns) -> tuple[NumberArray32, Indices, dict[int, str]]:
        """Return inputs, (usable, inputs), of the rows that can be encoded, their indices, and row -> why not."""
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
            f"{columns.place(row, name)}: '{shown(word)}' was not among the words to learn from."
            f"{did_you_mean(word, self.words[name][:_MANY])} There are {show_names(self.words[name])}"
        )

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
    useless: dict[str, str] = {}
    words: dict[str, tuple[str, ...]] = {}
    for name in features:
        if name in columns.words:
            kept = ~learned.is_missing(name)
            words[name] = order_classes(word for word in columns.words[name] if word is not None)
            if not kept.any():
                useless[name] = _NOTHING
            elif len(words[name]) == 1:
                useless[name] = f"is '{shown(words[name][0])}' everywhere."
    centres = _learn_centres(learned, [name for name in features if name not in words], useless)
    if useless:
        raise TableError(
            [f"{columns.file}, column `{shown(name)}`: {why} {to_leave_out(name)}" for name, why in useless.items()],
            {"ignore": list(useless)},
        )
    if not standardize:
        centres = dict.fromkeys(centres, (0.0, 1.0))
    bare = Encoding(features=tuple(features), centres=centres, words=words, filling={})
    if not fill:
        return bare
    filling: dict[str, NumberArray] = {}
    for name in features:
        kept = np.flatnonzero(~learned.is_missing(name))
        one = Encoding(features=(name,), centres=centres, words=words, filling={})
        filling[name] = one.encode(learned.take(kept)).mean(axis=0)
    return Encoding(features=tuple(features), centres=centres, words=words, filling=filling)


def _learn_centres(learned: Columns, names: Sequence[str], useless: dict[str, str]) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of columns of numbers, and note those of which nothing can be learned.

    Columns without missing cells are taken together: each one's sums run along memory as they would alone.
    """
    centres: dict[str, tuple[float, float]] = {}
    missing = [name for name in names if learned.is_missing(name).any()]
    whole = [name for name in names if name not in set(missing)]
    blocks = [[name] for name in missing] + [
        whole[begin : begin + _TOGETHER] for begin in range(0, len(whole), _TOGETHER)
    ]
    for block in blocks:
        values = np.array([learned.numbers[name] for name in block])
        values = values[:, ~np.isnan(values[0])] if len(block) == 1 else values
        if not values.shape[1]:
            useless[block[0]] = _NOTHING
            continue
        with np.errstate(over="ignore", invalid="ignore"):  # numbers of 1e200 have no deviation, which is said below
            found = zip(values.min(1), values.max(1), values.mean(1), values.std(1), strict=True)
        for name, (low, high, mean, deviation) in zip(block, found, strict=True):
            if low == high:
                useless[name] = f"{same_everywhere(low)}."
            elif not 0 < deviation < float("inf"):
                useless[name] = "its numbers are too far apart, or too close, to use."
            else:
                centres[name] = float(mean), float(deviation)
    return {name: centres[name] for name in names if name in centres}


def same_everywhere(value: float) -> str:
    """Return what is wrong with a column of one number; beyond 2^53 its cells may differ in digits that are not kept.

    Example:
        >>> same_everywhere(1234567.0), same_everywhere(1e20)
        ('is 1234567 in every row to learn from', 'is 1e+20 in every row to learn from, to the 16 digits that are kept')
    """
    kept = ", to the 16 digits that are kept" if abs(value) >= _WHOLE else ""
    return f"is {value:.15g} in every row to learn from{kept}"


def to_leave_out(name: str) -> str:
    """Return what to do about a column of which nothing can be learned."""
    return f"Nothing can be learned from it; leave it out: {KEY}.ignore = {toml_line([name])}."


def want_features(features: Iterable[str], options: Options) -> dict[str, Wanted]:
    """Return what the cells of each feature are."""
    categories = set(options.categories)
    return {name: Wanted("word") if name in categories else Wanted("number", _advise(name)) for name in features}


def _advise(name: str) -> str:
    quoted = toml_line([name])
    return f" If its words are to count, set {KEY}.categories = {quoted}; to leave it out, {KEY}.ignore = {quoted}."
