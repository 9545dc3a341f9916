"""PyTorch: the parameters in groups, as the optimizer takes them.

What lives here: the function `parameter_groups` of a program. What does not: the rest of it (`torch_target.py`).
"""

from __future__ import annotations

from typing import Any

from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.recipes.exporting.plan import Plan, match_source
from downslope.recipes.exporting.source import WIDTH, comment, indented, listed, statement
from downslope.recipes.exporting.torch_schedules import Scheduler


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
