"""What changes at once add up to: an exponential, a multistep schedule or a sequence; what levels and knots do."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from downslope.reading.assemble_rates import Rate, final_of, put_initial, total_of
from downslope.reading.draft import Draft, whole
from downslope.reading.reading import Provenance
from downslope.reading.remarks import shown
from downslope.reading.schedule_facts import Change, Knots, Levels
from downslope.reading.times import Time

USUAL_FACTOR = 0.1
"""What step schedules multiply by where nothing is said: He et al. 2016 divide by 10, as does torch's MultiStepLR."""


def put_steps(draft: Draft, root: str, rate: Rate | None, changes: list[Change], shape: str) -> bool:
    """Put an exponential or multistep schedule (or a sequence) from changes with times."""
    if any(change.value is not None or change.targets for change in changes):
        changes = [c for c in changes if c.value is not None or c.targets or not c.every]
    periodic = next((change for change in changes if change.every), None)
    if periodic is not None:
        begun = next((t for c in changes for t in c.at if t.prep in {"after", "at"} and len(t.values) == 1), None)
        _periodic(draft, root, rate, periodic, begun, shape)
        return True
    _milestones(draft, root, rate, _of_one_run(draft, changes))
    return True


def _of_one_run(draft: Draft, changes: list[Change]) -> list[Change]:
    """Return the changes that belong to the first training told of: later ones go on in time, without a new start."""
    run = changes[:1]
    for change in changes[1:]:
        if change.bare and all(time in run[-1].at for time in change.at):
            continue  # said already, with its values
        before, after = run[-1].at[-1:], change.at[:1]
        begun = any(run[-1].end <= fact.start < change.start for fact in draft.values("lr"))
        goes_on = (
            before
            and after
            and before[0].percent == after[0].percent
            and before[0].unit == after[0].unit
            and after[0].values[0] > before[0].values[-1]
        )
        if begun or not goes_on:
            draft.remarks.say("another", path="sgd.lr.milestones", words=draft.words(change))
            break
        run.append(change)
    return run


def _periodic(draft: Draft, root: str, rate: Rate | None, change: Change, begun: Time | None, shape: str) -> None:
    every = change.every
    assert every is not None  # noqa: S101 - the caller has looked
    words, told = draft.words(change), change if change.value is not None else None
    told = told or next((gamma for gamma in draft.values("lr_decay", "gamma") if gamma.value > 0), None)
    factor = None if told is None else float(told.value)
    if begun is not None and begun.unit == every.unit:
        _after_some_time(draft, root, rate, change, begun)
        return
    draft.put(f"{root}.schedule", "exponential", "stated", words)
    put_initial(draft, root, rate)
    if told is None:
        draft.remarks.say("no_factor")
    else:
        draft.put(f"{root}.rate", factor, "stated", draft.words(told))
    batch = draft.value("data.batch_size")
    if every.unit == "example" and batch is None:
        draft.remarks.say("period_in_examples", examples=shown(every.values[0]))
    elif every.unit == "example":
        draft.put(f"{root}.every", whole(every.values[0] / batch), "implied", words)
        draft.put(f"{root}.unit", "step", "implied", words)
    else:
        draft.put(f"{root}.every", every.values[0], "stated", words)
        draft.put(f"{root}.unit", every.unit or "epoch", "stated" if every.unit else "assumed", words)
    if shape == "exponential":
        draft.put(f"{root}.staircase", True, "assumed", "whether in steps or smooth is not said")
        draft.remarks.say("staircase")
    else:
        draft.put(f"{root}.staircase", True, "implied", f"it drops at once: {words}")
    if change.targets and factor is not None:
        draft.put(f"{root}.end", float(change.targets[-1]), "stated", words)
    elif (floor := final_of(draft)) is not None:
        draft.put(f"{root}.end", float(floor.value), "stated", draft.words(floor))


