"""Schedules on the arrays of a framework that traces: what JAX's ``jit`` sees in place of a step.

What lives here: evaluating a schedule's own closed form with 64 bits, also where the framework computes in 32 unless
told otherwise, so that the number under ``jit`` is the one that Python gives. What does not: any formula; a new
schedule needs nothing here. No framework is imported: whoever has such an array has loaded it.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from downslope.core.errors import SettingsError

if TYPE_CHECKING:
    from downslope.core.schedules.base import Schedule


def double_precision(xp: Any) -> AbstractContextManager[Any]:
    """Return a context in which a framework computes in 64 bits, within a trace too.

    Args:
        xp: The framework's array namespace, such as ``jax.numpy``.
    """
    switch = getattr(sys.modules[xp.__name__.partition(".")[0]], "enable_x64", None)
    return nullcontext() if switch is None else switch(True)  # noqa: FBT003 - its only argument, without a name


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
    return xp.asarray(schedule.closed_form(step.astype(xp.int64), xp), dtype=xp.float64)


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
