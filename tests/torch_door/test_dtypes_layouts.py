"""Dtypes, memory layouts and odd shapes of parameters and gradients; and under which modes step may be called."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch_runs import assert_close, assert_same_bits, make_params, run, set_grads, values, velocities

from downslope.core.errors import DownslopeError
from downslope.torch import SGD

HALF = [torch.bfloat16, torch.float16]
REAL = [torch.float64, torch.float32, *HALF]
COMPLEX = [torch.complex64, torch.complex128]
OPTIONS: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}


@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize("dtype", REAL + COMPLEX, ids=str)
def test_every_dtype_agrees_with_torch(dtype: torch.dtype, foreach: bool) -> None:
    """Within the rounding of the dtype, after 10 steps; the dtype of parameter and velocity is kept."""
    ours, theirs = make_params(dtype=dtype), make_params(dtype=dtype)
    optimizer = SGD(ours, foreach=foreach, **OPTIONS)
    run(optimizer, ours, 10)
    run(torch.optim.SGD(theirs, foreach=False, **OPTIONS), theirs, 10)
    real = dtype.to_real() if dtype.is_complex else dtype
    assert_close(ours, theirs, rtol=32 * torch.finfo(real).eps)
    for param, velocity in zip(ours, velocities(optimizer), strict=True):
        assert param.dtype is dtype
        assert velocity is not None
        assert velocity.dtype is dtype


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_half_precision_is_not_worse_than_torchs(dtype: torch.dtype) -> None:
    """Against float64 arithmetic on the same half-precision gradients, our error is at most 1.5 times torch's."""
    shapes = [(64, 16)]
    ours, theirs = make_params(shapes, dtype=dtype), make_params(shapes, dtype=dtype)
    exact = [torch.nn.Parameter(param.detach().double()) for param in ours]
    optimizers = [SGD(ours, **OPTIONS), torch.optim.SGD(theirs, **OPTIONS), SGD(exact, **OPTIONS)]
    for step in range(20):
        set_grads(ours, step)
        theirs[0].grad = ours[0].grad.clone()  # type: ignore[union-attr]
        exact[0].grad = ours[0].grad.double()  # type: ignore[union-attr]
        for optimizer in optimizers:
            optimizer.step()
    error = [(params[0].double() - exact[0]).abs().mean().item() for params in (ours, theirs)]
    assert error[0] <= 1.5 * error[1]


@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_velocity_dtype_keeps_the_velocity_wide(dtype: torch.dtype, foreach: bool) -> None:
    """A float32 velocity for half-precision parameters: small gradients are not lost in it."""
    param = torch.nn.Parameter(torch.zeros(8, dtype=dtype))
    optimizer = SGD([param], lr=0.0, momentum=0.99, velocity_dtype=torch.float32, foreach=foreach)
    for step in range(400):
        param.grad = torch.full((8,), 1.0 if step == 0 else 0.01, dtype=dtype)
        optimizer.step()
    (velocity,) = velocities(optimizer)
    assert velocity is not None
    assert velocity.dtype is torch.float32
    small = float(torch.tensor(0.01, dtype=dtype))
    expected = 0.99**399 + small * (1 - 0.99**399) / 0.01
    torch.testing.assert_close(velocity, torch.full((8,), expected), rtol=1e-5, atol=0)


def test_a_narrower_velocity_dtype_is_a_choice_and_survives_a_save() -> None:
    """A bf16 velocity for float32 parameters halves its memory; asked for, it is kept through load and steps."""
    alone, mixed = make_params(dtype=torch.float32), make_params(dtype=torch.float32)
    options: dict[str, Any] = {**OPTIONS, "velocity_dtype": torch.bfloat16}
    run(SGD(alone, **options), alone, 6)
    first, second = SGD(mixed, **options), SGD(mixed, **options)
    run(first, mixed, 3)
    second.load_state_dict(first.state_dict())
    run(second, mixed, 3, start=3)
    assert all(velocity.dtype is torch.bfloat16 for velocity in velocities(second))  # type: ignore[union-attr]
    assert_same_bits(mixed, alone)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8], ids=str)
def test_integer_parameters_are_refused_or_never_stepped(dtype: torch.dtype) -> None:
    """Integers have no gradient in torch; a list that holds some is accepted by torch and they stay as they are."""
    frozen = torch.ones(3, dtype=dtype)
    params = make_params([(2,)])
    optimizer = SGD([*params, frozen], lr=0.1, momentum=0.9, weight_decay=0.1)
    run(optimizer, params, 2)
    assert torch.equal(frozen, torch.ones(3, dtype=dtype))


@pytest.mark.parametrize("foreach", [True, False])
def test_mixed_dtypes_in_one_group(foreach: bool) -> None:
    """Each parameter steps in its own dtype, as if alone."""
    dtypes = [*REAL, *COMPLEX]
    together = [make_params([(5,)], dtype=d)[0] for d in dtypes]
    apart = [make_params([(5,)], dtype=d)[0] for d in dtypes]
    joint = SGD(together, foreach=foreach, **OPTIONS)
    singles = [SGD([param], foreach=foreach, **OPTIONS) for param in apart]
    for step in range(5):
        for params in (together, apart):
            for param in params:
                set_grads([param], step)
        joint.step()
        for single in singles:
            single.step()
    assert_same_bits(together, apart)


