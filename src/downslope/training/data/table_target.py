"""The target of a table: classes that have names, labels in columns of their own, or a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.recipe.schema import BINARY, FITTING, TELLING
from downslope.training.data.checking import bad_data
from downslope.training.data.class_names import index_labels, order_classes
from downslope.training.data.table_columns import Columns, Wanted
from downslope.training.data.table_encoding import same_everywhere
from downslope.training.data.table_options import Options
from downslope.training.data.table_problems import BadCells

_FEW = 10
"""Classes that are never too many. Above it, whole numbers of which there are fewer than two examples each on average
cannot be classes: to learn a class and to tell whether it was learned takes two."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a table's target is.

    Attributes:
        columns: The column, or those of labels.
        names: The classes that it names; empty if it is a number.
        scale: (mean, standard deviation) that a number is standardised by; (0, 1) if it is not.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...] = ()
    scale: tuple[float, float] = (0.0, 1.0)

    @property
    def column(self) -> str:
        """The column, or the first of labels."""
        return self.columns[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of labels; none where there is one target."""
        return self.columns if len(self.columns) > 1 else ()

    def encode(
        self, rows: Columns, unknown: str = "there is no class {} to learn from", hint: str = ""
    ) -> np.ndarray[Any, Any]:
        """Return targets as the loss takes them, shape (rows,): int64 classes, or float32; labels (rows, labels).

        Raises:
            DataError: If there is a class that is none of `names`; the message says `unknown` of it, and `hint`. Or if
                a label is neither 0 nor 1.
        """
        if self.labels:
            return np.stack([_as_label(rows, name) for name in self.labels], axis=1)
        if not self.names:
            mean, deviation = self.scale
            return ((rows.numbers[self.column] - mean) / deviation).astype(np.float32)
        labels = [label or "" for label in rows.words[self.column]]
        return index_labels(labels, self.names, lambda row: rows.place(row, self.column), unknown, hint)


def _as_label(rows: Columns, name: str) -> np.ndarray[Any, Any]:
    values = rows.numbers[name]
    odd = np.flatnonzero((values != 0) & (values != 1))
    if len(odd):
        raise DataError(
            f"{rows.place(int(odd[0]), name)}: {values[odd[0]]:g} is no label: with several target columns each cell "
            "must be 0 or 1, or True or False."
        )
    return values.astype(np.float32)


def learn_target(columns: Columns, learned: Columns, options: Options, *, is_class: bool) -> tuple[Target, str]:
    """Return what the target is, and a sentence on what else it may be, or nothing."""
    if is_class:
        names, hint = _class_names(columns, options)
        return Target(columns=options.targets, names=names), hint
    if len(options.targets) > 1:
        return Target(columns=options.targets), ""
    return Target(columns=options.targets, scale=_learn_scale(learned, options)), ""


def target_is_class(options: Options, loss: str) -> bool:
    """Return whether the target names classes.

    Raises:
        DataError: If neither the loss nor the options say so, or they disagree.
    """
    if len(options.targets) > 1:
        if loss != BINARY or options.kind is not None or options.standardize_target:
            raise bad_data(
                "table",
                f"data.options.target names {len(options.targets)} columns, labels of 0 and 1, which are learned with "
                f"train.loss = '{BINARY}', without data.options.kind and standardize_target; got train.loss = {loss!r}."
                " Name one column to learn a class or a number.",
            )
        return False
    by_loss = "classes" if loss in TELLING else "number" if loss in FITTING else None
    kind = options.kind or by_loss
    if kind is None:
        raise bad_data(
            "table",
            f'say what the target is, since train.loss = {loss!r} does not: data.options.kind = "classes" or "number".',
        )
    if by_loss is not None and kind != by_loss:
        raise bad_data("table", f"data.options.kind = {kind!r} does not go with train.loss = {loss!r}.")
    if kind == "classes" and options.standardize_target:
        raise bad_data("table", "data.options.standardize_target is for numbers; this target names classes.")
    return kind == "classes"


_WHICH = ' If it names classes, use train.loss = "cross_entropy".'
_LABEL = " A label is 1 or 0, or True or False."


def want_targets(columns: Sequence[str], *, is_class: bool, hint: str | None = None) -> dict[str, Wanted]:
    """Return what the cells of the columns to learn are; `hint` says what to do with one that is no number."""
    if is_class:
        return dict.fromkeys(columns, Wanted("word", is_target=True))
    is_label = len(columns) > 1
    hint = (_LABEL if is_label else _WHICH) if hint is None else hint
    return dict.fromkeys(columns, Wanted("number", hint, is_target=True, is_label=is_label))


def _class_names(columns: Columns, options: Options) -> tuple[tuple[str, ...], str]:
    """Return the classes, and what to do if they are none: a hint where they may be numbers, or nothing."""
    target = options.targets[0]
    labels = [label for label in columns.words[target] if label is not None]
    names = order_classes(labels)
    try:
        numbers = {name: float(name) for name in names}
    except ValueError:
        return names, ""
    if not all(map(math.isfinite, numbers.values())):
        return names, ""  # nan and inf are words as good as others
    fractions = {name for name, number in numbers.items() if not number.is_integer()}
    if fractions:
        rows = [row for row, label in enumerate(columns.words[target]) if label in fractions]
        hint = ' To fit numbers, use train.loss = "mse".'
        bad = BadCells(columns.place(rows[0], target), "is a fraction, which names no class", hint, quotes=False)
        for row in rows:
            bad.add(columns.words[target][row] or "")
        raise DataError(bad.describe(hint, len(columns.lines)))
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


def scales_target(options: Options, loss: str, *, is_class: bool) -> bool:
    """Return whether the target is standardised: as the options say, and if they do not, where the loss is the usual.

    A price of some hundred thousand has gradients of that size, and the first steps of any common learning rate end in
    infinity. A loss of one's own may need the numbers as they are.
    """
    if options.standardize_target is not None:
        return options.standardize_target
    return not is_class and loss in FITTING


def _learn_scale(learned: Columns, options: Options) -> tuple[float, float]:
    column = options.targets[0]
    values = learned.numbers[column]
    if values.min() == values.max():
        raise DataError(
            f"{learned.file}, column `{shown(column)}`: {same_everywhere(float(values[0]))}; there is nothing to learn."
        )
    if not options.standardize_target:
        return 0.0, 1.0
    mean, deviation = float(values.mean()), float(values.std())
    if not (0 < deviation < float("inf") and abs(mean) < float("inf")):
        raise DataError(
            f"{learned.file}, column `{shown(column)}`: its numbers are too far apart, or too close, to use."
        )
    return mean, deviation
