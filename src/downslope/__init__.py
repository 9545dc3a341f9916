"""Downslope: SGD with momentum and weight decay, one update rule for every framework.

Importing this loads no framework and not even NumPy: each name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from downslope import kernel, schedules
    from downslope.auditing import audit
    from downslope.comparing import compare
    from downslope.converting.state import convert_state
    from downslope.core.groups import Group
    from downslope.core.schedule_free import ScheduleFree
    from downslope.core.settings import Settings, update_matrix
    from downslope.explaining import explain
    from downslope.exporting import export
    from downslope.kernel import get_num_threads, set_num_threads
    from downslope.reading import read
    from downslope.reading.reading import Reading
    from downslope.reading.verdicts import check_reading
    from downslope.recipe.load import load_recipe
    from downslope.recipe.schema import Recipe
    from downslope.rescaling import rescale
    from downslope.training.in_python import open_run, open_study, train, tune

__version__ = "0.2.0"

_HOMES = {
    "ScheduleFree": "downslope.core.schedule_free",
    "Settings": "downslope.core.settings",
    "update_matrix": "downslope.core.settings",
    "Group": "downslope.core.groups",
    "Recipe": "downslope.recipe.schema",
    "get_num_threads": "downslope.kernel",
    "set_num_threads": "downslope.kernel",
    "load_recipe": "downslope.recipe.load",
    "explain": "downslope.explaining",
    "read": "downslope.reading",
    "check_reading": "downslope.reading.verdicts",
    "export": "downslope.exporting",
    "compare": "downslope.comparing",
    "audit": "downslope.auditing",
    "rescale": "downslope.rescaling",
    "Reading": "downslope.reading.reading",
    "convert_state": "downslope.converting.state",
    # what core's classes offer and rooms to its right carry out: see core/settings.py
    "settings_from_convention": "downslope.systems.from_system",
    "arguments_for_convention": "downslope.systems.to_system",
    "open_run": "downslope.training.in_python",
    "open_study": "downslope.training.in_python",
    "train": "downslope.training.in_python",
    "tune": "downslope.training.in_python",
    "show_html": "downslope.notebooks.shown",
    "show_markdown": "downslope.notebooks.shown",
    "show_text": "downslope.notebooks.shown",
}

_MODULES = frozenset({"jax", "keras", "kernel", "numpy", "schedules", "torch"})

__all__ = [
    "Group",
    "Reading",
    "Recipe",
    "ScheduleFree",
    "Settings",
    "__version__",
    "audit",
    "check_reading",
    "compare",
    "convert_state",
    "explain",
    "export",
    "get_num_threads",
    "kernel",
    "load_recipe",
    "open_run",
    "open_study",
    "read",
    "rescale",
    "schedules",
    "set_num_threads",
    "train",
    "tune",
    "update_matrix",
]


def __getattr__(name: str) -> Any:
    """Load a public name, or a framework's optimizer (``downslope.torch``), at first use."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"downslope.{name}")
    raise AttributeError(f"module 'downslope' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted({*__all__, *_MODULES})
