"""What is written for machines inside of sentences: calls, formulas, and `key: value` as in a solver or a dict.

What is found is blanked out, so that the grammar of sentences never sees it; `code_facts.py` says what it means.
"""

from __future__ import annotations

import re
from typing import Any

from downslope.reading.configuration.keys import OPTIMIZERS
from downslope.reading.configuration.rates import kind_of
from downslope.reading.configuration.settings import meaning_of
from downslope.reading.facts import Fact
from downslope.reading.lexicon.code import CALL_NAMES, LETTERS, SIGNATURES
from downslope.reading.numbers import number_at

_CALL = re.compile(r"(?<![\w.])([a-z_][\w.]{0,80})\(")
_PAIR = re.compile(
    r"(?<![\w\-\"'.])[\"']?(?:[a-z_]+\.)*([a-z][a-z0-9_]{0,40})[\"']?\s?([:=])\s{0,4}(?:\n\s*)?(?=[\w\"'\[(.+-])"
)
_BARE = re.compile(r"(?<![\w\-\"'.])([a-z]+(?:_[a-z0-9]+)+)\s{1,3}(?=[\d.])")
_WORD = re.compile(r"[\"']?([a-z_][\w.]*)[\"']?")
_SCALED = re.compile(r"\s?[*x]?\s?\(?\s?(?:kn|bn|batch[\s_-]?size|b|n|bs|batch)\s?/\s?\d")
_NESTED = frozenset(
    [
        "l2",
        "l2_regularizer",
        "exponential_decay",
        "exponentialdecay",
        "cosinedecay",
        "cosine_decay_schedule",
        "cosine_decay",
        "piecewiseconstantdecay",
    ]
)
_LONGEST_CALL = 2000
_SHORT_CALL = 200
_LOOKED_AT = 10
"""How often a text is looked through for the ends of calls that are none; after that a call must be a short one, so
that many that never end cost no more than the length of the text."""
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
    blanks: list[tuple[int, int]] = []
    whole = _context(plain)
    left = _LOOKED_AT * len(plain)
    for match in _CALL.finditer(plain):
        known = match.group(1).rsplit(".", 1)[-1]
        longest = _LONGEST_CALL if left > 0 else _SHORT_CALL
        if blanks and match.start() < blanks[-1][1]:
            if known in _NESTED:
                _call(plain, match, facts, whole, longest)
            continue
        end = _call(plain, match, facts, whole, longest)
        left -= longest if known in SIGNATURES and not end else 0
        if end:
            blanks.append((match.start(), end))
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


def _call(plain: str, match: re.Match[str], facts: list[Fact], whole: str, longest: int) -> int:
    """Add the facts of a call, and return where it ends; 0 if it is none that we know."""
    name = match.group(1)
    last = name.rsplit(".", 1)[-1]
    if last not in SIGNATURES:
        return 0
    parts, end = _arguments(plain, match.end(), longest)
    keywords = any(key for key, _, _ in parts)
    if not (keywords or "." in name or last.endswith(("lr", "optimizer", "_decay", "decay", "l2"))):
        return 0
    framework = _framework(name) or whole
    signature = SIGNATURES.get(f"{framework}.{last}", SIGNATURES[last]).split()
    if (
        signature[0] in {"params", "optimizer_"}
        and parts
        and not parts[0][0]
        and number_at(plain, parts[0][1]) is not None
    ):
        signature = signature[1:]  # written without its first argument, as people do in prose
    if last == "exponential_decay" and parts and not any(not key and "step" in plain[a:b] for key, a, b in parts):
        signature = [word for word in signature if word != "step_"]
    arguments: dict[str, tuple[Any, int, int]] = {}
    for place, (key, start, stop) in enumerate(parts):
        value = _value(plain, start, stop)
        meaning = CALL_NAMES.get(key) or _meaning(key, value) or key
        if not key and place < len(signature):
            meaning = signature[place]
        if last == "cosinedecay" and meaning == "every":
            meaning = "duration"
        if meaning and value is not None:
            arguments[meaning] = (value, start, stop)
    facts.append(Fact("call", last, arguments, match.start(), end, {"framework": framework, "name": name}))
    return end


def _arguments(plain: str, start: int, longest: int) -> tuple[list[tuple[str, int, int]], int]:
    """Return (keyword or "", first place, place after the last) of each argument, and the place after the call."""
    parts: list[tuple[str, int, int]] = []
    depth, here = 0, start
    limit = min(len(plain), start + longest)
    for place in range(start, limit):
        character = plain[place]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        if depth < 0 or (character == "," and depth == 0):
            match = re.compile(r"\s*(?:([a-z_]\w*)\s*=(?!=)\s*)?").match(plain, here, place)
            first = match.end() if match else here
            if plain[first:place].strip():
                parts.append(((match.group(1) or "") if match else "", first, place))
            here = place + 1
        if depth < 0:
            return parts, place + 1
    return parts, limit


def _value(plain: str, start: int, stop: int) -> Any:
    """Return a number, a list of numbers, True or False, a word; None if it is nothing of these."""
    text = plain[start:stop].strip()
    start = plain.index(text, start) if text else start
    if not text:
        return None
    if text in {"true", "false"}:
        return text == "true"
    if text[0] in "[({":
        numbers = _numbers(plain, start + 1, stop)
        return numbers or None
    number = number_at(plain, start)
    if number is not None and not number.spelled and number.end <= stop:
        rest = plain[number.end : stop].strip()
        return number.value if not rest and abs(number.value) != float("inf") else None
    match = _WORD.fullmatch(text)
    return match.group(1) if match else None


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


def _meaning(name: str, value: Any) -> str:
    return LETTERS.get(name) or meaning_of(name, value)


def _pair(plain: str, match: re.Match[str], facts: list[Fact], whole: str) -> int:
    name = match.group(1)
    value, end = _pair_value(plain, match.end())
    meaning = "optimizer" if name == "type" and whole == "caffe" else _meaning(name, value)
    if meaning == "steps" and name == "step":
        return 0
    if meaning == "milestones" and not isinstance(value, list):
        value = [value]
    if meaning == "lr" and (isinstance(value, list) or _SCALED.match(plain, end)):
        return 0
    if isinstance(value, str):
        known = {"policy": kind_of(value), "optimizer": OPTIMIZERS.get(value.replace("_", ""))}.get(meaning)
        if not known:
            return 0
    return _store(facts, meaning, value, match, end) if meaning else 0


def _pair_value(plain: str, start: int) -> tuple[Any, int]:
    """Return the list, number, truth or word that stands at a place, and the place after it; None if it is none."""
    if plain[start] in "[(" or (plain[start] in "\"'" and plain[start + 1 : start + 2].isdigit()):
        closing = {"[": "]", "(": ")"}.get(plain[start], plain[start])
        end = plain.find(closing, start + 1, start + 600)
        values = _numbers(plain, start + 1, end) if end > 0 else []
        return (values if len(values) != 1 or plain[start] == "[" else values[0]) or None, end + 1
    number = number_at(plain, start)
    if number is not None and not number.spelled and abs(number.value) != float("inf"):
        return number.value, number.end
    word = _WORD.match(plain, start)
    if word is None:
        return None, start
    return {"true": True, "false": False}.get(word.group(1), word.group(1)), word.end()


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
