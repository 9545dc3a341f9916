"""`ScheduleFreeSGD`: schedule-free SGD for PyTorch, in the place of ``schedulefree.SGDScheduleFree``.

The step is that of `SGD` with other coefficients (`core/schedule_free.py`), so that formats, threads, groups and states
are its own. Here are the two points that the parameters may be at, and what the average needs to be kept.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from operator import itemgetter
from typing import Any, Literal

import torch
from torch import Tensor, nn

from downslope.core.checks import as_float
from downslope.core.errors import SettingsError, StateError
from downslope.core.rule import StepScalars
from downslope.core.schedule_free import (
    Average,
    ScheduleFree,
    evaluation_point,
    scalars_of_average,
    training_point,
    warmed_up,
)
from downslope.torch import group_values
from downslope.torch.blocks import CODES, INT8, SCALES, VELOCITY, decoded, encoded, is_worth_codes
from downslope.torch.options import LossScale, OnNonfinite, Rounding, refuse_others
from downslope.torch.parameters import Groups
from downslope.torch.sgd import SGD
from downslope.torch.tensors import local_part

TRAINED = "y"
"""Key of a parameter's state while the parameter is at x: its training point, whose very bits `train` gives back."""
_THEIRS = "z"
"""Key of a state of the reference implementation, which keeps z where we keep z - y."""
_SHARED = ("lr", "momentum", "weight_decay", "maximize")
_OF_SGD_ALONE = tuple(name for name in group_values.HYPERPARAMETERS if name not in _SHARED)
_OWN = ("warmup_steps", "r", "weight_lr_power")
_get_checked = itemgetter("momentum", "ema", *_OWN, *_OF_SGD_ALONE)
_NO_AVERAGES: tuple[int, dict[int, tuple[Average, float]]] = (-2, {})
"""The step that averages are of, and by group's index the average after it and its lr; none at the start."""
_OWN_AVERAGE = (
    "schedule-free SGD keeps no `ema`: what is evaluated is an average of the weights already. Leave ema out, and read "
    "the average by optimizer.eval(), or within `with optimizer.evaluating()`."
)
OF_AVERAGES = ("weight_sum", "largest_lr", "scheduled_lr", "train_mode")
"""Keys of a group that say how far its average has come, and which point its parameters are at."""


