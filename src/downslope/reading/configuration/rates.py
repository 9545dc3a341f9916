"""Settings as the plan of a learning rate: a constant, or one schedule, after a warmup if there is one."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

from downslope.reading.arithmetic import is_number
from downslope.reading.configuration.build import Build
from downslope.reading.configuration.entries import Entry, holds_number, squeezed, words_of
from downslope.reading.configuration.keys import POLICIES
from downslope.reading.configuration.settings import Setting, Settings, bare_path, schedules
from downslope.reading.order import tidy, whole
from downslope.reading.plan import LENGTHS, PER_STEP, RAMPS, Plan, complete, put_unit, ratio_of, total_of
from downslope.reading.reading import Field

Base = tuple[float, Setting] | None
"""The initial or peak learning rate, and the setting that says it."""


def put_rate(build: Build) -> float | None:
    """Put the fields of the learning rate, and return its initial or peak value."""
    settings = build.settings
    lr, main = _lr(build), settings
    listed = [*dict.fromkeys(one.scheduler for found in settings.by_concept.values() for one in found if one.scheduler)]
    if listed:
        main, warmup = _of_list(build, listed, lr)
        own = main.first("lr")
        lr = (float(own.value), own) if own is not None and is_number(own.value) else lr
    else:
        warmup = _warmup(build, main, lr)
    root = "sgd.lr" if warmup is None else "sgd.lr.then"
    plan = _Filling(build, main, root, lr, warmup).fill()
    if plan is None:
        plan = Plan("constant")
        if lr is not None:
            plan.put("value", build.stated(root, lr[1], lr[0], *_shape(build)))
    if warmup is not None:
        warmup.then, plan = plan, warmup
    build.found.fields |= complete(plan, build.found.fields, build.say)
    return lr[0] if lr is not None else None


def _lr(build: Build) -> Base:
    """Return the initial or peak learning rate; of a list of one number that number, and of a longer list none."""
    settings = build.settings
    _order(settings)
    setting = settings.first("warmup_end", "lr")
    parts = [one[0].value for name in ("head_lr", "backbone_lr") if (one := settings.by_concept.get(name))]
    if setting is None and len(parts) == 2 and parts[0] == parts[1]:  # of all parts, each by itself
        setting = settings.first("head_lr")
    begins = settings.by_concept.get("warmup_start", [None])[0]
    if setting is None and begins is not None and squeezed(begins.entry.path[-1]) in {"lrinit", "initlr"}:
        setting = settings.first("warmup_start")  # alone it is the rate itself
        settings.by_concept.pop("warmup_start")
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
        derived = replace(setting.entry, value=None, derived=True)
        return tidy(setting.value * batch.value / reference.value), Setting("lr", None, derived)
    return float(setting.value), setting


def _order(settings: Settings) -> None:
    """Let the rate at the top of a way up come first; the lower one, where it starts, is the warmup's."""
    rates = [one for one in settings.by_concept.get("lr", []) if is_number(one.value)]
    top = next((one for one in rates if words_of(one.entry.path[-1:]) & {"max", "peak"}), None)
    low = [one for one in rates if words_of(one.entry.path[-1:]) & {"start", "init", "initial", "begin"}]
    if top is not None and low and low[0].value < top.value:
        settings.by_concept["lr"] = [top, *(one for one in rates if one not in (top, *low))]
        settings.by_concept.setdefault("warmup_start", low)


_OF_SHAPE = ("times", "milestones", "values", "gamma", "final")
"""What only a rate that changes has."""


