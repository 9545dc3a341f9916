"""The same bits on every instruction set and for any number of threads: steps, sums of squares, stochastic rounding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from native_plans import COMBINATIONS, DTYPES, INSTRUCTION_SETS, bits, make_plan, native, restored_settings

from downslope import kernel
from downslope.core.errors import SettingsError
from downslope.torch.tensors import EXCHANGE

# Together more than eight shares of 2^17 elements, so that seven threads all get one; odd, and one of them alone
# longer than a share, so that shares begin and end inside tensors.
LENGTHS = (3, 300_001, 1, 63, 131_073, 17, 524_289, 65, 100_003)
THREADS = (1, 2, 3, 7)
DECAY = (-0.013, -0.1, -0.7, 0.02, 0.6, 0.9)
ROUNDED = [(p, v, "nearest") for p, v in COMBINATIONS]
ROUNDED += [(p, v, "stochastic") for p, v in COMBINATIONS if p == "bfloat16"]


@pytest.fixture
def module() -> Iterator[Any]:
    """Give the compiled module, its settings put back afterwards."""
    with restored_settings() as module:
        yield module


def ways(module: Any) -> Iterator[str]:
    """Set every instruction set of this processor with every number of threads, one after the other."""
    for instruction_set in INSTRUCTION_SETS:
        if module.set_instruction_set(instruction_set):
            assert kernel.backend() == f"compiled ({instruction_set})"
            for threads in THREADS:
                kernel.set_num_threads(threads)
                assert module.thread_count() == threads
                yield f"{instruction_set}, {threads} threads"


def unaligned(values: torch.Tensor, dtype: torch.dtype) -> list[torch.Tensor]:
    """Return the tensors of `LENGTHS`, each one element off the start of its memory, so that no vector is aligned."""
    parts = []
    start = 0
    for length in LENGTHS:
        memory = torch.empty(length + 1, dtype=dtype)
        memory[1:] = values[start : start + length]
        parts.append(memory[1:])
        start += length
    return parts


def drawn(seed: int) -> torch.Tensor:
    """Return numbers of many sizes, subnormal ones and zeros of both signs among them."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(sum(LENGTHS)) * 2.0 ** rng.integers(-30, 6, sum(LENGTHS))
    values[::101], values[1::101] = 0.0, -0.0
    return torch.from_numpy(values)


_DRAWN = [drawn(seed) for seed in range(3)]


def assert_stay_the_same(results: Iterator[tuple[str, list[torch.Tensor]]]) -> None:
    """Assert that every way gives the bits of the first."""
    first = None
    for way, tensors in results:
        if first is None:
            first = tensors
            continue
        for mine, theirs in zip(tensors, first, strict=True):
            assert torch.equal(bits(mine), bits(theirs)), way
    assert first is not None


@pytest.mark.parametrize(("name", "velocity_name", "rounding"), ROUNDED)
def test_a_step_has_the_same_bits_everywhere(name: str, velocity_name: str | None, rounding: str, module: Any) -> None:
    """Instruction sets x 1, 2, 3 and 7 threads, odd lengths, unaligned memory: one and the same result."""

    def results() -> Iterator[tuple[str, list[torch.Tensor]]]:
        for way in ways(module):
            params, grads = (unaligned(values, DTYPES[name]) for values in _DRAWN[:2])
            velocities = [] if velocity_name is None else unaligned(_DRAWN[2], DTYPES[velocity_name])
            for param, grad in zip(params, grads, strict=True):
                param.grad = grad
            make_plan(params, velocities or [None] * len(params), rounding=rounding).step(list(DECAY), 7)
            yield way, params + velocities

    assert_stay_the_same(results())


