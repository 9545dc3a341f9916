"""Schedule-free SGD on one direction of a quadratic: from which curvature on it diverges."""

from __future__ import annotations

import math

from downslope.core.schedule_free import ScheduleFreeScalars


def largest_curvature(scalars: ScheduleFreeScalars) -> float:
    """Return the curvature above which a step with these scalars, repeated, diverges; infinite at an lr of 0.

    With c the share of the newest z in the average, and weight decay taken off:

        2 (2 - c) / (lr ((2 - c) (1 - b (1 - c)) - b c (1 - c)))

    Which is 2 / lr at the first step, where c = 1, and 2 / ((1 - b) lr) once c is small: with b = 0.9 ten times as much
    as gradient descent bears. Of the two conditions on the step's matrix (Jury's) the other always holds.

    Example:
        >>> from downslope import ScheduleFree
        >>> first, later = (ScheduleFree(lr=0.5, momentum=0.75).at(step) for step in (0, 10**5))
        >>> largest_curvature(first), round(largest_curvature(later), 2)
        (4.0, 16.0)
    """
    c, b, lr = scalars.average, scalars.momentum, scalars.lr
    if lr == 0:
        return math.inf
    pull = (2 - c) * (1 - b * (1 - c)) - b * c * (1 - c)
    return max(2 * (2 - c) / (lr * pull) - scalars.coupled_decay, 0.0) if pull > 0 else math.inf
