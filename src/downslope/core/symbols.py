"""Symbols: an expression that knows arithmetic and how to write itself, as an equation or as source code.

The rule is run on them to print it (`rule_text`), the formulas of schedules to export them (`schedules/pieces`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from downslope.core.number_text import number_text

_LEVEL = {"+": 1, "-": 1, "negative": 1, "*": 2, "/": 2, "//": 2, "%": 2, "**": 3}
_LEAF = 4


@dataclass(frozen=True)
class Notation:
    """How terms are written.

    Attributes:
        signs: What stands between two operands, by operation.
        minus: The sign of what is negative.
        number: From a number to its text.
        name: From a name to its text.
        brackets: What stands around a part that is done first.
    """

    signs: Mapping[str, str]
    minus: str
    number: Callable[[float], str]
    name: Callable[[str], str] = str
    brackets: tuple[str, str] = ("(", ")")


MATHS = Notation(
    {"+": " + ", "-": " \N{MINUS SIGN} ", "*": " \N{MIDDLE DOT} ", "/": " / "}, "\N{MINUS SIGN}", number_text
)
"""As people write equations."""
PYTHON = Notation({sign: f" {sign} " for sign in ("+", "-", "*", "/", "//", "%", "**")}, "-", repr)
"""As source code, which evaluates to the same number."""
MATHML = Notation(
    {sign: f"<mo>{text.strip()}</mo>" for sign, text in MATHS.signs.items()},
    f"<mo>{MATHS.minus}</mo>",
    lambda number: f"<mn>{number_text(number)}</mn>",
    lambda name: f"<mi>{name}</mi>",
    ("<mo>(</mo>", "<mo>)</mo>"),
)
"""As the inside of a `<math>` element, where a browser without MathML shows what MATHS writes."""


@dataclass(frozen=True, eq=False)
class Term:
    """A number, a name, or an operation on terms; zeros and ones disappear as it is built.

    Attributes:
        kind: "number", "name", "call", "negative" or one of "+", "-", "*", "/", "//", "%", "**".
        parts: The number; the name; a function's name and its arguments; or the operands.
    """

    kind: str
    parts: tuple[Any, ...]

    def of(self, value: Any) -> Term:
        """Return a number as a term; a term as it is."""
        return value if isinstance(value, Term) else Term("number", (float(value),))

    def _made(self, kind: str, *parts: Any) -> Term:
        return type(self)(kind, parts)

    def __add__(self, other: Any) -> Term:
        """Return the sum; adding what is negative subtracts."""
        other = self.of(other)
        if other.kind == "negative":
            return self - other.parts[0]
        if other.kind == "-":
            return self + other.parts[0] - other.parts[1]
        return self if _is(other, 0) else other if _is(self, 0) else self._made("+", self, other)

    def __sub__(self, other: Any) -> Term:
        """Return the difference."""
        other = self.of(other)
        return self if _is(other, 0) else -other if _is(self, 0) else self._made("-", self, other)

    def __neg__(self) -> Term:
        """Return the negative."""
        return self.parts[0] if self.kind == "negative" else self._made("negative", self)

    def __mul__(self, other: Any) -> Term:
        """Return the product; a sign moves to the front."""
        other = self.of(other)
        if _is(self, 0) or _is(other, 1):
            return self
        if _is(other, 0) or _is(self, 1):
            return other
        if _is(self, -1) or _is(other, -1):
            return -(other if _is(self, -1) else self)
        if self.kind == "negative" or other.kind == "negative":
            return -(-self * other) if self.kind == "negative" else -(self * -other)
        return self._made("*", self, other)

    def __truediv__(self, other: Any) -> Term:
        """Return the quotient."""
        other = self.of(other)
        return self if _is(other, 1) else self._made("/", self, other)

    def __floordiv__(self, other: Any) -> Term:
        """Return the whole part of the quotient."""
        return self._made("//", self, self.of(other))

    def __mod__(self, other: Any) -> Term:
        """Return what the whole part of the quotient leaves."""
        return self._made("%", self, self.of(other))

    def __pow__(self, other: Any) -> Term:
        """Return the power."""
        return self._made("**", self, self.of(other))

    def __radd__(self, other: Any) -> Term:
        """Return the sum."""
        return self.of(other) + self

    def __rsub__(self, other: Any) -> Term:
        """Return the difference."""
        return self.of(other) - self

    def __rmul__(self, other: Any) -> Term:
        """Return the product."""
        return self.of(other) * self

    def leaves(self) -> Iterator[Term]:
        """Yield the numbers and names in it."""
        if self.kind in {"number", "name"}:
            yield self
        else:
            for part in self.parts[self.kind == "call" :]:
                yield from part.leaves()

    def text(self, names: Mapping[int, str], notation: Notation = MATHS) -> str:
        """Return it as text.

        Args:
            names: What to call a part, by the part's identity, in place of writing it out.
            notation: How it is written.
        """
        if id(self) in names:
            return notation.name(names[id(self)])
        if self.kind in {"number", "name"}:
            return notation.number(self.parts[0]) if self.kind == "number" else notation.name(self.parts[0])
        if self.kind == "call":
            function, *arguments = self.parts
            return f"{function}({', '.join(one.text(names, notation) for one in arguments)})"

        def inside(part: Term, *, tight: bool = False) -> str:
            level = _LEAF if id(part) in names else _LEVEL.get(part.kind, _LEAF)
            needed = level < _LEVEL[self.kind] or (tight and level == _LEVEL[self.kind])
            text = part.text(names, notation)
            return f"{notation.brackets[0]}{text}{notation.brackets[1]}" if needed else text

        if self.kind == "negative":
            return f"{notation.minus}{inside(self.parts[0], tight=True)}"
        left, right = self.parts
        # a * (b / c) is written a * b / c, which is the same but for rounding; a * (b // c) is not a * b // c
        whole = self.kind == "*" and right.kind in {"//", "%"}
        tight = whole or self.kind in {"-", "/", "//", "%"}
        return f"{inside(left, tight=self.kind == '**')}{notation.signs[self.kind]}{inside(right, tight=tight)}"


class Source(Term):
    """A term of source code: every number in it stays as it was written, 1.0 * x as well as 2 ** 3."""

    def of(self, value: Any) -> Term:
        """Return a number by the text that Python has for it."""
        return literal(value)


def literal(value: float) -> Term:
    """Return the source of a number, or a term as it is."""
    return value if isinstance(value, Term) else Source("name", (repr(value),))


def call(function: str, *arguments: Any) -> Term:
    """Return the source of a call."""
    return Source("call", (function, *(literal(one) for one in arguments)))


def _is(term: Term, number: float) -> bool:
    return term.kind == "number" and term.parts[0] == number
