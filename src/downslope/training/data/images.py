"""A folder of images of a person's own, by path: one sub-folder for each class.

Which sub-folders are classes and which are parts is decided in `image_parts.py`; a single image is read by
`image_files.py`, further ones by `image_reader.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from downslope.core.errors import DataError, did_you_mean
from downslope.core.shown import shown
from downslope.training.data.checking import check, place_of, split, split_rows
from downslope.training.data.class_names import check_classes, order_classes, show_names
from downslope.training.data.dataset import LARGE, PARTS, Dataset, Marks
from downslope.training.data.image_files import SUFFIXES, Pixels, list_images, look_at_image, sorted_entries
from downslope.training.data.image_parts import Parts
from downslope.training.data.image_reader import (
    ImageReader,
    Options,
    find_images,
    first_notes,
    read_all,
    scale,
    size_of,
)
from downslope.training.data.image_rows import ImageSource, fingerprint, learn_scaling, look_through
from downslope.training.data.loaders import Loaders
from downslope.training.data.rows import Rows
from downslope.training.user_code import read_options

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe


def load(recipe: Recipe) -> Dataset:
    """Return the images of a folder: inputs of shape (examples, channels, height, width).

    Raises:
        RecipeError: If an option is unknown, missing or outside its range.
        DataError: If the folder does not hold what it should, or an image cannot be read; the message names it.
        MissingDependencyError: If Pillow is not installed.
    """
    options = read_options(Options, recipe.data.options, "data")
    parts = find_images(options)
    notes = [parts.note] if parts.note else []
    names, files, labels = _list_classes(parts.train)
    shape = options.shape or look_at_image(files[0], whole=True)
    is_held = size_of(files, shape, options.colour) <= LARGE if recipe.data.in_memory is None else recipe.data.in_memory
    if not is_held:
        return _read_when_needed(recipe, options, shape, parts, (names, files, labels), notes)
    train_images = read_all(files, options, None, notes)
    held_files: list[Path] = []
    if parts.held_out is not None:
        held_files, held_labels = _list_held_out(parts.held_out, parts.train, names)
        table: dict[str, Any] = {
            "train_inputs": train_images,
            "train_targets": labels,
            "held_out_inputs": read_all(held_files, options, (files[0], train_images.shape[1:]), notes),
            "held_out_targets": held_labels,
        }
    else:
        table = dict(split(recipe.data, recipe.seed, torch.from_numpy(train_images), torch.from_numpy(labels)))
        table = {part: table[part].numpy() for part in PARTS}
    check_classes(names, table["train_targets"], f"{place_of(recipe.data.name)}: the classes of {shown(parts.train)}")
    scaling = _learn_scaling(table["train_inputs"]) if options.standardize else None
    for part in ("train_inputs", "held_out_inputs"):
        table[part] = scale(table[part], scaling)
    height, width = train_images.shape[2:]
    dataset = check(
        recipe.data.name,
        recipe.train.loss,
        {**table, "classes": len(names)},
        image_shape=(height, width) if options.colour == "grey" else None,
    )
    resized = replace(options, size=(height, width) if options.size else None)
    reader = ImageReader(resized, (height, width), scaling, names)
    marks = _marks(recipe, parts, files, held_files)
    return replace(dataset, class_names=names, reader=reader, marks=marks, notes=first_notes(notes))


def _marks(recipe: Recipe, parts: Parts, files: Sequence[Path], held_files: Sequence[Path]) -> Callable[[Any], Marks]:
    """Return what tells images apart: their paths, and where a part of them was held out which of all they are."""

    def marks(part: Literal["train", "held_out"]) -> Marks:
        if parts.held_out is not None:
            folder, some = (parts.train, files) if part == "train" else (parts.held_out, held_files)
            return Marks(names=[str(file.relative_to(folder)) for file in some])
        index = split_rows(recipe.data, recipe.seed, len(files))[part]
        return Marks(index=index, names=[str(files[row].relative_to(parts.train)) for row in index.tolist()])

    return marks


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
        marks=_marks(recipe, parts, files, held_files),
        reader=ImageReader(options, shape, source.scaling, names),
        input_range=(low, high),
        notes=first_notes(notes),
        checksum=fingerprint(folders, names, how, source.scaling),
    )


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


def _learn_scaling(images: Pixels) -> tuple[Pixels, Pixels]:
    mean = images.mean(axis=(0, 2, 3), dtype=np.float64).astype(np.float32)
    deviation = images.std(axis=(0, 2, 3), dtype=np.float64).astype(np.float32)
    if (deviation == 0).any():
        raise DataError(
            f"data.options.standardize: channel {int(np.argmin(deviation))} is the same everywhere in the images to "
            "learn from. Leave standardize off."
        )
    return mean[:, np.newaxis, np.newaxis], deviation[:, np.newaxis, np.newaxis]
