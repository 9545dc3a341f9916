"""The plan of a step, and how far it may be trusted: which tensors a step moves, and whether that still holds.

A plan is made of tensors that were checked one by one. Checked once are their formats, shapes and layouts, whether they
share memory, and which of them the kernel takes. Gradients, storages, velocities and the groups' values, which may be
replaced between two steps, are compared each time, in C++ (csrc/bind_plan.cpp). `SGD.step` (sgd.py) takes the first of
three ways that it can:

      |   where somebody watches operations: torch's own, one by one, and no plan
      v
    repeat it     a REPEATABLE plan, no factor on the gradients: one call of the kernel compares and steps
      |
      |   a value was replaced; a gradient is not finite: nothing was done
      v
    check it      the same parameters in the same groups, the same choices in these, gradients where there were some,
      |           all memory where it was and as it was: the kernel steps, torch's operations what it does not take
      |
      |   something is another, or the plan was for ONCE
      v
    plan it       every tensor is looked at, velocities are allocated; then as above

    PlanState      the next step    because the plan has
    ONCE           plan it          a first gradient, a momentum that may change in place, shared memory, or no kernel
    CHECKED        check it         parameters for torch's operations, or was not stepped yet
    REPEATABLE     repeat it        parameters for the kernel alone

A plan begins as ONCE or CHECKED. A step of the kernel lifts it to the highest state that it may reach. The coefficients
of a step with a factor on the gradients, such as clipping gives, are no other step's.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from itertools import chain, count
from operator import attrgetter, is_, itemgetter
from typing import Any

import torch
from torch import Tensor

from downslope.core.errors import ImplementationError, SettingsError
from downslope.core.rule import StepScalars
from downslope.kernel import load_native, use_threads
from downslope.kernel.coefficients import FORMATS, ROUNDINGS, six_coefficients
from downslope.kernel.random_bits import step_key
from downslope.kernel.rows import Row
from downslope.torch import group_values
from downslope.torch.average import AVERAGE, average_of, follow, outside_of_kernel, weight_of
from downslope.torch.blocks import CODES, INT8, SCALES, check_can_be_coded, zero_codes
from downslope.torch.options import StepOptions, has_codes, rounding_of, velocity_dtype_of
from downslope.torch.shared_tensors import LostMemoryError, mark_shared, span_of
from downslope.torch.tensor_factors import check_whole, clipped_by_unit, has_units_in_order, is_by_unit, with_factors
from downslope.torch.tensors import (
    EXCHANGE,
    LOCAL,
    SPEC,
    fit,
    is_distributed,
    laid_out_alike,
    local_part,
)
from downslope.torch.update import COMPENSATION, VELOCITY, Entry, Scalars, apply, first_element

Groups = Sequence[dict[str, Any]]
State = MutableMapping[Tensor, Any]
"""An optimizer's `param_groups`, and its `state`."""

_NAMES = (LOCAL, SPEC, VELOCITY, COMPENSATION, CODES, SCALES, AVERAGE)
_WATCHED: list[tuple[str, str | None]] = [
    *(
        (name, group_values.schedule_key(name) if name in group_values.SCHEDULABLE else None)
        for name in group_values.HYPERPARAMETERS
    ),
    *((group_values.schedule_key(name), None) for name in group_values.SCHEDULABLE),
    *((name, None) for name in ("lr_initial", "lr_max", "max_lr", "foreach", "fused", "rounding", "ema")),
]
"""Keys of a group, each with that of the schedule that may drive it: while none of their values is replaced but by its
schedule, a plan holds; and where there are no schedules, a step's coefficients are those of the last one."""
_WORTH_THREADS = 1 << 17
"""Elements below which a step is done by one thread, and need not know how many there are."""
SMALL_FACTOR = 2.0**-64
"""Factor on the gradients below which they are multiplied first: times lr it could leave float32's range; and a factor
of 0, from a norm of inf, must make NaN of inf."""

_get_params, _get_grad = itemgetter("params"), attrgetter("grad")


class PlanState(Enum):
    """How far a plan may be trusted at the next step; see the top of this file."""

    ONCE = 0
    CHECKED = 1
    REPEATABLE = 2


ONCE, CHECKED, REPEATABLE = PlanState.ONCE, PlanState.CHECKED, PlanState.REPEATABLE


