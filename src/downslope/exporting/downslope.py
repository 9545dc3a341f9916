"""Downslope itself: `downslope.torch.SGD` with the recipe's settings, which needs nothing emulated."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from downslope.core.schedules import SCHEDULES, Schedule
from downslope.core.settings import Settings
from downslope.exporting.export_plan import Plan
from downslope.exporting.python_source import listed, nested, quoted
from downslope.exporting.template import write


def write_downslope(plan: Plan) -> str:
    """Return the program of a plan with Downslope's optimizer for PyTorch."""
    settings = plan.settings
    groups = [
        nested("Group", [f"match={_source(group.match)}", *_given(group.in_steps, plan)]) for group, _ in plan.groups
    ]
    plan.check_length()
    return write(
        "downslope.py.txt",
        plan,
        "Downslope and PyTorch",
        schedules=", ".join(sorted(kind.__name__ for kind in SCHEDULES.values())),
        counted_in_steps=plan.recipe.sgd != settings,
        settings=_changed(settings),
        groups=listed(groups) if groups else "",
        widens_velocities=False,
    )


def _changed(settings: Settings) -> list[str]:
    """Return the arguments that are not what they are by default, and lr."""
    return [
        f"{field.name}={_source(value)}"
        for field in fields(settings)
        if (value := getattr(settings, field.name)) != field.default or field.name == "lr"
    ]


def _given(in_steps: Any, plan: Plan) -> list[str]:
    group = in_steps(plan.steps_per_epoch) if plan.steps_per_epoch else in_steps(1)
    changes = {name: value for name, value in group.changes().items() if name != "ema"}  # which is not exported
    return [f"{name}={_source(value)}" for name, value in (changes or {"lr_factor": 1.0}).items()]


def _source(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        items = [_source(one) for one in value]
        return f"({items[0]},)" if len(items) == 1 else listed(items, brackets="()")
    if not (isinstance(value, Schedule) and is_dataclass(value)):
        return repr(value)
    given = [(field, getattr(value, field.name)) for field in fields(value)]
    return nested(
        type(value).__name__,
        [
            _source(inside) if field.default is MISSING and number == 0 else f"{field.name}={_source(inside)}"
            for number, (field, inside) in enumerate(given)
            if field.default is MISSING or inside != field.default
        ],
    )
