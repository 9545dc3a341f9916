"""The learning rate over a program's run: what schedulers, callbacks, loops and functions make of it."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from itertools import pairwise

from downslope.reading.arithmetic import is_number
from downslope.reading.code.by_words import row_by_words
from downslope.reading.code.calling import Change
from downslope.reading.code.formulas import plan_of_formulas
from downslope.reading.code.interpreter import Interpreter
from downslope.reading.code.optimizers import Optimizer
from downslope.reading.code.recognise import nice, recognise
from downslope.reading.code.sampling import (
    PRETENDED,
    alike,
    relative,
    sample_function,
    sample_shift,
    steps_of,
    time_parameter,
    with_words,
)
from downslope.reading.code.schedules import Schedules, reason
from downslope.reading.code.tree import RATE_KEYS, name_of
from downslope.reading.code.values import (
    NOWHERE,
    Class,
    Function,
    Made,
    PerEpoch,
    Ref,
    Unknown,
    Value,
    find_in_class,
    is_known,
    join_sources,
    words_of,
)
from downslope.reading.plan import Plan

_WRAPPERS = words_of(
    "SequentialLR ChainedScheduler GradualWarmupScheduler LinearWarmup linear_lr_warmup LRSequential join_schedules"
)
_OTHER = re.compile(r"LR$|[Ss]chedule|[Ww]armup")
_SCHEDULER = re.compile(r"^(?!LearningRateSchedule)(?:lr|learning_?rate)_?sched", re.IGNORECASE)
_TELLING = ("lr", "learning_rate", "schedule", "decay", "warmup", "adjust")


def plan_rate(
    on: Interpreter, one: Optimizer | None, schedules: Schedules, named: Value | None, length: float | None
) -> Plan | None:
    """Return what the learning rate does in the run, or None if nothing is known of it.

    Args:
        on: The interpreter that has gone through the program.
        one: The optimizer, or None.
        schedules: What reads schedules.
        named: A learning rate that a variable's name alone says, for where nothing else does.
        length: Epochs of the run, or None.
    """
    base = one.settings.get("lr") if one is not None else None
    own = schedules.of(base)
    if own is not None and own.kind != "constant":
        return own
    base = base if base is not None and is_number(base.data) else None
    if base is not None and not base.data:  # it is set later
        base, own, schedules.unrecognised = None, None, True
    scheduled, before = _scheduled(on, one, schedules, base), schedules.unrecognised
    for plan in (
        scheduled,
        _called_back(on, base, length, schedules),
        _shifted(on, base, schedules),
        _shifted_by_function(on, base, length),
        _listed(on, base, schedules),
        _of_trainer(one, base, schedules),
        _changed(on, one, base, length, schedules),
        _of_optimizer_itself(one, base, schedules),
    ):
        if plan is not None:
            return plan
    alone = None if before and base is not None else _alone(on, base or named, length)
    if alone is not None and (alone.kind != "constant" or base is None):
        return alone
    if own is None and one is None:
        for made in on.made:
            found = schedules.made(made, base or named) if schedules.knows(made) else None
            if found is not None:
                alone = schedules.made(made)  # what it is given itself goes before what a name says
                told = alone is not None and "initial" in (alone.then or alone).fields
                return alone if told else found
    found = plan_of_formulas(on)
    return found.put("initial", base or named) if found is not None and base is not None else found or own


def _scheduled(on: Interpreter, one: Optimizer | None, schedules: Schedules, base: Value | None) -> Plan | None:
    """Return what the schedulers make of it that were given this optimizer."""
    inner = {id(part.data) for made in on.made if made.name in _WRAPPERS for part in _parts(made)}
    found: dict[int, Made] = {}
    for made in on.made:
        if id(made) in inner or made.name == "ReduceLROnPlateau" or not schedules.knows(made):
            continue
        target = made.kwargs.get("optimizer") or (
            made.args[0] if made.args and not is_known(made.args[0].data) else None
        )
        other = target is not None and isinstance(target.data, Made) and one is not None and target.data is not one.made
        if not other and _is_scheduler(made):
            found.setdefault(made.start, made)
    sure = [made for made in found.values() if made.doubt == min(m.doubt for m in found.values())]
    for made in found.values():
        if made not in sure:
            schedules.remarks.append(("rate_if_measured", {"words": on.program.text[made.start : made.end][:120]}))
    if not sure:
        for made in on.made:
            given = made.kwargs.get("optimizer") or next(iter(made.args), None)
            owner = given.data if given is not None and one is not None else None
            of_this = (isinstance(owner, Ref) or (one and owner is one.made)) and _OTHER.search(made.name)
            if of_this or _SCHEDULER.search(made.name):
                schedules.not_recognised(made.start, made.end)
        return None
    plan = schedules.together(sure, base) or schedules.made(sure[0], base)
    if plan is None:
        schedules.not_recognised(sure[0].start, sure[0].end)
    return plan


def _is_scheduler(made: Made) -> bool:
    """Return whether a schedule works on an optimizer, and is not the learning rate that one is given."""
    own = "instance" in made.notes
    return (
        own
        or row_by_words(made) is not None
        or made.name.endswith(("LR", "Scheduler", "Restarts", "_warmup"))
        or made.name in _WRAPPERS | {"get_scheduler", "fit_one_cycle", "create_scheduler", "create_scheduler_v2"}
    )


def _parts(made: Made) -> list[Value]:
    parts: list[Value] = []
    for value in [*made.args, *made.kwargs.values()]:
        parts += value.data if isinstance(value.data, list | tuple) else [value]
    return parts


def _called_back(on: Interpreter, base: Value | None, length: float | None, schedules: Schedules) -> Plan | None:
    """Return what Keras's LearningRateScheduler, or tensorpack's setter by a function, calls every epoch."""
    for made in on.made:
        setter = made.name == "HyperParamSetterWithFunc" and bool(made.args) and made.args[0].data == "learning_rate"
        if setter or made.name in {"LearningRateScheduler", "LearningRateSchedule"}:
            function = made.argument("func" if setter else "schedule", int(setter))
            if function is not None and isinstance(function.data, Function):
                plan = sample_function(on, function.data, "epoch", length, base)
                if plan is None:
                    schedules.not_recognised(made.start, made.end)
                return plan
        own = made.notes.get("callback")
        methods = [find_in_class(own.data.of, name) for name in _OF_CALLBACKS] if own is not None else []
        for place, method in enumerate(methods):
            if method is None or not isinstance(method.data, Function) or not _sets(method.data.node):
                continue
            bound = method.data.bound_to(own) if own is not None else method.data
            plan = sample_function(on, bound, "epoch", length, base) if place < _BY_EPOCH else None
            if plan is None:
                schedules.not_recognised(made.start, made.end)
            return plan
    return None


_OF_CALLBACKS = ("on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_batch_begin", "on_batch_end")
_BY_EPOCH = 1
"""Of these methods, those whose rate is that of the epoch which they are told."""


def _sets(node: ast.AST) -> bool:
    """Return whether a callback's method sets a learning rate."""
    calls = [
        one for one in ast.walk(node) if isinstance(one, ast.Call) and name_of(one.func) in {"set_value", "assign"}
    ]
    return any(name_of(arg) in RATE_KEYS for one in calls for arg in [*one.args, getattr(one.func, "value", None)])


