"""A table of a person's own, by path: which column is the target, which others are used, and the split.

The way of a table: its options (`table_options.py`); a file of some kind (`table_files.py`, `table_text.py`); columns
in memory (`table_columns.py`), whose cells are numbers (`table_numbers.py`) or words; what is wrong with them and what
would help (`table_problems.py`); inputs (`table_encoding.py`) and targets (`table_target.py`), which make the data set
here. `table_reader.py` takes further rows the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.core.tables import toml_line
from downslope.recipe.schema import FITTING
from downslope.training.data import table_large
from downslope.training.data.checking import check, place_of, split
from downslope.training.data.class_names import check_classes, differ_in_capitals
from downslope.training.data.dataset import Dataset
from downslope.training.data.table_columns import Columns, TableFile, Unnamed, Wanted
from downslope.training.data.table_encoding import learn_encoding, want_features
from downslope.training.data.table_files import open_table
from downslope.training.data.table_marks import find_marks
from downslope.training.data.table_numbers import may_be_missing
from downslope.training.data.table_options import Options
from downslope.training.data.table_problems import KEY, TableError, advise, quoted
from downslope.training.data.table_reader import TableReader
from downslope.training.data.table_split import RowParts
from downslope.training.data.table_target import learn_target, scales_target, target_is_class, want_targets
from downslope.training.user_code import read_options

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe

_MISSING = (
    f' Fill it in, or set {KEY}.missing = "drop" to leave such rows out, or "mean" to put the mean of the column '
    "in its place."
)
_MISSING_TARGET = f' Fill it in, or set {KEY}.missing = "drop" to leave such rows out; a target has no other way.'
_FEW = 0.05
"""Up to this share of the rows is suggested to be left out for missing cells; beyond it, to be filled in."""


def load(recipe: Recipe) -> Dataset:
    """Return the examples of a table.

    Raises:
        RecipeError: If an option is unknown, missing or outside its range.
        DataError: If the table cannot be read or does not hold what the options say; the message says where, all of it,
            and with which options it would be read.
        MissingDependencyError: If it is a Parquet file and there is no pyarrow.
    """
    try:
        return _load(recipe)
    except TableError as error:
        options = dict(recipe.data.options)
        if recipe.train.loss in FITTING and options.get("standardize_target") is True:
            del options["standardize_target"]  # what a run states by itself is nothing to paste
        raise advise(
            error, options, lambda options: _load(replace(recipe, data=replace(recipe.data, options=options)))
        ) from None


def _load(recipe: Recipe) -> Dataset:
    options, loss = read_options(Options, recipe.data.options, "data"), recipe.train.loss
    is_class = target_is_class(options, loss)
    options = replace(options, standardize_target=scales_target(options, loss, is_class=is_class))
    file = open_table(options.path, options, f"{KEY}.path")
    notes = list(file.remarks)
    features = _choose_features(file, options, notes)
    wanted = {**want_features(features, options), **want_targets(options.targets, is_class=is_class)}
    if options.split_column is not None:
        wanted[options.split_column] = Wanted("word")
    if table_large.is_large(recipe.data, file, features):
        return _load_large(recipe, options, file, features, wanted, notes)
    columns = _without_missing(file.read(wanted), wanted, options, notes)
    notes += columns.notes
    notes += _doubtful_words(columns)
    columns, train, held_out = _divide(recipe, options, file, columns, wanted, notes)
    lines = {"train": np.array(columns.lines)[train], "held_out": np.array(held_out.lines)}
    encoding = learn_encoding(columns, train, features, standardize=options.standardize, fill=options.missing == "mean")
    learned = columns.take(train)
    notes += _capitals(encoding.words)
    target, hint = learn_target(columns, learned, options, is_class=is_class)
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes inf, which `check` refuses
        table: dict[str, Any] = {
            "train_inputs": encoding.encode(learned).astype(np.float32),
            "train_targets": target.encode(learned),
            "held_out_inputs": encoding.encode(held_out).astype(np.float32),
            "held_out_targets": target.encode(held_out),
        }
    if is_class:
        origin = f"{place_of(recipe.data.name)}: column `{shown(target.column)}`"
        check_classes(target.names, table["train_targets"], origin, hint)
        table["classes"] = len(target.names)
    return replace(
        check(recipe.data.name, loss, table),
        class_names=target.names,
        labels=target.labels,
        target_scale=target.scale if options.standardize_target else None,
        reader=TableReader(encoding, target, options, file.names, named=file.is_named),
        marks=lambda part: find_marks(options, file.names, part, lines[part]),
        notes=tuple(notes),
    )


def _divide(
    recipe: Recipe,
    options: Options,
    file: TableFile,
    columns: Columns,
    wanted: Mapping[str, Wanted],
    notes: list[str],
) -> tuple[Columns, np.ndarray[Any, np.dtype[np.int64]], Columns]:
    """Return the columns to learn from and to hold out, which of their rows are learned from, and those held out."""
    count, data, seed = np.arange(len(columns.lines)), recipe.data, recipe.seed
    if options.split_column is not None:
        name = options.split_column
        parts = RowParts(columns.words[name], lambda row: columns.place(row, name), columns.file, options)
        notes += [parts.roles.note] if parts.roles.note else []
        train, held_out = (parts.of(part, data, seed, count) for part in ("train", "held_out"))
        both = np.sort(np.concatenate([train, held_out]))  # what a test is for is not even looked at
        return columns.take(both), np.searchsorted(both, train), columns.take(held_out)
    if options.held_out_path is None:
        rows = split(data, seed, *[torch.from_numpy(count)] * 2)
        return columns, rows["train_inputs"].numpy(), columns.take(rows["held_out_inputs"].numpy())
    like = None if file.is_named else Unnamed(file.names)
    other = open_table(options.held_out_path, options, f"{KEY}.held_out_path", unnamed=like)
    other.check_names(wanted, f"its columns must be those of {KEY}.path")
    found = _without_missing(other.read(wanted), wanted, options, notes)
    if other.path.resolve() == file.path.resolve():
        notes.append(f"{KEY}.held_out_path is {KEY}.path: what is held out has been learned from")
    return columns, count, found


def _load_large(
    recipe: Recipe,
    options: Options,
    file: TableFile,
    features: tuple[str, ...],
    wanted: Mapping[str, Wanted],
    notes: list[str],
) -> Dataset:
    """Return the examples of a table that is read part by part."""
    if len(options.targets) > 1:
        raise DataError(
            f"{KEY}.target: several columns need the table in memory, and this one is read part by part. Set "
            "data.in_memory = true."
        )
    column = next(iter(options.targets))
    data, is_class = recipe.data, wanted[column].kind == "word"
    if options.split_column is not None:
        raise DataError(
            f"{KEY}.split_column: needs the table in memory, and this one is read part by part. Set data.in_memory = "
            f"true, or write its parts into files of their own: {KEY}.held_out_path and {KEY}.test_path."
        )
    usable = table_large.choose_usable(options, _describe_missing, wanted)
    surveys = [table_large.survey(file, wanted, column, usable)]
    if options.held_out_path is None:
        rows = torch.arange(surveys[0].rows)
        parts = split(data, recipe.seed, rows, rows)
        train, held_out = parts["train_inputs"], parts["held_out_inputs"]
    else:
        train = torch.arange(surveys[0].rows)
        like = None if file.is_named else Unnamed(file.names)
        other = open_table(options.held_out_path, options, f"{KEY}.held_out_path", unnamed=like)
        other.check_names(wanted, f"its columns must be those of {KEY}.path")
        if not table_large.is_large(replace(data, in_memory=False), other, features):
            raise DataError(f"{shown(other.path)}: must be read part by part as {KEY}.path is.")
        surveys.append(table_large.survey(other, wanted, column, usable))
        held_out = torch.arange(surveys[0].rows, surveys[0].rows + surveys[1].rows)
    files = [seen.file for seen in surveys]
    for seen in surveys:
        notes += table_large.notes_of(seen)
    all_targets = surveys[0].target_columns(column)
    learned = all_targets if is_class else all_targets.take(train.numpy())
    target, hint = learn_target(all_targets, learned, options, is_class=is_class)
    encoding = table_large.learn_encoding(surveys[0], wanted, features, train.numpy(), options, usable)
    notes += _capitals(encoding.words)
    inputs, digest, ends = table_large.write_inputs(surveys, wanted, encoding, data, usable)
    targets = [seen.encode(target) for seen in surveys]
    every = torch.from_numpy(np.concatenate(targets))
    table: dict[str, Any] = {
        "train_inputs": inputs[train],
        "train_targets": every[train],
        "held_out_inputs": inputs[held_out],
        "held_out_targets": every[held_out],
    }
    if is_class:
        origin = f"{place_of(data.name)}: column `{shown(column)}`"
        check_classes(target.names, table["train_targets"].unique().numpy(), origin, hint)
        table["classes"] = len(target.names)
    notes.append(table_large.how_note(data, len(inputs)))
    return replace(
        check(data.name, recipe.train.loss, table),
        class_names=target.names,
        target_scale=target.scale if options.standardize_target else None,
        reader=TableReader(encoding, target, options, file.names, named=file.is_named),
        marks=lambda part: find_marks(
            options,
            file.names,
            part,
            table_large.lines_of(files, wanted, usable)[train if part == "train" else held_out],
        ),
        notes=tuple(notes),
        input_range=ends,
        checksum=table_large.checksum(digest, targets, target),
    )


def _choose_features(file: TableFile, options: Options, notes: list[str]) -> tuple[str, ...]:
    """Return the columns to learn from, and note those that are left out since they have no name."""
    apart = [name for name in (options.split_column, options.id) if name is not None]
    ignored = {*options.targets, *options.ignore, *apart}
    left_out = _leave_out(file, ignored, notes) if options.features is None else set[str]()
    present = {*file.places, *file.repeated, *(file.names[place] for place in file.nameless)}
    absent = [name for name in options.ignore if name not in present]
    asked = {"features": options.features or (), "ignore": absent, "categories": options.categories}
    asked |= {key: (name,) for key in ("id", "split_column") if (name := getattr(options, key)) is not None}
    if options.id == "":
        file.find_nameless()
    for key, names in {**asked, "target": options.targets}.items():
        file.check_names(names, f"{KEY}.{key} names it")
    features = options.features
    if features is None:
        ignored |= left_out
        features = tuple(name for name in file.names if name not in ignored)
    if not features:
        raise DataError(f"{shown(file.path)}: has no column but the target to learn from.")
    used = set(features)
    unused = [name for name in options.categories if name not in used]
    if unused:
        raise DataError(f"{KEY}.categories names `{shown(unused[0])}`, which is not among the columns to learn from.")
    return features


def _leave_out(file: TableFile, ignored: set[str], notes: list[str]) -> set[str]:
    """Return names of columns that are certainly no features: without any cell, or an index that pandas or R wrote."""
    left_out = {""}
    problems: list[str] = []
    fixes: list[str] = []
    for place in file.nameless:
        name = file.names[place]
        if name in ignored:
            continue
        found, example = _judge(file, place)
        if found is not None:
            notes.append(f"column {place + 1} of {shown(file.path)} has no name and {found}: it is left out")
            left_out.add(name)
            continue
        problems.append(
            f"{shown(file.path)}: column {place + 1} has no name. The first line must name every column. This one "
            f"holds {quoted(example)}: name it, or leave it out: {KEY}.ignore = {toml_line([name])}."
        )
        fixes.append(name)
    for name in file.repeated:
        if name not in ignored:
            problems.append(file.describe_repeated(name))
            fixes.append(name)
    if problems:
        raise TableError(problems, {"ignore": fixes})
    return left_out


def _capitals(words: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return a note for each column with words that may be one word, written in two ways."""
    found = {name: differ_in_capitals(known) for name, known in words.items()}
    return [
        f"column `{shown(name)}`: words that differ in capitals alone are told apart, such as {alike}"
        for name, alike in found.items()
        if alike
    ]


