"""Two update matrices as one rule in two bases: the scale k of the velocity, or what keeps them apart.

What lives here: comparing 2x3 matrices up to v_b = k v_a. What does not: whose matrices they are (`state.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]

TOLERANCE = 1e-12
"""Relative difference that counts as rounding: a coefficient is a product of a few float64 numbers."""

_ROWS, _COLUMNS = ("delta", "velocity"), ("param", "grad", "velocity")


@dataclass(frozen=True, slots=True)
class Basis:
    """How two matrices compare.

    Attributes:
        scale: k with v_b = k v_a, or None where no k makes them one rule.
        read: Whether the velocity is read at all; where it is not, k is 1.
        difference: A sentence on what differs; "" where nothing does.
    """

    scale: float | None
    read: bool
    difference: str = ""


def find_basis(a: Matrix, b: Matrix, scale: float | None = None) -> Basis:
    """Return the k with v_b = k v_a under which two update matrices are the same rule.

    In the basis of b, matrix a is [[dp, dg, dv / k], [k vp, k vg, vv]].

    Args:
        a: Update matrix, shape (2, 3).
        b: Update matrix, shape (2, 3).
        scale: The k that must hold, for a later step of the same two; None to find it.

    Example:
        >>> from downslope import Settings, update_matrix
        >>> outside, inside = (Settings(lr=0.5, momentum=0.9, lr_in_velocity=flag) for flag in (False, True))
        >>> find_basis(update_matrix(outside), update_matrix(inside)).scale
        0.5
    """
    for row, column in ((0, 0), (0, 1), (1, 2)):
        if not _same(a[row, column], b[row, column]):
            if row == 1 and _unread(a, b):
                continue
            return Basis(None, read=True, difference=_say(a, b, row, column))
    if _unread(a, b):
        return Basis(1.0 if scale is None else scale, read=False)
    found = scale
    for row, column, k in _ratios(a, b):
        if k is None:
            return Basis(None, read=True, difference=_say(a, b, row, column))
        if math.isnan(k):
            continue
        if found is not None and not _same(found, k):
            return Basis(None, read=True, difference=f"{_say(a, b, row, column)}, with v_b = {found:.6g} v_a")
        found = k if found is None else found
    return Basis(1.0 if found is None else found, read=True)


def rescaled(matrix: Matrix, k: float) -> Matrix:
    """Return the matrix of the same rule for a velocity that is stored k times as large.

    Args:
        matrix: Update matrix, shape (2, 3).
        k: Factor, not 0.
    """
    import numpy as np

    return np.diag([1.0, k]) @ matrix @ np.diag([1.0, 1.0, 1.0 / k]) + 0.0


def _ratios(a: Matrix, b: Matrix) -> list[tuple[int, int, float | None]]:
    """Return for each coefficient that k scales what k it asks for: NaN for any, None for none."""
    return [
        (0, 2, _ratio(a[0, 2], b[0, 2])),
        (1, 1, _ratio(b[1, 1], a[1, 1])),
        (1, 0, _ratio(b[1, 0], a[1, 0])),
    ]


def _ratio(numerator: Any, denominator: Any) -> float | None:
    if numerator == 0 and denominator == 0:
        return math.nan
    if numerator == 0 or denominator == 0:
        return None
    return float(numerator / denominator)


def _unread(a: Matrix, b: Matrix) -> bool:
    """Return whether neither reads the velocity: not for the step, nor for the next velocity."""
    return bool(a[0, 2] == 0 == b[0, 2] and a[1, 2] == 0 == b[1, 2])


def _same(one: Any, other: Any) -> bool:
    return math.isclose(float(one), float(other), rel_tol=TOLERANCE, abs_tol=0.0)


def _say(a: Matrix, b: Matrix, row: int, column: int) -> str:
    return (
        f"the coefficient of {_COLUMNS[column]} in the new {_ROWS[row]} is {a[row, column]:.6g} in one and "
        f"{b[row, column]:.6g} in the other"
    )
