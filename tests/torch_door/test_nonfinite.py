"""on_nonfinite: what is skipped or refused leaves no trace, and large finite gradients are no false alarm."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch_runs import assert_close, assert_same_bits, make_params, run, set_grads, values, velocities

from downslope.core.errors import NonFiniteGradientError
from downslope.schedules import Exponential
from downslope.torch import SGD

BAD = [math.inf, -math.inf, math.nan]


def poison(params: list[torch.nn.Parameter], where: int, value: float) -> None:
    """Put one bad number into the last element of one gradient."""
    params[where].grad.view(-1)[-1] = value  # type: ignore[union-attr]


def snapshot(optimizer: SGD, params: list[torch.nn.Parameter]) -> tuple[Any, ...]:
    """Everything that a skipped step must leave alone."""
    groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    return values(params), copy.deepcopy(velocities(optimizer)), optimizer.step_count, groups


def assert_untouched(optimizer: SGD, params: list[torch.nn.Parameter], before: tuple[Any, ...]) -> None:
    """Assert that nothing has moved since the snapshot, bit for bit."""
    old_params, old_velocities, old_count, _ = before
    assert_same_bits(params, old_params)
    assert [v is None for v in velocities(optimizer)] == [v is None for v in old_velocities]
    assert_same_bits([v for v in velocities(optimizer) if v is not None], [v for v in old_velocities if v is not None])
    assert optimizer.step_count == old_count


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("where", range(4))
@pytest.mark.parametrize("first", [True, False], ids=["first step", "mid-run"])
@pytest.mark.parametrize("foreach", [True, False])
def test_skip_moves_nothing_and_counts(value: float, where: int, first: bool, foreach: bool) -> None:
    """One bad number in any one of several parameters, at any time: no parameter, velocity or step count moves."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1, on_nonfinite="skip", foreach=foreach)
    if not first:
        run(optimizer, params, 2)
    set_grads(params, 9)
    poison(params, where, value)
    before = snapshot(optimizer, params)
    assert optimizer.step() is None
    assert_untouched(optimizer, params, before)
    assert optimizer.skipped_steps == 1


def test_a_skipped_step_is_as_if_it_had_not_been() -> None:
    """With schedules, dampening and a late parameter: the run with bad steps in between ends at the same bits."""
    with_bad, without = make_params(), make_params()
    options: dict[str, Any] = {
        "lr": Exponential(0.1, 0.5, 2),
        "momentum": 0.9,
        "dampening": 0.5,
        "weight_decay": Exponential(0.1, 0.5, 2),
        "on_nonfinite": "skip",
    }
    clean, disturbed = SGD(without, **options), SGD(with_bad, **options)
    for step in range(6):
        run(clean, without, 1, start=step)
        for value in BAD[: step % 4]:
            set_grads(with_bad, 50 + step)
            poison(with_bad, step % 4, value)
            disturbed.step()
        run(disturbed, with_bad, 1, start=step)
    assert_same_bits(with_bad, without)
    assert disturbed.step_count == clean.step_count == 6
    assert disturbed.skipped_steps == sum(len(BAD[: step % 4]) for step in range(6))
    assert clean.skipped_steps == 0


def test_one_bad_group_skips_all_groups() -> None:
    """A step is taken whole or not at all."""
    params = make_params()
    optimizer = SGD([{"params": params[:2]}, {"params": params[2:], "lr": 0.5}], lr=0.1, on_nonfinite="skip")
    set_grads(params, 0)
    poison(params, 3, math.nan)
    before = snapshot(optimizer, params)
    optimizer.step()
    assert_untouched(optimizer, params, before)


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("first", [True, False], ids=["first step", "mid-run"])
def test_raise_names_the_parameters_and_moves_nothing(value: float, first: bool) -> None:
    """Every bad parameter by name, no good one; the count of steps and skips stays."""
    params = make_params()
    optimizer = SGD(list(zip("wxyz", params, strict=True)), lr=0.1, momentum=0.9, on_nonfinite="raise")
    if not first:
        run(optimizer, params, 2)
    set_grads(params, 9)
    poison(params, 1, value)
    poison(params, 3, value)
    before = snapshot(optimizer, params)
    with pytest.raises(NonFiniteGradientError) as caught:
        optimizer.step()
    text = str(caught.value)
    assert "x" in text
    assert "z" in text
    assert "`w`" not in text
    assert "`y`" not in text
    assert_untouched(optimizer, params, before)
    assert optimizer.skipped_steps == 0
    assert caught.value.exit_code == 1
    run(optimizer, params, 1, start=10)  # and it can go on


