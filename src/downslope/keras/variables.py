"""Which settings apply to which variable: groups by path, and what is excluded from weight decay."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from downslope.core.errors import GroupError, SettingsError, did_you_mean
from downslope.core.groups import Group, assign_groups, check_listed
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.core.shown import shown
from downslope.core.tables import Source, decode, to_table

_BIAS_AND_NORM = frozenset({"bias", "beta", "gamma"})
"""Last names that Keras gives to biases and to the parameters of normalisation layers."""


@dataclass(frozen=True)
class VariableRule:
    """What applies to one variable.

    Attributes:
        settings: Its settings; where it follows the optimizer's learning rate, `settings.lr` is what that was at first.
        own_lr: Whether its group has a learning rate of its own.
    """

    settings: Settings
    own_lr: bool

    @property
    def has_velocity(self) -> bool:
        """Whether anything ever reads a velocity: unless momentum is the number 0."""
        return isinstance(self.settings.momentum, Schedule) or self.settings.momentum != 0

    @property
    def counts_gradients(self) -> bool:
        """Whether the first gradient is treated unlike the others."""
        return self.settings.dampening != 0 and self.settings.undampened_first_step


@dataclass(frozen=True)
class Exclusion:
    """Which variables weight decay leaves alone.

    Attributes:
        keys: Keys of variables, as the optimizer makes them.
        paths: Their paths, which outlive the process.
        patterns: Regular expressions that are looked for in a variable's name and path.
    """

    keys: frozenset[Any] = frozenset()
    paths: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the patterns."""
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except (TypeError, re.error) as error:
                raise GroupError(
                    f"`var_names` must be regular expressions such as 'bias'; got {pattern!r} ({error})."
                ) from None

    def covers(self, key: Any, name: str) -> bool:
        """Return whether a variable is excluded."""
        by_identity = key in self.keys if self.keys else any(map(partial(_ends_in, name=name), self.paths))
        return by_identity or any(_is_found(pattern, name) for pattern in self.patterns)

    def check_found(self, keys: Sequence[Any], names: Sequence[str]) -> None:
        """Raise `GroupError` if an excluded variable is not among those of these keys and names."""
        missing = [path for path in self.paths if not any(_ends_in(path, name) for name in names)]
        if not missing and not self.keys <= set(keys):
            missing = list(self.paths)  # another model's, of the same name
        if missing:
            raise GroupError(
                f"{missing[0]!r}, to be excluded from weight decay, is no variable of this optimizer."
                f"{did_you_mean(missing[0], names)} The variables are: {', '.join(names)}."
            )
        idle = [pattern for pattern in self.patterns if not any(_is_found(pattern, name) for name in names)]
        if idle:
            raise GroupError(
                f"the pattern {shown(repr(idle[0]))} of `var_names`, to be excluded from weight decay, is found in no "
                f"variable of this optimizer.{did_you_mean(idle[0], names)} "
                f"The variables are: {shown(', '.join(names), 2000)}."
            )

    def to_config(self) -> dict[str, list[str]]:
        """Return the exclusion as plain lists: paths and patterns."""
        return {"paths": list(self.paths), "names": list(self.patterns)}


def _is_found(pattern: str, name: str) -> bool:
    return bool(re.search(pattern, name) or re.search(pattern, name.rsplit("/", 1)[-1]))


def path_of(variable: Any) -> str:
    """Return what to call a variable: its path such as "dense/kernel", or a backend's own name."""
    return str(getattr(variable, "path", None) or variable.name)


def names_of(variables: Sequence[Any]) -> list[str]:
    """Return the names of an optimizer's variables: their paths, without the names of models around all of them.

    Keras puts a Sequential model's own name in front of its variables' paths, but not when it loads the same model.
    """
    parts = [path_of(variable).split("/") for variable in variables]
    while parts and all(len(names) > 2 and names[0] == parts[0][0] for names in parts):
        parts = [names[1:] for names in parts]
    return ["/".join(names) for names in parts]


def check_gradients(grads: Sequence[Any], variables: Sequence[Any]) -> None:
    """Raise if gradients are not one for each variable and of its shape: a smaller one would be spread over it.

    Raises:
        SettingsError: Before anything moves, as far as shapes are known: a compiled graph may leave dimensions open.
    """
    if len(grads) != len(variables):
        raise SettingsError(
            f"got {len(grads)} gradients for {len(variables)} variables. Give one for each, None where it has none."
        )
    for grad, variable in zip(grads, variables, strict=True):
        shape = getattr(grad, "shape", None)
        if shape is None or shape == variable.shape or getattr(shape, "rank", 0) is None:
            continue
        known = [m if n is None else n for n, m in zip(shape, variable.shape, strict=False)]
        if len(shape) != len(variable.shape) or known != list(variable.shape):
            raise SettingsError(
                f"the gradient of `{path_of(variable)}` has shape {tuple(shape)}, the variable "
                f"{tuple(variable.shape)}. They must be equal."
            )


def _ends_in(path: str, name: str) -> bool:
    return f"/{path}".endswith(f"/{name}")


def rules_of(
    variables: Sequence[Any],
    settings: Settings,
    groups: Sequence[Group],
    exclusion: Exclusion,
    key_of: Callable[[Any], Any],
) -> tuple[VariableRule, ...]:
    """Return what applies to each variable.

    Raises:
        GroupError: If a pattern matches nothing, or an excluded variable is not among these.
    """
    paths = names_of(variables)
    shapes: dict[str, tuple[int, ...]] = {}
    for path, variable in zip(paths, variables, strict=True):
        shape = tuple(variable.shape)
        if groups and len(shapes.setdefault(path, shape)) != len(shape):
            raise GroupError(
                f"two variables of different rank are called {path!r}, and `groups` go by name. Name their layers."
            )
        shapes[path] = shape
    by_name = {path for path in paths if path.rsplit("/", 1)[-1] in _BIAS_AND_NORM}
    home = {path: i for i, names in enumerate(assign_groups(groups, shapes, by_name)) for path in names}
    rules: list[VariableRule] = []
    same: dict[VariableRule, VariableRule] = {}
    keys = [key_of(variable) for variable in variables]
    for path, key in zip(paths, keys, strict=True):
        group = groups[home[path]] if home[path] < len(groups) else None
        own = settings if group is None else group.apply(settings)
        if exclusion.covers(key, path):
            own = replace(own, weight_decay=0.0)
        rule = VariableRule(own, own_lr=group is not None and (group.lr is not None or group.lr_factor is not None))
        rules.append(same.setdefault(rule, rule))
    exclusion.check_found(keys, paths)
    return tuple(rules)


def groups_to_config(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return groups as plain tables, those of a recipe."""
    return [to_table(group) for group in groups]


def groups_from_config(groups: Sequence[Group | Mapping[str, Any]]) -> tuple[Group, ...]:
    """Return groups, of which some may be plain tables.

    Raises:
        GroupError: If one is neither.
    """
    check_listed(groups)
    made: list[Group] = []
    for index, group in enumerate(groups):
        if isinstance(group, Mapping):
            made.append(decode(Group, dict(group), Source("the saved configuration"), ("groups", str(index))))
        elif isinstance(group, Group):
            made.append(group)
        else:
            raise GroupError(f"`groups` must be a list of downslope.Group; got {group!r}.")
    return tuple(made)
