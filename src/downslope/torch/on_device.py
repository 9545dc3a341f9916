"""Steps of parameters on a device: few launches, and nothing that the host has to wait for unless it must decide.

Where Triton is there its kernels take the step (`triton_plan.py`), whatever the settings. Elsewhere torch's own fused
kernel for SGD (``torch._fused_sgd_``) makes one pass over memory for a whole list of tensors. Most settings of the rule
are its arguments in another guise, which `fused_form` finds from the six coefficients; the rest goes by multi-tensor
operations, or, where a tensor needs a way of its own, by `step.py`. The global norm, the factor by which it is clipped,
and whether all gradients are finite stay numbers on the device.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from operator import attrgetter, is_, methodcaller
from typing import Any

import torch
from torch import Tensor

from downslope.core.errors import ImplementationError
from downslope.core.rule import StepScalars
from downslope.kernel.coefficients import FORMATS
from downslope.kernel.random_bits import step_key
from downslope.torch import group_values
from downslope.torch.average import AVERAGE, follow, outside_of_kernel
from downslope.torch.blocks import CODES, SCALES
from downslope.torch.device_numbers import DeviceNumbers, is_recording
from downslope.torch.gradients import nonfinite
from downslope.torch.options import LossScale, StepOptions
from downslope.torch.step import (
    SMALL_FACTOR,
    Groups,
    State,
    choices_of,
    forget_velocity,
    grads_of,
    mark_shared_memory,
    scaled,
)
from downslope.torch.tensors import is_plain, repeated
from downslope.torch.triton_plan import KernelPlan, kernels_for, takes
from downslope.torch.update import (
    COMPENSATION,
    VELOCITY,
    Entry,
    InPlaceStep,
    Scalars,
    apply_multi_tensor,
    in_place_step,
)

_WIDE = frozenset({torch.float32, torch.float64})
_FORMATS = _WIDE | {torch.float16, torch.bfloat16}
_CLOSE = 1e-12
"""Relative difference up to which two of the coefficients count as equal: they are products of the same few numbers."""
_FINE = 1e-9
"""How well 1 - (1 - x) must give back x for float32 and narrower; for float64 it must be x."""

_LOST = {torch.float32: 2.0**-17, torch.float64: 2.0**-46}
"""Share of a parameter below which a decay would be lost, or become another, if it were added and rounded by itself: 64
units in the last place. A smaller one is added to the rest of the step first; so is any to a narrow parameter."""
_AT_ONCE = 1 << 26
"""Elements that are copied, or computed in float32, at a time."""

_get_device, _get_dtype, _get_stride = attrgetter("device"), attrgetter("dtype"), Tensor.stride
# A step looks at every tensor. Looks that map hands from function to function take a third of what they take in Python.
_get_velocity = methodcaller("get", VELOCITY)


@dataclass(frozen=True, slots=True)
class FusedForm:
    """One step as arguments of torch's fused kernel, after `beside` times every parameter was added to it."""

    lr: float
    momentum: float
    dampening: float
    weight_decay: float
    nesterov: bool
    beside: float = 0.0


def fused_form(step: InPlaceStep, dtype: torch.dtype, *, has_velocity: bool) -> FusedForm | None:
    """Return a step as arguments of the fused kernel, or None if it is none of its.

    The kernel forms g + weight_decay p, then the velocity momentum v + (1 - dampening) of that, then takes lr times the
    velocity from p, or lr times (g + weight_decay p + momentum v) with Nesterov.
    """
    if not has_velocity:
        lr = -step.delta_grad
        return FusedForm(lr, 0.0, 0.0, -step.delta_param / lr, nesterov=False) if lr else None
    share, nesterov = step.from_grad, step.delta_grad != 0
    if not step.from_velocity or not share:  # the kernel takes velocities beside a momentum alone
        return None
    dampening, decay = 1.0 - share, step.from_param / share
    lr = -step.delta_grad if nesterov else -step.delta_velocity
    beside = 0.0 if decay else step.delta_param
    is_its = (
        abs(1.0 - dampening - share) <= (0.0 if dtype == torch.float64 else _FINE * abs(share))
        and (not nesterov or _is_close(step.delta_velocity, -lr * step.from_velocity))
        and (not decay or _is_close(step.delta_param, -lr * decay if nesterov else 0.0))
        and (not beside or abs(beside) >= _LOST.get(dtype, math.inf))
    )
    return FusedForm(lr, step.from_velocity, dampening, decay, nesterov, beside) if is_its else None


