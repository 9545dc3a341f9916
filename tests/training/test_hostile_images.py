"""Image files that are something else: nothing is started, waited for or unpacked without bound."""

import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from downslope.core.errors import DownslopeError
from downslope.training.data import image_files, numpy_files
from downslope.training.data.image_files import FORMATS, SUFFIXES, read_image
from downslope.training.data.image_reader import Options, read_all

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


def message_of(path, size=None):
    """Return the message with which reading an image fails as a person's mistake."""
    with pytest.raises(DownslopeError) as caught:
        read_image(Path(path), "rgb", size)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_postscript_starts_no_ghostscript(suffix, tmp_path, monkeypatch):
    """Pillow would run the program `gs` to draw it; here it is not even looked for."""
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\necho 10.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    Path(f"a{suffix}").write_bytes(EPS)
    assert message_of(f"a{suffix}").startswith(f"a{suffix}: cannot be read as an image: cannot identify image file as ")
    assert not (tmp_path / "started").exists()


def test_formats_are_those_of_the_suffixes():
    """Each suffix is one that Pillow gives to an allowed format, and each format has a suffix here."""
    Image.init()
    formats = {Image.registered_extensions()[suffix] for suffix in SUFFIXES}
    assert formats == set(FORMATS)


@pytest.mark.parametrize("form", ["ICO", "TGA", "PCX", "ICNS", "SGI", "DDS", "PDF", "SPIDER", "XBM"])
def test_other_formats_are_no_images(form):
    """Whatever a file is called, only what is allowed is read."""
    mode = {"SPIDER": "F", "XBM": "1"}.get(form, "RGB")
    Image.new(mode, (16, 16)).save("a.other", form)  # SPIDER takes a suffix for its own from then on
    Path("a.other").rename("a.png")
    assert message_of("a.png").startswith("a.png: cannot be read as an image: cannot identify image file as PNG, JPEG,")


def png(width, height, data=b""):
    """Return a PNG of 8-bit grey whose header says this size, whatever its data hold."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def test_more_pixels_than_bytes_can_hold_are_refused(monkeypatch):
    """A hundred million pixels in a hundred bytes; a blank page of sixteen million is read."""
    Path("a.png").write_bytes(png(4000, 4000, b"\0" * 4001 * 4000))
    assert read_image(Path("a.png"), "grey", (2, 2)).tolist() == [[[0, 0], [0, 0]]]
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was unpacked"))
    Path("a.png").write_bytes(png(10_000, 10_000))
    assert "is 10,000 pixels high and 10,000 wide by its header, but has only 65 bytes" in message_of("a.png")


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "tiff_deflate"])
def test_what_libtiff_writes_is_not_shown(compression, capfd):
    """It writes to the standard error itself; the message says what is wrong, once."""
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 255, (40, 40, 3)).astype(np.uint8)).save("a.tif", compression=compression)
    data = bytearray(Path("a.tif").read_bytes())
    data[20:400] = bytes(draw.integers(0, 255, 380).astype(np.uint8))
    Path("a.tif").write_bytes(bytes(data))
    assert message_of("a.tif").startswith("a.tif: cannot be read as an image: ")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("side", [12_000, 50_000, 2**30])
def test_a_bomb_is_refused_by_its_header(side, monkeypatch):
    """The size is known before a pixel is unpacked; the smaller one, of which Pillow only warns, is refused too."""
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was unpacked"))
    Path("a.png").write_bytes(png(side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = message_of("a.png", size=(8, 8))
    assert f"at most {image_files.MOST_PIXELS:,} are read" in message or "has more than 134,217,728 pixels" in message


def test_all_images_together_have_to_fit(monkeypatch):
    """A thousand small files may unpack to more than there is: known after the first, or by the option `size`."""
    Path("a.png").write_bytes(png(2, 2, b"\0\0\0" * 2))
    monkeypatch.setattr(numpy_files, "memory_limit", lambda: 10_000)
    files = [Path("a.png")] * 1000
    for options in (Options(path="."), Options(path=".", size=(2, 2))):
        with pytest.raises(DownslopeError, match="needs 48,000 bytes for 1,000 images 2 pixels high and 2 wide"):
            read_all(files, options, None)
    assert read_all(files[:100], Options(path="."), None).shape == (100, 3, 2, 2)


def test_what_pillow_says_of_a_file_is_a_note():
    """A warning is no line of an installed file on the terminal, and is not lost either."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((4, 6), dtype=np.uint8)).save("a.tif")
    data = bytearray(Path("a.tif").read_bytes())
    Path("a.jpg").write_bytes(b"")
    Image.fromarray(np.zeros((4, 6), dtype=np.uint8)).save("a.jpg", exif=exif)
    data = bytearray(Path("a.jpg").read_bytes())
    place = data.index(b"Exif\0\0") + 6 + 8
    data[place : place + 2] = struct.pack("<H" if data[place - 8] == 0x49 else ">H", 40)  # more entries than there are
    Path("a.jpg").write_bytes(bytes(data))
    notes = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(Path("a.jpg"), "grey", None, notes)
    assert notes
    assert all(note.startswith("a.jpg: ") and "site-packages" not in note for note in notes)


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "socket"])
def test_what_is_no_regular_file_is_not_waited_for(kind):
    """A FIFO would block for ever, and a device never end."""
    import socket

    if kind == "fifo":
        os.mkfifo("a.png")
    elif kind == "folder":
        Path("a.png").mkdir()
    elif kind == "device":
        Path("a.png").symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("a.png")
    assert "not a regular file" in message_of("a.png")


def test_a_name_with_escapes_reaches_no_terminal():
    """The message shows what a name holds, and does nothing of it."""
    name = "a\x1b]0;owned\x07\n.png"
    Path(name).write_bytes(b"none")
    assert r"a\u001b]0;owned\u0007\n.png: cannot be read as an image" in message_of(name)
