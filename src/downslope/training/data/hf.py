"""A data set of Hugging Face's on this machine: data.name = "hf:FOLDER", in splits, by columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from downslope.core.errors import DataError, did_you_mean
from downslope.core.shown import shown
from downslope.training.data.array_sources import FreeOptions, InputKind, Layout, RawExamples
from downslope.training.data.class_names import show_names
from downslope.training.data.hf_columns import (
    check_features,
    choose_inputs,
    choose_target,
    kind_of,
    lengths_of,
    read_inputs,
    read_lists,
    read_target,
)
from downslope.training.data.hf_files import Split, is_data_set, open_splits
from downslope.training.data.part_names import HUGGING_FACE, Kind, kind_of_part


@dataclass(frozen=True, kw_only=True)
class Options(FreeOptions):
    """Options of "hf:...": the table ``[data.options]``.

    Attributes:
        split: The split to learn from; None for the one called train, or the only one.
        held_out_split: The split to hold out; None for one called validation, otherwise one called test.
        test_split: The split for a test; None for the one called test, if another is held out.
        subset: Which of several data sets under one name of the Hub, for data in the cache.
        inputs: The column or columns to learn from; None if it is certain.
        target: The column to learn; None if it is certain.
        size: (height, width) that every image is scaled to; None if they are all of one size.
        colour: "rgb" or "grey", for images.
        length: How many items a list of whole numbers has: shorter ones are filled up, longer ones cut; None for the
            longest there is.
        pad: What they are filled up with.
    """

    split: str | None = None
    held_out_split: str | None = None
    test_split: str | None = None
    subset: str | None = None
    inputs: str | tuple[str, ...] | None = None
    target: str | None = None
    size: tuple[int, ...] | None = None
    colour: Literal["rgb", "grey"] = "rgb"
    length: int | None = None
    pad: int = 0

    def __post_init__(self) -> None:
        """Check what needs no file."""
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise DataError(f"`size` must be [height, width], such as [32, 32]; got {list(self.size)}.")
        if self.length is not None and self.length < 1:
            raise DataError(f"`length` must be >= 1; got {self.length}.")
        named = [name for name in (self.split, self.held_out_split, self.test_split) if name is not None]
        if len(set(named)) < len(named):
            raise DataError("`split`, `held_out_split` and `test_split` must be different splits.")
        sliced = next((name for name in named if "[" in name), None)
        if sliced is not None:
            raise DataError(
                f"`split`: {sliced!r} is a slice. Splits are taken whole: save the part that you mean by itself, or "
                "use data.held_out."
            )

    @property
    def shape(self) -> tuple[int, int] | None:
        """`size` as (height, width)."""
        return None if self.size is None else (self.size[0], self.size[1])


class HfSource:
    """A data set of Hugging Face's, as `ArraySource` says.

    Args:
        name: The recipe's `data.name`.
        options: Its options.
        width: How many items a list has, where a run has decided it.
    """

    def __init__(self, name: str, options: Options, width: int | None = None) -> None:
        given = name.removeprefix(HUGGING_FACE)
        splits, notes = open_splits(given, options.subset, "data.name")
        self.place = shown(given)
        chosen = _choose_splits(splits, options, self.place)
        self._splits: dict[Kind, Split] = {kind: splits[split] for kind, split in chosen.items()}
        parts: dict[Kind, str] = {kind: shown(split) for kind, split in chosen.items()}
        self.parts: Mapping[Kind, str] = parts
        self._train = train = self._splits["train"]
        self.target = choose_target(train, options.target)
        self.inputs = choose_inputs(train, options.inputs, self.target)
        for split in self._splits.values():
            check_features(split, self.inputs, train.features, train.place)
        kind = kind_of(train.features[self.inputs[0]])
        _check_unused(options, kind)
        self.class_names: tuple[str, ...] = tuple(getattr(train.features[self.target], "names", None) or ())
        self.classes: int | None = getattr(train.features[self.target], "num_classes", None)
        self.layout: Layout | None = None
        if kind == "image":
            self.layout = "hw" if options.colour == "grey" else "hwc"
        self.kind: InputKind | None = None
        unused = [split for split in splits if split not in chosen.values()]
        more = [f"splits of {self.place} that are not used: {show_names(unused)}"] if unused else []
        columns = f"learned from: {show_names(self.inputs)}; to be told: `{shown(self.target)}`"
        self.notes: tuple[str, ...] = (*notes, *more, columns)
        self._options = options
        self._width = self._find_width(width) if kind == "list" else None

    def read(self, part: Kind) -> RawExamples:
        """Return the examples of a part."""
        split = self._splits[part]
        if part != "train":
            check_features(split, [self.target], self._train.features, self._train.place)
        return read_split(split, self.inputs, self.target, self._options, self._width)

    def _find_width(self, decided: int | None) -> int | None:
        """Return how many items a list has, where they are lists of whole numbers; None where they are not."""
        name, options = self.inputs[0], self._options
        items = _items_of(self._train.features[name])
        lengths = [lengths_of(split, name) for split in self._splits.values()] if items.startswith(_WHOLE) else []
        flat = [found for found in lengths if found is not None and len(found)]
        if not flat:
            _refuse_lists(options)
            return None
        self.kind = None if items == "uint8" else "indices"
        width = decided or options.length or max(int(found.max()) for found in flat)
        counts = {"filled up": sum(int((found < width).sum()) for found in flat)}
        counts["cut"] = sum(int((found > width).sum()) for found in flat)
        said = [f"{count:,} {what}" for what, count in counts.items() if count]
        if said:
            self.notes = (*self.notes, f"lists have {width:,} items: {' and '.join(said)}")
        return max(width, 1)


def read_further(path: Path, options: Options, width: int | None) -> RawExamples | None:
    """Return the examples of another data set on this machine, or None if a path is none.

    Args:
        path: A folder that `save_to_disk` wrote, or a Parquet file.
        options: The run's, its columns named.
        width: How many items a list has, where the run's are lists.

    Raises:
        DataError: If it has several splits, or lacks the columns.
    """
    if not is_data_set(path):
        return None
    splits, _ = open_splits(str(path), None, "--input")
    if len(splits) > 1:
        raise DataError(f"{shown(path)}: has the splits {show_names(list(splits))}. Give one, saved by itself.")
    split = next(iter(splits.values()))
    inputs = choose_inputs(split, options.inputs, options.target or "")
    return read_split(split, inputs, options.target or "", options, width)


def read_split(split: Split, inputs: Sequence[str], target: str, options: Options, width: int | None) -> RawExamples:
    """Return the examples of a split, with targets if it has that column."""
    place = f"{split.place}, column {show_names(inputs)}"
    if width is None:
        found = read_inputs(split, inputs, size=options.shape, colour=options.colour)
    else:
        found, cut = read_lists(split, inputs[0], width, options.pad)
        if cut and options.length is None:
            raise DataError(
                f"{place}: {cut:,} of its lists have more than {width:,} items, the most of the run's own. Set "
                "data.options.length for a run, and longer ones are cut."
            )
    if target not in split.features:
        return RawExamples(found, place)
    return RawExamples(found, place, read_target(split, target), f"{split.place}, column `{shown(target)}`")


_WHOLE = ("int", "uint")


def _items_of(feature: object) -> str:
    """Return the dtype of the items of a list of one level, or ""."""
    return str(getattr(getattr(feature, "feature", None), "dtype", ""))


def _refuse_lists(options: Options) -> None:
    for name, given in (("length", options.length is not None), ("pad", options.pad != 0)):
        if given:
            raise DataError(f"data.options.{name} is for lists of whole numbers, one level deep. Leave it out.")


def _check_unused(options: Options, kind: str) -> None:
    """Raise DataError for an option that such columns have no use for."""
    unused = {
        "size": kind != "image" and options.size is not None,
        "colour": kind != "image" and options.colour != "rgb",
        "layout": kind == "image" and options.layout is not None,
        "inputs_are": kind == "image" and options.inputs_are is not None,
    }
    if kind != "list":
        _refuse_lists(options)
    for name, is_unused in unused.items():
        if is_unused:
            what = {"image": "images", "list": "lists"}.get(kind, "numbers")
            raise DataError(f"data.options.{name}: is not for {what}, which these inputs are. Leave it out.")


def _choose_splits(splits: Mapping[str, Split], options: Options, place: str) -> dict[Kind, str]:
    """Return the split of each part."""
    chosen: dict[Kind, str] = {}
    given: dict[Kind, str | None] = {
        "train": options.split, "held_out": options.held_out_split, "test": options.test_split,
    }  # fmt: skip
    for kind, name in given.items():
        if name is None:
            continue
        if name not in splits:
            key = {"train": "split", "held_out": "held_out_split", "test": "test_split"}[kind]
            raise DataError(
                f"data.options.{key} = '{shown(name)}': {place} has no such split.{did_you_mean(name, splits)} It has "
                f"{show_names(list(splits))}."
            )
        chosen[kind] = name
    for name in splits:
        kind = kind_of_part(name)
        if kind is not None and kind not in chosen and name not in chosen.values():
            chosen[kind] = name
    if "held_out" in chosen and options.held_out_split is not None:
        chosen.pop("validation", None)
    if "train" not in chosen:
        left = [name for name in splits if name not in chosen.values()] or list(splits)
        if len(splits) > 1:
            raise DataError(
                f"{place}: has the splits {show_names(list(splits))}, and it is not certain which to learn from. Set "
                "data.options.split."
            )
        chosen = {"train": left[0]}
    order: tuple[Kind, ...] = ("train", "held_out", "validation", "test")
    return {kind: chosen[kind] for kind in order if kind in chosen}