class StepPlan:
    """The tensors of an optimizer's steps, while nothing but values changes.

    Attributes:
        entries: Every parameter that has a gradient, in the order of the groups.
        rest: Those with elements that the plan's own call of the kernel does not step: torch's operations do, and, of
            those that are clipped unit by unit, the kernel with the factors of each step.
        has_kernel: Whether there are others, which it steps.
        state: How far the plan may be trusted.
    """

    def __init__(self, groups: Groups, state: State, entries: Sequence[Entry], *, differentiable: bool) -> None:
        """Check every tensor, velocities allocated, and hand those that the kernel can take to it."""
        self.entries = entries = mark_shared_memory(groups, entries, grads_of(entry.param for entry in entries))
        self._choices = choices_of(groups)
        native = None if differentiable or EXCHANGE is None else load_native()
        taken = [entry for entry in entries if kernel_takes(native, groups, entry, entry.param.grad)]
        in_kernel = [entry for entry in taken if not is_by_unit(groups, entry)]
        in_kernel_ids = {id(entry.param) for entry in in_kernel}
        self.rest = [entry for entry in entries if id(entry.param) not in in_kernel_ids and entry.param.numel()]
        self._by_unit = [entry for entry in taken if is_by_unit(groups, entry)]
        may_be_kept = native is not None and not (
            any(not group_values.is_fixed(group["momentum"]) for group in groups)  # from 0 it may come to be more
            or any(entry.shares_memory for entry in entries)  # gradients may come to lie apart
            or any(entry.is_undampened and entry.velocity is not None for entry in entries)  # whose scalars are others
            or any(entry.begins_average for entry in entries)
        )
        self._has_factors = any(entry.own is not None for entry in entries)  # which are other ones at every step
        is_checked = self.rest or not in_kernel or self._has_factors
        self._limit = ONCE if not may_be_kept else CHECKED if is_checked else REPEATABLE
        self.state = CHECKED if may_be_kept else ONCE

        self.has_kernel = bool(in_kernel)
        self._is_whole = not any(is_distributed(entry.param) for entry in in_kernel)  # else this process has shards
        self._draws = any(entry.rounding == "stochastic" for entry in in_kernel)
        self._kinds = sorted({(entry.kind, entry.is_undampened) for entry in in_kernel})
        self._coefficients: tuple[list[StepScalars], list[float]] = ([], [])
        # whether coefficients stay what they are while nothing is replaced; whether the kernel has them
        self._may_be_constant = self._is_constant = False
        self._native: Any = None
        self._is_current = True
        if native is not None:
            kinds = {kind: index for index, kind in enumerate(self._kinds)}
            rows = [_row(entry, kinds[entry.kind, entry.is_undampened], state) for entry in in_kernel]
            rows += [_row(entry, None, state) for entry in self.rest if may_be_kept and _is_known(entry)]
            self._native = native.Plan(rows, EXCHANGE, Tensor, _NAMES)
            self._native.watch(groups, state, _WATCHED, torch._C._increment_version, _written(in_kernel))
            self._is_current = self._native.refresh()
            if not self._is_current:  # another thread has replaced a tensor since: torch's operations take this step
                self.state = ONCE
        self._averaged = frozenset(id(entry.param) for entry in in_kernel if entry.average is not None)
        self._has_other_averages = outside_of_kernel(groups, self._averaged)
        self._is_large = self._native is not None and self._native.elements() > _WORTH_THREADS
        # parameters whose gradient must still be there, or still be missing, and that the kernel does not ask itself
        live = {id(entry.param) for entry in self.rest}
        params = chain.from_iterable(map(_get_params, groups))
        self._others = [param for param in params if id(param) not in in_kernel_ids]
        self._others_live = [id(param) in live for param in self._others]
        self._rest_buffers = [
            (state[entry.param], key, buffer)
            for entry in self.rest
            for key, buffer in (
                (VELOCITY if entry.scales is None else CODES, entry.velocity),
                (COMPENSATION, entry.compensation),
                (SCALES, entry.scales),
                (AVERAGE, entry.average),
            )
            if buffer is not None
        ]

    def repeat(
        self, groups: Groups, state: State, options: StepOptions, read_scalars: Callable[[], list[StepScalars]]
    ) -> float | None:
        """Take a whole step of a REPEATABLE plan in one call, if nothing is new but gradients and scheduled values.

        Returns:
            The gradients' sum of squares, 0 if `options` do not ask for it; None if nothing was done but to write what
            schedules say into the groups.
        """
        if (self._others and any(map(_moves, self._others))) or (options.asks and not self._is_whole):
            return None
        coefficients = scalars = clipped = None
        if not self._is_constant:
            if not self._native.groups_hold(groups, state):  # whose scalars would not be the plan's
                return None
            scalars = read_scalars()
            coefficients = self._coefficients_of(scaled(groups, scalars, 1.0))
        if options.clip_norm is not None:
            clipped = partial(self._clipped, groups, read_scalars, scalars)
        if self._is_large:
            use_threads()
        key = step_key(options.rounding_seed, groups[0]["step"]) if self._draws else 0
        squares = self._native.repeat(groups, state, key, coefficients, options.asks, options.largest_norm, clipped)
        if squares is not None:
            if coefficients is not None:
                self._is_constant = self._may_be_constant
            if self._has_other_averages:
                follow(groups, state, self._averaged)
        return squares

    def _clipped(
        self,
        groups: Groups,
        read_scalars: Callable[[], list[StepScalars]],
        scalars: list[StepScalars] | None,
        factor: float,
    ) -> list[float] | None:
        """Return a step's coefficients with a factor on every gradient; None if it is too small for coefficients."""
        if factor < SMALL_FACTOR:
            return None
        both = scaled(groups, read_scalars() if scalars is None else scalars, factor)
        return [number for kind, is_undampened in self._kinds for number in six_coefficients(both[is_undampened][kind])]

    def is_current(self, groups: Groups, state: State) -> bool:
        """Whether the plan still holds, and has taken up the gradients of this step."""
        return (
            self.state is not ONCE
            and self._native.groups_hold(groups, state)
            and (self._native.values_hold() or self._choices == choices_of(groups))
            and list(map(_moves, self._others)) == self._others_live
            and all(state.get(key) is buffer for state, key, buffer in self._rest_buffers)
            and all(_get_grad(entry.param).layout == torch.strided for entry in self.rest)
            and self._native.refresh()
        )

    def take(
        self, groups: Groups, state: State, options: StepOptions, scalars: list[StepScalars], factor: float
    ) -> None:
        """Take the step of a plan that was just made or checked, with a factor on every gradient."""
        if factor < SMALL_FACTOR or not self._is_current:
            step_by_torch(groups, state, options, self.entries, self.grads(), scalars, factor)
            follow(groups, state)
            return
        both, rest, within = scaled(groups, scalars, factor), self.rest, self._averaged
        own: dict[int, tuple[Tensor, Tensor | None]] = {}
        if self._has_factors:
            both, grads, factors = with_factors(groups, self.entries, self.grads(), both)
            own = {id(entry): pair for entry, pair in zip(self.entries, zip(grads, factors, strict=True), strict=True)}
        if factor > 1.0:
            for group, common in zip(groups, both[0], strict=False):
                group_values.check_coefficients(group, common)
        if self._by_unit:
            rest, moved = self._step_by_unit(groups, options, own, both)
            within = within | {id(entry.param) for entry in moved if entry.average is not None}
        if self.has_kernel:
            self._step_by_kernel(groups, options, both, factor)
        if rest:
            of_rest = [clipped_by_unit(*own.get(id(entry), (_get_grad(entry.param), None))) for entry in rest]
            apply(groups, state, options, rest, of_rest, both)
        if self._has_other_averages:
            follow(groups, state, within)

    def _step_by_kernel(self, groups: Groups, options: StepOptions, scalars: Scalars, factor: float) -> None:
        key = step_key(options.rounding_seed, groups[0]["step"]) if self._draws else 0
        if self.state is REPEATABLE:
            self.state = CHECKED  # nothing can be repeated if this step is broken off by Ctrl-C
        self._run_kernel(self._coefficients_of(scalars), key)
        self._may_be_constant = all(map(_is_constant, groups))
        self._is_constant = self._may_be_constant and factor == 1.0
        if self.state is CHECKED:
            self.state = self._limit

    def _step_by_unit(
        self, groups: Groups, options: StepOptions, own: Mapping[int, tuple[Tensor, Tensor | None]], scalars: Scalars
    ) -> tuple[list[Entry], list[Entry]]:
        """Step by the kernel what is clipped unit by unit; return what is left of `rest`, and what has moved.

        `own` are gradients and their factors by unit, by the entry's id. What it took when the plan was made it may not
        take now, by a gradient in another layout.
        """
        entries = self._by_unit
        grads, factors = zip(*(own[id(entry)] for entry in entries), strict=True)
        left = set(step_by_kernel(groups, options, entries, grads, factors, scalars))
        moved = [entry for place, entry in enumerate(entries) if place not in left]
        torch._C._increment_version(_written(moved))
        ids = set(map(id, moved))
        return [entry for entry in self.rest if id(entry) not in ids], moved

    def _run_kernel(self, coefficients: list[float], key: int) -> None:
        if self._is_large:
            use_threads()
        self._native.take_values()
        self._native.step(coefficients, key)

    def grads(self) -> list[Tensor]:
        """Return the gradients of this step, in the order of `entries`."""
        return grads_of(entry.param for entry in self.entries)

    def distinct_grads(self) -> list[Tensor]:
        """Return the gradient of every parameter once, also of one that is given twice."""
        return distinct_grads((entry.group, entry.param) for entry in self.entries)

    def sum_of_squares(self) -> tuple[float, bool] | None:
        """Return the gradients' sum of squares and whether all are finite; None if the kernel has not got them all."""
        if self._native is None or self.rest or not (self._is_whole and self._is_current):
            return None
        use_threads()
        return self._native.sum_of_squares()

    def let_go(self) -> None:
        """Forget the gradients, whose memory would otherwise live until the next step."""
        if self._native is not None:
            self._native.let_go()

    def _coefficients_of(self, scalars: Scalars) -> list[float]:
        used = [scalars[is_undampened][kind] for kind, is_undampened in self._kinds]
        known, flat = self._coefficients
        if len(known) != len(used) or not all(map(is_, known, used)):
            flat = [number for own in used for number in six_coefficients(own)]
            self._coefficients = (used, flat)
        return flat