class ScheduleFreeSGD(SGD):
    """Schedule-free SGD: a drop-in for ``schedulefree.SGDScheduleFree``.

    While training, the model's parameters are y, at which gradients are taken; what is to be evaluated and kept is x,
    the average. `train` and `eval` move the parameters between the two, and the optimizer begins at evaluation, as the
    reference implementation does: call ``optimizer.train()`` beside ``model.train()``.

    A state is ours: z - y for each parameter, which `load_state_dict` makes of the reference's z, and
    `reference_state_dict` back. Statistics of batch normalisation are those of y; with x, run some batches forward.

    Args:
        params: As for `SGD`.
        lr: Learning rate, a number or a one-element tensor; larger than SGD's, and not to be lowered.
        momentum: b, how far y lies towards the average, in (0, 1).
        weight_decay: Strength of weight decay, at y.
        warmup_steps: Steps of a linear warmup.
        r: Power of the step in the weights of the average.
        weight_lr_power: Power of the largest lr so far in them.
        foreach: As for `SGD`.
        maximize: Whether to ascend.
        fused: As for `SGD`.
        settings: A `ScheduleFree` instead of numbers one by one.
        groups: As for `SGD`; each has an average of its own, weighed by its own lr.
        model: As for `SGD`.
        clip_norm: As for `SGD`.
        on_nonfinite: As for `SGD`; a step that is skipped does not count in the average either.
        velocity_dtype: Format of z - y.
        rounding: As for `SGD`.
        rounding_seed: As for `SGD`.
        step_in_backward: As for `SGD`.

    There is no `capturable`: the weights of the average are added up on the host. Nor is there `differentiable`, nor
    `ema`: what is evaluated is an average already.

    Raises:
        SettingsError: If a value is not allowed, or there is no such argument.
        GroupError: As for `SGD`.

    Example:
        >>> import torch
        >>> from downslope.torch import ScheduleFreeSGD
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = ScheduleFreeSGD(model.named_parameters(), lr=1.0, warmup_steps=10)
        >>> optimizer.train()
        >>> model(torch.ones(2)).sum().backward()
        >>> optimizer.step()
        >>> with optimizer.evaluating():
        ...     _ = model(torch.ones(2))
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        momentum: float = 0.9,
        weight_decay: Any = 0,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        fused: bool | None = None,
        settings: ScheduleFree | None = None,
        groups: Groups = (),
        model: nn.Module | None = None,
        clip_norm: float | None = None,
        on_nonfinite: OnNonfinite = "ignore",
        velocity_dtype: torch.dtype | Literal["int8"] | None = None,
        rounding: Rounding = "nearest",
        rounding_seed: int = 0,
        step_in_backward: bool = False,
        **unknown: Any,
    ) -> None:
        if "ema" in unknown:
            raise SettingsError(_OWN_AVERAGE)
        refuse_others(unknown, _ARGUMENTS, "downslope.torch.ScheduleFreeSGD")
        own = {"warmup_steps": warmup_steps, "r": r, "weight_lr_power": weight_lr_power}
        given = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "maximize": maximize, **own}
        if settings is not None:
            given = _numbers_of(settings, given)
        _check(given)
        self._own_defaults = {name: given.pop(name) for name in _OWN}
        super().__init__(
            params,
            **given,
            foreach=foreach,
            fused=fused,
            groups=groups,
            model=model,
            clip_norm=clip_norm,
            on_nonfinite=on_nonfinite,
            velocity_dtype=velocity_dtype,
            rounding=rounding,
            rounding_seed=rounding_seed,
            step_in_backward=step_in_backward,
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, whose average begins with its first step; the count of steps, for the warmup, is the others'.

        Raises:
            SettingsError: If a value is not allowed, or is one of SGD's that the method does not have.
            GroupError: As for `SGD`.
        """
        if isinstance(param_group, dict):
            mode = self.param_groups[0]["train_mode"] if self.param_groups else False
            counted = {"weight_sum": 0.0, "largest_lr": 0.0, "scheduled_lr": 0.0, "train_mode": mode}
            param_group = {**param_group, **counted}
            _check({**self.defaults, **param_group}, f"param group {len(self.param_groups)}: ")
        super().add_param_group(param_group)

    def _check_has_averages(self, what: str) -> None:
        raise StateError(_OWN_AVERAGE)

    # The two points

    @property
    def is_training(self) -> bool:
        """Whether the parameters are at y, where steps are taken, and not at x."""
        return bool(self.param_groups[0]["train_mode"])

    @torch.no_grad()
    def train(self) -> None:
        """Move the parameters to y, at which the model is trained; to the very bits that `eval` left.

        A parameter that was changed since then is taken for a new x.
        """
        self._take_up_theirs()
        for group, param, velocity in self._moved():
            if not group["train_mode"]:
                trained = self.state[param].pop(TRAINED, None)
                if trained is None or not _are_same(_between(trained, velocity, group, "x"), param):
                    trained = _between(param, velocity, group, "y")
                param.copy_(trained)
        self._set_mode(training=True)

    @torch.no_grad()
    def eval(self) -> None:
        """Move the parameters to x, at which the model is evaluated, used and kept."""
        self._take_up_theirs()
        if self._in_backward is not None:
            self._in_backward.check_closed("move the parameters to x")
        for group, param, velocity in self._moved():
            if group["train_mode"]:
                self.state[param][TRAINED] = param.detach().clone()
                param.copy_(_between(param, velocity, group, "x"))
        self._set_mode(training=False)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Have the parameters at x within this context, and afterwards where they were, bit for bit."""
        was_training = self.is_training
        self.eval()
        try:
            yield
        finally:
            if was_training:
                self.train()

    @torch.no_grad()
    def evaluation_weights(self) -> list[Tensor]:
        """Return x of every parameter, in the order of the groups, as new tensors; no parameter moves."""
        self._take_up_theirs()
        found = {
            id(param): _between(param, velocity, group, "x")
            for group, param, velocity in self._moved()
            if group["train_mode"]
        }
        params = [param for group in self.param_groups for param in group["params"]]
        return [found[id(param)] if id(param) in found else param.detach().clone() for param in params]

    def _moved(self) -> Iterator[tuple[dict[str, Any], Tensor, Tensor]]:
        """Yield (group, parameter, z - y) of every parameter that a step has moved."""
        for group in self.param_groups:
            for param in dict.fromkeys(group["params"]):
                if (velocity := velocity_in(self.state.get(param, {}))) is not None:
                    yield group, param, velocity

    def _set_mode(self, *, training: bool) -> None:
        for group in self.param_groups:
            group["train_mode"] = training

    # The step

    def step_scalars(self) -> list[StepScalars]:
        """Return the scalars of this step by group.

        Raises:
            StateError: If the parameters are at x.
        """
        if not all(group["train_mode"] for group in self.param_groups):
            raise StateError(
                "the parameters are at x, the average, where no step is taken. Call optimizer.train() before training, "
                "beside model.train(), and optimizer.eval() before evaluating, beside model.eval()."
            )
        self._take_up_theirs()
        self._averages = self.param_groups[0]["step"], {}
        return super().step_scalars()

    def count_step(self) -> None:
        """Count a step that was done, in the averages too."""
        super().count_step()
        self._count_in_averages()

    def _step(self, grad_scale: float | LossScale = 1.0) -> None:
        if isinstance(grad_scale, LossScale):  # whether a step counts decides what the next one's average is
            grad_scale = grad_scale.on_host()
        super()._step(grad_scale)
        self._count_in_averages()

    def _scalars(self, index: int, group: dict[str, Any]) -> StepScalars:
        common = super()._scalars(index, group)
        values = _get_checked(group)
        if values != self._checked.get(index):
            _check(group, f"param group {index}: ")
            self._checked[index] = values
        lr = warmed_up(common.lr, group["step"], group["warmup_steps"])
        before = Average(group["weight_sum"], group["largest_lr"])
        average, after = before.after(group["step"], lr, r=group["r"], weight_lr_power=group["weight_lr_power"])
        self._averages[1][index] = after, lr
        return scalars_of_average(common, lr, average)

    def _count_in_averages(self) -> None:
        """Take up the averages of the step that was just counted; once, whoever calls."""
        step, averages = self._averages
        # one that steps a single parameter within the backward pass has none of its own
        if self.param_groups[0]["step"] != step + 1 or len(averages) != len(self.param_groups):
            return
        self._averages = _NO_AVERAGES
        for group, (after, lr) in zip(self.param_groups, averages.values(), strict=True):
            group["weight_sum"], group["largest_lr"], group["scheduled_lr"] = after.weight_sum, after.largest_lr, lr

    def _forget_plans(self) -> None:
        super()._forget_plans()
        self._averages = _NO_AVERAGES
        self._checked: dict[int, tuple[Any, ...]] = {}

    # States

    def state_dict(self) -> dict[str, Any]:
        """Return the state; at x it holds y too, so that training goes on from it bit for bit."""
        self._take_up_theirs()
        return super().state_dict()

    def load_state_dict(
        self,
        state_dict: dict[str, Any],
        strict: bool = True,
        *,
        hyperparameters: Literal["load", "keep"] = "load",
    ) -> None:
        """Load a state of this optimizer, or of ``schedulefree.SGDScheduleFree``; as `SGD.load_state_dict`.

        With the state the optimizer is at the point, y or x, at which it was saved, and the model's parameters have to
        be those saved with it, before or after this call. The reference's z becomes z - y with the first step, `train`
        or `eval` that follows, in the format that is kept here.

        Raises:
            StateError: If something does not fit, or it is a state of SGD, whose velocities are no such difference.
        """
        state_dict = _as_ours(state_dict, self.param_groups, keep=hyperparameters == "keep")
        super().load_state_dict(state_dict, strict, hyperparameters=hyperparameters)
        saved: list[Mapping[str, Any]] = state_dict["param_groups"]
        for group, other in zip(self.param_groups, saved, strict=len(saved) == len(self.param_groups)):
            group.update({name: other[name] for name in OF_AVERAGES})

    def reference_state_dict(self) -> dict[str, Any]:
        """Return the state as ``schedulefree.SGDScheduleFree`` saves and loads it, with z.

        z is rounded to the parameter's format; what rounding had dropped and counts of skipped steps stay behind.

        Example:
            >>> import torch
            >>> from downslope.torch import ScheduleFreeSGD
            >>> param = torch.nn.Parameter(torch.ones(1))
            >>> optimizer = ScheduleFreeSGD([param], lr=0.5)
            >>> optimizer.train()
            >>> param.grad = torch.ones(1)
            >>> optimizer.step()
            >>> state = optimizer.reference_state_dict()
            >>> state["state"][0]["z"], state["param_groups"][0]["k"]
            (tensor([0.5000]), 1)
        """
        state = self.state_dict()
        z = {id(p): _between(p, velocity, group, "z") for group, p, velocity in self._moved()}
        params = [param for group in self.param_groups for param in group["params"]]
        keys = [key for group in state["param_groups"] for key in group["params"]]
        found = {key: {_THEIRS: z[id(p)]} for key, p in zip(keys, params, strict=True) if id(p) in z}
        return {"state": found, "param_groups": [_as_theirs(group) for group in state["param_groups"]]}

    def _take_up_theirs(self) -> None:
        """Make z - y of every z that a state of the reference brought."""
        if not self.shared.pop("has_theirs", False):
            return
        with torch.no_grad():
            for group in self.param_groups:
                for param in dict.fromkeys(group["params"]):
                    if (z := self.state.get(param, {}).pop(_THEIRS, None)) is None:
                        continue
                    share = 1.0 if group["train_mode"] else group["momentum"]  # of z - y, of z - x
                    velocity = torch.empty_like(param, requires_grad=False).copy_((z - param) * share)
                    if self.velocity_dtype == INT8 and is_worth_codes(param):
                        self.state[param].update(zip((CODES, SCALES), encoded(velocity, param), strict=True))
                        continue
                    dtype = self.velocity_dtype if isinstance(self.velocity_dtype, torch.dtype) else velocity.dtype
                    self.state[param][VELOCITY] = velocity.to(dtype)
        self._forget_plans()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up a state, which may be the reference's."""
        super().__setstate__(state)
        self.shared["has_theirs"] = any(_THEIRS in entry for entry in self.state.values())