def _is_close(value: float, wanted: float) -> bool:
    return abs(value - wanted) <= _CLOSE * max(abs(value), abs(wanted))


@dataclass(frozen=True)
class Bucket:
    """Parameters of one group and one format that are stepped together.

    Attributes:
        group: The group's index.
        is_undampened: Whether they are at their first gradient.
        dtype: Their format.
        places: Where they stand among the plan's parameters.
        params: They themselves.
        velocities: Their velocities; empty where there is no momentum.
    """

    group: int
    is_undampened: bool
    dtype: torch.dtype
    places: list[int] = field(default_factory=list[int])
    params: list[Tensor] = field(default_factory=list[Tensor])
    velocities: list[Tensor] = field(default_factory=list[Tensor])


class DevicePlan:
    """The tensors of an optimizer's steps on one device, as long as nothing but numbers in them changes."""

    def __init__(self, groups: Groups, entries: Sequence[Entry], kernel: KernelPlan | None = None) -> None:
        self.entries = entries
        self.kernel = kernel
        self.params = [entry.param for entry in entries]
        self.device = self.params[0].device
        self._choices = choices_of(groups)
        with_velocity = [entry for entry in entries if entry.velocity is not None and entry.scales is None]
        self._with_velocity = [entry.param for entry in with_velocity]
        self._velocities = [entry.velocity for entry in with_velocity]
        self._others = [
            (entry.param, key, buffer)
            for entry in entries
            for key, buffer in (
                (CODES, entry.velocity if entry.scales is not None else None),
                (SCALES, entry.scales),
                (COMPENSATION, entry.compensation),
                (AVERAGE, entry.average),
            )
            if buffer is not None
        ]
        self._forms = self._forms_of(self.params)
        buckets: dict[tuple[Any, ...], Bucket] = {}
        for place, entry in enumerate(entries):
            if not entry.param.numel():
                continue
            key = (entry.group, entry.is_undampened, entry.param.dtype, entry.velocity is None)
            bucket = buckets.setdefault(key, Bucket(*key[:3]))
            bucket.places.append(place)
            bucket.params.append(entry.param)
            if entry.velocity is not None:
                bucket.velocities.append(entry.velocity)
        self.buckets = list(buckets.values())
        by_dtype: defaultdict[torch.dtype, list[int]] = defaultdict(list)
        for place, param in enumerate(self.params):
            if param.numel():
                by_dtype[param.dtype].append(place)
        # the same for the same parameters, however their buckets change
        self.places_by_dtype = list(by_dtype.values())
        formats = tuple(by_dtype)
        unwanted = any(group["fused"] is False or group["foreach"] for group in groups)
        self.fused = None if unwanted or kernel is not None else fused_kernel(self.device, formats)
        # at a first gradient with momentum the scalars are another step's, and the next plan has none such
        self.lasts = not any((e.is_undampened and e.velocity is not None) or e.begins_average for e in entries)
        self._averaged = frozenset(id(e.param) for e in entries if kernel is not None and e.average is not None)
        self._has_other_averages = outside_of_kernel(groups, self._averaged)

    def holds(self, groups: Groups, state: State, params: Sequence[Tensor]) -> bool:
        """Whether a step has the same parameters, velocities and choices, all where and as they were."""
        return (
            len(params) == len(self.params)
            and all(map(is_, params, self.params))
            and all(map(is_, map(_get_velocity, map(state.get, self._with_velocity)), self._velocities))
            and all(state[param].get(key) is buffer for param, key, buffer in self._others)
            and self._choices == choices_of(groups)
            and self._forms_of(params) == self._forms
            and (self.kernel is None or self.kernel.holds())
        )

    def follow(self, groups: Groups, state: State, stop: Tensor | None) -> None:
        """Move those averages that no kernel has moved, unless a number on the device is above 0."""
        if self._has_other_averages:
            follow(groups, state, self._averaged, stop=stop)

    def fits(self, grads: Sequence[Tensor]) -> bool:
        """Whether gradients are as the parameters are: in format, device and layout."""
        return (
            set(map(type, grads)) == {Tensor}
            and list(map(_get_dtype, grads)) == self._forms[1]
            and list(map(_get_device, grads)) == self._forms[0]
            and (list(map(_get_stride, grads)) == self._forms[2] or all(map(_laid_out_as, grads, self.params)))
            and not any(map(Tensor.is_neg, grads))
            and not any(map(Tensor._is_zerotensor, grads))
        )

    @staticmethod
    def _forms_of(tensors: Sequence[Tensor]) -> tuple[list[Any], ...]:
        return list(map(_get_device, tensors)), list(map(_get_dtype, tensors)), list(map(_get_stride, tensors))