def scaled(groups: Groups, scalars: list[StepScalars], factor: float) -> Scalars:
    """Return a step's scalars with a factor on every gradient, for parameters with and at their first gradient."""
    if factor != 1.0:
        scalars = [replace(common, grad_scale=common.grad_scale * factor) for common in scalars]
    return scalars, [
        replace(common, dampening=0.0) if common.dampening and group["undampened_first_step"] else common
        for group, common in zip(groups, scalars, strict=True)
    ]


def multiplied(grads: Sequence[Tensor], factor: float) -> tuple[Sequence[Tensor], float]:
    """Return gradients and the factor on them; one that is too small for coefficients is multiplied in here."""
    return ([grad * factor for grad in grads], 1.0) if factor < SMALL_FACTOR else (grads, factor)


def step_by_torch(
    groups: Groups,
    state: State,
    options: StepOptions,
    entries: Sequence[Entry],
    grads: Sequence[Tensor],
    scalars: list[StepScalars],
    factor: float,
    *,
    one_by_one: bool = False,
) -> None:
    """Step all parameters by torch's operations, with a factor on every gradient; `one_by_one`: see `apply`."""
    grads, factor = multiplied(grads, factor)
    both, grads, factors = with_factors(groups, entries, grads, scaled(groups, scalars, factor))
    grads = list(map(clipped_by_unit, grads, factors))
    apply(groups, state, options, entries, grads, both, one_by_one=one_by_one)


