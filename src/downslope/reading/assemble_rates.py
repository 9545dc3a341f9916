"""Which of the learning rates in a text is the one that training begins with, and what step schedules make of it.

Linear scaling and rates per sample are undone here; the rates of other schedules are put by `assemble_schedule.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from downslope.reading.draft import Draft
from downslope.reading.facts import Fact
from downslope.reading.numbers import number_at
from downslope.reading.reading import Provenance
from downslope.reading.remarks import shown
from downslope.reading.schedule_facts import Change, Course, Knots, Levels, Warmup
from downslope.reading.times import Time

_LARGEST = 1e4


@dataclass(frozen=True)
class Rate:
    """A learning rate.

    Attributes:
        value: In torch's convention: for a mean loss.
        provenance: Where it comes from.
        words: The words.
    """

    value: float
    provenance: Provenance
    words: str


def find_rate(draft: Draft) -> Rate | None:
    """Return the initial (or peak) learning rate, or None where none is stated."""
    facts = [fact for fact in draft.values("lr") if fact.extra.get("role") != "final" and 0 <= fact.value < _LARGEST]
    for fact in draft.values("lr"):
        if not 0 <= fact.value < _LARGEST:
            draft.remarks.say("out_of_range", path="sgd.lr", value=shown(fact.value))
    scaled = next((fact for fact in facts if fact.extra.get("per_batch")), None)
    plain = [fact for fact in facts if not fact.extra.get("per_batch")]
    if scaled is not None:
        found = _scaled(draft, scaled, plain)
        if found is not None:
            return found
    linear = _linear_scaling(draft, plain)
    if linear is not None:
        return linear
    warmed = _warmed(draft)
    fact = next((f for f in plain if f.extra.get("role") in {"initial", "peak", "base"}), None) or next(
        iter(plain), None
    )
    if warmed is not None and (fact is None or fact.value != warmed.value):
        return warmed
    if fact is None:
        return _first_of_range(draft)
    if fact.extra.get("product"):
        written = any(abs(fact.value - other) < 1e-12 for other in _written(draft, fact))
        return Rate(float(fact.value), "stated" if written else "implied", draft.words(fact))
    for other in plain:
        if other.value != fact.value:
            draft.remarks.say("another", path="sgd.lr", words=draft.words(other))
    per = fact.extra.get("per")
    if per == "sample":
        return _per_sample(draft, fact)
    if isinstance(per, int | float):
        return _per_examples(draft, fact, per)
    return Rate(float(fact.value), "stated", draft.words(fact))


def _written(draft: Draft, fact: Fact) -> list[float]:
    """Return the numbers that stand in a fact's words."""
    found: list[float] = []
    place = fact.start
    while place < fact.end:
        number = number_at(draft.text.plain, place) if draft.text.plain[place].isdigit() else None
        if number is not None:
            found.append(number.value)
            place = number.end
        else:
            place += 1
    return found


def _scaled(draft: Draft, fact: Fact, plain: list[Fact]) -> Rate | None:
    reference, _, end = fact.extra["per_batch"]
    batch = draft.value("data.batch_size")
    words = draft.text.words(fact.start, end)
    draft.remarks.say("scaled", base=shown(fact.value), reference=shown(reference))
    product = float(fact.value) * batch / reference if batch else None
    for other in plain:
        if other.value not in {fact.value, product} and product is None:
            return Rate(float(other.value), "stated", draft.words(other))
        if product is not None and abs(other.value - product) <= 1e-9 * product:
            return Rate(float(other.value), "stated", draft.words(other))
    if product is not None:
        return Rate(float(f"{product:.12g}"), "implied", words)
    draft.put("data.batch_size", int(reference), "assumed", f"the reference of the linear scaling: {words}")
    return Rate(float(fact.value), "implied", words)


_LINEAR = (
    "linear scaling",
    "scaled linearly",
    "scale linearly",
    "scales linearly",
    "linearly scaled",
    "linearly with",
    "scale the learning rate linearly",
    "线性缩放",
    "线性放大",
    "线性扩大",
)


