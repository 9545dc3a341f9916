"""Factors on one tensor's gradient, from its norm and its parameter's: LARS, LARC and adaptive clipping.

They are scalars of the same rule, so they only change the scalars of that tensor's step. Which tensors have them is
said by groups.

References:
    You, Gitman & Ginsburg 2017, algorithm 1 (LARS: the trust ratio is of |grad| + weight_decay |param|); Apex's LARC,
    which lets the ratio only lower lr; Brock, De, Smith & Simonyan 2021, eq. 3 (adaptive clipping), here for each
    tensor as a whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from downslope.core.rule import StepScalars

SMALLEST_NORM = 1e-3
"""Norm that a parameter counts with at least in adaptive clipping, so that one that begins at 0 can move."""


class TensorFactors(NamedTuple):
    """What is chosen of them; the fields of `Settings` of these names."""

    trust_coefficient: float | None = None
    trust_clip: bool = False
    adaptive_clip: float | None = None

    @property
    def given(self) -> bool:
        """Whether there are any."""
        return self.trust_coefficient is not None or self.adaptive_clip is not None

    def of(self, scalars: StepScalars, grad_norm: float, param_norm: float) -> StepScalars:
        """Return the scalars of one tensor's step.

        Args:
            scalars: Those of its group.
            grad_norm: Norm of its gradient, as it is before `grad_scale`.
            param_norm: Norm of the parameter.

        Example:
            >>> from downslope import Settings
            >>> scalars = Settings(lr=0.1, weight_decay=0.5).at(0)
            >>> TensorFactors(trust_coefficient=0.25).of(scalars, grad_norm=1.0, param_norm=2.0).grad_scale
            0.25
        """
        norm, clipped, ratio = abs(scalars.grad_scale) * grad_norm, 1.0, 1.0
        if self.adaptive_clip is not None:
            most = self.adaptive_clip * max(param_norm, SMALLEST_NORM)
            if norm > most:
                norm, clipped = most, most / norm
        if self.trust_coefficient is not None and norm > 0 and param_norm > 0:
            ratio = self.trust_coefficient * param_norm / (norm + scalars.coupled_decay * param_norm)
            if self.trust_clip:
                ratio = min(ratio / scalars.lr, 1.0) if scalars.lr else 1.0
        if clipped == ratio == 1.0:
            return scalars
        return replace(
            scalars,
            grad_scale=scalars.grad_scale * (clipped * ratio),
            coupled_decay=scalars.coupled_decay * ratio,
        )


NAMES = TensorFactors._fields
NONE = TensorFactors()


def factors_of(settings: Any) -> TensorFactors:
    """Return what settings choose of them; `NONE` where they choose none."""
    return TensorFactors(settings.trust_coefficient, bool(settings.trust_clip), settings.adaptive_clip)
