"""YAML by PyYAML's composer, which says where everything stands; tags and templates are left alone."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from downslope.reading.configuration.entries import DEEPEST, MOST, Entry, scalar
from downslope.reading.configuration.lines import read_lines

_TEMPLATE = re.compile(r"\{\{[^{}\n]*\}\}|\{%[^\n]*?%\}")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\t")
_DOCUMENT = re.compile(r"^(?:---|\.\.\.)(?=\s|$)", re.MULTILINE)


def read_yaml(text: str) -> list[Entry]:
    r"""Return the entries of all documents of a text; one that is no YAML is read by its lines.

    An alias gives what it stands for at its own place, once: what aliases of aliases multiply to is never built.

    Example:
        >>> [(one.path, one.value) for one in read_yaml("sgd: &a {lr: 1e-3}\nx: [1, 2]\ny: *a")]
        [(('sgd',), None), (('sgd', 'lr'), 0.001), (('x',), [1, 2]), (('y',), None), (('y', 'lr'), 0.001)]
    """
    clean = _UNPRINTABLE.sub(" ", _TEMPLATE.sub(lambda match: "x" * len(match.group()), text))
    entries: list[Entry] = []
    bounds = [0, *(match.start() for match in _DOCUMENT.finditer(clean)), len(clean)]
    for start, end in pairwise(bounds):
        if len(entries) < MOST:
            entries += [one.moved(start) for one in _document(clean[start:end])]
    return entries


def _document(text: str) -> list[Entry]:
    import yaml

    if not text.strip() or _too_deep(text):
        return read_lines(text)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(text, loader)
    except (yaml.YAMLError, RecursionError, ValueError):
        pieces = _pieces(text)
        if len(pieces) == 1:
            return read_lines(text)
        return [one.moved(start) for start, piece in pieces for one in _document(piece)]
    reader = _Walk()
    if root is not None:
        reader.walk(root, (), None, 0)
    return reader.entries or read_lines(text)


def _pieces(text: str) -> list[tuple[int, str]]:
    """Return a text cut where a line stands further out than all before it, as one pasted half indented does."""
    cuts, least, place = [0], 10_000, 0
    for line in text.splitlines(keepends=True):
        bare = line.lstrip()
        if bare and not bare.startswith("#") and len(line) - len(bare) < least:
            cuts += [place] if least < 10_000 else []
            least = len(line) - len(bare)
        place += len(line)
    return [(start, text[start:end]) for start, end in pairwise([*cuts, len(text)])]


def _too_deep(text: str) -> bool:
    """Whether brackets or indentation may nest deeper than a composer that calls itself can follow."""
    flow = depth = 0
    for character in text:
        if character in "[{":
            flow += 1
            depth = max(depth, flow)
        elif character in "]}":
            flow = max(0, flow - 1)
    return depth > 100 or any(len(match.group()) > 200 for match in re.finditer(r"^[ \-?]{200,}", text, re.MULTILINE))


class _Walk:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.visits = 0

    def walk(self, node: Any, path: tuple[str, ...], key: tuple[int, int] | None, depth: int) -> None:
        """Add the entries below a node, whose key stands at `key`; an alias's come at the key that names it."""
        self.visits += 1
        if depth > DEEPEST or self.visits > MOST:
            return
        start, end = node.start_mark.index, node.end_mark.index
        begun = start if key is None else key[0]
        if node.id == "scalar":
            self.put(path, _plain(node), begun, end, key)
            return
        if node.tag.startswith("!") and node.tag != "!":
            self.put((*path, "type"), node.tag.lstrip("!"), start, start + len(node.tag), None)
        if node.id == "mapping" and key is not None:
            self.put(path, None, *key, key)  # a table's own key may be a name
        if node.id == "sequence":
            self.sequence(node, path, begun, key, depth)
            return
        for name, value in node.value:
            word = str(name.value) if name.id == "scalar" else "?"
            at = name.start_mark.index
            if word == "<<":
                self.walk(value, path, (at, at), depth + 1)
                continue
            keys = tuple(word.split(".")) if "/" not in word and " " not in word else (word,)
            self.walk(value, (*path, *keys), (at, name.end_mark.index), depth + 1)

    def sequence(self, node: Any, path: tuple[str, ...], begun: int, key: Any, depth: int) -> None:
        values = [_plain(one) for one in node.value[:10_000] if one.id == "scalar"]
        rows = [[_plain(one) for one in row.value[:100] if one.id == "scalar"] for row in node.value[:1000]
                if row.id == "sequence"]  # fmt: skip
        if values or any(rows):
            self.put(path, [*values, *rows], begun, _last(node), key)
        for place, one in enumerate(node.value[:10_000]):
            if one.id == "mapping":
                self.walk(one, (*path, f"#{place}"), None, depth + 1)

    def put(self, path: tuple[str, ...], value: Any, start: int, end: int, key: tuple[int, int] | None) -> None:
        if key is not None and end < start:  # by an alias: its words are where the alias stands
            end = key[1]
        self.entries.append(Entry(path, value, start, end))


def _last(node: Any) -> int:
    """Return the place after the last item; a list of lines ends, for a composer, only where the next key begins."""
    return node.value[-1].end_mark.index if node.value and not node.flow_style else node.end_mark.index


def _plain(node: Any) -> Any:
    if not node.style:
        return scalar(node.value.removesuffix(","))  # as lines of a dictionary end
    return scalar(node.value) if node.style in "'\"" else node.value[:4000]
