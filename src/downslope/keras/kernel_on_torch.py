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
from downslope.keras.traced_numbers import Number
from downslope.kernel import load_native, use_threads
from downslope.kernel.coefficients import ROUNDINGS, six_coefficients
from downslope.kernel.marks import teach_marks

teach_marks()

if TYPE_CHECKING:
    from downslope.keras.sgd import SGD

_EXCHANGE: Any = getattr(Tensor, "__dlpack_c_exchange_api__", None)
"""torch's table of DLPack functions, by which the kernel looks at a tensor."""


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
    """Variables that the kernel steps, as torch's tensors.

    Args:
        optimizer: The optimizer, built.
        variables: The variables of a step, in order.

    Attributes:
        inside: Positions of those that the kernel takes.
    """

    def __init__(self, optimizer: SGD, variables: Sequence[Any]) -> None:
        """Find the variables that the kernel can take."""
        self._variables = list(variables)
        self._momentums: list[Any] = []
        self._taken: list[tuple[int, Tensor, Tensor | None, int]] = []  # position, param, velocity, rule
        self._rules: list[Any] = []
        momentums: Any = optimizer.momentums
        for position, variable in enumerate(variables):
            index = optimizer._get_variable_index(variable)
            rule, momentum = optimizer._held.rules[index], momentums[index]
            self._momentums.append(momentum)
            velocity = None if momentum is None else momentum.value.detach()
            param = variable.value.detach()
            if rule.counts_gradients or not _is_taken(param, velocity):
                continue
            if rule not in self._rules:
                self._rules.append(rule)
            self._taken.append((position, param, velocity, self._rules.index(rule)))
        self.inside = frozenset(position for position, *_ in self._taken)
        self._tensors = self._present(variables)
        self._written = [tensor for tensor in self._tensors if tensor is not None]
        self._constant = not any(
            isinstance(value, Schedule)
            for rule in self._rules
            for value in (rule.settings.momentum, rule.settings.weight_decay, *([rule.settings.lr] * rule.own_lr))
        )
        self._coefficients: tuple[float, list[float]] | None = None

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
        if not self._taken:
            return False
        rows: list[tuple[Any, ...]] = []
        for position, param, velocity, rule in self._taken:
            grad = grads[position]
            if type(grad) is not Tensor or grad.layout != torch.strided or grad.shape != param.shape:
                return False
            own = grad if grad.dtype == param.dtype and grad.is_contiguous() else grad.to(param).contiguous()
            rows.append((param, own, velocity, None, rule, ROUNDINGS["nearest"], position, 0))
        coefficients = self._coefficients_at(optimizer, rate)
        native: Any = load_native()
        use_threads()
        try:
            native.step_tensors(_EXCHANGE, rows, coefficients, 0)
        except ValueError:  # a tensor was changed in place since; every row is looked at before anything moves
            return False
        torch._C._increment_version(self._written)  # what is written behind autograd's back is a change for it
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
        and _EXCHANGE is not None
        and all(
            type(tensor) is Tensor and tensor.device.type == "cpu" and tensor.is_contiguous() and not tensor.is_neg()
            for tensor in (param, velocity)
            if tensor is not None
        )
        and native.fit(_EXCHANGE, (param, param, velocity, None), ROUNDINGS["nearest"])
    )
