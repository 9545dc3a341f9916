"""Schedules of frameworks, as a program makes them: their arguments as the fields of a plan, by a table of rows."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar

from downslope.reading.arithmetic import folded, is_number
from downslope.reading.code.arithmetic import binary
from downslope.reading.code.by_words import row_by_words
from downslope.reading.code.calls import FIELD_OF, FRAMEWORKS, KINDS, OFF, ROWS
from downslope.reading.code.formulas import plan_of_formula
from downslope.reading.code.interpreter import Interpreter
from downslope.reading.code.recognise import nice
from downslope.reading.code.sampling import relative, sample_function, sample_scheduler, time_parameter
from downslope.reading.code.values import (
    Function,
    Instance,
    Made,
    Namespace,
    PerEpoch,
    Value,
    find_in_class,
    is_known,
    number,
    numbers,
    words_of,
)
from downslope.reading.configuration.shapes import amount
from downslope.reading.plan import RAMPS, Plan, ratio_of
from downslope.systems.schedules import counterparts

_SYSTEMS = {
    "torch": {"torch", "timm", "transformers", ""},
    "keras": {"keras", "tensorflow", ""},
    "optax": {"optax", "flax"},
}
_STAIRS = words_of("StepLR ExponentialLR StepDecay FactorScheduler StepLRScheduler MultiStepDecay create_scheduler")
PER_EPOCH = "torch's schedulers are usually stepped once per epoch"
PER_STEP = "it counts optimizer steps"
_CYCLES = words_of("CyclicLR sgdr_schedule CosineDecayRestarts cosine_decay_restarts CosineAnnealingWarmRestarts")
_LINES = words_of("LinearLR ConstantLR WarmUpLR")
_RISE = words_of("warmup start start_factor total restart unit")
"""What rows say of a warmup of their own: its length, its first rate, the length with the warmup, whose clock runs."""


def framework_of(path: str) -> str:
    """Return whose a dotted path is, or ""."""
    lowered = path.lower()
    return next((name for name, marks in FRAMEWORKS if any(mark in lowered for mark in marks)), "")


def reason(data: Any, why: str) -> Value:
    """Return a value that a convention gives, with the convention for its words."""
    return Value(data, words=why)


@dataclass(frozen=True)
class Row:
    """How one of our schedules is called elsewhere.

    Attributes:
        kind: Ours.
        names: Its arguments in order.
        fields: Our field -> the argument for it, where that is not its usual name.
        defaults: An argument, or one of our fields -> what it is where none is given.
    """

    kind: str
    names: list[str]
    fields: dict[str, str] = field(default_factory=dict[str, str])
    defaults: dict[str, Any] = field(default_factory=dict[str, Any])


@cache
def _row(framework: str, name: str) -> Row | None:
    """Return the row of a schedule: of the table, `kind argument field<argument=default`, or of `systems`."""
    written = ROWS.get(f"{framework}.{name}") or ROWS.get(name, "")
    for system, frameworks in _SYSTEMS.items():
        row = counterparts(system).get(name)
        if row is not None and framework in frameworks and f"{framework}.{name}" not in ROWS:
            first = ["optimizer"] if system == "torch" else []
            return Row(row.kind.name, [*first, *row.arguments], {}, dict(row.defaults))
    kind, *words = written.split() or [""]
    found = Row(kind, [])
    for word in words:
        told, _, default = word.partition("=")
        ours, _, theirs = told.rpartition("<")
        found.names.append(theirs)
        found.fields.update({ours: theirs} if ours else {})
        found.defaults.update({theirs: ast.literal_eval(default)} if default else {})
    return found if kind else None


class Schedules:
    """Reads schedules, of all frameworks that are known.

    Args:
        on: The interpreter that made them.
        framework: The program's, for calls that do not say theirs.
        epochs: How many epochs the run has, or None.
    """

    methods: ClassVar[dict[str, str]] = {
        **dict.fromkeys(
            words_of(
                "PiecewiseConstantDecay piecewise_constant piecewise_constant_decay PiecewiseDecay piecewise_decay "
                "piecewise_constant_lr"
            ),
            "_piecewise",
        ),
        "piecewise_constant_schedule": "_scaled_steps",
        **dict.fromkeys(_LINES, "_line"),
        **dict.fromkeys(["SequentialLR", "join_schedules", "LRSequential"], "_in_turn"),
        "ChainedScheduler": "_chained",
        "OneCycleLR": "_one_cycle",
        **dict.fromkeys(["LambdaLR", "LambdaDecay", "MultiplicativeLR", "MultiplicativeDecay"], "_by_function"),
        **dict.fromkeys(
            words_of(
                "get_scheduler get_linear_schedule_with_warmup get_cosine_schedule_with_warmup get_constant_schedule "
                "get_constant_schedule_with_warmup get_polynomial_decay_schedule_with_warmup"
            ),
            "_transformers",
        ),
        "CosineDecay": "_keras_cosine",
        **dict.fromkeys(["LinearWarmup", "linear_lr_warmup"], "_paddle_warmup"),
        "LRScheduler": "_gluoncv",
        **dict.fromkeys(["create_scheduler", "create_scheduler_v2"], "_timm_by_word"),
        "GradualWarmupScheduler": "_gradual",
        "Warmup": "_downslope_warmup",
    }

    def __init__(self, on: Interpreter, framework: str, epochs: float | None) -> None:
        """Begin."""
        self.on, self.framework, self.epochs = on, framework, epochs
        self.unrecognised = False
        self.remarks: list[tuple[str, dict[str, object]]] = []

    def not_recognised(self, start: int, end: int) -> None:
        """Note that the rate changes in a way that is not known."""
        self.unrecognised = True
        words = self.on.program.text[start:end][:120] if start >= 0 else "lr"
        self.remarks.append(("rate_unrecognised", {"words": words}))

    def of(self, value: Value | None, base: Value | None = None) -> Plan | None:
        """Return what a learning rate's value is: a constant, a schedule, or None if that is unknown."""
        data = value.data if value is not None else None
        if value is None or is_number(data):
            return Plan("constant", {"value": value}) if value is not None else None
        if isinstance(data, Instance):
            call = find_in_class(data.of, "__call__")
            data = call.data.bound_to(value) if call is not None and isinstance(call.data, Function) else None
        if isinstance(data, Function):
            return sample_function(self.on, data, "step", None, None)
        return self.made(data, base) if isinstance(data, Made) else None

    def made(self, made: Made, base: Value | None = None) -> Plan | None:
        """Return the schedule that a call makes; `base` is the optimizer's learning rate, if that is what changes."""
        if "instance" in made.notes:
            own = sample_scheduler(self.on, made.notes["instance"], _stepped(made), self.epochs, base)
            if own is not None:
                return own
        special = self.methods.get(made.name)
        plan = getattr(self, special)(made, base) if special else self.by_row(made, base)
        if plan is not None and made.name in _CYCLES:
            self.remarks.append(("restarts", {}))
        return _named(plan, made)

    def knows(self, made: Made) -> bool:
        """Return whether a call makes a schedule."""
        if "instance" in made.notes and find_in_class(made.notes["instance"].data.of, "get_lr") is not None:
            return True
        return made.name in self.methods or self._row(made) is not None

    # by the table

    def _row(self, made: Made) -> Row | None:
        known = _row(framework_of(made.path) or self.framework, made.name)
        other = known is not None and any(one.startswith("warmup") and one not in known.names for one in made.kwargs)
        told = row_by_words(made) if known is None or other else None  # another's class of a known name
        if told is None:
            return known
        by_place = known.names if known is not None else []
        return Row(told[0], by_place, told[1], {"unit": told[2]} if told[2] else {})

    def arguments(self, made: Made, names: list[str]) -> dict[str, Value]:
        """Return a call's arguments by name."""
        args = list(made.args)
        if names[:1] == ["optimizer"] and args and is_known(args[0].data):
            names = names[1:]  # written without its first argument, as people do
        second = args[1] if len(args) > 1 and is_number(args[0].data) else None
        if "global_step" in names and second is not None and is_number(second.data) and second.literal and second.data:
            names = [name for name in names if name != "global_step"]
        return {**dict(zip(names, args, strict=False)), **made.kwargs}

    def is_other(self, made: Made, kind: str, given: Mapping[str, Value]) -> bool:
        """Return whether an argument makes it a schedule that is none of ours, and note so."""
        off = OFF | ({"staircase": False} if kind == "inverse" else {})
        other = any(name in given and is_known(given[name].data) and given[name].data != off[name] for name in off)
        if other:
            self.not_recognised(made.start, made.end)
        return other

    def by_row(self, made: Made, base: Value | None) -> Plan | None:
        """Return the schedule that the table says a call makes."""
        row = self._row(made)
        return None if row is None else self.fill(made, row, self.arguments(made, row.names), base)

    def fill(self, made: Made, row: Row | str, given: Mapping[str, Value], base: Value | None) -> Plan | None:
        """Return the plan of a row's schedule with these arguments, after the warmup that they tell of."""
        row = row if isinstance(row, Row) else _row("", row) or Row("", [])
        if not row.kind or self.is_other(made, row.kind, given):
            return None
        given = {name: reason(data, f"the default of {made.name}") for name, data in row.defaults.items()} | dict(given)
        told = {name: given[argument] for name, argument in row.fields.items() if argument in given}
        own = KINDS[row.kind].split()
        for name in [*own, *_RISE]:
            found = next((given[one] for one in FIELD_OF.get(name, name).split() if one in given), None)
            told.update({name: found} if found is not None and name not in told else {})
        told = {name: value for name, value in told.items() if value.data is not None}
        for name, value in list(told.items()):
            parts = value.data if isinstance(value.data, list | tuple) else [value]
            counted, said = amount([part.data for part in parts])  # "90ep"
            if said in {"epoch", "step"}:
                listed = [Value(one, value.start, value.end) for one in counted]
                told[name] = value.but(listed if parts is value.data else counted[0])
                told["unit"] = reason(said, "")
        if row.kind == "exponential" and ((number(told.get("every")) or 1) < 1 or (number(told.get("rate")) or 0) > 2):
            self.not_recognised(made.start, made.end)  # another's of the same name, with its own arguments
            return None
        plan = Plan(row.kind, {name: told[name] for name in own if name in told and _usable(told[name])})
        if "total" in told:
            plan.fields.pop("duration", None)
            plan.put("duration", self._less(told["total"], told.get("warmup")))
        self._finish(plan, made, given, base)
        self.in_unit(plan, made, told.get("unit"))
        start, factor = told.get("start"), number(told.get("start_factor"))
        if start is None and factor is not None and base is not None and is_number(base.data):
            start = Value(nice(base.data * factor), made.start, made.end)
        unit = plan.fields.get("unit") if "unit" in told else None
        restart = "restart" in told and told["restart"].data is True
        return self.warmup(_named(plan, made), told.get("warmup"), start, unit, restart=restart)

    def _less(self, total: Value, warm: Value | None) -> Value | None:
        """Return the steps that are left after a warmup."""
        data = binary(ast.Sub(), total.data, warm.data, None) if warm is not None else total.data
        found = total if data == total.data else Value(data, total.start, total.end, sources=total.sources)
        return found if is_number(data) or isinstance(data, PerEpoch) else None

    def _finish(self, plan: Plan, made: Made, given: Mapping[str, Value], base: Value | None) -> None:
        """Put in what a convention says, and what is said by two arguments together."""
        fields, own = plan.fields, KINDS[plan.kind].split()
        first = "value" if plan.kind == "constant" else "initial"
        if first in own and base is not None and (first not in fields or is_number(base.data)):
            fields[first] = base
        if plan.kind == "exponential":
            if not given.keys() & set(FIELD_OF["every"].split()):  # else it is given, but not known
                plan.put("every", reason(1, "once per call"))
            if made.name in _STAIRS:
                fields["staircase"] = reason(True, "torch's schedulers change at their calls")
        top = number(fields.get("initial"))
        for name, argument in (
            ("final", "alpha"),
            ("final", "alpha_f"),
            ("final", "end_factor"),
            ("initial", "start_factor"),
        ):
            part, said = number(given.get(argument)), given.get(argument)
            if said is not None and part is not None and plan.kind in RAMPS and (part == 0 or top is not None):
                alone = said.literal and part == 0
                value = Value(nice(part * (top or 0.0)) + 0.0, said.start, said.end, literal=alone)
                fields[name] = fields.get(name, value) if part == 1 else value
        gamma, every = number(fields.get("gamma")), number(given.get("decay_steps")) or 1
        if plan.kind == "inverse" and gamma is not None:
            fields["gamma"] = fields["gamma"] if every == 1 else Value(nice(gamma / every), made.start, made.end)
            plan.put("power", reason(1.0, "1 / (1 + rate * t)"))

    def in_unit(self, plan: Plan, made: Made, told: Value | None = None) -> Plan:
        """Give a plan its unit: lengths that are so many epochs' steps are epochs."""
        framework, stepped = framework_of(made.path) or self.framework, made.notes.get("stepped")
        by_call = framework == "paddle" or (framework in {"torch", "timm", "transformers", ""} and "LR" in made.name)
        unit = reason("step", PER_STEP)
        if plan.kind == "constant":
            return plan
        if told is not None:
            unit = reason(told.data, "counted in epochs" if told.data == "epoch" else PER_STEP)
        elif by_call and stepped != "step" and not (framework == "paddle" and stepped is None):
            unit = reason("epoch", PER_EPOCH)
        for name in ("every", "duration", "times"):
            value = plan.fields.get(name)
            items = (
                value.data if value is not None and isinstance(value.data, list | tuple) else [value] if value else []
            )
            if value and items and all(isinstance(item.data, PerEpoch) and not item.data.steps for item in items):
                unit, plan.fields[name] = reason("epoch", "counted in epochs"), self.in_epochs(value)
            elif any(isinstance(item.data, PerEpoch) for item in items):
                del plan.fields[name]
        plan.fields["unit"] = unit
        return plan

    def in_epochs(self, value: Value) -> Value:
        """Return a number of steps that is so many epochs', or a list of them, in epochs."""
        if isinstance(value.data, list | tuple):
            items = [self.in_epochs(item) for item in value.data]
            listed = [item for item in value.sources.values() if numbers(item) == [one.data for one in items]]
            return listed[0] if listed else Value(items, value.start, value.end)
        count = value.data.epochs
        literal = next((one for one in value.sources.values() if is_number(one.data) and one.data == count), None)
        return literal or Value(nice(count), value.start, value.end)

    def warmup(
        self, then: Plan | None, duration: Value | None, start: Value | None, unit: Value | None, *, restart: bool
    ) -> Plan | None:
        """Return a line up and what comes after it."""
        if duration is None or duration.data is None or duration.data == 0:
            return then
        plan = Plan("warmup", then=then, clocked=not restart)
        if isinstance(duration.data, PerEpoch):
            unit, duration = reason("epoch", "counted in epochs"), self.in_epochs(duration)
        plan.put("duration", duration if is_number(duration.data) else None)
        plan.put("start", start if start is not None and is_number(start.data) else None)
        plan.put("unit", unit or reason("step", PER_STEP))
        if then is not None:
            plan.put("schedule", then.fields.get("schedule"))
            plan.put("restart", reason(restart, "the clock of what follows") if then.kind != "constant" else None)
        return plan

    # levels

    def _piecewise(self, made: Made, base: Value | None) -> Plan | None:
        rest = [arg for arg in made.args if isinstance(arg.data, list | tuple)]
        lists = [
            next((made.kwargs[name] for name in names if name in made.kwargs), None) or (rest.pop(0) if rest else None)
            for names in (("boundaries", "milestone"), ("values", "learning_rates"))
        ]
        times, values = lists
        if times is None or values is None or not isinstance(times.data, list | tuple):
            return None
        if made.name == "piecewise_constant_lr":  # MindSpore: each rate up to its milestone
            times = Value(list(times.data[:-1]), times.start, times.end)
        if numbers(values) is None and (ratio := _ratio_of_names(self.on.program.text[values.start : values.end])):
            plan = Plan("multistep", {"factor": Value(ratio, values.start, values.end, literal=True)})
            return self.in_unit(plan, made).put("times", times if numbers(times) else None)
        plan = self.in_unit(Plan("levels", {"times": times}), made)
        times = plan.fields.get("times")
        if times is None:
            return None
        if made.name == "PiecewiseConstantDecay" and plan.fields["unit"].data == "step" and numbers(times):
            words = self.on.program.text[times.start : times.end]
            times = Value(times.data, times.start, times.end, words=f"{words}: Keras changes one step after each")
        return self.of_levels(times, values, plan.fields["unit"])

    def of_levels(self, times: Value, values: Value, unit: Value) -> Plan | None:
        """Return the schedule of levels between times."""
        rates = numbers(values)
        if rates is None or not times.data or len(rates) != len(times.data) + 1 or len({*rates}) == 1:
            return None
        return Plan("levels", {"initial": values.data[0], "levels": values, "times": times, "unit": unit})

    def _scaled_steps(self, made: Made, base: Value | None) -> Plan | None:
        """Read optax's piecewise_constant_schedule: a start, and factors by step."""
        given = self.arguments(made, ["init_value", "boundaries_and_scales"])
        table, initial = given.get("boundaries_and_scales"), given.get("init_value")
        if table is None or not isinstance(table.data, dict) or not table.data:
            return None
        factors = [number(one) for one in table.data.values()]
        keys = [Value(key) for key in table.data]
        times = Value(keys, table.start, table.end, literal=table.literal, sources=table.sources)
        plan = self.in_unit(Plan("multistep", {"times": times}), made)
        level = number(initial)
        if None in factors or "times" not in plan.fields or (level is None and len(set(factors)) > 1):
            return None
        if len(set(factors)) == 1:
            plan.put("factor", next(iter(table.data.values())))
            return plan.put("initial", initial if level is not None else None)
        levels = [initial]
        for one in factors:
            level = (level or 0.0) * (one or 1.0)
            levels.append(Value(nice(level)))
        return self.of_levels(plan.fields["times"], Value(levels, made.start, made.end), plan.fields["unit"])

    # lines, and several in turn or together

    def _line(self, made: Made, base: Value | None) -> Plan | None:
        """Read torch's LinearLR or ConstantLR alone: a warmup of the constant that the optimizer has, or a way down."""
        given = self.arguments(made, ["optimizer", "start_factor", "end_factor", "total_iters"])
        if made.name == "LinearLR" and number(given.get("end_factor")) not in {None, 1} and base is not None:
            return self.fill(made, "LinearLR", given, base)
        return self.raise_to(made, Plan("constant", {"value": base}) if base is not None else None, base)

    def raise_to(
        self, made: Made, then: Plan | None, base: Value | None, duration: Value | None = None, *, restart: bool = True
    ) -> Plan | None:
        """Return the warmup that a LinearLR or ConstantLR makes, before what follows."""
        constant, by_steps = made.name == "ConstantLR", made.name == "WarmUpLR"
        names = ["total_iters"] if by_steps else ["factor", "total_iters"] if constant else []
        given = self.arguments(made, ["optimizer", *(names or ["start_factor", "end_factor", "total_iters"])])
        factor = given.get("start_factor") or given.get("factor") or reason(1 / 3, f"the default of {made.name}")
        length = duration or given.get("total_iters") or reason(5, f"the default of {made.name}")
        unit = self.in_unit(Plan("linear", {"duration": length}), made).fields["unit"]
        start = None
        if base is not None and is_number(base.data) and is_number(factor.data) and not by_steps:  # else it is not said
            start = Value(nice(base.data * factor.data), factor.start, factor.end, words=factor.words)
        if not constant or start is None or base is None or not is_number(length.data):
            return self.warmup(then, length, start, unit, restart=restart)
        if then is not None and then.kind != "constant":
            return None
        levels = Value([start, base], made.start, made.end)
        return self.of_levels(Value([length], length.start, length.end), levels, unit)

    def _in_turn(self, made: Made, base: Value | None) -> Plan | None:
        """Read SequentialLR, join_schedules, LRSequential: a first line that rises is a warmup."""
        names = (
            ["optimizer", "schedulers", "milestones"] if made.name == "SequentialLR" else ["schedules", "boundaries"]
        )
        given = self.arguments(made, names)
        parts = given.get("schedulers") or given.get("schedules") or next(iter(made.args), None)
        times = given.get("milestones") or given.get("boundaries")
        listed = parts.data if parts is not None and isinstance(parts.data, list | tuple) else []
        for part in listed:
            if isinstance(part.data, Made) and "stepped" in made.notes:
                part.data.notes.setdefault("stepped", made.notes["stepped"])
        if len(listed) != 2 or times is None or not isinstance(times.data, list | tuple) or len(times.data) != 1:
            plans = [plan for part in listed if (plan := self.of(part, base)) is not None]
            if parts is None or times is None:
                return self._ramps_in_turn(plans)
            return self._levels_in_turn(plans, times, parts, made)
        first, then = listed[0], self.of(listed[1], base)
        if isinstance(first.data, Made) and first.data.name in {"LinearLR", "ConstantLR"}:
            return self.raise_to(first.data, then, base, times.data[0])
        before = self.of(first, base)
        if before is None or before.kind != "linear":
            return self._levels_in_turn([one for one in (before, then) if one is not None], times, parts or times, made)
        unit = self.in_unit(Plan("linear", {"duration": times.data[0]}), made).fields["unit"]
        return self.warmup(then, times.data[0], before.fields.get("initial"), unit, restart=True)

    def _levels_in_turn(self, plans: list[Plan], times: Value, parts: Value, made: Made) -> Plan | None:
        levels = [plan.fields["value"] for plan in plans if plan.kind == "constant" and "value" in plan.fields]
        unit = self.in_unit(Plan("levels", {"times": times}), made).fields["unit"]
        return self.of_levels(times, Value(levels, parts.start, parts.end), unit) if numbers(times) else None

    def _ramps_in_turn(self, plans: list[Plan]) -> Plan | None:
        """Return schedules that know their lengths, those of none left out: one, or a line up and one."""
        plans = [plan for plan in plans if number(plan.fields.get("duration")) != 0]
        first = plans[0].fields if plans else {}
        if len(plans) == 2 and plans[0].kind == "linear":
            return self.warmup(plans[1], first.get("duration"), first.get("initial"), first.get("unit"), restart=True)
        return plans[0] if len(plans) == 1 else None

    def _chained(self, made: Made, base: Value | None) -> Plan | None:
        parts = made.argument("schedulers", 0)
        listed = parts.data if parts is not None and isinstance(parts.data, list | tuple) else []
        return self.together([one.data for one in listed if isinstance(one.data, Made)], base)

    def together(self, parts: list[Made], base: Value | None) -> Plan | None:
        """Return several schedulers of one optimizer, all at work: a warmup and one more, on one clock."""
        lines = [part for part in parts if part.name in _LINES]
        rest = [part for part in parts if part not in lines]
        if len(lines) == 1 and len(rest) == 1:
            return self.raise_to(lines[0], self.made(rest[0], base), base, restart=False)
        return self.made(parts[0], base) if len(parts) == 1 else None

    # one by one

    def _one_cycle(self, made: Made, base: Value | None) -> Plan | None:
        given = self.arguments(made, (self._row(made) or Row("", [])).names)
        epochs, per_epoch = given.get("epochs"), number(given.get("steps_per_epoch"))
        if "total_steps" not in given and epochs is not None and is_number(epochs.data):
            length = PerEpoch(epochs.data) if per_epoch is None else nice(epochs.data * per_epoch)
            given["total_steps"] = Value(length, epochs.start, epochs.end, sources=epochs.sources)
        elif made.notes.get("stepped") == "epoch" and "unit" not in given:
            given["unit"] = reason("epoch", "")  # it counts calls, as every scheduler of torch
        plan = self.fill(made, "OneCycleLR", given, None)
        if plan is not None and "anneal_strategy" in given and given["anneal_strategy"].data == "linear":
            plan.put("shape", given["anneal_strategy"])
        return plan

    def _by_function(self, made: Made, base: Value | None) -> Plan | None:
        function = self.arguments(made, ["optimizer", "lr_lambda"]).get("lr_lambda")
        if function is not None and isinstance(function.data, list | tuple) and function.data:
            function = function.data[0]
        if function is None or not isinstance(function.data, Function):
            return None
        product = self._product(made, function.data, base)
        if product is not None:
            return product
        unit = time_parameter(function.data)[1] if "stepped" not in made.notes else ""
        again = made.name.startswith("Multiplicative")
        plan = sample_function(
            self.on, function.data, unit or _stepped(made), self.epochs, base, factor=True, again=again
        )
        node = function.data.node
        if plan is None and isinstance(node, ast.Lambda) and node.args.args:
            plan = plan_of_formula(self.on, node.body, node.args.args[0].arg, function.data.scope)
            plan = plan and relative(plan).put("initial", base)
        return plan

    def _product(self, made: Made, function: Function, base: Value | None) -> Plan | None:
        """Return the schedule of a product of a way up and a way down: `lambda e: warmup(e) * decay(e)`."""
        node = function.node
        body = node.body if isinstance(node, ast.Lambda) else None
        if not isinstance(node, ast.Lambda) or not isinstance(body, ast.BinOp) or not isinstance(body.op, ast.Mult):
            return None
        plans: list[Plan] = []
        for side in (body.left, body.right):
            alone = replace(function, node=ast.copy_location(ast.Lambda(node.args, side), node))
            plan = sample_function(self.on, alone, _stepped(made), self.epochs, base, factor=True)
            plans += [plan] if plan is not None else []
        plans.sort(key=lambda one: one.kind != "warmup")
        rises = len(plans) == 2 and plans[0].then is not None and plans[0].then.kind == "constant"
        if not rises or plans[1].kind in {"warmup", "constant"}:
            return None
        return replace(plans[0], then=plans[1]).put("restart", reason(False, "the clock of what follows"))

    def _transformers(self, made: Made, base: Value | None) -> Plan | None:
        """Read transformers' schedules, which a word names, or the function's own name."""
        word = made.argument("name", 0) if made.name == "get_scheduler" else None
        args = made.args[1:] if word is not None and "name" not in made.kwargs else made.args
        told = str(word.data) if word is not None else made.name
        kind = next((one for one in ("cosine", "linear", "polynomial", "constant") if one in told), "")
        if not kind:
            return self.by_row(made, base)
        return self.of_transformers(replace(made, args=args), kind, made.kwargs, base)

    def of_transformers(self, made: Made, kind: str, given: Mapping[str, Value], base: Value | None) -> Plan | None:
        """Return transformers' schedule of this kind with these arguments, those by place among them."""
        row = _row("transformers", kind)
        return self.fill(made, row, {**self.arguments(made, row.names), **given}, base) if row is not None else None

    def _keras_cosine(self, made: Made, base: Value | None) -> Plan | None:
        row = _row("keras", "CosineDecay after a warmup") or Row("", [])
        given = self.arguments(made, row.names)
        return self.fill(made, row, given, base) if number(given.get("warmup_target")) else self.by_row(made, base)

    def _paddle_warmup(self, made: Made, base: Value | None) -> Plan | None:
        given = self.arguments(made, ["learning_rate", "warmup_steps", "start_lr", "end_lr"])
        inner, length = given.get("learning_rate"), given.get("warmup_steps")
        then = self.of(inner, base)
        if then is not None and isinstance(inner and inner.data, Made) and "stepped" in made.notes:
            then = self.in_unit(then, made)
        unit = self.in_unit(Plan("linear", {"duration": length} if length is not None else {}), made).fields["unit"]
        return self.warmup(then, length, given.get("start_lr"), unit, restart=made.name == "LinearWarmup")

    def _gluoncv(self, made: Made, base: Value | None) -> Plan | None:
        policy = made.argument("policy", 0) if "mode" not in made.kwargs else None  # skorch's names torch's
        name = str(getattr(policy.data, "path", policy.data)).rpartition(".")[2] if policy is not None else ""
        if name.endswith("LR") and (name in self.methods or _row("torch", name) is not None):
            given = {key: value for key, value in made.kwargs.items() if key != "policy"}
            return self.made(replace(made, name=name, path=f"torch.{name}", args=[], kwargs=given), base)
        given = self.arguments(made, ["mode", "base_lr", "target_lr", "niters", "nepochs", "iters_per_epoch"])
        by_epoch = given.get("nepochs") is not None and given["nepochs"].data != 0
        given["unit"] = reason("epoch" if by_epoch else "step", "")
        given["duration"] = given.get("nepochs" if by_epoch else "niters") or Value(None)
        return self.fill(made, f"gluoncv.{given['mode'].data}" if "mode" in given else "", given, None)

    def _timm_by_word(self, made: Made, base: Value | None) -> Plan | None:
        """Read timm's create_scheduler: the options say which schedule."""
        inner = [*made.args, *made.kwargs.values()]
        for one in [arg.data for arg in inner if isinstance(arg.data, Made)]:
            inner += [*one.args, *one.kwargs.values()]
        tables = [arg.data.attributes for arg in inner if isinstance(arg.data, Namespace)]
        given = next((table for table in tables if "sched" in table), {})
        return self.fill(made, f"timm.{given['sched'].data}", given, base) if given else None

    def _downslope_warmup(self, made: Made, base: Value | None) -> Plan | None:
        if framework_of(made.path) != "downslope":
            return None
        given = self.arguments(made, ["duration", "then", "start", "unit", "restart"])
        start, restart = given.get("start") or reason(0.0, "where it starts"), given.get("restart")
        then = self.of(given.get("then"))
        unit = reason(given["unit"].data if "unit" in given else "step", PER_STEP)
        return self.warmup(then, given.get("duration"), start, unit, restart=restart is None or restart.data is True)

    def _gradual(self, made: Made, base: Value | None) -> Plan | None:
        given = self.arguments(made, ["optimizer", "multiplier", "total_epoch", "after_scheduler"])
        times, after = number(given.get("multiplier")), given.get("after_scheduler")
        if times is None or base is None or not is_number(base.data):
            return None
        top = base if times == 1 else Value(nice(base.data * times), made.start, made.end)
        start = reason(0.0, "a multiplier of 1 begins at 0") if times == 1 else base
        then = self.of(after, top) if after is not None and isinstance(after.data, Made) else None
        then = then if after is not None and isinstance(after.data, Made) else Plan("constant", {"value": top})
        return self.warmup(then, given.get("total_epoch"), start, reason("epoch", PER_EPOCH), restart=True)


