"""The last sections of a document: other batch sizes, groups, remarks, and what is not known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from downslope.core.groups import BIAS_AND_NORM
from downslope.core.schedules import Schedule
from downslope.recipes.explaining.data import Explanation, GroupEffect, Remark
from downslope.recipes.explaining.parts import Sentence, Table
from downslope.recipes.explaining.words import Words, epochs_text, short, whole
from downslope.recipes.theory import FORMULAS


def batch_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield what other batch sizes need."""
    if not explanation.batches or not explanation.peak.effective_lr:
        return
    cards = [FORMULAS[name] for name in ("lr_for_batch", "momentum_for_batch", "lr_for_batch_and_momentum")]
    name, valid, source = cards[2].name, cards[2].valid, cards[2].source
    yield Sentence(
        words.say("batch.how"),
        equation=words.say("semicolon").join(words.equation.get(card.name, card.equation) for card in cards),
        valid=words.valid.get(name, valid),
        source=words.source.get(name, source),
    )
    sizes = explanation.run.batch_size is not None
    moving = explanation.settings.decay != "coupled" and bool(explanation.peak.weight_decay)
    momentum = bool(explanation.peak.momentum)
    names = ["factor", *(["size"] if sizes else []), "lr", *(["weight_decay"] if moving else [])]
    if momentum:
        names += ["momentum_scaled", "lr_scaled", *(["weight_decay_scaled"] if moving else [])]
    rows: list[tuple[str, ...]] = []
    for row in explanation.batches:
        cells = {
            "factor": short(row.factor),
            "size": whole(row.batch_size or 0),
            **{name: short(getattr(row, name)) for name in ("lr", "weight_decay", "momentum_scaled", "lr_scaled")},
            "weight_decay_scaled": short(row.weight_decay_scaled),
        }
        cells["lr"] += "" if row.decay_kept else _STRONG
        cells["lr_scaled"] += "" if row.decay_kept_scaled else _STRONG
        rows.append(tuple(cells[name] for name in names))
    yield Table("batch", tuple(words.say(f"batch.{name}") for name in names), tuple(rows))
    if any(cell.endswith(_STRONG) for row in rows for cell in row):
        yield Sentence(words.say("batch.strong"))
    if explanation.peak.weight_decay and not moving:
        yield Sentence(words.say("batch.factor_only", value=explanation.peak.weight_decay))


_STRONG = " *"


def groups_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield what each group does."""
    for group in explanation.groups:
        yield Sentence(_group(group, words))
    if explanation.groups:
        yield Sentence(words.say("groups.rest"))


def _group(group: GroupEffect, words: Words) -> str:
    patterns = [words.say("groups.bias_and_norm") if one == BIAS_AND_NORM else one for one in group.match]
    if group.memory == "grows":
        memory = words.say("groups.grows")
    elif math.isinf(group.decay_steps):
        memory = words.say("groups.never")
    elif group.decay_epochs is None:
        memory = words.say("groups.forget", steps=whole(group.decay_steps))
    else:
        epochs = epochs_text(group.decay_epochs)
        memory = words.say("groups.forget_epochs", steps=whole(group.decay_steps), epochs=epochs)
    if group.memory in {"swings", "jumps"}:
        memory += words.say("space") + words.say("groups.swings")
    changes = words.say("comma").join(f"{name} = {_shown(value)}" for name, value in group.changes.items())
    match = words.say("comma").join(patterns)
    return words.say("groups.one", match=match, changes=changes, gain=group.effective_lr, memory=memory)


def _shown(value: Any) -> str:
    if isinstance(value, Schedule):
        return value.name
    if isinstance(value, bool):
        return str(value).lower()
    return short(value) if isinstance(value, float) else str(value)


def remarks_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield the remarks."""
    for remark in explanation.remarks:
        name, numbers = _variant(explanation, remark), dict(remark.numbers)
        for key in ("steps", "total", "horizon", "formula", "exact", "epoch"):
            if key in numbers:
                numbers[key] = whole(numbers[key])
        if "epochs" in numbers:
            numbers["epochs"] = epochs_text(numbers["epochs"])
        if remark.name == "copied_from_coupled":
            numbers["equal"] = numbers["weight_decay"] * numbers["factor"]
            numbers["factor"] = max(numbers["factor"], 1 / numbers["factor"])
        if "at" in numbers:
            at = numbers["at"]
            shown = f"{at:.2f}" if numbers["in_epochs"] else f"{round(at):,}"
            numbers["at"] = words.say("at.epoch" if numbers["in_epochs"] else "at.step", n=shown)
        yield Sentence(words.say(f"remark.{name}", **numbers))


def _variant(explanation: Explanation, remark: Remark) -> str:
    """Return the name of the sentence for a remark: some have one for each case."""
    name, numbers, settings = remark.name, remark.numbers, explanation.settings
    case = ""
    if name == "decay_not_slow":
        case = {"oscillating": "oscillating", "alternating": "oscillating", "unstable": "unstable"}.get(
            numbers["regime"], ""
        )
    elif name == "dampened":
        case = "all" if settings.dampening == 1 else "nesterov" if settings.nesterov else ""
    elif name == "copied_from_coupled":
        case = "stronger" if numbers["factor"] < 1 else ""
    elif name == "longer_than_the_run":
        case = "mean" if numbers["moves"] else ""
    return f"{name}.{case}" if case else name


def unknown_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield what is not known, and what has to be passed for it."""
    missing: dict[str, list[str]] = {}
    for item in explanation.items:
        if item.value is None and item.needs:
            name = item.name
            for part in ("_lr", "_momentum", "_rate"):
                name = name.removesuffix(part) if name.startswith("optimal") else name
            names = missing.setdefault(item.needs, [])
            if (label := words.say(f"item.{name}")) not in names:
                names.append(label)
    for needs, names in missing.items():
        options = words.say("comma").join(words.say(f"needs.{need}") for need in needs.split(", "))
        yield Sentence(words.say("unknown.line", names=words.say("comma").join(names), options=options))


def notes_section(explanation: Explanation, _: Words) -> Iterator[Sentence | Table]:
    """Yield what was understood of a sentence, in the words of its reader."""
    for note in explanation.notes:
        yield Sentence(note)
