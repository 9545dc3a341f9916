"""What is to be explained: a recipe, settings, a file, or a sentence in words; telling these apart."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from downslope.core.errors import SettingsError
from downslope.core.settings import Settings
from downslope.recipe.given import first_recipe, names_a_file, refuse_data, words_of_file
from downslope.recipe.known import comes_with_package
from downslope.recipe.load import load_recipe, parse_recipe, to_toml
from downslope.recipe.overrides import Override
from downslope.recipe.run_length import digits_to_learn_from
from downslope.recipe.schema import Recipe


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is to be explained, and the sizes of its run: None where they are not given.

    Attributes:
        settings: The optimizer's settings.
        recipe: The recipe; None where there are only settings.
        title: What to call it, or "".
        batch_size: Examples per batch.
        accumulate: Batches per step.
        examples: Training examples.
        epochs: Epochs.
        steps: Steps.
        notes: What was understood of a sentence.
        normalises: Whether its model has normalisation layers; None where that is not known.
    """

    settings: Settings
    recipe: Recipe | None = None
    title: str = ""
    batch_size: int | None = None
    accumulate: int = 1
    examples: int | None = None
    epochs: float | None = None
    steps: int | None = None
    notes: tuple[str, ...] = ()
    normalises: bool | None = None


_WITH = [
    "convnet",
    "resnet9",
    "resnet20",
    "resnet32",
    "resnet56",
    "resnet110",
    "wrn-28-10",
    "resnet18",
    "resnet50",
    "resnet50-v1",
    "vgg16-bn",
]
_WITHOUT = ["mlp", "gru", "seq2seq", "quadratic_deep"]

NORMALISES: Mapping[str, bool] = MappingProxyType({name: name in _WITH for name in (*_WITH, *_WITHOUT)})
"""Built-in models by whether they have normalisation layers; of a library's and one's own nothing is known."""


def understand(given: Any, overrides: Iterable[Override] = (), *, lang: str = "en") -> Subject:
    """Return what is to be explained.

    Args:
        given: A recipe, settings, the path of a file, the text of one, or a sentence; None for the default recipe.
        overrides: Pairs of a dotted path and a TOML value as text, for a recipe.
        lang: Language of what is noted about a sentence.

    Raises:
        RecipeError: If it is a file or a sentence that cannot be understood.
        SettingsError: If it is nothing of the kind.
    """
    overrides = tuple(overrides)
    if isinstance(given, Settings):
        return Subject(settings=given)
    if isinstance(given, Recipe):
        return _of_recipe(given)
    if given is None:
        return _of_recipe(load_recipe(None, overrides))
    if not isinstance(given, str | os.PathLike):
        raise SettingsError(
            f"`recipe` must be a Recipe, Settings, the path of a recipe file or a sentence; got {given!r} of type "
            f"{type(given).__name__}."
        )
    text = os.fspath(given)
    if text.endswith(".toml") or isinstance(given, os.PathLike) or comes_with_package(text) is not None:
        return _of_recipe(load_recipe(text, overrides))
    refuse_data(text)
    if names_a_file(text):
        text = words_of_file(text)
    if "[sgd]" in text:
        return _of_recipe(parse_recipe(text, "the text", overrides))
    return _of_sentence(text, overrides, lang)


def _of_recipe(recipe: Recipe) -> Subject:
    """Return a recipe and its sizes; of the embedded data set, how many examples it has is known."""
    data = recipe.data
    return Subject(
        settings=recipe.sgd,
        recipe=recipe,
        title=recipe.title,
        batch_size=data.batch_size,
        accumulate=recipe.train.accumulate,
        examples=digits_to_learn_from(data.held_out, data.validation) if data.name == "digits" else None,
        epochs=recipe.train.epochs,
        steps=recipe.train.steps,
        normalises=NORMALISES.get(recipe.model.name),
    )


def _of_sentence(text: str, overrides: tuple[Override, ...], lang: str) -> Subject:
    """Return what the most plausible reading of a sentence says, and of its sizes only what it or an override says."""
    from downslope.reading import read  # its word lists are loaded for a sentence only

    readings = read(text, language="zh" if lang == "zh" else "en")
    recipe: Recipe = first_recipe(text, readings)
    if overrides:
        recipe = parse_recipe(to_toml(recipe), "the sentence", overrides)
    said = {*readings[0].fields, *(path for path, _ in overrides)}
    return Subject(
        settings=recipe.sgd,
        recipe=recipe,
        title=_shortened(text),
        batch_size=recipe.data.batch_size if "data.batch_size" in said else None,
        accumulate=recipe.train.accumulate,
        epochs=recipe.train.epochs if "train.epochs" in said else None,
        steps=recipe.train.steps if "train.steps" in said else None,
        notes=tuple(str(remark) for remark in readings[0].remarks),
        normalises=NORMALISES.get(recipe.model.name) if "model.name" in said else None,
    )


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:97]}..."
