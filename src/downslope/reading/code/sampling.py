"""Functions that give or set the learning rate by epoch or step: evaluated at many times, and named as a schedule."""

from __future__ import annotations

import ast
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import partial

from downslope.reading.arithmetic import is_number
from downslope.reading.code.calls import field_of
from downslope.reading.code.interpreter import Interpreter, telling_times
from downslope.reading.code.recognise import Samples, nice, recognise
from downslope.reading.code.tree import unit_of
from downslope.reading.code.values import (
    NOWHERE,
    Function,
    Made,
    Namespace,
    Value,
    find_in_class,
    join_sources,
    pretended_rate,
)
from downslope.reading.plan import Plan

_MOST_EPOCHS = 400
_UNKNOWN_LENGTH = 200
PRETENDED = (10, 7)
"""Steps of an epoch that are pretended, where a program does not say how many there are."""
_SAMPLE_BUDGET = 60_000
_CURRENT = frozenset({"lr", "current_lr", "learning_rate", "old_lr", "cur_lr"})
"""What a function calls the learning rate that it is given."""


def time_parameter(function: Function) -> tuple[str, str]:
    """Return the name of the parameter that counts epochs or steps, and which; "" where there is none."""
    parameters = function.node.args
    names = [one.arg for one in [*parameters.posonlyargs, *parameters.args]]
    counted = [
        (name, unit_of(name))
        for name in names
        if unit_of(name) and not name.startswith(("num", "n_", "max", "total", "warm", "decay")) and name[-1] != "s"
    ]
    if isinstance(function.node, ast.Lambda) and names:
        return names[0], unit_of(names[0])
    counted = counted or [(name, "epoch") for name in names if name in {"num_epoch", "n_epoch"}]
    return next((one for one in counted if one[1] == "epoch"), counted[0] if counted else ("", ""))


def steps_of(on: Interpreter) -> float | None:
    """Return how many steps a program trains for, as far as it says so."""
    known = {**on.usual, **on.named}
    named = [known["train.steps"]] if "train.steps" in known else []
    told = [*(one.value for one in on.lengths if one.unit == "step"), *named]
    pairs = [one.args[1].data for one in on.made if one.name == "Trainer" and len(one.args) > 1]
    told += [one[0] for one in pairs if isinstance(one, list | tuple) and len(one) == 2 and one[1].data == "iteration"]
    return next((value.data for value in told if is_number(value.data)), None)


def sample_function(
    on: Interpreter,
    function: Function,
    unit: str,
    length: float | None,
    base: Value | None,
    *,
    factor: bool = False,
    again: bool = False,
    more: dict[str, Value] | None = None,
) -> Plan | None:
    """Return the schedule that a function of the epoch or step gives, or sets.

    Args:
        on: The interpreter that knows its names.
        function: The function.
        unit: "epoch" or "step".
        length: How many of these the run has, or None.
        base: The learning rate that it begins with, as far as it is known.
        factor: Whether it gives a factor on `base`.
        again: Whether that is one on the rate before, from the second time on.
        more: Further arguments.
    """
    name, _ = time_parameter(function)
    if not name:
        return None
    function = _returning(function)
    in_epochs = unit == "step" and length is not None
    begins = int(any(_one_less(node, name) for node in ast.walk(function.node)))
    if length is None:  # as its own defaults say
        told = [one.data for key, one in function.defaults.items() if field_of(key).startswith("train.")]
        length = next((one for one in told if is_number(one)), None)

    def at(time: float, before: Value) -> Value:
        fake = Made("optimizer", "SGD", [], {"lr": before}, -1, -1)
        fake.notes["lr"] = before
        arguments = {name: Value(int(time) + begins), **(more or {})}
        if isinstance(function.node, ast.Lambda) and len(function.node.args.args) == 2 and not function.defaults:
            arguments.setdefault(function.node.args.args[1].arg, before)
        for parameter in [*function.node.args.args, *function.node.args.kwonlyargs]:
            if parameter.arg not in arguments and parameter.arg not in function.defaults:
                lowered = parameter.arg.lower()
                if "optim" in lowered or lowered == "opt":
                    arguments[parameter.arg] = Value(fake)
                elif lowered in _CURRENT:
                    arguments[parameter.arg] = before if running else base or pretended_rate()
                elif field_of(lowered) == "sgd.lr" or lowered in {"init", "base", "initial"}:
                    arguments[parameter.arg] = base or pretended_rate()
        known = len(on.changes)
        on.sampled_rate, on.current_rate = base or pretended_rate(), before
        found = on.loosened(on.call_function(function, [], arguments))
        on.sampled_rate = on.current_rate = None
        if isinstance(found.data, list | tuple) and found.data:
            found = found.data[0]
        if is_number(found.data) and factor:
            if again:
                made = before.data * found.data if time else before.data
                return Value(made, found.start, found.end, sources=join_sources([before.sources, found.sources]))
            if base is None or not is_number(base.data):
                return found.also({NOWHERE: Value(1.0, NOWHERE, NOWHERE)})
            return Value(found.data * base.data, found.start, found.end, sources=found.sources)
        set_instead = found.data is None or isinstance(found.data, Made)
        if set_instead and fake.notes["lr"] is before and on.changes[known:]:
            return on.changes[-1].value  # of an optimizer that an object holds
        return fake.notes["lr"] if set_instead and not factor else found

    sample = partial(_sampled, on, at, function.node, unit, length, base or pretended_rate(), in_epochs=in_epochs)
    running = True  # Keras gives the rate as it is; others the one that the training began with
    plan = sample()
    if plan is None and _CURRENT.intersection(one.arg.lower() for one in function.node.args.args):
        running = False
        plan = sample()
    return plan


