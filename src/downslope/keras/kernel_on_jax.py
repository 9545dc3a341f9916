"""The step on Keras's JAX backend: in a compiled program, by the compiled kernel where it can take a variable.

What lives here: which of the optimizer's arrays the kernel takes, and their six numbers. What does not: the operation
that XLA sees, and where it is the plain step instead (`kernel/xla.py`); any arithmetic; and the step of every other
variable, which all backends share (`sgd.py`). Imported on the JAX backend only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from keras import ops

from downslope.core.schedules.traced import double_precision
from downslope.keras.rule_step import move, scalars_of
from downslope.keras.schedules import Scheduled, value_at
from downslope.keras.traced_numbers import Number, computing_format
from downslope.keras.variables import VariableRule
from downslope.kernel.arrays import leave_float32
from downslope.kernel.coefficients import six_coefficients
from downslope.kernel.xla import TENSORS_PER_CALL, has_kernel, is_registered, step_in_place

if TYPE_CHECKING:
    from downslope.keras.sgd import SGD


class Row(NamedTuple):
    """What meets in the step of one variable: JAX's arrays, the variables that they are of, and what applies."""

    param: Any
    grad: Any
    velocity: Any
    variable: Any
    momentum: Any
    rule: VariableRule


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
    rows = _rows(optimizer, grads, variables)
    numbers = _six_numbers(optimizer, {id(row.rule): row.rule for row in rows if row is not None}, learning_rate)
    taken = [row for row in rows if row is not None and (row.param.dtype == "float64" or numbers[id(row.rule)].fit)]
    for start in range(0, len(taken), TENSORS_PER_CALL):
        _by_one_call(optimizer, taken[start : start + TENSORS_PER_CALL], numbers, learning_rate)
    done = {id(row) for row in taken}
    rest = [i for i, row in enumerate(rows) if id(row) not in done]
    if rest:
        others([grads[i] for i in rest], [variables[i] for i in rest], learning_rate)


def _rows(optimizer: SGD, grads: Sequence[Any], variables: Sequence[Any]) -> list[Row | None]:
    """Return what meets in the step of each variable; None where the kernel cannot take it.

    That is all of them unless a program is traced, since an array as such never changes.
    """
    if not is_registered():
        return [None] * len(variables)
    rows: list[Row | None] = []
    momentums: Any = optimizer.momentums
    for grad, variable in zip(grads, variables, strict=True):
        index = optimizer._get_variable_index(variable)
        rule, momentum = optimizer._held.rules[index], momentums[index]
        param: Any = ops.convert_to_tensor(variable)
        velocity: Any = None if momentum is None else ops.convert_to_tensor(momentum)
        arrays: list[Any] = [array for array in (param, grad, velocity) if array is not None]
        fits = (
            not rule.counts_gradients
            and any(isinstance(array, Tracer) for array in arrays)
            and all(isinstance(array, jax.Array) and array.shape == param.shape for array in arrays)
            and has_kernel(param, grad, velocity)
        )
        rows.append(Row(param, grad, velocity, variable, momentum, rule) if fits else None)
    return rows


class SixNumbers(NamedTuple):
    """The six coefficients of a rule at one step, float64, and whether float32 can hold those that are known."""

    array: Any
    fit: bool


def _six_numbers(optimizer: SGD, rules: dict[int, VariableRule], learning_rate: Any) -> dict[int, SixNumbers]:
    """Return the six coefficients of each rule, by its id."""
    driver = optimizer._learning_rate
    found: dict[int, SixNumbers] = {}
    with double_precision(jnp):
        if isinstance(driver, Scheduled) and rules:
            learning_rate = value_at(driver.schedule, optimizer.iterations).value  # not yet rounded to Keras's float32
        for key, rule in rules.items():
            six = [Number(c).value for c in six_coefficients(optimizer._scalars(rule, "float64", learning_rate))]
            fit = not leave_float32(c for c in six if isinstance(c, int | float))
            found[key] = SixNumbers(jnp.stack([jnp.asarray(c, jnp.float64) for c in six]), fit)
    return found


def _by_one_call(optimizer: SGD, rows: Sequence[Row], numbers: dict[int, SixNumbers], learning_rate: Any) -> None:
    """Step variables by one call of the kernel."""
    with_velocity = [row for row in rows if row.velocity is not None]
    rows = [*with_velocity, *(row for row in rows if row.velocity is None)]  # as the kernel's entry wants them
    rules = list({id(row.rule): row.rule for row in rows}.values())

    def plain(params: Sequence[Any], grads: Sequence[Any], velocities: Sequence[Any]) -> list[Any]:
        given = zip(rows, params, grads, [*velocities, *[None] * (len(params) - len(velocities))], strict=True)
        scalars = {}  # those of the enclosing program are of no use within this one
        for wide in {computing_format(param.dtype) for param in params}:
            scalars |= {(id(rule), wide): scalars_of(rule, optimizer.iterations, learning_rate, wide) for rule in rules}
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
    optimizer._held.has_stepped = True
    for row, param in zip(rows, params, strict=True):
        optimizer.assign(row.variable, param)
    for row, velocity in zip(with_velocity, velocities, strict=True):
        optimizer.assign(row.momentum, velocity)