def is_elsewhere(tensor: Tensor) -> bool:
    """Whether a tensor is on a device: what is asked of it then need not be there when the call returns."""
    return not tensor.is_cpu and not tensor.is_meta


def plan_for_device(
    groups: Groups, entries: Sequence[Entry], numbers: DeviceNumbers | None = None
) -> DevicePlan | None:
    """Return the plan of parameters that can all be stepped together on a device, or None.

    With numbers on the device, it is the kernels' plan or none.
    """
    tensors = [tensor for entry in entries for tensor in entry.written()]
    fit = (
        all(is_plain(tensor) for tensor in tensors)
        and len({tensor.device for tensor in tensors}) == 1
        and all(entry.param.dtype in _FORMATS for entry in entries)
        and any(entry.param.numel() for entry in entries)
        and all(entry.own is None for entry in entries)  # whose scalars follow from norms that the host waits for
        and all(t is None or _laid_out_as(t, entry.param) for entry in entries for t in (entry.velocity, entry.average))
        and all(groups[entry.group]["foreach"] in {None, True} for entry in entries)
        and not repeated(entry.param for entry in entries)
    )
    if not fit or any(e.shares_memory for e in mark_shared_memory(groups, entries, grads_of(e.param for e in entries))):
        return None
    wanted = not any(group["fused"] is False or group["foreach"] for group in groups)
    if wanted and all(map(takes, entries)):
        kernels, _ = kernels_for(entries[0].param.device)
        if kernels is not None:
            kernel = KernelPlan(kernels, entries, None if numbers is None else numbers.kinds)
            if numbers is not None:
                kernel.make_ready_to_record()
            return DevicePlan(groups, entries, kernel)
    if numbers is not None or not all(
        (entry.velocity is None or entry.velocity.dtype == entry.param.dtype)
        and entry.rounding == "nearest"
        and entry.scales is None
        for entry in entries
    ):
        return None
    plan = DevicePlan(groups, entries)
    insists = any(groups[entry.group]["fused"] for entry in entries)
    return None if insists and plan.fused is None else plan


def device_backend(device: torch.device | str) -> str:
    """Return what steps of parameters on a device run on, which is tried out there.

    Returns:
        "triton"; "torch's fused kernel" or "torch's multi-tensor operations", and why it is not Triton.

    Example:
        >>> from downslope.torch import device_backend
        >>> device_backend("cpu")
        'the compiled kernel, see downslope.kernel.backend()'
    """
    own = torch.empty(0, device=device)
    if not is_elsewhere(own):
        return "the compiled kernel, see downslope.kernel.backend()"
    kernels, why = kernels_for(own.device)
    if kernels is not None:
        return "triton"
    fused = fused_kernel(own.device, (torch.float32,))
    return f"torch's {'multi-tensor operations' if fused is None else 'fused kernel'} ({why})"


