"""Velocities of 8 bits for JAX: codes and scales as in `core/blocks.py`, and the step that reads and writes them.

In place of a velocity a `CodedVelocity` stands in the tree. The step is that of the compiled kernel, operation by
operation, so that on a CPU it has the kernel's bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from downslope.core.blocks import BLOCK, LARGEST, NOT_FINITE, UNIT, WORTH_CODES, blocks_of
from downslope.core.errors import SettingsError, StateError

INT8 = "int8"
"""The `velocity_dtype` that asks for codes."""

_COMPUTED_IN_FLOAT32 = ("float32", "bfloat16", "float16")


class CodedVelocity(NamedTuple):
    """A velocity of 8 bits, in the place of a parameter's in `SGDState.velocity`.

    Attributes:
        codes: int8, of the parameter's shape.
        scales: float32, one for each block of 256 elements in row-major order. `init` gives them the parameter's shape
            but for its last axes, which hold the blocks; any other shape of as many is taken, and kept.
    """

    codes: Any
    scales: Any


def as_coded(leaf: Any) -> Any:
    """Return what stands in a velocity's place; as a `CodedVelocity` if it is a table of one, as flax nnx makes it."""
    if isinstance(leaf, Mapping) and set(leaf) == set(CodedVelocity._fields):
        return CodedVelocity(**leaf)
    return leaf


def is_worth_codes(param: Any) -> bool:
    """Whether a parameter has elements enough for its velocity to be codes."""
    return math.prod(jnp.shape(param)) >= WORTH_CODES


def zero_codes(name: str, param: Any) -> CodedVelocity:
    """Return the codes of a velocity of zeros, laid out over devices as the parameter.

    Args:
        name: What to call the parameter in messages.
        param: The parameter.

    Raises:
        SettingsError: If a block would lie on two devices.
    """
    if isinstance(param, Tracer) or not isinstance(param, jax.Array) or len(param.sharding.device_set) == 1:
        scales = jnp.zeros(_rows_shape(jnp.shape(param))[:-1], jnp.float32)
        return CodedVelocity(jnp.zeros_like(param, dtype=jnp.int8), scales)
    run = _contiguous_run(param)
    if run % BLOCK:
        raise SettingsError(
            f'`velocity_dtype="int8"`: {name} lies on several devices in runs of {run} elements, and a block of '
            f"{BLOCK} would lie on two of them. Divide an axis further in front, or into parts whose elements are a "
            f"multiple of {BLOCK}; or leave velocity_dtype None."
        )
    return _encode_compiled(jnp.zeros_like(param, dtype=jnp.float32))  # XLA divides scales as it divides values


def _contiguous_run(param: Any) -> int:
    """Return how many elements, in row-major order, lie on one device before another's begin."""
    run = 1
    for whole, own in reversed(list(zip(param.shape, param.sharding.shard_shape(param.shape), strict=True))):
        run *= own
        if own != whole:
            return run
    return BLOCK * blocks_of(run)  # all of it on each device


def check_can_be_coded(name: str, param: Any) -> None:
    """Raise `SettingsError` if a parameter is of a format whose velocity cannot be codes."""
    dtype = jnp.asarray(param).dtype if isinstance(param, float | complex) else param.dtype
    if dtype.name not in _COMPUTED_IN_FLOAT32:
        raise SettingsError(
            f'`velocity_dtype="int8"` is for parameters of float32, bfloat16 and float16, and {name} is {dtype}. Leave '
            "velocity_dtype None, or use jnp.float32."
        )


def check_codes(name: str, grad: Any, velocity: CodedVelocity) -> None:
    """Raise `StateError` if codes and scales are not those of this gradient's parameter."""
    codes, scales = velocity
    formats = [getattr(getattr(array, "dtype", None), "name", type(array).__name__) for array in velocity]
    if formats != ["int8", "float32"]:
        raise StateError(f"the velocity of {name} must be codes of int8 and scales of float32; got {formats}.")
    if codes.shape != jnp.shape(grad):
        raise StateError(f"the codes of {name} have shape {codes.shape}, the gradient {jnp.shape(grad)}.")
    if scales.size != blocks_of(codes.size):
        raise StateError(
            f"the velocity of {name} has {scales.size} scales, and {codes.size} elements have {blocks_of(codes.size)}, "
            f"one for each {BLOCK}. Within shard_map and vmap make the state there too."
        )


