"""``downslope.jax.schedule_free_sgd``: schedule-free SGD as an optax transformation, and x from its state.

The rule is that of `core/schedule_free.py`: parameters are y, and the velocity is z - y.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from downslope.core.averages import check_not_schedule_free
from downslope.core.errors import SettingsError, StateError
from downslope.core.schedule_free import ScheduleFree, ScheduleFreeScalars, evaluation_point, scalars_of_average
from downslope.core.schedules.schedule import Schedule
from downslope.core.schedules.traced import double_precision, value_in_double
from downslope.core.settings import is_zero
from downslope.core.synonyms import says_our_words
from downslope.jax.leaves import (
    check_gradient,
    check_params,
    checked_velocity_dtype,
    is_hole,
    leaves_beside,
    named_leaves,
    zeros_for,
)
from downslope.jax.scalars import in_format
from downslope.jax.sgd import step_leaf


class ScheduleFreeState(NamedTuple):
    """The state of `schedule_free_sgd`.

    Attributes:
        count: Steps done, an int32 scalar.
        weight_sum: Sum of the weights of the average so far, a float32 scalar; and what float32 had no digits for.
        weight_rest: The latter.
        velocity: z - y of each parameter, a pytree of their structure.
        momentum: b, a scalar, by which x is found.
    """

    count: Any
    weight_sum: Any
    weight_rest: Any
    velocity: Any
    momentum: Any


@says_our_words("downslope.jax.schedule_free_sgd")
def schedule_free_sgd(
    lr: float | Schedule = 1.0,
    momentum: float = 0.9,
    weight_decay: float | Schedule = 0.0,
    warmup_steps: int = 0,
    r: float = 0.0,
    weight_lr_power: float = 2.0,
    *,
    maximize: bool = False,
    settings: ScheduleFree | None = None,
    velocity_dtype: Any = None,
    ema: None = None,
) -> optax.GradientTransformationExtraArgs:
    """Return schedule-free SGD as an optax transformation of any pytree; the parameters that it moves are y.

    x, at which the model is evaluated and kept, is `schedule_free_eval_params` of the state and the parameters. Unlike
    optax.contrib.schedule_free_sgd it keeps z - y, which narrow formats can hold, and its warmup is the reference
    implementation's, which begins with lr / warmup_steps.

    Args:
        lr: Learning rate, a number, or a schedule that only warms up to one.
        momentum: b, in (0, 1).
        weight_decay: Strength of weight decay, at y.
        warmup_steps: Steps of a linear warmup.
        r: Power of the step in the weights of the average.
        weight_lr_power: Power of the largest lr so far in them.
        maximize: Whether to ascend.
        settings: All of these at once.
        velocity_dtype: Format of z - y, such as jnp.float32; None for that of each parameter.
        ema: None alone: x is an average already.

    Raises:
        SettingsError: If a value is not allowed. `init` and `update` raise it for trees that do not fit.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> from downslope.jax import schedule_free_eval_params, schedule_free_sgd
        >>> optimizer = schedule_free_sgd(lr=0.5, momentum=0.5)
        >>> params = {"weight": jnp.array([1.0])}
        >>> state = optimizer.init(params)
        >>> for _ in range(2):
        ...     updates, state = optimizer.update({"weight": jnp.array([1.0])}, state, params)
        ...     params = optax.apply_updates(params, updates)
        >>> x = schedule_free_eval_params(state, params)
        >>> params["weight"].tolist(), x["weight"].tolist()
        ([0.125], [0.25])
    """
    given = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "maximize": maximize}
    given |= {"warmup_steps": warmup_steps, "r": r, "weight_lr_power": weight_lr_power}
    if settings is None:
        settings = ScheduleFree(**given)
    elif not isinstance(settings, ScheduleFree) or ScheduleFree(**given) != ScheduleFree():
        raise SettingsError("`settings` must be a ScheduleFree, and holds all hyperparameters. Give nothing beside it.")
    check_not_schedule_free(ema)
    settings.at(0)  # raises where a schedule is in epochs
    dtype = checked_velocity_dtype(velocity_dtype)
    if dtype == "int8":
        raise SettingsError(
            '`velocity_dtype="int8"`: schedule_free_sgd keeps z - y in floating formats alone. Use jnp.bfloat16.'
        )
    rule = _Rule(settings, dtype)
    return optax.GradientTransformationExtraArgs(rule.init, rule.update)


def schedule_free_eval_params(state: Any, params: Any) -> Any:
    """Return x, at which the model is to be evaluated, from the state and the parameters y.

    Args:
        state: A `ScheduleFreeState`.
        params: The parameters as they are trained.

    Raises:
        StateError: If it is a state of something else.
    """
    if not isinstance(state, ScheduleFreeState):
        raise StateError(
            f"`state` must be a ScheduleFreeState; got {type(state).__name__}. Of a chain give the part that is one."
        )

    def point(param: Any, velocity: Any) -> Any:
        if is_hole(param) or velocity is None:
            return param
        wide = jnp.promote_types(jnp.promote_types(param.dtype, velocity.dtype), jnp.float32)
        b = jnp.asarray(state.momentum).astype(jnp.finfo(wide).dtype)
        return evaluation_point(param.astype(wide), velocity.astype(wide), b).astype(param.dtype)  # type: ignore[arg-type]

    return jax.tree.map(point, params, state.velocity, is_leaf=is_hole)


class _Rule:
    """The two functions of the transformation, and what they share."""

    def __init__(self, settings: ScheduleFree, velocity_dtype: Any) -> None:
        self._settings, self._velocity_dtype = settings, velocity_dtype

    def init(self, params: Any) -> ScheduleFreeState:
        """Return the state that steps begin with."""
        named, tree = named_leaves(params)
        check_params(named)
        zeros = [leaf if is_hole(leaf) else zeros_for(name, leaf, self._velocity_dtype) for name, leaf in named]
        zero = jnp.zeros((), jnp.float32)
        b = jnp.asarray(self._settings.momentum)
        return ScheduleFreeState(jnp.zeros((), jnp.int32), zero, zero, tree.unflatten(zeros), b)

    def update(self, updates: Any, state: Any, params: Any = None, **extra_args: Any) -> tuple[Any, ScheduleFreeState]:
        """Return what is to be added to the parameters, and the next state."""
        if not isinstance(state, ScheduleFreeState):
            raise StateError(f"the state must be a ScheduleFreeState; got {type(state).__name__}.")
        if params is None:
            raise SettingsError("schedule-free SGD needs the parameters. Call update(grads, state, params).")
        named, tree = named_leaves(updates)
        check_params(named_leaves(params)[0])
        beside = zip(
            named,
            leaves_beside(named, tree, params, "the parameters"),
            leaves_beside(named, tree, state.velocity, "the state's velocity"),
            strict=True,
        )
        scalars, weight_sum, weight_rest = self._scalars(state)
        deltas, velocities = [], []
        for (name, grad), param, velocity in beside:
            if is_hole(grad):
                deltas.append(grad)
                velocities.append(velocity)
                continue
            check_gradient(name, grad, param, velocity, has_params=True, has_velocity=True)
            delta, moved = step_leaf(grad, param, velocity, partial(in_format, scalars))
            deltas.append(delta)
            velocities.append(moved)
        count = optax.safe_increment(jnp.asarray(state.count))
        after = ScheduleFreeState(count, weight_sum, weight_rest, tree.unflatten(velocities), state.momentum)
        return tree.unflatten(deltas), after

    def _scalars(self, state: ScheduleFreeState) -> tuple[ScheduleFreeScalars, Any, Any]:
        """Return the scalars of a step in float64, and the sum of the weights after it in two float32."""
        own, count = self._settings, jnp.asarray(state.count)
        with double_precision(jnp):
            step = count.astype(jnp.float64)
            lr, decay = (
                value_in_double(value, count, jnp) if isinstance(value, Schedule) else jnp.float64(value)
                for value in (own.lr, own.weight_decay)
            )
            if own.warmup_steps:
                lr = lr * jnp.minimum((step + 1) / own.warmup_steps, 1.0)
            # lr never falls, so that it is the largest so far
            weight = (step + 1) ** own.r * lr**own.weight_lr_power
            before = [jnp.asarray(part).astype(jnp.float64) for part in (state.weight_sum, state.weight_rest)]
            total = before[0] + before[1] + weight
            average = jnp.where(total > 0, weight / jnp.where(total > 0, total, 1.0), 0.0)
            high = total.astype(jnp.float32)
            rest = (total - high.astype(jnp.float64)).astype(jnp.float32)
            decays = not is_zero(own.weight_decay)
            common = own.scalars_from(lr=lr, momentum=own.momentum, weight_decay=decay, dampening=0.0, decays=decays)
            return scalars_of_average(common, lr, average), high, rest  # pyright: ignore[reportArgumentType]
