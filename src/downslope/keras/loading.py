"""Checks of an optimizer's saved variables, before any of them is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
from keras import ops

from downslope.core.errors import StateError
from downslope.core.shown import shown

_LISTED = 5
"""Problems that a message names; of more it says how many."""
_KINDS = "biufV"
"""Kinds of numbers that a variable may take: real ones, and formats such as bfloat16, which NumPy does not know."""


def check_fits(variables: Sequence[Any], arrays: Sequence[Any]) -> None:
    """Raise unless saved arrays fit an optimizer's variables one to one.

    Raises:
        StateError: With every problem; nothing has been written.
    """
    if len(arrays) != len(variables):
        raise StateError(
            f"the state has {len(arrays)} variables, the optimizer {len(variables)} "
            f"({', '.join(_named(variables))}); nothing was loaded. They differ where one has a schedule for its "
            "learning rate, or no momentum, or fewer trainable variables. Make the optimizer as it was when the state "
            "was saved."
        )
    problems: list[str] = []
    for variable, array in zip(variables, arrays, strict=True):
        if tuple(np.shape(array)) != tuple(variable.shape):
            problems.append(f"`{variable.name}` has shape {tuple(variable.shape)}, saved is {tuple(np.shape(array))}")
        elif _dtype(array).kind not in _KINDS:
            problems.append(f"`{variable.name}` is {variable.dtype}, saved is {_dtype(array)}")
    if not problems and not _is_count(arrays[0]):
        problems.append(f"`{variables[0].name}` counts steps, saved is {shown(repr(np.asarray(arrays[0]).tolist()))}")
    if problems:
        more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        raise StateError(f"the state does not fit; nothing was loaded: {'; '.join(problems[:_LISTED])}{more}.")


def arrays_of(store: Mapping[str, Any]) -> list[np.ndarray[Any, Any]]:
    """Return copies of the arrays of a Keras store, whose file may be closed before they are needed.

    Raises:
        StateError: If they are not numbered from 0.
    """
    keys = set(map(str, store.keys()))  # a store of Keras has keys(), but cannot be iterated over
    wanted = [str(i) for i in range(len(keys))]
    if keys != set(wanted):
        raise StateError(
            f"the saved optimizer's variables must be numbered from 0, without gaps; got {', '.join(sorted(keys))}."
        )
    return [np.array(store[key]) for key in wanted]


def was_never_built(arrays: Sequence[np.ndarray[Any, Any]], unbuilt_count: int) -> bool:
    """Return whether saved arrays are those of an optimizer that had not seen its variables, so took no step.

    `unbuilt_count` is how many variables it then has: the count, and lr if it is a number.
    """
    return len(arrays) == unbuilt_count and np.array_equal(arrays[0], 0)


def to_array(weight: Any) -> np.ndarray[Any, Any]:
    """Return a weight as an array, whatever it is."""
    return np.asarray(ops.convert_to_numpy(weight))


def _named(variables: Sequence[Any]) -> list[str]:
    names = [str(variable.name) for variable in variables]
    return names if len(names) <= _LISTED else [*names[:_LISTED], f"and {len(names) - _LISTED} more"]


def _is_count(array: Any) -> bool:
    """Whether a saved number of steps is one; bytes of a file may say anything."""
    number = float(np.asarray(array, dtype=np.float64))
    return number >= 0 and number.is_integer()


def _dtype(array: Any) -> np.dtype[Any]:
    return np.asarray(array).dtype


def load_at_once(optimizer: Any, arrays: Sequence[Any]) -> None:
    """Load variables now, even while a step is traced: on TensorFlow the graph would load them again at every step."""
    scope: Any = nullcontext()
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        scope = tf.init_scope()
    with scope:
        optimizer.load_own_variables({str(i): array for i, array in enumerate(arrays)})
