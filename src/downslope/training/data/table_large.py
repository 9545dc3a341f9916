"""A table that is larger than memory: read part by part, in three passes, and trained on from the disk.

The first pass sees which rows may be used, which words there are, and the targets; the second learns means and
deviations of the rows to learn from; the third writes inputs as the model takes them (`spool.py`). Each holds a part of
the table at a time, whatever its size.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.recipe.schema import Data
from downslope.training.data.class_names import Indices, index_labels, order_classes
from downslope.training.data.dataset import LARGE, lazy_checksum
from downslope.training.data.loaders import Loaders
from downslope.training.data.rows import Rows
from downslope.training.data.spool import Spool
from downslope.training.data.table_columns import Columns, NumberArray, TableFile, Wanted
from downslope.training.data.table_encoding import Encoding, same_everywhere, to_leave_out
from downslope.training.data.table_options import Options
from downslope.training.data.table_problems import KEY, TableError
from downslope.training.data.table_target import Target

_MOST_OF_A_LABEL = 4
"""So many examples of a class tell whether it is one; the rest are only counted."""

_NOTHING = "has no cell to learn from."

Usable = Any
"""From a part of the table to the part that may be used: (columns, rows left out, cells to be filled)."""


@dataclass(kw_only=True)
class Survey:
    """What a first pass over a table has seen.

    Attributes:
        file: The table.
        rows: How many rows may be used.
        left_out: How many may not, for missing cells.
        filled: How many cells are to be filled.
        words: Column of categories -> how often each word stands there.
        numbers: The targets, if they are numbers.
        labels: Their labels, if they are classes: each label -> its number, in the order in which they appeared.
        codes: The number of each row's label.
    """

    file: TableFile
    rows: int = 0
    left_out: int = 0
    filled: int = 0
    words: dict[str, Counter[str]] = field(default_factory=dict[str, "Counter[str]"])
    numbers: NumberArray = field(default_factory=lambda: np.empty(0))
    labels: dict[str, int] = field(default_factory=dict[str, int])
    codes: Indices = field(default_factory=lambda: np.empty(0, np.int64))

    def target_columns(self, target: str) -> Columns:
        """Return the target's column; of classes a few examples each, which tell as much as all."""
        place, lines = shown(self.file.path), range(1, self.rows + 1)
        if not self.labels:
            return Columns(file=place, unit="example", lines=lines, numbers={target: self.numbers}, words={})
        counts = np.bincount(self.codes, minlength=len(self.labels)).tolist()
        some: list[str | None] = [
            label for label, code in self.labels.items() for _ in range(min(counts[code], _MOST_OF_A_LABEL))
        ]
        return Columns(file=place, unit="example", lines=lines, numbers={}, words={target: some})

    def encode(self, target: Target) -> np.ndarray[Any, Any]:
        """Return the targets of all rows as the loss takes them."""
        if not target.names:
            mean, deviation = target.scale
            return ((self.numbers - mean) / deviation).astype(np.float32)
        place = shown(self.file.path)
        unknown = "there is no class {} to learn from"
        known = index_labels(list(self.labels), target.names, lambda _: f"{place}, `{target.column}`", unknown)
        return known[self.codes]


def is_large(data: Data, file: TableFile, features: Sequence[str]) -> bool:
    """Return whether a table is read part by part: as the recipe says, or by its size.

    Raises:
        DataError: If the recipe says so of a file that cannot be read so.
    """
    if file.rows is None:
        if data.in_memory is False:
            raise DataError(
                f"data.in_memory = false: {shown(file.path)} can only be read as a whole. Save it as .parquet, "
                ".feather, .arrow or .npy to read it part by part, or leave this out."
            )
        return False
    return file.rows * len(features) * 4 > LARGE if data.in_memory is None else not data.in_memory


def survey(file: TableFile, wanted: Mapping[str, Wanted], target: str, usable: Usable) -> Survey:
    """Return what a first pass over a table sees."""
    found = Survey(file=file)
    parts: list[Any] = []
    categories = [name for name, want in wanted.items() if want.kind == "word" and name != target]
    found.words = {name: Counter() for name in categories}
    for columns, left_out, filled in map(usable, file.chunks(wanted)):
        found.rows += len(columns.lines)
        found.left_out += left_out
        found.filled += filled
        for name in categories:
            found.words[name].update(word for word in columns.words[name] if word is not None)
        if target in columns.numbers:
            parts.append(columns.numbers[target])
        else:
            labels = found.labels
            texts = [label or "" for label in columns.words[target]]
            parts.append(np.array([labels.setdefault(label, len(labels)) for label in texts], dtype=np.int64))
    if not found.rows:
        raise DataError(f"{shown(file.path)}: no row is left that has all its cells.")
    if found.labels:
        found.codes = np.concatenate(parts)
    else:
        found.numbers = np.concatenate(parts)
    return found


