"""What a text states beside what is read of it; schedules in short."""

import ast

from downslope import read
from reading.rows import same


def path_of(name):
    """Return the path of a short name: "milestones" is sgd.lr.milestones, "plateau.factor" train.plateau.factor."""
    if name == "lr":
        return "sgd.lr"
    return f"train.{name}" if name.split(".")[0] in {"epochs", "steps", "plateau"} else f"sgd.lr.{name}"


def faults(text, expected):
    """Return what a reading of a text has wrong, lacks, or states although it is not expected; None means absent."""
    fields = read(text)[0].fields
    found = []
    for name, value in expected.items():
        got = fields.get(path_of(name))
        if (value is None and got is not None) or (value is not None and (got is None or not same(got.value, value))):
            found.append(f"{name}: {value!r} expected, not {got and got.value!r} ({got and got.words!r})")
    known = {path_of(name) for name in expected}
    for path, field in fields.items():
        asked = path.startswith(("sgd.lr", "train.")) and not path.startswith(("sgd.lr_in", "train.clip", "train.ema"))
        if asked and path not in known and field.provenance == "stated":
            found.append(f"{path} = {field.value!r} is invented from {field.words!r}")
    return found


def differences(text, expected):
    """Return where a reading of a text differs from all fields that it states, by their paths; others may be implied."""
    fields = read(text)[0].fields
    stated = {path for path, field in fields.items() if field.provenance == "stated"}
    found = [
        f"{path} = {fields[path].value!r} is invented from {fields[path].words!r}" for path in stated - expected.keys()
    ]
    for path, value in expected.items():
        got = fields.get(path)
        if got is None or not same(got.value, value):
            found.append(f"{path}: {value!r} expected, not {got and got.value!r} ({got and got.words!r})")
    return found


def amiss(text, expected):
    """Return the expected fields that a reading of a text lacks or has otherwise; None means absent."""
    fields = read(text)[0].fields
    found = []
    for path, value in expected.items():
        got = fields[path].value if path in fields else None
        if got is not value and (got is None or value is None or not same(got, value)):
            found.append(f"{path}: {value!r} expected, not {got!r}")
    return found


def steps(initial, factor, milestones, unit="epoch", **more):
    """Return the fields of a multistep schedule."""
    return {
        "schedule": "multistep", "initial": initial, "factor": factor, "milestones": milestones, "unit": unit, **more,
    }  # fmt: skip


def sequence(values, boundaries, unit="epoch", **more):
    """Return the fields of a sequence of constants."""
    return {"schedule": "sequence", "schedules": values, "boundaries": boundaries, "unit": unit, **more}


def periods(initial, rate, every, unit="epoch", **more):
    """Return the fields of an exponential schedule."""
    return {"schedule": "exponential", "initial": initial, "rate": rate, "every": every, "unit": unit, **more}


def warmup(duration, unit="epoch", **more):
    """Return the fields of a warmup."""
    return {"schedule": "warmup", "duration": duration, "unit": unit, **more}


def plateau(lr, factor, patience=None, metric=None, **more):
    """Return the fields of a plateau; without a patience, one is assumed."""
    found = {"lr": lr, "plateau.factor": factor, "plateau.metric": metric, **more}
    return found | ({} if patience is None else {"plateau.patience": patience})


SHORT = {
    "momentum": "sgd.momentum", "nesterov": "sgd.nesterov", "decay": "sgd.weight_decay", "batch": "data.batch_size",
    "clip": "train.clip_norm", "ema": "train.ema", "smoothing": "train.label_smoothing", "beta1": "adam.beta1",
    "beta2": "adam.beta2", "eps": "adam.eps", "augment": "data.augment",
    "accumulate": "train.accumulate",
}  # fmt: skip


def meant(words):
    """Return the fields that short words say: "lr=0.1 batch=64 milestones=[30,60]"; after a warmup, "then.initial"."""
    pairs = (word.split("=") for word in words.split())
    return {SHORT.get(name) or path_of(name): _value(value) for name, value in pairs}


def _value(word):
    try:
        return ast.literal_eval(word)
    except ValueError:
        return word
