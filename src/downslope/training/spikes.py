"""Losses that leap up: whether a step's loss is a spike beside those before it.

What lives here: the judgement and the losses it rests on, which a checkpoint keeps, so that a resumed run judges as an
uninterrupted one would. What does not: what is done about a spike (`mishaps.py`). Only losses that the log asks for are
looked at: no step waits for its loss that did not wait before.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median


class Spikes:
    """The last losses, and whether another is a spike beside them.

    Args:
        factor: A loss is a spike if it exceeds the median of the last `window` by more than (factor - 1) times its
            size; for losses above 0: if it is above factor times the median.
        window: How many losses the median is of; nothing is a spike before so many have been seen.

    Example:
        >>> spikes = Spikes(factor=3.0, window=3)
        >>> [spikes.observe(loss) for loss in (2.0, 1.0, 1.5, 4.6, 3.5)]
        [None, None, None, 4.5, None]
    """

    def __init__(self, factor: float, window: int) -> None:
        """Begin with no losses."""
        self._factor = factor
        self._losses: deque[float] = deque(maxlen=window)

    def observe(self, loss: float) -> float | None:
        """Return the bound that a loss exceeds if it is a spike; else take it in and return None.

        Args:
            loss: The loss; one that is not finite is neither a spike nor taken in: `train.on_nonfinite` decides on it.
        """
        if not math.isfinite(loss):
            return None
        if len(self._losses) == self._losses.maxlen and (middle := median(self._losses)):  # of 0 nothing is a multiple
            bound = middle + (self._factor - 1) * abs(middle)
            if loss > bound:
                return bound
        self._losses.append(loss)
        return None

    def state(self) -> list[float]:
        """Return the losses, oldest first."""
        return list(self._losses)

    def load(self, state: list[float]) -> None:
        """Take over saved losses; of more than the window holds, the newest."""
        self._losses.clear()
        self._losses.extend(state)

    def describe(self, loss: float) -> str:
        """Return in words how a spike's loss compares."""
        return f"loss {loss:.4g} is above {self._factor:g} times the median of the last {self._losses.maxlen}"
