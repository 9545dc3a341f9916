"""Another number of epochs: every schedule is stretched alike; what is counted in examples or steps stays."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from downslope.core.errors import RecipeError
from downslope.core.exact import exact, plain
from downslope.recipe.run_length import steps_in_epoch
from downslope.recipe.schema import Recipe
from downslope.rescaling.intervals import recipe_in_time, whole
from downslope.rescaling.rescaled import differing

_STRETCHED = (
    "every schedule is stretched with the training, so that it is as far at each share of it",
    (
        "as in Hoffer et al. 2017 (arXiv 1705.08741); weight_decay stays, whose best value is about constant in "
        "epochs: Wang & Aitchison 2024 (arXiv 2405.13698)"
    ),
)


def for_epochs(recipe: Recipe, epochs: float, examples: int | None, reasons: dict[str, tuple[str, str]]) -> Recipe:
    """Return the recipe stretched to so many epochs; the reasons of what may change are put into `reasons`.

    Raises:
        RecipeError: If its length is in steps, and the examples in an epoch are not known.
    """
    train = recipe.train
    factor = exact(epochs) / _epochs(recipe, examples)
    after = recipe_in_time(recipe, factor, "step", "epoch")
    reasons |= dict.fromkeys(differing(recipe, after), _STRETCHED)
    reasons["train.epochs"] = reasons["train.steps"] = ("what was asked for", "the new length")
    length = {"epochs": plain(exact(epochs))} if train.steps is None else {"steps": whole(train.steps, factor)}
    return replace(after, train=replace(after.train, **length))


def _epochs(recipe: Recipe, examples: int | None) -> Fraction:
    train = recipe.train
    if train.epochs is not None:
        return exact(train.epochs)
    if examples is None:
        raise RecipeError(
            f"the recipe's length is in steps, `train.steps` = {train.steps}, and how many an epoch has is not known. "
            "Give `examples` (--examples N), the training examples."
        )
    return Fraction(train.steps or 1, steps_in_epoch(examples, recipe.data.batch_size, train.accumulate))
