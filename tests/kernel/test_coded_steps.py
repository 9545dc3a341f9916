"""Steps whose velocity is codes of 8 bits: the compiled kernel against NumPy's float32, on every way it can run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from native_plans import INSTRUCTION_SETS, bits, native, restored_settings

from downslope import kernel
from downslope.core.blocks import blocks_of, decode, encode
from downslope.kernel.rows import Row
from downslope.torch.tensors import EXCHANGE

LENGTHS = (1, 255, 256, 257, 4096, 5003, 400_001)
DECAY = (-0.013, -0.1, -0.7, 0.02, 0.6, 0.9)
NO_DECAY = (0.0, -0.1, -0.7, 0.0, 0.6, 0.9)


def row(index: int, count: int, dtype: torch.dtype, rounding: int = 0) -> Row:
    """Return a row of a step: numbers of many sizes, some blocks of zeros, some with inf and NaN."""
    rng = np.random.default_rng(index)

    def drawn() -> np.ndarray:
        return (rng.standard_normal(count) * 2.0 ** rng.integers(-20, 4, count)).astype(np.float32)

    param, grad, velocity = drawn(), drawn(), drawn()
    velocity[512:768] = 0
    velocity[300:301] = np.nan
    grad[1000:1001] = np.inf
    codes, scales = map(torch.from_numpy, encode(velocity))
    made = [torch.from_numpy(values).to(dtype) for values in (param, grad)]
    compensation = torch.zeros(count, dtype=torch.bfloat16) if rounding == 2 else None
    beside = {"velocity": codes, "compensation": compensation, "scales": scales}
    return Row(*made, **beside, kind=0, rounding=rounding, place=index)


def by_numpy(given: Row, coefficients: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return parameter, codes and scales after the step, in float32, each operation rounded once."""
    param, grad = given.param.float().numpy(), given.grad.float().numpy()
    codes, scales = given.velocity.numpy(), given.scales.numpy()
    dp, dg, dv, vp, vg, vv = map(np.float32, coefficients)
    velocity = decode(codes, scales)
    with np.errstate(invalid="ignore"):
        delta, after = dg * grad, vg * grad
        if coefficients[0] or coefficients[3]:
            delta, after = dp * param + delta, vp * param + after
        delta, after = delta + dv * velocity, after + vv * velocity
        return (param + delta, *encode(after))


@pytest.mark.parametrize("coefficients", [DECAY, NO_DECAY], ids=["decay", "no decay"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_a_step_is_numpys(dtype: torch.dtype, coefficients: tuple[float, ...]) -> None:
    """Parameters, codes and scales have NumPy's bits: short blocks, blocks of zeros, what is not finite."""
    module = native()
    for index, count in enumerate(LENGTHS[:-1]):
        given = row(index, count, dtype)
        expected, codes, scales = by_numpy(given, coefficients)
        module.step_tensors(EXCHANGE, [given], list(coefficients), 0)
        np.testing.assert_array_equal(given.param.float().numpy(), torch.from_numpy(expected).to(dtype).float().numpy())
        np.testing.assert_array_equal(given.velocity.numpy(), codes)
        np.testing.assert_array_equal(given.scales.numpy().view(np.int32), scales.view(np.int32))


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 0), (torch.bfloat16, 1), (torch.bfloat16, 2)], ids=str)
def test_the_same_bits_everywhere(dtype: torch.dtype, rounding: int) -> None:
    """Instruction sets x threads, whose shares begin within tensors and within blocks: one and the same result."""
    with restored_settings() as module:
        first = None
        for instruction_set in INSTRUCTION_SETS:
            if not module.set_instruction_set(instruction_set):
                continue
            for threads in (1, 2, 3, 4):
                kernel.set_num_threads(threads)
                rows = [row(index, count, dtype, rounding) for index, count in enumerate(LENGTHS)]
                for key in range(2):
                    module.step_tensors(EXCHANGE, rows, list(DECAY), key)
                found = [t for r in rows for t in (r.param.nan_to_num(7.0), r.velocity, r.scales)]
                first = first or found
                for mine, theirs in zip(found, first, strict=True):
                    numbers = [t if t.dtype == torch.int8 else bits(t) for t in (mine, theirs)]
                    assert torch.equal(*numbers), (instruction_set, threads)


def test_what_does_not_fit_is_refused() -> None:
    """Too few scales, another order, codes without scales, float64: each said, nothing stepped."""
    module = native()
    right = row(0, 4096, torch.float32)
    param, grad, codes, scales = right.param, right.grad, right.velocity, right.scales
    square = (64, 64)
    wrong = {
        "every block of codes has a scale": right._replace(scales=scales[:-1]),
        "scales must be float32": right._replace(scales=scales.double()),
        "scales go with codes": right._replace(velocity=param.clone()),
        "do not know": right._replace(scales=None),
        "row-major": right._replace(
            param=param.view(square).T, grad=grad.view(square).T, velocity=codes.view(square).T
        ),
        "no kernel": right._replace(param=param.double(), grad=grad.double()),
    }
    before = codes.clone()
    for message, given in wrong.items():
        with pytest.raises(ValueError, match=message):
            module.step_tensors(EXCHANGE, [given], list(DECAY), 0)
    shared = right._replace(grad=scales.repeat(256)[:4096], scales=param[:16])
    with pytest.raises(ValueError, match="share memory"):
        module.step_tensors(EXCHANGE, [shared], [0.0] * 6, 0)
    assert torch.equal(codes, before)
    assert blocks_of(4096) == len(scales) == 16