def _shape(build: Build) -> tuple[str, ...]:
    """Return the marks of a rate that is told to change in a way that cannot be told here."""
    by_concept = build.settings.by_concept
    first = by_concept.get("lr", ())
    if not first and by_concept.get("scaled_lr"):
        return ("per_device",)
    left = [one.entry for concept in _OF_SHAPE for one in by_concept.get(concept, ())]
    for one in build.settings.entries:
        keys = bare_path(one.path)  # a schedule's own key may hold words: scheduler: MultiStepLR [60, 120], gamma 0.2
        told = holds_number(one.value) and any(map(schedules, keys if isinstance(one.value, str) else keys[:-1]))
        left += [one] if told and squeezed(one.path[-1]) not in {"lastepoch", "warmupmomentum"} else []
    several = first and isinstance(first[0].value, list) and len(first[0].value) > 1
    if several or any(one.place not in build.settings.taken for one in left):
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


_STARTS = ("startvalue", "startlr")

# Schedules that are listed: OpenMMLab's param_scheduler, PaddleDetection's schedulers, and the like


def _of_list(build: Build, listed: list[tuple[str, ...]], lr: Base) -> tuple[Settings, Plan | None]:
    """Return the settings of the schedule itself, and the warmup that stands before it."""
    mains: list[Settings] = []
    warmup = None
    for path in listed:
        own = build.settings.sub(path)
        policy = own.first("policy")
        name = squeezed(policy.value) if policy is not None else ""
        end_factor = own.by_concept.get("final_fraction")
        first, last = _inner(build, path, *_STARTS), _inner(build, path, "endvalue", "endlr")
        rises = first is not None and last is not None and first.value < last.value
        rises = rises or "warmup" in name or (own.by_concept.get("warmup_factor") and not end_factor)
        if rises and warmup is None and (not mains or "warmup" in name):
            warmup = _listed_warmup(build, path, own, lr)
        elif kind_of(name) != "constant":
            mains.append(own)
    for other in mains[1:]:
        policy = other.first("policy")
        if policy is not None:
            build.say("another", path="sgd.lr.schedule", words=build.words(policy.entry))
    if not mains:
        return replace(build.settings, by_concept={}), warmup
    main = mains[0]
    for concept in ("final", "power", "gamma"):
        kept = [one for one in build.settings.by_concept.get(concept, ()) if not one.scheduler]
        if kept:
            main.by_concept.setdefault(concept, kept)
    return main, warmup


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


def _listed_warmup(build: Build, path: tuple[str, ...], own: Settings, lr: Base) -> Plan | None:
    ends = "end totaliters steps epochs warmupiters warmupsteps warmupepochs duration"
    start, end = _inner(build, path, *_STARTS), _inner(build, path, *ends.split())
    if end is None:  # a part of the whole: `lengths: [0.1, 0.9]` beside the list
        lengths = next(iter(_beside(build, path, "lengths")), None)
        if lengths is None or start is None or not _parts(_times(lengths.value)):
            return None
        build.settings.taken.add(lengths.place)
        plan = _begun(build, Setting("lengths", lengths.value[0], lengths), parts=True)
        return plan.put("start", build.field(start.value, "stated", "", start))
    key, begin, total = squeezed(end.path[-1]), _inner(build, path, "begin"), total_of(build.found.fields)
    duration = end.value - (begin.value if begin is not None and key == "end" else 0)
    by_epoch, system = own.first("by_epoch"), build.settings.system
    if by_epoch is not None:
        unit = "epoch" if by_epoch.value else "step"
    elif system.name == "openmmlab":
        unit = system.unit
    elif key == "totaliters":
        unit = total[1] if total is not None and duration < total[0] else "step"
    else:
        unit = "step" if "step" in key or "iter" in key else "epoch"
    build.settings.taken |= {one.place for one in _beside(build, path, "milestones") if one.value == [end.value]}
    plan = _begun(build, Setting("warmup", duration, end)).put("unit", _counted(build, unit))
    plan.clocked = start is None
    if start is not None:
        return plan.put("start", build.field(start.value, "stated", "", start))
    return _start_at(build, plan, lr, own.first("warmup_factor"))


