"""PyTorch: torch.optim.SGD and its schedulers, and an optimizer in the program itself where its rule is another.

A subclass of torch.optim.SGD adds weight decay to its step, or moves lr into the velocity; how the gradient enters the
velocity it cannot change, so there the step is written out, from the rule's own text run on symbols. timm has the same
program with its own constructors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from downslope.core.errors import ExportError
from downslope.core.groups import BIAS_AND_NORM
from downslope.core.rule_text import step_source
from downslope.core.schedules.schedule import Schedule
from downslope.core.settings import Settings, is_zero
from downslope.exporting.export_plan import Plan
from downslope.exporting.python_source import WIDTH, listed, match_source
from downslope.exporting.same_rule import changes_with_time, first, in_simplest_decay, without_dampening
from downslope.exporting.schedule_source import python_function
from downslope.exporting.template import write
from downslope.exporting.torch_schedulers import Scheduler, function_scheduler, write_scheduler


@dataclass(frozen=True)
class Constructor:
    """How a target makes its optimizer.

    Attributes:
        function: What is called.
        ways: The ways of weight decay that it has.
        extensible: Whether what it cannot do may be written out: in a subclass, or as an optimizer of its own.
    """

    function: str
    ways: tuple[str, ...] = ("coupled",)
    extensible: bool = False


TORCH = Constructor("torch.optim.SGD", extensible=True)
LARS = Constructor("timm.optim.Lars")
OWN_STEP = Constructor("SGD", ("coupled", "decoupled", "independent", "corrected"))


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
    given = plan.as_known if reasons else tuple(without_dampening(settings) for settings in plan.as_known)
    constructor = choose(in_simplest_decay(given[-1]))
    if reasons and not constructor.extensible:
        raise ExportError(
            f"{framework} cannot express {' or '.join(reasons)}. Export to torch, which writes the step out in a "
            "subclass of its own, or to downslope."
        )
    if reasons:
        constructor = OWN_STEP
    forms = [settings if settings.decay in constructor.ways else in_simplest_decay(settings) for settings in given]
    base = forms[-1]
    added_decay = _one_decay(forms, constructor, framework)
    inside = not reasons and _inside(forms, plan, framework)
    scheduler = _scheduler(plan, forms)
    _check_corrected(forms, constructor, scheduler, framework)
    if (added_decay or inside) and not constructor.extensible:
        _refuse(framework, added_decay)
    optimizer = "SGD" if added_decay or inside else constructor.function
    momentum = first(base.momentum)
    weight_decay = base.weight_decay if added_decay else first(base.weight_decay)
    plan.check_length()
    changing = _changing(forms, framework)
    if plan.recipe.train.plateau and not plan.by_epochs:
        plan.needed_steps_per_epoch("the held-out metric is looked at once an epoch")
    return write(
        "torch.py.txt",
        plan,
        framework,
        lr_max=_decayed(forms).lr_max if added_decay == "corrected" else None,
        functions=[*scheduler.functions, *(function for _, function in changing)],
        own_step=bool(reasons),
        **(_own_step(forms, framework) if reasons else {}),
        added_decay=added_decay,
        inside=inside,
        difference="; and ".join(reasons or _additions(added_decay, inside=inside)),
        **_groups(plan, forms, scheduler, added_decay, own_step=bool(reasons), lars=constructor is LARS),
        agc=plan.recipe.sgd.adaptive_clip,
        optimizer=optimizer,
        lr=scheduler.base,
        momentum=momentum,
        weight_decay=first(weight_decay),
        is_decayed=not is_zero(base.weight_decay),
        opt="sgd" if base.nesterov else "momentum",
        given=given[-1],
        form=base,
        lr_moved_out=base.lr_in_velocity and not is_zero(base.momentum) and optimizer != "SGD",
        restated=given[-1].decay != base.decay and not is_zero(given[-1].weight_decay),
        dampening_in_lr=plan.recipe.sgd.dampening and not base.dampening,
        scheduler=scheduler,
        scheduled=[name for name, _ in changing],
    )


# What an own optimizer does


_ADDED = {
    "decoupled": "decoupled weight decay: param -= lr * weight_decay * param",
    "independent": "independent weight decay: param -= weight_decay * param, whatever lr is",
    "corrected": "corrected weight decay: param -= lr**2 / lr_max * weight_decay * param",
}


def _additions(decay: str, *, inside: bool) -> list[str]:
    lr = "lr inside the velocity: v = momentum * v + lr * grad, and param -= v"
    return [*([_ADDED[decay]] if decay else []), *([lr] if inside else [])]


def reasons_for_own_step(settings: Sequence[Settings]) -> list[str]:
    """Return what neither torch.optim.SGD nor a change of lr can do, in words; nothing where they do all.

    Args:
        settings: The settings of each group, and last of the others.
    """
    found: list[str] = []
    for form in map(without_dampening, settings):
        if form.nesterov and form.dampening:
            found.append("dampening together with Nesterov's momentum")
        elif form.dampening and not form.undampened_first_step and form.nu is None:
            found.append("a dampening of 1 from the first step on")
        if form.nu is not None:
            found.append("quasi-hyperbolic momentum")
        if isinstance(form.momentum, Schedule) and form.momentum.extremes()[0] == 0 and not is_zero(form.momentum):
            found.append("a momentum that is 0 at some steps, at which PyTorch's SGD leaves its velocity as it is")
    return list(dict.fromkeys(found))


def _own_step(forms: list[Settings], framework: str) -> dict[str, Any]:
    """Return the one step of all groups.

    Raises:
        ExportError: If they need different ones.
    """
    form = _one_form(forms, framework)
    names = {name: name for name in ("param", "grad", "velocity", "lr", "momentum", "weight_decay", "dampening")}
    decays = not is_zero(form.weight_decay)
    decays_gradient = decays and form.decay == "coupled"
    settings = replace(form, weight_decay=0.0, maximize=False) if decays_gradient else form
    velocity, direction, decayed = step_source(settings, names)
    return {
        "decays": decays and not decays_gradient,
        "decays_gradient": decays_gradient,
        "maximizes": form.maximize,
        "dampens": bool(form.dampening),
        "dampens_later": bool(form.dampening) and form.undampened_first_step,
        "velocity": velocity,
        "delta": direction if decayed is None else f"{direction} - {decayed}",
    }


def _one_form(forms: list[Settings], framework: str) -> Settings:
    """Return settings whose step is every group's, once a group's numbers stand in it.

    Raises:
        ExportError: If there are none.
    """
    moving = [form for form in forms if not is_zero(form.momentum)]
    decayed = [form for form in forms if not is_zero(form.weight_decay)]
    flags = {
        "nesterov": moving,
        "nu": moving,
        "lr_in_velocity": moving,
        "undampened_first_step": [form for form in moving if form.dampening],
        "maximize": forms,
        "decay": decayed,
        "lr_max": [form for form in decayed if form.decay == "corrected"],
    }
    for name, those in flags.items():
        if len({getattr(form, name) for form in those}) > 1:
            raise ExportError(
                f"{framework}: the groups differ in `{name}`, and one step is written for all of them. Use one, or "
                "export to downslope."
            )
    form = (moving or forms)[-1]
    dampened = next((one for one in moving if one.dampening), form)
    return replace(
        form,
        dampening=dampened.dampening,
        undampened_first_step=dampened.undampened_first_step,
        weight_decay=decayed[-1].weight_decay if decayed else 0.0,
        decay=decayed[-1].decay if decayed else "coupled",
        lr=(decayed or [form])[-1].lr,
    )


# Groups


def _groups(
    plan: Plan, forms: list[Settings], scheduler: Scheduler, added_decay: str, *, own_step: bool, lars: bool
) -> dict[str, Any]:
    """Return what the template needs of groups; an own step has the same flags in all of them."""
    names = [f"group_{number}" for number in range(1, len(forms))]
    entries: list[str] = []
    for name, form in zip([*names, "others"], forms, strict=True):
        entry = [f'"params": {name}']
        for key, value in _differing(form, forms[-1], scheduler, added_decay):
            if not (own_step and key in {"nesterov", "nu", "maximize"}):
                entry.append(f'"{key}": {value!r}')
        entry += [f'"{key}": {value!r}' for key, value in _other_ratio(form, forms[-1]).items() if lars]
        entries.append(listed(entry, brackets="{}", room=WIDTH - len("        ,")))
    conditions = [match_source(group.patterns, is_flat="param.ndim <= 1") for group in plan.recipe.groups]
    keywords = ["if", *["elif"] * (len(names) - 1)]
    return {
        "groups": list(zip(keywords, conditions, names, strict=False)),
        "names": ", ".join(names),
        "lists": ", ".join("[]" for _ in names),
        "by_dimensions": any(BIAS_AND_NORM in group.patterns for group in plan.recipe.groups),
        "entries": entries,
    }


def _differing(form: Settings, base: Settings, scheduler: Scheduler, decay: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    if form.lr != base.lr and not scheduler.by_group:
        found.append(("lr", form.lr))
    names = ("momentum", "dampening", "nesterov", "nu", "maximize")
    found += [(name, getattr(form, name)) for name in names if getattr(form, name) != getattr(base, name)]
    if decay:
        found.append(("decoupled_decay", first(form.weight_decay)))
    elif form.weight_decay != base.weight_decay:
        found.append(("weight_decay", first(form.weight_decay)))
    return found


def _other_ratio(form: Settings, base: Settings) -> dict[str, Any]:
    """Return the arguments of timm's LARS that a group has otherwise than the others."""
    ours, others = (
        {"trust_coeff": one.trust_coefficient or 0.001, "trust_clip": bool(one.trust_clip)}
        if one.trust_coefficient
        else {}
        for one in (form, base)
    )
    found = {name: value for name, value in ours.items() if others.get(name) != value}
    if bool(ours) != bool(others):
        found["always_adapt"] = bool(ours)
    return found


# What can be expressed


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


# What changes with the step


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
        found.functions.append(python_function(names[-1], schedule, doc=doc))
    found.arguments = [f"[{', '.join([*names, 'learning_rate'])}]"]
    found.by_group = True
    return found


def _changing(forms: list[Settings], framework: str) -> list[tuple[str, list[str]]]:
    """Return the name of each setting but lr that changes with the step, and the function that gives it."""
    found: list[tuple[str, list[str]]] = []
    for name in ("momentum", "weight_decay"):
        value = getattr(forms[-1], name)
        others = [getattr(form, name) for form in forms if getattr(form, name) != value]
        if others and any(isinstance(one, Schedule) for one in (value, *others)):
            raise ExportError(
                f"{framework}: `{name}` has a schedule in some groups and another value elsewhere, and the program "
                "writes one to all. Use one for all, or export to optax or downslope."
            )
        if isinstance(value, Schedule):
            found.append((name, python_function(name, value, doc=f"Return {name} at a step, counted from 0.")))
    return found