def _is_constant(group: Mapping[str, Any]) -> bool:
    """Whether a group's scalars stay what they are until a value in it is replaced."""
    if "weight_sum" in group:  # of schedule-free SGD, whose average every step enters
        return False
    return all(group[group_values.schedule_key(name)] is None for name in group_values.SCHEDULABLE) and all(
        map(group_values.is_fixed, group_values.values_of(group))
    )


# What a step sees of its parameters


def grads_of(params: Iterable[Tensor]) -> list[Tensor]:
    """Return the gradients of parameters that all have one."""
    return list(map(_get_grad, params))


def _moves(param: Tensor) -> bool:
    """Whether a step has anything to do with a parameter; one without elements may be given some."""
    return param.grad is not None and param.numel() > 0


def distinct_grads(pairs: Iterable[tuple[int, Tensor]]) -> list[Tensor]:
    """Return the gradient of every parameter of (group's index, parameter) once: one given twice has one gradient."""
    return grads_of({id(param): param for _, param in pairs}.values())


def make_entries(
    groups: Groups,
    state: State,
    options: StepOptions,
    homes: Iterable[tuple[int, Tensor, int]],
    reserved: Reserved,
) -> list[Entry]:
    """Return parameters as a step sees them; those at their first gradient get their velocities here.

    `homes` are (group's index, parameter, its own index among all parameters). `reserved` velocities were made already;
    those that are used are taken out.
    """
    entries: list[Entry] = []
    fresh: set[int] = set()
    own = count(len(groups))
    for index, group in enumerate(groups):
        group_values.check_choices(group, index)
    weights = [weight_of(group, index) for index, group in enumerate(groups)]
    with_own = [group_values.tensor_factors_of(group).given for group in groups]
    for index, param, position in homes:
        group = groups[index]
        if id(param) in fresh:  # given twice, and at its first gradient each time: torch keeps the last velocity
            forget_velocity(state[param])
        is_new = _has_no_velocity(param, state)
        velocity = compensation = scales = None
        if _has_momentum(group):  # without it, a velocity that is there from before stays untouched, as in torch
            velocity, scales = _velocity_of(param, state, options, reserved)
        rounding = rounding_of(param, group["rounding"])
        if rounding == "compensated":
            compensation = state[param].get(COMPENSATION) if param in state else None
            if compensation is None:
                compensation = state[param][COMPENSATION] = _zeros(param, param.dtype)
        # Without momentum every gradient is undampened like a first one: torch then ignores dampening.
        is_undampened = is_new or velocity is None
        kind = None
        if with_own[index]:
            check_whole(param, group, index)
            kind = next(own)
        entries.append(
            Entry(
                index,
                position,
                is_undampened,
                param,
                velocity,
                compensation,
                rounding,
                scales=scales,
                own=kind,
                average=average_of(param, group, state),
                weight=weights[index],
            )
        )
        if is_undampened and velocity is not None:
            fresh.add(id(param))
    return entries


