"""SGD for NumPy: parameters and velocities as dictionaries of arrays, updated in place.

The rule itself on arrays, `SGD._step_by_rule`, is what every step means and what the optimizers of other frameworks are
tested against. The compiled kernel takes the same step where it can; which arrays those are is in `kernel/arrays.py`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from downslope.core.averages import (
    AT_AVERAGE,
    AT_AVERAGE_ALREADY,
    begun,
    check_averages_kept,
    check_not_schedule_free,
    checked_ema,
    follow,
    misfit_of_average,
    misfits_of_averages,
)
from downslope.core.blocks import BLOCK, WORTH_CODES, blocks_of, decode, encode
from downslope.core.checks import NOT_GIVEN
from downslope.core.errors import SettingsError, StateError, did_you_mean
from downslope.core.groups import Group, assign_groups
from downslope.core.rule import StepScalars
from downslope.core.schedule_free import ScheduleFree, evaluation_point
from downslope.core.schedules.schedule import Schedule, value_at
from downslope.core.settings import Settings, check_alone
from downslope.core.shown import shown
from downslope.core.synonyms import IN_STEPS, refuse_unknown
from downslope.core.tensor_factors import TensorFactors, clipped_by_unit, factors_of
from downslope.kernel import backend, load_native, use_threads
from downslope.kernel.arrays import (
    NO_AVERAGES,
    Array,
    Averages,
    Prepared,
    check_objects,
    coefficients,
    collect,
    find_overlaps,
    is_bfloat16,
    leave_float32,
    overlaps_itself,
    prepare,
    step_codes,
    step_codes_in_numpy,
    unit_norms_of,
)

_Norms = tuple[TensorFactors, float, float]
"""Factors on the gradient of a parameter, its norm and the parameter's."""
_INSTEAD = {"clip_norm": "Clip the gradients before the step: they are only read in it.", "steps_per_epoch": IN_STEPS}
"""What is said of arguments that only other optimizers of ours have."""
_MOST_KNOWN = 256
"""Coefficients kept, by settings: who sets other settings at every step is not to fill the memory with old ones."""


