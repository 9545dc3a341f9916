"""Configurations by lines: INI, TOML, Darknet, properties, and YAML that is too broken for its own parser."""

from __future__ import annotations

import re

from downslope.reading.configuration.entries import MOST, Entry, listed
from downslope.reading.configuration.literals import bracket_end, read_literals

_SECTION = re.compile(r"[ \t]*\[\[?[ \t]*([^\[\]\n]{1,200}?)[ \t]*\]\]?[ \t]*(?:[#;][^\n]*)?$", re.MULTILINE)
_LINE = re.compile(
    r"(?P<indent>[ \t]*)(?P<item>(?:-[ \t]+|\*[ \t]+(?=\w+\.)|[a-z\d]{1,2}[.)][ \t]+)*)"
    r"(?P<key>[\"']?[A-Za-z_][\w. /\-]{0,160}?[\"']?(?:[ \t]?\.[ \t]?(?:[\"'][^\"'\n]{1,80}[\"']|[\w\-]{1,80})){0,9}|"
    r"[\"']?\d[\w\-]{0,80}[\"']?(?=[ \t]*=))"
    r"[ \t]*(?P<sign>:=?|=)(?!=)[ \t]*"
)
_ANOTHER = re.compile(r",[ \t]*(?=[A-Za-z_]\w{0,40}[ \t]*=[^=])")
_COMMENT = re.compile(r"\s+\((?=[^()\d][^()\n]*\)\.?[ \t]*$)|\s+[#;]|\s//|(?<=\w)#")
_STRING = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"(?=[ \t]*(?:#|$))|'[^'\n]*'(?=[ \t]*(?:#|$))", re.MULTILINE)
_LONG_STRINGS = ('"""', "'''")


def read_lines(text: str) -> list[Entry]:
    r"""Return the entries of `key = value` and `key: value` lines, under their sections or deeper indentation.

    Example:
        >>> [(one.path, one.value) for one in read_lines("[net]\nsteps=400,450\nscales = .1,.1 # so")]
        [(('net', 'steps'), [400, 450]), (('net', 'scales'), [0.1, 0.1])]
    """
    entries: list[Entry] = []
    section: tuple[str, ...] = ()
    counts: dict[tuple[str, ...], int] = {}
    parents: list[tuple[int, str]] = []
    place = 0
    while place < len(text) and len(entries) < MOST:
        end = text.find("\n", place)
        end = len(text) if end < 0 else end
        heading = _SECTION.match(text, place)
        match = None if heading else _LINE.match(text, place, end)
        if heading:
            section = _section(heading.group(1), counts, listed_table=text.startswith("[[", heading.start(1) - 2))
            parents = []
        elif match:
            indent = len(match["indent"]) + len(match["item"])
            while parents and parents[-1][0] >= indent:
                parents.pop()
            key = match["key"].strip("\"' ")
            path = (*section, *(name for _, name in parents[-20:]), *_keys(key))
            opened = text[match.end() : match.end() + 1] in {"{", "[", "("}
            if match["sign"] == "=" and not opened and (another := _ANOTHER.search(text, match.end(), end)):
                _value(text, match.end(), another.start(), path, match.start("key"), entries)
                place = another.end()
                continue
            end = _value(text, match.end(), end, path, match.start("key"), entries)
            if match.end() >= end:
                parents.append((indent, key))
        place = end + 1
    return entries


def _keys(words: str) -> list[str]:
    return [key.strip(" \t\"'") for key in words.split(".")]


def _section(words: str, counts: dict[tuple[str, ...], int], *, listed_table: bool) -> tuple[str, ...]:
    """Return the path of a section, with the places of the tables of lists that it stands in; `[[a]]` begins one."""
    keys = tuple(_keys(words))
    if listed_table:
        counts[keys] = counts.get(keys, -1) + 1
    path: list[str] = []
    for depth, key in enumerate(keys, start=1):
        path.append(key)
        if keys[:depth] in counts:
            path.append(f"#{counts[keys[:depth]]}")
    return tuple(path)


def read_pairs(text: str) -> list[Entry]:
    """Return the entries of pairs that follow one another in a sentence.

    Example:
        >>> [(one.path, one.value) for one in read_pairs("weight_decay=5e-4, batch_size 128 and nesterov: True")]
        [(('weight_decay',), 0.0005), (('batch_size',), 128), (('nesterov',), True)]
    """
    return [
        Entry((match["key"],), listed(match["value"].strip("\"'")), match.start(), match.end())
        for match in _PAIR.finditer(text)
    ]


_PAIR = re.compile(
    r"\b(?P<key>(?!and\b)[A-Za-z]\w*)(?:\s?[=:]\s?|\s)"
    r"(?P<value>\[[^\]]*\]|[^\s,;，；)）]+(?:,\s?[\d.]+)*)"
)


def _value(text: str, start: int, end: int, path: tuple[str, ...], key: int, entries: list[Entry]) -> int:
    """Add the entries of the value at `start`, and return where its last line ends."""
    if text[start : start + 1] in {"[", "{"}:
        closing = bracket_end(text, start, min(len(text), start + 20_000))
        inner = read_literals(f"x={text[start:closing]}")
        for one in inner:
            moved = one.moved(start - 2)
            whole = len(one.path) == 1
            entries.append(Entry((*path, *one.path[1:]), one.value, key if whole else moved.start, moved.end))
        newline = text.find("\n", closing)
        return len(text) if newline < 0 else newline
    if text.startswith(_LONG_STRINGS, start):  # what stands in it is no key
        closing = text.find(text[start : start + 3], start + 3)
        while text[start] == '"' and text[closing - 1] == "\\" and closing > 0:
            closing = text.find('"""', closing + 1)
        newline = text.find("\n", closing + 3)
        return len(text) if newline < 0 else newline
    if string := _STRING.match(text, start, end):
        entries.append(Entry(path, listed(string.group()[1:-1]), key, string.end()))
        return end
    value = text[start:end]
    comment = _COMMENT.search(value)
    value = value[: comment.start()] if comment else value
    value = value.rstrip().rstrip(",;")
    if value[:1] in {"#", ";"} or not value:
        return start if not value else end
    quoted = value[0] in "\"'" and len(value) > 1
    entries.append(Entry(path, listed(value.strip("\"'") if quoted else value), key, start + len(value)))
    return end
