"""What all that is said of the learning rate adds up to: the plan of a constant, or of one schedule."""

from __future__ import annotations

import re

from downslope.reading.assemble_rates import courses, final_of, find_rate, warmed_from
from downslope.reading.assemble_steps import knots_plan, levels_plan, steps_plan
from downslope.reading.draft import Draft
from downslope.reading.facts import Fact
from downslope.reading.order import tidy, whole
from downslope.reading.plan import LEAST_FACTOR, LENGTHS, RAMPS, Plan, complete, told, total_of
from downslope.reading.reading import Field
from downslope.reading.schedule_facts import Change, Course, Shape, Warmup, whole_patience
from downslope.reading.times import Time


def put_learning_rate(draft: Draft) -> None:
    """Put the fields of the learning rate: `sgd.lr`, or those of a schedule, within a warmup if there is one."""
    for change in draft.every(Change):
        change.at = [since for time in change.at if not (since := _from_start(draft, time)).last]
    rate, warmup, knots = find_rate(draft), _warmup(draft), knots_plan(draft)
    plan = knots or _choose(draft, rate, warmup) or Plan("constant").put("value", rate)
    plan.held = plan.held or _held(draft)
    if warmup is not None and rate is None and plan.kind == "constant" and not _is_told(warmup):
        warmup = None  # "parameters such as warmup"
    if warmup is not None and plan.kind == "onecycle" and _rises_for(draft, plan, warmup):
        warmup = None
    whole_plan = plan if knots or warmup is None else _with_warmup(draft, warmup, rate, plan)
    draft.fields |= complete(whole_plan, draft.fields, draft.remarks.say)
    if knots:
        return
    _imply_length(draft, whole_plan, plan)
    if rate is None and not {"initial", "peak", "schedules"} & plan.fields.keys():
        draft.remarks.say("no_lr" if plan.kind == "constant" else "no_base_lr")


def _is_told(warmup: Warmup) -> bool:
    """Whether anything is said of a warmup beside its name."""
    return any(part is not None for part in (warmup.length, warmup.begin, warmup.peak, warmup.course))


def _rises_for(draft: Draft, plan: Plan, warmup: Warmup) -> bool:
    """Put the part of a cycle in which it rises, which is no warmup before it; False if its length is not known."""
    time, total = warmup.length, total_of(draft.fields)
    if time is None or not (time.percent or (total and total[1] == time.unit and total[0] > time.values[0])):
        return False
    if time.percent:
        plan.tell(draft.words(warmup), pct_start=time.values[0])
    elif total is not None:
        plan.tell(draft.words(warmup), "implied", pct_start=tidy(time.values[0] / total[0]))
    return True


def _from_start(draft: Draft, time: Time) -> Time:
    """Return when the last part of a training begins, where its length is known."""
    total = total_of(draft.fields)
    if not time.last or total is None or total[1] != time.unit or total[0] <= time.values[0]:
        return time
    return Time("at", (whole(total[0] - time.values[0]),), time.unit)


def _held(draft: Draft) -> tuple[Field, str] | None:
    """Return the length and the unit of a constant phase before a schedule."""
    held = next((s for s in draft.every(Shape) if s.key == "constant" and s.over and len(s.over.values) == 1), None)
    if held is None or held.over is None or held.over.percent:
        return None
    return told(whole(held.over.values[0]), draft.words(held)), held.over.unit


def _imply_length(draft: Draft, whole_plan: Plan, plan: Plan) -> None:
    """Put the length of training where it is not stated but its schedule has a stated end."""
    found, unit = plan.fields.get("duration"), plan.value("unit")
    if found is None or found.provenance != "stated" or not unit or total_of(draft.fields):
        return
    before = plan.held[0].value if plan.held and "sgd.lr.schedules" in draft.fields else 0
    if whole_plan is not plan:
        before = whole_plan.value("duration") if whole_plan.value("unit") == unit else None
    if before is not None:
        words = f"to the end of the schedule: {found.words}"
        draft.put(LENGTHS[unit], whole(found.value + before), "implied", words)


def _warmup(draft: Draft) -> Warmup | None:
    warmups = draft.every(Warmup)
    denied = draft.of("off", "warmup")
    if denied and not any(fact.length is not None and fact.end < denied[0].start for fact in warmups):
        return None
    warmups.sort(key=lambda fact: (fact.length is None, fact.begin is None and fact.course is None))
    if warmups and warmups[0].begin is None and warmups[0].course is None:
        warmups[0].begin = next((fact.begin for fact in warmups if fact.begin is not None), None)
    return next(iter(warmups), None)


