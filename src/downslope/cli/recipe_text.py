"""A recipe as it comes on a command line: a file, words in quotes, or either on standard input."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from downslope.core.errors import RecipeError
from downslope.core.files import read_regular
from downslope.recipe.given import made_of_words, names_a_file, refuse_data
from downslope.recipe.known import comes_with_package
from downslope.recipe.load import load_recipe, parse_recipe
from downslope.recipe.overrides import Override
from downslope.recipe.schema import Recipe

_LONGEST = 10_000_000


def find_recipe(command: str, word: str | None, overrides: Iterable[Override] = (), *, number: int = 1) -> Recipe:
    """Return the recipe that a word of the command line stands for.

    Args:
        command: Name of the command, for messages.
        word: A file, words, or "-" for standard input; None for standard input where something is piped into it.
        overrides: Overrides of the recipe.
        number: Which reading, where words have several, from 1.

    Raises:
        RecipeError: If it is none, or the words are not enough for a recipe.
    """
    if word is None and (sys.stdin is None or sys.stdin.isatty()):
        raise RecipeError(f"{command}: no recipe. Give a recipe file, a sentence in quotes, or `-` for standard input.")
    if word is None or word == "-":
        return _of_text(command, standard_input(command), "standard input", overrides, number)
    if (
        comes_with_package(word) is not None
        or word.endswith(".toml")
        or (names_a_file(word) and Path(word).suffix not in {".prototxt", ".txt", ".md"})
    ):
        return load_recipe(word, overrides)
    refuse_data(word)
    if names_a_file(word):
        text = read_regular(word, RecipeError, limit=_LONGEST).decode("utf-8-sig", errors="replace")
        return _of_text(command, text, word, overrides, number)
    if (
        word.isascii()
        and not any(character.isspace() for character in word)
        and re.search(r"[/\\]|\.[A-Za-z]\w{0,8}\Z", word)
    ):
        raise RecipeError(f"{command}: {word}: no such file. Give a recipe file, a sentence in quotes, or `-`.")
    return _of_text(command, word, "the sentence", overrides, number, may_be_a_name=True)


def _of_text(
    command: str, text: str, name: str, overrides: Iterable[Override], number: int, *, may_be_a_name: bool = False
) -> Recipe:
    if not text.strip():
        raise RecipeError(f"{command}: {name} is empty. Give a recipe file, a sentence in quotes, or `-`.")
    if re.search(r"^\s*\[+\s*(sgd|train|data|model)\b", text, flags=re.MULTILINE):
        return parse_recipe(text, name, overrides)
    from downslope.reading import read

    readings = read(text, language="en")
    if number > len(readings):
        raise RecipeError(f"{command}: --reading {number}: there are {len(readings)}. Give a number up to that.")
    if len(readings) > 1:
        print(
            f"downslope: the words have {len(readings)} readings; this is number {number}. `downslope read` shows "
            f"them, --reading N chooses.",
            file=sys.stderr,
        )
    reading = readings[number - 1]
    recipe = made_of_words(text, reading, reading.to_toml) if may_be_a_name else reading.to_toml()
    return parse_recipe(recipe, f"reading {number} of {name}", overrides)


def standard_input(command: str) -> str:
    """Return the text on standard input.

    Raises:
        RecipeError: If it is too long, or no UTF-8.
    """
    data = sys.stdin.buffer.read(_LONGEST + 1) if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
    if len(data) > _LONGEST:
        raise RecipeError(f"{command}: standard input is longer than {_LONGEST} bytes, and no recipe.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{command}: standard input is not UTF-8 text ({error.reason} at byte {error.start})."
        ) from None
