"""Calls and settings as facts of the same kinds as those of sentences, by the conventions of each framework."""

from __future__ import annotations

from typing import Any

from downslope.reading.facts import Fact
from downslope.reading.lexicon.code import OPTIMIZERS, POLICIES
from downslope.reading.parts import Found
from downslope.reading.reading import Field
from downslope.reading.schedule_facts import Amount, Change, Plateau, Shape, Warmup
from downslope.reading.text import Text
from downslope.reading.times import Time

_AS_CONCEPT = {
    "lr": "lr",
    "momentum": "momentum",
    "weight_decay": "weight_decay",
    "batch": "batch",
    "epochs": "epochs_total",
    "steps": "steps_total",
    "dampening": "dampening",
    "clip": "clip",
    "power": "power",
    "beta1": "beta1",
    "beta2": "beta2",
    "eps": "eps",
    "rho": "rho",
    "ema": "ema",
    "final": "final",
    "warmup_start": "warmup_start",
    "patience": "patience",
}
_PER_EPOCH = "torch's schedulers are usually stepped once per epoch"
_PER_STEP = "it counts optimizer steps"


def translate(text: Text, facts: list[Fact]) -> tuple[list[Fact], str]:
    """Return the facts of code as the language's kinds, and whose conventions they follow."""
    found: list[Fact] = []
    framework = ""
    settings = [fact for fact in facts if fact.kind == "setting"]
    for fact in facts:
        if fact.kind == "call":
            framework = framework or fact.value.framework
            found += _of_calls(text, fact)
    keys = {fact.key for fact in settings}
    names = {str(fact.extra.get("name")) for fact in settings}
    if "base_lr" in names and "policy" in keys:
        framework = framework or "caffe"
    for fact in settings:
        found += _setting(fact)
        if fact.key == "optimizer" and fact.value == "sgd" and "timm" in text.plain:
            found.append(
                _value("nesterov", True, fact.start, fact.end, implied="timm's name sgd means Nesterov momentum")
            )
            if "momentum" not in keys:
                found.append(_value("momentum", 0.9, fact.start, fact.end, implied="timm's default"))
    scheduled = _scheduled(text, settings, framework)
    if not scheduled:  # a lone gamma: the words may tell when
        found += [
            _value("gamma_setting", float(fact.value), fact.start, fact.end)
            for fact in settings
            if fact.key == "gamma" and _is_number(fact.value)
        ]
    found += scheduled
    return found, framework


def _value(key: str, value: Any, start: int, end: int, **extra: Any) -> Fact:
    return Fact("value", key, value, start, end, {"role": "", **extra})


def _setting(fact: Fact) -> list[Fact]:
    key, value = fact.key, fact.value
    if key == "nesterov":
        return [_value("nesterov", bool(value), fact.start, fact.end)]
    if key == "optimizer":
        name = OPTIMIZERS.get(str(value).replace("_", ""), "")
        found = [Fact("optimizer", name or str(value), None, fact.start, fact.end)]
        if value in {"nag", "nesterov"}:
            found.append(_value("nesterov", True, fact.start, fact.end, implied=f"{value} is Nesterov's form"))
        return found
    if key in {"warmup_epochs", "warmup_steps"} and _is_number(value) and value > 0:
        unit = "epoch" if key == "warmup_epochs" else "step"
        return [Warmup("warmup", "lr", None, fact.start, fact.end, length=Time("for", (value,), unit))]
    concept = _AS_CONCEPT.get(key)
    if concept is not None and _is_number(value):
        return [_value(concept, value, fact.start, fact.end, unit="")]
    return []


def _scheduled(text: Text, settings: list[Fact], framework: str) -> list[Fact]:
    """Return the schedule that a configuration's keys say together."""
    by_key: dict[str, Fact] = {}
    for fact in settings:
        if fact.key == "milestones" and not isinstance(fact.value, list):
            continue
        if fact.key == "milestones" and "milestones" in by_key:
            by_key["milestones"].value = [*by_key["milestones"].value, *fact.value]
            by_key["milestones"].end = fact.end
            continue
        by_key.setdefault(fact.key, fact)
    policy = by_key.get("policy")
    name = POLICIES.get(str(policy.value), "") if policy is not None else ""
    steps = "steps" in by_key and "epochs" not in by_key
    fields: dict[str, tuple[Any, str, str]] = {}

    def take(field: str, key: str) -> None:
        if key in by_key and field not in fields:
            fields[field] = (by_key[key].value, "stated", text.words(by_key[key].start, by_key[key].end))

    schedule = ("stated", text.words(policy.start, policy.end)) if policy is not None else None
    first = policy or by_key.get("milestones") or by_key.get("every_epochs") or by_key.get("every")
    if first is None and not ({"gamma", "every"} <= set(by_key)):
        return []
    first = first or by_key["gamma"]
    if "milestones" in by_key and name in {"", "multistep", "step"} and isinstance(by_key["milestones"].value, list):
        take("factor", "gamma")
        take("milestones", "milestones")
        fields.setdefault("factor", (0.1, "assumed", "not stated; a tenth is usual"))
        fields["unit"] = (
            "step" if steps or framework == "caffe" else "epoch",
            "implied",
            "the unit of the training's length",
        )
        why = ("stated", fields["milestones"][2])
        return [Fact("schedule", "multistep", fields, first.start, first.end, {"schedule": schedule or why})]
    if name in {"step", "exponential"} or (not name and ("every" in by_key or "every_epochs" in by_key)):
        take("rate", "gamma")
        take("every", "every_epochs")
        take("every", "every")
        unit = (
            "epoch"
            if "every_epochs" in by_key
            else "step"
            if steps or framework in {"caffe", "tensorflow"} or ("every" in by_key and by_key["every"].value >= 500)
            else "epoch"
        )
        if name == "exponential" and "every" not in fields and "every_epochs" not in by_key:
            if framework == "caffe":
                fields["every"] = (1, "implied", "Caffe's exp policy counts iterations")
        else:
            fields["staircase"] = (True, "implied", "drops at once, period by period")
        fields["unit"] = (
            unit,
            "stated" if "every_epochs" in by_key else "implied",
            _PER_STEP if unit == "step" else "counted in epochs",
        )
        why = schedule or ("implied", text.words(first.start, first.end))
        return [Fact("schedule", "exponential", fields, first.start, first.end, {"schedule": why})]
    if name == "plateau":
        factor = by_key["gamma"].value if "gamma" in by_key and _is_number(by_key["gamma"].value) else 0.1
        plateau = Plateau("plateau", "lr", None, first.start, first.end)
        return [Change("change", "multiply", float(factor), first.start, first.end, plateau=plateau)]
    if name == "inverse":
        take("gamma", "gamma")
        take("power", "power")
        fields["unit"] = ("step", "implied", _PER_STEP)
        return [Fact("schedule", "inverse", fields, first.start, first.end, {"schedule": schedule or ("stated", "")})]
    if name in {"cosine", "linear", "polynomial", "onecycle"}:
        return [Shape("shape", name, None, first.start, first.end)]
    return []


