"""Adaptive clipping unit by unit: against timm's and optax's own functions, and together with the other options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import downslope.numpy
from downslope import Group, Settings, kernel
from downslope.core.errors import SettingsError
from downslope.torch import SGD
from torchvision_operators import declare

SHAPES = {"linear": (6, 5), "conv": (4, 3, 2, 2), "tall": (5, 1), "bias": (6,), "scalar": ()}
RULE: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}
AGC: dict[str, Any] = {"adaptive_clip": 0.05, "adaptive_clip_by": "unit"}


def drawn(seed: int, dtype: Any = np.float64) -> dict[str, Any]:
    """Return arrays of every shape, rows of very different size, a row of zeros among them."""
    draw = np.random.default_rng(seed)
    arrays = {name: np.asarray(draw.normal(size=shape)) for name, shape in SHAPES.items()}
    arrays["linear"] = arrays["linear"] * 10.0 ** np.arange(-3, 3)[:, np.newaxis]
    arrays["conv"][1] = 0.0
    return {name: np.asarray(array, dtype) for name, array in arrays.items()}


def in_torch(arrays: dict[str, Any]) -> dict[str, torch.nn.Parameter]:
    """Return copies as parameters."""
    return {name: torch.nn.Parameter(torch.from_numpy(array.copy())) for name, array in arrays.items()}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_it_is_timms(dtype: Any) -> None:
    """timm.utils.agc before torch's own SGD; in torch by two ways, and in NumPy by the kernel and by the rule."""
    declare()
    from timm.utils.agc import adaptive_clip_grad

    theirs, ours, one_by_one = (in_torch(drawn(0, dtype)) for _ in range(3))
    reference = torch.optim.SGD(theirs.values(), **RULE)
    optimizers = [SGD(own.items(), **RULE, **AGC, foreach=way) for own, way in ((ours, None), (one_by_one, False))]
    arrays = [drawn(0, dtype) for _ in range(2)]
    doors = [downslope.numpy.SGD(own, **RULE, **AGC, fused=way) for own, way in zip(arrays, (None, False), strict=True)]
    for step in range(6):
        grads = drawn(step + 1, dtype)
        for own in (theirs, ours, one_by_one):
            for name, param in own.items():
                param.grad = torch.from_numpy(grads[name].copy())
        adaptive_clip_grad(list(theirs.values()), clip_factor=0.05)
        for optimizer in (reference, *optimizers):
            optimizer.step()
        for door in doors:
            door.step(grads)
    close = {np.float64: 1e-12, np.float32: 2e-6}[dtype]
    for name, param in theirs.items():
        for found in (ours[name].detach().numpy(), one_by_one[name].detach().numpy(), *(own[name] for own in arrays)):
            np.testing.assert_allclose(found, param.detach().numpy(), rtol=close, atol=close * 1e-2)


def test_in_jax_it_is_optaxs() -> None:
    """optax.adaptive_grad_clip before SGD, of one to five axes; compiled too, and behind a trust ratio."""
    import jax
    import jax.numpy as jnp
    import optax

    from downslope.jax import sgd

    shapes = {"a": (3,), "b": (5, 4), "c": (2, 3, 4), "d": (2, 2, 3, 4), "e": (2, 1, 2, 3, 4), "f": (1, 5), "g": ()}

    def tree(seed: int) -> dict[str, Any]:
        draw = np.random.default_rng(seed)
        return {name: jnp.asarray(draw.normal(size=shape) * 3.0, jnp.float32) for name, shape in shapes.items()}

    for trust in (None, 0.1):
        ours = sgd(0.5, 0.9, **AGC, trust_coefficient=trust)
        theirs = optax.chain(optax.adaptive_grad_clip(0.05), sgd(0.5, 0.9, trust_coefficient=trust))
        ends = []
        for optimizer in (theirs, ours):
            params = tree(0)
            state, update = optimizer.init(params), jax.jit(optimizer.update)
            for seed in range(1, 4):
                updates, state = update(tree(seed), state, params)
                params = optax.apply_updates(params, updates)
            ends.append(params)
        for name in shapes:
            np.testing.assert_allclose(ends[1][name], ends[0][name], rtol=3e-6, atol=1e-6)


