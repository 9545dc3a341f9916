"""A second reading of the numbers of a text, learned from examples: which setting each is, by the words around it.

The readers by rules know what they were told. This one has an opinion of wordings, too, that no rule is for: every word
near a number has a weight for each setting, found by SGD (tests/reading/learn.py). It is shown, not trusted: a stated
value that it finds unlikely is marked; a setting that no rule found and it is rather sure of is implied, and marked.
"""

from __future__ import annotations

import math
import re
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from downslope.reading.draft import Draft
from downslope.reading.numbers import Number, number_at, numbers_of
from downslope.reading.order import numbers_of as numbers_in
from downslope.reading.text import Text, normalise

WEIGHTS = Path(__file__).with_name("second_reading.npz")
ROLES = (
    "none", "lr", "final", "factor", "milestone", "every", "duration", "momentum", "weight_decay", "batch", "epochs", "steps",
)  # fmt: skip
"""What a number may be; "none" is everything else."""

_ROLE_OF = {
    "sgd.lr": "lr", "sgd.lr.initial": "lr", "sgd.lr.peak": "lr", "sgd.lr.final": "final", "sgd.lr.end": "final",
    "sgd.lr.factor": "factor", "sgd.lr.rate": "factor", "sgd.lr.milestones": "milestone", "sgd.lr.every": "every",
    "sgd.lr.duration": "duration", "sgd.momentum": "momentum", "sgd.weight_decay": "weight_decay",
    "data.batch_size": "batch", "train.epochs": "epochs", "train.steps": "steps",
}  # fmt: skip
_LENGTHS = ("train.epochs", "train.steps")
_FILLED = {
    "sgd.lr": ("sgd.lr", "sgd.lr.initial", "sgd.lr.schedule", "sgd.lr.then.initial"),
    "sgd.momentum": ("sgd.momentum",),
    "sgd.weight_decay": ("sgd.weight_decay",),
    "data.batch_size": ("data.batch_size",),
    "train.epochs": _LENGTHS,
    "train.steps": _LENGTHS,
}
"""Fields that are filled in, and the fields of which there is then none."""

_LIMITS = {"sgd.lr": 10.0, "sgd.momentum": 1.0, "sgd.weight_decay": 0.1}
"""Below which a value is filled in."""

_UNLIKELY, _SURE = 0.05, 0.4
_LONGEST = 20_000
"""Characters of an input that are read so: what people paste is shorter."""
BUCKETS = 1 << 14
"""Rows of weights; words share one by chance."""

_BEFORE, _AFTER, _WORDS_BEFORE, _WORDS_AFTER = 90, 60, 12, 7
"""Characters and words before and after a number that it is told by."""
_WORD = re.compile(r"[a-z]{1,40}|[\u4e00-\u9fff]|\d{1,40}|[^\w\s]|\n")
_QUOTED = re.compile(r"[^\s,;:.=(){}\[\]，；：。（）]{0,40}[\s=:(]{0,3}$")


def role_of(path: str) -> str:
    """Return what the numbers of a field are; "" for fields of which nothing was learned.

    Example:
        >>> role_of("sgd.lr.then.initial"), role_of("sgd.lr.duration"), role_of("train.clip_norm")
        ("lr", "duration", "")
    """
    return _ROLE_OF.get("sgd.lr" if path == "sgd.lr.then" else path.replace(".then.", "."), "")


def features(plain: str, number: Number) -> Iterator[str]:
    """Yield what a number is told by: the words around it with how near they are, pairs of them, and its size."""
    before = [*map(_word, _WORD.findall(plain[max(0, number.start - _BEFORE) : number.start]))][-_WORDS_BEFORE:]
    after = [*map(_word, _WORD.findall(plain[number.end : number.end + _AFTER]))][:_WORDS_AFTER]
    for distance, word in enumerate(reversed(before)):
        yield f"before{distance if distance < 3 else 3 + (distance - 3) // 3} {word}"
        if distance < 8:
            yield f"before {word}"
    for one, next_one in zip(before[-7:], before[-6:], strict=False):
        yield f"before {one} {next_one}"
    for distance, word in enumerate(after):
        yield f"after{min(distance, 3)} {word}"
        if distance < 4:
            yield f"after {word}"
    for one, next_one in zip(after[:2], after[1:3], strict=False):
        yield f"after {one} {next_one}"
    if before and after:
        yield f"between {before[-1]} {after[0]}"
    near = plain[max(0, number.start - 14) : number.start]
    for place in range(len(near) - 3):
        yield f"letters {near[place : place + 4]}"
    value = min(abs(float(number.value)), 1e300)
    yield f"size {math.floor(2 * math.log10(value)) if value else 'zero'}"
    yield f"whole {value.is_integer()}"
    yield f"power of two {value >= 2 and math.frexp(value)[0] == 0.5}"
    yield f"value {value:g}"


