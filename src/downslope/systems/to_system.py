"""From `Settings` to a system's arguments, with what was translated; or why the system cannot express them.

That the arguments mean the same rule is tested: they are read again, and the update matrices compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields as fields_of
from dataclasses import replace
from itertools import product
from typing import Any, NoReturn

from downslope.core.errors import SettingsError, one_of
from downslope.core.schedule_free import refuse_schedule_free
from downslope.core.schedules.schedule import Schedule, constant_value
from downslope.core.settings import Decay, Settings, is_zero
from downslope.systems.convention import Argument, Convention, Values
from downslope.systems.from_system import checked_batch_size
from downslope.systems.schedules import say_schedule
from downslope.systems.table import find_convention

# Weight decay said in another way, where the two are the same.

_WITH_ANY_LR = frozenset({"decoupled", "relative"})
"""These two differ by a constant factor, whatever lr does; the others equal them only while lr is constant."""


def decay_in_another_way(
    name: str, settings: Settings, ways: tuple[str, ...], remarks: list[str], *, exactly: bool
) -> Settings:
    """Return settings of the same rule whose weight decay is one of `ways`.

    Args:
        name: Of the system that has these ways, for messages.
        settings: The settings, whose weight decay is not 0 and none of `ways`.
        ways: What the system has, the preferred first.
        remarks: Is added to.
        exactly: Whether to refuse at once.

    Raises:
        SettingsError: If none of them is the same rule.
    """
    if not exactly:
        for way in ways:
            if (said := _said(settings, way)) is not None:
                remarks.append(said[1])
                return said[0]
    alike = any((way == "coupled") == (settings.decay == "coupled") for way in ways)
    raise SettingsError(
        f'{name} cannot express decay="{settings.decay}": its weight decay is {one_of(ways)}. '
        + (
            "The two follow lr differently, and a number says one as the other only where lr and weight decay are "
            "constant and lr is above 0."
            if alike
            else "Decay that is coupled passes through momentum, decay that is not does not, so no number makes them "
            "equal."
        )
    )


def _said(settings: Settings, way: str) -> tuple[Settings, str] | None:
    """Return the settings with their decay said in a way and a sentence on it, or None if that is another rule."""
    before = settings.decay
    still = is_zero(settings.momentum)
    if "coupled" in (before, way) and not still:
        return None
    lr = constant_value(settings.lr)
    family = _WITH_ANY_LR | ({"coupled"} if still else set())
    if (lr is None and not {before, way} <= family) or isinstance(settings.weight_decay, Schedule):
        return None
    if lr == 0 or settings.lr_initial == 0:
        return None  # nothing moves, and no factor says how the two compare
    weight_decay = settings.weight_decay * _to_decoupled(before, settings) / _to_decoupled(way, settings)
    again: Decay = way  # pyright: ignore[reportAssignmentType] -- one of the row's own
    because = "without momentum" if "coupled" in (before, way) else ""
    if not {before, way} <= family:
        because = " and ".join(filter(None, (because, "with a constant lr")))
    return (
        replace(settings, weight_decay=weight_decay, decay=again),
        f"{before} weight_decay={settings.weight_decay!r} is said as {way} {weight_decay!r}"
        + (f"; exact {because}" if because else "; exact whatever lr does"),
    )


def _to_decoupled(way: str, settings: Settings) -> float:
    """Return what a weight_decay is multiplied with to be that of decoupled decay."""
    return 1.0 / settings.lr_initial if way in {"relative", "independent"} else 1.0


_ADVICE: Mapping[str, str] = {
    "nesterov": "set nesterov=False",
    "nu": "leave nu out, which is another rule",
    "trust_coefficient": "leave it out, which is another rule",
    "adaptive_clip": "clip gradients where you train",
    "maximize": "negate the loss, and set maximize=False",
    "dampening": "without Nesterov it only scales the velocity, as lr times 1 - dampening does with dampening=0",
    "weight_decay": "set weight_decay=0",
}


class ConventionArguments(dict[str, Any]):
    """The arguments of a system, by its own names.

    Attributes:
        convention: Name of the system.
        remarks: Sentences on what was translated, and what to know.
        elsewhere: By argument that the optimizer itself does not take, where it is written.
    """

    convention: str
    remarks: tuple[str, ...]
    elsewhere: Mapping[str, str]

    def own(self) -> Values:
        """Return only the arguments that the optimizer itself takes."""
        return {name: value for name, value in self.items() if name not in self.elsewhere}


def arguments_for_convention(
    settings: Settings, convention: str, *, batch_size: int | None = None
) -> ConventionArguments:
    """Return the arguments with which a system computes `settings`.

    Args:
        settings: The settings.
        convention: Name of the system.
        batch_size: Examples in a batch, for a system whose values are per sample.

    Raises:
        SettingsError: If the system cannot express them.
    """
    refuse_schedule_free(
        settings, "no system's SGD has it among its arguments. Use downslope.export, to torch or optax."
    )
    row = find_convention(convention)
    refused: SettingsError | None = None
    forms = sorted(_forms(row), key=lambda form: form[1]["decay"] != settings.decay or _overruled(form[1], settings))
    for exactly in (True, False):  # what it has as it is comes before what it has only in other words
        for chosen, meaning in forms:
            try:
                return _write(row, settings, chosen, dict(meaning), batch_size, exactly=exactly)
            except SettingsError as error:
                refused = refused or (error if not exactly else None)
    raise refused or SettingsError(f"{row.name} cannot express {settings!r}.")


def _forms(row: Convention) -> Iterator[tuple[Values, Values]]:
    """Yield the forms of the rule that a system's choices give: the arguments to write, and what they mean."""
    choosing = [argument for argument in row.arguments if argument.choices]
    for values in product(*(argument.choices for argument in choosing)):
        chosen: Values = {}
        meaning = row.fields()
        for argument, value in zip(choosing, values, strict=True):
            meaning |= argument.choices[value]
            if value != argument.default:
                chosen[argument.name] = value
        yield chosen, meaning


