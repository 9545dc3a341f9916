"""What a program's expressions are worth: values with the words they came from, and what is unknown."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from downslope.reading.arithmetic import is_number


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text, as a table of names is written."""
    return frozenset(text.split())


MOST_SOURCES = 40
NOWHERE = -5
"""Place of a learning rate that is not known, and is pretended to be 1."""


class Value:
    """A value in a program.

    Attributes:
        data: None, a number, a word, a list or tuple of values, a dictionary of values by plain keys, or one of the
            classes below.
        start: Place of the words it came from; -1 where there are none.
        end: Place after them.
        literal: Whether these words alone say it, without a computation from other places.
        sources: The literals that it was made of, by place.
        file: Name of another file that its words stand in (a command line's), or "".
        doubt: Whether it holds only under a condition that is not known.
        words: The words themselves, where they stand in another text than the program's.
    """

    __slots__ = ("data", "doubt", "end", "file", "literal", "sources", "start", "words")

    def __init__(
        self,
        data: Any,
        start: int = -1,
        end: int = -1,
        *,
        literal: bool = False,
        sources: dict[int, Value] | None = None,
        file: str = "",
        doubt: bool = False,
        words: str = "",
    ) -> None:
        """Make one; a literal is its own source."""
        self.data, self.start, self.end, self.literal = data, start, end, literal
        self.file, self.doubt, self.words = file, doubt, words
        self.sources: dict[int, Value] = {start: self} if sources is None and literal else sources or {}

    def __repr__(self) -> str:
        """Show the data alone."""
        return f"Value({self.data!r})"

    def within(self, start: int, end: int) -> Value:
        """Return the same with wider words, if its own stand inside of them; else itself."""
        if self.file or not (start <= self.start and self.end <= end):
            return self
        found = Value(self.data, start, end, literal=self.literal, doubt=self.doubt, sources=self.sources)
        if self.literal:
            found.sources = {start: found, **self.sources}
        return found

    def also(self, sources: dict[int, Value]) -> Value:
        """Return the same, made of these literals too."""
        known = not sources or sources.keys() <= self.sources.keys()
        return self if known else self.but(sources=join_sources([self.sources, sources]))

    def but(self, data: Any = ..., *, sources: dict[int, Value] | None = None, doubt: bool | None = None) -> Value:
        """Return the same words with other data, literals or doubt."""
        return Value(
            self.data if data is ... else data, self.start, self.end, literal=self.literal, file=self.file,
            words=self.words, sources=self.sources if sources is None else sources,
            doubt=self.doubt if doubt is None else doubt,
        )  # fmt: skip


def join_sources(many: Iterable[dict[int, Value]]) -> dict[int, Value]:
    """Return the sources of several values together, as many as are kept."""
    found: dict[int, Value] = {}
    for sources in many:
        if len(found) < MOST_SOURCES:
            found.update(sources)
    return found


@dataclass(frozen=True)
class Unknown:
    """What cannot be known from the program; `hint` is the last name that it had."""

    hint: str = ""


@dataclass(frozen=True)
class Ref:
    """Something of another module, by its dotted path: "torch.optim.SGD"."""

    path: str


@dataclass(frozen=True)
class PerEpoch:
    """A number of steps that depends on the steps of an epoch: `epochs` times them, and `steps` more.

    With `examples`, an epoch's examples are counted, which a batch size makes steps of.
    """

    epochs: float
    steps: float = 0.0
    examples: bool = False


@dataclass(eq=False, repr=False)  # its text would hold that of all calls in its arguments, each as often as it is used
class Made:
    """What a call of another module returned.

    Attributes:
        path: Dotted path of what was called.
        name: Its last part.
        args: Arguments by place.
        kwargs: Arguments by name.
        start: Place of the call.
        end: Place after it.
        receiver: What the method was called on, if it was one.
        attributes: What was set on it since.
        bound: Name that it was given.
        doubt: How many unknown conditions it stands under.
        inside: "epoch" or "step" if it stands in a loop over epochs or batches.
        notes: What the reader keeps with it: options of a parser, changes of lr, where it is stepped.
    """

    path: str
    name: str
    args: list[Value]
    kwargs: dict[str, Value]
    start: int
    end: int
    receiver: Value | None = None
    attributes: dict[str, Value] = field(default_factory=dict[str, Value])
    bound: str = ""
    doubt: int = 0
    inside: str = ""
    notes: dict[str, Any] = field(default_factory=dict[str, Any])

    def argument(self, name: str, place: int = -1) -> Value | None:
        """Return an argument by its name, else by its place."""
        if name in self.kwargs:
            return self.kwargs[name]
        return self.args[place] if 0 <= place < len(self.args) else None


