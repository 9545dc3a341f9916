"""The step within the backward pass: each parameter is stepped as soon as its gradient is there.

A parameter is stepped by the optimizer's own `_step`, run on that parameter alone with the scalars of the whole step,
and so by the same kernel, or the same of torch's operations, as in a step after the backward pass. A step opens at the
first gradient of a backward pass outside `accumulate`, and closes at ``step()``. While it is open no parameter may move
twice. Refused is what needs all gradients: averaging over replicas after a parameter's hooks, and clipping by others.
"""

from __future__ import annotations

import functools
import gc
import inspect
import sys
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import chain
from operator import is_, itemgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from downslope.core.errors import DownslopeError, SettingsError, StateError
from downslope.core.rule import StepScalars
from downslope.torch import group_values
from downslope.torch.average import check_not_at_average, follow
from downslope.torch.options import check_step_in_backward
from downslope.torch.step import Entry, Reserved, make_entries, new_lock, reserve_velocities
from downslope.torch.tensors import repeated

if TYPE_CHECKING:
    from downslope.torch.sgd import SGD

_get_params = itemgetter("params")


class SteppingInBackward(Optimizer):
    """What `SGD` has for the step within the backward pass: what a user sees of it, and what a state carries.

    Attributes:
        step_in_backward: Whether parameters are stepped within the backward pass.
        reserved: Velocities made for first gradients to come in the present backward pass.
    """

    # No defaults on the class: a wrapper's class inherits from it, and would find those, not the optimizer's own.
    step_in_backward: bool
    reserved: Reserved
    _in_backward: StepInBackward | None

    def _have_no_hooks(self) -> None:
        """Be an optimizer whose parameters are not stepped within the backward pass."""
        self.step_in_backward, self.reserved, self._in_backward = False, {}, None

    @contextmanager
    def accumulate(self) -> Iterator[None]:
        """Let gradients add up: a backward pass within this context steps nothing.

        For all micro-batches but the last, whose backward pass stands outside. Without `step_in_backward` nothing is
        stepped within a backward pass anyway, and the same loop serves.

        Raises:
            StateError: If a backward pass has begun a step that ``step()`` has not closed.

        Example:
            >>> import torch
            >>> from downslope.torch import SGD
            >>> model = torch.nn.Linear(2, 1)
            >>> optimizer = SGD(model.named_parameters(), lr=0.1, step_in_backward=True)
            >>> with optimizer.accumulate():
            ...     model(torch.ones(2)).sum().backward()
            >>> model(torch.zeros(2)).sum().backward()  # steps with the sum of both gradients, and frees it
            >>> optimizer.step()
        """
        within = self._in_backward
        if within is None:
            yield
            return
        within.check_closed("accumulate gradients")
        within.accumulating += 1
        try:
            yield
        finally:
            within.accumulating -= 1

    def _begin_stepping_in_backward(self) -> None:
        """Put hooks on the parameters, or forget what a step that a loaded state replaces had begun."""
        if self._in_backward is None:
            self._in_backward = StepInBackward(self)
        else:
            self._in_backward.begin_anew()

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Raise if ``torch.amp.GradScaler`` asks: it does so within its `step`, before anything else."""
        if self._in_backward is None:
            raise AttributeError(name="_step_supports_amp_scaling", obj=self)  # as if it were not there
        raise SettingsError(
            "`step_in_backward=True` and torch.amp.GradScaler exclude each other: the backward pass has already "
            "stepped the parameters, with gradients that were still scaled and that nobody had checked for inf and "
            "NaN. Restore the parameters and this optimizer's state, and use one of the two: bfloat16 needs no scale."
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, and hooks on its parameters."""
        if self._in_backward is not None:
            self._in_backward.check_closed("add a group")
        _without_compiler(super().add_param_group)(param_group)
        if self._in_backward is not None:
            self._in_backward.begin_anew()

    def state_dict(self) -> dict[str, Any]:
        """Return torch's state dict, unless a step is half done."""
        if self._in_backward is not None:
            self._in_backward.check_closed("save the state")
        return _without_compiler(super().state_dict)()

    def __getstate__(self) -> dict[str, Any]:
        """Return what deepcopy and pickle carry: that there are hooks, not the hooks."""
        if self._in_backward is not None:
            self._in_backward.check_closed("copy or pickle the optimizer")
        return {**super().__getstate__(), "step_in_backward": self.step_in_backward}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up a state: a copy gets hooks on its own parameters."""
        super().__setstate__(state)
        if self.step_in_backward:
            self._begin_stepping_in_backward()


def _without_compiler(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of torch's ``Optimizer`` without the wrapper that loads torch's compiler at its first call.

    Loading takes 0.7 s; the wrapper only keeps the compiler from tracing the method, and one that is not loaded traces
    nothing.
    """
    plain = getattr(method, "__wrapped__", None)
    if plain is None or "torch._dynamo" in sys.modules:
        return method
    return functools.partial(plain, getattr(method, "__self__", None))