def why_not_capturable(params: Sequence[Tensor]) -> str:
    """Return why a step of these parameters cannot be the kernels'."""
    device, need = params[0].device, "`capturable=True` needs a step by Triton's kernels"
    if not is_elsewhere(params[0]):
        return f"{need}, on a device, and the parameters are on {device}. Leave capturable False there."
    _, why = kernels_for(device)
    if why:
        return f"{need}, and there are none for {device}: {why}. Leave capturable False."
    return (
        f"{need}, and they do not take these parameters: what they take is dense, of {', '.join(FORMATS)}, all on one "
        "device, each given once, sharing no memory, no DTensor and no other subclass, with gradients of the same "
        "format and layout, and nobody watching the operations; not by trust_coefficient or adaptive_clip, whose norms "
        "the host waits for. Leave capturable False, and each goes its own way."
    )


def forget_new_velocities(state: State, entries: Sequence[Entry]) -> None:
    """Take back the velocities that a step has made and then not used: by them another way knows first gradients."""
    for entry in entries:
        if entry.is_undampened and entry.velocity is not None:
            forget_velocity(state[entry.param])


def _laid_out_as(tensor: Tensor, other: Tensor) -> bool:
    """Whether two tensors of one shape have their elements in one order; strides of dimensions of 1 mean nothing."""
    if tensor.stride() == other.stride() or not tensor.numel():
        return True
    return all(a == b or size == 1 for a, b, size in zip(tensor.stride(), other.stride(), tensor.shape, strict=True))


@cache
def fused_kernel(device: torch.device, dtypes: tuple[torch.dtype, ...]) -> Any:
    """Return torch's fused kernel if it takes these formats on a device, which is tried out; else None."""
    kernel: Any = getattr(torch, "_fused_sgd_", None)
    if kernel is None:
        return None
    try:
        for dtype in dtypes:
            param, grad, velocity = (torch.zeros(1, dtype=dtype, device=device) for _ in range(3))
            found = torch.zeros((), device=device)
            numbers = {"weight_decay": 0.0, "momentum": 0.5, "lr": 0.0, "dampening": 0.0}
            flags = {"nesterov": False, "maximize": False, "is_first_step": False}
            kernel([param], [grad], [velocity], **numbers, **flags, grad_scale=None, found_inf=found)
    except (RuntimeError, TypeError):  # none for this device or format; or, in another torch, with other arguments
        return None
    return kernel


# What is known of a step on the device alone


@dataclass
class Held:
    """Gradients that were not finite, found on a device, of which the host does not know yet.

    From such a step on nothing moves, until the host asks.

    Attributes:
        found: 1 once there was one, else 0; float32, 0-d.
        good: Steps before it.
        norms: The norm of each gradient in that step, or in the last one.
        names: What to call each of them.
        params: The parameters, in the plan's order.
        since: The step at which this began.
    """

    found: Tensor
    good: Tensor
    norms: Tensor
    names: list[str]
    params: list[Tensor]
    since: int

    def observe(self, norms: Tensor, norm: Tensor) -> None:
        """Take in the norms of a step."""
        # in place, so that a recorded step goes on from them
        self.norms.copy_(torch.where(self.found > 0, self.norms, norms))
        self.found.copy_(torch.maximum(self.found, (~torch.isfinite(norm)).float()))
        self.good.add_(1 - self.found)

    def check(self) -> None:
        """Wait for the device, and raise if a gradient was not finite.

        Raises:
            NonFiniteGradientError: With the step and the parameters' names.
        """
        found, good, *norms = torch.cat([torch.stack([self.found, self.good]), self.norms.flatten()]).tolist()
        if found:
            wrong = [name for name, norm in zip(self.names, norms, strict=True) if not math.isfinite(norm)]
            raise nonfinite(wrong, self.since + int(good))


def norms_of(plan: DevicePlan, grads: Sequence[Tensor]) -> Tensor:
    """Return the norm of each gradient, by `places_by_dtype`, in float64 where the device has it."""
    wide = _widest(plan.device)
    by_dtype = [[grads[place] for place in places] for places in plan.places_by_dtype]
    return torch.stack([norm for same in by_dtype for norm in torch._foreach_norm(same, 2.0, dtype=wide)])


