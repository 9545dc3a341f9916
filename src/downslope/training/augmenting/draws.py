"""Random numbers for examples: a function of (seed, epoch, index) alone, whatever batch an example is in.

References:
    G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from downslope.training.run.randomness import derive_seed

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
COLUMNS = 64
"""Numbers that each example has; a change takes its own columns, so that another change does not move them."""


def uniforms(seed: int, epoch: int, examples: Tensor) -> Tensor:
    """Return numbers in [0, 1) for examples, float64 of shape (examples, COLUMNS).

    They are those of SplitMix64 from a state that seed and epoch give, whose n-th number is a function of n: an
    example's begin at its index times `COLUMNS`.

    Args:
        seed: The recipe's seed.
        epoch: The epoch, 0-based.
        examples: Indices into the training examples, int64 of shape (examples,).
    """
    start = np.uint64(derive_seed(seed, "augment", epoch))
    places = examples.numpy().astype(np.uint64)[:, None] * np.uint64(COLUMNS) + np.arange(COLUMNS, dtype=np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        state = start + (places + np.uint64(1)) * _GOLDEN
        state = (state ^ (state >> np.uint64(30))) * _FIRST
        state = (state ^ (state >> np.uint64(27))) * _SECOND
        state ^= state >> np.uint64(31)
    return torch.from_numpy((state >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def between(draws: Tensor, low: float, high: float) -> Tensor:
    """Return draws spread from low to high, float32."""
    return (low + (high - low) * draws).float()


def whole(draws: Tensor, count: int) -> Tensor:
    """Return draws as whole numbers 0 to count - 1, each as likely."""
    return (draws * count).long().clamp(max=count - 1)
