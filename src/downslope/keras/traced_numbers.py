"""`Number`: a number of one step that is known beforehand, or only when the compiled step runs.

The core's own text, the rule, the ways of weight decay and the schedules, runs on these numbers. Backends disagree
about what a Python float times an integer tensor is (TensorFlow refuses), and no backend leaves out a multiplication by
0 or 1. Here integers stay integers until a fraction is needed, and what is known to be 0 or 1 costs nothing and cannot
turn an infinite parameter into NaN.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
from keras import ops


class Number:
    """A Python number, or a tensor without dimensions, in formulas that do not care which.

    Args:
        value: The number or tensor.

    Example:
        >>> from downslope.keras.traced_numbers import Number
        >>> (Number(3) * Number(0.5)).value
        1.5
    """

    __slots__ = ("value",)
    __hash__ = None  # type: ignore[assignment]  # what is equal is known only when a tensor's value is

    def __init__(self, value: Any) -> None:
        self.value = value.value if isinstance(value, Number) else value

    @property
    def is_known(self) -> bool:
        """Whether it is a Python number."""
        return isinstance(self.value, int | float)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The format, as NumPy knows it: schedules ask how many bits their integers have."""
        return np.dtype(type(self.value) if self.is_known else keras.backend.standardize_dtype(self.value.dtype))

    def cast(self, dtype: str) -> Number:
        """Return the number in a format; one that is known fits them all."""
        return self if self.is_known else Number(ops.cast(self.value, dtype))

    def __repr__(self) -> str:
        """Return the value, marked."""
        return f"Number({self.value!r})"

    def __eq__(self, other: object) -> bool:
        """Whether it is known to equal another number."""
        return self.is_known and self.value == (other.value if isinstance(other, Number) else other)

    def __neg__(self) -> Number:
        """Return its negative."""
        return Number(-self.value)

    def __mul__(self, other: Any) -> Any:
        """Return the product: a tensor with a parameter's tensor, else a Number; by a known 0, the number 0."""
        if _is_array(other):
            if self.is_known and self.value in (0, 1, -1):
                return Number(0.0) if self.value == 0 else other if self.value == 1 else -other
            return self.value * other
        other = Number(other)
        for factor, rest in ((self, other), (other, self)):
            if factor == 0:
                return Number(0.0)
            if factor == 1:
                return rest
        return _combined(operator.mul, self, other)

    __rmul__ = __mul__

    def __add__(self, other: Any) -> Any:
        """Return the sum; a known 0 leaves the other as it is, a parameter's tensor too."""
        if self == 0:
            return other if _is_array(other) else Number(other)
        return _combined(operator.add, self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        """Return the difference."""
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        """Return the difference from another."""
        return -self + other

    def __truediv__(self, other: Any) -> Number:
        """Return the quotient."""
        return _combined(operator.truediv, self, other, fraction=True)

    def __floordiv__(self, other: Any) -> Number:
        """Return the whole quotient, in integers if both are."""
        return _combined(operator.floordiv, self, other)

    def __mod__(self, other: Any) -> Number:
        """Return what the whole quotient leaves."""
        return _combined(operator.mod, self, other)

    def __pow__(self, other: Any) -> Number:
        """Return the power."""
        return _combined(operator.pow, self, other, fraction=True)

    def __rpow__(self, other: Any) -> Number:
        """Return another to this power."""
        return _combined(operator.pow, other, self, fraction=True)

    def __ge__(self, other: Any) -> Number:
        """Return whether it is at least another, as a Number; a whole number is compared with the next whole one."""
        if isinstance(other, float) and not self.is_known and _is_whole(self.value):
            other = math.ceil(other)
        return _combined(operator.ge, self, other)


def float_format() -> str:
    """Return the widest format that this backend computes in; rounding to a narrower one is then done once.

    Returns:
        "float64", except "float32" on JAX unless its 64-bit types are switched on.
    """
    if keras.backend.backend() != "jax":
        return "float64"
    import jax

    return str(jax.dtypes.canonicalize_dtype("float64"))


def computing_format(*dtypes: Any) -> str:
    """Return the format to compute in: float64 if one is, else float32, however narrow they are.

    Keras's own `result_type` makes float32 of float64 on some backends.
    """
    return "float64" if "float64" in map(keras.backend.standardize_dtype, dtypes) else "float32"


def _is_array(value: Any) -> bool:
    """Whether it is a parameter's tensor rather than a number of the step."""
    return not isinstance(value, Number | int | float)


def _is_whole(tensor: Any) -> bool:
    return not keras.backend.is_float_dtype(tensor.dtype)


def _combined(operation: Callable[..., Any], *numbers: Any, fraction: bool = False) -> Number:
    """Return an operation on numbers, its tensors brought to one format first.

    `fraction` says that integers become floats first.
    """
    values = [Number(number).value for number in numbers]
    tensors = [value for value in values if not isinstance(value, int | float)]
    if not tensors:
        return Number(operation(*values))
    floats = [tensor.dtype for tensor in tensors if not _is_whole(tensor)]
    if floats:
        dtype = computing_format(*floats)
    elif fraction or any(isinstance(value, float) for value in values):
        dtype = float_format()
    else:
        formats = {keras.backend.standardize_dtype(tensor.dtype) for tensor in tensors} - {"bool"}
        dtype = keras.backend.result_type(*(formats or {"int32"}))
    return Number(operation(*(_lifted(value, dtype) for value in values)))


def _lifted(value: Any, dtype: str) -> Any:
    return ops.convert_to_tensor(value, dtype=dtype) if isinstance(value, int | float) else ops.cast(value, dtype)


def _functions() -> Any:
    """Return the backend's functions; Keras's own would make float32 of JAX's float64."""
    if keras.backend.backend() != "jax":
        return ops
    import jax.numpy

    return jax.numpy


def _where(condition: Any, yes: Any, no: Any) -> Number:
    condition = Number(condition)
    if condition.is_known:
        return Number(yes if condition.value else no)
    return _combined(lambda first, second: _functions().where(condition.value, first, second), *_same_kind(yes, no))


def _same_kind(*numbers: Any) -> list[Any]:
    """Return numbers of which, if none is a tensor, the first has become one."""
    values = [Number(number) for number in numbers]
    if all(value.is_known for value in values):
        dtype = float_format() if any(isinstance(value.value, float) for value in values) else "int32"
        values[0] = Number(_lifted(values[0].value, dtype))
    return values


NAMESPACE = SimpleNamespace(
    where=_where,
    minimum=lambda first, second: _combined(_functions().minimum, *_same_kind(first, second)),
    maximum=lambda first, second: _combined(_functions().maximum, *_same_kind(first, second)),
    cos=lambda number: _combined(_functions().cos, *_same_kind(number), fraction=True),
    sqrt=lambda number: _combined(_functions().sqrt, *_same_kind(number), fraction=True),
    divide=lambda step, length: step / length,
)
"""The functions that schedules call (their `xp`)."""
