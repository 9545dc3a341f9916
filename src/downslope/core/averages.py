"""An average of the weights that moves with every step, of NumPy arrays, and what every optimizer says of such.

    average <- average + (1 - ema) * (param - average)

in float32, of float64 parameters in float64, each operation rounded by itself: so that NumPy's, torch's, JAX's and the
compiled kernel's give the same bits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

from downslope.core.errors import SettingsError, StateError
from downslope.core.shown import shown

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NONE_IS_KEPT = "none is kept. Pass ema=0.999, say, to the optimizer or one of its groups"
AT_AVERAGE = (
    "the parameters hold their averages, from which no step is taken. Leave the `with optimizer.averaged()` first."
)
AT_AVERAGE_ALREADY = "the parameters hold their averages already, in a `with optimizer.averaged()` around this."


def checked_ema(value: Any) -> float | None:
    """Return the decay of an average of the weights if it is one, None for none, else raise `SettingsError`."""
    if value is None or (type(value) is float and 0 < value < 1):
        return value
    number = value if isinstance(value, Real) else None
    if number is not None and value is not True and 0 < float(number) < 1:
        return float(number)
    raise SettingsError(f"`ema` must be in (0, 1) such as 0.999, or None for no average; got {shown(repr(value))}.")


def check_not_schedule_free(ema: float | None) -> None:
    """Raise `SettingsError` if an average is asked for of a method that keeps one already."""
    if ema is not None:
        raise SettingsError(
            "schedule-free SGD keeps no `ema`: what is evaluated is an average of the weights already. Leave ema out."
        )


def average_dtype(dtype: Any) -> Any:
    """Return the format in which a parameter of a format is averaged."""
    import numpy as np

    return np.result_type(dtype, np.float32)


def begun(param: Array) -> Array:
    """Return the average of a single value, in the parameter's order of elements."""
    import numpy as np

    average = np.empty_like(param, average_dtype(param.dtype), subok=False)
    average[...] = param
    return average


def follow(param: Array, average: Array, weight: float) -> None:
    """Move an average towards a parameter, in place.

    Args:
        param: The parameter after a step.
        average: Its average.
        weight: 1 - ema.

    Example:
        >>> import numpy as np
        >>> average = np.array([1.0])
        >>> follow(np.array([2.0]), average, 0.5)
        >>> average
        array([1.5])
    """
    import numpy as np

    with np.errstate(all="ignore"):
        moved = param.astype(average.dtype)
        moved -= average
        moved *= average.real.dtype.type(weight)
        average += moved


def misfit_of_average(average: Any, param: Array, *, can_move: bool = False) -> str | None:
    """Return why an array cannot be a parameter's average, or None.

    One of a narrower format can become one; it must be one already if it is what is to move (`can_move`).
    """
    import numpy as np

    if not isinstance(average, np.ndarray):
        return f"must be an array; got {type(average).__name__}"
    average = cast("Array", average)
    if average.shape != param.shape:
        return f"has shape {average.shape}, the parameter {param.shape}"
    wide = average_dtype(param.dtype)
    is_number = average.dtype.kind in "fc" or average.dtype.name == "bfloat16"
    fits = average.dtype == wide or (not can_move and is_number and np.can_cast(average.dtype, wide))
    if not fits or (average.dtype.kind == "c") != (wide.kind == "c"):
        return f"is {average.dtype}, and is kept in {wide} here"
    return "is read-only" if can_move and not average.flags.writeable else None


def misfits_of_averages(averages: Any, params: Mapping[str, Array], kept: Collection[str]) -> list[str]:
    """Return what is wrong with the averages of a state, by name; `kept` are the names of those that are kept."""
    if not isinstance(averages, Mapping):
        return [f"`average` must be a dictionary of arrays by name; got {type(averages).__name__}"]
    if averages and not kept:
        return ["`average` has no place here, where none is kept (ema=None)"]
    named = cast("Mapping[str, Any]", averages)
    problems = {name: _misfit_of_named(name, average, params, kept) for name, average in named.items()}
    return [f"the average of `{shown(name)}` {problem}" for name, problem in problems.items() if problem is not None]


def _misfit_of_named(name: str, average: Any, params: Mapping[str, Array], kept: Collection[str]) -> str | None:
    if name not in params:
        return "is that of no parameter"
    if name not in kept:
        return "has no place here, where none is kept of it"
    return misfit_of_average(average, params[name])


def check_averages_kept(what: str, *, is_any_kept: bool) -> None:
    """Raise `StateError` where no average is kept that could be read."""
    if not is_any_kept:
        raise StateError(f"cannot {what}: {NONE_IS_KEPT}.")
