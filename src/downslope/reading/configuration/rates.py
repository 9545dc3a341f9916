"""Settings as the learning rate: a constant, or one schedule, after a warmup if there is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

from downslope.reading.configuration.build import Build
from downslope.reading.configuration.entries import Entry, holds_number, is_number, squeezed
from downslope.reading.configuration.keys import POLICIES
from downslope.reading.configuration.settings import Setting, Settings, bare_path, schedules

_RAMPS = frozenset({"cosine", "linear", "polynomial"})
_PER_STEP = "it counts iterations"
_PER_EPOCH = "counted in epochs"


@dataclass(frozen=True)
class Warmup:
    """How the rate rises first.

    Attributes:
        duration: How long, or None where it is not known.
        unit: "epoch", "step" or "".
        setting: Where the duration is said.
        worked_out: Whether it is a part of the whole, or the like.
        start: The first rate, or None.
        start_setting: Where that is said.
        begin_anew: Whether the schedule after it counts from its end.
    """

    duration: float | None
    unit: str
    setting: Setting
    worked_out: bool = False
    start: float | None = None
    start_setting: Setting | None = None
    begin_anew: bool = True


def put_rate(build: Build) -> float | None:
    """Put the fields of the learning rate, and return its initial or peak value."""
    settings = build.settings
    lr = _lr(build)
    listed = list(
        dict.fromkeys(one.scheduler for found in settings.by_concept.values() for one in found if one.scheduler)
    )
    main, warmup = settings, None
    if listed:
        main, warmup = _of_list(build, listed, lr)
        own = main.first("lr")
        lr = (float(own.value), own) if own is not None and is_number(own.value) else lr
    if warmup is None and not listed:
        warmup = _warmup(build, main, lr)
    root = "sgd.lr.then" if warmup is not None else "sgd.lr"
    chosen = _put_schedule(build, main, root, lr, warmup)
    if warmup is not None:
        _put_warmup(build, warmup, lr, chosen)
    elif not chosen and lr is not None:
        build.state("sgd.lr", lr[1], lr[0], *_shape(build))
    return lr[0] if lr is not None else None


def _lr(build: Build) -> tuple[float, Setting] | None:
    """Return the initial or peak learning rate; of a list of one number that number, and of a longer list none."""
    settings = build.settings
    setting = settings.first("warmup_end", "lr")
    parts = [one[0].value for name in ("head_lr", "backbone_lr") if (one := settings.by_concept.get(name))]
    if setting is None and len(parts) == 2 and parts[0] == parts[1]:  # of all parts, each by itself
        setting = settings.first("head_lr")
    if setting is None:
        scaled = settings.first("scaled_lr")
        if scaled is None or not is_number(scaled.value):
            return None
        build.say("base_lr", value=scaled.value)  # and how large the batch of all devices is, is not known
        return float(scaled.value), scaled
    if isinstance(setting.value, list):
        if len(setting.value) == 1 or settings.system.name == "fairseq":  # a rate for each epoch; the last stays
            return float(setting.value[0]), setting
        settings.taken.discard(setting.entry.place)
        return None
    reference, batch = settings.first("lr_batch"), settings.first("batch")
    if reference is not None and batch is not None and squeezed(setting.entry.path[-1]) == "lrbase":
        derived = Entry(setting.entry.path, None, setting.entry.start, setting.entry.end, derived=True)
        return float(f"{setting.value * batch.value / reference.value:.12g}"), Setting("lr", None, derived)
    return float(setting.value), setting


def _shape(build: Build) -> tuple[str, ...]:
    """Return the marks of a rate that is told to change in a way that cannot be told here."""
    if not build.settings.by_concept.get("lr") and build.settings.by_concept.get("scaled_lr"):
        return ("per_device",)
    first = build.settings.by_concept.get("lr", ())
    if first and isinstance(first[0].value, list) and len(first[0].value) > 1:
        build.say("constant_lr")
        return ("shape",)
    by_concept = build.settings.by_concept
    left = [one.entry for concept in ("times", "milestones", "values") for one in by_concept.get(concept, ())]
    for one in build.settings.entries:
        tabled = holds_number(one.value) and any(map(schedules, bare_path(one.path)[:-1]))
        left += [one] if tabled and squeezed(one.path[-1]) not in {"lastepoch", "warmupmomentum"} else []
    if any(one.place not in build.settings.taken for one in left):
        build.say("constant_lr")
        return ("shape",)
    return ("shape",) if any(name == "no_word" for name, _ in build.found.remarks) else ()


def kind_of(policy: str) -> str | None:
    """Return which schedule a policy's name means; "" for none of ours, None for no policy at all.

    Example:
        >>> [kind_of(name) for name in ("torch.optim.lr_scheduler.MultiStepLR", "poly", "inverse_sqrt", "sgd")]
        ['multistep', 'polynomial', '', None]
    """
    name = squeezed(policy.rpartition(".")[2])
    return next((kind for mark, kind in POLICIES if mark in name), None)


# Schedules that are listed: OpenMMLab's param_scheduler, PaddleDetection's schedulers, and the like


def _of_list(build: Build, listed: list[tuple[str, ...]], lr: Any) -> tuple[Settings, Warmup | None]:
    """Return the settings of the schedule itself, and the warmup that stands before it."""
    mains: list[Settings] = []
    warmup = None
    for path in listed:
        own = build.settings.sub(path)
        policy = own.first("policy")
        name = squeezed(policy.value) if policy is not None else ""
        end_factor = own.by_concept.get("final_fraction")
        rises = "warmup" in name or (own.by_concept.get("warmup_factor") and not end_factor) or _rises(build, path)
        if rises and warmup is None and (not mains or "warmup" in name):
            warmup = _listed_warmup(build, path, own, lr)
        elif kind_of(name) != "constant":
            mains.append(own)
    for other in mains[1:]:
        policy = other.first("policy")
        if policy is not None:
            build.say("another", path="sgd.lr.schedule", words=build.words(policy.entry))
    if not mains:
        return Settings(build.settings.system, build.settings.entries, {}, build.settings.taken), warmup
    main = mains[0]
    for concept in ("final", "power", "gamma"):
        if concept not in main.by_concept and (
            kept := [s for s in build.settings.by_concept.get(concept, ()) if not s.scheduler]
        ):
            main.by_concept[concept] = kept
    return main, warmup


def _rises(build: Build, path: tuple[str, ...]) -> bool:
    first, last = _inner(build, path, "startvalue"), _inner(build, path, "endvalue")
    return first is not None and last is not None and first.value < last.value


def _inner(build: Build, path: tuple[str, ...], *names: str) -> Entry | None:
    """Return the entry with a number of the first of these names in a listed table."""
    for name in names:
        for entry in build.settings.entries:
            if entry.path[: len(path)] == path and squeezed(entry.path[-1]) == name and is_number(entry.value):
                build.settings.taken.add(entry.place)
                return entry
    return None


def _beside(build: Build, path: tuple[str, ...], name: str) -> list[Entry]:
    """Return the entries of a name that stand beside the list that a table is of."""
    return [one for one in build.settings.entries if one.path[:-1] == path[:-2] and squeezed(one.path[-1]) == name]


def _by_epoch(build: Build, own: Settings) -> str:
    by_epoch = own.first("by_epoch")
    if by_epoch is not None:
        return "epoch" if by_epoch.value else "step"
    return build.settings.system.unit if build.settings.system.name == "openmmlab" else ""


def _listed_warmup(build: Build, path: tuple[str, ...], own: Settings, lr: Any) -> Warmup | None:
    end = _inner(
        build, path, "end", "totaliters", "steps", "epochs", "warmupiters", "warmupsteps", "warmupepochs", "duration"
    )
    start = _inner(build, path, "startvalue")
    if end is None:
        return _by_length(build, path, start)
    begin = _inner(build, path, "begin")
    duration = end.value - (begin.value if begin is not None and squeezed(end.path[-1]) == "end" else 0)
    key = squeezed(end.path[-1])
    total = _total(build)
    unit = _by_epoch(build, own) or (
        "" if key == "totaliters" else "step" if "step" in key or "iter" in key else "epoch"
    )
    unit = unit or (total[1] if total is not None and duration < total[0] else "step")
    beside = _beside(build, path, "milestones")
    build.settings.taken |= {one.place for one in beside if one.value == [end.value]}
    setting = Setting("warmup", duration, end)
    factor = own.first("warmup_factor")
    if start is not None:
        return Warmup(duration, unit, setting, start=float(start.value), start_setting=_start(start))
    begun = float(f"{lr[0] * factor.value:.12g}") if lr is not None and factor is not None else None
    return Warmup(duration, unit, setting, start=begun, start_setting=factor, begin_anew=False)


def _start(entry: Entry) -> Setting:
    return Setting("warmup_start", float(entry.value), entry)


def _fractions(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(is_number(one) and 0 < one < 1 for one in value)


def _by_length(build: Build, path: tuple[str, ...], start: Entry | None) -> Warmup | None:
    """Return a warmup that lasts its part of the whole, as `lengths: [0.1, 0.9]` beside the list says."""
    beside = _beside(build, path, "lengths")
    total = _total(build)
    if not beside or start is None or not _fractions(beside[0].value):
        return None
    build.settings.taken.add(beside[0].place)
    duration = _whole(round(beside[0].value[0] * total[0], 9)) if total is not None else None
    unit = total[1] if total is not None else ""
    return Warmup(duration, unit, Setting("lengths", None, beside[0]), True, float(start.value), _start(start))


# A warmup that keys tell


def _warmup(build: Build, settings: Settings, lr: Any) -> Warmup | None:
    own = settings.system
    ratio = settings.by_concept.get("warmup_ratio")
    setting = settings.first("warmup_epochs") or settings.first("warmup_steps") or settings.first("warmup")
    total = _total(build)
    worked_out = False
    if setting is not None and is_number(setting.value) and setting.value == 0:
        setting = None
    fraction = settings.first("fraction") or (settings.first("warmup_ratio") if ratio and setting is None else None)
    if setting is None and fraction is not None and 0 < fraction.value < 1:
        duration = _whole(round(fraction.value * total[0], 9)) if total else None
        unit, setting, worked_out = (total[1] if total else ""), fraction, True
    elif setting is not None:
        duration, unit = (
            _whole(setting.value),
            {"warmup_epochs": "epoch", "warmup_steps": "step"}.get(setting.concept, ""),
        )
        by_epoch = settings.first("warmup_by_epoch")
        unit = "epoch" if by_epoch is not None and by_epoch.value else unit
        if not unit and setting.value < 1 and total is not None:
            duration, unit, worked_out = _whole(round(setting.value * total[0], 9)), total[1], True
    else:
        return None
    method = settings.first("warmup_method")
    if method is not None and kind_of(method.value) not in {None, "linear"}:
        build.say("warmup_shape", words=build.words(method.entry))
    start = settings.first("warmup_start")
    if start is None and lr is not None and lr[1].concept == "warmup_end":
        start = settings.first("lr")
        start = start if start is not None and start.value != lr[0] else None
    factor = settings.first("warmup_factor") or (settings.first("warmup_ratio") if fraction is None else None)
    if start is not None and is_number(start.value):
        return Warmup(duration, unit, setting, worked_out, float(start.value), start, own.restart)
    if factor is not None and lr is not None:
        begun = float(f"{lr[0] * factor.value:.12g}")
        return Warmup(duration, unit, setting, worked_out, begun, factor, own.restart)
    return Warmup(duration, unit, setting, worked_out, begin_anew=own.restart)


def _put_warmup(build: Build, warmup: Warmup, lr: Any, chosen: str) -> None:
    entry = warmup.setting.entry
    system = build.settings.system
    bent = system.name == "darknet" or any(name == "warmup_shape" for name, _ in build.found.remarks)
    build.put("sgd.lr.schedule", "warmup", "stated", "", entry, *(("shape",) if bent else ()))
    if system.name == "darknet":
        build.say("warmup_shape", words=build.words(entry))
    total = _total(build)
    if warmup.duration is None:
        build.say("no_duration", schedule="warmup")
    elif warmup.worked_out or warmup.duration != warmup.setting.value:
        build.imply("sgd.lr.duration", warmup.duration, warmup.setting)
    else:
        build.state("sgd.lr.duration", warmup.setting, warmup.duration)
    if warmup.unit and not warmup.worked_out and warmup.setting.concept in {"warmup_epochs", "warmup_steps"}:
        build.put("sgd.lr.unit", warmup.unit, "stated", "", entry)
    elif warmup.unit:
        build.imply("sgd.lr.unit", warmup.unit, None, _PER_EPOCH if warmup.unit == "epoch" else _PER_STEP)
    elif warmup.duration is not None:
        unit = (
            total[1]
            if total is not None and warmup.duration < total[0]
            else ("epoch" if warmup.duration < 100 else "step")
        )
        build.assume("sgd.lr.unit", unit, "the unit of the training's length" if total else "not stated", "unit")
    if warmup.start is not None and warmup.start_setting is not None:
        provenance = "stated" if warmup.start_setting.value == warmup.start else "implied"
        build.put("sgd.lr.start", warmup.start, provenance, "", warmup.start_setting.entry)
    elif "warmup_start" in system.defaults:
        build.imply("sgd.lr.start", system.defaults["warmup_start"], None, f"the default of {system.name}")
    if not chosen and lr is not None:
        build.state("sgd.lr.then", lr[1], lr[0], *_shape(build))
    elif chosen in {"multistep", "exponential", "sequence"} or (chosen and not warmup.begin_anew):
        build.imply(
            "sgd.lr.restart", False, None, "epochs are counted from the start of training, as in Goyal et al. 2017"
        )


# The schedule


def _total(build: Build) -> tuple[float, str, str] | None:
    """Return how long the training lasts, its unit, and the words."""
    for path, unit in (("train.epochs", "epoch"), ("train.steps", "step")):
        if path in build.found.fields:
            found = build.found.fields[path]
            return found.value, unit, found.words
    return None


def _put_schedule(build: Build, main: Settings, root: str, lr: Any, warmup: Warmup | None) -> str:
    """Put the schedule's fields under `root`, and return its name; "" where the rate is constant."""
    policy = main.first("policy")
    kind = kind_of(policy.value) if policy is not None else None
    system = build.settings.system
    times = main.first("milestones", "times")
    if main.by_concept.get("values") and (kind in {None, "multistep", "step"}):
        return _put_levels(build, main, root, times, policy, lr)
    if policy is not None and not kind and kind is not None:
        build.say("no_word", words=build.words(policy.entry))
        return ""
    if kind == "cyclic":
        build.say("restarts")
        kind = "cosine"
    word = squeezed(policy.value) if policy is not None else ""
    if kind == "linear" and "warmup" in word and "decay" not in word:
        kind = None if system.name != "transformers" else "linear"
    if policy is None and system.name == "yolo":
        return _put_yolo(build, main, root, lr, warmup)
    if kind == "plateau":
        _put_plateau(build, main, policy)
        return ""
    if kind == "constant":
        return ""
    if kind in _RAMPS:
        return _put_ramp(build, main, root, kind, policy, lr, warmup)
    if kind == "onecycle":
        return _put_onecycle(build, main, root, policy, lr)
    if kind == "inverse":
        return _put_inverse(build, main, root, policy, lr)
    if kind in {"multistep", "step", None} and times is not None:
        return _put_multistep(build, main, root, times, policy, lr)
    every = main.first("every") or (main.first("every_flag") if main.by_concept.get("gamma") else None)
    if kind in {"step", "exponential", "multistep"} or (kind is None and every is not None):
        return _put_stairs(build, main, root, kind, every, policy, lr)
    power = main.by_concept.get("power", [None])[0]
    if kind is None and power is not None and squeezed(power.entry.path[-1]) != "power" and _total(build):
        return _put_ramp(build, main, root, "polynomial", power, lr, warmup)
    gamma = main.first("gamma")
    if gamma is not None and kind is None:
        build.settings.taken.discard(gamma.entry.place)
    return ""


