"""PyTorch: torch.optim.SGD, its schedulers, and a small subclass where its rule is another.

What lives here: the program. What does not: schedulers (`torch_schedules.py`) and the digits (`torch_digits.py`). timm
uses the same program with its own constructor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn

from downslope.core.errors import ExportError
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings, is_zero
from downslope.recipes.exporting import common
from downslope.recipes.exporting.pieces import python_function
from downslope.recipes.exporting.plan import (
    Plan,
    changes_with_time,
    in_simplest_decay,
    without_dampening,
)
from downslope.recipes.exporting.source import call, comment, docstring, imports, module
from downslope.recipes.exporting.torch_digits import torch_digits
from downslope.recipes.exporting.torch_groups import first, write_groups
from downslope.recipes.exporting.torch_own_step import reasons_for_own_step, write_own_step
from downslope.recipes.exporting.torch_schedules import Scheduler, function_scheduler, write_scheduler
from downslope.recipes.exporting.torch_subclass import write_subclass


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
            *common.constants(plan),
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
    return module(common.opening(plan, framework), imports(parts, *_IMPORTS), *parts)


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
    if common.by_epochs(plan):
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
    lines += [f"    {one}" for one in common.not_exported(plan)]
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
    by_epochs = common.by_epochs(plan)
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
