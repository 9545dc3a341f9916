"""What the kernel is told: six numbers per group, and codes for number formats. No options: they are in the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from downslope.core.rule import StepScalars

FORMATS: Mapping[str, int] = MappingProxyType({"float32": 0, "bfloat16": 1, "float16": 2, "float64": 3})
"""Code of each format of parameters and velocities, by the name that NumPy and torch share."""

NO_VELOCITY = 4
"""Code of the velocity's format where there is no momentum."""

ROUNDINGS: Mapping[str, int] = MappingProxyType({"nearest": 0, "stochastic": 1, "compensated": 2})
"""Code of each way to round a bfloat16 parameter."""


def six_coefficients(scalars: StepScalars) -> tuple[float, float, float, float, float, float]:
    """Return the 2x3 matrix of one step: the coefficients of (param, grad, velocity) in delta, then in the velocity."""
    (d_param, v_param), (d_grad, v_grad), (d_velocity, v_velocity) = (
        scalars.rule(1.0, 0.0, 0.0),
        scalars.rule(0.0, 1.0, 0.0),
        scalars.rule(0.0, 0.0, 1.0),
    )
    return d_param, d_grad, d_velocity, v_param, v_grad, v_velocity
