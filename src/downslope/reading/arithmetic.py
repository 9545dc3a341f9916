"""Operators on plain numbers, texts and lists, with bounds: nothing that could grow without end is computed."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any, TypeGuard

LONGEST_INTEGER = 10**18
MOST_ITEMS = 2000


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number, and no truth."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def power(base: Any, exponent: Any) -> Any:
    """Return a power, or None where it is too large or no real number."""
    bits = min(abs(base), LONGEST_INTEGER**4).bit_length() if isinstance(base, int) else 0
    if abs(exponent) > 10_000 or (isinstance(exponent, int) and bits * exponent > 200):
        return float(base) ** exponent if abs(exponent) < 10_000 else None
    found = base**exponent
    return None if isinstance(found, complex) else found


_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: power,
    ast.LShift: lambda base, places: base << places if 0 <= places < 64 and abs(base) < LONGEST_INTEGER else None,
}  # fmt: skip


def operate(sign: ast.operator, left: Any, right: Any) -> Any:
    """Return `left sign right`, or None where that cannot be done.

    Example:
        >>> operate(ast.Mult(), 0.1, 3), operate(ast.Pow(), 10, 10**10)
        (0.3, None)
    """
    function = _BINARY.get(type(sign))
    if function is None or _grows(sign, left, right):
        return None
    return bounded(function, left, right)


def bounded(function: Callable[..., Any], *given: Any) -> Any:
    """Return what a function gives, or None where that cannot be or is too large; 0.1 * 0.1 is 0.01 for a person."""
    try:
        found = function(*given)
    except (ArithmeticError, TypeError, ValueError, MemoryError):
        return None
    if isinstance(found, float):
        shorter = float(f"{found:.12g}") if math.isfinite(found) else None
        return shorter if shorter is None or abs(found - shorter) <= 1e-12 * abs(found) else found
    return None if isinstance(found, int) and abs(found) > LONGEST_INTEGER else found


def _grows(sign: ast.operator, left: Any, right: Any) -> bool:
    """Whether the result is a long text or list."""
    sizes = [len(side) for side in (left, right) if isinstance(side, str | list | tuple)]
    if isinstance(sign, ast.Mult) and sizes:
        count = next((side for side in (left, right) if isinstance(side, int)), 0)
        return sizes[0] * max(count, 0) > MOST_ITEMS
    return sum(sizes) > 20 * MOST_ITEMS or (isinstance(sign, ast.Mod) and bool(sizes))


def folded(node: ast.AST, depth: int = 0) -> int | float | None:
    """Return the number that an expression of plain numbers comes to, or None."""
    if isinstance(node, ast.Constant):
        value: Any = node.value
        return value if is_number(value) and abs(value) <= LONGEST_INTEGER else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd) and depth < 20:
        value = folded(node.operand, depth + 1)
        return -value if value is not None and isinstance(node.op, ast.USub) else value
    if not isinstance(node, ast.BinOp) or depth > 20:
        return None
    left, right = folded(node.left, depth + 1), folded(node.right, depth + 1)
    return None if left is None or right is None else operate(node.op, left, right)
