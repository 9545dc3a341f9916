"""Weights and gradients of each parameter group in one step: lengths, the update's length, the angle they turn by.

Beside it stands what theory predicts of weights before a normalisation layer at the step's own lr, momentum and decay.
A copy of the weights is kept from before the update until after it, so that what is measured is what the step did, not
what it should have done.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from downslope.core.rule import StepScalars
from downslope.core.schedule_free import ScheduleFreeScalars
from downslope.theory.forgetting import forgotten_per_step
from downslope.theory.rotation import equilibrium
from downslope.torch import SGD
from downslope.torch.gradients import global_norm
from downslope.torch.tensors import is_distributed
from downslope.training.device import fetch


@dataclass(frozen=True, eq=False)
class GroupsBefore:
    """The groups before a step.

    Attributes:
        params: Parameters of each group.
        copies: Their values before the step.
        grad_norms: Norm of each group's gradient, before clipping.
        alignments: Cosine of the angle between each group's gradient and its weights; None where one of them is zero.
        scalars: The step's scalars of each group.
        foretold: Whether theory knows each group's steps: not those of schedule-free SGD, which has no rate of
            forgetting, nor with a trust ratio, by which each tensor has its own lr and decay.
    """

    params: list[list[Tensor]]
    copies: list[list[Tensor]]
    grad_norms: list[float]
    alignments: list[float | None]
    scalars: list[StepScalars]
    foretold: list[bool]

    def compare(self) -> dict[str, list[float | None]]:
        """Return the measurements by name, each a list with a number for each group; called after the step.

        "lr", "grad_norm", "weight_norm" (after the step), "update_ratio" (length of the update over that of the
        weights), "rotation" (angle in radians), "alignment", and of weights before a normalisation layer, at
        equilibrium: "rotation_predicted", "weight_norm_predicted"; "forgotten" is the part of a weight that a step
        forgets. None where there is no such number: without weight decay there is no equilibrium, and see `foretold`.
        """
        table: dict[str, list[float | None]] = {name: [] for name in _NAMES}
        for index, scalars in enumerate(self.scalars):
            before = global_norm(self.copies[index])
            after = global_norm(self.params[index])
            update, rotation = _turn(self.params[index], self.copies[index], before)
            known = self.foretold[index]
            forgotten = forgotten_per_step(scalars) if known else None
            predicted = _equilibrium(scalars, self.grad_norms[index] * before) if known else (None, None)
            values = (
                scalars.lr,
                self.grad_norms[index],
                after,
                update / before if before > 0 else None,
                rotation,
                self.alignments[index],
                *predicted,
                forgotten,
            )
            for name, value in zip(_NAMES, values, strict=True):
                table[name].append(value)
        return table


_NAMES = (
    "lr", "grad_norm", "weight_norm", "update_ratio", "rotation", "alignment", "rotation_predicted",
    "weight_norm_predicted", "forgotten",
)  # fmt: skip


def look_at_groups(optimizer: SGD, loss_scale: float = 1.0) -> GroupsBefore:
    """Return the optimizer's groups as they are before a step, gradients, of a loss with this factor, in place."""
    params = [[p.detach() for p in group["params"]] for group in optimizer.param_groups]
    norms: list[float] = []
    alignments: list[float | None] = []
    for group, weights in zip(optimizer.param_groups, params, strict=True):
        pairs = [(w, p.grad) for w, p in zip(weights, group["params"], strict=True) if p.grad is not None]
        norm = global_norm([grad for _, grad in pairs])
        length = norm * global_norm(weights)
        norms.append(norm / loss_scale)
        finite = 0 < length < math.inf
        alignments.append(inner([w for w, _ in pairs], [g for _, g in pairs]) / length if finite else None)
    scalars = optimizer.step_scalars()
    foretold = [
        not (isinstance(one, ScheduleFreeScalars) or group["trust_coefficient"])
        for one, group in zip(scalars, optimizer.param_groups, strict=True)
    ]
    return GroupsBefore(params, [[p.clone() for p in group] for group in params], norms, alignments, scalars, foretold)


def inner(left: Sequence[Tensor], right: Sequence[Tensor]) -> float:
    """Return the inner product of two lists of tensors, summed over all of them."""
    products = [_product(a, b) for a, b in zip(left, right, strict=True) if a.numel()]
    return math.fsum(fetch(products)) if products else 0.0


def _product(left: Tensor, right: Tensor) -> Tensor:
    if left.is_complex():
        left, right = torch.view_as_real(left), torch.view_as_real(right)
    if left.dtype in {torch.float16, torch.bfloat16}:
        left, right = left.float(), right.float()
    if is_distributed(left):
        product: Any = (left * right).sum()
        return product.full_tensor()
    return torch.dot(left.reshape(-1), right.reshape(-1))


def _turn(after: list[Tensor], before: list[Tensor], norm: float) -> tuple[float, float | None]:
    """Return the length of the update, and the angle between the weights before and after it; overwrites `before`.

    By the update rather than by the cosine of the two: of a small angle, 1 - cosine loses half of the digits.
    """
    torch._foreach_neg_(before)
    torch._foreach_add_(before, after)
    length = global_norm(before)
    if not (norm > 0 and math.isfinite(length)):
        return length, None
    along = (inner(after, before) - length * length) / norm  # the update's part along the weights as they were
    across = math.sqrt(max(length * length - along * along, 0.0))
    return length, math.atan2(across, norm + along)


def _equilibrium(scalars: StepScalars, gradient: float) -> tuple[float | None, float | None]:
    found = equilibrium(scalars)
    return (None, None) if found is None else (found.rotation, found.norm * math.sqrt(gradient))
