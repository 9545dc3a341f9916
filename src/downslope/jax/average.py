"""Averages of parameters for JAX, moved with every step of `sgd` and read by `averaged_params`.

The formula and its bits are those of `core/averages.py`: each operation is rounded by itself, in `jit` too.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from downslope.core.averages import NONE_IS_KEPT, checked_ema
from downslope.core.errors import SettingsError, StateError
from downslope.core.shown import shown
from downslope.jax.blocks import rounded
from downslope.jax.leaves import is_hole


def averaged_params(state: Any, params: Any) -> Any:
    """Return the averages of parameters, each in its parameter's format; before the first step the parameters.

    A parameter of which none is kept (a group's `ema` of 0) is returned as it is.

    Args:
        state: An `AveragingSGDState`, which `sgd` has with `ema`.
        params: The parameters as they are trained.

    Raises:
        StateError: If it is a state of something else.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> from downslope.jax import averaged_params, sgd
        >>> optimizer = sgd(lr=1.0, ema=0.5)
        >>> params = {"weight": jnp.zeros(1)}
        >>> state = optimizer.init(params)
        >>> for _ in range(3):
        ...     updates, state = optimizer.update({"weight": jnp.array([-1.0])}, state, params)
        ...     params = optax.apply_updates(params, updates)
        >>> averaged_params(state, params)["weight"].tolist()  # 1, then half the way to 2, then half the way to 3
        [2.25]
    """
    if not hasattr(state, "average"):
        raise StateError(
            f"`state` must be an AveragingSGDState; got {type(state).__name__}. Of a chain give the part that is one; "
            f"if it is an SGDState, {NONE_IS_KEPT}."
        )
    has_begun = jnp.asarray(state.count) > 0

    def point(param: Any, average: Any) -> Any:
        if is_hole(param) or is_hole(average):
            return param
        return jnp.where(has_begun, average.astype(jnp.asarray(param).dtype), param)

    return jax.tree.map(point, params, state.average, is_leaf=is_hole)


def checked_decay(ema: Any) -> Any:
    """Return the decay of averages, a float or a scalar array, or None; raise `SettingsError` if it is none."""
    if not isinstance(ema, jax.Array):
        return checked_ema(ema)
    if ema.ndim or not jnp.issubdtype(ema.dtype, jnp.floating):
        raise SettingsError(f"`ema` as an array must hold one real number; got shape {ema.shape} of {ema.dtype}.")
    return ema if isinstance(ema, Tracer) else jnp.asarray(checked_ema(float(ema)), ema.dtype)


def _average_dtype(param: Any) -> Any:
    return jnp.promote_types(jnp.asarray(param).dtype, jnp.float32)


def no_average_yet(param: Any) -> Any:
    """Return what stands in an average's place before the first step, laid out over devices as the parameter."""
    return jnp.zeros_like(param, dtype=_average_dtype(param))


def followed(name: str, param: Any, average: Any, ema: Any, count: Any) -> Any:
    """Return the average after a step.

    Args:
        name: Name of the parameter.
        param: The parameter after the step.
        average: The average before it, or None if there is none yet.
        ema: Its decay.
        count: Steps before it; at the first the average begins with the parameter.

    Raises:
        StateError: If the average is not this parameter's.
    """
    wide = _average_dtype(param)
    value = jnp.asarray(param)
    if value.dtype != wide:  # else XLA would take what has not been rounded yet
        value = jax.lax.optimization_barrier(value).astype(wide)
    if is_hole(average):
        return jnp.array(value, copy=True)  # in the parameter's place it could not be donated beside it
    if jnp.shape(average) != value.shape or jnp.asarray(average).dtype != wide:
        raise StateError(
            f"the average of `{shown(name)}` is {jnp.shape(average)} of {jnp.asarray(average).dtype}, the parameter "
            f"{value.shape}, whose average is {wide}."
        )
    weight = jnp.asarray(1.0 - ema).astype(jnp.finfo(wide).dtype)
    moved = average + rounded((value - average) * weight)
    return jnp.where(count > 0, moved, value)
