"""The step where somebody watches operations (`watched.py`): by torch's own, one by one, as torch.optim.SGD has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from downslope.torch.checks import gradient_scale
from downslope.torch.step import SMALL_SCALE, apply, distinct_grads, scaled

if TYPE_CHECKING:
    from downslope.torch.sgd import SGD


def step_watched(optimizer: SGD, pairs: list[tuple[int, Tensor]], grad_scale: float) -> None:
    """Take one step by torch's operations alone.

    Args:
        optimizer: The optimizer.
        pairs: (group's index, parameter) for every parameter that has a gradient.
        grad_scale: Factor on every gradient.
    """
    scalars = optimizer.step_scalars()
    grads = [param.grad for _, param in pairs if param.grad is not None]
    factor: float | None = grad_scale
    if optimizer.clip_norm is not None or optimizer.on_nonfinite != "ignore":
        factor = gradient_scale(optimizer, distinct_grads(pairs), factor=grad_scale)
    if factor is None:
        optimizer.count_skipped_step()
        return
    if factor < SMALL_SCALE:
        grads, factor = [grad * factor for grad in grads], 1.0
    entries = optimizer.entries_of(pairs)
    apply(optimizer, entries, grads, scaled(optimizer, scalars, factor), one_by_one=True)
    optimizer.count_step()