def _one_less(node: ast.AST, name: str) -> bool:
    """Return whether a node is `epoch - 1`: epochs are counted from 1 where it stands."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Sub) or not isinstance(node.left, ast.Name):
        return False
    return node.left.id == name and isinstance(node.right, ast.Constant) and node.right.value == 1


def sample_shift(on: Interpreter, function: Function, length: float | None, base: Value | None) -> Plan | None:
    """Return the schedule that a function of Chainer's trainer gives, which asks it for its epoch or iteration."""
    asked = {node.attr for node in ast.walk(function.node) if isinstance(node, ast.Attribute)}
    counted = [name for name in ("epoch", "iteration") if name in asked]
    if len(counted) != 1:
        return None

    def at(time: float, _: Value) -> Value:
        updater = Value(Namespace({counted[0]: Value(int(time))}))
        return on.call_function(function, [Value(Namespace({"updater": updater}))], {})

    unit = "epoch" if counted[0] == "epoch" else "step"
    return _sampled(on, at, function.node, unit, length if unit == "epoch" else None, base or pretended_rate())


def _returning(function: Function) -> Function:
    """Return a function with the rate that it works out, where it is cut off before it gives or sets that."""
    nodes = [*ast.walk(function.node)]
    stored = [one for one in nodes if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
    rate = next((one for one in stored if field_of(one.id) == "sgd.lr"), None)
    gives = any(isinstance(one, ast.Return | ast.Attribute | ast.Subscript) for one in nodes)
    if isinstance(function.node, ast.Lambda) or rate is None or gives:
        return function
    given = ast.copy_location(ast.Return(ast.copy_location(ast.Name(rate.id, ast.Load()), rate)), rate)
    node = copy(function.node)
    node.body = [*node.body, given]
    return replace(function, node=node)


def sample_scheduler(
    on: Interpreter, scheduler: Value, unit: str, length: float | None, base: Value | None
) -> Plan | None:
    """Return the schedule that the `get_lr` of a scheduler's object gives, epoch by epoch or step by step."""
    method = find_in_class(scheduler.data.of, "get_lr")
    if method is None or not isinstance(method.data, Function):
        return None
    begun = base or pretended_rate()

    def at(time: float, before: Value) -> Value:
        optimizer = Made("optimizer", "SGD", [], {"lr": begun}, -1, -1, notes={"lr": before})
        scheduler.data.attributes.update(
            last_epoch=Value(int(time)), base_lrs=Value([begun]), optimizer=Value(optimizer)
        )
        found = on.call_function(method.data.bound_to(scheduler), [], {})
        return found.data[0] if isinstance(found.data, list | tuple) and found.data else found

    return _sampled(on, at, method.data.node, unit, length, begun, in_epochs=unit == "step" and length is not None)


def _sampled(
    on: Interpreter,
    at: Callable[[float, Value], Value],
    node: ast.AST,
    unit: str,
    length: float | None,
    base: Value,
    *,
    in_epochs: bool = False,
) -> Plan | None:
    changes, lengths, budget = len(on.changes), len(on.lengths), on.budget
    steps, on.steps = on.steps, None
    length = steps_of(on) if unit == "step" and length is None else length
    place = on.program.place(node)
    try:
        for pretended in ((None,), PRETENDED):
            shapes: list[Plan] = []
            sources: dict[int, Value] = {}
            for per_epoch in pretended:
                on.steps, on.budget = per_epoch, _SAMPLE_BUDGET
                whole = length if length is None or not in_epochs else length * per_epoch if per_epoch else None
                end = whole if whole is not None else float(_UNKNOWN_LENGTH)
                samples, sources, end = _values(on, at, end, base, sure=whole is not None)
                for _ in range(3):
                    largest = _largest(sources, 1e7 if unit == "step" else 2000)
                    if whole is None and samples and largest >= end:
                        samples, sources, end = _values(on, at, 1.5 * largest, base, sure=False)
                shape = recognise(samples, end) if samples else None
                shape = _by_literals(shape, sources) if shape is not None else None
                if shape is not None and whole is None and _longest(shape) >= end - 1:
                    shape = None  # a way to the end of a run whose length is not known
                if shape is not None:
                    shapes.append(shape)
            if len(shapes) == len(pretended):
                plan = _merged(shapes, unit, sources, base, place)
                if plan is not None:
                    return relative(plan) if base.start == NOWHERE and NOWHERE in sources else plan
        return None
    finally:
        on.steps, on.budget = steps, min(budget, on.budget + budget)
        del on.changes[changes:], on.lengths[lengths:]


def _by_literals(shape: Plan, sources: dict[int, Value]) -> Plan:
    """Return a smooth exponential by the rate and the period that are written, and by the rate that it begins at."""
    if shape.kind != "exponential" or shape.fields["staircase"]:
        return shape
    literals = [one.data for one in sources.values() if is_number(one.data) and not isinstance(one.data, bool)]
    each = shape.fields["rate"] ** (1 / shape.fields["every"])
    for rate in (one for one in literals if 0 < one < 1):
        for every in (one for one in literals if one >= 1 and abs(rate ** (1 / one) / each - 1) < 1e-9):
            begun = shape.fields["initial"] / each
            early = next((one for one in literals if abs(one / begun - 1) < 1e-7), None)
            initial = {"initial": early} if early is not None and shape.fields["initial"] not in literals else {}
            return replace(shape, fields={**shape.fields, "rate": rate, "every": nice(every), **initial})
    return shape


def _values(
    on: Interpreter, at: Callable[[float, Value], Value], end: float, base: Value, *, sure: bool
) -> tuple[Samples, dict[int, Value], float]:
    """Return the values at all epochs of the run and some after it, what they are made of, and the end of the run."""
    times = range(int(end * 1.5) + 3) if end <= _MOST_EPOCHS else telling_times(end, on)
    samples: list[tuple[float, float]] = []
    sources: list[dict[int, Value]] = []
    before = base
    for time in times:
        found = at(time, before)
        if not is_number(found.data):
            defined = samples and samples[-1][0] >= _UNKNOWN_LENGTH and not sure and on.budget > 0
            if time < end and not defined and (found.data is not None or not samples):
                return [], {}, end
            if defined:  # a formula that is not defined any more
                end = samples[-1][0]
            end = min(time, end)
            break
        samples.append((time, found.data))
        sources.append(found.sources)
        before = found
    return samples, join_sources(sources), end


def _largest(sources: dict[int, Value], limit: float) -> float:
    """Return the largest number below a limit among literals: they may be times."""
    found = [item for one in sources.values() for item in (one.data if isinstance(one.data, list) else [one])]
    return max((one.data for one in found if is_number(one.data) and one.data < limit), default=0)


def _merged(
    shapes: list[Plan], unit: str, sources: dict[int, Value], base: Value, place: tuple[int, int]
) -> Plan | None:
    """Return one plan of the shapes that pretended lengths of an epoch gave: in epochs, if they scale with these."""
    if len(shapes) == 1:
        return with_words(shapes[0], unit, sources, base, place)
    one, two = shapes
    if alike(in_epochs := _in_epochs(one, PRETENDED[0]), _in_epochs(two, PRETENDED[1])):
        return with_words(in_epochs, "epoch", sources, base, place)
    return with_words(one, unit, sources, base, place) if alike(one, two) else None


def alike(one: object, two: object) -> bool:
    """Return whether two plans, numbers or lists of numbers are the same but for rounding."""
    if isinstance(one, Plan) and isinstance(two, Plan):
        same = one.kind == two.kind and one.fields.keys() == two.fields.keys() and alike(one.then, two.then)
        return same and all(alike(value, two.fields[name]) for name, value in one.fields.items())
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(alike, one, two))
    if isinstance(one, int | float) and isinstance(two, int | float):
        return abs(one - two) <= 1e-6 * max(abs(one), abs(two))
    return one == two