def _velocity_of(param: Tensor, state: State, options: StepOptions, reserved: Reserved) -> tuple[Tensor, Tensor | None]:
    """Return a parameter's velocity, or codes and scales: those that it has, else reserved ones, else zeros."""
    if options.velocity_dtype == INT8:
        check_can_be_coded(param, f"one of shape {tuple(param.shape)}")
    is_new = _has_no_velocity(param, state)
    if has_codes(param, options) if is_new else state[param].get(CODES) is not None:
        if is_new:
            kept = reserved.pop((id(param), CODES), None), reserved.pop((id(param), SCALES), None)
            state[param].update(zip((CODES, SCALES), zero_codes(param) if None in kept else kept, strict=True))
        return state[param][CODES], state[param][SCALES]
    if is_new:
        dtype, kept = velocity_dtype_of(param, options), reserved.pop((id(param), VELOCITY), None)
        state[param][VELOCITY] = _zeros(param, dtype) if kept is None or kept.dtype != dtype else kept
    return state[param][VELOCITY], None


Reserved = dict[tuple[int, str], Tensor]
"""Memory of velocities to come, by the id of the parameter and the key of its state."""


def reserve_velocities(groups: Groups, state: State, options: StepOptions) -> Reserved:
    """Return the memory of every velocity that a first gradient may ask for.

    A step within the backward pass makes velocities while gradients come and go. Each made between two gradients, they
    would part the memory that these leave free, and C libraries (glibc before 2.38) do not give an aligned tensor the
    place of one of its own size: a network of tensors below 32 MiB would then take more memory than with an ordinary
    step. Made at once, they leave the gradients one place, which each takes in turn.
    """
    reserved: Reserved = {}
    for param in chain.from_iterable(group["params"] for group in groups if _has_momentum(group)):
        if not (param.requires_grad and _has_no_velocity(param, state)):
            continue
        if has_codes(param, options):
            reserved[id(param), CODES], reserved[id(param), SCALES] = zero_codes(param)
        else:
            reserved[id(param), VELOCITY] = _zeros(param, velocity_dtype_of(param, options))
    return reserved


