"""Downslope itself: `downslope.torch.SGD` with the recipe's settings, which needs nothing emulated."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from downslope.core.schedules import SCHEDULES, Schedule
from downslope.core.settings import Settings
from downslope.exporting import python_source
from downslope.exporting.digits_programs import torch_digits
from downslope.exporting.export_plan import Plan
from downslope.exporting.python_source import call, comment, docstring, imports, listed, module, nested


def write_downslope(plan: Plan) -> str:
    """Return the program of a plan with Downslope's optimizer for PyTorch."""
    settings = _changed(plan.settings)
    groups = [
        nested("Group", [f"match={_source(group.match)}", *_given(group.in_steps, plan)]) for group, _ in plan.groups
    ]
    train = plan.recipe.train
    arguments = ["model.named_parameters()", *settings]
    if groups:
        arguments.append(f"groups={listed(groups)}")
    if train.clip_norm is not None:
        arguments.append(f"clip_norm={train.clip_norm!r}")
    if train.on_nonfinite != "ignore":
        word = "skip" if train.on_nonfinite == "rewind" else train.on_nonfinite  # an optimizer cannot rewind a run
        arguments.append(f'on_nonfinite="{word}"')
    make = ["def make_optimizer(model):", '    """Return the optimizer; its schedules need no scheduler."""']
    if plan.recipe.sgd != plan.settings:
        make += comment(f"Counted in steps; {plan.counted}.", 1)
    make += call("downslope.torch.SGD", arguments, before="return ", depth=1)
    parts = [
        python_source.constants(plan),
        make,
        *_training(plan),
        *(torch_digits(plan) if plan.with_model else []),
    ]
    return module(python_source.opening(plan, "Downslope and PyTorch"), imports(parts, *_IMPORTS), *parts)


_IMPORTS = (
    "import math",
    "import downslope.torch",
    "import numpy as np",
    "import sklearn.datasets",
    "import torch",
    "from downslope import Group",
    f"from downslope.schedules import {', '.join(sorted(kind.__name__ for kind in SCHEDULES.values()))}",
    "from torch import nn",
)


def _training(plan: Plan) -> list[list[str]]:
    lines = ["def train(model, batches, loss_function):"]
    lines += docstring("Train the model in place; the batches once through are an epoch.", depth=1)
    lines += [f"    {line}" for line in python_source.not_exported(plan)]
    if plan.recipe.train.plateau is not None:
        lines += comment("Not here: the recipe's plateau, which `downslope train` follows.", 1)
    lines += ["    optimizer = make_optimizer(model)"]
    step = ["optimizer.zero_grad()", "loss_function(model(inputs), targets).backward()", "optimizer.step()"]
    if python_source.by_epochs(plan):
        lines += ["    for _ in range(EPOCHS):", "        for inputs, targets in batches:"]
        return [[*lines, *(f"            {line}" for line in step)]]
    repeated = [
        "def repeated(batches):",
        '    """Yield the batches of one epoch after another, without end."""',
        "    while True:",
        "        yield from batches",
    ]
    lines += ["    for _, (inputs, targets) in zip(range(STEPS), repeated(batches)):"]
    return [repeated, [*lines, *(f"        {line}" for line in step)]]


def _changed(settings: Settings) -> list[str]:
    """Return the arguments that are not what they are by default, and lr."""
    return [
        f"{field.name}={_source(value)}"
        for field in fields(settings)
        if (value := getattr(settings, field.name)) != field.default or field.name == "lr"
    ]


def _given(in_steps: Any, plan: Plan) -> list[str]:
    group = in_steps(plan.steps_per_epoch) if plan.steps_per_epoch else in_steps(1)
    return [f"{name}={_source(value)}" for name, value in group.changes().items()]


def _source(value: Any) -> str:
    if isinstance(value, str):
        import json

        return json.dumps(value, ensure_ascii=False)
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
