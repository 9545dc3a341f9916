"""States with velocities of 8 bits as states with float32 ones, and the other way round."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp

from downslope.core.errors import StateError
from downslope.core.shown import shown
from downslope.jax.blocks import CodedVelocity, decode, encode, is_worth_codes
from downslope.jax.leaves import leaf_name
from downslope.jax.sgd import AveragingSGDState, SGDState

_STATES = (SGDState, AveragingSGDState)


def decoded_state(state: Any) -> Any:
    """Return a state with every 8-bit velocity as the float32 that its codes stand for, exactly.

    What the codes had lost before is not brought back: up to 0.8 per cent of a block's largest magnitude, less for
    small ones. An optimizer goes on from either form, whatever its `velocity_dtype`.

    Args:
        state: The state of `sgd`, or any tree with such states in it, as optax's other transformations have them.

    Raises:
        StateError: If there is no state of `sgd` in it.

    Example:
        >>> import jax.numpy as jnp
        >>> from downslope.jax import decoded_state, sgd
        >>> state = sgd(0.1, 0.9, velocity_dtype="int8").init(jnp.ones((64, 64)))
        >>> state.velocity.codes.dtype.name, state.velocity.scales.shape
        ('int8', (16,))
        >>> decoded_state(state).velocity.dtype.name
        'float32'
    """
    return _changed(state, lambda _, velocity: decode(velocity) if isinstance(velocity, CodedVelocity) else velocity)


def encoded_state(state: Any) -> Any:
    """Return a state with the velocity of every parameter of 4096 elements or more in 8 bits, and a warning of it.

    Each is rounded by up to 0.8 per cent of the largest in its block of 256. Those of fewer elements become float32.

    Args:
        state: As in `decoded_state`.

    Raises:
        StateError: If there is no state of `sgd` in it, or a velocity of float64 or of complex numbers.

    Example:
        >>> import warnings
        >>> import jax.numpy as jnp
        >>> from downslope.jax import encoded_state, sgd
        >>> state = sgd(0.1, 0.9).init(jnp.ones((64, 64)))
        >>> with warnings.catch_warnings(record=True) as said:
        ...     warnings.simplefilter("always")
        ...     state = encoded_state(state)
        >>> state.velocity.codes.dtype.name
        'int8'
        >>> print(said[0].message)
        encoded_state rounded 1 velocity to 8 bits: by up to 0.8 per cent of the largest in its block of 256.
    """
    rounded: list[str] = []

    def coded(name: str, velocity: Any) -> Any:
        if isinstance(velocity, CodedVelocity):
            return velocity
        if not jnp.issubdtype(velocity.dtype, jnp.floating) or velocity.dtype.itemsize > jnp.float32(0).itemsize:
            raise StateError(
                f"the velocity of `{shown(name)}` is {velocity.dtype}, of which 8 bits would keep too little: "
                "they are for those of float32, bfloat16 and float16."
            )
        wide = velocity.astype(jnp.float32)
        if not is_worth_codes(velocity):
            return wide
        rounded.append(name)
        return encode(wide)

    changed = _changed(state, coded)
    if rounded:
        count = f"{len(rounded)} velocit{'y' if len(rounded) == 1 else 'ies'}"
        warnings.warn(
            f"encoded_state rounded {count} to 8 bits: by up to 0.8 per cent of the largest in its block of 256.",
            UserWarning,
            stacklevel=2,
        )
    return changed


def _changed(state: Any, change: Any) -> Any:
    """Return a tree whose states of `sgd` have other velocities: what `change` makes of each name and velocity."""
    found = 0

    def within(node: Any) -> Any:
        nonlocal found
        if not isinstance(node, _STATES):
            return node
        found += 1
        velocity = jax.tree_util.tree_map_with_path(
            lambda path, leaf: change(leaf_name(path), leaf), node.velocity, is_leaf=_is_coded
        )
        return node._replace(velocity=velocity)

    result = jax.tree.map(within, state, is_leaf=lambda node: isinstance(node, _STATES))
    if not found:
        raise StateError(
            f"there is no SGDState in it, which `init` of downslope.jax.sgd returns; got a {type(state).__name__}."
        )
    return result


def _is_coded(node: Any) -> bool:
    return isinstance(node, CodedVelocity)
