"""The counter-based random numbers of stochastic rounding, as the compiled step has them (csrc/rounding.h)."""

from __future__ import annotations

from typing import Any

_MASK = 0xFFFFFFFF


def random_bits(key: int, element: Any) -> Any:
    """Return 32 random bits, a function of key and element alone.

    Args:
        key: Below 2**32.
        element: Below 2**32: an integer, or an int64 array of them, of any framework.

    Returns:
        An integer below 2**32, or an array of such.

    References:
        The finaliser of MurmurHash3 (Appleby), twice.

    Example:
        >>> random_bits(1, 2) == random_bits(1, 2) != random_bits(2, 2)
        True
    """
    x = (element * 0x9E3779B9 + key) & _MASK
    x = _mixed(x)
    return _mixed((x + key) & _MASK)


def _mixed(x: Any) -> Any:
    # products of two 32-bit numbers wrap around in int64, which leaves their last 32 bits as they are
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & _MASK
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & _MASK
    return x ^ (x >> 16)


def step_key(seed: int, step: int) -> int:
    """Return the key of one step's random numbers; the seed is below 2**64, the step 0-based."""
    own = random_bits(random_bits(seed & _MASK, seed >> 32), step & _MASK)
    return random_bits(own, step >> 32)
