"""The NumPy front door: the rule itself on arrays, and the reference that the other doors are tested against.

What lives here: parameters and velocities as dictionaries of arrays, updated in place. It reads like the rule because
it is the rule; no arithmetic of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from downslope.core.errors import SettingsError, StateError, did_you_mean, one_of
from downslope.core.groups import Group, assign_groups
from downslope.core.rule import sgd_rule
from downslope.core.settings import Settings


class SGD:
    """SGD with momentum and weight decay on a dictionary of NumPy arrays.

    Args:
        params: Parameters by name: writable floating or complex arrays of any shape, updated in place.
        lr: Learning rate, or a schedule in steps; with the other hyperparameters as in `Settings`.
        settings: All hyperparameters at once, instead of one by one.
        groups: Settings that differ by name pattern.
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
        params: Mapping[str, np.ndarray[Any, Any]],
        lr: Any = None,
        *,
        settings: Settings | None = None,
        groups: Sequence[Group] = (),
        **hyperparameters: Any,
    ) -> None:
        given = hyperparameters if lr is None else {"lr": lr, **hyperparameters}
        if settings is not None and given:
            raise SettingsError(f"`settings` already holds all hyperparameters; do not also pass {one_of(given)}.")
        known = Settings.__dataclass_fields__
        for name in given:
            if name not in known:
                raise SettingsError(f"unknown hyperparameter `{name}`.{did_you_mean(name, known)}")
        settings = Settings(**given) if settings is None else settings
        if not isinstance(params, Mapping):
            raise SettingsError(
                f"`params` must be a dictionary of arrays by name; got {type(params).__name__}. "
                'Use for example {"weight": weight}.'
            )
        self.params = dict(params)
        for name, param in self.params.items():
            _check_param(name, param)
        assigned = assign_groups(groups, {name: param.shape for name, param in self.params.items()})
        self.settings = dict.fromkeys(assigned[-1], settings)
        """Settings of each parameter, by name."""
        for group, names in zip(groups, assigned, strict=False):
            self.settings |= dict.fromkeys(names, group.apply(settings))
        for own in self.settings.values():
            own.at(0)  # raises where a schedule is in epochs
        self.velocity: dict[str, np.ndarray[Any, Any]] = {}
        """Velocity of each parameter that has had a gradient, by name; of the parameter's shape."""
        self.step_count = 0
        """Steps done: the step at which schedules are read next."""

    def step(self, grads: Mapping[str, np.ndarray[Any, Any] | None]) -> None:
        """Take one step, updating the parameters in place.

        Args:
            grads: Gradients by name, each of its parameter's shape; a parameter without one (missing or None) does not
                move.

        Raises:
            SettingsError: If a name is unknown or a shape differs; then nothing has moved.
        """
        if not isinstance(grads, Mapping):
            raise SettingsError(f"`grads` must be a dictionary of arrays by name; got {type(grads).__name__}.")
        for name, grad in grads.items():
            _check_grad(name, grad, self.params)
        given = {name: grad for name, grad in grads.items() if grad is not None}
        scalars_of = {  # before anything moves, since a schedule may refuse its step
            name: self.settings[name].at(self.step_count, first=name not in self.velocity) for name in given
        }
        for name, grad in given.items():
            param, scalars = self.params[name], scalars_of[name]
            first = name not in self.velocity
            # Half precision is computed in float32 and rounded once.
            wide = np.result_type(param, np.float32)
            velocity = np.zeros_like(param) if first else self.velocity[name]
            delta, velocity = sgd_rule(
                param.astype(wide, copy=False),
                np.asarray(grad).astype(wide, copy=False),
                velocity.astype(wide),
                scalars,
            )
            self.velocity[name] = np.asarray(velocity, param.dtype)  # the rule turns 0-d arrays into scalars
            param[...] = param + delta
        self.step_count += 1

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state: "step" (int) and "velocity" (arrays by name)."""
        return {"step": self.step_count, "velocity": {name: array.copy() for name, array in self.velocity.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state that `state_dict` returned.

        Args:
            state: "step" and "velocity"; copied.

        Raises:
            StateError: If a name, shape or format does not fit; then nothing has changed.
        """
        if not isinstance(state, Mapping) or set(state) != {"step", "velocity"}:
            found = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
            raise StateError(f"the state must have `step` and `velocity`; got {found}.")
        step, velocity = state["step"], state["velocity"]
        if isinstance(step, np.ndarray) and step.ndim == 0:  # as np.savez gives it back
            step = step.item()
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            raise StateError(f"`step` must be an integer >= 0; got {step!r}.")
        if not isinstance(velocity, Mapping):
            raise StateError(f"`velocity` must be a dictionary of arrays by name; got {type(velocity).__name__}.")
        problems = [
            problem for name, array in velocity.items() if (problem := _misfit(name, array, self.params)) is not None
        ]
        if problems:
            raise StateError("the state does not fit; nothing was loaded: " + "; ".join(problems) + ".")
        self.velocity = {name: array.copy() for name, array in velocity.items()}
        self.step_count = step


def _check_param(name: str, param: Any) -> None:
    if not isinstance(param, np.ndarray) or param.dtype.kind not in "fc":
        kind = f"array of {param.dtype}" if isinstance(param, np.ndarray) else type(param).__name__
        raise SettingsError(
            f"parameter `{name}` must be a NumPy array of floating or complex numbers, since it is updated in place; "
            f"got {kind}. Use np.asarray(..., dtype=np.float32)."
        )
    if not param.flags.writeable:
        raise SettingsError(f"parameter `{name}` is read-only and cannot be updated in place. Pass a copy of it.")


def _check_grad(name: str, grad: Any, params: Mapping[str, np.ndarray[Any, Any]]) -> None:
    if name not in params:
        raise SettingsError(f"gradient of unknown parameter `{name}`.{did_you_mean(name, params)}")
    if grad is not None and np.shape(grad) != params[name].shape:
        raise SettingsError(
            f"the gradient of `{name}` has shape {np.shape(grad)}, the parameter {params[name].shape}. "
            "They must be equal."
        )
    if grad is not None and np.iscomplexobj(grad) and not np.iscomplexobj(params[name]):
        raise SettingsError(
            f"the gradient of `{name}` is complex, the parameter real: its imaginary part would be lost."
        )


def _misfit(name: str, array: Any, params: Mapping[str, np.ndarray[Any, Any]]) -> str | None:
    if name not in params:
        return f"unexpected: `{name}`"
    if not isinstance(array, np.ndarray) or array.shape != params[name].shape or array.dtype != params[name].dtype:
        form = f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        return f"the velocity of `{name}` is {form}, the parameter {params[name].shape} of {params[name].dtype}"
    return None