_ARGUMENTS = [
    name for name in inspect.signature(ScheduleFreeSGD.__init__).parameters if name not in ("self", "unknown")
]


def velocity_in(entry: Mapping[str, Any]) -> Tensor | None:
    """Return z - y of a parameter's state, decoded where it is codes; None where no step has moved the parameter."""
    if entry.get(CODES) is not None:
        return decoded(entry[CODES], entry[SCALES])
    return entry.get(VELOCITY)


def _between(point: Tensor, velocity: Tensor, group: Mapping[str, Any], to: Literal["x", "y", "z"]) -> Tensor:
    """Return x or z from a parameter at y, or y from one at x, in its format; computed in at least float32."""
    wide = torch.promote_types(torch.promote_types(point.dtype, velocity.dtype), torch.float32)
    own, difference, b = point.detach().to(wide), velocity.to(wide), group_values.number("momentum", group["momentum"])
    if to == "z":
        found = own + difference if group["train_mode"] else own + difference / b
    else:
        found = evaluation_point(own, difference, b) if to == "x" else training_point(own, difference, b)
    return torch.empty_like(point, requires_grad=False).copy_(found)


def _numbers_of(settings: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that settings stand for; raise if there are others beside them."""
    if not isinstance(settings, ScheduleFree):
        raise SettingsError(f"`settings` must be a ScheduleFree; got a {type(settings).__name__}.")
    usual = {field.name: field.default for field in fields(ScheduleFree)}
    for name, value in given.items():
        if isinstance(value, Tensor) or value != usual[name]:
            raise SettingsError(f"`settings` already holds all hyperparameters; do not also pass `{name}`.")
    return {name: getattr(settings, name) for name in given}


def _check(group: Mapping[str, Any], where: str = "") -> None:
    """Raise if one of a group's numbers is not allowed, or it has one of SGD's that the method has no place for."""
    if group.get("ema") is not None:
        raise SettingsError(f"{where}{_OWN_AVERAGE}")
    try:
        values = {name: group[name] for name in (*_SHARED, *_OWN)}
        values |= {name: group[name] for name in _OF_SGD_ALONE if name in group}
        for name in group_values.SCHEDULABLE:
            if (schedule := group.get(group_values.schedule_key(name))) is not None:
                values[name] = schedule
            elif isinstance(values[name], Tensor):
                values[name] = group_values.one_element(name, values[name])
        ScheduleFree(**values)
    except SettingsError as error:
        raise SettingsError(f"{where}{error}") from None


def _are_same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same numbers in this process, a NaN like another."""
    return torch.allclose(local_part(a), local_part(b), rtol=0, atol=0, equal_nan=True)


def _as_ours(state_dict: Any, ours: list[dict[str, Any]], *, keep: bool) -> Any:
    """Return a state with the reference's words for what it counts as our own; what is no state as it is.

    Raises:
        StateError: If it is one of another method, what it counts cannot be, or b is to be another from here on.
    """
    groups = state_dict.get("param_groups") if isinstance(state_dict, Mapping) else None
    if not isinstance(groups, list) or not all(isinstance(group, Mapping) for group in groups):
        return state_dict
    if any("weight_sum" not in group for group in groups):
        raise StateError(
            "the state is not one of schedule-free SGD: its groups have no `weight_sum`. What another optimizer keeps "
            "as velocity is not z - y; begin anew with the model's weights."
        )
    found = [_group_as_ours(group) for group in groups]
    for group in found:
        _check_average_of(group)
    if len(found) != len(ours):
        raise StateError(
            f"the state has {len(found)} parameter groups, this optimizer has {len(ours)}, and each has an average of "
            "its own. Make the same groups."
        )
    for index, (group, own) in enumerate(zip(found, ours, strict=True)):
        if not keep:
            _check_loaded(group, own, f"group {index}: ")
        elif group.get("momentum") != own["momentum"]:
            raise StateError(
                f"momentum of group {index} is {own['momentum']!r} here and {group.get('momentum')!r} in the state: "
                "where y lies between z and x depends on it. Use the same, or begin anew with the model's weights at x."
            )
    return {**state_dict, "param_groups": found}


def _check_average_of(group: Mapping[str, Any]) -> None:
    """Raise `StateError` if what a saved group has of its average cannot be."""
    for name in ("weight_sum", "largest_lr", "scheduled_lr"):
        if not isinstance(group.get(name), float) or not 0 <= group[name] < float("inf"):
            raise StateError(f"`{name}` in the state must be a finite number >= 0; got {group.get(name)!r}.")
    if not isinstance(group.get("train_mode"), bool):
        raise StateError(f"`train_mode` in the state must be True or False; got {group.get('train_mode')!r}.")


def _check_loaded(group: Mapping[str, Any], own: Mapping[str, Any], where: str) -> None:
    """Raise `StateError` if a step would refuse what a group is to have from here on."""
    loaded = {name: group[name] for name in (*_SHARED, *_OWN, *_OF_SGD_ALONE) if name in group}
    no_schedules = dict.fromkeys(map(group_values.schedule_key, group_values.SCHEDULABLE))
    try:
        _check({**own, **loaded, **no_schedules}, where)
    except SettingsError as error:
        raise StateError(f"the state holds hyperparameters that are not allowed: {error}") from None


def _group_as_ours(group: Mapping[str, Any]) -> dict[str, Any]:
    if "k" not in group:
        return dict(group)
    for name in ("lr_max", "weight_sum", "scheduled_lr"):
        try:
            as_float(name, group.get(name))
        except SettingsError as error:
            raise StateError(f"the state is not one of schedulefree.SGDScheduleFree: {error}") from None
    others = {key: copy.deepcopy(value) for key, value in group.items() if key not in ("k", "lr_max")}
    counts = {"step": group["k"], "skipped": 0, "largest_lr": float(max(group["lr_max"], 0.0))}
    usual = {name: group_values.DEFAULTS[name] for name in group_values.HYPERPARAMETERS if name not in group}
    numbers = {name: float(group[name]) for name in ("weight_sum", "scheduled_lr")}
    return {**usual, **others, **counts, **numbers}


def _as_theirs(group: Mapping[str, Any]) -> dict[str, Any]:
    kept = (
        "params",
        "param_names",
        "lr",
        "momentum",
        "weight_decay",
        *_OWN,
        "weight_sum",
        "scheduled_lr",
        "train_mode",
    )
    theirs = {name: group[name] for name in kept if name in group}
    largest = group["largest_lr"] if group["step"] else -1.0
    return {**theirs, "k": group["step"], "lr_max": largest, "foreach": group["foreach"] is not False}
