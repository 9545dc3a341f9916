"""Further arrays, to predict or to rate: files of a data set's own kind, NumPy's and images, read as it was read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from downslope.core.errors import DataError
from downslope.core.paths import expand_home, expansion_of
from downslope.core.shown import shown
from downslope.recipe.schema import Data
from downslope.training.data import cifar, hf, idx, npz
from downslope.training.data.array_forms import InputForm, TargetForm, as_scaling
from downslope.training.data.array_rows import rows_of
from downslope.training.data.array_sources import ArrayOptions, ArraySource, InputKind, Layout, RawExamples
from downslope.training.data.checking import bad_data, no_test, split
from downslope.training.data.dataset import LARGE, Examples, Part
from downslope.training.data.image_files import SUFFIXES
from downslope.training.data.image_reader import KeptImages
from downslope.training.data.numpy_files import Array, open_npy
from downslope.training.data.part_names import HUGGING_FACE, LOOKED_AT, Kind, choose_roles
from downslope.training.data.rows import Inputs
from downslope.training.user_code import read_options

_BYTES = 4
"""What a number takes that a model is given."""

_UNKNOWN = "the run has learned no class {}"
_WHERE = {
    "idx": "the files of a test are t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, or data.options.test_inputs",
    "cifar10": "it is test_batch.bin",
    "cifar100": "it is test.bin",
    "npz": "its arrays are x_test and y_test, or data.options.test_inputs and test_targets",
}
"""Where the test part of each is, for a message."""


def open_source(name: str, options: Mapping[str, Any], width: int | None = None) -> tuple[ArrayOptions, ArraySource]:
    """Return the options of a data set of arrays, read strictly, and its files.

    Args:
        name: The recipe's `data.name`.
        options: Its `data.options`.
        width: How many items a list has, where a run has decided it.

    Raises:
        RecipeError: If an option is unknown, missing or outside its range.
        DataError: If the files are not there.
    """
    if name == "idx":
        of_idx: idx.Options = read_options(idx.Options, options, "data")
        return of_idx, idx.IdxSource(of_idx)
    if name == "npz":
        of_npz: npz.Options = read_options(npz.Options, options, "data")
        return of_npz, npz.NpzSource(of_npz)
    if name.startswith(HUGGING_FACE):
        if "path" in options:
            raise bad_data(name, 'its path stands in its name: data.name = "hf:FOLDER". Leave data.path out.')
        of_hf: hf.Options = read_options(hf.Options, options, "data")
        return of_hf, hf.HfSource(name, of_hf, width)
    of_cifar = _cifar_options(name, options)
    return of_cifar, cifar.CifarSource(of_cifar)


def _cifar_options(name: str, options: Any) -> cifar.Options10 | cifar.Options100:
    kind = cifar.Options10 if name == "cifar10" else cifar.Options100
    return read_options(kind, options, "data")


def options_with_columns(options: Mapping[str, Any], source: ArraySource) -> dict[str, Any]:
    """Return options with the columns named that were chosen, so that further data are read by the same."""
    if not isinstance(source, hf.HfSource):
        return dict(options)
    return {**options, "inputs": list(source.inputs), "target": source.target}


class KeptArrays(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run keeps of how arrays become inputs, in `inputs.json`.

    Attributes:
        options: The recipe's `data.options`; of a data set in columns with these named.
        kind: What inputs are, as in `InputForm`.
        layout: The order of an image's sizes.
        shape: Of an example in the files.
        scaling: Mean and deviation, each as nested lists.
        labels: What stands in the files for each class; empty for numbers.
    """

    options: dict[str, Any]
    kind: InputKind
    layout: Layout | None
    shape: tuple[int, ...]
    scaling: tuple[Any, Any] | None
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check that they go together."""
        if self.layout is not None and len(self.shape) != len(self.layout):
            raise ValueError("an image must have as many sizes as its layout")
        if any(size < 1 for size in self.shape):
            raise ValueError("a size must be at least 1")
        if self.scaling is not None:
            mean, deviation = (np.array(one, dtype=np.float32) for one in self.scaling)
            becomes = InputForm(self.kind, self.layout, self.shape).becomes
            wanted = becomes if self.layout is None else (becomes[0], 1, 1)
            finite = np.isfinite(mean).all() and np.isfinite(deviation).all()
            if mean.shape != wanted or deviation.shape != wanted or not finite or not (deviation > 0).all():
                raise ValueError("the scaling must be means, and deviations above 0, for an example's shape")

    def reader(self, name: str, names: tuple[str, ...], scale: tuple[float, float] | None) -> ArrayReader:
        """Return the reader whose `kept` this is, given the data set's name, those of its classes and its scale."""
        form = InputForm(self.kind, self.layout, self.shape, as_scaling(self.scaling))
        return ArrayReader(name, self.options, form, TargetForm(self.labels, scale), names)


