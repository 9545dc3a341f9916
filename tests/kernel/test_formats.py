"""Every format of the compiled step: conversions of all values, and each step against float64, rounded once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from native_plans import ASK, COMBINATIONS, DTYPES, assert_equal_bits, make_plan, name_of, native, step_once

from downslope.kernel.coefficients import FORMATS, NO_VELOCITY, ROUNDINGS
from downslope.kernel.rows import Row
from downslope.torch import SGD
from reference import ulp

# delta = -1 * grad and velocity = velocity - grad: with a gradient of +0 they add -0, which changes no number
KEEP = (0.0, -1.0, 0.0, 0.0, -1.0, 1.0)
# velocity = grad + -1 * velocity: with a velocity of +0 it becomes the gradient, sign of zero included
TAKE_GRAD = (0.0, 0.0, 0.0, 0.0, 1.0, -1.0)

NO_DECAY = (0.0, -0.1, -0.7, 0.0, 0.6, 0.9)
DECAY = (-0.013, -0.1, -0.7, 0.02, 0.6, 0.9)


def all_values(dtype: torch.dtype) -> torch.Tensor:
    """Return all 65536 values of a 16-bit format, in the order of their bits."""
    return torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)


def awkward_float32() -> torch.Tensor:
    """Return float32 values of every exponent: ties of both 16-bit formats, their neighbours, limits, specials."""
    dropped = {16: 15, 13: 12}  # bits that bfloat16 and normal float16 drop, and which of them is the tie's
    rng = np.random.default_rng(0)
    kept = rng.integers(0, 2**32, 200_000, dtype=np.uint32)
    parts = [kept]
    for count, tie in dropped.items():
        top = kept >> count << count
        parts += [top, top | (1 << tie), (top | (1 << tie)) + 1, (top | (1 << tie)) - 1]
    # float16's subnormals are ties at 2^-25, 3 * 2^-25, ...; all of them and their neighbours
    ties = ((2 * np.arange(1025) + 1) * 2.0**-25).astype(np.float32).view(np.uint32)
    parts += [ties, ties - 1, ties + 1]
    limits = np.array(
        [0.0, 65504, 65519.996, 65520, 65536, 3.3961775e38, 3.4028235e38, np.inf, np.nan, 2**-14, 2**-149, 2**-126],
        np.float32,
    ).view(np.uint32)
    parts += [limits, np.arange(2**16, dtype=np.uint32), np.array([0x7F800001, 0x7FFFFFFF], np.uint32)]
    values = np.concatenate(parts)
    return torch.from_numpy(np.concatenate([values, values ^ np.uint32(0x80000000)]).view(np.float32))


def rounded_once(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return values in a format, each rounded to nearest once; torch goes from float64 to 16 bits by way of float32."""
    near = values.to(dtype)
    if values.dtype != torch.float64 or dtype.itemsize != 2:
        return near
    best, error = near.clone(), (near.double() - values).abs()
    for neighbour in (near.view(torch.int16) + 1, near.view(torch.int16) - 1):
        other = neighbour.view(dtype)
        gap = (other.double() - values).abs()
        closer = (gap < error) | ((gap == error) & (neighbour & 1 == 0))
        best, error = torch.where(closer, other, best), torch.where(closer, gap, error)
    return best


def test_the_table_of_combinations_is_the_modules() -> None:
    """The module has a kernel for exactly the combinations tested here, and rounds otherwise for bfloat16 alone."""
    module = native()
    codes = [*FORMATS.items(), (None, NO_VELOCITY)]
    for rounding, code in ROUNDINGS.items():
        there = {(p, v) for p, c in FORMATS.items() for v, w in codes if module.has_kernel(c, w, code)}
        others = {pair for pair in COMBINATIONS if pair[0] == "bfloat16"}
        assert there == (set(COMBINATIONS) if rounding == "nearest" else others)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_every_value_of_a_narrow_parameter_comes_back(name: str) -> None:
    """All 65536 values are widened, moved by -0 and narrowed to the bits they had."""
    before = all_values(DTYPES[name])
    param = before.clone()
    step_once(param, torch.zeros_like(param), None, KEEP)
    assert_equal_bits(param, before)