def layouts() -> dict[str, torch.Tensor]:
    """The same 2x3x4x4 numbers in several memory layouts."""
    base = torch.arange(96, dtype=torch.float64).reshape(2, 3, 4, 4) / 96 - 0.5
    wide = torch.zeros(2, 3, 4, 8, dtype=torch.float64)
    wide[..., ::2] = base
    return {
        "contiguous": base.clone(),
        "channels-last": base.clone(memory_format=torch.channels_last),
        "transposed": base.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
        "strided": wide[..., ::2],
    }


@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize("grad_layout", layouts())
@pytest.mark.parametrize("param_layout", layouts())
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_layouts_of_parameter_and_gradient(
    param_layout: str, grad_layout: str, foreach: bool, dtype: torch.dtype
) -> None:
    """Any pair of layouts gives the numbers of the contiguous pair; the parameter's storage is written in place."""
    source = layouts()[param_layout].to(dtype) if dtype is not torch.float64 else layouts()[param_layout]
    param = torch.nn.Parameter(source)
    plain = torch.nn.Parameter(layouts()["contiguous"].to(dtype))
    pointer, stride = param.data_ptr(), param.stride()
    optimizer, reference = SGD([param], foreach=foreach, **OPTIONS), SGD([plain], foreach=foreach, **OPTIONS)
    for _ in range(3):
        param.grad = layouts()[grad_layout].to(dtype)
        plain.grad = layouts()["contiguous"].to(dtype)
        optimizer.step()
        reference.step()
    assert (param.data_ptr(), param.stride()) == (pointer, stride)
    assert_same_bits([param], [plain])


@pytest.mark.parametrize("layout", ["channels-last", "transposed"])
def test_the_velocity_keeps_the_parameters_layout(layout: str) -> None:
    """Also through a save and load, even of a contiguous copy (as safetensors writes), so that a step stays fast."""
    param = torch.nn.Parameter(layouts()[layout])
    optimizer = SGD([param], **OPTIONS)
    run(optimizer, [param], 2)
    (velocity,) = velocities(optimizer)
    assert velocity is not None
    assert velocity.stride() == param.stride()
    twin = torch.nn.Parameter(layouts()[layout])
    again = SGD([twin], **OPTIONS)
    state = optimizer.state_dict()
    state["state"] = {0: {"momentum_buffer": velocity.contiguous()}}
    again.load_state_dict(state)
    assert velocities(again)[0].stride() == twin.stride()  # type: ignore[union-attr]
    assert torch.equal(velocities(again)[0], velocity)  # type: ignore[arg-type]


def test_an_expanded_gradient() -> None:
    """A gradient of stride 0 (from an expand in the model) is only read."""
    param = torch.nn.Parameter(torch.zeros(3, 4, dtype=torch.float64))
    optimizer = SGD([param], lr=0.5, momentum=0.5)
    grad = torch.ones((), dtype=torch.float64).expand(3, 4)
    for _ in range(2):
        param.grad = grad
        optimizer.step()
    assert torch.equal(param, torch.full((3, 4), -0.5 - 0.75, dtype=torch.float64))
    assert torch.equal(grad, torch.ones(3, 4, dtype=torch.float64))


def test_the_velocity_is_never_the_gradient_itself() -> None:
    """At the first step v = g in value; sharing its memory would let the next backward write into the velocity."""
    for options in ({}, {"weight_decay": 0.1}, {"nesterov": True}, {"velocity_dtype": torch.float64}):
        for foreach in (True, False):
            (param,) = make_params([(4,)])
            optimizer = SGD([param], lr=0.1, momentum=0.9, foreach=foreach, **options)  # type: ignore[arg-type]
            set_grads([param], 0)
            optimizer.step()
            kept = velocities(optimizer)[0].clone()  # type: ignore[union-attr]
            param.grad.fill_(1e9)  # type: ignore[union-attr]
            assert torch.equal(velocities(optimizer)[0], kept)  # type: ignore[arg-type]


@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 1), ()], ids=str)
def test_empty_and_zero_dimensional_parameters(shape: tuple[int, ...], foreach: bool) -> None:
    """They step like any other, alone and among others, with clipping and checks on."""
    params = make_params([shape, (2,), shape])
    before = values(params)
    optimizer = SGD(params, foreach=foreach, clip_norm=1.0, on_nonfinite="skip", **OPTIONS)
    run(optimizer, params, 3)
    assert [param.shape for param in params] == [p.shape for p in before]
    assert not torch.equal(params[1], before[1])
    alone = make_params([shape])
    run(SGD(alone, foreach=foreach, clip_norm=1.0, on_nonfinite="raise", **OPTIONS), alone, 3)


