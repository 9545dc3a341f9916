"""Values in brackets: JSON with comments and trailing commas, the arrays and inline tables of TOML, and their kin.

One reader for all of them, which goes on where something is no value; nothing is too broken to be read in part.
"""

from __future__ import annotations

import re
from typing import Any

from downslope.reading.configuration.entries import DEEPEST, MOST, Entry, scalar

_TOKEN = re.compile(
    r"(?P<blank>\s+|//[^\n]*|#[^\n]*|/\*(?:[^*]|\*(?!/))*(?:\*/)?)|"
    r"(?P<string>\"{3}(?:[^\"]|\"(?!\"\"))*\"{3}|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')|"
    r"(?P<sign>::?:?|[{}\[\](),=;])|(?P<word>[^\s{}\[\](),=:;\"'#/]+|[\"'/])"
)
_NEXT = re.compile(r"[\w.\"'-]{1,80}\s?[:=](?!=)")


def read_literals(text: str, start: int = 0, end: int | None = None) -> list[Entry]:
    """Return the entries of a text in brackets, such as a JSON document.

    Example:
        >>> [(one.path, one.value) for one in read_literals('{"a": {"lr": 1e-1, "steps": [3, 6,]}} // so')]
        [(('a',), None), (('a', 'lr'), 0.1), (('a', 'steps'), [3, 6])]
    """
    reader = _Reader(text, start, len(text) if end is None else end)
    reader.run()
    return reader.entries


def bracket_end(text: str, start: int, limit: int) -> int:
    """Return the place after the bracket that closes the one at `start`, within `limit` characters; or `limit`."""
    depth, place = 0, start
    while place < limit:
        match = _TOKEN.match(text, place, limit)
        if match is None:
            place += 1
            continue
        sign = match.group("sign")
        if sign in {"{", "[", "("}:
            depth += 1
        elif sign in {"}", "]", ")"}:
            depth -= 1
            if depth <= 0:
                return match.end()
        place = match.end()
    return limit


class _Open:
    """A bracket that is not closed yet."""

    def __init__(self, sign: str, path: tuple[str, ...], start: int) -> None:
        self.sign = sign
        self.path = path
        self.start = start
        self.key: tuple[str, int] | None = None
        self.values: list[Any] = []
        self.tables = 0


class _Reader:
    def __init__(self, text: str, start: int, end: int) -> None:
        self.text, self.place, self.end = text, start, end
        self.entries: list[Entry] = []
        self.open = [_Open("", (), start)]
        self.word: tuple[Any, int, int, str] | None = None

    def run(self) -> None:
        while self.place < self.end and len(self.entries) < MOST:
            match = _TOKEN.match(self.text, self.place, self.end)
            if match is None:
                self.place += 1
                continue
            self.place = match.end()
            if match.lastgroup == "blank" and "\n" in match.group() and self.open[-1].key is not None:
                self.end_line()
            if match.lastgroup == "string":
                raw = match.group().strip("\"'")
                self.take(raw, match.start(), match.end(), raw)
            elif match.lastgroup == "word":
                self.take(scalar(match.group()), match.start(), match.end(), match.group())
            elif match.lastgroup == "sign":
                self.sign(match.group(), match.start(), match.end())
        self.finish()
        while len(self.open) > 1:
            self.close(self.end)

    def end_line(self) -> None:
        """End a value at the end of its line where the next one begins another: `a = 1` over `b = 2`."""
        if self.word is not None and _NEXT.match(self.text, self.place, self.end):
            self.finish()

    def take(self, value: Any, start: int, end: int, raw: str) -> None:
        if self.word is not None:  # words without a sign between are one: `torch.float32 (x)` and the like
            raw = f"{self.word[3]} {raw}"
            value, start = raw, self.word[1]
        self.word = (value, start, end, raw)

    def sign(self, sign: str, start: int, end: int) -> None:
        here = self.open[-1]
        if sign in {":", "=", "::", ":::"}:
            if self.word is not None and here.key is None:
                here.key = (self.word[3], self.word[1])
                self.word = None
        elif sign in {",", ";"}:
            self.finish()
        elif sign in {"{", "[", "("}:
            self.begin(sign, start)
        else:
            self.finish()
            if len(self.open) > 1:
                self.close(end)

    def begin(self, sign: str, start: int) -> None:
        here = self.open[-1]
        if sign == "(" and self.word is not None and here.key is None and here.sign == "{":
            self.word = None  # the parameters of a function in jsonnet: what they are is given inside of it
            here.key = ("", start)
        path = here.path
        if here.key is not None:
            path = (*path, here.key[0]) if here.key[0] else path
        elif sign == "{" and here.sign == "[":
            path = (*path, f"#{here.tables}")
            here.tables += 1
        if self.word is not None and sign in {"(", "{"} and here.key is not None:
            self.entries.append(Entry((*path, "type"), self.word[3], self.word[1], self.word[2]))  # SGD(...), dict(...)
        elif sign == "{" and here.key is not None and here.key[0] and len(path) < DEEPEST:
            self.entries.append(Entry(path, None, here.key[1], here.key[1] + len(here.key[0])))  # which may be a name
        self.word = None
        path = path[:DEEPEST]
        self.open.append(_Open("{" if sign == "(" and here.key is not None else sign, path, start))

    def finish(self) -> None:
        """End a value that a comma, a bracket or the end of the text ends."""
        here = self.open[-1]
        if self.word is not None:
            value, _, end, _ = self.word
            if here.key is not None:
                if len(here.path) < DEEPEST:
                    self.entries.append(Entry((*here.path, here.key[0]), value, here.key[1], end))
            else:
                here.values.append(value)
        self.word = None
        here.key = None

    def close(self, end: int) -> None:
        closed = self.open.pop()
        outer = self.open[-1]
        if closed.values and outer.key is not None and outer.key[0]:
            self.entries.append(Entry(closed.path, closed.values, outer.key[1], end))
        elif closed.values and outer.key is None and outer.sign == "[":
            outer.values.append(closed.values)
        elif closed.values and outer.key is None and closed.path:
            self.entries.append(Entry(closed.path, closed.values, closed.start, end))
        if not (closed.sign == "(" or (outer.key is not None and not outer.key[0])):
            outer.key = None
