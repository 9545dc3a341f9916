"""The plan of a step: which tensors it moves, which of them the compiled kernel takes, and whether that still holds.

What lives here: every check that must hold before memory is handed to the kernel. Those that cannot change while
nothing is replaced are made once, when the plan is made; what may be replaced between two steps (gradients, storages,
velocities, the groups themselves) is compared each time, in C++. What does not: the arithmetic, and how tensors that
the kernel cannot take are stepped (`affine.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import inf, sqrt
from operator import attrgetter, is_, itemgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from downslope.core.errors import ImplementationError, SettingsError
from downslope.core.rule import StepScalars, sgd_rule
from downslope.kernel import load_native, use_threads
from downslope.kernel.coefficients import FORMATS, ROUNDINGS, six_coefficients
from downslope.kernel.random_bits import random_bits, step_key
from downslope.torch import groups as keys
from downslope.torch.shared_memory import LostMemoryError, mark_shared, span_of, step_in_order
from downslope.torch.tensors import EXCHANGE, LOCAL, SPEC, fit, is_distributed, laid_out_alike, local_part, repeated
from downslope.torch.update import COMPENSATION, Part, Rounded, Rounding, apply_parts, first_element

if TYPE_CHECKING:
    from downslope.torch.sgd import SGD


VELOCITY = "momentum_buffer"
"""The velocity's key in a parameter's state: torch.optim.SGD's own, so that states are exchanged as they are."""

Scalars = tuple[Sequence[StepScalars], Sequence[StepScalars]]
"""By group: the scalars of all parameters but those at their first gradient, and of these."""

_NAMES = (LOCAL, SPEC, VELOCITY, COMPENSATION)
_WATCHED: list[tuple[str, str | None]] = [
    *((name, keys.schedule_key(name) if name in keys.SCHEDULABLE else None) for name in keys.HYPERPARAMETERS),
    *((keys.schedule_key(name), None) for name in keys.SCHEDULABLE),
    *((name, None) for name in ("lr_initial", "lr_max", "max_lr", "foreach", "fused", "rounding")),
]
"""Keys of a group, each with that of the schedule that may drive it: while none of their values is replaced but by its
schedule, a plan holds; and where there are no schedules, a step's coefficients are those of the last one."""
_WORTH_THREADS = 1 << 17
"""Elements below which a step is done by one thread, and need not know how many there are."""

_get_params, _get_grad = itemgetter("params"), attrgetter("grad")


@dataclass(frozen=True, slots=True)
class Entry:
    """One parameter that has a gradient, as a step sees it.

    Attributes:
        group: Its group's index.
        position: Its own index among all parameters.
        is_first: Whether this is its first gradient.
        param: The parameter.
        velocity: Its velocity, or None.
        compensation: What its rounding dropped so far, or None.
        rounding: How it is rounded.
        shares_memory: Whether one of its tensors is a piece of another that the step writes.
    """

    group: int
    position: int
    is_first: bool
    param: Tensor
    velocity: Tensor | None
    compensation: Tensor | None = None
    rounding: Rounding = "nearest"
    shares_memory: bool = False