def _name(build: Build, root: str, schedule: str, setting: Setting | None, *, stated: bool = True) -> None:
    if setting is not None:
        build.put(f"{root}.schedule", schedule, "stated" if stated else "implied", "", setting.entry)


def _base(build: Build, root: str, lr: Any, name: str = "initial") -> None:
    if lr is not None:
        marks = ("per_device",) if lr[1].concept == "scaled_lr" else ()
        build.state(f"{root}.{name}", lr[1], lr[0], *marks)


def _unit(build: Build, root: str, setting: Setting | None, main: Settings) -> str:
    """Put the unit of a schedule's times: what the key says, the table, the system, or the training's length."""
    by_epoch = main.first("by_epoch")
    total = _total(build)
    lengths = {"train.epochs", "train.steps"} & build.found.fields.keys()
    if setting is not None and setting.unit:
        build.put(f"{root}.unit", setting.unit, "stated", "", setting.entry)
        return setting.unit
    longer = total is not None and total[1] == "epoch" and min(_times(setting), default=0) > total[0]
    if by_epoch is None and longer and lengths == {"train.epochs"}:
        build.assume(f"{root}.unit", "step", f"longer than {total[2]}", "unit")  # type: ignore[index]
        return "step"
    if by_epoch is not None:
        unit, why = ("epoch" if by_epoch.value else "step"), build.words(by_epoch.entry)
    elif build.settings.system.unit:
        unit, why = build.settings.system.unit, ""
        if total is not None and lengths == {"train.epochs"} and 0 < max(_times(setting), default=0) <= total[0]:
            unit = "epoch"  # whatever is usual there: this one counts epochs
        if (
            build.settings.system.name in {"openmmlab", "lightning"}
            and lengths == {"train.steps"}
            and not build.settings.first("by_epoch")
        ):
            largest = max(_times(setting), default=0)
            unit = "step" if total is not None and largest >= 1000 else unit
    elif total is not None and len(lengths) == 1:
        unit, why = total[1], "the unit of the training's length"
    else:
        unit = "step" if max(_times(setting), default=0) >= 1000 else "epoch"
        build.assume(f"{root}.unit", unit, "not stated", "unit")
        return unit
    build.imply(f"{root}.unit", unit, None, why or (_PER_EPOCH if unit == "epoch" else _PER_STEP))
    return unit


