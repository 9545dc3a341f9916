"""Checks of the optimizer's own arguments: those that are no hyperparameters.

What lives here: how a step is to be done (multi-tensor, differentiable, clipped, ...). What does not: hyperparameters,
whose checks are the core's (`Settings`).
"""

from __future__ import annotations

from math import inf
from typing import Any, Literal, get_args

import torch

from downslope.core.errors import ImplementationError, SettingsError, did_you_mean, one_of
from downslope.kernel import backend, load_native

OnNonfinite = Literal["raise", "skip", "ignore"]


def check_implementation(*, foreach: Any, differentiable: Any, fused: Any, capturable: Any) -> None:
    """Raise `SettingsError` if a choice of implementation is none, or (`ImplementationError`) not to be had here."""
    for name, value in (("foreach", foreach), ("fused", fused)):
        if value not in (None, True, False):
            raise SettingsError(f"`{name}` must be True, False or None; got {value!r}.")
    if fused and load_native() is None:
        raise ImplementationError(f"`fused=True` needs the compiled kernel; here it is: {backend()}. Leave fused None.")
    if fused and (foreach or differentiable):
        raise ImplementationError(
            "`fused=True` and `foreach=True` or `differentiable=True` are different ways; choose one."
        )
    if capturable:
        raise ImplementationError(
            "`capturable=True` is for CUDA graphs, into which this step cannot be captured: it reads lr and counts "
            "steps on the host. Leave it False."
        )
    if not isinstance(differentiable, bool):
        raise SettingsError(f"`differentiable` must be True or False; got {differentiable!r}.")
    if differentiable and foreach:
        raise ImplementationError(
            "`foreach=True` writes in place, which `differentiable=True` cannot. Leave foreach None."
        )


def checked_clip_norm(clip_norm: Any) -> float | None:
    """Return `clip_norm` if it is None or a finite number above 0, else raise `SettingsError`."""
    if clip_norm is None:
        return None
    if isinstance(clip_norm, bool) or not isinstance(clip_norm, int | float) or not 0 < clip_norm < float("inf"):
        raise SettingsError(f"`clip_norm` must be a finite number above 0, or None; got {clip_norm!r}.")
    return float(clip_norm)


def checked_grad_scale(grad_scale: Any) -> float:
    """Return `grad_scale` if it is a finite number above 0, else raise `SettingsError`."""
    if type(grad_scale) is float and 0 < grad_scale < inf:
        return grad_scale
    if isinstance(grad_scale, bool) or not isinstance(grad_scale, int | float) or not 0 < grad_scale < inf:
        raise SettingsError(
            f"`grad_scale` must be a finite number above 0; got {grad_scale!r}. It multiplies every gradient: give "
            "1 / scale for a loss that was multiplied by scale, 1 / n for the sum of n batches' mean gradients."
        )
    return float(grad_scale)


def checked_on_nonfinite(on_nonfinite: Any) -> OnNonfinite:
    """Return `on_nonfinite` if it is one of its three words, else raise `SettingsError`."""
    words = get_args(OnNonfinite)
    if on_nonfinite not in words:
        meant = did_you_mean(str(on_nonfinite), words)
        raise SettingsError(f"`on_nonfinite` must be {one_of(words)}; got {on_nonfinite!r}.{meant}")
    return on_nonfinite


def checked_velocity_dtype(dtype: Any) -> torch.dtype | None:
    """Return `dtype` if it is None or a floating format of at least 16 bits, else raise `SettingsError`."""
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point and dtype.itemsize > 1):
        raise SettingsError(f"`velocity_dtype` must be None or a floating format such as torch.float32; got {dtype!r}.")
    return dtype


def check_step_in_backward(step_in_backward: Any, *, clip_norm: Any, on_nonfinite: str, differentiable: bool) -> bool:
    """Return `step_in_backward` if it is a bool that goes with the other choices, else raise `SettingsError`."""
    if not isinstance(step_in_backward, bool):
        raise SettingsError(f"`step_in_backward` must be True or False; got {step_in_backward!r}.")
    if not step_in_backward:
        return False
    if clip_norm is not None:
        raise SettingsError(
            f"`step_in_backward=True` and `clip_norm={clip_norm!r}` exclude each other: the norm is that of all "
            "gradients, and the first parameter moves before the last gradient exists. Leave one of the two out."
        )
    if on_nonfinite != "ignore":
        raise SettingsError(
            f'`step_in_backward=True` and `on_nonfinite="{on_nonfinite}"` exclude each other: whether nothing is to '
            "move depends on all gradients, and the first parameter moves before the last gradient exists. "
            'Leave `on_nonfinite` at "ignore", or `step_in_backward` False.'
        )
    if differentiable:
        raise SettingsError(
            "`step_in_backward=True` and `differentiable=True` exclude each other: no graph is kept of a step within "
            "the backward pass. Leave one of the two out."
        )
    return True


def check_not_scaled_late(grad_scale: float) -> None:
    """Raise `SettingsError` if a step within the backward pass is to scale gradients that are gone already."""
    if grad_scale != 1.0:
        raise SettingsError(
            f"`grad_scale={grad_scale!r}` and `step_in_backward=True` exclude each other: the backward pass has "
            "already stepped the parameters. Multiply the loss by it instead, before backward()."
        )