def _shifted(on: Interpreter, base: Value | None, schedules: Schedules) -> Plan | None:
    """Return what Chainer's ExponentialShift does at its trigger."""
    for made in on.made:
        shift = made.args[0].data if made.name == "extend" and made.args else None
        trigger = made.argument("trigger", 1)
        if not isinstance(shift, Made) or shift.name != "ExponentialShift" or trigger is None:
            continue
        rate = shift.argument("rate", 1)
        when = trigger.data.args if isinstance(trigger.data, Made) else trigger.data
        if rate is not None and isinstance(when, list | tuple) and len(when) == 2:
            several = isinstance(when[0].data, list | tuple)
            row, name = (_SHIFTS, "times") if several else ("ExponentialShift", "every")
            plan = schedules.fill(made, row, {"rate": rate, name: when[0]}, base)
            unit = reason("step" if when[1].data == "iteration" else "epoch", "as its trigger counts")
            return plan and replace(plan, fields=plan.fields | {"unit": unit})
    return None


_SHIFTS = "ExponentialShift at times"


def _shifted_by_function(on: Interpreter, base: Value | None, length: float | None) -> Plan | None:
    """Return what a function does that Chainer's `make_shift` decorates."""
    for value in [*on.globals.names.values(), *on.inner]:
        decorators = getattr(value.data.node, "decorator_list", []) if isinstance(value.data, Function) else []
        if any(isinstance(one, ast.Call) and name_of(one.func) == "make_shift" for one in decorators):
            return sample_shift(on, value.data, length, base)
    return None