def _with_warmup(draft: Draft, fact: Warmup, rate: Field | None, then: Plan) -> Plan:
    time, words = fact.length, draft.words(fact)
    plan = Plan("warmup", then=then).tell(words, schedule="warmup")
    if time is not None:
        plan.parts = time.percent
        plan.tell(words, duration=time.values[0], unit=None if time.percent else time.unit or None)
    begin = fact.begin
    risen = warmed_from(draft)
    if begin is None and fact.course is None and risen is not None:
        return plan.tell(draft.words(risen[0]), start=float(risen[0].value))
    if fact.course is not None:
        return plan.tell(draft.words(fact.course), start=float(fact.course.first))
    if begin is not None and begin.part and rate is not None:
        plan.tell(draft.text.words(begin.start, begin.end), "implied", start=tidy(rate.value * begin.value))
    elif begin is not None and not begin.part:
        plan.tell(draft.text.words(begin.start, begin.end), start=float(begin.value))
    return plan


def _choose(draft: Draft, rate: Field | None, warmup: Warmup | None) -> Plan | None:
    """Return the plan of the schedule that is told of, or None if the rate is constant."""
    changes = draft.every(Change)
    shape, fact = _shape(draft, changes)
    timed = [c for c in changes if (c.at or c.every) and not c.plateau]
    plateaus = [change for change in changes if change.plateau]
    if (levels := levels_plan(draft, rate)) is not None:
        return levels
    guessed = isinstance(fact, Course) and not fact.shape  # "from 0.1 to 0.01": in a line, if nothing is said
    named = Plan(shape).tell(_say(draft, fact), "implied" if guessed else "stated", schedule=shape)
    if shape == "onecycle":
        for name in ("pct_start", "div_factor", "final_div_factor"):
            _take_first(draft, named, name, name)
        return _take_duration(draft, named.put("peak", rate), fact, changes, warmup)
    steps = [c for c in timed if not _is_bare_update(c, shape)]  # "updated every epoch"
    if shape in RAMPS and not any(c.value is not None or len(c.targets) > 1 or c.every for c in steps):
        return _ramp(draft, named, fact, rate, changes, warmup)
    if shape == "inverse":
        for name, keys in (("gamma", ("gamma", "lr_decay")), ("power", ("power",))):
            _take_first(draft, named, name, *keys)
        if isinstance(fact, Shape) and fact.unit:
            named.tell(draft.words(fact), unit=fact.unit)
        return _over_steps(draft, named, changes).put("initial", rate)
    if shape == "cyclic":
        draft.remarks.say("restarts")
        if not _COSINES.search(draft.text.plain):
            return None  # which goes up and down
        return _ramp(draft, Plan("cosine").tell(_say(draft, fact), schedule="cosine"), fact, rate, changes, warmup)
    falling = next((course for course in courses(draft) if course.first > course.last > 0), None)
    if shape == "exponential" and not timed and falling is not None:
        return _exponential_course(draft, falling)
    if timed:
        return steps_plan(draft, rate, timed, shape)
    if plateaus:
        draft.fields |= complete(_plateau(draft, plateaus), draft.fields, draft.remarks.say)
        return None
    return _untimed(draft, rate, changes, named, fact)


def _is_bare_update(change: Change, shape: str) -> bool:
    """Whether a change only says that a ramp goes on: "updated every epoch", "linearly decayed at every epoch"."""
    goes_on = change.shape in RAMPS or (change.every is not None and change.every.values == (1,) and shape in RAMPS)
    return change.every is not None and goes_on and change.value is None and not change.targets


_COSINES = re.compile(r"cos|sgdr|restart|anneal|余弦|重启|退火")


def _over_steps(draft: Draft, plan: Plan, changes: list[Change]) -> Plan:
    """Put gamma where it is called a rate, divided by the steps it is for: "decay rate 0.5, decay steps 1000"."""
    rate = next((change for change in changes if change.noun and change.value), None)
    period = next((fact for fact in draft.values("lr_every") if fact.value > 1), None)
    if rate is not None and rate.value is not None:
        plan.tell(draft.words(rate), gamma=rate.value)
    if period is not None and "gamma" in plan.fields:
        found = plan.fields["gamma"]
        words = f"{found.words}; {draft.words(period)}"
        plan.fields["gamma"] = told(tidy(found.value / period.value), words, "implied")
    return plan


def _exponential_course(draft: Draft, falling: Course) -> Plan:
    """Return "exponentially from 0.1 to 0.0001 over 100 epochs", to the end of training where no length is said."""
    words, over, total = draft.words(falling), _over(draft, falling, draft.every(Change)), total_of(draft.fields)
    plan = Plan("exponential").tell(words, schedule="exponential", initial=float(falling.first))
    plan.tell(words, "implied", rate=tidy(falling.last / falling.first)).tell(words, end=float(falling.last))
    if over is not None and over.unit:
        return plan.tell(words, every=over.values[0], unit=over.unit)
    if total is not None:
        return plan.tell(f"to the end of training: {total[2]}", "implied", every=total[0], unit=total[1])
    draft.remarks.say("no_duration", schedule="exponential")
    return plan


