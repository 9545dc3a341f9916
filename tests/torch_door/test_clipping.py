"""clip_norm: the global norm and a step scaled by it, as clip_grad_norm_ and step give, with p.grad left alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch_runs import assert_close, assert_same_bits, copy_params, make_params, run, set_grads, values, velocities

from downslope.torch import SGD

BAD = [math.inf, -math.inf, math.nan]


def poison(params: list[torch.nn.Parameter], where: int, value: float) -> None:
    """Put one bad number into the last element of one gradient."""
    params[where].grad.view(-1)[-1] = value  # type: ignore[union-attr]


@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize("clip_norm", [0.01, 1.0, 3.0, 1e6])
def test_clipping_is_torchs_clipping_then_a_step(foreach: bool, clip_norm: float) -> None:
    """The same as clip_grad_norm_ and step, within the 1e-6 that torch adds to the norm; p.grad stays unclipped."""
    ours, theirs = make_params(), make_params()
    optimizer = SGD(ours, lr=0.1, momentum=0.9, weight_decay=0.01, clip_norm=clip_norm, foreach=foreach)
    reference = torch.optim.SGD(theirs, lr=0.1, momentum=0.9, weight_decay=0.01, foreach=False)
    for step in range(10):
        set_grads(ours, step)
        before = values([param.grad for param in ours])  # type: ignore[list-item]
        optimizer.step()
        assert_same_bits([param.grad for param in ours], before)  # type: ignore[list-item]
        set_grads(theirs, step)
        norm = torch.nn.utils.clip_grad_norm_(theirs, clip_norm)
        reference.step()
        assert optimizer.grad_norm == pytest.approx(norm.item(), rel=1e-12)
    assert_close(ours, theirs, rtol=1e-6)


def test_the_norm_is_global_over_groups_and_dtypes() -> None:
    """3 in one group and 4 in another, of different dtypes: 5, clipped to 1 is a factor 0.2."""
    params = [torch.nn.Parameter(torch.zeros(1, dtype=d)) for d in (torch.float64, torch.float32)]
    optimizer = SGD([{"params": [params[0]]}, {"params": [params[1]], "lr": 0.5}], lr=1.0, clip_norm=1.0)
    params[0].grad, params[1].grad = torch.tensor([3.0], dtype=torch.float64), torch.tensor([-4.0])
    optimizer.step()
    assert optimizer.grad_norm == 5.0
    assert params[0].item() == pytest.approx(-0.6, rel=1e-7)
    assert params[1].item() == pytest.approx(0.4, rel=1e-6)


def test_a_norm_below_the_bound_changes_no_bit() -> None:
    """Clipping never scales up, and at or below the bound the step is exactly the unclipped one."""
    clipped, plain = make_params(), make_params()
    run(SGD(clipped, lr=0.1, momentum=0.9, clip_norm=1e9), clipped, 5)
    run(SGD(plain, lr=0.1, momentum=0.9), plain, 5)
    assert_same_bits(clipped, plain)


def test_clipping_acts_on_the_gradient_not_on_the_decay() -> None:
    """Gradient 4 clipped to 1, then the coupled decay 0.5 * 2 is added: 2 - (1 + 1) = 0."""
    param = torch.nn.Parameter(torch.tensor([2.0]))
    param.grad = torch.tensor([4.0])
    SGD([param], lr=1.0, weight_decay=0.5, clip_norm=1.0).step()
    assert param.item() == 0.0


def test_clipping_with_maximize() -> None:
    """The sign is flipped, the length is the same."""
    param = torch.nn.Parameter(torch.tensor([0.0]))
    param.grad = torch.tensor([4.0])
    SGD([param], lr=1.0, maximize=True, clip_norm=1.0).step()
    assert param.item() == 1.0


@pytest.mark.parametrize("value", BAD)
def test_clipping_a_non_finite_gradient_with_ignore_is_torchs(value: float) -> None:
    """The norm is inf or NaN; the parameters become what torch's clipping and step make of them."""
    ours, theirs = make_params(), make_params()
    optimizer = SGD(ours, lr=0.1, clip_norm=1.0)
    set_grads(ours, 0)
    poison(ours, 1, value)
    optimizer.step()
    set_grads(theirs, 0)
    poison(theirs, 1, value)
    torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    torch.optim.SGD(theirs, lr=0.1).step()
    assert not math.isfinite(optimizer.grad_norm)  # type: ignore[arg-type]
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.detach(), other.detach(), equal_nan=True)


def test_the_norm_does_not_overflow_in_half_precision() -> None:
    """64 times 60000 in fp16: norm 480000, not inf; the step is the clipped one."""
    param = torch.nn.Parameter(torch.zeros(64, dtype=torch.float16))
    param.grad = torch.full((64,), 60000.0, dtype=torch.float16)
    optimizer = SGD([param], lr=1.0, clip_norm=8.0, on_nonfinite="raise")
    optimizer.step()
    assert optimizer.grad_norm == pytest.approx(480000.0, rel=2e-3)
    torch.testing.assert_close(param.detach(), torch.full((64,), -1.0, dtype=torch.float16))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_the_norm_is_exact_to_six_digits_in_every_format(dtype: torch.dtype) -> None:
    """The norm of half-precision gradients is not itself rounded to three digits."""
    params = make_params([(100, 7), (13,)], dtype=dtype)
    optimizer = SGD(params, lr=0.1, clip_norm=1e9)
    run(optimizer, params, 1)
    flat = torch.cat([param.grad.double().flatten() for param in params])  # type: ignore[union-attr]
    assert optimizer.grad_norm == pytest.approx(flat.norm().item(), rel=1e-6)