def _times(setting: Setting | None) -> list[float]:
    if setting is None:
        return []
    return setting.value if isinstance(setting.value, list) else [setting.value]


def _put_multistep(build: Build, main: Settings, root: str, times: Setting, policy: Setting | None, lr: Any) -> str:
    milestones = _times(times)
    scales = main.first("scales")
    if scales is not None and milestones and milestones[0] == 0 and scales.value[0] == 1:
        scales = replace(scales, value=scales.value[: len(milestones)])  # each relative to the base rate
    if scales is not None and scales.entry.path[-1] == "decay_rates" and len(scales.value) == len(milestones):
        scales = replace(scales, value=[1, *scales.value])  # each relative to the first rate
    if milestones and milestones[0] == 0:  # where each stage begins, the first too
        milestones = milestones[1:]
    total = _total(build)
    parts = bool(milestones) and all(0 < one < 1 for one in milestones)
    increasing = all(a < b for a, b in pairwise(milestones))
    if not milestones or not increasing or (parts and total is None):
        build.settings.taken.discard(times.entry.place)
        build.say("no_total" if parts else "no_milestones")
        return ""
    if scales is not None and isinstance(scales.value, list) and len({*scales.value} - {1}) > 1:
        return _put_scaled(build, main, root, times, milestones, scales, policy, lr)
    _name(build, root, "multistep", policy or times)
    _base(build, root, lr)
    if parts and total is not None:
        build.imply(f"{root}.milestones", [_whole(round(one * total[0], 9)) for one in milestones], times)
        build.imply(f"{root}.unit", total[1], None, "the unit of the training's length")
    else:
        _put_milestones(build, root, times, milestones)
        _unit(build, root, times, main)
    gamma = main.first("gamma")
    if scales is not None and scales.value:
        factor = next((one for one in scales.value if one != 1), 1.0)
        build.put(f"{root}.factor", float(factor), "stated", "", scales.entry)
    else:
        _put_factor(build, f"{root}.factor", gamma)
    return "multistep"


