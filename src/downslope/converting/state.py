"""Optimizer state carried from one convention to another: a change of basis of the update matrix.

The arrays may be of any framework; nothing of it is imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from downslope.core.equivalence import Passage, Side, find_passage
from downslope.core.errors import SettingsError, StateError, did_you_mean
from downslope.core.schedules.schedule import Schedule
from downslope.core.settings import Settings, is_zero
from downslope.core.shown import shown
from downslope.systems.from_system import settings_from_convention
from downslope.systems.table import find_convention
from downslope.systems.to_system import arguments_for_convention

_NO_FRACTION = re.compile(r"int|bool|object|str|datetime|timedelta|void|[<>|=]?[SUVOb]\d*$")
"""Formats of arrays that are no velocity's, in the words of any framework."""

PerParameter = Settings | Mapping[str, Settings]
"""Settings of all parameters, or of each by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertedState:
    """A state that has gone over, and how long the two stay together.

    Attributes:
        velocity: Stored velocity of each parameter, by name, as the target stores it; None for a parameter that has
            had no gradient yet.
        step: The step that comes next, 0-based.
        settings: The settings of the target; by name where they differ.
        scales: By name, target velocity = scale * source velocity.
        parts_at: The first step at which the two differ, or None.
        statement: How long they stay together: "exact; the conventions part when lr next changes (step 1000)".
        remarks: What else a person should know.
        average: Averages of the weights as the state has them, which are of no convention; empty where it has none.
    """

    velocity: dict[str, Any]
    step: int
    settings: PerParameter
    scales: dict[str, float]
    parts_at: int | None
    statement: str
    remarks: tuple[str, ...]
    average: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> dict[str, Any]:
        """The state as ``downslope.numpy.SGD`` and the other optimizers' readers take it: "step" and "velocity".

        And "average", where the state has any.
        """
        kept = {name: array for name, array in self.velocity.items() if array is not None}
        return {"step": self.step, "velocity": kept} | ({"average": dict(self.average)} if self.average else {})


def convert_state(
    state: Mapping[str, Any],
    source: str | Settings,
    target: str | Settings,
    *,
    settings: PerParameter | None = None,
    target_settings: PerParameter | None = None,
    step: int | None = None,
    until: int | None = None,
    **arguments: Any,
) -> ConvertedState:
    """Carry the velocities of an optimizer from one convention to another.

    The scale between the two comes from their update matrices at the step that comes next: the velocity of the target
    is k times that of the source, with the one k under which both matrices are the same rule. Then the matrices of the
    steps ahead are compared, to say when the two part.

    Args:
        state: Velocities by parameter name, of any framework's arrays, None for one that has had no gradient; or
            {"step": ..., "velocity": ...}, perhaps with "average", as ``downslope.numpy.SGD.state_dict`` returns it.
        source: Where the state is from: the name of a convention, or settings.
        target: Where it goes.
        settings: The settings of the run, where `source` is a name: of all parameters, or by name where groups differ.
            Where lr stands is the convention's.
        target_settings: The same of the target; None for the source's, with lr where the target has it.
        step: The step that comes next, 0-based: how many have been taken. Needed where something is scheduled.
        until: The last step to look at; None for 100,000 ahead.
        **arguments: The source's own arguments, instead of `settings`: ``learning_rate=0.1, momentum=0.9``.

    Returns:
        The converted state with its statement. No array of `state` is written to.

    Raises:
        StateError: If the two are not the same rule, so that no velocity can be carried over, or the state is none.
        SettingsError: If the settings are missing, or the target cannot express them.

    Example:
        >>> import numpy as np
        >>> from downslope import convert_state
        >>> converted = convert_state({"w": np.array([0.5])}, source="torch", target="keras", lr=0.1, momentum=0.9)
        >>> converted.velocity["w"], converted.statement
        (array([-0.05]), 'exact; the conventions part if lr is ever changed')
    """
    for side in (source, target):
        if not isinstance(side, Settings):
            find_convention(side)
    velocity, counted, average = _taken_apart(state)
    step = _checked_step(counted if step is None else step)
    passages: dict[tuple[Settings, Settings], Passage] = {}
    chosen: dict[str, tuple[Settings, Settings]] = {}
    sides = ("", "")
    for name in velocity or {"": None}:
        ours = _source_side(source, _of(settings, name), arguments)
        theirs = _target_side(target, _of(target_settings, name), ours)
        pair, sides = (ours.settings, theirs.settings), (ours.name, theirs.name)
        chosen[name] = pair
        if pair not in passages:
            _check_step_known(step, pair)
            passages[pair] = find_passage(ours, theirs, step or 0, until)
    scales = {name: passages[chosen[name]].scale for name in velocity}
    by_name = {name: passages[pair] for name, pair in chosen.items()}
    late = [name for name, array in velocity.items() if array is None]
    differing = [name for name in late if by_name[name].first_differs]
    targets = {name: pair[1] for name, pair in chosen.items()}
    return ConvertedState(
        velocity={name: None if array is None else array * scales[name] for name, array in velocity.items()},
        step=step or 0,
        settings=next(iter(targets.values())) if len(set(targets.values())) == 1 else targets,
        scales=scales,
        parts_at=min((p.parts_at for p in passages.values() if p.parts_at is not None), default=None),
        statement=_statement(by_name, passages, differing),
        remarks=_remarks(by_name, late, sides),
        average=average,
    )


def _taken_apart(state: Any) -> tuple[dict[str, Any], int | None, dict[str, Any]]:
    """Return the velocities by name, the step if the state says it, and the averages."""
    if not isinstance(state, Mapping):
        raise StateError(f"the state must be a mapping of velocities by name; got {type(state).__name__}.")
    table = cast("Mapping[str, Any]", state)
    average: Mapping[str, Any] = {}
    in_parts = set(table) - {"average"} == {"step", "velocity"}
    if in_parts and isinstance(table["velocity"], Mapping) and isinstance(table.get("average", {}), Mapping):
        velocities, step = cast("Mapping[str, Any]", table["velocity"]), table["step"]
        average = cast("Mapping[str, Any]", table.get("average", {}))
    elif "param_groups" in table:
        raise StateError(
            "the state is a whole state_dict; give its velocities by name, or use downslope convert for the file."
        )
    else:
        velocities, step = table, None
    for name, array in velocities.items():
        if array is not None and not (hasattr(array, "shape") and hasattr(array, "dtype")):
            raise StateError(f"the velocity of `{shown(name)}` must be an array or None; got {type(array).__name__}.")
        if array is not None and _NO_FRACTION.search(str(array.dtype)):
            raise StateError(
                f"the velocity of `{shown(name)}` must hold floating or complex numbers; got {array.dtype}."
            )
    return dict(velocities), step, dict(average)


def _checked_step(step: Any) -> int | None:
    if step is None:
        return None
    value = step.item() if hasattr(step, "item") else step
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise StateError(f"`step` must be an integer >= 0, the number of steps taken; got {step!r}.")
    return value


def _check_step_known(step: int | None, pair: tuple[Settings, Settings]) -> None:
    if step is not None:
        return
    for settings in pair:
        for name in ("lr", "momentum", "weight_decay"):
            if isinstance(getattr(settings, name), Schedule):
                raise StateError(
                    f"`{name}` is a schedule, so the state means something only at its step. "
                    "Give the number of steps that have been taken (step=, or --step)."
                )


def _of(settings: PerParameter | None, name: str) -> Settings | None:
    """Return the settings of one parameter."""
    found: Any = settings
    if isinstance(settings, Mapping):
        if name not in settings:
            raise StateError(
                f"there are no settings for the parameter `{shown(name)}`.{did_you_mean(str(name), map(str, settings))}"
            )
        found = settings[name]
    if not isinstance(found, Settings | None):
        raise SettingsError(
            f"settings must be a Settings, or a dictionary with one for each parameter; got {shown(repr(found))}."
        )
    return found


def _source_side(source: str | Settings, settings: Settings | None, arguments: Mapping[str, Any]) -> Side:
    if isinstance(source, Settings):
        if settings is not None or arguments:
            raise SettingsError("`source` already holds all settings; do not also pass `settings` or arguments.")
        return Side(name="the source", settings=source)
    row = find_convention(source)
    if settings is not None and arguments:
        raise SettingsError(f"give either `settings` or {row.name}'s own arguments, not both.")
    if settings is None:
        if not arguments:
            raise SettingsError(
                f"the settings of the run are needed: pass settings=Settings(...), or {row.name}'s own arguments, "
                f"such as {row.arguments[0].name}=."
            )
        settings = settings_from_convention(source, arguments)
    else:
        settings = in_form_of(settings, source)
    return Side(name=row.name, settings=settings, velocity_sign=row.velocity_sign)


def _target_side(target: str | Settings, settings: Settings | None, source: Side) -> Side:
    if isinstance(target, Settings):
        if settings is not None:
            raise SettingsError("`target` already holds all settings; do not also pass `target_settings`.")
        return Side(name="the target", settings=target)
    row = find_convention(target)
    own = in_form_of(source.settings if settings is None else settings, target)
    return Side(
        name=row.name if row.name != source.name else f"{row.name} (the target)",
        settings=own,
        velocity_sign=row.velocity_sign,
    )


def in_form_of(settings: Settings, convention: str) -> Settings:
    """Return the settings as a system runs them: the same numbers, with lr where its lr stands.

    A number may be scheduled even where the system has no word for that, since whoever trains can set it step by step.

    Args:
        settings: The settings.
        convention: Name of the system. This package has either form, so that there nothing changes.

    Raises:
        SettingsError: If the system cannot express them so.
    """
    row = find_convention(convention)
    if any(argument.sets == "lr_in_velocity" for argument in row.arguments):
        return settings
    either = any("lr_in_velocity" in meaning for a in row.arguments for meaning in a.choices.values())
    inside = settings.lr_in_velocity if either else row.lr_in_velocity
    own = replace(settings, lr_in_velocity=inside)
    if settings.dampening and any(a.sets in {"dampening", "unit_gain"} for a in row.arguments):
        own = replace(own, undampened_first_step=row.undampened_first_step)
    constant = {name: _some_value(getattr(own, name)) for name in ("lr", "momentum", "weight_decay")}
    arguments_for_convention(replace(own, **constant), convention, batch_size=1)  # raises where it cannot
    return own


def _some_value(number_or_schedule: float | Schedule) -> float:
    """Return a value that a schedule takes, not 0 if it can be helped."""
    if not isinstance(number_or_schedule, Schedule):
        return number_or_schedule
    return number_or_schedule.reference or number_or_schedule.extremes()[1]


def _statement(by_name: Mapping[str, Passage], passages: Mapping[Any, Passage], differing: list[str]) -> str:
    if differing:
        first = f"the first gradient of {', '.join(differing)} is undampened on one side only, and parts them at once"
        return f"{_statement(by_name, passages, [])}; but {first}"
    if not any(passage.read for passage in passages.values()) and all(
        is_zero(settings.momentum) for pair in passages for settings in pair
    ):
        return "exact; momentum is 0, so that no velocity is read and nothing has to be carried over"
    sentences: dict[str, list[str]] = {}
    for name, passage in by_name.items():
        sentences.setdefault(passage.statement(), []).append(name)
    if len(sentences) == 1:
        return next(iter(sentences))
    return "; ".join(f"{', '.join(names)}: {sentence}" for sentence, names in sentences.items())


def _remarks(by_name: Mapping[str, Passage], late: list[str], sides: tuple[str, str]) -> tuple[str, ...]:
    remarks: list[str] = []
    scales = {passage.scale for passage in by_name.values() if passage.read}
    if scales:
        factors = " or ".join(f"{scale:.9g}" for scale in sorted(scales))
        remarks.append(f"velocity of {sides[1]} = {factors} * velocity of {sides[0]}")
    if late:
        remarks.append(f"no gradient yet, so no velocity: {', '.join(late)}")
    return tuple(remarks)
