"""What all that is said of the learning rate adds up to: a constant, or the fields of one schedule."""

from __future__ import annotations

import re
from dataclasses import replace

from downslope.reading.assemble_rates import Rate, courses, final_of, find_rate, put_initial, total_of
from downslope.reading.assemble_steps import put_knots, put_levels, put_steps
from downslope.reading.draft import Draft, whole
from downslope.reading.facts import Fact
from downslope.reading.schedule_facts import Change, Course, Knots, Shape, Warmup, whole_patience
from downslope.reading.times import Time

_RAMPS = frozenset({"cosine", "linear", "polynomial"})
PATIENCE = 10
"""Evaluations without improvement where none are stated: the default of torch's ReduceLROnPlateau."""


def put_learning_rate(draft: Draft) -> None:
    """Put the fields of the learning rate: `sgd.lr`, or those of a schedule, within a warmup if there is one."""
    rate = find_rate(draft)
    warmup = _warmup(draft)
    root = "sgd.lr.then" if warmup is not None else "sgd.lr"
    if any(put_knots(draft, knots) for knots in draft.every(Knots)[:1]):
        return
    chosen = _choose(draft, rate, root)
    _hold(draft, root)
    if warmup is not None:
        _put_warmup(draft, warmup, rate, constant=not chosen)
    elif not chosen:
        if rate is not None:
            draft.put("sgd.lr", rate.value, rate.provenance, rate.words)
        else:
            draft.remarks.say("no_lr")
    _imply_length(draft, root)
    if chosen and rate is None and f"{root}.initial" not in draft.fields and f"{root}.peak" not in draft.fields:
        draft.remarks.say("no_base_lr")


def _hold(draft: Draft, root: str) -> None:
    """Put a constant phase before a schedule: "constant for the first 50 epochs, then linearly to 0"."""
    held = next((s for s in draft.every(Shape) if s.key == "constant" and s.over and len(s.over.values) == 1), None)
    schedule, first = draft.fields.get(f"{root}.schedule"), draft.value(f"{root}.initial")
    if held is None or held.over is None or held.over.percent or schedule is None or first is None:
        return
    unit = held.over.unit or draft.value(f"{root}.unit")
    if schedule.value not in {*_RAMPS, "exponential"} or schedule.words.find("warm") >= 0 or not unit:
        return
    inner = {p.removeprefix(f"{root}."): draft.fields.pop(p) for p in [*draft.fields] if p.startswith(f"{root}.")}
    duration = inner.get("duration")
    if duration is None and schedule.value in _RAMPS:
        draft.fields |= {f"{root}.{name}": found for name, found in inner.items()}
        return
    if duration is not None and duration.provenance == "implied" and inner["unit"].value == unit:
        inner["duration"] = replace(duration, value=whole(duration.value - held.over.values[0]))
    words = f"{draft.words(held)}; {schedule.words}"
    draft.put(f"{root}.schedule", "sequence", "stated", words)
    draft.put(f"{root}.schedules", [first, {name: found.value for name, found in inner.items()}], "implied", words)
    draft.put(f"{root}.boundaries", [whole(held.over.values[0])], "stated", draft.words(held))
    draft.put(f"{root}.unit", unit, "stated", draft.words(held))
    path = "train.epochs" if unit == "epoch" else "train.steps"
    if duration is not None and duration.provenance == "stated" and inner["unit"].value == unit:
        draft.put(path, whole(held.over.values[0] + duration.value), "implied", words)


def _imply_length(draft: Draft, root: str) -> None:
    """Put the length of training where it is not stated but its schedule has a stated end."""
    found = draft.fields.get(f"{root}.duration")
    unit = draft.value(f"{root}.unit")
    if found is None or found.provenance != "stated" or not unit or {"train.epochs", "train.steps"} & set(draft.fields):
        return
    before = 0
    if root != "sgd.lr":
        before = draft.value("sgd.lr.duration") if draft.value("sgd.lr.unit") == unit else None
        if before is None:
            return
    path = "train.epochs" if unit == "epoch" else "train.steps"
    draft.put(path, whole(found.value + before), "implied", f"to the end of the schedule: {found.words}")


