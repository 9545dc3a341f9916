"""Values that are written with more around them: with their types, as rows of a table, with units, as arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from downslope.reading.arithmetic import is_number
from downslope.reading.configuration.entries import Entry, as_number, listed, scalar, squeezed
from downslope.reading.configuration.literals import read_literals
from downslope.reading.order import tidy

_TYPES = frozenset({"str", "string", "int", "integer", "float", "double", "number", "bool", "boolean", "list"})
_NAMES = frozenset({"name", "key", "param", "parameter", "arg", "argument", "option", "dest", "flag"})
_VALUES = frozenset({"value", "default", "current", "val"})
_AMOUNT = re.compile(r"([\d.]+(?:[eE][+-]?\d+)?)\s?(ep|ba|dur|it|epochs?|iters?|iterations?|steps?|batches)")
_UNITS = {"ep": "epoch", "epoch": "epoch", "epochs": "epoch", "dur": "part"}
_CALL = re.compile(r"(?P<name>[A-Za-z_][\w.]{0,60})(?:\((?P<given>[^()]{1,400})\)|[ ,]+(?P<pairs>\w+=[^()]{1,400}))")
_REMARKED = re.compile(r"([^()（]{0,200}[\d\]])\s+[(（\[].*")
_MOST_ROWS = 500
_USED = re.compile(r"(?:Use )?(?P<name>[\w.]{2,40})(?: with |\s?\()\s?(?=[^\n]{0,300}=)")
_GIVEN = re.compile(r"(?P<key>[A-Za-z_]\w*)\s?=\s?(?P<value>\([^()]{0,100}\)|[^\s,;()]{1,30})")
"""An optimizer with its settings in one value: `Adam with betas=(0.9,0.999) and epsilon=1e-08`."""


def plain(entries: list[Entry]) -> list[Entry]:
    """Return entries as if they had been written plainly.

    Example:
        >>> typed = Entry(("lr",), ["float", "0.1"], 0, 20)
        >>> rows = [Entry(("p", "#0", "name"), "epochs", 0, 9), Entry(("p", "#0", "default"), 9, 11, 21)]
        >>> [(one.path, one.value) for one in plain([typed, *rows])]
        [(('lr',), 0.1), (('p', '#0', 'name'), 'epochs'), (('p', 'epochs'), 9)]
    """
    rows = {one.path[:-1]: one for one in entries if _names(one)}
    return [made for one in entries for made in _made(one, rows)]


def _names(entry: Entry) -> bool:
    """Whether an entry names the setting whose value stands in the same row of a list."""
    in_row = any(key.startswith("#") for key in entry.path[-2:-1])
    return in_row and squeezed(entry.path[-1]) in _NAMES and isinstance(entry.value, str)


def _made(entry: Entry, rows: dict[tuple[str, ...], Entry]) -> Iterator[Entry]:
    value: Any = entry.value
    row = rows.get(entry.path[:-1])
    if squeezed(entry.path[-1]).startswith("oneminus") and is_number(value):
        key = entry.path[-1][entry.path[-1].lower().index("minus") + 5 :].lstrip("_-")
        entry = replace(entry, path=(*entry.path[:-1], key), value=tidy(1 - value), derived=True)
        value = entry.value
    named = _USED.match(value) if isinstance(value, str) and "optim" in squeezed(entry.path[-1]) else None
    if named:
        yield replace(entry, value=named["name"].rpartition(".")[2])
        for match in _GIVEN.finditer(value[:400]):
            yield replace(entry, path=(*entry.path[:-1], match["key"]), value=listed(match["value"]))
    elif row is not None and squeezed(entry.path[-1]) in _VALUES:
        start, end = min(row.start, entry.start), max(row.end, entry.end)
        yield replace(entry, path=(*entry.path[:-2], row.value.lstrip("-")), start=start, end=end)
    elif isinstance(value, str) and (call := _CALL.fullmatch(value)) and "=" in value:
        given = call["given"] or ", ".join(
            one if "=" in one else f"{one}=true" for one in re.split(r"[\s,]+", call["pairs"])
        )
        yield replace(entry, value=call["name"])
        for one in read_literals(f"x={{{given}}}"):
            if len(one.path) > 1:
                yield replace(entry, path=(*entry.path, *one.path[1:]), value=one.value)
    elif isinstance(value, str) and (told := _REMARKED.fullmatch(value)) and not isinstance(listed(told[1]), str):
        yield replace(entry, value=listed(told[1]))
    elif not isinstance(value, list) or not value:
        yield entry
    elif len(value) == 2 and isinstance(value[0], str) and value[0].lower() in _TYPES:
        yield replace(entry, value=_typed(value[0].lower(), value[1]))
    elif all(isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) for one in value[:_MOST_ROWS]):
        for name, one in value[:_MOST_ROWS]:
            yield replace(entry, path=(*entry.path, name), value=one)
    elif all(isinstance(one, str) for one in value) and sum(one.startswith("--") for one in value) > 1:
        yield from _arguments(entry, value[:_MOST_ROWS])
    else:
        yield entry


def _typed(kind: str, value: Any) -> Any:
    """Return a value that stands beside the name of its type."""
    value = scalar(value) if isinstance(value, str) and not kind.startswith("str") else value
    return bool(value) if kind.startswith("bool") and value in {0, 1} else value


def _arguments(entry: Entry, words: list[str]) -> Iterator[Entry]:
    """Yield the options in a list of a command's arguments: `["--lr", "0.1", "--nesterov"]`."""
    for place, word in enumerate(words):
        key, sign, given = word.partition("=")
        following = words[place + 1] if place + 1 < len(words) else "-"
        if key.startswith("--"):
            bare = following.startswith("-") and as_number(following) is None
            yield replace(entry, path=(key,), value=scalar(given if sign else "true" if bare else following))


def amount(value: Any) -> tuple[Any, str]:
    """Return a time, or times, with its unit as a number: "epoch", "step", "part" of the whole, "" for any other value.

    Example:
        >>> amount("90ep"), amount(["100ba", "200ba"]), amount("0.5dur"), amount("sgd")
        ((90, 'epoch'), ([100, 200], 'step'), (0.5, 'part'), ('sgd', ''))
    """
    if isinstance(value, list) and value and len(value) < _MOST_ROWS:
        parts = [amount(one) for one in value]
        units = {unit for _, unit in parts}
        return ([one for one, _ in parts], units.pop()) if len(units) == 1 else (value, "")
    if isinstance(value, str) and "," in value and len(value) < 400:
        several, unit = amount([one.strip() for one in value.split(",")])
        return (several, unit) if unit else (value, "")
    match = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) and len(value) < 40 else None
    number = as_number(match[1]) if match else None
    return (value, "") if match is None or number is None else (number, _UNITS.get(match[2], "step"))
