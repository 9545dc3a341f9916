"""``downslope.jax.take_step``: a step that returns parameters, in place by the compiled kernel where that is possible.

The operation that XLA sees is in `kernel/xla.py`; the six numbers that it takes are derived from the rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer

from downslope.core.schedules.traced import double_precision
from downslope.jax.blocks import CodedVelocity
from downslope.jax.leaves import is_hole
from downslope.jax.scalars import ScalarsOfStep, Six
from downslope.jax.sgd import Row, SGDRule, moved_by, step_coded_row, step_row
from downslope.kernel.arrays import leave_float32
from downslope.kernel.xla import TENSORS_PER_CALL, has_kernel, is_registered, step_in_place

Numbers = dict[int, tuple[Six, Six]]


def take_step(optimizer: optax.GradientTransformation, grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
    """Return the parameters and the state after a step: `optimizer.update` and the addition of its updates in one.

    For an optimizer that `sgd` made, in a program that `jax.jit` compiles for one CPU, parameters move by the compiled
    kernel, in one pass and each rounded once; if parameters and state are donated, in the memory where they lie. For
    any other optimizer, on other and on several devices, without `jit`, under `vmap` and `grad`, without the kernel,
    and for parameters that it does not take (complex ones; gradients of another format), it is `optimizer.update`
    followed by an addition.

    Args:
        optimizer: What `sgd` returned, or any other optax transformation.
        grads: Gradients, a pytree of the parameters' structure; where one is None, the parameter stays as it is.
        state: State of the optimizer.
        params: Parameters.

    Returns:
        Parameters and state; nothing that was passed is changed, unless it was donated.

    Raises:
        SettingsError: As `update` of the optimizer does; StateError and GroupError too.

    Example:
        >>> from functools import partial
        >>> import jax, jax.numpy as jnp
        >>> from downslope.jax import sgd, take_step
        >>> optimizer = sgd(lr=0.5, momentum=0.5)
        >>> @partial(jax.jit, donate_argnums=(0, 1))
        ... def train_step(params, state):
        ...     return take_step(optimizer, {"weight": jnp.array([1.0])}, state, params)
        >>> params = {"weight": jnp.array([1.0])}
        >>> state = optimizer.init(params)
        >>> for _ in range(2):
        ...     params, state = train_step(params, state)
        >>> params["weight"].tolist(), int(state.count)
        ([-0.25], 2)
    """
    rule = getattr(optimizer.update, "__self__", None)
    if not isinstance(rule, SGDRule) or params is None:
        updates, state = optimizer.update(grads, state, params)
        return jax.tree.map(lambda u, p: p if is_hole(u) else moved_by(u, p), updates, params, is_leaf=is_hole), state
    rows, tree = rule.rows_of(grads, state, params)
    known = rule.scalars_of(state)
    results = _steps([row for row in rows if not is_hole(row.grad)], known)
    stepped = [(row.param, row.velocity) if is_hole(row.grad) else next(results) for row in rows]
    new_params, velocities = zip(*stepped, strict=True) if stepped else ((), ())
    return tree.unflatten(new_params), rule.next_state(state, rows, tree, velocities, new_params, known)


def _steps(rows: Sequence[Row], known: ScalarsOfStep) -> Iterator[tuple[Any, Any]]:
    """Yield (param, velocity) of each row after the step, in the order of the rows."""
    numbers = _six_numbers(rows, known)
    fit = _fit_rows(rows, known, numbers)
    by_kernel: dict[int, tuple[Any, Any]] = {}
    for start in range(0, len(fit), TENSORS_PER_CALL):
        part = fit[start : start + TENSORS_PER_CALL]
        by_kernel |= {id(row): moved for row, moved in _by_one_call(part, known, numbers)}
    for row in rows:
        yield by_kernel[id(row)] if id(row) in by_kernel else _by_rule(row, known)


def _by_one_call(rows: Sequence[Row], known: ScalarsOfStep, numbers: Numbers) -> Iterator[tuple[Row, tuple[Any, Any]]]:
    """Yield each row and its (param, velocity) after one call of the kernel, in another order."""
    with_velocity = [row for row in rows if row.velocity is not None]
    rows = [*with_velocity, *(row for row in rows if row.velocity is None)]  # as the kernel's entry wants them

    def plain(params: Sequence[Any], grads: Sequence[Any], velocities: Sequence[Any]) -> list[Any]:
        own = known.again()  # scalars of the enclosing program are of no use within this one
        velocities = [*velocities, *[None] * (len(params) - len(velocities))]
        given = zip(rows, params, grads, velocities, strict=True)
        moved = [_by_rule(row._replace(param=p, grad=g, velocity=v), own) for row, p, g, v in given]
        return [param for param, _ in moved] + [velocity for _, velocity in moved if velocity is not None]

    params, velocities = step_in_place(
        _coefficients(rows, known, numbers),
        [row.param for row in rows],
        [row.grad for row in rows],
        [row.velocity for row in with_velocity],
        plain,
    )
    velocities = [*velocities, *[None] * (len(rows) - len(velocities))]
    return zip(rows, zip(params, velocities, strict=True), strict=True)


def _by_rule(row: Row, known: ScalarsOfStep) -> tuple[Any, Any]:
    """Return (param, velocity) of a row after the step, by the rule in JAX's own operations."""
    if isinstance(row.velocity, CodedVelocity):  # rounded once, as by the kernel
        return step_coded_row(row, known, moves=True)
    delta, velocity = step_row(row, known)
    return moved_by(delta, row.param), velocity


def _six_numbers(rows: Sequence[Row], known: ScalarsOfStep) -> Numbers:
    """Return the six coefficients of each home, by its id: those of a first gradient, then those of all others."""
    return {id(row.home): known.six(row.home) for row in rows}


def _fit_rows(rows: Sequence[Row], known: ScalarsOfStep, numbers: Numbers) -> list[Row]:
    """Return the rows that the kernel takes; none unless JAX is tracing, since an array as such never changes."""
    if not is_registered() or not any(
        isinstance(array, Tracer) for row in rows for array in (known.count, row.grad, row.param, row.velocity)
    ):
        return []
    too_large = {
        home for home, both in numbers.items() if leave_float32(c for six in both for c in six if isinstance(c, float))
    }
    return [
        row
        for row in rows
        if all(isinstance(array, jax.Array) for array in (row.grad, row.param))
        and (row.velocity is None or isinstance(row.velocity, jax.Array))
        and not row.home.factors.given  # else its coefficients follow from norms
        and has_kernel(row.param, row.grad, row.velocity)
        and (row.param.dtype == jnp.float64 or id(row.home) not in too_large)
    ]


def _coefficients(rows: Sequence[Row], known: ScalarsOfStep, numbers: Numbers) -> Any:
    """Return the six coefficients of each row, float64 of shape (rows, 6)."""
    place = {home: i for i, home in enumerate(numbers)}
    index = np.array([place[id(row.home)] for row in rows])
    with double_precision(jnp):
        first, others = (
            jnp.stack([jnp.stack([jnp.asarray(c, jnp.float64) for c in both[i]]) for both in numbers.values()])
            for i in (0, 1)
        )
        if not any(row.home.asks_for_first for row in rows):
            return others[index]
        started = jnp.stack([jnp.asarray(known.has_started(row.started)) for row in rows])
        return jnp.where(started[:, None], others[index], first[index])
