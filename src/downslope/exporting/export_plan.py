"""What is to be exported, resolved once for every target: steps, groups, the length of training, what to tell.

What lives here: the plan, and the rewritings of settings that several targets need. What does not: any source code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from downslope.core.errors import ExportError
from downslope.core.exact import exact
from downslope.core.groups import BIAS_AND_NORM, Group
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings, is_zero
from downslope.recipe.schema import Recipe

DIGITS = 1797
"""Examples of the embedded data set, before some are held out."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recipe ready to be written in another framework's words.

    Attributes:
        recipe: The recipe as given, schedules in the units they were written in.
        steps_per_epoch: Steps in an epoch, or None where nobody said and no part of the recipe needs it.
        counted: A sentence on where `steps_per_epoch` comes from; "" where it is not known.
        with_model: Whether the default classifier and its data belong to the program.
    """

    recipe: Recipe
    steps_per_epoch: int | None
    counted: str
    with_model: bool = False

    @property
    def settings(self) -> Settings:
        """The settings of all parameters that no group matches, schedules in steps."""
        return self.resolved(self.recipe.sgd)

    @property
    def groups(self) -> tuple[tuple[Group, Settings], ...]:
        """Each group and its whole settings, schedules in steps, in the order in which they match."""
        return tuple((group, self.resolved(group.apply(self.recipe.sgd))) for group in self.recipe.groups)

    @property
    def everyone(self) -> tuple[Settings, ...]:
        """The settings of every group, and last of those that no group matches."""
        return (*(settings for _, settings in self.groups), self.settings)

    @property
    def as_known(self) -> tuple[Settings, ...]:
        """`everyone`, with schedules left in epochs where nobody said how many steps one has."""
        if self.steps_per_epoch is not None:
            return self.everyone
        found = (*(group.apply(self.recipe.sgd) for group in self.recipe.groups), self.recipe.sgd)
        return tuple(without_idle_schedules(settings) for settings in found)

    @property
    def batch_size(self) -> int:
        """Examples in one step."""
        return self.recipe.data.batch_size * self.recipe.train.accumulate

    @property
    def total_steps(self) -> int | None:
        """Steps of the whole training, or None where an epoch's are not known."""
        train = self.recipe.train
        if train.steps is not None:
            return train.steps
        if self.steps_per_epoch is None:
            return None
        return math.ceil(exact(train.epochs or 0) * self.steps_per_epoch)

    def resolved(self, settings: Settings) -> Settings:
        """Return settings with schedules in steps.

        Raises:
            ExportError: If they are in epochs and nobody said how many steps one has.
        """
        settings = without_idle_schedules(settings)
        scheduled = [
            value for field in fields(settings) if isinstance(value := getattr(settings, field.name), Schedule)
        ]
        if not any(schedule.in_epochs() for schedule in scheduled):
            return settings
        return settings.in_steps(self.needed_steps_per_epoch("a schedule in epochs is written in steps"))

    def needed_steps_per_epoch(self, why: str) -> int:
        """Return the steps in an epoch.

        Raises:
            ExportError: If nobody said.
        """
        if self.steps_per_epoch is None:
            raise ExportError(
                f"{why}, and how many steps an epoch has is not known for data.name = {self.recipe.data.name!r}. "
                "Give --steps-per-epoch N or --examples N (in Python steps_per_epoch= or examples=)."
            )
        return self.steps_per_epoch


