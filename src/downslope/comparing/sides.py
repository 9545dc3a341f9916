"""What can be compared, as settings in steps: telling recipes, files, sentences, settings, argument lists apart."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from downslope.core.errors import DownslopeError, ExportError, RecipeError
from downslope.core.groups import Group
from downslope.core.schedules.schedule import Schedule
from downslope.core.settings import Settings
from downslope.core.shown import shown
from downslope.exporting.export_plan import make_plan
from downslope.recipe.given import first_recipe, names_a_file, refuse_data, words_of_file
from downslope.recipe.schema import Recipe
from downslope.systems.calls import find_call
from downslope.systems.from_system import settings_from_convention


class EpochUnknownError(RecipeError):
    """A schedule is in epochs, and how many steps one has is not known on this side; the other may know."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two that are compared.

    Attributes:
        name: What to call it.
        settings: Its settings, schedules in steps.
        convention: The system whose arguments it was given in, or "".
        arguments: Those arguments.
        groups: Its groups, schedules in steps.
        recipe: The whole recipe, if it is one.
        total_steps: Steps of its training, if known.
        steps_per_epoch: Steps in its epoch, if known.
        remarks: Sentences on how it was understood.
    """

    name: str
    settings: Settings
    convention: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    groups: tuple[Group, ...] = ()
    recipe: Recipe | None = None
    total_steps: int | None = None
    steps_per_epoch: int | None = None
    remarks: tuple[str, ...] = ()


def make_side(  # noqa: PLR0911 -- one for each kind of thing that can be compared
    given: Any, name: str, *, steps_per_epoch: int | None = None, examples: int | None = None
) -> Side:
    """Return one side of a comparison.

    Args:
        given: `Settings`, a `Recipe`, a `Reading`, a path, or text: an argument list in some convention, a solver, or
            the words of a paper.
        name: What to call it where it has no name of its own.
        steps_per_epoch: Steps in an epoch.
        examples: Training examples, from which they follow.

    Raises:
        DownslopeError: If it is none of these, or its schedules are in epochs whose steps nobody knows.
    """
    if isinstance(given, Settings):
        return Side(name=name, settings=_in_steps(given, name, steps_per_epoch))
    if isinstance(given, Recipe):
        return _of_recipe(given, given.title or name, steps_per_epoch, examples)
    if hasattr(given, "recipe") and hasattr(given, "fields"):
        return _of_recipe(given.recipe(), name, steps_per_epoch, examples)
    if isinstance(given, os.PathLike):
        return _of_file(os.fspath(given), steps_per_epoch, examples)
    if not isinstance(given, str):
        raise RecipeError(
            f"{name}: cannot be compared: got a {type(given).__name__}. Give Settings, a Recipe, a Reading, a path, a "
            'sentence, or arguments such as "torch: SGD(lr=0.1, momentum=0.9)".'
        )
    if not given.strip():
        raise RecipeError(f"{name}: the text is empty. Give a recipe file, a sentence, or arguments.")
    call = find_call(given)
    if call is not None:
        convention, arguments, written = call
        settings = settings_from_convention(convention, arguments)
        settings = _in_steps(settings, written, steps_per_epoch)
        if steps_per_epoch is not None:
            arguments = {
                key: value.in_steps(steps_per_epoch) if isinstance(value, Schedule) else value
                for key, value in arguments.items()
            }
        return Side(name=written, settings=settings, convention=convention, arguments=arguments)
    if "\n" not in given and _is_file(given):
        return _of_file(os.fspath(given), steps_per_epoch, examples)
    refuse_data(given)
    return _of_words(given, steps_per_epoch, examples)


def _of_recipe(recipe: Recipe, name: str, steps_per_epoch: int | None, examples: int | None) -> Side:
    try:
        plan = make_plan(recipe, with_model=False, steps_per_epoch=steps_per_epoch, examples=examples)
        settings, groups = plan.settings, tuple(group for group, _ in plan.groups)
    except ExportError as error:
        raise RecipeError(f"{name}: {error}") from None
    epochs = settings != recipe.sgd or any(_has_epochs(group.changes().values()) for group in groups)
    if plan.steps_per_epoch is not None:
        groups = tuple(group.in_steps(plan.steps_per_epoch) for group in groups)
    remarks = (plan.counted,) if epochs else ()
    return Side(
        name=name,
        settings=settings,
        groups=groups,
        recipe=recipe,
        total_steps=plan.total_steps,
        steps_per_epoch=plan.steps_per_epoch,
        remarks=remarks,
    )


def _is_file(given: str) -> bool:
    """Return whether a text names a file, or a recipe that comes with the package."""
    from downslope.recipe.known import comes_with_package

    return names_a_file(given) or given.endswith((".toml", ".prototxt")) or comes_with_package(given) is not None


def _of_file(given: str, steps_per_epoch: int | None, examples: int | None) -> Side:
    from downslope.recipe.known import comes_with_package
    from downslope.recipe.load import load_recipe

    if given.endswith(".toml") or comes_with_package(given) is not None:
        return _of_recipe(load_recipe(given), given, steps_per_epoch, examples)
    refuse_data(given)
    return _of_words(words_of_file(given), steps_per_epoch, examples)


def _of_words(text: str, steps_per_epoch: int | None, examples: int | None) -> Side:
    from downslope.reading import read

    readings = read(text, language="en")
    name = shown(" ".join(text.split()), limit=80)
    try:
        recipe = first_recipe(text, readings)
    except DownslopeError as error:
        message = str(error)
        raise RecipeError(message if message.startswith(f"{name}: ") else f"{name}: {message}") from None
    side = _of_recipe(recipe, name, steps_per_epoch, examples)
    if len(readings) == 1:
        return side
    remark = f"has {len(readings)} readings, and the first is compared; `downslope read` shows them"
    return replace(side, remarks=(*side.remarks, remark))


def _in_steps(settings: Settings, name: str, steps_per_epoch: int | None) -> Settings:
    if not _has_epochs(getattr(settings, one.name) for one in fields(settings)):
        return settings
    if steps_per_epoch is None:
        raise EpochUnknownError(
            f"{name}: a schedule is in epochs, and how many steps one has is not known. Give --steps-per-epoch N (in "
            "Python steps_per_epoch=N)."
        )
    return settings.in_steps(steps_per_epoch)


def _has_epochs(values: Any) -> bool:
    return any(isinstance(value, Schedule) and value.in_epochs() for value in values)


def make_sides(a: Any, b: Any, *, steps_per_epoch: int | None, examples: int | None) -> tuple[Side, Side]:
    """Return both sides; where one does not know its epoch, that of the other is taken.

    Args:
        a: The first, as `make_side` takes it.
        b: The second.
        steps_per_epoch: Steps in an epoch.
        examples: Training examples, from which they follow.

    Raises:
        DownslopeError: As `make_side`.
    """
    sides: list[Side | EpochUnknownError] = []
    for given, name in ((a, "the first"), (b, "the second")):
        try:
            sides.append(make_side(given, name, steps_per_epoch=steps_per_epoch, examples=examples))
        except EpochUnknownError as error:
            sides.append(error)
    known = next((side.steps_per_epoch for side in sides if isinstance(side, Side)), None)
    for place, (given, name) in enumerate(((a, "the first"), (b, "the second"))):
        side = sides[place]
        if isinstance(side, EpochUnknownError):
            if known is None:
                raise side
            sides[place] = make_side(given, name, steps_per_epoch=known)
    one, two = sides
    if isinstance(one, Side) and isinstance(two, Side):
        return one, two
    raise RecipeError("neither side knows its epoch. Give --steps-per-epoch N (in Python steps_per_epoch=N).")


def longest(sides: tuple[Side, Side]) -> int | None:
    """Return the steps of the longer training of the two that are known, or None."""
    known = [side.total_steps for side in sides if side.total_steps is not None and side.total_steps < math.inf]
    return max(known, default=None)
