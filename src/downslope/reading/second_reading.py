"""A second reading of the numbers of a text, learned from examples: which setting each is, by the words around it.

The readers by rules know what they were told. This one has an opinion of wordings, too, that no rule is for: every word
near a number has a weight for each setting, found by SGD (tests/reading/learn.py). It is shown, not trusted: a stated
value that it finds unlikely is marked, and gives way to a number that it is quite sure of; a setting that no rule found
and it is rather sure of is implied. Whatever it puts in is marked as guessed.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

from downslope.core.files import MIB, read_regular
from downslope.reading.draft import Draft
from downslope.reading.facts import Board
from downslope.reading.numbers import Number, numbers_of
from downslope.reading.order import numbers_of as numbers_in
from downslope.reading.text import Text, Words, normalise

Span = tuple[int, int]

WEIGHTS = Path(__file__).with_name("second_reading.bin")
ROLES = (
    "none", "lr", "final", "factor", "milestone", "every", "duration", "momentum", "weight_decay", "batch", "epochs",
    "steps",
)  # fmt: skip
"""What a number may be; "none" is everything else."""

_ROLE_OF = {
    "sgd.lr": "lr", "sgd.lr.initial": "lr", "sgd.lr.peak": "lr", "sgd.lr.final": "final", "sgd.lr.end": "final",
    "sgd.lr.factor": "factor", "sgd.lr.rate": "factor", "sgd.lr.milestones": "milestone", "sgd.lr.every": "every",
    "sgd.lr.duration": "duration", "sgd.momentum": "momentum", "sgd.weight_decay": "weight_decay",
    "data.batch_size": "batch", "train.epochs": "epochs", "train.steps": "steps",
}  # fmt: skip
_LENGTHS = ("train.epochs", "train.steps")
_ALONE = ("sgd.momentum", "sgd.weight_decay", "data.batch_size")
_SINGLE = frozenset({"lr", "momentum", "weight_decay", "batch", "epochs", "steps"})
"""Roles of settings that have one number."""

_FROM_INITIAL = frozenset({"cosine", "linear", "polynomial", "exponential", "multistep", "inverse"})
"""Schedules that begin at a rate called initial."""

_LIMITS = {"lr": 10.0, "momentum": 1.0, "weight_decay": 0.1}
"""Roles whose numbers need not be whole, and below which a value is filled in."""

_LONGEST_TRAINING = {"epochs": 10_000}
_ARCHITECTURE = re.compile(r"(?:rank|alpha|dim\w*|width|depth|heads?|layers?|[维层头秩])[\s=:为]{0,3}$")
_LEAST = {"momentum": 0.1}
"""What a value that is filled in must exceed: one that is less is some average's."""

_UNLIKELY, _SURE, _CERTAIN = 0.05, 0.5, 0.8
_MOST, _LONGEST = 200, 2000
"""Numbers that are asked for what no rule found, and characters of a stretch: what people paste has fewer."""
BUCKETS = 1 << 14
"""Rows of weights; words share one by chance."""

_BEFORE, _AFTER, _WORDS_BEFORE, _WORDS_AFTER = 90, 60, 12, 7
"""Characters and words before and after a number that it is told by."""
_WORD = re.compile(r"[a-z]{1,40}|[\u4e00-\u9fff]|\d{1,40}|[^\w\s]|\n")
_OR = r"(?:[-,/~、或和至到]|to|or|and|vs\.?|instead of|rather than)"
_OTHER_AFTER = re.compile(rf"\s?{_OR}\s?(?:and |or )?[\d.]")
_OTHER_BEFORE = re.compile(rf"[\d%]\s?{_OR}\s?(?:and |or )?$")
_HELD_OUT = re.compile(r"\s*\w*(?:val|valid|eval|test|dev)\w{0,20}\s?=")
"""What begins a line of code that is not of training: `eval_loader = DataLoader(dev, batch_size=512)`."""
_NAMED = re.compile(r"[^\W\d_]{2}|[\u4e00-\u9fff]")
_QUOTED = re.compile(r"[^\s,;:.=(){}\[\]，；：。（）]{0,40}[\s=:(]{0,3}$")


class Place(NamedTuple):
    """A number of the input, and the normalised text that it stands in."""

    number: Number
    text: Text
    offset: int
    """Of that text in the input."""


Rated = tuple[Place, list[float]]
"""A number, and how likely each role is."""


def role_of(path: str) -> str:
    """Return what the numbers of a field are; "" for fields of which nothing was learned.

    Example:
        >>> role_of("sgd.lr.then.initial"), role_of("sgd.lr.duration"), role_of("train.clip_norm")
        ('lr', 'duration', '')
    """
    return _ROLE_OF.get("sgd.lr" if path == "sgd.lr.then" else path.replace(".then.", "."), "")