def _of_trainer(one: Optimizer | None, base: Value | None, schedules: Schedules) -> Plan | None:
    """Return the schedule of transformers' TrainingArguments: a line down unless another is named."""
    if one is None or not one.made.name.endswith("TrainingArguments") or base is None:
        return None
    given = one.made.kwargs
    kind = given.get("lr_scheduler_type") or reason("linear", "the default of TrainingArguments")
    if str(kind.data) not in {"linear", "cosine", "constant", "constant_with_warmup"}:
        return None
    warm, ratio = given.get("warmup_steps"), given.get("warmup_ratio")
    if warm is None and ratio is not None and is_number(ratio.data) and ratio.data:
        part = PerEpoch(nice(ratio.data * schedules.epochs)) if schedules.epochs else Unknown("ratio")
        most = given.get("max_steps")
        if most is not None and is_number(most.data) and most.data > 0:
            part = nice(ratio.data * most.data)
        warm = Value(part, ratio.start, ratio.end)
    told = {"num_warmup_steps": warm} if warm is not None else {}
    made = Made("", "", [], {}, kind.start, kind.end)
    return schedules.of_transformers(made, str(kind.data).partition("_")[0], told, base)


def _listed(on: Interpreter, base: Value | None, schedules: Schedules) -> Plan | None:
    """Return what tensorpack's setter of a hyperparameter sets: (epoch, value) pairs."""
    for made in on.made:
        pairs = made.argument("schedule", 1)
        about = made.args[0].data if made.args else ""
        if made.name != "ScheduledHyperParamSetter" or pairs is None or "learning_rate" not in str(about):
            continue
        rows = (
            [row.data for row in pairs.data if isinstance(row.data, list | tuple) and len(row.data) == 2]
            if isinstance(pairs.data, list | tuple)
            else []
        )
        if not rows or not all(is_number(item.data) for row in rows for item in row):
            continue
        if rows[0][0].data > 1 and base is not None:
            rows = [[Value(0), base], *rows]
        if len(rows) > 1:
            later = rows[1:] if rows[0][0].data <= 1 else rows
            times = Value([row[0] for row in later], later[0][0].start, pairs.end)
            levels = Value([row[1] for row in ([rows[0]] if later is not rows else []) + later], pairs.start, pairs.end)
            return schedules.of_levels(times, levels, reason("epoch", "counted in epochs"))
    return None


def _of_optimizer_itself(one: Optimizer | None, base: Value | None, schedules: Schedules) -> Plan | None:
    """Return what an optimizer does that lowers its own rate: by the `decay` of Keras 1 and 2, or by a power."""
    if one is None:
        return None
    settings, decay = one.settings, one.settings.get("decay")
    if decay is not None and is_number(decay.data) and decay.data > 0 and one.framework in {"keras", "tensorflow", ""}:
        made = replace(one.made, start=decay.start, end=decay.end)
        return schedules.fill(made, "keras.decay", {"decay": decay}, base)
    power = settings.get("lr_power") or settings.get("power") or settings.get("momentum")
    given = settings | ({"lr_power": power} if power is not None else {})
    return schedules.fill(one.made, "PolyOptimizer", given, base) if one.made.name == "PolyOptimizer" else None


# Changes in loops


def _changed(
    on: Interpreter, one: Optimizer | None, base: Value | None, length: float | None, schedules: Schedules
) -> Plan | None:
    """Return what the program itself sets, epoch by epoch."""
    changes = _of_optimizer(on.changes, one)
    sure = [change for change in changes if not change.unsure]
    for change in changes:
        if change.unsure and change.value.start >= 0:
            schedules.remarks.append(
                ("rate_if_measured", {"words": on.program.text[change.value.start : change.value.end][:120]})
            )
            break
    timed = [change for change in sure if change.epoch is not None or change.batch is not None]
    if not timed:
        called = [change for change in on.changes[: on.called_changes] if change in sure]
        if any(change.inside for change in called):
            schedules.unrecognised = True  # a loop whose rounds are not counted
            return None
        levels = [one.value for one in called if is_number(one.value.data) and NOWHERE not in one.value.sources]
        return Plan("constant", {"value": levels[-1]}) if levels else None
    place = timed[-1].value.start, timed[-1].value.end
    if one is not None and one.made.inside == "epoch" and timed[0].epoch not in {0, 1}:
        schedules.not_recognised(*place)  # what came before the first that is made is not known
        return None
    if any(change.epoch is not None and change.batch is not None for change in timed):
        plan = _within_epochs(on, one, base, length, place)
    else:
        unit = "epoch" if timed[0].epoch is not None else "step"
        end = length if unit == "epoch" else steps_of(on)
        shape, sources = _recognised(timed, base, end, (on.reach.get(unit, -1), on.rounds.get(unit, 0)))
        plan = with_words(shape, unit, sources, base, place) if shape is not None else None
        if plan is not None and NOWHERE in sources:
            plan = relative(plan)
    if any(change.late for change in timed):
        schedules.remarks.append(("rate_set_late", {}))
    if plan is None:
        schedules.not_recognised(*place)
        return None
    return plan if plan.kind != "constant" or base is None else None


