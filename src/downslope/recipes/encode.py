"""From a recipe back to TOML. Decoding what this prints gives an equal recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import tomli_w

from downslope.core.schedules import Schedule


def to_toml(recipe: Any) -> str:
    """Return the recipe as TOML, every default written out; what is None (off) is left out.

    Args:
        recipe: A `Recipe`, or any of its tables.
    """
    return tomli_w.dumps(to_table(recipe))


def to_table(value: Any) -> Any:
    """Return a recipe, table or schedule as plain dicts, lists and numbers, without what is None."""
    if is_dataclass(value) and not isinstance(value, type):
        table = {
            field.name: to_table(item) for field in fields(value) if (item := getattr(value, field.name)) is not None
        }
        return {"schedule": value.name, **table} if isinstance(value, Schedule) else table
    if isinstance(value, Mapping):
        return {key: to_table(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_table(item) for item in value]
    return value
