"""What an optimizer is given: parameters, their names, and groups that are chosen by name or by a function."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from downslope.core.errors import GroupError, SettingsError, UnorderedError
from downslope.core.groups import BIAS_AND_NORM, Group, assign_groups, check_listed
from downslope.core.parameter_names import prefix_of_wrappers, without_wrappers
from downslope.core.shown import shown

Groups = Sequence[Group | Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]
"""Groups as they may be given: objects, dictionaries with "match", or one dictionary from a pattern to its settings."""


def param_groups(model: nn.Module, groups: Groups) -> list[dict[str, Any]]:
    """Return the groups of a model's parameters as dictionaries that any torch optimizer takes.

    For trainers that want groups rather than an optimizer. Each has "params" (tensors), "param_names", and what its
    group changes; the last holds the parameters that no group matches, and changes nothing. What a group
    states has to be something that the optimizer knows: `downslope.torch.SGD` knows all of it, torch.optim.SGD numbers.

    Args:
        model: The module, wrapped or not; names are those of the bare one.
        groups: `Group`s, dictionaries with "match", or one dictionary from a pattern to its settings.

    Raises:
        GroupError: If a pattern matches nothing, or a group gets nothing.
        SettingsError: If `model` is no module.

    Example:
        >>> import torch
        >>> from downslope.torch import param_groups
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
        >>> [len(group["params"]) for group in param_groups(model, {"@bias_and_norm": {"weight_decay": 0.0}})]
        [3, 1]
    """
    if not isinstance(model, nn.Module):
        raise SettingsError(f"`model` must be a torch.nn.Module, whose parameters have names; got {_kind(model)}.")
    found, _ = parameters_of(model, groups)
    return [
        {
            **group,
            "params": [param for _, param in group["params"]],
            "param_names": [name for name, _ in group["params"]],
        }
        for group in (found if groups else [{"params": found}])
    ]


def parameters_of(params: Any, groups: Groups, model: nn.Module | None = None, *, lr: Any = None) -> tuple[Any, str]:
    """Return what torch's Optimizer takes (tensors, named tensors, or dictionaries), and what stood before all names.

    Parameters are tensors, (name, tensor) pairs or dictionaries, or those of a module. Names come without what wrappers
    put into them; a pattern may match a name with it or without. `lr` is what a group's factor multiplies.

    Raises:
        SettingsError: If that is not known, or a tensor, which a product would not follow.
        GroupError: If there are groups, and the parameters have no names or are grouped already; or if `model` does not
            have one of them.
    """
    norm_names: set[str] = set()
    if isinstance(params, nn.Module):
        norm_names = norm_parameter_names(params)
        params = params.named_parameters()
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        items: list[Any] = [params]
    else:
        params = items = [_listed(item) for item in in_order(params)]
        if groups and all(_is_group(item) and set(item) <= {"params", "param_names"} for item in items):
            params = items = [each for item in items for each in item["params"]]  # as skorch and timm pass them
    if model is not None:
        params = items = named_by(model, items)
        norm_names |= norm_parameter_names(model)
    names = [name for item in items for name in _names_in(item)]
    around = prefix_of_wrappers(names)
    bare = dict(zip(names, without_wrappers(names, around), strict=True))
    if bare and all(name == own for name, own in bare.items()):
        around = ""
    given = _as_groups(groups)
    if not given:
        return ([_renamed(item, bare) for item in items], around) if bare else (params, "")
    if any(isinstance(item, dict) for item in items):
        raise GroupError(
            "`groups` and parameters in groups of your own exclude each other. Pass the module itself or "
            "model.named_parameters(), or put the settings into your dictionaries; where a trainer asks for the "
            "groups, downslope.torch.param_groups(model, groups) returns them."
        )
    is_named = all(isinstance(item, tuple) and len(item) == 2 for item in items)
    if is_named:
        check_distinct(items, ())
        tensors: dict[str, Any] = dict(_renamed(item, bare) for item in items)
    else:
        _check_nameless(given)
        tensors = {f"parameter {place}": param for place, param in enumerate(items)}
    own = [_by_name(group, tensors, is_named) for group in given]
    shapes = {name: tuple(p.shape) for name, p in tensors.items()}
    bare_norms = {bare.get(name, name) for name in norm_names}
    assigned = assign_groups(own, shapes, bare_norms, {inner: name for name, inner in bare.items()})
    return [
        {
            "params": [(name, tensors[name]) if is_named else tensors[name] for name in names],
            **(_changes(own[i], lr) if i < len(own) else {}),
        }
        for i, names in enumerate(assigned)
        if names
    ], around


def _changes(group: Group, lr: Any) -> dict[str, Any]:
    if group.lr_factor is not None and (lr is None or isinstance(lr, Tensor)):
        what = "not known here" if lr is None else "a tensor"
        raise SettingsError(f"`lr_factor` multiplies a number or a schedule, and lr is {what}. Give the group an lr.")
    changes = group.resolved(lr).changes()
    return changes | {"ema": group.ema_of(None)} if "ema" in changes else changes


def named_by(model: nn.Module, items: Sequence[Any]) -> list[Any]:
    """Return parameters, or groups of them, with the names that a model has for them; names of their own stay.

    Raises:
        SettingsError: If `model` is no module.
        GroupError: If it does not have one of them.
    """
    if not isinstance(model, nn.Module):
        raise SettingsError(f"`model` must be the torch.nn.Module that the parameters are of; got {_kind(model)}.")
    names = {id(param): name for name, param in reversed([*model.named_parameters(remove_duplicate=False)])}

    def named(item: Any, place: int) -> Any:
        if _is_group(item):
            return {**item, "params": [named(each, index) for index, each in enumerate(item["params"])]}
        if not isinstance(item, Tensor):
            return item
        if id(item) not in names:
            raise GroupError(
                f"parameter {place}, of shape {tuple(item.shape)}, is none of `model`, a {type(model).__name__}. "
                "Pass the model that the parameters come from."
            )
        return names[id(item)], item

    return [named(item, place) for place, item in enumerate(items)]


def norm_parameter_names(module: nn.Module) -> set[str]:
    """Return the names of parameters that lie directly in a layer whose class name contains "Norm"."""
    return {
        f"{path}.{name}" if path else name
        for path, layer in module.named_modules()
        if "norm" in type(layer).__name__.lower()
        for name, _ in layer.named_parameters(recurse=False)
    }


def _as_groups(groups: Any) -> list[Group]:
    """Return groups as objects, whichever of the three ways they were given.

    Raises:
        GroupError: If one is none; or if they are in a set.
        SettingsError: If a setting is not allowed.
    """
    check_listed(groups)
    if isinstance(groups, set | frozenset):
        raise UnorderedError("`groups` must be a list: the first that matches a name wins, and a set has no first.")
    if isinstance(groups, Mapping):
        if "match" in groups:
            return _as_groups([groups])
        groups = [{"match": match, **_settings_of(match, settings)} for match, settings in groups.items()]
    found: list[Group] = []
    for group in groups:
        if isinstance(group, Mapping):
            if "match" not in group:
                raise GroupError(f'a group needs "match", the pattern that chooses its parameters; got {shown(group)}.')
            found.append(Group(**group))
        elif isinstance(group, Group):
            found.append(group)
        else:
            raise GroupError(
                f"a group must be a downslope.Group, or a dictionary such as "
                f'{{"match": "*.bias", "weight_decay": 0.0}}; got {shown(repr(group))}.'
            )
    return found


def _settings_of(match: Any, settings: Any) -> Mapping[str, Any]:
    if isinstance(settings, Mapping):
        return settings
    raise GroupError(
        f"the group {shown(repr(match))} must have a dictionary of settings, such as "
        f'{{"weight_decay": 0.0}}; got {shown(repr(settings))}.'
    )


def _by_name(group: Group, tensors: Mapping[str, Tensor], is_named: bool) -> Group:
    """Return a group that a function chooses as one of the names that it chose."""
    choose: Any = group.match
    if not callable(choose):
        return group
    chosen = [name for name, param in tensors.items() if _answer(choose, name if is_named else None, param)]
    if not chosen:
        raise GroupError(f"the function {_called(choose)} of a group chooses no parameter.")
    return replace(group, match=tuple(map(_exactly, chosen)))


def _answer(choose: Callable[[str | None, Tensor], Any], name: str | None, param: Tensor) -> bool:
    answer = choose(name, param)
    if not isinstance(answer, bool):
        raise GroupError(
            f"the function {_called(choose)} of a group must return True or False for (name, parameter); "
            f"it returned {shown(repr(answer))} for {shown(repr(name))}."
        )
    return answer


def _exactly(name: str) -> str:
    """Return the pattern that matches one name alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _check_nameless(groups: Sequence[Group]) -> None:
    """Raise if one of the groups asks for names."""
    for group in groups:
        if not callable(group.match) and set(group.patterns) != {BIAS_AND_NORM}:
            raise GroupError(
                f"`groups` match parameters by name, and these have none; the group {group.match!r} needs them. Pass "
                "the module itself or model.named_parameters(), not model.parameters(); or, where a trainer passes the "
                f'parameters, the module beside them as model=. Without names there is "{BIAS_AND_NORM}", which then '
                "takes parameters of at most one dimension, and functions of (None, parameter)."
            )


