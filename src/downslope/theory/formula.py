"""What every formula carries: its equation, when it holds, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Formula:
    """The card of a formula.

    Attributes:
        name: Name of its function.
        equation: The equation as text, in the vocabulary of the glossary.
        valid: The condition under which it holds, a phrase.
        source: Where it comes from.
    """

    name: str
    equation: str
    valid: str
    source: str


FORMULAS: dict[str, Formula] = {}
"""Every formula's card, by the name of its function."""


def formula(equation: str, *, valid: str, source: str) -> Callable[[Function], Function]:
    """Return a decorator that files a function's card under its name and leaves the function as it is."""

    def file(function: Function) -> Function:
        name = function.__name__
        FORMULAS[name] = Formula(name, equation, valid, source)
        return function

    return file
