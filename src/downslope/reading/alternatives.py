"""Several readings where the words have several meanings, such as a weight decay "factor" near 1, and the reasons."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

from downslope.core.errors import SettingsError
from downslope.core.settings import Settings
from downslope.reading.draft import Draft
from downslope.reading.order import RATES
from downslope.reading.reading import Field, Reading
from downslope.reading.remarks import SENTENCES, explain, shown
from downslope.theory.forgetting import memory

_KEPT = 0.5
"""A weight decay from here on cannot be a strength: it must be something that is kept, or swapped."""


def find_alternatives(draft: Draft, unread: list[str]) -> list[Reading]:
    """Return the readings of a draft, the most plausible first."""
    first = Reading(
        draft.optimizer,
        dict(draft.fields),
        list(draft.remarks),
        unread,
        named=draft.named,
        language=draft.remarks.language,
    )
    decay = draft.fields.get("sgd.weight_decay")
    if draft.optimizer == "sgd" and decay is not None and decay.provenance == "stated" and _KEPT <= decay.value < 1:
        return [_told(reading, draft.remarks.language) for reading in _near_one(draft, first, decay)]
    _timescale(draft, first)
    return [_told(first, draft.remarks.language)]


def _told(reading: Reading, language: str) -> Reading:
    """Return the reading with its reasons in the language of its remarks."""
    fields = {
        path: found if found.provenance == "stated" else replace(found, words=explain(found.words, language))
        for path, found in reading.fields.items()
    }
    return replace(reading, fields=fields)


def _say(draft: Draft, what: str, **values: object) -> str:
    return SENTENCES[what][draft.remarks.language == "zh"].format(**values)


def _near_one(draft: Draft, first: Reading, decay: Field) -> list[Reading]:
    value = float(decay.value)
    lost = float(f"{1 - value:.12g}")
    literal = _literal(draft, value)
    kept_reason = _say(draft, "wd_kept", value=shown(value), lost=shown(lost), fate=literal)
    kept = _with(
        first,
        kept_reason,
        {
            "sgd.weight_decay": replace(decay, value=lost, provenance="implied", marks=()),
            "sgd.decay": Field(
                "independent", "implied", "a fraction of the weights kept per step does not depend on lr"
            ),
        },
    )
    doubled = float(f"{2 * lost:.12g}")
    keras_fields = {
        "sgd.weight_decay": replace(decay, value=doubled, provenance="implied", marks=()),
        "sgd.decay": Field("coupled", "implied", "an L2 penalty enters the gradient"),
    }
    if "sgd.momentum" not in first.fields:
        keras_fields["sgd.momentum"] = Field(0.9, "assumed", "the usual value")
    keras = _with(
        first, _say(draft, "wd_keras", value=shown(value), lost=shown(lost), doubled=shown(doubled)), keras_fields
    )
    if "sgd.momentum" not in first.fields:
        for missing in ("no_momentum", "momentum_unknown"):
            _say_instead(keras, _say(draft, missing), _say(draft, "momentum_assumed", momentum=0.9))
    as_written = _with(first, _say(draft, "wd_literal", value=shown(value), fate=literal), {})
    # an argument means what its name says, however implausible; words may mean something else
    kept_first = _FACTOR.search(decay.words) is not None and not _is_argument(decay.words)
    readings = [kept, keras, as_written] if kept_first else [as_written, kept, keras]
    swapped = _swapped(draft, first, decay)
    if swapped is not None:
        readings.append(swapped)
    return readings


_FACTOR = re.compile(r"factor|rate|kept|keep|retain|因子|率|保留", re.IGNORECASE)
"""Words for something that is multiplied by, and not for a strength."""


def _is_argument(words: str) -> bool:
    """Whether a value was given as an argument: ``weight_decay: 0.98``, ``--wd 0.98``, or the bare number of a call."""
    pattern = r"--?[A-Za-z]|[A-Za-z_][\w.]*\s*[:=]|[-+.\deE]+$"
    return re.match(pattern, words.strip("\"'")) is not None


def _literal(draft: Draft, value: float) -> str:
    """Return what a coupled decay of that strength does to weights, by the rule itself."""
    lr, momentum = _first_lr(draft), draft.value("sgd.momentum")
    chinese = draft.remarks.language == "zh"
    if lr is None:
        return "几步内权重就被遗忘" if chinese else "forgets the weights in a few steps"
    told = _fate(draft, value, momentum or 0.0, "coupled")
    if momentum is not None:
        return told
    other = _fate(draft, value, 0.9, "coupled")
    return f"{told}（动量 0.9 时{other}）" if chinese else f"{told} (with momentum 0.9 it {other})"


def _fate(draft: Draft, value: float, momentum: float, way: Any) -> str:
    """Say what becomes of a weight without gradients, at the first lr; empty where the numbers are no settings."""
    try:
        settings = Settings(lr=_first_lr(draft) or 0.0, momentum=momentum, weight_decay=value, decay=way)
    except SettingsError:
        return ""
    found = memory(settings.at(0))
    steps = max(1, math.ceil(found.steps) if math.isfinite(found.steps) else 0)
    if draft.remarks.language == "zh":
        through = "，其间穿过 0 来回摆动" if found.crosses is not None else ""
        return "权重会无限增长或不停跳动" if math.isinf(found.steps) else f"{steps} 步内权重就被遗忘{through}"
    if math.isinf(found.steps):
        return "makes the weights grow or jump from side to side for ever"
    through = ", which swing through 0" if found.crosses is not None else ""
    return f"forgets the weights in {'one step' if steps == 1 else f'{steps} steps'}{through}"


def _swapped(draft: Draft, first: Reading, decay: Field) -> Reading | None:
    rate = first.fields.get("sgd.lr.rate")
    if rate is None or rate.provenance != "stated" or not 0 < rate.value < 1 or "sgd.lr.every" not in first.fields:
        return None
    why = "such a rate is usually per epoch"
    changes = {
        "sgd.lr.rate": replace(decay, provenance="implied", marks=()),
        "sgd.weight_decay": replace(rate, provenance="implied", marks=()),
    }
    if first.fields["sgd.lr.every"].provenance == "assumed":
        changes |= {
            "sgd.lr.every": Field(1, "assumed", why),
            "sgd.lr.unit": Field("epoch", "assumed", why),
            "sgd.lr.staircase": Field(True, "assumed", why),
        }
    swapped = _with(first, _say(draft, "wd_swapped", value=shown(rate.value), rate=shown(decay.value)), changes)
    for unit in ("1000 steps", "1000 步"):
        new = "一轮" if draft.remarks.language == "zh" else "one epoch"
        _say_instead(swapped, _say(draft, "no_period", every=unit), _say(draft, "no_period", every=new))
    return swapped


def _say_instead(reading: Reading, old: str, new: str) -> None:
    """Replace a remark that does not hold of this reading, where it was made."""
    reading.remarks[:] = [new if remark == old else remark for remark in reading.remarks]


def _with(first: Reading, reason: str, changes: dict[str, Field]) -> Reading:
    return replace(
        first,
        fields={**first.fields, **changes},
        remarks=[reason, *first.remarks],
        unread=list(first.unread),
        reason=reason,
        named="implied" if first.named == "assumed" and "sgd.momentum" in changes else first.named,
    )


_DATA = (
    ("cifar", "CIFAR", 50_000),
    ("imagenet", "ImageNet", 1_281_167),
    ("ilsvrc", "ImageNet", 1_281_167),
    ("mnist", "MNIST", 60_000),
)
"""Data sets whose number of training examples is known: how the text names them, their name, examples."""


def _timescale(draft: Draft, reading: Reading) -> None:
    """Remark on a weight decay that forgets too fast or too slowly: in steps, or in epochs where the data are named."""
    lr = _first_lr(draft)
    decay, momentum = draft.value("sgd.weight_decay"), draft.value("sgd.momentum") or 0.0
    if draft.optimizer != "sgd" or lr is None or not decay or draft.value("sgd.schedule_free"):
        return
    if draft.value("sgd.trust_coefficient") is not None or momentum >= 1:
        return  # each tensor forgets at a rate of its own; or no velocity ever forgets
    way = draft.value("sgd.decay")
    dampening, nu = draft.value("sgd.dampening") or 0.0, draft.value("sgd.nu")
    gain = (1 - dampening) / (1 - momentum)  # of a constant gradient, in the long run
    gain = gain if nu is None else 1 - nu + nu * gain
    shrinks = decay if way == "independent" else lr * decay
    if not shrinks:  # the product of two tiny numbers
        return
    steps = (1 / gain if way == "coupled" and gain else 1) / shrinks
    if steps < 100 and not dampening and nu is None:
        if fate := _fate(draft, decay, momentum, way or "coupled"):
            reading.remarks.append(_say(draft, "wd_literal", value=shown(decay), fate=fate))
            field = reading.fields["sgd.weight_decay"]
            reading.fields["sgd.weight_decay"] = replace(field, marks=tuple({*field.marks, "large_weight_decay"}))
        return
    batch = draft.value("data.batch_size")
    for mark, name, examples in _DATA:
        if batch and mark in draft.text.plain:
            epochs = steps * batch / examples
            if not 0.8 <= epochs <= 16:
                values = {
                    "data": name,
                    "examples": f"{examples:,}",
                    "batch": batch,
                    "epochs": shown(float(f"{epochs:.3g}")),
                }
                reading.remarks.append(_say(draft, "timescale", **values))
            return


def _first_lr(draft: Draft) -> float | None:
    return next((value for path in RATES if isinstance(value := draft.value(path), int | float) and value > 0), None)
