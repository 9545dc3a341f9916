"""One test per defect found in other optimizers, named after it: each fails on the peer it was found in.

Where the peer is torch itself, the test also shows the defect there, so that it is known to be able to fail; when a
later torch has it mended, that half says so and can go.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch_runs import assert_same_bits, make_params, run, set_grads, values, velocities

from downslope.core.errors import StateError
from downslope.schedules import Exponential
from downslope.torch import SGD

INF = float("inf")


def scaled_step_with_inf(optimizer: torch.optim.Optimizer, param: torch.Tensor) -> None:
    """Let a loss scaler find an infinite gradient on the very first step, then take a good step."""
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for grad in (INF, 4.0):
        scaler.scale(torch.zeros((), requires_grad=True)).backward()  # starts the scale up
        param.grad = torch.full_like(param, grad)
        scaler.step(optimizer)
        scaler.update()


def test_1_inf_on_the_first_step_under_a_loss_scaler_leaves_no_uninitialised_velocity() -> None:
    """Torch's fused step then keeps torch.empty as the velocity of a first step that never was."""
    param = torch.nn.Parameter(torch.ones(4))
    optimizer = SGD([param], lr=0.5, momentum=0.9, dampening=0.5)
    scaled_step_with_inf(optimizer, param)
    # the scaler halves its scale of 4 after the inf, so the good gradient 4 is unscaled to 2: first step, undampened
    assert torch.equal(velocities(optimizer)[0], torch.full((4,), 2.0))  # type: ignore[arg-type]
    assert torch.equal(param, torch.zeros(4))
    assert optimizer.step_count == 1


def test_1_in_torch() -> None:
    """The fused step believes its first step has been taken: 1 - dampening is applied, to memory never written."""
    param = torch.nn.Parameter(torch.ones(4))
    optimizer = torch.optim.SGD([param], lr=0.5, momentum=0.9, dampening=0.5, fused=True)
    param.grad = torch.full_like(param, INF)
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(4.0), torch.tensor(1.0)  # type: ignore[attr-defined]
    optimizer.step()
    assert "momentum_buffer" in optimizer.state[param]


@pytest.mark.parametrize("bad", [INF, -INF, float("nan")])
def test_1_skipping_an_infinite_first_gradient_allocates_nothing(bad: float) -> None:
    """The same with our own on_nonfinite="skip": no velocity is there until a gradient has been taken in."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9, dampening=0.5, on_nonfinite="skip")
    set_grads(params, 0)
    params[2].grad.fill_(bad)  # type: ignore[union-attr]
    optimizer.step()
    assert velocities(optimizer) == [None] * 4
    twin = make_params()
    plain = SGD(twin, lr=0.1, momentum=0.9, dampening=0.5)
    run(optimizer, params, 3, start=1)
    run(plain, twin, 3, start=1)
    assert_same_bits(params, twin)


@pytest.mark.parametrize("foreach", [True, False])
def test_2_a_first_gradient_later_than_the_others(foreach: bool) -> None:
    """Torch's fused step raises a TypeError; here the late one has its own, undampened first step."""
    params = make_params([(2,), (2,)])
    optimizer = SGD(params, lr=1.0, momentum=0.5, dampening=0.5, foreach=foreach)
    start = values(params)
    params[0].grad = torch.tensor([1.0, 2.0], dtype=torch.float64)
    optimizer.step()
    for param in params:
        param.grad = torch.tensor([4.0, 8.0], dtype=torch.float64)
    optimizer.step()
    # first: v = 1, then 0.5 + 0.5 * 4 = 2.5; late: v = 4 at its first gradient
    assert velocities(optimizer)[0].tolist() == [2.5, 5.0]  # type: ignore[union-attr]
    assert velocities(optimizer)[1].tolist() == [4.0, 8.0]  # type: ignore[union-attr]
    assert torch.equal(
        params[0], start[0] - 1 * torch.tensor([1.0, 2.0], dtype=torch.float64) - velocities(optimizer)[0]
    )
    assert torch.equal(params[1], start[1] - velocities(optimizer)[1])


def test_2_in_torch() -> None:
    """The fused step, and what it says."""
    params = make_params([(2,), (2,)])
    optimizer = torch.optim.SGD(params, lr=1.0, momentum=0.5, fused=True)
    params[0].grad = torch.ones(2, dtype=torch.float64)
    optimizer.step()
    params[1].grad = torch.ones(2, dtype=torch.float64)
    with pytest.raises(TypeError):
        optimizer.step()