def buckets_of(place: Place) -> list[int]:
    """Return which weights a number has: those of what it is told by."""
    told = _features(place.text.plain, place.number)
    return [zlib.crc32(feature.encode(errors="replace")) % BUCKETS for feature in told]


def _features(plain: str, number: Number) -> Iterator[str]:
    """Yield what a number is told by: the words around it with how near they are, pairs of them, and its size."""
    before = [*map(_word, _WORD.findall(plain[max(0, number.start - _BEFORE) : number.start]))][-_WORDS_BEFORE:]
    after = [*map(_word, _WORD.findall(plain[number.end : number.end + _AFTER]))][:_WORDS_AFTER]
    for distance, word in enumerate(reversed(before)):
        yield f"before{distance if distance < 3 else 3 + (distance - 3) // 3} {word}"
        if distance < 8:
            yield f"before {word}"
    for one, next_one in pairwise(before[-7:]):
        yield f"before {one} {next_one}"
    for distance, word in enumerate(after):
        yield f"after{min(distance, 3)} {word}"
        if distance < 4:
            yield f"after {word}"
    for one, next_one in pairwise(after[:3]):
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


class _Weights(NamedTuple):
    """A weight for every bucket and role, in bytes of which each role has its own unit, and a bias for each role."""

    codes: memoryview
    units: list[float]
    biases: list[float]


def pack(codes: bytes, units: Iterable[float], biases: Iterable[float]) -> bytes:
    """Return the content of the file of weights: a line of units, a line of biases, and the codes, compressed."""
    lines = [" ".join(f"{number:.6g}" for number in numbers) for numbers in (units, biases)]
    return "\n".join([*lines, ""]).encode() + zlib.compress(codes, 9)


@cache
def _weights() -> _Weights:
    units, biases, codes = read_regular(WEIGHTS, limit=MIB).split(b"\n", 2)
    bytes_of_codes = memoryview(zlib.decompress(codes)).cast("b")
    return _Weights(bytes_of_codes, [*map(float, units.split())], [*map(float, biases.split())])


def likelihoods(place: Place) -> list[float]:
    """Return how likely it is that a number has each role."""
    codes, units, biases = _weights()
    rows = [codes[bucket * len(ROLES) : (bucket + 1) * len(ROLES)] for bucket in buckets_of(place)]
    sums = map(sum, zip(*rows, strict=True))
    scores = [one * unit + bias for one, unit, bias in zip(sums, units, biases, strict=True)]
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def _likelihood(place: Place, role: str) -> float:
    return likelihoods(place)[ROLES.index(role)]


def read_again(draft: Draft, board: Board, unread: Iterable[Span]) -> list[Span]:
    """Mark what is unlikely among a draft's stated fields, and put in what is missing and likely.

    Args:
        draft: What the rules found in all parts of the input.
        board: The prose.
        unread: Where numbers of the other parts stand that their readers made nothing of.

    Returns:
        Where values stand that were taken for a setting, and are not.
    """
    unlikely = _mark_unlikely(draft)
    if draft.optimizer != "sgd":
        return []
    overruled = _overrule(draft, unlikely)
    _fill_in(draft, _rated(_free(board, draft.text.original, unread)))
    return overruled


def numbers_within(original: str, start: int, end: int) -> Iterator[Place]:
    """Yield the numbers of a stretch of the input, each with what stands around the stretch."""
    offset = max(0, start - 2 * _BEFORE)
    text = normalise(original[offset : end + 2 * _AFTER])
    for number in numbers_of(text.plain):
        if start <= text.origin[number.start] + offset < end and not math.isinf(number.value):
            yield Place(number, text, offset)


def _mark_unlikely(draft: Draft) -> list[str]:
    marked: list[str] = []
    for path, found in draft.fields.items():
        role = role_of(path)
        if role and found.provenance == "stated" and 0 <= found.start < found.end <= found.start + _LONGEST:
            values = numbers_in(found.value)
            meant = [
                place
                for place in numbers_within(draft.text.original, found.start, found.end)
                if any(math.isclose(place.number.value, value, rel_tol=1e-6) for value in values)
            ]
            if meant and max(_likelihood(place, role) for place in meant) < _UNLIKELY:
                marked.append(path)
    for path in marked:
        if _NAMED.search(draft.fields[path].words):  # an argument by place has no words that could speak of another
            draft.mark(path, "unlikely")
    return marked


