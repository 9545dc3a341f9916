"""What was not used: every number of the input that is in no field and no remark, as the whole phrase it stands in."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator

from downslope.reading.draft import Draft
from downslope.reading.facts import Board
from downslope.reading.items import Item
from downslope.reading.numbers import unusable_numbers
from downslope.reading.order import covering, numbers_of
from downslope.reading.reading import Field
from downslope.reading.text import cut_words

_NUMBER = re.compile(r"(?<![\w.])(?:\d[\d_]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?%?", re.ASCII)
_WORD = re.compile(r"[\w%^-]+", re.ASCII)
_ADDED = re.compile(r"\.?\s?[+-]")
"""What follows the 1 of 1 / (1 + gamma * step), which is no setting."""

_LEFT, _RIGHT = 5, 3
"""Items of a phrase before and after its number, at most."""
_ENDS = frozenset({"comma", "break", "open", "close", "and", "number", "time", "unusable", "to", "or"})
_LOOSE = re.compile(r"an?|the|we|its?|is|are|was|were|be|with|used?|using|for|by")
_LONGEST = 100

Span = tuple[int, int]


def find_unread(board: Board, draft: Draft, parts: Iterable[Span], listed: Iterable[Span]) -> list[str]:
    """Return the phrases with the numbers that are in no field and no remark, in order; parts of names come last.

    Args:
        board: The prose.
        draft: What was read of the whole input.
        parts: Where the parts stand that are no prose.
        listed: What their readers did not use.
    """
    told = _Told(draft)
    found = [*_of_prose(board, told), *_of_parts(draft.text.original, [*parts], sorted(listed), told)]
    spans = [*_outermost(found), *_outermost(_of_names(board, told))]
    phrases = [cut_words(draft.text.original, start, _closed(draft.text.original, start, end)) for start, end in spans]
    return list(dict.fromkeys(bare for words in phrases if (bare := words.strip(" \t\n\\,;:*>`，；、"))))


def _closed(text: str, start: int, end: int) -> int:
    """Return the end of a phrase with the parenthesis that closes right behind it: "weight decay (1e-3)"."""
    behind = text[end : end + 1]
    if behind not in {")", "）"}:
        return end
    words = text[start:end]
    return end + (words.count("(") + words.count("（") == words.count(")") + words.count("）") + 1)


def _outermost(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the stretches that lie in no other, in order."""
    farthest = -1
    for start, end in sorted(set(spans), key=lambda span: (span[0], -span[1])):
        if end > farthest:
            yield start, end
            farthest = end


def _of_prose(board: Board, told: _Told) -> Iterator[Span]:
    """Yield the phrases of the prose: facts that no field has room for, and numbers that are not told of."""
    origin = board.text.origin
    others = [fact for fact in board.facts if fact.kind == "value" and fact.key == "other"]
    seen = [(origin[fact.start], origin[fact.end - 1] + 1) for fact in others]
    yield from seen
    ends = covering(seen)
    numbers: list[Span] = []
    to_words = _words(board.text.original)
    for place, item in enumerate(board.items):
        if item.kind not in {"number", "time", "unusable"} or (item.number and item.number.spelled):
            continue
        start, end = origin[item.start], origin[item.end - 1] + 1
        numbers.append((start, end))
        if not ends(start, end) and not told.has(start, end, _values(item), board.text.original):
            yield to_words(*_phrase(board, place))
    unusable = [(origin[start], origin[end - 1] + 1) for start, end in unusable_numbers(board.text.plain)]
    inside = covering([*seen, *numbers, *_names(board)])
    for start, end in unusable:  # those in formulas, too
        if not inside(start, end) and not told.quotes(start, end):
            yield start, end
    yield from _of_gaps(board, inside, told)


def _names(board: Board) -> list[Span]:
    """Return where the words stand; those with a number in them, such as ResNet-18, are names."""
    origin = board.text.origin
    words = [item for item in board.items if item.kind in {"word", "optimizer", "concept"}]
    return [(origin[item.start], origin[item.end - 1] + 1) for item in words]


def _of_names(board: Board, told: _Told) -> Iterator[Span]:
    """Yield the names that have a number in them."""
    text = board.text.original
    for start, end in _names(board):
        numbers = [match.group() for match in _NUMBER.finditer(text, start, end)]
        if numbers and not told.has(start, end, (), text):
            yield start, end


def _of_gaps(board: Board, inside: Callable[[int, int], bool], told: _Told) -> Iterator[Span]:
    """Yield the phrases of what is no item: numbers in formulas."""
    for match in _NUMBER.finditer(board.text.plain):
        start, end = board.text.origin[match.start()], board.text.origin[match.end() - 1] + 1
        constant = match.group() in {"1", "1.0"} and _ADDED.match(board.text.plain, match.end())
        if (
            not constant
            and not inside(start, end)
            and not told.has(start, end, _value_of(match.group()), board.text.original)
        ):
            yield _line(board.text.original, start, end)


def _of_parts(text: str, parts: list[Span], listed: list[Span], told: _Told) -> Iterator[Span]:
    """Yield what the readers of the other parts did not use, and the lines of numbers that they did not even list."""
    yield from listed
    inside = covering(listed)
    for first, last in parts:
        for match in _NUMBER.finditer(text, first, last):
            start, end = match.span()
            if not inside(start, end) and not told.has(start, end, _value_of(match.group()), text):
                yield _line(text, start, end)


def _values(item: Item) -> tuple[float, ...]:
    return tuple(item.data.values) if item.kind == "time" else (item.value,)


