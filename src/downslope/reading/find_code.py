"""What is written for machines inside of sentences: calls, formulas, and `key: value` as in a solver or a dict.

What is found is blanked out, so that the grammar of sentences never sees it; `code_facts.py` says what it means.
"""

from __future__ import annotations

import re
from typing import Any

from downslope.reading.facts import Fact
from downslope.reading.lexicon.code import MEANINGS, OPTIMIZERS, POLICIES
from downslope.reading.numbers import number_at

_CALL = re.compile(r"[a-z_]\w*\(")
_PAIR = re.compile(
    r"(?<![\w\-\"'.])[\"']?(?:[a-z_]+\.)*([a-z][a-z0-9_]{0,40})[\"']?\s?([:=])\s{0,4}(?:\n\s*)?(?=[\w\"'\[(.+-])"
)
_BARE = re.compile(r"(?<![\w\-\"'.])([a-z]+(?:_[a-z0-9]+)+)\s{1,3}(?=[\d.])")
_WORD = re.compile(r"[\"']?([a-z_][\w.]*)[\"']?")
_GOES_ON = re.compile(r"\s?[*x/]\s?\d|\s?(?:,|and|or|或|和)\s?(?:and\s|or\s)?(?:\d|\.\d)|\s?[-~]\s?\d")
"""What follows a number that is a factor, or one of a list or range."""
_SETTINGS = frozenset({"lr", "momentum", "weight_decay", "batch"})
_SCALED = re.compile(r"\s?[*x]?\s?\(?\s?(?:kn|bn|batch[\s_-]?size|b|n|bs|batch)\s?/\s?\d")
_LOOSE = frozenset(
    [
        "b",
        "batch",
        "epoch",
        "mu",
        "alpha",
        "rho",
        "steps",
        "schedule",
        "policy",
        "opt",
        "iterations",
        "clip",
        "momentum",
        "nesterov",
        "eps",
        "epsilon",
        "ema",
        "optimizer",
        "power",
        "gamma",
        "epochs",
        "dampening",
    ]
)
_PHASE = re.compile(
    r"(?:(?:epochs?|ep|iterations?|iters?|steps?|轮|步|次) ?[\[(]?\d[\d,k]* ?(?:-|to|,) ?|(?:after|until|至|到) ?)\d[\d,k]*(?![\d,k])"
    r" ?(?:epochs?|iterations?|iters?|steps?|轮|步|次)?[)\]]?:? ?$|(?:warm-? ?up|burn-? ?in) $"
)
_SPAN = re.compile(
    r" ?(?:[(,]? ?(?:for|until|up to|in|during|after|at) (?:the )?|\()(?:(?:first|next) )?"
    r"(?:epochs?|iterations?|steps?|\d[\d,k]* (?:epoch|iter|step))"
)
_FRAMEWORKS = (
    ("keras", ("keras",)), ("tensorflow", ("tf.", "tensorflow", "slim")), ("optax", ("optax",)),
    ("paddle", ("paddle",)),
    ("mxnet", ("mx.", "mxnet", "gluon")), ("mindspore", ("mindspore", "nn.momentum")), ("torch", ("torch", "optim.")),
)  # fmt: skip


def find_notation(plain: str) -> tuple[list[Fact], str]:
    """Return the facts of a text's code and configuration, and the text with them blanked out."""
    facts: list[Fact] = []
    whole = _context(plain)
    blanks: list[tuple[int, int]] = []
    if _CALL.search(plain):
        from downslope.reading.code.in_sentences import find_calls

        said, blanks = find_calls(plain)
        facts += [Fact("call", "", said, blanks[0][0], blanks[-1][1])] if blanks else []
    plain_left = _blank(plain, blanks)
    blanks = []
    for pattern in (_PAIR, _BARE):
        for match in pattern.finditer(plain_left):
            phase = _PHASE.search(plain_left, max(0, match.start() - 60), match.start())
            if phase and phase.end() == match.start():
                continue  # "epochs 0-100: lr=0.1" is a sentence
            known = len(facts)
            end = _pair(plain_left, match, facts, whole)
            if end and _SPAN.match(plain_left, end):
                del facts[known:]
                continue
            if end:
                blanks.append((match.start(), end))
    return facts, _blank(plain_left, blanks)


