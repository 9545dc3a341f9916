"""Schedules under JAX's ``jit``: the same number as in Python, although only a trace of the step is known.

A schedule's own closed form is evaluated with 64 bits, where JAX would use 32, and with divisions that stay divisions.
A new schedule needs nothing here, as long as it divides a step by `xp.divide`. JAX is not imported: whoever has such an
array has loaded it.
"""

from __future__ import annotations

import math
import sys
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from downslope.core.errors import SettingsError

if TYPE_CHECKING:
    from downslope.core.schedules.schedule import Schedule


def double_precision(xp: Any) -> AbstractContextManager[Any]:
    """Return a context in which JAX computes in 64 bits, within a trace too.

    Args:
        xp: Its namespace, ``jax.numpy``.
    """
    return sys.modules[xp.__name__.partition(".")[0]].enable_x64(True)  # noqa: FBT003 - it has no name


def value_in_double(schedule: Schedule, step: Any, xp: Any) -> Any:
    """Return a schedule's value at a traced step, in float64; to be called, and used, within `double_precision`.

    Args:
        schedule: The schedule, every length in steps.
        step: Integer array, possibly traced.
        xp: Its namespace.

    Raises:
        SettingsError: If the step is not an integer.
    """
    if step.dtype.kind not in "iu":
        raise SettingsError(f"`step` must be an integer; got an array of {step.dtype}. Count steps in integers.")

    def divide(step: Any, length: float) -> Any:
        # XLA would multiply by the rounded inverse of a constant. A divisor that seems to depend on the step is none;
        # XLA does not know that steps are never negative. (An optimization barrier is gone before the last pass.)
        return step / xp.where(step >= 0, length, math.inf)

    namespace = SimpleNamespace(
        where=xp.where, minimum=xp.minimum, maximum=xp.maximum, divide=divide, cos=xp.cos, sqrt=xp.sqrt
    )
    return xp.asarray(schedule.closed_form(step.astype(xp.int64), namespace), dtype=xp.float64)


def value_where_traced(schedule: Schedule, step: Any, xp: Any) -> Any:
    """Return a schedule's value in the framework's default precision, rounded once from float64.

    Args:
        schedule: The schedule, every length in steps.
        step: Integer array; where it is not traced, the value is computed in Python.
        xp: Its namespace.
    """
    import numpy as np

    try:
        known = np.asarray(step)
    except TypeError:  # JAX's word for "only a trace is known"
        with double_precision(xp):
            value = value_in_double(schedule, step, xp)
        return value.astype(xp.asarray(0.0).dtype)
    return xp.asarray(schedule(known))
