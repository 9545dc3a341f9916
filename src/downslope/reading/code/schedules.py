"""Schedules of frameworks, as a program makes them: their arguments as the fields of ours."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

from downslope.reading.code.arithmetic import binary
from downslope.reading.code.calls import FIELD_OF, FRAMEWORKS, KINDS, OFF, ROWS
from downslope.reading.code.interpreter import Interpreter
from downslope.reading.code.recognise import nice
from downslope.reading.code.sampling import Plan, sample_function, sample_scheduler
from downslope.reading.code.values import (
    Function,
    Instance,
    Made,
    PerEpoch,
    Value,
    find_in_class,
    is_known,
    is_number,
    number,
    numbers,
    words_of,
)
from downslope.systems.schedules import counterparts

_ROWS_OF = {system: counterparts(system) for system in ("torch", "keras", "optax")}
_SYSTEMS = {
    "torch": {"torch", "timm", "transformers", ""},
    "keras": {"keras", "tensorflow", ""},
    "optax": {"optax", "flax"},
}
_PIECEWISE = words_of(
    "PiecewiseConstantDecay piecewise_constant piecewise_constant_decay PiecewiseDecay piecewise_decay "
    "piecewise_constant_lr"
)
_STAIRS = frozenset({"StepLR", "ExponentialLR", "StepDecay", "FactorScheduler", "StepLRScheduler", "MultiStepDecay"})
PER_EPOCH = "torch's schedulers are usually stepped once per epoch"
PER_STEP = "it counts optimizer steps"
_BY_EPOCH = words_of(
    "CosineLRScheduler StepLRScheduler MultiStepLRScheduler cosine_decay_lr polynomial_decay_lr exponential_decay_lr"
)
_CYCLES = frozenset(
    {"CyclicLR", "sgdr_schedule", "CosineDecayRestarts", "cosine_decay_restarts", "CosineAnnealingWarmRestarts"}
)


def framework_of(path: str) -> str:
    """Return whose a dotted path is, or ""."""
    lowered = path.lower()
    return next((name for name, marks in FRAMEWORKS if any(mark in lowered for mark in marks)), "")


def reason(data: Any, why: str) -> Value:
    """Return a value that a convention gives, with the convention for its words."""
    return Value(data, words=why)


def chosen(given: Mapping[str, Value], **names: str) -> dict[str, Value | Plan]:
    """Return, for each field, the first argument of these names that is a number, a number of epochs or numbers."""
    found: dict[str, Value | Plan] = {}
    for field, keys in names.items():
        for key in keys.split():
            value = given.get(key)
            if value is not None and (is_number(value.data) or isinstance(value.data, PerEpoch) or numbers(value)):
                found.setdefault(field, value)
    return found


class BasicSchedules:
    """Reads schedules that are lengths, levels or pieces; those with a warmup of their own are in `Schedules`.

    Args:
        on: The interpreter that made them.
        framework: The program's, for calls that do not say theirs.
        epochs: How many epochs the run has, or None.
    """

    methods: ClassVar[dict[str, str]] = {
        **dict.fromkeys(_PIECEWISE, "_piecewise"),
        "piecewise_constant_schedule": "_scaled_steps",
        **dict.fromkeys(["LinearLR", "ConstantLR", "WarmUpLR"], "_line"),
        **dict.fromkeys(["SequentialLR", "join_schedules"], "_in_turn"),
        "ChainedScheduler": "_chained",
        "OneCycleLR": "_one_cycle",
        **dict.fromkeys(["LambdaLR", "LambdaDecay"], "_by_function"),
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
        if value is None:
            return None
        if is_number(value.data):
            return Plan("constant", {"value": value}, value.start, value.end)
        if isinstance(value.data, Function):
            return sample_function(self.on, value.data, "step", None, None)
        if isinstance(value.data, Instance):
            call = find_in_class(value.data.of, "__call__")
            if call is not None and isinstance(call.data, Function):
                return sample_function(self.on, call.data.bound_to(value), "step", None, None)
        if isinstance(value.data, Made):
            return self.made(value.data, base)
        return None

    def made(self, made: Made, base: Value | None = None) -> Plan | None:
        """Return the schedule that a call makes; `base` is the optimizer's learning rate, if that is what changes."""
        framework = framework_of(made.path) or self.framework
        special = self.methods.get(made.name)
        if "instance" in made.notes:
            unit = "step" if made.notes.get("stepped") == "step" else "epoch"
            own = sample_scheduler(self.on, made.notes["instance"], unit, self.epochs, base)
            if own is not None:
                return own
        plan = getattr(self, special)(made, base) if special else self.by_row(made, base, framework)
        if plan is None:
            return None
        plan.start, plan.end = (made.start, made.end) if plan.start < 0 else (plan.start, plan.end)
        if made.name in _CYCLES:
            self.remarks.append(("restarts", {}))
        return plan

    def knows(self, made: Made) -> bool:
        """Return whether a call makes a schedule."""
        if "instance" in made.notes and find_in_class(made.notes["instance"].data.of, "get_lr") is not None:
            return True
        return made.name in self.methods or self.row_of(made, framework_of(made.path) or self.framework) is not None

    # by the table

    def row_of(self, made: Made, framework: str) -> tuple[str, list[str], dict[str, Any]] | None:
        """Return our kind, the names of the arguments in order, and their defaults."""
        found = ROWS.get(f"{framework}.{made.name}")
        if found is None:
            for system, rows in _ROWS_OF.items():
                row = rows.get(made.name)
                if row is not None and framework in _SYSTEMS[system]:
                    names = [*(["optimizer"] if system == "torch" else []), *row.arguments]
                    return row.kind.name, names, dict(row.defaults)
            found = ROWS.get(made.name)
        if found is None:
            return None
        words = [word.partition("=") for word in found[1].split()]
        return found[0], [word[0] for word in words], {word[0]: ast.literal_eval(word[2]) for word in words if word[2]}

    def arguments(self, made: Made, names: Sequence[str]) -> dict[str, Value]:
        """Return a call's arguments by name."""
        args = list(made.args)
        if names[0] == "optimizer" and args and is_known(args[0].data):
            names = names[1:]  # written without its first argument, as people do
        if (
            "global_step" in names
            and len(args) > 1
            and is_number(args[1].data)
            and is_number(args[0].data)
            and args[1].literal
            and args[1].data
        ):
            names = [name for name in names if name != "global_step"]
        return {**dict(zip(names, args, strict=False)), **made.kwargs}

    def is_other(self, made: Made, kind: str, given: dict[str, Value]) -> bool:
        """Return whether an argument makes it a schedule that is none of ours, and note so."""
        off = OFF | ({"staircase": False} if kind == "inverse" else {})
        other = any(name in given and is_known(given[name].data) and given[name].data != off[name] for name in off)
        if other:
            self.not_recognised(made.start, made.end)
        return other

    def by_row(self, made: Made, base: Value | None, framework: str) -> Plan | None:
        """Return the schedule that the table says a call makes."""
        row = self.row_of(made, framework)
        if row is None:
            return None
        kind, names, defaults = row
        given = self.arguments(made, names)
        if self.is_other(made, kind, given):
            return None
        for name, data in defaults.items():
            given.setdefault(name, reason(data, f"the default of {made.name}"))
        plan = Plan(kind)
        for field in KINDS.get(kind, "").split():
            found = next((given[name] for name in FIELD_OF.get(field, "").split() if name in given), None)
            if (
                found is not None
                and (is_known(found.data) or isinstance(found.data, PerEpoch))
                and found.data is not None
            ):
                plan.fields[field] = found
        self._finish(plan, made, given, base)
        return self.in_unit(plan, made)

    def _finish(self, plan: Plan, made: Made, given: dict[str, Value], base: Value | None) -> None:
        """Put in what a convention says, and what is said by two arguments together."""
        fields = plan.fields
        if (
            "initial" in KINDS.get(plan.kind, "").split()
            and base is not None
            and ("initial" not in fields or is_number(base.data))
        ):
            fields["initial"] = base
        if plan.kind == "exponential":
            if not given.keys() & set(FIELD_OF["every"].split()):  # else it is given, but not known
                fields.setdefault("every", reason(1, "once per call"))
            if made.name in _STAIRS:
                fields["staircase"] = reason(True, "torch's schedulers change at their calls")
        alpha, initial = number(given.get("alpha")), number(plan.value("initial"))
        if plan.kind == "cosine" and "alpha" in given and alpha is not None:
            if alpha == 0:
                fields["final"] = Value(0.0, given["alpha"].start, given["alpha"].end, literal=given["alpha"].literal)
            elif initial is not None:
                fields["final"] = Value(nice(alpha * initial), given["alpha"].start, given["alpha"].end)
        if plan.kind in {"cosine", "polynomial", "linear"}:
            fields.setdefault("final", reason(0.0, "schedules end at 0 unless said otherwise"))
        if plan.kind == "inverse":
            rate, every = (
                number(given.get("decay_rate")) or number(given.get("gamma")),
                number(given.get("decay_steps")) or 1,
            )
            if rate is not None:
                fields["gamma"] = Value(nice(rate / every), made.start, made.end)
            fields["power"] = reason(1.0, "1 / (1 + rate * t)")

    def in_unit(self, plan: Plan, made: Made) -> Plan:
        """Give a plan its unit: lengths that are so many epochs' steps are epochs."""
        if plan.kind == "constant":
            return plan
        framework = framework_of(made.path) or self.framework
        stepped = made.notes.get("stepped")
        if made.name in _BY_EPOCH:
            unit = reason("epoch", "counted in epochs")
        elif (
            framework in {"torch", "paddle", "timm", "transformers", ""} and "LR" in made.name
        ) or framework == "paddle":
            unit = reason("step", PER_STEP) if stepped == "step" else reason("epoch", PER_EPOCH)
            if framework == "paddle" and stepped is None:
                unit = reason("step", PER_STEP)
        else:
            unit = reason("step", PER_STEP)
        for name in ("every", "duration", "milestones", "boundaries"):
            value = plan.value(name)
            if value is None:
                continue
            items = value.data if isinstance(value.data, list | tuple) else [value]
            if items and all(isinstance(item.data, PerEpoch) and not item.data.steps for item in items):
                unit = reason("epoch", "counted in epochs")
                plan.fields[name] = self.in_epochs(value)
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

    # one by one

    def _piecewise(self, made: Made, base: Value | None) -> Plan | None:
        lists = {
            name: made.kwargs[name]
            for name in ("boundaries", "values", "milestone", "learning_rates")
            if name in made.kwargs
        }
        rest = [arg for arg in made.args if isinstance(arg.data, list | tuple)]
        boundaries = lists.get("boundaries") or lists.get("milestone") or (rest.pop(0) if rest else None)
        values = lists.get("values") or lists.get("learning_rates") or (rest.pop(0) if rest else None)
        rates = numbers(values)
        if boundaries is None or values is None or rates is None or not isinstance(boundaries.data, list | tuple):
            return None
        if made.name == "piecewise_constant_lr":  # MindSpore: each rate up to its milestone
            boundaries = Value(list(boundaries.data[:-1]), boundaries.start, boundaries.end)
        if len(boundaries.data) + 1 != len(rates) or not boundaries.data:
            return None
        plan = self.in_unit(Plan("sequence", {"boundaries": boundaries}), made)
        boundaries = plan.value("boundaries")
        if boundaries is None:
            return None
        unit = plan.fields["unit"]
        if made.name == "PiecewiseConstantDecay" and getattr(unit, "data", "") == "step" and numbers(boundaries):
            words = self.on.program.text[boundaries.start : boundaries.end]
            why = f"{words}: Keras changes one step after each"
            boundaries = Value(boundaries.data, boundaries.start, boundaries.end, words=why)
        return self.of_levels(boundaries, values, unit)

    def of_levels(self, boundaries: Value, values: Value, unit: Value | Plan) -> Plan | None:
        """Return the schedule of levels between boundaries; with one factor it is a multistep."""
        rates = numbers(values)
        if rates is None or len(rates) != len(boundaries.data) + 1:
            return None
        ratios = {float(f"{b / a:.9g}") for a, b in pairwise(rates) if a}
        if len(ratios) == 1:
            factor = Value(nice(ratios.pop()), values.start, values.end)
            return Plan(
                "multistep", {"initial": values.data[0], "factor": factor, "milestones": boundaries, "unit": unit}
            )
        return Plan("sequence", {"schedules": values, "boundaries": boundaries, "unit": unit})

    def _scaled_steps(self, made: Made, base: Value | None) -> Plan | None:
        """Read optax's piecewise_constant_schedule: a start, and factors by step."""
        given = self.arguments(made, ["init_value", "boundaries_and_scales"])
        table, initial = given.get("boundaries_and_scales"), given.get("init_value")
        if table is None or not isinstance(table.data, dict) or not table.data:
            return None
        factors = [number(one) for one in table.data.values()]
        times = Value(
            [Value(key) for key in table.data], table.start, table.end, literal=table.literal, sources=table.sources
        )
        plan = self.in_unit(Plan("sequence", {"boundaries": times}), made)
        told = initial is not None and is_number(initial.data)
        if None in factors or plan.value("boundaries") is None or not (told or len(set(factors)) == 1):
            return None
        shared = {"unit": plan.fields["unit"]}
        if len(set(factors)) == 1:
            factor = next(iter(table.data.values()))
            first: dict[str, Value | Plan] = {"initial": initial} if told and initial is not None else {}
            return Plan("multistep", {**first, "factor": factor, "milestones": plan.fields["boundaries"], **shared})
        level, levels = (initial.data, [initial]) if initial is not None else (1.0, [])
        for one in factors:
            level *= one or 1.0
            levels.append(Value(nice(level)))
        return Plan(
            "sequence",
            {"schedules": Value(levels, made.start, made.end), "boundaries": plan.fields["boundaries"], **shared},
        )

    def warmup(
        self,
        then: Plan | None,
        duration: Value | None,
        start: Value | None,
        unit: Value | Plan | None,
        *,
        restart: bool,
    ) -> Plan | None:
        """Return a line up and what comes after it."""
        if duration is None or duration.data is None or duration.data == 0:
            return then
        known = is_number(duration.data) or isinstance(duration.data, PerEpoch)
        plan = Plan("warmup", {"duration": duration} if known else {})
        if isinstance(duration.data, PerEpoch):
            unit, plan.fields["duration"] = reason("epoch", "counted in epochs"), self.in_epochs(duration)
        if start is not None and is_number(start.data):
            plan.fields["start"] = start
        plan.fields["unit"] = unit if unit is not None else reason("step", PER_STEP)
        if then is not None:
            plan.start, plan.end = then.start, then.end
            plan.fields["then"] = then
            if then.kind != "constant":
                plan.fields["restart"] = reason(restart, "the clock of what follows")
        return plan

    def _line(self, made: Made, base: Value | None) -> Plan | None:
        """Read torch's LinearLR or ConstantLR alone: a warmup of the constant that the optimizer has."""
        given = self.arguments(made, ["optimizer", "start_factor", "end_factor", "total_iters"])
        if (
            made.name == "LinearLR"
            and (end := number(given.get("end_factor"))) is not None
            and end != 1
            and base is not None
            and is_number(base.data)
        ):
            start = number(given.get("start_factor"))
            duration = given.get("total_iters") or reason(5, "the default of LinearLR")
            first = base if start == 1 else Value(nice(base.data * (start or 1 / 3)), made.start, made.end)
            fields: dict[str, Value | Plan] = {
                "initial": first,
                "final": Value(nice(base.data * end), made.start, made.end),
            }
            return self.in_unit(Plan("linear", {**fields, "duration": duration}), made)
        then = Plan("constant", {"value": base}) if base is not None else None
        return self.raise_to(made, then, base)

    def raise_to(
        self, made: Made, then: Plan | None, base: Value | None, duration: Value | None = None, *, restart: bool = True
    ) -> Plan | None:
        """Return the warmup that a LinearLR or ConstantLR makes, before what follows."""
        if made.name == "ConstantLR":
            given = self.arguments(made, ["optimizer", "factor", "total_iters"])
        else:
            given = self.arguments(made, ["optimizer", "start_factor", "end_factor", "total_iters"])
        factor = given.get("start_factor") or given.get("factor") or reason(1 / 3, f"the default of {made.name}")
        if made.name == "WarmUpLR":  # imported from elsewhere: so many steps, from a rate that is not said
            given = self.arguments(made, ["optimizer", "total_iters"])
            factor = reason(None, "")
        length = duration or given.get("total_iters") or reason(5, f"the default of {made.name}")
        unit = self.in_unit(Plan("linear", {"duration": length}), made).fields["unit"]
        start = None
        if base is not None and is_number(base.data) and is_number(factor.data):
            start = Value(nice(base.data * factor.data), factor.start, factor.end, words=factor.words)
        if made.name == "ConstantLR" and start is not None and base is not None and is_number(length.data):
            if then is None or then.kind == "constant":
                levels = Value([start, base], made.start, made.end)
                return Plan(
                    "sequence",
                    {"schedules": levels, "boundaries": Value([length], length.start, length.end), "unit": unit},
                )
            return None
        return self.warmup(then, length, start, unit, restart=restart)

    def _in_turn(self, made: Made, base: Value | None) -> Plan | None:
        """Read SequentialLR, join_schedules: a first line that rises is a warmup."""
        names = ["schedules", "boundaries"] if "join" in made.name else ["optimizer", "schedulers", "milestones"]
        given = self.arguments(made, names)
        parts = given.get("schedulers") or given.get("schedules") or (made.args[0] if made.args else None)
        times = given.get("milestones") or given.get("boundaries") or (made.args[1] if len(made.args) > 1 else None)
        if (
            parts is None
            or times is None
            or not isinstance(parts.data, list | tuple)
            or not isinstance(times.data, list | tuple)
        ):
            return None
        if len(parts.data) != 2 or len(times.data) != 1:
            return self._levels_in_turn(parts, times, made, base)
        for part in parts.data:
            if isinstance(part.data, Made) and "stepped" in made.notes:
                part.data.notes.setdefault("stepped", made.notes["stepped"])
        first, second = parts.data
        then = self.of(second, base)
        if isinstance(first.data, Made) and first.data.name in {"LinearLR", "ConstantLR"}:
            return self.raise_to(first.data, then, base, times.data[0])
        before = self.of(first, base)
        if before is not None and before.kind == "linear":
            unit = self.in_unit(Plan("linear", {"duration": times.data[0]}), made).fields["unit"]
            return self.warmup(then, times.data[0], before.value("initial"), unit, restart=True)
        return self._levels_in_turn(parts, times, made, base)

    def _levels_in_turn(self, parts: Value, times: Value, made: Made, base: Value | None) -> Plan | None:
        plans = [self.of(part, base) for part in parts.data]
        levels = [plan.value("value") if plan is not None and plan.kind == "constant" else None for plan in plans]
        if None in levels or not numbers(times):
            return None
        fields: dict[str, Value | Plan] = {"schedules": Value(levels, parts.start, parts.end), "boundaries": times}
        return self.in_unit(Plan("sequence", fields), made)

    def _chained(self, made: Made, base: Value | None) -> Plan | None:
        parts = made.args[0] if made.args else made.kwargs.get("schedulers")
        made_parts = (
            [one.data for one in parts.data if isinstance(one.data, Made)]
            if parts is not None and isinstance(parts.data, list | tuple)
            else []
        )
        return self.together(made_parts, base)

    def together(self, parts: list[Made], base: Value | None) -> Plan | None:
        """Return several schedulers of one optimizer, all at work: a warmup and one more, on one clock."""
        lines = [part for part in parts if part.name in {"LinearLR", "ConstantLR", "WarmUpLR"}]
        rest = [part for part in parts if part not in lines]
        if len(parts) == 1:
            return self.made(parts[0], base)
        if len(lines) == 1 and len(rest) == 1:
            return self.raise_to(lines[0], self.made(rest[0], base), base, restart=False)
        return None

    def less(self, total: Value | None, warm: Value | None) -> Value | None:
        """Return the steps that are left after a warmup."""
        if total is None or warm is None:
            return total
        data = binary(ast.Sub(), total.data, warm.data, None)
        if data == total.data:
            return total
        known = is_number(data) or isinstance(data, PerEpoch)
        return Value(data, total.start, total.end, sources=total.sources) if known else None

    def _one_cycle(self, made: Made, base: Value | None) -> Plan | None:
        names = "optimizer max_lr total_steps epochs steps_per_epoch pct_start anneal_strategy cycle_momentum "
        names += "base_momentum max_momentum div_factor final_div_factor three_phase"
        given = self.arguments(made, names.split())
        if self.is_other(made, "onecycle", given):
            return None
        names = {name: name for name in ("pct_start", "div_factor", "final_div_factor")}
        plan = Plan("onecycle", chosen(given, peak="max_lr", duration="total_steps", **names))
        epochs, per_epoch = given.get("epochs"), number(given.get("steps_per_epoch"))
        if "duration" not in plan.fields and epochs is not None and is_number(epochs.data):
            length = PerEpoch(epochs.data) if per_epoch is None else nice(epochs.data * per_epoch)
            plan.fields["duration"] = Value(length, epochs.start, epochs.end, sources=epochs.sources)
        if "anneal_strategy" in given and given["anneal_strategy"].data == "linear":
            plan.fields["shape"] = given["anneal_strategy"]
        plan = self.in_unit(plan, made)
        if getattr(plan.fields["unit"], "words", "") == PER_EPOCH:
            plan.fields["unit"] = reason("step", PER_STEP)
        return plan

    def _by_function(self, made: Made, base: Value | None) -> Plan | None:
        given = self.arguments(made, ["optimizer", "lr_lambda"])
        function = given.get("lr_lambda")
        if function is not None and isinstance(function.data, list | tuple) and function.data:
            function = function.data[0]
        if function is None or not isinstance(function.data, Function):
            return None
        unit = "step" if made.notes.get("stepped") == "step" else "epoch"
        return sample_function(self.on, function.data, unit, self.epochs, base, factor=True)
