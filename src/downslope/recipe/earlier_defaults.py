"""Defaults that have changed, and what a run means that began before they did.

A run writes every such option into its recipe. So a run whose recipe does not state it is from before, and goes on as
it began; a new run of a recipe that does not state it takes today's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from downslope.recipe.schema import Recipe

_SCALED = "standardize_target"
"""Of a table whose target is a number: it was false, and is true with `train.loss = "mse"`."""


def settle(recipe: Recipe, begun: Mapping[str, Any] | None = None) -> Recipe:
    r"""Return a recipe with the options stated whose default has changed.

    Args:
        recipe: The recipe.
        begun: The recipe that the run began with, as a table, if it has begun.

    Example:
        >>> from downslope.recipe.load import parse_recipe
        >>> text = '[data]\nname = "table"\n[sgd]\nlr = 0.1\n[train]\nepochs = 1\nloss = "mse"\n'
        >>> new, old = settle(parse_recipe(text)), settle(parse_recipe(text), {"data": {"name": "table"}})
        >>> new.data.options["standardize_target"], old.data.options["standardize_target"]
        (True, False)
    """
    data = recipe.data
    if data.name != "table" or recipe.train.loss != "mse" or _SCALED in data.options:
        return recipe
    if begun is None:
        value: Any = True
    else:
        table = begun.get("data", {})
        value = table.get("options", {}).get(_SCALED, False) if isinstance(table, Mapping) else False
    return replace(recipe, data=replace(data, options={**data.options, _SCALED: value}))
