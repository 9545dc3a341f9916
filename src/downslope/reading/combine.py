"""Several parts' findings as one: command line before configuration before code before prose, a schedule as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from downslope.core.tables import toml_line
from downslope.reading.draft import Draft
from downslope.reading.findings import Found, Kind
from downslope.reading.order import RATES
from downslope.reading.plan import COUNTED_FROM_START
from downslope.reading.reading import Field

RANKS: dict[Kind, int] = {"command": 0, "configuration": 1, "code": 2, "prose": 3}
_FAMILIES = ("sgd.lr", "train.plateau", "groups")
_SURE = {"stated": 0, "implied": 1, "assumed": 2}
_INSIDE = frozenset({"caffe", "keras"})
"""Frameworks whose velocity has the learning rate inside."""

_OF_LR = frozenset(
    [
        "no_lr", "no_base_lr", "no_period", "no_milestones", "no_total", "no_duration", "no_factor", "usual_factor",
        "constant_lr", "reduced_sometime", "staircase",
    ]
)  # fmt: skip
"""Remarks on what a part does not say of the learning rate, which another part may say."""


def family_of(path: str) -> str:
    """Return the fields that a field is taken together with: all of a schedule, of a length, of the groups.

    Example:
        >>> family_of("sgd.lr.milestones"), family_of("train.steps"), family_of("sgd.lr_in_velocity")
        ('sgd.lr', 'length', 'sgd.lr_in_velocity')
    """
    if path in {"train.epochs", "train.steps"}:
        return "length"
    return next((family for family in _FAMILIES if path == family or path.startswith(f"{family}.")), path)


def combine(draft: Draft, findings: Iterable[Found]) -> None:
    """Put what the parts say into a draft that has what the prose says."""
    prose = Found(draft.optimizer if draft.named != "assumed" else "", draft.framework, draft.fields)
    parts = sorted([*findings, prose], key=lambda part: RANKS[part.kind])
    _combine_optimizers(draft, parts)
    draft.framework = next((part.framework for part in parts if part.framework), "")
    families: dict[str, list[tuple[Found, dict[str, Field]]]] = {}
    for part in parts:
        own: dict[str, dict[str, Field]] = {}
        for path, found in part.fields.items():
            own.setdefault(family_of(path), {})[path] = found
        for family, fields in own.items():
            families.setdefault(family, []).append((part, fields))
    rates = families.get("sgd.lr", [])
    draft.fields = {}
    for family, given in families.items():
        given.sort(key=lambda one: min(_SURE[found.provenance] for found in one[1].values()))
        draft.fields |= _schedule(draft, given) if family == "sgd.lr" else _first(draft, given)
    if (
        draft.optimizer == "sgd"
        and draft.framework in _INSIDE
        and any(path.startswith("sgd.") for path in draft.fields)
    ):
        draft.put("sgd.lr_in_velocity", True, "implied", f"{draft.framework.capitalize()} puts lr inside the velocity")
        draft.remarks.say("inside")
    told = {id(part) for part, _ in rates}
    if told and id(prose) not in told:
        draft.remarks.drop(_OF_LR)
    for part in parts:
        for what, values in part.remarks:
            if what not in _OF_LR or not told or id(part) in told:
                draft.remarks.say(what, **values)
    if _base(draft.fields) is not None:  # another part has it
        draft.remarks.drop({"no_lr", "no_base_lr"})


def _combine_optimizers(draft: Draft, parts: list[Found]) -> None:
    named = [part for part in parts if part.optimizer]
    if not named:
        return
    draft.optimizer = named[0].optimizer
    if named[0].kind != "prose":
        draft.named = "stated"
    names = dict.fromkeys(part.optimizer for part in named)
    if len(names) > 1:
        draft.remarks.say("two_optimizers", names=", ".join(names))


def _first(draft: Draft, given: list[tuple[Found, dict[str, Field]]]) -> dict[str, Field]:
    """Return the fields of the part that comes first, and remark on what others say."""
    winner, fields = given[0]
    for loser, others in given[1:]:
        for path in fields.keys() & others.keys():
            fields = {**fields, path: _over(draft, path, (winner, fields[path]), (loser, others[path]))}
    return fields


def _schedule(draft: Draft, given: list[tuple[Found, dict[str, Field]]]) -> dict[str, Field]:
    """Return the learning rate: the schedule of the first part that has one, with the base that comes first of all."""
    place = next((place for place, (_, fields) in enumerate(given) if "sgd.lr.schedule" in fields), None)
    if place is None:
        return _first(draft, given)
    winner, fields = given[place]
    fields = dict(fields)
    warms = fields["sgd.lr.schedule"].value == "warmup"
    if warms and not any(path.startswith("sgd.lr.then.") for path in fields):
        scheduled = [others for part, others in given if part is not winner and "sgd.lr.schedule" in others]
        fields |= _after_warmup(scheduled[0]) if scheduled else {}
        fields = {path: found for path, found in fields.items() if path != "sgd.lr.then" or not scheduled}
    last = "sgd.lr.then" if warms and "sgd.lr.then.schedule" not in fields else "sgd.lr.then.initial"
    at = _base(fields) or (last if warms else "sgd.lr.initial")
    for other_place, (other, others) in enumerate(given):
        base = _base(others)
        if other_place == place or base is None or "sgd.lr.peak" in fields:
            continue  # a cycle has its own rates, whatever its optimizer was given
        if at not in fields:
            marks = (mark for mark in others[base].marks if mark != "shape")  # which is told here
            fields[at] = replace(others[base], marks=tuple(marks))
        elif other_place < place:
            fields[at] = _over(draft, at, (other, others[base]), (winner, fields[at]))
        else:
            fields[at] = _over(draft, at, (winner, fields[at]), (other, others[base]))
    for other, others in given[place + 1 :]:
        if "sgd.lr.schedule" in others:
            path = "sgd.lr.schedule"
            fields[path] = _over(draft, path, (winner, fields[path]), (other, others[path]))
    return fields


def _after_warmup(others: dict[str, Field]) -> dict[str, Field]:
    """Return what comes after a warmup of which another part tells: a flag in a text that tells of the steps."""
    if others["sgd.lr.schedule"].value == "warmup":
        return {path: found for path, found in others.items() if path.startswith(("sgd.lr.then.", "sgd.lr.restart"))}
    then = {path.replace("sgd.lr.", "sgd.lr.then."): found for path, found in others.items() if path != "sgd.lr"}
    if others["sgd.lr.schedule"].value in {"multistep", "exponential"}:
        then["sgd.lr.restart"] = Field(False, "implied", COUNTED_FROM_START)
    return then


def _base(fields: dict[str, Field]) -> str | None:
    return next((path for path in RATES if path in fields), None)


def _over(draft: Draft, path: str, winner: tuple[Found, Field], loser: tuple[Found, Field]) -> Field:
    """Return the field that wins, with a remark and a mark where another value is stated."""
    (part, found), (other, beaten) = winner, loser
    if beaten.provenance != "stated" or found.provenance == "assumed" or beaten.value == found.value:
        return found
    draft.remarks.say(
        "conflict",
        path=path,
        kind=draft.remarks.part(part.kind),
        value=toml_line(found.value),
        other=draft.remarks.part(other.kind),
        beaten=toml_line(beaten.value),
        words=_short(beaten.words),
    )
    doubtful = other.kind in {part.kind, "prose"}
    return replace(found, marks=(*found.marks, "competing")) if doubtful else found


def _short(words: str) -> str:
    words = " ".join(words.split())
    return words if len(words) <= 80 else f"{words[:77]}..."