def test_the_norm_of_complex_gradients() -> None:
    """|3 + 4i| = 5."""
    param = torch.nn.Parameter(torch.zeros(1, dtype=torch.complex128))
    param.grad = torch.tensor([3 + 4j], dtype=torch.complex128)
    optimizer = SGD([param], lr=1.0, clip_norm=1.0)
    optimizer.step()
    assert optimizer.grad_norm == 5.0
    assert param.item() == pytest.approx(-0.6 - 0.8j, rel=1e-12)


def test_the_norm_is_not_computed_when_nobody_needs_it() -> None:
    """grad_norm is None before the first step, and stays so without clip_norm and on_nonfinite."""
    params = make_params()
    optimizer = SGD(params, lr=0.1)
    assert optimizer.grad_norm is None
    run(optimizer, params, 1)
    assert optimizer.grad_norm is None


def test_the_norm_is_that_of_the_last_step() -> None:
    """Each step replaces it; a number, not a tensor that waits for the device."""
    (param,) = make_params([(1,)])
    optimizer = SGD([param], lr=0.1, clip_norm=1.5)
    for value in (1.0, 2.0):
        param.grad = torch.full((1,), value, dtype=torch.float64)
        optimizer.step()
        assert isinstance(optimizer.grad_norm, float)
        assert optimizer.grad_norm == value


def test_clipping_and_skipping_together() -> None:
    """A bad step is skipped, a good one clipped."""
    (param,) = make_params([(1,)])
    with torch.no_grad():
        param.zero_()
    optimizer = SGD([param], lr=1.0, clip_norm=1.0, on_nonfinite="skip")
    for value in (math.nan, 4.0):
        param.grad = torch.full((1,), value, dtype=torch.float64)
        optimizer.step()
    assert param.item() == pytest.approx(-1.0)
    assert (optimizer.step_count, optimizer.skipped_steps) == (1, 1)


def test_own_clipping_twice_is_harmless() -> None:
    """clip_grad_norm_ by hand and then no clip_norm: ordinary use of torch, unchanged."""
    ours, theirs = make_params(), make_params()
    for cls, params in ((SGD, ours), (torch.optim.SGD, theirs)):
        optimizer = cls(params, lr=0.1, momentum=0.9)
        for step in range(5):
            set_grads(params, step)
            torch.nn.utils.clip_grad_norm_(params, 0.5)
            optimizer.step()
    assert_close(ours, theirs)
    assert copy_params(ours)[0].grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("mode", ["skip", "raise"])
def test_clipping_huge_finite_gradients_is_no_false_alarm(dtype: torch.dtype, mode: Any) -> None:
    """Their squares overflow, the numbers do not: clipped to length 1 along their direction."""
    huge = torch.finfo(dtype).max / 4
    param = torch.nn.Parameter(torch.zeros(4, dtype=dtype))
    param.grad = torch.tensor([huge, -huge, huge, huge], dtype=dtype)
    optimizer = SGD([param], lr=1.0, clip_norm=1.0, on_nonfinite=mode)
    optimizer.step()
    assert (optimizer.step_count, optimizer.skipped_steps) == (1, 0)
    assert optimizer.grad_norm == pytest.approx(2 * huge, rel=1e-6)
    torch.testing.assert_close(param.detach(), torch.tensor([-0.5, 0.5, -0.5, -0.5], dtype=dtype))


@pytest.mark.parametrize("size", [1e-30, 1e10, 1e20, 1e30, 1e37])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("foreach", [True, False])
def test_clipping_exploded_gradients_keeps_its_accuracy(size: float, nesterov: bool, foreach: bool) -> None:
    """A factor of 1e-37 times lr is below float32's normal numbers: still what clip_grad_norm_ and step give."""
    ours, theirs = make_params(dtype=torch.float32), make_params(dtype=torch.float32)
    options: dict[str, Any] = {"lr": 1e-6, "momentum": 0.9, "nesterov": nesterov, "weight_decay": 0.5}
    with torch.no_grad():
        for param in (*ours, *theirs):
            param.zero_()  # so that the steps are all there is
    optimizer = SGD(ours, clip_norm=1.0, foreach=foreach, **options)
    reference = torch.optim.SGD(theirs, foreach=False, **options)
    for step in range(4):
        for params in (ours, theirs):
            set_grads(params, step)
            for param in params:
                param.grad.mul_(size)  # type: ignore[union-attr]
        exact = [param.grad.double() for param in theirs]  # type: ignore[union-attr]
        norm = torch.linalg.vector_norm(torch.cat([grad.flatten() for grad in exact]))
        for param, grad in zip(theirs, exact, strict=True):
            param.grad = (grad * min(1.0, 1.0 / norm.item())).float()
        optimizer.step()
        reference.step()
        if size > 1e-20:  # squares of the smallest underflow, as in torch's norm
            assert optimizer.grad_norm == pytest.approx(norm.item(), rel=1e-5)
    assert_close(ours, theirs, rtol=1e-5)
    known = [velocity for velocity in velocities(optimizer) if velocity is not None]
    assert_close(known, [velocity for velocity in velocities(reference) if velocity is not None], rtol=1e-5)
