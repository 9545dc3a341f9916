"""Data given where a recipe is wanted: a table, an image, or a folder; what to say, and how to learn from them.

`downslope train houses.csv` is what a person tries first who has a file of data. Data are never taken for a recipe; the
message gives the command that learns from them.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

from downslope.core.errors import RecipeError
from downslope.core.paths import expand_home
from downslope.core.shown import shown

TABLES = (".csv", ".tsv", ".parquet", ".npz", ".npy")
"""What the name of a table ends in that `data.name = "table"` reads."""

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
"""What the name of an image ends in."""

_RUN = "recipe.toml"
_LISTED = "RECIPE may be left out; `downslope recipes` lists those that come with Downslope."
_LONGEST = 4000
"""Characters that a path may have here; what is longer is a text."""

_LOOKED_AT = 1000
"""Entries of a folder that are looked at, to tell what it holds."""


def refuse_data(given: str | os.PathLike[str]) -> None:
    """Raise if what was given as a recipe is a folder, or a file of data; anything else passes, a missing file too.

    Args:
        given: What was given, `~` not yet expanded; it may be a sentence.

    Raises:
        RecipeError: With what it is, and the command to try.
    """
    text = os.fspath(given)
    if "\n" in text or "\0" in text or len(text) > _LONGEST:
        return
    try:
        path = expand_home(text, RecipeError)
        is_folder = path.is_dir()
        is_data = not is_folder and path.suffix.lower() in (*TABLES, *IMAGES) and path.exists()
    except (OSError, RecipeError):
        return
    if is_folder:
        raise RecipeError(f"{shown(text)}: is a folder, not a recipe file. {_of_folder(text, path)}")
    if is_data and path.suffix.lower() in TABLES:
        raise RecipeError(f"{shown(text)}: is data, a table, not a recipe. {_learn_from_table(text)}")
    if is_data:
        folder = str(Path(text).parent.parent) if len(Path(text).parts) > 2 else "FOLDER"
        raise RecipeError(
            f"{shown(text)}: is data, an image, not a recipe. Images are learned from by folder, with a sub-folder for "
            f"each class. {_learn_from_images(folder)}"
        )


def options_for_folder(path: str) -> str:
    """Return the options of a command line that learn from a folder of images.

    Example:
        >>> print(options_for_folder("my pictures"))
        --data images --data.options.path '"my pictures"'
    """
    return f"--data images --data.options.path {_quoted(path)}"


def options_for_table(path: str) -> str:
    """Return the options of a command line that learn from a table; which column is the target nobody knows.

    Example:
        >>> print(options_for_table("houses.csv"))
        --data table --data.options.path '"houses.csv"' --data.options.target COLUMN
    """
    return f"--data table --data.options.path {_quoted(path)} --data.options.target COLUMN"


def _quoted(path: str) -> str:
    """Return a path as a string of TOML, within the quotes of a shell."""
    return shlex.quote(json.dumps(shown(path, _LONGEST), ensure_ascii=False))


def _learn_from_table(path: str) -> str:
    column = "COLUMN is what is to be learned; where that is a number, add `--train.loss mse`."
    return f"To learn from it: `downslope train RECIPE {options_for_table(path)}`. {column} {_LISTED}"


def _learn_from_images(folder: str) -> str:
    return f"To learn from it: `downslope train RECIPE {options_for_folder(folder)}`. {_LISTED}"


def _of_folder(text: str, path: Path) -> str:
    if (path / _RUN).is_file():
        run = shlex.quote(shown(text))
        return f"It holds a run: `downslope resume {run}` goes on with it, and its recipe is {shown(path / _RUN)}."
    entries = _entries(path)
    recipes = [entry.name for entry in entries if entry.suffix == ".toml"]
    if recipes:
        return f"It holds recipes; give one: {', '.join(shown(_inside(text, name)) for name in recipes[:5])}."
    tables = [entry.name for entry in entries if entry.suffix.lower() in TABLES]
    if tables:
        return f"It holds data. {_learn_from_table(_inside(text, tables[0]))}"
    return f"If it holds images, a sub-folder for each class, it is data. {_learn_from_images(text)}"


def _inside(folder: str, name: str) -> str:
    return os.path.join(folder, name)  # noqa: PTH118  # as the folder was written


def _entries(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            return sorted(Path(entry.path) for entry, _ in zip(found, range(_LOOKED_AT), strict=False))
    except OSError:
        return []
