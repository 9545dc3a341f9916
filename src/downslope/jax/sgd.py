"""``downslope.jax.sgd``: the rule as an optax transformation of a pytree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer

from downslope.core.checks import NOT_GIVEN, NotGiven
from downslope.core.errors import GroupError, SettingsError, StateError
from downslope.core.groups import Group, check_listed
from downslope.core.rule import StepScalars
from downslope.core.schedules.schedule import Schedule
from downslope.core.settings import Decay, Settings
from downslope.core.shown import shown
from downslope.core.synonyms import IN_STEPS, says_our_words
from downslope.core.tensor_factors import NONE, TensorFactors
from downslope.jax.average import checked_decay, followed, no_average_yet
from downslope.jax.blocks import CodedVelocity
from downslope.jax.chunks import take_coded_step
from downslope.jax.leaves import (
    NamedLeaf,
    assign_leaves,
    check_gradient,
    check_params,
    check_state,
    checked_velocity_dtype,
    is_hole,
    leaves_beside,
    named_leaves,
    zeros_for,
)
from downslope.jax.scalars import (
    ABSENT,
    Hyperparameters,
    ScalarsOfStep,
    checked_hyperparameters,
    with_factors,
)

Number = float | jax.Array
Scheduled = Number | Schedule | Callable[[Any], Any]


class SGDState(NamedTuple):
    """The state of `sgd`.

    Attributes:
        count: Steps done, an int32 scalar: the step at which schedules are read next.
        velocity: A pytree of the parameters' structure: the velocity of each, or None where momentum is 0. A velocity
            of 8 bits is a `CodedVelocity`.
        started: Only where dampening spares first gradients, else None: a pytree of the parameters' structure with a
            bool scalar, whether the parameter has had a gradient. A state without it takes count > 0 for that.
    """

    count: Any
    velocity: Any
    started: Any = None


class AveragingSGDState(NamedTuple):
    """The state of `sgd` with `ema`: that of one without, and the averages.

    Attributes:
        count: As in `SGDState`; and so the next two.
        velocity: Velocities.
        started: Whether parameters have had gradients.
        average: A pytree of the parameters' structure: the average of each, in float32, of float64 in float64; zeros
            before the first step, None for a group whose `ema` is 0. `averaged_params` reads it.
    """

    count: Any
    velocity: Any
    started: Any
    average: Any


AROUND = {
    "clip_norm": "Clip before it: optax.chain(optax.clip_by_global_norm(1.0), sgd(...)), say.",
    "on_nonfinite": "optax.apply_if_finite goes around it, and leaves such steps out.",
    "mask": "Give groups=[Group(match=..., weight_decay=0.0)], or optax.masked around it.",
    "steps_per_epoch": IN_STEPS,
}
"""What is said of arguments that other optimizers have, and that are optax's to do around ours."""


