"""Protocol buffers' text format: Caffe's solvers and nets, TensorFlow's pipelines."""

from __future__ import annotations

import re
from typing import Any

from downslope.reading.configuration.entries import DEEPEST, MOST, Entry, scalar

_TOKEN = re.compile(
    r"(?P<blank>[\s,;]+|#[^\n]*)|(?P<string>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')|(?P<sign>[{}<>\[\]:])|"
    r"(?P<word>[^\s,;{}<>\[\]:#\"']+|[\"'])"
)


def read_prototxt(text: str) -> list[Entry]:
    """Return the entries; a key that is repeated has its values as a list, and repeated blocks have places.

    Example:
        >>> [(one.path, one.value) for one in read_prototxt("a { stepvalue: 4 stepvalue: 6 } b: 1 # so")]
        [(('a',), None), (('a', 'stepvalue'), [4, 6]), (('b',), 1)]
    """
    entries: dict[tuple[str, ...], Entry] = {}
    path: list[str] = []
    seen: list[dict[str, int]] = [{}]
    key: tuple[str, int] | None = None
    listing, titled = False, None
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "blank" or len(entries) >= MOST:
            continue
        token = match.group()
        if match.lastgroup != "sign":
            if key is None:
                key = (token.strip("\"'"), match.start())
                continue
            value: Any = token[1:-1] if match.lastgroup == "string" else scalar(token)
            titled = (*path[:DEEPEST], key[0]), (token, match.start())
            _put(entries, titled[0], value, key[1], match.end())
            key = key if listing else None
            continue
        if token == ":" and key is None and titled is not None:  # "solver.prototxt:" was a title
            entries.pop(titled[0], None)
            key = titled[1]
        listing = token == "[" or (listing and token != "]")
        if token in "{<":
            name = key[0] if key else "?"
            if key is not None:  # a block may be named for what it is: `cosine_decay_learning_rate {`
                entries.setdefault(
                    (*path[:DEEPEST], name), Entry((*path[:DEEPEST], name), None, key[1], key[1] + len(name))
                )
            count = seen[-1].get(name, 0)
            seen[-1][name] = count + 1
            path.append(name if not count else f"{name}#{count}")
            seen.append({})
        elif token in "}>" and path:
            path.pop()
            seen.pop()
        if token not in ":[":
            key = None
    return list(entries.values())


def _put(entries: dict[tuple[str, ...], Entry], path: tuple[str, ...], value: Any, start: int, end: int) -> None:
    known = entries.get(path)
    if known is None or known.value is None:
        entries[path] = Entry(path, value, start, end)
        return
    values = known.value if isinstance(known.value, list) else [known.value]
    values.append(value)
    entries[path] = Entry(path, values, known.start, end)
