"""The same training in every framework, in float64, so that it can be stopped in one and continued in another.

What lives here: `OWN`, the frameworks' own optimizers, and `DOORS`, ours: each takes parameters, velocities as its
framework stores them and a step, and returns both after more steps. A new door is one row. Gradients come from one
small problem, so that all that differs is the optimizer. Every number is one that float32 holds exactly, since Keras
rounds its hyperparameters to float32 even for float64 variables.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from downslope import Settings
from downslope.core.schedules.schedule import value_at
from downslope.schedules import Exponential

_RNG = np.random.default_rng(7)
_MATRIX = {"kernel": np.diag(_RNG.uniform(0.1, 1.0, 6)), "bias": np.diag(_RNG.uniform(0.1, 1.0, 4))}
NAMES = tuple(_MATRIX)

CONSTANT = 0.0625
CHANGING = Exponential(0.0625, 0.5, 16, staircase=True)


def start():
    """Return the parameters before the first step."""
    return {name: np.linspace(-1.0, 2.0, len(matrix)) for name, matrix in _MATRIX.items()}


def gradients(params, step):
    """Return the gradients at some parameters: of a bowl, with noise of the step."""
    return {name: _MATRIX[name] @ params[name] + noise for name, noise in _noise(step).items()}


@cache
def _noise(step):
    """Return a step's noise by name, drawn once for all runs."""
    random = np.random.default_rng(step)
    return {name: 0.1 * random.normal(size=len(_MATRIX[name])) for name in NAMES}


@dataclass(frozen=True)
class Runner:
    """One way to train.

    Attributes:
        name: What to call it.
        convention: How its velocity is stored, and where its lr stands.
        run: (settings, params, velocity or None, step, steps) -> [(params, velocity) after each step].
    """

    name: str
    convention: str
    run: Any

    def __str__(self):
        """Return the name, which pytest shows."""
        return self.name


def arrays(values):
    """Return values by name as NumPy arrays that are nobody else's."""
    return {name: np.asarray(value).astype(np.float64) for name, value in zip(NAMES, values, strict=True)}


def run_torch(settings, params, velocity, step, steps):
    """torch.optim.SGD, its lr written before each step as a scheduler does."""
    import torch

    leaves = [torch.nn.Parameter(torch.from_numpy(params[name].copy())) for name in NAMES]
    optimizer = torch.optim.SGD(leaves, lr=1.0, momentum=settings.momentum, nesterov=settings.nesterov)
    if velocity is not None:
        for name, leaf in zip(NAMES, leaves, strict=True):
            optimizer.state[leaf]["momentum_buffer"] = torch.from_numpy(velocity[name].copy())
    path = []
    for now in range(step, step + steps):
        optimizer.param_groups[0]["lr"] = value_at(settings.lr, now)
        current = arrays([leaf.detach() for leaf in leaves])
        for name, leaf in zip(NAMES, leaves, strict=True):
            leaf.grad = torch.from_numpy(gradients(current, now)[name])
        optimizer.step()
        stored = [optimizer.state[leaf]["momentum_buffer"] for leaf in leaves]
        path.append((arrays([leaf.detach() for leaf in leaves]), arrays(stored)))
    return path


def run_optax(settings, params, velocity, step, steps):
    """optax.sgd, with our schedule as a function of its count."""
    import jax
    import optax

    with jax.enable_x64(True):
        lr = settings.lr if isinstance(settings.lr, float) else lambda count: settings.lr(int(count))
        optimizer = optax.sgd(lr, momentum=settings.momentum, nesterov=settings.nesterov)
        state = optimizer.init({name: jax.numpy.asarray(params[name]) for name in NAMES})
        trace, scale = state
        if velocity is not None:
            trace = trace._replace(trace={name: jax.numpy.asarray(velocity[name]) for name in NAMES})
        if isinstance(scale, optax.ScaleByScheduleState):
            scale = scale._replace(count=jax.numpy.asarray(step, scale.count.dtype))
        state, current, path = (trace, scale), {name: jax.numpy.asarray(params[name]) for name in NAMES}, []
        for now in range(step, step + steps):
            slopes = gradients({name: np.asarray(current[name]) for name in NAMES}, now)
            updates, state = optimizer.update({n: jax.numpy.asarray(slopes[n]) for n in NAMES}, state, current)
            current = optax.apply_updates(current, updates)
            path.append((arrays([current[n] for n in NAMES]), arrays([state[0].trace[n] for n in NAMES])))
    return path


