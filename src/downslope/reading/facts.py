"""What the grammar finds: facts, each with the stretch of text it came from; and the board they are collected on."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

from downslope.reading.items import Item
from downslope.reading.patterns import Match, Pattern, encode
from downslope.reading.text import Text


@dataclass
class Fact:
    """One thing that the text says.

    Attributes:
        kind: "value", "change", "plateau", "range", "knots", "levels", "shape", "warmup", "off", "group",
            "optimizer", "another", "devices" or "convention".
        key: Which concept, schedule or optimizer.
        value: The number, or whatever the kind has.
        start: Place of its first character in the normalised text.
        end: Place after its last.
    """

    kind: str
    key: str
    value: Any
    start: int = 0
    end: int = 0


@dataclass
class Value(Fact):
    """The value of a concept, which is its `key`.

    Attributes:
        role: Of a learning rate "initial", "peak", "final" or "base", of a batch size "total", or "".
        unit: Of a length or a period: "epoch", "step" or "".
        second: The other of two betas.
        per: What a rate or a threshold is for: "sample", so many examples, or None for the mean.
        per_batch: The batch size that a rate is scaled by, and the place after its words.
        per_device: Whether it is that of one device.
        product: Whether a product is written in its place.
    """

    role: str = ""
    unit: str = ""
    second: float | None = None
    per: float | str | None = None
    per_batch: tuple[float, int] | None = None
    per_device: bool = False
    product: bool = False


@dataclass
class Mention(Fact):
    """An optimizer that is named; `key` is which.

    Attributes:
        denied: Whether it is said not to be used.
        reach: Place after the words that speak of it.
        since: Place where the sentence begins whose only optimizer it is; else its own.
    """

    denied: bool = False
    reach: int = 0
    since: int = 0


@dataclass
class Group(Fact):
    """A setting of some parameters alone; `key` is which.

    Attributes:
        what: "lr" or "weight_decay".
        factor: Whether the value multiplies that of all others.
    """

    what: str = "lr"
    factor: bool = False


@dataclass
class Setting(Fact):
    """A setting of the training that is not the optimizer's; `key` is its path in a recipe.

    Attributes:
        implied: Whether its value follows from a convention alone.
    """

    implied: bool = False


FactT = TypeVar("FactT", bound=Fact)

_TAKEN = encode([Item("taken", "", 0, 0)])

SGD = frozenset({"sgd", "sgdw", "qhm", "larc"})
"""Keys of the optimizer that recipes are of."""

LONGEST = 200
"""Items of the longest sentence."""


@dataclass
class Board:
    """The items of a text, which of them have been used, and the facts found so far.

    Attributes:
        text: The text.
        items: Its items, times made one.
        facts: The facts.
        used: Places in `items` that some fact has used.
        refused: Places of numbers that are said to be no value: choices, ends of ranges, what was given up.
    """

    text: Text
    items: list[Item]
    facts: list[Fact] = field(default_factory=list[Fact])
    used: set[int] = field(default_factory=set[int])
    refused: set[int] = field(default_factory=set[int])
    _codes: list[str] = field(default_factory=list[str])
    _of: dict[tuple[str, str], list[Fact]] = field(default_factory=dict[tuple[str, str], list[Fact]])
    _by_class: dict[type[Fact], list[Fact]] = field(default_factory=dict[type[Fact], list[Fact]])

    def add(self, kind: str, key: str, value: Any, places: Iterable[int]) -> None:
        """Add a plain fact that uses the items at these places."""
        self.note(Fact(kind, key, value), places)

    def note(self, fact: FactT, places: Iterable[int]) -> FactT:
        """Add a fact that uses the items at these places; where it starts and ends is theirs."""
        places = [*places]
        self.used.update(places)
        fact.start = min(self.items[place].start for place in places)
        fact.end = max(self.items[place].end for place in places)
        self.facts.append(fact)
        self._of.setdefault((fact.kind, fact.key), []).append(fact)
        insort(self._by_class.setdefault(type(fact), []), fact, key=lambda other: other.start)
        return fact

    def inside(self, kind: type[FactT], first: int, last: int) -> list[FactT]:
        """Return the facts of a class that start within a stretch of items, in the order of the text."""
        facts = self._by_class.get(kind, [])
        start, end = self.items[first].start, self.items[last - 1].end
        left, right = (bisect_left(facts, place, key=lambda fact: fact.start) for place in (start, end))
        return [fact for fact in facts[left:right] if isinstance(fact, kind)]

    def of(self, kind: str, key: str) -> Sequence[Fact]:
        """Return the facts of a kind and key, in the order in which they were found."""
        return self._of.get((kind, key), ())

    def has(self, *kinds: str) -> bool:
        """Whether there is a fact of one of these kinds."""
        return any(kind in kinds for kind, _ in self._of)

    def sentences(self) -> list[tuple[int, int]]:
        """Return the stretches of items between breaks, as (first, after the last).

        A stretch longer than any sentence is cut, at a comma if there is one: the rules look about within a sentence,
        and without an end to it their work would grow with the square of its length.
        """
        bounds = [-1, *(place for place, item in enumerate(self.items) if item.kind == "break"), len(self.items)]
        found: list[tuple[int, int]] = []
        for left, right in pairwise(bounds):
            first = left + 1
            while right - first > LONGEST:
                middle = range(first + LONGEST - 1, first + LONGEST // 2, -1)
                cut = next((place + 1 for place in middle if self.items[place].kind == "comma"), first + LONGEST)
                found.append((first, cut))
                first = cut
            found += [(first, right)] if right > first else []
        return found

    def code(self) -> str:
        """Return the items encoded for patterns, as `encode` does, numbers and times in use as taken."""
        if not self._codes:
            self._codes = list(encode(self.items))
        codes = self._codes.copy()
        for place in self.used:
            if self.items[place].kind in {"number", "time"}:
                codes[place] = _TAKEN
        return "".join(codes)

    def matches(self, pattern: Pattern) -> list[Match]:
        """Return the matches of a pattern within the sentences."""
        code = self.code()
        return [match for first, last in self.sentences() for match in pattern.find(code, first, last)]

    def leaves_brackets(self, place: int, other: int) -> bool:
        """Whether the way from a place to a later one leaves brackets that opened before it: "(with warmup) for 35"."""
        depth = 0
        for item in self.items[place + 1 : other]:
            depth += (item.kind == "open") - (item.kind == "close")
            if depth < 0:
                before = (one.kind for one in reversed(self.items[max(0, place - 8) : place]))
                return next((kind for kind in before if kind in {"open", "close", "break"}), "") == "open"
        return False

    def free_number(self, place: int) -> bool:
        """Whether the item at a place is a number that nothing has used."""
        return 0 <= place < len(self.items) and self.items[place].kind == "number" and place not in self.used

    def plain(self, stretch: Item | Fact) -> str:
        """Return the normalised words of an item or a fact."""
        return self.text.plain[stretch.start : stretch.end]

    def words(self, fact: Fact) -> str:
        """Return the original words of a fact."""
        return self.text.words(fact.start, fact.end)
