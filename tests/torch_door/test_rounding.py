"""Rounding of bfloat16 parameters: the case that plain bfloat16 never leaves, and what must not depend on anything."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import Parameter

from downslope import kernel
from downslope.core.errors import SettingsError, StateError
from downslope.kernel.random_bits import random_bits, step_key
from downslope.torch import SGD

WAYS: list[dict[str, Any]] = [{}, {"foreach": True}, {"foreach": False}, {"fused": False}]


def walk(steps: int = 1000, count: int = 1000, **options: Any) -> torch.Tensor:
    """Return bfloat16 ones after steps of +0.001: exactly computed, they end at 1 + steps / 1000."""
    param = Parameter(torch.ones(count, dtype=torch.bfloat16))
    optimizer = SGD([param], lr=0.001, **options)
    for _ in range(steps):
        param.grad = -torch.ones_like(param)
        optimizer.step()
    return param.detach().double()


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_plain_bfloat16_never_moves(way: dict[str, Any]) -> None:
    """1 + 0.001 rounds back to 1, whatever the number of steps: the reason for everything below."""
    assert (walk(50, **way) == 1).all()


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_stochastic_rounding_arrives_on_average(way: dict[str, Any]) -> None:
    """After 300 steps of 0.001 the mean of 1000 parameters is 1.3, within five standard errors."""
    end = walk(300, rounding="stochastic", **way)
    assert len(end.unique()) > 10
    assert abs(end.mean().item() - 1.3) < 5 * end.std().item() / len(end) ** 0.5


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_compensated_rounding_arrives(way: dict[str, Any]) -> None:
    """After 300 steps of 0.001 every parameter is within one last place of 1.3 (what is kept is bfloat16 itself)."""
    end = walk(300, rounding="compensated", **way)
    assert (abs(end - 1.3) <= 2**-7).all()


@pytest.mark.parametrize("rounding", ["stochastic", "compensated"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_kernel_and_torchs_operations_round_alike(rounding: str, momentum: float) -> None:
    """The same draws and the same compensation: where sums are exact, kernel and fallback have the same bits."""
    ends = []
    for way in WAYS:
        generator = torch.Generator().manual_seed(0)
        params = [Parameter(torch.randn(s, generator=generator).bfloat16()) for s in ((33, 7), (5,), (2, 3, 4, 5))]
        params[2].data = params[2].data.to(memory_format=torch.channels_last)
        velocity = torch.float32 if momentum else None
        optimizer = SGD(
            params, lr=2**-9, momentum=momentum, rounding=rounding, rounding_seed=3, velocity_dtype=velocity, **way
        )
        for _ in range(2 if momentum else 20):
            for param in params:
                grad = torch.randint(-4, 5, param.shape, generator=generator).bfloat16()
                param.grad = grad.contiguous(memory_format=torch.channels_last) if param.ndim == 4 else grad
            optimizer.step()
        ends.append([param.detach().float() for param in params])
    for other in ends[1:]:
        for mine, theirs in zip(ends[0], other, strict=True):
            # sums of three terms are not always exact in float32: then a draw may fall on the other side
            assert (mine != theirs).double().mean() <= (0.02 if momentum else 0.0)


def test_draws_depend_on_seed_step_and_parameter_alone() -> None:
    """Not on threads, on other parameters' gradients or on the order of work; another seed draws otherwise."""

    def run(threads: int, seed: int, *, alone: bool) -> torch.Tensor:
        kernel.set_num_threads(threads)
        params = [Parameter(torch.ones(300_001, dtype=torch.bfloat16)) for _ in range(3)]
        optimizer = SGD(params, lr=0.001, rounding="stochastic", rounding_seed=seed)
        for _ in range(3):
            for place, param in enumerate(params):
                param.grad = torch.ones_like(param) if place == 1 or not alone else None
            optimizer.step()
        assert not alone or (params[0] == 1).all()
        return params[1].detach()

    chosen = kernel._Threads.chosen
    try:
        first = run(1, 0, alone=False)
        for threads, alone in ((2, False), (3, True), (7, True)):
            assert torch.equal(first, run(threads, 0, alone=alone)), threads
        assert not torch.equal(first, run(1, 1, alone=False))
    finally:
        kernel._Threads.chosen = chosen
        kernel.use_threads()


def test_the_mixer_is_the_kernels() -> None:
    """Python's and NumPy's numbers are those the kernel draws: which of 70000 ones go down is foreseen."""
    param = Parameter(torch.ones(70_000, dtype=torch.bfloat16))
    optimizer = SGD([Parameter(torch.zeros(2)), param], lr=2**-10, rounding="stochastic", rounding_seed=11)
    param.grad = torch.ones_like(param)
    optimizer.step()
    draws = random_bits(random_bits(step_key(11, 0), 1), np.arange(70_000, dtype=np.int64)) & 0xFFFF
    bits = np.float32(1 - 2**-10).view(np.uint32)
    expected = ((bits + draws) >> 16 << 16).astype(np.uint32).view(np.float32)
    assert np.array_equal(param.detach().float().numpy(), expected)
    assert 0 < (expected < 1).mean() < 1
    assert random_bits(5, 7) == int(random_bits(5, np.array([7], np.int64))[0])