def test_raise_without_names_says_which_position() -> None:
    """Plain parameters are named by group and place."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, on_nonfinite="raise")
    set_grads(params, 0)
    poison(params, 2, math.inf)
    with pytest.raises(NonFiniteGradientError, match="2"):
        optimizer.step()


def test_raise_in_a_large_model_keeps_its_message_short() -> None:
    """A thousand bad parameters are counted, not all listed."""
    params = [(f"layer.{i}.weight", torch.nn.Parameter(torch.zeros(1))) for i in range(1000)]
    optimizer = SGD(params, lr=0.1, on_nonfinite="raise")
    for _, param in params:
        param.grad = torch.full((1,), math.nan)
    with pytest.raises(NonFiniteGradientError, match="1000|9[0-9][0-9]") as caught:
        optimizer.step()
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("value", BAD)
def test_ignore_does_what_torch_does(value: float) -> None:
    """The default lets it through to this parameter only, as torch."""
    ours, theirs = make_params(), make_params()
    for cls, params in ((SGD, ours), (torch.optim.SGD, theirs)):
        optimizer = cls(params, lr=0.1, momentum=0.9)
        set_grads(params, 0)
        poison(params, 1, value)
        optimizer.step()
    assert_close([ours[0], ours[2], ours[3]], [theirs[0], theirs[2], theirs[3]])
    torch.testing.assert_close(ours[1].detach(), theirs[1].detach(), equal_nan=True)


@pytest.mark.parametrize(
    ("dtype", "large"),
    [(torch.float16, 65504.0), (torch.bfloat16, 3.38e38), (torch.float32, 3.4e38), (torch.float64, 1.7e308)],
    ids=str,
)
@pytest.mark.parametrize("mode", ["skip", "raise"])
@pytest.mark.parametrize("foreach", [True, False])
def test_large_finite_gradients_are_no_false_alarm(dtype: torch.dtype, large: float, mode: Any, foreach: bool) -> None:
    """A norm whose square or sum overflows is no reason to skip: every number is finite."""
    params = [torch.nn.Parameter(torch.zeros(64, dtype=dtype)) for _ in range(3)]
    optimizer = SGD(params, lr=0.0, momentum=0.0, on_nonfinite=mode, foreach=foreach)
    for param in params:
        param.grad = torch.full_like(param, large)
    assert torch.isfinite(params[0].grad).all()  # type: ignore[arg-type]
    optimizer.step()
    assert (optimizer.step_count, optimizer.skipped_steps) == (1, 0)


def test_opposite_infinities_are_seen() -> None:
    """Inf - inf is NaN, 0 * inf too: no trick of sums hides them."""
    params = make_params([(2,)])
    optimizer = SGD(params, lr=0.1, on_nonfinite="skip")
    params[0].grad = torch.tensor([math.inf, -math.inf], dtype=torch.float64)
    optimizer.step()
    assert optimizer.skipped_steps == 1


def test_complex_gradients_are_checked_in_both_parts() -> None:
    """An infinite imaginary part counts."""
    param = torch.nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    optimizer = SGD([param], lr=0.1, on_nonfinite="skip")
    param.grad = torch.tensor([1 + 1j, complex(1, math.inf)], dtype=torch.complex64)
    optimizer.step()
    assert optimizer.skipped_steps == 1
    assert torch.equal(param, torch.zeros(2, dtype=torch.complex64))


def test_mixed_dtypes_are_checked_together() -> None:
    """One check over float64, float32, bf16, fp16, complex and empty parameters."""
    dtypes = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.complex64]
    params = [torch.nn.Parameter(torch.zeros(3, dtype=d)) for d in dtypes] + [torch.nn.Parameter(torch.zeros(0, 2))]
    for bad in range(5):
        optimizer = SGD(params, lr=0.1, on_nonfinite="skip")
        for param in params:
            param.grad = torch.ones_like(param)
        poison(params, bad, math.nan)
        optimizer.step()
        assert optimizer.skipped_steps == 1
    assert all(torch.equal(param, torch.zeros_like(param)) for param in params)


def test_the_closures_loss_is_returned_from_a_skipped_step() -> None:
    """The loss is wanted for the log, most of all then."""
    (param,) = make_params([(2,)])
    optimizer = SGD([param], lr=0.1, on_nonfinite="skip")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (param * math.inf).sum()
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    assert loss is not None
    assert not torch.isfinite(loss)
    assert optimizer.skipped_steps == 1


def test_non_finite_parameters_are_not_gradients() -> None:
    """Only gradients are checked: an infinite parameter with a good gradient steps on, as in torch."""
    param = torch.nn.Parameter(torch.tensor([math.inf, 1.0]))
    optimizer = SGD([param], lr=0.5, on_nonfinite="skip")
    param.grad = torch.ones(2)
    optimizer.step()
    assert param.tolist() == [math.inf, 0.5]


def test_a_step_without_any_gradient() -> None:
    """Nothing is non-finite in nothing; the norm is 0 and the step counts."""
    optimizer = SGD(make_params(), lr=0.1, on_nonfinite="raise", clip_norm=1.0)
    optimizer.step()
    assert optimizer.step_count == 1
    assert optimizer.grad_norm == 0.0
