"""Factors on one tensor's gradient, from its norm and its parameter's: LARS, LARC and adaptive clipping.

They are scalars of the same rule, so they only change the scalars of that tensor's step. Which tensors have them is
said by groups.

References:
    You, Gitman & Ginsburg 2017, algorithm 1 (LARS: the trust ratio is of |grad| + weight_decay |param|); Apex's LARC,
    which lets the ratio only lower lr; Brock, De, Smith & Simonyan 2021, eq. 3 (adaptive clipping), for each tensor as
    a whole, or as there for each unit: a slice by one output, which is a gradient changed before the rest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from downslope.core.rule import StepScalars

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

SMALLEST_NORM = 1e-3
"""Norm that a parameter counts with at least in adaptive clipping, so that one that begins at 0 can move."""


class TensorFactors(NamedTuple):
    """What is chosen of them; the fields of `Settings` of these names."""

    trust_coefficient: float | None = None
    trust_clip: bool = False
    adaptive_clip: float | None = None
    adaptive_clip_by: str | None = None

    @property
    def by_unit(self) -> bool:
        """Whether tensors of two dimensions and more are clipped unit by unit, before `of` is asked."""
        return self.adaptive_clip is not None and self.adaptive_clip_by == "unit"

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
    return TensorFactors(
        settings.trust_coefficient, bool(settings.trust_clip), settings.adaptive_clip, settings.adaptive_clip_by
    )


def clipped_by_unit(
    grad: np.ndarray[Any, Any],
    param: np.ndarray[Any, Any],
    share: float,
    norms_of: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]] | None = None,
) -> np.ndarray[Any, Any]:
    """Return a gradient of two axes or more with each slice along the first axis scaled down, in its own format.

    Args:
        grad: The gradient.
        param: Its parameter.
        share: Largest norm of a slice of the gradient, as a share of that of the parameter's.
        norms_of: What returns the norms of slices; None for `unit_norms`.

    Example:
        >>> import numpy as np
        >>> clipped_by_unit(np.array([[3.0, 4.0], [0.3, 0.4]]), np.array([[1.0, 0.0], [0.0, 1.0]]), 0.5)
        array([[0.3, 0.4],
               [0.3, 0.4]])
    """
    import numpy as np

    norm, size = ((norms_of or unit_norms)(array) for array in (grad, param))
    most = share * np.maximum(size, SMALLEST_NORM)
    is_larger = norm > most
    factors = np.where(is_larger, most / np.where(is_larger, norm, 1.0), 1.0).reshape(-1, *(1 for _ in grad.shape[1:]))
    wide = np.result_type(grad, np.float32)
    with np.errstate(all="ignore"):
        clipped = grad.astype(wide) * factors.astype(wide)
        formed = np.empty_like(grad, subok=False)
        formed[...] = clipped
    return formed


def unit_norms(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the norm of each slice along the first axis, in float64."""
    import numpy as np

    axes = tuple(range(1, array.ndim))
    wide = np.abs(array).astype(np.float64)
    with np.errstate(all="ignore"):
        largest = wide.max(axes, keepdims=True, initial=0.0)
        largest = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)  # else squares might leave float64
        return (np.sqrt(np.square(wide / largest).sum(axes, keepdims=True)) * largest).reshape(-1)