def _warmup(draft: Draft) -> Warmup | None:
    warmups = draft.every(Warmup)
    denied = draft.of("off", "warmup")
    if denied and not any(fact.length is not None and fact.end < denied[0].start for fact in warmups):
        return None
    warmups.sort(key=lambda fact: (fact.length is None, fact.begin is None and fact.course is None))
    if warmups and warmups[0].begin is None and warmups[0].course is None:
        warmups[0].begin = next((fact.begin for fact in warmups if fact.begin is not None), None)
    return next(iter(warmups), None)


def _choose(draft: Draft, rate: Rate | None, root: str) -> bool:
    """Put a schedule's fields under `root`; False if the rate is constant."""
    changes = draft.every(Change)
    shape, shape_fact = _shape(draft, changes)
    timed = [c for c in changes if (c.at or c.every) and not c.plateau]
    plateaus = [change for change in changes if change.plateau]
    if put_levels(draft, root, rate):
        return True
    if shape == "onecycle":
        draft.put(f"{root}.schedule", "onecycle", "stated", _say(draft, shape_fact))
        put_initial(draft, root, rate, "peak")
        _put_duration(draft, root, shape_fact, changes)
        return True
    steps = [c for c in timed if not (c.every and c.shape in _RAMPS and c.value is None)]  # "updated every epoch"
    if shape in _RAMPS and not any(c.value is not None or len(c.targets) > 1 or c.every for c in steps):
        _put_ramp(draft, root, shape, shape_fact, rate, changes)
        return True
    if shape == "inverse":
        _put_inverse(draft, root, shape_fact, rate)
        return True
    if shape == "cyclic":
        draft.remarks.say("restarts")
        _put_ramp(draft, root, "cosine", shape_fact, rate, changes)
        return True
    if shape == "exponential" and not timed and _exponential_range(draft, root):
        return True
    if timed:
        return put_steps(draft, root, rate, timed, shape)
    if plateaus:
        _put_plateau(draft, plateaus)
        return False
    return _untimed(draft, root, rate, changes, shape, shape_fact)


def _exponential_range(draft: Draft, root: str) -> bool:
    """Put "exponentially from 0.1 to 0.0001 over 100 epochs"; False if it is not said so."""
    falling = next((r for r in courses(draft) if r.first > r.last > 0), None)
    if falling is None:
        return False
    words = draft.words(falling)
    draft.put(f"{root}.schedule", "exponential", "stated", words)
    draft.put(f"{root}.initial", float(falling.first), "stated", words)
    draft.put(f"{root}.rate", float(f"{falling.last / falling.first:.12g}"), "implied", words)
    draft.put(f"{root}.end", float(falling.last), "stated", words)
    over = _over(draft, falling, draft.every(Change))
    total = total_of(draft)
    if over is not None and over.unit:
        draft.put(f"{root}.every", over.values[0], "stated", words)
        draft.put(f"{root}.unit", over.unit, "stated", words)
    elif total is not None:
        draft.put(f"{root}.every", total[0], "implied", f"to the end of training: {total[2]}")
        draft.put(f"{root}.unit", total[1], "implied", f"to the end of training: {total[2]}")
    else:
        draft.remarks.say("no_duration", schedule="exponential")
    return True


def _shape(draft: Draft, changes: list[Change]) -> tuple[str, Fact | None]:
    for change in changes:
        if change.shape in {"cosine", "polynomial", "linear", "exponential"}:
            return change.shape, change
    falling = [fact for fact in courses(draft) if fact.first > fact.last]
    shapes = [fact for fact in draft.every(Shape) if fact.key not in {"constant", "piecewise", "inverse_sqrt"}]
    warmups = draft.every(Warmup)
    for key in ("onecycle", "cyclic", "cosine", "polynomial", "exponential", "inverse", "multistep", "linear"):
        for fact in shapes:
            near = [w for w in warmups if abs(w.start - fact.start) < 40 or (w.start <= fact.start <= w.end)]
            falls = falling or _FALLS.search(draft.text.plain, fact.start, fact.end) or fact.final is not None
            if fact.key == key and not (key == "linear" and near and not falls):
                return key, fact
    for fact in falling:
        if fact.shape or not changes:
            return fact.shape or "linear", fact
    return "", None


