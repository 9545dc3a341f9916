"""The same training with another batch size: what lr, momentum and weight decay become.

Two conversions, momentum kept, or the velocity's half-life kept in examples, both keep the effective lr per example and
the decay in epochs; a third, lr by the square root, keeps the size of the noise in a step instead.
`factor` is the new batch size over the old. How large a batch may be is a matter of measuring the gradient's noise.
"""

from __future__ import annotations

import math

from downslope.theory.formula import formula
from downslope.theory.velocity import effective_lr

_NOISE = (
    "while the noise of the gradient is larger than the gradient, the effective lr is far below its limit, and decay "
    "is slow beside the velocity"
)


@formula("lr' = lr B' / B, momentum' = momentum", valid=_NOISE, source="Goyal et al. 2017; Smith & Le 2018")
def lr_for_batch(lr: float, factor: float) -> float:
    """Return the lr for a batch `factor` times as large, momentum kept.

    Example:
        >>> lr_for_batch(0.1, 4)
        0.4
    """
    return lr * factor


@formula(
    "lr' = lr sqrt(B' / B), momentum' = momentum",
    valid="while the noise of the gradient is larger than the gradient, and steps, not examples, are what counts",
    source="Krizhevsky 2014 (arXiv 1404.5997); Malladi et al. 2022 (arXiv 2205.10287) for Adam",
)
def lr_for_batch_sqrt(lr: float, factor: float) -> float:
    """Return the lr for a batch `factor` times as large with which the noise of a step has the same variance.

    Example:
        >>> lr_for_batch_sqrt(0.1, 4)
        0.2
    """
    return lr * math.sqrt(factor)


@formula(
    "ema' = ema^(B' / B)",
    valid="while the weights move little within a step",
    source="Busbridge et al. 2023 (arXiv 2307.13813): the average's half-life in examples stays",
)
def average_for_batch(ema: float, factor: float) -> float:
    """Return the decay of an average of weights for a batch `factor` times as large that remembers as many examples.

    Example:
        >>> average_for_batch(0.5, 2)
        0.25
    """
    return ema**factor


@formula(
    "momentum' = momentum^(B' / B)",
    valid=_NOISE,
    source="the half-life of the velocity in examples stays; Busbridge et al. 2023 for averages",
)
def momentum_for_batch(momentum: float, factor: float) -> float:
    """Return the momentum for a batch `factor` times as large that remembers as many examples.

    Example:
        >>> momentum_for_batch(0.5, 2)
        0.25
    """
    return momentum**factor


@formula(
    "effective lr' = effective lr B' / B: lr' = lr (B' / B) (1 - momentum') / (1 - momentum); with nu by its "
    "effective lr",
    valid=_NOISE,
    source="effective lr per example stays; Wang et al. 2023 (arXiv 2307.15196) for small batches",
)
def lr_for_batch_and_momentum(
    lr: float,
    momentum: float,
    factor: float,
    dampening: float = 0.0,
    *,
    nesterov: bool = False,
    nu: float | None = None,
) -> float:
    """Return the lr for a batch `factor` times as large whose momentum is `momentum_for_batch`; dampening stays.

    Example:
        >>> round(lr_for_batch_and_momentum(0.1, 0.5, 2), 12)
        0.3
    """
    gain = effective_lr(1.0, momentum, dampening, nesterov=nesterov, nu=nu)
    new_gain = effective_lr(1.0, momentum_for_batch(momentum, factor), dampening, nesterov=nesterov, nu=nu)
    return lr * factor * (gain / new_gain if new_gain else 1.0)


@formula(
    "coupled: weight_decay' = weight_decay (B' / B) effective lr / effective lr'; "
    "decoupled and corrected: times (B' / B) lr / lr'; independent and relative: times B' / B",
    valid=_NOISE,
    source="the decay timescale in epochs stays; Wang & Aitchison 2024 (arXiv 2405.13698)",
)
def weight_decay_for_batch(
    weight_decay: float, decay: str, factor: float, lr_factor: float, gain_factor: float | None = None
) -> float:
    """Return the weight decay for a batch `factor` times as large that forgets over as many epochs.

    `lr_factor` is the new lr over the old, `gain_factor` the new effective lr over the old, if that is not `factor`.

    Example:
        >>> weight_decay_for_batch(0.02, "independent", 2, 2)
        0.04
    """
    if decay == "coupled":
        return weight_decay if gain_factor is None else weight_decay * factor / gain_factor
    return weight_decay * factor / (1 if decay in {"independent", "relative"} else lr_factor)
