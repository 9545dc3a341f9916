"""Between Downslope's settings and torch's ``param_groups``: plain dictionaries that others read and write.

What lives here: which keys a group has, how schedules stand beside the numbers they drive, and how a group's present
values become the scalars of a step. What does not: the step, and loading.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn

from downslope.core.errors import GroupError, SettingsError, one_of
from downslope.core.groups import Group, assign_groups
from downslope.core.rule import StepScalars
from downslope.core.schedules import Schedule
from downslope.core.schedules.base import as_float
from downslope.core.settings import Settings, check_decay, check_decay_reference, check_range, scalars
from downslope.kernel.coefficients import six_coefficients
from downslope.torch.arguments import check_implementation
from downslope.torch.rounding import checked_rounding

_PLAIN = (bool, int, float, str)
_FLOAT32_MAX = torch.finfo(torch.float32).max

SCHEDULABLE = ("lr", "momentum", "weight_decay")
DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in fields(Settings)}
"""Every hyperparameter and its default, as `Settings` has them; they are those of torch.optim.SGD."""
HYPERPARAMETERS = tuple(DEFAULTS)


def schedule_key(name: str) -> str:
    """Return the key of the schedule that drives the number called `name`."""
    return f"{name}_schedule"


def checked_settings(settings: Settings | None, values: dict[str, Any]) -> tuple[Settings, dict[str, Any]]:
    """Return the settings that were given, or those made of single values, and the values that stay as they are.

    Raises:
        SettingsError: If a value is not allowed, or both were given.
    """
    if settings is None:
        numbers: dict[str, Any] = {n: one_element(n, v) if isinstance(v, Tensor) else v for n, v in values.items()}
        return Settings(**numbers), values
    if not isinstance(settings, Settings):
        raise SettingsError(f"`settings` must be a Settings; got a {type(settings).__name__}.")
    given = [name for name, value in values.items() if isinstance(value, Tensor) or value != DEFAULTS[name]]
    if given:
        raise SettingsError(f"`settings` already holds all hyperparameters; do not also pass {one_of(given)}.")
    return settings, {}


def defaults_from(settings: Settings, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of an optimizer: every key of a group, except those that belong to one group alone.

    Args:
        settings: The checked settings.
        values: The hyperparameters as they were given: numbers stay what they are (a tensor lr stays that tensor).
    """
    defaults: dict[str, Any] = {}
    for name in HYPERPARAMETERS:
        value = values.get(name, getattr(settings, name))
        # NumPy's numbers become Python's, so that torch.load(weights_only=True) reads the state
        defaults[name] = value if type(value) in _PLAIN or isinstance(value, Tensor) else getattr(settings, name)
    for name in SCHEDULABLE:
        schedule = getattr(settings, name)
        defaults[schedule_key(name)] = schedule if isinstance(schedule, Schedule) else None
        if isinstance(schedule, Schedule):
            defaults[name] = schedule(0)
    return defaults


