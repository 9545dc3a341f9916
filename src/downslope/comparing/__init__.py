"""`compare`: whether two ways of training are one update rule, and if not, where and why they part.

The two are understood (`sides`), their rules walked (`core.equivalence`), and advice is written and tried (`advice`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from downslope.comparing.advice import Advice, advise, sentences
from downslope.comparing.sides import Side, longest, make_sides
from downslope.core.checks import as_count
from downslope.core.equivalence import EVERY_STEP, Parting, find_causes, find_parting, last_step_to_compare
from downslope.core.errors import RecipeError
from downslope.core.notebook import ShownInNotebooks
from downslope.core.schedule_free import ScheduleFree
from downslope.core.settings import Settings
from downslope.core.tables import toml_line
from downslope.recipe.schema import Augment, Data, EarlyStop, Model, Plateau, Spike, Train

_SHOWN = 200
_TABLES = (Augment, EarlyStop, Plateau, Spike, Mapping)
_CHANGES_NO_NUMBER = frozenset(
    {
        *("loaders", "loader_timeout", "in_memory"),
        *("compile", "device", "tf32", "channels_last", "parallel"),
        *("log_every", "measure_every", "sharpness_every"),
    }
)
"""Where and how data and steps are computed, and what is told of them; the last digits at most."""


@dataclass(frozen=True, kw_only=True)
class Comparison(ShownInNotebooks):
    """What a comparison found.

    Attributes:
        a: What the first is called.
        b: What the second is called.
        settings_a: The first one's settings, schedules in steps.
        settings_b: The second one's.
        same: Whether the two are one rule: from the same start, with the same gradients, the same parameters.
        first_step: The first step, counted from 0, after which the parameters differ; None where they do not.
        coefficient: What they differ in at that step: how much of "param", "grad" or "velocity" it adds to param.
        values: That coefficient in both, for the first one's velocity; None where the velocities are no multiples
            of one another any more.
        params: The parameter after that step in both, begun at 1 with the gradient 1 at every step; None where they
            part later than can be shown like this.
        causes: The fields of the settings at fault; "groups" where groups differ.
        only_first: Whether only a parameter's first step differs.
        scale: k with velocity_b = k velocity_a, where the velocity is read: before they part, or after a first
            step that alone differs.
        compared_until: The last step that was looked at.
        advice: How the second is written to be the same rule as the first, and the first to be the second's.
        suggestions: The same in sentences, and what else to do.
        remarks: What else to know.
    """

    a: str
    b: str
    settings_a: Settings
    settings_b: Settings
    same: bool
    first_step: int | None = None
    coefficient: str = ""
    values: tuple[float, float] | None = None
    params: tuple[float, float] | None = None
    causes: tuple[str, ...] = ()
    only_first: bool = False
    scale: float | None = None
    compared_until: int = 0
    advice: tuple[Advice, ...] = ()
    suggestions: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def compare(
    a: Any, b: Any, *, steps: int | None = None, steps_per_epoch: int | None = None, examples: int | None = None
) -> Comparison:
    """Return whether two ways of training are one update rule, and if not, where and why they part.

    Rules are compared by their update matrices along the whole schedule, up to a scale of the velocity: up to
    `EVERY_STEP` steps each, beyond them every boundary of a schedule and samples in between.

    Args:
        a: `Settings`, a `Recipe`, a `Reading`, the path of a recipe, the words of a paper, a solver, or arguments
            in any convention such as "torch: SGD(lr=0.1, momentum=0.9)".
        b: The same.
        steps: Steps to compare; without it those of the longer training, or beyond the last change of a schedule.
        steps_per_epoch: Steps in an epoch, for schedules in epochs.
        examples: Training examples, from which they follow.

    Raises:
        DownslopeError: If one of the two cannot be understood; the message says why.

    Example:
        >>> from downslope import compare
        >>> found = compare(
        ...     "torch: SGD(lr=0.1, momentum=0.9, weight_decay=5e-4)",
        ...     "keras: SGD(learning_rate=0.1, momentum=0.9, weight_decay=5e-4)",
        ... )
        >>> found.same, found.first_step, found.causes
        (False, 1, ('decay',))
    """
    steps = None if steps is None else as_count("steps", steps, error=RecipeError)
    one, two = make_sides(a, b, steps_per_epoch=steps_per_epoch, examples=examples)
    last = last_step_to_compare(one.settings, two.settings, longest((one, two))) if steps is None else steps - 1
    pairs = _pairs(one, two)
    partings = [find_parting(x, y, last) for x, y in pairs or [(one.settings, two.settings)]]
    parted = [(found, pair) for found, pair in zip(partings, pairs, strict=False) if found.step is not None]
    of_each = [f"{which}: {text}" for which, side in (("A", one), ("B", two)) for text in side.remarks]
    remarks = (*of_each, *_beside_the_rule(one, two), *_how_far(last))
    known = {"a": one.name, "b": two.name, "settings_a": one.settings, "settings_b": two.settings, "remarks": remarks}
    if not parted and pairs:
        return Comparison(**known, same=True, scale=partings[-1].scale, compared_until=last)
    if not pairs:
        return _other_groups(one, two, known, partings[0], last)
    found, (x, y) = min(parted, key=lambda item: item[0].step or 0)
    causes, advice = _causes(x, y, last), _advice(one, two, last)
    return Comparison(
        **known,
        same=False,
        first_step=found.step,
        coefficient=found.coefficient,
        values=found.values,
        params=_shown_params(x, y, found.step),
        causes=causes,
        only_first=found.only_first,
        scale=found.scale,
        compared_until=last,
        advice=advice,
        suggestions=sentences(one, two, advice),
    )


def _pairs(one: Side, two: Side) -> list[tuple[Settings, Settings]]:
    """Return the settings to compare, group by group; none where the groups do not choose the same parameters."""
    if [group.patterns for group in one.groups] != [group.patterns for group in two.groups]:
        return []
    inside = [(x.apply(one.settings), y.apply(two.settings)) for x, y in zip(one.groups, two.groups, strict=True)]
    return [(one.settings, two.settings), *inside]


def _other_groups(one: Side, two: Side, known: dict[str, Any], found: Parting, last: int) -> Comparison:
    differing = () if found.step is None else _causes(one.settings, two.settings, last)
    advice = _advice(one, two, last)
    matched = [", ".join(str(group.match) for group in side.groups) or "none" for side in (one, two)]
    remark = f"the groups choose other parameters: {matched[0]} in A, {matched[1]} in B"
    return Comparison(
        **{**known, "remarks": (remark, *known["remarks"])},
        same=False,
        first_step=found.step,
        coefficient=found.coefficient,
        values=found.values,
        params=None if found.step is None else _shown_params(one.settings, two.settings, found.step),
        causes=("groups", *differing),
        scale=found.scale,
        compared_until=last,
        advice=advice,
        suggestions=sentences(one, two, advice),
    )


def _causes(a: Settings, b: Settings, last: int) -> tuple[str, ...]:
    """Return the fields that part two rules; of schedule-free SGD, all that differ."""
    if not any(isinstance(one, ScheduleFree) for one in (a, b)):
        return find_causes(a, b, last)
    if type(a) is not type(b):
        return ("schedule_free",)
    return tuple(one.name for one in fields(a) if getattr(a, one.name) != getattr(b, one.name))


def _advice(one: Side, two: Side, last: int) -> tuple[Advice, ...]:
    """Return what would make one the other; nothing where one is schedule-free SGD, which no numbers of SGD are."""
    is_averaged = any(isinstance(side.settings, ScheduleFree) for side in (one, two))
    return () if is_averaged else advise(one, two, last)


def _shown_params(a: Settings, b: Settings, step: int | None) -> tuple[float, float] | None:
    """Return the parameter after a step in both, begun at 1 and with the gradient 1; None if that is far off."""
    if step is None or step > _SHOWN:
        return None
    ends = []
    for settings in (a, b):
        param, velocity = 1.0, 0.0
        for now in range(step + 1):
            delta, velocity = settings.at(now, first=now == 0).rule(param, 1.0, velocity)
            param += delta
        ends.append(float(param))
    return ends[0], ends[1]


def _beside_the_rule(one: Side, two: Side) -> list[str]:
    """Return what else differs between two recipes, which no update rule knows."""
    if one.recipe is None or two.recipe is None:
        return []
    found: list[str] = []
    for table, form in (("data", Data), ("model", Model), ("train", Train)):
        for name in (field.name for field in fields(form) if field.name not in _CHANGES_NO_NUMBER):
            x, y = (getattr(getattr(side.recipe, table), name) for side in (one, two))
            if x != y:
                x, y = (toml_line(value) if isinstance(value, _TABLES) else repr(value) for value in (x, y))
                found.append(f"not part of the rule, and different: {table}.{name} is {x} in A, {y} in B")
    plateaus = [side.recipe.train.plateau for side in (one, two) if side.recipe is not None]
    if any(plateaus):
        found.append("a plateau changes lr at steps that nobody knows beforehand; it is not compared")
    return found


def _how_far(last: int) -> list[str]:
    if last <= EVERY_STEP:
        return []
    sentence = (
        f"compared up to step {last}: each of the first {EVERY_STEP}, and from there on every boundary of the "
        "schedules and samples in between"
    )
    return [sentence]


def fields_shown(found: Comparison) -> list[tuple[str, str, str]]:
    """Return (field, its value in the first, in the second) for every field that differs or is a cause."""
    return [
        (one.name, repr(x), repr(y))
        for one in {
            field.name: field for side in (found.settings_a, found.settings_b) for field in fields(side)
        }.values()
        if (x := getattr(found.settings_a, one.name, None)) != (y := getattr(found.settings_b, one.name, None))
        or one.name in found.causes
    ]
