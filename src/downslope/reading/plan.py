"""The plan of a learning rate: every reader fills in what its input says, and `complete` works out the rest, once.

That is units, parts of the whole training, one factor where levels have it, ends and lengths, a warmup joined with what
follows it, and what to remark on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from downslope.reading.order import whole
from downslope.reading.reading import Field, Provenance
from downslope.reading.remarks import shown
from downslope.reading.text import Words

RAMPS = frozenset({"cosine", "linear", "polynomial"})
LENGTHS = {"epoch": "train.epochs", "step": "train.steps"}
"""A unit -> the length of training that is counted in it."""

USUAL_FACTOR = 0.1
"""What step schedules multiply by where nothing is said: He et al. 2016 divide by 10, as does torch's MultiStepLR."""

PATIENCE = 10
"""Evaluations without improvement where none are stated: the default of torch's ReduceLROnPlateau."""

PER_STEP = "it counts iterations"
COUNTED_FROM_START = "epochs are counted from the start of training, as in Goyal et al. 2017"
_MANY = 1000
"""Times from here on count steps, where nothing says what they count; of a warmup those from `_SHORT` on."""
_SHORT = 100

LEAST_FACTOR = 1e-3
"""By less than this no rate is multiplied at every epoch or step."""

_CLOCKED = frozenset({"multistep", "exponential", "sequence"})
"""Schedules whose times are counted from the start of training, a warmup included."""

_FACTORS = {"multistep": "factor", "exponential": "rate"}
"""Schedules that fall by a factor -> what it is called."""

_OF_THE_LENGTH = "the unit of the training's length"

Say = Callable[..., None]


@dataclass
class Plan:
    """What is said of a learning rate's run.

    Attributes:
        kind: Name of the schedule in a recipe; "constant" where the rate does not change, "levels" where its rates are
            listed, "plateau" where what is measured changes it.
        fields: Its fields by their names in a recipe, as far as they are said: "schedule" has the words that name it.
            A constant is "value"; milestones and boundaries are "times", rates one after the other "levels". Those of
            code are its own values until all is known.
        parts: Whether its times are parts of the whole training.
        clocked: Of a warmup, whether what follows counts from the start of training; None for what is usual.
        held: How long a constant phase lasts before it, and its unit.
        then: What comes after a warmup.
        early: Whether each drop comes one epoch or step before a multiple of its period.
        goes_on: Of a constant after a warmup, whether it falls from there in a way that is not known.
    """

    kind: str
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    parts: bool = False
    clocked: bool | None = None
    held: tuple[Field, str] | None = None
    then: Plan | None = None
    early: bool = False
    goes_on: bool = False

    def put(self, name: str, found: Any) -> Plan:
        """Set a field, unless there is none or it has been set; return the plan."""
        if found is not None:
            self.fields.setdefault(name, found)
        return self

    def tell(self, words: str, provenance: Provenance = "stated", **values: Any) -> Plan:
        """Set the fields that some words say, those of None and those that have been set left out; return the plan."""
        for name, value in values.items():
            self.put(name, None if value is None else told(value, words, provenance))
        return self

    def value(self, name: str) -> Any:
        """Return a field's value, or None."""
        return self.fields[name].value if name in self.fields else None

    def assume_factor(self, name: str, say: Say) -> None:
        """Put a tenth for by how much the rate falls, which nothing says."""
        self.put(name, Field(USUAL_FACTOR, "assumed", "not stated; a tenth is usual"))
        say("usual_factor", factor=USUAL_FACTOR)


def told(value: Any, words: str, provenance: Provenance = "stated") -> Field:
    """Return a field with its words, and their place where they stand as one piece."""
    start, end = (words.start, words.end) if isinstance(words, Words) else (-1, -1)
    return Field(value, provenance, str(words), start, end)


def total_of(fields: dict[str, Field]) -> tuple[float, str, str] | None:
    """Return the length of training, its unit and its words; None if it is not known."""
    found = next(((fields[path], unit) for unit, path in LENGTHS.items() if path in fields), None)
    return None if found is None else (found[0].value, found[1], found[0].words)


def ratio_of(levels: list[float]) -> float | None:
    """Return the factor between neighbours, if it is the same everywhere."""
    if len(levels) < 2 or any(level <= 0 for level in levels):
        return None
    ratios = [float(f"{after / before:.9g}") for before, after in pairwise(levels)]
    return ratios[0] if max(ratios) - min(ratios) <= 1e-9 else None