_FALLS = re.compile(r"decay|anneal|衰减|下降|减|降|递减|退火")
"""Words of a linear schedule that say that it is not the warmup's."""


def _say(draft: Draft, fact: Fact | None) -> str:
    return draft.words(fact) if fact is not None else ""


def _put_ramp(draft: Draft, root: str, shape: str, fact: Fact | None, rate: Rate | None, changes: list[Change]) -> None:
    draft.put(f"{root}.schedule", shape, "stated", _say(draft, fact))
    falling = next((r for r in courses(draft) if r.first > r.last), None)
    if falling is not None:
        draft.put(f"{root}.initial", float(falling.first), "stated", draft.words(falling))
        draft.put(f"{root}.final", float(falling.last), "stated", draft.words(falling))
    put_initial(draft, root, rate)
    target = next((c for c in changes if c.targets), None)
    final = final_of(draft)
    ended = next((f for f in draft.every(Shape) if f.final is not None), None)
    if target is not None:
        draft.put(f"{root}.final", float(target.targets[-1]), "stated", draft.words(target))
    elif ended is not None and ended.final is not None:
        draft.put(f"{root}.final", float(ended.final), "stated", draft.words(ended))
    elif final is not None:
        draft.put(f"{root}.final", float(final.value), "stated", draft.words(final))
    else:
        draft.put(f"{root}.final", 0.0, "implied", f"{shape} schedules end at 0 unless said otherwise")
    if shape == "polynomial" and not _put_first(draft, f"{root}.power", "power"):
        draft.put(f"{root}.power", 0.9, "assumed", "the usual power of a poly policy")
    _put_duration(draft, root, fact, changes)


def _put_duration(draft: Draft, root: str, fact: Fact | None, changes: list[Change]) -> None:
    over = _over(draft, fact, changes)
    until = next((f for f in draft.every(Shape) if f.until is not None), None)
    ending = until.until if until is not None else next((t for c in changes for t in c.at if len(t.values) == 1), None)
    if ending is not None and ending.unit and not ending.percent and total_of(draft) is None:
        path = "train.epochs" if ending.unit == "epoch" else "train.steps"
        draft.put(path, ending.values[0], "implied", _say(draft, until or fact))
    total = total_of(draft)
    warm = draft.every(Warmup)
    if over is not None and root == "sgd.lr.then" and total is not None and total[0] == over.values[0] and warm:
        over = None  # the whole training, of which the warmup takes its part
    if over is not None and over.unit:
        draft.put(
            f"{root}.duration",
            over.values[0],
            "stated" if over.prep == "next" or total is None or total[0] != over.values[0] else "implied",
            _say(draft, fact),
        )
        draft.put(
            f"{root}.unit",
            over.unit,
            "stated" if total is None or total[0] != over.values[0] else "implied",
            _say(draft, fact),
        )
        return
    if total is None:
        draft.remarks.say("no_duration", schedule=draft.value(f"{root}.schedule"))
        return
    duration, unit, words = total
    if root == "sgd.lr.then" and warm and warm[0].length is not None:
        length = warmup_length(draft, warm[0].length)
        if length is None or length[1] != unit or length[0] >= duration:
            draft.remarks.say("no_duration", schedule=draft.value(f"{root}.schedule"))
            return
        duration = whole(duration - length[0])
        words = f"{words}, less the warmup"
    draft.put(f"{root}.duration", duration, "implied", f"to the end of training: {words}")
    draft.put(f"{root}.unit", unit, "implied", f"to the end of training: {words}")


