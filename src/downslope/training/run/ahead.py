"""The leaves of each step, while the loaders read those of the steps to come."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from torch import Tensor

from downslope.training.data.rows import Rows
from downslope.training.run.batches import Leaf
from downslope.training.run.task import Task
from downslope.training.workers.workers import Workers


class Ahead:
    """Hands out the leaves of steps; where inputs are read when needed, it tells what will be next.

    Args:
        task: What is trained.
        workers: The workers that share the leaves: each reads its own.
    """

    def __init__(self, task: Task, workers: Workers) -> None:
        """Begin nothing yet."""
        inputs = task.dataset.train_inputs
        self._batches = task.batches
        self._ahead = inputs if isinstance(inputs, Rows) and inputs.loaders.count else None
        self._total = task.total_steps
        self._workers = workers
        # each keeps the order of one epoch in mind: near its end two are looked at in turn
        self._plans = copy.copy(task.batches), copy.copy(task.batches)

    def leaves(self, step: int) -> list[Leaf]:
        """Return the leaves of a step, and let those of the steps to come be read."""
        if self._ahead is not None:
            self._ahead.expect(self._jobs(step))
        return self._batches.leaves(step)

    def _jobs(self, step: int) -> Iterator[tuple[Tensor, int]]:
        """Yield what this worker takes, from a step on."""
        for number in range(step, self._total):
            leaves = self._plans[self._batches.epoch(number) % 2].leaves(number)
            for place in self._workers.indices(len(leaves)):
                yield leaves[place].examples, leaves[place].epoch
