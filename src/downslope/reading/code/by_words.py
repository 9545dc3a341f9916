"""Schedules of classes that no table has: by the words of the class's name, and of its arguments' names."""

from __future__ import annotations

import re

from downslope.reading.code.values import Made
from downslope.reading.configuration.entries import squeezed
from downslope.reading.configuration.keys import POLICIES
from downslope.reading.configuration.settings import meanings, unit_of_key

_SCHEDULES = re.compile(r"(?:LR|[Ss]chedule[rd]?|[Dd]ecay|Policy|Anneal\w{0,5}|Poly|Cosine)$")
_OF_OTHERS = re.compile(r"momentum|decay|ema|beta|tau|temp|teacher|weight", re.IGNORECASE)
"""Names of what else is scheduled."""

_WHOLE = frozenset({"epochs", "steps", "duration"})
_MEANS = {
    "warmup_epochs": "warmup", "warmup_steps": "warmup", "warmup": "warmup", "warmup_start": "start",
    "warmup_factor": "start_factor", "lr": "initial", "final": "final", "power": "power", "milestones": "times",
    "times": "times", "every": "every", **dict.fromkeys(_WHOLE, "duration"),
}  # fmt: skip
"""What an argument's name says -> our field."""


_POLICY_WORDS = frozenset({"poly", "polynomial", "cos", "cosine", "linear"})
"""Words that tell a scheduler of the program's own which way to go, with whatever else by place."""


def row_by_words(made: Made) -> tuple[str, dict[str, str], str] | None:
    """Return the kind of schedule that a call makes, our fields with its arguments for them, and the unit or "".

    Example:
        >>> given = dict.fromkeys(["max_epochs", "warmup_epochs", "min_lr", "power"])
        >>> row_by_words(Made("WarmupPolyLR", "WarmupPolyLR", [], given, 0, 0))
        ('polynomial', {'warmup': 'warmup_epochs', 'final': 'min_lr', 'power': 'power'}, 'epoch')
    """
    if _OF_OTHERS.search(made.bound):
        return None
    words = [one.data for one in [*made.args[:2], *made.kwargs.values()] if one and isinstance(one.data, str)]
    names = [squeezed(made.name), *map(squeezed, words)] if _SCHEDULES.search(made.name) else []
    kind = next((kind for name in names for mark, kind in POLICIES if mark in name), None)
    if not kind or kind in {"plateau", "cyclic", "onecycle"}:
        return None
    listed = any(isinstance(value.data, list | tuple) for value in made.kwargs.values() if value)
    kind = ("multistep" if listed else "exponential") if kind == "step" else kind
    fields: dict[str, str] = {}
    units: set[str] = set()
    for key in made.kwargs:
        told = [one for one in meanings(key) if one in _MEANS or one == "gamma"]
        if not told:
            continue
        found = {"exponential": "rate", "multistep": "factor"}.get(kind, "") if told[0] == "gamma" else _MEANS[told[0]]
        fields.setdefault(found, key)
        units |= {unit_of_key(key)} if found in {"warmup", "times", "every", "duration"} else set()
    fields.pop("", None)
    if "warmup" in fields:
        fields.pop("duration", None)  # whether the warmup counts to it is not said
    units.discard("")
    needed = {"exponential": "rate", "multistep": "factor"}.get(kind, "")
    unknown = len(units) > 1 or ("warmup" in fields and not units) or (needed and needed not in fields)
    ramp = kind in {"cosine", "polynomial", "linear"} and any(word in _POLICY_WORDS for word in names[1:])
    return None if unknown or not (fields or ramp) else (kind, fields, units.pop() if units else "")
