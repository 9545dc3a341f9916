"""PyTorch: torch.optim.SGD, its schedulers, and a small subclass where its rule is another.

What lives here: the program. What does not: schedulers (`torch_schedules.py`) and the digits (`torch_digits.py`). timm
uses the same program with its own constructor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from downslope.core import schedules as s
from downslope.core.errors import ExportError
from downslope.core.exact import exact
from downslope.core.schedules.schedule import Schedule
from downslope.core.settings import Settings, is_zero
from downslope.exporting import python_source
from downslope.exporting.digits_programs import torch_digits
from downslope.exporting.export_plan import Plan, changes_with_time, in_simplest_decay, match_source, without_dampening
from downslope.exporting.python_source import (
    WIDTH,
    by_epochs,
    call,
    comment,
    docstring,
    imports,
    indented,
    listed,
    module,
    nested,
    statement,
)
from downslope.exporting.schedule_source import python_function
from downslope.exporting.torch_own_step import reasons_for_own_step, write_own_step, write_subclass
from downslope.recipe.schema import GROWING

# Schedules in PyTorch's words

_HOME = "torch.optim.lr_scheduler."


@dataclass
class Scheduler:
    """A schedule of lr in PyTorch.

    Attributes:
        base: What the optimizer's own lr is.
        function: The scheduler's class; "" for none.
        arguments: Its arguments after the optimizer.
        each: "step" or "epoch": after what `scheduler.step()` is called.
        remarks: Sentences.
        definitions: A function that it needs, as source lines.
        by_group: Whether it has a function for each group, each giving all of the group's lr.
    """

    base: float
    function: str = ""
    arguments: list[str] = field(default_factory=list[str])
    each: str = "step"
    remarks: list[str] = field(default_factory=list[str])
    definitions: list[str] = field(default_factory=list[str])
    by_group: bool = False


def write_scheduler(plan: Plan, kept: Sequence[float] = (1.0,)) -> Scheduler:
    """Return the scheduler of a plan whose groups all have one lr that changes.

    Args:
        plan: The plan, with the lr that PyTorch has.
        kept: What the recipe's lr was multiplied by, in each group and last in the others.
    """
    lr = plan.recipe.sgd.lr
    if not isinstance(lr, Schedule):
        return _plateau(plan, lr, kept)
    if lr.extremes()[0] == lr.extremes()[1]:
        return Scheduler(lr.extremes()[0])
    found = _by_epoch(lr) if by_epochs(plan) else None
    if found is None:
        steps = plan.settings.lr
        found = _by_step(steps, plan.total_steps) if isinstance(steps, Schedule) else None
        if found is not None and lr.in_epochs():
            found.remarks.append(f"In steps; {plan.counted}.")
    return found or function_scheduler(plan)


def function_scheduler(plan: Plan) -> Scheduler:
    """Return the scheduler of a plan's lr as a function of the step."""
    lr = plan.settings.lr
    schedule = lr if isinstance(lr, Schedule) else s.Constant(lr)
    remarks = ["LambdaLR multiplies the optimizer's lr, here 1, by this function of the step, counted from 0."]
    if isinstance(plan.recipe.sgd.lr, Schedule) and plan.recipe.sgd.lr.in_epochs():
        remarks.append(f"Its numbers are steps; {plan.counted}.")
    if isinstance(schedule, s.Warmup) and schedule.start == 0:
        remarks.append("lr is 0 at the first step, which LinearLR does not allow.")
    elif isinstance(schedule, s.Cosine):
        remarks.append("CosineAnnealingLR would rise again after its end, before training ends.")
    definitions = python_function("learning_rate", schedule, doc="Return the learning rate of a step, counted from 0.")
    return Scheduler(1.0, f"{_HOME}LambdaLR", ["learning_rate"], remarks=remarks, definitions=definitions)


def _plateau(plan: Plan, lr: float, kept: Sequence[float]) -> Scheduler:
    plateau = plan.recipe.train.plateau
    if plateau is None:
        return Scheduler(lr)
    lowest = [plateau.min_lr * factor for factor in kept]
    arguments = [
        f'mode="{"max" if plateau.metric in GROWING else "min"}"',
        f"factor={plateau.factor!r}",
        f"patience={plateau.patience - 1}",
        f"threshold={plateau.min_delta!r}",
        'threshold_mode="abs"',
        f"min_lr={lowest[0] if len(set(lowest)) == 1 else lowest!r}",
    ]
    remark = (
        f"Step it with the held-out {plateau.metric}. PyTorch reduces lr once there are more than `patience` "
        f"evaluations without improvement, so {plateau.patience} are patience={plateau.patience - 1}."
    )
    return Scheduler(lr, f"{_HOME}ReduceLROnPlateau", arguments, each="evaluation", remarks=[remark])