def complete(plan: Plan, known: dict[str, Field], say: Say) -> dict[str, Field]:
    """Return the fields of a recipe that a plan comes to, below `sgd.lr` or `train.plateau`.

    Args:
        plan: What is said.
        known: The fields of the training so far.
        say: Takes the name of a remark and the values in it.
    """
    if plan.kind == "plateau":
        return _below("train.plateau", _plateau(plan, say))
    if plan.kind != "warmup":
        return _below("sgd.lr", _alone(plan, None, known, say))
    then = plan.then or Plan("constant")
    _rise(plan, then, known, say)
    return _below("sgd.lr", plan) | _below("sgd.lr.then", _alone(then, plan, known, say))


def _below(root: str, plan: Plan) -> dict[str, Field]:
    return {root if name == "value" else f"{root}.{name}": found for name, found in plan.fields.items()}


def _alone(plan: Plan, warmup: Plan | None, known: dict[str, Field], say: Say) -> Plan:
    """Complete a plan that is no warmup, and stands alone or after one."""
    total = total_of(known)
    if plan.kind == "levels":
        _tell_levels(plan)
    factor = _FACTORS.get(plan.kind, "")
    timed = "times" in plan.fields or "milestones" in plan.fields or plan.value("every") not in {None, 1}
    if 0 < (plan.value(factor) or 1) < LEAST_FACTOR and not timed:
        _make_inverse(plan, factor, say)
    if plan.kind in _FACTORS and _FACTORS[plan.kind] not in plan.fields:
        say("no_factor")
    if plan.kind in {"multistep", "sequence"}:
        _put_times(plan, total, say)
        put_unit(plan, plan.value("milestones") or plan.value("boundaries"), known)
    elif plan.kind == "exponential":
        put_unit(plan, [plan.value("every")], known)
    elif plan.kind == "inverse":
        plan.put("unit", Field("step", "implied", PER_STEP))
    if plan.kind in RAMPS:
        plan.put("final", Field(0.0, "implied", f"{plan.kind} schedules end at 0 unless said otherwise"))
    if plan.kind == "polynomial":
        plan.put("power", Field(0.9, "assumed", "the usual power of a poly policy"))
    if plan.kind in {*RAMPS, "onecycle"}:
        _put_duration(plan, warmup, total, say)
        put_unit(plan, [plan.value("duration")], known)
    return _held(plan)


def _make_inverse(plan: Plan, factor: str, say: Say) -> None:
    """Make a decay that is far too small for a factor what Keras and Torch7 mean by it: lr / (1 + decay * step)."""
    rate = plan.fields.pop(factor)
    say("inverse_decay", decay=shown(rate.value))
    for name in ("every", "staircase", "unit"):
        plan.fields.pop(name, None)
    plan.kind = "inverse"
    plan.fields["schedule"] = replace(rate, value="inverse", provenance="implied")
    plan.fields |= {"gamma": rate, "power": replace(rate, value=1.0, provenance="implied")}


def _tell_levels(plan: Plan) -> None:
    """Make levels the steps of one factor where they have one, else a sequence."""
    levels = plan.fields.pop("levels")
    ratio = ratio_of(levels.value)
    plan.kind = "sequence" if ratio is None or ratio > 1 else "multistep"
    if plan.kind == "sequence":
        plan.fields.pop("initial", None)
        plan.put("schedules", levels)
    else:
        plan.put("initial", replace(levels, value=levels.value[0]))
        plan.put("factor", replace(levels, value=ratio, provenance="implied"))
    plan.fields["schedule"] = replace(plan.fields.get("schedule", levels), value=plan.kind)


def _put_times(plan: Plan, total: tuple[float, str, str] | None, say: Say) -> None:
    """Put the times at which the rate changes, parts of the whole training worked out."""
    times = plan.fields.pop("times", None)
    if times is not None and plan.parts and total is not None:
        values = sorted({whole(round(part * total[0], 9)) for part in times.value})
        times = replace(times, value=values, provenance="implied")
        plan.put("unit", Field(total[1], "implied", _OF_THE_LENGTH))
    elif times is None or plan.parts:
        say("no_milestones" if times is None else "no_total")
        return
    plan.put("milestones" if plan.kind == "multistep" else "boundaries", times)