def _linear_scaling(draft: Draft, plain: list[Fact]) -> Rate | None:
    """Return "0.1 for a batch size of 256, scaled linearly" at the batch size that is used, where both are told."""
    batches = sorted(draft.values("batch"), key=lambda fact: fact.start)
    if (
        len({fact.value for fact in batches}) != 2
        or not plain
        or not any(words in draft.text.plain for words in _LINEAR)
    ):
        return None
    rate = plain[0]
    reference = min(batches, key=lambda fact: abs(fact.start - rate.end))
    actual = next(fact for fact in batches if fact.value != reference.value)
    if abs(reference.start - rate.end) > 40 or not reference.value:
        return None
    draft.fields.pop("data.batch_size", None)
    draft.state("data.batch_size", int(actual.value), actual)
    for remark in [r for r in draft.remarks if "data.batch_size" in r]:
        draft.remarks.remove(remark)
    draft.remarks.say("scaled", base=shown(rate.value), reference=shown(reference.value))
    product = float(f"{float(rate.value) * actual.value / reference.value:.12g}")
    return Rate(product, "implied", f"{draft.words(rate)}; {draft.words(reference)}; {draft.words(actual)}")


def _warmed(draft: Draft) -> Rate | None:
    """Return the rate that a warmup leads to, where its own words say it."""
    for fact in draft.every(Warmup):
        if fact.course is not None:
            return Rate(float(fact.course.last), "stated", draft.words(fact.course))
        if fact.peak is not None:
            words = draft.text.words(min(fact.peak.start, fact.start), max(fact.peak.end, fact.start))
            return Rate(float(fact.peak.value), "stated", words)
    return None


def _first_of_range(draft: Draft) -> Rate | None:
    for fact in courses(draft):
        if fact.first > fact.last:
            return Rate(float(fact.first), "stated", draft.words(fact))
    return None


def courses(draft: Draft) -> list[Course]:
    """Return the courses of the learning rate."""
    return [fact for fact in draft.every(Course) if fact.key == "lr"]


def _per_sample(draft: Draft, fact: Fact) -> Rate | None:
    batch = draft.value("data.batch_size")
    chinese = draft.remarks.language == "zh"
    if batch is None:
        draft.remarks.say("per_sample", known="（未给出）" if chinese else ", which is not stated")
        return None
    product = float(f"{float(fact.value) * batch:.12g}")
    draft.remarks.say("per_sample", known=f"：{shown(product)}" if chinese else f": {shown(product)}")
    return Rate(product, "implied", draft.words(fact))


def _per_examples(draft: Draft, fact: Fact, examples: float) -> Rate | None:
    """Return airbench's "lr per 1024 examples" for a mean loss: lr * batch / (1024 * (1 + 1 / (1 - momentum)))."""
    batch, momentum = draft.value("data.batch_size"), draft.value("sgd.momentum")
    if not batch or not examples or momentum is None or momentum >= 1:
        draft.remarks.say(
            "per_sample", known="（未给出）" if draft.remarks.language == "zh" else ", which is not stated"
        )
        return None
    lr = float(f"{float(fact.value) * batch / (examples * (1 + 1 / (1 - momentum))):.12g}")
    decay = draft.fields.get("sgd.weight_decay")
    converted = float(f"{decay.value / fact.value:.12g}") if decay is not None and fact.value else None
    if decay is not None and converted is not None:
        draft.fields.pop("sgd.weight_decay")
        draft.put("sgd.weight_decay", converted, "implied", f"{decay.words}; {draft.words(fact)}")
    draft.remarks.say(
        "kilostep", value=shown(fact.value), examples=shown(examples), lr=shown(lr), weight_decay=shown(converted or 0)
    )
    return Rate(lr, "implied", draft.words(fact))


# Schedules of steps

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


def _start(draft: Draft, root: str, rate: Rate | None) -> None:
    if rate is not None:
        draft.put(f"{root}.initial", rate.value, rate.provenance, rate.words)


