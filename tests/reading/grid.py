"""A statement in many wordings: its form, the words of its slots, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Grid:
    """A statement in many wordings.

    Attributes:
        form: The statement, its slots in braces.
        slots: Name -> its words, between bars.
        wanted: Path -> value, whatever the words; "rates" are those of two parts of the network, in either order.
        says: What words say besides: (path -> value, the words between bars).
        may: Paths that may be there.
        apart: Words that do not go with others: (some, the others), between bars.
        drawn: How many combinations are drawn, by day.
    """

    form: str
    slots: dict[str, str]
    wanted: dict
    says: list = field(default_factory=list)
    may: list = field(default_factory=list)
    apart: list = field(default_factory=list)
    drawn: int = 8
