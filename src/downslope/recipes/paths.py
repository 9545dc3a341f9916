"""Every dotted path of a recipe, such as ``sgd.lr`` or ``train.early_stop.patience``, read off the tables themselves.

What lives here: the list, for suggestions and help texts. What does not: reading or setting what stands at a path.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, get_args, get_type_hints

from downslope.core.schedules import Schedule
from downslope.recipes.schema import Recipe


@lru_cache
def recipe_paths() -> tuple[str, ...]:
    """Return the dotted paths of all keys that a recipe may have, tables left out, in the recipe's order.

    Example:
        >>> [path for path in recipe_paths() if path.startswith("checkpoint.")]
        ['checkpoint.every_steps', 'checkpoint.every_seconds', 'checkpoint.keep']
    """
    return tuple(_paths(Recipe, ()))


def top_level_keys() -> tuple[str, ...]:
    """Return the keys that stand at the top of a recipe: ``seed``, ``title`` and the names of the tables."""
    return tuple(field.name for field in fields(Recipe))


def _paths(table: type[Any], path: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for name, hint in get_type_hints(table).items():
        if name not in {field.name for field in fields(table)}:
            continue
        inside = (*path, name)
        tables = [
            kind
            for kind in (hint, *get_args(hint))
            if is_dataclass(kind) and isinstance(kind, type) and kind is not Schedule
        ]
        if tables and hint == tuple[tables[0], ...]:
            found.append(".".join(inside))  # a list of tables is set as a whole, or by an index that is not known here
        elif tables:
            found += _paths(tables[0], inside)
        else:
            found.append(".".join(inside))
    return found
