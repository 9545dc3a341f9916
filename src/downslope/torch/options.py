"""The options of a whole optimizer, which no group has of its own: how a step is done, and the checks of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from numbers import Real
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from downslope.core.checks import is_integer, short_repr
from downslope.core.errors import ImplementationError, NonFiniteGradientError, SettingsError, did_you_mean, one_of
from downslope.core.shown import shown
from downslope.core.synonyms import IN_STEPS, refuse_unknown
from downslope.kernel import backend, load_native
from downslope.torch.blocks import INT8, is_worth_codes

_INSTEAD = {
    "clipnorm": "Keras's is of each parameter by itself; `clip_norm` is of all together, as Keras's `global_clipnorm`.",
    "steps_per_epoch": IN_STEPS,
}
"""What is said of arguments that other optimizers have, and that are another thing here, or none."""
OnNonfinite = Literal["raise", "skip", "ignore"]
Rounding = Literal["nearest", "stochastic", "compensated"]


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How the steps of an optimizer are done, whatever its groups say; the arguments of `SGD` of these names.

    Attributes:
        asks: Whether a step needs the norm of all gradients, or to know whether they are finite.
        largest_norm: The largest norm of gradients that are not clipped.
    """

    clip_norm: float | None = None
    on_nonfinite: OnNonfinite = "ignore"
    velocity_dtype: torch.dtype | Literal["int8"] | None = None
    rounding_seed: int = 0
    differentiable: bool = False
    asks: bool = field(init=False)
    largest_norm: float = field(init=False)

    def __post_init__(self) -> None:
        """Check every option, and work out what steps would have to ask.

        Raises:
            SettingsError: If one is not allowed.
        """
        clip_norm, dtype, seed = self.clip_norm, self.velocity_dtype, self.rounding_seed
        if clip_norm is not None and not _is_above_0(clip_norm):
            raise SettingsError(f"`clip_norm` must be a finite number above 0, or None; got {short_repr(clip_norm)}.")
        _check_word("on_nonfinite", self.on_nonfinite, get_args(OnNonfinite))
        if dtype is torch.int8:
            object.__setattr__(self, "velocity_dtype", INT8)
        elif dtype not in (None, INT8) and not (
            isinstance(dtype, torch.dtype) and dtype.is_floating_point and dtype.itemsize > 1
        ):
            raise SettingsError(
                '`velocity_dtype` must be None, "int8", or a floating format such as torch.float32; got '
                f"{shown(repr(dtype))}."
            )
        if self.differentiable and self.velocity_dtype == INT8:
            raise SettingsError('`velocity_dtype="int8"` and `differentiable=True`: autograd cannot see through codes.')
        if not is_integer(seed) or not 0 <= seed < 2**64:
            raise SettingsError(f"`rounding_seed` must be an integer from 0 to 2**64 - 1; got {short_repr(seed)}.")
        object.__setattr__(self, "rounding_seed", int(seed))
        object.__setattr__(self, "clip_norm", None if clip_norm is None else float(clip_norm))
        object.__setattr__(self, "asks", clip_norm is not None or self.on_nonfinite != "ignore")
        object.__setattr__(self, "largest_norm", inf if clip_norm is None else float(clip_norm))


class Option:
    """One of an optimizer's `StepOptions` as an attribute that stays one, whoever wraps the optimizer.

    Trainers wrap optimizers in a class made on the spot, which inherits from the optimizer's. Fabric copies the
    ``__dict__`` once, so that a plain attribute is what it was then. Lightning looks up by ``__getattr__`` what the
    class does not have, so that a default on the class hides the optimizer's own value. What is to be seen and set
    through both lives in one table, ``shared``, which every wrapper finds.

    Example:
        >>> class Optimizer:
        ...     clip_norm = Option()
        >>> optimizer = Optimizer()
        >>> optimizer.shared = {"options": StepOptions()}
        >>> optimizer.clip_norm = 1
        >>> optimizer.clip_norm, optimizer.shared["options"].asks
        (1.0, True)
    """

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the option's name."""
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the value."""
        return self if instance is None else getattr(instance.shared["options"], self._name)

    def __set__(self, instance: Any, value: Any) -> None:
        """Check the value and keep it."""
        instance.shared["options"] = replace(instance.shared["options"], **{self._name: value})


def velocity_dtype_of(param: Tensor, options: StepOptions) -> torch.dtype:
    """Return the format that a new velocity of this parameter gets where it is no codes."""
    dtype = options.velocity_dtype
    if dtype == INT8:
        dtype = torch.float32
    return param.dtype if dtype is None else dtype.to_complex() if param.is_complex() else dtype


def has_codes(param: Tensor, options: StepOptions) -> bool:
    """Return whether a new velocity of this parameter is codes."""
    return options.velocity_dtype == INT8 and is_worth_codes(param)


def rounding_of(param: Tensor, rounding: Rounding) -> Rounding:
    """Return how a parameter is rounded where its group asks for `rounding`: only bfloat16 needs more than nearest."""
    return rounding if param.dtype == torch.bfloat16 else "nearest"


def refuse_others(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise if an argument is not one of an optimizer's; what it may have meant elsewhere is said."""
    refuse_unknown(given, known, where, _INSTEAD)