def _put_factor(build: Build, path: str, gamma: Setting | None) -> None:
    """Put by what the rate is multiplied: what is written, the system's default, or a tenth."""
    system = build.settings.system
    if gamma is not None:
        build.state(path, gamma, float(gamma.value))
    elif "gamma" in system.defaults:
        build.imply(path, system.defaults["gamma"], None, f"the default of {system.name}")
    else:
        build.assume(path, 0.1, "not stated; a tenth is usual")
        build.say("usual_factor", factor=0.1)


def _put_milestones(build: Build, root: str, times: Setting, milestones: list[float]) -> None:
    """Put milestones, which are stated where all that are written count."""
    whole = [_whole(one) for one in milestones]
    if len(whole) == len(_times(times)):
        build.state(f"{root}.milestones", times, whole)
    else:
        build.imply(f"{root}.milestones", whole, times)


def _put_scaled(
    build: Build,
    main: Settings,
    root: str,
    times: Setting,
    milestones: list[float],
    scales: Setting,
    policy: Setting | None,
    lr: Any,
) -> str:
    """Put steps by factors that differ: Darknet's factors in a row, or rates relative to the first."""
    relative = len(scales.value) == len(milestones) + 1
    factors = scales.value if relative else [*accumulate([1.0, *scales.value[: len(milestones)]], lambda a, b: a * b)]
    levels = [float(f"{(lr[0] if lr else 1.0) * factor:.12g}") for factor in factors]
    ratios = {float(f"{b / a:.9g}") for a, b in pairwise(levels) if a}
    if len(ratios) == 1:
        _name(build, root, "multistep", policy or times)
        _base(build, root, lr)
        build.imply(f"{root}.factor", ratios.pop(), scales)
        build.state(f"{root}.milestones", times, [_whole(one) for one in milestones])
        _unit(build, root, times, main)
        return "multistep"
    if lr is None:
        return ""
    _put_sequence(build, main, root, levels, milestones, times, scales, worked_out=True)
    build.settings.taken.add(lr[1].entry.place)
    return "sequence"


