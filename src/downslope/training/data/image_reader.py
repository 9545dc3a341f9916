"""How images of a folder become inputs: the options of a recipe, and further images read as a run read its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch

from downslope.core.errors import DataError
from downslope.core.paths import expand_home, expansion_of, from_here
from downslope.core.shown import shown
from downslope.core.tables import to_table
from downslope.recipe.schema import Data
from downslope.training.data.checking import no_test, split
from downslope.training.data.class_names import show_names
from downslope.training.data.dataset import LARGE, Examples, Part
from downslope.training.data.image_files import SUFFIXES, Pixels, be_quiet, list_images, look_at_image, read_image
from downslope.training.data.image_parts import Parts, find_parts
from downslope.training.data.image_rows import ImageSource
from downslope.training.data.loaders import Loaders
from downslope.training.data.numpy_files import check_memory
from downslope.training.data.part_names import LOOKED_AT
from downslope.training.data.rows import Inputs, Rows
from downslope.training.user_code import read_options

_BYTES = 4
"""What a pixel of one channel takes in memory."""

_NOTES = 3
"""How many of Pillow's remarks are passed on."""

_NO_TEST = "it would be a folder `test` beside one to learn from, or data.options.test_path"
"""Where the test images of a folder would be."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How images are read.

    Attributes:
        path: The folder, relative to the current directory: a sub-folder for each class; or `train` and `held_out` (or
            another usual name), each with a sub-folder for each class.
        held_out_path: A folder with the same classes to hold out; None to go by `path`.
        test_path: One whose images training never reads, for `downslope evaluate --split test`; None to go by `path`.
        held_out_from: Where `path` has a part to learn from and one to test by, but none to hold out: "test" to hold
            out the test part, which None does too, or "train" to hold out `data.held_out` of the images to learn from
            and to leave the test part for the end.
        split: False if every sub-folder is a class, whatever it is called; None to go by their names.
        size: (height, width) that every image is scaled to; None if they are all of one size.
        colour: "rgb" or "grey".
        standardize: Whether each channel gets mean 0 and standard deviation 1, those of the examples to learn from;
            otherwise pixels go from 0 to 1.
        reduced: Whether a JPEG at least four times as large as `size` is decoded at half, a quarter or an eighth of its
            scale and then scaled to `size`; None if it is decoded when needed.
        scan: What is looked at before training, of images that are decoded when needed: "headers" (and whether each
            file ends as it should), "pixels" (each is decoded once), or "off".
    """

    path: str
    held_out_path: str | None = None
    test_path: str | None = None
    held_out_from: Literal["train", "test"] | None = None
    split: bool | None = None
    size: tuple[int, ...] | None = None
    colour: Literal["rgb", "grey"] = "rgb"
    standardize: bool = False
    reduced: bool | None = None
    scan: Literal["headers", "pixels", "off"] = "headers"

    def __post_init__(self) -> None:
        """Check what needs no file."""
        if self.split is True:
            raise DataError("`split` = false says that every sub-folder is a class; leave it out to go by their names.")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise DataError(f"`size` must be [height, width], such as [32, 32]; got {list(self.size)}.")

    @property
    def shape(self) -> tuple[int, int] | None:
        """`size` as (height, width)."""
        return None if self.size is None else (self.size[0], self.size[1])


