"""The float64 answer to every case, and the measure of an error in units of the last place.

The rule itself is the project's own (`downslope.core.rule`), whose numbers are checked by hand in `tests/core`; this
file adds only the loop around it, parameter by parameter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from cases import CASES, NORM_NAMES, SHAPES, STEPS, Case, gradients, initial_params
from downslope.core.groups import assign_groups
from downslope.core.rule import sgd_rule
from downslope.core.settings import Settings
from downslope.core.tensor_factors import factors_of

_FORMATS: Mapping[str, tuple[int, int]] = {
    "float16": (10, -14),
    "bfloat16": (7, -126),
    "float32": (23, -126),
    "float64": (52, -1022),
}
"""By dtype: stored bits of the significand, exponent of the smallest normal number."""


@dataclass(frozen=True)
class Reference:
    """A trajectory in float64.

    Attributes:
        params: One dict per step, parameters by name after that step.
        velocities: One dict per step, velocities by name after that step; a parameter that has not yet had a gradient
            has none. Where momentum is the number 0 nothing ever reads the velocity, and a backend may keep none.
        magnitudes: By name, elementwise the largest |param| met on the way, start included: the scale at which
            roundings happened, to pass to `ulp_error`.
        velocity_magnitudes: The same of the velocities.
    """

    params: list[dict[str, np.ndarray]]
    velocities: list[dict[str, np.ndarray]]
    magnitudes: dict[str, np.ndarray]
    velocity_magnitudes: dict[str, np.ndarray]


def run_reference(case: Case, steps: int = STEPS) -> Reference:
    """Return the trajectory of a case, by the rule in float64.

    A parameter without a gradient at some step is left wholly alone at that step: no decay, and its velocity stays.
    Its velocity is zero before its first gradient, at which `Settings.at` is told ``first=True``. The step count runs
    on for all.

    Args:
        case: The case.
        steps: Steps to take.
    """
    settings = settings_by_name(case)
    rows: dict[Any, list[str]] = {}
    for name in SHAPES:
        together = None if factors_of(settings[name]).given else (settings[name], _arrivals(case, name))
        rows.setdefault(together or name, []).append(name)
    in_order: list[Any] = [dict.fromkeys(SHAPES) for _ in range(steps)]
    trajectory = Reference(in_order, [{} for _ in range(steps)], {}, {})
    for names in rows.values():
        _run_row(case, tuple(names), settings[names[0]], trajectory)
    return trajectory


def _arrivals(case: Case, name: str) -> tuple[int, int]:
    """Return what decides at which steps a parameter of a case has a gradient."""
    return case.first_gradient.get(name, 0), case.every.get(name, 1)


def _run_row(case: Case, names: tuple[str, ...], settings: Settings, trajectory: Reference) -> None:
    """Write what becomes of parameters that are stepped alike, as one array: the rule goes element by element."""
    start = initial_params(np.float64)
    param, velocity = _in_one(start, names), None
    largest, largest_velocity = np.abs(param), None
    for step, (params, velocities) in enumerate(zip(trajectory.params, trajectory.velocities, strict=True)):
        if case.has_gradient(names[0], step):
            grad = _gradients_in_one(names, step)
            scalars = settings.at(step, first=velocity is None)
            if (factors := factors_of(settings)).given:
                scalars = factors.of(scalars, np.linalg.norm(grad), np.linalg.norm(param))
            delta, velocity = sgd_rule(param, grad, np.zeros_like(param) if velocity is None else velocity, scalars)
            param = param + delta
            largest = np.maximum(largest, np.abs(param))
            largest_velocity = np.maximum(0.0 if largest_velocity is None else largest_velocity, np.abs(velocity))
        params.update(_parted(param, names))
        if velocity is not None:
            velocities.update(_parted(velocity, names))
    trajectory.magnitudes.update(_parted(largest, names))
    if largest_velocity is not None:
        trajectory.velocity_magnitudes.update(_parted(largest_velocity, names))


def _in_one(arrays: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    return np.concatenate([arrays[name].ravel() for name in names])


@cache
def _gradients_in_one(names: tuple[str, ...], step: int) -> np.ndarray:
    return _in_one(gradients(Case("all", Settings()), step, np.float64), names)


def _parted(values: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return by name what `_in_one` joined."""
    parts, begin = {}, 0
    for name in names:
        end = begin + math.prod(SHAPES[name])
        parts[name] = values[begin:end].reshape(SHAPES[name])
        begin = end
    return parts


@cache
def reference_of(name: str) -> Reference:
    """Return the trajectory of the table's case of this name, which all tests of a process share and none writes to."""
    return run_reference(next(case for case in CASES if case.name == name))


def settings_by_name(case: Case) -> dict[str, Settings]:
    """Return the settings of every parameter of a case, by name."""
    assigned = assign_groups(case.groups, SHAPES, NORM_NAMES)
    settings = [*(group.apply(case.settings) for group in case.groups), case.settings]
    return {name: s for s, names in zip(settings, assigned, strict=True) for name in names}


def ulp(values: Any, dtype: Any) -> np.ndarray:
    """Return the unit in the last place at each value: the distance between neighbours of that size.

    Args:
        values: Array of any shape.
        dtype: A NumPy or torch dtype, or its name: float16, bfloat16, float32 or float64.
    """
    bits, smallest = _FORMATS[np.dtype(dtype).name if isinstance(dtype, type) else str(dtype).rsplit(".", 1)[-1]]
    _, exponent = np.frexp(np.abs(np.asarray(values, np.float64)))
    return np.ldexp(1.0, np.maximum(exponent - 1, smallest) - bits)


def ulp_error(actual: Any, expected: Any, *, dtype: Any = None, magnitude: Any = None) -> float:
    """Return the largest error of any element in units of the last place; infinity where `actual` is not finite.

    Args:
        actual: Array under test.
        expected: The float64 answer, of the same shape.
        dtype: Whose last place; by default that of `actual`. Needed where `actual` was converted, e.g. from bfloat16.
        magnitude: The size, elementwise, at which the unit is taken where it is larger than |expected|. A number that
            came about by cancellation carries the error of the numbers that cancelled, so pass
            `Reference.magnitudes[name]` for the end of a trajectory; without it the unit is that of `expected`.
    """
    dtype = actual.dtype if dtype is None else dtype
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    if actual.shape != expected.shape:
        raise AssertionError(f"shape {actual.shape} under test, expected {expected.shape}")
    if not actual.size:
        return 0.0
    if not np.isfinite(actual).all():
        return np.inf
    scale = np.abs(expected) if magnitude is None else np.maximum(np.abs(expected), magnitude)
    return float(np.max(np.abs(actual - expected) / ulp(scale, dtype)))