def _longest(shape: Plan) -> float:
    """Return the longest duration in a plan."""
    return max(shape.fields.get("duration", 0.0), _longest(shape.then) if shape.then is not None else 0.0)


def _in_epochs(shape: Plan, steps: int) -> Plan:
    fields = dict(shape.fields)
    for name in ("every", "duration", "times"):
        if name in fields:
            value = fields[name]
            fields[name] = [nice(item / steps) for item in value] if isinstance(value, list) else nice(value / steps)
    return replace(shape, fields=fields, then=_in_epochs(shape.then, steps) if shape.then is not None else None)


def relative(plan: Plan) -> Plan:
    """Return a plan without its levels, where it is not known what they are relative to."""
    if plan.kind in {"levels", "constant"}:
        return Plan("constant")
    own = {name: value for name, value in plan.fields.items() if name not in _LEVELS}
    return replace(plan, fields=own, then=relative(plan.then) if plan.then is not None else None)


_LEVELS = frozenset({"initial", "final", "start", "peak", "end", "value"})


def with_words(shape: Plan, unit: str, sources: dict[int, Value], base: Value | None, place: tuple[int, int]) -> Plan:
    """Return a shape with the words of each field: those of the literal that says it, or else of the whole function."""
    used: set[int] = set()
    plan = Plan(shape.kind, {"schedule": Value(shape.kind, *place)}, early=shape.early, goes_on=shape.goes_on)
    if shape.then is not None:
        plan.then = with_words(shape.then, unit, sources, base, place)
    for name, data in shape.fields.items():
        if name in {"initial", "value"} and base is not None and base.data == data and base.start in sources:
            plan.fields[name] = base
            used |= {base.start, *base.sources}
        else:
            told = _as_written(data, sources) if name == "times" and unit == "step" else data
            plan.fields[name] = _with_source(told, sources, used, place, base if name in {"initial", "value"} else None)
    if shape.kind != "constant":
        plan.fields["unit"] = Value(unit, *place)
    return plan


