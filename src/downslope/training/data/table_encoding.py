"""From columns to the numbers that a model sees: standardised, and words as one column for each.

What is learned from the rows to learn from (means, deviations, words) is used on any rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from downslope.core.errors import DataError, did_you_mean
from downslope.core.shown import shown
from downslope.training.data.checking import at, split
from downslope.training.data.dataset import Examples
from downslope.training.data.kept import KeptTable, plain_options
from downslope.training.data.numpy_files import check_memory
from downslope.training.data.table_columns import Columns, NumberArray, TableFile, Unnamed, Wanted, shorten
from downslope.training.data.table_files import open_table
from downslope.training.data.table_options import Options
from downslope.training.data.table_problems import KEY, TableError, to_toml
from downslope.training.user_code import read_options

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe


# Classes that have names

_SHOWN = 10
_MANY = 2000
_LONG = 200
_EXACT = 16
"""Characters below which different whole numbers are different floating-point numbers."""


def order_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Return each label once: by number if all are integers, otherwise by alphabet.

    Raises:
        DataError: If two labels are one number written in two ways, such as `1` and `1.0`.

    Example:
        >>> order_classes(["10", "9", "10"]), order_classes(["dog", "cat"])
        (('9', '10'), ('cat', 'dog'))
    """
    names = set(labels)
    numbers: dict[float, str] = {}
    for name in sorted(names):
        try:
            other = numbers.setdefault(float(name), name)
        except ValueError:
            continue
        if other != name and len(name) < _EXACT and len(other) < _EXACT:
            raise DataError(
                f"the labels `{shown(other, 60)}` and `{shown(name, 60)}` are one number written in two ways. Write it "
                "in one."
            )
    try:
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(names))


