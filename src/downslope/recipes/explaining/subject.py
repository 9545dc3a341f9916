"""What is to be explained: a recipe, settings, a file, or a sentence in words.

What lives here: telling these apart. What does not: reading a file (`decode.py`) or a sentence (`read`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downslope.core.errors import RecipeError, SettingsError
from downslope.core.settings import Settings
from downslope.recipes.decode import load_recipe, parse_recipe
from downslope.recipes.encode import to_toml
from downslope.recipes.overrides import Override
from downslope.recipes.schema import Recipe


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is to be explained.

    Attributes:
        settings: The optimizer's settings.
        recipe: The recipe; None where there are only settings.
        title: What to call it, or "".
        batch_size: Examples per batch, where words say so and there is no recipe.
        examples: Training examples, where words say so.
        notes: What was understood of a sentence.
    """

    settings: Settings
    recipe: Recipe | None = None
    title: str = ""
    batch_size: int | None = None
    examples: int | None = None
    notes: tuple[str, ...] = ()


def understand(given: Any, overrides: Iterable[Override] = ()) -> Subject:
    """Return what is to be explained.

    Args:
        given: A recipe, settings, the path of a recipe file, the text of one, or a sentence; None for the embedded
            default recipe.
        overrides: Pairs of a dotted path and a TOML value as text, for a recipe.

    Raises:
        RecipeError: If it is a file or a sentence that cannot be understood.
        SettingsError: If it is nothing of the kind.
    """
    overrides = tuple(overrides)
    if isinstance(given, Settings):
        return Subject(settings=given)
    if isinstance(given, Recipe):
        return _of_recipe(given)
    if given is None or isinstance(given, os.PathLike):
        return _of_recipe(load_recipe(given, overrides))
    if not isinstance(given, str):
        raise SettingsError(
            f"`recipe` must be a Recipe, Settings, the path of a recipe file or a sentence; got {given!r} of type "
            f"{type(given).__name__}."
        )
    if _names_a_file(given):
        return _of_recipe(load_recipe(given, overrides))
    if "[sgd]" in given:
        return _of_recipe(parse_recipe(given, "the text", overrides))
    return _of_sentence(given, overrides)


def _of_recipe(recipe: Recipe, notes: tuple[str, ...] = ()) -> Subject:
    return Subject(settings=recipe.sgd, recipe=recipe, title=recipe.title, notes=notes)


def _names_a_file(text: str) -> bool:
    if text.endswith(".toml"):
        return True
    try:
        return len(text) < 4096 and "\n" not in text and Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or with a byte that no name has
        return False


def _of_sentence(text: str, overrides: tuple[Override, ...]) -> Subject:
    """Return what the most plausible reading of a sentence says."""
    import downslope

    read = getattr(downslope, "read", None)
    if read is None:
        raise RecipeError(
            f"{_shortened(text)}: no such file, and sentences cannot be read yet. Give the path of a recipe file."
        )
    readings = read(text)
    if not readings:
        raise RecipeError(f"{_shortened(text)}: nothing in it says how to train.")
    recipe = readings[0].recipe()
    if overrides:
        recipe = parse_recipe(to_toml(recipe), "the sentence", overrides)
    return _of_recipe(recipe, tuple(str(remark) for remark in readings[0].remarks))


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
