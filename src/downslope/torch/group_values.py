"""Torch's ``param_groups``, plain dictionaries that others read and write, and Downslope's settings in them.

Which keys a group has, how schedules stand beside the numbers that they drive, what is accepted since torch accepts it,
and how a group's present values become the scalars of a step.
"""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from numbers import Real
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from downslope.core import tensor_factors
from downslope.core.averages import checked_ema
from downslope.core.checks import as_float, check_flag, check_range
from downslope.core.errors import SettingsError, one_of
from downslope.core.rule import StepScalars
from downslope.core.schedules import Schedule
from downslope.core.settings import (
    FLAGS,
    Settings,
    check_alone,
    check_decay,
    check_decay_reference,
    check_one_direction,
    checked_clip_by,
    checked_factor,
    checked_nu,
    is_zero,
    scalars,
)
from downslope.core.shown import shown
from downslope.core.synonyms import our_words
from downslope.core.tensor_factors import TensorFactors
from downslope.kernel.coefficients import six_coefficients
from downslope.torch import parameters
from downslope.torch.options import check_implementation, checked_rounding

_PLAIN = (bool, int, float, str)
_FIXED = (float, bool, str, type(None), Real)
_FLOAT32_MAX = torch.finfo(torch.float32).max
_LARGEST_MOMENTUM = math.nextafter(1.0, 0.0)

SCHEDULABLE = ("lr", "momentum", "weight_decay")
DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in fields(Settings)}
"""Every hyperparameter and its default, as `Settings` has them; they are those of torch.optim.SGD."""
HYPERPARAMETERS = tuple(DEFAULTS)
_OF_THE_WHOLE = ("clip_norm", "on_nonfinite", "velocity_dtype", "rounding_seed", "step_in_backward", "settings")
"""Arguments of the optimizer that a group cannot have of its own."""
_OF_A_PATTERN = ("match", "lr_factor")
"""What a `Group` says beside hyperparameters, and what is worked out before there is a param group."""
_NO_SCALARS = frozenset({"undampened_first_step", *tensor_factors.NAMES})
"""Hyperparameters that say which scalars a tensor's step has, and are none of them."""
NEWER: Mapping[str, Any] = {name: DEFAULTS[name] for name in ("nu", *tensor_factors.NAMES)}
"""Hyperparameters that states of earlier versions lack, and their defaults."""
_DEPENDENT = {"trust_clip": "trust_coefficient", "adaptive_clip_by": "adaptive_clip"}
"""Hyperparameters that say how another works, which there may be none of in a group."""
GIVEN = "given"
"""Key of a group: its hyperparameters as a person gave them, before any scheduler wrote to the group."""
REFERENCES = ("lr_initial", "lr_max")
"""Keys of the two learning rates that some ways of weight decay divide by; None until they are known."""


_LIKE_LR = (*REFERENCES, "initial_lr", "max_lr", "lr_scale")
"""Keys of learning rates besides `lr`, some of them torch's schedulers', and of a multiple that others keep."""


def schedule_key(name: str) -> str:
    """Return the key of the schedule that drives the number called `name`."""
    return f"{name}_schedule"


def has_schedule(group: Mapping[str, Any]) -> bool:
    """Whether a schedule drives one of a group's numbers."""
    return any(group.get(schedule_key(name)) is not None for name in SCHEDULABLE)


def checked_settings(settings: Settings | None, values: dict[str, Any]) -> tuple[Settings, dict[str, Any]]:
    """Return the settings that were given, or those made of single values, and the values that stay as they are.

    Raises:
        SettingsError: If a value is not allowed, or both were given.
    """
    if settings is None:
        values = {name: plain(value) for name, value in values.items()}
        numbers: dict[str, Any] = {n: one_element(n, v) if isinstance(v, Tensor) else v for n, v in values.items()}
        inside, _ = within_settings(numbers)
        whole = {name: numbers[name] for name in ("nesterov", "nu", *_DEPENDENT)}  # of which a group may lack the need
        return Settings(**inside | whole), values
    check_alone(
        settings, (name for name, value in values.items() if isinstance(value, Tensor) or value != DEFAULTS[name])
    )
    return settings, {}