def _word(word: str) -> str:
    return "#" if word.isdecimal() else word


def bucket_of(feature: str) -> int:
    """Return which row of weights a feature has."""
    return zlib.crc32(feature.encode(errors="replace")) % BUCKETS


@cache
def _weights() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the weights, (buckets, roles), and biases, which the file has as bytes with a scale for each role."""
    with np.load(WEIGHTS, allow_pickle=False) as file:
        return file["codes"].astype(np.float32) * file["scales"], file["bias"]


def likelihoods(plain: str, numbers: Sequence[Number]) -> np.ndarray[Any, Any]:
    """Return how likely it is that each number of a text, in its normalised form, has each role: (numbers, roles)."""
    weights, bias = _weights()
    rows = [weights[[*map(bucket_of, features(plain, number))]].sum(0) + bias for number in numbers]
    scores = np.array(rows).reshape(-1, len(ROLES))
    powers = np.exp(scores - scores.max(1, keepdims=True, initial=-math.inf))
    return powers / powers.sum(1, keepdims=True)


def read_again(draft: Draft, whole: str) -> None:
    """Mark what is unlikely among a draft's stated fields, and fill in what is missing and likely.

    Args:
        draft: What the rules found in all parts of the input.
        whole: The input.
    """
    text = normalise(whole[:_LONGEST])
    _mark_unlikely(draft, text)
    if draft.optimizer == "sgd":
        _fill_in(draft, text)


def _mark_unlikely(draft: Draft, text: Text) -> None:
    for path, found in list(draft.fields.items()):
        role = role_of(path)
        if not role or found.provenance != "stated" or not 0 <= found.start < found.end < len(text.original):
            continue
        meant = [one for one in _numbers_within(text, found.start, found.end) if _is_among(one, found.value)]
        if meant and likelihoods(text.plain, meant)[:, ROLES.index(role)].max() < _UNLIKELY:
            draft.mark(path, "unlikely")


def _numbers_within(text: Text, start: int, end: int) -> list[Number]:
    """Return the numbers of a stretch of the original."""
    place, last = bisect_left(text.origin, start), bisect_left(text.origin, end)
    found: list[Number] = []
    while place < last:
        number = number_at(text.plain, place) if text.plain[place] in "-.0123456789" else None
        found += [] if number is None or math.isinf(number.value) else [number]
        place = place + 1 if number is None else max(place + 1, number.end)
    return found


def _is_among(number: Number, value: Any) -> bool:
    return any(math.isclose(number.value, one, rel_tol=1e-6) for one in numbers_in(value))


def _fill_in(draft: Draft, text: Text) -> None:
    missing = {path: role_of(path) for path, others in _FILLED.items() if not draft.fields.keys() & {*others}}
    if not missing:
        return
    used = [(found.start, found.end, found.value) for found in draft.fields.values() if found.start >= 0]
    free = [
        number
        for number in numbers_of(text.plain)
        if not math.isinf(number.value)
        and not any(
            start <= text.origin[number.start] < end and _is_among(number, value) for start, end, value in used
        )
    ]
    likely = likelihoods(text.plain, free)
    for path, role in missing.items():
        own = likely[:, ROLES.index(role)]
        if not len(own) or own.max() < _SURE or draft.fields.keys() & {*_FILLED[path]}:
            continue
        number = free[int(own.argmax())]
        value = number.value if path.startswith("sgd.") else int(number.value)
        if 0 < value < _LIMITS.get(path, math.inf) and value == number.value:
            before = _QUOTED.search(text.plain, max(0, number.start - 43), number.start)
            words = text.words(before.start() if before else number.start, number.end)
            draft.put(path, value, "implied", words)
            draft.mark(path, "guessed")
