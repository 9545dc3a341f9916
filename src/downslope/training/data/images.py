"""A folder of images of a person's own, by path: one sub-folder for each class.

Which sub-folders are classes and which are parts is decided in `image_parts.py`; a single image is read by
`image_files.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import torch

from downslope.core.errors import DataError, did_you_mean
from downslope.core.paths import expand_home, expansion_of, from_here
from downslope.core.shown import shown
from downslope.core.tables import to_table
from downslope.recipe.schema import Data
from downslope.training.data.checking import check, no_test, place_of, split
from downslope.training.data.class_names import check_classes, order_classes, show_names
from downslope.training.data.dataset import LARGE, Dataset, Examples, Part
from downslope.training.data.image_files import SUFFIXES, Pixels, list_images, look_at_image, read_image, sorted_entries
from downslope.training.data.image_parts import Parts, find_parts
from downslope.training.data.image_rows import ImageSource, fingerprint, learn_scaling, look_through
from downslope.training.data.loaders import Loaders
from downslope.training.data.numpy_files import check_memory
from downslope.training.data.part_names import LOOKED_AT
from downslope.training.data.rows import Inputs, Rows
from downslope.training.user_code import read_options

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe

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


def load(recipe: Recipe) -> Dataset:
    """Return the images of a folder: inputs of shape (examples, channels, height, width).

    Raises:
        RecipeError: If an option is unknown, missing or outside its range.
        DataError: If the folder does not hold what it should, or an image cannot be read; the message names it.
        MissingDependencyError: If Pillow is not installed.
    """
    options = read_options(Options, recipe.data.options, "data")
    parts = _find(options)
    notes = [parts.note] if parts.note else []
    names, files, labels = _list_classes(parts.train)
    shape = options.shape or look_at_image(files[0], whole=True)
    is_held = (
        _size_of(files, shape, options.colour) <= LARGE if recipe.data.in_memory is None else recipe.data.in_memory
    )
    if not is_held:
        return _read_when_needed(recipe, options, shape, parts, (names, files, labels), notes)
    train_images = _read_all(files, options, None, notes)
    if parts.held_out is not None:
        held_files, held_labels = _list_held_out(parts.held_out, parts.train, names)
        table: dict[str, Any] = {
            "train_inputs": train_images,
            "train_targets": labels,
            "held_out_inputs": _read_all(held_files, options, (files[0], train_images.shape[1:]), notes),
            "held_out_targets": held_labels,
        }
    else:
        table = dict(split(recipe.data, recipe.seed, torch.from_numpy(train_images), torch.from_numpy(labels)))
        table = {part: tensor.numpy() for part, tensor in table.items()}
    check_classes(names, table["train_targets"], f"{place_of(recipe.data.name)}: the classes of {shown(parts.train)}")
    scaling = _learn_scaling(table["train_inputs"]) if options.standardize else None
    for part in ("train_inputs", "held_out_inputs"):
        table[part] = _scale(table[part], scaling)
    height, width = train_images.shape[2:]
    dataset = check(
        recipe.data.name,
        recipe.train.loss,
        {**table, "classes": len(names)},
        image_shape=(height, width) if options.colour == "grey" else None,
    )
    resized = replace(options, size=(height, width) if options.size else None)
    reader = ImageReader(resized, (height, width), scaling, names)
    return replace(dataset, class_names=names, reader=reader, notes=_first(notes))


def _find(options: Options) -> Parts:
    """Return where the images to learn from, to hold out and to test by are."""
    folder = _find_folder(options.path, "path")
    test = None if options.test_path is None else _find_folder(options.test_path, "test_path")
    if options.held_out_path is not None:
        if options.held_out_from is not None:
            raise DataError(
                f"data.options.held_out_from = {options.held_out_from!r} says which part of data.options.path is held "
                "out, and data.options.held_out_path names another folder. Give one."
            )
        return Parts(folder, _find_folder(options.held_out_path, "held_out_path"), test)
    parts = find_parts(folder, split=options.split, held_out_from=options.held_out_from)
    if test is not None and parts.test is not None and parts.test != parts.held_out:
        raise DataError(
            f"data.options.test_path: {shown(parts.test)} is the test part of data.options.path already. Leave "
            "test_path out, or give the folder to learn from alone as path."
        )
    return parts if test is None else replace(parts, test=test)


def _list_held_out(folder: Path, train: Path, names: Sequence[str]) -> tuple[list[Path], Any]:
    """Return all images held out and the index of each one's class among those to learn from."""
    held_names, files, labels = _list_classes(folder)
    known = {name: number for number, name in enumerate(names)}
    unknown = [name for name in held_names if name not in known]
    if unknown:
        raise DataError(
            f"{shown(folder / unknown[0])}: there is no such class in {shown(train)} to learn from."
            f"{did_you_mean(unknown[0], names)} There are {show_names(names)}."
        )
    return files, np.array([known[held_names[label]] for label in labels])


