"""Findings on an optimizer of torch's kind and its model: what it holds, what decays, and over how many epochs.

Only attributes are looked at that every such optimizer has, so that no framework is loaded here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from downslope.auditing.about_decay import SPARED, about_decay
from downslope.auditing.about_schedules import about_schedules
from downslope.auditing.about_training import about_training
from downslope.auditing.finding import Finding
from downslope.auditing.subject import Sizes, Subject, with_epoch
from downslope.core.errors import DownslopeError, SettingsError
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.explaining.run_course import run_size

_PAGE = "torch.optim: constructing it"


def about_optimizers(optimizer: Any, model: Any, sizes: Sizes) -> list[Finding]:
    """Return the findings on an optimizer; those that need its model, only where there is one.

    Raises:
        SettingsError: If the model has no named parameters.
    """
    groups: list[dict[str, Any]] = list(optimizer.param_groups)
    found: list[Finding] = [*_state(optimizer, groups)]
    if model is not None:
        if not hasattr(model, "named_parameters"):
            raise SettingsError(f"`model` must have named parameters, as torch's have; got {type(model).__name__}.")
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        found += [*_held(groups, model, names), *_frozen(groups, names), *_bias_and_norm(groups, model, names)]
    for index, group in enumerate(groups):
        found += _of_numbers(index, group, sizes)
    return found


def _of_numbers(index: int, group: Mapping[str, Any], sizes: Sizes) -> Iterator[Finding]:
    """Yield what a recipe with this group's numbers would be told."""
    settings = _settings(group)
    if settings is None:
        return
    run = run_size(examples=sizes.examples, batch_size=sizes.batch_size, steps=sizes.steps)
    subject = Subject(
        title="",
        settings=settings,
        run=with_epoch(run, sizes.steps_per_epoch),
        places=dict.fromkeys(("sgd.lr", "sgd.weight_decay", "sgd.momentum"), f"param_groups[{index}]"),
    )
    for check in (about_schedules, about_decay, about_training):
        for finding in check(subject):
            if finding.name != "lr_is_zero" or isinstance(settings.lr, Schedule):  # a number is that of the moment
                yield finding


def _settings(group: Mapping[str, Any]) -> Settings | None:
    """Return a group's settings, ours with their schedules; None for an optimizer of another rule."""
    if "lr" not in group or "betas" in group or "momentum" not in group:
        return None
    values: dict[str, Any] = {}
    for field in fields(Settings):
        value = group.get(f"{field.name}_schedule", None)
        value = group.get(field.name) if value is None else value
        if value is None:
            continue
        if not isinstance(value, Schedule | bool | str | float | int):
            value = float(value)  # a tensor of one number
        values[field.name] = value
    try:
        return Settings(**values)
    except (DownslopeError, TypeError, ValueError):
        return None


def _held(groups: list[dict[str, Any]], model: Any, names: Mapping[int, str]) -> Iterator[Finding]:
    held = {id(parameter) for group in groups for parameter in group["params"]}
    missing = [name for name, p in model.named_parameters() if id(p) not in held and p.requires_grad]
    if missing:
        yield Finding(
            name="parameters_not_in_the_optimizer",
            level="error",
            what=f"{_count(missing)} the model's and not in the optimizer: {_some(missing)}",
            where="optimizer.param_groups",
            why="they get gradients, and are never moved",
            source=_PAGE,
            do="give them to the optimizer, or set their requires_grad to False",
            sure="likely",
        )
    foreign = len(held - set(names))
    if foreign:
        yield Finding(
            name="parameters_of_another_model",
            level="error",
            what=f"{foreign} parameters in the optimizer are none of the model's",
            where="optimizer.param_groups",
            why="the optimizer was made before a layer was replaced, or of another model: what it moves nobody uses",
            source=_PAGE,
            do="make the optimizer after the model is complete",
            sure="likely",
        )


def _frozen(groups: list[dict[str, Any]], names: Mapping[int, str]) -> Iterator[Finding]:
    for index, group in enumerate(groups):
        decays = bool(group.get("weight_decay"))
        still = [p for p in group["params"] if not p.requires_grad]
        graded = [names.get(id(p), "?") for p in still if getattr(p, "grad", None) is not None]
        if decays and graded:
            yield Finding(
                name="frozen_parameters_decay",
                level="error",
                what=f"{_count(graded)} frozen, and with a gradient left: {_some(graded)}",
                where=f"param_groups[{index}]",
                why="a step decays whatever has a gradient, be it of zeros; what was to stand still shrinks",
                source="torch.optim.SGD passes over parameters whose grad is None",
                do="set their grad to None, or leave them out of the optimizer",
            )
        elif decays and still:
            yield Finding(
                name="frozen_parameters_held",
                level="advice",
                what=f"{_count([names.get(id(p), '?') for p in still])} frozen, in a group that decays",
                where=f"param_groups[{index}]",
                why="they stand still while their grad is None, and decay once it is zeros",
                source="torch.optim.SGD passes over parameters whose grad is None",
                do="leave them out of the optimizer",
                sure="possible",
            )


def _bias_and_norm(groups: list[dict[str, Any]], model: Any, names: Mapping[int, str]) -> Iterator[Finding]:
    norms = {
        id(parameter)
        for layer in model.modules()
        if "norm" in type(layer).__name__.lower()
        for parameter in layer.parameters(recurse=False)
    }
    for index, group in enumerate(groups):
        if not group.get("weight_decay"):
            continue
        spared = [names[id(p)] for p in group["params"] if id(p) in names and (p.ndim <= 1 or id(p) in norms)]
        if spared:
            yield Finding(
                name="decay_on_bias_and_norm",
                level="advice",
                what=f"{_count(spared)} biases or of normalisation layers, and decay: {_some(spared)}",
                where=f"param_groups[{index}]",
                why=SPARED[0],
                source=SPARED[1],
                do='give them a group of weight_decay 0, in downslope.torch.SGD Group(match="@bias_and_norm", ...)',
                sure="possible",
            )


def _state(optimizer: Any, groups: list[dict[str, Any]]) -> Iterator[Finding]:
    """Find an lr that a scheduler has moved, and no velocity: the schedule was resumed, and momentum was not."""
    state = getattr(optimizer, "state", None)
    moved = [g for g in groups if "initial_lr" in g and g.get("momentum") and g["lr"] != g["initial_lr"]]
    if moved and state is not None and len(state) == 0:
        yield Finding(
            name="momentum_lost_on_resume",
            level="warning",
            what=(
                f"lr has gone from {float(moved[0]['initial_lr']):g} to {float(moved[0]['lr']):g}, "
                "and there is no velocity"
            ),
            where="optimizer.state",
            why="the schedule was resumed and the momentum was not; or a warmup begins below its lr, and all is well",
            source="torch: saving and loading a general checkpoint",
            do="load the optimizer's state too",
            sure="possible",
        )


def _count(names: list[str]) -> str:
    return "1 parameter is" if len(names) == 1 else f"{len(names)} parameters are"


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
