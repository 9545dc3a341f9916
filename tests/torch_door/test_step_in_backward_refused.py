"""What a step within the backward pass cannot go together with is refused, before or at the first gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from in_backward_pairs import assert_same, loss_of, mlp, pair
from torch_runs import assert_same_bits

from downslope.core.errors import SettingsError, StateError
from downslope.torch import SGD


def test_lr_written_after_the_backward_pass_is_refused() -> None:
    """A value that comes too late is named; written back, the step closes."""
    (model, optimizer), _ = pair()
    loss_of(model, 0).backward()
    optimizer.param_groups[0]["lr"] = 0.05
    with pytest.raises(SettingsError, match=r"`lr` of param group 0 was changed from 0.1 to 0.05 after the backward"):
        optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.step()
    assert optimizer.step_count == 1


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"clip_norm": 1.0}, "clip_norm"),
        ({"on_nonfinite": "skip"}, "on_nonfinite"),
        ({"on_nonfinite": "raise"}, "on_nonfinite"),
        ({"differentiable": True}, "differentiable"),
    ],
)
def test_what_needs_all_gradients_at_once_is_refused(options: dict[str, Any], word: str) -> None:
    """Clipping, skipping, raising and differentiating are refused together with steps in the backward pass."""
    with pytest.raises(SettingsError, match=f"step_in_backward=True` and `{word}.*exclude each other"):
        SGD(mlp().parameters(), lr=0.1, step_in_backward=True, **options)
    (model, optimizer), _ = pair()
    if "differentiable" not in options:
        name, value = next(iter(options.items()))
        setattr(optimizer, name, value)
        before = [p.detach().clone() for p in model.parameters()]
        with pytest.raises(SettingsError, match=word):
            loss_of(model, 0).backward()
        assert_same_bits(model.parameters(), before)


def test_step_in_backward_must_be_a_bool() -> None:
    """A number or a word is refused."""
    with pytest.raises(SettingsError, match="must be True or False; got 1"):
        SGD(mlp().parameters(), step_in_backward=1)  # type: ignore[arg-type]


def test_create_graph_is_refused_before_anything_moves() -> None:
    """Gradients that are to be differentiated are not freed; an inner gradient by autograd.grad steps nothing."""
    both = pair()
    (model, optimizer), _ = both
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(SettingsError, match=r"create_graph=True.*autograd\.grad"):
        loss_of(model, 0).backward(create_graph=True)
    assert_same_bits(model.parameters(), before)
    optimizer.zero_grad()
    for model, optimizer in both:
        loss = loss_of(model, 0)
        grads = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
        (loss + sum(grad.square().sum() for grad in grads)).backward()
        optimizer.step()
    assert_same(both)


def test_a_loss_scaler_is_refused() -> None:
    """GradScaler, which would look for inf after the parameters have moved, gets a clear message."""
    (model, optimizer), (other, ordinary) = pair()
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(loss_of(model, 0)).backward()
    with pytest.raises(SettingsError, match="GradScaler exclude each other"):
        scaler.step(optimizer)
    scaler.scale(loss_of(other, 0)).backward()
    scaler.step(ordinary)  # as ever
    off = torch.amp.GradScaler("cpu", enabled=False)
    optimizer.step()
    off.scale(loss_of(model, 0)).backward()
    off.step(optimizer)


def test_two_optimizers_of_one_parameter_are_told() -> None:
    """The second finds the gradient gone and says why."""
    model = mlp()
    first = SGD(model.parameters(), lr=0.1, step_in_backward=True)
    second = SGD(model.parameters(), lr=0.1, step_in_backward=True)
    with pytest.raises(StateError, match="another hook"):
        loss_of(model, 0).backward()
    assert first is not second
