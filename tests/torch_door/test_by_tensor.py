"""LARS, LARC and adaptive clipping in PyTorch: against the papers' equations, and together with the other options."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch_runs import copy_params, make_params, run, set_grads, values, velocities

import downslope.numpy
from downslope import Group, Settings
from downslope.core.errors import SettingsError
from downslope.jax import sgd
from downslope.torch import SGD, group_values

LARS = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "trust_coefficient": 0.02}
WAYS = [LARS, LARS | {"trust_clip": True}, {"lr": 0.1, "momentum": 0.9, "adaptive_clip": 0.05}]


def by_the_papers(params, steps, lr, momentum, decay, *, trust=None, larc=False, clip=None):
    """Return a parameter after all gradients, in float64.

    Brock et al. 2021, eq. 3, for the tensor as a whole: a gradient above clip max(|w|, 0.001) is scaled down to it.
    You et al. 2017, algorithm 1: v <- m v + r (g + decay w), w <- w - lr v, r = trust |w| / (|g| + decay |w|); in
    Apex's LARC r is divided by lr and at most 1.
    """
    velocity = np.zeros_like(params)
    for grad in steps:
        size, norm, ratio = np.linalg.norm(params), np.linalg.norm(grad), 1.0
        if clip is not None and norm > clip * max(size, 1e-3):
            grad = grad * (clip * max(size, 1e-3) / norm)  # noqa: PLW2901
            norm = np.linalg.norm(grad)
        if trust is not None and size > 0 and norm > 0:
            ratio = trust * size / (norm + decay * size)
            ratio = min(ratio / lr, 1.0) if larc else ratio
        velocity = momentum * velocity + ratio * (grad + decay * params)
        params = params - lr * velocity
    return params


def test_hundreds_of_random_settings_are_the_papers():
    """In float64 with the kernel, by torch's operations and by NumPy's door: to rounding after 12 steps."""
    for seed in range(200):
        chance = np.random.default_rng(seed)
        lr, momentum, decay = 10 ** chance.uniform(-3, 0.3), chance.uniform(0.1, 0.99), 10 ** chance.uniform(-4, -1)
        trust = None if seed % 4 == 3 else 10 ** chance.uniform(-3, 0)
        clip = 10 ** chance.uniform(-2, 0) if seed % 4 > 1 else None
        start = chance.standard_normal((3, 4)) * (seed % 7 > 0)  # some begin at 0
        steps = chance.standard_normal((12, 3, 4)) * (np.arange(12) != 5)[:, np.newaxis, np.newaxis]  # one of zeros
        wanted = by_the_papers(start, steps, lr, momentum, decay, trust=trust, larc=seed % 2 == 1, clip=clip)
        how = {"lr": lr, "momentum": momentum, "weight_decay": decay, "trust_coefficient": trust}
        how |= {"trust_clip": seed % 2 == 1 and trust is not None, "adaptive_clip": clip}
        ours = [torch.nn.Parameter(torch.tensor(start)) for _ in range(2)]
        optimizers = [SGD([param], **how, foreach=way) for param, way in zip(ours, (None, True), strict=True)]
        door = downslope.numpy.SGD({"p": start.copy()}, **how)
        for grad in steps:
            for param, optimizer in zip(ours, optimizers, strict=True):
                param.grad = torch.tensor(grad)
                optimizer.step()
            door.step({"p": grad})
        for found in (*(param.detach().numpy() for param in ours), door.params["p"]):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * max(1.0, np.abs(wanted).max()))


def test_optax_agrees_where_it_is_the_same():
    """Without decay and momentum optax.lars is LARS; for tensors of one dimension its adaptive clipping is ours."""
    import jax.numpy as jnp
    import optax

    start, grads = np.linspace(-1, 2, 8, dtype=np.float32), np.random.default_rng(0).standard_normal((9, 8), np.float32)
    for theirs, ours in (
        (optax.lars(0.5, trust_coefficient=0.1, momentum=0.0), {"trust_coefficient": 0.1}),
        (optax.chain(optax.adaptive_grad_clip(0.1), optax.sgd(0.5)), {"adaptive_clip": 0.1}),
    ):
        ends = []
        for optimizer in (theirs, sgd(0.5, **ours)):
            params = jnp.asarray(start)
            state = optimizer.init(params)
            for grad in grads:
                updates, state = optimizer.update(jnp.asarray(grad), state, params)
                params = optax.apply_updates(params, updates)
            ends.append(np.asarray(params))
        param = torch.nn.Parameter(torch.tensor(start))
        in_torch = SGD([param], lr=0.5, **ours)
        for grad in grads:
            param.grad = torch.tensor(grad)
            in_torch.step()
        for end in (ends[1], param.detach().numpy()):
            np.testing.assert_allclose(end, ends[0], rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("how", WAYS, ids=str)
def test_every_way_of_stepping_has_the_same_bits(how):
    """Within the backward pass, in a graph, after loading a state: as the ordinary step."""
    ends = []
    for way in ("plain", "backward", "compiled", "resumed"):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        optimizer = SGD(model.named_parameters(), **how, step_in_backward=way == "backward")
        torch._dynamo.reset()
        step = torch.compile(optimizer.step, backend="eager", fullgraph=True) if way == "compiled" else optimizer.step
        for number in range(4):
            if way == "resumed" and number == 2:
                state = copy.deepcopy(optimizer.state_dict())
                optimizer = SGD(model.named_parameters(), **how)
                optimizer.load_state_dict(state)
                step = optimizer.step
            model.zero_grad()
            model(torch.randn(5, 4, generator=torch.Generator().manual_seed(number))).square().sum().backward()
            step()
        ends.append(values(model.parameters()))
    for end in ends[1:]:
        assert all(map(torch.equal, end, ends[0]))


@pytest.mark.parametrize("how", WAYS, ids=str)
def test_a_factor_and_a_global_norm_come_first(how):
    """grad_scale and clip_norm change every gradient, of which the tensors' factors are then."""
    for options, scale in (({}, 0.25), ({"clip_norm": 0.5}, None)):
        params = make_params()
        ours, twin = copy_params(params), copy_params(params)
        one, other = SGD(ours, **how, **options), SGD(twin, **how)
        for step in range(3):
            set_grads(ours, step)
            set_grads(twin, step)
            if scale is None:
                torch.nn.utils.clip_grad_norm_(twin, 0.5)
            else:
                for param in twin:
                    param.grad *= scale
            one.step(grad_scale=1.0 if scale is None else scale)
            other.step()
        for a, b in zip(values(ours), values(twin), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5 if scale is None else 1e-12, atol=1e-9)


