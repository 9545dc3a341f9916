"""A reading in the making: fields put in with their words, remarks, and the facts by kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from downslope.reading.facts import Fact, FactT, Value
from downslope.reading.plan import told
from downslope.reading.reading import Field, Provenance
from downslope.reading.remarks import Remarks
from downslope.reading.text import Text, Words


@dataclass
class Draft:
    """What is known so far.

    Attributes:
        text: The text.
        facts: All facts, in the order of the text.
        remarks: The sentences so far.
        fields: The fields so far.
        framework: Whose conventions the text follows ("caffe", "keras", "torch", ...), or "".
        optimizer: Which optimizer.
        named: Whether the text names it.
    """

    text: Text
    facts: list[Fact]
    remarks: Remarks
    fields: dict[str, Field] = field(default_factory=dict[str, Field])
    framework: str = ""
    optimizer: str = "sgd"
    named: Provenance = "assumed"

    def words(self, *facts: Fact) -> Words:
        """Return the original words from the first of these facts to the last."""
        if not facts:
            return Words()
        return self.text.words(min(fact.start for fact in facts), max(fact.end for fact in facts))

    def put(self, path: str, value: Any, provenance: Provenance, words: str) -> None:
        """Set a field, unless it has been set."""
        if path not in self.fields:
            self.fields[path] = told(value, words, provenance)

    def state(self, path: str, value: Any, fact: Fact) -> None:
        """Set a field that a fact states."""
        self.put(path, value, "stated", self.words(fact))

    def mark(self, path: str, name: str) -> None:
        """Mark a field, if there is one."""
        found = self.fields.get(path)
        if found is not None and name not in found.marks:
            self.fields[path] = replace(found, marks=(*found.marks, name))

    def of(self, kind: str, *keys: str) -> list[Fact]:
        """Return the facts of a kind, and of these keys if any are given."""
        return [fact for fact in self.facts if fact.kind == kind and (not keys or fact.key in keys)]

    def every(self, kind: type[FactT]) -> list[FactT]:
        """Return the facts of a class."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def values(self, *keys: str) -> Iterator[Value]:
        """Yield the facts that give a value to one of these concepts."""
        yield from (fact for fact in self.every(Value) if fact.key in keys)

    def value(self, path: str) -> Any:
        """Return a field's value, or None."""
        found = self.fields.get(path)
        return None if found is None else found.value
