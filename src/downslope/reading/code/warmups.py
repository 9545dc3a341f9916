"""Schedules that bring a warmup of their own: optax's, transformers', Keras's, Paddle's, MXNet's, GluonCV's, timm's."""

from __future__ import annotations

from typing import ClassVar

from downslope.reading.code.recognise import nice
from downslope.reading.code.sampling import Plan
from downslope.reading.code.schedules import PER_EPOCH, PER_STEP, BasicSchedules, chosen, reason
from downslope.reading.code.values import Made, Namespace, Value, is_number, number, words_of

_OF_TRANSFORMERS = words_of(
    "get_linear_schedule_with_warmup get_cosine_schedule_with_warmup get_constant_schedule_with_warmup get_scheduler "
    "get_polynomial_decay_schedule_with_warmup get_constant_schedule"
)


_WORDS = {
    "step": "multistep",
    "poly": "polynomial",
    **{name: name for name in ("multistep", "cosine", "linear", "constant")},
}
"""GluonCV's and timm's word for a schedule -> ours."""


class Schedules(BasicSchedules):
    """Reads schedules, of all frameworks that are known."""

    methods: ClassVar[dict[str, str]] = {
        **BasicSchedules.methods,
        **dict.fromkeys(["warmup_cosine_decay_schedule", "warmup_exponential_decay_schedule"], "_optax_warmup"),
        **dict.fromkeys(_OF_TRANSFORMERS, "_transformers"),
        "CosineDecay": "_keras_cosine",
        "fit_one_cycle": "_fit_one_cycle",
        **dict.fromkeys(["LinearWarmup", "linear_lr_warmup"], "_paddle_warmup"),
        **dict.fromkeys(["FactorScheduler", "MultiFactorScheduler", "PolyScheduler", "CosineScheduler"], "_mxnet"),
        "LRScheduler": "_gluoncv",
        "LRSequential": "_gluoncv_turns",
        **dict.fromkeys(["create_scheduler", "create_scheduler_v2"], "_timm_by_word"),
        "WarmupMultiStepLR": "_warm_then_milestones",
        "GradualWarmupScheduler": "_gradual",
        **dict.fromkeys(["CosineLRScheduler", "StepLRScheduler", "MultiStepLRScheduler"], "_timm"),
    }

    def _optax_warmup(self, made: Made, base: Value | None) -> Plan | None:
        names = ["init_value", "peak_value", "warmup_steps"]
        if "cosine" in made.name:
            names += ["decay_steps", "end_value", "exponent"]
        else:
            names += ["transition_steps", "decay_rate", "transition_begin", "staircase", "end_value"]
        given = self.arguments(made, names)
        peak, warm = given.get("peak_value"), given.get("warmup_steps")
        if self.is_other(made, "", given):
            return None
        fields: dict[str, Value | Plan] = {"initial": peak} if peak is not None and is_number(peak.data) else {}
        if "cosine" in made.name:
            fields["final"] = given.get("end_value") or reason(0.0, "schedules end at 0 unless said otherwise")
            rest = self.less(given.get("decay_steps"), warm)
            then = Plan("cosine", {**fields, **({"duration": rest} if rest else {})})
        else:
            more = {
                "every": given.get("transition_steps"),
                "rate": given.get("decay_rate"),
                "staircase": given.get("staircase"),
                "end": given.get("end_value"),
            }
            then = Plan("exponential", {**fields, **{k: v for k, v in more.items() if v is not None}})
        return self.warmup(self.in_unit(then, made), warm, given.get("init_value"), None, restart=True)

    def _transformers(self, made: Made, base: Value | None) -> Plan | None:
        names = ["optimizer", "num_warmup_steps", "num_training_steps"]
        if made.name == "get_scheduler":
            names = ["name", *names]
        if "cosine" in made.name:
            names.append("num_cycles")
        elif "polynomial" in made.name:
            names += ["lr_end", "power"]
        given = self.arguments(made, names)
        said = given.get("name")
        name = str(said.data) if said is not None and isinstance(said.data, str) else made.name
        kind = next((one for one in ("cosine", "linear", "polynomial", "constant") if one in name), "")
        if not kind or self.is_other(made, kind, given):
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
            rest = self.less(given.get("num_training_steps"), warm)
            fields.update({"duration": rest} if rest is not None else {})
            fields.update({"initial": base} if base is not None else {})
            fields.update(
                {"power": given.get("power") or reason(1.0, f"the default of {made.name}")}
                if kind == "polynomial"
                else {}
            )
            then = self.in_unit(Plan(kind, fields), made)
            if getattr(then.fields["unit"], "words", "") == PER_EPOCH:
                then.fields["unit"] = reason("step", PER_STEP)
        return self.warmup(then, warm, reason(0.0, "it begins at 0"), None, restart=True)

    def _fit_one_cycle(self, made: Made, base: Value | None) -> Plan | None:
        given = self.arguments(made, ["n_epoch", "lr_max", "div", "div_final", "pct_start"])
        fields = chosen(given, peak="lr_max max_lr", duration="n_epoch cyc_len", pct_start="pct_start")
        return Plan("onecycle", {**fields, "unit": reason("epoch", "counted in epochs")})

    def _keras_cosine(self, made: Made, base: Value | None) -> Plan | None:
        plan = self.by_row(made, base, "keras")
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
        row = self.row_of(made, "mxnet")
        plan = self.by_row(made, base, "mxnet")
        if plan is None or row is None:
            return None
        given = self.arguments(made, row[1])
        if "step" in given and plan.kind == "multistep":
            plan.fields["milestones"] = given["step"]
            plan = self.in_unit(plan, made)
        warm = given.get("warmup_steps")
        if warm is not None and plan.kind in {"cosine", "polynomial"} and plan.value("duration") is not None:
            rest = self.less(given.get("max_update"), warm)
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
        kind = _WORDS.get(str(given["mode"].data)) if "mode" in given else None
        if kind is None:
            return None
        by_epoch = given.get("nepochs") is not None and given["nepochs"].data != 0
        why = "the default of LRScheduler"
        first = given.get("base_lr") or reason(0.1, why)
        if kind == "constant":
            return Plan(kind, {"value": first})
        fields: dict[str, Value | Plan] = {
            "initial": first,
            "unit": reason("epoch", "counted in epochs") if by_epoch else reason("step", PER_STEP),
        }
        if kind == "multistep":
            fields["factor"] = given.get("step_factor") or reason(0.1, why)
            return Plan(kind, fields | chosen(given, milestones="step_epoch step_iter"))
        fields["final"] = given.get("target_lr") or reason(0.0, why)
        if kind == "polynomial":
            fields["power"] = given.get("power") or reason(2, why)
        return Plan(kind, fields | chosen(given, duration="nepochs" if by_epoch else "niters"))

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

    def _warm_then_milestones(self, made: Made, base: Value | None) -> Plan | None:
        plan = self.by_row(made, base, "torch")
        given = self.arguments(made, ["optimizer", "milestones", "gamma", "warmup_factor", "warmup_iters"])
        if plan is None:
            return None
        plan.fields["unit"] = reason("step", PER_STEP)
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
        return self.warmup(then, given.get("total_epoch"), start, reason("epoch", PER_EPOCH), restart=True)

    def _timm(self, made: Made, base: Value | None) -> Plan | None:
        row = self.row_of(made, "timm")
        plan = self.by_row(made, base, "timm")
        if plan is None or row is None:
            return None
        given = self.arguments(made, row[1])
        if plan.kind == "multistep" and "decay_t" in given:
            plan.fields["milestones"] = given["decay_t"]
        own_clock = "warmup_prefix" in given and given["warmup_prefix"].data is True
        start = given.get("warmup_lr_init")
        return self.warmup(plan, given.get("warmup_t"), start, plan.fields["unit"], restart=own_clock)

    def _timm_by_word(self, made: Made, base: Value | None) -> Plan | None:
        """Read timm's create_scheduler: the options say which schedule."""
        inner = [*made.args, *made.kwargs.values()]
        for one in [arg.data for arg in inner if isinstance(arg.data, Made)]:
            inner += [*one.args, *one.kwargs.values()]
        tables = [arg.data.attributes for arg in inner if isinstance(arg.data, Namespace)]
        table = next((table for table in tables if "sched" in table), {})
        kind = _WORDS.get(str(table["sched"].data)) if table else None
        kind = "exponential" if kind == "multistep" and table["sched"].data == "step" else kind
        names = {
            "cosine": {"final": "min_lr", "duration": "epochs"},
            "polynomial": {"final": "min_lr", "duration": "epochs", "power": "decay_rate"},
            "exponential": {"rate": "decay_rate", "every": "decay_epochs"},
            "multistep": {"factor": "decay_rate", "milestones": "decay_milestones"},
        }.get(kind or "")
        if kind is None or names is None:
            return None
        unit = reason("epoch", "counted in epochs")
        fields = chosen(table, **names) | {"unit": unit} | ({"initial": base} if base is not None else {})
        if kind == "exponential":
            fields["staircase"] = reason(True, "it drops at once")
        plan = Plan(kind, fields, made.start, made.end)
        return self.warmup(plan, table.get("warmup_epochs"), table.get("warmup_lr"), unit, restart=False)