class StepPlan:
    """The tensors of an optimizer's steps, while nothing but values changes.

    Args:
        optimizer: The optimizer, velocities allocated.
        entries: Every parameter that has a gradient, in the order of the groups.

    Attributes:
        entries: As given.
        rest: Those that the kernel does not take, and that have elements.
        may_repeat: Whether the last step may be repeated.
        is_whole: Whether the kernel has all of each tensor, not a shard of it.
        keeps_coefficients: Whether the next step's coefficients are the last one's, if no value in a group is replaced.
    """

    def __init__(self, optimizer: SGD, entries: Sequence[Entry]) -> None:
        """Check every tensor, and hand those that the kernel can take to it."""
        self.entries = entries = looked_at(optimizer, entries, grads_of(entry.param for entry in entries))
        self._choices = _choices(optimizer.param_groups)
        # a first gradient comes once: after that step its scalars are others
        self._lasts = not any(entry.is_first and entry.velocity is not None for entry in entries)
        # a momentum that is a tensor may change in place, from 0 to what needs velocities
        self._lasts &= not any(isinstance(group["momentum"], Tensor) for group in optimizer.param_groups)
        self._lasts &= not any(entry.shares_memory for entry in entries)  # whose gradients may come to lie apart
        native = None if optimizer.defaults["differentiable"] or EXCHANGE is None else load_native()
        self.rest: list[Entry] = []
        inside: list[Entry] = []
        twice = repeated(entry.param for entry in entries)
        for entry in entries:
            group = optimizer.param_groups[entry.group]
            alone = id(entry.param) not in twice and not entry.shares_memory
            taken = native is not None and kernel_is_wanted(group) and alone and takes(entry)
            if entry.param.numel():
                check_fused(group, entry, taken=taken)
                (inside if taken else self.rest).append(entry)
        self._kinds = sorted({(entry.group, entry.is_first) for entry in inside})
        self._native = None
        self._has_rows, self.is_whole = bool(inside), not any(is_distributed(entry.param) for entry in inside)
        if native is not None:
            rows = [_row(entry, self._kinds.index((entry.group, entry.is_first)), optimizer.state) for entry in inside]
            rows += [_row(entry, None, optimizer.state) for entry in self.rest if self._lasts and _is_known(entry)]
            self._native = native.Plan(rows, EXCHANGE, Tensor, _NAMES)
            self._native.watch(
                optimizer.param_groups, optimizer.state, _WATCHED, torch._C._increment_version, _written(inside)
            )
            self._native.refresh()
        self._is_large = self._native is not None and self._native.elements() > _WORTH_THREADS
        # parameters whose gradient must still be there, or still be missing, and that the kernel does not ask itself
        asked = {id(entry.param) for entry in inside}
        live = {id(entry.param) for entry in self.rest}
        params = chain.from_iterable(map(_get_params, optimizer.param_groups))
        self._others = [param for param in params if id(param) not in asked and param.numel()]
        self._others_live = [id(param) in live for param in self._others]
        self._rest_buffers = [
            (optimizer.state[entry.param], key, buffer)
            for entry in self.rest
            for key, buffer in ((VELOCITY, entry.velocity), (COMPENSATION, entry.compensation))
            if buffer is not None
        ]
        self._coefficients: tuple[list[StepScalars], list[float]] = ([], [])
        self.may_repeat = self._is_constant = False
        self.keeps_coefficients = False
        self._draws = any(entry.rounding == "stochastic" for entry in inside)

    @property
    def has_kernel(self) -> bool:
        """Whether there is anything in it that the kernel takes."""
        return self._has_rows

    def is_current(self, optimizer: SGD) -> bool:
        """Whether the plan still holds, and has taken up the gradients of this step."""
        native = self._native
        return (
            self._lasts
            and native is not None
            and self.holds_groups(optimizer)
            and (native.values_hold() or self._choices == _choices(optimizer.param_groups))
            and [param.grad is not None for param in self._others] == self._others_live
            and all(state.get(key) is buffer for state, key, buffer in self._rest_buffers)
            and all(_get_grad(entry.param).layout == torch.strided for entry in self.rest)
            and native.refresh()
        )

    def holds_groups(self, optimizer: SGD) -> bool:
        """Whether the same parameters are in the same groups, with the same tables of state."""
        return self._native is not None and self._native.groups_hold(optimizer.param_groups, optimizer.state)

    def repeat(self, optimizer: SGD, scalars: Scalars | None, *, asks: bool, largest_norm: float) -> float | None:
        """Take the whole step, if nothing has changed but gradients and what schedules drive; else do nothing.

        Args:
            optimizer: The optimizer.
            scalars: Those of parameters with and at their first gradient, each by group; None for the last step's.
            asks: Whether to do nothing also where a gradient is not finite, or their norm is above `largest_norm`.
            largest_norm: The largest norm of a step that is not clipped.

        Returns:
            The gradients' sum of squares, 0 if not asked for; None if nothing was done.
        """
        if self._others and any(param.grad is not None for param in self._others):
            return None
        if self._is_large:
            use_threads()
        native: Any = self._native
        coefficients = None if scalars is None else self._coefficients_of(scalars)
        key = self._key(optimizer) if self._draws else 0
        squares = native.repeat(optimizer.param_groups, optimizer.state, key, coefficients, asks, largest_norm)
        if squares is not None:
            self.keeps_coefficients = self._is_constant
        return squares

    def grads(self) -> list[Tensor]:
        """Return the gradients of this step, in the order of `entries`."""
        return grads_of(entry.param for entry in self.entries)

    def distinct_grads(self) -> list[Tensor]:
        """Return the gradient of every parameter once, also of one that is given twice."""
        return distinct_grads((entry.group, entry.param) for entry in self.entries)

    def sum_of_squares(self) -> tuple[float, bool] | None:
        """Return the gradients' sum of squares and whether all are finite; None if the kernel has not got them all."""
        if self._native is None or self.rest or not self.is_whole:
            return None
        use_threads()
        return self._native.sum_of_squares()

    def run_kernel(self, optimizer: SGD, scalars: Scalars, *, constant: bool, scaled: bool) -> None:
        """Step every tensor that the kernel takes.

        Args:
            optimizer: The optimizer.
            scalars: Those of parameters with and at their first gradient, each by group.
            constant: Whether the groups' scalars stay the same as long as no value in a group is replaced.
            scaled: Whether there is a factor on this step's gradients.
        """
        if self._native is not None and self._has_rows:
            if self._is_large:
                use_threads()
            self._native.take_values()
            self._native.step(self._coefficients_of(scalars), self._key(optimizer))
            self.may_repeat = self._lasts and not self.rest
            self._is_constant, self.keeps_coefficients = constant, constant and not scaled

    def let_go(self) -> None:
        """Forget the gradients, whose memory would otherwise live until the next step."""
        if self._native is not None:
            self._native.let_go()

    def _key(self, optimizer: SGD) -> int:
        return step_key(optimizer.rounding_seed, optimizer.step_count) if self._draws else 0

    def _coefficients_of(self, scalars: Scalars) -> list[float]:
        used = [scalars[is_first][group] for group, is_first in self._kinds]
        known, flat = self._coefficients
        if len(known) != len(used) or not all(map(is_, known, used)):
            flat = [number for own in used for number in six_coefficients(own)]
            self._coefficients = (used, flat)
        return flat


