"""Schedules of frameworks, as a program makes them: their arguments as the fields of ours."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from downslope.reading.code.calls import FIELD_OF, FRAMEWORKS, KINDS, ROWS, TORCH_DEFAULTS
from downslope.reading.code.expressions import find_in_class
from downslope.reading.code.interpreter import Interpreter
from downslope.reading.code.recognise import nice
from downslope.reading.code.sampling import Plan, sample_function
from downslope.reading.code.values import (
    Function,
    Instance,
    Made,
    Namespace,
    PerEpoch,
    Value,
    is_known,
    is_number,
    number,
    numbers,
)
from downslope.systems.schedules import counterparts

_ROWS_OF = {system: counterparts(system) for system in ("torch", "keras", "optax")}
_SYSTEMS = {
    "torch": {"torch", "timm", "transformers", ""},
    "keras": {"keras", "tensorflow", ""},
    "optax": {"optax", "flax"},
}
_STAIRS = frozenset({"StepLR", "ExponentialLR", "StepDecay", "FactorScheduler", "StepLRScheduler", "MultiStepDecay"})
_PER_EPOCH = "torch's schedulers are usually stepped once per epoch"
_PER_STEP = "it counts optimizer steps"
_BY_EPOCH = frozenset({"CosineLRScheduler", "StepLRScheduler", "MultiStepLRScheduler"})
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


class Schedules:
    """Reads schedules.

    Args:
        on: The interpreter that made them.
        framework: The program's, for calls that do not say theirs.
        epochs: How many epochs the run has, or None.
    """

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
                function = Function(call.data.node, call.data.scope, call.data.defaults, owner=value)
                return sample_function(self.on, function, "step", None, None)
        if isinstance(value.data, Made):
            return self.made(value.data, base)
        return None

    def made(self, made: Made, base: Value | None = None) -> Plan | None:
        """Return the schedule that a call makes; `base` is the optimizer's learning rate, where that is what changes."""
        framework = framework_of(made.path) or self.framework
        special = _SPECIAL.get(made.name)
        plan = special(self, made, base) if special else self._by_row(made, base, framework)
        if plan is None:
            return None
        plan.start, plan.end = (made.start, made.end) if plan.start < 0 else (plan.start, plan.end)
        if made.name in _CYCLES:
            self.remarks.append(("restarts", {}))
        return plan

    def knows(self, made: Made) -> bool:
        """Return whether a call makes a schedule."""
        return made.name in _SPECIAL or self._row(made, framework_of(made.path) or self.framework) is not None

    # by the table

    def _row(self, made: Made, framework: str) -> tuple[str, list[str], dict[str, Any]] | None:
        """Return our kind, the names of the arguments in order, and their defaults."""
        found = ROWS.get(f"{framework}.{made.name}")
        if found is None:
            for system, rows in _ROWS_OF.items():
                row = rows.get(made.name)
                if row is not None and framework in _SYSTEMS[system]:
                    names = [*(["optimizer"] if system == "torch" else []), *row.arguments]
                    defaults = dict(row.defaults) | {
                        key.partition(".")[2]: v for key, v in TORCH_DEFAULTS.items() if key.startswith(f"{made.name}.")
                    }
                    return row.kind.name, names, defaults
            found = ROWS.get(made.name)
        if found is None:
            return None
        words = [word.partition("=") for word in found[1].split()]
        return found[0], [word[0] for word in words], {word[0]: _plain(word[2]) for word in words if word[2]}

    def arguments(self, made: Made, names: list[str]) -> dict[str, Value]:
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
        ):
            names = [name for name in names if name != "global_step"]
        return {**dict(zip(names, args, strict=False)), **made.kwargs}

    def _by_row(self, made: Made, base: Value | None, framework: str) -> Plan | None:
        row = self._row(made, framework)
        if row is None:
            return None
        kind, names, defaults = row
        given = self.arguments(made, names)
        for name, data in defaults.items():
            given.setdefault(name, reason(data, f"the default of {made.name}"))
        plan = Plan(kind)
        for field in KINDS.get(kind, "").split():
            named = f"{FIELD_OF.get(field, '')} {'factor gamma decay_rate' if field == 'factor' else ''}".split()
            found = next((given[name] for name in named if name in given), None)
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
            framework in {"torch", "paddle", "timm", "transformers", ""} and "LR" in made.name or framework == "paddle"
        ):
            unit = reason("step", _PER_STEP) if stepped == "step" else reason("epoch", _PER_EPOCH)
            if framework == "paddle" and stepped is None:
                unit = reason("step", _PER_STEP)
        else:
            unit = reason("step", _PER_STEP)
        for name in ("every", "duration", "milestones", "boundaries"):
            value = plan.value(name)
            if value is None:
                continue
            items = value.data if isinstance(value.data, list | tuple) else [value]
            if items and all(isinstance(item.data, PerEpoch) and not item.data.steps for item in items):
                unit = reason("epoch", "counted in epochs")
                plan.fields[name] = self._epochs(value)
            elif any(isinstance(item.data, PerEpoch) for item in items):
                del plan.fields[name]
        plan.fields["unit"] = unit
        return plan

    def _epochs(self, value: Value) -> Value:
        """Return a number of steps that is so many epochs', or a list of them, in epochs."""
        if isinstance(value.data, list | tuple):
            items = [self._epochs(item) for item in value.data]
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
            later = [Value(one.data + 1) for one in boundaries.data]
            boundaries = Value(later, words=f"{words}: Keras changes one step after each")
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
        if initial is None or table is None or not isinstance(table.data, dict) or not table.data:
            return None
        factors = [number(one) for one in table.data.values()]
        times = Value(
            [Value(key) for key in table.data], table.start, table.end, literal=table.literal, sources=table.sources
        )
        plan = self.in_unit(Plan("sequence", {"boundaries": times}), made)
        if None in factors or not is_number(initial.data) or plan.value("boundaries") is None:
            return None
        shared = {"unit": plan.fields["unit"]}
        if len(set(factors)) == 1:
            factor = next(iter(table.data.values()))
            return Plan(
                "multistep", {"initial": initial, "factor": factor, "milestones": plan.fields["boundaries"], **shared}
            )
        level, levels = initial.data, [Value(initial.data)]
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
        if duration is None or duration.data in {0, None}:
            return then
        known = is_number(duration.data) or isinstance(duration.data, PerEpoch)
        plan = Plan("warmup", {"duration": duration} if known else {})
        if isinstance(duration.data, PerEpoch):
            unit, plan.fields["duration"] = reason("epoch", "counted in epochs"), self._epochs(duration)
        if start is not None and is_number(start.data):
            plan.fields["start"] = start
        plan.fields["unit"] = unit if unit is not None else reason("step", _PER_STEP)
        if then is not None:
            plan.start, plan.end = then.start, then.end
            plan.fields["then"] = then
            if then.kind != "constant":
                plan.fields["restart"] = reason(restart, "the clock of what follows")
        return plan

    def _line(self, made: Made, base: Value | None) -> Plan | None:
        """Read torch's LinearLR or ConstantLR alone: a warmup of the constant that the optimizer has."""
        default = "end_factor" if made.name == "LinearLR" else ""
        given = self.arguments(made, ["optimizer", "start_factor", "end_factor", "total_iters"])
        if (
            default
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

    def _optax_warmup(self, made: Made, base: Value | None) -> Plan | None:
        names = ["init_value", "peak_value", "warmup_steps"]
        names += ["decay_steps", "end_value"] if "cosine" in made.name else ["transition_steps", "decay_rate"]
        given = self.arguments(made, names)
        peak, warm = given.get("peak_value"), given.get("warmup_steps")
        if peak is None or not is_number(peak.data):
            return None
        fields: dict[str, Value | Plan] = {"initial": peak}
        if "cosine" in made.name:
            fields["final"] = given.get("end_value") or reason(0.0, "schedules end at 0 unless said otherwise")
            rest = self._less(given.get("decay_steps"), warm)
            then = Plan("cosine", {**fields, **({"duration": rest} if rest else {})})
        else:
            more = {"every": given.get("transition_steps"), "rate": given.get("decay_rate")}
            then = Plan("exponential", {**fields, **{k: v for k, v in more.items() if v is not None}})
        return self.warmup(self.in_unit(then, made), warm, given.get("init_value"), None, restart=True)

    def _less(self, total: Value | None, warm: Value | None) -> Value | None:
        """Return the steps that are left after a warmup."""
        from downslope.reading.code.arithmetic import binary
        import ast

        if total is None or warm is None:
            return total
        data = binary(ast.Sub(), total.data, warm.data, None)
        if data == total.data:
            return total
        known = is_number(data) or isinstance(data, PerEpoch)
        return Value(data, total.start, total.end, sources=total.sources) if known else None

    def _transformers(self, made: Made, base: Value | None) -> Plan | None:
        names = ["optimizer", "num_warmup_steps", "num_training_steps"]
        if made.name == "get_scheduler":
            names = ["name", *names]
        given = self.arguments(made, names)
        said = given.get("name")
        name = str(said.data) if said is not None and isinstance(said.data, str) else made.name
        kind = next(
            (
                k
                for word, k in (
                    ("cosine", "cosine"),
                    ("linear", "linear"),
                    ("polynomial", "polynomial"),
                    ("constant", "constant"),
                )
                if word in name
            ),
            "",
        )
        if not kind:
            return None
        warm = given.get("num_warmup_steps")
        if kind == "constant":
            then = Plan("constant", {"value": base}) if base is not None else None
        else:
            final = given.get("lr_end") or (
                reason(1e-7, f"the default of {made.name}") if kind == "polynomial" else None
            )
            fields: dict[str, Value | Plan] = {
                "final": final or reason(0.0, "schedules end at 0 unless said otherwise")
            }
            rest = self._less(given.get("num_training_steps"), warm)
            fields.update({"duration": rest} if rest is not None else {})
            fields.update({"initial": base} if base is not None else {})
            fields.update(
                {"power": given.get("power") or reason(1.0, f"the default of {made.name}")}
                if kind == "polynomial"
                else {}
            )
            then = self.in_unit(Plan(kind, fields), made)
            if getattr(then.fields["unit"], "words", "") == _PER_EPOCH:
                then.fields["unit"] = reason("step", _PER_STEP)
        return self.warmup(then, warm, reason(0.0, "it begins at 0"), None, restart=True)

    def _keras_cosine(self, made: Made, base: Value | None) -> Plan | None:
        plan = self._by_row(made, base, "keras")
        given = self.arguments(
            made, ["initial_learning_rate", "decay_steps", "alpha", "name", "warmup_target", "warmup_steps"]
        )
        target, warm = given.get("warmup_target"), given.get("warmup_steps")
        if plan is None or target is None or not is_number(target.data):
            return plan
        start = plan.value("initial")
        plan.fields["initial"] = target
        alpha = number(given.get("alpha"))
        if alpha:
            plan.fields["final"] = Value(nice(alpha * target.data), target.start, target.end)
        return self.warmup(plan, warm, start, None, restart=True)

    def _paddle_warmup(self, made: Made, base: Value | None) -> Plan | None:
        given = self.arguments(made, ["learning_rate", "warmup_steps", "start_lr", "end_lr"])
        inner = given.get("learning_rate")
        then = self.of(inner, base)
        stepped = Plan("linear", {"duration": given["warmup_steps"]}) if "warmup_steps" in given else Plan("linear")
        if isinstance(inner and inner.data, Made) and "stepped" in made.notes:
            then = self.in_unit(then, made) if then is not None else None
        unit = self.in_unit(stepped, made).fields["unit"]
        return self.warmup(
            then, given.get("warmup_steps"), given.get("start_lr"), unit, restart=made.name == "LinearWarmup"
        )

    def _mxnet(self, made: Made, base: Value | None) -> Plan | None:
        row = self._row(made, "mxnet")
        plan = self._by_row(made, base, "mxnet")
        if plan is None or row is None:
            return None
        given = self.arguments(made, row[1])
        if "step" in given and plan.kind == "multistep":
            plan.fields["milestones"] = given["step"]
        plan = self.in_unit(plan, made)
        warm = given.get("warmup_steps")
        if warm is not None and plan.kind in {"cosine", "polynomial"} and plan.value("duration") is not None:
            rest = self._less(given.get("max_update"), warm)
            plan.fields.update({"duration": rest} if rest is not None else {})
            plan = self.in_unit(plan, made)
        start = given.get("warmup_begin_lr") or reason(0.0, f"the default of {made.name}")
        return (
            self.warmup(plan, warm, start, None, restart=plan.kind in {"cosine", "polynomial"})
            if warm is not None
            else plan
        )

    def _gluoncv(self, made: Made, base: Value | None) -> Plan | None:
        given = self.arguments(made, ["mode", "base_lr", "target_lr", "niters", "nepochs", "iters_per_epoch"])
        mode = given["mode"].data if "mode" in given else None
        kind = {
            "step": "multistep",
            "poly": "polynomial",
            "cosine": "cosine",
            "linear": "linear",
            "constant": "constant",
        }.get(str(mode))
        if kind is None:
            return None
        by_epoch = given.get("nepochs") is not None and given["nepochs"].data != 0
        first = given.get("base_lr") or reason(0.1, "the default of LRScheduler")
        unit = reason("epoch", "counted in epochs") if by_epoch else reason("step", _PER_STEP)
        if kind == "constant":
            return Plan(kind, {"value": first})
        if kind == "multistep":
            times = given.get("step_epoch") or given.get("step_iter")
            fields = {"initial": first, "factor": given.get("step_factor") or reason(0.1, "the default of LRScheduler")}
            return Plan(kind, {**fields, **({"milestones": times} if numbers(times) and times else {}), "unit": unit})
        length = given["nepochs"] if by_epoch else given.get("niters")
        fields = {
            "initial": first,
            "final": given.get("target_lr") or reason(0.0, "the default of LRScheduler"),
            "unit": unit,
        }
        fields.update({"duration": length} if length is not None and is_number(length.data) else {})
        fields.update(
            {"power": given.get("power") or reason(2, "the default of LRScheduler")} if kind == "polynomial" else {}
        )
        return Plan(kind, fields)

    def _gluoncv_turns(self, made: Made, base: Value | None) -> Plan | None:
        parts = made.args[0] if made.args else made.kwargs.get("schedulers")
        if parts is None or not isinstance(parts.data, list | tuple):
            return None
        plans = [plan for part in parts.data if (plan := self.of(part, base)) is not None]
        plans = [plan for plan in plans if number(plan.value("duration")) != 0]
        if len(plans) == 1:
            return plans[0]
        if len(plans) == 2 and plans[0].kind == "linear":
            return self.warmup(
                plans[1],
                plans[0].value("duration"),
                plans[0].value("initial"),
                plans[0].fields.get("unit"),
                restart=True,
            )
        return None

    def _one_cycle(self, made: Made, base: Value | None) -> Plan | None:
        given = self.arguments(
            made, ["optimizer", "max_lr", "total_steps", "epochs", "steps_per_epoch", "pct_start", "anneal_strategy"]
        )
        plan = Plan("onecycle")
        peak, total, epochs = given.get("max_lr"), given.get("total_steps"), given.get("epochs")
        if peak is not None and is_number(peak.data):
            plan.fields["peak"] = peak
        per_epoch = number(given.get("steps_per_epoch"))
        if total is not None and total.data is not None:
            plan.fields["duration"] = total
        elif epochs is not None and is_number(epochs.data):
            steps = nice(epochs.data * per_epoch) if per_epoch is not None else None
            plan.fields["duration"] = (
                Value(PerEpoch(epochs.data), epochs.start, epochs.end, sources=epochs.sources)
                if steps is None
                else Value(steps, epochs.start, epochs.end)
            )
        for name in ("pct_start", "div_factor", "final_div_factor"):
            if name in given and is_number(given[name].data):
                plan.fields[name] = given[name]
        if "anneal_strategy" in given and given["anneal_strategy"].data == "linear":
            plan.fields["shape"] = given["anneal_strategy"]
        plan = self.in_unit(plan, made)
        if getattr(plan.fields["unit"], "words", "") == _PER_EPOCH:
            plan.fields["unit"] = reason("step", _PER_STEP)
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

    def _warm_then_milestones(self, made: Made, base: Value | None) -> Plan | None:
        plan = self._by_row(made, base, "torch")
        given = self.arguments(made, ["optimizer", "milestones", "gamma", "warmup_factor", "warmup_iters"])
        if plan is None:
            return None
        plan.fields["unit"] = reason("step", _PER_STEP)
        factor = number(given.get("warmup_factor"))
        start = (
            Value(nice(base.data * factor), made.start, made.end)
            if factor is not None and base is not None and is_number(base.data)
            else None
        )
        return self.warmup(plan, given.get("warmup_iters"), start, None, restart=False)

    def _gradual(self, made: Made, base: Value | None) -> Plan | None:
        given = self.arguments(made, ["optimizer", "multiplier", "total_epoch", "after_scheduler"])
        times = number(given.get("multiplier"))
        if times is None or base is None or not is_number(base.data):
            return None
        top = base if times == 1 else Value(nice(base.data * times), made.start, made.end)
        start = reason(0.0, "a multiplier of 1 begins at 0") if times == 1 else base
        after = given.get("after_scheduler")
        then = (
            self.of(after, top)
            if after is not None and isinstance(after.data, Made)
            else Plan("constant", {"value": top})
        )
        return self.warmup(then, given.get("total_epoch"), start, reason("epoch", _PER_EPOCH), restart=True)

    def _timm(self, made: Made, base: Value | None) -> Plan | None:
        row = self._row(made, "timm")
        plan = self._by_row(made, base, "timm")
        if plan is None or row is None:
            return None
        given = self.arguments(made, row[1])
        if plan.kind == "multistep" and "decay_t" in given:
            plan.fields["milestones"] = given["decay_t"]
        return self.warmup(plan, given.get("warmup_t"), given.get("warmup_lr_init"), plan.fields["unit"], restart=False)

    def _timm_by_word(self, made: Made, base: Value | None) -> Plan | None:
        """Read timm's create_scheduler: the options say which schedule."""
        inner = [arg for arg in [*made.args, *made.kwargs.values()]]
        inner += [
            one for arg in inner if isinstance(arg.data, Made) for one in [*arg.data.args, *arg.data.kwargs.values()]
        ]
        table = next(
            (
                arg.data.attributes
                for arg in inner
                if isinstance(arg.data, Namespace) and "sched" in arg.data.attributes
            ),
            None,
        )
        if table is None:
            return None
        given = {
            name: value
            for name, value in table.items()
            if is_number(value.data) or isinstance(value.data, list | tuple)
        }
        kind = {"cosine": "cosine", "step": "exponential", "multistep": "multistep", "poly": "polynomial"}.get(
            str(table["sched"].data)
        )
        if kind is None:
            return None
        names = {
            "cosine": {"final": "min_lr", "duration": "epochs"},
            "polynomial": {"final": "min_lr", "duration": "epochs", "power": "decay_rate"},
            "exponential": {"rate": "decay_rate", "every": "decay_epochs"},
            "multistep": {"factor": "decay_rate", "milestones": "decay_milestones"},
        }[kind]
        unit = reason("epoch", "counted in epochs")
        plan = Plan(kind, {field: given[name] for field, name in names.items() if name in given}, made.start, made.end)
        plan.fields.update({"unit": unit} | ({"initial": base} if base is not None else {}))
        if kind == "exponential":
            plan.fields["staircase"] = reason(True, "it drops at once")
        return self.warmup(plan, given.get("warmup_epochs"), given.get("warmup_lr"), unit, restart=False)


def _plain(words: str) -> Any:
    return words == "True" if words in {"True", "False"} else float(words) if "." in words else int(words)


_SPECIAL: dict[str, Callable[[Schedules, Made, Value | None], Plan | None]] = {
    **dict.fromkeys(
        ["PiecewiseConstantDecay", "piecewise_constant", "piecewise_constant_decay", "PiecewiseDecay", "piecewise_decay", "piecewise_constant_lr"],
        Schedules._piecewise,  # noqa: SLF001
    ),
    "piecewise_constant_schedule": Schedules._scaled_steps,  # noqa: SLF001
    **dict.fromkeys(["LinearLR", "ConstantLR", "WarmUpLR"], Schedules._line),  # noqa: SLF001
    **dict.fromkeys(["SequentialLR", "join_schedules"], Schedules._in_turn),  # noqa: SLF001
    "ChainedScheduler": Schedules._chained,  # noqa: SLF001
    **dict.fromkeys(["warmup_cosine_decay_schedule", "warmup_exponential_decay_schedule"], Schedules._optax_warmup),  # noqa: SLF001
    **dict.fromkeys(
        [
            "get_linear_schedule_with_warmup", "get_cosine_schedule_with_warmup", "get_constant_schedule_with_warmup",
            "get_polynomial_decay_schedule_with_warmup", "get_scheduler", "get_constant_schedule",
        ],
        Schedules._transformers,  # noqa: SLF001
    ),
    "CosineDecay": Schedules._keras_cosine,  # noqa: SLF001
    **dict.fromkeys(["LinearWarmup", "linear_lr_warmup"], Schedules._paddle_warmup),  # noqa: SLF001
    **dict.fromkeys(["FactorScheduler", "MultiFactorScheduler", "PolyScheduler", "CosineScheduler"], Schedules._mxnet),  # noqa: SLF001
    "LRScheduler": Schedules._gluoncv,  # noqa: SLF001
    "LRSequential": Schedules._gluoncv_turns,  # noqa: SLF001
    "OneCycleLR": Schedules._one_cycle,  # noqa: SLF001
    **dict.fromkeys(["LambdaLR", "LambdaDecay"], Schedules._by_function),  # noqa: SLF001
    **dict.fromkeys(["create_scheduler", "create_scheduler_v2"], Schedules._timm_by_word),  # noqa: SLF001
    "WarmupMultiStepLR": Schedules._warm_then_milestones,  # noqa: SLF001
    "GradualWarmupScheduler": Schedules._gradual,  # noqa: SLF001
    **dict.fromkeys(["CosineLRScheduler", "StepLRScheduler", "MultiStepLRScheduler"], Schedules._timm),  # noqa: SLF001
}  # fmt: skip
