"""The sharpness: the largest curvature of the training loss, by power iteration on products with its Hessian."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from downslope.core.errors import DataError, DownslopeError
from downslope.core.rule import StepScalars
from downslope.core.schedule_free import ScheduleFreeScalars
from downslope.theory.schedule_free import largest_curvature
from downslope.theory.stability import edge_full_batch, edge_mini_batch
from downslope.training.measuring.groups import inner
from downslope.training.run.randomness import derive_seed, permutation, reseed
from downslope.training.run.task import Task
from downslope.training.user_code import FAILURES, describe

EXAMPLES = 512
"""At most so many training examples, the same in every measurement, stand for the training loss."""

ITERATIONS = 100
TOLERANCE = 1e-3

_ALIGNED = 0.99
"""Cosine above which a vector counts as one that the operator merely lengthens."""

Vector = list[Tensor]


def measure_sharpness(task: Task, step: int) -> dict[str, float]:
    """Return the largest eigenvalue of the Hessian of the training loss, on a fixed sample of training examples.

    The model is in training mode, as in a step; its buffers and gradients are left as they were. Everything random
    depends on the seed alone, so that two measurements of one model agree.

    Returns:
        "sharpness", and "iterations", how many products with the Hessian it took; `ITERATIONS` of them in one search
        means that it had not settled within `TOLERANCE`.

    Raises:
        DataError: If the model or its loss cannot be differentiated twice.

    References:
        Cohen et al. 2021, "Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability".
    """
    model, seed = task.state.model, task.recipe.seed
    params = [p for p in model.parameters() if p.requires_grad]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    sample = torch.from_numpy(permutation(seed, "sharpness", len(task.dataset.train_inputs))[:EXAMPLES].copy())
    reseed(seed, 0, "sharpness", device=task.device)
    try:
        product = hessian_product(model, params, task, sample, step)
        generator = torch.Generator().manual_seed(derive_seed(seed, "sharpness") >> 1)
        start = [torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p) for p in params]
        largest, used = largest_eigenvalue(product, start)
    except DownslopeError:
        raise
    except FAILURES as error:
        raise DataError(
            f"train.sharpness_every: the model or its loss raised {describe(error)} while it was differentiated twice "
            f"at step {step}. Leave train.sharpness_every out for this model."
        ) from error
    finally:
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
    return {"sharpness": largest, "iterations": used}


def hessian_product(
    model: nn.Module, params: Sequence[Tensor], task: Task, sample: Tensor, step: int
) -> Callable[[Vector], Vector]:
    """Return the function from a direction to the Hessian's product with it."""
    inputs, targets = task.dataset.take(sample)
    answers = task.objective.answer(model, inputs.to(task.device), targets.to(task.device), step=step)
    grads = torch.autograd.grad(answers.loss, params, create_graph=True, allow_unused=True)
    known: Any = [grad for grad in grads if grad is not None and grad.requires_grad]

    def product(direction: Vector) -> Vector:
        along = [d for d, grad in zip(direction, grads, strict=True) if grad is not None and grad.requires_grad]
        found = torch.autograd.grad(known, params, grad_outputs=along, retain_graph=True, allow_unused=True)
        return [torch.zeros_like(p) if f is None else f for f, p in zip(found, params, strict=True)]

    return product if known else lambda direction: [torch.zeros_like(d) for d in direction]


def largest_eigenvalue(product: Callable[[Vector], Vector], start: Vector) -> tuple[float, int]:
    """Return the largest eigenvalue of a symmetric operator, and how many products it took.

    Power iteration finds the eigenvalue of the largest size. Where it ends in a vector that the operator does not
    merely lengthen, the largest in size is negative, or there are two of opposite signs: then the operator is shifted
    by that size, so that the largest is also the largest in size, and the search is done again.

    Example:
        >>> diagonal = torch.tensor([1.0, -5.0, 3.0])
        >>> value, _ = largest_eigenvalue(lambda v: [diagonal * v[0]], [torch.ones(3)])
        >>> round(value, 1)
        3.0
    """
    found, size, used = _dominant(product, start)
    if found >= _ALIGNED * size or math.isnan(found):
        return found, used

    def shifted(direction: Vector) -> Vector:
        return [p + size * d for p, d in zip(product(direction), direction, strict=True)]

    above, _, more = _dominant(shifted, start)
    return above - size, used + more


def _dominant(product: Callable[[Vector], Vector], start: Vector) -> tuple[float, float, int]:
    """Return the last vector's eigenvalue by Rayleigh, how much the operator lengthens it, and the products taken."""
    direction, value, size, used = start, 0.0, 0.0, 0
    for used in range(1, ITERATIONS + 1):
        length = math.sqrt(inner(direction, direction))
        if not 0 < length < math.inf:  # the operator is zero, or overflows
            return (0.0 if length == 0 else math.nan), 0.0, used - 1
        direction = [d / length for d in direction]
        image = product(direction)
        before, value = value, inner(direction, image)
        size = math.sqrt(inner(image, image))
        if used > 1 and abs(value - before) <= TOLERANCE * abs(value):
            break
        direction = [i.detach() for i in image]
    return value, size, used


def limits(scalars: StepScalars) -> dict[str, float]:
    """Return the curvature beyond which a step of these scalars diverges on a quadratic, and where training settles.

    Returns:
        "limit", 2 (1 + momentum) / lr or Nesterov's, where full-batch training settles; and "limit_mini_batch",
        2 (1 - momentum) / lr, where training with small batches does; both with dampening and decay as they are.
        Infinite at an lr of 0. Of schedule-free SGD the first alone, at its present average.

    Example:
        >>> from downslope import Settings
        >>> {name: round(value, 9) for name, value in limits(Settings(lr=0.1, momentum=0.9).at(0)).items()}
        {'limit': 38.0, 'limit_mini_batch': 2.0}
    """
    if isinstance(scalars, ScheduleFreeScalars):
        return {"limit": largest_curvature(scalars)}
    full, mini = (
        edge(
            scalars.lr,
            scalars.momentum,
            nesterov=scalars.nesterov,
            nu=scalars.nu,
            dampening=scalars.dampening,
            decoupled=scalars.decoupled_decay,
        )
        for edge in (edge_full_batch, edge_mini_batch)
    )
    return {"limit": full, "limit_mini_batch": mini}