def grads_of(params: Iterable[Tensor]) -> list[Tensor]:
    """Return the gradients of parameters that all have one."""
    return list(map(_get_grad, params))


def distinct_grads(pairs: Iterable[tuple[int, Tensor]]) -> list[Tensor]:
    """Return the gradient of every parameter once: one that is given twice is stepped twice, and has one gradient.

    Args:
        pairs: (group's index, parameter).
    """
    return grads_of({id(param): param for _, param in pairs}.values())


def kernel_is_wanted(group: Mapping[str, Any]) -> bool:
    """Return whether a group's steps go to the kernel: by default, unless `foreach` or `fused` chose another way."""
    return group["fused"] or (group["foreach"] is None and group["fused"] is None)


def check_fused(group: Mapping[str, Any], entry: Entry, *, taken: bool) -> None:
    """Raise `ImplementationError` if a group insists on the kernel for a parameter that it does not take."""
    if group["fused"] and not taken:
        raise ImplementationError(_not_taken(entry))


def takes(entry: Entry) -> bool:
    """Return whether the kernel can take a parameter, its gradient and what belongs to it; of DTensors, the shards."""
    param, grad = entry.param, _get_grad(entry.param)
    tensors = [param, grad, entry.velocity, entry.compensation]
    if is_distributed(param) and not all(tensor is None or laid_out_alike(tensor, param) for tensor in tensors):
        return False
    own, grad, velocity, compensation = (None if tensor is None else local_part(tensor) for tensor in tensors)
    return type(grad) is Tensor and own is not None and fit(own, grad, velocity, compensation, entry.rounding)


def looked_at(optimizer: SGD, entries: Sequence[Entry], grads: Sequence[Tensor]) -> list[Entry]:
    """Return the entries, those marked whose memory is another's too.

    Args:
        optimizer: The optimizer.
        entries: The parameters of a step.
        grads: Their gradients.

    Raises:
        SettingsError: If a tensor has lost its memory; with the parameter's name.
    """
    try:
        return mark_shared(entries, grads)
    except LostMemoryError as error:
        entry, lost = entries[error.index], error.tensor
        before = sum(len(group["params"]) for group in optimizer.param_groups[: entry.group])
        name = keys.parameter_name(optimizer.param_groups[entry.group], entry.group, entry.position - before)
        is_grad = lost is grads[error.index]
        what = name if lost is entry.param else f"the {'gradient' if is_grad else 'velocity'} of {name}"
        raise SettingsError(
            f"the memory of {what} was given back: {lost.untyped_storage().nbytes()} bytes are left of it for shape "
            f"{tuple(lost.shape)} of {lost.dtype}. Resize its storage and fill it before the step; or set the gradient "
            "to None, which leaves the parameter out."
        ) from None


def _is_known(entry: Entry) -> bool:
    """Whether the kernel can look at the tensors of a parameter that it does not step."""
    tensors = (entry.param, _get_grad(entry.param), entry.velocity, entry.compensation)
    return not is_distributed(entry.param) and all(
        tensor is None or (tensor.layout == torch.strided and span_of(tensor) is not None) for tensor in tensors
    )


