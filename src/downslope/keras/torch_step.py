"""The step on Keras's torch backend: every variable at once, by the compiled kernel where it can take them.

What lives here: which of the optimizer's tensors the kernel takes, and handing them over. What does not: any
arithmetic; the kernel has none but that of its six numbers (`kernel/coefficients.py`), and every other variable takes
the step that all backends share (`sgd.py`). Imported on the torch backend only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from keras.src.backend.common.stateless_scope import in_stateless_scope  # Keras does not export the question
from torch import Tensor

from downslope.core.schedules import Schedule
from downslope.keras.numbers import Number
from downslope.kernel import load_native, use_threads
from downslope.kernel.coefficients import FORMATS, NO_VELOCITY, ROUNDINGS, six_coefficients

if TYPE_CHECKING:
    from downslope.keras.sgd import SGD

_CODES = {getattr(torch, name): code for name, code in FORMATS.items()}
_VELOCITY = "velocity"


@torch.no_grad()
def step_all(
    optimizer: SGD, grads: Sequence[Any], variables: Sequence[Any], learning_rate: Any, others: Callable[..., None]
) -> None:
    """Step variables, by the kernel if it takes them, else one by one.

    Args:
        optimizer: The optimizer, built.
        grads: Their gradients.
        variables: The variables.
        learning_rate: Learning rate of this step, a number, tensor or variable.
        others: What steps the variables that the kernel does not take; called with gradients, variables and lr.
    """
    rate = float(getattr(learning_rate, "value", learning_rate))
    held = optimizer._held
    plan = held.plan
    taken: frozenset[int] = frozenset()
    if not in_stateless_scope():  # in which nothing may be written in place
        if plan is None or not plan.is_current(variables):
            plan = held.plan = KernelPlan(optimizer, variables)
        taken = plan.inside if plan.step(optimizer, grads, rate) else taken
    rest = [i for i in range(len(variables)) if i not in taken] if len(taken) < len(variables) else []
    if rest:
        others([grads[i] for i in rest], [variables[i] for i in rest], rate)


class KernelPlan:
    """Variables that the kernel steps, as tensors of its own that share their memory.

    Keras passes gradients beside the variables, after clipping and averaging; the kernel's plan reads a tensor's own
    `grad`. So each variable has a twin here, whose `grad` is set for the step, and the model's own are left alone.

    Args:
        optimizer: The optimizer, built.
        variables: The variables of a step, in order.

    Attributes:
        inside: Positions of those that the kernel takes.
    """

    def __init__(self, optimizer: SGD, variables: Sequence[Any]) -> None:
        """Find the variables that the kernel can take, and make its plan."""
        self._variables = list(variables)
        self._momentums: list[Any] = []
        self._twins: list[tuple[int, Tensor]] = []
        self._rules: list[Any] = []
        rows: list[tuple[Any, ...]] = []
        momentums: Any = optimizer.momentums
        for position, variable in enumerate(variables):
            index = optimizer._get_variable_index(variable)
            rule, momentum = optimizer._held.rules[index], momentums[index]
            self._momentums.append(momentum)
            velocity = None if momentum is None else momentum.value.detach()
            twin = variable.value.detach()
            if rule.counts_gradients or not _is_taken(twin, velocity):
                continue
            if rule not in self._rules:
                self._rules.append(rule)
            state = None if velocity is None else {_VELOCITY: velocity}
            codes = _CODES[twin.dtype], _velocity_code(velocity), ROUNDINGS["nearest"]
            rows.append((twin, state, velocity, twin.dtype, None, twin.numel(), self._rules.index(rule), *codes))
            self._twins.append((position, twin))
        self.inside = frozenset(position for position, _ in self._twins)
        self._tensors = self._present(variables)
        self._written = [tensor for tensor in self._tensors if tensor is not None]
        self._constant = not any(
            isinstance(value, Schedule)
            for rule in self._rules
            for value in (rule.settings.momentum, rule.settings.weight_decay, *([rule.settings.lr] * rule.own_lr))
        )
        self._coefficients: tuple[float, list[float]] | None = None
        self._native: Any = None
        if rows:
            native: Any = load_native()
            self._native = native.Plan(rows, Tensor.data_ptr, Tensor.is_contiguous, Tensor.stride, Tensor, _VELOCITY)

    def is_current(self, variables: Sequence[Any]) -> bool:
        """Whether the plan is for these variables, which still have the tensors that it knows."""
        return (
            len(variables) == len(self._variables)
            and all(own is held for own, held in zip(variables, self._variables, strict=True))
            and all(own is held for own, held in zip(self._present(variables), self._tensors, strict=True))
        )

    def _present(self, variables: Sequence[Any]) -> list[Any]:
        return [None if own is None else own._value for own in (*variables, *self._momentums)]

    def step(self, optimizer: SGD, grads: Sequence[Any], rate: float) -> bool:
        """Step what the kernel takes.

        Args:
            optimizer: The optimizer.
            grads: The gradients of all variables, in order.
            rate: Learning rate of this step.

        Returns:
            Whether it was done; if not, nothing has moved.
        """
        if self._native is None:
            return False
        try:
            for position, twin in self._twins:
                grad = grads[position]
                if type(grad) is not Tensor or grad.layout != torch.strided or grad.shape != twin.shape:
                    return False
                twin.grad = grad if grad.dtype == twin.dtype and grad.is_contiguous() else grad.to(twin).contiguous()
            if not self._native.refresh():
                return False
            coefficients = self._coefficients_at(optimizer, rate)
            use_threads()
            torch._C._increment_version(self._written)  # what is written behind autograd's back is a change for it
            self._native.step(coefficients, 0)
        finally:
            for _, twin in self._twins:
                twin.grad = None
            self._native.let_go()
        optimizer._held.has_stepped = True
        return True

    def _coefficients_at(self, optimizer: SGD, rate: float) -> list[float]:
        if self._coefficients is None or self._coefficients[0] != rate or not self._constant:
            scalars = [optimizer._scalars(rule, "float64", rate) for rule in self._rules]
            flat = [float(Number(number).value) for own in scalars for number in six_coefficients(own)]
            self._coefficients = (rate, flat)
        return self._coefficients[1]


def _is_taken(param: Tensor, velocity: Tensor | None) -> bool:
    """Whether the kernel can take a variable and its momentum: on the CPU, contiguous, of formats that it knows."""
    native: Any = load_native()
    return (
        native is not None
        and param.dtype in _CODES
        and (velocity is None or velocity.dtype in _CODES)
        and native.has_kernel(_CODES[param.dtype], _velocity_code(velocity), ROUNDINGS["nearest"])
        and param.numel() > 0
        and all(
            type(tensor) is Tensor and tensor.device.type == "cpu" and tensor.is_contiguous()
            for tensor in (param, velocity)
            if tensor is not None
        )
    )


def _velocity_code(velocity: Tensor | None) -> int:
    return NO_VELOCITY if velocity is None else _CODES[velocity.dtype]
