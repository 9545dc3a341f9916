"""A data set of IDX files: MNIST and those that are written like it (Fashion-MNIST, KMNIST, EMNIST), by path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.data.array_sources import FreeOptions, InputKind, Layout, RawExamples, find_path
from downslope.training.data.class_names import show_names
from downslope.training.data.idx_files import begins_as_idx, read_idx
from downslope.training.data.image_files import sorted_entries
from downslope.training.data.part_names import KINDS, Kind, kind_of_part

_NAME = re.compile(
    r"(?P<part>.*?)[-_. ]?(?P<what>images|labels|data|targets)[-_. ]?idx(?P<sizes>\d+)?[-_. ]?[a-z]*(?P<gz>\.gz)?",
    re.IGNORECASE,
)
"""Names such as train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-letters-test-images-idx3-ubyte."""

_WHAT = {"images": "inputs", "data": "inputs", "labels": "targets", "targets": "targets"}
_DEEPEST = 3


@dataclass(frozen=True, kw_only=True)
class Options(FreeOptions):
    """Options of "idx": the table ``[data.options]``.

    Attributes:
        path: The folder with the files, relative to the current directory; None where each is named by its whole path.
        inputs: The file of inputs to learn from, in `path`; None to go by the usual names. The other five likewise.
        targets: That of their labels.
        held_out_inputs: The file of inputs to hold out.
        held_out_targets: That of their labels.
        test_inputs: The file of inputs for a test.
        test_targets: That of their labels.
    """

    path: str | None = None
    inputs: str | None = None
    targets: str | None = None
    held_out_inputs: str | None = None
    held_out_targets: str | None = None
    test_inputs: str | None = None
    test_targets: str | None = None

    def named(self) -> dict[Kind, tuple[str, str]]:
        """Return the files that are named, by part; empty if the usual names are to be looked for.

        Raises:
            DataError: If one of a pair is missing, or those to learn from are.
        """
        found: dict[Kind, tuple[str, str]] = {}
        given: tuple[Kind, ...] = ("train", "held_out", "test")
        for kind in given:
            before = "" if kind == "train" else f"{kind}_"
            inputs, targets = getattr(self, f"{before}inputs"), getattr(self, f"{before}targets")
            if (inputs is None) != (targets is None):
                lacking = "targets" if targets is None else "inputs"
                raise DataError(f"`{before}{lacking}` is missing: inputs and their targets are two files. Name both.")
            if inputs is not None:
                found[kind] = inputs, targets
        if found and "train" not in found:
            raise DataError("`inputs` and `targets` are missing: the files to learn from. Name them too.")
        return found

    def __post_init__(self) -> None:
        """Check what needs no file."""
        if not self.named() and self.path is None:
            raise DataError(
                "`path` is missing: the folder with the IDX files. Give it (--data.path FOLDER), or name the files "
                "themselves: `inputs` and `targets`."
            )


class IdxSource:
    """IDX files in parts, as `ArraySource` says."""

    def __init__(self, options: Options) -> None:
        self.notes: tuple[str, ...] = ()
        self.class_names: tuple[str, ...] = ()
        self.classes: int | None = None
        self.layout: Layout | None = None
        self.kind: InputKind | None = None
        named = options.named()
        folder = None if options.path is None else find_path(options.path, folder=True)
        if named:
            self._files: dict[Kind, tuple[Path, ...]] = {
                kind: _find_pair(folder, kind, pair) for kind, pair in named.items()
            }
            self.place = shown(folder or self._files["train"][0].parent)
        else:
            self._files, self.notes = _look_for(folder or Path())  # the options say that there is one
            self.place = shown(folder)
        parts: dict[Kind, str] = {kind: shown(pair[0].name) for kind, pair in self._files.items()}
        self.parts: Mapping[Kind, str] = parts

    def read(self, part: Kind) -> RawExamples:
        """Return the examples of a part."""
        inputs, targets = self._files[part]
        return _read_pair(inputs, targets)


def read_further(path: Path) -> RawExamples | None:
    """Return the examples of a further file of inputs, or None if it is no IDX file.

    Labels that lie beside it by a usual name are theirs.

    Raises:
        DataError: If it is damaged, or holds labels.
    """
    if not begins_as_idx(path):
        return None
    found = _NAME.fullmatch(path.name)
    if found is not None and _WHAT[found["what"].lower()] == "targets":
        raise DataError(f"{shown(path)}: holds labels, by its name. Give the file of the inputs.")
    return _read_pair(path, None if found is None else _labels_of(path, found["part"]))


def _read_pair(inputs: Path, targets: Path | None) -> RawExamples:
    array = read_idx(inputs)
    if array.ndim < 2:
        raise DataError(f"{shown(inputs)}: has one size, as labels have; inputs have two or more.")
    labels = None if targets is None else read_idx(targets)
    return RawExamples(array, shown(inputs), labels, "" if targets is None else shown(targets))


def _labels_of(path: Path, part: str) -> Path | None:
    """Return the file of the labels beside that of the inputs, or None."""
    for entry in sorted_entries(path.parent):
        found = _NAME.fullmatch(entry.name)
        if found is not None and found["part"] == part and _WHAT[found["what"].lower()] == "targets":
            return entry
    return None


def _find_pair(folder: Path | None, kind: Kind, given: Sequence[str]) -> tuple[Path, ...]:
    """Return the two files of a part that are named, in a folder or by their whole paths."""
    before = "" if kind == "train" else f"{kind}_"
    return tuple(
        find_path(one if folder is None else str(folder / one), f"{before}{what}", folder=False)
        for one, what in zip(given, ("inputs", "targets"), strict=True)
    )


def _look_for(folder: Path) -> tuple[dict[Kind, tuple[Path, ...]], tuple[str, ...]]:
    """Return the files of each part in a folder, by their usual names, and notes."""
    inside = _with_files(folder)
    if not inside:
        raise DataError(
            f"{shown(folder)}: holds no IDX files by a usual name, such as train-images-idx3-ubyte and "
            "train-labels-idx1-ubyte, packed by gzip or not. Give the folder that does, or name the files: "
            "data.options.inputs and data.options.targets."
        )
    if len(inside) > 1:
        raise DataError(
            f"{shown(folder)}: has IDX files in several folders: {show_names([str(one) for one in inside])}. Give one."
        )
    there = inside[0]
    sets: dict[str, dict[Kind, dict[str, Path]]] = {}
    for entry in _plain_first(sorted_entries(there)):
        if (found := _NAME.fullmatch(entry.name)) is not None:
            before, kind = _split_name(found["part"])
            if kind is not None:
                sets.setdefault(before, {}).setdefault(kind, {}).setdefault(_WHAT[found["what"].lower()], entry)
    if len(sets) > 1:
        names = [name or "(without a name)" for name in sets]
        raise DataError(
            f"{shown(there)}: holds several sets of IDX files: {show_names(names)}. Name the files of one: "
            "data.options.inputs, targets, test_inputs and test_targets."
        )
    files = next(iter(sets.values()), {})
    if "train" not in files:
        raise DataError(f"{shown(there)}: has IDX files, but none to learn from, such as train-images-idx3-ubyte.")
    for pair in files.values():
        if len(pair) < 2:
            name, lacking = next(iter(pair.items()))[1].name, "labels" if "inputs" in pair else "images"
            raise DataError(f"{shown(there)}: has {shown(name)} but not the {lacking} that belong to it.")
    notes = () if there == folder else (f"the files are those in {shown(there)}",)
    return {kind: (files[kind]["inputs"], files[kind]["targets"]) for kind in KINDS if kind in files}, notes


def _with_files(folder: Path, depth: int = 0) -> list[Path]:
    """Return the folder if IDX files lie in it, otherwise those below it that hold some, as torchvision's MNIST/raw."""
    entries = sorted_entries(folder)
    if any(_NAME.fullmatch(entry.name) and entry.is_file() for entry in entries):
        return [folder]
    if depth == _DEEPEST:
        return []
    return [one for entry in entries if entry.is_dir() for one in _with_files(entry, depth + 1)]


def _plain_first(entries: Iterable[Path]) -> list[Path]:
    """Return files, those that are packed last: what one was unpacked to may lie beside it."""
    return sorted((entry for entry in entries if not entry.is_dir()), key=lambda entry: entry.suffix.lower() == ".gz")


def _split_name(name: str) -> tuple[str, Kind | None]:
    """Return what a file's name begins with, and which part it is.

    Example:
        >>> _split_name("t10k"), _split_name("emnist-letters-train")
        (('', 'test'), ('emnist-letters', 'train'))
    """
    *before, last = re.split(r"[-_. ]", name)
    return "-".join(before), "test" if last.lower() == "t10k" else kind_of_part(last)
