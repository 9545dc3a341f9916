"""Schedule-free SGD in the words of those that have it: the reference implementation, optax, and Downslope itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

from downslope.core.errors import ExportError
from downslope.core.exact import exact
from downslope.core.schedule_free import ScheduleFree
from downslope.core.schedules import Schedule, Warmup
from downslope.core.schedules.schedule import constant_value
from downslope.exporting.export_plan import Plan
from downslope.exporting.python_source import WIDTH, listed, match_source, nested, quoted
from downslope.exporting.template import write


def write_schedule_free(plan: Plan, target: str) -> str:
    """Return the program of a plan whose optimizer is schedule-free SGD.

    Raises:
        ExportError: If the target has none, or cannot express the recipe's.
    """
    if target not in WRITERS:
        raise ExportError(
            f"{target} has no schedule-free SGD. Export to torch (the package schedulefree), optax "
            "(optax.contrib.schedule_free) or downslope."
        )
    plan.check_length()
    return WRITERS[target](plan, [_with_counted_warmup(one, target) for one in plan.everyone])


def _with_counted_warmup(settings: Any, target: str) -> ScheduleFree:
    """Return settings whose warmup, if it is a schedule, is a number of steps instead.

    Raises:
        ExportError: If it begins elsewhere than that one does.
    """
    own = cast("ScheduleFree", settings)
    if not isinstance(own.lr, Schedule):
        return own
    rise, top = own.lr, constant_value(own.lr.then) if isinstance(own.lr, Warmup) else None
    if isinstance(rise, Warmup) and top is not None and isinstance(rise.duration, int):
        if rise.duration == 0 or rise.start == top:
            return replace(own, lr=top)
        if exact(rise.start) * (rise.duration + 1) == exact(top):
            return replace(own, lr=top, warmup_steps=rise.duration + 1)
    raise ExportError(
        f"{target}: its warmup begins with lr / warmup_steps, and this one is {rise!r}. Give sgd.lr as a number and "
        "sgd.warmup_steps, or export to downslope."
    )


# PyTorch


def _write_torch(plan: Plan, forms: list[ScheduleFree]) -> str:
    """Return the program with the package schedulefree."""
    if any(form.maximize for form in forms):
        raise ExportError("torch: schedulefree.SGDScheduleFree has no maximize. Negate the loss, or use downslope.")
    if any(isinstance(form.weight_decay, Schedule) for form in forms):
        raise ExportError("torch: schedulefree.SGDScheduleFree has no schedule of weight_decay. Give a number.")
    names = [f"group_{number}" for number in range(1, len(forms))]
    entries = [
        listed([f'"params": {name}', *_differing(form, forms[-1], '"{}": {!r}')], brackets="{}", room=WIDTH - 9)
        for name, form in zip([*names, "others"], forms, strict=True)
    ]
    conditions = [match_source(group.patterns, is_flat="param.ndim <= 1") for group in plan.recipe.groups]
    keywords = ["if", *["elif"] * (len(names) - 1)]
    return write(
        "schedule_free_torch.py.txt",
        plan,
        "PyTorch and schedulefree",
        ours=False,
        optimizer="schedulefree.SGDScheduleFree",
        params="parameter_groups(model)" if names else "model.parameters()",
        arguments=_arguments(forms[-1]),
        groups=list(zip(keywords, conditions, names, strict=False)),
        names=", ".join(names),
        lists=", ".join("[]" for _ in names),
        entries=entries,
        plateau=None,
        scheduler=None,
    )


def _arguments(form: ScheduleFree) -> list[str]:
    """Return the arguments that are not what they are by default, and lr and momentum."""
    names = ("weight_decay", "maximize", "warmup_steps", "r", "weight_lr_power")
    usual = ScheduleFree()
    more = [f"{name}={getattr(form, name)!r}" for name in names if getattr(form, name) != getattr(usual, name)]
    return [f"lr={form.lr!r}", f"momentum={form.momentum!r}", *more]


def _differing(form: ScheduleFree, base: ScheduleFree, shape: str) -> list[str]:
    names = ("lr", "momentum", "weight_decay", "maximize")
    return [shape.format(name, getattr(form, name)) for name in names if getattr(form, name) != getattr(base, name)]


def _write_downslope(plan: Plan, forms: list[ScheduleFree]) -> str:
    """Return the program with Downslope's optimizer for PyTorch."""
    if any(isinstance(form.weight_decay, Schedule) for form in forms):
        raise ExportError("downslope: a schedule of weight_decay is not written for schedule-free SGD. Give a number.")
    groups = [
        nested("Group", [f"match={_patterns(group.match)}", *_differing(form, forms[-1], "{}={!r}")])
        for (group, _), form in zip(plan.groups, forms, strict=False)
    ]
    arguments = [*_arguments(forms[-1]), *([f"groups={listed(groups)}"] if groups else [])]
    train = plan.recipe.train
    if train.velocity_dtype == "int8":
        arguments.append('velocity_dtype="int8"')
    if train.on_nonfinite != "ignore":
        arguments.append(f'on_nonfinite="{"skip" if train.on_nonfinite == "rewind" else train.on_nonfinite}"')
    return write(
        "schedule_free_torch.py.txt",
        plan,
        "Downslope and PyTorch",
        ours=True,
        optimizer="downslope.torch.ScheduleFreeSGD",
        params="model.named_parameters()",
        arguments=arguments,
        groups=[],
        plateau=None,
        scheduler=None,
        widens_velocities=False,
    )