def _over(draft: Draft, fact: Fact | None, changes: list[Change]) -> Time | None:
    candidates = [fact.over if isinstance(fact, Change | Course | Shape) else None, *(c.over for c in changes)]
    candidates += [r.over for r in courses(draft) if r.first > r.last]
    return next((time for time in candidates if time is not None and len(time.values) == 1 and not time.percent), None)


def warmup_length(draft: Draft, time: Time) -> tuple[float, str] | None:
    """Return a warmup's length and unit, parts of the whole worked out; None if they are not known."""
    total = total_of(draft)
    if time.percent:
        if total is None:
            return None
        return whole(round(time.values[0] * total[0], 9)), total[1]
    return time.values[0], time.unit or (total[1] if total else "epoch")


def _put_warmup(draft: Draft, fact: Warmup, rate: Rate | None, *, constant: bool) -> None:
    words = draft.words(fact)
    draft.put("sgd.lr.schedule", "warmup", "stated", words)
    time = fact.length
    length = warmup_length(draft, time) if time is not None else None
    if length is not None and time is not None:
        derived = time.percent or length[0] != time.values[0]
        draft.put("sgd.lr.duration", length[0], "implied" if derived else "stated", words)
        draft.put("sgd.lr.unit", length[1], "stated" if time.unit and not derived else "implied", words)
    else:
        draft.remarks.say("no_duration", schedule="warmup")
    if fact.course is not None:
        draft.put("sgd.lr.start", float(fact.course.first), "stated", draft.words(fact.course))
    elif fact.begin is not None and fact.begin.part and rate is not None:
        value = float(f"{rate.value * fact.begin.value:.12g}")
        draft.put("sgd.lr.start", value, "implied", draft.text.words(fact.begin.start, fact.begin.end))
    elif fact.begin is not None and not fact.begin.part:
        words = draft.text.words(fact.begin.start, fact.begin.end)
        draft.put("sgd.lr.start", float(fact.begin.value), "stated", words)
    if constant:
        if rate is not None:
            draft.put("sgd.lr.then", rate.value, rate.provenance, rate.words)
        else:
            draft.remarks.say("no_lr")
    elif draft.value("sgd.lr.then.schedule") in {"multistep", "exponential"}:
        draft.put(
            "sgd.lr.restart", False, "implied", "epochs are counted from the start of training, as in Goyal et al. 2017"
        )


def _put_first(draft: Draft, path: str, *keys: str) -> bool:
    """Put the first value of one of these concepts; False if there is none."""
    found = next(draft.values(*keys), None)
    if found is not None:
        draft.put(path, float(found.value), "stated", draft.words(found))
    return found is not None


def _put_inverse(draft: Draft, root: str, fact: Fact | None, rate: Rate | None) -> None:
    draft.put(f"{root}.schedule", "inverse", "stated", _say(draft, fact))
    put_initial(draft, root, rate)
    _put_first(draft, f"{root}.gamma", "gamma", "lr_decay")
    _put_first(draft, f"{root}.power", "power")
    draft.put(f"{root}.unit", "step", "implied", "it counts iterations")


def _put_plateau(draft: Draft, changes: list[Change]) -> None:
    """Put the factor of the first change at a plateau, what is watched and for how long; nothing without a factor."""
    draft.remarks.say("plateau")
    change = next((change for change in changes if change.value is not None), changes[0])
    words, plateau = draft.words(change), change.plateau
    if change.value is None or plateau is None:
        draft.remarks.say("no_factor")
        return
    draft.put("train.plateau.factor", change.value, "stated", words)
    if plateau.metric:
        draft.put("train.plateau.metric", plateau.metric, "stated", words)
    told = next((fact for fact in draft.values("patience") if whole_patience(fact.value) is not None), None)
    if plateau.patience is not None:
        draft.put("train.plateau.patience", plateau.patience, "stated", words)
    elif told is not None:
        draft.put("train.plateau.patience", int(told.value), "stated", draft.words(told))
    else:
        draft.put("train.plateau.patience", PATIENCE, "assumed", "the default of torch's ReduceLROnPlateau")
        draft.remarks.say("patience", patience=PATIENCE)
    reached = next((c for c in draft.every(Change) if c.targets and not (c.at or c.every or c.value)), None)
    if change.targets:
        draft.put("train.plateau.min_lr", float(change.targets[-1]), "stated", words)
    elif reached is not None:
        draft.put("train.plateau.min_lr", float(reached.targets[-1]), "stated", draft.words(reached))
    elif (floor := final_of(draft)) is not None and floor.value > 0:
        draft.put("train.plateau.min_lr", float(floor.value), "stated", draft.words(floor))


