"""Which of the learning rates in a text is the one that training begins with, and what else every schedule asks for.

Linear scaling and rates per sample are undone here; the rates of other schedules are put by `assemble_schedule.py`.
"""

from __future__ import annotations

import re

from downslope.reading.draft import Draft
from downslope.reading.facts import Value
from downslope.reading.numbers import numbers_of
from downslope.reading.order import tidy
from downslope.reading.plan import told
from downslope.reading.reading import Field
from downslope.reading.remarks import shown
from downslope.reading.schedule_facts import Course, Warmup

_LARGEST = 1e4


def find_rate(draft: Draft) -> Field | None:
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
    formula = _FORMULA.search(draft.text.plain) if plain and draft.value("data.batch_size") else None
    if formula is not None:  # "lr x BatchSize / 256, with a base lr = 0.05"
        return _scaled(draft, plain[0], float(formula[1]), plain[0].end, plain[1:])
    linear = _linear_scaling(draft, plain)
    if linear is not None:
        return linear
    warmed = _warmed(draft)
    fact = next((f for f in plain if f.role in {"initial", "peak"}), None) or next(iter(plain), None)
    if (risen := warmed_from(draft)) is not None:
        fact = risen[1]
    if warmed is not None and (fact is None or fact.value != warmed.value):
        return warmed
    if fact is None:
        return _first_of_range(draft)
    if fact.product:
        return told(float(fact.value), draft.words(fact), "stated" if is_written(draft, fact) else "implied")
    for other in plain:
        if other.value != fact.value:
            draft.remarks.say("another", path="sgd.lr", words=draft.words(other))
    if fact.per == "sample":
        return _per_sample(draft, fact)
    if isinstance(fact.per, int | float):
        return _per_examples(draft, fact, fact.per)
    return told(float(fact.value), draft.words(fact))


_FORMULA = re.compile(
    r"(?:\blr|_lr|learning rate|η)\w{0,6}\s?\*\s?\(?\s?(?:(?:total|global|effective) )?"
    r"(?:batch[\s_-]?size|batch|bs)\w{0,6}\s?/\s?([1-9]\d{1,5})(?![\d.])"
)
"""A rate that is scaled with the batch, and by what, without its number."""


def warmed_from(draft: Draft) -> tuple[Value, Value] | None:
    """Return the rates that a warmup starts from and leads to, where both are named: 起始学习率1e-5, 最高学习率1e-3."""
    rates = [fact for fact in draft.values("lr") if fact.role in {"initial", "peak"}]
    starts = [fact for fact in rates if fact.role == "initial"]
    peaks = [fact for fact in rates if fact.role == "peak"]
    if not (draft.every(Warmup) and len(starts) == len(peaks) == 1 and 0 <= starts[0].value < peaks[0].value):
        return None
    return starts[0], peaks[0]


def is_written(draft: Draft, fact: Value) -> bool:
    """Whether the value of a product stands in its words: "0.1 x 1024/256 = 0.4"."""
    written = (n.value for n in numbers_of(draft.text.plain) if fact.start <= n.start < fact.end)
    return any(abs(fact.value - value) < 1e-12 for value in written)


def _scaled(draft: Draft, fact: Value, reference: float, end: int, plain: list[Value]) -> Field | None:
    batch = draft.value("data.batch_size")
    words = draft.text.words(fact.start, end)
    draft.remarks.say("scaled", base=shown(fact.value), reference=shown(reference))
    product = float(fact.value) * batch / reference if batch else None
    for other in plain:
        if other.value not in {fact.value, product} and product is None:
            return told(float(other.value), draft.words(other))
        if product is not None and abs(other.value - product) <= 1e-9 * product:
            return told(float(other.value), draft.words(other))
    if product is not None:
        return told(tidy(product), words, "implied")
    draft.put("data.batch_size", int(reference), "assumed", f"the reference of the linear scaling: {words}")
    return told(float(fact.value), words, "implied")


_LINEAR = (
    "linear scaling", "scaled linearly", "scale linearly", "scales linearly", "linearly scale", "linearly with",
    "scale the learning rate linearly", "线性缩放", "线性放大", "线性扩大",
)  # fmt: skip