def _doubtful_words(columns: Columns) -> list[str]:
    """Return a note for each column of words in which one may stand for a missing one."""
    notes: list[str] = []
    for name, words in columns.words.items():
        doubtful = sorted(word for word in set(words) if word is not None and may_be_missing(word))
        if doubtful:
            notes.append(
                f"column `{shown(name)}`: {', '.join(map(quoted, doubtful))} counts as a word like any other; if it "
                f"stands for a missing one, set {KEY}.missing_marks = {toml_line(doubtful)}"
            )
    return notes


def _judge(file: TableFile, place: int) -> tuple[str | None, str]:
    """Return why a column without a name is certainly no feature, or None, and one of its cells."""
    numbers: set[int] = set()
    count, begin, example, counts, whole = 0, 0, "", True, True
    for text in file.texts(place):
        example = example or text
        if whole and text.isascii() and text.isdecimal() and len(text) < 19:
            number = int(text)
            begin = number if count == 0 else begin
            counts = counts and number == begin + count
            numbers.add(number)
        else:
            whole = whole and not text and not numbers
            counts = False
        count += 1
    if not example:
        return "no cell in it holds anything", ""
    if counts and begin in {0, 1}:
        return f"counts the rows from {begin}", example
    if whole and place == 0 and file.has_empty_name and len(numbers) == count:
        return "holds a number of its own for each row, as the index that pandas writes", example
    return None, example