@pytest.mark.parametrize(("param", "name"), [(p, v) for p, v in COMBINATIONS if v in {"float16", "bfloat16"}])
def test_every_value_of_a_narrow_velocity_comes_back(param: str, name: str) -> None:
    """All 65536 values of a velocity are widened and narrowed to the bits they had."""
    before = all_values(DTYPES[name])
    velocity = before.clone()
    zeros = torch.zeros(len(before), dtype=DTYPES[param])
    step_once(zeros, zeros.clone(), velocity, KEEP)
    assert_equal_bits(velocity, before)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_every_value_is_widened_exactly(name: str) -> None:
    """A float32 velocity takes up all 65536 values of a gradient as torch widens them."""
    grad = all_values(DTYPES[name])
    velocity = torch.zeros(len(grad))
    step_once(torch.zeros_like(grad), grad, velocity, TAKE_GRAD)
    assert_equal_bits(velocity, grad.float())


def test_float32_is_narrowed_to_bfloat16_as_torch_does() -> None:
    """Ties, their neighbours, subnormals, overflow, inf and NaN: the bits of torch's conversion."""
    grad = awkward_float32()
    velocity = torch.zeros(len(grad), dtype=torch.bfloat16)
    step_once(torch.zeros_like(grad), grad, velocity, TAKE_GRAD)
    assert_equal_bits(velocity, grad.bfloat16())


def test_float32_is_narrowed_to_float16_as_numpy_does() -> None:
    """Any float32 is a sum of two scaled float16s, rounded: velocities so made have the bits of NumPy's conversion."""
    values = awkward_float32().numpy()
    with np.errstate(all="ignore"):
        for scale in (2.0**-24, 2.0**-14, 1.0, 2.0**11, 2.0**40):  # from all below the subnormals to all overflown
            high = (values / np.float32(scale)).astype(np.float16)
            rest = (values / np.float32(scale) - high.astype(np.float32)) * np.float32(2**11)
            low = rest.astype(np.float16)
            exact = high.astype(np.float32) * np.float32(scale)
            wanted = (exact + low.astype(np.float32) * np.float32(scale * 2**-11)).astype(np.float16)
            velocity, grad = torch.from_numpy(low.copy()), torch.from_numpy(high)
            step_once(torch.zeros_like(grad), grad, velocity, (0, 0, 0, 0, scale, scale * 2**-11))
            assert_equal_bits(velocity, torch.from_numpy(wanted))


def test_float16_ties_are_met() -> None:
    """The values above hold float16 ties, subnormal ones too: 2^-25 becomes 0, 3 * 2^-25 becomes 2 * 2^-24."""
    grad = torch.tensor([1.0, 3.0, 5.0, -1.0, 2049.0, 2051.0], dtype=torch.float64).half()
    odd = torch.tensor([1.0, 3.0, 5.0, -3.0]).half()
    velocity = torch.zeros_like(odd)
    step_once(torch.zeros_like(odd), odd, velocity, (0, 0, 0, 0, 2.0**-25, 0))
    assert velocity.tolist() == [0.0, 2 * 2.0**-24, 2 * 2.0**-24, -2 * 2.0**-24]
    assert grad.tolist()[4:] == [2048.0, 2052.0]  # the same of NumPy's and torch's own: ties to even
    high, low = torch.tensor([2048.0, 2048.0, 2048.0]).half(), torch.tensor([1.0, 3.0, 1.001]).half()
    step_once(torch.zeros_like(high), high, low, (0, 0, 0, 0, 1.0, 1.0))
    assert low.tolist() == [2048.0, 2052.0, 2050.0]


