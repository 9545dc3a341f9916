"""Processes that take subnormal numbers for zero: formats narrower than float32 keep theirs, and threads follow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from native_plans import INSTRUCTION_SETS, bits, restored_settings, step_once
from torch import Tensor
from torch.nn import Parameter

from downslope.torch import SGD

EVERY_HALF = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(torch.float16)
WIDE = EVERY_HALF.double()  # before anything is flushed
FINITE = WIDE.isfinite()
SUBNORMAL = FINITE & (WIDE != 0) & (WIDE.abs() < 2.0**-14)


@pytest.fixture(params=INSTRUCTION_SETS)
def flushed(request: pytest.FixtureRequest) -> Iterator[str]:
    """Choose an instruction set, and have the process flush subnormals; both are put back."""
    with restored_settings() as module:
        if not module.set_instruction_set(request.param):
            pytest.skip(f"this processor has no {request.param}")
        if not torch.set_flush_denormal(True):
            pytest.skip("this processor cannot flush subnormals")
        try:
            yield request.param
        finally:
            torch.set_flush_denormal(False)


def test_every_float16_is_read_as_it_is(flushed: str) -> None:
    """As gradient, as velocity and as parameter, into float32, float64 and back: no number becomes another."""
    for wide in (torch.float32, torch.float64):
        velocity = torch.zeros(1 << 16, dtype=wide)
        step_once(Parameter(torch.zeros(1 << 16, dtype=torch.float16)), EVERY_HALF, velocity, [0, 0, 0, 0, 1, 0])
        torch.set_flush_denormal(False)
        assert torch.equal(velocity.double()[FINITE], WIDE[FINITE])
        torch.set_flush_denormal(True)
    param = Parameter(EVERY_HALF.clone())
    step_once(param, torch.zeros_like(EVERY_HALF), None, [0, 0, 0, 0, 0, 0])
    assert torch.equal(bits(param)[FINITE & (WIDE != 0)], bits(EVERY_HALF)[FINITE & (WIDE != 0)])


def test_every_float16_is_written_as_it_is(flushed: str) -> None:
    """Out of float32 and float64 gradients, into a velocity: the subnormal ones too, rounded once."""
    torch.set_flush_denormal(False)
    between = WIDE * (1 + 2.0**-12)  # rounds back, but where numbers lie closer than that to their neighbours' middle
    expected = between.half()
    torch.set_flush_denormal(True)
    for dtype in (torch.float32, torch.float64):
        grad = torch.where(FINITE, between, 0.0).to(dtype)
        velocity = torch.zeros(1 << 16, dtype=torch.float16)
        step_once(Parameter(torch.zeros(1 << 16, dtype=dtype)), grad, velocity, [0, 0, 0, 0, 1, 0])
        keeps = FINITE & (WIDE != 0)
        assert SUBNORMAL.sum() == 2046
        assert torch.equal(bits(velocity)[keeps], bits(expected)[keeps])


def test_bfloat16_and_float16_subnormals_pass_by_each_other(flushed: str) -> None:
    """A float16 parameter with a bfloat16 velocity, and the other way round, as torch's own conversion has it."""
    small = torch.tensor([2.0**-24, 3 * 2.0**-20, -(2.0**-15), 2.0**-14, 1.0])
    for one, other in ((torch.float16, torch.bfloat16), (torch.bfloat16, torch.float16)):
        velocity = torch.zeros(5, dtype=other)
        step_once(Parameter(torch.zeros(5, dtype=one)), small.to(one), velocity, [0, 0, 0, 0, 1, 0])
        assert torch.equal(bits(velocity), bits(small.to(other)))


def test_an_optimizer_steps_float16_as_torch_does(flushed: str) -> None:
    """1e-4 less three gradients of 1e-5, which are subnormal in float16."""

    def run(peer: type) -> Tensor:
        param = Parameter(torch.full((64,), 1e-4, dtype=torch.float16))
        optimizer = peer([param], lr=1.0)
        for _ in range(3):
            param.grad = torch.full((64,), 1e-5, dtype=torch.float16)
            optimizer.step()
        return param.detach()

    ours, theirs = run(SGD), run(torch.optim.SGD)
    assert torch.equal(bits(ours), bits(theirs))
    assert 6.9e-5 < ours[0].double().item() < 7.1e-5