def _row(entry: Entry, kind: int | None, state: Mapping[Tensor, Any]) -> tuple[Any, ...]:
    """Return what the kernel's plan is told of a parameter, which it only watches if it has no kind.

    See csrc/bind_plan.cpp.
    """
    param = entry.param
    has_state = entry.velocity is not None or entry.compensation is not None
    return (
        param,
        getattr(param, SPEC) if is_distributed(param) else None,
        state[param] if has_state else None,
        entry.velocity,
        entry.compensation,
        kind,
        ROUNDINGS[entry.rounding],
        entry.position,
        first_element(param) % 2**32 if entry.rounding == "stochastic" else 0,
    )


def _written(entries: Sequence[Entry]) -> list[Tensor]:
    """Return every tensor that a step writes: what is written behind autograd's back must count as a change for it."""
    tensors = [t for e in entries for t in (e.param, e.velocity, e.compensation) if t is not None]
    return tensors + [local_part(tensor) for tensor in tensors if is_distributed(tensor)]


def _not_taken(entry: Entry) -> str:
    param = entry.param
    if entry.shares_memory:
        return (
            f"`fused=True`: a parameter of shape {tuple(param.shape)} ({param.dtype}, on {param.device}) shares memory "
            "with its gradient, its velocity or another parameter. The order of operations counts then, and the kernel "
            "has none. Clone what is shared, or leave fused None, and such parameters go another way."
        )
    return (
        f"`fused=True`: a parameter of shape {tuple(param.shape)} ({param.dtype}, on {param.device}) is not for the "
        f"kernel, which takes dense CPU tensors of {', '.join(FORMATS)}, their gradients in the same layout. "
        "Leave fused None, and such parameters go another way."
    )


