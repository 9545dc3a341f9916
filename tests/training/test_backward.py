"""The backward pass of a step beside ``loss.backward()``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from downslope.training.run import gradients as module
from downslope.training.run.gradients import backward


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def _grads(dtype: torch.dtype, *, public: bool) -> list[Tensor]:
    model = _net().to(dtype)
    inputs = torch.randn(5, 6, generator=torch.Generator().manual_seed(1)).to(dtype)
    for _ in range(2):  # the second pass adds to what is there
        loss = nn.functional.cross_entropy(model(inputs), torch.tensor([0, 1, 2, 0, 1])) * 0.3
        loss.backward() if public else backward(loss)
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_gradients_are_those_of_the_public_way(dtype: torch.dtype) -> None:
    """Every format, and gradients that add up: the same bits."""
    ours, public = _grads(dtype, public=False), _grads(dtype, public=True)
    assert len(ours) == len(public) == 6
    assert all(torch.equal(one, two) for one, two in zip(ours, public, strict=True))


def test_where_the_engine_is_not_known_the_public_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch whose engine has another entry loses nothing but time."""
    monkeypatch.setattr(module, "_run_backward", None)
    assert all(map(torch.equal, _grads(torch.float32, public=False), _grads(torch.float32, public=True)))


def test_what_is_not_a_plain_scalar_takes_the_public_way() -> None:
    """A subclass hears of its backward pass; a loss of one element and a dimension is summed as torch would."""
    heard = []

    class Loud(Tensor):
        def backward(self, *args: object, **kwargs: object) -> None:
            heard.append(self.ndim)

    backward(torch.ones(()).as_subclass(Loud))
    weight = torch.ones(1, requires_grad=True)
    backward(weight * 3)
    assert heard == [0]
    assert weight.grad == 3


@pytest.mark.parametrize("again", [False, True])
def test_failures_are_torchs_own(again: bool) -> None:
    """A loss without a graph, or whose graph is gone, fails with torch's words."""
    weight = torch.ones((), requires_grad=True)
    loss = weight.exp() if again else torch.ones(())
    if again:
        backward(loss)
    with pytest.raises(RuntimeError, match="second time" if again else "does not require grad"):
        backward(loss)


def test_own_code_that_writes_to_the_first_gradient_changes_no_later_step() -> None:
    """A hook or a function that scales what it is given in place: every step's gradient is the same."""

    class Halve(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, value: Tensor) -> Tensor:
            return value.clone()

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            return grad.mul_(0.5)

    weight = torch.ones(1, requires_grad=True)
    grads = []
    for _ in range(3):
        weight.grad = None
        loss = Halve.apply(weight.sum())
        loss.register_hook(lambda grad: grad.mul_(0.5))
        backward(loss)
        assert weight.grad is not None
        grads.append(weight.grad.item())
    assert grads == [0.25] * 3


def test_the_first_gradient_may_become_a_parameters_own() -> None:
    """A parameter without dimensions whose gradient is the loss's own, and adds up: other losses are not touched."""
    weight, other = torch.ones((), requires_grad=True), torch.ones(3, requires_grad=True)
    for _ in range(3):
        backward(weight.view(()))
    backward(other.sum())
    assert weight.grad is not None
    assert other.grad is not None
    assert (weight.grad.item(), other.grad.tolist()) == (3.0, [1.0] * 3)


def test_a_complex_loss_is_refused_as_by_torch() -> None:
    """It has no steepest direction."""
    with pytest.raises(RuntimeError, match="real scalar outputs"):
        backward(torch.ones((), dtype=torch.complex64, requires_grad=True) * 2)