@pytest.mark.parametrize("coefficients", [NO_DECAY, DECAY], ids=["no-decay", "decay"])
@pytest.mark.parametrize(("name", "velocity_name"), COMBINATIONS)
def test_step_is_the_float64_step_rounded_once(
    name: str, velocity_name: str | None, coefficients: tuple[float, ...]
) -> None:
    """Each result is within half a unit of its own last place, and the computation's few, of the float64 answer."""
    rng = np.random.default_rng(1)
    drawn = [torch.from_numpy(rng.standard_normal(10_007)) for _ in range(3)]
    param, grad = (x.to(DTYPES[name]) for x in drawn[:2])
    velocity = None if velocity_name is None else drawn[2].to(DTYPES[velocity_name])
    p, g = (x.double().numpy().copy() for x in (param, grad))
    v = np.zeros_like(p) if velocity is None else velocity.double().numpy().copy()
    step_once(param, grad, velocity, coefficients)
    pp, pg, pv, vp, vg, vv = coefficients
    compute = "float64" if name == "float64" else "float32"
    delta, next_velocity = pp * p + pg * g + pv * v, vp * p + vg * g + vv * v
    sizes = abs(p) + abs(pp * p) + abs(pg * g) + abs(pv * v), abs(vp * p) + abs(vg * g) + abs(vv * v)
    for actual, exact, size in zip((param, velocity), (p + delta, next_velocity), sizes, strict=True):
        if actual is None:
            continue
        bound = 0.5 * ulp(exact, name_of(actual)) + 4 * ulp(size, compute)
        assert (abs(actual.double().numpy() - exact) <= bound).all()


@pytest.mark.parametrize("coefficients", [NO_DECAY, DECAY], ids=["no-decay", "decay"])
@pytest.mark.parametrize(("name", "velocity_name"), COMBINATIONS)
def test_step_has_the_bits_of_numpys_float32(
    name: str, velocity_name: str | None, coefficients: tuple[float, ...]
) -> None:
    """The same sums one operation at a time in NumPy, converted by torch: the same bits."""
    compute = np.float64 if name == "float64" else np.float32
    rng = np.random.default_rng(2)
    drawn = [torch.from_numpy(rng.standard_normal(4099) * 10.0 ** rng.integers(-6, 4, 4099)) for _ in range(3)]
    param, grad = (x.to(DTYPES[name]) for x in drawn[:2])
    velocity = None if velocity_name is None else drawn[2].to(DTYPES[velocity_name])
    p, g = (x.to(torch.float64).numpy().astype(compute) for x in (param, grad))
    pp, pg, pv, vp, vg, vv = (compute(c) for c in coefficients)
    delta, after = pg * g, vg * g
    if coefficients == DECAY:
        delta, after = pp * p + delta, vp * p + after
    if velocity is not None:
        v = velocity.double().numpy().astype(compute)
        delta, after = delta + pv * v, after + vv * v
    step_once(param, grad, velocity, coefficients)
    assert_equal_bits(param, rounded_once(torch.from_numpy(p + delta), param.dtype))
    if velocity is not None:
        assert_equal_bits(velocity, rounded_once(torch.from_numpy(after), velocity.dtype))


@pytest.mark.parametrize(("name", "velocity_name"), COMBINATIONS)
def test_parameters_of_infinity_stay_without_decay(name: str, velocity_name: str | None) -> None:
    """A coefficient of 0 is no product: inf stays inf and no velocity becomes NaN; with decay NaN is right."""
    param = torch.tensor([float("inf"), float("-inf"), 1.0], dtype=DTYPES[name])
    velocity = None if velocity_name is None else torch.ones(3, dtype=DTYPES[velocity_name])
    step_once(param, torch.ones_like(param), velocity, NO_DECAY)
    assert param.isinf().tolist() == [True, True, False]
    assert velocity is None or velocity.isfinite().all()
    step_once(param, torch.ones_like(param), velocity, DECAY)
    assert param.isnan().tolist() == [True, True, False]


