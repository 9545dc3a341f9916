"""Arrays in files, in parts: what a data set of IDX files, of CIFAR or of an .npz file is before it is learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from downslope.core.errors import DataError
from downslope.core.paths import expand_home, expansion_of, from_here
from downslope.core.shown import shown
from downslope.training.data.numpy_files import Array
from downslope.training.data.part_names import Kind

Layout = Literal["hw", "hwc", "chw"]
"""In which order the sizes of an image stand: height, width and channels."""

InputKind = Literal["pixels", "numbers", "indices"]
"""Whole numbers from 0 to 255 that become fractions from 0 to 1; numbers as they are; whole numbers that stand for
something else, such as words."""


@dataclass(frozen=True)
class RawExamples:
    """Examples as files hold them.

    Attributes:
        inputs: Shape (examples, ...).
        place: What messages call them: the file, and where in it.
        targets: One an example; None where there are none.
        targets_place: As `place`.
    """

    inputs: Array
    place: str
    targets: Array | None = None
    targets_place: str = ""

    def __post_init__(self) -> None:
        """Check that there are as many targets as inputs."""
        if self.inputs.ndim == 0 or len(self.inputs) == 0:
            raise DataError(f"{self.place}: holds no example.")
        targets = self.targets
        if targets is not None and (targets.ndim == 0 or len(targets) != len(self.inputs)):
            count = f"{len(targets):,}" if targets.ndim else "one, without examples"
            raise DataError(f"{self.targets_place}: has {count} labels for the {len(self.inputs):,} of {self.place}.")


@dataclass(frozen=True, kw_only=True)
class ArrayOptions:
    """What may be said of all data sets that are arrays in files; the path is each one's own.

    Attributes:
        held_out_from: Where there is a part to learn from and one to test by, but none to hold out: "test" to hold out
            the test part, which None does too, or "train" to hold out `data.held_out` of the examples to learn from and
            to leave the test part for the end.
        standardize: Whether inputs get mean 0 and standard deviation 1 over the examples to learn from: each channel of
            images, each number otherwise.
    """

    held_out_from: Literal["train", "test"] | None = None
    standardize: bool = False


@dataclass(frozen=True, kw_only=True)
class FreeOptions(ArrayOptions):
    """What may be said besides where the files themselves do not decide what they hold.

    Attributes:
        inputs_are: What inputs are; None for "pixels" where they are bytes, "numbers" otherwise.
        layout: The order of an image's sizes: "hw", "hwc" or "chw"; None to go by the number of sizes and channels.
        class_names: What classes are called, in the order of their numbers; None where they have no names.
        standardize_target: Whether a target that is a number gets mean 0 and deviation 1; predictions are given in its
            own unit. None for what goes with `train.loss`: true for "mse", "mae", "huber".
    """

    inputs_are: InputKind | None = None
    layout: Layout | None = None
    class_names: tuple[str, ...] | None = None
    standardize_target: bool | None = None


class ArraySource(Protocol):
    """Files that hold examples in parts.

    Attributes:
        place: What messages call them.
        parts: Part -> what its owner calls it; "train" is always there.
        notes: What a person should know of them.
        class_names: What the files call the classes; empty where they do not.
        classes: How many there are, where the format decides it.
        layout: The order of an image's sizes, where the format decides it.
        kind: What inputs are, where the format decides it.
    """

    place: str
    parts: Mapping[Kind, str]
    notes: tuple[str, ...]
    class_names: tuple[str, ...]
    classes: int | None
    layout: Layout | None
    kind: InputKind | None

    def read(self, part: Kind) -> RawExamples:
        """Return the examples of a part, with targets.

        Raises:
            DataError: If a file is damaged, or holds something else.
        """
        ...


def find_path(given: str, key: str = "path", *, folder: bool | None = None) -> Path:
    """Return where something lies that a recipe names by a path.

    Args:
        given: The path, as it was written.
        key: The option that gives it.
        folder: Whether it must be a folder, or a file; None if it may be either.

    Raises:
        DataError: If there is nothing, or something else.
    """
    path = expand_home(given, DataError, f"data.options.{key}")
    place = f"data.options.{key} = '{shown(given)}'{shown(expansion_of(given))}"
    if not path.exists():
        raise DataError(f"{place}: there is no such {'folder' if folder else 'file'}.{from_here(path)}")
    if folder is not None and path.is_dir() != folder:
        raise DataError(f"{place}: is {'no' if folder else 'a'} folder. Give {'the folder' if folder else 'a file'}.")
    return path