@says_our_words("downslope.jax.sgd", AROUND)
def sgd(
    lr: Scheduled | NotGiven = NOT_GIVEN,
    momentum: Scheduled | None = None,
    dampening: Number | None = None,
    nesterov: bool | None = None,  # noqa: FBT001 - in the order of torch.optim.SGD and optax.sgd
    weight_decay: Scheduled | None = None,
    *,
    decay: Decay | None = None,
    lr_in_velocity: bool | None = None,
    undampened_first_step: bool | None = None,
    maximize: bool | None = None,
    nu: Number | None = None,
    trust_coefficient: Number | None = None,
    trust_clip: bool | None = None,
    adaptive_clip: Number | None = None,
    adaptive_clip_by: Literal["tensor", "unit"] | None = None,
    settings: Settings | None = None,
    groups: Sequence[Group] = (),
    velocity_dtype: Any = None,
    ema: Number | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Return SGD with momentum and weight decay as an optax transformation of any pytree.

    Its updates are what is added to the parameters, by `optax.apply_updates` or otherwise. Each hyperparameter that is
    not given is as in `Settings`; so is one that is None, which `lr` may not be. `lr`, `momentum` and `weight_decay`
    take a number, a schedule in steps, a function of the step count such as optax's schedules, or a scalar array, which
    may be traced: with `optax.inject_hyperparams(downslope.jax.sgd)(lr=0.1)` it may change from step to step.

    Args:
        lr: Learning rate, >= 0.
        momentum: Factor on the velocity, in [0, 1). For the number 0 no velocity is kept.
        dampening: The gradient enters the velocity with weight 1 - dampening.
        nesterov: Nesterov's form of momentum.
        weight_decay: Strength of weight decay, >= 0. Unless it is the number 0, `update` needs the parameters.
        decay: Where weight decay enters: "coupled", "decoupled", "independent", "relative" or "corrected".
        lr_in_velocity: Whether lr is inside the velocity.
        undampened_first_step: Whether a parameter's first gradient is undampened.
        maximize: Whether to ascend.
        nu: Quasi-hyperbolic momentum: the step is nu times the velocity and 1 - nu times the gradient, see `Settings`.
        trust_coefficient: LARS: multiplies the decayed gradient of each leaf by its trust ratio, see `Settings`;
            `update` needs the parameters.
        trust_clip: LARC: the trust ratio only lowers lr.
        adaptive_clip: Largest norm of each leaf's gradient, as a share of its parameter's.
        adaptive_clip_by: "unit" for norms of each slice of one output, by optax's axes: of a leaf of two or three axes
            the first is summed over, of more all but the last.
        settings: All hyperparameters at once, instead of one by one.
        groups: Settings that differ by name pattern, such as "params.Dense_0.kernel": the keys, attributes and
            positions on the way to a leaf, joined by dots. "@bias_and_norm" selects leaves of at most one dimension,
            those called `bias`, and those directly in something with "norm" in its name. `update` needs the parameters.
        velocity_dtype: Format of the velocity, such as jnp.float32; None for that of each parameter. "int8" for codes
            of 8 bits with a scale for each 256 of them, a `CodedVelocity` in the velocity's place; of parameters with
            fewer than 4096 elements float32.
        ema: Decay of an average of the parameters that each step moves: of what `optax.apply_updates` makes of its
            updates, so that in a chain nothing may come after it. `update` needs the parameters; `averaged_params`
            reads it. A group may have its own, 0 for none.

    Returns:
        A transformation with state `SGDState`, with `ema` `AveragingSGDState`, whose `update` takes extra arguments, as
        `optax.sgd`'s does. Narrow formats are computed in float32; updates are rounded once to their parameter's format
        (the gradient's, without parameters), velocities to their own. A gradient that is None leaves its parameter's
        velocity as it is, and its update is None.

    Raises:
        SettingsError: If a value is not allowed. `init` and `update` raise it for trees that do not fit, GroupError for
            a pattern that matches nothing, and StateError for a state of something else.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> from downslope.jax import sgd
        >>> optimizer = sgd(lr=0.5, momentum=0.5)
        >>> params = {"weight": jnp.array([1.0])}
        >>> state = optimizer.init(params)
        >>> for _ in range(2):
        ...     updates, state = optimizer.update({"weight": jnp.array([1.0])}, state, params)
        ...     params = optax.apply_updates(params, updates)
        >>> params["weight"].tolist(), int(state.count)
        ([-0.25], 2)
    """
    given = {
        "lr": lr,
        "momentum": momentum,
        "dampening": dampening,
        "nesterov": nesterov,
        "weight_decay": weight_decay,
        "decay": decay,
        "lr_in_velocity": lr_in_velocity,
        "undampened_first_step": undampened_first_step,
        "maximize": maximize,
        "nu": nu,
        "trust_coefficient": trust_coefficient,
        "trust_clip": trust_clip,
        "adaptive_clip": adaptive_clip,
        "adaptive_clip_by": adaptive_clip_by,
    }
    common = checked_hyperparameters(given, settings)
    check_listed(groups)
    if isinstance(groups, set | frozenset):
        raise SettingsError("`groups` must be a list: the first group that matches counts, and a set has no order.")
    common = replace(common, ema=checked_decay(ema))
    rule = SGDRule(common, tuple(groups), checked_velocity_dtype(velocity_dtype))
    return optax.GradientTransformationExtraArgs(rule.init, cast("Any", rule.update))


class Row(NamedTuple):
    """What meets in the step of one leaf.

    Attributes:
        name: Dotted name of the leaf.
        grad: Gradient, or a hole.
        param: Parameter; None without parameters.
        velocity: Velocity, or None where none is kept.
        started: Whether it has had a gradient, a bool scalar; None to go by the count.
        home: Its hyperparameters.
        average: Its average; None where none is kept, or there is none yet.
    """

    name: str
    grad: Any
    param: Any
    velocity: Any
    started: Any
    home: Hyperparameters
    average: Any = None


class SGDRule:
    """The two functions of the transformation, and what they share.

    Args:
        common: Hyperparameters outside of all groups.
        groups: The groups.
        velocity_dtype: Format of velocities, or None.
    """

    def __init__(self, common: Hyperparameters, groups: tuple[Group, ...], velocity_dtype: Any) -> None:
        self._common, self._groups, self._velocity_dtype = common, groups, velocity_dtype
        self._own = [*(common.with_group(group) for group in groups), common]
        self._averages = any(home.ema is not None for home in self._own)

    def init(self, params: Any) -> SGDState | AveragingSGDState:
        """Return the state that steps begin with."""
        named, tree = named_leaves(params)
        check_params(named)
        velocity, started, averages = [], [], []
        for (name, leaf), home in zip(named, self._homes_of(named), strict=True):
            nothing = leaf if is_hole(leaf) else None
            averages.append(nothing if is_hole(leaf) or home.ema is None else no_average_yet(leaf))
            kept = home.has_velocity and not is_hole(leaf)
            velocity.append(zeros_for(name, leaf, self._velocity_dtype) if kept else nothing)
            started.append(jnp.zeros((), bool) if kept and home.asks_for_first else nothing)
        state = SGDState(
            count=jnp.zeros((), jnp.int32),
            velocity=tree.unflatten(velocity),
            started=tree.unflatten(started) if any(home.asks_for_first for home in self._own) else None,
        )
        return AveragingSGDState(*state, average=tree.unflatten(averages)) if self._averages else state

    def update(
        self, updates: Any, state: Any, params: Any = None, **extra_args: Any
    ) -> tuple[Any, SGDState | AveragingSGDState]:
        """Return what is to be added to the parameters, and the next state."""
        rows, tree = self.rows_of(updates, state, params)
        known = self.scalars_of(state)
        deltas, velocities = [], []
        for row in rows:
            delta, velocity = row.grad, row.velocity
            if not is_hole(row.grad):
                delta, velocity = step_row(row, known)
            deltas.append(delta)
            velocities.append(velocity)
        moved = [
            row.param if is_hole(delta) else moved_by(delta, row.param) for delta, row in self._averaged(deltas, rows)
        ]
        return tree.unflatten(deltas), self.next_state(state, rows, tree, velocities, moved, known)

    def scalars_of(self, state: Any) -> ScalarsOfStep:
        """Return the scalars of a step from a state."""
        return ScalarsOfStep(state.count)

    def _averaged(self, deltas: Sequence[Any], rows: Sequence[Row]) -> list[tuple[Any, Row]]:
        """Return each update and its row, where averages are kept."""
        return list(zip(deltas, rows, strict=True)) if self._averages else []

    def next_state(
        self,
        state: Any,
        rows: Sequence[Row],
        tree: Any,
        velocities: Sequence[Any],
        moved: Sequence[Any],
        known: ScalarsOfStep,
    ) -> SGDState | AveragingSGDState:
        """Return the state after a step, by what the parameters are then, which averages ask for."""
        started = None
        if state.started is not None:
            flags = [row.started for row in rows]
            marked = [
                f if f is None or is_hole(row.grad) else jnp.ones_like(f) for f, row in zip(flags, rows, strict=True)
            ]
            started = tree.unflatten(marked)
        count = jnp.asarray(known.count)
        after = SGDState(count=optax.safe_increment(count), velocity=tree.unflatten(velocities), started=started)
        if not self._averages:
            return after
        averages = [_average_after(row, param, count) for row, param in zip(rows, moved, strict=True)]
        return AveragingSGDState(*after, average=tree.unflatten(averages))

    def rows_of(self, grads: Any, state: Any, params: Any) -> tuple[list[Row], Any]:
        """Return what meets in a step, leaf by leaf and checked, and the structure of the gradients."""
        check_state(state)
        named, tree = named_leaves(grads)
        averages = getattr(state, "average", None)
        if not self._averages and averages is not None:
            raise StateError("the state has averages, which have no place here, where none are kept (ema=None).")
        if params is None:
            _check_params_not_needed(self._common, self._groups)
            param_leaves, homes = [None] * len(named), [self._common] * len(named)
        else:
            named_params, param_tree = named_leaves(params)
            check_params(named_params)
            param_leaves = leaves_beside(named, tree, params, "the parameters")
            homes_of_params = param_tree.unflatten(self._homes_of(named_params))
            homes = leaves_beside(named, tree, homes_of_params, "the parameters")
        velocities = leaves_beside(named, tree, state.velocity, "the state's velocity")
        flags = leaves_beside(named, tree, state.started, "the state's `started`")
        kept = leaves_beside(named, tree, averages, "the state's average")
        given: Any = zip(named, param_leaves, velocities, flags, homes, kept, strict=True)
        rows = [Row(name, grad, *beside) for (name, grad), *beside in given]
        has_params = params is not None
        for name, grad, param, velocity, _, home, _ in rows:
            if not is_hole(grad):
                kept = home.has_velocity
                check_gradient(name, grad, param, velocity, has_params=has_params, has_velocity=kept)
        return rows, tree

    def _homes_of(self, named: Sequence[NamedLeaf]) -> list[Hyperparameters]:
        present = [(name, jnp.shape(leaf)) for name, leaf in named if not is_hole(leaf)]
        indices = iter(assign_leaves(self._groups, present))
        return [self._common if is_hole(leaf) else self._own[next(indices)] for _, leaf in named]


def _average_after(row: Row, param: Any, count: Any) -> Any:
    """Return the average of a row's parameter, as it is after the step; None where none is kept."""
    if is_hole(param):
        return param
    if row.home.ema is not None:
        return followed(row.name, param, row.average, row.home.ema, count)
    if not is_hole(row.average):
        raise StateError(f"the average of `{shown(row.name)}` has no place here, where none is kept of it.")
    return None


def moved_by(delta: Any, param: Any) -> Any:
    """Return a parameter plus its update, as `optax.apply_updates` does."""
    return jnp.asarray(param + delta).astype(jnp.asarray(param).dtype)


def step_row(row: Row, known: ScalarsOfStep) -> tuple[jax.Array, Any]:
    """Return (delta, velocity') of a row with a gradient, delta rounded to the parameter's format."""
    if not isinstance(row.velocity, CodedVelocity):
        scalars_in = known.scalars_for(row.home, row.started)
        return step_leaf(row.grad, row.param, row.velocity, scalars_in, row.home.factors)
    return step_coded_row(row, known, moves=False)


def step_coded_row(row: Row, known: ScalarsOfStep, *, moves: bool) -> tuple[jax.Array, CodedVelocity]:
    """Return (delta, velocity') of a row whose velocity is codes; or, if it `moves`, (param', velocity')."""
    if row.home.factors.given:
        raise SettingsError(
            "velocities of 8 bits are stepped by coefficients alone, and trust_coefficient and adaptive_clip make them "
            "of norms. Leave one of the two out; downslope.torch has both."
        )
    six = known.six_in_float32(row.home, row.started)
    return take_coded_step(row.grad, row.param, row.velocity, six, is_read=row.home.has_decay, moves=moves)


def step_leaf(
    grad: Any,
    param: Any,
    velocity: Any,
    scalars_in: Callable[[Any], StepScalars],
    factors: TensorFactors = NONE,
) -> tuple[jax.Array, jax.Array | None]:
    """Return (delta, velocity') of one leaf, each rounded once to its own format."""
    arrays = [None if array is None else jnp.asarray(array) for array in (grad, param, velocity)]
    wide = jnp.result_type(jnp.float32, *(array.dtype for array in arrays if array is not None))
    g, p, v = (ABSENT if array is None else array.astype(wide) for array in arrays)
    scalars = scalars_in(wide)
    if factors.given:
        scalars = with_factors(scalars, factors, cast("Any", g), cast("Any", p))
    is_twice = scalars.nesterov or scalars.nu is not None
    if isinstance(g, Tracer) and is_twice and scalars.coupled_decay is not ABSENT:
        repeated: Any = _RepeatedDecay(jnp.asarray(scalars.coupled_decay, jnp.finfo(wide).dtype))
        scalars = replace(scalars, coupled_decay=repeated)
    delta, new_velocity = scalars.rule(p, g, v)
    grad, param, velocity = arrays
    delta = delta.astype(grad.dtype if param is None else param.dtype)
    return delta, None if velocity is None else new_velocity.astype(velocity.dtype)


def _check_params_not_needed(common: Hyperparameters, groups: Sequence[Group]) -> None:
    how = "Call update(grads, state, params)."
    if groups:
        raise GroupError(f"`groups` match parameters by name, and `update` got no parameters. {how}")
    if common.has_decay:
        raise SettingsError(f"weight decay needs the parameters, and `update` got none. {how}")
    if common.factors.given:
        raise SettingsError(f"trust ratios and adaptive clipping need the parameters, and `update` got none. {how}")
    if common.ema is not None:
        raise SettingsError(f"an average (`ema`) needs the parameters, and `update` got none. {how}")


# The rule uses ``grad + coupled_decay * param`` twice with Nesterov's and quasi-hyperbolic momentum, for the velocity
# and for the direction. XLA on CPUs then writes it to fresh memory and reads it back, which takes as long as the rest
# of the step. So a compiled step works it out anew for each use.


class _RepeatedDecay:
    """A factor in the place of `coupled_decay`, a 0-d array, whose sum with a gradient is not worked out in advance."""

    def __init__(self, decay: jax.Array) -> None:
        self._decay = decay

    def __mul__(self, param: Any) -> _Term:
        return _Term(self._decay, param)


class _Term:
    def __init__(self, decay: jax.Array, param: Any) -> None:
        self._decay, self._param = decay, param

    def __radd__(self, grad: Any) -> _DecayedGradient:
        return _DecayedGradient(grad, self._decay, self._param)


class _DecayedGradient:
    def __init__(self, grad: Any, decay: jax.Array, param: Any) -> None:
        self._grad, self._decay, self._param = grad, decay, param

    def __rmul__(self, factor: Any) -> Any:
        decayed = self._grad + self._decay * self._param
        # For the compiler the next use has a factor of its own, so that it does not see the same sum twice.
        self._decay = jax.lax.optimization_barrier(self._decay)
        return factor * decayed
