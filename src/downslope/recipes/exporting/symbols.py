"""The update rule as source code: the rule's own text run on symbols.

What lives here: an expression that knows + - * / and prints itself as Python, and the two lines of a step. What does
not: the rule and the ways of weight decay; they are asked, not repeated, so that no exported line can drift from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from downslope.core.rule import sgd_rule
from downslope.core.settings import Settings, scalars

_LEVEL = {"+": 1, "-": 1, "*": 2, "/": 2, "negative": 3}


@dataclass(frozen=True, eq=False)
class Symbol:
    """A number, a name, or an operation on these; zeros and ones disappear as it is built.

    Attributes:
        kind: "number", "name", "negative" or one of + - * /.
        parts: The number, the name, or the operands.
    """

    kind: str
    parts: tuple[Any, ...]

    def __add__(self, other: Any) -> Symbol:
        """Return the sum."""
        other = _symbol(other)
        if other.kind == "negative":
            return self - other.parts[0]
        return self if _is(other, 0) else other if _is(self, 0) else Symbol("+", (self, other))

    def __sub__(self, other: Any) -> Symbol:
        """Return the difference."""
        other = _symbol(other)
        return self if _is(other, 0) else -other if _is(self, 0) else Symbol("-", (self, other))

    def __neg__(self) -> Symbol:
        """Return the negative."""
        if self.kind == "negative":
            return self.parts[0]
        return Symbol("number", (-self.parts[0],)) if self.kind == "number" else Symbol("negative", (self,))

    def __mul__(self, other: Any) -> Symbol:
        """Return the product."""
        other = _symbol(other)
        if _is(self, 0) or _is(other, 0):
            return Symbol("number", (0.0,))
        if _is(self, -1) or _is(other, -1):
            return -(other if _is(self, -1) else self)
        return self if _is(other, 1) else other if _is(self, 1) else Symbol("*", (self, other))

    def __truediv__(self, other: Any) -> Symbol:
        """Return the quotient."""
        other = _symbol(other)
        return self if _is(other, 1) else Symbol("/", (self, other))

    def __radd__(self, other: Any) -> Symbol:
        """Return the sum."""
        return _symbol(other) + self

    def __rsub__(self, other: Any) -> Symbol:
        """Return the difference."""
        return _symbol(other) - self

    def __rmul__(self, other: Any) -> Symbol:
        """Return the product."""
        return _symbol(other) * self

    def source(self, known: Symbol | None = None, name: str = "") -> str:
        """Return Python source.

        Args:
            known: A part that has been assigned to a variable already.
            name: That variable.
        """
        if self is known:
            return name
        if self.kind in {"name", "number"}:
            return str(self.parts[0]) if self.kind == "name" else repr(self.parts[0])
        if self.kind == "negative":
            return f"-{self._inside(self.parts[0], known, name)}"
        left, right = self.parts
        tight = self.kind in {"-", "/"}
        shown = self._inside(right, known, name, tight=tight)
        return f"{self._inside(left, known, name)} {self.kind} {shown}"

    def _inside(self, part: Symbol, known: Symbol | None, name: str, *, tight: bool = False) -> str:
        level = 9 if part is known else _LEVEL.get(part.kind, 9)
        own = _LEVEL[self.kind]
        needed = level < own or (tight and level == own) or (self.kind == "negative" and level < 9)
        return f"({part.source(known, name)})" if needed else part.source(known, name)


def step_source(settings: Settings, names: dict[str, str]) -> tuple[str | None, str, str | None]:
    """Return the source of a step: the new velocity, what is added to the parameter, and what is taken from it.

    Args:
        settings: The settings; of numbers that `names` does not name, the value is written.
        names: What the variables are called: "param", "grad", "velocity", "lr" and, if wanted, "momentum",
            "weight_decay", "dampening".

    Returns:
        The new velocity, None where none is kept; what the gradient adds to the parameter; and what weight decay takes
        from it directly, or None.

    Example:
        >>> names = {"param": "w", "grad": "g", "velocity": "v", "lr": "lr"}
        >>> step_source(Settings(lr=0.1, momentum=0.9, weight_decay=0.5, decay="decoupled"), names)
        ('0.9 * v + g', '-lr * v', 'lr * 0.5 * w')
    """
    symbols = {key: Symbol("name", (name,)) for key, name in names.items()}

    def number(key: str) -> Any:
        return symbols[key] if key in symbols and getattr(settings, key) != 0 else getattr(settings, key)

    step = scalars(
        lr=symbols["lr"],  # pyright: ignore[reportArgumentType]  # symbols stand for the numbers
        momentum=number("momentum"),
        weight_decay=number("weight_decay"),
        dampening=number("dampening"),
        nesterov=settings.nesterov,
        decay=settings.decay,
        lr_in_velocity=settings.lr_in_velocity,
        maximize=settings.maximize,
        lr_initial=settings.lr_initial,
        lr_max=settings.lr_max,
    )
    delta, velocity = sgd_rule(symbols["param"], symbols["grad"], symbols["velocity"], step)
    decayed = delta.parts[1].source() if delta.kind == "-" else None
    direction = delta.parts[0] if delta.kind == "-" else delta
    if settings.momentum == 0:
        return None, direction.source(), decayed
    return velocity.source(), direction.source(velocity, names["velocity"]), decayed


def _symbol(value: Any) -> Symbol:
    return value if isinstance(value, Symbol) else Symbol("number", (float(value),))


def _is(symbol: Symbol, number: float) -> bool:
    return symbol.kind == "number" and symbol.parts[0] == number
