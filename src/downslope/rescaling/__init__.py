"""`rescale`: the same training with another batch size, on more devices, or over another number of epochs.

`batch.py` and `length.py` say what becomes of each key, `limits.py` how far that is known to hold, `rescaled.py`
what is returned.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from downslope.core.checks import is_integer
from downslope.core.errors import RecipeError, one_of
from downslope.core.schedule_free import refuse_schedule_free
from downslope.recipe.load import load_recipe
from downslope.recipe.run_length import digits_to_learn_from
from downslope.recipe.schema import Recipe
from downslope.rescaling.batch import RULES, for_batch
from downslope.rescaling.length import for_epochs
from downslope.rescaling.limits import limits
from downslope.rescaling.rescaled import Rescaled, changes_between
from downslope.rescaling.warmup import with_warmup


def rescale(
    recipe: Recipe | str | os.PathLike[str],
    *,
    batch_size: int | None = None,
    devices: int | None = None,
    epochs: float | None = None,
    rule: Literal["linear", "sqrt", "half-life"] = "linear",
    warmup: float | None = None,
    examples: int | None = None,
    curvature: float | None = None,
) -> Rescaled:
    """Return a recipe for another batch size, number of devices or length, with every change and its source.

    Args:
        recipe: A recipe, the path of its file, or the name of one that comes along.
        batch_size: The new `data.batch_size`.
        devices: In place of `batch_size`: as many devices, each with the batch that the recipe has.
        epochs: The new length; every length of a schedule is stretched alike.
        rule: How lr goes with the batch: "linear", "sqrt", or "half-life" (linear, and the velocity remembers as many
            examples as before).
        warmup: Epochs of a warmup to add, from the old lr to the new (Goyal et al. 2017: 5).
        examples: Training examples in an epoch, where the recipe does not say; to turn steps into epochs, and for what
            is said about limits.
        curvature: The largest curvature of the loss, if it was measured: from which batch on steps diverge.

    Returns:
        What it is; `.recipe` is the new recipe, `.changes` what changed, and `.to_toml()` both as a file.

    Raises:
        RecipeError: If nothing is asked for, or something that the recipe does not allow; the message says what to do.

    Example:
        >>> from downslope import rescale
        >>> found = rescale("digits", batch_size=64)
        >>> found.recipe.sgd.lr.initial, found.recipe.sgd.lr.every
        (0.2, 500)
        >>> found.changes[0].path, found.changes[0].before, found.changes[0].after
        ('data.batch_size', 32, 64)
    """
    before = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    _check(batch_size, devices, epochs, rule, warmup, examples, curvature)
    refuse_schedule_free(
        before.sgd,
        "no rule is known by which its lr goes with the batch, and its average with the length. Search sgd.lr anew, "
        "with downslope tune.",
    )
    if examples is None and before.data.name == "digits":
        examples = digits_to_learn_from(before.data.held_out)
    reasons: dict[str, tuple[str, str]] = {}
    remarks: list[str] = []
    after = before
    if epochs is not None:
        after = for_epochs(after, epochs, examples, reasons)
    if batch_size is not None or devices is not None:
        size = batch_size if batch_size is not None else before.data.batch_size * (devices or 1)
        step = size * before.train.accumulate
        if examples is not None and step > examples:
            raise RecipeError(
                f"a batch of {size:,}{_accumulated(before)} is more than the {examples:,} training examples. Give at "
                f"most {examples // before.train.accumulate:,}."
            )
        after = for_batch(after, size, rule, reasons, remarks, devices=devices)
    moved: dict[str, str] = {}
    if warmup is not None:
        after = with_warmup(before, after, warmup, reasons, moved)
    remarks += limits(before, after, rule, examples=examples, curvature=curvature, warmup=warmup)
    return Rescaled(before, after, changes_between(before, after, reasons, moved), tuple(remarks))


def _accumulated(recipe: Recipe) -> str:
    count = recipe.train.accumulate
    return f", times the {count} that are accumulated," if count > 1 else ""


def _check(batch_size: Any, devices: Any, epochs: Any, rule: Any, warmup: Any, examples: Any, curvature: Any) -> None:
    """Raise `RecipeError` unless the arguments are what they may be, and something is asked for."""
    for name, value in (("batch_size", batch_size), ("devices", devices), ("examples", examples)):
        if value is not None and (not is_integer(value) or value < 1):
            raise RecipeError(f"`{name}` must be an integer >= 1; got {value!r}.")
    for name, value in (("epochs", epochs), ("warmup", warmup), ("curvature", curvature)):
        number = not isinstance(value, bool) and isinstance(value, int | float)
        if value is not None and not (number and 0 < value < float("inf")):
            raise RecipeError(f"`{name}` must be a number above 0; got {value!r}.")
    if rule not in RULES:
        raise RecipeError(f"`rule` must be {one_of(RULES)}; got {rule!r}.")
    _check_asked(batch_size, devices, epochs, rule, warmup, curvature)


def _check_asked(batch_size: Any, devices: Any, epochs: Any, rule: Any, warmup: Any, curvature: Any) -> None:
    """Raise `RecipeError` if nothing is asked for, one thing twice, or something that goes with another."""
    if batch_size is not None and devices is not None:
        raise RecipeError("`batch_size` and `devices` both set the batch. Give one of the two.")
    if batch_size is None and devices is None:
        if epochs is None:
            raise RecipeError("nothing to rescale to: give `batch_size`, `devices` or `epochs`.")
        for name, value, unset in (("rule", rule, "linear"), ("warmup", warmup, None), ("curvature", curvature, None)):
            if value != unset:
                raise RecipeError(f"`{name}` belongs to another batch size: give `batch_size` or `devices` too.")
