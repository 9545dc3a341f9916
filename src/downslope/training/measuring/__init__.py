"""What a run measures of itself beside loss and accuracy, and when: by group, gradient noise, sharpness.

All of it is read and none written: a run with other measurements has the same weights, bit for bit.
"""

from __future__ import annotations

from typing import Any

from downslope.training.measuring.groups import GroupsBefore, look_at_groups
from downslope.training.measuring.noise import noise_and_signal
from downslope.training.measuring.sharpness import limits, measure_sharpness
from downslope.training.run.gradients import StepResult
from downslope.training.run.task import Task

__all__ = ["Measurements"]


class Measurements:
    """The measurements of a run, each due by the step alone, so that a resumed run measures what it would have."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._every = task.recipe.train.measure_every
        self._sharpness_every = task.recipe.train.sharpness_every
        self._before: GroupsBefore | None = None

    def due(self, step: int) -> bool:
        """Return whether this step is measured: whether its update is compared with the weights before it."""
        return self._every > 0 and step % self._every == 0

    def before(self) -> None:
        """Look at the weights and gradients of a step that is measured, before the update."""
        state = self._task.state
        self._before = look_at_groups(state.optimizer, state.loss_scale)

    def after(self, result: StepResult) -> dict[str, Any]:
        """Return the row of a step that was measured, after its update."""
        before, self._before = self._before, None
        fields = {} if before is None else before.compare()
        return fields | noise_and_signal(result.leaf_norms)

    def sharpness(self, step: int) -> dict[str, Any] | None:
        """Return the row of the curvature before this step, or None if it is not due."""
        if self._sharpness_every is None or step % self._sharpness_every:
            return None
        found, optimizer = measure_sharpness(self._task, step), self._task.state.optimizer
        if optimizer.param_groups[-1]["trust_coefficient"]:  # each tensor has its own lr, and no limit holds for all
            return found
        return {**found, **limits(optimizer.step_scalars()[-1])}