def names_of(groups: Groups, plan: DevicePlan) -> list[str]:
    """Return the parameters' names in the order of `norms_of`."""
    known = {
        id(param): group_values.parameter_name(group, i, j)
        for i, group in enumerate(groups)
        for j, param in enumerate(group["params"])
    }
    return [known[id(plan.params[place])] for places in plan.places_by_dtype for place in places]


@cache
def _widest(device: torch.device) -> torch.dtype:
    try:
        torch.zeros((), dtype=torch.float64, device=device)
    except (RuntimeError, TypeError):
        return torch.float32
    return torch.float64


def step_on_device(
    plan: DevicePlan,
    groups: Groups,
    options: StepOptions,
    shared: MutableMapping[str, Any],
    scalars: list[StepScalars],
    grad_scale: float | LossScale = 1.0,
) -> bool:
    """Take a step of a plan that holds.

    Args:
        plan: The plan.
        groups: The optimizer's.
        options: Its options.
        shared: Its table of options, of `grad_norm`, which is set, and of what is `held`.
        scalars: The step's, by group.
        grad_scale: Factor on every gradient. Of a `LossScale` the host need not learn whether a gradient was not finite
            and so nothing moved; its `found` is set.

    Returns:
        Whether the step was taken; if not, nothing was done, and another way must be gone.

    Raises:
        NonFiniteGradientError: If a gradient is not finite and the optimizer is to raise at once.
    """
    grads = grads_of(plan.params)
    if not plan.fits(grads):
        return False
    held: Held | None = shared.get("held") if options.on_nonfinite == "raise" else None
    is_scaled = isinstance(grad_scale, LossScale)
    stops = held is not None or is_scaled
    waits = options.asks and options.on_nonfinite != "ignore" and not stops
    multiplied = is_scaled or (options.clip_norm is not None and not waits)
    own_factor = 1.0 if multiplied or isinstance(grad_scale, LossScale) else grad_scale
    if waits and not isinstance(grad_scale, LossScale):
        known = _factor_known_here(plan, grads, options, shared, grad_scale)
        if known is None:
            return False
        own_factor = known
    if own_factor < SMALL_FACTOR:  # more than coefficients can carry
        return False
    own = scaled(groups, scalars, own_factor)
    if plan.kernel is not None:
        factor, found = (None, None) if waits else _asked_there(plan, grads, options, shared, grad_scale)
        _step_by_kernel(plan.kernel, groups, options, grads, own, factor, found)
        return True
    forms = [form for bucket in plan.buckets if (form := _form(plan, bucket, own, stops=stops)) is not None]
    if len(forms) < len(plan.buckets) or (stops and not _can_stop(plan)):
        return False
    factor, found = (None, None) if waits else _asked_there(plan, grads, options, shared, grad_scale)
    with torch.no_grad():
        for bucket, form in zip(plan.buckets, forms, strict=True):
            _apply(plan, bucket, form, [grads[place] for place in bucket.places], factor, found)
    return True


def _step_by_kernel(
    kernel: KernelPlan,
    groups: Groups,
    options: StepOptions,
    grads: Sequence[Tensor],
    scalars: Scalars,
    factor: Tensor | None,
    found: Tensor | None,
) -> None:
    if is_recording(kernel.device):
        raise ImplementationError(
            "a step is recorded in a graph, and would be the same step at every run of it: it was given its numbers by "
            "the host. Pass capturable=True, and each run is the next step."
        )
    key = step_key(options.rounding_seed, groups[0]["step"]) if kernel.draws else 0
    there = kernel.upload(grads, kernel.coefficients(scalars), key)
    kernel.launch(there if factor is None else there.with_factor(factor), found)