def _read_when_needed(
    recipe: Recipe,
    options: Options,
    shape: tuple[int, int],
    parts: Parts,
    listed: tuple[tuple[str, ...], list[Path], Any],
    notes: list[str],
) -> Dataset:
    """Return the images of a folder, each of which is decoded when a step needs it."""
    data = recipe.data
    names, files, labels = listed
    options = replace(options, reduced=options.reduced is not False)
    held_files, held_labels = [], None
    if parts.held_out is not None:
        held_files, held_labels = _list_held_out(parts.held_out, parts.train, names)
    if options.scan != "off":
        look_through([*files, *held_files], options.shape, whole=options.scan == "pixels")
    source = ImageSource(
        [*files, *held_files], options.colour, shape, scales=options.shape is not None, reduced=options.reduced is True
    )
    loaders = Loaders(data.loaders, {"images": source}, timeout=data.loader_timeout)
    rows = Rows("images", loaders, source.shape, torch.float32, np.arange(len(source)))
    count = torch.arange(len(files))
    if held_labels is None:
        table: dict[str, Any] = split(data, recipe.seed, rows, torch.from_numpy(labels))
    else:
        table = {
            "train_inputs": rows[count],
            "train_targets": labels,
            "held_out_inputs": rows[torch.arange(len(files), len(source))],
            "held_out_targets": held_labels,
        }
    check_classes(names, table["train_targets"], f"{place_of(data.name)}: the classes of {shown(parts.train)}")
    source.scaling = learn_scaling(table["train_inputs"]) if options.standardize else None
    by = f"by {data.loaders} thread(s)" if data.loaders else "in the training process"
    notes.append(f"each of the {len(source):,} images is decoded when it is needed, {by}")
    dataset = check(
        data.name,
        recipe.train.loss,
        {**table, "classes": len(names)},
        image_shape=shape if options.colour == "grey" else None,
    )
    low, high = 0.0, 1.0
    if source.scaling is not None:
        mean, deviation = source.scaling
        low, high = float((-mean / deviation).min()), float(((1 - mean) / deviation).max())
    folders = {parts.train: files} if parts.held_out is None else {parts.train: files, parts.held_out: held_files}
    how = repr((options.size, options.colour, options.standardize, options.reduced))
    return replace(
        dataset,
        class_names=names,
        reader=ImageReader(options, shape, source.scaling, names),
        input_range=(low, high),
        notes=_first(notes),
        checksum=fingerprint(folders, names, how, source.scaling),
    )


def _find_folder(given: str, key: str) -> Path:
    folder = expand_home(given, DataError, f"data.options.{key}")
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "there is no such folder"
        raise DataError(
            f"data.options.{key} = '{shown(given)}'{shown(expansion_of(given))}: {what}.{from_here(folder)}"
        )
    return folder


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

    def __call__(self, given: str | Path, *, identify: str | None = None, rated: bool = False) -> Examples:
        """Return inputs and the files' names; sub-folders that are called as classes tell what is right.

        Raises:
            DataError: If there is none, or it cannot be read, or has another size and none to be scaled to.
        """
        if identify is not None:
            raise DataError("--id names a column of a table; images are known by their paths. Leave it out.")
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
        inside = [file.relative_to(path) if path.is_dir() else Path(file.name) for file in files]
        inputs: Inputs
        if _size_of(files, self._shape, self._options.colour) <= LARGE:
            images = _read_all(files, self._options, ("the run's own", (0, *self._shape)), notes)
            inputs = torch.from_numpy(_scale(images, self._scaling))
        else:
            inputs = self._rows(files)
        found = Examples(
            inputs=inputs,
            names=[str(one) for one in inside],
            notes=_first(notes),
        )
        return self._with_targets(found, [one.parts[0] if len(one.parts) > 1 else "" for one in inside], path, rated)

    def _rows(self, files: Sequence[Path]) -> Rows:
        """Return inputs that are decoded when they are needed."""
        options = self._options
        source = ImageSource(
            files, options.colour, self._shape, scales=options.shape is not None, reduced=options.reduced is True
        )
        source.scaling = self._scaling
        return Rows("images", Loaders(0, {"images": source}), source.shape, torch.float32, np.arange(len(files)))

    def part(self, part: Part, data: Data, seed: int) -> Examples:
        """Return the images of a part of the recipe's own folder now; those of no known class have no target."""
        parts = _find(self._options)
        if part == "test":
            if parts.test is None:
                raise no_test("images", _NO_TEST)
            found = self(parts.test)
            return found if parts.test != parts.held_out else replace(found, notes=(*found.notes, LOOKED_AT))
        if parts.held_out is not None:
            return self(parts.held_out if part == "held_out" else parts.train)
        found = self(parts.train)
        order = torch.arange(len(found))
        return found.take(split(data, seed, order, order)[f"{part}_inputs"].tolist())

    def _with_targets(self, found: Examples, labels: list[str], path: Path, rated: bool) -> Examples:  # noqa: FBT001
        known = [place for place, label in enumerate(labels) if label in self._names]
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
        return replace(
            found,
            targets=torch.tensor([self._names.index(labels[place]) for place in known], dtype=torch.int64),
            known=torch.tensor(known, dtype=torch.int64),
        )