class KeptImages(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run keeps of how images become inputs, in `inputs.json`.

    Attributes:
        options: The recipe's `data.options`, every default written out.
        height: Of an input.
        width: Of an input.
        scaling: Mean and deviation of each channel; None for pixels from 0 to 1.
    """

    options: dict[str, Any]
    height: int
    width: int
    scaling: tuple[tuple[float, ...], tuple[float, ...]] | None

    def __post_init__(self) -> None:
        """Check the sizes."""
        if self.height < 1 or self.width < 1:
            raise ValueError("height and width must be at least 1")
        if self.scaling is not None and (
            len(self.scaling[0]) != len(self.scaling[1]) or any(not value > 0 for value in self.scaling[1])
        ):
            raise ValueError("the scaling must be a mean and a deviation above 0 for each channel")

    def reader(self, names: tuple[str, ...]) -> ImageReader:
        """Return the reader whose `kept` this is, given what each class is called."""
        options: Options = read_options(Options, self.options, "data")
        scaling = None if self.scaling is None else (_as_channels(self.scaling[0]), _as_channels(self.scaling[1]))
        return ImageReader(options, (self.height, self.width), scaling, names)


class ImageReader:
    """Reads images to predict or to rate as the run's own were.

    Args:
        options: The recipe's.
        shape: (height, width) that the model takes.
        scaling: Mean and standard deviation by channel, each of shape (channels, 1, 1); None for pixels as they are.
        names: What each class is called.
    """

    def __init__(
        self,
        options: Options,
        shape: tuple[int, int],
        scaling: tuple[Pixels, Pixels] | None,
        names: tuple[str, ...],
    ) -> None:
        self._options = options
        self._shape = shape
        self._scaling = scaling
        self._names = names

    def kept(self) -> KeptImages:
        """Return what a run keeps, so that the same reader can be had without the data."""
        scaling = None
        if self._scaling is not None:
            mean, deviation = (tuple(values.ravel().tolist()) for values in self._scaling)
            scaling = mean, deviation
        return KeptImages(
            options=to_table(self._options),
            height=self._shape[0],
            width=self._shape[1],
            scaling=scaling,
        )

    def stream(
        self, given: str | Path, *, identify: str | None = None, rated: bool = False, loaders: int = 0
    ) -> Iterator[Examples]:
        """Yield the examples; all in one part, whose images are decoded when they are needed if they are many."""
        if identify is not None:
            raise DataError("--id names a column of a table; images are known by their paths. Leave it out.")
        yield self(given, rated=rated, loaders=loaders)

    def __call__(self, given: str | Path, *, rated: bool = False, loaders: int = 0) -> Examples:
        """Return inputs and the files' names; sub-folders that are called as classes tell what is right.

        Of a folder an image that cannot be read, or has another size and none to be scaled to, is refused by itself.

        Raises:
            DataError: If there is none, or the only one is such.
        """
        path = expand_home(given, DataError, "--input")
        if path.is_dir():
            files = list_images(path)
            if not files:
                raise DataError(f"{shown(path)}: holds no image.")
        elif path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{shown(path)}: must be an image, ending in {', '.join(SUFFIXES)}, or a folder of images.")
        elif not path.exists():
            raise DataError(f"{shown(given)}{shown(expansion_of(given))}: there is no such file.")
        else:
            files = [path]
        notes: list[str] = []
        refused: dict[int, str] | None = {} if path.is_dir() else None
        inside = [file.relative_to(path) if path.is_dir() else Path(file.name) for file in files]
        inputs: Inputs
        if size_of(files, self._shape, self._options.colour) <= LARGE:
            images = read_all(files, self._options, ("the run's own", (0, *self._shape)), notes, refused)
            inputs = torch.from_numpy(scale(images, self._scaling))
        else:
            refused = self._look_through(files)
            inputs = self._rows([file for place, file in enumerate(files) if place not in refused], loaders)
        usable = [place for place in range(len(files)) if place not in (refused or {})]
        found = Examples(
            inputs=inputs,
            total=len(files),
            rows=torch.tensor(usable, dtype=torch.int64),
            refused=refused or {},
            names=[str(one) for one in inside],
            notes=first_notes(notes),
        )
        return self._with_targets(found, [one.parts[0] if len(one.parts) > 1 else "" for one in inside], path, rated)

    def _look_through(self, files: Sequence[Path]) -> dict[int, str]:
        """Return which images cannot be used, and why, without decoding those that end as they should."""
        be_quiet()
        refused: dict[int, str] = {}
        for place, file in enumerate(files):
            with refusing(refused, place):
                shape = look_at_image(file)
                if self._options.shape is None and shape != self._shape:
                    raise _other_size(file, shape, "the run's own", self._shape)
        return refused

    def _rows(self, files: Sequence[Path], loaders: int) -> Rows:
        """Return inputs that are decoded when they are needed."""
        options = self._options
        source = ImageSource(
            files, options.colour, self._shape, scales=options.shape is not None, reduced=options.reduced is True
        )
        source.scaling = self._scaling
        return Rows("images", Loaders(loaders, {"images": source}), source.shape, torch.float32, np.arange(len(files)))

    def part(self, part: Part, data: Data, seed: int) -> Examples:
        """Return the images of a part of the recipe's own folder now; those of no known class have no target."""
        parts = find_images(self._options)
        if part == "test":
            if parts.test is None:
                raise no_test("images", _NO_TEST)
            found = self(parts.test, loaders=data.loaders)
            return found if parts.test != parts.held_out else replace(found, notes=(*found.notes, LOOKED_AT))
        if parts.held_out is not None:
            return self(parts.held_out if part == "held_out" else parts.train, loaders=data.loaders)
        found = self(parts.train, loaders=data.loaders)
        order = torch.arange(len(found))
        return found.take(split(data, seed, order, order)[f"{part}_inputs"].tolist())

    def _with_targets(self, found: Examples, labels: list[str], path: Path, rated: bool) -> Examples:  # noqa: FBT001
        known = [number for number, place in enumerate(found.places()) if labels[place] in self._names]
        unknown = sorted({label for label in labels if label and label not in self._names})
        stray = labels.count("")
        if rated and (unknown or stray):
            what = (
                f"the run has learned no class {show_names(unknown)}"
                if unknown
                else f"{stray} image(s) lie in no sub-folder"
            )
            raise DataError(
                f"{shown(path)}: {what}. To be rated, each image must lie in the sub-folder of its class; the run's "
                f"are {show_names(self._names)}. To predict without comparing, use downslope predict."
            )
        note = f"images in folders that are not called as a class are not compared: {show_names(unknown)}"
        found = replace(found, notes=(*found.notes, note) if unknown else found.notes)
        if not known:
            return found
        usable = found.places()
        return replace(
            found,
            targets=torch.tensor([self._names.index(labels[usable[place]]) for place in known], dtype=torch.int64),
            known=torch.tensor(known, dtype=torch.int64),
        )


def _as_channels(values: tuple[float, ...]) -> Pixels:
    return np.array(values, dtype=np.float32)[:, np.newaxis, np.newaxis]


def find_images(options: Options) -> Parts:
    """Return where the images to learn from, to hold out and to test by are.

    Raises:
        DataError: If a folder is not there, or it is not certain which is which.
    """
    folder = find_folder(options.path, "path")
    test = None if options.test_path is None else find_folder(options.test_path, "test_path")
    if options.held_out_path is not None:
        if options.held_out_from is not None:
            raise DataError(
                f"data.options.held_out_from = {options.held_out_from!r} says which part of data.options.path is held "
                "out, and data.options.held_out_path names another folder. Give one."
            )
        return Parts(folder, find_folder(options.held_out_path, "held_out_path"), test)
    parts = find_parts(folder, split=options.split, held_out_from=options.held_out_from)
    if test is not None and parts.test is not None and parts.test != parts.held_out:
        raise DataError(
            f"data.options.test_path: {shown(parts.test)} is the test part of data.options.path already. Leave "
            "test_path out, or give the folder to learn from alone as path."
        )
    return parts if test is None else replace(parts, test=test)


def find_folder(given: str, key: str) -> Path:
    """Return the folder that an option gives."""
    folder = expand_home(given, DataError, f"data.options.{key}")
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "there is no such folder"
        raise DataError(
            f"data.options.{key} = '{shown(given)}'{shown(expansion_of(given))}: {what}.{from_here(folder)}"
        )
    return folder


def first_notes(notes: Sequence[str]) -> tuple[str, ...]:
    """Return the first notes, and how many more there are: a thousand photographs may have one fault."""
    more = len(notes) - _NOTES - 1
    return tuple(notes) if more <= 0 else (*notes[: _NOTES + 1], f"and {more:,} more such notes on images")


def read_all(
    files: Sequence[Path],
    options: Options,
    like: tuple[Path | str, tuple[int, ...]] | None,
    notes: list[str] | None = None,
    refused: dict[int, str] | None = None,
) -> Pixels:
    """Return images of shape (examples, channels, height, width), all of the size of the first, or of `like`.

    Those that cannot be used are left out, and noted in `refused`, by their place and with the reason, where it is
    given.
    """
    images: Any = None
    done = 0
    if options.shape is not None:
        _check_all(files, options.shape, options.colour)
    for place, file in enumerate(files):
        with nullcontext() if refused is None else refusing(refused, place):
            image = read_image(file, options.colour, options.shape, notes, reduced=options.reduced is True)
            if like is None:
                like = file, image.shape
            if image.shape[1:] != like[1][-2:]:
                raise _other_size(file, image.shape[1:], like[0], like[1][-2:])
        if refused is not None and place in refused:
            continue
        if images is None:
            _check_all(files, image.shape[1:], options.colour)
            images = np.empty((len(files), *image.shape), dtype=np.float32)
        images[done] = image
        done += 1
    if images is None:
        return np.empty((0, 1 if options.colour == "grey" else 3, *(like[1][-2:] if like else (0, 0))), np.float32)
    return images[:done]


@contextmanager
def refusing(refused: dict[int, str], place: int) -> Iterator[None]:
    """Within its ``with`` block, what is wrong with an image is noted of its place, and raises nothing."""
    try:
        yield
    except DataError as error:
        refused[place] = str(error).rstrip(".")


def _other_size(file: Path, shape: tuple[int, ...], like: Path | str, size: tuple[int, ...]) -> DataError:
    return DataError(
        f"{shown(file)}: is {shape[0]} pixels high and {shape[1]} wide; {shown(like)}, {size[0]} and {size[1]}. Set "
        "data.options.size = [height, width] to scale all of them to one size."
    )


def _check_all(files: Sequence[Path], shape: tuple[int, ...], colour: str) -> None:
    """Raise if all images would take more memory than data may."""
    height, width = shape
    check_memory(
        shown(files[0].parent),
        size_of(files, (height, width), colour),
        f"for {len(files):,} images {height:,} pixels high and {width:,} wide",
    )


def size_of(files: Sequence[Path], shape: tuple[int, int], colour: str) -> int:
    """Return how many bytes images take in memory."""
    return len(files) * (1 if colour == "grey" else 3) * shape[0] * shape[1] * _BYTES


def scale(images: Pixels, scaling: tuple[Pixels, Pixels] | None) -> Pixels:
    """Return images with each channel scaled, or as they are."""
    return images if scaling is None else (images - scaling[0]) / scaling[1]
