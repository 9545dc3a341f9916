"""The hooks that step each parameter as soon as its gradient is there, and the protocol of such a step.

What lives here: the hooks, and which of a step's parameters have moved. What does not: the arithmetic. A parameter is
stepped by the optimizer's own `_step`, run on that parameter alone with the scalars of the whole step, and so by the
same kernel, or the same of torch's operations, as in a step after the backward pass.

A step opens at the first gradient of a backward pass outside `accumulate`, and closes at ``step()``. While it is open
no parameter may move twice.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from itertools import chain
from operator import is_, itemgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from downslope.core.errors import DownslopeError, SettingsError, StateError
from downslope.core.rule import StepScalars
from downslope.torch import groups as keys
from downslope.torch.buffers import entries_of, reserve_velocities
from downslope.torch.clipping_by_others import watch_clipping
from downslope.torch.options import check_step_in_backward
from downslope.torch.replicas import refuse_replicas
from downslope.torch.step import Entry, StepPlan
from downslope.torch.step_lock import new_lock
from downslope.torch.tensors import repeated

if TYPE_CHECKING:
    from downslope.torch.sgd import SGD

_get_params = itemgetter("params")


class StepInBackward:
    """The hooks of one optimizer, and how far its present step has come.

    Nothing here keeps the optimizer alive, nor do the hooks keep this: when the optimizer goes, its hooks go.

    Args:
        optimizer: The optimizer, its groups complete.

    Attributes:
        accumulating: How many `accumulate` contexts are open.
        stepped: Ids of the parameters that the present step has moved.
    """

    def __init__(self, optimizer: Any) -> None:
        """Put a hook on every parameter that requires a gradient."""
        self._optimizer = weakref.ref(optimizer)
        self._handles: dict[int, RemovableHandle] = {}
        weakref.finalize(optimizer, _remove_all, self._handles).atexit = False
        self._opening = new_lock()  # autograd has a thread for each accelerator
        self.accumulating = 0
        self._steps = 0
        self.begin_anew()
        watch_clipping(self)

    def begin_anew(self) -> None:
        """Forget the present step, and put hooks on exactly the parameters that the groups have now."""
        optimizer = self._alive()
        self._scalars: list[StepScalars] = []
        self._shared: list[dict[str, Any]] = []
        self._read: list[tuple[Any, ...]] = []
        self.stepped: set[int] = set()
        self._parts: dict[int, Any] = {}
        self._params: list[Tensor] = list(chain.from_iterable(map(_get_params, optimizer.param_groups)))
        if repeated(self._params):
            raise SettingsError(
                "`step_in_backward=True` steps a parameter once, as soon as its gradient is there, and one is given "
                "twice here. Give each once (a tied weight too), or leave step_in_backward False."
            )
        self._sizes = [len(group["params"]) for group in optimizer.param_groups]
        self._homes = {
            id(param): (index, place)
            for index, group in enumerate(optimizer.param_groups)
            for place, param in enumerate(group["params"])
        }
        for key in [key for key in self._handles if key not in self._homes]:
            self._handles.pop(key).remove()
        self._steps = 0
        refuse_replicas(self._params)
        self._add_hooks()

    def check_closed(self, what: str) -> None:
        """Raise `StateError` if a backward pass has moved parameters and ``step()`` has not yet been called."""
        if self.stepped:
            raise StateError(
                f"cannot {what} while step {self._alive().step_count} is half done: {self.moved()} within the "
                "backward pass. Call optimizer.step() first, which closes the step."
            )

    def take(self, param: Tensor) -> None:
        """Step a parameter whose gradient has just been accumulated, and free the gradient; what the hooks call."""
        if self.accumulating:
            return
        optimizer = self._alive()
        if torch.is_grad_enabled():
            raise SettingsError(
                "backward(create_graph=True) keeps gradients to differentiate them, and step_in_backward=True frees "
                "them. Take such gradients by torch.autograd.grad(..., create_graph=True), which steps nothing, or run "
                "that backward pass within optimizer.accumulate(). Call zero_grad() before you go on."
            )
        with self._opening:
            if not self.stepped:
                self._open(optimizer)
        if id(param) not in self._homes:  # taken out of the groups since
            return
        if id(param) in self.stepped:
            raise StateError(self._second_gradient(optimizer, param))
        if param.grad is None:
            raise StateError(
                f"the gradient of {self._name(optimizer, param)} is gone: another hook on the parameter, perhaps of a "
                "second optimizer with step_in_backward=True, took it. A parameter is stepped by one optimizer."
            )
        try:
            self._move(optimizer, param)
        except DownslopeError as error:
            error.add_note(f"{self.moved()} in this backward pass already; step() closes the step as it is.")
            raise

    def close(self) -> None:
        """End the step: step what has a gradient still (one set by hand, or accumulated only), and count the step."""
        optimizer = self._alive()
        if self.stepped:
            self._check_unchanged(optimizer)
            left = [param for param in self._params if param.grad is not None]
            twice = [param for param in left if id(param) in self.stepped]
            if twice:
                raise StateError(self._second_gradient(optimizer, twice[0]))
            for param in left:
                self._move(optimizer, param)
            optimizer.count_step()
            self.stepped = set()
            optimizer.reserved.clear()  # of parameters that had no gradient
        else:
            optimizer._step()  # nothing has moved yet: a step like any other
        # left where they are, they would enter the next step again, since nobody has to call zero_grad()
        for param in chain.from_iterable(map(_get_params, optimizer.param_groups)):
            param.grad = None
        self._add_hooks()

    def _open(self, optimizer: SGD) -> None:
        """Read the groups, as a step does, before any parameter moves."""
        check_step_in_backward(
            True,  # noqa: FBT003 -- the argument's own value
            clip_norm=optimizer.clip_norm,
            on_nonfinite=optimizer.on_nonfinite,
            differentiable=optimizer.defaults["differentiable"],
        )
        groups = optimizer.param_groups
        params = list(chain.from_iterable(map(_get_params, groups)))
        if (
            len(params) != len(self._params)
            or not all(map(is_, params, self._params))
            or self._sizes != [len(group["params"]) for group in groups]
        ):
            self.begin_anew()
        if self._steps & (self._steps - 1) == 0:  # 0, 1, 2, 4, 8, ...: a wrapper may come after the optimizer
            refuse_replicas(self._params)
        if self._steps == 0:
            optimizer.reserved.update(reserve_velocities(optimizer))
        self._steps += 1
        self._scalars = optimizer.step_scalars()
        self._read = [_numbers_of(group) for group in groups]
        own = ("params", "param_names")
        self._shared = [{key: value for key, value in group.items() if key not in own} for group in groups]

    def _move(self, optimizer: SGD, param: Tensor) -> None:
        """Step one parameter and free its gradient."""
        index, place = self._homes[id(param)]
        part = self._parts.get(id(param))
        state = optimizer.state.get(param)
        if part is None or part.state.get(param) is not state:
            part = self._parts[id(param)] = _part_of(optimizer, index, place, state)
        part.param_groups[0].update(self._shared[index])
        part.scalars = self._scalars[index]
        part._step()
        if state is None and param in part.state:  # its first velocity
            optimizer.state[param] = part.state[param]
        self.stepped.add(id(param))
        param.grad = None

    def _add_hooks(self) -> None:
        """Put hooks on parameters that have none: new ones, and those that were frozen when last looked at."""
        if len(self._handles) == len(self._params):
            return
        owner = weakref.ref(self)

        def step_now(param: Tensor) -> None:
            within = owner()
            if within is not None:
                within.take(param)

        for param in self._params:
            if param.requires_grad and id(param) not in self._handles:
                self._handles[id(param)] = param.register_post_accumulate_grad_hook(step_now)

    def _check_unchanged(self, optimizer: SGD) -> None:
        """Raise if a hyperparameter was written between the backward pass and ``step()``: too late to be heeded."""
        for index, (group, before) in enumerate(zip(optimizer.param_groups, self._read, strict=True)):
            for name, old, new in zip(_NUMBERS, before, _numbers_of(group), strict=True):
                if old != new:
                    raise SettingsError(
                        f"`{name}` of param group {index} was changed from {old!r} to {new!r} after the backward pass, "
                        f"which had already stepped the parameters with {old!r}. With step_in_backward=True write it "
                        f"before backward(). To go on, write {old!r} back and call step() again."
                    )

    def _second_gradient(self, optimizer: SGD, param: Tensor) -> str:
        return (
            f"{self._name(optimizer, param)} has a second gradient in step {optimizer.step_count}, and was already "
            f"stepped by the first ({self.moved()}). To add up the gradients of several backward passes, run all but "
            "the last within optimizer.accumulate(); between steps call optimizer.step(). If a backward pass failed "
            "midway, call zero_grad() and then step(), which closes the step as it is, or load a saved state of model "
            "and optimizer. (Reentrant activation checkpointing runs several passes; pass it use_reentrant=False.)"
        )

    def moved(self) -> str:
        """Say how far the present step has come."""
        return f"{len(self.stepped)} of {len(self._params)} parameters were stepped"

    def _name(self, optimizer: SGD, param: Tensor) -> str:
        index, place = self._homes[id(param)]
        return keys.parameter_name(optimizer.param_groups[index], index, place)

    def _alive(self) -> Any:
        return self._optimizer()


class _OnePart:
    """An optimizer of one parameter, whose scalars are those of the step of the whole."""

    scalars: StepScalars
    position: int

    def _make_plan(self, pairs: list[tuple[int, Tensor]]) -> StepPlan:
        whole: Any = self
        return StepPlan(whole, whole.entries_of(pairs))

    def entries_of(self, pairs: list[tuple[int, Tensor]]) -> list[Entry]:
        whole: Any = self
        return entries_of(whole, [(index, param, self.position) for index, param in pairs])

    def _scalars(self, index: int, group: dict[str, Any]) -> StepScalars:
        return self.scalars

    def _is_probe(self, grads: list[Tensor]) -> bool:
        return False  # one gradient of zeros says nothing of the others


def _part_of(optimizer: SGD, index: int, place: int, state: Any) -> Any:
    """Return an optimizer of one parameter of `optimizer`, sharing its velocity."""
    group = optimizer.param_groups[index]
    param = group["params"][place]
    part: Any = object.__new__(_class_of_parts(type(optimizer)))
    shared = {name: value for name, value in vars(optimizer).items() if name not in _OF_THE_WHOLE}
    name = group["param_names"][place] if "param_names" in group else keys.parameter_name(group, index, place)
    part.__dict__.update(
        shared,
        param_groups=[{**group, "params": [param], "param_names": [name]}],
        state=defaultdict(dict, {} if state is None else {param: state}),
        position=sum(len(other["params"]) for other in optimizer.param_groups[:index]) + place,
        _plan=None,
        _known_scalars={},
        _in_backward=None,
    )
    return part


_OF_THE_WHOLE = frozenset({"step", "_in_backward"})
"""Attributes that lead back to the optimizer (torch's schedulers wrap `step`): parts must not keep it alive."""


@cache
def _class_of_parts(whole: type) -> type:
    return type(f"{whole.__name__}OfOneParameter", (_OnePart, whole), {})


_NUMBERS = (*keys.HYPERPARAMETERS, "lr_initial", "lr_max", "max_lr")


def _numbers_of(group: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return everything in a group that its scalars depend on, as it is now: a tensor may change in place."""
    return tuple(float(v) if isinstance(v, Tensor) else v for v in keys.values_of(group))


def _remove_all(handles: dict[int, RemovableHandle]) -> None:
    for handle in handles.values():
        handle.remove()
