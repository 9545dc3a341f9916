"""Several readings where the words have several meanings: a weight decay "factor" near 1 is the case that founded this.

What lives here: the alternatives, their order and their reasons. What does not: the first reading's facts.
"""

from __future__ import annotations

from dataclasses import replace

from downslope.recipes.reading.draft import Draft
from downslope.recipes.reading.reading import Field, Reading
from downslope.recipes.reading.remarks import SENTENCES, shown

_KEPT = 0.5
"""A weight decay from here on cannot be a strength: it must be something that is kept, or swapped."""


def find_alternatives(draft: Draft, unread: list[str]) -> list[Reading]:
    """Return the readings of a draft, the most plausible first."""
    first = Reading(draft.optimizer, dict(draft.fields), list(draft.remarks), unread)
    decay = draft.fields.get("sgd.weight_decay")
    if draft.optimizer == "sgd" and decay is not None and decay.provenance == "stated" and _KEPT <= decay.value < 1:
        return _near_one(draft, first, decay)
    _timescale(draft, first)
    return [first]


def _say(draft: Draft, what: str, **values: object) -> str:
    return SENTENCES[what][draft.remarks.language == "zh"].format(**values)


def _near_one(draft: Draft, first: Reading, decay: Field) -> list[Reading]:
    value = float(decay.value)
    lost = float(f"{1 - value:.12g}")
    literal = _literal(draft, value)
    kept_reason = _say(draft, "wd_kept", value=shown(value), lost=shown(lost), steps=literal)
    kept = _with(
        first,
        kept_reason,
        {
            "sgd.weight_decay": Field(lost, "implied", decay.words),
            "sgd.decay": Field("independent", "implied", "a fraction of the weights kept per step does not depend on lr"),
        },
    )
    doubled = float(f"{2 * lost:.12g}")
    keras_fields = {
        "sgd.weight_decay": Field(doubled, "implied", decay.words),
        "sgd.decay": Field("coupled", "implied", "an L2 penalty enters the gradient"),
    }
    if "sgd.momentum" not in first.fields:
        keras_fields["sgd.momentum"] = Field(0.9, "assumed", "the usual value, and the page's own")
    keras = _with(first, _say(draft, "wd_keras", value=shown(value), lost=shown(lost), doubled=shown(doubled)), keras_fields)
    readings = [kept, keras, _with(first, _say(draft, "wd_literal", value=shown(value), steps=literal), {})]
    swapped = _swapped(draft, first, decay)
    if swapped is not None:
        readings.append(swapped)
    return readings


def _literal(draft: Draft, value: float) -> str:
    """Return over how many steps a coupled decay forgets: (1 - momentum) / (lr * weight_decay)."""
    lr = next((draft.value(p) for p in ("sgd.lr", "sgd.lr.initial", "sgd.lr.then.initial", "sgd.lr.then") if draft.value(p)), None)
    momentum = draft.value("sgd.momentum")
    chinese = draft.remarks.language == "zh"
    if not isinstance(lr, int | float):
        return "几步" if chinese else "a few steps"
    steps = max(1, round((1 - (momentum or 0)) / (lr * value)))
    fast = max(1, round(0.1 / (lr * value)))
    if momentum is not None:
        return f"{steps} 步" if chinese else _steps(steps)
    return f"{steps} 步（动量 0.9 时 {fast} 步）" if chinese else f"{_steps(steps)} ({_steps(fast)} with momentum 0.9)"


def _steps(count: int) -> str:
    return "one step" if count == 1 else f"{count} steps"


def _swapped(draft: Draft, first: Reading, decay: Field) -> Reading | None:
    rate = first.fields.get("sgd.lr.rate")
    if rate is None or rate.provenance != "stated" or not 0 < rate.value < 1 or "sgd.lr.every" not in first.fields:
        return None
    why = "such a rate is usually per epoch"
    changes = {
        "sgd.lr.rate": Field(decay.value, "implied", decay.words),
        "sgd.weight_decay": Field(rate.value, "implied", rate.words),
    }
    if first.fields["sgd.lr.every"].provenance == "assumed":
        changes |= {
            "sgd.lr.every": Field(1, "assumed", why),
            "sgd.lr.unit": Field("epoch", "assumed", why),
            "sgd.lr.staircase": Field(True, "assumed", why),
        }
    return _with(first, _say(draft, "wd_swapped", value=shown(rate.value), rate=shown(decay.value)), changes)


def _with(first: Reading, reason: str, changes: dict[str, Field]) -> Reading:
    return replace(
        first,
        fields={**first.fields, **changes},
        remarks=[reason, *first.remarks],
        unread=list(first.unread),
        reason=reason,
    )


def _timescale(draft: Draft, reading: Reading) -> None:
    """Remark on a weight decay that forgets within a few steps, whatever the size of the data."""
    lr = next((draft.value(p) for p in ("sgd.lr", "sgd.lr.initial", "sgd.lr.then.initial", "sgd.lr.then") if draft.value(p)), None)
    decay, momentum = draft.value("sgd.weight_decay"), draft.value("sgd.momentum") or 0.0
    if draft.optimizer != "sgd" or not isinstance(lr, int | float) or not decay:
        return
    steps = (1 - momentum) / (lr * decay)
    if steps < 100:
        chinese = draft.remarks.language == "zh"
        told = f"{max(1, round(steps))} 步" if chinese else _steps(max(1, round(steps)))
        reading.remarks.append(_say(draft, "wd_literal", value=shown(decay), steps=told))
