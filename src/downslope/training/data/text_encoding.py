"""How the characters of a text file are stored: which encodings there are, and where a file is not in the one given."""

from __future__ import annotations

import codecs
from encodings.aliases import aliases
from pathlib import Path

from downslope.core.errors import DataError, did_you_mean
from downslope.core.files import open_regular

COMMON = ("utf-8", "utf-16", "cp1252", "latin-1", "gb18030", "big5", "shift_jis", "cp1251")

_NO_TEXT = frozenset({"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"})
"""What Python's table of encodings holds besides: from bytes to bytes, or from text to text."""

_CHUNK = 1 << 20

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
"""Bytes that a file begins with only if it is in this encoding."""


def check_encoding(name: str) -> str:
    """Return Python's own name of an encoding.

    Example:
        >>> check_encoding("UTF8"), check_encoding("latin-1")
        ('utf-8', 'iso8859-1')
    """
    try:
        b" ".decode(name)  # an empty text would be decoded whatever the name
    except UnicodeDecodeError:
        pass  # half a character of an encoding that has two bytes for each
    except (LookupError, ValueError):
        known = {*COMMON, *(alias for alias, codec in aliases.items() if codec not in _NO_TEXT)}
        shown = ", ".join(f'"{one}"' for one in COMMON)
        raise DataError(
            f"`encoding` must be one of text that Python knows, such as {shown}; got {name!r}."
            f"{did_you_mean(name.lower(), known)}"
        ) from None
    return codecs.lookup(name).name


_KINDS = (
    (b"\x1f\x8b", "compressed by gzip"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet (.xlsx)"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet (.xls)"),
    (b"PAR1", "a Parquet file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"%PDF", "a PDF"),
    (b"\x89HDF", "an HDF5 file"),
)
"""Bytes that a file begins with only if it is no text."""


def find_foreign_kind(start: bytes) -> str | None:
    r"""Return what a file is by its first bytes, if that is no text.

    Example:
        >>> find_foreign_kind(b"\x1f\x8b\x08"), find_foreign_kind(b"area,price")
        ('compressed by gzip', None)
    """
    return next((kind for mark, kind in _KINDS if start.startswith(mark)), None)


def find_foreign_mark(start: bytes, encoding: str) -> str | None:
    """Return the encoding that a file's first bytes are the mark of, if that is not the one it is to be read in."""
    found = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    return None if found is None or encoding.startswith((found, "utf-32")) else found


def find_bad_byte(path: Path, encoding: str) -> tuple[int, int, int]:
    """Return where a file is not in an encoding: line from 1, byte from 0, and that byte.

    Raises:
        ValueError: If all of it is in that encoding.
        UnicodeError: If it is not, and the encoding knows no place for what is wrong.
        OSError: If it cannot be read.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    begun, lines, ended = 0, 1, ""  # bytes before the chunk; the line it begins in; the character before it
    with open_regular(path, DataError) as file:
        while True:
            chunk = file.read(_CHUNK)
            pending = decoder.getstate()[0]
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(encoding, "ignore")
                place = begun - len(pending) + error.start
                return lines + _count_breaks(ended, before), place, error.object[error.start]
            if not chunk:
                raise ValueError(f"{path} is {encoding} throughout")
            lines += _count_breaks(ended, text)
            begun += len(chunk)
            ended = text[-1:] or ended


def _count_breaks(ended: str, text: str) -> int:
    """Return how many lines end in a text; the two characters that end one in Windows may be cut apart before it."""
    both = ended + text
    breaks = both.count("\n") + both.count("\r") - both.count("\r\n")
    return breaks - (ended in {"\r", "\n"})
