"""Patience: how many evaluations have passed since a metric last improved.

Early stop and plateau each hold one of these counters; so does the choice of the best checkpoint. Its state is three
numbers, kept in the checkpoint.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from downslope.recipe.schema import GROWING, Metric

# Losses that leap up


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


@dataclass
class Patience:
    """A metric's best value, and how long ago that was.

    Attributes:
        metric: One of `GROWING` (larger is better), or another (smaller is better).
        min_delta: Smallest change that counts as an improvement.
        best: Best value so far, or None.
        best_step: Steps done when it was reached, or None.
        waited: Evaluations since then.

    Example:
        >>> patience = Patience("loss")
        >>> [patience.observe(loss, step) for step, loss in enumerate([1.0, 0.5, 0.7])], patience.waited
        ([True, True, False], 1)
    """

    metric: Metric
    min_delta: float = 0.0
    best: float | None = None
    best_step: int | None = None
    waited: int = 0

    def observe(self, value: float, step: int) -> bool:
        """Take in one evaluation and return whether it is an improvement; NaN and inf never are.

        Args:
            value: The metric.
            step: Steps done.
        """
        gain = math.inf if self.best is None else (value - self.best) * (1 if self.metric in GROWING else -1)
        improved = math.isfinite(value) and gain > self.min_delta
        if improved:
            self.best, self.best_step, self.waited = value, step, 0
        else:
            self.waited += 1
        return improved

    def state(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)

    def load(self, state: dict[str, Any] | None) -> None:
        """Take over a saved state if it is of the same metric; min_delta stays what the recipe says now."""
        if state is not None and state["metric"] == self.metric:
            self.best, self.best_step, self.waited = state["best"], state["best_step"], state["waited"]
