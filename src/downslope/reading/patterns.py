"""Patterns on items: "lr is? rate=number span=time:for" as a regular expression over one character an item."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from downslope.reading.items import Item

MOST = 12
"""How often `*` and `+` repeat at most: so one attempt takes a bounded time, and a sentence a linear one."""

_BLOCK = 256
_BRACKETS = {"(": "round", ")": "round", "[": "square", "]": "square"}
_FIRST = 0x400
_KINDS: dict[str, int] = {}
_KEYS: dict[tuple[str, str], int] = {}
_CHARACTERS: dict[tuple[str, str], str] = {}
_PART = re.compile(r"\s+|([a-z_]+)=(?=[\w.(])|([\w.]+(?::[^\s()|?*+{}=]+)?)|([()|?])|([*+])|(\{\d+(?:,\d+)?\})")


def _block(kind: str) -> int:
    return _FIRST + _BLOCK * _KINDS.setdefault(kind, len(_KINDS))


def _character(kind: str, key: str) -> str:
    found = chr(_block(kind) + _KEYS.get((kind, _BRACKETS.get(key, key)), 0))
    _CHARACTERS[kind, key] = found
    return found


def _class(atom: str) -> str:
    """Return the characters of an atom: "number", "concept:lr", "word:的,个" or "." for any item."""
    if atom == ".":
        return "."
    kind, _, keys = atom.partition(":")
    if not keys:
        start = _block(kind)
        return f"[{chr(start)}-{chr(start + _BLOCK - 1)}]"
    _CHARACTERS.clear()
    for key in keys.split(","):
        _KEYS.setdefault((kind, key), 1 + sum(other == kind for other, _ in _KEYS))
    return f"[{''.join(_character(kind, key) for key in keys.split(','))}]"


def encode(items: Sequence[Item], used: Collection[int] = ()) -> str:
    """Return one character an item: numbers and times in use are of kind "taken", several times at once "times"."""
    codes = [_CHARACTERS.get((item.kind, item.key)) or _character(item.kind, item.key) for item in items]
    for place, item in enumerate(items):
        if item.kind == "time" and len(item.data.values) > 1:
            codes[place] = _character("times", item.key)
    for place in used:
        if items[place].kind in {"number", "time"}:
            codes[place] = _character("taken", items[place].key)
    return "".join(codes)


@dataclass(frozen=True)
class Match:
    """Where a pattern matched.

    Attributes:
        first: Place of its first item.
        after: Place after its last.
        groups: Name of a group -> the places of its items (first, after the last).
        rule: Which of several rules it was.
    """

    first: int
    after: int
    groups: dict[str, tuple[int, int]]
    rule: str = ""

    def __contains__(self, name: str) -> bool:
        """Whether a group took part."""
        return name in self.groups

    def __getitem__(self, name: str) -> int:
        """Return the place of a group's first item."""
        return self.groups[name][0]


class Pattern:
    """A pattern on items.

    Atoms are a kind ("number"), a kind with one of several keys ("mod:initial,base"; of times, the preposition), or "."
    for anything; "time" has one value, "times" several, and numbers and times in use are "taken". Around them stand
    spaces, `name=` before an atom or a parenthesis, `( | )`, and `?`, `*`, `+`, `{2}`, `{0,3}` behind. A name in
    `parts` stands for its own pattern.

    Args:
        text: The pattern.
        parts: Name -> pattern text that may be used in it.

    Example:
        >>> from downslope.reading.items import find_items
        >>> items = find_items("learning rate set to 0.1, momentum 0.9")
        >>> [match["rate"] for match in Pattern("concept:lr is? rate=number").find(encode(items))]
        [2]
    """

    def __init__(self, text: str, **parts: str) -> None:
        """Compile it."""
        self.text = text
        self._compiled = re.compile(_compile(text, parts), re.DOTALL)

    def find(self, code: str, first: int = 0, last: int | None = None) -> Iterator[Match]:
        """Yield the matches in `encode`d items from `first` up to `last`, which do not overlap."""
        for match in self._compiled.finditer(code, first, len(code) if last is None else last):
            yield _match(match)

    def at(self, code: str, first: int, last: int | None = None) -> Match | None:
        """Return the match that begins at an item, or None."""
        match = self._compiled.match(code, first, len(code) if last is None else last)
        return None if match is None else _match(match)


class Rules:
    """Several patterns of which, at each item, the first that matches counts.

    Args:
        rules: Name -> pattern.
        parts: As of a pattern.
    """

    def __init__(self, rules: Mapping[str, str], **parts: str) -> None:
        """Compile them."""
        self._rules = [(name, Pattern(text, **parts)) for name, text in rules.items()]
        unnamed = (re.sub(r"\(\?P<\w+>", "(?:", _compile(text, parts)) for text in rules.values())
        self._any = re.compile("|".join(unnamed), re.DOTALL)

    def at(self, code: str, first: int, last: int | None = None) -> Match | None:
        """Return the match that begins at an item, or None."""
        for name, pattern in self._rules:
            found = pattern.at(code, first, last)
            if found is not None and found.after > first:
                return replace(found, rule=name)
        return None

    def find(self, code: str, first: int = 0, last: int | None = None) -> Iterator[Match]:
        """Yield the matches in `encode`d items from `first` up to `last`, which do not overlap."""
        place, end = first, len(code) if last is None else last
        while place < end and (any_of_them := self._any.search(code, place, end)) is not None:
            place = any_of_them.start()
            found = self.at(code, place, end)
            if found is not None:
                yield found
            place = place + 1 if found is None else found.after


def runs(matches: Iterable[Match], code: str, link: Pattern) -> Iterator[list[Match]]:
    """Yield the runs of matches that follow each other with nothing but a link between them."""
    run: list[Match] = []
    for match in matches:
        if run and run[-1].after != match.first:
            between = link.at(code, run[-1].after, match.first)
            if between is None or between.after != match.first:
                yield run
                run = []
        run.append(match)
    if run:
        yield run


def _match(match: re.Match[str]) -> Match:
    groups = {name: match.span(name) for name, told in match.groupdict().items() if told is not None}
    return Match(match.start(), match.end(), groups)


def _compile(text: str, parts: dict[str, str]) -> str:
    found: list[str] = []
    place = 0
    while place < len(text):
        part = _PART.match(text, place)
        if part is None:
            raise ValueError(f"the pattern {text!r} has no meaning at {text[place:]!r}")
        name, atom, sign, repeat, counted = part.groups()
        if name:
            found.append(f"(?P<{name}>")
            end = _end(text, part.end())
            found += [_compile(text[part.end() : end], parts), ")"]
            place = end
            continue
        if atom:
            found.append(f"(?:{_compile(parts[atom], parts)})" if atom in parts else _class(atom))
        elif repeat:
            found.append(f"{{{'0' if repeat == '*' else '1'},{MOST}}}")
        else:
            found.append(("(?:" if sign == "(" else sign or "") or counted or "")
        place = part.end()
    return "".join(found)


def _end(text: str, place: int) -> int:
    """Return the place after the atom or the parenthesis that begins at a place."""
    if text[place] != "(":
        atom = re.compile(r"[^\s()|?*+{}]+").match(text, place)
        return place if atom is None else atom.end()
    depth = 0
    while place < len(text):
        depth += (text[place] == "(") - (text[place] == ")")
        place += 1
        if not depth:
            break
    return place