@pytest.mark.parametrize("foreach", [None, True, False])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("clip_norm", [None, 0.01])
def test_3_nesterov_without_weight_decay_does_not_overwrite_the_gradient(
    foreach: bool | None, weight_decay: float, maximize: bool, clip_norm: float | None
) -> None:
    """Torch's foreach step turns a gradient of 1.0 into 1.9."""
    params = make_params()
    optimizer = SGD(
        params,
        lr=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=weight_decay,
        maximize=maximize,
        foreach=foreach,
        clip_norm=clip_norm,
    )
    for _ in range(3):
        for param in params:
            param.grad = torch.ones_like(param)
        versions = [param.grad._version for param in params]  # type: ignore[union-attr]
        optimizer.step()
        assert all(torch.equal(param.grad, torch.ones_like(param)) for param in params)  # type: ignore[arg-type]
        assert [param.grad._version for param in params] == versions  # type: ignore[union-attr]


def test_3_in_torch() -> None:
    """1.0 becomes 1.9."""
    (param,) = make_params([(2,)])
    param.grad = torch.ones_like(param)
    torch.optim.SGD([param], lr=0.1, momentum=0.9, nesterov=True, foreach=True).step()
    assert param.grad.tolist() == [1.9, 1.9]


def test_4_swapped_named_parameters_do_not_get_each_others_momentum() -> None:
    """Torch matches by position although it has the names."""
    a, b = make_params([(2,), (2,)])
    first = SGD([("a", a), ("b", b)], lr=0.1, momentum=0.9)
    a.grad, b.grad = torch.full_like(a, 1.0), torch.full_like(b, 2.0)
    first.step()
    state = first.state_dict()
    for cls, expected in ((SGD, [2.0, 1.0]), (torch.optim.SGD, [1.0, 2.0])):
        second = cls([("b", b), ("a", a)], lr=0.1, momentum=0.9)
        second.load_state_dict(copy.deepcopy(state))
        assert [velocity[0].item() for velocity in velocities(second)] == expected  # type: ignore[index]


def test_4_a_velocity_of_another_shape_is_not_accepted() -> None:
    """Torch takes it in without a word."""
    (param,) = make_params([(2, 3)])
    optimizer = SGD([param], lr=0.1, momentum=0.9)
    run(optimizer, [param], 1)
    state = copy.deepcopy(optimizer.state_dict())
    state["state"][0]["momentum_buffer"] = torch.ones(3)
    torch.optim.SGD([param], lr=0.1, momentum=0.9).load_state_dict(copy.deepcopy(state))
    with pytest.raises(StateError, match=r"\(3,\)"):
        optimizer.load_state_dict(state)


def test_4_an_fp32_velocity_of_a_bf16_parameter_is_not_cast() -> None:
    """Torch rounds it to the parameter's dtype."""
    param = torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    wide = torch.tensor([1.0 + 2**-20, 3.0])
    group = {"params": [0], "lr": 0.1, "momentum": 0.9, "weight_decay": 0, "dampening": 0, "nesterov": False}
    state = {"state": {0: {"momentum_buffer": wide}}, "param_groups": [group]}
    kept = {}
    for cls in (SGD, torch.optim.SGD):
        optimizer = cls([param], lr=0.1, momentum=0.9)
        optimizer.load_state_dict(copy.deepcopy(state))
        kept[cls] = velocities(optimizer)[0]
    assert kept[SGD].dtype is torch.float32  # type: ignore[union-attr]
    assert torch.equal(kept[SGD], wide)  # type: ignore[arg-type]
    assert kept[torch.optim.SGD].dtype is torch.bfloat16  # type: ignore[union-attr]


def test_4_lr_momentum_and_weight_decay_are_not_overwritten_in_silence() -> None:
    """Torch replaces them and says nothing."""
    params = make_params()
    first = SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1)
    second = SGD(params, lr=0.2, momentum=0.8, weight_decay=0.2)
    with pytest.warns(UserWarning) as caught:
        second.load_state_dict(first.state_dict())
    said = " ".join(str(warning.message) for warning in caught)
    for name in ("lr", "momentum", "weight_decay"):
        assert name in said


@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize("decay", ["coupled", "decoupled", "independent", "relative", "corrected"])
def test_7_mixed_dtypes_in_one_group_decay_once(foreach: bool, decay: str) -> None:
    """Timm's foreach SGDW decays every parameter once per dtype in the list."""
    dtypes = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float64]
    together = [torch.nn.Parameter(torch.full((3,), 2.0, dtype=dtype)) for dtype in dtypes]
    apart = [torch.nn.Parameter(torch.full((3,), 2.0, dtype=dtype)) for dtype in dtypes]
    options = {"lr": 0.25, "momentum": 0.5, "weight_decay": 0.125, "decay": decay, "foreach": foreach}
    joint = SGD(together, **options)  # type: ignore[arg-type]
    singles = [SGD([param], **options) for param in apart]  # type: ignore[arg-type]
    for _ in range(3):
        for param in together + apart:
            param.grad = torch.full_like(param, 0.5)
        joint.step()
        for single in singles:
            single.step()
    assert_same_bits(together, apart)


