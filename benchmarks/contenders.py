"""Who takes part in the step benchmark: ours, the same step by others, and the parts of ours.

Each contender is a function of no arguments that takes one whole step. All do the same work: Nesterov momentum .9 with
weight decay 1e-4 added to the gradient, in fp32 where not said otherwise.
Torch's contenders and ours read the same gradient tensors, which nobody writes to; parameters and velocities are each
contender's own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
import torch
from cells import BYTES_PER_PARAMETER, Cell
from torch import Tensor

import downslope.jax
import downslope.numpy
import downslope.torch

Step = Callable[[], object]

LR, MOMENTUM, DECAY = 1e-3, 0.9, 1e-4
COMMON: dict[str, Any] = {"lr": LR, "momentum": MOMENTUM, "weight_decay": DECAY, "nesterov": True}

OURS = "downslope"
OURS_CLIPPING, FUSED_CLIPPING = "downslope, clip_norm", "torch fused, clip_grad_norm_"
NOTHING_TO_CLIP = 1e9
"""A norm that gradients do not reach: it is asked for, and gradients that all contenders share stay as they are."""
BOUND = "memory bound"
BOUND_ELEMENTS = 1 << 25
"""128 MiB a tensor: several times the last cache of any processor this is likely to run on."""


def all_contenders(cell: Cell, *, with_compiled: bool) -> dict[str, Step]:
    """Return every contender of a cell, by name.

    Args:
        cell: The tensors.
        with_compiled: Whether to compile torch's step, which takes minutes for a thousand tensors.
    """
    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(shape, generator=generator) * 1e-2 for shape in cell.shapes]
    contenders: dict[str, Step] = {
        OURS: _ours(grads),
        "downslope, bf16 velocity": _ours(grads, velocity_dtype=torch.bfloat16),
        "downslope, 8-bit velocity": _ours(grads, velocity_dtype="int8"),
        "downslope, no kernel": _ours(grads, foreach=True),
        "downslope.numpy": _ours_numpy(grads),
        OURS_CLIPPING: _ours(grads, clip_norm=NOTHING_TO_CLIP),
        FUSED_CLIPPING: _torch_clipping(grads),
        "torch default": _torch_step(grads),
        "torch foreach": _torch_step(grads, foreach=True),
        "torch fused": _torch_step(grads, fused=True),
        "optax jit": _jax_step(
            grads, optax.chain(optax.add_decayed_weights(DECAY), optax.sgd(LR, momentum=MOMENTUM, nesterov=True))
        ),
        "downslope.jax": _jax_step(grads, downslope.jax.sgd(**COMMON), downslope.jax.take_step),
        "downslope.jax, update": _jax_step(grads, downslope.jax.sgd(**COMMON)),
        "scikit-learn": _sklearn_step(grads),
    }
    if with_compiled:
        contenders["torch compiled"] = _torch_compiled(grads)
    contenders |= _parts_of_ours(grads)
    if not cell.in_cache:
        contenders[BOUND] = bound_kernel()
    return contenders


def after_backward(cell: Cell) -> dict[str, tuple[Step, Step]]:
    """Return by contender a pass that does to memory what a backward pass does, and the step that follows it.

    The pass reads every parameter, writes every gradient to a new tensor, and lets go of the gradients before.

    Args:
        cell: The tensors.
    """
    made: dict[str, Callable[[Any], Any]] = {
        OURS: lambda params: downslope.torch.SGD(params, **COMMON),
        "torch fused": lambda params: torch.optim.SGD(params, **COMMON, fused=True),
        "torch default": lambda params: torch.optim.SGD(params, **COMMON),
    }

    def pair(make: Callable[[Any], Any]) -> tuple[Step, Step]:
        params = [torch.full(shape, 0.5, requires_grad=True) for shape in cell.shapes]
        values = [param.detach() for param in params]

        def backward() -> None:
            for param in params:
                param.grad = None
            for param, grad in zip(params, torch._foreach_mul(values, 1e-2), strict=True):  # noqa: SLF001 - in name only
                param.grad = grad

        return backward, make(params).step

    return {name: pair(make) for name, make in made.items()}


def bound_milliseconds(kernel_milliseconds: float, parameters: int) -> float:
    """Return the least time of a step, from that of the bound's kernel.

    Args:
        kernel_milliseconds: Time of one call of `bound_kernel`, which reads two tensors and writes one.
        parameters: Elements that the step moves.
    """
    return kernel_milliseconds * (BYTES_PER_PARAMETER * parameters) / (12 * BOUND_ELEMENTS)


def bound_kernel() -> Step:
    """Return torch's in-place addition of one large tensor to another: nothing but memory limits it."""
    target, source = torch.zeros(BOUND_ELEMENTS), torch.full((BOUND_ELEMENTS,), 1e-3)
    return lambda: target.add_(source)


