"""Patience: how many evaluations have passed since a metric last improved.

Early stop and plateau each hold one of these counters; so does the choice of the best checkpoint. Its state is three
numbers, kept in the checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from downslope.recipes.schema import GROWING, Metric


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
