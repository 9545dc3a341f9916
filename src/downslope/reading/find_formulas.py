"""An update written as a formula, as in "v := 0.9 v - 0.0005 eps w - eps grad": its settings, and where lr stands."""

from __future__ import annotations

import re

from downslope.reading.facts import Fact, Value
from downslope.reading.numbers import number_at

_UPDATE = re.compile(
    r"(?<![a-z])v\s?(?:_?\{?\s?[it](?:\s?[+-]\s?1)?\}?)?\s?(?::=|=|<-|←)\s?(?P<right>[^;\n,]{3,160}?)(?=;|,|\n|$|\.\s|\.$|\)|where)"
)
_SYMBOLS = {
    "velocity": re.compile(r"(?<![a-z])v(?![a-z])|velocity"),
    "lr": re.compile(r"(?<![a-z])(?:eps|epsilon|ε|lr|η|eta|α|alpha|learning[_ ]rate)(?![a-z])"),
    "grad": re.compile(r"grad|∇|∂|(?<![a-z])(?:g|dl/dw|dw)(?![a-z])"),
    "param": re.compile(r"(?<![a-z])(?:w|θ|theta|p|x|param)(?![a-z])"),
}


def find_formulas(plain: str) -> tuple[list[Fact], str]:
    """Return the facts of update formulas, and the text with them blanked out.

    Example:
        >>> [(fact.key, fact.value) for fact in find_formulas("v := 0.9 v - 0.0005 eps w - eps grad")[0]]
        [('momentum', 0.9), ('weight_decay', 0.0005), ('lr_in_velocity', True)]
    """
    facts: list[Fact] = []
    left = plain
    for match in _UPDATE.finditer(plain):
        found = _terms(plain, match.start("right"), match.end("right"))
        if {fact.key for fact in found} >= {"lr_in_velocity"}:
            facts += found
            left = left[: match.start()] + "," + " " * (match.end() - match.start() - 1) + left[match.end() :]
    return facts, left


def _terms(plain: str, start: int, end: int) -> list[Fact]:
    """Return what a sum of products of numbers and the usual symbols says: where lr stands, and what decays."""
    found: list[Fact] = []
    text = plain[start:end]
    for match in re.finditer(r"[+-]?[^+-]*(?:(?<=e)-\d+[^+-]*|(?<=\^)-\d+[^+-]*)*", text):
        term = match.group()
        if not term.strip():
            continue
        kinds = {kind for kind, pattern in _SYMBOLS.items() if pattern.search(term)}
        first, last = start + match.start(), start + match.end()
        number = next(
            (n for place in range(first, last) if plain[place].isdigit() and (n := number_at(plain, place))), None
        )
        if kinds == {"velocity"} and number:
            found.append(Value("value", "momentum", number.value, number.start, number.end))
        elif "grad" in kinds and not kinds & {"velocity"}:
            found.append(Fact("convention", "lr_in_velocity", "lr" in kinds, first, last))
        elif "param" in kinds and number and not kinds & {"velocity", "grad"}:
            found.append(Value("value", "weight_decay", number.value, number.start, number.end))
    return found
