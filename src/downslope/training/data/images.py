"""A folder of images of a person's own, by path: one sub-folder for each class.

What lives here: the options, which folders are classes and which are parts, and reading further images for
predictions. What does not: a single image (`image_files.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from downslope.core.errors import DataError, did_you_mean
from downslope.core.paths import expand_home, expansion_of, from_here
from downslope.core.shown import shown
from downslope.training.data.checking import at, check, split
from downslope.training.data.dataset import Dataset, Examples
from downslope.training.data.image_files import SUFFIXES, Pixels, list_images, read_image, sorted_entries
from downslope.training.data.kept import KeptImages, plain_options
from downslope.training.data.labels import check_classes, order_classes, show_names
from downslope.training.options import read_options

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe

TRAIN = "train"
HELD_OUT = ("held_out", "test", "val", "valid", "validation")
"""Sub-folders that bring a split of their own."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How images are read.

    Attributes:
        path: The folder, relative to the current directory: a sub-folder for each class; or `train` and `held_out` (or
            `test`, `val`, `valid`, `validation`), each with a sub-folder for each class.
        size: (height, width) that every image is scaled to; None if they are all of one size.
        colour: "rgb" or "grey".
        standardize: Whether each channel gets mean 0 and standard deviation 1, those of the examples to learn from;
            otherwise pixels go from 0 to 1.
    """

    path: str
    size: tuple[int, ...] | None = None
    colour: Literal["rgb", "grey"] = "rgb"
    standardize: bool = False

    def __post_init__(self) -> None:
        """Check what needs no file."""
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
    folder = expand_home(options.path, DataError, "data.options.path")
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "there is no such folder"
        raise DataError(f"data.options.path = {options.path!r}{expansion_of(options.path)}: {what}.{from_here(folder)}")
    parts = _find_parts(folder)
    names, files, labels = _list_classes(parts[0])
    train_images = _read_all(files, options, None)
    if len(parts) == 2:
        held_names, held_files, held_labels = _list_classes(parts[1])
        unknown = [name for name in held_names if name not in names]
        if unknown:
            raise DataError(
                f"{parts[1] / unknown[0]}: there is no such class in {parts[0]} to learn from."
                f"{did_you_mean(unknown[0], names)} There are {show_names(names)}."
            )
        held_labels = np.array([names.index(held_names[label]) for label in held_labels])
        table: dict[str, Any] = {
            "train_inputs": train_images,
            "train_targets": labels,
            "held_out_inputs": _read_all(held_files, options, (files[0], train_images.shape[1:])),
            "held_out_targets": held_labels,
        }
    else:
        table = dict(split(recipe, torch.from_numpy(train_images), torch.from_numpy(labels)))
        table = {part: tensor.numpy() for part, tensor in table.items()}
    check_classes(names, table["train_targets"], at(recipe, f"the classes of {parts[0]}"))
    scaling = _learn_scaling(table["train_inputs"]) if options.standardize else None
    for part in ("train_inputs", "held_out_inputs"):
        table[part] = _scale(table[part], scaling)
    height, width = train_images.shape[2:]
    dataset = check(
        recipe,
        {**table, "classes": len(names)},
        image_shape=(height, width) if options.colour == "grey" else None,
    )
    resized = replace(options, size=(height, width) if options.size else None)
    reader = ImageReader(resized, (height, width), scaling, names)
    return replace(dataset, class_names=names, reader=reader)


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
        """Take all of them."""
        self._options = options
        self._shape = shape
        self._scaling = scaling
        self._names = names

    def kept(self) -> KeptImages:
        """Return what a run keeps, so that `restore_image_reader` gives the same reader."""
        scaling = self._scaling
        return KeptImages(
            options=plain_options(self._options),
            height=self._shape[0],
            width=self._shape[1],
            scaling=None if scaling is None else (_channels(scaling[0]), _channels(scaling[1])),
        )

    def __call__(self, given: str | Path, *, identify: str | None = None, rated: bool = False) -> Examples:
        """Return inputs and the files' names; sub-folders that are called as classes tell what is right.

        Args:
            given: An image, or a folder of them.
            identify: Must be None: an image is known by its path.
            rated: Whether each must lie in the folder of its class.

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
            raise DataError(f"{shown(given)}{expansion_of(given)}: there is no such file.")
        else:
            files = [path]
        images = _read_all(files, self._options, ("the run's own", (0, *self._shape)))
        inside = [file.relative_to(path) if path.is_dir() else Path(file.name) for file in files]
        found = Examples(inputs=torch.from_numpy(_scale(images, self._scaling)), names=[str(one) for one in inside])
        return self._with_targets(found, [one.parts[0] if len(one.parts) > 1 else "" for one in inside], path, rated)

    def held_out(self, recipe: Recipe) -> Examples:
        """Return the images that the recipe's own folder holds out now; those of no known class have no target."""
        folder = expand_home(self._options.path, DataError, "data.options.path")
        if not folder.is_dir():
            raise DataError(f"data.options.path = {shown(self._options.path)!r}: there is no such folder.")
        parts = _find_parts(folder)
        found = self(parts[-1])
        if len(parts) == 2:
            return found
        order = torch.arange(len(found))
        return found.take(split(recipe, order, order)["held_out_inputs"].tolist())

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
        found = replace(found, notes=(note,) if unknown else ())
        if not known:
            return found
        return replace(
            found,
            targets=torch.tensor([self._names.index(labels[place]) for place in known], dtype=torch.int64),
            known=torch.tensor(known, dtype=torch.int64),
        )


