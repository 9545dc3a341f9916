"""The step on Keras's JAX backend: in a compiled program, by the compiled kernel where it can take a variable.

The operation that XLA sees, and where it is the plain step instead, is in `kernel/xla.py`. Imported on the JAX backend
only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from keras import ops

from downslope.core.rule import StepScalars
from downslope.core.schedules import Schedule
from downslope.core.schedules.traced import double_precision
from downslope.keras.rule_step import move, scalars_of
from downslope.keras.schedules import value_at
from downslope.keras.traced_numbers import Number, computing_format
from downslope.keras.variables import VariableRule
from downslope.kernel.arrays import leave_float32
from downslope.kernel.coefficients import six_coefficients
from downslope.kernel.xla import TENSORS_PER_CALL, has_kernel, is_registered, step_in_place


class Row(NamedTuple):
    """What meets in the step of one variable: JAX's arrays, what applies, and its position among the variables."""

    param: Any
    grad: Any
    velocity: Any
    rule: VariableRule
    position: int


class SixNumbers(NamedTuple):
    """The six coefficients of a rule at one step, float64, and whether float32 can hold those that are known."""

    array: Any
    fit: bool


def step_by_kernel(
    variables: Sequence[Any],
    grads: Sequence[Any],
    momentums: Sequence[Any],
    rules: Sequence[VariableRule],
    iterations: Any,
    learning_rate: Any,
    schedule: Schedule | None,
    scalars: Callable[[VariableRule, str, Any], StepScalars],
) -> dict[int, tuple[Any, Any]]:
    """Return what the kernel makes of the variables that it takes: (param, velocity) by position.

    Args:
        variables: The variables.
        grads: Their gradients.
        momentums: Their momentum variables, None where one has none.
        rules: What applies to each.
        iterations: The step, a variable, traced or not.
        learning_rate: Learning rate of this step, a number, tensor or variable.
        schedule: The schedule of ours that it comes from, if it does.
        scalars: From a rule, a format and a learning rate to the scalars of this step.
    """
    rows = _fit_rows(variables, grads, momentums, rules)
    numbers: dict[int, SixNumbers] = {}
    with double_precision(jnp):
        # not yet rounded to Keras's float32
        exact = value_at(schedule, iterations).value if schedule is not None and rows else learning_rate
        for rule in {id(row.rule): row.rule for row in rows}.values():
            six = [Number(c).value for c in six_coefficients(scalars(rule, "float64", exact))]
            fit = not leave_float32(c for c in six if isinstance(c, int | float))
            numbers[id(rule)] = SixNumbers(jnp.stack([jnp.asarray(c, jnp.float64) for c in six]), fit)
    taken = [row for row in rows if row.param.dtype == "float64" or numbers[id(row.rule)].fit]
    moved: dict[int, tuple[Any, Any]] = {}
    for start in range(0, len(taken), TENSORS_PER_CALL):
        moved |= _by_one_call(taken[start : start + TENSORS_PER_CALL], numbers, iterations, learning_rate)
    return moved


def _fit_rows(
    variables: Sequence[Any], grads: Sequence[Any], momentums: Sequence[Any], rules: Sequence[VariableRule]
) -> list[Row]:
    """Return the rows that the kernel can take; none unless a program is traced: an array as such never changes."""
    if not is_registered():
        return []
    rows: list[Row] = []
    for position, (variable, grad, momentum, rule) in enumerate(zip(variables, grads, momentums, rules, strict=True)):
        param: Any = ops.convert_to_tensor(variable)
        velocity: Any = None if momentum is None else ops.convert_to_tensor(momentum)
        arrays: list[Any] = [array for array in (param, grad, velocity) if array is not None]
        if (
            not rule.counts_gradients
            and any(isinstance(array, Tracer) for array in arrays)
            and all(isinstance(array, jax.Array) and array.shape == param.shape for array in arrays)
            and has_kernel(param, grad, velocity)
        ):
            rows.append(Row(param, grad, velocity, rule, position))
    return rows


def _by_one_call(
    rows: Sequence[Row], numbers: dict[int, SixNumbers], iterations: Any, learning_rate: Any
) -> dict[int, tuple[Any, Any]]:
    """Return (param, velocity) by position, after one call of the kernel."""
    with_velocity = [row for row in rows if row.velocity is not None]
    rows = [*with_velocity, *(row for row in rows if row.velocity is None)]  # as the kernel's entry wants them
    rules = list({id(row.rule): row.rule for row in rows}.values())

    def plain(params: Sequence[Any], grads: Sequence[Any], velocities: Sequence[Any]) -> list[Any]:
        given = zip(rows, params, grads, [*velocities, *[None] * (len(params) - len(velocities))], strict=True)
        scalars = {}  # those of the enclosing program are of no use within this one
        for wide in {computing_format(param.dtype) for param in params}:
            scalars |= {(id(rule), wide): scalars_of(rule, iterations, learning_rate, wide) for rule in rules}
        moved = []
        for row, param, grad, velocity in given:
            wide = computing_format(param.dtype)
            before, delta, after = move(param, grad, velocity, scalars[id(row.rule), wide], wide)
            if isinstance(before, Number):  # nothing depends on it
                before = ops.cast(param, wide)
            new = before if isinstance(delta, Number) else before + delta
            moved.append((ops.cast(new, param.dtype), None if velocity is None else ops.cast(after, velocity.dtype)))
        return [param for param, _ in moved] + [velocity for _, velocity in moved if velocity is not None]

    places = np.array([rules.index(row.rule) for row in rows])
    with double_precision(jnp):
        coefficients = jnp.stack([numbers[id(rule)].array for rule in rules])[places]
    params, velocities = step_in_place(
        coefficients,
        [row.param for row in rows],
        [row.grad for row in rows],
        [row.velocity for row in with_velocity],
        plain,
    )
    velocities = [*velocities, *[None] * (len(rows) - len(velocities))]
    return {row.position: both for row, both in zip(rows, zip(params, velocities, strict=True), strict=True)}
