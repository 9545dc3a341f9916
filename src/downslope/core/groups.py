"""Parameter groups by name: which settings apply to which parameter.

How a framework stores its groups is known to that framework's optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from numbers import Real
from types import MappingProxyType
from typing import Any, cast

from downslope.core.checks import Taken
from downslope.core.errors import GroupError, SettingsError, UnorderedError, did_you_mean
from downslope.core.schedules.schedule import Schedule, scaled
from downslope.core.settings import ClipBy, Decay, Settings
from downslope.core.shown import shown
from downslope.core.synonyms import refuses_unknown_fields

BIAS_AND_NORM = "@bias_and_norm"
"""Selects biases and the parameters of normalisation layers: every parameter of at most one dimension, every one
whose last name is `bias`, and every one that the optimizer knows to belong to a normalisation layer."""


@refuses_unknown_fields
@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Settings that differ for some parameters, chosen by name. What is None is as for all the others.

    Attributes:
        match: A pattern or several. `*` stands for any characters (dots too), `?` for one, `[ab]` for a or b;
            "@bias_and_norm" selects biases and normalisation layers. The first group that matches wins. For
            `downslope.torch` it may be a function of (name, parameter) that returns whether it takes that one.
        lr: Learning rate or schedule.
        lr_factor: Factor on the learning rate of all the others, number or schedule; instead of `lr`.
        momentum: Momentum or schedule.
        dampening: Dampening.
        nesterov: Nesterov momentum.
        nu: Quasi-hyperbolic momentum's nu; 1 for plain momentum.
        weight_decay: Weight decay or schedule.
        decay: Way of weight decay.
        lr_in_velocity: Whether lr is inside the velocity.
        undampened_first_step: Whether the first gradient is undampened.
        maximize: Whether to ascend.
        trust_coefficient: Trust coefficient; 0 for no trust ratio, as LARS has it for biases and normalisation layers.
        trust_clip: Whether the trust ratio only lowers lr.
        adaptive_clip: Factor of adaptive clipping; 0 for none.
        adaptive_clip_by: "tensor" or "unit", of what its norms are.
        ema: Decay of the average of these weights; 0 for none.

    Raises:
        GroupError: If `match` is empty or no pattern, or nothing is changed by the group.

    Example:
        >>> from downslope import Group, Settings
        >>> Group(match="*.bias", weight_decay=0.0).apply(Settings(lr=0.1, weight_decay=5e-4)).weight_decay
        0.0
    """

    match: Taken[str | list[str] | tuple[str, ...] | Callable[[Any, Any], bool], str | tuple[str, ...]]
    lr: float | Schedule | None = None
    lr_factor: float | None = None
    momentum: float | Schedule | None = None
    dampening: float | None = None
    nesterov: bool | None = None
    nu: float | None = None
    weight_decay: float | Schedule | None = None
    decay: Decay | None = None
    lr_in_velocity: bool | None = None
    undampened_first_step: bool | None = None
    maximize: bool | None = None
    trust_coefficient: float | None = None
    trust_clip: bool | None = None
    adaptive_clip: float | None = None
    adaptive_clip_by: ClipBy | None = None
    ema: float | None = None

    def __post_init__(self) -> None:
        """Check the patterns; what they match and what they change is checked where it is known."""
        given: Any = self.match
        several = isinstance(given, list | tuple)
        patterns: tuple[Any, ...] = tuple(cast("list[Any]", given)) if several else (given,)
        for pattern in () if callable(given) else patterns or ("",):
            if not isinstance(pattern, str) or not pattern:
                raise GroupError(f'`match` must be a name pattern such as "*.bias", or several; got {given!r}.')
            if pattern.startswith("@") and pattern != BIAS_AND_NORM:
                raise GroupError(f'`match` has one built-in selector, "{BIAS_AND_NORM}"; got {pattern!r}.')
        object.__setattr__(self, "match", patterns if several else given)
        if not self.changes():
            raise GroupError(f"the group {self.match!r} changes nothing. Give it a setting such as weight_decay=0.")
        if self.lr_factor is not None:
            self._check_factor(self.lr_factor)
        if self.ema is not None:
            object.__setattr__(self, "ema", self._checked_ema(self.ema))
        self.apply(
            Settings(momentum=0.5, trust_coefficient=1.0, adaptive_clip=1.0)
        )  # with which every allowed change is allowed

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns, as a tuple.

        Raises:
            GroupError: If a function chooses the parameters.
        """
        if callable(self.match):
            raise GroupError(
                f"the group of the function {getattr(self.match, '__name__', self.match)!s} has no name patterns. "
                "Functions choose parameters for downslope.torch alone; give patterns here."
            )
        return (self.match,) if isinstance(self.match, str) else self.match

    def changes(self) -> dict[str, Any]:
        """Return the settings that this group changes, by name."""
        return {
            field.name: value
            for field in fields(self)
            if field.name != "match" and (value := getattr(self, field.name)) is not None
        }

    def apply(self, settings: Settings) -> Settings:
        """Return `settings` with this group's changes; an average is no part of them, see `ema_of`.

        Raises:
            GroupError: If the result is not allowed.
        """
        try:
            changes = self.resolved(settings.lr).changes()
            changes.pop("ema", None)
            if changes.get("trust_coefficient") == 0:
                changes.setdefault("trust_clip", False)  # of a ratio that there is not
            if changes.get("adaptive_clip") == 0:
                changes.setdefault("adaptive_clip_by", "tensor")
            return replace(settings, **changes)
        except SettingsError as error:
            raise GroupError(f"group {self.match!r}: {error}") from None

    def resolved(self, lr: float | Schedule) -> Group:
        """Return the same group with the learning rate that its factor makes of that of all the others, if it has one.

        Raises:
            SettingsError: If the product is no learning rate.
        """
        return self if self.lr_factor is None else replace(self, lr=scaled(lr, self.lr_factor), lr_factor=None)

    def ema_of(self, common: Any) -> Any:
        """Return the decay of the average of this group's weights; None where none is kept.

        Args:
            common: That of all the others, or None.
        """
        return common if self.ema is None else self.ema or None

    def _checked_ema(self, ema: Any) -> float:
        if not isinstance(ema, bool) and isinstance(ema, Real):
            with suppress(OverflowError):  # of an integer beyond all floats
                if 0 <= (found := float(ema)) < 1:
                    return found
        raise GroupError(
            f"group {self.match!r}: `ema` must be in (0, 1) such as 0.999, or 0 for no average of these weights; got "
            f"{shown(repr(ema))}."
        )

    def _check_factor(self, factor: Any) -> None:
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < math.inf:
            raise GroupError(
                f"group {self.match!r}: `lr_factor` must be above 0 and finite, such as 0.1; got {factor!r}. "
                "lr = 0 keeps parameters from being learned."
            )
        if self.lr is not None:
            raise GroupError(f"group {self.match!r}: `lr` and `lr_factor` both say its learning rate. Give one.")

    def in_steps(self, steps_per_epoch: int) -> Group:
        """Return the same group with every schedule in steps.

        Args:
            steps_per_epoch: Steps in one epoch, >= 1.
        """
        schedules = {name: value for name, value in self.changes().items() if isinstance(value, Schedule)}
        return replace(self, **{name: value.in_steps(steps_per_epoch) for name, value in schedules.items()})


def chosen_by(
    patterns: Sequence[str], shapes: Mapping[str, tuple[int, ...]], norm_names: Collection[str], where: str
) -> list[str]:
    """Return the names that one of the patterns matches, in order; `where` says in errors whose patterns they are.

    Raises:
        GroupError: If a pattern matches nothing.

    Example:
        >>> chosen_by(["dense*"], {"dense1.bias": (4,), "logits.bias": (2,)}, (), "train.freeze")
        ['dense1.bias']
    """
    for pattern in patterns:
        if pattern.startswith("@") and pattern != BIAS_AND_NORM:
            raise GroupError(f'{where}: has one built-in selector, "{BIAS_AND_NORM}"; got {pattern!r}.')
        if not any(_matches(pattern, name, shape, norm_names) for name, shape in shapes.items()):
            raise GroupError(
                f"{where}: {pattern!r} matches no parameter.{did_you_mean(pattern, shapes)} "
                f"The parameters are: {', '.join(shapes) or '(none)'}."
            )
    return [n for n, shape in shapes.items() if any(_matches(pattern, n, shape, norm_names) for pattern in patterns)]


def check_listed(groups: Any) -> None:
    """Raise `GroupError` if what should be a list of groups is none, such as None."""
    if not isinstance(groups, Iterable) or isinstance(groups, str):
        raise GroupError(
            f"`groups` must be a list of downslope.Group; got {shown(repr(groups))}. For no groups leave it out, or "
            "give ()."
        )


def assign_groups(
    groups: Sequence[Group],
    shapes: Mapping[str, tuple[int, ...]],
    norm_names: Collection[str] = (),
    wrapped: Mapping[str, str] = MappingProxyType({}),
) -> list[list[str]]:
    """Return the names of each group's parameters, and of those that no group matches.

    Args:
        groups: The groups; the first that matches a name wins.
        shapes: Shape of every parameter, by name, in order.
        norm_names: Names known to belong to normalisation layers.
        wrapped: Other names of the same parameters, as wrappers have them, that a pattern may match as well.

    Returns:
        len(groups) + 1 lists of names, each in the order of `shapes`; the last holds the unmatched.

    Raises:
        GroupError: If a pattern matches nothing, a group gets nothing because earlier ones took it all, a name is no
            text, or the groups are in a set, so that which is first is another in every run.
    """
    check_listed(groups)
    if isinstance(groups, set | frozenset):
        raise UnorderedError("`groups` must be a list: the first that matches a name wins, and a set has no first.")
    called: list[Any] = [*shapes] if groups else []
    nameless = [name for name in called if not isinstance(name, str)]
    if nameless:
        raise GroupError(
            f"`groups` match parameters by name, and the name {shown(repr(nameless[0]))} is no text. Give names such "
            f"as {shown(repr(str(nameless[0])))}."
        )
    assigned: list[list[str]] = [[] for _ in range(len(groups) + 1)]
    used: set[tuple[int, str]] = set()
    for name, shape in shapes.items():
        home = len(groups)
        for index, group in enumerate(groups):
            names = {name, wrapped.get(name, name)}
            matching = [p for p in group.patterns if any(_matches(p, own, shape, norm_names) for own in names)]
            used.update((index, pattern) for pattern in matching)
            if matching and home == len(groups):
                home = index
        assigned[home].append(name)
    for index, group in enumerate(groups):
        for pattern in group.patterns:
            if (index, pattern) not in used:
                raise GroupError(
                    f"group pattern {pattern!r} matches no parameter.{did_you_mean(pattern, shapes)} "
                    f"The parameters are: {', '.join(shapes) or '(none)'}."
                )
        if not assigned[index]:
            raise GroupError(
                f"group {group.match!r} gets no parameter: earlier groups match all of its own, and the first match "
                "wins. Put the more specific group first."
            )
    return assigned


def _matches(pattern: str, name: str, shape: tuple[int, ...], norm_names: Collection[str]) -> bool:
    if pattern == BIAS_AND_NORM:
        return len(shape) <= 1 or name.rsplit(".", 1)[-1] == "bias" or name in norm_names
    return fnmatchcase(name, pattern)
