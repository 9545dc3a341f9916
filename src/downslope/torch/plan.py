"""The plan of a step: which tensors it moves, which of them the compiled kernel takes, and whether that still holds.

What lives here: every check that must hold before an address is handed to the kernel. Those that cannot change while
nothing is replaced are made once, when the plan is made; what may be replaced between two steps (gradients, storages,
velocities) is compared each time, by operations that stay in C. What does not: the arithmetic, and how tensors that
the kernel cannot take are stepped (`affine.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter, is_, itemgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from downslope.core.errors import SettingsError
from downslope.core.rule import StepScalars
from downslope.kernel import load_native, use_threads
from downslope.kernel.coefficients import FORMATS, NO_VELOCITY, ROUNDINGS, six_coefficients
from downslope.torch.memory import FORMAT_OF, is_plain

if TYPE_CHECKING:
    from downslope.torch.sgd import SGD

VELOCITY = "momentum_buffer"
"""The velocity's key in a parameter's state: torch.optim.SGD's own, so that states are exchanged as they are."""

Scalars = tuple[Sequence[StepScalars], Sequence[StepScalars]]
"""By group: the scalars of all parameters but those at their first gradient, and of these."""

_get_params, _get_grad = itemgetter("params"), attrgetter("grad")


@dataclass(frozen=True, slots=True)
class Entry:
    """One parameter that has a gradient, as a step sees it.

    Attributes:
        group: Its group's index.
        is_first: Whether this is its first gradient.
        param: The parameter.
        velocity: Its velocity, or None.
    """

    group: int
    is_first: bool
    param: Tensor
    velocity: Tensor | None


class StepPlan:
    """The tensors of an optimizer's steps, while nothing but values changes.

    Args:
        optimizer: The optimizer, velocities allocated.
        entries: Every parameter that has a gradient, in the order of the groups.

    Attributes:
        entries: As given.
        rest: Those that the kernel does not take.
    """

    def __init__(self, optimizer: SGD, entries: Sequence[Entry]) -> None:
        """Check every tensor, and hand those that the kernel can take to it."""
        self.entries = entries
        self._params = list(chain.from_iterable(map(_get_params, optimizer.param_groups)))
        self._choices = _choices(optimizer.param_groups)
        self._state, self._states = optimizer.state, list(optimizer.state.values())
        # a first gradient comes once: after that step its scalars are others
        self._lasts = not any(entry.is_first and entry.velocity is not None for entry in entries)

        native = None if optimizer.defaults["differentiable"] else load_native()
        inside: list[Entry] = []
        self.rest: list[Entry] = []
        for entry in entries:
            group = optimizer.param_groups[entry.group]
            taken = native is not None and kernel_is_wanted(group) and takes(entry)
            if group["fused"] and not taken and entry.param.numel():
                raise SettingsError(_not_taken(entry))
            (inside if taken else self.rest).append(entry)
        self._kinds = sorted({(entry.group, entry.is_first) for entry in inside})
        self._written = [t for entry in inside for t in (entry.param, entry.velocity) if t is not None]
        self._native = None
        if native is not None and inside:
            rows = [_row(entry, self._kinds.index((entry.group, entry.is_first)), self._state) for entry in inside]
            self._native = native.Plan(rows, Tensor.data_ptr, Tensor.is_contiguous, Tensor.stride, Tensor, VELOCITY)
            self._native.refresh()
        # parameters whose gradient must still be there, or still be missing, and that the kernel does not ask itself
        asked = {id(entry.param) for entry in inside}
        self._others = [param for param in self._params if id(param) not in asked]
        live = {id(entry.param) for entry in self.rest}
        self._others_live = [id(param) in live for param in self._others]
        self._rest_velocities = [(self._state[e.param], e.velocity) for e in self.rest if e.velocity is not None]
        self._coefficients: tuple[list[StepScalars], list[float]] = ([], [])

    def is_current(self, optimizer: SGD) -> bool:
        """Whether the plan still holds, and has taken up the gradients of this step."""
        groups = optimizer.param_groups
        params = list(chain.from_iterable(map(_get_params, groups)))
        states = self._state.values()
        return (
            self._lasts
            and optimizer.state is self._state
            and len(params) == len(self._params)
            and all(map(is_, params, self._params))
            and self._choices == _choices(groups)
            and len(states) == len(self._states)
            and all(map(is_, states, self._states))
            and [param.grad is not None for param in self._others] == self._others_live
            and all(state.get(VELOCITY) is velocity for state, velocity in self._rest_velocities)
            and all(_get_grad(entry.param).layout == torch.strided for entry in self.rest)
            and (self._native is None or self._native.refresh())
        )

    def grads(self) -> list[Tensor]:
        """Return the gradients of this step, in the order of `entries`."""
        return grads_of(entry.param for entry in self.entries)

    def sum_of_squares(self) -> tuple[float, bool] | None:
        """Return the gradients' sum of squares and whether all are finite; None if the kernel has not got them all."""
        if self._native is None or self.rest:
            return None
        use_threads()
        return self._native.sum_of_squares()

    def run_kernel(self, scalars: Scalars) -> None:
        """Step every tensor that the kernel takes.

        Args:
            scalars: Those of parameters with and at their first gradient, each by group.
        """
        if self._native is not None:
            use_threads()
            # What is written behind autograd's back must count as a change for it. Before the step rather than after,
            # since the tensors' headers are then still in the cache.
            torch._C._increment_version(self._written)
            self._native.step(self._coefficients_of(scalars), 0)

    def let_go(self) -> None:
        """Forget the gradients, whose memory would otherwise live until the next step."""
        if self._native is not None:
            self._native.let_go()

    def _coefficients_of(self, scalars: Scalars) -> list[float]:
        used = [scalars[is_first][group] for group, is_first in self._kinds]
        known, flat = self._coefficients
        if len(known) != len(used) or not all(map(is_, known, used)):
            flat = [number for own in used for number in six_coefficients(own)]
            self._coefficients = (used, flat)
        return flat


