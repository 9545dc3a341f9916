"""Where the command that runs may write, and by which option another place is chosen: what a refusal advises.

Files are written far below the command line, and by Python programs too, which have no options. So what is refused
there is told in full here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_COPY = "Copy the run to where writing is allowed and use the copy"
_places: list[tuple[str, Path | None]] = []
"""Options and arguments of the command that name what it writes, and what they name; None where they are left out."""


def note_places(places: Iterable[tuple[str, Path | None]]) -> None:
    """Take note of what a command may write, in place of what was noted of another."""
    _places[:] = places


def tell_refusal(error: BaseException) -> str | None:
    """Return what to say of a file or folder that could not be used; None for an error of another kind.

    That is a `StorageError`, or an error of the operating system about a file that this command was told to write, or
    about one beside it that was to take its place.
    """
    from downslope.training.folder.durable import ANOTHER, StorageError, refusal

    if isinstance(error, StorageError):
        if error.refused is None:
            return None
        verb, path, cause = error.refused
        return refusal(verb, path, cause, _way_out(path) or ANOTHER)
    if not isinstance(error, OSError) or not isinstance(error.filename, str):
        return None
    path = Path(os.path.abspath(error.filename))  # noqa: PTH100  nothing is to be followed
    for option, place in _places:
        if place is not None and path.parent == _absolute(place).parent and path.name.strip(".").startswith(place.name):
            return refusal("write", place, error, _by(option))
    return None


def _way_out(path: Path) -> str | None:
    """Return how to have something written elsewhere than at a path; None if nothing is known."""
    from downslope.training.folder.names import run_around

    where = _absolute(path)
    for option, place in _places:
        if place is not None and (where in {(own := _absolute(place)), own.parent} or own in where.parents):
            return _by(option)
    if ("--out", None) in _places:
        return _by("--out")
    return None if run_around(where) is None else _COPY


def _by(option: str) -> str:
    if option.startswith("-"):
        return f"Choose another folder with {option}"
    return f"Choose another folder for {option}"


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  nothing is to be followed
