"""From what is searched to a recipe: effective lr, timescale and horizon become lr, weight_decay and momentum.

The three decouple (Wang & Aitchison 2024): how far a gradient moves a weight, how long weights remember, how long the
velocity does. The formulas are the theory's own, solved for the number that a recipe holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from downslope.core.errors import RecipeError
from downslope.core.schedule_free import ScheduleFree, refuse_schedule_free
from downslope.core.schedules.schedule import Schedule, scaled
from downslope.core.settings import Settings
from downslope.core.tables import Source, decode, to_table
from downslope.recipe.overrides import apply_overrides
from downslope.recipe.run_length import steps_in_epoch
from downslope.recipe.schema import Recipe
from downslope.theory.forgetting import forgotten_per_step, in_epochs
from downslope.theory.velocity import effective_lr, velocity_horizon
from downslope.training.tuning.space import COORDINATES, Dimension, Value, read_dimension


def default_space(recipe: Recipe, epochs: float) -> tuple[Dimension, ...]:
    """Return what an expert would search: each coordinate around the recipe's own, or the plain numbers.

    Args:
        recipe: The recipe.
        epochs: How many epochs its run has.

    Raises:
        RecipeError: If there is no lr above 0 to search around, or a schedule of momentum in the way.
    """
    sgd, lr = recipe.sgd, _peak(recipe.sgd.lr)
    if recipe.tune is None or recipe.tune.coordinates == "decoupled":
        refuse_schedule_free(
            sgd, 'it has no effective lr to search. Give tune.coordinates = "raw", or --search with paths.'
        )
    if lr <= 0:
        raise RecipeError("tune: sgd.lr is 0, and the search is around the recipe's own. Give an lr above 0.")
    if isinstance(sgd.momentum, Schedule):
        raise RecipeError("tune: sgd.momentum is a schedule. Say what is searched with --search, such as sgd.lr.")
    if recipe.tune is not None and recipe.tune.coordinates == "raw":
        forms = {
            "sgd.lr": f"log({lr / 100:.3g}, {lr * 100:.3g})",
            "sgd.weight_decay": "log(1e-6, 1e-1)",
            "sgd.momentum": "uniform(0.1, 0.99)" if _needs_momentum(sgd) else "uniform(0.0, 0.99)",
        }
    else:
        gain, batch = _gain(sgd, sgd.momentum) * lr, recipe.data.batch_size * recipe.train.accumulate
        forms = {
            "effective_lr": f"log({gain / 100:.3g}, {gain * 100:.3g})",
            "decay_epochs": f"log({min(1.0, epochs):.3g}, {100 * epochs:.3g})",
            "velocity_examples": f"log({(1.1 if _needs_momentum(sgd) else 1) * batch:.6g}, {100 * batch})",
        }
    return tuple(read_dimension(name, form) for name, form in forms.items())


def recipe_at(recipe: Recipe, point: Mapping[str, Value], examples: int) -> Recipe:
    """Return the recipe at a point of the search.

    Args:
        recipe: The recipe.
        point: Values by dimension.
        examples: How many there are to learn from: they say what an epoch is.

    Raises:
        RecipeError: If the recipe does not allow a value; the message says which.
    """
    overrides = [(name, _text(value)) for name, value in point.items() if name not in COORDINATES]
    plain = [one for one in overrides if not _is_peak(recipe, *one)]
    for name, text in overrides:
        if (name, text) not in plain:  # a schedule keeps its shape: its largest value is what is searched
            recipe = _with(recipe, name, float(text))
    table = apply_overrides(to_table(recipe), plain)
    recipe = decode(Recipe, table, Source("search", tuple(name for name, _ in plain)))
    if not any(name in COORDINATES for name in point):
        return recipe
    if isinstance(recipe.sgd.momentum, Schedule):
        raise RecipeError(f"search: {', '.join(COORDINATES)} need a momentum that is a number. Search sgd.lr instead.")
    # Momentum first, then lr, then decay: each formula takes those before it as they are.
    if "velocity_examples" in point:
        batch = recipe.data.batch_size * recipe.train.accumulate
        momentum = 1 - batch / float(point["velocity_examples"])
        if momentum < 0:
            raise RecipeError(
                f"search: velocity_examples = {point['velocity_examples']} is less than the {batch} examples of a step."
            )
        recipe = replace(recipe, sgd=replace(recipe.sgd, momentum=momentum))
    momentum = float(recipe.sgd.momentum)  # type: ignore[arg-type]
    if "effective_lr" in point:
        recipe = _with(recipe, "sgd.lr", float(point["effective_lr"]) / _gain(recipe.sgd, momentum))
    if "decay_epochs" in point:
        steps = float(point["decay_epochs"]) * steps_in_epoch(examples, recipe.data.batch_size, recipe.train.accumulate)
        per_unit = _forgotten(recipe.sgd, weight_decay=1.0)
        recipe = _with(recipe, "sgd.weight_decay", 1 / (steps * per_unit))
    return recipe


def coordinates_of(recipe: Recipe, examples: int) -> dict[str, float]:
    """Return where a recipe lies: effective lr, timescale in epochs and horizon in examples, at its largest lr."""
    sgd, momentum = recipe.sgd, recipe.sgd.momentum
    if isinstance(momentum, Schedule) or isinstance(sgd, ScheduleFree):
        return {}
    batch = recipe.data.batch_size * recipe.train.accumulate
    forgotten = _forgotten(sgd, _peak(sgd.weight_decay))
    per_epoch = steps_in_epoch(examples, recipe.data.batch_size, recipe.train.accumulate)
    return {
        "effective_lr": _peak(sgd.lr) * _gain(sgd, momentum),
        "decay_epochs": in_epochs(1 / forgotten, per_epoch) if forgotten else float("inf"),
        "velocity_examples": velocity_horizon(momentum) * batch,
    }


def _forgotten(sgd: Settings, weight_decay: float) -> float:
    scalars = sgd.scalars_from(
        lr=_peak(sgd.lr), momentum=sgd.momentum, weight_decay=weight_decay, dampening=sgd.dampening
    )
    return forgotten_per_step(scalars)


def _gain(sgd: Settings, momentum: float) -> float:
    return effective_lr(1.0, momentum, sgd.dampening, nesterov=sgd.nesterov, nu=sgd.nu)


def _needs_momentum(sgd: Settings) -> bool:
    return sgd.nesterov or sgd.nu is not None or sgd.dampening > 0 or isinstance(sgd, ScheduleFree)


def _peak(value: float | Schedule) -> float:
    return value.extremes()[1] if isinstance(value, Schedule) else value


def _is_peak(recipe: Recipe, path: str, text: str) -> bool:
    """Whether a value is the largest of a schedule of the recipe's: a number, not a schedule or a word."""
    name = path.removeprefix("sgd.")
    if name == path or not isinstance(getattr(recipe.sgd, name, None), Schedule):
        return False
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _with(recipe: Recipe, path: str, value: float) -> Recipe:
    """Return the recipe with a number, or a schedule whose largest value it is, in the place of another."""
    name = path.removeprefix("sgd.")
    old = getattr(recipe.sgd, name)
    if isinstance(old, Schedule):
        if _peak(old) <= 0:
            raise RecipeError(f"search: {path} is a schedule that never rises above 0. Give it as a number.")
        value = scaled(old, value / _peak(old))
    return replace(recipe, sgd=replace(recipe.sgd, **{name: value}))


def _text(value: Value) -> str:
    return value if isinstance(value, str) else repr(value)