def step_counted_there(
    plan: DevicePlan,
    grads: Sequence[Tensor],
    options: StepOptions,
    shared: MutableMapping[str, Any],
    grad_scale: float | LossScale,
    numbers: DeviceNumbers,
) -> None:
    """Take a step of which the host knows no number, and which may be recorded."""
    kernel = plan.kernel
    assert kernel is not None  # noqa: S101 -- a plan for such numbers has one
    factor, found = _asked_there(plan, grads, options, shared, grad_scale)
    if factor is None and not isinstance(grad_scale, LossScale) and grad_scale != 1.0:
        factor = torch.full((), grad_scale, dtype=torch.float64, device=plan.device)
    if is_recording(plan.device):
        there, memory = kernel.record_addresses(grads)
        numbers.kept.append((plan, memory))
    else:
        there = kernel.upload(grads, [], 0)
        kernel.make_ready_to_record()
    coefficients, key, stop = numbers.next_step(factor, found, counts_skipped=options.on_nonfinite == "skip")
    kernel.launch(replace(there, rows=coefficients, key=key), stop)


def _asked_there(
    plan: DevicePlan,
    grads: Sequence[Tensor],
    options: StepOptions,
    shared: MutableMapping[str, Any],
    grad_scale: float | LossScale,
) -> tuple[Tensor | None, Tensor | None]:
    """Return what `_factor_known_there` does, if anything asks for it."""
    if options.asks or isinstance(grad_scale, LossScale):
        return _factor_known_there(plan, grads, options, shared, grad_scale)
    return None, None


def _factor_known_here(
    plan: DevicePlan,
    grads: Sequence[Tensor],
    options: StepOptions,
    shared: MutableMapping[str, Any],
    grad_scale: float,
) -> float | None:
    """Return the factor on all gradients, clipping included, for which the host waits; None if one is not finite.

    Whether such a step counts is the host's to know: it decides what schedules say next, or raises.
    """
    norm = float(torch.linalg.vector_norm(norms_of(plan, grads)))
    if not math.isfinite(norm):
        return None
    shared["grad_norm"] = norm * grad_scale
    clip = options.clip_norm
    return grad_scale if clip is None or norm * grad_scale <= clip else clip / norm


def _factor_known_there(
    plan: DevicePlan,
    grads: Sequence[Tensor],
    options: StepOptions,
    shared: MutableMapping[str, Any],
    grad_scale: float | LossScale,
) -> tuple[Tensor | None, Tensor | None]:
    """Return the factor that gradients are multiplied by, and what is 1 where nothing is to move; None for neither."""
    norms = norms_of(plan, grads)
    norm = torch.linalg.vector_norm(norms)
    scale: Any = grad_scale
    if isinstance(grad_scale, LossScale):
        scale = grad_scale.value.to(norm.dtype).reciprocal()
    shared["grad_norm"] = scaled_norm = norm * scale  # fetched when it is asked for
    factor = scale if isinstance(grad_scale, LossScale) else None
    if options.clip_norm is not None:
        factor = torch.clamp(options.clip_norm / norm, max=scale)
    if isinstance(grad_scale, LossScale):
        grad_scale.found = (~torch.isfinite(scaled_norm)).float()
        return factor, grad_scale.found
    if options.on_nonfinite == "skip":  # where the device counts the steps
        return factor, (~torch.isfinite(norm)).float()
    held: Held | None = shared.get("held") if options.on_nonfinite == "raise" else None
    if held is None:
        return factor, None
    held.observe(norms, norm)
    return factor, held.found


def stopping_number(shared: Mapping[str, Any], options: StepOptions, grad_scale: float | LossScale) -> Tensor | None:
    """Return what is above 0 on the device where a step there has moved nothing; None where it surely has."""
    if isinstance(grad_scale, LossScale):
        return grad_scale.found
    held: Held | None = shared.get("held") if options.on_nonfinite == "raise" else None
    return None if held is None else held.found


def _can_stop(plan: DevicePlan) -> bool:
    """Whether a step can be kept from moving anything by a number on the device."""
    return plan.fused is not None and all(bucket.dtype != torch.float64 for bucket in plan.buckets)


