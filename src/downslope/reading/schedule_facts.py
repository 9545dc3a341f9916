"""What sentences say of the learning rate's run: changes, courses, named shapes, warmups, levels, knots."""

from __future__ import annotations

from dataclasses import dataclass, field

from downslope.reading.facts import Fact
from downslope.reading.times import Time


@dataclass
class Plateau(Fact):
    """A measured value that improves no more.

    Attributes:
        metric: Which: "loss", "accuracy" or "".
        patience: For how many epochs, or None.
        stops: Whether training ends then.
        taken: Whether a change is known that waits for it.
    """

    metric: str = ""
    patience: int | None = None
    stops: bool = False
    taken: bool = False


def whole_patience(value: float) -> int | None:
    """Return a patience, or None where it is no whole number: nothing is evaluated half a time."""
    return int(value) if float(value).is_integer() else None


@dataclass
class Change(Fact):
    """A change at once, by the factor `value`; `key` is its verb.

    Attributes:
        targets: The values that it leads to.
        at: The times at which it happens.
        every: The period after which it happens again and again.
        over: The time that it takes.
        plateau: The plateau that it waits for.
        shape: The schedule that its verb is said to follow.
        count: How often it happens.
        noun: Whether only a factor is named ("decay rate 0.97").
        bare: Whether its verb has times and no factor.
        listed: Whether it has times and no verb.
        disputed: Whether different factors stand beside it.
    """

    targets: list[float] = field(default_factory=list[float])
    at: list[Time] = field(default_factory=list[Time])
    every: Time | None = None
    over: Time | None = None
    plateau: Plateau | None = None
    shape: str = ""
    count: int | None = None
    noun: bool = False
    bare: bool = False
    listed: bool = False
    disputed: bool = False


@dataclass
class Course(Fact):
    """A way from one value to another; `key` is whose.

    Attributes:
        first: Where it starts.
        last: Where it ends.
        shape: The schedule that it is said to follow, or "".
        over: The time that it takes.
    """

    first: float = 0.0
    last: float = 0.0
    shape: str = ""
    over: Time | None = None

    @property
    def rises(self) -> bool:
        """Whether it leads upwards."""
        return self.first < self.last


@dataclass
class Shape(Fact):
    """A schedule that is named; `key` is which.

    Attributes:
        over: The time that it takes.
        final: The value that it leads to.
        part: Whether that is a part of the rate that it starts from.
        until: When it has got there.
        unit: What the time of its formula counts; "" where no formula says it.
    """

    over: Time | None = None
    final: float | None = None
    part: bool = False
    until: Time | None = None
    unit: str = ""


@dataclass
class Amount:
    """A number in the text: its value, its place, and whether it is a part of another value."""

    value: float
    start: int
    end: int
    part: bool = False


@dataclass
class Warmup(Fact):
    """A warmup.

    Attributes:
        length: How long it takes.
        begin: The learning rate that it starts from.
        peak: The learning rate that it leads to.
        course: The course that tells both.
    """

    length: Time | None = None
    begin: Amount | None = None
    peak: Amount | None = None
    course: Course | None = None


@dataclass
class Levels(Fact):
    """Levels that follow each other.

    Attributes:
        rates: The learning rates; the first is the one that training begins with only if `begins`.
        changes: The times at which one gives way to the next, where they are said.
        unit: Of the times: "epoch", "step" or "".
        percent: Whether the times are parts of the whole training.
        total: Where the last level ends, or None.
        begins: Whether the first rate is the initial one.
    """

    rates: list[float] = field(default_factory=list[float])
    changes: list[float] = field(default_factory=list[float])
    unit: str = ""
    percent: bool = False
    total: float | None = None
    begins: bool = False


@dataclass
class Knots(Fact):
    """Values at times, joined by lines: each with its time, the first without."""

    points: list[tuple[float, Time | None]] = field(default_factory=list[tuple[float, Time | None]])