def _begun(build: Build, setting: Setting, *, parts: bool = False, clocked: bool = False) -> Plan:
    """Return the plan of a warmup that lasts as long as a setting says."""
    plan, system = Plan("warmup", parts=parts, clocked=clocked), build.settings.system.name
    bent = system == "darknet" or any(name == "warmup_shape" for name, _ in build.found.remarks)
    if system == "darknet":
        build.say("warmup_shape", words=build.words(setting.entry))
    named = build.field("warmup", "stated", "", setting.entry)
    plan.put("schedule", replace(named, marks=("shape",) if bent else ()))
    return plan.put("duration", build.stated("sgd.lr.duration", setting))


def _counted(build: Build, unit: str, why: str = "") -> Field:
    return build.field(unit, "implied", why or ("counted in epochs" if unit == "epoch" else PER_STEP))


def _start_at(build: Build, plan: Plan, lr: Base, factor: Setting | None) -> Plan:
    """Put the first rate of a warmup: a part of the learning rate, else what the system begins with."""
    if factor is not None and (lr is not None or factor.value == 0):
        value = tidy(lr[0] * factor.value) if lr is not None else 0.0
        plan.put("start", build.field(value, "stated" if value == factor.value else "implied", "", factor.entry))
    system = build.settings.system
    if "warmup_start" in system.defaults:
        plan.put("start", build.field(system.defaults["warmup_start"], "implied", f"the default of {system.name}"))
    return plan


# A warmup that keys tell


_AFTER_ONE = frozenset({"cosine", "polynomial", "step", "multistep", "exponential"})
"""Schedules of which a policy's name may say that a warmup stands before them: warmup_cosine."""


def _warmup(build: Build, settings: Settings, lr: Base) -> Plan | None:
    ratio = settings.first("fraction", "warmup_ratio")
    setting = settings.first("warmup_epochs") or settings.first("warmup_steps") or settings.first("warmup")
    told = setting is not None or ratio is not None
    if setting is not None and is_number(setting.value) and setting.value == 0:
        setting = None
    fraction = ratio if ratio is not None and (setting is None or ratio.concept == "fraction") else None
    by_epoch, method = settings.first("warmup_by_epoch"), settings.first("warmup_method")
    policy = (settings.by_concept.get("policy") or [None])[0]
    if not told and policy is not None and "warmup" in squeezed(policy.value) and kind_of(policy.value) in _AFTER_ONE:
        named = Plan("warmup", clocked=not settings.system.restart)
        return named.put("schedule", build.field("warmup", "stated", "", policy.entry))  # for how long is not said
    if setting is None and (fraction is None or not 0 < fraction.value < 1):
        return None
    if method is not None and kind_of(method.value) not in {None, "linear"}:
        build.say("warmup_shape", words=build.words(method.entry))
    clocked = not settings.system.restart
    if setting is None and fraction is not None:
        plan = _begun(build, fraction, parts=True, clocked=clocked)
    elif setting is not None:
        unit = {"warmup_epochs": "epoch", "warmup_steps": "step"}.get(setting.concept, "")
        told = build.field(unit, "stated", "", setting.entry) if unit else None
        if by_epoch is not None and by_epoch.value:
            told = replace(told, value="epoch") if told is not None else _counted(build, "epoch")
        plan = _begun(build, setting, parts=told is None and setting.value < 1, clocked=clocked).put("unit", told)
    else:
        return None
    start = settings.first("warmup_start")
    if start is None and lr is not None and lr[1].concept == "warmup_end":
        start = settings.first("lr")
        start = start if start is not None and start.value != lr[0] else None
    if start is not None and is_number(start.value):
        return plan.put("start", build.field(start.value, "stated", "", start.entry))
    return _start_at(build, plan, lr, settings.first("warmup_factor") or (ratio if fraction is None else None))


# The schedule


def _times(value: Any) -> list[float]:
    return value if isinstance(value, list) else [value]