def _choices(groups: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Return what in the groups decides who has a velocity and which way a step takes."""
    return [
        (g["momentum"] == 0, g["momentum_schedule"] is None, g["foreach"], g["fused"], g["rounding"]) for g in groups
    ]


# Carrying a planned step out

SMALL_SCALE = 2.0**-64


def carry_out(optimizer: SGD, plan: StepPlan, scalars: list[StepScalars], grad_scale: float) -> None:
    """Take one step.

    Args:
        optimizer: The optimizer.
        plan: The plan of this step.
        scalars: By group, of all parameters but those at their first gradient.
        grad_scale: Factor on every gradient.
    """
    if grad_scale < SMALL_SCALE:
        # Times lr it could leave float32's range; and a factor of 0, from a norm of inf, must make NaN of inf.
        grads = [grad * grad_scale for grad in plan.grads()]
        apply(optimizer, plan.entries, grads, (scalars, at_first(optimizer, scalars)))
        return
    both = scaled(optimizer, scalars, grad_scale)
    if grad_scale > 1.0:
        for group, own in zip(optimizer.param_groups, both[0], strict=True):
            keys.check_coefficients(group, own)
    constant = all(map(is_constant, optimizer.param_groups))
    plan.run_kernel(optimizer, both, constant=constant, scaled=grad_scale != 1.0)
    if plan.rest:
        apply(optimizer, plan.rest, grads_of(entry.param for entry in plan.rest), both)


def repeat(optimizer: SGD, plan: StepPlan) -> bool:
    """Take the whole step in one call of the kernel, if it is the last one again but for gradients and schedules.

    That is most steps of most trainings. Where anything else has changed, a gradient is not finite, or is to be
    clipped, nothing is done but to write what schedules say into the groups.

    Args:
        optimizer: The optimizer.
        plan: The plan of an earlier step.

    Returns:
        Whether the step was taken.
    """
    shared = optimizer.shared
    clip_norm = shared["clip_norm"]
    asks = clip_norm is not None or shared["on_nonfinite"] != "ignore"
    if not plan.may_repeat or (asks and not plan.is_whole):  # a process has but its shards of the gradients
        return False
    both = None
    if not plan.keeps_coefficients:
        if not plan.holds_groups(optimizer):  # whose scalars would be no longer those of the plan's
            return False
        both = scaled(optimizer, optimizer.step_scalars(), 1.0)
    squares = plan.repeat(optimizer, both, asks=asks, largest_norm=inf if clip_norm is None else clip_norm)
    if squares is None:
        return False
    if asks:
        shared["grad_norm"] = sqrt(squares)
    for group in optimizer.param_groups:  # by hand: `count_step`, without a call
        group["step"] += 1
    return True


def scaled(optimizer: SGD, scalars: list[StepScalars], grad_scale: float) -> Scalars:
    """Return a step's scalars with a factor on every gradient, for parameters with and at their first gradient."""
    if grad_scale != 1.0:
        scalars = [replace(common, grad_scale=common.grad_scale * grad_scale) for common in scalars]
    return scalars, at_first(optimizer, scalars)


def at_first(optimizer: SGD, scalars: list[StepScalars]) -> list[StepScalars]:
    """Return the scalars of parameters at their first gradient, by group."""
    return [
        replace(common, dampening=0.0) if common.dampening and group["undampened_first_step"] else common
        for group, common in zip(optimizer.param_groups, scalars, strict=True)
    ]


def is_constant(group: Mapping[str, Any]) -> bool:
    """Whether a group's scalars stay what they are until a value in it is replaced."""
    return all(group[keys.schedule_key(name)] is None for name in keys.SCHEDULABLE) and not any(
        isinstance(value, Tensor) for value in keys.values_of(group)
    )


def apply(
    optimizer: SGD,
    entries: Sequence[Entry],
    grads: Sequence[Tensor],
    scalars: Scalars,
    *,
    one_by_one: bool = False,
) -> None:
    """Step parameters by torch's own operations.

    Args:
        optimizer: The optimizer.
        entries: The parameters.
        grads: Their gradients.
        scalars: Those of parameters with and at their first gradient, each by group.
        one_by_one: Whether to leave out multi-tensor operations, unless a group's `foreach` asks for them.
    """
    # what is given twice is stepped twice, one after the other
    in_turn = bool(repeated(param for group in optimizer.param_groups for param in group["params"]))
    differentiable = optimizer.defaults["differentiable"]
    parts: defaultdict[tuple[int, bool], list[Part]] = defaultdict(list)
    for entry, grad in zip(entries, grads, strict=True):
        if type(grad) is Tensor and grad._is_zerotensor():  # whose multiples cannot be added to
            grad = torch.zeros(grad.shape, dtype=grad.dtype, device=grad.device)  # noqa: PLW2901
        part = Part(entry.param, grad, entry.velocity, rounded_in_step(optimizer, entry))
        if is_distributed(entry.param) and not differentiable:
            part = _local(part)
        if entry.shares_memory and not differentiable:
            with torch.no_grad():
                step_in_order(part, scalars[entry.is_first][entry.group])
            continue
        parts[entry.group, entry.is_first].append(part)
    with torch.set_grad_enabled(differentiable):
        for (group, is_first), same in parts.items():
            own = scalars[is_first][group]
            if differentiable:
                _apply_differentiably(optimizer, same, own)
            else:
                foreach = optimizer.param_groups[group]["foreach"]
                apply_parts(same, own, multi_tensor=not in_turn and (not one_by_one if foreach is None else foreach))


def rounded_in_step(optimizer: SGD, entry: Entry) -> Rounded | None:
    """Return how a parameter is rounded in the present step; None for to nearest."""
    if entry.rounding == "nearest":
        return None
    if entry.rounding == "compensated":
        return Rounded(entry.compensation)
    key = random_bits(step_key(optimizer.rounding_seed, optimizer.step_count), entry.position)
    return Rounded(None, key, first_element(entry.param))


def _local(part: Part) -> Part:
    """Return the parts that lie in this process of a parameter's DTensors: a step is element by element.

    A gradient that is laid out otherwise, such as one not yet summed, is first brought into the parameter's layout.
    """
    param, grad = part.param, part.grad
    if not laid_out_alike(grad, param):
        spec = getattr(param, SPEC)
        grad = grad.redistribute(spec.mesh, spec.placements)  # type: ignore[operator]
    rounded = part.rounded
    if rounded is not None and rounded.compensation is not None:
        rounded = replace(rounded, compensation=local_part(rounded.compensation))
    torch._C._increment_version([param] if part.velocity is None else [param, part.velocity])
    velocity = None if part.velocity is None else local_part(part.velocity)
    return Part(local_part(param), local_part(grad), velocity, rounded)


def _apply_differentiably(optimizer: SGD, parts: list[Part], scalars: StepScalars) -> None:
    for part in parts:
        param, velocity = part.param, part.velocity
        before = torch.zeros_like(param) if velocity is None else velocity
        # of a copy: autograd keeps what a tensor multiplies, and param is changed in place
        delta, after = sgd_rule(param.clone(), part.grad, before, scalars)
        param.add_(delta)
        if velocity is not None:
            optimizer.state[param][VELOCITY] = after
