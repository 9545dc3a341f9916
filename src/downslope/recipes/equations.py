"""The update rule of one run, written out: the rule's own text run on symbols.

What lives here: an expression that knows + - * / and how to print itself, and the equations of given settings. What
does not: the rule and the ways of weight decay; they are asked, not repeated, so the page cannot drift from the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from downslope.core.rule import sgd_rule
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings, scalars
from downslope.recipes.numbers import number_text

_LEVEL = {"+": 1, "-": 1, "negative": 1, "*": 2, "/": 2}
_SIGN = {"+": " + ", "-": " \N{MINUS SIGN} ", "*": " \N{MIDDLE DOT} ", "/": " / "}


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
        return Term("/", (self, _term(other)))

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

    def text(self, names: Mapping[int, str]) -> str:
        """Return it as text.

        Args:
            names: What to call a part, by the part's identity, in place of writing it out.
        """
        if id(self) in names:
            return names[id(self)]
        if self.kind in {"number", "name"}:
            return number_text(self.parts[0]) if self.kind == "number" else self.parts[0]
        if self.kind == "negative":
            return f"\N{MINUS SIGN}{self._inside(self.parts[0], names, tight=True)}"
        left, right = self.parts
        tight = self.kind in {"-", "/"}
        return f"{self._inside(left, names)}{_SIGN[self.kind]}{self._inside(right, names, tight=tight)}"

    def _inside(self, part: Term, names: Mapping[int, str], *, tight: bool = False) -> str:
        level = 3 if id(part) in names else _LEVEL.get(part.kind, 3)
        needed = level < _LEVEL[self.kind] or (tight and level == _LEVEL[self.kind])
        return f"({part.text(names)})" if needed else part.text(names)


def equations(settings: Settings) -> list[tuple[str, str]]:
    """Return the update rule of `settings` as pairs (what is set, to what), in the order in which they are done.

    lr keeps its name; of momentum and weight decay the numbers are put in, unless a schedule moves them.

    Args:
        settings: The settings.

    Example:
        >>> from downslope import Settings
        >>> for left, right in equations(Settings(lr=0.1, momentum=0.9, weight_decay=0.25, decay="decoupled")):
        ...     print(left, "=", right.replace("\N{MINUS SIGN}", "-").replace("\N{MIDDLE DOT}", "*"))
        velocity = 0.9 * velocity + grad
        param = param - lr * velocity - lr * 0.25 * param
    """
    lr, param, grad, velocity = (Term("name", (name,)) for name in ("lr", "param", "grad", "velocity"))
    step = scalars(
        lr=lr,  # pyright: ignore[reportArgumentType]  # symbols stand for the numbers
        momentum=_number_or_name("momentum", settings.momentum),
        weight_decay=_number_or_name("weight_decay", settings.weight_decay),
        dampening=settings.dampening,
        nesterov=settings.nesterov,
        decay=settings.decay,
        lr_in_velocity=settings.lr_in_velocity,
        maximize=settings.maximize,
        lr_initial=settings.lr_initial,
        lr_max=settings.lr_max,
    )
    delta, new_velocity = sgd_rule(param, grad, velocity, step)
    lines: list[tuple[str, str]] = []
    names: dict[int, str] = {}
    decayed = _smallest_with(new_velocity, {id(param), id(grad)} & {id(leaf) for leaf in new_velocity.leaves()})
    if decayed.kind in {"+", "-"}:
        lines.append(("g", decayed.text(names)))
        names[id(decayed)] = "g"
    if any(leaf is velocity for leaf in new_velocity.leaves()):
        lines.append(("velocity", new_velocity.text(names)))
        names[id(new_velocity)] = "velocity"
    lines.append(("param", (param + delta).text(names)))
    return lines


def _smallest_with(term: Term, wanted: set[int]) -> Term:
    """Return the smallest part of `term` that holds all the leaves `wanted`."""
    for part in term.parts if term.kind in _LEVEL else ():
        if wanted <= {id(leaf) for leaf in part.leaves()}:
            return _smallest_with(part, wanted)
    return term


def _number_or_name(name: str, value: float | Schedule) -> Any:
    return Term("name", (name,)) if isinstance(value, Schedule) else value


def _term(value: Any) -> Term:
    return value if isinstance(value, Term) else Term("number", (float(value),))


def _is(term: Term, number: float) -> bool:
    return term.kind == "number" and term.parts[0] == number
