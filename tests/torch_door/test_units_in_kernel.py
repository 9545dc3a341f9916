"""Adaptive clipping unit by unit within the compiled kernel: the bits of a step by gradients clipped before it."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from in_backward_pairs import loss_of, mlp
from torch_runs import assert_same_bits, draw, make_params

import downslope
import downslope.numpy
from downslope import Group, kernel
from downslope.core.errors import ImplementationError, NonFiniteGradientError
from downslope.torch import SGD

pytestmark = pytest.mark.skipif(not kernel.backend().startswith("compiled"), reason="of the kernel")

RULE: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}
AGC: dict[str, Any] = {"adaptive_clip": 0.05, "adaptive_clip_by": "unit"}
SHAPES = ((6, 5), (4, 3, 2, 2), (300, 1), (1, 40000), (33, 257), (3, 20000))
FORMATS = (torch.float32, torch.bfloat16, torch.float16)


def clipped(grad: torch.Tensor, param: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """Return a gradient with each row clipped to 0.05 of its weights, norms added up exactly, by Python's floats."""
    wide = grad.to(torch.promote_types(grad.dtype, torch.float32), copy=True)
    for row, weights in zip(wide.flatten(1), param.detach().flatten(1), strict=True):
        norm = scale * math.sqrt(math.fsum(x * x for x in row.tolist()))
        most = 0.05 * max(math.sqrt(math.fsum(x * x for x in weights.tolist())), 1e-3)
        if norm > most:
            row.mul_(most / norm)
    return wide.to(grad.dtype)


def grads_of(params: Any, step: int) -> list[torch.Tensor]:
    """Return gradients whose rows are of very different size, so that some are clipped and some are not."""
    generator = torch.Generator().manual_seed(step)
    grads = [draw(tuple(param.shape), param.dtype, generator) for param in params]
    return [
        (grad * 10.0 ** (torch.arange(len(grad)) % 4 - 2).reshape(-1, *(1 for _ in grad.shape[1:]))).to(grad.dtype)
        for grad in grads
    ]


