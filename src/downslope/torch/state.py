"""An optimizer's state, saved and loaded: everything is checked, and said, before anything changes.

torch's own `load_state_dict` goes by position, casts velocities to the parameter's format, and overwrites
hyperparameters without a word. At the end, how a distributed checkpoint of torch.optim.SGD is read.
"""

from __future__ import annotations

import copy
import warnings
from collections import defaultdict
from collections.abc import Container, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from downslope.core.errors import DownslopeError, SettingsError, StateError
from downslope.core.parameter_names import without_wrappers
from downslope.core.schedules import Schedule
from downslope.core.shown import shown
from downslope.core.tables import Source, decode_schedule, to_table
from downslope.torch import group_values
from downslope.torch.average import AVERAGE, begun, misfit_of_average
from downslope.torch.blocks import (
    CODES,
    INT8,
    SCALES,
    check_can_be_coded,
    decoded,
    encoded,
    is_worth_codes,
    misfit_of_codes,
)
from downslope.torch.options import Rounding, StepOptions, has_codes, rounding_of, velocity_dtype_of
from downslope.torch.update import COMPENSATION, VELOCITY

if TYPE_CHECKING:
    from downslope.torch.sgd import SGD

_OWN_KEYS = frozenset({"params", "param_names", "foreach", "fused", "differentiable", "capturable", "rounding", "ema"})
"""Keys of a group that belong to this optimizer and machine, and are not loaded."""


_OWN_WORDS = frozenset({VELOCITY, CODES, SCALES, COMPENSATION, AVERAGE})
"""Keys of a parameter's state that are the optimizer's own."""


