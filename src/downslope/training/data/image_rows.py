"""Images of a folder that are decoded when they are needed: read by threads, looked at before, told apart later."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.data.dataset import lazy_checksum
from downslope.training.data.image_files import Colour, Pixels, be_quiet, look_at_image, read_image_into
from downslope.training.data.rows import Read, Rows, Source, Watch

_LISTED = 10
"""How many damaged files are named at once."""

Scaling = tuple[Pixels, Pixels]


class ImageSource(Source):
    """Images by path; each is decoded when it is asked for.

    Args:
        files: The images.
        colour: "grey" or "rgb".
        shape: (height, width) of an input.
        scales: Whether images are scaled to that; otherwise they must have it.
        reduced: Whether a JPEG may be decoded at a reduced scale.

    Attributes:
        scaling: Mean and deviation of each channel, once they are known; None for pixels from 0 to 1.
    """

    def __init__(
        self, files: Sequence[Path], colour: Colour, shape: tuple[int, int], *, scales: bool, reduced: bool
    ) -> None:
        """Read nothing yet."""
        self._files = [str(file) for file in files]  # a million paths as objects take a gigabyte
        self._colour: Colour = colour
        self._size = shape if scales else None
        self._reduced = reduced
        self.shape = (1 if colour == "grey" else 3, *shape)
        self.scaling: Scaling | None = None
        be_quiet()

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self._files)

    def describe(self, index: int) -> str:
        """Return an image's path."""
        return shown(self._files[index])

    def read(self, indices: Sequence[int], epoch: int, watch: Watch) -> Read:
        """Return inputs of shape (images, channels, height, width)."""
        inputs = np.empty((len(indices), *self.shape), dtype=np.float32)
        for place, index in enumerate(indices):
            watch(index)
            path = Path(self._files[index])
            try:
                read_image_into(inputs[place], path, self._colour, self._size, reduced=self._reduced)
            except OSError as error:
                raise DataError(f"{shown(path)}: cannot be read: {error.strerror or error}.") from None
        if self.scaling is not None:
            inputs = (inputs - self.scaling[0]) / self.scaling[1]
        return Read(torch.from_numpy(inputs))


def look_through(files: Sequence[Path], size: tuple[int, int] | None, *, whole: bool) -> None:
    """Look at all images before anything is learned: what is damaged, and what has another size than the first.

    Args:
        files: The images.
        size: What they are scaled to, or None.
        whole: Whether to decode them all; otherwise only those that do not end as they should.

    Raises:
        DataError: If there are such; the message names the first ones, and says how many there are.
    """
    be_quiet()
    problems: list[str] = []
    first: tuple[int, int] | None = None
    for file in files:
        try:
            shape = look_at_image(file, whole=whole)
        except DataError as error:
            problems.append(str(error))
            continue
        except OSError as error:
            problems.append(f"{shown(file)}: cannot be read: {error.strerror or error}.")
            continue
        first = first or shape
        if size is None and shape != first:
            problems.append(
                f"{shown(file)}: is {shape[0]} pixels high and {shape[1]} wide; {shown(files[0])}, {first[0]} and "
                f"{first[1]}. Set data.options.size = [height, width] to scale all of them to one size."
            )
    if len(problems) == 1:
        raise DataError(problems[0])
    if problems:
        more = f"\nand {len(problems) - _LISTED:,} more" if len(problems) > _LISTED else ""
        raise DataError(f"{len(problems):,} images cannot be used:\n" + "\n".join(problems[:_LISTED]) + more)


def learn_scaling(rows: Rows) -> tuple[Pixels, Pixels]:
    """Return mean and deviation of each channel, by one pass over images in constant memory."""
    count, sums, squares = 0, np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for read in rows.read_all():
        pixels = read.inputs.numpy()
        count += pixels.shape[0] * pixels.shape[2] * pixels.shape[3]
        sums += pixels.sum(axis=(0, 2, 3), dtype=np.float64)
        squares += np.square(pixels, dtype=np.float64).sum(axis=(0, 2, 3))
    mean = sums / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    if (deviation < 1e-6).any():
        raise DataError(
            f"data.options.standardize: channel {int(np.argmin(deviation))} is the same everywhere in the images to "
            "learn from. Leave standardize off."
        )
    means, deviations = (values.astype(np.float32)[:, np.newaxis, np.newaxis] for values in (mean, deviation))
    return means, deviations


def fingerprint(
    folders: Mapping[Path, Sequence[Path]], names: Sequence[str], options: str, scaling: Scaling | None
) -> str:
    """Return a checksum of what images there are: their paths within the folders, and how many bytes each has.

    It opens none of them. Times are not part of it, which copying changes.
    """
    digest = hashlib.blake2b(f"{list(names)} {options}".encode(), digest_size=16)
    if scaling is not None:
        digest.update(b"".join(values.tobytes() for values in scaling))
    for folder, some in folders.items():
        for file in some:
            digest.update(f"{file.relative_to(folder)}\0{os.stat(file).st_size}\0".encode(errors="surrogateescape"))  # noqa: PTH116
        digest.update(b"\1")
    return lazy_checksum(digest)
