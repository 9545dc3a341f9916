"""Plans of changes at once: an exponential, a multistep schedule or a sequence; and those of levels and knots."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise

from downslope.reading.assemble_rates import final_of
from downslope.reading.draft import Draft
from downslope.reading.order import tidy, whole
from downslope.reading.plan import LENGTHS, Plan, ratio_of, told, total_of
from downslope.reading.reading import Field
from downslope.reading.remarks import shown
from downslope.reading.schedule_facts import Change, Knots, Levels
from downslope.reading.times import Time


def steps_plan(draft: Draft, rate: Field | None, changes: list[Change], shape: str) -> Plan:
    """Return the plan of changes with times: an exponential or multistep schedule, or a sequence."""
    if any(change.value is not None or change.targets for change in changes):
        changes = [c for c in changes if c.value is not None or c.targets or not c.every]
    periodic = next((change for change in changes if change.every), None)
    if periodic is None or periodic.every is None:
        return _milestones(draft, rate, _of_one_run(draft, changes))
    begun = next((t for c in changes for t in c.at if t.prep in {"after", "at"} and len(t.values) == 1), None)
    if begun is not None and begun.unit == periodic.every.unit:
        return _after_some_time(draft, rate, periodic, begun.values[0], periodic.every)
    return _periodic(draft, rate, periodic, periodic.every, shape)


_ANEW = re.compile(
    r"\)[^()\n]{0,40}\([^()\n]{0,20}\d+k? ?(?:epoch|iter|step)|"
    r"(?:;|\.\s|\n)[^;]*?(?<!再)(?<!续)(?:训练|\btrain\w*)[^,;.\d]{0,8}\d+k? ?(?:个?epoch|个?轮|次|步|iter|step)"
)
"""How long another training is, in a sentence of its own."""


def _of_one_run(draft: Draft, changes: list[Change]) -> list[Change]:
    """Return the changes that belong to the first training told of: later ones go on in time, without a new start."""
    run = changes[:1]
    for change in changes[1:]:
        if change.bare and all(time in run[-1].at for time in change.at):
            continue  # said already, with its values
        before, after = run[-1].at[-1:], change.at[:1]
        begun = any(
            run[-1].end <= fact.start < change.start and not draft.text.plain[: fact.start].rstrip().endswith("(")
            for fact in draft.values("lr")
        )  # but in "/10 at 12 (lr=0.01)" it is where that leads to
        begun = begun or _ANEW.search(draft.text.plain, run[-1].end, change.start) is not None
        goes_on = (
            before
            and after
            and before[0].percent == after[0].percent
            and before[0].unit == after[0].unit
            and after[0].values[0] > before[0].values[-1]
        )
        total = total_of(draft.fields)
        ended = total is not None and bool(after) and after[0].unit == total[1] and after[0].values[0] >= total[0]
        if begun or ended or not goes_on:
            draft.remarks.say("another", path="sgd.lr.milestones", words=draft.words(change))
            break
        run.append(change)
    return run


def _periodic(draft: Draft, rate: Field | None, change: Change, every: Time, shape: str) -> Plan:
    words = draft.words(change)
    plan = Plan("exponential").tell(words, schedule="exponential").put("initial", rate)
    gammas = (gamma for gamma in draft.values("lr_decay", "gamma") if gamma.value > 0)
    by = change if change.value is not None else next(gammas, None)
    if by is not None:
        plan.tell(draft.words(by), rate=float(by.value))
        if every.unit == "step" and every.values[0] == 1 and by.value < 0.9:
            return plan  # "by a factor of 10 at each step" is one of the schedule
    batch = draft.value("data.batch_size")
    if every.unit == "example" and batch is None:
        draft.remarks.say("period_in_examples", examples=shown(every.values[0]))
    elif every.unit == "example":
        plan.tell(words, "implied", every=whole(every.values[0] / batch), unit="step")
    else:
        plan.tell(words, every=every.values[0], unit=every.unit or None).tell(words, "assumed", unit="epoch")
    if shape == "exponential":
        plan.tell("whether in steps or smooth is not said", "assumed", staircase=True)
        draft.remarks.say("staircase")
    plan.tell(f"it drops at once: {words}", "implied", staircase=True)
    if change.targets and by is not None:
        plan.tell(words, end=float(change.targets[-1]))
    elif (floor := final_of(draft)) is not None:
        plan.tell(draft.words(floor), end=float(floor.value))
    return plan


def _after_some_time(draft: Draft, rate: Field | None, change: Change, start: float, every: Time) -> Plan:
    """Return "after 5 epochs, halved every half epoch": milestones up to the end, or where that is unknown a phase."""
    words, step, total = draft.words(change), every.values[0], draft.value(LENGTHS.get(every.unit, "train.steps"))
    if total is None and rate is not None and change.value:
        plan = Plan("exponential", held=(told(whole(start), words), every.unit)).tell(words, schedule="exponential")
        return plan.put("initial", rate).tell(words, rate=change.value, every=step, unit=every.unit, staircase=True)
    plan = Plan("multistep").tell(words, schedule="multistep", factor=change.value, unit=every.unit)
    if total is not None and 0 < (total - start) / step <= 1000:
        count = math.ceil((total - start) / step - 1e-9)
        times = [whole(round(start + index * step, 9)) for index in range(count)]
        plan.tell(f"{words}, until the end of training", "implied", times=times)
    return plan.put("initial", rate)


def _milestones(draft: Draft, rate: Field | None, changes: list[Change]) -> Plan:
    words = draft.words(*changes)
    factors = {change.value for change in changes if change.value is not None}
    if (first := changes[0].value) is not None and _are_powers([change.value for change in changes]):
        factors = {first}  # "x0.1 after 80, x0.01 after 120" of what it began with
    times = _rising(draft, _absolute([time for change in changes for time in change.at]))
    targets = [target for change in changes for target in change.targets]
    if len(factors) > 1 and rate is not None:
        levels = [rate.value]
        for change in changes:
            for time in change.at:
                levels += [tidy(levels[-1] * (change.value or 1)) for _ in time.values]
        return _levels(levels, times, words)
    plan = Plan("multistep").tell(words, schedule="multistep").put("initial", rate)
    if len(factors) == 1:
        plan.tell(words, factor=factors.pop())
    elif len(targets) == 1 and rate is not None and 0 < targets[0] < rate.value:
        plan.tell(words, "implied", factor=tidy(targets[0] / rate.value))
    else:
        _factor_from_elsewhere(draft, plan, changes, targets)
    return _take_times(plan, times, words)


def _are_powers(values: list[float | None]) -> bool:
    """Whether factors are the powers of the first, which is small."""
    first = values[0] or 1
    return (
        len(values) > 1
        and first <= 0.1
        and all(
            value is not None and abs(value - first**power) <= 1e-6 * value
            for power, value in enumerate(values, start=1)
        )
    )


def _absolute(times: list[Time]) -> list[Time]:
    """Return times counted from the start, where some are counted from the one before them."""
    found: list[Time] = []
    for time in times:
        since = found[-1].values[-1] if time.more and found else 0
        found.append(replace(time, values=tuple(value + since for value in time.values), more=False))
    return found


def _rising(draft: Draft, times: list[Time]) -> list[Time]:
    """Return times up to where they begin again: "after 40 and 80 epochs for one set and 80 and 120 for another"."""
    for place, (one, other) in enumerate(pairwise(times), start=1):
        if other.values[0] <= one.values[-1] and other.values != one.values:
            draft.remarks.say("another", path="sgd.lr.milestones", words=", ".join(map(shown, other.values)))
            return times[:place]
    return times


def _factor_from_elsewhere(draft: Draft, plan: Plan, changes: list[Change], targets: list[float]) -> None:
    """Put the factor that other words state; where none do, a tenth is assumed of a fall, and the remark says so."""
    gammas = [gamma for gamma in draft.values("lr_decay", "gamma") if gamma.value > 0]
    rates = {fact.value for fact in draft.values("lr") if fact.role != "final"}
    falls = any(c.key in {"reduce", "divide"} and not c.listed for c in changes)
    if len({gamma.value for gamma in gammas}) == 1:
        plan.tell(draft.words(gammas[0]), factor=float(gammas[0].value))
    elif falls and not (gammas or targets or len(rates) > 1 or any(c.disputed for c in changes)):
        plan.assume_factor("factor", draft.remarks.say)


def _take_times(plan: Plan, times: list[Time], words: str) -> Plan:
    """Put the times that words say, in order, and their unit."""
    plan.parts = any(time.percent for time in times)
    unit = next((time.unit for time in times if time.unit), None)
    plan.tell(words, times=sorted({whole(value) for time in times for value in time.values}) or None)
    return plan.tell(words, unit=None if plan.parts else unit)


def _levels(levels: list[float], times: list[Time], words: str) -> Plan:
    """Return the plan of rates that follow each other, with their times where there is one for each."""
    plan = Plan("levels").tell(words, schedule="levels").tell(words, "implied", levels=levels)
    fits = len({value for time in times for value in time.values}) + 1 == len(levels)
    return _take_times(plan, times if fits else [], words)


_MOST_EPOCHS = 5000
"""A training that is longer is counted in steps: 前90k学习率为0.001，后30k为0.0001."""


def levels_plan(draft: Draft, rate: Field | None) -> Plan | None:
    """Return "0.001 for 60k steps, then 0.0001 for the next 20k" and its like, or None if there are no such levels."""
    levels = max(draft.every(Levels), key=lambda fact: len(fact.rates), default=None)
    if levels is None:
        return None
    words = draft.words(levels)
    rates = levels.rates if levels.begins or rate is None else [rate.value, *levels.rates]
    unit = levels.unit or ("step" if (levels.total or 0) >= _MOST_EPOCHS else "")
    if levels.total is not None and unit and not {*LENGTHS.values()} & {*draft.fields}:
        draft.put(LENGTHS[unit], whole(levels.total), "implied", words)
    times = [Time("at", tuple(levels.changes), levels.unit, levels.percent)]
    ratio = ratio_of(rates)
    if ratio is None and not levels.changes:
        draft.remarks.say("constant_lr")
        return None
    if ratio is None and (levels.begins or rate is not None):
        return _levels(rates, times, words)
    plan = Plan("multistep").tell(words, schedule="multistep").tell(words, "implied", factor=ratio)
    return _take_times(plan.put("initial", rate if ratio else None), times, words)


def knots_plan(draft: Draft) -> Plan | None:
    """Return the plan of knots: up from the first to the second, then in a line down to the third."""
    fact = next(iter(draft.every(Knots)), None)
    if fact is None or len(fact.points) != 3:
        return None
    words, ((start, _), (top, first), (final, second)) = draft.words(fact), fact.points
    if not start < top > final or first is None or second is None or second.values[0] <= first.values[0]:
        return None
    unit = first.unit or second.unit or "epoch"
    then = Plan("linear").tell(words, "implied", schedule="linear", unit=unit)
    then.tell(words, "implied", duration=whole(second.values[0] - first.values[0]))
    then.tell(words, initial=float(top), final=float(final))
    draft.put(LENGTHS[unit], second.values[0], "implied", words)
    plan = Plan("warmup", then=then).tell(words, schedule="warmup", start=float(start), duration=first.values[0])
    return plan.tell(words, "stated" if first.unit else "implied", unit=unit)