@pytest.mark.parametrize("name", DTYPES)
def test_a_sum_of_squares_has_the_same_bits_everywhere(name: str, module: Any) -> None:
    """The same for the reduction, through a plan and of tensors outside any; both near float64's own sum."""
    grads = unaligned(_DRAWN[0], DTYPES[name])
    for grad in grads:
        grad.grad = grad.detach().clone()
    plan = make_plan(grads, [None] * len(grads))
    sums = {own for _ in ways(module) for own in (module.sum_of_squares(EXCHANGE, grads), plan.sum_of_squares())}
    assert len(sums) == 1, sums
    (total, finite) = sums.pop()
    expected = sum(float((grad.double() ** 2).sum()) for grad in grads)
    assert finite
    assert abs(total - expected) <= 1e-13 * expected


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_one_value_that_is_not_finite_is_found_wherever_it_is(value: float, name: str, module: Any) -> None:
    """First, last and inner elements, of the vector loop and of its rest, on every way."""
    for length, places in ((40_003, (0, 15, 16, 16_383, 16_384, 40_000, 40_002)), (5, (0, 4)), (1, (0,))):
        for place in places:
            grad = torch.ones(length, dtype=DTYPES[name])
            grad[place] = value
            for way in ways(module):
                assert module.sum_of_squares(EXCHANGE, [grad])[1] is False, (way, place)


def test_large_finite_values_are_no_alarm(module: Any) -> None:
    """Squares of float32's largest fit float64; those of float64's overflow, and are finite gradients all the same."""
    for name, squares in (("float32", 3 * float(torch.finfo(torch.float32).max) ** 2), ("float64", float("inf"))):
        grad = torch.full((3,), torch.finfo(DTYPES[name]).max, dtype=DTYPES[name])
        for _ in ways(module):
            assert module.sum_of_squares(EXCHANGE, [grad]) == (squares, True)


def test_nothing_sums_to_zero(module: Any) -> None:
    """No tensors, and a tensor of no elements."""
    assert module.sum_of_squares(EXCHANGE, []) == (0.0, True)
    assert module.sum_of_squares(EXCHANGE, [torch.empty(0)]) == (0.0, True)


def test_stochastic_rounding_is_right_on_average_and_keyed(module: Any) -> None:
    """1 - 0.001 moves one parameter in 3.9 from 1 down to 1 - 2^-8; another key moves others, the same key the same."""
    count = 100_000

    def moved(key: int) -> torch.Tensor:
        param = torch.ones(count, dtype=torch.bfloat16)
        param.grad = torch.ones_like(param)
        make_plan([param], [None], rounding="stochastic").step([0, -0.001, 0, 0, 0, 0], key)
        assert set(param.tolist()) == {1.0, 1.0 - 2**-8}
        return param != 1.0

    share = 0.001 * 2**8
    deviation = (share * (1 - share) / count) ** 0.5
    first = moved(1)
    assert abs(first.double().mean().item() - share) < 5 * deviation
    assert torch.equal(moved(1), first)
    agreement = (moved(2) == first).double().mean().item()  # of independent draws
    assert abs(agreement - (share**2 + (1 - share) ** 2)) < 0.01


def test_threads_compute_in_the_callers_mode(module: Any) -> None:
    """torch.set_flush_denormal holds for the caller's thread alone; a step's bits do not depend on threads even so."""
    kernel.set_num_threads(3)

    def step() -> torch.Tensor:
        param = torch.full((1_000_003,), 2.0**-126)  # halved, it is subnormal
        param.grad = param.clone()
        make_plan([param], [None]).step([0, -0.5, 0, 0, 0, 0], 0)
        return param

    assert (step() == 2.0**-127).all()  # the threads are started in the ordinary mode
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers")
    try:
        flushed = step()
        torch.set_flush_denormal(False)
        assert len(flushed.unique()) == 1
        assert (step() == 2.0**-127).all()
    finally:
        torch.set_flush_denormal(False)


def test_an_unknown_instruction_set_is_left_alone(module: Any) -> None:
    """A name that this processor or program has not got changes nothing."""
    before = native().instruction_set()
    assert module.set_instruction_set("avx1024") is False
    assert native().instruction_set() == before


def test_a_refused_number_of_threads_changes_nothing(module: Any) -> None:
    """After an error the number is what it was."""
    kernel.set_num_threads(2)
    with pytest.raises(SettingsError):
        kernel.set_num_threads(0)
    assert module.thread_count() == kernel.get_num_threads() == 2
