"""Carrying a planned step out: by the kernel what it takes, by torch's operations the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, sqrt
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from downslope.core.rule import StepScalars, sgd_rule
from downslope.kernel.random_bits import random_bits, step_key
from downslope.torch import param_groups as keys
from downslope.torch.affine import Part, apply_parts
from downslope.torch.memory import SPEC, is_distributed, laid_out_alike, local_part, repeated
from downslope.torch.plan import VELOCITY, Entry, Scalars, StepPlan, grads_of
from downslope.torch.rounding import Rounded, first_element
from downslope.torch.shared_memory import step_in_order

if TYPE_CHECKING:
    from downslope.torch.sgd import SGD

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
