"""Downslope: SGD with momentum and weight decay, one update rule for every framework.

Importing this loads no framework and not even NumPy: each name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from downslope import schedules
    from downslope.core.groups import Group
    from downslope.core.rule import update_matrix
    from downslope.core.settings import Settings
    from downslope.exchange.state import convert_state
    from downslope.recipes.compare import compare
    from downslope.recipes.decode import load_recipe
    from downslope.recipes.export import export
    from downslope.recipes.read import read
    from downslope.recipes.reading.reading import Reading
    from downslope.recipes.schema import Recipe

__version__ = "0.1.0"

_HOMES = {
    "Settings": "downslope.core.settings",
    "update_matrix": "downslope.core.rule",
    "Group": "downslope.core.groups",
    "Recipe": "downslope.recipes.schema",
    "load_recipe": "downslope.recipes.decode",
    "convert_state": "downslope.exchange.state",
    "read": "downslope.recipes.read",
    "export": "downslope.recipes.export",
    "compare": "downslope.recipes.compare",
    "Reading": "downslope.recipes.reading.reading",
}

_PROVIDED = {  # what core's classes offer and other rooms carry out; see core/provided.py
    "settings_from_convention": "downslope.exchange.reading",
    "arguments_for_convention": "downslope.exchange.writing",
}

__all__ = [
    "Group",
    "Reading",
    "Recipe",
    "Settings",
    "__version__",
    "compare",
    "convert_state",
    "export",
    "load_recipe",
    "read",
    "schedules",
    "update_matrix",
]


def __getattr__(name: str) -> Any:
    """Load a public name, or one of the front doors (``downslope.torch``), at first use."""
    if (home := _HOMES.get(name) or _PROVIDED.get(name)) is not None:
        return getattr(importlib.import_module(home), name)
    if name in {"schedules", "numpy", "torch"}:
        return importlib.import_module(f"downslope.{name}")
    raise AttributeError(f"module 'downslope' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return [*__all__, "numpy", "torch"]