def _value_of(words: str) -> tuple[float, ...]:
    try:
        return (float(words.replace("_", "").rstrip("%")) / (100 if words.endswith("%") else 1),)
    except ValueError:
        return ()


def _phrase(board: Board, place: int) -> Span:
    """Return where the phrase around an item stands: up to a comma, another number or the end of its clause."""
    items = board.items
    first = last = place
    while first > 0 and place - first < _LEFT and items[first - 1].kind not in _ENDS and not _cut(board, first - 1):
        first -= 1
    while (
        last + 1 < len(items) and last - place < _RIGHT and items[last + 1].kind not in _ENDS and not _cut(board, last)
    ):
        last += 1
    while first < place and items[first].kind != "concept" and _LOOSE.fullmatch(board.plain(items[first])):
        first += 1
    if first == last:  # a number alone says nothing
        while first > 0 and place - first < _RIGHT and items[first - 1].kind != "break" and not _cut(board, first - 1):
            first -= 1
    return board.text.origin[items[first].start], board.text.origin[items[last].end - 1] + 1


def _words(text: str) -> Callable[[int, int], Span]:
    """Return a function that gives a stretch that begins and ends with whole words; a long one is gone through once."""
    first = after = 0

    def word_at(place: int) -> Span:
        nonlocal first, after
        word = _WORD.match(text, place) if not first <= place < after else None
        if word is not None:
            first, after = word.span()
            while first > 0 and _WORD.match(text, first - 1, first):
                first -= 1
        return (first, after) if first <= place < after else (place, place + 1)

    return lambda start, end: (word_at(start)[0], word_at(end - 1)[1])


def _cut(board: Board, place: int) -> bool:
    """Whether a clause was blanked out between an item and the next."""
    return board.items[place + 1].start - board.items[place].end > 40


def _line(text: str, start: int, end: int) -> Span:
    """Return where the line around a number stands, or the part of it that is near."""
    first, last = max(0, start - _LONGEST), min(len(text), end + _LONGEST)
    before, after = text[first:start], text[end:last]
    first += max(before.rfind("\n") + 1, before.find(" ") + 1 if first and "\n" not in before else 0)
    if "\n" in after:
        return first, end + after.index("\n")
    return first, (end + after.rfind(" ") if last < len(text) and " " in after else last)


class _Told:
    """Where the words of the fields stand, and what else is said of numbers."""

    def __init__(self, draft: Draft) -> None:
        text = draft.text.original
        self.spans: list[tuple[int, int, Field]] = []
        loose = list(draft.remarks)
        values: list[float] = []
        for field in draft.fields.values():
            if isinstance(field.value, str | bool):  # a schedule's name is not where its numbers went
                continue
            values += numbers_of(field.value)
            at = text.find(field.words) if len(field.words) > 8 else field.start
            if at < 0:  # put together from several places, or a reason
                loose.append(field.words)
            while at >= 0 and field.words:
                self.spans.append((at, at + len(field.words), field))
                at = text.find(field.words, at + len(field.words)) if len(field.words) > 8 else -1
        self.spans.sort(key=lambda one: one[:2])
        self.starts = [start for start, _, _ in self.spans]
        self.values = sorted(values)
        self.levels = [*_levels(draft, "sgd.lr"), *_levels(draft, "sgd.lr.then")]
        self.loose = frozenset(number for words in loose for number in _NUMBER.findall(words))
        self.longest = max((end - start for start, end, _ in self.spans), default=0)

    def has(self, start: int, end: int, values: tuple[float, ...], text: str) -> bool:
        """Whether numbers at a place are told of."""
        first = bisect_left(self.starts, end - self.longest)
        last = bisect_right(self.starts, start)
        if any(found_end >= end and _explains(field, values) for _, found_end, field in self.spans[first:last]):
            return True
        if len(values) > 1 and all(self._among(value) for value in values):
            return True
        if any(math.isclose(one, values[0], rel_tol=1e-6) for one in self.levels if values) and self.quotes(start, end):
            return True
        numbers = _NUMBER.findall(text[start:end])
        return bool(numbers) and all(number in self.loose for number in numbers)

    def quotes(self, start: int, end: int) -> bool:
        """Whether a field's words hold a place."""
        return any(first <= start and end <= last for first, last, _ in self.spans)

    def _among(self, value: float) -> bool:
        at = bisect_left(self.values, value * (1 - 1e-9))
        return at < len(self.values) and self.values[at] <= value * (1 + 1e-9)


def _levels(draft: Draft, rate: str) -> list[float]:
    """Return the rates that a fall by one factor goes through, as where they are listed: 0.1, 0.01, 0.001."""
    initial, factor, times = (draft.value(f"{rate}.{name}") for name in ("initial", "factor", "milestones"))
    return [initial * factor**power for power in range(1, len(times) + 1)] if initial and factor and times else []


def _explains(field: Field, values: tuple[float, ...]) -> bool:
    """Whether a field's value comes from these numbers of its words, or from no single one of them."""
    own = numbers_of(field.value)
    if any(_gives(one, value) for one in own for value in values):
        return True
    others = [value for words in _NUMBER.findall(field.words) for value in _value_of(words)]
    return not any(_gives(one, value) for one in own for value in others)


def _gives(value: float, number: float) -> bool:
    """Whether a value is a number, one divided by it or what it leaves of one."""
    near = [number, 1 - number, *([1 / number] if number else [])]
    return any(math.isclose(value, one, rel_tol=1e-6) for one in near)
