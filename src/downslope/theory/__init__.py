"""The formulas about SGD with momentum and weight decay: one function each, with its condition and its source.

`FORMULAS` has the card of each by its name. Tests hold every formula against the update rule itself.
"""

from __future__ import annotations

from downslope.theory import batch, direction, forgetting, quadratic, rotation, stability, velocity
from downslope.theory.formula import FORMULAS, Formula

__all__ = ["FORMULAS", "Formula", "batch", "direction", "forgetting", "quadratic", "rotation", "stability", "velocity"]