def _overruled(meaning: Values, settings: Settings) -> bool:
    """Return whether an argument of its own would have to overrule what a form means."""
    return meaning.get("nesterov", settings.nesterov) != settings.nesterov


def _write(
    row: Convention,
    settings: Settings,
    chosen: Values,
    meaning: Values,
    batch_size: int | None,
    *,
    exactly: bool,
) -> ConventionArguments:
    remarks: list[str] = []
    settings = _in_its_form(row, settings, meaning, remarks, exactly=exactly)
    ways = _ways_of_decay(row, meaning)
    left: Values = {field.name: getattr(settings, field.name) for field in fields_of(settings)}
    if row.write is not None:
        left = row.write(left)
    written: Values = {}
    for argument in row.arguments:
        if argument.choices:
            continue
        if argument.sets == "weight_decay" and ways and settings.decay not in _ways(argument, meaning):
            if argument.required or argument.default:
                written[argument.name] = 0.0
            continue
        if argument.sets in left:
            default = meaning.get(argument.sets, argument.default)
            _put(row, written, replace(argument, default=default), left.pop(argument.sets), batch_size, remarks)
    _check_rest(row, left, meaning)
    return _finished(row, written, chosen, batch_size, remarks)


def _in_its_form(
    row: Convention, settings: Settings, meaning: Values, remarks: list[str], *, exactly: bool
) -> Settings:
    """Return the same rule said as this form of a system says it; raise where it cannot."""
    takes = {argument.sets for argument in row.arguments}
    if "lr_in_velocity" not in takes:
        settings = _move_lr(row, settings, remarks, inside=meaning["lr_in_velocity"], exactly=exactly)
    if "undampened_first_step" not in takes and takes & {"dampening", "unit_gain"}:
        _check_first_step(row, settings)
    ways = _ways_of_decay(row, meaning)
    if not is_zero(settings.weight_decay) and ways and settings.decay not in ways:
        settings = decay_in_another_way(row.name, settings, tuple(ways), remarks, exactly=exactly)
    if settings.nesterov and settings.dampening and not row.nesterov_with_dampening:
        _refuse(row, f"nesterov=True with dampening={settings.dampening!r}", "it allows one of them at a time")
    if row.needs_momentum and is_zero(settings.momentum):
        _refuse(row, "momentum=0", "it refuses to run without momentum")
    return settings


def _move_lr(row: Convention, settings: Settings, remarks: list[str], *, inside: bool, exactly: bool) -> Settings:
    """Return the settings with lr where the system has it; raise where that is another rule."""
    if settings.lr_in_velocity == inside:
        return settings
    if is_zero(settings.momentum):
        return replace(settings, lr_in_velocity=inside)
    there = "inside" if inside else "outside"
    lr = constant_value(settings.lr)
    if lr is None:
        _refuse(
            row,
            f"lr_in_velocity={settings.lr_in_velocity} with an lr that changes",
            f"its lr stands {there} the velocity, and the two part when lr changes",
        )
    if exactly:
        _refuse(row, f"lr_in_velocity={settings.lr_in_velocity}", f"its lr stands {there} the velocity")
    remarks.append(
        f"lr stands {there} the velocity in {row.name}: the same rule while lr stays {lr!r}, "
        "another one as soon as it changes"
    )
    return replace(settings, lr_in_velocity=inside)


def _check_first_step(row: Convention, settings: Settings) -> None:
    if settings.dampening == 0 or settings.undampened_first_step == row.undampened_first_step:
        return
    what = "undampened" if row.undampened_first_step else "dampened like every other"
    _refuse(
        row,
        f"undampened_first_step={settings.undampened_first_step} with dampening={settings.dampening!r}",
        f"its first step is {what}",
    )