class _Moments:
    """Means and deviations of columns, by parts: each part's own are merged into those of all before it.

    References:
        Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
    """

    def __init__(self, width: int) -> None:
        self.count, self.mean, self.squares = np.zeros(width), np.zeros(width), np.zeros(width)
        self.low, self.high = np.full(width, np.inf), np.full(width, -np.inf)

    def add(self, values: NumberArray) -> None:
        """Add rows of shape (rows, columns); NaN is a cell that is missing."""
        there = ~np.isnan(values)
        count = there.sum(0)
        safe = np.maximum(count, 1)
        mean = np.where(there, values, 0).sum(0) / safe
        squares = np.where(there, np.square(values - mean), 0).sum(0)
        total = self.count + count
        step = np.where(count > 0, mean - self.mean, 0)
        share = count / np.maximum(total, 1)
        self.mean = self.mean + step * share
        self.squares = self.squares + squares + np.square(step) * self.count * share
        self.count = total
        self.low = np.minimum(self.low, np.where(there, values, np.inf).min(0, initial=np.inf))
        self.high = np.maximum(self.high, np.where(there, values, -np.inf).max(0, initial=-np.inf))

    def centre(self, place: int) -> tuple[float, float]:
        """Return mean and standard deviation of a column."""
        with np.errstate(invalid="ignore"):
            deviation = np.sqrt(self.squares[place] / max(self.count[place], 1))
        return float(self.mean[place]), float(deviation)

    def why_useless(self, place: int) -> str:
        """Return why nothing can be learned from a column, or nothing."""
        if not self.count[place]:
            return _NOTHING
        if self.low[place] == self.high[place]:
            return f"{same_everywhere(float(self.low[place]))}."
        is_usable = 0 < self.centre(place)[1] < float("inf")
        return "" if is_usable else "its numbers are too far apart, or too close, to use."


def learn_encoding(
    seen: Survey,
    wanted: Mapping[str, Wanted],
    features: Sequence[str],
    train: Indices,
    options: Options,
    usable: Usable,
) -> Encoding:
    """Return how columns become inputs, learned from the rows to learn from by a second pass.

    Raises:
        TableError: If a column is constant, or has nothing but missing cells.
    """
    numeric = [name for name in features if name not in seen.words]
    moments = _Moments(len(numeric))
    learned = np.zeros(seen.rows, dtype=np.bool_)
    learned[train] = True
    counts: dict[str, Counter[str]] = {name: Counter() for name in seen.words}
    for begin, columns in _parts(seen, wanted, usable):
        rows = learned[begin : begin + len(columns.lines)]
        if numeric:
            with np.errstate(over="ignore", invalid="ignore"):  # numbers of 1e200 have no deviation, which is said
                moments.add(np.stack([columns.numbers[name][rows] for name in numeric], axis=1))
        for name, counter in counts.items():
            words = columns.words[name]
            counter.update(
                word for word, is_learned in zip(words, rows, strict=True) if is_learned and word is not None
            )
    words = {name: order_classes(counter) for name, counter in seen.words.items()}
    useless = _useless_words(words, counts)
    centres = {name: moments.centre(place) for place, name in enumerate(numeric)}
    useless |= {name: why for place, name in enumerate(numeric) if (why := moments.why_useless(place))}
    if useless:
        file = shown(seen.file.path)
        raise TableError(
            [f"{file}, column `{shown(name)}`: {why} {to_leave_out(name)}" for name, why in useless.items()],
            {"ignore": list(useless)},
        )
    filling: dict[str, NumberArray] = {}
    if options.missing == "mean":
        filling = {name: np.array([0.0 if options.standardize else mean]) for name, (mean, _) in centres.items()}
        for name, known in words.items():
            filling[name] = np.array([counts[name][word] for word in known]) / counts[name].total()
    if not options.standardize:
        centres = dict.fromkeys(centres, (0.0, 1.0))
    return Encoding(features=tuple(features), centres=centres, words=words, filling=filling)


