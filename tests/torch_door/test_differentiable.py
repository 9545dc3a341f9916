"""differentiable=True: autograd flows through the step, to parameters, gradients and hyperparameters."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from downslope.torch import SGD

RULES: dict[str, dict[str, Any]] = {
    "plain": {},
    "coupled": {"weight_decay": 0.1},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "dampening": {"momentum": 0.9, "dampening": 0.5},
    "decoupled": {"momentum": 0.9, "weight_decay": 0.1, "decay": "decoupled"},
    "lr-inside": {"momentum": 0.9, "weight_decay": 0.1, "lr_in_velocity": True},
    "maximize": {"momentum": 0.5, "maximize": True},
}


def unrolled_loss(lr: Any, start: torch.Tensor, options: dict[str, Any], differentiable: bool) -> torch.Tensor:
    """Three steps down sum(p^2) + sum(p^3)/3 from `start`, and the loss there, as a function of lr and start."""
    param = start.clone()
    if not differentiable:
        param = param.detach().requires_grad_(True)
    optimizer = SGD([param], lr=lr, differentiable=differentiable, **options)
    for _ in range(3):
        # by formula and of a copy: it stays in the graph, and the step changes the parameter in place
        now = param.clone()
        grad = 2 * now + now**2
        param.grad = grad if differentiable else grad.detach()
        optimizer.step()
    return (param**2).sum() + (param**3).sum() / 3


@pytest.mark.parametrize("options", RULES.values(), ids=RULES.keys())
def test_the_hypergradient_of_lr_is_the_finite_difference(options: dict[str, Any]) -> None:
    """The derivative of the loss after three steps with respect to lr, by autograd and by a central difference."""
    start = torch.tensor([0.5, -0.3, 0.2], dtype=torch.float64)
    lr = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
    unrolled_loss(lr, start.clone().requires_grad_(True), options, differentiable=True).backward()
    h = 1e-6
    difference = (
        unrolled_loss(0.05 + h, start, options, differentiable=False)
        - unrolled_loss(0.05 - h, start, options, differentiable=False)
    ) / (2 * h)
    assert lr.grad is not None
    assert lr.grad.item() == pytest.approx(difference.item(), rel=1e-7)


@pytest.mark.parametrize("options", RULES.values(), ids=RULES.keys())
def test_gradcheck_through_two_steps(options: dict[str, Any]) -> None:
    """Torch's own check of the derivatives with respect to parameter, gradient and lr."""

    def two_steps(param: torch.Tensor, grad: torch.Tensor, lr: torch.Tensor) -> tuple[torch.Tensor, ...]:
        param = param.clone()
        optimizer = SGD([param], lr=lr, differentiable=True, **options)
        for factor in (1.0, 2.0):
            param.grad = factor * grad
            optimizer.step()
        return (param, *(entry["momentum_buffer"] for entry in optimizer.state.values() if entry))

    generator = torch.Generator().manual_seed(0)
    param, grad = (torch.randn(4, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(2))
    lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(two_steps, (param, grad, lr))


def test_the_first_velocity_is_part_of_the_graph() -> None:
    """With Nesterov p' = p - 0.1 * 1.9 * (g + 0.1 p), so dp'/dp = 0.981 and dp'/dg = -0.19; torch cuts off 0.9."""
    found = []
    for kind in (SGD, torch.optim.SGD):
        start, grad = (torch.ones(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
        param = start.clone()
        optimizer = kind([param], lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True, differentiable=True)
        param.grad = grad.clone()
        optimizer.step()
        found.append([each[0].item() for each in torch.autograd.grad(param.sum(), [start, grad])])
    assert found[0] == pytest.approx([0.981, -0.19], rel=1e-12)
    assert found[1] == pytest.approx([0.99, -0.1], rel=1e-12)


def test_the_numbers_are_those_of_the_ordinary_step() -> None:
    """differentiable=True computes the same."""
    start = torch.tensor([0.5, -0.3, 0.2], dtype=torch.float64)
    for options in RULES.values():
        one = unrolled_loss(0.05, start, options, differentiable=False)
        other = unrolled_loss(0.05, start.clone().requires_grad_(True), options, differentiable=True)
        torch.testing.assert_close(one.detach(), other.detach(), rtol=1e-14, atol=0)


def test_without_it_a_tensor_lr_records_nothing() -> None:
    """A tensor lr that requires grad, on an ordinary optimizer, leaves the parameters leaves."""
    param = torch.nn.Parameter(torch.ones(3))
    param.grad = torch.ones(3)
    optimizer = SGD([param], lr=torch.tensor(0.5, requires_grad=True), momentum=0.9)
    optimizer.step()
    assert param.is_leaf
    assert param.tolist() == [0.5, 0.5, 0.5]
    assert optimizer.state[param]["momentum_buffer"].grad_fn is None


def test_with_it_a_leaf_that_requires_grad_is_refused_as_in_torch() -> None:
    """Autograd cannot record an in-place change of a leaf; the error is torch's or ours, never silence."""
    param = torch.nn.Parameter(torch.ones(3))
    param.grad = torch.ones(3)
    optimizer = SGD([param], lr=0.5, differentiable=True)
    with pytest.raises((RuntimeError, ValueError), match="leaf"):
        optimizer.step()


def test_a_tensor_weight_decay_has_a_hypergradient_too() -> None:
    """d/d(wd) of p - lr * (g + wd * p), summed, is -lr * sum(p)."""
    start = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    weight_decay = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    param = start.clone()
    optimizer = SGD([param], lr=0.5, weight_decay=weight_decay, differentiable=True)  # type: ignore[arg-type]
    param.grad = torch.ones(2, dtype=torch.float64)
    optimizer.step()
    param.sum().backward()
    assert weight_decay.grad is not None
    assert weight_decay.grad.item() == pytest.approx(-0.5 * 3.0)
