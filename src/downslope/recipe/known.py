"""The recipes that come with the package: `downslope train digits-cosine-warmup` works from any folder.

They are the files of `recipes/` in a checkout, which the package holds as `downslope/recipe/library`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from downslope.core.files import read_text

DEFAULT = "digits"
"""What `downslope train` trains when it is given no recipe."""

_LIBRARY = Path(__file__).with_name("library")
_GIVEN = re.compile(r"(?:\./)?(?:recipes/)?([a-z0-9][a-z0-9-]*)(?:\.toml)?")


def known_recipes() -> list[str]:
    """Return the names of the recipes, in order."""
    names = (path.name for path in _LIBRARY.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def known_text(name: str) -> str:
    """Return the TOML of one of `known_recipes()`."""
    return read_text(_LIBRARY / f"{name}.toml")


def comes_with_package(given: str | os.PathLike[str] | None) -> str | None:
    """Return the name of the recipe that is meant, or None where a file is; a file of that name comes first.

    Args:
        given: As in `downslope.load_recipe`.
    """
    if given is None:
        return DEFAULT
    written = os.fspath(given)
    is_path = any(mark in written for mark in (os.sep, "."))
    if "\0" in written or len(written) > 200:
        return None
    found = Path(written)
    there = found.exists() if is_path else found.is_file()  # a folder `digits` beside does not hide the recipe's name
    return None if there else known_name(written)


def known_name(given: str) -> str | None:
    """Return the name of the recipe that a word or path stands for where there is no such file; None for none.

    Args:
        given: As a person wrote it: `digits`, `digits.toml`, or `recipes/digits.toml` as in the documentation.

    Example:
        >>> known_name("recipes/digits.toml"), known_name("mine.toml")
        ('digits', None)
    """
    found = _GIVEN.fullmatch(given)
    return found[1] if found is not None and found[1] in known_recipes() else None