def _put_levels(build: Build, main: Settings, root: str, times: Setting | None, policy: Setting | None, lr: Any) -> str:
    """Put a schedule whose rates are listed one after the other."""
    values = main.first("values")
    total = _total(build)
    if values is None:
        return ""
    levels = [float(one) for one in values.value]
    milestones = _times(times)
    if len(levels) == len(milestones) and milestones[0] > 0 and lr is not None and lr[0] > levels[0]:
        levels = [lr[0], *levels]
    if times is None and total is not None and len(levels) > 1:
        milestones = [_whole(total[0] * place / len(levels)) for place in range(1, len(levels))]
    if milestones and milestones[0] == 0:
        milestones = milestones[1:]
    if times is not None and len(levels) == len(milestones) and "lr" not in build.settings.by_concept:
        milestones = milestones[:-1]  # the end of the last level: nothing follows it
    if not milestones or len(levels) != len(milestones) + 1 or not all(a < b for a, b in pairwise(milestones)):
        build.settings.taken.discard(values.entry.place)
        return ""
    ratios = {float(f"{b / a:.9g}") for a, b in pairwise(levels) if a}
    if len(ratios) != 1:
        _put_sequence(build, main, root, levels, milestones, times, values, worked_out=False)
        return "sequence"
    _name(build, root, "multistep", policy or values)
    first = next((one for one in main.by_concept.get("lr", ()) if one.value == levels[0]), values)
    build.settings.taken.add(first.entry.place)
    build.put(f"{root}.initial", levels[0], "stated", "", first.entry)
    build.imply(f"{root}.factor", ratios.pop(), values)
    if times is not None:
        _put_milestones(build, root, times, milestones)
        _unit(build, root, times, main)
    elif total is not None:
        build.imply(f"{root}.milestones", milestones, None, f"equal parts of the training: {total[2]}")
        build.imply(f"{root}.unit", total[1], None, "the unit of the training's length")
    return "multistep"


