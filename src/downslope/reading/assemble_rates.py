"""Which of the learning rates in a text is the one that training begins with, and what else every schedule asks for.

Linear scaling and rates per sample are undone here; the rates of other schedules are put by `assemble_schedule.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from downslope.reading.draft import Draft
from downslope.reading.facts import Value
from downslope.reading.numbers import numbers_of
from downslope.reading.reading import Provenance
from downslope.reading.remarks import shown
from downslope.reading.schedule_facts import Course, Warmup

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
    facts = [fact for fact in draft.values("lr") if fact.role != "final" and 0 <= fact.value < _LARGEST]
    for fact in draft.values("lr"):
        if not 0 <= fact.value < _LARGEST:
            draft.remarks.say("out_of_range", path="sgd.lr", value=shown(fact.value))
    scaled = next((fact for fact in facts if fact.per_batch), None)
    plain = [fact for fact in facts if not fact.per_batch]
    if scaled is not None and scaled.per_batch is not None:
        found = _scaled(draft, scaled, *scaled.per_batch, plain)
        if found is not None:
            return found
    linear = _linear_scaling(draft, plain)
    if linear is not None:
        return linear
    warmed = _warmed(draft)
    fact = next((f for f in plain if f.role in {"initial", "peak", "base"}), None) or next(iter(plain), None)
    if warmed is not None and (fact is None or fact.value != warmed.value):
        return warmed
    if fact is None:
        return _first_of_range(draft)
    if fact.product:
        return Rate(float(fact.value), "stated" if is_written(draft, fact) else "implied", draft.words(fact))
    for other in plain:
        if other.value != fact.value:
            draft.remarks.say("another", path="sgd.lr", words=draft.words(other))
    if fact.per == "sample":
        return _per_sample(draft, fact)
    if isinstance(fact.per, int | float):
        return _per_examples(draft, fact, fact.per)
    return Rate(float(fact.value), "stated", draft.words(fact))


def is_written(draft: Draft, fact: Value) -> bool:
    """Whether the value of a product stands in its words: "0.1 x 1024/256 = 0.4"."""
    written = (n.value for n in numbers_of(draft.text.plain) if fact.start <= n.start < fact.end)
    return any(abs(fact.value - value) < 1e-12 for value in written)


def _scaled(draft: Draft, fact: Value, reference: float, end: int, plain: list[Value]) -> Rate | None:
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
    "linear scaling", "scaled linearly", "scale linearly", "scales linearly", "linearly scaled", "linearly with",
    "scale the learning rate linearly", "线性缩放", "线性放大", "线性扩大",
)  # fmt: skip


def _linear_scaling(draft: Draft, plain: list[Value]) -> Rate | None:
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


def _per_sample(draft: Draft, fact: Value) -> Rate | None:
    batch = draft.value("data.batch_size")
    chinese = draft.remarks.language == "zh"
    if batch is None:
        draft.remarks.say("per_sample", known="（未给出）" if chinese else ", which is not stated")
        return None
    product = float(f"{float(fact.value) * batch:.12g}")
    draft.remarks.say("per_sample", known=f"：{shown(product)}" if chinese else f": {shown(product)}")
    return Rate(product, "implied", draft.words(fact))


def _per_examples(draft: Draft, fact: Value, examples: float) -> Rate | None:
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


# What every schedule asks for


def put_initial(draft: Draft, root: str, rate: Rate | None, name: str = "initial") -> None:
    """Put the learning rate that a schedule begins with, if it is known."""
    if rate is not None:
        draft.put(f"{root}.{name}", rate.value, rate.provenance, rate.words)


def final_of(draft: Draft) -> Value | None:
    """Return the value that the learning rate is said to end at."""
    finals = [fact for fact in draft.values("lr") if fact.role == "final"]
    return next(iter([*finals, *draft.values("final")]), None)


def total_of(draft: Draft) -> tuple[float, str, str] | None:
    """Return the length of training, its unit and its words; None if it is not known."""
    for path, unit in (("train.epochs", "epoch"), ("train.steps", "step")):
        if path in draft.fields:
            return draft.fields[path].value, unit, draft.fields[path].words
    return None
