"""Paths as a person writes them, in a recipe, on the command line or in Python: `~` and `~user` stand for a home.

They are expanded here alone. Whether anything is there is said by those who look for it.
"""

from __future__ import annotations

import os
from pathlib import Path

from downslope.core.errors import DownslopeError


def expand_home(given: str | os.PathLike[str], error: type[DownslopeError] = DownslopeError, origin: str = "") -> Path:
    """Return the path that a person means; what was expanded once stays as it is.

    Args:
        given: The path as it was written; relative ones start at the current directory. `./~x` is a file named `~x`.
        error: What to raise.
        origin: The key or option that gives it, for messages.

    Raises:
        DownslopeError: If it is empty, or begins with `~` and there is no such user; of the type `error`.

    Example:
        >>> expand_home("runs/digits").as_posix()
        'runs/digits'
    """
    text = os.fspath(given)
    if not text.strip():
        raise error(f"{origin or 'the path'} is empty. Give a file or folder; `.` is the current directory.")
    if text.startswith("~"):
        expanded = os.path.expanduser(text)  # noqa: PTH111  # pathlib's own raises a RuntimeError, or takes ./~x for ~x
        if expanded == text:
            user = text[1:].partition("/")[0]
            place = f"{origin} = {text!r}" if origin else text
            raise error(
                f"{place}: begins with `~`, which stands for a home, but there is no user "
                f"`{user}`. For a file or folder of this name, write ./{text}."
            )
        return Path(expanded)
    path = Path(text)
    if path.parts and path.parts[0].startswith("~"):
        return Path.cwd() / path  # pathlib drops the ./ that says it is no home
    return path


def expansion_of(given: str | os.PathLike[str]) -> str:
    """Return what follows a path in a message: in brackets what it became, or nothing where that is the same.

    Example:
        >>> expansion_of("runs/digits"), expansion_of("~/digits").startswith(" (/")
        ('', True)
    """
    return f" ({expand_home(given)})" if os.fspath(given).startswith("~") else ""


def from_here(path: Path) -> str:
    """Return a sentence that says where a relative path was looked for; nothing for an absolute one.

    Example:
        >>> from_here(Path("/data/houses.csv"))
        ''
    """
    return "" if path.is_absolute() else f" It is looked for from the current directory, {Path.cwd()}."