def _put_sequence(
    build: Build, main: Settings, root: str, levels: list[float], boundaries: list[float],
    times: Setting | None, source: Setting, *,
    worked_out: bool,
) -> None:  # fmt: skip
    build.put(f"{root}.schedule", "sequence", "stated", "", source.entry)
    build.put(f"{root}.schedules", levels, "implied" if worked_out else "stated", "", source.entry)
    if times is not None:
        build.put(f"{root}.boundaries", boundaries, "stated", "", times.entry)
    _unit(build, root, times, main)


def _put_stairs(
    build: Build, main: Settings, root: str, kind: str | None, every: Setting | None, policy: Setting | None, lr: Any
) -> str:
    gamma = main.first("gamma")
    if every is None and kind != "exponential":
        if kind in {"step", "multistep"}:
            build.say("no_milestones")
        if gamma is not None:
            build.settings.taken.discard(gamma.entry.place)
        return ""
    _name(build, root, "exponential", policy or every, stated=policy is not None)
    _base(build, root, lr)
    _put_factor(build, f"{root}.rate", gamma)
    staircase = main.first("staircase")
    if every is not None:
        build.state(f"{root}.every", every, _whole(every.value))
        unit = _unit(build, root, every, main)
    else:
        build.imply(f"{root}.every", 1, None, "once per call")
        unit = _unit(build, root, None, main)
    if staircase is not None:
        build.state(f"{root}.staircase", staircase)
    elif kind != "exponential" or (every is None and unit == "epoch") or main.system.name == "tensorflow":
        build.imply(f"{root}.staircase", True, None, "it drops at once")
    return "exponential"


