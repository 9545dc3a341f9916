"""An update written as a formula, as in "v := 0.9 v - 0.0005 eps w - eps grad": its settings, and where lr stands."""

from __future__ import annotations

import re

from downslope.reading.facts import Fact, Value
from downslope.reading.numbers import number_at
from downslope.reading.schedule_facts import Change, Shape
from downslope.reading.times import Time

_UPDATE = re.compile(
    r"(?<![a-z])v\s?(?:_?\{?\s?[it](?:\s?[+-]\s?1)?\}?)?\s?(?::=|=|<-|←)\s?(?P<right>[^;\n,]{3,160}?)(?=;|,|\n|$|\.\s|\.$|\)|where)"
)
_POWER = re.compile(
    r"(?:(?<![\d.])(?P<first>(?:\d*\.)?\d+(?:e-\d+)?)\s?\*\s?"
    r"|(?:lr|η|learning[_ ]rate|学习率)[_{ ]{0,2}(?:0|init|initial|base)?\}?\s?[*(]\s?)?"
    r"(?<![\d.])(?P<rate>0?\.\d{1,6})\)?\s?(?:\^|\*\*)\s?[({\[]{0,2}\s?"
    r"(?P<floor>floor\s?|⌊|\\lfloor\s?|int)?[({\[]{0,2}\s?"
    r"(?P<unit>epochs?|ep|e|t|iters?|iterations?|steps?|n|i|k|轮数?|轮次|步数)\s?(?:/{1,2}\s?(?P<every>\d{1,7}))?"
    r"(?![a-z\d_]|\.\d|\s?/)(?:\s?[)}\]⌋])*"
)
"""The learning rate as a power: 0.1 * 0.95^epoch, lr_0 * 0.96^(step / 1000)."""

_POLYNOMIAL = re.compile(
    r"(?:(?:is |are )?(?:multiplied|scaled) by |乘以?|按照?\s?|根据\s?|(?:lr|η|learning[_ ]rate)\w{0,12} ?\*?)"
    r" {0,2}\(\s?1\s?-\s?(?=[^()\n]{0,60}[a-z])"
    r"[^()\n]{1,60}(?:\([^()\n]{0,30}\))?[^()\n]{0,10}\)"
    r"\s?(?:\^|\*\*)\s?[{(]?\s?(?P<power>\d?\.?\d{1,4}|power|p|γ|gamma)(?![\w.])\s?[)}]?"
    r"(?: (?:after|at|for|in)? ?(?:each|every) (?:iteration|step|epoch))?"
)
"""What a polynomial schedule multiplies by: (1 - iter / max_iter)^0.9."""

_INVERSE = re.compile(
    r"(?:(?<![\d.])(?P<first>(?:\d*\.)?\d+(?:e-\d+)?)"
    r"|(?:lr|η|learning[_ ]rate|学习率)[_{ ]{0,2}(?:0|init|initial|base)?\}?)"
    r"\s?(?:\*\s?\(?\s?1(?:\.0?)?\s?)?/\s?[({\[]\s?1(?:\.0?)?\s?\+\s?(?:(?P<gamma>(?:\d*\.)?\d+(?:e-\d+)?)|γ|gamma|decay|[αβλkad])\s?[*·×]?\s?"
    r"(?P<unit>epochs?|ep|t|iters?|iterations?|steps?|n|i|k|轮数?|轮次|步数)\s?[)}\]]"
    r"(?:\s?(?:\^|\*\*)\s?(?P<power>\d?\.?\d+))?"
)
"""The learning rate as an inverse: 0.1 / (1 + 0.001 t), lr0 / (1 + 1e-4 * iter)^0.75."""

_RATE = re.compile(r"(?<![a-z])(?:lr|η|eta|learning[_ ]rate)|学习率")
_STEPS = re.compile(r"iter|step|步")
_EPOCHS = re.compile(r"ep|e$|轮")
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
    for match in _POWER.finditer(plain):
        clause = re.split(r"[;\n]", plain[max(0, match.start() - 80) : match.start()])[-1]
        if _RATE.search(clause + match.group()) and 0 < float(match["rate"]) < 1:
            facts += _power(match)
            left = left[: match.start()] + "," + " " * (match.end() - match.start() - 1) + left[match.end() :]
    for match in _INVERSE.finditer(plain):
        if not _RATE.search(plain, max(0, match.start() - 80), match.end()):
            continue
        facts.append(Shape("shape", "inverse", None, *match.span(), unit=_unit(match)))
        for name, key in (("gamma", "gamma"), ("power", "power"), ("first", "lr")):
            if match[name] and float(match[name]):
                facts.append(Value("value", key, float(match[name]), *match.span()))
        left = left[: match.start()] + "," + " " * (match.end() - match.start() - 1) + left[match.end() :]
    for match in _POLYNOMIAL.finditer(plain if not re.search(r"poly|多项式", plain) else ""):
        if not _RATE.search(plain, max(0, match.start() - 160), match.end() + 40):
            continue
        facts.append(Shape("shape", "polynomial", None, *match.span()))
        if match["power"][-1].isdigit():
            facts.append(Value("value", "power", float(match["power"]), *match.span("power")))
        left = left[: match.start()] + "," + " " * (match.end() - match.start() - 1) + left[match.end() :]
    for match in _UPDATE.finditer(plain):
        found = _terms(plain, match.start("right"), match.end("right"))
        if {fact.key for fact in found} >= {"lr_in_velocity"}:
            facts += found
            left = left[: match.start()] + "," + " " * (match.end() - match.start() - 1) + left[match.end() :]
    return facts, left


def _unit(match: re.Match[str]) -> str:
    return "epoch" if _EPOCHS.match(match["unit"]) else "step" if _STEPS.match(match["unit"]) else ""


def _power(match: re.Match[str]) -> list[Fact]:
    """Return the exponential decay that a power writes, and the learning rate that it begins with."""
    unit = _unit(match)
    every = int(match["every"] or 1)
    if every < 1:
        return []
    change = Change("change", "multiply", float(match["rate"]), match.start(), match.end())
    change.every = Time("every", (every,), unit)
    change.shape = "" if match["floor"] or every == 1 or "//" in match.group() else "exponential"
    first = match["first"]
    if first is None or not 0 < float(first) < 10:
        return [change]
    return [Value("value", "lr", float(first), match.start(), match.end(), role="initial"), change]


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