def _after_some_time(draft: Draft, root: str, rate: Rate | None, change: Change, begun: Time) -> None:
    """Put "after 5 epochs, halved every half epoch": milestones up to the end, or where that is unknown a sequence."""
    every = change.every
    assert every is not None  # noqa: S101 - the caller has looked
    words, start, step = draft.words(change), begun.values[0], every.values[0]
    total = draft.value("train.epochs" if every.unit == "epoch" else "train.steps")
    if total is None and rate is not None and change.value:
        decay = {"schedule": "exponential", "initial": rate.value, "rate": change.value, "every": step}
        draft.put(f"{root}.schedule", "sequence", "stated", words)
        draft.put(f"{root}.schedules", [rate.value, {**decay, "unit": every.unit, "staircase": True}], "implied", words)
        draft.put(f"{root}.boundaries", [whole(start)], "stated", words)
        draft.put(f"{root}.unit", every.unit, "stated", words)
        return
    draft.put(f"{root}.schedule", "multistep", "stated", words)
    put_initial(draft, root, rate)
    if change.value is not None:
        draft.put(f"{root}.factor", change.value, "stated", words)
    else:
        draft.remarks.say("no_factor")
    draft.put(f"{root}.unit", every.unit, "stated", words)
    if total is None or not 0 < (total - start) / step <= 1000:
        draft.remarks.say("no_milestones")
        return
    count = math.ceil((total - start) / step - 1e-9)
    milestones = [whole(round(start + index * step, 9)) for index in range(count)]
    draft.put(f"{root}.milestones", milestones, "implied", f"{words}, until the end of training")


def _milestones(draft: Draft, root: str, rate: Rate | None, changes: list[Change]) -> None:
    words = draft.words(*changes)
    factors = {change.value for change in changes if change.value is not None}
    times = [time for change in changes for time in change.at]
    targets = [target for change in changes for target in change.targets]
    draft.put(f"{root}.schedule", "multistep", "stated", words)
    put_initial(draft, root, rate)
    if len(factors) == 1:
        draft.put(f"{root}.factor", factors.pop(), "stated", words)
    elif len(factors) > 1 and rate is not None:
        values = [rate.value]
        for change in changes:
            for time in change.at:
                values += [float(f"{values[-1] * (change.value or 1):.12g}") for _ in time.values]
        _put_sequence(draft, root, values, times, words)
        return
    elif len(targets) == 1 and rate is not None and 0 < targets[0] < rate.value:
        draft.put(f"{root}.factor", float(f"{targets[0] / rate.value:.12g}"), "implied", words)
    else:
        _factor_from_elsewhere(draft, root, changes, targets)
    _put_milestones(draft, root, times, words)


def _factor_from_elsewhere(draft: Draft, root: str, changes: list[Change], targets: list[float]) -> None:
    """Put the factor that other words state; where none do, a tenth is assumed of a fall, and the remark says so."""
    gammas = [gamma for gamma in draft.values("lr_decay", "gamma") if gamma.value > 0]
    rates = {fact.value for fact in draft.values("lr") if fact.role != "final"}
    falls = any(c.key in {"reduce", "divide"} and not c.listed for c in changes)
    if len({gamma.value for gamma in gammas}) == 1:
        draft.put(f"{root}.factor", float(gammas[0].value), "stated", draft.words(gammas[0]))
    elif falls and not (gammas or targets or len(rates) > 1 or any(c.disputed for c in changes)):
        draft.put(f"{root}.factor", USUAL_FACTOR, "assumed", "not stated; a tenth is usual")
        draft.remarks.say("usual_factor", factor=USUAL_FACTOR)
    else:
        draft.remarks.say("no_factor")


def _resolve(draft: Draft, times: list[Time]) -> tuple[list[Any], str, Provenance, Provenance] | None:
    """Return milestones, their unit, and the provenance of both; None if they are parts of an unknown whole."""
    total = total_of(draft)
    if any(time.percent for time in times):
        if total is None:
            return None
        values = sorted({whole(round(value * total[0], 6)) for time in times for value in time.values})
        return values, total[1], "implied", "implied"
    values = sorted({whole(value) for time in times for value in time.values})
    unit = next((time.unit for time in times if time.unit), "")
    if unit:
        return values, unit, "stated", "stated"
    if total is not None and values[-1] <= total[0]:
        return values, total[1], "stated", "implied"
    return values, "step" if values[-1] >= 2000 else "epoch", "stated", "assumed"


