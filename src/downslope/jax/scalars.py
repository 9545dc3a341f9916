"""Between what a person passes to `sgd` and the scalars of a step: numbers, schedules, functions and traced arrays.

Some values are known when the optimizer is made, and checked there; others only at a step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import jax
import jax.numpy as jnp
from jax.core import Tracer

from downslope.core.checks import NOT_GIVEN, as_float, check_range
from downslope.core.errors import SettingsError
from downslope.core.groups import Group
from downslope.core.rule import StepScalars
from downslope.core.schedules.schedule import Schedule, value_at
from downslope.core.schedules.traced import double_precision, value_in_double
from downslope.core.settings import Settings, check_alone, is_zero
from downslope.core.tensor_factors import SMALLEST_NORM, TensorFactors, factors_of
from downslope.kernel.arrays import leave_float32
from downslope.kernel.coefficients import six_coefficients

_STAND_INS: Mapping[str, float] = {"lr": 1.0, "momentum": 0.5, "dampening": 0.0, "nu": 0.5, "weight_decay": 1.0}
"""Values with which the other settings are checked while these are not known."""
_FACTORS: Mapping[str, float] = {"trust_coefficient": 1e-3, "adaptive_clip": 1e-2}
"""The same for what is no scalar of the rule."""
_SCHEDULABLE = ("lr", "momentum", "weight_decay")
_NUMBERS = tuple(_STAND_INS)

Six = tuple[Any, Any, Any, Any, Any, Any]
"""Coefficients of (param, grad, velocity) in what is added to the parameter, then in the velocity."""


class _Absent:
    """Zero, exactly: times anything it is itself, and added or subtracted it is not there.

    No compiler may drop ``0.0 * x``, since x might be inf: memory would be read for nothing, and the parameter needed
    where it is not.
    """

    def __mul__(self, other: Any) -> _Absent:
        return self

    def __rmul__(self, other: Any) -> _Absent:
        return self

    def __add__(self, other: Any) -> Any:
        return other

    def __radd__(self, other: Any) -> Any:
        return other

    def __rsub__(self, other: Any) -> Any:
        return other


ABSENT: Final = _Absent()
"""Stands in the rule for a term that is not there: no decay, no velocity."""


@dataclass(frozen=True)
class Hyperparameters:
    """The hyperparameters of some parameters.

    Attributes:
        settings: Every value that is known; for the others, a stand-in.
        live: The others by name: functions of the step count (optax's schedules), and JAX's scalar arrays, which
            `optax.inject_hyperparams` changes from step to step and `jit` traces.
        ema: Decay of the averages, a number or a scalar array; None where none are kept.
    """

    settings: Settings
    live: Mapping[str, Any]
    ema: Any = None

    @property
    def has_velocity(self) -> bool:
        """Whether a velocity is kept: unless momentum is the number 0."""
        return "momentum" in self.live or not is_zero(self.settings.momentum)

    @property
    def has_decay(self) -> bool:
        """Whether parameters may decay: unless weight decay is the number 0."""
        return "weight_decay" in self.live or not is_zero(self.settings.weight_decay)

    @property
    def factors(self) -> TensorFactors:
        """What multiplies the gradient of each leaf by its norm; a live one may be traced."""
        known = factors_of(self.settings)
        return known._replace(**{name: self.live[name] for name in _FACTORS if name in self.live})

    @property
    def asks_for_first(self) -> bool:
        """Whether a parameter's first gradient is treated otherwise than the rest."""
        dampened = "dampening" in self.live or self.settings.dampening != 0
        return dampened and self.settings.undampened_first_step

    def with_group(self, group: Group) -> Hyperparameters:
        """Return these hyperparameters with a group's changes."""
        if group.lr_factor is not None and "lr" in self.live:
            raise SettingsError(
                "`lr_factor` multiplies a number or one of Downslope's schedules, and this learning rate is known at a "
                "step alone. Give the group an lr."
            )
        changes = group.resolved(self.settings.lr).changes()
        own = Hyperparameters(
            group.apply(self.settings),
            {name: value for name, value in self.live.items() if name not in changes},
            group.ema_of(self.ema),
        )
        _check_references(own)
        return own

    def at(self, count: Any) -> StepScalars:
        """Return the scalars of a step for all but first gradients.

        Python floats where they are known, else 0-d arrays of float64; terms that are left out are ABSENT.

        Raises:
            SettingsError: If a value that is known now is not allowed.
        """
        s, known = self.settings, not isinstance(count, Tracer)
        # a function is called as optax calls it, outside of the 64-bit context
        live = {
            name: _checked(name, v(count) if callable(v) else v) for name, v in self.live.items() if name in _STAND_INS
        }
        with double_precision(jnp):
            values = {**{name: getattr(s, name) for name in _NUMBERS}, **live}
            for name, value in values.items():
                if isinstance(value, Schedule):
                    values[name] = value_at(value, int(count)) if known else value_in_double(value, count, jnp)
                elif isinstance(value, jax.Array):
                    values[name] = value.astype(jnp.float64)
            result = s.scalars_from(**values, decays=self.has_decay)
        terms = {name: getattr(result, name) for name in ("coupled_decay", "decoupled_decay")}
        absent = {name: ABSENT for name, value in terms.items() if isinstance(value, float) and value == 0}
        return replace(result, **absent)


def checked_hyperparameters(given: Mapping[str, Any], settings: Settings | None) -> Hyperparameters:
    """Return checked hyperparameters.

    Raises:
        SettingsError: If a value is not allowed, or both ways are used.
    """
    given = {name: value for name, value in given.items() if value is not None or name == "lr"}
    if given.get("lr") is NOT_GIVEN:
        del given["lr"]
    if settings is not None:
        check_alone(settings, given)
        known, live = settings, {}
    else:
        live = {name: value for name, value in given.items() if _is_live(name, value)}
        stand_ins = {name: _stand_in(name, value) for name, value in live.items()}
        known = Settings(**{**given, **stand_ins})
    result = Hyperparameters(known, live)
    _check_references(result)
    for name in _SCHEDULABLE:
        value_at(getattr(known, name), 0)  # raises where a schedule is in epochs
    return result


class ScalarsOfStep:
    """The scalars of one step, each worked out once.

    Args:
        count: Steps done, an integer scalar, possibly traced.
    """

    def __init__(self, count: Any) -> None:
        self.count = count
        self._exact: dict[int, StepScalars] = {}
        self._six: dict[int, tuple[Six, Six]] = {}
        self._cast: dict[tuple[int, Any], StepScalars] = {}

    def again(self) -> ScalarsOfStep:
        """Return those of the same step, to be worked out within another program."""
        return ScalarsOfStep(self.count)

    def scalars_for(self, hyperparameters: Hyperparameters, started: Any) -> Callable[[Any], StepScalars]:
        """Return a function from the format that a parameter is computed in to its scalars.

        Args:
            hyperparameters: Those of the parameter; they must outlive this object.
            started: Whether it has had a gradient, a bool scalar, possibly traced; None to go by the count.
        """

        def scalars_in(dtype: Any) -> StepScalars:
            key = id(hyperparameters), dtype
            if key not in self._cast:
                self._cast[key] = in_format(self.exact(hyperparameters), dtype)
            s = self._cast[key]
            if not hyperparameters.asks_for_first:
                return s
            flag = self.has_started(started)
            return replace(s, dampening=jnp.where(flag, s.dampening, jnp.zeros((), jnp.finfo(dtype).dtype)))

        return scalars_in

    def exact(self, hyperparameters: Hyperparameters) -> StepScalars:
        """Return the scalars for all but first gradients, Python floats or arrays of float64; as in `scalars_for`."""
        key = id(hyperparameters)
        if key not in self._exact:
            self._exact[key] = hyperparameters.at(self.count)
        return self._exact[key]

    def six(self, hyperparameters: Hyperparameters) -> tuple[Six, Six]:
        """Return the six coefficients of a first gradient, and those of all others, exact as in `exact`."""
        key = id(hyperparameters)
        if key not in self._six:
            scalars = self.exact(hyperparameters)
            first = replace(scalars, dampening=0.0) if hyperparameters.asks_for_first else scalars
            with double_precision(jnp):
                self._six[key] = six_coefficients(first), six_coefficients(scalars)
        return self._six[key]

    def six_in_float32(self, hyperparameters: Hyperparameters, started: Any) -> list[Any]:
        """Return the six coefficients of a parameter's step in float32, each rounded once.

        Args:
            hyperparameters: As in `scalars_for`.
            started: As in `scalars_for`.

        Raises:
            SettingsError: If one is known and too large for float32.
        """
        first, others = self.six(hyperparameters)
        if leave_float32(c for c in (*first, *others) if isinstance(c, float)):
            raise SettingsError(
                "lr, momentum and weight decay give a factor that float32 cannot hold, in which velocities of 8 bits "
                "are computed. Use smaller ones, or velocity_dtype None."
            )
        with double_precision(jnp):
            known = [[jnp.asarray(c).astype(jnp.float32) for c in six] for six in (first, others)]
        if not hyperparameters.asks_for_first:
            return known[1]
        flag = self.has_started(started)
        return [jnp.where(flag, later, early) for early, later in zip(*known, strict=True)]

    def has_started(self, started: Any) -> Any:
        """Return whether a parameter has had a gradient, a bool scalar: what the state says, or else the count."""
        return self.count > 0 if started is None else started


def in_format(s: StepScalars, dtype: Any) -> StepScalars:
    """Return the scalars in a format; Python floats stay floats, to which JAX gives the format of what they meet.

    Raises:
        SettingsError: If one is known and too large for the format; it would become infinite.
    """
    info = jnp.finfo(dtype)
    values = {field.name: getattr(s, field.name) for field in fields(s)}
    for name, value in values.items():
        if isinstance(value, float) and abs(value) > float(info.max):
            raise SettingsError(
                f"`lr` and `weight_decay` give a factor of {value:.3g} ({name}), which {info.dtype} cannot hold. "
                "Use smaller ones, or float64 parameters."
            )
    return replace(s, **{name: v.astype(info.dtype) for name, v in values.items() if isinstance(v, jax.Array)})


def with_factors(s: StepScalars, factors: TensorFactors, grad: jax.Array, param: jax.Array) -> StepScalars:
    """Return the scalars of one leaf, as `TensorFactors.of` has them, from arrays that may be traced.

    Where it is clipped unit by unit, the factor on the gradient is an array.
    """
    one = jnp.ones((), jnp.finfo(grad.dtype).dtype)
    norm, size = jnp.abs(s.grad_scale) * _norm(grad), _norm(param)
    clipped = ratio = one
    if factors.adaptive_clip is not None:
        norms, sizes = (_norm(array, by_unit=factors.by_unit) for array in (grad, param))
        norms = jnp.abs(s.grad_scale) * norms
        most = factors.adaptive_clip * jnp.maximum(sizes, SMALLEST_NORM)
        is_larger = norms > most
        clipped = jnp.where(is_larger, most / jnp.where(is_larger, norms, one), one)
        norm = jnp.abs(s.grad_scale) * _norm(clipped * grad) if factors.by_unit else jnp.where(is_larger, most, norms)
    if factors.trust_coefficient is not None:
        decay = 0.0 if s.coupled_decay is ABSENT else s.coupled_decay
        has_both = (norm > 0) & (size > 0)
        ratio = factors.trust_coefficient * size / jnp.where(has_both, norm + decay * size, one)
        if factors.trust_clip:
            lr = jnp.asarray(s.lr, one.dtype)
            ratio = jnp.where(lr > 0, jnp.minimum(ratio / jnp.where(lr > 0, lr, one), one), one)
        ratio = jnp.where(has_both, ratio, one).astype(one.dtype)
    scale: Any = s.grad_scale * (clipped * ratio)
    return replace(s, grad_scale=scale, coupled_decay=s.coupled_decay * ratio)


def _norm(array: jax.Array, *, by_unit: bool = False) -> jax.Array:
    """Return the norm of an array; of its units, to be multiplied with it, along the axes that optax has for them.

    A unit is a slice along the last axis, in which JAX's layers have their outputs; of three axes, along the last two.
    """
    array = jnp.abs(array)
    if not by_unit or sum(extent != 1 for extent in array.shape) <= 1:
        return jnp.linalg.norm(array.reshape(-1))
    axes = (0,) if array.ndim in (2, 3) else tuple(range(array.ndim - 1))
    return jnp.sqrt(jnp.sum(jnp.square(array), axis=axes, keepdims=True))


def _is_live(name: str, value: Any) -> bool:
    if name in _SCHEDULABLE and callable(value) and not isinstance(value, Schedule):
        return True
    return (name in _NUMBERS or name in _FACTORS) and isinstance(value, jax.Array)


def _stand_in(name: str, value: Any) -> float:
    """Return the number to check the other settings with: the value itself where there is one."""
    stand_in = {**_STAND_INS, **_FACTORS}[name]
    if callable(value):
        return stand_in
    value = _checked(name, value)
    return stand_in if isinstance(value, Tracer) or value == 0 else float(value)


def _checked(name: str, value: Any) -> Any:
    """Return a live value as a scalar array or a float, checked as far as it is known."""
    if not isinstance(value, jax.Array):
        return check_range(name, as_float(name, value))
    if value.ndim or not any(jnp.issubdtype(value.dtype, kind) for kind in (jnp.floating, jnp.integer)):
        raise SettingsError(
            f"`{name}` as an array must hold one real number; got shape {value.shape} of {value.dtype}. "
            "Use a scalar such as jnp.float32(0.1)."
        )
    if not isinstance(value, Tracer):
        check_range(name, as_float(name, value))
    return value


def _check_references(hyperparameters: Hyperparameters) -> None:
    """Raise if weight decay divides by an lr that is not known."""
    decay = hyperparameters.settings.decay
    if hyperparameters.has_decay and decay in {"relative", "corrected"} and "lr" in hyperparameters.live:
        raise SettingsError(
            f'decay="{decay}" divides by the {"initial" if decay == "relative" else "largest"} lr, which an array or '
            'a function does not tell. Make lr a number or one of downslope.schedules, or use decay="decoupled".'
        )