# What calls say

_CONCEPTS = {
    "sgd.lr": "lr", "sgd.lr.then": "lr", "sgd.momentum": "momentum", "sgd.weight_decay": "weight_decay",
    "sgd.nesterov": "nesterov", "sgd.dampening": "dampening", "train.clip_norm": "clip", "data.batch_size": "batch",
    "train.epochs": "epochs_total", "train.steps": "steps_total", "rmsprop.decay": "rho", "adam.beta1": "beta1",
    "adam.beta2": "beta2", "adam.eps": "eps", "adamw.beta1": "beta1", "adamw.beta2": "beta2", "adamw.eps": "eps",
    "rmsprop.eps": "eps",
}  # fmt: skip
_SHAPES = frozenset({"cosine", "polynomial", "linear", "onecycle"})


def _of_calls(text: Text, fact: Fact) -> list[Fact]:
    """Return what the calls of a text say as facts."""
    said: Found = fact.value
    found: list[Fact] = []
    if said.optimizer:
        found.append(Fact("optimizer", said.optimizer, None, fact.start, fact.end))
    for path, field in said.fields.items():
        concept = _CONCEPTS.get(path)
        if concept is not None:
            start, end = _place(field, fact)
            why = {} if field.provenance == "stated" or field.start >= 0 else {"implied": field.words}
            found.append(_value(concept, field.value, start, end, unit="", call=said.framework or "torch", **why))
    if any(what == "keras_l2" for what, _ in said.remarks) and "sgd.weight_decay" in said.fields:
        decay = next(one for one in found if one.key == "weight_decay")
        decay.key, decay.value = "keras_l2", decay.value / 2
    found += _of_schedule(text, fact, "sgd.lr")
    factor, patience = (said.fields.get(f"train.plateau.{name}") for name in ("factor", "patience"))
    if factor is not None:
        start, end = _place(factor, fact)
        metric = said.fields["train.plateau.metric"]
        known = "" if metric.provenance == "implied" and metric.start < 0 else str(metric.value)
        waits = patience.value if patience is not None and patience.provenance == "stated" else None
        plateau = Plateau("plateau", "lr", None, start, end, metric=known, patience=waits)
        found.append(Change("change", "multiply", float(factor.value), fact.start, fact.end, plateau=plateau))
    return found


def _place(field: Field, fact: Fact) -> tuple[int, int]:
    return (field.start, field.end) if field.start >= 0 else (fact.start, fact.end)


def _of_schedule(text: Text, fact: Fact, root: str) -> list[Fact]:
    """Return the facts of a schedule whose fields stand under a path."""
    fields: dict[str, Field] = fact.value.fields
    schedule = fields.get(f"{root}.schedule")
    if schedule is None:
        return []
    own = {path.removeprefix(f"{root}."): field for path, field in fields.items() if path.startswith(f"{root}.")}
    start, end = _place(schedule, fact)
    base = own.get("initial") or own.get("peak")
    found: list[Fact] = [] if base is None else [_value("lr", base.value, *_place(base, fact))]
    if schedule.value == "warmup":
        if "duration" in own:
            length = Time("for", (own["duration"].value,), own["unit"].value)
            begin = own.get("start")
            amount = Amount(begin.value, *_place(begin, fact)) if begin is not None and begin.start >= 0 else None
            found.append(Warmup("warmup", "lr", None, *_place(own["duration"], fact), length=length, begin=amount))
        return [*found, *_of_schedule(text, fact, f"{root}.then")]
    if schedule.value in _SHAPES:
        found.append(Shape("shape", str(schedule.value), None, start, end))
        if "duration" in own:
            unit = own["unit"]
            why = {"unit": unit.value, "why": unit.words}
            found.append(Fact("duration", "lr", own["duration"].value, *_place(own["duration"], fact), why))
        kept = [name for name in ("final", "power") if name in own and own[name].provenance == "stated"]
        return [*found, *(_value(name, own[name].value, *_place(own[name], fact)) for name in kept)]
    told = {
        name: (field.value, field.provenance, text.words(field.start, field.end) if field.start >= 0 else field.words)
        for name, field in own.items()
        if name not in {"schedule", "initial"}
    }
    words = text.words(start, end)
    said = (schedule.provenance, words) if schedule.value != "inverse" else ("implied", own["power"].words)
    return [*found, Fact("schedule", str(schedule.value), told, start, end, {"schedule": said})]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
