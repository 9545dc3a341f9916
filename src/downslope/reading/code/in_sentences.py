"""Calls that stand inside of sentences, as in "we use SGD(lr=0.1, momentum=0.9)": found, and read as one program."""

from __future__ import annotations

import ast
import re
import warnings

from downslope.reading.code import read_python
from downslope.reading.code.calls import OPTIMIZERS, ROWS
from downslope.reading.code.warmups import Schedules
from downslope.reading.parts import Found, Part
from downslope.systems.schedules import counterparts

_CALL = re.compile(r"(?<![\w.])([a-z_][\w.]{0,80})\(")
_NAME = re.compile(r"[a-z_]\w*(?=\()|(?<![\w.])(?:true|false|none)(?!\w)")
_SURE = ("lr", "optimizer", "_decay", "decay", "l2")
_LONGEST = 2000
_SHORT = 200
_LOOKED_AT = 10
"""How often a text is looked through for the ends of calls that are none; after that a call must be a short one, so
that many that never end cost no more than the length of the text."""
_SCHEDULES = [
    *Schedules.methods,
    *(name.rpartition(".")[2] for name in ROWS),
    *(name for system in ("torch", "keras", "optax") for name in counterparts(system)),
]
_OTHERS = ["ReduceLROnPlateau", "clip_grad_norm_", "clip_by_global_norm", "add_decayed_weights", "l2", "l2_regularizer"]
_SPELLED = (
    {name: name.upper() for name in OPTIMIZERS}
    | {name.lower(): name for name in [*_SCHEDULES, *_OTHERS]}
    | {"true": "True", "false": "False", "none": "None"}
)
"""A name in lower case -> as Python has it."""


def find_calls(plain: str) -> tuple[Found, list[tuple[int, int]]]:
    """Return what the calls in a text say, and where they stand.

    Args:
        plain: The text, in lower case; the places are those in it.

    Example:
        >>> found, places = find_calls("we use sgd(lr=0.1, nesterov=true)")
        >>> {path: field.value for path, field in found.fields.items()}, places
        ({'sgd.nesterov': True, 'sgd.lr': 0.1}, [(7, 33)])
    """
    places: list[tuple[int, int]] = []
    pieces: list[str] = []
    here, left = 0, _LOOKED_AT * len(plain)
    for match in _CALL.finditer(plain):
        name = match.group(1)
        if match.start() < here or name.rpartition(".")[2] not in _SPELLED:
            continue
        longest = _LONGEST if left > 0 else _SHORT
        end = _end(plain, match.end(), longest)
        call = _as_python(plain[match.start() : end], name) if end else ""
        if not call:
            left -= longest
            continue
        pieces += [" " * (match.start() - here - 1) + "\n" if match.start() > here else "", call]
        places.append((match.start(), end))
        here = end
    return (read_python(Part("code", "python", "".join(pieces))) if places else Found()), places


def _end(plain: str, start: int, longest: int) -> int:
    """Return the place after the bracket that closes a call, or 0."""
    depth = 1
    for match in re.compile(r"[()]").finditer(plain, start, start + longest):
        depth += 1 if match.group() == "(" else -1
        if depth == 0:
            return match.end()
    return 0


def _as_python(call: str, name: str) -> str:
    """Return a call with its names as Python has them, or "" if it is none, or words in brackets."""
    keep = name.startswith("optax.") or "lasagne" in name
    spelled = _NAME.sub(
        lambda match: (
            match.group() if keep and match.group() in OPTIMIZERS else _SPELLED.get(match.group(), match.group())
        ),
        call,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(spelled, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    told = isinstance(tree, ast.Call) and (tree.keywords or "." in name or name.endswith(_SURE))
    return spelled if told else ""
