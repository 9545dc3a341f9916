"""What was not used: every number that no field and no remark tells of, with the words around it.

What lives here: finding them. What does not: deciding what is used.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from itertools import accumulate
from typing import Any

from downslope.recipes.reading.draft import Draft
from downslope.recipes.reading.facts import Board
from downslope.recipes.reading.items import Item
from downslope.recipes.reading.numbers import unusable_numbers

_AROUND = 3
_CODE = frozenset({"gamma_setting"})


def find_unread(board: Board, draft: Draft) -> list[str]:
    """Return the numbers that were not used, each with the words around it.

    A number that the grammar took but that is neither in the words of a field nor in a remark was lost on the way, and
    counts as not used.

    Args:
        board: The items, and which of them were used.
        draft: The fields and remarks, and all facts, of code too.
    """
    found = [board.words(fact) for fact in board.facts if fact.kind == "value" and fact.key == "other"]
    told = _Told(draft)
    calls = [fact for fact in draft.facts if fact.kind == "call"]
    for place, item in enumerate(board.items):
        if item.kind not in {"number", "time", "unusable"} or (item.number and item.number.spelled):
            continue
        if any(fact.start <= item.start < fact.end for fact in calls):
            continue
        if place in board.used:
            words = board.text.words(item.start, item.end)
            if told.has(item) or any(words in listed for listed in found):
                continue
        words = _around(board, place)
        if words not in found:
            found.append(words)
    for start, end in unusable_numbers(board.text.plain):  # those in code too
        words = board.text.words(start, end)
        if not any(words in listed for listed in found):
            found.append(words)
    settings = [fact for fact in draft.of("value") if fact.key in _CODE]
    return [*found, *(board.words(fact) for fact in settings if not told.covers(fact.start, fact.end))]


def _around(board: Board, place: int) -> str:
    before = {"word", "is", "by", "at", "mod", "for"} | ({"concept"} if place in board.used else set[str]())
    first = place
    while first > 0 and place - first < _AROUND and board.items[first - 1].kind in before:
        first -= 1
    last = place
    if last + 1 < len(board.items) and board.items[last + 1].kind in {"unit", "word"}:
        last += 1
    return board.text.words(board.items[first].start, board.items[last].end)


class _Told:
    """Where in the text the words of the fields and remarks come from.

    Args:
        draft: The fields and remarks.
    """

    def __init__(self, draft: Draft) -> None:
        self.text = draft.text
        self.spans: list[tuple[int, int]] = []
        self.loose: list[str] = list(draft.remarks)
        self.values: list[Any] = []
        for field in draft.fields.values():
            self.values += field.value if isinstance(field.value, list) else [field.value]
            if isinstance(field.value, str | bool):  # a schedule's name is not where its numbers went
                continue
            at = draft.text.original.find(field.words) if field.words else -1
            if at < 0:  # put together from several places, or a reason
                self.loose.append(field.words)
            while at >= 0:
                self.spans.append((at, at + len(field.words)))
                at = draft.text.original.find(field.words, at + 1)
        self.spans.sort()
        self._ends = list(accumulate((end for _, end in self.spans), max))

    def covers(self, start: int, end: int) -> bool:
        """Whether a stretch of the normalised text lies within the words of a field."""
        first, last = self.text.origin[start], self.text.origin[end - 1]
        before = bisect_right(self.spans, (first, math.inf))
        return before > 0 and last < self._ends[before - 1]  # the farthest that one of those before it reaches

    def has(self, item: Item) -> bool:
        """Whether a number or time is told of."""
        if self.covers(item.start, item.end):
            return True
        if item.kind == "time" and all(value in self.values for value in item.data.values):
            return True
        numbers = re.findall(r"\d[\d.,]*(?:e[-+]?\d+)?", self.text.words(item.start, item.end), re.IGNORECASE)
        if not numbers:
            return False
        return all(
            any(re.search(rf"(?<![\d.]){re.escape(number.rstrip('.,'))}(?!\d|\.\d)", words) for words in self.loose)
            for number in numbers
        )
