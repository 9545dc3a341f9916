"""The standard streams of the command line: always there, and nothing but text on its way to a terminal."""

from __future__ import annotations

import codecs
import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from downslope.core.errors import DownslopeError
from downslope.core.shown import printable, shown
from downslope.language import said

_UNPRINTABLE = "downslope-escape"
"""Name of the way in which our streams write what their encoding lacks."""


class PrintableStream(io.TextIOWrapper):
    """A stream of text on which names and values from outside cannot repaint the terminal: controls are escaped."""

    def write(self, text: str, /) -> int:
        """Write text, its controls escaped; return its length."""
        super().write(printable(text))
        return len(text)

    def write_controls(self, text: str) -> None:
        """Write text with the controls of our own live view."""
        super().write(text)


def prepare_streams() -> None:
    """Make standard input, output and error fit for use: open, printable, and able to write any character.

    Streams that were replaced, as tests do, are left as they are.
    """
    _open_all()
    codecs.register_error(_UNPRINTABLE, _escape)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper:
            stream.flush()
            again = PrintableStream(
                stream.buffer,
                encoding=stream.encoding,
                errors=_UNPRINTABLE,
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            _REPLACED.append(stream)  # were it collected, it would close the buffer of the other
            setattr(sys, name, again)
            warnings.showwarning = _show_warning
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_UNPRINTABLE)


_REPLACED: list[io.TextIOWrapper] = []


def _open_all() -> None:
    """Open what was closed when we were started (`2>&-`) on the null device.

    Otherwise the next file that is opened, a checkpoint perhaps, gets the free number, and what some library writes to
    standard error goes into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False, encoding="utf-8"))  # noqa: SIM115


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    """Show a library's warning as a line of ours; where it was raised, in an installed file, helps no one here."""
    words = " ".join(str(message).split())
    print(said(f"downslope: warning: {words} ({category.__name__})"), file=sys.stderr)


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    r"""Return what stands for characters that a stream's encoding lacks: the bytes of a file name, or an escape.

    Python's own `backslashreplace` writes \xe9 for e with an accent, which TOML does not read; it reads \u00e9.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that was not text in the locale's encoding, as Python keeps it
        return bytes([code - 0xDC00]), error.start + 1
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}", error.start + 1


def print_notes(notes: Sequence[str]) -> None:
    """Print what a person should know to stderr, so that stdout stays the result alone."""
    for note in notes:
        print(said(f"note: {printable(note)}"), file=sys.stderr)


def write_new(path: Path, text: str, error: type[DownslopeError]) -> None:
    """Write a text to a file that is not there yet.

    Raises:
        DownslopeError: Of the given kind, if it is.
    """
    refuse_existing(path, "--out", error)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        refuse_existing(path, "--out", error)
        raise


def refuse_existing(path: Path, option: str, error: type[DownslopeError] = DownslopeError) -> None:
    """Raise if there is something of a name already, which an option gives for a new file; be it a link to nowhere.

    Raises:
        DownslopeError: Of the given kind, if there is.
    """
    if os.path.lexists(path):
        raise error(f"{option} {shown(path)}: exists, and nothing is overwritten. Give another name.")


def terminal_width() -> int:
    """Return the columns of the terminal, as `COLUMNS` or the terminal says; 100 where there is none."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdecimal():
        return max(40, int(columns[:6]))
    try:
        return max(40, os.get_terminal_size(sys.stdout.fileno()).columns or 100)
    except (OSError, ValueError, AttributeError):
        return 100