def completed(
    group: Mapping[str, Any], defaults: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a new group, checked, with the keys that torch does not take from the defaults by itself.

    Args:
        group: The group as a person wrote it; not changed.
        defaults: The optimizer's defaults.
        others: The groups that are there already; the new one joins their step count.

    Raises:
        SettingsError: If a value is not allowed; the message says in which group.
        GroupError: If a parameter, or a name, is there twice.
    """
    group = {**group}
    if "params" in group and not isinstance(group["params"], Tensor | set):  # those two are torch's to judge
        group["params"] = list(group["params"])
        _check_distinct(group["params"], others)
    group |= {name: others[0][name] if others else 0 for name in ("step", "skipped")}
    try:
        check_spelling(group)
        split_schedules(group, group["step"])
        merged = {"capturable": False, **defaults, **group}
        choices = {name: merged[name] for name in ("foreach", "differentiable", "fused", "capturable")}
        check_implementation(**choices)
        checked_rounding(merged["rounding"], differentiable=merged["differentiable"])
        add_references(merged)
        write_scheduled_values(merged, group["step"])
    except SettingsError as error:
        raise SettingsError(f"param group {len(others)}: {error}") from None
    return group | {name: merged[name] for name in (*SCHEDULABLE, "lr_initial", "lr_max")}


def _check_distinct(params: Sequence[Any], others: Sequence[Mapping[str, Any]]) -> None:
    """Raise if a parameter is given twice (torch only warns, and steps it twice), or a name stands for two."""
    homes = {id(param): index for index, other in enumerate(others) for param in other["params"]}
    names = {name for other in others for name in other.get("param_names", ())}
    for place, item in enumerate(params):
        name, param = item if isinstance(item, tuple) and len(item) == 2 else (None, item)
        if id(param) in homes:
            raise GroupError(
                f"param group {len(others)}: {f'`{name}`' if name else f'parameter {place}'} is given twice; it is in "
                f"group {homes[id(param)]} already. Each parameter belongs to one group, once."
            )
        if name is not None and name in names:
            raise GroupError(
                f"two parameters are called `{name}`; states are loaded by name, so names must differ. "
                "Prefix them, as in [(f'actor.{name}', p) for name, p in actor.named_parameters()]."
            )
        homes[id(param)] = len(others)
        names.add(name)


def split_schedules(group: dict[str, Any], step: int) -> None:
    """Move schedules given as plain hyperparameters of a group to their own keys, leaving the value of `step`.

    Args:
        group: A new group; changed in place.
        step: Steps done so far.
    """
    for name in SCHEDULABLE:
        value = group.get(name)
        if value is None:
            continue
        group[schedule_key(name)] = value if isinstance(value, Schedule) else None
        if isinstance(value, Schedule):
            group[name] = value(step)
    for name in (*SCHEDULABLE, "dampening"):
        if name in group and type(group[name]) not in _PLAIN and not isinstance(group[name], Tensor):
            group[name] = as_float(name, group[name])


def check_spelling(group: Mapping[str, Any]) -> None:
    """Raise if a key of a new group is nearly, but not quite, a hyperparameter.

    torch keeps unknown keys without a word, and others rely on it (names, multipliers), so only likely misspellings
    are refused.

    Raises:
        SettingsError: With the hyperparameter that was probably meant.
    """
    for key in group:
        if key not in HYPERPARAMETERS:
            close = difflib.get_close_matches(key, HYPERPARAMETERS, n=1, cutoff=0.85)
            if close:
                raise SettingsError(f"a param group has the unknown key `{key}`. Did you mean `{close[0]}`?")


def settings_of(group: Mapping[str, Any]) -> Settings:
    """Return the checked settings of a group: its schedules, or its present numbers.

    Raises:
        SettingsError: If a value is not allowed.
    """
    values = {name: group[name] for name in HYPERPARAMETERS}
    for name in SCHEDULABLE:
        if group[schedule_key(name)] is not None:
            values[name] = group[schedule_key(name)]
        elif isinstance(values[name], Tensor):
            values[name] = one_element(name, values[name])
    return Settings(**values)


def add_references(group: dict[str, Any]) -> None:
    """Give a group the two learning rates that some ways of weight decay divide by, as they are when it is added."""
    settings = settings_of(group)
    group.setdefault("lr_initial", settings.lr_initial)
    group.setdefault("lr_max", settings.lr_max)


def scalars_of(group: Mapping[str, Any], *, differentiable: bool = False) -> StepScalars:
    """Return the scalars of one step from a group's present values, for all but first gradients.

    Args:
        group: The group; others may have written to it since the last step.
        differentiable: Whether tensors are to stay tensors, for autograd to find.

    Raises:
        SettingsError: If a value written from outside is not allowed.
    """
    numbers = {name: number(name, group[name]) for name in (*SCHEDULABLE, "dampening")}
    for name, value in numbers.items():
        check_range(name, value)
    check_decay(group["decay"])
    if numbers["weight_decay"]:
        check_decay_reference(group["decay"], group["lr_initial"], _lr_max(group))
    values: dict[str, Any] = dict(numbers)
    if differentiable:
        values |= {name: group[name].reshape(()) for name in numbers if isinstance(group[name], Tensor)}
    others = {name: group[name] for name in HYPERPARAMETERS if name not in values and name != "undampened_first_step"}
    return scalars(**values, **others, lr_initial=group["lr_initial"], lr_max=_lr_max(group))


def write_scheduled_values(group: dict[str, Any], step: int) -> None:
    """Write the values of `step` into a group whose numbers are driven by schedules."""
    for name in SCHEDULABLE:
        schedule = group[schedule_key(name)]
        if schedule is not None:
            group[name] = schedule(step)


_SCHEDULE_KEYS = tuple((name, schedule_key(name)) for name in SCHEDULABLE)
_get_values = itemgetter(*HYPERPARAMETERS, "lr_initial", "lr_max")


def check_coefficients(group: Mapping[str, Any], scalars: StepScalars) -> None:
    """Raise if the step's coefficients are too large for the format that a group's parameters are computed in.

    Raises:
        SettingsError: Before anything moves; float32 would make them infinite.
    """
    largest = max(map(abs, six_coefficients(scalars)))
    if largest <= _FLOAT32_MAX or all(p.dtype in (torch.float64, torch.complex128) for p in group["params"]):
        return
    decay = number("weight_decay", group["weight_decay"])
    raise SettingsError(
        f"`lr` {scalars.lr!r}, `momentum` {scalars.momentum!r} and `weight_decay` {decay!r} give a factor of "
        f"{largest:.3g}, which float32 cannot hold. Use smaller ones, or float64 parameters."
    )


def values_of(group: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return everything in a group that its scalars depend on."""
    return (*_get_values(group), group.get("max_lr"))


def follow_schedules(group: dict[str, Any], index: int, step: int) -> None:
    """Write the values of `step` into a group, after checking that nothing else wrote to them since the last step.

    Args:
        group: The group.
        index: Its position, for the message.
        step: Steps done so far.

    Raises:
        SettingsError: Two hands on one number: one of them would be ignored.
    """
    for name, key in _SCHEDULE_KEYS:
        schedule = group[key]
        if schedule is None:
            continue
        value, written = schedule(step), group[name]
        by_scheduler = name == "lr" and "initial_lr" in group  # the mark that every torch scheduler leaves
        if by_scheduler or (written != value and written != schedule(max(step - 1, 0))):
            raise SettingsError(
                f"`{name}` of param group {index} is driven by {schedule!r}, but something else, such as a torch "
                f"scheduler, wrote {written!r} to it. Use one of the two: drop the scheduler, or make {name} a number."
            )
        group[name] = value


def parameters_of(params: Any, groups: Sequence[Group]) -> Any:
    """Return what torch's Optimizer takes: tensors, named tensors, or dictionaries.

    Args:
        params: An iterable of tensors, of (name, tensor) pairs or of dictionaries; or a module.
        groups: Groups by name pattern.

    Raises:
        GroupError: If there are groups, and the parameters have no names or are grouped already.
    """
    norm_names: set[str] = set()
    if isinstance(params, nn.Module):
        norm_names = norm_parameter_names(params)
        params = params.named_parameters()
    if not groups:
        return params
    named: list[Any] = list(params) if isinstance(params, Iterable) and not isinstance(params, Tensor) else [params]
    if not all(isinstance(item, tuple) and len(item) == 2 for item in named):
        raise GroupError(
            "`groups` match parameters by name, and these have none. Pass the module itself or "
            "model.named_parameters(), not model.parameters() or groups of your own."
        )
    _check_distinct(named, ())
    tensors: dict[str, Tensor] = dict(named)
    assigned = assign_groups(groups, {name: tuple(p.shape) for name, p in tensors.items()}, norm_names)
    return [
        {"params": [(name, tensors[name]) for name in names], **(groups[i].changes() if i < len(groups) else {})}
        for i, names in enumerate(assigned)
        if names
    ]


def norm_parameter_names(module: nn.Module) -> set[str]:
    """Return the names of parameters that lie directly in a layer whose class name contains "Norm"."""
    return {
        f"{path}.{name}" if path else name
        for path, layer in module.named_modules()
        if "norm" in type(layer).__name__.lower()
        for name, _ in layer.named_parameters(recurse=False)
    }


def parameter_name(group: Mapping[str, Any], group_index: int, index: int) -> str:
    """Return what to call a parameter in a message: its name, or its place."""
    if "param_names" in group:
        return f"`{group['param_names'][index]}`"
    return f"parameter {index} of group {group_index}"


def number(name: str, value: Any) -> float:
    """Return a hyperparameter as a float, whether it is a number or a one-element tensor.

    Raises:
        SettingsError: If it is neither.
    """
    if type(value) is float:
        return value
    if isinstance(value, Tensor):
        return one_element(name, value)
    if isinstance(value, Schedule):
        raise SettingsError(
            f"`{name}` was set to a schedule in `param_groups`, which hold numbers; set the key "
            f"`{schedule_key(name)}` instead, or pass the schedule when the group is added."
        )
    return as_float(name, value)


def one_element(name: str, tensor: Tensor) -> float:
    """Return the number in a one-element tensor.

    Raises:
        SettingsError: If it has another number of elements.
    """
    if tensor.numel() != 1 or tensor.is_complex() or tensor.dtype == torch.bool:
        raise SettingsError(f"`{name}` as a tensor must hold one real number; got shape {tuple(tensor.shape)}.")
    return float(tensor.detach())


def _lr_max(group: Mapping[str, Any]) -> float:
    return float(group.get("max_lr", group["lr_max"]))  # torch's OneCycleLR and CyclicLR state theirs as max_lr
