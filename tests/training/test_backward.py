"""The backward pass of a step beside ``loss.backward()``."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from downslope.training import backward as module
from downslope.training.backward import backward


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