def put_unit(plan: Plan, times: list[float | None] | None, known: dict[str, Field]) -> None:
    """Put the unit that is not said: that of the training's length, if they lie within it, else by their size."""
    counted = [time for time in times or [] if time is not None]
    if "unit" in plan.fields or not counted:
        return
    for unit, path in LENGTHS.items():
        if path in known and min(counted) <= known[path].value:
            plan.put("unit", Field(unit, "implied", _OF_THE_LENGTH))
    longer = f"longer than {known['train.epochs'].words}" if "train.epochs" in known else ""
    steps = longer or max(counted) >= _MANY
    plan.put("unit", Field("step" if steps else "epoch", "assumed", longer or "not stated", marks=("unit",)))


def _put_duration(plan: Plan, warmup: Plan | None, total: tuple[float, str, str] | None, say: Say) -> None:
    """Put the length of a schedule that is not said: to the end of training, less a warmup that it begins after."""
    if "duration" in plan.fields:
        return
    first = warmup or plan
    before = None if first is plan or first.clocked else first.value("duration")
    unit = plan.fields.get("unit")
    other = total is not None and unit is not None and unit.value != total[1]
    if other and unit is not None and unit.provenance != "stated":
        del plan.fields["unit"]  # of a convention, for lengths that are written
    elif other:
        total = None
    if total is None or (before is not None and (first.value("unit") != total[1] or before >= total[0])):
        say("no_duration", schedule=plan.kind)
        return
    why = f"to the end of training: {total[2]}"
    less = f"{why}, less the warmup" if before is not None else why
    plan.put("duration", Field(whole(total[0] - (before or 0)), "implied", less))
    plan.put("unit", Field(total[1], "implied", why))


def _held(plan: Plan) -> Plan:
    """Return a plan after its constant phase: "constant for the first 50 epochs, then linearly to 0"."""
    known = plan.fields.keys()
    if plan.held is None or not {"schedule", "initial"} <= known or not {"duration", "every"} & known:
        return plan
    (held, unit), schedule, duration = plan.held, plan.fields["schedule"], plan.fields.get("duration")
    unit = unit or plan.value("unit")
    whole_of_it = duration is not None and duration.provenance == "implied" and duration.value > held.value
    if duration is not None and whole_of_it and plan.value("unit") == unit:
        plan.fields["duration"] = replace(duration, value=whole(duration.value - held.value))
    both = held if held.words == schedule.words else told(0, f"{held.words}; {schedule.words}")
    inner = {name: found.value for name, found in plan.fields.items()}
    found = Plan("sequence", {"schedule": replace(both, value="sequence")})
    found.put("schedules", replace(both, value=[plan.value("initial"), inner], provenance="implied"))
    return found.put("boundaries", replace(held, value=[held.value])).put("unit", replace(held, value=unit))


def _rise(plan: Plan, then: Plan, known: dict[str, Field], say: Say) -> None:
    """Complete the warmup itself."""
    total, length = total_of(known), plan.fields.get("duration")
    if length is not None and plan.parts and total is not None:
        value = whole(round(length.value * total[0], 9))
        plan.fields["duration"] = length = replace(length, value=value, provenance="implied")
        plan.put("unit", Field(total[1], "implied", _OF_THE_LENGTH))
    elif length is None or plan.parts:
        plan.fields.pop("duration", None)
        say("no_duration", schedule="warmup")
    if length is not None and "duration" in plan.fields:
        fits = total is not None and length.value < total[0]
        unit = total[1] if fits and total else "epoch" if length.value < _SHORT else "step"
        plan.put("unit", Field(unit, "assumed", _OF_THE_LENGTH if fits else "not stated", marks=("unit",)))
    if then.kind in {*_CLOCKED, "levels"} or (then.kind != "constant" and plan.clocked):
        plan.put("restart", Field(False, "implied", COUNTED_FROM_START))


def _plateau(plan: Plan, say: Say) -> Plan:
    """Complete what changes the rate when a measured value improves no more."""
    say("plateau")
    if "factor" not in plan.fields:
        say("no_factor")
        return Plan("plateau")
    if "patience" not in plan.fields:
        plan.put("patience", Field(PATIENCE, "assumed", "the default of torch's ReduceLROnPlateau"))
        say("patience", patience=PATIENCE)
    return plan
