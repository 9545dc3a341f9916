"""A data set in one .npz file of NumPy's, in parts that its arrays are named by: x_train, y_train, x_test, y_test."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downslope.core.errors import DataError, did_you_mean
from downslope.core.shown import shown
from downslope.training.data.array_sources import FreeOptions, InputKind, Layout, RawExamples, find_path
from downslope.training.data.class_names import show_names
from downslope.training.data.numpy_files import names_in_npz, open_npz, read_npz
from downslope.training.data.part_names import KINDS, Kind, kind_of_part

_INPUTS = frozenset({"x", "inputs", "input", "images", "image", "data", "features"})
_TARGETS = frozenset({"y", "targets", "target", "labels", "label"})
_KEYS: Mapping[Kind, tuple[str, str]] = {
    "train": ("inputs", "targets"),
    "held_out": ("held_out_inputs", "held_out_targets"),
    "test": ("test_inputs", "test_targets"),
}
"""Part -> the options that name its two arrays."""


@dataclass(frozen=True, kw_only=True)
class Options(FreeOptions):
    """Options of "npz": the table ``[data.options]``.

    Attributes:
        path: The file, relative to the current directory.
        inputs: The array of inputs to learn from; None to go by the usual names. The other five likewise.
        targets: That of their targets.
        held_out_inputs: The array of inputs to hold out.
        held_out_targets: That of their targets.
        test_inputs: The array of inputs for a test.
        test_targets: That of their targets.
    """

    path: str
    inputs: str | None = None
    targets: str | None = None
    held_out_inputs: str | None = None
    held_out_targets: str | None = None
    test_inputs: str | None = None
    test_targets: str | None = None

    def __post_init__(self) -> None:
        """Check that arrays are named in pairs."""
        named = False
        for keys in _KEYS.values():
            given = [key for key in keys if getattr(self, key) is not None]
            named = named or bool(given)
            if len(given) == 1 or (named and not (self.inputs and self.targets)):
                lacking = next(key for key in (*_KEYS["train"], *keys) if getattr(self, key) is None)
                raise DataError(f"`{lacking}` is missing: where arrays are named, those of inputs and of targets are.")

    def named(self) -> dict[Kind, tuple[str, str]]:
        """Return the arrays that are named, by part; empty if the usual names are to be looked for."""
        pairs: dict[Kind, tuple[Any, Any]] = {
            kind: (getattr(self, one), getattr(self, other)) for kind, (one, other) in _KEYS.items()
        }
        return {kind: pair for kind, pair in pairs.items() if pair[0] is not None}


class NpzSource:
    """An .npz file, as `ArraySource` says."""

    def __init__(self, options: Options) -> None:
        self._path = find_path(options.path, folder=False)
        self.place = shown(self._path)
        self.class_names: tuple[str, ...] = ()
        self.classes: int | None = None
        self.layout: Layout | None = None
        self.kind: InputKind | None = None
        names = names_in_npz(self._path)
        named = options.named()
        for kind, pair in named.items():
            for key, name in zip(_KEYS[kind], pair, strict=True):
                if name not in names:
                    guess = did_you_mean(name, names)
                    raise DataError(
                        f"data.options.{key} = '{shown(name)}': {self.place} has no such array.{guess} It has "
                        f"{show_names(names)}."
                    )
        self._named = bool(named)
        self._pairs = named or _find_pairs(names, self.place)
        self.parts: Mapping[Kind, str] = {kind: shown(pair[0]) for kind, pair in self._pairs.items()}
        unused = [name for name in names if not any(name in pair for pair in self._pairs.values())]
        self.notes: tuple[str, ...] = (
            (f"arrays of {self.place} that are not used: {show_names(unused)}",) if unused else ()
        )

    def read(self, part: Kind) -> RawExamples:
        """Return the examples of a part."""
        return _read(self._path, *self._pairs[part])


def read_one_npz(path: Path) -> RawExamples:
    """Return the examples of an .npz file that has one array, or one of inputs and one of targets by a usual name.

    Raises:
        DataError: If it has others.
    """
    names = names_in_npz(path)
    if len(names) == 1:
        place = f"{shown(path)}, `{shown(names[0])}`"
        return RawExamples(next(iter(open_npz(path).values())), place)
    inputs, targets = ([name for name in names if name.lower() in usual] for usual in (_INPUTS, _TARGETS))
    if len(names) == 2 and len(inputs) == len(targets) == 1:
        return _read(path, inputs[0], targets[0], maps=True)
    raise DataError(
        f"{shown(path)}: must hold one array, or two called `inputs` and `targets`; got {len(names)}: "
        f"{show_names(names)}."
    )


def _read(path: Path, inputs: str, targets: str, *, maps: bool = False) -> RawExamples:
    arrays = (open_npz if maps else read_npz)(path, {inputs, targets})
    place, targets_place = (f"{shown(path)}, `{shown(name)}`" for name in (inputs, targets))
    return RawExamples(arrays[inputs], place, arrays[targets], targets_place)


def _find_pairs(names: Sequence[str], place: str) -> dict[Kind, tuple[str, str]]:
    """Return the arrays of each part by the usual names: x_train, train_images, inputs, ...

    Raises:
        DataError: If there are none, or two for one thing.
    """
    found: dict[tuple[Kind, str], str] = {}
    for name in names:
        if (meant := _meaning(name)) is None:
            continue
        if meant in found:
            raise DataError(
                f"{place}: `{shown(found[meant])}` and `{shown(name)}` are both {meant[1]} of one part, by their "
                f"names. {_SAY}"
            )
        found[meant] = name
    pairs: dict[Kind, tuple[str, str]] = {}
    for kind in KINDS:
        inputs, targets = (found.get((kind, what)) for what in ("inputs", "targets"))
        if inputs is not None and targets is not None:
            pairs[kind] = inputs, targets
        elif inputs is not None or targets is not None:
            raise DataError(
                f"{place}: has `{shown(inputs or targets or '')}` but no {'targets' if inputs else 'inputs'} that "
                f"belong to it. It has {show_names(names)}. {_SAY}"
            )
    if "train" not in pairs:
        raise DataError(
            f"{place}: has no arrays to learn from by a usual name: x_train and y_train, train_images and "
            f"train_labels, or inputs and targets. It has {show_names(names)}. {_SAY}"
        )
    return pairs


_SAY = "Say which: data.options.inputs and data.options.targets, and held_out_inputs, test_inputs, ... for other parts."


def _meaning(name: str) -> tuple[Kind, str] | None:
    """Return which part an array is of, and what it is, by its name.

    Example:
        >>> _meaning("x_train"), _meaning("test_labels"), _meaning("inputs"), _meaning("weights")
        (('train', 'inputs'), ('test', 'targets'), ('train', 'inputs'), None)
    """
    words = re.split(r"[_\-. ]", name.lower())
    for what, usual in (("inputs", _INPUTS), ("targets", _TARGETS)):
        for place in (0, len(words) - 1):
            if words[place] in usual:
                rest = "_".join(words[:place] + words[place + 1 :])
                kind = "train" if not rest else kind_of_part(rest)
                return None if kind is None else (kind, what)
    return None