def _ratio(values: list[float]) -> float | None:
    """Return the factor between neighbours, if it is the same everywhere."""
    if any(value <= 0 for value in values) or len(values) < 2:
        return None
    ratios = [float(f"{b / a:.9g}") for a, b in pairwise(values)]
    return ratios[0] if max(ratios) - min(ratios) <= 1e-9 else None


def _put_sequence(draft: Draft, root: str, values: list[float], times: list[Time], words: str) -> None:
    resolved = _resolve(draft, times)
    draft.fields.pop(f"{root}.initial", None)
    draft.fields.pop(f"{root}.schedule", None)
    draft.put(f"{root}.schedule", "sequence", "stated", words)
    draft.put(f"{root}.schedules", values, "implied", words)
    if resolved is None or len(resolved[0]) + 1 != len(values):
        draft.remarks.say("no_milestones")
        return
    draft.put(f"{root}.boundaries", resolved[0], resolved[2], words)
    draft.put(f"{root}.unit", resolved[1], resolved[3], words)


def put_levels(draft: Draft, root: str, rate: Rate | None) -> bool:
    """Put "0.001 for 60k steps, then 0.0001 for the next 20k" and its like; False if there are no such levels."""
    found = draft.every(Levels)
    if not found:
        return False
    levels = max(found, key=lambda fact: len(fact.rates))
    words = draft.words(levels)
    rates = levels.rates if levels.begins or rate is None else [rate.value, *levels.rates]
    path = "train.epochs" if levels.unit == "epoch" else "train.steps"
    if levels.total is not None and levels.unit and not {"train.epochs", "train.steps"} & set(draft.fields):
        draft.put(path, whole(levels.total), "implied", words)
    ratio = _ratio(rates) if levels.begins or rate is not None or len(rates) > 1 else None
    times = [Time("at", tuple(levels.changes), levels.unit, levels.percent)]
    if ratio is None and not levels.changes:
        draft.remarks.say("constant_lr")
        return False
    if ratio is None and (levels.begins or rate is not None):
        _put_sequence(draft, root, rates, times, words)
        return True
    draft.put(f"{root}.schedule", "multistep", "stated", words)
    if ratio is None:
        draft.remarks.say("no_factor")
    else:
        put_initial(draft, root, rate)
        draft.put(f"{root}.factor", ratio, "implied", words)
    if levels.changes:
        _put_milestones(draft, root, times, words)
    else:
        draft.remarks.say("no_milestones")
    return True


def _put_milestones(draft: Draft, root: str, times: list[Time], words: str) -> None:
    resolved = _resolve(draft, times)
    if resolved is None:
        draft.remarks.say("no_total")
        return
    draft.put(f"{root}.milestones", resolved[0], resolved[2], words)
    draft.put(f"{root}.unit", resolved[1], resolved[3], words)


def put_knots(draft: Draft, fact: Knots) -> bool:
    """Put lr from knots: up from the first to the second, then in a line down to the third."""
    knots = fact.points
    if len(knots) != 3 or not (knots[0][0] < knots[1][0] > knots[2][0]):
        return False
    words = draft.words(fact)
    first, second = knots[1][1], knots[2][1]
    if first is None or second is None or second.values[0] <= first.values[0]:
        return False
    unit = first.unit or second.unit or "epoch"
    draft.put("sgd.lr.schedule", "warmup", "stated", words)
    draft.put("sgd.lr.start", float(knots[0][0]), "stated", words)
    draft.put("sgd.lr.duration", first.values[0], "stated", words)
    draft.put("sgd.lr.unit", unit, "stated" if first.unit else "implied", words)
    draft.put("sgd.lr.then.schedule", "linear", "implied", words)
    draft.put("sgd.lr.then.initial", float(knots[1][0]), "stated", words)
    draft.put("sgd.lr.then.final", float(knots[2][0]), "stated", words)
    draft.put("sgd.lr.then.duration", whole(second.values[0] - first.values[0]), "implied", words)
    draft.put("sgd.lr.then.unit", unit, "implied", words)
    draft.put("train.epochs" if unit == "epoch" else "train.steps", second.values[0], "implied", words)
    return True