@dataclass
class _Match:
    """Which saved parameter goes to which of ours, and what does not fit.

    Attributes:
        pairs: (name for messages, our parameter, key of the saved state, our group's index).
        problems: Sentences on what is missing, unexpected or misplaced.
        converted: Names of the parameters whose velocity becomes codes, of those where it becomes float32, and of
            those where it is rounded to another floating format.
    """

    pairs: list[tuple[str, Tensor, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    converted: tuple[list[str], list[str], list[str]] = field(default_factory=lambda: ([], [], []))


def plain_state(state_dict: dict[str, Any]) -> dict[str, Any]:
    """Return a state dict that ``torch.load(weights_only=True)`` reads, however numbers got into it.

    Schedules become plain tables, numbers of NumPy and one-element tensors in groups Python's numbers. One that a hook
    has reshaped is returned as it is.
    """
    if "param_groups" not in state_dict:
        return state_dict
    groups = [
        {key: to_table(value) if isinstance(value, Schedule) else _plain_within(value) for key, value in group.items()}
        for group in state_dict["param_groups"]
    ]
    for group in groups:
        for name, value in group.items():
            if isinstance(value, Tensor) and value.numel() == 1 and not (value.requires_grad or value.is_complex()):
                group[name] = value.item()
    state = {key: _plain_within(entry) for key, entry in state_dict.get("state", {}).items()}
    return {**state_dict, "state": state, "param_groups": groups}


def _plain_within(value: Any) -> Any:
    """Return a value of a state with NumPy's numbers in it as Python's; tensors and what is unknown as they are."""
    if type(value) is dict:
        return {group_values.plain(key): _plain_within(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_plain_within, value))
    return group_values.plain(value)


def load_into(optimizer: SGD, state_dict: dict[str, Any], *, strict: bool, hyperparameters: str) -> None:
    """Load `state_dict` into `optimizer`; see `SGD.load_state_dict`."""
    if hyperparameters not in ("load", "keep"):
        raise StateError(f"`hyperparameters` must be `load` or `keep`; got {hyperparameters!r}.")
    if isinstance(state_dict, dict):  # hooks may unpack or convert it, so its form is checked after them
        state_dict = state_dict.copy()
        for hook in optimizer._optimizer_load_state_dict_pre_hooks.values():
            returned = hook(optimizer, state_dict)
            state_dict = state_dict if returned is None else returned
    _check_form(state_dict)
    saved_groups: list[dict[str, Any]] = state_dict["param_groups"]
    ours: list[dict[str, Any]] = optimizer.param_groups
    _check_method(ours, saved_groups)
    match = _match(ours, saved_groups)
    _check_given_twice(match)
    state = _new_state(ours, optimizer.shared["options"], match, state_dict)
    groups = _groups(ours, saved_groups, load=hyperparameters == "load")
    _check_counts(groups)
    _check_step_count(groups, saved_groups, match)
    _say(match.problems, _changes(ours, groups, saved_groups), strict=strict)
    _say_converted(*match.converted, optimizer.shared["options"].velocity_dtype)
    for group in groups:
        group_values.write_scheduled_values(group, group["step"])
    optimizer.__setstate__({"state": state, "param_groups": groups})
    for hook in optimizer._optimizer_load_state_dict_post_hooks.values():
        hook(optimizer)


def _say(problems: list[str], changes: list[str], *, strict: bool) -> None:
    """Raise or warn of what does not fit, and warn of hyperparameters that change."""
    if problems and strict:
        raise StateError(
            "the state does not fit this optimizer; nothing was loaded:\n"
            + "\n".join(f"  - {problem}" for problem in problems)
            + "\nLoad a state of the same parameters, or pass strict=False to load what fits."
        )
    if problems:
        warnings.warn(f"load_state_dict(strict=False): {'; '.join(problems)}.", UserWarning, stacklevel=4)
    if changes:
        warnings.warn(
            f"load_state_dict changed hyperparameters: {'; '.join(changes)}. "
            'Pass hyperparameters="keep" to keep this optimizer\'s own.',
            UserWarning,
            stacklevel=4,
        )


def _say_converted(to_codes: list[str], from_codes: list[str], rounded: list[str], asked: Any) -> None:
    """Warn of velocities that were loaded in another form, with what that costs."""
    if to_codes:
        warnings.warn(
            f"load_state_dict rounded {len(to_codes)} velocities to 8 bits ({to_codes[0]}, ...), as `velocity_dtype` "
            "asks: each by up to 0.8 per cent of the largest in its block of 256.",
            UserWarning,
            stacklevel=4,
        )
    if from_codes:
        warnings.warn(
            f"load_state_dict turned {len(from_codes)} velocities of 8 bits into float32 ({from_codes[0]}, ...): the "
            "numbers that they stood for, exactly; what 8 bits had lost stays lost.",
            UserWarning,
            stacklevel=4,
        )
    if rounded:
        warnings.warn(
            f"load_state_dict rounded {len(rounded)} velocities to {torch.float32 if asked == INT8 else asked} "
            f"({rounded[0]}, ...), as `velocity_dtype` asks.",
            UserWarning,
            stacklevel=4,
        )


def _check_form(state_dict: Any) -> None:
    if (
        not isinstance(state_dict, Mapping)
        or not isinstance(state_dict.get("state"), Mapping)
        or not isinstance(state_dict.get("param_groups"), list)
        or not state_dict["param_groups"]
        or not all(isinstance(g, Mapping) and isinstance(g.get("params"), list) for g in state_dict["param_groups"])
    ):
        found = sorted(map(str, state_dict)) if isinstance(state_dict, Mapping) else type(state_dict).__name__
        raise StateError(
            "the state of an optimizer must have `state` and a list `param_groups` with `params`, as state_dict() "
            f"returns; got {found}. (Is it a model's state, or a checkpoint with the optimizer's inside?)"
        )
    homes: dict[Hashable, int] = {}
    for index, group in enumerate(state_dict["param_groups"]):
        if not isinstance(names := group.get("param_names", ()), list | tuple):
            raise StateError(
                f"`param_names` of group {index} of the state must be a list of names; got {shown(repr(names))}; "
                "nothing was loaded."
            )
        for key in group["params"]:
            # twice within one group is a parameter that was given twice, which torch allows
            if not isinstance(key, Hashable) or isinstance(key, Tensor) or homes.setdefault(key, index) != index:
                raise StateError(
                    f"the state lists parameter {shown(repr(key))} twice, or it is no index; nothing was loaded."
                )


def _check_method(ours: list[dict[str, Any]], saved_groups: list[dict[str, Any]]) -> None:
    """Raise if the state is of schedule-free SGD, whose velocities are differences of two points, and this is SGD."""
    if not any("weight_sum" in group for group in ours) and any("weight_sum" in group for group in saved_groups):
        raise StateError(
            "the state is of schedule-free SGD, whose velocities are no velocities of SGD; nothing was loaded. Load it "
            "into downslope.torch.ScheduleFreeSGD, or begin anew with the model's weights at x (optimizer.eval())."
        )


def _match(ours: list[dict[str, Any]], saved_groups: list[dict[str, Any]]) -> _Match:
    match = _Match()
    if len(ours) != len(saved_groups):
        match.problems.append(f"it has {len(saved_groups)} parameter groups, this optimizer has {len(ours)}")
    our_names, saved_names = _by_name(ours), _by_name(saved_groups)
    if our_names is not None and saved_names is not None:
        _match_names(match, our_names, saved_names)
        return match
    for index, (group, saved) in enumerate(zip(ours, saved_groups, strict=False)):
        if len(group["params"]) != len(saved["params"]):
            match.problems.append(
                f"group {index} has {len(saved['params'])} parameters in it, {len(group['params'])} in this optimizer"
            )
        for place, (param, key) in enumerate(zip(group["params"], saved["params"], strict=False)):
            match.pairs.append((group_values.parameter_name(group, index, place), param, key))
    return match


def _check_given_twice(match: _Match) -> None:
    """Add a problem where one side lists a parameter twice, as torch allows in a group, and the other does not."""
    ours: dict[int, Any] = {}
    saved: dict[Any, int] = {}
    for name, param, key in match.pairs:
        if ours.setdefault(id(param), key) != key or saved.setdefault(key, id(param)) != id(param):
            match.problems.append(f"{name} is parameter {shown(repr(key))}, which is listed twice on one side only")


def _match_names(match: _Match, ours: dict[str, tuple[int, Any]], saved: dict[str, tuple[int, Any]]) -> None:
    for name, (group, param) in ours.items():
        if name not in saved:
            match.problems.append(f"missing in the state: `{name}`")
            continue
        saved_group, key = saved[name]
        if saved_group != group:
            match.problems.append(f"misplaced: `{name}` is in group {saved_group} of the state, here in group {group}")
        match.pairs.append((f"`{name}`", param, key))
    match.problems += [f"unexpected in the state: `{name}`" for name in saved if name not in ours]


def _by_name(groups: list[dict[str, Any]]) -> dict[str, tuple[int, Any]] | None:
    """Return name -> (group index, parameter), or None if some have no name or two share one.

    Names are without what wrappers put into them, so that a wrapped model's state is the bare one's.
    """
    homes = [(index, param) for index, group in enumerate(groups) for param in group["params"]]
    names = [name for group in groups for name in group.get("param_names", ())]
    if any(len(group.get("param_names", ())) != len(group["params"]) for group in groups):
        return None
    if not all(isinstance(name, str) for name in names):
        return None
    named = dict(zip(without_wrappers(names), homes, strict=True))
    return named if len(named) == len(homes) else None


def is_group_of_sgd(group: Mapping[str, Any]) -> bool:
    """Whether a saved group has the settings that SGD alone has."""
    return "momentum" in group and "dampening" in group


def _new_state(
    ours: list[dict[str, Any]], options: StepOptions, match: _Match, state_dict: Mapping[str, Any]
) -> defaultdict[Any, Any]:
    """Return the new state: a copy of every saved velocity that fits; what does not is added to the problems.

    What others keep beside a velocity (a lookahead's slow weights) is copied too, and what they keep under a word.
    """
    saved, saved_groups = state_dict["state"], state_dict["param_groups"]
    of_sgd = {key for group in saved_groups if is_group_of_sgd(group) for key in group["params"]}
    roundings: dict[int, Rounding] = {
        id(param): rounding_of(param, group["rounding"]) for group in ours for param in group["params"]
    }
    homes = {id(param): group for group in ours for param in group["params"]}
    state: defaultdict[Any, Any] = defaultdict(dict)
    for name, param, key in match.pairs:
        entry = saved.get(key, {})
        if not isinstance(entry, Mapping):
            match.problems.append(f"the state of {name} must be a table; got {type(entry).__name__}")
            continue
        foreign = {word: value for word, value in entry.items() if word not in _OWN_WORDS}
        if foreign and key not in of_sgd:  # another optimizer's state
            match.problems.append(f"the state of {name} holds {', '.join(map(shown, foreign))}, which is not of SGD")
        elif foreign:
            state[param].update({word: _moved(value, param, word) for word, value in foreign.items()})
        if unread := _unread(entry, name, param):
            match.problems += unread
            continue
        _add_own(state, name, param, entry, options, roundings[id(param)], match)
        if entry.get(AVERAGE) is not None and (problem := _add_average(state, param, entry, homes[id(param)])):
            match.problems.append(f"the average of {name} {problem}")
    # what others keep in a state under a word is copied, as in torch
    listed = {key for group in saved_groups for key in group["params"]}
    are_words = not any(isinstance(key, str) for key in listed)
    for key, entry in saved.items():
        if key not in listed and are_words and isinstance(key, str):
            state[key] = copy.deepcopy(entry)
        elif key not in listed:
            match.problems.append(f"unexpected in the state: an entry for parameter {shown(repr(key))}")
    return state


def _add_own(
    state: defaultdict[Any, Any],
    name: str,
    param: Tensor,
    entry: Mapping[str, Any],
    options: StepOptions,
    rounding: Rounding,
    match: _Match,
) -> None:
    """Copy a parameter's compensation and velocity, as codes where these are kept, and note what does not fit."""
    if entry.get(COMPENSATION) is not None:
        problem = _add_compensation(state, param, entry[COMPENSATION], rounding)
        match.problems += [f"the compensation of {name} {problem}"] if problem else []
    expected = velocity_dtype_of(param, options)
    if entry.get(CODES) is not None or entry.get(SCALES) is not None:
        problem = misfit_of_codes(entry, param)
        if problem is not None:
            match.problems.append(f"the 8-bit velocity of {name} {problem}")
        elif options.velocity_dtype == INT8 and is_worth_codes(param):
            copied = torch.empty_like(param, dtype=torch.int8, requires_grad=False).copy_(entry[CODES].detach())
            state[param].update({CODES: copied, SCALES: entry[SCALES].detach().to(param.device, copy=True)})
        else:
            match.converted[1].append(name)
            _add_velocity(state, name, param, decoded(entry[CODES], entry[SCALES]), expected, options, match)
    elif entry.get(VELOCITY) is not None:
        problem = _misfit(param, entry[VELOCITY])
        if problem is not None:
            match.problems.append(f"the velocity of {name} {problem}")
        elif has_codes(param, options):
            check_can_be_coded(param, name)
            state[param].update(zip((CODES, SCALES), encoded(_laid_out(entry[VELOCITY], param), param), strict=True))
            match.converted[0].append(name)
        else:
            _add_velocity(state, name, param, entry[VELOCITY], expected, options, match)


def _moved(value: Any, param: Tensor, word: Any = None) -> Any:
    """Return a copy of what others keep for a parameter: tensors on its device, but for a count of steps, as torch."""
    if isinstance(value, Tensor):
        return value.detach().clone() if word == "step" else value.detach().to(param.device, copy=True)
    if isinstance(value, dict):
        return {key: _moved(item, param, key) for key, item in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(_moved(item, param) for item in value)
    return copy.deepcopy(value)


def _add_velocity(
    state: defaultdict[Any, Any],
    name: str,
    param: Tensor,
    velocity: Tensor,
    expected: torch.dtype,
    options: StepOptions,
    match: _Match,
) -> None:
    """Copy a velocity, in another floating format where that loses nothing or was asked for.

    One of a wider format stays as it is, unless `velocity_dtype` names a format; then what is rounded is said.
    """
    saved = velocity.dtype
    dtype = saved
    if options.velocity_dtype is not None or _holds(expected, saved):
        dtype = expected
        if not _holds(expected, saved):
            match.converted[2].append(name)
    elif not _holds(saved, expected):
        match.problems.append(
            f"the velocity of {name} is {saved}, and of this and the {expected} expected here neither holds the "
            "other's numbers"
        )
    state[param][VELOCITY] = _laid_out(velocity, param, dtype)


def _holds(wide: torch.dtype, narrow: torch.dtype) -> bool:
    """Whether a floating format has every number of another; of two complex ones, whether their parts do."""
    mine, theirs = torch.finfo(wide), torch.finfo(narrow)
    return mine.eps <= theirs.eps and mine.max >= theirs.max and mine.smallest_normal <= theirs.smallest_normal


def _laid_out(velocity: Tensor, param: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return a copy in the parameter's layout, whatever the file's (often contiguous): a step then stays one pass."""
    copied = torch.empty_like(param, dtype=dtype or velocity.dtype, requires_grad=False)
    return copied.copy_(velocity.detach())


def _add_compensation(state: defaultdict[Any, Any], param: Tensor, compensation: Any, rounding: Rounding) -> str | None:
    """Copy what a parameter's rounding had dropped, or return why there is no use for it."""
    problem = _misfit(param, compensation)
    if problem is None and compensation.dtype != param.dtype:
        problem = f"is {compensation.dtype}, the parameter {param.dtype}"
    if problem is None and rounding != "compensated":
        problem = f'has no place here, where rounding is "{rounding}"'
    if problem is None:
        state[param][COMPENSATION] = torch.empty_like(param, requires_grad=False).copy_(compensation.detach())
    return problem


def _add_average(
    state: defaultdict[Any, Any], param: Tensor, entry: Mapping[str, Any], group: Mapping[str, Any]
) -> str | None:
    """Copy a parameter's average, or return why it cannot be its own here."""
    problem = misfit_of_average(entry[AVERAGE], param, group)
    if problem is None:
        state[param][AVERAGE] = begun(param).copy_(entry[AVERAGE].detach())
    return problem


def _unread(entry: Mapping[str, Any], name: str, param: Tensor) -> list[str]:
    """Return a sentence on each tensor of our own in a parameter's state whose numbers cannot be copied."""
    found: list[str] = []
    for word in sorted(_OWN_WORDS):
        value = entry.get(word)
        if not isinstance(value, Tensor):
            continue  # which those who take it see
        if value.layout is not torch.strided:
            found.append(f"the {word} of {name} is {value.layout}, and must be dense")
        elif value.is_meta and not param.is_meta:
            found.append(f'the {word} of {name} is on the device "meta", where there are no numbers')
    return found


def _misfit(param: Tensor, velocity: Any) -> str | None:
    """Return why the velocity cannot be this parameter's at all, or None."""
    if not isinstance(velocity, Tensor):
        return f"must be a tensor; got {type(velocity).__name__}"
    if velocity.shape != param.shape:
        return f"has shape {tuple(velocity.shape)}, the parameter {tuple(param.shape)}"
    if velocity.is_complex() != param.is_complex() or not (velocity.is_floating_point() or velocity.is_complex()):
        return f"is {velocity.dtype}, the parameter {param.dtype}"
    return None


def _groups(ours: list[dict[str, Any]], saved: list[dict[str, Any]], *, load: bool) -> list[dict[str, Any]]:
    """Return our groups with what is loaded; where their number differs, only the counts are."""
    if len(ours) == len(saved):
        return [_merged(group, other, load=load) for group, other in zip(ours, saved, strict=True)]
    counts = {key: saved[0][key] for key in ("step", "skipped") if key in saved[0]}
    return [{**group, **counts} for group in ours]


def _merged(group: dict[str, Any], saved: Mapping[str, Any], *, load: bool) -> dict[str, Any]:
    """Return our group with what is loaded from the saved one."""
    merged = dict(group)
    if load:
        taken = {key: copy.deepcopy(value) for key, value in saved.items() if key not in _OWN_KEYS}
        try:
            for key in map(group_values.schedule_key, group_values.SCHEDULABLE):
                if isinstance(taken.get(key), Mapping):
                    taken[key] = decode_schedule(taken[key], Source("the saved state"), ("param_groups", key))
            for name, value in taken.items():
                own: Any = group.get(name)
                is_number = isinstance(own, Tensor) and own.numel() == 1 and isinstance(value, int | float)
                merged[name] = torch.full_like(own, value, requires_grad=False) if is_number else value
            if "lr_initial" not in taken and merged["lr_schedule"] is None:  # of torch.optim.SGD
                merged |= dict.fromkeys(
                    group_values.REFERENCES, None if "initial_lr" in taken else _own_reference(group)
                )
            group_values.check_group(merged)
            group_values.scalars_of(merged)
            if not isinstance(merged[group_values.GIVEN], Mapping):
                raise SettingsError(f"`{group_values.GIVEN}` must be a table of the optimizer's arguments.")
        except (DownslopeError, TypeError, ValueError) as error:
            raise StateError(f"the state holds hyperparameters that are not allowed: {error}") from None
    else:
        merged.update({key: saved[key] for key in ("step", "skipped") if key in saved})
    if merged["lr_schedule"] is not None:
        merged.pop("initial_lr", None)  # a torch scheduler's mark; here the schedule alone drives lr
    if (
        "param_names" not in merged
        and "param_names" in saved
        and len(saved.get("param_names", ())) == len(group["params"])
    ):
        merged["param_names"] = list(saved["param_names"])
    return merged


def _own_reference(group: Mapping[str, Any]) -> Any:
    """Return the reference of an optimizer's own group: settled already, or the lr that it was made with."""
    return group["lr_initial"] if group["lr_initial"] is not None else group[group_values.GIVEN].get("lr")


def _check_counts(groups: list[dict[str, Any]]) -> None:
    """Raise unless every group has the same counts of steps and skipped steps: there is one of each."""
    for name in ("step", "skipped"):
        counts = [group[name] for group in groups]
        if any(type(count) is not int or count < 0 for count in counts):
            raise StateError(f"`{name}` in the state must be an integer >= 0 in every group; got {counts}.")
        if len(set(counts)) > 1:
            raise StateError(f"the groups of the state disagree about `{name}`: {counts}. It is not one run's state.")


def _check_step_count(groups: list[dict[str, Any]], saved_groups: list[dict[str, Any]], match: _Match) -> None:
    scheduled = [
        name
        for group in groups
        for name in group_values.SCHEDULABLE
        if group[group_values.schedule_key(name)] is not None
    ]
    if scheduled and not all("step" in group for group in saved_groups):
        match.problems.append(
            f"it has no step count, which the schedule of {scheduled[0]} needs (torch.optim.SGD saves none); "
            "load with strict=False and then set optimizer.step_count"
        )


def _changes(before: list[dict[str, Any]], after: list[dict[str, Any]], saved: list[dict[str, Any]]) -> list[str]:
    """Return sentences on the hyperparameters that loading changes, except those that a scheduler moves anyway."""
    sentences: list[str] = []
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        then = saved[index] if len(saved) == len(before) else {}
        for name in group_values.HYPERPARAMETERS:
            schedule = group_values.schedule_key(name)
            if name in group_values.SCHEDULABLE and (old[schedule] is not None or new[schedule] is not None):
                if old[schedule] != new[schedule]:
                    was, now = (g[schedule] if g[schedule] is not None else g[name] for g in (old, new))
                    sentences.append(f"{name} of group {index} from {was!r} to {now!r}")
            elif old[name] != new[name] and not _is_driven(name, old, then):
                sentences.append(f"{name} of group {index} from {old[name]!r} to {new[name]!r}")
    return sentences


def _is_driven(name: str, old: Mapping[str, Any], saved: Mapping[str, Any]) -> bool:
    """Whether a saved value differs only because something drove it: a scheduler, or a trainer that writes to groups.

    We save what the optimizer was made with. torch.optim.SGD does not, but its schedulers leave marks: ``initial_lr``,
    from which they start, and what a cycle runs between.
    """
    given, then = old[group_values.GIVEN], saved.get(group_values.GIVEN)
    if isinstance(then, Mapping):
        return name in given and then.get(name) == given[name]
    if name == "lr":
        starts = [given.get("lr"), old["lr"], old.get("initial_lr", old["lr"])]
        return "max_lr" in saved or ("initial_lr" in saved and saved["initial_lr"] in starts)
    return name == "momentum" and "base_momentum" in saved


def load_planner() -> Any:
    """Return a planner for ``torch.distributed.checkpoint.load`` that takes checkpoints of torch.optim.SGD, and ours.

    Such a checkpoint is read key by key, each asked for by the state that is to be filled. Ours has keys in its groups
    that torch.optim.SGD has not saved, for which the default planner raises. This one leaves exactly these out of the
    state, so that `SGD.load_state_dict` sees what there is: a state of torch.optim.SGD.

    Every other key that is missing is an error, as ever. As with any state of torch.optim.SGD there is no count of
    steps then; if a schedule needs one, loading says so.

    Example:
        >>> import tempfile, torch
        >>> import torch.distributed.checkpoint as dcp
        >>> from downslope.torch import SGD, load_planner
        >>> model = torch.nn.Linear(2, 1)
        >>> theirs = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        >>> model(torch.ones(2)).sum().backward(); theirs.step()
        >>> ours = SGD(model.parameters(), lr=0.1, momentum=0.9)
        >>> ours.step()  # which allocates the velocities to be filled; get_optimizer_state_dict does it by itself
        >>> state = {"optimizer": ours.state_dict()}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = dcp.save({"optimizer": theirs.state_dict()}, checkpoint_id=folder, no_dist=True)
        ...     dcp.load(state, checkpoint_id=folder, planner=load_planner(), no_dist=True)
        >>> ours.load_state_dict(state["optimizer"])
        >>> ours.state[model.weight]["momentum_buffer"]
        tensor([[1., 1.]])
    """
    return _class_of_planners()()


_OPTIONAL = frozenset({"param_names", "ema", group_values.GIVEN, *group_values.NEWER})
"""Keys that a checkpoint of ours may lack, too: of parameters without names, or of an earlier version."""


@cache
def _class_of_planners() -> type:
    # not at the top: importing it takes longer than all the rest, and few need it
    from torch.distributed.checkpoint._nested_dict import flatten_state_dict
    from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner

    class LoadPlanner(DefaultLoadPlanner):
        """torch's planner, but for what our groups have beyond those of torch.optim.SGD."""

        def set_up_planner(self, state_dict: Any, metadata: Any = None, is_coordinator: bool = False) -> None:
            """Leave out of the state what is ours alone and not in the checkpoint."""
            known = {} if metadata is None else metadata.state_dict_metadata
            _, paths = flatten_state_dict(state_dict)
            for name, path in paths.items():
                if name not in known:
                    _leave_out(state_dict, path, known)
            super().set_up_planner(state_dict, metadata, is_coordinator)

    return LoadPlanner


@cache
def _keys_of_ours() -> frozenset[str]:
    """Return the keys of our groups that torch.optim.SGD's lack, or lack where it was made without names."""
    ours = (
        *group_values.HYPERPARAMETERS,
        *map(group_values.schedule_key, group_values.SCHEDULABLE),
        *group_values.REFERENCES,
        group_values.GIVEN,
    )
    own = {*ours, "rounding", "ema", "step", "skipped", "param_names"}
    return frozenset(own - {*torch.optim.SGD([torch.zeros(1)]).param_groups[0]})


def _leave_out(state_dict: Any, path: tuple[Any, ...], saved: Container[str]) -> None:
    """Take one of our own keys, at a path that the checkpoint lacks, out of a group of a nested state."""
    if "param_groups" not in path:
        return
    place = path.index("param_groups") + 2
    home = path[:place]
    is_of_torch = ".".join(map(str, (*home, "step"))) not in saved
    if len(path) > place and path[place] in (_keys_of_ours() if is_of_torch else _OPTIONAL):
        group: Any = state_dict
        for part in home:
            group = group[part]
        group.pop(path[place], None)