def grads_of(params: Iterable[Tensor]) -> list[Tensor]:
    """Return the gradients of parameters that all have one."""
    return list(map(_get_grad, params))


def kernel_is_wanted(group: Mapping[str, Any]) -> bool:
    """Return whether a group's steps go to the kernel: by default, unless `foreach` or `fused` chose another way."""
    return group["fused"] or (group["foreach"] is None and group["fused"] is None)


def takes(entry: Entry) -> bool:
    """Return whether the kernel can take a parameter, its gradient and its velocity: plain, and all of one layout."""
    param, velocity = entry.param, entry.velocity
    others: list[Any] = [param.grad] if velocity is None else [param.grad, velocity]
    return (
        is_plain(param)
        and all(type(tensor) is Tensor and is_plain(tensor) and tensor.shape == param.shape for tensor in others)
        and others[0].dtype == param.dtype
        and _has_kernel(param.dtype, None if velocity is None else velocity.dtype)
        and (
            all(tensor.is_contiguous() for tensor in (param, *others))
            or all(tensor.stride() == param.stride() for tensor in others)
        )
    )


def _has_kernel(dtype: torch.dtype, velocity: torch.dtype | None) -> bool:
    native: Any = load_native()
    code = NO_VELOCITY if velocity is None else FORMAT_OF[velocity]
    return native.has_kernel(FORMAT_OF[dtype], code, ROUNDINGS["nearest"])


def _row(entry: Entry, kind: int, state: Mapping[Tensor, Any]) -> tuple[Any, ...]:
    """Return what the kernel's plan is told of a tensor; see csrc/bindings.cpp."""
    param, velocity = entry.param, entry.velocity
    return (
        param,
        None if velocity is None else state[param],
        velocity,
        param.dtype,
        None if param.is_contiguous() else param.stride(),
        param.numel(),
        kind,
        FORMAT_OF[param.dtype],
        NO_VELOCITY if velocity is None else FORMAT_OF[velocity.dtype],
        ROUNDINGS["nearest"],
    )


def _not_taken(entry: Entry) -> str:
    param = entry.param
    return (
        f"`fused=True`: a parameter of shape {tuple(param.shape)} ({param.dtype}, on {param.device}) is not for the "
        f"kernel, which takes dense CPU tensors of {', '.join(FORMATS)}, their gradients in the same layout. "
        "Leave fused None, and such parameters go another way."
    )


def _choices(groups: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Return what in the groups decides who has a velocity and which way a step takes."""
    return [(g["momentum"] == 0, g["momentum_schedule"] is None, g["foreach"], g["fused"]) for g in groups]
