"""Calls and settings as facts of the same kinds as those of sentences, by the conventions of each framework."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from downslope.reading.configuration.keys import OPTIMIZERS
from downslope.reading.configuration.rates import kind_of
from downslope.reading.facts import Fact
from downslope.reading.schedule_facts import Change, Plateau, Shape, Warmup
from downslope.reading.text import Text

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
_SCHEDULERS = frozenset(
    [
        "steplr",
        "multisteplr",
        "exponentiallr",
        "cosineannealinglr",
        "polynomiallr",
        "linearlr",
        "onecyclelr",
        "reducelronplateau",
        "exponentialdecay",
        "exponential_decay",
        "cosinedecay",
        "cosine_decay",
        "cosine_decay_schedule",
        "polynomialdecay",
        "polynomial_decay",
        "piecewiseconstantdecay",
        "piecewise_constant",
    ]
)
_PER_EPOCH = "torch's schedulers are usually stepped once per epoch"
_PER_STEP = "it counts optimizer steps"


def translate(text: Text, facts: list[Fact]) -> tuple[list[Fact], str]:
    """Return the facts of code as the language's kinds, and whose conventions they follow."""
    found: list[Fact] = []
    framework = ""
    settings = [fact for fact in facts if fact.kind == "setting"]
    for fact in facts:
        if fact.kind == "call":
            old_keras = fact.key == "sgd" and "decay" in fact.value
            framework = framework or fact.extra["framework"] or ("keras" if old_keras else "")
            found += _call(text, fact)
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
        from downslope.reading.times import Time

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
    name = kind_of(str(policy.value)) or "" if policy is not None else ""
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
        return [_plateau({"factor": (factor,)}, first)]
    if name == "inverse":
        take("gamma", "gamma")
        take("power", "power")
        fields["unit"] = ("step", "implied", _PER_STEP)
        return [Fact("schedule", "inverse", fields, first.start, first.end, {"schedule": schedule or ("stated", "")})]
    if name in {"cosine", "linear", "polynomial", "onecycle"}:
        return [Shape("shape", name, None, first.start, first.end)]
    return []


def _call(text: Text, fact: Fact) -> list[Fact]:
    arguments, framework, name = fact.value, fact.extra["framework"], fact.key
    if name in _SCHEDULERS:
        return _scheduler(text, fact)
    found: list[Fact] = []
    if name in {"l2", "l2_regularizer"}:
        given = arguments.get("l2") or arguments.get("scale")
        if given and _is_number(given[0]):
            found.append(_value("keras_l2" if name == "l2" else "weight_decay", given[0], fact.start, fact.end))
        return found
    if name == "add_decayed_weights" or name.startswith("clip"):
        keys = ("weight_decay", "clip")
        return [
            _value(k, arguments[k][0], fact.start, fact.end)
            for k in keys
            if k in arguments and _is_number(arguments[k][0])
        ]
    optimizer = OPTIMIZERS.get(name, name)
    found.append(Fact("optimizer", optimizer, None, fact.start, fact.start + len(fact.extra["name"])))
    for key, (value, start, end) in arguments.items():
        concept = _AS_CONCEPT.get(key)
        if key in {"nesterov", "use_nesterov"} and isinstance(value, bool):
            found.append(_value("nesterov", value, start, end))
        elif key == "betas" and isinstance(value, list) and len(value) == 2:
            found.append(_value("betas", value[0], start, end, second=value[1]))
        elif key == "decay" and isinstance(value, int | float) and not isinstance(value, bool):
            if value > 0:
                words = text.words(start, end)
                found.append(_old_keras_decay(value, start, end, words))
        elif concept is not None and _is_number(value):
            found.append(_value(concept, value, start, end, unit="", call=framework or "torch"))
    if name == "nag":
        found.append(_value("nesterov", True, fact.start, fact.start + 3, implied="NAG is Nesterov's form"))
    return found


def _old_keras_decay(value: float, start: int, end: int, words: str) -> Fact:
    why = "the old `decay` of Keras: lr / (1 + decay * step)"
    fields = {
        "gamma": (float(value), "stated", words),
        "power": (1.0, "implied", why),
        "unit": ("step", "implied", _PER_STEP),
    }
    return Fact("schedule", "inverse", fields, start, end, {"schedule": ("implied", why)})


