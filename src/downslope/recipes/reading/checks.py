"""What a reading is told about itself: what is missing, what cannot be, and what famous recipes did with such words.

What lives here: remarks that need several fields. What does not: remarks on one fact, said where it is read.
"""

from __future__ import annotations

from downslope.recipes.reading.draft import Draft
from downslope.recipes.reading.facts import Board
from downslope.recipes.reading.remarks import shown


def check(draft: Draft, board: Board) -> None:
    """Add remarks on what the fields say together."""
    _batch_norm(draft, board)
    fields = draft.fields
    if not fields and not draft.of("optimizer"):
        draft.remarks.clear()
        draft.remarks.say("nothing")
        return
    if draft.optimizer == "sgd":
        if draft.text.plain.find("momentum") >= 0 and "sgd.momentum" not in fields and not draft.of("off", "momentum"):
            draft.remarks.say("momentum_unknown")
    if "data.batch_size" not in fields:
        draft.remarks.say("no_batch")
    if "train.epochs" not in fields and "train.steps" not in fields:
        draft.remarks.say("no_length")
    _milestones(draft)
    _famous(draft)


def _batch_norm(draft: Draft, board: Board) -> None:
    for fact in draft.values("other"):
        words = draft.text.plain[fact.start : fact.end]
        if ("momentum" in words or "动量" in words or "decay" in words) and any(m in words for m in ("batch", "bn", "批")):
            draft.remarks.say("batch_norm", words=board.words(fact))


def _milestones(draft: Draft) -> None:
    for root in ("sgd.lr", "sgd.lr.then"):
        milestones, unit = draft.value(f"{root}.milestones"), draft.value(f"{root}.unit")
        total = draft.value("train.epochs" if unit == "epoch" else "train.steps")
        if milestones and total is not None and milestones[-1] >= total:
            draft.remarks.say("late_milestones", milestone=shown(milestones[-1]))


def _famous(draft: Draft) -> None:
    lr = "sgd.lr" if "sgd.lr.schedule" in draft.fields else ""
    rate, every = draft.value(f"{lr}.rate"), draft.value(f"{lr}.every")
    if rate is not None and abs(rate - 0.96) < 1e-9 and every == 8 and draft.value("sgd.lr.initial") is None:
        draft.remarks.say("googlenet")
    piecewise = draft.value("sgd.lr.then.schedule") == "linear" and draft.value("sgd.lr.start") == 0
    if piecewise and draft.value("data.batch_size") == 512 and draft.value("sgd.weight_decay") == 5e-4:
        draft.remarks.say("summed_loss")
