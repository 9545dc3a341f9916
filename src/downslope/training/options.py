"""Options of a data set or model, read from the recipe's `options` table as strictly as the recipe itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from downslope.core.errors import DataError
from downslope.recipes.decode import Source, decode

Options = TypeVar("Options")


def read_options(kind: type[Options], options: Mapping[str, Any], table: str) -> Options:
    """Return the frozen dataclass `kind` made from a table of options.

    Args:
        kind: A dataclass; its fields, types and defaults are what is allowed.
        options: The table.
        table: "data" or "model": whose options they are.

    Raises:
        RecipeError: If a key is unknown or missing, or a value is of the wrong type or not allowed.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Noise:
        ...     level: float = 0.1
        >>> read_options(Noise, {"level": 0.5}, "data")
        Noise(level=0.5)
    """
    return decode(kind, dict(options), Source("recipe"), (table, "options"))


def refuse_hidden(name: str, hidden: tuple[int, ...] | None, instead: str) -> None:
    """Raise if a recipe gives `model.hidden` to a model other than `mlp`, which would ignore it.

    Args:
        name: The model.
        hidden: The recipe's `model.hidden`.
        instead: Which of its options to use.

    Raises:
        DataError: If it is given.
    """
    if hidden is not None:
        raise DataError(f"model.hidden: belongs to the model `mlp`; `{name}` takes model.options instead: {instead}.")


def refuse_options(name: str, options: Mapping[str, Any], table: str, hint: str = "") -> None:
    """Raise unless there are no options.

    Args:
        name: The data set or model that takes none.
        options: The table of options.
        table: "data" or "model".
        hint: A sentence on what to do instead.

    Raises:
        DataError: If there is one.
    """
    if options:
        raise DataError(f"{table}.options: `{name}` takes none; got {', '.join(options)}.{hint and ' ' + hint}")