def _patterns(match: Any) -> str:
    return quoted(match) if isinstance(match, str) else listed([quoted(one) for one in match])


# JAX


def _write_optax(plan: Plan, forms: list[ScheduleFree]) -> str:
    """Return the program with optax.contrib.schedule_free."""
    base, others = forms[-1], forms[:-1]
    if any(form.r for form in forms):
        raise ExportError("optax: optax.contrib.schedule_free weighs no steps by their number (sgd.r). Use torch.")
    if any(isinstance(form.weight_decay, Schedule) for form in forms):
        raise ExportError("optax: a schedule of weight_decay is not written for schedule-free SGD. Give a number.")
    if any(form != replace(base, weight_decay=0.0) for form in others):
        raise ExportError(
            "optax: the groups differ in more than that some are not decayed, and one average is written for all of "
            "them. Export to torch or downslope."
        )
    masks = bool(others) and base.weight_decay != 0
    conditions = [match_source(group.patterns, is_flat="param.ndim <= 1") for group in plan.recipe.groups]
    decay = nested("optax.add_decayed_weights", [repr(base.weight_decay), *(["mask=is_decayed"] if masks else [])])
    sgd = f"optax.sgd({'learning_rate' if base.warmup_steps else 'LR'})"
    links = [
        *(["optax.clip_by_global_norm(CLIP_NORM)"] if plan.recipe.train.clip_norm is not None else []),
        *(["optax.scale(-1.0)"] if base.maximize else []),
        *([decay] if base.weight_decay else []),
        sgd,
    ]
    layers = [f'"{layer.name}": ({layer.inputs}, {layer.outputs})' for layer in plan.layers]
    return write(
        "schedule_free_optax.py.txt",
        plan,
        "JAX and optax",
        lr=base.lr,
        warmup=base.warmup_steps,
        weighing="lambda count: learning_rate(count - 1)" if base.warmup_steps else "LR",
        is_decayed=f"not ({' or '.join(conditions)})" if masks else "",
        is_chain=len(links) > 1,
        links=links,
        base=sgd,
        momentum=base.momentum,
        power=base.weight_lr_power,
        layers=listed(layers, brackets="{}", room=WIDTH - len("LAYERS = ")),
    )


WRITERS: Mapping[str, Callable[[Plan, list[ScheduleFree]], str]] = MappingProxyType(
    {"torch": _write_torch, "optax": _write_optax, "downslope": _write_downslope}
)
"""The targets that have the method, and the function that writes their program."""
