"""JSON as nobody's program wrote it: each value removed or replaced by each other kind, and signed again.

It makes what a damaged disk never does, since there the checksum tells: files whose every checksum is right and whose
content is wrong.
"""

import copy
import hashlib
import json

DEEP = 100_000

OTHERS = {
    "null": None,
    "true": True,
    "minus": -1,
    "zero": 0,
    "beyond 64 bits": 2**64,
    "400 digits": 10**400,
    "half": 0.5,
    "NaN": float("nan"),
    "infinite": float("inf"),
    "no text": "",
    "text": "x\x1b[31m",
    "long text": "x" * 5_000,
    "list": [],
    "list of lists": [[[]]],
    "table": {},
    "table of tables": {"": {"x": {}}},
}


def places(value, path=()):
    """Return the paths of all values in a table, of lists the first alone."""
    yield path
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def without(table, path):
    """Return a copy of a table without what lies at a path."""
    changed = copy.deepcopy(table)
    del at(changed, path[:-1])[path[-1]]
    return changed


def replaced(table, path, value):
    """Return a copy of a table with something else at a path."""
    changed = copy.deepcopy(table)
    at(changed, path[:-1])[path[-1]] = value
    return changed


def at(table, path):
    """Return what lies at a path."""
    for key in path:
        table = table[key]
    return table


def variants(table):
    """Return (what was done, the changed table) for everything that can be done to one value of a table."""
    for path in places(table):
        if path:
            where = ".".join(map(str, path))
            yield f"{where} removed", without(table, path)
            for name, value in OTHERS.items():
                yield f"{where} {name}", replaced(table, path, value)


def signed(table):
    """Return the bytes of a manifest with a checksum that fits; worked out here, not by the product."""
    table = {key: value for key, value in table.items() if key != "checksum"}
    checksum = hashlib.blake2b(json.dumps(table, indent=1).encode(), digest_size=16).hexdigest()
    return json.dumps({**table, "checksum": checksum}, indent=1).encode() + b"\n"


def nested(depth=DEEP):
    """Return JSON that is nothing but nested."""
    return b"[" * depth + b"]" * depth