@pytest.mark.parametrize("rounding", ["stochastic", "compensated"])
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(rounding: str) -> None:
    """State saved to bytes, loaded into a new optimizer of the same seed, and gone on with; and through deepcopy."""
    options: dict[str, Any] = {"lr": 1e-3, "momentum": 0.9, "rounding": rounding, "rounding_seed": 2}

    def go(param: Parameter, optimizer: SGD, steps: range) -> None:
        for step in steps:
            param.grad = torch.randn(500, generator=torch.Generator().manual_seed(step)).bfloat16()
            optimizer.step()

    whole = Parameter(torch.ones(500, dtype=torch.bfloat16))
    go(whole, SGD([whole], **options), range(20))
    half = Parameter(torch.ones(500, dtype=torch.bfloat16))
    first = SGD([half], **options)
    go(half, first, range(10))
    copied, copied_param = copy.deepcopy((first, half))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    resumed = Parameter(half.detach().clone())
    second = SGD([resumed], **options)
    second.load_state_dict(torch.load(file, weights_only=True))
    go(resumed, second, range(10, 20))
    go(copied_param, copied, range(10, 20))
    assert torch.equal(whole, resumed)
    assert torch.equal(whole, copied_param)


def test_a_compensation_is_checked_when_loaded() -> None:
    """One of another shape, and one that this optimizer has no use for, are said and not loaded."""
    param = Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimizer = SGD([param], lr=0.1, rounding="compensated")
    param.grad = torch.ones_like(param)
    optimizer.step()
    state = optimizer.state_dict()
    with pytest.raises(
        StateError, match='compensation of parameter 0 of group 0 has no place here, where rounding is "n'
    ):
        SGD([param], lr=0.1).load_state_dict(state)
    state["state"][0]["compensation"] = torch.zeros(4, dtype=torch.bfloat16)
    with pytest.raises(StateError, match="compensation of parameter 0 of group 0 has shape"):
        optimizer.load_state_dict(state)
    state["state"][0]["compensation"] = torch.zeros(3)
    with pytest.raises(StateError, match=r"compensation of parameter 0 of group 0 is torch\.float32"):
        optimizer.load_state_dict(state)
    torch.optim.SGD([param], lr=0.1).load_state_dict(optimizer.state_dict())  # which keeps what it does not know


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounding": "up"}, "`rounding` must be `nearest`, `stochastic` or `compensated`; got 'up'"),
        ({"rounding": "stochastik"}, "Did you mean `stochastic`?"),
        ({"rounding": "stochastic", "rounding_seed": -1}, r"`rounding_seed` must be an integer from 0 to 2\*\*64 - 1"),
        ({"rounding": "stochastic", "rounding_seed": 1.0}, "got 1.0"),
    ],
)
def test_a_wrong_rounding_is_refused(options: dict[str, Any], message: str) -> None:
    """With what is allowed, and what was probably meant."""
    with pytest.raises(SettingsError, match=message):
        SGD([Parameter(torch.ones(3, dtype=torch.bfloat16))], lr=0.1, **options)


def test_a_rounding_without_use_is_refused() -> None:
    """Without a bfloat16 parameter the choice would be ignored; beside one, other formats go to nearest."""
    with pytest.raises(SettingsError, match="is for bfloat16 parameters, and there are none"):
        SGD([Parameter(torch.ones(3))], lr=0.1, rounding="stochastic")
    with pytest.raises(SettingsError, match="`differentiable=True`"):
        SGD([Parameter(torch.ones(3).bfloat16())], lr=0.1, rounding="stochastic", differentiable=True)
    both = [Parameter(torch.ones(3)), Parameter(torch.ones(3, dtype=torch.bfloat16))]
    optimizer = SGD(both, lr=0.001, rounding="compensated")
    for param in both:
        param.grad = torch.ones_like(param)
    optimizer.step()
    assert (both[0] == torch.ones(3) - 0.001).all()
    assert "compensation" not in optimizer.state[both[0]]


def test_specials_stay_what_they_are() -> None:
    """inf and NaN are not rounded to something else, by the kernel or without it."""
    for way in WAYS:
        param = Parameter(torch.tensor([float("inf"), float("-inf"), float("nan"), 1.0], dtype=torch.bfloat16))
        optimizer = SGD([param], lr=0.5, rounding="stochastic", **way)
        param.grad = torch.ones_like(param)
        optimizer.step()
        assert param[:2].tolist() == [float("inf"), float("-inf")]
        assert param[2].isnan()
        assert param[3] == 0.5
