"""What ``downslope train --dry-run`` shows: the run as it would be, nothing of it done."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from downslope.cli.schedule_table import schedule_table
from downslope.cli.tables import count_of, format_number
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.training.run.plan import Plan
from downslope.training.run.task import Task, describe_settings


def preview(task: Task, plan: Plan) -> str:
    """Return the whole text: of data, model and length, the run's folder, and what it would go on from."""
    parts = [_ahead(task, plan), *plan.notes, "", *task.lines(plan.folder), "", *_groups(task), "", *_schedules(task)]
    return "\n".join([*parts, "", "Nothing was trained or written: this is a dry run."])


def _ahead(task: Task, plan: Plan) -> str:
    if plan.checkpoint is None:
        return "would begin a new run"
    step = plan.checkpoint.step
    left = max(0, task.total_steps - step)
    return f"would go on from {plan.checkpoint.folder}: {left:,} of {count_of(task.total_steps, 'step')} left"


def _groups(task: Task) -> list[str]:
    shapes = {name: tuple(parameter.shape) for name, parameter in task.state.model.named_parameters()}
    lines = ["parameters"]
    for group in task.facts()["groups"]:
        match, names = group["match"], group["parameters"]
        if match is not None:
            changed = next(g for g in task.recipe.groups if ", ".join(g.patterns) == match)
            lines.append(f"  {match}: {_changes(changed.changes())}")
        elif task.recipe.groups:
            lines.append(f"  all others: {describe_settings(task.recipe.sgd)}")
        else:
            lines.append("  all alike")
        listed = ", ".join(f"{name} {'x'.join(map(str, shapes[name])) or 'scalar'}" for name in names) or "(none)"
        lines += textwrap.wrap(listed, width=100, initial_indent="    ", subsequent_indent="    ")
    if task.frozen:
        lines.append("  frozen: neither learned nor decayed")
        listed = ", ".join(name for name in shapes if name in task.frozen)
        lines += textwrap.wrap(listed, width=100, initial_indent="    ", subsequent_indent="    ")
    return lines


def _changes(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in changes.items())


def _shown(value: Any) -> str:
    if isinstance(value, Schedule):
        return value.name
    return format_number(value) if isinstance(value, float) else str(value)


def _schedules(task: Task) -> list[str]:
    """Return the table of the settings, where any parameter has them, and of each group whose lr or momentum is own."""
    recipe = task.recipe.in_steps(task.batches.steps_per_epoch)
    own = [group for group in recipe.groups if {"lr", "lr_factor", "momentum", "dampening"} & group.changes().keys()]
    all_have_their_own = len(own) == len(recipe.groups)
    unused = all_have_their_own and all(row["match"] is not None for row in task.facts()["groups"])
    tables: list[tuple[str, Settings]] = [] if unused else [("schedule", recipe.sgd)]
    tables += [(f"schedule of {', '.join(group.patterns)}", group.apply(recipe.sgd)) for group in own]
    lines: list[str] = []
    for title, settings in tables:
        lines += [title, schedule_table(settings, task.total_steps, task.batches.steps_per_epoch)]
    return lines
