"""Clipping by others of gradients that are gone: noticed, and refused.

With `step_in_backward` a parameter has moved, and its gradient is freed, before the backward pass ends. A trainer that
clips between ``backward()`` and ``step()`` finds no gradient and does nothing, without a word. torch's functions read
``p.grad`` and leave no trace, so while there is such an optimizer they are replaced by ones that look first.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad

from downslope.core.errors import SettingsError

if TYPE_CHECKING:
    from downslope.torch.backward_hooks import StepInBackward

_ASKED = ("clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "_clip_grads_with_norm_")
"""What trainers look up in torch.nn.utils, and what clip_grad_norm_ calls with the parameters: so that a trainer which
took the function before it was replaced is found out too. (clip_grad_value_ fails by itself without gradients.)
"""

_stepping: weakref.WeakSet[StepInBackward] = weakref.WeakSet()
_replaced: list[tuple[Any, str, Any]] = []


def watch_clipping(within: StepInBackward) -> None:
    """Refuse clipping of the parameters that this optimizer's hooks have stepped, as long as it lives."""
    _stepping.add(within)
    weakref.finalize(within, _leave_if_none).atexit = False
    if _replaced:
        return
    for module in (clip_grad, torch.nn.utils):
        for name in _ASKED:
            if hasattr(module, name):
                _replace(module, name)


def _replace(module: Any, name: str) -> None:
    own = getattr(module, name)

    @functools.wraps(own)
    def asking(*args: Any, **kwargs: Any) -> Any:
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


def _refusal(within: StepInBackward) -> str:
    return (
        f"gradients are to be clipped that are gone: with step_in_backward=True {within.moved()} within the backward "
        "pass, as they were. To clip, leave step_in_backward False and give the optimizer clip_norm=... (or let the "
        "trainer clip); to step within the backward pass, switch the trainer's clipping off (gradient_clip_val=None in "
        "Lightning, max_grad_norm=0 in Hugging Face's Trainer). step() closes this step as it is."
    )
