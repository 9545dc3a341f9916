"""How long a training is, as training counts it: examples, steps in an epoch, steps in all."""

from __future__ import annotations

import math

from downslope.core.exact import exact

DIGITS = 1797
"""Examples of the embedded data set, before some are held out."""


def digits_to_learn_from(held_out: float, validation: float | None = None) -> int:
    """Return how many of the digits are left where a fraction of them is held out, and one of the others validates."""
    left = DIGITS - math.ceil(DIGITS * held_out)
    return left - math.ceil(left * (validation or 0.0))


def steps_in_epoch(examples: int, batch_size: int, accumulate: int = 1) -> int:
    """Return the steps in an epoch, whose last batch, and last step, may be smaller.

    Example:
        >>> steps_in_epoch(1437, 64), steps_in_epoch(1437, 64, accumulate=4)
        (23, 6)
    """
    batches = -(-examples // batch_size)
    return -(-batches // accumulate)


def steps_in_epochs(epochs: float, steps_per_epoch: int) -> int:
    """Return the steps of a training of so many epochs, the nearest whole number; 0 for less than half a step.

    Example:
        >>> steps_in_epochs(1.01, 45), steps_in_epochs(1.1, 10)
        (45, 11)
    """
    return round(exact(epochs) * steps_per_epoch)  # exact: a float's product may be infinite