def defaults_from(settings: Settings, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of an optimizer: every key of a group, except those that belong to one group alone.

    Of the values as they were given numbers stay what they are (a tensor lr stays that tensor).
    """
    defaults: dict[str, Any] = {}
    for name in HYPERPARAMETERS:
        value = values.get(name, getattr(settings, name))
        # NumPy's numbers become Python's, so that torch.load(weights_only=True) reads the state
        defaults[name] = value if type(value) in _PLAIN or isinstance(value, Tensor) else getattr(settings, name)
    split_schedules(defaults)
    write_scheduled_values(defaults, 0)
    return defaults


def completed(
    group: Mapping[str, Any], defaults: Mapping[str, Any], others: Sequence[Mapping[str, Any]], around: str = ""
) -> dict[str, Any]:
    """Return a new group, checked, with the keys that torch does not take from the defaults by itself.

    It joins the step count of the others, and loses `around`, which wrappers put before the names of all parameters.

    Raises:
        SettingsError: If a value is not allowed; the message says in which group.
        GroupError: If a parameter is in another group already, a name stands for two, or parameters have no order.
    """
    group = parameters.with_names(group)
    if "params" in group and not isinstance(group["params"], Tensor):  # that is torch's to judge
        group["params"] = parameters.with_bare_names(parameters.in_order(group["params"]), others, around)
        parameters.check_distinct(group["params"], others)
    group |= {name: others[0][name] if others else 0 for name in ("step", "skipped")}
    try:
        check_spelling(group)
        split_schedules(group)
        merged = {**defaults, **group}
        choices = {name: merged[name] for name in ("foreach", "differentiable", "fused")}
        check_implementation(**choices, capturable=False)
        checked_rounding(merged["rounding"], differentiable=merged["differentiable"])
        merged["ema"] = checked_ema(merged.get("ema"))
        sentences = check_group(merged)
        _check_factors(merged)
        add_references(merged)
        write_scheduled_values(merged, group["step"])
    except SettingsError as error:
        raise type(error)(f"param group {len(others)}: {error}") from None
    for sentence in sentences:
        warnings.warn(f"param group {len(others)}: {sentence}.", UserWarning, stacklevel=5)
    return group | {name: merged[name] for name in (*SCHEDULABLE, *REFERENCES, "ema")} | {GIVEN: given_numbers(merged)}


def _check_factors(group: Mapping[str, Any]) -> None:
    """Raise if gradients are to have factors of their own, through which autograd would not see."""
    if group["differentiable"] and tensor_factors_of(group).given:
        raise SettingsError(
            "`differentiable=True` goes through the step, and not through the norms that trust_coefficient and "
            "adaptive_clip ask for. Leave one of the two out."
        )


def given_numbers(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters of a new group as plain numbers and words, but for those that schedules drive."""
    return {
        name: one_element(name, group[name]) if isinstance(group[name], Tensor) else group[name]
        for name in HYPERPARAMETERS
        if name not in SCHEDULABLE or group[schedule_key(name)] is None
    }


def plain(value: Any) -> Any:
    """Return a number of NumPy, a 0-d array or any other real number as Python's; anything else as it is.

    What is saved has to be read back by ``torch.load(weights_only=True)``, which takes plain values alone.
    """
    if type(value) in _PLAIN or value is None:
        return value
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if isinstance(value, Real):
        return float(value)
    return value


def split_schedules(group: dict[str, Any]) -> None:
    """Write schedules that were given as hyperparameters of a new group to their own keys too."""
    for name in SCHEDULABLE:
        if group.get(name) is not None:
            group[schedule_key(name)] = group[name] if isinstance(group[name], Schedule) else None
    for name in HYPERPARAMETERS:
        if name in group:
            group[name] = plain(group[name])


def check_choices(group: Mapping[str, Any], index: int) -> None:
    """Raise if one of a group's ways of taking a step is none: somebody may have written it since the group was added.

    Raises:
        SettingsError: That it is not allowed, or (`ImplementationError`) not to be had here; it says in which group.
    """
    try:
        choices = {name: group[name] for name in ("foreach", "fused")}
        check_implementation(**choices, differentiable=False, capturable=False)
        checked_rounding(group["rounding"])
        if group["trust_clip"] is not None:
            check_flag("trust_clip", plain(group["trust_clip"]))
    except SettingsError as error:
        raise type(error)(f"param group {index}: {error}") from None


def check_spelling(group: Mapping[str, Any]) -> None:
    """Raise if a key of a new group is what other systems call a hyperparameter, or nearly one.

    torch keeps unknown keys without a word, and others rely on it (names, multipliers, what schedulers note), so only
    those are refused that somebody surely expects to do something.

    Raises:
        SettingsError: With the hyperparameter that was probably meant.
    """
    for key in group:
        if key in HYPERPARAMETERS or not isinstance(key, str):
            continue
        if key in _OF_THE_WHOLE or (key == "capturable" and group[key]):  # torch's states have one that is False
            raise SettingsError(f"`{key}` belongs to the whole optimizer; in a param group it does nothing.")
        if key in _OF_A_PATTERN:
            raise SettingsError(
                f"`{key}` belongs to a downslope.Group, which `groups` takes; in a param group it does nothing. Give "
                "this one an lr, or leave its parameters to `groups`."
            )
        words = our_words(key, HYPERPARAMETERS)
        if words:
            raise SettingsError(
                f"a param group has the key `{shown(key)}`, which does nothing. Here it is {one_of(words)}."
            )
        close = difflib.get_close_matches(key, HYPERPARAMETERS, n=1, cutoff=0.85)
        if close:
            raise SettingsError(f"a param group has the unknown key `{shown(key)}`. Did you mean `{close[0]}`?")


def check_group(group: Mapping[str, Any]) -> list[str]:
    """Return sentences on a group's hyperparameters that torch accepts and that are traps.

    Raises:
        SettingsError: If a schedule, or a present number, is not allowed.
    """
    for name in SCHEDULABLE:
        schedule = group[schedule_key(name)]
        if not isinstance(schedule, Schedule | None):
            raise SettingsError(
                f"`{schedule_key(name)}` must be a schedule or None; got {shown(repr(schedule))}. A number is written "
                f"to `{name}`."
            )
    values = {name: group[name] for name in HYPERPARAMETERS}
    for name in (*SCHEDULABLE, "dampening"):
        if name in SCHEDULABLE and group[schedule_key(name)] is not None:
            values[name] = group[schedule_key(name)]
        elif isinstance(values[name], Tensor):
            values[name] = one_element(name, values[name])
    _check_kinds(values)
    inside, sentences = within_settings(values)
    Settings(**inside)
    for name in _LIKE_LR:
        if group.get(name) is not None:
            _like_lr(name, group)
    if not isinstance(group.get("name"), str | None):
        raise SettingsError(f"`name` must be text; got {shown(repr(group['name']))}.")
    return sentences


def _check_kinds(values: Mapping[str, Any]) -> None:
    """Raise if what may be None is neither that nor a number or a flag: of a tensor nobody could ask whether it is."""
    for name in ("nu", "trust_coefficient", "adaptive_clip"):
        if values[name] is not None and not isinstance(values[name], Schedule):
            as_float(name, values[name])
    if not isinstance(values["trust_clip"], bool | None):
        raise SettingsError(f"`trust_clip` must be True or False; got {shown(repr(values['trust_clip']))}.")


def _like_lr(name: str, group: Mapping[str, Any]) -> float:
    """Return one of a group's numbers that have to be what an lr has to be; `lr_max` of a schedule may be inf.

    Raises:
        SettingsError: If it is another.
    """
    value = group[name]
    if type(value) is float and 0 <= value < math.inf:
        return value
    if name == "lr_max" and type(value) is float and value == math.inf and group["lr_schedule"] is not None:
        return value
    found = one_element(name, value) if isinstance(value, Tensor) else as_float(name, value)
    if not 0 <= found < math.inf:
        raise SettingsError(f"`{name}` must be a finite number >= 0, as `lr`; got {found!r}.")
    return found


def within_settings(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return hyperparameters moved into the range of `Settings`, and a sentence on each that was outside.

    `Settings` refuses what is almost surely a mistake. In the place of torch.optim.SGD the same arguments have to run,
    with a warning: a momentum of 1 or more (cyclic schedules pass through it), dampening without momentum, a group
    without momentum in an optimizer with Nesterov's. The rule is defined for all of them, and computes what torch does.

    Raises:
        SettingsError: If a number is none, or one that torch refuses too (a negative momentum) or cannot compute with.
    """
    inside, sentences = dict(values), []
    inside |= {name: None for name, needed in _DEPENDENT.items() if not values[needed]}
    momentum, dampening = values["momentum"], values["dampening"]
    if not isinstance(momentum, Schedule):
        momentum = inside["momentum"] = as_float("momentum", momentum, or_schedule=True)
        check_written("momentum", momentum)
        if momentum >= 1:
            inside["momentum"] = _LARGEST_MOMENTUM
            sentences.append(
                f"`momentum` is {momentum!r}, so that velocities never fade. Below 1, such as 0.9, they do"
            )
    if not isinstance(dampening, Schedule):
        dampening = as_float("dampening", dampening)
        inside["dampening"] = min(max(dampening, 0.0), 1.0)
        if inside["dampening"] != dampening:
            sentences.append(f"`dampening` is {dampening!r}; what has a meaning is in [0, 1]")
    if is_zero(momentum):
        if dampening and not isinstance(dampening, Schedule):
            inside["dampening"] = 0.0
            sentences.append(f"`dampening` is {dampening!r}, and without momentum it does nothing")
        if values["nesterov"] is True:
            inside["nesterov"] = False
            sentences.append("`nesterov` is True, and without momentum it does nothing")
        if checked_nu("nu", values["nu"]) is not None:
            inside["nu"] = None
            sentences.append(f"`nu` is {values['nu']!r}, and without momentum it does nothing")
    return inside, sentences


def check_written(name: str, value: float) -> None:
    """Raise `SettingsError` if a number that somebody wrote into a group cannot be computed with."""
    if name in ("momentum", "dampening") and math.isfinite(value) and (value >= 0 or name == "dampening"):
        return
    check_range(name, value)


def add_references(group: dict[str, Any]) -> None:
    """Give a group the two learning rates that some ways of weight decay divide by: a schedule's, if there is one.

    Those of a number are open until the first step, since it may be a scheduler that says it.
    """
    schedule = group["lr_schedule"]
    group.setdefault("lr_initial", None if schedule is None else schedule.reference)
    group.setdefault("lr_max", None if schedule is None else schedule.extremes()[1])


def settle_references(group: dict[str, Any]) -> None:
    """Write down the references of decay that are still open, once and for all, at the first step with an lr above 0.

    That is the base from which a torch scheduler starts (``initial_lr``), which may warm up to it, the peak of its
    OneCycleLR, else the lr of the step itself, whoever wrote it since the optimizer was made.
    """
    if group["lr_initial"] is None or group["lr_max"] is None:
        found = _reference(group)
        if found > 0:
            for name in REFERENCES:
                group[name] = found if group[name] is None else group[name]


def _reference(group: Mapping[str, Any]) -> float:
    """Return what the references of decay would be, were they settled now; 0 if that is too early."""
    if group["lr_schedule"] is not None:
        return group["lr_schedule"].reference
    if not number("lr", group["lr"]):
        return 0.0
    if {"max_lr", "min_lr"} <= group.keys():  # OneCycleLR alone notes both: it warms up to the first, as `OneCycle`
        return _like_lr("max_lr", group)
    return number("initial_lr", group.get("initial_lr", group["lr"]))


Known = dict[int, tuple[tuple[Any, ...], StepScalars]]
"""By a group's index: the values of the last step, and the scalars that they gave."""


def step_scalars(group: dict[str, Any], index: int, known: Known, differentiable: bool) -> StepScalars:
    """Return the scalars of a group's present step, for all its parameters but those at their first gradient.

    Schedules write to the group, and what is known of it is renewed. Tensors stay tensors if `differentiable`.

    Raises:
        SettingsError: If something wrote a value to the group that is not allowed.
    """
    follow_schedules(group, index, group["step"])
    values = values_of(group)
    last = known.get(index)
    are_fixed = all(map(is_fixed, values))  # else equal to what they were, or to a float that they round to
    if last is not None and are_fixed and last[0] == values:
        return last[1]
    try:
        settle_references(group)
        found = scalars_of(group, differentiable=differentiable)
        if not differentiable:
            check_coefficients(group, found)
    except SettingsError as error:
        raise SettingsError(f"param group {index}: {error}") from None
    if are_fixed:
        known[index] = (values_of(group), found)
    return found


def scalars_of(group: Mapping[str, Any], *, differentiable: bool = False) -> StepScalars:
    """Return the same from a group's present values, whoever wrote them and whatever schedules say."""
    numbers = {name: number(name, group[name]) for name in (*SCHEDULABLE, "dampening")}
    for name, value in numbers.items():
        check_written(name, value)
    for name in FLAGS:
        if type(group[name]) is not bool:
            check_flag(name, plain(group[name]))
    check_decay(group["decay"])
    lr_initial, lr_max = (_known_reference(group, name) for name in REFERENCES)
    if numbers["weight_decay"]:
        check_decay_reference(group["decay"], lr_initial, lr_max)
    values: dict[str, Any] = dict(numbers)
    if differentiable:
        values |= {name: group[name].reshape(()) for name in numbers if isinstance(group[name], Tensor)}
    others = {name: group[name] for name in HYPERPARAMETERS if name not in values and name not in _NO_SCALARS}
    others["nu"] = checked_nu("nu", group["nu"])
    check_one_direction(group["nesterov"], others["nu"])
    return scalars(**values, **others, lr_initial=lr_initial, lr_max=lr_max)


def tensor_factors_of(group: Mapping[str, Any]) -> TensorFactors:
    """Return the factors on gradients that each tensor of a group has of its own, whoever wrote them.

    Raises:
        SettingsError: If one of them is not allowed.
    """
    trust, clip = (checked_factor(name, group[name]) for name in ("trust_coefficient", "adaptive_clip"))
    return TensorFactors(
        trust, bool(group["trust_clip"]), clip, checked_clip_by("adaptive_clip_by", group["adaptive_clip_by"])
    )


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


def is_fixed(value: Any) -> bool:
    """Return whether a value stays what it is: a tensor or an array may be another number in the same object."""
    return isinstance(value, _FIXED)


def values_of(group: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return everything in a group that its scalars depend on."""
    return (*_get_values(group), group.get("max_lr"))


def follow_schedules(group: dict[str, Any], index: int, step: int) -> None:
    """Write the values of `step` into a group, after checking that nothing else wrote to them since the last step.

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


def parameter_name(group: Mapping[str, Any], group_index: int, index: int) -> str:
    """Return what to call a parameter in a message: its name, or its place."""
    if "param_names" in group:
        return f"`{group['param_names'][index]}`"
    return f"parameter {index} of group {group_index}"


def lr_of(group: Mapping[str, Any], index: int) -> float:
    """Return a group's present lr; raise `SettingsError` if it is no number, and say in which group."""
    try:
        return number("lr", group["lr"])
    except SettingsError as error:
        raise SettingsError(f"param group {index}: {error}") from None


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


def _known_reference(group: Mapping[str, Any], name: str) -> float:
    if name == "lr_max" and "max_lr" in group:  # torch's OneCycleLR states it so
        return _like_lr("max_lr", group)
    if group[name] is not None:
        return _like_lr(name, group)
    return _reference(group) or 1.0  # while lr is 0, which makes every such decay 0