class StepInBackward:
    """The hooks of one optimizer, and how far its present step has come.

    Nothing here keeps the optimizer alive, nor do the hooks keep this: when the optimizer goes, its hooks go.

    Attributes:
        accumulating: How many `accumulate` contexts are open.
        stepped: Ids of the parameters that the present step has moved.
    """

    def __init__(self, optimizer: Any) -> None:
        """Put a hook on every parameter that requires a gradient, the optimizer's groups complete."""
        self._optimizer = weakref.ref(optimizer)
        self._handles: dict[int, RemovableHandle] = {}
        weakref.finalize(optimizer, _remove_all, self._handles).atexit = False
        self._opening = new_lock()  # autograd has a thread for each accelerator
        self.accumulating = 0
        self._steps = 0
        self.begin_anew()
        _watch_clipping(self)

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
        _refuse_replicas(self._params)
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
            follow(optimizer.param_groups, optimizer.state, self.stepped)
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
        check_not_at_average(optimizer.shared)
        check_step_in_backward(True, optimizer.shared["options"])  # noqa: FBT003 -- the argument's own value
        groups = optimizer.param_groups
        params = list(chain.from_iterable(map(_get_params, groups)))
        if (
            len(params) != len(self._params)
            or not all(map(is_, params, self._params))
            or self._sizes != [len(group["params"]) for group in groups]
        ):
            self.begin_anew()
        if self._steps & (self._steps - 1) == 0:  # 0, 1, 2, 4, 8, ...: a wrapper may come after the optimizer
            _refuse_replicas(self._params)
            _refuse_samples(self._params)
            _replace_all()
        if self._steps == 0:
            options = optimizer.shared["options"]
            optimizer.reserved.update(reserve_velocities(groups, optimizer.state, options))
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
            "the last within optimizer.accumulate() (in Lightning: Trainer(callbacks=[StepInBackward()]), of "
            "downslope.torch.lightning); between steps call optimizer.step(). If a backward pass failed midway, call "
            "zero_grad() and then step(), which closes the step as it is, or load a saved state of model and "
            "optimizer. (Reentrant activation checkpointing runs several passes; pass it use_reentrant=False.)"
        )

    def moved(self) -> str:
        """Say how far the present step has come."""
        return f"{len(self.stepped)} of {len(self._params)} parameters were stepped"

    def _name(self, optimizer: SGD, param: Tensor) -> str:
        index, place = self._homes[id(param)]
        return group_values.parameter_name(optimizer.param_groups[index], index, place)

    def _alive(self) -> Any:
        return self._optimizer()


class _OnePart:
    """An optimizer of one parameter, whose scalars are those of the step of the whole."""

    scalars: StepScalars
    position: int

    def _entries_of(self, pairs: list[tuple[int, Tensor]]) -> list[Entry]:
        whole: Any = self
        homes = [(index, param, self.position) for index, param in pairs]
        return make_entries(whole.param_groups, whole.state, whole.shared["options"], homes, whole.reserved)

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
    name = group["param_names"][place] if "param_names" in group else group_values.parameter_name(group, index, place)
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


_NUMBERS = (*group_values.HYPERPARAMETERS, "lr_initial", "lr_max", "max_lr", "ema")