def test_a_parameter_that_is_a_view_of_a_flat_buffer() -> None:
    """Flattened models keep their parameters as views; the buffer moves."""
    flat = torch.zeros(10, dtype=torch.float64)
    params = [torch.nn.Parameter(flat[:6].view(2, 3)), torch.nn.Parameter(flat[6:])]
    optimizer = SGD(params, lr=1.0)
    for param in params:
        param.grad = torch.ones_like(param)
    optimizer.step()
    assert torch.equal(flat, torch.full((10,), -1.0, dtype=torch.float64))


def test_sparse_gradients_are_refused_by_name() -> None:
    """Torch's SGD accepts them for some settings; here the message says which parameter and what to do."""
    embedding = torch.nn.Embedding(10, 3, sparse=True)
    optimizer = SGD([("table.weight", embedding.weight)], lr=0.1)
    embedding(torch.tensor([1, 2])).sum().backward()
    before = values([embedding.weight])
    with pytest.raises(DownslopeError) as caught:
        optimizer.step()
    assert "table.weight" in str(caught.value)
    assert "sparse=False" in str(caught.value)
    assert_same_bits([embedding.weight], before)
    assert optimizer.step_count == 0


def test_sparse_gradients_beside_dense_ones_move_nothing() -> None:
    """The refusal comes before the dense parameters of other groups have stepped."""
    dense = make_params([(3,)])
    embedding = torch.nn.Embedding(10, 3, sparse=True)
    optimizer = SGD([{"params": dense}, {"params": [embedding.weight]}], lr=0.1, momentum=0.9, on_nonfinite="skip")
    set_grads(dense, 0)
    embedding(torch.tensor([1])).sum().backward()
    before = values(dense)
    with pytest.raises(DownslopeError, match="sparse"):
        optimizer.step()
    assert_same_bits(dense, before)
    assert velocities(optimizer) == [None, None]


def test_the_version_counter_counts() -> None:
    """Autograd must notice that a saved parameter was changed between forward and backward."""
    param = torch.nn.Parameter(torch.ones(3))
    optimizer = SGD([param], lr=0.1)
    loss = (param * param).sum()
    param.grad = torch.ones(3)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_parameters_still_require_grad_and_are_leaves() -> None:
    """After a step the parameter is the same leaf."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, 2)
    assert all(param.requires_grad and param.is_leaf for param in params)
    assert not any(velocity.requires_grad for velocity in velocities(optimizer))  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_step_under_grad_modes(mode: Any) -> None:
    """Called under no_grad, enable_grad or inference_mode, the numbers are the same and training goes on after."""
    inside, outside = make_params(), make_params()
    first, second = SGD(inside, lr=0.1, momentum=0.9), SGD(outside, lr=0.1, momentum=0.9)
    for step in range(3):
        set_grads(inside, step)
        with mode():
            first.step()
        set_grads(outside, step)
        second.step()
    assert_same_bits(inside, outside)
    (inside[0] ** 2).sum().backward()
    first.step()
    second_state = first.state_dict()
    SGD(inside, lr=0.1, momentum=0.9).load_state_dict(second_state)


def test_default_dtype_float64() -> None:
    """torch.set_default_dtype changes neither the numbers nor the velocity's dtype."""
    plain, under = make_params(dtype=torch.float32), make_params(dtype=torch.float32)
    run(SGD(plain, clip_norm=0.5, **OPTIONS), plain, 5)
    torch.set_default_dtype(torch.float64)
    try:
        optimizer = SGD(under, clip_norm=0.5, **OPTIONS)
        run(optimizer, under, 5)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_same_bits(under, plain)
    assert all(velocity.dtype is torch.float32 for velocity in velocities(optimizer))  # type: ignore[union-attr]


def test_a_gradient_of_another_dtype_is_what_torch_makes_of_it() -> None:
    """Torch refuses to assign one, except through grad_dtype; then the step still happens in the parameter's dtype."""
    param = torch.nn.Parameter(torch.zeros(3, dtype=torch.bfloat16))
    if not hasattr(param, "grad_dtype"):
        pytest.skip("this torch has no grad_dtype")
    param.grad_dtype = torch.float32
    param.grad = torch.full((3,), 0.5, dtype=torch.float32)
    optimizer = SGD([param], lr=1.0, momentum=0.5)
    optimizer.step()
    assert torch.equal(param, torch.full((3,), -0.5, dtype=torch.bfloat16))


def test_many_small_parameters_of_several_layouts_at_once() -> None:
    """A realistic mixture in one group: none is confused with another."""
    generator = np.random.default_rng(0)
    shapes = [tuple(generator.integers(1, 4, size=generator.integers(0, 4))) for _ in range(60)]
    ours, theirs = make_params(shapes), make_params(shapes)
    for params in (ours, theirs):
        for index, param in enumerate(params):
            if param.ndim == 3 and index % 2:
                param.data = param.data.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    optimizer, reference = SGD(ours, **OPTIONS), torch.optim.SGD(theirs, foreach=False, **OPTIONS)
    for step in range(6):
        for which, params in ((optimizer, ours), (reference, theirs)):
            set_grads(params, step)
            for index, param in enumerate(params):
                if (index + step) % 3 == 0:
                    param.grad = None
            which.step()
    assert_close(ours, theirs)
    assert math.isfinite(sum(param.sum().item() for param in ours))
