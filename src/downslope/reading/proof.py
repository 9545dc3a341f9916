"""What is called stated is proved: the words that a field quotes, read again alone, must give its value."""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from downslope.reading.arithmetic import folded
from downslope.reading.draft import Draft
from downslope.reading.items import Item, find_items
from downslope.reading.order import numbers_of
from downslope.reading.reading import Field
from downslope.reading.text import cut_words, normalise

_CONCEPTS = {
    "sgd.momentum": "momentum", "sgd.weight_decay": "weight_decay", "sgd.dampening": "dampening",
    "sgd.nu": "nu", "sgd.trust_coefficient": "trust", "sgd.adaptive_clip": "agc",
    "data.batch_size": "batch", "train.clip_norm": "clip", "train.ema": "ema", "sgd.lr": "lr",
    "sgd.lr.initial": "lr", "sgd.lr.peak": "lr", "sgd.lr.final": "lr", "sgd.lr.start": "lr",
}  # fmt: skip
"""Fields whose values are never one another's: a momentum that its words alone call a weight decay is refuted."""

_ALSO_CALLED = {"momentum": ("nesterov",)}

_SAID = {("verb", "halve"): 0.5, ("verb", "decimate"): 0.1, ("each", "every"): 1.0, ("no", "no"): 0.0}
"""Words that say a number."""

_LONGEST = 600
_CLAUSE_END = re.compile(r"[。;；\n!！?？]|\.(?=\s)")

_PLAIN = re.compile(r"(?<![\w.])(?:\d{1,15}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][-+]?\d{1,3})?(?![\w.])", re.ASCII)
_COMPUTED = re.compile(r"[\d)]\s*[-+*/]{1,2}\s*[\d.(]")

Reader = Callable[[str], dict[str, Field]]


def prove(draft: Draft, read_alone: Reader, apart: Sequence[tuple[int, int]] = ()) -> list[tuple[int, int]]:
    """Demote every stated field that its words do not give, and drop one that they refute; return where those stand.

    Where the words do not give the value, but their sentence read alone states it, the sentence is quoted.

    Args:
        draft: Whose fields are proved.
        read_alone: Returns the fields of words that stand alone.
        apart: Where the parts stand that are no prose: a name in them means what their reader's table of keys says.
    """
    refuted: list[tuple[int, int]] = []
    known: dict[str, dict[str, Field]] = {}

    def alone(words: str) -> dict[str, Field]:
        if words not in known:
            known[words] = read_alone(words)
        return known[words]

    for path, found in list(draft.fields.items()):
        if found.provenance != "stated":
            continue
        words = found.words[:_LONGEST]
        if isinstance(found.value, str | bool):
            in_prose = not any(start <= found.start < end for start, end in apart)
            if in_prose and not _states(alone(words), path, found.value):
                draft.fields[path] = _by_its_sentence(draft.text.original, path, found, alone)
            continue
        items = find_items(normalise(words).plain)
        numbers = numbers_in(words, items)
        if not all(_is_among(one, numbers) for one in numbers_of(found.value)):
            draft.fields[path] = _by_its_sentence(draft.text.original, path, found, alone)
        elif _refutes(path, found, items, alone):
            del draft.fields[path]
            refuted += [(found.start, found.end)] if found.start >= 0 else []
    return refuted


def numbers_in(words: str, items: list[Item]) -> list[float]:
    """Return the numbers that some words say, and what they come to when divided by, taken off, added up or compared.

    Example:
        >>> 0.96 in numbers_in("reduced by 4%", find_items("reduced by 4%"))
        True
    """
    said = [float(item.value) for item in items if item.kind == "number"]
    said += [_SAID[item.kind, item.key] for item in items if (item.kind, item.key) in _SAID]
    said += [float(item.key) for item in items if item.kind == "magnitude" and item.key.isdecimal()]
    positive = [value for value in said if value > 0]
    ratios = [second / first for first, second in pairwise(positive)]
    products = [first * second for first, second in pairwise(positive)]
    derived = [*(1 / value for value in positive), *(1 - value for value in said), *ratios, *products]
    plain = [float(number) for number in _PLAIN.findall(words)]
    return [*said, *plain, *derived, *accumulate(said), *_arithmetic(words)]


def _arithmetic(words: str) -> list[float]:
    """Return the values of the sums, products and powers of plain numbers in words that are an expression of code."""
    if not _COMPUTED.search(words):
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(words.strip().rstrip(","))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    values = [folded(node) for node in ast.walk(tree) if isinstance(node, ast.BinOp | ast.Constant)]
    return [float(value) for value in values if value is not None]


def _is_among(value: object, numbers: Iterable[float]) -> bool:
    return isinstance(value, int | float) and any(math.isclose(value, one, rel_tol=1e-6) for one in numbers)


def _by_its_sentence(text: str, path: str, found: Field, alone: Callable[[str], dict[str, Field]]) -> Field:
    """Return the field with its whole sentence quoted, if that alone states the value; else demoted."""
    if 0 <= found.start < found.end <= len(text):
        first = max(0, found.start - _LONGEST)
        before = [match.end() for match in _CLAUSE_END.finditer(text, first, found.start)]
        after = _CLAUSE_END.search(text, found.end, found.end + _LONGEST)
        start = before[-1] if before else first
        words = cut_words(text, start, after.start() if after else min(len(text), found.end + _LONGEST))
        if _states(alone(words), path, found.value):
            return replace(found, words=str(words), start=words.start, end=words.end)
    return replace(found, provenance="implied", marks=(*found.marks, "unproven"))


def _states(alone: dict[str, Field], path: str, value: object) -> bool:
    """Whether words alone state a value of a field; what comes after a warmup may be the whole without its words."""
    key = path.rpartition(".")[2]
    return any(
        at.rpartition(".")[2] == key and one.provenance == "stated" and one.value == value for at, one in alone.items()
    )


def _refutes(path: str, found: Field, items: list[Item], alone: Reader) -> bool:
    """Whether words alone state another value of a field, or its value of another concept only."""
    own = _CONCEPTS.get(path.replace(".then", ""))
    if own is None:
        return False
    stated: dict[str, list[float]] = {}
    for at, one in alone(found.words[:_LONGEST]).items():
        concept = _CONCEPTS.get(at.replace(".then", ""))
        if concept and one.provenance == "stated":
            stated.setdefault(concept, []).append(one.value)
    if own in stated:  # of several numbers, the others belong to what was cut off
        return sum(item.kind == "number" for item in items) == 1 and not _is_among(found.value, stated[own])
    named = any(item.is_a("concept", own, *_ALSO_CALLED.get(own, ())) for item in items)
    return not named and any(_is_among(found.value, values) for values in stated.values())
