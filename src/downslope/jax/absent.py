"""A zero that leaves no operation behind.

What lives here: what stands in the rule for a term that is not there: no decay, no velocity. What does not: numbers. A
float 0.0 would be multiplied with the parameter all the same, since no compiler may drop ``0 * x`` (x might be inf):
memory would be read for nothing, and the parameter needed where it is not.
"""

from __future__ import annotations

from typing import Any, Final


class _Absent:
    """Zero, exactly: times anything it is itself, and added or subtracted it is not there."""

    def __mul__(self, other: Any) -> _Absent:
        return self

    def __rmul__(self, other: Any) -> _Absent:
        return self

    def __add__(self, other: Any) -> Any:
        return other

    def __radd__(self, other: Any) -> Any:
        return other

    def __rsub__(self, other: Any) -> Any:
        return other


ABSENT: Final = _Absent()
"""The zero."""
