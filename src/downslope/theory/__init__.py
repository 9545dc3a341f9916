"""The formulas about SGD with momentum and weight decay: one function each, with its validity and its source.

What lives here: `FORMULAS`, every formula's card by its name; the files beside it hold the formulas. What does not: the
update rule (`core/rule.py`), which tests hold each formula against, and what is said of a recipe (`explain.py`).
"""

from __future__ import annotations

from downslope.theory import batch, direction, edge, forgetting, quadratic, rotation, stability, velocity
from downslope.theory.formula import FORMULAS, Formula

__all__ = [
    "FORMULAS",
    "Formula",
    "batch",
    "direction",
    "edge",
    "forgetting",
    "quadratic",
    "rotation",
    "stability",
    "velocity",
]