def _put_ramp(
    build: Build, main: Settings, root: str, kind: str, policy: Setting | None, lr: Any, warmup: Warmup | None
) -> str:
    _name(build, root, kind, policy, stated=policy is None or policy.concept == "policy")
    _base(build, root, lr)
    final, fraction = main.first("final"), main.first("final_fraction")
    if final is not None and is_number(final.value):
        build.state(f"{root}.final", final, float(final.value))
    elif fraction is not None and lr is not None:
        build.imply(f"{root}.final", float(f"{lr[0] * fraction.value:.12g}"), fraction)
    else:
        build.imply(f"{root}.final", 0.0, None, f"{kind} schedules end at 0 unless said otherwise")
    if kind == "polynomial":
        power = main.first("power")
        if power is not None:
            build.state(f"{root}.power", power, power.value)
        elif "power" in main.system.defaults:
            build.imply(f"{root}.power", main.system.defaults["power"], None, f"the default of {main.system.name}")
        else:
            build.assume(f"{root}.power", 0.9, "the usual power of a poly policy")
    _put_duration(build, main, root, kind, warmup)
    return kind


def _put_duration(build: Build, main: Settings, root: str, kind: str, warmup: Warmup | None) -> None:
    stated = main.first("duration")
    every = main.by_concept.get("every", [None])[0]
    if stated is None and every is not None and "decaysteps" in squeezed(every.entry.path[-1]):
        stated = main.first("every")
    scheduler = next((one.scheduler for found in main.by_concept.values() for one in found if one.scheduler), ())
    end = _inner(build, scheduler, "end") if scheduler else None
    if stated is not None and warmup is not None and warmup.duration and main.system.name in {"tensorflow", "fairseq"}:
        build.imply(f"{root}.duration", _whole(stated.value - warmup.duration), stated)  # it counts the warmup too
        _unit(build, root, stated, main)
        return
    if stated is not None:
        build.state(f"{root}.duration", stated, _whole(stated.value))
        _unit(build, root, stated, main)
        return
    if end is not None:
        begin = _inner(build, scheduler, "begin")
        begun = begin.value if begin is not None else 0
        provenance = "stated" if not begun else "implied"
        build.put(f"{root}.duration", _whole(end.value - begun), provenance, "", end)
        unit = _unit(build, root, Setting("duration", end.value, end), main)
        if warmup is not None and warmup.unit == unit and begun == warmup.duration:
            build.put("sgd.lr.restart", True, "implied", build.words(end))
        return
    total = _total(build)
    if total is None:
        build.say("no_duration", schedule=kind)
        return
    duration, unit, words = total
    why = f"to the end of training: {words}"
    if warmup is not None and warmup.begin_anew:
        known = warmup.unit or (unit if warmup.duration is not None and warmup.duration < duration else "")
        if warmup.duration is None or known != unit or warmup.duration >= duration:
            build.say("no_duration", schedule=kind)
            return
        duration, why = _whole(duration - warmup.duration), f"{why}, less the warmup"
    build.imply(f"{root}.duration", duration, None, why)
    build.imply(f"{root}.unit", unit, None, f"to the end of training: {words}")


