"""What a reading is told about itself: what is missing, what cannot be, what to look at, and what famous recipes did.

These remarks need several fields; a remark on one fact is made where the fact is read.
"""

from __future__ import annotations

from downslope.reading.draft import Draft
from downslope.reading.facts import Board
from downslope.reading.order import RATES
from downslope.reading.remarks import shown


def check(draft: Draft, board: Board) -> None:
    """Add remarks on what the fields say together."""
    _batch_norm(draft, board)
    fields = draft.fields
    if not fields and draft.named == "assumed" and not draft.of("optimizer"):
        draft.remarks.say("nothing")
        return
    if draft.optimizer == "sgd":
        if draft.text.plain.find("momentum") >= 0 and "sgd.momentum" not in fields and not draft.of("off", "momentum"):
            draft.remarks.say("momentum_unknown")
        elif "sgd.momentum" not in fields:
            draft.remarks.say("no_momentum")
    if "data.batch_size" not in fields:
        draft.remarks.say("no_batch")
    if "train.epochs" not in fields and "train.steps" not in fields:
        draft.remarks.say("no_length")
    if "sgd.lr.schedule" in fields and any(path.startswith("train.plateau.") for path in fields):
        draft.remarks.say("schedule_and_plateau")
    _milestones(draft)
    _famous(draft)


_LIMITS: dict[str, tuple[float, str]] = {
    **dict.fromkeys(RATES, (10, "large_lr")),
    "sgd.momentum": (0.9999 - 1e-12, "large_momentum"),
    "data.batch_size": (1e6, "large_batch"),
    "train.epochs": (1e5, "long_training"),
    "train.steps": (1e9, "long_training"),
}
"""Fields and what they do not exceed in any training known, with the mark of a value that does."""

_STRONG = 0.1
"""A weight decay of SGD from here on."""


def mark(draft: Draft) -> None:
    """Mark the fields whose values should be looked at before they are used."""
    if draft.named == "assumed" and (draft.of("optimizer") or draft.framework == "caffe"):
        draft.named = "stated" if draft.of("optimizer") else "implied"
    elif draft.named == "assumed" and "sgd.momentum" in draft.fields:
        draft.named = "implied"
    for path, (limit, name) in _LIMITS.items():
        value = draft.value(path)
        if isinstance(value, int | float) and value > limit:
            draft.mark(path, name)
    decay = draft.value("sgd.weight_decay")
    if draft.optimizer == "sgd" and decay is not None and decay >= _STRONG and draft.value("sgd.decay") == "coupled":
        draft.mark("sgd.weight_decay", "large_weight_decay")
    for root in ("sgd.lr", "sgd.lr.then"):
        for name in ("rate", "factor"):
            value = draft.value(f"{root}.{name}")
            if isinstance(value, int | float) and value > 1:
                draft.mark(f"{root}.{name}", "rising")
        unit = draft.fields.get(f"{root}.unit")
        times = [draft.fields.get(f"{root}.{name}") for name in ("milestones", "boundaries", "every", "duration")]
        if unit is not None and unit.provenance == "assumed" and any(t and t.provenance != "assumed" for t in times):
            draft.mark(f"{root}.unit", "unit")
    for what, values in draft.remarks.said:
        if what == "another":
            path = str(values["path"])
            for place in (path, f"{path}.initial", f"{path}.then.initial") if path == "sgd.lr" else (path,):
                draft.mark(place, "competing")
        elif what == "per_device":
            draft.mark("data.batch_size", "per_device")
        elif what == "late_milestones":
            draft.mark("sgd.lr.milestones", "after_the_end")
            draft.mark("sgd.lr.then.milestones", "after_the_end")


def _batch_norm(draft: Draft, board: Board) -> None:
    for fact in draft.values("other"):
        words = draft.text.plain[fact.start : fact.end]
        if ("momentum" in words or "动量" in words or "decay" in words) and any(
            m in words for m in ("batch", "bn", "批")
        ):
            draft.remarks.say("batch_norm", words=board.words(fact))


def _milestones(draft: Draft) -> None:
    for root in ("sgd.lr", "sgd.lr.then"):
        milestones, unit = draft.value(f"{root}.milestones"), draft.value(f"{root}.unit")
        total = draft.value("train.epochs" if unit == "epoch" else "train.steps")
        late = next((milestone for milestone in milestones or () if total is not None and milestone >= total), None)
        if late is not None:
            draft.remarks.say("late_milestones", milestone=shown(late))


def _famous(draft: Draft) -> None:
    lr = "sgd.lr" if "sgd.lr.schedule" in draft.fields else ""
    rate, every = draft.value(f"{lr}.rate"), draft.value(f"{lr}.every")
    if rate is not None and abs(rate - 0.96) < 1e-9 and every == 8 and draft.value("sgd.lr.initial") is None:
        draft.remarks.say("googlenet")
    piecewise = draft.value("sgd.lr.then.schedule") == "linear" and draft.value("sgd.lr.start") == 0
    if piecewise and draft.value("data.batch_size") == 512 and draft.value("sgd.weight_decay") == 5e-4:
        draft.remarks.say("summed_loss")