def _useless_words(words: Mapping[str, tuple[str, ...]], counts: Mapping[str, Counter[str]]) -> dict[str, str]:
    """Return why nothing can be learned from some columns of words."""
    useless = {name: f"is '{shown(known[0])}' everywhere." for name, known in words.items() if len(known) == 1}
    return useless | dict.fromkeys((name for name, counter in counts.items() if not counter), _NOTHING)


def write_inputs(
    surveys: Sequence[Survey], wanted: Mapping[str, Wanted], encoding: Encoding, data: Data, usable: Usable
) -> tuple[Rows, Any, tuple[float, float]]:
    """Write the inputs of tables one after another, by a third pass.

    Returns:
        The inputs, a digest of them, and their smallest and largest number.
    """
    width = sum(len(encoding.words.get(name, "1")) for name in encoding.features)
    count = sum(seen.rows for seen in surveys)
    spool = Spool(count, width, shown(surveys[0].file.path))
    digest = hashlib.blake2b(repr((encoding.features, dict(encoding.words))).encode(), digest_size=16)
    low, high = np.inf, -np.inf
    for seen in surveys:
        for _, columns in _parts(seen, wanted, usable):
            with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes inf, which is refused
                rows = encoding.encode(columns).astype(np.float32)
            bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
            if bad.size:
                line = columns.lines[int(bad[0])]
                raise DataError(f"{columns.file}, {columns.unit} {line}: its inputs are too large for 32-bit numbers.")
            spool.write(rows)
            digest.update(rows.data)
            low, high = min(low, float(rows.min())), max(high, float(rows.max()))
    spool.finish()
    loaders = Loaders(data.loaders, {"table": spool}, timeout=data.loader_timeout)
    return Rows("table", loaders, spool.shape, torch.float32, np.arange(count)), digest, (low, high)


def checksum(digest: Any, targets: Sequence[np.ndarray[Any, Any]], target: Target) -> str:
    """Return the fingerprint of a table: of every input and target, as those that are held in memory have."""
    for part in targets:
        digest.update(np.ascontiguousarray(part).data)
    digest.update(f"{target.names} {target.scale}".encode())
    return lazy_checksum(digest)


def notes_of(seen: Survey) -> list[str]:
    """Return what a person should know of missing cells."""
    place = shown(seen.file.path)
    if seen.left_out:
        total = seen.left_out + seen.rows
        return [f"{place}: {seen.left_out:,} of {total:,} rows have a missing cell and are left out"]
    return [f"{place}: {seen.filled:,} missing cell(s) are filled with the column's mean"] if seen.filled else []


def how_note(data: Data, rows: int) -> str:
    """Return how the table is read."""
    by = f"by {data.loaders} thread(s)" if data.loaders else "in the training process"
    return (
        f"the table was read part by part; its {rows:,} rows are read when they are needed, {by}, from a "
        "file without a name in the folder for temporary files"
    )


def lines_of(files: Sequence[TableFile], wanted: Mapping[str, Wanted], usable: Usable) -> Indices:
    """Return where each usable row of tables, one after another, stands in its file."""
    parts = [np.array(columns.lines) for file in files for columns, _, _ in map(usable, file.chunks(wanted))]
    return np.concatenate(parts).astype(np.int64)


def choose_usable(options: Options, describe_missing: Any, wanted: Mapping[str, Wanted]) -> Usable:
    """Return what makes of a part of a table the part that may be used."""

    def usable(columns: Columns) -> tuple[Columns, int, int]:
        missing = {name: mask for name in wanted if (mask := columns.is_missing(name)).any()}
        if not missing:
            return columns, 0, 0
        incomplete = np.logical_or.reduce(list(missing.values()))
        if options.missing == "error" or (options.missing == "mean" and not missing.keys().isdisjoint(options.targets)):
            raise describe_missing(columns, missing, incomplete, options)
        if options.missing == "mean":
            return columns, 0, sum(int(mask.sum()) for mask in missing.values())
        return columns.take(np.flatnonzero(~incomplete)), int(incomplete.sum()), 0

    return usable


def _parts(seen: Survey, wanted: Mapping[str, Wanted], usable: Usable) -> Iterator[tuple[int, Columns]]:
    """Yield the usable rows of each part, and how many came before them."""
    begin = 0
    for columns, _, _ in map(usable, seen.file.chunks(wanted)):
        if len(columns.lines):
            yield begin, columns
            begin += len(columns.lines)
    if begin != seen.rows:
        raise DataError(f"{shown(seen.file.path)}: was changed while it was read. {KEY}.path must stay as it is.")
