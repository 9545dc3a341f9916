"""Symbols: an expression that knows + - * / and how to write itself, as an equation or as source code.

What lives here: terms and their two notations. What does not: the rule, which is run on them (`equations.py`,
`exporting/symbols.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from downslope.core.number_text import number_text

_LEVEL = {"+": 1, "-": 1, "negative": 1, "*": 2, "/": 2}


@dataclass(frozen=True)
class Notation:
    """How terms are written.

    Attributes:
        signs: What stands between two operands, by operation.
        minus: The sign of what is negative.
        number: From a number to its text.
    """

    signs: Mapping[str, str]
    minus: str
    number: Callable[[float], str]


MATHS = Notation(
    {"+": " + ", "-": " \N{MINUS SIGN} ", "*": " \N{MIDDLE DOT} ", "/": " / "}, "\N{MINUS SIGN}", number_text
)
"""As people write equations."""
PYTHON = Notation({"+": " + ", "-": " - ", "*": " * ", "/": " / "}, "-", repr)
"""As source code, which evaluates to the same number."""


@dataclass(frozen=True, eq=False)
class Term:
    """A number, a name, or an operation on terms; zeros and ones disappear as it is built.

    Attributes:
        kind: "number", "name", "negative" or one of "+", "-", "*", "/".
        parts: The number, the name, or the operands.
    """

    kind: str
    parts: tuple[Any, ...]

    def __add__(self, other: Any) -> Term:
        """Return the sum; adding what is negative subtracts."""
        other = _term(other)
        if other.kind == "negative":
            return self - other.parts[0]
        if other.kind == "-":
            return self + other.parts[0] - other.parts[1]
        return self if _is(other, 0) else other if _is(self, 0) else Term("+", (self, other))

    def __sub__(self, other: Any) -> Term:
        """Return the difference."""
        other = _term(other)
        return self if _is(other, 0) else -other if _is(self, 0) else Term("-", (self, other))

    def __neg__(self) -> Term:
        """Return the negative."""
        return self.parts[0] if self.kind == "negative" else Term("negative", (self,))

    def __mul__(self, other: Any) -> Term:
        """Return the product; a sign moves to the front."""
        other = _term(other)
        if _is(self, 0) or _is(other, 1):
            return self
        if _is(other, 0) or _is(self, 1):
            return other
        if _is(self, -1) or _is(other, -1):
            return -(other if _is(self, -1) else self)
        if self.kind == "negative" or other.kind == "negative":
            return -(-self * other) if self.kind == "negative" else -(self * -other)
        return Term("*", (self, other))

    def __truediv__(self, other: Any) -> Term:
        """Return the quotient."""
        other = _term(other)
        return self if _is(other, 1) else Term("/", (self, other))

    def __radd__(self, other: Any) -> Term:
        """Return the sum."""
        return _term(other) + self

    def __rsub__(self, other: Any) -> Term:
        """Return the difference."""
        return _term(other) - self

    def __rmul__(self, other: Any) -> Term:
        """Return the product."""
        return _term(other) * self

    def leaves(self) -> Iterator[Term]:
        """Yield the numbers and names in it."""
        if self.kind in {"number", "name"}:
            yield self
        else:
            for part in self.parts:
                yield from part.leaves()

    def text(self, names: Mapping[int, str], notation: Notation = MATHS) -> str:
        """Return it as text.

        Args:
            names: What to call a part, by the part's identity, in place of writing it out.
            notation: How it is written.
        """
        if id(self) in names:
            return names[id(self)]
        if self.kind in {"number", "name"}:
            return notation.number(self.parts[0]) if self.kind == "number" else self.parts[0]

        def inside(part: Term, *, tight: bool = False) -> str:
            level = 3 if id(part) in names else _LEVEL.get(part.kind, 3)
            needed = level < _LEVEL[self.kind] or (tight and level == _LEVEL[self.kind])
            return f"({part.text(names, notation)})" if needed else part.text(names, notation)

        if self.kind == "negative":
            return f"{notation.minus}{inside(self.parts[0], tight=True)}"
        left, right = self.parts
        return f"{inside(left)}{notation.signs[self.kind]}{inside(right, tight=self.kind in {'-', '/'})}"


def _term(value: Any) -> Term:
    return value if isinstance(value, Term) else Term("number", (float(value),))


def _is(term: Term, number: float) -> bool:
    return term.kind == "number" and term.parts[0] == number