def make_plan(recipe: Recipe, *, with_model: bool, steps_per_epoch: int | None, examples: int | None) -> Plan:
    """Return the plan of a recipe.

    Args:
        recipe: The recipe.
        with_model: Whether the default classifier is wanted too.
        steps_per_epoch: Steps in an epoch, if known.
        examples: Training examples, from which it follows.

    Raises:
        ExportError: If a number is none, both are given, or a model is wanted that is not the default one.
    """
    for name, value in (("steps_per_epoch", steps_per_epoch), ("examples", examples)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ExportError(f"`{name}` must be an integer >= 1; got {value!r}.")
    if steps_per_epoch is not None and examples is not None:
        raise ExportError("give `steps_per_epoch` or `examples`, not both: one follows from the other.")
    if with_model and (recipe.model.name != "mlp" or recipe.data.name != "digits"):
        raise ExportError(
            "with_model writes the default classifier, `mlp` on `digits`; this recipe has "
            f"model.name = {recipe.model.name!r} and data.name = {recipe.data.name!r}. Export it without, and call "
            f"what is written from your own code."
        )
    if with_model and recipe.train.loss != "cross_entropy":
        raise ExportError(f"with_model writes the loss `cross_entropy`; this recipe has {recipe.train.loss!r}.")
    if with_model and recipe.train.class_weights is not None:
        raise ExportError(
            "with_model writes the loss `cross_entropy` in which all classes count alike; this recipe has "
            "train.class_weights. Export it without, and call what is written from your own code."
        )
    plateau = recipe.train.plateau
    if with_model and plateau is not None and plateau.metric not in {"loss", "accuracy"}:
        raise ExportError(
            "with_model writes a classifier, which has a loss and an accuracy; train.plateau.metric = "
            f'"{plateau.metric}" watches neither. '
            "Export it without, and call what is written from your own code."
        )
    counted = f"{steps_per_epoch} steps an epoch, as given"
    if steps_per_epoch is None:
        steps_per_epoch, counted = _count(recipe, examples)
    return Plan(recipe=recipe, steps_per_epoch=steps_per_epoch, counted=counted, with_model=with_model)


def _count(recipe: Recipe, examples: int | None) -> tuple[int | None, str]:
    data, accumulate = recipe.data, recipe.train.accumulate
    whose = f"{examples} examples"
    if examples is None:
        if data.name != "digits":
            return None, ""
        examples = DIGITS - math.ceil(DIGITS * data.held_out)
        whose = f"the {examples} training examples of the embedded digits (for other data give --examples)"
    steps = math.ceil(math.ceil(examples / data.batch_size) / accumulate)
    return steps, f"{steps} steps an epoch: {whose}, {data.batch_size * accumulate} to a step"


def without_idle_schedules(settings: Settings) -> Settings:
    """Return the same settings with the number in the place of every schedule that always has it."""
    idle = {
        field.name: value.extremes()[0]
        for field in fields(settings)
        if isinstance(value := getattr(settings, field.name), Schedule) and value.extremes()[0] == value.extremes()[1]
    }
    return replace(settings, **idle) if idle else settings


def changes_with_time(settings: Settings, recipe: Recipe | None = None) -> bool:
    """Return whether lr ever changes: by its schedule, or on a plateau."""
    if recipe is not None and recipe.train.plateau is not None:
        return True
    return isinstance(settings.lr, Schedule) and settings.lr.extremes()[0] != settings.lr.extremes()[1]


def in_simplest_decay(settings: Settings) -> Settings:
    """Return the same rule with its weight decay said in the way that most frameworks have, where there is one.

    Without momentum, decoupled decay is coupled decay. Relative decay is decoupled decay divided by the initial lr.
    """
    if is_zero(settings.weight_decay):
        return replace(settings, weight_decay=0.0, decay="coupled")
    if settings.decay == "relative":
        factor = 1 / settings.lr_initial
        settings = replace(settings, weight_decay=_times(settings.weight_decay, factor), decay="decoupled")
    constant = not changes_with_time(settings)
    if settings.decay in {"independent", "corrected"} and constant and not isinstance(settings.weight_decay, Schedule):
        lr = settings.lr_initial
        if settings.decay == "corrected":
            settings = replace(settings, decay="decoupled")
        elif lr > 0:
            settings = replace(settings, weight_decay=settings.weight_decay / lr, decay="decoupled")
    if settings.decay == "decoupled" and is_zero(settings.momentum):
        settings = replace(settings, decay="coupled")
    return settings


def without_dampening(settings: Settings) -> Settings:
    """Return the same rule with dampening taken into lr; the settings as they are where no lr does the same.

    v <- m v + (1 - t) g with p -= lr v is v <- m v + g with p -= lr (1 - t) v, if the first step is dampened as all
    others are. Not with Nesterov's momentum, whose step has g beside (1 - t) g; and not with t = 1, which lets no
    gradient in at all.
    """
    if not 0 < settings.dampening < 1 or settings.nesterov or settings.undampened_first_step:
        return settings
    kept = 1 - settings.dampening
    weight_decay = settings.weight_decay
    if settings.decay in {"decoupled", "corrected"}:
        weight_decay = _times(weight_decay, 1 / kept)
    return replace(settings, lr=scaled(settings.lr, kept), weight_decay=weight_decay, dampening=0.0)


def scaled(value: float | Schedule, factor: float) -> Any:
    """Return a number or a schedule times a factor."""
    if not isinstance(value, Schedule):
        return value * factor
    heights = {"value", "initial", "final", "end", "peak", "start"}
    changes: dict[str, Any] = {}
    for field in fields(value):
        inside = getattr(value, field.name)
        if isinstance(inside, Schedule):
            changes[field.name] = scaled(inside, factor)
        elif field.name == "schedules":
            changes[field.name] = tuple(scaled(one, factor) for one in inside)
        elif field.name in heights and inside is not None:
            changes[field.name] = inside * factor
    return replace(value, **changes)


def _times(value: float | Schedule, factor: float) -> Any:
    return scaled(value, factor)


def match_source(patterns: tuple[str, ...], *, name: str, is_flat: str) -> str:
    """Return Python source of whether a parameter belongs to a group.

    Args:
        patterns: The group's patterns.
        name: Source of the parameter's name.
        is_flat: Source of whether it has at most one dimension.
    """
    conditions: list[str] = []
    for pattern in patterns:
        if pattern == BIAS_AND_NORM:
            conditions += [is_flat, f'{name}.split(".")[-1] == "bias"']
        elif not any(mark in pattern for mark in "*?["):
            conditions.append(f"{name} == {quoted(pattern)}")
        else:
            conditions.append(f"fnmatchcase({name}, {quoted(pattern)})")
    return " or ".join(conditions)


def quoted(text: str) -> str:
    """Return a string's Python source in double quotes."""
    import json

    return json.dumps(text, ensure_ascii=False)


Writer = Callable[[Plan], str]
"""What a target's file gives: the plan's program."""