WAYS: list[dict[str, Any]] = [
    {},
    {"momentum": 0.0, "nesterov": False},
    {"velocity_dtype": "int8"},
    {"velocity_dtype": torch.float64},
    {"ema": 0.9},
    {"velocity_dtype": "int8", "ema": 0.9},
    {"clip_norm": 20.0},
    {"maximize": True, "decay": "decoupled"},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_it_has_the_bits_of_gradients_clipped_before(dtype: torch.dtype, way: dict[str, Any]) -> None:
    """Rows clipped by Python's floats before the plain kernel; units that straddle the kernel's stretches, and ends."""
    ours, theirs = make_params(SHAPES, dtype), make_params(SHAPES, dtype)
    optimizer = SGD(ours, **RULE | AGC | way, fused=True)
    reference = SGD(theirs, **{key: value for key, value in (RULE | way).items() if key != "clip_norm"}, fused=True)
    for step in range(3):
        grads = grads_of(ours, step)
        norm = math.sqrt(math.fsum(x * x for grad in grads for x in grad.flatten().tolist()))
        factor = min(1.0, way.get("clip_norm", math.inf) / norm)
        for one, other, grad in zip(ours, theirs, grads, strict=True):
            one.grad, other.grad = grad, clipped(grad, other, factor)
        before = [grad.clone() for grad in grads]
        optimizer.step()
        reference.step(grad_scale=factor)
        assert_same_bits(grads, before)  # gradients are only read
    assert_same_bits(ours, theirs)
    for one, other in zip(ours, theirs, strict=True):
        states = optimizer.state[one], reference.state[other]
        assert states[0].keys() == states[1].keys()
        assert_same_bits(states[0].values(), states[1].values())


@pytest.mark.parametrize("rounding", ["stochastic", "compensated"])
@pytest.mark.parametrize("way", [{}, {"velocity_dtype": "int8"}, {"ema": 0.9}], ids=str)
def test_roundings_of_bfloat16(rounding: Any, way: dict[str, Any]) -> None:
    """Random numbers are those of each parameter's place and element."""
    both = [make_params(SHAPES, torch.bfloat16) for _ in range(2)]
    options = {**RULE, **way, "rounding": rounding, "fused": True}
    optimizers = [SGD(both[0], **options, **AGC), SGD(both[1], **options)]
    for step in range(3):
        for one, other, grad in zip(*both, grads_of(both[0], step), strict=True):
            one.grad, other.grad = grad, clipped(grad, other)
        for optimizer in optimizers:
            optimizer.step()
    assert_same_bits(*both)


@pytest.mark.parametrize("dtype", [*FORMATS, torch.float64], ids=str)
@pytest.mark.parametrize("way", [{}, {"velocity_dtype": "int8"}, {"ema": 0.9}, {"trust_coefficient": 0.02}], ids=str)
def test_the_bits_are_numpys(dtype: torch.dtype, way: dict[str, Any]) -> None:
    """downslope.numpy.SGD on arrays of the same numbers; biases, which are one unit, beside."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    if dtype != torch.float32 and not {"velocity_dtype", "trust_coefficient"}.isdisjoint(way):
        pytest.skip("small velocities are float32 in PyTorch; sums of squares of float64 differ in the last place")
    name = ml_dtypes.bfloat16 if dtype == torch.bfloat16 else str(dtype).removeprefix("torch.")
    shapes = (*SHAPES, (7,), ())

    def array(tensor: torch.Tensor) -> Any:
        return tensor.detach().to(torch.float64).numpy().astype(name)

    params = make_params(shapes, dtype)
    arrays = {str(place): array(param) for place, param in enumerate(params)}
    ours = SGD(params, **RULE | AGC, **{"velocity_dtype": dtype} | way)
    theirs = downslope.numpy.SGD(arrays, **RULE | AGC, **way)
    for step in range(4):
        for param, grad in zip(params, [*grads_of(params[:-1], step), torch.ones((), dtype=dtype)], strict=True):
            param.grad = grad
        ours.step()
        theirs.step({str(place): array(param.grad) for place, param in enumerate(params)})
    for place, param in enumerate(params):
        np.testing.assert_array_equal(array(param), arrays[str(place)])
        if "ema" in way:
            np.testing.assert_array_equal(ours.state[param]["average"].numpy(), theirs.average[str(place)])


def test_layouts() -> None:
    """Channels last, whose units lie end to end; transposed, whose units do not; and a gradient in another layout."""
    conv, matrix, other = make_params(((5, 3, 4, 4), (40, 30), (9, 8)), torch.float32)
    conv.data = conv.data.to(memory_format=torch.channels_last)
    matrix.data = matrix.data.t().contiguous().t()
    params = [conv, matrix, other]
    plain = [torch.nn.Parameter(param.detach().clone(memory_format=torch.preserve_format)) for param in params]
    optimizer, reference = SGD(params, **RULE, **AGC), SGD(plain, **RULE)
    for step in range(4):
        for one, two, grad in zip(params, plain, grads_of(params, step), strict=True):
            laid = torch.empty_like(one).copy_(grad)
            if one is other and step > 1:  # what the kernel took before it does not take any more
                laid = grad.t().contiguous().t()
            one.grad, two.grad = laid, torch.empty_like(laid).copy_(clipped(grad, two))
        optimizer.step()
        reference.step()
    assert_same_bits(params, plain)


def test_it_insists_and_says_where_it_cannot() -> None:
    """`fused=True` takes units; what the kernel does not take at all is an error, before anything has moved."""
    good, strided = make_params(((4, 3), (4, 3)), torch.float32)
    good.grad = torch.ones(4, 3)
    optimizer = SGD([good], lr=0.1, fused=True, **AGC)
    version = good._version
    optimizer.step()
    assert good._version > version, "what is written behind autograd's back counts as a change"
    strided.data = torch.ones(4, 6)[:, ::2]
    strided.grad = torch.ones(4, 3)
    before = good.detach().clone()
    with pytest.raises(ImplementationError, match="is not for the kernel"):
        SGD([good, strided], lr=0.1, fused=True, **AGC).step()
    assert torch.equal(good, before)


def test_every_way_has_the_same_bits() -> None:
    """Within the backward pass, of accumulated batches too, in a graph, with an average, and from a copy midway."""
    ends = []
    for way in ("plain", "backward", "compiled", "copied"):
        model = mlp()
        make = {"step_in_backward": way == "backward"}
        optimizer = SGD(model.named_parameters(), **RULE, **AGC, ema=0.9, fused=True, **make)
        torch._dynamo.reset()
        step = torch.compile(optimizer.step, backend="eager", fullgraph=True) if way == "compiled" else optimizer.step
        for number in range(4):
            if way == "copied" and number == 2:
                model, optimizer = copy.deepcopy((model, optimizer))
                step = optimizer.step
            with optimizer.accumulate():
                (100 * loss_of(model, number)).backward()
            (100 * loss_of(model, number + 50)).backward()
            step()
            optimizer.zero_grad()
        ends.append([*model.parameters(), *(average for _, average in optimizer.averages())])
    for end in ends[1:]:
        assert_same_bits(end, ends[0])


def test_groups_and_gradients_that_are_missing() -> None:
    """One group by unit, one by tensor, one without; a weight without a gradient stays, its average moves on."""
    models = [mlp(), mlp()]
    clips, biases = Group(match="0.weight", adaptive_clip=0.05, adaptive_clip_by="unit"), Group(match="*.bias", lr=0.01)
    ours = SGD(models[0].named_parameters(), **RULE, groups=[clips, biases], fused=True, ema=0.9)
    theirs = SGD(models[1].named_parameters(), **RULE, groups=[biases], fused=True, ema=0.9)
    for step in range(4):
        for model in models:
            model.zero_grad()
            (100 * loss_of(model, step)).backward()
            if step == 2:
                model[0].weight.grad = None
        if step != 2:
            models[1][0].weight.grad = clipped(models[1][0].weight.grad, models[1][0].weight)
        ours.step()
        theirs.step()
    assert_same_bits(models[0].parameters(), models[1].parameters())
    states = [
        [each.state[p]["average"] for p in m.parameters()] for each, m in zip((ours, theirs), models, strict=True)
    ]
    assert_same_bits(*states)


def test_gradients_that_are_not_finite() -> None:
    """Raised or skipped, nothing moves; let pass, a row with inf has a factor of 0, and the others are as ever."""
    for choice, passes in (("raise", False), ("skip", False), ("ignore", True)):
        weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [3.0, 4.0], [0.0, 2.0]]))
        weight.grad = torch.tensor([[math.inf, 1.0], [30.0, 40.0], [math.nan, 1.0]])
        before = weight.detach().clone()
        optimizer = SGD([weight], lr=1.0, adaptive_clip=0.5, adaptive_clip_by="unit", on_nonfinite=choice, fused=True)
        if choice == "raise":
            with pytest.raises(NonFiniteGradientError):
                optimizer.step()
        else:
            optimizer.step()
        if not passes:
            assert torch.equal(weight, before)
            continue
        expected = torch.tensor([[math.nan, 4.0], [1.5, 2.0], [math.nan, 1.0]])
        torch.testing.assert_close(weight.detach(), expected, rtol=0, atol=0, equal_nan=True)


def test_norms_beyond_the_squares_of_float64() -> None:
    """Rows of 1e200 and of 1e-200, whose squares float64 cannot hold, and of zeros."""
    weight = torch.nn.Parameter(torch.tensor([[3e200, 4e200], [3e-200, 4e-200], [0.0, 0.0]], dtype=torch.float64))
    weight.grad = torch.tensor([[6e210, 8e210], [3e-200, 4e-200], [0.0, 0.0]], dtype=torch.float64)
    SGD([weight], lr=1.0, adaptive_clip=0.5, adaptive_clip_by="unit", fused=True).step()
    expected = torch.tensor([[1.5e200, 2e200], [0.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-15, atol=0)


def test_threads_make_no_difference() -> None:
    """One thread and four, on few large units and on many small ones."""
    ends = []
    threads = downslope.get_num_threads()
    try:
        for count in (1, 4):
            downslope.set_num_threads(count)
            params = make_params(((2, 500_000), (400_000, 2)), torch.float32)
            optimizer = SGD(params, **RULE, **AGC, fused=True)
            for step in range(2):
                for param, grad in zip(params, grads_of(params, step), strict=True):
                    param.grad = grad
                optimizer.step()
            ends.append(params)
    finally:
        downslope.set_num_threads(threads)
    assert_same_bits(*ends)