class SGD:
    """SGD with momentum and weight decay on a dictionary of NumPy arrays.

    Args:
        params: Parameters by name: writable floating or complex arrays of any shape, updated in place.
        lr: Learning rate, or a schedule in steps; with the other hyperparameters as in `Settings`.
        settings: All hyperparameters at once, instead of one by one; or those of schedule-free SGD, `ScheduleFree`.
        groups: Settings that differ by name pattern.
        velocity_dtype: None for velocities of each parameter's format; "int8" for codes of 8 bits with a scale for each
            256 of them (`downslope.core.blocks`), but for parameters with fewer than 4096 elements.
        fused: None: the compiled kernel steps every array that it can take (dense, float32, float64, float16 or the
            bfloat16 of `ml_dtypes`), the rule in NumPy the others. True: the kernel, or an error. False: the rule.
        ema: Decay of an average of the weights that each step moves with them; see `averaged`, by which it is read. A
            group may have its own, 0 for none.
        **hyperparameters: Any other field of `Settings`.

    Raises:
        SettingsError: If a hyperparameter or a parameter is not allowed.
        GroupError: If a pattern of `groups` matches nothing.

    Example:
        >>> import numpy as np
        >>> from downslope.numpy import SGD
        >>> params = {"weight": np.array([1.0])}
        >>> optimizer = SGD(params, lr=0.5, momentum=0.5)
        >>> for _ in range(2):
        ...     optimizer.step({"weight": np.array([1.0])})
        >>> params["weight"]
        array([-0.25])
    """

    def __init__(
        self,
        params: Mapping[str, Array],
        lr: Any = NOT_GIVEN,
        *,
        settings: Settings | None = None,
        groups: Sequence[Group] = (),
        velocity_dtype: str | None = None,
        fused: bool | None = None,
        ema: float | None = None,
        **hyperparameters: Any,
    ) -> None:
        given = hyperparameters if lr is NOT_GIVEN else {"lr": lr, **hyperparameters}
        own = ("params", "settings", "groups", "velocity_dtype", "fused", "ema")
        refuse_unknown(given, [*Settings.__dataclass_fields__, *own], "downslope.numpy.SGD", _INSTEAD)
        if settings is not None:
            check_alone(settings, given, relatives=True)
        settings = Settings(**given) if settings is None else settings
        if not (fused is None or isinstance(fused, bool)):
            raise SettingsError(f"`fused` must be True, False or None; got {fused!r}.")
        if fused and load_native() is None:
            raise SettingsError(f"`fused=True`: there is no compiled kernel here: {backend()}. Leave fused None.")
        self._fused = fused
        ema = checked_ema(ema)
        self._known_coefficients: dict[tuple[int, bool], tuple[Settings, list[float]]] = {}
        if not isinstance(params, Mapping):
            raise SettingsError(
                f"`params` must be a dictionary of arrays by name; got {type(params).__name__}. "
                'Use for example {"weight": weight}.'
            )
        self.params = dict(params)
        for name, param in self.params.items():
            _check_param(name, param)
        assigned = assign_groups(groups, {name: param.shape for name, param in self.params.items()})
        self._keeps_codes = _checked_velocity_dtype(velocity_dtype, self.params)
        self._codes: dict[str, tuple[Array, Array]] = {}
        self.settings: dict[str, Settings] = dict.fromkeys(assigned[-1], settings)
        """Settings of each parameter, by name."""
        emas = dict.fromkeys(self.settings, ema)
        for group, names in zip(groups, assigned, strict=False):
            self.settings |= dict.fromkeys(names, group.apply(settings))
            emas |= dict.fromkeys(names, group.ema_of(ema))
        self._weights = {name: 1.0 - own for name in self.params if (own := emas[name]) is not None}
        if isinstance(settings, ScheduleFree):
            for own in (ema, *emas.values()):
                check_not_schedule_free(own)
        self._norms: dict[int, _Norms] = {}
        self._has_factors = any(factors_of(own).given for own in self.settings.values())
        for own in self.settings.values():
            own.at(0)  # raises where a schedule is in epochs
        self.velocity: dict[str, Array] = {}
        """Velocity of each parameter that has had a gradient, by name; of the parameter's shape. Copy one to keep it: a
        step changes it in place, or puts another array there."""
        self.average: dict[str, Array] = {}
        """With `ema`, averages of parameters from the first step on, by name; a step changes them in place."""
        self._averages = NO_AVERAGES
        self._averaged_within: Iterable[str] = ()
        self._is_at_average = False
        self.step_count = 0
        """Steps done: the step at which schedules are read next."""

    def step(self, grads: Mapping[str, Array | None]) -> None:
        """Take one step, updating the parameters in place.

        Args:
            grads: Gradients by name, each of its parameter's shape; a parameter without one (missing or None) does not
                move.

        Raises:
            SettingsError: If a name is unknown, a shape differs, or a parameter was replaced by something that cannot
                be updated; then nothing has moved.
            StateError: If a velocity was replaced by something of another shape, an average by something that is none,
                or the parameters hold their averages; then nothing has moved.
        """
        if not isinstance(grads, Mapping):
            raise SettingsError(f"`grads` must be a dictionary of arrays by name; got {type(grads).__name__}.")
        if self._is_at_average:
            raise StateError(AT_AVERAGE)
        if self._weights:
            self._averages, self._averaged_within = Averages(self._checked_averages(), self._weights), ()
        native = None if self._fused is False else load_native()
        if self._has_factors:
            grads, self._norms = self._with_norms(self._checked(grads))
        if self._keeps_codes:
            self._step_with_codes(native, self._checked(grads))
        elif native is None or not self._step_at_once(native, grads):
            self._step_prepared(native, self._checked(grads))
        if self._weights:
            self._follow()
        self.step_count += 1

    def _checked_averages(self) -> dict[str, Array]:
        """Return the averages that are kept, by name; raise unless each is one that can move with its parameter."""
        kept = {name: self.average[name] for name in self.average if name in self._weights and name in self.params}
        for name, average in kept.items():
            _check_param(name, self.params[name])
            if (problem := misfit_of_average(average, self.params[name], can_move=True)) is not None:
                raise StateError(
                    f"the average of `{shown(name)}` {problem}. To begin it anew: del optimizer.average[{name!r}]."
                )
        return kept

    def _follow(self) -> None:
        """Begin averages that there are not, and move those that the kernel has not moved within the step."""
        within = frozenset(self._averaged_within)
        for name, param in self.params.items():
            if (weight := self._weights.get(name)) is None:
                continue
            if name not in self.average:
                self.average[name] = begun(param)
            elif name not in within:
                follow(param, self.average[name], weight)
        self._averages, self._averaged_within = NO_AVERAGES, ()

    def _step_at_once(self, native: Any, grads: Mapping[str, Any]) -> bool:
        """Step all by the kernel and return True if every array is fit for it as it is; else nothing has moved."""
        step = collect(native, grads, self.params, self.velocity, {}, self.settings, self._averages)
        if not step.is_whole:
            return False
        numbers = self._coefficients(step.kinds)
        if leave_float32(numbers):
            return False
        use_threads()
        step.run(numbers)
        if self._averages.arrays:
            self._averaged_within = {name for name, grad in grads.items() if grad is not None}
        return True

    def _step_with_codes(self, native: Any, given: Mapping[str, Array]) -> None:
        """Step checked gradients where velocities of large parameters are codes, the others as ever."""
        coded = [name for name in given if self.params[name].size >= WORTH_CODES]
        kept = self._averages.arrays
        written = [self.params[name] for name in given] + [kept[name] for name in given if name in kept]
        is_read_late, is_shared = find_overlaps(written, given.values())
        if is_read_late:
            given = {name: np.array(grad) for name, grad in given.items()}
        kinds = [(self.settings[name], name not in self._codes) for name in coded]
        numbers = self._coefficients(kinds)
        if leave_float32(numbers):
            raise SettingsError(
                "lr, momentum and weight decay give a factor that float32 cannot hold, in which velocities of 8 bits "
                "are computed. Use smaller ones, or velocity_dtype None."
            )
        self._check_can_be_fused(name for name in coded if is_shared or not _is_row_major(self.params[name]))
        rest = {name: grad for name, grad in given.items() if self.params[name].size < WORTH_CODES}
        if is_shared and len(given) > 1:  # their order counts, whatever the form of their velocities
            self._averages = NO_AVERAGES  # which are of what all have made of the memory
            for name, grad in given.items():
                self._step_with_codes(native, {name: grad})
            return
        if rest:
            self._step_prepared(native, rest)
        for name in coded:
            if name not in self._codes:
                shape = self.params[name].shape
                self._codes[name] = np.zeros(shape, np.int8), np.zeros(blocks_of(self.params[name].size), np.float32)
        rows = [
            (
                self.params[name],
                np.require(given[name], self.params[name].dtype, ["C", "A"]),
                *self._codes[name],
                kept.get(name),
                self._averages.weights.get(name, 0.0),
                kind,
            )
            for kind, name in enumerate(coded)
        ]
        use_threads()
        left = step_codes(native, rows, numbers)
        for row in left:
            step_codes_in_numpy(row, numbers)
        if kept:
            outside = {coded[row[-1]] for row in left}
            self._averaged_within = {*self._averaged_within, *(name for name in coded if name not in outside)}

    def _check_can_be_fused(self, unfit: Iterable[str]) -> None:
        if self._fused and (name := next(iter(unfit), None)) is not None:
            raise SettingsError(
                f"`fused=True`: parameter `{name}`, whose velocity is of 8 bits, is not for the kernel, which "
                "takes contiguous NumPy arrays on memory of their own. Leave fused None: NumPy steps the others."
            )

    def _step_prepared(self, native: Any, given: Mapping[str, Array]) -> None:
        """Step checked gradients, each parameter by the kernel if it can be made ready for it, else by the rule."""
        ready = prepare(native, given, self.params, self.velocity, self.settings, self._averages)
        numbers = [] if ready.by_kernel is None else self._coefficients(ready.by_kernel.kinds)
        if leave_float32(numbers):  # float32 has no number for them, though it may have for their factors
            ready = Prepared(None, list(given), ready.grads, {}, "its coefficients leave float32's range")
        if self._fused and ready.by_rule:
            raise SettingsError(
                f"`fused=True`: parameter `{ready.by_rule[0]}` is not for the kernel: {ready.obstacle}. It takes dense "
                "NumPy arrays of float32, float64, float16 and bfloat16. Leave fused None: the rule steps the others."
            )
        scalars_of = self._scalars_of(ready.by_rule)  # before anything moves, since a schedule may refuse its step
        if ready.by_kernel is not None:
            use_threads()
            ready.by_kernel.run(numbers)
            self.velocity |= ready.fresh
            if self._averages.arrays:
                self._averaged_within = given.keys() - set(ready.by_rule)
        for name, scalars in scalars_of.items():
            self._step_by_rule(name, ready.grads[name], scalars)

    def _step_by_rule(self, name: str, grad: Array, scalars: StepScalars) -> None:
        """Step one parameter by the rule itself."""
        param = self.params[name]
        # Half precision is computed in float32 and rounded once.
        wide = np.result_type(param, np.float32)
        velocity = self.velocity[name] if name in self.velocity else np.zeros_like(param)
        delta, velocity = scalars.rule(
            param.astype(wide, copy=False), grad.astype(wide, copy=False), velocity.astype(wide)
        )
        self.velocity[name] = _in_the_form_of(param, velocity)
        param[...] = param + delta

    def _coefficients(self, kinds: Iterable[tuple[Settings, bool]]) -> list[float]:
        """Return six coefficients for each (settings, whether at the first gradient), end to end."""
        numbers: list[float] = []
        for settings, first in kinds:
            known, own = self._known_coefficients.get((id(settings), first), (None, []))
            if known is not settings:  # copying an optimizer copies the settings, not their ids
                own = coefficients(self._scalars(settings, first=first))
                if len(self._known_coefficients) > _MOST_KNOWN:
                    self._known_coefficients.clear()
                if _is_constant(settings) and id(settings) not in self._norms:
                    self._known_coefficients[id(settings), first] = (settings, own)
            numbers += own
        return numbers

    def _scalars_of(self, names: Iterable[str]) -> dict[str, StepScalars]:
        """Return by name the scalars of this step, worked out once for all that share settings."""
        known: dict[tuple[int, bool], StepScalars] = {}
        found: dict[str, StepScalars] = {}
        for name in names:
            settings, first = self.settings[name], name not in self.velocity
            kind = id(settings), first
            if kind not in known:
                known[kind] = self._scalars(settings, first=first)
            found[name] = known[kind]
        return found

    def _scalars(self, settings: Settings, *, first: bool) -> StepScalars:
        """Return the scalars of this step, of one parameter where its gradient has factors of its own."""
        scalars = settings.at(self.step_count, first=first)
        norms = self._norms.get(id(settings))
        if norms is None and factors_of(settings).given:
            raise SettingsError(
                "settings with a trust ratio or adaptive clipping were put into `settings` of an optimizer that has "
                "none. Make the optimizer with them."
            )
        return scalars if norms is None else norms[0].of(scalars, *norms[1:])

    def _with_norms(self, grads: dict[str, Array]) -> tuple[dict[str, Array], dict[int, _Norms]]:
        """Return the gradients, those that are clipped unit by unit as they are then, and by the id of settings norms.

        Such settings, where a step asks for norms, are one parameter's alone.
        """
        norms: dict[int, _Norms] = {}
        norms_of = partial(unit_norms_of, None if self._fused is False else load_native())
        for name, grad in grads.items():
            param, factors = self.params[name], factors_of(self.settings[name])
            if factors.given:
                if id(self.settings[name]) in norms:
                    self.settings[name] = replace(self.settings[name])
                if factors.by_unit and param.ndim > 1:
                    grads[name] = clipped_by_unit(grad, param, factors.adaptive_clip or 0.0, norms_of)
                    factors = factors._replace(adaptive_clip=None)
                norms[id(self.settings[name])] = factors, _norm(grads[name]), _norm(param)
        return grads, norms

    def _checked(self, grads: Mapping[str, Any]) -> dict[str, Array]:
        """Return the gradients there are, as arrays, after checking everything that a person can get wrong."""
        given: dict[str, Array] = {}
        for name, grad in grads.items():
            if name not in self.params:
                raise SettingsError(f"gradient of unknown parameter `{shown(name)}`.{did_you_mean(name, self.params)}")
            if grad is not None:
                _check_param(name, self.params[name])
                given[name] = _read_grad(name, grad, self.params[name])
                if name in self.velocity:
                    _check_velocity(name, self.velocity[name], self.params[name])
        return given

    def evaluation_params(self) -> dict[str, Array]:
        """Return a copy of every parameter at which the model is to be evaluated: x of schedule-free SGD, y being ours.

        Raises:
            SettingsError: If the settings are of another method, which is evaluated at its parameters.

        Example:
            >>> import numpy as np
            >>> from downslope import ScheduleFree
            >>> params = {"weight": np.array([1.0])}
            >>> optimizer = SGD(params, settings=ScheduleFree(lr=0.5, momentum=0.5))
            >>> for _ in range(2):
            ...     optimizer.step({"weight": np.array([1.0])})
            >>> params["weight"], optimizer.evaluation_params()["weight"]  # z is 0.5 and then 0.0
            (array([0.125]), array([0.25]))
        """
        found: dict[str, Array] = {}
        for name, param in self.params.items():
            settings = self.settings[name]
            if not isinstance(settings, ScheduleFree):
                raise SettingsError("`evaluation_params` is for settings=ScheduleFree(...); SGD's are `params`.")
            wide = param.astype(np.result_type(param, np.float32))
            velocity = decode(*self._codes[name]) if name in self._codes else self.velocity.get(name)
            if velocity is not None:
                wide = evaluation_point(wide, velocity.astype(wide.dtype), value_at(settings.momentum, 0))
            found[name] = _in_the_form_of(param, wide, copy=True)
        return found

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Have the parameters hold their averages within this context, and afterwards what they held, bit for bit.

        With ``ema=0.999`` each step moves ``average + (1 - ema) * (weight - average)``, in float32 (float64 of float64
        weights), beginning with the weights after the first step, of every parameter, whether it had a gradient or not,
        but for those of a group whose `ema` is 0.
        The compiled kernel does it within its pass; where the rule steps, NumPy follows, with the same bits.

        Raises:
            StateError: If no average is kept, or it is such a context already. `step` raises it within.

        Example:
            >>> import numpy as np
            >>> params = {"weight": np.zeros(1)}
            >>> optimizer = SGD(params, lr=1.0, ema=0.5)
            >>> for _ in range(3):
            ...     optimizer.step({"weight": np.array([-1.0])})
            >>> with optimizer.averaged():  # 1, then half the way to 2, then half the way to 3
            ...     params["weight"]
            array([2.25])
            >>> params["weight"]
            array([3.])
        """
        check_averages_kept("use the average", is_any_kept=bool(self._weights))
        if self._is_at_average:
            raise StateError(AT_AVERAGE_ALREADY)
        averages = self._checked_averages()
        held = {name: self.params[name] for name in averages}
        own = {name: param.copy() for name, param in held.items()}
        self._is_at_average = True
        try:
            for name, param in held.items():
                param[...] = averages[name]
            yield
        finally:
            for name, param in held.items():
                param[...] = own[name]
            self._is_at_average = False

    def averaged_params(self) -> dict[str, Array]:
        """Return a copy of every parameter at its average, in the parameter's format; as it is where there is none.

        Raises:
            StateError: If no average is kept.
        """
        check_averages_kept("read the average", is_any_kept=bool(self._weights))
        averages = self._checked_averages()
        return {
            name: _in_the_form_of(param, averages.get(name, param), copy=True) for name, param in self.params.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state: "step" (int) and "velocity" (arrays by name).

        Where velocities are kept in 8 bits also "codes" and "scales", arrays by name of the large parameters; with
        `ema` also "average", arrays by name.
        """
        state: dict[str, Any] = {"step": self.step_count, "velocity": {n: a.copy() for n, a in self.velocity.items()}}
        if self._keeps_codes:
            state["codes"] = {name: codes.copy() for name, (codes, _) in self._codes.items()}
            state["scales"] = {name: scales.copy() for name, (_, scales) in self._codes.items()}
        if self._weights:
            kept = {name: average for name, average in self.average.items() if name in self._weights}
            state["average"] = {name: average.copy() for name, average in kept.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state that `state_dict` returned; what is of 8 bits on one side only is converted, with a warning.

        A velocity of a narrower floating format than its parameter's becomes that of the parameter, which has the same
        numbers, and so does a narrower average. A state without averages has them begin anew with the next step.

        Raises:
            StateError: If a name, shape or format does not fit; then nothing has changed.
        """
        if not isinstance(state, Mapping) or set(state) - {"codes", "scales", "average"} != {"step", "velocity"}:
            found = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
            raise StateError(f"the state must have `step` and `velocity`; got {found}.")
        step, velocity = state["step"], state["velocity"]
        if isinstance(step, np.ndarray) and step.ndim == 0:  # as np.savez gives it back
            step = step.item()
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            raise StateError(f"`step` must be an integer >= 0; got {step!r}.")
        if not isinstance(velocity, Mapping):
            raise StateError(f"`velocity` must be a dictionary of arrays by name; got {type(velocity).__name__}.")
        codes = _codes_of(state, self.params)
        problems = [
            problem
            for name, array in velocity.items()
            if (problem := _misfit(name, array, self.params, keeps_codes=self._keeps_codes)) is not None
        ]
        averages = state.get("average", {})
        problems += misfits_of_averages(averages, self.params, self._weights)
        problems += [f"`{shown(name)}` has both a velocity and codes" for name in velocity if name in codes]
        if problems:
            raise StateError("the state does not fit; nothing was loaded: " + "; ".join(problems) + ".")
        large = {name for name in velocity if self._keeps_codes and self.params[name].size >= WORTH_CODES}
        if large:
            _warn(f"rounded {len(large)} velocities to 8 bits: each by up to 0.8 per cent of the largest in its block")
        unkept = {name for name in codes if not (self._keeps_codes and self.params[name].size >= WORTH_CODES)}
        if unkept:
            _warn(
                f"turned {len(unkept)} velocities of 8 bits into the parameter's format; what 8 bits had lost stays "
                "lost"
            )
            velocity = {**velocity, **{name: decode(*codes.pop(name)) for name in unkept}}
        self._codes = codes | {name: encode(velocity[name]) for name in large}
        self.velocity = {
            name: _in_the_form_of(self.params[name], array, copy=True)
            for name, array in velocity.items()
            if name not in large
        }
        self.average = {name: begun(self.params[name]) for name in averages}
        for name, average in self.average.items():
            average[...] = averages[name]
        self.step_count = step


def _norm(array: Array) -> float:
    """Return the Euclidean norm of an array, in float64, also where its square is beyond that."""
    flat = array.reshape(-1)
    flat = flat.astype(np.complex128 if flat.dtype.kind == "c" else np.float64)
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(flat))
    largest = float(np.abs(flat).max(initial=0.0)) if math.isinf(norm) else math.inf
    return norm if math.isinf(largest) else largest * float(np.linalg.norm(flat / largest))


def _in_the_form_of(param: Array, values: Any, *, copy: bool = False) -> Array:
    """Return an array of a parameter's format and layout; the values themselves if they have it already."""
    values = np.asarray(values, param.dtype)  # the rule turns 0-d arrays into scalars
    if values.strides == param.strides and not copy:
        return values
    formed = np.empty_like(param, subok=False)
    formed[...] = values
    return formed


def _is_constant(settings: Settings) -> bool:
    """Whether every step has the same scalars; those of a relative, which averages, change."""
    values = (settings.lr, settings.momentum, settings.weight_decay)
    return type(settings) is Settings and not any(isinstance(value, Schedule) for value in values)


def _checked_velocity_dtype(dtype: Any, params: Mapping[str, Array]) -> bool:
    """Return whether velocities are kept in 8 bits.

    Raises:
        SettingsError: If it is another word, or a parameter is of a format that has no such velocity.
    """
    if dtype is None:
        return False
    if not isinstance(dtype, str) or dtype != "int8":
        raise SettingsError(f'`velocity_dtype` must be None or "int8"; got {shown(repr(dtype))}.')
    for name, param in params.items():
        if param.dtype.itemsize > 4 or param.dtype.kind == "c" or not param.dtype.isnative:
            raise SettingsError(
                f'`velocity_dtype="int8"` is for parameters of float32, float16 and bfloat16, and `{shown(name)}` is '
                f"{param.dtype}. Leave velocity_dtype None, or use np.float32."
            )
    return True


def _codes_of(state: Mapping[str, Any], params: Mapping[str, Array]) -> dict[str, tuple[Array, Array]]:
    """Return copies of a state's codes and scales by name.

    Raises:
        StateError: If they do not fit their parameters.
    """
    codes, scales = state.get("codes", {}), state.get("scales", {})
    if not isinstance(codes, Mapping) or not isinstance(scales, Mapping) or set(codes) != set(scales):
        raise StateError("`codes` and `scales` must be dictionaries of arrays with the same names.")
    for name, own in codes.items():
        param, of_blocks = params.get(name), scales[name]
        if (
            param is None
            or not isinstance(own, np.ndarray)
            or not isinstance(of_blocks, np.ndarray)
            or (own.dtype, own.shape) != (np.dtype(np.int8), param.shape)
            or (of_blocks.dtype, of_blocks.shape) != (np.dtype(np.float32), (blocks_of(param.size),))
        ):
            raise StateError(
                f"the codes of `{shown(name)}` must be int8 of the parameter's shape, with a float32 scale for each "
                f"{BLOCK} elements; nothing was loaded."
            )
    return {name: (np.array(own, order="C"), scales[name].copy()) for name, own in codes.items()}


def _is_row_major(param: Array) -> bool:
    return type(param) is np.ndarray and param.flags.c_contiguous and param.flags.aligned


def _warn(sentence: str) -> None:
    warnings.warn(f"load_state_dict {sentence}.", UserWarning, stacklevel=3)


def _check_param(name: str, param: Any) -> None:
    if not isinstance(param, np.ndarray):
        raise SettingsError(
            f"parameter `{shown(name)}` must be a NumPy array, since it is updated in place; got {_foreign(param)}."
        )
    if not _is_floating(param.dtype):
        raise SettingsError(
            f"parameter `{shown(name)}` must be a NumPy array of floating or complex numbers, since it is updated in "
            f"place; got array of {param.dtype}. Use np.asarray(..., dtype=np.float32)."
        )
    if not param.flags.writeable:
        raise SettingsError(
            f"parameter `{shown(name)}` is read-only and cannot be updated in place. Pass a copy of it."
        )
    if overlaps_itself(param):
        raise SettingsError(
            f"parameter `{shown(name)}` has elements that share memory, of whose steps only one would be left. Pass a "
            "copy of it."
        )


def _foreign(value: Any) -> str:
    """Return what a thing that is no NumPy array is, and what to do about it; its framework is not imported."""
    roots = {base.__module__.partition(".")[0] for base in type(value).__mro__}
    if roots & {"jax", "jaxlib"}:
        return "a jax.Array, which never changes. np.array(x) copies it; for JAX itself use downslope.jax.sgd"
    if "torch" in roots:
        return "a torch.Tensor. For torch use downslope.torch.SGD; x.detach().numpy() is an array on the same memory"
    return f"{type(value).__name__}. Use np.asarray(..., dtype=np.float32)"


def _read_grad(name: str, grad: Any, param: Array) -> Array:
    """Return a gradient as an array that is only read, be it a list, a number or an array of any framework."""
    if np.ma.is_masked(grad):
        raise SettingsError(
            f"the gradient of `{shown(name)}` has masked elements, and what a step does there is not defined. Use "
            "grad.filled(0), or np.asarray(grad)."
        )
    try:
        array = np.asarray(grad)
        if array.dtype.kind == "O":
            check_objects(array)
        if array.dtype.kind not in "fciubUSMm" and not is_bfloat16(array.dtype):
            array = array.astype(np.result_type(param, np.float32))
    except Exception as error:
        raise SettingsError(
            f"the gradient of `{shown(name)}` cannot be read as an array of numbers: {error}"
        ) from error
    if array.dtype.kind in "USMm":
        raise SettingsError(
            f"the gradient of `{shown(name)}` cannot be read as an array of numbers: its elements are {array.dtype}."
        )
    if array.shape != param.shape:
        raise SettingsError(
            f"the gradient of `{shown(name)}` has shape {array.shape}, the parameter {param.shape}. They must be equal."
        )
    if np.iscomplexobj(array) and not np.iscomplexobj(param):
        raise SettingsError(
            f"the gradient of `{shown(name)}` is complex, the parameter real: its imaginary part would be lost."
        )
    return array


def _check_velocity(name: str, velocity: Any, param: Array) -> None:
    if not isinstance(velocity, np.ndarray) or velocity.shape != param.shape:
        form = f"shape {velocity.shape}" if isinstance(velocity, np.ndarray) else f"type {type(velocity).__name__}"
        raise StateError(
            f"the velocity of `{shown(name)}` has {form}, the parameter shape {param.shape}. If the parameter was "
            f"replaced, begin anew: del optimizer.velocity[{name!r}]."
        )
    if overlaps_itself(velocity):
        raise StateError(f"the velocity of `{shown(name)}` has elements that share memory. Give a copy of it.")


def _misfit(name: str, array: Any, params: Mapping[str, Array], *, keeps_codes: bool) -> str | None:
    """Return why a saved velocity cannot be a parameter's, or None: of a format with a number that would be lost."""
    if name not in params:
        return f"unexpected: `{shown(name)}`"
    param = params[name]
    if isinstance(array, np.ndarray) and array.shape == param.shape and _is_floating(array.dtype):
        becomes_codes = keeps_codes and param.size >= WORTH_CODES  # which is said
        is_complex = array.dtype.kind == "c", param.dtype.kind == "c"
        if is_complex in {(False, False), (True, True)} and (becomes_codes or np.can_cast(array.dtype, param.dtype)):
            return None
    form = f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
    return f"the velocity of `{shown(name)}` is {form}, the parameter {param.shape} of {param.dtype}"


def _is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether a format is one of floating or complex numbers."""
    return dtype.kind in "fc" or is_bfloat16(dtype)