def restore_image_reader(kept: KeptImages, names: tuple[str, ...]) -> ImageReader:
    """Return the reader that a run kept.

    Args:
        kept: What `ImageReader.kept` returned.
        names: What each class is called.
    """
    options: Options = read_options(Options, kept.options, "data")
    scaling = None if kept.scaling is None else (_as_channels(kept.scaling[0]), _as_channels(kept.scaling[1]))
    return ImageReader(options, (kept.height, kept.width), scaling, names)


def _channels(values: Pixels) -> tuple[float, ...]:
    return tuple(values.ravel().tolist())


def _as_channels(values: tuple[float, ...]) -> Pixels:
    return np.array(values, dtype=np.float32)[:, np.newaxis, np.newaxis]


def _find_parts(folder: Path) -> list[Path]:
    """Return the one folder of classes, or that to learn from and that held out."""
    inside = [entry for entry in sorted_entries(folder) if entry.is_dir()]
    names = [entry.name for entry in inside]
    held_out = [name for name in HELD_OUT if name in names]
    if TRAIN not in names or not held_out:
        return [folder]
    others = [name for name in names if name not in {TRAIN, held_out[0]}]
    if others:
        raise DataError(
            f"{folder}: has `{TRAIN}` and `{held_out[0]}`, which bring a split, but also {show_names(others)}. Remove "
            "what is no part, or give the folder of the classes alone."
        )
    return [folder / TRAIN, folder / held_out[0]]


def _list_classes(folder: Path) -> tuple[tuple[str, ...], list[Path], Any]:
    """Return the classes' names, all images, and the index of each image's class."""
    entries = sorted_entries(folder)
    stray = [entry for entry in entries if not entry.is_dir() and entry.suffix.lower() in SUFFIXES]
    if stray:
        raise DataError(
            f"{stray[0]}: an image must lie in the folder of its class, as in {folder}/CLASS/{stray[0].name}."
        )
    names = order_classes(entry.name for entry in entries if entry.is_dir())
    if not names:
        raise DataError(f"{folder}: has no sub-folder; each class is one, as in {folder}/cat/1.png.")
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        found = list_images(folder / name)
        if not found:
            raise DataError(f"{folder / name}: holds no image. Add some, or remove the class.")
        files += found
        labels += [label] * len(found)
    return names, files, np.array(labels, dtype=np.int64)


def _read_all(files: Sequence[Path], options: Options, like: tuple[Path | str, tuple[int, ...]] | None) -> Pixels:
    """Return images of shape (examples, channels, height, width), all of the size of the first, or of `like`."""
    images: list[Pixels] = []
    for file in files:
        image = read_image(file, options.colour, options.shape)
        if like is None:
            like = file, image.shape
        if image.shape[1:] != like[1][-2:]:
            raise DataError(
                f"{file}: is {image.shape[1]} pixels high and {image.shape[2]} wide; {like[0]}, {like[1][-2]} and "
                f"{like[1][-1]}. Set data.options.size = [height, width] to scale all of them to one size."
            )
        images.append(image)
    return np.stack(images)


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
