"""Velocities of 8 bits: codes of one byte, and for each block of elements one float32, its scale. Here for NumPy.

The scale is the largest magnitude of the block; a code c from -127 to 127 stands for sign(c) (c / 127)^2 of it. Where
an element is not finite its code is -128, and the sign of the scale is set. csrc/blocks.h and torch/blocks.py do the
same operations on float32 in the same order, each rounded once, so that all give the same bits.

References:
    Dettmers, Lewis, Shleifer & Zettlemoyer, "8-bit optimizers via block-wise quantization" (2022): blocks, each with
    its largest magnitude. The code of squares is our own; docs/performance.md has what was measured of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BLOCK = 256
"""Elements of a block, in row-major order from a tensor's first; the last block may have fewer."""
WORTH_CODES = 4096
"""Elements below which a velocity stays float32: such tensors are few of a model's bytes."""
LARGEST, NOT_FINITE = 127, -128
UNIT = float(np.float32(1) / np.float32(LARGEST * LARGEST))
"""What the square of a code is multiplied by; of the largest it makes 1 exactly."""


def blocks_of(count: int) -> int:
    """Return how many blocks so many elements have."""
    return -(-count // BLOCK)


def encode(values: Any) -> tuple[Array, Array]:
    """Return codes (int8, of the values' shape) and scales (float32, one for each block).

    Example:
        >>> codes, scales = encode([0.0, 4.0, -1.0, 0.01])
        >>> codes.tolist(), scales.tolist()
        ([0, 127, -64, 6], [4.0])
        >>> [round(one, 4) for one in decode(codes, scales).tolist()]
        [0.0, 4.0, -1.0158, 0.0089]
    """
    values = np.asarray(values, np.float32)
    count = values.size
    flat = np.zeros(blocks_of(count) * BLOCK, np.float32)
    flat[:count] = values.reshape(-1)
    rows = flat.reshape(-1, BLOCK)
    magnitudes, is_finite = np.abs(rows), np.isfinite(rows)
    magnitudes = np.where(is_finite, magnitudes, np.float32(0))
    scales: Array = magnitudes.max(axis=1, initial=0)
    roots = np.sqrt(scales)
    factors = np.divide(np.float32(LARGEST), roots, out=np.zeros_like(roots), where=roots > 0)
    numbers = np.rint(np.copysign(np.sqrt(magnitudes) * factors[:, np.newaxis], rows))
    codes = np.where(is_finite, numbers, np.float32(NOT_FINITE)).astype(np.int8)
    signed: Array = np.copysign(scales, np.where(is_finite.all(axis=1), np.float32(1), np.float32(-1)))
    return codes.reshape(-1)[:count].reshape(values.shape), signed


def decode(codes: Array, scales: Array) -> Array:
    """Return the float32 values that codes and scales stand for, of the codes' shape."""
    numbers = codes.reshape(-1).astype(np.float32)
    own = np.repeat(scales, BLOCK)[: codes.size]
    values = numbers * np.abs(numbers) * np.float32(UNIT) * np.abs(own)
    values[(codes.reshape(-1) == NOT_FINITE) & np.signbit(own)] = np.nan
    return values.reshape(codes.shape)
