"""Whether a text is the name of a file or words, for the commands that take either."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from downslope.core.errors import DownslopeError, RecipeError, did_you_mean
from downslope.core.files import read_text
from downslope.core.shown import shown
from downslope.recipe.known import known_recipes

_LONGEST_NAME = 4096
_SUFFIX = re.compile(r"\.[A-Za-z]\w{0,9}\Z")


def names_a_file(text: str) -> bool:
    """Return whether there is a file of that name; a pipe or device counts, and is refused when it is opened.

    Args:
        text: A name, or words.
    """
    try:
        return len(text) < _LONGEST_NAME and "\n" not in text and Path(text).exists() and not Path(text).is_dir()
    except (OSError, ValueError):  # too long for a name, or with a byte that no name has
        return False


def looks_like_a_name(text: str) -> bool:
    """Return whether a text may have been meant as the name of a file or recipe: one word, or with a suffix or folders.

    Args:
        text: A name, or words.

    Example:
        >>> looks_like_a_name("digits"), looks_like_a_name("my run/solver.txt"), looks_like_a_name("lr 0.1")
        (True, True, False)
    """
    text = text.strip()
    if not text or "\n" in text or len(text) >= _LONGEST_NAME:
        return False
    return len(text.split()) == 1 or os.sep in text or _SUFFIX.search(text) is not None


def words_of_file(path: str | Path) -> str:
    """Return the text of a file of words.

    Args:
        path: The file.

    Raises:
        RecipeError: If it cannot be read, is no regular file, or is no text.
    """
    try:
        return read_text(path, RecipeError)
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{shown(path)}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def first_recipe(text: str, readings: Any) -> Any:
    """Return the recipe of the first reading; a name that there is no file of is said to be one.

    Args:
        text: The words.
        readings: What `read` made of them.

    Raises:
        DownslopeError: If they say nothing that makes a recipe.
    """
    try:
        return readings[0].recipe()
    except DownslopeError as error:
        said_nothing = readings[0].optimizer in {"", "sgd"} and not any(
            field.provenance == "stated" for field in readings[0].fields.values()
        )
        if said_nothing and looks_like_a_name(text):
            name = text.strip()
            near = did_you_mean(name, known_recipes())
            raise RecipeError(
                f"{shown(name)}: no such file or recipe.{near} As words, it says nothing: {error}"
            ) from None
        raise
