"""A recipe from its TOML, a file's or a text's, with the command line's overrides; and back to TOML."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from typing import Any

from downslope.core.errors import RecipeError
from downslope.core.tables import Source, decode, expand_names, to_table
from downslope.recipe.given import read_recipe
from downslope.recipe.known import DEFAULT, comes_with_package, known_text
from downslope.recipe.overrides import HUGE, Override, apply_overrides, check_integers, too_many_digits
from downslope.recipe.schema import Recipe

INHERITED = "settings inherited from"
"""How the source of a recipe begins whose data or model the command line has replaced."""


def load_recipe(path: str | os.PathLike[str] | None = None, overrides: Iterable[Override] = ()) -> Recipe:
    """Return the recipe of a TOML file.

    Args:
        path: The file; or the name of a recipe that comes with the package, such as "digits-cosine-warmup" (see
            `downslope recipes`), where there is no such file; None for the default, "digits".
        overrides: Pairs of a dotted path and a TOML value as text, e.g. ``[("sgd.lr", "0.05")]``; they win over the
            file.

    Returns:
        The recipe, every default filled in.

    Raises:
        RecipeError: If the file cannot be read, is not TOML, or is no recipe; the message says where.

    Example:
        >>> from downslope import load_recipe
        >>> load_recipe(overrides=[("sgd.momentum", "0.95")]).sgd.momentum
        0.95
    """
    known = comes_with_package(path)
    if path is None:
        name, text = "the default recipe", known_text(DEFAULT)
    elif known is not None:
        name, text = f"the recipe `{known}`", known_text(known)
    else:
        name, text = str(path), read_recipe(path)
    return parse_recipe(text, name, overrides)


def parse_recipe(text: str, name: str = "recipe", overrides: Iterable[Override] = ()) -> Recipe:
    """Return the recipe of a TOML text.

    Args:
        text: TOML.
        name: What to call the text in messages.
        overrides: As in `load_recipe`.

    Raises:
        RecipeError: As in `load_recipe`.
    """
    overrides = list(overrides)
    source = Source(name, tuple(path for path, _ in overrides) if overrides else (), Recipe)
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tomllib lets int()'s and the stack's own errors through
        if digits := too_many_digits(text):
            raise RecipeError(f"{name}: not valid TOML: {HUGE} got one of {digits:,} digits.") from None
        raise RecipeError(f"{name}: not valid TOML: {error}.") from None
    check_integers(table, lambda path: Source(name).place(path[:-1]), name)
    if overrides:
        table = _of_another_problem(expand_names(Recipe, table), apply_overrides(table, overrides), source)
    return decode(Recipe, table, source)


def to_toml(recipe: Any) -> str:
    """Return the recipe as TOML, every default written out and None (off) left out; it loads as an equal recipe.

    Args:
        recipe: A `Recipe`, or any of its tables.
    """
    import tomli_w  # deferred: reading a recipe writes none

    return tomli_w.dumps(to_table(recipe))


def _of_another_problem(before: dict[str, Any], after: dict[str, Any], source: Source) -> dict[str, Any]:
    """Return a recipe's table whose title and source are not those of another problem.

    A recipe's title and source speak of its data and model. Where the command line has replaced one of these, they are
    no longer true: the title goes, and the source says which settings were made for something else.
    """
    replaced = [
        f"{table}.name"
        for table in Recipe.NAMED
        if _name_in(after.get(table)) != (was := _name_in(before.get(table))) and was is not None
    ]
    if not replaced:
        return after
    model = after.get("model")
    asked = source.sets(("model",)) or source.sets(("model", "hidden"))
    if "model.name" in replaced and isinstance(model, dict) and not asked:
        after = {**after, "model": {key: value for key, value in model.items() if key != "hidden"}}  # it was the mlp's
    kept = [key for key in ("sgd", "groups", "train", "model", "data") if key in before and key in after]
    inherited = [
        f"{table}.{key}" if isinstance(before[table], dict) else table
        for table in kept
        for key in (before[table] if isinstance(before[table], dict) else [table])
        if not (isinstance(before[table], dict) and (before[table][key] != _inside(after[table], key) or key == "name"))
    ]
    words = f"{INHERITED} {source.file}, made for {_made_for(before)}: "
    result = {key: value for key, value in after.items() if key not in {"title", "source"} or source.sets((key,))}
    return {"source": words + ", ".join(inherited), **result}


def _name_in(table: Any) -> Any:
    return table.get("name") if isinstance(table, dict) else table


def _inside(table: Any, key: str) -> Any:
    return table.get(key) if isinstance(table, dict) else None


def _made_for(table: dict[str, Any]) -> str:
    names = (_name_in(table.get(key)) for key in Recipe.NAMED)
    return " and ".join(f"{key} {name!r}" for key, name in zip(Recipe.NAMED, names, strict=True) if name is not None)