def _rows_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape in which the last axis is a block, with as many axes as may be as they are.

    Of one whose axes are divided among devices, those in front then stay so.

    Example:
        >>> _rows_shape((8, 512)), _rows_shape((10, 64, 3, 4)), _rows_shape((7, 100))
        ((8, 2, 256), (10, 3, 256), (3, 256))
    """
    for axis in reversed(range(len(shape))):
        size = math.prod(shape[axis:])
        if size % BLOCK == 0:
            return *shape[:axis], size // BLOCK, BLOCK
    return blocks_of(math.prod(shape)), BLOCK


def _rows(values: Any) -> Any:
    """Return values with a block in each row, the last filled up with zeros."""
    shape = _rows_shape(values.shape)
    if math.prod(shape) != values.size:
        values = jnp.pad(values.reshape(-1), (0, math.prod(shape) - values.size))
    return values.reshape(shape)


def _unrows(rows: Any, shape: tuple[int, ...]) -> Any:
    """Return rows as they were, without what the last was filled up with."""
    count = math.prod(shape)
    return (rows if rows.size == count else rows.reshape(-1)[:count]).reshape(shape)


def encode(values: Any) -> CodedVelocity:
    """Return float32 values as codes of their shape and scales; see `core.blocks.encode`.

    Example:
        >>> import jax.numpy as jnp
        >>> codes, scales = encode(jnp.array([0.0, 4.0, -1.0, 0.01]))
        >>> codes.tolist(), scales.tolist()
        ([0, 127, -64, 6], [4.0])
    """
    rows = _rows(values)
    is_finite = jnp.isfinite(rows)
    magnitudes = jnp.where(is_finite, jnp.abs(rows), jnp.float32(0))
    largest = magnitudes.max(axis=-1)
    roots = rounded(jnp.sqrt(largest))
    factors = jnp.where(roots > 0, jnp.float32(LARGEST) / roots, jnp.float32(0))
    numbers = jnp.round(jnp.copysign(jnp.sqrt(magnitudes) * factors[..., None], rows))
    codes = jnp.where(is_finite, numbers, jnp.float32(NOT_FINITE)).astype(jnp.int8)
    return CodedVelocity(_unrows(codes, values.shape), jnp.where(is_finite.all(axis=-1), largest, -largest))


_encode_compiled = jax.jit(encode)


def decode(velocity: CodedVelocity) -> Any:
    """Return the float32 values that codes and scales stand for, of the codes' shape; see `core.blocks.decode`."""
    codes = _rows(jnp.asarray(velocity.codes))
    own = jnp.asarray(velocity.scales).reshape(codes.shape[:-1])[..., None]
    numbers = codes.astype(jnp.float32)
    values = rounded(numbers * jnp.abs(numbers) * jnp.float32(UNIT)) * jnp.abs(own)
    values = jnp.where((codes == NOT_FINITE) & jnp.signbit(own), jnp.float32(jnp.nan), values)
    return _unrows(values, velocity.codes.shape)


def step_codes(grad: Any, param: Any, velocity: CodedVelocity, six: Any) -> tuple[Any, CodedVelocity]:
    """Return what a parameter moves by, in float32, and its velocity after the step.

    Args:
        grad: Gradient.
        param: Parameter; None if it is not read, that is, without decay.
        velocity: Velocity.
        six: The six coefficients, float32 scalars, possibly traced.
    """
    delta_param, delta_grad, delta_velocity, from_param, from_grad, from_velocity = six
    grad, before = grad.astype(jnp.float32), decode(velocity)
    delta, after = rounded(delta_grad * grad), rounded(from_grad * grad)
    if param is not None:
        wide = param.astype(jnp.float32)
        is_read = (delta_param != 0) | (from_param != 0)
        delta = jnp.where(is_read, rounded(delta_param * wide) + delta, delta)
        after = jnp.where(is_read, rounded(from_param * wide) + after, after)
    delta = delta + rounded(delta_velocity * before)
    codes, scales = encode(after + rounded(from_velocity * before))
    return delta, CodedVelocity(codes, scales.reshape(velocity.scales.shape))


def rounded(values: Any) -> Any:
    """Return values as they are, rounded before they are used further.

    XLA would fuse a product and a sum, rounding once for both; make of a quotient by a root a product with the root's
    inverse; and multiply factors of whole blocks first. This selection it does not see through. It saw through shifts,
    and through `reduce_precision`.
    """
    return jnp.where(jnp.isnan(values), jnp.asarray(jnp.nan, values.dtype), values)
