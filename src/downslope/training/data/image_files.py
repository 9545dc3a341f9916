"""Images as files: one of them read into numbers, whatever its format and mode.

What lives here: decoding, turning by what the camera noted, colours and size. What does not: which files there are
(`images.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from downslope.core.errors import DataError, MissingDependencyError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
_EIGHT_BITS = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "La", "RGBa"})

Pixels = np.ndarray[Any, np.dtype[np.float32]]


def read_image(path: Path, colour: Literal["grey", "rgb"], size: tuple[int, int] | None) -> Pixels:
    """Return an image of shape (channels, height, width), from 0 to 1.

    What is transparent is laid over white. A photograph is turned as its camera noted. Of several frames the first is
    taken.

    Args:
        path: The file.
        colour: "grey" for one channel, "rgb" for three.
        size: (height, width) to scale to, each pixel a weighted mean of what it covers; None to keep its own.

    Raises:
        DataError: If it is no image, damaged, or has more than eight bits a channel.
        MissingDependencyError: If Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise MissingDependencyError(
            'images are read by Pillow, which is not installed. Run: pip install "downslope[train]"'
        ) from None
    try:
        with Image.open(path) as opened:
            _check_depth(path, opened.mode)
            image = ImageOps.exif_transpose(opened)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("L" if colour == "grey" else "RGB")
            if size is not None and (image.height, image.width) != size:
                image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            pixels = np.asarray(image, dtype=np.float32) / np.float32(255)
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001  # the decoders of damaged files raise nearly anything
        why = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
        raise DataError(f"{path}: cannot be read as an image: {why}.") from None
    return pixels[np.newaxis] if colour == "grey" else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _check_depth(path: Path, mode: str) -> None:
    if mode not in _EIGHT_BITS:
        raise DataError(f"{path}: has pixels of the mode {mode}, not of eight bits a channel. Convert it to 8 bits.")


def list_images(folder: Path) -> list[Path]:
    """Return all images below a folder, in the order of their names; hidden files are none.

    Args:
        folder: The folder; its sub-folders are looked into, links to folders too.

    Raises:
        DataError: If a link leads back to a folder around it, a file is no image, or something cannot be looked into.
    """
    return list(_walk(folder, (folder.resolve(),)))


def _walk(folder: Path, around: tuple[Path, ...]) -> Iterator[Path]:
    for entry in sorted_entries(folder):
        if entry.is_dir():
            real = entry.resolve()
            if real in around or real in around[-1].parents:
                raise DataError(f"{entry}: leads back to {real}, which it lies in. Remove this link.")
            yield from _walk(entry, (*around, real))
        elif entry.suffix.lower() in SUFFIXES:
            if not entry.exists():
                raise DataError(f"{entry}: is a link that leads nowhere. Remove it.")
            yield entry
        else:
            raise DataError(
                f"{entry}: is no image; among images only files that end in {', '.join(SUFFIXES)} are allowed. Move it."
            )


def sorted_entries(folder: Path) -> list[Path]:
    """Return what a folder holds, in the order of the names, without what is hidden.

    Raises:
        DataError: If it cannot be looked into.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be looked into: {error.strerror or error}.") from None
    return [folder / name for name in names if not name.startswith(".") and name.lower() != "thumbs.db"]