def _overrule(draft: Draft, unlikely: Iterable[str]) -> list[Span]:
    """Put what is very likely in the place of what is unlikely, and leave out what is no rate at all."""
    original = draft.text.original
    rivals: list[Rated] = []
    overruled: list[Span] = []
    for path in unlikely:
        role, found = role_of(path), draft.fields[path]
        if role not in _SINGLE or not isinstance(found.value, int | float):
            continue
        rivals = rivals or _rated(numbers_within(original, 0, len(original)))
        place = _likeliest(rivals, role, _CERTAIN)
        if place.number.value != found.value if place else found.value > _LIMITS.get(role, math.inf):
            overruled.append((found.start, found.end))
            del draft.fields[path]
            _put(draft, path, place)
            if role == "lr" and place is None:
                draft.remarks.say("no_lr")
    return overruled


def _free(board: Board, original: str, unread: Iterable[Span]) -> Iterator[Place]:
    """Yield the numbers that the rules made nothing of, not even another's value or a choice."""
    taken = board.used | board.refused
    for index, item in enumerate(board.items):
        counted = index + 1 < len(board.items) and board.items[index + 1].is_a("unit", "ignored")  # 50 layers
        if item.kind == "number" and not counted and index not in taken and not math.isinf(item.value):
            yield Place(Number(item.value, item.start, item.end), board.text, 0)
        elif item.kind == "time" and item.key in {"at", "bare"} and index not in board.used:
            for one in numbers_of(board.text.plain[item.start : item.end]):
                yield Place(replace(one, start=item.start + one.start, end=item.start + one.end), board.text, 0)
    for start, end in unread:
        if end - start <= _LONGEST:
            yield from numbers_within(original, start, end)


def _rated(places: Iterable[Place]) -> list[Rated]:
    return [(place, likelihoods(place)) for place in islice(places, _MOST)]


def _fill_in(draft: Draft, free: Sequence[Rated]) -> None:
    for path, role in _missing(draft):
        place = _likeliest(free, role, _SURE)
        _put(draft, path, place)
        draft.remarks.drop({"no_lr"} if place and role == "lr" else ())


def _missing(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield the settings that nothing gives, and the role of their numbers."""
    fields = draft.fields.keys()
    rate = "sgd.lr.then" if draft.value("sgd.lr.schedule") == "warmup" else "sgd.lr"
    schedule = draft.value(f"{rate}.schedule")
    if schedule is None and rate not in fields:
        yield rate, "lr"
    elif schedule in _FROM_INITIAL and f"{rate}.initial" not in fields:
        yield f"{rate}.initial", "lr"
    if rate == "sgd.lr.then" and "sgd.lr.duration" not in fields:
        yield "sgd.lr.duration", "duration"
    yield from ((path, _ROLE_OF[path]) for path in _ALONE if path not in fields)
    for path in _LENGTHS:
        if not fields & {*_LENGTHS}:
            yield path, _ROLE_OF[path]


def _likeliest(rated: Sequence[Rated], role: str, least: float) -> Place | None:
    """Return the number that has a role, if it is at least so likely and no other number of its text nearly as much."""
    index = ROLES.index(role)
    place, likely = max(rated, key=lambda one: one[1][index], default=(None, [0.0] * len(ROLES)))
    if place is None or likely[index] < least:
        return None
    value = place.number.value
    usable = _LEAST.get(role, 0) < value < _LIMITS.get(role, _LONGEST_TRAINING.get(role, math.inf)) and (
        role in _LIMITS or float(value).is_integer()
    )
    before = place.text.plain[max(0, place.number.start - 12) : place.number.start]
    if (role == "lr" and place.number.percent) or _ARCHITECTURE.search(before):
        return None
    if not usable or _is_choice(place.text.plain, place.number):
        return None
    line = place.text.plain[: place.number.start].rpartition("\n")[2]
    if _HELD_OUT.match(line[-300:]):
        return None
    return place if _numbers_like(place, index, likely[index] / 4) == {value} else None


def _put(draft: Draft, path: str, place: Place | None) -> None:
    if place is None:
        return
    number, text, offset = place
    value = number.value if role_of(path) in _LIMITS else int(number.value)
    before = _QUOTED.search(text.plain, max(0, number.start - 43), number.start)
    words = text.words(before.start() if before else number.start, number.end)
    draft.put(path, value, "implied", Words(words, words.start + offset, words.end + offset))
    draft.mark(path, "guessed")


def _numbers_like(place: Place, role: int, least: float) -> set[float]:
    """Return the numbers of the same text, used ones too, of which a role is so likely."""
    usable = (one for one in numbers_of(place.text.plain) if not math.isinf(one.value))
    every = [place, *(place._replace(number=one) for one in islice(usable, _MOST))]
    return {one.number.value for one in every if likelihoods(one)[role] >= least}


def _is_choice(plain: str, number: Number) -> bool:
    """Whether another number stands right beside it, as in choices, ranges and comparisons."""
    before = _OTHER_BEFORE.search(plain, max(0, number.start - 24), number.start)
    return bool(before or _OTHER_AFTER.match(plain, number.end))