def _periodic(draft: Draft, root: str, rate: Rate | None, change: Change, begun: Time | None, shape: str) -> None:
    every = change.every
    assert every is not None  # noqa: S101 - the caller has looked
    words = draft.words(change)
    factor, provenance, factor_words = change.value, "stated", words
    if factor is None:
        gamma = next(draft.values("lr_decay", "gamma"), None)
        if gamma is not None and gamma.value > 0:
            factor, factor_words = float(gamma.value), draft.words(gamma)
    if begun is not None and begun.unit == every.unit:
        _after_some_time(draft, root, rate, change, begun)
        return
    draft.put(f"{root}.schedule", "exponential", "stated", words)
    _start(draft, root, rate)
    if factor is None:
        draft.remarks.say("no_factor")
    else:
        draft.put(f"{root}.rate", factor, provenance, factor_words)  # pyright: ignore[reportArgumentType]
    batch = draft.value("data.batch_size")
    if every.unit == "example" and batch is None:
        draft.remarks.say("period_in_examples", examples=shown(every.values[0]))
    elif every.unit == "example":
        draft.put(f"{root}.every", _whole(every.values[0] / batch), "implied", words)
        draft.put(f"{root}.unit", "step", "implied", words)
    else:
        draft.put(f"{root}.every", every.values[0], "stated", words)
        draft.put(f"{root}.unit", every.unit or "epoch", "stated" if every.unit else "assumed", words)
    if shape == "exponential":
        draft.put(f"{root}.staircase", True, "assumed", "whether in steps or smooth is not said")
        draft.remarks.say("staircase")
    else:
        draft.put(f"{root}.staircase", True, "implied", f"it drops at once: {words}")
    floor = next((f for f in draft.values("lr") if f.extra.get("role") == "final"), None) or next(
        draft.values("final"), None
    )
    if change.targets and factor is not None:
        draft.put(f"{root}.end", float(change.targets[-1]), "stated", words)
    elif floor is not None:
        draft.put(f"{root}.end", float(floor.value), "stated", draft.words(floor))


def _after_some_time(draft: Draft, root: str, rate: Rate | None, change: Change, begun: Time) -> None:
    """Put "after 5 epochs, halved every half epoch": milestones up to the end, where that is known."""
    every = change.every
    assert every is not None  # noqa: S101 - the caller has looked
    words = draft.words(change)
    total = draft.value("train.epochs" if every.unit == "epoch" else "train.steps")
    draft.put(f"{root}.schedule", "multistep", "stated", words)
    _start(draft, root, rate)
    if change.value is not None:
        draft.put(f"{root}.factor", change.value, "stated", words)
    else:
        draft.remarks.say("no_factor")
    draft.put(f"{root}.unit", every.unit, "stated", words)
    if every.values[0] <= 0:
        draft.remarks.say("no_milestones")
        return
    if total is None and rate is not None and change.value:
        for name in ("initial", "factor", "schedule", "unit"):
            draft.fields.pop(f"{root}.{name}", None)
        inner = {"schedule": "exponential", "initial": rate.value, "rate": change.value, "every": every.values[0]}
        draft.put(f"{root}.schedule", "sequence", "stated", words)
        draft.put(f"{root}.schedules", [rate.value, {**inner, "unit": every.unit, "staircase": True}], "implied", words)
        draft.put(f"{root}.boundaries", [_whole(begun.values[0])], "stated", words)
        draft.put(f"{root}.unit", every.unit, "stated", words)
        return
    if total is None or (total - begun.values[0]) / every.values[0] > 1000:
        draft.remarks.say("no_milestones")
        return
    milestones: list[Any] = []
    time = begun.values[0]
    while time < total:
        milestones.append(int(time) if float(time).is_integer() else time)
        time = round(time + every.values[0], 9)
    if milestones:
        draft.put(f"{root}.milestones", milestones, "implied", f"{words}, until the end of training")


def _milestones(draft: Draft, root: str, rate: Rate | None, changes: list[Change]) -> None:
    words = draft.words(*changes)
    factors = {change.value for change in changes if change.value is not None}
    times = [time for change in changes for time in change.at]
    targets = [target for change in changes for target in change.targets]
    draft.put(f"{root}.schedule", "multistep", "stated", words)
    _start(draft, root, rate)
    if len(factors) == 1:
        draft.put(f"{root}.factor", factors.pop(), "stated", words)
    elif not factors and targets and rate is not None:
        ratio = _ratio([rate.value, *targets])
        if ratio is not None:
            draft.put(f"{root}.factor", ratio, "implied", words)
        else:
            _put_sequence(draft, root, [rate.value, *targets], times, words)
            return
    elif len(factors) > 1 and rate is not None:
        values = [rate.value]
        for change in changes:
            for time in change.at:
                values += [float(f"{values[-1] * (change.value or 1):.12g}") for _ in time.values]
        _put_sequence(draft, root, values, times, words)
        return
    else:
        _factor_from_elsewhere(draft, root, changes, targets)
    resolved = resolve_times(draft, times)
    if resolved is None:
        draft.remarks.say("no_total")
        return
    values, unit, provenance, unit_provenance = resolved
    draft.put(f"{root}.milestones", values, provenance, words)
    draft.put(f"{root}.unit", unit, unit_provenance, words)