def _by_epoch(lr: Schedule) -> Scheduler | None:
    """Return a scheduler that steps after each epoch, if the schedule is constant within epochs."""
    if isinstance(lr, s.MultiStep) and lr.unit == "epoch" and all(isinstance(m, int) for m in lr.milestones):
        return _multistep(lr, "epoch")
    if isinstance(lr, s.Exponential) and lr.unit == "epoch" and lr.staircase and lr.end is None:
        return _staircase(lr, "epoch")
    return None


def _by_step(lr: Schedule, total: int | None) -> Scheduler | None:  # noqa: PLR0911 -- one for each kind of schedule
    if isinstance(lr, s.MultiStep):
        return _multistep(lr, "step")
    if isinstance(lr, s.Exponential) and lr.end is None:
        if lr.staircase:
            return _staircase(lr, "step")
        if lr.every == 1:
            return Scheduler(lr.initial, f"{_HOME}ExponentialLR", [f"gamma={lr.rate!r}"])
        return None
    if isinstance(lr, s.OneCycle):
        return _onecycle(lr, total)
    if isinstance(lr, s.Warmup) and lr.restart and isinstance(lr.duration, int) and 0 < lr.start <= _start(lr.then):
        return _warmup(lr, total)
    return _ramp(lr, total)


def _multistep(lr: s.MultiStep, each: str) -> Scheduler:
    milestones = listed([repr(-int(-exact(m) // 1)) for m in lr.milestones])
    return Scheduler(lr.initial, f"{_HOME}MultiStepLR", [f"milestones={milestones}", f"gamma={lr.factor!r}"], each=each)


def _staircase(lr: s.Exponential, each: str) -> Scheduler | None:
    if not isinstance(lr.every, int):
        return None
    return Scheduler(lr.initial, f"{_HOME}StepLR", [f"step_size={lr.every}", f"gamma={lr.rate!r}"], each=each)


def _ramp(lr: Schedule, total: int | None) -> Scheduler | None:
    if not isinstance(lr, s.Cosine | s.Linear | s.Polynomial) or not isinstance(lr.duration, int) or lr.initial <= 0:
        return None
    if isinstance(lr, s.Cosine):
        if total is None or total > lr.duration:
            return None
        remark = "It would rise again after T_max, where training ends."
        arguments = [f"T_max={lr.duration}", f"eta_min={lr.final!r}"]
        return Scheduler(lr.initial, f"{_HOME}CosineAnnealingLR", arguments, remarks=[remark])
    power = lr.power if isinstance(lr, s.Polynomial) else 1.0
    if lr.final == 0:
        arguments = [f"total_iters={lr.duration}", f"power={power!r}"]
        return Scheduler(lr.initial, f"{_HOME}PolynomialLR", arguments)
    if power == 1 and lr.final <= lr.initial:
        end = f"{lr.final!r} / {lr.initial!r}"
        return Scheduler(
            lr.initial, f"{_HOME}LinearLR", ["start_factor=1.0", f"end_factor={end}", f"total_iters={lr.duration}"]
        )
    return None


def _warmup(lr: s.Warmup, total: int | None) -> Scheduler | None:
    then = s.Constant(lr.then.value) if isinstance(lr.then, s.Constant) else lr.then
    left = None if total is None else max(total - int(lr.duration), 0)
    inner = Scheduler(then.value) if isinstance(then, s.Constant) else _by_step(then, left)
    if inner is None or isinstance(then, s.Warmup | s.OneCycle):
        return None
    rise = nested(
        f"{_HOME}LinearLR",
        ["optimizer", f"start_factor={lr.start!r} / {inner.base!r}", f"total_iters={lr.duration}"],
    )
    if not inner.function:
        return Scheduler(
            inner.base,
            f"{_HOME}LinearLR",
            [f"start_factor={lr.start!r} / {inner.base!r}", f"total_iters={lr.duration}"],
        )
    second = nested(inner.function, ["optimizer", *inner.arguments])
    return Scheduler(
        inner.base,
        f"{_HOME}SequentialLR",
        [
            listed([rise, second]) if len(rise) + len(second) < 40 else _stacked([rise, second]),
            f"milestones=[{lr.duration}]",
        ],
        remarks=inner.remarks,
    )


def _stacked(items: list[str]) -> str:
    inner = "\n".join(f"    {line}" for item in items for line in f"{item},".splitlines())
    return f"[\n{inner}\n]"


def _onecycle(lr: s.OneCycle, total: int | None) -> Scheduler | None:
    if not isinstance(lr.duration, int) or total is None or total > lr.duration:
        return None
    steps = lr.duration + 1
    arguments = [
        f"max_lr={lr.peak!r}",
        f"total_steps={steps}",
        f"pct_start={float((exact(lr.pct_start) * lr.duration + 1) / steps)!r}",
        f'anneal_strategy="{"cos" if lr.shape == "cosine" else "linear"}"',
        "cycle_momentum=False",
        f"div_factor={lr.div_factor!r}",
        f"final_div_factor={lr.final_div_factor!r}",
    ]
    remark = (
        f"OneCycleLR reaches its peak one step early and ends at total_steps - 1: a cycle of {lr.duration} steps with "
        f"pct_start={lr.pct_start!r} is written like this."
    )
    return Scheduler(lr.peak, f"{_HOME}OneCycleLR", arguments, remarks=[remark])


def _start(schedule: Schedule) -> float:
    return schedule.reference if not isinstance(schedule, s.Warmup) else 0.0


# PyTorch


def first(value: float | Schedule) -> float:
    """Return a number, or a schedule's value at step 0."""
    return value(0) if isinstance(value, Schedule) else value


def write_groups(
    plan: Plan, forms: list[Settings], scheduler: Scheduler, decay: str, *, own_step: bool = False
) -> list[str]:
    """Return the function as source lines; none where the recipe has no groups.

    Args:
        plan: The plan.
        forms: The settings of each group, and last of the others, as PyTorch has them.
        scheduler: The scheduler of lr.
        decay: The way of weight decay that a subclass adds, or "".
        own_step: Whether the program's own step stands for the flags, which are then the same in all groups.
    """
    if not plan.recipe.groups:
        return []
    base = forms[-1]
    lines = ["def parameter_groups(model):", '    """Return the parameters with the settings of their group."""']
    names = [f"group_{number}" for number in range(1, len(forms))] + ["others"]
    lines += [
        f"    {', '.join(names)} = {', '.join('[]' for _ in names)}",
        "    for name, param in model.named_parameters():",
    ]
    for number, group in enumerate(plan.recipe.groups):
        condition = match_source(group.patterns, name="name", is_flat="param.ndim <= 1")
        lines += [
            statement(f"        {'elif' if number else 'if'} {condition}:"),
            f"            {names[number]}.append(param)",
        ]
    lines += ["        else:", "            others.append(param)"]
    if any("@bias_and_norm" in group.patterns for group in plan.recipe.groups):
        lines += comment("Parameters of at most one dimension are biases and those of normalisation layers.", 1)
    entries = []
    for name, form in zip(names, forms, strict=True):
        entry = [
            f'"params": {name}',
            *(
                f'"{key}": {value!r}'
                for key, value in _differing(form, base, scheduler, decay)
                if not (own_step and key in {"nesterov", "maximize"})
            ),
        ]
        entries.append(listed(entry, brackets="{}", room=WIDTH - len("        ,")))
    return [*lines, "    return [", *indented((f"{entry}," for entry in entries), 2), "    ]"]


def _differing(form: Settings, base: Settings, scheduler: Scheduler, decay: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    if form.lr != base.lr and not scheduler.by_group:
        found.append(("lr", form.lr))
    names = ("momentum", "dampening", "nesterov", "maximize")
    found += [(name, getattr(form, name)) for name in names if getattr(form, name) != getattr(base, name)]
    if decay:
        found.append(("decoupled_decay", first(form.weight_decay)))
    elif form.weight_decay != base.weight_decay:
        found.append(("weight_decay", first(form.weight_decay)))
    return found


@dataclass(frozen=True)
class Constructor:
    """How a target makes its optimizer.

    Attributes:
        function: What is called.
        arguments: (settings in torch's form) -> its arguments after the parameters.
        ways: The ways of weight decay that it has.
        extensible: Whether what it cannot do may be written out: in a subclass, or as an optimizer of its own.
        remarks: (settings in torch's form) -> sentences on it.
    """

    function: str
    arguments: Callable[[Settings], list[str]]
    ways: tuple[str, ...] = ("coupled",)
    extensible: bool = False
    remarks: Callable[[Settings], list[str]] = lambda _: []


def _arguments(settings: Settings) -> list[str]:
    found = [f"lr={settings.lr!r}"]
    if not is_zero(settings.momentum):
        found.append(f"momentum={first(settings.momentum)!r}")
    if settings.dampening:
        found.append(f"dampening={settings.dampening!r}")
    if not is_zero(settings.weight_decay) and settings.decay == "coupled":
        found.append(f"weight_decay={first(settings.weight_decay)!r}")
    return [*found, *(f"{name}=True" for name in ("nesterov", "maximize") if getattr(settings, name))]


def _own_arguments(settings: Settings) -> list[str]:
    numbers = ("momentum", "dampening", "weight_decay")
    return [f"lr={settings.lr!r}", *(f"{name}={first(getattr(settings, name))!r}" for name in numbers)]


TORCH = Constructor("torch.optim.SGD", _arguments, extensible=True)
OWN_STEP = Constructor("SGD", _own_arguments, ("coupled", "decoupled", "independent", "corrected"))


def write_torch(plan: Plan) -> str:
    """Return the program of a plan in PyTorch."""
    return write_program(plan, "PyTorch", lambda _: TORCH)


def write_program(plan: Plan, framework: str, choose: Callable[[Settings], Constructor]) -> str:
    """Return the program of a plan.

    Args:
        plan: The plan.
        framework: What its docstring calls it.
        choose: (settings of all parameters that no group matches) -> how the optimizer is made.

    Raises:
        ExportError: If it cannot be expressed.
    """
    reasons = reasons_for_own_step(plan.as_known)
    before = plan.as_known if reasons else tuple(without_dampening(settings) for settings in plan.as_known)
    constructor = choose(in_simplest_decay(before[-1]))
    if reasons and not constructor.extensible:
        raise ExportError(
            f"{framework} cannot express {' or '.join(reasons)}. Export to torch, which writes the step out in a "
            "subclass of its own, or to downslope."
        )
    if reasons:
        constructor = OWN_STEP
    forms = [settings if settings.decay in constructor.ways else in_simplest_decay(settings) for settings in before]
    base = forms[-1]
    decay = _one_decay(forms, constructor, framework)
    inside = not reasons and _inside(forms, plan, framework)
    scheduler = _scheduler(plan, forms)
    _check_corrected(forms, constructor, scheduler, framework)
    special = bool(decay) or inside
    if special and not constructor.extensible:
        _refuse(framework, decay)
    subclass = write_subclass(decay, inside=inside) if special else []
    name = "SGD" if special else constructor.function
    arguments = constructor.arguments(replace(base, lr=scheduler.base))
    parts = [
        [
            *python_source.constants(plan),
            *(_clip_constant(plan)),
            *([f"LR_MAX = {_decayed(forms).lr_max!r}"] if decay == "corrected" else []),
        ],
        scheduler.definitions,
        *_other_schedules(forms, framework),
        write_own_step(forms, reasons, framework) if reasons else subclass,
        write_groups(plan, forms, scheduler, decay, own_step=bool(reasons)),
        _make_optimizer(plan, before[-1], base, name, arguments, constructor, decay),
        _make_scheduler(scheduler),
        _repeated(plan),
        _train(plan, scheduler, forms, decay),
        *(torch_digits(plan) if plan.with_model else []),
    ]
    return module(python_source.opening(plan, framework), imports(parts, *_IMPORTS), *parts)


_IMPORTS = (
    "import math",
    "from fnmatch import fnmatchcase",
    "import numpy as np",
    "import sklearn.datasets",
    "import timm.optim",
    "import torch",
    "from torch import nn",
)


def _check_corrected(forms: list[Settings], constructor: Constructor, scheduler: Scheduler, framework: str) -> None:
    """Raise where corrected decay would be divided by another lr than the recipe's largest."""
    largest = {form.lr_max for form in forms if form.decay == "corrected" and not is_zero(form.weight_decay)}
    if len(largest) > 1:
        raise ExportError(
            f'{framework}: decay="corrected" divides by the largest lr, and the groups have several. Export to optax '
            "or downslope."
        )
    if largest and constructor.function.startswith("timm") and largest != {scheduler.base}:
        raise ExportError(
            f"{framework}: its corrected weight decay divides by the lr that the optimizer is made with, "
            f"{scheduler.base!r} here, and the recipe by its largest, {largest.pop()!r}. Export to torch, which "
            "writes a subclass."
        )


def _refuse(framework: str, decay: str) -> NoReturn:
    if decay:
        raise ExportError(
            f'{framework} cannot express decay="{decay}" with these settings: its optimizers have coupled, decoupled '
            "and corrected weight decay, one for all groups. Export to torch, which writes a subclass, or to downslope."
        )
    raise ExportError(
        f"{framework} cannot express lr_in_velocity with an lr that changes: its lr stands outside the velocity. "
        "Export to torch, which writes a subclass; or set sgd.lr_in_velocity = false, which is another rule from the "
        "first change of lr on."
    )


def _decayed(forms: list[Settings]) -> Settings:
    """Return the settings of a group whose weights decay."""
    return next(form for form in reversed(forms) if not is_zero(form.weight_decay))


def _one_decay(forms: list[Settings], constructor: Constructor, framework: str) -> str:
    ways = {form.decay for form in forms if not is_zero(form.weight_decay)}
    if len(ways) > 1:
        raise ExportError(
            f"{framework}: the groups have several ways of weight decay ({', '.join(sorted(ways))}), and one "
            "optimizer is written. Use one way, or export to downslope."
        )
    way = next(iter(ways), "coupled")
    return "" if way in constructor.ways else way


def _inside(forms: list[Settings], plan: Plan, framework: str) -> bool:
    inside = {
        form.lr_in_velocity for form in forms if not is_zero(form.momentum) and changes_with_time(form, plan.recipe)
    }
    if len(inside) > 1:
        raise ExportError(f"{framework}: lr stands inside the velocity in some groups and outside in others. Use one.")
    return inside == {True}


def _scheduler(plan: Plan, forms: list[Settings]) -> Scheduler:
    base = plan.as_known[-1]
    kept = [
        1 if one.dampening == other.dampening else 1 - one.dampening
        for one, other in zip(plan.as_known, forms, strict=True)
    ]
    if forms[-1].lr != base.lr:  # dampening went into it
        plan = replace(plan, recipe=replace(plan.recipe, sgd=replace(plan.recipe.sgd, lr=forms[-1].lr)))
    if not isinstance(forms[-1].lr, Schedule) and not any(isinstance(form.lr, Schedule) for form in forms):
        return write_scheduler(plan, kept)
    if all(form.lr == forms[-1].lr for form in forms):
        return write_scheduler(plan)
    found = function_scheduler(plan)
    names = []
    for number, form in enumerate(forms[:-1], start=1):
        schedule = form.lr if isinstance(form.lr, Schedule) else None
        if schedule is None:
            names.append(f"lambda step: {form.lr!r}")
            continue
        names.append(f"learning_rate_{number}")
        doc = f"Return the learning rate of group {number} at a step."
        found.definitions += ["", "", *python_function(names[-1], schedule, doc=doc)]
    found.arguments = [f"[{', '.join([*names, 'learning_rate'])}]"]
    found.by_group = True
    return found


def _clip_constant(plan: Plan) -> list[str]:
    if plan.recipe.train.clip_norm is None:
        return []
    remark = (
        "clip_grad_norm_ divides by the norm + 1e-6, the recipe by the norm: a clipped step is shorter here, by "
        "the fraction 1e-6 / norm."
    )
    return [*comment(remark), f"CLIP_NORM = {plan.recipe.train.clip_norm!r}"]


def _other_schedules(forms: list[Settings], framework: str) -> list[list[str]]:
    """Return functions for what else changes with the step."""
    found = []
    for name in ("momentum", "weight_decay"):
        value = getattr(forms[-1], name)
        others = [getattr(form, name) for form in forms if getattr(form, name) != value]
        if others and any(isinstance(one, Schedule) for one in (value, *others)):
            raise ExportError(
                f"{framework}: `{name}` has a schedule in some groups and another value elsewhere, and the program "
                "writes one to all. Use one for all, or export to optax or downslope."
            )
        if isinstance(value, Schedule):
            found.append(python_function(name, value, doc=f"Return {name} at a step, counted from 0."))
    return found


def _make_optimizer(
    plan: Plan, given: Settings, form: Settings, name: str, arguments: list[str], constructor: Constructor, decay: str
) -> list[str]:
    lines = ["def make_optimizer(model):", '    """Return the optimizer of all of the model\'s parameters."""']
    given_dampening = plan.recipe.sgd.dampening
    remarks = [] if name == "SGD" else constructor.remarks(form)
    if form.lr_in_velocity and not is_zero(form.momentum) and name != "SGD":
        remarks.append(
            "The recipe has lr inside the velocity, PyTorch outside: the same steps, since lr stays the same. They "
            "part as soon as lr changes."
        )
    if given.decay != form.decay and not is_zero(given.weight_decay):
        remarks.append(
            f"The recipe's {given.decay} weight decay of {given.weight_decay!r} is {form.decay} weight decay of "
            f"{form.weight_decay!r} here: the same step, with this momentum and lr."
        )
    if given_dampening and not form.dampening:
        remarks.append(
            f"The recipe dampens its first step too, which PyTorch does not: dampening={given_dampening!r} is in lr "
            "instead, the same rule in another scale of the velocity."
        )
    for remark in remarks:
        lines += comment(remark, 1)
    params = "model.parameters()"
    if plan.recipe.groups:
        params = "parameter_groups(model)"
    elif decay:
        params = f'[{{"params": model.parameters(), "decoupled_decay": {first(form.weight_decay)!r}}}]'
    return [*lines, *call(name, [params, *arguments], before="return ", depth=1)]


def _make_scheduler(scheduler: Scheduler) -> list[str]:
    if not scheduler.function:
        return []
    when = {"step": "each step", "epoch": "each epoch", "evaluation": "each evaluation"}[scheduler.each]
    lines = ["def make_scheduler(optimizer):", f'    """Return the scheduler; call its step() after {when}."""']
    for remark in scheduler.remarks:
        lines += comment(remark, 1)
    return [*lines, *call(scheduler.function, ["optimizer", *scheduler.arguments], before="return ", depth=1)]


def _repeated(plan: Plan) -> list[str]:
    if python_source.by_epochs(plan):
        return []
    return [
        "def repeated(batches):",
        '    """Yield the batches of one epoch after another, without end."""',
        "    while True:",
        "        yield from batches",
    ]


def _train(plan: Plan, scheduler: Scheduler, forms: list[Settings], decay: str) -> list[str]:
    plateau = plan.recipe.train.plateau
    takes = "model, batches, loss_function, evaluate" if plateau else "model, batches, loss_function"
    said = "`batches` is what a DataLoader is: going through it once is an epoch of (inputs, targets)."
    if plateau:
        said += f" `evaluate(model)` returns the held-out {plateau.metric}."
    lines = [f"def train({takes}):", *docstring("Train the model in place.", said, depth=1)]
    lines += [f"    {one}" for one in python_source.not_exported(plan)]
    lines += ["    optimizer = make_optimizer(model)"]
    if scheduler.function:
        lines += ["    scheduler = make_scheduler(optimizer)"]
    schedules = [n for n in ("momentum", "weight_decay") if isinstance(getattr(forms[-1], n), Schedule)]
    step = [
        "optimizer.zero_grad()",
        "loss_function(model(inputs), targets).backward()",
        *(["nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)"] if plan.recipe.train.clip_norm else []),
    ]
    for name in schedules:
        key = "decoupled_decay" if name == "weight_decay" and decay else name
        step += ["for group in optimizer.param_groups:", f'    group["{key}"] = {name}(step)']
    step += ["optimizer.step()", *(["scheduler.step()"] if scheduler.function and scheduler.each == "step" else [])]
    by_epochs = python_source.by_epochs(plan)
    if by_epochs:
        lines += ["    step = 0"] if schedules else []
        lines += ["    for _ in range(EPOCHS):", "        for inputs, targets in batches:"]
        lines += [f"            {one}" for one in [*step, *(["step += 1"] if schedules else [])]]
        after = {"epoch": ["        scheduler.step()"], "evaluation": ["        scheduler.step(evaluate(model))"]}
        return [*lines, *(after.get(scheduler.each, []) if scheduler.function else [])]
    name = "step" if schedules else "_"
    if plateau:
        per_epoch = plan.needed_steps_per_epoch("the held-out metric is looked at once an epoch")
        lines += comment(f"The metric is looked at once an epoch; {plan.counted}.", 1)
        lines += ["    for step, (inputs, targets) in zip(range(STEPS), repeated(batches)):"]
        step += [f"if (step + 1) % {per_epoch} == 0:", "    scheduler.step(evaluate(model))"]
    else:
        lines += [f"    for {name}, (inputs, targets) in zip(range(STEPS), repeated(batches)):"]
    return [*lines, *(f"        {one}" for one in step)]
