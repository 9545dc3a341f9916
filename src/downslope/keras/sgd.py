"""`SGD`: the optimizer that a Keras user puts in the place of ``keras.optimizers.SGD``.

One text for every backend of Keras; on torch and JAX, the compiled kernel steps what it can.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from downslope.core.checks import NOT_GIVEN
from downslope.core.errors import SettingsError, StateError
from downslope.core.groups import Group
from downslope.core.rule import StepScalars
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.core.synonyms import says_our_words
from downslope.keras.loading import arrays_of, check_fits, load_at_once, to_array, was_never_built
from downslope.keras.options import (
    DEFAULTS,
    INSTEAD,
    check_factors,
    check_no_averages,
    check_no_factors,
    check_rate,
    settings_and_lr,
)
from downslope.keras.rule_step import move, scalars_of
from downslope.keras.schedules import Scheduled, value_of_keras
from downslope.keras.traced_numbers import Number, computing_format
from downslope.keras.variables import (
    Exclusion,
    VariableRule,
    check_gradients,
    groups_from_config,
    groups_to_config,
    path_of,
    rules_of,
)


class Held:
    """What the optimizer knows besides its variables, in one attribute: Keras tracks and wraps what it is given.

    Attributes:
        settings: Settings of all variables that no group matches.
        weight_decay: As given: None is Keras's word for none.
        groups: Settings that differ by path.
        exclusion: What weight decay leaves alone.
        rules: By variable, in order, what applies to it; empty until the optimizer is built.
        has_stepped: Whether a step was taken or traced.
        scalars: Those of the present step, by rule and format.
        waiting: Variables loaded before the optimizer was built.
        plan: On the torch backend, the variables that the compiled kernel steps.
    """

    def __init__(self, settings: Settings, weight_decay: Any, groups: tuple[Group, ...]) -> None:
        self.settings = settings
        self.weight_decay = weight_decay
        self.groups = groups
        self.exclusion = Exclusion()
        self.rules: tuple[VariableRule, ...] = ()
        self.has_stepped = False
        self.scalars: dict[tuple[int, str], StepScalars] = {}
        self.waiting: list[Any] | None = None
        self.plan: Any = None


class Fixed:
    """A hyperparameter as an attribute that is read only: a compiled step would not see it change."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = f"{doc} Fixed when the optimizer is made."

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name of the attribute."""
        self.name = name

    def __get__(self, optimizer: Any, owner: type | None = None) -> Any:
        """Return the value in the settings."""
        if optimizer is None:
            return self
        held = optimizer._held
        return held.weight_decay if self.name == "weight_decay" else getattr(held.settings, self.name)

    def __set__(self, optimizer: Any, value: Any) -> None:
        """Refuse."""
        if "_held" not in vars(optimizer):
            return  # the base class sets its own weight_decay, None, before ours is known
        raise SettingsError(
            f"`{self.name}` is fixed when the optimizer is made, since a compiled step would not see it change; got "
            f"{value!r}. Make a new optimizer with it, or pass a schedule of downslope.schedules."
        )


@keras.saving.register_keras_serializable(package="downslope")
class SGD(keras.optimizers.Optimizer):
    """SGD with momentum and weight decay: a drop-in for ``keras.optimizers.SGD``.

    The positional arguments and the defaults are those of ``keras.optimizers.SGD``, and so is the rule: with the same
    arguments, decay is "decoupled" and lr stands inside the velocity. The rule is `downslope.core.rule.sgd_rule`.

    Args:
        learning_rate: Learning rate: a number, a schedule of `downslope.schedules` or of
            `keras.optimizers.schedules`, or a function of no arguments. 0.01 unless given.
        momentum: Momentum in [0, 1), or a schedule of `downslope.schedules`.
        nesterov: Nesterov momentum; needs momentum (keras.optimizers.SGD ignores it then).
        weight_decay: Strength of weight decay, or a schedule of `downslope.schedules`; None for none.
        clipnorm: Largest norm of each gradient; this and the rest of Keras's arguments are the base class's.
        clipvalue: Largest absolute value of each element of a gradient.
        global_clipnorm: Largest norm of all gradients together.
        use_ema: Whether to keep a moving average of the parameters.
        ema_momentum: Factor of that average.
        ema_overwrite_frequency: Steps after which the parameters become their average, or None.
        loss_scale_factor: Factor on the loss, divided out of the gradients.
        gradient_accumulation_steps: Calls whose mean gradient makes one step, or None.
        name: Name of the optimizer.
        lr: The same as `learning_rate`, by the name that all of Downslope uses; pass one of them.
        dampening: The gradient enters the velocity with weight 1 - dampening; needs momentum.
        nu: Quasi-hyperbolic momentum, see `Settings`; needs momentum.
        decay: Way of weight decay, see `Settings`; "decoupled" is Keras's own, "coupled" with weight_decay = 2 l is
            what kernel_regularizer=L2(l) does.
        lr_in_velocity: Whether lr is inside the velocity, see `Settings`; in Keras it is.
        undampened_first_step: Whether a variable's first gradient is not dampened.
        maximize: Whether to ascend.
        settings: All hyperparameters at once, taken as they stand: `Settings` has defaults of its own.
        groups: Settings that differ by path, such as ``Group(match="*/bias", weight_decay=0.0)``; a learning rate that
            a group states is not changed by assigning to `learning_rate`.

    Raises:
        SettingsError: If a value is not allowed, or something is given twice.
        GroupError: When the optimizer is built: if a pattern of `groups` matches nothing.

    Example:
        >>> import keras
        >>> from downslope.keras import SGD
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile(optimizer=SGD(0.1, momentum=0.9, weight_decay=5e-4), loss="mse")
    """

    @says_our_words("downslope.keras.SGD", INSTEAD)
    def __init__(
        self,
        learning_rate: Any = NOT_GIVEN,
        momentum: Any = 0.0,
        nesterov: bool = False,
        weight_decay: Any = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        *,
        lr: Any = NOT_GIVEN,
        dampening: float = 0.0,
        nu: float | None = None,
        decay: str = "decoupled",
        lr_in_velocity: bool = True,
        undampened_first_step: bool = False,
        maximize: bool = False,
        settings: Settings | None = None,
        groups: Sequence[Group] = (),
    ) -> None:
        values = {
            "momentum": momentum,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "dampening": dampening,
            "nu": nu,
            "decay": decay,
            "lr_in_velocity": lr_in_velocity,
            "undampened_first_step": undampened_first_step,
            "maximize": maximize,
        }
        chosen, rate = settings_and_lr(learning_rate, lr, settings, values)
        super().__init__(
            learning_rate=rate,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
        )
        given = weight_decay if settings is None else chosen.weight_decay
        self._held = Held(chosen, None if given is None else chosen.weight_decay, groups_from_config(groups))
        check_factors(rate, self._held.groups)
        for group in self._held.groups:
            check_no_factors(group)
        check_no_averages(self._held.groups)
        self.momentums = []

    momentum = Fixed("Momentum, a number or a schedule.")
    nesterov = Fixed("Whether momentum is Nesterov's.")
    weight_decay = Fixed("Strength of weight decay: a number, a schedule, or None as Keras has it for none.")
    dampening = Fixed("Dampening.")
    nu = Fixed("Quasi-hyperbolic momentum's nu; None for plain momentum.")
    decay = Fixed("Way of weight decay.")
    lr_in_velocity = Fixed("Whether lr is inside the velocity.")
    undampened_first_step = Fixed("Whether a variable's first gradient is not dampened.")
    maximize = Fixed("Whether to ascend.")

    @property
    def groups(self) -> tuple[Group, ...]:
        """Settings that differ by path."""
        return self._held.groups

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next step: Keras's variable, or the present value of a schedule."""
        return self._get_current_learning_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        held, rate = self._held, check_rate(value)
        is_number = isinstance(rate, float)
        if not isinstance(self._learning_rate, keras.Variable):
            driver = self._learning_rate
            raise SettingsError(
                f"`learning_rate` is driven by {driver.schedule if isinstance(driver, Scheduled) else driver!r}; a "
                f"value assigned to it, {value!r}, would not last. Make the optimizer with a number, or leave out the "
                "callback that assigns."
            )
        if not is_number and self.built:
            raise SettingsError(
                f"`learning_rate` cannot become {value!r} once the optimizer is built: a compiled step would not see "
                "it. Make a new optimizer with it."
            )
        with_own = [g.match for g in held.groups if g.lr is not None or g.lr_factor is not None]
        if with_own:
            raise SettingsError(
                f"`learning_rate` cannot be assigned: the group {with_own[0]!r} has a learning rate of its own, which "
                "would not follow. Use schedules for both."
            )
        if is_number:
            self._learning_rate.assign(rate)
            return
        others = {name: getattr(held.settings, name) for name in DEFAULTS}
        variable = self._learning_rate
        held.settings, self._learning_rate = settings_and_lr(rate, NOT_GIVEN, None, others)
        self._untrack_variable(variable)

    def _get_current_learning_rate(self) -> Any:
        rate = self._learning_rate
        if isinstance(rate, Scheduled):
            return rate(self.iterations)  # steps, of which an accumulated one is one
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            return value_of_keras(rate, self._iterations)  # calls, as Keras documents
        return super()._get_current_learning_rate()

    def build(self, variables: Sequence[Any]) -> None:
        """Make the optimizer's variables: for each variable with momentum, one named ``<path>_momentum``.

        Args:
            variables: The trainable variables, in the order in which they will be updated.

        Raises:
            GroupError: If a pattern of `groups` or of an exclusion from weight decay matches nothing, or an excluded
                variable is not among these.
            StateError: If variables were loaded before, and do not fit.
        """
        if self.built:
            return
        held = self._held
        variables = list(variables)
        held.rules = self._rules_of(variables)
        super().build(variables)
        self.momentums = [
            self.add_variable_from_reference(v, name="momentum") if self._is_stepped(v) and rule.has_velocity else None
            for v, rule in zip(variables, held.rules, strict=True)
        ]
        self._first_gradients = [
            self.add_variable((), dtype="int32", name=f"{path_of(v).replace('/', '_')}_has_had_gradient")
            if self._is_stepped(v) and rule.counts_gradients
            else None
            for v, rule in zip(variables, held.rules, strict=True)
        ]
        if held.waiting is not None:
            waiting, held.waiting = held.waiting, None
            load_at_once(self, waiting)

    def _is_stepped(self, variable: Any) -> bool:
        return not self._overwrite_variable_with_gradient(variable)  # float8 scales and the like

    def _rules_of(self, variables: Sequence[Any]) -> tuple[VariableRule, ...]:
        held = self._held
        return rules_of(variables, held.settings, held.groups, held.exclusion, self._var_key)

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Do nothing: weight decay is in the rule, and the base class would do it a second time."""

    def _backend_apply_gradients(self, grads: Any, trainable_variables: Any) -> None:
        check_gradients(grads, trainable_variables)
        super()._backend_apply_gradients(grads, trainable_variables)

    def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
        ways = {"torch": self._step_on_torch, "jax": self._step_on_jax}
        self._held.scalars.clear()
        try:
            ways.get(keras.backend.backend(), self._step_one_by_one)(grads, trainable_variables, learning_rate)
        finally:
            self._held.scalars.clear()  # tensors of this trace, which no other may use

    def _step_on_torch(self, grads: Sequence[Any], variables: Sequence[Any], learning_rate: Any) -> None:
        import torch
        from keras.src.backend.common.stateless_scope import in_stateless_scope  # Keras does not export the question

        from downslope.keras.kernel_on_torch import KernelPlan

        held, rate = self._held, float(getattr(learning_rate, "value", learning_rate))
        taken: frozenset[int] = frozenset()
        with torch.no_grad():
            if not in_stateless_scope():  # in which nothing may be written in place
                if held.plan is None or not held.plan.is_current(variables):
                    held.plan = KernelPlan(variables, *self._momentums_and_rules(variables))
                taken = held.plan.step(grads, rate, self._scalars)
                held.has_stepped |= bool(taken)
            self._step_one_by_one(grads, variables, rate, taken)

    def _step_on_jax(self, grads: Sequence[Any], variables: Sequence[Any], learning_rate: Any) -> None:
        from downslope.keras.kernel_on_jax import step_by_kernel

        momentums, rules = self._momentums_and_rules(variables)
        schedule = self._learning_rate.schedule if isinstance(self._learning_rate, Scheduled) else None
        moved = step_by_kernel(
            variables, grads, momentums, rules, self.iterations, learning_rate, schedule, self._scalars
        )
        for position, (param, velocity) in moved.items():
            self.assign(variables[position], param)
            if velocity is not None:
                self.assign(momentums[position], velocity)
        self._held.has_stepped |= bool(moved)
        self._step_one_by_one(grads, variables, learning_rate, moved)

    def _step_one_by_one(
        self, grads: Sequence[Any], variables: Sequence[Any], learning_rate: Any, but: Container[int] = ()
    ) -> None:
        """Step each variable by `update_step`, but for those at some positions."""
        rest = [position for position in range(len(variables)) if position not in but]
        if rest:
            super()._backend_update_step([grads[i] for i in rest], [variables[i] for i in rest], learning_rate)

    def _momentums_and_rules(self, variables: Sequence[Any]) -> tuple[list[Any], list[VariableRule]]:
        indices = [self._get_variable_index(variable) for variable in variables]
        momentums: Any = self.momentums
        return [momentums[i] for i in indices], [self._held.rules[i] for i in indices]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable and its momentum.

        Args:
            gradient: Gradient, of the variable's shape; a sparse one is made dense.
            variable: The variable.
            learning_rate: Learning rate of this step, for variables whose group has none of its own.
        """
        self._held.has_stepped = True
        index = self._get_variable_index(variable)
        momentum, counted = self.momentums[index], self._first_gradients[index]
        dtype = keras.backend.standardize_dtype(variable.dtype)
        wide = computing_format(dtype)  # narrow formats are computed in float32, and rounded once
        s = self._scalars(self._held.rules[index], wide, learning_rate)
        if counted is not None:
            s = replace(s, dampening=Number(ops.cast(counted, wide)) * s.dampening)
            self.assign(counted, ops.ones((), "int32"))
        before, delta, velocity = move(variable, gradient, momentum, s, wide)
        if momentum is not None:
            self.assign(momentum, ops.cast(velocity, dtype))
        if isinstance(delta, Number):
            return  # a learning rate that is known to be 0
        if dtype == wide:
            self.assign_add(variable, delta)
        else:
            self.assign(variable, ops.cast(before + delta, dtype))

    def _scalars(self, rule: VariableRule, dtype: str, learning_rate: Any) -> StepScalars:
        """Return the scalars of this step, computed once for all variables that share them."""
        known, key = self._held.scalars, (id(rule), dtype)
        if key not in known:
            known[key] = scalars_of(rule, self.iterations, learning_rate, dtype)
        return known[key]

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Exclude variables from weight decay, before or after `build`, until the first step.

        As in Keras, a later call takes the place of an earlier one. Unlike there, it counts after `build` too, and is
        saved with the optimizer.

        Args:
            var_list: Variables.
            var_names: Regular expressions, looked for in variables' names and paths; "bias" for example.

        Raises:
            SettingsError: If a step has been taken: it may be compiled, and would not see the change.
            GroupError: If a pattern is no regular expression; or, here once the optimizer is built and else when it
                is, if a variable is not one of this optimizer's or a pattern is found in none of them.
        """
        held = self._held
        if held.has_stepped:
            raise SettingsError(
                "`exclude_from_weight_decay` must be called before the first step; a step may be compiled, and would "
                "not see the change. Call it right after making the optimizer, or use "
                "groups=[Group(match=..., weight_decay=0.0)]."
            )
        if isinstance(var_names, str):
            raise SettingsError(f"`var_names` must be a list of strings; got {var_names!r}. Write [{var_names!r}].")
        variables = list(var_list or ())
        former, held.exclusion = (
            held.exclusion,
            Exclusion(frozenset(map(self._var_key, variables)), tuple(map(path_of, variables)), tuple(var_names or ())),
        )
        if self.built:
            try:
                held.rules = self._rules_of(self._trainable_variables)
            except ValueError:
                held.exclusion = former
                raise

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all of the optimizer's variables.

        Args:
            weights: One array for each of `variables`, in their order.

        Raises:
            StateError: If the optimizer is not built, or number or shapes differ; then nothing has been written.
        """
        if not self.built:
            raise StateError(
                "the optimizer is not built, so it has no variables to set. "
                "Call optimizer.build(model.trainable_variables) first."
            )
        self._write([to_array(weight) for weight in weights])

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Load what `save_own_variables` stored; Keras calls this for files.

        Args:
            store: Arrays by "0", "1", ... An optimizer that is not built yet takes them up when it is.

        Raises:
            StateError: If number or shapes differ; then nothing has been written.
        """
        arrays = arrays_of(store)
        if not self.built:
            self._held.waiting = arrays
            return
        unbuilt = 1 + isinstance(self._learning_rate, keras.Variable)
        if was_never_built(arrays, unbuilt):  # saved before its first step, by a model that was only compiled
            arrays += [np.zeros(variable.shape) for variable in self.variables[unbuilt:]]
        self._write(arrays)

    def _write(self, arrays: list[Any]) -> None:
        check_fits(self.variables, arrays)
        for variable, array in zip(self.variables, arrays, strict=True):
            variable.assign(array)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain values, from which `from_config` makes the same optimizer."""
        held = self._held
        own = held.settings
        config = super().get_config()
        config |= {name: getattr(own, name) for name in DEFAULTS} | {"weight_decay": held.weight_decay}
        for name in ("momentum", "weight_decay"):
            if isinstance(config[name], Schedule):
                # A plain table: Keras takes objects of one address for one, and a passing object leaves its own.
                config[name] = Scheduled(config[name]).get_config()["schedule"]
        if isinstance(self._learning_rate, keras.Variable):
            given = own.lr
            present: Any = ops.convert_to_numpy(self._learning_rate)
            # the number that was given rather than its float32 rounding, as long as it stands
            config["learning_rate"] = given if present == present.dtype.type(given) else float(present)
            config["lr_initial"] = given
        config["groups"] = groups_to_config(held.groups)
        config["excluded_from_weight_decay"] = held.exclusion.to_config()
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> SGD:
        """Return the optimizer that `get_config` described.

        Args:
            config: What it returned.
            custom_objects: Other objects of a learning rate, by name.
        """
        config = dict(config)
        excluded = config.pop("excluded_from_weight_decay", None)
        lr_initial = config.pop("lr_initial", None)
        if isinstance(config.get("learning_rate"), dict):
            rate = keras.saving.deserialize_keras_object(config["learning_rate"], custom_objects=custom_objects)
            config["learning_rate"] = rate
        for name in ("momentum", "weight_decay"):
            if isinstance(config.get(name), dict):
                config[name] = Scheduled.from_config({"schedule": config[name]}).schedule
        present = config.get("learning_rate")
        if lr_initial is not None:  # what "relative" and "corrected" decay divide by, whatever lr is by now
            config["learning_rate"] = lr_initial
        optimizer = cls(**config)
        if lr_initial is not None:
            optimizer._learning_rate.assign(check_rate(present))
        if excluded is not None:
            optimizer._held.exclusion = Exclusion(paths=tuple(excluded["paths"]), patterns=tuple(excluded["names"]))
        return optimizer
