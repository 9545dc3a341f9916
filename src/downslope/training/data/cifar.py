"""CIFAR-10 and CIFAR-100 by path, in their binary version: images of 32x32 pixels in three channels.

References:
    A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html
    says how the files are written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from downslope.core.errors import DataError
from downslope.core.files import MIB, open_regular, read_text
from downslope.core.shown import shown
from downslope.training.data.array_sources import ArrayOptions, InputKind, Layout, RawExamples, find_path
from downslope.training.data.class_names import show_names
from downslope.training.data.image_files import sorted_entries
from downslope.training.data.numpy_files import Array, check_memory
from downslope.training.data.part_names import Kind

_PIXELS = 3 * 32 * 32
_BATCHES, _EACH = 5, 10_000


@dataclass(frozen=True, kw_only=True)
class Options10(ArrayOptions):
    """Options of "cifar10": the table ``[data.options]``.

    Attributes:
        path: The folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin, or one that holds it; relative to
            the current directory.
    """

    path: str


@dataclass(frozen=True, kw_only=True)
class Options100(ArrayOptions):
    """Options of "cifar100": the table ``[data.options]``.

    Attributes:
        path: The folder with train.bin and test.bin, or one that holds it; relative to the current directory.
        labels: Which of an image's two labels is learned: the "fine" one, of 100 classes, or the "coarse" one, of 20.
    """

    path: str
    labels: Literal["fine", "coarse"] = "fine"


@dataclass(frozen=True)
class _Form:
    """How the files of one of the two are written.

    Attributes:
        title: What people call the set.
        folder: What its folder is called as it is unpacked.
        label: Which byte of a record is the label.
        labels: How many bytes of labels a record begins with.
        classes: How many classes there are.
        names: The file of their names.
        train: The files to learn from.
        test: The file to test by.
        pickled: How files of the Python version are called.
    """

    title: str
    folder: str
    label: int
    labels: int
    classes: int
    names: str
    train: tuple[str, ...]
    test: str
    pickled: re.Pattern[str]


def _form(options: Options10 | Options100) -> _Form:
    if isinstance(options, Options10):
        train = tuple(f"data_batch_{number}.bin" for number in range(1, _BATCHES + 1))
        pickled = re.compile(r"data_batch_\d|test_batch|batches\.meta|cifar-10-batches-py|cifar-10-python\..*")
        return _Form("CIFAR-10", "cifar-10-batches-bin", 0, 1, 10, "batches.meta.txt", train, "test_batch.bin", pickled)
    fine = options.labels == "fine"
    names = "fine_label_names.txt" if fine else "coarse_label_names.txt"
    pickled = re.compile(r"train|test|meta|cifar-100-python.*")
    return _Form(
        "CIFAR-100", "cifar-100-binary", int(fine), 2, 100 if fine else 20, names, ("train.bin",), "test.bin", pickled
    )


class CifarSource:
    """The files of CIFAR, as `ArraySource` says."""

    def __init__(self, options: Options10 | Options100) -> None:
        self._form = form = _form(options)
        self._folder = folder = _find_folder(find_path(options.path, folder=True), form)
        self.place = shown(folder)
        self.classes: int | None = form.classes
        self.layout: Layout | None = "chw"
        self.kind: InputKind | None = "pixels"
        there = [name for name in form.train if (folder / name).exists()]
        missing = [name for name in form.train if name not in there]
        if missing and (not there or form.train.index(missing[0]) < len(there)):
            raise DataError(
                f"{self.place}: lacks {shown(missing[0])}, a part of {form.title} to learn from. Was it unpacked whole?"
            )
        self._train = there
        self.parts: Mapping[Kind, str] = {"train": there[0] if len(there) == 1 else f"{there[0]}, ..."}
        self.class_names, notes = _read_names(folder, form)
        if (folder / form.test).exists():
            self.parts = {**self.parts, "test": form.test}
        else:
            notes.append(f"there is no {form.test} in {self.place}: data.held_out of the other images are held out")
        self.notes: tuple[str, ...] = (*self._counts(missing), *notes)

    def read(self, part: Kind) -> RawExamples:
        """Return the examples of a part."""
        files = [self._form.test] if part == "test" else self._train
        found = [_read(self._folder / name, self._form) for name in files]
        if len(found) == 1:
            return found[0]
        images, labels = (np.concatenate([getattr(one, key) for one in found]) for key in ("inputs", "targets"))
        return RawExamples(images, self.place, labels, self.place)

    def _counts(self, missing: list[str]) -> list[str]:
        """Return a note where there are fewer images to learn from than were published."""
        sizes = [(self._folder / name).stat().st_size for name in self._train]
        found, published = sum(sizes) // (self._form.labels + _PIXELS), _BATCHES * _EACH
        if found == published:
            return []
        lacks = f"; {', '.join(missing)} not there" if missing else ""
        return [f"{self.place} holds {found:,} images to learn from; {self._form.title} has {published:,}{lacks}"]


def read_further(path: Path, options: Options10 | Options100) -> RawExamples | None:
    """Return the examples of a further file of such records, or None if it is another file."""
    return _read(path, _form(options)) if path.suffix.lower() == ".bin" else None


def _read(path: Path, form: _Form) -> RawExamples:
    place, record = shown(path), form.labels + _PIXELS
    try:
        with open_regular(path, DataError) as file:
            size = os.fstat(file.fileno()).st_size
            check_memory(place, 4 * size, "for its images")
            data = file.read(size)
    except OSError as error:
        raise DataError(f"{place}: cannot be read: {error.strerror or error}.") from None
    if not data or len(data) % record:
        raise DataError(
            f"{place}: has {len(data):,} bytes, no whole number of {form.title}'s records of {record:,}: {form.labels} "
            f"for its label(s) and {_PIXELS:,} for its pixels. It is truncated, or another file."
        )
    table: Array = np.frombuffer(data, dtype=np.uint8).reshape(-1, record)
    labels = table[:, form.label]
    bad = np.flatnonzero(labels >= form.classes)
    if len(bad):
        raise DataError(
            f"{place}, record {int(bad[0])}: its label is {int(labels[bad[0]])}; {form.title}'s go from 0 to "
            f"{form.classes - 1}. The file is damaged, or another one."
        )
    return RawExamples(table[:, form.labels :].reshape(-1, 3, 32, 32), place, labels, place)


def _find_folder(folder: Path, form: _Form) -> Path:
    """Return the folder with the files: that given, or the one in it that is called as it is unpacked.

    Raises:
        DataError: If neither holds them; of the Python version why it is not read.
    """
    for place in (folder, folder / form.folder):
        if any((place / name).exists() for name in (*form.train, form.test)):
            return place
    entries = sorted_entries(folder)
    pickled = [
        entry.name
        for entry in entries
        if form.pickled.fullmatch(entry.name) and (entry.is_file() or entry.name.startswith("cifar"))
    ]
    binary = f"{form.title}'s binary version, from the page that has the Python version too, unpacks to {form.folder}"
    if pickled:
        raise DataError(
            f"{shown(folder)}: {show_names(pickled, most=3)} is of {form.title}'s Python version: pickles, which can "
            f"run any program when they are read, and so are not read. Take the binary version: {binary}, with "
            f"{form.train[0]} and {form.test}. Nothing is downloaded here."
        )
    archives = [entry.name for entry in entries if entry.name.endswith((".tar.gz", ".tgz", ".zip"))]
    if archives:
        raise DataError(f"{shown(folder)}: holds {show_names(archives)}, packed. Unpack the binary version: {binary}.")
    raise DataError(
        f"{shown(folder)}: holds no {form.title} in the binary version: neither {form.train[0]} and {form.test} nor a "
        f"folder {form.folder} with them. {binary[0].upper()}{binary[1:]}. Nothing is downloaded here."
    )


def _read_names(folder: Path, form: _Form) -> tuple[tuple[str, ...], list[str]]:
    """Return what classes are called, and a note where the file that says so is not there."""
    path = folder / form.names
    try:
        names = tuple(line.strip() for line in read_text(path, DataError, limit=MIB).splitlines() if line.strip())
    except FileNotFoundError:
        return (), [f"there is no {form.names} in {shown(folder)}: classes have numbers in place of names"]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{shown(path)}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(names) != form.classes or len(set(names)) < len(names):
        raise DataError(f"{shown(path)}: must hold the names of {form.classes} classes, a line each; got {len(names)}.")
    return names, []
