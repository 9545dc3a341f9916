"""``downslope.jax.schedule_free_sgd``: schedule-free SGD as an optax transformation, and x from its state.

The rule is that of `core/schedule_free.py`: parameters are y, and the velocity is z - y.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from downslope.core.averages import check_not_schedule_free
from downslope.core.errors import SettingsError, StateError
from downslope.core.groups import Group, check_listed
from downslope.core.rule import StepScalars
from downslope.core.schedule_free import ScheduleFree, ScheduleFreeScalars, evaluation_point, scalars_of_average
from downslope.core.schedules.schedule import Schedule
from downslope.core.schedules.traced import double_precision, value_in_double
from downslope.core.settings import is_zero
from downslope.core.synonyms import says_our_words
from downslope.core.tensor_factors import NONE
from downslope.jax.blocks import CodedVelocity, as_coded, decode
from downslope.jax.leaves import checked_velocity_dtype, is_hole, named_leaves
from downslope.jax.scalars import ScalarsOfStep
from downslope.jax.sgd import AROUND, Row, SGDRule, SGDState


class ScheduleFreeState(NamedTuple):
    """The state of `schedule_free_sgd`.

    Attributes:
        count: Steps done, an int32 scalar.
        weight_sum: Sum of the weights of the average so far, a float32 scalar; and what float32 had no digits for. With
            groups a tuple of such: each group's, and last that of all others.
        weight_rest: The latter.
        velocity: z - y of each parameter, a pytree of their structure; of 8 bits a `CodedVelocity`.
        momentum: b, a scalar, by which x is found; with groups a pytree of the parameters' structure with that of each.
    """

    count: Any
    weight_sum: Any
    weight_rest: Any
    velocity: Any
    momentum: Any


@says_our_words("downslope.jax.schedule_free_sgd", AROUND)
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
    groups: Sequence[Group] = (),
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
        groups: Settings that differ by name pattern, as for `sgd`; each group has an average of its own.
        velocity_dtype: Format of z - y, such as jnp.float32; None for that of each parameter; "int8" as for `sgd`.
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
    check_listed(groups)
    if isinstance(groups, set | frozenset):
        raise SettingsError("`groups` must be a list: the first group that matches counts, and a set has no order.")
    for group in groups:
        check_not_schedule_free(group.ema_of(None))
    rule = _Rule(cast("Any", _Own(settings)), tuple(groups), checked_velocity_dtype(velocity_dtype))
    return optax.GradientTransformationExtraArgs(rule.init, cast("Any", rule.update))


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

    def point(param: Any, velocity: Any, momentum: Any) -> Any:
        if is_hole(param) or velocity is None:
            return param
        velocity = decode(velocity) if isinstance(velocity, CodedVelocity) else velocity
        wide = jnp.promote_types(jnp.promote_types(param.dtype, velocity.dtype), jnp.float32)
        b = jnp.asarray(momentum).astype(jnp.finfo(wide).dtype)
        return evaluation_point(param.astype(wide), velocity.astype(wide), b).astype(param.dtype)  # type: ignore[arg-type]

    velocity = jax.tree.map(as_coded, state.velocity, is_leaf=_is_velocity)
    leaves, structure = jax.tree.flatten(params, is_leaf=is_hole)
    of_each = structure.flatten_up_to(state.momentum) if isinstance(state.weight_sum, tuple) else None
    momenta = [state.momentum] * len(leaves) if of_each is None else of_each
    points = map(point, leaves, structure.flatten_up_to(velocity), momenta)
    return structure.unflatten(list(points))


def _is_velocity(node: Any) -> bool:
    return isinstance(as_coded(node), CodedVelocity)


class _Own:
    """Settings of some parameters, as `Hyperparameters` are those of SGD."""

    has_velocity, asks_for_first, factors, ema = True, False, NONE, None

    def __init__(self, settings: ScheduleFree) -> None:
        self.settings = settings
        self.has_decay = not is_zero(settings.weight_decay)
        settings.at(0)  # raises where a schedule is in epochs

    def with_group(self, group: Group) -> _Own:
        return _Own(cast("ScheduleFree", group.resolved(self.settings.lr).apply(self.settings)))

    def scalars(self, count: Any, weight_sum: Any, weight_rest: Any) -> tuple[ScheduleFreeScalars, Any, Any]:
        """Return the scalars of a step in float64, and the sum of the weights after it in two float32."""
        own = self.settings
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
            before = [jnp.asarray(part).astype(jnp.float64) for part in (weight_sum, weight_rest)]
            total = before[0] + before[1] + weight
            average = jnp.where(total > 0, weight / jnp.where(total > 0, total, 1.0), 0.0)
            high = total.astype(jnp.float32)
            rest = (total - high.astype(jnp.float64)).astype(jnp.float32)
            common = own.scalars_from(
                lr=lr, momentum=own.momentum, weight_decay=decay, dampening=0.0, decays=self.has_decay
            )
            return scalars_of_average(common, lr, average), high, rest  # pyright: ignore[reportArgumentType]


class _Scalars(ScalarsOfStep):
    """The scalars of one step, and the sums of weights after it.

    Args:
        count: Steps done.
        sums: By the id of settings, the sum of their weights before the step, in two.
    """

    def __init__(self, count: Any, sums: Mapping[int, tuple[Any, Any]]) -> None:
        super().__init__(count)
        self._sums = sums
        self._found: dict[int, tuple[ScheduleFreeScalars, Any, Any]] = {}

    def again(self) -> _Scalars:
        return _Scalars(self.count, self._sums)

    def exact(self, hyperparameters: Any) -> StepScalars:
        return self.found(hyperparameters)[0]

    def found(self, own: _Own) -> tuple[ScheduleFreeScalars, Any, Any]:
        if id(own) not in self._found:
            self._found[id(own)] = own.scalars(jnp.asarray(self.count), *self._sums[id(own)])
        return self._found[id(own)]


class _Rule(SGDRule):
    """The two functions of the transformation, and what they share."""

    def init(self, params: Any) -> Any:
        """Return the state that steps begin with."""
        state: Any = super().init(params)
        zeros = [jnp.zeros((), jnp.float32) for _ in self._own]
        if not self._groups:
            b = jnp.asarray(self._common.settings.momentum)
            return ScheduleFreeState(state.count, zeros[0], jnp.zeros((), jnp.float32), state.velocity, b)
        named, tree = named_leaves(params)
        momenta = [
            leaf if is_hole(leaf) else jnp.asarray(home.settings.momentum)
            for (_, leaf), home in zip(named, self._homes_of(named), strict=True)
        ]
        rest = tuple(jnp.zeros((), jnp.float32) for _ in self._own)
        return ScheduleFreeState(state.count, tuple(zeros), rest, state.velocity, tree.unflatten(momenta))

    def rows_of(self, grads: Any, state: Any, params: Any) -> tuple[list[Row], Any]:
        """Return what meets in a step, leaf by leaf and checked, and the structure of the gradients."""
        if not isinstance(state, ScheduleFreeState):
            raise StateError(f"the state must be a ScheduleFreeState; got {type(state).__name__}.")
        if params is None:
            raise SettingsError("schedule-free SGD needs the parameters. Call update(grads, state, params).")
        sums = state.weight_sum if isinstance(state.weight_sum, tuple) else (state.weight_sum,)
        if len(sums) != len(self._own):
            raise StateError(
                f"the state has averages of {len(sums)} sets of settings, the optimizer {len(self._own)}: its groups "
                "and one more. Make the state with `init` of this optimizer."
            )
        return super().rows_of(grads, SGDState(state.count, state.velocity), params)

    def scalars_of(self, state: Any) -> ScalarsOfStep:
        """Return the scalars of a step from a state."""
        pairs: Any = (state.weight_sum, state.weight_rest)
        pairs = zip(*pairs, strict=True) if isinstance(state.weight_sum, tuple) else [pairs]
        return _Scalars(state.count, {id(own): pair for own, pair in zip(self._own, pairs, strict=True)})

    def next_state(
        self,
        state: Any,
        rows: Sequence[Row],
        tree: Any,
        velocities: Sequence[Any],
        moved: Sequence[Any],
        known: ScalarsOfStep,
    ) -> Any:
        """Return the state after a step."""
        after = [cast("_Scalars", known).found(cast("Any", own)) for own in self._own]
        sums, rests = tuple(one[1] for one in after), tuple(one[2] for one in after)
        weight_sum, weight_rest = (sums, rests) if isinstance(state.weight_sum, tuple) else (sums[0], rests[0])
        count = optax.safe_increment(jnp.asarray(state.count))
        return ScheduleFreeState(count, weight_sum, weight_rest, tree.unflatten(velocities), state.momentum)
