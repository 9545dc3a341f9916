"""An average of the weights that moves with every step, kept within the step, and read without a copy of the model.

    average <- average + (1 - ema) * (param - average)

in float32, of float64 parameters in float64: in 16 bits most updates would be lost. Each operation is rounded by
itself, so that the kernels (csrc/kernels.cpp, triton_kernels.py) and torch's operations here give the same bits on
every processor. torch's own AveragedModel rounds product and sum at once where a processor can, and not elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from downslope.core.averages import AT_AVERAGE, AT_AVERAGE_ALREADY, NONE_IS_KEPT, checked_ema
from downslope.core.errors import SettingsError, StateError
from downslope.torch.tensors import local_part

AVERAGE = "average"
"""Key of a parameter's state: the average of its values after each step."""
READING = "weights_at_average"
"""Key in an optimizer's `shared` while its parameters hold their averages."""


def average_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the format in which a parameter of a format is averaged."""
    return torch.promote_types(dtype, torch.float32)


def weight_of(group: Mapping[str, Any], index: int) -> float | None:
    """Return the weight of a group's new parameters in their averages; None where none is kept.

    Raises:
        SettingsError: If something wrote to the group what is no decay.
    """
    if group.get("ema") is None:
        return None
    try:
        ema = checked_ema(group["ema"])
    except SettingsError as error:
        raise SettingsError(f"param group {index}: {error}") from None
    return None if ema is None else 1.0 - ema


def average_of(param: Tensor, group: Mapping[str, Any], state: Mapping[Tensor, Any]) -> Tensor | None:
    """Return the average that a step moves; None where none is kept, or there is none yet."""
    return state[param].get(AVERAGE) if group.get("ema") is not None and param in state else None


def outside_of_kernel(groups: Sequence[Mapping[str, Any]], within: Container[int]) -> bool:
    """Whether a parameter has or gets an average and is none of those, by their ids, that the kernel averages."""
    return any(group.get("ema") is not None and any(id(p) not in within for p in group["params"]) for group in groups)


@torch.no_grad()
def follow(
    groups: Sequence[Mapping[str, Any]],
    state: MutableMapping[Tensor, Any],
    within: Container[int] = frozenset(),
    *,
    moved: Mapping[int, Tensor] | None = None,
    stop: Tensor | None = None,
) -> None:
    """Move the averages after a step by torch's operations, or begin them with the parameters as they are.

    Args:
        groups: The optimizer's.
        state: The optimizer's.
        within: Ids of parameters whose averages the kernel has moved.
        moved: What was stepped in the place of a parameter, by the parameter's id.
        stop: A number on a device, above 0 where the step moved nothing, and so no average either.
    """
    by_kind: defaultdict[tuple[Any, ...], list[tuple[Tensor, Tensor]]] = defaultdict(list)
    new: list[tuple[Tensor, Tensor]] = []
    for param, group, weight in _outside(groups, within):
        value = param if moved is None else moved.get(id(param), param)
        if (average := average_of(param, group, state)) is not None:
            by_kind[weight, average.dtype, average.device].append((value, average))
        elif param.requires_grad or param.grad is not None:
            new.append((param, value))
    for (weight, dtype, device), pairs in by_kind.items():
        share = weight if stop is None else (stop <= 0).to(dtype) * weight
        # on a device a few launches for all; on the CPU one tensor after the other, which lies in the cache meanwhile
        for some in [[pair] for pair in pairs] if device.type == "cpu" else [pairs]:
            values = [local_part(value).detach().to(dtype) for value, _ in some]
            averages = [local_part(average) for _, average in some]
            differences = torch._foreach_sub(values, averages)
            torch._foreach_mul_(differences, share)
            torch._foreach_add_(averages, differences)
    if new and (stop is None or not bool(stop > 0)):  # waits for the device, at a first step alone
        for param, value in new:
            state[param][AVERAGE] = begun(value)


def _outside(
    groups: Sequence[Mapping[str, Any]], within: Container[int]
) -> Iterator[tuple[Tensor, Mapping[str, Any], float]]:
    """Yield every parameter once of which an average is kept, and not by the kernel, its group and its weight."""
    done: set[int] = set()
    for index, group in enumerate(groups):
        if (weight := weight_of(group, index)) is not None:
            for param in group["params"]:
                if id(param) not in within and id(param) not in done:
                    done.add(id(param))
                    yield param, group, weight


def begun(param: Tensor) -> Tensor:
    """Return the average of a single value."""
    with torch.inference_mode(False), torch.no_grad():  # noqa: FBT003 -- made in it, it could not be written to later
        return torch.empty_like(param, dtype=average_dtype(param.dtype), requires_grad=False).copy_(param)


def misfit_of_average(average: Any, param: Tensor, group: Mapping[str, Any]) -> str | None:
    """Return why a saved average cannot be this parameter's, or None."""
    if not isinstance(average, Tensor):
        return f"must be a tensor; got {type(average).__name__}"
    if average.shape != param.shape:
        return f"has shape {tuple(average.shape)}, the parameter {tuple(param.shape)}"
    wide = average_dtype(param.dtype)
    if torch.promote_types(average.dtype, wide) != wide or average.is_complex() != param.is_complex():
        return f"is {average.dtype}, and is kept in {wide} here"
    if not (average.is_floating_point() or average.is_complex()):
        return f"is {average.dtype}, the parameter {param.dtype}"
    return None if group.get("ema") is not None else "has no place here, where none is kept (ema=None)"


