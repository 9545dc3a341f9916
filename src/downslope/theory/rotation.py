"""Weights before a normalisation layer: the length at which growth and decay balance, and how fast they then turn.

Scaling such weights does not change the loss, so gradients stand at a right angle to them and shrink with their length,
|grad| = G / |param|. The closed forms hold while decay is slow; `equilibrium` decides between them and the rule's own
matrix. `gain` is the effective lr, `forgotten` the part f of a weight that a step forgets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from downslope.core.rule import StepScalars, sgd_rule
from downslope.theory.direction import direction_of
from downslope.theory.forgetting import CLOSE, forgotten_per_step
from downslope.theory.formula import formula
from downslope.theory.velocity import effective_lr, gain_of

_EQUILIBRIUM = (
    "for many weights before a normalisation layer, gradients like a random walk with |grad| = G / |param|, after "
    "several decay timescales at a constant lr"
)
_SLOW = f"{_EQUILIBRIUM}, while decay is slow beside the velocity; here to within 1 %"
_SOURCE = "Kosson et al. 2024 (rotational equilibrium); Wan et al. 2021; Li et al. 2020"


@formula(
    "|param|^4 = effective_lr^2 G^2 / (2 f), f the part forgotten per step; heavy ball, coupled: "
    "lr G^2 / (2 weight_decay (1 - momentum)), decoupled: lr G^2 / (2 weight_decay (1 - momentum)^2)",
    valid=_SLOW,
    source=_SOURCE,
)
def equilibrium_norm(gain: float, forgotten: float, gradient: float = 1.0) -> float:
    """Return the length at which weights settle; `gradient` is G, the gradient's length where they have length 1.

    Example:
        >>> equilibrium_norm(2.0, 0.125, 1.0)
        2.0
    """
    return math.sqrt(gain * gradient) / (2 * forgotten) ** 0.25 if forgotten > 0 else math.inf


@formula(
    "sqrt(2 f) / effective_lr, f the part forgotten per step; without momentum, coupled: sqrt(2 weight_decay / lr)",
    valid=_SLOW,
    source="Defazio 2025 (arXiv 2506.02285)",
)
def equilibrium_gradient_ratio(gain: float, forgotten: float) -> float:
    """Return |grad| / |param| at equilibrium; where lr falls and decay is not corrected, it grows.

    Example:
        >>> equilibrium_gradient_ratio(2.0, 0.125)
        0.25
    """
    return math.sqrt(2 * forgotten) / gain if gain > 0 else math.inf


@formula(
    "heavy ball, coupled: sqrt(2 lr weight_decay / (1 + momentum)), decoupled: sqrt(2 lr weight_decay (1 - momentum) / "
    "(1 + momentum)); Nesterov, coupled: sqrt(2 lr weight_decay (1 - momentum) ((1 + momentum)^2 + momentum^4 / "
    "(1 - momentum^2))), decoupled: sqrt(1 - momentum) times that",
    valid=_SLOW,
    source=_SOURCE,
)
def rotation_per_step(
    momentum: float, forgotten: float, dampening: float = 0.0, *, nesterov: bool = False, nu: float | None = None
) -> float:
    """Return the root mean square of the angle, in radians, by which such weights turn in a step.

    A gradient moves the weight by h0, h1, h2, ... in the steps after it, and by `gain` altogether. At equilibrium the
    squared angle is 2 f (h0^2 + h1^2 + ...) / gain^2, from which all the cases of the equation follow.

    Example:
        >>> rotation_per_step(0.0, 0.125)
        0.5
    """
    kept = 1 - dampening
    if nesterov:
        squares = (1 + momentum * kept) ** 2 + (kept * momentum**2) ** 2 / (1 - momentum**2)
    elif nu is not None:
        squares = (1 - nu + nu * kept) ** 2 + (nu * kept * momentum) ** 2 / (1 - momentum**2)
    else:
        squares = kept**2 / (1 - momentum**2)
    gain = effective_lr(1.0, momentum, dampening, nesterov=nesterov, nu=nu)
    return math.sqrt(2 * forgotten * squares) / gain if gain > 0 else 0.0


@dataclass(frozen=True)
class Equilibrium:
    """Where growth by gradients and shrinking by decay balance, for G = 1.

    Attributes:
        norm: Length of the weights; times sqrt(G) for another G.
        gradient_ratio: |grad| / |param|.
        rotation: Angle of a step, in radians.
        closed: Whether these are the closed forms.
    """

    norm: float
    gradient_ratio: float
    rotation: float
    closed: bool


@formula(
    "|param|^4 = G^2 (h1^2 + h2^2 + ...), cos(angle) = (h1 h2 + h2 h3 + ...) / (h1^2 + h2^2 + ...), h the rule's "
    "response to one gradient",
    valid=_EQUILIBRIUM,
    source="the rule's matrix; Kosson et al. 2024 for slow decay",
)
def equilibrium(scalars: StepScalars) -> Equilibrium | None:
    """Return the equilibrium, by the closed forms where these are true to 1 %, else by the rule; None if there is none.

    The trace T and the determinant D of the rule's matrix without gradients give both sums of the equation.

    Example:
        >>> from downslope import Settings
        >>> round(equilibrium(Settings(lr=0.1, momentum=0.9, weight_decay=5e-4).at(0)).rotation, 6)
        0.007255
    """
    flat, forgotten = direction_of(scalars, 0.0), forgotten_per_step(scalars)
    gain = gain_of(scalars)
    if forgotten <= 0 or gain <= 0 or not flat.shrinks():
        return None
    found = Equilibrium(
        norm=equilibrium_norm(gain, forgotten),
        gradient_ratio=equilibrium_gradient_ratio(gain, forgotten),
        rotation=rotation_per_step(
            scalars.momentum, forgotten, scalars.dampening, nesterov=scalars.nesterov, nu=scalars.nu
        ),
        closed=True,
    )
    # The response to one gradient is h1 = first, then h(n+1) = T h(n) - D h(n-1): the sums of its squares and of the
    # products of neighbours are rational in T and D, here written in sum and product of the eigenvalues less 1.
    first, into = sgd_rule(0.0, 1.0, 0.0, scalars)
    second = flat.from_velocity * (into / first) - flat.kept  # of a response of 1, beside T times it
    total, product = flat.sum_less_2, flat.product_less_1
    determinant = 1 + total + product
    squares = (1 + determinant) * (1 + second) ** 2 - 2 * product * second
    squares /= -(total + product) * product * (4 + 2 * total + product)
    less_1 = (product - second / squares) / (1 + determinant)  # 1 less the cosine
    if not (0 < squares < math.inf):
        return found
    length = abs(first) * math.sqrt(squares)
    exact = Equilibrium(
        norm=math.sqrt(length),
        gradient_ratio=1 / length,
        rotation=2 * math.asin(math.sqrt(min(1.0, max(0.0, less_1 / 2)))),
        closed=False,
    )
    off = (getattr(found, name) / getattr(exact, name) - 1 for name in ("norm", "gradient_ratio", "rotation"))
    return found if all(abs(one) <= CLOSE for one in off) else exact