def _has_momentum(group: Mapping[str, Any]) -> bool:
    return group_values.number("momentum", group["momentum"]) != 0 or group["momentum_schedule"] is not None


def _has_no_velocity(param: Tensor, state: Mapping[Tensor, Any]) -> bool:
    return param not in state or (state[param].get(VELOCITY) is None and state[param].get(CODES) is None)


def forget_velocity(state: MutableMapping[str, Any]) -> None:
    """Take a parameter's velocity out of its state, whatever its form."""
    for key in (VELOCITY, CODES, SCALES):
        state.pop(key, None)


def _zeros(param: Tensor, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # noqa: FBT003 -- one made in inference mode could not be written to later
        return torch.zeros_like(param, dtype=dtype, requires_grad=False)


# What the kernel takes


def kernel_takes(native: Any, groups: Groups, entry: Entry, grad: Tensor | None) -> bool:
    """Return whether the kernel takes a parameter with elements, by this gradient; of DTensors, it takes the shards.

    Raises:
        ImplementationError: If the parameter's group insists on it, and it does not.
    """
    group, param = groups[entry.group], entry.param
    if not local_part(param).numel():
        return False
    # by default, unless `foreach` or `fused` chose another way
    wanted = group["fused"] or (group["foreach"] is None and group["fused"] is None)
    if native is not None and wanted and not entry.shares_memory:
        tensors = [param, grad, entry.velocity, entry.compensation, entry.average]
        if not is_distributed(param) or all(tensor is None or laid_out_alike(tensor, param) for tensor in tensors):
            own, grad, velocity, compensation, average = (
                None if tensor is None else local_part(tensor) for tensor in tensors
            )
            scales = None if entry.scales is None else local_part(entry.scales)
            if (
                type(grad) is Tensor
                and own is not None
                and fit(own, grad, velocity, compensation, scales, average, rounding=entry.rounding)
            ):
                return True
    if not group["fused"]:
        return False
    what = f"`fused=True`: a parameter of shape {tuple(param.shape)} ({param.dtype}, on {param.device})"
    if entry.shares_memory:
        raise ImplementationError(
            f"{what} shares memory with its gradient, its velocity or another parameter. The order of operations "
            "counts then, and the kernel has none. Clone what is shared, or leave fused None, and such parameters go "
            "another way."
        )
    order = "" if entry.scales is None else "; with a velocity of 8 bits, contiguous ones"
    raise ImplementationError(
        f"{what} is not for the kernel, which takes dense CPU tensors of {', '.join(FORMATS)}, their gradients in the "
        f"same layout{order}. Leave fused None, and such parameters go another way."
    )


def step_by_kernel(
    groups: Groups,
    options: StepOptions,
    entries: Sequence[Entry],
    grads: Sequence[Tensor],
    factors: Sequence[Tensor | None],
    scalars: Scalars,
) -> list[int]:
    """Step what the kernel takes by these gradients, each times its factors by unit; return the indices of the others.

    It writes behind autograd's back, and counts no versions of what it writes.
    """
    native: Any = load_native()
    taken = [kernel_takes(native, groups, entry, grad) for entry, grad in zip(entries, grads, strict=True)]
    given = [row for row, is_taken in zip(zip(entries, grads, factors, strict=True), taken, strict=True) if is_taken]
    if given:
        kinds = sorted({(entry.kind, entry.is_undampened) for entry, *_ in given})
        rows = [_row_alone(*row, kinds.index((row[0].kind, row[0].is_undampened))) for row in given]
        use_threads()
        coefficients = [number for kind, first in kinds for number in six_coefficients(scalars[first][kind])]
        native.step_tensors(EXCHANGE, rows, coefficients, step_key(options.rounding_seed, groups[0]["step"]))
    return [i for i, is_taken in enumerate(taken) if not is_taken]


def _row_alone(entry: Entry, grad: Tensor, factors: Tensor | None, kind: int) -> Row:
    """Return what the kernel is told of a parameter outside of a plan; of DTensors, of the shards."""
    if factors is not None and not has_units_in_order(local_part(entry.param)):
        grad, factors = clipped_by_unit(grad, factors), None
    first = _first_of(entry)
    if is_distributed(entry.param):
        names = ("param", "velocity", "compensation", "scales", "average")
        parts = {name: tensor for name in names if (tensor := getattr(entry, name)) is not None}
        entry = replace(entry, **{name: local_part(tensor) for name, tensor in parts.items()})
    return row_of(entry, kind, local_part(grad), first=first, factors=factors)


def mark_shared_memory(groups: Groups, entries: Sequence[Entry], grads: Sequence[Tensor]) -> list[Entry]:
    """Return the entries, those marked whose memory is another's too.

    Raises:
        SettingsError: If a tensor has lost its memory; with the parameter's name.
    """
    try:
        return mark_shared(entries, grads)
    except LostMemoryError as error:
        entry, lost = entries[error.index], error.tensor
        before = sum(len(group["params"]) for group in groups[: entry.group])
        name = group_values.parameter_name(groups[entry.group], entry.group, entry.position - before)
        is_grad = lost is grads[error.index]
        what = name if lost is entry.param else f"the {'gradient' if is_grad else 'velocity'} of {name}"
        raise SettingsError(
            f"the memory of {what} was given back: {lost.untyped_storage().nbytes()} bytes are left of it for shape "
            f"{tuple(lost.shape)} of {lost.dtype}. Resize its storage and fill it before the step; or set the gradient "
            "to None, which leaves the parameter out."
        ) from None


def _is_known(entry: Entry) -> bool:
    """Whether the kernel can look at the tensors of a parameter that it does not step."""
    tensors = (*entry.written(), _get_grad(entry.param))
    return not is_distributed(entry.param) and all(
        tensor is None or (tensor.layout == torch.strided and span_of(tensor) is not None) for tensor in tensors
    )


def _row(entry: Entry, kind: int | None, state: State) -> Row:
    """Return what the kernel's plan is told of a parameter, which it only watches if it has no kind."""
    param = entry.param
    has_state = any(tensor is not None for tensor in (entry.velocity, entry.compensation, entry.average))
    spec = getattr(param, SPEC) if is_distributed(param) else None
    return row_of(entry, kind, None, spec, state[param] if has_state else None, _first_of(entry))


def _first_of(entry: Entry) -> int:
    return first_element(entry.param) % 2**32 if entry.rounding == "stochastic" else 0


def row_of(
    entry: Entry,
    kind: int | None,
    grad: Tensor | None,
    spec: Any = None,
    state: Any = None,
    first: int = 0,
    factors: Tensor | None = None,
) -> Row:
    """Return what the kernel is told of a parameter; the fields in their order, since a plan has many."""
    tensors = entry.param, grad, spec, state, entry.velocity, entry.compensation, entry.scales, entry.average, factors
    return Row(*tensors, kind, ROUNDINGS[entry.rounding], entry.position, first, entry.weight or 0.0)


def _written(entries: Sequence[Entry]) -> list[Tensor]:
    """Return every tensor that a step writes: what is written behind autograd's back must count as a change for it."""
    tensors = [tensor for entry in entries for tensor in entry.written()]
    return tensors + [local_part(tensor) for tensor in tensors if is_distributed(tensor)]


def choices_of(groups: Groups) -> list[tuple[Any, ...]]:
    """Return what in the groups decides who has a velocity and which way a step takes."""
    return [
        (
            group["momentum"] == 0,
            group_values.is_fixed(group["momentum"]),
            group["momentum_schedule"] is None,
            group["foreach"],
            group["fused"],
            group["rounding"],
            group.get("ema"),
            *_kinds_of_factors(group),
        )
        for group in groups
    ]


def _kinds_of_factors(group: Mapping[str, Any]) -> tuple[bool, bool]:
    factors = group_values.tensor_factors_of(group)
    return factors.given, factors.by_unit


# Locks by which a second thread's step begins where the first one's ends

_locks: weakref.WeakSet[Any] = weakref.WeakSet()


def new_lock() -> Any:
    """Return a lock that a thread may take again while it has it, and that a forked process finds open.

    A fork copies a lock as it is, but not the thread that holds it: nobody would ever open it in the child.
    """
    lock = threading.RLock()
    _locks.add(lock)
    return lock


def _open_all() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_open_all)