def _put_as_named(build: Build, main: Settings, root: str, *concepts: str) -> None:
    for concept in concepts:
        setting = main.first(concept)
        if setting is not None:
            build.state(f"{root}.{concept}", setting, float(setting.value))


def _put_onecycle(build: Build, main: Settings, root: str, policy: Setting | None, lr: Any) -> str:
    _name(build, root, "onecycle", policy)
    _base(build, root, lr, "peak")
    _put_as_named(build, main, root, "pct_start", "div_factor", "final_div_factor")
    _put_duration(build, main, root, "onecycle", None)
    return "onecycle"


def _put_inverse(build: Build, main: Settings, root: str, policy: Setting | None, lr: Any) -> str:
    _name(build, root, "inverse", policy)
    _base(build, root, lr)
    _put_as_named(build, main, root, "gamma", "power")
    build.imply(f"{root}.unit", "step", None, _PER_STEP)
    return "inverse"


def _put_plateau(build: Build, main: Settings, policy: Setting | None) -> None:
    build.say("plateau")
    gamma, patience, least = main.first("gamma"), main.first("patience"), main.first("final")
    if gamma is not None:
        build.state("train.plateau.factor", gamma, float(gamma.value))
    elif policy is not None:
        build.imply("train.plateau.factor", 0.1, None, "the default of torch's ReduceLROnPlateau")
    if patience is not None:
        build.state("train.plateau.patience", patience, int(patience.value))
    else:
        build.assume("train.plateau.patience", 10, "the default of torch's ReduceLROnPlateau")
        build.say("patience", patience=10)
    if least is not None and is_number(least.value):
        build.state("train.plateau.min_lr", least, float(least.value))
    mode = _first(build, "mode", "max")
    if mode is not None:
        build.imply("train.plateau.metric", "accuracy", Setting("mode", "max", mode))


def _first(build: Build, name: str, value: object) -> Entry | None:
    return next((one for one in build.settings.entries if squeezed(one.path[-1]) == name and one.value == value), None)


def _put_yolo(build: Build, main: Settings, root: str, lr: Any, warmup: Warmup | None) -> str:
    """Put YOLO's schedule, down to lr0 * lrf: a line unless `cos_lr` asks for a cosine."""
    fraction = main.first("final_fraction")
    cosine = _first(build, "coslr", True)
    if lr is None or fraction is None:
        return ""
    if cosine is not None:
        build.put(f"{root}.schedule", "cosine", "stated", "", cosine)
    else:
        build.assume(f"{root}.schedule", "linear", "Ultralytics lowers lr in a line unless cos_lr is set")
    _base(build, root, lr)
    build.imply(f"{root}.final", float(f"{lr[0] * fraction.value:.12g}"), fraction)
    _put_duration(build, main, root, "cosine" if cosine else "linear", warmup)
    return "cosine" if cosine else "linear"


def _whole(value: Any) -> Any:
    return int(value) if float(value).is_integer() else value