def _of_optimizer(changes: list[Change], one: Optimizer | None) -> list[Change]:
    """Return the changes of this optimizer's rate, and those of one that is not known."""
    found: list[Change] = []
    for change in changes:
        data = change.optimizer.data
        other = isinstance(data, Made) and one is not None and data.start != one.made.start and data.name in _NAMES
        if change.key == "lr" and not other:
            found.append(change)
    base = one.settings.get("lr") if one is not None else None
    first = {change.group: change.value.data for change in reversed(found)}
    main = next((group for group, rate in sorted(first.items()) if base is not None and rate == base.data), 0)
    main = main if main in first else min(first, default=0)
    return [change for change in found if change.group == main]


_NAMES = frozenset({"SGD", "Adam", "AdamW", "RMSprop", "Momentum", "MomentumSGD"})


def _recognised(
    changes: list[Change], base: Value | None, end: float | None, gone: tuple[float, int], steps: int = 0
) -> tuple[Plan | None, dict[int, Value]]:
    """Return the shape of changes by time, the last of each time; a time without one keeps the rate before it.

    `gone` is the last round of the loop that was gone through, and how many were.
    """
    at: dict[float, Value] = {}
    for change in changes:
        time = change.epoch if change.epoch is not None else change.batch
        if time is not None and steps and change.batch is not None and change.epoch is not None:
            time = change.epoch + change.batch / steps
        at[time or 0] = change.value
    if not all(is_number(value.data) for time, value in at.items() if end is None or time < end):
        return None, {}
    samples = [(time, value.data) for time, value in sorted(at.items()) if is_number(value.data)]
    if not samples or (end is not None and gone[0] < end - 1):
        return None, {}  # not gone through to the end
    sources = join_sources(value.sources for value in at.values())
    first = samples[0][0]
    if not steps and first not in {0, 1} and base is not None:
        samples = [(0, base.data), *samples]
    elif not steps and first > 1 and NOWHERE in sources:
        samples = [(0, 1.0), *samples]
    if not steps and len(samples) * 2 < gone[1] and samples[0][0] in {0, 1}:
        samples = _filled(samples)
    return recognise(samples, end if end is not None else samples[-1][0] + 1), sources


def _filled(samples: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the rate around each change, and a while after the last."""
    found: dict[float, float] = {}
    for (before, value), (time, _) in pairwise(samples):
        found.update({before: value, time - 1: value})
    last, value = samples[-1]
    found.update(dict.fromkeys((last, last + 1, int(last * 1.5) + 2), value))
    return sorted(found.items())


def _within_epochs(
    on: Interpreter, one: Optimizer | None, base: Value | None, length: float | None, place: tuple[int, int]
) -> Plan | None:
    """Return the plan of changes batch by batch, where two pretended lengths of an epoch agree on it."""
    shapes: list[Plan] = []
    sources: dict[int, Value] = {}
    for steps in PRETENDED:
        again = Interpreter(on.program, on.flags, steps, on.beside, on.known)
        again.go()
        again_one = Optimizer(
            next(
                (m for m in again.made if one is not None and m.start == one.made.start), Made("", "", [], {}, -1, -1)
            ),
            "",
            "",
        )
        changes = [
            c
            for c in _of_optimizer(again.changes, again_one)
            if not c.unsure and c.epoch is not None and c.batch is not None
        ]
        if not changes:
            return None
        shape, sources = _recognised(changes, base, length, (again.reach.get("epoch", -1), 0), steps)
        if shape is not None:
            shapes.append(shape)
    if len(shapes) == len(PRETENDED) and not alike(*shapes):
        starts = [shape.fields.pop("start", 0.0) * steps for shape, steps in zip(shapes, PRETENDED, strict=True)]
        if abs(starts[0] - starts[1]) > 1e-6 * abs(starts[0]):  # one step above 0 is as good as 0
            return None
    if len(shapes) != len(PRETENDED) or not alike(*shapes):
        return None
    return with_words(shapes[0], "epoch", sources, base, place)


# Functions that nobody calls


def _alone(on: Interpreter, base: Value | None, length: float | None) -> Plan | None:
    """Return what a function gives, or sets, that the program defines and does not call in a loop."""
    functions: list[tuple[str, Function]] = []
    for name, value in on.globals.names.items():
        data = value.data
        if isinstance(data, Function):
            functions.append((name, data))
        elif isinstance(data, Class):
            methods = [one.data for one in data.attributes.values() if isinstance(one.data, Function)]
            methods = [one for one in methods if one.name != "__init__"]
            functions += [(f"{data.name}.{one.name}", one.bound_to(data.instance)) for one in methods]
    for told, function in functions:
        name, unit = time_parameter(function)
        if not name or not any(word in told.lower() for word in _TELLING):
            continue
        plan = sample_function(on, function, unit or "epoch", length if unit == "epoch" else None, base)
        if plan is not None and plan.kind != "constant":
            return plan
    return None