def _as_channels(values: tuple[float, ...]) -> Pixels:
    return np.array(values, dtype=np.float32)[:, np.newaxis, np.newaxis]


def _first(notes: Sequence[str]) -> tuple[str, ...]:
    """Return the first notes, and how many more there are: a thousand photographs may have one fault."""
    more = len(notes) - _NOTES - 1
    return tuple(notes) if more <= 0 else (*notes[: _NOTES + 1], f"and {more:,} more such notes on images")


def _list_classes(folder: Path) -> tuple[tuple[str, ...], list[Path], Any]:
    """Return the classes' names, all images, and the index of each image's class."""
    entries = sorted_entries(folder)
    stray = [entry for entry in entries if not entry.is_dir() and entry.suffix.lower() in SUFFIXES]
    if stray:
        raise DataError(
            f"{shown(stray[0])}: an image must lie in the folder of its class, as in "
            f"{shown(folder)}/CLASS/{shown(stray[0].name)}."
        )
    names = order_classes(entry.name for entry in entries if entry.is_dir())
    if not names:
        raise DataError(f"{shown(folder)}: has no sub-folder; each class is one, as in {shown(folder)}/cat/1.png.")
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        found = list_images(folder / name)
        if not found:
            raise DataError(f"{shown(folder / name)}: holds no image. Add some, or remove the class.")
        files += found
        labels += [label] * len(found)
    return names, files, np.array(labels, dtype=np.int64)


def _read_all(
    files: Sequence[Path],
    options: Options,
    like: tuple[Path | str, tuple[int, ...]] | None,
    notes: list[str] | None = None,
) -> Pixels:
    """Return images of shape (examples, channels, height, width), all of the size of the first, or of `like`."""
    images: Any = None
    if options.shape is not None:
        _check_all(files, options.shape, options.colour)
    for number, file in enumerate(files):
        image = read_image(file, options.colour, options.shape, notes, reduced=options.reduced is True)
        if like is None:
            like = file, image.shape
        if image.shape[1:] != like[1][-2:]:
            raise DataError(
                f"{shown(file)}: is {image.shape[1]} pixels high and {image.shape[2]} wide; {shown(like[0])}, "
                f"{like[1][-2]} and {like[1][-1]}. Set data.options.size = [height, width] to scale all of them to one "
                "size."
            )
        if images is None:
            _check_all(files, image.shape[1:], options.colour)
            images = np.empty((len(files), *image.shape), dtype=np.float32)
        images[number] = image
    return images


def _check_all(files: Sequence[Path], shape: tuple[int, ...], colour: str) -> None:
    """Raise if all images would take more memory than data may."""
    height, width = shape
    check_memory(
        shown(files[0].parent),
        _size_of(files, (height, width), colour),
        f"for {len(files):,} images {height:,} pixels high and {width:,} wide",
    )


def _size_of(files: Sequence[Path], shape: tuple[int, int], colour: str) -> int:
    """Return how many bytes images take in memory."""
    return len(files) * (1 if colour == "grey" else 3) * shape[0] * shape[1] * _BYTES


def _learn_scaling(images: Pixels) -> tuple[Pixels, Pixels]:
    mean = images.mean(axis=(0, 2, 3), dtype=np.float64).astype(np.float32)
    deviation = images.std(axis=(0, 2, 3), dtype=np.float64).astype(np.float32)
    if (deviation == 0).any():
        raise DataError(
            f"data.options.standardize: channel {int(np.argmin(deviation))} is the same everywhere in the images to "
            "learn from. Leave standardize off."
        )
    return mean[:, np.newaxis, np.newaxis], deviation[:, np.newaxis, np.newaxis]


def _scale(images: Pixels, scaling: tuple[Pixels, Pixels] | None) -> Pixels:
    return images if scaling is None else (images - scaling[0]) / scaling[1]