def _form(
    plan: DevicePlan, bucket: Bucket, scalars: tuple[Sequence[StepScalars], Sequence[StepScalars]], *, stops: bool
) -> FusedForm | InPlaceStep | None:
    """Return how a bucket is stepped: fused if it can be, else by multi-tensor operations; None if by neither."""
    step = in_place_step(scalars[bucket.is_undampened][bucket.group])
    if plan.fused is not None:
        for dtype in (bucket.dtype, torch.float32):  # what a narrow format cannot have in one pass, float32 can
            form = fused_form(step, dtype, has_velocity=bool(bucket.velocities))
            if form is not None or dtype in _WIDE:
                return form if form is not None or stops else step
    return None if stops else step


def _apply(
    plan: DevicePlan,
    bucket: Bucket,
    form: FusedForm | InPlaceStep,
    grads: list[Tensor],
    factor: Tensor | None,
    found: Tensor | None,
) -> None:
    params, velocities = bucket.params, bucket.velocities
    if bucket.dtype in _WIDE or (isinstance(form, FusedForm) and not form.beside):
        _apply_to(plan, form, params, grads, velocities, factor, found)
        return
    for part in _chunks(params):  # computed in float32 and rounded once, some of the parameters at a time
        wide_params, wide_grads = _widened(params[part]), _widened(grads[part])
        wide_velocities = _widened(velocities[part])
        _apply_to(plan, form, wide_params, wide_grads, wide_velocities, factor, found)
        torch._foreach_copy_(params[part], wide_params)
        if velocities:
            torch._foreach_copy_(velocities[part], wide_velocities)


def _apply_to(
    plan: DevicePlan,
    form: FusedForm | InPlaceStep,
    params: list[Tensor],
    grads: list[Tensor],
    velocities: list[Tensor],
    factor: Tensor | None,
    found: Tensor | None,
) -> None:
    dtype, divisor = params[0].dtype, None
    if factor is not None and dtype in _WIDE:
        grads = list(torch._foreach_mul(grads, factor.to(dtype)))
    if isinstance(form, InPlaceStep):
        apply_multi_tensor(params, grads, velocities or None, form)
        return
    if factor is not None and dtype not in _WIDE:
        # a factor of 8 bits would be none; the kernel divides in float32, and writes into what it reads: copies
        grads, divisor = list(torch._foreach_mul(grads, 1.0)), factor.reciprocal().float()
    if form.beside and found is None:
        torch._foreach_add_(params, params, alpha=form.beside)
    elif form.beside and found is not None:
        share = torch.where(found > 0, 0.0, form.beside).to(dtype)
        for part in _chunks(params):
            torch._foreach_add_(params[part], torch._foreach_mul(params[part], share))
    kernel: Any = plan.fused
    kernel(
        params,
        grads,
        velocities,
        weight_decay=form.weight_decay,
        momentum=form.momentum,
        lr=form.lr,
        dampening=form.dampening,
        nesterov=form.nesterov,
        maximize=False,
        is_first_step=False,
        grad_scale=divisor,
        found_inf=found,
    )


def _widened(tensors: list[Tensor]) -> list[Tensor]:
    """Return copies in float32."""
    copies = [torch.empty_like(tensor, dtype=torch.float32) for tensor in tensors]
    if copies:
        torch._foreach_copy_(copies, tensors)
    return copies


def _chunks(params: Sequence[Tensor]) -> Iterator[slice]:
    """Yield runs of parameters of about `_AT_ONCE` elements."""
    start = size = 0
    for place, param in enumerate(params):
        size += param.numel()
        if size >= _AT_ONCE:
            yield slice(start, place + 1)
            start, size = place + 1, 0
    if start < len(params):
        yield slice(start, len(params))


def begin_to_hold(groups: Groups, plan: DevicePlan) -> Held:
    """Return what holds the news of gradients that are not finite from this step on."""
    zero = torch.zeros((), device=plan.device)
    names = names_of(groups, plan)
    norms = torch.zeros(len(names), device=plan.device, dtype=_widest(plan.device))
    return Held(zero, zero.clone(), norms, names, plan.params, groups[0]["step"])
