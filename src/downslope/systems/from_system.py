"""From a system's arguments to `Settings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from downslope.core.checks import as_float, check_flag, is_integer
from downslope.core.errors import SettingsError, did_you_mean, one_of
from downslope.core.schedules.schedule import Schedule
from downslope.core.settings import DECAYS, Settings, is_zero
from downslope.systems.convention import Argument, Convention, Values
from downslope.systems.table import ANY, find_convention

_FLAGS = frozenset({"nesterov", "maximize", "lr_in_velocity", "undampened_first_step", "unit_gain"})


def settings_from_convention(convention: str, arguments: Mapping[str, Any]) -> Settings:
    """Return the settings under which the rule is what a system computes with these arguments.

    Args:
        convention: Name of the system, see `downslope.systems.table.CONVENTIONS`.
        arguments: Its arguments by their own names; what is not given has the system's default. Where a value is per
            sample (CNTK's lr, scikit-learn's alpha), `batch_size` too.

    Raises:
        SettingsError: If the system or an argument is unknown, a value is not allowed, or an argument has an effect
            that settings cannot hold.

    Example:
        >>> settings_from_convention("keras", {"learning_rate": 0.1, "momentum": 0.9}).lr_in_velocity
        True
    """
    row = find_convention(convention)
    try:
        return Settings(**read_fields(row, arguments))
    except SettingsError as error:
        message = str(error)
        raise SettingsError(message if message.startswith(f"{row.name}: ") else f"{row.name}: {message}") from None


def read_fields(row: Convention, arguments: Mapping[str, Any]) -> Values:
    """Return the fields of `Settings` that a system's arguments mean.

    Args:
        row: The system.
        arguments: As in `settings_from_convention`.

    Raises:
        SettingsError: As there.
    """
    given, batch_size = _known(row, arguments)
    fields = row.fields()
    chosen: Values = {}
    for argument in row.arguments:
        if argument.choices:
            chosen |= _choice(argument, given.get(argument.name, argument.default))
    fields |= chosen
    for argument in row.arguments:
        if argument.choices:
            continue
        value = given.get(argument.name)
        if value is None:
            if argument.required:
                raise SettingsError(f"`{argument.name}` must be given: {row.title} has no default for it.")
            if argument.default is None or argument.sets in chosen:
                continue
            value = argument.default
        _put(fields, argument, _setting(argument, value, batch_size), given)
    if row.read is not None:
        fields = row.read(fields)
    return _as_it_computes(row, fields)


def _known(row: Convention, arguments: Mapping[str, Any]) -> tuple[Values, Any]:
    """Return the given arguments by their first names, and the batch size; raise where one cannot be taken."""
    given: Values = {}
    per_sample = any(argument.batch_power for argument in row.arguments)
    names = [a.name for a in row.arguments] + (["batch_size"] if per_sample else [])
    batch_size = None
    for name, value in arguments.items():
        argument = row.argument(name)
        if argument is not None:
            if argument.name in given:
                raise SettingsError(f"`{argument.name}` is given twice, once as `{name}`.")
            given[argument.name] = value
        elif name == "batch_size" and per_sample:
            batch_size = value
        elif name in row.ignores:
            if value:
                raise SettingsError(
                    f"it takes {name}={value!r} and silently ignores it; leave it out for what it really computes."
                )
        elif name in row.neutral:
            if row.neutral[name] is not ANY and value not in row.neutral[name]:
                raise SettingsError(
                    f"{name}={value!r} is no part of the update rule, and settings cannot hold it. Leave it out here, "
                    "and see to it where you train."
                )
        else:
            raise SettingsError(
                f"unknown argument `{name}`.{did_you_mean(name, [*names, *row.neutral])} "
                f"{row.title} has {one_of(names)}."
            )
    return given, batch_size


def _choice(argument: Argument, value: Any) -> Mapping[str, Any]:
    value = argument.reads(value) if argument.reads is not None else value
    try:
        if value in argument.choices and not (isinstance(value, int) and not isinstance(value, bool)):
            return argument.choices[value]
    except TypeError:  # a value that cannot be a key
        pass
    words = ", ".join(repr(choice) for choice in argument.choices if choice is not None)
    raise SettingsError(f"`{argument.name}` must be one of {words}; got {value!r}.")


def _setting(argument: Argument, value: Any, batch_size: Any) -> Any:
    """Return the setting that a value means."""
    if argument.reads is not None:
        value = argument.reads(value)
    if argument.sets in _FLAGS:
        check_flag(argument.name, value)
        return value
    if argument.sets not in {"lr", "momentum", "dampening", "weight_decay"}:
        return value
    if isinstance(value, Schedule):
        if not argument.scheduled:
            raise SettingsError(f"`{argument.name}` must be a number; got the schedule {value!r}.")
        return value
    number = argument.factor * as_float(argument.name, value, or_schedule=argument.scheduled)
    if argument.batch_power and number:
        size = checked_batch_size(argument, batch_size)
        return number * size if argument.batch_power > 0 else number / size
    return number


def checked_batch_size(argument: Argument, batch_size: Any) -> int:
    """Return the batch size that an argument's value needs.

    Raises:
        SettingsError: If it is not an integer >= 1.
    """
    if is_integer(batch_size) and batch_size >= 1:
        return int(batch_size)
    how = "is per sample" if argument.batch_power > 0 else "is divided by the number of samples in the batch"
    got = "it is not given" if batch_size is None else f"got {batch_size!r}"
    raise SettingsError(f"`{argument.name}` {how}, so that `batch_size` must be an integer >= 1; {got}.")


def _put(fields: Values, argument: Argument, value: Any, given: Values) -> None:
    if argument.sets != "weight_decay":
        fields[argument.sets] = value
        return
    before = fields.get("weight_decay", 0.0)
    if isinstance(value, float) and value == 0 and "weight_decay" in fields:
        return
    if not (isinstance(before, float) and before == 0):
        both = [name for name in given if name in {"weight_decay", "kernel_regularizer"}]
        raise SettingsError(f"{one_of(both)} are two ways of weight decay at once, and settings hold one. Choose one.")
    fields["weight_decay"] = value
    if argument.decay is not None and not (isinstance(value, float) and value == 0):
        fields["decay"] = argument.decay


def _as_it_computes(row: Convention, fields: Values) -> Values:
    """Return the fields without what the system ignores; raise for what it refuses."""
    if fields.get("decay") not in DECAYS:
        return fields  # Settings says so
    momentum = fields.get("momentum", 0.0)
    still = is_zero(momentum)
    if row.needs_momentum and still:
        raise SettingsError("momentum must be above 0: it refuses to run without.")
    for name in row.without_momentum:
        if still:
            fields.pop(name, None)
    if not fields.get("dampening"):
        fields.pop("undampened_first_step", None)  # it then makes no difference, and Settings' own is as good
    if fields.get("nesterov") and fields.get("dampening") and not row.nesterov_with_dampening:
        raise SettingsError(
            f"{row.title} refuses nesterov together with dampening={fields['dampening']!r}. Use dampening 0."
        )
    return fields