def test_worked_out_by_hand() -> None:
    """Rows of norm 5 and 0.5 on weights of norm 1: the first becomes 0.5, the second stays; a bias is one unit."""
    weight, bias = torch.nn.Parameter(torch.eye(2)), torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    weight.grad, bias.grad = torch.tensor([[3.0, 4.0], [0.3, 0.4]]), torch.tensor([30.0, 40.0])
    before = weight.grad.clone()
    optimizer = SGD([weight, bias], lr=1.0, adaptive_clip=0.5, adaptive_clip_by="unit")
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([[0.7, -0.4], [-0.3, 0.6]]))
    torch.testing.assert_close(bias.detach(), torch.tensor([1.5, 2.0]))
    assert torch.equal(weight.grad, before), "gradients are not written to"


def test_every_way_of_stepping_has_the_same_bits() -> None:
    """Within the backward pass, in a graph, after loading a state; a factor on the gradients comes before."""
    ends = []
    for way in ("plain", "backward", "compiled", "resumed", "scaled"):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        how = RULE | AGC | {"trust_coefficient": 0.02}
        optimizer = SGD(model.named_parameters(), **how, step_in_backward=way == "backward")
        torch._dynamo.reset()
        step = torch.compile(optimizer.step, backend="eager", fullgraph=True) if way == "compiled" else optimizer.step
        for number in range(4):
            if way == "resumed" and number == 2:
                state = optimizer.state_dict()
                optimizer = SGD(model.named_parameters(), lr=0.5)
                with pytest.warns(UserWarning, match="adaptive_clip_by of group 0 from None to 'unit'"):
                    optimizer.load_state_dict(state)
                assert optimizer.param_groups[0]["adaptive_clip_by"] == "unit"
                step = optimizer.step
            model.zero_grad()
            inputs = torch.randn(5, 4, generator=torch.Generator().manual_seed(number))
            loss = model(inputs).square().sum()
            if way == "scaled":
                (4 * loss).backward()
                step(grad_scale=0.25)
            else:
                loss.backward()
                step()
        ends.append([param.detach().clone() for param in model.parameters()])
    for end in ends[1:]:
        assert all(map(torch.equal, end, ends[0]))


def test_narrow_formats_large_norms_and_codes() -> None:
    """Norms that float32 cannot hold, bfloat16 and 8-bit velocities: finite, and every row at its bound."""
    weight = torch.nn.Parameter(torch.full((4, 2000), 1e37))
    weight.grad = torch.full((4, 2000), 3e38)
    optimizer = SGD([weight], lr=1.0, momentum=0.9, velocity_dtype="int8", **AGC)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.full((4, 2000), 0.95e37), rtol=1e-5, atol=0)
    narrow = torch.nn.Parameter(torch.ones(3, 4, dtype=torch.bfloat16))
    narrow.grad = torch.full((3, 4), 100.0, dtype=torch.bfloat16)
    SGD([narrow], lr=1.0, adaptive_clip=0.5, adaptive_clip_by="unit").step()
    assert (narrow == 0.5).all()
    huge = {"w": np.full((2, 3), 1e200)}
    downslope.numpy.SGD(huge, lr=1.0, adaptive_clip=0.5, adaptive_clip_by="unit").step({"w": np.full((2, 3), 1e300)})
    np.testing.assert_allclose(huge["w"], 0.5e200)


def test_what_does_not_go_together() -> None:
    """Another word, no clipping, and the kernel insisted on; a group's 0 switches both off."""
    param = torch.nn.Parameter(torch.ones(2, 2))
    with pytest.raises(SettingsError, match="`adaptive_clip_by` must be `tensor` or `unit`; got 'row'"):
        Settings(lr=0.1, adaptive_clip=0.1, adaptive_clip_by="row")  # type: ignore[arg-type]
    for make in (Settings, lambda **given: SGD([param], **given)):
        with pytest.raises(SettingsError, match='got adaptive_clip_by="unit" without adaptive_clip'):
            make(lr=0.1, adaptive_clip_by="unit")
    assert Settings(lr=0.1, adaptive_clip=0.1, adaptive_clip_by="tensor") == Settings(lr=0.1, adaptive_clip=0.1)
    assert Group(match="b", adaptive_clip=0).apply(Settings(lr=0.1, **AGC)) == Settings(lr=0.1)
    if kernel.backend().startswith("compiled"):  # which takes it, see test_units_in_kernel.py
        param.grad = torch.ones(2, 2)
        SGD([param], lr=0.1, fused=True, **AGC).step()
        np.testing.assert_allclose(param.detach().numpy(), 1.0 - 0.1 * 0.05)
    bias = torch.nn.Parameter(torch.ones(2))
    bias.grad = torch.ones(2)
    SGD([bias], lr=0.1, **AGC).step()
