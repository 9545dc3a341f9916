"""What is read together: words, named texts and files, a PDF's text among them; joined as one text, places kept."""

from __future__ import annotations

import importlib
import io
import os
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from downslope.core.errors import MissingDependencyError, RecipeError
from downslope.core.files import read_regular
from downslope.core.shown import shown

LARGEST = 10_000_000
"""Bytes of the longest text that is read."""

_LARGEST_PDF = 10 * LARGEST
_GAP = "\n\n"


@dataclass(frozen=True)
class Sources:
    """Texts as one.

    Attributes:
        names: Their names; "" for words without one.
        starts: Where each begins in `text`.
        text: All of them, with an empty line between two.
    """

    names: tuple[str, ...]
    starts: tuple[int, ...]
    text: str

    def pieces(self) -> list[tuple[str, int, str]]:
        """Return each name with where its text begins, and its text."""
        ends = [*(start - len(_GAP) for start in self.starts[1:]), len(self.text)]
        return [
            (name, start, self.text[start:end]) for name, start, end in zip(self.names, self.starts, ends, strict=True)
        ]

    def source_of(self, place: int) -> tuple[str, int]:
        """Return the name of the text that a place lies in, and where that text begins."""
        index = max(0, bisect_right(self.starts, place) - 1)
        return self.names[index], self.starts[index]


def gather(given: Any, name: str = "") -> Sources:
    """Return what was given to `read` as sources.

    Raises:
        RecipeError: If it is neither a string nor paths and pairs of a name and a text, or a file cannot be read.
    """
    if isinstance(given, str):
        return join([(name, given)])
    if isinstance(given, os.PathLike):
        return join([read_source(given)])
    if isinstance(given, list | tuple):
        pairs = [one if isinstance(one, tuple) else read_source(one) for one in cast("list[Any]", given)]
        if pairs and all(len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in pairs):
            return join(pairs)
    raise RecipeError(
        f"`text` must be a string, a path, or a list of paths and (name, text) pairs; got {shown(repr(given))} of type "
        f"{type(given).__name__}."
    )


def join(pairs: Iterable[tuple[str, str]]) -> Sources:
    """Return named texts as one."""
    names: list[str] = []
    starts: list[int] = []
    texts: list[str] = []
    here = 0
    for name, text in pairs:
        names.append(name)
        starts.append(here)
        texts.append(text)
        here += len(text) + len(_GAP)
    return Sources(tuple(names), tuple(starts), _GAP.join(texts))


def read_source(path: Any) -> tuple[str, str]:
    """Return the name and the text of a file.

    Raises:
        RecipeError: If it is no regular file, is too long, or is no text.
        MissingDependencyError: If it is a PDF and pypdf is not installed.
    """
    if not isinstance(path, str | os.PathLike):
        raise RecipeError(f"`text` must be a string, or a list of paths; got {shown(repr(path))} in it.")
    name = os.fspath(path)
    if os.path.isdir(name):  # noqa: PTH112  # as it was written
        raise RecipeError(f"{shown(name)}: is a folder. Give a file in it, or a sentence in quotes.")
    try:
        data = read_regular(name, RecipeError, limit=_LARGEST_PDF)
    except OSError as error:
        raise RecipeError(f"{shown(name)}: {error.strerror}. Give a file, or a sentence in quotes.") from None
    except RecipeError:
        raise
    except ValueError as error:  # a byte that no name has
        raise RecipeError(f"{shown(name)}: no file can be called so: {error}.") from None
    return name, decode_source(data, name)


def decode_source(data: bytes, name: str) -> str:
    """Return the text of the bytes of a file: UTF-8, or a PDF's.

    Raises:
        RecipeError: If they are too many, or no text.
        MissingDependencyError: If it is a PDF and pypdf is not installed.
    """
    if data.startswith(b"%PDF-"):
        return _text_of_pdf(data, name)
    if len(data) > LARGEST:
        raise RecipeError(f"{shown(name)}: longer than {LARGEST:,} bytes. Give the part that describes the training.")
    if b"\0" in data:
        raise RecipeError(
            f"{shown(name)}: not UTF-8 text, but binary: byte {data.index(0)} is 0. Give a text or a PDF."
        )
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\f", "\n\n")
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{shown(name)}: not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8 text first."
        ) from None


def _text_of_pdf(data: bytes, name: str) -> str:
    try:
        pypdf = importlib.import_module("pypdf")
    except ImportError:
        raise MissingDependencyError(
            f'{shown(name)}: a PDF is read by pypdf. Install it with: pip install "downslope[pdf]". Or write its text '
            "to a file first: pdftotext paper.pdf paper.txt"
        ) from None
    try:
        pages = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages]
    except Exception as error:  # noqa: BLE001  # whatever a broken file makes of a parser
        raise RecipeError(
            f"{shown(name)}: a PDF that cannot be read: {error}. Write its text to a file first."
        ) from None
    text = _GAP.join(pages).encode("utf-8", "replace").decode("utf-8")[:LARGEST]
    if not text.strip():
        raise RecipeError(f"{shown(name)}: a PDF without text, such as a scan. Give its words.")
    return text
