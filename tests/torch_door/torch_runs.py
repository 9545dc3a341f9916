"""Small deterministic runs of torch optimizers, shared by the tests of the torch front door. No test lives here."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

SHAPES: tuple[tuple[int, ...], ...] = ((3, 4), (5,), (), (2, 1, 3))


def make_params(
    shapes: Sequence[tuple[int, ...]] = SHAPES, dtype: torch.dtype = torch.float64, seed: int = 0
) -> list[torch.nn.Parameter]:
    """Return parameters of the given shapes, drawn in float64 and then rounded to `dtype`."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(draw(shape, dtype, generator)) for shape in shapes]


def draw(shape: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    """Return standard normal numbers of `dtype`; the same draw for every dtype, up to its rounding."""
    real = torch.randn(shape, dtype=torch.float64, generator=generator)
    if not dtype.is_complex:
        return real.to(dtype)
    return torch.complex(real, torch.randn(shape, dtype=torch.float64, generator=generator)).to(dtype)


def set_grads(params: Iterable[torch.Tensor], step: int, seed: int = 1) -> None:
    """Give every parameter the gradient of `step`: noise that depends on (seed, step) only, in its own dtype."""
    generator = torch.Generator().manual_seed(10_000 * seed + step)
    for param in params:
        param.grad = draw(tuple(param.shape), param.dtype, generator)


def run(
    optimizer: torch.optim.Optimizer,
    params: Sequence[torch.Tensor],
    steps: int,
    start: int = 0,
    after: Callable[[int], Any] | None = None,
) -> None:
    """Take the steps start, start + 1, ..., each with its own gradients; `after(step)` runs after each."""
    for step in range(start, start + steps):
        set_grads(params, step)
        optimizer.step()
        if after is not None:
            after(step)


def copy_params(params: Iterable[torch.Tensor]) -> list[torch.nn.Parameter]:
    """Return independent parameters with the same values and memory layout."""
    return [torch.nn.Parameter(param.detach().clone(), requires_grad=param.requires_grad) for param in params]


def values(params: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """Return copies of the values, to compare with later."""
    return [param.detach().clone() for param in params]


def assert_same_bits(actual: Iterable[torch.Tensor], expected: Iterable[torch.Tensor]) -> None:
    """Assert that two lists of tensors are equal bit for bit, NaN equal to itself."""
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours.detach(), theirs.detach(), rtol=0, atol=0, equal_nan=True)


def assert_close(actual: Iterable[torch.Tensor], expected: Iterable[torch.Tensor], rtol: float = 1e-12) -> None:
    """Assert that two lists of tensors agree within `rtol`, relative to the largest value of each tensor."""
    for ours, theirs in zip(actual, expected, strict=True):
        scale = theirs.detach().abs().max().item() if theirs.numel() else 0.0
        torch.testing.assert_close(ours.detach(), theirs.detach(), rtol=rtol, atol=rtol * scale)


def carry_over(source: torch.optim.Optimizer, target: torch.optim.Optimizer) -> None:
    """Move the state through the bytes of a file, as in real life; nothing may be warned of."""
    buffer = io.BytesIO()
    torch.save(source.state_dict(), buffer)
    buffer.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        target.load_state_dict(torch.load(buffer, weights_only=True))


def velocities(optimizer: torch.optim.Optimizer) -> list[torch.Tensor | None]:
    """Return the velocity of every parameter in order, None where there is none."""
    return [
        optimizer.state[param].get("momentum_buffer") if param in optimizer.state else None
        for group in optimizer.param_groups
        for param in group["params"]
    ]
