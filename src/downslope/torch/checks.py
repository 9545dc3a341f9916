"""What is asked of the gradients before anything moves: dense, finite, and how far they are to be scaled down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from downslope.core.errors import NonFiniteGradientError, SettingsError
from downslope.torch import groups as keys
from downslope.torch.gradients import all_finite, global_norm

if TYPE_CHECKING:
    from downslope.torch.sgd import SGD


def gradient_scale(
    optimizer: SGD,
    grads: Sequence[Tensor],
    sums: tuple[float, bool] | None = None,
    names: Sequence[str] | None = None,
    *,
    factor: float = 1.0,
) -> float | None:
    """Return the factor on all gradients, clipping included, or None if the step is to be skipped.

    Args:
        optimizer: The optimizer; its `grad_norm` is set.
        grads: All gradients of the step.
        sums: Their sum of squares and whether all are finite, if that is known already.
        names: What to call each in a message; None for the parameters' that have a gradient.
        factor: The factor that the caller asks for; the norm is that of the gradients times it.

    Raises:
        NonFiniteGradientError: If a gradient holds inf or NaN and the optimizer is to raise.
    """
    shared = optimizer.shared  # where these attributes are, which cost more
    if sums is not None and math.isfinite(sums[0]):
        norm, finite = math.sqrt(sums[0]), True
    else:
        norm = global_norm(grads)
        finite = math.isfinite(norm) or all_finite(grads)
    shared["grad_norm"] = scaled_norm = norm * factor
    if not finite and shared["on_nonfinite"] == "skip":
        return None
    if not finite and shared["on_nonfinite"] == "raise":
        wrong = [name for name, grad in zip(names or _names(optimizer), grads, strict=True) if not all_finite([grad])]
        raise NonFiniteGradientError(_nonfinite_message(optimizer, wrong), _NONFINITE_ADVICE)
    if shared["clip_norm"] is None or scaled_norm <= shared["clip_norm"]:
        return factor
    return shared["clip_norm"] / norm  # of the norm without the factor, since with it the norm may be beyond float64


def _names(optimizer: SGD) -> list[str]:
    """Return the names of all parameters that have a gradient, in their order, each once."""
    names: dict[int, str] = {}
    for i, group in enumerate(optimizer.param_groups):
        for j, param in enumerate(group["params"]):
            if param.grad is not None:
                names.setdefault(id(param), keys.parameter_name(group, i, j))
    return list(names.values())


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


def _nonfinite_message(optimizer: SGD, names: Sequence[str]) -> str:
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return f"the gradient of {shown} holds inf or NaN at step {optimizer.step_count}; nothing was moved."


_NONFINITE_ADVICE = 'Lower lr, clip with clip_norm, or pass on_nonfinite="skip" to leave such steps out.'