def _blank(plain: str, stretches: list[tuple[int, int]]) -> str:
    pieces: list[str] = []
    here = 0
    for start, end in stretches:
        if start < here:
            continue
        pieces += [plain[here:start], "," + " " * (end - start - 1)]
        here = end
    return "".join([*pieces, plain[here:]])


def _context(plain: str) -> str:
    """Return the framework that the whole text is written for, as far as it can be told."""
    if re.search(r"\bbase_lr\s?:", plain) and re.search(r"\blr_policy\s?:", plain):
        return "caffe"
    if "learningratespermb" in plain or "momentumpermb" in plain or "learningratespersample" in plain:
        return "cntk"
    return _framework(plain[:20000])


def _framework(name: str) -> str:
    return next((framework for framework, marks in _FRAMEWORKS if any(mark in name for mark in marks)), "")


def _numbers(plain: str, start: int, stop: int) -> list[float]:
    found: list[float] = []
    place = start
    while place < stop:
        number = (
            number_at(plain, place)
            if plain[place].isdigit() or (plain[place] in ".-+" and plain[place + 1 : place + 2].isdigit())
            else None
        )
        if number is None or number.end > stop + 1:
            if plain[place] in ")]}" or plain[place].isalpha():
                break
            place += 1
            continue
        if abs(number.value) == float("inf"):
            return []
        found.append(number.value)
        place = number.end
    return found


def _pair(plain: str, match: re.Match[str], facts: list[Fact], whole: str) -> int:
    name = match.group(1)
    meaning = MEANINGS.get(name, "")
    loose = name in _LOOSE
    if not meaning and not (name == "type" and whole == "caffe"):
        return 0
    meaning = meaning or "optimizer"
    start = match.end()
    if plain[start] in "[(" or (plain[start] in "\"'" and plain[start + 1 : start + 2].isdigit()):
        closing = {"[": "]", "(": ")"}.get(plain[start], plain[start])
        end = plain.find(closing, start + 1, start + 600)
        values = _numbers(plain, start + 1, end) if end > 0 else []
        if not values:
            return 0
        value: Any = values if len(values) > 1 or meaning == "milestones" else values[0]
        end += 1
    else:
        number = number_at(plain, start)
        if number is not None and not number.spelled and abs(number.value) != float("inf"):
            value, end = number.value, number.end
            scaled = meaning == "lr" and _SCALED.match(plain, end)
            if scaled or (meaning in _SETTINGS and _GOES_ON.match(plain, end)):
                return 0
        else:
            word = _WORD.match(plain, start)
            if word is None or meaning not in {"policy", "optimizer", "nesterov"}:
                return 0
            value, end = word.group(1), word.end()
            if meaning == "nesterov":
                if value not in {"true", "false"}:
                    return 0
                value = value == "true"
            elif value not in (POLICIES if meaning == "policy" else OPTIMIZERS):
                return 0
    if (
        loose
        and match.re is _PAIR
        and match.group(2) == ":"
        and "\n" not in plain
        and whole != "caffe"
        and "{" not in plain
    ):
        return (
            0
            if meaning in {"steps", "milestones"} and not isinstance(value, list)
            else _store(facts, meaning, value, match, end)
        )
    if meaning == "milestones" and not isinstance(value, list):
        if name == "step":
            return 0
        if name not in {"stepvalue", "lr_step", "lr_steps", "milestones", "schedule"}:
            meaning = "steps" if name == "steps" else ""
        else:
            value = [value]
    return _store(facts, meaning, value, match, end) if meaning else 0


def _store(facts: list[Fact], meaning: str, value: Any, match: re.Match[str], end: int) -> int:
    facts.append(Fact("setting", meaning, value, match.start(), end, {"name": match.group(1)}))
    return end


# An update written as a formula, as in "v := 0.9 v - 0.0005 eps w - eps grad"

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
            for fact in found:
                fact.extra["place"] = (match.start(), match.end())
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
            found.append(Fact("value", "momentum", number.value, number.start, number.end))
        elif "grad" in kinds and not kinds & {"velocity"}:
            found.append(Fact("convention", "lr_in_velocity", "lr" in kinds, first, last))
        elif "param" in kinds and number and not kinds & {"velocity", "grad"}:
            found.append(Fact("value", "weight_decay", number.value, number.start, number.end))
    return found