def _factor_from_elsewhere(draft: Draft, root: str, changes: list[Change], targets: list[float]) -> None:
    """Put the factor that other words state; where none do, a tenth is assumed of a fall, and the remark says so."""
    gammas = [gamma for gamma in draft.values("lr_decay", "gamma") if gamma.value > 0]
    rates = {fact.value for fact in draft.values("lr") if fact.extra.get("role") != "final"}
    falls = any(c.key in {"reduce", "divide"} and not c.listed for c in changes)
    if len({gamma.value for gamma in gammas}) == 1:
        draft.put(f"{root}.factor", float(gammas[0].value), "stated", draft.words(gammas[0]))
    elif falls and not (gammas or targets or len(rates) > 1 or any(c.disputed for c in changes)):
        draft.put(f"{root}.factor", USUAL_FACTOR, "assumed", "not stated; a tenth is usual")
        draft.remarks.say("usual_factor", factor=USUAL_FACTOR)
    else:
        draft.remarks.say("no_factor")


def resolve_times(draft: Draft, times: list[Time]) -> tuple[list[Any], str, Provenance, Provenance] | None:
    """Return milestones, their unit, and the provenance of both; None if they are parts of an unknown whole."""
    total = next(
        (
            (draft.fields[p].value, unit)
            for p, unit in (("train.epochs", "epoch"), ("train.steps", "step"))
            if p in draft.fields
        ),
        None,
    )
    if any(time.percent for time in times):
        if total is None:
            return None
        values = sorted({_whole(round(value * total[0], 6)) for time in times for value in time.values})
        return values, total[1], "implied", "implied"
    values = sorted({_whole(value) for time in times for value in time.values})
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
    resolved = resolve_times(draft, times)
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
    levels, words = found[0], draft.words(found[0])
    rates = levels.rates if levels.begins or rate is None else [rate.value, *levels.rates]
    path = "train.epochs" if levels.unit == "epoch" else "train.steps"
    if levels.total is not None and levels.unit and not {"train.epochs", "train.steps"} & set(draft.fields):
        draft.put(path, _whole(levels.total), "implied", words)
    ratio = _ratio(rates) if levels.begins or rate is not None or len(rates) > 1 else None
    if ratio is None and not levels.changes:
        draft.remarks.say("constant_lr")
        return False
    if ratio is None and not (levels.begins or rate is not None):
        draft.put(f"{root}.schedule", "multistep", "stated", words)
        draft.remarks.say("no_factor")
    elif ratio is None:
        _put_sequence(draft, root, rates, [Time("at", tuple(levels.changes), levels.unit, levels.percent)], words)
        return True
    else:
        draft.put(f"{root}.schedule", "multistep", "stated", words)
        _start(draft, root, rate)
        draft.put(f"{root}.factor", ratio, "implied", words)
    if not levels.changes:
        draft.remarks.say("no_milestones")
        return True
    resolved = resolve_times(draft, [Time("at", tuple(levels.changes), levels.unit, levels.percent)])
    if resolved is None:
        draft.remarks.say("no_total")
        return True
    draft.put(f"{root}.milestones", resolved[0], resolved[2], words)
    draft.put(f"{root}.unit", resolved[1], resolved[3], words)
    return True


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
    draft.put("sgd.lr.then.duration", _whole(second.values[0] - first.values[0]), "implied", words)
    draft.put("sgd.lr.then.unit", unit, "implied", words)
    draft.put("train.epochs" if unit == "epoch" else "train.steps", second.values[0], "implied", words)
    return True


def _whole(value: Any) -> Any:
    return int(value) if float(value).is_integer() else value