class Averaging(Optimizer):
    """What `SGD` has for reading the averages."""

    shared: dict[str, Any]

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Have the parameters hold their averages within this context, and afterwards what they held, bit for bit.

        With ``ema=0.999`` each step moves ``average + (1 - ema) * (weight - average)``, in float32 (float64 of float64
        weights), beginning with the weights after the first step. The compiled kernel and Triton's do it within
        their pass; where torch's operations step, three more of them do. A step that is skipped moves no average; one
        in which a weight has no gradient does, but frozen weights have none until they are learned. Of 16-bit weights
        it is the average of what they are, what compensated rounding keeps beside them left out.

        Within the context buffers and weights without an average stay as they are, and no step is taken.

        Raises:
            StateError: If no average is kept, a step within the backward pass is half done, or it is such a context
                already.

        Example:
            >>> import torch
            >>> from downslope.torch import SGD
            >>> weight = torch.nn.Parameter(torch.zeros(1))
            >>> optimizer = SGD([weight], lr=1.0, ema=0.5)
            >>> for _ in range(3):
            ...     weight.grad = torch.full((1,), -1.0)
            ...     optimizer.step()
            >>> with optimizer.averaged():  # 1, then half the way to 2, then half the way to 3
            ...     print(weight.item())
            2.25
            >>> weight.item()
            3.0
        """
        self._check_has_averages("use the average")
        if self.shared.get(READING):
            raise StateError(AT_AVERAGE_ALREADY)
        pairs = list(self.averages())
        params, averages = [param for param, _ in pairs], [average for _, average in pairs]
        own = [param.detach().clone() for param in params]
        for group in self.param_groups:  # a new object, so that no plan is repeated unseen, of a wrapper's copy neither
            if (ema := checked_ema(group.get("ema"))) is not None:
                group["ema"] = ema * 1.0
        self.shared[READING] = True
        try:
            _copy(params, averages)
            yield
        finally:
            _copy(params, own)
            self.shared.pop(READING)

    @torch.no_grad()
    def averaged_state(self, model: nn.Module) -> dict[str, Any]:
        """Return a model's state_dict with the averages in the place of its weights, each in its parameter's format.

        All else, such as buffers and parameters without an average, is a copy of the model's own.

        Args:
            model: The model whose parameters these are.

        Raises:
            StateError: If no average is kept, or none of the model's parameters is this optimizer's.

        Example:
            >>> import copy, torch
            >>> from downslope.torch import SGD
            >>> model = torch.nn.Linear(2, 1)
            >>> optimizer = SGD(model.parameters(), lr=0.1, ema=0.99)
            >>> model(torch.ones(2)).sum().backward()
            >>> optimizer.step()
            >>> other = copy.deepcopy(model)
            >>> other.load_state_dict(optimizer.averaged_state(model))
            <All keys matched successfully>
        """
        self._check_has_averages("read the average")
        ours = {id(param) for group in self.param_groups for param in group["params"]}
        if not any(id(param) in ours for param in model.parameters()):
            raise StateError(
                "none of the model's parameters is this optimizer's. Give the model that it steps, and load what is "
                "returned into another."
            )
        averages = {id(param): average for param, average in self.averages()}
        return {
            name: own.detach().clone().copy_(averages.get(id(own), own)) if isinstance(own, Tensor) else own
            for name, own in model.state_dict(keep_vars=True).items()
        }

    def _check_has_averages(self, what: str) -> None:
        if all(group.get("ema") is None for group in self.param_groups):
            raise StateError(f"cannot {what}: {NONE_IS_KEPT}.")
        if (within := getattr(self, "_in_backward", None)) is not None:
            within.check_closed(what)

    def averages(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (parameter, its average) of all that have one: the tensors that the next step moves, not copies."""
        for group in self.param_groups:
            for param in dict.fromkeys(group["params"]):
                if (average := average_of(param, group, self.state)) is not None:
                    yield param, average


@torch.no_grad()
def _copy(into: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for tensor, value in zip(into, values, strict=True):
        tensor.copy_(value)


def check_not_at_average(shared: Mapping[str, Any]) -> None:
    """Raise `StateError` if a step is to be taken while parameters hold their averages."""
    if shared.get(READING):
        raise StateError(AT_AVERAGE)