class ArrayReader:
    """Reads further examples as the run's own were.

    Args:
        name: The recipe's `data.name`.
        options: Its `data.options`.
        form: What becomes of inputs.
        target: What becomes of targets.
        names: What each class is called.
    """

    def __init__(
        self, name: str, options: dict[str, Any], form: InputForm, target: TargetForm, names: tuple[str, ...]
    ) -> None:
        self._name = name
        self._options = options
        self._form = form
        self._target = target
        self._names = names

    def kept(self) -> KeptArrays:
        """Return what a run keeps, so that the same reader can be had without the data."""
        form, scaling = self._form, self._form.scaling
        return KeptArrays(
            options=self._options,
            kind=form.kind,
            layout=form.layout,
            shape=form.shape,
            scaling=None if scaling is None else (scaling[0].tolist(), scaling[1].tolist()),
            labels=self._target.labels,
        )

    def stream(
        self, given: str | Path, *, identify: str | None = None, rated: bool = False, loaders: int = 0
    ) -> Iterator[Examples]:
        """Yield the examples of a file, all in one part, with their targets where it holds them, or they lie beside it.

        Raises:
            DataError: If it cannot be read, holds something else, or has no targets and must.
        """
        if identify is not None:
            raise DataError("--id names a column of a table; these examples have none. Leave it out.")
        yield self(given, rated=rated, loaders=loaders)

    def __call__(self, given: str | Path, *, rated: bool = False, loaders: int = 0) -> Examples:
        """Return the examples of a file, with their targets where it holds them, or they lie beside it."""
        path = expand_home(given, DataError, "--input")
        if not path.exists():
            raise DataError(f"{shown(given)}{shown(expansion_of(given))}: there is no such file.")
        raw = None
        if self._name.startswith(HUGGING_FACE):
            options: hf.Options = read_options(hf.Options, self._options, "data")
            raw = hf.read_further(path, options, self._width())
        if raw is None and (path.is_dir() or path.suffix.lower() in SUFFIXES):
            return self._read_images(path, rated=rated, loaders=loaders)
        raw = raw or self._read_file(path)
        if rated and raw.targets is None:
            raise DataError(
                f"{raw.place}: holds no targets to rate by. Give an .npz file with two arrays, `inputs` and `targets`, "
                "or a file of the kind that the run learned from."
            )
        return self._encode(raw, loaders=loaders)

    def part(self, part: Part, data: Data, seed: int) -> Examples:
        """Return the examples of a part of the recipe's own files now; those of no known class have no target."""
        options, source = open_source(self._name, self._options, self._width())
        roles = choose_roles(source.parts, options.held_out_from, source.place)
        kind: Kind | None = "train" if part == "train" else roles.held_out
        if part == "test":
            if roles.test is None:
                where = _WHERE.get(self._name, "it is a split called test, or data.options.test_split")
                raise no_test(self._name, where)
            kind = roles.test
        found = self._encode(source.read(kind or "train"), any_class=True, loaders=data.loaders)
        if part == "test" and roles.test == roles.held_out:
            return replace(found, notes=(*found.notes, LOOKED_AT))
        if roles.held_out is not None or part == "test":
            return found
        order = torch.arange(len(found))
        return found.take(split(data, seed, order, order)[f"{part}_inputs"].tolist())

    def _width(self) -> int | None:
        """Return how many items a list has, where inputs are lists of whole numbers."""
        form = self._form
        is_list = form.kind == "indices" or (form.kind == "pixels" and form.layout is None)
        return form.shape[0] if is_list and len(form.shape) == 1 else None

    def _read_file(self, path: Path) -> RawExamples:
        suffix = path.suffix.lower()
        if suffix == ".npy":
            return RawExamples(open_npy(path), shown(path))
        if suffix == ".npz":
            return npz.read_one_npz(path)
        if (found := idx.read_further(path)) is not None:
            return found
        if self._name in {"cifar10", "cifar100"}:
            found = cifar.read_further(path, _cifar_options(self._name, self._options))
        if found is None:
            raise DataError(
                f"{shown(path)}: must be a .npy or .npz file, one of the kind that the run learned from, or images."
            )
        return found

    def _encode(self, raw: RawExamples, *, any_class: bool = False, loaders: int = 0) -> Examples:
        inputs = self._inputs(raw, loaders)
        if raw.targets is None:
            return Examples(inputs=inputs)
        known = np.ones(len(inputs), dtype=np.bool_)
        if any_class:
            known = self._target.known(raw.targets, raw.targets_place)
        rows = np.flatnonzero(known)
        targets = self._target.encode(raw.targets[rows], raw.targets_place, _UNKNOWN)
        return Examples(
            inputs=inputs,
            targets=torch.from_numpy(targets),
            known=torch.from_numpy(rows),
            target_name="targets",
        )

    def _inputs(self, raw: RawExamples, loaders: int) -> Inputs:
        """Return inputs; of many, rows that are made of the array when they are needed."""

        def encode(array: Array, begin: int) -> torch.Tensor:
            return torch.from_numpy(self._form.encode(array, f"{raw.place}, of its examples from number {begin} on"))

        if raw.inputs.size * _BYTES <= LARGE:
            return torch.from_numpy(self._form.encode(raw.inputs, raw.place))
        return rows_of(raw.inputs, encode, raw.place, loaders)

    def _read_images(self, path: Path, *, rated: bool, loaders: int) -> Examples:
        """Return images, scaled to the run's size, or a folder of them."""
        form = self._form
        channels = form.becomes[0] if form.layout is not None else 0
        if form.kind != "pixels" or channels not in {1, 3}:
            raise DataError(f"{shown(path)}: the run did not learn from images. Give a .npy or .npz file.")
        height, width = form.becomes[1:]
        options = {"path": ".", "size": [height, width], "colour": "grey" if channels == 1 else "rgb"}
        scaling = None
        if form.scaling is not None:
            mean, deviation = (tuple(one.ravel().tolist()) for one in form.scaling)
            scaling = mean, deviation
        kept = KeptImages(options=options, height=height, width=width, scaling=scaling)
        return kept.reader(self._names or self._target.labels)(path, rated=rated, loaders=loaders)