def _shape(draft: Draft, changes: list[Change]) -> tuple[str, Fact | None]:
    for change in changes:
        if change.shape in {"cosine", "polynomial", "linear", "exponential"}:
            return change.shape, change
    falling = [fact for fact in courses(draft) if fact.first > fact.last]
    shapes = [fact for fact in draft.every(Shape) if fact.key not in {"constant", "piecewise", "inverse_sqrt"}]
    if any(change.value is not None and (change.at or change.every) for change in changes):
        shapes = [fact for fact in shapes if not _BESIDES.search(draft.text.plain, max(0, fact.start - 30), fact.start)]
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


_STEPS = re.compile(r"step(?!.?size|[ =:|]{0,4}\d)|iter|步(?!长)", re.IGNORECASE)
"""Words of a period that is in steps; a `step_size` is in whatever the scheduler is called by."""

_FALLS = re.compile(r"decay|anneal|schedul|衰减|下降|减|降|递减|退火|学习率的?(?:调度|策略)")
"""Words of a linear schedule that say that it is not the warmup's."""


def _say(draft: Draft, fact: Fact | None) -> str:
    return draft.words(fact) if fact is not None else ""


def _ramp(
    draft: Draft, plan: Plan, fact: Fact | None, rate: Field | None, changes: list[Change], warmup: Warmup | None
) -> Plan:
    falling = next((r for r in courses(draft) if r.first > r.last), None)
    if falling is not None:
        plan.tell(draft.words(falling), initial=float(falling.first), final=float(falling.last))
    target = next((c for c in changes if c.targets), None)
    ended = next((f for f in draft.every(Shape) if f.final is not None), None)
    final = final_of(draft)
    if target is not None:
        plan.tell(draft.words(target), final=float(target.targets[-1]))
    elif ended is not None and ended.final is not None and not ended.part:
        plan.tell(draft.words(ended), final=float(ended.final))
    elif ended is not None and ended.final is not None and rate is not None:
        plan.tell(draft.words(ended), "implied", final=tidy(rate.value * ended.final))
    elif (part := next(draft.values("final_part"), None)) is not None and rate is not None:
        plan.tell(draft.words(part), "implied", final=tidy(rate.value * part.value))
    elif final is not None:
        plan.tell(draft.words(final), final=float(final.value))
    if plan.kind == "polynomial":
        _take_first(draft, plan, "power", "power")
    return _take_duration(draft, plan.put("initial", rate), fact, changes, warmup)


def _take_duration(draft: Draft, plan: Plan, fact: Fact | None, changes: list[Change], warmup: Warmup | None) -> Plan:
    """Put how long a schedule is said to take; what tells its end tells that of training, where nothing else does."""
    over, words = _over(draft, fact, changes), _say(draft, fact)
    until = next((f for f in draft.every(Shape) if f.until is not None), None)
    ending = until.until if until is not None else next((t for c in changes for t in c.at if len(t.values) == 1), None)
    if ending is not None and ending.unit and not ending.percent and total_of(draft.fields) is None:
        draft.put(LENGTHS[ending.unit], ending.values[0], "implied", _say(draft, until or fact))
    total = total_of(draft.fields)
    same = over is not None and total is not None and total[0] == over.values[0]
    if over is None or not over.unit or (same and warmup is not None):
        return plan  # the whole training, of which the warmup takes its part
    plan.tell(words, "implied" if same and over.prep != "next" else "stated", duration=over.values[0])
    return plan.tell(words, "implied" if same else "stated", unit=over.unit)


def _over(draft: Draft, fact: Fact | None, changes: list[Change]) -> Time | None:
    candidates = [fact.over if isinstance(fact, Change | Course | Shape) else None, *(c.over for c in changes)]
    candidates += [r.over for r in courses(draft) if r.first > r.last]
    return next((time for time in candidates if time is not None and len(time.values) == 1 and not time.percent), None)


def _take_first(draft: Draft, plan: Plan, name: str, *keys: str) -> None:
    """Put the first value of one of these concepts, if there is any."""
    found = next(draft.values(*keys), None)
    if found is not None:
        plan.put(name, told(float(found.value), draft.words(found)))


