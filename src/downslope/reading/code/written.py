"""Numbers and lists that a text or a range says, as values with its words."""

from __future__ import annotations

import ast
from typing import Any

from downslope.reading.arithmetic import MOST_ITEMS, is_number
from downslope.reading.code.arithmetic import UNKNOWN, concrete
from downslope.reading.code.values import Namespace, Span, Value


def items_of(value: Value, steps: int | None = None) -> list[Value] | None:
    """Return the items of something that can be gone through, or None if they are not known or too many."""
    data = value.data
    if isinstance(data, list | tuple):
        return list(data[:MOST_ITEMS])
    if isinstance(data, dict):
        return [Value(key) for key in data]
    if isinstance(data, Namespace):
        return [Value(key) for key in data.attributes]
    if isinstance(data, Span):
        bounds = [concrete(one.data, steps) for one in (data.start, data.stop, data.step)]
        if all(isinstance(bound, int) for bound in bounds) and bounds[2]:
            return [Value(i) for i in range(*bounds)] if len(range(*bounds)) <= 400 else None  # type: ignore[arg-type]
    return None


def number_in(words: str) -> float | None:
    """Return the number that a text is, or None."""
    try:
        found = ast.literal_eval(words.strip()[:60])
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None
    return found if is_number(found) and abs(found) < 1e18 else None


def from_words(value: Value) -> Value:
    """Return the number or list that a text is: "[30, 60]", "30,60"."""
    if not isinstance(value.data, str) or len(value.data) > 400:
        return value if not isinstance(value.data, str) else Value(UNKNOWN)
    try:
        found = ast.literal_eval(value.data.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return Value(UNKNOWN)
    return wrapped(found, value)


def wrapped(data: Any, value: Value) -> Value:
    """Return plain data as a value with the words of another."""
    if isinstance(data, list | tuple):
        data = [wrapped(item, value) for item in data[:MOST_ITEMS]]
    elif isinstance(data, dict):
        data = {key: wrapped(item, value) for key, item in data.items() if isinstance(key, str | int | float)}
    elif not isinstance(data, str | int | float | None):
        data = UNKNOWN
    return value.but(data, sources={value.start: value} if value.literal and value.start >= 0 else {})