def _as_written(times: list[float], sources: dict[int, Value]) -> list[float]:
    """Return the steps after which the rate changes, where they are written and not those at which it has changed."""
    items = [item.data for one in sources.values() for item in (one.data if isinstance(one.data, list) else [one])]
    return [time - 1 for time in times] if all(time not in items and time - 1 in items for time in times) else times


def _with_source(
    data: object, sources: dict[int, Value], used: set[int], place: tuple[int, int], base: Value | None = None
) -> Value:
    if isinstance(data, bool):
        return Value(data, *place)
    if isinstance(data, list):
        for value in sources.values():
            if isinstance(value.data, list | tuple) and [item.data for item in value.data] == data:
                return value
        items = [_with_source(item, sources, set(), place) for item in data]
        found = [item for item in items if item.literal]
        if len(found) == len(items):
            start, end = min(item.start for item in items), max(item.end for item in items)
            return Value(items, start, end)
        return Value(items, *place)
    matches = [
        value for value in sources.values() if is_number(value.data) and value.literal and _equal(value.data, data)
    ]
    found = next((value for value in matches if value.start not in used), None)
    if found is not None:
        used.update({found.start, *found.sources})
        return found
    if base is not None and base.data == data and base.literal:
        return base
    return Value(data, *place)


def _equal(one: float, two: object) -> bool:
    return isinstance(two, int | float) and abs(one - two) <= 1e-9 * max(abs(one), abs(two))