def run_keras(settings, params, velocity, step, steps):
    """keras.optimizers.SGD, with Keras's own schedule of the same values."""
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        lr = settings.lr
        if isinstance(lr, Exponential):
            lr = keras.optimizers.schedules.ExponentialDecay(lr.initial, lr.every, lr.rate, staircase=True)
        optimizer = keras.optimizers.SGD(lr, momentum=settings.momentum, nesterov=settings.nesterov)
        variables = [keras.Variable(params[name], dtype="float64") for name in NAMES]
        optimizer.build(variables)
        optimizer.iterations.assign(step)
        if velocity is not None:
            for name, variable in zip(NAMES, optimizer.momentums, strict=True):
                variable.assign(velocity[name])
        path = []
        for now in range(step, step + steps):
            slopes = gradients(arrays(variables), now)
            optimizer.apply([keras.ops.convert_to_tensor(slopes[name]) for name in NAMES], variables)
            path.append((arrays(variables), arrays(optimizer.momentums)))
    finally:
        keras.config.set_floatx(before)
    return path


def run_numpy_door(settings, params, velocity, step, steps):
    """downslope.numpy.SGD, by its own state_dict."""
    from downslope.numpy import SGD

    current = {name: params[name].copy() for name in NAMES}
    optimizer = SGD(current, settings=settings)
    optimizer.load_state_dict({"step": step, "velocity": velocity or {}})
    path = []
    for now in range(step, step + steps):
        optimizer.step(gradients(current, now))
        path.append((arrays(current.values()), arrays([optimizer.velocity[name] for name in NAMES])))
    return path


def run_torch_door(settings, params, velocity, step, steps):
    """downslope.torch.SGD, by its own state_dict."""
    import torch

    from downslope.torch import SGD

    leaves = {name: torch.nn.Parameter(torch.from_numpy(params[name].copy())) for name in NAMES}
    optimizer = SGD(leaves.items(), settings=settings)
    state = optimizer.state_dict()
    state["param_groups"][0]["step"] = step
    if velocity is not None:
        state["state"] = {
            place: {"momentum_buffer": torch.from_numpy(velocity[name].copy())} for place, name in enumerate(NAMES)
        }
    optimizer.load_state_dict(state)
    path = []
    for now in range(step, step + steps):
        slopes = gradients(arrays([leaf.detach() for leaf in leaves.values()]), now)
        for name, leaf in leaves.items():
            leaf.grad = torch.from_numpy(slopes[name])
        optimizer.step()
        stored = [optimizer.state[leaf]["momentum_buffer"] for leaf in leaves.values()]
        path.append((arrays([leaf.detach() for leaf in leaves.values()]), arrays(stored)))
    return path


def run_jax_door(settings, params, velocity, step, steps):
    """downslope.jax.sgd, its state's fields replaced."""
    import jax
    import optax

    with jax.enable_x64(True):
        optimizer = importlib.import_module("downslope.jax").sgd(settings=settings)
        current = {name: jax.numpy.asarray(params[name]) for name in NAMES}
        state = optimizer.init(current)
        state = state._replace(count=jax.numpy.asarray(step, state.count.dtype))
        if velocity is not None:
            state = state._replace(velocity={name: jax.numpy.asarray(velocity[name]) for name in NAMES})
        path = []
        for now in range(step, step + steps):
            slopes = gradients({name: np.asarray(current[name]) for name in NAMES}, now)
            updates, state = optimizer.update({n: jax.numpy.asarray(slopes[n]) for n in NAMES}, state, current)
            current = optax.apply_updates(current, updates)
            path.append((arrays([current[n] for n in NAMES]), arrays([state.velocity[n] for n in NAMES])))
    return path


def run_keras_door(settings, params, velocity, step, steps):
    """downslope.keras.SGD, its variables assigned."""
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        optimizer = importlib.import_module("downslope.keras").SGD(settings=settings)
        variables = [keras.Variable(params[name], dtype="float64") for name in NAMES]
        optimizer.build(variables)
        optimizer.iterations.assign(step)
        if velocity is not None:
            for name, variable in zip(NAMES, optimizer.momentums, strict=True):
                variable.assign(velocity[name])
        path = []
        for now in range(step, step + steps):
            slopes = gradients(arrays(variables), now)
            optimizer.apply([keras.ops.convert_to_tensor(slopes[name]) for name in NAMES], variables)
            path.append((arrays(variables), arrays(optimizer.momentums)))
    finally:
        keras.config.set_floatx(before)
    return path


OWN = (
    Runner("torch", "torch", run_torch),
    Runner("optax", "optax", run_optax),
    Runner("keras", "keras", run_keras),
    Runner("numpy", "downslope", run_numpy_door),
)
"""What a run is stopped in and what continues it: each framework's own optimizer; for NumPy, which has none, ours."""

DOORS = (
    Runner("downslope.numpy", "downslope", run_numpy_door),
    Runner("downslope.torch", "downslope", run_torch_door),
    Runner("downslope.jax", "downslope", run_jax_door),
    Runner("downslope.keras", "downslope.keras", run_keras_door),
)
"""Our front doors, which run the rule in the form that the source had."""


def settings_for(runner, *, nesterov, lr):
    """Return the settings of a run, with lr where the runner's lr stands."""
    inside = runner.convention == "keras"
    return Settings(lr=lr, momentum=0.875, nesterov=nesterov, lr_in_velocity=inside)