def _linear_scaling(draft: Draft, plain: list[Value]) -> Field | None:
    """Return "0.1 for a batch size of 256, scaled linearly" at the batch size that is used, where both are told."""
    batches = sorted((fact for fact in draft.values("batch") if not fact.per_device), key=lambda fact: fact.start)
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
    if len({fact.value for fact in plain}) > 1 or _RATE_OF.match(draft.text.plain, actual.end):
        return None  # 批256时0.1, 批512时0.2: what each would have
    draft.fields.pop("data.batch_size", None)
    draft.state("data.batch_size", int(actual.value), actual)
    for remark in [r for r in draft.remarks if "data.batch_size" in r]:
        draft.remarks.remove(remark)
    draft.remarks.say("scaled", base=shown(rate.value), reference=shown(reference.value))
    product = tidy(float(rate.value) * actual.value / reference.value)
    return told(product, f"{draft.words(rate)}; {draft.words(reference)}; {draft.words(actual)}", "implied")


_RATE_OF = re.compile(
    r"\s?(?:时|则|对应|使用|采用|用|,|的|is|uses?|with){0,3}\s?(?:学习率|lr\b|learning rate)\D{0,4}\d"
)


def _warmed(draft: Draft) -> Field | None:
    """Return the rate that a warmup leads to, where its own words say it."""
    for fact in draft.every(Warmup):
        if fact.course is not None:
            return told(float(fact.course.last), draft.words(fact.course))
        if fact.peak is not None:
            words = draft.text.words(min(fact.peak.start, fact.start), max(fact.peak.end, fact.start))
            return told(float(fact.peak.value), words)
    return None


def _first_of_range(draft: Draft) -> Field | None:
    for fact in courses(draft):
        if fact.first > fact.last:
            return told(float(fact.first), draft.words(fact))
    return None


def courses(draft: Draft) -> list[Course]:
    """Return the courses of the learning rate."""
    return [fact for fact in draft.every(Course) if fact.key == "lr"]


def _per_sample(draft: Draft, fact: Value) -> Field | None:
    batch = draft.value("data.batch_size")
    chinese = draft.remarks.language == "zh"
    if batch is None:
        draft.remarks.say("per_sample", known="（未给出）" if chinese else ", which is not stated")
        return None
    product = tidy(float(fact.value) * batch)
    draft.remarks.say("per_sample", known=f"：{shown(product)}" if chinese else f": {shown(product)}")
    return told(product, draft.words(fact), "implied")


def _per_examples(draft: Draft, fact: Value, examples: float) -> Field | None:
    """Return airbench's "lr per 1024 examples" for a mean loss: lr * batch / (1024 * (1 + 1 / (1 - momentum)))."""
    if fact.value < 1:  # a rate of the mean loss, which the batch scales
        return _scaled(draft, fact, examples, fact.end, [])
    batch, momentum = draft.value("data.batch_size"), draft.value("sgd.momentum")
    if not batch or not examples or momentum is None or momentum >= 1:
        draft.remarks.say(
            "per_sample", known="（未给出）" if draft.remarks.language == "zh" else ", which is not stated"
        )
        return None
    lr = tidy(float(fact.value) * batch / (examples * (1 + 1 / (1 - momentum))))
    decay = draft.fields.get("sgd.weight_decay")
    converted = tidy(decay.value / fact.value) if decay is not None and fact.value else None
    if decay is not None and converted is not None:
        draft.fields.pop("sgd.weight_decay")
        draft.put("sgd.weight_decay", converted, "implied", f"{decay.words}; {draft.words(fact)}")
    draft.remarks.say(
        "kilostep", value=shown(fact.value), examples=shown(examples), lr=shown(lr), weight_decay=shown(converted or 0)
    )
    return told(lr, draft.words(fact), "implied")


def final_of(draft: Draft) -> Value | None:
    """Return the value that the learning rate is said to end at."""
    finals = [fact for fact in draft.values("lr") if fact.role == "final"]
    return next(iter([*finals, *draft.values("final")]), None)
