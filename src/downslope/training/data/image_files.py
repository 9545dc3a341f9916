"""Images as files: one of them read into numbers, whatever its mode, in one of the formats that are allowed.

Pillow knows many formats and chooses by a file's content. It is told which to try: some of the others start other
programs (PostScript starts Ghostscript, whatever the file is called).
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from downslope.core.errors import DataError, MissingDependencyError
from downslope.core.files import open_regular, refuse_irregular
from downslope.core.shown import shown
from downslope.recipe.given import IMAGES as SUFFIXES

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""What Pillow may take a file for; PPM stands for PGM too."""

MOST_PIXELS = 2**27
"""How large an image may be, by its header: 134 million pixels are more than any common camera's."""

_ALWAYS = 2**24
_PIXELS_A_BYTE = 10_000
"""How large an image is taken for damaged, or made to fill memory: above `_ALWAYS` pixels, and so many for each of its
bytes, several times as many as a blank page has in the tightest of formats."""

_NOWHERE = logging.NullHandler()
_EIGHT_BITS = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "La", "RGBa"})

Pixels = np.ndarray[Any, np.dtype[np.float32]]


def read_image(
    path: Path, colour: Literal["grey", "rgb"], size: tuple[int, int] | None, notes: list[str] | None = None
) -> Pixels:
    """Return an image of shape (channels, height, width), from 0 to 1.

    What is transparent is laid over white. A photograph is turned as its camera noted. Of several frames the first is
    taken.

    Args:
        path: The file.
        colour: "grey" for one channel, "rgb" for three.
        size: (height, width) to scale to, each pixel a weighted mean of what it covers; None to keep its own.
        notes: Where to add what Pillow says of a file that it reads nevertheless.

    Raises:
        DataError: If it is no image, damaged, too large, or has more than eight bits a channel.
        MissingDependencyError: If Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingDependencyError(
            'images are read by Pillow, which is not installed. Run: pip install "downslope[train]"'
        ) from None
    place = shown(path)
    logging.getLogger("PIL").addHandler(_NOWHERE)  # or logging itself would print what Pillow logs
    try:
        with warnings.catch_warnings(record=True) as caught, open_regular(path, DataError) as file:
            warnings.simplefilter("always")
            with Image.open(file, formats=FORMATS) as opened, _silence(opened.format):
                _check_size(place, opened.size, os.fstat(file.fileno()).st_size)
                _check_depth(place, opened.mode)
                pixels = pixels_of(opened, colour, size)
    except DataError:
        raise
    except Image.UnidentifiedImageError:
        formats = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise DataError(f"{place}: cannot be read as an image: cannot identify image file as {formats}.") from None
    except Image.DecompressionBombError:
        raise DataError(f"{place}: has more than {MOST_PIXELS:,} pixels. Scale it down.") from None
    except Exception as error:  # noqa: BLE001  # the decoders of damaged files raise nearly anything
        why = shown(str(error).strip().split("\n")[0].rstrip(".")) or type(error).__name__
        raise DataError(f"{place}: cannot be read as an image: {why}.") from None
    if notes is not None:
        said = [one.message for one in caught if not issubclass(one.category, Image.DecompressionBombWarning)]
        notes += [f"{place}: {shown(str(message).strip())}" for message in said]
    return pixels


def pixels_of(opened: Any, colour: Literal["grey", "rgb"], size: tuple[int, int] | None) -> Pixels:
    """Return the pixels of an image that Pillow has opened, as `read_image` returns them."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(opened)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if colour == "grey" else "RGB")
    if size is not None and (image.height, image.width) != size:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.float32) / np.float32(255)
    return pixels[np.newaxis] if colour == "grey" else np.ascontiguousarray(pixels.transpose(2, 0, 1))


@contextmanager
def _silence(form: str | None) -> Iterator[None]:
    """Keep what libtiff writes to the standard error itself off the terminal; what it means is raised as well."""
    if form != "TIFF":
        yield
        return
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, ValueError, AttributeError):  # it is closed already
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _check_size(place: str, size: tuple[int, int], count: int) -> None:
    """Raise if an image is too large, by its header, for this machine or for the bytes that it has."""
    width, height = size
    if _ALWAYS < width * height <= MOST_PIXELS and width * height > _PIXELS_A_BYTE * count:
        raise DataError(
            f"{place}: is {height:,} pixels high and {width:,} wide by its header, but has only {count:,} bytes. Is it "
            "damaged?"
        )
    if width * height > MOST_PIXELS:
        raise DataError(
            f"{place}: is {height:,} pixels high and {width:,} wide by its header, {width * height:,} in all; at most "
            f"{MOST_PIXELS:,} are read. Scale it down."
        )


def _check_depth(place: str, mode: str) -> None:
    if mode not in _EIGHT_BITS:
        raise DataError(f"{place}: has pixels of the mode {mode}, not of eight bits a channel. Convert it to 8 bits.")


def list_images(folder: Path) -> list[Path]:
    """Return all images below a folder, in the order of their names; hidden files are none.

    Raises:
        DataError: If a link leads back to a folder around it, a file is no image, or something cannot be looked into.
    """
    return list(_walk(folder, (folder.resolve(),)))


def _walk(folder: Path, around: tuple[Path, ...]) -> Iterator[Path]:
    for entry in sorted_entries(folder):
        if entry.is_dir():
            real = entry.resolve()
            if real in around or real in around[-1].parents:
                raise DataError(f"{shown(entry)}: leads back to {shown(real)}, which it lies in. Remove this link.")
            yield from _walk(entry, (*around, real))
        elif entry.suffix.lower() in SUFFIXES:
            if not entry.exists():
                raise DataError(f"{shown(entry)}: is a link that leads nowhere. Remove it.")
            refuse_irregular(entry, DataError)
            yield entry
        else:
            raise DataError(
                f"{shown(entry)}: is no image; among images only files that end in {', '.join(SUFFIXES)} are allowed. "
                "Move it."
            )


def sorted_entries(folder: Path) -> list[Path]:
    """Return what a folder holds, in the order of the names, without what is hidden."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise DataError(f"{shown(folder)}: cannot be looked into: {error.strerror or error}.") from None
    return [folder / name for name in names if not name.startswith(".") and name.lower() != "thumbs.db"]