def _plateau(draft: Draft, changes: list[Change]) -> Plan:
    """Return the plan of the first change at a plateau: its factor, what is watched and for how long."""
    change = next((change for change in changes if change.value is not None), changes[0])
    words, plateau, plan = draft.words(change), change.plateau, Plan("plateau")
    if change.value is None or plateau is None:
        return plan
    plan.tell(words, factor=change.value, metric=plateau.metric or None, patience=plateau.patience)
    waited = next((fact for fact in draft.values("patience") if whole_patience(fact.value) is not None), None)
    if waited is not None:
        plan.tell(draft.words(waited), patience=int(waited.value))
    reached = next(
        (c for c in draft.every(Change) if c.targets and c.targets[-1] < 1 and not (c.at or c.every or c.value)), None
    )
    if change.targets:
        plan.tell(words, min_lr=float(change.targets[-1]))
    elif reached is not None:
        plan.tell(draft.words(reached), min_lr=float(reached.targets[-1]))
    elif (floor := final_of(draft)) is not None and floor.value > 0:
        plan.tell(draft.words(floor), min_lr=float(floor.value))
    return plan


_BESIDES = re.compile(r"\b(?:also|alternativ\w+|optional\w*|or)\b[^.;]{0,16}$")
"""What introduces a schedule besides the one that is told of: "also a one-cycle schedule"."""

_MULTI = re.compile(r"multi", re.IGNORECASE)
_DECAY = re.compile(r"decay|schedul|anneal|step.?(?:size|lr)|multi.?step|exponential|衰减|下降|调度")


def _tells_decay(draft: Draft, gamma: Fact) -> bool:
    """Whether the words around a gamma speak of the learning rate's fall, so that it is not another's symbol."""
    plain = re.sub(r"weight.?decay|权重衰减", "", draft.text.plain[max(0, gamma.start - 60) : gamma.end + 40])
    return _DECAY.search(plain) is not None or bool([*draft.values("lr_every")])


def _untimed(draft: Draft, rate: Field | None, changes: list[Change], named: Plan, fact: Fact | None) -> Plan | None:
    """Return what can be said where it is told that the rate changes, but not when."""
    factor = next((c for c in changes if c.value is not None and c.value < 1), None)
    if factor is None:
        gamma = next(draft.values("lr_decay", "gamma"), None)
        told_so = gamma is not None and (gamma.key != "gamma" or changes or named.kind or _tells_decay(draft, gamma))
        if gamma is not None and told_so and 0 < gamma.value < 1:
            factor = Change("change", "reduce", float(gamma.value), gamma.start, gamma.end, noun=True)
    if factor is None:
        counted = next((c for c in changes if c.count), None)
        if counted is not None:
            draft.remarks.say("reduced_sometime", count=counted.count)
        elif named.kind == "exponential" or (named.kind == "multistep" and _MULTI.search(_say(draft, fact))):
            return named.put("initial", rate)
        elif changes or named.kind:
            draft.remarks.say("constant_lr")
        return None
    words, period = draft.words(factor), next((fact for fact in draft.values("lr_every") if fact.value > 0), None)
    if not named.kind and not factor.noun and rate is None and not factor.count:
        draft.remarks.say("constant_lr")  # advice: "lower the learning rate by 10"
        return None
    multi = named.kind == "multistep" and _MULTI.search(_say(draft, fact)) is not None
    if multi or (named.kind != "exponential" and not factor.noun and period is None):
        if factor.count:
            draft.remarks.say("reduced_sometime", count=factor.count)
        elif rate is None and not draft.fields:
            return None  # advice, in a text that tells of no training
        plan = Plan("multistep").tell(_say(draft, fact or factor), schedule="multistep")
        return plan.put("initial", rate).tell(words, factor=factor.value)
    stated = "implied" if [*draft.values("lr_every")] else "assumed"
    stated = "stated" if named.kind == "exponential" else stated
    plan = Plan("exponential").tell(_say(draft, fact or factor), stated, schedule="exponential")
    plan.put("initial", rate).tell(words, rate=factor.value)
    if period is not None:
        words = draft.words(period)
        steps = period.value >= 200 or _STEPS.search(words) is not None
        named_so = "stated" if "epoch" in words.lower() or "轮" in words else "implied"
        plan.tell(words, every=whole(period.value))
        plan.tell(words, named_so, unit=period.unit or ("step" if steps else "epoch"))
        return plan.tell(f"it drops at once: {words}", "implied", staircase=True)
    if factor.value < LEAST_FACTOR:
        return plan
    per_epoch = factor.value >= 0.9
    usual, other = "such a rate is usually per epoch", "as in the recipe that comes along, digits"
    every, unit, said = (1, "epoch", ("one epoch", "一轮")) if per_epoch else (1000, "step", ("1000 steps", "1000 步"))
    why = f"not stated; {usual if per_epoch else other}"
    draft.remarks.say("no_period", every=said[draft.remarks.language == "zh"])
    return plan.tell(why, "assumed", every=every, unit=unit, staircase=True)