@pytest.mark.parametrize("foreach", [True, False])
def test_7_nesterov_with_decoupled_decay_does_not_overwrite_the_gradient(foreach: bool) -> None:
    """Timm's SGDW with Nesterov writes its direction into p.grad."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1, decay="decoupled", foreach=foreach)
    for step in range(3):
        set_grads(params, step)
        before = values([param.grad for param in params])  # type: ignore[list-item]
        optimizer.step()
        assert_same_bits([param.grad for param in params], before)  # type: ignore[list-item]


def test_8_a_resumed_schedule_needs_no_scheduler_to_be_loaded() -> None:
    """With a torch scheduler, loading only the scheduler leaves the group's lr stale for the next step."""
    alone, resumed = make_params(), make_params()
    schedule = Exponential(0.5, 0.5, every=2, staircase=True)
    run(SGD(alone, lr=schedule), alone, 8)
    first = SGD(resumed, lr=schedule)
    run(first, resumed, 4)
    second = SGD(resumed, lr=schedule)
    second.load_state_dict(first.state_dict())
    lrs: list[float] = []
    run(second, resumed, 4, start=4, after=lambda _: lrs.append(second.param_groups[0]["lr"]))
    assert lrs == [0.125, 0.125, 0.0625, 0.0625]
    assert_same_bits(resumed, alone)


def test_8_loading_twice_does_not_decay_twice() -> None:
    """Torch's `last_epoch=` after loading the optimizer decays once more; a pure function of the step cannot."""
    params = make_params()
    first = SGD(params, lr=Exponential(0.5, 0.5, 1))
    run(first, params, 2)
    second = SGD(params, lr=Exponential(0.5, 0.5, 1))
    for _ in range(3):
        second.load_state_dict(first.state_dict())
    run(second, params, 1, start=2)
    assert second.param_groups[0]["lr"] == 0.125


def test_8_ten_thousand_steps_of_a_schedule_do_not_drift() -> None:
    """A float32 tensor lr chained by a torch scheduler drifts by 1.7e-4; the closed form is exact."""
    (param,) = make_params([(1,)])
    param.grad = torch.zeros_like(param)
    optimizer = SGD([param], lr=Exponential(0.1, 0.9999, 1))
    for _ in range(10_000):
        optimizer.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.9999**9999, rel=1e-14)
    assert optimizer.step_count == 10_000


def test_8_a_float32_tensor_lr_is_used_at_full_float32_value_only() -> None:
    """A tensor lr means its own value: 0.1 as float32 is 0.10000000149..., in the float64 step too."""
    (param,) = make_params([(1,)])
    with torch.no_grad():
        param.zero_()
    param.grad = torch.ones_like(param)
    SGD([param], lr=torch.tensor(0.1)).step()
    assert param.item() == -torch.tensor(0.1).double().item()


def test_12_permuted_names_together_with_a_late_first_gradient() -> None:
    """The parameter without a velocity is the same one after a load under another order."""
    pairs = list(zip("abc", make_params([(2,)] * 3), strict=True))
    first = SGD(pairs, lr=0.1, momentum=0.9, dampening=0.5)
    run(first, [pairs[0][1], pairs[2][1]], 2)
    second = SGD([pairs[1], pairs[2], pairs[0]], lr=0.1, momentum=0.9, dampening=0.5)
    second.load_state_dict(first.state_dict())
    assert [velocity is None for velocity in velocities(second)] == [True, False, False]
    set_grads([pairs[1][1]], 0)
    second.step()
    assert torch.equal(velocities(second)[0], pairs[1][1].grad)  # type: ignore[arg-type]


def test_12_found_inf_leaves_the_velocity_alone_in_mid_run() -> None:
    """A later infinite gradient under a loss scaler moves neither parameter nor velocity nor step count."""
    param = torch.nn.Parameter(torch.ones(4))
    optimizer = SGD([param], lr=0.5, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    for grad in (2.0, INF, 2.0):
        scaler.scale(torch.zeros((), requires_grad=True)).backward()
        param.grad = torch.full_like(param, grad)
        before = (param.detach().clone(), copy.deepcopy(velocities(optimizer)), optimizer.step_count)
        scaler.step(optimizer)
        scaler.update()
        if grad == INF:
            assert torch.equal(param, before[0])
            assert_same_bits(velocities(optimizer), before[1])  # type: ignore[arg-type]
            assert optimizer.step_count == before[2]
    # v = 1, then 0.9 + 2 (the scale was halved to 1): 2.9
    torch.testing.assert_close(velocities(optimizer)[0], torch.full((4,), 2.9))