def index_labels(
    labels: Sequence[str], names: Sequence[str], place: Callable[[int], str], unknown: str, hint: str = ""
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the index of each label.

    Args:
        labels: One an example.
        names: The classes.
        place: From an example to where it stands, for messages.
        unknown: What to say of a label that is no class, "{}" standing for it.
        hint: A sentence on what to do then.

    Raises:
        DataError: If a label is no class.
    """
    index = {name: number for number, name in enumerate(names)}
    for example, label in enumerate(labels):
        if label not in index:
            what = unknown.replace("{}", f"'{shown(label, 60)}'")
            raise DataError(f"{place(example)}: {what}.{_suggest(label, names)} There are {show_names(names)}.{hint}")
    return np.array([index[label] for label in labels], dtype=np.int64)


def _suggest(label: str, names: Sequence[str]) -> str:
    return did_you_mean(label[:_LONG], names) if len(names) <= _MANY else ""


def check_classes(
    names: Sequence[str], train: np.ndarray[Any, np.dtype[np.int64]], origin: str, hint: str = ""
) -> None:
    """Raise unless there are two classes, each with an example to learn from.

    Args:
        names: The classes.
        train: Indices of the classes of the examples to learn from.
        origin: Where they come from, for messages.
        hint: A sentence on what else they may be.

    Raises:
        DataError: If there are not.
    """
    if len(names) < 2:
        raise DataError(f"{origin}: there is only one class, '{shown(names[0], 60)}'; two are needed to tell apart.")
    learned = set(train.tolist())
    absent = [name for number, name in enumerate(names) if number not in learned]
    if absent:
        raise DataError(
            f"{origin}: every example of {show_names(absent)} is held out, so that there is none to learn from. Use a "
            f"smaller data.held_out, another seed, or more examples.{hint}"
        )


def show_names(names: Sequence[str], last: str = ", ") -> str:
    """Return names as a list that is never long: "`cat`, `dog` and 3 more".

    Args:
        names: The names.
        last: What stands before the last one where all are named.
    """
    quotes = [f"`{shown(name, 60)}`" for name in names[:_SHOWN]]
    if len(names) > _SHOWN:
        return f"{', '.join(quotes)} and {len(names) - _SHOWN:,} more"
    return last.join([", ".join(quotes[:-1]), quotes[-1]]) if len(quotes) > 1 else "".join(quotes)


# The target of a table

_FEW = 10
"""Classes that are never too many. Above it, whole numbers of which there are fewer than two examples each on average
cannot be classes: to learn a class and to tell whether it was learned takes two."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a table's target is.

    Attributes:
        column: The column.
        names: The classes that it names; empty if it is a number.
        scale: (mean, standard deviation) that a number is standardised by; (0, 1) if it is not.
    """

    column: str
    names: tuple[str, ...] = ()
    scale: tuple[float, float] = (0.0, 1.0)

    def encode(
        self, rows: Columns, unknown: str = "there is no class {} to learn from", hint: str = ""
    ) -> np.ndarray[Any, Any]:
        """Return targets as the loss takes them, shape (rows,): int64 classes, or float32.

        Args:
            rows: None of which lacks the target.
            unknown: What to say of a class that is none, "{}" standing for it.
            hint: A sentence on what to do then.

        Raises:
            DataError: If there is such a class.
        """
        if not self.names:
            mean, deviation = self.scale
            return ((rows.numbers[self.column] - mean) / deviation).astype(np.float32)
        labels = [label or "" for label in rows.words[self.column]]
        return index_labels(labels, self.names, lambda row: rows.place(row, self.column), unknown, hint)


def learn_target(columns: Columns, learned: Columns, options: Options, *, is_class: bool) -> tuple[Target, str]:
    """Return what the target is, and a sentence on what else it may be, or nothing.

    Args:
        columns: All rows of the table, none of which lacks the target.
        learned: Those to learn from.
        options: The table's.
        is_class: Whether it names classes.

    Raises:
        DataError: If it cannot be what it is said to be.
    """
    if is_class:
        names, hint = _class_names(columns, options)
        return Target(column=options.target, names=names), hint
    return Target(column=options.target, scale=_learn_scale(learned, options)), ""


def target_is_class(recipe: Recipe, options: Options) -> bool:
    """Return whether the target names classes.

    Raises:
        DataError: If neither the loss nor the options say so, or they disagree.
    """
    loss = recipe.train.loss
    by_loss = {"cross_entropy": "classes", "mse": "number"}.get(loss)
    kind = options.kind or by_loss
    if kind is None:
        raise DataError(
            at(
                recipe,
                f"say what the target is, since train.loss = {loss!r} does not: data.options.kind = "
                '"classes" or "number".',
            )
        )
    if by_loss is not None and kind != by_loss:
        raise DataError(at(recipe, f"data.options.kind = {kind!r} does not go with train.loss = {loss!r}."))
    if kind == "classes" and options.standardize_target:
        raise DataError(at(recipe, "data.options.standardize_target is for numbers; this target names classes."))
    return kind == "classes"


def want_target(is_class: bool, hint: str = ' If it names classes, use train.loss = "cross_entropy".') -> Wanted:  # noqa: FBT001
    """Return what the target's cells are."""
    return Wanted("word", is_target=True) if is_class else Wanted("number", hint, is_target=True)


def _class_names(columns: Columns, options: Options) -> tuple[tuple[str, ...], str]:
    """Return the classes, and what to do if they are none: a hint where they may be numbers, or nothing.

    Raises:
        DataError: If they are numbers: fractions, or whole ones of which most examples have one of their own.
    """
    target = options.target
    labels = [label for label in columns.words[target] if label is not None]
    names = order_classes(labels)
    try:
        numbers = {name: float(name) for name in names}
    except ValueError:
        return names, ""
    if not all(map(math.isfinite, numbers.values())):
        return names, ""  # nan and inf are words as good as others
    fractions = [name for name, number in numbers.items() if not number.is_integer()]
    if fractions:
        row = labels.index(fractions[0])
        raise DataError(
            f"{columns.place(row, target)}: {shown(fractions[0], 40)} is a fraction, which names no class. "
            'To fit numbers, use train.loss = "mse".'
        )
    if options.kind is not None:
        return names, ""
    if len(names) > _FEW and 2 * len(names) > len(labels):
        raise DataError(
            f"{columns.file}, column `{shown(target)}`: has {len(names):,} different whole numbers in "
            f"{len(labels):,} rows, too many to be classes, for which train.loss = 'cross_entropy' takes them. To fit "
            'the number itself, use train.loss = "mse"; if they do name classes, say so: data.options.kind = '
            '"classes".'
        )
    return names, ' If it is a number to fit, not the name of a class, use train.loss = "mse".'


def scales_target(recipe: Recipe, options: Options, *, is_class: bool) -> bool:
    """Return whether the target is standardised: as the options say, and if they do not, where the loss is the usual.

    A price of some hundred thousand has gradients of that size, and the first steps of any common learning rate end in
    infinity. A loss of one's own may need the numbers as they are.

    Args:
        recipe: The recipe.
        options: The table's.
        is_class: Whether the target names classes.
    """
    if options.standardize_target is not None:
        return options.standardize_target
    return not is_class and recipe.train.loss == "mse"


def _learn_scale(learned: Columns, options: Options) -> tuple[float, float]:
    values = learned.numbers[options.target]
    if values.min() == values.max():
        raise DataError(
            f"{learned.file}, column `{shown(options.target)}`: is {values[0]:g} in every row to learn from; there is "
            "nothing to learn."
        )
    if not options.standardize_target:
        return 0.0, 1.0
    mean, deviation = float(values.mean()), float(values.std())
    if not (0 < deviation < float("inf") and abs(mean) < float("inf")):
        raise DataError(
            f"{learned.file}, column `{shown(options.target)}`: its numbers are too far apart, or too close, to use."
        )
    return mean, deviation


_TOGETHER = 1024
"""How many columns are worked on at once: thousands one by one would take seconds."""

_BYTES = 8
_NOTHING = "has no cell to learn from."

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
            DataError: If a cell is missing that may not be, or a word was not there to learn from, or all would take
                more memory than there is.
        """
        widths = [len(self.words[name]) if name in self.words else 1 for name in self.features]
        rows, inputs = len(columns.lines), sum(widths)
        check_memory(columns.file, rows * inputs * _BYTES, f"for {inputs:,} inputs of {rows:,} rows")
        encoded = np.empty((rows, inputs))
        begins = np.cumsum([0, *widths]).tolist()
        numeric = [number for number, name in enumerate(self.features) if name in self.centres]
        for some in (numeric[begin : begin + _TOGETHER] for begin in range(0, len(numeric), _TOGETHER)):
            names = [self.features[number] for number in some]
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
            [f"{columns.file}, column `{shown(name)}`: {why} {_leave_out(name)}" for name, why in useless.items()],
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
                useless[name] = f"is {low:g} in every row to learn from."
            elif not 0 < deviation < float("inf"):
                useless[name] = "its numbers are too far apart, or too close, to use."
            else:
                centres[name] = float(mean), float(deviation)
    return {name: centres[name] for name in names if name in centres}


def _leave_out(name: str) -> str:
    return f"Nothing can be learned from it; leave it out: {KEY}.ignore = {to_toml([name])}."


# Further rows of a table, to predict or to rate

_WITHOUT = " To predict without comparing, take the column out."


class TableReader:
    """Reads rows to predict, with the columns of the run's own table.

    Args:
        encoding: How columns become inputs.
        target: What the target is.
        options: The recipe's.
        columns: The columns of the run's own table, in order.
        named: Whether that table names them itself.
    """

    def __init__(
        self, encoding: Encoding, target: Target, options: Options, columns: Sequence[str], *, named: bool
    ) -> None:
        """Take what is needed of them."""
        self._encoding = encoding
        self._target = target
        self._options = options
        self._columns = tuple(columns)
        self._named = named

    def kept(self) -> KeptTable:
        """Return what a run keeps, so that `restore_table_reader` gives the same reader."""
        encoding = self._encoding
        return KeptTable(
            options=plain_options(self._options),
            columns=self._columns,
            named=self._named,
            features=encoding.features,
            centres=dict(encoding.centres),
            words=dict(encoding.words),
            filling={name: tuple(values.tolist()) for name, values in encoding.filling.items()},
        )

    def __call__(self, given: str | Path, *, identify: str | None = None, rated: bool = False) -> Examples:
        """Return inputs, and the targets of those rows that have one.

        A row with a word that the run has not seen, or a missing cell that is not to be filled, is refused by itself.

        Args:
            given: A table; its columns are known by their names, and may be more than the features.
            identify: A column whose cells mark the rows, or None.
            rated: Whether every row must have a target.

        Raises:
            DataError: If it cannot be read, lacks features, or has a target that the run does not know.
        """
        return self._read(given, "--input", identify=identify, rated=rated)

    def held_out(self, recipe: Recipe) -> Examples:
        """Return the rows that the recipe's own table holds out now; a class that is not known is no target."""
        if self._options.held_out_path is not None:
            return self._read(self._options.held_out_path, "data.options.held_out_path", any_class=True)
        found = self._read(self._options.path, "data.options.path", any_class=True)
        usable = torch.tensor(found.places())
        return found.take(split(recipe, usable, usable)["held_out_inputs"].tolist())

    def _read(
        self,
        given: str | Path,
        origin: str,
        *,
        identify: str | None = None,
        rated: bool = False,
        any_class: bool = False,
    ) -> Examples:
        unnamed = Unnamed(self._columns, self._target.column)
        file = open_table(given, self._options.form, origin, unnamed=unnamed, fixed=True)
        features = self._encoding.features
        wanted = want_features(features, self._options)
        file.check_names(wanted, "the run learned from it")
        column = self._target.column
        if rated and column not in file.places:
            raise DataError(
                f"{shown(file.path)}: has no column `{shown(column)}`, the target, so that there is nothing to rate by."
            )
        if column in file.places:
            wanted[column] = want_target(bool(self._target.names), "" if rated else _WITHOUT)
        if identify is not None:
            if not identify:
                file.find_nameless()
            file.check_names((identify,), "--id names it")
        rows = file.read(wanted)
        ids = () if identify is None else _texts(file.read({identify: Wanted("word")}), identify)
        inputs, usable, refused = self._encoding.encode_known(rows)
        found = Examples(
            inputs=torch.from_numpy(inputs),
            total=len(rows.lines),
            rows=torch.from_numpy(usable),
            refused=refused,
            notes=self._notes_on(file),
            ids=ids,
        )
        if column not in file.places:
            return found
        return self._with_targets(found, rows, rated=rated, any_class=any_class)

    def _with_targets(self, found: Examples, rows: Columns, *, rated: bool, any_class: bool) -> Examples:
        column = self._target.column
        usable = np.array(found.places(), dtype=np.int64)
        missing = rows.is_missing(column)
        if rated and missing.any():
            raise DataError(
                f"{rows.place(int(np.argmax(missing)), column)}: the cell is empty, and every row is rated."
            )
        if any_class and self._target.names:
            missing |= np.array([word not in self._target.names for word in rows.words[column]], dtype=np.bool_)
        known = np.flatnonzero(~missing[usable])
        hint = "" if rated else _WITHOUT
        targets = self._target.encode(rows.take(usable[known]), "the run has learned no class {}", hint)
        bad = np.flatnonzero(~np.isfinite(targets))
        if len(bad):
            place = rows.place(int(usable[known][bad[0]]), column)
            raise DataError(f"{place}: is too large for numbers of 32 bits.{hint}")
        return Examples(
            inputs=found.inputs,
            total=found.total,
            rows=found.rows,
            refused=found.refused,
            notes=found.notes,
            ids=found.ids,
            targets=torch.from_numpy(targets),
            known=torch.from_numpy(known),
            target_name=column,
        )

    def _notes_on(self, file: TableFile) -> tuple[str, ...]:
        """Return notes on columns that are taken in the run's order, or that the run does not know."""
        if not file.is_named:
            if not self._named:
                return ()
            return (f"{shown(file.path)} names no columns; they are taken in the run's order: {shorten(file.names)}",)
        known = {*self._columns, self._target.column, ""}
        extra = [name for name in file.names if name not in known]
        return (f"columns that the run does not know are left out: {shorten(extra)}",) if extra else ()


def restore_table_reader(
    kept: KeptTable, class_names: tuple[str, ...], target_scale: tuple[float, float] | None
) -> TableReader:
    """Return the reader that a run kept.

    Args:
        kept: What `TableReader.kept` returned.
        class_names: The names of classes; empty where the target is a number.
        target_scale: Mean and deviation that the target was standardised by, or None.
    """
    options: Options = read_options(Options, kept.options, "data")
    encoding = Encoding(
        features=kept.features,
        centres=kept.centres,
        words=kept.words,
        filling={name: np.array(values, dtype=np.float64) for name, values in kept.filling.items()},
    )
    target = Target(column=options.target, names=class_names, scale=target_scale or (0.0, 1.0))
    return TableReader(encoding, target, options, kept.columns, named=kept.named)


def _texts(columns: Columns, name: str) -> list[str]:
    return [word or "" for word in columns.words[name]]


def want_features(features: Iterable[str], options: Options) -> dict[str, Wanted]:
    """Return what the cells of each feature are."""
    categories = set(options.categories)
    return {name: Wanted("word") if name in categories else Wanted("number", _advise(name)) for name in features}


def _advise(name: str) -> str:
    quoted = to_toml([name])
    return f" If its words are to count, set {KEY}.categories = {quoted}; to leave it out, {KEY}.ignore = {quoted}."
