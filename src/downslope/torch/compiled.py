"""A step inside a graph of ``torch.compile``: one operation that the compiler sees through no further.

It finds its optimizer by a number and takes the step when the graph runs, so that schedules, counts and checks are
those of an ordinary step. While a graph is traced its tensors have no memory, and the operation then does nothing.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from downslope.core.errors import StateError
from downslope.torch import group_values
from downslope.torch.average import check_not_at_average, follow
from downslope.torch.gradients import gradient_scale
from downslope.torch.step import (
    make_entries,
    mark_shared_memory,
    multiplied,
    scaled,
    step_by_kernel,
)
from downslope.torch.tensor_factors import clipped_by_unit, with_factors
from downslope.torch.update import apply

if TYPE_CHECKING:
    from downslope.torch.sgd import SGD

_optimizers: weakref.WeakValueDictionary[int, SGD] = weakref.WeakValueDictionary()
_numbers = itertools.count()


def handle_of(optimizer: SGD) -> int:
    """Return a new number by which the operation finds an optimizer, as long as that lives."""
    number = next(_numbers)
    _optimizers[number] = optimizer
    return number


@torch.library.custom_op("downslope::sgd_step", mutates_args={"params"})
def _sgd_step(handle: int, positions: Sequence[int], params: Sequence[Tensor], grads: Sequence[Tensor]) -> None:
    """Take a step of the optimizer called `handle` with these gradients, on these parameters."""
    optimizer = _optimizers.get(handle)
    if optimizer is None:
        raise StateError("this compiled function steps an optimizer that is gone. Keep it alive, or compile anew.")
    step_tensors(optimizer, positions, params, grads)


@_sgd_step.register_fake
def _(handle: int, positions: Sequence[int], params: Sequence[Tensor], grads: Sequence[Tensor]) -> None:
    """Do nothing: a traced step returns nothing, and its tensors have no memory."""


def param_lists(optimizer: SGD) -> list[list[Tensor]]:
    """Return the lists of parameters, by group: all that a traced step looks at.

    The compiler guards what it looks at, and would compile anew with every count and every lr in the groups.
    """
    return [group["params"] for group in optimizer.param_groups]


def step_in_graph(handle: int, lists: Sequence[Sequence[Tensor]]) -> None:
    """Put one step of the optimizer called `handle`, with these parameters by group, into the graph that is traced."""
    positions: list[int] = []
    params: list[Tensor] = []
    grads: list[Tensor] = []
    position = 0
    for group in lists:
        for param in group:
            if param.grad is not None:
                positions.append(position)
                # detached rather than under no_grad, which would stay on if the operation raised in the graph
                params.append(param.detach())
                grads.append(param.grad.detach())
            position += 1
    _sgd_step(handle, positions, params, grads)


def step_tensors(optimizer: SGD, positions: Sequence[int], params: Sequence[Tensor], grads: Sequence[Tensor]) -> None:
    """Take one step on tensors that are given, whatever gradients the parameters hold.

    Args:
        optimizer: The optimizer, whose settings, state and counts are those of the step.
        positions: For each tensor, the index of its parameter among all of the optimizer's.
        params: What to step in the place of these parameters, of their shapes and formats; written to.
        grads: Their gradients.

    Raises:
        NonFiniteGradientError: If a gradient holds inf or NaN and the optimizer is to raise.
        SettingsError: If something wrote a value to a group that is not allowed.
        StateError: If the optimizer's parameters are no longer those that were traced.
    """
    check_not_at_average(optimizer.shared)
    groups, state, options = optimizer.param_groups, optimizer.state, optimizer.shared["options"]
    homes = [(i, j, p) for i, group in enumerate(groups) for j, p in enumerate(group["params"])]
    if any(p >= len(homes) or homes[p][2].shape != param.shape for p, param in zip(positions, params, strict=True)):
        raise StateError("the optimizer's parameters have changed since its step was compiled. Compile it anew.")
    scalars = optimizer.step_scalars()
    factor: float | None = 1.0
    if options.asks:
        found: dict[int, tuple[str, Tensor]] = {}  # by parameter, of which one may be given twice
        for (i, j, param), grad in zip(map(homes.__getitem__, positions), grads, strict=True):
            found.setdefault(id(param), (group_values.parameter_name(groups[i], i, j), grad))
        names, once = zip(*found.values(), strict=True) if found else ((), ())
        factor = gradient_scale(groups, optimizer.shared, once, names=names)
    if factor is None:
        optimizer.count_skipped_step()
        return
    own = [(homes[position][0], homes[position][2], position) for position in positions]
    entries = make_entries(groups, state, options, own, optimizer.reserved)
    entries = [replace(entry, param=param) for entry, param in zip(entries, params, strict=True)]
    entries = mark_shared_memory(groups, entries, grads)
    grads, factor = multiplied(grads, factor)
    both, grads, factors = with_factors(groups, entries, grads, scaled(groups, scalars, factor))
    rest = step_by_kernel(groups, options, entries, grads, factors, both)
    in_kernel = set(range(len(entries))) - set(rest)
    buffers = [tensor for i in in_kernel for tensor in entries[i].written()[1:]]
    torch._C._increment_version(buffers)  # the parameters' are the operation's own business
    of_rest = [clipped_by_unit(grads[i], factors[i]) for i in rest]
    apply(groups, state, options, [entries[i] for i in rest], of_rest, both)
    moved = {id(homes[position][2]): param for position, param in zip(positions, params, strict=True)}
    within = {id(homes[positions[i]][2]) for i in in_kernel if entries[i].average is not None}
    follow(groups, state, within, moved=moved)
    optimizer.count_step()