def _numbers_of(group: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return everything in a group that its scalars depend on, as it is now: tensors and arrays may change in place."""
    values: tuple[Any, ...] = (*group_values.values_of(group), group.get("ema"))
    return tuple(v.item() if hasattr(v, "item") else v for v in values)


def _remove_all(handles: dict[int, RemovableHandle]) -> None:
    for handle in handles.values():
        handle.remove()


# Wrappers that average gradients only after a parameter's hooks have run (``fully_shard`` runs the hooks after it)


def _refuse_replicas(params: Iterable[Tensor]) -> None:
    """Raise if one of the parameters belongs to a wrapper under which replicas would drift apart.

    A wrapper leaves no mark on a parameter, so all objects are looked through: some 10 ms, and only in a process that
    has joined a process group.

    """
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return
    ours = set(map(id, params))
    for wrapper in _wrappers():
        if any(id(param) in ours for param in _managed(wrapper)):
            raise SettingsError(
                f"`step_in_backward=True` under {type(wrapper).__name__}: each process would step with its own "
                "gradient, before it is averaged with the others', and the replicas would drift apart in silence. "
                "Shard the model by torch.distributed.fsdp.fully_shard instead, which averages first, or leave "
                "step_in_backward False."
            )


def _refuse_samples(params: Iterable[Tensor]) -> None:
    """Raise if gradients are to be clipped and blurred by example first, as Opacus marks it on every parameter."""
    if any(hasattr(param, "grad_sample") for param in params):
        raise SettingsError(
            "`step_in_backward=True` under Opacus: the backward pass would step with gradients that are neither "
            "clipped by example nor noisy, which Opacus makes of them in its own step. Leave step_in_backward False."
        )


def _wrappers() -> list[Any]:
    kinds: list[type] = [torch.nn.parallel.DistributedDataParallel]
    sharded = sys.modules.get("torch.distributed.fsdp")  # where it was not imported, nobody has wrapped anything in it
    if sharded is not None:
        kinds.append(sharded.FullyShardedDataParallel)
    # type() rather than isinstance(), which would ask lazy objects of other packages what they stand for
    return [item for item in gc.get_objects() if issubclass(type(item), tuple(kinds))]


def _managed(wrapper: Any) -> Iterable[Tensor]:
    """Return the parameters whose gradients a wrapper averages."""
    own = vars(wrapper).get("_module_parameters")  # of DistributedDataParallel: without those that it is to ignore
    if own is None:
        return wrapper.parameters() if "_modules" in vars(wrapper) else ()
    return [*own, *vars(wrapper).get("_delay_all_reduce_params", ())]


# Clipping by others of gradients that are gone
#
# A trainer that clips between ``backward()`` and ``step()`` finds no gradient and does nothing, without a word. torch's
# functions read ``p.grad`` and leave no trace, so while there is such an optimizer they are replaced by ones that look
# first.

_ASKED = ("clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "_clip_grads_with_norm_")
"""What trainers look up in torch.nn.utils, and what clip_grad_norm_ calls with the parameters: so that a trainer which
took the function before it was replaced is found out too. (clip_grad_value_ fails by itself without gradients.)
"""

_stepping: weakref.WeakSet[StepInBackward] = weakref.WeakSet()
_replaced: list[tuple[Any, str, Any]] = []

_OTHERS = (
    ("timm.utils.agc", "adaptive_clip_grad"),
    ("timm.utils.clip_grad", "adaptive_clip_grad"),
    ("timm.utils", "adaptive_clip_grad"),
)
"""Clipping of others that asks none of torch's functions, wherever it is looked up: (module, name)."""


def _watch_clipping(within: StepInBackward) -> None:
    """Refuse clipping of the parameters that this optimizer's hooks have stepped, as long as it lives."""
    _stepping.add(within)
    weakref.finalize(within, _leave_if_none).atexit = False
    _replace_all()


def _replace_all() -> None:
    """Replace what is loaded by now and was not replaced before."""
    places = [(module, name) for module in (clip_grad, torch.nn.utils) for name in _ASKED]
    places += [(sys.modules[module], name) for module, name in _OTHERS if module in sys.modules]
    done = {(id(module), name) for module, name, _ in _replaced}
    for module, name in places:
        if hasattr(module, name) and (id(module), name) not in done:
            _replace(module, name)


def _replace(module: Any, name: str) -> None:
    own = getattr(module, name)

    @functools.wraps(own)
    def asking(*args: Any, **kwargs: Any) -> Any:
        if name == "clip_grad_norm_" and _only_measures(*args, **kwargs):
            return torch.tensor(torch.nan)
        return own(*_ask(args, kwargs), **kwargs)

    _replaced.append((module, name, own))
    setattr(module, name, asking)


def _leave_if_none() -> None:
    """Put torch's own functions back when the last optimizer that steps within the backward pass is gone."""
    if not any(True for _ in _stepping):  # not by its length, which still counts one that has just gone
        while _replaced:
            module, name, own = _replaced.pop()
            setattr(module, name, own)


def _ask(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Return the arguments, an iterator of parameters as a list; raise if one of these was stepped already."""
    params: Any = args[0] if args else kwargs.get("parameters")
    if inspect.isgenerator(params) or (isinstance(params, Iterable) and not isinstance(params, Tensor | list | tuple)):
        params = list(params)
        if args:
            args = (params, *args[1:])
        else:
            kwargs["parameters"] = params
    asked = [params] if isinstance(params, Tensor) else params
    if isinstance(asked, list | tuple):
        ids = set(map(id, asked))
        for within in _stepping:
            if not ids.isdisjoint(within.stepped):
                raise SettingsError(_refusal(within))
    return args


def _only_measures(parameters: Any = (), max_norm: Any = 0.0, *_: Any, **__: Any) -> bool:
    """Whether the norm of gradients that are gone is asked for, and nothing to be clipped.

    Hugging Face's Trainer does so for its log, where max_grad_norm is 0. The answer is NaN: nobody knows it.
    """
    if max_norm != torch.inf or not isinstance(parameters, Iterable) or inspect.isgenerator(parameters):
        return False
    ids = set(map(id, [parameters] if isinstance(parameters, Tensor) else parameters))
    return any(not ids.isdisjoint(within.stepped) for within in _stepping)


def _refusal(within: StepInBackward) -> str:
    return (
        f"gradients are to be clipped that are gone: with step_in_backward=True {within.moved()} within the backward "
        "pass, as they were. To clip, leave step_in_backward False and give the optimizer clip_norm=... (or let the "
        "trainer clip); to step within the backward pass, switch the trainer's clipping off (gradient_clip_val=None in "
        "Lightning, max_grad_norm=0 in Hugging Face's Trainer). step() closes this step as it is."
    )
