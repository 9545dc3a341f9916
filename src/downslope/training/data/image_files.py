"""Images as files: one of them read into numbers, whatever its mode, in one of the formats that are allowed.

Pillow knows many formats and chooses by a file's content. It is told which to try: some of the others start other
programs (PostScript starts Ghostscript, whatever the file is called).
"""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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


Colour = Literal["grey", "rgb"]

_REDUCING_GAP = 2.0
"""How many times as large as wanted a JPEG still is that was decoded at a reduced scale; Pillow's own thumbnails are
made so, and look nearly as if it had been decoded whole."""

_TAIL = 4096
"""How many bytes at the end of a file are searched for the mark that ends it."""

_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b";"}
_ORIENTATION, _TURNED = 0x0112, frozenset({5, 6, 7, 8})
"""The mark of how a camera was held, and the values of it with which width is height."""


def read_image(
    path: Path,
    colour: Colour,
    size: tuple[int, int] | None,
    notes: list[str] | None = None,
    *,
    reduced: bool = False,
) -> Pixels:
    """Return an image of shape (channels, height, width), from 0 to 1.

    What is transparent is laid over white. A photograph is turned as its camera noted. Of several frames the first is
    taken.

    Args:
        path: The file.
        colour: "grey" for one channel, "rgb" for three.
        size: (height, width) to scale to, each pixel a weighted mean of what it covers; None to keep its own.
        notes: Where to add what Pillow says of a file that it reads nevertheless.
        reduced: Whether a JPEG that is much larger than `size` may be decoded at a reduced scale.

    Raises:
        DataError: If it is no image, damaged, too large, or has more than eight bits a channel.
        MissingDependencyError: If Pillow is not installed.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with opened_image(path, _silence) as opened:
            picture = as_picture(opened, colour, size, reduced=reduced)
            pixels = np.asarray(picture, dtype=np.float32) / np.float32(255)
            several = notes is not None and opened.format != "MPO" and getattr(opened, "is_animated", False)
    if notes is not None:
        if several:  # those of an MPO are a photograph and its previews
            notes.append(f"{shown(path)}: holds several frames, of which the first is taken")
        image = _pillow()
        said = [one.message for one in caught if not issubclass(one.category, image.DecompressionBombWarning)]
        notes += [f"{shown(path)}: {shown(str(message).strip())}" for message in said]
    return pixels[np.newaxis] if colour == "grey" else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_bytes_of_image(path: Path | bytes, place: str, colour: Colour, size: tuple[int, int] | None) -> Any:
    """Return an image as bytes from 0 to 255, shape (height, width), or (height, width, 3); otherwise as `read_image`.

    Args:
        path: The file, or what one holds.
        place: What messages call it.
        colour: As in `read_image`.
        size: As in `read_image`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with opened_image(path, _silence, place=place) as opened:
            return np.asarray(as_picture(opened, colour, size))


def read_image_into(place: Pixels, path: Path, colour: Colour, size: tuple[int, int] | None, *, reduced: bool) -> None:
    """Put the pixels of an image where they belong, as `read_image` returns them; threads may do it side by side.

    Raises:
        DataError: As in `read_image`, or if it has another size than there is place for.
    """
    with opened_image(path) as opened:
        picture = as_picture(opened, colour, size, reduced=reduced)
        pixels = np.asarray(picture)
    if pixels.shape[:2] != place.shape[1:]:
        raise DataError(
            f"{shown(path)}: is {pixels.shape[0]} pixels high and {pixels.shape[1]} wide; the others, "
            f"{place.shape[1]} and {place.shape[2]}. Set data.options.size = [height, width] to scale all of them to "
            "one size."
        )
    pixels = pixels[np.newaxis] if colour == "grey" else pixels.transpose(2, 0, 1)
    np.divide(pixels, np.float32(255), out=place, dtype=np.float32)


def look_at_image(path: Path, *, whole: bool = False) -> tuple[int, int]:
    """Return (height, width) of an image by its header; one that does not end as it should is decoded to find out.

    Args:
        path: The file.
        whole: Whether to decode it in any case.

    Raises:
        DataError: As in `read_image`.
    """
    with opened_image(path) as opened:
        width, height = opened.size
        if whole or not _ends_well(opened):
            opened.load()
        elif opened.format == "PNG" and "exif" not in opened.info:
            return height, width  # to look for the mark further on, Pillow would decode it
        turned = opened.getexif().get(_ORIENTATION) in _TURNED
    return (width, height) if turned else (height, width)


def be_quiet() -> None:
    """Let warnings of Pillow be ignored from now on: where threads decode, none can catch its own."""
    warnings.filterwarnings("ignore", module=r"PIL(\.|$)")


def _ends_well(opened: Any) -> bool:
    """Return whether a file has the mark at its end that ends it, in the formats that have one."""
    mark = _ENDS.get(opened.format)
    if mark is None:
        return opened.format in {"WEBP", "TIFF"}  # others are not compressed: decoding them is only reading
    file = opened.fp
    size = os.fstat(file.fileno()).st_size
    place = file.tell()
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    file.seek(place)
    return mark in tail


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise MissingDependencyError(
            'images are read by Pillow, which is not installed. Run: pip install "downslope[train]"'
        ) from None
    return Image


@contextmanager
def opened_image(
    path: Path | bytes, around: Callable[[str | None], AbstractContextManager[None]] | None = None, *, place: str = ""
) -> Iterator[Any]:
    """Open an image with Pillow, and say of whatever goes wrong with it what it is.

    Args:
        path: The file, or what one holds.
        around: What to do around decoding, given the format.
        place: What messages call it; "" for its path.

    Raises:
        DataError: As in `read_image`.
        MissingDependencyError: If Pillow is not installed.
    """
    Image = _pillow()  # noqa: N806  as it is called everywhere
    place = place or shown(path)
    logging.getLogger("PIL").addHandler(_NOWHERE)  # or logging itself would print what Pillow logs
    try:
        source = io.BytesIO(path) if isinstance(path, bytes) else open_regular(path, DataError)
        with (
            source as file,
            Image.open(file, formats=FORMATS) as opened,
            nullcontext() if around is None else around(opened.format),
        ):
            count = len(path) if isinstance(path, bytes) else os.fstat(file.fileno()).st_size
            _check_size(place, opened.size, count)
            _check_depth(place, opened.mode)
            yield opened
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


def pixels_of(opened: Any, colour: Colour, size: tuple[int, int] | None) -> Pixels:
    """Return the pixels of an image that Pillow has opened, as `read_image` returns them."""
    pixels = np.asarray(as_picture(opened, colour, size), dtype=np.float32) / np.float32(255)
    return pixels[np.newaxis] if colour == "grey" else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def as_picture(opened: Any, colour: Colour, size: tuple[int, int] | None, *, reduced: bool = False) -> Any:
    """Return Pillow's image of the colour and size that are wanted; arguments as in `read_image`."""
    from PIL import Image, ImageOps

    if reduced and size is not None and opened.format == "JPEG":
        height, width = size[::-1] if opened.getexif().get(_ORIENTATION) in _TURNED else size
        opened.draft(None, (int(width * _REDUCING_GAP), int(height * _REDUCING_GAP)))
    image = ImageOps.exif_transpose(opened)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if colour == "grey" else "RGB")
    if size is not None and (image.height, image.width) != size:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return image


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