def _ways(argument: Argument, meaning: Values) -> tuple[str, ...]:
    if argument.decay is not None:
        return (argument.decay,)
    return (meaning["decay"],)


def _ways_of_decay(row: Convention, meaning: Values) -> list[str]:
    """Return the ways of weight decay that a form has, its first argument's first; none if it takes any."""
    if any(argument.sets == "decay" for argument in row.arguments):
        return []
    return [way for a in row.arguments if a.sets == "weight_decay" for way in _ways(a, meaning)]


def _put(
    row: Convention,
    written: Values,
    argument: Argument,
    value: Any,
    batch_size: int | None,
    remarks: list[str],
) -> None:
    if isinstance(value, Schedule) and argument.sets in {"lr", "momentum", "weight_decay"}:
        constant = constant_value(value)
        if constant is not None and (row.schedules or not argument.scheduled):
            value = constant
        elif not argument.scheduled:
            _refuse(row, f"a schedule of {argument.sets}", f"its `{argument.name}` is a number")
        else:
            written[argument.name] = value
            if said := say_schedule(value, row.schedules):
                remarks.append(f"{argument.name}: {said}")
            return
    if argument.sets in {"lr", "momentum", "dampening", "weight_decay"}:
        number: Any = value
        value = number / argument.factor
        if argument.batch_power and value:
            value = _per_sample(row, argument, value, batch_size)
            written["batch_size"] = batch_size
    default = argument.default
    if argument.sets in {"weight_decay", "dampening"} and default is None and not argument.required:
        default = 0.0
    if argument.sets == "momentum" and default is None and value == 0 and not argument.required:
        return  # optax: momentum=None keeps no state
    if argument.sets in {"lr", "momentum"} or argument.required or value != default:
        written[argument.name] = value


def _per_sample(row: Convention, argument: Argument, value: float, batch_size: int | None) -> float:
    try:
        size = checked_batch_size(argument, batch_size)
    except SettingsError as error:
        raise SettingsError(f"{row.name}: {error}") from None
    return value / size if argument.batch_power > 0 else value * size


_SAID = (
    *("nesterov", "nu", "trust_coefficient", "adaptive_clip"),
    *("maximize", "dampening", "weight_decay", "momentum"),
)


def _check_rest(row: Convention, left: Values, meaning: Values) -> None:
    """Raise for a setting that no argument took and that the system does not have as it is."""
    for name in _SAID:
        if left.get(name) is None or left[name] == meaning.get(name, None if name == "nu" else 0):
            continue
        if name != "nu" and is_zero(left[name]):  # nu = 0 is plain SGD, and None is plain momentum
            continue
        value = "a schedule of it" if isinstance(left[name], Schedule) else repr(left[name])
        if name in row.ignores:
            raise SettingsError(
                f"{row.name} silently ignores {name}: it cannot express {name}={value}. "
                f"For {row.title}, {_ADVICE[name]}."
            )
        _refuse(row, f"{name}={value}", f"it has nothing for it; {_ADVICE.get(name, 'leave it out')}")
    if meaning.get("nesterov") and not left.get("nesterov", True):
        _refuse(row, "nesterov=False", "this form of it is Nesterov's")


def _finished(
    row: Convention, written: Values, chosen: Values, batch_size: int | None, remarks: list[str]
) -> ConventionArguments:
    arguments = ConventionArguments(written | chosen)
    arguments.convention = row.name
    values = {a.name: a.default for a in row.arguments} | arguments
    arguments.elsewhere = {
        a.name: _filled_in(a.goes_to, values) for a in row.arguments if a.goes_to and a.name in arguments
    }
    if "weight_decay" in arguments.elsewhere and "decay_after_trace" in arguments.elsewhere:
        arguments.elsewhere = {**arguments.elsewhere, "weight_decay": arguments.elsewhere["decay_after_trace"]}
    if "batch_size" in written:
        arguments.elsewhere = {**arguments.elsewhere, "batch_size": "the size of the batches"}
        remarks.append(f"per sample, for batches of {batch_size}")
    said = {"batch_size"} | ({"decay_after_trace"} if "weight_decay" in arguments.elsewhere else set())
    remarks += [f"{name} goes to {where}" for name, where in arguments.elsewhere.items() if name not in said]
    arguments.remarks = (*remarks, *row.remarks)
    return arguments


def _filled_in(where: str, values: Values) -> str:
    """Return a place in words, the values of arguments in the places of their names."""
    names = "|".join(map(re.escape, values))
    return re.sub(rf"(?<![\w.`])({names})(?![\w.`(]|\s*=)", lambda found: repr(values[found[0]]), where)


def _refuse(row: Convention, what: str, why: str) -> NoReturn:
    raise SettingsError(f"{row.name} cannot express {what}: {why}.")