def _scheduler(text: Text, fact: Fact) -> list[Fact]:
    arguments, name = fact.value, fact.key
    words = {key: text.words(start, end) for key, (_, start, end) in arguments.items()}
    call = text.words(fact.start, fact.end)
    found: list[Fact] = []
    fields: dict[str, tuple[Any, str, str]] = {}

    def take(field: str, key: str, kind: type = float) -> None:
        if key in arguments and (_is_number(arguments[key][0]) or kind is not float):
            fields[field] = (arguments[key][0], "stated", words[key])

    if "lr" in arguments and _is_number(arguments["lr"][0]):
        _, start, end = arguments["lr"]
        found.append(_value("lr", arguments["lr"][0], start, end))
    epoch = ("epoch", "implied", _PER_EPOCH)
    step = ("step", "implied", _PER_STEP)
    kind = ""
    if name in {"steplr", "exponentiallr"}:
        kind = "exponential"
        take("rate", "gamma")
        fields.setdefault("rate", (0.1, "implied", "the default of StepLR"))
        take("every", "every")
        fields.setdefault("every", (1, "implied", "once per call"))
        fields |= {"unit": epoch, "staircase": (True, "implied", "torch's schedulers change at their calls")}
    elif name == "multisteplr":
        kind = "multistep"
        take("milestones", "milestones", list)
        if not isinstance(fields.get("milestones", ([],))[0], list):
            fields.pop("milestones")
        take("factor", "gamma")
        fields.setdefault("factor", (0.1, "implied", "the default of MultiStepLR"))
        fields["unit"] = epoch
    elif name in {"exponentialdecay", "exponential_decay"}:
        kind = "exponential"
        take("rate", "gamma")
        take("every", "every")
        if isinstance(arguments.get("staircase", (None,))[0], bool):
            fields["staircase"] = (arguments["staircase"][0], "stated", words["staircase"])
        fields["unit"] = step
    elif name in {"piecewiseconstantdecay", "piecewise_constant"}:
        return _piecewise(arguments, words, fact, call, step)
    elif name == "reducelronplateau":
        return [*found, _plateau(arguments, fact)]
    else:
        shape = {"co": "cosine", "po": "polynomial", "li": "linear", "on": "onecycle"}[name[:2]]
        torch = name.endswith("lr")
        found.append(Shape("shape", shape, None, fact.start, fact.end))
        if "duration" in arguments and _is_number(arguments["duration"][0]):
            _, start, end = arguments["duration"]
            unit, _, why = epoch if torch and name != "onecyclelr" else step
            found.append(Fact("duration", "lr", arguments["duration"][0], start, end, {"unit": unit, "why": why}))
        kept = [key for key in ("final", "power") if key in arguments and _is_number(arguments[key][0])]
        found += [_value(key, *arguments[key]) for key in kept]
        if "peak" in arguments and _is_number(arguments["peak"][0]):
            found.append(_value("lr", *arguments["peak"]))
        return found
    return [*found, Fact("schedule", kind, fields, fact.start, fact.end, {"schedule": ("stated", call)})]


def _piecewise(arguments: Any, words: Any, fact: Fact, call: str, step: Any) -> list[Fact]:
    values, boundaries = (arguments.get(key, (None,))[0] for key in ("values", "boundaries"))
    if not isinstance(values, list) or not isinstance(boundaries, list) or len(values) != len(boundaries) + 1:
        return []
    rates: list[float] = [float(value) for value in values]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    ratios = {float(f"{b / a:.9g}") for a, b in pairwise(rates) if a}
    name_is_keras = fact.key == "piecewiseconstantdecay"
    _, first, last = arguments["values"]
    start = Fact("value", "lr", rates[0], first, last, {"role": "initial"})
    if len(ratios) == 1:
        fields = {
            "factor": (ratios.pop(), "implied", words["values"]),
            "milestones": _later(boundaries, words["boundaries"])
            if name_is_keras
            else (boundaries, "stated", words["boundaries"]),
            "unit": step,
        }
        return [start, Fact("schedule", "multistep", fields, fact.start, fact.end, {"schedule": ("stated", call)})]
    fields = {
        "schedules": (rates, "stated", words["values"]),
        "boundaries": (boundaries, "stated", words["boundaries"]),
        "unit": step,
    }
    return [Fact("schedule", "sequence", fields, fact.start, fact.end, {"schedule": ("stated", call)})]


def _later(boundaries: list[Any], words: str) -> tuple[Any, str, str]:
    """Return Keras's boundaries as ours: Keras changes one step after its boundary."""
    return [boundary + 1 for boundary in boundaries], "implied", f"{words}: Keras changes one step after each"


def _plateau(arguments: Any, fact: Fact) -> Fact:
    factor = arguments.get("factor", (0.1,))[0]
    patience = arguments.get("patience", (None,))[0]
    metric = "accuracy" if arguments.get("mode", ("",))[0] == "max" else ""
    patience = int(patience) if _is_number(patience) else None
    plateau = Plateau("plateau", "lr", None, fact.start, fact.end, metric=metric, patience=patience)
    factor = float(factor) if _is_number(factor) else 0.1
    return Change("change", "multiply", factor, fact.start, fact.end, plateau=plateau)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