def check_implementation(*, foreach: Any, differentiable: Any, fused: Any, capturable: Any) -> None:
    """Raise `SettingsError` if a choice of implementation is none, or (`ImplementationError`) not to be had here."""
    for name, value in (("foreach", foreach), ("fused", fused)):
        if isinstance(value, Tensor) or value not in (None, True, False):
            raise SettingsError(f"`{name}` must be True, False or None; got {shown(repr(value))}.")
    if fused and load_native() is None:
        raise ImplementationError(f"`fused=True` needs the compiled kernel; here it is: {backend()}. Leave fused None.")
    if fused and (foreach or differentiable):
        raise ImplementationError(
            "`fused=True` and `foreach=True` or `differentiable=True` are different ways; choose one."
        )
    if not isinstance(capturable, bool):
        raise SettingsError(f"`capturable` must be True or False; got {capturable!r}.")
    if capturable and (foreach is not None or fused is False or differentiable):
        raise ImplementationError(
            "`capturable=True` is a step by one kernel for all parameters, which `foreach`, `fused=False` and "
            "`differentiable=True` are not. Leave foreach and fused None and differentiable False."
        )
    if not isinstance(differentiable, bool):
        raise SettingsError(f"`differentiable` must be True or False; got {differentiable!r}.")
    if differentiable and foreach:
        raise ImplementationError(
            "`foreach=True` writes in place, which `differentiable=True` cannot. Leave foreach None."
        )


class LossScale:
    """What a loss was multiplied by, on a device: a step then need not wait for it, nor for whether it moved anything.

    Attributes:
        value: The number, 0-d.
        found: Once a step is taken on the device, 1 there if a gradient was not finite and so nothing moved, else 0.
    """

    __slots__ = ("found", "value")

    def __init__(self, value: Tensor) -> None:
        """Take the number."""
        self.value, self.found = value, None
        self.found: Tensor | None

    def on_host(self) -> float:
        """Return the factor on the gradients, which waits for the device.

        Raises:
            NonFiniteGradientError: If the scale has become 0.
        """
        scale = self.value.item()
        if scale == 0:
            raise NonFiniteGradientError(
                "the loss scale has become 0: it was halved for step after step whose gradients were not finite. "
                "Nothing was moved. Look for what makes the unscaled loss inf or NaN, and lower lr."
            )
        return checked_grad_scale(1.0 / scale)


def checked_grad_scale(grad_scale: Any) -> Any:
    """Return `grad_scale` if it is a finite number above 0, or a `LossScale`, else raise `SettingsError`."""
    if type(grad_scale) is float and 0 < grad_scale < inf:
        return grad_scale
    if isinstance(grad_scale, LossScale):
        return grad_scale
    if not _is_above_0(grad_scale):
        raise SettingsError(
            f"`grad_scale` must be a finite number above 0; got {grad_scale!r}. It multiplies every gradient: give "
            "1 / scale for a loss that was multiplied by scale, 1 / n for the sum of n batches' mean gradients."
        )
    return float(grad_scale)


def check_step_in_backward(step_in_backward: Any, options: StepOptions, *, capturable: bool = False) -> bool:
    """Return `step_in_backward` if it is a bool that goes with the other choices, else raise `SettingsError`."""
    if not isinstance(step_in_backward, bool):
        raise SettingsError(f"`step_in_backward` must be True or False; got {step_in_backward!r}.")
    if not step_in_backward:
        return False
    if capturable:
        raise SettingsError(
            "`step_in_backward=True` and `capturable=True` exclude each other: the device counts steps of all "
            "parameters at once, and within the backward pass each has its own. Leave one of the two out."
        )
    if options.clip_norm is not None:
        raise SettingsError(
            f"`step_in_backward=True` and `clip_norm={options.clip_norm!r}` exclude each other: the norm is that of "
            "all gradients, and the first parameter moves before the last gradient exists. Leave one of the two out."
        )
    if options.on_nonfinite != "ignore":
        raise SettingsError(
            f'`step_in_backward=True` and `on_nonfinite="{options.on_nonfinite}"` exclude each other: whether nothing '
            "is to move depends on all gradients, and the first parameter moves before the last gradient exists. "
            'Leave `on_nonfinite` at "ignore", or `step_in_backward` False.'
        )
    if options.differentiable:
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


def checked_rounding(rounding: Any, *, differentiable: bool = False) -> Rounding:
    """Return `rounding` if it is one of its three words, else raise `SettingsError`."""
    _check_word("rounding", rounding, get_args(Rounding))
    if differentiable and rounding != "nearest":
        raise SettingsError(f"`rounding={rounding!r}` and `differentiable=True`: autograd cannot see such a rounding.")
    return rounding


def check_rounding_has_a_use(groups: Iterable[Mapping[str, Any]]) -> None:
    """Raise `SettingsError` if a rounding was chosen, but not one parameter is bfloat16."""
    chosen = [group for group in groups if group["rounding"] != "nearest"]
    if chosen and not any(param.dtype == torch.bfloat16 for group in chosen for param in group["params"]):
        raise SettingsError(
            f"`rounding={chosen[0]['rounding']!r}` is for bfloat16 parameters, and there are none among those it is "
            'meant for. Convert the model first (model.bfloat16()), or leave rounding "nearest".'
        )


def _check_word(name: str, value: Any, words: Sequence[str]) -> None:
    if value not in words:
        raise SettingsError(f"`{name}` must be {one_of(words)}; got {value!r}.{did_you_mean(str(value), words)}")


def _is_above_0(value: Any) -> bool:
    """Whether a value is a finite number above 0."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < inf
    except OverflowError:  # an integer beyond all floats
        return False