def _parts(times: list[float]) -> bool:
    """Whether times are parts of the whole training."""
    return bool(times) and all(is_number(one) and 0 < one < 1 for one in times)


class _Filling:
    """Fills in the plan of the schedule, without a warmup.

    Args:
        build: The findings so far.
        main: The schedule's settings.
        root: Path of its fields.
        lr: The learning rate.
        warmup: The warmup before it, or None.
    """

    def __init__(self, build: Build, main: Settings, root: str, lr: Base, warmup: Plan | None) -> None:
        """Begin with an empty plan."""
        self.build, self.main, self.root, self.lr, self.warmup = build, main, root, lr, warmup
        self.system, self.policy = build.settings.system, main.first("policy")
        self.plan = Plan("constant")
        self.total = total_of(build.found.fields)

    def fill(self) -> Plan | None:
        """Return the plan, or None if the rate is constant, for all that can be told."""
        main, policy = self.main, self.policy
        kind = kind_of(policy.value) if policy is not None else None
        times = main.first("milestones", "times")
        if main.by_concept.get("values") and kind in {None, "multistep", "step"}:
            return self._levels(times or main.first("every"))
        if policy is not None and kind == "":
            self.build.say("no_word", words=self.build.words(policy.entry))
            return None
        if kind == "cyclic":
            self.build.say("restarts")
            kind = "cosine"
        gamma = main.by_concept.get("gamma", [None])[0]
        if gamma is not None and gamma.value == 1 and kind in {"step", "multistep", "exponential", None}:
            main.first("gamma")
            main.first("every")
            return None
        word = squeezed(policy.value) if policy is not None else ""
        if kind == "linear" and "warmup" in word and "decay" not in word and self.system.name != "transformers":
            kind = None
        if policy is None and self.system.name == "yolo":
            return self._yolo()
        steps = times is not None or main.by_concept.get("every") or main.by_concept.get("power")
        if policy is None and main.by_concept.get("patience") and not steps:  # whose keys all speak of the rate
            kind = "plateau"
        if kind == "plateau":
            self._plateau()
        word_of_warmup = kind == "constant" and "warmup" in word
        if word_of_warmup and times is not None and isinstance(times.value, list):
            return self._multistep(times)
        if kind in {"plateau", "constant"}:
            return None
        if kind in RAMPS or kind == "onecycle":
            return self._ramp(kind, policy)
        if kind == "inverse":
            return self._named(kind, policy).take(gamma="gamma", power="power")
        by_period = kind == "step" and main.by_concept.get("every") and times and not isinstance(times.value, list)
        if times is not None and by_period:
            self._leave(times)
        elif kind in {"multistep", "step", None} and times is not None:
            return self._multistep(times)
        every = main.first("every") or (main.first("every_flag") if main.by_concept.get("gamma") else None)
        if kind in {"step", "exponential", "multistep"} or (kind is None and every is not None):
            return self._stairs(kind, every)
        power = main.by_concept.get("power", [None])[0]
        if kind is None and power is not None and self.total and self._of_poly(power.entry):
            return self._ramp("polynomial", power)
        gamma = main.first("gamma")
        if gamma is not None and kind is None:
            self._leave(gamma)
        return None

    def _of_poly(self, power: Entry) -> bool:
        """Whether a power's key, or a comment beside it, says that it is a polynomial's."""
        text, start = self.build.part.text.lower(), power.start
        above = max(text.rfind("\n\n", 0, start), start - 300, 0)
        end = text.find("\n", power.end)
        beside = text[above : end if end > 0 else len(text)][:900]
        comments = re.findall(r"(?:#|//|;)([^\n]*)", beside)
        named = squeezed(power.path[-1]) != "power"
        return named or any("poly" in comment or "多项式" in comment for comment in comments)

    # putting

    def _named(self, kind: str, setting: Setting | None, *, stated: bool = True, base: str = "initial") -> _Filling:
        """Begin the plan of a schedule that a setting tells of, at the learning rate."""
        self.plan.kind = kind
        if setting is not None:
            self.plan.put("schedule", self.build.field(kind, "stated" if stated else "implied", "", setting.entry))
        if self.lr is not None:
            marks = ("per_device",) if self.lr[1].concept == "scaled_lr" else ()
            self.plan.put(base, self.build.stated(f"{self.root}.{base}", self.lr[1], self.lr[0], *marks))
        return self

    def state(self, name: str, setting: Setting, value: Any = None) -> None:
        """Put what a setting says; if only its value, or a part of it, is meant, that follows from it."""
        if value is None or value == setting.value:
            self.plan.put(name, self.build.stated(f"{self.root}.{name}", setting, value))
        else:
            self.plan.put(name, self.build.field(value, "implied", "", setting.entry))

    def take(self, **concepts: str) -> Plan:
        """Put each field whose concept is set, and return the plan."""
        for name, concept in concepts.items():
            setting = self.main.first(concept)
            if setting is not None and concept == "gamma" and setting.value > 1:  # what the rate is divided by
                self.state(name, setting, 1 / setting.value)
            elif setting is not None and (is_number(setting.value) or isinstance(setting.value, bool)):
                self.state(name, setting)
        return self.plan

    def usual(self, name: str, concept: str) -> None:
        """Put what a concept is in this system where nothing is written."""
        if concept in self.system.defaults:
            default = self.build.field(self.system.defaults[concept], "implied", f"the default of {self.system.name}")
            self.plan.put(name, default)

    def _leave(self, setting: Setting) -> None:
        self.build.settings.taken.discard(setting.entry.place)

    def _unit(self, setting: Setting | None) -> None:
        """Put the unit of a schedule's times where the key, the table or the system says it."""
        times, by_epoch = _times(setting.value) if setting is not None else [], self.main.first("by_epoch")
        lengths = {*LENGTHS.values()} & self.build.found.fields.keys()
        epochs = self.total[0] if self.total is not None and lengths == {"train.epochs"} else None
        if setting is not None and setting.unit:
            self.plan.put("unit", self.build.field(setting.unit, "stated", "", setting.entry))
        elif by_epoch is not None:
            words = self.build.words(by_epoch.entry)
            self.plan.put("unit", _counted(self.build, "epoch" if by_epoch.value else "step", words))
        elif epochs is not None and times and (min(times) > epochs or 0 < max(times) <= epochs):
            return  # whatever is usual there, the length tells
        elif self.system.unit:
            steps = (
                lengths == {"train.steps"}
                and not self.build.settings.first("by_epoch")
                and max(times, default=0) >= 1000
            )
            self.plan.put("unit", _counted(self.build, "step" if steps else self.system.unit))

    # steps

    def _multistep(self, times: Setting) -> Plan | None:
        milestones, scales = _times(times.value), self.main.first("scales")
        if scales is not None and milestones and milestones[0] == 0 and scales.value[0] == 1:
            scales = replace(scales, value=scales.value[: len(milestones)])  # each relative to the base rate
        if scales is not None and scales.entry.path[-1] == "decay_rates" and len(scales.value) == len(milestones):
            scales = replace(scales, value=[1, *scales.value])  # each relative to the first rate
        if milestones and milestones[0] == 0:  # where each stage begins, the first too
            milestones = milestones[1:]
        parts = _parts(milestones)
        if not milestones or (parts and self.total is None) or not all(a < b for a, b in pairwise(milestones)):
            self._leave(times)
            self.build.say("no_total" if parts else "no_milestones")
            return None
        if scales is not None and isinstance(scales.value, list) and len({*scales.value} - {1}) > 1:
            return self._scaled(times, milestones, scales)
        self._named("multistep", self.policy or times)
        self._put_times(times, milestones)
        if scales is not None and scales.value:
            factor = next((one for one in scales.value if one != 1), 1.0)
            self.plan.put("factor", self.build.field(factor, "stated", "", scales.entry))
        return self._factor("factor")

    def _put_times(self, times: Setting, milestones: list[float]) -> Plan:
        """Put the times at which the rate changes, which are stated where all that are written count."""
        known = len(milestones) == len(_times(times.value))
        self.state("times", replace(times, value=milestones) if known else times, milestones)
        self.plan.parts = _parts(milestones)
        if not self.plan.parts:
            self._unit(times)
        return self.plan

    def _factor(self, name: str) -> Plan:
        """Put by what the rate is multiplied: what is written, the system's default, or a tenth."""
        if name not in self.plan.fields:
            self.take(**{name: "gamma"})
            self.usual(name, "gamma")
        if name not in self.plan.fields:
            self.plan.assume_factor(name, self.build.say)
        return self.plan

    def _scaled(self, times: Setting, milestones: list[float], scales: Setting) -> Plan | None:
        """Put steps by factors that differ: Darknet's factors in a row, or rates relative to the first."""
        relative = len(scales.value) == len(milestones) + 1
        factors = scales.value if relative else [*accumulate([1, *scales.value[: len(milestones)]], lambda a, b: a * b)]
        ratio = ratio_of(factors)
        if self.lr is not None:
            levels = [tidy(self.lr[0] * factor) for factor in factors]
            self.plan.put("levels", self.build.field(levels, "implied", "", scales.entry))
        elif ratio is not None:
            self.plan.put("factor", self.build.field(ratio, "implied", "", scales.entry))
        else:
            return None
        self._named("multistep" if self.lr is None else "levels", self.policy or times)
        return self._put_times(times, milestones)

    def _levels(self, times: Setting | None) -> Plan | None:
        """Put a schedule whose rates are listed one after the other."""
        values, lr, total = self.main.first("values"), self.lr, self.total
        if values is None:
            return None
        levels = [float(one) for one in values.value]
        milestones = _times(times.value) if times is not None else []
        if len(levels) == len(milestones) and milestones[0] > 0 and lr is not None and lr[0] > levels[0]:
            levels = [lr[0], *levels]
        if times is None and total is not None and len(levels) > 1:
            milestones = [whole(total[0] * place / len(levels)) for place in range(1, len(levels))]
        if milestones and milestones[0] == 0:
            milestones = milestones[1:]
        if times is not None and len(levels) == len(milestones) and "lr" not in self.build.settings.by_concept:
            milestones = milestones[:-1]  # the end of the last level: nothing follows it
        if not milestones or len(levels) != len(milestones) + 1 or not all(a < b for a, b in pairwise(milestones)):
            self._leave(values)
            return None
        first = next((one for one in self.main.by_concept.get("lr", ()) if one.value == levels[0]), values)
        self.build.settings.taken.add(first.entry.place)
        self.plan.put("initial", self.build.field(levels[0], "stated", "", first.entry))
        self.plan.put("levels", self.build.field(levels, "stated", "", values.entry))
        self.lr = None
        self._named("levels", self.policy or values)
        if times is not None:
            return self._put_times(times, milestones)
        if total is not None:
            why = f"equal parts of the training: {total[2]}"
            self.plan.put("times", self.build.field(milestones, "implied", why))
        return self.plan

    def _stairs(self, kind: str | None, every: Setting | None) -> Plan | None:
        if every is None and kind != "exponential":
            gamma = self.main.first("gamma")
            if kind == "multistep":
                return self._named(kind, self.policy).take(factor="gamma")
            if kind == "step":
                self.build.say("no_milestones")
            if gamma is not None:
                self._leave(gamma)
            return None
        self._named("exponential", self.policy or every, stated=self.policy is not None)
        self._factor("rate")
        self.take(every=every.concept, staircase="staircase") if every is not None else self.take(staircase="staircase")
        self._unit(every)
        self.plan.put("every", self.build.field(1, "implied", "once per call"))
        put_unit(self.plan, [self.plan.value("every")], self.build.found.fields)
        by_epoch = every is None and self.plan.value("unit") == "epoch"
        if kind != "exponential" or by_epoch or self.system.name == "tensorflow":
            self.plan.put("staircase", self.build.field(True, "implied", "it drops at once"))
        return self.plan

    # ramps

    def _ramp(self, kind: str, setting: Setting | None) -> Plan:
        stated = setting is None or setting.concept == "policy"
        self._named(kind, setting, stated=stated, base="peak" if kind == "onecycle" else "initial")
        if kind == "onecycle":
            self.take(pct_start="pct_start", div_factor="div_factor", final_div_factor="final_div_factor")
            return self._duration()
        self.take(final="final")
        self._fraction()
        if kind == "polynomial":
            self.take(power="power")
            self.usual("power", "power")
        return self._duration()

    def _fraction(self) -> None:
        """Put the end of a ramp that is a part of the learning rate."""
        fraction = self.main.first("final_fraction")
        if fraction is not None and self.lr is not None:
            self.plan.put("final", self.build.field(tidy(self.lr[0] * fraction.value), "implied", "", fraction.entry))

    def _duration(self) -> Plan:
        """Put how long the schedule is said to take."""
        stated, before = self.main.first("duration"), self.warmup.value("duration") if self.warmup else None
        every = self.main.by_concept.get("every", [None])[0]
        if stated is None and every is not None and "decaysteps" in squeezed(every.entry.path[-1]):
            stated = self.main.first("every")
        if stated is not None:
            counts_it = before and self.system.name in {"tensorflow", "fairseq"}  # the warmup too
            self.state("duration", stated, whole(stated.value - before) if counts_it else None)
            self._unit(stated)
            return self.plan
        told = (one.scheduler for settings in self.main.by_concept.values() for one in settings if one.scheduler)
        scheduler = next(told, ())
        end = _inner(self.build, scheduler, "end") if scheduler else None
        if end is not None:
            begin = _inner(self.build, scheduler, "begin")
            begun = begin.value if begin is not None else 0
            self.state("duration", Setting("duration", end.value, end), whole(end.value - begun))
            self._unit(Setting("duration", end.value, end))
            same_unit = self.warmup is not None and self.warmup.value("unit") == self.plan.value("unit")
            if self.warmup is not None and same_unit and begun == before:
                self.warmup.put("restart", self.build.field(True, "implied", self.build.words(end)))
        return self.plan

    def _plateau(self) -> None:
        watched = Plan("plateau")
        self.plan, self.root = watched, "train.plateau"
        self.take(factor="gamma", patience="patience", min_lr="final")
        if self.policy is not None:
            watched.put("factor", self.build.field(0.1, "implied", "the default of torch's ReduceLROnPlateau"))
        mode = self._entry("mode", "max")
        watched.put("metric", self.build.field("accuracy", "implied", "", mode) if mode is not None else None)
        self.build.found.fields |= complete(watched, self.build.found.fields, self.build.say)

    def _entry(self, name: str, value: object) -> Entry | None:
        entries = self.build.settings.entries
        return next((one for one in entries if squeezed(one.path[-1]) == name and one.value == value), None)

    def _yolo(self) -> Plan | None:
        """Put YOLO's schedule, down to lr0 * lrf: a line unless `cos_lr` asks for a cosine."""
        if self.lr is None or self.main.first("final_fraction") is None:
            return None
        cosine = self._entry("coslr", True)
        if cosine is not None:
            self.plan.put("schedule", self.build.field("cosine", "stated", "", cosine))
        else:
            why = "Ultralytics lowers lr in a line unless cos_lr is set"
            self.plan.put("schedule", self.build.field("linear", "assumed", why))
        self._named("linear" if cosine is None else "cosine", None)
        self._fraction()
        return self._duration()