def _params(grads: Sequence[Tensor]) -> list[Tensor]:
    params: list[Tensor] = []
    for grad in grads:
        param = torch.full(grad.shape, 0.5, requires_grad=True)
        param.grad = grad
        params.append(param)
    return params


def _ours(grads: Sequence[Tensor], **options: Any) -> Step:
    return downslope.torch.SGD(_params(grads), **COMMON, **options).step


def _ours_numpy(grads: Sequence[Tensor]) -> Step:
    arrays = {str(i): grad.numpy() for i, grad in enumerate(grads)}
    params = {name: np.full(array.shape, 0.5, np.float32) for name, array in arrays.items()}
    optimizer = downslope.numpy.SGD(params, **COMMON)
    return lambda: optimizer.step(arrays)


def _parts_of_ours(grads: Sequence[Tensor]) -> dict[str, Step]:
    """Return the two large parts of our step: asking every tensor whether it is as it was, and the kernel."""
    optimizer: Any = downslope.torch.SGD(_params(grads), **COMMON)
    for _ in range(2):
        optimizer.step()
    plan = optimizer._plan  # noqa: SLF001 - a part is looked at that no user can call
    if plan is None or plan._native is None:  # noqa: SLF001
        return {}
    native, coefficients = plan._native, plan._coefficients[1]  # noqa: SLF001
    plan.is_current(optimizer.param_groups, optimizer.state)
    return {
        "of which checks": lambda: plan.is_current(optimizer.param_groups, optimizer.state),
        "of which kernel": lambda: native.step(coefficients, 0),
    }


def _torch_step(grads: Sequence[Tensor], **options: Any) -> Step:
    return torch.optim.SGD(_params(grads), **COMMON, **options).step


def _torch_clipping(grads: Sequence[Tensor]) -> Step:
    params = _params(grads)
    optimizer = torch.optim.SGD(params, **COMMON, fused=True)

    def step() -> None:
        torch.nn.utils.clip_grad_norm_(params, NOTHING_TO_CLIP)  # multiplies each gradient by 1
        optimizer.step()

    return step


def _torch_compiled(grads: Sequence[Tensor]) -> Step:
    optimizer = torch.optim.SGD(_params(grads), **COMMON)
    optimizer.step()  # velocities exist: compiled once, for the steps that follow
    step = torch.compile(optimizer.step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step()
    return step


def _update_and_add(rule: optax.GradientTransformation, grads: Any, state: Any, params: Any) -> Any:
    delta, state = rule.update(grads, state, params)
    return optax.apply_updates(params, delta), state


def _jax_step(
    grads: Sequence[Tensor], rule: optax.GradientTransformation, take_step: Callable[..., Any] = _update_and_add
) -> Step:
    given = [jax.numpy.array(grad.numpy()) for grad in grads]
    params = [jax.numpy.full(grad.shape, 0.5) for grad in given]
    kept = {"params": params, "state": rule.init(params)}
    compiled = jax.jit(lambda params, state, grads: take_step(rule, grads, state, params), donate_argnums=(0, 1))

    def step() -> None:
        kept["params"], kept["state"] = jax.block_until_ready(compiled(kept["params"], kept["state"], given))

    return step


def _sklearn_step(grads: Sequence[Tensor]) -> Step:
    from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

    arrays = [grad.numpy() for grad in grads]
    params = [np.full(array.shape, 0.5, np.float32) for array in arrays]
    optimizer: Any = SGDOptimizer(params, learning_rate_init=LR, momentum=MOMENTUM, nesterov=True)
    # Its weight decay is the loop's business there: a penalty on the weights, added to the gradient before the step.
    return lambda: optimizer.update_params(params, [g + DECAY * p for g, p in zip(arrays, params, strict=True)])
