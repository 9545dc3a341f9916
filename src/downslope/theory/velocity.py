"""What the velocity does: how far it carries a gradient, how long it remembers one, and what a change of lr does to it.

Momentum is in [0, 1), dampening in [0, 1].
"""

from __future__ import annotations

import math

from downslope.core.rule import StepScalars
from downslope.theory.formula import formula


@formula(
    "lr (1 - dampening) / (1 - momentum); with Nesterov lr (1 - momentum dampening) / (1 - momentum); with nu "
    "lr (1 - nu + nu (1 - dampening) / (1 - momentum))",
    valid="for gradients that hardly change over 1 / (1 - momentum) steps; weight decay aside",
    source="Polyak 1964; the sum of the rule's response to one gradient",
)
def effective_lr(
    lr: float, momentum: float, dampening: float = 0.0, *, nesterov: bool = False, nu: float | None = None
) -> float:
    """Return how far a constant gradient of 1 moves a parameter per step in the long run.

    Without dampening Nesterov's form has the same gain as the heavy ball. With it, the share of the gradient that looks
    ahead is not dampened.

    Example:
        >>> round(effective_lr(0.1, 0.9), 12)
        1.0
    """
    passed = 1 - momentum * dampening if nesterov else 1 - dampening
    if nu is not None:
        return lr * (1 - nu + nu * passed / (1 - momentum))
    return lr * passed / (1 - momentum)


def gain_of(scalars: StepScalars) -> float:
    """Return the effective lr of a step."""
    return effective_lr(scalars.lr, scalars.momentum, scalars.dampening, nesterov=scalars.nesterov, nu=scalars.nu)


@formula(
    "ln 2 / -ln momentum",
    valid="always, while momentum is constant",
    source="the velocity shrinks by the factor momentum per step",
)
def velocity_half_life(momentum: float) -> float:
    """Return after how many steps half of a gradient's share in the velocity is left.

    Example:
        >>> round(velocity_half_life(0.5), 12), velocity_half_life(0.0)
        (1.0, 0.0)
    """
    return math.log(2) / -math.log(momentum) if momentum else 0.0


@formula(
    "1 / (1 - momentum)",
    valid="always, while momentum is constant",
    source="the mean of a geometric series",
)
def velocity_horizon(momentum: float) -> float:
    """Return over how many steps the velocity adds gradients up.

    Example:
        >>> round(velocity_horizon(0.9), 12)
        10.0
    """
    return 1 / (1 - momentum)


@formula(
    "velocity *= lr_new / lr_old",
    valid="exactly, where lr is inside the velocity and is to act as if it were outside",
    source="Goyal et al. 2017, section 2.4 (momentum correction)",
)
def velocity_correction(lr_old: float, lr_new: float) -> float:
    """Return the factor on a velocity with lr inside that makes a change of lr act as if lr were outside.

    Example:
        >>> velocity_correction(0.5, 0.25)
        0.5
    """
    return lr_new / lr_old
