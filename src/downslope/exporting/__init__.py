"""`export`: a recipe as code that somebody of another framework's community would write.

A target is a row of `TARGETS`, a file beside this one that says what its program has, and a template in templates/.
Nothing here imports a framework; tests execute what is written.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from downslope.core.errors import ExportError, SettingsError, did_you_mean, one_of
from downslope.core.schedule_free import ScheduleFree
from downslope.exporting.export_plan import Plan, make_plan
from downslope.recipe.load import load_recipe
from downslope.recipe.schema import Recipe

TARGETS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "torch": ("torch", "write_torch"),
        "keras": ("keras", "write_keras"),
        "tensorflow": ("keras", "write_tensorflow"),
        "optax": ("optax", "write_optax"),
        "timm": ("timm", "write_timm"),
        "caffe": ("caffe", "write_caffe"),
        "downslope": ("downslope", "write_downslope"),
    }
)
"""Target -> its file in `exporting`, and the function there that writes the program."""

_OTHER_NAMES = {"pytorch": "torch", "jax": "optax", "tf": "tensorflow", "tf.keras": "tensorflow"}


def export(
    recipe: Any,
    to: str,
    *,
    with_model: bool = False,
    steps_per_epoch: int | None = None,
    examples: int | None = None,
) -> str:
    """Return a recipe as code for another framework.

    Args:
        recipe: A `Recipe`, a `Reading`, or the path of a recipe file.
        to: "torch", "keras", "tensorflow", "optax", "timm", "caffe" or "downslope".
        with_model: Whether the default classifier on the digits and its training belong to the program.
        steps_per_epoch: Steps in an epoch, for schedules in epochs; without it those of the embedded digits.
        examples: Training examples, from which the steps in an epoch follow.

    Returns:
        The program's text. What the target cannot do exactly has a comment that says what was done instead.

    Raises:
        ExportError: If the target is unknown, or cannot express the recipe; the message says what, and what is nearest.
        RecipeError: If the recipe cannot be read.

    Example:
        >>> from downslope import export, load_recipe
        >>> "step_size=1000, gamma=0.1" in export(load_recipe(), to="torch")
        True
    """
    target = _OTHER_NAMES.get(to, to) if isinstance(to, str) else ""
    if target not in TARGETS:
        raise ExportError(f"`to` must be {one_of(TARGETS)}; got {to!r}.{did_you_mean(str(to), TARGETS)}")
    if not isinstance(with_model, bool):
        raise ExportError(f"`with_model` must be True or False; got {with_model!r}.")
    file, function = TARGETS[target]
    recipe = _recipe(recipe)
    _check_factors(recipe, target)
    write: Callable[[Plan], str] = getattr(importlib.import_module(f"downslope.exporting.{file}"), function)
    plan = make_plan(recipe, with_model=with_model, steps_per_epoch=steps_per_epoch, examples=examples)
    try:
        if isinstance(plan.recipe.sgd, ScheduleFree):
            from downslope.exporting.schedule_free import write_schedule_free

            return write_schedule_free(plan, target)
        return write(plan)
    except SettingsError as error:  # of the same rule said in the target's way
        raise ExportError(f"{target} cannot express these settings: {error} Or export to downslope.") from None


def _check_factors(recipe: Recipe, target: str) -> None:
    """Raise if gradients have factors by the norm of each tensor, and the target has no function for them."""
    for settings in (recipe.sgd, *(group.apply(recipe.sgd) for group in recipe.groups)):
        has_some = target in {"timm", "optax"}
        by_unit = settings.adaptive_clip_by == "unit" and has_some
        named = ["trust_coefficient"] if settings.trust_coefficient and not has_some else []
        named += ["adaptive_clip"] if settings.adaptive_clip and not by_unit else []
        if named and target != "downslope":
            unit = settings.adaptive_clip_by == "unit" and named[0] == "adaptive_clip"
            nearest = _NEAREST["by_unit" if unit else named[0]]
            raise ExportError(f"{target}: sgd.{named[0]} {nearest} Export to downslope, or leave it out.")


_NEAREST: Mapping[str, str] = MappingProxyType(
    {
        "trust_coefficient": "is not written out. Export to timm, whose Lars is the same, or to optax, whose ratio is "
        "of the norm of the decayed gradient.",
        "by_unit": "of each unit is not written out. Export to timm or optax, which have the same.",
        "adaptive_clip": "of each tensor as a whole is not written out. Nearest: timm.utils.agc.adaptive_clip_grad and "
        'optax.adaptive_grad_clip, which clip each unit: sgd.adaptive_clip_by = "unit".',
    }
)
"""What comes near in other systems, and how it differs."""


def _recipe(given: Any) -> Recipe:
    if isinstance(given, Recipe):
        return given
    if hasattr(given, "recipe"):
        return given.recipe()
    if given is None or isinstance(given, str) or hasattr(given, "__fspath__"):
        return load_recipe(given)
    raise ExportError(f"`recipe` must be a Recipe, a Reading or a path; got a {type(given).__name__}.")
