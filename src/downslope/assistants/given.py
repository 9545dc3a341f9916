"""What an assistant gives a tool, as text; a file only below the folder that the person who started the server named.

Most functions of this library take the name of a file where they take text. Here nothing may: a text that has a line
break is never taken for a name (`recipe/given.py`), so every text gets one, and what may be a recipe's name is looked
up among those that come with the package alone.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downslope.core.errors import DownslopeError
from downslope.core.shown import shown
from downslope.reading import read
from downslope.reading.order import in_order
from downslope.reading.reading import Reading
from downslope.reading.shown import marks_of
from downslope.reading.sources import read_source
from downslope.recipe.given import first_recipe
from downslope.recipe.known import known_name, known_text
from downslope.recipe.load import parse_recipe
from downslope.recipe.schema import Recipe
from downslope.systems.calls import find_call

LONGEST = 200_000
"""Characters of a text; assistants hold little more themselves."""

_FILE = "file:"
_NAME = re.compile(r"[^\s=(:,]*(?:[/\\][^\s=(:,]*|\.[A-Za-z]\w{1,9})")
"""One word with folders or a suffix in it."""


class GivenError(DownslopeError, ValueError):
    """What an assistant gave cannot be used."""


@dataclass(frozen=True)
class Given:
    """A text, and where it comes from.

    Attributes:
        text: The text, which ends in a line break.
        name: The name of its file, as given; "" for none.
        folder: The folder that was given in its place, or None.
    """

    text: str
    name: str = ""
    folder: Path | None = None


def take(text: str, root: Path | None, *, folders: bool = False) -> Given:
    """Return what was given: the text itself, or for "file:PATH" that of a file below `root`.

    Raises:
        GivenError: If it is empty or too long, or a file that may not be read.
    """
    if text.startswith(_FILE):
        name = text.removeprefix(_FILE).strip()
        path = _below(name, root)
        if path.is_dir() and folders:
            return Given("\n", name, path)
        text = read_source(path)[1]
    elif _NAME.fullmatch(text.strip()) and known_name(text.strip()) is None:
        raise GivenError(
            f"{shown(text.strip())}: looks like the name of a file, and a tool takes text. Give the file's text; or "
            "file:PATH, where the server was started with `downslope mcp --root DIR`."
        )
    else:
        name = ""
    if not text.strip():
        raise GivenError("the text is empty. Give a recipe, a sentence, code or arguments.")
    if len(text) > LONGEST:
        raise GivenError(
            f"the text has {len(text):,} characters, and at most {LONGEST:,} are taken. Give the part that describes "
            "the training."
        )
    return Given(text if text.endswith("\n") else f"{text}\n", name)


def _below(name: str, root: Path | None) -> Path:
    """Return the path of a file or folder below the root, links followed.

    Raises:
        GivenError: If there is no root, or it lies elsewhere; the same message whether or not it exists there.
    """
    if root is None:
        raise GivenError(
            f"{shown(_FILE + name)}: this server reads no files. Give the text itself, or have it started with "
            "`downslope mcp --root DIR`."
        )
    try:
        path = (root / name).resolve()
        is_there = path.is_relative_to(root) and path.exists()
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise GivenError(f"{shown(name)}: no file can be called so: {why}.") from None
    if not path.is_relative_to(root):
        raise GivenError(f"{shown(name)}: lies outside the folder that this server may read. Give a path below it.")
    if not is_there:
        raise GivenError(f"{shown(name)}: no such file below the folder that this server reads.")
    return path


def recipe_or_words(given: Given, name: str) -> Recipe | str:
    """Return the recipe that a text is, or else the text, which no function takes for the name of a file.

    Args:
        given: The text.
        name: What to call it in messages.

    Raises:
        DownslopeError: If it is TOML with mistakes.
    """
    text = given.text.strip()
    known = known_name(text) if "\n" not in text else None
    if known is not None:
        return parse_recipe(known_text(known), f"the recipe `{known}`")
    if given.name.endswith(".toml") or _is_recipe(text):
        return parse_recipe(given.text, shown(given.name) or name)
    return given.text


def _is_recipe(text: str) -> bool:
    try:
        return "sgd" in tomllib.loads(text)
    except (ValueError, RecursionError):
        return "[sgd]" in text


def recipe_of(given: Given) -> Recipe:
    """Return the recipe that a text is, or that its words make.

    Raises:
        DownslopeError: If it is none; the message says why.
    """
    found = recipe_or_words(given, "the recipe")
    if isinstance(found, Recipe):
        return found
    if find_call(found) is not None:
        raise GivenError(
            "a framework's arguments are no whole recipe: there is no length of training. Give a recipe or a sentence, "
            'such as "SGD, lr 0.1, momentum 0.9, 90 epochs".'
        )
    return first_recipe(found, read([(given.name, given.text)], language="en"))


def fields_of(reading: Reading) -> dict[str, Any]:
    """Return a reading's values, each with the words that gave it and where they stand."""
    found: dict[str, Any] = {}
    for path in in_order(reading.fields):
        one = reading.fields[path]
        found[path] = {"value": one.value, "provenance": one.provenance, "words": one.words}
        if one.start >= 0:
            found[path] |= {"start": one.start, "end": one.end}
        if marks := marks_of(one, reading.language):
            found[path]["look_at"] = marks
    return found