@dataclass(eq=False)
class Scope:
    """Names and what they are worth; `outer` is looked in next."""

    names: dict[str, Value]
    outer: Scope | None = None
    shared: set[str] = field(default_factory=set[str])

    def find(self, name: str) -> Value | None:
        """Return what a name is worth, or None."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return None

    def put(self, name: str, value: Value) -> None:
        """Bind a name; one that is declared `global` or `nonlocal` where it was bound before."""
        scope: Scope = self
        if name in self.shared:
            while scope.outer is not None and (scope is self or name not in scope.names):
                scope = scope.outer
        scope.names[name] = value


@dataclass(eq=False)
class Function:
    """A function or lambda of the program."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    defaults: dict[str, Value]
    owner: Value | None = None

    @property
    def name(self) -> str:
        """Its name; "" for a lambda."""
        return getattr(self.node, "name", "")

    def bound_to(self, owner: Value | None) -> Function:
        """Return it as a method of an object."""
        return replace(self, owner=owner)


@dataclass(eq=False)
class Class:
    """A class of the program, with what its body binds."""

    name: str
    attributes: dict[str, Value]
    bases: list[Value]
    fields: list[str]
    instance: Value | None = None


@dataclass(eq=False)
class Instance:
    """An object of a class of the program."""

    of: Class
    attributes: dict[str, Value] = field(default_factory=dict[str, Value])


@dataclass(eq=False)
class Namespace:
    """Named values: parsed options, or a configuration; a name that it lacks is unknown."""

    attributes: dict[str, Value]


@dataclass(eq=False)
class Groups:
    """The parameter groups of an optimizer, one of them by its number, or all at once."""

    optimizer: Value
    place: int = 0


@dataclass(frozen=True)
class Span:
    """What `range(start, stop, step)` gives, not written out."""

    start: Value
    stop: Value
    step: Value


@dataclass(frozen=True)
class Builtin:
    """A function of Python's that the reader knows."""

    name: str


def is_known(data: Any) -> bool:
    """Return whether this is plain data: no unknown, no object."""
    return data is None or isinstance(data, int | float | str | bool | list | tuple | dict)


def numbers(value: Value | None) -> list[float] | None:
    """Return a list of numbers, or None if it is anything else."""
    if value is None or not isinstance(value.data, list | tuple):
        return None
    found = [item.data for item in value.data]
    return found if found and all(is_number(item) for item in found) else None


def number(value: Value | None) -> float | None:
    """Return a number, or None if it is anything else."""
    return value.data if value is not None and is_number(value.data) else None


def pretended_rate() -> Value:
    """Return the 1 that stands for a learning rate that is not known."""
    return Value(1.0, NOWHERE, NOWHERE, literal=True)


def find_in_class(kind: Class, name: str, depth: int = 8) -> Value | None:
    """Return an attribute of a class or of those that it is made from."""
    if name in kind.attributes:
        return kind.attributes[name]
    for base in kind.bases:
        if isinstance(base.data, Class) and depth and (found := find_in_class(base.data, name, depth - 1)) is not None:
            return found
    return None


def all_fields(kind: Class, depth: int = 8) -> list[str]:
    """Return the annotated names of a class and of those that it is made from, the inherited first."""
    inherited = [
        name
        for base in kind.bases
        if isinstance(base.data, Class) and depth
        for name in all_fields(base.data, depth - 1)
    ]
    return list(dict.fromkeys([*inherited, *kind.fields]))
