"""What is asked of the gradients before anything moves: dense, finite, and how far they are to be scaled down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from downslope.core.errors import NonFiniteGradientError, SettingsError
from downslope.torch import param_groups as keys
from downslope.torch.gradients import all_finite, global_norm
from downslope.torch.plan import StepPlan, grads_of

if TYPE_CHECKING:
    from downslope.torch.sgd import SGD


def gradient_scale(optimizer: SGD, plan: StepPlan | None, pairs: Sequence[tuple[int, Tensor]]) -> float | None:
    """Return the factor that clipping puts on all gradients, or None if the step is to be skipped.

    Args:
        optimizer: The optimizer; its `grad_norm` is set.
        plan: The plan of this step, or None if it has yet to be made.
        pairs: Without a plan, (group's index, parameter) for every parameter that has a gradient.

    Raises:
        NonFiniteGradientError: If a gradient holds inf or NaN and the optimizer is to raise.
    """
    sums = None if plan is None else plan.sum_of_squares()
    if sums is not None and math.isfinite(sums[0]):
        norm, finite = math.sqrt(sums[0]), True
    else:
        grads = grads_of(param for _, param in pairs) if plan is None else plan.grads()
        norm = global_norm(grads)
        finite = math.isfinite(norm) or all_finite(grads)
    optimizer.grad_norm = norm
    if not finite and optimizer.on_nonfinite == "skip":
        return None
    if not finite and optimizer.on_nonfinite == "raise":
        raise NonFiniteGradientError(_nonfinite_message(optimizer))
    if optimizer.clip_norm is None or norm <= optimizer.clip_norm:
        return 1.0
    return optimizer.clip_norm / norm


def is_dense_gradient(group: Mapping[str, Any], group_index: int, param: Tensor) -> bool:
    """Return True, or raise if the parameter's gradient is sparse.

    Raises:
        SettingsError: With the parameter's name.
    """
    if param.grad is not None and param.grad.layout != torch.strided:
        index = next(j for j, p in enumerate(group["params"]) if p is param)
        name = keys.parameter_name(group, group_index, index)
        raise SettingsError(
            f"the gradient of {name} is sparse, which momentum and weight decay would make dense. "
            "Use a dense gradient (for an embedding: sparse=False)."
        )
    return True


def _nonfinite_message(optimizer: SGD) -> str:
    names = [
        keys.parameter_name(group, i, j)
        for i, group in enumerate(optimizer.param_groups)
        for j, param in enumerate(group["params"])
        if param.grad is not None and not all_finite([param.grad])
    ]
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return (
        f"the gradient of {shown} holds inf or NaN at step {optimizer.step_count}; nothing was moved. "
        'Lower lr, clip with clip_norm, or pass on_nonfinite="skip" to leave such steps out.'
    )
