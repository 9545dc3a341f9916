"""`SGD`, in the place of ``torch.optim.SGD``: its arguments, the step from closure to count, and what is saved."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from math import sqrt
from operator import is_
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch._C import _len_torch_dispatch_stack, _len_torch_function_stack
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import _profiler_enabled
from torch.compiler import is_compiling
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from downslope.core.averages import checked_ema
from downslope.core.blocks import WORTH_CODES
from downslope.core.errors import ImplementationError, SettingsError
from downslope.core.rule import StepScalars
from downslope.core.settings import Settings
from downslope.torch import group_values
from downslope.torch.average import READING, Averaging, check_not_at_average, follow
from downslope.torch.blocks import INT8, check_can_be_coded, is_worth_codes
from downslope.torch.compiled import handle_of, param_lists, step_in_graph
from downslope.torch.device_numbers import DeviceNumbers, check_not_recording
from downslope.torch.gradients import gradient_scale, is_dense_gradient
from downslope.torch.in_backward import SteppingInBackward
from downslope.torch.on_device import (
    DevicePlan,
    begin_to_hold,
    forget_new_velocities,
    is_elsewhere,
    plan_for_device,
    step_counted_there,
    step_on_device,
    stopping_number,
    why_not_capturable,
)
from downslope.torch.options import (
    LossScale,
    OnNonfinite,
    Option,
    Rounding,
    StepOptions,
    check_implementation,
    check_not_scaled_late,
    check_rounding_has_a_use,
    check_step_in_backward,
    checked_grad_scale,
    checked_rounding,
    refuse_others,
)
from downslope.torch.parameters import Groups, parameters_of
from downslope.torch.state import load_into, plain_state
from downslope.torch.step import REPEATABLE, StepPlan, distinct_grads, grads_of, make_entries, new_lock, step_by_torch
from downslope.torch.tensors import is_watched
from downslope.torch.triton_plan import kernels_for
from downslope.torch.update import Entry

_STRIDED = torch.strided


class SGD(Averaging, SteppingInBackward):
    """SGD with momentum and weight decay: a drop-in for ``torch.optim.SGD``.

    The positional arguments, their defaults and the state are those of ``torch.optim.SGD``; the rule is
    `downslope.core.rule.sgd_rule`. Gradients are never written to.

    Args:
        params: Tensors, (name, tensor) pairs such as ``model.named_parameters()``, dictionaries of groups, or a module.
            With names, states are loaded by name and errors name the parameter.
        lr: Learning rate: a number, a one-element tensor, or a schedule in steps.
        momentum: Momentum, or a schedule; 1 or more, with which velocities never fade, is warned of.
        dampening: Dampening; without momentum it does nothing, and a warning says so.
        weight_decay: Strength of weight decay, or a schedule.
        nesterov: Nesterov momentum; needs momentum. With dampening, which torch.optim.SGD refuses, it is the rule's.
        decay: Way of weight decay, see `Settings`; "coupled" is what torch.optim.SGD does.
        lr_in_velocity: Whether lr is inside the velocity, see `Settings`.
        undampened_first_step: Whether a parameter's first gradient is not dampened; torch's way.
        maximize: Whether to ascend.
        nu: Quasi-hyperbolic momentum: the step is nu times the velocity and 1 - nu times the gradient, see `Settings`.
        trust_coefficient: LARS: multiplies each tensor's decayed gradient by its trust ratio, see `Settings`; a group's
            0 leaves its own alone.
        trust_clip: LARC: the trust ratio only lowers lr.
        adaptive_clip: Largest norm of each tensor's gradient as a share of its parameter's; clip_norm comes before it.
        adaptive_clip_by: "unit" for norms of each slice along the first axis, instead of the tensor's; see `Settings`.
        foreach: True for torch's multi-tensor operations, False for one tensor at a time; either instead of the
            kernel. None for the kernel where it can, else multi-tensor.
        differentiable: Whether autograd runs through the step, for example to lr as a tensor.
        fused: None for the compiled kernel wherever it can take a parameter, True to insist on it, False to do
            without it; for parameters on a device, torch's own fused kernel.
        capturable: Whether steps may be recorded in a CUDA graph: counts, numbers and schedules are then on the device,
            where Triton has to be, and each run of the graph is the next step; see `write_to_device`.
        settings: All hyperparameters at once, instead of one by one.
        groups: Settings that differ by name pattern: `Group`s, dictionaries with "match", or one dictionary from a
            pattern to its settings. Patterns need names; "@bias_and_norm" and functions of (name, parameter) do not.
        model: The module that `params` are of, where they come without names, as trainers pass them.
        clip_norm: Largest global norm of the gradients; larger ones are scaled down within the step, and p.grad is
            left as it is. The norm before clipping is then `grad_norm`.
        on_nonfinite: What a gradient with inf or NaN does: "raise" `NonFiniteGradientError`, "skip" the step (no
            parameter, velocity or count moves; `skipped_steps` counts it), or "ignore" it, as torch does.
        velocity_dtype: Format of the velocity; None for that of each parameter. "int8" for codes of 8 bits with a scale
            for each 256 of them; of parameters with fewer than 4096 elements it is float32 then.
        rounding: How bfloat16 parameters are rounded: to "nearest", where small updates are lost; "stochastic", up or
            down at random so that the mean is exact; or "compensated", which keeps what was dropped in a second
            bfloat16 (Kahan). Other formats are rounded to nearest.
        rounding_seed: Seed of stochastic rounding: the same seed, step and parameters give the same bits.
        step_in_backward: Whether ``backward()`` steps each parameter as soon as its gradient is there, and frees the
            gradient; ``step()`` then closes the step. The same bits with hardly any memory for gradients.
        ema: Decay of an average of the weights that the step moves with them; see `averaged`, by which it is read.

    Raises:
        SettingsError: If a value is not allowed; if `fused` is True and the kernel was not built; if `capturable` is
            True with what is not one kernel; if `settings` is given beside hyperparameters; or if `step_in_backward`
            is True with what needs all gradients at once, or under DistributedDataParallel.
        GroupError: If a pattern of `groups` matches nothing, the parameters have no names, or `model` has others.

    Example:
        >>> import torch
        >>> from downslope.torch import SGD
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = SGD(model.named_parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
        >>> model(torch.ones(2)).sum().backward()
        >>> optimizer.step()
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: Any = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        decay: str = "coupled",
        lr_in_velocity: bool = False,
        undampened_first_step: bool = True,
        maximize: bool = False,
        nu: float | None = None,
        trust_coefficient: float | None = None,
        trust_clip: bool = False,
        adaptive_clip: float | None = None,
        adaptive_clip_by: Literal["tensor", "unit"] = "tensor",
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
        capturable: bool = False,
        settings: Settings | None = None,
        groups: Groups = (),
        model: nn.Module | None = None,
        clip_norm: float | None = None,
        on_nonfinite: OnNonfinite = "ignore",
        velocity_dtype: torch.dtype | Literal["int8"] | None = None,
        rounding: Rounding = "nearest",
        rounding_seed: int = 0,
        step_in_backward: bool = False,
        ema: float | None = None,
        **unknown: Any,
    ) -> None:
        refuse_others(unknown, _ARGUMENTS, "downslope.torch.SGD")
        values: dict[str, Any] = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "decay": decay,
            "lr_in_velocity": lr_in_velocity,
            "undampened_first_step": undampened_first_step,
            "maximize": maximize,
            "nu": nu,
            "trust_coefficient": trust_coefficient,
            "trust_clip": None if trust_clip is False else trust_clip,
            "adaptive_clip": adaptive_clip,
            "adaptive_clip_by": None if adaptive_clip_by == "tensor" else adaptive_clip_by,
        }
        settings, values = group_values.checked_settings(settings, values)
        check_implementation(foreach=foreach, differentiable=differentiable, fused=fused, capturable=capturable)
        self._begin()
        options = StepOptions(clip_norm, on_nonfinite, velocity_dtype, rounding_seed, differentiable)
        self.shared["options"], self.shared["capturable"] = options, capturable
        defaults = group_values.defaults_from(settings, values)
        defaults |= {"foreach": foreach, "differentiable": differentiable, "fused": fused}
        defaults["rounding"] = checked_rounding(rounding, differentiable=differentiable)
        defaults["ema"] = checked_ema(ema)
        defaults |= self._own_defaults
        params, around = parameters_of(params, groups, model, lr=values.get("lr", settings.lr))
        super().__init__(params, defaults)
        self._around = around  # for groups to come; those of now have bare names
        check_rounding_has_a_use(self.param_groups)
        self._check_can_be_coded()
        self.step_in_backward = check_step_in_backward(step_in_backward, options, capturable=capturable)
        if step_in_backward:
            self._begin_stepping_in_backward()

    _own_defaults: Mapping[str, Any] = MappingProxyType({})
    """Defaults of what a relative's groups hold besides; it sets them before `SGD.__init__`."""

    clip_norm = Option()
    on_nonfinite = Option()
    velocity_dtype = Option()
    rounding_seed = Option()

    @property
    def grad_norm(self) -> float | None:
        """Global norm of the last step's gradients before clipping, if the step needed it, else None.

        Of parameters on a device it may still be there; asking for it waits for that.
        """
        norm = self.shared["grad_norm"]
        return float(norm) if isinstance(norm, Tensor) else norm

    @grad_norm.setter
    def grad_norm(self, norm: float | None) -> None:
        self.shared["grad_norm"] = norm

    @property
    def step_count(self) -> int:
        """Steps done, skipped ones not counted: the step at which schedules are read next."""
        self._count_pending()
        return self.param_groups[0]["step"]

    @step_count.setter
    def step_count(self, step: int) -> None:
        step = group_values.plain(step)
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            raise SettingsError(f"`step_count` must be an integer >= 0; got {step!r}.")
        self._count_pending()
        for group in self.param_groups:
            group["step"] = step
            group_values.write_scheduled_values(group, step)
        if (numbers := self._numbers) is not None:
            numbers.set_step(step)

    @property
    def step_was_skipped(self) -> bool:
        """Whether the last call of `step` skipped it because a gradient was not finite; False before the first."""
        if (numbers := self._numbers) is not None:
            return bool(numbers.stop)
        calls, found = self.shared.get("last_skip", (-1, False))
        return calls == self._calls() and bool(found)

    @property
    def skipped_steps(self) -> int:
        """Steps skipped because a gradient was not finite."""
        self._count_pending()
        return self.param_groups[0]["skipped"]

    def write_to_device(self) -> None:
        """Write what was changed in `param_groups` to the device, where recorded steps read it (`capturable=True`).

        An ordinary step does so by itself. An lr or a weight decay that is a tensor on the device is read there by
        every step, recorded or not: ``group["lr"].fill_(0.01)``.

        Raises:
            SettingsError: If a value is not allowed, recorded steps read other tensors than the groups have now, or the
                optimizer is not capturable.
            ImplementationError: If a step is being recorded.
        """
        if not self.shared.get("capturable"):
            raise SettingsError(
                "`write_to_device` is for an optimizer with `capturable=True`; others read their groups."
            )
        if (numbers := self._numbers) is not None:  # else the first step writes everything
            numbers.write(self.param_groups, self.rounding_seed)
            numbers.check_recorded()

    @property
    def _numbers(self) -> DeviceNumbers | None:
        return self.shared.get("numbers")

    def hold_nonfinite(self) -> None:
        """Have ``on_nonfinite="raise"`` raise later: by `raise_held`, so that no step waits for a device.

        From the first gradient that is not finite on no step moves anything, as if the error had been raised at once.
        It holds for parameters on a device; others raise as before.
        """
        self.shared["holds"] = True

    def raise_held(self) -> None:
        """Raise what `hold_nonfinite` has held back; this waits for the device.

        Raises:
            NonFiniteGradientError: If a gradient was not finite at one of the steps so far.
        """
        if (held := self.shared.get("held")) is not None:
            held.check()

    def _settle_held(self) -> None:
        """Raise what is held back, or hold nothing from here on."""
        self.raise_held()
        self.shared.pop("held", None)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; hyperparameters that it does not state are the optimizer's defaults.

        Args:
            param_group: "params" and any hyperparameter, each a number or a schedule; other keys are kept, as in torch.

        Raises:
            SettingsError: If a value is not allowed, or a key looks like a misspelt hyperparameter.
            GroupError: If a parameter is in another group already, its name is taken, or parameters are in a set.
        """
        if isinstance(param_group, dict):
            param_group = group_values.completed(param_group, self.defaults, self.param_groups, self._around)
        super().add_param_group(param_group)
        if "_around" in self.__dict__:  # else the optimizer is being made
            self._check_can_be_coded()
        self._param_lists[:] = param_lists(self)

    def _check_can_be_coded(self) -> None:
        """Raise if velocities are to be codes and one of the parameters is of a format that has none."""
        if self.velocity_dtype == INT8:
            for index, group in enumerate(self.param_groups):
                for place, param in enumerate(group["params"]):
                    check_can_be_coded(param, group_values.parameter_name(group, index, place))

    def __repr__(self) -> str:
        """Return torch's table of groups, and how many velocities are codes where some are."""
        if self.velocity_dtype != INT8:
            return super().__repr__()
        params = [param for group in self.param_groups for param in group["params"]]
        count = sum(map(is_worth_codes, params))
        others = f"; of the others, which have fewer than {WORTH_CODES} elements, float32"
        return (
            f"{super().__repr__()}\nvelocities of 8 bits: of {count} of {len(params)} parameters"
            f"{others if count < len(params) else ''}"
        )

    def step(self, closure: Callable[[], Any] | None = None, *, grad_scale: float = 1.0) -> Any:
        """Take one step.

        Args:
            closure: Function that clears the gradients, computes the loss, calls backward and returns the loss.
            grad_scale: Factor on every gradient, which costs nothing: 1 / n for the sum of n batches, 1 / scale for a
                loss that was multiplied by scale. `clip_norm` and `grad_norm` are about gradients times this factor.

        Returns:
            What the closure returned, or None.

        Raises:
            NonFiniteGradientError: If a gradient holds inf or NaN and on_nonfinite is "raise"; nothing has moved.
            SettingsError: If a gradient is sparse, or something wrote a value to a group that is not allowed; or if
                `grad_scale` is not a finite number above 0, or comes too late for a step within the backward pass.
        """
        has_hooks = (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _global_optimizer_pre_hooks
            or _global_optimizer_post_hooks
        )
        if is_compiling():
            whole = has_hooks or grad_scale != 1.0
            return self._step_uncompiled(closure, grad_scale=grad_scale) if whole else self._step_compiled(closure)
        if has_hooks or _profiler_enabled():
            return self._step_with_hooks(closure, grad_scale=grad_scale)
        return self._step_with_closure(closure, grad_scale=grad_scale)

    # torch wraps every optimizer's step for hooks and profilers at 5 us a call; here only where there are any.
    step.hooked = True  # type: ignore[attr-defined]

    def _step_with_closure(self, closure: Callable[[], Any] | None = None, *, grad_scale: float = 1.0) -> Any:
        grad_scale = checked_grad_scale(grad_scale)
        if self._in_backward is not None:
            check_not_scaled_late(grad_scale)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._in_backward is None:
            self._step(grad_scale)
        else:
            self._in_backward.close()
        return loss

    _step_with_hooks = Optimizer.profile_hook_step(_step_with_closure)
    _step_uncompiled = torch._disable_dynamo(_step_with_hooks)

    def _step_compiled(self, closure: Callable[[], Any] | None = None) -> Any:
        if self._in_backward is not None or self.shared["options"].differentiable or self.shared.get("capturable"):
            return self._step_uncompiled(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        step_in_graph(self._handle, self._param_lists)
        return loss

    def _step(self, grad_scale: float | LossScale = 1.0) -> None:
        """Take one step, the first of the ways at the top of `step.py` that can be gone."""
        # by hand, since `with` costs twice as much in every step of a small model
        stepping = self._stepping
        stepping.acquire()
        try:
            # asked one by one, since a call of is_watched costs as much as the three together
            if (
                _len_torch_dispatch_stack() or _len_torch_function_stack() or peek_interpreter_stack() is not None
            ) and is_watched():
                self._plan = None
            plan, groups, state = self._plan, self.param_groups, self.state
            if plan is not None and plan.state is REPEATABLE and grad_scale == 1.0:
                options: StepOptions = self.shared["options"]
                squares = plan.repeat(groups, state, options, self.step_scalars)
                if squares is not None:
                    if options.asks:
                        self.shared["grad_norm"] = sqrt(squares)
                    for group in groups:  # by hand: `count_step`, without a call
                        group["step"] += 1
                    return
            if (plan is None or self._device_plan is not None) and self._step_on_device(grad_scale):
                return
            if isinstance(grad_scale, LossScale):
                grad_scale = grad_scale.on_host()
            try:
                self._step_by(plan if plan is not None and plan.is_current(groups, state) else None, grad_scale)
            finally:
                for held in (plan, self._plan):
                    if held is not None:
                        held.let_go()
        finally:
            stepping.release()

    def _count_pending(self) -> None:
        """Count steps as skipped of which the device alone knew that they were; or all steps that it has counted."""
        if (numbers := self._numbers) is not None:
            numbers.settle(self.param_groups)
        if (pending := self.shared.pop("pending", None)) is not None:
            skipped = int(pending)
            for group in self.param_groups:
                group["step"] -= skipped
                group["skipped"] += skipped

    def _step_on_device(self, grad_scale: float | LossScale) -> bool:
        """Take one step of parameters on a device; False if there are others, or they need another way."""
        if self.shared.get("capturable"):
            self._step_counted_there(grad_scale)
            return True
        if self._try_on_device(grad_scale):
            self._plan = None
            return True
        self._settle_held()  # another way would move what is to stay
        return False

    def _try_on_device(self, grad_scale: float | LossScale) -> bool:
        groups, state, options = self.param_groups, self.state, self.shared["options"]
        first = next((param for group in groups for param in group["params"]), None)
        if first is None or not is_elsewhere(first) or options.differentiable or is_watched():
            return False
        pairs = self._params_with_grads()
        if not pairs or (not state and self._is_probe(grads_of(param for _, param in pairs))):
            return False
        plan = self._planned(pairs, None)
        if plan is None:
            return False
        if self.shared.get("holds"):
            self._begin_to_hold(plan)
        if not step_on_device(plan, groups, options, self.shared, self.step_scalars(), grad_scale):
            forget_new_velocities(state, plan.entries)
            self._device_plan = plan  # it was this step's gradients that it could not take
            return False
        self._device_plan = plan if plan.lasts else None
        plan.follow(groups, state, stopping_number(self.shared, options, grad_scale))
        self.count_step()
        if isinstance(grad_scale, LossScale) and (found := grad_scale.found) is not None:
            pending = self.shared.get("pending")
            self.shared["pending"] = found if pending is None else pending + found
            self.shared["last_skip"] = self._calls(), found
        return True

    def _planned(self, pairs: list[tuple[int, Tensor]], numbers: DeviceNumbers | None) -> DevicePlan | None:
        """Return the plan of parameters on a device, the last one if it holds; None if they need another way."""
        groups, state, params = self.param_groups, self.state, [param for _, param in pairs]
        plan, self._device_plan = self._device_plan, None
        if plan is not None and plan.holds(groups, state, params):
            return plan
        check_not_recording(params[0].device)
        entries = self._entries_of(pairs)
        plan = plan_for_device(groups, entries, numbers)
        if plan is None:
            forget_new_velocities(state, entries)
            return None
        held = self.shared.get("held")
        if held is not None and not (len(held.params) == len(params) and all(map(is_, held.params, plan.params))):
            self._settle_held()  # of the parameters that had gradients until now
        return plan

    def _begin_to_hold(self, plan: DevicePlan) -> None:
        if "held" not in self.shared and self.on_nonfinite == "raise":
            self._count_pending()  # since it notes at which step it begins
            self.shared["held"] = begin_to_hold(self.param_groups, plan)

    def _step_counted_there(self, grad_scale: float | LossScale) -> None:
        """Take one step of a capturable optimizer, of which nothing is known here.

        Raises:
            ImplementationError: If it cannot be the kernels', with the reason.
        """
        groups, pairs, options = self.param_groups, self._params_with_grads(), self.shared["options"]
        params = [param for group in groups for param in group["params"]]
        numbers = self._numbers_on(params[0].device) if is_elsewhere(params[0]) and not is_watched() else None
        if numbers is None:
            raise ImplementationError(why_not_capturable(params))
        numbers.write(groups, options.rounding_seed)
        if not pairs:
            numbers.next_step(None, None, counts_skipped=False)
            follow(groups, self.state, stop=numbers.stop)
            return
        is_first = self._device_plan is None and not self.state
        if is_first:
            check_not_recording(numbers.device)
        is_probe = is_first and self._is_probe(grads_of(param for _, param in pairs))
        plan = self._planned(pairs, numbers)
        if plan is None or not plan.fits(grads := grads_of(plan.params)):
            forget_new_velocities(self.state, () if plan is None else plan.entries)
            raise ImplementationError(why_not_capturable(params))
        self._device_plan = plan
        if is_probe:
            return
        self._begin_to_hold(plan)
        step_counted_there(plan, grads, options, self.shared, grad_scale, numbers)
        plan.follow(groups, self.state, numbers.stop)
        if not plan.lasts:  # nothing can be planned while the next step is recorded
            self._device_plan = plan_for_device(groups, self._entries_of(pairs), numbers)

    def _numbers_on(self, device: torch.device) -> DeviceNumbers | None:
        """Return what there is on a device of a capturable optimizer; None where there are no kernels for it."""
        numbers = self._numbers
        if numbers is not None and numbers.device == device and numbers.fits(self.param_groups):
            return numbers
        check_not_recording(device)
        kernels, _ = kernels_for(device)
        if kernels is None:
            return None
        self._count_pending()
        self.shared["numbers"] = DeviceNumbers(kernels, device, self.param_groups)
        return self._numbers

    def _step_by(self, plan: StepPlan | None, grad_scale: float) -> None:
        """Take one step by a plan that holds, or by one made for it; without a plan where operations are watched."""
        groups, state, options = self.param_groups, self.state, self.shared["options"]
        pairs, watched = list[tuple[int, Tensor]](), False
        check_not_at_average(self.shared)
        if plan is None:
            pairs = self._params_with_grads()
            watched = is_watched()
            if not watched and self._is_probe(grads_of(param for _, param in pairs)):
                self._make_plan(pairs)  # which allocates
                follow(groups, state)
                return
        scalars = self.step_scalars()  # before any moves
        factor: float | None = grad_scale
        if options.asks:
            sums = None if plan is None else plan.sum_of_squares()
            grads = distinct_grads(pairs) if plan is None else plan.grads() if sums else plan.distinct_grads()
            factor = gradient_scale(groups, self.shared, grads, sums, factor=grad_scale)
        if factor is None:
            self.count_skipped_step()
            return
        if watched:
            grads, entries = grads_of(param for _, param in pairs), self._entries_of(pairs)
            step_by_torch(groups, state, options, entries, grads, scalars, factor, one_by_one=True)
            follow(groups, state)
        else:
            if plan is None:
                plan = self._plan = self._make_plan(pairs)
            plan.take(groups, state, options, scalars, factor)
        self.count_step()

    def step_scalars(self) -> list[StepScalars]:
        """Return the scalars of this step by group, for all parameters but those at their first gradient."""
        return [self._scalars(index, group) for index, group in enumerate(self.param_groups)]

    def count_step(self) -> None:
        """Count a step that was done."""
        for group in self.param_groups:
            group["step"] += 1

    def count_skipped_step(self) -> None:
        """Count a step that was skipped."""
        for group in self.param_groups:
            group["skipped"] += 1
        self.shared["last_skip"] = self._calls(), True

    def _calls(self) -> int:
        """Return how often `step` was called, whichever of its steps were skipped."""
        return self.param_groups[0]["step"] + self.param_groups[0]["skipped"]

    def _params_with_grads(self) -> list[tuple[int, Tensor]]:
        """Return (group's index, parameter) for every parameter that has a gradient, each of them dense."""
        check_not_at_average(self.shared)
        return [
            (i, param)
            for i, group in enumerate(self.param_groups)
            for param in group["params"]
            if (grad := param.grad) is not None and (grad.layout is _STRIDED or is_dense_gradient(group, i, param))
        ]

    def _entries_of(self, pairs: list[tuple[int, Tensor]]) -> list[Entry]:
        """Return parameters as a step sees them; those at their first gradient get their velocity here."""
        positions = {id(p): i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        homes = [(index, param, positions[id(param)]) for index, param in pairs]
        return make_entries(self.param_groups, self.state, self.shared["options"], homes, self.reserved)

    def _make_plan(self, pairs: list[tuple[int, Tensor]]) -> StepPlan:
        """Return the plan of this step."""
        entries, options = self._entries_of(pairs), self.shared["options"]
        return StepPlan(self.param_groups, self.state, entries, differentiable=options.differentiable)

    def _scalars(self, index: int, group: dict[str, Any]) -> StepScalars:
        """Return the scalars of this step for a group's parameters, except those at their first gradient."""
        return group_values.step_scalars(
            group, index, self._known_scalars, differentiable=self.shared["options"].differentiable
        )

    def _is_probe(self, grads: list[Tensor]) -> bool:
        """Whether this is torch.distributed.checkpoint's way to have state allocated: lr 0 and gradients of zeros.

        Nothing may move then, not even by weight decay that does not depend on lr, nor may the count. It cannot be told
        from a first step of all-zero gradients in a warmup from lr 0, which then does not count either.
        """
        return (
            not self.state
            and all(group_values.lr_of(group, index) == 0 for index, group in enumerate(self.param_groups))
            and bool(grads)
            and not any(grad.is_meta or grad.any() for grad in grads)
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state: what ``torch.optim.SGD`` returns and loads, and what this optimizer adds to each group.

        Schedules are written as plain tables, so that ``torch.load(weights_only=True)`` reads what was saved.
        """
        self._count_pending()
        return plain_state(super().state_dict())

    def load_state_dict(
        self,
        state_dict: dict[str, Any],
        strict: bool = True,
        *,
        hyperparameters: Literal["load", "keep"] = "load",
    ) -> None:
        """Load a state of this optimizer or of ``torch.optim.SGD``; no number of a velocity is lost but with a warning.

        Parameters are matched by name where both sides have names (``named_parameters()``), else by position. All is
        checked before anything changes.

        Args:
            state_dict: What `state_dict` returned.
            strict: Whether a parameter that is missing, unexpected, in another group, or of another shape or format is
                an error. If not, what fits is loaded, and a warning lists the rest.
            hyperparameters: "load" takes the groups' hyperparameters from the state, as torch does, with a warning that
                names those that change; "keep" leaves this optimizer's.

        Raises:
            StateError: If something does not fit; the message lists all of it.
        """
        self._count_pending()  # of steps that were before, as is what is held
        self.shared.pop("last_skip", None)
        self.shared.pop("numbers", None)
        load_into(self, state_dict, strict=strict, hyperparameters=hyperparameters)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up what `__getstate__` or loading gives; plans are made anew."""
        self._begin()
        for word in ("held", "numbers"):
            self.shared.pop(word, None)
        super().__setstate__(state)
        self._param_lists[:] = param_lists(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return what deepcopy and pickle carry."""
        self._count_pending()
        shared = {word: value for word, value in self.shared.items() if word not in ("numbers", READING)}
        return {**super().__getstate__(), "shared": shared, "_around": self._around}

    def _begin(self) -> None:
        """Have everything that a new object has, and forget the plans of an old one."""
        self._forget_plans()
        if "_handle" not in self.__dict__:  # a copy gets its own
            self._handle = handle_of(self)
            self._stepping = new_lock()  # a second thread's step begins where the first one's ends
            self._param_lists: list[list[Tensor]] = []
            self._around = ""
            self.shared: dict[str, Any] = {"grad_norm": None, "capturable": False}
            self._have_no_hooks()

    def _forget_plans(self) -> None:
        self._plan: StepPlan | None = None
        self._device_plan: DevicePlan | None = None
        self._known_scalars: group_values.Known = {}


_ARGUMENTS = [name for name in inspect.signature(SGD.__init__).parameters if name not in ("self", "unknown")]