def _named(plan: Plan | None, made: Made) -> Plan | None:
    """Return a plan with the place of the call that tells it."""
    named = plan is not None and plan.kind != "constant"
    return plan.put("schedule", Value(plan.kind, made.start, made.end)) if plan is not None and named else plan


def _usable(value: Value) -> bool:
    return is_known(value.data) or isinstance(value.data, PerEpoch)


def _stepped(made: Made) -> str:
    own = made.notes.get("instance")
    names = " ".join(own.data.attributes).lower() if own is not None and "stepped" not in made.notes else ""
    counts = "iter" in names and "epoch" not in names.replace("last_epoch", "")
    return "step" if counts or made.notes.get("stepped") == "step" else "epoch"


def _ratio_of_names(words: str) -> float | None:
    """Return the factor between neighbours of `[lr, lr * 0.1, lr * 0.01]`, whatever the only name in it stands for."""
    words = words[max(0, words.find("[")) :].strip()
    names = {*re.findall(r"(?<![\w.])[A-Za-z_][\w.]*", words)}
    if len(names) != 1 or len(words) > 400:
        return None
    try:
        told = ast.parse(words.replace(names.pop(), "1"), mode="eval").body
    except (SyntaxError, ValueError):
        return None
    levels = [folded(one) for one in told.elts] if isinstance(told, ast.List | ast.Tuple) else []
    return ratio_of([float(one) for one in levels if one is not None]) if None not in levels else None