_DECAY = re.compile(r"decay|schedul|anneal|step.?(?:size|lr)|multi.?step|exponential|衰减|下降|调度")


def _tells_decay(draft: Draft, gamma: Fact) -> bool:
    """Whether the words around a gamma speak of the learning rate's fall, so that it is not another's symbol."""
    plain = re.sub(r"weight.?decay|权重衰减", "", draft.text.plain[max(0, gamma.start - 60) : gamma.end + 40])
    return _DECAY.search(plain) is not None or bool([*draft.values("lr_every")])


def _untimed(
    draft: Draft, root: str, rate: Rate | None, changes: list[Change], shape: str, shape_fact: Fact | None
) -> bool:
    """Put what can be put where it is said that the rate changes, but not when."""
    factor = next((c for c in changes if c.value is not None and c.value < 1), None)
    if factor is None:
        gamma = next(draft.values("lr_decay", "gamma"), None)
        named = gamma is not None and (gamma.key != "gamma" or changes or shape or _tells_decay(draft, gamma))
        if gamma is not None and named and 0 < gamma.value < 1:
            factor = Change("change", "reduce", float(gamma.value), gamma.start, gamma.end, noun=True)
    if factor is None:
        counted = next((c for c in changes if c.count), None)
        if counted is not None:
            draft.remarks.say("reduced_sometime", count=counted.count)
        elif shape == "exponential":
            draft.put(f"{root}.schedule", "exponential", "stated", _say(draft, shape_fact))
            put_initial(draft, root, rate)
            draft.remarks.say("no_factor")
            return True
        elif changes or shape:
            draft.remarks.say("constant_lr")
        return False
    exponential = shape == "exponential" or factor.noun
    name = "exponential" if exponential else "multistep"
    provenance = "stated" if shape == "exponential" or not factor.noun else "assumed"
    provenance = "implied" if provenance == "assumed" and [*draft.values("lr_every")] else provenance
    draft.put(f"{root}.schedule", name, provenance, _say(draft, shape_fact or factor))
    put_initial(draft, root, rate)
    draft.put(f"{root}.{'rate' if exponential else 'factor'}", factor.value, "stated", draft.words(factor))
    if not exponential:
        if factor.count:
            draft.remarks.say("reduced_sometime", count=factor.count)
        draft.remarks.say("no_milestones")
        return True
    told = next((fact for fact in draft.values("lr_every") if fact.value > 0), None)
    if told is not None:
        words = draft.words(told)
        steps = told.value >= 200 or any(word in words.lower() for word in ("step", "iter", "步"))
        named = "epoch" in words.lower() or "轮" in words
        draft.put(f"{root}.every", whole(told.value), "stated", words)
        draft.put(
            f"{root}.unit",
            told.unit or ("step" if steps else "epoch"),
            "stated" if named else "implied",
            words,
        )
        draft.put(f"{root}.staircase", True, "implied", f"it drops at once: {words}")
        return True
    per_epoch = factor.value >= 0.9
    usual, other = "such a rate is usually per epoch", "the period of the founding question's page"
    why = f"not stated; {usual if per_epoch else other}"
    draft.put(f"{root}.every", 1 if per_epoch else 1000, "assumed", why)
    draft.put(f"{root}.unit", "epoch" if per_epoch else "step", "assumed", why)
    draft.put(f"{root}.staircase", True, "assumed", why)
    said = ("one epoch", "一轮") if per_epoch else ("1000 steps", "1000 步")
    draft.remarks.say("no_period", every=said[draft.remarks.language == "zh"])
    return True
