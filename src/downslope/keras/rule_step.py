"""The step of one variable: its scalars, in the basis in which Keras keeps velocities, and the rule on its tensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
from keras import ops

from downslope.core.rule import StepScalars, sgd_rule
from downslope.core.schedules import Schedule
from downslope.keras.schedules import value_at
from downslope.keras.traced_numbers import Number
from downslope.keras.variables import VariableRule


def scalars_of(rule: VariableRule, step: Any, learning_rate: Any, dtype: str) -> StepScalars:
    """Return the scalars of one step, each a `Number`.

    Keras's momentum variables hold the velocity with its sign turned. That is a change of basis: the rule stays as it
    is when what enters the velocity and what leaves it both change their sign.

    Args:
        rule: What applies to the variable.
        step: Step, 0-based, an integer tensor, at which schedules are read.
        learning_rate: Learning rate of this step, for rules without one of their own.
        dtype: Format in which the step is computed.
    """
    own = rule.settings

    def present(value: Any) -> Number:
        return (value_at(value, step) if isinstance(value, Schedule) else Number(value)).cast(dtype)

    s = own.scalars_from(
        lr=present(own.lr) if rule.own_lr else Number(learning_rate).cast(dtype),
        momentum=present(own.momentum),
        weight_decay=present(own.weight_decay),
        dampening=Number(own.dampening),
    )
    numbers: dict[str, Any] = {
        "grad_scale": Number(s.grad_scale),
        "grad_in": -Number(s.grad_in),
        "velocity_out": -Number(s.velocity_out),
        "coupled_decay": Number(s.coupled_decay),
        "decoupled_decay": Number(s.decoupled_decay),
        "nu": None if s.nu is None else Number(s.nu),
    }
    return replace(s, **numbers)


def move(variable: Any, gradient: Any, velocity: Any, s: StepScalars, wide: str) -> tuple[Any, Any, Any]:
    """Return what one step makes of a variable.

    Args:
        variable: The variable or its tensor.
        gradient: Its gradient; a sparse one is made dense.
        velocity: Its momentum variable, or None.
        s: The scalars, as `scalars_of` returns them.
        wide: Format to compute in.

    Returns:
        The variable before, the delta and the new velocity, in that format; where nothing depends on the variable, and
        its own format is `wide`, it is not read and the number 0 stands for it.
    """
    grad = ops.convert_to_tensor(gradient, dtype=wide, sparse=False)
    param: Any = Number(0.0)
    is_read = not (s.coupled_decay == 0 and s.decoupled_decay == 0)
    if is_read or keras.backend.standardize_dtype(variable.dtype) != wide:
        param = ops.stop_gradient(ops.cast(ops.convert_to_tensor(variable), wide))
    before: Any = Number(0.0) if velocity is None else ops.cast(ops.convert_to_tensor(velocity), wide)
    return param, *sgd_rule(param, grad, before, s)