def _without_missing(columns: Columns, wanted: Iterable[str], options: Options, notes: list[str]) -> Columns:
    """Return the rows that may be used, and note what was left out or is to be filled in."""
    missing = {name: mask for name in wanted if (mask := columns.is_missing(name)).any()}
    if not missing:
        return columns
    incomplete = np.logical_or.reduce(list(missing.values()))
    rows = len(columns.lines)
    if options.missing == "error" or (options.missing == "mean" and not missing.keys().isdisjoint(options.targets)):
        raise _describe_missing(columns, missing, incomplete, options)
    if options.missing == "mean":
        cells = sum(int(mask.sum()) for mask in missing.values())
        notes.append(
            f"{columns.file}: {cells:,} missing cell(s) in {len(missing):,} column(s) are filled with the column's mean"
        )
        return columns
    if incomplete.all():
        raise DataError(f'{columns.file}: every row has a missing cell, so that {KEY}.missing = "drop" keeps none.')
    notes.append(f"{columns.file}: {int(incomplete.sum()):,} of {rows:,} rows have a missing cell and are left out")
    return columns.take(np.flatnonzero(~incomplete))


def _describe_missing(columns: Columns, missing: dict[str, Any], incomplete: Any, options: Options) -> TableError:
    """Return what is missing, column by column, with options that read the table nevertheless."""
    problems: dict[str, str] = {}
    empty: list[str] = []
    rows = len(columns.lines)
    for name, mask in missing.items():
        count = int(mask.sum())
        place = f"{columns.place(int(np.argmax(mask)), name)}: the cell is empty"
        also = f", and so are {count - 1:,} more of {rows:,}" if count > 1 else ""
        if count == rows and name not in options.targets:
            empty.append(name)
        if options.missing == "error":
            problems[f"{place}{also}.{_MISSING_TARGET if name in options.targets else _MISSING}"] = name
        elif name in options.targets:
            problems[f"{place}{also}, and a target cannot be filled in."] = name
    if empty:
        return TableError(list(problems), {"ignore": empty}, missing=problems)
    few = incomplete.mean() <= _FEW
    fixes = {"missing": "drop" if not missing.keys().isdisjoint(options.targets) or few else "mean"}
    return TableError(list(problems), fixes, missing=problems)
