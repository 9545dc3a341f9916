"""The step on Keras's torch backend: every variable at once, by the compiled kernel where it can take them.

Imported on the torch backend only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from downslope.core.rule import StepScalars
from downslope.core.schedules import Schedule
from downslope.keras.traced_numbers import Number
from downslope.keras.variables import VariableRule
from downslope.kernel import load_native, use_threads
from downslope.kernel.coefficients import six_coefficients
from downslope.kernel.marks import teach_marks
from downslope.kernel.rows import Row

teach_marks()

_EXCHANGE: Any = getattr(Tensor, "__dlpack_c_exchange_api__", None)
"""torch's table of DLPack functions, by which the kernel looks at a tensor."""


class KernelPlan:
    """Variables that the kernel steps, as torch's tensors.

    Args:
        variables: The variables of a step, in order.
        momentums: Their momentum variables, None where one has none.
        rules: What applies to each.

    Attributes:
        inside: Positions of those that the kernel takes.
    """

    def __init__(self, variables: Sequence[Any], momentums: Sequence[Any], rules: Sequence[VariableRule]) -> None:
        """Find the variables that the kernel can take."""
        self._variables = list(variables)
        self._momentums = list(momentums)
        self._taken: list[tuple[int, Tensor, Tensor | None, int]] = []  # position, param, velocity, rule
        self._rules: list[VariableRule] = []
        for position, (variable, momentum, rule) in enumerate(zip(variables, momentums, rules, strict=True)):
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

    def step(
        self, grads: Sequence[Any], rate: float, scalars: Callable[[VariableRule, str, Any], StepScalars]
    ) -> frozenset[int]:
        """Step what the kernel takes, and return the positions of what was stepped: those `inside`, or none."""
        if not self._taken:
            return frozenset()
        rows: list[tuple[Any, ...]] = []
        for position, param, velocity, rule in self._taken:
            grad = grads[position]
            if type(grad) is not Tensor or grad.layout != torch.strided or grad.shape != param.shape:
                return frozenset()
            own = grad if grad.dtype == param.dtype and grad.is_contiguous() else grad.to(param).contiguous()
            rows.append(Row(param, own, velocity=velocity, kind=rule, place=position))
        coefficients = self._coefficients_at(rate, scalars)
        native: Any = load_native()
        use_threads()
        try:
            native.step_tensors(_EXCHANGE, rows, coefficients, 0)
        except ValueError:  # a tensor was changed in place since; every row is looked at before anything moves
            return frozenset()
        torch._C._increment_version(self._written)  # what is written behind autograd's back is a change for it
        return self.inside

    def _coefficients_at(self, rate: float, scalars: Callable[[VariableRule, str, Any], StepScalars]) -> list[float]:
        if self._coefficients is None or self._coefficients[0] != rate or not self._constant:
            of_rules = [scalars(rule, "float64", rate) for rule in self._rules]
            flat = [float(Number(number).value) for own in of_rules for number in six_coefficients(own)]
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
        and native.fit(_EXCHANGE, Row(param, param, velocity=velocity))
    )