def test_groups_leave_biases_alone_as_lars_does():
    """A group's 0 is no ratio: its parameters go as plain SGD's, the others' as LARS; values may be written later."""
    model = torch.nn.Linear(3, 2)
    plain = copy.deepcopy(model)
    groups = [Group(match="@bias_and_norm", trust_coefficient=0.0, weight_decay=0.0)]
    ours = SGD(model.named_parameters(), **LARS, groups=groups)
    theirs = SGD(plain.named_parameters(), lr=0.1, momentum=0.9, groups=groups[:0])
    for step in range(3):
        set_grads(model.parameters(), step)
        set_grads(plain.parameters(), step)
        ours.step()
        theirs.step()
    assert torch.equal(model.bias, plain.bias)
    assert not torch.equal(model.weight, plain.weight)
    for group in ours.param_groups:
        group["trust_coefficient"] = None
    before = model.weight.detach().clone()
    set_grads(model.parameters(), 3)
    velocity = 0.9 * ours.state[model.weight]["momentum_buffer"] + model.weight.grad + 0.01 * before
    ours.step()
    torch.testing.assert_close(model.weight.detach(), before - 0.1 * velocity)


def test_velocities_of_8_bits_and_rounded_parameters():
    """Large tensors with codes go with and without the kernel by the same bits; bfloat16 stays near."""
    ends = []
    for fused in (None, False):
        params = make_params(((64, 128), (7,)), torch.float32)
        optimizer = SGD(params, **LARS, velocity_dtype="int8", fused=fused)
        run(optimizer, params, 3)
        ends.append(values(params))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-6, atol=1e-7)
    narrow = make_params(((64, 8),), torch.bfloat16)
    run(SGD(narrow, **LARS, rounding="compensated"), narrow, 3)
    wide = make_params(((64, 8),), torch.float32)
    run(SGD(wide, **LARS), wide, 3)
    torch.testing.assert_close(narrow[0].float(), wide[0], rtol=2e-2, atol=2e-2)


def test_on_a_device_the_same(monkeypatch):
    """There torch's operations step, since a norm is waited for."""
    params, twin = make_params(dtype=torch.float32), make_params(dtype=torch.float32)
    usual = SGD(twin, **LARS)
    run(usual, twin, 3)
    monkeypatch.setattr("downslope.torch.sgd.is_elsewhere", lambda _: True)
    optimizer = SGD(params, **LARS)
    run(optimizer, params, 3)
    torch.testing.assert_close(values(params), values(twin))
    torch.testing.assert_close(velocities(optimizer), velocities(usual))


def test_norms_beyond_float64_and_of_nothing():
    """Squares of 1e200 are infinite, their norm is not; a parameter without elements has none."""
    param, empty = (
        torch.nn.Parameter(torch.full((4,), 1e200, dtype=torch.float64)),
        torch.nn.Parameter(torch.zeros(0, 3)),
    )
    optimizer = SGD([param, empty], lr=1.0, trust_coefficient=0.5)
    param.grad, empty.grad = torch.full((4,), 2e200, dtype=torch.float64), torch.zeros(0, 3)
    optimizer.step()
    torch.testing.assert_close(param.detach(), torch.full((4,), 0.5e200, dtype=torch.float64))
    param.grad = torch.full((4,), math.inf, dtype=torch.float64)
    optimizer.step()
    assert param.isnan().all()


def test_what_does_not_go_together():
    """Autograd cannot see through a norm; parameters that FullyShardedDataParallel has flattened have no norm."""
    param = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(SettingsError, match="`differentiable=True` goes through the step"):
        SGD([param], **LARS, differentiable=True)
    with pytest.raises(SettingsError, match="`trust_clip` bounds the trust ratio"):
        SGD([param], lr=0.1, trust_clip=True)
    param._is_flat_param = True
    optimizer = SGD([("layer", param)], **LARS)
    param.grad = torch.ones(2)
    with pytest.raises(SettingsError, match="`layer` is a piece of a layer"):
        optimizer.step()


def test_states_know_them_and_older_ones_need_not():
    """A state has the numbers by group; one without them leaves those of the optimizer."""
    param = torch.nn.Parameter(torch.ones(2))
    state = SGD([param], **LARS).state_dict()
    assert state["param_groups"][0]["trust_coefficient"] == 0.02
    for name in group_values.NEWER:
        del state["param_groups"][0][name]
    optimizer = SGD([param], **LARS)
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["trust_coefficient"] == 0.02
    assert SGD([param], settings=Settings(lr=0.1, adaptive_clip=0.5)).param_groups[0]["adaptive_clip"] == 0.5
