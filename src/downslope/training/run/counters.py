"""What a run counts and remembers beside its tensors: a metric's best value, the last losses, the steps left out.

All of it is a few plain numbers, kept in every checkpoint, so that a resumed run decides as an uninterrupted one would.
"""

from __future__ import annotations

import math
from collections import deque
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from downslope.recipe.measures import GROWING, Metric


@dataclass
class Patience:
    """A metric's best value, and how many evaluations ago that was.

    Early stop and plateau each hold one; so does the choice of the best checkpoint.

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
        """Take in one evaluation and return whether it is an improvement; NaN and inf never are."""
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

        A loss that is not finite is neither a spike nor taken in: `train.on_nonfinite` decides on it.
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
class BadStepRecord:
    """Which steps were left out so far, and where a rewind would lead.

    Attributes:
        spikes: Spikes dealt with.
        nonfinite: Gradients that were not finite, dealt with.
        rewinds: [first step left out, last step left out] of each rewind; the first is the checkpoint's gone back to.
        targets: Steps of the last two checkpoints that a rewind may lead to, oldest first.
        used: Whether a rewind has led to the newer already; the next then leads to the older.
    """

    spikes: int = 0
    nonfinite: int = 0
    rewinds: list[list[int]] = field(default_factory=list[list[int]])
    targets: list[int] = field(default_factory=list[int])
    used: bool = False

    def state(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)

    def load(self, state: dict[str, Any]) -> None:
        """Take over a saved record; an empty one, of an earlier version, leaves everything as it is."""
        for name, value in deepcopy(state).items():
            setattr(self, name, value)

    def add_target(self, step: int) -> None:
        """Note a checkpoint that a rewind may lead to, by the updates that it holds."""
        if step not in self.targets:
            self.targets, self.used = [*self.targets, step][-2:], False

    def take_target(self) -> int:
        """Return the step to go back to: the newest target or, if a rewind led there already, the one before it."""
        if self.used and len(self.targets) > 1:
            self.targets.pop()
        self.used = True
        return self.targets[-1]