def test_a_plan_refuses_what_would_crash() -> None:
    """No kernel, an empty tensor, formats and layouts that do not fit, unknown codes: errors, no crash."""
    module = native()

    def row(param: torch.Tensor, grad: torch.Tensor | None = None, **changed: object) -> tuple[object, ...]:
        param.grad = torch.zeros_like(param) if grad is None else grad
        return Row(param, **({"kind": 0} | changed))

    module.Plan([row(torch.zeros(3))], *ASK)
    bfloat16 = torch.zeros(3, dtype=torch.bfloat16)
    bad = {
        "no kernel": row(torch.zeros(3), rounding=ROUNDINGS["stochastic"]),
        "empty": row(torch.empty(0)),
        "do not know": row(torch.zeros(3, dtype=torch.complex64)),
        "know this number format": row(torch.zeros(3), velocity=torch.zeros(3, dtype=torch.int32)),
        "one layout": row(torch.zeros(3), velocity=torch.zeros(4)),
        "have one layout": row(torch.zeros(2, 3), velocity=torch.zeros(3, 2).t()),
        "one dense block": row(torch.zeros(6)[::2]),
        "unknown rounding": row(torch.zeros(3), rounding=3),
        "not negative": row(torch.zeros(3), kind=-1),
        "tuple of all fields": row(torch.zeros(3))[:8],
        "compensation goes": row(bfloat16.clone(), rounding=ROUNDINGS["compensated"]),
        "goes with compensated": row(bfloat16.clone(), compensation=torch.zeros_like(bfloat16)),
        "must be bfloat16": row(
            bfloat16.clone(), rounding=ROUNDINGS["compensated"], compensation=torch.zeros(3, dtype=torch.float16)
        ),
        "no memory": row(torch.zeros(3), velocity=torch.zeros(3, device="meta")),
    }
    for message, wrong in bad.items():
        with pytest.raises(ValueError, match=message):
            module.Plan([wrong], *ASK)


def test_a_plan_refuses_to_step_unasked() -> None:
    """A plan that was not refreshed, or let its gradients go, or gets too few coefficients, raises."""
    param = torch.ones(3)
    param.grad = torch.ones(3)
    plan = make_plan([param], [None])
    with pytest.raises(ValueError, match="six coefficients"):
        plan.step([1.0] * 5, 0)
    plan.let_go()
    for use in (lambda: plan.step([0.0] * 6, 0), plan.sum_of_squares):
        with pytest.raises(RuntimeError, match="refreshed"):
            use()
    assert param.tolist() == [1.0] * 3


@pytest.mark.parametrize("way", ["kernel", "torch"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_overflowed_stays_infinite_where_rounding_is_compensated(way: str, sign: float) -> None:
    """As plain bfloat16 does: inf stays inf, whatever was dropped on the way there; inf less inf is NaN."""
    largest = torch.finfo(torch.bfloat16).max
    for kept in (0.0, 1.0):
        start = torch.tensor([sign * largest, 1.0, sign * float("inf"), float("nan")], dtype=torch.bfloat16)
        ends = []
        for rounding in ("compensated", "nearest"):
            param = torch.nn.Parameter(start.clone())
            optimizer = SGD([param], lr=1.0, rounding=rounding, foreach=None if way == "kernel" else False)
            for grad in (largest, 1.0, 0.0, 1.0):
                param.grad = torch.tensor([-sign * grad, kept, 0.0, 0.0], dtype=torch.bfloat16)
                optimizer.step()
            assert optimizer._plan.has_kernel == (way == "kernel" and native() is not None)
            assert param[0] == sign * float("inf")
            assert param[2] == sign * float("inf")
            assert param[3].isnan()
            ends.append(param)
            if rounding == "compensated":
                assert (optimizer.state[param]["compensation"][[0, 2, 3]] == 0).all()
                param.grad = torch.full((4,), sign * float("inf"), dtype=torch.bfloat16)
                optimizer.step()
                assert param[0].isnan()
        assert ends[1][1] == start[1] - 4 * kept
