"""Schedule-free SGD where a text names it: what else it says is then said of that method, and not of SGD."""

from __future__ import annotations

import re
from dataclasses import replace

from downslope.reading.draft import Draft
from downslope.reading.reading import Field
from downslope.reading.text import cut_words

_NAME = re.compile(
    r"(?:\b(?:schedule\s?-?\s?free)[\s_-]?(?:sgd|stochastic)\b|\bSGD[\s_-]?Schedule[\s_-]?Free\b)", re.IGNORECASE
)
BETA = re.compile(r"(?:\bbeta(?:_?1)?|\bb1|β)\s*(?:=|:|of|is|为)?\s*(0?\.\d{1,6})\b", re.IGNORECASE)
"""What the papers of relatives of SGD call momentum, and its value."""


def read_schedule_free(draft: Draft) -> None:
    """Have a draft of SGD be one of schedule-free SGD, if its text names that; b is called beta by its paper."""
    text = draft.text.original
    name = _NAME.search(text)
    if name is None or draft.optimizer != "sgd":
        return
    fields, draft.named = draft.fields, "stated"
    fields["sgd.schedule_free"] = _stated(text, True, name.start(), name.end())
    momentum = fields.get("sgd.momentum")
    if momentum is None or momentum.provenance == "implied":
        b = BETA.search(text)
        draft.remarks.drop({"no_momentum", "momentum_unknown"})
        if b is not None:
            fields["sgd.momentum"] = _stated(text, float(b[1]), b.start(), b.end())
        elif momentum is None:
            fields["sgd.momentum"] = Field(0.9, "implied", "the default of schedule-free SGD")
    _count_warmup(fields)


def _count_warmup(fields: dict[str, Field]) -> None:
    """Have a warmup of so many steps be counted as the method counts it, whose first step has lr / warmup_steps."""
    kind, length, top = (fields.get(f"sgd.lr.{key}") for key in ("schedule", "duration", "then"))
    unit, start = fields.get("sgd.lr.unit"), fields.get("sgd.lr.start")
    if kind is None or length is None or top is None or kind.value != "warmup":
        return
    counted = unit is None or unit.value == "step"
    if counted and (start is None or start.value == 0) and float(length.value).is_integer():
        for path in [path for path in fields if path.startswith("sgd.lr.")]:
            del fields[path]
        fields["sgd.lr"] = top
        fields["sgd.warmup_steps"] = replace(length, value=int(length.value))


def _stated(text: str, value: object, start: int, end: int) -> Field:
    words = cut_words(text, start, end)
    return Field(value, "stated", str(words), words.start, words.end)