def in_order(params: Any) -> list[Any]:
    """Return parameters as a list.

    Raises:
        UnorderedError: If they have no order that is the same in the next run, as torch refuses them within a group.
    """
    if isinstance(params, set | frozenset | weakref.WeakSet):
        raise UnorderedError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
            f"will change between runs; got a {type(params).__name__}. Please use a list instead."
        )
    return list(params)


def with_names(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return a group whose "param_names" stand beside its tensors with pairs of both instead, as torch takes them.

    Raises:
        GroupError: If there are more of the one than of the other.
    """
    params, names = group.get("params"), group.get("param_names")
    if names is None or params is None or isinstance(params, Tensor) or isinstance(names, str):
        return {**group}
    params, names = in_order(params), list(names)
    if (not params and not names) or any(isinstance(item, tuple) for item in params):
        return {**group, "params": params}
    if len(params) != len(names):
        raise GroupError(f"a group has {len(params)} parameters and {len(names)} names in `param_names`.")
    others = {key: value for key, value in group.items() if key not in ("params", "param_names")}
    return {"params": list(zip(names, params, strict=True)), **others}


def with_bare_names(params: list[Any], others: Sequence[Mapping[str, Any]], around: str) -> list[Any]:
    """Return a new group's parameters, their names without what wrappers put in."""
    names = [name for name, _ in map(_name_and_param, params)]
    if not names or not all(isinstance(name, str) for name in names):
        return params
    bare = without_wrappers(map(str, names), around)
    if set(bare) & {name for other in others for name in other.get("param_names", ())}:
        return params  # it would stand for two
    return [(name, param) for name, (_, param) in zip(bare, map(_name_and_param, params), strict=True)]


def check_distinct(params: Sequence[Any], others: Sequence[Mapping[str, Any]]) -> None:
    """Raise if a parameter is in another group already, or a name stands for two parameters.

    A parameter given twice within one group, such as a tied weight, is stepped twice, and torch warns of it.
    """
    homes = {id(param): index for index, other in enumerate(others) for param in other["params"]}
    names: dict[Any, Any] = {name: None for other in others for name in other.get("param_names", ())}
    for place, (name, param) in enumerate(map(_name_and_param, params)):
        if id(param) in homes:
            what = f"`{shown(name)}`" if name else f"parameter {place}"
            raise GroupError(
                f"param group {len(others)}: {what} is given twice; it is in "
                f"group {homes[id(param)]} already. Each parameter belongs to one group."
            )
        if name is not None and names.get(name, param) is not param:
            raise GroupError(
                f"two parameters are called `{shown(name)}`; states are loaded by name, so names must differ. "
                "Prefix them, as in [(f'actor.{name}', p) for name, p in actor.named_parameters()]."
            )
        names[name] = param


def _name_and_param(item: Any) -> tuple[Any, Any]:
    return item if isinstance(item, tuple) and len(item) == 2 else (None, item)


def _listed(item: Any) -> Any:
    """Return a group with its parameters as a list, which can be read more than once; anything else as it is."""
    if not isinstance(item, dict) or isinstance(item.get("params", ()), Tensor):
        return item
    item = with_names(item)
    return {**item, "params": in_order(item["params"])} if "params" in item else item


def _is_group(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("params"), list)


def _names_in(item: Any) -> list[str]:
    """Return the names in one item of an optimizer's parameters: a named tensor, or a group of them."""
    named = map(_name_and_param, item["params"] if _is_group(item) else [item])
    return [name for name, _ in named if isinstance(name, str)]


def _renamed(item: Any, names: Mapping[str, str]) -> Any:
    """Return such an item with other names."""
    if _is_group(item):
        return {**item, "params": [_renamed(each, names) for each in item["params"]]}
    name, param = _name_and_param(item)
    return (names[name], param) if isinstance(name, str) else item


def _called(function: Any) -> str:
    return getattr(function, "__name__", repr(function))


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"
