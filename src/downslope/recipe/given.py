"""What a person gives where a recipe is wanted: the name of a file, words or, by mistake, data.

`downslope train houses.csv` is what a person tries first who has a file of data. Data are never taken for a recipe; the
message gives the command that learns from them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from downslope.core.errors import DownslopeError, RecipeError, did_you_mean
from downslope.core.files import read_text, why_closed
from downslope.core.paths import expand_home, expansion_of
from downslope.core.shown import shown
from downslope.recipe.known import known_recipes

TABLES = (".csv", ".tsv", ".parquet", ".feather", ".arrow", ".npy", ".npz")
"""What the name of a table ends in that `data.name = "table"` reads."""

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
"""What the name of an image ends in."""

TEXTS = (
    ".txt", ".md", ".rst", ".tex", ".pdf", ".toml", ".prototxt", ".yaml", ".yml", ".json", ".ini", ".cfg", ".py",
    ".ipynb", ".sh",
)  # fmt: skip
"""What the name of a file of words, a script or a configuration ends in."""

_LONGEST = 4096
"""Characters that a path may have here; what is longer is a text."""

_RUN = "recipe.toml"
_OF_A_RUN = ("checkpoints", "run.json", "inputs.json", "log.jsonl", "events.jsonl", "model.safetensors", "report.html")
"""What a run writes beside its recipe."""

_SUFFIX = re.compile(r"\.[A-Za-z]\w{0,9}\Z")
_LISTED = "RECIPE may be left out; `downslope recipes` lists those that come with Downslope."


def read_recipe(given: str | os.PathLike[str]) -> str:
    """Return the text of a recipe's file.

    Raises:
        RecipeError: If there is none, it is data or cannot be read.
    """
    refuse_data(given)
    found, path = expand_home(given, RecipeError), f"{given}{expansion_of(given)}"
    try:
        return read_text(found, RecipeError)
    except FileNotFoundError:
        near = did_you_mean(os.fspath(given).removesuffix(".toml"), known_recipes())
        raise RecipeError(
            f"{path}: no such file.{near} Give the path of a recipe, or none for the default. Names that may "
            "stand for one are listed by `downslope recipes`."
        ) from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}).") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}.") from None


# A name, or words


def names_a_file(text: str) -> bool:
    """Return whether there is a file of that name; a pipe or device counts, and is refused when it is opened."""
    return _exists(text) and not Path(text).is_dir()


def names_a_folder(text: str) -> bool:
    """Return whether there is a folder of that name."""
    return bool(text) and _exists(text) and Path(text).is_dir()


def _exists(text: str) -> bool:
    try:
        return len(text) < _LONGEST and "\n" not in text and Path(text).exists()
    except (OSError, ValueError):  # too long for a name, or with a byte that no name has
        return False


def looks_like_a_name(text: str) -> bool:
    """Return whether a text may have been meant as the name of a file or recipe: one word, or with a suffix or folders.

    Example:
        >>> looks_like_a_name("digits"), looks_like_a_name("my run/solver.txt"), looks_like_a_name("lr 0.1")
        (True, True, False)
    """
    text = text.strip()
    if not text or "\n" in text or len(text) >= _LONGEST:
        return False
    return len(text.split()) == 1 or os.sep in text or _SUFFIX.search(text) is not None


def looks_like_a_text_file(word: str) -> bool:
    """Return whether a word, without a space in it, ends as the name of a file of words, a script or a configuration.

    Example:
        >>> looks_like_a_text_file("runs/lr0.1/solver.prototxt"), looks_like_a_text_file("lr 0.1; see train.py")
        (True, False)
    """
    return word.lower().endswith(TEXTS) and not any(character.isspace() for character in word)


def words_of_file(path: str | Path) -> str:
    """Return the text of a file of words.

    Raises:
        RecipeError: If it cannot be read, is no regular file, or is no text.
    """
    try:
        return read_text(path, RecipeError)
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{shown(path)}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def first_recipe(text: str, readings: Any) -> Any:
    """Return the recipe of the first reading; a name that there is no file of is said to be one.

    Raises:
        DownslopeError: If they say nothing that makes a recipe.
    """
    return made_of_words(text, readings[0], readings[0].recipe)


def made_of_words(text: str, reading: Any, make: Callable[[], Any]) -> Any:
    """Return what is made of a reading of words, its recipe or the text of one.

    Args:
        text: The words as they were given; words that say nothing may be a name that there is no file of.
        reading: The reading of them.
        make: Makes it.

    Raises:
        DownslopeError: If they say nothing that makes a recipe; a name that there is no file of is said to be one.
    """
    name = text.strip()
    listed = any(sign in name for sign in ",;\uff0c\uff1b")  # "SGD,lr=0.1,momentum=0.9,train.py"; so in Chinese
    if (
        not listed
        and looks_like_a_text_file(name)
        and any(field.provenance == "stated" for field in reading.fields.values())
    ):
        near = did_you_mean(name, known_recipes())  # the settings that a name such as lr0.1.py has are not those in it
        raise RecipeError(f"{shown(name)}: no such file or recipe.{near} Give a file, or a sentence in quotes.")
    try:
        return make()
    except DownslopeError as error:
        said_nothing = reading.optimizer in {"", "sgd"} and not any(
            field.provenance == "stated" for field in reading.fields.values()
        )
        if said_nothing and looks_like_a_name(text):
            near = did_you_mean(name, known_recipes())
            raise RecipeError(
                f"{shown(name)}: no such file or recipe.{near} As words, it says nothing: {error}"
            ) from None
        raise


# Data


def refuse_data(given: str | os.PathLike[str]) -> None:
    """Raise if what was given as a recipe is a folder, data or part of a run; anything else passes.

    Args:
        given: What was given, `~` not yet expanded; it may be a sentence, or the name of a file that is not there.

    Raises:
        RecipeError: With what it is, and the command to try.
    """
    text = os.fspath(given)
    if not text:
        raise RecipeError("the name of the recipe is empty. Give a file, or a name that `downslope recipes` lists.")
    if "\n" in text or "\0" in text or len(text) > _LONGEST:
        return
    try:
        path = expand_home(text, RecipeError)
        is_folder = path.is_dir()
        is_data = not is_folder and path.suffix.lower() in (*TABLES, *IMAGES) and path.exists()
        run = _run_of(path)
    except (OSError, RecipeError):
        return
    if run is not None:
        raise RecipeError(f"{shown(text)}: is a part of the run {shown(run)}, not a recipe. {_of_run(run)}")
    if (is_folder or is_data) and (why := why_closed(path)):
        raise RecipeError(f"{shown(text)}: cannot be read: {why}.")
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


_SETS = {
    "data_batch_1.bin": "cifar10",
    "cifar-10-batches-bin": "cifar10",
    "train.bin": "cifar100",
    "cifar-100-binary": "cifar100",
    "train-images-idx3-ubyte": "idx",
    "train-images-idx3-ubyte.gz": "idx",
    "train-images.idx3-ubyte": "idx",
}
"""What lies in the folder of a data set that people know -> its `data.name`."""


def options_for_folder(path: str) -> str:
    """Return the options of a command line that learn from a folder: of images, or of a data set that people know.

    Example:
        >>> print(options_for_folder("my pictures"))
        --data images --data.options.path '"my pictures"'
    """
    inside = {entry.name for entry in _first_entries(Path(path))}
    if inside & {"dataset_dict.json", "state.json"}:
        return f"--data {_quoted(f'hf:{path}')}"
    name = next((name for file, name in _SETS.items() if file in inside), "images")
    return f"--data {name} --data.options.path {_quoted(path)}"


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


def _run_of(path: Path) -> Path | None:
    """Return the run whose checkpoints, or one of whose files, a path is; None for anything else."""
    for part in (path, *path.parents):
        if part.name in _OF_A_RUN and (part.parent / _RUN).is_file() and path.exists():
            return part.parent
    return None


def _of_run(run: Path) -> str:
    return f"`downslope resume {shlex.quote(shown(run))}` goes on with it, and its recipe is {shown(run / _RUN)}."


def _of_folder(text: str, path: Path) -> str:
    if (path / _RUN).is_file():
        return f"It holds a run: {_of_run(path)}"
    entries = _first_entries(path)
    inside = {entry: os.path.join(text, entry.name) for entry in entries}  # noqa: PTH118  # as the folder was written
    recipes = [inside[entry] for entry in entries if entry.suffix == ".toml"]
    if recipes:
        return f"It holds recipes; give one: {', '.join(map(shown, recipes[:5]))}."
    tables = [inside[entry] for entry in entries if entry.suffix.lower() in TABLES]
    if tables:
        return f"It holds data. {_learn_from_table(tables[0])}"
    command = _learn_from_images(text)
    if "--data images" not in command:
        return f"It holds data. {command}"
    return f"If it holds images, a sub-folder for each class, it is data. {command}"


def _first_entries(folder: Path, most: int = 1000) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            return sorted(Path(entry.path) for entry, _ in zip(found, range(most), strict=False))
    except OSError:
        return []
